use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::wal::{
    Lineage, Lsn, SegmentName, SegmentNumber, SegmentSize, Timeline, TimelineHistory, WalFileName,
};

fn timeline(number: u32) -> Timeline {
    Timeline::new(number).unwrap()
}

fn size() -> SegmentSize {
    SegmentSize::new(16 << 20).unwrap()
}

fn at(days: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + days * 86_400)
}

fn start(number: u64) -> Lsn {
    SegmentNumber::new(number).start(size()).unwrap()
}

fn segment(on: u32, number: u64) -> WalFileName {
    WalFileName::Segment(SegmentName::new(timeline(on), SegmentNumber::new(number), size()).unwrap())
}

fn backup(on: u32, number: u64) -> BaseBackup {
    let file = WalFileName::BackupHistory(segment(on, number).segment().unwrap(), 0x28);
    BaseBackup { file, start: Lsn::new(start(number).get() + 0x28), stored_at: at(number), is_clone: false }
}

fn hold(from: Lsn) -> Pin {
    Pin { from, why: PinReason::Hold { name: "h".into(), reason: "r".into() } }
}

/// Segments of timeline 1 that were archived one a day, 100 bytes each.
fn holdings(numbers: std::ops::RangeInclusive<u64>) -> Holdings {
    let mut holdings = Holdings::of(numbers.clone().map(|number| segment(1, number)), size());
    holdings.measured = numbers.map(measured).collect();
    holdings
}

fn measured(number: u64) -> Measured {
    Measured { number: SegmentNumber::new(number), bytes: 100, modified: at(number) }
}

/// The number of the first segment that a policy keeps.
fn kept_from(policy: Policy, holdings: &Holdings, now: u64) -> Option<u64> {
    let horizon = Horizon::of(&policy.pins(holdings, at(now)), size())?;
    Some(horizon.segment().get())
}

#[test]
fn each_part_of_a_policy_keeps_what_it_says() {
    let all = holdings(1..=100);
    let kept = |policy: Policy| kept_from(policy, &all, 100);
    assert_eq!(kept(Policy { keep_segments: Some(10), ..Policy::default() }), Some(91));
    assert_eq!(kept(Policy { keep_segments: Some(1), ..Policy::default() }), Some(100));
    assert_eq!(kept(Policy { keep_segments: Some(1000), ..Policy::default() }), Some(1));
    assert_eq!(kept(Policy { keep_days: Some(10), ..Policy::default() }), Some(90));
    assert_eq!(kept(Policy { keep_days: Some(u64::MAX), ..Policy::default() }), Some(1));
    assert_eq!(kept(Policy { keep_size: Some(1000), ..Policy::default() }), Some(91));
    assert_eq!(kept(Policy { keep_size: Some(1099), ..Policy::default() }), Some(91));
    assert_eq!(kept(Policy { keep_size: Some(1), ..Policy::default() }), Some(100));
    assert_eq!(kept(Policy { oldest_kept: Some(segment(7, 42)), ..Policy::default() }), Some(42));
    let beyond = Policy { oldest_kept: Some(segment(1, 500)), ..Policy::default() };
    assert_eq!(kept(beyond), Some(100), "what is not archived yet makes nothing go that is newest");
}

#[test]
fn fewer_base_backups_than_are_to_be_kept_keep_everything() {
    let mut all = holdings(1..=100);
    all.backups = vec![backup(1, 20), backup(1, 50), backup(1, 80)];
    let kept = |keep| kept_from(Policy { keep_backups: Some(keep), ..Policy::default() }, &all, 100);
    assert_eq!((kept(1), kept(2), kept(3), kept(4)), (Some(80), Some(50), Some(20), Some(0)));
    let none = Policy { keep_backups: Some(0), ..Policy::default() };
    assert_eq!(none.pins(&all, at(100)), []);
    assert!(!none.licenses(), "that none is kept is no reason for anything to go");
}

#[test]
fn the_newest_base_backup_is_kept_unless_somebody_says_that_none_is() {
    let mut all = holdings(1..=100);
    all.backups = vec![backup(1, 20), backup(1, 50)];
    let policy = Policy { keep_segments: Some(1), ..Policy::default() };
    assert_eq!(kept_from(policy, &all, 100), Some(50));
    assert_eq!(kept_from(Policy { keep_backups: Some(0), ..policy }, &all, 100), Some(100));
}

#[test]
fn a_clone_pushes_no_base_backup_out_and_counts_where_there_is_nothing_else() {
    let clone = |number| BaseBackup { is_clone: true, ..backup(1, number) };
    let mut all = holdings(1..=100);
    all.backups = vec![backup(1, 20), backup(1, 50), clone(80), clone(95)];
    let policy = |keep| Policy { keep_backups: Some(keep), ..Policy::default() };
    let kept = |policy, all: &Holdings| kept_from(policy, all, 100);
    assert_eq!([1, 2, 3].map(|keep| kept(policy(keep), &all)), [Some(50), Some(20), Some(0)]);
    assert_eq!(kept(Policy { keep_segments: Some(1), ..Policy::default() }, &all), Some(50));
    assert_eq!(kept(Policy { keep_days: Some(10), ..Policy::default() }, &all), Some(50));
    let told = policy(3).pins(&all, at(100)).pop().unwrap().why.to_string();
    assert!(told.ends_with("there are 2: 2 of 'repmgr standby clone' do not count"), "{told}");
    all.backups = vec![clone(80), clone(95)];
    assert_eq!([1, 2].map(|keep| kept(policy(keep), &all)), [Some(95), Some(80)]);
}

#[test]
fn a_window_keeps_the_base_backup_that_leads_into_it() {
    let mut all = holdings(1..=100);
    all.backups = vec![backup(1, 20), backup(1, 50), backup(1, 95)];
    let policy = Policy { keep_days: Some(10), ..Policy::default() };
    assert_eq!(kept_from(policy, &all, 100), Some(50));
}

#[test]
fn the_newest_base_backup_is_not_one_of_a_dead_branch() {
    let mut all = holdings(1..=100);
    all.backups = vec![backup(2, 60), backup(1, 90)];
    assert_eq!(kept_from(Policy { keep_backups: Some(1), ..Policy::default() }, &all, 100), Some(60));
}

#[test]
fn a_dead_branch_that_reaches_further_never_pushes_out_the_timeline_that_lives() {
    let names = (1..=100).map(|number| segment(1, number)).chain((50..=60).map(|number| segment(2, number)));
    let mut all = Holdings::of(names, size());
    all.measured = (1..=100).chain(50..=60).map(measured).collect();
    let kept = |policy: Policy| kept_from(policy, &all, 100);
    assert_eq!(kept(Policy { keep_segments: Some(20), ..Policy::default() }), Some(41));
    // Two files each from 50 to 60.
    assert_eq!(kept(Policy { keep_size: Some(2300), ..Policy::default() }), Some(49));
    assert_eq!(kept(Policy { keep_days: Some(1), ..Policy::default() }), Some(60));
}

fn node(checkpoints: &[(u32, u64)]) -> NodeNeeds {
    let checkpoint = |(on, number): &(u32, u64)| Checkpoint {
        timeline: timeline(*on),
        checkpoint: Lsn::new(start(*number).get() + 0x60),
        redo: Lsn::new(start(*number).get() + 0x28),
    };
    NodeNeeds {
        node: "node1".into(),
        checkpoints: checkpoints.iter().map(checkpoint).collect(),
        needs_previous: false,
        slots: Vec::new(),
        departed: Vec::new(),
        backup_starts: Vec::new(),
    }
}

/// The earliest of a node's pins: its segment's number and the reason's key.
fn earliest(node: &NodeNeeds, histories: &[(u32, String)], newest: u32) -> (u64, &'static str) {
    let parsed: Vec<TimelineHistory> = histories
        .iter()
        .map(|(own, text)| TimelineHistory::parse(timeline(*own), text.as_bytes()).unwrap())
        .collect();
    let pins = node.pins(&Lineage::of(&parsed), timeline(newest));
    let pin = pins.iter().min_by_key(|pin| pin.from).unwrap();
    (SegmentNumber::containing(pin.from, size()).get(), pin.why.key())
}

fn fork(own: u32, parent: u32, number: u64) -> (u32, String) {
    (own, format!("{parent}\t{}\tno recovery target specified\n", start(number)))
}

#[test]
fn a_node_pins_its_redo_its_slots_and_what_a_backup_on_it_needs() {
    assert_eq!(earliest(&node(&[(1, 30)]), &[], 1), (30, "redo"));
    assert_eq!(earliest(&node(&[]), &[], 1), (0, "no_checkpoint"));
    let slot = |restart_lsn| HeldSlot { name: "s".into(), restart_lsn };
    let with = |slot| NodeNeeds { slots: vec![slot], ..node(&[(1, 30)]) };
    assert_eq!(earliest(&with(slot(Some(start(12)))), &[], 1), (12, "slot"));
    let pins = with(slot(None)).pins(&Lineage::default(), timeline(1));
    assert_eq!(
        (pins[1].why.key(), pins[1].from),
        ("unreserved_slot", pins[0].from),
        "from the redo point on"
    );
    let departed = Departed { name: "s".into(), restart_lsn: start(9) };
    let gone = NodeNeeds { departed: vec![departed], ..node(&[(1, 30)]) };
    assert_eq!(earliest(&gone, &[], 1), (9, "departed_slot"));
    let running = NodeNeeds { backup_starts: vec![start(8)], ..node(&[(1, 30)]) };
    assert_eq!(earliest(&running, &[], 1), (8, "running_backup"));
}

#[test]
fn a_server_that_falls_back_to_the_checkpoint_before_the_last_one_keeps_it() {
    let old = NodeNeeds { needs_previous: true, ..node(&[(1, 10), (1, 20), (1, 30)]) };
    assert_eq!(earliest(&old, &[], 1), (20, "previous_redo"));
    assert_eq!(earliest(&old, &[fork(2, 1, 25)], 2), (10, "rewind"));
}

#[test]
fn a_node_that_may_be_rewound_keeps_its_last_checkpoint_before_the_fork() {
    let behind = node(&[(1, 10), (1, 20), (1, 30), (1, 40)]);
    assert_eq!(earliest(&behind, &[fork(2, 1, 35)], 2), (30, "rewind"));
    assert_eq!(earliest(&behind, &[fork(2, 1, 9)], 2), (0, "rewind_unknown"));
    assert_eq!(earliest(&behind, &[], 2), (0, "rewind_unknown"), "nobody knows where timeline 2 left");
    assert_eq!(earliest(&behind, &[fork(2, 1, 35)], 1), (40, "redo"));
    // It came from timeline 1 and went on on timeline 2, while the newest one left timeline 1 earlier.
    let astray = node(&[(1, 10), (1, 20), (2, 30), (2, 40)]);
    assert_eq!(earliest(&astray, &[fork(2, 1, 25), fork(3, 1, 15)], 3), (10, "rewind"));
    // Checkpoints of a branch that it has left since are none of its way.
    let returned = node(&[(2, 12), (1, 10), (1, 40)]);
    assert_eq!(earliest(&returned, &[fork(2, 1, 11), fork(3, 1, 15)], 3), (10, "rewind"));
}

fn sizes() -> impl Strategy<Value = SegmentSize> {
    (20u32..=30).prop_map(|bits| SegmentSize::new(1 << bits).unwrap())
}

/// Names around the beginning of the log, of any timeline and kind; also some that no segment of the size bears.
fn names() -> impl Strategy<Value = WalFileName> {
    let name = (1u32..4, 0u32..3, prop_oneof![4 => 0u32..8, 1 => any::<u32>()], 0u32..4, any::<u32>());
    name.prop_map(|(on, log, within, kind, offset)| {
        let segment: SegmentName = format!("{on:08X}{log:08X}{within:08X}").parse().unwrap();
        match kind {
            0 => WalFileName::Partial(segment),
            1 => WalFileName::BackupHistory(segment, offset),
            2 => WalFileName::TimelineHistory(segment.timeline()),
            _ => WalFileName::Segment(segment),
        }
    })
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let file = (names(), any::<bool>()).prop_map(|(name, plain)| Item::File { name, plain });
    let item = prop_oneof![3 => file, 1 => names().prop_map(Item::Sidecar)];
    prop::collection::vec(item, 0..60).prop_map(|mut items| {
        items.sort_unstable();
        items.dedup();
        items
    })
}

/// Positions in the same part of the log, and a few anywhere.
fn pins() -> impl Strategy<Value = Vec<Pin>> {
    let position = prop_oneof![6 => 0u64..(3 << 32), 1 => any::<u64>()];
    prop::collection::vec(position.prop_map(|position| hold(Lsn::new(position))), 0..5)
}

fn policies() -> impl Strategy<Value = Policy> {
    let some = |range: std::ops::Range<u64>| prop::option::of(range);
    (some(1..4), some(1..30), some(1..30), some(1..3000), prop::option::of(names())).prop_map(
        |(keep_backups, keep_days, keep_segments, keep_size, oldest_kept)| Policy {
            keep_backups,
            keep_days,
            keep_segments,
            keep_size,
            oldest_kept: oldest_kept.filter(|name| name.segment().is_some()),
        },
    )
}

/// A repository as a policy sees it: each file's day and size follow from its name.
fn seen(items: &[Item], size: SegmentSize) -> Holdings {
    let day = |name: WalFileName| name.to_string().bytes().map(u64::from).sum::<u64>() % 40;
    let files = || items.iter().filter(|item| matches!(item, Item::File { .. })).map(|item| item.name());
    let mut holdings = Holdings::of(files(), size);
    for name in files() {
        let Some(number) = name.segment().and_then(|segment| segment.number(size)) else { continue };
        let (stored_at, bytes) = (at(day(name)), 50 + day(name));
        if name.is_pages() {
            holdings.measured.push(Measured { number, bytes, modified: stored_at });
        } else {
            let start = number.start(size).unwrap();
            holdings.backups.push(BaseBackup { file: name, start, stored_at, is_clone: false });
        }
    }
    holdings
}

fn removed(pins: &[Pin], licensed: bool, size: SegmentSize, items: &[Item]) -> BTreeSet<Item> {
    let plan = Plan::of(Rule::of(pins, licensed, size), items.iter().copied());
    plan.removals().into_iter().map(|(_, item)| item).collect()
}

fn removed_by(policy: Policy, items: &[Item], size: SegmentSize) -> BTreeSet<Item> {
    removed(&policy.pins(&seen(items, size), at(45)), policy.licenses(), size, items)
}

proptest! {
    #[test]
    fn nothing_at_or_behind_any_pin_is_removed(size in sizes(), items in items(), pins in pins()) {
        for item in removed(&pins, true, size, &items) {
            let number = item.name().segment().unwrap().number(size).unwrap();
            // The last byte of the segment.
            let end = number.next().unwrap().start(size).unwrap().get() - 1;
            prop_assert!(!pins.is_empty());
            prop_assert!(pins.iter().all(|pin| end < pin.from.get()), "{item:?}, {pins:?}");
        }
    }

    #[test]
    fn no_history_goes_and_nothing_without_a_policy(size in sizes(), items in items(), pins in pins()) {
        let is_history = |item: &Item| matches!(item.name(), WalFileName::TimelineHistory(_));
        prop_assert!(!removed(&pins, true, size, &items).iter().any(is_history));
        prop_assert!(removed(&pins, false, size, &items).is_empty());
    }

    #[test]
    fn more_pins_never_remove_more(size in sizes(), items in items(), some in pins(), more in pins()) {
        prop_assume!(!some.is_empty());
        let both: Vec<Pin> = some.iter().chain(&more).cloned().collect();
        let with_both = removed(&both, true, size, &items);
        prop_assert!(with_both.is_subset(&removed(&some, true, size, &items)));
    }

    #[test]
    fn a_second_run_removes_nothing(size in sizes(), items in items(), policy in policies(), needs in pins()) {
        let plan = |items: &[Item]| {
            let mut pins = policy.pins(&seen(items, size), at(45));
            pins.extend(needs.clone());
            removed(&pins, policy.licenses(), size, items)
        };
        let first = plan(&items);
        prop_assert_eq!(&first, &plan(&items), "the same input gives the same plan");
        let left: Vec<Item> = items.iter().copied().filter(|item| !first.contains(item)).collect();
        prop_assert_eq!(plan(&left), BTreeSet::new());
    }

    #[test]
    fn policies_together_remove_no_more_than_each_alone(
        size in sizes(), items in items(), one in policies(), other in policies(),
    ) {
        let both = Policy {
            keep_backups: one.keep_backups.max(other.keep_backups),
            keep_days: one.keep_days.max(other.keep_days),
            keep_segments: one.keep_segments.max(other.keep_segments),
            keep_size: one.keep_size.max(other.keep_size),
            oldest_kept: match (one.oldest_kept, other.oldest_kept) {
                (Some(one), None) => Some(one),
                (_, other) => other,
            },
        };
        let together = removed_by(both, &items, size);
        let alone = Policy { oldest_kept: both.oldest_kept.filter(|_| one.oldest_kept == both.oldest_kept), ..one };
        if alone.licenses() {
            prop_assert!(together.is_subset(&removed_by(alone, &items, size)));
        }
    }

    #[test]
    fn a_policy_keeps_the_newest_segment_of_the_newest_timeline(
        size in sizes(), items in items(), policy in policies(),
    ) {
        let gone = removed_by(policy, &items, size);
        let is_segment = |item: &&Item| {
            item.name().is_pages() && item.name().segment().unwrap().number(size).is_some()
        };
        let files = items.iter().filter(|item| matches!(item, Item::File { .. })).filter(is_segment);
        let newest = files.max_by_key(|item| item.name().segment());
        prop_assert!(newest.is_none_or(|newest| !gone.contains(newest)));
    }

    #[test]
    fn files_go_in_the_order_of_their_names_and_never_before_their_digests(
        size in sizes(), items in items(), from in 0u64..(3 << 32),
    ) {
        let plan = Plan::of(Rule::of(&[hold(Lsn::new(from))], true, size), items.iter().copied());
        let order: Vec<Item> = plan.removals().into_iter().map(|(_, item)| item).collect();
        let segments: Vec<_> = order.iter().map(|item| item.name().segment()).collect();
        prop_assert!(segments.is_sorted());
        for (at, item) in order.iter().enumerate() {
            prop_assert_eq!(plan.judged()[plan.removals()[at].0].0, *item);
            let before = &order[..at];
            match item {
                Item::Sidecar(name) => {
                    let file = |other: &Item| matches!(other, Item::File { .. }) && other.name() == *name;
                    prop_assert!(!before.iter().any(file), "the digest first");
                }
                Item::File { name: WalFileName::BackupHistory(segment, _), .. } => {
                    let pages = |other: &Item| other.name().is_pages() && other.name().segment() == Some(*segment);
                    prop_assert!(!before.iter().any(pages), "a base backup before its beginning");
                }
                Item::File { .. } => {}
            }
        }
    }

    #[test]
    fn every_file_gets_a_verdict_with_the_reason_that_it_follows_from(
        size in sizes(), items in items(), pins in pins(), licensed: bool,
    ) {
        let plan = Plan::of(Rule::of(&pins, licensed, size), items.iter().copied());
        prop_assert_eq!(plan.judged().len(), items.len());
        for (_, judgement) in plan.judged() {
            let goes = matches!(judgement.reason, Reason::BeforeHorizon | Reason::OrphanBeforeHorizon);
            prop_assert_eq!(judgement.verdict == Verdict::Remove, goes);
        }
    }

    #[test]
    fn no_text_is_an_oldest_kept_file_but_segments_partials_backups_and_zeroes(text in "[0-9A-F.a-z]{0,40}") {
        if let Ok(OldestKept::File(name)) = text.parse::<OldestKept>() {
            prop_assert!(name.segment().is_some());
            prop_assert_eq!(name.to_string(), text);
        }
    }
}

#[test]
fn zeroes_are_not_yet_and_a_history_is_no_oldest_file() {
    assert_eq!("000000000000000000000000".parse(), Ok(OldestKept::NotYet));
    assert_eq!("00000001000000000000002A".parse(), Ok(OldestKept::File(segment(1, 42))));
    for text in ["", "00000002.history", "0000000100000000000000", "%r", "000000000000000000000001"] {
        assert!(text.parse::<OldestKept>().is_err(), "{text}");
    }
}

/// What was archived on the days up to the jump, and two segments behind it.
fn holdings_with_a_jump(ahead_days: u64) -> Holdings {
    let mut holdings = holdings(1..=100);
    for one in holdings.measured.iter_mut().filter(|one| one.number.get() > 98) {
        one.modified = at(one.number.get() + ahead_days);
    }
    holdings
}

#[test]
fn a_month_in_which_nothing_was_archived_makes_nothing_older() {
    let policy = Policy { keep_days: Some(10), ..Policy::default() };
    let kept = |ahead_days| kept_from(policy, &holdings_with_a_jump(ahead_days), 100 + ahead_days);
    assert_eq!(kept(0), Some(90));
    // The day that lies between the segment before the jump and the one behind it is part of the pause.
    assert_eq!([kept(30), kept(365), kept(20_000)], [Some(89); 3]);
    // A quiet fortnight is time that went by.
    assert_eq!(kept(14), Some(99));
    // Once the window has filled again, what was archived before the pause goes.
    let mut again = holdings(1..=100);
    again
        .measured
        .iter_mut()
        .filter(|one| one.number.get() <= 80)
        .for_each(|one| one.modified -= Duration::from_secs(400 * 86_400));
    assert_eq!(kept_from(policy, &again, 100), Some(90));
}

#[test]
fn what_waits_for_base_backups_does_not_move_on_by_itself() {
    let waits = PinReason::TooFewBackups { keep: 3, found: 2, clones: 0 };
    assert!(waits.is_policy() && !waits.moves_on());
    assert!(PinReason::KeepSegments { segments: 1 }.moves_on());
    assert!(!PinReason::Redo { node: "node1".into() }.moves_on());
}
