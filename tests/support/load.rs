//! Load on a node, and what its clients were told: which commits the server has acknowledged to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::node::Node;
use super::scratch::Scratch;

const CLIENTS: u32 = 4;

/// One transaction of pgbench's own kind, that also leaves behind which client made it, and fills segments faster.
const TRANSACTION: &str = "
\\set account random(1, 10000)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :account;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :account, :delta, CURRENT_TIMESTAMP);
INSERT INTO told (round, client, ballast) VALUES (:round, :client_id, repeat(md5(random()::text), 60));
END;
";

/// Makes the tables of pgbench that a transaction needs, a tenth as large as pgbench does, and the one that says who was
/// told what: a few segments of 1 MiB.
pub fn prepare(node: &Node) {
    node.sql(
        "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
        INSERT INTO pgbench_accounts SELECT aid, 1, 0, '' FROM generate_series(1, 10000) AS aid;
        CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
        CREATE TABLE told (round int, client int, ballast text)",
    );
}

/// A running pgbench.
pub struct Load {
    pgbench: Child,
    round: u32,
    log_prefix: PathBuf,
}

/// The number of commits that the server acknowledged to each client of a round.
#[derive(Debug)]
pub struct Told {
    round: u32,
    commits: BTreeMap<u32, u64>,
}

impl Load {
    /// Starts load that goes on until its server is gone: a few segments of 1 MiB a second, and no more where commits
    /// cost nothing, for all of it has to be replayed.
    pub fn start(scratch: &Scratch, node: &Node, round: u32) -> Load {
        Load::run(scratch, node, round, &["-T", "86400", "-R", "1000"])
    }

    fn run(scratch: &Scratch, node: &Node, round: u32, until: &[&str]) -> Load {
        let script = scratch.path("transaction.sql");
        scratch.write(&script, TRANSACTION);
        let log_prefix = scratch.path(&format!("told.{round}"));
        let mut pgbench = node.client("pgbench");
        pgbench
            .args(["-n", "-c", &CLIENTS.to_string(), "-j", "2", "-D", &format!("round={round}")])
            .args(until);
        pgbench.arg("-l").arg(format!("--log-prefix={}", log_prefix.display())).arg("-f").arg(script);
        pgbench.stdout(Stdio::null()).stderr(Stdio::null());
        Load { pgbench: pgbench.spawn().unwrap(), round, log_prefix }
    }

    /// Waits until the clients have noticed that their server is gone.
    pub fn end(mut self) -> Told {
        self.pgbench.wait().unwrap();
        let directory = self.log_prefix.parent().unwrap();
        let prefix = format!("{}.", self.log_prefix.file_name().unwrap().to_str().unwrap());
        let logs = fs::read_dir(directory)
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_str().unwrap().starts_with(&prefix));
        let mut commits = BTreeMap::new();
        for log in logs {
            for line in fs::read_to_string(log.path()).unwrap().lines() {
                let client = line.split(' ').next().unwrap().parse().unwrap();
                *commits.entry(client).or_default() += 1;
            }
        }
        Told { round: self.round, commits }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.pgbench.kill();
        let _ = self.pgbench.wait();
    }
}

impl Told {
    pub fn total(&self) -> u64 {
        self.commits.values().sum()
    }

    /// Whatever was acknowledged is there; each client may have had one commit under way whose answer got lost.
    pub fn must_be_in(&self, node: &Node) {
        for (client, told) in &self.commits {
            let sql = format!("SELECT count(*) FROM told WHERE round = {} AND client = {client}", self.round);
            let found: u64 = node.sql(&sql).parse().unwrap();
            assert!(
                (*told..=told + 1).contains(&found),
                "client {client} of round {} was told {told} commits, {found} are there",
                self.round
            );
        }
    }
}

/// Runs that many transactions a client, all of which have to succeed.
pub fn some_load(scratch: &Scratch, node: &Node, round: u32, transactions: u32) -> Told {
    let mut load = Load::run(scratch, node, round, &["-t", &transactions.to_string()]);
    assert!(load.pgbench.wait().unwrap().success(), "pgbench failed in round {round}");
    let told = load.end();
    assert_eq!(told.total(), u64::from(CLIENTS * transactions));
    told
}

/// What all tables say, as one comparable line.
pub fn contents(node: &Node) -> String {
    let tables = ["pgbench_accounts", "pgbench_history", "told"];
    let digest = |table: &&str| {
        node.sql(&format!("SELECT '{table}', count(*), sum(hashtext(t::text)::bigint) FROM {table} t"))
    };
    tables.iter().map(digest).collect::<Vec<_>>().join(" ")
}
