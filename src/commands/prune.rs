//! `prune`: removes what lies before the horizon. Whoever needs WAL pins it - slots, nodes, base backups, holds -
//! and pins only protect: a policy has to say that anything may go at all. What cannot be read fails the plan.

mod act;
mod error;
mod facts;
mod needs;
mod outlook;
mod report;

use std::path::PathBuf;
use std::time::Duration;

pub use error::PruneError;
pub(super) use outlook::outlook;
pub use report::{PruneReport, PruneTally, Standing};

use super::{ForeignOwner, Observer};
use crate::cluster::{Cluster, is_wal_directory};
use crate::repository::{Form, Inventory, Origin, Repository, sidecar_key, stored_key};
use crate::retention::{Holdings, Item, OldestKept, Pin, Plan, Policy, Rule};
use crate::storage::{Key, Store};
use crate::wal::{SegmentSize, WalFileName};
use facts::Facts;

/// What is to be removed from where.
pub struct PruneRequest<'a> {
    /// The repository's directory.
    pub directory: PathBuf,
    /// The same directory as a store.
    pub store: &'a dyn Store,
    /// The data directories whose needs are read here and now, beside what nodes have claimed.
    pub data_directories: Vec<PathBuf>,
    /// How much is kept though nobody needs it.
    pub policy: Policy,
    /// What a server gave for `%r`.
    pub oldest_kept: Option<OldestKept>,
    /// The nodes without whose claims nothing goes.
    pub nodes: Vec<String>,
    /// For how long a slot that is gone pins.
    pub slot_grace: Duration,
    /// Whether to tell what would go, and leave it.
    pub dry_run: bool,
    /// Who asks, and when.
    pub origin: &'a Origin,
    /// Who watches.
    pub observer: &'a dyn Observer,
}

/// Removes what nobody needs and no policy keeps, or tells what that would be.
///
/// # Errors
/// When a fact cannot be read, the place is not one to remove from, or a file does not go: those after it stay.
pub fn prune(request: &PruneRequest<'_>) -> Result<PruneReport, PruneError> {
    prune_seen(request, &mut |_| {})
}

/// The same; `see` hears of each stored file before it goes, or that it would go.
///
/// # Errors
/// As [`prune`].
pub fn prune_seen(request: &PruneRequest<'_>, see: &mut dyn FnMut(&Key)) -> Result<PruneReport, PruneError> {
    refuse_live_directory(request)?;
    if !request.dry_run {
        let owner = request.store.foreign_owner()?;
        ForeignOwner::refuse("repository", request.store.location(), owner)?;
    }
    let repository = Repository::open(request.store)?;
    let mut policy = request.policy;
    match request.oldest_kept {
        Some(OldestKept::NotYet) => return Ok(PruneReport::empty(request, Standing::NotYet)),
        Some(OldestKept::File(file)) => policy.oldest_kept = Some(file),
        None => {}
    }
    // Claims and holds are read in this turn: a hold that was added before it is seen, and none is added in it.
    let turn = match request.dry_run {
        true => None,
        false => Some(repository.try_lock_removal()?.ok_or(PruneError::Locked)?),
    };
    let Some(facts) = Facts::gather(request, &repository, &policy, || repository.inventory())? else {
        return Ok(PruneReport::empty(request, Standing::Empty));
    };
    let decided = Decided::of(&facts, &policy);
    let mut report = PruneReport::of(request, &decided, &facts);
    match turn {
        None => {
            decided.plan.removals().into_iter().for_each(|(place, item)| see(&decided.key_of(place, item)));
            report.measure(&repository, &decided)?;
        }
        Some(turn) => {
            let see = &mut |key: &Key, progress| {
                request.observer.progress(progress);
                see(key);
            };
            act::remove(&repository, &decided, &mut report, &*turn, see)?;
        }
    }
    Ok(report)
}

/// A server's own directories are never pruned from outside: what it holds in memory - temporary slots, running
/// base backups, wal_keep_size - is in no file.
fn refuse_live_directory(request: &PruneRequest<'_>) -> Result<(), PruneError> {
    let path = || request.directory.display().to_string();
    if Cluster::is_data_directory(&request.directory) {
        return Err(PruneError::Live { path: path(), what: "a data directory" });
    }
    if is_wal_directory(&request.directory)? {
        return Err(PruneError::Live { path: path(), what: "a live WAL directory" });
    }
    Ok(())
}

/// What was decided, with the stored files that it was decided of.
struct Decided<'f> {
    inventory: &'f Inventory,
    pins: Vec<Pin>,
    licensed: bool,
    plan: Plan,
}

impl<'f> Decided<'f> {
    fn of(facts: &'f Facts, policy: &Policy) -> Self {
        let mut pins = facts.needs.clone();
        pins.extend(policy.pins(&facts.holdings, facts.at));
        pins.sort_by_key(|pin| pin.from);
        let licensed = policy.licenses();
        let rule = Rule::of(&pins, licensed, facts.segment_size);
        let plan = Plan::of(rule, items(&facts.inventory));
        Self { inventory: &facts.inventory, pins, licensed, plan }
    }

    /// Where the file or digest at this place of the plan lies.
    fn key_of(&self, place: usize, item: Item) -> Key {
        match self.form_at(place) {
            Some(form) => stored_key(item.name(), form),
            None => sidecar_key(item.name()),
        }
    }

    /// The form of the file at this place of the plan; `None` for a digest.
    fn form_at(&self, place: usize) -> Option<Form> {
        self.inventory.files.get(place).map(|(_, form)| *form)
    }
}

/// The stored files, and behind them the digests.
fn items(inventory: &Inventory) -> impl Iterator<Item = Item> {
    let file = |(name, form): &(WalFileName, Form)| Item::File { name: *name, plain: *form == Form::Plain };
    let files = inventory.files.iter().map(file);
    files.chain(inventory.sidecars.iter().map(|name| Item::Sidecar(*name)))
}

/// What the names of stored files tell a policy.
fn holdings_of(inventory: &Inventory, size: SegmentSize) -> Holdings {
    Holdings::of(inventory.files.iter().map(|(name, _)| *name), size)
}
