//! The words of write-ahead logging, as values: positions, timelines, segments, file names, headers and the
//! small text files. No I/O and no clock; whatever parses here is proven, and never checked again inside.

mod backup_label;
mod compare;
mod coverage;
mod extent;
mod file_name;
#[cfg(test)]
pub(crate) mod fixtures;
mod history;
mod lineage;
mod lsn;
mod page_header;
mod records;
mod segment;
mod system_identifier;
mod timeline;

pub use backup_label::{BackupLabel, StopPoint};
pub use compare::{PageComparison, Relation};
pub use coverage::{Coverage, Gap, GapKind, SegmentRange, TimelineCoverage, newest_backup_start};
pub use extent::PageExtent;
pub use file_name::{WalFileKind, WalFileName};
pub use history::{HistoryEntry, TimelineHistory};
pub use lineage::{Contradiction, Fork, Lineage};
pub use lsn::Lsn;
pub use page_header::{LONG_HEADER_BYTES, LongPageHeader, PageHeader, SHORT_HEADER_BYTES, server_of};
pub use records::{FirstRecord, RecordWalk, SegmentRecords, Tail, WalEnd};
pub use segment::{SegmentName, SegmentNumber, SegmentSize};
pub use system_identifier::SystemIdentifier;
pub use timeline::Timeline;

/// Says that a text or some bytes are not the word that they were read as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}'{text}' is not {what}")]
pub struct ParseError {
    /// What was read, with its article: "a segment name".
    what: &'static str,
    /// What stood there, cut to a length that fits a message.
    text: String,
    /// Where it stood, if in a file of several lines: "line 3: ".
    place: String,
}

impl ParseError {
    /// Longest piece of foreign text that a message repeats, in characters.
    const MOST_SHOWN: usize = 80;

    /// Names what was expected and what was found.
    pub(crate) fn new(what: &'static str, text: &str) -> Self {
        let shown = text.chars().take(Self::MOST_SHOWN).flat_map(char::escape_default).collect();
        Self { what, text: shown, place: String::new() }
    }

    /// Adds the line of the file, counted from 1.
    fn at_line(self, number: usize) -> Self {
        Self { place: format!("line {number}: "), ..self }
    }
}

/// Reads upper-case hexadecimal digits only, as the servers write file names; `None` for anything else.
fn upper_hex(text: &str) -> Option<u32> {
    // As many digits as the sum holds; no number of ours is written with more.
    const MOST_DIGITS: usize = 16;
    if text.is_empty() || text.len() > MOST_DIGITS {
        return None;
    }
    // A queue of a million names is read by this: it looks at every digit and decides once.
    let (number, all_hex) = text.bytes().fold((0_u64, true), |(number, all_hex), byte| {
        let (digit, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'A'));
        let value = if digit < 10 { digit } else { letter.wrapping_add(10) };
        ((number << 4) | u64::from(value & 0xF), all_hex & ((digit < 10) | (letter < 6)))
    });
    if all_hex { u32::try_from(number).ok() } else { None }
}
