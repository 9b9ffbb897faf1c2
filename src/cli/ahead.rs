//! Fetching ahead of the server goes on when the call that it waits for has ended: the program is started again, with
//! what was typed, and leaves the server's process group, so that neither waits for the other.

use std::env;
use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::deadline::within;
use crate::commands::{RestoreRequest, prefetch};

/// Starts the program that fetches ahead; nobody waits for it, and it says nothing.
pub(super) fn start() -> io::Result<()> {
    let mut again = Command::new(env::current_exe()?);
    let typed: Vec<_> = env::args_os().skip(1).collect();
    // What stands behind '--' is no flag.
    let flags = typed.iter().position(|word| word == "--").unwrap_or(typed.len());
    let (flags, names) = typed.split_at_checked(flags).unwrap_or_default();
    again.args(flags).arg("--lay-ready").args(names);
    again.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    again.spawn().map(drop)
}

/// Is that program. Nobody looks at its exit code.
pub(super) fn lay_ready(request: &RestoreRequest<'_>, jobs: usize, limit: Duration) -> u8 {
    // A server that shuts down signals its process group and waits for all who are in it.
    let _ = rustix::process::setsid();
    match within(limit, |_| 1, || prefetch(request, jobs, limit)) {
        Ok(Ok(_)) => 0,
        Ok(Err(_)) | Err(_) => 1,
    }
}
