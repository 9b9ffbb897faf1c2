//! The sweep of requests of a standby: the repository fails at request number k, from its start until it has caught up,
//! and from its promotion until it takes writes. It never stops, and no promotion ends elsewhere or forgets anything.

use std::path::Path;

use crate::recovery_requests::{Archive, Outcome};
use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_18, Product};
use crate::support::requests::{Fault, Requests, Which, ask_for_promotion};
use crate::support::scratch::Scratch;
use crate::support::wait_until;

sweeps!(
    promoted_by_sql: 2,
    promoted_by_signal_file: 2,
    promoted_by_trigger_file: 2,
    promoted_from_a_backup_of_a_later_timeline: 2,
    promoted_below_another_standby: 1,
);

/// How a standby is promoted.
#[derive(Clone, Copy)]
enum Promotion {
    Sql,
    SignalFile,
    /// `promote_trigger_file`, which servers have up to version 15.
    TriggerFile,
}

/// A standby that the archive of two timelines feeds. The sweep has two parts: from its start until it has caught up,
/// and from the promotion on. There the request that waits when the promotion is asked for is the first.
struct Standby<'a> {
    archive: &'a Archive<'a>,
    backup: &'a Path,
    promotion: Promotion,
    /// What it streams from once the archive has no more, as the connection string.
    upstream: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    CatchingUp,
    Promotion,
}

impl Standby<'_> {
    fn run(&self, failing: Option<(Part, usize, Fault)>) -> (Outcome, [Vec<String>; 2]) {
        let scratch = Scratch::new();
        let repository = self.archive.repository.copy_to(&scratch, "repo");
        let requests = Requests::to(&scratch, "node", &repository);
        let mut node = Node::from_backup(&scratch, "node", self.archive.product, self.backup);
        node.archive_to(&repository);
        node.stand_by_from(&repository);
        node.set("restore_command", &requests.command("%p"));
        let trigger = scratch.path("trigger");
        if matches!(self.promotion, Promotion::TriggerFile) {
            node.set("promote_trigger_file", trigger.to_str().unwrap());
        }
        let fail_in = |part| match failing {
            Some((failing_part, number, fault)) if failing_part == part => {
                requests.fail(number, number, fault)
            }
            _ => requests.mend(),
        };
        if let Some(upstream) = &self.upstream {
            node.set("primary_conninfo", upstream);
        }
        fail_in(Part::CatchingUp);
        node.launch();
        wait_until("the standby has all rows", || {
            assert!(node.ended().is_none(), "the standby stopped: {:#?}", requests.answered());
            node.try_sql("SELECT count(*) FROM row").is_ok_and(|rows| rows == "4")
        });
        // A server that streams asks for nothing until it is promoted.
        if self.upstream.is_none() {
            requests.hold();
        }
        let catching_up = requests.answered();
        fail_in(Part::Promotion);
        match self.promotion {
            Promotion::Sql => drop(node.sql("SELECT pg_promote(false)")),
            Promotion::SignalFile => ask_for_promotion(&scratch, &node.data),
            Promotion::TriggerFile => scratch.write(&trigger, ""),
        }
        if self.upstream.is_none() {
            requests.release();
        }
        wait_until("the standby is promoted", || {
            assert!(node.ended().is_none(), "the standby stopped: {:#?}", requests.answered());
            node.try_sql("SELECT pg_is_in_recovery()").is_ok_and(|answer| answer == "f")
        });
        let outcome = Outcome::of(&node);
        let promotion = requests.answered();
        node.archive_all(&repository);
        node.stop_immediately();
        (outcome, [catching_up, promotion])
    }

    fn sweep(&self, which: Which) {
        let (expected, [catching_up, promotion]) = self.run(None);
        assert_eq!(
            (expected.rows.as_str(), expected.timeline.as_str()),
            ("first later second third", "00000003")
        );
        let parts = [(Part::CatchingUp, catching_up), (Part::Promotion, promotion)];
        for (part, requests) in parts {
            for (number, fault) in which.of(requests.len()) {
                // One poll more or less moves the numbers: then another request has failed, and it is tried again. While
                // the standby catches up its last requests are polls themselves, any of which will do.
                for _ in 0..if part == Part::Promotion { 5 } else { 1 } {
                    let (outcome, answered) = self.run(Some((part, number, fault)));
                    assert_eq!(
                        outcome, expected,
                        "with {fault} at request {number} of {requests:#?}\nthis time {answered:#?}"
                    );
                    let failed =
                        answered[part as usize].iter().find(|line| line.contains(&fault.to_string()));
                    if failed.is_some_and(|line| asked(line) == asked(&requests[number - 1])) {
                        break;
                    }
                }
            }
        }
    }
}

/// The requested name, and the signal files at that time.
fn asked(request: &str) -> (Option<&str>, Option<&str>) {
    let mut words = request.split(' ');
    (words.nth(1), words.next_back())
}

fn promoted_by(promotion: Promotion, product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    Standby { archive: &archive, backup: &archive.backup, promotion, upstream: None }.sweep(which);
}

fn promoted_by_sql(product: Product, which: Which) {
    promoted_by(Promotion::Sql, product, which);
}

fn promoted_from_a_backup_of_a_later_timeline(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    Standby { archive: &archive, backup: &archive.later_backup, promotion: Promotion::Sql, upstream: None }
        .sweep(which);
}

fn promoted_by_signal_file(product: Product, which: Which) {
    promoted_by(Promotion::SignalFile, product, which);
}

fn promoted_by_trigger_file(product: Product, which: Which) {
    if product != POSTGRESQL_18 {
        promoted_by(Promotion::TriggerFile, product, which);
    }
}

fn promoted_below_another_standby(product: Product, which: Which) {
    let scratch = Scratch::new();
    let archive = Archive::of_two_timelines(&scratch, product);
    let mut upstream = Node::from_backup(&scratch, "upstream", product, &archive.backup);
    upstream.stand_by_from(&archive.repository);
    upstream.start();
    let connection = Some(upstream.connection_string());
    let (backup, promotion) = (&archive.backup, Promotion::Sql);
    Standby { archive: &archive, backup, promotion, upstream: connection }.sweep(which);
    assert!(upstream.ended().is_none());
}
