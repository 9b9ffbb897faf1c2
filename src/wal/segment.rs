use std::fmt;
use std::str::FromStr;

use super::{Lsn, ParseError, Timeline, upper_hex};

/// The size of a cluster's WAL segments: a power of two from 1 MiB to 1 GiB (initdb's `--wal-segsize`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SegmentSize(u32);

impl SegmentSize {
    const SMALLEST: u64 = 1 << 20;
    const LARGEST: u64 = 1 << 30;

    /// `None` unless the number of bytes is a power of two from 1 MiB to 1 GiB.
    #[must_use]
    pub fn new(bytes: u64) -> Option<Self> {
        let valid = bytes.is_power_of_two() && (Self::SMALLEST..=Self::LARGEST).contains(&bytes);
        if valid { u32::try_from(bytes).ok().map(Self) } else { None }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 as u64
    }

    /// How many segments share the middle eight digits of a name (`XLogSegmentsPerXLogId`).
    #[must_use]
    pub const fn segments_per_log(self) -> u64 {
        (1 << 32) / self.bytes()
    }
}

impl fmt::Display for SegmentSize {
    /// Shows the size in MiB, which every valid size is a multiple of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.bytes() >> 20)
    }
}

/// Which segment of the log, counted from its beginning, whatever the timeline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentNumber(u64);

impl SegmentNumber {
    /// Takes a count of segments since the log began.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The segment that the position lies in.
    #[must_use]
    pub fn containing(lsn: Lsn, size: SegmentSize) -> Self {
        Self(lsn.get() / size.bytes())
    }

    /// The count of segments before this one.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position of its first byte; `None` past the end of the log.
    #[must_use]
    pub fn start(self, size: SegmentSize) -> Option<Lsn> {
        self.0.checked_mul(size.bytes()).map(Lsn::new)
    }

    /// The segment after this one; `None` past the end of the log.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// A segment's file name: timeline, log and segment within the log, eight hexadecimal digits each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    timeline: Timeline,
    log: u32,
    segment_in_log: u32,
}

impl SegmentName {
    /// The name of a segment; `None` where the log does not reach so far.
    #[must_use]
    pub fn new(timeline: Timeline, number: SegmentNumber, size: SegmentSize) -> Option<Self> {
        let per_log = size.segments_per_log();
        Some(Self {
            timeline,
            log: u32::try_from(number.get() / per_log).ok()?,
            segment_in_log: u32::try_from(number.get() % per_log).ok()?,
        })
    }

    /// The timeline that wrote the segment.
    #[must_use]
    pub const fn timeline(self) -> Timeline {
        self.timeline
    }

    /// Whether the first sixteen digits of two names are the same.
    #[must_use]
    pub fn shares_log_with(self, other: Self) -> bool {
        (self.timeline, self.log) == (other.timeline, other.log)
    }

    /// Whether a segment lies before another one in the log, whatever their timelines are.
    #[must_use]
    pub fn lies_before(self, other: Self) -> bool {
        (self.log, self.segment_in_log) < (other.log, other.segment_in_log)
    }

    /// The 24 digits as one number, in the order of the names and from 2^64 on.
    pub(super) fn as_number(self) -> u128 {
        let digits = |part: u32| u128::from(part);
        digits(self.timeline.get()) << 64 | digits(self.log) << 32 | digits(self.segment_in_log)
    }

    /// The segment's number; `None` where no segment of this size bears the name.
    #[must_use]
    pub fn number(self, size: SegmentSize) -> Option<SegmentNumber> {
        let within = u64::from(self.segment_in_log);
        let per_log = size.segments_per_log();
        (within < per_log).then(|| SegmentNumber(u64::from(self.log) * per_log + within))
    }

    /// The position of the segment's first byte; `None` where no segment of this size bears the name.
    #[must_use]
    pub fn start(self, size: SegmentSize) -> Option<Lsn> {
        self.number(size).map(|number| Lsn::new(number.get() * size.bytes()))
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline.get(), self.log, self.segment_in_log)
    }
}

impl FromStr for SegmentName {
    type Err = ParseError;

    /// Reads exactly 24 upper-case hexadecimal digits with a timeline other than 0.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let part = |range| text.get(range);
        let parse = || {
            Some(Self {
                timeline: Timeline::new(upper_hex(part(0..8)?)?)?,
                log: upper_hex(part(8..16)?)?,
                segment_in_log: upper_hex(part(16..24)?)?,
            })
        };
        Some(())
            .filter(|()| text.len() == 24)
            .and_then(|()| parse())
            .ok_or_else(|| ParseError::new("a segment name of 24 hexadecimal digits", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes() -> impl Strategy<Value = SegmentSize> {
        (20u32..=30).prop_map(|bits| SegmentSize::new(1 << bits).unwrap())
    }

    #[test]
    fn only_powers_of_two_from_one_mebibyte_to_one_gibibyte_are_sizes() {
        for bytes in [0, 1, 1 << 19, (1 << 20) + 1, 3 << 20, 1 << 31, u64::MAX] {
            assert!(SegmentSize::new(bytes).is_none(), "{bytes}");
        }
        assert_eq!(SegmentSize::new(16 << 20).unwrap().segments_per_log(), 256);
    }

    #[test]
    fn names_carry_over_where_the_servers_do() {
        let one = SegmentSize::new(1 << 20).unwrap();
        let name: SegmentName = "000000010000000000000FFF".parse().unwrap();
        let next = SegmentName::new(name.timeline(), name.number(one).unwrap().next().unwrap(), one).unwrap();
        assert_eq!(next.to_string(), "000000010000000100000000");
        let big = SegmentSize::new(1 << 30).unwrap();
        assert!("000000010000000000000004".parse::<SegmentName>().unwrap().number(big).is_none());
    }

    #[test]
    fn what_is_no_segment_name_is_refused() {
        for text in [
            "",
            "000000010000000000000003 ",
            "00000001000000000000000g",
            "00000001000000000000000a",
            "000000000000000000000001",
            "+00000010000000000000003",
            "00000001000000000000000",
            "0000000100000000000000ä",
        ] {
            assert!(text.parse::<SegmentName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_and_numbers_round_trip(timeline in 1u32.., log: u32, bits in 20u32..=30, within: u32) {
            let size = SegmentSize::new(1 << bits).unwrap();
            let number = SegmentNumber::new(
                u64::from(log) * size.segments_per_log() + u64::from(within) % size.segments_per_log(),
            );
            let name = SegmentName::new(Timeline::new(timeline).unwrap(), number, size).unwrap();
            prop_assert_eq!(name.number(size), Some(number));
            prop_assert_eq!(name.to_string().parse::<SegmentName>().unwrap(), name);
            prop_assert_eq!(SegmentNumber::containing(name.start(size).unwrap(), size), number);
        }

        #[test]
        fn order_of_names_is_order_of_positions(a: u32, b: u32, size in sizes()) {
            let name = |n: u32| SegmentName::new(Timeline::FIRST, SegmentNumber::new(n.into()), size).unwrap();
            prop_assert_eq!(name(a).cmp(&name(b)), name(a).to_string().cmp(&name(b).to_string()));
            prop_assert_eq!(name(a).cmp(&name(b)), a.cmp(&b));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<SegmentName>();
        }
    }
}
