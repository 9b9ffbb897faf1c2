//! `verify`: what is sound is told from what is damaged, missing, or could not be read; what was read is not
//! read again before its time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::*;

/// A repository with the five fixture segments, a history and a base backup's.
fn filled(compress: &str) -> Scene {
    let scene = Scene::with_repository(compress);
    scene.store_segments(&SEGMENTS);
    scene
}

impl Scene {
    fn verify(&self, more: &[&str]) -> Outcome {
        self.call(&["verify"]).args(more).run()
    }

    /// The JSON report, and the exit code that came with it.
    fn verified(&self, more: &[&str], code: i32) -> serde_json::Value {
        let outcome = self.verify(more_json(more).as_slice()).code(code);
        serde_json::from_str(&outcome.stdout).expect("standard output is one JSON object")
    }

    /// What lies below `.walkeep/verified`.
    fn mark_files(&self) -> Vec<String> {
        let names = self.listing("repo");
        names.into_iter().filter(|name| name.starts_with(".walkeep/verified/0")).collect()
    }

    /// Changes the times in all marks.
    fn change_marks(&self, change: impl Fn(u64) -> u64) {
        for file in self.mark_files() {
            let path = format!("repo/{file}");
            let mut marks: serde_json::Value = serde_json::from_slice(&self.read(&path)).unwrap();
            for mark in marks["marks"].as_object_mut().unwrap().values_mut() {
                mark["verified_at_s"] = change(mark["verified_at_s"].as_u64().unwrap()).into();
            }
            self.write(path, marks.to_string());
        }
    }

    fn flip(&self, below: &str, at: usize) {
        let mut bytes = self.read(below);
        bytes[at] ^= 0x40;
        self.write(below, bytes);
    }
}

fn more_json<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["-o", "json"], more].concat()
}

fn findings<'r>(report: &'r serde_json::Value, kind: &str) -> Vec<&'r serde_json::Value> {
    report["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == kind).collect()
}

/// The ranges that are missing, with what that means.
fn gaps(report: &serde_json::Value) -> Vec<(String, String, String)> {
    let timelines = report["timelines"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let gaps = timelines.flat_map(|timeline| timeline["gaps"].as_array().unwrap().clone());
    gaps.map(|gap| (text(&gap["from"]), text(&gap["to"]), text(&gap["kind"]))).collect()
}

#[test]
fn a_sound_repository_is_told_as_sound_with_everything_in_it() {
    for (compress, form) in [("zstd", "zstd"), ("none", "plain")] {
        let scene = filled(compress);
        let fifth = segment(SEGMENTS[4]);
        scene.store(&format!("{}.partial", name_of(1, 4098)), {
            let mut partial = fifth.clone();
            partial[8..16].copy_from_slice(&(4098 * MIB as u64).to_le_bytes());
            partial
        });
        let report = scene.verified(&[], 0);
        assert_eq!(report["verdict"], "sound");
        assert_eq!(report["schema"], 1);
        assert_eq!(report["system_identifier"], SYSTEM.to_string());
        assert_eq!(report["segment_size_bytes"], MIB);
        let files = report["files"].as_array().unwrap();
        assert_eq!(files.len(), 2, "{report}");
        assert_eq!((&files[0]["kind"], &files[0]["form"]), (&"segment".into(), &form.into()));
        assert_eq!(files[0]["original_bytes"], 5 * MIB);
        assert_eq!(report["total"]["files"], 6);
        let [timeline] = report["timelines"].as_array().unwrap().as_slice() else { panic!("{report}") };
        assert_eq!((&timeline["first"], &timeline["last"]), (&SEGMENTS[0].into(), &SEGMENTS[4].into()));
        assert_eq!(timeline["ranges"][0]["segments"], 5);
        let text = scene.verify(&[]).prints(&["everything is sound", "5 files", SEGMENTS[0], SEGMENTS[4]]);
        assert!(text.stdout.starts_with(&scene.shown("repo")), "{text:?}");
    }
}

#[test]
fn an_empty_repository_is_sound() {
    let scene = Scene::with_repository("zstd");
    scene.verify(&[]).prints(&["everything is sound"]);
    let unbound = Scene::new();
    unbound.call(&["init"]).without("WALKEEP_PGDATA").cwd(unbound.path("elsewhere")).run().prints(&[]);
    unbound.verify(&[]).prints(&["everything is sound"]);
}

#[test]
fn gaps_are_told_though_nothing_says_yet_whose_the_repository_is() {
    let scene = Scene::new();
    scene.call(&["init"]).cwd(scene.path("elsewhere")).run().prints(&[]);
    for name in [SEGMENTS[0], SEGMENTS[2]] {
        scene.write(format!("repo/{name}"), segment(name));
    }
    for read in [2, 0] {
        let report = scene.verified(&[], 1);
        assert_eq!(report["read"]["files"], read);
        assert_eq!(gaps(&report), [(SEGMENTS[1].to_owned(), SEGMENTS[1].to_owned(), "unknown".to_owned())]);
    }
}

#[test]
fn every_kind_of_damage_is_told_with_the_file() {
    let other_system = || of_system(segment(SEGMENT), OTHER_SYSTEM);
    type Breakage = (&'static str, &'static str, &'static str, Box<dyn Fn(&Scene)>);
    let plain = format!("repo/{SEGMENT}");
    let zstd = format!("{plain}.zst");
    let sidecar = format!("{plain}.sha256");
    let (p, z) = (plain.clone(), zstd.clone());
    let (p2, z2, s2) = (plain.clone(), zstd.clone(), sidecar.clone());
    let (p3, z3, s3, s4) = (plain.clone(), zstd.clone(), sidecar.clone(), sidecar.clone());
    let p4 = plain.clone();
    let breakages: [Breakage; 10] = [
        ("a flipped byte, packed", "zstd", ".zst", Box::new(move |scene| scene.flip(&z, 70_000))),
        ("a flipped byte, plain", "none", "", Box::new(move |scene| scene.flip(&p, 500_000))),
        (
            "another name",
            "zstd",
            ".zst",
            Box::new(move |scene| {
                fs::copy(scene.path(format!("repo/{}.zst", SEGMENTS[1])), scene.path(&z2)).unwrap();
            }),
        ),
        (
            "another name, plain",
            "none",
            "",
            Box::new(move |scene| {
                scene.write(&p2, segment(SEGMENTS[1]));
                scene.remove(&s2);
            }),
        ),
        (
            "cut, packed",
            "zstd",
            ".zst",
            Box::new(move |scene| {
                let whole = scene.read(&z3);
                scene.write(&z3, &whole[..whole.len() / 2]);
            }),
        ),
        (
            "cut, plain",
            "none",
            "",
            Box::new(move |scene| {
                scene.write(&p3, &segment(SEGMENT)[..MIB / 2]);
                scene.remove(&s3);
            }),
        ),
        (
            "empty",
            "none",
            "",
            Box::new({
                let plain = plain.clone();
                move |scene| drop(scene.write(&plain, ""))
            }),
        ),
        (
            "of another system",
            "none",
            "",
            Box::new(move |scene| {
                scene.write(&p4, other_system());
                scene.remove(format!("repo/{SEGMENT}.sha256"));
            }),
        ),
        (
            "another digest",
            "none",
            "",
            Box::new(move |scene| {
                scene.write(&s4, format!("{}  {SEGMENT}\n", sha256(b"other")));
            }),
        ),
        (
            "two forms that differ",
            "zstd",
            ".zst",
            Box::new(|scene| {
                let mut other = segment(SEGMENT);
                other[MIB / 2] ^= 1;
                scene.write(format!("repo/{SEGMENT}"), other);
            }),
        ),
    ];
    for (what, compress, _, break_it) in breakages {
        let scene = filled(compress);
        scene.verified(&[], 0);
        break_it(&scene);
        let report = scene.verified(&[], 1);
        assert_eq!(report["verdict"], "findings", "{what}");
        let damaged = findings(&report, "damaged");
        assert_eq!(damaged.len(), 1, "{what}: {report}");
        let file = damaged[0]["file"].as_str().unwrap();
        assert!(file.starts_with(&scene.shown(&format!("repo/{SEGMENT}"))), "{what}: {file}");
        let text = scene.verify(&[]).code(1);
        assert!(text.stdout.contains("NOT sound") && text.stdout.contains(file), "{what}: {text:?}");
        assert!(text.stdout.contains("set-aside NAME"), "{what}");
    }
}

#[test]
fn a_link_or_a_folder_under_the_name_of_a_segment_is_damage() {
    let scene = filled("zstd");
    std::os::unix::fs::symlink("/etc/hostname", scene.path(format!("repo/{}", name_of(1, 9)))).unwrap();
    fs::create_dir(scene.path(format!("repo/{}.zst", name_of(1, 10)))).unwrap();
    let report = scene.verified(&[], 1);
    assert_eq!(findings(&report, "damaged").len(), 2, "{report}");
}

#[test]
fn a_plain_file_without_its_digest_is_no_damage_and_a_digest_without_its_file_is_only_told() {
    let scene = filled("none");
    scene.remove(format!("repo/{SEGMENT}.sha256"));
    scene.write(format!("repo/{}.sha256", name_of(1, 9)), "orphan");
    let report = scene.verified(&[], 0);
    assert_eq!(
        report["orphan_digests"],
        serde_json::json!([scene.shown(&format!("repo/{}.sha256", name_of(1, 9)))])
    );
}

#[test]
fn names_that_are_not_ours_are_told_once_and_never_touched() {
    let scene = filled("zstd");
    for name in ["README", "a", "b", "c", "000000010000000000000001.bz2"] {
        scene.write(format!("repo/{name}"), "by hand");
    }
    let before = scene.snapshot("repo");
    let report = scene.verified(&[], 0);
    assert_eq!(report["foreign_count"], 5);
    let mut after = scene.snapshot("repo");
    after.retain(|(name, ..)| !name.starts_with(".walkeep/verified/"));
    assert!(before == after);
    let text = scene.verify(&[]).prints(&["left alone", "5 names"]);
    assert_eq!(text.stdout.matches("left alone").count(), 1);
}

#[test]
fn a_gap_is_told_until_somebody_acknowledged_it() {
    let scene = filled("zstd");
    scene.remove(format!("repo/{}.zst", SEGMENTS[1]));
    scene.remove(format!("repo/{}.zst", SEGMENTS[2]));
    let range = |kind: &str| vec![(SEGMENTS[1].to_owned(), SEGMENTS[2].to_owned(), kind.to_owned())];
    let report = scene.verified(&[], 1);
    assert_eq!(gaps(&report), range("unknown"));
    let told = format!("{}..{} (2 segments) is missing", SEGMENTS[1], SEGMENTS[2]);
    scene.verify(&[]).code(1).tells(&told);

    let known = |from: &str, to: &str| {
        format!(
            r#"{{"gaps":[{{"from":"{from}","to":"{to}","reason":"rm -rf","acknowledged_at":"2026-01-02T03:04:05Z","node":"node1"}}]}}"#
        )
    };
    scene.write("repo/.walkeep/known-gaps.json", known(SEGMENTS[1], SEGMENTS[1]));
    assert_eq!(gaps(&scene.verified(&[], 1)).len(), 2, "known in part");
    scene.write("repo/.walkeep/known-gaps.json", known(SEGMENTS[1], SEGMENTS[2]));
    let report = scene.verified(&[], 0);
    assert_eq!(gaps(&report), range("known"));
    assert_eq!(report["known_gaps"][0]["reason"], "rm -rf");
    scene.verify(&[]).prints(&["known gap", "rm -rf", "2026-01-02T03:04:05Z"]);

    scene.write("repo/.walkeep/known-gaps.json", "{");
    scene.verify(&[]).refused(2, &["known-gaps.json"]);
}

/// The segments of a chain of timelines, the forks within a segment.
fn forked() -> Scene {
    let scene = Scene::with_repository("zstd");
    for (timeline, numbers) in [(1, 10..12), (2, 12..14), (3, 14..16)] {
        for number in numbers {
            scene.store(&name_of(timeline, number), segment_as(timeline, number));
        }
    }
    let switch = |number: u64| format!("0/{:X}", number * MIB as u64 + 0x123);
    scene.store("00000002.history", format!("1\t{}\tx\n", switch(12)));
    scene.store("00000003.history", format!("1\t{}\tx\n2\t{}\tx\n", switch(12), switch(14)));
    scene
}

#[test]
fn a_chain_of_timelines_is_whole_up_to_each_fork() {
    let scene = forked();
    let report = scene.verified(&[], 0);
    assert_eq!(report["histories"], serde_json::json!([2, 3]));
    // What a dead primary had written behind the fork, and was salvaged with a hole.
    scene.store(&name_of(1, 15), segment_as(1, 15));
    let report = scene.verified(&[], 0);
    assert_eq!(gaps(&report), [(name_of(1, 12), name_of(1, 14), "behind_fork".to_owned())]);
    for missing in [name_of(1, 11), name_of(2, 12), name_of(2, 13), name_of(3, 14)] {
        let path = scene.path(format!("repo/{missing}.zst"));
        let aside = scene.path("elsewhere/aside");
        fs::rename(&path, &aside).unwrap();
        let report = scene.verified(&[], 1);
        let unknown: Vec<_> = gaps(&report).into_iter().filter(|(.., kind)| kind == "unknown").collect();
        assert_eq!(unknown, [(missing.clone(), missing, "unknown".to_owned())]);
        fs::rename(&aside, &path).unwrap();
    }
    scene.verified(&[], 0);
}

#[test]
fn histories_that_contradict_each_other_are_damage_that_names_both() {
    let scene = forked();
    let switch = format!("1\t0/{:X}\tx\n", 12 * MIB + 0x124);
    scene.write("repo/00000002.history", &switch);
    scene.write("repo/00000002.history.sha256", format!("{}  00000002.history\n", sha256(switch.as_bytes())));
    let report = scene.verified(&[], 1);
    let [found] = findings(&report, "contradiction")[..] else { panic!("{report}") };
    assert_eq!(
        (&found["one"]["history"], &found["other"]["history"]),
        (&"00000002.history".into(), &"00000003.history".into())
    );
    let outcome = scene.verify(&[]).code(1);
    outcome.tells("'00000002.history' says");
    outcome.tells("'00000003.history' says");
}

#[test]
fn a_history_that_is_missing_or_damaged_is_told() {
    let scene = forked();
    scene.remove("repo/00000002.history");
    let report = scene.verified(&[], 1);
    assert_eq!(findings(&report, "no_history")[0]["timeline"], 2);
    scene.write("repo/00000002.history", "1\tnowhere\tx\n");
    let report = scene.verified(&[], 1);
    assert_eq!(findings(&report, "damaged").len(), 1, "{report}");
    assert_eq!(findings(&report, "no_history").len(), 0, "{report}");
}

#[test]
fn an_archive_that_began_on_a_later_timeline_is_sound_without_that_timelines_history() {
    let scene = Scene::with_repository("zstd");
    scene.store(&name_of(9, 20), segment_as(9, 20));
    let outcome = scene.verify(&[]).code(0);
    outcome.says(&["the archive begins on timeline 9 and does not have its history"]);
}

#[test]
fn what_was_read_is_not_read_again_and_what_was_touched_is() {
    for compress in ["zstd", "none"] {
        let scene = filled(compress);
        let suffix = if compress == "zstd" { ".zst" } else { "" };
        let report = scene.verified(&[], 0);
        assert_eq!((&report["read"]["files"], &report["from_marks"]["files"]), (&5.into(), &0.into()));
        assert_eq!(scene.mark_files().len(), 2, "one file for each log");
        let again = scene.verified(&[], 0);
        assert_eq!((&again["read"]["files"], &again["from_marks"]["files"]), (&0.into(), &5.into()));
        assert_eq!(again["total"], report["total"]);

        tool("touch", &[scene.path(format!("repo/{SEGMENT}{suffix}")).as_ref()]);
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 1);
        assert_eq!(scene.verified(&["--full"], 0)["read"]["files"], 5);
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 0);
    }
}

#[test]
fn damage_is_told_again_each_time() {
    let scene = filled("zstd");
    scene.flip(&format!("repo/{SEGMENT}.zst"), 70_000);
    for _ in 0..3 {
        assert_eq!(findings(&scene.verified(&[], 1), "damaged").len(), 1);
    }
}

/// What the file system tells of a file, as its mark has it.
fn bring_up_to_date(scene: &Scene, file: &str) {
    let meta = fs::metadata(scene.path(format!("repo/{file}"))).unwrap();
    let path = "repo/.walkeep/verified/0000000100000000.json";
    let mut marks: serde_json::Value = serde_json::from_slice(&scene.read(path)).unwrap();
    let mark = &mut marks["marks"][file];
    mark["mtime_ns"] = (meta.mtime() * 1_000_000_000 + meta.mtime_nsec()).into();
    mark["changed_ns"] = (meta.ctime() * 1_000_000_000 + meta.ctime_nsec()).into();
    scene.write(path, marks.to_string());
}

#[test]
fn bits_that_a_medium_loses_are_found_when_the_file_is_read_again_and_told_from_then_on() {
    for (compress, suffix, at) in [("zstd", ".zst", 70_000), ("none", "", 500_000)] {
        let scene = filled(compress);
        // As another tool would have left it: without a digest of its own.
        let _ = fs::remove_file(scene.path(format!("repo/{SEGMENT}.sha256")));
        scene.verified(&[], 0);
        let file = format!("{SEGMENT}{suffix}");
        scene.flip(&format!("repo/{file}"), at);
        bring_up_to_date(&scene, &file);
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 0, "nothing shows it yet");
        for more in [&["--full"][..], &[], &[], &["--full"]] {
            let report = scene.verified(more, 1);
            assert_eq!(findings(&report, "damaged").len(), 1, "{compress} {more:?}: {report}");
        }
    }
}

#[test]
fn marks_expire_and_marks_of_the_future_do_not_count() {
    const DAY: u64 = 86_400;
    let scene = filled("zstd");
    scene.verified(&[], 0);
    scene.change_marks(|at| at - 29 * DAY);
    assert_eq!(scene.verified(&[], 0)["read"]["files"], 0);
    scene.change_marks(|at| at - 2 * DAY);
    assert_eq!(scene.verified(&[], 0)["read"]["files"], 5);
    assert_eq!(scene.verified(&[], 0)["read"]["files"], 0);
    scene.change_marks(|at| at + DAY);
    assert_eq!(scene.verified(&[], 0)["read"]["files"], 5);
}

#[test]
fn marks_that_make_no_sense_only_cost_a_reading() {
    let scene = filled("zstd");
    scene.verified(&[], 0);
    for junk in ["", "{}", "{\"marks\":[]}", "\0\0"] {
        for file in scene.mark_files() {
            scene.write(format!("repo/{file}"), junk);
        }
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 5, "{junk}");
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 0);
    }
}

#[test]
fn marks_of_files_that_are_gone_go_as_well() {
    let scene = filled("zstd");
    scene.verified(&[], 0);
    for name in &SEGMENTS[..3] {
        scene.remove(format!("repo/{name}.zst"));
    }
    scene.verified(&[], 0);
    assert_eq!(scene.mark_files(), [".walkeep/verified/0000000100000001.json"]);
}

#[test]
fn an_adopted_archive_of_any_tool_is_verified_and_its_damage_found() {
    for (tool_name, suffix) in [("cp", ""), ("gzip", ".gz"), ("zstd", ".zst"), ("lz4", ".lz4")] {
        let scene = Scene::new();
        fs::create_dir(scene.path("repo")).unwrap();
        for name in SEGMENTS {
            put_with(tool_name, &scene.path("repo"), name, &segment(name));
        }
        scene.init("zstd");
        assert_eq!(scene.verified(&[], 0)["read"]["files"], 5, "{tool_name}");
        assert_eq!(scene.verified(&[], 0)["from_marks"]["files"], 5, "{tool_name}");
        let file = format!("repo/{SEGMENT}{suffix}");
        let whole = scene.read(&file);
        scene.write(&file, &whole[..whole.len() / 2]);
        let report = scene.verified(&[], 1);
        assert_eq!(findings(&report, "damaged")[0]["file"], scene.shown(&file), "{tool_name}");
    }
}

#[test]
fn two_forms_that_agree_are_sound() {
    let scene = filled("zstd");
    scene.write(format!("repo/{SEGMENT}"), segment(SEGMENT));
    assert_eq!(scene.verified(&[], 0)["read"]["files"], 6);
    assert_eq!(scene.verified(&[], 0)["from_marks"]["files"], 6);
}

#[test]
fn where_the_repository_was_is_never_an_empty_archive() {
    let scene = Scene::new();
    scene.verify(&[]).refused(2, &["is not a walkeep repository"]);
    fs::create_dir(scene.path("repo")).unwrap();
    scene.verify(&[]).refused(2, &["is not a walkeep repository", "Is its file system mounted?"]);
    scene.call(&["verify"]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    scene.verify(&["--budget", "fast"]).refused(2, &["is not a rate"]);
    scene.verify(&["--jobs", "0"]).refused(2, &["is not a number from 1"]);
}

#[test]
fn a_file_that_cannot_be_read_is_neither_sound_nor_damaged() {
    let scene = filled("zstd");
    scene.give_away("repo");
    scene.call_as_nobody(&["verify"]).run().prints(&["everything is sound"]);
    let file = format!("repo/{SEGMENT}.zst");
    tool("touch", &[scene.path(&file).as_ref()]);
    tool("chown", &["root:root".as_ref(), scene.path(&file).as_ref()]);
    fs::set_permissions(scene.path(&file), fs::Permissions::from_mode(0o600)).unwrap();
    let outcome = scene.call_as_nobody(&["verify", "-o", "json"]).run().code(2);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["verdict"], "cannot_tell");
    assert_eq!(findings(&report, "unreadable").len(), 1);
    assert_eq!(findings(&report, "damaged").len(), 0);
    // What is surely wrong is told with the exit code of that.
    scene.flip(&format!("repo/{}.zst", SEGMENTS[1]), 70_000);
    scene.call_as_nobody(&["verify"]).run().code(1);
}

#[test]
fn a_repository_that_cannot_be_written_is_verified_without_marks() {
    let scene = filled("zstd");
    let disk = SmallDisk::mount(scene.path("small"), "size=32m");
    tool("cp", &["-a".as_ref(), scene.path("repo").as_ref(), scene.path("small/repo").as_ref()]);
    disk.remount("ro");
    for _ in 0..2 {
        let outcome =
            scene.call(&["verify", "-o", "json"]).env("WALKEEP_REPO", scene.path("small/repo")).run();
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(report["read"]["files"], 5);
        outcome.code(0).says(&["warning: what was read cannot be remembered", "Read-only file system"]);
    }
}

#[test]
fn root_leaves_no_marks_in_another_users_repository() {
    let scene = filled("zstd");
    scene.give_away("repo");
    let before = scene.snapshot("repo");
    scene.verify(&[]).code(0).says(&["warning: this is the superuser", "what was read is not remembered"]);
    assert!(scene.snapshot("repo") == before);
}

#[test]
fn what_a_server_takes_for_archived_and_is_not_stored_is_found() {
    let scene = filled("zstd");
    // Received by a standby that was promoted: done, though the dead primary never archived it.
    scene.write(format!("data/pg_wal/{}", name_of(1, 4098)), segment_as(1, 4098));
    scene.write(format!("data/pg_wal/archive_status/{}.done", name_of(1, 4098)), "");
    // No status, but the segment after it was begun.
    scene.write(format!("data/pg_wal/{}", name_of(1, 4099)), segment_as(1, 4099));
    // The open tail.
    scene.write(format!("data/pg_wal/{}", name_of(1, 4100)), segment_as(1, 4100));
    // Waiting, stored, older than the archive, and not ours.
    scene.offer(&name_of(1, 4097 + 100), segment_as(1, 4097 + 100));
    scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT));
    scene.write(format!("data/pg_wal/archive_status/{SEGMENT}.done"), "");
    scene.write(format!("data/pg_wal/{}", name_of(1, 5)), segment_as(1, 5));
    scene.write(format!("data/pg_wal/archive_status/{}.done", name_of(1, 5)), "");
    scene.write("data/pg_wal/xlogtemp.42", "x");
    scene.write("data/pg_wal/00000002.history", fixture(HISTORY.1));

    let before = scene.snapshot("data");
    let report = scene.verified(&["-D", "."], 1);
    let names: Vec<_> = findings(&report, "not_stored").iter().map(|found| found["name"].clone()).collect();
    assert_eq!(names, ["00000002.history", &name_of(1, 4098), &name_of(1, 4099)], "{report}");
    let comparison = &report["comparison"];
    for (what, count) in [("same", 1), ("pending", 1), ("older", 1), ("open", 1)] {
        assert_eq!(comparison[what], count, "{what}: {report}");
    }
    let text = scene.verify(&["-D", "."]).code(1).stdout;
    assert!(text.contains(&format!("marked done but not stored: '{}'", name_of(1, 4098))), "{text}");
    assert!(text.contains("walkeep drain --missing"), "{text}");
    assert!(scene.snapshot("data") == before);

    // Only where it is typed: a server's environment asks for nothing.
    scene.call(&["verify"]).env("PGDATA", scene.path("data")).run().code(0);
}

#[test]
fn the_segment_that_a_standby_left_for_a_new_timeline_is_not_missed() {
    let scene = filled("zstd");
    scene.write("repo/00000002.history", format!("1\t{:X}/{:X}\tx\n", 1, 2 * MIB + 0x123));
    for timeline in [1, 2] {
        scene.write(format!("data/pg_wal/{}", name_of(timeline, 4098)), segment_as(timeline, 4098));
        scene.write(format!("data/pg_wal/archive_status/{}.done", name_of(timeline, 4098)), "");
    }
    let report = scene.verified(&["-D", "."], 1);
    let names: Vec<_> = findings(&report, "not_stored").iter().map(|found| found["name"].clone()).collect();
    assert_eq!(names, [name_of(2, 4098)], "{report}");
    scene.call(&["drain", "--missing"]).run().prints(&["1 file"]);
    assert_eq!(scene.verified(&["-D", "."], 0)["comparison"]["open"], 1);
}

#[test]
fn what_a_server_holds_with_other_content_is_found_with_both_digests() {
    let scene = filled("zstd");
    let mut other = segment(SEGMENT);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.offer(SEGMENT, &other);
    let report = scene.verified(&["-D", "."], 1);
    let [found] = findings(&report, "other_content")[..] else { panic!("{report}") };
    assert_eq!(found["stored"]["sha256"], sha256(&segment(SEGMENT)));
    assert_eq!(found["found"]["sha256"], sha256(&other));
    let text = scene.verify(&["-D", "."]).code(1).stdout;
    assert!(text.contains(&sha256(&other)) && text.contains("diverged from"), "{text}");
}

#[test]
fn the_data_directory_of_another_cluster_is_not_compared() {
    let scene = filled("zstd");
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    scene.verify(&["-D", "../other"]).refused(2, &["the repository belongs to system identifier"]);
    scene.verify(&["-D", "../elsewhere"]).refused(2, &["cannot use"]);
}

#[test]
fn a_budget_and_any_number_of_jobs_change_no_verdict() {
    let scene = filled("zstd");
    for more in [&["--full", "--jobs", "1"][..], &["--full", "-j", "16"], &["--full", "--budget", "1GiB/s"]] {
        assert_eq!(scene.verified(more, 0)["read"]["files"], 5);
    }
    scene.call(&["verify", "--full"]).env("WALKEEP_JOBS", "3").run().code(0);
    scene.call(&["verify"]).env("WALKEEP_JOBS", "many").run().refused(2, &["WALKEEP_JOBS", "'many'"]);
}
