//! A survey: the facts that gate, status and doctor judge by, gathered from files. Nothing is written. What cannot
//! be read is a fact that is not known, with its reason.

mod archiver;
mod line;
mod repository;
mod setup;
mod slots;

pub(super) use repository::{alone, expected_of};
pub(super) use setup::setup;

use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use super::PruneRequest;
use crate::cluster::{self, Backlog, Cluster, ClusterError, ClusterState, ControlFile, Role};
use crate::fsx::free_bytes_if_counted;
use crate::health::{
    ArchiveMode, BacklogFacts, ClusterFacts, Facts, Head, Pace, RepositoryState, RunState, Unknown, WalSpace,
};
use crate::storage::Store;
use crate::wal::{SegmentNumber, WalFileKind, WalFileName};

/// What is looked at.
pub(super) struct SurveyRequest<'a> {
    /// The data directory.
    pub data_directory: &'a Path,
    /// The repository, where one is named.
    pub store: Option<&'a dyn Store>,
    /// The time.
    pub now: SystemTime,
    /// How times are written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
    /// Whether the number of pending files is all that is asked for.
    pub queue_only: bool,
    /// Whether everything before the end of a node that was shut down is asked for.
    pub is_final: bool,
    /// What a prune would be asked, where its outlook is wanted.
    pub prune: Option<&'a PruneRequest<'a>>,
    /// Whether sizes and growth are wanted, too.
    pub measures: bool,
}

/// An error and what it comes from, in one line.
pub(super) fn reason(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    let mut texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

pub(super) fn unknown(error: &ClusterError) -> Unknown {
    Unknown(reason(error))
}

/// Looks at a data directory and a repository.
pub(super) fn survey(request: &SurveyRequest<'_>) -> Facts {
    let cluster = Cluster::find(request.data_directory).map_err(|error| unknown(&error));
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => return nothing_known(request, &error),
    };
    let backlog = cluster.backlog().map_err(|error| unknown(&error));
    if request.queue_only {
        let not_asked = || Unknown("it was not asked for".to_owned());
        return Facts {
            now: request.now,
            cluster: Err(not_asked()),
            backlog: backlog.as_ref().map(|backlog| backlog_facts(backlog, None)).map_err(Clone::clone),
            archiver: Err(not_asked()),
            repository: RepositoryState::NotNamed,
            slots: Err(not_asked()),
        };
    }
    let control = cluster.control_file().map_err(|error| unknown(&error));
    let archiver = archiver::facts(&cluster);
    let archives = archiver.as_ref().is_ok_and(|archiver| archiver.mode.0 != ArchiveMode::Off);
    let mut backlog_told =
        backlog.as_ref().map(|backlog| backlog_facts(backlog, control.as_ref().ok())).map_err(Clone::clone);
    let repository = match (request.store, &control, &backlog) {
        (None, ..) => RepositoryState::NotNamed,
        (Some(store), Ok(control), Ok(backlog)) => {
            let seen = repository::Seen { cluster: &cluster, control, backlog, archives };
            let (state, stored) = repository::look(request, store, &seen);
            if let Ok(told) = &mut backlog_told {
                repository::tell_orphans(backlog, control, stored.as_deref(), told);
            }
            state
        }
        (Some(store), Err(unknown), _) | (Some(store), _, Err(unknown)) => {
            repository::without_cluster(store, unknown)
        }
    };
    if let (None, Ok(control), Ok(backlog), Ok(told)) = (request.store, &control, &backlog, &mut backlog_told)
    {
        repository::tell_orphans(backlog, control, None, told);
    }
    Facts {
        now: request.now,
        slots: slots::facts(&cluster, control.as_ref().ok()),
        cluster: control.and_then(|control| cluster_facts(&cluster, &control, backlog.as_ref().ok())),
        backlog: backlog_told,
        archiver,
        repository,
    }
}

fn nothing_known(request: &SurveyRequest<'_>, error: &Unknown) -> Facts {
    let repository = match request.store {
        None => RepositoryState::NotNamed,
        Some(store) => repository::without_cluster(store, error),
    };
    Facts {
        now: request.now,
        cluster: Err(error.clone()),
        backlog: Err(error.clone()),
        archiver: Err(error.clone()),
        repository,
        slots: Err(error.clone()),
    }
}

fn cluster_facts(
    cluster: &Cluster,
    control: &ControlFile,
    backlog: Option<&Backlog>,
) -> Result<ClusterFacts, Unknown> {
    let number = SegmentNumber::containing(control.redo, control.segment_size);
    let redo_segment = crate::wal::SegmentName::new(control.timeline, number, control.segment_size)
        .ok_or_else(|| Unknown("the control file's redo position is in no segment".to_owned()))?;
    let recovery = cluster.recovery().map_err(|error| unknown(&error))?;
    let run_state = cluster.run_state().map_err(|error| unknown(&error))?;
    Ok(ClusterFacts {
        product: cluster.dialect().product,
        version: cluster.version().to_owned(),
        system_identifier: control.system_identifier,
        timeline: control.timeline,
        checkpoint: control.checkpoint,
        redo: control.redo,
        redo_segment,
        segment_bytes: control.segment_size.bytes(),
        wal_space: backlog.and_then(|backlog| wal_space(cluster, control, backlog)),
        run_state: run_state_of(run_state, control.state),
        is_standby: recovery != cluster::Recovery::None || control.state == ClusterState::InArchiveRecovery,
    })
}

fn wal_space(cluster: &Cluster, control: &ControlFile, backlog: &Backlog) -> Option<WalSpace> {
    let size = control.segment_size;
    let number = |name: &WalFileName| name.segment().and_then(|segment| segment.number(size));
    let finished = backlog.pending.iter().chain(&backlog.done).filter_map(number).max();
    let written = finished.max(Some(SegmentNumber::containing(control.redo, size)));
    // Right behind what is finished lies the segment that is being written.
    let open = written.and_then(SegmentNumber::next);
    Some(WalSpace {
        directory: cluster.wal_directory().display().to_string(),
        free_bytes: free_bytes_if_counted(cluster.wal_directory())?,
        has_recycled: backlog.wal_files.iter().filter_map(number).max() > open,
    })
}

/// The queue as it is, before anybody looked for its orphans elsewhere.
fn backlog_facts(backlog: &Backlog, control: Option<&ControlFile>) -> BacklogFacts {
    BacklogFacts {
        ready_files: backlog.ready_files,
        segments: backlog.count(WalFileKind::Segment),
        histories: backlog.count(WalFileKind::TimelineHistory),
        backups: backlog.count(WalFileKind::BackupHistory),
        partials: backlog.count(WalFileKind::Partial),
        strangers: backlog.strangers.count,
        bytes: control.map_or(0, |control| backlog.pending_bytes(control.segment_size)),
        head: backlog.head.map(|head| Head { name: head.name, since: head.since }),
        last_done: backlog.last_done.map(|last| (last.name, last.at)),
        pace: backlog.pace.map(|pace| Pace { files: pace.files, over: pace.over }),
        orphans: backlog.orphans.len() as u64,
        ..BacklogFacts::default()
    }
}

const fn run_state_of(state: cluster::RunState, told: ClusterState) -> RunState {
    match state {
        cluster::RunState::Running { role: Role::Primary, .. } => RunState::Primary,
        cluster::RunState::Running { role: Role::Standby, .. } => RunState::Standby,
        cluster::RunState::Running { role: Role::Recovering, .. } => RunState::Recovering,
        cluster::RunState::Starting { .. }
        | cluster::RunState::Stopping { .. }
        | cluster::RunState::Standalone { .. } => RunState::InTransition,
        cluster::RunState::Stopped if matches!(told, ClusterState::ShutDownInRecovery) => {
            RunState::StoppedInRecovery
        }
        cluster::RunState::Stopped => RunState::Stopped,
        cluster::RunState::Crashed => RunState::Crashed,
    }
}
