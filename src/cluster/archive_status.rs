use std::io;
use std::path::{Path, PathBuf};

use super::ClusterError;
use crate::wal::WalFileName;

/// `archive_status`: an empty file beside each WAL file says how far its archiving is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatus {
    directory: PathBuf,
}

/// What the server says of a WAL file's archiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// `.ready`: waiting to be archived.
    Ready,
    /// `.done`: archived, or of no need to be.
    Done,
}

impl Status {
    /// What follows a WAL file's name in the name of its status file.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ready => ".ready",
            Self::Done => ".done",
        }
    }
}

impl ArchiveStatus {
    /// What the directory of status files is called in every WAL directory.
    pub const DIRECTORY_NAME: &str = "archive_status";

    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The status of a WAL file; `None` where it has none. `.ready` wins where both are there: what is not
    /// surely archived is pending.
    pub fn status_of(&self, name: WalFileName) -> Result<Option<Status>, ClusterError> {
        for status in [Status::Ready, Status::Done] {
            if self.has(name, status)? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Whether a WAL file waits to be archived.
    pub fn is_pending(&self, name: WalFileName) -> Result<bool, ClusterError> {
        self.has(name, Status::Ready)
    }

    /// Where the status files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a WAL file's status file lies, whether it is there or not.
    #[must_use]
    pub fn path_of(&self, name: WalFileName, status: Status) -> PathBuf {
        self.directory.join(format!("{name}{}", status.suffix()))
    }

    fn has(&self, name: WalFileName, status: Status) -> Result<bool, ClusterError> {
        let path = self.path_of(name, status);
        match path.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ClusterError::Unreadable { path, source }),
        }
    }
}
