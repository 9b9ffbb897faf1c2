use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::commands::facts::{Envelope, Form};
use crate::commands::{DigestSource, Fault, InspectRequest, Inspection, ToldDigest, inspect};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// What a fixture says, under a path and with a time that are the same everywhere.
fn look(path: &str) -> Inspection {
    let file = fixture(path);
    let found = inspect(&InspectRequest { file }).unwrap();
    Inspection { path: path.into(), modified_ns: 1_795_225_502_999_999_999, ..found }
}

fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim())).collect()
}

#[test]
fn a_control_file_reads_as_pg_controldata_prints_it() {
    for label in ["10/running", "11/shutdown", "12/running", "14/shutdown", "15-debian/standby", "18/running"]
    {
        let printed = fs::read_to_string(fixture(label).join("pg_controldata.txt")).unwrap();
        let text = inspect_text(&look(&format!("{label}/pg_control")));
        let (printed, ours) = (pairs(&printed), pairs(&text));
        let same = |key: &&&str| printed.contains_key(**key) && !key.to_lowercase().contains("time of");
        let shared: Vec<_> = ours.keys().filter(same).filter(|key| !key.ends_with("modified")).collect();
        assert!(shared.len() >= 16, "{label}: {shared:?}");
        for key in shared {
            assert_eq!(ours[*key], printed[*key], "{label}: {key}");
        }
    }
}

#[test]
fn a_control_file_is_shown_whole() {
    let expected = "\
File:                                12/running/pg_control
Kind:                                control file
Written by:                          PostgreSQL 12
pg_control version number:           1201
Catalog version number:              201909212
Database system identifier:          7710431001074634241
Database cluster state:              in production
pg_control last modified:            2026-11-21 01:45:02 UTC
Latest checkpoint location:          0/14000180
Latest checkpoint's REDO location:   0/14000148
Latest checkpoint's REDO WAL file:   000000010000000000000014
Latest checkpoint's TimeLineID:      1
Latest checkpoint's PrevTimeLineID:  1
Time of latest checkpoint:           2026-11-21 01:45:02 UTC
Minimum recovery ending location:    0/0
Min recovery ending loc's timeline:  0
Backup start location:               0/0
Backup end location:                 0/0
wal_level setting:                   logical
WAL block size:                      8192
Bytes per WAL segment:               16777216
Data page checksum version:          0
Checksum of the file itself:         right, at byte 288
File last modified:                  2026-11-21 01:45:02 UTC
File size:                           8192 bytes
";
    assert_eq!(inspect_text(&look("12/running/pg_control")), expected);
}

#[test]
fn slots_are_shown_whole() {
    let invalidated = "\
File:                    13/invalidated/slot_phys_reserved.state
Kind:                    replication slot
Slot name:               phys_reserved
Slot type:               physical
Persistency:             persistent
Restart LSN:             none: the server gave the slot up
Invalidation reason:     wal_removed
Restart LSN until then:  0/15C51E0
Two-phase:               no
Failover:                no
Synced:                  no
Version of the file:     2
File last modified:      2026-11-21 01:45:02 UTC
File size:               184 bytes
";
    assert_eq!(inspect_text(&look("13/invalidated/slot_phys_reserved.state")), invalidated);
    let logical = "\
File:                 12/running/slot_log_testdec.state
Kind:                 replication slot
Slot name:            log_testdec
Slot type:            logical
Plugin:               test_decoding
Database OID:         13396
Persistency:          persistent
Restart LSN:          0/1643A38
Confirmed flush LSN:  0/1643A70
Two-phase:            no
Failover:             no
Synced:               no
Version of the file:  2
File last modified:   2026-11-21 01:45:02 UTC
File size:            176 bytes
";
    assert_eq!(inspect_text(&look("12/running/slot_log_testdec.state")), logical);
}

/// A segment as walkeep stores it, damaged since.
fn damaged_segment() -> Inspection {
    let mut found = look("12/wal/000000010000000000000003.gz");
    let found_digest = found.stored.sha256.unwrap();
    let told = "ab".repeat(32);
    found.stored.form = Form::Zstd;
    found.stored.envelope = Some(Envelope {
        format: 1,
        name: "000000010000000000000003".to_owned(),
        sha256: told.clone(),
        size: 16 << 20,
        system_identifier: "7710431001074634241".to_owned(),
        device: 0,
        inode: 0,
        mtime_ns: 1_795_225_500_000_000_000,
        ctime_ns: 0,
        node: "node1\u{1b}[2J".to_owned(),
        writer: "walkeep 0.1.0".to_owned(),
    });
    found.stored.told = Some(ToldDigest { by: DigestSource::Envelope, sha256: told.clone() });
    found.faults = vec![Fault::Digest { by: DigestSource::Envelope, told, found: found_digest }];
    found
}

#[test]
fn a_damaged_segment_is_shown_whole() {
    let expected = "\
File:                         12/wal/000000010000000000000003.gz
Kind:                         segment
Finding:
    it is damaged: its content has sha256
    4289d480b26f9f0d5885f57a7b22723118c04d02bb1c3f6cfcd658c5818e7e95, and was
    stored with abababababababababababababababababababababababababababababababab
Segment by its first page:    000000010000000000000003
Agrees with the file's name:  yes
Database system identifier:   7710431001074634241
Timeline of the first page:   1
Begins at:                    0/3000000
Valid pages end at:           0/3002000
Valid pages:                  1 of 2048
WAL page magic:               D101 (PostgreSQL 12)
WAL block size:               8192
Bytes per WAL segment:        16777216
File last modified:           2026-11-21 01:45:02 UTC
File size:                    16496 bytes
Stored form:                  1 (zstd)
Content size:                 16777216 bytes
Compression ratio:            1017.0
SHA-256 of the content:
    4289d480b26f9f0d5885f57a7b22723118c04d02bb1c3f6cfcd658c5818e7e95
Agrees with storing time:     no
SHA-256 at storing time:
    abababababababababababababababababababababababababababababababab
Stored as:                    000000010000000000000003
Stored by node:               node1\u{FFFD}[2J
Stored with:                  walkeep 0.1.0
Source last modified:         2026-11-21 01:45:00 UTC
";
    assert_eq!(inspect_text(&damaged_segment()), expected);
}

#[test]
fn small_text_files_are_shown_whole() {
    let history = "\
File:                    12/wal/00000003.history
Kind:                    timeline history
Timeline:                3
Ancestor 1:              left at 0/3302F0C0: after LSN 0/3302F080
Ancestor 2:              left at 0/35000000: no recovery target specified
File last modified:      2026-11-21 01:45:02 UTC
File size:               78 bytes
SHA-256 of the content:
    c37a667f4f35874f51cb7200cbfe6c134ff8d640d5c98e49b338a84bef42f9ab
";
    assert_eq!(inspect_text(&look("12/wal/00000003.history")), history);
    let backup = "\
Kind:                    backup history
Start WAL location:      0/1E000028 (file 00000001000000000000001E)
Stop WAL location:       0/1E000100 (file 00000001000000000000001E)
Checkpoint location:     0/1E000060
Backup method:           streamed
Backup from:             primary
Start time:              2026-11-21 01:52:35 UTC
Stop time:               2026-11-21 01:52:35 UTC
Label:                   pg_basebackup base backup
Start timeline:          1
Stop timeline:           1
";
    let text = inspect_text(&look("15-debian/wal/00000001000000000000001E.00000028.backup"));
    assert!(text.contains(backup), "{text}");
}

#[test]
fn every_line_fits_eighty_columns_unless_a_word_does_not() {
    let mut damaged = damaged_segment();
    damaged.path = Path::new("/").join("long/".repeat(30));
    let texts = ["18/running/pg_control", "15-debian/wal/000000010000000000000024.partial.gz"].map(look);
    for text in texts.iter().chain([&damaged]).map(inspect_text) {
        for line in text.lines().filter(|line| line.trim().contains(' ')) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn json_has_documented_keys() {
    let damaged = inspect_json(&damaged_segment());
    assert_eq!((&damaged["schema"], &damaged["kind"]), (&json!(1), &json!("segment")));
    assert_eq!(
        (&damaged["sound"], &damaged["findings"][0]["kind"]),
        (&json!(false), &json!("digest_differs"))
    );
    assert_eq!(damaged["modified"], "2026-11-21T01:45:02Z");
    assert_eq!(
        damaged["content"],
        json!({
            "file_name": "000000010000000000000003",
            "segment": "000000010000000000000003",
            "name_agrees": true,
            "system_identifier": "7710431001074634241",
            "timeline": 1,
            "start_lsn": "0/3000000",
            "valid_end_lsn": "0/3002000",
            "valid_pages": 1,
            "pages": 2048,
            "valid_pages_behind_a_hole": 0,
            "magic": "D101",
            "server": "PostgreSQL 12",
            "wal_block_bytes": 8192,
            "segment_bytes": 16_777_216,
        })
    );
    let stored = &damaged["stored"];
    assert_eq!((&stored["told_by"], &stored["sha256_agrees"]), (&json!("envelope"), &json!(false)));
    assert_eq!(stored["compression_ratio"], 1017.0);
    assert_eq!(stored["envelope"]["source_modified"], "2026-11-21T01:45:00Z");

    let control = inspect_json(&look("12/running/pg_control"));
    assert_eq!((&control["kind"], &control["sound"]), (&json!("control_file"), &json!(true)));
    let control = &control["content"];
    assert_eq!(control["redo_segment"], "000000010000000000000014");
    assert_eq!(
        (&control["time"], &control["min_recovery_lsn"]),
        (&json!("2026-11-21T01:45:02Z"), &Value::Null)
    );

    let slot = inspect_json(&look("13/invalidated/slot_phys_reserved.state"));
    assert_eq!(slot["content"]["invalidation_reason"], "wal_removed");
    assert_eq!(slot["content"]["invalidated_at_lsn"], "0/15C51E0");
    let history = inspect_json(&look("12/wal/00000003.history"));
    assert_eq!(history["content"]["entries"][1]["switch_lsn"], "0/35000000");
    let partial = inspect_json(&look("15-debian/wal/000000010000000000000024.partial.gz"));
    assert_eq!(partial["kind"], "partial_segment");
    let label = inspect_json(&look("15-debian/backup_label"));
    assert_eq!((&label["kind"], &label["content"]["stop_lsn"]), (&json!("backup_label"), &Value::Null));
}
