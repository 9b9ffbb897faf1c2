//! Reports and failures as text for people and as JSON for machines. Decides nothing.

mod failure;
mod init;
mod inspect;
mod progress;
mod set_aside;
mod verify;

pub use failure::{Failure, LogFormat};
pub use init::{init_json, init_text};
pub use inspect::{inspect_json, inspect_text};
pub use progress::ProgressDisplay;
pub use set_aside::{set_aside_json, set_aside_text};
pub use verify::{verify_json, verify_text};

/// Number of the JSON schema that every report carries.
pub const SCHEMA: u32 = 1;
