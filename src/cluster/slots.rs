use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::replication_slot::{SlotState, SlotStateError};
use super::{Cluster, ClusterError, read_at_most};

/// A slot as it lies on disk: its directory's name, and what its state file says.
///
/// Whether somebody streams from it is nowhere in a file, and the server may be ahead of the file: physical
/// slots are written at checkpoints only.
#[derive(Debug)]
pub struct Slot {
    /// The name of its directory, which is the slot's.
    pub name: String,
    /// The file that the state was read from, or could not be.
    pub file: PathBuf,
    /// What it says. Where it says nothing, nobody knows what the slot holds.
    pub state: Result<SlotState, SlotFault>,
}

/// Why a slot's state is unknown.
#[derive(Debug, thiserror::Error)]
pub enum SlotFault {
    /// The system refuses.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is damaged, or of a server that is not known.
    #[error("it is no slot's state that is known")]
    Damaged(#[source] SlotStateError),
    /// It is another slot's, as in a directory that was copied.
    #[error("it is the state of slot '{found}'")]
    OtherName {
        /// The name in the file.
        found: String,
    },
}

/// What every server calls the file in a slot's directory.
const STATE_FILE: &str = "state";

/// A name that a server gives to a directory before a slot is there, and once it is dropped.
const UNFINISHED: &str = ".tmp";

/// `max_replication_slots` takes no more (`MAX_BACKENDS`).
const MOST_SLOTS: usize = 262_143;

/// The fields, and what openGauss writes behind them, whose length is 16 bits.
const MOST_STATE_BYTES: u64 = 128 << 10;

impl Cluster {
    /// Reads every slot that the server would restore, in the order of their names. One whose state cannot be
    /// read is among them; without the directory nothing is known, which is an error.
    pub fn slots(&self) -> Result<Vec<Slot>, ClusterError> {
        let directory = self.slot_directory();
        let names = slot_names(&directory)
            .map_err(|source| ClusterError::Unreadable { path: directory.clone(), source })?;
        let read = |name: String| self.read_slot(&directory.join(&name), name);
        Ok(names.into_iter().filter_map(read).collect())
    }

    /// `None` for a slot that was dropped since its directory was seen.
    fn read_slot(&self, directory: &Path, name: String) -> Option<Slot> {
        let read = |file: &'static str| {
            let path = directory.join(file);
            let state = read_state(&path, &name);
            Slot { name: name.clone(), file: path, state }
        };
        let slot = read(STATE_FILE);
        if slot.state.is_ok() {
            return Some(slot);
        }
        if fs::symlink_metadata(directory).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let backup = self.dialect.slot_backup.map(read).filter(|backup| backup.state.is_ok());
        Some(backup.unwrap_or(slot))
    }
}

fn read_state(path: &Path, name: &str) -> Result<SlotState, SlotFault> {
    let bytes = read_at_most(path, MOST_STATE_BYTES).map_err(SlotFault::Unreadable)?;
    let state = SlotState::parse(&bytes).map_err(SlotFault::Damaged)?;
    if state.name == name { Ok(state) } else { Err(SlotFault::OtherName { found: state.name }) }
}

/// The directories that a server takes for slots, which it does not through symbolic links (`StartupReplicationSlots`
/// in slot.c).
fn slot_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(UNFINISHED) || !entry.file_type()?.is_dir() {
            continue;
        }
        if names.len() >= MOST_SLOTS {
            return Err(io::Error::other(format!("it has more than {MOST_SLOTS} directories")));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        every_dialect, fixture, lay_out, opengauss_control_file, opengauss_slot, row, write,
    };
    use super::*;
    use crate::wal::Lsn;
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    fn cluster() -> (tempfile::TempDir, Cluster) {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path(), row("postgresql", "15"), "15", &fixture("15/running/pg_control"));
        fs::create_dir(dir.path().join("pg_replslot")).unwrap();
        let cluster = Cluster::find(dir.path()).unwrap();
        (dir, cluster)
    }

    /// Lays down a slot with what a fixture says of it.
    fn lay_down(cluster: &Cluster, name: &str) {
        let state = fixture(&format!("15/running/slot_{name}.state"));
        write(&cluster.slot_directory().join(name).join("state"), state);
    }

    /// The restart_lsn of every slot, or the fault, by name.
    fn found(cluster: &Cluster) -> BTreeMap<String, String> {
        let shown = |slot: &Slot| match &slot.state {
            Ok(state) => state.restart_lsn.map(|lsn| lsn.to_string()).unwrap_or_default(),
            Err(fault) => fault.to_string(),
        };
        cluster.slots().unwrap().iter().map(|slot| (slot.name.clone(), shown(slot))).collect()
    }

    #[test]
    fn every_slot_is_there_in_the_order_of_names_and_nothing_else() {
        let (_dir, cluster) = cluster();
        assert!(cluster.slots().unwrap().is_empty());
        for name in ["phys_reserved", "log_pgoutput", "phys_noreserve"] {
            lay_down(&cluster, name);
        }
        let directory = cluster.slot_directory();
        write(&directory.join("dropped.tmp/state"), "half");
        write(&directory.join("a file"), "");
        write(&directory.join("log_pgoutput/state.tmp"), "half");
        write(&directory.join("log_pgoutput/xid-7-lsn-0-1000000.spill"), "x");
        symlink(directory.join("phys_reserved"), directory.join("link")).unwrap();
        let slots = cluster.slots().unwrap();
        let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        assert_eq!(names, ["log_pgoutput", "phys_noreserve", "phys_reserved"]);
        let expected = SlotState::parse(&fixture("15/running/slot_phys_reserved.state")).unwrap();
        assert_eq!(slots[2].state.as_ref().unwrap(), &expected);
        assert_eq!(slots[2].file, directory.join("phys_reserved/state"));
    }

    #[test]
    fn a_slot_that_cannot_be_read_is_there_with_its_fault_and_hides_no_other() {
        let (_dir, cluster) = cluster();
        let directory = cluster.slot_directory();
        lay_down(&cluster, "phys_reserved");
        let good = fixture("15/running/slot_phys_reserved.state");
        write(&directory.join("copied/state"), &good);
        write(&directory.join("cut/state"), &good[..100]);
        write(&directory.join("empty/state"), "");
        write(&directory.join("long/state"), [&good[..], &vec![0; 1 << 20]].concat());
        fs::create_dir_all(directory.join("directory/state")).unwrap();
        fs::create_dir(directory.join("lost+found")).unwrap();
        fs::create_dir(directory.join("fifo")).unwrap();
        assert!(Command::new("mkfifo").arg(directory.join("fifo/state")).status().unwrap().success());
        let found = found(&cluster);
        assert_eq!(found.len(), 8, "{found:?}");
        assert_eq!(found["copied"], "it is the state of slot 'phys_reserved'");
        for name in ["cut", "empty", "long"] {
            assert_eq!(found[name], "it is no slot's state that is known", "{name}");
        }
        for name in ["directory", "lost+found", "fifo"] {
            assert_eq!(found[name], "it cannot be read", "{name}");
        }
        assert!(found["phys_reserved"].starts_with("0/"));
    }

    #[test]
    fn slots_that_cannot_be_listed_are_not_absent_ones() {
        let (dir, cluster) = cluster();
        fs::remove_dir(dir.path().join("pg_replslot")).unwrap();
        assert!(cluster.slots().is_err());
        write(&dir.path().join("pg_replslot"), "a file in the way");
        assert!(cluster.slots().is_err());
    }

    #[test]
    fn every_dialect_has_its_slots_under_its_own_name() {
        for (dialect, version, control_file) in every_dialect() {
            let dir = tempfile::tempdir().unwrap();
            lay_out(dir.path(), dialect, version, &control_file);
            let state = fixture("12/running/slot_phys_reserved.state");
            write(&dir.path().join(dialect.slot_directory).join("phys_reserved/state"), state);
            assert_eq!(found(&Cluster::find(dir.path()).unwrap()).len(), 1, "{}", dialect.product);
        }
    }

    #[test]
    fn opengauss_reads_its_backup_where_the_state_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path(), row("opengauss", "9.2"), "9.2", &opengauss_control_file());
        let slot = dir.path().join("pg_replslot/dn_6002");
        let cluster = Cluster::find(dir.path()).unwrap();
        let mut damaged = opengauss_slot(b"");
        damaged[120] ^= 1;
        write(&slot.join("state"), &damaged);
        assert_eq!(found(&cluster)["dn_6002"], "it is no slot's state that is known");
        write(&slot.join("state.backup"), &damaged);
        assert_eq!(found(&cluster)["dn_6002"], "it is no slot's state that is known", "both");
        write(&slot.join("state.backup"), opengauss_slot(b""));
        assert_eq!(found(&cluster)["dn_6002"], "0/3000028");
        assert!(cluster.slots().unwrap()[0].file.ends_with("dn_6002/state.backup"));
        write(&slot.join("state"), opengauss_slot(b"OBS;"));
        assert!(cluster.slots().unwrap()[0].file.ends_with("dn_6002/state"));

        let (_dir, postgresql) = self::cluster();
        write(&postgresql.slot_directory().join("phys_reserved/state"), &damaged);
        let good = fixture("15/running/slot_phys_reserved.state");
        write(&postgresql.slot_directory().join("phys_reserved/state.backup"), good);
        assert_eq!(found(&postgresql)["phys_reserved"], "it is no slot's state that is known");
    }

    #[test]
    fn a_slot_that_says_nothing_needs_all_from_redo_on_and_a_lost_one_nothing() {
        let redo = Lsn::new(0x0500_0028);
        let needed = |path: &str| SlotState::parse(&fixture(path)).unwrap().needed_from(redo);
        let reserved = SlotState::parse(&fixture("15/running/slot_phys_reserved.state")).unwrap();
        assert_eq!(needed("15/running/slot_phys_reserved.state"), reserved.restart_lsn);
        assert!(reserved.restart_lsn.is_some());
        assert_eq!(needed("12/tempslots/slot_bb_tmp.unsaved.state"), Some(redo), "holds WAL in memory alone");
        assert_eq!(needed("15/running/slot_phys_noreserve.state"), Some(redo));
        for version in ["13", "15", "16", "18"] {
            assert_eq!(needed(&format!("{version}/invalidated/slot_phys_reserved.state")), None, "{version}");
        }
    }
}
