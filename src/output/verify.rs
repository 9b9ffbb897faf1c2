use serde_json::{Value, json};

use super::SCHEMA;
use crate::commands::facts::{Conflict, KnownGap, Status};
use crate::commands::{Comparison, Finding, Tally, VerifyReport, VerifyVerdict};
use crate::wal::{GapKind, SegmentRange, SegmentSize, TimelineCoverage, WalFileKind};

mod text;
pub use text::verify_text;

/// Says everything for machines.
#[must_use]
pub fn verify_json(report: &VerifyReport) -> Value {
    let files = report.files.iter().map(|((kind, form), tally)| {
        with(tally_json(*tally), json!({"kind": kind_key(*kind), "form": form.key()}))
    });
    let size = report.segment_size;
    json!({
        "schema": SCHEMA,
        "verdict": verdict_key(report.verdict()),
        "repository": report.repository,
        "system_identifier": report.identity.map(|identity| identity.system_identifier.to_string()),
        "segment_size_bytes": size.map(SegmentSize::bytes),
        "total": tally_json(report.total()),
        "files": files.collect::<Vec<_>>(),
        "read": tally_json(report.read),
        "from_marks": tally_json(report.from_marks),
        "vanished_files": report.vanished_files,
        "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "further_findings": report.further_findings,
        "histories": report.histories.iter().map(|timeline| timeline.get()).collect::<Vec<_>>(),
        "timelines": report.timelines.iter().map(|one| timeline_json(one, size)).collect::<Vec<_>>(),
        "known_gaps": report.known_gaps.iter().map(|gap| known_gap_json(gap, size)).collect::<Vec<_>>(),
        "orphan_digests": report.orphan_digests,
        "foreign_names": report.foreign_names,
        "foreign_count": report.foreign_count,
        "comparison": report.comparison.as_ref().map(comparison_json),
        "warnings": report.warnings,
    })
}

const fn verdict_key(verdict: VerifyVerdict) -> &'static str {
    match verdict {
        VerifyVerdict::Sound => "sound",
        VerifyVerdict::Findings => "findings",
        VerifyVerdict::CannotTell => "cannot_tell",
    }
}

const fn kind_key(kind: WalFileKind) -> &'static str {
    match kind {
        WalFileKind::TimelineHistory => "history",
        WalFileKind::Segment => "segment",
        WalFileKind::BackupHistory => "backup",
        WalFileKind::Partial => "partial",
    }
}

const fn gap_key(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Unknown => "unknown",
        GapKind::Known => "known",
        GapKind::BehindFork => "behind_fork",
    }
}

const fn status_key(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Ready) => "ready",
        Some(Status::Done) => "done",
        None => "none",
    }
}

/// The fields of two objects in one.
fn with(mut object: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (object.as_object_mut(), more) {
        fields.extend(more);
    }
    object
}

fn tally_json(tally: Tally) -> Value {
    let Tally { files, stored_bytes, original_bytes } = tally;
    json!({"files": files, "stored_bytes": stored_bytes, "original_bytes": original_bytes})
}

fn range_json(range: SegmentRange, size: Option<SegmentSize>) -> Value {
    json!({
        "from": range.first().to_string(),
        "to": range.last().to_string(),
        "segments": size.map(|size| range.count(size)),
    })
}

fn timeline_json(coverage: &TimelineCoverage, size: Option<SegmentSize>) -> Value {
    let gaps =
        coverage.gaps.iter().map(|gap| with(range_json(gap.range, size), json!({"kind": gap_key(gap.kind)})));
    json!({
        "timeline": coverage.timeline.get(),
        "first": coverage.ranges.first().map(|range| range.first().to_string()),
        "last": coverage.ranges.last().map(|range| range.last().to_string()),
        "ranges": coverage.ranges.iter().map(|range| range_json(*range, size)).collect::<Vec<_>>(),
        "gaps": gaps.collect::<Vec<_>>(),
    })
}

fn known_gap_json(gap: &KnownGap, size: Option<SegmentSize>) -> Value {
    let KnownGap { range, reason, acknowledged_at, node } = gap;
    let words = json!({"reason": reason, "acknowledged_at": acknowledged_at, "node": node});
    with(range_json(*range, size), words)
}

fn comparison_json(comparison: &Comparison) -> Value {
    let Comparison { wal_directory, same, pending, older, open } = comparison;
    json!({
        "wal_directory": wal_directory, "same": same, "pending": pending, "older": older, "open": open,
    })
}

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Damaged { file, reason } => json!({"kind": "damaged", "file": file, "reason": reason}),
        Finding::Unreadable { file, reason } => json!({"kind": "unreadable", "file": file, "reason": reason}),
        Finding::Contradiction { contradiction } => {
            let told = |fork: crate::wal::Fork| {
                json!({
                    "history": history_name(fork.told_by),
                    "parent": fork.parent.get(),
                    "switch": fork.switch.to_string(),
                })
            };
            json!({
                "kind": "contradiction",
                "timeline": contradiction.about.get(),
                "one": told(contradiction.one),
                "other": told(contradiction.other),
            })
        }
        Finding::NoHistory { timeline } => json!({"kind": "no_history", "timeline": timeline.get()}),
        Finding::NotStored { name, status } => {
            json!({"kind": "not_stored", "name": name.to_string(), "status": status_key(*status)})
        }
        Finding::OtherContent { conflict } => other_content_json(conflict),
    }
}

fn other_content_json(conflict: &Conflict) -> Value {
    json!({
        "kind": "other_content",
        "name": conflict.name.to_string(),
        "verdict": conflict.verdict(),
        "stored": {
            "file": conflict.stored.file,
            "sha256": conflict.stored.digest.to_string(),
            "bytes": conflict.stored.bytes,
            "at": conflict.stored.at,
            "node": conflict.stored.node,
        },
        "found": {
            "sha256": conflict.offered_digest.to_string(),
            "bytes": conflict.offered_bytes,
        },
    })
}

fn history_name(timeline: crate::wal::Timeline) -> String {
    crate::wal::WalFileName::TimelineHistory(timeline).to_string()
}
