//! The server's configuration, as the server itself resolves it, from files alone.

mod command_line;
pub(in crate::cluster) mod scanner;
mod walk;

use std::fmt;
use std::path::{Path, PathBuf};

use super::dialect::RecoveryFiles;
use super::{Cluster, ClusterError};
use command_line::CommandLine;
use walk::{Kind, Parents, Walk};

/// A configuration: every setting that the server's files and command line make, in the order in which the
/// server takes them, so that the last of a name counts.
///
/// It is what the files say now. A server that runs may not have read them since, keeps what only a restart
/// changes (such as archive_mode), and keeps everything while there is a fault in them. The command line is
/// that of the last start; a server that is stopped may be started with another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerConfig {
    settings: Vec<Setting>,
    faults: Vec<ConfigFault>,
    files: Vec<PathBuf>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name, in lower case.
    pub name: String,
    /// The value, without quotes and escapes; bytes that are no UTF-8 are replaced.
    pub value: String,
    /// Where it is made.
    pub origin: Origin,
}

/// Where a setting is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a line of a configuration file.
    File {
        /// The file, by its absolute path.
        file: PathBuf,
        /// The line, counted from 1.
        line: u32,
    },
    /// In a line of recovery.conf, or of a file that it includes: known to servers before 12 alone, which know
    /// these names nowhere else.
    RecoveryConf {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u32,
    },
    /// On the command line of the last start, above all files.
    CommandLine {
        /// The file in which the server wrote it down.
        file: PathBuf,
    },
}

impl fmt::Display for Origin {
    /// Names the place, such as "/data/postgresql.conf:12".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } | Self::RecoveryConf { file, line } => {
                write!(f, "{}:{line}", file.display())
            }
            Self::CommandLine { file } => write!(f, "the command line in {}", file.display()),
        }
    }
}

/// What is wrong in a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file that it is found in, or that cannot be read.
    pub file: PathBuf,
    /// The line, counted from 1, where it is one line's.
    pub line: Option<u32>,
    /// What it is.
    pub kind: FaultKind,
}

/// What is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// A line that no server understands.
    #[error("syntax error {}", near(text))]
    Syntax {
        /// The text that does not fit; empty at the end of the line.
        text: String,
    },
    /// The server gives a file up after so many syntax errors; what follows them was not read.
    #[error("too many syntax errors, the rest is not read")]
    TooManySyntaxErrors,
    /// An include without a name.
    #[error("an include without a name")]
    EmptyInclude,
    /// A file that has to be there and is not.
    #[error("'{}' is not there", target.display())]
    Missing {
        /// The file or directory.
        target: PathBuf,
    },
    /// A file that includes itself.
    #[error("it includes itself")]
    IncludesItself,
    /// Files include each other deeper than the servers follow, as in a loop.
    #[error("'{}' is included more than {MOST_DEPTH} files deep", target.display())]
    TooDeep {
        /// The file or directory that is one too deep.
        target: PathBuf,
    },
    /// A file or directory that is there and that this user cannot read.
    #[error("cannot read '{}': {cause}", target.display())]
    Unreadable {
        /// The file or directory.
        target: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// More than walkeep reads of a configuration.
    #[error("'{}' makes the configuration longer than {} MiB, {MOST_FILES} files or {MOST_SETTINGS} settings", target.display(), MOST_BYTES >> 20)]
    TooLong {
        /// The file or directory that was not read to its end.
        target: PathBuf,
    },
    /// A path on the command line is relative to where the server was started, which no file tells.
    #[error("'{}' is relative to where the server was started", target.display())]
    RelativePath {
        /// The path.
        target: PathBuf,
    },
    /// The configuration is that of another data directory.
    #[error("it is the configuration of '{}'", target.display())]
    OtherDataDirectory {
        /// What its data_directory says.
        target: PathBuf,
    },
}

fn near(text: &str) -> String {
    if text.is_empty() {
        "at the end of the line".to_owned()
    } else {
        format!("near '{}'", text.escape_debug())
    }
}

impl ConfigFault {
    /// Whether settings may be made that were not seen.
    #[must_use]
    pub const fn hides_settings(&self) -> bool {
        match self.kind {
            FaultKind::Syntax { .. }
            | FaultKind::TooManySyntaxErrors
            | FaultKind::EmptyInclude
            | FaultKind::IncludesItself
            | FaultKind::TooDeep { .. } => false,
            // Without its main file it is another configuration; what an include misses nobody has.
            FaultKind::Missing { .. } => self.line.is_none(),
            FaultKind::Unreadable { .. }
            | FaultKind::TooLong { .. }
            | FaultKind::RelativePath { .. }
            | FaultKind::OtherDataDirectory { .. } => true,
        }
    }
}

impl FaultKind {
    /// Whether the server itself takes nothing from its files while this is so: it does not start, and a
    /// reload changes nothing (`ProcessConfigFile` in guc-file.l).
    const fn stops_the_server(&self) -> bool {
        matches!(
            self,
            Self::Syntax { .. }
                | Self::TooManySyntaxErrors
                | Self::EmptyInclude
                | Self::IncludesItself
                | Self::TooDeep { .. }
                | Self::Missing { .. }
        )
    }
}

impl fmt::Display for ConfigFault {
    /// Names the place and what is wrong, such as "/data/postgresql.conf:12: syntax error near 'x'".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        write!(f, "{}{line}: {}", self.file.display(), self.kind)
    }
}

/// `CONF_FILE_MAX_DEPTH` in utils/conffiles.h, and as a bare number before.
const MOST_DEPTH: u32 = 10;

/// All files of a configuration together; a usual one has 30 KiB.
const MOST_BYTES: u64 = 16 << 20;

/// Files that are included, each time they are; two that include each other twice already make 2^10 reads.
const MOST_FILES: usize = 1000;

/// Memory is bounded by this, for a setting may be 3 bytes long.
const MOST_SETTINGS: usize = 100_000;

/// What archive_mode says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveMode {
    /// Nothing is archived.
    Off,
    /// A primary archives.
    On,
    /// A standby archives as well (not openGauss).
    Always,
}

impl ServerConfig {
    /// Every setting of every name, in order.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The setting of a name that counts: the last.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Setting> {
        self.values(name).last()
    }

    /// Every setting of a name in order, of which the last counts.
    pub fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Setting> + use<'a, 'n> {
        self.settings.iter().filter(move |setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// Whether a boolean is on; `None` where nothing sets it, or sets it to what is no boolean.
    #[must_use]
    pub fn is_on(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(|setting| parse_bool(&setting.value))
    }

    /// What archive_mode says, which is off where nothing sets it; `None` where it says what no server takes.
    #[must_use]
    pub fn archive_mode(&self) -> Option<ArchiveMode> {
        match self.value("archive_mode") {
            None => Some(ArchiveMode::Off),
            Some(setting) if setting.value.eq_ignore_ascii_case("always") => Some(ArchiveMode::Always),
            // Of openGauss's boolean a part of the word is enough; of the others' list of words it is not.
            Some(setting) => {
                parse_bool(&setting.value).map(|on| if on { ArchiveMode::On } else { ArchiveMode::Off })
            }
        }
    }

    /// What is wrong, in the order in which it was found.
    #[must_use]
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }

    /// Whether everything that makes settings was read. Otherwise a setting that is not seen may be made, and
    /// one that is seen may be overruled: what follows from this configuration is unknown.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        !self.faults.iter().any(ConfigFault::hides_settings)
    }

    /// The faults for which the server takes nothing from its files: it does not start, and a reload changes
    /// nothing, so that one that runs goes on with what it read before.
    pub fn refused_by_the_server(&self) -> impl Iterator<Item = &ConfigFault> {
        self.faults.iter().filter(|fault| fault.kind.stops_the_server())
    }

    /// The configuration files that were read, in order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn made_of(walk: Walk) -> Self {
        Self { settings: walk.settings, faults: walk.faults, files: walk.files }
    }
}

/// The servers' `parse_bool` (utils/adt/bool.c): the beginnings of words too, but not the "o" that on and off
/// share.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str| !value.is_empty() && word.starts_with(value.as_str());
    if value == "on" || value == "1" || begins("true") || begins("yes") {
        Some(true)
    } else if value == "0" || (value != "o" && begins("off")) || begins("false") || begins("no") {
        Some(false)
    } else {
        None
    }
}

impl Cluster {
    /// Reads the server's configuration: its main file and what that includes, ALTER SYSTEM's file, for
    /// servers before 12 recovery.conf, and the command line that the server wrote down when it started.
    ///
    /// What is wrong with them is in [`ServerConfig::faults`], whatever it is, and the rest is still there.
    pub fn server_config(&self) -> Result<ServerConfig, ClusterError> {
        let data = std::path::absolute(&self.data_directory)
            .map_err(|source| ClusterError::Unreadable { path: self.data_directory.clone(), source })?;
        let opts_file = data.join(self.dialect.opts_file);
        let mut opts = Walk::default();
        let command_line =
            CommandLine::parse(&opts.read(&opts_file, &opts_file, None, false).unwrap_or_default());
        let mut walk = self.main_file(&data, &opts_file, &command_line);
        walk.faults.splice(0..0, opts.faults);
        walk.follow(&data.join(self.dialect.auto_conf_file), Kind::Configuration, false);
        if self.dialect.recovery == RecoveryFiles::RecoveryConf {
            walk.follow(&data.join("recovery.conf"), Kind::RecoveryConf, false);
        }
        let settings = command_line.settings.into_iter().map(|set| Setting {
            name: set.name,
            value: String::from_utf8_lossy(&set.value).into_owned(),
            origin: Origin::CommandLine { file: opts_file.clone() },
        });
        walk.settings.extend(settings);
        Ok(ServerConfig::made_of(walk))
    }

    /// Reads the main file where the server finds it (`SelectConfigFiles` in guc.c): `config_file` on the
    /// command line, else in the directory of `-D`, which may be one for configuration alone.
    fn main_file(&self, data: &Path, opts_file: &Path, command_line: &CommandLine) -> Walk {
        let parents = if self.major() >= Some(15) { Parents::ByText } else { Parents::ByKernel };
        let file_of = |path: &Path| walk_of(&path.join(self.dialect.conf_file), data, parents);
        let named = command_line.settings.iter().rfind(|set| set.name == "config_file");
        if let Some(named) = named {
            return named_file(walk::path_of(&named.value), data, opts_file, parents);
        }
        // What -D says may be where the data directory lay once, or a relative path: only a configuration
        // that names this data directory is this server's.
        let elsewhere = command_line.directory().filter(|dir| dir.is_absolute() && !is_same(dir, data));
        let elsewhere = elsewhere.map(file_of).filter(|walk| names(walk, data));
        elsewhere.unwrap_or_else(|| file_of(data))
    }
}

/// The configuration in the file that `config_file` names.
fn named_file(path: &Path, data: &Path, opts_file: &Path, parents: Parents) -> Walk {
    if path.is_absolute() {
        return walk_of(path, data, parents);
    }
    let mut walk = Walk::default();
    walk.fault(opts_file, None, FaultKind::RelativePath { target: path.to_path_buf() });
    walk
}

/// A main file and what it includes, with a fault where it belongs to another data directory.
fn walk_of(file: &Path, data: &Path, parents: Parents) -> Walk {
    let mut walk = Walk::new(parents);
    walk.follow(file, Kind::Configuration, true);
    if let Some(other) = data_directory(&walk).filter(|named| !is_same(named, data)) {
        walk.fault(file, None, FaultKind::OtherDataDirectory { target: other });
    }
    walk
}

fn data_directory(walk: &Walk) -> Option<PathBuf> {
    let set = walk.settings.iter().rfind(|setting| setting.name == "data_directory");
    set.map(|setting| PathBuf::from(&setting.value)).filter(|path| path.is_absolute())
}

fn names(walk: &Walk, data: &Path) -> bool {
    data_directory(walk).is_some_and(|named| is_same(&named, data))
}

/// Whether two paths lead to one directory; what cannot be looked at is compared by name.
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    real(one) == real(other)
}

#[cfg(test)]
mod tests;
