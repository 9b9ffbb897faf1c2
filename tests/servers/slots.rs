//! Replication slots on disk, against what the server shows of them.

use std::fs;

use walkeep::cluster::Cluster;

use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::scratch::Scratch;

on_every_server!(slots_on_disk_are_those_that_the_server_shows);

/// Every slot with its restart_lsn, or what is wrong with it, as psql shows rows.
fn on_disk(node: &Node) -> Vec<String> {
    let slots = Cluster::find(&node.data).unwrap().slots().unwrap();
    let shown = |slot: &walkeep::cluster::Slot| match &slot.state {
        Ok(state) => {
            let kind = if state.is_physical() { "physical" } else { "logical" };
            let restart_lsn = state.restart_lsn.map(|lsn| lsn.to_string()).unwrap_or_default();
            format!("{}|{kind}|{}|{restart_lsn}", slot.name, state.plugin)
        }
        Err(fault) => format!("{}: {fault}", slot.name),
    };
    slots.iter().map(shown).collect()
}

fn slots_on_disk_are_those_that_the_server_shows(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    node.set("wal_level", "logical");
    node.start();
    assert_eq!(on_disk(&node), [""; 0]);
    for name in ["reserved", "dropped", "damaged"] {
        node.sql(&format!("SELECT pg_create_physical_replication_slot('{name}', true)"));
    }
    node.sql("SELECT pg_create_physical_replication_slot('unreserved')");
    node.sql("SELECT pg_create_logical_replication_slot('logical', 'pgoutput')");
    node.sql("SELECT pg_drop_replication_slot('dropped')");
    node.switch_segment();
    node.sql("CHECKPOINT");
    let shown = node.sql(
        "SELECT slot_name, slot_type, plugin, restart_lsn FROM pg_replication_slots ORDER BY slot_name COLLATE \"C\"",
    );
    let mut expected: Vec<String> = shown.lines().map(str::to_owned).collect();
    assert_eq!(expected.len(), 4);
    assert_eq!(on_disk(&node), expected);

    node.stop();
    fs::File::options()
        .write(true)
        .open(node.data.join("pg_replslot/damaged/state"))
        .unwrap()
        .set_len(7)
        .unwrap();
    expected[0] = "damaged: it is no slot's state that is known".to_owned();
    assert_eq!(on_disk(&node), expected);
}
