use std::fmt::Write as _;

use serde_json::{Value, json};

use super::SCHEMA;
use super::colour::{Colour, paint};
use super::gate::findings_json;
use super::sheet::{Sheet, paragraph};
use crate::commands::{Diagnosis, DoctorReport};
use crate::health::{Edit, Effect, Place};

/// Says for people what is wrong, and what to write where.
#[must_use]
pub fn doctor_text(report: &DoctorReport, colour: Colour) -> String {
    let findings = match report.diagnoses.len() {
        0 => String::new(),
        1 => ", 1 finding".to_owned(),
        count => format!(", {count} findings"),
    };
    let mut text = format!("doctor: {}{findings}\n", paint(report.verdict, colour));
    for told in &report.diagnoses {
        let verdict = told.finding.verdict;
        text.push_str(&diagnosis_text(verdict.word(), &paint(verdict, colour), told));
    }
    for told in &report.notes {
        text.push_str(&diagnosis_text("note", "note", told));
    }
    if !report.fine.is_empty() {
        let mut sheet = Sheet::default();
        sheet.section("fine", [report.fine.join("; ")]);
        let _ = write!(text, "\n{}", sheet.into_text());
    }
    text
}

fn diagnosis_text(label: &str, painted: &str, told: &Diagnosis) -> String {
    let problem = &told.finding.problem;
    let head = paragraph(&format!("{label}: "), &format!("{painted}: "), &problem.to_string());
    let mut text = format!("\n{head}");
    let why = problem.why().map(|why| paragraph("  why:   ", "  why:   ", why));
    // The lines say it better.
    let next = problem.next_step().filter(|_| told.edits.is_empty());
    let next = next.map(|next| paragraph("  next:  ", "  next:  ", next));
    text.extend(why.into_iter().chain(next));
    told.edits.iter().for_each(|edit| text.push_str(&edit_text(edit)));
    // Changes that take effect in the same way do so at once.
    let mut thens: Vec<&str> = told.edits.iter().map(|edit| edit.then.as_str()).collect();
    thens.sort_unstable();
    thens.dedup();
    // A restart reloads too.
    let restart = told.edits.iter().find(|edit| edit.effect == Effect::Restart);
    let then = restart.map(|edit| edit.then.as_str()).or(thens.first().copied());
    text.extend(then.map(|then| format!("  then:  {then}\n")));
    text
}

fn edit_text(edit: &Edit) -> String {
    let lines: String = edit.lines.iter().map(|line| format!("    {line}\n")).collect();
    place_text(edit).replacen("  ", "  write: ", 1) + &lines
}

/// Where the lines of a change go, as the head above them.
pub(super) fn place_text(edit: &Edit) -> String {
    match (&edit.place, edit.lines.is_empty()) {
        (Place::File { file, line: Some(line) }, _) => format!("  in {file}, instead of line {line}:\n"),
        (Place::File { file, line: None }, _) => format!("  at the end of {file}:\n"),
        (Place::Statement, _) => "  in a session of the superuser:\n".to_owned(),
        (Place::CommandLine { file }, true) => {
            format!("  start the server without it (its last command line is in {file})\n")
        }
        (Place::CommandLine { file }, false) => {
            format!("  on the server's command line, instead of what {file} remembers:\n")
        }
    }
}

/// The same for machines.
#[must_use]
pub fn doctor_json(report: &DoctorReport) -> Value {
    let all = |told: &[Diagnosis]| -> Vec<Value> { told.iter().map(diagnosis_json).collect() };
    json!({
        "schema": SCHEMA,
        "verdict": report.verdict.word(),
        "findings": all(&report.diagnoses),
        "notes": all(&report.notes),
        "fine": report.fine,
    })
}

fn diagnosis_json(told: &Diagnosis) -> Value {
    let mut finding =
        findings_json(std::slice::from_ref(&told.finding)).get_mut(0).map(Value::take).unwrap_or_default();
    if let Value::Object(finding) = &mut finding {
        finding.insert("edits".to_owned(), told.edits.iter().map(edit_json).collect());
    }
    finding
}

pub(super) fn edit_json(edit: &Edit) -> Value {
    let (place, file, line) = match &edit.place {
        Place::File { file, line } => ("file", Some(file), *line),
        Place::Statement => ("statement", None, None),
        Place::CommandLine { file } => ("command_line", Some(file), None),
    };
    json!({
        "place": place,
        "file": file,
        "replaces_line": line,
        "lines": edit.lines,
        "takes_effect": match edit.effect {
            Effect::Reload => "reload",
            Effect::Restart => "restart",
        },
        "then": edit.then,
    })
}
