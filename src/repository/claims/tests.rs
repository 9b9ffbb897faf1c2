use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::repository::StoredForm;
use crate::storage::{DirectoryStore, MemoryStore};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn at(time: Duration) -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY + time
}

fn directory(inode: u64) -> SlotDirectory {
    SlotDirectory { inode, born_ns: Some(7) }
}

fn slot(name: &str, restart_lsn: Option<u64>) -> ClaimedSlot {
    ClaimedSlot {
        name: name.to_owned(),
        restart_lsn: restart_lsn.map(Lsn::new),
        physical: true,
        persistency: SlotLife::Persistent,
        invalidated: false,
        directory: directory(1),
    }
}

fn seen(time: SystemTime, redo: u64, slots: Vec<ClaimedSlot>) -> Observation {
    Observation {
        node: "node1".to_owned(),
        machine_id: "machine".to_owned(),
        data_directory: "/data".to_owned(),
        system_identifier: SystemIdentifier::new(42),
        dialect: "postgresql".to_owned(),
        falls_back: false,
        role: NodeRole::Primary,
        checkpoint: KnownCheckpoint {
            timeline: Timeline::FIRST,
            checkpoint: Lsn::new(redo + 8),
            redo: Lsn::new(redo),
            seen_at: time,
        },
        slots,
        backup_start: None,
    }
}

/// The claim after these observations, one after the other.
fn claim_of(observations: impl IntoIterator<Item = Observation>) -> Claim {
    let next = |last: Option<Claim>, seen| Some(Claim::next(last.as_ref(), seen, DAY));
    observations.into_iter().fold(None, next).unwrap()
}

/// The names and positions of the slots that are gone and pin.
fn gone(claim: &Claim) -> Vec<(&str, u64)> {
    claim.departed.iter().map(|slot| (slot.name.as_str(), slot.restart_lsn.get())).collect()
}

/// The earliest position that anything of a claim pins.
fn horizon(claim: &Claim) -> Lsn {
    let slots = claim.slots.iter().filter_map(|slot| slot.needed_from(claim.last.redo));
    slots.chain(claim.departed.iter().map(|slot| slot.restart_lsn)).chain([claim.last.redo]).min().unwrap()
}

#[test]
fn a_slot_that_is_gone_was_made_anew_or_forgot_its_position_leaves_its_old_one() {
    let before = || seen(at(HOUR), 100, vec![slot("a", Some(50))]);
    let after = |slots| claim_of([before(), seen(at(2 * HOUR), 200, slots)]);
    assert_eq!(gone(&after(vec![slot("a", Some(60))])), [], "it went on");
    assert_eq!(gone(&after(vec![])), [("a", 50)]);
    assert_eq!(gone(&after(vec![slot("b", Some(50))])), [("a", 50)]);
    let anew = ClaimedSlot { directory: directory(2), ..slot("a", Some(150)) };
    assert_eq!(gone(&after(vec![anew])), [("a", 50)]);
    let inode_used_again = SlotDirectory { inode: 1, born_ns: Some(8) };
    let anew = ClaimedSlot { directory: inode_used_again, ..slot("a", Some(150)) };
    assert_eq!(gone(&after(vec![anew])), [("a", 50)]);
    assert_eq!(gone(&after(vec![slot("a", None)])), [("a", 50)]);
    let given_up = ClaimedSlot { invalidated: true, ..slot("a", None) };
    assert_eq!(gone(&after(vec![given_up])), [("a", 50)]);
}

#[test]
fn a_slot_without_a_position_pins_from_its_nodes_redo_on_also_when_it_is_gone() {
    let claim = claim_of([seen(at(HOUR), 100, vec![slot("a", None)])]);
    assert_eq!(horizon(&claim), Lsn::new(100));
    let claim = claim_of([seen(at(HOUR), 100, vec![slot("a", None)]), seen(at(2 * HOUR), 200, vec![])]);
    assert_eq!((gone(&claim), horizon(&claim)), (vec![("a", 100)], Lsn::new(100)));
}

#[test]
fn a_slot_that_went_back_keeps_the_lower_position_until_its_grace_is_over() {
    let back = claim_of([
        seen(at(HOUR), 100, vec![slot("a", Some(50))]),
        seen(at(2 * HOUR), 100, vec![slot("a", Some(20))]),
        seen(at(3 * HOUR), 100, vec![slot("a", Some(90))]),
    ]);
    assert_eq!((gone(&back), horizon(&back)), (vec![("a", 20)], Lsn::new(20)));
}

#[test]
fn a_departed_slot_pins_for_its_grace_and_no_longer() {
    let begun = [seen(at(HOUR), 100, vec![slot("a", Some(50))])];
    let hourly = (2..).map(|hour| seen(at(hour * HOUR), 100, vec![]));
    let after = |hours| claim_of(begun.clone().into_iter().chain(hourly.clone().take(hours)));
    assert_eq!(gone(&after(24)), [("a", 50)], "23 hours after it was missed");
    assert_eq!(gone(&after(25)), []);
}

#[test]
fn a_clock_that_jumps_ends_no_grace() {
    let begun = || [seen(at(HOUR), 100, vec![slot("a", Some(50))]), seen(at(2 * HOUR), 100, vec![])];
    let jumped = claim_of(begun().into_iter().chain([seen(at(366 * DAY), 100, vec![])]));
    assert_eq!((gone(&jumped), jumped.departed[0].gone_for_s), (vec![("a", 50)], 3600));
    // Departed while the clock was ahead, it begins its grace anew once the clock is right again.
    let ahead = [seen(at(366 * DAY), 100, vec![slot("a", Some(50))]), seen(at(367 * DAY), 100, vec![])];
    let corrected = claim_of(ahead.into_iter().chain([seen(at(HOUR), 100, vec![])]));
    assert_eq!((gone(&corrected), corrected.departed[0].departed_at), (vec![("a", 50)], at(HOUR)));
}

#[test]
fn a_slot_that_departs_again_begins_its_grace_anew_and_is_told_once() {
    let mut observations = vec![];
    for turn in 0..40 {
        let slots = if turn % 2 == 0 { vec![slot("a", Some(50))] } else { vec![] };
        observations.push(seen(at(turn * HOUR), 100, slots));
    }
    let claim = claim_of(observations);
    assert_eq!((gone(&claim), claim.departed[0].gone_for_s), (vec![("a", 50)], 0));
}

#[test]
fn earlier_checkpoints_are_known_by_the_hour_for_a_week() {
    let every_five_minutes =
        (0..12 * 24 * 9).map(|turn| seen(at(turn * HOUR / 12), 100 + u64::from(turn), vec![]));
    let claim = claim_of(every_five_minutes);
    assert_eq!((claim.last.redo.get(), claim.earlier.len()), (100 + 12 * 24 * 9 - 1, 168));
    let apart = claim.earlier.windows(2).map(|two| two[0].seen_at.duration_since(two[1].seen_at).unwrap());
    assert!(apart.clone().all(|apart| apart == HOUR), "{:?}", apart.collect::<Vec<_>>());
    let again = Claim::next(Some(&claim), seen(at(10 * DAY), 100 + 12 * 24 * 9 - 1, vec![]), DAY);
    assert_eq!((again.last, &again.earlier), (claim.last, &claim.earlier), "the same checkpoint again");
}

#[test]
fn the_last_checkpoint_before_a_timeline_changes_stays_known() {
    let minutes = |n| at(n * HOUR / 60);
    let mut promoted = seen(minutes(10), 300, vec![]);
    promoted.checkpoint.timeline = Timeline::new(2).unwrap();
    let claim = claim_of([seen(minutes(0), 100, vec![]), seen(minutes(5), 200, vec![]), promoted]);
    let known: Vec<u64> = claim.checkpoints().map(|known| known.redo.get()).collect();
    assert_eq!(known, [300, 200, 100]);
}

#[test]
fn a_claim_tells_since_when_its_node_is_what_it_is() {
    let standby = |hour| Observation { role: NodeRole::Standby, ..seen(at(hour * HOUR), 100, vec![]) };
    let primary = |hour| seen(at(hour * HOUR), 100, vec![]);
    assert_eq!(claim_of([standby(1), primary(2), primary(3)]).role_since, at(2 * HOUR));
    assert_eq!(claim_of([primary(3), primary(2)]).role_since, at(2 * HOUR), "the clock was set back");
}

#[test]
fn a_claim_of_another_cluster_says_nothing_of_this_one() {
    let other = Observation { system_identifier: SystemIdentifier::new(43), ..seen(at(HOUR), 7, vec![]) };
    let claim = claim_of([seen(at(HOUR), 100, vec![slot("a", Some(50))]), other.clone()]);
    assert_eq!(claim, claim_of([other]));
}

fn origin() -> Origin {
    Origin {
        node: "node1".into(),
        machine_id: "machine".into(),
        now: at(HOUR),
        now_text: "2026-01-02T03:04:05Z".into(),
    }
}

fn repository(store: &dyn Store) -> Repository<'_> {
    Repository::create(store, StoredForm::Zstd, false, &origin()).unwrap()
}

fn record(repository: &Repository<'_>, seen: Observation) -> Claim {
    repository.record_claim(seen, DAY).unwrap()
}

#[test]
fn what_is_recorded_is_read_back_and_merged() {
    let store = MemoryStore::default();
    let repository = repository(&store);
    assert_eq!(repository.claims().unwrap(), []);
    let first = record(&repository, seen(at(HOUR), 100, vec![slot("a", Some(50)), slot("b", None)]));
    assert_eq!(repository.claims().unwrap(), [first]);
    let second = record(&repository, seen(at(2 * HOUR), 200, vec![]));
    assert_eq!(gone(&second), [("a", 50), ("b", 100)]);
    assert_eq!(repository.claims().unwrap(), std::slice::from_ref(&second));
    repository.remove_claim(&second.key()).unwrap();
    assert_eq!(repository.claims().unwrap(), []);
}

#[test]
fn two_nodes_of_one_host_and_one_name_on_two_hosts_have_claims_of_their_own() {
    let store = MemoryStore::default();
    let repository = repository(&store);
    let one = || seen(at(HOUR), 100, vec![]);
    record(&repository, one());
    record(&repository, Observation { data_directory: "/other".into(), ..one() });
    record(&repository, Observation { machine_id: "elsewhere".into(), ..one() });
    record(&repository, Observation { node: "a node/..".into(), ..one() });
    let claims = repository.claims().unwrap();
    assert_eq!(
        claims.iter().map(|claim| claim.node.as_str()).collect::<Vec<_>>(),
        ["a node/..", "node1", "node1", "node1"]
    );
    assert!(claims[0].key().to_string().starts_with("a_node_..-"));
}

#[test]
fn a_claim_of_another_cluster_is_refused() {
    let store = MemoryStore::default();
    let mut repository = repository(&store);
    let identity = crate::repository::Identity {
        system_identifier: SystemIdentifier::new(1),
        segment_size: crate::wal::SegmentSize::new(1 << 20).unwrap(),
    };
    repository.bind(identity, None, &origin()).unwrap();
    let refused = repository.record_claim(seen(at(HOUR), 100, vec![]), DAY).unwrap_err();
    assert!(matches!(refused, RepositoryError::OtherSystem { .. }), "{refused}");
    assert_eq!(repository.claims().unwrap(), []);
}

#[test]
fn a_damaged_claim_is_an_error_that_names_it_and_is_not_replaced() {
    let whole = |claim: &Claim| serde_json::to_value(claim).unwrap();
    let claim = claim_of([seen(at(HOUR), 100, vec![slot("a", Some(50))])]);
    let changed = |pointer: &str, to: serde_json::Value| {
        let mut value = whole(&claim);
        *value.pointer_mut(pointer).unwrap() = to;
        value.to_string()
    };
    let mut without = whole(&claim);
    without["slots"][0].as_object_mut().unwrap().remove("restart_lsn");
    let damaged = [
        String::new(),
        "{}".to_owned(),
        "null".to_owned(),
        whole(&claim).to_string().replace("0/32", "0/"),
        without.to_string(),
        changed("/node", "node2".into()),
        changed("/last/timeline", 0.into()),
        changed("/slots/0/name", "a\u{1b}[2J".into()),
        changed("/observed_at", "yesterday".into()),
        changed("/role", "king".into()),
    ];
    for text in damaged {
        let store = MemoryStore::default();
        let repository = repository(&store);
        store.replace_state(&claim.key().file(), text.as_bytes()).unwrap();
        for error in [
            repository.claims().unwrap_err(),
            repository.record_claim(seen(at(HOUR), 100, vec![]), DAY).unwrap_err(),
        ] {
            assert!(error.to_string().contains(&format!("{}.json", claim.key())), "{text}: {error}");
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
        }
        repository.remove_claim(&claim.key()).expect("a person may remove it all the same");
    }
}

#[test]
fn what_is_no_claim_under_a_claims_name_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path().join("repo"));
    let repository = repository(&store);
    let claim = record(&repository, seen(at(HOUR), 100, vec![]));
    let folder = dir.path().join("repo/.walkeep/claims");
    assert_eq!(repository.claims().unwrap(), [claim], "its lock is no claim");
    std::fs::create_dir(folder.join("node2-0123456789ab.json")).unwrap();
    assert!(repository.claims().is_err());
    std::fs::remove_dir(folder.join("node2-0123456789ab.json")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("node2-0123456789ab.json")).unwrap();
    assert!(repository.claims().is_err());
}

#[test]
fn who_finds_a_claim_being_recorded_may_leave_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path().join("repo"));
    let repository = repository(&store);
    let seen = seen(at(HOUR), 100, vec![]);
    let turn = store.lock(&seen.key().lock()).unwrap();
    assert_eq!(repository.record_claim_unless_busy(seen.clone(), DAY).unwrap(), None);
    drop(turn);
    assert!(repository.record_claim_unless_busy(seen, DAY).unwrap().is_some());
}

/// What becomes of a slot between two looks.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Advances(u8),
    GoesBack(u8),
    IsDropped,
    IsMadeAnew(u8),
    Forgets,
    IsGivenUp,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => any::<u8>().prop_map(Fate::Advances),
        1 => any::<u8>().prop_map(Fate::GoesBack),
        1 => Just(Fate::IsDropped),
        1 => any::<u8>().prop_map(Fate::IsMadeAnew),
        1 => Just(Fate::Forgets),
        1 => Just(Fate::IsGivenUp),
    ]
}

/// A slot after its fate; `None` while there is none.
fn after(fate: Fate, slot: Option<ClaimedSlot>, redo: u64) -> Option<ClaimedSlot> {
    let made = |within: u8| ClaimedSlot {
        directory: directory(u64::from(within)),
        ..self::slot("a", Some(redo.saturating_sub(within.into()).max(1)))
    };
    let Some(slot) = slot else {
        return match fate {
            Fate::IsMadeAnew(within) => Some(made(within)),
            _ => None,
        };
    };
    let moved = |to: u64| Some(ClaimedSlot { restart_lsn: Some(Lsn::new(to.max(1))), ..slot.clone() });
    let position = slot.restart_lsn.map_or(redo, Lsn::get);
    match fate {
        Fate::Advances(by) => moved(position + u64::from(by)),
        Fate::GoesBack(by) => moved(position.saturating_sub(by.into())),
        Fate::IsDropped => None,
        Fate::IsMadeAnew(within) => Some(made(within)),
        Fate::Forgets => Some(ClaimedSlot { restart_lsn: None, ..slot }),
        Fate::IsGivenUp => Some(ClaimedSlot { restart_lsn: None, invalidated: true, ..slot }),
    }
}

proptest! {
    /// Whatever slots do and clocks say: what a claim pinned for a slot, the claims after it pin until the slot
    /// itself has gone on, or as many observations have passed as its grace takes at least.
    #[test]
    fn no_need_is_lost_within_the_grace(
        looks in prop::collection::vec((fates(), -400_000_000i64..400_000_000, 0u64..300), 1..60),
    ) {
        // A step counts for an hour at most.
        const LOOKS_IN_A_GRACE: usize = 24;
        let mut claim: Option<Claim> = None;
        let mut slot = Some(self::slot("a", Some(1000)));
        let (mut seconds, mut redo) = (1_000_000_000_i64, 1000_u64);
        // What has to be pinned still: positions that were left behind, and at which look.
        let mut left: Vec<(Lsn, usize)> = Vec::new();
        for (look, (fate, jump, advance)) in looks.into_iter().enumerate() {
            let before = claim.as_ref().and_then(|last| {
                last.slots.first().and_then(|slot| Some((slot.clone(), slot.needed_from(last.last.redo)?)))
            });
            seconds = (seconds + jump).max(0);
            redo += advance;
            slot = after(fate, slot, redo);
            let now = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
            let next = Claim::next(claim.as_ref(), seen(now, redo, slot.clone().into_iter().collect()), DAY);
            if let Some((old, needed)) = before {
                let went_on = slot.as_ref().is_some_and(|slot| {
                    slot.directory == old.directory
                        && !(slot.restart_lsn.is_none() && old.restart_lsn.is_some())
                        && slot.needed_from(Lsn::new(redo)).is_some_and(|now| now >= needed)
                });
                if !went_on {
                    let back = slot.as_ref().and_then(|slot| slot.needed_from(Lsn::new(redo)));
                    left.push((back.map_or(needed, |back| back.min(needed)), look));
                }
            }
            for (needed, since) in &left {
                if look - since < LOOKS_IN_A_GRACE {
                    prop_assert!(horizon(&next) <= *needed, "look {look}: {needed} of look {since} in {next:?}");
                }
            }
            claim = Some(next);
        }
    }

    /// Two calls may record what they saw in the other order: nothing that either saw is lost.
    #[test]
    fn the_order_of_observations_loses_nothing(
        earlier in 1u64..1000, advance in 0u64..1000, dropped: bool, seconds in 0u64..100_000,
    ) {
        let old = seen(at(HOUR), 1000, vec![slot("a", Some(earlier))]);
        let slots = if dropped { vec![] } else { vec![slot("a", Some(earlier + advance))] };
        let new = seen(at(HOUR) + Duration::from_secs(seconds), 2000, slots);
        for order in [[old.clone(), new.clone()], [new, old]] {
            let claim = claim_of(order);
            let needed = if dropped { earlier } else { earlier + advance };
            prop_assert!(horizon(&claim) <= Lsn::new(needed), "{claim:?}");
        }
    }

    #[test]
    fn a_claim_comes_back_from_its_file_as_it_was(
        redo: u64, restart_lsn in prop::option::of(any::<u64>()), seconds in 0u64..200_000_000_000, name in "[^\\x00-\\x1f]{1,10}",
    ) {
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let one = seen(now, redo >> 1, vec![slot(&name, restart_lsn)]);
        let claim = claim_of([one.clone(), Observation { slots: vec![], backup_start: Some(Lsn::new(redo)), ..one }]);
        let text = serde_json::to_string(&claim).unwrap();
        prop_assert_eq!(serde_json::from_str::<Claim>(&text).unwrap(), claim);
    }

    #[test]
    fn a_key_is_a_plain_file_name(node in ".{1,130}", machine in ".{0,10}", directory in ".{0,40}") {
        let key = ClaimKey::of(&node, &machine, &directory);
        prop_assert_eq!(key.to_string().parse::<ClaimKey>(), Ok(key));
    }
}
