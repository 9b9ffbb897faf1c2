use super::gathered::{Gathered, is_zero};
use super::layout::RecordLayout;
use super::open_record::{Open, least};
use super::{FirstRecord, Tail, WalEnd};
use crate::wal::{LONG_HEADER_BYTES, LongPageHeader, Lsn, PageHeader, SHORT_HEADER_BYTES, SegmentSize};

/// Records begin at multiples of this (`MAXALIGN`).
const ALIGNMENT: u64 = 8;

/// The page begins with the rest of a record (`XLP_FIRST_IS_CONTRECORD`).
const CONTINUES: u16 = 0x0001;

/// The page begins where the rest of a record never came (`XLP_FIRST_IS_OVERWRITE_CONTRECORD`): 8, from 19 on 4. Up to 18,
/// 4 says that no backup ran, but no such page follows a record that is incomplete.
const OVERWRITES: u16 = 0x0008 | 0x0004;

/// The records of a segment under one layout, each linked to the one before it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    layout: &'static RecordLayout,
    start: u64,
    size: u64,
    /// How many bytes of the segment were taken.
    offset: u64,
    page_header: Gathered<LONG_HEADER_BYTES>,
    block_bytes: u64,
    /// Bytes of the current page after its header that were not taken yet.
    page_left: u64,
    magic: Option<u16>,
    timeline: u32,
    stage: Stage,
    /// Whether a CRC has matched.
    matched: bool,
    /// Whether a record that the server gave up began after the last whole one.
    gave_up: bool,
    /// The start of the last whole record.
    previous: Option<Lsn>,
    /// The end of the last whole record in this segment.
    whole_to: u64,
    continued_bytes: u64,
    first: Option<FirstRecord>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Between two records.
    Between,
    /// In a record that began before the walk.
    Continuation { missing: u64 },
    /// In a record.
    Record(Open),
    /// After the end of WAL.
    Done(Stop),
}

/// Why the walk does not go on.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Switched,
    /// The next page is not one of this segment, or has no record.
    NotWal {
        rest_is_zero: bool,
    },
    /// A record certainly began, and is not whole.
    BrokenRecord,
    /// What follows could be a record in another layout.
    Unreadable,
}

impl Stop {
    /// What it means that a record is not whole.
    const fn of_broken(open: &Open) -> Self {
        if open.linked { Self::BrokenRecord } else { Self::Unreadable }
    }
}

impl Chain {
    pub const fn new(layout: &'static RecordLayout, start: Lsn, size: SegmentSize) -> Self {
        Self {
            layout,
            start: start.get(),
            size: size.bytes(),
            offset: 0,
            page_header: Gathered::EMPTY,
            block_bytes: 0,
            page_left: 0,
            magic: None,
            timeline: 0,
            stage: Stage::Between,
            matched: false,
            gave_up: false,
            previous: None,
            whole_to: start.get(),
            continued_bytes: 0,
            first: None,
        }
    }

    /// The same chain at the start of the next segment; `None` past the end of the log.
    pub fn next_segment(self) -> Option<Self> {
        let start = self.start.checked_add(self.size)?;
        let stage = match self.stage {
            Stage::Done(_) => Stage::Between,
            stage => stage,
        };
        Some(Self {
            start,
            offset: 0,
            page_header: Gathered::EMPTY,
            page_left: 0,
            stage,
            whole_to: start,
            continued_bytes: 0,
            first: None,
            ..self
        })
    }

    pub const fn has_matched(&self) -> bool {
        self.matched
    }

    pub const fn continued_bytes(&self) -> u64 {
        self.continued_bytes
    }

    pub fn first(&self) -> Option<FirstRecord> {
        match self.stage {
            Stage::Record(open) if self.end() == WalEnd::Whole => {
                self.first.or_else(|| self.first_from(&open))
            }
            _ => self.first,
        }
    }

    /// A record as the first one of this segment; `None` if it began in an earlier one.
    fn first_from(&self, open: &Open) -> Option<FirstRecord> {
        let previous = open.header.previous(self.layout)?;
        (open.at >= self.start).then_some(FirstRecord { at: Lsn::new(open.at), previous })
    }

    pub const fn segment_end(&self) -> Lsn {
        Lsn::new(self.start.saturating_add(self.size))
    }

    /// How many bytes of the record that is being read were not taken.
    pub const fn missing_bytes(&self) -> u64 {
        match self.stage {
            Stage::Continuation { missing } => missing,
            Stage::Record(open) => open.missing,
            Stage::Between | Stage::Done(_) => 0,
        }
    }

    pub fn end(&self) -> WalEnd {
        let at = Lsn::new(self.whole_to);
        let ends = |followed_by| WalEnd::Ends { at, followed_by };
        match self.stage {
            Stage::Done(Stop::Switched) => WalEnd::Switched { at },
            Stage::Done(Stop::BrokenRecord) => ends(Tail::BrokenRecord),
            Stage::Done(Stop::Unreadable) if !self.matched => WalEnd::Unknown,
            Stage::Done(Stop::NotWal { rest_is_zero: true }) if self.offset == self.size => ends(Tail::Zeros),
            Stage::Done(Stop::NotWal { .. } | Stop::Unreadable) => ends(Tail::NotWal),
            _ if self.offset == self.size => WalEnd::Whole,
            Stage::Record(open) if open.linked => ends(Tail::BrokenRecord),
            _ => ends(Tail::Nothing),
        }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let wanted = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
        let mut rest = bytes.get(..wanted).unwrap_or(bytes);
        // Every turn takes a byte at least.
        while !rest.is_empty() {
            let taken = match self.stage {
                Stage::Done(stop) => self.pass(stop, rest),
                _ if self.page_left == 0 => self.take_page_header(rest),
                Stage::Between => self.take_next_record(rest),
                Stage::Continuation { missing } => self.take_continuation(missing, rest),
                Stage::Record(open) => self.take_record(open, rest),
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Looks for a byte that is not zero after the end of WAL.
    fn pass(&mut self, stop: Stop, rest: &[u8]) -> usize {
        if matches!(stop, Stop::NotWal { rest_is_zero: true }) && !is_zero(rest) {
            self.stage = Stage::Done(Stop::NotWal { rest_is_zero: false });
        }
        self.offset += rest.len() as u64;
        rest.len()
    }

    fn stop(&mut self, stop: Stop) {
        let broken = self.gave_up && !matches!(stop, Stop::Switched);
        self.stage = Stage::Done(if broken { Stop::BrokenRecord } else { stop });
    }

    fn take_page_header(&mut self, rest: &[u8]) -> usize {
        let before = self.offset - self.page_header.filled() as u64;
        let wanted = if before == 0 { LONG_HEADER_BYTES } else { SHORT_HEADER_BYTES };
        let taken = self.page_header.fill(wanted, rest);
        self.offset += taken as u64;
        if self.page_header.filled() == wanted {
            let bytes = *std::mem::replace(&mut self.page_header, Gathered::EMPTY).bytes();
            let page = if before == 0 { self.first_page(&bytes) } else { self.later_page(&bytes, before) };
            match page {
                Ok(page) => self.enter(page, before == 0, self.block_bytes - wanted as u64),
                Err(stop) => self.leave(stop),
            }
        }
        taken
    }

    /// The header of the first page, if it is the one of this segment.
    fn first_page(&mut self, bytes: &[u8; LONG_HEADER_BYTES]) -> Result<PageHeader, Stop> {
        let rest_is_zero = is_zero(bytes);
        let nothing = if rest_is_zero { Stop::NotWal { rest_is_zero } } else { Stop::Unreadable };
        let header = LongPageHeader::parse(bytes).map_err(|_| nothing)?;
        let fits = header.segment_size.bytes() == self.size && self.fits(&header.page, 0);
        self.block_bytes = header.block_bytes.into();
        self.magic = Some(header.page.magic);
        if fits { Ok(header.page) } else { Err(Stop::NotWal { rest_is_zero }) }
    }

    /// The header of a later page, if it is the one of this place.
    fn later_page(&self, bytes: &[u8; LONG_HEADER_BYTES], offset: u64) -> Result<PageHeader, Stop> {
        let fits = |page: &PageHeader| !page.is_long() && self.fits(page, offset);
        PageHeader::parse(bytes).filter(fits).ok_or(Stop::NotWal { rest_is_zero: is_zero(bytes) })
    }

    fn fits(&self, page: &PageHeader, offset: u64) -> bool {
        Some(page.page_address.get()) == self.start.checked_add(offset)
            && self.magic.is_none_or(|magic| magic == page.magic)
            && page.timeline >= self.timeline
    }

    /// Ends at a page that is not one of this segment, perhaps within a record.
    fn leave(&mut self, stop: Stop) {
        let stop = match self.stage {
            Stage::Continuation { missing } if missing > 0 => Stop::BrokenRecord,
            Stage::Record(open) => Stop::of_broken(&open),
            _ => stop,
        };
        self.stop(stop);
    }

    /// Goes on in a page that is in place, if what it begins with fits what the page before it ended with.
    fn enter(&mut self, page: PageHeader, is_first: bool, page_left: u64) {
        self.timeline = page.timeline;
        self.page_left = page_left;
        let continues = page.info & CONTINUES != 0;
        let remaining = u64::from(page.remaining);
        if is_first && continues {
            self.continued_bytes = remaining;
        }
        let is_unknown = is_first && self.previous.is_none() && self.missing_bytes() == 0;
        let overwrites = !continues && remaining == 0 && page.info & OVERWRITES != 0;
        match self.missing_bytes() {
            _ if is_unknown && continues && remaining > 0 => {
                self.stage = Stage::Continuation { missing: remaining }
            }
            0 if !continues => {}
            missing if missing > 0 && continues && remaining == missing => {}
            missing if missing > 0 && overwrites => {
                self.gave_up |= matches!(self.stage, Stage::Record(open) if open.linked);
                self.stage = Stage::Between;
            }
            _ => self.leave(Stop::NotWal { rest_is_zero: false }),
        }
    }

    /// Takes bytes of the current page.
    fn advance(&mut self, taken: usize) {
        self.offset += taken as u64;
        self.page_left = self.page_left.saturating_sub(taken as u64);
    }

    fn take_continuation(&mut self, missing: u64, rest: &[u8]) -> usize {
        let taken = least(&[missing, self.page_left, rest.len() as u64]);
        let missing = missing - taken as u64;
        self.stage = if missing == 0 { Stage::Between } else { Stage::Continuation { missing } };
        self.advance(taken);
        taken
    }

    /// Takes what is between two records, or the beginning of a record.
    fn take_next_record(&mut self, rest: &[u8]) -> usize {
        let padding = self.offset.next_multiple_of(ALIGNMENT) - self.offset;
        if padding > 0 {
            let taken = least(&[padding, rest.len() as u64]);
            self.advance(taken);
            return taken;
        }
        let whole = self.take_whole_records(rest);
        if whole > 0 {
            return whole;
        }
        let at = self.start.saturating_add(self.offset);
        self.take_record(Open::begin(at), rest)
    }

    /// Takes the records that are whole in the rest of the page and in order, and the padding after them: nearly all, and
    /// fast. Any other record is left to [`Chain::take_record`], which alone judges what is wrong with it.
    fn take_whole_records(&mut self, rest: &[u8]) -> usize {
        let here = rest.get(..least(&[self.page_left, rest.len() as u64])).unwrap_or(rest);
        let (Some(mut previous), Some(_)) = (self.previous, self.first) else { return 0 };
        let begin = self.start.saturating_add(self.offset);
        let mut taken = 0;
        let mut whole_to = self.whole_to;
        while let Some(length) = here.get(taken..).and_then(|rest| self.layout.whole_record(rest, previous)) {
            previous = Lsn::new(begin.saturating_add(taken as u64));
            let end = (taken + length).next_multiple_of(8);
            whole_to = begin.saturating_add(end as u64);
            taken = end.min(here.len());
        }
        if taken > 0 {
            self.previous = Some(previous);
            self.whole_to = whole_to;
            self.gave_up = false;
            self.advance(taken);
        }
        taken
    }

    fn take_record(&mut self, mut open: Open, rest: &[u8]) -> usize {
        let here = rest.get(..least(&[self.page_left, rest.len() as u64])).unwrap_or(rest);
        let mut taken = 0;
        let mut verdict = Ok(());
        // A record is taken in three steps at most: its length, the rest of its header, what follows that.
        while let Some(bytes) = here.get(taken..).filter(|bytes| !bytes.is_empty() && open.missing > 0) {
            taken += open.take(self.layout, bytes);
            verdict = self.judge(&mut open);
            if verdict.is_err() {
                break;
            }
        }
        self.advance(taken);
        match verdict {
            Err(stop) => self.stop(stop),
            Ok(()) if open.missing == 0 => self.close(&open),
            Ok(()) => self.stage = Stage::Record(open),
        }
        taken
    }

    /// Judges the header of a record as far as it was taken.
    fn judge(&self, open: &mut Open) -> Result<(), Stop> {
        if open.header.filled() == 8 && open.missing == 0 {
            let rest_is_zero = open.header.is_zero();
            let refused = if rest_is_zero { Stop::NotWal { rest_is_zero } } else { Stop::Unreadable };
            open.missing = open.header.total_bytes(self.layout).ok_or(refused)?.saturating_sub(8).into();
        }
        if !open.linked
            && let Some(previous) = open.header.previous(self.layout)
        {
            match self.previous {
                Some(expected) if previous == expected => open.linked = true,
                // The record before is in an earlier segment.
                None if previous.get() < self.start => {}
                _ => return Err(Stop::Unreadable),
            }
        }
        Ok(())
    }

    /// Ends a record whose every byte was taken.
    fn close(&mut self, open: &Open) {
        if !open.header.crc_matches(self.layout, open.body_crc) {
            return self.stop(Stop::of_broken(open));
        }
        self.matched = true;
        self.gave_up = false;
        self.first = self.first.or_else(|| self.first_from(open));
        self.previous = Some(Lsn::new(open.at));
        self.whole_to = self.start.saturating_add(self.offset.next_multiple_of(ALIGNMENT));
        self.stage = Stage::Between;
        if open.header.is_switch(self.layout) {
            self.stop(Stop::Switched);
        }
    }
}
