//! `archive`: one WAL file, durable in the repository, or a reason why not.

mod ahead;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::records::{FirstSegment, first_segment};
use super::source::{SourceFile, stamp_at};
use super::{Clock, ForeignOwner, Hint};
use crate::cluster::{Cluster, ClusterError, ControlFile, Recovery, is_complete_in, is_wal_directory};
use crate::fsx::{PathError, foreign_owner};
use crate::repository::{
    Identity, Offer, Origin, Packing, Placed, Put, Repository, RepositoryError, Source, header_agrees,
};
use crate::storage::{Store, StoreError};
use crate::wal::{
    LONG_HEADER_BYTES, LongPageHeader, ParseError, SegmentName, SegmentSize, TimelineHistory, WalFileKind,
    WalFileName,
};

pub(super) use ahead::{Account, Batch, Fate};
pub use ahead::{Ahead, AheadReport, LookAhead};

/// What is to be archived, and where to.
pub struct ArchiveRequest<'a> {
    /// The file, as an absolute path: `%p`.
    pub wal_path: PathBuf,
    /// Its name, where the caller gave one: `%f`.
    pub wal_name: Option<String>,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// The data directory that the caller named or runs in.
    pub data_directory: Option<PathBuf>,
    /// Compression level, 1 to 19.
    pub level: i32,
    /// Bytes that have to stay free in the repository.
    pub min_free_bytes: u64,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
    /// Who stores, and when.
    pub origin: &'a Origin,
    /// What the time is told by.
    pub clock: &'a dyn Clock,
    /// How times are written in messages.
    pub show_time: &'a (dyn Fn(SystemTime) -> String + Sync),
}

/// What came of it: the file is durable in the repository.
pub struct Archived<'a> {
    /// The file.
    pub name: WalFileName,
    /// What had to be done.
    pub put: Put,
    /// What may wait behind it; `None` where it was confirmed without being read, or no cluster is known.
    pub ahead: Option<Ahead<'a>>,
}

/// Why a file was not archived.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The path does not end in the name of a WAL file.
    #[error(transparent)]
    NotAWalFile(#[from] ParseError),
    /// The path ends otherwise than the name that came with it.
    #[error("the path ends in '{in_path}', the name is '{given}'")]
    NamesDiffer {
        /// What the path ends in.
        in_path: String,
        /// The name beside it.
        given: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Source(#[from] PathError),
    /// The file is not as long as it has to be.
    #[error("'{path}' holds {bytes} bytes, {expected}")]
    WrongLength {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
        /// What it should be.
        expected: String,
    },
    /// The file is not what its name says.
    #[error("'{path}' is not what its name says: {reason}")]
    NotAsNamed {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The segment is still being written.
    #[error("the segment is not complete: it has no .ready or .done, and no segment follows it")]
    NotComplete,
    /// Nothing tells which cluster a small text file comes from.
    #[error("a file of this kind does not say which cluster it comes from, and no data directory was found")]
    NoCluster,
    /// The data directory cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Archiving would take the space that is to stay free.
    #[error("the repository has {free} bytes free, and {min_free} are to stay free")]
    LowSpace {
        /// Free now.
        free: u64,
        /// To stay free.
        min_free: u64,
    },
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository did not take it.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for ArchiveError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotAWalFile(_) => {
                "In the server's configuration: archive_command = 'walkeep archive %p --repo DIR'."
            }
            Self::NamesDiffer { .. } => "Are %p and %f swapped? The path, %p, comes first.",
            Self::NotAsNamed { .. } => {
                "A recycled or copied file is never archived; for encrypted WAL there is --no-header-check."
            }
            Self::NotComplete => {
                "Its server will offer it when it is full; 'SELECT pg_switch_wal()' closes it now."
            }
            Self::NoCluster => "Name the data directory with -D.",
            Self::LowSpace { .. } => {
                "Nothing was stored, and the server will try again. Prune the repository or enlarge its file system."
            }
            Self::Source(error) if error.io().kind() == std::io::ErrorKind::NotFound => {
                "Typed by hand, is the path right? Where the server asks for it, the file is gone from its WAL directory: \
                 an orphan. If the repository does not have it either, which walkeep drain tells, its WAL is lost, and a \
                 new base backup is due."
            }
            Self::Source(_) | Self::WrongLength { .. } => return None,
            Self::Cluster(error) => return error.hint(),
            Self::ForeignOwner(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
        };
        Some(text.to_owned())
    }
}

/// On what terms files are archived, by this verb and by others.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// Compression level, 1 to 19.
    pub level: i32,
    /// Bytes that have to stay free in the repository.
    pub min_free_bytes: u64,
    /// Whether the first page's header is held against the name.
    pub header_check: bool,
    /// How many files are archived at once.
    pub jobs: usize,
    /// Who stores, and when.
    pub origin: &'a Origin,
    /// What the time is told by.
    pub clock: &'a dyn Clock,
    /// How times are written in messages.
    pub show_time: &'a (dyn Fn(SystemTime) -> String + Sync),
}

/// Archives one file. When it returns, the file is durable in the repository.
///
/// # Errors
/// When it is not, for whatever reason; nothing that was stored before is harmed.
pub fn archive<'a>(request: &'a ArchiveRequest<'a>) -> Result<Archived<'a>, ArchiveError> {
    let path = request.wal_path.as_path();
    let name = name_of(path, request.wal_name.as_deref())?;
    refuse_superuser(request.store, request.data_directory.as_deref())?;
    let terms = request.terms();
    let mut repository = Repository::open(request.store)?;
    let stored = || Archived { name, put: Put::AlreadyStored, ahead: None };
    if terms.recognised(path, name, &repository)?.is_some() {
        return Ok(stored());
    }
    // A leftover costs space, nothing else: that it cannot be swept must not stop the server's archiver.
    let _ = repository.sweep();
    if terms.awaited(path, name, &repository)?.is_some() {
        return Ok(stored());
    }

    let mut source = SourceFile::open(path)?;
    let cluster = request.data_directory.as_deref().map(Cluster::find).transpose()?;
    let control = cluster.as_ref().map(Cluster::control_file).transpose()?;
    if let (Some(cluster), Some(control)) = (&cluster, &control)
        && is_begun_only(Belonging { cluster, control }, path, name, &repository)?
    {
        return Ok(stored());
    }
    let identity = terms.prove(path, name, &source, control.as_ref(), &repository)?;
    repository.bind(identity, cluster.as_ref().map(|cluster| cluster.dialect().key()), request.origin)?;
    let put = terms.put(name, &mut source, identity, &repository)?;
    let ahead =
        cluster.zip(control).map(|(cluster, control)| Ahead { name, terms, cluster, control, repository });
    Ok(Archived { name, put, ahead })
}

impl ArchiveRequest<'_> {
    fn terms(&self) -> Terms<'_> {
        Terms {
            level: self.level,
            min_free_bytes: self.min_free_bytes,
            header_check: self.header_check,
            jobs: 1,
            origin: self.origin,
            clock: self.clock,
            show_time: self.show_time,
        }
    }
}

/// The cluster of a file, and its control file as it was read once for many.
#[derive(Clone, Copy)]
pub(super) struct Belonging<'a> {
    pub cluster: &'a Cluster,
    pub control: &'a ControlFile,
}

/// What came of a file that nobody asks for yet.
enum Attempt {
    /// It is known to be stored, and was not touched since.
    Known,
    /// Somebody else is storing it at the moment.
    InHand,
    /// It was written just now: no stamp would be kept of it, and its own call would read it again.
    TooNew,
    /// Its bytes are stored, so many of them; its name is durable once it is settled.
    Placed(Box<Placed>, u64),
}

impl Terms<'_> {
    /// Archives one file of a cluster that the repository is bound to; returns its length with what had to be done.
    pub(super) fn archive(
        &self,
        path: &Path,
        name: WalFileName,
        of: Belonging<'_>,
        repository: &Repository<'_>,
    ) -> Result<(Put, u64), ArchiveError> {
        let known = match self.recognised(path, name, repository)? {
            None => self.awaited(path, name, repository)?,
            known => known,
        };
        if let Some(bytes) = known {
            return Ok((Put::AlreadyStored, bytes));
        }
        let mut source = SourceFile::open(path)?;
        if is_begun_only(of, path, name, repository)? {
            return Ok((Put::AlreadyStored, source.stamp().size));
        }
        let identity = self.prove_of(path, name, &source, of, repository)?;
        let put = self.put(name, &mut source, identity, repository)?;
        Ok((put, source.stamp().size))
    }

    /// As [`Terms::archive`], for a file that nobody asks for yet, and but for the durable name, which
    /// [`Repository::settle`] makes.
    fn place(
        &self,
        path: &Path,
        name: WalFileName,
        of: Belonging<'_>,
        repository: &Repository<'_>,
    ) -> Result<Attempt, ArchiveError> {
        if self.recognised(path, name, repository)?.is_some() {
            return Ok(Attempt::Known);
        }
        // A history is left to nobody: it has to be durable before a segment behind it is begun.
        if name.kind() != WalFileKind::TimelineHistory && repository.is_in_hand(name) {
            return Ok(Attempt::InHand);
        }
        let mut source = SourceFile::open(path)?;
        // Of one that was written just now no stamp would be kept: it would be read twice.
        if !source.stamp().has_rested(self.origin.now) {
            return Ok(Attempt::TooNew);
        }
        if is_begun_only(of, path, name, repository)? {
            return Ok(Attempt::Known);
        }
        let identity = self.prove_of(path, name, &source, of, repository)?;
        let bytes = source.stamp().size;
        let offer = self.offer(name, &mut source, identity);
        Ok(Attempt::Placed(Box::new(repository.place(offer, self.origin)?), bytes))
    }

    /// The length of a file that is known to be stored, and was not touched since.
    fn recognised(
        &self,
        path: &Path,
        name: WalFileName,
        repository: &Repository<'_>,
    ) -> Result<Option<u64>, ArchiveError> {
        let Ok(stamp) = stamp_at(path) else { return Ok(None) };
        let known = repository.recognises(name, &stamp, &self.origin.machine_id)?;
        Ok(known.then_some(stamp.size))
    }

    /// Waits while somebody else is storing the file, a watch most likely: both of us would not be done sooner. As
    /// [`Terms::recognised`] after that.
    fn awaited(
        &self,
        path: &Path,
        name: WalFileName,
        repository: &Repository<'_>,
    ) -> Result<Option<u64>, ArchiveError> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(8);
        let size = stamp_at(path).map_or(0, |stamp| stamp.size);
        let end = self.clock.elapsed() + longest_wait(size);
        let mut pause = Duration::from_millis(1);
        while repository.is_in_hand(name) && self.clock.elapsed() < end {
            self.clock.sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
        self.recognised(path, name, repository)
    }

    /// As [`Terms::prove`], of a file of a cluster whose control file was read before. A file that does not say whose
    /// it is belongs to the cluster that has the data directory, and that may be another one by now: it is asked once
    /// the file is open, for whoever took the directory took both.
    fn prove_of(
        &self,
        path: &Path,
        name: WalFileName,
        source: &SourceFile,
        of: Belonging<'_>,
        repository: &Repository<'_>,
    ) -> Result<Identity, ArchiveError> {
        let says_whose = name.is_pages() && self.header_check;
        let now = if says_whose { None } else { Some(of.cluster.control_file()?) };
        let identity =
            self.prove(path, name, source, Some(now.as_ref().unwrap_or(of.control)), repository)?;
        repository.refuse_other(identity)?;
        Ok(identity)
    }

    /// Proves that a file may be stored under its name: whose it is, that it is complete, and that there is room.
    fn prove(
        &self,
        path: &Path,
        name: WalFileName,
        source: &SourceFile,
        control: Option<&ControlFile>,
        repository: &Repository<'_>,
    ) -> Result<Identity, ArchiveError> {
        let identity = identify(path, name, source, control, repository.identity(), self.header_check)?;
        if let WalFileName::Segment(segment) = name {
            refuse_open_tail(path, segment, identity.segment_size)?;
        }
        let bytes = source.stamp().size.saturating_mul(self.jobs as u64);
        refuse_low_space(repository, bytes, self.min_free_bytes)?;
        Ok(identity)
    }

    fn put(
        &self,
        name: WalFileName,
        source: &mut SourceFile,
        identity: Identity,
        repository: &Repository<'_>,
    ) -> Result<Put, ArchiveError> {
        Ok(repository.put(self.offer(name, source, identity), self.origin)?)
    }

    fn offer<'s>(&self, name: WalFileName, source: &'s mut SourceFile, identity: Identity) -> Offer<'s>
    where
        Self: 's,
    {
        let packing = if self.jobs > 1 { Packing::Inline } else { Packing::Threads };
        let Self { level, show_time, .. } = *self;
        Offer { name, source, identity, level, packing, show_time }
    }
}

/// Whether a file is the beginning of a timeline that has no WAL of its own in it yet: the parent's WAL is in the parent's
/// file, and under this name it would be in the way of the real one.
///
/// # Errors
/// When a standby may still be receiving it: the server has marked what `restore` delivered under this name, and writes into
/// it. One that is stored already is compared, and one of a timeline that the server has left stays as it is.
fn is_begun_only(
    of: Belonging<'_>,
    path: &Path,
    name: WalFileName,
    repository: &Repository<'_>,
) -> Result<bool, ArchiveError> {
    let WalFileName::Segment(segment) = name else { return Ok(false) };
    match first_segment(of.cluster, path, segment, of.control.segment_size) {
        Some(FirstSegment::OnlyParents) => Ok(true),
        Some(FirstSegment::Open)
            if of.cluster.recovery()? != Recovery::None
                && of.cluster.histories()?.iter().all(|other| *other <= segment.timeline())
                && repository.find(name)?.is_empty() =>
        {
            Err(ArchiveError::NotComplete)
        }
        _ => Ok(false),
    }
}

/// How long somebody else is waited for who seems to go on with a file of this size in bytes: far longer than it takes
/// to store one.
fn longest_wait(size: u64) -> Duration {
    const EACH: u64 = 64 << 20;
    Duration::from_secs(5 * size.div_ceil(EACH).max(1))
}

/// The name that a path ends in, which has to be the one that came with it.
fn name_of(path: &Path, given: Option<&str>) -> Result<WalFileName, ArchiveError> {
    let in_path = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(given) = given.filter(|given| *given != in_path) {
        return Err(ArchiveError::NamesDiffer { in_path: in_path.into_owned(), given: given.to_owned() });
    }
    Ok(in_path.parse()?)
}

/// Refuses to leave files of the superuser where another user's server works.
pub(super) fn refuse_superuser(store: &dyn Store, data_directory: Option<&Path>) -> Result<(), ArchiveError> {
    ForeignOwner::refuse("repository", store.location(), store.foreign_owner()?)?;
    if let Some(data) = data_directory {
        ForeignOwner::refuse("data directory", data.display().to_string(), foreign_owner(data)?)?;
    }
    Ok(())
}

/// Longest history that is read, in bytes.
const HISTORY_BYTES: usize = 1 << 20;

/// Proves that the file is what its name says, and from which cluster.
fn identify(
    path: &Path,
    name: WalFileName,
    source: &SourceFile,
    control: Option<&ControlFile>,
    bound: Option<Identity>,
    header_check: bool,
) -> Result<Identity, ArchiveError> {
    let path = || path.display().to_string();
    let of_control = control.map(|control| Identity {
        system_identifier: control.system_identifier,
        segment_size: control.segment_size,
    });
    let bytes = source.stamp().size;
    let wrong_length = |expected: String| ArchiveError::WrongLength { path: path(), bytes, expected };
    if bytes == 0 {
        return Err(wrong_length("and a WAL file is never empty".to_owned()));
    }
    if let WalFileName::TimelineHistory(timeline) = name {
        let text = source.head::<HISTORY_BYTES>()?;
        TimelineHistory::parse(timeline, &text)
            .map_err(|error| ArchiveError::NotAsNamed { path: path(), reason: error.to_string() })?;
    }
    if !name.is_pages() {
        return of_control.ok_or(ArchiveError::NoCluster);
    }
    let identity = if header_check {
        let not_that = |reason| ArchiveError::NotAsNamed { path: path(), reason };
        let head = source.head::<LONG_HEADER_BYTES>()?;
        let header = LongPageHeader::parse(&head).map_err(|error| not_that(error.to_string()))?;
        let system_identifier = of_control.map(|of_control| of_control.system_identifier);
        header_agrees(name, &header, system_identifier).map_err(not_that)?;
        Identity { system_identifier: header.system_identifier, segment_size: header.segment_size }
    } else {
        of_control.or(bound).ok_or(ArchiveError::NoCluster)?
    };
    let expected = of_control.map_or(identity.segment_size, |of_control| of_control.segment_size);
    if bytes == expected.bytes() && identity.segment_size == expected {
        Ok(identity)
    } else {
        Err(wrong_length(format!("and a segment of this cluster {}", expected.bytes())))
    }
}

/// The segment that the server is still writing is never stored under its name, whoever asks.
fn refuse_open_tail(path: &Path, segment: SegmentName, size: SegmentSize) -> Result<(), ArchiveError> {
    let named_in = path.parent().map(Path::to_owned);
    // A link elsewhere to a file in a WAL directory is that file.
    let lies_in = path.canonicalize().ok().and_then(|real| real.parent().map(Path::to_owned));
    let mut in_wal_directory = false;
    for folder in [named_in, lies_in].into_iter().flatten() {
        if is_wal_directory(&folder)? {
            if is_complete_in(&folder, segment, size)? {
                return Ok(());
            }
            in_wal_directory = true;
        }
    }
    if in_wal_directory { Err(ArchiveError::NotComplete) } else { Ok(()) }
}

fn refuse_low_space(repository: &Repository<'_>, bytes: u64, min_free: u64) -> Result<(), ArchiveError> {
    if min_free == 0 {
        return Ok(());
    }
    let free = repository.free_bytes()?;
    if free < min_free.saturating_add(bytes) {
        return Err(ArchiveError::LowSpace { free, min_free });
    }
    Ok(())
}
