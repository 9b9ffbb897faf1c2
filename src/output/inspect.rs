//! What `inspect` found, in the words of pg_controldata and pg_replication_slots where they have some.

mod json;
#[cfg(test)]
mod tests;
mod text;

use chrono::{DateTime, Utc};

use crate::commands::Content;
use crate::commands::facts::{SlotPersistency, SlotState};

pub use json::inspect_json;
pub use text::inspect_text;

fn kind(content: &Content) -> &'static str {
    match content {
        Content::ControlFile { .. } => "control_file",
        Content::SlotState(_) => "replication_slot",
        Content::Segment(facts) if facts.is_partial() => "partial_segment",
        Content::Segment(_) => "segment",
        Content::TimelineHistory(_) => "timeline_history",
        Content::BackupLabel(label) if label.stop.is_some() => "backup_history",
        Content::BackupLabel(_) => "backup_label",
    }
}

fn slot_type(slot: &SlotState) -> &'static str {
    if slot.is_physical() { "physical" } else { "logical" }
}

fn persistency(slot: &SlotState) -> &'static str {
    match slot.persistency {
        SlotPersistency::Persistent => "persistent",
        SlotPersistency::Ephemeral => "ephemeral",
        SlotPersistency::Temporary => "temporary",
        SlotPersistency::Backup => "backup",
    }
}

/// The server's major version is not in the file.
fn reason(slot: &SlotState) -> Option<&'static str> {
    slot.invalidation_reason(None)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio is for people")]
fn ratio(content_bytes: u64, file_bytes: u64) -> Option<f64> {
    (file_bytes > 0).then(|| content_bytes as f64 / file_bytes as f64)
}

fn utc_of_seconds(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn utc_of_ns(ns: i64) -> Option<DateTime<Utc>> {
    utc_of_seconds(ns.div_euclid(1_000_000_000))
}
