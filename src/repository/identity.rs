//! What a repository is, and whose: `repository.json` says that a directory is one and in which form it keeps
//! files; `identity.json` binds it to one system. Both are published without replacing, once.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::layout::state_key;
use super::{Origin, RepositoryError};
use crate::storage::{Key, MOST_SMALL_BYTES, Published, Store, read_small};
use crate::wal::{SegmentSize, SystemIdentifier};

/// In which form a repository keeps segments. Small text files are always plain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredForm {
    /// Stored form 1.
    Zstd,
    /// As they are, with their digests beside them.
    Plain,
}

/// What `repository.json` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Charter {
    /// Number of the repository format: 1.
    pub format: u32,
    /// The form of segments and partial segments.
    pub form: StoredForm,
    /// Whether files of other tools lay here already.
    pub adopted: bool,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The program and version that made it.
    pub writer: String,
}

impl Charter {
    /// The repository format that this program writes and reads.
    pub const FORMAT: u32 = 1;

    pub(super) fn key() -> Key {
        state_key("repository.json")
    }
}

/// The cluster that a repository belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Every file carries it or comes from a cluster that does.
    pub system_identifier: SystemIdentifier,
    /// The length of every segment.
    pub segment_size: SegmentSize,
}

/// What `identity.json` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct IdentityFile {
    system_identifier: String,
    segment_size: u64,
    dialect: Option<String>,
    bound_at: String,
    bound_by: String,
}

impl Identity {
    fn key() -> Key {
        state_key("identity.json")
    }

    /// Reads whom the repository belongs to; `None` while nobody has archived into it.
    pub(super) fn read(store: &dyn Store) -> Result<Option<Self>, RepositoryError> {
        let Some(file) = read_json::<IdentityFile>(store, &Self::key())? else { return Ok(None) };
        let damaged = |reason: &str| RepositoryError::damaged_state(store, &Self::key(), reason);
        let system_identifier =
            file.system_identifier.parse().map_err(|_| damaged("no system identifier"))?;
        let segment_size =
            SegmentSize::new(file.segment_size).ok_or_else(|| damaged("no valid segment size"))?;
        Ok(Some(Self { system_identifier, segment_size }))
    }

    /// Binds the repository; who loses a race reads what the winner wrote.
    pub(super) fn bind(
        self,
        store: &dyn Store,
        dialect: Option<&str>,
        origin: &Origin,
    ) -> Result<Self, RepositoryError> {
        let file = IdentityFile {
            system_identifier: self.system_identifier.to_string(),
            segment_size: self.segment_size.bytes(),
            dialect: dialect.map(str::to_owned),
            bound_at: origin.now_text.clone(),
            bound_by: origin.node.clone(),
        };
        match publish_json(store, &Self::key(), &file)? {
            Published::New => Ok(self),
            Published::NameTaken => match Self::read(store)? {
                Some(winner) => Ok(winner),
                None => Err(RepositoryError::damaged_state(store, &Self::key(), "it comes and goes")),
            },
        }
    }
}

/// Reads a state file; `None` where there is none.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(
    store: &dyn Store,
    key: &Key,
) -> Result<Option<T>, RepositoryError> {
    let Some(bytes) = read_small(store, key)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| RepositoryError::damaged_state(store, key, &error.to_string()))
}

/// Publishes a state file unless it is there, durably.
pub(super) fn publish_json<T: Serialize>(
    store: &dyn Store,
    key: &Key,
    value: &T,
) -> Result<Published, RepositoryError> {
    let mut staged = store.stage("state")?;
    let failed = |error: std::io::Error| RepositoryError::writing(store, key, error);
    serde_json::to_writer_pretty(&mut *staged, value).map_err(|error| failed(error.into()))?;
    staged.write_all(b"\n").map_err(failed)?;
    staged.sync()?;
    let published = staged.publish(key)?;
    store.settle(key)?;
    Ok(published)
}

/// Replaces a state file, durably; never by more than can be read again.
pub(super) fn replace_json<T: Serialize>(
    store: &dyn Store,
    key: &Key,
    value: &T,
) -> Result<(), RepositoryError> {
    let failed = |error: std::io::Error| RepositoryError::writing(store, key, error);
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    if bytes.len() as u64 > MOST_SMALL_BYTES {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(store.replace_state(key, &bytes)?)
}
