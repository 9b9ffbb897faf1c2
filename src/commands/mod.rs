//! The work of each verb, one file a verb: facts, a plan, the act, a report. No flags, no printing, no exit
//! codes, no clock and no environment: what a verb needs to know comes in as its request.

mod archive;
mod archivecleanup;
mod claim;
mod doctor;
mod drain;
mod gate;
mod hint;
mod hold;
mod init;
mod inspect;
mod observer;
mod pool;
mod prune;
mod records;
mod restore;
mod set_aside;
mod source;
mod status;
mod survey;
mod verify;
mod watch;

pub use archive::{Ahead, AheadReport, ArchiveError, ArchiveRequest, Archived, LookAhead, archive};
pub use archivecleanup::{
    Cleaned, CleanupError, CleanupRequest, CleanupStep, Live, OldestKept, Selection, archivecleanup,
};
pub use claim::{
    Begins, ClaimError, ClaimListReport, ClaimRemoveRequest, ClaimRequest, Refreshed, claim, claim_list,
    claim_remove, observe, refresh_claim,
};
pub use doctor::{Diagnosis, DoctorReport, DoctorRequest, doctor};
pub use drain::{
    Acknowledged, DrainError, DrainReport, DrainRequest, DrainTally, FileFailure, FileRange, Owner, drain,
};
pub use gate::{GateReport, GateRequest, gate, gate_wait};
pub use hint::Hint;
pub use hold::{
    HoldAddRequest, HoldError, HoldFrom, HoldListReport, HoldRemoveRequest, hold_add, hold_list, hold_remove,
};
pub use init::{Digests, InitError, InitReport, InitRequest, NewConfig, ServerLines, init};
pub use inspect::{
    Content, DigestSource, Fault, InspectError, InspectRequest, Inspection, SegmentFacts, Stored, ToldDigest,
    inspect,
};
pub use observer::{Observer, Progress, Unobserved};
pub use prune::{PruneError, PruneReport, PruneRequest, PruneTally, Standing, prune, prune_seen};
pub use restore::{
    Answer, Clock, Delivered, Notice, OnError, Prefetch, PrefetchError, RestoreError, RestoreFailure,
    RestoreReport, RestoreRequest, SpoolError, Supply, answer_on_failure, prefetch, restore,
    restore_without_repository,
};
pub use set_aside::{SetAside, SetAsideError, SetAsideRequest, Which, set_aside};
pub use status::{ArchiveOverview, NodeOverview, StatusReport, StatusRequest, TimelineOverview, status};
pub use verify::{
    Comparison, Finding, Tally, VerifyError, VerifyReport, VerifyRequest, VerifyVerdict, verify,
};
pub use watch::{
    Flow, Look, Note, Part, Rates, Stop, Thresholds, Totals, Trend, Watch, WatchError, WatchRequest,
};

/// The values that reports are made of, for whoever renders them.
pub mod facts {
    pub use crate::cluster::{ControlFile, Invalidation, SlotPersistency, SlotState, Status};
    pub use crate::repository::{
        Claim, ClaimKey, Conflict, Envelope, Form, Hold, HoldName, Holdings, KnownGap, Measure, NodeRole,
        StoredForm,
    };
}

/// A user who must not write here, because somebody else will have to.
#[derive(Debug, thiserror::Error)]
#[error("this is the superuser, and the {what} '{path}' belongs to {owner}")]
pub struct ForeignOwner {
    what: &'static str,
    path: String,
    owner: String,
}

impl ForeignOwner {
    /// Refuses where the superuser would leave files that their user cannot change: `owner` is that user.
    fn refuse(what: &'static str, path: String, owner: Option<String>) -> Result<(), Self> {
        owner.map_or(Ok(()), |owner| Err(Self { what, path, owner }))
    }
}
