//! Clocks that stand still, for a call whose answer must not depend on how fast the machine is: a library that the
//! loader puts before the C library's. The kernel's own times, as those of files, go on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

const SOURCE: &str = "
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    const char *at = getenv(\"STANDSTILL_AT\");
    if (clock == CLOCK_REALTIME && at != NULL) {
        now->tv_sec = atoll(at);
        now->tv_nsec = atoll(strchr(at, '.') + 1);
        return 0;
    }
    if (clock == CLOCK_MONOTONIC && getenv(\"STANDSTILL\") != NULL) {
        now->tv_sec = 1000;
        now->tv_nsec = 0;
        return 0;
    }
    return syscall(SYS_clock_gettime, clock, now);
}
";

/// Stops the clock that limits of time are measured by, so that none is ever reached.
pub fn stop_stopwatch(command: &mut Command) {
    command.env("LD_PRELOAD", library()).env("STANDSTILL", "1");
}

/// Stops the time of day.
#[allow(dead_code, reason = "not every test binary judges by the time of day")]
pub fn stop_clock(command: &mut Command, at: SystemTime) {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap();
    let shown = format!("{}.{}", since_1970.as_secs(), since_1970.subsec_nanos());
    command.env("LD_PRELOAD", library()).env("STANDSTILL_AT", shown);
}

/// The library, compiled once for each run of a test binary.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let name = env!("CARGO_CRATE_NAME");
        let source = place.join(format!("standstill-{name}-{}.c", std::process::id()));
        let (made, library) = (source.with_extension("so"), place.join(format!("standstill-{name}.so")));
        std::fs::write(&source, SOURCE).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).args([&made, &source]);
        assert!(compiler.status().expect("this test needs the program 'cc'").success());
        // Another run may use the one that is there.
        std::fs::rename(&made, &library).unwrap();
        std::fs::remove_file(&source).unwrap();
        library
    })
}
