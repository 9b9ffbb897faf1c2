//! Adoption: an archive that other tools filled becomes a repository where it lies.

use std::fs;

use crate::support::*;

const TOOLS: [(&str, &str, &str); 4] = [
    ("cp", "", "plain files"),
    ("gzip", ".gz", "gzip files"),
    ("zstd", ".zst", "zstd files"),
    ("lz4", ".lz4", "lz4 files"),
];

/// An archive that a tool filled with all fixture segments, a history and a base backup's.
fn filled_by(tool_name: &str) -> Scene {
    let scene = Scene::new();
    let repo = scene.path("repo");
    fs::create_dir(&repo).unwrap();
    for name in SEGMENTS {
        put_with(tool_name, &repo, name, &segment(name));
    }
    put_with(tool_name, &repo, HISTORY.0, &fixture(HISTORY.1));
    put_with(tool_name, &repo, BACKUP.0, &fixture(BACKUP.1));
    scene
}

/// What is known of the files that are not walkeep's own.
fn strangers(scene: &Scene) -> Vec<(String, u32, u64, i64, i64, Vec<u8>)> {
    let mut files = scene.snapshot("repo");
    files.retain(|(name, ..)| !name.starts_with(".walkeep/") && !name.ends_with(".sha256"));
    files
}

#[test]
fn an_archive_of_any_tool_is_adopted_in_place() {
    for (tool_name, _, found_as) in TOOLS {
        let scene = filled_by(tool_name);
        let before = strangers(&scene);
        let bound = format!("system identifier {SYSTEM}, segments of 1 MiB");
        let found = format!("7 {found_as}");
        let report = scene.call(&["init"]).run().prints(&["is adopted as a repository.", &bound, &found]);
        assert!(!report.stdout.contains("left alone"), "{}", report.stdout);
        assert!(strangers(&scene) == before, "{tool_name}");
        for name in SEGMENTS {
            scene.restore(name).silent_success();
            assert!(scene.delivered() == Some(segment(name)));
        }
        scene.restore(HISTORY.0).silent_success();
        assert!(scene.delivered() == Some(fixture(HISTORY.1)));
        assert!(strangers(&scene) == before, "{tool_name}");
    }
}

#[test]
fn an_adopted_name_is_stored_already_and_a_plain_one_gets_its_digest() {
    for (tool_name, suffix, _) in TOOLS {
        for compress in ["zstd", "none"] {
            let scene = filled_by(tool_name);
            scene.init(compress);
            let before = strangers(&scene);
            scene.offer_segments(&SEGMENTS);
            scene.offer(HISTORY.0, fixture(HISTORY.1));
            for name in [SEGMENT, SEGMENTS[4], HISTORY.0] {
                scene.archive(name).silent_success();
                scene.archive(name).silent_success();
                let digest = scene.path(format!("repo/{name}.sha256"));
                assert_eq!(digest.exists(), suffix.is_empty(), "{tool_name} {name}");
            }
            assert!(strangers(&scene) == before, "{tool_name} {compress}");
            if suffix.is_empty() {
                let script = format!("cd '{}' && sha256sum -c --strict *.sha256", scene.shown("repo"));
                tool("sh", &["-c".as_ref(), script.as_ref()]);
            }
        }
    }
}

#[test]
fn an_adopted_name_with_other_content_is_refused() {
    for (tool_name, suffix, _) in TOOLS {
        let scene = filled_by(tool_name);
        scene.init("zstd");
        let before = scene.snapshot("repo");
        let mut other = segment(SEGMENT);
        other[MIB / 2 + 100] ^= 0xFF;
        scene.offer(SEGMENT, &other);
        let file = format!("'{}{suffix}' holds other content", scene.shown(&format!("repo/{SEGMENT}")));
        let says = [
            &*file,
            "diverged from",
            "by a tool other than walkeep",
            &sha256(&other),
            &sha256(&segment(SEGMENT)),
        ];
        scene.archive(SEGMENT).refused(1, &says);
        assert!(scene.snapshot("repo") == before, "{tool_name}");
    }
}

#[test]
fn a_mixed_archive_is_adopted_and_new_files_take_the_repositorys_form() {
    let scene = Scene::new();
    let repo = scene.path("repo");
    fs::create_dir(&repo).unwrap();
    for ((tool_name, ..), name) in TOOLS.iter().zip(SEGMENTS) {
        put_with(tool_name, &repo, name, &segment(name));
    }
    scene.write("repo/README", "written by hand");
    let report = scene.call(&["init", "-D", "."]).run();
    report.prints(&["1 plain files", "1 gzip files", "1 zstd files", "1 lz4 files", "left alone  'README'"]);
    scene.store_segments(&[SEGMENTS[4]]);
    assert!(repo.join(format!("{}.zst", SEGMENTS[4])).exists());
    for name in SEGMENTS {
        scene.restore(name).silent_success();
        assert!(scene.delivered() == Some(segment(name)));
    }
    assert_eq!(scene.read("repo/README"), b"written by hand");
}

#[test]
fn the_newest_segment_tells_whose_the_archive_is() {
    let scene = Scene::new();
    let repo = scene.path("repo");
    fs::create_dir(&repo).unwrap();
    put_with("cp", &repo, SEGMENT, &of_system(segment(SEGMENT), OTHER_SYSTEM));
    put_with("gzip", &repo, SEGMENTS[4], &segment(SEGMENTS[4]));
    let report = scene.call(&["init", "-o", "json"]).run().json();
    assert_eq!(report["system_identifier"], SYSTEM.to_string());
    assert_eq!(report["segment_size_bytes"], MIB);
    assert_eq!(report["adopted"]["plain_files"], 1);
    assert_eq!(report["adopted"]["gzip_files"], 1);
}

#[test]
fn an_archive_of_another_cluster_is_refused() {
    let scene = filled_by("gzip");
    scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
    let before = scene.snapshot("repo");
    let data = scene.shown("data");
    let says = format!("the repository belongs to system identifier {SYSTEM}, '{data}' is {OTHER_SYSTEM}");
    scene.call(&["init", "-D", "."]).run().refused(1, &[&says]);
    assert!(scene.snapshot("repo") == before);
}

#[test]
fn an_archive_whose_newest_segment_is_damaged_is_refused() {
    let scene = filled_by("cp");
    scene.write(format!("repo/{}", SEGMENTS[4]), "cut");
    let before = scene.snapshot("repo");
    let says = ["cannot tell which cluster the stored segment '", SEGMENTS[4], "is damaged", "hint: "];
    scene.call(&["init"]).run().refused(1, &says);
    assert!(scene.snapshot("repo") == before);
}

#[test]
fn a_second_init_changes_nothing_and_another_form_is_refused() {
    for first in ["filled", "empty"] {
        let scene = if first == "filled" { filled_by("cp") } else { Scene::new() };
        scene.init("none");
        let before = scene.snapshot("repo");
        scene
            .call(&["init", "-D", "."])
            .run()
            .prints(&["is a repository already.", "plain files, each with its .sha256"]);
        let other = scene.call(&["init", "--compress", "zstd:3"]).run();
        other.refused(1, &["the repository stores segments as plain files, not as zstd", "hint: "]);
        assert!(scene.snapshot("repo") == before);
    }
}

#[test]
fn init_prints_the_lines_for_the_servers_configuration() {
    let scene = Scene::new();
    scene.configure("port = 5432\n");
    let repo = scene.shown("repo");
    let report = scene.call(&["init", "-D", "."]).run().prints(&[
        "archive_mode = 'on'",
        &format!("walkeep archive %p --repo {repo}'"),
        &format!("walkeep restore %f %p --repo {repo}'"),
    ]);
    // The line does what it says: the server replaces %p, and has no environment of ours.
    let line =
        report.stdout.lines().find_map(|line| line.trim().strip_prefix("archive_command = '")).unwrap();
    let command = line.trim_end_matches('\'').replace("%p", &format!("pg_wal/{SEGMENT}"));
    scene.offer_segments(&[SEGMENT]);
    let status = std::process::Command::new("sh")
        .args(["-c", &command])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(scene.path("data"))
        .status();
    assert!(status.unwrap().success());
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
}

// ---- digests and what is told

#[test]
fn adopting_says_what_is_there_and_gives_plain_files_their_digests() {
    let scene = filled_by("cp");
    let outcome = scene.call(&["init"]).run().prints(&[
        &format!("timeline    1: {}..{}", SEGMENTS[0], SEGMENTS[4]),
        "backups     1 base backups, by their .backup files",
        "digests     written for 7 plain files",
    ]);
    assert!(!outcome.stdout.contains("gaps"), "{}", outcome.stdout);
    let script = format!("cd '{}' && sha256sum -c --strict *.sha256", scene.shown("repo"));
    assert_eq!(String::from_utf8(tool("sh", &["-c".as_ref(), script.as_ref()])).unwrap().lines().count(), 7);
    let again = scene.call(&["init"]).run().prints(&[]);
    assert!(!again.stdout.contains("digests"), "{}", again.stdout);
}

#[test]
fn what_is_not_whole_gets_no_digest_and_is_named() {
    let scene = filled_by("cp");
    let segment_cut = &segment(SEGMENTS[1])[..MIB / 2];
    scene.write(format!("repo/{}", SEGMENTS[1]), segment_cut);
    scene.write(format!("repo/{}", SEGMENTS[2]), segment(SEGMENTS[1]));
    let report = scene.call(&["init", "-o", "json"]).run().json();
    assert_eq!(report["digests_written"], 5);
    let names: Vec<&str> =
        report["not_whole"].as_array().unwrap().iter().map(|told| told["name"].as_str().unwrap()).collect();
    assert_eq!(names, [SEGMENTS[1], SEGMENTS[2]]);
    for name in names {
        assert!(!scene.path(format!("repo/{name}.sha256")).exists());
    }
    scene.call(&["init"]).run().prints(&["not whole   2 files are not whole, and have none;"]);
}

#[test]
fn adopting_without_digests_reads_and_writes_none_and_the_next_init_does() {
    let scene = filled_by("cp");
    let left_out = "digests     left out for 7 plain files; the next init writes them";
    scene.call(&["init", "--no-digests"]).run().prints(&[left_out]);
    assert!(!scene.stored().iter().any(|name| name.ends_with(".sha256")));
    scene.call(&["init"]).run().prints(&["written for 7 plain files"]);
}

#[test]
fn a_gap_in_an_adopted_archive_is_told() {
    let scene = filled_by("cp");
    scene.remove(format!("repo/{}", SEGMENTS[2]));
    scene.call(&["init"]).run().tells("with a gap; 'walkeep verify' names it");
}
