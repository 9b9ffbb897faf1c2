use std::fmt;
use std::str::FromStr;

use super::{ParseError, SegmentName, Timeline, upper_hex};

/// The name of a file that a server hands to its archive_command: one of four kinds, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WalFileName {
    /// `NNNNNNNN.history`: where a timeline came from.
    TimelineHistory(Timeline),
    /// A whole segment.
    Segment(SegmentName),
    /// `SEGMENT.OFFSET.backup`: a base backup that began in the segment, at this offset in bytes.
    BackupHistory(SegmentName, u32),
    /// `SEGMENT.partial`: the last segment of a timeline that a promotion ended.
    Partial(SegmentName),
}

/// What kind of file a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WalFileKind {
    /// A timeline's history, small text.
    TimelineHistory,
    /// A whole segment.
    Segment,
    /// A base backup's history, small text.
    BackupHistory,
    /// A timeline's last, unfinished segment, as long as a whole one.
    Partial,
}

impl WalFileName {
    /// The kind of file.
    #[must_use]
    pub const fn kind(self) -> WalFileKind {
        match self {
            Self::TimelineHistory(_) => WalFileKind::TimelineHistory,
            Self::Segment(_) => WalFileKind::Segment,
            Self::BackupHistory(..) => WalFileKind::BackupHistory,
            Self::Partial(_) => WalFileKind::Partial,
        }
    }

    /// The timeline in the name.
    #[must_use]
    pub const fn timeline(self) -> Timeline {
        match self {
            Self::TimelineHistory(timeline) => timeline,
            Self::Segment(name) | Self::BackupHistory(name, _) | Self::Partial(name) => name.timeline(),
        }
    }

    /// The segment in the name; a history has none.
    #[must_use]
    pub const fn segment(self) -> Option<SegmentName> {
        match self {
            Self::TimelineHistory(_) => None,
            Self::Segment(name) | Self::BackupHistory(name, _) | Self::Partial(name) => Some(name),
        }
    }

    /// What the servers sort by when they choose what to archive next: histories before all else, and then the
    /// order of the names as text (`ready_file_comparator` in postmaster/pgarch.c; histories first since the
    /// minor versions of February 2019).
    #[must_use]
    pub fn archive_order(self) -> impl Ord + Copy {
        // A million names are sorted by this: what is compared is two numbers. No timeline is 0.
        const AFTER_EVERY_OFFSET: u64 = 1 << 33;
        match self {
            Self::TimelineHistory(timeline) => (u128::from(timeline.get()), 0),
            Self::Segment(name) => (name.as_number(), 0),
            Self::BackupHistory(name, offset) => (name.as_number(), 1 + u64::from(offset)),
            Self::Partial(name) => (name.as_number(), AFTER_EVERY_OFFSET),
        }
    }

    /// Whether the file is made of WAL pages, and so as long as a segment: segments and partial ones.
    #[must_use]
    pub const fn is_pages(self) -> bool {
        matches!(self, Self::Segment(_) | Self::Partial(_))
    }

    /// The timeline whose history it is; `None` for every other file.
    #[must_use]
    pub const fn history_of(self) -> Option<Timeline> {
        match self {
            Self::TimelineHistory(timeline) => Some(timeline),
            _ => None,
        }
    }
}

impl fmt::Display for WalFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimelineHistory(timeline) => write!(f, "{:08X}.history", timeline.get()),
            Self::Segment(name) => name.fmt(f),
            Self::BackupHistory(name, offset) => write!(f, "{name}.{offset:08X}.backup"),
            Self::Partial(name) => write!(f, "{name}.partial"),
        }
    }
}

impl FromStr for WalFileName {
    type Err = ParseError;

    /// Reads exactly the names that servers write (access/xlog_internal.h); anything else is no WAL file.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || match text.split_once('.') {
            None => text.parse().ok().map(Self::Segment),
            Some((timeline, "history")) => timeline.parse().ok().map(Self::TimelineHistory),
            Some((segment, "partial")) => segment.parse().ok().map(Self::Partial),
            Some((segment, rest)) => {
                let offset = rest.strip_suffix(".backup").filter(|offset| offset.len() == 8)?;
                Some(Self::BackupHistory(segment.parse().ok()?, upper_hex(offset)?))
            }
        };
        parse().ok_or_else(|| {
            ParseError::new("the name of a WAL file (segment, .partial, .history or .backup)", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_kinds_are_told_apart() {
        let kind = |text: &str| text.parse::<WalFileName>().map(WalFileName::kind).ok();
        assert_eq!(kind("000000010000000000000003"), Some(WalFileKind::Segment));
        assert_eq!(kind("00000001000000000000008C.partial"), Some(WalFileKind::Partial));
        assert_eq!(kind("00000002.history"), Some(WalFileKind::TimelineHistory));
        assert_eq!(kind("000000010000000000000003.00000028.backup"), Some(WalFileKind::BackupHistory));
    }

    #[test]
    fn what_is_no_wal_file_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "../000000010000000000000003",
            "pg_wal/000000010000000000000003",
            "000000010000000000000003.zst",
            "000000010000000000000003.sha256",
            "00000002.History",
            "000000020.history",
            "000000010000000000000003.0000028.backup",
            "000000010000000000000003.00000028.backup.backup",
            "000000010000000000000003.partial.partial",
            "RECOVERYXLOG",
            "xlogtemp.42",
            "000000010000000000000003\n",
        ] {
            assert!(text.parse::<WalFileName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_round_trip(text in "[0-9A-F]{24}(|\\.partial|\\.[0-9A-F]{8}\\.backup)|[0-9A-F]{8}\\.history") {
            if let Ok(name) = text.parse::<WalFileName>() {
                prop_assert_eq!(name.to_string(), text);
            } else {
                prop_assert!(text.starts_with("00000000"));
            }
        }

        #[test]
        fn the_order_of_archiving_is_that_of_the_servers(names in proptest::collection::vec("0000000[12]0000000[01]0000000[1-3](|\\.partial|\\.0000000[0-9A-F]\\.backup)|0000000[1-9A]\\.history", 0..40)) {
            let mut ours: Vec<WalFileName> = names.iter().map(|name| name.parse().unwrap()).collect();
            ours.sort_unstable_by_key(|name| name.archive_order());
            // pgarch.c: histories first, then strcmp().
            let mut theirs = names;
            theirs.sort_by_key(|name| (!name.ends_with(".history"), name.clone()));
            prop_assert_eq!(ours.iter().map(ToString::to_string).collect::<Vec<_>>(), theirs);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            if let Ok(name) = text.parse::<WalFileName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn what_becomes_of_a_name_is_that_very_name_or_none(
                text in mutated_text(&[
                    "000000010000000000000003",
                    "000000010000000000000003.partial",
                    "000000010000000000000003.00000028.backup",
                    "00000002.history",
                ]),
            ) {
                if let Ok(name) = text.parse::<WalFileName>() {
                    prop_assert_eq!(name.to_string(), text);
                }
            }
        }
    }
}
