//! Bytes under keys: what a repository stands on. A store creates objects that nobody sees before they are
//! whole and durable, never replaces one (but for small state), and knows no WAL.

mod directory;
mod memory;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

pub use directory::DirectoryStore;
pub use memory::MemoryStore;

use crate::fsx::PathError;
pub use crate::fsx::{Ownership, Published, RoundTrip};

/// The name of an object: path components of a store, joined by '/'. Never absolute, never with `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(String);

impl Key {
    /// `None` for a text that is no relative path of plain components.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        text.split('/').all(plain).then(|| Self(text.to_owned()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store tells of an object without reading it. Equal stats mean an untouched object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectStat {
    /// Length in bytes.
    pub size_bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// Number of the object in its store; another object under the same key has another.
    pub inode: u64,
    /// When anything about it last changed, in nanoseconds.
    pub changed_ns: i128,
}

impl ObjectStat {
    /// Whether two looks were at one object, and its bytes were not written in between. It may have been given a
    /// key.
    #[must_use]
    pub fn has_bytes_of(&self, earlier: &Self) -> bool {
        let bytes = |stat: &Self| (stat.inode, stat.size_bytes, stat.modified);
        bytes(self) == bytes(earlier)
    }

    /// Whether anything about it changed within so long a time of now: before it, or after it where the store's clock is
    /// ahead of ours.
    #[must_use]
    pub fn changed_within(&self, time: Duration) -> bool {
        let since_epoch = u64::try_from(self.changed_ns).map(Duration::from_nanos).ok();
        let changed = since_epoch.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        let apart = |changed: SystemTime| changed.elapsed().unwrap_or_else(|ahead| ahead.duration());
        changed.is_some_and(|changed| apart(changed) < time)
    }
}

/// An object in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The name within the listed folder; lossy where it is no UTF-8.
    pub name: String,
    /// Whether it is a plain object, not a folder, link or anything else.
    pub is_object: bool,
}

/// What a store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What lies under the key is a link, a folder or a device.
    #[error("'{0}' is not a regular file")]
    NotAnObject(String),
}

impl StoreError {
    /// What the operating system answered, where it was asked.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Path(error) => Some(error.io()),
            Self::NotAnObject(_) => None,
        }
    }
}

/// An open object: its bytes and what was known of it when it was opened.
pub struct OpenObject {
    /// The bytes, from the beginning.
    pub bytes: Box<dyn Read + Send>,
    /// What the store tells of it.
    pub stat: ObjectStat,
}

/// An object in the making. Dropped unpublished, it never was.
pub trait StagedObject: Write + Send {
    /// Writes over bytes that were written before, at an offset from the beginning.
    ///
    /// # Errors
    /// When they cannot be written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Makes the bytes durable; has to come before publication.
    ///
    /// # Errors
    /// When they may not be durable: the object must then be dropped.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// What the store tells of it before it has a key; publication changes none of it but `changed_ns`. `None` where
    /// that cannot be told.
    fn stat(&self) -> Option<ObjectStat>;

    /// Gives it its key unless that is taken, without making the key durable: [`Store::settle`] does.
    ///
    /// # Errors
    /// When the key cannot be given.
    fn publish(self: Box<Self>, key: &Key) -> Result<Published, StoreError>;
}

/// A lock of a store, held until dropped.
pub trait StoreLock: Send {}

/// Bytes under keys.
pub trait Store: Send + Sync {
    /// What people call the store: a directory's path.
    fn location(&self) -> String;

    /// The name of an object as people would look it up.
    fn locate(&self, key: &Key) -> String;

    /// Whether the store is there at all.
    ///
    /// # Errors
    /// When that cannot be told.
    fn exists(&self) -> Result<bool, StoreError>;

    /// As the superuser: the other user whom the store belongs to.
    ///
    /// # Errors
    /// When that cannot be told.
    fn foreign_owner(&self) -> Result<Option<String>, StoreError>;

    /// Makes the store's own folders.
    ///
    /// # Errors
    /// When they cannot be made.
    fn prepare(&self) -> Result<(), StoreError>;

    /// Begins an object; `stem` appears in its staging name.
    ///
    /// # Errors
    /// When nothing can be created.
    fn stage(&self, stem: &str) -> Result<Box<dyn StagedObject>, StoreError>;

    /// What is known of the object that was begun with this stem and has no key yet, by whomever: of several, of the one
    /// that changed last; of one whose maker was killed as well, until it is swept. `None` where there is none.
    ///
    /// # Errors
    /// When staging cannot be listed.
    fn staged(&self, stem: &str) -> Result<Option<ObjectStat>, StoreError>;

    /// Makes the keys that were published into the folder of this one durable.
    ///
    /// # Errors
    /// When they may not be durable: what was published must not be acknowledged.
    fn settle(&self, key: &Key) -> Result<(), StoreError>;

    /// What is known of an object; `None` where there is none.
    ///
    /// # Errors
    /// When that cannot be told, or the key holds something other than an object.
    fn stat(&self, key: &Key) -> Result<Option<ObjectStat>, StoreError>;

    /// Opens an object; `None` where there is none.
    ///
    /// # Errors
    /// As [`Store::stat`].
    fn open(&self, key: &Key) -> Result<Option<OpenObject>, StoreError>;

    /// Makes an object that is there already durable, key and all, and opens it as the medium has it.
    ///
    /// # Errors
    /// When it is not there, or may not be durable.
    fn confirm(&self, key: &Key) -> Result<OpenObject, StoreError>;

    /// What lies in a folder ("" is the top), in no order.
    ///
    /// # Errors
    /// When it cannot be listed; a folder that is not there lists as empty.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError>;

    /// Shows what lies in a folder, name by name, without keeping any: a million names cost no memory.
    ///
    /// # Errors
    /// As [`Store::list`].
    fn for_each_listed(&self, folder: &str, see: &mut dyn FnMut(&str, bool)) -> Result<(), StoreError> {
        for listed in self.list(folder)? {
            see(&listed.name, listed.is_object);
        }
        Ok(())
    }

    /// Shows what lies in a folder one after the other, in no order, with what is known of each plain object, so
    /// that nothing has to be kept of a million of them. What goes meanwhile may be left out.
    ///
    /// # Errors
    /// As [`Store::list`].
    fn for_each(
        &self,
        folder: &str,
        see: &mut dyn FnMut(&str, Option<&ObjectStat>),
    ) -> Result<(), StoreError>;

    /// Replaces small state atomically and durably. Never for WAL.
    ///
    /// # Errors
    /// When the old state may still stand.
    fn replace_state(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Writes what may be lost without harm.
    ///
    /// # Errors
    /// When it is lost already.
    fn write_advisory(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Gives an object another key unless that is taken; durable.
    ///
    /// # Errors
    /// When the object is not there, or may stand under either key.
    fn relocate(&self, from: &Key, to: &Key) -> Result<Published, StoreError>;

    /// Removes an object.
    ///
    /// # Errors
    /// When it is not there or stays.
    fn remove(&self, key: &Key) -> Result<(), StoreError>;

    /// Waits for the lock of this name, in a folder that is made where it is not there.
    ///
    /// # Errors
    /// When it cannot be had.
    fn lock(&self, key: &Key) -> Result<Box<dyn StoreLock>, StoreError>;

    /// Takes the lock of this name unless somebody holds it: then `None`.
    ///
    /// # Errors
    /// When the lock cannot be had, or nobody can tell.
    fn try_lock(&self, key: &Key) -> Result<Option<Box<dyn StoreLock>>, StoreError>;

    /// Whether this user may store in it, as far as that can be told without writing.
    ///
    /// # Errors
    /// When he may not, or it cannot be told.
    fn check_writable(&self) -> Result<(), StoreError>;

    /// Whether it lies on the file system of a path.
    ///
    /// # Errors
    /// When that cannot be told.
    fn shares_file_system_with(&self, path: &Path) -> Result<bool, StoreError>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// When that cannot be told.
    fn free_bytes(&self) -> Result<u64, StoreError>;

    /// Whom it belongs to; `None` for a store without owners.
    ///
    /// # Errors
    /// When that cannot be told.
    fn ownership(&self) -> Result<Option<Ownership>, StoreError>;

    /// Takes bytes into staging and back, and takes them away again: nothing stays.
    ///
    /// # Errors
    /// When a step fails, or other bytes come back.
    fn round_trip(&self, bytes: &[u8]) -> Result<RoundTrip, StoreError>;

    /// Takes away what killed writers left in staging; returns how many.
    ///
    /// # Errors
    /// When staging cannot be listed.
    fn sweep(&self) -> Result<u64, StoreError>;
}

/// Longest small object that is read, in bytes.
pub const MOST_SMALL_BYTES: u64 = 16 << 20;

/// How much more than its length is asked of a small object, in bytes.
const ROOM_BYTES: usize = 64;

/// Reads a whole small object; `None` where there is none.
///
/// # Errors
/// When it cannot be read, or is larger than small state ever is.
pub fn read_small(store: &dyn Store, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(object) = store.open(key)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let failed = |error| StoreError::Path(PathError::new("read", store.locate(key).as_ref(), error));
    let expected = usize::try_from(object.stat.size_bytes.min(MOST_SMALL_BYTES)).unwrap_or_default();
    // With room behind the end, one read takes all and another finds the end.
    bytes.reserve_exact(expected + ROOM_BYTES);
    object.bytes.take(MOST_SMALL_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_SMALL_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any file of this kind")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod contract;
