//! Histories that the archive does not have, or cannot give: what another one says of them is followed, and the next
//! promotion forgets no ancestor.

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::requests::{Fault, Requests, ask_for_promotion};
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

on_every_server!(
    a_timeline_that_a_higher_history_names_is_followed,
    a_recovery_stops_where_a_timeline_lacks_its_first_segment
);

/// Three lives: the node of timeline 1 is followed by one of timeline 2 that archives nothing, and that by one of
/// timeline 3. Each adds a row.
struct ThreeLives<'a> {
    repository: Repository<'a>,
    backup: std::path::PathBuf,
    second: Node<'a>,
    third: Node<'a>,
}

impl<'a> ThreeLives<'a> {
    /// `finish_segment` is called when timeline 2 has its row.
    fn new(scratch: &'a Scratch, product: Product, finish_segment: impl FnOnce(&Node)) -> ThreeLives<'a> {
        let mut first = Node::initdb_with_segments(scratch, "first", product, 1);
        let repository = Repository::init(scratch, "repo", &first.data);
        first.archive_to(&repository);
        first.start();
        first.sql("CREATE TABLE row (life text)");
        let backup = first.back_up("backup");
        let standby = |name, upstream: &Node| {
            let mut node = Node::from_backup(scratch, name, product, &backup);
            node.set("primary_conninfo", &upstream.connection_string());
            node.set("recovery_target_timeline", "latest");
            scratch.write(&node.data.join("standby.signal"), "");
            node.set("archive_command", "false");
            node.start();
            node
        };
        let mut second = standby("second", &first);
        let mut third = standby("third", &second);
        first.sql("INSERT INTO row VALUES ('first')");
        let lsn = first.sql("SELECT pg_current_wal_lsn()");
        second.wait_until_caught_up(&lsn);
        third.wait_until_caught_up(&lsn);
        first.stop_immediately();
        second.promote();
        second.sql("INSERT INTO row VALUES ('second')");
        finish_segment(&second);
        third.wait_until_caught_up(&second.sql("SELECT pg_current_wal_lsn()"));
        second.stop_immediately();
        third.archive_to(&repository);
        third.stop();
        third.start();
        third.promote();
        third.sql("INSERT INTO row VALUES ('third')");
        third.archive_all(&repository);
        assert!(repository.has("00000003.history") && !repository.has("00000002.history"));
        ThreeLives { repository, backup, second, third }
    }

    fn recovering<'s>(&self, scratch: &'s Scratch) -> Node<'s> {
        let node = Node::from_backup(scratch, "recovered", self.third.product, &self.backup);
        node.archive_to(&self.repository);
        node.recover_from(&self.repository);
        node
    }

    fn must_be_followed_by(&self, recovered: &Node) {
        assert_eq!(rows(recovered), "first second third");
        assert_eq!(recovered.timeline(), "00000004");
        let lineage = recovered.lineage();
        assert!(lineage.starts_with(&self.third.lineage()), "an ancestor is forgotten: {lineage}");
    }
}

fn rows(node: &Node) -> String {
    node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row")
}

/// Both forks are in one segment, so that timeline 3 has all that is needed, and nothing of timeline 2 is stored.
fn a_timeline_that_a_higher_history_names_is_followed(product: Product) {
    let scratch = Scratch::new();
    let lives = ThreeLives::new(&scratch, product, |_| ());
    for name in lives.repository.names().iter().filter(|name| name.starts_with("00000002")) {
        lives.repository.remove(name);
    }
    let mut recovered = lives.recovering(&scratch);
    recovered.start();
    recovered.wait_until_promoted();
    lives.must_be_followed_by(&recovered);
}

/// Timeline 2 has a segment of its own before timeline 3 leaves it: to end at the first fork would lose two lives.
fn a_recovery_stops_where_a_timeline_lacks_its_first_segment(product: Product) {
    let scratch = Scratch::new();
    let mut missing = String::new();
    let lives = ThreeLives::new(&scratch, product, |second| {
        missing = second.switch_segment();
        second.sql("CREATE TABLE another_segment ()");
    });
    let mut recovered = lives.recovering(&scratch);
    recovered.launch();
    recovered.wait_until_recovery_stops();
    assert!(recovered.log().contains(&missing), "the log does not name '{missing}'");
    // The way out: the node that has the segment is still there.
    let mut drain = scratch.command(scratch.walkeep());
    must_succeed(
        drain.arg("drain").arg("-D").arg(&lives.second.data).arg("--repo").arg(&lives.repository.path),
    );
    recovered.start();
    recovered.wait_until_promoted();
    lives.must_be_followed_by(&recovered);
}

/// A standby from a backup on timeline 2 starts in an outage, catches up after it, and is promoted in another one.
#[test]
fn a_standby_that_started_in_an_outage_forgets_no_ancestor_when_it_is_promoted_in_another() {
    for fault in [Fault::Away, Fault::Rot] {
        promote_after_two_outages(fault);
    }
}

fn promote_after_two_outages(fault: Fault) {
    const FOR_EVER: usize = usize::MAX >> 1;
    let scratch = Scratch::new();
    let mut first = Node::initdb_with_segments(&scratch, "first", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &first.data);
    first.archive_to(&repository);
    first.start();
    first.sql("CREATE TABLE row (life text)");
    let backup = first.back_up("backup");
    first.archive_all(&repository);
    first.stop_immediately();
    let mut second = Node::from_backup(&scratch, "second", POSTGRESQL_15, &backup);
    second.archive_to(&repository);
    second.recover_from(&repository);
    second.start();
    second.wait_until_promoted();
    let backup = second.back_up("second-backup");
    second.sql("INSERT INTO row VALUES ('second')");
    second.archive_all(&repository);

    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backup);
    standby.archive_to(&repository);
    let requests = Requests::to(&scratch, "standby", &repository);
    standby.stand_by_from(&repository);
    standby.set("restore_command", &requests.command("%p"));
    requests.fail(1, FOR_EVER, fault);
    standby.launch();
    wait_until("the standby has asked for its own history and more", || {
        assert!(standby.ended().is_none(), "the standby stopped: {:#?}", requests.answered());
        requests.answered().len() >= 4
    });
    // It goes on with a segment, and need not ask for a history again.
    requests.hold();
    requests.mend();
    requests.release();
    wait_until("the standby has the row", || {
        standby.try_sql("SELECT life FROM row").is_ok_and(|row| row == "second")
    });
    requests.hold();
    requests.fail(1, FOR_EVER, fault);
    ask_for_promotion(&scratch, &standby.data);
    requests.release();
    standby.wait_until_promoted();
    assert_eq!(standby.timeline(), "00000003");
    let lineage = standby.lineage();
    assert!(lineage.starts_with(&second.lineage()), "an ancestor is forgotten with {fault}: {lineage}");
    standby.stop_immediately();
    second.stop_immediately();
}
