use std::fmt::Write as _;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::SCHEMA;
use super::sheet::paragraph;
use crate::commands::{PruneReport, PruneTally, Standing};
use crate::retention::Pin;
use crate::wal::{SegmentName, Timeline};

/// How many pins people are shown; JSON has them all.
const MOST_SHOWN: usize = 20;

/// Says what went or would go, who holds the rest, and each timeline's part of it.
#[must_use]
pub fn prune_text(report: &PruneReport) -> String {
    let label = format!("{}: ", report.repository);
    let mut text = paragraph(&label, &label, &headline(report));
    let mut fact = |label: &str, fact: String| {
        let label = format!("  {label:<12}");
        text.push_str(&paragraph(&label, &label, &fact));
    };
    if let Some(horizon) = report.horizon.filter(|_| report.standing == Standing::Planned) {
        fact("horizon", format!("{}: nothing at or behind it goes", horizon.from()));
    }
    for (at, pin) in report.pins.iter().take(MOST_SHOWN).enumerate() {
        let label = if at == 0 { "pinned by" } else { "also by" };
        fact(label, shown(pin));
    }
    if report.pins.len() > MOST_SHOWN {
        fact("also by", format!("... and {} more", report.pins.len() - MOST_SHOWN));
    }
    for (timeline, tally) in &report.timelines {
        fact(&format!("timeline {timeline}"), timeline_line(report, tally));
    }
    if report.orphan_digests > 0 {
        let verb = if report.dry_run { "would go" } else { "went" };
        fact("digests", format!("{} of files that are gone {verb}", report.orphan_digests));
    }
    text
}

fn headline(report: &PruneReport) -> String {
    let (goes, stays) = (report.goes(), report.stays());
    match (report.standing, report.dry_run) {
        (Standing::NotYet, _) => "nothing is removed: the server does not know yet what it needs".to_owned(),
        (Standing::Empty, _) => "nothing is removed: nothing is stored".to_owned(),
        (Standing::NoPolicy, _) => {
            "nothing is removed: no policy says that anything may go (--keep-backups, --keep-days, \
             --keep-segments, --keep-size, or the oldest file that a server needs)"
                .to_owned()
        }
        (Standing::Planned, true) => {
            let bytes = HumanBytes(report.bytes.unwrap_or(0));
            format!("{goes} files would go ({bytes}), {stays} would stay; nothing was changed")
        }
        (Standing::Planned, false) => format!("{goes} files are removed, {stays} stay"),
    }
}

fn shown(pin: &Pin) -> String {
    format!("{:<12} {}", pin.from.to_string(), pin.why)
}

fn timeline_line(report: &PruneReport, tally: &PruneTally) -> String {
    let mut line = match (tally.goes, report.dry_run) {
        (0, _) => String::new(),
        (goes, true) => format!("{goes} would go{}, ", range(tally.first_gone, tally.last_gone)),
        (goes, false) => format!("{goes} went{}, ", range(tally.first_gone, tally.last_gone)),
    };
    let _ = match tally.first_kept {
        Some(first) => write!(line, "{} stay, from {first} on", tally.stays),
        None => write!(line, "{} stay", tally.stays),
    };
    line
}

fn range(first: Option<SegmentName>, last: Option<SegmentName>) -> String {
    match (first, last) {
        (Some(first), Some(last)) if first != last => format!(" ({first}..{last})"),
        (Some(first), _) => format!(" ({first})"),
        _ => String::new(),
    }
}

/// The same for machines.
#[must_use]
pub fn prune_json(report: &PruneReport) -> Value {
    let pins = report.pins.iter().map(|pin| {
        json!({"from": pin.from.to_string(), "reason": pin.why.key(), "description": pin.why.to_string()})
    });
    let timelines = report.timelines.iter().map(|(timeline, tally)| timeline_json(*timeline, tally));
    json!({
        "schema": SCHEMA,
        "repository": report.repository,
        "dry_run": report.dry_run,
        "standing": report.standing.key(),
        "segment_size_bytes": report.segment_size.map(crate::wal::SegmentSize::bytes),
        "horizon": report.horizon.map(|horizon| horizon.from().to_string()),
        "pins": pins.collect::<Vec<_>>(),
        "removed_files": report.goes(),
        "kept_files": report.stays(),
        "bytes": report.bytes,
        "orphan_digests": report.orphan_digests,
        "timelines": timelines.collect::<Vec<_>>(),
        "warnings": report.warnings,
    })
}

fn timeline_json(timeline: Timeline, tally: &PruneTally) -> Value {
    let name = |segment: Option<SegmentName>| segment.map(|segment| segment.to_string());
    json!({
        "timeline": timeline.get(),
        "removed_files": tally.goes,
        "kept_files": tally.stays,
        "bytes": tally.bytes,
        "first_removed": name(tally.first_gone),
        "last_removed": name(tally.last_gone),
        "first_kept": name(tally.first_kept),
    })
}
