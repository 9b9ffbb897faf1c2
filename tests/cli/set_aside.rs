//! `set-aside`: the way out of a refusal, taken by a person, with a reason.

use std::fs;

use crate::support::*;

fn set_aside(scene: &Scene, name: &str) -> Outcome {
    scene.call(&["set-aside", name, "--reason", "written by the old primary"]).run()
}

/// The names in the folder of files that were set aside, their time cut off.
fn aside(scene: &Scene) -> Vec<String> {
    let names = scene.listing("repo/.walkeep/set-aside");
    names.iter().map(|name| name.split_once("Z").unwrap().1.to_owned()).collect()
}

#[test]
fn a_stored_file_is_moved_with_its_reason_and_its_name_is_free_again() {
    for (compress, suffix) in [("zstd", ".zst"), ("none", "")] {
        let scene = Scene::with_repository(compress);
        scene.store(SEGMENT, cut_in_zeros(segment(SEGMENT), MIB / 2));
        scene.offer_segments(&[SEGMENT]);
        scene
            .archive(SEGMENT)
            .refused(1, &[&format!("'walkeep set-aside {SEGMENT} --repo DIR --reason TEXT'")]);

        let moved = scene.read(format!("repo/{SEGMENT}{suffix}"));
        let report = set_aside(&scene, SEGMENT).prints(&[&format!("'{SEGMENT}' is set aside; it lies at '")]);
        let now_at = report.stdout.split('\'').nth(3).unwrap().to_owned();
        assert!(fs::read(&now_at).unwrap() == moved);
        let reason: serde_json::Value =
            serde_json::from_slice(&fs::read(format!("{now_at}.reason.json")).unwrap()).unwrap();
        assert_eq!(reason["reason"], "written by the old primary");
        assert_eq!(reason["name"], format!("{SEGMENT}{suffix}"));
        assert_eq!(reason["node"], "node1");
        assert!(reason["set_aside_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(scene.stored(), [""; 0], "{compress}");
        let mut expected = vec![format!("-{SEGMENT}{suffix}"), format!("-{SEGMENT}{suffix}.reason.json")];
        if compress == "none" {
            expected.push(format!("-{SEGMENT}.sha256"));
        }
        expected.sort();
        assert_eq!(aside(&scene), expected);

        scene.archive(SEGMENT).silent_success();
        scene.restore(SEGMENT).silent_success();
        assert!(scene.delivered() == Some(segment(SEGMENT)));
    }
}

#[test]
fn a_file_that_is_set_aside_is_not_found_any_more() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    set_aside(&scene, &format!("{SEGMENT}.zst")).prints(&[]);
    scene.restore(SEGMENT).silent(1);
    set_aside(&scene, SEGMENT).refused(1, &[&format!("'{SEGMENT}' is not stored in the repository")]);
}

#[test]
fn two_files_of_one_name_are_set_aside_one_after_the_other() {
    let scene = Scene::with_repository("zstd");
    for _ in 0..3 {
        scene.store_segments(&[SEGMENT]);
        set_aside(&scene, SEGMENT).prints(&[]);
    }
    let files = scene.listing("repo/.walkeep/set-aside");
    assert_eq!(files.iter().filter(|name| name.ends_with(".zst")).count(), 3, "{files:?}");
    assert_eq!(files.len(), 6, "{files:?}");
}

#[test]
fn a_file_in_several_forms_needs_its_exact_name() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    put_with("gzip", &scene.path("repo"), SEGMENT, &segment(SEGMENT));
    let before = scene.snapshot("repo");
    let several = format!("'{SEGMENT}' is stored in several forms: '{SEGMENT}.zst', '{SEGMENT}.gz'");
    set_aside(&scene, SEGMENT).refused(1, &[&several, "hint: Name the stored file, with its ending."]);
    set_aside(&scene, &format!("{SEGMENT}.lz4")).refused(1, &["is not stored in the repository"]);
    assert!(scene.snapshot("repo") == before);
    set_aside(&scene, &format!("{SEGMENT}.gz")).prints(&[]);
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
}

#[test]
fn a_plain_file_beside_another_form_can_be_set_aside() {
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    scene.store_segments(&[SEGMENT]);
    put_with("cp", &scene.path("repo"), SEGMENT, &cut_in_zeros(segment(SEGMENT), MIB / 2));
    scene.restore(SEGMENT).refused(255, &["another form of"]);
    set_aside(&scene, &format!("{SEGMENT}.zst")).prints(&[]);
    set_aside(&scene, SEGMENT).prints(&[]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    let before = scene.snapshot("repo");
    for name in [
        "repository.json",
        ".walkeep/repository.json",
        "../data/PG_VERSION",
        "",
        "x",
        "000000010000000000000ffd",
    ] {
        set_aside(&scene, name).refused(1, &["is not the name of a WAL file or of a stored one"]);
    }
    set_aside(&scene, SEGMENTS[1]).refused(1, &["is not stored in the repository"]);
    for reason in ["", "  \n"] {
        scene
            .call(&["set-aside", SEGMENT, "--reason", reason])
            .run()
            .refused(1, &["the reason is empty", "hint: "]);
    }
    scene.call(&["set-aside", SEGMENT]).run().refused(2, &["--reason"]);
    scene.call(&["set-aside", "--reason", "x"]).run().refused(2, &["NAME"]);
    scene
        .call(&["set-aside", SEGMENT, "--reason", "x"])
        .without("WALKEEP_REPO")
        .run()
        .refused(2, &["no repository is named"]);
    let nowhere = scene.call(&["set-aside", SEGMENT, "--reason", "x", "--repo", "/not/there"]).run();
    nowhere.refused(1, &["'/not/there' is not a walkeep repository"]);
    assert!(scene.snapshot("repo") == before);
}

#[test]
fn a_machine_reads_where_the_file_lies() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    let report = scene.call(&["set-aside", SEGMENT, "--reason", "x", "-o", "json"]).run().json();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["name"], SEGMENT);
    assert!(fs::exists(report["set_aside_as"].as_str().unwrap()).unwrap());
}

#[test]
fn a_timeline_is_set_aside_whole_or_from_a_segment_on() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.store("00000002.history", "1\t0/FFE80000\tx\n");
    for number in [0xFFE, 0xFFF] {
        scene.store(&name_of(2, number), segment_as(2, number));
    }
    let call = |more: &[&str]| {
        let args = [&["set-aside", "--timeline", "2", "--reason", "a false promotion"], more].concat();
        scene.call(&args).run()
    };
    call(&["--from", &name_of(2, 0x1000)]).refused(1, &["no such file of timeline 2 is stored"]);
    call(&["--from", SEGMENT]).refused(1, &[&format!("'{SEGMENT}' is no segment of timeline 2")]);
    let second = name_of(2, 0xFFF);
    let report = call(&["--from", &second, "-o", "json"]).json();
    assert_eq!(report["files"].as_array().unwrap().len(), 1);
    assert_eq!(report["name"], second);
    // What is left goes with its history, and that goes first.
    let report = call(&[]).prints(&["'00000002.history' is set aside"]);
    assert!(report.stdout.starts_with("'00000002.history'"), "{}", report.stdout);
    assert_eq!(report.stdout.lines().count(), 2, "{}", report.stdout);
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
    call(&[]).refused(1, &["no such file of timeline 2 is stored"]);
    scene.make_recovery();
    scene.restore("00000002.history").silent(1);
}

#[test]
fn what_a_later_timeline_needs_is_not_set_aside_with_its_timeline() {
    let scene = Scene::with_repository("zstd");
    scene.store("00000002.history", "1\t0/FFE80000\tx\n");
    for number in [0xFFE, 0xFFF] {
        scene.store(&name_of(2, number), segment_as(2, number));
    }
    scene.store("00000003.history", "1\t0/FFE80000\tx\n2\t0/FFE90000\tx\n");
    let before = scene.snapshot("repo");
    let call = |more: &[&str]| scene.call(&[&["set-aside", "--reason", "x"], more].concat()).run();
    let needed = ["timeline 3 left timeline 2 at 0/FFE90000", "--timeline 3"];
    call(&["--timeline", "2"]).refused(1, &needed);
    call(&["--timeline", "2", "--from", &name_of(2, 0xFFE)]).refused(1, &needed);
    assert!(scene.snapshot("repo") == before);
    call(&["--timeline", "2", "--from", &name_of(2, 0xFFF)]).prints(&[]);
    call(&["--timeline", "3"]).prints(&[]);
    call(&["--timeline", "2"]).prints(&[]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn a_timeline_is_a_number() {
    let scene = Scene::with_repository("zstd");
    for number in ["0", "x", "00000000", "4294967296"] {
        let args = ["set-aside", "--timeline", number, "--reason", "x"];
        scene.call(&args).run().refused(2, &["--timeline"]);
    }
    scene.call(&["set-aside", SEGMENT, "--timeline", "2", "--reason", "x"]).run().refused(2, &["--timeline"]);
    scene.call(&["set-aside", SEGMENT, "--from", SEGMENT, "--reason", "x"]).run().refused(2, &["--from"]);
    scene.call(&["set-aside", "--from", SEGMENT, "--reason", "x"]).run().refused(2, &["--timeline"]);
}
