//! Health: what the facts of a cluster and of its repository mean. Facts are values, gathered elsewhere; what is
//! found in them is a list of findings, and the worst of those is the verdict. No I/O, no clock.

mod advice;
mod assess;
mod command;
mod environment;
mod facts;
mod finding;
mod flaw;
mod setup;

#[cfg(test)]
mod tests;

pub use advice::{Edit, Effect, Place, Tool, archiving, diagnose, edits, restoring};
pub use assess::{Policy, assess, assess_archive};
pub use command::{program_of, repository_of};
pub use environment::{EnvironmentFacts, Owner, RoundTripFacts, inspect_environment};
pub use facts::{
    ArchiveCommand, ArchiveMode, ArchiverFacts, BacklogFacts, ClaimFacts, ClusterFacts, ConfigFault,
    EndFacts, Facts, Growth, Head, HeadInRepository, Pace, PinFacts, RepositoryFacts, RepositoryState,
    RetentionFacts, RunState, SlotFacts, SlotLoss, Source, Unknown, WalSpace,
};
pub use finding::{Finding, Problem};
pub use flaw::Flaw;
pub use setup::{Manual, ProgramFacts, ProgramState, RepositoryInCommand, SetupFacts};

/// How bad something is; the worst decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Nothing is wrong.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// It cannot be told.
    Unknown,
    /// A switchover now would lose something, or archiving does not work.
    Critical,
}

impl Verdict {
    /// The word that monitoring knows it by, as repmgr and Nagios write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Unknown => "UNKNOWN",
            Self::Critical => "CRITICAL",
        }
    }

    /// The worst of all; OK where there is none.
    #[must_use]
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Ok)
    }
}
