//! What verify found, as values.

use std::collections::BTreeMap;

use crate::cluster::Status;
use crate::repository::{Conflict, Form, Identity, KnownGap, RepositoryError};
use crate::storage::StoreError;
use crate::wal::{
    Contradiction, GapKind, SegmentRange, SegmentSize, Timeline, TimelineCoverage, WalFileKind, WalFileName,
};

/// What the whole comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerifyVerdict {
    /// Everything is there, and sound.
    Sound,
    /// Something is damaged or missing.
    Findings,
    /// Nothing that was read is wrong, but not all could be read.
    CannotTell,
}

/// Some files, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many stored files.
    pub files: u64,
    /// Their length as they are stored, in bytes.
    pub stored_bytes: u64,
    /// The length of the WAL files that they hold, in bytes; what is damaged counts for nothing.
    pub original_bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, stored_bytes: u64, original_bytes: u64) {
        self.files += 1;
        self.stored_bytes += stored_bytes;
        self.original_bytes += original_bytes;
    }
}

/// One thing that is wrong, or could not be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// A stored file is not what it says it is.
    Damaged {
        /// Where it lies.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something could not be read: nobody can tell whether it is sound.
    Unreadable {
        /// What it is.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// Two stored histories cannot both be true.
    Contradiction {
        /// What they say.
        contradiction: Contradiction,
    },
    /// Segments of a timeline are stored, and not its history.
    NoHistory {
        /// The timeline.
        timeline: Timeline,
    },
    /// The server has a finished file that it will not archive any more, and the repository does not have it.
    NotStored {
        /// The file.
        name: WalFileName,
        /// What its status file says; `None` where it has none.
        status: Option<Status>,
    },
    /// The server has a file that is stored with other content.
    OtherContent {
        /// Both.
        conflict: Box<Conflict>,
    },
}

impl Finding {
    pub(super) fn of(file: String, error: &RepositoryError) -> Self {
        match error {
            RepositoryError::Damaged { file, reason } | RepositoryError::DamagedState { file, reason } => {
                Self::Damaged { file: file.clone(), reason: reason.clone() }
            }
            RepositoryError::Store(StoreError::NotAnObject(_)) => {
                Self::Damaged { file, reason: "it is not a regular file".to_owned() }
            }
            error => {
                let chain = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
                let reason = chain.map(ToString::to_string).collect::<Vec<_>>();
                let mut reason = reason;
                reason.dedup();
                Self::Unreadable { file, reason: reason.join(": ") }
            }
        }
    }

    /// Whether it says that something is wrong, and not only that it could not be told.
    #[must_use]
    pub const fn is_wrong(&self) -> bool {
        !matches!(self, Self::Unreadable { .. })
    }
}

/// A comparison with a WAL directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// The WAL directory.
    pub wal_directory: String,
    /// Finished files there that are stored with the same WAL.
    pub same: u64,
    /// Files there that wait to be archived.
    pub pending: u64,
    /// Files there that are not stored, and older than anything that is.
    pub older: u64,
    /// Segments there that are not finished yet.
    pub open: u64,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VerifyReport {
    /// Where the repository lies.
    pub repository: String,
    /// The cluster that it belongs to; `None` while nobody has archived into it.
    pub identity: Option<Identity>,
    /// The length of its segments, where anything tells.
    pub segment_size: Option<SegmentSize>,
    /// The stored files by kind and form.
    pub files: BTreeMap<(WalFileKind, Form), Tally>,
    /// The files that were read now.
    pub read: Tally,
    /// The files that were read before and are untouched since.
    pub from_marks: Tally,
    /// Files that went away meanwhile: pruned, or set aside.
    pub vanished_files: u64,
    /// What is wrong, or could not be told: the first ones.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub further_findings: u64,
    /// Whether any of all of them says that something is wrong.
    pub any_wrong: bool,
    /// The timelines whose histories are stored and make sense.
    pub histories: Vec<Timeline>,
    /// What is there and what is missing of each timeline.
    pub timelines: Vec<TimelineCoverage>,
    /// The ranges that people acknowledged as lost.
    pub known_gaps: Vec<KnownGap>,
    /// Digests that lie beside no file.
    pub orphan_digests: Vec<String>,
    /// Names that are not ours: the first ones.
    pub foreign_names: Vec<String>,
    /// How many there are.
    pub foreign_count: u64,
    /// What the WAL directory has, where one was named.
    pub comparison: Option<Comparison>,
    /// What is not as it should be and harms nothing.
    pub warnings: Vec<String>,
}

impl VerifyReport {
    /// How many findings are kept: a repository that is wrecked must not fill the memory.
    const MOST_FINDINGS: usize = 10_000;

    pub(super) fn find(&mut self, finding: Finding) {
        self.any_wrong |= finding.is_wrong();
        if self.findings.len() < Self::MOST_FINDINGS {
            self.findings.push(finding);
        } else {
            self.further_findings += 1;
        }
    }

    /// Where no cluster tells the length of segments, the first sound one does.
    pub(super) fn learn_segment_size(&mut self, name: WalFileName, bytes: u64) {
        if name.is_pages() && self.segment_size.is_none() {
            self.segment_size = SegmentSize::new(bytes);
        }
    }

    /// The missing ranges of a kind.
    pub fn gaps(&self, kind: GapKind) -> impl Iterator<Item = SegmentRange> + '_ {
        let gaps = self.timelines.iter().flat_map(|timeline| &timeline.gaps);
        gaps.filter(move |gap| gap.kind == kind).map(|gap| gap.range)
    }

    /// All stored files.
    #[must_use]
    pub fn total(&self) -> Tally {
        self.files.values().fold(Tally::default(), |sum, tally| Tally {
            files: sum.files + tally.files,
            stored_bytes: sum.stored_bytes + tally.stored_bytes,
            original_bytes: sum.original_bytes + tally.original_bytes,
        })
    }

    /// What the whole comes to.
    #[must_use]
    pub fn verdict(&self) -> VerifyVerdict {
        if self.any_wrong || self.gaps(GapKind::Unknown).next().is_some() {
            VerifyVerdict::Findings
        } else if self.findings.is_empty() {
            VerifyVerdict::Sound
        } else {
            VerifyVerdict::CannotTell
        }
    }
}
