//! What strace tells and does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The system calls that a file system answers.
const CALLS: [&str; 20] = [
    "openat",
    "read",
    "write",
    "pread64",
    "pwrite64",
    "fsync",
    "linkat",
    "unlink",
    "unlinkat",
    "rename",
    "renameat2",
    "statx",
    "newfstatat",
    "getdents64",
    "flock",
    "fchmod",
    "chmod",
    "mkdir",
    "lseek",
    "statfs",
];

/// The first system call that main makes with this name; those before it are the loader's.
const MAIN_BEGINS: &str = "sigaltstack";

/// What is done to a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Error(&'static str),
    Kill,
    /// It begins so many seconds later.
    Delay(u32),
}

const FAULTS: [Fault; 4] = [Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EACCES"), Fault::Kill];

/// What a system call is made to do: anything may break or be killed. No space and no permission are only tried, but for
/// long runs, where something is written or changed: what only looks fares as with any other error. So it is with a kill,
/// which leaves the same behind at each look between two changes.
fn faults_of(call: &str) -> impl Iterator<Item = Fault> {
    let long = std::env::var_os("WALKEEP_TEST_LONG").is_some();
    let takes_space = ["write", "pwrite64", "fsync", "linkat", "rename", "renameat2", "mkdir"];
    let asks_permission = ["linkat", "unlink", "unlinkat", "rename", "renameat2", "chmod", "fchmod", "mkdir"];
    let only_looks =
        ["read", "pread64", "statx", "newfstatat", "getdents64", "lseek", "statfs"].contains(&call);
    let (takes_space, asks_permission) = (takes_space.contains(&call), asks_permission.contains(&call));
    FAULTS.into_iter().filter(move |fault| match fault {
        Fault::Error("ENOSPC") => long || takes_space,
        Fault::Error("EACCES") => long || asks_permission,
        Fault::Kill => long || !only_looks,
        _ => true,
    })
}

/// One fault at one system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Injection {
    pub call: String,
    pub nth: usize,
    pub fault: Fault,
}

/// How a command ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// `None` where it was killed.
    pub code: Option<i32>,
    pub stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let killed = output.status.signal() == Some(9);
        let code = output.status.code();
        assert!(killed || code.is_some(), "it died otherwise: {output:?}");
        Self { code, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

/// Runs a command as it is.
pub fn run(command: &mut Command) -> Ended {
    Ended::of(&command.output().expect("the command runs"))
}

pub fn under_strace(command: &Command, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    // The loader's own search would be most of the trace.
    strace.env_remove("LD_LIBRARY_PATH").env_remove("RUST_BACKTRACE");
    strace.arg("-f").args(options).arg("--").arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        strace.current_dir(dir);
    }
    strace
}

/// Runs a command with one fault.
pub fn run_with(command: &Command, injection: &Injection) -> Ended {
    let Injection { call, nth, fault } = injection;
    let what = match fault {
        Fault::Error(errno) => format!("error={errno}"),
        Fault::Kill => "signal=KILL".to_owned(),
        Fault::Delay(seconds) => format!("delay_enter={seconds}s"),
    };
    let inject = format!("inject={call}:{what}:when={nth}");
    let traced = format!("trace={call}");
    let output = under_strace(command, &["-qq", "-o", "/dev/null", "-e", &traced, "-e", &inject])
        .output()
        .expect("strace is installed");
    Ended::of(&output)
}

/// Runs a command that is stopped at one system call, once that was made, and goes on when something else was done.
pub fn run_around(
    command: &Command,
    (call, nth): (&str, usize),
    log: &Path,
    meanwhile: impl FnOnce(),
) -> Ended {
    let (traced, inject) = (format!("trace={call}"), format!("inject={call}:signal=STOP:when={nth}"));
    let options = ["-o", log.to_str().expect("a plain path"), "-e", &traced, "-e", &inject];
    let mut strace = under_strace(command, &options);
    let running = strace.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace is installed");
    let began = Instant::now();
    let stopped = loop {
        let text = fs::read_to_string(log).unwrap_or_default();
        let stopped = text.lines().find(|line| line.contains("--- stopped by SIGSTOP ---"));
        if let Some(pid) = stopped.and_then(|line| line.split(' ').next()) {
            break pid.to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it did not stop at {call} {nth}: {text}");
        std::thread::sleep(Duration::from_millis(1));
    };
    meanwhile();
    assert!(Command::new("kill").args(["-s", "CONT", &stopped]).status().expect("kill is there").success());
    Ended::of(&running.wait_with_output().expect("it ends"))
}

/// Every line of a command's trace, with the paths of descriptors.
pub fn lines(command: &Command, log: &Path) -> Vec<String> {
    let log_name = log.to_str().expect("a plain path");
    let output = under_strace(command, &["-qq", "-y", "-s", "200", "-o", log_name]).output().expect("strace");
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(log).expect("strace wrote its log");
    text.lines()
        .map(|line| line.split_once(' ').map_or(line, |(_, call)| call.trim_start()).to_owned())
        .collect()
}

/// Every fault at every system call that a command makes in its own code.
pub fn injections(command: &Command, log: &Path) -> Vec<Injection> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut in_main = false;
    let mut found = Vec::new();
    for line in lines(command, log) {
        let Some(name) = line.split_once('(').map(|(name, _)| name.to_owned()) else { continue };
        in_main |= name == MAIN_BEGINS;
        let Some(call) = CALLS.into_iter().find(|call| *call == name) else { continue };
        let count = counts.entry(call).or_default();
        *count += 1;
        if in_main {
            let one = |fault| Injection { call: call.to_owned(), nth: *count, fault };
            found.extend(faults_of(call).map(one));
        }
    }
    assert!(found.len() > 40, "a trace that shows the work: {found:?}");
    found
}
