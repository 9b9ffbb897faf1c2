//! A scene: a scratch directory with a data directory, a repository, and the binary to run in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::standstill;

/// How long anything that is waited for may take before it counts as never happening: no machine is so slow.
pub const BOUND: Duration = Duration::from_secs(600);

/// Polls until a condition holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The cluster of the 1 MiB fixtures: PostgreSQL 15.
pub const SYSTEM: u64 = 7_710_439_506_139_532_764;
/// Another one.
pub const OTHER_SYSTEM: u64 = 7_710_439_506_139_532_765;
/// The fixtures' 1 MiB segments, in their order.
pub const SEGMENTS: [&str; 5] = [
    "000000010000000000000FFD",
    "000000010000000000000FFE",
    "000000010000000000000FFF",
    "000000010000000100000000",
    "000000010000000100000001",
];
pub const SEGMENT: &str = SEGMENTS[0];
pub const MIB: usize = 1 << 20;
/// A history and a base backup's, as servers wrote them.
pub const HISTORY: (&str, &str) = ("00000002.history", "15-debian/wal/00000002.history");
pub const BACKUP: (&str, &str) =
    ("00000001000000000000001E.00000028.backup", "15-debian/wal/00000001000000000000001E.00000028.backup");

pub fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// One of the 1 MiB segments, whole.
pub fn segment(name: &str) -> Vec<u8> {
    gunzip(&fixture(&format!("15-debian/wal/seg1MB_{name}.gz")))
}

/// A segment that was begun, and is zeros from the given byte on.
pub fn cut_in_zeros(mut bytes: Vec<u8>, from: usize) -> Vec<u8> {
    bytes[from..].fill(0);
    bytes
}

/// The same segment as a server of another cluster would have written its first page.
pub fn of_system(mut bytes: Vec<u8>, system: u64) -> Vec<u8> {
    bytes[24..32].copy_from_slice(&system.to_le_bytes());
    bytes
}

/// A 1 MiB segment of the given timeline and number, made of another one: only page addresses and timelines differ.
pub fn segment_as(timeline: u32, number: u64) -> Vec<u8> {
    let mut bytes = segment(SEGMENT);
    for (page, chunk) in bytes.chunks_mut(8192).enumerate() {
        let address = number * MIB as u64 + page as u64 * 8192;
        chunk[4..8].copy_from_slice(&timeline.to_le_bytes());
        chunk[8..16].copy_from_slice(&address.to_le_bytes());
    }
    bytes
}

/// The name of a 1 MiB segment.
pub fn name_of(timeline: u32, number: u64) -> String {
    format!("{timeline:08X}{:08X}{:08X}", number / 4096, number % 4096)
}

/// The control file of the 1 MiB cluster, of another system.
pub fn control_file_of(system: u64) -> Vec<u8> {
    let mut bytes = fixture("15-debian/pg_control.walseg1MB");
    bytes[..8].copy_from_slice(&system.to_le_bytes());
    seal(&mut bytes, 288);
    bytes
}

/// The control file of the 1 MiB cluster, as of a checkpoint on a timeline.
pub fn control_file_at(timeline: u32, checkpoint: u64) -> Vec<u8> {
    let mut bytes = control_file_of(SYSTEM);
    bytes[32..40].copy_from_slice(&checkpoint.to_le_bytes());
    bytes[40..48].copy_from_slice(&checkpoint.to_le_bytes());
    bytes[48..52].copy_from_slice(&timeline.to_le_bytes());
    seal(&mut bytes, 288);
    bytes
}

/// PostgreSQL 11's control file with the identity of the 1 MiB cluster.
pub fn control_file_11() -> Vec<u8> {
    let mut bytes = fixture("11/running/pg_control");
    bytes[..8].copy_from_slice(&SYSTEM.to_le_bytes());
    bytes[220..224].copy_from_slice(&(MIB as u32).to_le_bytes());
    seal(&mut bytes, 280);
    bytes
}

/// Gives a control file the checksum that its bytes ask for.
pub fn seal(bytes: &mut [u8], at: usize) {
    let crc = crc32c::crc32c(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The digest that sha256sum would print.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a program of the system to its end; a missing one, or one that fails, fails the test.
pub fn tool(program: &str, args: &[&OsStr]) -> Vec<u8> {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs the program '{program}': {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Puts a file into a directory as other archiving tools do.
pub fn put_with(tool_name: &str, directory: &Path, name: &str, bytes: &[u8]) {
    let plain = directory.join(name);
    fs::write(&plain, bytes).unwrap();
    let path: &OsStr = plain.as_ref();
    match tool_name {
        "cp" => {}
        "gzip" => drop(tool("gzip", &["-1".as_ref(), path])),
        "zstd" => drop(tool("zstd", &["-q".as_ref(), "--rm".as_ref(), path])),
        "lz4" => drop(tool(
            "lz4",
            &["-q".as_ref(), "--rm".as_ref(), path, directory.join(format!("{name}.lz4")).as_ref()],
        )),
        other => panic!("{other}"),
    }
}

/// Some promises can only be seen by root, who may mount and become somebody else.
pub fn need_root(what: &str) {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(uid, 0, "this test has to run as root: {what}");
}

/// What a call left on its outputs.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what is printed is UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Succeeded, and said nothing.
    #[track_caller]
    pub fn silent_success(self) {
        assert_eq!((self.code, &*self.stdout, &*self.stderr), (Some(0), "", ""), "{self:#?}");
    }

    /// Said nothing, and exited so.
    #[track_caller]
    pub fn silent(self, code: i32) {
        assert_eq!((self.code, &*self.stdout, &*self.stderr), (Some(code), "", ""), "{self:#?}");
    }

    /// Exited so with nothing on standard output, and a message within its limit that says all of this.
    #[track_caller]
    pub fn refused(self, code: i32, says: &[&str]) -> Self {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{self:#?}");
        assert!(!self.stderr.is_empty() && self.stderr.len() < 4000, "{self:#?}");
        self.says(says)
    }

    #[track_caller]
    pub fn says(self, says: &[&str]) -> Self {
        for say in says {
            assert!(self.stderr.contains(say), "stderr lacks {say:?}: {self:#?}");
        }
        self
    }

    /// Succeeded, with nothing on standard error, and these words on standard output, however its lines are broken.
    #[track_caller]
    pub fn prints(self, says: &[&str]) -> Self {
        assert_eq!((self.code, &*self.stderr), (Some(0), ""), "{self:#?}");
        for say in says.iter().filter(|say| !self.stdout.contains(**say)) {
            self.tells(say);
        }
        self
    }

    /// Standard output holds these words, however its lines are broken.
    #[track_caller]
    pub fn tells(&self, words: &str) {
        let unbroken = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unbroken(&self.stdout).contains(&unbroken(words)), "stdout lacks {words:?}: {self:#?}");
    }

    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let outcome = self.prints(&[]);
        serde_json::from_str(&outcome.stdout).expect("standard output is one JSON object")
    }
}

/// One call of the binary.
pub struct Call(Command);

impl Call {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(key, value);
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.0.env_remove(key);
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// Stops the call's stopwatch: it reaches no limit of time, however slow the machine is.
    pub fn without_limits_of_time(mut self) -> Self {
        standstill::stop_stopwatch(&mut self.0);
        self
    }

    /// Stops the call's time of day.
    pub fn at(mut self, time: SystemTime) -> Self {
        standstill::stop_clock(&mut self.0, time);
        self
    }

    #[track_caller]
    pub fn run(mut self) -> Outcome {
        Outcome::of(self.0.output().unwrap())
    }

    /// Runs a call that might not end by itself, and prints little.
    #[track_caller]
    pub fn run_to_its_end(self) -> Outcome {
        let Running(mut child) = self.spawn();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if began.elapsed() > BOUND {
                child.kill().unwrap();
                panic!("the call does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Running(child).end()
    }

    pub fn spawn(mut self) -> Running {
        Running(self.0.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub fn command(self) -> Command {
        self.0
    }
}

/// A call that goes on beside the test.
pub struct Running(Child);

impl Running {
    /// Sends a signal to what runs under strace.
    pub fn signal_traced(&self, signal: &str) {
        signal_child_of(self.0.id(), signal);
    }

    pub fn end(self) -> Outcome {
        Outcome::of(self.0.wait_with_output().unwrap())
    }
}

/// Sends a signal to the one child that a process has.
pub fn signal_child_of(parent: u32, signal: &str) {
    let child = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    // No number at all would mean this very group of processes.
    let child: u32 = child.trim().parse().unwrap();
    tool("kill", &["-s".as_ref(), signal.as_ref(), child.to_string().as_ref()]);
}

/// When anything about a file was changed last.
pub fn changed_at(path: &Path) -> SystemTime {
    let meta = fs::metadata(path).unwrap();
    let since_1970 = Duration::new(meta.ctime().try_into().unwrap(), meta.ctime_nsec().try_into().unwrap());
    SystemTime::UNIX_EPOCH + since_1970
}

/// A call under strace that is stopped after one of its system calls, until the test lets it go on.
pub struct Stopped {
    running: Option<Running>,
    pid: String,
}

impl Stopped {
    fn signal(&self, signal: &str) {
        tool("kill", &["-s".as_ref(), signal.as_ref(), self.pid.as_ref()]);
    }

    /// Lets it go on; how it ends.
    pub fn go_on(mut self) -> Outcome {
        self.signal("CONT");
        self.running.take().unwrap().end()
    }
}

impl Drop for Stopped {
    /// A test that failed leaves no stopped process behind.
    fn drop(&mut self) {
        if let Some(Running(mut strace)) = self.running.take() {
            let _ = Command::new("kill").args(["-KILL", &self.pid]).status();
            let _ = strace.wait();
        }
    }
}

/// The process that strace stopped with all of its threads, by its log; `None` while it runs.
pub fn stopped_process(log: &[u8]) -> Option<String> {
    let log = String::from_utf8_lossy(log);
    let mut stopped = log.lines().filter(|line| line.contains("--- stopped by SIGSTOP ---"));
    let thread = stopped.next()?.split(' ').next()?.to_owned();
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().to_owned();
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?.count();
    (1 + stopped.count() >= threads).then_some(process)
}

/// The user that unprivileged calls run as.
pub const NOBODY: u32 = 65_534;

pub struct Scene {
    dir: TempDir,
}

impl Scene {
    /// A data directory of the 1 MiB cluster, an empty directory for a repository, and nothing else.
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // Another user has to find its way in.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Self { dir };
        scene.data_directory("data", "15", &control_file_of(SYSTEM));
        fs::create_dir(scene.path("elsewhere")).unwrap();
        scene
    }

    /// The same with a repository that `init` made.
    pub fn with_repository(compress: &str) -> Self {
        let scene = Self::new();
        scene.init(compress);
        scene
    }

    /// Makes the repository, bound to the data directory's cluster.
    pub fn init(&self, compress: &str) {
        self.call(&["init", "-D", ".", "--compress", compress]).run().prints(&[]);
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The path as it stands in messages.
    pub fn shown(&self, below: &str) -> String {
        self.path(below).display().to_string()
    }

    pub fn data_directory(&self, at: &str, version: &str, control_file: &[u8]) {
        self.write(format!("{at}/PG_VERSION"), format!("{version}\n"));
        self.write(format!("{at}/global/pg_control"), control_file);
        fs::create_dir_all(self.path(at).join("pg_wal/archive_status")).unwrap();
        fs::create_dir_all(self.path(at).join("pg_replslot")).unwrap();
    }

    /// Writes a file, with the directories above it.
    pub fn write(&self, below: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, below: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(below);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What a file holds, where there is one.
    pub fn read_if_there(&self, below: impl AsRef<Path>) -> Option<Vec<u8>> {
        fs::read(self.path(below)).ok()
    }

    pub fn remove(&self, below: impl AsRef<Path>) {
        fs::remove_file(self.path(below)).unwrap();
    }

    /// Puts a finished segment, or any other WAL file, where its server offers it.
    pub fn offer(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.write(format!("data/pg_wal/{name}"), bytes);
        self.write(format!("data/pg_wal/archive_status/{name}.ready"), "");
    }

    /// Puts the fixture segments there.
    pub fn offer_segments(&self, names: &[&str]) {
        for name in names {
            self.offer(name, segment(name));
        }
    }

    /// The binary, as the server in the data directory calls it, with `--repo` and a node's name in its environment.
    pub fn call(&self, args: &[&str]) -> Call {
        self.call_of(env!("CARGO_BIN_EXE_walkeep").as_ref(), args)
    }

    fn call_of(&self, program: &OsStr, args: &[&str]) -> Call {
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::null());
        let call = Call(command).env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TZ", "UTC");
        call.env("WALKEEP_NODE", "node1").env("WALKEEP_REPO", self.path("repo")).cwd(self.path("data"))
    }

    /// The same as another user, who is not root.
    pub fn call_as_nobody(&self, args: &[&str]) -> Call {
        need_root("it becomes another user");
        let uid = NOBODY.to_string();
        let mut words: Vec<OsString> =
            ["--reuid", &uid, "--regid", &uid, "--clear-groups"].iter().map(OsString::from).collect();
        words.push(self.binary_for_all().into());
        words.extend(args.iter().map(OsString::from));
        let mut call = self.call_of("setpriv".as_ref(), &[]);
        call.0.args(words);
        call
    }

    /// The binary where every user can execute it. Copied by another process: a copy that this one still had open
    /// for writing could not be started.
    fn binary_for_all(&self) -> PathBuf {
        let copy = self.path("walkeep-for-all");
        if !copy.exists() {
            tool("cp", &[env!("CARGO_BIN_EXE_walkeep").as_ref(), copy.as_ref()]);
            tool("chmod", &["755".as_ref(), copy.as_ref()]);
        }
        copy
    }

    /// The same under a shell that first does something to its own process.
    pub fn call_in_shell(&self, before: &str, args: &[&str]) -> Call {
        let script = format!("{before}; exec \"$@\"");
        let call = self.call_of("sh".as_ref(), &["-c", &script, "sh", env!("CARGO_BIN_EXE_walkeep")]);
        call.args(args)
    }

    /// The same, started by another program.
    pub fn call_by(&self, program: &[&str]) -> Call {
        let (program, args) = program.split_first().unwrap();
        self.call_of(program.as_ref(), args).arg(env!("CARGO_BIN_EXE_walkeep"))
    }

    /// The same under strace, which interferes as it is told.
    pub fn call_under_strace(&self, how: &[&str], args: &[&str]) -> Call {
        let trace = self.path("strace.out");
        let call = self.call_of("strace".as_ref(), &["-f", "-qq"]).arg("-o").arg(trace).args(how);
        call.arg(env!("CARGO_BIN_EXE_walkeep")).args(args)
    }

    /// Starts a call, and returns when it has been stopped right after its first system call of this name. strace counts
    /// for each thread: only one does the work.
    #[track_caller]
    pub fn stop_after(&self, system_call: &str, args: &[&str]) -> Stopped {
        let (trace, inject) =
            (format!("trace={system_call}"), format!("inject={system_call}:signal=STOP:when=1"));
        let log = self.shown(&format!("{system_call}.out"));
        let how = ["-o", &log, "-e", &trace, "-e", &inject];
        let mut running = self.call_under_strace(&how, args).env("WALKEEP_JOBS", "1").spawn();
        let mut pid = None;
        until(&format!("it stops after its {system_call}"), || {
            pid = fs::read(&log).ok().and_then(|log| stopped_process(&log));
            assert!(
                pid.is_some() || running.0.try_wait().unwrap().is_none(),
                "it ended before {system_call}"
            );
            pid.is_some()
        });
        Stopped { running: Some(running), pid: pid.unwrap() }
    }

    /// Runs a call that hangs for ever when it opens a file, and has to end by itself all the same.
    #[track_caller]
    pub fn run_hanging(&self, opens: &str, args: &[&str]) -> Outcome {
        // strace would wait for the end of the delay: it is no parent here (-D), and killed once the call has ended.
        let hang =
            ["-D", "-P", opens, "-e", "trace=open,openat", "-e", "inject=open,openat:delay_enter=1000s"];
        let running = self.call_under_strace(&hang, args).spawn();
        until("the call that hangs ends", || {
            // What is under way when a process ends has no result.
            String::from_utf8_lossy(&self.read_if_there("strace.out").unwrap_or_default()).contains(" = ?")
        });
        let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim();
        if tracer != "0" {
            tool("kill", &["-KILL".as_ref(), tracer.as_ref()]);
        }
        self.remove("strace.out");
        running.end()
    }

    /// Gives a file or a tree to the user that is not root.
    pub fn give_away(&self, below: &str) {
        need_root("it gives files to another user");
        tool("chown", &["-R".as_ref(), format!("{NOBODY}:{NOBODY}").as_ref(), self.path(below).as_ref()]);
    }

    /// `walkeep archive %p` for a file in the WAL directory.
    pub fn archive(&self, name: &str) -> Outcome {
        self.call(&["archive", &format!("pg_wal/{name}")]).without_limits_of_time().run()
    }

    /// `walkeep restore %f pg_wal/RECOVERYXLOG`, without patience.
    pub fn restore(&self, name: &str) -> Outcome {
        let args = ["restore", name, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s"];
        self.call(&args).without_limits_of_time().run()
    }

    /// Archives fixture segments, and takes them out of the WAL directory as a server that recycles them does.
    pub fn store_segments(&self, names: &[&str]) {
        self.offer_segments(names);
        for name in names {
            self.archive(name).silent_success();
            self.recycle(name);
        }
    }

    /// Archives one file that is there no more afterwards.
    pub fn store(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.offer(name, bytes);
        self.archive(name).silent_success();
        self.recycle(name);
    }

    fn recycle(&self, name: &str) {
        self.remove(format!("data/pg_wal/{name}"));
        self.remove(format!("data/pg_wal/archive_status/{name}.ready"));
    }

    /// What the server's main configuration file says.
    pub fn configure(&self, conf: &str) {
        self.write("data/postgresql.conf", conf);
    }

    /// Makes the data directory one of a server that recovers.
    pub fn make_recovery(&self) {
        self.write("data/recovery.signal", "");
    }

    /// Makes the data directory a standby's.
    pub fn make_standby(&self) {
        self.write("data/standby.signal", "");
    }

    /// What `restore` delivered; `None` where nothing stands there.
    pub fn delivered(&self) -> Option<Vec<u8>> {
        fs::read(self.path("data/pg_wal/RECOVERYXLOG")).ok()
    }

    /// The names in a directory and below it, sorted; directories end in a slash. Stamps are advisory, and claims are of
    /// the time: both are left out.
    pub fn listing(&self, below: &str) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.path(below), "", &mut names);
        names.retain(|name| {
            ![".walkeep/stamps/", ".walkeep/claims/"].iter().any(|folder| name.starts_with(folder))
        });
        names.sort();
        names
    }

    /// The names in the repository that are not walkeep's own.
    pub fn stored(&self) -> Vec<String> {
        let mut names = self.listing("repo");
        names.retain(|name| !name.starts_with(".walkeep/"));
        names
    }

    /// Everything that is known of the files below a directory: names, modes, inodes, times and bytes.
    pub fn snapshot(&self, below: &str) -> Vec<(String, u32, u64, i64, i64, Vec<u8>)> {
        let describe = |name: String| {
            let path = self.path(below).join(&name);
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let inode = if meta.is_file() { meta.ino() } else { 0 };
            let (s, ns) = if meta.is_file() { (meta.mtime(), meta.mtime_nsec()) } else { (0, 0) };
            (name, meta.mode(), inode, s, ns, bytes)
        };
        self.listing(below).into_iter().map(describe).collect()
    }

    pub fn mode(&self, below: impl AsRef<Path>) -> u32 {
        fs::symlink_metadata(self.path(below)).unwrap().mode() & 0o7777
    }
}

fn list(dir: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            names.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}

/// A small file system of its own, unmounted when it is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: PathBuf, options: &str) -> Self {
        need_root("it mounts a small file system");
        fs::create_dir_all(&at).unwrap();
        let kind = ["-t", "tmpfs", "-o", options, "walkeep-test"].map(OsStr::new);
        tool("mount", &[&kind[..], &[at.as_os_str()]].concat());
        Self(at)
    }

    pub fn remount(&self, options: &str) {
        tool("mount", &["-o".as_ref(), format!("remount,{options}").as_ref(), self.0.as_os_str()]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Compares what was printed with `tests/cli/screens/NAME.txt`, whole, but for what differs from call to call: the
/// scene's path, the binary's, times of day and free space. A screen is no wider than a terminal.
#[track_caller]
pub fn is_screen(scene: &Scene, outcome: &Outcome, name: &str) {
    let mut text =
        outcome.stdout.replace(&scene.shown(""), "SCENE/").replace(env!("CARGO_BIN_EXE_walkeep"), "WALKEEP");
    if let Some(at) = text.find("zstd, made 20") {
        text.replace_range(at + 11..at + 31, "2026-01-01T00:00:00Z");
    }
    let lines = text.lines().map(|line| match line.strip_suffix(" free") {
        Some(free) if free.starts_with("    ") => "            62.00 MiB free".to_owned(),
        _ => line.to_owned(),
    });
    let text: String = lines.map(|line| line + "\n").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/screens/{name}.txt"));
    let expected = fs::read_to_string(&path).unwrap_or_default();
    // Where the scene lies deeper, lines are broken elsewhere.
    let is_usual = scene.shown("").len() == "/tmp/.tmpXXXXXX/".len();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_same = if is_usual { text == expected } else { words(&text) == words(&expected) };
    assert!(is_same, "'{}' says\n{expected}\nand this was printed\n{text}<<<END", path.display());
}
