use std::fmt::Display;

use super::{kind, persistency, ratio, reason, slot_type, utc_of_seconds};
use crate::commands::facts::{ControlFile, Envelope, Form, Invalidation, SlotState};
use crate::commands::{Content, DigestSource, Inspection, SegmentFacts, Stored};
use crate::wal::{BackupLabel, SegmentName, TimelineHistory, server_of};

/// Says what was found, a line a fact, for people.
#[must_use]
pub fn inspect_text(inspection: &Inspection) -> String {
    let mut lines = Lines::default();
    lines.add("File", inspection.path.display());
    lines.add("Kind", kind(&inspection.content).replace('_', " "));
    for fault in &inspection.faults {
        lines.add("Finding", fault);
    }
    match &inspection.content {
        Content::ControlFile { control, redo_segment } => control_lines(&mut lines, control, *redo_segment),
        Content::SlotState(slot) => slot_lines(&mut lines, slot),
        Content::Segment(facts) => segment_lines(&mut lines, facts),
        Content::TimelineHistory(history) => history_lines(&mut lines, history),
        Content::BackupLabel(label) => label_lines(&mut lines, label),
    }
    storage_lines(&mut lines, inspection);
    lines.render()
}

fn control_lines(lines: &mut Lines, control: &ControlFile, redo_segment: Option<SegmentName>) {
    lines.add("Written by", control.written_by);
    lines.add("pg_control version number", control.version);
    lines.add("Catalog version number", control.catalog_version);
    lines.add("Database system identifier", control.system_identifier);
    lines.add("Database cluster state", control.state);
    lines.add("pg_control last modified", time_of_seconds(control.time));
    lines.add("Latest checkpoint location", control.checkpoint);
    lines.add("Latest checkpoint's REDO location", control.redo);
    lines.maybe("Latest checkpoint's REDO WAL file", redo_segment);
    lines.add("Latest checkpoint's TimeLineID", control.timeline);
    lines.maybe("Latest checkpoint's PrevTimeLineID", control.prev_timeline);
    lines.add("Time of latest checkpoint", time_of_seconds(control.checkpoint_time));
    lines.add("Minimum recovery ending location", control.min_recovery);
    lines.maybe("Min recovery ending loc's timeline", control.min_recovery_timeline);
    lines.add("Backup start location", control.backup_start);
    lines.add("Backup end location", control.backup_end);
    let level = control.wal_level;
    lines.add("wal_level setting", level.name.map_or_else(|| format!("number {}", level.raw), str::to_owned));
    lines.add("WAL block size", control.wal_block_bytes);
    lines.add("Bytes per WAL segment", control.segment_size.bytes());
    lines.maybe("Data page checksum version", control.data_checksum_version);
    lines.add("Checksum of the file itself", format!("right, at byte {}", control.crc_offset));
}

fn slot_lines(lines: &mut Lines, slot: &SlotState) {
    lines.add("Slot name", &slot.name);
    lines.add("Slot type", slot_type(slot));
    if !slot.is_physical() {
        lines.add("Plugin", &slot.plugin);
        lines.add("Database OID", slot.database);
    }
    lines.add("Persistency", persistency(slot));
    match (slot.restart_lsn, slot.invalidated) {
        (Some(lsn), _) => lines.add("Restart LSN", lsn),
        (None, Some(_)) => lines.add("Restart LSN", "none: the server gave the slot up"),
        (None, None) => lines.add("Restart LSN", "none: never reserved, or not saved yet"),
    }
    lines.maybe("Confirmed flush LSN", slot.confirmed_flush);
    if slot.invalidated.is_some() {
        lines.add("Invalidation reason", reason(slot).unwrap_or("not known"));
    }
    match slot.invalidated {
        Some(Invalidation::At(lsn)) => lines.add("Restart LSN until then", lsn),
        Some(Invalidation::Cause(number)) => lines.add("Invalidation number", number),
        None => {}
    }
    lines.add("Two-phase", yes_no(slot.two_phase));
    lines.add("Failover", yes_no(slot.failover));
    lines.add("Synced", yes_no(slot.synced));
    lines.add("Version of the file", slot.version);
}

fn segment_lines(lines: &mut Lines, facts: &SegmentFacts) {
    let (extent, header) = (&facts.extent, facts.extent.first());
    let none = || "none: the first page does not begin a segment".to_owned();
    lines.add("Segment by its first page", facts.header_name.map_or_else(none, |name| name.to_string()));
    lines.add("Agrees with the file's name", name_verdict(facts));
    lines.add("Database system identifier", header.system_identifier);
    lines.add("Timeline of the first page", header.page.timeline);
    lines.add("Begins at", header.page.page_address);
    lines.add("Valid pages end at", extent.end());
    lines.add("Valid pages", format!("{} of {}", extent.valid_pages(), extent.pages()));
    let server = server_of(header.page.magic).unwrap_or("not a known server's");
    lines.add("WAL page magic", format!("{:04X} ({server})", header.page.magic));
    lines.add("WAL block size", header.block_bytes);
    lines.add("Bytes per WAL segment", header.segment_size.bytes());
}

fn name_verdict(facts: &SegmentFacts) -> &'static str {
    let is_copy = facts.name.is_some_and(|name| name.timeline().get() != facts.extent.first().page.timeline);
    match facts.name_agrees() {
        None => "the file is not named as a segment",
        Some(false) => "no",
        Some(true) if is_copy => "yes: it begins as a copy of the parent timeline's",
        Some(true) => "yes",
    }
}

fn history_lines(lines: &mut Lines, history: &TimelineHistory) {
    lines.add("Timeline", history.timeline());
    for entry in history.entries() {
        let left = format!("left at {}: {}", entry.switch, shown(&entry.reason));
        lines.add(&format!("Ancestor {}", entry.timeline), left);
    }
}

fn label_lines(lines: &mut Lines, label: &BackupLabel) {
    lines.add("Start WAL location", format!("{} (file {})", label.start, label.start_segment));
    lines.maybe("Stop WAL location", label.stop.map(|stop| format!("{} (file {})", stop.lsn, stop.segment)));
    lines.add("Checkpoint location", label.checkpoint);
    lines.maybe("Backup method", label.method.as_deref().map(shown));
    lines.maybe("Backup from", label.from.as_deref().map(shown));
    lines.maybe("Start time", label.start_time.as_deref().map(shown));
    lines.maybe("Stop time", label.stop_time.as_deref().map(shown));
    lines.maybe("Label", label.label.as_deref().map(shown));
    lines.maybe("Start timeline", label.start_timeline);
    lines.maybe("Stop timeline", label.stop_timeline);
}

/// How it lies there. A digest of what a server writes anew all the time is of no use to people.
fn storage_lines(lines: &mut Lines, inspection: &Inspection) {
    let Stored { form, envelope, content_bytes, sha256, told } = &inspection.stored;
    lines.add("File last modified", time_of_ns(inspection.modified_ns));
    lines.add("File size", format!("{} bytes", inspection.file_bytes));
    if *form != Form::Plain {
        lines.add("Stored form", form_text(*form, envelope.as_ref()));
        lines.add("Content size", format!("{content_bytes} bytes"));
        let ratio = ratio(*content_bytes, inspection.file_bytes);
        lines.maybe("Compression ratio", ratio.map(|ratio| format!("{ratio:.1}")));
    }
    let is_archived = !matches!(inspection.content, Content::ControlFile { .. } | Content::SlotState(_));
    lines.maybe("SHA-256 of the content", sha256.filter(|_| is_archived));
    if let Some(told) = told {
        let verdict = match (inspection.stored.digest_agrees(), told.by) {
            (Some(true), DigestSource::Envelope) => "yes: the file itself tells it",
            (Some(true), DigestSource::Sidecar) => "yes: the .sha256 file beside it tells it",
            (Some(false), _) => "no",
            (None, _) => "cannot tell: the content cannot be read to its end",
        };
        lines.add("Agrees with storing time", verdict);
        if inspection.stored.digest_agrees() != Some(true) {
            lines.add("SHA-256 at storing time", shown(&told.sha256));
        }
    }
    if let Some(envelope) = envelope {
        lines.add("Stored as", shown(&envelope.name));
        lines.add("Stored by node", shown(&envelope.node));
        lines.add("Stored with", shown(&envelope.writer));
        lines.add("Source last modified", time_of_ns(envelope.mtime_ns));
    }
}

fn form_text(form: Form, envelope: Option<&Envelope>) -> String {
    match envelope {
        Some(envelope) => format!("{} ({})", envelope.format, form.key()),
        None => format!("{}, of another tool", form.key()),
    }
}

const fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// Foreign text without what would move the cursor.
fn shown(foreign: &str) -> String {
    foreign.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn time_of_seconds(seconds: i64) -> String {
    let time = utc_of_seconds(seconds).map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    time.unwrap_or_else(|| format!("{seconds} seconds since 1970"))
}

fn time_of_ns(ns: i64) -> String {
    time_of_seconds(ns.div_euclid(1_000_000_000))
}

/// Lines `key: value`, with the values below each other.
#[derive(Default)]
struct Lines {
    lines: Vec<(String, String)>,
}

impl Lines {
    const MOST_COLUMNS: usize = 80;

    fn add(&mut self, key: &str, value: impl Display) {
        self.lines.push((format!("{key}:"), value.to_string()));
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    fn render(&self) -> String {
        let keys = self.lines.iter().map(|(key, _)| key.chars().count());
        let column = keys.max().unwrap_or(0) + 2;
        let mut text = String::new();
        for (key, value) in &self.lines {
            if column + value.chars().count() <= Self::MOST_COLUMNS {
                text += format!("{key:column$}{value}").trim_end();
            } else {
                text += key;
                text += &wrapped(value, Self::MOST_COLUMNS);
            }
            text.push('\n');
        }
        text
    }
}

/// A value too long to stand behind its key: on lines of its own, broken between words where it can be.
fn wrapped(value: &str, most_columns: usize) -> String {
    const INDENT: &str = "\n    ";
    let mut text = String::new();
    let mut column = most_columns;
    for word in value.split(' ') {
        let width = word.chars().count() + 1;
        if column + width > most_columns {
            text += INDENT;
            column = INDENT.len() - 1;
        } else {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width - 1;
    }
    text
}
