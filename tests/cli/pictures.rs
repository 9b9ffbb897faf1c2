//! The pictures of README are drawn from what the documents show, which a test with a server holds against real runs.
//! `WALKEEP_WRITE_MANUAL=1` draws them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Each picture, the document that it is taken from, and how the command begins that it shows; the first counts.
const PICTURES: [(&str, &str, &str); 4] = [
    ("status", "first-hour", "$ walkeep status"),
    ("gate", "incidents", "$ walkeep gate"),
    ("drain", "incidents", "$ walkeep drain"),
    ("prune", "first-hour", "$ walkeep prune"),
];

const COLUMN: usize = 8;
const LINE: usize = 18;
const COLUMNS: usize = 80;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// A command and what it printed, up to the next one or the end of the block.
fn shown<'d>(document: &'d str, command: &str) -> Vec<&'d str> {
    let mut lines = document.lines().skip_while(|line| !line.starts_with(command));
    let first = lines.next().unwrap_or_else(|| panic!("no document shows '{command}'"));
    let rest = lines.take_while(|line| !line.starts_with(['$', '#']) && !line.starts_with("```"));
    let mut lines: Vec<&str> = [first].into_iter().chain(rest).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

fn colour(line: &str) -> &'static str {
    match line {
        line if line.starts_with('$') => "#8ab4f8",
        line if line.contains("CRITICAL") => "#f28b82",
        line if line.contains("WARNING") => "#fdd663",
        line if line.contains(": OK") => "#81c995",
        _ => "#e8eaed",
    }
}

fn draw(lines: &[&str]) -> String {
    let escaped = |line: &str| line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (width, height) = (COLUMNS * COLUMN + 40, lines.len() * LINE + 36);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#202124\"/>\n"
    );
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = 30 + at * LINE;
        let length = line.chars().count() * COLUMN;
        writeln!(
            svg,
            "<text x=\"20\" y=\"{y}\" fill=\"{}\" textLength=\"{length}\" xml:space=\"preserve\">{}</text>",
            colour(line),
            escaped(line)
        )
        .unwrap();
    }
    svg + "</svg>\n"
}

#[test]
fn the_pictures_show_what_the_documents_show() {
    let mut stale = Vec::new();
    for (name, document, command) in PICTURES {
        let text = fs::read_to_string(docs().join(format!("{document}.md"))).unwrap();
        let lines = shown(&text, command);
        assert!(lines.len() > 3, "{name}: {lines:?}");
        assert!(
            lines.iter().skip(1).all(|line| line.chars().count() <= COLUMNS),
            "{name} is wider than a terminal"
        );
        let (path, drawn) = (docs().join(format!("pictures/{name}.svg")), draw(&lines));
        if std::env::var_os("WALKEEP_WRITE_MANUAL").is_some() {
            fs::write(&path, &drawn).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != drawn {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "WALKEEP_WRITE_MANUAL=1 cargo test --test cli pictures draws {stale:?} anew");
}
