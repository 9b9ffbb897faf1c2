use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use walkdir::WalkDir;

use super::{
    Key, Listed, ObjectStat, OpenObject, Ownership, Published, RoundTrip, StagedObject, Store, StoreError,
    StoreLock,
};
use crate::fsx::{self, AtPath, LockGuard, Modes, NameKind, PathError, Staged};

/// A store in a directory: keys are paths below it, staging is `.walkeep/staging`.
#[derive(Debug)]
pub struct DirectoryStore {
    root: PathBuf,
}

impl DirectoryStore {
    /// Names the directory; nothing is looked at yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn staging(&self) -> PathBuf {
        self.root.join(".walkeep/staging")
    }

    /// What fits beside the repository directory's own mode.
    fn modes(&self) -> Result<Modes, StoreError> {
        let mode = fs::metadata(&self.root).at("look at", &self.root)?.mode();
        Ok(Modes::beside(mode))
    }

    /// Opens for reading without following a link and without waiting for a pipe's other end.
    fn open_file(path: &Path) -> Result<Option<(File, ObjectStat)>, StoreError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(StoreError::NotAnObject(path.display().to_string()));
            }
            other => other.at("open", path)?,
        };
        let stat = Self::described(path, &file.metadata().at("look at", path)?)?;
        Ok(Some((file, stat)))
    }

    fn described(path: &Path, metadata: &fs::Metadata) -> Result<ObjectStat, StoreError> {
        if !metadata.is_file() {
            return Err(StoreError::NotAnObject(path.display().to_string()));
        }
        Ok(ObjectStat {
            size_bytes: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            inode: metadata.ino(),
            changed_ns: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        })
    }

    /// Opens a lock, and only where its folder is missing makes that first.
    fn in_folder<T>(
        &self,
        key: &Key,
        open: impl Fn(&Path, Modes) -> Result<T, PathError>,
    ) -> Result<T, StoreError> {
        let modes = self.modes()?;
        match open(&self.path(key), modes) {
            Err(error) if error.io().kind() == io::ErrorKind::NotFound => {
                Ok(open(&self.path_in_folder(key)?, modes)?)
            }
            other => Ok(other?),
        }
    }

    /// Walks through a folder's own entries; the top has to be there.
    fn walk(&self, folder: &str, mut see: impl FnMut(&walkdir::DirEntry)) -> Result<(), StoreError> {
        let dir = self.root.join(folder);
        for entry in WalkDir::new(&dir).min_depth(1).max_depth(1).follow_root_links(true) {
            match entry {
                Ok(entry) => see(&entry),
                Err(error) => match error.into_io_error() {
                    Some(gone) if gone.kind() == io::ErrorKind::NotFound && !folder.is_empty() => {}
                    gone => {
                        let error = gone.unwrap_or_else(|| io::Error::other("a loop of links"));
                        return Err(PathError::new("list", &dir, error).into());
                    }
                },
            }
        }
        Ok(())
    }

    /// The path of a key, below folders that exist.
    fn path_in_folder(&self, key: &Key) -> Result<PathBuf, StoreError> {
        let path = self.path(key);
        if let Some(folder) = path.parent().filter(|folder| *folder != self.root) {
            fsx::create_dir(folder, self.modes()?)?;
        }
        Ok(path)
    }
}

struct StagedFile {
    staged: Staged,
    root: PathBuf,
    /// How many bytes were written, and how many of them the disk was told to begin with.
    written: u64,
    begun: u64,
}

impl StagedFile {
    /// How much is written before the disk is told, in bytes: less than a packed segment, and enough for one large transfer.
    const WRITE_BACK_BYTES: u64 = 1 << 20;

    fn begin_write_back(&mut self) {
        if let Some(length) =
            NonZeroU64::new(self.written - self.begun).filter(|n| n.get() >= Self::WRITE_BACK_BYTES)
        {
            self.staged.begin_write_back(self.begun, length);
            self.begun = self.written;
        }
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.staged.file().write(bytes)?;
        self.written += written as u64;
        self.begin_write_back();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StagedObject for StagedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.staged.file().write_all_at(bytes, offset);
        Ok(written.at("write", self.staged.path())?)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(self.staged.sync()?)
    }

    fn stat(&self) -> Option<ObjectStat> {
        DirectoryStore::described(self.staged.path(), &self.staged.metadata().ok()?).ok()
    }

    fn publish(self: Box<Self>, key: &Key) -> Result<Published, StoreError> {
        Ok(self.staged.give_name(&self.root.join(key.as_str()))?)
    }
}

impl StoreLock for LockGuard {}

impl Store for DirectoryStore {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn locate(&self, key: &Key) -> String {
        self.path(key).display().to_string()
    }

    fn exists(&self) -> Result<bool, StoreError> {
        match fs::metadata(&self.root) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PathError::new("look at", &self.root, error).into()),
        }
    }

    fn foreign_owner(&self) -> Result<Option<String>, StoreError> {
        Ok(fsx::foreign_owner(&self.root)?)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let modes = if self.exists()? { self.modes()? } else { Modes::Owner };
        fsx::create_dir_all(&self.root, modes)?;
        for folder in [".walkeep", ".walkeep/staging", ".walkeep/stamps"] {
            fsx::create_dir_all(&self.root.join(folder), modes)?;
        }
        Ok(())
    }

    fn stage(&self, stem: &str) -> Result<Box<dyn StagedObject>, StoreError> {
        let modes = self.modes()?;
        let staged = match Staged::create(&self.staging(), stem, modes) {
            // A copy of the repository may have left the empty folder out.
            Err(error) if error.io().kind() == io::ErrorKind::NotFound => {
                fsx::create_dir(&self.staging(), modes)?;
                Staged::create(&self.staging(), stem, modes)?
            }
            other => other?,
        };
        Ok(Box::new(StagedFile { staged, root: self.root.clone(), written: 0, begun: 0 }))
    }

    fn staged(&self, stem: &str) -> Result<Option<ObjectStat>, StoreError> {
        let staged = fsx::staged(&self.staging(), stem)?;
        // One that has gone meanwhile, or is no file, is nobody's.
        let stats =
            staged.iter().filter_map(|path| Self::described(path, &fs::symlink_metadata(path).ok()?).ok());
        Ok(stats.max_by_key(|stat| stat.changed_ns))
    }

    fn settle(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        Ok(fsx::sync_dir(path.parent().unwrap_or(&self.root))?)
    }

    fn stat(&self, key: &Key) -> Result<Option<ObjectStat>, StoreError> {
        let path = self.path(key);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => Self::described(&path, &other.at("look at", &path)?).map(Some),
        }
    }

    fn open(&self, key: &Key) -> Result<Option<OpenObject>, StoreError> {
        let opened = Self::open_file(&self.path(key))?;
        Ok(opened.map(|(file, stat)| OpenObject { bytes: Box::new(file), stat }))
    }

    fn confirm(&self, key: &Key) -> Result<OpenObject, StoreError> {
        let path = self.path(key);
        let file = fsx::confirm(&path)?;
        let stat = Self::described(&path, &file.metadata().at("look at", &path)?)?;
        Ok(OpenObject { bytes: Box::new(file), stat })
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        self.walk(folder, |entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            listed.push(Listed { name, is_object: entry.file_type().is_file() });
        })?;
        Ok(listed)
    }

    fn for_each_listed(&self, folder: &str, see: &mut dyn FnMut(&str, bool)) -> Result<(), StoreError> {
        let dir = self.root.join(folder);
        let shown = |name: &[u8], kind| see(&String::from_utf8_lossy(name), kind == NameKind::File);
        match fsx::for_each_name(&dir, shown) {
            Err(error) if error.io().kind() == io::ErrorKind::NotFound && !folder.is_empty() => Ok(()),
            other => Ok(other?),
        }
    }

    fn for_each(
        &self,
        folder: &str,
        see: &mut dyn FnMut(&str, Option<&ObjectStat>),
    ) -> Result<(), StoreError> {
        let mut failed = None;
        self.walk(folder, |entry| {
            let name = entry.file_name().to_string_lossy();
            if !entry.file_type().is_file() {
                return see(&name, None);
            }
            match fs::symlink_metadata(entry.path()) {
                Ok(metadata) => see(&name, Self::described(entry.path(), &metadata).ok().as_ref()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    failed.get_or_insert_with(|| PathError::new("look at", entry.path(), error));
                }
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn replace_state(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path_in_folder(key)?;
        Ok(fsx::replace_state(&self.staging(), &path, bytes, self.modes()?)?)
    }

    fn write_advisory(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path_in_folder(key)?;
        Ok(fsx::write_advisory(&self.staging(), &path, bytes, self.modes()?)?)
    }

    fn relocate(&self, from: &Key, to: &Key) -> Result<Published, StoreError> {
        Ok(fsx::move_new(&self.path(from), &self.path_in_folder(to)?)?)
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        Ok(fsx::remove(&self.path(key))?)
    }

    fn lock(&self, key: &Key) -> Result<Box<dyn StoreLock>, StoreError> {
        Ok(Box::new(self.in_folder(key, fsx::lock_exclusive)?))
    }

    fn try_lock(&self, key: &Key) -> Result<Option<Box<dyn StoreLock>>, StoreError> {
        let guard = self.in_folder(key, fsx::try_lock_exclusive)?;
        Ok(guard.map(|guard| Box::new(guard) as Box<dyn StoreLock>))
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        for folder in [self.root.clone(), self.staging()] {
            let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            rustix::fs::access(&folder, access).at("write into", &folder)?;
        }
        Ok(())
    }

    fn shares_file_system_with(&self, path: &Path) -> Result<bool, StoreError> {
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).at("look at", path);
        Ok(device(&self.root)? == device(path)?)
    }

    fn free_bytes(&self) -> Result<u64, StoreError> {
        Ok(fsx::free_bytes(&self.root)?)
    }

    fn ownership(&self) -> Result<Option<Ownership>, StoreError> {
        Ok(Some(fsx::ownership(&self.root)?))
    }

    fn round_trip(&self, bytes: &[u8]) -> Result<RoundTrip, StoreError> {
        Ok(fsx::round_trip(&self.staging(), self.modes()?, bytes)?)
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(fsx::sweep(&self.staging())?)
    }
}
