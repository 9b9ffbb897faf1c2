use std::path::Path;

use super::dialect::RecoveryFiles;
use super::layout::is_there;
use super::server_config::{parse_bool, scanner};
use super::{Cluster, ClusterError, MOST_TEXT_BYTES, read_at_most, read_text};
use crate::fsx::for_each_name;
use crate::wal::{Timeline, TimelineHistory, WalFileName};

/// Recovery: whether the server was told, when it started last or starts next, to take WAL from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was not: a primary.
    None,
    /// It recovers up to some point, and then becomes a primary. The end of the archive is such a point.
    Archive,
    /// It stays a standby until it is promoted, and tries again when the archive does not have a file.
    Standby,
}

pub(super) fn of(data_directory: &Path, files: RecoveryFiles) -> Result<Recovery, ClusterError> {
    let is_signalled = |name| is_there(&data_directory.join(name), |_| true);
    match files {
        // xlogrecovery.c looks for standby.signal first.
        RecoveryFiles::Signals if is_signalled("standby.signal")? => Ok(Recovery::Standby),
        RecoveryFiles::Signals if is_signalled("recovery.signal")? => Ok(Recovery::Archive),
        RecoveryFiles::Signals => Ok(Recovery::None),
        RecoveryFiles::RecoveryConf => {
            let conf = read_text(&data_directory.join("recovery.conf"))?;
            Ok(conf.map_or(Recovery::None, |conf| {
                if is_standby_mode(&conf) { Recovery::Standby } else { Recovery::Archive }
            }))
        }
    }
}

/// The timeline that a recovery is to follow (`recovery_target_timeline`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetTimeline {
    /// The newest that the server finds by asking for one history after another, until one is not there.
    Latest,
    /// The one that the server is on.
    Current,
    /// This one.
    Number(Timeline),
}

impl Cluster {
    /// Which timeline a recovery is to follow: what the configuration says, else the server's default. A value that no
    /// server takes counts as the default; a server with such a value does not start.
    pub fn target_timeline(&self) -> Result<TargetTimeline, ClusterError> {
        // 12 changed the default (xlog.c before, guc_tables.c since).
        let default = match self.dialect.recovery {
            RecoveryFiles::Signals => TargetTimeline::Latest,
            RecoveryFiles::RecoveryConf => TargetTimeline::Current,
        };
        let config = self.server_config()?;
        let value = config.value("recovery_target_timeline").map(|setting| setting.value.as_str());
        Ok(value.and_then(parse_target).unwrap_or(default))
    }

    /// Whether somebody asks this standby to be promoted now: the file that `pg_ctl promote` leaves and a server removes when
    /// it has seen it, or the trigger file that the configuration names (up to 15).
    pub fn is_asked_to_promote(&self) -> Result<bool, ClusterError> {
        for name in ["promote", "fallback_promote"] {
            if is_there(&self.data_directory.join(name), |_| true)? {
                return Ok(true);
            }
        }
        let config = self.server_config()?;
        let named = config.value("promote_trigger_file").or_else(|| config.value("trigger_file"));
        match named.filter(|setting| !setting.value.is_empty()) {
            Some(setting) => is_there(&self.data_directory.join(&setting.value), |_| true),
            None => Ok(false),
        }
    }

    /// A timeline's history in the WAL directory, byte for byte; `None` if there is none that can be read: the server
    /// then goes by what `restore_command` delivers.
    #[must_use]
    pub fn history_text(&self, timeline: Timeline) -> Option<Vec<u8>> {
        let path = self.wal_directory.join(WalFileName::TimelineHistory(timeline).to_string());
        let text = read_at_most(&path, MOST_TEXT_BYTES).ok()?;
        TimelineHistory::parse(timeline, &text).is_ok().then_some(text)
    }

    /// The timelines whose histories are in the WAL directory, in ascending order.
    pub fn histories(&self) -> Result<Vec<Timeline>, ClusterError> {
        let mut timelines = Vec::new();
        for_each_name(&self.wal_directory, |name, _| {
            let name = std::str::from_utf8(name).ok().filter(|name| name.ends_with(".history"));
            timelines.extend(name.and_then(|name| name.parse().ok()).and_then(WalFileName::history_of));
        })?;
        timelines.sort_unstable();
        Ok(timelines)
    }
}

/// Reads the setting as servers do: a word, or a number as C's `strtoul` reads it.
fn parse_target(value: &str) -> Option<TargetTimeline> {
    match value.to_ascii_lowercase().as_str() {
        "latest" => return Some(TargetTimeline::Latest),
        "current" | "controlfile" => return Some(TargetTimeline::Current),
        _ => {}
    }
    let number = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None if value.len() > 1 && value.starts_with('0') => u32::from_str_radix(value, 8),
        None => value.parse(),
    };
    number.ok().and_then(Timeline::new).map(TargetTimeline::Number)
}

/// Whether the last `standby_mode` of a recovery.conf is on.
fn is_standby_mode(conf: &str) -> bool {
    let settings = scanner::lines(conf.as_bytes()).filter_map(|(_, parsed)| parsed.ok());
    let last = settings.filter(|set| set.name == "standby_mode").last();
    last.is_some_and(|set| parse_bool(&String::from_utf8_lossy(&set.value)) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_standby_is_known_however_its_line_is_written() {
        for conf in [
            "standby_mode = on",
            "standby_mode='on'",
            "standby_mode on",
            "  STANDBY_MODE\t=\t'TRUE'  # as ever",
            "standby_mode = yes# comment",
            "standby_mode = 1\r\n",
            "restore_command = 'cp /a/%f %p'\nstandby_mode = 'on'\nprimary_conninfo = 'host=a'\n",
            "standby_mode = off\nstandby_mode = on",
        ] {
            assert!(is_standby_mode(conf), "{conf}");
        }
    }

    #[test]
    fn what_is_no_standby_is_not_taken_for_one() {
        for conf in [
            "",
            "#standby_mode = on",
            "# standby_mode = on",
            "standby_mode = off",
            "standby_mode = ''",
            "standby_mode",
            "standby_mode = o",
            "standby_mode = on\nstandby_mode = 'off'",
            "restore_command = 'standby_mode = on'",
            "my_standby_mode = on",
        ] {
            assert!(!is_standby_mode(conf), "{conf}");
        }
    }

    #[test]
    fn a_target_timeline_is_read_as_servers_read_it() {
        let number = |number| Timeline::new(number).map(TargetTimeline::Number);
        for (value, target) in [
            ("latest", Some(TargetTimeline::Latest)),
            ("current", Some(TargetTimeline::Current)),
            ("3", number(3)),
            ("0x1F", number(31)),
            ("017", number(15)),
            ("", None),
            ("0", None),
            ("newest", None),
            ("-1", None),
        ] {
            assert_eq!(parse_target(value), target, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(conf in "(?s).{0,80}", value in "[a-z' #=\\n]{0,20}") {
            let _ = is_standby_mode(&conf);
            let _ = is_standby_mode(&format!("standby_mode{value}"));
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_recovery_conf_it_is_read_as_its_lines_are(
                conf in mutated_text(&[
                    "standby_mode = 'on'\nprimary_conninfo = 'host=a port=5432'\nrestore_command = 'cp /a/%f \"%p\"'\n",
                    "# recovery\n  STANDBY_MODE\t=\ttrue # as ever\nrecovery_target_timeline = 'latest'\n",
                ]),
            ) {
                let names = scanner::lines(conf.as_bytes()).filter_map(|(_, parsed)| parsed.ok());
                let is_named = names.into_iter().any(|set| set.name == "standby_mode");
                prop_assert!(is_named || !is_standby_mode(&conf));
            }
        }
    }
}
