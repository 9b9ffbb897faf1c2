//! Look-ahead: what waits behind the file that was asked for is stored with it. That file alone decides what the server
//! is told, and no mark is changed.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::support::*;
use crate::watch::while_busy;

/// A queue of fixture segments that are as old as those of a backlog are.
fn backlog(scene: &Scene, names: &[&str]) {
    scene.offer_segments(names);
    names.iter().for_each(|name| rest(scene, name));
}

fn rest(scene: &Scene, name: &str) {
    let file = File::open(scene.path(format!("data/pg_wal/{name}"))).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
}

fn packed(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name}.zst")).collect()
}

fn archive(scene: &Scene, name: &str, args: &[&str]) -> Outcome {
    scene.call(&["archive", &format!("pg_wal/{name}")]).args(args).without_limits_of_time().run()
}

/// The marks of the queue; the server alone changes them.
fn marks(scene: &Scene) -> Vec<String> {
    scene.listing("data/pg_wal/archive_status")
}

fn content_of(scene: &Scene, name: &str) -> Vec<u8> {
    zstd::stream::decode_all(File::open(scene.path(format!("repo/{name}.zst"))).unwrap()).unwrap()
}

#[test]
fn what_waits_behind_the_file_is_stored_with_it_and_the_next_calls_are_answered_at_once() {
    for jobs in ["1", "3"] {
        let scene = Scene::with_repository("zstd");
        backlog(&scene, &SEGMENTS);
        let before = marks(&scene);
        archive(&scene, SEGMENTS[0], &["-j", jobs]).silent_success();
        assert_eq!(scene.stored(), packed(&SEGMENTS));
        assert_eq!(marks(&scene), before, "the marks are the server's");
        assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
        for name in SEGMENTS {
            assert_eq!(content_of(&scene, name), segment(name));
        }
        let stored = scene.snapshot("repo");
        for name in SEGMENTS {
            // Nobody reads a file that is confirmed by its stamp.
            let source = scene.shown(&format!("data/pg_wal/{name}"));
            let watch = ["-P", &source, "-e", "trace=openat"];
            let path = format!("pg_wal/{name}");
            let call = scene.call_under_strace(&watch, &["archive", &path]).without_limits_of_time();
            call.run().silent_success();
            assert_eq!(String::from_utf8(scene.read("strace.out")).unwrap(), "", "{name} was opened");
        }
        assert!(scene.snapshot("repo") == stored);
    }
}

#[test]
fn how_far_is_looked_ahead_is_what_was_typed_or_set() {
    let file = "[archive]\nahead = 1\njobs = 2\n";
    for (args, config, stored) in [
        (&["--ahead", "0"][..], None, 1),
        (&["--ahead", "2", "--jobs", "1"], None, 3),
        (&["--ahead", "1024"], None, 5),
        (&[], Some(file), 2),
        (&["--ahead", "3"], Some(file), 4),
        (&[], None, 5),
    ] {
        let scene = Scene::with_repository("zstd");
        backlog(&scene, &SEGMENTS);
        let call = scene.call(&["archive", &format!("pg_wal/{}", SEGMENTS[0])]).args(args);
        let call = call.without_limits_of_time();
        let call = match config {
            Some(text) => call.env("WALKEEP_CONFIG", scene.write("walkeep.toml", text)),
            None => call,
        };
        call.run().silent_success();
        assert_eq!(scene.stored(), packed(&SEGMENTS[..stored]), "{args:?}, {config:?}");
    }
}

#[test]
fn a_file_ahead_that_fails_fails_no_call_but_its_own() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS);
    // One that is stored with other content, and one that is another segment than its name says.
    let mut other = segment(SEGMENTS[1]);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), other);
    archive(&scene, SEGMENTS[1], &["--ahead", "0"]).silent_success();
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), segment(SEGMENTS[1]));
    scene.write(format!("data/pg_wal/{}", SEGMENTS[3]), segment(SEGMENTS[4]));
    [SEGMENTS[1], SEGMENTS[3]].iter().for_each(|name| rest(&scene, name));

    let told = format!("warning: cannot archive '{}' and 1 others ahead\n", SEGMENTS[1]);
    archive(&scene, SEGMENTS[0], &["-j", "1"]).refused(0, &[&told, "diverged"]);
    assert_eq!(scene.stored(), packed(&[SEGMENTS[0], SEGMENTS[1], SEGMENTS[2], SEGMENTS[4]]));
    // It is told once, and not with each file that is confirmed.
    archive(&scene, SEGMENTS[0], &[]).silent_success();
    archive(&scene, SEGMENTS[2], &[]).silent_success();
    archive(&scene, SEGMENTS[1], &[]).refused(1, &["diverged"]);
    archive(&scene, SEGMENTS[3], &[]).refused(1, &["is not what its name says"]);
}

#[test]
fn the_file_that_was_asked_for_fails_whatever_waits_behind_it() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS);
    scene.write(format!("data/pg_wal/{}", SEGMENTS[0]), segment(SEGMENTS[4]));
    archive(&scene, SEGMENTS[0], &[]).refused(1, &["is not what its name says"]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn files_that_are_gone_or_were_written_just_now_are_left_to_their_own_calls() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS);
    // An orphan, a file of this moment, one of the future, and one that the server marked meanwhile.
    scene.remove(format!("data/pg_wal/{}", SEGMENTS[1]));
    let now = SystemTime::now();
    let written = |name: &str, at: SystemTime| {
        File::open(scene.path(format!("data/pg_wal/{name}"))).unwrap().set_modified(at).unwrap();
    };
    written(SEGMENTS[2], now - Duration::from_secs(1));
    written(SEGMENTS[3], now + Duration::from_secs(3600));
    let call = scene.call(&["archive", &format!("pg_wal/{}", SEGMENTS[0])]).at(now);
    call.without_limits_of_time().run().silent_success();
    assert_eq!(scene.stored(), packed(&[SEGMENTS[0], SEGMENTS[4]]));
    archive(&scene, SEGMENTS[1], &[]).refused(1, &["an orphan"]);
    for name in &SEGMENTS[2..] {
        archive(&scene, name, &[]).silent_success();
    }
    assert_eq!(scene.stored(), packed(&[&SEGMENTS[..1], &SEGMENTS[2..]].concat()));
}

#[test]
fn behind_a_history_or_the_end_of_a_run_the_rest_of_the_queue_is_stored() {
    let scene = Scene::with_repository("zstd");
    scene.offer(HISTORY.0, fixture(HISTORY.1));
    scene.offer(BACKUP.0, fixture(BACKUP.1));
    backlog(&scene, &[SEGMENTS[1], SEGMENTS[4]]);
    [HISTORY.0, BACKUP.0].iter().for_each(|name| rest(&scene, name));
    archive(&scene, SEGMENTS[4], &[]).silent_success();
    let sidecar = |name: &str| format!("{name}.sha256");
    let mut expected = packed(&[SEGMENTS[1], SEGMENTS[4]]);
    expected.extend([HISTORY.0, BACKUP.0].map(str::to_owned));
    expected.extend([sidecar(HISTORY.0), sidecar(BACKUP.0)]);
    expected.sort();
    assert_eq!(scene.stored(), expected);
}

#[test]
fn a_file_that_no_server_asks_for_brings_no_others() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS);
    let status = |suffix| scene.path(format!("data/pg_wal/archive_status/{}{suffix}", SEGMENTS[0]));
    fs::rename(status(".ready"), status(".done")).unwrap();
    archive(&scene, SEGMENTS[0], &[]).silent_success();
    assert_eq!(scene.stored(), packed(&SEGMENTS[..1]));
}

#[test]
fn a_look_ahead_that_hangs_is_given_up_and_the_file_is_acknowledged() {
    // The limit holds for the file as well, which a slow machine may not store in time: then it is given more.
    for seconds in (0..10).map(|doublings| 1 << doublings) {
        let scene = Scene::with_repository("zstd");
        backlog(&scene, &SEGMENTS);
        let next = scene.shown(&format!("data/pg_wal/{}", SEGMENTS[1]));
        let (path, limit) = (format!("pg_wal/{}", SEGMENTS[0]), format!("{seconds}s"));
        let outcome = scene.run_hanging(&next, &["archive", &path, "--timeout", &limit, "-j", "1"]);
        let says = format!("no end after {seconds}s");
        if outcome.code == Some(1) {
            outcome.refused(1, &[&says, "hint: Nothing was acknowledged"]);
            continue;
        }
        outcome.refused(0, &["warning: cannot archive ahead", &says]);
        assert_eq!(scene.stored(), packed(&SEGMENTS[..1]));
        return;
    }
    panic!("no file was stored within a limit of minutes");
}

#[test]
fn calls_that_look_ahead_at_once_store_each_file_once() {
    let scene = Scene::with_repository("none");
    let names: Vec<String> = (0xA00..0xA20).map(|number| name_of(1, number)).collect();
    for (name, number) in names.iter().zip(0xA00..) {
        scene.offer(name, segment_as(1, number));
        rest(&scene, name);
    }
    let calls = [0, 1, 5, 9].map(|at| {
        let call = scene.call(&["archive", &format!("pg_wal/{}", names[at]), "-j", "2"]);
        call.without_limits_of_time().spawn()
    });
    for call in calls {
        call.end().silent_success();
    }
    for (name, number) in names.iter().zip(0xA00..) {
        assert_eq!(scene.read(format!("repo/{name}")), segment_as(1, number), "{name}");
        let line = format!("{}  {name}\n", sha256(&segment_as(1, number)));
        assert_eq!(scene.read(format!("repo/{name}.sha256")), line.as_bytes());
    }
    assert_eq!(scene.stored().len(), 64);
    assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
}

/// A call of the server's that is stopped while it stores a file, and the moment at which it wrote last.
fn half_done(scene: &Scene, name: &str) -> (Stopped, SystemTime) {
    let stopped = scene.stop_after("fsync", &["archive", &format!("pg_wal/{name}"), "--ahead", "0"]);
    let staged = scene.listing("repo/.walkeep/staging").into_iter().find(|at| at.starts_with(name)).unwrap();
    let written = changed_at(&scene.path(format!("repo/.walkeep/staging/{staged}")));
    (stopped, written)
}

#[test]
fn a_file_that_another_process_is_storing_is_waited_for_and_neither_read_nor_stored_again() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS[..1]);
    let (first, written) = half_done(&scene, SEGMENTS[0]);
    let source = scene.shown(&format!("data/pg_wal/{}", SEGMENTS[0]));
    let staging = scene.shown("repo/.walkeep/staging");
    let watch = ["-o", &scene.shown("second.out"), "-P", &source, "-P", &staging, "-e", "trace=openat"];
    let path = format!("pg_wal/{}", SEGMENTS[0]);
    // To the second call the first one has written just now, for as long as it is stopped.
    let second = scene.call_under_strace(&watch, &["archive", &path]).at(written).without_limits_of_time();
    let second = second.spawn();
    let opened = || String::from_utf8(scene.read_if_there("second.out").unwrap_or_default()).unwrap();
    until("the second call waits", || opened().matches(&*staging).count() >= 3);
    // It goes on when the first one is done: what it sees of the work in between depends on the machine.
    second.signal_traced("STOP");
    first.go_on().silent_success();
    second.signal_traced("CONT");
    second.end().silent_success();
    assert!(!opened().contains(&*source), "it was opened: {}", opened());
    assert_eq!(scene.stored(), packed(&SEGMENTS[..1]));
}

#[test]
fn what_nobody_goes_on_with_is_stored_by_whoever_is_asked_for_it() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS[..1]);
    // Of another host, whose locks are not seen from here, and which may be gone.
    let left = format!("repo/.walkeep/staging/{}.0123456789abcdef.0123456789abcdef", SEGMENTS[0]);
    scene.write(&left, "half a segment");
    archive(&scene, SEGMENTS[0], &[]).silent_success();
    assert_eq!(content_of(&scene, SEGMENTS[0]), segment(SEGMENTS[0]));
}

#[test]
fn who_goes_on_and_on_is_not_waited_for_without_end() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS[..1]);
    while_busy(&scene, SEGMENTS[0], |now| {
        // Its stopwatch goes on: it waits for as long as it may.
        scene
            .call(&["archive", &format!("pg_wal/{}", SEGMENTS[0])])
            .at(now)
            .run_to_its_end()
            .silent_success();
    });
    assert_eq!(content_of(&scene, SEGMENTS[0]), segment(SEGMENTS[0]));
}

#[test]
fn who_looks_ahead_leaves_out_what_somebody_else_is_storing() {
    let scene = Scene::with_repository("zstd");
    backlog(&scene, &SEGMENTS);
    let (other, written) = half_done(&scene, SEGMENTS[1]);
    let call = scene.call(&["archive", &format!("pg_wal/{}", SEGMENTS[0]), "-v"]).at(written);
    let outcome = call.without_limits_of_time().run();
    outcome.refused(0, &[&format!("stored '{}'", SEGMENTS[0]), "stored 3 files ahead"]);
    other.go_on().silent_success();
    assert_eq!(scene.stored(), packed(&SEGMENTS));
}
