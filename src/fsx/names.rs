use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, open, statat, unlinkat};
use rustix::io::Errno;

use super::{AtPath, PathError};

/// What a name in a directory stands for. A link is not followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A directory, pipe, socket or device.
    Other,
}

/// How much of a directory is asked for at a time, in bytes: a hundred system calls for a million names.
const BUFFER_BYTES: usize = 1 << 20;

/// Shows every name in a directory, without `.` and `..`, in no order, as bytes. A million names are read about as
/// fast as the system gives them: nothing is allocated for a name, and none is looked at by itself where the
/// directory tells what it stands for.
///
/// # Errors
/// When the directory cannot be read to its end.
pub fn for_each_name(dir: &Path, see: impl FnMut(&[u8], NameKind)) -> Result<(), PathError> {
    Folder::open(dir)?.for_each_name(see)
}

/// A directory held open: what is removed goes from the one that was read, whatever becomes of its path.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a directory.
    ///
    /// # Errors
    /// When there is none that may be read.
    pub fn open(dir: &Path) -> Result<Self, PathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = open(dir, flags, Mode::empty()).at("open", dir)?;
        Ok(Self { descriptor, path: dir.to_owned() })
    }

    /// Shows every name in it, as [`for_each_name`] does.
    ///
    /// # Errors
    /// When the directory cannot be read to its end.
    pub fn for_each_name(&self, mut see: impl FnMut(&[u8], NameKind)) -> Result<(), PathError> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let mut entries = RawDir::new(&self.descriptor, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.at("list", &self.path)?;
            let name = entry.file_name();
            let told = match entry.file_type() {
                FileType::Unknown => match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error).at("look into", &self.path),
                },
                told => told,
            };
            match (name.to_bytes(), told) {
                (b"." | b"..", _) => {}
                (name, FileType::RegularFile) => see(name, NameKind::File),
                (name, FileType::Symlink) => see(name, NameKind::Link),
                (name, _) => see(name, NameKind::Other),
            }
        }
        Ok(())
    }

    /// Takes one of its names away; a directory's name stays. Not durable by itself, as [`super::remove`].
    ///
    /// # Errors
    /// When the name cannot be removed.
    pub fn remove(&self, name: &OsStr) -> Result<(), PathError> {
        unlinkat(&self.descriptor, name, AtFlags::empty()).at("remove", &self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir};

    #[test]
    fn every_name_is_shown_once_with_what_it_stands_for() {
        let dir = tempfile::tempdir().unwrap();
        create_dir(dir.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        for number in 0..3000 {
            File::create(dir.path().join(format!("{number:0200}"))).unwrap();
        }
        let (mut files, mut others) = (Vec::new(), Vec::new());
        let sort = |name: &[u8], kind| match kind {
            NameKind::File => files.push(name.to_owned()),
            kind => others.push((name.to_owned(), kind)),
        };
        for_each_name(dir.path(), sort).unwrap();
        files.sort();
        files.dedup();
        others.sort_by_key(|(name, _)| name.clone());
        assert_eq!(files.len(), 3000);
        assert_eq!(others, [(b"folder".to_vec(), NameKind::Other), (b"link".to_vec(), NameKind::Link)]);
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone");
        let error = for_each_name(&path, |_, _| {}).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot open '{}'", path.display()));
    }

    #[test]
    fn what_is_removed_goes_from_the_directory_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        for folder in [&first, &second] {
            create_dir(folder).unwrap();
            create_dir(folder.join("folder")).unwrap();
            File::create(folder.join("file")).unwrap();
        }
        let folder = Folder::open(&first).unwrap();
        let moved = dir.path().join("moved");
        assert!(
            std::process::Command::new("mv").arg("-T").args([&first, &moved]).status().unwrap().success()
        );
        std::os::unix::fs::symlink(&second, &first).unwrap();
        folder.remove("file".as_ref()).unwrap();
        assert!(!moved.join("file").exists() && second.join("file").exists());
        let error = folder.remove("folder".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot remove '{}'", first.join("folder").display()));
        assert!(moved.join("folder").exists());
    }
}
