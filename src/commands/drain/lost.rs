use super::DrainError;
use crate::cluster::{Backlog, Cluster, ControlFile, Status};
use crate::fsx::{rename_mark, sync_dir};
use crate::repository::{Origin, Repository};
use crate::wal::{SegmentNumber, SegmentRange, SegmentSize, WalFileName};

/// Segments that a person gave up, and what that did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The segments.
    pub range: SegmentRange,
    /// How many there are.
    pub segments: u64,
    /// How many orphans do not hold up the queue any more.
    pub orphans_cleared: u64,
}

/// Records a gap, durably, and then clears the orphans in it.
///
/// A live archiver is no reason to refuse: one that trips over an orphan for ever is what this ends, and an orphan
/// has nothing that it could archive.
pub(super) fn acknowledge(
    range: SegmentRange,
    reason: &str,
    cluster: &Cluster,
    control: &ControlFile,
    repository: &Repository<'_>,
    origin: &Origin,
) -> Result<Acknowledged, DrainError> {
    let backlog = cluster.backlog()?;
    if let Some(name) = first_in(range, backlog.wal_files.iter().copied()) {
        return Err(DrainError::StillThere { range, name });
    }
    if let Some(name) = first_in(range, repository.list()?.into_iter().map(|(name, _)| name)) {
        return Err(DrainError::IsStored { range, name });
    }
    if !is_written(range, &backlog, control.segment_size) {
        return Err(DrainError::NeverWritten { range });
    }
    repository.acknowledge_lost(range.first(), range.last(), reason, origin)?;
    let status = cluster.archive_status();
    let mut orphans_cleared = 0;
    for name in backlog.orphans.iter().filter(|name| is_in(range, **name)) {
        if cluster.has_wal_file(*name)? {
            continue;
        }
        let path = |to| status.path_of(*name, to);
        let cleared = rename_mark(&path(Status::Ready), &path(Status::Done)).map_err(DrainError::Marks)?;
        orphans_cleared += u64::from(cleared);
    }
    if orphans_cleared > 0 {
        sync_dir(status.directory()).map_err(DrainError::Marks)?;
    }
    Ok(Acknowledged { range, segments: range.count(control.segment_size), orphans_cleared })
}

fn is_in(range: SegmentRange, name: WalFileName) -> bool {
    name.segment().is_some_and(|segment| range.first() <= segment && segment <= range.last())
}

fn first_in(range: SegmentRange, names: impl Iterator<Item = WalFileName>) -> Option<WalFileName> {
    names.filter(|name| matches!(name, WalFileName::Segment(_))).find(|name| is_in(range, *name))
}

/// Whether the server got as far as the end of the range: a slip of the finger must not give up what is still to
/// be written.
fn is_written(range: SegmentRange, backlog: &Backlog, size: SegmentSize) -> bool {
    let known = [&backlog.wal_files, &backlog.pending, &backlog.done].into_iter().flatten();
    let number = |name: &WalFileName| name.segment()?.number(size);
    let last: Option<SegmentNumber> = known.filter_map(number).max();
    range.last().number(size).is_some_and(|end| last.is_some_and(|last| end <= last))
}
