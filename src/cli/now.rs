//! Who we are and what time it is: read once.

use std::time::{Duration, Instant, SystemTime};

use super::settings::Settings;
use crate::commands::Clock;
use crate::output::show_time;
use crate::repository::Origin;

/// The time.
#[allow(clippy::disallowed_methods, reason = "the clock is read here")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// Who stores, and when.
pub(super) fn origin(settings: &Settings) -> Origin {
    let now = now();
    Origin { node: settings.node.clone(), machine_id: machine_id(), now, now_text: show_time(now) }
}

/// What the machine calls itself.
pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What tells this machine from others; machine-id(5).
fn machine_id() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let id = read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id"));
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// What tells this start of the machine from every other; random(4). `None` where nothing does.
pub(super) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The machine's monotonic clock.
pub(super) struct SystemClock(Instant);

impl SystemClock {
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
