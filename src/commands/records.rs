use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::cluster::Cluster;
use crate::wal::{Lsn, RecordWalk, SegmentName, SegmentRecords, SegmentSize, Tail, TimelineHistory, WalEnd};

/// Walks over the records of a segment from the beginning of a file.
pub(super) fn records_of(file: &mut File, start: Lsn, size: SegmentSize) -> std::io::Result<SegmentRecords> {
    let mut walk = RecordWalk::new(start, size);
    let mut buffer = vec![0; 1 << 16];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(walk.finish()),
            read => walk.take(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Whether a position is in a segment; its first byte is, its end is not.
pub(super) fn is_in(position: Lsn, name: SegmentName, size: SegmentSize) -> bool {
    let start = name.start(size).map(Lsn::get);
    start.is_some_and(|start| (start..start.saturating_add(size.bytes())).contains(&position.get()))
}

/// What a segment holds, if its timeline begins in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FirstSegment {
    /// No WAL of that timeline: what a server begins it with, and what `restore` makes of the parent until the real one is
    /// stored. A standby with archive_mode=always offers that.
    OnlyParents,
    /// WAL of that timeline that ends early: the server may still be writing it.
    Open,
    /// A whole segment, or WAL that cannot be followed.
    Other,
}

/// What the first segment of a timeline holds; `None` for every other segment, and if the history is not at hand.
pub(super) fn first_segment(
    cluster: &Cluster,
    path: &Path,
    name: SegmentName,
    size: SegmentSize,
) -> Option<FirstSegment> {
    let history = TimelineHistory::parse(name.timeline(), &cluster.history_text(name.timeline())?).ok()?;
    let fork = history.entries().last()?.switch;
    let start = name.start(size).filter(|_| is_in(fork, name, size))?;
    let mut file = File::open(path).ok()?;
    if fork == start && is_zero(&mut file, size).ok()? {
        return Some(FirstSegment::OnlyParents);
    }
    // What follows the fork and is no record may be one that is damaged.
    Some(match records_of(&mut file, start, size).ok()?.end {
        WalEnd::Ends { at, followed_by: Tail::Zeros } if at == fork => FirstSegment::OnlyParents,
        WalEnd::Ends { .. } => FirstSegment::Open,
        WalEnd::Whole | WalEnd::Switched { .. } | WalEnd::Unknown => FirstSegment::Other,
    })
}

fn is_zero(file: &mut File, size: SegmentSize) -> std::io::Result<bool> {
    let mut buffer = vec![0; 1 << 16];
    let mut seen = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(seen == size.bytes()),
            read if buffer.iter().take(read).all(|byte| *byte == 0) => seen += read as u64,
            _ => return Ok(false),
        }
    }
}
