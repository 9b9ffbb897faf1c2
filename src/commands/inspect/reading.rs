//! Reading content once, to its end, and keeping of it what is needed: a small file whole, of a segment only
//! what its page headers say.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::super::source::SourceFile;
use crate::cluster::ControlFile;
use crate::fsx::PathError;
use crate::repository::{Digest, Form, for_each_hashed, sidecar_key};
use crate::wal::{LONG_HEADER_BYTES, LongPageHeader, PageExtent, WalFileName};

/// Longest content of all: a segment of 1 GiB.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// Longest content that is kept whole: no small file comes near it.
const MOST_SMALL_BYTES: usize = 16 << 20;

/// How packed content looks from outside.
pub(super) fn packed_as(head: &[u8]) -> Form {
    const ZSTD: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
    const GZIP_DEFLATE: [u8; 3] = [0x1F, 0x8B, 0x08];
    const LZ4: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
    // A control file begins with an arbitrary number: first of all it must not be one.
    if ControlFile::parse(head, None).is_ok() {
        return Form::Plain;
    }
    let is_skippable = matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
    match head {
        _ if is_skippable || head.starts_with(&ZSTD) => Form::Zstd,
        _ if head.starts_with(&GZIP_DEFLATE) => Form::Gzip,
        _ if head.starts_with(&LZ4) => Form::Lz4,
        _ => Form::Plain,
    }
}

/// What was kept of the content.
#[derive(Debug)]
pub(super) enum Collected {
    /// A small file, whole or as far as it can be read.
    Small(Vec<u8>),
    /// The beginning of content that is too long to be kept, and does not begin as a segment does.
    TooLarge(Vec<u8>),
    /// A segment's page headers.
    Pages(PageExtent),
}

/// Nothing further is worth reading.
struct Enough;

impl Collected {
    fn take(&mut self, piece: &[u8]) -> Result<(), Enough> {
        match self {
            Self::Pages(extent) => extent.take(piece),
            Self::TooLarge(_) => return Err(Enough),
            Self::Small(bytes) if bytes.len() + piece.len() > MOST_SMALL_BYTES => {
                bytes.truncate(1 << 10);
                *self = Self::TooLarge(std::mem::take(bytes));
            }
            Self::Small(bytes) => match segment_header(piece).filter(|_| bytes.is_empty()) {
                Some(header) => {
                    let mut extent = PageExtent::new(header);
                    extent.take(piece);
                    *self = Self::Pages(extent);
                }
                None => bytes.extend_from_slice(piece),
            },
        }
        Ok(())
    }
}

/// The header of a segment's first page; `None` where the content begins otherwise.
fn segment_header(bytes: &[u8]) -> Option<LongPageHeader> {
    let header = LongPageHeader::parse(bytes.get(..LONG_HEADER_BYTES)?).ok()?;
    ControlFile::parse(bytes, None).is_err().then_some(header)
}

/// Content, read.
#[derive(Debug)]
pub(super) struct Reading {
    pub collected: Collected,
    /// How many bytes could be read.
    pub bytes: u64,
    /// The digest of the content; `None` where it was not read to its end.
    pub sha256: Option<Digest>,
    /// Why the rest cannot be read.
    pub failure: Option<io::Error>,
}

impl Reading {
    /// Reads content to its end, or to where it cannot be read any further, or to where it is longer than any
    /// segment: it may be a bomb.
    pub fn of(content: Box<dyn Read + Send>) -> Self {
        let mut readable = Readable { content, bytes: 0, failure: None };
        let mut collected = Collected::Small(Vec::new());
        let mut limited = readable.by_ref().take(MOST_BYTES + 1);
        let read = for_each_hashed(&mut limited, |_| Enough, |piece| collected.take(piece));
        let Readable { bytes, failure, .. } = readable;
        let whole = failure.is_none() && bytes <= MOST_BYTES;
        let sha256 = read.ok().map(|(digest, _)| digest).filter(|_| whole);
        Self { collected, bytes, sha256, failure }
    }
}

/// Content that ends where it cannot be read any further, so that what comes before is not lost.
struct Readable {
    content: Box<dyn Read + Send>,
    bytes: u64,
    failure: Option<io::Error>,
}

impl Read for Readable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Ok(0);
        }
        match self.content.read(buffer) {
            Ok(read) => {
                self.bytes += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.failure = Some(error);
                Ok(0)
            }
        }
    }
}

/// The digest in the `.sha256` file beside a plain one; `None` where there is no such file.
pub(super) fn sidecar_digest(path: &Path, name: WalFileName) -> Result<Option<Digest>, String> {
    const MOST_BYTES: u64 = 4096;
    let sidecar = path.with_file_name(sidecar_key(name).as_str());
    let told = |error: &PathError| format!("{error}: {}", error.io());
    let file = match SourceFile::open(&sidecar) {
        Err(error) if error.io().kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| told(&error))?,
    };
    let mut line = Vec::new();
    let read = file.take(MOST_BYTES).read_to_end(&mut line);
    read.map_err(|error| told(&PathError::new("read", &sidecar, error)))?;
    let line = String::from_utf8_lossy(&line);
    let digest = line.split_whitespace().next().and_then(|text| text.parse().ok());
    digest.map(Some).ok_or_else(|| format!("'{}' is no line of sha256sum", sidecar.display()))
}
