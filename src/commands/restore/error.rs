use crate::commands::{ForeignOwner, Hint};
use crate::fsx::PathError;
use crate::repository::RepositoryError;
use crate::wal::{Lsn, SegmentName, Timeline, WalFileName};

/// Why a file was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository did not give it.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The destination cannot be written.
    #[error(transparent)]
    Destination(#[from] PathError),
    /// The repository lacks a segment in its middle.
    #[error("the repository has a gap: '{from}' is not stored, but '{next}' is")]
    Gap {
        /// The requested one: the first that is missing, as far as this call can see.
        from: SegmentName,
        /// The next one that is stored.
        next: SegmentName,
    },
    /// What is stored begins later.
    #[error("'{from}' is older than everything that is stored: its timeline begins with '{next}' there")]
    BeforeAll {
        /// The requested one.
        from: SegmentName,
        /// The first one that is stored.
        next: SegmentName,
    },
    /// The repository lacks a segment that a stored timeline follows.
    #[error("the repository has a gap: '{from}' is not stored, but timeline {child} follows it to its end")]
    GapBeforeFork {
        /// The requested one.
        from: SegmentName,
        /// The timeline that needs it.
        child: Timeline,
    },
    /// The first segment of a timeline is not stored, and neither is its parent's WAL up to the fork.
    #[error(
        "'{from}' is not stored, and nothing that is stored reaches {fork}, where timeline {} left timeline {parent}",
        from.timeline()
    )]
    ForkNotReached {
        /// The requested one: the segment that the fork is in.
        from: SegmentName,
        /// The timeline that was left.
        parent: Timeline,
        /// The fork.
        fork: Lsn,
    },
    /// The repository has segments of a timeline, but not its history.
    #[error("the repository has segments of timeline {0}, but not its history")]
    NoHistory(Timeline),
    /// A server that looks for the newest timeline would stop before it.
    #[error(
        "timeline {newest} is stored and descends from this server's, but there is no timeline {missing}: a server that \
         looks for the newest timeline stops at the first number that is not there"
    )]
    NewerTimeline {
        /// The requested one.
        missing: Timeline,
        /// The newest that descends from where the server is.
        newest: Timeline,
    },
    /// A look-up by name and the listing of the repository contradict each other.
    #[error("'{0}' is listed in the repository, and was not found by its name")]
    Unsettled(WalFileName),
}

impl RestoreError {
    /// Whether the next try may end otherwise: what the medium or the network did, not what the file is; and a gap, since
    /// several files may be on their way into a living archive at once.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(
                error,
                RepositoryError::Store(_)
                    | RepositoryError::NotARepository { .. }
                    | RepositoryError::Damaged { .. }
            ),
            Self::Gap { .. }
            | Self::GapBeforeFork { .. }
            | Self::ForkNotReached { .. }
            | Self::NoHistory(_)
            | Self::NewerTimeline { .. }
            | Self::Unsettled(_) => true,
            Self::ForeignOwner(_) | Self::Destination(_) | Self::BeforeAll { .. } => false,
        }
    }
}

impl Hint for RestoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::ForeignOwner(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Destination(_) | Self::Unsettled(_) => None,
            Self::BeforeAll { .. } => Some(
                "It was pruned, or never archived here: recover from a newer base backup (a standby: clone it again), or \
                 archive what an older archive or a WAL directory of this cluster still has of it. --gap-is-end goes on, and \
                 loses everything after it."
                    .to_owned(),
            ),
            Self::Gap { .. } | Self::GapBeforeFork { .. } => Some(
                "Find the missing files in a WAL directory of this cluster or of its standbys, and archive them with \
                 'walkeep drain --missing'. If the recovery target is before the gap, the server only reads ahead: \
                 --gap-is-end in restore_command goes on, and loses what is after the gap."
                    .to_owned(),
            ),
            Self::ForkNotReached { from, parent, .. } => Some(format!(
                "Archive what the nodes of timelines {} and {parent} still have: 'walkeep drain --missing' on each. To recover \
                 to the end of timeline {parent} instead: recovery_target_timeline = '{parent}'.",
                from.timeline()
            )),
            Self::NoHistory(timeline) => Some(format!(
                "Archive '{}' from a node of that timeline with 'walkeep drain --missing'. If the timeline is to be \
                 forgotten: 'walkeep set-aside --timeline {timeline} --reason TEXT --repo DIR'. To pass it by, set \
                 recovery_target_timeline to the number of the timeline that you want.",
                WalFileName::TimelineHistory(*timeline)
            )),
            Self::NewerTimeline { newest, missing } => Some(format!(
                "To follow timeline {newest}: recovery_target_timeline = '{newest}'. To stay on this one: \
                 recovery_target_timeline = 'current'. If timeline {missing} did exist, archive its history from a node of it."
            )),
        }
    }
}

/// What the server's log should say of an answer that is none of the ordinary ones.
#[derive(Debug)]
pub enum Notice {
    /// A history was taken out of a descendant's.
    HistoryOutOf {
        /// The requested one.
        timeline: Timeline,
        /// The stored history that holds it.
        descendant: Timeline,
    },
    /// A history was served from this node's copy, since the repository failed.
    HistoryFromCopy {
        /// The requested one.
        timeline: Timeline,
        /// How the repository failed.
        error: String,
    },
    /// The server has a history that differs from the stored one, and is past its fork.
    HistoriesDiffer(Timeline),
    /// A segment ends where the timeline that the server follows begins.
    EndsAtFork {
        /// The requested one.
        name: SegmentName,
        /// The stored file that it was made of; `None` if nothing of it comes before the fork.
        source: Option<WalFileName>,
        /// Where the WAL in it ends.
        fork: Lsn,
    },
    /// The server's own copy of a segment has more WAL than the stored one.
    StoredIsShorter {
        /// The requested one.
        name: SegmentName,
        /// Where the stored WAL ends.
        ends: Lsn,
    },
    /// What a standby requests is older than everything that is stored.
    BeforeAll {
        /// The requested one.
        from: SegmentName,
        /// The first one that is stored.
        next: SegmentName,
    },
    /// A standby goes on without something that a recovery would stop for.
    StandbyGoesOn(RestoreError),
}

impl Notice {
    /// The sentence, and what helps.
    #[must_use]
    pub fn text(&self) -> (String, Option<String>) {
        match self {
            Self::HistoryOutOf { timeline, descendant } => (
                format!(
                    "the history of timeline {timeline} is not stored: delivered from that of timeline {descendant}"
                ),
                None,
            ),
            Self::HistoryFromCopy { timeline, error } => (
                format!(
                    "delivered the history of timeline {timeline} from this node's copy: the repository failed ({error})"
                ),
                None,
            ),
            Self::HistoriesDiffer(timeline) => (
                format!(
                    "CRITICAL: the history of timeline {timeline} in the WAL directory differs from the stored one: two servers \
                     made this timeline"
                ),
                Some(
                    "Find out which of them the archive belongs to before you promote this server."
                        .to_owned(),
                ),
            ),
            Self::EndsAtFork { name, source: Some(source), fork } => (
                format!("'{name}' is delivered from '{source}' up to {fork}, where the next timeline begins"),
                None,
            ),
            Self::EndsAtFork { name, source: None, fork } => (
                format!(
                    "'{name}' is delivered empty: its timeline begins at {fork}, and nothing of it is stored"
                ),
                None,
            ),
            Self::StoredIsShorter { name, ends } => (
                format!(
                    "'{name}' is not delivered: its stored WAL ends at {ends}, and the server's own copy goes on after that"
                ),
                Some(format!(
                    "Set the stored file aside: 'walkeep set-aside {name} --reason TEXT --repo DIR'."
                )),
            ),
            Self::BeforeAll { from, next } => {
                let error = RestoreError::BeforeAll { from: *from, next: *next };
                (error.to_string(), error.hint())
            }
            Self::StandbyGoesOn(error) => (error.to_string(), error.hint()),
        }
    }
}
