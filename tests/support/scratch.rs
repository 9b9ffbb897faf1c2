//! A scratch directory that the servers' user owns, with the walkeep binary in it.
//!
//! Servers refuse to run as root, and cannot see a binary in a build directory in its home. So tests that start as
//! root run servers, and walkeep as they do, as the user `postgres`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SERVER_USER: &str = "postgres";

/// A world-readable directory that goes with the test. Its path is short: it holds Unix sockets.
pub struct Scratch {
    dir: TempDir,
    /// uid and gid of the servers' user; none when the tests' own user runs the servers.
    server_user: Option<(u32, u32)>,
}

impl Scratch {
    pub fn new() -> Scratch {
        let dir = tempfile::Builder::new().prefix("wk-").tempdir().unwrap();
        let scratch = Scratch { dir, server_user: server_user() };
        fs::set_permissions(scratch.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        scratch.give_to_server_user(scratch.dir.path());
        fs::copy(env!("CARGO_BIN_EXE_walkeep"), scratch.walkeep()).unwrap();
        scratch
    }

    /// A path in the directory; nothing needs to be there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether a cluster was made here.
    pub fn has_cluster(&self) -> bool {
        fs::read_dir(self.dir.path()).unwrap().any(|entry| entry.unwrap().path().join("PG_VERSION").exists())
    }

    /// The binary under test.
    pub fn walkeep(&self) -> PathBuf {
        self.path("walkeep")
    }

    /// A command that runs as the servers' user, in the scratch directory and with nearly no environment. It ends
    /// with the thread that started it, so that a test that is killed leaves no server behind.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if self.server_user.is_some() {
            command.args(["--reuid", SERVER_USER, "--regid", SERVER_USER, "--init-groups"]);
        }
        command.arg(program.as_ref()).current_dir(self.dir.path());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    /// walkeep as the servers' user; the caller judges the outcome.
    pub fn run_walkeep<'t>(&self, arguments: impl IntoIterator<Item = &'t str>) -> Output {
        self.command(self.walkeep()).args(arguments).output().unwrap()
    }

    /// An empty directory, of the servers' user alone.
    pub fn make_directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        self.give_to_server_user(&path);
        path
    }

    /// Writes a file of the servers' user.
    pub fn write(&self, path: &Path, content: impl AsRef<[u8]>) {
        fs::write(path, content).unwrap();
        self.give_to_server_user(path);
    }

    /// Copies a file or a whole directory, with its modes and times, as the servers' user.
    pub fn copy(&self, from: &Path, to: &Path) {
        must_succeed(self.command("/bin/cp").arg("-a").arg("-T").arg(from).arg(to));
    }

    fn give_to_server_user(&self, path: &Path) {
        if let Some((uid, gid)) = self.server_user {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }
}

/// Runs a command that has to succeed, and returns its standard output.
pub fn must_succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed with {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

fn server_user() -> Option<(u32, u32)> {
    let id = |option: &str, user: &[&str]| -> Option<u32> {
        let output = Command::new("id").arg(option).args(user).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id("-u", &[]) != Some(0) {
        return None;
    }
    let ids = id("-u", &[SERVER_USER]).zip(id("-g", &[SERVER_USER]));
    Some(ids.unwrap_or_else(|| {
        panic!("there is no user '{SERVER_USER}' to run servers: run `sh tests/run.sh --setup`")
    }))
}
