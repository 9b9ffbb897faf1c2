use super::layout::{RecordHeader, RecordLayout};

/// A record of which some bytes were taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub at: u64,
    pub header: RecordHeader,
    /// Bytes that were not taken yet; of the first eight only, until they are there.
    pub missing: u64,
    /// CRC of what was taken after the header.
    pub body_crc: u32,
    /// Whether `xl_prev` is known to name the record before.
    pub linked: bool,
}

impl Open {
    pub const fn begin(at: u64) -> Self {
        Self { at, header: RecordHeader::EMPTY, missing: 8, body_crc: 0, linked: false }
    }

    /// Takes bytes of one part of the record: its length, the rest of its header, or what follows.
    pub fn take(&mut self, layout: &RecordLayout, bytes: &[u8]) -> usize {
        let filled = self.header.filled();
        let taken = if filled < 8 {
            self.header.fill(8, bytes)
        } else if filled < layout.header_bytes {
            self.header.fill(layout.header_bytes, bytes)
        } else {
            let body = bytes.get(..least(&[self.missing, bytes.len() as u64])).unwrap_or(bytes);
            self.body_crc = crc32c::crc32c_append(self.body_crc, body);
            body.len()
        };
        self.missing -= taken as u64;
        taken
    }
}

/// The least of some counts of bytes.
pub(super) fn least(counts: &[u64]) -> usize {
    counts.iter().min().map_or(0, |least| usize::try_from(*least).unwrap_or(usize::MAX))
}
