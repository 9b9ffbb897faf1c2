//! What the tests of this module start from: files that real servers wrote, and data directories made of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Dialect;
use super::dialect::DIALECTS;

/// A file under tests/fixtures.
pub fn fixture(path: &str) -> Vec<u8> {
    fs::read(fixtures().join(path)).unwrap()
}

/// Every `MAJOR/LABEL` directory of fixtures that has the file.
pub fn fixtures_with(file: &str) -> Vec<PathBuf> {
    let children = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
    };
    let labels = children(&fixtures()).into_iter().flat_map(|major| children(&major));
    let mut found: Vec<PathBuf> = labels.filter(|label| label.join(file).exists()).collect();
    found.sort();
    found
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The lines `key SEPARATOR value` of a text, by their keys.
pub fn printed(text: &str, separator: char) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(separator));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

/// A control file whose fields lie as openGauss's header says, redo 0/3000028 and checkpoint 0/3000060.
pub fn opengauss_control_file() -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    put(&mut bytes, 0, 7_710_431_001_074_634_241_u64.to_le_bytes());
    put(&mut bytes, 8, 923_u32.to_le_bytes());
    put(&mut bytes, 12, 201_611_171_u32.to_le_bytes());
    put(&mut bytes, 16, 17_u32.to_le_bytes());
    put(&mut bytes, 20, 6_u32.to_le_bytes());
    put(&mut bytes, 24, 1_700_000_000_i64.to_le_bytes());
    put(&mut bytes, 32, 0x0300_0060_u64.to_le_bytes());
    put(&mut bytes, 40, 0x0200_0060_u64.to_le_bytes());
    put(&mut bytes, 48, 0x0300_0028_u64.to_le_bytes());
    put(&mut bytes, 56, 1_u32.to_le_bytes());
    put(&mut bytes, 60, [1]);
    put(&mut bytes, 112, 1_699_999_999_i64.to_le_bytes());
    put(&mut bytes, 136, 0x0300_0100_u64.to_le_bytes());
    put(&mut bytes, 144, 0x0100_0028_u64.to_le_bytes());
    put(&mut bytes, 152, 0x0100_0100_u64.to_le_bytes());
    put(&mut bytes, 164, 2_u32.to_le_bytes());
    put(&mut bytes, 180, 8_u32.to_le_bytes());
    put(&mut bytes, 184, 1_234_567.0_f64.to_le_bytes());
    put(&mut bytes, 192, 8192_u32.to_le_bytes());
    put(&mut bytes, 200, 8192_u32.to_le_bytes());
    put(&mut bytes, 204, (16_u32 << 20).to_le_bytes());
    seal(&mut bytes, 224);
    bytes
}

/// A slot file as openGauss's header lays it out, with extra content behind the fields.
pub fn opengauss_slot(extra: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 192];
    put(&mut bytes, 0, 0x0105_1CA1_u32.to_le_bytes());
    put(&mut bytes, 8, 1_u32.to_le_bytes());
    put(&mut bytes, 12, 176_u32.to_le_bytes());
    put(&mut bytes, 16, *b"dn_6002");
    put(&mut bytes, 80, 16_384_u32.to_le_bytes());
    put(&mut bytes, 84, 2_u16.to_le_bytes());
    put(&mut bytes, 86, u16::try_from(extra.len()).unwrap().to_le_bytes());
    put(&mut bytes, 96, 4711_u64.to_le_bytes());
    put(&mut bytes, 104, 4712_u64.to_le_bytes());
    put(&mut bytes, 112, 0x0300_0028_u64.to_le_bytes());
    put(&mut bytes, 120, 0x0300_0060_u64.to_le_bytes());
    put(&mut bytes, 128, *b"mppdb_decoding");
    bytes.extend_from_slice(extra);
    let crc = crc32c::crc32c(&bytes[16..]);
    put(&mut bytes, 4, crc.to_le_bytes());
    bytes
}

/// PostgreSQL 12's control file with KingbaseES's two fields behind it, and its checksum behind those.
pub fn kingbase_control_file() -> Vec<u8> {
    let mut bytes = fixture("12/running/pg_control");
    put(&mut bytes, 12, 202_211_151_u32.to_le_bytes());
    put(&mut bytes, 252, 3_u32.to_le_bytes());
    put(&mut bytes, 288, 1_u32.to_le_bytes());
    put(&mut bytes, 292, 0_u32.to_le_bytes());
    seal(&mut bytes, 296);
    bytes
}

/// A control file as 9.6 lays it out: version 10's, which has the checksum further on.
pub fn postgresql_9_6_control_file() -> Vec<u8> {
    let mut bytes = fixture("10/running/pg_control");
    put(&mut bytes, 8, 960_u32.to_le_bytes());
    bytes[256..292].fill(0);
    seal(&mut bytes, 256);
    bytes
}

pub fn put<const N: usize>(bytes: &mut [u8], offset: usize, field: [u8; N]) {
    bytes[offset..offset + N].copy_from_slice(&field);
}

/// Puts a checksum of everything before it.
pub fn seal(bytes: &mut [u8], offset: usize) {
    let crc = crc32c::crc32c(&bytes[..offset]);
    put(bytes, offset, crc.to_le_bytes());
}

/// The row with this key whose servers have this major version, where that tells rows apart.
pub fn row(key: &str, version: &str) -> &'static Dialect {
    DIALECTS.iter().find(|row| row.key() == key && row.versions.contain(version)).unwrap()
}

/// Every dialect with what its version file may say and a control file of its kind.
pub fn every_dialect() -> Vec<(&'static Dialect, &'static str, Vec<u8>)> {
    vec![
        (row("kingbase-v8r6", "12"), "12", kingbase_control_file()),
        (row("kingbase-v8r3", "9.6"), "9.6", postgresql_9_6_control_file()),
        (row("postgresql", "18"), "18", fixture("18/running/pg_control")),
        (row("postgresql", "11"), "11", fixture("11/running/pg_control")),
        (row("postgresql-9.6", "9.6"), "9.6", postgresql_9_6_control_file()),
        (row("opengauss", "9.2"), "9.2", opengauss_control_file()),
    ]
}

/// Lays out a data directory.
pub fn lay_out(dir: &Path, dialect: &Dialect, version: &str, control_file: &[u8]) {
    write(&dir.join(dialect.version_file), format!("{version}\n"));
    write(&dir.join(dialect.control_file), control_file);
    fs::create_dir_all(dir.join(dialect.wal_directory).join("archive_status")).unwrap();
}

/// Writes a file, with the directories above it.
#[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
