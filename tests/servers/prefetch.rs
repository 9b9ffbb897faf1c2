//! Recoveries that are fetched ahead of end where those end that are not, with the same data.

use std::fs;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

/// Half of what a recovery asks for lay ready at least, or nothing was proven.
fn assert_it_was_fetched_ahead(node: &Node<'_>) {
    let log = node.log();
    let count = |text: &str| log.matches(text).count();
    let (ready, all) = (count("which was prefetched"), count("info: delivered '0000000"));
    assert!(ready * 2 >= all && ready >= 3, "{ready} of {all} lay ready: {log}");
}

/// What lies in the spool of a node but for what always does.
fn left_in_spool(scratch: &Scratch, node: &str) -> Vec<String> {
    let entries = fs::read_dir(scratch.path(&format!("{node}.walkeep-spool"))).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "lock" && name != "staging").collect()
}

/// A primary with an archive of a few dozen segments on two timelines, a base backup and a position in between.
fn archive<'a>(scratch: &'a Scratch, product: Product) -> (Node<'a>, Repository<'a>, std::path::PathBuf) {
    let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
    let repository = Repository::init(scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");
    (primary, repository, backup)
}

fn write_some_segments(scratch: &Scratch, node: &Node<'_>, client: u32) {
    for round in 0..4 {
        load::some_load(scratch, node, client * 10 + round, 40);
        node.sql("SELECT pg_switch_wal()");
    }
}

#[test]
fn a_recovery_that_is_fetched_ahead_of_ends_at_its_target_and_at_the_end_of_the_archive_with_the_same_data() {
    let scratch = Scratch::new();
    let (mut primary, repository, backup) = archive(&scratch, POSTGRESQL_15);
    write_some_segments(&scratch, &primary, 1);
    let contents_at_target = load::contents(&primary);
    let target = primary.sql("SELECT pg_current_wal_insert_lsn()");
    write_some_segments(&scratch, &primary, 2);
    primary.archive_all(&repository);
    let contents = load::contents(&primary);
    primary.stop();

    for (name, target, contents) in
        [("to_target", Some(&target), &contents_at_target), ("to_end", None, &contents)]
    {
        let mut recovered = Node::from_backup(&scratch, name, POSTGRESQL_15, &backup);
        recovered.recover_from(&repository);
        recovered.set("restore_command", &repository.restore_command_ahead(4));
        // What the first of them archives after its promotion is not the second one's.
        recovered.set("recovery_target_timeline", "1");
        if let Some(target) = target {
            recovered.set("recovery_target_lsn", target);
        }
        recovered.start();
        recovered.wait_until_promoted();
        assert_eq!(load::contents(&recovered), *contents, "{name}");
        assert_it_was_fetched_ahead(&recovered);
        wait_until("nothing is left in the spool", || left_in_spool(&scratch, name).is_empty());
        assert!(recovered.wal_files().iter().all(|name| !name.contains("walkeep")));
        recovered.stop();
    }
}

#[test]
fn a_standby_that_is_fetched_ahead_of_catches_up_through_a_fork_and_a_crash() {
    let scratch = Scratch::new();
    let (mut primary, repository, backup) = archive(&scratch, POSTGRESQL_15);
    write_some_segments(&scratch, &primary, 1);
    let lsn = primary.sql("SELECT pg_current_wal_lsn()");
    primary.archive_all(&repository);
    // The primary goes on after its successor was promoted: segments of one number lie on both timelines.
    let mut successor = Node::from_backup(&scratch, "successor", POSTGRESQL_15, &backup);
    successor.stand_by_from(&repository);
    successor.start();
    successor.wait_until_caught_up(&lsn);
    successor.promote();
    write_some_segments(&scratch, &primary, 2);
    primary.archive_all(&repository);
    primary.stop();
    write_some_segments(&scratch, &successor, 3);
    let lsn = successor.sql("SELECT pg_current_wal_lsn()");
    successor.archive_all(&repository);

    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backup);
    standby.stand_by_from(&repository);
    standby.set("restore_command", &repository.restore_command_ahead(8));
    standby.start();
    standby.wait_until_caught_up(&lsn);
    assert_eq!(load::contents(&standby), load::contents(&successor));
    assert_it_was_fetched_ahead(&standby);

    standby.stop_immediately();
    write_some_segments(&scratch, &successor, 4);
    let lsn = successor.sql("SELECT pg_current_wal_lsn()");
    successor.archive_all(&repository);
    standby.start();
    standby.wait_until_caught_up(&lsn);
    assert_eq!(load::contents(&standby), load::contents(&successor));
    standby.promote();
    wait_until("nothing is left in the spool", || left_in_spool(&scratch, "standby").is_empty());
}
