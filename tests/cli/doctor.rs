//! `doctor`: what is wrong with configuration and environment, and the very lines that mend it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::*;

const BINARY: &str = env!("CARGO_BIN_EXE_walkeep");

/// What a sound configuration says, but for the archive_command.
const SOUND: &str = "archive_mode = on\narchive_timeout = 300\n";

/// A node with a repository on a disk of its own, and one stored segment.
fn node() -> (Scene, SmallDisk) {
    let scene = Scene::new();
    let disk = SmallDisk::mount(scene.path("repo"), "size=64m,mode=700");
    scene.init("zstd");
    scene.store_segments(&SEGMENTS[..1]);
    (scene, disk)
}

/// The same in KingbaseES's shape: its own control file, and a main file that includes es_rep.conf.
fn kingbase(main: &str, es_rep: &str) -> (Scene, SmallDisk) {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path("data")).unwrap();
    scene.write("data/SYS_VERSION", "12\n");
    scene.write("data/global/sys_control", fixture("12/shutdown/pg_control"));
    for directory in ["sys_wal/archive_status", "sys_replslot"] {
        fs::create_dir_all(scene.path("data").join(directory)).unwrap();
    }
    let disk = SmallDisk::mount(scene.path("repo"), "size=8g,mode=700");
    scene.init("zstd");
    scene.write("data/kingbase.conf", format!("{main}include_if_exists = 'es_rep.conf'\n"));
    scene.write("data/es_rep.conf", es_rep);
    (scene, disk)
}

fn archives(scene: &Scene) -> String {
    format!("archive_command = '{BINARY} archive %p --repo {}'\n", scene.shown("repo"))
}

fn doctor(scene: &Scene, args: &[&str]) -> Outcome {
    scene.call(&["doctor"]).args(args).run()
}

/// The report, which has to agree with the exit code.
#[track_caller]
fn report(scene: &Scene) -> Value {
    let outcome = doctor(scene, &["-o", "json"]);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
    let code = match report["verdict"].as_str().unwrap() {
        "OK" => 0,
        "UNKNOWN" => 2,
        _ => 1,
    };
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    report
}

fn keys<'a>(report: &'a Value, of: &str) -> Vec<&'a str> {
    report[of].as_array().unwrap().iter().map(|finding| finding["key"].as_str().unwrap()).collect()
}

#[track_caller]
fn finds(scene: &Scene, findings: &[&str]) {
    let report = report(scene);
    assert_eq!(keys(&report, "findings"), findings, "{report:#}");
}

/// Does to the files what each finding says has to be done.
fn obey(report: &Value) {
    for edit in report["findings"].as_array().unwrap().iter().flat_map(|f| f["edits"].as_array().unwrap()) {
        assert_eq!(edit["place"], "file", "{edit}");
        let file = edit["file"].as_str().unwrap();
        let mut lines: Vec<String> = fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect();
        let new = edit["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
        match edit["replaces_line"].as_u64() {
            Some(line) => drop(lines.splice(line as usize - 1..line as usize, new)),
            None => lines.extend(new),
        }
        fs::write(file, lines.join("\n") + "\n").unwrap();
    }
}

// ---- what people read

#[test]
fn a_healthy_node_is_told_what_was_looked_at() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    let outcome = doctor(&scene, &[]).prints(&["doctor: OK\n"]);
    is_screen(&scene, &outcome, "doctor_healthy");
    finds(&scene, &[]);
}

#[test]
fn the_refused_switchover_is_told_which_line_to_write_into_es_rep_conf() {
    let es_rep = "archive_mode = on\narchive_timeout = 300\narchive_dest = ''\narchive_command = ''\n";
    let (scene, _disk) = kingbase("archive_command = 'exit 0'\n", es_rep);
    for number in 0..134 {
        scene.write(format!("data/sys_wal/archive_status/0000000100000000000000{number:02X}.ready"), "");
        scene.write(format!("data/sys_wal/0000000100000000000000{number:02X}"), "");
    }
    let outcome = doctor(&scene, &[]).code(1);
    is_screen(&scene, &outcome, "doctor_incident");
    obey(&report(&scene));
    let line = format!("archive_command = '{BINARY} archive %p --repo {}'", scene.shown("repo"));
    let written = String::from_utf8(scene.read("data/es_rep.conf")).unwrap();
    assert_eq!(written.lines().last(), Some(line.as_str()));
    let main = String::from_utf8(scene.read("data/kingbase.conf")).unwrap();
    assert_eq!(main, "# archive_command = 'exit 0'\ninclude_if_exists = 'es_rep.conf'\n");
    finds(&scene, &["pending", "nothing_stored"]);
}

// ---- configuration

#[test]
fn cp_and_a_hidden_no_op_are_named_with_file_and_line() {
    let cp = "archive_mode = on\narchive_timeout = 300\narchive_command = '/bin/cp -f %p /archive/%f'\n";
    let (scene, _disk) = kingbase("# a comment\narchive_command = 'exit 0'\n", cp);
    let report = report(&scene);
    assert_eq!(
        keys(&report, "findings"),
        ["cp_archive_command", "hidden_no_op_archive_command", "nothing_stored"]
    );
    let place = |at: usize| {
        let edit = &report["findings"][at]["edits"][0];
        (edit["file"].as_str().unwrap().to_owned(), edit["replaces_line"].as_u64().unwrap())
    };
    assert_eq!(place(0), (scene.shown("data/es_rep.conf"), 3));
    assert_eq!(place(1), (scene.shown("data/kingbase.conf"), 2));
    let then = format!("sys_ctl reload -D {}", scene.shown("data"));
    assert_eq!(report["findings"][0]["edits"][0]["then"], then);
    assert_eq!(report["findings"][0]["edits"][0]["takes_effect"], "reload");
    obey(&report);
    finds(&scene, &["nothing_stored"]);
}

#[test]
fn archive_mode_off_takes_a_restart() {
    let (scene, _disk) = node();
    scene.configure("wal_level = replica\n");
    let report = report(&scene);
    assert_eq!(keys(&report, "findings"), ["archive_mode_off"]);
    let edits = report["findings"][0]["edits"].as_array().unwrap();
    assert_eq!(
        (&edits[0]["lines"][0], &edits[0]["takes_effect"]),
        (&"archive_mode = 'on'".into(), &"restart".into())
    );
    let text = doctor(&scene, &[]).code(1).stdout;
    assert!(text.contains(&format!("  then:  pg_ctl restart -D {}\n", scene.shown("data"))), "{text}");
    obey(&report);
    finds(&scene, &[]);
}

#[test]
fn what_alter_system_wrote_is_changed_by_a_statement() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    scene.write("data/postgresql.auto.conf", "archive_command = 'false'\n");
    let report = report(&scene);
    assert_eq!(keys(&report, "findings"), ["failing_archive_command"]);
    let edit = &report["findings"][0]["edits"][0];
    let line = edit["lines"][0].as_str().unwrap();
    assert_eq!(edit["place"], "statement");
    assert!(line.starts_with("ALTER SYSTEM SET archive_command = '") && line.ends_with("';"), "{line}");
}

#[test]
fn a_command_that_stores_elsewhere_or_calls_what_is_not_there_is_told() {
    let (scene, _disk) = node();
    let command = |command: &str| scene.configure(&format!("{SOUND}archive_command = '{command}'\n"));
    command(&format!("{BINARY} archive %p --repo {}", scene.shown("elsewhere")));
    finds(&scene, &["archives_into_another_repository"]);
    command(&format!("{BINARY} archive %p --repo ../repo"));
    finds(&scene, &["relative_repository"]);
    symlink(scene.path("repo"), scene.path("link")).unwrap();
    command(&format!("{BINARY} archive %p --repo {}", scene.shown("link")));
    finds(&scene, &[]);
    command(&format!("{} archive %p --repo {}", scene.shown("no/walkeep"), scene.shown("repo")));
    finds(&scene, &["archive_program_unusable"]);
    let plain = scene.write("walkeep", "");
    command(&format!("{} archive %p --repo {}", plain.display(), scene.shown("repo")));
    let report = report(&scene);
    assert_eq!(keys(&report, "findings"), ["archive_program_unusable"]);
    obey(&report);
    finds(&scene, &[]);
}

#[test]
fn without_a_repository_no_line_can_be_written_out() {
    let (scene, _disk) = node();
    scene.configure("archive_mode = on\narchive_command = ''\n");
    let outcome = scene.call(&["doctor", "-o", "json"]).without("WALKEEP_REPO").run().code(1);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["findings"][0]["edits"], Value::Array(Vec::new()));
    assert!(keys(&report, "notes").contains(&"no_repository_named"), "{report:#}");
}

#[test]
fn a_standby_without_a_restore_command_is_told_the_line() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    scene.make_standby();
    let report = report(&scene);
    assert_eq!(
        (keys(&report, "findings"), keys(&report, "notes")),
        (vec![], vec!["no_restore_command", "no_retention_policy"])
    );
    let edit = &report["notes"][0]["edits"][0];
    let line = format!("restore_command = '{BINARY} restore %f %p --repo {}'", scene.shown("repo"));
    assert_eq!((&edit["lines"][0], &edit["replaces_line"]), (&line.into(), &Value::Null));
}

// ---- the environment

#[test]
fn a_round_trip_leaves_nothing_and_nothing_else_is_written() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    let before = (scene.snapshot("data"), scene.snapshot("repo"));
    doctor(&scene, &[]).prints(&["a file stored,"]);
    drop(doctor(&scene, &["-o", "json"]));
    assert!(before == (scene.snapshot("data"), scene.snapshot("repo")));
}

#[test]
fn a_round_trip_that_is_killed_leaves_a_staged_file_alone_that_is_swept() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    let stored = scene.stored();
    let kill = ["-e", "trace=unlink", "-e", "inject=unlink:signal=KILL:when=2"];
    assert_ne!(scene.call_under_strace(&kill, &["doctor"]).run().code, Some(0));
    assert_ne!(scene.listing("repo/.walkeep/staging"), [""; 0], "it was killed in the middle");
    assert_eq!(scene.stored(), stored);
    scene.store_segments(&SEGMENTS[1..2]);
    assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
}

#[test]
fn a_disk_that_fails_and_one_that_syncs_no_directory_are_told_apart() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    let with = |inject: &str| {
        let inject = format!("inject=fsync:{inject}");
        let how = ["-e", "trace=fsync", "-e", &inject];
        let outcome = scene.call_under_strace(&how, &["doctor", "-o", "json"]).run();
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
        (outcome.code, keys(&report, "findings").join(" "), keys(&report, "notes").join(" "))
    };
    assert_eq!(with("error=EIO:when=1"), (Some(1), "round_trip_failed".into(), "no_retention_policy".into()));
    // The first two are the file's, the others its directory's.
    assert_eq!(
        with("error=EINVAL:when=3+"),
        (Some(0), String::new(), "no_directory_sync no_retention_policy".into())
    );
}

#[test]
fn root_leaves_no_file_in_what_is_another_users() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    scene.give_away("repo");
    scene.give_away("data");
    let trace = ["-e", "trace=openat", "-P", &scene.shown("repo/.walkeep/staging")];
    let outcome = scene.call_under_strace(&trace, &["doctor", "-o", "json"]).run().code(0);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(keys(&report, "notes"), ["round_trip_skipped", "no_retention_policy"]);
    assert!(!String::from_utf8_lossy(&scene.read("strace.out")).contains("O_CREAT"));
    assert!(scene.call_as_nobody(&["doctor"]).run().code != Some(2));
}

#[test]
fn a_repository_of_another_user_open_to_all_or_from_the_future_is_told() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    fs::set_permissions(scene.path("repo"), Permissions::from_mode(0o777)).unwrap();
    finds(&scene, &["repository_open_to_others"]);
    fs::set_permissions(scene.path("repo"), Permissions::from_mode(0o700)).unwrap();
    let file = File::options().append(true).open(scene.path(format!("repo/{SEGMENT}.zst"))).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    finds(&scene, &["stored_in_the_future"]);
    file.set_modified(SystemTime::now()).unwrap();
    scene.give_away("data");
    finds(&scene, &["repository_of_another_user"]);
}

#[test]
fn a_repository_beside_the_cluster_is_advised_against_and_no_alarm_for_monitoring() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&SEGMENTS[..1]);
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    finds(&scene, &["shared_file_system"]);
    let _ = scene.call(&["status"]).run().code(0);
}

// ---- hostile input

#[test]
fn doctor_says_when_it_cannot_tell() {
    let (scene, _disk) = node();
    scene.configure(&(SOUND.to_owned() + &archives(&scene)));
    fs::set_permissions(scene.path("data/postgresql.conf"), Permissions::from_mode(0o600)).unwrap();
    let unreadable = scene.call_as_nobody(&["doctor"]).without("WALKEEP_REPO").run().code(2);
    assert!(unreadable.stdout.contains("postgresql.conf"), "{unreadable:#?}");
    assert_eq!(doctor(&scene, &["-D", "/nowhere"]).code, Some(2));
    assert_eq!(doctor(&scene, &["--repo", "/nowhere"]).code, Some(1));
    let mut control = control_file_of(SYSTEM);
    control[40] ^= 1;
    scene.write("data/global/pg_control", control);
    finds(&scene, &["not_known"]);
    scene
        .call(&["doctor"])
        .without("WALKEEP_REPO")
        .cwd("/")
        .run()
        .refused(2, &["no data directory is named"]);
    let config = scene.write("walkeep.toml", "[repository]\nulr = '/archive'\n");
    let call = scene.call(&["doctor"]).env("WALKEEP_CONFIG", config);
    call.run().refused(2, &["unknown key 'repository.ulr'", "Is 'repository.url' meant?"]);
}

#[test]
fn doctor_ends_in_bounded_time_where_the_repository_hangs() {
    let (scene, _disk) = node();
    let state = scene.shown("repo/.walkeep/repository.json");
    scene.run_hanging(&state, &["doctor", "--timeout", "1s"]).refused(2, &["no end after 1s"]);
}
