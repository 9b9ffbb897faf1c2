use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::lock::{no_follow, no_wait};
use super::{AtPath, Modes, PathError, create_dir};

/// Whether a directory is this user's alone: no link, of his own, and closed to everybody else. `None` where there is
/// nothing under that name.
///
/// # Errors
/// When it cannot be looked at.
pub fn is_private(dir: &Path) -> Result<Option<bool>, PathError> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => {
            let found = other.at("look at", dir)?;
            let is_own = found.uid() == rustix::process::geteuid().as_raw();
            Ok(Some(found.is_dir() && is_own && found.mode() & 0o077 == 0))
        }
    }
}

/// Makes a directory that is this user's alone, where there is none; `false` where what bears the name is not.
///
/// # Errors
/// When it can be neither made nor looked at.
pub fn make_private(dir: &Path) -> Result<bool, PathError> {
    if let Some(private) = is_private(dir)? {
        return Ok(private);
    }
    create_dir(dir, Modes::Owner)?;
    Ok(is_private(dir)? == Some(true))
}

/// What the file system tells of an open file that only its owner can reach: whether it is the one, untouched, that
/// was seen before. A new name leaves all of it as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glimpse {
    /// Length in bytes.
    pub size_bytes: u64,
    /// Inode.
    pub inode: u64,
    /// Device number.
    pub device: u64,
    /// Time of last writing, in nanoseconds since 1970.
    pub modified_ns: i128,
}

impl Glimpse {
    /// Opens a regular file of this user's own, without following a link; `None` for what is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn at(path: &Path) -> Result<Option<(File, Self)>, PathError> {
        let flags = no_follow() | no_wait();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).at("open", path)?;
        let found = file.metadata().at("look at", path)?;
        let is_own = found.is_file() && found.uid() == rustix::process::geteuid().as_raw();
        Ok(is_own.then(|| (file, Self::of(&found))))
    }

    /// What metadata tells.
    #[must_use]
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            inode: metadata.ino(),
            device: metadata.dev(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_directory_that_nobody_else_can_reach_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(is_private(&at("made")).unwrap(), None);
        assert!(make_private(&at("made")).unwrap() && make_private(&at("made")).unwrap());
        for mode in [0o750, 0o701, 0o1777] {
            fs::set_permissions(at("made"), fs::Permissions::from_mode(mode)).unwrap();
            assert!(!make_private(&at("made")).unwrap(), "{mode:o}");
        }
        fs::set_permissions(at("made"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink(at("made"), at("link")).unwrap();
        File::create(at("file")).unwrap();
        assert!(!make_private(&at("link")).unwrap() && !make_private(&at("file")).unwrap());
        assert!(make_private(&at("not/there")).is_err());
    }
}
