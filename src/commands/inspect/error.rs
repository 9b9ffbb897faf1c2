use std::io;
use std::path::PathBuf;

use super::super::Hint;
use crate::cluster::{ControlFileError, SlotStateError};
use crate::fsx::PathError;
use crate::repository::{Envelope, Form};
use crate::wal::ParseError;

/// Why a file does not tell anything.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The system refuses.
    #[error(transparent)]
    Unreadable(#[from] PathError),
    /// There is nothing in it.
    #[error("'{}' holds nothing", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A control file that is damaged, or of a server that is not known.
    #[error("'{}' looks like a control file, and cannot be read as one", path.display())]
    ControlFile {
        /// The file.
        path: PathBuf,
        /// What was found in it.
        source: ControlFileError,
    },
    /// A slot's state that is damaged, or of a server that is not known.
    #[error("'{}' looks like the state of a replication slot, and cannot be read as one", path.display())]
    SlotState {
        /// The file.
        path: PathBuf,
        /// What was found in it.
        source: SlotStateError,
    },
    /// A file that is named as a segment and does not begin as one.
    #[error("'{}' is named as a segment, but begins with {found}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: String,
        /// Why that is no segment's first page.
        source: ParseError,
    },
    /// A history or label that does not read as one.
    #[error("'{}' looks like {what}, and cannot be read as one", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What it looks like, with its article.
        what: &'static str,
        /// What was found in it.
        source: ParseError,
    },
    /// A packed file whose content cannot be unpacked.
    #[error("'{}' is damaged: it begins as {} does, and cannot be unpacked", path.display(), packed(*form))]
    Packed {
        /// The file.
        path: PathBuf,
        /// How it is packed.
        form: Form,
        /// What stands before the content, where that can be read.
        envelope: Option<Box<Envelope>>,
        /// Why it cannot be unpacked.
        source: io::Error,
    },
    /// A file that is named as a packed one, and is not.
    #[error("'{}' is damaged: it is named as {}, but begins with {found}", path.display(), packed(*form))]
    NotPacked {
        /// The file.
        path: PathBuf,
        /// How its name says that it is packed.
        form: Form,
        /// What it begins with.
        found: String,
    },
    /// Too long for anything but a segment, and no segment.
    #[error("'{}' is no segment, and too long for anything else: it begins with {found}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: String,
    },
    /// Neither its content nor its name says what it is.
    #[error("'{}' is nothing that is known here: it begins with {found}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: String,
    },
}

/// A packed file, with its article.
fn packed(form: Form) -> &'static str {
    match form {
        Form::Zstd => "a zstd file",
        Form::Gzip => "a gzip file",
        Form::Lz4 => "an lz4 file",
        Form::Plain => "a plain file",
    }
}

const WHAT_IS_SHOWN: &str = "It shows control files (global/pg_control, global/sys_control), slot states \
    (pg_replslot/NAME/state), segments, NNNNNNNN.history, backup labels and backup histories, also where \
    they are stored packed.";

impl Hint for InspectError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unreadable(error) => match error.io().kind() {
                io::ErrorKind::PermissionDenied => "Run it as the user that the server runs as.",
                io::ErrorKind::InvalidInput => WHAT_IS_SHOWN,
                _ => return None,
            },
            Self::Empty { .. } => "A full disk and a copy that was broken off leave such files behind.",
            Self::ControlFile { source, .. } => match source {
                ControlFileError::Checksum { .. } | ControlFileError::TooShort { .. } => {
                    "A server that runs may have been writing it: try again. If it stays so, it is damaged."
                }
                ControlFileError::UnknownVersion { .. } => "Is the server newer than this walkeep?",
                _ => return None,
            },
            Self::SlotState { source, .. } => match source {
                SlotStateError::UnknownVersion { .. } => "Is the server newer than this walkeep?",
                _ => "A server may refuse to start with it: see to it before the next restart.",
            },
            Self::Segment { .. } => {
                "Encrypted WAL looks so too, and a segment that a server made ready and has not begun."
            }
            Self::Packed { envelope: Some(envelope), .. } => {
                let Envelope { node, name, size, sha256, .. } = envelope.as_ref();
                return Some(format!(
                    "It was stored by node '{node}' as '{name}', {size} bytes with sha256 {sha256}: is there \
                     another copy?"
                ));
            }
            Self::Text { .. } | Self::Packed { .. } | Self::NotPacked { .. } => return None,
            Self::TooLarge { .. } | Self::Unknown { .. } => WHAT_IS_SHOWN,
        };
        Some(text.to_owned())
    }
}
