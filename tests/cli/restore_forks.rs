//! `restore` where timelines part: a server never gets WAL from after the fork that it follows, nor a stored segment that has
//! less than its own.

use std::fs;

use crate::support::*;

/// The fork: in the middle of the second of the three segments.
const FORK: &str = "0/FFE80000";
const FORK_AT: usize = MIB / 2;
const HISTORY_NAME: &str = "00000002.history";

/// A recovery with a repository of three segments of timeline 1, which timeline 2 leaves in the second.
fn forked() -> Scene {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..3]);
    scene.store(HISTORY_NAME, history_at(FORK));
    scene.make_recovery();
    keep_history(&scene, FORK);
    be_at(&scene, 0xFFD0_0028);
    scene
}

/// Puts the history of timeline 2 into the WAL directory, as a recovery does when it begins.
fn keep_history(scene: &Scene, fork: &str) {
    scene.write(format!("data/pg_wal/{HISTORY_NAME}"), history_at(fork));
}

/// Puts the server's last checkpoint there.
fn be_at(scene: &Scene, checkpoint: u64) {
    scene.write("data/global/pg_control", control_file_at(1, checkpoint));
}

fn history_at(fork: &str) -> String {
    format!("1\t{fork}\tno recovery target specified\n")
}

/// The parent's segment up to the fork.
fn up_to_fork() -> Vec<u8> {
    cut_in_zeros(segment(SEGMENTS[1]), FORK_AT)
}

fn child() -> String {
    name_of(2, 0xFFE)
}

/// Takes a stored segment away.
fn lose(scene: &Scene, name: &str) {
    scene.remove(format!("repo/{name}.zst"));
}

#[track_caller]
fn delivers(scene: &Scene, name: &str, bytes: &[u8], says: &[&str]) {
    scene.restore(name).refused(0, says);
    assert!(scene.delivered().as_deref() == Some(bytes), "{name}");
    scene.remove("data/pg_wal/RECOVERYXLOG");
}

#[track_caller]
fn delivers_whole(scene: &Scene, name: &str, bytes: &[u8]) {
    scene.restore(name).silent_success();
    assert!(scene.delivered().as_deref() == Some(bytes), "{name}");
    scene.remove("data/pg_wal/RECOVERYXLOG");
}

#[test]
fn the_first_segment_of_a_timeline_is_made_of_its_parent_up_to_the_fork_until_it_is_stored() {
    let scene = forked();
    let says = [child(), SEGMENTS[1].to_owned(), FORK.to_owned()];
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    delivers(&scene, &child(), &up_to_fork(), &says);
    scene.make_standby();
    delivers(&scene, &child(), &up_to_fork(), &says);
    scene.remove("data/standby.signal");
    // At the end of a recovery, and for a rewind, nothing is made.
    scene.remove("data/recovery.signal");
    scene.restore(&child()).silent(1);
    scene.make_recovery();
    // What the server has itself is its own.
    scene.write(format!("data/pg_wal/{}", child()), segment_as(2, 0xFFE));
    scene.restore(&child()).silent(1);
    scene.remove(format!("data/pg_wal/{}", child()));
    // The real one, when it comes from the primary.
    scene.remove("data/recovery.signal");
    scene.store(&child(), segment_as(2, 0xFFE));
    scene.make_recovery();
    delivers_whole(&scene, &child(), &segment_as(2, 0xFFE));
}

#[test]
fn the_first_segment_of_a_timeline_is_made_of_what_the_promoted_server_archived_as_partial() {
    let scene = forked();
    lose(&scene, SEGMENTS[1]);
    lose(&scene, SEGMENTS[2]);
    scene.store(&format!("{}.partial", SEGMENTS[1]), segment(SEGMENTS[1]));
    delivers(&scene, &child(), &up_to_fork(), &[".partial"]);
}

#[test]
fn a_fork_that_nothing_stored_reaches_stops_a_recovery_and_not_a_standby() {
    let scene = forked();
    lose(&scene, SEGMENTS[1]);
    lose(&scene, SEGMENTS[2]);
    let says = ["nothing that is stored reaches", FORK, "recovery_target_timeline = '1'", "drain --missing"];
    scene.restore(&child()).refused(255, &says);
    // A torn one does not reach it, either.
    put_with("cp", &scene.path("repo"), SEGMENTS[1], &cut_in_zeros(segment(SEGMENTS[1]), FORK_AT / 2));
    scene.restore(&child()).refused(255, &says);
    scene.restore(SEGMENTS[1]).refused(255, &says[..2]);
    scene.make_standby();
    scene.restore(&child()).refused(1, &says);
    scene.restore(SEGMENTS[1]).refused(1, &says[..2]);
    assert_eq!(scene.delivered(), None);
    scene.remove("data/standby.signal");
    // The way out that the message names.
    scene.configure("recovery_target_timeline = '1'\n");
    scene.restore(SEGMENTS[1]).silent_success();
}

#[test]
fn a_timeline_that_begins_at_a_segments_first_byte_begins_with_nothing() {
    let scene = forked();
    scene.remove(format!("repo/{HISTORY_NAME}"));
    scene.remove(format!("repo/{HISTORY_NAME}.sha256"));
    scene.store(HISTORY_NAME, history_at("0/FFE00000"));
    keep_history(&scene, "0/FFE00000");
    delivers(&scene, &child(), &vec![0; MIB], &["delivered empty"]);
    // Nothing of the parent's belongs after it.
    scene.restore(SEGMENTS[1]).silent(1);
    assert_eq!(scene.delivered(), None);
    delivers_whole(&scene, SEGMENTS[0], &segment(SEGMENTS[0]));
}

#[test]
fn later_segments_of_the_timeline_make_its_missing_first_one_a_gap() {
    let scene = forked();
    scene.store(&name_of(2, 0xFFF), segment_as(2, 0xFFF));
    scene.restore(&child()).refused(255, &["the repository has a gap"]);
    assert_eq!(scene.delivered(), None);
}

#[test]
fn a_parent_is_never_delivered_past_the_fork_to_a_server_that_follows_the_child() {
    let scene = forked();
    delivers(&scene, SEGMENTS[1], &up_to_fork(), &["up to", FORK]);
    // Also if the history is not stored, and a standby before it has asked for the history.
    let stored = scene.path(format!("repo/{HISTORY_NAME}"));
    fs::rename(&stored, scene.path("kept")).unwrap();
    delivers(&scene, SEGMENTS[1], &up_to_fork(), &["up to", FORK]);
    fs::rename(scene.path("kept"), &stored).unwrap();
    scene.remove(format!("data/pg_wal/{HISTORY_NAME}"));
    scene.make_standby();
    delivers(&scene, SEGMENTS[1], &up_to_fork(), &["up to", FORK]);
    // Before the fork's segment and after it, nothing is withheld.
    delivers_whole(&scene, SEGMENTS[0], &segment(SEGMENTS[0]));
    delivers_whole(&scene, SEGMENTS[2], &segment(SEGMENTS[2]));
    // What a recovery has of it itself stays.
    scene.remove("data/standby.signal");
    keep_history(&scene, FORK);
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), segment(SEGMENTS[1]));
    scene.restore(SEGMENTS[1]).silent(1);
}

#[test]
fn what_a_standby_still_receives_into_a_delivered_first_segment_is_not_archived_as_finished() {
    let scene = forked();
    scene.make_standby();
    // restore delivered it, the server marked it, and streaming goes on in it: its records end early.
    scene.offer(&child(), segment_as(2, 0xFFE));
    scene.archive(&child()).refused(1, &["the segment is not complete"]);
    // A standby that has left the timeline does not go on in it.
    scene.write("data/pg_wal/00000003.history", history_at(FORK));
    scene.archive(&child()).silent_success();
}

#[test]
fn a_history_that_arrives_during_a_recovery_does_not_end_it() {
    let scene = forked();
    // The recovery chose its timeline when it began, and did not find this one.
    scene.remove(format!("data/pg_wal/{HISTORY_NAME}"));
    delivers_whole(&scene, SEGMENTS[1], &segment(SEGMENTS[1]));
}

#[test]
fn a_parent_is_not_cut_where_a_sibling_of_the_followed_timeline_left_it() {
    let scene = forked();
    scene.remove(format!("data/pg_wal/{HISTORY_NAME}"));
    // Timeline 2 was a false promotion; timeline 3 left timeline 1 later.
    scene.store("00000003.history", history_at("0/FFF80000"));
    let whole = segment(SEGMENTS[1]);
    scene.make_standby();
    delivers_whole(&scene, SEGMENTS[1], &whole);
    scene.remove("data/standby.signal");
    scene.write("data/pg_wal/00000003.history", history_at("0/FFF80000"));
    delivers_whole(&scene, SEGMENTS[1], &whole);
    let mut up_to_fork = segment(SEGMENTS[2]);
    up_to_fork[FORK_AT..].fill(0);
    delivers(&scene, SEGMENTS[2], &up_to_fork, &["up to", "0/FFF80000"]);
    // What lies after a missing number is not found, and not followed.
    scene.remove("data/pg_wal/00000003.history");
    scene.write("data/pg_wal/00000009.history", history_at(FORK));
    delivers_whole(&scene, SEGMENTS[1], &whole);
}

#[test]
fn a_parent_is_delivered_whole_to_a_standby_that_has_received_it_past_the_fork() {
    let scene = forked();
    scene.make_standby();
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), cut_in_zeros(segment(SEGMENTS[1]), FORK_AT * 3 / 2));
    delivers_whole(&scene, SEGMENTS[1], &segment(SEGMENTS[1]));
}

#[test]
fn a_parent_is_delivered_whole_to_whoever_does_not_follow_the_child() {
    let scene = forked();
    let whole = segment(SEGMENTS[1]);
    for target in ["1", "current"] {
        scene.configure(&format!("recovery_target_timeline = '{target}'\n"));
        delivers_whole(&scene, SEGMENTS[1], &whole);
    }
    scene.configure("");
    // A rewind reads its own timeline to the end.
    scene.remove("data/recovery.signal");
    delivers_whole(&scene, SEGMENTS[1], &whole);
    // A standby that has replayed the parent past the fork cannot turn back.
    scene.make_standby();
    be_at(&scene, 0xFFE9_0000);
    delivers_whole(&scene, SEGMENTS[1], &whole);
}

#[test]
fn the_end_of_a_timeline_that_was_left_inside_a_segment_is_recovered_to() {
    let scene = forked();
    lose(&scene, SEGMENTS[1]);
    lose(&scene, SEGMENTS[2]);
    scene.configure("recovery_target_timeline = '1'\n");
    scene.restore(SEGMENTS[1]).silent(1);
    scene.store(&format!("{}.partial", SEGMENTS[1]), segment(SEGMENTS[1]));
    delivers(&scene, SEGMENTS[1], &up_to_fork(), &[".partial", FORK]);
}

#[test]
fn a_timeline_that_began_and_was_left_in_one_segment_is_recovered_to_where_it_was_left() {
    let scene = forked();
    let twice =
        "1\t0/FFE40000\tno recovery target specified\n\n2\t0/FFE80000\tno recovery target specified\n";
    scene.remove(format!("repo/{HISTORY_NAME}"));
    scene.remove(format!("repo/{HISTORY_NAME}.sha256"));
    scene.store(HISTORY_NAME, history_at("0/FFE40000"));
    scene.store("00000003.history", twice);
    scene.configure("recovery_target_timeline = '2'\n");
    delivers(&scene, &child(), &cut_in_zeros(segment(SEGMENTS[1]), MIB / 4), &[SEGMENTS[1], "0/FFE40000"]);
    scene.store(&format!("{}.partial", child()), segment(SEGMENTS[1]));
    delivers(&scene, &child(), &up_to_fork(), &[".partial", FORK]);
    // The third timeline begins with the same.
    scene.configure("");
    delivers(&scene, &name_of(3, 0xFFE), &up_to_fork(), &[".partial", FORK]);
}

#[test]
fn what_a_timeline_begins_with_is_acknowledged_and_not_stored() {
    use walkeep::wal::{Lsn, SegmentRecords, SegmentSize};
    let scene = Scene::with_repository("zstd");
    let size = SegmentSize::new(MIB as u64).unwrap();
    let cut = cut_in_zeros(segment(SEGMENTS[1]), FORK_AT);
    let fork = SegmentRecords::of(Lsn::new(0xFFE0_0000), size, &cut).end_lsn().unwrap();
    let own = cut_in_zeros(segment(SEGMENTS[1]), (fork.get() - 0xFFE0_0000) as usize);
    // As a standby with archive_mode=always offers what restore made.
    for (history, bytes) in [(fork.to_string(), own.clone()), ("0/FFE00000".to_owned(), vec![0; MIB])] {
        scene.write(format!("data/pg_wal/{HISTORY_NAME}"), history_at(&history));
        scene.offer(&child(), bytes);
        scene.archive(&child()).silent_success();
        scene.call(&["drain", "-D", "."]).run().code(0);
        assert!(!scene.stored().contains(&format!("{}.zst", child())), "{:?}", scene.stored());
    }
    // One that has WAL of its own is stored, though it begins with the same bytes.
    scene.write(format!("data/pg_wal/{HISTORY_NAME}"), history_at(&fork.to_string()));
    scene.offer(&child(), segment(SEGMENTS[1]));
    scene.archive(&child()).silent_success();
    assert!(scene.stored().contains(&format!("{}.zst", child())), "{:?}", scene.stored());
    // Nor does a name alone acknowledge anything: the fork has to be in this segment.
    scene.remove(format!("repo/{}.zst", child()));
    scene.write(format!("data/pg_wal/{HISTORY_NAME}"), history_at("0/FFD00000"));
    scene.offer(&child(), &own);
    scene.archive(&child()).silent_success();
    assert!(scene.stored().contains(&format!("{}.zst", child())), "{:?}", scene.stored());
}

#[test]
fn a_stored_segment_that_ends_early_never_replaces_the_servers_longer_one() {
    let scene = Scene::with_repository("zstd");
    let whole = segment(SEGMENT);
    put_with("cp", &scene.path("repo"), SEGMENT, &cut_in_zeros(whole.clone(), MIB / 2));
    scene.write(format!("data/pg_wal/{SEGMENT}"), &whole);
    for signal in ["recovery.signal", "standby.signal"] {
        scene.write(format!("data/{signal}"), "");
        let says = ["warning: ", "is not delivered", "walkeep set-aside"];
        scene.restore(SEGMENT).refused(1, &says);
        assert_eq!(scene.delivered(), None);
    }
    // One that has more than the server's own is delivered, and so is one that is as long.
    scene.write(format!("data/pg_wal/{SEGMENT}"), cut_in_zeros(whole.clone(), MIB / 4));
    delivers_whole(&scene, SEGMENT, &cut_in_zeros(whole.clone(), MIB / 2));
    put_with("cp", &scene.path("repo"), SEGMENT, &whole);
    scene.write(format!("data/pg_wal/{SEGMENT}"), &whole);
    delivers_whole(&scene, SEGMENT, &whole);
}

#[test]
fn what_a_standby_asks_for_and_nothing_stored_reaches_back_to_is_reported_once() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[2..4]);
    scene.make_standby();
    let says = ["warning: ", "older than everything that is stored", "clone it again"];
    scene.restore(SEGMENT).refused(1, &says);
    scene.restore(SEGMENT).silent(1);
    scene.restore(SEGMENTS[1]).refused(1, &says);
    scene.restore(SEGMENTS[1]).silent(1);
}

#[test]
fn a_gap_in_a_living_archive_is_waited_for() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..3]);
    let (stored, late) = (format!("repo/{}.zst", SEGMENTS[1]), "repo/.walkeep/late");
    fs::rename(scene.path(&stored), scene.path(late)).unwrap();
    scene.make_recovery();
    scene.restore(SEGMENTS[1]).refused(255, &["the repository has a gap"]);
    let args = ["restore", SEGMENTS[1], "pg_wal/RECOVERYXLOG", "--retry-budget", "10m"];
    let running = scene.call(&args).spawn();
    fs::rename(scene.path(late), scene.path(&stored)).unwrap();
    running.end().silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENTS[1])));
}

#[test]
fn a_failure_is_waited_for_while_a_promotion_is_requested() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.make_standby();
    let config = scene.write("elsewhere/walkeep.toml", "[restore]\npromote_budget = \"10m\"\n");
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    scene.restore(SEGMENT).refused(1, &["warning: "]);
    for (file, conf) in [("promote", ""), ("trigger", "promote_trigger_file = 'trigger'\n")] {
        scene.configure(conf);
        scene.write(format!("data/{file}"), "");
        let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s", "--config"];
        let running = scene.call(&args).arg(&config).spawn();
        fs::rename(scene.path("unmounted"), scene.path("repo")).unwrap();
        running.end().silent_success();
        scene.remove("data/pg_wal/RECOVERYXLOG");
        scene.remove(format!("data/{file}"));
        fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    }
}
