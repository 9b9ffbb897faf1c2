//! A server archives under load, crashes, and recovers to any point that it was asked for.

use std::fs;

use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    what_was_committed_under_load_survives_a_crash_and_is_in_the_archive,
    a_crashed_server_that_lost_its_archived_wal_recovers_from_the_archive_and_its_own_tail,
    recovery_ends_exactly_at_a_time_an_lsn_and_a_name
);

fn what_was_committed_under_load_survives_a_crash_and_is_in_the_archive(product: Product) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb(&scratch, "primary", product);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.set("restore_command", &repository.restore_command());
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    let mut all_told = Vec::new();
    for round in [1, 2] {
        let stored_before = repository.names().len();
        let load = Load::start(&scratch, &primary, round);
        wait_until("a segment is archived under load", || repository.names().len() > stored_before);
        match round {
            1 => primary.stop_immediately(),
            _ => primary.kill_postmaster(),
        }
        all_told.push(load.end());
        primary.start();
        for told in &all_told {
            told.must_be_in(&primary);
        }
    }
    primary.archive_all(&repository);
    let contents = load::contents(&primary);
    primary.stop();

    let mut recovered = Node::from_backup(&scratch, "recovered", product, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
    wait_until("the new timeline's history is archived", || repository.has("00000002.history"));
}

fn a_crashed_server_that_lost_its_archived_wal_recovers_from_the_archive_and_its_own_tail(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    let repository = Repository::init(&scratch, "repo", &node.data);
    node.archive_to(&repository);
    node.start();
    load::prepare(&node);
    node.sql("CHECKPOINT");
    let checkpoint_segment = node.sql("SELECT pg_walfile_name(checkpoint_lsn) FROM pg_control_checkpoint()");
    let archived = load::some_load(&scratch, &node, 1, 150);
    node.archive_all(&repository);
    let in_the_tail = load::some_load(&scratch, &node, 2, 10);
    node.kill_postmaster();

    // The server insists on finding its checkpoint by itself, and asks the archive only for what follows.
    for name in node.acknowledged().into_iter().filter(|name| *name > checkpoint_segment) {
        fs::remove_file(node.wal_directory().join(name)).unwrap();
    }
    node.recover_from(&repository);
    node.start();
    node.wait_until_promoted();
    archived.must_be_in(&node);
    in_the_tail.must_be_in(&node);
}

fn recovery_ends_exactly_at_a_time_an_lsn_and_a_name(product: Product) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    // Each point lies between two loads, so that a record too much or too few shows in the tables.
    let mark = |round: u32, sql: &str| {
        load::some_load(&scratch, &primary, round, 100);
        (primary.sql(sql), load::contents(&primary))
    };
    let (lsn, contents_at_lsn) = mark(1, "SELECT pg_current_wal_lsn()");
    let (time, contents_at_time) = mark(2, "SELECT clock_timestamp()");
    let (_, contents_at_name) = mark(3, "SELECT pg_create_restore_point('before the mistake')");
    mark(4, "SELECT 1");
    primary.archive_all(&repository);
    primary.stop();

    let targets = [
        ("recovery_target_lsn", lsn.as_str(), contents_at_lsn),
        ("recovery_target_time", time.as_str(), contents_at_time),
        ("recovery_target_name", "before the mistake", contents_at_name),
    ];
    for (setting, target, contents) in targets {
        let mut recovered = Node::from_backup(&scratch, setting, product, &backup);
        recovered.recover_from(&repository);
        recovered.set("recovery_target_timeline", "1");
        recovered.set(setting, target);
        recovered.start();
        recovered.wait_until_promoted();
        assert_eq!(load::contents(&recovered), contents, "after recovery with {setting} = {target}");
        recovered.archive_all(&repository);
    }
    // Each recovery has begun a timeline of its own, told apart only because the earlier ones are in the archive.
    for (timeline, setting) in
        (2..).zip(["recovery_target_lsn", "recovery_target_time", "recovery_target_name"])
    {
        let history = format!("{timeline:08X}.history");
        let of_the_server = fs::read(scratch.path(setting).join("pg_wal").join(&history)).unwrap();
        assert_eq!(of_the_server, repository.original(&history));
    }
}
