//! Whether a server runs, and as what, told from its files through the life of a real one.

use std::process::Command;

use walkeep::cluster::{Cluster, Role, RunState};

use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

on_every_server!(a_server_is_known_in_every_state_of_its_life);

fn state(node: &Node) -> RunState {
    Cluster::find(&node.data).unwrap().run_state().unwrap()
}

/// The pid of a server that has to run as that.
fn pid_as(node: &Node, expected: Role) -> u32 {
    match state(node) {
        RunState::Running { pid, role } if role == expected => pid,
        other => panic!("{other:?} instead of {expected:?}"),
    }
}

fn a_server_is_known_in_every_state_of_its_life(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    let (called, gate) = (node.data.join("called"), scratch.path("gate"));
    node.set("archive_mode", "on");
    let waits = "touch called; while ! test -e ";
    node.set("archive_command", &format!("{waits}{}; do sleep 0.05; done", gate.display()));
    assert_eq!(state(&node), RunState::Stopped, "made and never started");

    node.start();
    let pid = pid_as(&node, Role::Primary);
    assert_eq!(
        node.sql("SELECT setting FROM pg_settings WHERE name = 'data_directory'"),
        node.data.to_str().unwrap()
    );
    node.kill_postmaster();
    assert!(node.data.join("postmaster.pid").exists(), "a crash leaves the pid file");
    assert_eq!(state(&node), RunState::Crashed);

    // A shutdown waits for the archiver, long after the control file says that it is done.
    node.start();
    assert_ne!(pid_as(&node, Role::Primary), pid);
    let pid = pid_as(&node, Role::Primary);
    node.switch_segment();
    wait_until("the archiver has called its command", || called.exists());
    must_succeed(Command::new("kill").args(["-s", "INT", &pid.to_string()]));
    let control = || Cluster::find(&node.data).unwrap().control_file().unwrap().state.to_string();
    wait_until("the shutdown checkpoint is written", || control() == "shut down");
    assert_eq!(state(&node), RunState::Stopping { pid });
    scratch.write(&gate, "");
    node.stop();
    assert_eq!(state(&node), RunState::Stopped);

    scratch.write(&node.data.join("standby.signal"), "");
    node.start();
    pid_as(&node, Role::Standby);
    node.stop();
    assert_eq!(state(&node), RunState::Stopped, "a standby");
    node.start();
    node.kill_postmaster();
    assert_eq!(state(&node), RunState::Crashed, "a standby");
    node.start();
    node.promote();
    pid_as(&node, Role::Primary);
    node.stop();
}
