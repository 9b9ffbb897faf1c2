//! The segment that a fork is in. A server that follows the child never gets WAL of the parent from after the fork: those
//! rows never existed together with the child's.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::error::RestoreError;
use super::server::Server;
use super::{Archive, RestoreRequest};
use crate::cluster::{Recovery, TargetTimeline};
use crate::commands::records::{is_in, records_of};
use crate::fsx::{AtPath as _, Delivery};
use crate::wal::{Lineage, Lsn, SegmentName, SegmentSize, Timeline, TimelineHistory, WalFileName};

/// A fork that is in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ForkHere {
    pub(super) parent: Timeline,
    pub(super) switch: Lsn,
}

/// Where the timeline of a segment begins, if it begins in that segment. The server's own copy of the history counts
/// first: it is what the server goes by.
pub(super) fn begins_in(
    server: &Server,
    archive: &Archive<'_>,
    name: SegmentName,
    size: SegmentSize,
) -> Result<Option<ForkHere>, RestoreError> {
    let history = history_of(server, archive, name.timeline())?;
    let entry = history.as_ref().and_then(|history| history.entries().last());
    let fork = entry.map(|entry| ForkHere { parent: entry.timeline, switch: entry.switch });
    Ok(fork.filter(|fork| is_in(fork.switch, name, size)))
}

/// Where the line of history that the server follows leaves the timeline of a segment, if it leaves it in that segment.
///
/// A server that follows a child has the child's history in its WAL directory, where it put what `restore_command` delivered
/// (`KeepFileRestoredFromArchive` in access/transam/xlogarchive.c), or it is about to ask for the next number.
pub(super) fn leaves_in(
    server: &Server,
    archive: &Archive<'_>,
    name: SegmentName,
    size: SegmentSize,
) -> Result<Option<Lsn>, RestoreError> {
    let timeline = name.timeline();
    let own = server.own_timeline().unwrap_or(timeline).max(timeline);
    let followed = match server.target() {
        TargetTimeline::Number(target) => target,
        TargetTimeline::Current => own,
        TargetTimeline::Latest => newest(server, archive, own)?,
    };
    if followed <= timeline {
        return Ok(None);
    }
    let history = history_of(server, archive, followed)?;
    let switch = history.and_then(|history| history.switch_from(timeline));
    let switch = switch.filter(|switch| is_in(*switch, name, size));
    // One that is past the fork cannot follow the child any more.
    let follows_newest = server.target() == TargetTimeline::Latest;
    Ok(switch.filter(|switch| !(follows_newest && is_past(server, name, *switch, size))))
}

/// The timeline that a server follows which looks for the newest: it counts up from its own, and stops at the first number
/// that is not there. A standby looks again and again; a recovery only when it begins, and keeps the history of what it found
/// in its WAL directory.
fn newest(server: &Server, archive: &Archive<'_>, own: Timeline) -> Result<Timeline, RestoreError> {
    let local = server.histories();
    let next = |timeline: &Timeline| timeline.get().checked_add(1).and_then(Timeline::new);
    let mut newest = own;
    for timeline in std::iter::successors(next(&own), next) {
        let is_local = local.contains(&timeline);
        if !is_local && archive.repository.find(WalFileName::TimelineHistory(timeline))?.is_empty() {
            break;
        }
        if is_local || server.recovery == Recovery::Standby {
            newest = timeline;
        }
    }
    Ok(newest)
}

/// Whether the server is on a timeline after a position. A standby's control file is behind what it has received: its own
/// copy of the segment says more.
fn is_past(server: &Server, name: SegmentName, position: Lsn, size: SegmentSize) -> bool {
    let timeline = name.timeline();
    if server.is_past(timeline, position) {
        return true;
    }
    let received = || {
        let mut own = File::open(server.own_file(name)?).ok()?;
        records_of(&mut own, name.start(size)?, size).ok()?.end_lsn()
    };
    server.recovery == Recovery::Standby
        && server.own_timeline() == Some(timeline)
        && received().is_some_and(|end| end > position)
}

fn history_of(
    server: &Server,
    archive: &Archive<'_>,
    timeline: Timeline,
) -> Result<Option<TimelineHistory>, RestoreError> {
    let local = server.history_text(timeline);
    match local.and_then(|text| TimelineHistory::parse(timeline, &text).ok()) {
        Some(history) => Ok(Some(history)),
        None => Ok(archive.repository.history(timeline, archive.expected)?),
    }
}

/// The WAL of a segment up to a fork.
pub(super) enum UpToFork {
    /// Delivered, out of this stored file; out of none if the fork is the first byte of the segment.
    Delivered(Option<WalFileName>),
    /// The server's own copy has all of it, and is left as it is.
    IsOwn,
    /// Nothing that is stored reaches the fork.
    NotReached,
}

/// Delivers the WAL of a segment up to a fork, and zeros after it, as the server that made the child began its own segment;
/// out of the first source that reaches the fork.
pub(super) fn deliver_up_to(
    request: &RestoreRequest<'_>,
    archive: &Archive<'_>,
    (name, own): (SegmentName, Option<&Path>),
    sources: &[WalFileName],
    (fork, size): (Lsn, SegmentSize),
) -> Result<UpToFork, RestoreError> {
    let start = name.start(size).unwrap_or(Lsn::ZERO);
    let keep = fork.get().saturating_sub(start.get());
    if keep == 0 {
        if own.is_some() {
            return Ok(UpToFork::IsOwn);
        }
        let mut delivery = Delivery::begin(&request.destination)?;
        zero_from(delivery.file(), 0, size).at("write", &request.destination)?;
        delivery.finish()?;
        return Ok(UpToFork::Delivered(None));
    }
    for source in sources {
        let mut delivery = Delivery::begin(&request.destination)?;
        if archive.repository.fetch(*source, archive.expected, delivery.file())?.is_none() {
            continue;
        }
        let records = records_of(delivery.file(), start, size).at("read", &request.destination)?;
        if records.end_lsn().is_none_or(|end| end >= fork) {
            zero_from(delivery.file(), keep, size).at("write", &request.destination)?;
            if let Some(mut own) = own.and_then(|path| File::open(path).ok())
                && first_difference(delivery.file(), &mut own)
                    .at("read", &request.destination)?
                    .is_none_or(|at| at >= keep)
            {
                return Ok(UpToFork::IsOwn);
            }
            delivery.finish()?;
            return Ok(UpToFork::Delivered(Some(*source)));
        }
    }
    Ok(UpToFork::NotReached)
}

fn zero_from(file: &File, keep: u64, size: SegmentSize) -> std::io::Result<()> {
    file.set_len(keep)?;
    file.set_len(size.bytes())
}

/// The timelines that leave the timeline of a segment in that segment, by stored histories; those that leave it last first.
pub(super) fn children_in(
    archive: &Archive<'_>,
    names: &[WalFileName],
    name: SegmentName,
    size: SegmentSize,
) -> Result<Vec<(Timeline, Lsn)>, RestoreError> {
    let later = names.iter().filter(|file| file.history_of().is_some_and(|other| other > name.timeline()));
    let lineage = Lineage::of(&archive.repository.histories(later.copied(), archive.expected)?);
    let mut children: Vec<(Timeline, Lsn)> = lineage
        .timelines()
        .into_iter()
        .filter_map(|child| Some((child, lineage.fork_of(child)?)))
        .filter(|(_, fork)| fork.parent == name.timeline() && is_in(fork.switch, name, size))
        .map(|(child, fork)| (child, fork.switch))
        .collect();
    children.sort_by_key(|(_, switch)| std::cmp::Reverse(*switch));
    Ok(children)
}

/// Whether a server takes the parent's segment in place of the child's, which it does in a recovery alone: a rewind needs
/// the parent's WAL to its end.
pub(super) fn concerns(server: &Server) -> bool {
    server.cluster.is_some() && server.recovery != Recovery::None
}

/// The offset of the first byte that differs in two files, or that only one of them has; `None` if they are equal.
pub(super) fn first_difference(one: &mut File, other: &mut File) -> std::io::Result<Option<u64>> {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut at = 0;
    let read = |file: &mut File, buffer: &mut [u8]| -> std::io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    };
    one.seek(SeekFrom::Start(0))?;
    other.seek(SeekFrom::Start(0))?;
    loop {
        let (a, b) = (read(one, &mut left)?, read(other, &mut right)?);
        let (chunk, against) = (left.get(..a).unwrap_or_default(), right.get(..b).unwrap_or_default());
        if let Some(differs) = chunk.iter().zip(against).position(|(a, b)| a != b) {
            return Ok(Some(at + differs as u64));
        }
        match (a, b) {
            (0, 0) => return Ok(None),
            (a, b) if a != b => return Ok(Some(at + a.min(b) as u64)),
            _ => at += a as u64,
        }
    }
}
