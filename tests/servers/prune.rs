//! What real servers leave on disk, as `prune` reads it, and what they can still do afterwards.

use std::path::Path;
use std::process::Stdio;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product, client_program};
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

on_every_server!(
    a_standby_that_was_down_catches_up_from_the_archive_after_a_prune,
    a_killed_standby_restarts_from_its_restartpoint_after_a_prune_on_the_primary
);

/// Runs `prune`, as the servers' user, with every data directory; its report.
fn prune(scratch: &Scratch, repository: &Repository, nodes: &[&Path], args: &[&str]) -> serde_json::Value {
    let mut walkeep = scratch.command(scratch.walkeep());
    walkeep.args(["prune", "-o", "json", "--repo"]).arg(&repository.path).args(args);
    for node in nodes {
        walkeep.arg("-D").arg(node);
    }
    serde_json::from_str(&must_succeed(&mut walkeep)).unwrap()
}

/// The reason of a plan's earliest pin.
fn reason(report: &serde_json::Value) -> &str {
    report["pins"][0]["reason"].as_str().unwrap()
}

/// The first stored segment.
fn first_segment(repository: &Repository) -> String {
    repository.names().into_iter().find(|name| name.len() == 24).unwrap()
}

/// Writes WAL until that many more segments are archived.
fn write_segments(node: &Node, repository: &Repository, count: u32) {
    for _ in 0..count {
        node.switch_segment();
    }
    node.archive_all(repository);
}

/// Removes every claim, as for nodes that are gone for good.
fn forget_claims(scratch: &Scratch, repository: &Repository) {
    for claim in std::fs::read_dir(repository.path.join(".walkeep/claims")).unwrap() {
        let file = claim.unwrap().file_name().into_string().unwrap();
        if let Some(key) = file.strip_suffix(".json") {
            let mut remove = scratch.command(scratch.walkeep());
            must_succeed(remove.args(["claim", "remove", key, "--repo"]).arg(&repository.path));
        }
    }
}

fn segment_of(node: &Node, lsn: &str) -> String {
    node.sql(&format!("SELECT pg_walfile_name('{lsn}'::pg_lsn)"))
}

/// A primary that archives, without WAL kept for anybody, with segments of 1 MiB.
fn primary<'s>(scratch: &'s Scratch, product: Product) -> (Node<'s>, Repository<'s>) {
    let mut node = Node::initdb_with_segments(scratch, "primary", product, 1);
    let repository = Repository::init(scratch, "repo", &node.data);
    node.set("wal_level", "logical");
    node.set("max_wal_size", "4MB");
    node.set("min_wal_size", "2MB");
    node.archive_to(&repository);
    node.start();
    load::prepare(&node);
    (node, repository)
}

fn a_standby_that_was_down_catches_up_from_the_archive_after_a_prune(product: Product) {
    let scratch = Scratch::new();
    let (primary, repository) = primary(&scratch, product);
    primary.sql("SELECT pg_create_physical_replication_slot('standby1', true)");
    let backup = primary.back_up("backup");
    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.set("primary_conninfo", &primary.connection_string());
    standby.set("primary_slot_name", "standby1");
    standby.stand_by_from(&repository);
    standby.start();
    wait_until("the standby streams", || {
        primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
    });
    standby.stop();

    load::some_load(&scratch, &primary, 1, 300);
    write_segments(&primary, &repository, 4);
    primary.sql("CHECKPOINT");
    // Only what the primary knows: its slot, as the file says.
    let report =
        prune(&scratch, &repository, &[&primary.data], &["--keep-segments", "1", "--keep-backups", "0"]);
    let pins = report["pins"].as_array().unwrap();
    assert!(pins.iter().any(|pin| pin["reason"] == "slot"), "{report}");
    let restart_lsn = primary.sql("SELECT restart_lsn FROM pg_replication_slots");
    assert!(first_segment(&repository) <= segment_of(&primary, &restart_lsn));
    assert!(report["removed_files"].as_u64().unwrap() > 0, "{report}");

    // It comes back by the archive alone.
    primary.sql("SELECT pg_drop_replication_slot('standby1')");
    primary.sql("CHECKPOINT");
    standby.set("primary_conninfo", "");
    standby.start();
    standby.wait_until_caught_up(&primary.sql("SELECT pg_switch_wal()"));
    primary.archive_all(&repository);
    assert_eq!(load::contents(&standby), load::contents(&primary));
}

fn a_killed_standby_restarts_from_its_restartpoint_after_a_prune_on_the_primary(product: Product) {
    let scratch = Scratch::new();
    let (primary, repository) = primary(&scratch, product);
    let backup = primary.back_up("backup");
    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.stand_by_from(&repository);
    // No restartpoint of its own accord.
    standby.set("checkpoint_timeout", "1h");
    standby.set("max_wal_size", "1GB");
    standby.start();
    write_segments(&primary, &repository, 5);
    primary.sql("CHECKPOINT");
    let near = primary.sql("SELECT pg_current_wal_lsn()");
    write_segments(&primary, &repository, 1);
    standby.wait_until_caught_up(&near);
    standby.sql("CHECKPOINT");
    load::some_load(&scratch, &primary, 1, 200);
    write_segments(&primary, &repository, 44);
    primary.sql("CHECKPOINT");
    let far = primary.sql("SELECT pg_current_wal_lsn()");
    primary.archive_all(&repository);
    standby.wait_until_caught_up(&far);
    standby.kill_postmaster();

    let nodes = [primary.data.as_path(), standby.data.as_path()];
    let report = prune(&scratch, &repository, &nodes, &["--keep-segments", "1", "--keep-backups", "0"]);
    assert_eq!(reason(&report), "redo", "{report}");
    assert!(report["removed_files"].as_u64().unwrap() > 0, "{report}");
    assert!(report["kept_files"].as_u64().unwrap() >= 44, "it is far behind: {report}");
    standby.start();
    standby.wait_until_caught_up(&far);
    assert_eq!(load::contents(&standby), load::contents(&primary));
    // The standby claimed its need by its restore_command: now nobody has to name it.
    let report = prune(&scratch, &repository, &[&primary.data], &["--keep-segments", "1", "-n"]);
    let pins = report["pins"].as_array().unwrap();
    let claims = pins.iter().filter(|pin| pin["reason"] == "redo").count();
    assert_eq!(claims, 2, "the primary and the standby's claim: {report}");
}

/// A slot of every sort pins from where the server says, and one that is lost pins nothing.
#[test]
fn slots_of_every_sort_pin_what_the_server_holds_for_them() {
    let scratch = Scratch::new();
    let (primary, repository) = primary(&scratch, POSTGRESQL_15);
    let plan = || {
        primary.sql("CHECKPOINT");
        prune(&scratch, &repository, &[&primary.data], &["--keep-segments", "1", "--dry-run"])
    };
    let pinning = |report: &serde_json::Value, slot: &str| -> Option<(String, String)> {
        let pins = report["pins"].as_array().unwrap();
        let is_of = |pin: &&serde_json::Value| {
            pin["description"].as_str().unwrap().starts_with(&format!("slot '{slot}' of"))
        };
        let text = |pin: &serde_json::Value, key: &str| pin[key].as_str().unwrap().to_owned();
        pins.iter().find(is_of).map(|pin| (text(pin, "reason"), text(pin, "from")))
    };
    let restart_lsn = |slot: &str| {
        primary.sql(&format!("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'"))
    };
    primary.sql("SELECT pg_create_physical_replication_slot('doomed', true)");
    write_segments(&primary, &repository, 2);
    primary.sql("SELECT pg_create_physical_replication_slot('down', true)");
    primary.sql("SELECT pg_create_logical_replication_slot('logical', 'pgoutput')");
    primary.sql("SELECT pg_create_physical_replication_slot('unreserved')");
    write_segments(&primary, &repository, 2);
    let report = plan();
    for slot in ["doomed", "down", "logical"] {
        assert_eq!(pinning(&report, slot), Some(("slot".to_owned(), restart_lsn(slot))), "{report}");
    }
    assert_eq!(reason(&report), "slot");
    assert_eq!(pinning(&report, "unreserved").unwrap().0, "unreserved_slot", "{report}");

    // The server gives slots up: only then do they hold nothing any more.
    primary.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    primary.sql("SELECT pg_reload_conf()");
    write_segments(&primary, &repository, 6);
    wait_until("the slots are lost", || {
        primary.sql("CHECKPOINT");
        primary.sql("SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost'") == "3"
    });
    // What the archiver claimed while they were not lost yet pins for the grace.
    forget_claims(&scratch, &repository);
    let report = plan();
    for slot in ["doomed", "down", "logical"] {
        assert_eq!(pinning(&report, slot), None, "{report}");
    }

    // A base backup that runs: its slot is temporary, and its file knows no position yet.
    let mut backup = scratch.command(client_program("pg_basebackup"));
    backup.args(["-D", "running", "-X", "stream", "-c", "fast", "--max-rate", "32k", "-d"]);
    let mut backup = backup.arg(primary.connection_string()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the backup's slot is there", || {
        primary.sql("SELECT count(*) FROM pg_replication_slots WHERE temporary") == "1"
    });
    let held =
        primary.sql("SELECT slot_name || '/' || restart_lsn FROM pg_replication_slots WHERE temporary");
    let report = prune(&scratch, &repository, &[&primary.data], &["--keep-segments", "1", "--dry-run"]);
    let (slot, held) = held.split_once('/').unwrap();
    let (_, from) = pinning(&report, slot).unwrap_or_else(|| panic!("{slot}: {report}"));
    // A receiver begins at the beginning of a segment.
    let number = |lsn: &str| primary.sql(&format!("SELECT div('{lsn}'::pg_lsn - '0/0'::pg_lsn, 1048576)"));
    let (pinned, held) = (number(&from).parse::<u64>().unwrap(), number(held).parse::<u64>().unwrap());
    assert!(pinned <= held, "pinned from segment {pinned}, held from {held}: {report}");
    backup.kill().unwrap();
    backup.wait().unwrap();
}

/// Three base backups on two timelines: whatever is kept can be restored, to its end and beyond.
#[test]
fn every_base_backup_that_is_kept_can_be_restored() {
    let scratch = Scratch::new();
    let (mut primary, repository) = primary(&scratch, POSTGRESQL_15);
    let mut backups = Vec::new();
    let mut told = Vec::new();
    for round in 1..=2 {
        backups.push(primary.back_up(&format!("backup{round}")));
        load::some_load(&scratch, &primary, round, 50);
        write_segments(&primary, &repository, 3);
    }
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backups[1]);
    standby.archive_to(&repository);
    standby.stand_by_from(&repository);
    standby.start();
    let last = primary.sql("SELECT pg_current_wal_lsn()");
    primary.archive_all(&repository);
    standby.wait_until_caught_up(&last);
    primary.stop();
    standby.promote();
    backups.push(standby.back_up("backup3"));
    told.push(load::some_load(&scratch, &standby, 3, 50));
    standby.archive_all(&repository);
    let contents = load::contents(&standby);

    let before = repository.names().len();
    // The old primary may still come back, and be rewound.
    let report = prune(&scratch, &repository, &[&standby.data], &["--keep-backups", "2"]);
    let pins = report["pins"].as_array().unwrap();
    assert!(pins.iter().any(|pin| pin["reason"] == "rewind"), "{report}");
    // Until somebody says that it is gone for good.
    forget_claims(&scratch, &repository);
    let report = prune(&scratch, &repository, &[&standby.data], &["--keep-backups", "2"]);
    assert_eq!(reason(&report), "keep_backups", "{report}");
    assert!(repository.names().len() < before, "{report}");
    assert!(repository.has("00000002.history"));
    let kept: Vec<String> = repository.names().into_iter().filter(|name| name.ends_with(".backup")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    for backup in &backups[1..] {
        let name = format!("restored-{}", backup.file_name().unwrap().to_str().unwrap());
        let mut restored = Node::from_backup(&scratch, &name, POSTGRESQL_15, backup);
        restored.recover_from(&repository);
        restored.start();
        restored.wait_until_promoted();
        assert_eq!(load::contents(&restored), contents, "{name}");
        told.iter().for_each(|told| told.must_be_in(&restored));
        restored.stop();
    }
}
