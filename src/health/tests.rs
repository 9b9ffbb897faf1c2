use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::wal::{Lsn, SegmentName, SegmentNumber, SegmentRange, SegmentSize, Timeline, WalFileName};

fn size() -> SegmentSize {
    SegmentSize::new(16 << 20).unwrap()
}

fn segment(number: u64) -> SegmentName {
    SegmentName::new(Timeline::new(1).unwrap(), SegmentNumber::new(number), size()).unwrap()
}

fn range(first: u64, last: u64) -> SegmentRange {
    SegmentRange::new(segment(first), segment(last)).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

const NOW: u64 = 1_000_000;

fn source() -> Source {
    Source { file: "/data/es_rep.conf".to_owned(), line: Some(7) }
}

/// A primary that runs, archives with walkeep, and has nothing pending.
fn healthy() -> Facts {
    Facts {
        now: at(NOW),
        cluster: Ok(ClusterFacts {
            product: "KingbaseES V8R6/V9",
            version: "12".to_owned(),
            system_identifier: "7710439506139532764".parse().unwrap(),
            timeline: Timeline::new(1).unwrap(),
            checkpoint: Lsn::new(10 * size().bytes() + 0x28),
            redo: Lsn::new(10 * size().bytes() + 0x28),
            redo_segment: segment(10),
            segment_bytes: size().bytes(),
            wal_space: None,
            run_state: RunState::Primary,
            is_standby: false,
        }),
        backlog: Ok(BacklogFacts::default()),
        archiver: Ok(ArchiverFacts {
            mode: (ArchiveMode::On, Some(source())),
            command: ("walkeep archive %p --repo /archive".to_owned(), Some(source())),
            hidden_commands: Vec::new(),
            library: None,
            dest: None,
            faults: Vec::new(),
        }),
        repository: RepositoryState::Usable(Box::new(RepositoryFacts {
            location: "/archive".to_owned(),
            unwritable: None,
            free_bytes: 1 << 40,
            shares_file_system: false,
            start: Some(segment(1)),
            newest_backup: Some(segment(1)),
            missing: Vec::new(),
            newer_timeline: None,
            known_gaps: Vec::new(),
            unqueued: Vec::new(),
            only_marked: Vec::new(),
            head: HeadInRepository::Absent,
            end: None,
            claims: Ok(Vec::new()),
            retention: None,
        })),
        slots: Ok(Vec::new()),
    }
}

const POLICY: Policy = Policy {
    warning: Policy::WARNING,
    critical: Policy::CRITICAL,
    stuck_after: Policy::STUCK_AFTER,
    min_free_bytes: 0,
    count_only: false,
    is_final: false,
    with_advice: false,
};

fn backlog(facts: &mut Facts) -> &mut BacklogFacts {
    facts.backlog.as_mut().unwrap()
}

fn archiver(facts: &mut Facts) -> &mut ArchiverFacts {
    facts.archiver.as_mut().unwrap()
}

fn repository(facts: &mut Facts) -> &mut RepositoryFacts {
    match &mut facts.repository {
        RepositoryState::Usable(repository) => repository,
        _ => unreachable!(),
    }
}

/// What is found, by its key, with how bad it is.
fn found(facts: &Facts, policy: &Policy) -> Vec<(&'static str, Verdict)> {
    assess(facts, policy).iter().map(|finding| (finding.problem.key(), finding.verdict)).collect()
}

#[track_caller]
fn finds(change: impl FnOnce(&mut Facts), expected: &[(&'static str, Verdict)]) {
    let mut facts = healthy();
    change(&mut facts);
    assert_eq!(found(&facts, &POLICY), expected);
}

fn claim(node: &str, primary_since: Option<u64>, observed_at: u64) -> ClaimFacts {
    ClaimFacts {
        node: node.to_owned(),
        key: format!("{node}-0123456789ab"),
        primary_since: primary_since.map(at),
        observed_at: at(observed_at),
        age: Duration::from_secs(NOW.saturating_sub(observed_at)),
        is_stale: false,
    }
}

#[test]
fn two_primaries_at_once_close_the_gate_and_a_failover_does_not() {
    let of =
        |claims: [ClaimFacts; 2]| move |facts: &mut Facts| repository(facts).claims = Ok(claims.to_vec());
    let closed = &[("two_primaries", Verdict::Critical)];
    finds(of([claim("a", Some(1000), 9000), claim("b", Some(5000), 8000)]), closed);
    finds(of([claim("b", Some(5000), 8000), claim("a", Some(1000), 9000)]), closed);
    finds(of([claim("old", Some(1000), 4000), claim("new", Some(5000), 9000)]), &[]);
    finds(of([claim("old", Some(1000), 5060), claim("new", Some(5000), 9000)]), &[]);
    finds(of([claim("primary", Some(1000), 9000), claim("standby", None, 9000)]), &[]);
    let gone = ClaimFacts { is_stale: true, ..claim("gone", Some(1000), 9000) };
    finds(of([gone, claim("b", Some(5000), 8000)]), &[("stale_claim", Verdict::Warning)]);
}

#[test]
fn a_claim_that_cannot_be_read_is_told_and_does_not_close_the_gate() {
    let unreadable = |facts: &mut Facts| repository(facts).claims = Err(Unknown("it is damaged".to_owned()));
    finds(unreadable, &[("unreadable_claim", Verdict::Warning)]);
}

#[test]
fn a_healthy_cluster_has_no_finding() {
    finds(|_| {}, &[]);
    finds(|facts| facts.repository = RepositoryState::NotNamed, &[]);
}

#[test]
fn the_count_is_judged_as_repmgr_does_strictly_above_its_thresholds() {
    for (files, expected) in [
        (0, None),
        (16, None),
        (17, Some(Verdict::Warning)),
        (128, Some(Verdict::Warning)),
        (129, Some(Verdict::Critical)),
    ] {
        let expected: Vec<_> = expected.map(|verdict| ("pending", verdict)).into_iter().collect();
        finds(|facts| backlog(facts).ready_files = files, &expected);
    }
}

#[test]
fn with_the_count_alone_nothing_else_decides() {
    let mut facts = healthy();
    backlog(&mut facts).orphans = 3;
    facts.archiver = Err(Unknown("x".to_owned()));
    let policy = Policy { count_only: true, ..POLICY };
    assert_eq!(found(&facts, &policy), []);
    facts.backlog = Err(Unknown("x".to_owned()));
    assert_eq!(found(&facts, &policy), [("not_known", Verdict::Unknown)]);
}

#[test]
fn orphans_close_the_gate_unless_the_repository_has_them() {
    let orphans = |stored| {
        move |facts: &mut Facts| {
            let backlog = backlog(facts);
            (backlog.orphans, backlog.orphans_stored) = (10, stored);
            backlog.lost = vec![range(5, 9)];
        }
    };
    finds(orphans(0), &[("orphans", Verdict::Critical)]);
    finds(orphans(5), &[("orphans", Verdict::Critical), ("orphans_stored", Verdict::Warning)]);
    finds(orphans(10), &[("orphans_stored", Verdict::Warning)]);
    let mut facts = healthy();
    orphans(0)(&mut facts);
    let text = assess(&facts, &POLICY).first().unwrap().problem.to_string();
    assert_eq!(
        text,
        "10 pending files are gone from the WAL directory; lost: \
         000000010000000000000005..000000010000000000000009"
    );
}

#[test]
fn a_head_that_waits_while_nothing_is_done_is_stuck_and_one_that_moves_is_not() {
    let head = |since, last_done: Option<u64>| {
        move |facts: &mut Facts| {
            let name = WalFileName::Segment(segment(5));
            let backlog = backlog(facts);
            backlog.ready_files = 1;
            backlog.head = Some(Head { name, since: at(since) });
            backlog.last_done = last_done.map(|done| (name, at(done)));
        }
    };
    finds(head(NOW - 600, None), &[]);
    finds(head(NOW - 601, None), &[("stuck", Verdict::Critical)]);
    finds(head(NOW - 601, Some(NOW - 700)), &[("stuck", Verdict::Critical)]);
    finds(head(NOW - 601, Some(NOW - 1)), &[]);
    finds(head(NOW + 500, Some(NOW + 900)), &[]);
}

#[test]
fn a_command_that_archives_nothing_closes_the_gate() {
    let command = |text: &'static str| move |facts: &mut Facts| archiver(facts).command.0 = text.to_owned();
    finds(command("exit 0"), &[("no_op_archive_command", Verdict::Critical)]);
    finds(command("false"), &[("failing_archive_command", Verdict::Critical)]);
    finds(command("/bin/cp -f %p /a/%f"), &[("cp_archive_command", Verdict::Warning)]);
    finds(command(""), &[("no_archive_command", Verdict::Warning)]);
    finds(
        |facts| {
            command("")(facts);
            backlog(facts).ready_files = 1;
        },
        &[("no_archive_command", Verdict::Critical)],
    );
}

#[test]
fn on_a_standby_that_does_not_archive_a_bad_command_closes_nothing() {
    let standby = |mode| {
        move |facts: &mut Facts| {
            facts.cluster.as_mut().unwrap().is_standby = true;
            archiver(facts).mode.0 = mode;
            archiver(facts).command.0 = "exit 0".to_owned();
        }
    };
    finds(standby(ArchiveMode::On), &[("no_op_archive_command", Verdict::Warning)]);
    finds(standby(ArchiveMode::Always), &[("no_op_archive_command", Verdict::Critical)]);
}

#[test]
fn a_no_op_that_another_line_hides_is_named_with_its_place() {
    let mut facts = healthy();
    archiver(&mut facts).hidden_commands = vec![("exit 0".to_owned(), source())];
    let findings = assess(&facts, &POLICY);
    assert_eq!(findings.len(), 1);
    let text = findings.first().unwrap().problem.to_string();
    assert_eq!(text, "archive_command = 'exit 0' is hidden behind a later line (/data/es_rep.conf:7)");
}

#[test]
fn whatever_may_overrule_archive_command_is_told() {
    finds(
        |facts| archiver(facts).dest = Some(("/a".to_owned(), source())),
        &[("archive_dest", Verdict::Warning)],
    );
    let library = |facts: &mut Facts| archiver(facts).library = Some(("basic_archive".to_owned(), source()));
    finds(library, &[("archive_library_and_command", Verdict::Critical)]);
    finds(
        |facts| {
            library(facts);
            archiver(facts).command.0 = String::new();
        },
        &[],
    );
}

#[test]
fn archive_mode_off_is_told_where_a_repository_is_named() {
    let off = |facts: &mut Facts| archiver(facts).mode.0 = ArchiveMode::Off;
    finds(off, &[("archive_mode_off", Verdict::Warning)]);
    finds(
        |facts| {
            off(facts);
            facts.repository = RepositoryState::NotNamed;
        },
        &[],
    );
}

#[test]
fn a_repository_that_cannot_take_the_wal_closes_the_gate() {
    finds(
        |facts| {
            facts.repository =
                RepositoryState::Unusable { location: "/archive".to_owned(), reason: "gone".to_owned() };
        },
        &[("repository_unusable", Verdict::Critical)],
    );
    finds(
        |facts| repository(facts).unwritable = Some("read-only".to_owned()),
        &[("repository_unwritable", Verdict::Critical)],
    );
    finds(|facts| repository(facts).missing = vec![range(3, 4)], &[("gaps", Verdict::Critical)]);
    finds(|facts| repository(facts).unqueued = vec![range(8, 8)], &[("unqueued", Verdict::Critical)]);
    finds(|facts| repository(facts).start = None, &[("nothing_stored", Verdict::Warning)]);
}

#[test]
fn an_acknowledged_gap_is_told_until_a_newer_base_backup_lies_behind_it() {
    finds(|facts| repository(facts).known_gaps = vec![range(3, 4)], &[("known_gaps", Verdict::Warning)]);
}

#[test]
fn a_primary_whose_timeline_somebody_left_is_told_and_a_standby_is_not() {
    let newer = |facts: &mut Facts| {
        repository(facts).newer_timeline = Some((Timeline::new(2).unwrap(), Lsn::new(5)));
    };
    finds(newer, &[("superseded", Verdict::Critical)]);
    finds(
        |facts| {
            newer(facts);
            facts.cluster.as_mut().unwrap().is_standby = true;
        },
        &[],
    );
}

#[test]
fn space_is_judged_by_what_is_to_stay_free_and_by_what_is_pending() {
    let mut facts = healthy();
    let free = 16 << 20;
    repository(&mut facts).free_bytes = free;
    let policy = Policy { min_free_bytes: free + 1, ..POLICY };
    assert_eq!(found(&facts, &policy), [("low_space", Verdict::Critical)]);
    let policy = Policy { min_free_bytes: free, ..POLICY };
    assert_eq!(found(&facts, &policy), []);
    backlog(&mut facts).bytes = 1;
    assert_eq!(found(&facts, &policy), [("too_small_for_backlog", Verdict::Warning)]);
    // It is full, and something waits.
    repository(&mut facts).free_bytes = 0;
    assert_eq!(found(&facts, &POLICY), [("too_small_for_backlog", Verdict::Critical)]);
    backlog(&mut facts).bytes = 0;
    assert_eq!(found(&facts, &POLICY), []);
}

#[test]
fn a_server_that_cannot_make_its_next_segment_is_told() {
    let found_of = |free_bytes, has_recycled, run_state| {
        let mut facts = healthy();
        let cluster = facts.cluster.as_mut().unwrap();
        cluster.wal_space =
            Some(WalSpace { directory: "/data/sys_wal".to_owned(), free_bytes, has_recycled });
        cluster.run_state = run_state;
        found(&facts, &POLICY)
    };
    let (whole, less) = (size().bytes(), size().bytes() - 1);
    assert_eq!(found_of(whole, false, RunState::Primary), []);
    assert_eq!(found_of(less, false, RunState::Primary), [("wal_directory_full", Verdict::Critical)]);
    assert_eq!(found_of(less, false, RunState::Crashed), [("wal_directory_full", Verdict::Critical)]);
    assert_eq!(found_of(less, true, RunState::Primary), [("wal_directory_full", Verdict::Warning)]);
    // To leave it is the way out.
    assert_eq!(found_of(less, false, RunState::Stopped), []);
}

#[test]
fn marks_count_where_a_primary_set_them() {
    let found_of = |run_state| {
        let mut facts = healthy();
        facts.cluster.as_mut().unwrap().run_state = run_state;
        repository(&mut facts).only_marked = vec![range(8, 9)];
        found(&facts, &POLICY)
    };
    for state in [RunState::Primary, RunState::Crashed, RunState::InTransition] {
        assert_eq!(found_of(state), [("only_marked", Verdict::Critical)], "{state:?}");
    }
    for state in [RunState::Standby, RunState::Recovering, RunState::StoppedInRecovery, RunState::Stopped] {
        assert_eq!(found_of(state), [], "{state:?}");
    }
}

#[test]
fn slots_that_hold_back_are_lost_or_cannot_be_read_are_told() {
    let slot = SlotFacts {
        name: "s1".to_owned(),
        is_physical: true,
        restart_lsn: None,
        held_bytes: 0,
        written_at: None,
        is_inactive: false,
        lost: None,
        unreadable: None,
    };
    let inactive = SlotFacts { is_inactive: true, held_bytes: 5 << 30, ..slot.clone() };
    let lost = SlotFacts { lost: Some(SlotLoss { reason: Some("wal_removed") }), ..slot.clone() };
    let unreadable = SlotFacts { unreadable: Some("damaged".to_owned()), ..slot.clone() };
    finds(
        |facts| facts.slots = Ok(vec![slot, inactive, lost, unreadable]),
        &[
            ("unreadable_slot", Verdict::Unknown),
            ("inactive_slot", Verdict::Warning),
            ("lost_slot", Verdict::Warning),
        ],
    );
}

#[test]
fn the_end_is_proven_only_of_a_node_that_was_shut_down_at_the_beginning_of_a_segment() {
    let policy = Policy { is_final: true, ..POLICY };
    let end = |change: &dyn Fn(&mut Facts)| {
        let mut facts = healthy();
        facts.cluster.as_mut().unwrap().run_state = RunState::Stopped;
        repository(&mut facts).end = Some(EndFacts { start: Some(segment(1)), ..EndFacts::default() });
        change(&mut facts);
        found(&facts, &policy)
    };
    let not_proven = [("end_not_proven", Verdict::Critical)];
    assert_eq!(end(&|_| {}), []);
    for state in [
        RunState::Primary,
        RunState::Standby,
        RunState::Recovering,
        RunState::StoppedInRecovery,
        RunState::Crashed,
    ] {
        assert_eq!(end(&|facts| facts.cluster.as_mut().unwrap().run_state = state), not_proven, "{state:?}");
    }
    let redo = |lsn| {
        move |facts: &mut Facts| {
            let cluster = facts.cluster.as_mut().unwrap();
            (cluster.redo, cluster.checkpoint) = (Lsn::new(lsn), Lsn::new(lsn));
        }
    };
    assert_eq!(end(&redo(10 * size().bytes() + 0x60)), not_proven);
    assert_eq!(end(&|facts| facts.cluster.as_mut().unwrap().checkpoint = Lsn::new(1)), not_proven);
    let at_end = |change: &dyn Fn(&mut EndFacts)| {
        end(&|facts| change(repository(facts).end.as_mut().expect("it was asked for")))
    };
    assert_eq!(at_end(&|end| end.missing = vec![range(8, 9)]), [("missing_before_end", Verdict::Critical)]);
    assert_eq!(at_end(&|end| end.start = None), not_proven, "nothing of its timelines is stored");
    assert_eq!(at_end(&|end| end.pending = Some("00000002.history".parse().unwrap())), not_proven);
    assert_eq!(end(&|facts| facts.repository = RepositoryState::NotNamed), [("not_known", Verdict::Unknown)]);
}

#[test]
fn what_is_not_known_is_never_ok() {
    let unknown = || Unknown("permission denied".to_owned());
    let not_known = [("not_known", Verdict::Unknown)];
    finds(|facts| facts.cluster = Err(unknown()), &not_known);
    finds(|facts| facts.backlog = Err(unknown()), &not_known);
    finds(|facts| facts.archiver = Err(unknown()), &not_known);
    finds(|facts| facts.slots = Err(unknown()), &not_known);
}

#[test]
fn the_worst_decides_and_comes_first() {
    assert!(Verdict::Critical > Verdict::Unknown && Verdict::Unknown > Verdict::Warning);
    let mut facts = healthy();
    facts.slots = Err(Unknown("x".to_owned()));
    archiver(&mut facts).command.0 = "cp %p /a/%f".to_owned();
    backlog(&mut facts).ready_files = 129;
    let verdicts: Vec<Verdict> = assess(&facts, &POLICY).iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, [Verdict::Critical, Verdict::Unknown, Verdict::Warning]);
    assert_eq!(Verdict::worst(verdicts), Verdict::Critical);
    assert_eq!(Verdict::worst([]), Verdict::Ok);
}

proptest! {
    #[test]
    fn no_command_panics(text in "(?s).{0,60}", words in "[ ;&|a-z/%]{0,40}") {
        let _ = ArchiveCommand::of(&text);
        let _ = ArchiveCommand::of(&words);
    }

    #[test]
    fn a_longer_queue_is_never_judged_milder(files in 0_u64..300, more in 0_u64..300) {
        let judged = |files| {
            let mut facts = healthy();
            backlog(&mut facts).ready_files = files;
            Verdict::worst(assess(&facts, &POLICY).iter().map(|finding| finding.verdict))
        };
        prop_assert!(judged(files) <= judged(files + more));
    }
}

// ---- retention

const DAY: Duration = Duration::from_secs(86_400);

/// Grows by a GiB a day, and nobody needs what its policy does not keep.
fn retention() -> RetentionFacts {
    let pin = PinFacts {
        from: Lsn::new(0),
        who: "the newest base backup".to_owned(),
        is_policy: true,
        moves_on: true,
    };
    RetentionFacts {
        is_licensed: true,
        pins: vec![pin],
        growth: Some(Growth { bytes: 1 << 30, over: DAY }),
        ..RetentionFacts::default()
    }
}

/// What is found of a repository with so many GiB free.
fn found_of(retention: Result<RetentionFacts, Unknown>, free_gib: u64) -> Vec<(&'static str, Verdict)> {
    let mut facts = healthy();
    let repository = repository(&mut facts);
    repository.free_bytes = free_gib << 30;
    repository.retention = Some(retention);
    assert_eq!(found(&facts, &POLICY), [], "it is no matter of a switchover");
    found(&facts, &Policy { with_advice: true, ..POLICY })
}

#[test]
fn a_repository_that_is_full_within_days_is_told_where_no_policy_will_empty_it() {
    let soon_full = [("soon_full", Verdict::Warning)];
    let without_policy = RetentionFacts { is_licensed: false, ..retention() };
    assert_eq!(found_of(Ok(without_policy.clone()), 2), soon_full);
    assert_eq!(found_of(Ok(without_policy), 4), []);
    let mut held = retention();
    held.pins[0].moves_on = false;
    assert_eq!(found_of(Ok(held), 2), soon_full);
    assert_eq!(found_of(Ok(retention()), 2), [], "in the long run as much goes as comes");
    let still = RetentionFacts { is_licensed: false, growth: None, ..retention() };
    assert_eq!(found_of(Ok(still), 0), []);
}

#[test]
fn what_would_refuse_a_prune_is_told() {
    let refused = Unknown("no claim of 'node2'".to_owned());
    assert_eq!(found_of(Err(refused), 9), [("cannot_prune", Verdict::Warning)]);
}

proptest! {
    #[test]
    fn the_time_until_it_is_full_never_overflows(bytes: u64, ms in 1_u64.., free: u64) {
        let growth = Growth { bytes, over: Duration::from_millis(ms) };
        let left = growth.fills(free);
        prop_assert_eq!(left.is_none(), bytes == 0);
        prop_assert!(free > 0 || left.is_none_or(|left| left.is_zero()));
        let _ = growth.bytes_a_day();
    }
}
