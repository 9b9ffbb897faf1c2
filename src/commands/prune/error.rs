use crate::cluster::ClusterError;
use crate::commands::{ClaimError, ForeignOwner, Hint};
use crate::repository::RepositoryError;
use crate::storage::StoreError;
use crate::wal::ParseError;

/// Why nothing, or no more, was removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A server lives there.
    #[error("'{path}' is {what}")]
    Live {
        /// The directory.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Somebody else's turn.
    #[error("another prune is at work in this repository, or a hold is being added")]
    Locked,
    /// Nobody knows what these nodes need.
    #[error("no claim is there of {0}, which 'prune.nodes' lists")]
    NotClaimed(String),
    /// A claim that belongs elsewhere.
    #[error(
        "the claim of '{node}' is of system identifier {found}, and the repository belongs to {repository}"
    )]
    ClaimOfOtherSystem {
        /// The node.
        node: String,
        /// Its system identifier.
        found: String,
        /// The repository's.
        repository: String,
    },
    /// A base backup of which nobody knows where it begins.
    #[error("cannot tell where the base backup of '{file}' begins")]
    UnknownBackup {
        /// The stored file.
        file: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Files of pages of unknown size.
    #[error("cannot tell the size of the segments in '{0}': it is bound to no cluster")]
    NotBound(String),
    /// A data directory cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What a node needs cannot be told.
    #[error(transparent)]
    Node(#[from] ClaimError),
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file does not go.
    #[error("stopped after {removed} files, and those that are left are whole")]
    Stopped {
        /// How many went.
        removed: u64,
        /// Why not the next one.
        source: RepositoryError,
    },
}

impl From<StoreError> for PruneError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for PruneError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Live { .. } => {
                "Name the repository. A server removes its own WAL when nobody needs it any more; 'walkeep gate' \
                 says what holds it back."
            }
            Self::Locked => "Nothing was removed; the next run goes on.",
            Self::NotClaimed(_) => {
                "Nothing was removed. Run 'walkeep claim' there, or take the node out of 'prune.nodes'."
            }
            Self::ClaimOfOtherSystem { .. } => {
                "Nothing was removed. 'walkeep claim remove NODE' takes the claim away."
            }
            Self::UnknownBackup { .. } => {
                "Nothing was removed. 'walkeep set-aside NAME --reason TEXT' takes the file out of the way."
            }
            Self::NotBound(_) => "'walkeep init --repo DIR -D DATADIR' binds it.",
            Self::Stopped { .. } => "The next run goes on from there.",
            Self::Node(ClaimError::Slot { .. }) => {
                "Nothing was removed. A slot that the server cannot read either has to be dropped."
            }
            Self::Cluster(_) | Self::Node(_) => "Nothing was removed: what a node needs has to be known.",
            Self::ForeignOwner(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
        };
        Some(text.to_owned())
    }
}
