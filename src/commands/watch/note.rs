use std::error::Error;
use std::time::Duration;

use crate::wal::{Timeline, WalFileName};

/// What a watch works with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// The data directory can be read.
    DataDirectory,
    /// The repository takes files.
    Repository,
    /// The node's claim is refreshed.
    Claim,
    /// No other process watches the same data directory.
    Instance,
    /// Events wake.
    Events,
}

/// Something that a person may want to know of a watch, told when it changes.
#[derive(Debug)]
pub enum Note<'a> {
    /// A file was stored, or found stored by its contents.
    Stored {
        /// The file.
        name: WalFileName,
        /// Its length.
        bytes: u64,
        /// How long it took until its bytes were durable.
        took: Duration,
    },
    /// A file is not stored, and will be tried again.
    FileFails {
        /// The file.
        name: WalFileName,
        /// Why.
        error: &'a dyn Error,
        /// What may help.
        hint: Option<String>,
        /// Whether other content is stored under its name.
        is_conflict: bool,
    },
    /// A file that failed is stored.
    FileStored {
        /// The file.
        name: WalFileName,
    },
    /// A part does not work, and will be tried again.
    Fails {
        /// Which.
        part: Part,
        /// Why.
        error: &'a dyn Error,
        /// What may help.
        hint: Option<String>,
    },
    /// A part that failed works again.
    Works {
        /// Which.
        part: Part,
    },
    /// More files are pending than a threshold allows.
    Backlog {
        /// So many.
        pending: u64,
        /// The threshold.
        threshold: u64,
        /// Whether it is the one that closes the gate.
        is_critical: bool,
    },
    /// The backlog is gone.
    BacklogGone {
        /// So many files are pending now.
        pending: u64,
    },
    /// The first pending file does not move.
    Stuck {
        /// The file.
        name: WalFileName,
        /// For so long, since it was seen first.
        since: Duration,
    },
    /// It moves again.
    Moves,
    /// The server goes on on another timeline.
    TimelineSwitch {
        /// It was on this one.
        from: Timeline,
        /// It is on that one.
        to: Timeline,
    },
    /// Space in the repository runs low.
    LowSpace {
        /// Bytes that are free.
        free: u64,
        /// Bytes that there should be.
        least: u64,
    },
    /// There is space again.
    SpaceAgain {
        /// Bytes that are free.
        free: u64,
    },
}
