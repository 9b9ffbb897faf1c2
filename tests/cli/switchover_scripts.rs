//! The scripts in packaging/switchover: a switchover is begun only when the gate of the node to be demoted is open, and
//! otherwise refused with the reason. What they call beside walkeep - the remote shell, repmgr, sys_ctl, gs_ctl - is
//! written down by a stand-in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::*;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/switchover");

/// A node whose gate is open, and programs that write down how they are called.
fn scene(archive_command: &str) -> Scene {
    let scene = Scene::with_repository("zstd");
    let conf = format!("archive_mode = on\narchive_command = '{archive_command}'\n");
    scene.write("data/postgresql.conf", conf);
    scene.store_segments(&SEGMENTS[..1]);
    let calls = scene.path("calls");
    for name in ["repmgr", "gs_ctl", "sys_ctl"] {
        let script = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n", calls.display());
        program(&scene, name, &script);
    }
    let script = format!("#!/bin/sh\necho ssh \"$1\" >>{}\nshift\nexec \"$@\"\n", calls.display());
    program(&scene, "ssh", &script);
    program(&scene, "walkeep", &format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_walkeep")));
    scene
}

fn program(scene: &Scene, name: &str, script: &str) {
    let path = scene.write(format!("bin/{name}"), script);
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Exit code, both outputs, and what was called.
fn run(scene: &Scene, script: &str, args: &[&str]) -> (Option<i32>, String, String) {
    run_with(scene, script, args, Some("repo"))
}

fn run_with(
    scene: &Scene,
    script: &str,
    args: &[&str],
    repository: Option<&str>,
) -> (Option<i32>, String, String) {
    let path = format!("{}:/usr/bin:/bin", scene.shown("bin"));
    let mut command = Command::new("sh");
    command.arg(Path::new(SCRIPTS).join(script)).args(args).current_dir("/").env_clear();
    command.env("PATH", path).env("WALKEEP_WAIT", "0s");
    command.envs(repository.map(|repository| ("WALKEEP_REPO", scene.path(repository))));
    let output = command.env("KINGBASE_DATA", scene.path("data")).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let calls = fs::read_to_string(scene.path("calls")).unwrap_or_default();
    (output.status.code(), said, calls)
}

#[test]
fn a_switchover_is_begun_where_the_gate_is_open() {
    let open = || scene("walkeep archive %p --repo /archive");
    let (code, said, calls) = run(&open(), "repmgr.sh", &["node1", "-f", "repmgr.conf"]);
    assert_eq!((code, &*calls), (Some(0), "ssh node1\nrepmgr -f repmgr.conf standby switchover\n"), "{said}");
    let (code, said, calls) = run(&open(), "opengauss.sh", &["node1", "-D", "/data"]);
    assert_eq!((code, &*calls), (Some(0), "ssh node1\ngs_ctl switchover -D /data\n"), "{said}");
}

#[test]
fn a_warning_is_told_and_refuses_nothing() {
    let (code, said, calls) = run(&scene("cp %p /archive/%f"), "repmgr.sh", &["node1"]);
    assert_eq!((code, &*calls), (Some(0), "ssh node1\nrepmgr standby switchover\n"), "{said}");
    assert!(said.contains("copies with cp") && said.contains("open, with warnings"), "{said}");
}

#[test]
fn a_switchover_is_refused_where_the_command_hides_its_failures_or_never_succeeds() {
    for (command, why) in [
        ("walkeep archive %p --repo /archive || true", "hides its failures behind '|| true'"),
        ("walkeep archive %p --repo /archive 2>&1 | logger", "hides its failures behind '| logger'"),
        ("cp %p /archive/%f; exit 0", "hides its failures behind '; exit 0'"),
        ("walkeep archive %f --repo /archive", "never succeeds"),
        ("walkeep archve %p --repo /archive", "never succeeds"),
    ] {
        let (code, said, calls) = run(&scene(command), "repmgr.sh", &["node1"]);
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(said.contains(why) && !calls.contains("repmgr"), "{command}: {said}");
    }
}

#[test]
fn a_switchover_is_refused_with_the_reason_where_the_gate_is_closed_or_cannot_tell() {
    for (script, args) in [
        ("repmgr.sh", &["node1"][..]),
        ("opengauss.sh", &["node1", "-D", "/data"]),
        ("kingbase-v8r3.sh", &[]),
    ] {
        let closed = scene("exit 0");
        let (code, said, calls) = run(&closed, script, args);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("archives nothing") && said.contains("refused: the gate of"), "{said}");
        assert!(!calls.contains("ctl") && !calls.contains("repmgr"), "{calls}");
        closed.remove("data/postgresql.conf");
        let (code, said, calls) = run(&closed, script, args);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("cannot tell") && !calls.contains("ctl") && !calls.contains("repmgr"),
            "{said}"
        );
    }
}

#[test]
fn a_primary_of_v8r3_is_not_stopped_where_nothing_could_prove_its_end() {
    let scene = scene("walkeep archive %p --repo /archive");
    let (code, said, calls) = run_with(&scene, "kingbase-v8r3.sh", &[], None);
    assert_eq!((code, &*calls), (Some(1), ""), "{said}");
    assert!(said.contains("refused: no repository is named"), "{said}");
}

#[test]
fn a_primary_of_v8r3_is_stopped_and_its_end_has_to_be_proven() {
    let open = scene("walkeep archive %p --repo /archive");
    let (code, said, calls) = run(&open, "kingbase-v8r3.sh", &[]);
    // The stand-in stops nothing.
    let stop = format!("sys_ctl -D {} stop -m fast\n", open.shown("data"));
    assert_eq!((code, calls), (Some(1), stop), "{said}");
    assert!(said.contains("the end of the WAL is not proven"), "{said}");
}
