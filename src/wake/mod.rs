//! Waking: when to look again. An event wakes, it never instructs: what happened is found by looking. A timer
//! wakes too, for events get lost, and file systems of other hosts send none.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

/// Watches directories for whatever changes in them, not below.
pub struct Wake {
    /// One place: events that come together count as one, and a burst of them takes no memory.
    events: Receiver<()>,
    sender: SyncSender<()>,
    /// Held for its drop.
    _watcher: Option<RecommendedWatcher>,
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// Something changed, or somebody asked to look.
    Event,
    /// Time is up.
    Timer,
}

/// Ends somebody's wait, from another thread.
#[derive(Clone, Debug)]
pub struct Waker(SyncSender<()>);

impl Waker {
    /// Ends the wait, or the next one where nobody waits now.
    pub fn wake(&self) {
        // A full channel wakes already.
        let _ = self.0.try_send(());
    }
}

impl Wake {
    /// Watches directories as far as the system lets it; where it does not, only the timer wakes.
    #[must_use]
    pub fn on(directories: &[&Path]) -> Self {
        let (sender, events) = sync_channel(1);
        let mut wake = Self { events, sender, _watcher: None };
        let _ = wake.watch(directories);
        wake
    }

    /// Watches other directories from now on; `false` where the system refuses one, and only the timer wakes for it.
    #[must_use]
    pub fn watch(&mut self, directories: &[&Path]) -> bool {
        // The old descriptors go first: their number is limited.
        self._watcher = None;
        if directories.is_empty() {
            return true;
        }
        let waker = self.waker();
        let tell = move |event: notify::Result<Event>| {
            if !event.is_ok_and(|event| is_mere_reading(event.kind)) {
                waker.wake();
            }
        };
        let Ok(mut watcher) = notify::recommended_watcher(tell) else { return false };
        let refused = directories
            .iter()
            .filter(|directory| watcher.watch(directory, RecursiveMode::NonRecursive).is_err())
            .count();
        self._watcher = Some(watcher);
        refused == 0
    }

    /// What ends the waits of this one from elsewhere.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits for an event, but no longer than that. Events that came before, and those that come together with
    /// the first, count as one.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Woken {
        match self.events.recv_timeout(at_most) {
            Ok(()) => {
                while self.events.try_recv().is_ok() {}
                Woken::Event
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Woken::Timer,
        }
    }
}

/// Whether somebody only looked, as we do after each event: that must not be the next one. A queue of events that
/// ran over is an event of its own kind.
const fn is_mere_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_file_that_appears_or_is_renamed_wakes() {
        let dir = tempfile::tempdir().unwrap();
        let wake = Wake::on(&[dir.path()]);
        tempfile::NamedTempFile::new_in(dir.path()).unwrap().keep().unwrap();
        assert_eq!(wake.wait(LONG), Woken::Event);
        while wake.wait(Duration::from_millis(100)) == Woken::Event {}
        let file = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        assert_eq!(wake.wait(LONG), Woken::Event);
        file.persist(dir.path().join("renamed")).unwrap();
        assert_eq!(wake.wait(LONG), Woken::Event);
    }

    #[test]
    fn where_nothing_can_be_watched_the_timer_wakes() {
        let wake = Wake::on(&[Path::new("/nowhere/at/all")]);
        assert_eq!(wake.wait(Duration::from_millis(1)), Woken::Timer);
    }

    #[test]
    fn reading_a_directory_wakes_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let wake = Wake::on(&[dir.path()]);
        for _ in 0..3 {
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        assert_eq!(wake.wait(Duration::from_millis(200)), Woken::Timer);
    }

    #[test]
    fn a_wait_is_ended_from_another_thread_and_a_burst_is_one_event() {
        let wake = Wake::on(&[]);
        let waker = wake.waker();
        std::thread::spawn(move || (0..1000).for_each(|_| waker.wake())).join().unwrap();
        assert_eq!(wake.wait(LONG), Woken::Event);
        assert_eq!(wake.wait(Duration::from_millis(1)), Woken::Timer);
    }

    #[test]
    fn other_directories_can_be_watched_instead() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut wake = Wake::on(&[one.path()]);
        assert!(wake.watch(&[other.path()]));
        assert!(!wake.watch(&[Path::new("/nowhere/at/all")]));
        assert!(wake.watch(&[other.path()]));
        tempfile::NamedTempFile::new_in(one.path()).unwrap().keep().unwrap();
        assert_eq!(wake.wait(Duration::from_millis(200)), Woken::Timer);
        tempfile::NamedTempFile::new_in(other.path()).unwrap().keep().unwrap();
        assert_eq!(wake.wait(LONG), Woken::Event);
    }
}
