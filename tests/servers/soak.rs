//! Rounds of kills under load, and an hour in small: nothing acknowledged is lost, and nothing grows.

use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

/// How many kills, and in how long a time.
fn extent() -> (u32, Duration) {
    match std::env::var_os("WALKEEP_TEST_LONG") {
        Some(_) => (1000, Duration::from_secs(600)),
        None => (20, Duration::from_secs(20)),
    }
}

#[test]
fn whoever_is_killed_under_load_nothing_acknowledged_is_lost_and_the_watch_does_not_grow() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.set("max_wal_size", "32MB");
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    let (rounds, time) = extent();
    let pause = time / rounds;
    let mut all_told = Vec::new();
    let mut watch = Watch::start(&scratch, &primary, &repository);
    // In the first half whatever there is of walkeep is killed, and now and then the server with it.
    let mut kills = 0;
    let mut load = Load::start(&scratch, &primary, 1);
    for round in 1..=rounds / 2 {
        thread::sleep(pause / 2 + pause.mul_f64(random(round)));
        kills += u32::from(kill_a_call(&primary));
        if round % 3 == 0 {
            watch.kill();
            kills += 1;
            watch = Watch::start(&scratch, &primary, &repository);
        }
        if round % 5 == 0 {
            primary.stop_immediately();
            all_told.push(load.end());
            primary.start();
            load = Load::start(&scratch, &primary, round + 1);
        }
    }
    assert!(kills >= rounds / 6, "only {kills} were killed");
    // In the second half the watch lives, and only calls are killed.
    watch.wait_until_it_has_stored_something(&repository);
    let before = watch.usage();
    for round in rounds / 2 + 1..=rounds {
        thread::sleep(pause / 2 + pause.mul_f64(random(round)));
        kill_a_call(&primary);
    }
    // What is being stored takes both; a watch that has grown never comes back to this. An idle one needs no more than
    // 16 MiB, as tests/cli holds.
    let most_kib = (before.resident_kib * 5 / 4 + 4096).max(16 << 10);
    wait_until("the watch is no larger than before", || {
        let after = watch.usage();
        after.descriptors <= before.descriptors + 2 && after.resident_kib <= most_kib
    });

    primary.stop_immediately();
    all_told.push(load.end());
    primary.start();
    primary.archive_all(&repository);
    watch.end();
    for name in primary.acknowledged() {
        assert!(repository.has(&name), "'{name}' is marked done and not stored");
    }
    let contents = load::contents(&primary);
    primary.stop();
    must_succeed(scratch.command(scratch.walkeep()).args(["verify", "--repo"]).arg(&repository.path));
    let mut recovered = Node::from_backup(&scratch, "recovered", POSTGRESQL_15, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    for told in &all_told {
        told.must_be_in(&recovered);
    }
    assert_eq!(load::contents(&recovered), contents);
}

/// The same number between 0 and 1 for the same round: a failure can be had again.
fn random(round: u32) -> f64 {
    f64::from(round.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24)
}

/// Kills a call of archive_command, where one runs within a moment.
fn kill_a_call(primary: &Node) -> bool {
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        if let Some(pid) = primary.walkeep_processes().first() {
            return kill(*pid);
        }
    }
    false
}

fn kill(pid: u32) -> bool {
    let mut kill = std::process::Command::new("kill");
    kill.args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// A running `walkeep watch`.
struct Watch(Child);

#[derive(Debug)]
struct Usage {
    descriptors: usize,
    resident_kib: u64,
}

impl Watch {
    fn start(scratch: &Scratch, node: &Node, repository: &Repository) -> Self {
        let mut watch = scratch.command(scratch.walkeep());
        watch.args(["watch", "-q", "-D"]).arg(&node.data).arg("--repo").arg(&repository.path);
        Self(watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Tells it to end, which it does with success.
    fn end(mut self) {
        must_succeed(std::process::Command::new("kill").arg(self.0.id().to_string()));
        assert!(self.0.wait().unwrap().success());
    }

    fn wait_until_it_has_stored_something(&self, repository: &Repository) {
        let stored = repository.names().len();
        wait_until("something is stored under load", || repository.names().len() >= stored + 4);
    }

    /// The least of several looks: files that are being stored come and go.
    fn usage(&self) -> Usage {
        let looks: Vec<Usage> = (0..20)
            .map(|_| {
                thread::sleep(Duration::from_millis(50));
                self.look()
            })
            .collect();
        Usage {
            descriptors: looks.iter().map(|look| look.descriptors).min().unwrap(),
            resident_kib: looks.iter().map(|look| look.resident_kib).min().unwrap(),
        }
    }

    fn look(&self) -> Usage {
        let pid = self.0.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the watch lives");
        Usage {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            resident_kib: line.split_whitespace().nth(1).unwrap().parse().unwrap(),
        }
    }
}
