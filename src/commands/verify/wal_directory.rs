//! The WAL directory of a server, held against the repository: what the server takes for archived has to be
//! there. After a failover it may not be: the segments that a standby received are `.done` on it, though the
//! dead primary never archived them.

use std::time::SystemTime;

use super::super::source::SourceFile;
use super::reading::Budget;
use super::report::{Comparison, Finding, VerifyReport};
use crate::cluster::{Cluster, ClusterError, Status, goes_on_in_child};
use crate::repository::{Identity, Offer, Packing, Repository, RepositoryError, Source};
use crate::wal::{SegmentName, SegmentNumber, WalFileName};

/// What is compared.
pub(super) struct Sides<'a> {
    pub cluster: &'a Cluster,
    pub identity: Identity,
    pub repository: &'a Repository<'a>,
    pub budget: &'a Budget<'a>,
    pub show_time: &'a dyn Fn(SystemTime) -> String,
    /// The earliest segment that is stored, whatever its timeline.
    pub oldest_stored: Option<SegmentNumber>,
}

/// Compares every finished file of the WAL directory.
pub(super) fn compare(sides: &Sides<'_>, report: &mut VerifyReport) -> Result<(), ClusterError> {
    let directory = sides.cluster.wal_directory();
    let mut comparison =
        Comparison { wal_directory: directory.display().to_string(), ..Comparison::default() };
    let backlog = sides.cluster.backlog()?;
    let segments = backlog.wal_segments();
    for name in backlog.wal_files {
        // The status comes first: `.done` is set after a file was stored.
        let status = sides.cluster.archive_status().status_of(name)?;
        match sides.judge(name, status, &segments)? {
            Judged::Gone => {}
            Judged::Open => comparison.open += 1,
            Judged::Same => comparison.same += 1,
            Judged::Pending => comparison.pending += 1,
            Judged::Older => comparison.older += 1,
            Judged::Wrong(finding) => {
                // What is damaged in the repository was found before.
                if !report.findings.contains(&finding) {
                    report.find(finding);
                }
            }
        }
    }
    report.comparison = Some(comparison);
    Ok(())
}

enum Judged {
    /// The server recycled or removed it meanwhile.
    Gone,
    Open,
    Same,
    Pending,
    Older,
    Wrong(Finding),
}

impl Sides<'_> {
    fn judge(
        &self,
        name: WalFileName,
        status: Option<Status>,
        segments: &[SegmentName],
    ) -> Result<Judged, ClusterError> {
        if let WalFileName::Segment(segment) = name
            && status.is_none()
            && !self.cluster.is_complete(segment, self.identity.segment_size)?
        {
            return Ok(Judged::Open);
        }
        let path = self.cluster.wal_directory().join(name.to_string());
        let shown = || path.display().to_string();
        let mut source = match SourceFile::open(&path) {
            Ok(source) => source,
            Err(error) if error.io().kind() == std::io::ErrorKind::NotFound => return Ok(Judged::Gone),
            Err(error) => {
                let reason = error.io().to_string();
                return Ok(Judged::Wrong(Finding::Unreadable { file: shown(), reason }));
            }
        };
        self.budget.spend(source.stamp().size);
        let offer = Offer {
            name,
            source: &mut source,
            identity: self.identity,
            level: 1,
            packing: Packing::Inline,
            show_time: self.show_time,
        };
        let compared = self.repository.compare(offer);
        if !source.is_unchanged().unwrap_or(true) {
            return Ok(Judged::Gone);
        }
        Ok(match compared {
            Ok(Some(_)) => Judged::Same,
            Ok(None) if status == Some(Status::Ready) => Judged::Pending,
            Ok(None) if name.segment().is_some_and(|segment| self.is_older(segment)) => Judged::Older,
            // Drain leaves it alone, too: stored as it is, it would be in the way of the old primary's whole one.
            Ok(None) if self.goes_on(name, segments) => Judged::Open,
            Ok(None) => Judged::Wrong(Finding::NotStored { name, status }),
            Err(RepositoryError::Conflict(conflict)) => Judged::Wrong(Finding::OtherContent { conflict }),
            Err(error) => Judged::Wrong(Finding::of(shown(), &error)),
        })
    }

    fn goes_on(&self, name: WalFileName, segments: &[SegmentName]) -> bool {
        let size = self.identity.segment_size;
        matches!(name, WalFileName::Segment(segment) if goes_on_in_child(segments, segment, size))
    }

    /// Whether the segment lies before everything that is stored: it was pruned, or the archive began later.
    fn is_older(&self, segment: SegmentName) -> bool {
        let number = segment.number(self.identity.segment_size);
        number.zip(self.oldest_stored).is_some_and(|(number, oldest)| number < oldest)
    }
}
