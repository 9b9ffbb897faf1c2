use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, open, statat};
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
pub fn for_each_name(dir: &Path, mut see: impl FnMut(&[u8], NameKind)) -> Result<(), PathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(dir, flags, Mode::empty()).at("open", dir)?;
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut entries = RawDir::new(&folder, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.at("list", dir)?;
        let name = entry.file_name();
        let told = match entry.file_type() {
            FileType::Unknown => match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error).at("look into", dir),
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
}
