//! Several files on their way at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// How many files are on their way: one more than there are jobs, so that no core waits for a disk that makes a
/// packed file durable. A single job is done by the calling thread, one file after the other.
pub(super) const fn at_once(jobs: usize) -> usize {
    if jobs > 1 { jobs.saturating_add(1) } else { 1 }
}

/// Does the work for every item, several at once, begun in their order. What comes of each is settled on the
/// calling thread as it comes; where that says `false`, nothing more is begun.
///
/// One job is done by the calling thread itself, and so is everything where the system gives it no threads.
pub(super) fn run<I: Sync, O: Send>(
    jobs: usize,
    items: &[I],
    work: impl Fn(&I) -> O + Sync,
    mut settle: impl FnMut(usize, O) -> bool,
) {
    let workers = if jobs <= 1 || items.len() <= 1 { 0 } else { items.len().min(jobs) };
    let next = AtomicUsize::new(0);
    let go_on = AtomicBool::new(true);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        let mut begun = 0;
        for _ in 0..workers {
            let (sender, next, go_on, work) = (sender.clone(), &next, &go_on, &work);
            let worker = move || {
                while go_on.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    if sender.send((at, work(item))).is_err() {
                        break;
                    }
                }
            };
            if thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
            begun += 1;
        }
        drop(sender);
        if begun == 0 {
            let _ = items.iter().enumerate().all(|(at, item)| settle(at, work(item)));
        }
        for (at, outcome) in results {
            if !settle(at, outcome) {
                go_on.store(false, Ordering::Relaxed);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_settled_once_whatever_the_number_of_jobs() {
        let items: Vec<usize> = (0..100).collect();
        for jobs in [0, 1, 2, 7, 200] {
            let mut settled = Vec::new();
            run(
                jobs,
                &items,
                |item| item * 2,
                |at, outcome| {
                    settled.push((at, outcome));
                    true
                },
            );
            settled.sort_unstable();
            assert_eq!(settled, items.iter().map(|item| (*item, item * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_is_begun_after_an_end_but_what_was_begun_is_settled() {
        let items: Vec<usize> = (0..1000).collect();
        for jobs in [1, 3] {
            let mut settled = 0;
            run(
                jobs,
                &items,
                |item| *item,
                |_, _| {
                    settled += 1;
                    false
                },
            );
            // The results that wait in the channel are settled as well; a worker begins at most a few.
            assert!(settled >= 1 && (jobs > 1 || settled == 1), "{settled}");
        }
    }
}
