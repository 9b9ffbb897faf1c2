use super::*;

/// Any log: its layout, block size, what it begins with, and its records by their length.
fn any_log() -> impl Strategy<Value = Log> {
    let lengths = prop_oneof![6 => 0..200_usize, 2 => 200..9_000_usize, 1 => 9_000..40_000_usize];
    let records = prop::collection::vec((lengths, 0..30_u8), 1..60);
    let begin = prop_oneof![Just(0_usize), 1..100_usize, 100..30_000_usize];
    (any::<bool>(), 9..17_u32, begin, records).prop_map(|(opengauss, block_bits, begin, records)| {
        let log = if opengauss { Log::of_opengauss() } else { Log::new() };
        let mut log = Log { block: 1 << block_bits, flags: 4 * u16::from(begin % 2 == 1), ..log };
        if begin > 0 {
            log = log.continuing(begin);
        }
        for (length, kind) in records {
            match kind {
                0 => log.fill_page_but(8),
                1 => log.fill_page_but(16),
                2 if !log.position().is_multiple_of(log.block) && log.block < 16_384 => {
                    let _ = log.give_up_record(40_000, 8);
                    let _ = log.record(0xD0, 0, &[7; 16]);
                }
                _ => {
                    let _ = log.insert(length);
                }
            }
        }
        log
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(100), ..ProptestConfig::default() })]

    #[test]
    fn the_end_of_any_log_is_found(log in any_log(), switch: bool) {
        let mut log = log;
        if switch {
            let _ = log.switch();
        }
        let last = *log.records.last().unwrap();
        prop_assume!(log.position() < START + SIZE);
        let found = walk(&log.segment(0));
        let at = Lsn::new(up(last.end));
        let expected = if switch { WalEnd::Switched { at } } else { ends(at.get(), Tail::Zeros) };
        prop_assert_eq!(found.end, expected);
        prop_assert_eq!(found.end_lsn(), Some(at));
        let first = log.records[0];
        prop_assert_eq!(found.first, Some(FirstRecord { at: Lsn::new(first.at), previous: Lsn::new(first.previous) }));
    }

    #[test]
    fn a_log_ends_at_the_last_record_that_is_whole_before_any_cut(
        log in any_log(), cut: prop::sample::Index, kind in 0..3,
    ) {
        prop_assume!(log.position() < START + SIZE);
        let cut = cut.index(log.bytes.len() + 1);
        let mut bytes = log.segment(0);
        match kind {
            0 => bytes[cut..].fill(0),
            1 => bytes[cut..].copy_from_slice(&GARBAGE[cut..]),
            // Pages of another place, as in a recycled file.
            _ => {
                let stale = log.segment(0);
                bytes[cut..].copy_from_slice(&stale[..stale.len() - cut]);
            }
        }
        let whole = log.whole_to(START + cut as u64);
        // Zeros that were zeros before are no cut: a record may end in them.
        let same = cut + bytes[cut..].iter().zip(&log.bytes[cut..]).take_while(|(a, b)| a == b).count();
        let most = log.whole_to(START + same as u64);
        match walk(&bytes).end {
            WalEnd::Ends { at, .. } => prop_assert!(whole <= at && at <= most, "{at} {whole} {most}"),
            WalEnd::Unknown => prop_assert_eq!(whole, Lsn::new(START)),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_full_segment_that_is_cut_is_never_whole(left in 59..500_000_usize, kind in 0..2, body in 30..300_usize) {
        let mut log = Log::new();
        log.fill_segment(body);
        let bytes = log.segment(0);
        prop_assert_eq!(walk(&bytes).end, WalEnd::Whole);
        // Before the record that crosses the end: that one can be checked only together with the next segment.
        let crossing = log.records.iter().rev().find(|record| record.at < START + SIZE).unwrap().at;
        let cut = usize::try_from(crossing - START).unwrap() - left;
        let mut cut_bytes = bytes;
        if kind == 0 {
            cut_bytes[cut..].fill(0);
        } else {
            cut_bytes[cut..].copy_from_slice(&GARBAGE[cut..]);
        }
        let whole = log.whole_to(START + cut as u64);
        let found = walk(&cut_bytes).end;
        prop_assert!(matches!(found, WalEnd::Ends { at, .. } if at == whole), "{:?} {}", found, whole);
    }

    #[test]
    fn pieces_of_any_size_are_the_same(log in any_log(), sizes in prop::collection::vec(1..5000_usize, 1..20)) {
        let bytes = log.segment(0);
        let mut walk_in_pieces = RecordWalk::new(Lsn::new(START), size());
        let mut rest = bytes.as_slice();
        for piece in sizes.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            walk_in_pieces.take(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let (found, whole) = (walk_in_pieces.finish(), walk(&bytes));
        prop_assert_eq!((found.end, found.first), (whole.end, whole.first));
        prop_assert_eq!(found.missing_bytes, whole.missing_bytes);
    }
}
