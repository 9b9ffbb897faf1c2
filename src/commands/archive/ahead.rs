//! Look-ahead: what waits behind the file that was asked for is stored before the server asks for it. Nothing is
//! acknowledged by that and no mark is changed: the server goes on asking for each file, and is answered at once.

use std::time::Duration;

use super::{ArchiveError, Terms};
use crate::cluster::{Cluster, ClusterError, ControlFile};
use crate::commands::drain::{ends_everything, was_taken_away};
use crate::commands::{Clock, pool};
use crate::repository::{Placed, Repository, RepositoryError};
use crate::wal::{WalFileKind, WalFileName};

/// How far is looked ahead.
pub struct LookAhead<'a> {
    /// How many files at most.
    pub files: usize,
    /// How many of them are packed at once, at least 1.
    pub jobs: usize,
    /// After this time no other file is begun: the server waits.
    pub time: Duration,
    /// What the time is told by.
    pub clock: &'a dyn Clock,
}

/// The queue behind a file that is durable.
pub struct Ahead<'a> {
    pub(super) name: WalFileName,
    pub(super) terms: Terms<'a>,
    pub(super) cluster: Cluster,
    pub(super) control: ControlFile,
    pub(super) repository: Repository<'a>,
}

/// What came of looking ahead; the server hears of none of it.
#[derive(Debug, Default)]
pub struct AheadReport {
    /// Files that were stored, or found stored by their contents.
    pub stored: u64,
    /// Files that were not.
    pub failures: u64,
    /// The first of them, and why.
    pub first_failure: Option<(WalFileName, ArchiveError)>,
}

/// How many names are made durable together: with many files on their way, another fsync of the directory costs
/// little beside what a kill would leave to be compared again.
const SETTLED_TOGETHER: usize = 8;

impl Ahead<'_> {
    /// Stores what waits behind the file, in the server's order.
    ///
    /// # Errors
    /// When the queue cannot be read. What fails of a single file is told in the report.
    pub fn look(&self, how: &LookAhead<'_>) -> Result<AheadReport, ClusterError> {
        let mut work = Work { ahead: self, placed: Vec::new(), report: AheadReport::default() };
        if how.files == 0 {
            return Ok(work.report);
        }
        let waiting = self.cluster.pending_behind(self.name, self.control.segment_size, how.files)?;
        let at_once = pool::at_once(how.jobs);
        let terms = Terms { jobs: at_once, ..self.terms };
        let place = |name: &WalFileName| {
            let path = self.cluster.wal_directory().join(name.to_string());
            terms.place(&path, *name, &self.control, &self.repository)
        };
        // As everywhere, the histories are durable before a segment is begun.
        let histories = waiting.partition_point(|name| name.kind() == WalFileKind::TimelineHistory);
        let (histories, others) = waiting.split_at_checked(histories).unwrap_or_default();
        for phase in [histories, others] {
            let mut goes_on = how.clock.elapsed() < how.time;
            if goes_on {
                pool::run(at_once, phase, place, |at, placed| {
                    // What was begun is taken in any case: without a stamp its own call would read it again.
                    let fares_well = work.take(phase.get(at), placed);
                    goes_on = goes_on && fares_well && how.clock.elapsed() < how.time;
                    goes_on
                });
            }
            work.settle(phase.last());
            if !goes_on {
                break;
            }
        }
        Ok(work.report)
    }
}

struct Work<'a> {
    ahead: &'a Ahead<'a>,
    placed: Vec<Placed>,
    report: AheadReport,
}

impl Work<'_> {
    /// Takes what came of one file; `false` where no other will fare better.
    fn take(&mut self, name: Option<&WalFileName>, placed: Result<Option<Placed>, ArchiveError>) -> bool {
        match placed {
            Ok(Some(placed)) => self.placed.push(placed),
            Ok(None) => {}
            // The server archived it meanwhile, or it is an orphan, which will be told when it is asked for.
            Err(error) if was_taken_away(&error) => {}
            Err(error) => {
                let ends = ends_everything(&error);
                self.fail(name, 1, error);
                return !ends;
            }
        }
        self.placed.len() < SETTLED_TOGETHER || self.settle(name)
    }

    /// Makes names durable; the stamps that let the next calls be answered at once are written after that.
    fn settle(&mut self, name: Option<&WalFileName>) -> bool {
        let placed = std::mem::take(&mut self.placed);
        let files = placed.len() as u64;
        match self.ahead.repository.settle(placed, self.ahead.terms.origin) {
            Ok(()) => {
                self.report.stored += files;
                true
            }
            Err(error) => {
                self.fail(name, files, RepositoryError::into(error));
                false
            }
        }
    }

    fn fail(&mut self, name: Option<&WalFileName>, files: u64, error: ArchiveError) {
        self.report.failures += files;
        if let (None, Some(name)) = (&self.report.first_failure, name) {
            self.report.first_failure = Some((*name, error));
        }
    }
}
