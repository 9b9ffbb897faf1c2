use std::fmt;

use super::Dialect;
use super::fields::Fields;
use crate::wal::{Lsn, SegmentSize, SystemIdentifier, Timeline};

/// The control file: what the server knows about its own WAL and its last checkpoint (`ControlFileData` in
/// catalog/pg_control.h).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFile {
    /// The number that initdb gave the cluster.
    pub system_identifier: SystemIdentifier,
    /// The version of the control file's format.
    pub version: u32,
    /// The version of the system catalogs; moves with every build of KingbaseES.
    pub catalog_version: u32,
    /// Who writes this layout: one product, or several that cannot be told apart by it.
    pub written_by: &'static str,
    /// What the server said of itself last. A crash leaves "in production" behind.
    pub state: ClusterState,
    /// When the file was written, in seconds since 1970.
    pub time: i64,
    /// The last checkpoint's record; on a standby the last restartpoint's.
    pub checkpoint: Lsn,
    /// Where replay would begin.
    pub redo: Lsn,
    /// The timeline of the checkpoint.
    pub timeline: Timeline,
    /// The timeline before it, which is the same but for the first checkpoint after a promotion.
    pub prev_timeline: Option<Timeline>,
    /// When the checkpoint was made, in seconds since 1970.
    pub checkpoint_time: i64,
    /// How far a standby must replay before it is consistent; 0/0 elsewhere.
    pub min_recovery: Lsn,
    /// The timeline of `min_recovery`. Also set after a promotion, until the first checkpoint is complete; 0 elsewhere than
    /// on a standby and then.
    pub min_recovery_timeline: Option<u32>,
    /// The redo point of the base backup that is being recovered; 0/0 when none is.
    pub backup_start: Lsn,
    /// The end of a base backup from a standby that is being recovered; 0/0 when none is.
    pub backup_end: Lsn,
    /// The size of a segment.
    pub segment_size: SegmentSize,
    /// The size of a page in a segment.
    pub wal_block_bytes: u32,
    /// The `wal_level` that the server ran with last.
    pub wal_level: WalLevel,
    /// Which checksums data pages carry; 0 is none.
    pub data_checksum_version: Option<u32>,
    /// Where the file's own checksum lies.
    pub crc_offset: usize,
}

impl ControlFile {
    /// The timeline that the server is on: the checkpoint's, or that of the recovery minimum, which is ahead from the end of
    /// a promotion until its first checkpoint is complete, minutes later (`UpdateControlFile` and `CreateEndOfRecoveryRecord`
    /// in access/transam/xlog.c).
    #[must_use]
    pub fn own_timeline(&self) -> Timeline {
        let minimum = self.min_recovery_timeline.and_then(Timeline::new);
        minimum.map_or(self.timeline, |minimum| minimum.max(self.timeline))
    }

    /// The furthest position that the server is known to have replayed or written.
    #[must_use]
    pub fn known_position(&self) -> Lsn {
        self.checkpoint.max(self.min_recovery)
    }
}

/// A `wal_level` as the control file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalLevel {
    /// The number in the file.
    pub raw: u32,
    /// The word for it in this product's configuration; `None` for a number that the product is not known for.
    pub name: Option<&'static str>,
}

/// What a server says of itself in its control file (`DBState` in catalog/pg_control.h; the same in all
/// products).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// Being made by initdb.
    StartingUp,
    /// Stopped cleanly.
    ShutDown,
    /// Stopped cleanly while it was a standby, or in recovery.
    ShutDownInRecovery,
    /// Writing its last checkpoint.
    ShuttingDown,
    /// Recovering from a crash.
    InCrashRecovery,
    /// Recovering from an archive, or a standby.
    InArchiveRecovery,
    /// A primary that runs, or that crashed.
    InProduction,
}

impl ClusterState {
    fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            0 => Self::StartingUp,
            1 => Self::ShutDown,
            2 => Self::ShutDownInRecovery,
            3 => Self::ShuttingDown,
            4 => Self::InCrashRecovery,
            5 => Self::InArchiveRecovery,
            6 => Self::InProduction,
            _ => return None,
        })
    }
}

impl fmt::Display for ClusterState {
    /// Shows the state in pg_controldata's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartingUp => "starting up",
            Self::ShutDown => "shut down",
            Self::ShutDownInRecovery => "shut down in recovery",
            Self::ShuttingDown => "shutting down",
            Self::InCrashRecovery => "in crash recovery",
            Self::InArchiveRecovery => "in archive recovery",
            Self::InProduction => "in production",
        })
    }
}

/// Why bytes are not taken for a control file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlFileError {
    /// The file ends before its fields do.
    #[error("it is {bytes} bytes long, and a control file is 8192")]
    TooShort {
        /// How long it is.
        bytes: usize,
    },
    /// The version reads right with its bytes turned round.
    #[error("its bytes are in another order: it comes from a big-endian machine")]
    ByteSwapped,
    /// No row of the table has this version.
    #[error("its version is {found}, and known are {known}", known = known_versions())]
    UnknownVersion {
        /// The version in the file.
        found: u32,
    },
    /// A version that is known, but not from this product.
    #[error("its version is {found}, which {product} does not write")]
    OtherProduct {
        /// The version in the file.
        found: u32,
        /// The product that the data directory belongs to.
        product: &'static str,
    },
    /// Nowhere where a checksum may lie is the right one: damaged, or caught while being written.
    #[error("its checksum is {stored:08X} at byte {offset}, and {computed:08X} is right")]
    Checksum {
        /// Where the version has its checksum.
        offset: usize,
        /// What lies there.
        stored: u32,
        /// What should.
        computed: u32,
    },
    /// More than one place holds a right checksum, so that none of them proves anything.
    #[error("a right checksum lies at byte {first} and at byte {second}")]
    AmbiguousChecksum {
        /// The first such place.
        first: usize,
        /// The second.
        second: usize,
    },
    /// The checksum is right, but a field cannot be what it says: not the layout that the version promises.
    #[error("its {field} is {found}, which no control file says")]
    Implausible {
        /// The field, in pg_controldata's words.
        field: &'static str,
        /// What it says.
        found: String,
    },
}

/// Where the fields of one version lie, in bytes from the start of the file.
struct Layout {
    version: u32,
    written_by: &'static str,
    /// Who writes the same fields with more behind them, and so the checksum further on.
    extended_by: Option<&'static str>,
    state: usize,
    redo: usize,
    timeline: usize,
    prev_timeline: Option<usize>,
    checkpoint_time: usize,
    min_recovery: usize,
    min_recovery_timeline: Option<usize>,
    backup_start: usize,
    backup_end: usize,
    wal_level: usize,
    wal_level_names: &'static [&'static str],
    max_align: usize,
    float_format: usize,
    wal_block_bytes: usize,
    segment_size: usize,
    data_checksum_version: Option<usize>,
    crc: usize,
}

/// PostgreSQL 12, which KingbaseES V8R6 grew out of.
const POSTGRESQL_12: Layout = Layout {
    version: 1201,
    written_by: "PostgreSQL 12",
    extended_by: Some("KingbaseES V8R6/V9"),
    state: 16,
    redo: 40,
    timeline: 48,
    prev_timeline: Some(52),
    checkpoint_time: 104,
    min_recovery: 136,
    min_recovery_timeline: Some(144),
    backup_start: 152,
    backup_end: 160,
    wal_level: 172,
    wal_level_names: &["minimal", "replica", "logical"],
    max_align: 204,
    float_format: 208,
    wal_block_bytes: 224,
    segment_size: 228,
    data_checksum_version: Some(252),
    crc: 288,
};

/// PostgreSQL 10, the last with `prevCheckPoint` before the copy of the checkpoint.
const POSTGRESQL_10: Layout = Layout {
    version: 1002,
    written_by: "PostgreSQL 10",
    extended_by: None,
    redo: 48,
    timeline: 56,
    prev_timeline: Some(60),
    max_align: 200,
    ..POSTGRESQL_12
};

/// One row a version, compiled from each server's catalog/pg_control.h on x86-64. 942 is absent on purpose:
/// 9.4 and 9.5 both say it, with different layouts. A version that is not here is refused, not guessed.
const LAYOUTS: &[Layout] = &[
    // openGauss-server src/include/catalog/pg_control.h. The field `timeline` at 16 counts the server's starts.
    Layout {
        version: 923,
        written_by: "openGauss",
        extended_by: None,
        state: 20,
        redo: 48,
        timeline: 56,
        prev_timeline: None,
        checkpoint_time: 112,
        min_recovery: 136,
        min_recovery_timeline: None,
        backup_start: 144,
        backup_end: 152,
        wal_level: 164,
        wal_level_names: &["minimal", "archive", "hot_standby", "logical"],
        max_align: 180,
        float_format: 184,
        wal_block_bytes: 200,
        segment_size: 204,
        data_checksum_version: None,
        crc: 224,
    },
    // KingbaseES V8R3 has no public sample; its base is 9.6.
    Layout {
        version: 960,
        written_by: "PostgreSQL 9.6",
        extended_by: Some("KingbaseES V8R3"),
        crc: 256,
        ..POSTGRESQL_10
    },
    POSTGRESQL_10,
    Layout {
        version: 1100,
        written_by: "PostgreSQL 11",
        extended_by: None,
        checkpoint_time: 96,
        min_recovery: 128,
        min_recovery_timeline: Some(136),
        backup_start: 144,
        backup_end: 152,
        wal_level: 164,
        max_align: 192,
        float_format: 200,
        wal_block_bytes: 216,
        segment_size: 220,
        data_checksum_version: Some(244),
        crc: 280,
        ..POSTGRESQL_12
    },
    POSTGRESQL_12,
    Layout { version: 1300, written_by: "PostgreSQL 13 to 16", extended_by: None, ..POSTGRESQL_12 },
    Layout { version: 1700, written_by: "PostgreSQL 17", extended_by: None, ..POSTGRESQL_12 },
    Layout { version: 1800, written_by: "PostgreSQL 18", extended_by: None, crc: 292, ..POSTGRESQL_12 },
];

fn known_versions() -> String {
    LAYOUTS.iter().map(|layout| layout.version.to_string()).collect::<Vec<_>>().join(", ")
}

/// Fields end before this byte in every version (`PG_CONTROL_MAX_SAFE_SIZE`), so that one sector holds them.
const MOST_FIELD_BYTES: usize = 512;

/// Where a product that added fields may have its checksum: behind the fields that walkeep reads.
const CHECKSUM_SCAN: std::ops::Range<usize> = 160..MOST_FIELD_BYTES;

impl ControlFile {
    /// The timeline that the server writes. After a promotion the last checkpoint is of the older one until the next is
    /// complete, for minutes; by then `minRecoveryPointTLI` is the new one (`CreateEndOfRecoveryRecord` in xlog.c).
    #[must_use]
    pub fn written_timeline(&self) -> Timeline {
        let promoted_to = self.min_recovery_timeline.and_then(Timeline::new);
        let promoted_to = promoted_to.filter(|_| self.state == ClusterState::InProduction);
        promoted_to.map_or(self.timeline, |timeline| timeline.max(self.timeline))
    }

    /// Reads a control file, of the given product or of any, and believes it only where its checksum is right
    /// and its fields make sense.
    ///
    /// KingbaseES writes PostgreSQL's version numbers with fields of its own behind PostgreSQL's. Its checksum
    /// comes last and so somewhere else, and is searched for: exactly one place must hold the right one.
    pub fn parse(bytes: &[u8], dialect: Option<&Dialect>) -> Result<Self, ControlFileError> {
        let too_short = ControlFileError::TooShort { bytes: bytes.len() };
        let fields = Fields(bytes.get(..MOST_FIELD_BYTES).ok_or(too_short.clone())?);
        let layout = layout(fields.u32(8).ok_or(too_short.clone())?, dialect)?;
        let (crc_offset, written_by) = proven_checksum(fields, layout, dialect)?;
        let read = layout.read(fields, crc_offset, written_by).ok_or(too_short)?;
        read.and_then(ControlFile::plausible)
    }

    fn plausible(self) -> Result<Self, ControlFileError> {
        if self.redo == Lsn::ZERO || self.redo > self.checkpoint {
            let found = format!("{}, with a checkpoint at {}", self.redo, self.checkpoint);
            return Err(implausible("redo location", found));
        }
        if !self.wal_block_bytes.is_power_of_two() || !(1 << 10..=1 << 16).contains(&self.wal_block_bytes) {
            return Err(implausible("WAL block size", self.wal_block_bytes));
        }
        Ok(self)
    }
}

fn layout(version: u32, dialect: Option<&Dialect>) -> Result<&'static Layout, ControlFileError> {
    // catalog/pg_control.h: versions stay below 65536 so that the wrong byte order shows.
    if version != 0 && version.is_multiple_of(1 << 16) {
        return Err(ControlFileError::ByteSwapped);
    }
    let known = LAYOUTS.iter().find(|layout| layout.version == version);
    let layout = known.ok_or(ControlFileError::UnknownVersion { found: version })?;
    match dialect {
        Some(dialect) if !dialect.control_versions.contains(&version) => {
            Err(ControlFileError::OtherProduct { found: version, product: dialect.product })
        }
        _ => Ok(layout),
    }
}

/// Where the right checksum lies, and so who wrote the file.
fn proven_checksum(
    fields: Fields<'_>,
    layout: &Layout,
    dialect: Option<&Dialect>,
) -> Result<(usize, &'static str), ControlFileError> {
    let is_right =
        |offset: usize| fields.crc32c(0..offset).is_some_and(|crc| fields.u32(offset) == Some(crc));
    let extended_by = layout.extended_by.filter(|product| dialect.is_none_or(|d| d.product == *product));
    if is_right(layout.crc) {
        let known_product = extended_by.filter(|_| dialect.is_some());
        return Ok((layout.crc, known_product.unwrap_or(layout.written_by)));
    }
    let wrong = ControlFileError::Checksum {
        offset: layout.crc,
        stored: fields.u32(layout.crc).unwrap_or(0),
        computed: fields.crc32c(0..layout.crc).unwrap_or(0),
    };
    let Some(product) = extended_by else { return Err(wrong) };
    let mut right = CHECKSUM_SCAN.step_by(4).filter(|offset| is_right(*offset));
    match (right.next(), right.next()) {
        (Some(offset), None) => Ok((offset, product)),
        (Some(first), Some(second)) => Err(ControlFileError::AmbiguousChecksum { first, second }),
        (None, _) => Err(wrong),
    }
}

fn implausible(field: &'static str, found: impl fmt::Display) -> ControlFileError {
    ControlFileError::Implausible { field, found: found.to_string() }
}

impl Layout {
    /// Reads every field; the outer `None` is a file that ends too early.
    fn read(
        &self,
        fields: Fields<'_>,
        crc_offset: usize,
        written_by: &'static str,
    ) -> Option<Result<ControlFile, ControlFileError>> {
        if let Err(other_machine) = self.written_by_such_a_machine(fields)? {
            return Some(Err(other_machine));
        }
        let raw_state = fields.u32(self.state)?;
        let Some(state) = ClusterState::from_raw(raw_state) else {
            return Some(Err(implausible("cluster state", raw_state)));
        };
        let raw_timeline = fields.u32(self.timeline)?;
        let Some(timeline) = Timeline::new(raw_timeline) else {
            return Some(Err(implausible("timeline", raw_timeline)));
        };
        let raw_segment_size = fields.u32(self.segment_size)?;
        let Some(segment_size) = SegmentSize::new(raw_segment_size.into()) else {
            return Some(Err(implausible("WAL segment size", raw_segment_size)));
        };
        let lsn = |offset| fields.u64(offset).map(Lsn::new);
        let raw_level = fields.u32(self.wal_level)?;
        let named = usize::try_from(raw_level).ok().and_then(|level| self.wal_level_names.get(level));
        Some(Ok(ControlFile {
            system_identifier: SystemIdentifier::new(fields.u64(0)?),
            version: self.version,
            catalog_version: fields.u32(12)?,
            written_by,
            state,
            time: fields.i64(24)?,
            checkpoint: lsn(32)?,
            redo: lsn(self.redo)?,
            timeline,
            prev_timeline: self.prev_timeline.and_then(|o| fields.u32(o)).and_then(Timeline::new),
            checkpoint_time: fields.i64(self.checkpoint_time)?,
            min_recovery: lsn(self.min_recovery)?,
            min_recovery_timeline: self.min_recovery_timeline.and_then(|o| fields.u32(o)),
            backup_start: lsn(self.backup_start)?,
            backup_end: lsn(self.backup_end)?,
            segment_size,
            wal_block_bytes: fields.u32(self.wal_block_bytes)?,
            wal_level: WalLevel { raw: raw_level, name: named.copied() },
            data_checksum_version: self.data_checksum_version.and_then(|o| fields.u32(o)),
            crc_offset,
        }))
    }

    /// Checks the two fields that are there for nothing else (catalog/pg_control.h, `FLOATFORMAT_VALUE`).
    fn written_by_such_a_machine(&self, fields: Fields<'_>) -> Option<Result<(), ControlFileError>> {
        let max_align = fields.u32(self.max_align)?;
        if max_align != 8 {
            return Some(Err(implausible("maximum data alignment", max_align)));
        }
        let float_format = f64::from_le_bytes(fields.array(self.float_format)?);
        if float_format.to_bits() != 1_234_567.0_f64.to_bits() {
            return Some(Err(implausible("floating-point format", float_format)));
        }
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        every_dialect, fixture, fixtures_with, kingbase_control_file, opengauss_control_file,
        postgresql_9_6_control_file, printed, put, row, seal,
    };
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn seconds(text: &str, format: &str) -> i64 {
        chrono::NaiveDateTime::parse_from_str(text, format).unwrap().and_utc().timestamp()
    }

    /// Compares a field with what a server printed, where it printed it.
    fn same(printed: &BTreeMap<String, String>, label: &str, field: impl fmt::Display) {
        assert_eq!(printed[label], field.to_string(), "{label}");
    }

    #[test]
    fn every_field_is_what_pg_controldata_prints() {
        let labels = fixtures_with("pg_controldata.txt");
        assert!(labels.len() >= 20, "{labels:?}");
        for label in labels {
            let bytes = std::fs::read(label.join("pg_control")).unwrap();
            let control = ControlFile::parse(&bytes, None).unwrap_or_else(|e| panic!("{label:?}: {e}"));
            let text = std::fs::read_to_string(label.join("pg_controldata.txt")).unwrap();
            let text = printed(&text, ':');
            let at = |label: &str| seconds(&text[label], "%a %b %e %H:%M:%S %Y");
            same(&text, "pg_control version number", control.version);
            same(&text, "Catalog version number", control.catalog_version);
            same(&text, "Database system identifier", control.system_identifier);
            same(&text, "Database cluster state", control.state);
            assert_eq!(at("pg_control last modified"), control.time);
            same(&text, "Latest checkpoint location", control.checkpoint);
            same(&text, "Latest checkpoint's REDO location", control.redo);
            same(&text, "Latest checkpoint's TimeLineID", control.timeline);
            same(&text, "Latest checkpoint's PrevTimeLineID", control.prev_timeline.unwrap());
            assert_eq!(at("Time of latest checkpoint"), control.checkpoint_time);
            same(&text, "Minimum recovery ending location", control.min_recovery);
            same(&text, "Min recovery ending loc's timeline", control.min_recovery_timeline.unwrap());
            same(&text, "Backup start location", control.backup_start);
            same(&text, "Backup end location", control.backup_end);
            same(&text, "wal_level setting", control.wal_level.name.unwrap());
            same(&text, "WAL block size", control.wal_block_bytes);
            same(&text, "Bytes per WAL segment", control.segment_size.bytes());
            same(&text, "Data page checksum version", control.data_checksum_version.unwrap());
        }
    }

    #[test]
    fn every_field_is_what_the_servers_functions_return() {
        let labels = fixtures_with("pg_control_functions.txt");
        assert!(labels.len() >= 15, "{labels:?}");
        for label in labels {
            let bytes = std::fs::read(label.join("pg_control")).unwrap();
            let control = ControlFile::parse(&bytes, None).unwrap_or_else(|e| panic!("{label:?}: {e}"));
            let text = std::fs::read_to_string(label.join("pg_control_functions.txt")).unwrap();
            let text = printed(&text, '|');
            let at = |label: &str| seconds(&text[label], "%Y-%m-%d %H:%M:%S+00");
            same(&text, "pg_control_version", control.version);
            same(&text, "catalog_version_no", control.catalog_version);
            same(&text, "system_identifier", control.system_identifier);
            assert_eq!(at("pg_control_last_modified"), control.time);
            same(&text, "checkpoint_lsn", control.checkpoint);
            same(&text, "redo_lsn", control.redo);
            same(&text, "timeline_id", control.timeline);
            same(&text, "prev_timeline_id", control.prev_timeline.unwrap());
            assert_eq!(at("checkpoint_time"), control.checkpoint_time);
            same(&text, "min_recovery_end_lsn", control.min_recovery);
            same(&text, "min_recovery_end_timeline", control.min_recovery_timeline.unwrap());
            same(&text, "backup_start_lsn", control.backup_start);
            same(&text, "backup_end_lsn", control.backup_end);
            same(&text, "wal_block_size", control.wal_block_bytes);
            same(&text, "bytes_per_wal_segment", control.segment_size.bytes());
            same(&text, "data_page_checksum_version", control.data_checksum_version.unwrap());
        }
    }

    #[test]
    fn the_segment_size_is_the_one_that_initdb_was_given() {
        for (file, mebibytes) in [("pg_control.walseg1MB", 1), ("pg_control.walseg1024MB", 1024)] {
            let control = ControlFile::parse(&fixture(&format!("15-debian/{file}")), None).unwrap();
            assert_eq!(control.segment_size.bytes(), mebibytes << 20);
        }
    }

    #[test]
    fn every_dialect_reads_its_own_control_files_and_refuses_other_versions() {
        for (dialect, _, bytes) in every_dialect() {
            let control = ControlFile::parse(&bytes, Some(dialect)).unwrap();
            let strangers = every_dialect().into_iter().map(|(other, ..)| other);
            for other in strangers.filter(|other| !other.control_versions.contains(&control.version)) {
                let refused =
                    ControlFileError::OtherProduct { found: control.version, product: other.product };
                assert_eq!(ControlFile::parse(&bytes, Some(other)), Err(refused));
            }
        }
    }

    #[test]
    fn the_checksum_of_kingbase_is_found_behind_its_own_fields() {
        let bytes = kingbase_control_file();
        let kingbase = row("kingbase-v8r6", "12");
        for dialect in [None, Some(kingbase)] {
            let control = ControlFile::parse(&bytes, dialect).unwrap();
            assert_eq!((control.crc_offset, control.written_by), (296, "KingbaseES V8R6/V9"));
            assert_eq!((control.catalog_version, control.data_checksum_version), (202_211_151, Some(3)));
            assert_eq!(control.redo, "0/14000148".parse().unwrap());
        }
        let plain = fixture("12/running/pg_control");
        assert_eq!(ControlFile::parse(&plain, None).unwrap().written_by, "PostgreSQL 12");
        assert_eq!(ControlFile::parse(&plain, Some(kingbase)).unwrap().written_by, "KingbaseES V8R6/V9");
    }

    #[test]
    fn a_checksum_elsewhere_is_refused_in_a_directory_of_postgresql() {
        let error = ControlFile::parse(&kingbase_control_file(), Some(row("postgresql", "12"))).unwrap_err();
        assert!(matches!(error, ControlFileError::Checksum { offset: 288, .. }), "{error}");
    }

    #[test]
    fn two_right_checksums_prove_nothing() {
        let mut bytes = kingbase_control_file();
        seal(&mut bytes, 400);
        let error = ControlFile::parse(&bytes, None).unwrap_err();
        assert_eq!(error.to_string(), "a right checksum lies at byte 296 and at byte 400");
    }

    #[test]
    fn opengauss_is_read_by_its_own_offsets() {
        let control = ControlFile::parse(&opengauss_control_file(), None).unwrap();
        let expected = ControlFile {
            system_identifier: SystemIdentifier::new(7_710_431_001_074_634_241),
            version: 923,
            catalog_version: 201_611_171,
            written_by: "openGauss",
            state: ClusterState::InProduction,
            time: 1_700_000_000,
            checkpoint: Lsn::new(0x0300_0060),
            redo: Lsn::new(0x0300_0028),
            timeline: Timeline::FIRST,
            prev_timeline: None,
            checkpoint_time: 1_699_999_999,
            min_recovery: Lsn::new(0x0300_0100),
            min_recovery_timeline: None,
            backup_start: Lsn::new(0x0100_0028),
            backup_end: Lsn::new(0x0100_0100),
            segment_size: SegmentSize::new(16 << 20).unwrap(),
            wal_block_bytes: 8192,
            wal_level: WalLevel { raw: 2, name: Some("hot_standby") },
            data_checksum_version: None,
            crc_offset: 224,
        };
        assert_eq!(control, expected);
    }

    #[test]
    fn a_control_file_of_9_6_has_the_fields_of_10_and_an_earlier_checksum() {
        let ten = ControlFile::parse(&fixture("10/running/pg_control"), None).unwrap();
        let control = ControlFile::parse(&postgresql_9_6_control_file(), None).unwrap();
        let expected = ControlFile { version: 960, written_by: "PostgreSQL 9.6", crc_offset: 256, ..ten };
        assert_eq!(control, expected);
    }

    #[test]
    fn a_version_that_is_not_known_is_refused_and_named() {
        for version in [0, 1, 922, 942, 1201 + 1, 1400, 1901, u32::MAX] {
            let mut bytes = fixture("18/running/pg_control");
            put(&mut bytes, 8, version.to_le_bytes());
            seal(&mut bytes, 292);
            let error = ControlFile::parse(&bytes, None).unwrap_err();
            let known = "923, 960, 1002, 1100, 1201, 1300, 1700, 1800";
            assert_eq!(error.to_string(), format!("its version is {version}, and known are {known}"));
        }
    }

    #[test]
    fn another_byte_order_is_said() {
        let mut bytes = fixture("12/running/pg_control");
        put(&mut bytes, 8, 1201_u32.to_be_bytes());
        assert_eq!(ControlFile::parse(&bytes, None), Err(ControlFileError::ByteSwapped));
    }

    #[test]
    fn a_right_checksum_does_not_excuse_fields_that_cannot_be() {
        let broken = |offset: usize, field: [u8; 4]| {
            let mut bytes = fixture("12/running/pg_control");
            put(&mut bytes, offset, field);
            seal(&mut bytes, 288);
            ControlFile::parse(&bytes, None).unwrap_err().to_string()
        };
        let said = |offset: usize, value: u32| broken(offset, value.to_le_bytes());
        assert_eq!(said(16, 7), "its cluster state is 7, which no control file says");
        assert_eq!(said(48, 0), "its timeline is 0, which no control file says");
        assert_eq!(said(204, 4), "its maximum data alignment is 4, which no control file says");
        assert_eq!(said(224, 8191), "its WAL block size is 8191, which no control file says");
        assert_eq!(said(228, 3 << 20), "its WAL segment size is 3145728, which no control file says");
        assert!(broken(212, [0; 4]).starts_with("its floating-point format is "));
        assert_eq!(
            said(40, 0x1500_0000),
            "its redo location is 0/15000000, with a checkpoint at 0/14000180, which no control file says"
        );
        assert!(said(40, 0).starts_with("its redo location is 0/0"));
    }

    #[test]
    fn a_file_that_ends_too_early_is_refused() {
        let bytes = fixture("12/running/pg_control");
        for length in [0, 8, 12, 292, 511] {
            let error = ControlFile::parse(&bytes[..length], None).unwrap_err();
            assert_eq!(error, ControlFileError::TooShort { bytes: length });
        }
    }

    fn samples() -> Vec<Vec<u8>> {
        let mut samples: Vec<Vec<u8>> = fixtures_with("pg_control")
            .iter()
            .map(|label| std::fs::read(label.join("pg_control")).unwrap())
            .collect();
        samples.extend([kingbase_control_file(), postgresql_9_6_control_file(), opengauss_control_file()]);
        samples
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused(sample in prop::sample::select(samples()), place: prop::sample::Index) {
            let covered = ControlFile::parse(&sample, None).unwrap().crc_offset + 4;
            let bit = place.index(covered * 8);
            let mut bytes = sample;
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ControlFile::parse(&bytes, None).is_err(), "byte {}", bit / 8);
        }

        #[test]
        fn no_bytes_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            version in prop::sample::select(LAYOUTS.iter().map(|l| (l.version, l.crc)).collect::<Vec<_>>()),
        ) {
            let _ = ControlFile::parse(&bytes, None);
            if bytes.len() >= MOST_FIELD_BYTES {
                put(&mut bytes, 8, version.0.to_le_bytes());
                seal(&mut bytes, version.1);
                let _ = ControlFile::parse(&bytes, None);
                // Past the two fields that random bytes never have right.
                if let Some(layout) = LAYOUTS.iter().find(|layout| layout.version == version.0) {
                    put(&mut bytes, layout.max_align, 8_u32.to_le_bytes());
                    put(&mut bytes, layout.float_format, 1_234_567.0_f64.to_le_bytes());
                    put(&mut bytes, layout.state, 6_u32.to_le_bytes());
                    put(&mut bytes, layout.segment_size, (1_u32 << 24).to_le_bytes());
                    seal(&mut bytes, version.1);
                    let _ = ControlFile::parse(&bytes, None);
                }
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_control_file_its_checksum_right_or_wrong_nothing_impossible_is_read(
                mut bytes in mutated(samples()),
                crc in prop::sample::select(LAYOUTS.iter().map(|layout| layout.crc).collect::<Vec<_>>()),
                is_sealed: bool,
            ) {
                if is_sealed && bytes.len() >= crc + 4 {
                    seal(&mut bytes, crc);
                }
                if let Ok(control) = ControlFile::parse(&bytes, None) {
                    prop_assert!(control.crc_offset + 4 <= bytes.len());
                    let segment_bytes = control.segment_size.bytes();
                    prop_assert!(segment_bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&segment_bytes));
                }
            }
        }
    }
}
