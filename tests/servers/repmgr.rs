//! The gate beside repmgr, whose check before a switchover it replaces: the same files, the same line, the same exit
//! code.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::node::Node;
use crate::support::product::{POSTGRESQL_15, client_program};
use crate::support::scratch::{Scratch, must_succeed};

/// A running PostgreSQL 15 that repmgr knows.
fn registered(scratch: &Scratch) -> (Node<'_>, impl Fn() -> Output + use<'_>) {
    let mut node = Node::initdb_with_segments(scratch, "node", POSTGRESQL_15, 1);
    node.set("archive_mode", "on");
    node.set("archive_command", "");
    node.set("shared_preload_libraries", "repmgr");
    node.start();
    let data = node.data.display();
    let conf = scratch.path("repmgr.conf");
    let bin = client_program("psql").parent().unwrap().display().to_string();
    let text = format!(
        "node_id=1\nnode_name='node'\nconninfo='{} dbname=postgres'\ndata_directory='{data}'\n\
         pg_bindir='{bin}'\n",
        node.connection_string()
    );
    scratch.write(&conf, text);
    let repmgr = move |arguments: &[&str]| -> Command {
        let mut command = scratch.command(client_program("repmgr"));
        command.arg("-f").arg(&conf).args(arguments);
        command
    };
    must_succeed(&mut repmgr(&["primary", "register", "--superuser=postgres"]));
    let check = move || {
        let arguments = ["node", "check", "--terse", "-LERROR", "--archive-ready", "--optformat"];
        repmgr(&arguments).output().unwrap()
    };
    (node, check)
}

fn gate(scratch: &Scratch, data: &Path) -> Output {
    scratch.run_walkeep(["gate", "--count-only", "-o", "repmgr", "-D", data.to_str().unwrap()])
}

/// Makes the queue so long, with whatever the server has queued itself.
fn pend(scratch: &Scratch, node: &Node<'_>, files: usize) {
    let status = node.wal_directory().join("archive_status");
    for name in node.pending() {
        fs::remove_file(status.join(format!("{name}.ready"))).unwrap();
    }
    for number in 0..files {
        scratch.write(&status.join(format!("0000000100000009{number:08X}.ready")), "");
    }
}

#[test]
fn the_gate_counts_prints_and_exits_as_repmgr_does() {
    let scratch = Scratch::new();
    let (node, check) = registered(&scratch);
    for (files, code) in [(0, 0), (12, 0), (16, 0), (17, 1), (128, 1), (129, 2), (134, 2)] {
        pend(&scratch, &node, files);
        let (theirs, ours) = (check(), gate(&scratch, &node.data));
        let line = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(line(&theirs), line(&ours), "{files} files: {theirs:?}");
        assert_eq!((theirs.status.code(), ours.status.code()), (Some(code), Some(code)), "{files} files");
    }

    // Whatever stands before `.ready` counts, unless it is a directory; so does a link that leads nowhere.
    let status = node.wal_directory().join("archive_status");
    for name in ["junk.ready", ".ready", "00000002.history.ready", "ready", "x.ready.done"] {
        scratch.write(&status.join(name), "");
    }
    fs::create_dir(status.join("directory.ready")).unwrap();
    symlink("nowhere", status.join("link.ready")).unwrap();
    symlink("junk.ready", status.join("link2.ready")).unwrap();
    symlink("directory.ready", status.join("link3.ready")).unwrap();
    let (theirs, ours) = (check(), gate(&scratch, &node.data));
    assert_eq!(String::from_utf8_lossy(&theirs.stdout), String::from_utf8_lossy(&ours.stdout));
}
