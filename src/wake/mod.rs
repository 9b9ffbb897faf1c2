//! Waking: when to look again. An event wakes, it never instructs: what happened is found by looking. A timer
//! wakes too, for events get lost, and file systems of other hosts send none.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

/// Watches directories for whatever changes in them, not below.
pub struct Wake {
    /// One place: events that come together count as one, and a burst of them takes no memory.
    events: Receiver<()>,
    sender: SyncSender<()>,
    watcher: Option<RecommendedWatcher>,
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
        let mut wake = Self { events, sender, watcher: None };
        let _ = wake.watch(directories);
        wake
    }

    /// Watches other directories from now on; `false` where the system refuses one, and only the timer wakes for it.
    #[must_use]
    pub fn watch(&mut self, directories: &[&Path]) -> bool {
        // The old descriptors go first: their number is limited.
        self.watcher = None;
        if directories.is_empty() {
            return true;
        }
        let waker = self.waker();
        let tell = move |event: notify::Result<Event>| {
            if !event.is_ok_and(|event| is_mere_reading(event.kind)) {
                waker.wake();
            }
        };
        // The crate takes for granted that it gets a thread, and panics where it got none; dropped then, it panics
        // again, which would end the process.
        if !there_are_threads() {
            return false;
        }
        let Ok(watcher) = notify::recommended_watcher(tell) else { return false };
        let mut watcher = ManuallyDrop::new(watcher);
        let Ok(comes) = catch_unwind(AssertUnwindSafe(|| ask(&mut watcher, directories))) else {
            return false;
        };
        self.watcher = Some(ManuallyDrop::into_inner(watcher));
        comes
    }

    /// Asks for the events of the same directories once more; `false` where the system refuses one. It tells nobody
    /// that it sends none any more: of a directory whose file system was unmounted and mounted again, or that was made
    /// anew and got its old number.
    #[must_use]
    pub fn ask_again(&mut self, directories: &[&Path]) -> bool {
        self.watcher.as_mut().is_some_and(|watcher| ask(watcher, directories))
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

/// `false` where one of the directories is refused; the others are watched all the same.
fn ask(watcher: &mut RecommendedWatcher, directories: &[&Path]) -> bool {
    let refused = |directory: &&&Path| watcher.watch(directory, RecursiveMode::NonRecursive).is_err();
    directories.iter().filter(refused).count() == 0
}

fn there_are_threads() -> bool {
    thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())
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

    /// No machine is so slow.
    const LONG: Duration = Duration::from_secs(600);

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
    fn a_directory_that_was_made_anew_wakes_once_it_was_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let status = dir.path().join("archive_status");
        std::fs::create_dir(&status).unwrap();
        let mut wake = Wake::on(&[&status]);
        std::fs::remove_dir(&status).unwrap();
        assert!(!wake.ask_again(&[&status]));
        assert_eq!(wake.wait(LONG), Woken::Event, "the end of the old one");
        std::fs::create_dir(&status).unwrap();
        // The library forgets the old one late, and the new one with it: then it has to be asked once more.
        let began = std::time::Instant::now();
        loop {
            assert!(wake.ask_again(&[&status]) && wake.ask_again(&[&status]));
            tempfile::NamedTempFile::new_in(&status).unwrap().keep().unwrap();
            if wake.wait(Duration::from_secs(1)) == Woken::Event {
                break;
            }
            assert!(began.elapsed() < LONG, "the new one never wakes");
        }
        assert!(!Wake::on(&[]).ask_again(&[&status]), "nothing was asked for");
    }

    #[test]
    fn to_ask_again_is_no_event() {
        let dir = tempfile::tempdir().unwrap();
        let mut wake = Wake::on(&[dir.path()]);
        assert!(wake.ask_again(&[dir.path()]) && wake.ask_again(&[dir.path()]));
        assert_eq!(wake.wait(Duration::from_millis(100)), Woken::Timer);
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
