//! Claims against what real servers show of themselves.

use std::collections::BTreeMap;

use walkeep::repository::{Claim, NodeRole, Repository as Stored};
use walkeep::storage::DirectoryStore;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(claims_of_a_primary_and_its_standby_are_what_their_servers_show);

/// The claim of a node's data directory; `None` while it has none.
fn claim_of(node: &Node, repository: &Repository) -> Option<Claim> {
    let store = DirectoryStore::new(repository.path.clone());
    let claims = Stored::open(&store).unwrap().claims().unwrap();
    let real = node.data.canonicalize().unwrap();
    claims.into_iter().find(|claim| claim.data_directory == real.to_str().unwrap())
}

fn redo_of(node: &Node) -> String {
    node.sql("SELECT redo_lsn FROM pg_control_checkpoint()")
}

/// Every slot with its restart_lsn, as psql shows rows.
fn shown_slots(node: &Node) -> BTreeMap<String, String> {
    let rows = node.sql("SELECT slot_name, restart_lsn FROM pg_replication_slots");
    let pair = |row: &str| row.split_once('|').map(|(name, lsn)| (name.to_owned(), lsn.to_owned())).unwrap();
    rows.lines().map(pair).collect()
}

fn claimed_slots(claim: &Claim) -> BTreeMap<String, String> {
    let lsn = |slot: &walkeep::repository::ClaimedSlot| {
        slot.restart_lsn.map(|lsn| lsn.to_string()).unwrap_or_default()
    };
    claim.slots.iter().map(|slot| (slot.name.clone(), lsn(slot))).collect()
}

fn claims_of_a_primary_and_its_standby_are_what_their_servers_show(product: Product) {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", product, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.set("wal_level", "logical");
    primary.start();
    load::prepare(&primary);
    primary.sql("SELECT pg_create_physical_replication_slot('physical', true)");
    primary.sql("SELECT pg_create_physical_replication_slot('unreserved')");
    primary.sql("SELECT pg_create_logical_replication_slot('logical', 'pgoutput')");
    let backup = primary.back_up("backup");
    primary.sql("CHECKPOINT");
    primary.archive_all(&repository);
    let by_archive = claim_of(&primary, &repository).expect("archive has recorded a claim");
    assert_eq!(by_archive.role, NodeRole::Primary);

    // What archive recorded within the minute, the verb records now.
    repository.claim(&primary.data);
    let claim = claim_of(&primary, &repository).unwrap();
    assert_eq!(claim.last.redo.to_string(), redo_of(&primary));
    assert_eq!(claimed_slots(&claim), shown_slots(&primary));
    assert_eq!(claim.slots.len(), 3);

    let mut standby = Node::from_backup(&scratch, "standby", product, &backup);
    standby.stand_by_from(&repository);
    standby.start();
    load::some_load(&scratch, &primary, 1, 100);
    primary.archive_all(&repository);
    wait_until("restore has recorded the standby's claim", || claim_of(&standby, &repository).is_some());
    // It was asked before the server had changed what the base backup's control file says, and not since.
    assert_ne!(claim_of(&standby, &repository).unwrap().role, NodeRole::Primary);
    repository.claim(&standby.data);
    let of_standby = claim_of(&standby, &repository).unwrap();
    assert_eq!((of_standby.role, of_standby.last.redo.to_string()), (NodeRole::Standby, redo_of(&standby)));
    assert_ne!(of_standby.key(), claim.key());

    // Failback scripts drop a slot and make it again.
    let before = shown_slots(&primary)["physical"].clone();
    primary.sql("SELECT pg_drop_replication_slot('physical')");
    primary.sql("SELECT pg_create_physical_replication_slot('physical')");
    repository.claim(&primary.data);
    let after = claim_of(&primary, &repository).unwrap();
    let gone: Vec<_> =
        after.departed.iter().map(|slot| (slot.name.clone(), slot.restart_lsn.to_string())).collect();
    assert_eq!(gone, [("physical".to_owned(), before)]);
    assert_eq!(claimed_slots(&after), shown_slots(&primary));
}
