//! `restore --prefetch`: what lies ready is delivered where it is proven to be what a plain restore would deliver, and
//! every answer is that of a plain restore.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::*;

const SPOOL: &str = "data.walkeep-spool";
const DESTINATION: &str = "data/pg_wal/RECOVERYXLOG";

fn args<'a>(name: &'a str, segments: &'a str) -> [&'a str; 7] {
    ["restore", name, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s", "--prefetch", segments]
}

fn restore_ahead(scene: &Scene, name: &str, segments: &str) -> Outcome {
    scene.call(&args(name, segments)).run()
}

/// Lays ready what comes behind a segment, and is done when this returns.
fn lay_ready(scene: &Scene, name: &str, segments: &str) {
    scene.call(&args(name, segments)).args(&["--lay-ready"]).run();
}

/// The files that lie ready, in their order.
fn ready(scene: &Scene) -> Vec<PathBuf> {
    let names = scene.listing(SPOOL);
    let names = names.into_iter().filter(|name| !name.contains('/') && name.matches('.').count() == 2);
    names.map(|name| scene.path(SPOOL).join(name)).collect()
}

fn ready_names(scene: &Scene) -> Vec<String> {
    let name =
        |path: PathBuf| path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
    ready(scene).into_iter().map(name).collect()
}

fn inode(path: impl Into<PathBuf>) -> u64 {
    fs::symlink_metadata(path.into()).unwrap().ino()
}

/// Waits until no process is left in the data directory: one that a call started is there when that call has ended. Its
/// command line shows later, and its locks are gone no later than its place.
#[track_caller]
fn settle(scene: &Scene) {
    let data = scene.path("data");
    let is_there =
        |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|directory| directory == data);
    until("no process prefetches", || {
        !fs::read_dir("/proc").unwrap().flatten().any(|process| is_there(&process.path()))
    });
}

/// Delivers the right bytes, and not the file that lies ready.
#[track_caller]
fn fetches(scene: &Scene, name: &str) {
    let outcome = scene.call(&args(name, "1")).arg("-v").run();
    let told = format!("info: delivered '{name}', sha256 {}\n", sha256(&segment(name)));
    assert!(outcome.code == Some(0) && outcome.stderr.starts_with(&told), "{outcome:#?}");
    assert!(scene.delivered() == Some(segment(name)));
    scene.remove(DESTINATION);
    settle(scene);
}

/// A scene in which the second segment lies ready, and the inode of that file.
fn second_lies_ready(compress: &str) -> (Scene, u64) {
    let scene = Scene::with_repository(compress);
    scene.make_recovery();
    scene.store_segments(&SEGMENTS[..2]);
    lay_ready(&scene, SEGMENT, "1");
    assert_eq!(ready_names(&scene), [SEGMENTS[1]]);
    let laid = inode(ready(&scene).remove(0));
    (scene, laid)
}

// ---- delivery

#[test]
fn what_comes_next_is_laid_ready_and_delivered_by_its_name() {
    for compress in ["zstd", "none"] {
        let scene = Scene::with_repository(compress);
        scene.store_segments(&SEGMENTS);
        restore_ahead(&scene, SEGMENT, "3").silent_success();
        assert!(scene.delivered() == Some(segment(SEGMENT)));
        until("three are ready", || ready_names(&scene) == SEGMENTS[1..4]);
        for name in &SEGMENTS[1..] {
            settle(&scene);
            assert!(ready_names(&scene).contains(&(*name).to_owned()), "{:?}", ready_names(&scene));
            // A process that fetches late may have prefetched again what was delivered meanwhile.
            let is_next = |path: &PathBuf| path.to_str().unwrap().contains(name);
            let laid = inode(ready(&scene).into_iter().find(is_next).unwrap());
            scene.write(DESTINATION, "what a killed recovery left");
            let outcome = scene.call(&args(name, "3")).arg("-v").run();
            let told = format!(
                "info: delivered '{name}', which was prefetched, sha256 {}\n",
                sha256(&segment(name))
            );
            assert_eq!((outcome.code, outcome.stderr), (Some(0), told));
            assert!(scene.delivered() == Some(segment(name)), "{name}");
            assert_eq!((inode(scene.path(DESTINATION)), scene.mode(DESTINATION)), (laid, 0o640));
            assert_eq!(scene.listing("data/pg_wal"), ["RECOVERYXLOG", "archive_status/"]);
        }
        settle(&scene);
        until("nothing more is ready", || {
            lay_ready(&scene, SEGMENTS[SEGMENTS.len() - 1], "3");
            scene.listing(SPOOL) == ["lock", "staging/"]
        });
        assert_eq!((scene.mode(SPOOL), scene.mode(format!("{SPOOL}/staging"))), (0o700, 0o700));
        restore_ahead(&scene, &name_of(1, 0x1002), "3").silent(1);
    }
}

/// Runs a server's first process with the data directory, and the call as its child.
fn restore_under_process_one(scene: &Scene, pid: &str) -> Outcome {
    need_root("it makes a PID namespace");
    let script = format!(
        "printf '%s\\n' {pid} \"$PWD\" > postmaster.pid; \"$@\" 2> ../told; code=$?; cat ../told >&2; \
         while pgrep -f [l]ay-ready > /dev/null; do sleep 0.01; done; exit $code"
    );
    let call = scene.call_by(&["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", &script, "sh"]);
    call.args(&args(SEGMENT, "2")).arg("-v").run()
}

#[test]
fn nothing_is_fetched_ahead_where_the_server_would_take_the_death_of_whoever_does_for_a_crash() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..3]);
    let outcome = restore_under_process_one(&scene, "1");
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(scene.delivered() == Some(segment(SEGMENT)));
    assert!(!scene.path(SPOOL).exists(), "{:?}", scene.listing(SPOOL));
    outcome.says(&["info: cannot fetch ahead\n", "cause: the server is process 1 of its container"]);
    // The same shell, and no server.
    restore_under_process_one(&scene, "999999");
    assert_eq!(ready_names(&scene), SEGMENTS[1..3]);
}

#[test]
fn what_lies_ready_gets_the_mode_of_its_new_place() {
    let (scene, laid) = second_lies_ready("zstd");
    fs::set_permissions(scene.path("data/pg_wal"), Permissions::from_mode(0o700)).unwrap();
    restore_ahead(&scene, SEGMENTS[1], "1").silent_success();
    assert_eq!((inode(scene.path(DESTINATION)), scene.mode(DESTINATION)), (laid, 0o600));
}

#[test]
fn on_another_file_system_what_lies_ready_is_copied() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..2]);
    let _disk = SmallDisk::mount(scene.path("spools"), "size=16m,mode=755");
    let call = |name| scene.call(&args(name, "2")).arg("--spool").arg(scene.path("spools"));
    call(SEGMENT).arg("--lay-ready").run();
    let folder = scene.listing("spools").remove(0);
    assert!(folder.starts_with("walkeep-spool-"), "{folder}");
    assert_eq!(scene.listing(&format!("spools/{folder}")).len(), 3);
    let outcome = call(SEGMENTS[1]).arg("-v").run();
    assert!(outcome.stderr.contains("which was prefetched"), "{outcome:?}");
    assert!(scene.delivered() == Some(segment(SEGMENTS[1])));
    assert_eq!(scene.listing("data/pg_wal"), ["RECOVERYXLOG", "archive_status/"]);
    settle(&scene);
    assert_eq!(scene.listing(&format!("spools/{folder}")).len(), 2, "nothing is ready");
    assert!(!scene.path(SPOOL).exists());
}

#[test]
fn only_a_servers_recovery_is_fetched_ahead_of_and_only_where_that_is_asked_for() {
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    scene.store_segments(&SEGMENTS);
    scene.store(HISTORY.0, fixture(HISTORY.1));
    let call = |name: &str, destination: &str, more: &[&str]| {
        scene.call(&["restore", name, destination]).args(more).run().silent_success();
    };
    // pg_rewind gives the file its own name; a person, any.
    call(SEGMENT, &format!("pg_wal/{SEGMENT}"), &["--prefetch", "4"]);
    call(SEGMENT, "../elsewhere/RECOVERYXLOG", &["--prefetch", "4"]);
    call(HISTORY.0, "pg_wal/RECOVERYHISTORY", &["--prefetch", "4"]);
    call(SEGMENT, "pg_wal/RECOVERYXLOG", &[]);
    call(SEGMENT, "pg_wal/RECOVERYXLOG", &["--prefetch", "0"]);
    assert!(!scene.path(SPOOL).exists());
    for (key, value) in [("WALKEEP_PREFETCH", "1"), ("WALKEEP_CONFIG", "")] {
        let config = scene.write("elsewhere/walkeep.toml", "[restore]\nprefetch = 1\n");
        let value = if value.is_empty() { config.to_str().unwrap() } else { value };
        scene.call(&["restore", SEGMENT, "pg_wal/RECOVERYXLOG"]).env(key, value).run().silent_success();
        settle(&scene);
        assert_eq!(ready_names(&scene), [SEGMENTS[1]]);
        fs::remove_dir_all(scene.path(SPOOL)).unwrap();
    }
    scene
        .call(&["restore", SEGMENT, "x"])
        .env("WALKEEP_PREFETCH", "many")
        .run()
        .refused(255, &["WALKEEP_PREFETCH"]);
}

// ---- the same answers

#[test]
fn a_repository_that_changed_meanwhile_is_answered_from_as_it_is_now() {
    let (scene, _) = second_lies_ready("zstd");
    scene.call(&["set-aside", SEGMENTS[1], "--reason", "a test"]).run().code(0);
    restore_ahead(&scene, SEGMENTS[1], "1").silent(1);
    assert_eq!(scene.delivered(), None);

    let (scene, _) = second_lies_ready("zstd");
    let stored = scene.path(format!("repo/{}.zst", SEGMENTS[1]));
    fs::copy(&stored, scene.path("again")).unwrap();
    fs::rename(scene.path("again"), &stored).unwrap();
    fetches(&scene, SEGMENTS[1]);

    let (scene, _) = second_lies_ready("zstd");
    put_with("cp", &scene.path("repo"), SEGMENTS[1], &segment(SEGMENTS[1]));
    fetches(&scene, SEGMENTS[1]);

    let (scene, _) = second_lies_ready("zstd");
    scene.write(format!("repo/{}.zst", SEGMENTS[1]), "damaged");
    restore_ahead(&scene, SEGMENTS[1], "1").refused(255, &["is damaged"]);

    let (scene, _) = second_lies_ready("none");
    scene.write(format!("repo/{}.sha256", SEGMENTS[1]), format!("{}  {}\n", "0".repeat(64), SEGMENTS[1]));
    restore_ahead(&scene, SEGMENTS[1], "1").refused(255, &["is damaged"]);
    assert_eq!(scene.delivered(), None);
}

#[test]
fn what_lies_ready_answers_for_nothing_else() {
    let (scene, _) = second_lies_ready("zstd");
    scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
    restore_ahead(&scene, SEGMENTS[1], "1").refused(255, &["the repository belongs to system identifier"]);
    assert_eq!(scene.delivered(), None);

    // The same segment of a timeline that forked before it.
    let (scene, laid) = second_lies_ready("zstd");
    scene.store(&name_of(2, 0xFFE), segment_as(2, 0xFFE));
    restore_ahead(&scene, &name_of(2, 0xFFE), "1").silent_success();
    assert!(scene.delivered() == Some(segment_as(2, 0xFFE)));
    assert_ne!(inode(scene.path(DESTINATION)), laid);

    let (scene, _) = second_lies_ready("zstd");
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    restore_ahead(&scene, SEGMENTS[1], "1").refused(255, &["is not a walkeep repository"]);
    assert_eq!(scene.delivered(), None);

    // A gap stays one, and the end stays the end.
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    scene.store_segments(&[SEGMENT, SEGMENTS[2]]);
    lay_ready(&scene, SEGMENT, "4");
    assert_eq!(ready_names(&scene), [""; 0], "it stops at what is not stored");
    restore_ahead(&scene, SEGMENTS[1], "4").refused(255, &["the repository has a gap"]);
    restore_ahead(&scene, SEGMENTS[3], "4").silent(1);
}

#[test]
fn what_is_in_another_repository_is_not_delivered_from_the_spool() {
    let (scene, laid) = second_lies_ready("zstd");
    tool("cp", &["-a".as_ref(), scene.path("repo").as_ref(), scene.path("other").as_ref()]);
    let call = scene.call(&args(SEGMENTS[1], "1")).env("WALKEEP_REPO", scene.path("other"));
    call.run().silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENTS[1])));
    assert_ne!(inode(scene.path(DESTINATION)), laid);
}

#[test]
fn what_was_fetched_without_a_header_check_is_not_delivered_where_one_is_wanted() {
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    let encrypted: Vec<u8> = (0..=250).cycle().take(MIB).collect();
    scene.store_segments(&[SEGMENT]);
    put_with("gzip", &scene.path("repo"), SEGMENTS[1], &encrypted);
    lay_ready(&scene, SEGMENT, "1");
    assert_eq!(ready_names(&scene), [""; 0], "what cannot be proven is not laid ready");
    scene.call(&args(SEGMENT, "1")).args(&["--lay-ready", "--no-header-check"]).run();
    assert_eq!(ready_names(&scene), [SEGMENTS[1]]);
    restore_ahead(&scene, SEGMENTS[1], "1").refused(255, &["its first page"]);
    let outcome = scene.call(&args(SEGMENTS[1], "1")).args(&["--no-header-check", "-v"]).run();
    assert!(outcome.code == Some(0) && outcome.stderr.contains("which was prefetched"), "{outcome:?}");
    assert!(scene.delivered() == Some(encrypted));
}

// ---- a spool that cannot be trusted

#[test]
fn what_was_touched_in_the_spool_is_never_delivered() {
    let flipped = {
        let mut bytes = segment(SEGMENTS[1]);
        bytes[MIB / 2] ^= 1;
        bytes
    };
    let (whole, other) = (segment(SEGMENTS[1]), segment(SEGMENTS[2]));
    for bytes in [&flipped[..], &whole[..MIB / 2], &[], &[&whole[..], &[0]].concat(), &other[..]] {
        let (scene, _) = second_lies_ready("zstd");
        fs::write(ready(&scene).remove(0), bytes).unwrap();
        fetches(&scene, SEGMENTS[1]);
    }
    // Another file, a link, a folder or a pipe under the name; and a name that says something else.
    let instead: [fn(&Scene, &PathBuf); 5] = [
        |scene, at| {
            fs::write(scene.path("elsewhere/x"), segment(SEGMENTS[2])).unwrap();
            fs::rename(scene.path("elsewhere/x"), at).unwrap();
        },
        |scene, at| {
            fs::rename(at, scene.path("elsewhere/x")).unwrap();
            symlink(scene.path("elsewhere/x"), at).unwrap();
        },
        |_, at| {
            fs::remove_file(at).unwrap();
            fs::create_dir(at).unwrap();
        },
        |_, at| {
            fs::remove_file(at).unwrap();
            tool("mkfifo", &[at.as_ref()]);
        },
        |_, at| {
            let name = at.file_name().unwrap().to_str().unwrap();
            let (name, token) = name.rsplit_once('.').unwrap();
            let turned: String = token.chars().rev().collect();
            fs::rename(at, at.with_file_name(format!("{name}.{turned}"))).unwrap();
        },
    ];
    for put in instead {
        let (scene, _) = second_lies_ready("zstd");
        put(&scene, &ready(&scene).remove(0));
        let linked = scene.read_if_there("elsewhere/x");
        fetches(&scene, SEGMENTS[1]);
        assert!(scene.read_if_there("elsewhere/x") == linked, "what a link leads to is left alone");
    }
}

#[test]
fn a_spool_that_others_can_reach_is_not_used() {
    let (scene, _) = second_lies_ready("zstd");
    for mode in [0o755, 0o770, 0o1777] {
        fs::set_permissions(scene.path(SPOOL), Permissions::from_mode(mode)).unwrap();
        let before = scene.snapshot(SPOOL);
        fetches(&scene, SEGMENTS[1]);
        assert!(scene.snapshot(SPOOL) == before);
    }
    let outcome = scene.call(&args(SEGMENTS[1], "1")).arg("-v").run();
    let says = "info: cannot fetch ahead\ncause: '";
    assert!(outcome.code == Some(0) && outcome.stderr.contains(says), "{outcome:?}");
    assert!(outcome.stderr.contains("is no directory of this user alone"), "{outcome:?}");
    fs::set_permissions(scene.path(SPOOL), Permissions::from_mode(0o700)).unwrap();
    scene.give_away(SPOOL);
    fetches(&scene, SEGMENTS[1]);
    // A link that leads to a good one.
    tool("chown", &["-R".as_ref(), "0:0".as_ref(), scene.path(SPOOL).as_ref()]);
    fs::rename(scene.path(SPOOL), scene.path("moved")).unwrap();
    symlink(scene.path("moved"), scene.path(SPOOL)).unwrap();
    let before = scene.snapshot("moved");
    fetches(&scene, SEGMENTS[1]);
    assert!(scene.snapshot("moved") == before);
}

#[test]
fn where_there_can_be_no_spool_a_restore_is_a_plain_one() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..2]);
    for (spool, says) in [
        ("not/there", "cannot look at"),
        ("data/PG_VERSION", "cannot"),
        ("data", "lies in the data directory"),
        ("data/pg_wal", "lies in the data directory"),
    ] {
        let data = scene.listing("data");
        let call =
            |more: &[&str]| scene.call(&args(SEGMENT, "2")).arg("--spool").arg(scene.path(spool)).args(more);
        call(&[]).run().silent_success();
        let outcome = call(&["-v"]).run();
        assert!(outcome.code == Some(0) && outcome.stderr.contains(says), "{outcome:?}");
        assert!(scene.delivered() == Some(segment(SEGMENT)));
        scene.remove(DESTINATION);
        call(&["--lay-ready"]).run().silent(1);
        assert_eq!(scene.listing("data"), data);
    }
    // As a user who may write into the data directory, and not beside it.
    scene.give_away("data");
    tool("chmod", &["-R".as_ref(), "a+rX".as_ref(), scene.path("repo").as_ref()]);
    scene.call_as_nobody(&args(SEGMENT, "2")).run().silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENT)) && !scene.path(SPOOL).exists());
}

#[test]
fn a_full_disk_costs_the_spool_and_never_the_servers_room() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS);
    let disk = SmallDisk::mount(scene.path("spools"), "size=5500k,mode=755");
    let spooled = || scene.listing("spools").iter().filter(|name| name.matches('.').count() == 2).count();
    let call = |name, segments| scene.call(&args(name, segments)).arg("--spool").arg(scene.path("spools"));
    // Five fit: what may be laid ready stays free once more.
    for (segments, laid) in [("5", 0), ("4", 1), ("2", 2)] {
        call(SEGMENT, segments).arg("--lay-ready").run();
        assert_eq!(spooled(), laid, "{segments}");
    }
    tool(
        "sh",
        &["-c".as_ref(), format!("head -c 9m /dev/zero > {}/full; true", scene.shown("spools")).as_ref()],
    );
    for name in &SEGMENTS[..3] {
        call(name, "2").run().silent_success();
        assert!(scene.delivered() == Some(segment(name)));
        scene.remove(DESTINATION);
    }
    settle(&scene);
    drop(disk);
}

// ---- what is left behind

#[test]
fn what_is_of_no_use_is_taken_away_and_what_is_not_ours_stays() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS);
    lay_ready(&scene, SEGMENT, "4");
    let leftover = format!("{}.{}.{}", name_of(2, 0xFFE), "0".repeat(64), "0".repeat(64));
    scene.write(format!("{SPOOL}/{leftover}"), "of another timeline");
    scene.write(format!("{SPOOL}/staging/{}.0000000000000000", SEGMENTS[1]), "half of it");
    scene.write(format!("{SPOOL}/notes.txt"), "of a person");
    // The recovery begins anew, far behind: what lies ready is not what comes next.
    lay_ready(&scene, SEGMENTS[3], "1");
    assert_eq!(ready_names(&scene), [SEGMENTS[4]]);
    assert_eq!(scene.listing(SPOOL).len(), 4, "{:?}", scene.listing(SPOOL));
    assert!(scene.listing(SPOOL).contains(&"notes.txt".to_owned()));
    assert_eq!(scene.listing(&format!("{SPOOL}/staging")), [""; 0]);
    lay_ready(&scene, SEGMENT, "2");
    assert_eq!(scene.listing(SPOOL).iter().filter(|name| name.starts_with("0000")).count(), 2);
}

#[test]
fn a_history_ends_it_for_a_recovery_asks_for_one_when_it_has_come_to_its_end() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS);
    lay_ready(&scene, SEGMENT, "4");
    assert_eq!(ready_names(&scene), SEGMENTS[1..]);
    let history = ["restore", "00000002.history", "pg_wal/RECOVERYHISTORY", "--prefetch", "4"];
    scene.call(&history).run().silent(1);
    assert_eq!(scene.listing(SPOOL), ["lock", "staging/"]);
    // Whoever is still fetching is told, and takes away what it has laid ready.
    scene.write(format!("{SPOOL}/stop"), "");
    lay_ready(&scene, SEGMENT, "4");
    assert_eq!(scene.listing(SPOOL), ["lock", "staging/"]);
}

#[test]
fn whoever_fetches_is_alone_and_takes_no_terminal_group_or_pipe_along() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS);
    lay_ready(&scene, SEGMENT, "1");
    let lock = fs::File::open(scene.path(SPOOL).join("lock")).unwrap();
    lock.lock().unwrap();
    lay_ready(&scene, SEGMENT, "4");
    assert_eq!(ready_names(&scene), [SEGMENTS[1]]);
    // What somebody else would have to lay ready first is not waited for.
    restore_ahead(&scene, SEGMENTS[2], "4").silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENTS[2])));
    settle(&scene);
    drop(lock);
    // The call ends, with its pipes closed, while the one that it started is held up.
    let slow = ["-e", "trace=linkat", "-e", "inject=linkat:delay_enter=100000"];
    let traced = scene.call_under_strace(&slow, &args(SEGMENT, "2")).arg("-v").run();
    assert_eq!(traced.code, Some(0));
    settle(&scene);
    assert_eq!(ready_names(&scene), SEGMENTS[1..3]);
}

#[test]
fn when_the_data_directory_goes_or_the_recovery_ends_it_is_over_and_nothing_is_left() {
    let ends: [fn(&Scene); 3] = [
        |scene| fs::rename(scene.path("data"), scene.path("gone")).unwrap(),
        |scene| scene.remove("data/recovery.signal"),
        |scene| scene.write("data/standby.signal", "").exists().then_some(()).unwrap(),
    ];
    for end in ends {
        let scene = Scene::with_repository("zstd");
        scene.store_segments(&SEGMENTS);
        scene.write("data/recovery.signal", "");
        let args = [&args(SEGMENT, "4")[..], &["--lay-ready"]].concat();
        let stopped = scene.stop_after("linkat", &args);
        assert!(!ready(&scene).is_empty(), "one is ready");
        end(&scene);
        stopped.go_on().silent(0);
        assert_eq!(scene.listing(SPOOL), ["lock", "staging/"]);
    }
}
