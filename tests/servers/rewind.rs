//! `pg_rewind -c` reads the WAL that its target has lost already from the archive.

use std::fs;
use std::process::{Command, Output};

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, client_program};
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;

#[test]
fn a_rewind_gets_the_wal_that_its_target_no_longer_has_from_the_repository() {
    let scratch = Scratch::new();
    let mut old = Node::initdb_with_segments(&scratch, "old", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &old.data);
    old.archive_to(&repository);
    // Nothing is fetched ahead of a rewind, though it calls the servers' command.
    old.set("restore_command", &repository.restore_command_ahead(8));
    old.start();
    load::prepare(&old);
    let backup = old.back_up("backup");

    // The standby is promoted at what the archive has; the old primary goes its own way after that.
    let mut new = Node::from_backup(&scratch, "new", POSTGRESQL_15, &backup);
    new.stand_by_from(&repository);
    new.start();
    load::some_load(&scratch, &old, 1, 200);
    let lsn = old.sql("SELECT pg_current_wal_lsn()");
    old.archive_all(&repository);
    new.wait_until_caught_up(&lsn);
    new.promote();
    // Until then pg_rewind 15 takes the new primary for one of the old timeline.
    new.sql("CHECKPOINT");
    load::some_load(&scratch, &old, 2, 200);
    old.archive_all(&repository);
    old.stop();
    load::some_load(&scratch, &new, 3, 50);
    new.archive_all(&repository);
    let contents = load::contents(&new);

    // What the old primary has archived it has recycled when it stopped; and if not, it does so now.
    for name in old.acknowledged() {
        let _ = fs::remove_file(old.wal_directory().join(&name));
    }
    let without_the_archive = rewind(&scratch, &old, &new, &["--dry-run"]);
    let said = String::from_utf8_lossy(&without_the_archive.stderr);
    assert!(
        said.contains("could not open file"),
        "the removed WAL was not needed, so this proves nothing: {said}"
    );
    let with_the_archive = rewind(&scratch, &old, &new, &["--restore-target-wal"]);
    let said = String::from_utf8_lossy(&with_the_archive.stderr);
    assert!(with_the_archive.status.success(), "pg_rewind failed: {said}");
    assert!(!scratch.path("old.walkeep-spool").exists());

    // The rewound node is consistent where the new one was during the rewind; the archive must lead there.
    let lsn = new.sql("SELECT pg_current_wal_insert_lsn()");
    new.archive_all(&repository);
    // It has the new one's settings and needs its own again.
    old.settle();
    old.stand_by_from(&repository);
    old.start();
    old.wait_until_caught_up(&lsn);
    assert_eq!(load::contents(&old), contents);
}

fn rewind(scratch: &Scratch, target: &Node, source: &Node, options: &[&str]) -> Output {
    let mut pg_rewind: Command = scratch.command(client_program("pg_rewind"));
    pg_rewind.arg("-D").arg(&target.data).arg("--no-sync").args(options);
    pg_rewind.arg("--source-server").arg(source.connection_string() + " dbname=postgres").output().unwrap()
}
