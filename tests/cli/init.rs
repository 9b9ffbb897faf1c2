//! `init` as the first thing that a DBA types: what it says of a server, which files it makes, and what it refuses.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::*;

const CONFIG: &str = "elsewhere/walkeep.toml";

fn init_of_data(scene: &Scene) -> Call {
    scene.call(&["init", "-D", "."])
}

/// Says so, however its lines are broken.
#[track_caller]
fn tells_in_order(outcome: &Outcome, lines: &[&str]) {
    let mut rest = outcome.stdout.as_str();
    for line in lines {
        let at = rest.find(line).unwrap_or_else(|| panic!("stdout lacks {line:?} here: {outcome:#?}"));
        rest = &rest[at + line.len()..];
    }
}

// ---- the server's lines

#[test]
fn a_server_without_archiving_is_told_every_line_and_to_restart() {
    let scene = Scene::new();
    scene.configure("port = 5432\n");
    let before = scene.snapshot("data");
    let outcome = init_of_data(&scene).run().prints(&[]);
    let command = format!("archive_command = '{} archive %p --repo ", env!("CARGO_BIN_EXE_walkeep"));
    tells_in_order(
        &outcome,
        &[
            "Nothing of it was changed; write\n",
            &format!("  at the end of {}:\n", scene.shown("data/postgresql.conf")),
            "    archive_mode = 'on'\n",
            &command,
            "    restore_command = '",
            "  it counts after a restart:\n    pg_ctl restart -D ",
            "\n  walkeep doctor -D ",
        ],
    );
    assert!(scene.snapshot("data") == before, "nothing of the server is written");
}

#[test]
fn kingbase_is_told_which_line_of_es_rep_conf_to_replace_and_to_reload() {
    let scene = Scene::new();
    scene.write("data/SYS_VERSION", "12\n");
    fs::create_dir_all(scene.path("data/sys_replslot")).unwrap();
    for (from, to) in [("pg_wal", "sys_wal"), ("global/pg_control", "global/sys_control")] {
        fs::rename(scene.path("data").join(from), scene.path("data").join(to)).unwrap();
    }
    scene.remove("data/PG_VERSION");
    scene.write("data/global/sys_control", control_file_12_of_kingbase());
    scene.write("data/kingbase.conf", "include_if_exists = 'es_rep.conf'\n");
    scene.write("data/es_rep.conf", "archive_mode = on\narchive_command = '/bin/cp -f %p /old/%f'\n");
    let outcome = init_of_data(&scene).run().prints(&["KingbaseES V8R6"]);
    tells_in_order(
        &outcome,
        &[
            &format!("  in {}, instead of line 2:\n    archive_command = '", scene.shown("data/es_rep.conf")),
            &format!("  at the end of {}:\n    restore_command = '", scene.shown("data/es_rep.conf")),
            "  a reload makes it count:\n    sys_ctl reload -D ",
        ],
    );
}

/// PostgreSQL 12's control file, which is KingbaseES V8R6's.
fn control_file_12_of_kingbase() -> Vec<u8> {
    fixture("12/running/pg_control")
}

#[test]
fn opengauss_gets_both_placeholders_and_gs_guc_and_no_recovery_conf_on_a_primary() {
    let scene = Scene::new();
    scene.write("data/PG_VERSION", "9.2\n");
    fs::rename(scene.path("data/pg_wal"), scene.path("data/pg_xlog")).unwrap();
    scene.write("data/global/pg_control", control_file_of_opengauss());
    scene.configure("archive_mode = on\narchive_dest = '/dest'\n");
    let outcome = init_of_data(&scene).run().prints(&["openGauss"]);
    tells_in_order(
        &outcome,
        &[
            "instead of line 2:\n    archive_dest = ''\n",
            " archive %p %f --repo ",
            "a reload makes it count:\n    gs_ctl reload -D ",
            "gs_guc reload -D ",
            "but never on a primary:\n",
            "recovery.conf:\n    restore_command = '",
        ],
    );
}

/// A control file whose fields lie as openGauss's header says.
fn control_file_of_opengauss() -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &SYSTEM.to_le_bytes());
    for (at, value) in [(8, 923_u32), (12, 201_611_171), (16, 17), (20, 6), (56, 1), (164, 2), (180, 8)] {
        put(at, &value.to_le_bytes());
    }
    for (at, value) in [(192, 8192_u32), (200, 8192), (204, 16 << 20)] {
        put(at, &value.to_le_bytes());
    }
    for (at, value) in [(24, 1_700_000_000_u64), (32, 0x0300_0060), (40, 0x0200_0060), (48, 0x0300_0028)] {
        put(at, &value.to_le_bytes());
    }
    put(184, &1_234_567.0_f64.to_le_bytes());
    seal(&mut bytes, 224);
    bytes
}

#[test]
fn a_server_that_archives_here_already_is_told_nothing() {
    let scene = Scene::new();
    let walkeep = env!("CARGO_BIN_EXE_walkeep");
    let repo = scene.shown("repo");
    scene.configure(&format!(
        "archive_mode = on\narchive_command = '{walkeep} archive %p --repo {repo}'\nrestore_command = '{walkeep} \
         restore %f %p --repo {repo}'\n"
    ));
    let outcome = init_of_data(&scene).run().prints(&["It archives into this repository already."]);
    assert!(!outcome.stdout.contains("write\n"), "{}", outcome.stdout);
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_and_the_repository_is_made() {
    let scene = Scene::new();
    let outcome = init_of_data(&scene).run();
    outcome.prints(&["is a repository now.", "is not known:", "postgresql.conf"]);
}

// ---- the config file

#[test]
fn the_config_file_that_init_writes_is_one_that_all_verbs_take() {
    let scene = Scene::new();
    scene.configure("archive_mode = on\n");
    let path = scene.path(CONFIG);
    init_of_data(&scene).arg("--write-config").arg(&path).run().prints(&["config file", "is written"]);
    assert_eq!(scene.mode(CONFIG), 0o640);
    scene.offer_segments(&[SEGMENT]);
    let call = |args: &[&str]| {
        let call = scene.call(args).without("WALKEEP_REPO").cwd(scene.path("elsewhere"));
        call.arg("--config").arg(&path).run()
    };
    call(&["drain"]).prints(&[]);
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
    let report: serde_json::Value = serde_json::from_str(&call(&["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(report["node"]["cluster"]["system_identifier"], SYSTEM.to_string());
}

#[test]
fn a_config_file_that_lies_in_a_closed_directory_is_its_owners_alone() {
    let scene = Scene::new();
    scene.write("closed/x", "");
    tool("chmod", &["700".as_ref(), scene.path("closed").as_ref()]);
    init_of_data(&scene).arg("--write-config").arg(scene.path("closed/a.toml")).run().prints(&[]);
    assert_eq!(scene.mode("closed/a.toml"), 0o600);
}

#[test]
fn a_config_file_that_is_there_is_never_touched_and_nothing_is_made() {
    for at in ["file", "link", "dangling"] {
        let scene = Scene::new();
        scene.write("elsewhere/mine", "log = \"info\"\n");
        match at {
            "file" => drop(scene.write(CONFIG, "log = \"info\"\n")),
            "link" => symlink("mine", scene.path(CONFIG)).unwrap(),
            _ => symlink("not-there", scene.path(CONFIG)).unwrap(),
        }
        let before = scene.snapshot("elsewhere");
        let outcome = init_of_data(&scene).arg("--write-config").arg(scene.path(CONFIG)).run();
        outcome.refused(1, &["is there already", "hint: It was not touched."]);
        assert!(scene.snapshot("elsewhere") == before, "{at}");
        assert!(!scene.path("repo").exists(), "{at}");
    }
}

#[test]
fn a_config_file_in_a_data_directory_or_a_repository_is_refused() {
    for (at, place) in [("data/walkeep.toml", "data directory"), ("repo/walkeep.toml", "repository")] {
        let scene = Scene::new();
        fs::create_dir(scene.path("repo")).unwrap();
        let outcome = init_of_data(&scene).arg("--write-config").arg(scene.path(at)).run();
        outcome.refused(1, &[place, "hint: "]);
        assert!(!scene.path(at).exists() && scene.stored().is_empty());
    }
    let scene = Scene::new();
    let outcome = init_of_data(&scene).arg("--write-config").arg(scene.path("not/there.toml")).run();
    outcome.refused(1, &["cannot look at '"]);
    assert!(!scene.path("repo").exists());
}

// ---- another cluster

#[test]
fn after_pg_upgrade_a_new_repository_is_asked_for_and_the_way_is_told() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    let before = scene.snapshot("repo");
    scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
    let outcome = init_of_data(&scene).run();
    let next = format!("walkeep init --repo {}-2 -D ", scene.shown("repo"));
    outcome.refused(
        1,
        &[&format!("belongs to system identifier {SYSTEM}, '"), "pg_upgrade", &next, "Take a base backup"],
    );
    assert!(scene.snapshot("repo") == before);
}

// ---- other tools' repositories

#[test]
fn a_repository_of_pgbackrest_or_sys_rman_is_refused_from_whichever_of_its_folders() {
    for below in ["", "archive", "archive/kingbase", "archive/kingbase/12-1"] {
        let scene = Scene::new();
        scene.write("rman/archive/kingbase/archive.info", "[backrest]\n");
        let digested = format!("{SEGMENT}-{}.zst", "a1".repeat(20));
        scene.write(format!("rman/archive/kingbase/12-1/0000000100000000/{digested}"), "");
        scene.write("rman/backup/kingbase/backup.info", "[backrest]\n");
        let before = scene.listing("rman");
        let call = scene.call(&["init", "-D", ".", "--repo"]).arg(scene.path("rman").join(below));
        let says = ["is a repository of pgBackRest or sys_rman", "hint: Leave it to pgbackrest or sys_rman"];
        call.run().refused(1, &says);
        assert_eq!(scene.listing("rman"), before, "{below}");
    }
}
