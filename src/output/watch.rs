use std::error::Error;
use std::path::Path;
use std::time::SystemTime;

use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Map, Value, json};

use super::failure::{Failure, LogFormat};
use super::time::show_time;
use crate::commands::{Note, Part};

/// Who wants to see a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Those who asked for more.
    Detail,
    /// Everybody but those who want errors only.
    Info,
    /// The same; somebody should do something.
    Warning,
}

/// A line in the log of a verb that goes on for long.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Who wants to see it.
    pub level: Level,
    event: &'static str,
    failure: Failure,
    facts: Map<String, Value>,
}

impl LogLine {
    /// What is told of a data directory that is watched.
    #[must_use]
    pub fn of(note: &Note<'_>, data_directory: &Path) -> Self {
        let mut line = told(note, &data_directory.display().to_string());
        line.facts.insert("data_directory".to_owned(), json!(data_directory.to_string_lossy()));
        line
    }

    /// What is told of the whole.
    #[must_use]
    pub fn info(event: &'static str, what: String) -> Self {
        Self::new(Level::Info, event, what)
    }

    fn new(level: Level, event: &'static str, what: String) -> Self {
        Self { level, event, failure: Failure { what, causes: Vec::new(), hint: None }, facts: Map::new() }
    }

    fn failing(event: &'static str, what: String, error: &dyn Error, hint: Option<String>) -> Self {
        let failure = Failure::new(what, error, hint);
        Self { level: Level::Warning, event, failure, facts: Map::new() }
    }

    fn with(mut self, key: &str, fact: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), fact.into());
        self
    }

    /// Writes it as lines, or as one JSON object: what `event` says never changes its meaning.
    #[must_use]
    pub fn render(&self, format: LogFormat, now: SystemTime) -> String {
        let level = if self.level == Level::Warning { "warning" } else { "info" };
        match format {
            LogFormat::Text => self.failure.render(level, format),
            LogFormat::Json => {
                let Failure { what, causes, hint } = &self.failure;
                let mut object = self.facts.clone();
                let common = [
                    ("level", json!(level)),
                    ("at", json!(show_time(now))),
                    ("event", json!(self.event)),
                    ("message", json!(what)),
                    ("causes", json!(causes)),
                    ("hint", json!(hint)),
                ];
                object.extend(common.map(|(key, value)| (key.to_owned(), value)));
                format!("{}\n", Value::Object(object))
            }
        }
    }
}

fn told(note: &Note<'_>, dir: &str) -> LogLine {
    match note {
        Note::Stored { name, bytes, took } => {
            let line = LogLine::new(Level::Detail, "stored", format!("stored '{name}'"));
            line.with("name", name.to_string()).with("bytes", *bytes).with("took_s", took.as_secs_f64())
        }
        Note::FileFails { name, error, hint, is_conflict } => {
            let event = if *is_conflict { "conflict" } else { "file_fails" };
            let line = LogLine::failing(event, format!("cannot archive '{name}'"), *error, hint.clone());
            line.with("name", name.to_string())
        }
        Note::FileStored { name } => {
            let line = LogLine::info("file_stored", format!("'{name}', which failed before, is stored"));
            line.with("name", name.to_string())
        }
        Note::Fails { part, error, hint } => {
            let (key, fails, _) = words(*part);
            LogLine::failing(key, format!("{fails} '{dir}'"), *error, hint.clone()).with("works", false)
        }
        Note::Works { part } => {
            let (key, _, works) = words(*part);
            LogLine::info(key, format!("{works} '{dir}' again")).with("works", true)
        }
        Note::Backlog { pending, threshold, is_critical } => {
            let what = format!("{pending} files of '{dir}' are pending, more than {threshold}");
            let line = LogLine::new(Level::Warning, "backlog", what).with("pending_files", *pending);
            line.with("threshold", *threshold).with("critical", *is_critical)
        }
        Note::BacklogGone { pending } => {
            let what = format!("the backlog of '{dir}' is gone: {pending} files are pending");
            LogLine::info("backlog_gone", what).with("pending_files", *pending)
        }
        Note::Stuck { name, since } => {
            let what =
                format!("the queue of '{dir}' is stuck: '{name}' is its first for {}", HumanDuration(*since));
            let line = LogLine::new(Level::Warning, "stuck", what).with("name", name.to_string());
            line.with("since_s", since.as_secs())
        }
        Note::Moves => LogLine::info("moves", format!("the queue of '{dir}' moves again")),
        Note::TimelineSwitch { from, to } => {
            let what = format!("'{dir}' goes on on timeline {to}, it was on {from}");
            let line = LogLine::info("timeline_switch", what);
            line.with("from", from.get()).with("to", to.get())
        }
        Note::LowSpace { free, least } => {
            let (has, wants) = (HumanBytes(*free), HumanBytes(*least));
            let what = format!("space runs low: the repository of '{dir}' has {has} free, less than {wants}");
            let line = LogLine::new(Level::Warning, "low_space", what);
            line.with("free_bytes", *free).with("least_bytes", *least)
        }
        Note::SpaceAgain { free } => {
            let what = format!("the repository of '{dir}' has {} free again", HumanBytes(*free));
            LogLine::info("space_again", what).with("free_bytes", *free)
        }
    }
}

/// The event, what cannot be done, and what can be done again.
const fn words(part: Part) -> (&'static str, &'static str, &'static str) {
    match part {
        Part::DataDirectory => ("data_directory", "cannot look at", "looks at"),
        Part::Repository => ("repository", "cannot store what is pending in", "stores what is pending in"),
        Part::Claim => ("claim", "cannot record what this node needs of", "records what this node needs of"),
        Part::Instance => ("instance", "cannot watch", "watches"),
        Part::Events => ("events", "no events come of", "events come of"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn notes(error: &dyn Error) -> Vec<Note<'_>> {
        let name = "000000010000000000000003".parse().unwrap();
        let timeline = |number| crate::wal::Timeline::new(number).unwrap();
        let parts = [Part::DataDirectory, Part::Repository, Part::Claim, Part::Instance, Part::Events];
        let mut notes = vec![
            Note::Stored { name, bytes: 1, took: Duration::from_millis(3) },
            Note::FileFails { name, error, hint: None, is_conflict: true },
            Note::FileFails { name, error, hint: Some("Do it.".to_owned()), is_conflict: false },
            Note::FileStored { name },
            Note::Backlog { pending: 17, threshold: 16, is_critical: false },
            Note::BacklogGone { pending: 8 },
            Note::Stuck { name, since: Duration::from_secs(700) },
            Note::Moves,
            Note::TimelineSwitch { from: timeline(1), to: timeline(2) },
            Note::LowSpace { free: 1, least: 2 },
            Note::SpaceAgain { free: 3 },
        ];
        notes.extend(parts.map(|part| Note::Fails { part, error, hint: None }));
        notes.extend(parts.map(|part| Note::Works { part }));
        notes
    }

    #[test]
    fn every_line_is_one_json_object_that_says_what_when_and_where() {
        let error = std::io::Error::from_raw_os_error(28);
        for note in notes(&error) {
            let line = LogLine::of(&note, Path::new("/data/\n\"x"));
            let text = line.render(LogFormat::Json, SystemTime::UNIX_EPOCH);
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let object: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(object["at"], "1970-01-01T00:00:00Z");
            assert_eq!(object["data_directory"], "/data/\n\"x");
            assert!(
                object["event"].is_string() && object["message"].is_string() && object["level"].is_string()
            );
        }
    }

    #[test]
    fn a_line_reads_as_other_messages_do() {
        let error = std::io::Error::from_raw_os_error(28);
        let lines: String = notes(&error)
            .iter()
            .map(|note| LogLine::of(note, Path::new("/d")).render(LogFormat::Text, SystemTime::UNIX_EPOCH))
            .collect();
        for line in [
            "warning: cannot archive '000000010000000000000003'\ncause: No space left on device (os error 28)\nhint: Do it.\n",
            "warning: 17 files of '/d' are pending, more than 16\n",
            "info: the backlog of '/d' is gone: 8 files are pending\n",
            "warning: the queue of '/d' is stuck: '000000010000000000000003' is its first for 12 minutes\n",
            "info: '/d' goes on on timeline 2, it was on 1\n",
            "warning: cannot store what is pending in '/d'\ncause: No space left on device (os error 28)\n",
            "info: stores what is pending in '/d' again\n",
        ] {
            assert!(lines.contains(line), "{line}\n---\n{lines}");
        }
    }
}
