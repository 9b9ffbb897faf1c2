use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::cluster::Cluster;
use crate::wal::{Lsn, RecordWalk, SegmentName, SegmentRecords, SegmentSize, TimelineHistory};

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

/// Whether a segment in which its timeline begins holds no WAL of that timeline: what a server begins it with, and what
/// `restore` makes of the parent until the real one is stored. A standby with archive_mode=always offers that.
pub(super) fn has_only_parents_wal(
    cluster: &Cluster,
    path: &Path,
    name: SegmentName,
    size: SegmentSize,
) -> bool {
    let check = || -> Option<bool> {
        let history =
            TimelineHistory::parse(name.timeline(), &cluster.history_text(name.timeline())?).ok()?;
        let fork = history.entries().last()?.switch;
        if !is_in(fork, name, size) {
            return Some(false);
        }
        let start = name.start(size)?;
        let mut file = File::open(path).ok()?;
        if fork == start {
            return is_zero(&mut file, size).ok();
        }
        Some(records_of(&mut file, start, size).ok()?.end_lsn()? == fork)
    };
    check().unwrap_or(false)
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
