//! What tests on real servers stand on: a scratch directory, servers in it, load on them, and a repository.
//!
//! Nothing here sleeps to synchronise: whatever is awaited is polled for, with a bound (`wait_until`).

pub mod clock;
pub mod cron;
pub mod load;
pub mod node;
pub mod product;
pub mod repository;
pub mod requests;
pub mod scratch;
pub mod session;

use std::time::{Duration, Instant};

/// How long anything that is waited for may take before it counts as never happening: no machine is so slow. What a long
/// run has archived takes longer to be replayed.
fn bound() -> Duration {
    Duration::from_secs(if std::env::var_os("WALKEEP_TEST_LONG").is_some() { 1200 } else { 600 })
}

/// Between two polls: each costs something, and two cores have other work.
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// Polls until the condition holds; panics with `what` when it never does.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    let mut pause = Duration::from_millis(5);
    while !holds() {
        assert!(started.elapsed() < bound(), "waited {} s in vain until {what}", bound().as_secs());
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
