//! Incidents from the field, on a real server: the archive's disk is full (S7), and an archive that `cp` has filled
//! is taken over in place (S12).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

/// A file system of its own for a repository; gone with the test. Mounting takes root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(scratch: &Scratch, name: &str) -> SmallDisk {
        let path = scratch.make_directory(name);
        let options = "size=8m,mode=0700,uid=postgres,gid=postgres";
        must_succeed(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path));
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn archiving_goes_on_by_itself_when_a_full_disk_has_space_again() {
    let scratch = Scratch::new();
    let disk = SmallDisk::mount(&scratch, "repo");
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    primary.archive_all(&repository);

    let stored = repository.fingerprints();
    let filler = disk.0.join("filler");
    scratch.write(&filler, vec![1; free_bytes(&disk.0)]);
    load::some_load(&scratch, &primary, 1, 300);
    let pending = primary.switch_segment();
    wait_until("the server counts a failure", || {
        primary.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t"
    });
    assert!(primary.log().contains("No space left on device"), "the reason is in the server's log");
    fs::remove_file(&filler).unwrap();
    let now = repository.fingerprints();
    assert!(stored.iter().all(|(name, file)| now.get(name) == Some(file)), "what was stored is untouched");
    for name in now.keys().filter(|name| name.len() == 24) {
        assert_eq!(repository.original(name).len(), 1 << 20, "'{name}' is half-written");
    }
    primary.archive_all(&repository);
    assert!(repository.has(&pending));
    primary.stop();
}

/// What an unprivileged user may still write.
fn free_bytes(path: &Path) -> usize {
    let told = must_succeed(Command::new("df").args(["--output=avail", "-B1"]).arg(path));
    told.lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn an_archive_that_cp_filled_is_taken_over_in_place_and_recovered_from() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let archive = scratch.make_directory("repo");
    primary.set("archive_mode", "on");
    primary.set("archive_command", &format!("/bin/cp -f %p {}/%f", archive.display()));
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");
    load::some_load(&scratch, &primary, 1, 150);
    let last_by_cp = primary.switch_segment();
    wait_until("cp has archived", || archive.join(&last_by_cp).exists() && primary.pending().is_empty());
    let by_cp = fs::read(archive.join(&last_by_cp)).unwrap();

    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.sql("SELECT pg_reload_conf()");
    // What the server offers again, as it does after a crash, is known.
    let done = primary.wal_directory().join("archive_status").join(format!("{last_by_cp}.done"));
    fs::rename(&done, done.with_extension("ready")).unwrap();
    load::some_load(&scratch, &primary, 2, 150);
    primary.archive_all(&repository);
    wait_until("it is accepted again", || done.exists());
    let contents = load::contents(&primary);
    primary.stop();
    assert_eq!(repository.original(&last_by_cp), by_cp);

    let mut recovered = Node::from_backup(&scratch, "recovered", POSTGRESQL_15, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}

#[test]
fn an_archive_that_began_on_a_later_timeline_is_recovered_from() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    primary.start();
    load::prepare(&primary);
    primary.stop();
    // It was promoted once, before anybody archived: that timeline's history is in no archive.
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.recover_from(&repository);
    primary.start();
    primary.wait_until_promoted();
    primary.stop();
    primary.archive_to(&repository);
    primary.start();
    let backup = primary.back_up("backup");
    load::some_load(&scratch, &primary, 1, 150);
    primary.archive_all(&repository);
    let contents = load::contents(&primary);
    primary.stop();
    assert!(!repository.has("00000002.history"));

    let mut recovered = Node::from_backup(&scratch, "recovered", POSTGRESQL_15, &backup);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(load::contents(&recovered), contents);
}
