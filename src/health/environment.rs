use std::time::{Duration, SystemTime};

use super::Flaw;
use crate::wal::WalFileName;

/// What surrounds a repository, as far as it was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvironmentFacts {
    /// When it was looked at.
    pub now: SystemTime,
    /// Where the repository lies.
    pub location: String,
    /// Whose it is; `None` for a store without owners.
    pub owner: Option<Owner>,
    /// Who the server runs as; `None` where no data directory was named.
    pub server_user: Option<Owner>,
    /// The file that was stored last, by its time.
    pub newest: Option<(WalFileName, SystemTime)>,
    /// How a file came into the repository and back.
    pub round_trip: RoundTripFacts,
}

/// Whose a directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The group's number.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

/// How a file came into the repository and back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoundTripFacts {
    /// It did.
    Done {
        /// Whether there are hard links.
        hard_links: bool,
        /// Whether there are locks.
        locks: bool,
        /// Whether directories are synced.
        directory_sync: bool,
    },
    /// It did not, and why.
    Failed(String),
    /// It was not tried: root must leave no file in what is another user's.
    Foreign {
        /// That user.
        owner: String,
    },
    /// It was not tried, for a reason that is told elsewhere.
    NotTried,
}

/// Clocks of two hosts differ a little.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// Finds what is wrong around a repository.
#[must_use]
pub fn inspect_environment(facts: &EnvironmentFacts) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if let Some(owner) = &facts.owner {
        flaws.extend(ownership_flaw(facts, owner));
        if owner.mode & 0o022 != 0 {
            flaws.push(Flaw::OpenToOthers { location: facts.location.clone(), mode: owner.mode });
        }
    }
    if let Some((name, at)) = facts.newest {
        let ahead = at.duration_since(facts.now).unwrap_or_default();
        flaws.extend((ahead > CLOCK_SLACK).then_some(Flaw::FromTheFuture { name, ahead }));
    }
    match &facts.round_trip {
        RoundTripFacts::Done { hard_links, locks, directory_sync } => {
            flaws.extend((!hard_links).then_some(Flaw::NoHardLinks));
            flaws.extend((!locks).then_some(Flaw::NoLocks));
            flaws.extend((!directory_sync).then_some(Flaw::NoDirectorySync));
        }
        RoundTripFacts::Failed(reason) => flaws.push(Flaw::RoundTripFailed(reason.clone())),
        RoundTripFacts::Foreign { owner } => flaws.push(Flaw::RoundTripSkipped { owner: owner.clone() }),
        RoundTripFacts::NotTried => {}
    }
    flaws
}

/// What groups a user is in beside the data directory's is not asked for.
fn ownership_flaw(facts: &EnvironmentFacts, owner: &Owner) -> Option<Flaw> {
    let server = facts.server_user.as_ref()?;
    let by_group = owner.gid == server.gid && owner.mode & 0o020 != 0;
    let may_write = server.uid == 0 || owner.uid == server.uid || by_group || owner.mode & 0o002 != 0;
    (!may_write).then(|| Flaw::OwnedByAnother {
        location: facts.location.clone(),
        owner: owner.user.clone(),
        server_user: server.user.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    fn owner(uid: u32, gid: u32, mode: u32) -> Option<Owner> {
        Some(Owner { uid, user: format!("uid {uid}"), gid, mode })
    }

    fn facts() -> EnvironmentFacts {
        EnvironmentFacts {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
            location: "/archive".to_owned(),
            owner: owner(100, 100, 0o700),
            server_user: owner(100, 100, 0o700),
            newest: None,
            round_trip: RoundTripFacts::Done { hard_links: true, locks: true, directory_sync: true },
        }
    }

    fn found(change: impl FnOnce(&mut EnvironmentFacts)) -> Vec<(&'static str, Verdict)> {
        let mut facts = facts();
        change(&mut facts);
        inspect_environment(&facts).iter().map(|flaw| (flaw.key(), flaw.verdict())).collect()
    }

    #[test]
    fn the_servers_user_has_to_be_let_in() {
        let of_another = ("repository_of_another_user", Verdict::Warning);
        assert_eq!(found(|_| {}), []);
        assert_eq!(found(|facts| facts.owner = owner(200, 100, 0o750)), [of_another]);
        assert_eq!(
            found(|facts| facts.owner = owner(200, 100, 0o770)),
            [("repository_open_to_others", Verdict::Ok)]
        );
        assert_eq!(
            found(|facts| facts.owner = owner(200, 200, 0o777)),
            [("repository_open_to_others", Verdict::Warning)]
        );
    }

    #[test]
    fn a_time_that_is_not_yet_is_told_beyond_what_clocks_differ() {
        let stored = |ahead| {
            found(|facts| {
                let name = "00000002.history".parse().unwrap();
                facts.newest = Some((name, facts.now + Duration::from_secs(ahead)));
            })
        };
        assert_eq!(stored(60), []);
        assert_eq!(stored(61), [("stored_in_the_future", Verdict::Warning)]);
    }

    #[test]
    fn what_the_file_system_lacks_is_told_with_what_it_means() {
        let trip = |round_trip| found(|facts| facts.round_trip = round_trip);
        assert_eq!(
            trip(RoundTripFacts::Done { hard_links: false, locks: false, directory_sync: false }),
            [
                ("no_hard_links", Verdict::Ok),
                ("no_locks", Verdict::Warning),
                ("no_directory_sync", Verdict::Ok)
            ]
        );
        assert_eq!(trip(RoundTripFacts::Failed("x".to_owned())), [("round_trip_failed", Verdict::Critical)]);
        assert_eq!(
            trip(RoundTripFacts::Foreign { owner: "kingbase".to_owned() }),
            [("round_trip_skipped", Verdict::Ok)]
        );
    }
}
