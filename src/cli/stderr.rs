use std::io::{IsTerminal, Write};

use super::args::OutputFormat;
use super::now::now;
use crate::output::{Failure, Level, LogFormat, LogLine};

/// Standard error. A server may have closed it: failing to write there is no failure.
#[derive(Clone, Copy)]
pub(super) struct Stderr {
    format: LogFormat,
    quiet: bool,
    verbose: u8,
}

impl Stderr {
    pub const fn new(format: LogFormat, quiet: bool, verbose: u8) -> Self {
        Self { format, quiet, verbose }
    }

    pub fn error(&self, failure: &Failure) {
        Self::raw(&failure.render("error", self.format));
    }

    pub fn warning(&self, failure: &Failure) {
        if !self.quiet {
            Self::raw(&failure.render("warning", self.format));
        }
    }

    /// A failure that only those want to know of who asked for more.
    pub fn detail(&self, failure: &Failure) {
        if self.verbose > 0 {
            Self::raw(&failure.render("info", self.format));
        }
    }

    /// What only those want to know who asked for more.
    pub fn info(&self, what: String) {
        if self.verbose > 0 {
            self.note(what);
        }
    }

    /// What a person wants to know, and a server's log is full of.
    pub fn info_to_people(&self, what: String) {
        if self.verbose > 0 || (!self.quiet && std::io::stderr().is_terminal()) {
            self.note(what);
        }
    }

    fn note(&self, what: String) {
        let note = Failure { what, causes: Vec::new(), hint: None };
        Self::raw(&note.render("info", self.format));
    }

    /// A line of a verb that goes on for long.
    pub fn line(&self, line: &LogLine) {
        let is_wanted = match line.level {
            Level::Detail => self.verbose > 0,
            Level::Info | Level::Warning => !self.quiet,
        };
        if is_wanted {
            Self::raw(&line.render(self.format, now()));
        }
    }

    pub fn raw(text: &str) {
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Writes a report to standard output, as text or as JSON; `false` where that did not take it.
pub(super) fn print_report(
    output: OutputFormat,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> serde_json::Value,
) -> bool {
    if output == OutputFormat::Json { print(&format!("{}\n", json())) } else { print(&text()) }
}

/// Writes a report to standard output; `false` where that did not take it.
pub(super) fn print(text: &str) -> bool {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
