use serde_json::{Map, Value, json};

use super::super::gate::{backlog_json, cluster_json, findings_json, range_json, source_json};
use super::super::{SCHEMA, retention};
use super::{KINDS, mode_word, show_time, state_key};
use crate::commands::facts::Measure;
use crate::commands::{ArchiveOverview, NodeOverview, StatusReport, TimelineOverview};
use crate::health::{ArchiverFacts, BacklogFacts, SlotFacts, Unknown};
use crate::wal::{GapKind, WalFileKind};

/// All that the screen shows, and what it has no room for.
#[must_use]
pub fn status_json(report: &StatusReport) -> Value {
    json!({
        "schema": SCHEMA,
        "verdict": report.verdict.word(),
        "looked_at": show_time(report.now),
        "node": report.node.as_ref().map(node_json),
        "repository": report.archive.as_ref().map(|archive| known(archive, archive_json)),
        "retention": report.retention.as_ref().map(retention::json),
        "findings": findings_json(&report.findings),
    })
}

/// A fact, or why it is not known.
fn known<T>(fact: &Result<T, Unknown>, told: impl Fn(&T) -> Value) -> Value {
    fact.as_ref().map_or_else(|unknown| json!({"not_known": unknown.0}), told)
}

fn node_json(node: &NodeOverview) -> Value {
    let facts = &node.facts;
    json!({
        "data_directory": node.data_directory.display().to_string(),
        "wal_directory": node.wal_directory.as_ref().map(|path| path.display().to_string()),
        "cluster": known(&facts.cluster, cluster_json),
        "queue": known(&facts.backlog, |backlog| queue_json(node, backlog)),
        "archiver": known(&facts.archiver, archiver_json),
        "slots": known(&facts.slots, |slots| slots.iter().map(slot_json).collect()),
        "repository_state": state_key(&facts.repository),
    })
}

fn queue_json(node: &NodeOverview, backlog: &BacklogFacts) -> Value {
    let mut queue = backlog_json(backlog);
    let lost: Vec<Value> = backlog.lost.iter().map(range_json).collect();
    let others: Vec<String> = backlog.lost_others.iter().map(ToString::to_string).collect();
    let pace = backlog.pace.map(|pace| json!({"files": pace.files, "seconds": pace.over.as_secs_f64()}));
    let more = [
        ("lost", json!(lost)),
        ("lost_others", json!(others)),
        ("pace", json!(pace)),
        ("drained_in_seconds", json!(node.drained_in.map(|left| left.as_secs()))),
    ];
    if let Value::Object(queue) = &mut queue {
        queue.extend(more.map(|(key, value)| (key.to_owned(), value)));
    }
    queue
}

fn archiver_json(archiver: &ArchiverFacts) -> Value {
    let set = |value: &str, source| {
        let mut told = source_json(source);
        if let Value::Object(told) = &mut told {
            told.insert("value".to_owned(), json!(value));
        }
        told
    };
    let hidden = archiver.hidden_commands.iter().map(|(value, source)| set(value, Some(source)));
    json!({
        "archive_mode": set(mode_word(archiver.mode.0), archiver.mode.1.as_ref()),
        "archive_command": set(&archiver.command.0, archiver.command.1.as_ref()),
        "archive_library": archiver.library.as_ref().map(|(value, source)| set(value, Some(source))),
        "archive_dest": archiver.dest.as_ref().map(|(value, source)| set(value, Some(source))),
        "hidden_archive_commands": hidden.collect::<Vec<_>>(),
    })
}

fn archive_json(archive: &ArchiveOverview) -> Value {
    let holdings = &archive.holdings;
    let measure = |measure: Measure| json!({"files": measure.files, "bytes": measure.bytes});
    let mut files: Map<String, Value> =
        KINDS.iter().map(|(kind, _, many)| (many.replace(' ', "_"), measure(holdings.of(*kind)))).collect();
    files.insert("digests".to_owned(), measure(holdings.digests));
    let gaps = known(&archive.known_gaps, |gaps| {
        let gap = |gap: &crate::commands::facts::KnownGap| {
            json!({
                "range": range_json(&gap.range), "reason": gap.reason,
                "acknowledged_at": gap.acknowledged_at, "node": gap.node,
            })
        };
        gaps.iter().map(gap).collect()
    });
    json!({
        "location": archive.location,
        "form": archive.charter.form,
        "adopted": archive.charter.adopted,
        "created_at": archive.charter.created_at,
        "system_identifier": archive.identity.map(|identity| identity.system_identifier.to_string()),
        "segment_bytes": archive.identity.map(|identity| identity.segment_size.bytes()),
        "files": files,
        "original_bytes": archive.original_bytes,
        "free_bytes": known(&archive.free_bytes, |free| json!(free)),
        "last_stored": holdings.newest.map(|(name, at)| json!({"name": name.to_string(), "at": show_time(at)})),
        "staged": holdings.staged,
        "set_aside": holdings.set_aside,
        "foreign_names": holdings.strangers,
        "foreign_examples": holdings.stranger_examples,
        "known_gaps": gaps,
        "unreadable_histories": archive.unreadable_histories,
        "timelines": archive.timelines.iter().map(timeline_json).collect::<Vec<_>>(),
        "backups": {
            "count": holdings.of(WalFileKind::BackupHistory).files,
            "newest_begins_in": archive.newest_backup.map(|newest| newest.to_string()),
        },
    })
}

fn timeline_json(timeline: &TimelineOverview) -> Value {
    let kind = |kind| match kind {
        GapKind::Unknown => "unknown",
        GapKind::Known => "known",
        GapKind::BehindFork => "behind_fork",
    };
    let gaps = timeline.coverage.gaps.iter();
    let gaps = gaps.map(|gap| json!({"range": range_json(&gap.range), "kind": kind(gap.kind)}));
    json!({
        "timeline": timeline.coverage.timeline.get(),
        "segments": timeline.segments,
        "ranges": timeline.coverage.ranges.iter().map(range_json).collect::<Vec<_>>(),
        "gaps": gaps.collect::<Vec<_>>(),
        "parent": timeline.fork.map(|fork| fork.parent.get()),
        "forked_at": timeline.fork.map(|fork| fork.switch.to_string()),
    })
}

fn slot_json(slot: &SlotFacts) -> Value {
    json!({
        "name": slot.name,
        "kind": if slot.is_physical { "physical" } else { "logical" },
        "restart_lsn": slot.restart_lsn.map(|lsn| lsn.to_string()),
        "held_bytes": slot.held_bytes,
        "written_at": slot.written_at.map(show_time),
        "inactive": slot.is_inactive,
        "lost": slot.lost.is_some(),
        "lost_reason": slot.lost.as_ref().and_then(|loss| loss.reason),
        "unreadable": slot.unreadable,
    })
}
