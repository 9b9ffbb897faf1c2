//! An immediate shutdown kills the running archive call too; nothing acknowledged may depend on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    whatever_a_server_was_told_is_archived_is_archived_though_it_is_shut_down_in_the_midst_of_calls
);

fn rounds() -> u32 {
    if std::env::var_os("WALKEEP_TEST_LONG").is_some() { 50 } else { 5 }
}

fn whatever_a_server_was_told_is_archived_is_archived_though_it_is_shut_down_in_the_midst_of_calls(
    product: Product,
) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.set("max_wal_size", "4MB");
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");
    let first_segment = first_segment_of(&backup);

    let mut all_told = Vec::new();
    for round in 1..=rounds() {
        let stored_before = repository.names().len();
        let load = Load::start(&scratch, &primary, round);
        wait_until("segments are archived under load", || repository.names().len() >= stored_before + 2);
        wait_until("an archive call runs", || primary.runs_walkeep_now());
        primary.stop_immediately();
        all_told.push(load.end());
        must_hold_what_it_acknowledged(&repository, &primary, &first_segment);
        primary.start();
    }
    primary.archive_all(&repository);
    must_hold_what_it_acknowledged(&repository, &primary, &first_segment);
    let contents = load::contents(&primary);
    primary.stop();

    let mut recovered = Node::from_backup(&scratch, "recovered", product, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    for told in &all_told {
        told.must_be_in(&recovered);
    }
    assert_eq!(load::contents(&recovered), contents);
}

/// Every file marked done is stored with the bytes it has, and no segment has left the server unstored.
pub fn must_hold_what_it_acknowledged(repository: &Repository, primary: &Node, first_segment: &str) {
    let acknowledged = primary.acknowledged();
    for name in &acknowledged {
        assert!(repository.has(name), "'{name}' is marked done and not stored");
        // The server may have removed or recycled the file itself already.
        if let Ok(bytes) = fs::read(primary.wal_directory().join(name)) {
            assert!(bytes == repository.original(name), "'{name}' is stored with other bytes");
        }
    }
    let segments: BTreeSet<String> = repository.names().into_iter().filter(|name| name.len() == 24).collect();
    let newest_stored = segments.last().unwrap();
    let still_there = primary.wal_files();
    for number in segment_number(first_segment)..=segment_number(newest_stored) {
        let name = format!("00000001{:08X}{:08X}", number / SEGMENTS_A_LOG, number % SEGMENTS_A_LOG);
        assert!(segments.contains(&name) || still_there.contains(&name), "'{name}' is gone and not stored");
    }
}

/// With segments of 1 MiB.
const SEGMENTS_A_LOG: u64 = 4096;

fn segment_number(name: &str) -> u64 {
    let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
    hex(&name[8..16]) * SEGMENTS_A_LOG + hex(&name[16..24])
}

/// The segment that recovery from this backup begins with.
pub fn first_segment_of(backup: &Path) -> String {
    let label = fs::read_to_string(backup.join("backup_label")).unwrap();
    let (_, rest) = label.split_once("(file ").unwrap();
    rest[..24].to_owned()
}
