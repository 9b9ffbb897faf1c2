use std::io;

use crate::cluster::{ClusterError, LayoutFault};
use crate::repository::RepositoryError;

use super::ForeignOwner;

/// The operator's likely slip, or the next step: a sentence, apart from the error that it belongs to.
pub trait Hint: std::error::Error {
    /// The sentence, where there is one to say.
    fn hint(&self) -> Option<String>;
}

impl Hint for ForeignOwner {
    fn hint(&self) -> Option<String> {
        Some(format!("Run it as {0}: files that root leaves behind wedge the server of {0}.", self.owner))
    }
}

impl Hint for ClusterError {
    fn hint(&self) -> Option<String> {
        let may_be_a_slip = match self {
            Self::Layout { source, .. } => matches!(source, LayoutFault::Missing { .. }),
            Self::Unreadable { source, .. } => {
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            }
            Self::ControlFile { .. } => false,
        };
        let text = "Is that what 'SHOW data_directory' tells, and is its file system mounted?";
        may_be_a_slip.then(|| text.to_owned())
    }
}

impl Hint for RepositoryError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotARepository { .. } => {
                "Is its file system mounted? A new repository is made by 'walkeep init --repo DIR -D DATADIR'."
            }
            Self::OtherSystem { .. } => {
                "After pg_upgrade or initdb a new repository is due; the old one stays for its backups."
            }
            Self::OtherSegmentSize { .. } => {
                "A cluster with another segment size needs a repository of its own."
            }
            Self::SourceTakenAway => "The server will try again.",
            Self::Conflict(conflict) => {
                return Some(format!(
                    "Nothing was overwritten. Find out which server wrote which, and whether one of them must not \
                     archive here; only if the stored file is the wrong one: 'walkeep set-aside {} --repo DIR \
                     --reason TEXT'.",
                    conflict.name
                ));
            }
            Self::Damaged { .. } => {
                "Nothing was overwritten. 'walkeep inspect FILE' shows what it holds; 'walkeep set-aside NAME \
                 --repo DIR --reason TEXT' takes it out of the way."
            }
            Self::Store(error) => return storage_hint(error.io()?.kind()).map(str::to_owned),
            Self::NotAcknowledged { .. } => {
                "Name the first and the last segment of one timeline, and say for those who come later how \
                 they were lost."
            }
            Self::Source(_) | Self::Sink(_) | Self::DamagedState { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// What an operator can do about an answer of the operating system on the repository's side.
fn storage_hint(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::StorageFull | Kind::QuotaExceeded => {
            Some("The repository is full; this was not stored. 'walkeep prune --dry-run' says what would go.")
        }
        Kind::ReadOnlyFilesystem => Some("The repository's file system is mounted read-only."),
        Kind::PermissionDenied => Some("The repository must belong to the user that the server runs as."),
        Kind::NotADirectory => Some("A repository is a directory: name that."),
        Kind::StaleNetworkFileHandle | Kind::NotFound => Some("Is the repository's file system mounted?"),
        Kind::Unsupported => {
            Some("Keep the repository on a file system with hard links, such as ext4, xfs or NFS.")
        }
        _ => None,
    }
}
