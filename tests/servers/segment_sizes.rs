//! Segments have the size that initdb gave them, not 16 MiB.

use std::fs;

use crate::support::load::{self, Load};
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

#[test]
fn segments_of_1_mib_are_archived_and_recovered() {
    segments_are_archived_and_recovered(1);
}

#[test]
fn segments_of_64_mib_are_archived_and_recovered() {
    segments_are_archived_and_recovered(64);
}

fn segments_are_archived_and_recovered(segment_mib: u32) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, segment_mib);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");

    let load = Load::start(&scratch, &primary, 1);
    primary.archive_all(&repository);
    let during_the_load = primary.switch_segment();
    wait_until("a segment is archived under load", || repository.has(&during_the_load));
    primary.stop_immediately();
    let told = load.end();
    primary.start();
    told.must_be_in(&primary);
    let last = primary.switch_segment();
    primary.archive_all(&repository);
    let contents = load::contents(&primary);
    primary.stop();
    assert_eq!(repository.original(&last).len(), usize::try_from(segment_mib).unwrap() << 20);
    if let Ok(bytes) = fs::read(primary.wal_directory().join(&last)) {
        assert!(bytes == repository.original(&last), "'{last}' is stored with other bytes");
    }

    let mut recovered = Node::from_backup(&scratch, "recovered", POSTGRESQL_15, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}
