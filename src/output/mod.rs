//! Reports and failures as text for people and as JSON for machines. Decides nothing.

mod drain;
mod failure;
mod init;
mod inspect;
mod progress;
mod set_aside;

pub use drain::{drain_json, drain_text};
pub use failure::{Failure, LogFormat};
pub use init::{init_json, init_text};
pub use inspect::{inspect_json, inspect_text};
pub use progress::ProgressDisplay;
pub use set_aside::{set_aside_json, set_aside_text};

/// Number of the JSON schema that every report carries.
pub const SCHEMA: u32 = 1;
