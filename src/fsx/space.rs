use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{AtPath, PathError};

/// The bytes that this user may still write to the file system of a directory.
///
/// # Errors
/// When the file system cannot be asked.
pub fn free_bytes(dir: &Path) -> Result<u64, PathError> {
    fs2::available_space(dir).at("read the free space of", dir)
}

/// The same where it can be told: some file systems count no blocks.
#[must_use]
pub fn free_bytes_if_counted(dir: &Path) -> Option<u64> {
    let counts = fs2::statvfs(dir).ok().filter(|counts| counts.total_space() > 0)?;
    Some(counts.available_space())
}

/// Whether two directories lie on one file system, so that what fills one fills the other. Two file systems may
/// still share a disk.
///
/// # Errors
/// When a directory cannot be looked at.
pub fn is_same_file_system(one: &Path, other: &Path) -> Result<bool, PathError> {
    let device = |dir| fs::metadata(dir).at("look at", dir).map(|metadata| metadata.dev());
    Ok(device(one)? == device(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn directories_of_one_file_system_are_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let (below, link) = (dir.path().join("below"), dir.path().join("link"));
        fs::create_dir(&below).unwrap();
        symlink("/proc", &link).unwrap();
        assert!(is_same_file_system(dir.path(), &below).unwrap());
        assert!(!is_same_file_system(dir.path(), &link).unwrap(), "where it leads to");
        assert!(is_same_file_system(dir.path(), &dir.path().join("gone")).is_err());
    }
}
