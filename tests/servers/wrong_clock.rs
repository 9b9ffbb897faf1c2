//! A clock that jumps a year ahead, on the archive host or on a node: nothing more goes than with a right one.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::clock::Clock;
use crate::support::load;
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};

const DAY: Duration = Duration::from_secs(86_400);

/// A clock, right or wrong, and what is done by it.
struct Host<'s> {
    scratch: &'s Scratch,
    repository: &'s Repository<'s>,
    clock: Option<Clock>,
}

impl Host<'_> {
    fn walkeep(&self, args: &[&str]) -> String {
        let mut walkeep = self.scratch.command(self.scratch.walkeep());
        walkeep.args(args).arg("--repo").arg(&self.repository.path);
        if let Some(clock) = &self.clock {
            clock.deceive(&mut walkeep);
        }
        must_succeed(&mut walkeep)
    }

    /// Where the horizon of a policy lies, who pins it, and how many files would go.
    fn plan(&self, policy: &[&str]) -> (Value, Value, u64) {
        let report = self.walkeep(&[&["prune", "--dry-run", "-o", "json"], policy].concat());
        let report: Value = serde_json::from_str(&report).unwrap();
        let first = &report["pins"][0];
        (first["from"].clone(), first["reason"].clone(), report["removed_files"].as_u64().unwrap())
    }
}

/// Every policy that might look at a clock, and one that does not.
const POLICIES: [&[&str]; 4] = [
    &["--keep-days", "3"],
    &["--keep-days", "3", "--keep-backups", "0"],
    &["--keep-days", "3", "--keep-segments", "2"],
    &["--keep-segments", "2", "--keep-backups", "0"],
];

/// Lets what was stored since then look as if it had been archived that long ago, one after the other.
fn date_back(repository: &Repository, since: &BTreeSet<String>, ago: Duration) {
    let mut at = SystemTime::now() - ago;
    for name in repository.names().difference(since) {
        let file = fs::File::open(repository.stored(name).unwrap()).unwrap();
        file.set_modified(at).unwrap();
        at += Duration::from_millis(1);
    }
}

#[test]
fn a_clock_that_jumps_a_year_ahead_makes_nothing_more_go() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    // Ten days of an archive.
    let mut known = BTreeSet::new();
    for (round, days) in [(1, 10), (2, 5), (3, 0)] {
        primary.back_up(&format!("backup{round}"));
        load::some_load(&scratch, &primary, round, 50);
        primary.archive_all(&repository);
        date_back(&repository, &known, DAY * days);
        known = repository.names();
    }
    let right = Host { scratch: &scratch, repository: &repository, clock: None };
    let wrong = Host { clock: Some(Clock::ahead(&scratch, 365)), ..right };
    let claim = |host: &Host<'_>| {
        primary.sql("CHECKPOINT");
        host.walkeep(&["claim", "-D", primary.data.to_str().unwrap()]);
    };
    let same_plans = |pinned_by: &str| {
        for policy in POLICIES {
            let plan = right.plan(policy);
            assert_eq!(wrong.plan(policy), plan, "{policy:?}");
            assert!(pinned_by.is_empty() || plan.1 == pinned_by, "{policy:?}: {plan:?}");
        }
    };
    claim(&right);
    for (host, stale) in [(&right, false), (&wrong, true)] {
        let claims: Value = serde_json::from_str(&host.walkeep(&["claim", "list", "-o", "json"])).unwrap();
        assert_eq!(claims["claims"][0]["stale"], stale, "the clock deceives");
    }
    same_plans("");
    for policy in POLICIES {
        let plan = right.plan(policy);
        assert!(plan.2 > 0, "{policy:?} has something to let go: {plan:?}");
    }

    // A hold that has an end.
    let first = repository.names().into_iter().find(|name| name.len() == 24).unwrap();
    let month = SystemTime::now() + DAY * 30;
    let month: chrono::DateTime<chrono::Utc> = month.into();
    let until = month.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    right.walkeep(&["hold", "add", "audit", "--from", &first, "--reason", "a month", "--until", &until]);
    same_plans("hold");

    // The clock is the file system's, too, and the archiver goes on.
    let newest = repository.names().into_iter().filter(|name| name.len() == 24).max().unwrap();
    let archived_at = |at: SystemTime| {
        let file = fs::File::open(repository.stored(&newest).unwrap()).unwrap();
        file.set_modified(at).unwrap();
    };
    archived_at(SystemTime::now() + DAY * 365);
    same_plans("hold");
    right.walkeep(&["hold", "remove", "audit"]);
    same_plans("");
    archived_at(SystemTime::now());

    // A slot that is dropped, and its node looked at by the wrong clock, and by the right one again.
    primary.sql("SELECT pg_create_physical_replication_slot('standby', true)");
    load::some_load(&scratch, &primary, 4, 500);
    primary.archive_all(&repository);
    claim(&right);
    let held = right.plan(POLICIES[3]);
    assert_eq!(held.1, "slot");
    primary.sql("SELECT pg_drop_replication_slot('standby')");
    for host in [&right, &wrong, &wrong, &right, &wrong] {
        claim(host);
        for host in [&right, &wrong] {
            assert_eq!(host.plan(POLICIES[3]), (held.0.clone(), "departed_slot".into(), held.2));
        }
    }

    let (.., removed) = right.plan(POLICIES[0]);
    let before = repository.names().len() as u64;
    wrong.walkeep(&[&["prune"], POLICIES[0]].concat());
    assert_eq!(before - repository.names().len() as u64, removed);
}
