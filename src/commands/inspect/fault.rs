use super::reading::{MOST_BYTES, Reading};
use super::{CONTROL_FILE_BYTES, Content, DigestSource, Named, Stored};
use crate::repository::{Digest, Form, header_agrees};
use crate::wal::{Lsn, WalFileName};

/// Something that is wrong with a file that can be read all the same.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A packed file cannot be unpacked to its end.
    #[error("it is damaged: it cannot be unpacked behind {after_bytes} bytes of content: {reason}")]
    CannotBeUnpacked {
        /// How much content comes before.
        after_bytes: u64,
        /// What the unpacker said.
        reason: String,
    },
    /// The content is longer than any segment.
    #[error("it holds more than {MOST_BYTES} bytes, and no segment does")]
    Endless,
    /// The content is not what was stored.
    #[error("it is damaged: its content has sha256 {found}, and was stored with {told}")]
    Digest {
        /// Where the digest from storing time stands.
        by: DigestSource,
        /// That digest.
        told: String,
        /// The content's digest.
        found: Digest,
    },
    /// The `.sha256` file beside it does not tell.
    #[error("its digest is not known: {reason}")]
    Sidecar {
        /// What was found.
        reason: String,
    },
    /// It is packed otherwise than its name says, so that nobody who goes by names can read it.
    #[error("its name says that it is {}, its content is {}", named.key(), found.key())]
    Form {
        /// How its name says that it is packed.
        named: Form,
        /// How it is packed.
        found: Form,
    },
    /// It was stored under another name.
    #[error("it was stored as '{stored_as}'")]
    StoredAs {
        /// That name.
        stored_as: String,
    },
    /// It was stored with another length.
    #[error("it holds {found} bytes, and was stored with {told}")]
    StoredLength {
        /// The length from storing time, in bytes.
        told: u64,
        /// The content's length, in bytes.
        found: u64,
    },
    /// What stands before the content is not of the content's cluster.
    #[error("it was stored for system identifier {told}, and is of {found}")]
    StoredSystem {
        /// The system identifier from storing time.
        told: String,
        /// The one in the first page.
        found: String,
    },
    /// The name is that of another file, or of another kind of file.
    #[error("it is not what its name says: {reason}")]
    Name {
        /// What the content says, and what the name.
        reason: String,
    },
    /// It is longer or shorter than it says, or than all of its kind are.
    #[error("it holds {found} bytes, and {expected} are right")]
    Length {
        /// The right length, in bytes.
        expected: u64,
        /// The content's length, in bytes.
        found: u64,
    },
    /// Valid pages follow on one that is not: what lies between was lost.
    #[error("it has a hole: {pages} valid pages lie behind one at {at} that is not")]
    Hole {
        /// Where the first page lies that is not valid.
        at: Lsn,
        /// How many valid pages lie behind it.
        pages: u64,
    },
}

impl Fault {
    /// The fault's name in machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::CannotBeUnpacked { .. } => "cannot_be_unpacked",
            Self::Endless => "endless",
            Self::Digest { .. } => "digest_differs",
            Self::Sidecar { .. } => "sidecar_unreadable",
            Self::Form { .. } => "form_differs",
            Self::StoredAs { .. } => "stored_name_differs",
            Self::StoredLength { .. } => "stored_length_differs",
            Self::StoredSystem { .. } => "stored_system_differs",
            Self::Name { .. } => "name_differs",
            Self::Length { .. } => "wrong_length",
            Self::Hole { .. } => "hole",
        }
    }
}

/// What came up while the content was read.
pub(super) fn of_reading(reading: &Reading) -> Vec<Fault> {
    let unpacked = reading
        .failure
        .as_ref()
        .map(|error| Fault::CannotBeUnpacked { after_bytes: reading.bytes, reason: error.to_string() });
    let endless = (reading.bytes > MOST_BYTES).then_some(Fault::Endless);
    unpacked.into_iter().chain(endless).collect()
}

/// What was told when it was stored, held against what is there.
pub(super) fn of_storing(stored: &Stored, named: &Named) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let (Some(told), Some(found), Some(false)) = (&stored.told, stored.sha256, stored.digest_agrees()) {
        faults.push(Fault::Digest { by: told.by, told: told.sha256.clone(), found });
    }
    if let Some((name, form)) = named.wal {
        if form != stored.form {
            faults.push(Fault::Form { named: form, found: stored.form });
        }
        let stored_as = stored.envelope.as_ref().map(|envelope| envelope.name.clone());
        let other = stored_as.filter(|stored_as| *stored_as != name.to_string());
        faults.extend(other.map(|stored_as| Fault::StoredAs { stored_as }));
    }
    if let (Some(envelope), Some(_)) = (&stored.envelope, stored.sha256)
        && envelope.size != stored.content_bytes
    {
        faults.push(Fault::StoredLength { told: envelope.size, found: stored.content_bytes });
    }
    faults
}

/// What the content says of itself, held against its length and its name.
pub(super) fn of_content(content: &Content, stored: &Stored, named: &Named) -> Vec<Fault> {
    let mut faults = Vec::new();
    let expected = match content {
        Content::ControlFile { .. } => Some(CONTROL_FILE_BYTES as u64),
        Content::Segment(facts) => Some(facts.extent.first().segment_size.bytes()),
        _ => None,
    };
    // Content that cannot be read to its end is not too short as well.
    if let Some(expected) = expected.filter(|expected| *expected != stored.content_bytes)
        && stored.sha256.is_some()
    {
        faults.push(Fault::Length { expected, found: stored.content_bytes });
    }
    if let Content::Segment(facts) = content {
        let (at, pages) = (facts.extent.end(), facts.extent.pages_behind_a_hole());
        if pages > 0 {
            faults.push(Fault::Hole { at, pages });
        }
        let found = facts.extent.first().system_identifier.to_string();
        let told = stored.envelope.as_ref().map(|envelope| envelope.system_identifier.clone());
        let other = told.filter(|told| *told != found);
        faults.extend(other.map(|told| Fault::StoredSystem { told, found }));
    }
    let misnamed = named.wal_name().and_then(|name| misnamed(content, name));
    faults.extend(misnamed.map(|reason| Fault::Name { reason }));
    faults
}

/// What content says that a name does not.
fn misnamed(content: &Content, name: WalFileName) -> Option<String> {
    match (content, name) {
        (Content::Segment(facts), name) if name.is_pages() => {
            header_agrees(name, facts.extent.first(), None).err()
        }
        (Content::TimelineHistory(_), WalFileName::TimelineHistory(_)) => None,
        (Content::BackupLabel(label), WalFileName::BackupHistory(segment, _)) => {
            let other = label.start_segment != segment;
            other.then(|| format!("the backup began in '{}', its name says '{segment}'", label.start_segment))
        }
        _ => Some(format!("'{name}' is the name of another kind of file")),
    }
}
