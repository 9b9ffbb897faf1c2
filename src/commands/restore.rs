//! `restore`: one WAL file, whole and proven, under the destination that the server named; or an answer that
//! makes the server do the right thing. A wrong "not there" ends a recovery early and loses data; a wrong failure stops a
//! server that could have gone on. Which answer is right depends on what is requested, and on where the server is.

mod error;
mod fork;
mod history;
mod prefetch;
mod segment;
mod server;
mod spool;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::{Notice, RestoreError};
pub use prefetch::{PrefetchError, prefetch};
pub use spool::SpoolError;

use super::ForeignOwner;
use crate::cluster::{ControlFile, Recovery};
use crate::fsx::{Delivery, foreign_owner};
use crate::repository::{Digest, Expected, Repository, RepositoryError};
use crate::storage::Store;
use crate::wal::{SegmentName, SegmentSize, Timeline, WalFileName};
use prefetch::{Scene, behind};
use server::Server;
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
    /// How long failures are retried; `None` for the default of where the server is.
    pub retry_budget: Option<Duration>,
    /// How long failures are retried at least while a promotion is requested, or ends.
    pub promote_budget: Duration,
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
    /// What was delivered; `None` if the server is to go on without the file.
    pub delivered: Option<Delivered>,
    /// What the server's log should say of it.
    pub notices: Vec<Notice>,
    /// Whether more has to be fetched ahead.
    pub supply: Supply,
}

/// What was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The stored file, with this digest.
    Stored(Digest),
    /// The same, which was prefetched.
    Prefetched(Digest),
    /// What was made out of other stored files: a notice says so.
    Made,
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
    const fn absent() -> Self {
        Self { delivered: None, notices: Vec::new(), supply: Supply::Enough }
    }

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

/// How long failures are retried by default, in a recovery and at its end, which nothing else repeats.
const RETRY_BUDGET: Duration = Duration::from_secs(30);

/// The same for a standby, which asks again by itself.
const STANDBY_RETRY_BUDGET: Duration = Duration::from_secs(3);

/// Delivers one file, retrying what may pass.
///
/// # Errors
/// When it can be neither delivered nor proven absent; the failure says what the server is to do.
pub fn restore(request: &RestoreRequest<'_>) -> Result<RestoreReport, RestoreFailure> {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
    let server = Server::of(request.data_directory.as_deref());
    // No server ever wrote this one, and each asks for it at the end of its first promotion.
    if request.name == WalFileName::TimelineHistory(Timeline::FIRST) {
        return Ok(RestoreReport::absent());
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match answer(request, &server) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let time_left = budget(request, &server).saturating_sub(request.clock.elapsed());
        if !error.may_pass() || time_left < pause {
            return give_up(request, &server, error);
        }
        request.clock.sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How long failures are retried in all. Whether a promotion is requested is read anew each time.
fn budget(request: &RestoreRequest<'_>, server: &Server) -> Duration {
    let default = match server.recovery {
        Recovery::Standby => STANDBY_RETRY_BUDGET,
        Recovery::Archive | Recovery::None => RETRY_BUDGET,
    };
    let usual = request.retry_budget.unwrap_or(default);
    if server.is_asked_to_promote() { usual.max(request.promote_budget) } else { usual }
}

/// What is answered when the repository does not.
fn give_up(
    request: &RestoreRequest<'_>,
    server: &Server,
    error: RestoreError,
) -> Result<RestoreReport, RestoreFailure> {
    if let WalFileName::TimelineHistory(timeline) = request.name
        && let Some(report) = history::without_repository(request, server, timeline, &error)
    {
        return Ok(report);
    }
    Err(RestoreFailure { error, answer: on_failure(request.on_error, server.recovery) })
}

/// What is answered to a request that the repository left without an answer: of a history what the server or this node has
/// of it; `None` if that is nothing, and for every other file.
#[must_use]
pub fn restore_without_repository(
    name: WalFileName,
    destination: &Path,
    data_directory: Option<&Path>,
    repository: String,
    error: String,
) -> Option<RestoreReport> {
    let WalFileName::TimelineHistory(timeline) = name else { return None };
    let server = Server::of(data_directory);
    if server.history_text(timeline).is_some() {
        return Some(RestoreReport::absent());
    }
    let notice = history::deliver_copy(destination, &server, repository, timeline, error)?;
    let delivered = Some(Delivered::Made);
    Some(RestoreReport { delivered, notices: vec![notice], ..RestoreReport::absent() })
}

/// What a server is told of a failure. No data directory to be found counts as recovery.
#[must_use]
pub fn answer_on_failure(on_error: OnError, data_directory: Option<&Path>) -> Answer {
    on_failure(on_error, Server::of(data_directory).recovery)
}

/// A recovery stops, since "not there" would end it. A standby asks again, and at the end of a recovery the server has
/// removed its signal file already: to stop it then would start it as a primary on the old timeline.
fn on_failure(on_error: OnError, recovery: Recovery) -> Answer {
    match (on_error, recovery) {
        (OnError::Stop, _) | (OnError::Auto, Recovery::Archive) => Answer::Stop,
        (OnError::Continue, _) | (OnError::Auto, Recovery::Standby | Recovery::None) => Answer::GoOn,
    }
}

/// One try.
fn answer(request: &RestoreRequest<'_>, server: &Server) -> Result<RestoreReport, RestoreError> {
    let opened = || {
        let (repository, expected) = facts(request, server.control.as_ref())?;
        Ok::<_, RestoreError>(Archive { repository, expected })
    };
    match request.name {
        WalFileName::TimelineHistory(timeline) => history::answer(request, server, opened, timeline),
        WalFileName::Segment(name) => segment::answer(request, server, &opened()?, name),
        _ => {
            let Archive { repository, expected } = opened()?;
            let delivered = fetch(request, (&repository, expected))?.map(Delivered::Stored);
            Ok(RestoreReport { delivered, ..RestoreReport::absent() })
        }
    }
}

/// The repository that a call reads, and what its files have to agree with.
struct Archive<'a> {
    repository: Repository<'a>,
    expected: Expected,
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

/// Where segments are prefetched to for such a call; `None` if none are.
fn scene<'a>(request: &'a RestoreRequest<'_>, server: &'a Server) -> Option<Result<Scene<'a>, SpoolError>> {
    server.cluster.as_ref().and_then(|cluster| Scene::of(request, cluster))
}

/// Servers ask for histories when a recovery begins and when it has come to its end, and while it goes on only if there is
/// no WAL: what was prefetched then is of no use.
fn end_prefetch(request: &RestoreRequest<'_>, server: &Server) {
    if let Some(Ok(scene)) = scene(request, server) {
        // What is left there is removed by the next recovery.
        let _ = scene.spool.end();
    }
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

/// What is prefetched after a segment.
fn supply(scene: &Scene<'_>, name: WalFileName, delivered: Option<SegmentSize>) -> Supply {
    let told = match (name, delivered) {
        (WalFileName::Segment(name), Some(size)) => replenish(scene, name, size),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recovery_before_its_end_stops_at_a_failure() {
        assert_eq!(on_failure(OnError::Auto, Recovery::Standby), Answer::GoOn);
        assert_eq!(on_failure(OnError::Auto, Recovery::None), Answer::GoOn);
        assert_eq!(on_failure(OnError::Auto, Recovery::Archive), Answer::Stop);
        assert_eq!(on_failure(OnError::Stop, Recovery::Standby), Answer::Stop);
        assert_eq!(on_failure(OnError::Continue, Recovery::Archive), Answer::GoOn);
    }
}
