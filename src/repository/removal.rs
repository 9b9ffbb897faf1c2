//! Removal: takes stored files away, one by one, in a turn that nobody else has. A hold is added in the same turn,
//! so that none is ever promised what is going.

use std::io;

use super::layout::{Form, parse_stored, sidecar_key, state_key, stored_key};
use super::stamp::Stamp;
use super::{Repository, RepositoryError};
use crate::storage::{Key, StoreError, StoreLock};
use crate::wal::WalFileName;

impl Repository<'_> {
    /// As [`Repository::lock_removal`], without waiting: `None` where somebody removes WAL, or adds a hold.
    ///
    /// # Errors
    /// When the lock cannot be had, or nobody can tell.
    pub fn try_lock_removal(&self) -> Result<Option<Box<dyn StoreLock>>, RepositoryError> {
        Ok(self.store.try_lock(&state_key("lock"))?)
    }

    /// Removes a stored file in one of its forms; `false` where it is gone already. Not durable before
    /// [`Repository::settle_removal`].
    ///
    /// # Errors
    /// When it stays.
    pub fn remove_stored(
        &self,
        name: WalFileName,
        form: Form,
        _turn: &dyn StoreLock,
    ) -> Result<bool, RepositoryError> {
        self.remove_key(&stored_key(name, form))
    }

    /// Removes the digest of a plain file; `false` where it is gone already.
    ///
    /// # Errors
    /// When it stays.
    pub fn remove_sidecar(&self, name: WalFileName, _turn: &dyn StoreLock) -> Result<bool, RepositoryError> {
        self.remove_key(&sidecar_key(name))
    }

    fn remove_key(&self, key: &Key) -> Result<bool, RepositoryError> {
        match self.store.remove(key) {
            Err(StoreError::Path(error)) if error.io().kind() == io::ErrorKind::NotFound => Ok(false),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// Makes what was removed durable, all at once. A crash before it may bring files back, never in another
    /// order than that of a file system's journal, and the next run removes them again: to sync after each file
    /// would protect nothing and cost a disk's turn for each.
    ///
    /// # Errors
    /// When what was removed may come back.
    pub fn settle_removal(&self) -> Result<(), RepositoryError> {
        // Every WAL file lies in the folder that this key lies in.
        let any = sidecar_key(WalFileName::TimelineHistory(crate::wal::Timeline::FIRST));
        Ok(self.store.settle(&any)?)
    }

    /// Forgets the stamps of files that are gone. They are looked for where they lie, and not one by one for each
    /// file: most files of other tools have none. Best effort.
    pub fn forget_stamps(&self, is_gone: impl Fn(WalFileName) -> bool) {
        let mut gone = Vec::new();
        let mut see = |name: &str, is_object: bool| {
            let stamped = name.strip_suffix(".json").and_then(parse_stored);
            gone.extend(stamped.map(|(name, _)| name).filter(|name| is_object && is_gone(*name)));
        };
        if self.store.for_each_listed(".walkeep/stamps", &mut see).is_ok() {
            gone.into_iter().for_each(|name| Stamp::forget(self.store, name));
        }
    }
}
