//! The record walk finds in the WAL of a real server what `pg_waldump` finds.

use std::collections::BTreeMap;
use std::fs;

use walkeep::wal::{FirstRecord, Lsn, RecordWalk, SegmentName, SegmentRecords, SegmentSize, Tail, WalEnd};

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::scratch::Scratch;

/// A record as `pg_waldump` prints it.
struct Dumped {
    at: Lsn,
    previous: Lsn,
    is_switch: bool,
}

fn dumped(line: &str) -> Option<Dumped> {
    let field = |name: &str| line.split_once(name)?.1.split(',').next()?.trim().parse::<Lsn>().ok();
    Some(Dumped {
        at: field(" lsn: ")?,
        previous: field(" prev ")?,
        is_switch: line.contains("desc: SWITCH"),
    })
}

#[test]
fn every_segment_ends_where_pg_waldump_says() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    primary.set("wal_keep_size", "1GB");
    primary.start();
    load::prepare(&primary);
    // Records of every length: one of them spans whole segments.
    for bytes in [0, 1, 7, 8, 300, 8_000, 20_000, 3_000_000, 5] {
        primary.sql(&format!("SELECT pg_logical_emit_message(false, '', repeat('x', {bytes}))"));
    }
    let _ = primary.switch_segment();
    primary.sql("INSERT INTO told SELECT g, g, repeat('y', g % 900) FROM generate_series(1, 20000) g");
    primary.stop_immediately();
    primary.start();
    primary.sql("INSERT INTO told SELECT g, g, repeat('z', g % 90) FROM generate_series(1, 20000) g");
    primary.stop_immediately();

    let wal = primary.wal_directory();
    let segments: BTreeMap<SegmentName, Vec<u8>> = primary
        .wal_files()
        .into_iter()
        .filter_map(|name| Some((name.parse().ok()?, fs::read(wal.join(name)).unwrap())))
        .collect();
    let size = SegmentSize::new(1 << 20).unwrap();
    let first = segments.keys().next().unwrap().start(size).unwrap().to_string();
    let mut waldump = primary.client("pg_waldump");
    let output = waldump.arg("--path").arg(&wal).arg("--start").arg(first).output().unwrap();
    let records: Vec<Dumped> = String::from_utf8(output.stdout).unwrap().lines().filter_map(dumped).collect();
    // "error in WAL record at LSN: invalid record length at LSN: wanted 24, got 0", or the like.
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(records.len() > 40_000, "{} records, {error}", records.len());
    let end: Lsn = error.rsplit(" at ").next().unwrap().split([':', ' ']).next().unwrap().parse().unwrap();

    let mut before: Option<SegmentRecords> = None;
    for (name, bytes) in &segments {
        let start = name.start(size).unwrap();
        let segment_end = Lsn::new(start.get() + size.bytes());
        let found = SegmentRecords::of(start, size, bytes);
        if start > end {
            let unused = WalEnd::Ends { at: start, followed_by: Tail::NotWal };
            assert!(
                found.end == unused || found.end_lsn() == Some(start),
                "'{name}' is unused: {:?}",
                found.end
            );
            continue;
        }
        let here: Vec<&Dumped> =
            records.iter().filter(|record| start <= record.at && record.at < segment_end).collect();
        let expected = here.first().map(|first| FirstRecord { at: first.at, previous: first.previous });
        assert_eq!(found.first, expected, "'{name}'");
        match found.end {
            WalEnd::Switched { at } => {
                assert!(here.last().unwrap().is_switch && at.get() == here.last().unwrap().at.get() + 24);
            }
            WalEnd::Whole => assert!(segment_end <= end && here.last().is_none_or(|last| !last.is_switch)),
            other => assert_eq!(found.end_lsn(), Some(end), "'{name}': {other:?}"),
        }
        if let Some(before) = &before {
            let mut walk = RecordWalk::after(before).unwrap();
            walk.take(bytes);
            assert_eq!(walk.finish().end, found.end, "'{name}' after the segment before");
        }
        before = Some(found);
    }
    assert!(before.is_some_and(|last| last.end_lsn() == Some(end)));
}
