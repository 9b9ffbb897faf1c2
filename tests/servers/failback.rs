//! A failback while cron prunes (S2): a primary dies with WAL that it never archived, its standby takes over, the old
//! primary is rewound, slots are dropped and made again - and an archive host, which sees nothing of the nodes but
//! what they have claimed, prunes all the time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use walkeep::repository::{Claim, Repository as Stored};
use walkeep::storage::DirectoryStore;
use walkeep::wal::BackupLabel;

use crate::support::cron::{Cron, while_cron_prunes};
use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product, client_program};
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

on_every_server!(@ postgresql_15, POSTGRESQL_15,
    what_a_slot_held_stays_though_it_is_dropped_and_made_again_at_once,
    what_a_slot_held_stays_though_it_is_gone_for_hours
);
on_every_server!(@ kingbase_shape, KINGBASE_SHAPE,
    what_a_slot_held_stays_though_it_is_dropped_and_made_again_at_once,
    what_a_slot_held_stays_though_it_is_gone_for_hours
);

const HOUR: Duration = Duration::from_secs(3600);

/// For how long a slot is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hole {
    /// For as long as two statements and a run of cron's prune take.
    AtOnce,
    /// For half of the grace, an hour between any two looks.
    Hours,
}

/// What cron of the archive host is told: to keep as little as anything allows.
fn archive_host(scratch: &Scratch, nodes: &str) -> String {
    let path = scratch.path("archive-host.toml");
    scratch.write(&path, format!("[prune]\nnodes = [{nodes}]\nkeep_segments = 1\nkeep_backups = 0\n"));
    path.to_str().unwrap().to_owned()
}

/// What cron of a node does.
fn claim(scratch: &Scratch, repository: &Repository, name: &str, node: &Node) {
    let mut claim = scratch.command(scratch.walkeep());
    claim.args(["claim", "--node", name, "-D"]).arg(&node.data).arg("--repo").arg(&repository.path);
    must_succeed(&mut claim);
}

/// Makes every claim as old as if that much time had gone by since.
fn let_time_pass(scratch: &Scratch, repository: &Path, time: Duration) {
    let store = DirectoryStore::new(repository.to_owned());
    for mut claim in Stored::open(&store).unwrap().claims().unwrap() {
        let Claim { role_since, observed_at, last, earlier, departed, .. } = &mut claim;
        *role_since -= time;
        *observed_at -= time;
        last.seen_at -= time;
        earlier.iter_mut().for_each(|one| one.seen_at -= time);
        departed.iter_mut().for_each(|slot| slot.departed_at -= time);
        let file = repository.join(format!(".walkeep/claims/{}.json", claim.key()));
        let staged = scratch.path("aged-claim");
        scratch.write(&staged, serde_json::to_vec(&claim).unwrap());
        fs::rename(staged, file).unwrap();
    }
}

fn streams(node: &Node) -> bool {
    node.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
}

/// A primary that archives, keeps no WAL for anybody, and has a slot for its standby.
fn primary<'s>(scratch: &'s Scratch, product: Product, slot: &str) -> (Node<'s>, Repository<'s>) {
    let mut node = Node::initdb_with_segments(scratch, "primary", product, 1);
    let repository = Repository::init(scratch, "repo", &node.data);
    node.set("max_wal_size", "4MB");
    node.set("min_wal_size", "2MB");
    node.archive_to(&repository);
    node.set_environment("WALKEEP_NODE", "primary");
    node.start();
    load::prepare(&node);
    node.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}', true)"));
    (node, repository)
}

/// Drops a slot and makes it again, as failback scripts do, while cron prunes.
fn drop_and_make_again(
    scratch: &Scratch,
    repository: &Repository,
    (name, node): (&str, &Node),
    slot: &str,
    (hole, cron): (Hole, &Cron),
) {
    wait_until("nobody uses the slot", || {
        node.sql("SELECT count(*) FROM pg_replication_slots WHERE active") == "0"
    });
    node.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    cron.wait_for_a_run();
    if hole == Hole::Hours {
        for _ in 0..12 {
            claim(scratch, repository, name, node);
            let_time_pass(scratch, &repository.path, HOUR);
        }
        node.sql("CHECKPOINT");
        claim(scratch, repository, name, node);
        cron.wait_for_a_run();
    }
    node.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}')"));
    cron.wait_for_a_run();
    node.sql("CHECKPOINT");
    claim(scratch, repository, name, node);
    cron.wait_for_a_run();
}

#[test]
fn an_old_primary_is_rewound_and_comes_back_by_the_archive_whose_slot_is_made_again_at_once() {
    an_old_primary_comes_back(Hole::AtOnce);
}

#[test]
fn an_old_primary_is_rewound_and_comes_back_by_the_archive_whose_slot_is_gone_for_hours() {
    an_old_primary_comes_back(Hole::Hours);
}

fn an_old_primary_comes_back(hole: Hole) {
    let scratch = Scratch::new();
    let (mut old, repository) = primary(&scratch, POSTGRESQL_15, "new");
    let backup = old.back_up("backup");
    let mut new = Node::from_backup(&scratch, "new", POSTGRESQL_15, &backup);
    new.set_environment("WALKEEP_NODE", "new");
    new.set("primary_conninfo", &old.connection_string());
    new.set("primary_slot_name", "new");
    new.stand_by_from(&repository);
    new.start();
    wait_until("the standby streams", || streams(&old));
    let claim = |name, node: &Node| claim(&scratch, &repository, name, node);
    claim("primary", &old);
    claim("new", &new);
    let archive_host = archive_host(&scratch, "'primary', 'new'");
    while_cron_prunes(&scratch, &repository, &["--config", &archive_host], |cron| {
        load::some_load(&scratch, &old, 1, 200);
        old.archive_all(&repository);
        for _ in 0..2 {
            old.sql("CHECKPOINT");
            new.wait_until_caught_up(&old.sql("SELECT pg_current_wal_lsn()"));
            new.sql("CHECKPOINT");
            claim("primary", &old);
            claim("new", &new);
        }
        cron.wait_for_a_run();
        assert!(cron.removed_files() > 0, "cron has something to remove");

        // Its host goes down under load, and the standby takes over.
        let load = Load::start(&scratch, &old, 2);
        wait_until("the dying primary has written a few segments more", || {
            old.sql("SELECT count(*) >= 1000 FROM told WHERE round = 2") == "t"
        });
        old.stop_immediately();
        load.end();
        new.promote();
        // Until then pg_rewind 15 takes it for one of the old timeline.
        new.sql("CHECKPOINT");
        new.sql("SELECT pg_create_physical_replication_slot('old', true)");
        claim("new", &new);
        for round in 3..=4 {
            load::some_load(&scratch, &new, round, 200);
            new.sql("CHECKPOINT");
            new.archive_all(&repository);
            claim("new", &new);
            cron.wait_for_a_run();
        }

        // It comes back: what it never archived is saved, and it is rewound.
        let mut drain = scratch.command(scratch.walkeep());
        drain.args(["drain", "--node", "primary", "-D"]).arg(&old.data).arg("--repo").arg(&repository.path);
        must_succeed(&mut drain);
        cron.wait_for_a_run();
        drop_and_make_again(&scratch, &repository, ("new", &new), "old", (hole, cron));
        old.set("restore_command", &repository.restore_command());
        let mut rewind = scratch.command(client_program("pg_rewind"));
        rewind.arg("-D").arg(&old.data).args(["--no-sync", "--restore-target-wal", "--source-server"]);
        must_succeed(rewind.arg(new.connection_string() + " dbname=postgres"));
        // Its claim says from now on that it is on the new timeline.
        claim("primary", &old);
        cron.wait_for_a_run();
        drop_and_make_again(&scratch, &repository, ("new", &new), "old", (hole, cron));
        load::some_load(&scratch, &new, 5, 200);
        new.sql("CHECKPOINT");
        new.archive_all(&repository);
        claim("new", &new);
        cron.wait_for_a_run();

        let label = BackupLabel::parse(&fs::read(old.data.join("backup_label")).unwrap()).unwrap();
        let first = new.sql(&format!("SELECT pg_walfile_name('{}')", label.start));
        // It has the new primary's settings and needs its own again: the archive, and nobody to stream from.
        old.settle();
        old.set("primary_conninfo", "");
        old.stand_by_from(&repository);
        old.start();
        let lsn = new.sql("SELECT pg_current_wal_lsn()");
        new.archive_all(&repository);
        old.wait_until_caught_up(&lsn);
        assert_eq!(load::contents(&old), load::contents(&new));
        let restored = format!("restored log file \"00000001{}\" from archive", &first[8..]);
        assert!(old.log().contains(&restored), "'{first}' was not needed of the archive: {}", old.log());
    });
}

fn what_a_slot_held_stays_though_it_is_dropped_and_made_again_at_once(product: Product) {
    what_a_slot_held_stays(product, Hole::AtOnce);
}

fn what_a_slot_held_stays_though_it_is_gone_for_hours(product: Product) {
    what_a_slot_held_stays(product, Hole::Hours);
}

/// The standby has never called walkeep, so that nothing but its slot speaks for it.
fn what_a_slot_held_stays(product: Product, hole: Hole) {
    let scratch = Scratch::new();
    let (primary, repository) = primary(&scratch, product, "standby");
    let backup = primary.back_up("backup");
    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.set("archive_mode", "off");
    standby.set("primary_conninfo", &primary.connection_string());
    standby.set("primary_slot_name", "standby");
    scratch.write(&standby.data.join("standby.signal"), "");
    standby.start();
    wait_until("the standby streams", || streams(&primary));
    // Into the midst of a segment.
    primary.sql("INSERT INTO told VALUES (0, 0, '')");
    let lsn = primary.sql("SELECT pg_current_wal_lsn()");
    wait_until("the slot has moved there", || {
        primary.sql(&format!("SELECT restart_lsn >= '{lsn}' FROM pg_replication_slots")) == "t"
    });
    standby.stop();

    let claim = || claim(&scratch, &repository, "primary", &primary);
    primary.sql("CHECKPOINT");
    claim();
    let archive_host = archive_host(&scratch, "'primary'");
    let args = ["--config", &archive_host];
    while_cron_prunes(&scratch, &repository, &args, |cron| {
        let held = primary.sql("SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots");
        for round in 1..=2 {
            load::some_load(&scratch, &primary, round, 200);
            primary.sql("CHECKPOINT");
            primary.archive_all(&repository);
            claim();
        }
        cron.wait_for_a_run();
        drop_and_make_again(&scratch, &repository, ("primary", &primary), "standby", (hole, cron));
        primary.archive_all(&repository);
        claim();
        cron.wait_for_a_run();
        assert!(cron.removed_files() > 0, "cron has something to remove");
        assert!(repository.has(&held), "'{held}' was what the slot held");
        must_go_after_the_grace(&scratch, &repository, &primary, &held);

        standby.set("primary_conninfo", "");
        standby.stand_by_from(&repository);
        standby.start();
        let lsn = primary.sql("SELECT pg_current_wal_lsn()");
        primary.archive_all(&repository);
        standby.wait_until_caught_up(&lsn);
        assert_eq!(load::contents(&standby), load::contents(&primary));
    });
}

/// In a copy of the repository the grace ends, and the file goes: nothing else has kept it.
fn must_go_after_the_grace(scratch: &Scratch, repository: &Repository, primary: &Node, held: &str) {
    let copy = Repository::copy(repository, "after-the-grace");
    for _ in 0..=24 {
        claim(scratch, &copy, "primary", primary);
        let_time_pass(scratch, &copy.path, HOUR);
    }
    let mut prune = scratch.command(scratch.walkeep());
    prune.args(["prune", "--keep-segments", "1", "--keep-backups", "0", "--repo"]).arg(&copy.path);
    must_succeed(&mut prune);
    assert!(!copy.has(held), "'{held}' was kept for another reason");
}
