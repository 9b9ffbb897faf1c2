//! What strace tells and does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The system calls that a file system answers.
const CALLS: [&str; 21] = [
    "open",
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

/// How long anything that is waited for may take before it counts as never happening: no machine is so slow.
pub const BOUND: Duration = Duration::from_secs(600);

/// The first system call that main makes with this name; those before it are the loader's.
const MAIN_BEGINS: &str = "sigaltstack";

/// What is done to a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Error(&'static str),
    Kill,
    /// It never begins.
    Hang,
}

const FAULTS: [Fault; 4] = [Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Error("EACCES"), Fault::Kill];

/// What a system call is made to do: anything may break or be killed. No space and no permission are only tried, but for
/// long runs, if something is written or changed: a call that only reads fares as with any other error. So it is with a
/// kill, which leaves the same behind at each read between two changes.
fn faults_of(call: &Call) -> impl Iterator<Item = Fault> {
    let takes_space = ["write", "pwrite64", "fsync", "linkat", "rename", "renameat2", "mkdir"];
    let asks_permission = ["linkat", "unlink", "unlinkat", "rename", "renameat2", "chmod", "fchmod", "mkdir"];
    let (takes_space, asks_permission) =
        (takes_space.contains(&call.name), asks_permission.contains(&call.name));
    let only_reads = call.only_reads;
    FAULTS.into_iter().filter(move |fault| match fault {
        Fault::Error("ENOSPC") => is_long() || takes_space,
        Fault::Error("EACCES") => is_long() || asks_permission,
        Fault::Kill => is_long() || !only_reads,
        _ => true,
    })
}

fn is_long() -> bool {
    std::env::var_os("WALKEEP_TEST_LONG").is_some()
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
    for (name, value) in command.get_envs() {
        // Of what runs under it alone.
        let value = value.unwrap_or_default().to_str().expect("a plain value");
        strace.arg("-E").arg(format!("{}={value}", name.to_str().expect("a plain name")));
    }
    strace.arg("-f").args(options).arg("--").arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        strace.current_dir(dir);
    }
    strace
}

impl Injection {
    /// As strace takes it.
    fn option(&self) -> String {
        let what = match self.fault {
            Fault::Error(errno) => format!("error={errno}"),
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Hang => "delay_enter=1000s".to_owned(),
        };
        format!("inject={}:{what}:when={}", self.call, self.nth)
    }
}

/// Runs a command with one fault.
pub fn run_with(command: &Command, injection: &Injection) -> Ended {
    let Injection { call, fault, .. } = injection;
    let inject = injection.option();
    let traced = format!("trace={call}");
    let mut options = vec!["-qq", "-o", "/dev/null", "-e", &traced, "-e", &inject];
    if matches!(fault, Fault::Error(_)) {
        // Nothing stops at other calls. A signal cannot be sent from such a stop.
        options.push("--seccomp-bpf");
    }
    let output = under_strace(command, &options).output().expect("strace is installed");
    Ended::of(&output)
}

/// Runs a command that hangs in a system call, and ends by itself all the same.
pub fn run_hanging(command: &Command, injection: &Injection, log: &Path) -> Ended {
    let (traced, inject) = (format!("trace={}", injection.call), injection.option());
    // strace would wait for the end of the delay: it is no parent here (-D), and killed once the command has ended.
    let options = ["-D", "-qq", "-o", log.to_str().expect("a plain path"), "-e", &traced, "-e", &inject];
    let mut traced = under_strace(command, &options);
    let running = traced.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("strace is installed");
    let began = Instant::now();
    // What is under way when a process ends has no result.
    while !fs::read_to_string(log).unwrap_or_default().contains(" = ?") {
        assert!(began.elapsed() < BOUND, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).expect("it is there");
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).expect("a status").trim();
    if tracer != "0" {
        assert!(Command::new("kill").args(["-KILL", tracer]).status().expect("kill is there").success());
    }
    Ended::of(&running.wait_with_output().expect("it ends"))
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
        assert!(began.elapsed() < BOUND, "it did not stop at {call} {nth}: {text}");
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

/// A system call of a command's own code: its name, how many of that name came before it, and what it is made on.
struct Call {
    name: &'static str,
    nth: usize,
    on: String,
    /// Whether nothing is changed by it.
    only_reads: bool,
}

/// What a call is made on: the path of its descriptor, and the names in it.
fn made_on(name: &str, arguments: &str) -> String {
    // What is quoted here is what was read or written.
    let moves_bytes = ["read", "write", "pread64", "pwrite64", "getdents64"].contains(&name);
    let mut parts = arguments.split(['<', '>', '"']).skip(1).step_by(2);
    let parts = parts.by_ref().take(if moves_bytes { 1 } else { 4 });
    parts.collect::<Vec<_>>().join(" ")
}

fn calls_of(command: &Command, log: &Path) -> Vec<Call> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut in_main = false;
    let mut calls = Vec::new();
    for line in lines(command, log) {
        let Some((called, rest)) = line.split_once('(') else { continue };
        in_main |= called == MAIN_BEGINS;
        let Some(name) = CALLS.into_iter().find(|call| *call == called) else { continue };
        let count = counts.entry(name).or_default();
        *count += 1;
        if in_main {
            let reads = ["read", "pread64", "statx", "newfstatat", "getdents64", "lseek", "statfs"];
            let opens_to_read = name == "openat" && rest.contains("O_RDONLY") && !rest.contains("O_CREAT");
            let only_reads = reads.contains(&name) || opens_to_read;
            calls.push(Call { name, nth: *count, on: made_on(name, rest), only_reads });
        }
    }
    calls
}

/// Every fault at every system call that a command makes in its own code. But in long runs the first and the last stand for
/// those between them if it makes the same call on the same path again and again, and one call in three for all that only
/// read.
pub fn injections(command: &Command, log: &Path) -> Vec<Injection> {
    let calls = calls_of(command, log);
    let is_again = |call: &Call, others: &[Call]| {
        others.iter().any(|other| (other.name, &other.on) == (call.name, &call.on))
    };
    let stands_for_itself = |at: usize| {
        let call = &calls[at];
        let is_between = is_again(call, &calls[..at]) && is_again(call, &calls[at + 1..]);
        !is_between && (!call.only_reads || at.is_multiple_of(3))
    };
    let counts = |at: usize| is_long() || stands_for_itself(at);
    let tried = calls.iter().enumerate().filter(|(at, _)| counts(*at)).map(|(_, call)| call);
    let found: Vec<Injection> = tried
        .flat_map(|call| {
            faults_of(call).map(|fault| Injection { call: call.name.to_owned(), nth: call.nth, fault })
        })
        .collect();
    assert!(found.len() > 20, "a trace that shows the work: {found:?}");
    found
}
