use std::time::{Duration, SystemTime};

use super::command::{archives_a_path, hides_failure};
use crate::wal::{Lsn, SegmentName, SegmentRange, SystemIdentifier, Timeline, WalFileName};

/// Why a fact is not known: a whole sentence for people, without its stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown(pub String);

/// All that gate, status and doctor judge by.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When it was looked at.
    pub now: SystemTime,
    /// The data directory; unknown where it is none, or its control file cannot be read.
    pub cluster: Result<ClusterFacts, Unknown>,
    /// The queue of files to be archived.
    pub backlog: Result<BacklogFacts, Unknown>,
    /// How the server is told to archive.
    pub archiver: Result<ArchiverFacts, Unknown>,
    /// The repository.
    pub repository: RepositoryState,
    /// The replication slots.
    pub slots: Result<Vec<SlotFacts>, Unknown>,
}

/// What a data directory says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterFacts {
    /// The product and its versions.
    pub product: &'static str,
    /// What the version file says.
    pub version: String,
    /// Who it is.
    pub system_identifier: SystemIdentifier,
    /// The timeline of the last checkpoint.
    pub timeline: Timeline,
    /// Where the last checkpoint lies.
    pub checkpoint: Lsn,
    /// Where a recovery would begin.
    pub redo: Lsn,
    /// The segment that `redo` lies in.
    pub redo_segment: SegmentName,
    /// Length of its segments in bytes.
    pub segment_bytes: u64,
    /// What room its WAL has; `None` where that cannot be told.
    pub wal_space: Option<WalSpace>,
    /// Whether a server runs in it, and as what.
    pub run_state: RunState,
    /// Whether it is told to stay, or to begin as, a standby.
    pub is_standby: bool,
}

/// What room there is where the WAL lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalSpace {
    /// The WAL directory.
    pub directory: String,
    /// Bytes that the server may still write there.
    pub free_bytes: u64,
    /// Whether segments lie ready for the server to write over, so that the next one takes no room.
    pub has_recycled: bool,
}

/// Whether a server runs, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// As a primary.
    Primary,
    /// As a standby.
    Standby,
    /// In recovery that will end.
    Recovering,
    /// It starts or stops at this moment.
    InTransition,
    /// Shut down as a primary.
    Stopped,
    /// Shut down as a standby.
    StoppedInRecovery,
    /// Nothing runs, and it was not shut down.
    Crashed,
}

impl RunState {
    /// Whether a server process is there.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Primary | Self::Standby | Self::Recovering | Self::InTransition)
    }
}

/// The queue: what waits in `archive_status`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BacklogFacts {
    /// What repmgr counts: every regular file that ends in `.ready`.
    pub ready_files: u64,
    /// Pending segments.
    pub segments: u64,
    /// Pending histories.
    pub histories: u64,
    /// Pending histories of base backups.
    pub backups: u64,
    /// Pending partial segments.
    pub partials: u64,
    /// `.ready` files that are no WAL file's.
    pub strangers: u64,
    /// Bytes of the pending files, as far as their kind tells.
    pub bytes: u64,
    /// The file that the server archives next.
    pub head: Option<Head>,
    /// When a file was last marked done.
    pub last_done: Option<(WalFileName, SystemTime)>,
    /// How fast files were marked done lately.
    pub pace: Option<Pace>,
    /// Pending segments whose WAL file is gone, and which the repository is not known to have.
    pub lost: Vec<SegmentRange>,
    /// Pending files that are no whole segments, whose WAL file is gone, and which the repository is not known
    /// to have; the first few.
    pub lost_others: Vec<WalFileName>,
    /// Number of pending files whose WAL file is gone.
    pub orphans: u64,
    /// How many of those the repository has.
    pub orphans_stored: u64,
}

/// The file that the server archives next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its name.
    pub name: WalFileName,
    /// Since when it waits.
    pub since: SystemTime,
}

/// How fast files were marked done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// So many files.
    pub files: u64,
    /// In this time.
    pub over: Duration,
}

/// Whether the server archives, as its configuration says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveMode {
    /// It does not.
    Off,
    /// A primary does.
    On,
    /// A standby does, too.
    Always,
}

/// Where a setting comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The file; for the command line the one that remembers it.
    pub file: String,
    /// The line in it; `None` for the command line.
    pub line: Option<u32>,
}

/// How the server is told to archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiverFacts {
    /// `archive_mode`, and where it is set.
    pub mode: (ArchiveMode, Option<Source>),
    /// `archive_command`, and where it is set; empty where it is not.
    pub command: (String, Option<Source>),
    /// Values of `archive_command` that another one hides.
    pub hidden_commands: Vec<(String, Source)>,
    /// `archive_library` (15 and later), where it is set.
    pub library: Option<(String, Source)>,
    /// `archive_dest` (KingbaseES, openGauss), where it is set.
    pub dest: Option<(String, Source)>,
    /// What is wrong with the configuration files.
    pub faults: Vec<ConfigFault>,
}

/// A configuration file that the server would not take as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigFault {
    /// The file that it is found in, or that cannot be read.
    pub file: String,
    /// The line in it, where it is one line's.
    pub line: Option<u32>,
    /// What, as a sentence without its stop.
    pub what: String,
    /// Whether the settings found may not be the ones that count.
    pub is_uncertain: bool,
}

/// What an archive_command does, as far as its text tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveCommand {
    /// There is none.
    Empty,
    /// It succeeds without doing anything.
    NoOp,
    /// It never succeeds.
    AlwaysFails,
    /// It succeeds whether or not it stored the file.
    Masked,
    /// It copies with `cp`, which does not sync, and overwrites unless something keeps it from that.
    Copy,
    /// It calls walkeep.
    Walkeep,
    /// Something else.
    Other,
}

impl ArchiveCommand {
    /// Reads a command as a shell would, as far as that is plain.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim().trim_end_matches(';').trim_end();
        let mut words = text.split_whitespace();
        let program = words.next().unwrap_or_default();
        let program_name = program.rsplit('/').next().unwrap_or(program);
        let second = words.next();
        let is_cp = |word: &str| word.rsplit('/').next() == Some("cp");
        let copies = || text.split_whitespace().any(is_cp) && !text.contains("sync");
        match (program_name, second) {
            ("", _) => Self::Empty,
            (":" | "true", _) if !text.contains(['|', '&', ';']) => Self::NoOp,
            ("exit", None | Some("0")) => Self::NoOp,
            ("exit" | "false", _) if !text.contains(['|', '&', ';']) => Self::AlwaysFails,
            _ if hides_failure(text).is_some() => Self::Masked,
            ("walkeep", _) if !archives_a_path(text) => Self::AlwaysFails,
            ("walkeep", _) => Self::Walkeep,
            _ if copies() => Self::Copy,
            _ => Self::Other,
        }
    }

    /// Whether the server's archiver, told to run it, would store files somewhere.
    #[must_use]
    pub const fn works(self) -> bool {
        !matches!(self, Self::Empty | Self::NoOp | Self::AlwaysFails)
    }
}

/// What is known of the repository.
#[derive(Clone, Debug)]
pub enum RepositoryState {
    /// Nobody named one: nothing is said of the archive itself.
    NotNamed,
    /// It is not there, is none, or cannot be read.
    Unusable {
        /// Where it was looked for.
        location: String,
        /// Why, as a sentence without its stop.
        reason: String,
    },
    /// It is of another cluster.
    OfAnotherCluster {
        /// Where it lies.
        location: String,
        /// Whose it is.
        repository: SystemIdentifier,
        /// Who asks.
        cluster: SystemIdentifier,
    },
    /// It is there, and cannot be held against its cluster.
    NotJudged {
        /// Where it lies.
        location: String,
        /// Why, as a sentence without its stop.
        reason: String,
    },
    /// It can be read.
    Usable(Box<RepositoryFacts>),
}

/// What was found in a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepositoryFacts {
    /// Where it lies.
    pub location: String,
    /// Why this user could not store in it, where that is known beforehand.
    pub unwritable: Option<String>,
    /// Bytes that may still be stored.
    pub free_bytes: u64,
    /// Whether it lies on the file system of the data directory or of its WAL.
    pub shares_file_system: bool,
    /// From which segment on it has to be without gaps: where the newest base backup begins, else its first
    /// segment. `None` while it has none.
    pub start: Option<SegmentName>,
    /// Where the newest base backup that it knows begins.
    pub newest_backup: Option<SegmentName>,
    /// What it lacks from there on, and nobody acknowledged as lost.
    pub missing: Vec<SegmentRange>,
    /// A timeline that is archived here and left this node's own one, and where it did: somebody was promoted.
    pub newer_timeline: Option<(Timeline, Lsn)>,
    /// What was acknowledged as lost, and a recovery from `start` on meets.
    pub known_gaps: Vec<SegmentRange>,
    /// Segments that the server has finished and not queued, and that are not stored, from `start` on.
    pub unqueued: Vec<SegmentRange>,
    /// Segments of the cluster's timeline behind all that is stored of it that are marked done, from `start` on, and
    /// nobody acknowledged as lost. The server takes them for archived.
    pub only_marked: Vec<SegmentRange>,
    /// What is stored under the name of the queue's head.
    pub head: HeadInRepository,
    /// Whether everything before the end of a node that was shut down is stored; `None` where nobody asked.
    pub end: Option<EndFacts>,
    /// What nodes said last that they need; unknown where one of the claims cannot be read.
    pub claims: Result<Vec<ClaimFacts>, Unknown>,
    /// What pruning would do now; `None` where there is nothing to prune, or nobody asked.
    pub retention: Option<Result<RetentionFacts, Unknown>>,
}

impl RepositoryFacts {
    /// Whether any segment was found missing, by whatever it was looked for.
    #[must_use]
    pub fn lacks_segments(&self) -> bool {
        let before_end = self.end.as_ref().is_some_and(|end| !end.missing.is_empty());
        let are_there = [&self.missing, &self.unqueued, &self.only_marked].map(Vec::is_empty);
        before_end || are_there.contains(&false)
    }
}

/// What pruning would do now, and how fast the repository grows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RetentionFacts {
    /// Whether a policy is set: without one nothing ever goes.
    pub is_licensed: bool,
    /// Every reason to keep WAL, the earliest first: that one is the horizon.
    pub pins: Vec<PinFacts>,
    /// Stored bytes that stay for the earliest pin alone; `None` where they were not measured, or it is the only one.
    pub held_alone_bytes: Option<u64>,
    /// Number of WAL files that a prune would remove.
    pub removable_files: u64,
    /// Their stored bytes, where they were measured.
    pub removable_bytes: Option<u64>,
    /// What was archived of late, where it was measured.
    pub growth: Option<Growth>,
}

/// A reason to keep WAL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinFacts {
    /// The first position that is kept.
    pub from: Lsn,
    /// Who needs it.
    pub who: String,
    /// Whether it is the policy that keeps it, and nobody's need.
    pub is_policy: bool,
    /// Whether it moves on by itself, as WAL comes.
    pub moves_on: bool,
}

/// How much was archived in which time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    /// Stored bytes.
    pub bytes: u64,
    /// In this time.
    pub over: Duration,
}

impl Growth {
    /// How much comes in a day, in bytes.
    #[must_use]
    pub fn bytes_a_day(self) -> u64 {
        const DAY_MS: u128 = 86_400_000;
        let a_day = (u128::from(self.bytes) * DAY_MS).checked_div(self.over.as_millis());
        a_day.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(u64::MAX)
    }

    /// How long so many bytes last; `None` where nothing comes.
    #[must_use]
    pub fn fills(self, free_bytes: u64) -> Option<Duration> {
        let ms = (u128::from(free_bytes) * self.over.as_millis()).checked_div(self.bytes.into())?;
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
    }
}

/// What is stored of the timelines that a node went through, up to its end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndFacts {
    /// The segment that they have to be whole from; `None` where nothing of them is stored.
    pub start: Option<SegmentName>,
    /// The segments from there to the end that are not stored.
    pub missing: Vec<SegmentRange>,
    /// The first pending file that is no segment and is not stored: without a history or the end of a base
    /// backup the segments are of no use.
    pub pending: Option<WalFileName>,
}

/// What is known of a node by its claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimFacts {
    /// What people call it.
    pub node: String,
    /// The key of its claim.
    pub key: String,
    /// Since when it was seen as a primary at every look, where it was one at the last.
    pub primary_since: Option<SystemTime>,
    /// When it was looked at last.
    pub observed_at: SystemTime,
    /// How long ago that is.
    pub age: Duration,
    /// Whether that is so long ago that it may be gone.
    pub is_stale: bool,
}

impl ClaimFacts {
    /// How far the clocks of two hosts may lie apart.
    const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

    /// Whether both were seen as primaries while the other one was one already: no failover looks so, after which
    /// the old primary is not seen as one any more.
    #[must_use]
    pub fn is_primary_beside(&self, other: &Self) -> bool {
        let Some((since, other_since)) = self.primary_since.zip(other.primary_since) else { return false };
        let saw = |at: SystemTime, since: SystemTime| {
            at.duration_since(since).is_ok_and(|after| after > Self::CLOCK_DIFFERENCE)
        };
        !self.is_stale
            && !other.is_stale
            && saw(self.observed_at, other_since)
            && saw(other.observed_at, since)
    }
}

/// What is stored under the name of the file that the server archives next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeadInRepository {
    /// Nothing, or there is no head, or it is an orphan.
    Absent,
    /// The same: only the server does not know yet.
    Same,
    /// Something else.
    Conflict(String),
    /// It cannot be told.
    Unknown(String),
}

/// A replication slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotFacts {
    /// Its name.
    pub name: String,
    /// Whether it is a physical one.
    pub is_physical: bool,
    /// From where on it needs WAL.
    pub restart_lsn: Option<Lsn>,
    /// How many bytes of WAL it holds back, up to the last checkpoint.
    pub held_bytes: u64,
    /// When its state was last written.
    pub written_at: Option<SystemTime>,
    /// Whether it stood still while the server went on.
    pub is_inactive: bool,
    /// Whether the server gave it up.
    pub lost: Option<SlotLoss>,
    /// Why its state cannot be read.
    pub unreadable: Option<String>,
}

/// A slot that the server gave up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotLoss {
    /// The server's word for the reason, where it is known.
    pub reason: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::ArchiveCommand::{AlwaysFails, Copy, Empty, Masked, NoOp, Other, Walkeep};
    use super::*;

    #[test]
    fn what_a_command_does_is_read_from_its_text() {
        for (text, is) in [
            ("", Empty),
            ("  ", Empty),
            ("true", NoOp),
            ("/bin/true", NoOp),
            (":", NoOp),
            ("exit 0", NoOp),
            ("exit 0;", NoOp),
            ("exit", NoOp),
            ("/usr/bin/true %p", NoOp),
            ("exit 1", AlwaysFails),
            ("false", AlwaysFails),
            ("walkeep archve %p --repo /archive", AlwaysFails),
            ("walkeep archive %f --repo /archive", AlwaysFails),
            ("walkeep --repo /archive archive %p", Walkeep),
            ("walkeep archive sys_wal/%f --repo /archive", Walkeep),
            ("walkeep archive %p --repo /archive || true", Masked),
            ("cp %p /archive/%f; exit 0", Masked),
            ("/bin/cp -f %p /archive/%f", Copy),
            ("cp %p /archive/%f", Copy),
            ("/usr/bin/walkeep archive %p --repo /archive", Walkeep),
            ("true && cp %p /archive/%f", Copy),
            ("test ! -f /archive/%f && cp %p /archive/%f", Copy),
            ("cp %p /archive/%f && sync /archive/%f", Other),
            ("sh /opt/cp.sh %p", Other),
            ("pgbackrest --stanza=x archive-push %p", Other),
            ("truely", Other),
        ] {
            assert_eq!(ArchiveCommand::of(text), is, "{text}");
        }
    }
}
