use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::dialect::{DIALECTS, Dialect};
use super::{ArchiveStatus, ClusterError, read_text};

/// What is wrong with a directory that was taken for a data directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutFault {
    /// No dialect's files are all there; these are what the nearest ones miss.
    #[error("{}", missing.join("; "))]
    Missing {
        /// One clause a file, such as "it has no 'PG_VERSION'".
        missing: Vec<String>,
    },
    /// Two dialects' files are all there, and their WAL is in different places.
    #[error("it is laid out as {first} and as {second}")]
    Ambiguous {
        /// One product.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
}

/// A layout that was found, whole.
pub(super) struct Proven {
    pub dialect: &'static Dialect,
    pub version: String,
    pub wal_directory: PathBuf,
}

/// What a dialect misses first, in the order in which it is looked for.
enum Missing {
    VersionFile(&'static str),
    KnownVersion(&'static str, String),
    ControlFile(&'static str),
    WalDirectory(&'static str),
    ArchiveStatus(&'static str),
}

impl Missing {
    fn step(&self) -> u8 {
        match self {
            Self::VersionFile(_) => 0,
            Self::KnownVersion(..) => 1,
            Self::ControlFile(_) => 2,
            Self::WalDirectory(_) => 3,
            Self::ArchiveStatus(_) => 4,
        }
    }

    fn clause(&self) -> String {
        match self {
            Self::VersionFile(name) | Self::ControlFile(name) => format!("it has no '{name}'"),
            Self::KnownVersion(name, found) => format!("its '{name}' says '{found}', which is not known"),
            Self::WalDirectory(name) => format!("it has no directory '{name}'"),
            Self::ArchiveStatus(name) => {
                format!("its '{name}' has no directory '{}'", ArchiveStatus::DIRECTORY_NAME)
            }
        }
    }
}

/// Finds the one dialect whose every file is there.
pub(super) fn prove(dir: &Path) -> Result<Proven, ClusterError> {
    fs::metadata(dir).map_err(|source| unreadable(dir, source))?;
    let mut proven: Option<Proven> = None;
    let mut missing = Vec::new();
    for dialect in DIALECTS {
        match (prove_as(dir, dialect)?, &proven) {
            (Err(fault), _) => missing.push(fault),
            // A KingbaseES whose files also have PostgreSQL's names: one cluster, seen twice.
            (Ok(found), Some(first)) if found.wal_directory == first.wal_directory => {}
            (Ok(found), Some(first)) => {
                let (first, second) = (first.dialect.product, found.dialect.product);
                return Err(fault(dir, LayoutFault::Ambiguous { first, second }));
            }
            (Ok(found), None) => proven = Some(found),
        }
    }
    proven.ok_or_else(|| fault(dir, nearest(&missing)))
}

/// What the dialects miss that come furthest.
fn nearest(missing: &[Missing]) -> LayoutFault {
    let furthest = missing.iter().map(Missing::step).max();
    let mut clauses: Vec<String> =
        missing.iter().filter(|fault| Some(fault.step()) == furthest).map(Missing::clause).collect();
    clauses.dedup();
    LayoutFault::Missing { missing: clauses }
}

fn prove_as(dir: &Path, dialect: &'static Dialect) -> Result<Result<Proven, Missing>, ClusterError> {
    let Some(version) = read_text(&dir.join(dialect.version_file))? else {
        return Ok(Err(Missing::VersionFile(dialect.version_file)));
    };
    let version: String = version.trim().chars().take(MOST_VERSION_CHARS).collect();
    if !dialect.versions.contain(&version) {
        return Ok(Err(Missing::KnownVersion(dialect.version_file, version.escape_default().to_string())));
    }
    if !is_there(&dir.join(dialect.control_file), fs::Metadata::is_file)? {
        return Ok(Err(Missing::ControlFile(dialect.control_file)));
    }
    let wal_directory = dir.join(dialect.wal_directory);
    if !is_there(&wal_directory, fs::Metadata::is_dir)? {
        return Ok(Err(Missing::WalDirectory(dialect.wal_directory)));
    }
    if !is_there(&wal_directory.join(ArchiveStatus::DIRECTORY_NAME), fs::Metadata::is_dir)? {
        return Ok(Err(Missing::ArchiveStatus(dialect.wal_directory)));
    }
    let wal_directory =
        fs::canonicalize(&wal_directory).map_err(|source| unreadable(&wal_directory, source))?;
    Ok(Ok(Proven { dialect, version, wal_directory }))
}

/// A version file is a few characters; no more of a strange one is repeated.
const MOST_VERSION_CHARS: usize = 40;

/// Whether something of that kind is there, through symbolic links.
pub(super) fn is_there(path: &Path, kind: fn(&fs::Metadata) -> bool) -> Result<bool, ClusterError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(kind(&metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(unreadable(path, source)),
    }
}

/// Whether a directory has a version file and a place for a control file, or a control file. A version file
/// alone is not enough: each database's directory has one.
pub(super) fn looks_like_data_directory(dir: &Path) -> bool {
    DIALECTS.iter().any(|dialect| looks_like(dir, dialect))
}

fn looks_like(dir: &Path, dialect: &Dialect) -> bool {
    let control_file = dir.join(dialect.control_file);
    let has_control_directory = || control_file.parent().is_some_and(Path::is_dir);
    control_file.is_file() || (dir.join(dialect.version_file).is_file() && has_control_directory())
}

pub(super) fn owning(wal_path: &Path) -> Option<PathBuf> {
    let wal_directory = wal_path.parent()?;
    let name = wal_directory.file_name()?;
    let dir = wal_directory.parent()?;
    // The parent of the relative 'pg_wal' is the current directory.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let owns = |dialect: &&Dialect| name == dialect.wal_directory && looks_like(dir, dialect);
    DIALECTS.iter().find(owns).map(|_| dir.to_path_buf())
}

fn unreadable(path: &Path, source: io::Error) -> ClusterError {
    ClusterError::Unreadable { path: path.to_path_buf(), source }
}

fn fault(dir: &Path, source: LayoutFault) -> ClusterError {
    ClusterError::Layout { path: dir.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::super::Cluster;
    use super::super::samples::{every_dialect, fixture, lay_out, row, write};
    use super::*;
    use std::error::Error as _;
    use std::os::unix::fs::symlink;

    /// The message and its cause, as a person sees them.
    fn refusal(dir: &Path) -> (String, String) {
        let error = Cluster::find(dir).unwrap_err();
        (error.to_string(), error.source().unwrap().to_string())
    }

    fn postgresql(dir: &Path) {
        lay_out(dir, row("postgresql", "15"), "15", &fixture("15/running/pg_control"));
    }

    #[test]
    fn every_dialect_is_found_by_its_own_names() {
        for (dialect, version, control_file) in every_dialect() {
            let dir = tempfile::tempdir().unwrap();
            lay_out(dir.path(), dialect, version, &control_file);
            let cluster = Cluster::find(dir.path()).unwrap();
            assert_eq!(cluster.dialect(), dialect);
            assert_eq!(cluster.data_directory(), dir.path());
            let real = dir.path().canonicalize().unwrap().join(dialect.wal_directory);
            assert_eq!(cluster.wal_directory(), real);
            assert_eq!(cluster.version(), version);
            assert!(cluster.control_file().is_ok(), "{}", dialect.product);
            assert!(Cluster::is_data_directory(dir.path()));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let pgdata = dir.path();
        let (message, cause) = refusal(pgdata);
        assert_eq!(message, format!("cannot use '{}' as a data directory", pgdata.display()));
        assert_eq!(cause, "it has no 'SYS_VERSION'; it has no 'PG_VERSION'");
        write(&pgdata.join("PG_VERSION"), "9.1\n");
        assert_eq!(refusal(pgdata).1, "its 'PG_VERSION' says '9.1', which is not known");
        write(&pgdata.join("PG_VERSION"), "15\n");
        assert_eq!(refusal(pgdata).1, "it has no 'global/pg_control'");
        write(&pgdata.join("global/pg_control"), "");
        assert_eq!(refusal(pgdata).1, "it has no directory 'pg_wal'");
        fs::create_dir(pgdata.join("pg_wal")).unwrap();
        assert_eq!(refusal(pgdata).1, "its 'pg_wal' has no directory 'archive_status'");
        fs::create_dir(pgdata.join("pg_wal/archive_status")).unwrap();
        assert!(Cluster::find(pgdata).is_ok());
    }

    #[test]
    fn sys_log_is_never_taken_for_the_wal_directory() {
        let dir = tempfile::tempdir().unwrap();
        let kingbase = row("kingbase-v8r6", "12");
        lay_out(dir.path(), kingbase, "12", &fixture("12/running/pg_control"));
        fs::create_dir_all(dir.path().join("sys_log/archive_status")).unwrap();
        assert!(Cluster::find(dir.path()).unwrap().wal_directory().ends_with("sys_wal"));
        fs::remove_dir_all(dir.path().join("sys_wal")).unwrap();
        assert_eq!(refusal(dir.path()).1, "it has no directory 'sys_wal'; it has no directory 'sys_xlog'");
        let logged = dir.path().join("sys_log/000000010000000000000001");
        assert_eq!(Cluster::owning(&logged), None);
    }

    #[test]
    fn a_wal_directory_behind_a_symbolic_link_is_found_by_its_real_path() {
        let dir = tempfile::tempdir().unwrap();
        let (pgdata, moved) = (dir.path().join("data"), dir.path().join("wal"));
        postgresql(&pgdata);
        fs::remove_dir_all(pgdata.join("pg_wal")).unwrap();
        fs::create_dir_all(moved.join("archive_status")).unwrap();
        symlink(&moved, pgdata.join("pg_wal")).unwrap();
        let cluster = Cluster::find(&pgdata).unwrap();
        assert_eq!(cluster.wal_directory(), moved.canonicalize().unwrap());
        assert_eq!(Cluster::owning(&pgdata.join("pg_wal/000000010000000000000001")), Some(pgdata));
        assert_eq!(Cluster::owning(&moved.join("000000010000000000000001")), None);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_no_wal_directory() {
        let dir = tempfile::tempdir().unwrap();
        postgresql(dir.path());
        fs::remove_dir_all(dir.path().join("pg_wal")).unwrap();
        symlink(dir.path().join("gone"), dir.path().join("pg_wal")).unwrap();
        assert_eq!(refusal(dir.path()).1, "it has no directory 'pg_wal'");
    }

    #[test]
    fn one_cluster_under_both_products_names_is_kingbase() {
        let dir = tempfile::tempdir().unwrap();
        let pgdata = dir.path();
        lay_out(pgdata, row("postgresql", "12"), "12", &fixture("12/running/pg_control"));
        for (postgresql, kingbase) in
            [("PG_VERSION", "SYS_VERSION"), ("pg_wal", "sys_wal"), ("pg_control", "global/sys_control")]
        {
            symlink(postgresql, pgdata.join(kingbase)).unwrap();
        }
        assert_eq!(Cluster::find(pgdata).unwrap().dialect().key(), "kingbase-v8r6");
    }

    #[test]
    fn two_clusters_in_one_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        postgresql(dir.path());
        lay_out(dir.path(), row("kingbase-v8r6", "12"), "12", &fixture("12/running/pg_control"));
        assert_eq!(refusal(dir.path()).1, "it is laid out as KingbaseES V8R6/V9 and as PostgreSQL 10+");
    }

    #[test]
    fn a_directory_that_is_not_there_is_unreadable_and_not_merely_empty() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        let (message, cause) = refusal(&gone);
        assert_eq!(message, format!("cannot read '{}'", gone.display()));
        assert!(cause.starts_with("No such file or directory"), "{cause}");
    }

    #[test]
    fn a_data_directory_is_told_from_what_lies_in_one() {
        let dir = tempfile::tempdir().unwrap();
        postgresql(dir.path());
        write(&dir.path().join("base/1/PG_VERSION"), "15\n");
        assert!(Cluster::is_data_directory(dir.path()));
        for other in ["base/1", "pg_wal", "global", "gone"] {
            assert!(!Cluster::is_data_directory(&dir.path().join(other)), "{other}");
        }
    }

    #[test]
    fn a_wal_file_belongs_to_the_data_directory_above_its_wal_directory() {
        let dir = tempfile::tempdir().unwrap();
        let pgdata = dir.path();
        postgresql(pgdata);
        let owner = |path: &str| Cluster::owning(&pgdata.join(path));
        assert_eq!(owner("pg_wal/000000010000000000000001"), Some(pgdata.to_path_buf()));
        assert_eq!(owner("pg_wal/RECOVERYXLOG"), Some(pgdata.to_path_buf()));
        for stranger in ["sys_log/000000010000000000000001", "base/1", "a/pg_wal/b", "PG_VERSION"] {
            assert_eq!(owner(stranger), None, "{stranger}");
        }
        for stranger in ["", "/", "000000010000000000000001", "pg_wal/000000010000000000000001"] {
            assert_eq!(Cluster::owning(Path::new(stranger)), None, "{stranger}");
        }
    }
}
