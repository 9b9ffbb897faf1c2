//! `status`: what a cluster, its queue and its repository are like now, on one screen.

use std::collections::BTreeMap;
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::PruneRequest;
use super::gate::drained_in;
use super::survey::{self, SurveyRequest, reason};
use crate::cluster::Cluster;
use crate::health::{
    Facts, Finding, Policy, RepositoryState, RetentionFacts, Unknown, Verdict, assess, assess_archive,
};
use crate::repository::{Charter, Holdings, Identity, KnownGap, Repository, RepositoryError};
use crate::storage::Store;
use crate::wal::{
    Coverage, Fork, Lineage, SegmentName, SegmentSize, Timeline, TimelineCoverage, TimelineHistory,
    WalFileKind, WalFileName, newest_backup_start,
};

/// What is looked at.
pub struct StatusRequest<'a> {
    /// The data directory; none on a host that only holds an archive.
    pub data_directory: Option<&'a Path>,
    /// The repository, where one is named.
    pub store: Option<&'a dyn Store>,
    /// What a prune of it would be asked.
    pub prune: Option<&'a PruneRequest<'a>>,
    /// What is still fine.
    pub policy: Policy,
    /// The time.
    pub now: SystemTime,
    /// How times are written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct StatusReport {
    /// The worst finding's verdict.
    pub verdict: Verdict,
    /// All that was found, the worst first.
    pub findings: Vec<Finding>,
    /// When it was looked at.
    pub now: SystemTime,
    /// The node, where a data directory was named.
    pub node: Option<NodeOverview>,
    /// The repository, where one was named.
    pub archive: Option<Result<ArchiveOverview, Unknown>>,
    /// What pruning it would do, where it can be used and holds anything.
    pub retention: Option<Result<RetentionFacts, Unknown>>,
}

/// A node.
#[derive(Clone, Debug)]
pub struct NodeOverview {
    /// What it was judged by.
    pub facts: Facts,
    /// The data directory.
    pub data_directory: PathBuf,
    /// Its WAL directory, where that lies elsewhere.
    pub wal_directory: Option<PathBuf>,
    /// How long the queue takes to drain at the pace of late.
    pub drained_in: Option<Duration>,
}

/// What lies in a repository.
#[derive(Clone, Debug)]
pub struct ArchiveOverview {
    /// Where it lies.
    pub location: String,
    /// What `init` laid down.
    pub charter: Charter,
    /// The cluster that it belongs to; `None` while nobody has archived into it.
    pub identity: Option<Identity>,
    /// Its files, without their names.
    pub holdings: Holdings,
    /// Bytes of the stored segments and partial segments before they were packed.
    pub original_bytes: Option<u64>,
    /// Bytes that may still be stored.
    pub free_bytes: Result<u64, Unknown>,
    /// What people acknowledged as lost.
    pub known_gaps: Result<Vec<KnownGap>, Unknown>,
    /// The timelines that it holds, in ascending order.
    pub timelines: Vec<TimelineOverview>,
    /// Stored histories that cannot be read: the timelines are told without them.
    pub unreadable_histories: Vec<String>,
    /// Where the newest base backup that it knows begins.
    pub newest_backup: Option<SegmentName>,
}

/// What a repository holds of one timeline.
#[derive(Clone, Debug)]
pub struct TimelineOverview {
    /// Its ranges and gaps.
    pub coverage: TimelineCoverage,
    /// How many whole segments there are.
    pub segments: u64,
    /// Where it left its parent, as far as a stored history tells.
    pub fork: Option<Fork>,
}

/// Looks once. Nothing is written.
#[must_use]
pub fn status(request: &StatusRequest<'_>) -> StatusReport {
    let node = request.data_directory.map(|data_directory| node(request, data_directory));
    let alone = match &node {
        None => archive_state(request.store, request.prune, request.now),
        Some(_) => RepositoryState::NotNamed,
    };
    let (findings, state) = match &node {
        Some(node) => (assess(&node.facts, &request.policy), &node.facts.repository),
        None => (assess_archive(&alone, &request.policy), &alone),
    };
    let retention = match state {
        RepositoryState::Usable(facts) => facts.retention.clone(),
        _ => None,
    };
    let size = node.as_ref().and_then(|node| node.facts.cluster.as_ref().ok());
    let size = size.and_then(|cluster| SegmentSize::new(cluster.segment_bytes));
    let look = |store| archive(store, size).map_err(|error| Unknown(reason(&error)));
    StatusReport {
        verdict: Verdict::worst(findings.iter().map(|finding| finding.verdict)),
        findings,
        now: request.now,
        node,
        archive: request.store.map(look),
        retention,
    }
}

fn node(request: &StatusRequest<'_>, data_directory: &Path) -> NodeOverview {
    let facts = survey::survey(&SurveyRequest {
        data_directory,
        store: request.store,
        now: request.now,
        show_time: request.show_time,
        queue_only: false,
        is_final: false,
        prune: request.prune,
        measures: true,
    });
    NodeOverview {
        drained_in: facts.backlog.as_ref().ok().and_then(drained_in),
        facts,
        data_directory: data_directory.to_owned(),
        wal_directory: Cluster::find(data_directory).ok().and_then(|cluster| elsewhere(&cluster)),
    }
}

fn elsewhere(cluster: &Cluster) -> Option<PathBuf> {
    let data = cluster.data_directory().canonicalize().ok()?;
    let wal = cluster.wal_directory();
    (!wal.starts_with(data)).then(|| wal.to_owned())
}

fn archive(store: &dyn Store, size: Option<SegmentSize>) -> Result<ArchiveOverview, RepositoryError> {
    let repository = Repository::open(store)?;
    let mut holdings = repository.holdings()?;
    let names = mem::take(&mut holdings.names);
    let identity = repository.identity();
    let size = identity.map(|identity| identity.segment_size).or(size);
    let known_gaps = repository.known_gaps().map_err(|error| Unknown(reason(&error)));
    let (histories, unreadable_histories) = histories(&repository, &names);
    let newest_backup = newest_backup_start(names.iter().copied());
    let lost: Vec<_> = known_gaps.iter().flatten().map(|gap| gap.range).collect();
    let coverage = |size| Coverage::new(segments(&names), size, &histories, &lost, newest_backup);
    Ok(ArchiveOverview {
        location: repository.location(),
        charter: repository.charter().clone(),
        identity,
        original_bytes: size.and_then(|size| original_bytes(&holdings, size)),
        free_bytes: repository.free_bytes().map_err(|error| Unknown(reason(&error))),
        timelines: size.map(|size| timelines(&coverage(size), &names)).unwrap_or_default(),
        holdings,
        known_gaps,
        unreadable_histories,
        newest_backup,
    })
}

fn original_bytes(holdings: &Holdings, size: SegmentSize) -> Option<u64> {
    let files = holdings.of(WalFileKind::Segment).files + holdings.of(WalFileKind::Partial).files;
    files.checked_mul(size.bytes())
}

fn segments(names: &[WalFileName]) -> impl Iterator<Item = SegmentName> {
    names.iter().filter_map(|name| match name {
        WalFileName::Segment(segment) => Some(*segment),
        _ => None,
    })
}

/// The stored histories, and why others cannot be read.
fn histories(repository: &Repository<'_>, names: &[WalFileName]) -> (Vec<TimelineHistory>, Vec<String>) {
    let Some(expected) = repository.identity().map(survey::expected_of) else { return Default::default() };
    let (mut histories, mut unreadable) = (Vec::new(), Vec::new());
    for timeline in names.iter().copied().filter_map(WalFileName::history_of) {
        match repository.history(timeline, expected) {
            Ok(history) => histories.extend(history),
            Err(error) => unreadable.push(reason(&error)),
        }
    }
    (histories, unreadable)
}

fn timelines(coverage: &Coverage, names: &[WalFileName]) -> Vec<TimelineOverview> {
    let mut counts: BTreeMap<Timeline, u64> = BTreeMap::new();
    for segment in segments(names) {
        *counts.entry(segment.timeline()).or_default() += 1;
    }
    let lineage: &Lineage = coverage.lineage();
    let told = |of: TimelineCoverage| TimelineOverview {
        segments: counts.get(&of.timeline).copied().unwrap_or_default(),
        fork: lineage.fork_of(of.timeline),
        coverage: of,
    };
    coverage.timelines().into_iter().map(told).collect()
}

/// A repository's state where it is judged by itself.
#[must_use]
pub(super) fn archive_state(
    store: Option<&dyn Store>,
    prune: Option<&PruneRequest<'_>>,
    now: SystemTime,
) -> RepositoryState {
    store.map_or(RepositoryState::NotNamed, |store| survey::alone(store, prune, now))
}
