//! Fetching a file: everything that can be proven of it is proven before the caller may use it.

use std::io::{self, Read, Write};

use super::digest::{Digest, for_each_hashed};
use super::layout::{Form, sidecar_key, stored_key};
use super::{Decoded, Repository, RepositoryError, decode};
use crate::fsx::PathError;
use crate::storage::{ObjectStat, StoreError, read_small};
use crate::wal::{
    LONG_HEADER_BYTES, LongPageHeader, SegmentSize, SystemIdentifier, TimelineHistory, WalFileName,
};

/// What a file of pages has to agree with.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The cluster that will read it, where that is known.
    pub system_identifier: Option<SystemIdentifier>,
    /// The length of its segments, where that is known.
    pub segment_size: Option<SegmentSize>,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
}

/// What was fetched and proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// The WAL file's length in bytes.
    pub bytes: u64,
    /// Its digest.
    pub digest: Digest,
    /// Whether a digest from storing time agreed; files of other tools have none.
    pub digest_known: bool,
}

/// A stored file that was read to its end and proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// What the store told of it when it was opened.
    pub stat: ObjectStat,
    /// What it holds.
    pub fetched: Fetched,
}

/// A reader that tells how much was read.
struct Paced<'p> {
    bytes: Box<dyn Read + Send>,
    pace: &'p (dyn Fn(u64) + Sync),
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        (self.pace)(read as u64);
        Ok(read)
    }
}

impl Repository<'_> {
    /// Writes a stored file into `sink`; `None` where it is not stored. What the sink got is worth something
    /// only when this succeeds.
    ///
    /// # Errors
    /// When the repository cannot be read, the file is damaged or not what its name says, or the sink fails.
    pub fn fetch(
        &self,
        name: WalFileName,
        expected: Expected,
        sink: &mut dyn Write,
    ) -> Result<Option<Fetched>, RepositoryError> {
        let found = self.find(name)?;
        let [(form, _), others @ ..] = found.as_slice() else { return Ok(None) };
        let fetched = self.fetch_form(name, *form, expected, sink)?;
        if let Some(fetched) = fetched {
            self.prove_same(name, fetched, others, expected)?;
        }
        Ok(fetched)
    }

    /// Two forms of one name are one file, or one of them is damaged.
    fn prove_same(
        &self,
        name: WalFileName,
        fetched: Fetched,
        others: &[(Form, ObjectStat)],
        expected: Expected,
    ) -> Result<(), RepositoryError> {
        for (form, _) in others {
            let other = self.fetch_form(name, *form, expected, &mut io::sink())?;
            if other.is_some_and(|other| other.digest != fetched.digest) {
                return Err(RepositoryError::Damaged {
                    file: self.store.locate(&stored_key(name, *form)),
                    reason: format!("another form of '{name}' is stored beside it and holds other content"),
                });
            }
        }
        Ok(())
    }

    fn fetch_form(
        &self,
        name: WalFileName,
        form: Form,
        expected: Expected,
        sink: &mut dyn Write,
    ) -> Result<Option<Fetched>, RepositoryError> {
        let proven = self.prove_form(name, form, expected, &|_| (), sink)?;
        Ok(proven.map(|proven| proven.fetched))
    }

    /// Reads a stored file in one of its forms to its end, and proves of it what [`Repository::fetch`] proves;
    /// `None` where it is not stored. `pace` hears how many stored bytes were read, after each read.
    ///
    /// # Errors
    /// As [`Repository::fetch`]. What the operating system could not read is an error of the store, not damage.
    pub fn prove_form(
        &self,
        name: WalFileName,
        form: Form,
        expected: Expected,
        pace: &(dyn Fn(u64) + Sync),
        sink: &mut dyn Write,
    ) -> Result<Option<Proven>, RepositoryError> {
        let key = stored_key(name, form);
        let Some(object) = self.store.open(&key)? else { return Ok(None) };
        let stat = object.stat;
        let damaged = |reason: String| RepositoryError::Damaged { file: self.store.locate(&key), reason };
        let unreadable = |error: io::Error| match error.raw_os_error() {
            Some(_) => {
                let error = PathError::new("read", self.store.locate(&key).as_ref(), error);
                RepositoryError::Store(StoreError::Path(error))
            }
            None => damaged(error.to_string()),
        };
        let paced = Paced { bytes: object.bytes, pace };
        let Decoded { envelope, mut bytes } = decode(form, Box::new(paced)).map_err(unreadable)?;

        // A file longer than the longest segment is not read to its end: it may be a bomb.
        let most = expected.segment_size.map_or(MOST_BYTES, SegmentSize::bytes);
        let head_bytes = if name.is_pages() { LONG_HEADER_BYTES } else { TEXT_BYTES };
        let mut head = Vec::new();
        let mut limited = bytes.by_ref().take(most + 1);
        let (digest, size) = for_each_hashed(&mut limited, unreadable, |chunk| {
            let missing = head_bytes.saturating_sub(head.len()).min(chunk.len());
            head.extend_from_slice(chunk.get(..missing).unwrap_or_default());
            sink.write_all(chunk).map_err(RepositoryError::Sink)
        })?;

        let told = match &envelope {
            Some(envelope) if envelope.name != name.to_string() => {
                return Err(damaged(format!("it was stored as '{}'", envelope.name)));
            }
            Some(envelope) => Some(envelope.sha256.clone()),
            None if form == Form::Plain => self.sidecar_digest(name)?,
            None => None,
        };
        if let Some(told) = told.as_ref().filter(|told| **told != digest.to_string()) {
            return Err(damaged(format!("its content has sha256 {digest}, it was stored with {told}")));
        }
        prove(name, expected, &head, size).map_err(damaged)?;
        let fetched = Fetched { bytes: size, digest, digest_known: told.is_some() };
        Ok(Some(Proven { stat, fetched }))
    }

    /// The digest that lies beside a plain file; `None` where another tool put it there without one.
    pub(super) fn sidecar_digest(&self, name: WalFileName) -> Result<Option<String>, RepositoryError> {
        let key = sidecar_key(name);
        let Some(line) = read_small(self.store, &key)? else { return Ok(None) };
        let line = String::from_utf8_lossy(&line).into_owned();
        let digest: Option<Digest> = line.split_whitespace().next().and_then(|text| text.parse().ok());
        let damaged = || RepositoryError::damaged_state(self.store, &key, "it is no line of sha256sum");
        digest.map(|digest| Some(digest.to_string())).ok_or_else(damaged)
    }
}

/// Longest WAL file of all: a segment of 1 GiB.
const MOST_BYTES: u64 = 1 << 30;

/// How much of a text file is kept to be looked at. Of a segment it is the first page's header.
const TEXT_BYTES: usize = 1 << 20;

/// Holds a file against its name and its cluster; says what does not fit.
fn prove(name: WalFileName, expected: Expected, head: &[u8], size: u64) -> Result<(), String> {
    if let WalFileName::TimelineHistory(timeline) = name {
        return TimelineHistory::parse(timeline, head).map(drop).map_err(|error| error.to_string());
    }
    if !name.is_pages() {
        return if size == 0 { Err("it is empty".to_owned()) } else { Ok(()) };
    }
    if let Some(expected) = expected.segment_size.filter(|expected| expected.bytes() != size) {
        return Err(format!("it holds {size} bytes, not the {} of a segment", expected.bytes()));
    }
    if !expected.header_check {
        return if SegmentSize::new(size).is_some() {
            Ok(())
        } else {
            Err(format!("no segment has {size} bytes"))
        };
    }
    let head = head.get(..LONG_HEADER_BYTES).unwrap_or(head);
    let header = LongPageHeader::parse(head).map_err(|error| format!("its first page: {error}"))?;
    if header.segment_size.bytes() != size {
        return Err(format!("it holds {size} bytes, its header says {}", header.segment_size.bytes()));
    }
    header_agrees(name, &header, expected.system_identifier)
}

/// Holds a first page's header against a file's name and cluster; says what does not fit.
///
/// The page address must be the one in the name: this alone exposes a recycled file. The timeline may be
/// lower than the name's: the first segment of a timeline begins as a copy of its parent's.
///
/// # Errors
/// A sentence without its beginning: what the header says and what was expected.
pub fn header_agrees(
    name: WalFileName,
    header: &LongPageHeader,
    system_identifier: Option<SystemIdentifier>,
) -> Result<(), String> {
    let start = name.segment().and_then(|segment| segment.start(header.segment_size));
    if start != Some(header.page.page_address) {
        let wanted = start.map_or_else(|| "no place in the log".to_owned(), |start| start.to_string());
        return Err(format!(
            "its first page says that it begins at {}, its name says {wanted}",
            header.page.page_address
        ));
    }
    if header.page.timeline > name.timeline().get() {
        return Err(format!(
            "its first page is of timeline {}, its name says {}",
            header.page.timeline,
            name.timeline()
        ));
    }
    match system_identifier {
        Some(wanted) if wanted != header.system_identifier => {
            Err(format!("its first page is of system identifier {}, not {wanted}", header.system_identifier))
        }
        _ => Ok(()),
    }
}
