//! `verify`: reads what is stored, and says whether all of it is sound and nothing is missing. It changes
//! nothing but its own marks, which spare it from reading everything again each time.

mod chain;
mod plan;
mod reading;
mod report;
#[cfg(test)]
mod tests;
mod wal_directory;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub use report::{Comparison, Finding, Tally, VerifyReport, VerifyVerdict};

use super::{Clock, Hint, Observer, Progress};
use crate::cluster::{Cluster, ClusterError, ControlFile};
use crate::repository::{
    Expected, Form, Identity, Inventory, Mark, MarkGroup, Marks, Origin, Proven, Repository, RepositoryError,
    sidecar_key,
};
use crate::storage::{Store, StoreError};
use crate::wal::{SegmentNumber, SegmentSize, WalFileName};
use plan::plan;
use reading::{Budget, Outcome, Read, Reading};

/// What is to be verified, and how.
pub struct VerifyRequest<'a> {
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// The data directory whose WAL directory is held against the repository, where one is.
    pub data_directory: Option<PathBuf>,
    /// Whether everything is read, marked or not.
    pub full: bool,
    /// How fast may be read; `None`: as fast as it goes.
    pub budget_bytes_per_second: Option<u64>,
    /// How many files are read at once.
    pub jobs: usize,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
    /// Who asks, and when.
    pub origin: &'a Origin,
    /// How times are written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
    /// Time, for the budget and the marks.
    pub clock: &'a (dyn Clock + Sync),
    /// Who watches.
    pub observer: &'a dyn Observer,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The data directory cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for VerifyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Repository(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
        }
    }
}

/// Verifies a repository.
///
/// # Errors
/// When the repository cannot be listed, or what was named beside it cannot be read. A single file that cannot
/// be read is a finding.
pub fn verify(request: &VerifyRequest<'_>) -> Result<VerifyReport, VerifyError> {
    let cluster = request.data_directory.as_deref().map(Cluster::find).transpose()?;
    let control = cluster.as_ref().map(Cluster::control_file).transpose()?;
    let repository = Repository::open(request.store)?;
    refuse_other_cluster(&repository, control.as_ref())?;
    let of_control = control.map(|control| Identity {
        system_identifier: control.system_identifier,
        segment_size: control.segment_size,
    });
    let identity = repository.identity().or(of_control);
    let expected = Expected {
        system_identifier: identity.map(|identity| identity.system_identifier),
        segment_size: identity.map(|identity| identity.segment_size),
        header_check: request.header_check,
    };
    let mut report = VerifyReport {
        repository: repository.location(),
        identity: repository.identity(),
        segment_size: expected.segment_size,
        known_gaps: repository.known_gaps()?,
        ..VerifyReport::default()
    };

    let inventory = repository.inventory()?;
    tell_names(request.store, &repository, &inventory, &mut report)?;
    let work = plan(&repository, &inventory.files, request.origin.now, request.full, &mut report);
    let budget = Budget::begin(request.budget_bytes_per_second, request.clock);
    let mut marking = Marking::begin(request, &repository, &inventory, &mut report)?;
    let mut progress = Progress {
        total_files: work.iter().map(|work| work.files.len() as u64).sum(),
        total_bytes: work.iter().map(|work| work.stored_bytes).sum(),
        ..Progress::default()
    };
    let reading =
        Reading { repository: &repository, files: &inventory.files, plan: &work, expected, budget: &budget };
    reading.each(request.jobs, |Outcome { work, name, read }| {
        settle(&repository, name, read, &mut marking, &mut report);
        progress.done_files += work.files.len() as u64;
        progress.done_bytes += work.stored_bytes;
        request.observer.progress(progress);
    });
    marking.end(&mut report);

    chain::judge(&repository, expected, &mut report)?;
    let size = report.segment_size;
    if let (Some(cluster), Some(identity)) = (&cluster, identity) {
        let sides = wal_directory::Sides {
            cluster,
            identity,
            repository: &repository,
            budget: &budget,
            show_time: request.show_time,
            oldest_stored: size.and_then(|size| oldest_stored(&inventory, size)),
        };
        wal_directory::compare(&sides, &mut report)?;
    }
    Ok(report)
}

fn refuse_other_cluster(
    repository: &Repository<'_>,
    control: Option<&ControlFile>,
) -> Result<(), RepositoryError> {
    let Some((bound, control)) = repository.identity().zip(control) else { return Ok(()) };
    if bound.system_identifier != control.system_identifier {
        let (repository, found) = (bound.system_identifier, control.system_identifier);
        return Err(RepositoryError::OtherSystem { repository, found });
    }
    if bound.segment_size != control.segment_size {
        let (repository, found) = (bound.segment_size, control.segment_size);
        return Err(RepositoryError::OtherSegmentSize { repository, found });
    }
    Ok(())
}

fn oldest_stored(inventory: &Inventory, size: SegmentSize) -> Option<SegmentNumber> {
    let segments = inventory.files.iter().filter_map(|(name, _)| match name {
        WalFileName::Segment(segment) => segment.number(size),
        _ => None,
    });
    segments.min()
}

/// What the names alone tell: what is not ours, what is no file, what belongs to no file.
fn tell_names(
    store: &dyn Store,
    repository: &Repository<'_>,
    inventory: &Inventory,
    report: &mut VerifyReport,
) -> Result<(), RepositoryError> {
    /// How many are told.
    const MOST_ORPHANS: usize = 1000;
    report.foreign_names.clone_from(&inventory.foreign);
    report.foreign_count = inventory.foreign_count;
    for name in &inventory.irregular {
        let file = crate::storage::Key::new(name).map_or_else(|| name.clone(), |key| store.locate(&key));
        report.find(Finding::Damaged { file, reason: "it is not a regular file".to_owned() });
    }
    for name in &inventory.sidecars {
        let has_file = inventory.files.binary_search(&(*name, Form::Plain)).is_ok();
        if !has_file
            && report.orphan_digests.len() < MOST_ORPHANS
            && repository.stat(*name, Form::Plain).is_ok_and(|stat| stat.is_none())
        {
            report.orphan_digests.push(store.locate(&sidecar_key(*name)));
        }
    }
    Ok(())
}

/// Takes what came of reading one name in all its forms into the report, and marks what is sound.
fn settle(
    repository: &Repository<'_>,
    name: WalFileName,
    read: Vec<Read>,
    marking: &mut Marking<'_>,
    report: &mut VerifyReport,
) {
    let mut proven: Vec<(Form, Proven)> = Vec::new();
    let mut sound = true;
    for (form, outcome) in read {
        match outcome {
            Ok(None) => report.vanished_files += 1,
            Ok(Some(one)) => {
                let (stored_bytes, bytes) = (one.stat.size_bytes, one.fetched.bytes);
                report.read.add(stored_bytes, bytes);
                report.files.entry((name.kind(), form)).or_default().add(stored_bytes, bytes);
                report.learn_segment_size(name, bytes);
                proven.push((form, one));
            }
            Err(error) => {
                sound = false;
                let stored_bytes = repository.stat(name, form).ok().flatten().map_or(0, |s| s.size_bytes);
                report.read.add(stored_bytes, 0);
                report.files.entry((name.kind(), form)).or_default().add(stored_bytes, 0);
                report.find(Finding::of(repository.locate(name, form), &error));
                marking.distrust(name, form);
            }
        }
    }
    for (form, one) in &proven {
        if marking.remembers_otherwise(name, *form, one) {
            sound = false;
            let reason = "it held something else when it was read before, and nothing has touched it since";
            report.find(Finding::Damaged { file: repository.locate(name, *form), reason: reason.to_owned() });
            marking.distrust(name, *form);
        }
    }
    let first = proven.first().map(|(_, one)| one.fetched.digest);
    for (form, _) in proven.iter().filter(|(_, one)| Some(one.fetched.digest) != first) {
        sound = false;
        report.find(Finding::Damaged {
            file: repository.locate(name, *form),
            reason: format!("another form of '{name}' is stored beside it and holds other content"),
        });
        marking.distrust(name, *form);
    }
    if sound {
        marking.mark(name, &proven, report);
    }
}

/// The marks of a run, on their way into the repository.
struct Marking<'a> {
    repository: &'a Repository<'a>,
    inventory: &'a Inventory,
    clock: &'a (dyn Clock + Sync),
    now: SystemTime,
    allowed: bool,
    /// `None` lets a mark count no more.
    waiting: BTreeMap<MarkGroup, Vec<(WalFileName, Form, Option<Mark>)>>,
    /// The marks that were looked at last, as they were before.
    remembered: Option<(MarkGroup, Marks)>,
    written_at: Duration,
}

impl<'a> Marking<'a> {
    /// How long marks wait to be written: as much is read again after a kill.
    const WRITE_EVERY: Duration = Duration::from_secs(10);

    /// As the superuser in another user's repository nothing is marked: files of root's would be left there.
    fn begin(
        request: &VerifyRequest<'a>,
        repository: &'a Repository<'a>,
        inventory: &'a Inventory,
        report: &mut VerifyReport,
    ) -> Result<Self, StoreError> {
        let owner = request.store.foreign_owner()?;
        if let Some(owner) = &owner {
            report.warnings.push(format!(
                "this is the superuser, and the repository belongs to {owner}: what was read is not remembered"
            ));
        }
        Ok(Self {
            repository,
            inventory,
            clock: request.clock,
            now: request.origin.now,
            allowed: owner.is_none(),
            waiting: BTreeMap::new(),
            remembered: None,
            written_at: request.clock.elapsed(),
        })
    }

    fn mark(&mut self, name: WalFileName, proven: &[(Form, Proven)], report: &mut VerifyReport) {
        if !self.allowed {
            return;
        }
        for (form, proven) in proven {
            // Only what still stands there as it was opened is what was read.
            if self.repository.stat(name, *form).is_ok_and(|stat| stat.as_ref() == Some(&proven.stat)) {
                let waiting = self.waiting.entry(MarkGroup::of(name)).or_default();
                waiting.push((name, *form, Some(Mark::of(proven, self.now))));
            }
        }
        if self.clock.elapsed().saturating_sub(self.written_at) >= Self::WRITE_EVERY {
            self.write(report);
        }
    }

    /// What is damaged is read each time, though a mark of better days fits it.
    fn distrust(&mut self, name: WalFileName, form: Form) {
        if self.allowed {
            self.waiting.entry(MarkGroup::of(name)).or_default().push((name, form, None));
        }
    }

    /// Whether the untouched file held something else when it was read before: only this shows a medium that
    /// lost bits of a file that has no digest of its own.
    fn remembers_otherwise(&mut self, name: WalFileName, form: Form, proven: &Proven) -> bool {
        let group = MarkGroup::of(name);
        if self.remembered.as_ref().is_none_or(|(known, _)| *known != group) {
            let marks = self.repository.marks(&group);
            self.remembered = Some((group, marks));
        }
        let mark = self.remembered.as_ref().and_then(|(_, marks)| marks.get(name, form));
        mark.is_some_and(|mark| mark.is_of(&proven.stat) && mark.differs_from(proven.fetched.digest))
    }

    fn write(&mut self, report: &mut VerifyReport) {
        self.written_at = self.clock.elapsed();
        for (group, waiting) in std::mem::take(&mut self.waiting) {
            let mut marks = self.repository.marks(&group);
            let is_there = |stored: &str| {
                let file = crate::repository::parse_stored(stored);
                file.is_some_and(|file| self.inventory.files.binary_search(&file).is_ok())
            };
            marks.retain(is_there);
            for (name, form, mark) in waiting {
                match mark {
                    Some(mark) => marks.set(name, form, mark),
                    None => marks.distrust(name, form),
                }
            }
            if let Err(error) = self.repository.replace_marks(&group, &marks) {
                let Finding::Unreadable { reason, .. } = Finding::of(String::new(), &error) else { continue };
                report.warnings.push(format!("what was read cannot be remembered: {reason}"));
                self.allowed = false;
                return;
            }
        }
    }

    fn end(mut self, report: &mut VerifyReport) {
        self.write(report);
        if self.allowed {
            let files = &self.inventory.files;
            let groups: BTreeSet<MarkGroup> = files.iter().map(|(name, _)| MarkGroup::of(*name)).collect();
            self.repository.forget_marks(|group| groups.contains(group));
        }
    }
}
