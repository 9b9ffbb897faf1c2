use std::path::PathBuf;

use super::{Acknowledged, Item, Outcome, Owner};
use crate::cluster::{Cluster, Strangers};
use crate::commands::{ArchiveError, Hint};
use crate::fsx::PathError;
use crate::repository::Repository;
use crate::wal::{SegmentRange, SegmentSize, WalFileName};

/// Files and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DrainTally {
    /// How many files.
    pub files: u64,
    /// How long they are together, unpacked.
    pub bytes: u64,
}

impl DrainTally {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Files whose names follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRange {
    /// The first.
    pub first: WalFileName,
    /// The last.
    pub last: WalFileName,
    /// How many there are.
    pub files: u64,
}

/// One file that was not archived.
#[derive(Debug)]
pub struct FileFailure {
    /// The file.
    pub name: WalFileName,
    /// Why.
    pub error: ArchiveError,
}

/// What came of draining.
#[derive(Debug)]
pub struct DrainReport {
    /// The data directory.
    pub data_directory: PathBuf,
    /// The repository.
    pub repository: String,
    /// Files that were pending at the beginning.
    pub pending: u64,
    /// Of these, archived now.
    pub stored: DrainTally,
    /// Of these, stored before.
    pub already_stored: DrainTally,
    /// Of these, archived by the server itself meanwhile.
    pub by_server: u64,
    /// Of these, orphans whose files are stored, whole.
    pub stored_orphans: Vec<FileRange>,
    /// Of these, orphans whose files are nowhere.
    pub lost_orphans: Vec<FileRange>,
    /// Files that were not pending and not stored, archived now.
    pub missing_stored: DrainTally,
    /// How many files failed.
    pub failed: u64,
    /// The first failures.
    pub failures: Vec<FileFailure>,
    /// Why draining ended before everything was tried.
    pub ended: Option<ArchiveError>,
    /// Files that were not tried for that reason, or not to an end.
    pub not_tried: u64,
    /// Files that are marked done now, durably; `None` where nobody asked for marks.
    pub marked_done: Option<u64>,
    /// Why marking ended early, other than for a file that is not archived.
    pub mark_failure: Option<PathError>,
    /// What was given up.
    pub acknowledged: Option<Acknowledged>,
    /// Names in the queue that stand for no WAL file.
    pub strangers: Strangers,
    orphans: [Vec<WalFileName>; 2],
    size: SegmentSize,
}

impl DrainReport {
    /// How many failures are told.
    pub const MOST_FAILURES: usize = 20;

    pub(super) fn new(cluster: &Cluster, repository: &Repository<'_>, size: SegmentSize) -> Self {
        Self {
            data_directory: cluster.data_directory().to_path_buf(),
            repository: repository.location(),
            pending: 0,
            stored: DrainTally::default(),
            already_stored: DrainTally::default(),
            by_server: 0,
            stored_orphans: Vec::new(),
            lost_orphans: Vec::new(),
            missing_stored: DrainTally::default(),
            failed: 0,
            failures: Vec::new(),
            ended: None,
            not_tried: 0,
            marked_done: None,
            mark_failure: None,
            acknowledged: None,
            strangers: Strangers::default(),
            orphans: [Vec::new(), Vec::new()],
            size,
        }
    }

    /// Whether nothing is left to do: everything that was pending is stored, and marked where that was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.failed == 0
            && self.ended.is_none()
            && self.mark_failure.is_none()
            && self.lost_orphans.is_empty()
    }

    pub(super) fn take(&mut self, item: &Item, outcome: Outcome) {
        let [stored_orphans, lost_orphans] = &mut self.orphans;
        match (outcome, item.pending_at) {
            (Outcome::Stored(bytes), Some(_)) => self.stored.add(bytes),
            (Outcome::Stored(bytes), None) => self.missing_stored.add(bytes),
            (Outcome::AlreadyStored(bytes), Some(_)) => self.already_stored.add(bytes),
            (Outcome::GoneMeanwhile, Some(_)) => self.by_server += 1,
            // Not pending: stored by somebody meanwhile, or recycled as what the server has no more use for.
            (Outcome::AlreadyStored(_) | Outcome::GoneMeanwhile, None) => {}
            (Outcome::StoredOrphan, _) => stored_orphans.push(item.name),
            (Outcome::LostOrphan, _) => lost_orphans.push(item.name),
            (Outcome::Failed(error), _) => {
                self.failed += 1;
                if self.failures.len() < Self::MOST_FAILURES {
                    self.failures.push(FileFailure { name: item.name, error });
                }
            }
            (Outcome::Ended(error), _) => {
                self.not_tried += 1;
                self.ended.get_or_insert(error);
            }
        }
    }

    pub(super) fn finish(&mut self) {
        let [stored_orphans, lost_orphans] = std::mem::take(&mut self.orphans);
        self.stored_orphans = ranges(stored_orphans, self.size);
        self.lost_orphans = ranges(lost_orphans, self.size);
        self.failures.sort_by_key(|failure| failure.name.archive_order());
    }
}

/// Names as ranges; only segments follow each other.
fn ranges(mut names: Vec<WalFileName>, size: SegmentSize) -> Vec<FileRange> {
    names.sort_unstable_by_key(|name| name.archive_order());
    let mut ranges: Vec<FileRange> = Vec::new();
    for name in names {
        match ranges.last_mut().filter(|range| follows(range.last, name, size)) {
            Some(range) => {
                range.last = name;
                range.files += 1;
            }
            None => ranges.push(FileRange { first: name, last: name, files: 1 }),
        }
    }
    ranges
}

fn follows(name: WalFileName, next: WalFileName, size: SegmentSize) -> bool {
    let (WalFileName::Segment(name), WalFileName::Segment(next)) = (name, next) else { return false };
    let after = name.number(size).and_then(|number| number.next());
    name.timeline() == next.timeline() && after.is_some() && after == next.number(size)
}

/// Why draining was not begun.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Something that every file needs is not there.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A live archiver works on the queue.
    #[error("{}", owned(.0))]
    Owned(Owner),
    /// A segment that is to be given up can still be archived.
    #[error("{range} is not lost: '{name}' is in the WAL directory")]
    StillThere {
        /// What was to be given up.
        range: SegmentRange,
        /// What is there of it.
        name: WalFileName,
    },
    /// A segment that is to be given up is stored.
    #[error("{range} is not lost: '{name}' is stored in the repository")]
    IsStored {
        /// What was to be given up.
        range: SegmentRange,
        /// What is stored of it.
        name: WalFileName,
    },
    /// The range ends behind all that the server wrote.
    #[error("{range} is not lost: no WAL file of this data directory is as new as its end")]
    NeverWritten {
        /// What was to be given up.
        range: SegmentRange,
    },
    /// The orphans could not be cleared.
    #[error("the gap is recorded, and its orphans could not be cleared")]
    Marks(#[source] PathError),
}

fn owned(owner: &Owner) -> String {
    let Owner { pid, archives_with } = owner;
    match archives_with {
        Some(with) => {
            format!("the server runs as process {pid}, and archives with '{}'", with.escape_debug())
        }
        None => format!(
            "the server runs as process {pid}, and its configuration does not say for certain whether it archives"
        ),
    }
}

impl Hint for DrainError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Archive(error) => return error.hint(),
            Self::Owned(_) => {
                "Without --mark-done everything is archived all the same, and the server marks its files itself. \
                 Where its command is known to archive nothing, --force marks them."
            }
            Self::StillThere { .. } => "Archive it: 'walkeep drain' does; then name what is left.",
            Self::IsStored { .. } => "Name only what is gone; 'walkeep drain' tells which files are.",
            Self::NeverWritten { .. } => "Are the names right? 'walkeep drain' tells which files are gone.",
            Self::Marks(_) => "The same command completes it.",
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_that_follow_each_other_are_one_range() {
        let names = [
            "000000010000000000000001",
            "000000010000000000000002",
            "000000010000000000000002.00000028.backup",
            "0000000100000000000000FF",
            "000000010000000100000000",
            "000000020000000100000001",
            "00000002.history",
        ];
        let size = SegmentSize::new(16 << 20).unwrap();
        let ranges = ranges(names.iter().map(|name| name.parse().unwrap()).collect(), size);
        let shown: Vec<String> =
            ranges.iter().map(|range| format!("{} {} {}", range.first, range.last, range.files)).collect();
        assert_eq!(
            shown,
            [
                "00000002.history 00000002.history 1",
                "000000010000000000000001 000000010000000000000002 2",
                "000000010000000000000002.00000028.backup 000000010000000000000002.00000028.backup 1",
                "0000000100000000000000FF 000000010000000100000000 2",
                "000000020000000100000001 000000020000000100000001 1",
            ]
        );
    }
}
