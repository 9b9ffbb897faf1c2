use super::Outcome;
use crate::cluster::{ArchiveStatus, Status};
use crate::fsx::{PathError, rename_mark, sync_dir};
use crate::wal::WalFileName;

/// The marks of a queue, changed from `.ready` to `.done` in the server's order, each after its file is durable.
/// They stop for good at the first file that is not: a base backup that ends waits for its last segment only, and
/// takes everything before it for archived.
pub(super) struct Marks<'a> {
    status: &'a ArchiveStatus,
    queue: &'a [WalFileName],
    settled: Vec<Option<Step>>,
    /// How far the queue is marked.
    next: usize,
    /// Marks that a crash may still take back.
    unsynced: u64,
    marked: u64,
    failure: Option<PathError>,
}

/// What is to be done to a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Mark,
    /// The server did.
    Pass,
    Stop,
}

impl<'a> Marks<'a> {
    /// How many marks are made durable together.
    const AT_ONCE: u64 = 64;

    pub fn new(status: &'a ArchiveStatus, queue: &'a [WalFileName]) -> Self {
        let settled = vec![None; queue.len()];
        Self { status, queue, settled, next: 0, unsynced: 0, marked: 0, failure: None }
    }

    /// Takes what became of the file at a place of the queue, and marks what can be marked now.
    pub fn settle(&mut self, at: usize, outcome: &Outcome) {
        let step = match outcome {
            Outcome::GoneMeanwhile => Step::Pass,
            outcome if outcome.is_durable() => Step::Mark,
            _ => Step::Stop,
        };
        if let Some(settled) = self.settled.get_mut(at) {
            *settled = Some(step);
        }
        while self.failure.is_none() && self.advance() {}
    }

    /// How many marks were changed, durably, and what went wrong.
    pub fn finish(mut self) -> (u64, Option<PathError>) {
        if self.failure.is_none() {
            self.sync();
        }
        (self.marked, self.failure)
    }

    fn advance(&mut self) -> bool {
        let (Some(name), Some(Some(step))) = (self.queue.get(self.next), self.settled.get(self.next)) else {
            return false;
        };
        match step {
            Step::Stop => return false,
            Step::Pass => {}
            Step::Mark => {
                let path = |status| self.status.path_of(*name, status);
                match rename_mark(&path(Status::Ready), &path(Status::Done)) {
                    Ok(renamed) => self.unsynced += u64::from(renamed),
                    Err(error) => self.failure = Some(error),
                }
            }
        }
        self.next += 1;
        if self.unsynced >= Self::AT_ONCE {
            self.sync();
        }
        self.failure.is_none()
    }

    fn sync(&mut self) {
        if self.unsynced == 0 {
            return;
        }
        match sync_dir(self.status.directory()) {
            Ok(()) => self.marked += std::mem::take(&mut self.unsynced),
            Err(error) => self.failure = Some(error),
        }
    }
}
