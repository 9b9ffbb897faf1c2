//! `inspect`: what one file says, found out from its content: a control file, a slot's state, a segment, a
//! timeline history, a backup label; packed or plain.

mod error;
mod fault;
mod reading;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use super::source::SourceFile;
use crate::cluster::{ControlFile, ControlFileError, SlotState};
use crate::fsx::PathError;
use crate::repository::{
    Decoded, Digest, Envelope, Form, Source, SourceStamp, decode, header_agrees, parse_stored,
};
use crate::wal::{
    BackupLabel, LONG_HEADER_BYTES, LongPageHeader, PageExtent, ParseError, SegmentName, SegmentNumber,
    Timeline, TimelineHistory, WalFileName,
};

pub use error::InspectError;
pub use fault::Fault;
use reading::{Collected, Reading, packed_as, sidecar_digest};

/// Which file is to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InspectRequest {
    /// The file.
    pub file: PathBuf,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspection {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Its length as it lies there, in bytes.
    pub file_bytes: u64,
    /// When it was written last, in nanoseconds since 1970: of a stored file, when it was stored.
    pub modified_ns: i64,
    /// How it lies there.
    pub stored: Stored,
    /// What it is.
    pub content: Content,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// How content lies in a file, and what was told of it when it was stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// How it is packed, by its first bytes.
    pub form: Form,
    /// What stored form 1 says before its content: who stored it, and from what.
    pub envelope: Option<Envelope>,
    /// How many bytes of content there are, as far as they can be read.
    pub content_bytes: u64,
    /// The content's digest; `None` where it cannot be read to its end.
    pub sha256: Option<Digest>,
    /// The digest from storing time, where there is one.
    pub told: Option<ToldDigest>,
}

/// A digest from storing time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToldDigest {
    /// Where it stands.
    pub by: DigestSource,
    /// SHA-256 in hexadecimal digits, as it stands there.
    pub sha256: String,
}

/// Where a digest from storing time stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestSource {
    /// In the file itself, before its content.
    Envelope,
    /// In the `.sha256` file beside it.
    Sidecar,
}

/// What a file is, and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A control file.
    ControlFile {
        /// Its fields.
        control: Box<ControlFile>,
        /// The segment that replay would begin in.
        redo_segment: Option<SegmentName>,
    },
    /// The state of a replication slot.
    SlotState(Box<SlotState>),
    /// A segment, whole or partial.
    Segment(SegmentFacts),
    /// A timeline's history.
    TimelineHistory(TimelineHistory),
    /// A backup label, which has no end, or a backup history, which has one.
    BackupLabel(Box<BackupLabel>),
}

/// What a segment's page headers say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// The name that the file bears, where it is one of a segment or partial segment.
    pub name: Option<WalFileName>,
    /// The name that the first page's header stands for; `None` where it does not begin a segment.
    pub header_name: Option<SegmentName>,
    /// The first page's header, and how far valid pages go.
    pub extent: PageExtent,
}

impl Inspection {
    /// Whether nothing is wrong with the file.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Stored {
    /// Whether the content is what it was when it was stored; `None` where nothing tells.
    #[must_use]
    pub fn digest_agrees(&self) -> Option<bool> {
        Some(self.told.as_ref()?.sha256 == self.sha256?.to_string())
    }
}

impl SegmentFacts {
    /// Whether the file's name and the first page's header agree; `None` where the name is not a segment's.
    #[must_use]
    pub fn name_agrees(&self) -> Option<bool> {
        self.name.map(|name| header_agrees(name, self.extent.first(), None).is_ok())
    }

    /// Whether the name says that it is the unfinished last segment of a timeline.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        matches!(self.name, Some(WalFileName::Partial(_)))
    }
}

/// Reads a file, once and to its end, and says what it is.
///
/// # Errors
/// When it cannot be read, or is nothing that is known: a damaged control file, slot state or packed file is
/// named as that. What is wrong with a file that can be read all the same is a [`Fault`].
pub fn inspect(request: &InspectRequest) -> Result<Inspection, InspectError> {
    let path = &request.file;
    let source = SourceFile::open(path)?;
    let stamp = source.stamp();
    let form = packed_as(&source.head::<HEAD_BYTES>()?);
    let named = Named::of(path);
    let damaged = |envelope, source| InspectError::Packed { path: path.clone(), form, envelope, source };
    let Decoded { envelope, bytes } =
        decode(form, Box::new(source)).map_err(|source| damaged(None, source))?;

    let mut reading = Reading::of(bytes);
    // The system could not read: that says nothing of the file.
    let by_system = |error: &mut io::Error| form == Form::Plain || error.raw_os_error().is_some();
    if let Some(error) = reading.failure.take_if(by_system) {
        return Err(PathError::new("read", path, error).into());
    }
    if !matches!(reading.collected, Collected::Pages(_))
        && let Some(error) = reading.failure.take()
    {
        return Err(damaged(envelope.map(Box::new), error));
    }
    let content = named.content(path, form, &reading.collected)?;

    let mut faults = fault::of_reading(&reading);
    let told = told_digest(path, &named, form, envelope.as_ref()).unwrap_or_else(|reason| {
        faults.push(Fault::Sidecar { reason });
        None
    });
    let Reading { bytes: content_bytes, sha256, .. } = reading;
    let stored = Stored { form, envelope, content_bytes, sha256, told };
    faults.extend(fault::of_storing(&stored, &named));
    faults.extend(fault::of_content(&content, &stored, &named));
    let SourceStamp { size: file_bytes, mtime_ns: modified_ns, .. } = stamp;
    Ok(Inspection { path: path.clone(), file_bytes, modified_ns, stored, content, faults })
}

/// How much is read to tell packed files from plain ones: all that a control file's fields take.
const HEAD_BYTES: usize = 512;

/// What a file's name says of it. The content decides; the name tells what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Named {
    file_name: String,
    wal: Option<(WalFileName, Form)>,
}

impl Named {
    fn of(path: &Path) -> Self {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wal = parse_stored(&file_name);
        Self { file_name, wal }
    }

    fn wal_name(&self) -> Option<WalFileName> {
        self.wal.map(|(name, _)| name)
    }

    fn is_control_file(&self) -> bool {
        ["pg_control", "sys_control"].iter().any(|name| self.file_name.starts_with(name))
    }

    /// The timeline of a history, even where something stands behind its name, as in a copy.
    fn history_timeline(&self) -> Option<Timeline> {
        let (timeline, rest) = self.file_name.split_once(".history")?;
        if rest.is_empty() || rest.starts_with('.') { timeline.parse().ok() } else { None }
    }

    fn is_backup_label(&self) -> bool {
        self.file_name.starts_with("backup_label")
            || matches!(self.wal_name(), Some(WalFileName::BackupHistory(..)))
    }

    /// Says what the content is.
    fn content(&self, path: &Path, form: Form, collected: &Collected) -> Result<Content, InspectError> {
        match collected {
            Collected::Pages(extent) => Ok(Content::Segment(self.segment(*extent))),
            Collected::Small(bytes) if bytes.is_empty() => Err(InspectError::Empty { path: path.to_owned() }),
            Collected::Small(bytes) => self.small(path, form, bytes),
            Collected::TooLarge(head) => Err(self
                .not_as_named(path, form, head)
                .unwrap_or_else(|| InspectError::TooLarge { path: path.to_owned(), found: beginning(head) })),
        }
    }

    fn segment(&self, extent: PageExtent) -> SegmentFacts {
        let LongPageHeader { page, segment_size, .. } = *extent.first();
        let number = SegmentNumber::containing(page.page_address, segment_size);
        let header_name = Timeline::new(page.timeline)
            .and_then(|timeline| SegmentName::new(timeline, number, segment_size))
            .filter(|name| name.start(segment_size) == Some(page.page_address));
        SegmentFacts { name: self.wal_name().filter(|name| name.is_pages()), header_name, extent }
    }

    fn small(&self, path: &Path, form: Form, bytes: &[u8]) -> Result<Content, InspectError> {
        let path = || path.to_owned();
        let control_error = match ControlFile::parse(bytes, None) {
            Ok(control) => return Ok(control_content(control)),
            Err(error) => error,
        };
        if bytes.starts_with(&SLOT_MAGIC) || self.file_name == "state" {
            let slot = SlotState::parse(bytes).map(Box::new).map(Content::SlotState);
            return slot.map_err(|source| InspectError::SlotState { path: path(), source });
        }
        if self.is_control_file() || looks_like_control_file(bytes, &control_error) {
            return Err(InspectError::ControlFile { path: path(), source: control_error });
        }
        let text = |what| move |source: ParseError| InspectError::Text { path: path(), what, source };
        if let Some(timeline) = self.history_timeline() {
            let history = TimelineHistory::parse(timeline, bytes).map(Content::TimelineHistory);
            return history.map_err(text("a timeline history"));
        }
        if self.is_backup_label() || is_backup_label(bytes) {
            let label = BackupLabel::parse(bytes).map(Box::new).map(Content::BackupLabel);
            return label.map_err(text("a backup label"));
        }
        Err(self
            .not_as_named(&path(), form, bytes)
            .unwrap_or_else(|| InspectError::Unknown { path: path(), found: beginning(bytes) }))
    }

    /// What is wrong with a file whose name promises what its content does not begin as.
    fn not_as_named(&self, path: &Path, form: Form, bytes: &[u8]) -> Option<InspectError> {
        let (name, named_form) = self.wal?;
        let (path, found) = (path.to_owned(), beginning(bytes));
        if form == Form::Plain && named_form != Form::Plain {
            return Some(InspectError::NotPacked { path, form: named_form, found });
        }
        let head = bytes.get(..LONG_HEADER_BYTES).unwrap_or(bytes);
        let source = LongPageHeader::parse(head).err().filter(|_| name.is_pages())?;
        Some(InspectError::Segment { path, found, source })
    }
}

/// What every slot's state begins with (`SLOT_MAGIC` in replication/slot.c).
const SLOT_MAGIC: [u8; 4] = 0x0105_1CA1_u32.to_le_bytes();

/// Length of a control file (`PG_CONTROL_FILE_SIZE` in catalog/pg_control.h).
const CONTROL_FILE_BYTES: usize = 8192;

fn control_content(control: ControlFile) -> Content {
    let number = SegmentNumber::containing(control.redo, control.segment_size);
    let redo_segment = SegmentName::new(control.timeline, number, control.segment_size);
    Content::ControlFile { control: Box::new(control), redo_segment }
}

/// Whether bytes under any name have a control file's length and a version that is known.
fn looks_like_control_file(bytes: &[u8], error: &ControlFileError) -> bool {
    use ControlFileError as Error;
    let version_is_known = !matches!(error, Error::TooShort { .. } | Error::UnknownVersion { .. });
    bytes.len() == CONTROL_FILE_BYTES && version_is_known
}

fn is_backup_label(bytes: &[u8]) -> bool {
    const FIRST_LINE: &[u8] = b"START WAL LOCATION";
    bytes.starts_with(FIRST_LINE)
        || bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(FIRST_LINE))
}

/// The digest from storing time: the envelope's, or for a plain file that of the `.sha256` beside it.
fn told_digest(
    path: &Path,
    named: &Named,
    form: Form,
    envelope: Option<&Envelope>,
) -> Result<Option<ToldDigest>, String> {
    if let Some(envelope) = envelope {
        return Ok(Some(ToldDigest { by: DigestSource::Envelope, sha256: envelope.sha256.clone() }));
    }
    let Some(name) = named.wal_name().filter(|_| form == Form::Plain) else { return Ok(None) };
    let digest = sidecar_digest(path, name)?;
    Ok(digest.map(|digest| ToldDigest { by: DigestSource::Sidecar, sha256: digest.to_string() }))
}

/// What a file begins with, in a few words.
fn beginning(bytes: &[u8]) -> String {
    const MOST_CHARACTERS: usize = 40;
    let head = bytes.get(..256).unwrap_or(bytes);
    if head.iter().all(|byte| *byte == 0) {
        return "zeros".to_owned();
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && !text.chars().any(|c| c.is_control() && c != '\t' && c != '\r') => {
            let shown: String = text.chars().take(MOST_CHARACTERS).flat_map(char::escape_default).collect();
            format!("the text '{shown}'")
        }
        _ => {
            let shown: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
            format!("the bytes {}", shown.join(" "))
        }
    }
}
