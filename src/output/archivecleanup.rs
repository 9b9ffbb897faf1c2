//! What `sys_archivecleanup` and `pg_archivecleanup` say: the wording of PostgreSQL 17, for the sake of whoever
//! searches logs for it.

use std::error::Error;
use std::ffi::OsStr;
use std::io;

use crate::commands::{CleanupError, CleanupStep, Hint as _, Live, PruneReport};
use crate::retention::Pin;

/// The messages of one call, each a line or two under the program's name.
pub struct CleanupMessages<'p> {
    /// The name that the program was called by.
    pub program: &'p str,
}

/// What was wrong with the arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CleanupUsage {
    /// There is none.
    NoLocation,
    /// There is but one.
    NoOldestKept,
    /// There are three.
    TooMany,
    /// An option is wrong: the line that the system's own option parser writes.
    Option(String),
}

impl CleanupMessages<'_> {
    /// What `--help` prints.
    #[must_use]
    pub fn help(&self) -> String {
        let program = self.program;
        format!(
            "{program} removes older WAL files from archives of KingbaseES, PostgreSQL and openGauss.\n\
             \n\
             Usage:\n  {program} [OPTION]... ARCHIVELOCATION OLDESTKEPTWALFILE\n\
             \n\
             Options:\n\
             \x20 -b, --clean-backup-history  clean up files including backup history files\n\
             \x20 -d, --debug                 generate debug output (verbose mode)\n\
             \x20 -n, --dry-run               dry run, show the names of the files that would be\n\
             \x20                             removed\n\
             \x20 -V, --version               output version information, then exit\n\
             \x20 -x, --strip-extension=EXT   strip this extension before identifying files for\n\
             \x20                             clean up\n\
             \x20 -?, --help                  show this help, then exit\n\
             \n\
             For use as archive_cleanup_command in the server's configuration:\n  \
             archive_cleanup_command = '{program} [OPTION]... ARCHIVELOCATION %r'\n\
             e.g.\n  archive_cleanup_command = '{program} /mnt/server/archiverdir %r'\n\
             \n\
             Or for use as a standalone archive cleaner:\n\
             e.g.\n  {program} /mnt/server/archiverdir 000000010000000000000010.00000020.backup\n\
             \n\
             This is walkeep under another name. It refuses live WAL directories and data directories; in a\n\
             walkeep repository it does what 'walkeep prune OLDESTKEPTWALFILE' does: what slots, standbys, base\n\
             backups and holds need stays.\n"
        )
    }

    /// What `--version` prints.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{} (walkeep) {}\n", self.program, env!("CARGO_PKG_VERSION"))
    }

    /// What a step writes to standard error where more is asked for.
    #[must_use]
    pub fn debug(&self, step: CleanupStep<'_>) -> String {
        let program = self.program;
        match step {
            CleanupStep::Keeping(path) => format!("{program}: keeping WAL file {} and later\n", quoted(path)),
            CleanupStep::WouldRemove(path) => format!("{program}: file {} would be removed\n", quoted(path)),
            CleanupStep::Removing(path) => format!("{program}: removing file {}\n", quoted(path)),
        }
    }

    /// What wrong arguments write there.
    #[must_use]
    pub fn usage(&self, fault: &CleanupUsage) -> String {
        let line = match fault {
            CleanupUsage::NoLocation => self.error("must specify archive location"),
            CleanupUsage::NoOldestKept => self.error("must specify oldest kept WAL file"),
            CleanupUsage::TooMany => self.error("too many command-line arguments"),
            CleanupUsage::Option(line) => format!("{line}\n"),
        };
        line + &self.try_help()
    }

    /// What a failure writes there.
    #[must_use]
    pub fn failure(&self, error: &CleanupError) -> String {
        let failed = |what: &str, path: &OsStr, source: &io::Error| {
            self.error(&format!("could not {what} {}: {}", quoted(path), system_message(source)))
        };
        match error {
            CleanupError::NoSuchLocation(path) => {
                self.error(&format!("archive location {} does not exist", quoted(path.as_os_str())))
            }
            CleanupError::NotAWalFile => self.error("invalid file name argument") + &self.try_help(),
            CleanupError::NotOpened { path, source } => {
                failed("open archive location", path.as_os_str(), source)
            }
            CleanupError::NotRead { path, source } => {
                failed("read archive location", path.as_os_str(), source)
            }
            CleanupError::NotRemoved { path, source } => failed("remove file", path.as_os_str(), source),
            CleanupError::Live { path, live } => {
                let path = quoted(path.as_os_str());
                self.refusal(error, &format!("archive location {path} is {}", live_text(*live)))
            }
            CleanupError::Unknown { path, .. } => {
                let path = quoted(path.as_os_str());
                let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
                let causes: String = causes.map(|cause| format!(": {cause}")).collect();
                let what = format!("cannot tell whether archive location {path} is a server's{causes}");
                self.refusal(error, &what)
            }
        }
    }

    /// What a refused prune of a repository writes there.
    #[must_use]
    pub fn not_pruned(&self, location: &OsStr, error: &dyn Error, hint: Option<String>) -> String {
        let causes = std::iter::successors(Some(error), |cause| (*cause).source());
        let causes: String = causes.map(|cause| format!(": {cause}")).collect();
        let what = format!("cannot prune the walkeep repository {}{causes}", quoted(location));
        let hint = hint.map(|hint| format!("{}: hint: {hint}\n", self.program));
        self.error(&what) + &hint.unwrap_or_default()
    }

    /// Who needs more of a repository than was said, where more is asked for.
    #[must_use]
    pub fn pinned(&self, report: &PruneReport) -> String {
        let program = self.program;
        let pin = |pin: &Pin| format!("{program}: keeping everything from {} on: {}\n", pin.from, pin.why);
        report.pins.first().map(pin).unwrap_or_default()
    }

    fn refusal(&self, error: &CleanupError, what: &str) -> String {
        let hint = error.hint().map(|hint| format!("{}: hint: {hint}\n", self.program));
        self.error(what) + &hint.unwrap_or_default()
    }

    fn error(&self, what: &str) -> String {
        format!("{}: error: {what}\n", self.program)
    }

    fn try_help(&self) -> String {
        format!("{0}: hint: Try \"{0} --help\" for more information.\n", self.program)
    }
}

const fn live_text(live: Live) -> &'static str {
    match live {
        Live::DataDirectory => "a data directory",
        Live::WalDirectory => "a live WAL directory",
        Live::StatusDirectory => "a directory of archive status files",
    }
}

fn quoted(path: &OsStr) -> String {
    format!("\"{}\"", path.to_string_lossy())
}

/// The system's message without its number, as C programs print it.
fn system_message(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}
