//! What nodes need, read from data directories or from claims, in retention's words.

use std::path::Path;

use super::{PruneError, PruneRequest};
use crate::cluster::Cluster;
use crate::commands::claim::observe;
use crate::repository::{Claim, Identity, Repository, RepositoryError};
use crate::retention::{Checkpoint, Departed, HeldSlot, NodeNeeds};
use crate::wal::{Lsn, SystemIdentifier};

/// A node's needs, and the cluster that it is of.
pub(super) struct Node {
    pub needs: NodeNeeds,
    pub identity: Identity,
}

/// Reads a data directory as its next claim would tell it: what its last one still protects - earlier checkpoints,
/// slots that are gone - counts. That claim is taken out of `claims`.
pub(super) fn of_data_directory(
    directory: &Path,
    request: &PruneRequest<'_>,
    claims: &mut Vec<Claim>,
) -> Result<Node, PruneError> {
    let cluster = Cluster::find(directory)?;
    let control = cluster.control_file()?;
    let seen = observe(&cluster, request.origin)?;
    // By its name as well: machines that were cloned share an id and a path, and containers have no id at all. Where
    // the name alone was changed, the old claim pins until a person removes it.
    let own = seen.key();
    let is_last = |claim: &Claim| claim.key() == own && claim.system_identifier == seen.system_identifier;
    let last = claims.iter().position(is_last).map(|at| claims.remove(at));
    let now = Claim::next(last.as_ref(), seen, request.slot_grace);
    let mut needs = of_claim(&now, &[]);
    needs.node = format!("'{}'", directory.display());
    // A base backup that was started and is not consistent yet has no label any more.
    needs.backup_starts.extend(Some(control.backup_start).filter(|start| *start != Lsn::ZERO));
    let identity =
        Identity { system_identifier: control.system_identifier, segment_size: control.segment_size };
    Ok(Node { needs, identity })
}

/// A claim's checkpoints, in the order in which they were seen.
fn claimed(claim: &Claim) -> Vec<Checkpoint> {
    let mut known: Vec<Checkpoint> = claim
        .checkpoints()
        .map(|one| Checkpoint { timeline: one.timeline, checkpoint: one.checkpoint, redo: one.redo })
        .collect();
    known.reverse();
    known
}

/// What a claim says that its node needs. Where several of `all` bear its node's name, it is called by its data
/// directory as well.
pub(super) fn of_claim(claim: &Claim, all: &[Claim]) -> NodeNeeds {
    let namesakes = all.iter().filter(|other| other.node == claim.node).count();
    let node = match namesakes {
        0 | 1 => claim.node.clone(),
        _ => format!("{} ('{}')", claim.node, claim.data_directory),
    };
    let held = claim.slots.iter().filter(|slot| !slot.invalidated);
    let departed = claim.departed.iter();
    NodeNeeds {
        node,
        checkpoints: claimed(claim),
        needs_previous: claim.falls_back,
        slots: held.map(|slot| HeldSlot { name: slot.name.clone(), restart_lsn: slot.restart_lsn }).collect(),
        departed: departed
            .map(|slot| Departed { name: slot.name.clone(), restart_lsn: slot.restart_lsn })
            .collect(),
        backup_starts: claim.backup_start.into_iter().collect(),
    }
}

/// Every claim, none of which may be of another system, and none of the listed nodes' may be missing.
pub(super) fn claims(
    request: &PruneRequest<'_>,
    repository: &Repository<'_>,
) -> Result<Vec<Claim>, PruneError> {
    let claims = repository.claims()?;
    let bound = repository.identity().map(|identity| identity.system_identifier);
    let is_other = |claim: &&Claim| bound.is_some_and(|bound| bound != claim.system_identifier);
    if let (Some(other), Some(bound)) = (claims.iter().find(is_other), bound) {
        return Err(PruneError::ClaimOfOtherSystem {
            node: other.node.clone(),
            found: other.system_identifier.to_string(),
            repository: bound.to_string(),
        });
    }
    let has_claimed = |node: &&String| claims.iter().any(|claim| claim.node == **node);
    let missing: Vec<String> =
        request.nodes.iter().filter(|node| !has_claimed(node)).map(|node| format!("'{node}'")).collect();
    if missing.is_empty() { Ok(claims) } else { Err(PruneError::NotClaimed(missing.join(", "))) }
}

/// Whether a data directory is of the repository's cluster.
pub(super) fn refuse_other_cluster(bound: Option<Identity>, found: Identity) -> Result<(), RepositoryError> {
    let system = |identity: Identity| -> SystemIdentifier { identity.system_identifier };
    match bound {
        Some(bound) if system(bound) != system(found) => {
            Err(RepositoryError::OtherSystem { repository: system(bound), found: system(found) })
        }
        Some(bound) if bound.segment_size != found.segment_size => Err(RepositoryError::OtherSegmentSize {
            repository: bound.segment_size,
            found: found.segment_size,
        }),
        _ => Ok(()),
    }
}
