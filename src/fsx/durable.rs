#![allow(clippy::disallowed_methods, reason = "this is the one place that may rename, link and unlink")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::lock::{TryLock, no_follow, no_wait, try_lock};
use super::{AtPath, PathError};

/// Who may read what is written: the owner alone, or the owner's group as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modes {
    /// 0600 and 0700.
    Owner,
    /// 0640 and 0750, where the directory above is group-readable.
    Group,
}

impl Modes {
    /// What fits beside a directory's own mode; `umask` has no say.
    #[must_use]
    pub fn beside(mode: u32) -> Self {
        if mode & 0o040 == 0 { Self::Owner } else { Self::Group }
    }

    pub(super) const fn file(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }

    const fn directory(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
        }
    }
}

/// What came of giving a name to a staged file.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// The name is ours, and durable.
    New,
    /// Something already bears the name; it was not touched.
    NameTaken,
}

/// A file that is being written under a name that nobody looks for. It goes when it is dropped unpublished;
/// what a killed process leaves is taken away by [`sweep`].
#[derive(Debug)]
pub struct Staged {
    file: File,
    path: PathBuf,
}

impl Staged {
    /// How often a staging name is tried anew after a sweeper took it in the moment before it was locked.
    const MOST_TRIES: u32 = 8;

    /// Creates a file of its own in the staging directory, exclusively, and locks it against sweepers.
    ///
    /// # Errors
    /// When no file can be created there.
    pub fn create(staging: &Path, stem: &str, modes: Modes) -> Result<Self, PathError> {
        for _ in 0..Self::MOST_TRIES {
            let path = staging.join(staged_name(stem));
            let created = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(modes.file())
                .custom_flags(no_follow())
                .open(&path);
            let file = match created {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.at("create", &path)?,
            };
            let staged = Self { file, path };
            if try_lock(&staged.file) != TryLock::Busy && staged.still_named() {
                let permissions = fs::Permissions::from_mode(modes.file());
                staged.file.set_permissions(permissions).at("set the mode of", &staged.path)?;
                return Ok(staged);
            }
        }
        let error = io::Error::new(io::ErrorKind::ResourceBusy, "other processes keep taking the names");
        Err(PathError::new("create a file in", staging, error))
    }

    /// The file, for writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// What the file system tells of it.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn metadata(&self) -> Result<fs::Metadata, PathError> {
        self.file.metadata().at("look at", &self.path)
    }

    /// Where it lies while it has no name of its own.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the disk begin with bytes that are written, so that less is left for [`Staged::sync`]. Only advice.
    pub fn begin_write_back(&self, offset: u64, length: NonZeroU64) {
        let _ = rustix::fs::fadvise(&self.file, offset, Some(length), rustix::fs::Advice::DontNeed);
    }

    /// Makes the bytes durable. To be called before publishing.
    ///
    /// # Errors
    /// When the operating system cannot promise it; the file must then never be published.
    pub fn sync(&self) -> Result<(), PathError> {
        self.file.sync_all().at("fsync", &self.path)
    }

    /// Gives the file its name, unless something already bears it, and makes the name durable.
    /// The bytes must have been synced.
    ///
    /// # Errors
    /// When the name cannot be given or made durable. The name may stand then: whoever comes next finds it,
    /// compares, and makes it durable.
    pub fn publish_new(self, target: &Path) -> Result<Published, PathError> {
        let published = self.give_name(target)?;
        if published == Published::New {
            sync_dir(parent(target))?;
        }
        Ok(published)
    }

    /// Gives the file its name without making it durable: for a pair that one directory fsync covers.
    ///
    /// # Errors
    /// As [`Staged::publish_new`].
    pub fn give_name(&self, target: &Path) -> Result<Published, PathError> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => Ok(Published::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Published::NameTaken),
            Err(error) if lacks_hard_links(&error) => rename_new(&self.path, target),
            Err(error) => Err(PathError::new("publish", target, error)),
        }
    }

    fn still_named(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(open), Ok(named)) => open.ino() == named.ino() && open.dev() == named.dev(),
            _ => false,
        }
    }
}

impl Drop for Staged {
    /// Best effort: a leftover has no name that anybody looks for, and is swept.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `link` failed because this file system has no hard links (some network and FUSE file systems).
fn lacks_hard_links(error: &io::Error) -> bool {
    let unsupported = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Renames unless the target exists.
fn rename_new(from: &Path, to: &Path) -> Result<Published, PathError> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Published::New),
        Err(Errno::EXIST) => Ok(Published::NameTaken),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(PathError::new(
            "publish",
            to,
            io::Error::new(
                io::ErrorKind::Unsupported,
                "this file system offers neither hard links nor a rename that does not replace",
            ),
        )),
        Err(error) => Err(PathError::new("publish", to, error.into())),
    }
}

/// Makes the names in a directory durable.
///
/// A file system whose directories cannot be synced answers EINVAL or EBADF; that is tolerated, as
/// PostgreSQL does (`fsync_fname_ext` in storage/file/fd.c). Any other failure is one.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> Result<(), PathError> {
    let folder = File::open(dir).at("open", dir)?;
    match folder.sync_all() {
        Err(error) if is_tolerated_for_directories(&error) => Ok(()),
        other => other.at("fsync directory", dir),
    }
}

/// Whether a file system that cannot sync directories answers so.
pub(super) fn is_tolerated_for_directories(error: &io::Error) -> bool {
    let tolerated = [Errno::INVAL, Errno::BADF];
    tolerated.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Makes an existing file and its name durable, and forgets what the page cache holds of it, so that whoever
/// reads it next reads what the disk has. Returns the file.
///
/// # Errors
/// When the file cannot be opened or synced.
pub fn confirm(path: &Path) -> Result<File, PathError> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path).at("open", path)?;
    file.sync_all().at("fsync", path)?;
    // Only advice: where it cannot be followed the bytes are read from the cache.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    sync_dir(parent(path))?;
    Ok(file)
}

/// Replaces small state atomically: stage, fsync, rename, fsync directory. Never for WAL.
///
/// # Errors
/// When any step fails; the old state then still stands.
pub fn replace_state(staging: &Path, target: &Path, bytes: &[u8], modes: Modes) -> Result<(), PathError> {
    let mut staged = Staged::create(staging, &file_name(target), modes)?;
    staged.file.write_all(bytes).at("write", &staged.path)?;
    staged.sync()?;
    fs::rename(&staged.path, target).at("replace", target)?;
    sync_dir(parent(target))
}

/// Makes a small file under a name that nothing bears yet: whole and durable, or not at all.
///
/// # Errors
/// When any step fails.
pub fn write_new(target: &Path, bytes: &[u8], modes: Modes) -> Result<Published, PathError> {
    let mut staged = Staged::create(parent(target), &file_name(target), modes)?;
    staged.file.write_all(bytes).at("write", &staged.path)?;
    staged.sync()?;
    staged.publish_new(target)
}

/// Replaces a file that may be lost at any time without harm: atomic, but not durable.
///
/// # Errors
/// When any step fails; the old file then still stands.
pub fn write_advisory(staging: &Path, target: &Path, bytes: &[u8], modes: Modes) -> Result<(), PathError> {
    let mut staged = Staged::create(staging, &file_name(target), modes)?;
    staged.file.write_all(bytes).at("write", &staged.path)?;
    fs::rename(&staged.path, target).at("replace", target)
}

/// Moves a file to another name of the same file system, unless that is taken, and makes both names durable.
///
/// # Errors
/// When any step fails.
pub fn move_new(from: &Path, to: &Path) -> Result<Published, PathError> {
    let published = rename_new(from, to)?;
    if published == Published::New {
        sync_dir(parent(to))?;
        sync_dir(parent(from))?;
    }
    Ok(published)
}

/// Renames an empty file whose name is all that it says, over what bears the new name. Not durable before
/// [`sync_dir`]. `false` where there is no such file any more.
///
/// # Errors
/// When it cannot be renamed.
pub fn rename_mark(from: &Path, to: &Path) -> Result<bool, PathError> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(PathError::new("rename", from, error)),
    }
}

/// Takes a name away. Not durable by itself: what comes back after a crash is removed again.
///
/// # Errors
/// When the name cannot be removed.
pub fn remove(path: &Path) -> Result<(), PathError> {
    fs::remove_file(path).at("remove", path)
}

/// Makes a directory whose parent is there, with the given mode, and makes its name durable. One that is there
/// is left as it is.
///
/// # Errors
/// When it cannot be made: where a mount is gone, nothing is made in its place.
pub fn create_dir(dir: &Path, modes: Modes) -> Result<(), PathError> {
    match DirBuilder::new().mode(modes.directory()).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        other => {
            other.at("create directory", dir)?;
            let permissions = fs::Permissions::from_mode(modes.directory());
            fs::set_permissions(dir, permissions).at("set the mode of", dir)?;
            sync_dir(parent(dir))
        }
    }
}

/// Makes a directory, and those above it that are missing, with the given mode, and makes their names durable.
///
/// # Errors
/// When one of them cannot be made.
pub fn create_dir_all(dir: &Path, modes: Modes) -> Result<(), PathError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        create_dir_all(above, modes)?;
    }
    create_dir(dir, modes)
}

/// Takes away the staged files that no living process holds.
///
/// A staged file is locked by its writer. Where locks cannot be relied on - this file system has none, or the
/// writer is on another host - it is taken for dead after a day. Should a living writer lose its staged name
/// all the same, its publication fails and nothing is lost.
///
/// # Errors
/// When the staging directory cannot be read. A file that cannot be removed is left for the next sweep.
pub fn sweep(staging: &Path) -> Result<u64, PathError> {
    const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
    let mut swept = 0;
    for entry in fs::read_dir(staging).at("list", staging)? {
        let path = entry.at("list", staging)?.path();
        let flags = no_follow() | no_wait();
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
        let Ok(file) = opened else { continue };
        let is_old = || {
            let age = file.metadata().ok().and_then(|m| m.modified().ok()).and_then(|m| m.elapsed().ok());
            age.is_some_and(|age| age > DEAD_AFTER)
        };
        let dead = match try_lock(&file) {
            TryLock::Taken => !is_of_another_host(&path) || is_old(),
            TryLock::Busy => false,
            TryLock::Unsupported => is_old(),
        };
        if dead && fs::remove_file(&path).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

/// Where files that were staged with this stem lie, by whomever.
///
/// # Errors
/// When the staging directory cannot be read.
pub fn staged(staging: &Path, stem: &str) -> Result<Vec<PathBuf>, PathError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(staging).at("list", staging)? {
        let path = entry.at("list", staging)?.path();
        let name = file_name(&path);
        if name.strip_prefix(stem).is_some_and(|rest| rest.len() == STAGED_SUFFIX_BYTES) {
            found.push(path);
        }
    }
    Ok(found)
}

/// How long what [`staged_name`] adds to a stem is, in bytes.
const STAGED_SUFFIX_BYTES: usize = 2 * (1 + 16);

/// A name that no other process on any host gives: the host's part tells sweepers whose locks they can see.
pub(super) fn staged_name(stem: &str) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{stem}.{}.{random:016x}", host_tag())
}

/// A few digits that stand for this host.
fn host_tag() -> String {
    let mut digits = DefaultHasher::new();
    rustix::system::uname().nodename().hash(&mut digits);
    format!("{:016x}", digits.finish())
}

/// Whether a staged file's name was given by another host, whose locks may not be seen from here.
fn is_of_another_host(path: &Path) -> bool {
    let name = file_name(path);
    let mut parts = name.rsplit('.');
    let (random, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    random.len() == 16 && host.len() == 16 && host != host_tag()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
