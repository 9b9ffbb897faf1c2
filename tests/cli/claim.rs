//! `claim`: what a node needs, told in the repository; refreshed by other verbs without their ever failing for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::*;

/// A slot's state of PostgreSQL 15, as a server wrote it: `reserved`, `unreserved` or `logical`.
fn lay_down_slot(scene: &Scene, name: &str) {
    scene.write(format!("data/pg_replslot/{name}/state"), fixture(&format!("15/running/slot_{name}.state")));
}

fn slots() -> Vec<String> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/15/running");
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter_map(|name| Some(name.strip_prefix("slot_")?.strip_suffix(".state")?.to_owned()))
        .collect();
    names.sort();
    names
}

fn listed(scene: &Scene) -> Vec<Value> {
    scene.call(&["claim", "list", "-o", "json"]).run().json()["claims"].as_array().unwrap().clone()
}

fn claim_files(scene: &Scene) -> Vec<String> {
    let mut names = scene.listing("repo/.walkeep/claims");
    names.retain(|name| name.ends_with(".json"));
    names
}

/// Makes every claim look as if it had been written long ago.
fn age_claims(scene: &Scene) {
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for name in claim_files(scene) {
        let file = fs::File::open(scene.path(format!("repo/.walkeep/claims/{name}"))).unwrap();
        file.set_modified(an_hour_ago).unwrap();
    }
}

/// Changes what a claim's file says.
fn rewrite(scene: &Scene, change: impl FnOnce(&mut Value)) {
    let path = format!("repo/.walkeep/claims/{}", claim_files(scene)[0]);
    let mut claim: Value = serde_json::from_slice(&scene.read(&path)).unwrap();
    change(&mut claim);
    scene.write(path, claim.to_string());
}

#[test]
fn a_claim_tells_the_redo_point_and_every_slot() {
    let scene = Scene::with_repository("zstd");
    for name in slots() {
        lay_down_slot(&scene, &name);
    }
    scene.call(&["claim"]).run().prints(&["'node1' needs everything from "]);
    let claims = listed(&scene);
    assert_eq!(claims.len(), 1);
    let claim = &claims[0];
    assert_eq!((&claim["node"], &claim["timeline"]), (&"node1".into(), &1.into()));
    assert_eq!(claim["system_identifier"], SYSTEM.to_string());
    assert_eq!(claim["data_directory"], fs::canonicalize(scene.path("data")).unwrap().to_str().unwrap());
    assert_eq!((&claim["stale"], &claim["backup_start"]), (&false.into(), &Value::Null));
    let named: Vec<&str> =
        claim["slots"].as_array().unwrap().iter().map(|slot| slot["name"].as_str().unwrap()).collect();
    assert!(named.len() >= 2, "{named:?}");
    assert_eq!(named, slots());
    for slot in claim["slots"].as_array().unwrap() {
        let expected = if slot["invalidated"] == true {
            &Value::Null
        } else if slot["restart_lsn"].is_null() {
            &claim["redo"]
        } else {
            &slot["restart_lsn"]
        };
        assert_eq!(&slot["pins_from"], expected, "{slot}");
    }
    let text = scene.call(&["claim", "list"]).run().prints(&["NODE ", "node1 "]).stdout;
    let table = text.lines().filter(|line| !line.starts_with("  claim "));
    assert!(table.clone().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_slot_that_is_gone_is_told_and_still_pins() {
    let scene = Scene::with_repository("zstd");
    let name = slots().remove(0);
    lay_down_slot(&scene, &name);
    scene.call(&["claim"]).run().prints(&[]);
    let needed = listed(&scene)[0]["slots"][0]["pins_from"].clone();
    fs::remove_dir_all(scene.path(format!("data/pg_replslot/{name}"))).unwrap();
    scene.call(&["claim"]).run().prints(&[&format!("slot '{name}': gone since ")]);
    let claim = &listed(&scene)[0];
    assert_eq!(claim["slots"], Value::Array(vec![]));
    assert_eq!(
        (&claim["departed"][0]["name"], &claim["departed"][0]["restart_lsn"]),
        (&name.clone().into(), &needed)
    );
    scene.call(&["claim", "list"]).run().prints(&[&format!("slot '{name}': gone since ")]);
}

#[test]
fn a_backup_label_pins_where_its_backup_began() {
    let scene = Scene::with_repository("zstd");
    scene.write("data/backup_label", fixture("15-debian/backup_label"));
    scene.call(&["claim"]).run().prints(&["a base backup began at 0/25000028"]);
    assert_eq!(listed(&scene)[0]["backup_start"], "0/25000028");
}

#[test]
fn what_cannot_be_read_fails_the_claim_and_the_last_one_stands() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["claim"]).run().prints(&[]);
    let before = listed(&scene)[0]["observed_at"].clone();
    scene.write("data/pg_replslot/broken/state", "nonsense");
    scene
        .call(&["claim"])
        .run()
        .refused(1, &["nobody knows what slot 'broken' holds", "hint: The last claim still stands"]);
    fs::remove_dir_all(scene.path("data/pg_replslot/broken")).unwrap();
    scene.write("data/backup_label", "nonsense");
    scene.call(&["claim"]).run().refused(1, &["backup_label"]);
    scene.remove("data/backup_label");
    scene.write("data/global/pg_control", "nonsense");
    scene.call(&["claim"]).run().refused(1, &["pg_control"]);
    assert_eq!(listed(&scene)[0]["observed_at"], before);
}

#[test]
fn a_claim_of_another_cluster_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    scene
        .call(&["claim", "-D", "../other"])
        .run()
        .refused(1, &["the repository belongs to system identifier"]);
    assert_eq!(claim_files(&scene), [""; 0]);
}

#[test]
fn a_damaged_claim_fails_what_needs_all_of_them_and_can_be_removed_by_its_key() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["claim"]).run().prints(&[]);
    let file = claim_files(&scene).remove(0);
    scene.write(format!("repo/.walkeep/claims/{file}"), "{");
    for verb in [&["claim", "list"][..], &["claim"], &["claim", "remove", "node1"]] {
        scene.call(verb).run().refused(1, &[&file]);
    }
    scene.call(&["claim", "remove", file.strip_suffix(".json").unwrap()]).run().prints(&["is removed"]);
    scene.call(&["claim", "list"]).run().prints(&["No node has a claim."]);
}

#[test]
fn two_nodes_of_one_name_are_removed_by_their_keys() {
    let scene = Scene::with_repository("zstd");
    scene.data_directory("second", "15", &control_file_of(SYSTEM));
    scene.call(&["claim"]).run().prints(&[]);
    scene.call(&["claim", "-D", "../second"]).run().prints(&[]);
    let keys: Vec<String> =
        listed(&scene).iter().map(|claim| claim["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 2);
    scene
        .call(&["claim", "remove", "node1"])
        .run()
        .refused(1, &["several nodes are called 'node1'", &keys[0], &keys[1]]);
    scene.call(&["claim", "remove", &keys[0]]).run().prints(&[&keys[0]]);
    scene.call(&["claim", "remove", "node1"]).run().prints(&[&keys[1]]);
    scene.call(&["claim", "remove", "node1"]).run().refused(1, &["no node 'node1' has a claim"]);
}

#[test]
fn a_claim_that_was_not_refreshed_for_a_day_is_told_and_stays() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["claim"]).run().prints(&[]);
    rewrite(&scene, |claim| claim["observed_at"] = "2024-02-29T12:00:00Z".into());
    scene.call(&["claim", "list"]).run().prints(&["STALE"]);
    assert_eq!(listed(&scene)[0]["stale"], true);
    let gate = scene.call(&["gate", "-o", "json"]).run();
    let found: Value = serde_json::from_str(&gate.stdout).unwrap();
    let keys: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"stale_claim"), "{keys:?}");
}

#[test]
fn archive_refreshes_a_claim_that_is_older_than_a_minute_and_no_other() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..1]);
    let written = || {
        let name = claim_files(&scene).remove(0);
        fs::metadata(scene.path(format!("repo/.walkeep/claims/{name}"))).unwrap().modified().unwrap()
    };
    let first = written();
    let archive_after = |seconds, name: &str| {
        scene.offer_segments(&[name]);
        let call = scene.call(&["archive", &format!("pg_wal/{name}")]).without_limits_of_time();
        call.at(first + Duration::from_secs(seconds)).run().silent_success();
    };
    archive_after(59, SEGMENTS[1]);
    assert_eq!(written(), first, "within the minute");
    age_claims(&scene);
    archive_after(61, SEGMENTS[2]);
    assert!(written() >= first, "older than a minute");
}

#[test]
fn a_claim_from_before_its_data_directory_was_laid_down_anew_is_not_fresh() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.call(&["claim"]).run().prints(&[]);
    let a_moment_ago = SystemTime::now() - Duration::from_secs(10);
    let file = scene.path(format!("repo/.walkeep/claims/{}", claim_files(&scene)[0]));
    fs::File::open(file).unwrap().set_modified(a_moment_ago).unwrap();
    let laid_down = |at: SystemTime| fs::File::open(scene.path("data")).unwrap().set_modified(at).unwrap();
    scene.write("data/backup_label", fixture("15-debian/backup_label"));
    laid_down(a_moment_ago - Duration::from_secs(10));
    let restore = || {
        let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s"];
        let call = scene.call(&args).at(a_moment_ago + Duration::from_secs(10));
        call.without_limits_of_time().run().silent_success();
    };
    restore();
    assert_eq!(listed(&scene)[0]["backup_start"], Value::Null, "it is fresh");
    laid_down(SystemTime::now());
    restore();
    assert_eq!(listed(&scene)[0]["backup_start"], "0/25000028");
}

#[test]
fn a_standby_that_restores_claims_and_a_recovery_that_will_end_does_not() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    fs::remove_dir_all(scene.path("repo/.walkeep/claims")).unwrap();
    scene.write("data/recovery.signal", "");
    scene.restore(SEGMENT).silent_success();
    scene.remove("data/recovery.signal");
    scene.restore(SEGMENT).silent_success();
    assert_eq!(claim_files(&scene), [""; 0]);
    scene.make_standby();
    scene.restore(SEGMENTS[1]).silent(1);
    assert_eq!(claim_files(&scene).len(), 1, "what is absent is an answer, too");
}

#[test]
fn drain_records_what_a_dead_node_needs() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.call(&["drain"]).run().prints(&[]);
    assert_eq!(listed(&scene)[0]["role"], "crashed");
}

#[test]
fn no_claim_that_cannot_be_written_changes_an_exit_code() {
    let scene = Scene::with_repository("zstd");
    scene.write("repo/.walkeep/claims", "in the way of the folder");
    scene.offer_segments(&SEGMENTS[..2]);
    scene.archive(SEGMENT).code(0).says(&["warning: cannot record what this node needs"]);
    scene.restore(SEGMENT).silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENT)));
    scene.restore(SEGMENTS[4]).silent(1);
    // A server asks for one when it starts, and not with every segment.
    scene.restore("00000002.history").code(1).says(&["warning: cannot record what this node needs"]);
    scene.call(&["drain"]).run().code(0).says(&["warning: cannot record what this node needs"]);
    scene.call(&["claim"]).run().refused(1, &["cannot record what this node needs"]);
}

#[test]
fn a_folder_of_claims_that_may_not_be_written_changes_no_exit_code() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.offer_segments(&SEGMENTS[1..2]);
    age_claims(&scene);
    scene.give_away("data");
    scene.give_away("repo");
    fs::set_permissions(scene.path("repo/.walkeep/claims"), fs::Permissions::from_mode(0o500)).unwrap();
    let path = format!("pg_wal/{}", SEGMENTS[1]);
    scene
        .call_as_nobody(&["archive", &path])
        .run()
        .code(0)
        .says(&["warning: cannot record what this node needs"]);
    scene.call_as_nobody(&["restore", SEGMENT, "pg_wal/RECOVERYXLOG"]).run().silent_success();
}

#[test]
fn as_the_superuser_nothing_is_recorded_in_another_users_repository() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    age_claims(&scene);
    scene.give_away("repo");
    let before = scene.snapshot("repo/.walkeep/claims");
    scene.make_standby();
    scene.restore(SEGMENT).silent_success();
    scene.call(&["claim"]).run().refused(1, &["this is the superuser"]);
    scene.call(&["claim", "remove", "node1"]).run().refused(1, &["this is the superuser"]);
    assert!(scene.snapshot("repo/.walkeep/claims") == before);
}

#[test]
fn a_grace_is_read_from_the_config_file() {
    let scene = Scene::with_repository("zstd");
    let name = slots().remove(0);
    lay_down_slot(&scene, &name);
    let config = scene.write("config.toml", "[prune]\nslot_grace = \"0s\"\n");
    let claim = || scene.call(&["claim", "--config", config.to_str().unwrap()]).run().prints(&[]);
    claim();
    fs::remove_dir_all(scene.path(format!("data/pg_replslot/{name}"))).unwrap();
    claim();
    claim();
    assert_eq!(listed(&scene)[0]["departed"], Value::Array(vec![]));
}

#[test]
fn usage_errors_are_2() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["claim", "remove"]).run().code(2);
    scene.call(&["claim"]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    scene.call(&["claim"]).cwd(scene.path("elsewhere")).run().refused(2, &["no data directory is named"]);
}
