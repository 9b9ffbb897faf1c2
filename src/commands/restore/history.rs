//! Requests for histories. A false "not there" makes a server end its recovery early, or take a number for its new timeline
//! that is used already.

use std::io::Write;
use std::path::Path;

use super::error::{Notice, RestoreError};
use super::server::Server;
use super::state::NodeState;
use super::{Archive, Delivered, RestoreReport, RestoreRequest, end_prefetch};
use crate::cluster::{Recovery, TargetTimeline};
use crate::fsx::{AtPath as _, Delivery};
use crate::repository::RepositoryError;
use crate::wal::{Lineage, Lsn, Timeline, TimelineHistory, WalFileName};

/// One try to answer a request for a history.
pub(super) fn answer<'a>(
    request: &RestoreRequest<'a>,
    server: &Server,
    open: impl FnOnce() -> Result<Archive<'a>, RestoreError>,
    timeline: Timeline,
) -> Result<RestoreReport, RestoreError> {
    end_prefetch(request, server);
    let local = server.history_text(timeline);
    if let Some(local) = local.as_deref().filter(|_| server.has_reached(timeline)) {
        // The server lives by its own copy: a delivered one would replace it. A repository that fails changes nothing, and at
        // the end of a promotion one that hangs is not even asked.
        let differs = server.recovery != Recovery::None
            && open().is_ok_and(|archive| differs_from_stored(&archive, timeline, local));
        let notices = if differs { vec![Notice::HistoriesDiffer(timeline)] } else { Vec::new() };
        return Ok(RestoreReport { notices, ..RestoreReport::absent() });
    }
    match open().and_then(|archive| look_up(request, server, &archive, timeline)) {
        // The server finds its own copy next.
        Ok(report) if report.delivered.is_none() && local.is_some() => Ok(RestoreReport::absent()),
        Err(error) if local.is_some() && !is_forbidden(&error) => Ok(RestoreReport::absent()),
        found => found,
    }
}

/// Whether an error says that this repository or user is the wrong one, whatever is stored.
const fn is_forbidden(error: &RestoreError) -> bool {
    matches!(
        error,
        RestoreError::ForeignOwner(_) | RestoreError::Repository(RepositoryError::OtherSystem { .. })
    )
}

fn differs_from_stored(archive: &Archive<'_>, timeline: Timeline, local: &[u8]) -> bool {
    let stored = archive.repository.history(timeline, archive.expected).ok().flatten();
    let local = TimelineHistory::parse(timeline, local).ok();
    stored.zip(local).is_some_and(|(stored, local)| !stored.has_the_forks_of(&local))
}

fn look_up(
    request: &RestoreRequest<'_>,
    server: &Server,
    archive: &Archive<'_>,
    timeline: Timeline,
) -> Result<RestoreReport, RestoreError> {
    let Archive { repository, expected } = archive;
    let name = WalFileName::TimelineHistory(timeline);
    // A listing, for a file system may answer a look-up by name from what it remembers.
    let names = repository.names()?;
    let stored: Vec<Timeline> = names.iter().copied().filter_map(WalFileName::history_of).collect();
    // What cannot be copied now is copied by a later call.
    let _ = NodeState::refresh(server, repository, *expected, &stored);
    if let Some(digest) = super::fetch(request, (repository, *expected))? {
        return Ok(RestoreReport { delivered: Some(Delivered::Stored(digest)), ..RestoreReport::absent() });
    }
    if stored.contains(&timeline) {
        return Err(RestoreError::Unsettled(name));
    }
    if server.has_reached(timeline) {
        return Ok(RestoreReport::absent());
    }
    if let Some((text, descendant)) = out_of_descendant(archive, &stored, timeline)? {
        deliver_text(&request.destination, &text)?;
        let notices = vec![Notice::HistoryOutOf { timeline, descendant }];
        return Ok(RestoreReport { delivered: Some(Delivered::Made), notices, ..RestoreReport::absent() });
    }
    if request.gap_is_end {
        return Ok(RestoreReport::absent());
    }
    let has_segments = names.iter().any(|name| name.is_pages() && name.timeline() == timeline);
    let missing = if has_segments && !is_passed_by(server, archive, &stored, timeline)? {
        Some(RestoreError::NoHistory(timeline))
    } else {
        newer_than(server, archive, &stored, timeline)?
    };
    match missing {
        None => Ok(RestoreReport::absent()),
        Some(error) if server.recovery == Recovery::Archive => Err(error),
        // Another number than this one may be taken; to stop the server would be worse.
        Some(error @ RestoreError::NoHistory(_)) => {
            Ok(RestoreReport { notices: vec![Notice::StandbyGoesOn(error)], ..RestoreReport::absent() })
        }
        Some(_) => Ok(RestoreReport::absent()),
    }
}

/// A stored history that names the timeline proves that it exists, and begins with its history.
fn out_of_descendant(
    archive: &Archive<'_>,
    stored: &[Timeline],
    timeline: Timeline,
) -> Result<Option<(Vec<u8>, Timeline)>, RestoreError> {
    for descendant in stored.iter().copied().filter(|other| *other > timeline) {
        let name = WalFileName::TimelineHistory(descendant);
        let text = archive.repository.fetch_text(name, archive.expected)?;
        if let Some(text) = text.and_then(|text| TimelineHistory::of_ancestor(timeline, &text)) {
            return Ok(Some((text, descendant)));
        }
    }
    Ok(None)
}

/// Whether the recovery is to follow a certain timeline that comes later and does not descend from this one: the server
/// asks for every number before that, and needs only the ancestors.
fn is_passed_by(
    server: &Server,
    archive: &Archive<'_>,
    stored: &[Timeline],
    timeline: Timeline,
) -> Result<bool, RestoreError> {
    match server.target() {
        TargetTimeline::Number(target) if target > timeline && stored.contains(&target) => {
            let history = archive.repository.history(target, archive.expected)?;
            Ok(history.is_some_and(|history| history.switch_from(timeline).is_none()))
        }
        _ => Ok(false),
    }
}

/// A stored timeline that descends from where the server is, and that it would not find: it looks for the newest, and stops
/// at the first number that is not there.
fn newer_than(
    server: &Server,
    archive: &Archive<'_>,
    stored: &[Timeline],
    timeline: Timeline,
) -> Result<Option<RestoreError>, RestoreError> {
    let later: Vec<Timeline> = stored.iter().copied().filter(|other| *other > timeline).collect();
    let Some(control) = server.control.as_ref().filter(|_| !later.is_empty()) else { return Ok(None) };
    if server.recovery != Recovery::Archive || server.target() != TargetTimeline::Latest {
        return Ok(None);
    }
    let names = later.iter().copied().map(WalFileName::TimelineHistory);
    let lineage = Lineage::of(&archive.repository.histories(names, archive.expected)?);
    // A fork at the very position is one that the server can still follow.
    let before = Lsn::new(control.known_position().get().saturating_sub(1));
    let own = control.own_timeline();
    let newest = later.into_iter().rev().find(|other| lineage.leads_to(own, before, *other));
    Ok(newest.map(|newest| RestoreError::NewerTimeline { missing: timeline, newest }))
}

/// What is answered when the repository fails: this node's copy, if it has the history.
pub(super) fn without_repository(
    request: &RestoreRequest<'_>,
    server: &Server,
    timeline: Timeline,
    error: &RestoreError,
) -> Option<RestoreReport> {
    let RestoreError::Repository(failure) = error else { return None };
    if is_forbidden(error) {
        return None;
    }
    let notice =
        deliver_copy(&request.destination, server, request.store.location(), timeline, failure.to_string())?;
    Some(RestoreReport { delivered: Some(Delivered::Made), notices: vec![notice], ..RestoreReport::absent() })
}

/// Delivers a history from this node's copy, if that has it.
pub(super) fn deliver_copy(
    destination: &Path,
    server: &Server,
    repository: String,
    timeline: Timeline,
    error: String,
) -> Option<Notice> {
    let text = NodeState::read(server, repository)?.history_text(timeline)?;
    deliver_text(destination, &text).ok()?;
    Some(Notice::HistoryFromCopy { timeline, error })
}

fn deliver_text(destination: &Path, text: &[u8]) -> Result<(), RestoreError> {
    let mut delivery = Delivery::begin(destination)?;
    delivery.file().write_all(text).at("write", destination)?;
    Ok(delivery.finish()?)
}
