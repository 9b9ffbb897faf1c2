//! The sweeps: a scenario, every fault, the same promises.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::trace::{Ended, Fault, Injection, injections, run, run_hanging, run_with};
use crate::workplace::{FIRST, HISTORY, SECOND, Shape, Workplace, ZSTD};

/// Runs `check` for every fault at every system call of a command, in fresh places, on all cores.
fn sweep(
    shape: Shape,
    command: impl Fn(&Workplace) -> Command + Sync,
    check: impl Fn(&Workplace, &Injection, &Ended) + Sync,
) {
    let template = Workplace::new(shape);
    let traced = template.copy();
    let left = Mutex::new(injections(&command(&traced), &traced.path("trace")));
    let next = || left.lock().unwrap().pop();
    let work = || {
        while let Some(injection) = next() {
            let place = template.copy();
            let ended = run_with(&command(&place), &injection);
            let killed = ended.code.is_none();
            assert!(!killed || injection.fault == Fault::Kill, "{injection:?}: {ended:?}");
            check(&place, &injection, &ended);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// An fsync that failed is never a success, unless it was that of the claim, which comes last, decides nothing, and
/// is told.
fn assert_fsync_was_a_claims(injection: &Injection, ended: &Ended, context: &str) {
    let is_claims = ended.stderr.starts_with("warning: cannot record what this node needs\n");
    assert!(injection.call != "fsync" || is_claims, "an fsync that failed is never a success: {context}");
}

/// The promises of an archive call that something happened to.
fn archive_keeps_its_promises(shape: Shape, name: &'static str) {
    let acknowledged_as = |stored: &std::collections::BTreeMap<String, u64>| {
        stored.keys().any(|file| file == name || *file == format!("{name}.zst"))
    };
    sweep(
        shape,
        |place| place.archive(name),
        |place, injection, ended| {
            let context = format!("{shape:?}, {name}, {injection:?}, {ended:?}");
            // `stored` proves that what stands under a final name is whole and right.
            let stored = place.stored();
            assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
            if ended.code == Some(0) {
                assert!(acknowledged_as(&stored), "a false acknowledgement: {context}");
                assert_fsync_was_a_claims(injection, ended, &context);
            } else if ended.code.is_some() {
                assert!(ended.stderr.starts_with("error: "), "a failure says why: {context}");
            }
            // A call that only confirms the file would sweep nothing.
            place.touch(name);
            place.must(&mut place.archive(name));
            let now = place.stored();
            assert!(acknowledged_as(&now), "{context}");
            for (file, inode) in &stored {
                assert_eq!(now.get(file), Some(inode), "'{file}' was replaced: {context}");
            }
            assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
        },
    );
}

#[test]
fn archive_of_a_new_segment_survives_every_fault() {
    archive_keeps_its_promises(ZSTD, SECOND);
}

#[test]
fn archive_of_a_plain_segment_survives_every_fault() {
    archive_keeps_its_promises(Shape { plain: true, ..ZSTD }, SECOND);
}

#[test]
fn archive_that_binds_the_repository_survives_every_fault() {
    archive_keeps_its_promises(Shape { in_use: false, ..ZSTD }, SECOND);
}

#[test]
fn archive_of_a_history_survives_every_fault() {
    archive_keeps_its_promises(ZSTD, HISTORY);
}

#[test]
fn archive_into_an_adopted_repository_survives_every_fault() {
    archive_keeps_its_promises(Shape { adopted: true, ..ZSTD }, SECOND);
}

#[test]
fn archive_of_what_is_there_already_survives_every_fault() {
    archive_keeps_its_promises(Shape { second_is_there: true, ..ZSTD }, SECOND);
    archive_keeps_its_promises(Shape { plain: true, second_is_there: true, ..ZSTD }, SECOND);
}

#[test]
fn restore_delivers_the_whole_file_or_stops_the_server_whatever_fails() {
    sweep(
        ZSTD,
        |place| place.restore(FIRST),
        |place, injection, ended| {
            let delivered = fs::read(place.path("data/pg_wal/RECOVERYXLOG")).ok();
            let whole = fs::read(place.source(FIRST)).unwrap();
            assert!(delivered.as_ref().is_none_or(|bytes| *bytes == whole), "{injection:?}: a wrong file");
            match ended.code {
                Some(0) => assert!(delivered.is_some(), "{injection:?}"),
                None | Some(255) => {}
                // "Not there" would end the recovery early.
                other => panic!("{injection:?}: {other:?}, {ended:?}"),
            }
            place.must(&mut place.restore(FIRST));
            place.stored();
        },
    );
}

/// A restore of the second segment, which was laid ready when the first one was delivered.
fn restore_of_what_lies_ready(place: &Workplace) -> Command {
    place.must(&mut place.lay_ready(FIRST));
    assert_eq!(place.spooled().len(), 1, "it lies ready");
    place.restore_ahead(SECOND)
}

/// Whatever happened: nothing but the whole file was delivered, nothing was taken for absent, and the next call delivers.
fn prefetch_keeps_the_promises_of_restore(place: &Workplace, injection: &Injection, ended: &Ended) {
    let context = format!("{injection:?}, {ended:?}");
    let destination = place.path("data/pg_wal/RECOVERYXLOG");
    let whole = fs::read(place.source(SECOND)).unwrap();
    let delivered = fs::read(&destination).ok();
    assert!(delivered.as_ref().is_none_or(|bytes| *bytes == whole), "a wrong file: {context}");
    match ended.code {
        Some(0) => assert!(delivered.is_some(), "{context}"),
        None | Some(255) => {}
        // "Not there" would end the recovery early.
        other => panic!("{other:?}: {context}"),
    }
    let _ = fs::remove_file(&destination);
    place.must(&mut place.restore_ahead(SECOND));
    assert!(fs::read(&destination).unwrap() == whole, "{context}");
    place.must(&mut place.lay_ready(FIRST));
    assert!(place.spooled().len() <= 1, "{context}");
    place.must(&mut place.restore_ahead(SECOND));
    assert!(fs::read(&destination).unwrap() == whole, "{context}");
    place.stored();
}

#[test]
fn what_lies_ready_is_delivered_whole_or_fetched_whatever_fails() {
    let shape = Shape { second_is_there: true, ..ZSTD };
    sweep(shape, restore_of_what_lies_ready, prefetch_keeps_the_promises_of_restore);
}

#[test]
fn a_prefetch_that_fails_or_is_killed_anywhere_never_leads_to_a_short_file() {
    let shape = Shape { second_is_there: true, ..ZSTD };
    sweep(
        shape,
        |place| place.lay_ready(FIRST),
        |place, injection, ended| {
            let context = format!("{injection:?}, {ended:?}");
            assert!(matches!(ended.code, None | Some(0 | 1 | 255)), "{context}");
            let whole = fs::read(place.source(SECOND)).unwrap();
            for path in place.spooled() {
                assert!(fs::read(path).unwrap() == whole, "under its name a file is whole: {context}");
            }
            let restored = run(&mut place.restore_ahead(SECOND));
            prefetch_keeps_the_promises_of_restore(place, injection, &restored);
            assert_eq!(restored.code, Some(0), "{context}");
        },
    );
}

#[test]
fn set_aside_never_loses_a_file_whatever_fails() {
    let command =
        |place: &Workplace| place.walkeep(&["set-aside", FIRST, "--reason", "a test", "--repo", "repo"]);
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        let aside = fs::read_dir(place.path("repo/.walkeep/set-aside")).into_iter().flatten();
        let moved = aside.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.ends_with(".zst")
        });
        let moved = moved.count();
        let stored = place.stored().contains_key(&format!("{FIRST}.zst"));
        assert_eq!(moved + usize::from(stored), 1, "it is in one of the two places: {context}");
        if ended.code == Some(0) {
            assert_eq!(moved, 1, "{context}");
        }
        if stored {
            place.must(&mut command(place));
        }
        place.must(&mut place.archive(FIRST));
    });
}

#[test]
fn verify_harms_nothing_and_never_takes_a_failure_for_damage() {
    let command = |place: &Workplace| place.walkeep(&["verify", "--jobs", "1", "--repo", "repo"]);
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0 | 2)), "{context}");
        place.must(&mut command(place));
        place.stored();
        place.must(&mut place.archive(SECOND));
        assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
    });
}

#[test]
fn doctor_leaves_nothing_that_stays_whatever_fails() {
    let command = |place: &Workplace| place.walkeep(&["doctor", "--repo", "repo"]);
    let before = Mutex::new(None);
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
        let is_fsync = injection.call == "fsync" && ended.code == Some(0);
        assert!(!is_fsync, "an fsync that failed is never fine: {context}");
        let names: Vec<String> = place.stored().into_keys().collect();
        let mut before = before.lock().unwrap();
        assert_eq!(before.get_or_insert_with(|| names.clone()), &names, "{context}");
        drop(before);
        place.must(&mut place.archive(SECOND));
        assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
    });
}

#[test]
fn init_can_be_called_again_whatever_failed() {
    let command = |place: &Workplace| place.walkeep(&["init", "--repo", "new", "-D", "data"]);
    sweep(ZSTD, command, |place, injection, ended| {
        assert!(matches!(ended.code, None | Some(0..=2)), "{injection:?}, {ended:?}");
        place.must(&mut command(place));
        let archive = ["archive", "data/pg_wal/000000010000000000000FFE", "--repo", "new"];
        assert_eq!(run(&mut place.walkeep(&archive)).code, Some(0), "{injection:?}");
    });
}

/// The files of a workplace in the server's order, and what a drain has made of their marks.
fn marked_done(place: &Workplace, context: &str) -> Vec<&'static str> {
    let queue = [HISTORY, FIRST, SECOND];
    let has = |name: &str, suffix| place.path(&format!("data/pg_wal/archive_status/{name}{suffix}")).exists();
    for name in queue {
        assert!(has(name, ".ready") != has(name, ".done"), "'{name}' has one mark: {context}");
    }
    let done: Vec<_> = queue.into_iter().filter(|name| has(name, ".done")).collect();
    assert_eq!(done, queue[..done.len()], "marks follow the server's order: {context}");
    done
}

#[test]
fn drain_marks_nothing_that_is_not_stored_whatever_fails() {
    let command = |place: &Workplace| {
        place.walkeep(&["drain", "-D", "data", "--repo", "repo", "--mark-done", "-j", "1"])
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
        let stored = place.stored();
        let is_stored =
            |name: &&str| stored.keys().any(|file| file == name || *file == format!("{name}.zst"));
        let done = marked_done(place, &context);
        assert!(done.iter().all(is_stored), "'.done' without the bytes: {context}");
        if ended.code == Some(0) {
            assert_eq!(done.len(), 3, "{context}");
            assert_fsync_was_a_claims(injection, ended, &context);
        }
        place.must(&mut command(place));
        assert_eq!(marked_done(place, &context).len(), 3, "{context}");
        let now = place.stored();
        for (file, inode) in &stored {
            assert_eq!(now.get(file), Some(inode), "'{file}' was replaced: {context}");
        }
        assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
    });
}

#[test]
fn an_orphan_is_cleared_only_after_its_gap_is_recorded_whatever_fails() {
    let command = |place: &Workplace| {
        // The orphan alone is pending.
        let _ = fs::remove_file(place.source(SECOND));
        for name in [HISTORY, FIRST] {
            let _ = fs::remove_file(place.path(&format!("data/pg_wal/archive_status/{name}.ready")));
        }
        place.walkeep(&[
            "drain",
            "-D",
            "data",
            "--repo",
            "repo",
            "-j",
            "1",
            "--acknowledge-lost",
            SECOND,
            "--reason",
            "a test",
        ])
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
        let recorded = || {
            let gaps = fs::read_to_string(place.path("repo/.walkeep/known-gaps.json")).unwrap_or_default();
            gaps.contains(SECOND)
        };
        let cleared = || place.path(&format!("data/pg_wal/archive_status/{SECOND}.done")).exists();
        assert!(recorded() || !cleared(), "cleared and not recorded: {context}");
        assert!(ended.code != Some(0) || cleared(), "{context}");
        place.must(&mut command(place));
        assert!(recorded() && cleared(), "{context}");
    });
}

/// The one claim of a place, which is whole; `None` while there is none.
fn claim(place: &Workplace) -> Option<walkeep::repository::Claim> {
    let store = walkeep::storage::DirectoryStore::new(place.path("repo"));
    let mut claims =
        walkeep::repository::Repository::open(&store).unwrap().claims().expect("a claim is whole");
    assert!(claims.len() <= 1, "{claims:?}");
    claims.pop()
}

#[test]
fn a_claim_is_whole_old_or_new_whatever_fails() {
    let command = |place: &Workplace| {
        let _ = fs::remove_dir_all(place.path("repo/.walkeep/claims"));
        place.walkeep(&["claim", "-D", "data", "--repo", "repo"])
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
        let recorded = claim(place);
        assert!(ended.code != Some(0) || recorded.is_some(), "a false success: {context}");
        assert!(ended.code != Some(0) || injection.call != "fsync", "{context}");
        place.must(&mut place.walkeep(&["claim", "-D", "data", "--repo", "repo"]));
        let now = claim(place).expect("it is recorded");
        assert!(recorded.is_none_or(|before| before.last == now.last), "{context}");
    });
}

#[test]
fn no_fault_of_a_claim_changes_what_archive_says_of_its_file() {
    let with_claim_of_this_minute = |place: &Workplace| {
        let _ = fs::remove_dir_all(place.path("repo/.walkeep/claims"));
        place.must(&mut place.walkeep(&["claim", "-D", "data", "--repo", "repo"]));
        place.archive(SECOND)
    };
    let template = Workplace::new(ZSTD);
    let without_refresh = template.copy();
    let of_archive = injections(&with_claim_of_this_minute(&without_refresh), &without_refresh.path("trace"));
    sweep(
        ZSTD,
        |place| {
            let _ = fs::remove_dir_all(place.path("repo/.walkeep/claims"));
            place.archive(SECOND)
        },
        |place, injection, ended| {
            // What a call makes beyond those of a call that has no claim to write is the claim's.
            let nth_of_archive =
                of_archive.iter().filter(|one| one.call == injection.call).map(|one| one.nth).max();
            let is_claims = nth_of_archive.is_none_or(|last| injection.nth > last);
            if is_claims && injection.fault != Fault::Kill {
                let context = format!("{injection:?}, {ended:?}");
                assert_eq!(ended.code, Some(0), "{context}");
                assert!(place.stored().contains_key(&format!("{SECOND}.zst")), "{context}");
                assert!(ended.stderr.len() < 1000, "{context}");
                let told = ended.stderr.starts_with("warning: cannot record what this node needs\n");
                assert!(told || ended.stderr.is_empty(), "{context}");
            }
        },
    );
}

#[test]
fn a_claim_that_hangs_is_given_up_and_the_file_is_acknowledged() {
    let template = Workplace::new(ZSTD);
    let traced = template.copy();
    // The last rename is that of the claim's file.
    let renames = injections(&traced.archive(SECOND), &traced.path("trace"));
    let last = renames.into_iter().filter(|one| one.call == "rename").map(|one| one.nth).max().unwrap();
    let place = template.copy();
    let hangs = Injection { call: "rename".to_owned(), nth: last, fault: Fault::Hang };
    let ended = run_hanging(&place.archive(SECOND), &hangs, &place.path("trace"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("cannot record what this node needs\ncause: no end after 5s"), "{ended:?}");
    assert!(place.stored().contains_key(&format!("{SECOND}.zst")));
}

#[test]
fn prune_leaves_the_end_of_the_archive_whatever_fails_and_the_next_run_goes_on() {
    const OLD: [&str; 3] =
        ["000000010000000000000001", "000000010000000000000002", "000000010000000000000003"];
    let file = |place: &Workplace, name: &str, ending: &str| place.path(&format!("repo/{name}{ending}"));
    let command = |place: &Workplace| {
        // Before the first run, and not again.
        if !place.path("old-was-laid-down").exists() {
            for name in OLD {
                fs::write(file(place, name, ""), "not read").unwrap();
                fs::write(file(place, name, ".sha256"), "not read").unwrap();
            }
            fs::write(place.path("old-was-laid-down"), "").unwrap();
        }
        place.walkeep(&["prune", "-D", "data", "--repo", "repo", "--keep-segments", "1"])
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
        let left: Vec<bool> = OLD.iter().map(|name| file(place, name, "").exists()).collect();
        assert!(left.is_sorted(), "what is left is the end: {left:?}, {context}");
        for (name, is_left) in OLD.iter().zip(&left) {
            let has_digest = file(place, name, ".sha256").exists();
            assert!(*is_left || !has_digest, "a digest outlived its file: {context}");
        }
        assert!(file(place, FIRST, ".zst").exists(), "{context}");
        match ended.code {
            Some(0) => assert_eq!(left, [false; 3], "{context}"),
            // A report that cannot be written is one, too, and says nothing more.
            Some(_) if injection.call == "write" => {}
            Some(_) => assert!(ended.stderr.starts_with("error: "), "a failure says why: {context}"),
            None => {}
        }
        place.must(&mut command(place));
        assert!(OLD.iter().all(|name| !file(place, name, "").exists()), "{context}");
        place.stored();
        place.must(&mut place.archive(SECOND));
        assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
    });
}

#[test]
fn the_drop_in_leaves_the_end_of_the_archive_whatever_fails_and_the_next_run_goes_on() {
    const OLD: [&str; 4] = [
        "000000010000003700000009",
        "00000001000000370000000A",
        "00000001000000370000000A.partial",
        "00000001000000370000000D.gz",
    ];
    const KEPT: [&str; 4] =
        ["00000001000000370000000E", "00000001000000370000000F.gz", "00000002.history", "unrelated"];
    let command = |place: &Workplace| {
        let name = place.path("pg_archivecleanup");
        if !name.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_walkeep"), &name).unwrap();
            fs::create_dir(place.path("archive")).unwrap();
            for file in OLD.iter().chain(&KEPT) {
                fs::write(place.path("archive").join(file), "not read").unwrap();
            }
        }
        let mut command = Command::new(name);
        command.args(["-d", "-x", ".gz", "archive", KEPT[0]]).current_dir(place.path(""));
        command
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        let is_there = |file: &&str| place.path("archive").join(file).exists();
        assert!(KEPT.iter().all(is_there), "{context}");
        let left: Vec<bool> = OLD.iter().map(is_there).collect();
        assert!(left.is_sorted(), "what is left is the end: {left:?}, {context}");
        match ended.code {
            Some(0) => assert_eq!(left, [false; 4], "{context}"),
            // A place that cannot be looked at is told as one that is not there, as the original does.
            Some(1 | 2) => assert!(ended.stderr.contains("pg_archivecleanup: error: "), "{context}"),
            code => assert_eq!(code, None, "{context}"),
        }
        if injection.call == "unlinkat" && injection.fault != Fault::Kill {
            assert_eq!(ended.code, Some(1), "{context}");
            assert_eq!(left.iter().filter(|left| !**left).count() + 1, injection.nth, "{context}");
            assert!(ended.stderr.contains("error: could not remove file "), "{context}");
        }
        place.must(&mut command(place));
        assert!(KEPT.iter().all(is_there) && !OLD.iter().any(is_there), "{context}");
    });
}

/// The promises of an archive call that looks ahead, and that something happened to.
fn looking_ahead_keeps_the_promises(place: &Workplace, context: &str, ended: &Ended) {
    let stored = place.stored();
    assert!(matches!(ended.code, None | Some(0..=2)), "{context}");
    if ended.code == Some(0) {
        assert!(stored.contains_key(&format!("{SECOND}.zst")), "a false acknowledgement: {context}");
    }
    for name in [SECOND, FIRST, HISTORY] {
        let ready = place.path(&format!("data/pg_wal/archive_status/{name}.ready"));
        assert!(ready.exists(), "the marks are the server's: {context}");
        place.must(&mut place.archive(name));
    }
    // What is stored already sweeps nothing; whatever stores does.
    place.must(&mut place.walkeep(&["drain", "-D", "data", "--repo", "repo"]));
    let now = place.stored();
    assert!(now.contains_key(&format!("{SECOND}.zst")) && now.contains_key(HISTORY), "{context}");
    for (file, inode) in &stored {
        assert_eq!(now.get(file), Some(inode), "'{file}' was replaced: {context}");
    }
    assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
}

#[test]
fn archive_that_looks_ahead_survives_every_fault() {
    let command = |place: &Workplace| {
        place.rest();
        place.archive_all(SECOND)
    };
    sweep(ZSTD, command, |place, injection, ended| {
        let context = format!("{injection:?}, {ended:?}");
        if ended.code == Some(0) && injection.call == "fsync" {
            let ahead_or_claim = ["warning: cannot archive '", "warning: cannot record what this node needs"];
            let told = ahead_or_claim.iter().any(|told| ended.stderr.starts_with(told));
            assert!(told, "an fsync that failed is told: {context}");
        }
        looking_ahead_keeps_the_promises(place, &context, ended);
    });
}

#[test]
fn archive_that_is_killed_while_several_threads_look_ahead_harms_nothing() {
    let template = Workplace::new(ZSTD);
    for call in ["openat", "write", "fsync", "linkat", "unlink", "rename"] {
        for nth in [1, 2, 3, 5, 8] {
            let place = template.copy();
            place.rest();
            let mut command = place.archive_with_others(SECOND);
            command.args(["-j", "2"]);
            let injection = Injection { call: call.to_owned(), nth, fault: Fault::Kill };
            let ended = run_with(&command, &injection);
            looking_ahead_keeps_the_promises(&place, &format!("{injection:?}, {ended:?}"), &ended);
        }
    }
}
