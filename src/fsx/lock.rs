use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{AtPath, Modes, PathError};

/// A lock on a file, held until it is dropped. The lock file itself is never unlinked.
#[must_use = "the lock is gone when the guard is dropped"]
#[derive(Debug)]
pub struct LockGuard {
    _file: File,
}

/// Waits for the lock on a file, which is made where it does not exist.
///
/// # Errors
/// When the file cannot be made, opened or locked.
pub fn lock_exclusive(path: &Path, modes: Modes) -> Result<LockGuard, PathError> {
    let file = open(path, modes)?;
    fs2::FileExt::lock_exclusive(&file).at("lock", path)?;
    Ok(LockGuard { _file: file })
}

/// Takes the lock on a file, which is made where it does not exist, unless somebody holds it: then `None`.
///
/// # Errors
/// When the file cannot be made, opened or locked.
pub fn try_lock_exclusive(path: &Path, modes: Modes) -> Result<Option<LockGuard>, PathError> {
    let file = open(path, modes)?;
    match fs2::FileExt::try_lock_exclusive(&file) {
        Ok(()) => Ok(Some(LockGuard { _file: file })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(PathError::new("lock", path, error)),
    }
}

fn open(path: &Path, modes: Modes) -> Result<File, PathError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(modes.file())
        .custom_flags(no_follow())
        .open(path)
        .at("open the lock file", path)
}

/// Takes the lock where nobody holds it.
pub(super) fn try_lock(file: &File) -> TryLock {
    match fs2::FileExt::try_lock_exclusive(file) {
        Ok(()) => TryLock::Taken,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => TryLock::Busy,
        Err(_) => TryLock::Unsupported,
    }
}

/// What came of an attempt to lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TryLock {
    /// The lock is ours until the file is closed.
    Taken,
    /// Somebody holds it.
    Busy,
    /// This file system has no locks.
    Unsupported,
}

/// The open flag that does not wait for the other end of a pipe.
pub(super) fn no_wait() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0)
}

/// The open flag that refuses a symbolic link as the last part of a path.
pub(super) fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}
