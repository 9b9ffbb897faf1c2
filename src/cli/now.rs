//! Who we are and what time it is: read once.

use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

use super::settings::Settings;
use crate::commands::Clock;
use crate::repository::Origin;

/// Who stores, and when.
#[allow(clippy::disallowed_methods, reason = "the clock is read here, once")]
pub(super) fn origin(settings: &Settings) -> Origin {
    let now = SystemTime::now();
    Origin { node: settings.node.clone(), machine_id: machine_id(), now, now_text: show_time(now) }
}

/// RFC 3339, in UTC, to the second; a file can bear a time that no calendar has.
pub(super) fn show_time(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|seconds| -seconds),
    };
    let shown = seconds.and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    shown.map_or_else(|| "an unknown time".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// What tells this machine from others; machine-id(5).
fn machine_id() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let id = read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"));
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// The machine's monotonic clock.
pub(super) struct SystemClock(Instant);

impl SystemClock {
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
