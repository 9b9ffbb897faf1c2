//! Standbys: fed by the archive alone, and archiving beside their primary.

use std::fs;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    a_standby_fed_by_the_archive_alone_catches_up_and_its_promotion_is_archived,
    a_primary_and_its_standby_push_into_one_repository_at_once
);

fn a_standby_fed_by_the_archive_alone_catches_up_and_its_promotion_is_archived(product: Product) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.stand_by_from(&repository);
    standby.start();
    load::some_load(&scratch, &primary, 1, 200);
    let lsn = primary.sql("SELECT pg_current_wal_lsn()");
    primary.archive_all(&repository);
    standby.wait_until_caught_up(&lsn);
    assert_eq!(load::contents(&standby), load::contents(&primary));

    // The primary dies with an open segment; its operator carries that one over by hand, as in the field.
    load::some_load(&scratch, &primary, 2, 10);
    let lsn = primary.sql("SELECT pg_current_wal_lsn()");
    let open_segment = primary.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    let contents = load::contents(&primary);
    primary.stop_immediately();
    wait_until("the standby has what the archive has", || standby.pending().is_empty());
    let old_timeline = repository.fingerprints();
    let carried_over = standby.wal_directory().join("carried-over");
    scratch.copy(&primary.wal_directory().join(&open_segment), &carried_over);
    fs::rename(carried_over, standby.wal_directory().join(&open_segment)).unwrap();
    standby.wait_until_caught_up(&lsn);
    assert_eq!(load::contents(&standby), contents);

    standby.promote();
    load::some_load(&scratch, &standby, 3, 50);
    let fork_segment = format!("00000002{}", &open_segment[8..]);
    standby.archive_all(&repository);
    let now = repository.names();
    for name in ["00000002.history", &format!("{open_segment}.partial"), &fork_segment] {
        assert!(now.contains(name), "'{name}' is not in the repository: {now:?}");
    }
    assert!(!now.contains(&open_segment), "the open segment was stored under its own name");
    let mut after = repository.fingerprints();
    after.retain(|name, _| old_timeline.contains_key(name));
    assert_eq!(after, old_timeline, "files of the old timeline were touched");

    // And the archive leads through the fork.
    let contents = load::contents(&standby);
    let mut recovered = Node::from_backup(&scratch, "recovered", product, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}

fn a_primary_and_its_standby_push_into_one_repository_at_once(product: Product) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.set("archive_mode", "always");
    // What both have archived stays in both WAL directories, to be compared.
    primary.set(if product.major < 13 { "wal_keep_segments" } else { "wal_keep_size" }, "1000");
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.set("primary_conninfo", &primary.connection_string());
    standby.stand_by_from(&repository);
    standby.start();
    wait_until("the standby streams", || {
        primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
    });
    load::some_load(&scratch, &primary, 1, 500);
    primary.archive_all(&repository);
    standby.wait_until_caught_up(&primary.sql("SELECT pg_current_wal_lsn()"));
    wait_until("the standby has archived all that it was streamed", || standby.pending().is_empty());

    let by_both: Vec<String> =
        primary.acknowledged().intersection(&standby.acknowledged()).cloned().collect();
    assert!(by_both.len() >= 3, "too few segments were archived by both: {by_both:?}");
    for name in by_both.iter().filter(|name| name.len() == 24) {
        let original = repository.original(name);
        for node in [&primary, &standby] {
            assert!(
                fs::read(node.wal_directory().join(name)).unwrap() == original,
                "'{name}' differs from what was archived"
            );
        }
    }
    for node in [&primary, &standby] {
        assert_eq!(node.sql("SELECT failed_count FROM pg_stat_archiver"), "0", "an archive call failed");
    }
}
