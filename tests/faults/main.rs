//! Every system call of a verb made to fail once, and every verb killed at each of them: nothing false is
//! acknowledged, nothing stored is harmed, no short or wrong file stands under a final name, and the next call
//! succeeds. strace injects the faults; without it these tests fail.
//!
//! A kill shows what a crash of the process leaves. What a power loss leaves is up to the order of the system
//! calls, which `order` holds.
#![allow(clippy::disallowed_methods, reason = "tests make the states that crashes leave")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod meanwhile;
mod order;
#[path = "../support/standstill.rs"]
mod standstill;
mod sweep;
mod trace;
mod watch;
mod workplace;
