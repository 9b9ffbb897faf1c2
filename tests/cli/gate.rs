//! `gate`: the verdict before a switchover, in every format, from files alone.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::*;

/// A scene whose server archives with walkeep, with nothing wrong.
fn healthy() -> Scene {
    let scene = Scene::with_repository("zstd");
    configure(&scene, "archive_mode = on\narchive_command = 'walkeep archive %p --repo /archive'\n");
    scene.store_segments(&SEGMENTS[..1]);
    scene
}

fn configure(scene: &Scene, conf: &str) {
    scene.write("data/postgresql.conf", conf);
}

/// Status files alone, with WAL files that nobody reads.
fn pend(scene: &Scene, files: u64) {
    for number in 0..files {
        scene.offer(&name_of(1, 0xA00 + number), "");
    }
}

fn gate(scene: &Scene, args: &[&str]) -> Outcome {
    scene.call(&["gate"]).args(args).run()
}

/// Exited so, and printed exactly that.
#[track_caller]
fn says(outcome: Outcome, code: i32, stdout: &str) {
    assert_eq!((outcome.code, &*outcome.stdout, &*outcome.stderr), (Some(code), stdout, ""), "{outcome:#?}");
}

/// The verdict, and what was found by its key.
#[track_caller]
fn found(scene: &Scene, args: &[&str]) -> (String, Vec<String>) {
    let outcome = gate(scene, &[&["-o", "json"], args].concat());
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
    let verdict = report["verdict"].as_str().unwrap().to_owned();
    let code = ["OK", "WARNING", "CRITICAL", "UNKNOWN"].iter().position(|word| *word == verdict).unwrap();
    assert_eq!(outcome.code, Some(code as i32), "{outcome:#?}");
    let keys = report["findings"].as_array().unwrap().iter().map(|finding| finding["key"].as_str().unwrap());
    (verdict, keys.map(str::to_owned).collect())
}

#[track_caller]
fn finds(scene: &Scene, args: &[&str], verdict: &str, keys: &[&str]) {
    assert_eq!(found(scene, args), (verdict.to_owned(), keys.iter().map(ToString::to_string).collect()));
}

fn age(scene: &Scene, below: &str, by: Duration) {
    let file = File::options().append(true).open(scene.path(below)).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

// ---- the count

#[test]
fn the_count_alone_is_judged_and_written_exactly_as_repmgr_does() {
    for (files, code, status, threshold, word) in [
        (0, 0, "OK", "", "OK"),
        (12, 0, "OK", "", "OK"),
        (16, 0, "OK", "", "OK"),
        (17, 1, "WARNING", " --threshold=16", "WARNING"),
        (128, 1, "WARNING", " --threshold=16", "WARNING"),
        (129, 2, "CRITICAL", " --threshold=128", "CRITICAL"),
        (134, 2, "CRITICAL", " --threshold=128", "CRITICAL"),
    ] {
        let scene = Scene::new();
        pend(&scene, files);
        let line = format!("--status={status} --files={files}{threshold}\n");
        says(gate(&scene, &["--count-only", "-o", "repmgr"]), code, &line);
        let line = format!(
            "REPMGR_ARCHIVE_READY {word}: {files} pending archive ready files | files={files};16;128\n"
        );
        says(gate(&scene, &["--count-only", "-o", "nagios"]), code, &line);
    }
}

#[test]
fn every_file_that_ends_in_ready_counts_and_nothing_else() {
    let scene = Scene::new();
    pend(&scene, 2);
    for name in ["00000002.history.ready", "junk.ready", ".ready", "000000010000000000000A00.done", "ready"] {
        scene.write(format!("data/pg_wal/archive_status/{name}"), "");
    }
    fs::create_dir(scene.path("data/pg_wal/archive_status/directory.ready")).unwrap();
    symlink("nowhere", scene.path("data/pg_wal/archive_status/link.ready")).unwrap();
    // Also a link that leads nowhere, as tests/servers/repmgr.rs shows.
    says(gate(&scene, &["--count-only", "-o", "repmgr"]), 0, "--status=OK --files=6\n");
}

#[test]
fn thresholds_are_given_as_flags_or_in_the_config_file() {
    let scene = Scene::new();
    pend(&scene, 3);
    let config = scene.write("walkeep.toml", "[gate]\nwarning = 1\ncritical = 2\n");
    let call = |args: &[&str]| scene.call(&["gate", "--count-only", "-o", "repmgr"]).args(args);
    says(call(&["--warning", "2"]).run(), 1, "--status=WARNING --files=3 --threshold=2\n");
    let with_config = |args| call(args).env("WALKEEP_CONFIG", &config).run();
    says(with_config(&[]), 2, "--status=CRITICAL --files=3 --threshold=2\n");
    says(with_config(&["--critical", "5"]), 1, "--status=WARNING --files=3 --threshold=1\n");
    let backwards = call(&["--warning", "9", "--critical", "9"]).run();
    assert_eq!((backwards.code, &*backwards.stdout), (Some(3), "--status=UNKNOWN \n"));
}

#[test]
fn a_finding_beside_the_count_closes_the_gate_without_a_threshold() {
    let scene = healthy();
    configure(&scene, "archive_mode = on\narchive_command = 'exit 0'\n");
    scene.offer_segments(&SEGMENTS[1..2]);
    says(gate(&scene, &["-o", "repmgr"]), 2, "--status=CRITICAL --files=1\n");
    let nagios = gate(&scene, &["-o", "nagios"]);
    assert_eq!(nagios.code, Some(2));
    assert!(
        nagios.stdout.starts_with("WALKEEP_GATE CRITICAL: 1 pending archive ready files, "),
        "{nagios:#?}"
    );
    assert!(nagios.stdout.contains(" | files=1;16;128 bytes=1048576B oldest="), "{nagios:#?}");
    assert_eq!(nagios.stdout.lines().count(), 1);
}

// ---- what people read

#[test]
fn a_healthy_node_is_ok_in_every_format() {
    let scene = healthy();
    let text = gate(&scene, &[]).prints(&["gate: OK, PostgreSQL 10+ (15)", "queue: nothing is pending\n"]);
    assert!(!text.stdout.contains('\x1b'), "no colour where no terminal is: {text:#?}");
    finds(&scene, &[], "OK", &[]);
    says(gate(&scene, &["-o", "repmgr"]), 0, "--status=OK --files=0\n");
    let report = gate(&scene, &["-o", "json"]).json();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["cluster"]["system_identifier"], SYSTEM.to_string());
    assert_eq!(report["queue"]["ready_files"], 0);
}

#[test]
fn each_finding_says_what_why_and_what_to_do_next() {
    let scene = Scene::new();
    pend(&scene, 134);
    configure(&scene, "\narchive_mode = on\n");
    let outcome = gate(&scene, &[]).code(2);
    let conf = scene.shown("data/postgresql.conf");
    for text in [
        "gate: CRITICAL, ".to_owned(),
        "queue: 134 pending (134 segments), 134.00 MiB; first 000000010000000000000A00".to_owned(),
        format!("CRITICAL: archive_mode is on ({conf}:2) and archive_command is empty"),
        "  why:  Every finished segment becomes pending, and nothing archives it.".to_owned(),
        "CRITICAL: 134 files are pending, more than 128".to_owned(),
        "  next: Archive everything now: walkeep drain".to_owned(),
    ] {
        outcome.tells(&text);
    }
}

#[test]
fn nothing_is_written_anywhere() {
    let scene = healthy();
    scene.offer_segments(&SEGMENTS[..3]);
    let before = (scene.snapshot("data"), scene.snapshot("repo"));
    for args in [&["-o", "json"][..], &["--final"], &["--count-only"], &["--wait", "1s"]] {
        drop(gate(&scene, args));
    }
    assert!(before == (scene.snapshot("data"), scene.snapshot("repo")));
}

// ---- the queue

#[test]
fn orphans_close_the_gate_and_their_range_is_named() {
    let scene = healthy();
    scene.offer_segments(&SEGMENTS[..4]);
    for name in &SEGMENTS[..4] {
        scene.remove(format!("data/pg_wal/{name}"));
    }
    finds(&scene, &[], "CRITICAL", &["orphans", "orphans_stored"]);
    let outcome = gate(&scene, &[]).code(2);
    let lost =
        format!("3 pending files are gone from the WAL directory; lost: {}..{}", SEGMENTS[1], SEGMENTS[3]);
    outcome.tells(&lost);
    let without = scene.call(&["gate"]).without("WALKEEP_REPO").run().code(2);
    let lost =
        format!("4 pending files are gone from the WAL directory; lost: {}..{}", SEGMENTS[0], SEGMENTS[3]);
    without.tells(&lost);
}

#[test]
fn orphans_that_the_repository_has_close_nothing() {
    let scene = healthy();
    scene.write(format!("data/pg_wal/archive_status/{SEGMENT}.ready"), "");
    finds(&scene, &[], "WARNING", &["orphans_stored"]);
}

#[test]
fn a_head_that_has_not_moved_is_stuck_though_few_files_are_pending() {
    let scene = healthy();
    scene.offer_segments(&SEGMENTS[1..2]);
    finds(&scene, &[], "OK", &[]);
    age(
        &scene,
        &format!("data/pg_wal/archive_status/{}.ready", SEGMENTS[1]),
        Duration::from_secs(21 * 86_400),
    );
    finds(&scene, &[], "CRITICAL", &["stuck"]);
    let outcome = gate(&scene, &[]).code(2);
    outcome.tells(&format!("{}, has not moved for 21 d 0 h", SEGMENTS[1]));
    finds(&scene, &["--stuck-after", "30d"], "OK", &[]);
    // Something else was just marked done: it moves.
    scene.write(format!("data/pg_wal/archive_status/{SEGMENT}.done"), "");
    finds(&scene, &[], "OK", &[]);
}

#[test]
fn a_head_that_is_stored_with_other_content_closes_the_gate() {
    let scene = healthy();
    scene.offer(SEGMENT, segment(SEGMENT));
    finds(&scene, &[], "OK", &[]);
    let mut other = segment(SEGMENT);
    other[10_000] ^= 1;
    scene.offer(SEGMENT, other);
    finds(&scene, &[], "CRITICAL", &["head_conflict"]);
}

// ---- the configuration

#[test]
fn a_command_that_does_nothing_is_named_with_file_and_line_also_where_it_is_hidden() {
    let scene = healthy();
    configure(&scene, "archive_mode = on\n# kept\narchive_command = 'exit 0'\n");
    finds(&scene, &[], "CRITICAL", &["no_op_archive_command"]);
    configure(&scene, "archive_mode = on\narchive_command = 'exit 0'\ninclude_if_exists = 'es_rep.conf'\n");
    scene.write("data/es_rep.conf", "archive_command = 'walkeep archive %p --repo /archive'\n");
    finds(&scene, &[], "WARNING", &["hidden_no_op_archive_command"]);
    let outcome = gate(&scene, &[]).code(1);
    let place = format!("archive_command = 'exit 0' is hidden behind a later line ({}:2)", {
        scene.shown("data/postgresql.conf")
    });
    outcome.tells(&place);
}

#[test]
fn a_configuration_that_cannot_be_read_is_unknown_and_never_ok() {
    let scene = healthy();
    configure(&scene, "archive_mode = on\ninclude 'loop.conf'\n");
    scene.write("data/loop.conf", "include 'postgresql.conf'\narchive_command = 'walkeep archive %p'\n");
    finds(&scene, &[], "WARNING", &["configuration"]);
    let conf = File::create(scene.path("data/postgresql.conf")).unwrap();
    conf.set_len(1 << 30).unwrap();
    let (verdict, keys) = found(&scene, &[]);
    assert_eq!((verdict.as_str(), keys.first().map(String::as_str)), ("UNKNOWN", Some("configuration")));
    scene.remove("data/postgresql.conf");
    let (verdict, _) = found(&scene, &[]);
    assert_eq!(verdict, "UNKNOWN");
    says(gate(&scene, &["--count-only", "-o", "repmgr"]), 0, "--status=OK --files=0\n");
}

// ---- the repository

#[test]
fn a_repository_that_is_not_there_or_of_another_cluster_closes_the_gate() {
    let scene = healthy();
    let with = |repo: &str| scene.call(&["gate", "-o", "json", "--repo"]).arg(scene.path(repo)).run().code(2);
    for (repo, key) in [("nowhere", "repository_unusable"), ("elsewhere", "repository_unusable")] {
        assert!(with(repo).stdout.contains(key));
    }
    scene.data_directory("data2", "15", &control_file_of(OTHER_SYSTEM));
    scene.write("data2/postgresql.conf", "");
    let other = scene.call(&["gate", "-o", "json", "-D"]).arg(scene.path("data2")).run().code(2);
    assert!(other.stdout.contains("repository_of_another_cluster"), "{other:#?}");
}

#[test]
fn a_repository_without_space_closes_the_gate() {
    let scene = healthy();
    finds(&scene, &["--min-free", "1000TiB"], "CRITICAL", &["low_space"]);
}

#[test]
fn a_repository_that_this_user_cannot_write_closes_the_gate() {
    let scene = healthy();
    scene.give_away("data");
    fs::set_permissions(scene.path("data"), Permissions::from_mode(0o700)).unwrap();
    for dir in [".", ".walkeep", ".walkeep/staging"] {
        fs::set_permissions(scene.path("repo").join(dir), Permissions::from_mode(0o755)).unwrap();
    }
    for file in [format!("{SEGMENT}.zst"), ".walkeep/repository.json".into(), ".walkeep/identity.json".into()]
    {
        fs::set_permissions(scene.path("repo").join(file), Permissions::from_mode(0o644)).unwrap();
    }
    let outcome = scene.call_as_nobody(&["gate", "-o", "json"]).run().code(2);
    assert!(outcome.stdout.contains("repository_unwritable"), "{outcome:#?}");
}

#[test]
fn a_gap_behind_the_known_start_closes_the_gate_and_one_before_it_does_not() {
    let scene = healthy();
    scene.store_segments(&SEGMENTS[2..4]);
    finds(&scene, &[], "CRITICAL", &["gaps"]);
    let outcome = gate(&scene, &[]).code(2);
    assert!(outcome.stdout.contains(&format!("the repository has gaps: {}", SEGMENTS[1])), "{outcome:#?}");
    scene.write(format!("data/pg_wal/archive_status/{}.done", SEGMENTS[3]), "");
    let lost = ["drain", "--reason", "a disk", "--acknowledge-lost", SEGMENTS[1]];
    scene.call(&lost).run().code(0);
    finds(&scene, &[], "WARNING", &["known_gaps"]);
    scene.store(&format!("{}.00000028.backup", SEGMENTS[2]), fixture(BACKUP.1));
    finds(&scene, &[], "OK", &[]);
}

#[test]
fn a_gap_that_only_waits_in_the_queue_is_none() {
    let scene = healthy();
    scene.store_segments(&SEGMENTS[2..4]);
    scene.offer_segments(&SEGMENTS[1..2]);
    finds(&scene, &[], "OK", &[]);
}

/// Names in the repository: what a gap is judged by.
fn store_names(scene: &Scene, timeline: u32, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        scene.write(format!("repo/{}.zst", name_of(timeline, number)), "");
    }
}

/// The second timeline left the first one within that segment.
fn fork_at(scene: &Scene, number: u64) {
    let switch = number * MIB as u64 + 0x123;
    scene.write("repo/00000002.history", format!("1\t{:X}/{:X}\tx\n", switch >> 32, switch as u32));
}

/// Of the second timeline, with its last checkpoint there.
fn on_second_timeline(lsn: u64) -> Vec<u8> {
    let mut bytes = shut_down_at(lsn);
    bytes[48..52].copy_from_slice(&2_u32.to_le_bytes());
    bytes[52..56].copy_from_slice(&2_u32.to_le_bytes());
    seal(&mut bytes, 288);
    bytes
}

#[test]
fn a_recovery_to_before_the_newest_backup_is_judged_by_its_own_timelines() {
    let scene = healthy();
    // SEGMENTS[3] is 0x1000; the newest backup began on what the recovery left behind.
    store_names(&scene, 1, 0x1000..=0x1006);
    scene.write(format!("repo/{}.00000028.backup", name_of(1, 0x1000)), "");
    scene.write(format!("repo/{}.00000028.backup", name_of(1, 0x1005)), "");
    fork_at(&scene, 0x1003);
    store_names(&scene, 2, 0x1003..=0x1004);
    store_names(&scene, 2, 0x1006..=0x1006);
    scene.write("data/global/pg_control", on_second_timeline(0x1007 * MIB as u64 + 0x28));
    finds(&scene, &[], "CRITICAL", &["gaps"]);
    finds(&scene, &["--final"], "CRITICAL", &["gaps", "missing_before_end"]);
    let outcome = gate(&scene, &[]).code(2);
    let text = format!("gaps: {}\n", name_of(2, 0x1005));
    outcome.tells(&text);
    store_names(&scene, 2, 0x1005..=0x1005);
    finds(&scene, &["--final"], "OK", &[]);
}

#[test]
fn what_was_acknowledged_as_lost_is_told_where_the_end_is_proven() {
    let scene = healthy();
    store_names(&scene, 1, 0xFFF..=0xFFF);
    scene.write("data/pg_wal/archive_status/000000010000000000000FFF.done", "");
    let range = format!("{0}..{0}", SEGMENTS[1]);
    let args = ["drain", "--acknowledge-lost", &range, "--reason", "a test"];
    scene.call(&args).run().prints(&["acknowledged as lost"]);
    scene.write("data/global/pg_control", shut_down_at((1_u64 << 32) + 0x28));
    let outcome = gate(&scene, &["--final"]).code(1);
    outcome.tells("but for what was acknowledged as lost");
}

#[test]
fn the_end_of_an_old_primary_is_not_proven_by_what_its_successor_stored() {
    let scene = healthy();
    fork_at(&scene, 0x1001);
    store_names(&scene, 1, 0xFFE..=0x1002);
    store_names(&scene, 2, 0x1001..=0x1009);
    scene.write(format!("repo/{}.00000028.backup", name_of(2, 0x1008)), "");
    scene.write("data/global/pg_control", shut_down_at(0x1004 * MIB as u64 + 0x28));
    let end = |verdict, keys: &[&str]| finds(&scene, &["--final"], verdict, keys);
    end("CRITICAL", &["missing_before_end"]);
    store_names(&scene, 1, 0x1003..=0x1003);
    end("OK", &[]);
}

#[test]
fn a_finished_segment_that_is_neither_queued_nor_stored_closes_the_gate() {
    let scene = healthy();
    for name in &SEGMENTS[1..3] {
        scene.write(format!("data/pg_wal/{name}"), segment(name));
    }
    // The last of them is still being written.
    finds(&scene, &[], "CRITICAL", &["unqueued"]);
    let outcome = gate(&scene, &[]).code(2);
    let text = format!("finished segments are neither queued nor stored: {}\n", SEGMENTS[1]);
    outcome.tells(&text);
}

#[test]
fn what_is_marked_done_and_not_stored_closes_the_gate_until_it_is() {
    let scene = healthy();
    for name in &SEGMENTS[..3] {
        scene.write(format!("data/pg_wal/{name}"), segment(name));
        scene.write(format!("data/pg_wal/archive_status/{name}.done"), "");
    }
    finds(&scene, &[], "CRITICAL", &["only_marked"]);
    let text = format!("marked done, and are not stored: {}..{}\n", SEGMENTS[1], SEGMENTS[2]);
    gate(&scene, &[]).tells(&text);
    // A standby marks what it streams.
    scene.make_standby();
    finds(&scene, &[], "OK", &[]);
    scene.remove("data/standby.signal");
    let _ = scene.call(&["drain", "--missing"]).run().code(0);
    finds(&scene, &[], "OK", &[]);
    // What was lost and acknowledged is known, and is told as that.
    scene.write(format!("data/pg_wal/archive_status/{}.done", SEGMENTS[4]), "");
    finds(&scene, &[], "CRITICAL", &["only_marked"]);
    let lost = format!("{0}..{0}", SEGMENTS[4]);
    let _ = scene.call(&["drain", "--acknowledge-lost", &lost, "--reason", "removed by hand"]).run();
    finds(&scene, &[], "WARNING", &["known_gaps"]);
    // What is older than the archive is none of its business.
    scene.write(format!("data/pg_wal/archive_status/{}.done", name_of(1, 0xF00)), "");
    finds(&scene, &[], "WARNING", &["known_gaps"]);
}

#[test]
fn the_mark_of_a_segment_that_goes_on_on_the_next_timeline_is_none() {
    let scene = healthy();
    for name in [SEGMENTS[1].to_owned(), name_of(2, 0xFFE)] {
        scene.write(format!("data/pg_wal/{name}"), "");
    }
    scene.write(format!("data/pg_wal/archive_status/{}.done", SEGMENTS[1]), "");
    finds(&scene, &[], "OK", &[]);
    scene.remove(format!("data/pg_wal/{}", name_of(2, 0xFFE)));
    finds(&scene, &[], "CRITICAL", &["only_marked"]);
}

#[test]
fn a_repository_that_hangs_is_unknown_in_bounded_time_in_every_format() {
    let scene = healthy();
    let state = scene.shown("repo/.walkeep/repository.json");
    for (format, stdout) in [
        ("repmgr", "--status=UNKNOWN \n"),
        ("nagios", "WALKEEP_GATE UNKNOWN: no end after 1s"),
        ("json", "\"verdict\":\"UNKNOWN\""),
    ] {
        let args = ["gate", "-o", format, "--timeout", "1s"];
        let outcome = scene.run_hanging(&state, &args).code(3).says(&["no end after 1s"]);
        assert!(outcome.stdout.contains(stdout), "{outcome:#?}");
    }
}

// ---- hostile input

#[test]
fn what_cannot_be_looked_at_is_unknown() {
    let scene = healthy();
    let nowhere = scene.call(&["gate", "-o", "repmgr", "-D", "/nowhere"]).run();
    assert_eq!((nowhere.code, &*nowhere.stdout), (Some(3), "--status=UNKNOWN \n"), "{nowhere:#?}");
    let mut control = control_file_of(SYSTEM);
    control[40] ^= 1;
    scene.write("data/global/pg_control", control);
    let (verdict, keys) = found(&scene, &[]);
    assert_eq!((verdict.as_str(), keys), ("UNKNOWN", vec!["not_known".to_owned()]));
    says(gate(&scene, &["--count-only", "-o", "repmgr"]), 0, "--status=OK --files=0\n");
}

#[test]
fn a_queue_that_cannot_be_read_is_unknown() {
    let scene = healthy();
    scene.give_away("data");
    scene.give_away("repo");
    fs::set_permissions(scene.path("data/pg_wal/archive_status"), Permissions::from_mode(0o000)).unwrap();
    let outcome = scene.call_as_nobody(&["gate", "-o", "repmgr"]).run();
    assert_eq!((outcome.code, &*outcome.stdout), (Some(3), "--status=UNKNOWN \n"), "{outcome:#?}");
    let outcome = scene.call_as_nobody(&["gate", "--count-only", "-o", "repmgr"]).run();
    assert_eq!((outcome.code, &*outcome.stdout), (Some(3), "--status=UNKNOWN \n"), "{outcome:#?}");
}

#[test]
fn junk_among_the_status_files_and_slots_panics_nobody() {
    let scene = healthy();
    let status = scene.path("data/pg_wal/archive_status");
    fs::create_dir(status.join(format!("{SEGMENT}.ready"))).unwrap();
    fs::create_dir(status.join("x.done")).unwrap();
    File::create(status.join(std::ffi::OsStr::from_bytes(b"\xff\xfe.ready"))).unwrap();
    File::create(status.join("A".repeat(200) + ".ready")).unwrap();
    scene.write("data/pg_replslot/s1/state", "junk");
    scene.write("data/pg_replslot/file", "junk");
    let (verdict, keys) = found(&scene, &[]);
    assert_eq!((verdict.as_str(), keys), ("UNKNOWN", vec!["unreadable_slot".to_owned()]));
}

#[test]
fn a_slot_that_stands_still_is_told_and_a_running_backups_temporary_one_is_not() {
    let scene = healthy();
    for (name, state, keys) in [
        ("bb_tmp", "15-debian/tempslots/slot_bb_tmp.after_checkpoint.state", &[][..]),
        ("phys_reserved", "15/running/slot_phys_reserved.state", &["inactive_slot"]),
    ] {
        let state = scene.write(format!("data/pg_replslot/{name}/state"), fixture(state));
        File::options().append(true).open(state).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        finds(&scene, &[], if keys.is_empty() { "OK" } else { "WARNING" }, keys);
    }
}

#[test]
fn a_usage_error_is_unknown_and_never_a_warning() {
    let scene = healthy();
    for args in [&["--warning", "x"][..], &["--nonsense"], &["-o", "csv"], &["--count-only", "--final"]] {
        gate(&scene, args).refused(3, &["error: "]);
    }
    let config = scene.write("walkeep.toml", "[gate]\nwarn = 1\n");
    let outcome = scene.call(&["gate"]).env("WALKEEP_CONFIG", config).run();
    outcome.refused(3, &["unknown key 'gate.warn'", "Is 'gate.warning' meant?"]);
    scene.call(&["inspect", "x", "-o", "nagios"]).run().refused(2, &["only gate writes nagios"]);
}

// ---- waiting

#[test]
fn waiting_ends_as_soon_as_nothing_is_wrong() {
    let scene = healthy();
    scene.offer_segments(&SEGMENTS[1..2]);
    let data = scene.shown("data");
    let thresholds = ["--warning", "0", "--critical", "9"];
    let args = [&["gate", "-D", &data, "--wait", "7d"], &thresholds[..]].concat();
    let looks = ["-P", &scene.shown("data/global/pg_control"), "-e", "trace=open,openat"];
    let waiting = scene.call_under_strace(&looks, &args).spawn();
    let looked = || scene.read_if_there("strace.out").unwrap_or_default().len();
    until("it has looked", || looked() > 0);
    // Whatever it has seen by now, it has found something wrong and looks again.
    let before = looked();
    until("it looks again", || looked() > before);
    scene.archive(SEGMENTS[1]).silent_success();
    let status = |suffix: &str| scene.path(format!("data/pg_wal/archive_status/{}.{suffix}", SEGMENTS[1]));
    fs::rename(status("ready"), status("done")).unwrap();
    waiting.end().prints(&["gate: OK"]);
}

#[test]
fn waiting_ends_when_its_time_is_up_with_the_verdict_of_then() {
    let scene = healthy();
    scene.offer_segments(&SEGMENTS[1..2]);
    let args = ["--warning", "0", "--critical", "9", "--wait", "1s", "-o", "repmgr"];
    says(gate(&scene, &args), 1, "--status=WARNING --files=1 --threshold=0\n");
}

// ---- the end of a node that was shut down

/// The control file after a shutdown whose checkpoint lies there.
fn shut_down_at(lsn: u64) -> Vec<u8> {
    let mut bytes = control_file_of(SYSTEM);
    bytes[16] = 1;
    bytes[32..40].copy_from_slice(&lsn.to_le_bytes());
    bytes[40..48].copy_from_slice(&lsn.to_le_bytes());
    seal(&mut bytes, 288);
    bytes
}

#[test]
fn a_server_without_room_for_its_next_segment_is_no_node_to_switch_from() {
    let scene = healthy();
    let wal = scene.path("data/pg_wal");
    let disk = SmallDisk::mount(wal.clone(), "size=2m,mode=700");
    fs::create_dir(wal.join("archive_status")).unwrap();
    gate(&scene, &[]).code(0);
    disk.remount("size=1020k");
    finds(&scene, &[], "CRITICAL", &["wal_directory_full"]);
    gate(&scene, &[]).tells("less than one segment");
}

#[test]
fn the_end_of_a_node_is_proven_by_its_control_file_and_by_what_is_stored() {
    let scene = healthy();
    // SEGMENTS[3] is 0x1_00000000.
    let end = (1_u64 << 32) + 0x28;
    finds(&scene, &["--final"], "CRITICAL", &["end_not_proven"]);
    gate(&scene, &["--final"]).tells("next: Unless another node was promoted: start it,");
    scene.write("data/global/pg_control", shut_down_at(end));
    finds(&scene, &["--final"], "CRITICAL", &["missing_before_end"]);
    let outcome = gate(&scene, &["--final"]).code(2);
    let missing =
        format!("segments before the end of the WAL are not stored: {}..{}", SEGMENTS[1], SEGMENTS[2]);
    outcome.tells(&missing);
    scene.store_segments(&SEGMENTS[1..3]);
    gate(&scene, &["--final"])
        .prints(&["gate: OK", "proven: everything that this node wrote before its end"]);
    scene.write("data/global/pg_control", shut_down_at(end + 0x40));
    finds(&scene, &["--final"], "CRITICAL", &["end_not_proven"]);
    scene.write("data/global/pg_control", shut_down_at(end));
    let without = scene.call(&["gate", "--final", "-o", "repmgr"]).without("WALKEEP_REPO").run();
    says(without, 3, "--status=UNKNOWN \n");
}
