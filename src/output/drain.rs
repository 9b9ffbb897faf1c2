use indicatif::BinaryBytes;
use serde_json::{Value, json};

use super::sheet::paragraph;
use super::{Failure, SCHEMA};
use crate::commands::{Acknowledged, DrainReport, DrainTally, FileRange, Hint};

/// Says what was archived, what was not and why, and what to do next.
#[must_use]
pub fn drain_text(report: &DrainReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, what: String| {
        let label = format!("  {name:<22}");
        text.push_str(&paragraph(&label, &label, &what));
    };
    if report.missing_stored.files > 0 {
        line("missing, archived now", tally(report.missing_stored));
    }
    line("archived now", tally(report.stored));
    if report.already_stored.files > 0 {
        line("stored already", tally(report.already_stored));
    }
    if report.by_server > 0 {
        line("archived by the server", files(report.by_server));
    }
    for range in &report.stored_orphans {
        line("orphans, stored", shown(range));
    }
    for range in &report.lost_orphans {
        line("orphans, LOST", shown(range));
    }
    if let Some(Acknowledged { range, segments, orphans_cleared }) = &report.acknowledged {
        let cleared = format!("{range}, {segments} segments, {orphans_cleared} orphans cleared");
        line("acknowledged as lost", cleared);
    }
    if report.failed > 0 {
        line("failed", files(report.failed));
    }
    if report.not_tried > 0 {
        line("not tried", files(report.not_tried));
    }
    if let Some(marked) = report.marked_done {
        line("marked done", files(marked));
    }
    if report.strangers.count > 0 {
        let examples: Vec<String> =
            report.strangers.examples.iter().map(|name| format!("'{name}'")).collect();
        line("not WAL files", format!("{}: {}", report.strangers.count, examples.join(", ")));
    }
    for failure in failures(report) {
        text.push('\n');
        text.push_str(&failure);
    }
    let next = next_steps(report);
    if !next.is_empty() {
        text.push('\n');
    }
    for step in next {
        text.push_str(&paragraph("next: ", "next: ", &step));
    }
    let (data, repository) = (report.data_directory.display(), &report.repository);
    let head = match (report.is_done(), report.pending) {
        (true, 0) => format!("Nothing is pending in {data}."),
        (true, _) => format!("Everything that was pending in {data} is in {repository}."),
        (false, pending) => {
            format!("Not everything of {} pending in {data} is in {repository}.", files(pending))
        }
    };
    format!("{head}\n{text}")
}

fn failures(report: &DrainReport) -> Vec<String> {
    let told = report.failures.iter().map(|failure| {
        let what = format!("cannot archive '{}'", failure.name);
        lines(&Failure::new(what, &failure.error, failure.error.hint()))
    });
    let ended = report
        .ended
        .iter()
        .map(|error| lines(&Failure::new("cannot archive anything more".to_owned(), error, error.hint())));
    let marks = report
        .mark_failure
        .iter()
        .map(|error| lines(&Failure::new("cannot mark what is archived as done".to_owned(), error, None)));
    told.chain(ended).chain(marks).collect()
}

fn lines(failure: &Failure) -> String {
    failure.render("error", super::LogFormat::Text)
}

/// What a person has to do now.
fn next_steps(report: &DrainReport) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(range) = report.lost_orphans.first() {
        steps.push(format!(
            "look for the lost files ({}) on a standby or in another archive, and put them back into the WAL \
             directory; where they are nowhere, 'walkeep drain --acknowledge-lost {}..{} --reason TEXT' records \
             the gap, and a new base backup is due",
            shown(range), range.first, range.last
        ));
    }
    if report.acknowledged.is_some() {
        steps.push("take a new base backup now: no recovery gets past the gap from an older one".to_owned());
    }
    if report.failed > 0 || report.ended.is_some() || report.mark_failure.is_some() {
        steps.push("mend what failed and call this again; what is archived stays archived".to_owned());
    }
    if report.is_done() && report.marked_done.is_none() && report.pending > report.by_server {
        steps.push(
            "the server still has to mark these files: it does once its archive_command works ('walkeep archive \
             %p' finds them stored), or call this with --mark-done"
                .to_owned(),
        );
    }
    steps
}

/// The same for machines.
#[must_use]
pub fn drain_json(report: &DrainReport) -> Value {
    let failures: Vec<Value> = report
        .failures
        .iter()
        .map(|failure| failure_json(&failure.error, failure.error.hint(), &failure.name.to_string()))
        .collect();
    json!({
        "schema": SCHEMA,
        "done": report.is_done(),
        "data_directory": report.data_directory.to_string_lossy(),
        "repository": report.repository,
        "pending_files": report.pending,
        "stored": tally_json(report.stored),
        "already_stored": tally_json(report.already_stored),
        "missing_stored": tally_json(report.missing_stored),
        "archived_by_server_files": report.by_server,
        "stored_orphans": report.stored_orphans.iter().map(range_json).collect::<Vec<_>>(),
        "lost_orphans": report.lost_orphans.iter().map(range_json).collect::<Vec<_>>(),
        "failed_files": report.failed,
        "failures": failures,
        "ended": report.ended.as_ref().map(|error| failure_json(error, error.hint(), "")),
        "not_tried_files": report.not_tried,
        "marked_done_files": report.marked_done,
        "mark_failure": report.mark_failure.as_ref().map(|error| failure_json(error, None, "")),
        "acknowledged_lost": report.acknowledged.map(|Acknowledged { range, segments, orphans_cleared }| json!({
            "first": range.first().to_string(),
            "last": range.last().to_string(),
            "segments": segments,
            "orphans_cleared": orphans_cleared,
        })),
        "base_backup_due": report.acknowledged.is_some(),
        "strangers": {"count": report.strangers.count, "examples": report.strangers.examples},
        "next": next_steps(report),
    })
}

fn failure_json(error: &dyn std::error::Error, hint: Option<String>, name: &str) -> Value {
    let Failure { causes, hint, .. } = Failure::new(String::new(), error, hint);
    json!({"name": Some(name).filter(|name| !name.is_empty()), "causes": causes, "hint": hint})
}

fn tally_json(tally: DrainTally) -> Value {
    json!({"files": tally.files, "bytes": tally.bytes})
}

fn range_json(range: &FileRange) -> Value {
    json!({"first": range.first.to_string(), "last": range.last.to_string(), "files": range.files})
}

fn tally(tally: DrainTally) -> String {
    format!("{}, {}", files(tally.files), BinaryBytes(tally.bytes))
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn shown(range: &FileRange) -> String {
    if range.first == range.last {
        return range.first.to_string();
    }
    format!("{}..{}, {}", range.first, range.last, files(range.files))
}
