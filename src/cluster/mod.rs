//! A cluster: one data directory of a server, seen and never touched. What is proven here is the layout (which
//! product, where its WAL is) and what its binary files say.

mod control_file;
mod dialect;
mod fields;
mod replication_slot;
#[cfg(test)]
mod samples;

pub use control_file::{ClusterState, ControlFile, ControlFileError, WalLevel};
pub use dialect::Dialect;
pub use replication_slot::{Invalidation, SlotPersistency, SlotState, SlotStateError};
