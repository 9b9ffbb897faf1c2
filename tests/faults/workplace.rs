//! A repository with one segment in it, and files to be archived into it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use walkeep::repository::{Expected, Repository, parse_stored};
use walkeep::storage::DirectoryStore;
use walkeep::wal::{SegmentSize, WalFileName};

use crate::trace::{Ended, run};

/// Stored before anything fails; must never be harmed.
pub const FIRST: &str = "000000010000000000000FFE";
/// To be stored.
pub const SECOND: &str = "000000010000000000000FFF";
pub const HISTORY: &str = "00000002.history";

/// What the repository is like before the call that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    pub plain: bool,
    pub adopted: bool,
    /// Whether `FIRST` is stored and the repository bound.
    pub in_use: bool,
    /// Whether `SECOND` is stored already, as another tool would have left it.
    pub second_is_there: bool,
}

pub const ZSTD: Shape = Shape { plain: false, adopted: false, in_use: true, second_is_there: false };

pub struct Workplace {
    pub dir: TempDir,
}

/// A file of a real server. Each is unpacked once: every fault is held against it.
fn fixture(name: &str) -> Arc<[u8]> {
    static UNPACKED: Mutex<BTreeMap<String, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
    let mut unpacked = UNPACKED.lock().unwrap();
    Arc::clone(unpacked.entry(name.to_owned()).or_insert_with(|| unpack(name).into()))
}

fn unpack(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/15-debian");
    let mut bytes = Vec::new();
    let packed = dir.join("wal").join(format!("seg1MB_{name}.gz"));
    if packed.exists() {
        let file = fs::File::open(packed).expect("the fixture opens");
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).expect("the fixture unpacks");
    } else {
        bytes = fs::read(dir.join("wal").join(name)).expect("the fixture is there");
    }
    bytes
}

impl Workplace {
    pub fn new(shape: Shape) -> Self {
        let place = Self { dir: TempDir::new().expect("a scratch directory") };
        fs::create_dir_all(place.path("data/pg_wal/archive_status")).unwrap();
        fs::create_dir_all(place.path("data/global")).unwrap();
        fs::create_dir_all(place.path("data/pg_replslot")).unwrap();
        fs::create_dir(place.path("repo")).unwrap();
        fs::write(place.path("data/PG_VERSION"), "15\n").unwrap();
        place.write_control_file();
        for name in [FIRST, SECOND, HISTORY] {
            fs::write(place.source(name), fixture(name)).unwrap();
            fs::write(place.path(&format!("data/pg_wal/archive_status/{name}.ready")), "").unwrap();
        }
        if shape.adopted {
            // An archive that cp began.
            fs::write(place.path("repo/000000010000000000000FFD"), fixture("000000010000000000000FFD"))
                .unwrap();
        }
        let form = if shape.plain { "none" } else { "zstd" };
        place.must(&mut place.walkeep(&["init", "--repo", "repo", "--compress", form]));
        if shape.in_use {
            place.must(&mut place.archive(FIRST));
        }
        if shape.second_is_there {
            place.must(&mut place.archive(SECOND));
            // A stamp of another source, which vouches for nothing: without any, somebody may still be storing the file.
            let stamp = place.path(&format!("repo/.walkeep/stamps/{SECOND}.json"));
            fs::copy(place.path(&format!("repo/.walkeep/stamps/{FIRST}.json")), stamp).unwrap();
            let _ = fs::remove_file(place.path(&format!("repo/{SECOND}.sha256")));
        }
        place
    }

    /// The same place once more, as quickly as it can be had.
    pub fn copy(&self) -> Self {
        let place = Self { dir: TempDir::new().expect("a scratch directory") };
        copy_tree(self.dir.path(), place.dir.path());
        place
    }

    /// The control file of a cluster with segments of 1 MiB, given the segments' system identifier.
    fn write_control_file(&self) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/15-debian");
        let mut control = fs::read(dir.join("pg_control.walseg1MB")).unwrap();
        control[0..8].copy_from_slice(&fixture(FIRST)[24..32]);
        let crc = crc32c::crc32c(&control[..288]);
        control[288..292].copy_from_slice(&crc.to_le_bytes());
        fs::write(self.path("data/global/pg_control"), control).unwrap();
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn source(&self, name: &str) -> PathBuf {
        self.path("data/pg_wal").join(name)
    }

    /// Lets a source look as if it had just been written: no stamp vouches for it.
    pub fn touch(&self, name: &str) {
        let source = fs::File::options().append(true).open(self.source(name)).unwrap();
        source.set_modified(SystemTime::now()).unwrap();
    }

    pub fn walkeep(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walkeep"));
        command.env_clear().args(args).current_dir(self.dir.path());
        command
    }

    /// As a server calls it: in the data directory, with a relative path. This file alone.
    pub fn archive(&self, name: &str) -> Command {
        let mut command = self.archive_with_others(name);
        command.args(["--ahead", "0"]);
        command
    }

    /// The same with what waits behind the file.
    pub fn archive_with_others(&self, name: &str) -> Command {
        let mut command = self.walkeep(&["archive", &format!("pg_wal/{name}"), name, "--repo", "../repo"]);
        command.current_dir(self.path("data"));
        command
    }

    /// The same, on a machine on which no limit of time is reached.
    pub fn archive_all(&self, name: &str) -> Command {
        let mut command = self.archive_with_others(name);
        command.args(["-j", "1"]);
        crate::standstill::stop_stopwatch(&mut command);
        command
    }

    /// As a server calls it in a recovery, which stops at a failure.
    pub fn restore(&self, name: &str) -> Command {
        fs::write(self.path("data/recovery.signal"), "").unwrap();
        let mut command = self.walkeep(&[
            "restore",
            name,
            "pg_wal/RECOVERYXLOG",
            "--repo",
            "../repo",
            "--retry-budget",
            "0s",
        ]);
        command.current_dir(self.path("data"));
        command
    }

    /// The same with one segment that is fetched ahead.
    pub fn restore_ahead(&self, name: &str) -> Command {
        let mut command = self.restore(name);
        command.args(["--prefetch", "1"]);
        command
    }

    /// What such a call starts, run by itself.
    pub fn lay_ready(&self, name: &str) -> Command {
        let mut command = self.restore_ahead(name);
        command.arg("--lay-ready");
        command
    }

    /// The files that lie ready.
    pub fn spooled(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("data.walkeep-spool")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_str().unwrap().rsplit('/').next().unwrap().matches('.').count() == 2)
            .collect()
    }

    pub fn must(&self, command: &mut Command) -> Ended {
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{command:?}: {}", ended.stderr);
        ended
    }

    /// Every file under a name of the repository, decoded and proven to be exactly what was offered.
    pub fn stored(&self) -> BTreeMap<String, u64> {
        let store = DirectoryStore::new(self.path("repo"));
        let mut stored = BTreeMap::new();
        for entry in fs::read_dir(self.path("repo")).unwrap() {
            let entry = entry.unwrap();
            let file_name = entry.file_name().into_string().unwrap();
            let Some((name, _)) = parse_stored(&file_name) else { continue };
            let repository = Repository::open(&store).expect("what holds WAL files is a repository");
            assert_eq!(
                *fetch(&repository, name),
                *fixture(&name.to_string()),
                "{file_name} is short or wrong"
            );
            stored.insert(file_name, entry.metadata().unwrap().ino());
        }
        stored
    }

    /// Lets the files that are to be archived be as old as those of a backlog are.
    pub fn rest(&self) {
        let minutes_ago = SystemTime::now() - Duration::from_secs(600);
        for name in [FIRST, SECOND, HISTORY] {
            fs::File::open(self.source(name)).unwrap().set_modified(minutes_ago).unwrap();
        }
    }

    pub fn staging(&self) -> Vec<PathBuf> {
        let dir = self.path("repo/.walkeep/staging");
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn fetch(repository: &Repository<'_>, name: WalFileName) -> Vec<u8> {
    let expected =
        Expected { system_identifier: None, segment_size: SegmentSize::new(1 << 20), header_check: true };
    let mut bytes = Vec::new();
    repository.fetch(name, expected, &mut bytes).expect("a stored file is whole").expect("it is there");
    bytes
}
