use std::collections::{BTreeMap, BTreeSet};

use super::{Lsn, Timeline, TimelineHistory};

/// How timelines descend from each other, as a set of histories tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lineage {
    forks: BTreeMap<Timeline, Fork>,
    furthest: BTreeMap<Timeline, Lsn>,
    contradictions: Vec<Contradiction>,
}

/// Where a timeline left its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fork {
    /// The timeline that was left.
    pub parent: Timeline,
    /// Where it was left.
    pub switch: Lsn,
    /// Whose history says so.
    pub told_by: Timeline,
}

/// Two histories that cannot both be true.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contradiction {
    /// The timeline whose beginning they tell differently.
    pub about: Timeline,
    /// What the one says.
    pub one: Fork,
    /// What the other says.
    pub other: Fork,
}

impl Lineage {
    /// Reads the histories together. A history that knows less than another - a server that has lost its
    /// parent's history begins a new one - contradicts nothing.
    #[must_use]
    pub fn of(histories: &[TimelineHistory]) -> Self {
        let mut sorted: Vec<&TimelineHistory> = histories.iter().collect();
        // A timeline's own history comes before those of its descendants, and is believed.
        sorted.sort_by_key(|history| history.timeline());
        let mut lineage = Self::default();
        for history in sorted {
            let entries = history.entries();
            let own = history.timeline();
            let children = entries.iter().skip(1).map(|entry| entry.timeline).chain([own]);
            for (entry, child) in entries.iter().zip(children) {
                let fork = Fork { parent: entry.timeline, switch: entry.switch, told_by: own };
                lineage.learn(child, fork);
            }
        }
        lineage
    }

    fn learn(&mut self, child: Timeline, fork: Fork) {
        let furthest = self.furthest.entry(fork.parent).or_insert(fork.switch);
        *furthest = fork.switch.max(*furthest);
        let known = *self.forks.entry(child).or_insert(fork);
        if (known.parent, known.switch) != (fork.parent, fork.switch) {
            self.contradictions.push(Contradiction { about: child, one: known, other: fork });
        }
    }

    /// Where a timeline left its parent; `None` where no history tells, as of the first one.
    #[must_use]
    pub fn fork_of(&self, timeline: Timeline) -> Option<Fork> {
        self.forks.get(&timeline).copied()
    }

    /// The furthest position up to which any other timeline follows this one; `None` where none does.
    #[must_use]
    pub fn followed_up_to(&self, timeline: Timeline) -> Option<Lsn> {
        self.furthest.get(&timeline).copied()
    }

    /// Whether a position of one timeline is part of the way to two others: where both come by, before they part.
    /// What no history tells is not shared.
    #[must_use]
    pub fn share(&self, timeline: Timeline, position: Lsn, one: Timeline, other: Timeline) -> bool {
        self.comes_by(timeline, position, one) && self.comes_by(timeline, position, other)
    }

    /// Whether a position of a timeline is part of the way to another: its own, or one before the fork.
    fn comes_by(&self, timeline: Timeline, position: Lsn, to: Timeline) -> bool {
        let mut at = to;
        while at != timeline {
            // Parents are always lower, so this ends.
            match self.fork_of(at).filter(|fork| fork.parent < at) {
                Some(fork) if fork.parent == timeline => return position < fork.switch,
                Some(fork) => at = fork.parent,
                None => return false,
            }
        }
        true
    }

    /// Every timeline that a history names, in ascending order.
    #[must_use]
    pub fn timelines(&self) -> BTreeSet<Timeline> {
        self.forks.keys().chain(self.furthest.keys()).copied().collect()
    }

    /// The histories that cannot both be true.
    #[must_use]
    pub fn contradictions(&self) -> &[Contradiction] {
        &self.contradictions
    }

    /// Whether a timeline goes through a position on another one, or is that one itself.
    #[must_use]
    pub fn leads_to(&self, from: Timeline, position: Lsn, to: Timeline) -> bool {
        let mut at = to;
        // Parents are always lower, so this ends.
        while at != from {
            match self.fork_of(at) {
                Some(fork) if fork.parent == from => return fork.switch > position,
                Some(fork) => at = fork.parent,
                None => return false,
            }
        }
        true
    }

    /// The way from a position on a timeline to the newest timeline that descends from there: each further
    /// timeline with its fork, in order; empty where none does.
    #[must_use]
    pub fn way_to_newest(&self, from: Timeline, behind: Lsn) -> Vec<(Timeline, Fork)> {
        let mut descendants = BTreeSet::new();
        // Parents are always lower, so one pass in ascending order finds all.
        for (child, fork) in &self.forks {
            let leaves_here = fork.parent == from && fork.switch > behind;
            if leaves_here || descendants.contains(&fork.parent) {
                descendants.insert(*child);
            }
        }
        let mut way = Vec::new();
        let mut at = descendants.last().copied();
        while let Some((child, fork)) = at.and_then(|at| Some((at, self.fork_of(at)?))) {
            way.push((child, fork));
            at = Some(fork.parent).filter(|parent| *parent != from);
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).unwrap()
    }

    fn history(own: u32, text: &str) -> TimelineHistory {
        TimelineHistory::parse(timeline(own), text.as_bytes()).unwrap()
    }

    #[test]
    fn a_timeline_goes_through_its_ancestors_up_to_where_they_were_left() {
        let lineage = Lineage::of(&[history(2, "1\t0/1000\tx\n"), history(4, "1\t0/800\tx\n3\t0/900\tx\n")]);
        let leads =
            |from: u32, at: u64, to: u32| lineage.leads_to(timeline(from), Lsn::new(at), timeline(to));
        assert!(leads(1, 0xFFF, 2) && leads(1, 0x7FF, 4) && leads(3, 0x8FF, 4) && leads(2, u64::MAX, 2));
        assert!(!leads(1, 0x1000, 2) && !leads(1, 0x800, 4) && !leads(3, 0x900, 4), "left before");
        assert!(!leads(2, 0, 4) && !leads(2, 0, 1) && !leads(4, 0, 1) && !leads(1, 0, 9), "no ancestors");
    }

    #[test]
    fn histories_that_agree_contradict_nothing_however_much_each_knows() {
        let whole = history(3, "1\t0/1000\tx\n2\t0/2000\tx\n");
        let lineage = Lineage::of(&[whole, history(2, "1\t0/1000\ty\n"), history(4, "3\t0/3000\tx\n")]);
        assert_eq!(lineage.contradictions(), []);
        assert_eq!(lineage.fork_of(timeline(3)).unwrap().parent, timeline(2));
        assert_eq!(lineage.fork_of(timeline(1)), None);
        assert_eq!(lineage.followed_up_to(timeline(2)), Some(Lsn::new(0x2000)));
        let way: Vec<u32> =
            lineage.way_to_newest(timeline(1), Lsn::ZERO).iter().map(|(child, _)| child.get()).collect();
        assert_eq!(way, [2, 3, 4]);
    }

    #[test]
    fn two_histories_that_tell_a_fork_differently_contradict_each_other() {
        let own = history(2, "1\t0/1000\tx\n");
        for other in ["1\t0/1001\tx\n2\t0/2000\tx\n", "1\t0/0FFF\tx\n2\t0/2000\tx\n"] {
            let lineage = Lineage::of(&[history(3, other), own.clone()]);
            let [found] = lineage.contradictions() else { panic!("{lineage:?}") };
            assert_eq!(
                (found.about, found.one.told_by, found.other.told_by),
                (timeline(2), timeline(2), timeline(3))
            );
        }
        let lineage = Lineage::of(&[history(5, "1\t0/1\tx\n4\t0/2\tx\n"), history(4, "2\t0/1\tx\n")]);
        assert_eq!(lineage.contradictions().len(), 1);
    }

    #[test]
    fn a_position_is_shared_by_two_timelines_up_to_where_they_part() {
        let lineage = Lineage::of(&[
            history(2, "1\t0/1000\tx\n"),
            history(3, "1\t0/1000\tx\n2\t0/2000\tx\n"),
            history(4, "1\t0/0800\tx\n"),
        ]);
        let share = |on: u32, position: u64, one: u32, other: u32| {
            lineage.share(timeline(on), Lsn::new(position), timeline(one), timeline(other))
        };
        assert!(share(1, 0xFFF, 1, 2) && !share(1, 0x1000, 1, 2));
        assert!(share(1, 0xFFF, 2, 3) && share(2, 0x1FFF, 2, 3) && !share(2, 0x2000, 2, 3));
        assert!(share(1, 0x7FF, 3, 4) && !share(1, 0x800, 3, 4) && !share(2, 0x1FFF, 3, 4));
        assert!(share(1, 0xFFFF, 1, 1));
        assert!(!share(1, 0, 1, 9), "nobody knows where timeline 9 comes from");
    }

    #[test]
    fn two_branches_of_one_timeline_contradict_nothing() {
        let lineage = Lineage::of(&[history(2, "1\t0/1000\tx\n"), history(3, "1\t0/3000\tx\n")]);
        assert_eq!(lineage.contradictions(), []);
        assert_eq!(lineage.followed_up_to(timeline(1)), Some(Lsn::new(0x3000)));
        assert_eq!(lineage.way_to_newest(timeline(1), Lsn::new(0x2000)).len(), 1);
        assert!(lineage.way_to_newest(timeline(1), Lsn::new(0x3000)).is_empty());
        assert!(lineage.way_to_newest(timeline(2), Lsn::ZERO).is_empty());
    }
}
