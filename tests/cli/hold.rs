//! `hold`: what people keep, with a reason, by position.

use serde_json::Value;

use crate::support::*;

fn add(scene: &Scene, name: &str, more: &[&str]) -> Call {
    scene.call(&["hold", "add", name, "--reason", "for the audit"]).args(more)
}

fn listed(scene: &Scene) -> Vec<Value> {
    scene.call(&["hold", "list", "-o", "json"]).run().json()["holds"].as_array().unwrap().clone()
}

#[test]
fn a_hold_is_set_listed_and_removed() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["hold", "list"]).run().prints(&["There is no hold."]);
    scene.store_segments(&SEGMENTS[..3]);
    add(&scene, "audit-2026", &["--from", SEGMENTS[1]])
        .run()
        .prints(&["Hold 'audit-2026' keeps everything from 0/FFE00000 on"]);
    add(&scene, "b", &["--from", "0/FFF00028", "--until", "2999-12-31"])
        .run()
        .prints(&["until 3000-01-01T00:00:00Z"]);
    let holds = listed(&scene);
    let told: Vec<_> =
        holds.iter().map(|hold| (hold["name"].as_str().unwrap(), hold["from"].as_str().unwrap())).collect();
    assert_eq!(told, [("audit-2026", "0/FFE00000"), ("b", "0/FFF00028")]);
    assert_eq!((&holds[0]["until"], &holds[0]["expired"]), (&Value::Null, &false.into()));
    assert_eq!((&holds[0]["reason"], &holds[0]["node"]), (&"for the audit".into(), &"node1".into()));
    scene.call(&["hold", "list"]).run().prints(&["audit-2026", "for the audit"]);
    scene.call(&["hold", "remove", "audit-2026"]).run().prints(&["Hold 'audit-2026' is removed."]);
    scene.call(&["hold", "remove", "audit-2026"]).run().refused(1, &["there is no hold 'audit-2026'"]);
    assert_eq!(listed(&scene).len(), 1);
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_hold_stays() {
    let scene = Scene::with_repository("zstd");
    add(&scene, "a", &["--from", "0/3000028"]).run().prints(&[]);
    let before = scene.snapshot("repo/.walkeep/holds");
    add(&scene, "a", &["--from", "0/5000028"]).run().refused(1, &["there is a hold 'a' already"]);
    assert!(scene.snapshot("repo/.walkeep/holds") == before);
}

#[test]
fn what_is_gone_cannot_be_held_and_what_is_still_to_come_can() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENTS[1], SEGMENTS[2], SEGMENTS[4]]);
    for gone in [SEGMENTS[0], "0/FFD00028", SEGMENTS[3], "1/00000028", "0/1"] {
        add(&scene, "a", &["--from", gone])
            .run()
            .refused(1, &["what it would hold is gone: '", "is not stored, but '"]);
    }
    assert_eq!(listed(&scene), Vec::<Value>::new());
    for (name, there) in
        [("a", "0/FFE00000"), ("b", SEGMENTS[4]), ("c", "1/00200000"), ("d", "000000010000000900000000")]
    {
        add(&scene, name, &["--from", there]).run().prints(&[]);
    }
}

#[test]
fn a_backup_label_says_where_its_backup_begins() {
    let scene = Scene::with_repository("zstd");
    scene.write("elsewhere/backup_label", fixture("15-debian/backup_label"));
    add(&scene, "weekly", &["--backup-label", "../elsewhere/backup_label"])
        .run()
        .prints(&["from 0/25000028 on"]);
    scene.write("elsewhere/nonsense", "START");
    add(&scene, "b", &["--backup-label", "../elsewhere/nonsense"]).run().refused(1, &["is no backup label"]);
    add(&scene, "b", &["--backup-label", "../elsewhere/absent"]).run().refused(1, &["absent"]);
    assert_eq!(listed(&scene).len(), 1);
}

#[test]
fn a_hold_that_has_expired_is_told_as_such() {
    let scene = Scene::with_repository("zstd");
    add(&scene, "past", &["--from", "0/1", "--until", "2024-02-29"])
        .run()
        .refused(1, &["its end is past already"]);
    add(&scene, "a", &["--from", "0/1", "--until", "2999-01-01T00:00:00Z"]).run().prints(&[]);
    let path = "repo/.walkeep/holds/a.json";
    let text = String::from_utf8(scene.read(path)).unwrap();
    assert!(text.contains("2999-01-01T00:00:00Z"), "{text}");
    scene.write(path, text.replace("2999-01-01", "2024-01-01"));
    scene.call(&["hold", "list"]).run().prints(&["EXPIRED"]);
    assert_eq!(listed(&scene)[0]["expired"], true);
}

#[test]
fn a_damaged_hold_is_an_error_that_names_it() {
    let scene = Scene::with_repository("zstd");
    add(&scene, "a", &["--from", "0/1"]).run().prints(&[]);
    let whole = String::from_utf8(scene.read("repo/.walkeep/holds/a.json")).unwrap();
    for text in ["", "{}", "null", &whole.replace("0/1", "0/"), &whole.replace("\"a\"", "\"b\"")] {
        scene.write("repo/.walkeep/holds/a.json", text);
        scene.call(&["hold", "list"]).run().refused(1, &["holds/a.json"]);
    }
    add(&scene, "a", &["--from", "0/1"]).run().refused(1, &["there is a hold 'a' already"]);
    scene.call(&["hold", "remove", "a"]).run().prints(&[]);
    scene.write("repo/.walkeep/holds/not a name.json", &whole);
    scene.call(&["hold", "list"]).run().refused(1, &["a hold's name"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let scene = Scene::with_repository("zstd");
    for name in ["", "a b", "../a", "a/b", "ä", &"a".repeat(65)] {
        add(&scene, name, &["--from", "0/1"]).run().code(2);
    }
    for from in ["0/", "00000001000000000000003", "yesterday", ""] {
        add(&scene, "a", &["--from", from]).run().code(2);
    }
    for until in ["", "2026-02-30", "tomorrow", "2026-01-01T00:00:00", "1969-01-01"] {
        add(&scene, "a", &["--from", "0/1", "--until", until]).run().code(2);
    }
    add(&scene, "a", &[]).run().code(2);
    add(&scene, "a", &["--from", "0/1", "--backup-label", "x"]).run().code(2);
    scene
        .call(&["hold", "add", "a", "--from", "0/1", "--reason", " \n"])
        .run()
        .refused(1, &["the reason is empty"]);
    scene.call(&["hold", "list"]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    assert_eq!(listed(&scene), Vec::<Value>::new());
}

#[test]
fn as_the_superuser_nothing_is_held_in_another_users_repository() {
    let scene = Scene::with_repository("zstd");
    add(&scene, "a", &["--from", "0/1"]).run().prints(&[]);
    scene.give_away("repo");
    add(&scene, "b", &["--from", "0/1"]).run().refused(1, &["this is the superuser"]);
    scene.call(&["hold", "remove", "a"]).run().refused(1, &["this is the superuser"]);
    assert_eq!(listed(&scene).len(), 1);
}
