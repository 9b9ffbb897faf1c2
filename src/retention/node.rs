use super::{Pin, PinReason};
use crate::wal::{Lineage, Lsn, Timeline};

/// What a node was seen to need: read from its data directory, or claimed by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeNeeds {
    /// What people call it.
    pub node: String,
    /// Its checkpoints in the order in which they were seen; on a standby its restartpoints. The last one is where
    /// it begins again.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether its server falls back to the checkpoint before the last one (up to 10, and KingbaseES V8R3).
    pub needs_previous: bool,
    /// Its replication slots, without those that the server gave up.
    pub slots: Vec<HeldSlot>,
    /// Slots that it had.
    pub departed: Vec<Departed>,
    /// Where a base backup that runs, or was not recovered yet, begins.
    pub backup_starts: Vec<Lsn>,
}

/// A checkpoint that a control file told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Checkpoint {
    /// Its timeline.
    pub timeline: Timeline,
    /// Its record.
    pub checkpoint: Lsn,
    /// Where replay begins.
    pub redo: Lsn,
}

/// A replication slot that is not given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldSlot {
    /// Its name.
    pub name: String,
    /// From where on it needs WAL; `None` where its file does not tell.
    pub restart_lsn: Option<Lsn>,
}

/// A slot that is gone, and still pins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departed {
    /// Its name.
    pub name: String,
    /// From where on it needed WAL.
    pub restart_lsn: Lsn,
}

impl NodeNeeds {
    /// The timeline that it was on last; `None` where no checkpoint is known.
    #[must_use]
    pub fn timeline(&self) -> Option<Timeline> {
        self.checkpoints.last().map(|last| last.timeline)
    }

    /// What it needs, as pins; `newest` is the newest timeline that anybody knows of.
    #[must_use]
    pub fn pins(&self, lineage: &Lineage, newest: Timeline) -> Vec<Pin> {
        let node = || self.node.clone();
        let Some((last, earlier)) = self.checkpoints.split_last() else {
            return vec![Pin::everything(PinReason::NoCheckpoint { node: node() })];
        };
        let mut pins = vec![Pin { from: last.redo, why: PinReason::Redo { node: node() } }];
        if self.needs_previous {
            let previous = earlier.iter().rev().find(|one| one.checkpoint < last.checkpoint);
            let why = PinReason::PreviousRedo { node: node() };
            pins.extend(previous.map(|previous| Pin { from: previous.redo, why }));
        }
        pins.extend(self.slots.iter().map(|slot| self.slot_pin(slot, last.redo)));
        pins.extend(self.departed.iter().map(|slot| Pin {
            from: slot.restart_lsn,
            why: PinReason::DepartedSlot { node: node(), slot: slot.name.clone() },
        }));
        let running = |from: &Lsn| Pin { from: *from, why: PinReason::RunningBackup { node: node() } };
        pins.extend(self.backup_starts.iter().map(running));
        pins.extend(self.rewind_pin(last, lineage, newest));
        pins
    }

    /// A slot that tells no position may hold WAL in its server's memory, from the last checkpoint on: a running
    /// pg_basebackup's does until the next one.
    fn slot_pin(&self, slot: &HeldSlot, redo: Lsn) -> Pin {
        let (node, name) = (self.node.clone(), slot.name.clone());
        match slot.restart_lsn {
            Some(from) => Pin { from, why: PinReason::Slot { node, slot: name } },
            None => Pin { from: redo, why: PinReason::UnreservedSlot { node, slot: name } },
        }
    }

    /// A node that is on an older timeline than the newest may still be rewound. pg_rewind goes back to the last
    /// checkpoint that both have, and the node then replays from its redo on.
    fn rewind_pin(&self, last: &Checkpoint, lineage: &Lineage, newest: Timeline) -> Option<Pin> {
        if last.timeline >= newest {
            return None;
        }
        let (node, timeline) = (self.node.clone(), last.timeline);
        let mut common: Vec<Checkpoint> = self
            .checkpoints
            .iter()
            .copied()
            .filter(|one| lineage.share(one.timeline, one.checkpoint, timeline, newest))
            .collect();
        common.sort_unstable_by_key(|one| std::cmp::Reverse(one.checkpoint));
        common.dedup();
        let wanted = if self.needs_previous { common.get(1) } else { common.first() };
        Some(match wanted {
            Some(wanted) => Pin { from: wanted.redo, why: PinReason::Rewind { node, timeline, newest } },
            None => Pin::everything(PinReason::RewindUnknown { node, timeline, newest }),
        })
    }
}
