//! Stamps: a file that is stored and was not touched is confirmed without being read; of any other, contents decide.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::*;

/// Lets a file be as old as those of a backlog are.
fn rest(path: &Path) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
}

fn ns(seconds: i64, ns: i64) -> i64 {
    seconds * 1_000_000_000 + ns
}

/// A repository in which other bytes bear the name of the segment that is offered: whoever compares refuses it.
fn conflict(compress: &str) -> Scene {
    let scene = Scene::with_repository(compress);
    scene.offer_segments(&[SEGMENT]);
    rest(&scene.path(format!("data/pg_wal/{SEGMENT}")));
    scene.archive(SEGMENT).silent_success();
    let mut other = segment(SEGMENT);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.offer(SEGMENT, other);
    rest(&scene.path(format!("data/pg_wal/{SEGMENT}")));
    scene
}

fn stamp_of(scene: &Scene) -> Value {
    serde_json::from_slice(&scene.read(format!("repo/.walkeep/stamps/{SEGMENT}.json"))).unwrap()
}

/// Writes a stamp with a checksum that is right.
fn put_stamp(scene: &Scene, mut stamp: Value) {
    stamp.as_object_mut().unwrap().remove("checksum");
    let text = stamp.to_string();
    let begin = text.strip_suffix('}').unwrap();
    let sealed = format!("{begin},\"checksum\":\"{}\"}}", sha256(begin.as_bytes()));
    scene.write(format!("repo/.walkeep/stamps/{SEGMENT}.json"), sealed);
}

/// A stamp that vouches for the file that is offered, which it never should.
fn forged(scene: &Scene) -> Value {
    let meta = fs::metadata(scene.path(format!("data/pg_wal/{SEGMENT}"))).unwrap();
    let mut stamp = stamp_of(scene);
    stamp["source"] = json!({
        "size": meta.len(), "device": meta.dev(), "inode": meta.ino(),
        "mtime_ns": ns(meta.mtime(), meta.mtime_nsec()), "ctime_ns": ns(meta.ctime(), meta.ctime_nsec()),
    });
    stamp
}

#[test]
fn a_stamp_decides_only_where_everything_that_it_remembers_is_as_it_was() {
    for compress in ["zstd", "none"] {
        let scene = conflict(compress);
        let forged = forged(&scene);
        assert_ne!(forged["machine_id"], "", "this machine has an id");
        put_stamp(&scene, forged.clone());
        scene.archive(SEGMENT).silent_success();
        for (key, value) in [
            ("/machine_id", json!("another")),
            ("/machine_id", json!("")),
            ("/system_identifier", json!("1")),
            ("/source", Value::Null),
            ("/source/size", json!(1)),
            ("/source/device", json!(1)),
            ("/source/inode", json!(1)),
            ("/source/mtime_ns", json!(forged["source"]["mtime_ns"].as_i64().unwrap() + 1)),
            ("/source/ctime_ns", json!(forged["source"]["ctime_ns"].as_i64().unwrap() - 1)),
            ("/stored/name", json!(format!("{SEGMENT}.gz"))),
            ("/stored/size", json!(1)),
            ("/stored/inode", json!(1)),
            ("/stored/changed_ns", json!(forged["stored"]["changed_ns"].as_i64().unwrap() + 1)),
        ] {
            let mut stamp = forged.clone();
            *stamp.pointer_mut(key).unwrap() = value;
            put_stamp(&scene, stamp);
            scene.archive(SEGMENT).refused(1, &["diverged"]);
        }
    }
}

#[test]
fn a_stamp_that_is_torn_or_has_no_checksum_decides_nothing() {
    let scene = conflict("zstd");
    put_stamp(&scene, forged(&scene));
    let path = format!("repo/.walkeep/stamps/{SEGMENT}.json");
    let whole = scene.read(&path);
    scene.archive(SEGMENT).silent_success();
    let mut zeroed = whole.clone();
    zeroed[whole.len() / 2..].fill(0);
    for torn in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], &zeroed, b"", b"{}"] {
        scene.write(&path, torn);
        scene.archive(SEGMENT).refused(1, &["diverged"]);
    }
    let mut unsealed = forged(&scene);
    unsealed.as_object_mut().unwrap().remove("checksum");
    scene.write(&path, unsealed.to_string());
    scene.archive(SEGMENT).refused(1, &["diverged"]);
}

#[test]
fn what_was_touched_on_either_side_is_compared_whatever_its_times_say() {
    for compress in ["zstd", "none"] {
        // The source was written again, and its time set back.
        conflict(compress).archive(SEGMENT).refused(1, &["diverged"]);

        let scene = Scene::with_repository(compress);
        scene.offer_segments(&[SEGMENT]);
        rest(&scene.path(format!("data/pg_wal/{SEGMENT}")));
        scene.archive(SEGMENT).silent_success();
        let suffix = if compress == "zstd" { ".zst" } else { "" };
        let stored = scene.path(format!("repo/{SEGMENT}{suffix}"));
        let modified = stored.metadata().unwrap().modified().unwrap();
        let mut bytes = fs::read(&stored).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // Another file of the same length and time in its place; then the same file, written over.
        for replaced in [true, false] {
            if replaced {
                fs::remove_file(&stored).unwrap();
            }
            fs::write(&stored, &bytes).unwrap();
            File::options().write(true).open(&stored).unwrap().set_modified(modified).unwrap();
            let outcome = scene.archive(SEGMENT);
            assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        }
    }
}

#[test]
fn a_file_that_was_written_just_now_is_compared_again() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    let path = scene.path(format!("data/pg_wal/{SEGMENT}"));
    // A clock that was set back leaves files of the future.
    let now = SystemTime::now();
    let archive_now = || {
        let call = scene.call(&["archive", &format!("pg_wal/{SEGMENT}")]);
        call.at(now).without_limits_of_time().run().silent_success();
    };
    for written in [now, now - Duration::from_secs(1), now + Duration::from_secs(3600)] {
        File::open(&path).unwrap().set_modified(written).unwrap();
        archive_now();
        assert_eq!(stamp_of(&scene)["source"], Value::Null);
    }
    File::open(&path).unwrap().set_modified(now - Duration::from_secs(2)).unwrap();
    archive_now();
    assert_eq!(stamp_of(&scene)["source"]["size"], MIB);
}

#[test]
fn nothing_is_confirmed_where_the_stored_file_is_gone_or_the_repository_is() {
    let scene = Scene::with_repository("zstd");
    scene.offer_segments(&[SEGMENT]);
    rest(&scene.path(format!("data/pg_wal/{SEGMENT}")));
    scene.archive(SEGMENT).silent_success();
    scene.remove(format!("repo/{SEGMENT}.zst"));
    scene.archive(SEGMENT).silent_success();
    assert_eq!(scene.stored(), [format!("{SEGMENT}.zst")], "it is stored again");
    fs::rename(scene.path("repo"), scene.path("unmounted")).unwrap();
    fs::create_dir(scene.path("repo")).unwrap();
    scene.archive(SEGMENT).refused(1, &["is not a walkeep repository"]);
}
