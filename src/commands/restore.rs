//! `restore`: one WAL file, whole and proven, under the destination that the server named; or an answer that
//! makes the server do the right thing. A wrong "not there" ends a recovery early and loses data.

mod prefetch;
mod spool;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use prefetch::{PrefetchError, prefetch};
pub use spool::SpoolError;

use super::source::SourceFile;
use super::{ForeignOwner, Hint};
use crate::cluster::{Cluster, ControlFile, Recovery};
use crate::fsx::{Delivery, PathError, foreign_owner};
use crate::repository::{Digest, Expected, Repository, RepositoryError, Source as _, header_agrees};
use crate::storage::Store;
use crate::wal::{
    LONG_HEADER_BYTES, LongPageHeader, SegmentName, SegmentSize, Timeline, TimelineHistory, WalFileName,
};
use prefetch::{Scene, behind};
use spool::Bond;

/// What is asked for, and where it has to go.
pub struct RestoreRequest<'a> {
    /// The file: `%f`.
    pub name: WalFileName,
    /// Where it goes: `%p`.
    pub destination: PathBuf,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// The data directory that the caller named or runs in.
    pub data_directory: Option<PathBuf>,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
    /// Whether a gap in the archive is taken for its end.
    pub gap_is_end: bool,
    /// How long failures are retried.
    pub retry_budget: Duration,
    /// What a failure makes the server do.
    pub on_error: OnError,
    /// How far is fetched ahead of the server; `None` where nothing is.
    pub prefetch: Option<Prefetch>,
    /// Time, for the retries.
    pub clock: &'a dyn Clock,
}

/// How far is fetched ahead of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prefetch {
    /// How many segments lie ready at most.
    pub segments: usize,
    /// Where they lie, where somebody says; else beside the data directory.
    pub spool: Option<PathBuf>,
    /// What tells this start of the machine from every other.
    pub boot_id: String,
}

/// Time as a verb that waits needs it.
pub trait Clock: Sync {
    /// Time since the verb began.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// What a failure makes the server do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// A standby goes on, a recovery stops.
    Auto,
    /// The server stops.
    Stop,
    /// The server goes on as if the file were not there.
    Continue,
}

/// What the server is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The file is there, whole and proven.
    Delivered,
    /// The repository does not have it.
    Absent,
    /// Something failed; the server is to go on as if the file were not there, and ask again.
    GoOn,
    /// Something failed; the server is to stop rather than to end its recovery early.
    Stop,
}

/// What was delivered, and what comes next.
#[derive(Debug)]
pub struct RestoreReport {
    /// The digest of the file; `None` where the repository does not have it.
    pub delivered: Option<Digest>,
    /// Whether it lay ready.
    pub lay_ready: bool,
    /// Whether more has to be fetched ahead.
    pub supply: Supply,
}

/// What lies ready for the calls that come next.
#[derive(Debug)]
pub enum Supply {
    /// Enough, or nothing is fetched ahead for such a call.
    Enough,
    /// Little, and nobody is fetching more.
    Low,
    /// Nothing, for there is no spool.
    NoSpool(SpoolError),
}

impl RestoreReport {
    /// What the server is told.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        if self.delivered.is_some() { Answer::Delivered } else { Answer::Absent }
    }
}

/// Why a file was not delivered, and what the server is told.
#[derive(Debug)]
pub struct RestoreFailure {
    /// Why.
    pub error: RestoreError,
    /// What the server is told.
    pub answer: Answer,
}

/// Why a file was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository did not give it.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The destination cannot be written.
    #[error(transparent)]
    Destination(#[from] PathError),
    /// The repository lacks a segment in its middle.
    #[error("the repository has a gap: '{from}' is not stored, but '{next}' is")]
    Gap {
        /// What was asked for: the first of the missing ones, as far as this call can tell.
        from: SegmentName,
        /// The next one that is there.
        next: SegmentName,
    },
    /// What is stored begins later.
    #[error("'{from}' is older than everything that is stored: its timeline begins with '{next}' there")]
    BeforeAll {
        /// What was asked for.
        from: SegmentName,
        /// The first one that is there.
        next: SegmentName,
    },
    /// The repository lacks a segment that a stored timeline follows.
    #[error("the repository has a gap: '{from}' is not stored, but timeline {child} follows it to its end")]
    GapBeforeFork {
        /// What was asked for.
        from: SegmentName,
        /// The timeline that needs it.
        child: Timeline,
    },
    /// The repository has segments of a timeline, but not its history.
    #[error("the repository has segments of timeline {0}, but not its history")]
    NoHistory(Timeline),
}

impl RestoreError {
    /// Whether the next try may end otherwise: what the medium or the network did, not what the file is.
    fn may_pass(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(
                error,
                RepositoryError::Store(_)
                    | RepositoryError::NotARepository { .. }
                    | RepositoryError::Damaged { .. }
            ),
            Self::ForeignOwner(_)
            | Self::Destination(_)
            | Self::BeforeAll { .. }
            | Self::Gap { .. }
            | Self::GapBeforeFork { .. }
            | Self::NoHistory(_) => false,
        }
    }
}

impl Hint for RestoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::ForeignOwner(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Destination(_) => None,
            Self::BeforeAll { .. } => Some(
                "It was pruned, or never archived here: recover from a newer base backup, or archive what an older archive or \
                 a WAL directory of this cluster still has of it. --gap-is-end goes on, and loses everything that is stored \
                 behind."
                    .to_owned(),
            ),
            Self::Gap { .. } | Self::GapBeforeFork { .. } | Self::NoHistory(_) => Some(
                "Find the missing files in a WAL directory of this cluster or of its standbys, and archive them. \
                 Where the recovery target lies before the gap, the server only reads ahead: --gap-is-end goes \
                 on, and loses what lies behind the gap."
                    .to_owned(),
            ),
        }
    }
}

/// Delivers one file, retrying what may pass.
///
/// # Errors
/// When it can be neither delivered nor proven absent; the failure says what to tell the server.
pub fn restore(request: &RestoreRequest<'_>) -> Result<RestoreReport, RestoreFailure> {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
    let cluster = request.data_directory.as_deref().and_then(|dir| Cluster::find(dir).ok());
    let standby = is_standby(cluster.as_ref());
    let control = cluster.as_ref().and_then(|cluster| cluster.control_file().ok());
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match deliver(request, standby, cluster.as_ref(), control.as_ref()) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let time_left = request.retry_budget.saturating_sub(request.clock.elapsed());
        if !error.may_pass() || time_left < pause {
            return Err(RestoreFailure { error, answer: on_failure(request.on_error, standby) });
        }
        request.clock.sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a server is told of a failure. No data directory to be found counts as recovery.
#[must_use]
pub fn answer_on_failure(on_error: OnError, data_directory: Option<&Path>) -> Answer {
    let cluster = data_directory.and_then(|dir| Cluster::find(dir).ok());
    on_failure(on_error, is_standby(cluster.as_ref()))
}

fn on_failure(on_error: OnError, standby: bool) -> Answer {
    match (on_error, standby) {
        (OnError::Continue, _) | (OnError::Auto, true) => Answer::GoOn,
        (OnError::Stop, _) | (OnError::Auto, false) => Answer::Stop,
    }
}

fn is_standby(cluster: Option<&Cluster>) -> bool {
    cluster.is_some_and(|cluster| matches!(cluster.recovery(), Ok(Recovery::Standby)))
}

fn deliver(
    request: &RestoreRequest<'_>,
    standby: bool,
    cluster: Option<&Cluster>,
    control: Option<&ControlFile>,
) -> Result<RestoreReport, RestoreError> {
    let (repository, expected) = facts(request, control)?;
    let (scene, no_spool) = match cluster.and_then(|cluster| Scene::of(request, cluster)) {
        Some(Ok(scene)) => (Some(scene), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let laid_ready = scene.as_ref().and_then(|scene| take(scene, request, (&repository, expected)));
    let delivered = match laid_ready {
        Some(digest) => Some(digest),
        None => fetch(request, (&repository, expected))?,
    };
    if delivered.is_none()
        && !standby
        && !request.gap_is_end
        && !cluster.is_some_and(|cluster| is_at_hand(request.name, cluster, expected))
    {
        refuse_gap(&repository, request.name, expected, control)?;
    }
    let supply = match (scene, no_spool) {
        (_, Some(error)) => Supply::NoSpool(error),
        (Some(scene), None) => supply(&scene, request.name, delivered.and(expected.segment_size)),
        (None, None) => Supply::Enough,
    };
    Ok(RestoreReport { delivered, lay_ready: laid_ready.is_some(), supply })
}

/// The repository, and what a file in it has to agree with.
fn facts<'a>(
    request: &RestoreRequest<'a>,
    control: Option<&ControlFile>,
) -> Result<(Repository<'a>, Expected), RestoreError> {
    if let Some(folder) = request.destination.parent() {
        ForeignOwner::refuse("destination", folder.display().to_string(), foreign_owner(folder)?)?;
    }
    let repository = Repository::open(request.store)?;
    let bound = repository.identity();
    if let (Some(bound), Some(control)) = (bound, control)
        && bound.system_identifier != control.system_identifier
    {
        let (repository, found) = (bound.system_identifier, control.system_identifier);
        return Err(RepositoryError::OtherSystem { repository, found }.into());
    }
    let expected = Expected {
        system_identifier: bound
            .map(|bound| bound.system_identifier)
            .or(control.map(|control| control.system_identifier)),
        segment_size: bound.map(|bound| bound.segment_size).or(control.map(|control| control.segment_size)),
        header_check: request.header_check,
    };
    Ok((repository, expected))
}

/// Delivers the file from the repository; `None` where it is not stored.
fn fetch(
    request: &RestoreRequest<'_>,
    (repository, expected): (&Repository<'_>, Expected),
) -> Result<Option<Digest>, RestoreError> {
    let mut delivery = Delivery::begin(&request.destination)?;
    let fetched = repository.fetch(request.name, expected, delivery.file())?;
    if fetched.is_some() {
        delivery.finish()?;
    }
    Ok(fetched.map(|fetched| fetched.digest))
}

/// Delivers the file from the spool, where it lies ready there and is what the repository has.
fn take(
    scene: &Scene<'_>,
    request: &RestoreRequest<'_>,
    (repository, expected): (&Repository<'_>, Expected),
) -> Option<Digest> {
    let WalFileName::Segment(name) = request.name else { return None };
    let bond = Bond { repository, expected, boot_id: &scene.prefetch.boot_id };
    scene.spool.deliver(name, &bond, &request.destination, request.clock)
}

/// What lies ready behind a file. Servers ask for histories when a recovery begins and when it has come to its end, and
/// while it goes on only where there is no WAL: what lies ready then is of no use.
fn supply(scene: &Scene<'_>, name: WalFileName, delivered: Option<SegmentSize>) -> Supply {
    let told = match (name, delivered) {
        (WalFileName::Segment(name), Some(size)) => replenish(scene, name, size),
        (WalFileName::TimelineHistory(_), _) => {
            scene.spool.end().map(|()| Supply::Enough).map_err(SpoolError::from)
        }
        _ => Ok(Supply::Enough),
    };
    told.unwrap_or_else(Supply::NoSpool)
}

/// More is fetched when half of it is used up: to start a program for each file would cost more than it brings.
fn replenish(scene: &Scene<'_>, name: SegmentName, size: SegmentSize) -> Result<Supply, SpoolError> {
    scene.spool.make()?;
    let next: Vec<_> = behind(name, size).take(scene.prefetch.segments).collect();
    let ready = scene.spool.keep(&next)?;
    if ready > scene.prefetch.segments / 2 || scene.spool.try_lock()?.is_none() {
        return Ok(Supply::Enough);
    }
    scene.spool.go_on();
    Ok(Supply::Low)
}

/// Whether the server has the file in its own WAL directory, where it looks when the archive lacks it: a base
/// backup brought it along, or it was never archived. A segment has to be whole there: one that was still open
/// when the directory was copied would end the recovery in its middle.
fn is_at_hand(name: WalFileName, cluster: &Cluster, expected: Expected) -> bool {
    let path = cluster.wal_directory().join(name.to_string());
    let Ok(source) = SourceFile::open(&path) else { return false };
    match name {
        WalFileName::TimelineHistory(timeline) => {
            source.head::<HISTORY_BYTES>().is_ok_and(|text| TimelineHistory::parse(timeline, &text).is_ok())
        }
        WalFileName::Segment(segment) => {
            let size = expected.segment_size.filter(|size| size.bytes() == source.stamp().size);
            let head = source.head::<LONG_HEADER_BYTES>().unwrap_or_default();
            let agrees = LongPageHeader::parse(&head)
                .is_ok_and(|header| header_agrees(name, &header, expected.system_identifier).is_ok());
            (agrees || !expected.header_check)
                && size.is_some_and(|size| cluster.is_complete(segment, size).unwrap_or(false))
        }
        _ => false,
    }
}

/// Longest history that is looked at, in bytes.
const HISTORY_BYTES: usize = 1 << 20;

/// In a recovery, "not there" means "the end". It is not the end where the archive goes on behind it: in later
/// segments of the timeline, or in a timeline that follows this one past the segment.
fn refuse_gap(
    repository: &Repository<'_>,
    name: WalFileName,
    expected: Expected,
    control: Option<&ControlFile>,
) -> Result<(), RestoreError> {
    match name {
        WalFileName::Segment(from) => {
            let stored = repository.segments()?;
            let next = stored.iter().find(|other| other.timeline() == from.timeline() && **other > from);
            if let Some(&next) = next {
                return Err(if stored.iter().any(|other| other.lies_before(from)) {
                    RestoreError::Gap { from, next }
                } else {
                    RestoreError::BeforeAll { from, next }
                });
            }
            let end = expected.segment_size.and_then(|size| from.number(size)?.next()?.start(size));
            match repository.timeline_forked_at_or_after(from.timeline(), end, expected)? {
                Some(child) => Err(RestoreError::GapBeforeFork { from, child }),
                None => Ok(()),
            }
        }
        // The first timeline has no history, and where the cluster is on a timeline already it may never have
        // been archived. A later one without it would have its number used again.
        WalFileName::TimelineHistory(timeline)
            if timeline != Timeline::FIRST
                && control.is_none_or(|control| timeline > control.timeline)
                && repository.holds_segments_of(timeline)? =>
        {
            Err(RestoreError::NoHistory(timeline))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_goes_on_and_a_recovery_stops() {
        assert_eq!(on_failure(OnError::Auto, true), Answer::GoOn);
        assert_eq!(on_failure(OnError::Auto, false), Answer::Stop);
        assert_eq!(on_failure(OnError::Stop, true), Answer::Stop);
        assert_eq!(on_failure(OnError::Continue, false), Answer::GoOn);
    }
}
