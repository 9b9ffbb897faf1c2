//! Settings: flag > environment > config file > default, and what does not make sense is told.

use std::fs;

use crate::support::*;

fn config(scene: &Scene, text: &str) -> std::path::PathBuf {
    scene.write("elsewhere/walkeep.toml", text)
}

/// The node and the length of the one stored segment.
fn stored_by(scene: &Scene, repo: &str) -> (String, usize) {
    let bytes = scene.read(format!("{repo}/{SEGMENT}.zst"));
    let frame: serde_json::Value = serde_json::from_slice(&bytes[8..1024]).unwrap();
    (frame["node"].as_str().unwrap().to_owned(), bytes.len())
}

#[test]
fn the_repository_is_the_flags_then_the_environments_then_the_config_files() {
    let scene = Scene::new();
    let repos = ["by_flag", "by_environment", "by_config"];
    for repo in repos {
        scene.call(&["init", "--repo"]).arg(scene.path(repo)).run().prints(&[]);
    }
    scene.offer_segments(&[SEGMENT]);
    let file = config(&scene, &format!("[repository]\nurl = \"{}\"\n", scene.shown("by_config")));
    let path = format!("pg_wal/{SEGMENT}");
    let base = || scene.call(&["archive", &path]).without("WALKEEP_REPO").arg("--config").arg(&file);
    let stored = || repos.map(|repo| scene.path(format!("{repo}/{SEGMENT}.zst")).exists());
    base().run().silent_success();
    assert_eq!(stored(), [false, false, true]);
    base().env("WALKEEP_REPO", scene.path("by_environment")).run().silent_success();
    assert_eq!(stored(), [false, true, true]);
    let call = base().env("WALKEEP_REPO", "/not/there").arg("--repo").arg(scene.path("by_flag"));
    call.run().silent_success();
    assert_eq!(stored(), [true, true, true]);
    let unnamed = scene.call(&["archive", &path]).without("WALKEEP_REPO").run();
    unnamed.refused(1, &["no repository is named", "hint: Name it with --repo DIR, $WALKEEP_REPO, or"]);
}

#[test]
fn the_config_file_is_named_by_the_flag_or_the_environment() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let file = config(&scene, &format!("[repository]\nurl = \"{}\"\n", scene.shown("repo")));
    let path = format!("pg_wal/{SEGMENT}");
    let call = || scene.call(&["archive", &path]).without("WALKEEP_REPO");
    call().env("WALKEEP_CONFIG", &file).run().silent_success();
    call().env("WALKEEP_CONFIG", "/not/there").arg("--config").arg(&file).run().silent_success();
}

#[test]
fn the_node_is_the_flags_then_the_environments_then_the_config_files_then_the_hosts() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let archived_by = |flag: bool, environment: bool, file: bool| {
        let scene = Scene::with_repository("zstd");
        scene.offer_segments(&[SEGMENT]);
        let mut call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]).without("WALKEEP_NODE");
        if file {
            call = call.arg("--config").arg(config(&scene, "[cluster]\nnode = \"by_config\"\n"));
        }
        if environment {
            call = call.env("WALKEEP_NODE", "by_environment");
        }
        if flag {
            call = call.args(&["--node", "by_flag"]);
        }
        call.run().silent_success();
        stored_by(&scene, "repo").0
    };
    assert_eq!(archived_by(true, true, true), "by_flag");
    assert_eq!(archived_by(false, true, true), "by_environment");
    assert_eq!(archived_by(false, false, true), "by_config");
    assert_eq!(archived_by(false, false, false), host.trim());
}

#[test]
fn the_level_is_the_flags_then_the_environments_then_the_config_files_then_1() {
    let length = |flag: Option<&str>, environment: Option<&str>, file: Option<&str>| {
        let scene = Scene::with_repository("zstd:5");
        scene.offer_segments(&[SEGMENT]);
        let mut call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]);
        if let Some(level) = file {
            let text = format!("[repository]\ncompress = \"zstd:{level}\"\n");
            call = call.arg("--config").arg(config(&scene, &text));
        }
        if let Some(level) = environment {
            call = call.env("WALKEEP_COMPRESS", format!("zstd:{level}"));
        }
        if let Some(level) = flag {
            call = call.args(&["--compress", &format!("zstd:{level}")]);
        }
        call.run().silent_success();
        stored_by(&scene, "repo").1
    };
    let (fast, small) = (length(Some("1"), None, None), length(Some("19"), None, None));
    assert!(small < fast);
    assert_eq!(length(None, None, None), fast);
    assert_eq!(length(None, None, Some("19")), small);
    assert_eq!(length(None, Some("19"), Some("1")), small);
    assert_eq!(length(Some("19"), Some("1"), Some("1")), small);
}

#[test]
fn the_form_is_fixed_and_compress_changes_the_level_only() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.offer_segments(&[SEGMENTS[1]]);
    scene.call(&["archive", "--compress", "none", &format!("pg_wal/{}", SEGMENTS[1])]).run().silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst"), format!("{}.zst", SEGMENTS[1])]);
}

#[test]
fn the_data_directory_can_come_from_anywhere() {
    let scene = Scene::with_repository("zstd");
    scene.write(format!("elsewhere/{}", HISTORY.0), fixture(HISTORY.1));
    scene.data_directory("wrong", "15", &control_file_of(OTHER_SYSTEM));
    let call = || scene.call(&["archive", HISTORY.0]).cwd(scene.path("elsewhere"));
    call().run().refused(1, &["no data directory was found"]);
    let (data, wrong) = (scene.path("data"), scene.path("wrong"));
    for variable in ["WALKEEP_PGDATA", "KINGBASE_DATA", "PGDATA"] {
        call().env(variable, &data).run().silent_success();
        call().env(variable, &wrong).arg("-D").arg(&data).run().silent_success();
        call().env(variable, "").run();
    }
    call()
        .env("WALKEEP_PGDATA", &data)
        .env("KINGBASE_DATA", &wrong)
        .env("PGDATA", &wrong)
        .run()
        .silent_success();
    let file = config(&scene, &format!("[cluster]\npgdata = \"{}\"\n", data.display()));
    scene.call(&["set-aside", HISTORY.0, "--reason", "x"]).run().prints(&[]);
    call().env("WALKEEP_CONFIG", &file).run().silent_success();
    scene.call(&["set-aside", HISTORY.0, "--reason", "x"]).run().prints(&[]);
    call().arg("-D").arg(&wrong).run().refused(1, &["the repository belongs to system identifier"]);
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    for (text, key, nearest) in [
        ("[repository]\nurls = \"/x\"\n", "repository.urls", "repository.url"),
        ("[repository]\nminfree = \"1GiB\"\n", "repository.minfree", "repository.min_free"),
        ("[restore]\nonerror = \"stop\"\n", "restore.onerror", "restore.on_error"),
        ("[archives]\ntimeout = \"1m\"\n", "archives.timeout", "archive.timeout"),
        ("lg = \"info\"\n", "lg", "log"),
    ] {
        let call =
            scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), "--config"]).arg(config(&scene, text));
        let says = [format!("has an unknown key '{key}'"), format!("hint: Is '{nearest}' meant?")];
        call.run().refused(2, &[&says[0], &says[1], "walkeep.toml"]);
    }
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn a_config_file_that_makes_no_sense_is_told() {
    let scene = Scene::with_repository("zstd");
    for (text, says) in [
        ("[repository\n", "is not TOML"),
        ("[repository]\nmin_free = \"1GB\"\n", "repository.min_free: '1GB' is not a size such as"),
        ("[repository]\ncompress = \"gzip\"\n", "repository.compress: 'gzip' is neither none nor zstd"),
        ("[repository]\nurl = [\"/x\"]\n", "repository.url: it is no text"),
        ("repository = \"/x\"\n", "unknown key 'repository'"),
        ("[archive]\ntimeout = \"5\"\n", "archive.timeout: '5' is not a duration such as"),
        ("[archive]\nahead = 1025\n", "archive.ahead: '1025' is not a number from 0 to 1024"),
        ("[archive]\njobs = 0\n", "archive.jobs: '0' is not a number from 1 to 256"),
        ("[restore]\non_error = \"maybe\"\n", "'maybe' is none of auto, stop and continue"),
        ("log = \"loud\"\n", "'loud' is none of"),
    ] {
        let call = scene.call(&["archive", "pg_wal/x", "--config"]).arg(config(&scene, text));
        call.run().refused(2, &["error: cannot resolve the settings", says]);
    }
    let missing = scene.call(&["archive", "pg_wal/x", "--config", "/not/there.toml"]).run();
    missing.refused(2, &["/not/there.toml", "No such file or directory"]);
}

#[test]
fn sizes_and_durations_are_read_as_documented() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let path = format!("pg_wal/{SEGMENT}");
    for size in ["0", "1", "1KiB", "1MiB"] {
        scene.call(&["archive", &path, "--min-free", size]).run().silent_success();
    }
    for duration in ["30s", "10m", "12h", "7d"] {
        scene.call(&["archive", &path, "--timeout", duration]).run().silent_success();
    }
    for args in [
        ["--min-free", "1GB"],
        ["--min-free", "lots"],
        ["--timeout", "5"],
        ["--timeout", "1y"],
        ["--compress", "zstd:0"],
        ["--compress", "zstd:20"],
        ["--compress", "lz4"],
        ["--ahead", "1025"],
        ["--output", "xml"],
    ] {
        scene.call(&["archive", &path]).args(&args).run().refused(2, &[args[0]]);
    }
    scene.call(&["archive", &path, "--ahead", "0"]).run().silent_success();
}

#[test]
fn a_limit_of_free_space_in_the_config_file_holds() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let path = format!("pg_wal/{SEGMENT}");
    let file = config(&scene, "[repository]\nmin_free = \"1000TiB\"\n");
    scene.call(&["archive", &path]).env("WALKEEP_CONFIG", &file).run().refused(1, &["are to stay free"]);
    scene.call(&["archive", &path, "--min-free", "0"]).env("WALKEEP_CONFIG", &file).run().silent_success();
}

#[test]
fn a_repository_is_named_by_a_path_or_a_file_url() {
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    scene.store_segments(&[SEGMENT]);
    let restore = |repo: &str| {
        let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s", "--repo", repo];
        scene.call(&args).run()
    };
    let repo = scene.shown("repo");
    for named in [repo.clone(), format!("{repo}/"), format!("file://{repo}"), "../repo".to_owned()] {
        restore(&named).silent_success();
    }
    for named in ["s3://bucket/x", "file://host/x", "ftp://x"] {
        restore(named).refused(255, &[named, "hint: Name a directory: /archive, or file:///archive."]);
    }
}

#[test]
fn what_is_logged_is_the_flags_then_the_environments_then_the_config_files() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let path = format!("pg_wal/{SEGMENT}");
    let said = |call: Call| call.run().code(0).stderr;
    let base = || scene.call(&["archive", &path]);
    assert_eq!(said(base().arg("-v")), format!("info: '{SEGMENT}' was stored already\n"));
    assert_eq!(said(base().env("WALKEEP_LOG", "info")), format!("info: '{SEGMENT}' was stored already\n"));
    assert_eq!(said(base().env("WALKEEP_LOG", "info").arg("-q")), "");
    let file = config(&scene, "log = \"info,json\"\n");
    let json: serde_json::Value = serde_json::from_str(&said(base().arg("--config").arg(&file))).unwrap();
    assert_eq!(json["level"], "info");
    assert_eq!(said(base().env("WALKEEP_LOG", "warn").arg("--config").arg(&file)), "");
    let failed = scene.call(&["archive", "pg_wal/x", "--log-format", "json"]).run().refused(1, &[]);
    let json: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!(json["level"], "error");
    assert_eq!(json["message"], "cannot archive 'x'");
    assert!(json["causes"].as_array().is_some_and(|causes| !causes.is_empty()));
    assert!(json["hint"].is_string());
}

#[test]
fn init_reports_for_machines_too() {
    let scene = Scene::new();
    let report = scene.call(&["init", "-D", ".", "-o", "json"]).run().json();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["repository"], scene.shown("repo"));
    assert_eq!(report["was_one"], false);
    assert_eq!(report["form"], "zstd");
    assert_eq!(report["system_identifier"], SYSTEM.to_string());
    assert_eq!(report["segment_size_bytes"], MIB);
    assert_eq!(report["configuration_lines"].as_array().unwrap().len(), 3);
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let path = format!("pg_wal/{SEGMENT}");
    scene
        .call(&["archive", &path, "--repo", &scene.shown("repo")])
        .env("WALKEEP_REPO", "")
        .env("WALKEEP_CONFIG", "")
        .env("WALKEEP_COMPRESS", "")
        .env("WALKEEP_NODE", "")
        .env("WALKEEP_LOG", "")
        .env("PGDATA", "")
        .run()
        .silent_success();
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let scene = Scene::new();
    for args in [&[][..], &["init", "x"], &["init", "--bogus"], &["no-such-verb"], &["archive"]] {
        scene.call(args).run().refused(2, &[]);
    }
    scene.call(&["init"]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    scene.call(&["init", "--node", &"n".repeat(129)]).run().refused(2, &["the node's name 'nnn"]);
    assert!(!scene.path("repo").exists());
    for args in
        [&["--help"][..], &["init", "--help"], &["archive", "-h"], &["restore", "--help"], &["--version"]]
    {
        scene.call(args).run().prints(&["walkeep"]);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let scene = Scene::new();
    scene.call_in_shell("exec >/dev/full", &["init"]).run().code(1);
    scene.call(&["init"]).run().prints(&["is a repository already."]);
}

#[test]
fn a_slip_in_a_path_gets_a_hint_that_says_what_to_look_at() {
    let scene = Scene::with_repository("zstd");
    let nowhere = scene.shown("nowhere");
    let file = scene.shown("data/PG_VERSION");
    let slips: [(&[&str], i32, &str); 4] = [
        (
            &["init", "--repo", &scene.shown("new"), "-D", &nowhere],
            1,
            "hint: Is that what 'SHOW data_directory' tells",
        ),
        (&["verify", "--repo", &file], 2, "hint: A repository is a directory"),
        (&["status", "-o", "nagios"], 2, "hint: Ask 'walkeep gate'."),
        (
            &["status", "--config", &nowhere],
            2,
            "hint: 'walkeep init -D DATADIR --repo DIR --write-config FILE' writes one",
        ),
    ];
    for (args, code, hint) in slips {
        let _ = scene.call(args).run().code(code).says(&[hint]);
    }
}
