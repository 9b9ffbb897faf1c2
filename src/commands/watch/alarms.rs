//! Alarms: what of the queue and the repository is worth a line, once when it begins and once when it ends.

use std::time::Duration;

use super::{Note, Thresholds};
use crate::wal::{Timeline, WalFileName};

/// What was told.
#[derive(Debug)]
pub(super) struct Alarms {
    thresholds: Thresholds,
    backlog: Backlog,
    /// The first pending file, since when it was seen, and whether it was told to be stuck.
    head: Option<(WalFileName, Duration, bool)>,
    timeline: Option<Timeline>,
    is_space_low: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Backlog {
    None,
    Warning,
    Critical,
}

impl Alarms {
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, backlog: Backlog::None, head: None, timeline: None, is_space_low: false }
    }

    /// Judges a queue.
    pub fn see(
        &mut self,
        pending: u64,
        head: Option<WalFileName>,
        timeline: Timeline,
        now: Duration,
    ) -> Vec<Note<'static>> {
        let notes = [self.see_length(pending), self.see_head(head, now), self.see_timeline(timeline)];
        notes.into_iter().flatten().collect()
    }

    /// A backlog is gone when half of what made it one is: a queue that swings about a threshold is told once.
    fn see_length(&mut self, pending: u64) -> Option<Note<'static>> {
        let Thresholds { warning, critical, .. } = self.thresholds;
        let now = match pending {
            _ if pending > critical => Backlog::Critical,
            _ if pending > warning => Backlog::Warning,
            _ => Backlog::None,
        };
        if now > self.backlog {
            self.backlog = now;
            let is_critical = now == Backlog::Critical;
            let threshold = if is_critical { critical } else { warning };
            return Some(Note::Backlog { pending, threshold, is_critical });
        }
        if self.backlog != Backlog::None && pending <= warning / 2 {
            self.backlog = Backlog::None;
            return Some(Note::BacklogGone { pending });
        }
        None
    }

    fn see_head(&mut self, head: Option<WalFileName>, now: Duration) -> Option<Note<'static>> {
        let (last, since, told) = match self.head {
            Some((last, since, told)) if head == Some(last) => (last, since, told),
            before => {
                self.head = head.map(|head| (head, now, false));
                return before.filter(|(_, _, told)| *told).map(|_| Note::Moves);
            }
        };
        let since = now.saturating_sub(since);
        if told || since <= self.thresholds.stuck_after {
            return None;
        }
        self.head = self.head.map(|(name, began, _)| (name, began, true));
        Some(Note::Stuck { name: last, since })
    }

    fn see_timeline(&mut self, timeline: Timeline) -> Option<Note<'static>> {
        if self.timeline.is_some_and(|last| timeline <= last) {
            return None;
        }
        let from = self.timeline.replace(timeline)?;
        Some(Note::TimelineSwitch { from, to: timeline })
    }

    /// Judges the space in the repository.
    pub fn see_space(&mut self, free: u64, min_free: u64, segment_bytes: u64) -> Option<Note<'static>> {
        let least = min_free.max(segment_bytes.saturating_mul(Self::LEAST_SEGMENTS));
        let is_low = if self.is_space_low { free < least.saturating_add(least / 4) } else { free < least };
        if is_low == self.is_space_low {
            return None;
        }
        self.is_space_low = is_low;
        Some(if is_low { Note::LowSpace { free, least } } else { Note::SpaceAgain { free } })
    }

    /// For fewer segments than this, unpacked, space counts as low, whatever is set.
    const LEAST_SEGMENTS: u64 = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn alarms() -> Alarms {
        Alarms::new(Thresholds { warning: 16, critical: 128, stuck_after: S(600) })
    }

    fn text(notes: impl IntoIterator<Item = Note<'static>>) -> String {
        notes.into_iter().map(|note| format!("{note:?} ")).collect()
    }

    #[test]
    fn a_backlog_is_told_when_it_crosses_a_threshold_and_when_it_is_gone() {
        let mut alarms = alarms();
        let told: Vec<String> = [0, 16, 17, 30, 16, 17, 9, 128, 129, 500, 128, 17, 8, 8, 200, 0]
            .into_iter()
            .map(|pending| text(alarms.see_length(pending)))
            .collect();
        let told: Vec<&str> = told.iter().map(|text| text.split(' ').next().unwrap()).collect();
        let (no, up, gone) = ("", "Backlog", "BacklogGone");
        assert_eq!(told, [no, no, up, no, no, no, no, no, up, no, no, no, gone, no, up, gone]);
    }

    #[test]
    fn a_head_is_told_to_be_stuck_once_and_to_move_only_after_that() {
        let head = |number: u8| Some(format!("0000000100000000000000{number:02X}").parse().unwrap());
        let mut alarms = alarms();
        let told: Vec<String> = [(1, 0), (1, 600), (1, 601), (1, 9000), (2, 9001), (3, 9002)]
            .into_iter()
            .map(|(number, at)| text(alarms.see_head(head(number), S(at))))
            .collect();
        assert!(told[2].starts_with("Stuck") && told[4].starts_with("Moves"), "{told:?}");
        assert_eq!(told.iter().filter(|text| text.is_empty()).count(), 4);
        assert_eq!(text(alarms.see_head(None, S(9003))), "");
        assert_eq!(text(alarms.see_head(head(3), S(9_000_000))), "", "it was not seen all the time");
    }

    #[test]
    fn a_timeline_switch_is_told_once() {
        let mut alarms = alarms();
        let told: Vec<String> = [1, 1, 2, 1, 3]
            .into_iter()
            .map(|timeline| text(alarms.see_timeline(Timeline::new(timeline).unwrap())))
            .collect();
        assert_eq!(told.iter().filter(|text| text.starts_with("TimelineSwitch")).count(), 2);
        assert!(told[0].is_empty() && !told[2].is_empty() && !told[4].is_empty());
    }

    #[test]
    fn space_is_low_below_what_is_set_and_below_a_few_segments() {
        let mut alarms = alarms();
        let mut low = |free| text(alarms.see_space(free, 1000, 10));
        assert_eq!(low(1000), "");
        assert!(low(999).starts_with("LowSpace"));
        assert_eq!((low(0), low(1249)), (String::new(), String::new()));
        assert!(low(1250).starts_with("SpaceAgain"));
        let mut alarms = self::alarms();
        assert!(text(alarms.see_space(159, 0, 10)).starts_with("LowSpace { free: 159, least: 160"));
    }
}
