//! Requests for segments.

use std::fs::File;

use super::error::{Notice, RestoreError};
use super::fork::UpToFork;
use super::server::Server;
use super::state::NodeState;
use super::{Archive, Delivered, RestoreReport, RestoreRequest, Supply, fork, supply, take};
use crate::cluster::Recovery;
use crate::commands::records::records_of;
use crate::commands::source::SourceFile;
use crate::fsx::{AtPath as _, Delivery};
use crate::repository::{Expected, Source as _, header_agrees};
use crate::wal::{
    LONG_HEADER_BYTES, Lineage, LongPageHeader, Lsn, SegmentName, SegmentSize, Timeline, WalEnd, WalFileName,
};

/// One try to answer a request for a segment.
pub(super) fn answer(
    request: &RestoreRequest<'_>,
    server: &Server,
    archive: &Archive<'_>,
    name: SegmentName,
) -> Result<RestoreReport, RestoreError> {
    let size = archive.expected.segment_size;
    if let Some(size) = size.filter(|_| fork::concerns(server))
        && let Some(switch) = fork::leaves_in(server, archive, name, size)?
    {
        // Nothing of a segment that begins at the fork belongs to the child's line.
        if name.start(size) == Some(switch) {
            return Ok(RestoreReport::absent());
        }
        let sources = [WalFileName::Segment(name)];
        return up_to_fork(request, server, archive, name, &sources, (name.timeline(), switch, size));
    }
    let (scene, no_spool) = match super::scene(request, server) {
        Some(Ok(scene)) => (Some(scene), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let own = server.own_file(name);
    let prefetched = scene.as_ref().filter(|_| own.is_none());
    let prefetched =
        prefetched.and_then(|scene| take(scene, request, (&archive.repository, archive.expected)));
    let mut report = match prefetched {
        Some(digest) => {
            RestoreReport { delivered: Some(Delivered::Prefetched(digest)), ..RestoreReport::absent() }
        }
        None => fetch(request, archive, name, own.as_deref().zip(size))?,
    };
    if report.delivered.is_none() && report.notices.is_empty() {
        report = not_stored(request, server, archive, name)?;
    } else {
        keep_history(server, archive, name.timeline());
    }
    report.supply = match (scene, no_spool) {
        (_, Some(error)) => Supply::NoSpool(error),
        (Some(scene), None) => supply(&scene, request.name, report.delivered.and(size)),
        (None, None) => Supply::Enough,
    };
    Ok(report)
}

/// Copies the histories if the server replays a timeline whose history it does not have: at its promotion it asks for that,
/// and the repository may fail then. What cannot be copied now is copied by a later call.
fn keep_history(server: &Server, archive: &Archive<'_>, timeline: Timeline) {
    let repository = &archive.repository;
    let is_kept = || {
        NodeState::read(server, repository.location())
            .is_none_or(|state| state.history_text(timeline).is_some())
    };
    if timeline == Timeline::FIRST || server.history_text(timeline).is_some() || is_kept() {
        return;
    }
    let Ok(names) = repository.names() else { return };
    let stored: Vec<_> = names.into_iter().filter_map(WalFileName::history_of).collect();
    let _ = NodeState::refresh(server, repository, archive.expected, &stored);
}

/// Fetches the stored segment. One whose WAL ends early never takes the place of the server's own copy that goes on: what
/// is delivered replaces that.
fn fetch(
    request: &RestoreRequest<'_>,
    archive: &Archive<'_>,
    name: SegmentName,
    own: Option<(&std::path::Path, SegmentSize)>,
) -> Result<RestoreReport, RestoreError> {
    let mut delivery = Delivery::begin(&request.destination)?;
    let fetched = archive.repository.fetch(request.name, archive.expected, delivery.file())?;
    let Some(fetched) = fetched else { return Ok(RestoreReport::absent()) };
    if let Some((path, size)) = own
        && let Ok(mut own) = File::open(path)
        && let Some(ends) = ends_before(delivery.file(), &mut own, name, size).at("read", path)?
    {
        let notices = vec![Notice::StoredIsShorter { name, ends }];
        return Ok(RestoreReport { notices, ..RestoreReport::absent() });
    }
    delivery.finish()?;
    Ok(RestoreReport { delivered: Some(Delivered::Stored(fetched.digest)), ..RestoreReport::absent() })
}

/// Where the stored WAL ends, if the server's own copy contains it and has more.
fn ends_before(
    stored: &mut File,
    own: &mut File,
    name: SegmentName,
    size: SegmentSize,
) -> std::io::Result<Option<Lsn>> {
    let Some(start) = name.start(size) else { return Ok(None) };
    let Some(differs) = fork::first_difference(stored, own)? else { return Ok(None) };
    let records = records_of(stored, start, size)?;
    let WalEnd::Ends { at: ends, .. } = records.end else { return Ok(None) };
    let own_end = records_of(own, start, size)?.end_lsn();
    let is_contained = differs >= ends.get().saturating_sub(start.get());
    Ok(Some(ends).filter(|ends| is_contained && own_end.is_some_and(|own| own > *ends)))
}

/// The answer if no file of that name is stored.
fn not_stored(
    request: &RestoreRequest<'_>,
    server: &Server,
    archive: &Archive<'_>,
    name: SegmentName,
) -> Result<RestoreReport, RestoreError> {
    // Past the end of a recovery nothing ends early; and a rewind says itself what it misses.
    if server.recovery == Recovery::None {
        return Ok(RestoreReport::absent());
    }
    let names = archive.repository.names()?;
    if names.binary_search(&request.name).is_ok() {
        return Err(RestoreError::Unsettled(request.name));
    }
    let gap = gap(archive, &names, name)?;
    let own = server.own_file(name);
    let is_own = own.as_ref().is_some_and(|path| is_whole_in(path, name, archive.expected));
    if gap.is_none()
        && own.is_none()
        && let Some(report) = from_neighbours(request, server, archive, &names, name)?
    {
        return Ok(report);
    }
    match gap {
        Some(RestoreError::BeforeAll { from, next }) if server.recovery == Recovery::Standby => {
            let is_first = NodeState::report_once(server, archive.repository.location(), from);
            let notices = if is_first { vec![Notice::BeforeAll { from, next }] } else { Vec::new() };
            Ok(RestoreReport { notices, ..RestoreReport::absent() })
        }
        Some(gap) if server.recovery == Recovery::Archive && !is_own && !request.gap_is_end => {
            if is_acknowledged(archive, name)? {
                Ok(RestoreReport::absent())
            } else {
                Err(gap)
            }
        }
        _ => Ok(RestoreReport::absent()),
    }
}

/// What neighbouring timelines have of a segment that nothing is stored of, and in which one of them begins; `None` if
/// there is no such fork.
fn from_neighbours(
    request: &RestoreRequest<'_>,
    server: &Server,
    archive: &Archive<'_>,
    names: &[WalFileName],
    name: SegmentName,
) -> Result<Option<RestoreReport>, RestoreError> {
    let Some(size) = archive.expected.segment_size.filter(|_| fork::concerns(server)) else {
        return Ok(None);
    };
    let of = |timeline| name.number(size).and_then(|number| SegmentName::new(timeline, number, size));
    // A recovery to the end of a timeline that was left in this segment.
    if server.recovery == Recovery::Archive {
        for (child, switch) in fork::children_in(archive, names, name, size)? {
            let sources = [Some(WalFileName::Partial(name)), of(child).map(WalFileName::Segment)];
            let sources: Vec<_> = sources.into_iter().flatten().collect();
            if let UpToFork::Delivered(source) =
                fork::deliver_up_to(request, archive, (name, None), &sources, (switch, size))?
            {
                return Ok(Some(ends_at_fork(name, source, switch)));
            }
        }
    }
    // Told "not there", the server would replay the parent past the fork.
    if let Some(begins) = fork::begins_in(server, archive, name, size)? {
        let parent =
            of(begins.parent).map(|parent| [WalFileName::Segment(parent), WalFileName::Partial(parent)]);
        let sources = parent.unwrap_or([request.name; 2]);
        let fork = (begins.parent, begins.switch, size);
        return up_to_fork(request, server, archive, name, &sources, fork).map(Some);
    }
    Ok(None)
}

fn ends_at_fork(name: SegmentName, source: Option<WalFileName>, fork: Lsn) -> RestoreReport {
    let notices = vec![Notice::EndsAtFork { name, source, fork }];
    RestoreReport { delivered: Some(Delivered::Made), notices, ..RestoreReport::absent() }
}

/// Delivers what comes before a fork. Without it a recovery stops: the server would replay the parent past the fork, or end
/// before it.
fn up_to_fork(
    request: &RestoreRequest<'_>,
    server: &Server,
    archive: &Archive<'_>,
    name: SegmentName,
    sources: &[WalFileName],
    (parent, switch, size): (Timeline, Lsn, SegmentSize),
) -> Result<RestoreReport, RestoreError> {
    let own = server.own_file(name);
    match fork::deliver_up_to(request, archive, (name, own.as_deref()), sources, (switch, size))? {
        UpToFork::Delivered(source) => Ok(ends_at_fork(name, source, switch)),
        UpToFork::IsOwn => Ok(RestoreReport::absent()),
        UpToFork::NotReached if own.is_some() || request.gap_is_end => Ok(RestoreReport::absent()),
        UpToFork::NotReached => {
            let error = RestoreError::ForkNotReached { from: name, parent, fork: switch };
            if server.recovery == Recovery::Archive {
                return Err(error);
            }
            Ok(RestoreReport { notices: vec![Notice::StandbyGoesOn(error)], ..RestoreReport::absent() })
        }
    }
}

/// Whether a segment in the WAL directory is this one, and whole: one that was still open when the directory was copied
/// would end the recovery in its middle. WAL whose records cannot be followed is taken for whole if its header is right
/// and the server has marked it.
fn is_whole_in(path: &std::path::Path, name: SegmentName, expected: Expected) -> bool {
    let Ok(source) = SourceFile::open(path) else { return false };
    let Some(size) = expected.segment_size.filter(|size| size.bytes() == source.stamp().size) else {
        return false;
    };
    let head = source.head::<LONG_HEADER_BYTES>().unwrap_or_default();
    let agrees = LongPageHeader::parse(&head).is_ok_and(|header| {
        header_agrees(WalFileName::Segment(name), &header, expected.system_identifier).is_ok()
    });
    if !agrees && expected.header_check {
        return false;
    }
    let walked = File::open(path).ok().zip(name.start(size));
    let records = walked.and_then(|(mut file, start)| records_of(&mut file, start, size).ok());
    match records.map(|records| records.end) {
        Some(WalEnd::Whole | WalEnd::Switched { .. }) => true,
        Some(WalEnd::Ends { .. }) | None => false,
        Some(WalEnd::Unknown) => {
            let wal_directory = path.parent().unwrap_or(path);
            crate::cluster::is_complete_in(wal_directory, name, size).unwrap_or(false)
        }
    }
}

/// In a recovery, "not there" means "the end". It is not the end if the archive goes on after it: in later segments of the
/// timeline, or in a timeline that leaves this one at the end of the segment or later.
fn gap(
    archive: &Archive<'_>,
    names: &[WalFileName],
    from: SegmentName,
) -> Result<Option<RestoreError>, RestoreError> {
    let mut stored: Vec<SegmentName> =
        names.iter().filter(|name| name.is_pages()).filter_map(|name| name.segment()).collect();
    stored.sort_unstable();
    let next = stored.iter().find(|other| other.timeline() == from.timeline() && **other > from);
    if let Some(&next) = next {
        let is_within = stored.iter().any(|other| other.lies_before(from));
        return Ok(Some(if is_within {
            RestoreError::Gap { from, next }
        } else {
            RestoreError::BeforeAll { from, next }
        }));
    }
    let size = archive.expected.segment_size;
    let Some(end) = size.and_then(|size| from.number(size)?.next()?.start(size)) else { return Ok(None) };
    let later = names.iter().filter(|name| name.history_of().is_some_and(|other| other > from.timeline()));
    let lineage = Lineage::of(&archive.repository.histories(later.copied(), archive.expected)?);
    let last_byte = Lsn::new(end.get().saturating_sub(1));
    let child = lineage
        .timelines()
        .into_iter()
        .find(|other| *other > from.timeline() && lineage.leads_to(from.timeline(), last_byte, *other));
    Ok(child.map(|child| RestoreError::GapBeforeFork { from, child }))
}

/// Whether a person has acknowledged the segment as lost.
fn is_acknowledged(archive: &Archive<'_>, name: SegmentName) -> Result<bool, RestoreError> {
    let gaps = archive.repository.known_gaps()?;
    Ok(gaps.iter().any(|gap| (gap.range.first()..=gap.range.last()).contains(&name)))
}
