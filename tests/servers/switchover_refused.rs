//! S1 and S3: the switchover that is refused and nobody sees why, and two primaries that archive into one repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::{KINGBASE_SHAPE, POSTGRESQL_15};
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

/// How many files were pending when the switchover was refused.
const PENDING: usize = 134;
/// How many of their status files the operator left behind, and of how many of those the WAL.
const LEFT_READY: usize = 12;
const LEFT_WAL: usize = 2;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code and standard output of a call on a data directory, with its repository.
fn call(scratch: &Scratch, verb: &[&str], data: &Path, repository: &Repository) -> (Option<i32>, String) {
    let mut command = scratch.command(scratch.walkeep());
    command.args(verb).arg("-D").arg(data).arg("--repo").arg(&repository.path);
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), text(&stdout) + &text(&stderr))
}

#[track_caller]
fn says(outcome: &(Option<i32>, String), code: i32, texts: &[&str]) {
    assert_eq!(outcome.0, Some(code), "{}", outcome.1);
    // However its lines are broken.
    let unbroken = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in texts {
        assert!(unbroken(&outcome.1).contains(&unbroken(text)), "lacks {text:?}: {}", outcome.1);
    }
}

/// A primary in the shape of KingbaseES with archive_mode on, an empty archive_command in es_rep.conf, and so many
/// pending files; and a copy of it from before.
fn with_a_queue<'a>(scratch: &'a Scratch) -> (Node<'a>, std::path::PathBuf) {
    let mut node = Node::initdb_with_segments(scratch, "primary", KINGBASE_SHAPE, 1);
    node.set("checkpoint_timeout", "1h");
    node.set("archive_mode", "on");
    node.append("include_if_exists = 'es_rep.conf'\n");
    scratch.write(&node.data.join("es_rep.conf"), "archive_command = ''\n");
    node.start();
    load::prepare(&node);
    node.stop();
    let copy = scratch.path("cold-copy");
    scratch.copy(&node.data, &copy);
    // A node that is made of it gets the names of KingbaseES anew.
    must_succeed(scratch.command("/usr/bin/find").arg(&copy).args([
        "-maxdepth",
        "2",
        "-type",
        "l",
        "-delete",
    ]));
    node.start();
    let missing = PENDING - node.pending().len();
    node.sql(&format!(
        "CREATE TABLE work(at int); DO $$ BEGIN FOR at IN 1..{missing} LOOP INSERT INTO work VALUES (at); \
         PERFORM pg_switch_wal(); END LOOP; END $$"
    ));
    wait_until("all are pending", || node.pending().len() >= PENDING);
    assert_eq!(node.pending().len(), PENDING);
    (node, copy)
}

#[test]
fn a_refused_switchover_is_explained_and_mended_with_nothing_lost() {
    let scratch = Scratch::new();
    let (mut node, cold_copy) = with_a_queue(&scratch);
    let repository = Repository::init(&scratch, "repo", &node.data);
    let data = node.data.clone();
    let on = |verb: &[&str], data: &Path| call(&scratch, verb, data, &repository);

    let line = format!("--status=CRITICAL --files={PENDING} --threshold=128\n");
    assert_eq!(on(&["gate", "-o", "repmgr"], &data), (Some(2), line));
    let es_rep = data.join("es_rep.conf");
    let cause = format!("archive_command is empty ({}:1)", es_rep.display());
    says(&on(&["gate"], &data), 2, &[&cause, "134 files are pending, more than 128"]);

    // What the operator did, on a copy: it satisfies repmgr's check, and the gate stays closed.
    let mutilated = mutilate(&scratch, &node);
    let line = format!("--status=OK --files={LEFT_READY}\n");
    assert_eq!(on(&["gate", "--count-only", "-o", "repmgr"], &mutilated), (Some(0), line));
    let line = format!("--status=CRITICAL --files={LEFT_READY}\n");
    assert_eq!(on(&["gate", "-o", "repmgr"], &mutilated), (Some(2), line));
    let pending: Vec<String> = node.pending().into_iter().collect();
    let orphans = &pending[PENDING - LEFT_READY..PENDING - LEFT_WAL];
    let lost = format!("lost: {}..{}", orphans[0], orphans[orphans.len() - 1]);
    says(&on(&["gate"], &mutilated), 2, &["10 pending files are gone", &lost]);

    let wal = node.wal_files();
    says(&on(&["drain", "--mark-done"], &data), 0, &[]);
    assert_eq!(node.pending(), BTreeSet::new());
    assert!(wal.is_subset(&node.wal_files()), "nothing is deleted");
    assert!(pending.iter().all(|name| repository.has(name)));
    // The gate is open; only the cause is still there.
    says(&on(&["gate", "-o", "repmgr"], &data), 1, &["--status=WARNING --files=0"]);

    let line = format!("archive_command = '{}'\n", repository.archive_command("sys_wal/%f"));
    scratch.write(&es_rep, line);
    node.sql("SELECT pg_reload_conf()");
    assert_eq!(on(&["gate", "-o", "repmgr"], &data), (Some(0), "--status=OK --files=0\n".to_owned()));

    node.archive_all(&repository);
    let rows = node.sql("SELECT count(*), sum(at) FROM work");
    node.stop();
    says(&on(&["verify"], &data), 0, &[]);
    let mut recovered = Node::from_backup(&scratch, "recovered", KINGBASE_SHAPE, &cold_copy);
    recovered.recover_from(&repository);
    recovered.start();
    recovered.wait_until_promoted();
    assert_eq!(recovered.sql("SELECT count(*), sum(at) FROM work"), rows);
}

/// A copy of the data directory on which somebody ran sys_archivecleanup and removed status files, so that 12 are left,
/// 10 of them without their WAL.
fn mutilate(scratch: &Scratch, node: &Node<'_>) -> std::path::PathBuf {
    let copy = scratch.path("mutilated");
    scratch.copy(&node.data, &copy);
    let pending: Vec<String> = node.pending().into_iter().collect();
    let wal = copy.join("pg_wal");
    for (position, name) in pending.iter().enumerate() {
        if position < PENDING - LEFT_WAL {
            fs::remove_file(wal.join(name)).unwrap();
        }
        if position < PENDING - LEFT_READY {
            fs::remove_file(wal.join("archive_status").join(format!("{name}.ready"))).unwrap();
        }
    }
    copy
}

#[test]
fn of_two_primaries_on_one_timeline_the_second_is_refused_and_its_gate_says_why() {
    let scratch = Scratch::new();
    let mut first = Node::initdb_with_segments(&scratch, "first", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &first.data);
    first.archive_to(&repository);
    first.start();
    load::prepare(&first);
    first.archive_all(&repository);
    first.stop();
    let copy = scratch.path("copy");
    scratch.copy(&first.data, &copy);
    let mut second = Node::from_backup(&scratch, "second", POSTGRESQL_15, &copy);
    let gate = |node: &Node<'_>| call(&scratch, &["gate"], &node.data, &repository);

    first.start();
    first.sql("CREATE TABLE of_the_first()");
    first.archive_all(&repository);
    let stored = repository.fingerprints();
    second.start();
    second.sql("CREATE TABLE of_the_second(); INSERT INTO of_the_second SELECT FROM generate_series(1, 99)");
    let refused = second.switch_segment();
    wait_until("the second is refused", || {
        second.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t"
    });
    let conflict = format!("the head of the queue, {refused}, is stored with other content");
    says(&gate(&second), 2, &[&conflict]);
    says(&gate(&first), 0, &[]);
    assert_eq!(repository.fingerprints(), stored, "nothing is overwritten");
    let compared = call(&scratch, &["verify"], &second.data, &repository);
    says(&compared, 1, &[&refused]);
    second.stop();
    first.stop();
}

#[test]
fn a_promoted_copy_that_archives_into_its_origins_repository_closes_the_origins_gate() {
    let scratch = Scratch::new();
    let mut origin = Node::initdb_with_segments(&scratch, "origin", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &origin.data);
    origin.archive_to(&repository);
    origin.start();
    load::prepare(&origin);
    origin.archive_all(&repository);
    let backup = origin.back_up("backup");
    origin.archive_all(&repository);
    let gate = |node: &Node<'_>| call(&scratch, &["gate"], &node.data, &repository);
    says(&gate(&origin), 0, &["gate: OK"]);

    let mut copy = Node::from_backup(&scratch, "copy", POSTGRESQL_15, &backup);
    copy.recover_from(&repository);
    copy.start();
    copy.wait_until_promoted();
    copy.archive_all(&repository);
    assert!(repository.has("00000002.history"));
    says(&gate(&origin), 2, &["timeline 2, which left this node's own at 0/", "two primaries"]);
    copy.stop();
    origin.stop();
}

/// Its control file names the old timeline until the first checkpoint is complete, and its archive the new one.
#[test]
fn a_server_that_was_just_promoted_is_not_taken_for_its_own_rival() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    load::prepare(&primary);
    let backup = primary.back_up("backup");
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &backup);
    standby.set("primary_conninfo", &primary.connection_string());
    standby.set("checkpoint_timeout", "1h");
    standby.set("bgwriter_lru_maxpages", "0");
    standby.stand_by_from(&repository);
    standby.start();
    load::some_load(&scratch, &primary, 1, 200);
    primary.archive_all(&repository);
    standby.wait_until_caught_up(&primary.sql("SELECT pg_current_wal_lsn()"));
    primary.stop();
    // It completes no checkpoint for as long as the process that makes them stands still.
    let checkpointer = standby.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    must_succeed(Command::new("kill").args(["-s", "STOP", &checkpointer]));
    standby.promote();
    wait_until("its history is stored", || repository.has("00000002.history"));
    let timeline = || standby.sql("SELECT timeline_id FROM pg_control_checkpoint()");
    assert_eq!(timeline(), "1");
    for verb in [&["gate"][..], &["status"]] {
        let (_, told) = call(&scratch, verb, &standby.data, &repository);
        assert!(!told.contains("CRITICAL"), "{told}");
    }
    assert_eq!(timeline(), "1");
    must_succeed(Command::new("kill").args(["-s", "CONT", &checkpointer]));
}
