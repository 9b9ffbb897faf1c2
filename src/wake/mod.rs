//! Waking: when to look again. An event wakes, it never instructs: what happened is found by looking. A timer
//! wakes too, for events get lost, and file systems of other hosts send none.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Watches directories for whatever changes in them, not below.
pub struct Wake {
    events: Receiver<()>,
    /// Keeps the channel open where nothing can be watched, so that waiting takes its time.
    _keep_open: Sender<()>,
    _watcher: Option<RecommendedWatcher>,
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// Something changed.
    Event,
    /// Time is up.
    Timer,
}

impl Wake {
    /// Watches directories as far as the system lets it; where it does not, only the timer wakes.
    #[must_use]
    pub fn on(directories: &[&Path]) -> Self {
        let (sender, events) = channel();
        let keep_open = sender.clone();
        let wake = move |_| {
            let _ = sender.send(());
        };
        let watcher = notify::recommended_watcher(wake).ok().map(|mut watcher: RecommendedWatcher| {
            for directory in directories {
                let _ = watcher.watch(directory, RecursiveMode::NonRecursive);
            }
            watcher
        });
        Self { events, _keep_open: keep_open, _watcher: watcher }
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
}
