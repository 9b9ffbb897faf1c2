//! Who watches work that takes long.

use super::{Look, Note};

/// How far a verb has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Files that are settled.
    pub done_files: u64,
    /// Files that there are to settle.
    pub total_files: u64,
    /// Bytes of the settled files.
    pub done_bytes: u64,
    /// Bytes of all files; 0 where nobody knows.
    pub total_bytes: u64,
}

/// Watches a verb that takes long; called from several threads, often.
pub trait Observer: Sync {
    /// Work went on.
    fn progress(&self, progress: Progress);

    /// Something is worth a line.
    fn note(&self, _note: &Note<'_>) {}

    /// A queue was looked at.
    fn looked(&self, _look: Look) {}
}

/// Nobody watches.
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _: Progress) {}
}
