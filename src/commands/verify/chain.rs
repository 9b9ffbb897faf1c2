//! What the stored names and histories say together: gaps, and the chain of timelines.

use std::collections::BTreeSet;

use super::report::{Finding, VerifyReport};
use crate::repository::{Expected, Form, Inventory, Repository, RepositoryError};
use crate::wal::{
    Coverage, GapKind, SegmentRange, Timeline, TimelineCoverage, TimelineHistory, WalFileName,
    newest_backup_start,
};

/// Judges the timelines by a fresh listing: what was archived or pruned meanwhile is seen as it is now.
pub(super) fn judge(
    repository: &Repository<'_>,
    expected: Expected,
    report: &mut VerifyReport,
) -> Result<(), RepositoryError> {
    let mut seen = Seen::of(repository, expected, report)?;
    // A listing is no moment: a name that came while it was made may be missing in it, and a later one not.
    if seen.has_unknown_gap() {
        seen = Seen::of(repository, expected, report)?;
    }
    report.histories = seen.histories.iter().map(TimelineHistory::timeline).collect();
    report.timelines = seen.timelines;
    for finding in seen.findings {
        // The file itself was read before.
        if !report.findings.contains(&finding) {
            report.find(finding);
        }
    }
    report.warnings.extend(seen.warnings);
    Ok(())
}

/// What one listing shows.
#[derive(Default)]
struct Seen {
    histories: Vec<TimelineHistory>,
    timelines: Vec<TimelineCoverage>,
    findings: Vec<Finding>,
    warnings: Vec<String>,
}

impl Seen {
    fn of(
        repository: &Repository<'_>,
        expected: Expected,
        report: &VerifyReport,
    ) -> Result<Self, RepositoryError> {
        let inventory = repository.inventory()?;
        let mut seen = Self::default();
        seen.read_histories(repository, &inventory, expected);
        seen.miss_histories(&inventory);
        let segments = inventory.files.iter().filter_map(|(name, _)| match name {
            WalFileName::Segment(segment) => Some(*segment),
            _ => None,
        });
        let Some(size) = report.segment_size else {
            if segments.count() > 0 {
                let reason = "the length of its segments is not known, and gaps cannot be told".to_owned();
                seen.findings.push(Finding::Unreadable { file: report.repository.clone(), reason });
            }
            return Ok(seen);
        };
        let lost: Vec<SegmentRange> = report.known_gaps.iter().map(|gap| gap.range).collect();
        let newest_backup = newest_backup_start(inventory.files.iter().map(|(name, _)| *name));
        let coverage = Coverage::new(segments, size, &seen.histories, &lost, newest_backup);
        let contradictions = coverage.lineage().contradictions().iter();
        seen.findings.extend(contradictions.map(|found| Finding::Contradiction { contradiction: *found }));
        seen.timelines = coverage.timelines();
        Ok(seen)
    }

    fn has_unknown_gap(&self) -> bool {
        self.timelines.iter().flat_map(|timeline| &timeline.gaps).any(|gap| gap.kind == GapKind::Unknown)
    }

    fn read_histories(&mut self, repository: &Repository<'_>, inventory: &Inventory, expected: Expected) {
        let mut names: Vec<WalFileName> = inventory.files.iter().map(|(name, _)| *name).collect();
        names.dedup();
        for timeline in names.into_iter().filter_map(WalFileName::history_of) {
            match repository.history(timeline, expected) {
                Ok(history) => self.histories.extend(history),
                Err(error) => {
                    let name = WalFileName::TimelineHistory(timeline);
                    self.findings.push(Finding::of(repository.locate(name, Form::Plain), &error));
                }
            }
        }
    }

    /// A timeline without its history: a recovery cannot come there from its parent. Only the first timeline
    /// has none; and of the one that the archive began on it may have been gone already.
    fn miss_histories(&mut self, inventory: &Inventory) {
        let mut with_pages = BTreeSet::new();
        let mut with_history = BTreeSet::new();
        for (name, _) in &inventory.files {
            match name {
                WalFileName::TimelineHistory(timeline) => drop(with_history.insert(*timeline)),
                name if name.is_pages() => drop(with_pages.insert(name.timeline())),
                _ => {}
            }
        }
        let began_on = with_pages.first().copied();
        for timeline in with_pages.difference(&with_history).filter(|timeline| **timeline != Timeline::FIRST)
        {
            if Some(*timeline) == began_on {
                self.warnings.push(format!(
                    "the archive begins on timeline {timeline} and does not have its history; a recovery that \
                     begins on an earlier timeline cannot come there"
                ));
            } else {
                self.findings.push(Finding::NoHistory { timeline: *timeline });
            }
        }
    }
}
