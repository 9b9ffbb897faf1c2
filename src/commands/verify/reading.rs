//! Reading stored files, several at once, no faster than allowed.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::super::Clock;
use super::plan::Work;
use crate::repository::{Expected, Form, Proven, Repository, RepositoryError};
use crate::wal::WalFileName;

/// How fast may be read, all readers together.
pub(super) struct Budget<'a> {
    bytes_per_second: Option<u64>,
    clock: &'a (dyn Clock + Sync),
    began: Duration,
    spent_bytes: AtomicU64,
}

impl<'a> Budget<'a> {
    pub(super) fn begin(bytes_per_second: Option<u64>, clock: &'a (dyn Clock + Sync)) -> Self {
        Self { bytes_per_second, clock, began: clock.elapsed(), spent_bytes: AtomicU64::new(0) }
    }

    /// Waits until what was read by now was due.
    pub(super) fn spend(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second.filter(|rate| *rate > 0) else { return };
        let spent = self.spent_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let due_ms = u128::from(spent) * 1000 / u128::from(rate);
        let due = Duration::from_millis(u64::try_from(due_ms).unwrap_or(u64::MAX));
        let early = due.saturating_sub(self.clock.elapsed().saturating_sub(self.began));
        // Many short sleeps would cost more than they save.
        if early >= Duration::from_millis(10) {
            self.clock.sleep(early);
        }
    }
}

/// What came of reading one form of a name.
pub(super) type Read = (Form, Result<Option<Proven>, RepositoryError>);

/// Names that are read, several at once.
pub(super) struct Reading<'a> {
    pub repository: &'a Repository<'a>,
    /// Every stored file.
    pub files: &'a [(WalFileName, Form)],
    /// Those that are to be read.
    pub plan: &'a [Work],
    pub expected: Expected,
    pub budget: &'a Budget<'a>,
}

/// One name that was read in all its forms.
pub(super) struct Outcome<'a> {
    pub work: &'a Work,
    pub name: WalFileName,
    pub read: Vec<Read>,
}

impl<'a> Reading<'a> {
    /// Reads every name of the plan with `jobs` threads, and hands each to `settle` on this one.
    pub(super) fn each(&self, jobs: usize, mut settle: impl FnMut(Outcome<'a>)) {
        const WAITING: usize = 64;
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (outcomes, received) = sync_channel(WAITING);
            for _ in 0..jobs.max(1) {
                let (outcomes, taken) = (outcomes.clone(), &taken);
                let read_on = move || {
                    while let Some(outcome) = self.next(taken) {
                        if outcomes.send(outcome).is_err() {
                            break;
                        }
                    }
                };
                // Fewer threads than asked for do as well; without any, all is read here.
                let _ = thread::Builder::new().name("verify".into()).spawn_scoped(scope, read_on);
            }
            drop(outcomes);
            for outcome in received {
                settle(outcome);
            }
            while let Some(outcome) = self.next(&taken) {
                settle(outcome);
            }
        });
    }

    fn next(&self, taken: &AtomicUsize) -> Option<Outcome<'a>> {
        let work = self.plan.get(taken.fetch_add(1, Ordering::Relaxed))?;
        let forms = self.files.get(work.files.clone())?;
        let (name, _) = *forms.first()?;
        let prove = |form| prove(self.repository, name, form, self.expected, self.budget);
        let read = forms.iter().map(|(_, form)| (*form, prove(*form))).collect();
        Some(Outcome { work, name, read })
    }
}

/// Proves one stored file. One that seems damaged is read again: it may have been completed, or taken away,
/// while it was read.
fn prove(
    repository: &Repository<'_>,
    name: WalFileName,
    form: Form,
    expected: Expected,
    budget: &Budget<'_>,
) -> Result<Option<Proven>, RepositoryError> {
    let once = || repository.prove_form(name, form, expected, &|bytes| budget.spend(bytes), &mut io::sink());
    match once() {
        Err(RepositoryError::Damaged { .. } | RepositoryError::DamagedState { .. }) => once(),
        proven => proven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that only sleeping moves.
    #[derive(Default)]
    struct Slept(Mutex<Duration>);

    impl Clock for Slept {
        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    #[test]
    fn no_more_is_read_than_the_budget_allows() {
        let clock = Slept::default();
        clock.sleep(Duration::from_secs(100));
        let budget = Budget::begin(Some(1 << 20), &clock);
        for _ in 0..64 {
            budget.spend(64 << 10);
        }
        let took = clock.elapsed() - Duration::from_secs(100);
        assert!(took <= Duration::from_secs(4) && took >= Duration::from_millis(3990), "{took:?}");
    }

    #[test]
    fn without_a_budget_nobody_waits() {
        let clock = Slept::default();
        let budget = Budget::begin(None, &clock);
        budget.spend(u64::MAX);
        budget.spend(u64::MAX);
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }
}
