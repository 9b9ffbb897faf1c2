//! `watch` beside a real server whose archive_command is walkeep: both at once on the same files, under load, while
//! servers crash, repositories go and come back, and the watch is killed.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};

use crate::killed_archive_calls::{first_segment_of, must_hold_what_it_acknowledged};
use crate::support::clock::Clock;
use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_12, POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

/// A running watch, killed with the test.
struct Watch<'s> {
    scratch: &'s Scratch,
    process: Child,
}

impl<'s> Watch<'s> {
    fn start(scratch: &'s Scratch, node: &Node<'_>, repository: &Repository<'_>) -> Self {
        Self::start_with(scratch, &[node], repository, |_| {})
    }

    fn start_with(
        scratch: &'s Scratch,
        nodes: &[&Node<'_>],
        repository: &Repository<'_>,
        how: impl FnOnce(&mut Command),
    ) -> Self {
        let log = File::options().create(true).append(true).open(scratch.path("watch.log")).unwrap();
        let mut command = scratch.command(scratch.walkeep());
        command.args(["watch", "-v", "--repo"]).arg(&repository.path);
        for node in nodes {
            command.arg("-D").arg(&node.data);
        }
        how(&mut command);
        Self { scratch, process: command.stderr(log).spawn().unwrap() }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.scratch.path("watch.log")).unwrap()
    }

    fn stored(&self) -> usize {
        self.log().matches("info: stored '").count()
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn terminate(mut self) {
        let pid = self.process.id().to_string();
        must_succeed(self.scratch.command("/bin/kill").args(["-s", "TERM", &pid]));
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{}", self.log());
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn archive_with(node: &Node<'_>, command: &str) {
    node.set("archive_command", command);
    node.sql("SELECT pg_reload_conf()");
    wait_until("the server has its archive_command", || node.sql("SHOW archive_command") == command);
}

fn must_restore(
    scratch: &Scratch,
    product: Product,
    backup: &Path,
    repository: &Repository<'_>,
    contents: &str,
) {
    let mut recovered = Node::from_backup(scratch, "recovered", product, backup);
    recovered.recover_from(repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}

#[test]
fn a_watch_and_its_servers_calls_at_once_lose_nothing_whatever_crashes_or_goes_away() {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &node.data);
    node.archive_to(&repository);
    node.set("max_wal_size", "8MB");
    node.start();
    load::prepare(&node);
    let backup = node.back_up("backup");
    let first_segment = first_segment_of(&backup);
    let mut watch = Watch::start(&scratch, &node, &repository);

    let mut all_told = Vec::new();
    for round in 1..=4 {
        let stored = repository.names().len();
        let load = Load::start(&scratch, &node, round);
        wait_until("segments are archived under load", || repository.names().len() >= stored + 3);
        if round == 2 {
            let away = scratch.path("away");
            fs::rename(&repository.path, &away).unwrap();
            wait_until("a queue grows", || node.pending().len() >= 4);
            fs::rename(&away, &repository.path).unwrap();
            wait_until("it is archived", || repository.names().len() >= stored + 8);
        }
        if round == 3 {
            watch.kill();
            watch = Watch::start(&scratch, &node, &repository);
        }
        node.stop_immediately();
        all_told.push(load.end());
        must_hold_what_it_acknowledged(&repository, &node, &first_segment);
        node.start();
    }
    node.archive_all(&repository);
    must_hold_what_it_acknowledged(&repository, &node, &first_segment);
    let contents = load::contents(&node);
    node.stop();
    watch.terminate();
    let (data, repo) = (node.data.to_str().unwrap(), repository.path.to_str().unwrap());
    let verified = scratch.run_walkeep(["verify", "--full", "-D", data, "--repo", repo]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));

    let mut recovered = Node::from_backup(&scratch, "recovered", POSTGRESQL_15, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    all_told.iter().for_each(|told| told.must_be_in(&recovered));
    assert_eq!(load::contents(&recovered), contents);
}

#[test]
fn a_queue_that_its_server_does_not_archive_is_stored_and_then_confirmed_by_the_servers_own_calls() {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", POSTGRESQL_12, 1);
    let repository = Repository::init(&scratch, "repo", &node.data);
    node.archive_to(&repository);
    node.start();
    load::prepare(&node);
    let backup = node.back_up("backup");
    node.archive_all(&repository);
    node.fail_archiving();
    let watch = Watch::start(&scratch, &node, &repository);
    load::some_load(&scratch, &node, 1, 50);
    for _ in 0..10 {
        node.switch_segment();
    }
    let pending = node.pending();
    assert!(pending.len() >= 10, "{pending:?}");
    wait_until("the watch has stored them", || watch.stored() >= pending.len());
    assert_eq!(node.pending(), pending, "the marks are the server's");
    assert!(pending.iter().all(|name| repository.has(name)));
    let stored = repository.fingerprints();

    archive_with(&node, &repository.archive_command("%p"));
    wait_until("the server has confirmed them", || node.pending().is_empty());
    let now = repository.fingerprints();
    assert!(stored.iter().all(|(name, file)| now.get(name) == Some(file)), "nothing was stored again");
    node.archive_all(&repository);
    let contents = load::contents(&node);
    node.stop();
    watch.terminate();
    must_restore(&scratch, POSTGRESQL_12, &backup, &repository, &contents);
}

#[test]
fn a_promotion_is_followed_from_one_watched_data_directory_to_the_other() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backup);
    standby.stand_by_from(&repository);
    // From here on the watch stores, and no call of a server.
    standby.set("archive_command", "/bin/false");
    primary.archive_all(&repository);
    primary.fail_archiving();
    standby.start();
    let watch = Watch::start_with(&scratch, &[&primary, &standby], &repository, |_| {});
    load::some_load(&scratch, &primary, 1, 100);
    let lsn = primary.sql("SELECT pg_current_wal_lsn()");
    let last = primary.switch_segment();
    wait_until("the watch has stored the end of the primary", || repository.has(&last));
    standby.wait_until_caught_up(&lsn);
    primary.stop_immediately();

    standby.promote();
    load::some_load(&scratch, &standby, 2, 100);
    let fork = standby.switch_segment();
    assert!(fork.starts_with("00000002"), "{fork}");
    wait_until("the watch has stored the new timeline", || {
        repository.has("00000002.history") && repository.has(&fork)
    });
    let log = watch.log();
    assert_eq!(log.matches("goes on on timeline 2, it was on 1").count(), 1, "{log}");
    let contents = load::contents(&standby);
    let pending = standby.pending();
    archive_with(&standby, &repository.archive_command("%p"));
    wait_until("the server has confirmed them", || standby.pending().is_disjoint(&pending));
    standby.stop();
    watch.terminate();
    must_restore(&scratch, POSTGRESQL_15, &backup, &repository, &contents);
}

#[test]
fn a_clock_that_jumps_a_year_ahead_and_back_keeps_no_watch_from_its_work() {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &node.data);
    node.archive_to(&repository);
    node.start();
    load::prepare(&node);
    node.fail_archiving();
    let jumped = scratch.path("jumped");
    let clock = Clock::ahead_while(&scratch, 365, &jumped);
    let watch = Watch::start_with(&scratch, &[&node], &repository, |command| clock.deceive(command));
    let must_go_on = |when: &str| {
        let name = node.switch_segment();
        wait_until(&format!("'{name}' is stored {when}"), || repository.has(&name));
    };
    must_go_on("by the right clock");
    fs::write(&jumped, "").unwrap();
    must_go_on("a year ahead");
    fs::remove_file(&jumped).unwrap();
    must_go_on("by the right clock again");
    // What was stored by either clock is confirmed, not stored again.
    let stored = repository.fingerprints();
    archive_with(&node, &repository.archive_command("%p"));
    wait_until("the server has confirmed them", || node.pending().is_empty());
    let now = repository.fingerprints();
    assert!(stored.iter().all(|(name, file)| now.get(name) == Some(file)), "something was stored again");
    let log = watch.log();
    assert!(!log.contains("warning"), "{log}");
    node.stop();
    watch.terminate();
}
