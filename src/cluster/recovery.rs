use std::path::Path;

use super::dialect::RecoveryFiles;
use super::layout::is_there;
use super::server_config::{parse_bool, scanner};
use super::{ClusterError, read_text};

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
