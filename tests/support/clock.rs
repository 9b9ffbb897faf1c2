//! A clock that is wrong: a library that the loader puts before the C library's, made by the compiler that Rust links
//! with. Only what runs with it is deceived; what the kernel writes, as modification times, is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scratch::{Scratch, must_succeed};

const SOURCE: &str = "
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && access(SINCE, F_OK) == 0) now->tv_sec += AHEAD_S;
    return result;
}
";

/// A wrong clock.
pub struct Clock(PathBuf);

impl Clock {
    /// One that is so many days ahead.
    pub fn ahead(scratch: &Scratch, days: u64) -> Clock {
        Clock::ahead_while(scratch, days, Path::new("/"))
    }

    /// One that is so many days ahead while there is a file: it jumps when that comes, and back when it goes.
    pub fn ahead_while(scratch: &Scratch, days: u64, exists: &Path) -> Clock {
        let (source, library) = (scratch.path("clock.c"), scratch.path("clock.so"));
        scratch.write(&source, SOURCE);
        let mut compiler = scratch.command("cc");
        compiler
            .arg(format!("-DAHEAD_S={}L", days * 86_400))
            .arg(format!("-DSINCE=\"{}\"", exists.display()));
        must_succeed(compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]));
        Clock(library)
    }

    /// Lets a command live by it.
    pub fn deceive(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.0);
    }
}
