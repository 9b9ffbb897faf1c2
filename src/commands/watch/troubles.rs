//! Troubles: what failed, when it is tried again, and what was told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Part;
use crate::wal::WalFileName;

/// What can fail by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    File(WalFileName),
    Part(Part),
}

/// One of the two is there.
type Key = (Option<Part>, Option<WalFileName>);

impl Subject {
    const fn key(self) -> Key {
        match self {
            Self::File(name) => (None, Some(name)),
            Self::Part(part) => (Some(part), None),
        }
    }

    /// The longest pause between two tries.
    const fn longest_pause(self) -> Duration {
        match self {
            Self::File(_) => Duration::from_secs(300),
            Self::Part(_) => Duration::from_secs(15),
        }
    }
}

#[derive(Debug)]
struct Trouble {
    tries: u32,
    next: Duration,
    reason: String,
    told_at: Duration,
}

/// What fails now.
#[derive(Default, Debug)]
pub(super) struct Troubles(BTreeMap<Key, Trouble>);

impl Troubles {
    /// The first pause; each following one is twice as long.
    const FIRST_PAUSE: Duration = Duration::from_secs(1);

    /// After this time a failure is told again.
    const TOLD_AGAIN: Duration = Duration::from_secs(3600);

    /// More failures than this are not remembered one by one.
    const MOST: usize = 4096;

    /// Remembers a failure; whether it is to be told.
    pub fn fails(&mut self, subject: Subject, reason: String, now: Duration) -> bool {
        if !self.has(subject) && self.is_full() {
            return false;
        }
        let trouble = self.0.entry(subject.key()).or_insert_with(|| Trouble {
            tries: 0,
            next: now,
            reason: String::new(),
            told_at: now,
        });
        let is_news = trouble.reason != reason || now.saturating_sub(trouble.told_at) >= Self::TOLD_AGAIN;
        if is_news {
            trouble.reason = reason;
            trouble.told_at = now;
        }
        let pause = Self::FIRST_PAUSE.saturating_mul(1 << trouble.tries.min(16));
        trouble.tries = trouble.tries.saturating_add(1);
        trouble.next = now + pause.min(subject.longest_pause());
        is_news
    }

    /// Forgets a failure; whether it had been told.
    pub fn mends(&mut self, subject: Subject) -> bool {
        self.0.remove(&subject.key()).is_some_and(|trouble| !trouble.reason.is_empty())
    }

    /// Forgets the files that are pending no more.
    pub fn keep_files(&mut self, is_pending: impl Fn(WalFileName) -> bool) {
        self.0.retain(|(_, file), _| file.is_none_or(&is_pending));
    }

    pub fn has(&self, subject: Subject) -> bool {
        self.0.contains_key(&subject.key())
    }

    /// Whether something may be tried now.
    pub fn is_due(&self, subject: Subject, now: Duration) -> bool {
        self.0.get(&subject.key()).is_none_or(|trouble| trouble.next <= now)
    }

    /// Whether so much fails that no more is remembered, and everything has to wait a while.
    pub fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }

    /// When the first of them is tried again; the claim is looked at in its own time.
    pub fn next_try(&self) -> Option<Duration> {
        let waits = self.0.iter().filter(|((part, _), _)| *part != Some(Part::Claim));
        waits.map(|(_, trouble)| trouble.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn file(number: u8) -> Subject {
        Subject::File(format!("0000000100000000000000{number:02X}").parse().unwrap())
    }

    #[test]
    fn a_failure_is_told_once_and_again_when_it_changed_or_after_an_hour() {
        let mut troubles = Troubles::default();
        let told: Vec<bool> =
            [("a", 0), ("a", 1), ("b", 2), ("b", 3601), ("b", 3602), ("b", 3603), ("a", 3604)]
                .into_iter()
                .map(|(reason, at)| troubles.fails(file(1), reason.to_owned(), S(at)))
                .collect();
        assert_eq!(told, [true, false, true, false, true, false, true]);
        assert!(troubles.mends(file(1)) && !troubles.mends(file(1)));
        assert!(troubles.fails(file(1), "a".to_owned(), S(3605)), "it came back");
    }

    #[test]
    fn the_pause_grows_to_its_limit_and_another_file_does_not_wait() {
        let mut troubles = Troubles::default();
        let (mut now, mut pauses) = (S(0), Vec::new());
        for _ in 0..12 {
            assert!(troubles.is_due(file(1), now));
            let _ = troubles.fails(file(1), "no".to_owned(), now);
            let next = troubles.next_try().unwrap();
            pauses.push((next - now).as_secs());
            assert!(!troubles.is_due(file(1), now) && troubles.is_due(file(2), now));
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let part = Subject::Part(Part::Repository);
        for _ in 0..40 {
            let _ = troubles.fails(part, "no".to_owned(), S(0));
        }
        assert!(!troubles.is_due(part, S(14)) && troubles.is_due(part, S(15)));
    }

    #[test]
    fn what_was_never_told_is_not_told_as_mended() {
        let mut troubles = Troubles::default();
        assert!(!troubles.fails(file(1), String::new(), S(0)), "nothing to tell");
        assert!(!troubles.mends(file(1)));
    }

    #[test]
    fn a_flood_of_failures_takes_no_memory_without_end() {
        let mut troubles = Troubles::default();
        for number in 0..10_000_u32 {
            let name = format!("0000000100000000{number:08X}").parse().unwrap();
            let _ = troubles.fails(Subject::File(name), "no".to_owned(), S(0));
        }
        assert!(troubles.0.len() == Troubles::MOST && troubles.is_full());
        troubles.keep_files(|_| false);
        assert_eq!(troubles.next_try(), None);
    }
}
