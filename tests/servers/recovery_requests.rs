//! The sweep of requests: the repository fails at request number k of a recovery, for every k from its start until it
//! takes writes. It ends where it ends without that, and stops only before its end.

use std::path::{Path, PathBuf};

use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::requests::{Fault, Requests, Which};
use crate::support::scratch::Scratch;
use crate::support::wait_until;

sweeps!(
    to_a_name: 3,
    to_a_name_on_the_latest_timeline: 3,
    to_an_lsn_on_a_numbered_timeline: 3,
    to_a_time_on_the_current_timeline: 3,
    to_the_end_of_the_backup: 2,
    to_the_end_of_the_archive: 4,
    from_a_backup_of_a_later_timeline: 3,
);

/// What a server is when it has come to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub rows: String,
    /// The timeline that it writes, and its history.
    pub timeline: String,
    pub lineage: String,
}

impl Outcome {
    pub fn of(node: &Node) -> Outcome {
        Outcome { rows: rows(node), timeline: node.timeline(), lineage: node.lineage() }
    }
}

fn rows(node: &Node) -> String {
    node.sql("SELECT string_agg(life, ' ' ORDER BY life) FROM row")
}

/// An archive of two timelines. Timeline 1 has the row `first`, then `later`; timeline 2 forks where 1 ends in the
/// archive, and adds `second`, and then `third`.
pub struct Archive<'a> {
    pub repository: Repository<'a>,
    pub product: Product,
    /// From before the first row, on timeline 1.
    pub backup: PathBuf,
    /// From the beginning of timeline 2.
    pub later_backup: PathBuf,
    /// After `first`, and after `second`.
    first: Moment,
    second: Moment,
}

/// One moment, in all the ways that a target can name it.
struct Moment {
    lsn: String,
    time: String,
}

impl Moment {
    fn now(node: &Node, name: &str) -> Moment {
        let lsn = node.sql(&format!("SELECT pg_create_restore_point('{name}')"));
        let time = node.sql("SELECT clock_timestamp()");
        Moment { lsn, time }
    }
}

impl<'a> Archive<'a> {
    fn of_one_timeline(scratch: &'a Scratch, product: Product) -> Archive<'a> {
        let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
        let repository = Repository::init(scratch, "repo", &primary.data);
        primary.archive_to(&repository);
        primary.start();
        primary.sql("CREATE TABLE row (life text)");
        let backup = primary.back_up("backup");
        primary.sql("INSERT INTO row VALUES ('first')");
        let first = Moment::now(&primary, "first");
        primary.sql("INSERT INTO row VALUES ('later')");
        primary.archive_all(&repository);
        primary.stop_immediately();
        let second = Moment { lsn: String::new(), time: String::new() };
        Archive { repository, product, later_backup: backup.clone(), backup, first, second }
    }

    pub fn of_two_timelines(scratch: &'a Scratch, product: Product) -> Archive<'a> {
        let mut archive = Archive::of_one_timeline(scratch, product);
        let mut successor = Node::from_backup(scratch, "successor", product, &archive.backup);
        successor.recover_from(&archive.repository);
        successor.start();
        successor.wait_until_promoted();
        archive.later_backup = successor.back_up("later-backup");
        successor.sql("INSERT INTO row VALUES ('second')");
        archive.second = Moment::now(&successor, "second");
        successor.sql("INSERT INTO row VALUES ('third')");
        successor.archive_all(&archive.repository);
        successor.stop_immediately();
        archive
    }
}

/// One recovery to a target, and what has to come out.
struct Recovery<'a> {
    archive: &'a Archive<'a>,
    backup: &'a Path,
    settings: Vec<(&'a str, &'a str)>,
    rows: &'a str,
    timeline: &'a str,
}

impl Recovery<'_> {
    /// Recovers, and goes on after a stop as an operator does: the repository is repaired, and the server started.
    fn run(&self, failing: Option<(usize, Fault)>) -> (Outcome, Vec<String>) {
        let scratch = Scratch::new();
        let repository = self.archive.repository.copy_to(&scratch, "repo");
        let requests = Requests::to(&scratch, "node", &repository);
        let mut node = Node::from_backup(&scratch, "node", self.archive.product, self.backup);
        node.archive_to(&repository);
        node.recover_from(&repository);
        node.set("restore_command", &requests.command("%p"));
        self.settings.iter().for_each(|(name, value)| node.set(name, value));
        if let Some((number, fault)) = failing {
            requests.fail(number, number, fault);
        }
        node.launch();
        let mut answered = None;
        wait_until("recovery has ended or stopped", || {
            node.ended().is_some()
                || node.try_sql("SELECT pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
        });
        if node.ended().is_some() {
            answered = Some(requests.answered());
            let last = answered.iter().flatten().last().expect("the server stopped before any request");
            assert!(
                failing.is_some() && last.ends_with("recovery.signal"),
                "the server stopped at or after the end of its recovery, or without a reason: {last}"
            );
            requests.mend();
            node.stopped();
            node.start();
            node.wait_until_promoted();
        }
        let outcome = Outcome::of(&node);
        let answered = answered.unwrap_or_else(|| requests.answered());
        node.archive_all(&repository);
        let history = format!("{}.history", outcome.timeline);
        assert_eq!(String::from_utf8(repository.original(&history)).unwrap(), outcome.lineage);
        node.stop_immediately();
        (outcome, answered)
    }

    fn sweep(&self, which: Which) {
        let (expected, requests) = self.run(None);
        assert_eq!((expected.rows.as_str(), expected.timeline.as_str()), (self.rows, self.timeline));
        for (number, fault) in which.of(requests.len()) {
            let (outcome, answered) = self.run(Some((number, fault)));
            assert!(answered.iter().any(|line| line.contains(&fault.to_string())), "{answered:#?}");
            assert_eq!(
                outcome, expected,
                "with {fault} at request {number} of {requests:#?}\nthis time {answered:#?}"
            );
        }
    }
}

fn to_a_name(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_one_timeline(&scratch, product);
    let settings = vec![("recovery_target_name", "first")];
    Recovery { archive: &archive, backup: &archive.backup, settings, rows: "first", timeline: "00000002" }
        .sweep(which);
}

fn to_a_name_on_the_latest_timeline(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let settings = vec![("recovery_target_name", "second")];
    Recovery {
        archive: &archive,
        backup: &archive.backup,
        settings,
        rows: "first later second",
        timeline: "00000003",
    }
    .sweep(which);
}

fn to_an_lsn_on_a_numbered_timeline(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let settings =
        vec![("recovery_target_lsn", archive.second.lsn.as_str()), ("recovery_target_timeline", "2")];
    Recovery {
        archive: &archive,
        backup: &archive.backup,
        settings,
        rows: "first later second",
        timeline: "00000003",
    }
    .sweep(which);
}

/// The new timeline is not the next number: a history of another branch has it.
fn to_a_time_on_the_current_timeline(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let settings =
        vec![("recovery_target_time", archive.first.time.as_str()), ("recovery_target_timeline", "current")];
    Recovery { archive: &archive, backup: &archive.backup, settings, rows: "first", timeline: "00000003" }
        .sweep(which);
}

fn to_the_end_of_the_backup(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let settings = vec![("recovery_target", "immediate")];
    Recovery { archive: &archive, backup: &archive.backup, settings, rows: "", timeline: "00000003" }
        .sweep(which);
}

fn to_the_end_of_the_archive(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let rows = "first later second third";
    Recovery { archive: &archive, backup: &archive.backup, settings: Vec::new(), rows, timeline: "00000003" }
        .sweep(which);
}

fn from_a_backup_of_a_later_timeline(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let (settings, rows) = (vec![("recovery_target_name", "second")], "first later second");
    let backup = &archive.later_backup;
    Recovery { archive: &archive, backup, settings, rows, timeline: "00000003" }.sweep(which);
}
