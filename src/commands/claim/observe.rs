//! One look at a node: what its files say now that it needs.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{ClaimError, real_path};
use crate::cluster::{Cluster, ClusterState, ControlFile, Role, RunState, Slot, SlotPersistency};
use crate::fsx::{AtPath, PathError};
use crate::repository::{
    ClaimedSlot, KnownCheckpoint, NodeRole, Observation, Origin, SlotDirectory, SlotLife,
};

/// How often slots that are dropped and made again under our eyes are read.
const MOST_LOOKS: usize = 5;

/// Looks at a node. The control file is read before the slots: a slot whose file knows no position yet reserved
/// its WAL after that redo point. A backup label is looked for before it and behind it.
///
/// # Errors
/// When anything of it cannot be read: what is not known is needed.
pub fn observe(cluster: &Cluster, origin: &Origin) -> Result<Observation, ClaimError> {
    // A server that begins from a label tells the control file of it first, and takes the label away then; one that begins
    // a backup writes the label last.
    let label = cluster.backup_label()?;
    let control = cluster.control_file()?;
    let label = label.or(cluster.backup_label()?);
    let slots = slots(cluster)?;
    let checkpoint = KnownCheckpoint {
        timeline: control.timeline,
        checkpoint: control.checkpoint,
        redo: control.redo,
        seen_at: origin.now,
    };
    Ok(Observation {
        node: origin.node.clone(),
        machine_id: origin.machine_id.clone(),
        data_directory: real_path(cluster.data_directory())?,
        system_identifier: control.system_identifier,
        dialect: cluster.dialect().key().to_owned(),
        falls_back: falls_back(&control),
        role: role(cluster.run_state()?, &control),
        checkpoint,
        slots,
        backup_start: label.map(|label| label.start),
    })
}

/// Servers up to 10, and what grew out of them, begin again from the checkpoint before the last one where that is
/// damaged. Their control files say so by their version.
const fn falls_back(control: &ControlFile) -> bool {
    const POSTGRESQL_11: u32 = 1100;
    control.version < POSTGRESQL_11
}

const fn role(state: RunState, control: &ControlFile) -> NodeRole {
    match state {
        RunState::Running { role: Role::Primary, .. } => NodeRole::Primary,
        RunState::Running { role: Role::Standby, .. } => NodeRole::Standby,
        RunState::Running { role: Role::Recovering, .. } => NodeRole::Recovering,
        RunState::Starting { .. } | RunState::Stopping { .. } | RunState::Standalone { .. } => {
            NodeRole::InTransition
        }
        RunState::Stopped if matches!(control.state, ClusterState::ShutDownInRecovery) => {
            NodeRole::ShutDownInRecovery
        }
        RunState::Stopped => NodeRole::ShutDown,
        RunState::Crashed => NodeRole::Crashed,
    }
}

/// The slots with the directories that they lie in. A state counts only where its slot lay in one directory
/// before it was read and after: otherwise a slot that was made anew could pass for one that went on.
fn slots(cluster: &Cluster) -> Result<Vec<ClaimedSlot>, ClaimError> {
    let root = cluster.slot_directory();
    let mut before = directories(&root)?;
    for _ in 0..MOST_LOOKS {
        let slots = cluster.slots()?;
        let after = directories(&root)?;
        let stayed =
            |slot: &Slot| before.get(&slot.name).filter(|seen| after.get(&slot.name) == Some(seen)).copied();
        let directories: Option<Vec<SlotDirectory>> = slots.iter().map(stayed).collect();
        if let Some(directories) = directories {
            return slots
                .into_iter()
                .zip(directories)
                .map(|(slot, directory)| claimed(slot, directory))
                .collect();
        }
        before = after;
    }
    Err(ClaimError::SlotsChange)
}

fn directories(root: &Path) -> Result<BTreeMap<String, SlotDirectory>, PathError> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).at("list", root)? {
        let entry = entry.at("list", root)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.metadata() {
            Ok(metadata) => found.insert(name, directory(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(PathError::new("look at", &entry.path(), error)),
        };
    }
    Ok(found)
}

fn directory(metadata: &Metadata) -> SlotDirectory {
    let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
    SlotDirectory {
        inode: metadata.ino(),
        born_ns: born.and_then(|born| i64::try_from(born.as_nanos()).ok()),
    }
}

fn claimed(slot: Slot, directory: SlotDirectory) -> Result<ClaimedSlot, ClaimError> {
    let Slot { name, file, state } = slot;
    let state = match state {
        Ok(state) => state,
        Err(source) => {
            let (name, file) = (name.escape_debug().to_string(), file.display().to_string());
            return Err(ClaimError::Slot { name, file, source });
        }
    };
    Ok(ClaimedSlot {
        name,
        restart_lsn: state.restart_lsn,
        physical: state.is_physical(),
        persistency: match state.persistency {
            SlotPersistency::Persistent => SlotLife::Persistent,
            SlotPersistency::Ephemeral => SlotLife::Ephemeral,
            SlotPersistency::Temporary => SlotLife::Temporary,
            SlotPersistency::Backup => SlotLife::Backup,
        },
        invalidated: state.invalidated.is_some(),
        directory,
    })
}
