//! What waits, as the last look saw it, and which of it is stored next.

use std::collections::HashSet;
use std::time::Duration;

use crate::wal::{SystemIdentifier, Timeline, WalFileName};

/// What is stored next.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Choice {
    /// The files, in the server's order.
    pub files: Vec<WalFileName>,
    /// Whether there are others behind them.
    pub more: bool,
}

/// Whether there is more to store at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taking {
    GoesOn,
    Rests,
}

/// The files that are pending, and what is known of them.
#[derive(Default, Debug)]
pub(super) struct Pending {
    /// In the server's order.
    files: Vec<WalFileName>,
    stored: HashSet<WalFileName>,
    of: Option<SystemIdentifier>,
    look_again_at: Option<Duration>,
    forgotten_at: Duration,
    /// The last one that was tried.
    tried: Option<WalFileName>,
}

impl Pending {
    /// What is known to be stored is looked up again after this time: somebody may have taken it away.
    const REMEMBERED: Duration = Duration::from_secs(3600);

    /// Takes what a look found.
    pub fn see(&mut self, files: Vec<WalFileName>, of: SystemIdentifier, now: Duration) {
        if self.of != Some(of) {
            *self = Self { of: Some(of), files, forgotten_at: now, ..Self::default() };
            return;
        }
        if now.saturating_sub(self.forgotten_at) >= Self::REMEMBERED {
            self.forget();
            self.forgotten_at = now;
        }
        // Only what is pending still is remembered.
        let stored = files.iter().copied().filter(|name| self.stored.contains(name)).collect();
        self.stored = stored;
        self.files = files;
        self.look_again_at = None;
    }

    /// The next files to store. Where it `goes_round`, those behind the last one that was tried have their turn before it
    /// begins at the head again.
    pub fn choose(&self, most: usize, goes_round: bool, is_due: impl Fn(WalFileName) -> bool) -> Choice {
        let is_ours = |name: &WalFileName| !self.stored.contains(name) && is_due(*name);
        let behind = |tried: Option<WalFileName>| {
            let is_behind = move |name: &WalFileName| {
                tried.is_none_or(|tried| name.archive_order() > tried.archive_order())
            };
            let mut ours = self.files.iter().copied().filter(is_ours).filter(is_behind);
            let files: Vec<_> = ours.by_ref().take(most).collect();
            Choice { files, more: ours.next().is_some() }
        };
        let choice = behind(self.tried.filter(|_| goes_round));
        if choice.files.is_empty() { behind(None) } else { choice }
    }

    /// These were tried.
    pub fn are_tried(&mut self, files: &[WalFileName]) {
        self.tried = files.last().copied();
    }

    /// A file is stored, and needs no other look.
    pub fn is_stored(&mut self, name: WalFileName) {
        self.stored.insert(name);
    }

    /// What was known to be stored may not be.
    pub fn forget(&mut self) {
        self.stored = HashSet::new();
    }

    /// Something has to be looked at again then.
    pub fn look_again_at(&mut self, at: Duration) {
        self.look_again_at = Some(at);
    }

    pub const fn next_look(&self) -> Option<Duration> {
        self.look_again_at
    }

    /// The file that the server archives next.
    pub fn head(&self) -> Option<WalFileName> {
        self.files.first().copied()
    }

    /// The newest timeline of all that is pending.
    pub fn newest_timeline(&self) -> Option<Timeline> {
        self.files.iter().map(|name| name.timeline()).max()
    }

    pub fn holds(&self, name: WalFileName) -> bool {
        self.files.binary_search_by_key(&name.archive_order(), |other| other.archive_order()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn segments(numbers: std::ops::Range<u32>) -> Vec<WalFileName> {
        numbers.map(|number| format!("0000000200000000{number:08X}").parse().unwrap()).collect()
    }

    fn system(number: u64) -> SystemIdentifier {
        SystemIdentifier::new(number)
    }

    fn chosen(pending: &Pending) -> Vec<WalFileName> {
        pending.choose(100, false, |_| true).files
    }

    #[test]
    fn what_is_stored_is_not_chosen_again_until_it_is_forgotten() {
        let mut pending = Pending::default();
        pending.see(segments(0..5), system(1), S(0));
        segments(0..3).into_iter().for_each(|name| pending.is_stored(name));
        assert_eq!(chosen(&pending), segments(3..5));
        pending.see(segments(0..5), system(1), S(3599));
        assert_eq!(chosen(&pending), segments(3..5));
        pending.see(segments(0..5), system(1), S(3600));
        assert_eq!(chosen(&pending), segments(0..5), "an hour later");
        pending.is_stored(segments(0..1)[0]);
        pending.see(segments(0..5), system(2), S(3601));
        assert_eq!(chosen(&pending), segments(0..5), "another cluster took the directory");
    }

    #[test]
    fn where_too_much_fails_to_be_remembered_each_has_its_turn() {
        let mut pending = Pending::default();
        pending.see(segments(0..20), system(1), S(0));
        let turns: Vec<Vec<WalFileName>> = (0..4)
            .map(|_| {
                let choice = pending.choose(8, true, |_| true);
                pending.are_tried(&choice.files);
                choice.files
            })
            .collect();
        assert_eq!(turns, [segments(0..8), segments(8..16), segments(16..20), segments(0..8)]);
        assert_eq!(pending.choose(8, false, |_| true).files, segments(0..8));
    }

    #[test]
    fn a_long_queue_is_stored_bit_by_bit() {
        let mut pending = Pending::default();
        pending.see(segments(0..20), system(1), S(0));
        let choice = pending.choose(8, false, |_| true);
        assert_eq!(choice, Choice { files: segments(0..8), more: true });
        assert!(!pending.choose(20, false, |_| true).more);
        assert!(pending.holds(segments(3..4)[0]) && !pending.holds(segments(20..21)[0]));
        assert_eq!(pending.newest_timeline(), Timeline::new(2));
    }
}
