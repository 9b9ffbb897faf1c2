use super::gathered::{Gathered, is_zero};
use crate::wal::Lsn;

/// Where the fields of a record's header are. The total length is at 0 in all of them.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct RecordLayout {
    pub header_bytes: usize,
    previous: usize,
    info: usize,
    resource_manager: usize,
    crc: usize,
}

/// `XLogRecord` of PostgreSQL from 9.5 on.
pub(super) static POSTGRESQL: RecordLayout =
    RecordLayout { header_bytes: 24, previous: 8, info: 16, resource_manager: 17, crc: 20 };

/// `XLogRecord` of openGauss: `xl_term` before a transaction number of 64 bits, a bucket before the CRC.
pub(super) static OPENGAUSS: RecordLayout =
    RecordLayout { header_bytes: 32, previous: 16, info: 24, resource_manager: 25, crc: 28 };

impl RecordLayout {
    /// The length of the record at the start of `bytes`; `None` unless it is whole, links to `previous`, has a right CRC
    /// and is not a switch.
    #[inline]
    pub fn whole_record(&self, bytes: &[u8], previous: Lsn) -> Option<usize> {
        let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let (header, body) = bytes.get(..total)?.split_at_checked(self.header_bytes)?;
        let covered = header.get(..self.crc)?;
        let links = covered.get(self.previous..)?.first_chunk() == Some(&previous.get().to_le_bytes());
        let crc = header.get(self.crc..)?.first_chunk()?;
        // A switch has no body.
        let is_whole = links && !body.is_empty();
        (is_whole && crc32c::crc32c_append(crc32c::crc32c(body), covered) == u32::from_le_bytes(*crc))
            .then_some(total)
    }
}

/// Length of the longest header.
const MOST_HEADER_BYTES: usize = 32;

/// No server can read a longer record: it has to fit in one allocation (`MaxAllocSize`).
const MOST_RECORD_BYTES: u32 = 0x3FFF_FFFF;

/// `RM_XLOG_ID`, and `XLOG_SWITCH` among its records.
const XLOG: u8 = 0;
const SWITCH: u8 = 0x40;

/// The header of a record, as far as it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHeader(Gathered<MOST_HEADER_BYTES>);

impl RecordHeader {
    pub const EMPTY: Self = Self(Gathered::EMPTY);

    /// Takes bytes until `wanted` are there; returns how many it took.
    pub fn fill(&mut self, wanted: usize, from: &[u8]) -> usize {
        self.0.fill(wanted, from)
    }

    pub const fn filled(&self) -> usize {
        self.0.filled()
    }

    /// Whether all that was taken is zero.
    pub fn is_zero(&self) -> bool {
        is_zero(self.0.bytes())
    }

    /// The record's length if it can be one.
    pub fn total_bytes(&self, layout: &RecordLayout) -> Option<u32> {
        let total = u32::from_le_bytes(self.0.field(0)?);
        let fits = total <= MOST_RECORD_BYTES && total as usize >= layout.header_bytes;
        fits.then_some(total)
    }

    /// `xl_prev`, once it was taken.
    pub fn previous(&self, layout: &RecordLayout) -> Option<Lsn> {
        let bytes = if self.filled() >= layout.previous + 8 { self.0.field(layout.previous) } else { None };
        bytes.map(u64::from_le_bytes).map(Lsn::new)
    }

    /// Whether the CRC is right, given that of the bytes after the header.
    pub fn crc_matches(&self, layout: &RecordLayout, body_crc: u32) -> bool {
        let covered = self.0.bytes().get(..layout.crc).unwrap_or_default();
        self.0.field(layout.crc).map(u32::from_le_bytes) == Some(crc32c::crc32c_append(body_crc, covered))
    }

    /// Whether the record ends the use of its segment.
    pub fn is_switch(&self, layout: &RecordLayout) -> bool {
        let is_bare = self.total_bytes(layout).is_some_and(|total| total as usize == layout.header_bytes);
        let byte = |at| self.0.bytes().get(at).copied();
        let info = byte(layout.info).map(|info| info & 0xF0);
        is_bare && info == Some(SWITCH) && byte(layout.resource_manager) == Some(XLOG)
    }
}
