//! Retention: which stored files may go. Needs (pins) only protect; a policy licenses; what is not known is kept.
//! Values in, a plan out: no I/O and no clock.

mod horizon;
mod node;
mod pause;
mod pin;
mod plan;
mod policy;
#[cfg(test)]
mod tests;

pub use horizon::Horizon;
pub use node::{Checkpoint, Departed, HeldSlot, NodeNeeds};
pub use pause::Pauses;
pub use pin::{Pin, PinReason};
pub use plan::{Item, Judgement, Plan, Reason, Rule, Verdict};
pub use policy::{BaseBackup, Holdings, Measured, OldestKept, Policy};
