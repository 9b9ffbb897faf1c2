use std::fmt::Write as _;

/// A sheet: sections with their names at the left, and lines that fit a terminal beside them.
#[derive(Default)]
pub(super) struct Sheet(String);

/// Where a terminal ends.
const WIDTH: usize = 80;

/// Where the lines begin.
const INDENT: usize = 12;

impl Sheet {
    /// Adds a section; without lines there is none.
    pub fn section(&mut self, name: &str, lines: impl IntoIterator<Item = String>) {
        let mut label = name;
        for line in lines {
            for (turn, part) in
                wrapped(&plain(&line), WIDTH - INDENT, WIDTH - INDENT - 2).into_iter().enumerate()
            {
                let hang = if turn == 0 { "" } else { "  " };
                let _ = writeln!(self.0, "{label:<INDENT$}{hang}{part}");
                label = "";
            }
        }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// What foreign files say may hold anything; a terminal must not obey it.
fn plain(line: &str) -> String {
    line.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A paragraph behind its label. What does not fit the line goes on below: under the first word where the label is
/// indented, else two columns in. `painted` is the label as a terminal gets it.
pub(super) fn paragraph(label: &str, painted: &str, text: &str) -> String {
    let begins = label.chars().count();
    let indent = if label.starts_with(' ') { begins } else { 2 };
    let parts = wrapped(&plain(text), WIDTH - begins, WIDTH - indent);
    painted.to_owned() + &parts.join(&format!("\n{:indent$}", "")) + "\n"
}

/// Breaks a line at blanks. A word that is longer than a line stays whole: paths are copied from here.
fn wrapped(line: &str, first_room: usize, room: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let room = if parts.len() > 1 { room } else { first_room };
        match parts.last_mut() {
            Some(part) if part.chars().count() + 1 + word.chars().count() <= room => {
                part.push(' ');
                part.push_str(word);
            }
            _ => parts.push(word.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sheet(line: &str) -> String {
        let mut sheet = Sheet::default();
        sheet.section("queue", [line.to_owned()]);
        sheet.into_text()
    }

    #[test]
    fn a_line_is_broken_at_blanks_and_a_terminal_is_told_nothing() {
        assert_eq!(sheet("short"), "queue       short\n");
        assert_eq!(sheet("a\x1b[2Jb"), "queue       a\\u{1b}[2Jb\n");
        let path = "/".repeat(90);
        assert_eq!(sheet(&format!("in {path}")), format!("queue       in\n              {path}\n"));
    }

    proptest! {
        #[test]
        fn every_word_stays_and_lines_fit(words in proptest::collection::vec("[a-z]{1,20}", 1..40)) {
            let text = sheet(&words.join(" "));
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
            let told: Vec<&str> = text.split_whitespace().skip(1).collect();
            prop_assert_eq!(told, words);
        }
    }
}
