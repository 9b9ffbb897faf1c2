//! The promises of the command line: what the real binary prints, how it exits, and which files lie there
//! afterwards. Each call runs hermetically: no environment but what the test gives, its own current directory.

#![allow(clippy::disallowed_methods, reason = "a test makes and breaks files as it likes")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test, a panic is the report")]
#![allow(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "likewise"
)]

#[path = "../support/standstill.rs"]
mod standstill;
mod support;

mod adoption;
mod ahead;
mod archive;
mod archivecleanup;
mod claim;
mod doctor;
mod drain;
mod gate;
mod hold;
mod init;
mod monitoring;
mod page;
mod pictures;
mod prefetch;
mod prune;
mod race;
mod restore;
mod restore_forks;
mod restore_histories;
mod serve;
mod set_aside;
mod settings;
mod stamps;
mod status;
mod switchover_scripts;
mod terminal;
mod verify;
mod watch;
