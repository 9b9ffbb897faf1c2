/// A dialect: one product and version family, and how its data directory is laid out. One row of a table;
/// what differs between servers stands here, and nowhere in an `if`.
#[derive(Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The product and its versions, for people.
    pub product: &'static str,
    key: &'static str,
    /// The file that makes a directory a data directory.
    pub version_file: &'static str,
    pub(super) versions: Versions,
    /// Where WAL is written, within the data directory.
    pub wal_directory: &'static str,
    /// The control file, within the data directory. openGauss keeps a `pg_control.backup` beside it, which
    /// nothing here reads: it may be older.
    pub control_file: &'static str,
    /// The versions that the control file may say.
    pub control_versions: &'static [u32],
    /// Where each slot has a directory, within the data directory.
    pub slot_directory: &'static str,
    /// What the server reads where a slot's state is damaged.
    pub(super) slot_backup: Option<&'static str>,
    /// The server's main configuration file.
    pub conf_file: &'static str,
    /// What ALTER SYSTEM writes, in the data directory.
    pub auto_conf_file: &'static str,
    /// Where a running server says who it is.
    pub pid_file: &'static str,
    /// Where the server keeps the command line of its last start.
    pub opts_file: &'static str,
    /// The file that the product's own scripts include into the main one and write archiving settings into.
    pub script_conf_file: Option<&'static str>,
    /// The program that reloads and restarts the server.
    pub control_program: &'static str,
    /// Whether commands run in a shell; otherwise they are split at white space.
    pub runs_a_shell: bool,
    /// Whether a reload changes archive_mode; otherwise it takes a restart.
    pub reloads_archive_mode: bool,
    pub(super) recovery: RecoveryFiles,
}

impl Dialect {
    /// Whether recovery.conf is where recovery settings go.
    #[must_use]
    pub fn has_recovery_conf(&self) -> bool {
        self.recovery == RecoveryFiles::RecoveryConf
    }

    /// The row's short name in state files; never changes its meaning.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }
}

/// What the version file may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// Anything: what KingbaseES writes there is not public, and its WAL directory's name decides.
    Any,
    /// This text.
    Only(&'static str),
    /// A bare major version in this range.
    Majors(u32, u32),
}

impl Versions {
    pub fn contain(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(version) => text == version,
            Self::Majors(first, last) => text.parse().is_ok_and(|major| (first..=last).contains(&major)),
        }
    }
}

/// How the server is told to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecoveryFiles {
    /// By `standby.signal` and `recovery.signal`, whatever they hold (12 and later; xlogrecovery.c).
    Signals,
    /// By `recovery.conf`, and its `standby_mode` (up to 11; xlog.c, `readRecoveryCommandFile`).
    RecoveryConf,
}

const KINGBASE_V8R6: Dialect = Dialect {
    product: "KingbaseES V8R6/V9",
    key: "kingbase-v8r6",
    version_file: "SYS_VERSION",
    versions: Versions::Any,
    wal_directory: "sys_wal",
    control_file: "global/sys_control",
    control_versions: &[1201],
    slot_directory: "sys_replslot",
    slot_backup: None,
    conf_file: "kingbase.conf",
    auto_conf_file: "kingbase.auto.conf",
    pid_file: "kingbase.pid",
    opts_file: "kingbase.opts",
    script_conf_file: Some("es_rep.conf"),
    control_program: "sys_ctl",
    runs_a_shell: true,
    reloads_archive_mode: false,
    recovery: RecoveryFiles::Signals,
};

const POSTGRESQL: Dialect = Dialect {
    product: "PostgreSQL 10+",
    key: "postgresql",
    version_file: "PG_VERSION",
    versions: Versions::Majors(12, u32::MAX),
    wal_directory: "pg_wal",
    control_file: "global/pg_control",
    control_versions: &[1201, 1300, 1700, 1800],
    slot_directory: "pg_replslot",
    slot_backup: None,
    conf_file: "postgresql.conf",
    auto_conf_file: "postgresql.auto.conf",
    pid_file: "postmaster.pid",
    opts_file: "postmaster.opts",
    script_conf_file: None,
    control_program: "pg_ctl",
    runs_a_shell: true,
    reloads_archive_mode: false,
    recovery: RecoveryFiles::Signals,
};

/// Every dialect, in the order in which a directory is tried: a cluster that answers to KingbaseES's names
/// and to PostgreSQL's is KingbaseES.
///
/// `sys_log` is absent on purpose: it holds KingbaseES's server log, whatever some pages say. That V8R3 has
/// `sys_xlog` is inferred from its tools (sys_xlogdump, sys_receivexlog).
pub(super) const DIALECTS: &[Dialect] = &[
    KINGBASE_V8R6,
    Dialect {
        product: "KingbaseES V8R3",
        key: "kingbase-v8r3",
        wal_directory: "sys_xlog",
        control_versions: &[960],
        recovery: RecoveryFiles::RecoveryConf,
        ..KINGBASE_V8R6
    },
    POSTGRESQL,
    // The same product, before its recovery settings moved.
    Dialect {
        versions: Versions::Majors(10, 11),
        control_versions: &[1002, 1100],
        recovery: RecoveryFiles::RecoveryConf,
        ..POSTGRESQL
    },
    Dialect {
        product: "PostgreSQL 9.6",
        key: "postgresql-9.6",
        versions: Versions::Only("9.6"),
        wal_directory: "pg_xlog",
        control_versions: &[960],
        recovery: RecoveryFiles::RecoveryConf,
        ..POSTGRESQL
    },
    // openGauss still calls itself 9.2, whose own control files have another version.
    Dialect {
        product: "openGauss",
        key: "opengauss",
        versions: Versions::Only("9.2"),
        wal_directory: "pg_xlog",
        control_versions: &[923],
        // openGauss-server slot.cpp, `RestoreSlotFromDisk`.
        slot_backup: Some("state.backup"),
        recovery: RecoveryFiles::RecoveryConf,
        control_program: "gs_ctl",
        // `pgarch_archiveXlog` in pgarch.cpp: gs_popen_security. archive_mode is PGC_SIGHUP in guc.cpp.
        runs_a_shell: false,
        reloads_archive_mode: true,
        ..POSTGRESQL
    },
];
