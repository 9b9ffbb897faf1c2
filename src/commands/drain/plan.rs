use std::collections::HashSet;

use crate::cluster::{Backlog, Cluster, ClusterError, ControlFile, goes_on_in_child};
use crate::commands::Progress;
use crate::repository::Form;
use crate::wal::{SegmentSize, WalFileKind, WalFileName};

/// One file to archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub name: WalFileName,
    /// Its place in the queue; `None` for a file that is not pending.
    pub pending_at: Option<usize>,
    /// Whether its WAL file was gone when the queue was read.
    pub is_orphan: bool,
    /// What it weighs in the progress, in bytes.
    pub bytes: u64,
}

/// What to archive, in which order: histories first, then what is pending in the server's order, then the rest.
#[derive(Debug)]
pub(super) struct Plan {
    items: Vec<Item>,
    histories: usize,
}

impl Plan {
    /// Where the stored files are given, what is finished and neither pending nor stored is planned as well.
    pub fn new(
        backlog: &Backlog,
        stored: Option<&[(WalFileName, Form)]>,
        cluster: &Cluster,
        control: &ControlFile,
    ) -> Result<Self, ClusterError> {
        let size = control.segment_size;
        let orphans: HashSet<WalFileName> = backlog.orphans.iter().copied().collect();
        let pending = backlog.pending.iter().enumerate().map(|(at, name)| {
            let is_orphan = orphans.contains(name);
            Item { name: *name, pending_at: Some(at), is_orphan, bytes: weight(*name, is_orphan, size) }
        });
        let mut items: Vec<Item> = pending.collect();
        if let Some(stored) = stored {
            let finished = |name| match name {
                WalFileName::Segment(segment) => cluster.is_complete(segment, size),
                _ => Ok(true),
            };
            for name in unarchived(backlog, stored, size) {
                if finished(name)? {
                    items.push(Item {
                        name,
                        pending_at: None,
                        is_orphan: false,
                        bytes: weight(name, false, size),
                    });
                }
            }
        }
        items.sort_by_key(|item| item.name.kind() != WalFileKind::TimelineHistory);
        let histories = items.partition_point(|item| item.name.kind() == WalFileKind::TimelineHistory);
        Ok(Self { items, histories })
    }

    /// The histories, and everything else.
    pub fn phases(&self) -> (&[Item], &[Item]) {
        self.items.split_at_checked(self.histories).unwrap_or_default()
    }

    pub fn progress(&self) -> Progress {
        Progress {
            total_files: self.items.len() as u64,
            total_bytes: self.items.iter().map(|item| item.bytes).sum(),
            ..Progress::default()
        }
    }
}

fn weight(name: WalFileName, is_orphan: bool, size: SegmentSize) -> u64 {
    if name.is_pages() && !is_orphan { size.bytes() } else { 0 }
}

/// The files of the WAL directory that are neither pending nor stored.
///
/// Left out is the segment in which a timeline ends whose child is there too: a standby marks it done as far as it
/// got, and its WAL up to the fork stands in the child's segment of the same number. Stored under its name, it
/// would be in the way of the whole one that the old primary may still have.
fn unarchived<'a>(
    backlog: &'a Backlog,
    stored: &[(WalFileName, Form)],
    size: SegmentSize,
) -> impl Iterator<Item = WalFileName> + 'a {
    let stored: HashSet<WalFileName> = stored.iter().map(|(name, _)| *name).collect();
    let pending: HashSet<WalFileName> = backlog.pending.iter().copied().collect();
    let segments = backlog.wal_segments();
    backlog.wal_files.iter().copied().filter(move |name| {
        let is_left_out =
            matches!(name, WalFileName::Segment(segment) if goes_on_in_child(&segments, *segment, size));
        !stored.contains(name) && !pending.contains(name) && !is_left_out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<WalFileName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn left(wal_files: &[&str], pending: &[&str], stored: &[&str]) -> Vec<String> {
        let backlog = Backlog { wal_files: names(wal_files), pending: names(pending), ..Backlog::default() };
        let stored: Vec<_> = names(stored).into_iter().map(|name| (name, Form::Zstd)).collect();
        let size = SegmentSize::new(16 << 20).unwrap();
        unarchived(&backlog, &stored, size).map(|name| name.to_string()).collect()
    }

    #[test]
    fn what_is_neither_pending_nor_stored_is_unarchived() {
        let [one, two, three] =
            ["000000010000000000000001", "000000010000000000000002", "000000010000000000000003"];
        assert_eq!(left(&[one, two, three], &[two], &[one]), [three]);
    }

    #[test]
    fn the_segment_in_which_a_timeline_ends_is_left_to_its_child() {
        let (last, child) = ("000000010000000000000003", "000000020000000000000003");
        assert_eq!(left(&[last, child], &[], &[]), [child]);
        // Forked at a segment's end: the child begins behind it.
        let behind = "000000020000000000000004";
        assert_eq!(left(&[last, behind], &[], &[]), [last, behind]);
    }
}
