//! The sweep of requests for a node that comes back to a cluster: an old primary after a planned switchover, and one
//! that `pg_rewind -c` brings back. The repository fails at request number k, for every k until it has caught up.

use std::fs;
use std::process::Output;

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_12, POSTGRESQL_15, POSTGRESQL_18, Product, client_program};
use crate::support::repository::Repository;
use crate::support::requests::{Fault, Requests, Which};
use crate::support::scratch::Scratch;
use crate::support::wait_until;

/// A stopped old primary, and the new one that runs; the archive has all that the new one wrote.
struct Cluster<'a> {
    repository: Repository<'a>,
    old: Node<'a>,
    new: Node<'a>,
}

fn rows(node: &Node) -> Result<String, String> {
    node.try_sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row")
}

/// A primary, and a standby that streams from it and has the row `first`.
fn primary_and_standby(scratch: &Scratch, product: Product) -> Cluster<'_> {
    let mut old = Node::initdb_with_segments(scratch, "old", product, 1);
    let repository = Repository::init(scratch, "repo", &old.data);
    old.archive_to(&repository);
    old.start();
    old.sql("CREATE TABLE row (life text)");
    let backup = old.back_up("backup");
    let mut new = Node::from_backup(scratch, "new", product, &backup);
    new.set("primary_conninfo", &old.connection_string());
    new.stand_by_from(&repository);
    new.start();
    old.sql("INSERT INTO row VALUES ('first')");
    new.wait_until_caught_up(&old.sql("SELECT pg_current_wal_lsn()"));
    Cluster { repository, old, new }
}

impl<'a> Cluster<'a> {
    fn switched_over(scratch: &'a Scratch, product: Product) -> Cluster<'a> {
        let mut cluster = primary_and_standby(scratch, product);
        cluster.old.stop();
        cluster.new.promote();
        cluster.new.sql("INSERT INTO row VALUES ('second')");
        cluster.new.archive_all(&cluster.repository);
        cluster
    }

    /// The old primary has a row that the new one lacks, and no longer the WAL that a rewind reads.
    fn diverged(scratch: &'a Scratch) -> Cluster<'a> {
        let mut cluster = primary_and_standby(scratch, POSTGRESQL_15);
        cluster.old.archive_all(&cluster.repository);
        cluster.new.promote();
        // Until then pg_rewind 15 takes the new primary for one of the old timeline.
        cluster.new.sql("CHECKPOINT");
        for _ in 0..2 {
            cluster.old.sql("INSERT INTO row VALUES ('lost')");
            cluster.old.archive_all(&cluster.repository);
        }
        cluster.old.stop();
        for name in cluster.old.acknowledged() {
            let _ = fs::remove_file(cluster.old.wal_directory().join(&name));
        }
        cluster.new.sql("INSERT INTO row VALUES ('second')");
        cluster.new.archive_all(&cluster.repository);
        cluster
    }

    /// A copy of the old primary and of the repository, and the requests to it, of which one may fail.
    fn copy_of_old<'s>(
        &self,
        scratch: &'s Scratch,
        failing: Option<(usize, Fault)>,
    ) -> (Node<'s>, Requests<'s>) {
        let node = Node::from_backup(scratch, "old", self.old.product, &self.old.data);
        let repository = self.repository.copy_to(scratch, "repo");
        let requests = Requests::to(scratch, "old", &repository);
        node.set("restore_command", &requests.command("%p"));
        if let Some((number, fault)) = failing {
            requests.fail(number, number, fault);
        }
        (node, requests)
    }

    /// Runs as a standby that the archive alone feeds, until it has what the new primary has.
    fn must_catch_up(&self, node: &mut Node, requests: &Requests) {
        node.stand_by_from(&self.repository);
        node.set("restore_command", &requests.command("%p"));
        node.launch();
        wait_until("the old primary has caught up", || {
            assert!(node.ended().is_none(), "the standby stopped: {:#?}", requests.answered());
            rows(node).is_ok_and(|rows| rows == "first second")
        });
        let history = fs::read_to_string(node.wal_directory().join("00000002.history")).unwrap();
        assert_eq!(history, self.new.lineage());
        node.stop_immediately();
    }

    /// Calls `run` without a fault, and then with one at each request that it has made.
    fn sweep(which: Which, run: impl Fn(Option<(usize, Fault)>) -> Vec<String>) {
        let requests = run(None);
        for (number, fault) in which.of(requests.len()) {
            eprintln!("{fault} at request {number} of {requests:?}");
            run(Some((number, fault)));
        }
    }
}

fn after_a_switchover(product: Product, which: Which) {
    let scratch = Scratch::new();
    let cluster = Cluster::switched_over(&scratch, product);
    Cluster::sweep(which, |failing| {
        let scratch = Scratch::new();
        let (mut node, requests) = cluster.copy_of_old(&scratch, failing);
        cluster.must_catch_up(&mut node, &requests);
        requests.answered()
    });
}

/// A rewind that could not read the archive has changed nothing, and is repeated.
fn by_pg_rewind(which: Which) {
    let scratch = Scratch::new();
    let cluster = Cluster::diverged(&scratch);
    Cluster::sweep(which, |failing| {
        let scratch = Scratch::new();
        let (mut node, requests) = cluster.copy_of_old(&scratch, failing);
        let mut output = rewind(&scratch, &node, &cluster.new);
        let answered = requests.answered();
        requests.mend();
        if !output.status.success() && failing.is_some() {
            output = rewind(&scratch, &node, &cluster.new);
        }
        assert!(output.status.success(), "pg_rewind failed: {}", String::from_utf8_lossy(&output.stderr));
        // The rewound node is consistent where the new primary was during the rewind, and the archive has to lead there.
        cluster.new.archive_all(&cluster.repository);
        requests.mount_again(&cluster.repository);
        // It has the new primary's settings and needs its own again.
        node.settle();
        cluster.must_catch_up(&mut node, &requests);
        answered
    });
}

fn rewind(scratch: &Scratch, target: &Node, source: &Node) -> Output {
    let mut pg_rewind = scratch.command(client_program("pg_rewind"));
    pg_rewind.arg("-D").arg(&target.data).args(["--no-sync", "--restore-target-wal"]);
    pg_rewind.arg("--source-server").arg(source.connection_string() + " dbname=postgres").output().unwrap()
}

#[test]
fn an_old_primary_comes_back_after_a_switchover_though_the_repository_fails_at_its_last_requests() {
    after_a_switchover(POSTGRESQL_15, Which::Last(4));
}

#[test]
fn a_rewind_is_repeated_when_the_repository_has_failed() {
    by_pg_rewind(Which::Last(2));
}

#[test]
#[ignore = "long run: sh tests/run.sh --long matrix"]
fn an_old_primary_comes_back_after_a_switchover_whatever_request_fails() {
    for product in [POSTGRESQL_12, POSTGRESQL_15, POSTGRESQL_18] {
        after_a_switchover(product, Which::All);
    }
}

#[test]
#[ignore = "long run: sh tests/run.sh --long matrix"]
fn a_rewind_is_repeated_whatever_request_has_failed() {
    by_pg_rewind(Which::All);
}
