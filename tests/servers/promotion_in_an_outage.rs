//! A promotion while the repository cannot be read: the last request comes when the server has removed its signal file,
//! and a server that stops there is a primary on the old timeline after its next start.

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::requests::{Fault, Mount, Requests, ask_for_promotion, flip_a_byte};
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    a_promotion_during_an_outage_leaves_the_server_up_on_the_new_timeline,
    a_second_promotion_during_an_outage_names_all_ancestors
);

/// A primary with rows, which archives to a repository that can be unmounted.
struct Archiving<'a> {
    scratch: &'a Scratch,
    product: Product,
    repository: Repository<'a>,
    mount: Mount<'a>,
    primary: Node<'a>,
}

impl<'a> Archiving<'a> {
    fn new(scratch: &'a Scratch, product: Product) -> Archiving<'a> {
        let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
        let repository = Repository::init(scratch, "repo", &primary.data);
        let mount = Mount::of(scratch, &repository);
        primary.archive_to(&mount.repository);
        primary.start();
        primary.sql("CREATE TABLE row (life text)");
        Archiving { scratch, product, repository, mount, primary }
    }

    /// A standby of `upstream` that streams, and restores from the mounted repository.
    fn standby(&self, name: &str, upstream: &Node) -> Node<'a> {
        let backup = upstream.back_up(&format!("{name}.backup"));
        let mut standby = Node::from_backup(self.scratch, name, self.product, &backup);
        standby.set("primary_conninfo", &upstream.connection_string());
        standby.stand_by_from(&self.mount.repository);
        standby.start();
        standby
    }

    /// The new primary has these rows, names these timelines as its ancestors, and archives once it can.
    fn must_go_on(&self, node: &Node, rows: &str, timeline: &str, ancestors: &[&str]) {
        assert_eq!(node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row"), rows);
        assert_eq!(node.timeline(), timeline);
        assert_eq!(named(&node.lineage()), ancestors);
        self.mount.mount();
        node.archive_all(&self.repository);
        let history = format!("{timeline}.history");
        assert_eq!(String::from_utf8(self.repository.original(&history)).unwrap(), node.lineage());
    }
}

/// The timelines that a history names.
fn named(history: &str) -> Vec<&str> {
    let lines = history.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines.map(|line| line.split('\t').next().unwrap()).collect()
}

fn insert(node: &Node, life: &str) -> String {
    node.sql(&format!("INSERT INTO row VALUES ('{life}')"));
    node.sql("SELECT pg_current_wal_lsn()")
}

/// Promotes as `pg_ctl promote` does: a server that stops meanwhile fails the test.
fn promote(scratch: &Scratch, node: &mut Node) {
    ask_for_promotion(scratch, &node.data);
    node.wait_until_promoted();
}

fn a_promotion_during_an_outage_leaves_the_server_up_on_the_new_timeline(product: Product) {
    let scratch = Scratch::new();
    let mut archiving = Archiving::new(&scratch, product);
    let mut standby = archiving.standby("standby", &archiving.primary);
    standby.wait_until_caught_up(&insert(&archiving.primary, "first"));
    archiving.primary.stop_immediately();
    archiving.mount.unmount();
    promote(&scratch, &mut standby);
    archiving.must_go_on(&standby, "first", "00000002", &["1"]);
}

/// The last request of a second promotion is for a history that exists; its lines are needed.
fn a_second_promotion_during_an_outage_names_all_ancestors(product: Product) {
    let scratch = Scratch::new();
    let mut archiving = Archiving::new(&scratch, product);
    let mut second = archiving.standby("second", &archiving.primary);
    second.wait_until_caught_up(&insert(&archiving.primary, "first"));
    archiving.primary.stop_immediately();
    promote(&scratch, &mut second);
    let mut third = archiving.standby("third", &second);
    third.wait_until_caught_up(&insert(&second, "second"));
    second.archive_all(&archiving.repository);
    second.stop_immediately();
    archiving.mount.unmount();
    promote(&scratch, &mut third);
    archiving.must_go_on(&third, "first second", "00000003", &["1", "2"]);
}

#[test]
fn one_rotten_byte_in_a_stored_history_stops_no_promotion() {
    let scratch = Scratch::new();
    let mut archiving = Archiving::new(&scratch, POSTGRESQL_15);
    let mut second = archiving.standby("second", &archiving.primary);
    second.wait_until_caught_up(&insert(&archiving.primary, "first"));
    archiving.primary.stop_immediately();
    promote(&scratch, &mut second);
    let mut third = archiving.standby("third", &second);
    third.wait_until_caught_up(&insert(&second, "second"));
    second.archive_all(&archiving.repository);
    second.stop_immediately();
    let history = archiving.repository.stored("00000002.history").unwrap();
    flip_a_byte(&history);
    promote(&scratch, &mut third);
    flip_a_byte(&history);
    archiving.mount.unmount();
    archiving.must_go_on(&third, "first second", "00000003", &["1", "2"]);
}

/// The server removes `standby.signal` alone: what is left says "recovery" to the last request.
#[test]
fn a_promotion_during_an_outage_with_both_signal_files_leaves_the_server_up() {
    let scratch = Scratch::new();
    let mut archiving = Archiving::new(&scratch, POSTGRESQL_15);
    let mut standby = archiving.standby("standby", &archiving.primary);
    scratch.write(&standby.data.join("recovery.signal"), "");
    standby.wait_until_caught_up(&insert(&archiving.primary, "first"));
    archiving.primary.stop_immediately();
    archiving.mount.unmount();
    promote(&scratch, &mut standby);
    archiving.must_go_on(&standby, "first", "00000002", &["1"]);
}

/// The request that meets the promotion is retried for longer than others: what is archived would be lost to the new
/// timeline.
#[test]
fn an_outage_that_ends_while_a_promotion_waits_loses_no_archived_row() {
    let scratch = Scratch::new();
    let archiving = Archiving::new(&scratch, POSTGRESQL_15);
    let backup = archiving.primary.back_up("backup");
    insert(&archiving.primary, "first");
    archiving.primary.archive_all(&archiving.repository);
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backup);
    standby.stand_by_from(&archiving.repository);
    let requests = Requests::to(&scratch, "standby", &archiving.repository);
    standby.set("restore_command", &requests.command("%p"));
    let config = scratch.path("walkeep.toml");
    scratch.write(&config, "[restore]\npromote_budget = \"10m\"\n");
    standby.set_environment("WALKEEP_CONFIG", config.to_str().unwrap());
    standby.start();
    wait_until("the standby has the row", || {
        standby.try_sql("SELECT life FROM row").is_ok_and(|row| row == "first")
    });
    requests.hold();
    insert(&archiving.primary, "second");
    archiving.primary.archive_all(&archiving.repository);
    requests.fail(1, 1, Fault::Away);
    ask_for_promotion(&scratch, &standby.data);
    requests.release();
    wait_until("the request is being answered, or was", || {
        standby.runs_walkeep_now() || !requests.answered().is_empty()
    });
    requests.mount_again(&archiving.repository);
    standby.wait_until_promoted();
    assert_eq!(standby.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row"), "first second");
}
