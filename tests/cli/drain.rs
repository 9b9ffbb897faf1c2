//! `drain`: everything pending, durable in the repository; marks only after that, and in order.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

fn drain(scene: &Scene, args: &[&str]) -> Outcome {
    scene.call(&[&["drain"], args].concat()).run()
}

/// The JSON report of a call that ended with this code.
#[track_caller]
fn report(scene: &Scene, args: &[&str], code: i32) -> serde_json::Value {
    let outcome = drain(scene, &[args, &["-o", "json"]].concat()).code(code);
    assert_eq!(outcome.stderr, "", "{outcome:#?}");
    serde_json::from_str(&outcome.stdout).expect("standard output is one JSON object")
}

fn statuses(scene: &Scene) -> Vec<String> {
    scene.listing("data/pg_wal/archive_status")
}

fn marked(names: &[&str], suffix: &str) -> Vec<String> {
    names.iter().map(|name| format!("{name}{suffix}")).collect()
}

/// A segment whose WAL file is gone while its mark stands.
fn orphan(scene: &Scene, name: &str) {
    scene.write(format!("data/pg_wal/archive_status/{name}.ready"), "");
}

fn zst(names: &[&str]) -> Vec<String> {
    marked(names, ".zst")
}

#[test]
fn everything_pending_is_stored_and_nothing_is_marked() {
    for (compress, jobs) in [("zstd", "1"), ("zstd", "3"), ("none", "2")] {
        let scene = Scene::with_repository(compress);
        scene.offer_segments(&SEGMENTS);
        scene.offer(HISTORY.0, fixture(HISTORY.1));
        scene.offer(BACKUP.0, fixture(BACKUP.1));
        let before = scene.snapshot("data");
        drain(&scene, &["-j", jobs]).prints(&[
            "Everything that was pending",
            "archived now",
            "7 files, 5.00 MiB",
        ]);
        assert!(scene.snapshot("data") == before, "the data directory is as it was");
        for name in SEGMENTS {
            scene.restore(name).silent_success();
            assert!(scene.delivered() == Some(segment(name)), "{name}");
        }
        assert!(
            scene.stored().contains(&HISTORY.0.to_owned()) && scene.stored().contains(&BACKUP.0.to_owned())
        );
        // The server's own call finds them stored, and so does the next drain.
        scene.archive(SEGMENT).silent_success();
        drain(&scene, &[]).prints(&["archived now          0 files", "stored already        7 files"]);
    }
}

#[test]
fn the_report_for_machines_is_complete() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..2]);
    let done = report(&scene, &["--mark-done"], 0);
    assert_eq!(done["schema"], 1);
    assert_eq!(done["done"], true);
    assert_eq!(done["pending_files"], 2);
    assert_eq!(done["stored"], serde_json::json!({"files": 2, "bytes": 2 * MIB}));
    assert_eq!(done["already_stored"]["files"], 0);
    assert_eq!(done["marked_done_files"], 2);
    assert_eq!(done["failed_files"], 0);
    assert_eq!(done["data_directory"], scene.shown("data"));
    assert_eq!(done["repository"], scene.shown("repo"));
}

#[test]
fn marks_change_after_their_files_are_stored() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS);
    scene.offer(HISTORY.0, fixture(HISTORY.1));
    drain(&scene, &["--mark-done", "-j", "2"]).prints(&["marked done           6 files"]);
    let mut expected = marked(&SEGMENTS, ".done");
    expected.push(format!("{}.done", HISTORY.0));
    assert_eq!(statuses(&scene), expected);
    drain(&scene, &["--mark-done"]).prints(&["Nothing is pending"]);
}

#[test]
fn marks_stop_at_the_first_file_that_is_not_stored_and_the_rest_is_stored_all_the_same() {
    for jobs in ["1", "3"] {
        let scene = Scene::with_repository("zstd");
        scene.offer_segments(&SEGMENTS);
        // A recycled file: it bears another segment's name.
        scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), segment(SEGMENTS[3]));
        let outcome = drain(&scene, &["--mark-done", "-j", jobs]).code(1);
        for says in [
            "Not everything",
            &format!("cannot archive '{}'", SEGMENTS[1]),
            "marked done           1 file",
            "next: ",
        ] {
            assert!(outcome.stdout.contains(says), "{says}: {outcome:#?}");
        }
        assert_eq!(statuses(&scene)[0], format!("{}.done", SEGMENTS[0]));
        assert_eq!(statuses(&scene)[1..], marked(&SEGMENTS[1..], ".ready"));
        let mut others = SEGMENTS.to_vec();
        others.remove(1);
        assert_eq!(scene.stored(), zst(&others));
    }
}

#[test]
fn a_conflict_is_told_and_stops_nobody_else() {
    let scene = Scene::with_repository("zstd");
    let mut other = segment(SEGMENTS[0]);
    other[300_000] ^= 1;
    scene.store(SEGMENTS[0], other);
    scene.offer_segments(&SEGMENTS[..3]);
    let done = report(&scene, &[], 1);
    assert_eq!(done["failed_files"], 1);
    assert_eq!(done["failures"][0]["name"], SEGMENTS[0]);
    assert!(done["failures"][0]["hint"].is_string());
    assert_eq!(done["stored"]["files"], 2);
}

#[test]
fn many_failures_are_counted_and_a_few_told() {
    let scene = Scene::with_repository("zstd");
    for number in 1..=30 {
        scene.offer(&name_of(1, number), "too short");
    }
    let done = report(&scene, &[], 1);
    assert_eq!((&done["failed_files"], done["failures"].as_array().unwrap().len()), (&30.into(), 20));
}

#[test]
fn a_history_is_stored_before_a_segment_is_begun() {
    let scene = Scene::new();
    let _disk = SmallDisk::mount(scene.path("repo"), "size=8m");
    scene.init("zstd");
    scene.offer_segments(&SEGMENTS[..2]);
    scene.offer(HISTORY.0, fixture(HISTORY.1));
    // There is room for text, and for no segment.
    let room = free_bytes(&scene.path("repo")).saturating_sub(MIB as u64 / 2);
    let done = report(&scene, &["--mark-done", "-j", "2", "--min-free", &room.to_string()], 1);
    assert_eq!(done["stored"]["files"], 1);
    assert_eq!(scene.stored(), [HISTORY.0.to_owned(), format!("{}.sha256", HISTORY.0)]);
    assert_eq!(done["marked_done_files"], 1);
    assert!(done["ended"]["causes"][0].as_str().unwrap().contains("are to stay free"));
    assert_eq!(done["not_tried_files"], 2);
}

fn free_bytes(path: &Path) -> u64 {
    let told = tool("df", &["-B1".as_ref(), "--output=avail".as_ref(), path.as_ref()]);
    String::from_utf8(told).unwrap().split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_full_repository_ends_it_with_what_was_stored_told() {
    let scene = Scene::new();
    let _disk = SmallDisk::mount(scene.path("repo"), "size=2m");
    scene.init("none");
    scene.offer_segments(&SEGMENTS);
    let done = report(&scene, &["-j", "1", "--mark-done"], 1);
    assert_eq!(done["stored"]["files"], 1);
    assert_eq!(done["not_tried_files"], 4);
    let causes = done["ended"]["causes"].to_string();
    assert!(causes.contains("No space left"), "{causes}");
    assert_eq!(statuses(&scene)[0], format!("{}.done", SEGMENTS[0]));
    assert_eq!(statuses(&scene)[1..], marked(&SEGMENTS[1..], ".ready"));
}

#[test]
fn orphans_are_told_with_their_ranges_and_nothing_is_invented() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENTS[0], SEGMENTS[4]]);
    SEGMENTS[1..4].iter().for_each(|name| orphan(&scene, name));
    let outcome = drain(&scene, &["--mark-done"]).code(1);
    let range = format!("orphans, LOST         {}..{}, 3 files", SEGMENTS[1], SEGMENTS[3]);
    for says in [&*range, "a new base backup is due", "--acknowledge-lost"] {
        outcome.tells(says);
    }
    assert_eq!(scene.stored(), zst(&[SEGMENTS[0], SEGMENTS[4]]));
    assert_eq!(statuses(&scene)[0], format!("{}.done", SEGMENTS[0]), "marks stop at the first orphan");
    assert_eq!(statuses(&scene)[1..], marked(&SEGMENTS[1..], ".ready"));
}

#[test]
fn an_orphan_whose_file_is_stored_whole_is_marked_and_one_whose_file_is_damaged_is_not() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..2]);
    orphan(&scene, SEGMENTS[0]);
    drain(&scene, &["--mark-done"])
        .prints(&[&format!("orphans, stored       {}", SEGMENTS[0]), "marked done           1 file"]);
    orphan(&scene, SEGMENTS[1]);
    let stored = format!("repo/{}.zst", SEGMENTS[1]);
    let mut bytes = scene.read(&stored);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    scene.write(&stored, bytes);
    let done = report(&scene, &["--mark-done"], 1);
    assert_eq!(done["failures"][0]["name"], SEGMENTS[1]);
    assert_eq!(statuses(&scene), [format!("{}.done", SEGMENTS[0]), format!("{}.ready", SEGMENTS[1])]);
}

#[test]
fn what_nobody_archived_is_stored_where_it_is_asked_for_and_never_marked() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..1]);
    // Done without being stored; neither, but followed; pending; and the open tail.
    for name in SEGMENTS {
        scene.write(format!("data/pg_wal/{name}"), segment(name));
    }
    scene.write(format!("data/pg_wal/archive_status/{}.done", SEGMENTS[0]), "");
    scene.write(format!("data/pg_wal/archive_status/{}.done", SEGMENTS[1]), "");
    scene.write(format!("data/pg_wal/archive_status/{}.ready", SEGMENTS[3]), "");
    let before = statuses(&scene);
    drain(&scene, &[]).prints(&["archived now          1 file"]);
    assert_eq!(scene.stored(), zst(&[SEGMENTS[0], SEGMENTS[3]]));
    drain(&scene, &["--missing"]).prints(&["missing, archived now 2 files, 2.00 MiB"]);
    assert_eq!(scene.stored(), zst(&SEGMENTS[..4]), "never the open tail");
    assert_eq!(statuses(&scene), before);
}

#[test]
fn the_end_of_a_timeline_that_went_on_elsewhere_is_not_taken_for_a_whole_segment() {
    let scene = Scene::with_repository("zstd");
    for name in [name_of(1, 5), name_of(1, 6), name_of(2, 6)] {
        let (timeline, number) = (name[..8].parse().unwrap(), if name.ends_with('5') { 5 } else { 6 });
        scene.write(format!("data/pg_wal/{name}"), segment_as(timeline, number));
        scene.write(format!("data/pg_wal/archive_status/{name}.done"), "");
    }
    drain(&scene, &["--missing"]).prints(&["missing, archived now 2 files"]);
    assert_eq!(scene.stored(), zst(&[&name_of(1, 5), &name_of(2, 6)]));
}

#[test]
fn a_gap_is_recorded_before_its_orphans_are_cleared() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENTS[0], SEGMENTS[4]]);
    SEGMENTS[1..4].iter().for_each(|name| orphan(&scene, name));
    let range = format!("{}..{}", SEGMENTS[1], SEGMENTS[3]);
    let args = ["--acknowledge-lost", &range, "--reason", "rm -rf in pg_wal", "--mark-done"];
    let done = report(&scene, &args, 0);
    assert_eq!(done["acknowledged_lost"]["segments"], 3);
    assert_eq!(done["acknowledged_lost"]["orphans_cleared"], 3);
    assert_eq!(done["base_backup_due"], true);
    assert_eq!(statuses(&scene), marked(&SEGMENTS, ".done"));
    let gaps: serde_json::Value =
        serde_json::from_slice(&scene.read("repo/.walkeep/known-gaps.json")).unwrap();
    assert_eq!(gaps["gaps"][0]["from"], SEGMENTS[1]);
    assert_eq!(gaps["gaps"][0]["reason"], "rm -rf in pg_wal");
    // Again: it is known, and there is nothing to clear.
    let text = drain(&scene, &args).prints(&["next: take a new base backup now", "0 orphans cleared"]);
    assert!(text.stdout.starts_with("Nothing is pending"), "{text:#?}");
}

#[test]
fn what_is_not_lost_is_not_given_up() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..1]);
    orphan(&scene, SEGMENTS[1]);
    scene.offer_segments(&SEGMENTS[2..3]);
    let before = statuses(&scene);
    let give_up = |from: &str, to: &str| {
        drain(&scene, &["--acknowledge-lost", &format!("{from}..{to}"), "--reason", "a test"])
    };
    give_up(SEGMENTS[0], SEGMENTS[1]).refused(1, &["is not lost", &format!("'{}' is stored", SEGMENTS[0])]);
    give_up(SEGMENTS[1], SEGMENTS[2])
        .refused(1, &["is not lost", &format!("'{}' is in the WAL directory", SEGMENTS[2])]);
    give_up(SEGMENTS[3], SEGMENTS[4]).refused(1, &["is not lost", "as new as its end"]);
    assert_eq!(statuses(&scene), before);
    assert!(!scene.path("repo/.walkeep/known-gaps.json").exists());
    give_up(SEGMENTS[2], SEGMENTS[1]).refused(2, &["both have to be of one timeline, and in order"]);
    give_up("0000000000000001", SEGMENTS[1]).refused(2, &["is not a segment name"]);
    drain(&scene, &["--acknowledge-lost", SEGMENTS[1]]).refused(2, &["--reason"]);
    drain(&scene, &["--acknowledge-lost", SEGMENTS[1], "--reason", " "]).refused(1, &["the reason is empty"]);
    assert_eq!(statuses(&scene), before);
}

/// Lets a process that lives as long as the test look like the data directory's server.
struct Server(std::process::Child);

impl Server {
    fn run_in(scene: &Scene, archiving: &str) -> Self {
        let child = std::process::Command::new("sleep")
            .arg("infinity")
            .current_dir(scene.path("data"))
            .spawn()
            .unwrap();
        let pid = child.id();
        let data = scene.shown("data");
        scene.write("data/postmaster.pid", format!("{pid}\n{data}\n1\n5432\n/tmp\n\n 0 0\nready   \n"));
        scene.write("data/postgresql.conf", archiving);
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_queue_that_a_live_archiver_works_on_is_marked_only_by_force() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..2]);
    let _server = Server::run_in(&scene, "archive_mode = on\narchive_command = 'cp %p /elsewhere/%f'\n");
    drain(&scene, &["--mark-done"]).refused(1, &["archives with 'cp %p /elsewhere/%f'", "hint: ", "--force"]);
    scene.write("data/postgresql.conf", "archive_mode = on\narchive_dest = '/somewhere'\n");
    drain(&scene, &["--mark-done"]).refused(1, &["archives with '/somewhere'"]);
    assert_eq!(scene.stored(), [""; 0]);
    drain(&scene, &[]).prints(&["archived now          2 files"]);
    assert_eq!(statuses(&scene), marked(&SEGMENTS[..2], ".ready"));
    drain(&scene, &["--mark-done", "--force"]).prints(&["marked done           2 files"]);
    assert_eq!(statuses(&scene), marked(&SEGMENTS[..2], ".done"));
}

#[test]
fn a_live_server_that_archives_nothing_does_not_own_its_queue() {
    for archiving in [
        "archive_mode = on\narchive_command = ''\n",
        "archive_mode = on\narchive_command = '/bin/true'\n",
        "archive_mode = on\narchive_command = 'cp %p /x/%f'\narchive_command = ':'\n",
        "archive_mode = off\narchive_command = 'cp %p /x/%f'\n",
    ] {
        let scene = Scene::with_repository("zstd");
        scene.offer_segments(&SEGMENTS[..1]);
        let _server = Server::run_in(&scene, archiving);
        drain(&scene, &["--mark-done"]).prints(&["marked done           1 file"]);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_may_have_a_live_archiver() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..1]);
    let _server = Server::run_in(&scene, "include 'missing.conf'\n");
    drain(&scene, &["--mark-done"]).refused(1, &["does not say for certain"]);
}

#[test]
fn junk_in_the_queue_is_told_and_left_alone() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..1]);
    let status = scene.path("data/pg_wal/archive_status");
    fs::create_dir(status.join(format!("{}.ready", SEGMENTS[1]))).unwrap();
    symlink("/nowhere", status.join(format!("{}.ready", SEGMENTS[2]))).unwrap();
    fs::write(status.join("\u{1b}[31mred.ready"), "").unwrap();
    fs::write(status.join(format!("{}.ready", "A".repeat(200))), "").unwrap();
    let outcome = drain(&scene, &["--mark-done"])
        .prints(&["not WAL files         4: ", "marked done           1 file"]);
    assert!(!outcome.stdout.contains('\u{1b}'));
}

#[test]
fn what_cannot_be_read_is_a_failure() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..1]);
    scene.call(&["drain"]).cwd(scene.path("elsewhere")).run().refused(2, &["no data directory is named"]);
    scene.call(&["drain"]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    scene.call(&["drain", "--repo", "../elsewhere"]).run().refused(1, &["is not a walkeep repository"]);
    scene.call(&["drain", "-j", "0"]).run().refused(2, &["'0' is not a number from 1 to 256"]);
    scene.call(&["drain"]).env("WALKEEP_JOBS", "many").run().refused(2, &["WALKEEP_JOBS"]);
    scene.call(&["drain", "--force"]).run().refused(2, &["--mark-done"]);
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    drain(&scene, &["-D", &scene.shown("other")])
        .refused(1, &["the repository belongs to system identifier"]);
}

#[test]
fn the_superuser_leaves_no_files_where_another_users_server_works() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&SEGMENTS[..1]);
    scene.give_away("data");
    drain(&scene, &[]).refused(1, &["this is the superuser", "data directory"]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn two_drains_that_mark_and_an_archiver_at_once_lose_nothing() {
    let scene = Scene::with_repository("zstd");
    let names: Vec<String> = (1..=12).map(|number| name_of(1, number)).collect();
    for (number, name) in (1..).zip(&names) {
        scene.offer(name, segment_as(1, number));
    }
    let drains = [0, 1].map(|_| scene.call(&["drain", "--mark-done", "-j", "2"]).spawn());
    for name in &names {
        scene.archive(name).silent_success();
    }
    for drain in drains {
        drain.end().code(0);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(scene.stored(), zst(&names));
    assert_eq!(statuses(&scene), marked(&names, ".done"));
}
