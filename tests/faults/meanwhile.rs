//! What others do while a prune looks and removes. It is stopped at each of its system calls, and goes on when a file
//! was taken away, one was set aside, and another one was stored.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::trace::{Fault, injections, run_around};
use crate::workplace::{FIRST, SECOND, Workplace, ZSTD};

/// What lies before the horizon, each with its digest.
const OLD: [&str; 4] = [
    "000000010000000000000001",
    "000000010000000000000002",
    "000000010000000000000003",
    "000000010000000000000004",
];

/// A base backup that lies there, too.
const BACKUP: &str = "000000010000000000000003.00000028.backup";

const LABEL: &str = "START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n\
                     STOP WAL LOCATION: 0/300100 (file 000000010000000000000003)\n\
                     CHECKPOINT LOCATION: 0/300060\n";

fn lay_down(place: &Workplace) {
    for name in OLD {
        fs::write(place.path(&format!("repo/{name}")), "not read").unwrap();
        fs::write(place.path(&format!("repo/{name}.sha256")), "not read").unwrap();
    }
    fs::write(place.path(&format!("repo/{BACKUP}")), LABEL).unwrap();
}

/// Whether it is still stored, in whatever form.
fn is_stored(place: &Workplace, name: &str) -> bool {
    ["", ".zst", ".sha256"].iter().any(|ending| place.path(&format!("repo/{name}{ending}")).exists())
}

/// Others are at work: another tool cleans up, a person sets a file aside, a server archives.
fn others_work(place: &Workplace) {
    for name in [&OLD[1..2], &[BACKUP]].concat() {
        let _ = fs::remove_file(place.path(&format!("repo/{name}")));
        let _ = fs::remove_file(place.path(&format!("repo/{name}.sha256")));
    }
    if place.path(&format!("repo/{}", OLD[3])).exists() {
        place.must(&mut place.walkeep(&["set-aside", OLD[3], "--reason", "a test", "--repo", "repo"]));
    }
    place.must(&mut place.archive(SECOND));
}

/// Where a prune looks or removes.
const CALLS: [&str; 5] = ["getdents64", "openat", "statx", "unlink", "fsync"];

/// The calls that a prune is stopped at, each with its number.
fn stops(command: &Command, place: &Workplace, calls: &[&str]) -> Vec<(String, usize)> {
    let all = injections(command, &place.path("trace")).into_iter();
    let of_calls = all.filter(|one| one.fault == Fault::Kill && calls.contains(&one.call.as_str()));
    of_calls.map(|one| (one.call, one.nth)).collect()
}

fn prune_goes_on(policy: &[&str]) {
    let template = Workplace::new(ZSTD);
    // With what is stored meanwhile the newest segment is another one.
    let hold = ["hold", "add", "first", "--from", FIRST, "--reason", "a test", "--repo", "repo"];
    template.must(&mut template.walkeep(&hold));
    let prune = |place: &Workplace| {
        place.walkeep(&[&["prune", "-D", "data", "--repo", "repo", "--keep-backups", "0"], policy].concat())
    };
    let traced = template.copy();
    lay_down(&traced);
    let left = Mutex::new(stops(&prune(&traced), &traced, &CALLS));
    let next = || left.lock().unwrap().pop();
    let work = || {
        while let Some((call, nth)) = next() {
            let place = template.copy();
            lay_down(&place);
            let log = place.path("trace");
            let ended = run_around(&prune(&place), (&call, nth), &log, || others_work(&place));
            let context = format!("{policy:?}, {call} {nth}: {ended:?}");
            assert_eq!(ended.code, Some(0), "what is gone already is no failure: {context}");
            let left: Vec<_> = OLD.iter().chain(&[BACKUP]).filter(|name| is_stored(&place, name)).collect();
            assert_eq!(left, [&""; 0], "{context}");
            let stored = place.stored();
            assert!(
                [FIRST, SECOND].iter().all(|name| stored.contains_key(&format!("{name}.zst"))),
                "{context}"
            );
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

#[test]
fn a_prune_goes_on_whatever_others_take_away_and_leaves_what_they_store() {
    prune_goes_on(&["--keep-segments", "1"]);
    prune_goes_on(&["--keep-size", "1"]);
}

/// A server begins from a base backup: what the label says goes into the control file, and the label away
/// (`StartupXLOG` in xlog.c).
fn server_begins_from_label(place: &Workplace) {
    let path = place.path("data/global/pg_control");
    let mut control = fs::read(&path).unwrap();
    control[32..40].copy_from_slice(&0x30_0060_u64.to_le_bytes());
    control[40..48].copy_from_slice(&0x30_0028_u64.to_le_bytes());
    let crc = crc32c::crc32c(&control[..288]);
    control[288..292].copy_from_slice(&crc.to_le_bytes());
    // Beside the old one, so that a call that has opened that reads what it said.
    fs::write(path.with_extension("new"), control).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
    let _ = fs::rename(place.path("data/backup_label"), place.path("data/backup_label.old"));
}

#[test]
fn a_server_that_begins_from_its_label_meanwhile_is_seen_to_need_the_beginning() {
    let template = Workplace::new(ZSTD);
    fs::write(template.path("data/backup_label"), LABEL).unwrap();
    let claim = |place: &Workplace| place.walkeep(&["claim", "-D", "data", "--repo", "repo"]);
    let traced = template.copy();
    let stops = stops(&claim(&traced), &traced, &["statx"]);
    for (call, nth) in stops {
        let place = template.copy();
        let log = place.path("trace");
        let ended = run_around(&claim(&place), (&call, nth), &log, || server_begins_from_label(&place));
        assert_eq!(ended.code, Some(0), "{call} {nth}: {ended:?}");
        let claims = fs::read_dir(place.path("repo/.walkeep/claims")).unwrap();
        let written = claims.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        let written: Vec<String> = written.filter(|claim| claim.contains("0/300028")).collect();
        assert!(!written.is_empty(), "{call} {nth}: what the backup begins with is not needed");
    }
}
