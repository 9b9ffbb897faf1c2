use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
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

/// Does work that may hang on a file system, for as long as it may. After that the process ends: `give_up` says
/// why, and with which exit code.
pub(super) fn within<T>(
    limit: Duration,
    give_up: impl FnOnce(&Unfinished) -> u8 + Send + 'static,
    work: impl FnOnce() -> T,
) -> Result<T, Unfinished> {
    let watch = move || {
        thread::sleep(limit);
        std::process::exit(give_up(&Unfinished::TooLong(limit)).into());
    };
    thread::Builder::new().name("deadline".to_owned()).spawn(watch).map_err(Unfinished::NoThread)?;
    // Nothing that the work touched is used after a panic.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Unfinished::Panicked)
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
        let watch = move || {
            while let Some(left) = limit.checked_sub(since(&last_step)).filter(|left| !left.is_zero()) {
                thread::sleep(left);
            }
            std::process::exit(give_up(&Unfinished::TooLong(limit)).into());
        };
        thread::Builder::new().name("deadline".to_owned()).spawn(watch).map_err(Unfinished::NoThread)?;
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| Unfinished::Panicked)
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
