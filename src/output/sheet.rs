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
            for (turn, part) in wrapped(&plain(&line)).into_iter().enumerate() {
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

/// Breaks a line at blanks. A word that is longer than a line stays whole: paths are copied from here.
fn wrapped(line: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let room = WIDTH - INDENT - if parts.len() > 1 { 2 } else { 0 };
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
