use std::sync::LazyLock;

use proptest::prelude::*;

use super::samples::{Log, SIZE, START, size};
use super::*;
use crate::wal::SegmentName;
use crate::wal::fixtures::{fixture, unpack};

fn walk(bytes: &[u8]) -> SegmentRecords {
    SegmentRecords::of(Lsn::new(START), size(), bytes)
}

fn ends(at: u64, followed_by: Tail) -> WalEnd {
    WalEnd::Ends { at: Lsn::new(at), followed_by }
}

fn up(position: u64) -> u64 {
    position.next_multiple_of(8)
}

mod properties;
mod real_segments;

/// A segment of bytes that are no WAL, and no zeros.
static GARBAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7] | 1
    };
    std::iter::repeat_with(next).take(1 << 20).collect()
});

#[test]
fn an_unwritten_segment_ends_at_its_start() {
    let unwritten = walk(&vec![0; 1 << 20]);
    assert_eq!(unwritten.end, ends(START, Tail::Zeros));
    assert_eq!(walk(&[]).end, ends(START, Tail::Nothing));
}

#[test]
fn a_recycled_segment_ends_at_its_start() {
    let mut log = Log::new();
    log.fill_segment(100);
    let recycled = SegmentRecords::of(Lsn::new(START + SIZE), size(), &log.segment(0));
    assert_eq!(recycled.end, ends(START + SIZE, Tail::NotWal));
    assert!(recycled.first.is_none());
}

#[test]
fn bytes_that_no_layout_fits_are_unknown() {
    assert_eq!(walk(&GARBAGE).end, WalEnd::Unknown);
    let mut log = Log::new();
    log.fill_segment(100);
    let mut encrypted = log.segment(0);
    for page in encrypted.chunks_mut(8192) {
        page[40..].iter_mut().for_each(|byte| *byte ^= 0xA5);
    }
    assert_eq!(walk(&encrypted).end, WalEnd::Unknown);
    assert_eq!(walk(&encrypted).first, None);
}

#[test]
fn a_switch_ends_a_segment_whatever_follows() {
    let mut log = Log::new();
    log.insert(500);
    let end = up(log.switch().end);
    let switched = WalEnd::Switched { at: Lsn::new(end) };
    assert_eq!(walk(&log.segment(0)).end, switched);
    let mut followed = log.segment(0);
    followed[9000..].copy_from_slice(&GARBAGE[9000..]);
    assert_eq!(walk(&followed).end, switched);
    log.empty_pages();
    assert_eq!(walk(&log.segment(0)).end, switched);
}

#[test]
fn a_header_may_be_split_over_two_pages() {
    for left in [8, 16] {
        for switch in [false, true] {
            let mut log = Log::new();
            log.fill_page_but(left);
            let last = if switch { log.switch() } else { log.insert(70) };
            assert_eq!(last.at % 8192, 8192 - left);
            let found = walk(&log.segment(0));
            let at = Lsn::new(up(last.end));
            let is_right = match found.end {
                WalEnd::Switched { at: end } => switch && end == at,
                WalEnd::Ends { at: end, followed_by } => !switch && end == at && followed_by == Tail::Zeros,
                _ => false,
            };
            assert!(is_right, "{left} {switch} {:?}", found.end);
            // The page that has the rest is missing.
            let mut cut = log.segment(0);
            cut[8192..].fill(0);
            let tail = if left == 16 { Tail::BrokenRecord } else { Tail::NotWal };
            assert_eq!(walk(&cut).end, ends(last.at, tail));
        }
    }
}

#[test]
fn a_segment_that_holds_only_a_continuation_is_whole() {
    let log = Log::new().continuing(3 << 20);
    for number in 0..2 {
        let start = START + SIZE * number as u64;
        let found = SegmentRecords::of(Lsn::new(start), size(), &log.segment(number));
        assert_eq!((found.end, found.first), (WalEnd::Whole, None));
        assert!(found.continued_bytes > SIZE && found.missing_bytes == found.continued_bytes - SIZE + 3088);
    }
    let mut cut = log.segment(0);
    cut[500_000 / 8192 * 8192..].fill(0);
    assert_eq!(walk(&cut).end, ends(START, Tail::BrokenRecord));
}

#[test]
fn a_page_that_does_not_continue_its_record_breaks_it() {
    let mut log = Log::new();
    log.insert(100);
    let last = log.insert(30_000);
    let good = log.segment(0);
    let whole = up(last.end);
    assert_eq!(walk(&good).end, ends(whole, Tail::Zeros));
    let broken = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        walk(&changed).end
    };
    let expected = ends(last.at, Tail::BrokenRecord);
    assert_eq!(broken(8192, &[0x98, 0xD0]), expected, "another magic");
    assert_eq!(broken(8194, &[0, 0]), expected, "no continuation");
    assert_eq!(broken(8196, &[2, 0]), expected, "an earlier timeline");
    assert_eq!(broken(8192 + 8, &[1]), expected, "another place");
    assert_eq!(broken(8192 + 16, &[1]), expected, "another length");
    assert_eq!(broken(20_000, &[1]), expected, "another content");
    assert_eq!(broken(8196, &[4, 0]), expected, "a later timeline, and the next page is of the earlier one");
}

#[test]
fn a_later_timeline_may_follow() {
    let mut log = Log::new();
    log.insert(20_000);
    log.timeline = 4;
    let last = log.insert(20_000);
    assert_eq!(walk(&log.segment(0)).end, ends(up(last.end), Tail::Zeros));
}

#[test]
fn a_record_that_the_server_gave_up_is_passed() {
    for (flag, body_bytes) in [(8, 20_000), (4, 20_000), (8, 9_000)] {
        for gap in [100, 8192 - 40 - 24 - 100 - 24 - 8] {
            let mut log = Log::new();
            log.insert(100);
            log.insert(gap.min(7_900));
            let before = log.records.clone();
            let gave_up = log.give_up_record(body_bytes, flag);
            let next = log.record(0xD0, 0, &[1; 16]);
            assert_eq!(next.at % 8192, 24);
            assert!(gave_up < next.at && next.previous == before.last().unwrap().at);
            let last = log.insert(300);
            assert_eq!(walk(&log.segment(0)).end, ends(up(last.end), Tail::Zeros));
            // The page says so, but the record there is another one.
            let mut stale = log.segment(0);
            stale[8192 + 24 + 8] ^= 8;
            assert_eq!(walk(&stale).end, ends(up(before.last().unwrap().end), Tail::BrokenRecord));
        }
    }
}

#[test]
fn stale_records_after_the_end_are_no_wal() {
    // An earlier life of the same segment, then a shorter one over it, within a page.
    let mut old = Log::new();
    for _ in 0..200 {
        let _ = old.insert(76);
    }
    let mut new = Log::new();
    new.insert(40);
    new.insert(120);
    let last = *new.records.last().unwrap();
    let mut bytes = old.segment(0);
    let length = usize::try_from(up(last.end) - START).unwrap();
    bytes[..length].copy_from_slice(&new.segment(0)[..length]);
    assert!(old.records.iter().any(|record| record.at == up(last.end)), "a stale record begins at the end");
    assert_eq!(walk(&bytes).end, ends(up(last.end), Tail::NotWal));
}

#[test]
fn a_hole_of_zeros_is_no_zero_tail() {
    let mut log = Log::new();
    log.fill_segment(100);
    let mut bytes = log.segment(0);
    bytes[81_920..90_112].fill(0);
    let at = log.whole_to(START + 81_920);
    let end = walk(&bytes).end;
    assert!(
        matches!(end, WalEnd::Ends { at: end, followed_by } if end == at && followed_by != Tail::Zeros),
        "{end:?}"
    );
}

#[test]
fn neighbours_are_checked_together() {
    let mut log = Log::new();
    log.fill_segment(1000);
    log.insert(50);
    let first = walk(&log.segment(0));
    assert_eq!(first.end, WalEnd::Whole);
    assert!(first.missing_bytes > 0);
    let after = |bytes: &[u8]| {
        let mut walk = RecordWalk::after(&first).unwrap();
        walk.take(bytes);
        walk.finish()
    };
    let next = log.segment(1);
    let last = *log.records.last().unwrap();
    assert_eq!(after(&next).end, ends(up(last.end), Tail::Zeros));
    assert_eq!(
        after(&next).first,
        Some(FirstRecord { at: Lsn::new(last.at), previous: Lsn::new(last.previous) })
    );
    let mut torn = next.clone();
    torn[44] ^= 1;
    assert_eq!(after(&torn).end, ends(START + SIZE, Tail::BrokenRecord), "the CRC of the crossing record");
    let mut other = Log::new();
    other.fill_segment(1001);
    other.insert(50);
    assert_eq!(after(&other.segment(1)).end, ends(START + SIZE, Tail::BrokenRecord), "another life");
    assert!(RecordWalk::after(&walk(&[])).is_none());
}

#[test]
fn a_switch_that_crosses_the_end_of_its_segment_is_found_from_the_one_before() {
    for left in [8, 16] {
        let mut log = Log::new();
        while log.position() < START + SIZE - 8192 {
            log.insert(100);
        }
        log.fill_page_but(left);
        let end = up(log.switch().end);
        let first = walk(&log.segment(0));
        assert_eq!((first.end, first.missing_bytes), (WalEnd::Whole, 24 - left));
        let mut walk = RecordWalk::after(&first).unwrap();
        walk.take(&log.segment(1));
        assert_eq!(walk.finish().end, WalEnd::Switched { at: Lsn::new(end) });
    }
}

#[test]
fn records_of_opengauss_are_known_by_their_crc() {
    let mut log = Log::of_opengauss().continuing(100);
    log.insert(100);
    log.insert(20_000);
    let end = up(log.switch().end);
    log.empty_pages();
    let found = walk(&log.segment(0));
    assert_eq!(found.end, WalEnd::Switched { at: Lsn::new(end) });
    assert_eq!(found.continued_bytes, 100);
    let mut log = Log { magic: 0xCAFE, ..Log::of_opengauss() };
    log.fill_segment(300);
    log.insert(50);
    let first = walk(&log.segment(0));
    assert_eq!(first.end, WalEnd::Whole);
    let mut next = RecordWalk::after(&first).unwrap();
    next.take(&log.segment(1));
    assert_eq!(next.finish().end, ends(up(log.position()), Tail::Zeros));
}

mod fuzz {
    use super::*;
    use crate::wal::fixtures::mutated;

    proptest! {
        #[test]
        fn whatever_becomes_of_a_segment_its_end_is_in_it(bytes in mutated({
            let mut log = Log::new();
            log.insert(9_000);
            let mut opengauss = Log::of_opengauss().continuing(5_000);
            opengauss.switch();
            let real = unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000001.gz"));
            vec![log.bytes, opengauss.bytes, real[..16_384].to_vec()]
        }), start in prop_oneof![Just(START), Just(0x1_0010_0000), any::<u64>()], piece in 1..9_000_usize) {
            let mut walk = RecordWalk::new(Lsn::new(start), size());
            bytes.chunks(piece).for_each(|piece| walk.take(piece));
            let found = walk.finish();
            if let Some(end) = found.end_lsn() {
                prop_assert!(start <= end.get() && end.get() - start <= SIZE);
            }
            if let Some(mut next) = RecordWalk::after(&found) {
                next.take(&bytes);
                let _ = next.finish();
            }
        }
    }
}
