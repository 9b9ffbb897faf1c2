//! Setup: how a server is told to archive, where that stands, and how it is changed.

use super::{ArchiverFacts, Source};

/// A setting's value, and where it stands.
pub type Setting = (String, Source);

/// How a server is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetupFacts {
    /// How it is told to archive.
    pub archiver: ArchiverFacts,
    /// `wal_level`, where it is set.
    pub wal_level: Option<Setting>,
    /// `restore_command`, where it is set.
    pub restore_command: Option<Setting>,
    /// `archive_timeout`, where it is set.
    pub archive_timeout: Option<Setting>,
    /// Whether it is told to recover, or to stay a standby.
    pub is_standby: bool,
    /// What the archive_command calls.
    pub program: Option<ProgramFacts>,
    /// The repository that the archive_command names.
    pub stored_in: Option<RepositoryInCommand>,
    /// How the product is configured.
    pub manual: Manual,
}

/// The program that a command calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramFacts {
    /// As the command names it.
    pub name: String,
    /// What is there.
    pub state: ProgramState,
}

/// What is where a command looks for its program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProgramState {
    /// The very program that runs now.
    ThisOne,
    /// Another one.
    AnotherOne,
    /// It is looked for along the server's PATH, which no file tells.
    OnPath,
    /// Nothing that can be executed, and what is there instead.
    Unusable(String),
}

/// A repository as an archive_command names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryInCommand {
    /// As it stands there.
    pub name: String,
    /// Whether it is the one that was named; `None` where none was.
    pub is_the_named_one: Option<bool>,
}

/// How a product is configured: which file counts, and what makes it take effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manual {
    /// The data directory.
    pub data_directory: String,
    /// The file that a new setting goes into.
    pub file: String,
    /// The file that only ALTER SYSTEM writes.
    pub auto_file: String,
    /// The file that recovery settings go into where that is another one.
    pub recovery_file: Option<String>,
    /// The program that reloads and restarts the server.
    pub control_program: &'static str,
    /// Whether commands run in a shell.
    pub runs_a_shell: bool,
    /// Whether a reload changes archive_mode.
    pub reloads_archive_mode: bool,
    /// Whether a reload changes restore_command.
    pub reloads_restore_command: bool,
    /// What `%p` begins with.
    pub wal_directory: &'static str,
    /// Longest command in bytes, once its placeholders are replaced.
    pub most_command_bytes: Option<usize>,
}
