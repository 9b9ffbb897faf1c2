//! `restore`: a whole, proven file under the destination, or nothing and an exit code that makes the server do
//! the right thing. In a recovery 1 means "the archive ends here", so only a true "not there" may say it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::*;

/// A data directory that recovers, with a repository that `init` made.
fn recovering(compress: &str) -> Scene {
    let scene = Scene::with_repository(compress);
    scene.make_recovery();
    scene
}

/// The same with an empty directory for a repository.
fn recovering_without_repository() -> Scene {
    let scene = Scene::new();
    scene.make_recovery();
    scene
}

/// Fails as a recovery has to see it, and then as a standby has to; nothing is delivered, nothing is changed.
#[track_caller]
fn stops_a_recovery(scene: &Scene, name: &str, says: &[&str]) {
    let repository = scene.snapshot("repo");
    let data = scene.listing("data");
    scene.restore(name).refused(255, says).says(&["error: cannot restore '", name]);
    assert_eq!(scene.delivered(), None);
    assert_eq!(scene.listing("data"), data);

    scene.make_standby();
    scene.restore(name).refused(1, says).says(&["warning: cannot restore '", name]);
    assert_eq!(scene.delivered(), None);
    scene.remove("data/standby.signal");
    assert_eq!(scene.listing("data"), data);
    assert!(scene.snapshot("repo") == repository);
}

/// Delivers, and leaves nothing else behind.
#[track_caller]
fn delivers(scene: &Scene, name: &str, bytes: &[u8]) {
    let repository = scene.snapshot("repo");
    let mut wal = scene.listing("data/pg_wal");
    scene.restore(name).silent_success();
    assert!(scene.delivered().as_deref() == Some(bytes), "{name}");
    wal.push("RECOVERYXLOG".to_owned());
    wal.sort();
    assert_eq!(scene.listing("data/pg_wal"), wal);
    assert!(scene.snapshot("repo") == repository);
    scene.remove("data/pg_wal/RECOVERYXLOG");
}

fn stored_zst(scene: &Scene) -> Vec<u8> {
    scene.read(format!("repo/{SEGMENT}.zst"))
}

// ---- delivery

#[test]
fn what_was_archived_comes_back() {
    for compress in ["zstd", "zstd:19", "none"] {
        let scene = recovering(compress);
        scene.store_segments(&SEGMENTS);
        let partial = format!("{SEGMENT}.partial");
        scene.store(&partial, segment(SEGMENT));
        scene.store(HISTORY.0, fixture(HISTORY.1));
        scene.store(BACKUP.0, fixture(BACKUP.1));
        for name in SEGMENTS {
            delivers(&scene, name, &segment(name));
        }
        delivers(&scene, &partial, &segment(SEGMENT));
        delivers(&scene, HISTORY.0, &fixture(HISTORY.1));
        delivers(&scene, BACKUP.0, &fixture(BACKUP.1));
    }
}

#[test]
fn a_segment_of_16_mib_comes_back() {
    let scene = recovering_without_repository();
    let name = "000000010000000000000003";
    scene.data_directory("data", "15", &fixture("15/running/pg_control"));
    scene.init("zstd");
    let bytes = gunzip(&fixture(&format!("15/wal/{name}.gz")));
    scene.store(name, &bytes);
    delivers(&scene, name, &bytes);
}

#[test]
fn what_other_tools_stored_is_delivered() {
    for tool_name in ["cp", "gzip", "zstd", "lz4"] {
        let scene = recovering("zstd");
        put_with(tool_name, &scene.path("repo"), SEGMENT, &segment(SEGMENT));
        put_with(tool_name, &scene.path("repo"), HISTORY.0, &fixture(HISTORY.1));
        delivers(&scene, SEGMENT, &segment(SEGMENT));
        delivers(&scene, HISTORY.0, &fixture(HISTORY.1));
    }
}

#[test]
fn the_programs_unusual_options_are_read_too() {
    let scene = recovering("zstd");
    let bytes = segment(SEGMENT);
    for (suffix, command) in [
        ("zst", "zstd -q --no-check -19 --long=27 -o"),
        ("zst", "zstd -q --fast=5 --no-content-size -o"),
        ("gz", "gzip -9 -n -c >"),
        ("lz4", "lz4 -q -9 -B4 -BD --no-frame-crc"),
        ("lz4", "lz4 -q --content-size -B7 -BX"),
    ] {
        let plain = scene.write("elsewhere/in", &bytes);
        let target = scene.path(format!("repo/{SEGMENT}.{suffix}"));
        let script = match command.split_once(' ') {
            Some(("lz4", _)) => format!("{command} '{}' '{}'", plain.display(), target.display()),
            Some(("gzip", _)) => format!("gzip -9 -n -c '{}' > '{}'", plain.display(), target.display()),
            _ => format!("{command} '{}' '{}'", target.display(), plain.display()),
        };
        tool("sh", &["-c".as_ref(), script.as_ref()]);
        delivers(&scene, SEGMENT, &bytes);
        fs::remove_file(target).unwrap();
    }
}

#[test]
fn a_destination_that_exists_is_replaced() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.write("data/pg_wal/RECOVERYXLOG", "what a killed recovery left");
    scene.restore(SEGMENT).silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENT)));
    assert_eq!(scene.listing("data/pg_wal"), ["RECOVERYXLOG", "archive_status/"]);
}

#[test]
fn a_destination_that_exists_stays_where_nothing_is_delivered() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.write("data/pg_wal/RECOVERYXLOG", "before");
    scene.restore(SEGMENTS[4]).silent(1);
    let mut bytes = stored_zst(&scene);
    bytes[70_000] ^= 1;
    scene.write(format!("repo/{SEGMENT}.zst"), bytes);
    scene.restore(SEGMENT).refused(255, &["is damaged"]);
    assert_eq!(scene.delivered().unwrap(), b"before");
    assert_eq!(scene.listing("data/pg_wal"), ["RECOVERYXLOG", "archive_status/"]);
}

#[test]
fn a_destination_that_cannot_be_written_is_told() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let call =
        |destination: &str| scene.call(&["restore", SEGMENT, destination, "--retry-budget", "0s"]).run();
    call("not/there/RECOVERYXLOG").refused(255, &["not/there", "No such file or directory"]);
    call("PG_VERSION/x").refused(255, &["PG_VERSION", "Not a directory"]);
    fs::create_dir(scene.path("data/pg_wal/in_the_way")).unwrap();
    call("pg_wal/in_the_way").refused(255, &["in_the_way", "directory"]);
    assert_eq!(scene.listing("data/pg_wal"), ["archive_status/", "in_the_way/"]);
}

#[test]
fn a_destination_that_is_full_is_told_and_left_empty() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let _disk = SmallDisk::mount(scene.path("small"), "size=300k,mode=700");
    let call = scene.call(&["restore", SEGMENT]).arg(scene.path("small/x")).args(&["--retry-budget", "0s"]);
    call.run().refused(255, &["No space left on device"]);
    assert_eq!(scene.listing("small"), [""; 0]);
}

#[test]
fn a_read_only_repository_is_read() {
    let scene = recovering_without_repository();
    let disk = SmallDisk::mount(scene.path("repo"), "size=8m,mode=700");
    scene.init("none");
    scene.store_segments(&[SEGMENT]);
    disk.remount("ro");
    delivers(&scene, SEGMENT, &segment(SEGMENT));
    scene.restore(SEGMENTS[4]).silent(1);
}

#[test]
fn another_user_restores_what_it_may_read() {
    let scene = recovering_without_repository();
    fs::create_dir(scene.path("repo")).unwrap();
    fs::set_permissions(scene.path("repo"), Permissions::from_mode(0o755)).unwrap();
    scene.init("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.give_away("data");
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s"];
    scene.call_as_nobody(&args).run().refused(255, &["Permission denied"]);
    tool("chmod", &["-R".as_ref(), "a+rX".as_ref(), scene.path("repo").as_ref()]);
    scene.call_as_nobody(&args).run().silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENT)));
}

// ---- not there, and what only looks so

#[test]
fn what_is_not_stored_is_absent() {
    let scene = recovering("zstd");
    scene.restore(SEGMENT).silent(1);
    scene.store_segments(&[SEGMENT]);
    for name in [SEGMENTS[1], &name_of(2, 0xFFE), "00000001.history", "00000002.history", BACKUP.0] {
        scene.restore(name).silent(1);
        scene.make_standby();
        scene.restore(name).silent(1);
        scene.remove("data/standby.signal");
        assert_eq!(scene.delivered(), None);
    }
    assert_eq!(scene.listing("data/pg_wal"), ["archive_status/"]);
}

#[test]
fn a_gap_stops_a_recovery_and_not_a_standby() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT, SEGMENTS[3], SEGMENTS[4]]);
    for missing in [SEGMENTS[1], SEGMENTS[2]] {
        let says = format!("the repository has a gap: '{missing}' is not stored, but '{}' is", SEGMENTS[3]);
        scene.restore(missing).refused(255, &[&says, "hint: ", "--gap-is-end"]);
        let accepted = ["restore", missing, "pg_wal/RECOVERYXLOG", "--gap-is-end", "--retry-budget", "0s"];
        scene.call(&accepted).run().silent(1);
        scene.make_standby();
        scene.restore(missing).silent(1);
        scene.remove("data/standby.signal");
        assert_eq!(scene.delivered(), None);
    }
}

#[test]
fn a_gap_is_one_whatever_form_the_later_segments_have() {
    for tool_name in ["cp", "gzip", "zstd", "lz4"] {
        let scene = recovering("zstd");
        put_with(tool_name, &scene.path("repo"), SEGMENT, &segment(SEGMENT));
        put_with(tool_name, &scene.path("repo"), SEGMENTS[4], &segment(SEGMENTS[4]));
        scene.restore(SEGMENTS[1]).refused(255, &["the repository has a gap"]);
    }
}

#[test]
fn what_is_older_than_everything_stored_is_told_as_that_and_never_as_the_end() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENTS[2], SEGMENTS[3]]);
    for missing in [SEGMENT, SEGMENTS[1]] {
        let says =
            format!("older than everything that is stored: its timeline begins with '{}'", SEGMENTS[2]);
        scene.restore(missing).refused(255, &[&says, "It was pruned, or never archived here"]);
    }
    // A later timeline that left before it reaches further back.
    scene.store(&name_of(2, 0xFFC), segment_as(2, 0xFFC));
    scene.restore(SEGMENT).refused(255, &["the repository has a gap"]);
}

#[test]
fn a_segment_that_the_server_has_itself_is_no_gap() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENTS[2]]);
    // One that was still open when the directory was copied would end the recovery in its middle, whatever its mark says.
    scene.write(format!("data/pg_wal/{SEGMENT}"), cut_in_zeros(segment(SEGMENT), MIB / 2));
    scene.write(format!("data/pg_wal/archive_status/{SEGMENT}.done"), "");
    scene.restore(SEGMENT).refused(255, &["older than everything that is stored"]);
    scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENT));
    scene.restore(SEGMENT).silent(1);
    scene.remove(format!("data/pg_wal/archive_status/{SEGMENT}.done"));
    scene.restore(SEGMENT).silent(1);
    // A recycled file under that name is not the segment.
    scene.write(format!("data/pg_wal/{SEGMENT}"), segment(SEGMENTS[4]));
    scene.restore(SEGMENT).refused(255, &["older than everything that is stored"]);
}

#[test]
fn a_missing_history_stops_a_recovery_where_its_segments_are_stored() {
    let scene = recovering("zstd");
    scene.store(&name_of(2, 0xFFE), segment_as(2, 0xFFE));
    scene.restore("00000001.history").silent(1);
    scene.restore("00000003.history").silent(1);
    let says = ["the repository has segments of timeline 2, but not its history", "hint: "];
    scene.restore("00000002.history").refused(255, &says);
    let args = ["restore", "00000002.history", "pg_wal/RECOVERYHISTORY", "--gap-is-end"];
    scene.call(&args).run().silent(1);
    scene.make_standby();
    scene.restore("00000002.history").refused(1, &["warning: the repository has segments of timeline 2"]);
    scene.remove("data/standby.signal");
    scene.store(HISTORY.0, fixture(HISTORY.1));
    delivers(&scene, HISTORY.0, &fixture(HISTORY.1));
}

#[test]
fn a_history_that_the_cluster_is_past_or_has_itself_is_no_gap() {
    // An archive that began on a later timeline never got that timeline's history.
    let scene = recovering("zstd");
    scene.store(&name_of(2, 0xFFE), segment_as(2, 0xFFE));
    scene.write(format!("data/pg_wal/{}", HISTORY.0), fixture(HISTORY.1));
    scene.restore(HISTORY.0).silent(1);
    scene.write(format!("data/pg_wal/{}", HISTORY.0), "no history");
    scene.restore(HISTORY.0).refused(255, &["but not its history"]);
    scene.remove(format!("data/pg_wal/{}", HISTORY.0));
    let mut control = control_file_of(SYSTEM);
    control[48..52].copy_from_slice(&2u32.to_le_bytes());
    let crc = crc32c::crc32c(&control[..288]);
    control[288..292].copy_from_slice(&crc.to_le_bytes());
    scene.write("data/global/pg_control", control);
    scene.restore(HISTORY.0).silent(1);
}

#[test]
fn a_hole_before_a_fork_is_a_gap_though_nothing_later_of_its_timeline_is_stored() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENTS[0]]);
    let history = |position: &str| format!("1\t{position}\tno recovery target specified\n");
    // The fork lies in FFF: FFE has to be whole, FFF is asked for on the new timeline.
    scene.store("00000002.history", history("0/FFF80000"));
    scene.restore(SEGMENTS[1]).refused(255, &["the repository has a gap", "but timeline 2 follows it"]);
    scene.restore(SEGMENTS[2]).silent(1);
    scene.call(&["restore", SEGMENTS[1], "pg_wal/RECOVERYXLOG", "--gap-is-end"]).run().silent(1);
    // Right at a segment's end, the segment before has to be whole as well.
    scene.store("00000003.history", history("1/0"));
    scene.restore(SEGMENTS[2]).refused(255, &["but timeline 3 follows it"]);
    scene.make_standby();
    scene.restore(SEGMENTS[1]).silent(1);
}

#[test]
fn an_empty_directory_where_the_repository_was_is_never_an_empty_archive() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    for name in [SEGMENT, SEGMENTS[4], "00000002.history"] {
        stops_a_recovery(&scene, name, &["is not a walkeep repository", "hint: Is its file system mounted?"]);
    }
    fs::create_dir(scene.path("repo")).unwrap();
    for name in [SEGMENT, SEGMENTS[4], "00000002.history"] {
        stops_a_recovery(&scene, name, &["is not a walkeep repository", "hint: Is its file system mounted?"]);
    }
    // Nor is a part of one.
    fs::create_dir(scene.path("repo/.walkeep")).unwrap();
    stops_a_recovery(&scene, SEGMENT, &["is not a walkeep repository"]);
}

#[test]
fn a_repository_that_is_a_file_or_damaged_stops_a_recovery() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.write("repo/.walkeep/repository.json", "{");
    stops_a_recovery(&scene, SEGMENT, &["cannot make sense of '", "repository.json"]);
    fs::remove_dir_all(scene.path("repo")).unwrap();
    scene.write("repo", "x");
    stops_a_recovery(&scene, SEGMENT, &["Not a directory"]);
}

#[test]
fn a_repository_of_another_cluster_stops_a_recovery() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
    let says = format!("the repository belongs to system identifier {SYSTEM}, this is {OTHER_SYSTEM}");
    stops_a_recovery(&scene, SEGMENT, &[&says]);
    stops_a_recovery(&scene, SEGMENTS[4], &[&says]);
}

// ---- damage

#[test]
fn a_damaged_stored_form_is_never_delivered() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let whole = stored_zst(&scene);
    let file = format!("'{}' is damaged", scene.shown(&format!("repo/{SEGMENT}.zst")));
    let damaged = |bytes: &[u8]| {
        scene.write(format!("repo/{SEGMENT}.zst"), bytes);
        stops_a_recovery(&scene, SEGMENT, &[&file]);
    };
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    for at in [8, 1024, 5000, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
        damaged(&flipped(at));
    }
    for length in [0, 1, 7, 8, 500, 1023, 1024, 1030, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
        damaged(&whole[..length]);
    }
    damaged(&[&whole[..], b"more"].concat());
    damaged(&[&whole[..], &whole[..]].concat());
    scene.write(format!("repo/{SEGMENT}.zst"), whole);
    delivers(&scene, SEGMENT, &segment(SEGMENT));
}

#[test]
fn whatever_bit_flips_only_the_right_bytes_are_delivered() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let whole = stored_zst(&scene);
    // All of zstd's frame header, and a bit here and there.
    let places = (0..8).chain(1024..1040).chain((1040..whole.len()).step_by(9973));
    for at in places {
        for bit in [0, 4, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            scene.write(format!("repo/{SEGMENT}.zst"), bytes);
            match (scene.restore(SEGMENT), scene.delivered()) {
                (Outcome { code: Some(255), .. }, None) => {}
                (Outcome { code: Some(0), .. }, Some(bytes)) => {
                    assert!(bytes == segment(SEGMENT), "byte {at}, bit {bit}");
                    scene.remove("data/pg_wal/RECOVERYXLOG");
                }
                (outcome, _) => panic!("byte {at}, bit {bit}: {outcome:#?}"),
            }
        }
    }
}

#[test]
fn a_stored_file_under_another_name_is_never_delivered() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let repo = scene.path("repo");
    fs::copy(repo.join(format!("{SEGMENT}.zst")), repo.join(format!("{}.zst", SEGMENTS[1]))).unwrap();
    stops_a_recovery(&scene, SEGMENTS[1], &[&format!("it was stored as '{SEGMENT}'")]);
}

#[test]
fn a_digest_that_disagrees_is_told_with_both_digests() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let digest = sha256(&segment(SEGMENT));
    let other = "0".repeat(64);
    let mut bytes = stored_zst(&scene);
    let at = bytes.windows(64).position(|window| window == digest.as_bytes()).unwrap();
    bytes[at..at + 64].copy_from_slice(other.as_bytes());
    scene.write(format!("repo/{SEGMENT}.zst"), bytes);
    stops_a_recovery(&scene, SEGMENT, &[&digest, &other]);

    let scene = recovering("none");
    scene.store_segments(&[SEGMENT]);
    scene.write(format!("repo/{SEGMENT}.sha256"), format!("{other}  {SEGMENT}\n"));
    stops_a_recovery(&scene, SEGMENT, &[&digest, &other]);
    scene.write(format!("repo/{SEGMENT}.sha256"), "nonsense");
    stops_a_recovery(&scene, SEGMENT, &[".sha256", "it is no line of sha256sum"]);
}

#[test]
fn a_damaged_plain_file_is_never_delivered() {
    let scene = recovering("none");
    scene.store_segments(&[SEGMENT]);
    let whole = segment(SEGMENT);
    let stored = format!("repo/{SEGMENT}");
    for at in [0, 30, 8192, MIB - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        scene.write(&stored, bytes);
        stops_a_recovery(&scene, SEGMENT, &["is damaged", "sha256"]);
    }
    for bytes in [&whole[..0], &whole[..10], &whole[..MIB - 8192], &[&whole[..], &[0]].concat()] {
        scene.write(&stored, bytes);
        stops_a_recovery(&scene, SEGMENT, &["is damaged"]);
    }
    scene.store(HISTORY.0, fixture(HISTORY.1));
    scene.write(format!("repo/{}", HISTORY.0), "1\t0/30000000\tother\n");
    stops_a_recovery(&scene, HISTORY.0, &["is damaged", "sha256"]);
}

#[test]
fn a_damaged_file_of_another_tool_is_never_delivered() {
    for (tool_name, suffix) in [("cp", ""), ("gzip", ".gz"), ("zstd", ".zst"), ("lz4", ".lz4")] {
        let scene = recovering("zstd");
        put_with(tool_name, &scene.path("repo"), SEGMENT, &segment(SEGMENT));
        let stored = format!("repo/{SEGMENT}{suffix}");
        let whole = scene.read(&stored);
        for length in [0, 3, 100, whole.len() / 2, whole.len() - 9, whole.len() - 4, whole.len() - 1] {
            scene.write(&stored, &whole[..length]);
            stops_a_recovery(&scene, SEGMENT, &["is damaged"]);
        }
        if tool_name != "cp" {
            for at in [0, whole.len() / 2, whole.len() - 2] {
                let mut bytes = whole.clone();
                bytes[at] ^= 4;
                scene.write(&stored, bytes);
                stops_a_recovery(&scene, SEGMENT, &["is damaged"]);
            }
        }
        fs::remove_file(scene.path(&stored)).unwrap();
        for (bytes, says) in [
            (of_system(segment(SEGMENT), OTHER_SYSTEM), "its first page is of system identifier"),
            (segment(SEGMENTS[1]), "its first page says that it begins at 0/FFE00000"),
            (segment_as(2, 0xFFD), "its first page is of timeline 2"),
            (segment(SEGMENT)[..MIB / 2].to_vec(), "it holds 524288 bytes"),
            (vec![0; MIB], "its first page"),
        ] {
            put_with(tool_name, &scene.path("repo"), SEGMENT, &bytes);
            stops_a_recovery(&scene, SEGMENT, &["is damaged", says]);
            fs::remove_file(scene.path(&stored)).unwrap();
        }
        for bytes in ["", "no history\n", "2\t0/30000000\tof itself\n"] {
            put_with(tool_name, &scene.path("repo"), HISTORY.0, bytes.as_bytes());
            stops_a_recovery(&scene, HISTORY.0, &["is damaged"]);
            fs::remove_file(scene.path(format!("repo/{}{suffix}", HISTORY.0))).unwrap();
        }
    }
}

#[test]
fn a_bomb_is_not_unpacked_to_its_end() {
    let scene = recovering("zstd");
    // A thousand frames of 300 MB each.
    let script = format!(
        "head -c 300000000 /dev/zero | zstd -q > frame; for i in $(seq 1000); do cat frame; done > '{}'",
        scene.shown(&format!("repo/{SEGMENT}.zst"))
    );
    let script = format!("cd '{}'; {script}", scene.shown("elsewhere"));
    tool("sh", &["-c".as_ref(), script.as_ref()]);
    // The limits are seconds of work, however long that takes, and half-kibibytes that are written.
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s"];
    let limited = scene.call_in_shell("ulimit -t 20; ulimit -f 8192", &args).without_limits_of_time();
    limited.run().refused(255, &["is damaged"]);
    stops_a_recovery(&scene, SEGMENT, &["is damaged"]);
}

#[test]
fn something_that_is_no_file_is_never_delivered() {
    let scene = recovering("zstd");
    fs::create_dir(scene.path(format!("repo/{SEGMENT}"))).unwrap();
    stops_a_recovery(&scene, SEGMENT, &[SEGMENT]);
    fs::remove_dir(scene.path(format!("repo/{SEGMENT}"))).unwrap();
    tool("mkfifo", &[scene.path(format!("repo/{SEGMENT}")).as_ref()]);
    stops_a_recovery(&scene, SEGMENT, &[SEGMENT]);
    scene.remove(format!("repo/{SEGMENT}"));
    std::os::unix::fs::symlink("/dev/zero", scene.path(format!("repo/{SEGMENT}.zst"))).unwrap();
    stops_a_recovery(&scene, SEGMENT, &[SEGMENT]);
}

#[test]
fn two_forms_of_one_name_are_delivered_where_they_agree_and_refused_where_not() {
    for tool_name in ["cp", "gzip", "lz4"] {
        let scene = recovering("zstd");
        scene.store_segments(&[SEGMENT]);
        put_with(tool_name, &scene.path("repo"), SEGMENT, &segment(SEGMENT));
        delivers(&scene, SEGMENT, &segment(SEGMENT));
        let suffix = match tool_name {
            "cp" => "",
            "gzip" => ".gz",
            _ => ".lz4",
        };
        scene.remove(format!("repo/{SEGMENT}{suffix}"));
        put_with(tool_name, &scene.path("repo"), SEGMENT, &cut_in_zeros(segment(SEGMENT), MIB / 2));
        stops_a_recovery(&scene, SEGMENT, &["is damaged", "another form of"]);
    }
}

#[test]
fn encrypted_wal_is_delivered_without_a_header_check() {
    let scene = recovering("zstd");
    let encrypted: Vec<u8> = (0..=250).cycle().take(MIB).collect();
    put_with("gzip", &scene.path("repo"), SEGMENT, &encrypted);
    stops_a_recovery(&scene, SEGMENT, &["is damaged", "its first page"]);
    let args = ["restore", "--no-header-check", SEGMENT, "pg_wal/RECOVERYXLOG"];
    scene.call(&args).run().silent_success();
    assert!(scene.delivered() == Some(encrypted));
}

// ---- usage errors and settings

/// Calls that make no sense: 255, for a recovery must not take them for an absent file; 1 on a standby.
fn senseless(scene: &Scene) -> Vec<Call> {
    let config = scene.write("elsewhere/broken.toml", "[repository\n");
    let unknown = scene.write("elsewhere/unknown.toml", "[repository]\nurk = 1\n");
    let repo = scene.shown("repo");
    let call = |args: &[&str]| scene.call(args);
    vec![
        call(&["restore"]),
        call(&["restore", SEGMENT]),
        call(&["restore", SEGMENT, "x", "y"]),
        call(&["restore", "--bogus", SEGMENT, "x"]),
        call(&["restore", SEGMENT, "x", "--retry-budget", "soon"]),
        call(&["restore", SEGMENT, "x", "--timeout", "5"]),
        call(&["--repo", &repo, "restore", "--bogus"]),
        call(&["restore", "%f", "%p"]),
        call(&["restore", "", "x"]),
        call(&["restore", "pg_wal/RECOVERYXLOG", SEGMENT]),
        call(&["restore", "../000000010000000000000FFD", "x"]),
        call(&["restore", "000000010000000000000FFD.zst", "x"]),
        call(&["restore", SEGMENT, "x"]).without("WALKEEP_REPO"),
        call(&["restore", SEGMENT, "x", "--repo", "s3://bucket"]),
        call(&["restore", SEGMENT, "x", "--config"]).arg(&config),
        call(&["restore", SEGMENT, "x", "--config"]).arg(&unknown),
        call(&["restore", SEGMENT, "x", "--config", "/not/there.toml"]),
        call(&["restore", SEGMENT, "x"]).env("WALKEEP_LOG", "loud"),
    ]
}

#[test]
fn a_call_that_makes_no_sense_stops_a_recovery_and_not_a_standby() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    for (at, call) in senseless(&scene).into_iter().enumerate() {
        let outcome = call.run();
        assert_eq!((outcome.code, &*outcome.stdout), (Some(255), ""), "{at}: {outcome:#?}");
        assert!((1..4000).contains(&outcome.stderr.len()), "{at}: {outcome:#?}");
    }
    scene.make_standby();
    for (at, call) in senseless(&scene).into_iter().enumerate() {
        let outcome = call.run();
        assert_eq!((outcome.code, &*outcome.stdout), (Some(1), ""), "{at}: {outcome:#?}");
        assert!(!outcome.stderr.is_empty(), "{at}");
    }
    assert_eq!(scene.delivered(), None);
}

#[test]
fn a_usage_error_finds_the_standby_however_it_is_named() {
    let scene = recovering("zstd");
    scene.make_standby();
    let (data, elsewhere) = (scene.shown("data"), scene.path("elsewhere"));
    for args in [
        vec!["restore".to_owned(), "--bogus".to_owned(), "-D".to_owned(), data.clone()],
        vec!["-D".to_owned(), data.clone(), "restore".to_owned(), "--bogus".to_owned()],
        vec!["restore".to_owned(), "--bogus".to_owned(), "--pgdata".to_owned(), data.clone()],
        vec!["restore".to_owned(), "--bogus".to_owned(), format!("--pgdata={data}")],
        vec!["restore".to_owned(), "--bogus".to_owned(), format!("-D{data}")],
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let outcome = scene.call(&args).cwd(&elsewhere).run();
        assert_eq!(outcome.code, Some(1), "{args:?} {outcome:#?}");
    }
    for variable in ["WALKEEP_PGDATA", "KINGBASE_DATA", "PGDATA"] {
        scene.call(&["restore"]).cwd(&elsewhere).env(variable, &data).run().refused(1, &[]);
    }
    scene.call(&["restore"]).cwd(&elsewhere).run().refused(255, &[]);
}

#[test]
fn only_a_restore_answers_a_usage_error_with_255() {
    let named_so = recovering("zstd");
    named_so.call(&["archive", "x", "--repo", "restore", "--bogus"]).run().code(2);
    named_so.call(&["--repo", "restore", "init", "--bogus"]).run().code(2);
    let scene = recovering("zstd");
    for args in [
        &["archive", "restore", "--bogus"][..],
        &["archive", "--bogus", "--repo", "restore", "x"],
        &["--node", "restore", "archive", "--bogus"],
        &["init", "--bogus", "restore"],
        &["--bogus"],
        &[],
    ] {
        let outcome = scene.call(args).run();
        assert_eq!(outcome.code, Some(2), "{args:?} {outcome:#?}");
    }
    for args in [&["--node", "archive", "restore", "--bogus"][..], &["restore", "archive", "--bogus", "x"]] {
        scene.call(args).run().refused(255, &[]);
    }
}

#[test]
fn a_standby_is_known_in_its_directory_by_its_flag_and_by_the_destination() {
    let scene = recovering("zstd");
    fs::remove_dir_all(scene.path("repo")).unwrap();
    scene.make_standby();
    let elsewhere = scene.path("elsewhere");
    let call = |destination: &str| {
        let args = ["restore", SEGMENT, destination, "--retry-budget", "0s"];
        scene.call(&args).cwd(&elsewhere)
    };
    scene.restore(SEGMENT).refused(1, &["warning: "]);
    call("x").run().refused(255, &["error: "]);
    call("x").arg("-D").arg(scene.path("data")).run().refused(1, &["warning: "]);
    call(&scene.shown("data/pg_wal/RECOVERYXLOG")).run().refused(1, &["warning: "]);
    call("x").env("PGDATA", scene.path("data")).run().refused(1, &["warning: "]);
    scene.remove("data/standby.signal");
    scene.write("data/recovery.signal", "");
    scene.restore(SEGMENT).refused(255, &["error: "]);
    scene.make_standby();
    scene.restore(SEGMENT).refused(1, &["warning: "]);
}

#[test]
fn a_standby_of_version_11_is_known_by_its_recovery_conf() {
    let scene = recovering_without_repository();
    scene.data_directory("data", "11", &control_file_11());
    for (conf, code) in [
        ("standby_mode = 'on'\n", 1),
        ("restore_command = 'x'\n", 255),
        ("standby_mode = 'off'\n", 255),
        ("#standby_mode = 'on'\n", 255),
        ("standby_mode='on'   # yes\n", 1),
    ] {
        scene.write("data/recovery.conf", conf);
        scene.restore(SEGMENT).refused(code, &["is not a walkeep repository"]);
        scene.call(&["restore", "--bogus"]).run().refused(code, &["--bogus"]);
    }
    // Signal files say nothing there: without recovery.conf the recovery has ended.
    scene.remove("data/recovery.conf");
    scene.make_standby();
    scene.restore(SEGMENT).refused(1, &["is not a walkeep repository"]);
    scene.remove("data/standby.signal");
    scene.init("zstd");
    scene.store_segments(&[SEGMENT]);
    delivers(&scene, SEGMENT, &segment(SEGMENT));
}

#[test]
fn an_environment_that_names_another_cluster_confuses_nobody() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    scene.write("other/standby.signal", "");
    for variable in ["WALKEEP_PGDATA", "KINGBASE_DATA", "PGDATA"] {
        let call = |args: &[&str]| scene.call(args).env(variable, scene.path("other"));
        call(&["restore", SEGMENT, "pg_wal/RECOVERYXLOG"]).run().silent_success();
        scene.remove("data/pg_wal/RECOVERYXLOG");
        call(&["restore", "--bogus"]).run().refused(255, &["--bogus"]);
        let nowhere =
            ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--repo", "/not/there", "--retry-budget", "0s"];
        call(&nowhere).run().refused(255, &["/not/there"]);
        scene.offer_segments(&[SEGMENTS[1]]);
        call(&["archive", &format!("pg_wal/{}", SEGMENTS[1])]).run().silent_success();
    }
}

#[test]
fn a_config_file_says_what_a_failure_means() {
    let scene = recovering_without_repository();
    let call = |on_error: &str| {
        let config = scene.write("elsewhere/walkeep.toml", format!("[restore]\non_error = \"{on_error}\"\n"));
        let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "0s", "--config"];
        scene.call(&args).arg(config).run()
    };
    call("continue").refused(1, &["warning: "]);
    call("stop").refused(255, &["error: "]);
    call("auto").refused(255, &["error: "]);
    scene.make_standby();
    call("continue").refused(1, &["warning: "]);
    call("stop").refused(255, &["error: "]);
    call("auto").refused(1, &["warning: "]);
    call("sometimes").refused(1, &["'sometimes' is none of auto, stop and continue"]);
}

// ---- time

/// How often a traced call has tried to open the repository by now.
fn tries_to_open(scene: &Scene) -> usize {
    let trace = scene.read_if_there("strace.out").unwrap_or_default();
    String::from_utf8_lossy(&trace).matches("openat(").count()
}

#[test]
fn a_repository_that_comes_back_within_the_budget_is_waited_for() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--retry-budget", "7d", "--timeout", "7d"];
    let tries = ["-P", &scene.shown("repo/.walkeep/repository.json"), "-e", "trace=openat"];
    let running = scene.call_under_strace(&tries, &args).spawn();
    until("it has tried twice", || tries_to_open(&scene) >= 2);
    assert_eq!(scene.delivered(), None);
    fs::rename(scene.path("unmounted"), scene.path("repo")).unwrap();
    running.end().silent_success();
    assert!(scene.delivered() == Some(segment(SEGMENT)));
}

#[test]
fn retries_end_with_their_budget() {
    let scene = recovering_without_repository();
    let config = scene.write("elsewhere/walkeep.toml", "[restore]\nretry_budget = \"1s\"\n");
    let started = Instant::now();
    let tries = ["-P", &scene.shown("repo/.walkeep/repository.json"), "-e", "trace=openat"];
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--config", config.to_str().unwrap()];
    let outcome = scene.call_under_strace(&tries, &args).run_to_its_end();
    outcome.refused(255, &["is not a walkeep repository"]);
    // Its pauses grow from 100 ms: four tries fit into a second, and ten into the half minute that is usual.
    assert!(started.elapsed() > Duration::from_millis(400), "it did not try for a second");
    assert!((1..=4).contains(&tries_to_open(&scene)), "it tried {} times", tries_to_open(&scene));
}

#[test]
fn a_repository_that_hangs_ends_in_a_clear_error_in_bounded_time() {
    let scene = recovering("zstd");
    scene.store_segments(&[SEGMENT]);
    let stored = scene.shown(&format!("repo/{SEGMENT}.zst"));
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG", "--timeout", "1s"];
    scene.run_hanging(&stored, &args).refused(255, &["no end after 1s", "does not answer"]);
    scene.make_standby();
    scene.run_hanging(&stored, &args).refused(1, &["warning: ", "no end after 1s"]);
    assert_eq!(scene.delivered(), None);
    assert_eq!(scene.listing("data/pg_wal"), ["archive_status/"]);
}
