//! A watch that is killed at its system calls, or has them fail: it acknowledges nothing, so that what counts is what
//! it leaves behind for the calls of the server.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::trace::{BOUND, under_strace};
use crate::workplace::{FIRST, HISTORY, SECOND, Shape, Workplace, ZSTD};

const FILES: [&str; 3] = [HISTORY, FIRST, SECOND];

/// Where a watch can be killed, and where a failure is worth a try.
const KILLED_AT: [&str; 9] =
    ["openat", "write", "fsync", "linkat", "unlink", "unlinkat", "renameat2", "rename", "flock"];
const FAILS_AT: [(&str, usize); 4] = [("fsync", 1), ("linkat", 1), ("write", WAKES + 1), ("statfs", 1)];

/// A thread's first write is to the counter that the library for events wakes its own thread by: it is never full.
const WAKES: usize = 1;

fn watch(place: &Workplace) -> Command {
    place.walkeep(&["watch", "-D", "data", "--repo", "repo", "-j", "1"])
}

/// Whether everything is stored and remembered, and the claim written, which comes last.
fn is_done(place: &Workplace) -> bool {
    let remembered = |name: &&str| place.path(&format!("repo/.walkeep/stamps/{name}.json")).exists();
    let claims = fs::read_dir(place.path("repo/.walkeep/claims"));
    FILES.iter().all(remembered) && claims.is_ok_and(|claims| claims.count() > 0)
}

/// Runs a watch to which something happens at one system call; whether that killed it before it was done.
fn run_with(place: &Workplace, call: &str, what: &str, nth: usize) -> bool {
    let (traced, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={nth}"));
    let mut strace = under_strace(&watch(place), &["-qq", "-o", "/dev/null", "-e", &traced, "-e", &inject]);
    let mut strace = strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace is installed");
    let began = Instant::now();
    loop {
        if strace.try_wait().unwrap().is_some() {
            return true;
        }
        if is_done(place) {
            let children = format!("/proc/{0}/task/{0}/children", strace.id());
            let walkeep = fs::read_to_string(children).unwrap_or_default();
            // It may have ended; no number at all would mean this very group of processes.
            if walkeep.trim().parse::<u32>().is_ok() {
                let _ = Command::new("kill").arg(walkeep.trim()).stderr(Stdio::null()).status();
            }
            let status = strace.wait().unwrap();
            return status.code() != Some(0);
        }
        assert!(began.elapsed() < BOUND, "{call} {nth} {what}: it never got done");
        thread::sleep(Duration::from_millis(3));
    }
}

/// What a server finds behind it.
fn assert_its_calls_succeed(place: &Workplace, context: &str) {
    // `stored` proves that what stands under a final name is whole and right.
    let stored = place.stored();
    let marks = fs::read_dir(place.path("data/pg_wal/archive_status")).unwrap();
    let ready = marks.filter(|mark| mark.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".ready"));
    assert_eq!(ready.count(), FILES.len(), "a mark was changed: {context}");
    for name in FILES {
        place.must(&mut place.archive(name));
    }
    let now = place.stored();
    assert_eq!(now.len(), FILES.len(), "{context}");
    for (file, inode) in &stored {
        assert_eq!(now.get(file), Some(inode), "'{file}' was replaced: {context}");
    }
    // A call that only confirms sweeps nothing; one that has to read, for the stamp is another file's, does.
    let stamp = |name: &str| place.path(&format!("repo/.walkeep/stamps/{name}.json"));
    fs::copy(stamp(FILES[0]), stamp(FILES[1])).unwrap();
    place.must(&mut place.archive(FILES[1]));
    assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new(), "leftovers are swept: {context}");
}

/// The workplaces of a sweep, each with what happens in it.
fn sweep(jobs: Vec<(&'static str, String, usize)>, expect: impl Fn(bool, &str) + Sync) {
    let template = Workplace::new(Shape { in_use: false, ..ZSTD });
    template.rest();
    let left = Mutex::new(jobs);
    let next = || left.lock().unwrap().pop();
    let work = || {
        while let Some((call, what, nth)) = next() {
            let place = template.copy();
            place.rest();
            let context = format!("{call} {nth}: {what}");
            expect(run_with(&place, call, &what, nth), &context);
            assert_its_calls_succeed(&place, &context);
        }
    };
    thread::scope(|scope| {
        for worker in (0..2).map(|_| scope.spawn(work)).collect::<Vec<_>>() {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[test]
fn a_watch_that_is_killed_at_any_call_leaves_nothing_that_a_server_would_trip_over() {
    let is_long = std::env::var_os("WALKEEP_TEST_LONG").is_some();
    let counts = |call: &str| match call {
        "openat" => 120,
        "write" => 40,
        _ => 12,
    };
    // The loader's calls come first; a stride that shares no factor with what recurs.
    let nths = |call: &'static str| {
        let stride = if is_long { 1 } else { counts(call) / 10 + 1 };
        (1..=counts(call)).step_by(stride).map(move |nth| (call, "signal=KILL".to_owned(), nth))
    };
    let killed = Mutex::new(0);
    sweep(KILLED_AT.into_iter().flat_map(nths).collect(), |was_killed, _| {
        *killed.lock().unwrap() += u32::from(was_killed);
    });
    let killed = killed.into_inner().unwrap();
    assert!(killed > 20, "only {killed} were killed in the midst of their work");
}

#[test]
fn a_watch_whose_calls_fail_goes_on_and_stores_everything_in_the_end() {
    let nths = |(call, first): (&'static str, usize)| {
        (first..first + 3).map(move |nth| (call, "error=ENOSPC".to_owned(), nth))
    };
    sweep(FAILS_AT.into_iter().flat_map(nths).collect(), |was_killed, context| {
        assert!(!was_killed, "it ended: {context}");
    });
}
