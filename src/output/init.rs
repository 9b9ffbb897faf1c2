use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::SCHEMA;
use crate::commands::InitReport;
use crate::commands::facts::{Form, StoredForm};

/// The lines that a server's configuration needs.
struct ServerLines {
    /// Where they belong.
    file: &'static str,
    lines: Vec<String>,
}

/// Says what the repository is now, and what to write into the server's configuration.
#[must_use]
pub fn init_text(report: &InitReport, program: &Path) -> String {
    let mut text = String::new();
    let directory = report.directory.display();
    let verb = match (report.was_one, report.adopted.is_empty()) {
        (true, _) => "is a repository already",
        (false, true) => "is a repository now",
        (false, false) => "is adopted as a repository",
    };
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!("{directory} {verb}."));
    line(format!("  segments are stored as  {}", stored_as(report.form)));
    let bound = report.identity.map_or_else(
        || "nobody yet; the first archived segment binds it".to_owned(),
        |identity| {
            format!("system identifier {}, segments of {}", identity.system_identifier, identity.segment_size)
        },
    );
    line(format!("  bound to                {bound}"));
    for (form, count) in &report.adopted {
        line(format!("  found                   {count} {}", found_as(*form)));
    }
    for name in report.foreign_names.iter().take(5) {
        line(format!("  left alone              '{name}': not a WAL file"));
    }
    if report.made_by_superuser && !report.was_one {
        line("  warning                 made by root: only root can archive into it".to_owned());
    }
    let server = server_lines(report, program);
    line(format!("\nIn {}:", server.file));
    for setting in &server.lines {
        line(format!("  {setting}"));
    }
    line("\nArchiving needs archive_mode = on, which takes effect when the server starts.".to_owned());
    line("For recovery, and on a standby, restore_command goes where recovery settings go.".to_owned());
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
    json!({
        "schema": SCHEMA,
        "repository": report.directory.display().to_string(),
        "was_one": report.was_one,
        "form": report.form,
        "adopted": adopted,
        "foreign_names": report.foreign_names,
        "system_identifier": report.identity.map(|identity| identity.system_identifier.to_string()),
        "segment_size_bytes": report.identity.map(|identity| identity.segment_size.bytes()),
        "made_by_superuser": report.made_by_superuser,
        "configuration_file": server.file,
        "configuration_lines": server.lines,
    })
}

fn server_lines(report: &InitReport, program: &Path) -> ServerLines {
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
    ServerLines { file, lines }
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
