use std::fmt;
use std::time::Duration;

use super::finding::{at, spoken};
use super::{Source, Verdict};
use crate::wal::WalFileName;

/// What doctor finds beside what the gate does: in the configuration, and in the environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// The archive_command stores elsewhere.
    OtherRepository {
        /// Where it stores.
        stored_in: String,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command's repository depends on the directory that it runs in.
    RelativeRepository {
        /// As it stands there.
        name: String,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command's program cannot be started.
    NoProgram {
        /// As the command names it.
        name: String,
        /// What is there instead.
        reason: String,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command calls another walkeep.
    OtherProgram {
        /// As the command names it.
        name: String,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command's program is looked for along the server's PATH.
    ProgramOnPath {
        /// As the command names it.
        name: String,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command is longer than the server takes.
    CommandTooLong {
        /// So long can it become.
        bytes: usize,
        /// The server cuts what is behind.
        most: usize,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// The archive_command needs a shell, and this server runs none.
    NeedsShell {
        /// What only a shell understands.
        syntax: &'static str,
        /// Where the command stands.
        at: Option<Source>,
    },
    /// Something else than walkeep archives.
    NotThroughWalkeep {
        /// Where the command stands.
        at: Option<Source>,
    },
    /// `wal_level` leaves out what an archive needs.
    WalLevelMinimal(Source),
    /// A standby has no restore_command.
    NoRestoreCommand,
    /// Nothing ends a segment in time.
    NoArchiveTimeout,
    /// No repository was named, so that no line can be written out.
    NoRepositoryNamed,
    /// Nothing says what may ever be pruned.
    NoRetentionPolicy,
    /// The repository shares a file system with the cluster.
    SharedFileSystem {
        /// Where it lies.
        location: String,
    },
    /// The repository is of another user than the server.
    OwnedByAnother {
        /// Where it lies.
        location: String,
        /// Whose it is.
        owner: String,
        /// Who the server runs as.
        server_user: String,
    },
    /// Others may write into the repository.
    OpenToOthers {
        /// Where it lies.
        location: String,
        /// Its mode.
        mode: u32,
    },
    /// A stored file bears a time that is not yet.
    FromTheFuture {
        /// The file.
        name: WalFileName,
        /// So far ahead.
        ahead: Duration,
    },
    /// The repository's file system has no hard links.
    NoHardLinks,
    /// The repository's file system has no locks.
    NoLocks,
    /// The repository's file system does not sync directories.
    NoDirectorySync,
    /// A file could not be taken into the repository and back.
    RoundTripFailed(String),
    /// Nothing was taken into the repository and back.
    RoundTripSkipped {
        /// Whose the repository is.
        owner: String,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherRepository { stored_in, at: source } => {
                write!(f, "archive_command stores into '{stored_in}'{}", at(source.as_ref()))
            }
            Self::RelativeRepository { name, at: source } => {
                write!(
                    f,
                    "archive_command names the repository by the relative path '{name}'{}",
                    at(source.as_ref())
                )
            }
            Self::NoProgram { name, reason, at: source } => {
                write!(f, "archive_command calls '{name}', and {reason}{}", at(source.as_ref()))
            }
            Self::OtherProgram { name, at: source } => {
                write!(f, "archive_command calls '{name}', which is not this walkeep{}", at(source.as_ref()))
            }
            Self::ProgramOnPath { name, at: source } => {
                write!(f, "archive_command calls '{name}' without its path{}", at(source.as_ref()))
            }
            Self::CommandTooLong { bytes, most, at: source } => {
                write!(
                    f,
                    "archive_command becomes up to {bytes} bytes long, of which the server takes {most}{}",
                    at(source.as_ref())
                )
            }
            Self::NeedsShell { syntax, at: source } => {
                write!(
                    f,
                    "archive_command holds {syntax}, and this server runs no shell{}",
                    at(source.as_ref())
                )
            }
            Self::NotThroughWalkeep { at: source } => {
                write!(f, "archive_command does not call walkeep{}", at(source.as_ref()))
            }
            Self::WalLevelMinimal(source) => write!(f, "wal_level is minimal ({source})"),
            Self::NoRestoreCommand => f.write_str("this standby has no restore_command"),
            Self::NoArchiveTimeout => f.write_str("archive_timeout is 0"),
            Self::NoRepositoryNamed => f.write_str("no repository was named"),
            Self::NoRetentionPolicy => f.write_str("no retention policy is set"),
            Self::SharedFileSystem { location } => {
                write!(f, "the repository '{location}' lies on the file system of the cluster")
            }
            Self::OwnedByAnother { location, owner, server_user } => {
                write!(
                    f,
                    "the repository '{location}' belongs to {owner}, and the server runs as {server_user}"
                )
            }
            Self::OpenToOthers { location, mode } => {
                let whom = if mode & 0o002 == 0 { "its group" } else { "everybody" };
                write!(f, "{whom} may write into the repository '{location}' (mode {mode:04o})")
            }
            Self::FromTheFuture { name, ahead } => {
                write!(f, "the stored file {name} bears a time that is {} ahead", spoken(*ahead))
            }
            Self::NoHardLinks => f.write_str("the repository's file system has no hard links"),
            Self::NoLocks => f.write_str("the repository's file system has no locks"),
            Self::NoDirectorySync => f.write_str("the repository's file system does not sync directories"),
            Self::RoundTripFailed(reason) => {
                write!(f, "a file could not be taken into the repository and back: {reason}")
            }
            Self::RoundTripSkipped { owner } => {
                write!(
                    f,
                    "no file was taken into the repository and back: this is root, and it belongs to {owner}"
                )
            }
        }
    }
}

impl Flaw {
    /// How bad it is; OK for what is only worth knowing.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self {
            Self::NoProgram { .. }
            | Self::CommandTooLong { .. }
            | Self::NeedsShell { .. }
            | Self::WalLevelMinimal(_)
            | Self::RoundTripFailed(_) => Verdict::Critical,
            Self::OtherRepository { .. }
            | Self::RelativeRepository { .. }
            | Self::SharedFileSystem { .. }
            | Self::OwnedByAnother { .. }
            | Self::FromTheFuture { .. }
            | Self::NoLocks => Verdict::Warning,
            Self::OpenToOthers { mode, .. } if *mode & 0o002 != 0 => Verdict::Warning,
            _ => Verdict::Ok,
        }
    }

    /// The flaw's short name in machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::OtherRepository { .. } => "archives_into_another_repository",
            Self::RelativeRepository { .. } => "relative_repository",
            Self::NoProgram { .. } => "archive_program_unusable",
            Self::OtherProgram { .. } => "another_walkeep",
            Self::ProgramOnPath { .. } => "archive_program_on_path",
            Self::CommandTooLong { .. } => "archive_command_too_long",
            Self::NeedsShell { .. } => "archive_command_needs_shell",
            Self::NotThroughWalkeep { .. } => "not_through_walkeep",
            Self::WalLevelMinimal(_) => "wal_level_minimal",
            Self::NoRestoreCommand => "no_restore_command",
            Self::NoArchiveTimeout => "no_archive_timeout",
            Self::NoRepositoryNamed => "no_repository_named",
            Self::NoRetentionPolicy => "no_retention_policy",
            Self::SharedFileSystem { .. } => "shared_file_system",
            Self::OwnedByAnother { .. } => "repository_of_another_user",
            Self::OpenToOthers { .. } => "repository_open_to_others",
            Self::FromTheFuture { .. } => "stored_in_the_future",
            Self::NoHardLinks => "no_hard_links",
            Self::NoLocks => "no_locks",
            Self::NoDirectorySync => "no_directory_sync",
            Self::RoundTripFailed(_) => "round_trip_failed",
            Self::RoundTripSkipped { .. } => "round_trip_skipped",
        }
    }

    /// What it means, as a sentence; `None` where that is plain.
    #[must_use]
    pub const fn why(&self) -> Option<&'static str> {
        Some(match self {
            Self::OtherRepository { .. } => "What was looked at here is not where this server's WAL goes.",
            Self::RelativeRepository { .. } => {
                "The server runs it in the data directory, so that the archive goes when that goes."
            }
            Self::NoProgram { .. } => "Everything stays pending until the disk is full.",
            Self::ProgramOnPath { .. } => {
                "Whether the server's PATH leads to it cannot be told from its files."
            }
            Self::CommandTooLong { .. } => {
                "The server cuts the command without a word (MAXPGPATH), and runs the rest."
            }
            Self::NeedsShell { .. } => {
                "It is split at white space and executed, so that nothing is archived as meant."
            }
            Self::WalLevelMinimal(_) => "A server with archive_mode on does not start with it.",
            Self::NoRestoreCommand => {
                "A standby that falls behind its primary's WAL could catch up from the archive."
            }
            Self::NoArchiveTimeout => {
                "A segment is archived when it is full: on a quiet server hours of work may be on this node only."
            }
            Self::OwnedByAnother { .. } => {
                "The server cannot store there, unless a group of its user lets it."
            }
            Self::OpenToOthers { .. } => "Whoever can write there can replace what a recovery will read.",
            Self::FromTheFuture { .. } => {
                "A clock is wrong, here or where it was stored; ages that are told are too."
            }
            Self::NoLocks => {
                "Two walkeep calls cannot wait for each other there, and leftovers are swept after a day only."
            }
            Self::NoHardLinks => "Names are given by a rename that does not replace, which is as safe.",
            Self::NoDirectorySync => {
                "It answers EINVAL or EBADF, which PostgreSQL tolerates too: whether a new name survives a power \
                 loss is up to the file system."
            }
            Self::RoundTripFailed(_) => "Archiving would fail the same way.",
            Self::NoRetentionPolicy => "Nothing is ever pruned, and the repository only grows.",
            Self::SharedFileSystem { .. } => {
                "One disk that fails takes both, and a full archive stops the server."
            }
            Self::RoundTripSkipped { .. } => "Files that root leaves behind wedge the server.",
            Self::OtherProgram { .. } | Self::NotThroughWalkeep { .. } | Self::NoRepositoryNamed => {
                return None;
            }
        })
    }

    /// What to do next, as a sentence; `None` where the lines to write say it.
    #[must_use]
    pub const fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoProgram { .. } => "Install it there, or name the one that is.",
            Self::CommandTooLong { .. } => "Move what it does into a script, or shorten its paths.",
            Self::NoArchiveTimeout => {
                "archive_timeout = 300 bounds it to five minutes, at the cost of part-filled segments."
            }
            Self::NoRepositoryNamed => {
                "With --repo DIR, the lines to write are told and the repository is checked."
            }
            Self::NoRetentionPolicy => {
                "Set one under [prune] in the config file, keep_backups = 2 for example, and run walkeep prune from cron."
            }
            Self::SharedFileSystem { .. } => "Put the repository on a disk of its own.",
            Self::OwnedByAnother { .. } => "Give the repository to the server's user: chown -R.",
            Self::OpenToOthers { .. } => "chmod go-w takes that away.",
            Self::FromTheFuture { .. } => "Compare the clocks of the nodes that archive here.",
            Self::NoLocks => "Mount it with locks (NFS: without nolock).",
            Self::RoundTripSkipped { .. } => "Run walkeep doctor as that user.",
            _ => return None,
        })
    }
}
