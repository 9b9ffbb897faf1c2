//! `sys_archivecleanup` and `pg_archivecleanup`: take away what lies before one file of an archive, as the servers'
//! own program does in any directory - but never where a server lives, and never by one name alone in a repository,
//! which knows who else needs its files.

mod plan;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::Hint;
use crate::cluster::{ArchiveStatus, Cluster, ClusterError, is_wal_directory};
use crate::fsx::{Folder, PathError};

pub use plan::{OldestKept, Selection};

/// What is to be taken away.
pub struct CleanupRequest {
    /// The archive, as it was given.
    pub location: PathBuf,
    /// The oldest file that stays, as it was given.
    pub oldest_kept: OsString,
    /// What is cut off every name before it is looked at; may be empty.
    pub extension: OsString,
    /// Whether base backups' histories go as well.
    pub backup_histories: bool,
    /// Whether to tell what would go, and leave it.
    pub dry_run: bool,
}

/// What is about to happen to which path, the location as it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CleanupStep<'a> {
    /// This file and all later ones stay.
    Keeping(&'a OsStr),
    /// This one would go.
    WouldRemove(&'a OsStr),
    /// This one goes now.
    Removing(&'a OsStr),
}

/// What shows that a server lives in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Live {
    /// It is a data directory.
    DataDirectory,
    /// It is a server's WAL directory.
    WalDirectory,
    /// It holds the status files of a server's WAL.
    StatusDirectory,
}

/// Who has to take away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cleaned {
    /// Nobody any more: it is done.
    Done,
    /// `prune`, which alone knows who else needs a repository's files: nothing was touched, and this one and all
    /// later ones are to stay.
    Repository(OldestKept),
}

/// Why nothing, or no more, was taken away.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// There is no such directory.
    #[error("archive location '{}' does not exist", .0.display())]
    NoSuchLocation(PathBuf),
    /// The oldest file that stays is none.
    #[error("invalid file name argument")]
    NotAWalFile,
    /// A server lives there.
    #[error("cannot clean up '{}'", path.display())]
    Live {
        /// The archive, as it was given.
        path: PathBuf,
        /// What was found there.
        live: Live,
    },
    /// Nobody can tell whether a server lives there.
    #[error("cannot tell whether '{}' is a server's", path.display())]
    Unknown {
        /// The archive, as it was given.
        path: PathBuf,
        /// What could not be read.
        source: UnknownPlace,
    },
    /// The directory cannot be opened.
    #[error("could not open archive location '{}'", path.display())]
    NotOpened {
        /// The archive, as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be read to its end; nothing was taken away.
    #[error("could not read archive location '{}'", path.display())]
    NotRead {
        /// The archive, as it was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not go; those after it were left.
    #[error("could not remove file '{}'", path.display())]
    NotRemoved {
        /// The file, as it is told.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What could not be read of a place.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum UnknownPlace {
    /// A server's traces.
    Cluster(#[from] ClusterError),
    /// A repository's traces, or the way there.
    Path(#[from] PathError),
}

impl Hint for CleanupError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Live { .. } => {
                "Name the archive. A server removes its own WAL when nobody needs it any more; 'walkeep gate' says \
                 what holds it back."
            }
            Self::Unknown { .. } => "Nothing was removed.",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// Takes away what the call selects, in the order of the names, up to the first file that does not go. `see` hears of
/// each step before it is done.
///
/// # Errors
/// When the call makes no sense, a server lives there, or the system refuses.
pub fn archivecleanup(
    request: &CleanupRequest,
    see: &mut dyn FnMut(CleanupStep<'_>),
) -> Result<Cleaned, CleanupError> {
    let location = request.location.as_path();
    if !location.is_dir() {
        return Err(CleanupError::NoSuchLocation(location.to_owned()));
    }
    let extension = request.extension.as_bytes().to_vec();
    let oldest_kept = OldestKept::parse(request.oldest_kept.as_bytes(), &extension);
    let oldest_kept = oldest_kept.ok_or(CleanupError::NotAWalFile)?;
    let selection = Selection { oldest_kept, extension, backup_histories: request.backup_histories };

    let place = place(location).map_err(|source| CleanupError::Unknown { path: location.into(), source })?;
    match place {
        Place::Live(live) => Err(CleanupError::Live { path: location.to_owned(), live }),
        Place::Repository => Ok(Cleaned::Repository(selection.oldest_kept)),
        Place::Archive => clean_archive(request, &selection, see).map(|()| Cleaned::Done),
    }
}

/// Cleans a directory that is nobody's but its user's.
fn clean_archive(
    request: &CleanupRequest,
    selection: &Selection,
    see: &mut dyn FnMut(CleanupStep<'_>),
) -> Result<(), CleanupError> {
    let path = || request.location.clone();
    see(CleanupStep::Keeping(&shown(&request.location, selection.oldest_kept.as_str().as_ref())));
    let folder = Folder::open(&request.location)
        .map_err(|error| CleanupError::NotOpened { path: path(), source: error.into_parts().1 })?;
    let names = selected(&folder, selection)
        .map_err(|error| CleanupError::NotRead { path: path(), source: error.into_parts().1 })?;
    for name in names {
        let shown = shown(&request.location, &name);
        if request.dry_run {
            see(CleanupStep::WouldRemove(&shown));
            continue;
        }
        see(CleanupStep::Removing(&shown));
        folder
            .remove(&name)
            .map_err(|error| CleanupError::NotRemoved { path: shown.into(), source: error.into_parts().1 })?;
    }
    Ok(())
}

/// The names that go. Sorted: file systems hand names out in the order of a hash, and take them away in that of
/// their making at two thirds of the time; and what a failure leaves has no holes.
fn selected(folder: &Folder, selection: &Selection) -> Result<Vec<OsString>, PathError> {
    let mut names = Vec::new();
    folder.for_each_name(|name, _| {
        if selection.takes(name) {
            names.push(OsString::from_vec(name.to_vec()));
        }
    })?;
    names.sort_unstable();
    Ok(names)
}

/// A file's path as the servers' program prints it: the location as it was given, a slash, and the name.
fn shown(location: &Path, name: &OsStr) -> OsString {
    let mut shown = location.as_os_str().to_owned();
    shown.push("/");
    shown.push(name);
    shown
}

/// What a directory is.
enum Place {
    Live(Live),
    Repository,
    Archive,
}

fn place(location: &Path) -> Result<Place, UnknownPlace> {
    let failed = |source| PathError::new("look at", location, source);
    let given = std::path::absolute(location).map_err(failed)?;
    let real = location.canonicalize().map_err(failed)?;
    if Cluster::is_data_directory(&real) {
        return Ok(Place::Live(Live::DataDirectory));
    }
    // Also one whose status files are gone, by its place in the data directory: behind a link, or moved.
    let owned = |dir: &Path| Cluster::owning(&dir.join("file")).is_some();
    if is_wal_directory(&real)? || owned(&real) || owned(&given) {
        return Ok(Place::Live(Live::WalDirectory));
    }
    // '-x .ready' would take a server's status files for segments.
    if real.ends_with(ArchiveStatus::DIRECTORY_NAME) {
        return Ok(Place::Live(Live::StatusDirectory));
    }
    // Whatever of a repository's state is left: claims may be in it.
    let state = real.join(".walkeep");
    match state.symlink_metadata() {
        Ok(_) => Ok(Place::Repository),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::Archive),
        Err(error) => Err(PathError::new("look at", &state, error).into()),
    }
}
