//! Segments that the archive lacks: what a server says of them, and the ways out.

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::requests::Requests;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(a_target_before_a_gap_is_reached_by_gap_is_end);

/// The archive of a primary with the rows 1 to 5, each in a segment of its own.
struct Archive<'a> {
    repository: Repository<'a>,
    backup: std::path::PathBuf,
    product: Product,
    segments: Vec<String>,
}

impl<'a> Archive<'a> {
    fn new(scratch: &'a Scratch, product: Product) -> Archive<'a> {
        let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
        let repository = Repository::init(scratch, "repo", &primary.data);
        primary.archive_to(&repository);
        primary.start();
        primary.sql("CREATE TABLE row (life text)");
        let backup = primary.back_up("backup");
        let segments = (1..=5).map(|row| {
            primary.sql(&format!("INSERT INTO row VALUES ('{row}')"));
            primary.sql(&format!("SELECT pg_create_restore_point('row {row}')"));
            primary.switch_segment()
        });
        let segments = segments.collect();
        primary.archive_all(&repository);
        primary.stop();
        Archive { repository, backup, product, segments }
    }

    fn node(&self, scratch: &'a Scratch) -> Node<'a> {
        let node = Node::from_backup(scratch, "node", self.product, &self.backup);
        node.set("archive_mode", "off");
        node
    }
}

fn rows(node: &Node) -> String {
    node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row")
}

/// Servers from 15 on ask for the segment after the target's while they replay that.
fn a_target_before_a_gap_is_reached_by_gap_is_end(product: Product) {
    let scratch = Scratch::new();
    let archive = Archive::new(&scratch, product);
    archive.repository.remove(&archive.segments[2]);
    let mut node = archive.node(&scratch);
    node.recover_from(&archive.repository);
    node.set("recovery_target_name", "row 2");
    node.launch();
    wait_until("recovery has ended or stopped", || {
        node.ended().is_some() || node.try_sql("SELECT pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
    });
    if node.ended().is_some() {
        let log = node.log();
        assert!(log.contains(&archive.segments[2]) && log.contains("--gap-is-end"), "no way out is named");
        node.stopped();
        node.set("restore_command", &format!("{} --gap-is-end", archive.repository.restore_command()));
        node.start();
    }
    node.wait_until_promoted();
    assert_eq!(rows(&node), "1 2");
}

#[test]
fn a_recovery_stops_at_a_gap_and_gap_is_end_goes_on() {
    let scratch = Scratch::new();
    let archive = Archive::new(&scratch, POSTGRESQL_15);
    archive.repository.remove(&archive.segments[2]);
    let mut node = archive.node(&scratch);
    node.recover_from(&archive.repository);
    node.launch();
    node.wait_until_recovery_stops();
    assert!(node.log().contains(&archive.segments[2]));
    node.set("restore_command", &format!("{} --gap-is-end", archive.repository.restore_command()));
    node.start();
    node.wait_until_promoted();
    assert_eq!(rows(&node), "1 2");
}

/// Such a standby waits for ever: its log says why, and says it once.
#[test]
fn a_standby_that_needs_what_is_older_than_everything_stored_says_so_once() {
    let scratch = Scratch::new();
    let archive = Archive::new(&scratch, POSTGRESQL_15);
    let mut node = archive.node(&scratch);
    node.stand_by_from(&archive.repository);
    let requests = Requests::to(&scratch, "node", &archive.repository);
    node.set("restore_command", &requests.command("%p"));
    let needed = &archive.segments[3];
    for name in archive.repository.names().iter().filter(|name| name.len() == 24 && *name <= needed) {
        archive.repository.remove(name);
    }
    node.launch();
    wait_until("the standby has asked for the same again and again", || {
        assert!(node.ended().is_none(), "the standby stopped");
        requests.repeated() >= 5
    });
    let asked_for = requests.most_requested();
    let log = node.log();
    let warnings: Vec<_> =
        log.lines().filter(|line| line.starts_with("warning:") && line.contains(&asked_for)).collect();
    assert_eq!(warnings.len(), 1, "warnings of '{asked_for}': {warnings:#?}");
    assert!(log.contains("older"), "the log does not say that it is older than what is stored");
}
