//! Reports and failures as text for people and as JSON for machines. Decides nothing.

mod archivecleanup;
mod claim;
mod colour;
mod doctor;
mod drain;
mod failure;
mod gate;
mod hold;
mod init;
mod inspect;
mod metrics;
mod page;
mod progress;
mod prune;
mod retention;
mod set_aside;
mod sheet;
mod status;
mod time;
mod verify;
mod watch;

pub use archivecleanup::{CleanupMessages, CleanupUsage};
pub use claim::{
    claim_json, claim_list_json, claim_list_text, claim_removed_json, claim_removed_text, claim_text,
};
pub use colour::Colour;
pub use doctor::{doctor_json, doctor_text};
pub use drain::{drain_json, drain_text};
pub use failure::{Failure, LogFormat};
pub use gate::{
    GATE_UNKNOWN_REPMGR, gate_json, gate_nagios, gate_repmgr, gate_text, gate_unknown_json,
    gate_unknown_nagios,
};
pub use hold::{
    hold_added_json, hold_added_text, hold_list_json, hold_list_text, hold_removed_json, hold_removed_text,
};
pub use init::{init_json, init_text};
pub use inspect::{inspect_json, inspect_text};
pub use metrics::{Watched, metrics};
pub use page::{page, unknown_page};
pub use progress::ProgressDisplay;
pub use prune::{prune_json, prune_text};
pub use set_aside::{set_aside_json, set_aside_text};
pub use status::{status_json, status_text};
pub use time::show_time;
pub use verify::{verify_json, verify_text};
pub use watch::{Level, LogLine};

/// Number of the JSON schema that every report carries.
pub const SCHEMA: u32 = 1;
