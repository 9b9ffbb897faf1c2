use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::{Observer, Progress};

/// Shows progress on standard error: a bar with an estimate on a terminal, a line now and then elsewhere, and
/// nothing of work that is over at once.
pub struct ProgressDisplay {
    verb: &'static str,
    began: Instant,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    /// When the last line was written.
    Lines(Mutex<Instant>),
    Nothing,
}

impl ProgressDisplay {
    /// How often a line is written where there is no terminal.
    const LINE_EVERY: Duration = Duration::from_secs(10);

    /// Work that is over within this time shows no bar.
    const QUICK: Duration = Duration::from_millis(500);

    /// Begins; `verb` is what is done to the files, such as "archived".
    #[must_use]
    pub fn new(verb: &'static str, is_terminal: bool, quiet: bool) -> Self {
        let began = Instant::now();
        let shown = match (quiet, is_terminal) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())),
            (false, false) => Shown::Lines(Mutex::new(began)),
        };
        Self { verb, began, shown }
    }

    fn reveal(bar: &ProgressBar) {
        let template = "{bar:30} {pos}/{len} files, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    fn line(&self, progress: Progress) -> String {
        let left = estimate(self.began.elapsed(), progress)
            .map_or_else(String::new, |left| format!(", about {} left", HumanDuration(left)));
        let Progress { done_files, total_files, done_bytes, .. } = progress;
        format!("{} {done_files} of {total_files} files, {}{left}\n", self.verb, HumanBytes(done_bytes))
    }
}

/// How long the rest takes at the pace so far; `None` before anything is done.
fn estimate(elapsed: Duration, progress: Progress) -> Option<Duration> {
    let (done, total) = match progress.total_bytes {
        0 => (progress.done_files, progress.total_files),
        total_bytes => (progress.done_bytes, total_bytes),
    };
    let left = u128::from(total.saturating_sub(done));
    let left_ms = elapsed.as_millis().checked_mul(left)?.checked_div(u128::from(done))?;
    Some(Duration::from_millis(u64::try_from(left_ms).unwrap_or(u64::MAX)))
}

impl Observer for ProgressDisplay {
    fn progress(&self, progress: Progress) {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(progress.total_files);
                bar.set_position(progress.done_files);
                bar.set_message(HumanBytes(progress.done_bytes).to_string());
                if bar.is_hidden() && self.began.elapsed() > Self::QUICK {
                    Self::reveal(bar);
                }
            }
            Shown::Lines(last) => {
                let Ok(mut last) = last.lock() else { return };
                if last.elapsed() >= Self::LINE_EVERY {
                    *last = Instant::now();
                    let _ = std::io::stderr().write_all(self.line(progress).as_bytes());
                }
            }
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_from_bytes_where_they_are_known_and_from_files_where_not() {
        let second = Duration::from_secs(1);
        let files = Progress { done_files: 1, total_files: 4, done_bytes: 10, total_bytes: 0 };
        assert_eq!(estimate(second, files), Some(Duration::from_secs(3)));
        let bytes = Progress { total_bytes: 20, ..files };
        assert_eq!(estimate(second, bytes), Some(second));
        assert_eq!(estimate(second, Progress { done_files: 0, ..files }), None);
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let display = ProgressDisplay::new("archived", false, false);
        let progress = Progress { done_files: 3, total_files: 4, done_bytes: 3 << 20, total_bytes: 4 << 20 };
        let line = display.line(progress);
        assert!(line.starts_with("archived 3 of 4 files, 3.00 MiB, about "), "{line}");
    }
}
