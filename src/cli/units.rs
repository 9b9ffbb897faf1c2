//! Sizes, durations and ways of packing as people type them.

use std::str::FromStr;
use std::time;

use chrono::{DateTime, NaiveDate};

use crate::commands::HoldFrom;
use crate::wal::{ParseError, SegmentName, SegmentRange};

/// A number of bytes: plain, or with `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size(pub u64);

/// A time: a number with `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Duration(pub time::Duration);

/// Segments that somebody gives up: `FROM..TO`, both included, or one alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lost(pub SegmentRange);

impl FromStr for Lost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let named = |name: &str| name.parse::<SegmentName>().map_err(|error| error.to_string());
        SegmentRange::new(named(from)?, named(to)?)
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no range: both have to be of one timeline, and in order"))
    }
}

/// From where on a hold keeps WAL: a segment's name, or an LSN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position(pub HoldFrom);

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_lsn = text.contains('/');
        let lsn = || text.parse().map(HoldFrom::Position).map_err(|error: ParseError| error.to_string());
        let segment = || text.parse().map(HoldFrom::Segment).map_err(|error: ParseError| error.to_string());
        if is_lsn { lsn() } else { segment() }.map(Self)
    }
}

/// A time: RFC 3339, or a date, which ends with its day in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment(pub time::SystemTime);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of_day = |date: NaiveDate| Some(date.succ_opt()?.and_hms_opt(0, 0, 0)?.and_utc());
        let of_date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(of_day);
        let of_time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
        let seconds = of_time.or_else(of_date).and_then(|time| u64::try_from(time.timestamp()).ok());
        let since_1970 = seconds.map(time::Duration::from_secs);
        since_1970
            .and_then(|since| time::SystemTime::UNIX_EPOCH.checked_add(since))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no time such as 2026-12-31, or 2026-12-31T18:00:00Z"))
    }
}

/// How fast something may go, in bytes a second: a size and `/s`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate(pub u64);

/// How many files are archived before their server asks for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Files(pub usize);

impl Files {
    /// More than this would let the server wait long for the one that it asked for.
    const MOST: usize = 1024;
}

/// How many files are worked on at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Jobs(pub usize);

impl Jobs {
    /// More than this only costs memory.
    const MOST: usize = 256;
}

/// How segments are packed: `none` or `zstd[:LEVEL]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    None,
    Zstd { level: i32 },
}

impl Compression {
    /// The level where nobody says one.
    pub const DEFAULT_LEVEL: i32 = 1;
}

/// Splits digits from what follows them.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (number, unit) = number_and_unit(text)?;
            let shift = match unit {
                "" => 0,
                "KiB" => 10,
                "MiB" => 20,
                "GiB" => 30,
                "TiB" => 40,
                _ => return None,
            };
            number.checked_mul(1 << shift).map(Self)
        };
        parse().ok_or_else(|| format!("'{text}' is not a size such as 512MiB or 20GiB"))
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (number, unit) = number_and_unit(text)?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            number.checked_mul(seconds).map(|seconds| Self(time::Duration::from_secs(seconds)))
        };
        parse().ok_or_else(|| format!("'{text}' is not a duration such as 30s, 10m, 12h or 7d"))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.strip_suffix("/s").and_then(|size| size.parse().ok());
        let rate = size.filter(|Size(bytes)| *bytes > 0).map(|Size(bytes)| Self(bytes));
        rate.ok_or_else(|| format!("'{text}' is not a rate such as 100MiB/s"))
    }
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (1..=Self::MOST).contains(number));
        number.map(Self).ok_or_else(|| format!("'{text}' is not a number from 1 to {}", Self::MOST))
    }
}

impl FromStr for Files {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| *number <= Self::MOST);
        number.map(Self).ok_or_else(|| format!("'{text}' is not a number from 0 to {}", Self::MOST))
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "none" => Some(Self::None),
            None if text == "zstd" => Some(Self::Zstd { level: Self::DEFAULT_LEVEL }),
            Some(("zstd", level)) => {
                let level = level.parse().ok().filter(|level| (1..=19).contains(level));
                level.map(|level| Self::Zstd { level })
            }
            _ => None,
        }
        .ok_or_else(|| format!("'{text}' is neither none nor zstd, nor zstd:LEVEL with a level from 1 to 19"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_durations_and_packing_are_read_as_typed() {
        assert_eq!("20GiB".parse(), Ok(Size(20 << 30)));
        assert_eq!("0".parse(), Ok(Size(0)));
        assert_eq!("90s".parse(), Ok(Duration(time::Duration::from_secs(90))));
        assert_eq!("7d".parse(), Ok(Duration(time::Duration::from_secs(7 * 86_400))));
        assert_eq!("100MiB/s".parse(), Ok(Rate(100 << 20)));
        assert_eq!("8".parse(), Ok(Jobs(8)));
        assert_eq!("none".parse(), Ok(Compression::None));
        assert_eq!("zstd:3".parse(), Ok(Compression::Zstd { level: 3 }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "GiB", "1GB", "-1", "99999999999999999999", "18446744073709551615KiB", "1 2"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["", "5", "m", "1y", "-1s", "18446744073709551615d"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
        for text in ["", "100MiB", "/s", "0/s", "1MiB/m", "MiB/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        for text in ["", "0", "257", "-1", "two"] {
            assert!(text.parse::<Jobs>().is_err(), "{text}");
        }
        for text in ["", "gzip", "zstd:", "zstd:0", "zstd:20", "none:1"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
