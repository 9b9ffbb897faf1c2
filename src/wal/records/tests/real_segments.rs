use super::*;

struct Sample {
    name: &'static str,
    packed: &'static [u8],
    end: &'static str,
    first: (&'static str, &'static str),
    continued: u64,
    missing: u64,
}

macro_rules! segment {
    ($before:literal, $name:literal, $after:literal, $end:literal, $first:expr, $continued:literal, $missing:literal) => {
        Sample {
            name: $name,
            packed: fixture!($before, $name, $after),
            end: $end,
            first: $first,
            continued: $continued,
            missing: $missing,
        }
    };
}

/// The ends are those that pg_waldump finds (15), or another program that was written for this (the others).
    #[rustfmt::skip]
    const SEGMENTS: &[Sample] = &[
        segment!("10/wal/", "000000010000000000000003", ".gz", "switched 0/30000E8", ("0/3000028", "0/20000D0"), 0, 0),
        segment!("11/wal/", "000000010000000000000002", ".gz", "switched 0/2000450", ("0/2000028", "0/166CD38"), 0, 0),
        segment!("12/wal/", "000000010000000000000003", ".gz", "switched 0/30000E8", ("0/3000028", "0/20000D0"), 0, 0),
        segment!("13/wal/", "000000010000000000000003", ".gz", "switched 0/30000B0", ("0/3000028", "0/2000448"), 0, 0),
        segment!("14/wal/", "000000010000000000000003", ".gz", "switched 0/30000B0", ("0/3000028", "0/2000448"), 0, 0),
        segment!("15/wal/", "000000010000000000000003", ".gz", "switched 0/30000B0", ("0/3000028", "0/20007F0"), 0, 0),
        segment!("16/wal/", "000000010000000000000003", ".gz", "switched 0/30000B0", ("0/3000028", "0/2000800"), 0, 0),
        segment!("17/wal/", "000000010000000000000003", ".gz", "switched 0/30000E8", ("0/3000028", "0/2000738"), 0, 0),
        segment!("18/wal/", "000000010000000000000003", ".gz", "switched 0/30000B0", ("0/3000028", "0/2002350"), 0, 0),
        segment!("12/wal/", "00000002000000000000002E", ".forkseg.gz", "ends 0/2E02F890 NotWal", ("0/2E000028", "0/2D000100"), 0, 0),
        segment!("15-debian/wal/", "00000002000000000000002B", ".forkseg.gz", "ends 0/2B031078 NotWal", ("0/2B000028", "0/2A000100"), 0, 0),
        segment!("17/wal/", "000000020000000000000034", ".forkseg.gz", "ends 0/3402F910 NotWal", ("0/34000028", "0/33000120"), 0, 0),
        segment!("18/wal/", "000000020000000000000009", ".forkseg.gz", "ends 0/902F3C8 NotWal", ("0/9000028", "0/8000120"), 0, 0),
        segment!("15-debian/wal/", "000000010000000000000024", ".partial.gz", "ends 0/240277B0 Zeros", ("0/24000028", "0/2300FB38"), 0, 0),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFD", ".gz", "whole", ("0/FFD00028", "0/0"), 0, 43),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFE", ".gz", "whole", ("0/FFE00058", "0/FFDFFFF0"), 43, 0),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFF", ".gz", "whole", ("0/FFF00028", "0/FFEFFFC0"), 0, 11),
        segment!("15-debian/wal/seg1MB_", "000000010000000100000000", ".gz", "switched 1/C2500", ("1/38", "0/FFFFFFD0"), 11, 0),
        segment!("15-debian/wal/seg1MB_", "000000010000000100000001", ".gz", "switched 1/100158", ("1/100028", "1/C24E8"), 0, 0),
    ];

fn place(name: &str, bytes: &[u8]) -> (Lsn, SegmentSize) {
    let size = SegmentSize::new(bytes.len() as u64).unwrap();
    (name.parse::<SegmentName>().unwrap().start(size).unwrap(), size)
}

fn text(end: WalEnd) -> String {
    match end {
        WalEnd::Whole => "whole".into(),
        WalEnd::Switched { at } => format!("switched {at}"),
        WalEnd::Ends { at, followed_by } => format!("ends {at} {followed_by:?}"),
        WalEnd::Unknown => "unknown".into(),
    }
}

#[test]
fn end_where_their_servers_ended_them() {
    for Sample { name, packed, end, first, continued, missing } in SEGMENTS {
        let bytes = unpack(packed);
        let (start, size) = place(name, &bytes);
        let found = SegmentRecords::of(start, size, &bytes);
        assert_eq!(text(found.end), *end, "{name}");
        let expected = FirstRecord { at: first.0.parse().unwrap(), previous: first.1.parse().unwrap() };
        assert_eq!(found.first, Some(expected), "{name}");
        assert_eq!((found.continued_bytes, found.missing_bytes), (*continued, *missing), "{name}");
    }
}

#[test]
fn follow_one_another() {
    let mut before: Option<SegmentRecords> = None;
    for Sample { name, packed, end, .. } in &SEGMENTS[14..] {
        let bytes = unpack(packed);
        let (start, size) = place(name, &bytes);
        let mut walk = match &before {
            Some(before) => RecordWalk::after(before).unwrap(),
            None => RecordWalk::new(start, size),
        };
        bytes.chunks(65_536).for_each(|piece| walk.take(piece));
        let found = walk.finish();
        assert_eq!(text(found.end), *end, "{name}");
        before = Some(found);
    }
}

/// Cuts at every 8 bytes of the last page that has WAL, and some before, each with three kinds of bytes after it.
#[test]
fn that_are_cut_never_end_later_than_the_cut() {
    for Sample { name, packed, missing, .. } in SEGMENTS {
        let bytes = unpack(packed);
        let (start, size) = place(name, &bytes);
        let whole = SegmentRecords::of(start, size, &bytes);
        let length = usize::try_from(whole.end_lsn().unwrap().get() - start.get()).unwrap();
        let stale: Vec<u8> = bytes[8192..16384].iter().chain(&bytes[64..8192]).copied().collect();
        let last_page = (length - 1) / 8192 * 8192;
        let mut before = RecordWalk::new(start, size);
        before.take(&bytes[..last_page]);
        for cut in (last_page..length).step_by(8) {
            // A record that crosses the end of the segment can be checked only together with the next one.
            let unproven = *missing > 0 && length - cut <= 59 - usize::try_from(*missing).unwrap();
            for tail in [vec![0; 8192], stale.clone(), GARBAGE[..8192].to_vec()] {
                let page = [&bytes[last_page..cut], &tail[..last_page + 8192 - cut]].concat();
                let same = page.iter().zip(&bytes[last_page..]).take_while(|(a, b)| a == b).count();
                if last_page + same >= length {
                    continue;
                }
                let mut walk = before.clone();
                walk.take(&page);
                // Of a long segment only one page more: what follows is the same.
                walk.take(&bytes[last_page + 8192..bytes.len().min(last_page + 16384)]);
                let found = walk.finish();
                let is_true = match found.end {
                    WalEnd::Whole => unproven,
                    WalEnd::Switched { .. } => false,
                    WalEnd::Ends { at, .. } => at.get() <= up(start.get() + (last_page + same) as u64),
                    WalEnd::Unknown => cut < 8192,
                };
                assert!(is_true, "{name} cut at {cut} of {length}: {:?}", found.end);
            }
        }
    }
}
