//! `status`: one screen, from files alone, whatever is broken.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::*;

/// A node that archives with walkeep into a disk of its own, with nothing wrong.
fn healthy() -> (Scene, SmallDisk) {
    let scene = Scene::new();
    let disk = SmallDisk::mount(scene.path("repo"), "size=64m,mode=700");
    scene.init("zstd");
    scene.configure("archive_mode = on\narchive_command = 'walkeep archive %p --repo /archive'\n");
    scene.store_segments(&SEGMENTS[..2]);
    stored_long_ago(&scene);
    (scene, disk)
}

fn stored_long_ago(scene: &Scene) {
    for name in scene.stored().iter().filter(|name| !name.ends_with('/')) {
        let file = File::options().append(true).open(scene.path("repo").join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3 * 86_400)).unwrap();
    }
}

fn status(scene: &Scene, args: &[&str]) -> Outcome {
    scene.call(&["status"]).args(args).run()
}

#[track_caller]
fn report(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).expect("one JSON object")
}

fn keys(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["key"].as_str().unwrap()).collect()
}

// ---- the screen

#[test]
fn a_healthy_node_is_one_screen() {
    let (scene, _disk) = healthy();
    let outcome = status(&scene, &[]).prints(&["status: OK\n"]);
    is_screen(&scene, &outcome, "status_healthy");
}

#[test]
fn an_incident_is_one_screen_that_begins_with_its_verdict() {
    let (scene, _disk) = healthy();
    scene.store(HISTORY.0, "1\t1/200000\tno recovery target specified\n");
    scene.store(&name_of(2, 0x1002), segment_as(2, 0x1002));
    scene.store(&format!("{}.00000028.backup", SEGMENTS[0]), fixture(BACKUP.1));
    for name in ["notes.txt", ".walkeep/staging/leftover.1.1", ".walkeep/set-aside/20260101T000000Z-x.zst"] {
        scene.write(format!("repo/{name}"), "");
    }
    let gap = serde_json::json!({
        "from": SEGMENTS[3], "to": SEGMENTS[3], "reason": "deleted by hand", "acknowledged_at": "2026-01-01T00:00:00Z",
        "node": "node1",
    });
    scene.write("repo/.walkeep/known-gaps.json", serde_json::json!({"gaps": [gap]}).to_string());
    stored_long_ago(&scene);
    scene.configure("archive_mode = on\narchive_command = 'exit 0'\ninclude 'es_rep.conf'\n");
    scene.write("data/es_rep.conf", "archive_command = ''\n");
    for number in 0..20 {
        scene.offer(&name_of(1, 0x1010 + number), "");
    }
    for number in 0..3 {
        scene.remove(format!("data/pg_wal/{}", name_of(1, 0x1010 + number)));
    }
    let head = scene.path(format!("data/pg_wal/archive_status/{}.ready", name_of(1, 0x1010)));
    let now = SystemTime::now();
    let five_minutes_ago = now - Duration::from_secs(300);
    File::options().append(true).open(head).unwrap().set_modified(five_minutes_ago).unwrap();
    let outcome = scene.call(&["status"]).at(now).run().code(1);
    is_screen(&scene, &outcome, "status_incident");
    let told = status(&scene, &["-o", "json"]).code(1);
    let report = report(&told);
    assert_eq!((report["schema"].as_u64(), report["verdict"].as_str()), (Some(1), Some("CRITICAL")));
    let (node, repository) = (&report["node"], &report["repository"]);
    assert_eq!(node["cluster"]["timeline"], 1);
    assert_eq!(node["queue"]["ready_files"], 20);
    assert_eq!(node["queue"]["lost"][0]["first"], name_of(1, 0x1010));
    assert_eq!(node["archiver"]["archive_command"]["line"], 1);
    assert_eq!(node["archiver"]["hidden_archive_commands"][0]["value"], "exit 0");
    assert_eq!(repository["files"]["segments"]["files"], 3);
    assert_eq!(repository["original_bytes"], 3 * MIB);
    assert_eq!(repository["foreign_examples"][0], "notes.txt");
    assert_eq!((repository["staged"].as_u64(), repository["set_aside"].as_u64()), (Some(1), Some(1)));
    assert_eq!(repository["known_gaps"][0]["reason"], "deleted by hand");
    assert_eq!(repository["timelines"][1]["forked_at"], "1/200000");
    assert_eq!(repository["timelines"][0]["gaps"][1]["kind"], "known");
    assert_eq!(repository["backups"]["newest_begins_in"], SEGMENTS[0]);
}

// ---- with parts of it missing

#[test]
fn a_host_that_only_holds_an_archive_needs_no_data_directory() {
    let (scene, _disk) = healthy();
    let outcome = scene.call(&["status"]).cwd(scene.path("elsewhere")).run();
    outcome.prints(&["status: OK\n", "timelines   1: 2 segments"]);
    scene.remove(format!("repo/{}.zst", SEGMENTS[1]));
    scene.store_segments(&SEGMENTS[2..3]);
    let outcome = scene.call(&["status", "-o", "json"]).cwd(scene.path("elsewhere")).run().code(1);
    let report = report(&outcome);
    assert_eq!((&report["node"], keys(&report)), (&Value::Null, vec!["gaps"]));
}

#[test]
fn without_a_repository_the_node_is_told() {
    let (scene, _disk) = healthy();
    let outcome = scene.call(&["status"]).without("WALKEEP_REPO").run();
    outcome.prints(&[
        "status: OK\n",
        "repository  none is named (--repo)\n",
        "queue       nothing is pending\n",
    ]);
}

#[test]
fn with_neither_there_is_nothing_to_tell() {
    let (scene, _disk) = healthy();
    let call = scene.call(&["status"]).without("WALKEEP_REPO").cwd(scene.path("elsewhere"));
    call.run().refused(2, &["cannot tell the status", "no data directory is named"]);
}

#[test]
fn what_is_broken_says_why_and_the_rest_is_told() {
    let (scene, _disk) = healthy();
    let gone = status(&scene, &["--repo", "/nowhere"]).code(1);
    assert!(gone.stdout.contains("repository  cannot be used: "), "{gone:#?}");
    assert!(gone.stdout.contains("PostgreSQL 10+ (15)"), "{gone:#?}");
    let mut control = control_file_of(SYSTEM);
    control[40] ^= 1;
    scene.write("data/global/pg_control", control);
    for (args, says) in [(&[][..], "its checksum is"), (&["-D", "/nowhere"], "cannot read '/nowhere'")] {
        let outcome = status(&scene, args).code(2);
        assert!(outcome.stdout.contains("status: UNKNOWN"), "{outcome:#?}");
        assert!(outcome.stdout.replace("\n              ", " ").contains(says), "{outcome:#?}");
        assert!(outcome.stdout.contains("timelines   1: 2 segments"), "{outcome:#?}");
    }
}

#[test]
fn a_damaged_history_is_named_and_the_timelines_are_told_without_it() {
    let (scene, _disk) = healthy();
    scene.write("repo/00000002.history", "junk\n");
    let outcome = status(&scene, &[]).code(1);
    let text = outcome.stdout.replace("\n              ", " ");
    assert!(text.contains("00000002.history"), "{outcome:#?}");
    assert!(text.contains("timelines   1: 2 segments"), "{outcome:#?}");
}

#[test]
fn a_user_who_may_not_look_is_told_so() {
    let (scene, _disk) = healthy();
    let outcome = scene.call_as_nobody(&["status"]).run().code(1);
    assert!(outcome.stdout.contains("Permission denied"), "{outcome:#?}");
    outcome.tells("next: Ask as the user that the server runs as.");
    fs::set_permissions(scene.path("data/global"), Permissions::from_mode(0o700)).unwrap();
    let outcome = scene.call_as_nobody(&["status"]).without("WALKEEP_REPO").run().code(2);
    assert!(outcome.stdout.contains("Permission denied"), "{outcome:#?}");
}

#[test]
fn a_repository_that_hangs_ends_in_bounded_time() {
    let (scene, _disk) = healthy();
    let state = scene.shown("repo/.walkeep/repository.json");
    scene.run_hanging(&state, &["status", "--timeout", "1s"]).refused(2, &["no end after 1s"]);
    let outcome = scene.run_hanging(&state, &["status", "--timeout", "1s", "-o", "json"]).code(2);
    assert_eq!(report(&outcome)["verdict"], "UNKNOWN");
}

#[test]
fn status_writes_nothing_anywhere() {
    let (scene, _disk) = healthy();
    scene.offer_segments(&SEGMENTS[2..]);
    let before = (scene.snapshot("data"), scene.snapshot("repo"));
    drop(status(&scene, &[]));
    drop(status(&scene, &["-o", "json"]));
    assert!(before == (scene.snapshot("data"), scene.snapshot("repo")));
}
