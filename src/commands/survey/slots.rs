use std::time::{Duration, SystemTime};

use super::{reason, unknown};
use crate::cluster::{Cluster, ControlFile, Slot, SlotPersistency, SlotState};
use crate::health::{SlotFacts, SlotLoss, Unknown};

/// The replication slots, and what they hold back.
pub(super) fn facts(cluster: &Cluster, control: Option<&ControlFile>) -> Result<Vec<SlotFacts>, Unknown> {
    let slots = cluster.slots().map_err(|error| unknown(&error))?;
    Ok(slots.iter().map(|slot| slot_facts(cluster, control, slot)).collect())
}

fn slot_facts(cluster: &Cluster, control: Option<&ControlFile>, slot: &Slot) -> SlotFacts {
    let state = slot.state.as_ref();
    let restart_lsn = state.ok().and_then(|state| state.restart_lsn);
    let written_at = std::fs::metadata(&slot.file).and_then(|metadata| metadata.modified()).ok();
    let loss = |state: &SlotState| {
        state.invalidated.map(|_| SlotLoss { reason: state.invalidation_reason(cluster.major()) })
    };
    let held_bytes =
        restart_lsn.zip(control).map_or(0, |(from, control)| control.redo.get().saturating_sub(from.get()));
    SlotFacts {
        name: slot.name.clone(),
        is_physical: state.is_ok_and(SlotState::is_physical),
        restart_lsn,
        held_bytes,
        written_at,
        is_inactive: state.is_ok_and(outlasts_its_session)
            && control.is_some_and(|control| stands_still(control, held_bytes, written_at)),
        lost: state.ok().and_then(loss),
        unreadable: state.err().map(|fault| reason(fault)),
    }
}

/// A temporary slot has a session as long as it is there, and goes with it: a base backup's stands where the
/// backup began.
fn outlasts_its_session(slot: &SlotState) -> bool {
    slot.persistency == SlotPersistency::Persistent
}

/// Whether a slot fell behind and its state was not written since the last checkpoint began, which writes the
/// state of every slot that moved (`CheckPointReplicationSlots` in slot.c). Nothing in the files tells whether
/// somebody streams from it.
fn stands_still(control: &ControlFile, held_bytes: u64, written_at: Option<SystemTime>) -> bool {
    let checkpoint = u64::try_from(control.checkpoint_time).unwrap_or_default();
    let checkpoint = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(checkpoint));
    held_bytes > control.segment_size.bytes()
        && written_at.zip(checkpoint).is_some_and(|(at, began)| at < began)
}
