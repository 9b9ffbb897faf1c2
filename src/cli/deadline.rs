use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::commands::{Observer, Progress};

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    /// It takes longer than it may.
    #[error("no end after {0:?}: the repository, or the file system of the data directory, does not answer")]
    TooLong(Duration),
    /// It panicked, which is a bug here.
    #[error("an internal error; please report it")]
    Panicked,
    /// No thread could be started to watch it.
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
}

/// Says why work is given up, and with which exit code.
type GiveUp = Box<dyn FnOnce(&Unfinished) -> u8 + Send>;

/// A watch over work that may hang on a file system. Where it takes longer than it may, the process ends.
pub(super) struct Deadline {
    phase: Arc<Mutex<Phase>>,
}

struct Phase {
    began: Instant,
    limit: Duration,
    give_up: Option<GiveUp>,
}

impl Deadline {
    /// How often the watch looks whether what it watches has been given another time. To be woken for that would cost
    /// a call that only confirms a file more than its own work.
    const LOOKS_EVERY: Duration = Duration::from_secs(1);

    /// Begins to watch.
    pub fn start(
        limit: Duration,
        give_up: impl FnOnce(&Unfinished) -> u8 + Send + 'static,
    ) -> Result<Self, Unfinished> {
        let phase = Phase { began: Instant::now(), limit, give_up: Some(Box::new(give_up)) };
        let phase = Arc::new(Mutex::new(phase));
        let watched = Arc::clone(&phase);
        let watch = move || {
            while let Some(left) = time_left(&watched) {
                thread::sleep(left.min(Self::LOOKS_EVERY));
            }
        };
        thread::Builder::new().name("deadline".to_owned()).spawn(watch).map_err(Unfinished::NoThread)?;
        Ok(Self { phase })
    }

    /// Gives what comes next a time of its own, and an end of its own, which may come a second late. Where the time
    /// before ran out first, the process ends as it was told then.
    pub fn begin(&self, limit: Duration, give_up: impl FnOnce(&Unfinished) -> u8 + Send + 'static) {
        let next = Phase { began: Instant::now(), limit, give_up: Some(Box::new(give_up)) };
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Does what is watched.
    #[expect(clippy::unused_self, reason = "what is done here is watched")]
    pub fn work<T>(&self, work: impl FnOnce() -> T) -> Result<T, Unfinished> {
        // Nothing that the work touched is used after a panic.
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| Unfinished::Panicked)
    }
}

/// How much of its time a phase has left; where it has none, the process ends.
fn time_left(phase: &Mutex<Phase>) -> Option<Duration> {
    let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    let left = phase.limit.saturating_sub(phase.began.elapsed());
    if left.is_zero() {
        let limit = phase.limit;
        let give_up = phase.give_up.take()?;
        std::process::exit(give_up(&Unfinished::TooLong(limit)).into());
    }
    Some(left)
}

/// Does work that may hang on a file system, for as long as it may. After that the process ends: `give_up` says
/// why, and with which exit code.
pub(super) fn within<T>(
    limit: Duration,
    give_up: impl FnOnce(&Unfinished) -> u8 + Send + 'static,
    work: impl FnOnce() -> T,
) -> Result<T, Unfinished> {
    Deadline::start(limit, give_up)?.work(work)
}

/// Watches work that goes on in steps: each of them may take so long and no longer. Every step that the observer
/// is told of begins the time anew.
pub(super) struct Idle<'a> {
    limit: Duration,
    last_step: Arc<Mutex<Instant>>,
    observer: &'a dyn Observer,
}

impl<'a> Idle<'a> {
    pub fn new(limit: Duration, observer: &'a dyn Observer) -> Self {
        Self { limit, last_step: Arc::new(Mutex::new(Instant::now())), observer }
    }

    /// As [`within`], for each step.
    pub fn watch<T>(
        &self,
        give_up: impl FnOnce(&Unfinished) -> u8 + Send + 'static,
        work: impl FnOnce() -> T,
    ) -> Result<T, Unfinished> {
        let (limit, last_step) = (self.limit, Arc::clone(&self.last_step));
        let ended = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ended);
        let watch = move || {
            while let Some(left) = limit.checked_sub(since(&last_step)).filter(|left| !left.is_zero()) {
                thread::sleep(left);
            }
            if has_ended.load(Ordering::SeqCst) {
                return;
            }
            std::process::exit(give_up(&Unfinished::TooLong(limit)).into());
        };
        thread::Builder::new().name("deadline".to_owned()).spawn(watch).map_err(Unfinished::NoThread)?;
        let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| Unfinished::Panicked);
        // What comes behind the work is watched elsewhere.
        ended.store(true, Ordering::SeqCst);
        done
    }
}

/// How long the last step has been going on.
fn since(last_step: &Mutex<Instant>) -> Duration {
    last_step.lock().map_or(Duration::ZERO, |at| at.elapsed())
}

impl Observer for Idle<'_> {
    fn progress(&self, progress: Progress) {
        if let Ok(mut at) = self.last_step.lock() {
            *at = Instant::now();
        }
        self.observer.progress(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told() {
        let hour = Duration::from_secs(3600);
        assert!(matches!(within(hour, |_| 1, || 7), Ok(7)));
        assert!(matches!(within(hour, |_| 1, || panic!("on purpose")), Err(Unfinished::Panicked)));
    }
}
