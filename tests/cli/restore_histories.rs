//! `restore` of histories: a false "not there" makes a server take a number that is used, and a failure at the wrong moment
//! stops one that could have gone on.

use std::fs;

use crate::support::*;

const SECOND: &str = "00000002.history";
const THIRD: &str = "00000003.history";
const SECOND_TEXT: &str = "1\t0/FFE80000\tno recovery target specified\n";
const THIRD_TEXT: &str =
    "1\t0/FFE80000\tno recovery target specified\n\n2\t0/FFF80000\tno recovery target specified\n";

/// A recovery with a repository of the first two segments.
fn recovering() -> Scene {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..2]);
    scene.make_recovery();
    be_on(&scene, 1);
    scene
}

/// Puts the control file on a timeline.
fn be_on(scene: &Scene, timeline: u32) {
    scene.write("data/global/pg_control", control_file_at(timeline, 0xFFD0_0028));
}

/// Delivers this text, and says so in the log if it is not the stored file itself.
#[track_caller]
fn delivers_text(scene: &Scene, name: &str, text: &str, says: &[&str]) {
    scene.restore(name).refused(0, says);
    assert_eq!(scene.delivered().map(|bytes| String::from_utf8(bytes).unwrap()).as_deref(), Some(text));
    scene.remove("data/pg_wal/RECOVERYXLOG");
}

#[test]
fn the_first_timelines_history_is_answered_without_opening_anything() {
    let scene = Scene::new();
    for repository in ["nowhere", "data"] {
        for signal in [None, Some("recovery.signal"), Some("standby.signal")] {
            signal.iter().for_each(|signal| drop(scene.write(format!("data/{signal}"), "")));
            let args = ["restore", "00000001.history", "pg_wal/RECOVERYHISTORY"];
            scene.call(&args).env("WALKEEP_REPO", scene.path(repository)).run().silent(1);
        }
    }
}

#[test]
fn a_server_past_the_end_of_its_recovery_is_never_stopped() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    let whole = scene.read(format!("repo/{SECOND}"));
    let fails = |code: i32| {
        for name in [SECOND, THIRD, SEGMENTS[0], SEGMENTS[2]] {
            let outcome = scene.restore(name);
            assert!(
                outcome.code == Some(code) || name == THIRD || name == SEGMENTS[2],
                "{name}: {outcome:#?}"
            );
        }
    };
    // The same failures, before the end and after it.
    scene.write(format!("repo/{SECOND}"), "1\t0/FFE90000\tone rotten byte\n");
    scene.restore(SECOND).refused(255, &["is damaged"]);
    scene.remove("data/recovery.signal");
    scene.restore(SECOND).refused(1, &["warning: ", "is damaged"]);
    scene.write(format!("repo/{SECOND}"), whole);
    scene.make_recovery();
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    fails(255);
    scene.remove("data/recovery.signal");
    fails(1);
}

#[test]
fn a_history_that_the_server_lives_by_is_left_to_it_whatever_the_repository_says() {
    let scene = recovering();
    be_on(&scene, 2);
    scene.write(format!("data/pg_wal/{SECOND}"), SECOND_TEXT);
    scene.restore(SECOND).silent(1);
    scene.store(SECOND, SECOND_TEXT);
    scene.write(format!("data/pg_wal/{SECOND}"), SECOND_TEXT);
    scene.restore(SECOND).silent(1);
    // Only the reason differs: one more comment is no other line of history.
    scene.write(format!("data/pg_wal/{SECOND}"), "1\t0/FFE80000\tby hand\n");
    scene.restore(SECOND).silent(1);
    scene.write(format!("data/pg_wal/{SECOND}"), "1\t0/FFE70000\tno recovery target specified\n");
    scene.restore(SECOND).refused(1, &["CRITICAL: the history of timeline 2", "differs"]);
    assert_eq!(scene.delivered(), None);
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    scene.restore(SECOND).silent(1);
    // One that cannot be read is as none: the server would go on as if the timeline had no parents.
    scene.write(format!("data/pg_wal/{SECOND}"), "torn");
    scene.restore(SECOND).refused(255, &["is not a walkeep repository"]);
}

#[test]
fn a_stored_history_of_a_timeline_that_the_server_is_not_on_yet_wins_over_a_stale_own_one() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    scene.write(format!("data/pg_wal/{SECOND}"), "1\t0/FFD70000\tof a promotion that was killed\n");
    scene.restore(SECOND).silent_success();
    assert_eq!(scene.delivered().unwrap(), SECOND_TEXT.as_bytes());
    scene.remove("data/pg_wal/RECOVERYXLOG");
    scene.remove(format!("repo/{SECOND}"));
    scene.restore(SECOND).silent(1);
}

#[test]
fn a_history_that_a_later_one_names_is_delivered_out_of_it() {
    let scene = recovering();
    scene.store(THIRD, THIRD_TEXT);
    delivers_text(&scene, SECOND, SECOND_TEXT, &["warning: the history of timeline 2", "timeline 3"]);
    scene.make_standby();
    delivers_text(&scene, SECOND, SECOND_TEXT, &["timeline 3"]);
    scene.remove("data/standby.signal");
    scene.remove("data/recovery.signal");
    delivers_text(&scene, SECOND, SECOND_TEXT, &["timeline 3"]);
    // A server that is on it needs none, and one that is past it.
    be_on(&scene, 2);
    scene.restore(SECOND).silent(1);
}

#[test]
fn a_copy_of_the_histories_answers_while_the_repository_fails_and_forgets_what_was_set_aside() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    scene.restore(THIRD).silent(1);
    let away = || fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    let back = || fs::rename(scene.path("unmounted"), scene.path("repo")).unwrap();
    away();
    delivers_text(&scene, SECOND, SECOND_TEXT, &["from this node's copy: the repository failed"]);
    // The copy never says that there is none.
    scene.restore(THIRD).refused(255, &["is not a walkeep repository"]);
    scene.make_standby();
    delivers_text(&scene, SECOND, SECOND_TEXT, &["from this node's copy"]);
    scene.restore(THIRD).refused(1, &["warning: "]);
    scene.remove("data/standby.signal");
    // It is of one repository and one cluster.
    let elsewhere = scene.call(&["restore", SECOND, "pg_wal/RECOVERYHISTORY", "--retry-budget", "0s"]);
    elsewhere.env("WALKEEP_REPO", scene.path("another")).run().refused(255, &[]);
    scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
    scene.restore(SECOND).refused(255, &[]);
    be_on(&scene, 1);
    back();
    let set_aside = ["set-aside", SECOND, "--reason", "a false promotion"];
    scene.call(&set_aside).run().code(0);
    scene.restore(THIRD).silent(1);
    away();
    scene.restore(SECOND).refused(255, &["is not a walkeep repository"]);
}

#[test]
fn a_segment_of_a_timeline_whose_history_the_server_lacks_brings_the_copy() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    let segment = name_of(2, 0xFFF);
    scene.store(&segment, segment_as(2, 0xFFF));
    scene.restore(&segment).code(0);
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    delivers_text(&scene, SECOND, SECOND_TEXT, &["from this node's copy"]);
}

#[test]
fn a_rotten_stored_history_is_answered_from_the_copy() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    scene.restore(THIRD).silent(1);
    scene.write(format!("repo/{SECOND}"), SECOND_TEXT.replace('8', "9"));
    delivers_text(&scene, SECOND, SECOND_TEXT, &["from this node's copy", "is damaged"]);
    // A call that sees the damage keeps what it knows.
    delivers_text(&scene, SECOND, SECOND_TEXT, &["is damaged"]);
}

#[test]
fn a_history_is_answered_though_the_repository_hangs() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    scene.restore(THIRD).silent(1);
    let stored = scene.shown(&format!("repo/{SECOND}"));
    let args = ["restore", SECOND, "pg_wal/RECOVERYXLOG", "--timeout", "1s"];
    let says = ["from this node's copy: the repository failed (no end after 1s"];
    scene.run_hanging(&stored, &args).refused(0, &says);
    assert_eq!(scene.delivered().as_deref(), Some(SECOND_TEXT.as_bytes()));
    scene.remove("data/pg_wal/RECOVERYXLOG");
    // The server finds its own one next, and a recovery need not stop.
    scene.remove("data.walkeep-state/histories.json");
    scene.run_hanging(&stored, &args).refused(255, &["no end after 1s"]);
    scene.write(format!("data/pg_wal/{SECOND}"), SECOND_TEXT);
    scene.run_hanging(&stored, &args).refused(1, &["warning: ", "no end after 1s"]);
    assert_eq!(scene.delivered(), None);
}

#[test]
fn a_copy_that_others_could_have_written_is_not_used() {
    let scene = recovering();
    scene.store(SECOND, SECOND_TEXT);
    scene.restore(THIRD).silent(1);
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    tool("chmod", &["777".as_ref(), scene.path("data.walkeep-state").as_ref()]);
    scene.restore(SECOND).refused(255, &["is not a walkeep repository"]);
}

#[test]
fn a_newer_timeline_after_a_missing_number_stops_a_recovery_to_the_newest() {
    let scene = recovering();
    scene.store(THIRD, "1\t0/FFF80000\tno recovery target specified\n");
    scene.restore(SECOND).refused(255, &["timeline 3 is stored", "recovery_target_timeline = '3'"]);
    for (target, code) in [("3", 1), ("current", 1), ("latest", 255), ("1", 1)] {
        scene.configure(&format!("recovery_target_timeline = '{target}'\n"));
        assert_eq!(scene.restore(SECOND).code, Some(code), "{target}");
    }
    scene.configure("");
    let args = ["restore", SECOND, "pg_wal/RECOVERYHISTORY", "--gap-is-end"];
    scene.call(&args).run().silent(1);
    scene.make_standby();
    scene.restore(SECOND).silent(1);
    scene.remove("data/standby.signal");
    // One that left before the server's position cannot be followed.
    scene.remove(format!("repo/{THIRD}"));
    scene.remove(format!("repo/{THIRD}.sha256"));
    scene.store(THIRD, "1\t0/1000000\tlong ago\n");
    scene.restore(SECOND).silent(1);
}

#[test]
fn a_number_that_the_target_passes_by_stops_nothing() {
    let scene = recovering();
    // A false promotion whose history was set aside, and the timeline that lives.
    scene.store(&name_of(2, 0xFFE), segment_as(2, 0xFFE));
    scene.store(THIRD, "1\t0/FFF80000\tno recovery target specified\n");
    scene
        .restore(SECOND)
        .refused(255, &["segments of timeline 2, but not its history", "recovery_target_timeline"]);
    scene.configure("recovery_target_timeline = '3'\n");
    scene.restore(SECOND).silent(1);
    // Its number is not free for a new timeline.
    scene.configure("recovery_target_timeline = '1'\n");
    scene
        .restore(SECOND)
        .refused(255, &["segments of timeline 2", "walkeep set-aside --timeline 2 --reason"]);
    scene.call(&["set-aside", "--timeline", "2", "--reason", "a false promotion"]).run().code(0);
    scene.restore(SECOND).silent(1);
}
