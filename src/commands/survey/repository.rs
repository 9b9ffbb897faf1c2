use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use super::super::prune::{PruneRequest, outlook};
use super::super::source::SourceFile;
use super::line::Line;
use super::{SurveyRequest, reason};
use crate::cluster::{Backlog, Cluster, ControlFile, goes_on_in_child};
use crate::health::{
    BacklogFacts, ClaimFacts, EndFacts, HeadInRepository, RepositoryFacts, RepositoryState, RetentionFacts,
    Unknown,
};
use crate::repository::{
    Claim, Expected, Identity, Inventory, NodeRole, Offer, Packing, Repository, RepositoryError,
};
use crate::storage::Store;
use crate::wal::{
    Coverage, Lsn, SegmentName, SegmentNumber, SegmentRange, SegmentSize, Timeline, TimelineHistory,
    WalFileName, newest_backup_start,
};

/// What is known of the cluster whose repository it is.
pub(super) struct Seen<'a> {
    pub cluster: &'a Cluster,
    pub control: &'a ControlFile,
    pub backlog: &'a Backlog,
    /// Whether its server archives at all.
    pub archives: bool,
}

/// Looks into the repository: its state, and the names that it holds, sorted, where they could be read.
pub(super) fn look(
    request: &SurveyRequest<'_>,
    store: &dyn Store,
    seen: &Seen<'_>,
) -> (RepositoryState, Option<Vec<WalFileName>>) {
    let location = store.location();
    let found = Repository::open(store).and_then(|repository| {
        let inventory = repository.inventory()?;
        Ok((repository, inventory))
    });
    let (repository, mut inventory) = match found {
        Ok(found) => found,
        Err(error) => return (RepositoryState::Unusable { location, reason: reason(&error) }, None),
    };
    let cluster = seen.control.system_identifier;
    if let Some(bound) = repository.identity().filter(|bound| bound.system_identifier != cluster) {
        let repository = bound.system_identifier;
        return (RepositoryState::OfAnotherCluster { location, repository, cluster }, None);
    }
    let mut names = inventory.names();
    let judged = facts(request, &repository, &names, seen).and_then(|found| {
        // A listing is no moment: a name that came while it was made may be missing in it, and a later one not.
        if !found.lacks_segments() {
            return Ok(found);
        }
        inventory = repository.inventory()?;
        names = inventory.names();
        facts(request, &repository, &names, seen)
    });
    match judged {
        Ok(mut facts) => {
            facts.retention = retention(request.prune, request.measures, &repository, inventory);
            (RepositoryState::Usable(Box::new(facts)), Some(names))
        }
        Err(error) => (RepositoryState::Unusable { location, reason: reason(&error) }, Some(names)),
    }
}

/// What a prune would do, where that is asked for.
fn retention(
    prune: Option<&PruneRequest<'_>>,
    measures: bool,
    repository: &Repository<'_>,
    inventory: Inventory,
) -> Option<Result<RetentionFacts, Unknown>> {
    let outlook = outlook(prune?, repository, inventory, measures);
    outlook.map_err(|error| Unknown(reason(&error))).transpose()
}

/// What can be said of a repository where its cluster is not known.
pub(super) fn without_cluster(store: &dyn Store, unknown: &Unknown) -> RepositoryState {
    let location = store.location();
    match Repository::open(store) {
        Err(error) => RepositoryState::Unusable { location, reason: reason(&error) },
        Ok(_) => RepositoryState::NotJudged { location, reason: unknown.0.clone() },
    }
}

/// What can be said of a repository by itself, where no data directory was named.
pub(in crate::commands) fn alone(
    store: &dyn Store,
    prune: Option<&PruneRequest<'_>>,
    now: SystemTime,
) -> RepositoryState {
    match facts_alone(store, prune, now) {
        Ok(facts) => RepositoryState::Usable(Box::new(facts)),
        Err(error) => RepositoryState::Unusable { location: store.location(), reason: reason(&error) },
    }
}

fn facts_alone(
    store: &dyn Store,
    prune: Option<&PruneRequest<'_>>,
    now: SystemTime,
) -> Result<RepositoryFacts, RepositoryError> {
    let repository = Repository::open(store)?;
    let mut facts = RepositoryFacts {
        location: repository.location(),
        unwritable: repository.check_writable().err().map(|error| reason(&error)),
        free_bytes: repository.free_bytes()?,
        shares_file_system: false,
        start: None,
        newest_backup: None,
        missing: Vec::new(),
        newer_timeline: None,
        known_gaps: Vec::new(),
        unqueued: Vec::new(),
        only_marked: Vec::new(),
        head: HeadInRepository::Absent,
        end: None,
        claims: claims(&repository, now),
        retention: None,
    };
    let inventory = repository.inventory()?;
    let names = inventory.names();
    facts.retention = retention(prune, true, &repository, inventory);
    let Some(identity) = repository.identity() else { return Ok(facts) };
    let size = identity.segment_size;
    let expected = expected_of(identity);
    let lost: Vec<SegmentRange> = repository.known_gaps()?.into_iter().map(|gap| gap.range).collect();
    let archive =
        Archive { names: &names, histories: repository.histories(names.iter().copied(), expected)?, lost };
    facts.newest_backup = newest_backup_start(names.iter().copied());
    facts.start = facts.newest_backup.or_else(|| archive.segments().min_by_key(|name| name.number(size)));
    if let Some(start) = facts.start {
        facts.known_gaps = lost_from(&archive.lost, start, size);
        let newest = facts.newest_backup;
        let coverage = Coverage::new(archive.segments(), size, &archive.histories, &archive.lost, newest);
        facts.missing = coverage.contiguous_from(start);
    }
    Ok(facts)
}

/// What a stored file of a repository's own cluster is held against.
pub(in crate::commands) fn expected_of(identity: Identity) -> Expected {
    Expected {
        system_identifier: Some(identity.system_identifier),
        segment_size: Some(identity.segment_size),
        header_check: false,
    }
}

/// What a repository holds, as far as gaps are concerned.
struct Archive<'a> {
    names: &'a [WalFileName],
    histories: Vec<TimelineHistory>,
    lost: Vec<SegmentRange>,
}

impl Archive<'_> {
    fn segments(&self) -> impl Iterator<Item = SegmentName> {
        self.names.iter().copied().filter_map(whole_segment)
    }
}

fn facts(
    request: &SurveyRequest<'_>,
    repository: &Repository<'_>,
    names: &[WalFileName],
    seen: &Seen<'_>,
) -> Result<RepositoryFacts, RepositoryError> {
    let size = seen.control.segment_size;
    let lost = repository.known_gaps()?.into_iter().map(|gap| gap.range).collect();
    let expected =
        expected_of(Identity { system_identifier: seen.control.system_identifier, segment_size: size });
    let archive = Archive { names, histories: repository.histories(names.iter().copied(), expected)?, lost };
    let newest_backup = newest_backup_start(names.iter().copied());
    let line = Line::of(seen.control, &archive.histories);
    // A server that has just been promoted may not have archived its history yet.
    let any_start = || newest_backup.or_else(|| archive.segments().min_by_key(|name| name.number(size)));
    let start = line.start(names).or_else(any_start);
    let from_start =
        |missing: &dyn Fn(SegmentName) -> Vec<SegmentRange>| start.map(missing).unwrap_or_default();
    let own = line.histories(&archive.histories);
    let mut not_missing = archive.lost.clone();
    not_missing.extend(still_to_come(seen.backlog, size));
    Ok(RepositoryFacts {
        location: repository.location(),
        unwritable: repository.check_writable().err().map(|error| reason(&error)),
        free_bytes: repository.free_bytes()?,
        shares_file_system: shares_file_system(repository, seen.cluster)?,
        start,
        newest_backup,
        missing: from_start(&|start| {
            Coverage::new(archive.segments(), size, &own, &not_missing, newest_backup).contiguous_from(start)
        }),
        newer_timeline: newer_timeline(seen.control, &archive.histories),
        known_gaps: from_start(&|start| lost_from(&archive.lost, start, size)),
        unqueued: from_start(&|start| if seen.archives { unqueued(names, start, seen) } else { Vec::new() }),
        only_marked: from_start(&|start| {
            if seen.archives { only_marked(&archive, start, seen) } else { Vec::new() }
        }),
        head: head(request, repository, names, seen),
        end: request.is_final.then(|| before_end(seen, &archive)),
        claims: claims(repository, request.now),
        retention: None,
    })
}

/// What is pending and there is on its way into the repository, in whatever order it comes.
fn still_to_come(backlog: &Backlog, size: SegmentSize) -> Vec<SegmentRange> {
    let orphans: HashSet<WalFileName> = backlog.orphans.iter().copied().collect();
    let there = backlog.pending.iter().copied().filter(|name| !orphans.contains(name));
    ranges(there.filter_map(whole_segment), size)
}

/// What the nodes have claimed.
fn claims(repository: &Repository<'_>, now: SystemTime) -> Result<Vec<ClaimFacts>, Unknown> {
    let claims = repository.claims().map_err(|error| Unknown(reason(&error)))?;
    Ok(claims.iter().map(|claim| claim_facts(claim, now)).collect())
}

fn claim_facts(claim: &Claim, now: SystemTime) -> ClaimFacts {
    let is_primary = claim.role == NodeRole::Primary;
    ClaimFacts {
        node: claim.node.clone(),
        key: claim.key().to_string(),
        primary_since: is_primary.then_some(claim.role_since),
        observed_at: claim.observed_at,
        age: claim.age(now),
        is_stale: claim.is_stale(now),
    }
}

fn whole_segment(name: WalFileName) -> Option<SegmentName> {
    match name {
        WalFileName::Segment(segment) => Some(segment),
        _ => None,
    }
}

/// The ranges that segments make.
fn ranges(of: impl IntoIterator<Item = SegmentName>, size: SegmentSize) -> Vec<SegmentRange> {
    let timelines = Coverage::new(of, size, &[], &[], None).timelines();
    timelines.into_iter().flat_map(|timeline| timeline.ranges).collect()
}

fn shares_file_system(repository: &Repository<'_>, cluster: &Cluster) -> Result<bool, RepositoryError> {
    let shares = |path: &Path| repository.shares_file_system_with(path);
    Ok(shares(cluster.data_directory())? || shares(cluster.wal_directory())?)
}

/// The ranges that were acknowledged as lost and that a recovery from a start on meets.
fn lost_from(lost: &[SegmentRange], start: SegmentName, size: SegmentSize) -> Vec<SegmentRange> {
    lost.iter().copied().filter(|range| range.last().number(size) >= start.number(size)).collect()
}

/// The newest stored timeline that left the cluster's own one, and where.
fn newer_timeline(control: &ControlFile, histories: &[TimelineHistory]) -> Option<(Timeline, Lsn)> {
    let own = control.written_timeline();
    let newer = histories.iter().filter(|history| history.timeline() > own);
    let left = newer.filter_map(|history| Some((history.timeline(), history.switch_from(own)?)));
    left.max()
}

/// Segments that the server has finished and given no status, from a start on, and that are not stored.
fn unqueued(names: &[WalFileName], start: SegmentName, seen: &Seen<'_>) -> Vec<SegmentRange> {
    let size = seen.control.segment_size;
    let candidates = seen.backlog.without_status().filter_map(whole_segment);
    let not_stored = candidates.filter(|segment| {
        segment.number(size) >= start.number(size)
            && names.binary_search(&WalFileName::Segment(*segment)).is_err()
    });
    // What cannot be read here cannot be offered by the server either, and is found when it is archived.
    let complete = not_stored.filter(|segment| seen.cluster.is_complete(*segment, size).unwrap_or(false));
    // One that the server has finished since the queue was read got its status before its successor was begun.
    let status = seen.cluster.archive_status();
    let complete = complete.filter(|segment| {
        status.status_of(WalFileName::Segment(*segment)).is_ok_and(|status| status.is_none())
    });
    ranges(complete, size)
}

/// Segments of the cluster's timeline that it takes for archived, behind all that is stored of it. Its marks were read
/// first, and what is pruned lies before them; a hole in the midst is missing already.
fn only_marked(archive: &Archive<'_>, start: SegmentName, seen: &Seen<'_>) -> Vec<SegmentRange> {
    let (size, timeline) = (seen.control.segment_size, seen.control.written_timeline());
    let there = seen.backlog.wal_segments();
    let newest = archive.segments().filter(|name| name.timeline() == timeline).max();
    let is_lost =
        |name: &SegmentName| archive.lost.iter().any(|range| (range.first()..=range.last()).contains(name));
    let done = seen.backlog.done.iter().copied().filter_map(whole_segment);
    let marked = done.filter(|name| {
        name.timeline() == timeline
            && newest.is_none_or(|newest| *name > newest)
            && name.number(size) >= start.number(size)
            && !is_lost(name)
            && !goes_on_in_child(&there, *name, size)
    });
    ranges(marked, size)
}

/// What is missing on the way to the segment that a node's shutdown checkpoint begins, which its own node never
/// archives. Timelines that others began, before or later, do not matter to this node's end.
fn before_end(seen: &Seen<'_>, archive: &Archive<'_>) -> EndFacts {
    let control = seen.control;
    let size = control.segment_size;
    let line = Line::up_to_now(control, &archive.histories);
    let end = SegmentName::new(control.timeline, SegmentNumber::containing(control.redo, size), size);
    let own = line.histories(&archive.histories);
    let names = archive.segments().chain(end);
    let coverage = Coverage::new(names, size, &own, &archive.lost, None);
    let start = line.start(archive.names);
    let is_stored = |name: &WalFileName| archive.names.binary_search(name).is_ok();
    EndFacts {
        start,
        missing: start.map(|start| coverage.contiguous_from(start)).unwrap_or_default(),
        pending: seen
            .backlog
            .pending
            .iter()
            .copied()
            .find(|name| whole_segment(*name).is_none() && !is_stored(name)),
    }
}

/// What is stored under the name of the file that the server archives next.
fn head(
    request: &SurveyRequest<'_>,
    repository: &Repository<'_>,
    names: &[WalFileName],
    seen: &Seen<'_>,
) -> HeadInRepository {
    let Some(name) = seen.backlog.head.map(|head| head.name) else { return HeadInRepository::Absent };
    if names.binary_search(&name).is_err() {
        return HeadInRepository::Absent;
    }
    let mut source = match SourceFile::open(&seen.cluster.wal_directory().join(name.to_string())) {
        Ok(source) => source,
        // It was archived or recycled meanwhile, or is an orphan, which is told as such.
        Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => return HeadInRepository::Absent,
        Err(error) => return HeadInRepository::Unknown(reason(&error)),
    };
    let identity = Identity {
        system_identifier: seen.control.system_identifier,
        segment_size: seen.control.segment_size,
    };
    let (level, packing, show_time) = (1, Packing::Inline, request.show_time);
    let offer = Offer { name, source: &mut source, identity, level, packing, show_time };
    match repository.compare(offer) {
        Ok(Some(_)) => HeadInRepository::Same,
        Ok(None) => HeadInRepository::Absent,
        Err(RepositoryError::Conflict(conflict)) => HeadInRepository::Conflict(conflict.to_string()),
        Err(error) => HeadInRepository::Unknown(reason(&error)),
    }
}

/// Splits the orphans into those that are stored and those that are lost; nothing is known to be stored where no
/// repository could be read.
pub(super) fn tell_orphans(
    backlog: &Backlog,
    control: &ControlFile,
    stored: Option<&[WalFileName]>,
    told: &mut BacklogFacts,
) {
    const OTHERS_TOLD: usize = 5;
    let is_stored = |name: &WalFileName| stored.is_some_and(|names| names.binary_search(name).is_ok());
    let lost: Vec<WalFileName> = backlog.orphans.iter().copied().filter(|name| !is_stored(name)).collect();
    told.orphans_stored = (backlog.orphans.len() - lost.len()) as u64;
    told.lost = ranges(lost.iter().copied().filter_map(whole_segment), control.segment_size);
    let others = lost.iter().copied().filter(|name| whole_segment(*name).is_none());
    told.lost_others = others.take(OTHERS_TOLD).collect();
}
