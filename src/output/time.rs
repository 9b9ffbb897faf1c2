use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339, in UTC, to the second; a file can bear a time that no calendar has.
#[must_use]
pub fn show_time(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|seconds| -seconds),
    };
    let shown = seconds.and_then(|seconds| DateTime::<Utc>::from_timestamp(seconds, 0));
    shown.map_or_else(|| "an unknown time".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
