use std::fmt;
use std::time::Duration;

use crate::wal::{Lsn, Timeline, WalFileName};

/// A pin: one reason to keep WAL from a position on, on every timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The first position that is kept.
    pub from: Lsn,
    /// Who needs it.
    pub why: PinReason,
}

impl Pin {
    /// A need that nobody can put a position to: everything stays.
    #[must_use]
    pub const fn everything(why: PinReason) -> Self {
        Self { from: Lsn::ZERO, why }
    }
}

/// Who needs WAL, and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PinReason {
    /// A replication slot.
    Slot {
        /// The node that has it.
        node: String,
        /// Its name.
        slot: String,
    },
    /// A slot that may hold WAL that its file does not know of: from its node's redo point on.
    UnreservedSlot {
        /// The node that has it.
        node: String,
        /// Its name.
        slot: String,
    },
    /// A slot that is gone, and may come back: failback scripts drop and recreate them.
    DepartedSlot {
        /// The node that had it.
        node: String,
        /// Its name.
        slot: String,
    },
    /// Where a node's replay would begin: its last checkpoint, or restartpoint.
    Redo {
        /// The node.
        node: String,
    },
    /// The checkpoint before the last one, which servers up to 10 fall back to.
    PreviousRedo {
        /// The node.
        node: String,
    },
    /// No checkpoint of a node is known.
    NoCheckpoint {
        /// The node.
        node: String,
    },
    /// A base backup that runs, or that was restored and has not become consistent.
    RunningBackup {
        /// The node.
        node: String,
    },
    /// The last common checkpoint of a node that may still be rewound.
    Rewind {
        /// The node.
        node: String,
        /// Its timeline.
        timeline: Timeline,
        /// The newest timeline, which it may have to follow.
        newest: Timeline,
    },
    /// No checkpoint before the fork is known of a node that may still be rewound.
    RewindUnknown {
        /// The node.
        node: String,
        /// Its timeline.
        timeline: Timeline,
        /// The newest timeline, which it may have to follow.
        newest: Timeline,
    },
    /// The newest base backup: without it the archive restores nothing.
    NewestBackup {
        /// Its `.backup` file.
        file: WalFileName,
    },
    /// The oldest base backup that `--keep-backups` keeps.
    KeptBackup {
        /// Its `.backup` file.
        file: WalFileName,
        /// How many are kept.
        keep: u64,
    },
    /// There are not as many base backups as `--keep-backups` keeps.
    TooFewBackups {
        /// How many are kept.
        keep: u64,
        /// How many there are.
        found: u64,
        /// So many of `repmgr standby clone` do not count.
        clones: u64,
    },
    /// `--keep-days`: the oldest file of the window.
    KeepDays {
        /// How long the window is.
        window: Duration,
    },
    /// `--keep-days`: the base backup that a recovery to the beginning of the window starts from.
    BackupBeforeWindow {
        /// Its `.backup` file.
        file: WalFileName,
        /// How long the window is.
        window: Duration,
    },
    /// `--keep-segments`.
    KeepSegments {
        /// How many.
        segments: u64,
    },
    /// `--keep-size`.
    KeepSize {
        /// How many stored bytes.
        bytes: u64,
    },
    /// What a server calls `%r`: the oldest file that it still needs.
    OldestKept {
        /// The file.
        file: WalFileName,
    },
    /// A pin that a person set.
    Hold {
        /// Its name.
        name: String,
        /// Why, in that person's words.
        reason: String,
    },
}

impl PinReason {
    /// Whether it is a policy that keeps, and nobody's need.
    #[must_use]
    pub const fn is_policy(&self) -> bool {
        match self {
            Self::NewestBackup { .. }
            | Self::KeptBackup { .. }
            | Self::TooFewBackups { .. }
            | Self::KeepDays { .. }
            | Self::BackupBeforeWindow { .. }
            | Self::KeepSegments { .. }
            | Self::KeepSize { .. } => true,
            Self::Slot { .. }
            | Self::UnreservedSlot { .. }
            | Self::DepartedSlot { .. }
            | Self::Redo { .. }
            | Self::PreviousRedo { .. }
            | Self::NoCheckpoint { .. }
            | Self::RunningBackup { .. }
            | Self::Rewind { .. }
            | Self::RewindUnknown { .. }
            | Self::OldestKept { .. }
            | Self::Hold { .. } => false,
        }
    }

    /// Whether it moves on by itself as WAL comes: a policy does, once there is what it keeps.
    #[must_use]
    pub const fn moves_on(&self) -> bool {
        self.is_policy() && !matches!(self, Self::TooFewBackups { .. })
    }

    /// The short name in machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Slot { .. } => "slot",
            Self::UnreservedSlot { .. } => "unreserved_slot",
            Self::DepartedSlot { .. } => "departed_slot",
            Self::Redo { .. } => "redo",
            Self::PreviousRedo { .. } => "previous_redo",
            Self::NoCheckpoint { .. } => "no_checkpoint",
            Self::RunningBackup { .. } => "running_backup",
            Self::Rewind { .. } => "rewind",
            Self::RewindUnknown { .. } => "rewind_unknown",
            Self::NewestBackup { .. } => "newest_backup",
            Self::KeptBackup { .. } => "keep_backups",
            Self::TooFewBackups { .. } => "too_few_backups",
            Self::KeepDays { .. } => "keep_days",
            Self::BackupBeforeWindow { .. } => "backup_before_window",
            Self::KeepSegments { .. } => "keep_segments",
            Self::KeepSize { .. } => "keep_size",
            Self::OldestKept { .. } => "oldest_kept",
            Self::Hold { .. } => "hold",
        }
    }
}

impl fmt::Display for PinReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot { node, slot } => write!(f, "slot '{}' of {}", shown(slot), shown(node)),
            Self::UnreservedSlot { node, slot } => {
                write!(f, "slot '{}' of {}, which has saved no position yet", shown(slot), shown(node))
            }
            Self::DepartedSlot { node, slot } => {
                write!(f, "slot '{}' of {}, which is gone and may come back", shown(slot), shown(node))
            }
            Self::Redo { node } => write!(f, "the last checkpoint of {}", shown(node)),
            Self::PreviousRedo { node } => write!(f, "the checkpoint before the last one of {}", shown(node)),
            Self::NoCheckpoint { node } => write!(f, "{}, of which no checkpoint is known", shown(node)),
            Self::RunningBackup { node } => {
                write!(f, "a base backup that runs, or was not recovered yet, on {}", shown(node))
            }
            Self::Rewind { node, timeline, newest } => write!(
                f,
                "{} on timeline {timeline}, which may be rewound to timeline {newest}: its last checkpoint before \
                 the fork",
                shown(node)
            ),
            Self::RewindUnknown { node, timeline, newest } => write!(
                f,
                "{} on timeline {timeline}, which may be rewound to timeline {newest}: no checkpoint of it before \
                 the fork is known",
                shown(node)
            ),
            Self::NewestBackup { file } => write!(f, "the newest base backup, '{file}'"),
            Self::KeptBackup { file, keep } => write!(f, "base backup '{file}': the newest {keep} are kept"),
            Self::TooFewBackups { keep, found, clones } => {
                write!(f, "{keep} base backups are to be kept, and there are {found}")?;
                if *clones > 0 {
                    write!(f, ": {clones} of 'repmgr standby clone' do not count")
                } else {
                    Ok(())
                }
            }
            Self::KeepDays { window } => write!(f, "the last {} are kept", days(*window)),
            Self::BackupBeforeWindow { file, window } => {
                write!(f, "base backup '{file}': it leads into the last {}", days(*window))
            }
            Self::KeepSegments { segments } => write!(f, "the newest {segments} segments are kept"),
            Self::KeepSize { bytes } => write!(f, "the newest {bytes} bytes are kept"),
            Self::OldestKept { file } => write!(f, "'{file}', the oldest file that the server still needs"),
            Self::Hold { name, reason } => write!(f, "hold '{}': {}", shown(name), shown(reason)),
        }
    }
}

/// A text that came from a file: nothing in it reaches a terminal unescaped.
fn shown(text: &str) -> String {
    let safe = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(safe).collect()
}

fn days(window: Duration) -> String {
    match window.as_secs() / 86_400 {
        1 => "day".to_owned(),
        days => format!("{days} days"),
    }
}
