//! Stamps: what was known of a source and its stored file when the one was last proven to be in the other.
//! They are advisory: one that is lost or stale costs a comparison of contents, nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::layout::{Form, sidecar_key, sidecar_line, stamp_key, stored_key};
use super::{Digest, Identity, Origin, RepositoryError};
use crate::storage::{ObjectStat, Store, read_small};
use crate::wal::WalFileName;

/// What the file system tells of a source file. Equal stamps mean an untouched file, unless it was written
/// again within the grain of its clock, which is why a source counts only once it has rested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Length in bytes.
    pub size: u64,
    /// Device number.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Time of last writing, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of last change of anything, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

/// What a stamp says of the stored file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct StoredStamp {
    name: String,
    size: u64,
    inode: u64,
    changed_ns: i128,
}

/// What `.walkeep/stamps/NAME.json` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Who stored the file; absent where another tool did.
    pub(super) stored_by: Option<String>,
    machine_id: String,
    system_identifier: String,
    /// Digest of the WAL file.
    sha256: String,
    /// Absent where the source had not rested yet: the stamp then only tells who stored the file.
    source: Option<SourceStamp>,
    stored: StoredStamp,
}

impl Stamp {
    /// How long before now a source must have been written last for its stamp to vouch for its bytes.
    const RESTED: Duration = Duration::from_secs(2);

    /// The stamp of a stored file; `None` where there is none that can be read.
    pub(super) fn read(store: &dyn Store, name: WalFileName) -> Option<Self> {
        let bytes = read_small(store, &stamp_key(name)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers that the source's bytes are in the stored file, durably, and who stored it: this node where it
    /// is `new`, else whoever was remembered. Best effort.
    pub(super) fn write(
        store: &dyn Store,
        name: WalFileName,
        at: Stored,
        new: bool,
        source: SourceStamp,
        identity: Identity,
        origin: &Origin,
    ) {
        let key = stored_key(name, at.form);
        let Ok(Some(stored)) = store.stat(&key) else { return };
        let stored = StoredStamp::of(key.as_str(), &stored);
        let remembered = || Self::read(store, name).filter(|stamp| stamp.stored == stored)?.stored_by;
        let now_ns = origin.now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let rested_ns = now_ns.saturating_sub(Self::RESTED).as_nanos();
        let stamp = Self {
            stored_by: if new { Some(origin.node.clone()) } else { remembered() },
            machine_id: origin.machine_id.clone(),
            system_identifier: identity.system_identifier.to_string(),
            sha256: at.digest.to_string(),
            source: Some(source).filter(|source| i128::from(source.mtime_ns) <= rested_ns.cast_signed()),
            stored,
        };
        if let Ok(bytes) = serde_json::to_vec(&stamp) {
            let _ = store.write_advisory(&stamp_key(name), &bytes);
        }
    }

    /// Forgets the stamp of a file that is no longer stored under its name. Best effort.
    pub(super) fn forget(store: &dyn Store, name: WalFileName) {
        let _ = store.remove(&stamp_key(name));
    }

    /// Whether the source is the very file, untouched, whose bytes were proven to be in a stored file that is
    /// untouched as well; and if so, in which form that lies.
    pub(super) fn vouches(
        store: &dyn Store,
        name: WalFileName,
        source: &SourceStamp,
        identity: Identity,
        machine_id: &str,
    ) -> Result<Option<Form>, RepositoryError> {
        let Some(stamp) = Self::read(store, name) else { return Ok(None) };
        let same_source = stamp.source.as_ref() == Some(source)
            && !machine_id.is_empty()
            && stamp.machine_id == machine_id
            && stamp.system_identifier == identity.system_identifier.to_string();
        if !same_source {
            return Ok(None);
        }
        let named = Form::ALL.into_iter().find(|form| stored_key(name, *form).as_str() == stamp.stored.name);
        let Some(form) = named else { return Ok(None) };
        let key = stored_key(name, form);
        let untouched =
            store.stat(&key)?.is_some_and(|stat| StoredStamp::of(key.as_str(), &stat) == stamp.stored);
        Ok((untouched && (form != Form::Plain || stamp.agrees_with_sidecar(store, name)?)).then_some(form))
    }

    fn agrees_with_sidecar(&self, store: &dyn Store, name: WalFileName) -> Result<bool, RepositoryError> {
        let Ok(digest) = self.sha256.parse() else { return Ok(false) };
        let line = read_small(store, &sidecar_key(name))?;
        Ok(line.as_deref() == Some(sidecar_line(name, digest).as_bytes()))
    }
}

/// Where a WAL file's bytes were proven to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub(super) form: Form,
    pub(super) digest: Digest,
}

impl StoredStamp {
    fn of(name: &str, stat: &ObjectStat) -> Self {
        Self { name: name.to_owned(), size: stat.size_bytes, inode: stat.inode, changed_ns: stat.changed_ns }
    }
}
