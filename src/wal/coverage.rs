//! Coverage: which segments a set of names covers, timeline by timeline, and which ones are missing between
//! them. Everything is counted in ranges, so that a gap of any length costs no more than one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Lineage, Lsn, SegmentName, SegmentNumber, SegmentSize, Timeline, TimelineHistory, WalFileName};

/// Segments of one timeline, from the first to the last, both included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentRange {
    first: SegmentName,
    last: SegmentName,
}

impl SegmentRange {
    /// `None` unless both are of one timeline and in order.
    #[must_use]
    pub fn new(first: SegmentName, last: SegmentName) -> Option<Self> {
        (first.timeline() == last.timeline() && first <= last).then_some(Self { first, last })
    }

    /// The first segment.
    #[must_use]
    pub const fn first(self) -> SegmentName {
        self.first
    }

    /// The last segment, which belongs to the range.
    #[must_use]
    pub const fn last(self) -> SegmentName {
        self.last
    }

    /// The timeline of all of them.
    #[must_use]
    pub const fn timeline(self) -> Timeline {
        self.first.timeline()
    }

    /// How many segments there are; 0 where names of this size never reach so far.
    #[must_use]
    pub fn count(self, size: SegmentSize) -> u64 {
        Span::of(self, size).map_or(0, |span| span.last - span.first + 1)
    }

    fn from_span(timeline: Timeline, span: Span, size: SegmentSize) -> Option<Self> {
        let name = |number| SegmentName::new(timeline, SegmentNumber::new(number), size);
        Self::new(name(span.first)?, name(span.last)?)
    }
}

impl fmt::Display for SegmentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// Segment numbers, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Span {
    first: u64,
    last: u64,
}

impl Span {
    fn new(first: u64, last: u64) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    fn of(range: SegmentRange, size: SegmentSize) -> Option<Self> {
        Self::new(range.first.number(size)?.get(), range.last.number(size)?.get())
    }

    fn within(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

/// Spans in ascending order, none of which touches the next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Spans(Vec<Span>);

impl Spans {
    /// Adds one number; they come in ascending order, or cost a sorting later.
    fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some(last) if number == last.last => {}
            Some(last) if last.last.checked_add(1) == Some(number) => last.last = number,
            _ => self.0.push(Span { first: number, last: number }),
        }
    }

    /// Brings spans that were added in any order into their order.
    fn settle(&mut self) {
        self.0.sort_unstable();
        let mut settled: Vec<Span> = Vec::new();
        for span in std::mem::take(&mut self.0) {
            match settled.last_mut() {
                Some(last) if span.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(span.last)
                }
                _ => settled.push(span),
            }
        }
        self.0 = settled;
    }

    fn first(&self) -> Option<u64> {
        self.0.first().map(|span| span.first)
    }

    fn last(&self) -> Option<u64> {
        self.0.last().map(|span| span.last)
    }

    /// The parts of a window that are covered.
    fn inside(&self, window: Span) -> impl Iterator<Item = Span> + '_ {
        let from = self.0.partition_point(|span| span.last < window.first);
        let near = self.0.iter().skip(from).take_while(move |span| span.first <= window.last);
        near.filter_map(move |span| span.within(window))
    }

    /// The parts of a window that are not.
    fn outside(&self, window: Span) -> Vec<Span> {
        let mut missing = Vec::new();
        let mut from = Some(window.first);
        for covered in self.inside(window) {
            let before = from.zip(covered.first.checked_sub(1));
            missing.extend(before.and_then(|(from, to)| Span::new(from, to)));
            from = covered.last.checked_add(1);
        }
        missing.extend(from.and_then(|from| Span::new(from, window.last)));
        missing
    }
}

/// What a missing range means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GapKind {
    /// Nobody knows of it: a recovery through it fails.
    Unknown,
    /// A person acknowledged it as lost.
    Known,
    /// It lies behind the last fork that a stored history takes from this timeline, and a newer timeline has
    /// segments: no newer timeline needs it.
    BehindFork,
}

/// Segments that are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Which ones.
    pub range: SegmentRange,
    /// What that means.
    pub kind: GapKind,
}

/// What is there of one timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimelineCoverage {
    /// The timeline.
    pub timeline: Timeline,
    /// What is there, in order, as few ranges as possible.
    pub ranges: Vec<SegmentRange>,
    /// What is missing, in order; ranges that touch differ in kind.
    pub gaps: Vec<Gap>,
}

/// Which segments a set of names covers.
///
/// A timeline's segments begin at the segment that it was forked in, which it holds under its own name; its
/// parent has to be whole up to that segment and no further: of the fork's own segment the parent may have a
/// `.partial`, a whole one, or nothing. What lies before the first segment of a line of timelines, or its
/// newest base backup, is no gap: the archive began there.
#[derive(Clone, Debug)]
pub struct Coverage {
    size: SegmentSize,
    held: BTreeMap<Timeline, Spans>,
    lost: BTreeMap<Timeline, Spans>,
    lineage: Lineage,
    /// The timelines that a later one with segments descends from.
    continued: BTreeSet<Timeline>,
    backup_start: Option<(Timeline, u64)>,
}

impl Coverage {
    /// Takes the names that are there, best in ascending order; names that no segment of this size bears count
    /// for nothing. `lost` are the ranges that people acknowledged as lost, `backup_start` the first segment
    /// that the newest base backup needs ([`newest_backup_start`]).
    #[must_use]
    pub fn new(
        names: impl IntoIterator<Item = SegmentName>,
        size: SegmentSize,
        histories: &[TimelineHistory],
        lost: &[SegmentRange],
        backup_start: Option<SegmentName>,
    ) -> Self {
        let mut held: BTreeMap<Timeline, Spans> = BTreeMap::new();
        for name in names {
            if let Some(number) = name.number(size) {
                held.entry(name.timeline()).or_default().push(number.get());
            }
        }
        held.values_mut().for_each(Spans::settle);
        let mut by_timeline: BTreeMap<Timeline, Spans> = BTreeMap::new();
        for range in lost {
            by_timeline.entry(range.timeline()).or_default().0.extend(Span::of(*range, size));
        }
        by_timeline.values_mut().for_each(Spans::settle);
        let backup_start = backup_start.and_then(|start| Some((start.timeline(), start.number(size)?.get())));
        let lineage = Lineage::of(histories);
        let continued = continued(&lineage, &held);
        Self { size, held, lost: by_timeline, lineage, continued, backup_start }
    }

    /// How the timelines descend from each other.
    #[must_use]
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// What is there of each timeline, and what is missing; timelines with neither are left out.
    #[must_use]
    pub fn timelines(&self) -> Vec<TimelineCoverage> {
        let mut timelines = self.lineage.timelines();
        timelines.extend(self.held.keys());
        timelines.extend(self.backup_start.map(|(timeline, _)| timeline));
        let mut reached: BTreeMap<Timeline, bool> = BTreeMap::new();
        let mut found = Vec::new();
        // In ascending order, so that a parent is settled before its children.
        for timeline in timelines {
            let reaches_back = self.parent_is_there(timeline)
                || self
                    .lineage
                    .fork_of(timeline)
                    .is_some_and(|fork| reached.get(&fork.parent).copied().unwrap_or(false));
            reached.insert(timeline, reaches_back);
            let coverage = self.of_timeline(timeline, reaches_back);
            if !coverage.ranges.is_empty() || !coverage.gaps.is_empty() {
                found.push(coverage);
            }
        }
        found
    }

    /// The ranges that are missing, and not known as lost, on the way from a segment to the newest one of the
    /// newest timeline that descends from it. The segment itself belongs to the way.
    #[must_use]
    pub fn contiguous_from(&self, start: SegmentName) -> Vec<SegmentRange> {
        let Some((from, behind)) = start.number(self.size).zip(start.start(self.size)) else {
            return SegmentRange::new(start, start).into_iter().collect();
        };
        let way = self.lineage.way_to_newest(start.timeline(), behind);
        let mut missing = Vec::new();
        let (mut timeline, mut first) = (start.timeline(), from.get());
        for (child, fork) in way {
            let fork_at = self.number_at(fork.switch);
            missing.extend(self.unknown_between(timeline, first, self.needed_last(timeline, fork_at)));
            // Where timelines were forked within one segment, the newest has it.
            (timeline, first) = (child, fork_at.max(first));
        }
        let own_last = self.held.get(&timeline).and_then(Spans::last);
        let at_least = (timeline == start.timeline()).then_some(first);
        missing.extend(self.unknown_between(timeline, first, own_last.max(at_least)));
        missing
    }

    fn number_at(&self, position: Lsn) -> u64 {
        SegmentNumber::containing(position, self.size).get()
    }

    fn start_of(&self, timeline: Timeline) -> Option<u64> {
        self.lineage.fork_of(timeline).map(|fork| self.number_at(fork.switch))
    }

    /// Whether anything of the parent is there, or asked for by the newest base backup, that leads up to this
    /// timeline's beginning.
    fn parent_is_there(&self, timeline: Timeline) -> bool {
        let Some(fork) = self.lineage.fork_of(timeline) else { return false };
        let first = self.start_of(fork.parent).unwrap_or(0);
        let before = self.number_at(fork.switch).checked_sub(1);
        let Some(window) = before.and_then(|before| Span::new(first, before)) else { return false };
        let is_held = self.held.get(&fork.parent).is_some_and(|held| held.inside(window).next().is_some());
        is_held || self.backup_on(fork.parent).is_some_and(|start| (first..=window.last).contains(&start))
    }

    /// The last segment of a timeline that has to be there, where others follow it up to a fork. What lies
    /// behind is needed as long as no timeline with segments descends from this one, and where the newest base
    /// backup began there: the timeline lives on.
    fn needed_last(&self, timeline: Timeline, fork: u64) -> Option<u64> {
        let before = fork.checked_sub(1);
        let backup = self.backup_on(timeline);
        let lives_on = !self.continued.contains(&timeline) || backup.is_some_and(|backup| backup >= fork);
        let last = self.held.get(&timeline).and_then(Spans::last);
        if lives_on { before.max(last).max(backup) } else { before }
    }

    fn backup_on(&self, timeline: Timeline) -> Option<u64> {
        self.backup_start.filter(|(of, _)| *of == timeline).map(|(_, number)| number)
    }

    fn of_timeline(&self, timeline: Timeline, reaches_back: bool) -> TimelineCoverage {
        let nothing = Spans::default();
        let held = self.held.get(&timeline).unwrap_or(&nothing);
        let backup = self.backup_on(timeline);
        let began = [held.first(), backup].into_iter().flatten().min();
        let first = match self.start_of(timeline) {
            Some(start) if reaches_back => Some(start),
            // A timeline has nothing before its beginning, whatever bears such a name.
            Some(start) => began.map(|began| began.max(start)),
            None => began,
        };
        let last = held.last().max(backup);
        let fork = self.lineage.followed_up_to(timeline).map(|position| self.number_at(position));
        let needed_last = fork.map_or(last, |fork| self.needed_last(timeline, fork));

        let window = |first: Option<u64>, last: Option<u64>| Span::new(first?, last?);
        let needed = window(first, needed_last);
        let behind = fork.filter(|_| needed_last < last);
        let behind = behind.and_then(|fork| window(first.max(Some(fork)), last));
        let missing = |window: Option<Span>| window.map(|window| held.outside(window)).unwrap_or_default();
        let needed = missing(needed).into_iter().flat_map(|gap| self.split(timeline, gap, GapKind::Unknown));
        let behind =
            missing(behind).into_iter().flat_map(|gap| self.split(timeline, gap, GapKind::BehindFork));
        TimelineCoverage {
            timeline,
            ranges: held.0.iter().filter_map(|span| self.range(timeline, *span)).collect(),
            gaps: needed.chain(behind).collect(),
        }
    }

    /// Splits a gap into what is known as lost and what is not, in order.
    fn split(&self, timeline: Timeline, gap: Span, otherwise: GapKind) -> Vec<Gap> {
        let nothing = Spans::default();
        let lost = self.lost.get(&timeline).unwrap_or(&nothing);
        let known = lost.inside(gap).map(|span| (span, GapKind::Known));
        let rest = lost.outside(gap).into_iter().map(|span| (span, otherwise));
        let mut parts: Vec<(Span, GapKind)> = known.chain(rest).collect();
        parts.sort_unstable_by_key(|(span, _)| *span);
        let told = |(span, kind)| Some(Gap { range: self.range(timeline, span)?, kind });
        parts.into_iter().filter_map(told).collect()
    }

    fn unknown_between(&self, timeline: Timeline, first: u64, last: Option<u64>) -> Vec<SegmentRange> {
        let nothing = Spans::default();
        let Some(window) = last.and_then(|last| Span::new(first, last)) else { return Vec::new() };
        let missing = self.held.get(&timeline).unwrap_or(&nothing).outside(window);
        let parts = missing.into_iter().flat_map(|gap| self.split(timeline, gap, GapKind::Unknown));
        parts.filter(|gap| gap.kind == GapKind::Unknown).map(|gap| gap.range).collect()
    }

    fn range(&self, timeline: Timeline, span: Span) -> Option<SegmentRange> {
        SegmentRange::from_span(timeline, span, self.size)
    }
}

/// The timelines that a later one with segments descends from.
fn continued(lineage: &Lineage, held: &BTreeMap<Timeline, Spans>) -> BTreeSet<Timeline> {
    let mut continued = BTreeSet::new();
    // Children are always higher, so one pass in descending order finds all.
    for timeline in lineage.timelines().into_iter().rev() {
        let lives = held.contains_key(&timeline) || continued.contains(&timeline);
        if let Some(fork) = lineage.fork_of(timeline).filter(|_| lives) {
            continued.insert(fork.parent);
        }
    }
    continued
}

/// The segment that the newest base backup begins in, by the names of stored `.backup` files.
#[must_use]
pub fn newest_backup_start(names: impl IntoIterator<Item = WalFileName>) -> Option<SegmentName> {
    let backups = names.into_iter().filter(|name| matches!(name, WalFileName::BackupHistory(..)));
    backups.max().and_then(WalFileName::segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size() -> SegmentSize {
        SegmentSize::new(16 << 20).unwrap()
    }

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).unwrap()
    }

    fn name(on: u32, number: u64) -> SegmentName {
        SegmentName::new(timeline(on), SegmentNumber::new(number), size()).unwrap()
    }

    fn range(on: u32, first: u64, last: u64) -> SegmentRange {
        SegmentRange::new(name(on, first), name(on, last)).unwrap()
    }

    /// A history; each ancestor is left in the middle of a segment, or where it begins.
    fn history(own: u32, ancestors: &[(u32, u64, bool)]) -> TimelineHistory {
        let line = |(on, number, within): &(u32, u64, bool)| {
            let switch = Lsn::new(number * size().bytes() + if *within { 0x123 } else { 0 });
            format!("{on}\t{switch}\treason\n")
        };
        let text: String = ancestors.iter().map(line).collect();
        TimelineHistory::parse(timeline(own), text.as_bytes()).unwrap()
    }

    fn coverage(
        held: &[(u32, &[u64])],
        histories: &[TimelineHistory],
        lost: &[SegmentRange],
        backup: Option<SegmentName>,
    ) -> Coverage {
        let names = held.iter().flat_map(|(on, numbers)| numbers.iter().map(|number| name(*on, *number)));
        Coverage::new(names, size(), histories, lost, backup)
    }

    fn gaps(coverage: &Coverage) -> Vec<(SegmentRange, GapKind)> {
        let gaps = coverage.timelines().into_iter().flat_map(|found| found.gaps);
        gaps.map(|gap| (gap.range, gap.kind)).collect()
    }

    #[test]
    fn what_is_missing_between_two_segments_is_a_gap_and_what_was_before_the_archive_is_none() {
        let found = coverage(&[(1, &[5, 6, 9, 10, 12])], &[], &[], None);
        let [only] = found.timelines().try_into().unwrap();
        assert_eq!(only.ranges, [range(1, 5, 6), range(1, 9, 10), range(1, 12, 12)]);
        let unknown = GapKind::Unknown;
        assert_eq!(gaps(&found), [(range(1, 7, 8), unknown), (range(1, 11, 11), unknown)]);
        assert_eq!(only.ranges[0].to_string(), "000000010000000000000005..000000010000000000000006");
        assert_eq!(only.ranges[2].to_string(), "00000001000000000000000C");
        assert!(coverage(&[], &[], &[], None).timelines().is_empty());
    }

    #[test]
    fn a_gap_that_is_known_in_part_is_split_there() {
        let found = coverage(&[(1, &[1, 10])], &[], &[range(1, 3, 4), range(1, 6, 20), range(2, 5, 5)], None);
        let expected = [
            (range(1, 2, 2), GapKind::Unknown),
            (range(1, 3, 4), GapKind::Known),
            (range(1, 5, 5), GapKind::Unknown),
            (range(1, 6, 9), GapKind::Known),
        ];
        assert_eq!(gaps(&found), expected);
    }

    #[test]
    fn a_parent_is_whole_without_the_forks_own_segment() {
        for within in [true, false] {
            let histories = [history(2, &[(1, 4, within)])];
            for parent in [&[2, 3][..], &[2, 3, 4], &[2, 3, 4, 5]] {
                let found = coverage(&[(1, parent), (2, &[4, 5])], &histories, &[], None);
                assert_eq!(gaps(&found), [], "{parent:?}");
                assert_eq!(found.contiguous_from(name(1, 2)), []);
            }
        }
    }

    #[test]
    fn the_end_of_a_parent_and_the_beginning_of_a_child_are_missed() {
        let histories = [history(2, &[(1, 4, true)]), history(3, &[(1, 4, true), (2, 8, true)])];
        let found = coverage(&[(1, &[1, 2]), (3, &[10])], &histories, &[], None);
        let missing = [range(1, 3, 3), range(2, 4, 7), range(3, 8, 9)];
        assert_eq!(gaps(&found), missing.map(|range| (range, GapKind::Unknown)));
        assert_eq!(found.contiguous_from(name(1, 1)), missing);
        assert_eq!(found.contiguous_from(name(2, 6)), [range(2, 6, 7), range(3, 8, 9)]);
    }

    #[test]
    fn an_archive_that_began_on_a_later_timeline_misses_no_ancestor() {
        let histories = [history(3, &[(1, 4, true), (2, 8, true)])];
        let found = coverage(&[(3, &[10, 11])], &histories, &[], None);
        assert_eq!(gaps(&found), []);
        let found = coverage(&[(3, &[10, 11])], &histories, &[], Some(name(2, 7)));
        let missing = [range(2, 7, 7), range(3, 8, 9)];
        assert_eq!(gaps(&found), missing.map(|range| (range, GapKind::Unknown)));
        assert_eq!(found.contiguous_from(name(2, 7)), missing);
    }

    #[test]
    fn what_a_dead_primary_wrote_behind_the_fork_need_not_be_whole() {
        let histories = [history(2, &[(1, 4, true)])];
        let held = [(1, &[2, 3, 6, 9][..]), (2, &[4, 5])];
        let found = coverage(&held, &histories, &[range(1, 7, 7)], None);
        let behind = [
            (range(1, 4, 5), GapKind::BehindFork),
            (range(1, 7, 7), GapKind::Known),
            (range(1, 8, 8), GapKind::BehindFork),
        ];
        assert_eq!(gaps(&found), behind);
        assert_eq!(found.contiguous_from(name(1, 2)), []);
        // A base backup behind the fork: the timeline lives on.
        let found = coverage(&held, &histories, &[], Some(name(1, 6)));
        let alive = [(range(1, 4, 5), GapKind::Unknown), (range(1, 7, 8), GapKind::Unknown)];
        assert_eq!(gaps(&found), alive);
        assert_eq!(found.contiguous_from(name(1, 6)), [range(1, 7, 8)]);
    }

    #[test]
    fn a_history_alone_does_not_end_the_timeline_that_it_follows() {
        let found = coverage(&[(1, &[2, 3, 6])], &[history(2, &[(1, 4, true)])], &[], None);
        assert_eq!(gaps(&found), [(range(1, 4, 5), GapKind::Unknown)]);
        assert_eq!(found.contiguous_from(name(1, 2)), [range(1, 4, 5)]);
        let found = coverage(&[(1, &[2])], &[history(2, &[(1, 4, true)])], &[], None);
        assert_eq!(gaps(&found), [(range(1, 3, 3), GapKind::Unknown)]);
        assert_eq!(found.contiguous_from(name(1, 2)), [range(1, 3, 3)]);
    }

    #[test]
    fn the_beginning_itself_belongs_to_the_way() {
        let found = coverage(&[(1, &[1, 2])], &[], &[], None);
        assert_eq!(found.contiguous_from(name(1, 5)), [range(1, 5, 5)]);
        assert_eq!(found.contiguous_from(name(1, 0)), [range(1, 0, 0)]);
        assert_eq!(found.contiguous_from(name(7, 3)), [range(7, 3, 3)]);
        assert_eq!(found.contiguous_from(name(1, 2)), []);
    }

    #[test]
    fn timelines_forked_within_one_segment_need_it_only_of_the_newest() {
        let histories = [history(3, &[(1, 4, true), (2, 4, true)])];
        let found = coverage(&[(1, &[3]), (3, &[4])], &histories, &[], None);
        assert_eq!(gaps(&found), []);
        assert_eq!(found.contiguous_from(name(1, 3)), []);
        assert_eq!(found.contiguous_from(name(1, 4)), []);
    }

    #[test]
    fn a_gap_as_long_as_the_log_is_one_range() {
        let last: SegmentName = "00000001FFFFFFFF000000FE".parse().unwrap();
        let found = Coverage::new([name(1, 0), last], size(), &[], &[], None);
        let [gap] = found.timelines()[0].gaps[..] else { panic!("one gap") };
        assert_eq!(gap.range.count(size()), (1 << 40) - 3);
        let far = TimelineHistory::parse(timeline(2), b"1\tFFFFFFFF/FFFFFFFF\tx\n").unwrap();
        assert_eq!(Coverage::new([name(1, 0)], size(), &[far], &[], None).timelines()[0].gaps.len(), 1);
    }

    #[test]
    fn the_newest_base_backup_is_found_by_its_name() {
        let parse = |text: &str| text.parse::<WalFileName>().unwrap();
        let names = [
            "000000010000000000000009.00000028.backup",
            "000000020000000000000005.00000028.backup",
            "000000020000000000000004.000000FF.backup",
            "000000030000000000000001",
            "00000004.history",
        ];
        assert_eq!(newest_backup_start(names.map(parse)), Some(name(2, 5)));
        assert_eq!(newest_backup_start([parse("00000004.history")]), None);
    }

    #[test]
    fn a_range_is_of_one_timeline_and_in_order() {
        assert!(SegmentRange::new(name(1, 3), name(2, 4)).is_none());
        assert!(SegmentRange::new(name(1, 4), name(1, 3)).is_none());
        assert!(SegmentRange::new(name(1, 3), name(1, 3)).is_some());
    }

    /// Every segment of some ranges, one by one.
    fn numbers<'a>(ranges: impl IntoIterator<Item = &'a SegmentRange>) -> BTreeSet<u64> {
        let number = |name: SegmentName| name.number(size()).unwrap().get();
        ranges.into_iter().flat_map(|range| number(range.first)..=number(range.last)).collect()
    }

    proptest! {
        #[test]
        fn what_is_taken_from_a_run_is_what_is_missing(
            first in 0u64..1000,
            kept in prop::collection::vec(any::<bool>(), 0..60),
            lost in prop::collection::vec((0u64..70, 0u64..9), 0..5),
            shuffled: bool,
        ) {
            let mut held: Vec<u64> = vec![first, first + 1 + kept.len() as u64];
            held.extend((first + 1..).zip(&kept).filter(|(_, kept)| **kept).map(|(number, _)| number));
            if !shuffled {
                held.sort_unstable();
            }
            let lost: Vec<SegmentRange> =
                lost.iter().map(|(at, more)| range(1, first + at, first + at + more)).collect();
            let found = coverage(&[(1, &held)], &[], &lost, None);
            let [only] = found.timelines().try_into().unwrap();

            let held: BTreeSet<u64> = held.into_iter().collect();
            let taken: BTreeSet<u64> =
                (first..=first + 1 + kept.len() as u64).filter(|number| !held.contains(number)).collect();
            let acknowledged = numbers(&lost);
            let of_kind = |kind| {
                numbers(only.gaps.iter().filter(|gap| gap.kind == kind).map(|gap| &gap.range))
            };
            prop_assert_eq!(numbers(&only.ranges), held);
            prop_assert_eq!(of_kind(GapKind::Unknown), taken.difference(&acknowledged).copied().collect());
            prop_assert_eq!(of_kind(GapKind::Known), taken.intersection(&acknowledged).copied().collect());
            prop_assert!(of_kind(GapKind::BehindFork).is_empty());
            prop_assert!(only.ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
            prop_assert_eq!(numbers(&found.contiguous_from(name(1, first))), of_kind(GapKind::Unknown));
        }

        #[test]
        fn along_a_chain_of_timelines_exactly_the_segments_that_a_recovery_needs_are_missed(
            lengths in prop::collection::vec((0u64..6, any::<bool>()), 1..5),
            last in 1u64..6,
            taken in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            acknowledged in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let mut ancestors = Vec::new();
            let mut needed: Vec<(u32, u64)> = Vec::new();
            let mut at = 10;
            for (on, (length, within)) in (1u32..).zip(&lengths) {
                needed.extend((at..at + length).map(|number| (on, number)));
                at += length;
                ancestors.push((on, at, *within));
            }
            let newest = u32::try_from(lengths.len()).unwrap() + 1;
            let end = at + last;
            needed.extend((at..=end).map(|number| (newest, number)));

            // The two ends stay: they are what the way is between.
            let (first, inner) = needed.split_first().unwrap();
            let (_, inner) = inner.split_last().unwrap();
            let pick = |picked: &[prop::sample::Index]| -> BTreeSet<(u32, u64)> {
                if inner.is_empty() { BTreeSet::new() } else { picked.iter().map(|i| inner[i.index(inner.len())]).collect() }
            };
            let (taken, acknowledged) = (pick(&taken), pick(&acknowledged));
            let held = needed.iter().filter(|segment| !taken.contains(segment));
            let names: Vec<SegmentName> = held.map(|(on, number)| name(*on, *number)).collect();
            let lost: Vec<SegmentRange> = acknowledged.iter().map(|(on, number)| range(*on, *number, *number)).collect();
            let found = Coverage::new(names, size(), &[history(newest, &ancestors)], &lost, None);

            let each = |ranges: Vec<SegmentRange>| -> BTreeSet<(u32, u64)> {
                let of = |range: SegmentRange| numbers([&range]).into_iter().map(move |n| (range.timeline().get(), n)).collect::<Vec<_>>();
                ranges.into_iter().flat_map(of).collect()
            };
            let unknown: BTreeSet<(u32, u64)> = taken.difference(&acknowledged).copied().collect();
            let told = |kind| {
                let gaps = found.timelines().into_iter().flat_map(|found| found.gaps);
                each(gaps.filter(|gap| gap.kind == kind).map(|gap| gap.range).collect())
            };
            prop_assert_eq!(told(GapKind::Unknown), unknown.clone());
            prop_assert_eq!(told(GapKind::Known), taken.intersection(&acknowledged).copied().collect());
            prop_assert_eq!(each(found.contiguous_from(name(first.0, first.1))), unknown);
        }

        #[test]
        fn nothing_panics(
            names in prop::collection::vec((1u32..5, any::<u32>(), any::<u32>()), 0..20),
            switches in prop::collection::vec((1u32..5, any::<u64>()), 0..4),
            lost in prop::collection::vec((1u32..5, any::<u32>(), any::<u32>()), 0..4),
            bits in 20u32..=30,
        ) {
            let size = SegmentSize::new(1 << bits).unwrap();
            let parse = |(on, log, within): (u32, u32, u32)| {
                format!("{on:08X}{log:08X}{within:08X}").parse::<SegmentName>().unwrap()
            };
            let names: Vec<SegmentName> = names.into_iter().map(parse).collect();
            let histories: Vec<TimelineHistory> = switches
                .iter()
                .filter_map(|(on, switch)| {
                    let text = format!("{on}\t{}\tx\n", Lsn::new(*switch));
                    TimelineHistory::parse(timeline(on + 1), text.as_bytes()).ok()
                })
                .collect();
            let lost: Vec<SegmentRange> = lost
                .into_iter()
                .filter_map(|one| SegmentRange::new(names.first().copied()?, parse(one)))
                .collect();
            let found = Coverage::new(names.clone(), size, &histories, &lost, names.last().copied());
            let _ = found.timelines();
            for name in names {
                let _ = found.contiguous_from(name);
            }
        }
    }
}
