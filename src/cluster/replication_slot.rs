use std::fmt;

use super::fields::Fields;
use crate::wal::Lsn;

/// A slot's state: what a replication slot says, in its own file, of the WAL that it holds
/// (`ReplicationSlotPersistentData` in replication/slot.h). Physical slots are written at checkpoints only, so
/// the server may be ahead of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// The slot's name.
    pub name: String,
    /// The oid of the database that a logical slot decodes; 0 for a physical slot.
    pub database: u32,
    /// How long the slot lasts.
    pub persistency: SlotPersistency,
    /// From where on the slot needs WAL. `None` when the file does not know: a slot that never reserved any,
    /// a temporary one that was not saved yet (which does hold WAL), or an invalidated one.
    pub restart_lsn: Option<Lsn>,
    /// Up to where the consumer of a logical slot has confirmed.
    pub confirmed_flush: Option<Lsn>,
    /// The output plugin of a logical slot; empty for a physical one.
    pub plugin: String,
    /// Set when the server has given the slot up, and keeps no more WAL for it.
    pub invalidated: Option<Invalidation>,
    /// Whether a standby copied the slot from its primary (17 and later).
    pub synced: bool,
    /// Whether standbys shall copy the slot (17 and later).
    pub failover: bool,
    /// Whether a logical slot decodes prepared transactions (14 and later).
    pub two_phase: bool,
    /// The version of the file's format.
    pub version: u32,
}

impl SlotState {
    /// Whether the slot streams WAL as it is, and not decoded.
    #[must_use]
    pub const fn is_physical(&self) -> bool {
        self.database == 0
    }

    /// From where on the slot needs WAL: its `restart_lsn`; the control file's redo where it has none and is not
    /// invalidated, for the server may hold WAL for it from there on that its file does not know of; `None`
    /// where the server has given the slot up.
    #[must_use]
    pub fn needed_from(&self, redo: Lsn) -> Option<Lsn> {
        if self.invalidated.is_some() { None } else { self.restart_lsn.or(Some(redo)) }
    }

    /// Why the server gave the slot up, in the words of pg_replication_slots; `None` for a slot that is not
    /// invalidated, or a number that the server's major version (where it is known) does not use.
    ///
    /// 16 and 17 count the reasons 1, 2, 3; 18 made bits of them and kept the file's version
    /// (`ReplicationSlotInvalidationCause` in replication/slot.h).
    #[must_use]
    pub fn invalidation_reason(&self, major: Option<u32>) -> Option<&'static str> {
        let counted = major.is_none_or(|major| major <= 17);
        let bits = major.is_none_or(|major| major >= 18);
        match self.invalidated? {
            Invalidation::At(_) | Invalidation::Cause(1) => Some("wal_removed"),
            Invalidation::Cause(2) => Some("rows_removed"),
            Invalidation::Cause(3) if counted => Some("wal_level_insufficient"),
            Invalidation::Cause(4) if bits => Some("wal_level_insufficient"),
            Invalidation::Cause(8) if bits => Some("idle_timeout"),
            Invalidation::Cause(_) => None,
        }
    }
}

/// How a server wrote down that it gave a slot up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The `restart_lsn` that the slot had (13 to 15).
    At(Lsn),
    /// A number for the reason (16 and later), which depends on the major version.
    Cause(u32),
}

/// How long a slot lasts (`ReplicationSlotPersistency` in replication/slot.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPersistency {
    /// Until it is dropped.
    Persistent,
    /// Until the server stops; a logical slot that is being made.
    Ephemeral,
    /// Until its session ends.
    Temporary,
    /// Until openGauss's backup ends (`RS_BACKUP`).
    Backup,
}

/// Why bytes are not taken for a slot's state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotStateError {
    /// The file ends before its fields do, or goes on behind them.
    #[error("it is {found} bytes long, and {expected} are right")]
    Length {
        /// How long it is.
        found: usize,
        /// How long it should be.
        expected: usize,
    },
    /// The file does not begin as a slot's state does.
    #[error("it begins with {found:08X}, and a slot's state with {MAGIC:08X}")]
    Magic {
        /// The magic number in the file.
        found: u32,
    },
    /// No row of the table has this version and length.
    #[error("its version is {version} with {length} bytes of fields, which no known server writes")]
    UnknownVersion {
        /// The version in the file.
        version: u32,
        /// The length in the file.
        length: u32,
    },
    /// Damaged.
    #[error("its checksum is {stored:08X}, and {computed:08X} is right")]
    Checksum {
        /// What the file says.
        stored: u32,
        /// What it should say.
        computed: u32,
    },
    /// The checksum is right, but a field cannot be what it says: not the layout that the version promises.
    #[error("its {field} is {found}, which no slot's state says")]
    Implausible {
        /// The field.
        field: &'static str,
        /// What it says.
        found: String,
    },
}

const MAGIC: u32 = 0x0105_1CA1;

/// Every file's length field counts from here.
const HEADER_BYTES: usize = 16;

/// Where the fields of one version lie, in bytes from the start of the file.
struct Layout {
    version: u32,
    /// The file's length field; version 2 stands for four layouts, told apart by it.
    length: u32,
    /// Where the checksummed part begins.
    covered_from: usize,
    /// Whether persistency shares its field with the length of a text behind the fields.
    has_extra: bool,
    persistencies: &'static [SlotPersistency],
    restart_lsn: usize,
    invalidated_at: Option<usize>,
    invalidated: Option<usize>,
    confirmed_flush: usize,
    two_phase: Option<usize>,
    plugin: usize,
    synced_and_failover: Option<(usize, usize)>,
}

const POSTGRESQL_9_6: Layout = Layout {
    version: 2,
    length: 160,
    covered_from: 8,
    has_extra: false,
    persistencies: &[SlotPersistency::Persistent, SlotPersistency::Ephemeral, SlotPersistency::Temporary],
    restart_lsn: 96,
    invalidated_at: None,
    invalidated: None,
    confirmed_flush: 104,
    two_phase: None,
    plugin: 112,
    synced_and_failover: None,
};

const POSTGRESQL_13: Layout =
    Layout { length: 168, invalidated_at: Some(104), confirmed_flush: 112, plugin: 120, ..POSTGRESQL_9_6 };

const POSTGRESQL_14: Layout = Layout { length: 184, two_phase: Some(128), plugin: 129, ..POSTGRESQL_13 };

const POSTGRESQL_16: Layout =
    Layout { version: 3, invalidated_at: None, invalidated: Some(104), ..POSTGRESQL_14 };

/// One row a layout, compiled from each server's replication/slot.h on x86-64.
const LAYOUTS: &[Layout] = &[
    // openGauss-server src/include/replication/slot.h: its checksum leaves version and length out, and covers
    // the extra content of archive slots (`GET_SLOT_EXTRA_DATA_LENGTH`).
    Layout {
        version: 1,
        length: 176,
        covered_from: HEADER_BYTES,
        has_extra: true,
        persistencies: &[SlotPersistency::Persistent, SlotPersistency::Ephemeral, SlotPersistency::Backup],
        restart_lsn: 112,
        confirmed_flush: 120,
        plugin: 128,
        ..POSTGRESQL_9_6
    },
    // 9.6 to 12, and KingbaseES.
    POSTGRESQL_9_6,
    POSTGRESQL_13,
    // 14 and 15.
    POSTGRESQL_14,
    POSTGRESQL_16,
    // 17 and 18.
    Layout { version: 5, synced_and_failover: Some((193, 194)), ..POSTGRESQL_16 },
];

impl SlotState {
    /// Reads a slot's `state` file whole, and believes it only where its checksum is right and its fields make
    /// sense.
    pub fn parse(bytes: &[u8]) -> Result<Self, SlotStateError> {
        let fields = Fields(bytes);
        let header = || Some((fields.u32(0)?, fields.u32(4)?, fields.u32(8)?, fields.u32(12)?));
        let too_short = SlotStateError::Length { found: bytes.len(), expected: HEADER_BYTES };
        let (magic, stored, version, length) = header().ok_or(too_short)?;
        if magic != MAGIC {
            return Err(SlotStateError::Magic { found: magic });
        }
        let layout = LAYOUTS.iter().find(|layout| (layout.version, layout.length) == (version, length));
        let layout = layout.ok_or(SlotStateError::UnknownVersion { version, length })?;
        let expected = layout.file_bytes(fields);
        let wrong_length = SlotStateError::Length { found: bytes.len(), expected };
        if bytes.len() != expected {
            return Err(wrong_length);
        }
        let computed = fields.crc32c(layout.covered_from..expected).ok_or(wrong_length.clone())?;
        if stored != computed {
            return Err(SlotStateError::Checksum { stored, computed });
        }
        layout.read(fields).ok_or(wrong_length)?
    }
}

impl Layout {
    fn file_bytes(&self, fields: Fields<'_>) -> usize {
        let extra = if self.has_extra { fields.u16(86).unwrap_or(0) } else { 0 };
        usize::try_from(self.length).unwrap_or(usize::MAX).saturating_add(HEADER_BYTES + usize::from(extra))
    }

    /// Reads every field; the outer `None` is a file that ends too early.
    fn read(&self, fields: Fields<'_>) -> Option<Result<SlotState, SlotStateError>> {
        let raw_name = fields.array::<64>(16)?;
        let Some(name) = visible_text(&raw_name).filter(|name| !name.is_empty()) else {
            return Some(Err(implausible("name", raw_name.escape_ascii())));
        };
        let raw_plugin = fields.array::<64>(self.plugin)?;
        let Some(plugin) = visible_text(&raw_plugin) else {
            return Some(Err(implausible("plugin", raw_plugin.escape_ascii())));
        };
        let raw_persistency = if self.has_extra { u32::from(fields.u16(84)?) } else { fields.u32(84)? };
        let known = usize::try_from(raw_persistency).ok().and_then(|raw| self.persistencies.get(raw));
        let Some(persistency) = known.copied() else {
            return Some(Err(implausible("persistency", raw_persistency)));
        };
        let lsn = |offset| fields.u64(offset).map(Lsn::new);
        let flag = |offset: Option<usize>| offset.and_then(|o| fields.u8(o)).is_some_and(|byte| byte != 0);
        let restart_lsn = known_lsn(lsn(self.restart_lsn)?);
        Some(Ok(SlotState {
            name,
            database: fields.u32(80)?,
            persistency,
            restart_lsn,
            confirmed_flush: known_lsn(lsn(self.confirmed_flush)?),
            plugin,
            invalidated: self.invalidation(fields, restart_lsn),
            synced: flag(self.synced_and_failover.map(|(synced, _)| synced)),
            failover: flag(self.synced_and_failover.map(|(_, failover)| failover)),
            two_phase: flag(self.two_phase),
            version: self.version,
        }))
    }

    /// Up to 15 a slot is lost only while it has no `restart_lsn`: a consumer that came back gives it one
    /// again, and `invalidated_at` stays (`pg_get_replication_slots` in slotfuncs.c).
    fn invalidation(&self, fields: Fields<'_>, restart_lsn: Option<Lsn>) -> Option<Invalidation> {
        let at = || self.invalidated_at.and_then(|o| fields.u64(o)).map(Lsn::new).and_then(known_lsn);
        let cause = || self.invalidated.and_then(|o| fields.u32(o)).filter(|cause| *cause != 0);
        let lost_at = at().filter(|_| restart_lsn.is_none()).map(Invalidation::At);
        lost_at.or_else(|| cause().map(Invalidation::Cause))
    }
}

fn known_lsn(lsn: Lsn) -> Option<Lsn> {
    Some(lsn).filter(|lsn| *lsn != Lsn::ZERO)
}

/// The text before the first NUL, of characters that can be seen; slot names become directory names.
fn visible_text(padded: &[u8]) -> Option<String> {
    let text = padded.split(|byte| *byte == 0).next()?;
    let visible = text.len() < padded.len() && text.iter().all(|b| b.is_ascii_graphic() && *b != b'/');
    if visible { String::from_utf8(text.to_vec()).ok() } else { None }
}

fn implausible(field: &'static str, found: impl fmt::Display) -> SlotStateError {
    SlotStateError::Implausible { field, found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{fixture, fixtures_with, opengauss_slot, printed, put};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    /// A fixture directory's slots, by name, as pg_replication_slots showed them.
    fn shown(label: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
        let text = fs::read_to_string(label.join("pg_replication_slots.txt")).unwrap();
        let records = text.split("-[ RECORD").skip(1).map(|record| printed(record, '|'));
        records.map(|record| (record["slot_name"].clone(), record)).collect()
    }

    /// A fixture directory's slot files, by the names of the slots.
    fn state_files(label: &Path) -> BTreeMap<String, Vec<u8>> {
        let paths = fs::read_dir(label).unwrap().map(|entry| entry.unwrap().path());
        let states = paths.filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_prefix("slot_")?.strip_suffix(".state")?.to_owned();
            Some((name, fs::read(&path).unwrap()))
        });
        states.collect()
    }

    fn column<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_slot_is_what_pg_replication_slots_shows() {
        let mut compared = 0;
        for label in fixtures_with("pg_replication_slots.txt") {
            let shown = shown(&label);
            let files = state_files(&label);
            assert_eq!(shown.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>(), "{label:?}");
            for (name, bytes) in files {
                let slot = SlotState::parse(&bytes).unwrap_or_else(|e| panic!("{label:?} {name}: {e}"));
                compare(&slot, &shown[&name]);
                compared += 1;
            }
        }
        assert!(compared >= 60, "{compared}");
    }

    fn compare(slot: &SlotState, shown: &BTreeMap<String, String>) {
        assert_eq!(shown["slot_name"], slot.name);
        assert_eq!(shown["plugin"], slot.plugin);
        assert_eq!(shown["slot_type"] == "physical", slot.is_physical());
        assert_eq!(shown["datoid"], column(Some(slot.database).filter(|_| !slot.is_physical())));
        assert_eq!(shown["temporary"] == "t", slot.persistency == SlotPersistency::Temporary);
        assert_eq!(shown["restart_lsn"], column(slot.restart_lsn), "{slot:?}");
        assert_eq!(shown["confirmed_flush_lsn"], column(slot.confirmed_flush));
        let flag = |column: &str| shown.get(column).is_some_and(|value| value == "t");
        assert_eq!(flag("two_phase"), slot.two_phase);
        assert_eq!(flag("failover"), slot.failover);
        assert_eq!(flag("synced"), slot.synced);
        let lost = shown.get("wal_status").is_some_and(|status| status == "lost");
        assert_eq!(lost, slot.invalidated.is_some(), "{slot:?}");
        if let Some(reason) = shown.get("invalidation_reason") {
            for major in [None, Some(18)] {
                assert_eq!(reason, slot.invalidation_reason(major).unwrap_or_default());
            }
        }
    }

    #[test]
    fn a_temporary_slot_that_was_not_saved_yet_knows_no_position() {
        for major in ["12", "15-debian", "17"] {
            let slot = SlotState::parse(&fixture(&format!("{major}/tempslots/slot_bb_tmp.unsaved.state")));
            let slot = slot.unwrap();
            assert_eq!((slot.persistency, slot.restart_lsn), (SlotPersistency::Temporary, None));
            assert_eq!(slot.invalidated, None);
        }
        let saved = fixture("15-debian/tempslots/slot_bb_tmp.after_checkpoint.state");
        assert!(SlotState::parse(&saved).unwrap().restart_lsn.is_some());
    }

    fn seal(bytes: &mut [u8], covered_from: usize) {
        let crc = crc32c::crc32c(&bytes[covered_from..]);
        put(bytes, 4, crc.to_le_bytes());
    }

    #[test]
    fn a_slot_that_got_wal_again_after_it_was_given_up_holds_it() {
        let mut bytes = fixture("13/invalidated/slot_phys_reserved.state");
        assert!(matches!(SlotState::parse(&bytes).unwrap().invalidated, Some(Invalidation::At(_))));
        put(&mut bytes, 96, 0x0300_0028_u64.to_le_bytes());
        seal(&mut bytes, 8);
        let slot = SlotState::parse(&bytes).unwrap();
        assert_eq!((slot.restart_lsn, slot.invalidated), (Some(Lsn::new(0x0300_0028)), None));
    }

    #[test]
    fn reasons_have_other_numbers_from_18_on() {
        let mut slot = SlotState::parse(&fixture("17/running/slot_phys_reserved.state")).unwrap();
        let mut reason = |cause, major| {
            slot.invalidated = Some(Invalidation::Cause(cause));
            slot.invalidation_reason(major)
        };
        for major in [None, Some(16), Some(17), Some(18)] {
            assert_eq!(reason(1, major), Some("wal_removed"));
            assert_eq!(reason(2, major), Some("rows_removed"));
            assert_eq!(reason(16, major), None);
        }
        assert_eq!((reason(3, Some(17)), reason(3, Some(18))), (Some("wal_level_insufficient"), None));
        assert_eq!((reason(4, Some(17)), reason(4, Some(18))), (None, Some("wal_level_insufficient")));
        assert_eq!((reason(8, Some(17)), reason(8, Some(18))), (None, Some("idle_timeout")));
        assert_eq!(
            (reason(3, None), reason(8, None)),
            (Some("wal_level_insufficient"), Some("idle_timeout"))
        );
    }

    #[test]
    fn opengauss_is_read_by_its_own_offsets() {
        for extra in [&b""[..], b"OBS;endpoint;bucket"] {
            let expected = SlotState {
                name: "dn_6002".to_owned(),
                database: 16_384,
                persistency: SlotPersistency::Backup,
                restart_lsn: Some(Lsn::new(0x0300_0028)),
                confirmed_flush: Some(Lsn::new(0x0300_0060)),
                plugin: "mppdb_decoding".to_owned(),
                invalidated: None,
                synced: false,
                failover: false,
                two_phase: false,
                version: 1,
            };
            assert_eq!(SlotState::parse(&opengauss_slot(extra)), Ok(expected));
        }
    }

    #[test]
    fn the_checksum_of_opengauss_covers_the_extra_content() {
        let mut bytes = opengauss_slot(b"NAS;/backup;");
        bytes[200] ^= 1;
        assert!(matches!(SlotState::parse(&bytes), Err(SlotStateError::Checksum { .. })));
    }

    #[test]
    fn what_is_no_slot_state_is_refused_and_named() {
        let good = fixture("12/running/slot_phys_reserved.state");
        let refused = |bytes: &[u8]| SlotState::parse(bytes).unwrap_err().to_string();
        let changed = |offset: usize, value: u32| {
            let mut bytes = good.clone();
            put(&mut bytes, offset, value.to_le_bytes());
            seal(&mut bytes, 8);
            refused(&bytes)
        };
        assert_eq!(refused(b""), "it is 0 bytes long, and 16 are right");
        assert_eq!(refused(&good[..175]), "it is 175 bytes long, and 176 are right");
        assert_eq!(refused(&[&good[..], b"x"].concat()), "it is 177 bytes long, and 176 are right");
        assert_eq!(changed(0, 0), "it begins with 00000000, and a slot's state with 01051CA1");
        let unknown = "its version is 4 with 160 bytes of fields, which no known server writes";
        assert_eq!(changed(8, 4), unknown);
        let unknown = "its version is 2 with 176 bytes of fields, which no known server writes";
        assert_eq!(changed(12, 176), unknown);
        assert_eq!(changed(84, 3), "its persistency is 3, which no slot's state says");
        assert!(changed(16, 0).starts_with("its name is \\x00"));
        assert!(changed(16, u32::from_le_bytes(*b"../a")).starts_with("its name is ../a"));
    }

    fn samples() -> Vec<Vec<u8>> {
        let labels = fixtures_with("pg_control").into_iter().chain(fixtures_with("slot_tmp_phys.state"));
        let states = labels.flat_map(|label| state_files(&label).into_values());
        states.chain([opengauss_slot(b""), opengauss_slot(b"OBS;endpoint;bucket")]).collect()
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused(sample in prop::sample::select(samples()), place: prop::sample::Index) {
            let bit = place.index(sample.len() * 8);
            let mut bytes = sample;
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(SlotState::parse(&bytes).is_err(), "byte {}", bit / 8);
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..260), row in 0..LAYOUTS.len()) {
            let _ = SlotState::parse(&bytes);
            if bytes.len() >= HEADER_BYTES {
                put(&mut bytes, 0, MAGIC.to_le_bytes());
                put(&mut bytes, 8, LAYOUTS[row].version.to_le_bytes());
                put(&mut bytes, 12, LAYOUTS[row].length.to_le_bytes());
                let expected = LAYOUTS[row].file_bytes(Fields(&bytes)).min(1 << 17);
                bytes.resize(expected, 0);
                seal(&mut bytes, LAYOUTS[row].covered_from);
                let _ = SlotState::parse(&bytes);
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_slot_its_checksum_right_or_wrong_nothing_panics(
                mut bytes in mutated(samples()), row in 0..LAYOUTS.len(), is_sealed: bool,
            ) {
                if is_sealed && bytes.len() >= HEADER_BYTES {
                    seal(&mut bytes, LAYOUTS[row].covered_from);
                }
                if let Ok(slot) = SlotState::parse(&bytes) {
                    prop_assert!(slot.name.len() <= bytes.len() * 3, "{}", slot.name);
                }
            }
        }
    }
}
