use std::fmt;
use std::time::Duration;

use super::command::hides_failure;
use super::{ConfigFault, Flaw, Source, Verdict};
use crate::wal::{Lsn, SegmentRange, SystemIdentifier, Timeline, WalFileName};

/// Something that is not as it should be, and how bad that is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad.
    pub verdict: Verdict,
    /// What.
    pub problem: Problem,
}

/// What can be wrong. Displayed, it says what was found; [`Problem::why`] says what that means, and
/// [`Problem::next_step`] what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// More files are pending than a threshold.
    Pending {
        /// So many.
        files: u64,
        /// More than that.
        threshold: u64,
    },
    /// Pending files are gone from the WAL directory and not in the repository.
    Orphans {
        /// Number of pending files without a WAL file.
        files: u64,
        /// Segments that are lost, unless some archive has them.
        segments: Vec<SegmentRange>,
        /// Other files; the first few.
        others: Vec<WalFileName>,
        /// Whether a repository was asked for them.
        repository_asked: bool,
    },
    /// Pending files are gone from the WAL directory, and the repository has all of them.
    OrphansStored {
        /// So many.
        files: u64,
    },
    /// The head of the queue does not move.
    Stuck {
        /// The head.
        head: WalFileName,
        /// For so long.
        for_so_long: Duration,
    },
    /// What the server archives next is stored with other content.
    HeadConflict {
        /// The head.
        head: WalFileName,
        /// What differs.
        detail: String,
    },
    /// Two nodes are primaries at once, and claim here.
    TwoPrimaries {
        /// The key of one's claim.
        one: String,
        /// And of the other's.
        other: String,
    },
    /// A node was not looked at for long, and pins what it needed then.
    StaleClaim {
        /// The key of its claim.
        key: String,
        /// For so long.
        for_so_long: Duration,
    },
    /// A claim cannot be read.
    UnreadableClaim {
        /// Why, as a sentence without its stop.
        reason: String,
    },
    /// A prune would be refused.
    CannotPrune {
        /// Why, as a sentence without its stop.
        reason: String,
    },
    /// The repository will be full before long, and no prune keeps up with it.
    SoonFull {
        /// In so long a time.
        left: Duration,
        /// Who needs what could go otherwise; `None` where no policy is set.
        held_by: Option<String>,
    },
    /// Another server was promoted away from this one's timeline, and archives into the same repository.
    Superseded {
        /// The newer timeline.
        timeline: Timeline,
        /// Where it left this node's one.
        switch: Lsn,
    },
    /// `archive_mode` is off.
    ArchiveModeOff(Option<Source>),
    /// `archive_mode` is on, and nothing says how to archive.
    NoArchiveCommand {
        /// Where the empty value stands.
        at: Option<Source>,
        /// Where `archive_mode` is switched on.
        mode_at: Option<Source>,
    },
    /// `archive_command` claims success and does nothing.
    NoOpCommand {
        /// The command.
        command: String,
        /// Where it stands.
        at: Option<Source>,
    },
    /// `archive_command` never succeeds.
    FailingCommand {
        /// The command.
        command: String,
        /// Where it stands.
        at: Option<Source>,
    },
    /// `archive_command` succeeds whether or not it stored the file.
    MaskedCommand {
        /// The command.
        command: String,
        /// Where it stands.
        at: Option<Source>,
    },
    /// `archive_command` copies with `cp`.
    CopyCommand {
        /// The command.
        command: String,
        /// Where it stands.
        at: Option<Source>,
    },
    /// A harmless command hides one that does nothing, which counts as soon as the other goes.
    HiddenNoOp {
        /// The hidden command.
        command: String,
        /// Where it stands.
        at: Source,
    },
    /// `archive_dest` is set beside `archive_command`.
    ArchiveDest {
        /// Its value.
        value: String,
        /// Where it stands.
        at: Source,
    },
    /// `archive_library` and `archive_command` are both set.
    LibraryAndCommand {
        /// The library.
        library: String,
        /// Where it stands.
        at: Source,
    },
    /// A configuration file is not what the server would take.
    Config(ConfigFault),
    /// Where the WAL lies is no room for another segment.
    WalDirectoryFull {
        /// The WAL directory.
        directory: String,
        /// Free now.
        free_bytes: u64,
    },
    /// The repository is not there or cannot be used.
    RepositoryUnusable {
        /// Where it was looked for.
        location: String,
        /// Why.
        reason: String,
    },
    /// The repository is of another cluster.
    RepositoryOfAnotherCluster {
        /// Where it lies.
        location: String,
        /// Whose it is.
        repository: SystemIdentifier,
        /// Who asks.
        cluster: SystemIdentifier,
    },
    /// Nothing can be written into the repository.
    RepositoryUnwritable {
        /// Where it lies.
        location: String,
        /// Why.
        reason: String,
    },
    /// The repository has less space than is to stay free.
    LowSpace {
        /// Free now.
        free_bytes: u64,
        /// To stay free.
        min_free_bytes: u64,
    },
    /// The repository's space is not enough for what is pending.
    TooSmallForBacklog {
        /// Free now.
        free_bytes: u64,
        /// Pending.
        pending_bytes: u64,
    },
    /// The repository has no base backup's beginning and no segment yet.
    NothingStored,
    /// The repository lacks segments.
    Gaps(Vec<SegmentRange>),
    /// The repository lacks segments that were acknowledged as lost.
    KnownGaps(Vec<SegmentRange>),
    /// Finished segments are neither queued nor stored.
    Unqueued(Vec<SegmentRange>),
    /// Segments are marked done, and not stored.
    OnlyMarked(Vec<SegmentRange>),
    /// A slot holds WAL back and does not move.
    InactiveSlot {
        /// Its name.
        name: String,
        /// So many bytes.
        held_bytes: u64,
    },
    /// The server gave a slot up.
    LostSlot {
        /// Its name.
        name: String,
        /// The server's word for the reason.
        reason: Option<&'static str>,
    },
    /// A slot's state cannot be read.
    UnreadableSlot {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// The end of the WAL is not proven to be where it seems.
    EndNotProven {
        /// Why.
        reason: String,
        /// What to do about it, as a sentence.
        next_step: &'static str,
    },
    /// Segments before the end of a node that was shut down are not stored.
    MissingBeforeEnd(Vec<SegmentRange>),
    /// What doctor finds beside.
    Flaw(Flaw),
    /// Something that has to be known is not.
    NotKnown {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// The first few ranges; what is behind them is counted.
fn ranges(of: &[SegmentRange]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = of.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = of.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more ranges") };
    format!("{}{more}", shown.join(", "))
}

/// Where a setting stands, as ` (FILE:LINE)`.
pub(super) fn at(source: Option<&Source>) -> String {
    source.map_or_else(String::new, |source| format!(" ({source})"))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => write!(f, "command line in {}", self.file),
        }
    }
}

/// A time as people say it, to the minute from an hour on.
pub(super) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A size as people say it.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{bytes} B") } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { files, threshold } => {
                write!(f, "{files} files are pending, more than {threshold}")
            }
            Self::Orphans { files, segments, others, .. } => {
                write!(f, "{files} pending files are gone from the WAL directory")?;
                if !segments.is_empty() {
                    write!(f, "; lost: {}", ranges(segments))?;
                }
                others.iter().try_for_each(|name| write!(f, "; lost: {name}"))
            }
            Self::OrphansStored { files } => {
                write!(
                    f,
                    "{files} pending files are gone from the WAL directory; the repository has them all"
                )
            }
            Self::Stuck { head, for_so_long } => {
                write!(f, "the head of the queue, {head}, has not moved for {}", spoken(*for_so_long))
            }
            Self::HeadConflict { head, detail } => {
                write!(f, "the head of the queue, {head}, is stored with other content: {detail}")
            }
            Self::TwoPrimaries { one, other } => {
                write!(f, "two nodes that claim here are primaries at once: '{one}' and '{other}'")
            }
            Self::StaleClaim { key, for_so_long } => {
                write!(f, "the claim '{key}' was not refreshed for {}", spoken(*for_so_long))
            }
            Self::UnreadableClaim { reason } => write!(f, "a claim cannot be read: {reason}"),
            Self::CannotPrune { reason } => write!(f, "a prune would be refused: {reason}"),
            Self::SoonFull { left, held_by: Some(held_by) } => {
                write!(
                    f,
                    "the repository is full in {} at the pace of late, held by {held_by}",
                    spoken(*left)
                )
            }
            Self::SoonFull { left, held_by: None } => {
                write!(
                    f,
                    "the repository is full in {} at the pace of late, and no policy is set",
                    spoken(*left)
                )
            }
            Self::Superseded { timeline, switch } => {
                write!(f, "timeline {timeline}, which left this node's own at {switch}, is archived here")
            }
            Self::ArchiveModeOff(source) => write!(f, "archive_mode is off{}", at(source.as_ref())),
            Self::NoArchiveCommand { at: source, mode_at } => {
                write!(
                    f,
                    "archive_mode is on{} and archive_command is empty{}",
                    at(mode_at.as_ref()),
                    at(source.as_ref())
                )
            }
            Self::NoOpCommand { command, at: source } => {
                write!(f, "archive_command = '{command}' archives nothing{}", at(source.as_ref()))
            }
            Self::FailingCommand { command, at: source } => {
                write!(f, "archive_command = '{command}' never succeeds{}", at(source.as_ref()))
            }
            Self::MaskedCommand { command, at: source } => {
                let by = hides_failure(command).unwrap_or_default();
                write!(f, "archive_command hides its failures behind '{by}'{}", at(source.as_ref()))
            }
            Self::CopyCommand { command, at: source } => {
                write!(f, "archive_command = '{command}' copies with cp{}", at(source.as_ref()))
            }
            Self::HiddenNoOp { command, at: source } => {
                write!(f, "archive_command = '{command}' is hidden behind a later line ({source})")
            }
            Self::ArchiveDest { value, at: source } => {
                write!(f, "archive_dest = '{value}' is set ({source}), and archive_command may be ignored")
            }
            Self::LibraryAndCommand { library, at: source } => {
                write!(f, "archive_library = '{library}' ({source}) and archive_command are both set")
            }
            Self::Config(ConfigFault { file, line: Some(line), what, .. }) => {
                write!(f, "{file}:{line}: {what}")
            }
            Self::Config(ConfigFault { file, line: None, what, .. }) => write!(f, "{file}: {what}"),
            Self::RepositoryUnusable { location, reason } => {
                write!(f, "the repository '{location}' cannot be used: {reason}")
            }
            Self::RepositoryOfAnotherCluster { location, repository, cluster } => {
                write!(
                    f,
                    "the repository '{location}' belongs to system identifier {repository}, this is {cluster}"
                )
            }
            Self::WalDirectoryFull { directory, free_bytes } => {
                write!(
                    f,
                    "the file system of '{directory}' has {} free, less than one segment",
                    size(*free_bytes)
                )
            }
            Self::RepositoryUnwritable { location, reason } => {
                write!(f, "nothing can be stored in the repository '{location}': {reason}")
            }
            Self::LowSpace { free_bytes, min_free_bytes } => {
                write!(
                    f,
                    "the repository has {} free, and {} are to stay free",
                    size(*free_bytes),
                    size(*min_free_bytes)
                )
            }
            Self::TooSmallForBacklog { free_bytes, pending_bytes } => {
                write!(
                    f,
                    "the repository has {} free, and up to {} are pending",
                    size(*free_bytes),
                    size(*pending_bytes)
                )
            }
            Self::NothingStored => f.write_str("the repository holds no segment yet"),
            Self::Gaps(missing) => write!(f, "the repository has gaps: {}", ranges(missing)),
            Self::KnownGaps(lost) => {
                write!(f, "no base backup was taken since these were lost: {}", ranges(lost))
            }
            Self::Unqueued(unqueued) => {
                write!(f, "finished segments are neither queued nor stored: {}", ranges(unqueued))
            }
            Self::OnlyMarked(marked) => {
                write!(f, "segments are marked done, and are not stored: {}", ranges(marked))
            }
            Self::InactiveSlot { name, held_bytes } => {
                write!(f, "replication slot '{name}' does not move and holds back {}", size(*held_bytes))
            }
            Self::LostSlot { name, reason } => {
                write!(f, "the server gave up replication slot '{name}'")?;
                reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::UnreadableSlot { name, reason } => {
                write!(f, "replication slot '{name}' cannot be read: {reason}")
            }
            Self::EndNotProven { reason, .. } => write!(f, "the end of the WAL is not proven: {reason}"),
            Self::MissingBeforeEnd(missing) => {
                write!(f, "segments before the end of the WAL are not stored: {}", ranges(missing))
            }
            Self::Flaw(flaw) => flaw.fmt(f),
            Self::NotKnown { what, reason } => write!(f, "{what} cannot be told: {reason}"),
        }
    }
}

impl Problem {
    /// The problem's short name in machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Orphans { .. } => "orphans",
            Self::OrphansStored { .. } => "orphans_stored",
            Self::Stuck { .. } => "stuck",
            Self::HeadConflict { .. } => "head_conflict",
            Self::TwoPrimaries { .. } => "two_primaries",
            Self::CannotPrune { .. } => "cannot_prune",
            Self::SoonFull { .. } => "soon_full",
            Self::StaleClaim { .. } => "stale_claim",
            Self::UnreadableClaim { .. } => "unreadable_claim",
            Self::Superseded { .. } => "superseded",
            Self::ArchiveModeOff(_) => "archive_mode_off",
            Self::NoArchiveCommand { .. } => "no_archive_command",
            Self::NoOpCommand { .. } => "no_op_archive_command",
            Self::FailingCommand { .. } => "failing_archive_command",
            Self::MaskedCommand { .. } => "masked_archive_command",
            Self::CopyCommand { .. } => "cp_archive_command",
            Self::HiddenNoOp { .. } => "hidden_no_op_archive_command",
            Self::ArchiveDest { .. } => "archive_dest",
            Self::LibraryAndCommand { .. } => "archive_library_and_command",
            Self::Config(_) => "configuration",
            Self::RepositoryUnusable { .. } => "repository_unusable",
            Self::RepositoryOfAnotherCluster { .. } => "repository_of_another_cluster",
            Self::RepositoryUnwritable { .. } => "repository_unwritable",
            Self::WalDirectoryFull { .. } => "wal_directory_full",
            Self::LowSpace { .. } => "low_space",
            Self::TooSmallForBacklog { .. } => "too_small_for_backlog",
            Self::NothingStored => "nothing_stored",
            Self::Gaps(_) => "gaps",
            Self::KnownGaps(_) => "known_gaps",
            Self::Unqueued(_) => "unqueued",
            Self::OnlyMarked(_) => "only_marked",
            Self::InactiveSlot { .. } => "inactive_slot",
            Self::LostSlot { .. } => "lost_slot",
            Self::UnreadableSlot { .. } => "unreadable_slot",
            Self::EndNotProven { .. } => "end_not_proven",
            Self::MissingBeforeEnd(_) => "missing_before_end",
            Self::Flaw(flaw) => flaw.key(),
            Self::NotKnown { .. } => "not_known",
        }
    }

    /// What it means, as a sentence; `None` where that is plain.
    #[must_use]
    pub fn why(&self) -> Option<&'static str> {
        Some(match self {
            Self::Pending { .. } => {
                "A server that is shut down archives what is pending first, or leaves it behind unarchived."
            }
            Self::Orphans { repository_asked: true, .. } => {
                "Their WAL was deleted before it was archived, and the repository does not have it: no recovery can \
                 cross that range."
            }
            Self::Orphans { .. } => {
                "Their WAL was deleted before it was archived: unless an archive has it, no recovery can cross that \
                 range. No repository was named to look there."
            }
            Self::OrphansStored { .. } => {
                "Nothing is lost; a server up to 11 tries to archive them for ever."
            }
            Self::Stuck { .. } => "The archiver fails or hangs; the server's log says why.",
            Self::HeadConflict { .. } => {
                "Another server stored under that name: a second primary on this timeline, a copy of this cluster, or a \
                 standby that archived the end of a timeline as far as it got."
            }
            Self::TwoPrimaries { .. } => {
                "A promoted copy archives into the repository of its origin, or an old primary goes on after a failover."
            }
            Self::StaleClaim { .. } => {
                "Nothing that the node needed then is pruned, whether it is there or not."
            }
            Self::UnreadableClaim { .. } => "Nobody knows what its node needs: nothing is pruned.",
            Self::CannotPrune { .. } => "What cannot be told protects everything: the repository only grows.",
            Self::SoonFull { held_by: Some(_), .. } => {
                "Nothing behind that goes, whatever the policy says. A full repository refuses, and then the WAL \
                 directory fills."
            }
            Self::SoonFull { held_by: None, .. } => {
                "Without a policy nothing is ever pruned. A full repository refuses, and then the WAL directory fills."
            }
            Self::Superseded { .. } => {
                "Another server was promoted: a standby while this node went on, or a copy of this cluster. There are \
                 two primaries, or this one is the old one."
            }
            Self::ArchiveModeOff(_) => "Nothing is archived.",
            Self::NoArchiveCommand { .. } => {
                "Every finished segment becomes pending, and nothing archives it."
            }
            Self::NoOpCommand { .. } => "The server deletes WAL that was never archived.",
            Self::FailingCommand { .. } => "Everything stays pending until the disk is full.",
            Self::MaskedCommand { .. } => {
                "A file that was not stored is marked done, and the server deletes it."
            }
            Self::CopyCommand { .. } => {
                "cp does not sync what it wrote, and overwrites what is there: a crash or a second server loses WAL \
                 that the server was told is archived."
            }
            Self::HiddenNoOp { .. } => {
                "As soon as the later line goes, the server deletes WAL that was never archived."
            }
            Self::ArchiveDest { .. } => {
                "openGauss copies there instead of running archive_command; KingbaseES is not documented to differ."
            }
            Self::LibraryAndCommand { .. } => {
                "PostgreSQL 15 ignores archive_command then; 16 and later do not archive at all."
            }
            Self::RepositoryOfAnotherCluster { .. } => "Nothing of this cluster can be stored in it.",
            Self::WalDirectoryFull { .. } => "A server that cannot make its next segment stops (PANIC).",
            Self::LowSpace { .. } => "archive refuses before the disk is full.",
            Self::Gaps(_) => "No recovery from the newest base backup can cross them.",
            Self::KnownGaps(_) => "No recovery that begins before them can go on behind them.",
            Self::Unqueued(_) => {
                "The server will queue them at a later checkpoint; until then nobody archives them."
            }
            Self::OnlyMarked(_) => {
                "The server takes them for archived and deletes them: its archive_command stores elsewhere, or nowhere, or \
                 they were taken out of the repository since."
            }
            Self::InactiveSlot { .. } => "The server keeps that WAL until the slot moves or is dropped.",
            Self::LostSlot { .. } => "Its consumer cannot go on from it.",
            Self::EndNotProven { .. } => {
                "Whether everything that the node wrote is archived cannot be told from its files."
            }
            Self::MissingBeforeEnd(_) => "They exist on this node only.",
            Self::Flaw(flaw) => return flaw.why(),
            Self::Config(_)
            | Self::RepositoryUnusable { .. }
            | Self::RepositoryUnwritable { .. }
            | Self::TooSmallForBacklog { .. }
            | Self::NothingStored
            | Self::UnreadableSlot { .. }
            | Self::NotKnown { .. } => return None,
        })
    }

    /// What to do next, as a sentence; `None` where another finding says it.
    #[must_use]
    pub fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::Pending { .. } | Self::Unqueued(_) | Self::MissingBeforeEnd(_) => {
                "Archive everything now: walkeep drain (--missing for segments that are not queued)."
            }
            Self::OnlyMarked(_) => {
                "walkeep drain --missing archives those that are still in the WAL directory; walkeep doctor looks at what \
                 archive_command calls."
            }
            Self::Orphans { .. } => {
                "Look for the files in other archives and on standbys; what is lost for good is acknowledged with \
                 walkeep drain --acknowledge-lost FROM..TO --reason TEXT, and then a new base backup is due."
            }
            Self::OrphansStored { .. } => "walkeep drain --mark-done settles them.",
            Self::Stuck { .. } => {
                "Read the archiver's messages in the server's log; walkeep doctor checks the rest."
            }
            Self::HeadConflict { .. } => {
                "Find out which server is the right one before anything else; walkeep verify -D compares, walkeep \
                 set-aside takes a stored file away."
            }
            Self::TwoPrimaries { .. } => {
                "Find out which server is the right one, and keep the other from archiving here."
            }
            Self::StaleClaim { .. } => {
                "Run walkeep claim there from cron; if the node is gone, walkeep claim remove lets go of it."
            }
            Self::CannotPrune { .. } => "walkeep prune --dry-run says the same, and what to do.",
            Self::SoonFull { held_by: Some(_), .. } => {
                "Let its owner catch up, or drop it: walkeep prune --dry-run names everybody who needs WAL."
            }
            Self::SoonFull { held_by: None, .. } => {
                "Set one under [prune] in the config file, keep_backups = 2 for example, and run walkeep prune from cron."
            }
            Self::UnreadableClaim { .. } => {
                "Remove it with walkeep claim remove, and record it again with walkeep claim on its node."
            }
            Self::Superseded { .. } => {
                "Find out which server is the right one. The old one is drained, then rewound or rebuilt; a copy gets a \
                 repository of its own."
            }
            Self::ArchiveModeOff(_)
            | Self::NoArchiveCommand { .. }
            | Self::NoOpCommand { .. }
            | Self::FailingCommand { .. }
            | Self::MaskedCommand { .. }
            | Self::CopyCommand { .. }
            | Self::HiddenNoOp { .. } => "walkeep doctor says which line to write, and where.",
            Self::ArchiveDest { .. } | Self::LibraryAndCommand { .. } => "Set only one of them, and reload.",
            Self::Config(_) => "Mend it, and reload.",
            Self::RepositoryUnusable { reason, .. } if reason.contains("Permission denied") => {
                "Ask as the user that the server runs as."
            }
            Self::RepositoryUnusable { .. } => {
                "Mount it where it is not mounted: findmnt shows that. walkeep init makes a new repository, and only that."
            }
            Self::RepositoryOfAnotherCluster { .. } => {
                "After initdb or pg_upgrade a cluster needs a new repository: walkeep init."
            }
            Self::RepositoryUnwritable { .. } => {
                "Give the server's user the right to write there; findmnt shows a file system that is read-only, and a unit of \
                 systemd names the repository in ReadWritePaths."
            }
            Self::WalDirectoryFull { .. } => {
                "Delete nothing there by hand. walkeep drain archives what is pending, a slot that nobody needs is \
                 dropped, and the next checkpoint frees it; where the server is down, enlarge its file system first."
            }
            Self::LowSpace { .. } | Self::TooSmallForBacklog { .. } => {
                "walkeep prune --dry-run says what would go, and who needs the rest; or enlarge its file system."
            }
            Self::Gaps(_) => {
                "walkeep drain --missing archives what is still in the WAL directory, also on other nodes; otherwise \
                 a new base backup is due."
            }
            Self::InactiveSlot { .. } => "Start its consumer, or drop the slot if nobody needs it.",
            Self::LostSlot { .. } => {
                "Rebuild its consumer, or let it catch up by restore_command; drop the slot."
            }
            Self::EndNotProven { next_step, .. } => next_step,
            Self::KnownGaps(_) => "Take a new base backup.",
            Self::NothingStored => "Take a base backup once archiving works.",
            Self::Flaw(flaw) => return flaw.next_step(),
            Self::UnreadableSlot { .. } | Self::NotKnown { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_said_as_people_say_them() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(16 << 20), "16.0 MiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
        assert_eq!(spoken(Duration::from_secs(59)), "59 s");
        assert_eq!(spoken(Duration::from_secs(3661)), "1 h 1 min");
        assert_eq!(spoken(Duration::from_secs(21 * 86_400)), "21 d 0 h");
    }
}
