#![allow(clippy::disallowed_methods, reason = "delivering a file gives it its name")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};

use super::{AtPath, Modes, PathError};

/// A file on its way to a destination: nothing stands under that name before [`Delivery::finish`].
///
/// It has no name at all until then where the file system allows that (`O_TMPFILE`), so that a killed
/// delivery leaves nothing behind. It is not made durable: a server fetches again what a power loss took.
#[derive(Debug)]
pub struct Delivery {
    file: File,
    destination: PathBuf,
    /// The name that it has for now, where it needs one.
    interim: Option<PathBuf>,
}

impl Delivery {
    /// Opens a file in the destination's directory.
    ///
    /// # Errors
    /// When nothing can be created there.
    pub fn begin(destination: &Path) -> Result<Self, PathError> {
        let dir = match destination.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let modes = modes_beside(destination)?;
        // A nameless file gets its name through /proc, which a changed root may lack.
        if Path::new("/proc/self/fd").exists() {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            if let Ok(file) = rustix::fs::open(dir, flags, Mode::from_raw_mode(modes.file())) {
                return Ok(Self { file: file.into(), destination: destination.to_owned(), interim: None });
            }
        }
        let interim = interim_name(destination);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(modes.file())
            .open(&interim)
            .at("create", &interim)?;
        Ok(Self { file, destination: destination.to_owned(), interim: Some(interim) })
    }

    /// The file, for writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file the destination's name; what stood there is replaced, as `cp` would.
    ///
    /// # Errors
    /// When the name cannot be given; the destination is then as it was.
    pub fn finish(mut self) -> Result<(), PathError> {
        if self.interim.is_none() {
            match self.link_to(&self.destination) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let interim = interim_name(&self.destination);
                    self.link_to(&interim).at("create", &interim)?;
                    self.interim = Some(interim);
                }
                linked => return linked.at("deliver", &self.destination),
            }
        }
        if let Some(interim) = &self.interim {
            fs::rename(interim, &self.destination).at("deliver", &self.destination)?;
        }
        self.interim = None;
        Ok(())
    }

    fn link_to(&self, target: &Path) -> io::Result<()> {
        let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(linkat(CWD, open, CWD, target, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(interim) = &self.interim {
            let _ = fs::remove_file(interim);
        }
    }
}

/// Gives a whole file, open and of the length that it was proven to have, to a destination, and takes it from where it
/// lay: by its name, and where the destination is on another file system by its bytes. What stood there is replaced.
///
/// # Errors
/// When it cannot be given; the destination is then as it was.
pub fn hand_over(ready: &Path, file: &mut File, destination: &Path) -> Result<(), PathError> {
    let found = file.metadata().at("look at", ready)?;
    let wanted = modes_beside(destination)?.file();
    if found.mode() & 0o7777 != wanted {
        file.set_permissions(fs::Permissions::from_mode(wanted)).at("set the mode of", ready)?;
    }
    match fs::rename(ready, destination) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        renamed => return renamed.at("deliver", destination),
    }
    let mut delivery = Delivery::begin(destination)?;
    let copied = io::copy(file, delivery.file()).at("copy", ready)?;
    if copied != found.len() {
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "it was cut short meanwhile");
        return Err(PathError::new("copy", ready, error));
    }
    delivery.finish()?;
    // It is swept later where it stays.
    let _ = fs::remove_file(ready);
    Ok(())
}

/// What fits beside a destination: its directory's mode.
fn modes_beside(destination: &Path) -> Result<Modes, PathError> {
    let dir = match destination.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Ok(Modes::beside(fs::metadata(dir).at("look at", dir)?.mode()))
}

fn interim_name(destination: &Path) -> PathBuf {
    // A call that runs out of time delivers from another thread than the one that hangs.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = destination.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    destination.with_file_name(format!(".walkeep-{}-{number}-{name}", process::id()))
}
