//! `claim`: what a node still needs of the log, written into the repository, where a pruner finds it. Other verbs
//! refresh it on the way, as the last thing that they do.

mod observe;

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{ForeignOwner, Hint};
use crate::cluster::{Cluster, ClusterError, Recovery, SlotFault};
use crate::fsx::{AtPath, PathError};
use crate::repository::{Claim, ClaimKey, Origin, Repository, RepositoryError};
use crate::storage::{Store, StoreError};

pub use observe::observe;

/// Whose claim is to be recorded.
pub struct ClaimRequest<'a> {
    /// The data directory.
    pub data_directory: PathBuf,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// For how long a slot that is gone pins.
    pub slot_grace: Duration,
    /// Who looks, and when.
    pub origin: &'a Origin,
}

/// Why a claim was not recorded, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The data directory cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The data directory has no real path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nobody knows what one of the slots holds.
    #[error("nobody knows what slot '{name}' holds: '{file}'")]
    Slot {
        /// The slot.
        name: String,
        /// The file that would say it.
        file: String,
        /// Why it does not.
        source: SlotFault,
    },
    /// Slots were dropped and made again at every look.
    #[error("the replication slots change too often to be read")]
    SlotsChange,
    /// There is no such claim.
    #[error("no node '{0}' has a claim")]
    NoSuchNode(String),
    /// The name does not say which of several claims is meant.
    #[error("several nodes are called '{node}': {keys}")]
    Several {
        /// The name.
        node: String,
        /// The keys of their claims.
        keys: String,
    },
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for ClaimError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for ClaimError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Slot { .. } => {
                "The last claim still stands. A slot that the server cannot read either has to be dropped."
            }
            Self::NoSuchNode(_) => "'walkeep claim list' shows those that are there.",
            Self::Several { .. } => "Name the key instead; 'walkeep claim list' shows which is which.",
            Self::SlotsChange => "The last claim still stands; try again.",
            Self::Path(_) => return None,
            Self::Cluster(error) => return error.hint(),
            Self::ForeignOwner(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
        };
        Some(text.to_owned())
    }
}

/// Records what a node needs now. Durable when it returns.
///
/// # Errors
/// When the node cannot be read whole, or the claim may not be durable: the last one still stands.
pub fn claim(request: &ClaimRequest<'_>) -> Result<Claim, ClaimError> {
    let store = request.store;
    ForeignOwner::refuse("repository", store.location(), store.foreign_owner()?)?;
    let repository = Repository::open(store)?;
    let cluster = Cluster::find(&request.data_directory)?;
    let seen = observe(&cluster, request.origin)?;
    Ok(repository.record_claim(seen, request.slot_grace)?)
}

/// What came of a refresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refreshed {
    /// The claim is new enough.
    Fresh,
    /// It was recorded.
    Recorded,
    /// Another call records it at this moment.
    ByAnother,
    /// There is none, and the verb may not begin one here.
    NoNode,
    /// This is the superuser, and the repository another user's.
    LeftToOwner,
}

/// How old a claim may get where its node calls.
const REFRESHED_AFTER: Duration = Duration::from_secs(60);

/// What a data directory has to be for a verb to begin a claim of it: not a recovery that will end, for the test of
/// a backup must not pin for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begins {
    /// A primary or a standby: it archives.
    Node,
    /// A standby: it asks for WAL.
    Standby,
}

impl Begins {
    const fn takes(self, recovery: Recovery) -> bool {
        match recovery {
            Recovery::Standby => true,
            Recovery::None => matches!(self, Self::Node),
            Recovery::Archive => false,
        }
    }
}

/// Records a node's claim again where the last one is older than a minute, or than the data directory as it is: one that
/// was laid down anew may need far more. Otherwise this costs a look at each.
///
/// # Errors
/// As [`claim`].
pub fn refresh_claim(request: &ClaimRequest<'_>, begins: Begins) -> Result<Refreshed, ClaimError> {
    let (store, origin) = (request.store, request.origin);
    let data_directory = real_path(&request.data_directory)?;
    let key = ClaimKey::of(&origin.node, &origin.machine_id, &data_directory);
    let written_at = Repository::claim_written_at(store, &key)?;
    let changed_at = changed_at(&request.data_directory)?;
    if written_at.is_some_and(|at| is_fresh(at, origin.now) && at >= changed_at) {
        return Ok(Refreshed::Fresh);
    }
    if store.foreign_owner()?.is_some() {
        return Ok(Refreshed::LeftToOwner);
    }
    let cluster = Cluster::find(&request.data_directory)?;
    if written_at.is_none() && !begins.takes(cluster.recovery()?) {
        return Ok(Refreshed::NoNode);
    }
    let repository = Repository::open(store)?;
    let seen = observe(&cluster, origin)?;
    let recorded = repository.record_claim_unless_busy(seen, request.slot_grace)?;
    Ok(if recorded.is_some() { Refreshed::Recorded } else { Refreshed::ByAnother })
}

/// Whether a claim was written within the last minute. The store's clock may be a little ahead of ours; where it
/// is far ahead, ours was set back, and the claim would count as fresh for ever.
fn is_fresh(written_at: SystemTime, now: SystemTime) -> bool {
    let age = now.duration_since(written_at);
    age.unwrap_or_else(|ahead| ahead.duration()) < REFRESHED_AFTER
}

/// When a name came into the data directory, or went: it was laid down, its server started, or took its label.
fn changed_at(data_directory: &Path) -> Result<SystemTime, PathError> {
    let metadata: io::Result<Metadata> = data_directory.metadata();
    metadata.and_then(|metadata| metadata.modified()).at("look at", data_directory)
}

/// The real path of a data directory, as claims have it.
fn real_path(data_directory: &Path) -> Result<String, PathError> {
    let real: io::Result<PathBuf> = data_directory.canonicalize();
    Ok(real.at("look at", data_directory)?.to_string_lossy().into_owned())
}

/// All claims, as they were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimListReport {
    /// When they were looked at.
    pub now: SystemTime,
    /// The claims.
    pub claims: Vec<Claim>,
}

/// Lists every claim.
///
/// # Errors
/// When one cannot be read or makes no sense.
pub fn claim_list(store: &dyn Store, now: SystemTime) -> Result<ClaimListReport, ClaimError> {
    Ok(ClaimListReport { now, claims: Repository::open(store)?.claims()? })
}

/// Whose claim is to be removed.
pub struct ClaimRemoveRequest<'a> {
    /// The node's name, or the key of its claim.
    pub node: String,
    /// Where the repository lies.
    pub store: &'a dyn Store,
}

/// Removes a node's claim: what it needed is protected no more.
///
/// # Errors
/// When the name does not mean exactly one claim, or it may still stand.
pub fn claim_remove(request: &ClaimRemoveRequest<'_>) -> Result<ClaimKey, ClaimError> {
    let (node, store) = (&request.node, request.store);
    ForeignOwner::refuse("repository", store.location(), store.foreign_owner()?)?;
    let repository = Repository::open(store)?;
    // A key means its claim also where that cannot be read.
    let keys = repository.claim_keys()?;
    let key = match keys.into_iter().find(|key| key.to_string() == *node) {
        Some(key) => key,
        None => only_claim_of(node, &repository)?,
    };
    repository.remove_claim(&key)?;
    Ok(key)
}

fn only_claim_of(node: &str, repository: &Repository<'_>) -> Result<ClaimKey, ClaimError> {
    let claims = repository.claims()?;
    let keys: Vec<ClaimKey> = claims.iter().filter(|claim| claim.node == node).map(Claim::key).collect();
    match keys.as_slice() {
        [] => Err(ClaimError::NoSuchNode(node.escape_debug().to_string())),
        [only] => Ok(only.clone()),
        several => {
            let keys: Vec<String> = several.iter().map(|key| format!("'{key}'")).collect();
            Err(ClaimError::Several { node: node.escape_debug().to_string(), keys: keys.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_fresh_for_a_minute_and_not_where_the_clock_was_set_back() {
        let written_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |seconds| is_fresh(written_at, written_at + Duration::from_secs(seconds));
        let before = |seconds| is_fresh(written_at, written_at - Duration::from_secs(seconds));
        assert_eq!([after(0), after(59), after(60), after(1 << 30)], [true, true, false, false]);
        assert_eq!([before(1), before(59), before(60)], [true, true, false]);
    }
}
