//! What a claim becomes when its node is looked at again: what the last claim pinned and the new observation does
//! not is gone only after its grace.

use std::time::{Duration, SystemTime};

use super::{Claim, ClaimedSlot, DepartedSlot, KnownCheckpoint, Observation};
use crate::wal::Lsn;

/// How many earlier checkpoints are kept: one an hour for seven days.
const MOST_EARLIER: usize = 168;

/// How far they lie apart.
const APART: Duration = Duration::from_secs(3600);

/// For how long one step between two observations counts at most, and no longer than a quarter of the grace.
const LONGEST_STEP: Duration = Duration::from_secs(3600);

impl Claim {
    /// The claim after another look at its node.
    ///
    /// Nothing but time that passed between observations ends a departed slot's grace, so that a clock that jumps
    /// a year ahead ends none; one that says a time before the departure begins the grace anew. A last claim of
    /// another cluster says nothing of this one.
    #[must_use]
    pub fn next(last: Option<&Self>, seen: Observation, slot_grace: Duration) -> Self {
        let last = last.filter(|last| last.system_identifier == seen.system_identifier);
        let now = seen.checkpoint.seen_at;
        let departed = last.map(|last| departed(last, &seen, slot_grace)).unwrap_or_default();
        let (checkpoint, earlier) = match last {
            Some(last) => checkpoints(last, seen.checkpoint),
            None => (seen.checkpoint, Vec::new()),
        };
        let role_since =
            last.filter(|last| last.role == seen.role).map_or(now, |last| last.role_since.min(now));
        let Observation { node, machine_id, data_directory, system_identifier, dialect, role, .. } = seen;
        Self {
            node,
            machine_id,
            data_directory,
            system_identifier,
            dialect,
            falls_back: seen.falls_back,
            role,
            role_since,
            last: checkpoint,
            earlier,
            slots: seen.slots,
            departed,
            backup_start: seen.backup_start,
            observed_at: now,
        }
    }
}

/// The checkpoint of now, and those before it.
fn checkpoints(last: &Claim, now: KnownCheckpoint) -> (KnownCheckpoint, Vec<KnownCheckpoint>) {
    let is_same = |known: &KnownCheckpoint| {
        (known.timeline, known.checkpoint, known.redo) == (now.timeline, now.checkpoint, now.redo)
    };
    let mut earlier = last.earlier.clone();
    if is_same(&last.last) {
        return (last.last, earlier);
    }
    let is_apart = |before: &KnownCheckpoint| {
        // A clock that was set back makes an order that nobody can tell: both are kept.
        last.last.seen_at.duration_since(before.seen_at).map_or(true, |apart| apart >= APART)
    };
    // What lies around a fork is needed most.
    let is_last_of_timeline = now.timeline != last.last.timeline;
    let is_first_of_timeline = |before: &KnownCheckpoint| before.timeline != last.last.timeline;
    let is_kept = |before: &KnownCheckpoint| is_apart(before) || is_first_of_timeline(before);
    if is_last_of_timeline || earlier.first().is_none_or(is_kept) {
        earlier.insert(0, last.last);
        earlier.truncate(MOST_EARLIER);
    }
    (now, earlier)
}

/// The slots that pin though they are gone: those that were gone already, and those that the new observation
/// lacks.
fn departed(last: &Claim, seen: &Observation, grace: Duration) -> Vec<DepartedSlot> {
    let now = seen.checkpoint.seen_at;
    let step = step(last.observed_at, now, grace);
    let aged = last.departed.iter().filter_map(|slot| aged(slot, now, step, grace));
    let mut departed: Vec<DepartedSlot> =
        last.slots.iter().filter_map(|slot| left_behind(slot, last, seen)).collect();
    for slot in aged {
        // What departed again begins its grace anew.
        let is_known =
            |known: &DepartedSlot| (&known.name, known.restart_lsn) == (&slot.name, slot.restart_lsn);
        if !departed.iter().any(is_known) {
            departed.push(slot);
        }
    }
    departed
}

/// How much of the time between two observations counts.
fn step(before: SystemTime, now: SystemTime, grace: Duration) -> Duration {
    now.duration_since(before).unwrap_or_default().min(LONGEST_STEP).min(grace / 4)
}

/// A departed slot after a step; `None` where its grace is over.
fn aged(slot: &DepartedSlot, now: SystemTime, step: Duration, grace: Duration) -> Option<DepartedSlot> {
    if now < slot.departed_at {
        return Some(DepartedSlot { departed_at: now, gone_for_s: 0, ..slot.clone() });
    }
    // The parts of a second that a state file leaves out only make the grace longer.
    let gone_for_s = slot.gone_for_s.saturating_add(step.as_secs());
    (gone_for_s < grace.as_secs()).then(|| DepartedSlot { gone_for_s, ..slot.clone() })
}

/// What a slot of the last claim leaves behind, where the observation does not have it as it was.
fn left_behind(slot: &ClaimedSlot, last: &Claim, seen: &Observation) -> Option<DepartedSlot> {
    let needed = slot.needed_from(last.last.redo)?;
    let leaves = |restart_lsn: Lsn| DepartedSlot {
        name: slot.name.clone(),
        restart_lsn,
        departed_at: seen.checkpoint.seen_at,
        gone_for_s: 0,
    };
    let Some(now) = seen.slots.iter().find(|other| other.name == slot.name) else {
        return Some(leaves(needed));
    };
    let is_another = now.directory != slot.directory;
    let forgot = slot.restart_lsn.is_some() && now.restart_lsn.is_none();
    match now.needed_from(seen.checkpoint.redo) {
        None => Some(leaves(needed)),
        // It went back: it may again, once it has gone on.
        Some(now_needed) if now_needed < needed => Some(leaves(now_needed)),
        Some(_) if is_another || forgot => Some(leaves(needed)),
        Some(_) => None,
    }
}
