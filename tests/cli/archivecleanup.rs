//! `sys_archivecleanup` and `pg_archivecleanup`: the promises of a drop-in. What PostgreSQL's own test of the program
//! asks for (010_pg_archivecleanup.pl), the cases of its documentation, and the real programs of PostgreSQL 15 and 17
//! beside ours on copies of one directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::*;

const NAMES: [&str; 2] = ["sys_archivecleanup", "pg_archivecleanup"];

/// What the servers' own test lays out, and where it cuts.
const WAL_FILES: [&str; 4] = [
    "00000001000000370000000C.gz",
    "00000001000000370000000D",
    "00000001000000370000000E",
    "00000001000000370000000F.partial",
];
const KEPT: &str = WAL_FILES[2];

/// An archive with one file of every kind around the cut.
const EVERY_KIND: [&str; 17] = [
    "00000000000000350000000A",
    "00000001000000350000000A.x.backup",
    "00000001000000360000000F.partial.gz",
    "00000001000000370000000C.gz",
    "00000001000000370000000C.partial",
    "00000001000000370000000D",
    "00000001000000370000000D.00000028.backup",
    "00000001000000370000000D.00000028.backup.gz",
    "00000001000000370000000D.sha256",
    "00000001000000370000000E",
    "00000001000000370000000E.00000028.backup",
    "00000001000000370000000E.partial",
    "00000001000000370000000F.partial",
    "00000002.history",
    "00000002000000370000000D",
    "0000000100000037000000d0",
    "unrelated_file",
];

/// A directory of empty files, and the binary under both names.
fn archive_of(files: &[&str]) -> Scene {
    let scene = Scene::new();
    for file in files {
        scene.write(format!("archive/{file}"), "CONTENT");
    }
    for name in NAMES {
        symlink(env!("CARGO_BIN_EXE_walkeep"), scene.path(name)).unwrap();
    }
    scene
}

fn call(scene: &Scene, name: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new(scene.path(name));
    command.args(words).env_clear().current_dir(scene.path(""));
    outcome(&mut command)
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn left(scene: &Scene) -> Vec<String> {
    scene.listing("archive")
}

#[test]
fn the_servers_own_test_passes_under_both_names() {
    for name in NAMES {
        let scene = archive_of(&WAL_FILES);
        scene.write("archive/unrelated_file", "CONTENT");
        let before = left(&scene);
        call(&scene, name, &["--help"]).prints(&[
            "Usage:",
            "-b, --clean-backup-history",
            "-x, --strip-extension=EXT",
        ]);
        call(&scene, name, &["--version"]).prints(&[&format!("{name} (walkeep) ")]);
        let refused = |words: &[&str], says: &str| {
            call(&scene, name, words).refused(2, &[&format!("{name}: "), says]);
        };
        refused(&["--not-a-valid-option"], "unrecognized option '--not-a-valid-option'");
        refused(&[], "error: must specify archive location\n");
        refused(&["archive"], "error: must specify oldest kept WAL file\n");
        refused(&["notexist", "foo"], "error: archive location \"notexist\" does not exist\n");
        refused(&["archive", "foo", "bar"], "error: too many command-line arguments\n");
        refused(&["archive", "foo"], "error: invalid file name argument\n");
        refused(&["archive", "foo"], &format!("hint: Try \"{name} --help\" for more information.\n"));

        let dry = call(&scene, name, &["-d", "-n", "archive", KEPT]).code(0);
        assert_eq!(dry.stdout, format!("archive/{}\n", WAL_FILES[1]));
        dry.says(&[
            &format!("{name}: keeping WAL file \"archive/{KEPT}\" and later\n"),
            &format!("{name}: file \"archive/{}\" would be removed\n", WAL_FILES[1]),
        ]);
        assert_eq!(left(&scene), before);

        for suffix in ["", ".partial", ".00000020.backup"] {
            let scene = archive_of(&WAL_FILES);
            scene.write("archive/unrelated_file", "CONTENT");
            call(&scene, name, &["-x", ".gz", "archive", &format!("{KEPT}{suffix}")]).silent_success();
            assert_eq!(left(&scene), [WAL_FILES[2], WAL_FILES[3], "unrelated_file"], "{suffix}");
        }
    }
}

#[test]
fn base_backups_histories_go_only_where_that_is_asked_for() {
    let files = [
        "00000001000000370000000D",
        "00000001000000370000000D.00000028.backup",
        "00000001000000370000000E",
        "00000001000000370000000E.00000028.backup",
        "00000001.history",
    ];
    for (option, expected) in
        [("-d", &files[1..]), ("-b", &files[2..]), ("--clean-backup-history", &files[2..])]
    {
        let scene = archive_of(&files);
        call(&scene, NAMES[1], &[option, "archive", KEPT]).code(0);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(left(&scene), expected, "{option}");
    }
}

/// The examples of the program's page in PostgreSQL's documentation, the last one with its debug output.
#[test]
fn the_examples_of_the_documentation_hold() {
    let scene =
        archive_of(&["000000010000003700000009", "00000001000000370000000F", "000000010000003700000010"]);
    let argument = "000000010000003700000010.00000020.backup";
    let outcome = call(&scene, NAMES[1], &["-d", "archive", argument]).code(0);
    assert_eq!(
        outcome.stderr,
        "pg_archivecleanup: keeping WAL file \"archive/000000010000003700000010\" and later\n\
         pg_archivecleanup: removing file \"archive/000000010000003700000009\"\n\
         pg_archivecleanup: removing file \"archive/00000001000000370000000F\"\n"
    );
    assert_eq!(outcome.stdout, "");
    assert_eq!(left(&scene), ["000000010000003700000010"]);
}

#[test]
fn a_restart_point_that_is_not_known_yet_removes_nothing() {
    let scene = archive_of(&EVERY_KIND);
    let before = left(&scene);
    call(&scene, NAMES[0], &["-b", "archive", "000000000000000000000000"]).silent_success();
    assert_eq!(left(&scene), before);
}

#[test]
fn the_first_file_that_does_not_go_stops_it_and_fails() {
    let scene = archive_of(&["00000001000000370000000A", "00000001000000370000000C", KEPT]);
    fs::create_dir(scene.path("archive/00000001000000370000000B")).unwrap();
    call(&scene, NAMES[1], &["archive", KEPT]).refused(
        1,
        &["pg_archivecleanup: error: could not remove file \"archive/00000001000000370000000B\": Is a directory\n"],
    );
    assert_eq!(left(&scene), ["00000001000000370000000B/", "00000001000000370000000C", KEPT]);
}

#[test]
fn a_link_goes_and_what_it_leads_to_stays() {
    let scene = archive_of(&[KEPT]);
    let elsewhere = scene.write("elsewhere/00000001000000370000000D", "CONTENT");
    symlink(&elsewhere, scene.path("archive/00000001000000370000000D")).unwrap();
    symlink(scene.path("archive"), scene.path("link")).unwrap();
    call(&scene, NAMES[1], &["link", KEPT]).silent_success();
    assert_eq!(left(&scene), [KEPT]);
    assert!(elsewhere.exists());
}

#[test]
fn where_a_server_lives_nothing_goes_whatever_way_leads_there() {
    let scene = archive_of(&[]);
    for name in [WAL_FILES[1], KEPT] {
        scene.offer(name, "CONTENT");
        scene.write(format!("data/{name}"), "CONTENT");
    }
    symlink(scene.path("data/pg_wal"), scene.path("link")).unwrap();
    let before = scene.snapshot("data");
    let wal = "is a live WAL directory";
    for (location, what) in [
        ("data", "is a data directory"),
        ("data/pg_wal", wal),
        ("data/pg_wal/", wal),
        ("data/../data/pg_wal", wal),
        ("link", wal),
        ("data/pg_wal/archive_status", "is a directory of archive status files"),
    ] {
        let shown = format!("pg_archivecleanup: error: archive location \"{location}\" {what}\n");
        let refused = call(&scene, NAMES[1], &["-x", ".ready", location, KEPT]).refused(1, &[&shown]);
        refused.says(&["pg_archivecleanup: hint: Name the archive."]);
        call(&scene, NAMES[0], &["-n", location, KEPT]).refused(1, &[what]);
    }
    assert!(scene.snapshot("data") == before);
}

#[test]
fn a_wal_directory_without_its_status_files_is_still_the_servers() {
    let scene = archive_of(&[]);
    scene.write(format!("data/pg_wal/{}", WAL_FILES[1]), "CONTENT");
    fs::remove_dir(scene.path("data/pg_wal/archive_status")).unwrap();
    call(&scene, NAMES[1], &["data/pg_wal", KEPT]).refused(1, &["is a live WAL directory"]);
    // Moved to another disk, too.
    fs::rename(scene.path("data/pg_wal"), scene.path("moved")).unwrap();
    symlink(scene.path("moved"), scene.path("data/pg_wal")).unwrap();
    call(&scene, NAMES[1], &["data/pg_wal", KEPT]).refused(1, &["is a live WAL directory"]);
    assert_eq!(scene.listing("moved"), [WAL_FILES[1]]);
}

#[test]
fn in_a_repository_it_prunes_and_nothing_that_anybody_needs_goes() {
    for (compress, ending) in [("zstd", ".zst"), ("none", "")] {
        let scene = Scene::with_repository(compress);
        for name in NAMES {
            symlink(env!("CARGO_BIN_EXE_walkeep"), scene.path(name)).unwrap();
        }
        scene.store_segments(&SEGMENTS[..3]);
        let stored = scene.stored();
        let clean = |args: &[&str]| call(&scene, NAMES[0], &[args, &["repo", SEGMENTS[2]]].concat());
        // The one file that is asked to stay is one of several reasons to keep one.
        scene
            .call(&["hold", "add", "audit", "--from", SEGMENTS[1], "--reason", "the auditors come"])
            .run()
            .code(0);
        let listed = clean(&["-n"]).code(0);
        let first = format!("repo/{}{ending}", SEGMENTS[0]);
        assert!(listed.stdout.lines().any(|line| line == first), "{listed:#?}");
        assert!(!listed.stdout.contains(SEGMENTS[1]), "{listed:#?}");
        assert_eq!(scene.stored(), stored);
        clean(&["-d"])
            .code(0)
            .says(&[&format!("removing file \"{first}\""), "hold 'audit': the auditors come"]);
        let left: Vec<String> = stored.into_iter().filter(|name| !name.starts_with(SEGMENTS[0])).collect();
        assert_eq!(scene.stored(), left);
        // What cannot be read protects everything, and what is left of a repository may still hold claims.
        scene.call(&["hold", "remove", "audit"]).run().code(0);
        scene.write("repo/.walkeep/claims/junk.json", "junk");
        clean(&[]).refused(1, &["cannot prune the walkeep repository \"repo\"", "junk"]);
        scene.remove("repo/.walkeep/repository.json");
        clean(&[]).refused(1, &["cannot prune the walkeep repository \"repo\""]);
        assert_eq!(scene.stored(), left);
    }
}

#[test]
fn in_a_repository_a_run_that_is_killed_or_fails_leaves_the_end_and_the_next_one_goes_on() {
    for (fault, code) in [("signal=KILL", None), ("error=EIO", Some(1))] {
        for when in 1..=4 {
            let scene = Scene::with_repository("none");
            symlink(env!("CARGO_BIN_EXE_walkeep"), scene.path(NAMES[0])).unwrap();
            scene.store_segments(&SEGMENTS[..3]);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=unlink,unlinkat", "-e"]);
            strace.arg(format!("inject=unlink,unlinkat:{fault}:when={when}")).arg(scene.path(NAMES[0]));
            let ended = strace.args(["repo", SEGMENTS[2]]).current_dir(scene.path("")).output().unwrap();
            assert_eq!(ended.status.code(), code, "{ended:?}");
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(code.is_none() || said.contains("Input/output error"), "{said}");
            // In this order they go.
            let digest = |name: &str| format!("{name}.sha256");
            let going = [digest(SEGMENTS[0]), SEGMENTS[0].into(), digest(SEGMENTS[1]), SEGMENTS[1].into()];
            let is_left = |name: &String| scene.path(format!("repo/{name}")).exists();
            let left: Vec<bool> = going.iter().map(is_left).collect();
            let expected: Vec<bool> = (1..=4).map(|at| at >= when).collect();
            assert_eq!(left, expected, "{fault} {when}");
            call(&scene, NAMES[0], &["repo", SEGMENTS[2]]).code(0);
            assert_eq!(scene.stored(), [SEGMENTS[2].to_owned(), digest(SEGMENTS[2])], "{fault} {when}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_as_the_original_tells_it() {
    let scene = archive_of(&EVERY_KIND);
    scene.give_away("archive");
    tool("chmod", &["300".as_ref(), scene.path("archive").as_ref()]);
    let copy = scene.path("for-all/pg_archivecleanup");
    fs::create_dir(scene.path("for-all")).unwrap();
    tool("cp", &[env!("CARGO_BIN_EXE_walkeep").as_ref(), copy.as_ref()]);
    tool("chmod", &["-R".as_ref(), "755".as_ref(), scene.path("for-all").as_ref()]);
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(&copy);
    command.arg(scene.path("archive")).arg(KEPT);
    let shown = scene.shown("archive");
    let message = format!("could not open archive location \"{shown}\": Permission denied\n");
    outcome(&mut command).refused(1, &[&message]);
}

#[test]
fn standard_output_that_takes_nothing_is_a_failure() {
    let scene = archive_of(&EVERY_KIND);
    let mut command = Command::new(scene.path(NAMES[1]));
    command.args(["-n", "archive", KEPT]).current_dir(scene.path(""));
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
}

/// A real program, and how it is started.
struct Original {
    loader: Vec<PathBuf>,
    program: PathBuf,
}

impl Original {
    /// Debian's PostgreSQL 15.
    fn of_15() -> Self {
        let program = found("/usr/lib/postgresql/15/bin/pg_archivecleanup".into());
        Self { loader: Vec::new(), program }
    }

    /// The program of 17 and the C library that it was made for, as `tests/run.sh` keeps them.
    fn of_17() -> Self {
        let cache = std::env::var_os("WALKEEP_TEST_CACHE").unwrap_or("/var/cache/walkeep-tests".into());
        let home = Path::new(&cache).join("pg_archivecleanup-17");
        let program = found(home.join("pg_archivecleanup"));
        let words = [found(home.join("ld-linux-x86-64.so.2")), "--argv0".into(), program.clone()];
        Self { loader: [&words[..], &["--library-path".into(), home]].concat(), program }
    }

    fn command(&self) -> Command {
        let mut words = self.loader.iter().chain([&self.program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        command
    }
}

fn found(program: PathBuf) -> PathBuf {
    assert!(program.exists(), "'{}' is missing: run `sh tests/run.sh --setup`", program.display());
    program
}

/// What is compared of a call: exit code, standard output as a set of lines, the kind of each message, what is left.
#[derive(Debug, PartialEq, Eq)]
struct Effect {
    code: Option<i32>,
    stdout: Vec<String>,
    stderr: Vec<String>,
    left: Vec<String>,
}

/// Runs a program on a fresh copy of a directory, always at the same path.
fn effect(command: &mut Command, files: &[String], words: &[&OsStr]) -> Effect {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    fs::create_dir(&archive).unwrap();
    for file in files {
        fs::write(archive.join(file), "").unwrap();
    }
    let Outcome { code, stdout, stderr } =
        outcome(command.args(words).env_clear().env("LC_ALL", "C").current_dir(dir.path()));
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let mut left: Vec<String> = fs::read_dir(&archive)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    Effect { code, stdout: sorted(&stdout), stderr: sorted(&stderr), left }
}

/// Both programs under one name, each on its own copy.
fn assert_same(original: &Original, files: &[String], line: &[&str]) {
    let words: Vec<&OsStr> = line.iter().map(OsStr::new).collect();
    let mut ours = Command::new(env!("CARGO_BIN_EXE_walkeep"));
    std::os::unix::process::CommandExt::arg0(&mut ours, "pg_archivecleanup");
    let ours = effect(&mut ours, files, &words);
    let mut theirs = effect(&mut original.command(), files, &words);
    // The C library tells a wrong option under the name as it was typed, which is a path here.
    let path = original.program.display().to_string();
    for line in &mut theirs.stderr {
        *line = line.replace(&path, "pg_archivecleanup");
    }
    theirs.stderr.sort();
    assert_eq!(ours, theirs, "{line:?} on {files:?}");
}

/// Whole calls that both versions understand.
const SHORT_CALLS: [&[&str]; 27] = [
    &["archive", KEPT],
    &["-d", "archive", KEPT],
    &["-n", "archive", KEPT],
    &["-dn", "archive", KEPT],
    &["archive", KEPT, "-dn"],
    &["archive", "-d", KEPT],
    &["-x.gz", "archive", KEPT],
    &["-x", ".gz", "-d", "archive", "00000001000000370000000E.gz"],
    &["-dnx.gz", "archive", "00000001000000370000000E.00000028.backup.gz"],
    &["-x=.gz", "-d", "archive", KEPT],
    &["-x", "gz", "archive", "00000001000000370000000E.gz"],
    &["-x", "", "-d", "archive", KEPT],
    &["-x", "-n", "archive", KEPT],
    &["-x", ".gz", "-x", ".sha256", "-d", "archive", KEPT],
    &["-x", KEPT, "-d", "archive", KEPT],
    &["--", "archive", KEPT],
    &["--", "archive", KEPT, "-d"],
    &["archive", "--", KEPT],
    &["-n", "archive/", KEPT],
    &["-d", "archive", "00000009000000370000000E"],
    &["-d", "archive", "000000000000000000000000"],
    &["-q", "archive", KEPT],
    &["-d", "-V"],
    &["-d", "-?"],
    &["archive", KEPT, "-x"],
    &["-", KEPT],
    &["", KEPT],
];

/// Arguments that are, or might be, the oldest file that stays.
const CUTOFFS: [&str; 20] = [
    "00000001000000370000000E",
    "00000001000000370000000E.partial",
    "00000001000000370000000E.00000028.backup",
    "000000010000003700000010.00000020.backup",
    "00000001000000370000000E.0000002.backup",
    "00000001000000370000000E.28.backup",
    "00000001000000370000000E.+28.backup",
    "00000001000000370000000E. 28.backup",
    "00000001000000370000000E.backup",
    "00000001000000370000000E.x.backup",
    "00000001000000370000000E..backup",
    "00000001000000370000000E99.00000028.backup",
    "00000001000000370000000E.partial.gz",
    "00000001000000370000000E.gz",
    "00000001000000370000000e",
    "00000001000000370000000",
    "00000002.history",
    "archive/00000001000000370000000E",
    "",
    "-",
];

fn every_kind() -> Vec<String> {
    EVERY_KIND.iter().map(|&file| file.to_owned()).collect()
}

#[test]
fn beside_the_program_of_15_the_same_files_are_left_and_the_same_is_said() {
    let original = Original::of_15();
    for line in SHORT_CALLS {
        assert_same(&original, &every_kind(), line);
    }
    for cutoff in CUTOFFS {
        assert_same(&original, &every_kind(), &["-d", "archive", cutoff]);
    }
    for line in [&["archive"] as &[&str], &[], &["archive", KEPT, "more"], &["nowhere", "foo"]] {
        assert_same(&original, &every_kind(), line);
    }
}

#[test]
fn beside_the_program_of_17_the_same_files_are_left_and_the_same_is_said() {
    let original = Original::of_17();
    for line in SHORT_CALLS {
        assert_same(&original, &every_kind(), line);
    }
    for cutoff in CUTOFFS {
        assert_same(&original, &every_kind(), &["-bd", "archive", cutoff]);
    }
    for line in [
        &["-b", "archive", KEPT] as &[&str],
        &["archive", KEPT, "-b", "-x.gz"],
        &["-b", "-x", ".backup", "-d", "archive", KEPT],
        &["-b", "-x", ".00000028.backup", "-d", "archive", KEPT],
        &["--clean-backup-history", "--debug", "archive", KEPT],
        &["--dry-run", "--debug", "archive", KEPT],
        &["--strip-extension=.gz", "archive", KEPT],
        &["--strip-extension", ".gz", "archive", KEPT],
        &["--strip-extension=", "-d", "archive", KEPT],
        &["--c", "--deb", "--dry", "--s=.gz", "archive", KEPT],
        &["archive", KEPT, "--debug"],
        &["--d", "archive", KEPT],
        &["--dry-run=1", "archive", KEPT],
        &["--nope=1", "archive", KEPT],
        &["--=x", "archive", KEPT],
        &["--strip-extension"],
        &["--debug", "--help"],
        &["--debug", "--version"],
        &["--vers"],
        &["-bq", "archive", KEPT],
    ] {
        assert_same(&original, &every_kind(), line);
    }
}

/// Random directories and arguments, through both programs.
#[test]
fn beside_the_program_of_17_random_archives_end_alike() {
    let original = Original::of_17();
    let file = "0000000[0-2]000000(00|37)0000000[0-9A-F](|\\.partial|\\.000000[0-9]8\\.backup|\\.x\\.backup)(|\\.gz)\
                |0000000[1-3]\\.history|[0-9A-F]{23,25}";
    let cutoff = "0000000[0-2]000000(00|37)0000000[0-9A-F](|\\.partial|\\.000000[0-9]8\\.backup)(|\\.gz)";
    let options = prop_oneof![Just("-d"), Just("-bd"), Just("-dx.gz"), Just("-bndx.gz"), Just("-dx.backup")];
    let cases = prop::collection::btree_set(file, 0..24);
    // A case is two processes; one in eight of what a property otherwise gets.
    let config = Config { cases: (Config::default().cases / 8).max(1), ..Config::default() };
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..config });
    let outcome = runner.run(&(cases, cutoff, options), |(files, cutoff, options)| {
        let files: Vec<String> = files.into_iter().collect();
        assert_same(&original, &files, &[options, "archive", &cutoff]);
        Ok(())
    });
    outcome.unwrap();
}
