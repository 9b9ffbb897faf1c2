use std::time::{Duration, SystemTime};

use super::{
    ArchiveCommand, ArchiveMode, ArchiverFacts, BacklogFacts, ClusterFacts, EndFacts, Facts, Finding,
    HeadInRepository, Problem, RepositoryFacts, RepositoryState, RunState, SlotFacts, Verdict, WalSpace,
};

/// What is still fine, and what is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// More pending files than that are a warning.
    pub warning: u64,
    /// More pending files than that are critical.
    pub critical: u64,
    /// A head that has not moved for longer is stuck.
    pub stuck_after: Duration,
    /// Bytes that are to stay free in the repository; 0 asks for none.
    pub min_free_bytes: u64,
    /// Whether the number of pending files is all that counts, as for repmgr.
    pub count_only: bool,
    /// Whether the node was shut down, and everything before its end has to be proven to be stored.
    pub is_final: bool,
    /// Whether what is unwise, but no obstacle to a switchover, is told too.
    pub with_advice: bool,
}

/// A repository with less free than this is full, in bytes: the smallest segment.
const FULL_BYTES: u64 = 1 << 20;

impl Policy {
    /// What repmgr takes for a warning (`DEFAULT_ARCHIVE_READY_WARNING`, configdata.h).
    pub const WARNING: u64 = 16;
    /// What repmgr takes for critical (`DEFAULT_ARCHIVE_READY_CRITICAL`, configdata.h).
    pub const CRITICAL: u64 = 128;
    /// How long a head may stand still where nobody says.
    pub const STUCK_AFTER: Duration = Duration::from_secs(600);
}

/// Says what is wrong, the worst first; among equals the causes before what follows from them.
#[must_use]
pub fn assess(facts: &Facts, policy: &Policy) -> Vec<Finding> {
    let mut found = Findings::default();
    if policy.count_only {
        found.count(facts, policy);
    } else {
        found.cluster(facts);
        found.archiver(facts);
        found.repository(&facts.repository, Demand::of(facts), policy);
        found.backlog(facts, policy);
        found.count(facts, policy);
        found.slots(facts);
        if policy.is_final {
            found.end(facts);
        }
    }
    found.0.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    found.0
}

/// Says what is wrong with a repository by itself, as on a host that has no cluster.
#[must_use]
pub fn assess_archive(state: &RepositoryState, policy: &Policy) -> Vec<Finding> {
    let mut found = Findings::default();
    found.repository(state, Demand { pending_bytes: 0, archives: true, by_primary: false }, policy);
    found.0.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    found.0
}

/// A repository that is full within this time is told.
const SOON_FULL: Duration = Duration::from_secs(3 * 86_400);

/// What a node asks of its repository.
#[derive(Clone, Copy)]
struct Demand {
    /// What it is to take next.
    pending_bytes: u64,
    /// Whether anything is archived at all.
    archives: bool,
    /// Whether the node writes WAL as a primary, or will as soon as it recovers from a crash. One that was shut
    /// down waits for somebody to decide. Of openGauss's standbys only the control file tells that they are.
    by_primary: bool,
}

impl Demand {
    fn of(facts: &Facts) -> Self {
        Self {
            pending_bytes: facts.backlog.as_ref().map_or(0, |backlog| backlog.bytes),
            archives: facts.archiver.as_ref().is_ok_and(|archiver| archiver.mode.0 != ArchiveMode::Off),
            by_primary: facts.cluster.as_ref().is_ok_and(|cluster| {
                let writes = [RunState::Primary, RunState::Crashed, RunState::InTransition];
                !cluster.is_standby && writes.contains(&cluster.run_state)
            }),
        }
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, problem: Problem) {
        self.0.push(Finding { verdict, problem });
    }

    /// One reason is told once, for what it hides first.
    fn not_known(&mut self, what: &'static str, reason: &str) {
        let is_told = |finding: &Finding| matches!(&finding.problem, Problem::NotKnown { reason: told, .. } if told == reason);
        if !self.0.iter().any(is_told) {
            self.add(Verdict::Unknown, Problem::NotKnown { what, reason: reason.to_owned() });
        }
    }

    fn cluster(&mut self, facts: &Facts) {
        match &facts.cluster {
            Err(unknown) => self.not_known("the cluster", &unknown.0),
            Ok(cluster) => self.wal_space(cluster),
        }
    }

    /// A node that was shut down makes no segment, and to leave it may be the way out.
    fn wal_space(&mut self, cluster: &ClusterFacts) {
        let is_down = matches!(cluster.run_state, RunState::Stopped | RunState::StoppedInRecovery);
        let is_full = |space: &&WalSpace| space.free_bytes < cluster.segment_bytes && !is_down;
        if let Some(space) = cluster.wal_space.as_ref().filter(is_full) {
            let verdict = if space.has_recycled { Verdict::Warning } else { Verdict::Critical };
            let (directory, free_bytes) = (space.directory.clone(), space.free_bytes);
            self.add(verdict, Problem::WalDirectoryFull { directory, free_bytes });
        }
    }

    /// repmgr's check: strictly more than the thresholds.
    fn count(&mut self, facts: &Facts, policy: &Policy) {
        match &facts.backlog {
            Err(unknown) => self.not_known("the queue", &unknown.0),
            Ok(BacklogFacts { ready_files: files, .. }) => {
                let files = *files;
                if files > policy.critical {
                    self.add(Verdict::Critical, Problem::Pending { files, threshold: policy.critical });
                } else if files > policy.warning {
                    self.add(Verdict::Warning, Problem::Pending { files, threshold: policy.warning });
                }
            }
        }
    }

    fn archiver(&mut self, facts: &Facts) {
        let archiver = match &facts.archiver {
            Ok(archiver) => archiver,
            Err(unknown) => return self.not_known("the server's configuration", &unknown.0),
        };
        for fault in &archiver.faults {
            let verdict = if fault.is_uncertain { Verdict::Unknown } else { Verdict::Warning };
            self.add(verdict, Problem::Config(fault.clone()));
        }
        match &archiver.mode {
            (ArchiveMode::Off, source) if !matches!(facts.repository, RepositoryState::NotNamed) => {
                self.add(Verdict::Warning, Problem::ArchiveModeOff(source.clone()));
            }
            (ArchiveMode::Off, _) => {}
            (ArchiveMode::On | ArchiveMode::Always, _) => self.command(facts, archiver),
        }
    }

    fn command(&mut self, facts: &Facts, archiver: &ArchiverFacts) {
        let standby = facts.cluster.as_ref().is_ok_and(|cluster| cluster.is_standby);
        // A standby archives only with archive_mode = always; its command matters once it is promoted.
        let idle = standby && archiver.mode.0 == ArchiveMode::On;
        let closed = if idle { Verdict::Warning } else { Verdict::Critical };
        let (command, at) = archiver.command.clone();
        let kind = ArchiveCommand::of(&command);
        if let Some((value, at)) = archiver.dest.clone() {
            self.add(Verdict::Warning, Problem::ArchiveDest { value, at });
        } else if let Some((library, at)) = archiver.library.clone() {
            if kind != ArchiveCommand::Empty {
                self.add(closed, Problem::LibraryAndCommand { library, at });
            }
        } else {
            let pending = facts.backlog.as_ref().is_ok_and(|backlog| backlog.ready_files > 0);
            match kind {
                // Nothing is lost by it before something is pending.
                ArchiveCommand::Empty => self.add(
                    if pending { closed } else { Verdict::Warning },
                    Problem::NoArchiveCommand { at, mode_at: archiver.mode.1.clone() },
                ),
                ArchiveCommand::NoOp => self.add(closed, Problem::NoOpCommand { command, at }),
                ArchiveCommand::AlwaysFails => self.add(closed, Problem::FailingCommand { command, at }),
                ArchiveCommand::Masked => self.add(closed, Problem::MaskedCommand { command, at }),
                ArchiveCommand::Copy => self.add(Verdict::Warning, Problem::CopyCommand { command, at }),
                ArchiveCommand::Walkeep | ArchiveCommand::Other => {}
            }
        }
        for (command, at) in &archiver.hidden_commands {
            if ArchiveCommand::of(command) == ArchiveCommand::NoOp {
                let (command, at) = (command.clone(), at.clone());
                self.add(Verdict::Warning, Problem::HiddenNoOp { command, at });
            }
        }
    }

    fn repository(&mut self, state: &RepositoryState, demand: Demand, policy: &Policy) {
        match state {
            RepositoryState::NotNamed => {}
            RepositoryState::Unusable { location, reason } => {
                let (location, reason) = (location.clone(), reason.clone());
                self.add(Verdict::Critical, Problem::RepositoryUnusable { location, reason });
            }
            RepositoryState::OfAnotherCluster { location, repository, cluster } => {
                let (location, repository, cluster) = (location.clone(), *repository, *cluster);
                self.add(
                    Verdict::Critical,
                    Problem::RepositoryOfAnotherCluster { location, repository, cluster },
                );
            }
            RepositoryState::NotJudged { reason, .. } => {
                self.not_known("the state of the repository", reason)
            }
            RepositoryState::Usable(repository) => self.usable_repository(repository, demand, policy),
        }
    }

    fn usable_repository(&mut self, repository: &RepositoryFacts, demand: Demand, policy: &Policy) {
        let location = || repository.location.clone();
        if let Some(reason) = repository.unwritable.clone() {
            self.add(Verdict::Critical, Problem::RepositoryUnwritable { location: location(), reason });
        }
        self.space(repository, demand, policy);
        if repository.start.is_none() && demand.archives {
            self.add(Verdict::Warning, Problem::NothingStored);
        }
        // A standby follows the newer timeline, sooner or later.
        if let Some((timeline, switch)) = repository.newer_timeline.filter(|_| demand.by_primary) {
            self.add(Verdict::Critical, Problem::Superseded { timeline, switch });
        }
        self.claims(repository);
        if policy.with_advice {
            self.retention(repository);
        }
        if !repository.missing.is_empty() {
            self.add(Verdict::Critical, Problem::Gaps(repository.missing.clone()));
        }
        if !repository.known_gaps.is_empty() {
            self.add(Verdict::Warning, Problem::KnownGaps(repository.known_gaps.clone()));
        }
        if !repository.unqueued.is_empty() && demand.archives {
            self.add(Verdict::Critical, Problem::Unqueued(repository.unqueued.clone()));
        }
        // A standby marks what it streams: its primary archives that.
        if !repository.only_marked.is_empty() && demand.archives && demand.by_primary {
            self.add(Verdict::Critical, Problem::OnlyMarked(repository.only_marked.clone()));
        }
    }

    fn claims(&mut self, repository: &RepositoryFacts) {
        let claims = match &repository.claims {
            Ok(claims) => claims,
            Err(unknown) => {
                return self.add(Verdict::Warning, Problem::UnreadableClaim { reason: unknown.0.clone() });
            }
        };
        for (at, one) in claims.iter().enumerate() {
            for other in claims.iter().skip(at + 1).filter(|other| one.is_primary_beside(other)) {
                let (one, other) = (one.key.clone(), other.key.clone());
                self.add(Verdict::Critical, Problem::TwoPrimaries { one, other });
            }
        }
        for claim in claims.iter().filter(|claim| claim.is_stale) {
            let (key, for_so_long) = (claim.key.clone(), claim.age);
            self.add(Verdict::Warning, Problem::StaleClaim { key, for_so_long });
        }
    }

    fn retention(&mut self, repository: &RepositoryFacts) {
        let retention = match &repository.retention {
            None => return,
            Some(Ok(retention)) => retention,
            // What cannot be read of a claim is told already.
            Some(Err(_)) if repository.claims.is_err() => return,
            Some(Err(unknown)) => {
                return self.add(Verdict::Warning, Problem::CannotPrune { reason: unknown.0.clone() });
            }
        };
        let left = retention.growth.and_then(|growth| growth.fills(repository.free_bytes));
        let Some(left) = left.filter(|left| *left < SOON_FULL) else { return };
        // Where a policy alone holds the horizon, what comes and what goes are equal in the long run - but not where it waits
        // for base backups that may never come.
        let held_by = retention.pins.first().filter(|pin| !pin.moves_on).map(|pin| pin.who.clone());
        if held_by.is_some() || !retention.is_licensed {
            let held_by = held_by.filter(|_| retention.is_licensed);
            self.add(Verdict::Warning, Problem::SoonFull { left, held_by });
        }
    }

    fn space(&mut self, repository: &RepositoryFacts, demand: Demand, policy: &Policy) {
        let free_bytes = repository.free_bytes;
        let pending_bytes = demand.pending_bytes;
        if policy.min_free_bytes > 0 && free_bytes < policy.min_free_bytes {
            let min_free_bytes = policy.min_free_bytes;
            self.add(Verdict::Critical, Problem::LowSpace { free_bytes, min_free_bytes });
        } else if free_bytes < pending_bytes.saturating_add(policy.min_free_bytes) {
            // Where not even a file of next to nothing fits, archiving stands still already.
            let is_full = free_bytes < FULL_BYTES && pending_bytes > 0;
            let verdict = if is_full { Verdict::Critical } else { Verdict::Warning };
            self.add(verdict, Problem::TooSmallForBacklog { free_bytes, pending_bytes });
        }
    }

    fn backlog(&mut self, facts: &Facts, policy: &Policy) {
        let Ok(backlog) = &facts.backlog else { return };
        let lost = backlog.orphans.saturating_sub(backlog.orphans_stored);
        if lost > 0 {
            self.add(
                Verdict::Critical,
                Problem::Orphans {
                    files: lost,
                    segments: backlog.lost.clone(),
                    others: backlog.lost_others.clone(),
                    repository_asked: matches!(facts.repository, RepositoryState::Usable(_)),
                },
            );
        }
        if backlog.orphans_stored > 0 {
            self.add(Verdict::Warning, Problem::OrphansStored { files: backlog.orphans_stored });
        }
        let Some(head) = backlog.head else { return };
        if let RepositoryState::Usable(repository) = &facts.repository {
            match &repository.head {
                HeadInRepository::Absent | HeadInRepository::Same => {}
                HeadInRepository::Conflict(detail) => self.add(
                    Verdict::Critical,
                    Problem::HeadConflict { head: head.name, detail: detail.clone() },
                ),
                HeadInRepository::Unknown(reason) => {
                    self.not_known("what is stored of the queue's head", reason)
                }
            }
        }
        let for_so_long = stands_still_for(facts.now, backlog);
        if for_so_long > policy.stuck_after {
            self.add(Verdict::Critical, Problem::Stuck { head: head.name, for_so_long });
        }
    }

    fn slots(&mut self, facts: &Facts) {
        match &facts.slots {
            Err(unknown) => self.not_known("the replication slots", &unknown.0),
            Ok(slots) => slots.iter().for_each(|slot| self.slot(slot)),
        }
    }

    fn slot(&mut self, slot: &SlotFacts) {
        let name = || slot.name.clone();
        if let Some(reason) = slot.unreadable.clone() {
            self.add(Verdict::Unknown, Problem::UnreadableSlot { name: name(), reason });
        } else if let Some(loss) = &slot.lost {
            self.add(Verdict::Warning, Problem::LostSlot { name: name(), reason: loss.reason });
        } else if slot.is_inactive {
            let held_bytes = slot.held_bytes;
            self.add(Verdict::Warning, Problem::InactiveSlot { name: name(), held_bytes });
        }
    }

    /// A node that was shut down wrote its checkpoint as the first record of a segment, after it switched to it.
    fn end(&mut self, facts: &Facts) {
        let repository = match &facts.repository {
            RepositoryState::Usable(repository) => repository,
            RepositoryState::NotNamed => {
                return self.not_known("the repository", "none is named (--repo DIR)");
            }
            RepositoryState::Unusable { .. }
            | RepositoryState::OfAnotherCluster { .. }
            | RepositoryState::NotJudged { .. } => return,
        };
        let Ok(cluster) = &facts.cluster else { return };
        let end = repository.end.clone().unwrap_or_default();
        if let Some((reason, next_step)) = end_is_not_proven(cluster, &end) {
            self.add(Verdict::Critical, Problem::EndNotProven { reason: reason.to_owned(), next_step });
        } else if !end.missing.is_empty() {
            self.add(Verdict::Critical, Problem::MissingBeforeEnd(end.missing));
        } else if let Some(name) = end.pending {
            let reason = format!("'{name}' is pending, and is not stored");
            let next_step = "walkeep drain archives it, or tells that it is gone.";
            self.add(Verdict::Critical, Problem::EndNotProven { reason, next_step });
        }
    }
}

/// Where the first record of a segment lies in it: behind the long page header (`SizeOfXLogLongPHD`,
/// access/xlog_internal.h).
const FIRST_RECORD_BYTES: u64 = 0x28;

fn end_is_not_proven(cluster: &ClusterFacts, end: &EndFacts) -> Option<(&'static str, &'static str)> {
    const SHUT_DOWN_AGAIN: &str = "Start the node with a working archive_command and shut it down again (fast), or \
        compare with the standby: servers up to 14 do not switch without one.";
    let begins_its_segment =
        cluster.redo.get().checked_rem(cluster.segment_bytes) == Some(FIRST_RECORD_BYTES);
    match cluster.run_state {
        RunState::Standby | RunState::Recovering | RunState::StoppedInRecovery => {
            let next_step = "Ask on the node that was the primary.";
            Some(("the node is a standby, whose WAL ends where its primary's went on", next_step))
        }
        RunState::Primary => {
            let next_step = "Shut it down first (fast); without --final the gate judges a node that runs.";
            Some(("a server runs in the data directory", next_step))
        }
        RunState::InTransition => {
            Some(("a server starts or stops in the data directory", "Ask again when it has stopped."))
        }
        RunState::Crashed => {
            let next_step =
                "Unless another node was promoted: start it, so that it recovers, and shut it down (fast).";
            Some(("the server was not shut down", next_step))
        }
        RunState::Stopped if cluster.checkpoint != cluster.redo || !begins_its_segment => {
            let reason =
                "its last checkpoint does not begin a segment: the server did not switch to a new one first";
            Some((reason, SHUT_DOWN_AGAIN))
        }
        RunState::Stopped if end.start.is_none() => {
            Some(("the repository holds no segment of this node's timelines", SHUT_DOWN_AGAIN))
        }
        RunState::Stopped => None,
    }
}

/// For how long nothing was marked done while the head waited. Times from the future count as now.
fn stands_still_for(now: SystemTime, backlog: &BacklogFacts) -> Duration {
    let waits_since = backlog.head.map(|head| head.since);
    let moved_at = waits_since.max(backlog.last_done.map(|(_, at)| at));
    moved_at.and_then(|at| now.duration_since(at).ok()).unwrap_or_default()
}
