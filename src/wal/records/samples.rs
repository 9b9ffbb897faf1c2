//! A log that the tests write, as a server lays out its records and pages.

use std::fmt;

use super::layout::{OPENGAUSS, POSTGRESQL, RecordLayout};
use crate::wal::{Lsn, SegmentSize};

pub(super) const SIZE: u64 = 1 << 20;
pub(super) const START: u64 = 7 << 20;

/// A record of the log: where it begins, and where its last byte ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub at: u64,
    pub end: u64,
    pub previous: u64,
}

/// Segments of 1 MiB from [`START`] on.
#[derive(Clone)]
pub(super) struct Log {
    pub layout: &'static RecordLayout,
    pub block: u64,
    pub timeline: u32,
    pub magic: u16,
    /// The flags of every page besides its own: 4 if no backup runs.
    pub flags: u16,
    pub bytes: Vec<u8>,
    pub records: Vec<Written>,
    pub previous: u64,
    /// Flags of the next page alone.
    pub next_flags: u16,
}

pub(super) fn size() -> SegmentSize {
    SegmentSize::new(SIZE).unwrap()
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layout, block, records, .. } = self;
        write!(f, "{layout:?}, pages of {block}, {records:X?}")
    }
}

impl Log {
    pub fn new() -> Self {
        Self {
            layout: &POSTGRESQL,
            block: 8192,
            timeline: 3,
            magic: 0xD110,
            flags: 0,
            bytes: Vec::new(),
            records: Vec::new(),
            previous: START - 64,
            next_flags: 0,
        }
    }

    pub fn of_opengauss() -> Self {
        Self { layout: &OPENGAUSS, magic: 0xD074, ..Self::new() }
    }

    /// A log that goes on with `bytes` of a record from the segment before.
    pub fn continuing(mut self, bytes: usize) -> Self {
        self.write(&vec![0x5A; bytes], 1);
        self
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        START + self.bytes.len() as u64
    }

    fn page_header(&mut self, remaining: usize) {
        let position = self.position();
        let is_long = position.is_multiple_of(SIZE);
        let continues = u16::from(remaining > 0);
        let info = continues | if is_long { 2 } else { 0 } | self.flags | self.next_flags;
        self.next_flags = 0;
        self.bytes.extend(self.magic.to_le_bytes());
        self.bytes.extend(info.to_le_bytes());
        self.bytes.extend(self.timeline.to_le_bytes());
        self.bytes.extend(position.to_le_bytes());
        self.bytes.extend(u32::try_from(remaining).unwrap().to_le_bytes());
        self.bytes.extend([0; 4]);
        if is_long {
            self.bytes.extend(0x1234_5678_9ABC_DEF0_u64.to_le_bytes());
            self.bytes.extend(u32::try_from(SIZE).unwrap().to_le_bytes());
            self.bytes.extend(u32::try_from(self.block).unwrap().to_le_bytes());
        }
    }

    /// Begins a page if one is due; it continues a record by `remaining` bytes.
    fn page_if_due(&mut self, remaining: usize) {
        if self.position().is_multiple_of(self.block) {
            self.page_header(remaining);
        }
    }

    fn write(&mut self, mut bytes: &[u8], began: usize) {
        let mut written = began;
        while !bytes.is_empty() {
            self.page_if_due(if written > 0 { bytes.len() } else { 0 });
            let room = self.block - self.position() % self.block;
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap()));
            self.bytes.extend(now);
            written += now.len();
            bytes = later;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    /// The bytes of a record that would begin here.
    pub fn record_bytes(&self, info: u8, resource_manager: u8, body: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        let total = u32::try_from(self.layout.header_bytes + body.len()).unwrap();
        head.extend(total.to_le_bytes());
        head.extend(777_u32.to_le_bytes());
        if self.layout == &OPENGAUSS {
            head.extend([0; 8]);
        }
        head.extend(self.previous.to_le_bytes());
        head.extend([info, resource_manager, 0, 0]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(body), &head);
        head.extend(crc.to_le_bytes());
        head.extend(body);
        head
    }

    pub fn record(&mut self, info: u8, resource_manager: u8, body: &[u8]) -> Written {
        self.page_if_due(0);
        let record = self.record_bytes(info, resource_manager, body);
        let at = self.position();
        self.write(&record, 0);
        // The end is that of the bytes, before they are padded.
        let padding = (record.len().next_multiple_of(8) - record.len()) as u64;
        let written = Written { at, end: self.position() - padding, previous: self.previous };
        self.previous = at;
        self.records.push(written);
        written
    }

    /// A record of `body_bytes` bytes after its header.
    pub fn insert(&mut self, body_bytes: usize) -> Written {
        let body: Vec<u8> = (0..=255).cycle().skip(self.records.len() % 251).take(body_bytes).collect();
        self.record(0x10, 10, &body)
    }

    /// Records until the next one begins exactly `left` bytes before the end of a page.
    pub fn fill_page_but(&mut self, left: u64) {
        let header = self.layout.header_bytes as u64;
        loop {
            self.page_if_due(0);
            let room = self.block - self.position() % self.block;
            match room.checked_sub(left) {
                Some(0) => return,
                Some(room) if (header..2 * header + 64).contains(&room) => {
                    let _ = self.insert(usize::try_from(room - header).unwrap());
                }
                _ => {
                    let _ = self.insert(32);
                }
            }
        }
    }

    /// Begins a record, of which nothing more is written from the next page on, and the page after a crash.
    pub fn give_up_record(&mut self, body_bytes: usize, flag: u16) -> u64 {
        let previous = self.previous;
        let at = self.insert(body_bytes).at;
        let next_page = usize::try_from((at - START) / self.block * self.block + self.block).unwrap();
        self.bytes.truncate(next_page);
        self.records.pop();
        self.previous = previous;
        self.next_flags = flag;
        at
    }

    pub fn switch(&mut self) -> Written {
        self.record(0x40, 0, &[])
    }

    /// Fills the segment with empty pages, as servers up to 10 and openGauss do after a switch.
    pub fn empty_pages(&mut self) {
        let next = |position: u64, unit: u64| position.next_multiple_of(unit);
        let end = next(self.position(), SIZE);
        self.bytes.resize(usize::try_from(next(self.position(), self.block) - START).unwrap(), 0);
        while self.position() < end {
            self.page_header(0);
            self.bytes.resize(usize::try_from(next(self.position(), self.block) - START).unwrap(), 0);
        }
    }

    /// Records of about `body_bytes` until the segment is full.
    pub fn fill_segment(&mut self, body_bytes: usize) {
        while (self.bytes.len() as u64) < SIZE {
            self.insert(body_bytes + self.records.len() % 40);
        }
    }

    /// One segment, zeros where nothing is written.
    pub fn segment(&self, number: usize) -> Vec<u8> {
        let size = usize::try_from(SIZE).unwrap();
        let mut bytes: Vec<u8> = self.bytes.iter().skip(number * size).take(size).copied().collect();
        bytes.resize(size, 0);
        bytes
    }

    /// The end of the last record that is whole before a cut, rounded up to 8 bytes; the start if there is none.
    pub fn whole_to(&self, cut: u64) -> Lsn {
        let whole = self.records.iter().rev().find(|record| record.end <= cut);
        Lsn::new(whole.map_or(START, |record| record.end.next_multiple_of(8)))
    }
}
