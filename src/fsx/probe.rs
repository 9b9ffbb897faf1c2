#![allow(clippy::disallowed_methods, reason = "this is the one place that may link and unlink")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::durable::{is_tolerated_for_directories, staged_name};
use super::lock::{TryLock, try_lock};
use super::{AtPath, Modes, PathError, Published, Staged, confirm};

/// What a file system did for a file that was written and taken away again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundTrip {
    /// Whether it has hard links.
    pub hard_links: bool,
    /// Whether it has locks.
    pub locks: bool,
    /// Whether it syncs a directory.
    pub directory_sync: bool,
}

/// Takes bytes through a staging directory as a file that is stored goes: staged, written, synced, named without
/// replacing, read back from the disk. Nothing stays; what a process that is killed leaves, [`super::sweep`] takes.
///
/// # Errors
/// When a step fails, or other bytes come back.
pub fn round_trip(staging: &Path, modes: Modes, bytes: &[u8]) -> Result<RoundTrip, PathError> {
    let mut staged = Staged::create(staging, STEM, modes)?;
    let path = staged.path().to_owned();
    staged.file().write_all(bytes).at("write", &path)?;
    staged.sync()?;
    let hard_links = has_hard_links(&path, staging)?;
    let locks = has_locks(&path)?;
    // The name that a sweeper knows for what it is.
    let target = staging.join(staged_name(STEM));
    if staged.give_name(&target)? == Published::NameTaken {
        return Err(PathError::new("publish", &target, io::ErrorKind::AlreadyExists.into()));
    }
    let came_back = comes_back(&target, bytes);
    let removed = fs::remove_file(&target).at("remove", &target);
    came_back?;
    removed?;
    Ok(RoundTrip { hard_links, locks, directory_sync: syncs_directories(staging)? })
}

const STEM: &str = "round-trip";

fn comes_back(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let most = bytes.len() as u64 + 1;
    let mut read = Vec::new();
    confirm(path)?.take(most).read_to_end(&mut read).at("read", path)?;
    if read == bytes {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::InvalidData, "other bytes came back than were written");
    Err(PathError::new("read back", path, error))
}

fn has_hard_links(path: &Path, staging: &Path) -> Result<bool, PathError> {
    let link = staging.join(staged_name(STEM));
    match fs::hard_link(path, &link) {
        Ok(()) => fs::remove_file(&link).at("remove", &link).map(|()| true),
        Err(_) => Ok(false),
    }
}

/// The file is locked since it was staged, which a second descriptor has to see.
fn has_locks(path: &Path) -> Result<bool, PathError> {
    let again = File::open(path).at("open", path)?;
    Ok(try_lock(&again) == TryLock::Busy)
}

fn syncs_directories(dir: &Path) -> Result<bool, PathError> {
    match File::open(dir).at("open", dir)?.sync_all() {
        Ok(()) => Ok(true),
        Err(error) if is_tolerated_for_directories(&error) => Ok(false),
        Err(error) => Err(PathError::new("fsync directory", dir, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_round_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let found = round_trip(dir.path(), Modes::Owner, b"there and back").unwrap();
        assert_eq!(found, RoundTrip { hard_links: true, locks: true, directory_sync: true });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = round_trip(&dir.path().join("gone"), Modes::Owner, b"").unwrap_err();
        assert!(error.to_string().starts_with("cannot create '"), "{error}");
    }
}
