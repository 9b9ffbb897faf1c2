//! The segment in which a timeline leaves its parent, while the archive does not have it yet: a server that follows the
//! child must not replay the parent past the fork, since those rows never existed together with the child's.

use std::fs;
use std::path::PathBuf;

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_12, POSTGRESQL_15, POSTGRESQL_18, Product};
use crate::support::repository::Repository;
use crate::support::requests::Requests;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(a_recovery_ends_at_the_fork_and_not_in_the_parents_later_life);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fork {
    Inside,
    OnABoundary,
}

/// What the archive has of the segment of timeline 1 in which timeline 2 leaves it, or begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parent {
    /// The whole of it, by an old primary that lives on, and `.partial` by the new one if the fork is inside.
    Alive,
    /// The whole of it alone.
    Whole,
    /// `.partial` if the fork is inside, or nothing.
    Dead,
}

/// An old primary, and a standby of it that was promoted. The row `before` is of both; `after` is of the old primary
/// alone, after the fork; `second` is of timeline 2, in the segment that it has not archived.
struct Lives<'a> {
    scratch: &'a Scratch,
    product: Product,
    repository: Repository<'a>,
    backup: PathBuf,
    new: Node<'a>,
    fork_lsn: String,
    /// Of timeline 2, and not archived.
    fork_segment: String,
}

impl<'a> Lives<'a> {
    fn new(scratch: &'a Scratch, product: Product, fork: Fork, parent: Parent) -> Lives<'a> {
        let mut old = Node::initdb_with_segments(scratch, "old", product, 1);
        let repository = Repository::init(scratch, "repo", &old.data);
        old.archive_to(&repository);
        old.start();
        old.sql("CREATE TABLE row (life text)");
        let backup = old.back_up("backup");
        let mut new = Node::from_backup(scratch, "new", product, &backup);
        new.archive_to(&repository);
        new.stand_by_from(&repository);
        old.sql("INSERT INTO row VALUES ('before')");
        // By the archive alone the standby comes to the end of a segment, and by streaming beyond.
        match fork {
            Fork::Inside => new.set("primary_conninfo", &old.connection_string()),
            Fork::OnABoundary => old.archive_all(&repository),
        }
        new.start();
        match fork {
            Fork::Inside => new.wait_until_caught_up(&old.sql("SELECT pg_current_wal_lsn()")),
            Fork::OnABoundary => wait_until("the standby has the row", || {
                new.try_sql("SELECT life FROM row").is_ok_and(|life| life == "before")
            }),
        }
        old.stop_immediately();
        new.promote();
        new.sql("INSERT INTO row VALUES ('second')");
        let fork_segment = new.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
        wait_until("the new primary has archived all but its open segment", || {
            repository.has("00000002.history") && new.pending().is_empty()
        });
        let of_parent = format!("00000001{}", &fork_segment[8..]);
        if parent != Parent::Dead {
            old.start();
            old.sql("INSERT INTO row VALUES ('after')");
            old.archive_all(&repository);
            old.sql("INSERT INTO row VALUES ('after')");
            old.archive_all(&repository);
            old.stop_immediately();
            assert!(repository.has(&of_parent));
        }
        if parent == Parent::Whole {
            repository.remove(&format!("{of_parent}.partial"));
        }
        assert!(!repository.has(&fork_segment));
        let fork_lsn = last_fork(&new.lineage());
        assert_eq!(is_on_a_boundary(&fork_lsn), fork == Fork::OnABoundary, "timeline 2 begins at {fork_lsn}");
        Lives { scratch, product, repository, backup, new, fork_lsn, fork_segment }
    }

    /// A node from the backup, which archives as well.
    fn node(&self) -> Node<'a> {
        let node = Node::from_backup(self.scratch, "node", self.product, &self.backup);
        node.archive_to(&self.repository);
        node
    }

    /// Timeline 3 leaves timeline 2 where that began, with the rows of that moment.
    fn must_have_ended_at_the_fork(&self, node: &Node) {
        assert_eq!(rows(node), "before");
        assert_eq!(node.timeline(), "00000003");
        assert_eq!(
            last_fork(&node.lineage()),
            self.fork_lsn,
            "timeline 3 leaves elsewhere: {}",
            node.lineage()
        );
    }

    /// The real segment is archived, under the name that another server was given something for.
    fn archive_the_real_segment(&self) {
        self.new.archive_all(&self.repository);
        let in_the_wal_directory = self.new.wal_directory().join(&self.fork_segment);
        assert!(fs::read(in_the_wal_directory).unwrap() == self.repository.original(&self.fork_segment));
    }
}

/// Where the timeline of a history leaves its parent.
fn last_fork(history: &str) -> String {
    history.lines().rfind(|line| !line.is_empty()).unwrap().split('\t').nth(1).unwrap().to_owned()
}

fn is_on_a_boundary(lsn: &str) -> bool {
    lsn.ends_with("00000")
}

fn rows(node: &Node) -> String {
    node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row")
}

fn recover(product: Product, fork: Fork, parent: Parent) {
    let scratch = Scratch::new();
    let lives = Lives::new(&scratch, product, fork, parent);
    let mut node = lives.node();
    node.recover_from(&lives.repository);
    node.start();
    node.wait_until_promoted();
    lives.must_have_ended_at_the_fork(&node);
    lives.archive_the_real_segment();
    node.archive_all(&lives.repository);
}

/// The standby waits at the fork, and follows the real segment when that arrives.
fn stand_by(product: Product, fork: Fork, parent: Parent) {
    let scratch = Scratch::new();
    let lives = Lives::new(&scratch, product, fork, parent);
    let node = standby_at_the_fork(&lives);
    lives.archive_the_real_segment();
    wait_until("the standby follows timeline 2", || rows(&node) == "before second");
}

fn promote(product: Product, fork: Fork, parent: Parent) {
    let scratch = Scratch::new();
    let lives = Lives::new(&scratch, product, fork, parent);
    let mut node = standby_at_the_fork(&lives);
    node.promote();
    lives.must_have_ended_at_the_fork(&node);
    lives.archive_the_real_segment();
    node.archive_all(&lives.repository);
}

/// A standby that has asked for the fork segment again and again, and is at the fork.
fn standby_at_the_fork<'a>(lives: &Lives<'a>) -> Node<'a> {
    let mut node = lives.node();
    node.stand_by_from(&lives.repository);
    let requests = Requests::to(lives.scratch, "node", &lives.repository);
    node.set("restore_command", &requests.command("%p"));
    node.start();
    node.wait_until_caught_up(&lives.fork_lsn);
    wait_until("the standby has asked for the same again and again", || requests.repeated() >= 4);
    assert_eq!(rows(&node), "before");
    assert_eq!(node.sql("SELECT pg_last_wal_replay_lsn()"), lives.fork_lsn);
    node
}

fn a_recovery_ends_at_the_fork_and_not_in_the_parents_later_life(product: Product) {
    recover(product, Fork::Inside, Parent::Alive);
}

#[test]
fn a_recovery_ends_at_a_fork_on_a_boundary() {
    recover(POSTGRESQL_15, Fork::OnABoundary, Parent::Alive);
}

#[test]
fn a_recovery_reaches_the_fork_by_the_partial_segment() {
    recover(POSTGRESQL_15, Fork::Inside, Parent::Dead);
}

#[test]
fn a_standby_waits_at_the_fork_and_follows_the_real_segment() {
    stand_by(POSTGRESQL_15, Fork::Inside, Parent::Alive);
}

#[test]
fn a_standby_that_waits_at_a_fork_on_a_boundary_follows_the_real_segment() {
    stand_by(POSTGRESQL_15, Fork::OnABoundary, Parent::Whole);
}

#[test]
fn a_standby_promoted_at_the_fork_begins_there() {
    promote(POSTGRESQL_15, Fork::Inside, Parent::Alive);
}

/// The server has the real segment in its WAL directory: that goes before anything that could be made.
#[test]
fn a_real_fork_segment_in_the_wal_directory_is_replayed() {
    let scratch = Scratch::new();
    let mut lives = Lives::new(&scratch, POSTGRESQL_15, Fork::Inside, Parent::Alive);
    lives.new.stop_immediately();
    let mut node = lives.node();
    let real = node.wal_directory().join(&lives.fork_segment);
    scratch.copy(&lives.new.wal_directory().join(&lives.fork_segment), &real);
    node.recover_from(&lives.repository);
    node.start();
    node.wait_until_promoted();
    assert_eq!(rows(&node), "before second");
    // The promotion has given it the name of a segment that its timeline did not finish.
    node.archive_all(&lives.repository);
    let archived = lives.repository.original(&format!("{}.partial", lives.fork_segment));
    assert!(fs::read(lives.new.wal_directory().join(&lives.fork_segment)).unwrap() == archived);
}

macro_rules! every_mix {
    ($($server:ident, $product:ident);+) => {
        $(mod $server {
            use super::{Fork, Parent, promote, recover, stand_by};

            #[test]
            #[ignore = "long run: sh tests/run.sh --long matrix"]
            fn every_fork_with_every_parent_recovered_standing_by_and_promoted() {
                for fork in [Fork::Inside, Fork::OnABoundary] {
                    for parent in [Parent::Alive, Parent::Whole, Parent::Dead] {
                        eprintln!("{fork:?}, {parent:?}");
                        recover(super::$product, fork, parent);
                        stand_by(super::$product, fork, parent);
                        promote(super::$product, fork, parent);
                    }
                }
            }
        })+
    };
}

every_mix!(all_on_postgresql_12, POSTGRESQL_12; all_on_postgresql_15, POSTGRESQL_15; all_on_postgresql_18, POSTGRESQL_18);
