use std::fmt::Display;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{kind, persistency, ratio, reason, slot_type, utc_of_ns, utc_of_seconds};
use crate::commands::facts::{ControlFile, Form, Invalidation, SlotState};
use crate::commands::{Content, DigestSource, Inspection, SegmentFacts, Stored};
use crate::wal::{BackupLabel, HistoryEntry, Lsn, SegmentName, TimelineHistory, server_of};

/// Says what was found, for programs.
#[must_use]
pub fn inspect_json(inspection: &Inspection) -> Value {
    let faults = inspection.faults.iter();
    let findings: Vec<_> =
        faults.map(|fault| json!({ "kind": fault.key(), "message": fault.to_string() })).collect();
    json!({
        "schema": 1,
        "kind": kind(&inspection.content),
        "path": inspection.path.to_string_lossy(),
        "file_bytes": inspection.file_bytes,
        "modified": utc_of_ns(inspection.modified_ns).map(rfc3339),
        "sound": inspection.is_sound(),
        "findings": findings,
        "stored": stored_json(&inspection.stored, inspection.file_bytes),
        "content": match &inspection.content {
            Content::ControlFile { control, redo_segment } => control_json(control, *redo_segment),
            Content::SlotState(slot) => slot_json(slot),
            Content::Segment(facts) => segment_json(facts),
            Content::TimelineHistory(history) => history_json(history),
            Content::BackupLabel(label) => label_json(label),
        },
    })
}

fn control_json(control: &ControlFile, redo_segment: Option<SegmentName>) -> Value {
    json!({
        "written_by": control.written_by,
        "control_version": control.version,
        "catalog_version": control.catalog_version,
        "system_identifier": control.system_identifier.to_string(),
        "state": control.state.to_string(),
        "time": utc_of_seconds(control.time).map(rfc3339),
        "checkpoint_lsn": text(control.checkpoint),
        "redo_lsn": text(control.redo),
        "redo_segment": redo_segment.map(text),
        "timeline": control.timeline.get(),
        "prev_timeline": control.prev_timeline.map(|timeline| timeline.get()),
        "checkpoint_time": utc_of_seconds(control.checkpoint_time).map(rfc3339),
        "min_recovery_lsn": known_lsn(control.min_recovery),
        "min_recovery_timeline": control.min_recovery_timeline.filter(|timeline| *timeline != 0),
        "backup_start_lsn": known_lsn(control.backup_start),
        "backup_end_lsn": known_lsn(control.backup_end),
        "wal_level": control.wal_level.name,
        "wal_level_number": control.wal_level.raw,
        "wal_block_bytes": control.wal_block_bytes,
        "segment_bytes": control.segment_size.bytes(),
        "data_checksum_version": control.data_checksum_version,
        "checksum_offset": control.crc_offset,
    })
}

fn slot_json(slot: &SlotState) -> Value {
    let (at, number) = match slot.invalidated {
        Some(Invalidation::At(lsn)) => (Some(lsn), None),
        Some(Invalidation::Cause(number)) => (None, Some(number)),
        None => (None, None),
    };
    json!({
        "slot_name": slot.name,
        "slot_type": slot_type(slot),
        "plugin": Some(&slot.plugin).filter(|plugin| !plugin.is_empty()),
        "database_oid": Some(slot.database).filter(|_| !slot.is_physical()),
        "persistency": persistency(slot),
        "restart_lsn": slot.restart_lsn.map(text),
        "confirmed_flush_lsn": slot.confirmed_flush.map(text),
        "invalidated": slot.invalidated.is_some(),
        "invalidation_reason": reason(slot),
        "invalidation_number": number,
        "invalidated_at_lsn": at.map(text),
        "two_phase": slot.two_phase,
        "failover": slot.failover,
        "synced": slot.synced,
        "version": slot.version,
    })
}

fn segment_json(facts: &SegmentFacts) -> Value {
    let (extent, header) = (&facts.extent, facts.extent.first());
    json!({
        "file_name": facts.name.map(text),
        "segment": facts.header_name.map(text),
        "name_agrees": facts.name_agrees(),
        "system_identifier": header.system_identifier.to_string(),
        "timeline": header.page.timeline,
        "start_lsn": text(header.page.page_address),
        "valid_end_lsn": text(extent.end()),
        "valid_pages": extent.valid_pages(),
        "pages": extent.pages(),
        "valid_pages_behind_a_hole": extent.pages_behind_a_hole(),
        "magic": format!("{:04X}", header.page.magic),
        "server": server_of(header.page.magic),
        "wal_block_bytes": header.block_bytes,
        "segment_bytes": header.segment_size.bytes(),
    })
}

fn history_json(history: &TimelineHistory) -> Value {
    let entry = |entry: &HistoryEntry| {
        json!({
            "timeline": entry.timeline.get(),
            "switch_lsn": text(entry.switch),
            "reason": entry.reason,
        })
    };
    json!({
        "timeline": history.timeline().get(),
        "entries": history.entries().iter().map(entry).collect::<Vec<_>>(),
    })
}

/// The times stay as the server wrote them: their zones are abbreviations, which do not tell the offset.
fn label_json(label: &BackupLabel) -> Value {
    json!({
        "start_lsn": text(label.start),
        "start_segment": text(label.start_segment),
        "stop_lsn": label.stop.map(|stop| text(stop.lsn)),
        "stop_segment": label.stop.map(|stop| text(stop.segment)),
        "checkpoint_lsn": text(label.checkpoint),
        "method": label.method,
        "from": label.from,
        "start_time_text": label.start_time,
        "stop_time_text": label.stop_time,
        "label": label.label,
        "start_timeline": label.start_timeline.map(|timeline| timeline.get()),
        "stop_timeline": label.stop_timeline.map(|timeline| timeline.get()),
    })
}

fn stored_json(stored: &Stored, file_bytes: u64) -> Value {
    let envelope = stored.envelope.as_ref().map(|envelope| {
        json!({
            "format": envelope.format,
            "name": envelope.name,
            "sha256": envelope.sha256,
            "content_bytes": envelope.size,
            "system_identifier": envelope.system_identifier,
            "node": envelope.node,
            "writer": envelope.writer,
            "source_modified": utc_of_ns(envelope.mtime_ns).map(rfc3339),
        })
    });
    let told_by = stored.told.as_ref().map(|told| match told.by {
        DigestSource::Envelope => "envelope",
        DigestSource::Sidecar => "sidecar",
    });
    let ratio = ratio(stored.content_bytes, file_bytes).filter(|_| stored.form != Form::Plain);
    json!({
        "form": stored.form.key(),
        "content_bytes": stored.content_bytes,
        "compression_ratio": ratio.map(|ratio| (ratio * 10.0).round() / 10.0),
        "sha256": stored.sha256.map(text),
        "told_sha256": stored.told.as_ref().map(|told| &told.sha256),
        "told_by": told_by,
        "sha256_agrees": stored.digest_agrees(),
        "envelope": envelope,
    })
}

fn text(value: impl Display) -> String {
    value.to_string()
}

/// A position; `None` for 0/0, which servers write for none.
fn known_lsn(lsn: Lsn) -> Option<String> {
    Some(lsn).filter(|lsn| *lsn != Lsn::ZERO).map(text)
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
