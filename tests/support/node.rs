//! A node: one data directory and, while it runs, its server, as the servers' user on a Unix socket.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use super::product::{Product, client_program};
use super::repository::Repository;
use super::scratch::{Scratch, must_succeed};
use super::session::Session;
use super::wait_until;

/// Settings of every node: small, quick, and reachable through a socket alone.
const SETTINGS: &str = "
listen_addresses = ''
port = 5432
max_connections = 20
shared_buffers = '16MB'
autovacuum = off
wal_level = replica
wal_log_hints = on
max_wal_senders = 4
hot_standby = on
wal_retrieve_retry_interval = '100ms'
checkpoint_timeout = '1h'
max_standby_archive_delay = -1
max_standby_streaming_delay = -1
timezone = 'UTC'
log_timezone = 'UTC'
";

/// A server program that ends by this signal has been killed by us, not by itself.
const SIGKILL: i32 = 9;

fn run_initdb(scratch: &Scratch, product: Product, segment_mib: u32, data: &Path) {
    let mut initdb = scratch.command(product.server_program("initdb"));
    initdb.arg("-D").arg(data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
    must_succeed(initdb.arg(format!("--wal-segsize={segment_mib}")));
}

/// A cluster that nobody has started, made once and kept with what is built.
fn made_before(product: Product, segment_mib: u32) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let kept =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{}-{segment_mib}", product.major));
    if !kept.exists() {
        let scratch = Scratch::new();
        run_initdb(&scratch, product, segment_mib, &scratch.path("data"));
        let new = kept.with_extension(std::process::id().to_string());
        must_succeed(Command::new("cp").arg("-aT").arg(scratch.path("data")).arg(&new));
        // Where another run of tests was faster, its own is as good.
        if fs::rename(&new, &kept).is_err() {
            fs::remove_dir_all(&new).unwrap();
        }
    }
    kept
}

/// A data directory in a scratch directory. Its server stops when it goes out of scope.
pub struct Node<'a> {
    scratch: &'a Scratch,
    pub product: Product,
    name: String,
    pub data: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    server: Option<Child>,
    session: Mutex<Option<Session>>,
}

impl<'a> Node<'a> {
    /// Makes a new cluster with segments of the default size.
    pub fn initdb(scratch: &'a Scratch, name: &str, product: Product) -> Node<'a> {
        Node::initdb_with_segments(scratch, name, product, 16)
    }

    /// Makes a new cluster with segments of that many MiB.
    pub fn initdb_with_segments(
        scratch: &'a Scratch,
        name: &str,
        product: Product,
        segment_mib: u32,
    ) -> Node<'a> {
        let node = Node::in_directory(scratch, name, product);
        if scratch.has_cluster() {
            run_initdb(scratch, product, segment_mib, &node.data);
        } else {
            // Making a cluster takes longer than what most tests do with it, and who has but one knows no other.
            must_succeed(
                Command::new("cp").arg("-aT").arg(made_before(product, segment_mib)).arg(&node.data),
            );
        }
        node.append(SETTINGS);
        node.settle();
        node
    }

    fn in_directory(scratch: &'a Scratch, name: &str, product: Product) -> Node<'a> {
        scratch.make_directory(&format!("{name}.s"));
        let data = scratch.path(name);
        Node {
            scratch,
            product,
            name: name.to_owned(),
            data,
            environment: Vec::new(),
            arguments: Vec::new(),
            server: None,
            session: Mutex::new(None),
        }
    }

    /// What every data directory needs once it is there: its own socket, and the names of its product.
    pub fn settle(&self) {
        self.set("unix_socket_directories", &self.socket_directory().display().to_string());
        if self.product.kingbase_shape {
            let link = |to: &str, name: &str| symlink(to, self.data.join(name)).unwrap();
            link("pg_wal", "sys_wal");
            link("pg_replslot", "sys_replslot");
            link("pg_control", "global/sys_control");
            link("PG_VERSION", "SYS_VERSION");
            link("postgresql.conf", "kingbase.conf");
            link("postgresql.auto.conf", "kingbase.auto.conf");
            link("postmaster.pid", "kingbase.pid");
            link("postmaster.opts", "kingbase.opts");
        }
    }

    // --- settings ---

    /// Appends a setting: the last one wins.
    pub fn set(&self, name: &str, value: &str) {
        self.append(&format!("{name} = '{}'\n", value.replace('\'', "''")));
    }

    /// Appends lines to the main configuration file.
    pub fn append(&self, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).open(self.data.join("postgresql.conf")).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A variable in the environment of the server, and so of the commands that it runs.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// An argument on the command line of the server, from the next start on.
    pub fn add_argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    /// Archives into that repository from the next start on.
    pub fn archive_to(&self, repository: &Repository) {
        self.set("archive_mode", "on");
        // KingbaseES hands the path out with its own name of the WAL directory.
        let wal_path = if self.product.kingbase_shape { "sys_wal/%f" } else { "%p" };
        self.set("archive_command", &repository.archive_command(wal_path));
    }

    /// Restores from that repository, into recovery that ends (`recovery.signal`), from the next start on.
    pub fn recover_from(&self, repository: &Repository) {
        self.restore_with_signal(repository, "recovery.signal");
        self.set("recovery_target_action", "promote");
    }

    /// Restores from that repository as a standby, from the next start on.
    pub fn stand_by_from(&self, repository: &Repository) {
        self.restore_with_signal(repository, "standby.signal");
    }

    fn restore_with_signal(&self, repository: &Repository, signal: &str) {
        self.set("restore_command", &repository.restore_command());
        self.scratch.write(&self.data.join(signal), "");
    }

    /// The connection string for a standby of this node.
    pub fn connection_string(&self) -> String {
        format!("host={} port=5432 user=postgres", self.socket_directory().display())
    }

    // --- running ---

    /// Starts the server and waits until it takes connections.
    pub fn start(&mut self) {
        self.launch();
        wait_until(&format!("'{}' takes connections", self.name), || {
            assert!(self.ended().is_none(), "the server of '{}' ended while it started", self.name);
            self.try_sql("SELECT 1").is_ok()
        });
    }

    /// Starts the server, come what may.
    pub fn launch(&mut self) {
        assert!(self.server.is_none(), "'{}' runs already", self.name);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut postgres = self.scratch.command(self.product.server_program("postgres"));
        postgres
            .arg("-D")
            .arg(&self.data)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.server = Some(postgres.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Waits until the server has ended by itself, in recovery.
    pub fn wait_until_recovery_stops(&mut self) -> ExitStatus {
        wait_until(&format!("the server of '{}' stops", self.name), || {
            assert!(!self.has_recovered(), "recovery of '{}' ended, it did not stop", self.name);
            self.ended().is_some()
        });
        self.reap()
    }

    /// Takes note that the server has ended, so that it can be started again.
    pub fn stopped(&mut self) {
        self.reap();
    }

    /// Whether archive recovery has ended in a promotion.
    pub fn has_recovered(&self) -> bool {
        !self.data.join("recovery.signal").exists() && !self.data.join("standby.signal").exists()
    }

    /// Stops the server as an operator does: it archives what it can first.
    pub fn stop(&mut self) {
        self.signal("INT");
        self.reap();
    }

    /// Immediate shutdown: every process, the running archive call too, is killed at once.
    pub fn stop_immediately(&mut self) {
        self.signal("QUIT");
        self.reap();
    }

    /// kill -9 of the postmaster alone; its children find out by themselves.
    pub fn kill_postmaster(&mut self) {
        self.disconnect();
        self.server.as_mut().unwrap().kill().unwrap();
        let status = self.reap();
        assert_eq!(status.signal(), Some(SIGKILL));
    }

    fn signal(&self, signal: &str) {
        self.disconnect();
        let pid = self.server.as_ref().unwrap().id().to_string();
        must_succeed(Command::new("kill").args(["-s", signal, &pid]));
    }

    /// Whether the server has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.server.as_mut().and_then(|server| server.try_wait().unwrap())
    }

    /// Waits for the postmaster, and then for whatever it has left running in the data directory.
    fn reap(&mut self) -> ExitStatus {
        self.disconnect();
        wait_until(&format!("the postmaster of '{}' is gone", self.name), || self.ended().is_some());
        wait_until(&format!("the last process of '{}' is gone", self.name), || self.processes().is_empty());
        self.server.take().unwrap().wait().unwrap()
    }

    /// The processes that run in the data directory: the server's, and the commands that it called.
    fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        pids.filter(|pid| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == self.data)
        })
        .collect()
    }

    /// Whether the server runs walkeep at this moment.
    pub fn runs_walkeep_now(&self) -> bool {
        !self.walkeep_processes().is_empty()
    }

    /// The processes of walkeep that the server runs at this moment.
    pub fn walkeep_processes(&self) -> Vec<u32> {
        let is_walkeep = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "walkeep")
        };
        self.processes().into_iter().filter(is_walkeep).collect()
    }

    // --- talking to it ---

    /// Runs SQL that has to succeed; the rows, fields separated by `|`.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("'{}' refused <{sql}>: {error}", self.name))
    }

    /// Runs SQL in a session that goes on; what psql says when it fails, which ends the session.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = kept.take().unwrap_or_else(|| Session::start(self.client("psql")));
        let (rows, session) = session.run(sql)?;
        *kept = Some(session);
        Ok(rows)
    }

    /// Ends the session, whose server is about to end.
    fn disconnect(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A client program, pointed at this node by its environment.
    pub fn client(&self, program: &str) -> Command {
        let mut command = self.scratch.command(client_program(program));
        command
            .env("PGHOST", self.socket_directory())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", "postgres");
        command
    }

    /// Switches to a new segment; the name of the one that is now complete.
    pub fn switch_segment(&self) -> String {
        self.sql("CREATE TABLE IF NOT EXISTS switched(); DROP TABLE switched; SELECT pg_walfile_name(pg_switch_wal())")
    }

    /// Ends the running segment and waits until everything so far is archived.
    pub fn archive_all(&self, repository: &Repository) {
        let last = self.switch_segment();
        wait_until(&format!("'{}' has archived '{last}' and all before it", self.name), || {
            repository.has(&last) && self.pending().is_empty()
        });
    }

    /// Takes the archive_command away, as an operator does who has a full disk to get rid of; returns when the archiver
    /// has noticed, and something is pending.
    pub fn stop_archiving(&self) {
        self.set("archive_command", "");
        self.sql("SELECT pg_reload_conf()");
        // Since PostgreSQL 15 it says 'archiving is not configured', before that 'archive_command is not set'.
        let said = || self.log().matches("archive_mode enabled, yet arch").count();
        let before = said();
        wait_until("the archiver has no archive_command", || {
            self.give_work_to_archiver();
            said() > before
        });
    }

    /// Lets every archive call fail; returns when the archiver has noticed, and something is pending.
    pub fn fail_archiving(&self) {
        let failures = || self.sql("SELECT failed_count FROM pg_stat_archiver").parse::<u64>().unwrap();
        let before = failures();
        self.set("archive_command", "/bin/false");
        self.sql("SELECT pg_reload_conf()");
        wait_until("an archive call has failed", || {
            self.give_work_to_archiver();
            failures() > before
        });
    }

    /// Gives the archiver something to do: what it got before may have been archived by the command that it had.
    fn give_work_to_archiver(&self) {
        if self.pending().is_empty() {
            self.switch_segment();
        }
    }

    /// Waits until recovery on this node has ended in a promotion.
    pub fn wait_until_promoted(&mut self) {
        wait_until(&format!("'{}' is promoted", self.name), || {
            assert!(self.ended().is_none(), "the server of '{}' stopped in recovery", self.name);
            self.try_sql("SELECT pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
        });
    }

    /// Waits until this standby has replayed all that the other node has written.
    pub fn wait_until_caught_up(&self, lsn: &str) {
        wait_until(&format!("'{}' has replayed up to {lsn}", self.name), || {
            self.try_sql(&format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'"))
                .is_ok_and(|answer| answer == "t")
        });
    }

    pub fn promote(&mut self) {
        assert_eq!(self.sql("SELECT pg_promote(false)"), "t");
        self.wait_until_promoted();
    }

    /// The timeline that this primary writes.
    pub fn timeline(&self) -> String {
        self.sql("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
    }

    /// The history of the timeline that this primary writes, as its WAL directory has it.
    pub fn lineage(&self) -> String {
        let history = self.wal_directory().join(format!("{}.history", self.timeline()));
        fs::read_to_string(history).unwrap()
    }

    // --- base backups and copies ---

    /// Takes a base backup without WAL into a new directory.
    pub fn back_up(&self, name: &str) -> PathBuf {
        let backup = self.scratch.path(name);
        if self.product.has_base_backup_program() {
            let mut program = self.client("pg_basebackup");
            must_succeed(program.arg("-D").arg(&backup).args(["-X", "none", "-c", "fast", "--no-sync"]));
        } else {
            self.back_up_by_copying(&backup);
        }
        backup
    }

    /// The low-level backup: start, copy, stop, in one session.
    fn back_up_by_copying(&self, backup: &Path) {
        let (data, copy) = (self.data.display(), backup.display());
        let script = format!(
            "\\set ON_ERROR_STOP on
            SELECT pg_backup_start('low-level', true);
            \\! mkdir -m 0700 {copy}
            \\! tar -C {data} --exclude './pg_wal/*' --exclude ./postmaster.pid --exclude ./postmaster.opts -cf - . | tar -C {copy} -xf -
            \\! mkdir {copy}/pg_wal/archive_status
            SELECT labelfile FROM pg_backup_stop(true) \\g {copy}/backup_label\n"
        );
        let script_path = backup.with_extension("sql");
        fs::write(&script_path, script).unwrap();
        must_succeed(self.client("psql").args(["-X", "-A", "-t", "-q", "-f"]).arg(script_path));
        assert!(fs::read_to_string(backup.join("backup_label")).unwrap().starts_with("START WAL LOCATION"));
    }

    /// A new node from a base backup, which stays as it is.
    pub fn from_backup(scratch: &'a Scratch, name: &str, product: Product, backup: &Path) -> Node<'a> {
        let node = Node::in_directory(scratch, name, product);
        scratch.copy(backup, &node.data);
        node.settle();
        node
    }

    // --- looking at it ---

    pub fn wal_directory(&self) -> PathBuf {
        self.data.join("pg_wal")
    }

    /// The WAL names that wait for the archiver.
    pub fn pending(&self) -> BTreeSet<String> {
        self.with_status(".ready")
    }

    /// The WAL names that the server holds for archived.
    pub fn acknowledged(&self) -> BTreeSet<String> {
        self.with_status(".done")
    }

    fn with_status(&self, suffix: &str) -> BTreeSet<String> {
        let names = file_names(&self.wal_directory().join("archive_status"));
        names.iter().filter_map(|name| name.strip_suffix(suffix)).map(str::to_owned).collect()
    }

    /// The files in the WAL directory, whatever they are.
    pub fn wal_files(&self) -> BTreeSet<String> {
        file_names(&self.wal_directory())
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path(&format!("{}.log", self.name))
    }

    fn socket_directory(&self) -> PathBuf {
        self.scratch.path(&format!("{}.s", self.name))
    }
}

/// The names in a directory; one that vanished meanwhile is simply not among them.
fn file_names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "--- end of the log of '{}'\n{}\n---",
                self.name,
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        }
        self.disconnect();
        let Some(mut server) = self.server.take() else { return };
        // The postmaster takes all its children along on SIGQUIT; no wait_until here, which could panic in a panic.
        let _ = Command::new("kill").args(["-s", "QUIT", &server.id().to_string()]).status();
        for _ in 0..1500 {
            if server.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = server.kill();
        let _ = server.wait();
    }
}
