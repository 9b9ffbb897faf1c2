//! Look-ahead: what waits behind the file that was asked for is stored before the server asks for it. Nothing is
//! acknowledged by that and no mark is changed: the server goes on asking for each file, and is answered at once.

use std::time::Duration;

use super::{ArchiveError, Attempt, Belonging, Terms};
use crate::cluster::{Cluster, ClusterError, ControlFile};
use crate::commands::drain::{ends_everything, was_taken_away};
use crate::commands::{Clock, pool};
use crate::repository::{Placed, Repository, RepositoryError};
use crate::wal::{WalFileKind, WalFileName};

/// How far is looked ahead.
pub struct LookAhead {
    /// How many files at most.
    pub files: usize,
    /// How many of them are packed at once, at least 1.
    pub jobs: usize,
    /// So long after the call began no other file is begun: the server waits.
    pub time: Duration,
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
/// little beside what a kill would leave to be compared again, and a call of the server's may wait for the first of them.
const SETTLED_TOGETHER: usize = 4;

/// As many bytes are made durable at once in any case.
const SETTLED_BYTES: u64 = 64 << 20;

impl Ahead<'_> {
    /// Stores what waits behind the file, in the server's order.
    ///
    /// # Errors
    /// When the queue cannot be read. What fails of a single file is told in the report.
    pub fn look(&self, how: &LookAhead) -> Result<AheadReport, ClusterError> {
        let Self { cluster, control, repository, terms, .. } = self;
        let mut told = Told { clock: terms.clock, time: how.time, report: AheadReport::default() };
        if how.files == 0 {
            return Ok(told.report);
        }
        let waiting = cluster.pending_behind(self.name, control.segment_size, how.files)?;
        let terms = Terms { jobs: pool::at_once(how.jobs), ..*terms };
        Batch { terms, cluster, control, repository, stopwatch: &|| Duration::ZERO }
            .store(&waiting, &mut told);
        Ok(told.report)
    }
}

/// What is told of looking ahead.
struct Told<'a> {
    clock: &'a dyn Clock,
    time: Duration,
    report: AheadReport,
}

impl Account for Told<'_> {
    fn goes_on(&self) -> bool {
        self.clock.elapsed() < self.time
    }

    fn settled(&mut self, _: WalFileName, fate: Fate) {
        self.report.stored += u64::from(matches!(fate, Fate::Stored { .. }));
    }

    fn failed(&mut self, names: &[WalFileName], error: ArchiveError) {
        // The server archived it meanwhile, or it is an orphan, which will be told when it is asked for.
        if was_taken_away(&error) {
            return;
        }
        self.report.failures += names.len() as u64;
        if let (None, Some(name)) = (&self.report.first_failure, names.first()) {
            self.report.first_failure = Some((*name, error));
        }
    }
}

/// Where files of a queue are stored from and to, before their server asks for them.
pub(in crate::commands) struct Batch<'a> {
    /// On what terms; `jobs` of them are on their way at once.
    pub terms: Terms<'a>,
    pub cluster: &'a Cluster,
    pub control: &'a ControlFile,
    pub repository: &'a Repository<'a>,
    /// Tells how long a file takes.
    pub stopwatch: &'a (dyn Fn() -> Duration + Sync),
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum Fate {
    /// It is known to be stored, and was not touched since.
    Known,
    /// Somebody else is storing it at the moment.
    InHand,
    /// It was written just now, and is left for later.
    TooNew,
    /// It is durable and remembered: stored now, or found stored by its contents, in so long a time.
    Stored { bytes: u64, took: Duration },
}

impl Fate {
    const fn bytes(self) -> u64 {
        match self {
            Self::Stored { bytes, .. } => bytes,
            Self::Known | Self::InHand | Self::TooNew => 0,
        }
    }
}

/// Who keeps account of a batch.
pub(in crate::commands) trait Account {
    /// Whether another file may be begun.
    fn goes_on(&self) -> bool;

    /// What became of a file.
    fn settled(&mut self, name: WalFileName, fate: Fate);

    /// These files are not stored, for one reason.
    fn failed(&mut self, names: &[WalFileName], error: ArchiveError);
}

impl Batch<'_> {
    /// Stores files, begun in their order. Those on their way are settled whatever becomes of others; none is begun
    /// after a failure that others will not escape.
    pub(in crate::commands) fn store(&self, names: &[WalFileName], account: &mut dyn Account) {
        // As everywhere, the histories are durable before a segment is begun.
        let histories = names.partition_point(|name| name.kind() == WalFileKind::TimelineHistory);
        let (histories, others) = names.split_at_checked(histories).unwrap_or_default();
        for phase in [histories, others] {
            // A file that is alone has all cores for itself.
            let terms = Terms { jobs: self.terms.jobs.min(phase.len()), ..self.terms };
            let place = |name: &WalFileName| {
                let path = self.cluster.wal_directory().join(name.to_string());
                let began = (self.stopwatch)();
                let of = Belonging { cluster: self.cluster, control: self.control };
                let attempt = terms.place(&path, *name, of, self.repository);
                (attempt, (self.stopwatch)().saturating_sub(began))
            };
            let mut goes_on = account.goes_on();
            let mut work = Work { batch: self, account: &mut *account, placed: Vec::new() };
            if goes_on {
                pool::run(terms.jobs, phase, place, |at, (attempt, took)| {
                    let fared = phase.get(at).is_some_and(|name| work.take(*name, attempt, took));
                    goes_on = goes_on && fared && work.account.goes_on();
                    goes_on
                });
            }
            work.settle();
            if !goes_on {
                break;
            }
        }
    }
}

struct Work<'a> {
    batch: &'a Batch<'a>,
    account: &'a mut dyn Account,
    placed: Vec<(WalFileName, Placed, Fate)>,
}

impl Work<'_> {
    /// Takes what came of one file; `false` where no other will fare better.
    fn take(&mut self, name: WalFileName, attempt: Result<Attempt, ArchiveError>, took: Duration) -> bool {
        match attempt {
            Ok(Attempt::Placed(placed, bytes)) => {
                self.placed.push((name, *placed, Fate::Stored { bytes, took }));
            }
            Ok(Attempt::Known) => self.account.settled(name, Fate::Known),
            Ok(Attempt::InHand) => self.account.settled(name, Fate::InHand),
            Ok(Attempt::TooNew) => self.account.settled(name, Fate::TooNew),
            Err(error) => {
                let ends = ends_everything(&error);
                self.account.failed(&[name], error);
                return !ends;
            }
        }
        let bytes: u64 = self.placed.iter().map(|(_, _, fate)| fate.bytes()).sum();
        (self.placed.len() < SETTLED_TOGETHER && bytes < SETTLED_BYTES) || self.settle()
    }

    /// Makes names durable; the stamps that let the next calls be answered at once are written after that.
    fn settle(&mut self) -> bool {
        let (mut files, mut together) = (Vec::new(), Vec::new());
        for (name, placed, fate) in self.placed.drain(..) {
            files.push((name, fate));
            together.push(placed);
        }
        match self.batch.repository.settle(together, self.batch.terms.origin) {
            Ok(()) => {
                files.into_iter().for_each(|(name, fate)| self.account.settled(name, fate));
                true
            }
            Err(error) => {
                let names: Vec<WalFileName> = files.into_iter().map(|(name, _)| name).collect();
                self.account.failed(&names, RepositoryError::into(error));
                false
            }
        }
    }
}
