//! A cluster: one data directory of a server, seen and never touched. What is proven here is the layout (which
//! product, where its WAL is) and what its binary files say.

mod archive_status;
mod backlog;
mod control_file;
mod dialect;
mod fields;
mod layout;
mod recovery;
mod replication_slot;
mod run_state;
#[cfg(test)]
mod samples;
mod server_config;
mod slots;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fsx::PathError;
use crate::wal::{BackupLabel, SegmentName, SegmentSize, Timeline, WalFileName};
use fields::Fields;

pub use archive_status::{ArchiveStatus, Status};
pub use backlog::{Backlog, Head, LastDone, Pace, Queue, Strangers, goes_on_in_child};
pub use control_file::{ClusterState, ControlFile, ControlFileError, WalLevel};
pub use dialect::Dialect;
pub use layout::LayoutFault;
pub use recovery::{Recovery, TargetTimeline};
pub use replication_slot::{Invalidation, SlotPersistency, SlotState, SlotStateError};
pub use run_state::{Role, RunState};
pub use server_config::{ArchiveMode, ConfigFault, FaultKind, Origin, ServerConfig, Setting};
pub use slots::{Slot, SlotFault};

/// One data directory whose layout is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    data_directory: PathBuf,
    wal_directory: PathBuf,
    dialect: &'static Dialect,
    version: String,
}

/// Why a data directory does not tell what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The directory is not laid out as any known server does it.
    #[error("cannot use '{}' as a data directory", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        source: LayoutFault,
    },
    /// The control file is damaged, or of a server that is not known.
    #[error("cannot read '{}'", path.display())]
    ControlFile {
        /// The control file.
        path: PathBuf,
        /// What was found in it.
        source: ControlFileError,
    },
    /// The system refuses.
    #[error("cannot read '{}'", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<PathError> for ClusterError {
    fn from(error: PathError) -> Self {
        let (path, source) = error.into_parts();
        Self::Unreadable { path, source }
    }
}

impl Cluster {
    /// Proves that a directory is a data directory, of which dialect, and where its WAL is. A directory that
    /// could be of two is refused.
    pub fn find(dir: &Path) -> Result<Self, ClusterError> {
        let proven = layout::prove(dir)?;
        Ok(Self {
            data_directory: dir.to_path_buf(),
            wal_directory: proven.wal_directory,
            dialect: proven.dialect,
            version: proven.version,
        })
    }

    /// Whether a directory looks like a data directory at all, sound or not.
    #[must_use]
    pub fn is_data_directory(dir: &Path) -> bool {
        layout::looks_like_data_directory(dir)
    }

    /// The data directory that a path such as `DIR/pg_wal/NAME` belongs to, by its parents alone. A WAL
    /// directory that was moved behind a symbolic link has no such parent under its real path.
    #[must_use]
    pub fn owning(wal_path: &Path) -> Option<PathBuf> {
        layout::owning(wal_path)
    }

    /// The data directory, as it was given.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        &self.data_directory
    }

    /// The WAL directory, by its real path.
    #[must_use]
    pub fn wal_directory(&self) -> &Path {
        &self.wal_directory
    }

    /// The product and version family.
    #[must_use]
    pub const fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What the version file says, such as "12".
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The server's major version where it is a single number, as PostgreSQL counts from 10 on.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        self.version.parse().ok()
    }

    /// Where the control file lies.
    #[must_use]
    pub fn control_file_path(&self) -> PathBuf {
        self.data_directory.join(self.dialect.control_file)
    }

    /// Where each slot has a directory.
    #[must_use]
    pub fn slot_directory(&self) -> PathBuf {
        self.data_directory.join(self.dialect.slot_directory)
    }

    /// Reads the control file, again where the server was writing it in the meantime.
    pub fn control_file(&self) -> Result<ControlFile, ClusterError> {
        let path = self.control_file_path();
        let read = || read_control_file(&path);
        let parsed = settled(read, TORN_READ_WAIT, |bytes| ControlFile::parse(bytes, Some(self.dialect)));
        match parsed {
            Ok(parsed) => parsed.map_err(|source| ClusterError::ControlFile { path, source }),
            Err(source) => Err(ClusterError::Unreadable { path, source }),
        }
    }

    /// Whether the server was told to recover from an archive, and whether to stay a standby. openGauss can
    /// also be made a standby by how it is started, which leaves no trace here.
    pub fn recovery(&self) -> Result<Recovery, ClusterError> {
        recovery::of(&self.data_directory, self.dialect.recovery)
    }

    /// The label of a base backup that runs here, or that was laid down here and not started yet; `None` where
    /// there is none (`backup_label`, in every product).
    pub fn backup_label(&self) -> Result<Option<BackupLabel>, ClusterError> {
        let path = self.data_directory.join("backup_label");
        let bytes = match read_at_most(&path, MOST_TEXT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ClusterError::Unreadable { path, source }),
        };
        let parsed = BackupLabel::parse(&bytes);
        parsed.map(Some).map_err(|error| {
            let source = io::Error::new(io::ErrorKind::InvalidData, error);
            ClusterError::Unreadable { path, source }
        })
    }

    /// The status files of the cluster's WAL.
    #[must_use]
    pub fn archive_status(&self) -> ArchiveStatus {
        ArchiveStatus::new(self.wal_directory.join(ArchiveStatus::DIRECTORY_NAME))
    }

    /// Whether a WAL file is in the WAL directory.
    pub fn has_wal_file(&self, name: WalFileName) -> Result<bool, ClusterError> {
        layout::is_there(&self.wal_directory.join(name.to_string()), |_| true)
    }

    /// The queue of the cluster's archiver, as it is now.
    pub fn backlog(&self) -> Result<Backlog, ClusterError> {
        Backlog::read(&self.wal_directory, &self.archive_status())
    }

    /// What waits in that queue, as it is now, and nothing else of it.
    pub fn queue(&self) -> Result<Queue, ClusterError> {
        backlog::queue(&self.archive_status())
    }

    /// What waits behind a file that the server asks for now, in the order in which it will ask, at most so many
    /// files; nothing where that file does not wait itself: then it was not the server that asked.
    pub fn pending_behind(
        &self,
        name: WalFileName,
        size: SegmentSize,
        most: usize,
    ) -> Result<Vec<WalFileName>, ClusterError> {
        backlog::pending_behind(&self.archive_status(), name, size, most)
    }

    /// Whether the server has finished a segment in the WAL directory.
    pub fn is_complete(&self, name: SegmentName, size: SegmentSize) -> Result<bool, ClusterError> {
        is_complete_in(&self.wal_directory, name, size)
    }
}

/// Whether a directory is a server's WAL directory, by its status files' place: also one that was moved to
/// another disk, and called by its real path from somewhere else, so that nothing leads to its cluster.
pub fn is_wal_directory(dir: &Path) -> Result<bool, ClusterError> {
    layout::is_there(&dir.join(ArchiveStatus::DIRECTORY_NAME), std::fs::Metadata::is_dir)
}

/// Whether the server has finished a segment in a WAL directory: it has a status, or the segment after it was
/// begun on the same timeline. A name that no segment of this size bears is never complete.
pub fn is_complete_in(
    wal_directory: &Path,
    name: SegmentName,
    size: SegmentSize,
) -> Result<bool, ClusterError> {
    let status = ArchiveStatus::new(wal_directory.join(ArchiveStatus::DIRECTORY_NAME));
    if status.status_of(WalFileName::Segment(name))?.is_some() {
        return Ok(true);
    }
    let next = name.number(size).and_then(|number| number.next());
    match next.and_then(|next| SegmentName::new(name.timeline(), next, size)) {
        Some(next) => is_begun_in(wal_directory, next, size),
        None => Ok(false),
    }
}

/// Whether a segment is there with a first page of its own; a recycled file, made ready for later, still has
/// the page address of the segment that it was.
fn is_begun_in(wal_directory: &Path, name: SegmentName, size: SegmentSize) -> Result<bool, ClusterError> {
    let path = wal_directory.join(name.to_string());
    match read_at_most(&path, FIRST_PAGE_START_BYTES) {
        Ok(bytes) => Ok(starts_segment(Fields(&bytes), name, size)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ClusterError::Unreadable { path, source }),
    }
}

/// As much of a page header as tells which segment it starts (access/xlog_internal.h, `XLogPageHeaderData`).
const FIRST_PAGE_START_BYTES: u64 = 16;

fn starts_segment(page: Fields<'_>, name: SegmentName, size: SegmentSize) -> bool {
    const XLP_LONG_HEADER: u16 = 2;
    page.u16(2).is_some_and(|info| info & XLP_LONG_HEADER != 0)
        && page.u32(4).and_then(Timeline::new) == Some(name.timeline())
        && page.u64(8).is_some_and(|address| name.start(size).is_some_and(|start| start.get() == address))
}

/// How often a control file with a wrong checksum is read, as often as the servers' own tools read it
/// (common/controldata_utils.c, 15 and later).
const TORN_READ_TRIES: u32 = 10;

/// How long the server gets to finish writing it.
const TORN_READ_WAIT: Duration = Duration::from_millis(10);

/// `PG_CONTROL_FILE_SIZE`, in every product.
const CONTROL_FILE_BYTES: u64 = 8192;

fn read_control_file(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, CONTROL_FILE_BYTES)
}

fn read_at_most(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file to read it, and nothing else: a FIFO in its place is not waited for. The null device
/// counts as an empty file, which is how some leave a configuration file out.
fn open_regular(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let is_null_device = metadata.rdev() == rustix::fs::makedev(1, 3) && !metadata.is_dir();
    if metadata.is_file() || is_null_device {
        Ok(file)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Reads until the checksum is right, or the same bytes come twice: nobody is writing them, they are damaged.
fn settled<T>(
    mut read: impl FnMut() -> io::Result<Vec<u8>>,
    wait: Duration,
    parse: impl Fn(&[u8]) -> Result<T, ControlFileError>,
) -> io::Result<Result<T, ControlFileError>> {
    let mut bytes = read()?;
    for _ in 1..TORN_READ_TRIES {
        let parsed = parse(&bytes);
        if !matches!(parsed, Err(ControlFileError::Checksum { .. })) {
            return Ok(parsed);
        }
        std::thread::sleep(wait);
        let again = read()?;
        if again == bytes {
            return Ok(parsed);
        }
        bytes = again;
    }
    Ok(parse(&bytes))
}

/// No configuration file that walkeep reads is longer than this.
const MOST_TEXT_BYTES: u64 = 1 << 20;

/// The text of a small file; `None` where there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, ClusterError> {
    match read_at_most(path, MOST_TEXT_BYTES) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClusterError::Unreadable { path: path.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{every_dialect, fixture, kingbase_control_file, lay_out, row, write};
    use super::*;
    use std::cell::Cell;
    use std::error::Error as _;

    fn postgresql(version: &str) -> (tempfile::TempDir, Cluster) {
        let dir = tempfile::tempdir().unwrap();
        let control_file = fixture(&format!("{version}/running/pg_control"));
        lay_out(dir.path(), row("postgresql", version), version, &control_file);
        let cluster = Cluster::find(dir.path()).unwrap();
        (dir, cluster)
    }

    fn size() -> SegmentSize {
        SegmentSize::new(16 << 20).unwrap()
    }

    /// Reads one after the other, and then the last for ever; gives the outcome and the number of reads.
    fn settle(reads: &[Vec<u8>]) -> (Result<ControlFile, ControlFileError>, usize) {
        let count = Cell::new(0);
        let read = || {
            let bytes = reads[count.get().min(reads.len() - 1)].clone();
            count.set(count.get() + 1);
            Ok(bytes)
        };
        let parsed = settled(read, Duration::ZERO, |bytes| ControlFile::parse(bytes, None)).unwrap();
        (parsed, count.get())
    }

    /// The control file as a reader finds it while the server has written so many bytes of the next one.
    fn torn(written_bytes: usize) -> Vec<u8> {
        let next = fixture("12/shutdown/pg_control");
        let mut bytes = fixture("12/running/pg_control");
        bytes[..written_bytes].copy_from_slice(&next[..written_bytes]);
        bytes
    }

    #[test]
    fn a_control_file_caught_while_being_written_is_read_again() {
        let whole = fixture("12/shutdown/pg_control");
        let expected = ControlFile::parse(&whole, None);
        assert!(expected.is_ok());
        assert_eq!(settle(&[torn(20), torn(200), whole.clone()]), (expected.clone(), 3));
        assert_eq!(settle(&[whole]), (expected, 1));
    }

    #[test]
    fn a_control_file_that_stays_wrong_is_damaged_and_not_read_again() {
        let (parsed, reads) = settle(&[torn(20), torn(200), torn(200)]);
        assert!(matches!(parsed, Err(ControlFileError::Checksum { .. })));
        assert_eq!(reads, 3);
    }

    #[test]
    fn a_control_file_that_never_settles_is_given_up() {
        let reads: Vec<Vec<u8>> = [20, 200].map(torn).into_iter().cycle().take(40).collect();
        let (parsed, reads) = settle(&reads);
        assert!(matches!(parsed, Err(ControlFileError::Checksum { .. })));
        assert_eq!(reads, 10);
    }

    #[test]
    fn the_control_file_is_read_as_the_dialect_writes_it() {
        let dir = tempfile::tempdir().unwrap();
        lay_out(dir.path(), row("kingbase-v8r6", "12"), "12", &kingbase_control_file());
        let control = Cluster::find(dir.path()).unwrap().control_file().unwrap();
        assert_eq!(control.crc_offset, 296);
    }

    #[test]
    fn a_damaged_control_file_is_named_with_what_was_found() {
        let (dir, cluster) = postgresql("12");
        let path = dir.path().join("global/pg_control");
        write(&path, torn(200));
        let error = cluster.control_file().unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read '{}'", path.display()));
        assert!(error.source().unwrap().to_string().starts_with("its checksum is "));
        write(&path, fixture("18/running/pg_control"));
        assert!(cluster.control_file().is_ok(), "one row for all from 12 on");
        write(&path, fixture("11/running/pg_control"));
        let cause = cluster.control_file().unwrap_err().source().unwrap().to_string();
        assert_eq!(cause, "its version is 1100, which PostgreSQL 10+ does not write");
    }

    #[test]
    fn a_backup_label_is_read_and_a_damaged_one_is_no_absent_one() {
        let (dir, cluster) = postgresql("15");
        assert_eq!(cluster.backup_label().unwrap(), None);
        let path = dir.path().join("backup_label");
        write(&path, fixture("15-debian/backup_label"));
        assert_eq!(cluster.backup_label().unwrap().unwrap().start.to_string(), "0/25000028");
        write(&path, "START WAL LOCATION");
        assert_eq!(
            cluster.backup_label().unwrap_err().to_string(),
            format!("cannot read '{}'", path.display())
        );
        let (dir, cluster) = postgresql("15");
        std::fs::create_dir(dir.path().join("backup_label")).unwrap();
        assert!(cluster.backup_label().is_err());
    }

    #[test]
    fn recovery_is_known_by_the_files_of_the_dialect() {
        for (dialect, version, control_file) in every_dialect() {
            let dir = tempfile::tempdir().unwrap();
            lay_out(dir.path(), dialect, version, &control_file);
            let recovery = || Cluster::find(dir.path()).unwrap().recovery().unwrap();
            let by_signals = dialect.recovery == dialect::RecoveryFiles::Signals;
            let expect = |signals, conf| if by_signals { signals } else { conf };
            assert_eq!(recovery(), Recovery::None);
            write(&dir.path().join("recovery.signal"), "");
            assert_eq!(recovery(), expect(Recovery::Archive, Recovery::None), "{}", dialect.product);
            write(&dir.path().join("recovery.conf"), "restore_command = 'x'\n");
            assert_eq!(recovery(), Recovery::Archive);
            write(&dir.path().join("recovery.conf"), "standby_mode = 'on'\n");
            assert_eq!(recovery(), expect(Recovery::Archive, Recovery::Standby));
            write(&dir.path().join("standby.signal"), "");
            assert_eq!(recovery(), Recovery::Standby);
        }
    }

    fn status(cluster: &Cluster, name: &str) -> Option<Status> {
        cluster.archive_status().status_of(name.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_status_is_read_for_every_kind_of_file_and_ready_wins() {
        let (dir, cluster) = postgresql("15");
        for name in [
            "000000010000000000000003",
            "00000001000000000000008C.partial",
            "00000002.history",
            "000000010000000000000003.00000028.backup",
        ] {
            let path = |suffix: &str| dir.path().join(format!("pg_wal/archive_status/{name}{suffix}"));
            assert_eq!(status(&cluster, name), None);
            write(&path(".done"), "");
            assert_eq!(status(&cluster, name), Some(Status::Done));
            write(&path(".ready"), "");
            assert_eq!(status(&cluster, name), Some(Status::Ready));
        }
    }

    #[test]
    fn a_status_that_cannot_be_read_is_not_an_absent_one() {
        let (dir, cluster) = postgresql("15");
        let directory = dir.path().join("pg_wal/archive_status");
        std::fs::remove_dir(&directory).unwrap();
        write(&directory, "a file in the way");
        let name = "000000010000000000000003".parse().unwrap();
        assert!(cluster.archive_status().status_of(name).is_err());
    }

    /// The first bytes of a segment.
    fn first_page(info: u16, timeline: u32, address: u64) -> Vec<u8> {
        let (magic, rest) = (0xD110_u16.to_le_bytes(), [0; 24]);
        let (info, timeline) = (info.to_le_bytes(), timeline.to_le_bytes());
        [&magic[..], &info, &timeline, &address.to_le_bytes(), &rest].concat()
    }

    #[test]
    fn a_segment_is_complete_once_it_has_a_status() {
        let (dir, cluster) = postgresql("15");
        let name = "000000010000000000000003".parse().unwrap();
        assert!(!cluster.is_complete(name, size()).unwrap());
        for suffix in [".ready", ".done"] {
            let path = dir.path().join(format!("pg_wal/archive_status/{name}{suffix}"));
            write(&path, "");
            assert!(cluster.is_complete(name, size()).unwrap());
            std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_segment_is_complete_once_the_next_of_its_timeline_is_begun() {
        let (dir, cluster) = postgresql("15");
        let name = "0000000100000000000000FF".parse().unwrap();
        let next = dir.path().join("pg_wal/000000010000000100000000");
        let complete = |page: &[u8]| {
            write(&next, page);
            cluster.is_complete(name, size()).unwrap()
        };
        assert!(complete(&first_page(2, 1, 1 << 32)));
        assert!(complete(&first_page(3, 1, 1 << 32)), "a record goes on into it");
        assert!(!complete(b""), "empty");
        assert!(!complete(&first_page(2, 1, 1 << 32)[..15]), "cut");
        assert!(!complete(&[0; 8192]), "made but not begun");
        assert!(!complete(&first_page(2, 1, 0x0A00_0000)), "recycled");
        assert!(!complete(&first_page(0, 1, 1 << 32)), "no long header");
        assert!(!complete(&first_page(2, 2, 1 << 32)), "of another timeline");
        assert!(!complete(&first_page(2, 0, 1 << 32)), "of no timeline");
    }

    #[test]
    fn a_name_that_no_segment_of_the_size_bears_is_never_complete() {
        let (_dir, cluster) = postgresql("15");
        let gigabyte = SegmentSize::new(1 << 30).unwrap();
        for name in ["000000010000000000000004", "00000001FFFFFFFF00000003"] {
            assert!(!cluster.is_complete(name.parse().unwrap(), gigabyte).unwrap());
        }
    }
}
