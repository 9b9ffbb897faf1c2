//! `drain` beside real servers: running without an archiver, stopped, killed, failed over, and with an archiver of
//! their own.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::{KINGBASE_SHAPE, POSTGRESQL_12, POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

/// A node with segments of 1 MiB that archives into a repository, and a base backup of it.
fn archiving_node<'a>(
    scratch: &'a Scratch,
    product: Product,
) -> (Node<'a>, Repository<'a>, std::path::PathBuf) {
    let mut node = Node::initdb_with_segments(scratch, "node", product, 1);
    let repository = Repository::init(scratch, "repo", &node.data);
    node.archive_to(&repository);
    node.start();
    load::prepare(&node);
    let backup = node.back_up("backup");
    node.archive_all(&repository);
    (node, repository, backup)
}

fn grow_a_backlog(scratch: &Scratch, node: &Node<'_>, segments: usize) {
    load::some_load(scratch, node, 1, 50);
    for _ in 0..segments {
        node.switch_segment();
    }
    assert!(node.pending().len() >= segments, "too little is pending: {:?}", node.pending());
}

/// Drains into the repository; what it printed.
#[track_caller]
fn drain(scratch: &Scratch, node: &Node<'_>, repository: &Repository<'_>, args: &[&str]) -> String {
    let (data, repo) = (node.data.to_str().unwrap(), repository.path.to_str().unwrap());
    let output = scratch.run_walkeep([&["drain", "-D", data, "--repo", repo], args].concat());
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "drain ended with {} and said: {said}", output.status);
    said
}

/// The archive leads from the base backup to what the node holds.
fn the_archive_restores(
    scratch: &Scratch,
    node: &Node<'_>,
    repository: &Repository<'_>,
    backup: &std::path::Path,
) {
    let contents = load::contents(node);
    let mut recovered = Node::from_backup(scratch, "recovered", node.product, backup);
    recovered.recover_from(repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}

/// The server takes up its archiving again, and finds what it had pending stored.
fn the_server_goes_on(node: &Node<'_>, repository: &Repository<'_>) {
    node.archive_to(repository);
    node.sql("SELECT pg_reload_conf()");
    node.archive_all(repository);
    assert_eq!(node.sql("SELECT failed_count FROM pg_stat_archiver"), "0", "an archive call failed");
}

#[test]
fn the_queue_of_a_running_server_without_an_archiver_is_drained_marked_and_restores() {
    let scratch = Scratch::new();
    let (node, repository, backup) = archiving_node(&scratch, KINGBASE_SHAPE);
    node.stop_archiving();
    grow_a_backlog(&scratch, &node, 20);
    let pending = node.pending();

    drain(&scratch, &node, &repository, &[]);
    assert_eq!(node.pending(), pending, "nothing is marked unasked");
    assert!(pending.iter().all(|name| repository.has(name)));
    let said = drain(&scratch, &node, &repository, &["--mark-done"]);
    assert!(said.contains("stored already"), "{said}");
    assert_eq!(node.pending(), BTreeSet::new());
    assert!(pending.is_subset(&node.acknowledged()));

    the_server_goes_on(&node, &repository);
    the_archive_restores(&scratch, &node, &repository, &backup);
}

#[test]
fn the_queue_of_a_stopped_and_of_a_killed_server_is_drained_and_the_server_goes_on() {
    for (product, is_killed) in [(POSTGRESQL_15, false), (KINGBASE_SHAPE, true)] {
        let scratch = Scratch::new();
        let (mut node, repository, backup) = archiving_node(&scratch, product);
        node.stop_archiving();
        grow_a_backlog(&scratch, &node, 5);
        if is_killed {
            node.kill_postmaster();
        } else {
            node.stop();
        }
        let pending = node.pending();
        drain(&scratch, &node, &repository, &["--mark-done", "-j", "2"]);
        assert_eq!(node.pending(), BTreeSet::new());
        assert!(pending.iter().all(|name| repository.has(name)));

        node.start();
        the_server_goes_on(&node, &repository);
        the_archive_restores(&scratch, &node, &repository, &backup);
    }
}

#[test]
fn the_gap_that_a_dead_primary_leaves_is_closed_from_its_promoted_standby() {
    let scratch = Scratch::new();
    let (mut primary, repository, backup) = archiving_node(&scratch, POSTGRESQL_12);
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_12, &backup);
    standby.set("primary_conninfo", &primary.connection_string());
    standby.set("wal_keep_segments", "1000");
    standby.stand_by_from(&repository);
    standby.start();
    wait_until("the standby streams", || {
        primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
    });
    // The primary archives no more, and then dies.
    primary.stop_archiving();
    grow_a_backlog(&scratch, &primary, 5);
    let unarchived = primary.pending();
    standby.wait_until_caught_up(&primary.sql("SELECT pg_current_wal_lsn()"));
    primary.kill_postmaster();
    standby.promote();
    load::some_load(&scratch, &standby, 2, 50);
    standby.archive_all(&repository);
    assert!(unarchived.iter().any(|name| !repository.has(name)), "there is a gap: {unarchived:?}");

    let before = standby.acknowledged();
    drain(&scratch, &standby, &repository, &["--missing"]);
    assert!(unarchived.iter().all(|name| repository.has(name)), "{unarchived:?}: {:?}", repository.names());
    assert!(before.is_subset(&standby.acknowledged()));
    the_archive_restores(&scratch, &standby, &repository, &backup);
}

#[test]
fn drain_and_the_servers_own_archiver_work_on_one_queue_at_once() {
    let scratch = Scratch::new();
    let (node, repository, backup) = archiving_node(&scratch, POSTGRESQL_15);
    for _ in 0..5 {
        for _ in 0..6 {
            node.switch_segment();
        }
        drain(&scratch, &node, &repository, &["-j", "2"]);
    }
    node.archive_all(&repository);
    assert_eq!(node.sql("SELECT failed_count FROM pg_stat_archiver"), "0", "an archive call failed");

    // Its queue is its own.
    let (data, repo) = (node.data.to_str().unwrap(), repository.path.to_str().unwrap());
    let refused = scratch.run_walkeep(["drain", "-D", data, "--repo", repo, "--mark-done"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("archives with '"), "{refused:?}");
    the_archive_restores(&scratch, &node, &repository, &backup);
}

/// The files that were stored before the server had marked those before them.
fn stored_ahead(node: &Node<'_>, repository: &Repository<'_>, queue: &BTreeSet<String>) -> usize {
    let marked_at = |name: &String| {
        use std::os::unix::fs::MetadataExt;
        let done = node.wal_directory().join("archive_status").join(format!("{name}.done"));
        let metadata = fs::metadata(done).expect("what was archived is marked");
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let stored_at = |name: &String| {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(repository.stored(name).unwrap()).unwrap();
        (metadata.mtime(), metadata.mtime_nsec())
    };
    queue
        .iter()
        .zip(queue.iter().skip(1))
        .filter(|(before, name)| stored_at(name) < marked_at(before))
        .count()
}

#[test]
fn a_backlog_is_stored_ahead_of_its_servers_calls_marked_by_it_in_order_and_restores() {
    for product in [POSTGRESQL_15, KINGBASE_SHAPE] {
        let scratch = Scratch::new();
        let (node, repository, backup) = archiving_node(&scratch, product);
        node.stop_archiving();
        grow_a_backlog(&scratch, &node, 40);
        let queue = node.pending();
        wait_until("the backlog has rested", || {
            let modified = |name| fs::metadata(node.wal_directory().join(name)).unwrap().modified().unwrap();
            queue.iter().all(|name| modified(name).elapsed().is_ok_and(|age| age > Duration::from_secs(2)))
        });
        the_server_goes_on(&node, &repository);
        let ahead = stored_ahead(&node, &repository, &queue);
        assert!(ahead > 20, "{ahead} of {} were stored ahead", queue.len());
        the_archive_restores(&scratch, &node, &repository, &backup);
    }
}
