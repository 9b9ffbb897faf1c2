//! The servers that tests run: a product is a major version and the shape of its data directory.

use std::fs;
use std::path::PathBuf;

/// One server product of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// PostgreSQL's major version, whose programs run.
    pub major: u32,
    /// Whether the data directory also carries the names that KingbaseES V8R6 uses. This proves names, nothing more.
    pub kingbase_shape: bool,
}

pub const POSTGRESQL_12: Product = Product { major: 12, kingbase_shape: false };
pub const POSTGRESQL_15: Product = Product { major: 15, kingbase_shape: false };
pub const POSTGRESQL_18: Product = Product { major: 18, kingbase_shape: false };
/// PostgreSQL 12, the base of KingbaseES V8R6, under the names of KingbaseES.
pub const KINGBASE_SHAPE: Product = Product { major: 12, kingbase_shape: true };

/// The version whose psql, pgbench, pg_basebackup and pg_rewind serve all the others: Debian's.
const CLIENT_MAJOR: u32 = 15;

impl Product {
    /// A program of this server: `postgres` or `initdb`.
    pub fn server_program(self, name: &str) -> PathBuf {
        found(server_bin(self.major).join(name))
    }

    /// Whether `pg_basebackup` of the client version serves this server.
    pub fn has_base_backup_program(self) -> bool {
        self.major <= CLIENT_MAJOR
    }
}

/// A client program: `psql`, `pgbench`, `pg_basebackup`, `pg_rewind`.
pub fn client_program(name: &str) -> PathBuf {
    found(server_bin(CLIENT_MAJOR).join(name))
}

fn server_bin(major: u32) -> PathBuf {
    if major == CLIENT_MAJOR {
        return PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    }
    let cache = std::env::var_os("WALKEEP_TEST_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/walkeep-tests"), PathBuf::from);
    let prefix = format!("postgresql-{major}.");
    let homes = fs::read_dir(&cache).into_iter().flatten().flatten();
    homes
        .filter(|home| home.file_name().to_string_lossy().starts_with(&prefix))
        .map(|home| home.path().join("bin"))
        .max()
        .unwrap_or_else(|| {
            panic!("PostgreSQL {major} is not in '{}': run `sh tests/run.sh --setup`", cache.display())
        })
}

fn found(program: PathBuf) -> PathBuf {
    assert!(program.exists(), "'{}' is missing: run `sh tests/run.sh --setup`", program.display());
    program
}
