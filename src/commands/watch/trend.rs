//! The trend of a queue: how long it was over the hours, and how much came and went, as a watch's looks tell it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::wal::SystemIdentifier;

/// What a look found of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Whose it is.
    pub of: SystemIdentifier,
    /// What repmgr counts: every regular file that ends in `.ready`.
    pub ready_files: u64,
    /// Pending segments.
    pub pending_segments: u64,
    /// Number of the newest segment that is known to be finished: by its status file, or because the last checkpoint
    /// lies behind it.
    pub newest: u64,
    /// Length of a segment in bytes.
    pub segment_bytes: u64,
}

/// How much WAL came and went since a watch began. Neither ever falls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    /// Segments that the server finished.
    pub generated_segments: u64,
    /// Their bytes.
    pub generated_bytes: u64,
    /// Finished segments that wait no more: whoever stored them, and whether they waited long enough to be seen.
    pub drained_segments: u64,
    /// Their bytes.
    pub drained_bytes: u64,
}

/// How much came and went within a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// The time.
    pub over: Duration,
    /// What came and went in it.
    pub flow: Flow,
}

impl Rates {
    /// Bytes of WAL that came, and bytes that went, each second.
    #[must_use]
    pub fn bytes_a_second(&self) -> (u64, u64) {
        let a_second = |bytes: u64| {
            let rate = (u128::from(bytes) * 1000).checked_div(self.over.as_millis()).unwrap_or_default();
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        (a_second(self.flow.generated_bytes), a_second(self.flow.drained_bytes))
    }
}

/// What a watch remembers of a queue. It takes the same few kilobytes for ever: [`Trend::MOST_POINTS`] points, each the
/// longest queue of its time, and a sample of the flow every 15 seconds for [`Trend::RATES_OVER`]. A point stands for 20
/// seconds at first. When there is no room for another one, every two become one and stand for twice as long, until
/// one stands for [`Trend::LONGEST_POINT`]; from then on the oldest goes. So all points together tell of the
/// last hour at first, and of the last 42 hours at most.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    last: Option<(Duration, Look)>,
    flow: Flow,
    /// Segments that were finished before they were seen to wait: what they drain later was counted already.
    owed: u64,
    samples: VecDeque<(Duration, Flow)>,
    /// The place of each, counted from the beginning in the time of one.
    points: VecDeque<(u64, u64)>,
    /// How often the time of one was doubled.
    doubled: u32,
}

impl Trend {
    /// How many points there are at most.
    pub const MOST_POINTS: usize = 240;

    /// For how long the rates are taken.
    pub const RATES_OVER: Duration = Duration::from_secs(300);

    /// For how long a point stands at most.
    pub const LONGEST_POINT: Duration = Duration::from_secs(640);

    const SHORTEST_POINT: Duration = Duration::from_secs(20);
    const SAMPLED_EVERY: Duration = Duration::from_secs(15);
    /// Rates of a shorter time say nothing.
    const LEAST: Duration = Duration::from_secs(30);
    /// A queue counts as what it was at the last look for so long.
    const STANDS_FOR: Duration = Duration::from_secs(60);

    /// Takes what a look found; `at` is counted from some beginning, and never falls.
    pub fn see(&mut self, look: Look, at: Duration) {
        if let Some((_, before)) = self.last {
            self.flow(&before, &look);
        }
        self.sample(at);
        if let Some((since, before)) = self.last
            && at.saturating_sub(since) <= Self::STANDS_FOR
        {
            self.point(before.ready_files, since, at);
        }
        self.point(look.ready_files, at, at);
        self.last = Some((at, look));
    }

    fn flow(&mut self, before: &Look, now: &Look) {
        // Another cluster, or this one after a rewind: what lies between the two was not written meanwhile.
        if before.of != now.of || before.segment_bytes != now.segment_bytes || now.newest < before.newest {
            self.owed = 0;
            return;
        }
        let generated = now.newest - before.newest;
        // What waits now of what waited and what came; if it is more than that, some of it was counted before.
        let gone = generated.saturating_add(before.pending_segments);
        let drained = gone.saturating_sub(now.pending_segments);
        let counted = drained.saturating_sub(self.owed);
        let again = now.pending_segments.saturating_sub(gone);
        self.owed = self.owed.saturating_sub(drained).saturating_add(again);
        let flow = &mut self.flow;
        flow.generated_segments = flow.generated_segments.saturating_add(generated);
        flow.generated_bytes =
            flow.generated_bytes.saturating_add(generated.saturating_mul(now.segment_bytes));
        flow.drained_segments = flow.drained_segments.saturating_add(counted);
        flow.drained_bytes = flow.drained_bytes.saturating_add(counted.saturating_mul(now.segment_bytes));
    }

    fn sample(&mut self, at: Duration) {
        let is_due =
            self.samples.back().is_none_or(|(last, _)| at.saturating_sub(*last) >= Self::SAMPLED_EVERY);
        if is_due {
            self.samples.push_back((at, self.flow));
        }
        while self.samples.front().is_some_and(|(first, _)| at.saturating_sub(*first) > Self::RATES_OVER) {
            self.samples.pop_front();
        }
    }

    /// So many were pending from one time to another, both included.
    fn point(&mut self, files: u64, from: Duration, to: Duration) {
        let first = self.points.front().map_or(from, |(place, _)| self.begin_of(*place));
        while self.place(to) - self.place(first).min(self.place(to)) >= Self::MOST_POINTS as u64
            && self.time_of_one() < Self::LONGEST_POINT
        {
            self.double();
        }
        let last = self.place(to);
        let oldest = (last + 1).saturating_sub(Self::MOST_POINTS as u64);
        for place in self.place(from).max(oldest)..=last {
            self.put(place, files);
        }
        while self.points.front().is_some_and(|(place, _)| *place < oldest) {
            self.points.pop_front();
        }
    }

    fn put(&mut self, place: u64, files: u64) {
        match self.points.back_mut() {
            Some((last, most)) if *last >= place => *most = files.max(*most),
            _ => self.points.push_back((place, files)),
        }
    }

    fn double(&mut self) {
        self.doubled += 1;
        for (place, files) in std::mem::take(&mut self.points) {
            self.put(place / 2, files);
        }
    }

    fn place(&self, at: Duration) -> u64 {
        at.as_secs() / self.time_of_one().as_secs().max(1)
    }

    fn begin_of(&self, place: u64) -> Duration {
        Duration::from_secs(place.saturating_mul(self.time_of_one().as_secs()))
    }

    /// For how long a point stands.
    #[must_use]
    pub fn time_of_one(&self) -> Duration {
        Self::SHORTEST_POINT * 2_u32.saturating_pow(self.doubled)
    }

    /// When each point begins, and how long the queue was at most in its time; in their order, and none for a time of
    /// which nothing is known.
    pub fn points(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.points.iter().map(|(place, files)| (self.begin_of(*place), *files))
    }

    /// What came and went since the beginning.
    #[must_use]
    pub const fn total(&self) -> Flow {
        self.flow
    }

    /// What came and went of late; `None` where nothing was seen for long enough.
    #[must_use]
    pub fn rates(&self) -> Option<Rates> {
        let ((at, _), (first, before)) = (self.last?, self.samples.front()?);
        let over = at.saturating_sub(*first);
        let flow = Flow {
            generated_segments: self.flow.generated_segments - before.generated_segments,
            generated_bytes: self.flow.generated_bytes - before.generated_bytes,
            drained_segments: self.flow.drained_segments - before.drained_segments,
            drained_bytes: self.flow.drained_bytes - before.drained_bytes,
        };
        (over >= Self::LEAST).then_some(Rates { over, flow })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn look(newest: u64, pending: u64) -> Look {
        let of = SystemIdentifier::new(7);
        Look { of, ready_files: pending, pending_segments: pending, newest, segment_bytes: 16 }
    }

    fn flows(looks: &[(u64, u64)]) -> (u64, u64) {
        let mut trend = Trend::default();
        for (at, (newest, pending)) in (0..).zip(looks) {
            trend.see(look(*newest, *pending), S(at));
        }
        let Flow { generated_segments, drained_segments, .. } = trend.total();
        (generated_segments, drained_segments)
    }

    #[test]
    fn what_comes_and_goes_is_counted_also_between_two_looks() {
        assert_eq!(flows(&[(100, 7)]), (0, 0), "what was there before");
        assert_eq!(flows(&[(100, 7), (100, 5)]), (0, 2));
        assert_eq!(flows(&[(100, 0), (110, 0)]), (10, 10), "it never was seen to wait");
        assert_eq!(flows(&[(100, 3), (110, 9), (112, 0)]), (12, 15));
    }

    #[test]
    fn what_waits_again_is_not_drained_twice() {
        assert_eq!(flows(&[(100, 3), (100, 0), (100, 3), (100, 0)]), (0, 3));
        assert_eq!(flows(&[(100, 0), (100, 4), (101, 3), (105, 0)]), (5, 5));
    }

    #[test]
    fn another_cluster_or_a_rewind_is_no_flow() {
        let mut trend = Trend::default();
        let other = Look { of: SystemIdentifier::new(8), ..look(9000, 50) };
        for (at, look) in [look(100, 3), other, look(90, 0), look(92, 0)].into_iter().enumerate() {
            trend.see(look, S(at as u64));
        }
        assert_eq!(trend.total().generated_segments, 2);
        assert_eq!(trend.total().drained_bytes, 32);
    }

    #[test]
    fn rates_are_those_of_the_last_five_minutes() {
        let mut trend = Trend::default();
        for at in 0..=40 {
            trend.see(look(100 + at * 3, 1), S(at * 15));
            assert_eq!(trend.rates().is_some(), at >= 2, "{at}");
        }
        let rates = trend.rates().unwrap();
        assert_eq!(rates.over, Trend::RATES_OVER);
        assert_eq!((rates.flow.generated_segments, rates.flow.drained_segments), (60, 60));
        assert_eq!(rates.bytes_a_second(), (3, 3));
    }

    #[test]
    fn points_become_coarser_until_one_stands_for_eleven_minutes_and_keep_the_longest_queue() {
        let mut trend = Trend::default();
        trend.see(look(1, 500), S(0));
        trend.see(look(1, 2), S(25));
        assert_eq!(trend.points().collect::<Vec<_>>(), [(S(0), 500), (S(20), 500)], "it stood until then");
        for at in (40..4800).step_by(15) {
            trend.see(look(1, 2), S(at));
        }
        assert_eq!((trend.time_of_one(), trend.points().count()), (S(20), 240));
        trend.see(look(1, 2), S(4800));
        assert_eq!((trend.time_of_one(), trend.points().count()), (S(40), 121));
        assert_eq!(trend.points().next(), Some((S(0), 500)));
        trend.see(look(1, 3), S(90_000));
        let last: Vec<_> = trend.points().skip(1).collect();
        assert_eq!(trend.time_of_one(), S(640));
        assert_eq!(last.last(), Some(&(S(89_600), 3)), "of the time between nothing is known");
        for at in (90_000..400_000).step_by(60) {
            trend.see(look(1, 1), S(at));
        }
        assert_eq!((trend.time_of_one(), trend.points().count()), (Trend::LONGEST_POINT, 240));
        assert!(trend.points().all(|(_, files)| files == 1), "the oldest go");
    }

    proptest! {
        #[test]
        fn whatever_is_seen_memory_is_bounded_and_totals_never_fall(
            looks in prop::collection::vec((0u64..2, any::<u64>(), any::<u64>(), 0u64..200_000), 0..400),
        ) {
            let (mut trend, mut at, mut before) = (Trend::default(), 0, Flow::default());
            for (of, newest, pending, later) in looks {
                at += later;
                trend.see(Look { of: SystemIdentifier::new(of), ..look(newest, pending) }, S(at));
                let total = trend.total();
                prop_assert!(total.generated_segments >= before.generated_segments);
                prop_assert!(total.drained_bytes >= before.drained_bytes);
                prop_assert!(trend.points().count() <= Trend::MOST_POINTS);
                prop_assert!(trend.samples.len() <= 22);
                let _ = trend.rates().map(|rates| rates.bytes_a_second());
                before = total;
            }
        }
    }
}
