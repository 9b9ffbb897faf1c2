//! `walkeep prune` as cron of an archive host calls it: again and again, where no data directory is to be seen, so
//! that what nodes have claimed is all that it knows of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::repository::Repository;
use super::scratch::{Scratch, must_succeed};
use super::wait_until;

/// What the runs so far have come to.
#[derive(Default)]
pub struct Cron {
    begun: AtomicU64,
    done: AtomicU64,
    removed_files: AtomicU64,
    is_over: AtomicBool,
    has_failed: AtomicBool,
}

/// Prunes as often as it can while something else is done. Every run has to succeed.
pub fn while_cron_prunes<T>(
    scratch: &Scratch,
    repository: &Repository,
    args: &[&str],
    act: impl FnOnce(&Cron) -> T,
) -> T {
    let cron = Cron::default();
    thread::scope(|scope| {
        scope.spawn(|| cron.go_on(scratch, repository, args));
        // Also where `act` panics: the scope waits for the thread.
        let _end = End(&cron.is_over);
        act(&cron)
    })
}

impl Cron {
    /// How many files are gone so far.
    pub fn removed_files(&self) -> u64 {
        self.removed_files.load(Ordering::SeqCst)
    }

    /// Waits until a run has ended that began after this call.
    pub fn wait_for_a_run(&self) {
        let begun = self.begun.load(Ordering::SeqCst);
        wait_until("cron has pruned", || {
            assert!(!self.has_failed.load(Ordering::SeqCst), "a prune from cron failed");
            self.done.load(Ordering::SeqCst) > begun
        });
    }

    fn go_on(&self, scratch: &Scratch, repository: &Repository, args: &[&str]) {
        let failure = End(&self.has_failed);
        while !self.is_over.load(Ordering::SeqCst) {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let mut prune = scratch.command(scratch.walkeep());
            prune.args(["prune", "-o", "json", "--repo"]).arg(&repository.path).args(args);
            let report: serde_json::Value = serde_json::from_str(&must_succeed(&mut prune)).unwrap();
            self.removed_files.fetch_add(report["removed_files"].as_u64().unwrap(), Ordering::SeqCst);
            self.done.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
        }
        std::mem::forget(failure);
    }
}

/// Says so when it goes out of scope, however that comes about.
struct End<'c>(&'c AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
