use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::SCHEMA;
use super::doctor::{edit_json, place_text};
use super::sheet::Sheet;
use crate::commands::facts::{Form, StoredForm};
use crate::commands::{InitReport, ServerLines};
use crate::health::{Edit, Effect, Place};
use crate::wal::{SegmentRange, TimelineCoverage};

/// The config file that every verb reads where no other is named.
const FOUND_BY_ITSELF: &str = "/etc/walkeep/walkeep.toml";

/// The lines that a server's configuration needs, as far as its product tells.
struct GeneralLines {
    /// Where they belong.
    file: &'static str,
    lines: Vec<String>,
}

/// Says what the repository is now, and what to write into the server's configuration.
#[must_use]
pub fn init_text(report: &InitReport, program: &Path) -> String {
    let directory = report.directory.display();
    let verb = match (report.was_one, report.adopted.is_empty()) {
        (true, _) => "is a repository already",
        (false, true) => "is a repository now",
        (false, false) => "is adopted as a repository",
    };
    let mut text = format!("{directory} {verb}.\n");
    let mut sheet = Sheet::default();
    for (what, told) in facts(report) {
        sheet.section(what, [told]);
    }
    text.push_str(&sheet.into_text());
    text.push_str(&match &report.server {
        Some(server) => wiring_text(server, report),
        None => general_text(report, program),
    });
    text
}

/// What it is, line by line.
fn facts(report: &InitReport) -> Vec<(&'static str, String)> {
    let mut facts = vec![("stored as", stored_as(report.form).to_owned())];
    let bound = report.identity.map_or_else(
        || "nobody yet; the first archived segment binds it".to_owned(),
        |identity| {
            format!("system identifier {}, segments of {}", identity.system_identifier, identity.segment_size)
        },
    );
    facts.push(("bound to", bound));
    facts
        .extend(report.adopted.iter().map(|(form, count)| ("found", format!("{count} {}", found_as(*form)))));
    facts.extend(report.timelines.iter().map(|held| ("timeline", timeline(held))));
    if report.base_backups > 0 {
        facts.push(("backups", format!("{} base backups, by their .backup files", report.base_backups)));
    }
    let digests = &report.digests;
    if digests.written > 0 {
        facts.push(("digests", format!("written for {} plain files", digests.written)));
    }
    if digests.left_out > 0 {
        let left_out = format!("left out for {} plain files; the next init writes them", digests.left_out);
        facts.push(("digests", left_out));
    }
    if let Some((name, reason)) = digests.not_whole.first() {
        let count = digests.not_whole.len();
        let told = format!("{count} files are not whole, and have none; the first is {name}: {reason}");
        facts.push(("not whole", told));
    }
    let foreign = report.foreign_names.iter().take(5);
    facts.extend(foreign.map(|name| ("left alone", format!("'{name}': not a WAL file"))));
    if report.made_by_superuser && !report.was_one {
        facts.push(("warning", "made by root: only root can archive into it".to_owned()));
    }
    facts.extend(report.config.iter().map(|path| ("config file", format!("{} is written", path.display()))));
    facts
}

/// From where to where a timeline is there, and how much of it is not.
fn timeline(held: &TimelineCoverage) -> String {
    let ends = held.ranges.first().zip(held.ranges.last());
    let range = ends.and_then(|(first, last)| SegmentRange::new(first.first(), last.last()));
    let range = range.map(|range| range.to_string()).unwrap_or_default();
    match held.gaps.len() {
        0 => format!("{}: {range}", held.timeline),
        1 => format!("{}: {range}, with a gap; 'walkeep verify' names it", held.timeline),
        gaps => format!("{}: {range}, with {gaps} gaps; 'walkeep verify' names them", held.timeline),
    }
}

/// The lines where nobody named a data directory.
fn general_text(report: &InitReport, program: &Path) -> String {
    let server = server_lines(report, program);
    let mut text = format!("\nIn {}:\n", server.file);
    for setting in &server.lines {
        let _ = writeln!(text, "  {setting}");
    }
    text.push_str("\nArchiving needs archive_mode = on, which takes effect when the server starts.\n");
    text.push_str("For recovery, and on a standby, restore_command goes where recovery settings go.\n");
    text
}

/// The lines for the very server of the data directory.
fn wiring_text(server: &ServerLines, report: &InitReport) -> String {
    let mut text = format!("\nThe server is {}. ", server.product);
    if let Some(reason) = &server.unknown {
        let _ = writeln!(text, "What it is told is not known:\n  {reason}");
        return text + "Mend that first; 'walkeep doctor' then says which lines to write.\n";
    }
    let is_one_file = !server.has_recovery_file;
    let restoring = server.restoring.iter();
    let now: Vec<&Edit> = server.archiving.iter().chain(restoring.clone().filter(|_| is_one_file)).collect();
    if now.is_empty() {
        text.push_str("It archives into this repository already.\n");
    } else {
        text.push_str("Nothing of it was changed; write\n");
        text.push_str(&edits_text(&now));
        if report.dialect == Some("opengauss") {
            text.push_str(&gs_guc_text(&now, &server.data_directory));
        }
    }
    if let Some(edit) = restoring.clone().find(|_| !is_one_file) {
        text.push_str("\nFor a recovery, and on a standby, but never on a primary:\n");
        text.push_str(&edits_text(&[edit]));
    }
    let config = report.config.as_ref().map(|path| match path == Path::new(FOUND_BY_ITSELF) {
        true => String::new(),
        false => format!(" --config {}", path.display()),
    });
    let named = config
        .unwrap_or_else(|| format!(" -D {} --repo {}", server.data_directory, report.directory.display()));
    let _ =
        writeln!(text, "\nThen ask whether all is well:\n  walkeep doctor{named}\n  walkeep status{named}");
    text
}

/// Lines that go to one place are told together.
fn edits_text(edits: &[&Edit]) -> String {
    let mut text = String::new();
    let mut place = None;
    for edit in edits {
        if place != Some(&edit.place) {
            text.push_str(&place_text(edit));
        }
        place = Some(&edit.place);
        edit.lines.iter().for_each(|line| {
            let _ = writeln!(text, "    {line}");
        });
    }
    let then = |edit: &&&Edit| edit.effect == Effect::Restart;
    if let Some(edit) = edits.iter().find(then).or(edits.first()) {
        let what = match edit.effect {
            Effect::Reload => "a reload makes it count:",
            Effect::Restart => "it counts after a restart:",
        };
        let _ = writeln!(text, "  {what}\n    {}", edit.then);
    }
    text
}

/// openGauss's own program writes lines as well.
fn gs_guc_text(edits: &[&Edit], data_directory: &str) -> String {
    let mut text = "  or let openGauss's own program write them:\n".to_owned();
    for edit in edits.iter().filter(|edit| matches!(edit.place, Place::File { .. })) {
        let verb = if edit.effect == Effect::Reload { "reload" } else { "set" };
        for line in &edit.lines {
            let _ = writeln!(text, "    gs_guc {verb} -D {data_directory} -c \"{line}\"");
        }
    }
    text
}

/// The same for machines.
#[must_use]
pub fn init_json(report: &InitReport, program: &Path) -> Value {
    let adopted: serde_json::Map<String, Value> = report
        .adopted
        .iter()
        .map(|(form, count)| (found_as(*form).replace(' ', "_"), json!(count)))
        .collect();
    let server = server_lines(report, program);
    let edits = |edits: &mut dyn Iterator<Item = &Edit>| -> Vec<Value> { edits.map(edit_json).collect() };
    let timelines: Vec<Value> = report.timelines.iter().map(timeline_json).collect();
    json!({
        "schema": SCHEMA,
        "repository": report.directory.display().to_string(),
        "was_one": report.was_one,
        "form": report.form,
        "adopted": adopted,
        "timelines": timelines,
        "base_backups": report.base_backups,
        "digests_written": report.digests.written,
        "digests_left_out": report.digests.left_out,
        "not_whole": report.digests.not_whole.iter().map(|(name, reason)| json!({
            "name": name.to_string(), "reason": reason,
        })).collect::<Vec<_>>(),
        "foreign_names": report.foreign_names,
        "system_identifier": report.identity.map(|identity| identity.system_identifier.to_string()),
        "segment_size_bytes": report.identity.map(|identity| identity.segment_size.bytes()),
        "made_by_superuser": report.made_by_superuser,
        "configuration_file": server.file,
        "configuration_lines": server.lines,
        "archiving_edits": report.server.as_ref().map(|server| edits(&mut server.archiving.iter())),
        "restoring_edits": report.server.as_ref().map(|server| edits(&mut server.restoring.iter())),
        "server_unknown": report.server.as_ref().and_then(|server| server.unknown.clone()),
        "config": report.config.as_ref().map(|path| path.display().to_string()),
    })
}

fn timeline_json(held: &TimelineCoverage) -> Value {
    json!({
        "timeline": held.timeline.get(),
        "first": held.ranges.first().map(|range| range.first().to_string()),
        "last": held.ranges.last().map(|range| range.last().to_string()),
        "gaps": held.gaps.len(),
    })
}

fn server_lines(report: &InitReport, program: &Path) -> GeneralLines {
    let (program, directory) = (program.display(), report.directory.display());
    let (file, archived) = match report.dialect {
        Some("kingbase-v8r6") => ("es_rep.conf, or kingbase.conf where there is no es_rep.conf", "%p"),
        Some("kingbase-v8r3") => ("kingbase.conf", "%p"),
        // openGauss insists on both placeholders, and starts the command without a shell.
        Some("opengauss") => ("postgresql.conf", "%p %f"),
        _ => ("postgresql.conf", "%p"),
    };
    let lines = vec![
        "archive_mode = on".to_owned(),
        format!("archive_command = '{program} archive {archived} --repo {directory}'"),
        format!("restore_command = '{program} restore %f %p --repo {directory}'"),
    ];
    GeneralLines { file, lines }
}

const fn stored_as(form: StoredForm) -> &'static str {
    match form {
        StoredForm::Zstd => "zstd, one .zst file each",
        StoredForm::Plain => "plain files, each with its .sha256",
    }
}

const fn found_as(form: Form) -> &'static str {
    match form {
        Form::Zstd => "zstd files",
        Form::Plain => "plain files",
        Form::Gzip => "gzip files",
        Form::Lz4 => "lz4 files",
    }
}
