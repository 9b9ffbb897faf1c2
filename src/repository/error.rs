use std::io;

use super::conflict::Conflict;
use crate::fsx::PathError;
use crate::storage::{Key, Store, StoreError};
use crate::wal::{SegmentName, SegmentSize, SystemIdentifier};

/// Why a repository cannot take or give a file.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `.walkeep/repository.json` is not there.
    #[error("'{location}' is not a walkeep repository: it has no .walkeep/repository.json")]
    NotARepository {
        /// Where it was looked for.
        location: String,
    },
    /// A state file does not say what it should.
    #[error("cannot make sense of '{file}': {reason}")]
    DamagedState {
        /// The state file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is bound to another cluster.
    #[error("the repository belongs to system identifier {repository}, this is {found}")]
    OtherSystem {
        /// Whose it is.
        repository: SystemIdentifier,
        /// Who asked.
        found: SystemIdentifier,
    },
    /// Its cluster has segments of another length.
    #[error("the repository holds segments of {repository}, these are of {found}")]
    OtherSegmentSize {
        /// The length in the repository.
        repository: SegmentSize,
        /// The length that was found.
        found: SegmentSize,
    },
    /// The source could not be read.
    #[error("cannot read the file to be archived")]
    Source(#[source] io::Error),
    /// The source was changed or replaced meanwhile.
    #[error("the file was taken away while it was read; nothing was stored")]
    SourceTakenAway,
    /// Other content is stored under the name.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// A stored file is not what it says it is.
    #[error("the stored file '{file}' is damaged: {reason}")]
    Damaged {
        /// The stored file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A range of segments is not taken for lost.
    #[error("cannot acknowledge '{from}' to '{to}' as lost: {why}")]
    NotAcknowledged {
        /// The first of them.
        from: SegmentName,
        /// The last.
        to: SegmentName,
        /// What speaks against it.
        why: &'static str,
    },
    /// What was fetched could not be handed on.
    #[error("cannot write what was fetched")]
    Sink(#[source] io::Error),
}

impl RepositoryError {
    pub(super) fn damaged_state(store: &dyn Store, key: &Key, reason: &str) -> Self {
        Self::DamagedState { file: store.locate(key), reason: reason.to_owned() }
    }

    pub(super) fn writing(store: &dyn Store, key: &Key, error: io::Error) -> Self {
        Self::Store(PathError::new("write", store.locate(key).as_ref(), error).into())
    }
}
