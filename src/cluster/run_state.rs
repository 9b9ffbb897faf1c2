use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::Pid;

use super::control_file::{ClusterState, ControlFile};
use super::recovery::Recovery;
use super::{Cluster, ClusterError, read_text};

/// A run state: whether a server runs on a data directory, and as what, by its control file and its pid file.
///
/// It is as good as what can be seen from here. A server on another host that shares the storage, or in another
/// PID namespace, has a pid that means nothing here, and counts as crashed; ask there. Where another user's
/// process cannot be looked into, a pid that a stranger has got since counts as the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It runs.
    Running {
        /// The postmaster.
        pid: u32,
        /// As what it runs.
        role: Role,
    },
    /// It is there, and not ready: it starts, recovers from a crash, or waits for a lock.
    Starting {
        /// The postmaster.
        pid: u32,
    },
    /// It is shutting down. It may have written its shutdown checkpoint, and still be archiving.
    Stopping {
        /// The postmaster.
        pid: u32,
    },
    /// One session has it, without a postmaster (`postgres --single`): nothing is archived.
    Standalone {
        /// The session.
        pid: u32,
    },
    /// It was shut down cleanly.
    Stopped,
    /// Nothing runs, and nothing was shut down: it recovers when it starts next.
    Crashed,
}

/// As what a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes WAL of its own.
    Primary,
    /// It replays what it gets, until it is promoted. A server in the last moments of its promotion counts too.
    Standby,
    /// It recovers from an archive up to some point, and becomes a primary then.
    Recovering,
}

impl Cluster {
    /// Tells whether a server runs on the data directory, and as what.
    pub fn run_state(&self) -> Result<RunState, ClusterError> {
        let first = self.glance()?;
        // A server that stopped between two reads looks crashed, until the control file is read again.
        if first == RunState::Crashed { self.glance() } else { Ok(first) }
    }

    fn glance(&self) -> Result<RunState, ClusterError> {
        let control = self.control_file()?;
        let recovery = self.recovery()?;
        let process = self.process()?;
        Ok(decide(&control, recovery, process))
    }

    /// The process id of the server that has the data directory; `None` where none is alive.
    pub fn server_pid(&self) -> Result<Option<u32>, ClusterError> {
        Ok(self.process()?.map(|process| process.raw_pid()))
    }

    /// The process that has the data directory, where it is alive.
    fn process(&self) -> Result<Option<PidFile>, ClusterError> {
        let path = self.data_directory.join(self.dialect.pid_file);
        let Some(text) = read_text(&path)? else { return Ok(None) };
        let parsed = PidFile::parse(&text).ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a process id");
            ClusterError::Unreadable { path, source }
        })?;
        Ok(parsed.is_alive_in(&self.data_directory).then_some(parsed))
    }
}

/// What a pid file says (utils/pidfile.h).
#[derive(Clone, Debug, PartialEq, Eq)]
struct PidFile {
    pid: Pid,
    is_standalone: bool,
    data_directory: Option<String>,
    /// When the postmaster started, in seconds since 1970.
    started: Option<i64>,
    status: Option<Status>,
}

/// What the postmaster says of itself (10 and later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Stopping,
    /// It takes connections, or would if standbys did.
    Up,
}

impl PidFile {
    /// `None` where the first line is no process id.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let number: i32 = lines.next()?.trim().parse().ok()?;
        let pid = Pid::from_raw(number.checked_abs()?)?;
        let data_directory = lines.next().map(str::to_owned).filter(|line| !line.is_empty());
        let started = lines.next().and_then(|line| line.trim().parse().ok());
        let status = lines.nth(4).and_then(|line| match line.trim() {
            "starting" => Some(Status::Starting),
            "stopping" => Some(Status::Stopping),
            "ready" | "standby" => Some(Status::Up),
            _ => None,
        });
        Some(Self { pid, is_standalone: number < 0, data_directory, started, status })
    }

    fn raw_pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether the process is there, and is the one that has this data directory: every server makes that its
    /// current directory.
    fn is_alive_in(&self, data_directory: &Path) -> bool {
        use rustix::io::Errno;
        if !matches!(rustix::process::test_kill_process(self.pid), Ok(()) | Err(Errno::PERM)) {
            return false;
        }
        let process = Path::new("/proc").join(self.raw_pid().to_string());
        match fs::metadata(process.join("cwd")) {
            Ok(current) => fs::metadata(data_directory).is_ok_and(|data| is_one_directory(&current, &data)),
            // A dead process that its parent has not asked for yet has no current directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound && process.exists() => false,
            Err(_) => !self.is_of_another(data_directory),
        }
    }

    /// Whether the pid file names another directory, as in a copy of a running server's.
    fn is_of_another(&self, data_directory: &Path) -> bool {
        let named = self.data_directory.as_ref().and_then(|named| fs::metadata(named).ok());
        let data = fs::metadata(data_directory).ok();
        named.zip(data).is_some_and(|(named, data)| !is_one_directory(&named, &data))
    }
}

fn is_one_directory(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Decides from what the files say; the process is one that is alive.
fn decide(control: &ControlFile, recovery: Recovery, process: Option<PidFile>) -> RunState {
    let Some(process) = process else { return without_process(control.state) };
    let pid = process.raw_pid();
    let role = match (control.state, recovery) {
        (ClusterState::InArchiveRecovery, Recovery::Archive) => Role::Recovering,
        (ClusterState::InArchiveRecovery, _) => Role::Standby,
        _ => Role::Primary,
    };
    match (control.state, process.status) {
        _ if process.is_standalone => RunState::Standalone { pid },
        (ClusterState::ShuttingDown, _) | (_, Some(Status::Stopping)) => RunState::Stopping { pid },
        (ClusterState::StartingUp | ClusterState::InCrashRecovery, _) => RunState::Starting { pid },
        // What a base backup brought along, or a crash left: the server has not come to its control file yet, and calls
        // restore_command before it does. Up to 9.6 the times alone tell.
        (ClusterState::InProduction, Some(Status::Starting)) => RunState::Starting { pid },
        (ClusterState::InProduction, None)
            if recovery != Recovery::None && process.started.is_some_and(|at| control.time < at) =>
        {
            RunState::Starting { pid }
        }
        (ClusterState::InProduction | ClusterState::InArchiveRecovery, _) => RunState::Running { pid, role },
        (ClusterState::ShutDown | ClusterState::ShutDownInRecovery, status) => {
            // The checkpoint of a shutdown that began since the start, or the one before it.
            let is_later = process.started.is_some_and(|started| control.time > started);
            if status.is_none() && is_later { RunState::Stopping { pid } } else { RunState::Starting { pid } }
        }
    }
}

const fn without_process(state: ClusterState) -> RunState {
    match state {
        ClusterState::ShutDown | ClusterState::ShutDownInRecovery => RunState::Stopped,
        ClusterState::StartingUp
        | ClusterState::ShuttingDown
        | ClusterState::InCrashRecovery
        | ClusterState::InArchiveRecovery
        | ClusterState::InProduction => RunState::Crashed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{fixture, lay_out, row, write};
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;
    use std::process::{Child, Command, Stdio};

    const PID: u32 = 4711;

    fn control(state: ClusterState) -> ControlFile {
        let mut control = ControlFile::parse(&fixture("15/running/pg_control"), None).unwrap();
        control.state = state;
        control.time = 1000;
        control
    }

    fn pid_file(text: &str) -> PidFile {
        PidFile::parse(text).unwrap()
    }

    fn with_status(status: &str) -> PidFile {
        pid_file(&format!("{PID}\n/data\n900\n5432\n/tmp\n\n  1 2\n{status}\n"))
    }

    fn role_of(state: ClusterState, recovery: Recovery) -> RunState {
        decide(&control(state), recovery, Some(with_status("ready   ")))
    }

    #[test]
    fn a_pid_file_is_read_as_every_server_writes_it() {
        let whole = with_status("standby ");
        assert_eq!((whole.raw_pid(), whole.is_standalone), (PID, false));
        assert_eq!(whole.data_directory.as_deref(), Some("/data"));
        assert_eq!((whole.started, whole.status), (Some(900), Some(Status::Up)));
        let without_status = pid_file("4711\n/data\n900\n5432\n/tmp\n*\n");
        assert_eq!((without_status.started, without_status.status), (Some(900), None));
        assert!(pid_file("-4711\n/data\n").is_standalone);
        for text in ["", "\n4711", "x", "0\n", "-2147483648\n", "4711x\n", "99999999999\n"] {
            assert_eq!(PidFile::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_that_runs_has_a_role() {
        let running = |role| RunState::Running { pid: PID, role };
        use ClusterState::{InArchiveRecovery, InProduction};
        assert_eq!(role_of(InProduction, Recovery::None), running(Role::Primary));
        assert_eq!(role_of(InProduction, Recovery::Standby), running(Role::Primary), "left behind");
        assert_eq!(role_of(InArchiveRecovery, Recovery::Standby), running(Role::Standby));
        assert_eq!(role_of(InArchiveRecovery, Recovery::Archive), running(Role::Recovering));
        assert_eq!(role_of(InArchiveRecovery, Recovery::None), running(Role::Standby));
    }

    #[test]
    fn a_server_that_comes_or_goes_is_told_from_one_that_runs() {
        use ClusterState::{
            InCrashRecovery, InProduction, ShutDown, ShutDownInRecovery, ShuttingDown, StartingUp,
        };
        let state = |state, process| decide(&control(state), Recovery::None, Some(process));
        let (starting, stopping) = (RunState::Starting { pid: PID }, RunState::Stopping { pid: PID });
        for is in [ShutDown, ShutDownInRecovery, InCrashRecovery, StartingUp] {
            assert_eq!(state(is, with_status("starting")), starting, "{is}");
        }
        for recovery in [Recovery::None, Recovery::Standby] {
            let is = decide(&control(InProduction), recovery, Some(with_status("starting")));
            assert_eq!(is, starting, "a base backup's control file");
        }
        for is in [ShutDown, ShutDownInRecovery, ShuttingDown, InProduction] {
            assert_eq!(state(is, with_status("stopping")), stopping, "{is}");
        }
        let started_at = |time| pid_file(&format!("{PID}\n/data\n{time}\n"));
        assert_eq!(state(ShutDown, started_at(900)), stopping, "the checkpoint is newer than the start");
        assert_eq!(state(ShutDown, started_at(1001)), starting);
        assert_eq!(state(ShuttingDown, started_at(900)), stopping);
        let in_production = |recovery, at| decide(&control(InProduction), recovery, Some(started_at(at)));
        let primary = RunState::Running { pid: PID, role: Role::Primary };
        assert_eq!(in_production(Recovery::Standby, 1001), starting, "of 9.6");
        assert_eq!(in_production(Recovery::Standby, 900), primary);
        assert_eq!(in_production(Recovery::None, 1001), primary);
        assert_eq!(state(InProduction, pid_file("-4711\n")), RunState::Standalone { pid: PID });
    }

    #[test]
    fn without_a_process_the_control_file_tells_a_shutdown_from_a_crash() {
        for state in [ClusterState::ShutDown, ClusterState::ShutDownInRecovery] {
            assert_eq!(decide(&control(state), Recovery::None, None), RunState::Stopped);
        }
        for state in [
            ClusterState::StartingUp,
            ClusterState::ShuttingDown,
            ClusterState::InCrashRecovery,
            ClusterState::InArchiveRecovery,
            ClusterState::InProduction,
        ] {
            assert_eq!(decide(&control(state), Recovery::Standby, None), RunState::Crashed);
        }
    }

    fn cluster() -> (tempfile::TempDir, Cluster) {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path(), row("postgresql", "15"), "15", &fixture("15/running/pg_control"));
        let cluster = Cluster::find(dir.path()).unwrap();
        (dir, cluster)
    }

    /// A process whose current directory is that one.
    fn process_in(dir: &Path) -> Child {
        Command::new("sleep").arg("infinity").current_dir(dir).stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn only_a_process_in_the_data_directory_is_its_server() {
        let (dir, cluster) = cluster();
        let stranger = tempfile::tempdir().unwrap();
        let state = |pid: u32| {
            write(&dir.path().join("postmaster.pid"), format!("{pid}\n{}\n", dir.path().display()));
            cluster.run_state().unwrap()
        };
        let mut server = process_in(dir.path());
        let mut other = process_in(stranger.path());
        let pid = server.id();
        assert_eq!(state(pid), RunState::Running { pid, role: Role::Primary });
        assert_eq!(state(other.id()), RunState::Crashed, "the pid was given to another");
        assert_eq!(state(u32::from(u16::MAX) << 15), RunState::Crashed, "no such process");
        let link = stranger.path().join("link");
        symlink(dir.path(), &link).unwrap();
        assert_eq!(Cluster::find(&link).unwrap().run_state().unwrap(), RunState::Crashed);
        state(pid);
        let by_link = Cluster::find(&link).unwrap().run_state().unwrap();
        assert_eq!(by_link, RunState::Running { pid, role: Role::Primary });
        server.kill().unwrap();
        // Nobody has asked for its end yet: it is still there by its pid.
        while fs::metadata(format!("/proc/{pid}/cwd")).is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(state(pid), RunState::Crashed, "dead");
        server.wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(state(pid), RunState::Crashed, "gone");
    }

    #[test]
    fn a_pid_file_that_cannot_be_read_is_a_failure_and_not_an_absent_one() {
        let (dir, cluster) = cluster();
        assert_eq!(cluster.run_state().unwrap(), RunState::Crashed);
        write(&dir.path().join("postmaster.pid"), "");
        assert!(cluster.run_state().is_err(), "empty");
        write(&dir.path().join("postmaster.pid"), "nonsense\n");
        let error = cluster.run_state().unwrap_err();
        assert!(error.to_string().ends_with("postmaster.pid'"), "{error}");
        write(&dir.path().join("global/pg_control"), fixture("15/shutdown/pg_control"));
        assert!(cluster.run_state().is_err());
        write(&dir.path().join("postmaster.pid"), "-1\n");
        assert_ne!(cluster.run_state().unwrap(), RunState::Running { pid: 1, role: Role::Primary });
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,80}", numbers in "[-0-9\n]{0,40}") {
            let _ = PidFile::parse(&text);
            let _ = PidFile::parse(&numbers);
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_pid_file_a_process_is_never_number_0(
                text in mutated_text(&[
                    "4711\n/data/main\n1795267614\n5432\n/tmp\nlocalhost\n  54321 65536\nready   \n",
                    "-815\n/data\n1795267614\n5432\n\n\n",
                    "4711\n/data\n1795267614\n5432\n/tmp\n*\n  1 2\nstopping\n",
                ]),
            ) {
                if let Some(file) = PidFile::parse(&text) {
                    prop_assert!(file.raw_pid() > 0);
                }
            }
        }
    }
}
