//! The record walk: where WAL ends in the bytes of one segment. It follows the records by length, `xl_prev` and CRC, and
//! never decodes what is in them.

mod chain;
mod gathered;
mod layout;
mod open_record;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use super::{Lsn, SegmentSize};
use chain::Chain;
use layout::{OPENGAUSS, POSTGRESQL};

/// Where the WAL of a segment ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WalEnd {
    /// At the end of the segment: every page is in place, and the records reach the end or cross it.
    Whole,
    /// At a switch record, which is the last one: the rest of the segment is unused.
    Switched {
        /// The end of the switch record.
        at: Lsn,
    },
    /// Before the end of the segment.
    Ends {
        /// The end of the last whole record, rounded up to 8 bytes as servers do; the start of the segment if no record
        /// that ends here could be checked.
        at: Lsn,
        /// What follows.
        followed_by: Tail,
    },
    /// Not known: no CRC matched, so the records are encrypted, of an unknown layout, or broken from the first one on.
    Unknown,
}

/// What follows the end of WAL in a segment that is neither whole nor switched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Only zeros.
    Zeros,
    /// Other bytes, as in a recycled file, without proof that a record began there.
    NotWal,
    /// A record that certainly began there and is not whole: it links to the record before it, or the page before it says
    /// how many bytes follow, but the bytes are not there.
    BrokenRecord,
    /// No more bytes: the file is shorter than a segment.
    Nothing,
}

/// The first record that begins in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstRecord {
    /// Where it begins.
    pub at: Lsn,
    /// Where the record before it begins (`xl_prev`): in an earlier segment, or [`Lsn::ZERO`] after `pg_resetwal`.
    pub previous: Lsn,
}

/// What the walk found in a segment.
#[derive(Clone, Debug)]
pub struct SegmentRecords {
    /// Where its WAL ends.
    pub end: WalEnd,
    /// How many bytes of an earlier record follow from the start of the segment on (`xlp_rem_len`), the part in later
    /// segments included.
    pub continued_bytes: u64,
    /// The first record that begins in it and is whole or crosses its end; `None` also if its header crosses it.
    pub first: Option<FirstRecord>,
    /// How many bytes of its last record are in later segments.
    pub missing_bytes: u64,
    /// The walk as it was at the end of the segment.
    walk: RecordWalk,
}

impl SegmentRecords {
    /// Walks over a segment in memory.
    #[must_use]
    pub fn of(start: Lsn, size: SegmentSize, bytes: &[u8]) -> Self {
        let mut walk = RecordWalk::new(start, size);
        walk.take(bytes);
        walk.finish()
    }

    /// The position of the first byte that is not WAL; `None` if it is not known.
    #[must_use]
    pub fn end_lsn(&self) -> Option<Lsn> {
        match self.end {
            WalEnd::Whole => Some(self.walk.chain.segment_end()),
            WalEnd::Switched { at } | WalEnd::Ends { at, .. } => Some(at),
            WalEnd::Unknown => None,
        }
    }
}

/// A walk over the records of one segment, which takes the bytes in any pieces.
///
/// Both layouts of a record's header are tried until a CRC matches in one of them: neither the version nor the magic of
/// the pages is asked.
#[derive(Clone, Debug)]
pub struct RecordWalk {
    chain: Chain,
    /// The other layout, until a CRC matches in either.
    other: Option<Chain>,
}

impl RecordWalk {
    /// Begins at the start of a segment whose neighbours are not known.
    #[must_use]
    pub const fn new(start: Lsn, size: SegmentSize) -> Self {
        let other = Some(Chain::new(&OPENGAUSS, start, size));
        Self { chain: Chain::new(&POSTGRESQL, start, size), other }
    }

    /// Goes on in the segment after one that is whole or switched: its first record has to link to the last record of
    /// `before`, and a record that crosses is checked as a whole. `None` if the segment before does not reach its end.
    ///
    /// If the two do not fit together, WAL ends at the start of the segment.
    #[must_use]
    pub fn after(before: &SegmentRecords) -> Option<Self> {
        let reaches_end = matches!(before.end, WalEnd::Whole | WalEnd::Switched { .. });
        let RecordWalk { chain, other } = before.walk.clone();
        let chain = if reaches_end { chain.next_segment()? } else { return None };
        Some(Self { chain, other: other.and_then(Chain::next_segment) })
    }

    /// Takes the next bytes of the segment; what exceeds its size is ignored.
    pub fn take(&mut self, bytes: &[u8]) {
        self.chain.take(bytes);
        if self.chain.has_matched() {
            self.other = None;
        } else if let Some(mut other) = self.other.take() {
            other.take(bytes);
            if other.has_matched() {
                self.chain = other;
            } else {
                self.other = Some(other);
            }
        }
    }

    /// Ends the walk after the last byte of the segment.
    #[must_use]
    pub fn finish(mut self) -> SegmentRecords {
        // A segment of a continuation and a record that crosses its end has no CRC that could match.
        if self.chain.end() == WalEnd::Unknown {
            let whole = self.other.take().filter(|other| other.end() == WalEnd::Whole);
            self.chain = whole.unwrap_or(self.chain);
        }
        let end = self.chain.end();
        SegmentRecords {
            end,
            continued_bytes: self.chain.continued_bytes(),
            first: self.chain.first(),
            missing_bytes: if end == WalEnd::Whole { self.chain.missing_bytes() } else { 0 },
            walk: self,
        }
    }
}
