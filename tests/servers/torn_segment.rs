//! A segment that was stored before it was complete: it never replaces what the server has of it.

use std::fs;

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::requests::Requests;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

on_every_server!(a_recovery_keeps_the_commits_that_a_torn_stored_segment_lacks);

/// A primary that was killed, and an archive that has an early copy of its last segment: with one row of three.
fn killed(scratch: &Scratch, product: Product) -> (Node<'_>, Repository<'_>, String) {
    let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
    let repository = Repository::init(scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    primary.sql("CREATE TABLE row (life text)");
    primary.archive_all(&repository);
    primary.sql("INSERT INTO row VALUES ('1')");
    let segment = primary.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    let torn = scratch.path("torn");
    scratch.copy(&primary.wal_directory().join(&segment), &torn);
    // Recovery begins after the end of the copy.
    primary.sql("INSERT INTO row VALUES ('2')");
    primary.sql("CHECKPOINT");
    primary.sql("INSERT INTO row VALUES ('3')");
    assert_eq!(primary.sql("SELECT pg_walfile_name(pg_current_wal_lsn())"), segment);
    primary.stop_immediately();
    let stored = repository.path.join(&segment);
    scratch.copy(&torn, &stored);
    let digest = must_succeed(scratch.command("sha256sum").current_dir(&repository.path).arg(&segment));
    scratch.write(&repository.path.join(format!("{segment}.sha256")), digest);
    (primary, repository, segment)
}

fn a_recovery_keeps_the_commits_that_a_torn_stored_segment_lacks(product: Product) {
    let scratch = Scratch::new();
    let (mut node, repository, segment) = killed(&scratch, product);
    node.recover_from(&repository);
    node.start();
    node.wait_until_promoted();
    assert_eq!(node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row"), "1 2 3");
    assert_eq!(node.timeline(), "00000002");
    assert!(node.log().contains(&segment), "the log does not name '{segment}'");
}

#[test]
fn a_standby_keeps_the_commits_that_a_torn_stored_segment_lacks() {
    let scratch = Scratch::new();
    let (mut node, repository, segment) = killed(&scratch, POSTGRESQL_15);
    let local = fs::read(node.wal_directory().join(&segment)).unwrap();
    node.stand_by_from(&repository);
    let requests = Requests::to(&scratch, "primary", &repository);
    node.set("restore_command", &requests.command("%p"));
    node.start();
    wait_until("the standby has asked for the same again and again", || requests.repeated() >= 4);
    assert_eq!(node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row"), "1 2 3");
    assert!(fs::read(node.wal_directory().join(&segment)).unwrap() == local);
}
