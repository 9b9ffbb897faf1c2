//! `archive`: exit code 0 means durable in the repository; everything else changes nothing and says why.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::*;

/// What `init` leaves in `.walkeep`, as far as it is listed.
const STATE: [&str; 4] =
    [".walkeep/", ".walkeep/identity.json", ".walkeep/repository.json", ".walkeep/staging/"];

fn with_state(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = STATE.iter().chain(names).map(ToString::to_string).collect();
    names.sort();
    names
}

fn unpacked_by_zstd(scene: &Scene, name: &str) -> Vec<u8> {
    tool("zstd", &["-d".as_ref(), "-q".as_ref(), "-c".as_ref(), scene.path("repo").join(name).as_ref()])
}

/// Runs a call that must be refused, and must leave the repository and the data directory as they were.
#[track_caller]
fn refused_unchanged(scene: &Scene, call: Call, says: &[&str]) {
    let (repository, data) = (scene.snapshot("repo"), scene.snapshot("data"));
    call.run().refused(1, says).says(&["error: cannot archive '"]);
    assert!(scene.snapshot("repo") == repository, "the repository changed: {:?}", scene.listing("repo"));
    assert!(scene.snapshot("data") == data, "the data directory changed: {:?}", scene.listing("data"));
}

#[track_caller]
fn offer_is_refused(scene: &Scene, name: &str, says: &[&str]) {
    refused_unchanged(scene, scene.call(&["archive", &format!("pg_wal/{name}")]), says);
}

// ---- what is stored

#[test]
fn a_segment_is_stored_as_one_zst_file_that_the_zstd_program_restores() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let stored = format!("{SEGMENT}.zst");
    assert_eq!(scene.listing("repo"), with_state(&[&stored]));
    assert!(unpacked_by_zstd(&scene, &stored) == segment(SEGMENT));
}

#[test]
fn the_first_frame_of_a_stored_segment_says_what_it_is() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let stored = scene.read(format!("repo/{SEGMENT}.zst"));
    assert_eq!(stored[..8], [0x50, 0x2A, 0x4D, 0x18, 0xF8, 3, 0, 0]);
    let frame: serde_json::Value = serde_json::from_slice(&stored[8..1024]).unwrap();
    assert_eq!(frame["format"], 1);
    assert_eq!(frame["name"], SEGMENT);
    assert_eq!(frame["size"], MIB);
    assert_eq!(frame["sha256"], sha256(&segment(SEGMENT)));
    assert_eq!(frame["system_identifier"], SYSTEM.to_string());
    assert_eq!(frame["node"], "node1");
}

#[test]
fn a_plain_segment_lies_as_it_is_beside_a_digest_that_sha256sum_checks() {
    let scene = Scene::with_repository("none");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let digest = format!("{SEGMENT}.sha256");
    assert_eq!(scene.listing("repo"), with_state(&[SEGMENT, &digest]));
    assert!(scene.read(format!("repo/{SEGMENT}")) == segment(SEGMENT));
    let script = format!("cd '{}' && sha256sum -c --strict {digest}", scene.shown("repo"));
    tool("sh", &["-c".as_ref(), script.as_ref()]);
}

#[test]
fn all_four_kinds_of_file_are_stored_and_small_text_is_always_plain() {
    for (compress, suffix) in [("zstd", ".zst"), ("none", "")] {
        let scene = Scene::with_repository(compress);
        let partial = format!("{}.partial", SEGMENTS[1]);
        scene.offer_segments(&[SEGMENT]);
        scene.offer(&partial, segment(SEGMENTS[1]));
        scene.offer(HISTORY.0, fixture(HISTORY.1));
        scene.offer(BACKUP.0, fixture(BACKUP.1));
        for name in [SEGMENT, &partial, HISTORY.0, BACKUP.0] {
            scene.archive(name).silent_success();
        }
        let mut expected: Vec<String> =
            [SEGMENT, &partial].iter().map(|name| format!("{name}{suffix}")).collect();
        expected.extend([HISTORY.0, BACKUP.0].map(str::to_owned));
        let plain: Vec<String> = expected
            .iter()
            .filter(|name| !name.ends_with(".zst"))
            .map(|name| format!("{name}.sha256"))
            .collect();
        expected.extend(plain);
        expected.sort();
        assert_eq!(scene.stored(), expected, "{compress}");
        assert!(scene.read(format!("repo/{}", HISTORY.0)) == fixture(HISTORY.1));
    }
}

#[test]
fn a_segment_of_16_mib_is_stored_whole() {
    let scene = Scene::new();
    let name = "000000010000000000000003";
    scene.data_directory("data", "15", &fixture("15/running/pg_control"));
    scene.init("zstd");
    let bytes = gunzip(&fixture(&format!("15/wal/{name}.gz")));
    scene.offer(name, &bytes);
    scene.archive(name).silent_success();
    assert!(unpacked_by_zstd(&scene, &format!("{name}.zst")) == bytes);
}

#[test]
fn files_are_for_their_owner_alone_or_for_the_group_where_the_directory_is_whatever_the_umask() {
    for (directory, file, folder) in [(0o700, 0o600, 0o700), (0o750, 0o640, 0o750), (0o755, 0o640, 0o750)] {
        for umask in ["000", "077"] {
            let scene = Scene::new();
            fs::create_dir(scene.path("repo")).unwrap();
            fs::set_permissions(scene.path("repo"), Permissions::from_mode(directory)).unwrap();
            let umask = format!("umask {umask}");
            scene.offer_segments(&[SEGMENT]);
            scene.offer(HISTORY.0, fixture(HISTORY.1));
            scene.call_in_shell(&umask, &["init"]).run().prints(&[]);
            for name in [SEGMENT, HISTORY.0] {
                scene.call_in_shell(&umask, &["archive", &format!("pg_wal/{name}")]).run().silent_success();
            }
            for name in scene.listing("repo") {
                let expected = if name.ends_with('/') { folder } else { file };
                let mode = scene.mode(format!("repo/{name}"));
                assert_eq!(mode, expected, "{name}: {mode:o} in {directory:o}");
            }
            assert_eq!(scene.mode("repo"), directory);
        }
    }
}

#[test]
fn a_repository_that_init_makes_is_for_its_owner_alone() {
    let scene = Scene::new();
    scene.call_in_shell("umask 000", &["init"]).run().prints(&[]);
    assert_eq!(scene.mode("repo"), 0o700);
}

#[test]
fn nothing_is_written_into_the_data_directory() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let before = scene.snapshot("data");
    scene.archive(SEGMENT).silent_success();
    assert!(scene.snapshot("data") == before);
}

#[test]
fn path_and_name_may_both_be_given() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), SEGMENT]).run().silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
}

#[test]
fn path_and_name_that_are_swapped_are_told_so() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT, SEGMENTS[1]]);
    let swapped = scene.call(&["archive", SEGMENT, &format!("pg_wal/{SEGMENT}")]);
    refused_unchanged(&scene, swapped, &["hint: Are %p and %f swapped?"]);
    let other = scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), SEGMENTS[1]]);
    refused_unchanged(&scene, other, &[SEGMENT, SEGMENTS[1]]);
}

// ---- the name is stored already

#[test]
fn a_second_call_succeeds_and_touches_nothing() {
    for compress in ["zstd", "none"] {
        let scene = Scene::with_repository(compress);
        let names = [SEGMENT, HISTORY.0, BACKUP.0];
        scene.offer_segments(&[SEGMENT]);
        scene.offer(HISTORY.0, fixture(HISTORY.1));
        scene.offer(BACKUP.0, fixture(BACKUP.1));
        names.iter().for_each(|name| scene.archive(name).silent_success());
        let before = scene.snapshot("repo");
        names.iter().for_each(|name| scene.archive(name).silent_success());
        assert!(scene.snapshot("repo") == before, "{compress}");
        // Stamps are advisory: without them the contents are compared.
        fs::remove_dir_all(scene.path("repo/.walkeep/stamps")).unwrap();
        names.iter().for_each(|name| scene.archive(name).silent_success());
        assert!(scene.snapshot("repo") == before, "{compress}");
        names.iter().for_each(|name| scene.archive(name).silent_success());
        assert!(scene.snapshot("repo") == before, "{compress}");
    }
}

#[test]
fn a_conflict_names_the_node_that_stored_the_file_and_not_one_that_found_it() {
    for compress in ["zstd", "none"] {
        let scene = Scene::with_repository(compress);
        scene.offer_segments(&[SEGMENT]);
        scene.archive(SEGMENT).silent_success();
        scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), "--node", "node2"]).run().silent_success();
        let mut other = segment(SEGMENT);
        other[MIB / 2 + 100] ^= 0xFF;
        scene.offer(SEGMENT, other);
        scene.archive(SEGMENT).refused(1, &["by node1"]);
    }
}

#[test]
fn a_second_call_from_another_place_succeeds_as_well() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    scene.data_directory("standby", "15", &control_file_of(SYSTEM));
    scene.write(format!("standby/pg_wal/{SEGMENT}"), segment(SEGMENT));
    scene.write(format!("standby/pg_wal/archive_status/{SEGMENT}.ready"), "");
    let before = scene.snapshot("repo");
    let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]).cwd(scene.path("standby"));
    call.env("WALKEEP_NODE", "node2").run().silent_success();
    assert!(scene.snapshot("repo") == before);
}

/// Archives one content, offers another one, and looks at how that is refused.
#[track_caller]
fn conflict(name: &str, stored: &[u8], offered: &[u8], verdict: &str) {
    for (compress, suffix) in [("zstd", ".zst"), ("none", "")] {
        let scene = Scene::with_repository(compress);
        scene.offer(name, stored);
        scene.archive(name).silent_success();
        scene.offer(name, offered);
        let file = format!("'{}{suffix}' holds other content", scene.shown(&format!("repo/{name}")));
        let sizes = [format!("{} bytes, at 20", stored.len()), format!("{} bytes\n", offered.len())];
        let says = [
            &*file,
            verdict,
            &sha256(stored),
            &sha256(offered),
            &sizes[0],
            &sizes[1],
            "by node1",
            "hint: Nothing was overwritten.",
            "walkeep set-aside",
        ];
        offer_is_refused(&scene, name, &says);
        offer_is_refused(&scene, name, &says);
    }
}

#[test]
fn a_stored_segment_that_was_cut_is_told_to_be_a_prefix() {
    let whole = segment(SEGMENT);
    let verdict = "the stored file is a prefix of this one, up to 0/FFD80000: archived too early, or cut";
    conflict(SEGMENT, &cut_in_zeros(whole.clone(), MIB / 2), &whole, verdict);
}

#[test]
fn a_segment_that_ends_where_the_stored_one_goes_on_is_stored_already() {
    // So a standby offers the last segment of a timeline that its primary stored whole.
    for compress in ["zstd", "none"] {
        let scene = Scene::with_repository(compress);
        scene.store_segments(&[SEGMENT]);
        let stored = || {
            let mut files = scene.snapshot("repo");
            files.retain(|file| !file.0.contains("stamps"));
            files
        };
        let before = stored();
        scene.offer(SEGMENT, cut_in_zeros(segment(SEGMENT), MIB / 2));
        scene.archive(SEGMENT).silent_success();
        assert!(stored() == before, "what is stored is untouched");
    }
}

#[test]
fn two_histories_under_one_name_are_told_to_have_diverged() {
    let stored = segment(SEGMENT);
    let mut offered = stored.clone();
    for byte in &mut offered[MIB / 2 + 100..MIB / 2 + 200] {
        *byte = !*byte;
    }
    conflict(SEGMENT, &stored, &offered, "diverged from 0/FFD80000 on: two servers wrote this name");
}

#[test]
fn another_history_file_under_one_name_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.offer(HISTORY.0, fixture(HISTORY.1));
    scene.archive(HISTORY.0).silent_success();
    let other = "1\t0/34000000\tno recovery target specified\n";
    scene.offer(HISTORY.0, other);
    offer_is_refused(&scene, HISTORY.0, &[&sha256(other.as_bytes()), &sha256(&fixture(HISTORY.1))]);
}

#[test]
fn a_stored_segment_of_another_cluster_is_told_to_be_foreign() {
    let scene = Scene::with_repository("zstd");
    let foreign = scene.write(format!("repo/{SEGMENT}"), of_system(segment(SEGMENT), OTHER_SYSTEM));
    tool("zstd", &["-q".as_ref(), "--rm".as_ref(), foreign.as_ref()]);
    scene.offer_segments(&[SEGMENT]);
    let verdict =
        format!("foreign: the stored file is of system identifier {OTHER_SYSTEM}, this one of {SYSTEM}");
    offer_is_refused(&scene, SEGMENT, &[&verdict, "by a tool other than walkeep"]);
}

#[test]
fn where_only_garbage_behind_the_end_differs_the_file_is_stored() {
    for compress in ["zstd", "none"] {
        let scene = Scene::with_repository(compress);
        let switched = SEGMENTS[4];
        scene.offer_segments(&[switched]);
        scene.archive(switched).silent_success();
        let mut garbage = segment(switched);
        let last_page = MIB - 8192;
        assert!(garbage[last_page..].iter().all(|byte| *byte == 0));
        garbage[last_page..].fill(0xAB);
        scene.offer(switched, garbage);
        let before = scene.snapshot("repo");
        scene.archive(switched).silent_success();
        assert!(scene.snapshot("repo") == before);
        scene.call(&["archive", "-v", &format!("pg_wal/{switched}")]).run().code(0).says(&["stored already"]);
    }
}

#[test]
fn a_stored_file_that_is_damaged_is_told_so_and_not_overwritten() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let stored = format!("repo/{SEGMENT}.zst");
    let mut bytes = scene.read(&stored);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    scene.write(&stored, bytes);
    offer_is_refused(&scene, SEGMENT, &[&scene.shown(&stored), "is damaged", "walkeep set-aside"]);
}

// ---- is it what its name says

#[test]
fn a_recycled_segment_under_a_new_name_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.offer(SEGMENTS[1], segment(SEGMENT));
    let says =
        ["is not what its name says", "begins at 0/FFD00000, its name says 0/FFE00000", "--no-header-check"];
    offer_is_refused(&scene, SEGMENTS[1], &says);
}

#[test]
fn a_segment_of_another_cluster_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.offer(SEGMENT, of_system(segment(SEGMENT), OTHER_SYSTEM));
    let says = format!("system identifier {OTHER_SYSTEM}, not {SYSTEM}");
    offer_is_refused(&scene, SEGMENT, &[&says]);
}

#[test]
fn a_segment_of_a_later_timeline_than_its_name_is_refused_and_of_an_earlier_one_stored() {
    let scene = Scene::with_repository("zstd");
    scene.offer(&name_of(1, 0xFFD), segment_as(2, 0xFFD));
    offer_is_refused(&scene, &name_of(1, 0xFFD), &["its first page is of timeline 2, its name says 1"]);
    let fork = name_of(2, 0xFFD);
    scene.offer(&fork, segment_as(1, 0xFFD));
    scene.archive(&fork).silent_success();
    assert_eq!(scene.stored(), [format!("{fork}.zst")]);
}

#[test]
fn a_segment_that_is_cut_short_empty_or_too_long_is_refused() {
    let scene = Scene::with_repository("zstd");
    let whole = segment(SEGMENT);
    for (bytes, says) in [
        (&whole[..MIB - 1], "holds 1048575 bytes, and a segment of this cluster 1048576"),
        (&whole[..8192], "holds 8192 bytes"),
        (&whole[..10], "is not what its name says"),
        (&whole[..0], "holds 0 bytes, and a WAL file is never empty"),
        (&[&whole[..], &[0]].concat(), "holds 1048577 bytes"),
    ] {
        scene.offer(SEGMENT, bytes);
        offer_is_refused(&scene, SEGMENT, &[says, SEGMENT]);
    }
    for (name, _) in [HISTORY, BACKUP] {
        scene.offer(name, "");
        offer_is_refused(&scene, name, &["a WAL file is never empty"]);
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let scene = Scene::with_repository("zstd");
    fs::create_dir(scene.path("data/pg_wal").join(SEGMENT)).unwrap();
    offer_is_refused(&scene, SEGMENT, &[SEGMENT, "not a regular file"]);
    offer_is_refused(&scene, SEGMENTS[1], &[SEGMENTS[1], "No such file or directory"]);
}

#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let scene = Scene::with_repository("zstd");
    tool("mkfifo", &[scene.path("data/pg_wal").join(SEGMENT).as_ref()]);
    let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]);
    call.run_to_its_end().refused(1, &["not a regular file"]);
}

#[test]
fn a_name_that_no_server_gives_is_refused() {
    let scene = Scene::with_repository("zstd");
    let names = [
        "00000001000000000000000a",
        "000000000000000000000003",
        "00000001000000000000000",
        "0000000100000000000000033",
        "000000010000000000000FFD.gz",
        "000000010000000000000FFD.zst",
        "000000010000000000000FFD.sha256",
        "00000002.HISTORY",
        "000000010000000000000FFD.28.backup",
        "xlogtemp.123",
        "RECOVERYXLOG",
        "repository.json",
    ];
    for name in names {
        scene.write(format!("data/pg_wal/{name}"), segment(SEGMENT));
        offer_is_refused(&scene, name, &[name, "hint: In the server's configuration: archive_command"]);
    }
}

#[test]
fn a_path_that_ends_in_no_name_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["archive", ""]).run().refused(2, &["WAL_PATH"]);
    for path in ["..", "/", "pg_wal/..", "pg_wal", "."] {
        refused_unchanged(&scene, scene.call(&["archive", path]), &[]);
    }
    for name in ["../000000010000000000000FFD", "x/000000010000000000000FFD"] {
        let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), name]);
        refused_unchanged(&scene, call, &[name]);
    }
}

#[test]
fn a_path_that_is_not_utf_8_is_refused_as_a_name_and_taken_as_a_directory() {
    let scene = Scene::with_repository("zstd");
    let odd = OsStr::from_bytes(b"arch\xFFive");
    scene.offer_segments(&[SEGMENT]);
    refused_unchanged(&scene, scene.call(&["archive"]).arg(OsStr::from_bytes(b"pg_wal/0000\xFF")), &[]);
    scene.call(&["archive"]).arg(OsStr::from_bytes(b"0001")).arg(odd).run().refused(2, &["UTF-8"]);
    let copy = scene.path(odd).join(SEGMENT);
    fs::create_dir(scene.path(odd)).unwrap();
    fs::write(&copy, segment(SEGMENT)).unwrap();
    scene.call(&["archive"]).arg(&copy).run().silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
    let repo = scene.path(odd).join("repo");
    scene.call(&["init", "--repo"]).arg(&repo).run().prints(&[]);
    scene.call(&["archive"]).arg(&copy).arg("--repo").arg(&repo).run().silent_success();
    assert!(repo.join(format!("{SEGMENT}.zst")).exists());
}

#[test]
fn encrypted_wal_is_stored_without_a_header_check_where_the_cluster_is_known() {
    let scene = Scene::with_repository("zstd");
    let encrypted: Vec<u8> = (0..=250).cycle().take(MIB).collect();
    scene.offer(SEGMENT, &encrypted);
    offer_is_refused(&scene, SEGMENT, &["is not what its name says", "--no-header-check"]);
    scene.call(&["archive", "--no-header-check", &format!("pg_wal/{SEGMENT}")]).run().silent_success();
    assert!(unpacked_by_zstd(&scene, &format!("{SEGMENT}.zst")) == encrypted);
    scene.offer(SEGMENTS[1], &encrypted[..MIB / 2]);
    let call = scene.call(&["archive", "--no-header-check", &format!("pg_wal/{}", SEGMENTS[1])]);
    refused_unchanged(&scene, call, &["holds 524288 bytes, and a segment of this cluster 1048576"]);
}

// ---- whose is it

#[test]
fn the_first_archived_segment_binds_the_repository() {
    let scene = Scene::new();
    scene.call(&["init"]).run().prints(&["nobody yet; the first archived segment binds it"]);
    assert!(!scene.path("repo/.walkeep/identity.json").exists());
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let identity: serde_json::Value =
        serde_json::from_slice(&scene.read("repo/.walkeep/identity.json")).unwrap();
    assert_eq!(identity["system_identifier"], SYSTEM.to_string());
    assert_eq!(identity["segment_size"], MIB);
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    let path = format!("other/pg_wal/{SEGMENT}");
    scene.write(&path, of_system(segment(SEGMENT), OTHER_SYSTEM));
    scene.write(format!("other/pg_wal/archive_status/{SEGMENT}.ready"), "");
    let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]).cwd(scene.path("other"));
    let says = format!("the repository belongs to system identifier {SYSTEM}, this is {OTHER_SYSTEM}");
    refused_unchanged(&scene, call, &[&says, "a new repository is due"]);
}

#[test]
fn a_file_of_another_cluster_is_refused_where_no_data_directory_is_known() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let foreign =
        scene.write(format!("elsewhere/{}", SEGMENTS[1]), of_system(segment(SEGMENTS[1]), OTHER_SYSTEM));
    let call = scene.call(&["archive"]).arg(foreign).cwd(scene.path("elsewhere"));
    refused_unchanged(&scene, call, &["the repository belongs to system identifier"]);
}

#[test]
fn a_text_file_is_held_against_the_control_file() {
    for (name, file) in [HISTORY, BACKUP] {
        let scene = Scene::with_repository("zstd");
        scene.offer_segments(&[SEGMENT]);
        scene.archive(SEGMENT).silent_success();
        scene.write(format!("elsewhere/{name}"), fixture(file));
        let call = scene.call(&["archive", name]).cwd(scene.path("elsewhere"));
        refused_unchanged(
            &scene,
            call,
            &["no data directory was found", "hint: Name the data directory with -D."],
        );

        scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
        scene.write(format!("other/pg_wal/{name}"), fixture(file));
        let call = scene.call(&["archive", &format!("pg_wal/{name}")]).cwd(scene.path("other"));
        refused_unchanged(&scene, call, &["the repository belongs to system identifier"]);

        let call = scene.call(&["archive", name, "-D"]).arg(scene.path("data")).cwd(scene.path("elsewhere"));
        call.run().silent_success();
        assert!(scene.path("repo").join(name).exists());
    }
}

#[test]
fn a_control_file_with_a_flipped_bit_is_refused() {
    for at in [0, 40, 100, 228, 288] {
        let scene = Scene::new();
        scene.call(&["init"]).run().prints(&[]);
        let mut bytes = control_file_of(SYSTEM);
        bytes[at] ^= 1;
        scene.write("data/global/pg_control", bytes);
        scene.offer_segments(&[SEGMENT]);
        scene.offer(HISTORY.0, fixture(HISTORY.1));
        for name in [SEGMENT, HISTORY.0] {
            offer_is_refused(&scene, name, &["cannot read '", "global/pg_control", "checksum"]);
        }
        assert_eq!(scene.stored(), [""; 0]);
    }
}

#[test]
fn a_control_file_that_is_missing_or_cut_is_refused() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.write("data/global/pg_control", &control_file_of(SYSTEM)[..100]);
    offer_is_refused(&scene, SEGMENT, &["global/pg_control"]);
    scene.remove("data/global/pg_control");
    offer_is_refused(&scene, SEGMENT, &["global/pg_control"]);
}

// ---- is it complete

#[test]
fn a_history_that_no_server_could_read_is_refused() {
    let scene = Scene::with_repository("zstd");
    for text in ["garbage", "2\t0/3000000\tits own\n", "1\tnowhere\treason\n"] {
        scene.offer(HISTORY.0, text);
        scene.archive(HISTORY.0).refused(1, &["is not what its name says"]);
    }
    scene.offer(HISTORY.0, "");
    scene.archive(HISTORY.0).refused(1, &["is never empty"]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn a_repository_that_was_copied_without_its_empty_folders_goes_on() {
    let scene = Scene::with_repository("none");
    scene.store_segments(&[SEGMENTS[0]]);
    fs::remove_dir(scene.path("repo/.walkeep/staging")).unwrap();
    scene.store_segments(&[SEGMENTS[1]]);
    scene.restore(SEGMENTS[1]).silent(0);
}

#[test]
fn a_digest_that_was_lost_is_made_again_by_the_next_call() {
    let scene = Scene::with_repository("none");
    scene.offer_segments(&[SEGMENT]);
    // A source that has rested is remembered, and not read again.
    let source = fs::File::options().write(true).open(scene.path(format!("data/pg_wal/{SEGMENT}"))).unwrap();
    source.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    scene.archive(SEGMENT).silent_success();
    let sidecar = format!("repo/{SEGMENT}.sha256");
    let digest = scene.read(&sidecar);
    for lost in [&b""[..], b"0000", &digest[1..]] {
        scene.write(&sidecar, lost);
        scene.archive(SEGMENT).silent_success();
        assert!(scene.read(&sidecar) == digest);
    }
    scene.remove(&sidecar);
    scene.archive(SEGMENT).silent_success();
    assert!(scene.read(&sidecar) == digest);
}

#[test]
fn a_stored_file_of_a_time_that_no_calendar_has_is_told_like_any_other() {
    let scene = Scene::with_repository("zstd");
    scene.store_segments(&[SEGMENT]);
    let stored = fs::File::options().write(true).open(scene.path(format!("repo/{SEGMENT}.zst"))).unwrap();
    let years = std::time::Duration::from_secs(10_000 * 366 * 86_400);
    let absurd = std::time::SystemTime::UNIX_EPOCH + years;
    // A file system that cannot hold such a time cuts it.
    stored.set_modified(absurd).unwrap();
    let mut other = segment(SEGMENT);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.offer(SEGMENT, other);
    scene.archive(SEGMENT).refused(1, &["holds other content", "diverged"]);
}

#[test]
fn the_open_tail_is_never_stored() {
    let scene = Scene::with_repository("zstd");
    scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT));
    let says = ["the segment is not complete", "hint: Its server will offer it when it is full"];
    offer_is_refused(&scene, SEGMENT, &says);
    // A recycled file lies ready under the next name.
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), segment(SEGMENTS[3]));
    offer_is_refused(&scene, SEGMENT, &says);
    // So does a new one, still zeros.
    scene.write(format!("data/pg_wal/{}", SEGMENTS[1]), vec![0; MIB]);
    offer_is_refused(&scene, SEGMENT, &says);
    for cwd in ["data", "data/pg_wal", "elsewhere"] {
        let call = scene.call(&["archive"]).arg(scene.path("data/pg_wal").join(SEGMENT)).cwd(scene.path(cwd));
        refused_unchanged(&scene, call, &says);
    }
}

#[test]
fn the_open_tail_is_known_through_links() {
    let scene = Scene::with_repository("zstd");
    scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT));
    symlink(scene.path("data/pg_wal"), scene.path("elsewhere/wal")).unwrap();
    symlink(scene.path("data/pg_wal").join(SEGMENT), scene.path("elsewhere").join(SEGMENT)).unwrap();
    for path in ["elsewhere/wal", "elsewhere"] {
        let call = scene.call(&["archive"]).arg(scene.path(path).join(SEGMENT));
        refused_unchanged(&scene, call, &["the segment is not complete"]);
    }
    // A WAL directory on another disk.
    fs::rename(scene.path("data/pg_wal"), scene.path("moved")).unwrap();
    symlink(scene.path("moved"), scene.path("data/pg_wal")).unwrap();
    offer_is_refused(&scene, SEGMENT, &["the segment is not complete"]);
    // From elsewhere nothing tells whose it is.
    for cwd in ["data", "elsewhere"] {
        let call = scene.call(&["archive"]).arg(scene.path("moved").join(SEGMENT)).cwd(scene.path(cwd));
        refused_unchanged(&scene, call, &["the segment is not complete"]);
    }
    scene.write(format!("moved/archive_status/{SEGMENT}.ready"), "");
    let call = scene.call(&["archive"]).arg(scene.path("moved").join(SEGMENT)).cwd(scene.path("elsewhere"));
    call.run().silent_success();
}

#[test]
fn a_segment_with_a_status_or_a_successor_is_complete() {
    for status in ["ready", "done"] {
        let scene = Scene::with_repository("zstd");
        scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT));
        scene.write(format!("data/pg_wal/archive_status/{SEGMENT}.{status}"), "");
        scene.archive(SEGMENT).silent_success();
    }
    let scene = Scene::with_repository("zstd");
    scene.write(format!("data/pg_wal/{}", SEGMENTS[2]), segment(SEGMENTS[2]));
    scene.write(format!("data/pg_wal/{}", SEGMENTS[3]), segment(SEGMENTS[3]));
    scene.archive(SEGMENTS[2]).silent_success();
    offer_is_refused(&scene, SEGMENTS[3], &["the segment is not complete"]);
}

#[test]
fn an_open_tail_under_the_name_partial_is_stored() {
    let scene = Scene::with_repository("zstd");
    let name = format!("{SEGMENT}.partial");
    scene.write(format!("data/pg_wal/{name}"), cut_in_zeros(segment(SEGMENT), MIB / 2));
    scene.archive(&name).silent_success();
    assert_eq!(scene.stored(), [format!("{name}.zst")]);
}

/// Stops a call between its first fsync, when the source was read, and the publication; does something to the source,
/// and checks how the call ends.
fn taken_away_while_read(compress: &str, meanwhile: impl FnOnce(&Scene)) {
    let scene = Scene::with_repository(compress);
    scene.offer_segments(&[SEGMENT]);
    let stopped = scene.stop_after("fsync", &["archive", &format!("pg_wal/{SEGMENT}")]);
    assert!(scene.listing("repo/.walkeep/staging").iter().any(|name| name.starts_with(SEGMENT)));
    meanwhile(&scene);
    stopped.go_on().refused(1, &["the file was taken away while it was read; nothing was stored"]);
    assert_eq!(scene.listing("repo"), with_state(&[]), "{compress}");
}

#[test]
fn a_source_that_is_recycled_while_it_is_read_is_not_stored() {
    taken_away_while_read("zstd", |scene| {
        let wal = scene.path("data/pg_wal");
        fs::rename(wal.join(SEGMENT), wal.join(SEGMENTS[4])).unwrap();
        fs::write(wal.join(SEGMENT), segment(SEGMENT)).unwrap();
    });
}

#[test]
fn a_source_that_vanishes_while_it_is_read_is_not_stored() {
    taken_away_while_read("none", |scene| scene.remove(format!("data/pg_wal/{SEGMENT}")));
}

#[test]
fn a_source_that_is_written_while_it_is_read_is_not_stored() {
    taken_away_while_read("zstd", |scene| {
        drop(scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT)))
    });
}

// ---- the repository does not take it

#[test]
fn a_repository_that_is_missing_or_vanished_is_told_and_never_made() {
    let scene = Scene::new();
    scene.offer_segments(&[SEGMENT]);
    let says = [
        &*format!("'{}' is not a walkeep repository", scene.shown("repo")),
        "hint: Is its file system mounted?",
    ];
    offer_is_refused(&scene, SEGMENT, &says);
    assert!(!scene.path("repo").exists());
    fs::create_dir(scene.path("repo")).unwrap();
    offer_is_refused(&scene, SEGMENT, &says);
    scene.init("zstd");
    scene.archive(SEGMENT).silent_success();
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    offer_is_refused(&scene, SEGMENT, &says);
    fs::create_dir(scene.path("repo")).unwrap();
    offer_is_refused(&scene, SEGMENT, &says);
}

#[test]
fn a_repository_that_is_a_file_is_told() {
    let scene = Scene::new();
    scene.offer_segments(&[SEGMENT]);
    scene.write("repo", "x");
    offer_is_refused(&scene, SEGMENT, &[&scene.shown("repo"), "Not a directory"]);
    scene.call(&["init"]).run().refused(1, &["error: cannot make a repository", &scene.shown("repo")]);
    assert_eq!(scene.read("repo"), b"x");
}

#[test]
fn a_repository_whose_state_is_damaged_or_newer_is_told() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let charter = String::from_utf8(scene.read("repo/.walkeep/repository.json")).unwrap();
    for (bytes, says) in [
        ("", "cannot make sense of '"),
        ("{}", "cannot make sense of '"),
        (&charter[..charter.len() / 2], "cannot make sense of '"),
        (
            &charter.replace("\"format\":1", "\"format\": 2").replace("\"format\": 1", "\"format\": 2"),
            "newer",
        ),
    ] {
        scene.write("repo/.walkeep/repository.json", bytes);
        offer_is_refused(&scene, SEGMENT, &[says, "repository.json"]);
    }
    scene.write("repo/.walkeep/repository.json", &charter);
    scene.write("repo/.walkeep/identity.json", "{\"system_identifier\": 1");
    offer_is_refused(&scene, SEGMENT, &["identity.json"]);
}

#[test]
fn a_read_only_repository_is_told() {
    let scene = Scene::new();
    let disk = SmallDisk::mount(scene.path("repo"), "size=8m,mode=700");
    scene.init("zstd");
    scene.offer_segments(&[SEGMENT]);
    disk.remount("ro");
    let says = ["Read-only file system", "hint: The repository's file system is mounted read-only."];
    offer_is_refused(&scene, SEGMENT, &says);
    disk.remount("rw");
    scene.archive(SEGMENT).silent_success();
}

#[test]
fn a_full_repository_is_told_and_goes_on_when_there_is_space() {
    for (compress, size) in [("none", "900k"), ("zstd", "160k")] {
        let scene = Scene::new();
        let disk = SmallDisk::mount(scene.path("repo"), &format!("size={size},mode=700"));
        scene.init(compress);
        scene.offer_segments(&[SEGMENT]);
        let says = ["cause: No space left on device", "hint: The repository is full; this was not stored"];
        offer_is_refused(&scene, SEGMENT, &says);
        assert_eq!(scene.listing("repo"), with_state(&[]));
        disk.remount("size=8m");
        scene.archive(SEGMENT).silent_success();
        assert!(!scene.stored().is_empty());
    }
}

#[test]
fn space_that_is_to_stay_free_stays_free() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let path = format!("pg_wal/{SEGMENT}");
    let call = scene.call(&["archive", &path, "--min-free", "1000TiB"]);
    refused_unchanged(&scene, call, &["bytes free, and 1099511627776000 are to stay free", "hint: "]);
    scene.call(&["archive", &path, "--min-free", "1KiB"]).run().silent_success();
    // What is stored needs no space.
    scene.call(&["archive", &path, "--min-free", "1000TiB"]).run();
}

#[test]
fn a_repository_of_another_user_that_cannot_be_written_is_told() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    tool(
        "chmod",
        &["-R".as_ref(), "a+rX".as_ref(), scene.path("repo").as_ref(), scene.path("data").as_ref()],
    );
    let call = scene.call_as_nobody(&["archive", &format!("pg_wal/{SEGMENT}")]);
    refused_unchanged(&scene, call, &["Permission denied", "hint: The repository must belong to the user"]);
}

#[test]
fn a_source_that_cannot_be_read_is_told() {
    let scene = Scene::with_repository("zstd");
    scene.give_away("repo");
    scene.give_away("data");
    scene.offer_segments(&[SEGMENT]);
    fs::set_permissions(scene.path("data/pg_wal").join(SEGMENT), Permissions::from_mode(0o600)).unwrap();
    let call = scene.call_as_nobody(&["archive", &format!("pg_wal/{SEGMENT}")]);
    refused_unchanged(&scene, call, &["cannot open '", SEGMENT, "Permission denied"]);
}

#[test]
fn an_unprivileged_user_archives_into_its_own_repository() {
    let scene = Scene::new();
    scene.offer_segments(&[SEGMENT]);
    scene.give_away("data");
    fs::create_dir(scene.path("repo")).unwrap();
    scene.give_away("repo");
    let init = scene.call_as_nobody(&["init"]).run().prints(&["is a repository now"]);
    assert!(!init.stdout.contains("root"));
    scene.call_as_nobody(&["archive", &format!("pg_wal/{SEGMENT}")]).run().silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
}

#[test]
fn root_does_not_write_over_another_users_repository_or_data_directory() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.give_away("repo");
    let says = ["this is the superuser, and the repository '", "belongs to nobody", "hint: Run it as nobody"];
    offer_is_refused(&scene, SEGMENT, &says);
    scene.call(&["init"]).run().refused(1, &["belongs to nobody"]);
    scene.call(&["set-aside", SEGMENT, "--reason", "x"]).run().refused(1, &["belongs to nobody"]);

    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.give_away("data");
    offer_is_refused(&scene, SEGMENT, &["the data directory '", "belongs to nobody"]);
    let init = scene.call(&["init", "-D"]).arg(scene.path("data")).run();
    init.refused(1, &["the data directory '", "belongs to nobody"]);
}

// ---- what must never become a repository

#[track_caller]
fn init_is_refused(scene: &Scene, at: &str, says: &[&str]) {
    let before = scene.snapshot(at);
    scene
        .call(&["init", "--repo"])
        .arg(scene.path(at))
        .run()
        .refused(1, says)
        .says(&["cannot make a repository"]);
    assert!(scene.snapshot(at) == before, "{at}: {:?}", scene.listing(at));
}

#[test]
fn a_repository_of_pgbackrest_is_refused() {
    let scene = Scene::new();
    scene.write("info/archive.info", "[backrest]\n");
    scene.write("stanza/archive/main/archive.info", "[backrest]\n");
    let digested = format!("{SEGMENT}-{}", "0f".repeat(20));
    scene.write(format!("segments/{digested}"), "x");
    scene.write(format!("packed/{digested}.gz"), "x");
    for at in ["info", "stanza", "segments", "packed"] {
        init_is_refused(&scene, at, &["is a repository of pgBackRest or sys_rman: it holds '"]);
    }
}

#[test]
fn a_data_directory_or_a_live_wal_directory_is_refused() {
    let scene = Scene::new();
    scene.offer_segments(&[SEGMENT]);
    init_is_refused(&scene, "data", &["is a data directory"]);
    init_is_refused(&scene, "data/pg_wal", &["is a live WAL directory"]);
    for repo in ["data", "data/pg_wal"] {
        let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), "--repo"]).arg(scene.path(repo));
        refused_unchanged(&scene, call, &["is not a walkeep repository"]);
    }
}

#[test]
fn a_directory_inside_the_data_directory_is_refused() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("data/archive")).unwrap();
    fs::create_dir_all(scene.path("data/pg_wal/archive")).unwrap();
    symlink(scene.path("data/archive"), scene.path("elsewhere/link")).unwrap();
    symlink(scene.path("data"), scene.path("elsewhere/data")).unwrap();
    let inside = [
        "data/archive",
        "data/pg_wal/archive",
        "data/not/there/yet",
        "elsewhere/link",
        "elsewhere/data/archive",
        "elsewhere/../data/archive",
    ];
    for at in inside {
        let before = scene.snapshot("data");
        for with_data_directory in [true, false] {
            let mut call = scene.call(&["init", "--repo"]).arg(scene.path(at)).cwd(scene.path("elsewhere"));
            if with_data_directory {
                call = call.arg("-D").arg(scene.path("data"));
            }
            call.run().refused(1, &["lies inside the data directory"]);
        }
        assert!(scene.snapshot("data") == before, "{at}");
    }
}

#[test]
fn a_directory_that_holds_something_else_is_refused() {
    let scene = Scene::new();
    scene.write("home/.bashrc", "x");
    init_is_refused(&scene, "home", &["neither empty nor an archive: it holds '.bashrc'"]);
}

// ---- leftovers, hanging, and what a server does to its commands

#[test]
fn leftovers_of_a_killed_run_are_swept_and_those_of_a_living_one_stay() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    scene.write("repo/.walkeep/staging/000000010000000000000001.1.0", "half");
    let living = scene.write("repo/.walkeep/staging/000000010000000000000002.2.0", "half");
    let lock = File::open(&living).unwrap();
    lock.lock().unwrap();
    scene.archive(SEGMENT).silent_success();
    let stored = format!("{SEGMENT}.zst");
    let staging = ".walkeep/staging/000000010000000000000002.2.0";
    assert_eq!(scene.listing("repo"), with_state(&[staging, &stored]));
    drop(lock);
    scene.offer_segments(&[SEGMENTS[1]]);
    scene.archive(SEGMENTS[1]).silent_success();
    assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
}

#[test]
fn a_repository_that_hangs_ends_in_a_clear_error_in_bounded_time() {
    let scene = Scene::new();
    scene.write(format!("repo/{}", SEGMENTS[1]), segment(SEGMENTS[1]));
    scene.init("zstd");
    scene.offer_segments(&[SEGMENT]);
    let lock = File::create(scene.path("repo/.walkeep/publish.lock")).unwrap();
    lock.lock().unwrap();
    let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}"), "--timeout", "1s"]);
    let says = ["no end after 1s", "does not answer", "hint: Nothing was acknowledged"];
    call.run_to_its_end().refused(1, &says);
    assert_eq!(scene.stored(), [SEGMENTS[1].to_owned(), format!("{}.sha256", SEGMENTS[1])]);
    drop(lock);
    scene.archive(SEGMENT).silent_success();
    assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
}

#[test]
fn a_call_that_hangs_in_the_system_ends_in_bounded_time() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let state = scene.shown("repo/.walkeep/repository.json");
    let args = ["archive", &format!("pg_wal/{SEGMENT}"), "--timeout", "1s"];
    scene.run_hanging(&state, &args).refused(1, &["no end after 1s"]);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn standard_error_that_is_closed_or_that_nobody_reads_changes_no_exit_code() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let (there, missing) = (format!("pg_wal/{SEGMENT}"), format!("pg_wal/{}", SEGMENTS[1]));
    scene.call_in_shell("exec 2>&-", &["archive", &missing]).run().silent(1);
    scene.call_in_shell("exec 2>&-", &["archive", "-v", &there]).run().silent(0);
    scene.call_in_shell("exec 1>&- 2>&- 0<&-", &["archive", "-v", &there]).run().silent(0);
    for (path, code) in [(&missing, 1), (&there, 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = scene.call(&["archive", "-v", path]).command();
        assert_eq!(command.stderr(writer).status().unwrap().code(), Some(code));
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = scene.call(&["archive", "-v", path]).command();
        assert_eq!(command.stderr(writer).status().unwrap().code(), Some(code));
        drop(reader);
    }
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
}

#[test]
fn standard_error_stays_short_however_long_the_arguments_are() {
    let scene = Scene::with_repository("zstd");
    scene.make_recovery();
    let long = "x/".repeat(30_000);
    let lines = "x\n".repeat(30_000);
    for args in [
        &["archive", &format!("{long}{SEGMENT}")][..],
        &["archive", &long],
        &["archive", &lines],
        &["archive", SEGMENT, &long],
        &["archive", SEGMENT, "--repo", &long],
        &["archive", SEGMENT, "--node", &long],
        &["archive", SEGMENT, "--config", &long],
        &["archive", SEGMENT, "-D", &long],
        &["archive", SEGMENT, "--log-format", "json", "--repo", &lines],
        &["archive", SEGMENT, SEGMENT, &long],
        &["archive", SEGMENT, "--min-free", &long],
        &["restore", &long, "x"],
        &["restore", SEGMENT, &long, "--retry-budget", "0s"],
        &["restore", SEGMENT, "x", &lines],
        &["restore", SEGMENT, "x", "--retry-budget", &long],
    ] {
        let outcome = scene.call(args).run();
        let failed = outcome
            .code
            .is_some_and(|code| if args[0] == "archive" { (1..=125).contains(&code) } else { code == 255 });
        assert!(failed, "{:?} {:.300}", outcome.code, outcome.stderr);
        let length = outcome.stderr.len();
        assert!(
            (1..4000).contains(&length),
            "{length} bytes for {} {:.30} {:.30}",
            args[0],
            args[1],
            args[2..].join(" ")
        );
    }
}

#[test]
fn inherited_ignored_signals_change_nothing() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let ignore = "trap '' INT PIPE QUIT HUP";
    scene.call_in_shell(ignore, &["archive", &format!("pg_wal/{SEGMENT}")]).run().silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")]);
    let missing = format!("pg_wal/{}", SEGMENTS[1]);
    scene.call_in_shell(ignore, &["archive", &missing]).run().refused(1, &["No such file"]);
}

#[test]
fn every_failure_exits_between_1_and_125() {
    let scene = Scene::with_repository("zstd");
    for args in [
        &["archive"][..],
        &["archive", "--bogus"],
        &["archive", "a", "b", "c"],
        &["archive", "a", "--ahead", "5"],
    ] {
        let outcome = scene.call(args).run();
        assert!(outcome.code.is_some_and(|code| (1..=125).contains(&code)), "{outcome:#?}");
        assert!(!outcome.stderr.is_empty());
    }
}
