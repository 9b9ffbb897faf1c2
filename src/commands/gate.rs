//! `gate`: may this node be switched over now? Facts from files, findings, and the worst of them as the verdict.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::survey::{SurveyRequest, survey};
use super::{Clock, Observer, Progress, PruneRequest};
use crate::cluster::Cluster;
use crate::health::{BacklogFacts, Facts, Finding, Policy, Verdict, assess};
use crate::storage::Store;
use crate::wake::Wake;

/// What is asked.
pub struct GateRequest<'a> {
    /// The node's data directory.
    pub data_directory: &'a Path,
    /// The repository, where one is named.
    pub store: Option<&'a dyn Store>,
    /// What a prune of it would be asked.
    pub prune: Option<&'a PruneRequest<'a>>,
    /// What is still fine.
    pub policy: Policy,
    /// Tells the time.
    pub now: &'a dyn Fn() -> SystemTime,
    /// How times are written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct GateReport {
    /// The worst finding's verdict.
    pub verdict: Verdict,
    /// All that was found, the worst first.
    pub findings: Vec<Finding>,
    /// What it was judged by.
    pub facts: Facts,
    /// What was still fine.
    pub policy: Policy,
    /// How long the queue takes to drain at the pace of late; `None` where nothing is pending, or nothing moves.
    pub drained_in: Option<Duration>,
}

/// Looks once.
#[must_use]
pub fn gate(request: &GateRequest<'_>) -> GateReport {
    let facts = survey(&SurveyRequest {
        data_directory: request.data_directory,
        store: request.store,
        now: (request.now)(),
        show_time: request.show_time,
        queue_only: request.policy.count_only,
        is_final: request.policy.is_final,
        prune: request.prune,
        measures: false,
    });
    let findings = assess(&facts, &request.policy);
    let verdict = Verdict::worst(findings.iter().map(|finding| finding.verdict));
    let drained_in = facts.backlog.as_ref().ok().and_then(drained_in);
    GateReport { verdict, findings, facts, policy: request.policy, drained_in }
}

pub(super) fn drained_in(backlog: &BacklogFacts) -> Option<Duration> {
    let pace = backlog.pace.filter(|pace| pace.files > 0 && backlog.ready_files > 0)?;
    let ms = pace.over.as_millis().checked_mul(backlog.ready_files.into())?.checked_div(pace.files.into())?;
    u64::try_from(ms).ok().map(Duration::from_millis)
}

/// Looks again whenever something happens, and now and then, until the verdict is good enough or the time is up.
#[must_use]
pub fn gate_wait(
    request: &GateRequest<'_>,
    until: Verdict,
    at_most: Duration,
    clock: &dyn Clock,
    observer: &dyn Observer,
) -> GateReport {
    let watched = watched_directories(request.data_directory);
    let wake = Wake::on(&watched.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let mut most_pending = 0;
    loop {
        let began = clock.elapsed();
        let report = gate(request);
        let took = clock.elapsed().saturating_sub(began);
        let left = at_most.saturating_sub(clock.elapsed());
        if report.verdict <= until || left.is_zero() {
            return report;
        }
        let pending = report.facts.backlog.as_ref().map_or(most_pending, |backlog| backlog.ready_files);
        most_pending = most_pending.max(pending);
        observer.progress(Progress {
            done_files: most_pending - pending,
            total_files: most_pending,
            done_bytes: 0,
            total_bytes: 0,
        });
        let rest = REST.max(took.saturating_mul(REST_PER_LOOK)).min(left);
        clock.sleep(rest);
        let _ = wake.wait(LOOK_EVERY.min(at_most.saturating_sub(clock.elapsed())));
    }
}

/// How often it is looked at where no event comes: configuration and repository are not watched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// After each look events are left to gather, so that a queue that moves does not keep a core busy.
const REST: Duration = Duration::from_millis(100);
const REST_PER_LOOK: u32 = 9;

fn watched_directories(data_directory: &Path) -> Vec<PathBuf> {
    let status = |cluster: Cluster| cluster.archive_status().directory().to_owned();
    Cluster::find(data_directory).map(status).into_iter().collect()
}
