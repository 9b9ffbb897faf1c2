//! What was typed, with the environment and the config file, becomes what is meant: flag > environment >
//! config file > default.

use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time;

use toml::{Table, Value};

use super::args::{Common, OutputFormat};
use super::units::{Compression, Duration, Files, Jobs, Size};
use crate::cluster::Cluster;
use crate::commands::OnError;
use crate::output::{Colour, LogFormat};
use crate::repository::Origin;
use crate::storage::DirectoryStore;

/// Read where it exists and nobody names another.
const CONFIG_FILE: &str = "/etc/walkeep/walkeep.toml";

/// Every key of the config file.
const KEYS: [&str; 23] = [
    "log",
    "cluster.pgdata",
    "cluster.node",
    "repository.url",
    "repository.compress",
    "repository.min_free",
    "archive.timeout",
    "archive.ahead",
    "gate.warning",
    "gate.critical",
    "gate.stuck_after",
    "archive.jobs",
    "restore.on_error",
    "restore.retry_budget",
    "restore.promote_budget",
    "restore.prefetch",
    "restore.spool",
    "prune.nodes",
    "prune.slot_grace",
    "prune.keep_backups",
    "prune.keep_days",
    "prune.keep_segments",
    "prune.keep_size",
];

/// What is meant.
pub(super) struct Settings {
    pgdata_flags: Vec<PathBuf>,
    pgdata_elsewhere: Option<PathBuf>,
    repo: Option<PathBuf>,
    current_dir: Option<PathBuf>,
    pub node: String,
    pub output: OutputFormat,
    pub verbose: u8,
    pub quiet: bool,
    pub log_format: LogFormat,
    pub compress: Option<Compression>,
    pub min_free: Option<Size>,
    jobs: Option<Jobs>,
    pub archive_ahead: usize,
    pub archive_timeout: time::Duration,
    pub gate_warning: Option<u64>,
    pub gate_critical: Option<u64>,
    pub gate_stuck_after: Option<Duration>,
    pub restore_on_error: OnError,
    pub restore_retry_budget: Option<Duration>,
    pub restore_promote_budget: Option<Duration>,
    pub restore_prefetch: usize,
    pub restore_spool: Option<PathBuf>,
    pub slot_grace: time::Duration,
    pub prune: PruneSettings,
}

/// What is meant for `prune`.
pub(super) struct PruneSettings {
    pub nodes: Vec<String>,
    pub keep_backups: Option<u64>,
    pub keep_days: Option<u64>,
    pub keep_segments: Option<u64>,
    pub keep_size: Option<Size>,
}

impl PruneSettings {
    fn read(file: &ConfigFile) -> Result<Self, SettingsError> {
        Ok(Self {
            nodes: file.texts("prune.nodes")?,
            keep_backups: file.parsed("prune.keep_backups", number)?,
            keep_days: file.parsed("prune.keep_days", some_number)?,
            keep_segments: file.parsed("prune.keep_segments", some_number)?,
            keep_size: file.parsed("prune.keep_size", str::parse)?,
        })
    }
}

/// Why the settings make no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("cannot read the config file '{}'", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the config file '{}' is not TOML", path.display())]
    NotToml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("the config file '{}' has an unknown key '{key}'", path.display())]
    UnknownKey { path: PathBuf, key: String, nearest: &'static str },
    #[error("the config file '{}': {key}: {reason}", path.display())]
    BadValue { path: PathBuf, key: &'static str, reason: String },
    #[error("{variable}: {reason}")]
    BadVariable { variable: &'static str, reason: String },
    #[error("no repository is named")]
    NoRepository,
    #[error("no data directory is named")]
    NoDataDirectory,
    #[error("more than one data directory is named")]
    SeveralDataDirectories,
    #[error("'{0}' is not a repository that this version can use")]
    NotADirectoryUrl(String),
    #[error("the node's name '{0}' is empty, longer than {most} bytes, or holds control characters", most = Origin::MOST_NODE_BYTES)]
    BadNodeName(String),
}

impl SettingsError {
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Some(
                "'walkeep init -D DATADIR --repo DIR --write-config FILE' writes one, with neither --config nor \
                 $WALKEEP_CONFIG before it is there."
                    .to_owned(),
            ),
            Self::UnknownKey { nearest, .. } => Some(format!("Is '{nearest}' meant?")),
            Self::NoRepository => Some(
                "Name it with --repo DIR, $WALKEEP_REPO, or 'url' under [repository] in the config file."
                    .to_owned(),
            ),
            Self::NoDataDirectory => Some(
                "Name it with -D DIR, $WALKEEP_PGDATA, $KINGBASE_DATA or $PGDATA, or 'pgdata' under [cluster] in the \
                 config file."
                    .to_owned(),
            ),
            Self::NotADirectoryUrl(_) => Some("Name a directory: /archive, or file:///archive.".to_owned()),
            _ => None,
        }
    }
}

impl Settings {
    /// How long one file may take where nobody says.
    const TIMEOUT: time::Duration = time::Duration::from_secs(300);

    /// How many files are archived ahead where nobody says.
    const AHEAD: usize = 32;

    /// For how long a slot that is gone pins where nobody says.
    const SLOT_GRACE: time::Duration = time::Duration::from_secs(86_400);

    /// `several` says whether the verb looks at more than one data directory.
    pub fn resolve(common: &Common, several: bool) -> Result<Self, SettingsError> {
        if common.pgdata.len() > 1 && !several {
            return Err(SettingsError::SeveralDataDirectories);
        }
        let named = common.config.clone().or_else(|| variable("WALKEEP_CONFIG").map(PathBuf::from));
        let file = ConfigFile::read(named.as_deref())?;
        let text_variable = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let node = match common
            .node
            .clone()
            .or_else(|| text_variable("WALKEEP_NODE"))
            .or(file.text("cluster.node")?)
        {
            Some(node) => node,
            None => super::now::host_name(),
        };
        if node.is_empty() || node.len() > Origin::MOST_NODE_BYTES || node.chars().any(char::is_control) {
            return Err(SettingsError::BadNodeName(node.escape_debug().to_string()));
        }
        let log = match variable("WALKEEP_LOG") {
            Some(log) => LogSetting::parse(&log.to_string_lossy())
                .map_err(|reason| SettingsError::BadVariable { variable: "WALKEEP_LOG", reason })?,
            None => file.parsed("log", LogSetting::parse)?.unwrap_or_default(),
        };
        let on_error = file.parsed("restore.on_error", |text| match text {
            "auto" => Ok(OnError::Auto),
            "stop" => Ok(OnError::Stop),
            "continue" => Ok(OnError::Continue),
            _ => Err(format!("'{text}' is none of auto, stop and continue")),
        })?;
        let slot_grace: Option<Duration> = file.parsed("prune.slot_grace", str::parse)?;
        let timeout: Option<Duration> = file.parsed("archive.timeout", str::parse)?;
        let level_typed = common.quiet || common.verbose > 0;
        Ok(Self {
            pgdata_flags: common.pgdata.clone(),
            pgdata_elsewhere: pgdata_variable().or(file.text("cluster.pgdata")?.map(PathBuf::from)),
            repo: common
                .repo
                .clone()
                .or_else(|| variable("WALKEEP_REPO").map(PathBuf::from))
                .or(file.text("repository.url")?.map(PathBuf::from)),
            current_dir: env::current_dir().ok(),
            node,
            output: common.output,
            verbose: if level_typed { common.verbose } else { log.verbose },
            quiet: if level_typed { common.quiet } else { log.quiet },
            log_format: common.log_format.map_or(log.format, Into::into),
            compress: match text_variable("WALKEEP_COMPRESS") {
                Some(text) => {
                    Some(text.parse().map_err(|reason| SettingsError::BadVariable {
                        variable: "WALKEEP_COMPRESS",
                        reason,
                    })?)
                }
                None => file.parsed("repository.compress", str::parse)?,
            },
            min_free: file.parsed("repository.min_free", str::parse)?,
            jobs: match text_variable("WALKEEP_JOBS") {
                Some(text) => text
                    .parse()
                    .map(Some)
                    .map_err(|reason| SettingsError::BadVariable { variable: "WALKEEP_JOBS", reason })?,
                None => file.parsed("archive.jobs", str::parse)?,
            },
            archive_ahead: file
                .parsed("archive.ahead", str::parse)?
                .map_or(Self::AHEAD, |Files(number)| number),
            archive_timeout: timeout.map_or(Self::TIMEOUT, |timeout| timeout.0),
            gate_warning: file.parsed("gate.warning", number)?,
            gate_critical: file.parsed("gate.critical", number)?,
            gate_stuck_after: file.parsed("gate.stuck_after", str::parse)?,
            restore_on_error: on_error.unwrap_or(OnError::Auto),
            restore_retry_budget: file.parsed("restore.retry_budget", str::parse)?,
            restore_promote_budget: file.parsed("restore.promote_budget", str::parse)?,
            restore_prefetch: match text_variable("WALKEEP_PREFETCH") {
                Some(text) => text
                    .parse()
                    .map_err(|reason| SettingsError::BadVariable { variable: "WALKEEP_PREFETCH", reason })
                    .map(Some)?,
                None => file.parsed("restore.prefetch", str::parse)?,
            }
            .map_or(0, |Files(number)| number),
            restore_spool: file.text("restore.spool")?.map(PathBuf::from),
            slot_grace: slot_grace.map_or(Self::SLOT_GRACE, |grace| grace.0),
            prune: PruneSettings::read(&file)?,
        })
    }

    /// How many files are worked on at once: as typed, else as it is set, else by the number of cores, which takes
    /// a dozen system calls to tell.
    pub fn jobs(&self, typed: Option<Jobs>) -> usize {
        typed.or(self.jobs).map_or_else(default_jobs, |Jobs(number)| number)
    }

    /// The repository's directory.
    pub fn repository_directory(&self) -> Result<PathBuf, SettingsError> {
        let named = self.repo.as_deref().filter(|repo| !repo.as_os_str().is_empty());
        let repo = named.ok_or(SettingsError::NoRepository)?;
        let path = match repo.to_str().and_then(|text| text.split_once("://")) {
            Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
            Some(_) => return Err(SettingsError::NotADirectoryUrl(repo.display().to_string())),
            None => self.absolute(repo),
        };
        Ok(path.components().collect())
    }

    /// The repository as a store.
    pub fn store(&self) -> Result<DirectoryStore, SettingsError> {
        self.repository_directory().map(DirectoryStore::new)
    }

    /// The repository as a store, where one is named.
    pub fn store_if_named(&self) -> Result<Option<DirectoryStore>, SettingsError> {
        match self.store() {
            Ok(store) => Ok(Some(store)),
            Err(SettingsError::NoRepository) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether verdicts are coloured: on a terminal, unless NO_COLOR says otherwise (no-color.org).
    pub fn colour(&self) -> Colour {
        let wanted = std::io::stdout().is_terminal() && variable("NO_COLOR").is_none();
        if wanted { Colour::On } else { Colour::Off }
    }

    /// A path that means the same whatever directory the process is in.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.current_dir.as_ref().map_or_else(|| path.to_owned(), |dir| dir.join(path))
    }

    /// The data directory that was named: by the flag, the environment or the config file.
    pub fn named_data_directory(&self) -> Option<PathBuf> {
        self.pgdata_flags.first().or(self.pgdata_elsewhere.as_ref()).map(|dir| self.absolute(dir))
    }

    /// The data directory that was named, else the current directory where it is one.
    pub fn data_directory(&self) -> Result<PathBuf, SettingsError> {
        let current = || self.current_dir.clone().filter(|dir| Cluster::is_data_directory(dir));
        self.named_data_directory().or_else(current).ok_or(SettingsError::NoDataDirectory)
    }

    /// The data directory that was typed with -D: for verbs that do more where one is, whatever the environment
    /// of a server or a cron job names.
    pub fn typed_data_directory(&self) -> Option<PathBuf> {
        self.pgdata_flags.first().map(|dir| self.absolute(dir))
    }

    /// Every data directory that was typed; else the current directory where it is one, for a server calls its
    /// archive_cleanup_command there; else the one that is named elsewhere.
    pub fn data_directories(&self) -> Vec<PathBuf> {
        if !self.pgdata_flags.is_empty() {
            return self.pgdata_flags.iter().map(|dir| self.absolute(dir)).collect();
        }
        let current = || self.current_dir.clone().filter(|dir| Cluster::is_data_directory(dir));
        current().or_else(|| self.named_data_directory()).into_iter().collect()
    }

    /// Every data directory that was typed, else the one that is named elsewhere, else the current one.
    pub fn watched_directories(&self) -> Result<Vec<PathBuf>, SettingsError> {
        if self.pgdata_flags.is_empty() {
            return self.data_directory().map(|dir| vec![dir]);
        }
        Ok(self.pgdata_flags.iter().map(|dir| self.absolute(dir)).collect())
    }

    /// The data directory of a verb that a server calls with a path: the one that was typed, the one that the
    /// path leads through, the current directory; then what environment and config file say. The server runs
    /// commands in its data directory, and its environment may name another cluster.
    pub fn data_directory_of(&self, path: &Path) -> Option<PathBuf> {
        if let Some(typed) = self.pgdata_flags.first() {
            return Some(self.absolute(typed));
        }
        let current = || self.current_dir.clone().filter(|dir| Cluster::is_data_directory(dir));
        Cluster::owning(path).or_else(current).or_else(|| self.named_data_directory())
    }
}

/// The data directory of a call whose settings could not be resolved.
pub(super) fn data_directory_without_config(typed: Option<&Path>) -> Option<PathBuf> {
    let current = || env::current_dir().ok().filter(|dir| Cluster::is_data_directory(dir));
    typed.map(Path::to_owned).or_else(current).or_else(pgdata_variable)
}

/// One file at once for each core, but the server has to have some.
fn default_jobs() -> usize {
    const MOST: usize = 4;
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST))
}

fn pgdata_variable() -> Option<PathBuf> {
    ["WALKEEP_PGDATA", "KINGBASE_DATA", "PGDATA"].into_iter().find_map(variable).map(PathBuf::from)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

fn some_number(text: &str) -> Result<u64, String> {
    number(text)
        .and_then(|number| if number > 0 { Ok(number) } else { Err("it has to be 1 or more".to_owned()) })
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// What `log` and `WALKEEP_LOG` say: a level, a format, or both, as in `info,json`.
#[derive(Clone, Copy)]
struct LogSetting {
    quiet: bool,
    verbose: u8,
    format: LogFormat,
}

impl Default for LogSetting {
    fn default() -> Self {
        Self { quiet: false, verbose: 0, format: LogFormat::Text }
    }
}

impl LogSetting {
    fn parse(text: &str) -> Result<Self, String> {
        let mut setting = Self::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "error" => setting.quiet = true,
                "warn" | "warning" => {}
                "info" => setting.verbose = 1,
                "debug" => setting.verbose = 2,
                "text" => setting.format = LogFormat::Text,
                "json" => setting.format = LogFormat::Json,
                _ => return Err(format!("'{word}' is none of error, warn, info, debug, text and json")),
            }
        }
        Ok(setting)
    }
}

/// The config file: one file is one cluster.
struct ConfigFile {
    path: PathBuf,
    table: Table,
}

impl ConfigFile {
    fn read(named: Option<&Path>) -> Result<Self, SettingsError> {
        let path = named.unwrap_or(Path::new(CONFIG_FILE)).to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(SettingsError::Unreadable { path, source }),
        };
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, SettingsError> {
        match text.parse::<Table>() {
            Ok(table) => Self { path, table }.with_known_keys(),
            Err(error) => Err(SettingsError::NotToml { path, source: Box::new(error) }),
        }
    }

    fn with_known_keys(self) -> Result<Self, SettingsError> {
        for (section, value) in &self.table {
            let keys = match value {
                Value::Table(inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
                _ => vec![section.clone()],
            };
            if let Some(key) = keys.into_iter().find(|key| !KEYS.contains(&key.as_str())) {
                let nearest = KEYS.into_iter().min_by_key(|known| strsim::levenshtein(known, &key));
                let nearest = nearest.unwrap_or("repository.url");
                return Err(SettingsError::UnknownKey { path: self.path, key, nearest });
            }
        }
        Ok(self)
    }

    /// The text under a key; a number counts as its digits.
    fn text(&self, key: &'static str) -> Result<Option<String>, SettingsError> {
        let value = match key.split_once('.') {
            Some((section, key)) => self.table.get(section).and_then(|section| section.get(key)),
            None => self.table.get(key),
        };
        match value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Integer(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(self.bad(key, "it is no text".to_owned())),
        }
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|reason| self.bad(key, reason))
    }

    /// The texts in the list under a key; none where there is no such key.
    fn texts(&self, key: &'static str) -> Result<Vec<String>, SettingsError> {
        let value = key.split_once('.').and_then(|(section, key)| self.table.get(section)?.get(key));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = match value {
            None => Some(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(_) => None,
        };
        texts.ok_or_else(|| self.bad(key, "it is no list of texts".to_owned()))
    }

    fn bad(&self, key: &'static str, reason: String) -> SettingsError {
        SettingsError::BadValue { path: self.path.clone(), key, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use proptest::prelude::*;

    const SAMPLE: &str = include_str!("../../packaging/walkeep.toml.sample");

    /// The sample with every key set.
    fn whole_sample() -> String {
        let set = |line: &str| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|first: char| first.is_ascii_lowercase()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        };
        SAMPLE.lines().map(set).collect()
    }

    fn keys(table: &Table) -> Vec<String> {
        let keys = |(section, value): (&String, &Value)| match value {
            Value::Table(inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        };
        let mut keys: Vec<String> = table.iter().flat_map(keys).collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_sample_of_the_packages_has_every_key_and_is_understood() {
        let known = {
            let mut known = KEYS.map(str::to_owned);
            known.sort();
            known
        };
        let file = ConfigFile::parse("sample".into(), &whole_sample()).unwrap();
        assert_eq!(keys(&file.table), known);
        let as_it_is = ConfigFile::parse("sample".into(), SAMPLE).unwrap();
        assert_eq!(keys(&as_it_is.table), ["cluster.pgdata", "repository.url"]);
        let scratch = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut scratch.as_file(), whole_sample().as_bytes()).unwrap();
        let typed = ["walkeep", "status", "--config", scratch.path().to_str().unwrap()].map(OsString::from);
        let settings = Settings::resolve(&Arguments::read(&typed).unwrap().common, false);
        assert!(settings.is_ok(), "{:?}", settings.err());
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_config_file_it_has_known_keys_or_is_refused(
                text in mutated_text(&[&whole_sample(), SAMPLE, "log = \"info,json\"\n[repository]\nurl = \"file:///a\"\n"]),
            ) {
                match ConfigFile::parse("walkeep.toml".into(), &text) {
                    Ok(file) => {
                        prop_assert!(keys(&file.table).iter().all(|key| KEYS.contains(&key.as_str())));
                        for key in KEYS {
                            let _ = (file.text(key), file.texts(key));
                            let _ = (file.parsed(key, number), file.parsed(key, str::parse::<Size>));
                            let _ = (file.parsed(key, str::parse::<Duration>), file.parsed(key, LogSetting::parse));
                            let _ = (file.parsed(key, str::parse::<Compression>), file.parsed(key, str::parse::<Jobs>));
                        }
                    }
                    Err(error) => prop_assert!(error.to_string().contains("walkeep.toml")),
                }
            }
        }
    }
}
