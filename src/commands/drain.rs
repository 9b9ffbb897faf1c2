//! `drain`: everything that is pending, durable in the repository, now, whatever state the server is in. What is
//! marked done in the server's stead is marked after that.

mod lost;
mod marks;
mod owner;
mod plan;
mod report;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::archive::{Belonging, Terms, refuse_superuser};
use super::{ArchiveError, Clock, Observer, Progress, pool};
use crate::cluster::{Backlog, Cluster, ClusterError, ControlFile};
use crate::fsx::PathError;
use crate::repository::{Expected, Identity, Origin, Put, Repository, RepositoryError};
use crate::storage::{Store, StoreError};
use crate::wal::{SegmentRange, WalFileName};
use marks::Marks;
use plan::{Item, Plan};

pub use lost::Acknowledged;
pub use owner::Owner;
pub use report::{DrainError, DrainReport, DrainTally, FileFailure, FileRange};

/// What is to be drained, and where to.
pub struct DrainRequest<'a> {
    /// The data directory.
    pub data_directory: PathBuf,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// Compression level, 1 to 19.
    pub level: i32,
    /// Bytes that have to stay free in the repository.
    pub min_free_bytes: u64,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
    /// How many files are packed at once, at least 1.
    pub jobs: usize,
    /// Whether what is archived is marked done.
    pub mark_done: bool,
    /// Whether that is done to a queue that a live archiver owns.
    pub force: bool,
    /// Whether finished files that are not pending, and not stored, are archived as well.
    pub missing: bool,
    /// Segments that a person gives up, and why.
    pub lost: Option<(SegmentRange, String)>,
    /// Who stores, and when.
    pub origin: &'a Origin,
    /// What the time is told by.
    pub clock: &'a dyn Clock,
    /// How times are written in messages.
    pub show_time: &'a (dyn Fn(SystemTime) -> String + Sync),
    /// Who watches.
    pub observer: &'a dyn Observer,
}

/// Archives what is pending. What could not be archived is told in the report.
///
/// # Errors
/// When nothing could be begun, or `--acknowledge-lost` or `--mark-done` is refused.
pub fn drain(request: &DrainRequest<'_>) -> Result<DrainReport, DrainError> {
    refuse_superuser(request.store, Some(&request.data_directory))?;
    let cluster = Cluster::find(&request.data_directory)?;
    let control = cluster.control_file()?;
    let mut repository = Repository::open(request.store)?;
    // A leftover costs space, nothing else.
    let _ = repository.sweep();
    let identity =
        Identity { system_identifier: control.system_identifier, segment_size: control.segment_size };
    repository.bind(identity, Some(cluster.dialect().key()), request.origin)?;
    if request.mark_done && !request.force {
        owner::refuse(&cluster)?;
    }
    // Held to the end: two that mark would each see the other's marks as the server's.
    let changes_marks = request.mark_done || request.lost.is_some();
    let _turn = changes_marks.then(|| repository.lock_queue()).transpose()?;
    let acknowledged = match &request.lost {
        Some((range, reason)) => {
            Some(lost::acknowledge(*range, reason, &cluster, &control, &repository, request.origin)?)
        }
        None => None,
    };
    let backlog = cluster.backlog()?;
    let stored = if request.missing { repository.list()? } else { Vec::new() };
    let plan = Plan::new(&backlog, request.missing.then_some(stored.as_slice()), &cluster, &control)?;
    let work = Work { request, cluster: &cluster, control: &control, repository: &repository };
    let mut report = work.carry_out(&plan, &backlog)?;
    report.acknowledged = acknowledged;
    Ok(report)
}

/// What became of one file.
#[derive(Debug)]
enum Outcome {
    /// It was stored now: so many bytes.
    Stored(u64),
    /// It was stored already.
    AlreadyStored(u64),
    /// The server archived it, or took away what it had archived before, while we were about to.
    GoneMeanwhile,
    /// Its WAL file is gone, and the stored one is whole and durable.
    StoredOrphan,
    /// Its WAL file is gone, and nothing is stored.
    LostOrphan,
    /// It is not archived.
    Failed(ArchiveError),
    /// The repository takes nothing any more.
    Ended(ArchiveError),
}

impl Outcome {
    /// Whether the bytes are durable in the repository.
    const fn is_durable(&self) -> bool {
        matches!(self, Self::Stored(_) | Self::AlreadyStored(_) | Self::StoredOrphan)
    }
}

struct Work<'a> {
    request: &'a DrainRequest<'a>,
    cluster: &'a Cluster,
    control: &'a ControlFile,
    repository: &'a Repository<'a>,
}

impl Work<'_> {
    fn carry_out(&self, plan: &Plan, backlog: &Backlog) -> Result<DrainReport, DrainError> {
        let mut report = DrainReport::new(self.cluster, self.repository, self.control.segment_size);
        report.pending = backlog.pending.len() as u64;
        report.strangers = backlog.strangers.clone();
        let status = self.cluster.archive_status();
        let mut marks = self.request.mark_done.then(|| Marks::new(&status, &backlog.pending));
        let mut progress = plan.progress();
        // The histories are durable before a segment is begun: nothing that follows a fork is worth anything to
        // a reader who cannot see the fork.
        let (histories, others) = plan.phases();
        for phase in [histories, others] {
            let settle = |at: usize, outcome: Outcome| {
                let Some(item) = phase.get(at) else { return false };
                if let (Some(marks), Some(at)) = (&mut marks, item.pending_at) {
                    marks.settle(at, &outcome);
                }
                advance(&mut progress, item);
                self.request.observer.progress(progress);
                report.take(item, outcome);
                report.ended.is_none()
            };
            pool::run(pool::at_once(self.request.jobs), phase, |item| self.settle_file(item), settle);
            if report.ended.is_some() {
                break;
            }
        }
        report.not_tried += progress.total_files.saturating_sub(progress.done_files);
        if let Some(marks) = marks {
            let (marked, failure) = marks.finish();
            report.marked_done = Some(marked);
            report.mark_failure = failure;
        }
        report.finish();
        Ok(report)
    }

    fn settle_file(&self, item: &Item) -> Outcome {
        if item.is_orphan {
            return self.settle_orphan(item.name);
        }
        let path = self.cluster.wal_directory().join(item.name.to_string());
        let of = Belonging { cluster: self.cluster, control: self.control };
        match self.terms().archive(&path, item.name, of, self.repository) {
            Ok((Put::Stored { .. }, bytes)) => Outcome::Stored(bytes),
            Ok((Put::AlreadyStored | Put::SameWalStored, bytes)) => Outcome::AlreadyStored(bytes),
            Err(error) if ends_everything(&error) => Outcome::Ended(error),
            Err(error) if was_taken_away(&error) => self.settle_vanished(item, error),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            level: self.request.level,
            min_free_bytes: self.request.min_free_bytes,
            header_check: self.request.header_check,
            jobs: pool::at_once(self.request.jobs),
            origin: self.request.origin,
            clock: self.request.clock,
            show_time: self.request.show_time,
        }
    }

    /// The file was there, and is not any more. A server takes away what it does not have to archive.
    fn settle_vanished(&self, item: &Item, error: ArchiveError) -> Outcome {
        match self.cluster.archive_status().is_pending(item.name) {
            Err(unknown) => Outcome::Failed(unknown.into()),
            Ok(false) => Outcome::GoneMeanwhile,
            Ok(true) => match self.cluster.has_wal_file(item.name) {
                Err(unknown) => Outcome::Failed(unknown.into()),
                Ok(true) => Outcome::Failed(error),
                Ok(false) => self.settle_orphan(item.name),
            },
        }
    }

    /// Of an orphan nothing is there but its mark, so that the stored file is all that can be proven: it is read
    /// to its end, from the disk.
    fn settle_orphan(&self, name: WalFileName) -> Outcome {
        let expected = Expected {
            system_identifier: Some(self.control.system_identifier),
            segment_size: Some(self.control.segment_size),
            header_check: self.request.header_check,
        };
        let prove = || {
            self.repository.confirm(name)?;
            self.repository.fetch(name, expected, &mut io::sink())
        };
        match prove() {
            Ok(Some(_)) => Outcome::StoredOrphan,
            Ok(None) => Outcome::LostOrphan,
            Err(error) => Outcome::Failed(error.into()),
        }
    }
}

fn advance(progress: &mut Progress, item: &Item) {
    progress.done_files += 1;
    progress.done_bytes += item.bytes;
}

/// Whether no other file will fare better: no space, or no repository.
pub(super) fn ends_everything(error: &ArchiveError) -> bool {
    use io::ErrorKind as Kind;
    let store = match error {
        ArchiveError::LowSpace { .. } => return true,
        ArchiveError::Repository(RepositoryError::Store(StoreError::Path(store))) => store,
        _ => return false,
    };
    let gone = [Kind::NotFound, Kind::NotADirectory, Kind::StaleNetworkFileHandle, Kind::NotConnected];
    let full = [Kind::StorageFull, Kind::QuotaExceeded, Kind::ReadOnlyFilesystem];
    gone.contains(&store.io().kind()) || full.contains(&store.io().kind())
}

pub(super) fn was_taken_away(error: &ArchiveError) -> bool {
    match error {
        ArchiveError::Repository(RepositoryError::SourceTakenAway) | ArchiveError::NotComplete => true,
        ArchiveError::Source(error) => is_gone(error),
        _ => false,
    }
}

fn is_gone(error: &PathError) -> bool {
    error.io().kind() == io::ErrorKind::NotFound
}

impl From<ClusterError> for DrainError {
    fn from(error: ClusterError) -> Self {
        Self::Archive(error.into())
    }
}

impl From<RepositoryError> for DrainError {
    fn from(error: RepositoryError) -> Self {
        Self::Archive(error.into())
    }
}
