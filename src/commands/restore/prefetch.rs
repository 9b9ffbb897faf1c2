//! Prefetch: what the server will ask for next is fetched, proven and laid ready while it replays. It answers nothing:
//! each file that the server asks for is proven once more against the repository, and fetched where it is not ready.

use std::time::Duration;

use super::spool::{Bond, Spool, SpoolError};
use super::{Prefetch, RestoreError, RestoreRequest, facts};
use crate::cluster::{Cluster, Recovery};
use crate::commands::pool;
use crate::fsx::LockGuard;
use crate::wal::{SegmentName, SegmentSize, WalFileName};

/// Why nothing was laid ready.
#[derive(Debug, thiserror::Error)]
pub enum PrefetchError {
    /// There is no spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The file behind which it begins could not have been restored either.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Where a segment was delivered for a recovery: what lies behind it may be laid ready.
pub(super) struct Scene<'a> {
    pub(super) spool: Spool,
    pub(super) prefetch: &'a Prefetch,
}

/// The name that servers give to what they restore during recovery (`RestoreArchivedFile` in access/transam/xlogarchive.c);
/// `pg_rewind` and people give others.
const RECOVERY_DESTINATIONS: [&str; 2] = ["RECOVERYXLOG", "RECOVERYHISTORY"];

impl<'a> Scene<'a> {
    /// The spool of a call; `None` where nothing is prefetched for such a call.
    pub(super) fn of(request: &'a RestoreRequest<'_>, cluster: &Cluster) -> Option<Result<Self, SpoolError>> {
        let prefetch = request.prefetch.as_ref().filter(|prefetch| prefetch.segments > 0)?;
        let file_name = request.destination.file_name()?;
        let folder = request.destination.parent()?.canonicalize().ok()?;
        let is_recoverys = RECOVERY_DESTINATIONS.iter().any(|name| file_name == *name);
        if !is_recoverys || folder != cluster.wal_directory() {
            return None;
        }
        if is_adoptive_parent(cluster) {
            return Some(Err(SpoolError::ServerIsProcessOne));
        }
        Some(Spool::of(cluster, prefetch).map(|spool| Self { spool, prefetch }))
    }
}

/// Whether the server becomes the parent of whoever outlives the call that started it: it is the first process of a
/// container. An orphan that is killed there is a crash of one of its own sessions for it, and it ends all of them and
/// its recovery (`reaper` and `CleanupBackend` in postmaster/postmaster.c).
fn is_adoptive_parent(cluster: &Cluster) -> bool {
    cluster.server_pid().is_ok_and(|pid| pid == Some(1))
}

/// Fetches the segments behind one that was delivered, until as many lie ready as are wanted, the next one is not stored,
/// or nobody needs them any more: time is up, the server is another one or gone, the recovery has ended. Returns how
/// many were laid ready.
///
/// # Errors
/// When it cannot even begin. What fails later ends it; the server will hear of it when it asks for that file.
pub fn prefetch(request: &RestoreRequest<'_>, jobs: usize, time: Duration) -> Result<u64, PrefetchError> {
    let WalFileName::Segment(delivered) = request.name else { return Ok(0) };
    let Some(cluster) = request.data_directory.as_deref().and_then(|dir| Cluster::find(dir).ok()) else {
        return Ok(0);
    };
    let Some(scene) = Scene::of(request, &cluster).transpose()? else { return Ok(0) };
    let control = cluster.control_file().ok();
    let (repository, expected) = facts(request, control.as_ref())?;
    let Some(size) = expected.segment_size.filter(|_| expected.system_identifier.is_some()) else {
        return Ok(0);
    };
    scene.spool.make()?;
    let Some(lock) = scene.spool.try_lock().map_err(SpoolError::from)? else { return Ok(0) };
    let bond = Bond { repository: &repository, expected, boot_id: &scene.prefetch.boot_id };
    let next: Vec<_> = behind(delivered, size).take(scene.prefetch.segments).collect();
    scene.spool.tidy(&next, &bond).map_err(SpoolError::from)?;
    let watch = Watch::begin(&cluster, &scene.spool);
    let is_needed = || watch.is_needed() && request.clock.elapsed() < time;
    let run = Run { scene: &scene, bond: &bond, size, jobs };
    let laid = run.fill(delivered, &is_needed);
    watch.end(lock);
    Ok(laid)
}

/// The segments behind one of a timeline, across the ends of logs.
pub(super) fn behind(name: SegmentName, size: SegmentSize) -> impl Iterator<Item = SegmentName> {
    let next = move |name: &SegmentName| SegmentName::new(name.timeline(), name.number(size)?.next()?, size);
    std::iter::successors(Some(name), next).skip(1)
}

/// One run of a prefetch.
struct Run<'a> {
    scene: &'a Scene<'a>,
    bond: &'a Bond<'a>,
    size: SegmentSize,
    jobs: usize,
}

impl Run<'_> {
    /// Goes on as long as the server takes what lies ready.
    fn fill(&self, delivered: SegmentName, is_needed: &dyn Fn() -> bool) -> u64 {
        let mut laid = 0;
        let mut last = delivered;
        while let Ok(ready) = self.scene.spool.ready() {
            let wanted = self.scene.prefetch.segments.saturating_sub(ready.len()).min(self.room());
            let is_missing = |name: &SegmentName| ready.iter().all(|ready| ready.name != *name);
            let batch = behind(last, self.size).filter(is_missing).take(wanted);
            let batch: Vec<_> = batch.take_while(|name| self.is_stored(*name)).collect();
            let Some(end) = batch.last().filter(|_| is_needed()) else { break };
            last = *end;
            let mut goes_on = true;
            pool::run(
                self.jobs,
                &batch,
                |name| self.lay_ready(*name),
                |_, is_laid| {
                    laid += u64::from(is_laid.is_some());
                    goes_on = goes_on && is_laid.is_some() && is_needed();
                    goes_on
                },
            );
            if !goes_on {
                break;
            }
        }
        laid
    }

    fn is_stored(&self, name: SegmentName) -> bool {
        let found = self.bond.repository.find(WalFileName::Segment(name));
        found.is_ok_and(|found| !found.is_empty())
    }

    /// Lays one segment ready; `None` where it is not stored, or cannot be proven or written.
    fn lay_ready(&self, name: SegmentName) -> Option<()> {
        let (spool, repository, file) = (&self.scene.spool, self.bond.repository, WalFileName::Segment(name));
        let stored = repository.fingerprint(file).ok()??;
        let mut staged = spool.stage(name).ok()?;
        let fetched = repository.fetch(file, self.bond.expected, staged.file()).ok()??;
        let is_same = repository.fingerprint(file).ok()? == Some(stored);
        if !is_same {
            return None;
        }
        spool.lay_ready(name, (&staged, fetched), (self.bond, stored)).ok()
    }

    /// How many segments the disk has room for, with as much free beside them as all that may be laid ready: that is the
    /// server's, for it may well be the disk that its WAL directory is on.
    fn room(&self) -> usize {
        let segments = self.scene.spool.free_bytes().unwrap_or_default() / self.size.bytes();
        usize::try_from(segments).unwrap_or(usize::MAX).saturating_sub(self.scene.prefetch.segments)
    }
}

/// A watch over what the files are for.
struct Watch<'a> {
    cluster: &'a Cluster,
    spool: &'a Spool,
    server: Option<u32>,
    recovery: Option<Recovery>,
}

impl<'a> Watch<'a> {
    fn begin(cluster: &'a Cluster, spool: &'a Spool) -> Self {
        let mut watch = Self { cluster, spool, server: None, recovery: None };
        watch.server = watch.server();
        watch.recovery = watch.recovery();
        watch
    }

    fn server(&self) -> Option<u32> {
        self.cluster.server_pid().ok().flatten()
    }

    fn recovery(&self) -> Option<Recovery> {
        self.cluster.recovery().ok()
    }

    /// Whether the server that asked is still there, and in the same recovery.
    fn is_needed(&self) -> bool {
        !self.spool.is_stopped()
            && Cluster::is_data_directory(self.cluster.data_directory())
            && self.server == self.server()
            && self.recovery == self.recovery()
    }

    /// Leaves nothing behind that nobody will ask for.
    fn end(&self, _lock: LockGuard) {
        if !self.is_needed() {
            let _ = self.spool.clear();
            self.spool.go_on();
        }
    }
}
