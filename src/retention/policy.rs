use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::{Pauses, Pin, PinReason};
use crate::wal::{Lsn, ParseError, SegmentNumber, SegmentSize, Timeline, WalFileName};

/// A policy: how much is kept though nobody needs it. Only where there is one may anything go. Each part keeps
/// something, and what any of them keeps stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// The newest base backups, and all that it takes to recover from them. Where nobody says, the newest one;
    /// with 0 none, and 0 alone licenses nothing.
    pub keep_backups: Option<u64>,
    /// What was archived within this time, and the base backup that leads into it.
    pub keep_days: Option<u64>,
    /// So many segments up to the end of the newest timeline.
    pub keep_segments: Option<u64>,
    /// So many stored bytes up to the end of the newest timeline.
    pub keep_size: Option<u64>,
    /// The oldest file that a server still needs. It is a need and a policy in one.
    pub oldest_kept: Option<WalFileName>,
}

/// What a server gives for `%r`, or somebody types in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OldestKept {
    /// 24 zeroes: the server does not know yet.
    NotYet,
    /// A segment, a `.partial` or a `.backup`.
    File(WalFileName),
}

impl FromStr for OldestKept {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "000000000000000000000000" {
            return Ok(Self::NotYet);
        }
        let name: WalFileName = text.parse()?;
        match name {
            WalFileName::TimelineHistory(_) => {
                Err(ParseError::new("the name of a segment, .partial or .backup", text))
            }
            name => Ok(Self::File(name)),
        }
    }
}

/// What a policy has to know of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holdings {
    size: SegmentSize,
    /// The number of every stored segment and partial one, sorted, each once.
    numbers: Vec<SegmentNumber>,
    /// The last of the newest timeline.
    end: Option<SegmentNumber>,
    newest_timeline: Option<Timeline>,
    /// Every one of them with its size and time; empty where no part of the policy asks for it.
    pub measured: Vec<Measured>,
    /// Every base backup that is told by a stored `.backup` file.
    pub backups: Vec<BaseBackup>,
}

/// A stored segment, or partial one, with what its store tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// Its number.
    pub number: SegmentNumber,
    /// Its stored size.
    pub bytes: u64,
    /// When it was archived.
    pub modified: SystemTime,
}

/// A base backup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BaseBackup {
    /// Its `.backup` file.
    pub file: WalFileName,
    /// Where a recovery from it begins.
    pub start: Lsn,
    /// When the `.backup` file was archived: when it ended.
    pub stored_at: SystemTime,
    /// Whether it became a standby, and lies nowhere to be recovered from.
    pub is_clone: bool,
}

/// Those that somebody may recover from: clones count where there is nothing else.
fn kept(backups: Vec<&BaseBackup>) -> Vec<&BaseBackup> {
    let are_clones = backups.iter().all(|backup| backup.is_clone);
    backups.into_iter().filter(|backup| are_clones || !backup.is_clone).collect()
}

impl Holdings {
    /// What the names of stored files tell.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = WalFileName>, size: SegmentSize) -> Self {
        let mut numbers = Vec::new();
        let mut newest: Option<(Timeline, SegmentNumber)> = None;
        for name in names {
            let segment = name.segment().filter(|_| name.is_pages());
            let Some((segment, number)) = segment.and_then(|one| Some((one, one.number(size)?))) else {
                continue;
            };
            if numbers.last() != Some(&number) {
                numbers.push(number);
            }
            newest = newest.max(Some((segment.timeline(), number)));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Self {
            size,
            numbers,
            end: newest.map(|(_, number)| number),
            newest_timeline: newest.map(|(timeline, _)| timeline),
            measured: Vec::new(),
            backups: Vec::new(),
        }
    }

    /// The newest timeline of which a segment is stored.
    #[must_use]
    pub const fn newest_timeline(&self) -> Option<Timeline> {
        self.newest_timeline
    }

    fn start_of(&self, number: SegmentNumber) -> Lsn {
        number.start(self.size).unwrap_or(Lsn::ZERO)
    }
}

impl Policy {
    /// Whether it licenses anything to go.
    #[must_use]
    pub fn licenses(&self) -> bool {
        self.keep_backups.is_some_and(|backups| backups > 0)
            || self.keep_days.is_some()
            || self.keep_segments.is_some()
            || self.keep_size.is_some()
            || self.oldest_kept.is_some()
    }

    /// Whether it has to know the size and time of every stored segment.
    #[must_use]
    pub const fn asks_for_measures(&self) -> bool {
        self.keep_days.is_some() || self.keep_size.is_some()
    }

    /// What it keeps, as pins. `at` is the time that days are counted back from.
    #[must_use]
    pub fn pins(&self, holdings: &Holdings, at: SystemTime) -> Vec<Pin> {
        let mut pins: Vec<Pin> = self.backup_pin(holdings).into_iter().collect();
        pins.extend(self.oldest_kept.and_then(|file| oldest_kept_pin(file, holdings)));
        pins.extend(self.keep_days.into_iter().flat_map(|days| days_pins(days, holdings, at)));
        pins.extend(self.keep_segments.and_then(|segments| segments_pin(segments, holdings)));
        pins.extend(self.keep_size.and_then(|bytes| size_pin(bytes, holdings)));
        // A dead branch may reach further than the timeline that lives: its end, and nothing behind it, is what
        // is newest.
        if let Some(end) = holdings.end {
            let end = holdings.start_of(end);
            pins.iter_mut().for_each(|pin| pin.from = pin.from.min(end));
        }
        pins
    }

    fn backup_pin(&self, holdings: &Holdings) -> Option<Pin> {
        let all = kept(holdings.backups.iter().collect());
        let pin = |backup: &BaseBackup, why| Pin { from: backup.start, why };
        match self.keep_backups {
            Some(0) => None,
            None => oldest_of_newest(1, &all).map(|one| pin(one, PinReason::NewestBackup { file: one.file })),
            Some(keep) => Some(oldest_of_newest(keep, &all).map_or_else(
                || {
                    let (found, stored) = (all.len() as u64, holdings.backups.len() as u64);
                    Pin::everything(PinReason::TooFewBackups { keep, found, clones: stored - found })
                },
                |one| pin(one, PinReason::KeptBackup { file: one.file, keep }),
            )),
        }
    }
}

/// The oldest of the newest base backups; `None` where there are fewer. Which are the newest is told by their
/// timelines, their positions and their times, and whichever keeps most counts: a backup of a dead branch may lie
/// behind one of the timeline that lives, and a copied archive has lost its times.
fn oldest_of_newest<'a>(keep: u64, backups: &[&'a BaseBackup]) -> Option<&'a BaseBackup> {
    let keep = usize::try_from(keep).ok().filter(|keep| (1..=backups.len()).contains(keep))?;
    let oldest = |order: fn(&BaseBackup) -> Order| {
        let mut sorted = backups.to_vec();
        sorted.sort_by_key(|backup| std::cmp::Reverse(order(backup)));
        sorted.into_iter().take(keep).min_by_key(|backup| backup.start)
    };
    let by_timeline = oldest(|backup| (Some(backup.file.timeline()), None, backup.start));
    let by_position = oldest(|backup| (None, None, backup.start));
    let by_time = oldest(|backup| (None, Some(backup.stored_at), backup.start));
    [by_timeline, by_position, by_time].into_iter().flatten().min_by_key(|backup| backup.start)
}

/// By what base backups are sorted: what an order does not look at is left out.
type Order = (Option<Timeline>, Option<SystemTime>, Lsn);

fn oldest_kept_pin(file: WalFileName, holdings: &Holdings) -> Option<Pin> {
    let start = file.segment().and_then(|segment| segment.start(holdings.size));
    // A name that no segment of this size bears says nothing: everything stays.
    let from = start.unwrap_or(Lsn::ZERO);
    (!holdings.numbers.is_empty()).then_some(Pin { from, why: PinReason::OldestKept { file } })
}

/// The window with the base backups that ended in it, and the last one that ended before it: with that, each moment of
/// the window can be recovered.
fn days_pins(days: u64, holdings: &Holdings, at: SystemTime) -> Vec<Pin> {
    let window = Duration::from_secs(days.saturating_mul(86_400));
    let begins_at = at.checked_sub(window);
    let times = holdings.measured.iter().map(|one| one.modified);
    let pauses = Pauses::between(times.chain(holdings.backups.iter().map(|backup| backup.stored_at)), at);
    // A window that begins before time does keeps everything.
    let is_within = |time: SystemTime| {
        begins_at
            .is_none_or(|begins_at| time.checked_add(pauses.since(time)).is_none_or(|time| time >= begins_at))
    };
    let within = holdings.measured.iter().filter(|one| is_within(one.modified));
    let first = within.map(|one| one.number).min();
    let first = first.map(|number| holdings.start_of(number));
    let (ended_within, before): (Vec<&BaseBackup>, Vec<&BaseBackup>) =
        holdings.backups.iter().partition(|backup| is_within(backup.stored_at));
    let first = ended_within.into_iter().map(|backup| backup.start).chain(first).min();
    let first = first.map(|from| Pin { from, why: PinReason::KeepDays { window } });
    let backup = oldest_of_newest(1, &kept(before)).map(|backup| Pin {
        from: backup.start,
        why: PinReason::BackupBeforeWindow { file: backup.file, window },
    });
    first.into_iter().chain(backup).collect()
}

fn segments_pin(segments: u64, holdings: &Holdings) -> Option<Pin> {
    let end = holdings.end?;
    let newest_first = holdings.numbers.iter().rev().filter(|number| **number <= end);
    let at = usize::try_from(segments).unwrap_or(usize::MAX).saturating_sub(1);
    let kept = newest_first.take(at.saturating_add(1)).last()?;
    Some(Pin { from: holdings.start_of(*kept), why: PinReason::KeepSegments { segments } })
}

/// At least the last segment is kept, however large it is.
fn size_pin(bytes: u64, holdings: &Holdings) -> Option<Pin> {
    let end = holdings.end?;
    let mut measured: Vec<&Measured> = holdings.measured.iter().filter(|one| one.number <= end).collect();
    measured.sort_unstable_by_key(|one| std::cmp::Reverse(one.number));
    let mut kept = end;
    let mut sum: u64 = 0;
    for same in measured.chunk_by(|one, other| one.number == other.number) {
        sum = same.iter().fold(sum, |sum, one| sum.saturating_add(one.bytes));
        match same.first() {
            Some(first) if sum <= bytes => kept = kept.min(first.number),
            _ => break,
        }
    }
    Some(Pin { from: holdings.start_of(kept), why: PinReason::KeepSize { bytes } })
}
