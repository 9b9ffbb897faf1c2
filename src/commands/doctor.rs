//! `doctor`: what is wrong with the configuration and the environment, and the very lines that mend it. Nothing is
//! changed: a scratch file goes into the repository's staging and back, and leaves nothing.

use std::path::Path;
use std::time::SystemTime;

use super::PruneRequest;
use super::status::archive_state;
use super::survey::{self, SurveyRequest, reason};
use crate::cluster::Cluster;
use crate::fsx::ownership;
use crate::health::{
    Edit, EnvironmentFacts, Finding, Flaw, Owner, Policy, Problem, RepositoryState, RoundTripFacts,
    SetupFacts, Tool, Verdict, assess, assess_archive, diagnose, edits, inspect_environment,
};
use crate::repository::{Repository, RepositoryError};
use crate::storage::{Ownership, Store};

/// What is examined.
pub struct DoctorRequest<'a> {
    /// The data directory; none on a host that only holds an archive.
    pub data_directory: Option<&'a Path>,
    /// The repository, where one is named.
    pub store: Option<&'a dyn Store>,
    /// What a prune of it would be asked.
    pub prune: Option<&'a PruneRequest<'a>>,
    /// The same as a directory.
    pub repository: Option<&'a Path>,
    /// The program that runs now.
    pub program: &'a Path,
    /// What is still fine.
    pub policy: Policy,
    /// The time.
    pub now: SystemTime,
    /// How times are written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct DoctorReport {
    /// The worst finding's verdict.
    pub verdict: Verdict,
    /// What is wrong, the worst first, with the changes that mend it.
    pub diagnoses: Vec<Diagnosis>,
    /// What is only worth knowing.
    pub notes: Vec<Diagnosis>,
    /// What was looked at and is fine.
    pub fine: Vec<&'static str>,
}

/// A finding, and what mends it.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// What is wrong.
    pub finding: Finding,
    /// The changes; none where no line of a configuration mends it.
    pub edits: Vec<Edit>,
}

/// Examines.
#[must_use]
pub fn doctor(request: &DoctorRequest<'_>) -> DoctorReport {
    let (repository, mut findings) = judged(request);
    let setup = request.data_directory.and_then(|dir| setup(request, dir));
    let program = request.program.display().to_string();
    let named = request.repository.map(|path| path.display().to_string());
    let tool = Tool { program: &program, repository: named.as_deref() };
    let mut flaws: Vec<Flaw> = setup.iter().flat_map(|setup| diagnose(setup, &tool)).collect();
    let environment = request.store.and_then(|store| environment(request, store, &repository));
    flaws.extend(environment.iter().flat_map(inspect_environment));
    flaws.extend(advice(&repository));
    findings.extend(
        flaws.into_iter().map(|flaw| Finding { verdict: flaw.verdict(), problem: Problem::Flaw(flaw) }),
    );
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    let fine = fine(&findings, setup.is_some(), &repository, environment.as_ref());
    let told = |finding: Finding| Diagnosis {
        edits: setup.as_ref().map(|setup| edits(&finding.problem, setup, &tool)).unwrap_or_default(),
        finding,
    };
    let told: Vec<Diagnosis> = findings.into_iter().map(told).collect();
    let (notes, diagnoses) = told.into_iter().partition(|told| told.finding.verdict == Verdict::Ok);
    let mut report = DoctorReport { verdict: Verdict::Ok, diagnoses, notes, fine };
    report.verdict = Verdict::worst(report.diagnoses.iter().map(|told| told.finding.verdict));
    report
}

/// What stays as it is for as long as nobody changes it, so that `status` does not tell it each time.
fn advice(state: &RepositoryState) -> Vec<Flaw> {
    let RepositoryState::Usable(facts) = state else { return Vec::new() };
    let shared = Flaw::SharedFileSystem { location: facts.location.clone() };
    // Where the repository will be full before long, that is a finding, which says the same.
    let is_licensed =
        facts.retention.as_ref().and_then(|of| of.as_ref().ok()).is_none_or(|of| of.is_licensed);
    let told = facts.shares_file_system.then_some(shared).into_iter();
    told.chain((!is_licensed).then_some(Flaw::NoRetentionPolicy)).collect()
}

/// What the gate would find, and the repository as it found it.
fn judged(request: &DoctorRequest<'_>) -> (RepositoryState, Vec<Finding>) {
    let Some(data_directory) = request.data_directory else {
        let state = archive_state(request.store, request.prune, request.now);
        let findings = assess_archive(&state, &request.policy);
        return (state, findings);
    };
    let facts = survey::survey(&SurveyRequest {
        data_directory,
        store: request.store,
        now: request.now,
        show_time: request.show_time,
        queue_only: false,
        is_final: false,
        prune: request.prune,
        measures: true,
    });
    let findings = assess(&facts, &request.policy);
    (facts.repository, findings)
}

/// `None` where the configuration is not known, which is a finding already.
fn setup(request: &DoctorRequest<'_>, data_directory: &Path) -> Option<SetupFacts> {
    let cluster = Cluster::find(data_directory).ok()?;
    survey::setup(&cluster, request.program, request.repository).ok()
}

/// `None` where the repository cannot be used, which is a finding already.
fn environment(
    request: &DoctorRequest<'_>,
    store: &dyn Store,
    state: &RepositoryState,
) -> Option<EnvironmentFacts> {
    let repository = Repository::open(store).ok()?;
    let owner = |ownership: Ownership| Owner {
        uid: ownership.uid,
        user: ownership.user,
        gid: ownership.gid,
        mode: ownership.mode,
    };
    Some(EnvironmentFacts {
        now: request.now,
        location: repository.location(),
        owner: repository.ownership().ok().flatten().map(owner),
        server_user: request.data_directory.and_then(|dir| ownership(dir).ok()).map(owner),
        newest: repository.holdings().ok().and_then(|holdings| holdings.newest),
        round_trip: round_trip(store, &repository, state),
    })
}

/// What is taken there and back: more than one block, so that it is not kept in an inode.
static SCRATCH: [u8; 64 << 10] = [0xA5; 64 << 10];

fn round_trip(store: &dyn Store, repository: &Repository<'_>, state: &RepositoryState) -> RoundTripFacts {
    match store.foreign_owner() {
        Ok(Some(owner)) => return RoundTripFacts::Foreign { owner },
        Ok(None) => {}
        Err(error) => return RoundTripFacts::Failed(reason(&error)),
    }
    match state {
        RepositoryState::Usable(facts) if facts.unwritable.is_some() => return RoundTripFacts::NotTried,
        RepositoryState::OfAnotherCluster { .. } => return RoundTripFacts::NotTried,
        _ => {}
    }
    done(repository).unwrap_or_else(|error| RoundTripFacts::Failed(reason(&error)))
}

fn done(repository: &Repository<'_>) -> Result<RoundTripFacts, RepositoryError> {
    let found = repository.round_trip(&SCRATCH)?;
    Ok(RoundTripFacts::Done {
        hard_links: found.hard_links,
        locks: found.locks,
        directory_sync: found.directory_sync,
    })
}

/// The checks that found nothing: each with the short names of what it would find.
fn fine(
    findings: &[Finding],
    has_setup: bool,
    repository: &RepositoryState,
    environment: Option<&EnvironmentFacts>,
) -> Vec<&'static str> {
    let is_usable = matches!(repository, RepositoryState::Usable(_));
    let went_round = environment.is_some_and(|facts| matches!(facts.round_trip, RoundTripFacts::Done { .. }));
    let looked = |by: Needs| match by {
        Needs::Setup => has_setup,
        Needs::Repository => is_usable,
        Needs::Environment => environment.is_some(),
        Needs::RoundTrip => went_round,
    };
    let found = |key: &&str| findings.iter().any(|finding| finding.problem.key() == *key);
    let checks = CHECKS.iter().filter(|check| looked(check.needs) && !check.keys.iter().any(found));
    checks.map(|check| check.what).collect()
}

#[derive(Clone, Copy)]
enum Needs {
    Setup,
    Repository,
    Environment,
    RoundTrip,
}

struct Check {
    what: &'static str,
    needs: Needs,
    keys: &'static [&'static str],
}

const CHECKS: [Check; 13] = [
    Check { what: "configuration files", needs: Needs::Setup, keys: &["configuration"] },
    Check {
        what: "archive_mode, wal_level",
        needs: Needs::Setup,
        keys: &["archive_mode_off", "wal_level_minimal"],
    },
    Check {
        what: "archive_command",
        needs: Needs::Setup,
        keys: &[
            "archive_mode_off",
            "no_archive_command",
            "no_op_archive_command",
            "failing_archive_command",
            "cp_archive_command",
            "hidden_no_op_archive_command",
            "archive_dest",
            "archive_library_and_command",
            "archives_into_another_repository",
            "relative_repository",
            "archive_program_unusable",
            "archive_command_too_long",
            "archive_command_needs_shell",
        ],
    },
    Check {
        what: "queue",
        needs: Needs::Setup,
        keys: &[
            "wal_directory_full",
            "pending",
            "orphans",
            "orphans_stored",
            "stuck",
            "head_conflict",
            "not_known",
        ],
    },
    Check {
        what: "slots",
        needs: Needs::Setup,
        keys: &["inactive_slot", "lost_slot", "unreadable_slot", "not_known"],
    },
    Check { what: "repository", needs: Needs::Repository, keys: &["repository_unwritable"] },
    Check {
        what: "no gaps",
        needs: Needs::Repository,
        keys: &["gaps", "nothing_stored", "unqueued", "only_marked"],
    },
    Check {
        what: "free space",
        needs: Needs::Repository,
        keys: &["low_space", "too_small_for_backlog", "shared_file_system", "soon_full"],
    },
    Check {
        what: "claims, retention",
        needs: Needs::Repository,
        keys: &[
            "two_primaries",
            "stale_claim",
            "unreadable_claim",
            "cannot_prune",
            "soon_full",
            "no_retention_policy",
        ],
    },
    Check {
        what: "owner and mode",
        needs: Needs::Environment,
        keys: &["repository_of_another_user", "repository_open_to_others"],
    },
    Check { what: "clock", needs: Needs::Environment, keys: &["stored_in_the_future"] },
    Check {
        what: "hard links, locks, fsync of directories",
        needs: Needs::RoundTrip,
        keys: &["no_hard_links", "no_locks", "no_directory_sync"],
    },
    Check { what: "a file stored, read back and removed", needs: Needs::RoundTrip, keys: &[] },
];
