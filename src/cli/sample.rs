//! A sample: a config file with every key there is. What is not known is a comment, with the default.

use std::path::Path;

/// What is not set is told; `@url` and `@pgdata` stand for the lines that may be known.
const SAMPLE: &str = r#"# The settings of walkeep for one cluster. A line that begins with '#' is not set: it shows the default, or an
# example where there is none. 'walkeep help VERB' says more of each.
#
# Commands read this file where it is /etc/walkeep/walkeep.toml, or is named with --config FILE or $WALKEEP_CONFIG. The
# units walkeep-watch@NAME, walkeep-prune@NAME and walkeep-verify@NAME read /etc/walkeep/NAME.toml. The user that the
# server runs as has to be able to read it; it holds no secrets.
# A flag and a variable of the environment come before what stands here.

# What is told on standard error: error, warn, info or debug, as text or json.
#log = "warn,text"

[cluster]
# The data directory of the server.
@pgdata
# What people call this node; its host name where nothing is set.
#node = "node1"

[repository]
# Where archived WAL lies: a directory, best on a disk of its own.
@url
# How hard segments are packed: zstd:1 is quick, zstd:19 is small. Where 'init' made plain files they stay plain.
#compress = "zstd:1"
# Less free space than this is a finding, and nothing more is stored; 0 is off. "20GiB", for example.
#min_free = "0"

[archive]
# How long one file may take before the call gives up, and the server tries again.
#timeout = "5m"
# How many further pending files one call stores as well, so that the next calls return at once.
#ahead = 32
# How many files are packed at once; the number of cores, at most 4, where nothing is set.
#jobs = 4

[gate]
# More pending files than these are a WARNING, and CRITICAL.
#warning = 16
#critical = 128
# A first pending file that does not move for so long is CRITICAL.
#stuck_after = "10m"

[restore]
# What a failure tells the server: "auto" stops a recovery and lets a standby ask again; "stop", "continue".
#on_error = "auto"
# How long a failure is retried before the server gets its answer; 3s by default on a standby, which asks again.
#retry_budget = "30s"
# How long it is retried at least while a promotion is requested: one in an outage may lose what is archived.
#promote_budget = "30s"
# How many segments are fetched ahead while the server replays; 0 is off.
#prefetch = 0
# Where they lie ready: outside the data directory, best on the same file system. Beside it where nothing is set.
#spool = "/var/spool/walkeep"

[prune]
# What prune keeps. Without any of these nothing is ever removed. Several together keep what any of them keeps.
# The newest base backups, and all that it takes to recover from them.
#keep_backups = 2
# What was archived within so many days, and the base backup that leads into them.
#keep_days = 14
# The newest segments, counted back from the end.
#keep_segments = 1000
# The newest files up to so many stored bytes.
#keep_size = "500GiB"
# Nodes without whose claims prune refuses to run.
#nodes = []
# For how long a slot that is gone still keeps what it held: failovers drop slots and make them again.
#slot_grace = "24h"
"#;

/// A config file for a repository and a data directory.
pub(super) fn config(repository: Option<&Path>, data_directory: Option<&Path>) -> String {
    let line = |key: &str, path: Option<&Path>, example: &str| match path.and_then(quoted) {
        Some(path) => format!("{key} = {path}"),
        None => format!("#{key} = \"{example}\""),
    };
    let pgdata = line("pgdata", data_directory, "/var/lib/pgsql/data");
    SAMPLE.replace("@pgdata", &pgdata).replace("@url", &line("url", repository, "/archive"))
}

/// A path as TOML writes a text; `None` for one that is better typed by hand.
fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control))?;
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use toml::{Table, Value};

    fn keys(text: &str) -> BTreeSet<String> {
        let table: Table = text.parse().unwrap();
        let mut keys = BTreeSet::new();
        for (section, value) in table {
            match value {
                Value::Table(inner) => keys.extend(inner.keys().map(|key| format!("{section}.{key}"))),
                _ => drop(keys.insert(section)),
            }
        }
        keys
    }

    /// Held against the keys there are, and read, by the tests of settings.
    #[test]
    fn the_packages_bring_the_same_sample() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/walkeep.toml.sample");
        let sample = config(Some(Path::new("/archive/main")), Some(Path::new("/data/main")));
        if std::env::var_os("WALKEEP_WRITE_MANUAL").is_some() {
            #[allow(clippy::disallowed_methods, reason = "a test that writes into its own tree")]
            std::fs::write(&path, &sample).unwrap();
        }
        let is_same = std::fs::read_to_string(&path).unwrap() == sample;
        assert!(is_same, "WALKEEP_WRITE_MANUAL=1 cargo test --lib sample writes '{}' anew", path.display());
    }

    #[test]
    fn only_what_is_known_is_set() {
        let text = config(Some(Path::new(r#"/a "b"\c"#)), Some(Path::new("/data")));
        assert_eq!(keys(&text), BTreeSet::from(["cluster.pgdata".to_owned(), "repository.url".to_owned()]));
        let table: Table = text.parse().unwrap();
        assert_eq!(table["repository"]["url"].as_str(), Some(r#"/a "b"\c"#));
        assert_eq!(keys(&config(None, Some(Path::new("/a\nb")))), BTreeSet::new());
    }
}
