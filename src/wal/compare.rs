use super::{LongPageHeader, Lsn, PageHeader, SystemIdentifier};

/// What two files of one name are to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// The same bytes.
    Identical,
    /// The same WAL; only pages that hold none differ.
    SameWal,
    /// WAL of two clusters.
    Foreign {
        /// The cluster that the stored file belongs to.
        stored: SystemIdentifier,
        /// The cluster that the offered file belongs to.
        offered: SystemIdentifier,
    },
    /// The stored file's WAL ends where the offered one's goes on: it was archived too early, or cut.
    StoredIsPrefix {
        /// How far the stored file agrees.
        ends: Lsn,
    },
    /// The offered file's WAL ends where the stored one's goes on.
    OfferedIsPrefix {
        /// How far the offered file agrees.
        ends: Lsn,
    },
    /// Two histories: each file holds WAL that the other does not.
    Diverged {
        /// The start of the first page that differs.
        from: Lsn,
    },
    /// The headers do not tell: a first page is not one of this segment, or both files are cut.
    Unclear,
}

/// Compares two files of one WAL name page by page, by headers alone: records are never decoded, for their
/// format differs between products.
///
/// A page is *valid* where its address is its place in the log and its magic that of its file's first page.
/// What is not valid is no WAL: zeros behind a switch (from 11 on), pages of a recycled file, the repeated page
/// behind a fork. Up to 10 a switch leaves valid, empty pages: they count as WAL, as a server reads them.
///
/// Files *part* at the first page that differs and is valid in either file, or that one of them holds less of.
/// The *prefix* is the file that from there on has nothing of its own: its page is not valid, or holds only
/// zeros behind the bytes in common, and no later page of it is valid. Where that is true of both files, the
/// prefix is the one with fewer bytes in common, then the shorter: to keep the other one loses nothing.
/// So a switched segment and one that was cut in its zeros agree that the cut one is the prefix, while a
/// segment that was archived before its switch lacks the switch record, which is not zeros.
#[derive(Clone, Debug)]
pub struct PageComparison {
    start: Lsn,
    block_bytes: usize,
    pages: u64,
    stored_bytes: u64,
    stored: Side,
    offered: Side,
    all_identical: bool,
    parted_at: Option<Lsn>,
}

impl PageComparison {
    /// Begins at the position of the segment's first byte.
    #[must_use]
    pub const fn new(start: Lsn, block_bytes: usize) -> Self {
        let side = Side { first: None, rest: None };
        Self {
            start,
            block_bytes,
            pages: 0,
            stored_bytes: 0,
            stored: side,
            offered: side,
            all_identical: true,
            parted_at: None,
        }
    }

    /// Takes the next page of either file: short or empty where that file has ended.
    pub fn compare(&mut self, stored_page: &[u8], offered_page: &[u8]) {
        let offset = self.pages.saturating_mul(self.block_bytes as u64);
        let address = Lsn::new(self.start.get().saturating_add(offset));
        if self.pages == 0 {
            self.stored.first = first_header(stored_page, address);
            self.offered.first = first_header(offered_page, address);
        }
        self.pages += 1;
        self.stored_bytes += stored_page.len() as u64;

        let stored_valid = self.stored.is_valid(stored_page, address);
        let offered_valid = self.offered.is_valid(offered_page, address);
        let identical = stored_page == offered_page;
        self.all_identical &= identical;
        if self.parted_at.is_some() {
            self.stored.go_on(stored_valid);
            self.offered.go_on(offered_valid);
        } else if !identical && (stored_valid || offered_valid || stored_page.len() != offered_page.len()) {
            let in_common = stored_page.iter().zip(offered_page).take_while(|(a, b)| a == b).count();
            self.parted_at = Some(address);
            self.stored.part(stored_page, in_common, stored_valid);
            self.offered.part(offered_page, in_common, offered_valid);
        }
    }

    /// What the files are to each other, going by the pages that were taken.
    #[must_use]
    pub fn relation(&self) -> Relation {
        if self.all_identical {
            return Relation::Identical;
        }
        match (self.stored.first, self.offered.first) {
            (None, None) => Relation::Unclear,
            (Some(stored), Some(offered)) if stored.system_identifier != offered.system_identifier => {
                Relation::Foreign { stored: stored.system_identifier, offered: offered.system_identifier }
            }
            (Some(first), Some(_)) => match self.parted_at {
                Some(at) => self.prefix(at).unwrap_or(Relation::Diverged { from: at }),
                // Files that never parted are equally long.
                None if self.stored_bytes == first.segment_size.bytes() => Relation::SameWal,
                None => Relation::Unclear,
            },
            // A file that begins with nothing is a prefix of one that is in order; any other is not known.
            (None, Some(_)) | (Some(_), None) => {
                self.parted_at.and_then(|at| self.prefix(at)).unwrap_or(Relation::Unclear)
            }
        }
    }

    /// Which file ends where the other goes on, if one does.
    fn prefix(&self, parted_at: Lsn) -> Option<Relation> {
        let ends = |rest: Rest| Lsn::new(parted_at.get().saturating_add(rest.in_common as u64));
        // Only a file whose own first page is in order can be what the other one is a prefix of.
        let stored = self.stored.rest.filter(|_| self.offered.first.is_some());
        let offered = self.offered.rest.filter(|_| self.stored.first.is_some());
        match (stored, offered) {
            (Some(stored), Some(offered)) if offered < stored => {
                Some(Relation::OfferedIsPrefix { ends: ends(offered) })
            }
            (Some(stored), _) => Some(Relation::StoredIsPrefix { ends: ends(stored) }),
            (None, Some(offered)) => Some(Relation::OfferedIsPrefix { ends: ends(offered) }),
            (None, None) => None,
        }
    }
}

/// One of the two files.
#[derive(Clone, Copy, Debug)]
struct Side {
    /// The first page's header; `None` where the first page is not that of this segment.
    first: Option<LongPageHeader>,
    /// What the file holds where the files part, as long as nothing of its own follows.
    rest: Option<Rest>,
}

/// How much a file holds of the page where the files part. The lesser one is the prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Rest {
    /// Bytes that the page has in common with the other file's; 0 where the page is not valid.
    in_common: usize,
    /// Length of the page in the file.
    page_bytes: usize,
}

impl Side {
    /// Whether the page is WAL. Where the file's own magic is not known, its address is enough.
    fn is_valid(&self, page: &[u8], address: Lsn) -> bool {
        PageHeader::parse(page).is_some_and(|header| {
            header.page_address == address && self.first.is_none_or(|first| first.page.magic == header.magic)
        })
    }

    /// Notes whether the page where the files part has anything of its own. A page without WAL has nothing; but
    /// a file whose first page is not that of this segment must be blank, or nobody knows what it is.
    fn part(&mut self, page: &[u8], in_common: usize, valid: bool) {
        let blank = page.iter().skip(in_common).all(|byte| *byte == 0);
        let nothing_of_its_own = blank || (!valid && self.first.is_some());
        let in_common = if valid { in_common } else { 0 };
        self.rest = nothing_of_its_own.then_some(Rest { in_common, page_bytes: page.len() });
    }

    /// Notes a page behind the one where the files part.
    fn go_on(&mut self, valid: bool) {
        if valid {
            self.rest = None;
        }
    }
}

/// The header of the first page, if it is that of the segment at the address.
fn first_header(page: &[u8], address: Lsn) -> Option<LongPageHeader> {
    LongPageHeader::parse(page).ok().filter(|header| header.page.page_address == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::fixtures::{fixture, unpack};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    const BLOCK: usize = 8192;

    /// 1 MiB: 98 pages of WAL, a switch, 30 pages of zeros.
    static SWITCHED: LazyLock<Vec<u8>> =
        LazyLock::new(|| unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000000.gz")));
    /// 1 MiB: 128 pages of WAL.
    static FULL: LazyLock<Vec<u8>> =
        LazyLock::new(|| unpack(fixture!("15-debian/wal/seg1MB_000000010000000000000FFE.gz")));
    /// 16 MiB: 24 pages of WAL, then the last one again and again.
    static FORKED: LazyLock<Vec<u8>> =
        LazyLock::new(|| unpack(fixture!("12/wal/00000002000000000000002E.forkseg.gz")));
    /// 16 MiB: one page of WAL, a switch, valid pages without content.
    static SWITCHED_BY_10: LazyLock<Vec<u8>> =
        LazyLock::new(|| unpack(fixture!("10/wal/000000010000000000000003.gz")));

    fn start_of(segment: &[u8]) -> u64 {
        LongPageHeader::parse(segment).unwrap().page.page_address.get()
    }

    fn compare_at(start: u64, block: usize, stored: &[u8], offered: &[u8]) -> Relation {
        let mut comparison = PageComparison::new(Lsn::new(start), block);
        let (mut stored_pages, mut offered_pages) = (stored.chunks(block), offered.chunks(block));
        loop {
            match (stored_pages.next(), offered_pages.next()) {
                (None, None) => return comparison.relation(),
                (a, b) => comparison.compare(a.unwrap_or(&[]), b.unwrap_or(&[])),
            }
        }
    }

    /// What is said of the other file when stored and offered change places.
    fn mirrored(relation: Relation) -> Relation {
        match relation {
            Relation::Foreign { stored, offered } => Relation::Foreign { stored: offered, offered: stored },
            Relation::StoredIsPrefix { ends } => Relation::OfferedIsPrefix { ends },
            Relation::OfferedIsPrefix { ends } => Relation::StoredIsPrefix { ends },
            same => same,
        }
    }

    /// Compares a changed copy of a real segment with the segment, both ways.
    fn compare_with(segment: &[u8], changed: &[u8]) -> Relation {
        let relation = compare_at(start_of(segment), BLOCK, changed, segment);
        let turned = compare_at(start_of(segment), BLOCK, segment, changed);
        assert_eq!(turned, mirrored(relation));
        relation
    }

    fn changed(segment: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut copy = segment.to_vec();
        change(&mut copy);
        copy
    }

    #[test]
    fn the_same_bytes_are_identical_whatever_they_are() {
        for segment in [&SWITCHED, &FULL, &FORKED, &SWITCHED_BY_10] {
            assert_eq!(compare_with(segment, segment), Relation::Identical);
        }
        assert_eq!(compare_at(0, BLOCK, &[7; 100], &[7; 100]), Relation::Identical);
    }

    #[test]
    fn segments_that_differ_only_behind_their_wal_hold_the_same_wal() {
        for (segment, wal_pages) in [(&SWITCHED, 98), (&FORKED, 24)] {
            let zeroed = changed(segment, |copy| copy[wal_pages * BLOCK..].fill(0));
            let recycled = changed(segment, |copy| {
                for page in copy[wal_pages * BLOCK..].chunks_mut(BLOCK) {
                    page.copy_from_slice(&FULL[BLOCK..2 * BLOCK]);
                }
            });
            assert_eq!(compare_with(&zeroed, &recycled), Relation::SameWal);
            assert_eq!(compare_with(segment, &recycled), Relation::SameWal);
        }
    }

    #[test]
    fn another_cluster_is_foreign_whatever_else_differs() {
        let start = start_of(&SWITCHED);
        let other = changed(&SWITCHED, |copy| {
            copy[24] ^= 1;
            copy[5 * BLOCK] ^= 1;
            copy.truncate(9 * BLOCK);
        });
        let stored = LongPageHeader::parse(&other).unwrap().system_identifier;
        let offered = LongPageHeader::parse(&SWITCHED).unwrap().system_identifier;
        assert_eq!(compare_with(&SWITCHED, &other), Relation::Foreign { stored, offered });
        assert_eq!(compare_at(start + 1, BLOCK, &other, &SWITCHED), Relation::Unclear, "another place");
    }

    #[test]
    fn a_switch_that_one_file_lacks_makes_it_the_prefix() {
        for segment in [&SWITCHED, &SWITCHED_BY_10] {
            let last_page = (segment.len() / BLOCK - 1) * BLOCK;
            let wal_end = match segment.iter().rposition(|byte| *byte != 0).unwrap() {
                end if end < last_page => end,
                _ => segment[..BLOCK].iter().rposition(|byte| *byte != 0).unwrap(),
            };
            // The switch record is the last one: without its last bytes and all that follows, it is not there.
            let early = changed(segment, |copy| copy[wal_end - 3..].fill(0));
            let relation = compare_with(segment, &early);
            let Relation::StoredIsPrefix { ends } = relation else { panic!("{relation:?}") };
            assert!(ends.get() <= start_of(segment) + wal_end as u64);
            assert!(ends.get() > start_of(segment) + wal_end as u64 - 24);
        }
    }

    #[test]
    fn empty_pages_with_headers_are_wal() {
        let cut = &SWITCHED_BY_10[..100 * BLOCK];
        let ends = Lsn::new(start_of(&SWITCHED_BY_10) + 100 * BLOCK as u64);
        assert_eq!(compare_with(&SWITCHED_BY_10, cut), Relation::StoredIsPrefix { ends });
        let blanked = changed(&SWITCHED_BY_10, |copy| copy[100 * BLOCK..].fill(0));
        assert_eq!(compare_with(&SWITCHED_BY_10, &blanked), Relation::StoredIsPrefix { ends });
        let hole = changed(&SWITCHED_BY_10, |copy| copy[100 * BLOCK..101 * BLOCK].fill(0));
        assert_eq!(compare_with(&SWITCHED_BY_10, &hole), Relation::Diverged { from: ends });
    }

    #[test]
    fn a_file_of_nothing_is_a_prefix_and_one_of_anything_else_is_unclear() {
        let ends = Lsn::new(start_of(&FULL));
        assert_eq!(compare_with(&FULL, &[]), Relation::StoredIsPrefix { ends });
        assert_eq!(compare_with(&FULL, &vec![0; FULL.len()]), Relation::StoredIsPrefix { ends });
        assert_eq!(compare_with(&FULL, &vec![7; FULL.len()]), Relation::Unclear);
        assert_eq!(compare_with(&FULL, &SWITCHED), Relation::Unclear, "another segment's place");
        let headless = changed(&FULL, |copy| copy[..BLOCK].fill(0));
        assert_eq!(compare_with(&FULL, &headless), Relation::Unclear);
        assert_eq!(compare_at(0, BLOCK, &[7; 9000], &[8; 9000]), Relation::Unclear);
    }

    #[test]
    fn two_files_cut_alike_are_never_called_the_same_wal() {
        let cut = &FORKED[..30 * BLOCK];
        let other = changed(cut, |copy| copy[28 * BLOCK + 100] ^= 1);
        assert_eq!(compare_with(cut, &other), Relation::Unclear);
    }

    #[test]
    fn of_two_files_without_more_wal_the_shorter_is_the_prefix() {
        let cut = changed(&FORKED, |copy| {
            copy[25 * BLOCK + 100] ^= 1;
            copy.truncate(30 * BLOCK + 5);
        });
        let ends = Lsn::new(start_of(&FORKED) + 30 * BLOCK as u64);
        assert_eq!(compare_with(&FORKED, &cut), Relation::StoredIsPrefix { ends });
    }

    #[test]
    fn a_partial_segment_is_the_prefix_of_the_one_that_went_on() {
        let partial = unpack(fixture!("15-debian/wal/000000010000000000000024.partial.gz"));
        let wal_end = partial.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let went_on = changed(&partial, |copy| copy[wal_end.next_multiple_of(8)..][..24].fill(1));
        let ends = Lsn::new(start_of(&partial) + wal_end.next_multiple_of(8) as u64);
        assert_eq!(compare_with(&went_on, &partial), Relation::StoredIsPrefix { ends });
    }

    #[derive(Clone, Debug)]
    enum Page {
        Wal { body: u8, used: usize },
        Elsewhere(u8),
        Zeros,
        Noise(u8),
    }

    const BIG: usize = 65536;
    const START: u64 = 0x1_0030_0000;

    fn file() -> impl Strategy<Value = Vec<u8>> {
        let page = prop_oneof![
            4 => (0u8..2, 0..2usize).prop_map(|(body, used)| Page::Wal { body, used: 40 + used * 100 }),
            1 => (0u8..2).prop_map(Page::Elsewhere),
            1 => Just(Page::Zeros),
            1 => (1u8..3).prop_map(Page::Noise),
        ];
        let first = prop_oneof![9 => (1u64..3).prop_map(Some), 1 => Just(None)];
        let length = prop_oneof![2 => Just(16 * BIG), 1 => 0..=16 * BIG];
        (prop::collection::vec(page, 16), first, length).prop_map(|(pages, first, length)| {
            let mut bytes: Vec<u8> = pages.iter().enumerate().flat_map(|(i, page)| drawn(i, page)).collect();
            if let Some(system) = first {
                bytes[..40].copy_from_slice(&header(0, 0xD110, 2));
                bytes[24..32].copy_from_slice(&system.to_le_bytes());
            }
            bytes.truncate(length);
            bytes
        })
    }

    fn header(address_offset: usize, magic: u16, info: u16) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..2].copy_from_slice(&magic.to_le_bytes());
        bytes[2..4].copy_from_slice(&info.to_le_bytes());
        bytes[8..16].copy_from_slice(&(START + address_offset as u64).to_le_bytes());
        bytes[32..36].copy_from_slice(&(1u32 << 20).to_le_bytes());
        bytes[36..40].copy_from_slice(&65536u32.to_le_bytes());
        bytes
    }

    fn drawn(i: usize, page: &Page) -> Vec<u8> {
        let mut bytes = vec![0; BIG];
        match page {
            Page::Wal { body, used } => {
                bytes[24..*used].fill(*body);
                bytes[..24].copy_from_slice(&header(i * BIG, 0xD110, 0)[..24]);
            }
            Page::Elsewhere(body) => {
                bytes[24..].fill(*body);
                bytes[..24].copy_from_slice(&header(i * BIG + BIG * 16, 0xD110, 0)[..24]);
            }
            Page::Zeros => {}
            Page::Noise(byte) => bytes.fill(*byte),
        }
        bytes
    }

    /// The rule, told of whole files: which of a file's pages are WAL.
    fn wal_pages(file: &[u8]) -> Vec<Option<&[u8]>> {
        let first = LongPageHeader::parse(file).ok();
        let is_wal = |i: usize, page: &[u8]| {
            PageHeader::parse(page).is_some_and(|header| {
                header.page_address.get() == START + (i * BIG) as u64
                    && first.is_some_and(|first| first.page.magic == header.magic)
            })
        };
        let mut pages: Vec<_> =
            file.chunks(BIG).enumerate().map(|(i, page)| is_wal(i, page).then_some(page)).collect();
        pages.resize(16, None);
        pages
    }

    proptest! {
        // Each case compares several MiB, in an unoptimised build.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_said_of_any_two_files_is_true(stored in file(), offered in file()) {
            let relation = compare_at(START, BIG, &stored, &offered);
            prop_assert_eq!(compare_at(START, BIG, &offered, &stored), mirrored(relation));
            prop_assert_eq!(compare_at(START, BIG, &stored, &stored), Relation::Identical);
            prop_assert_eq!(relation == Relation::Identical, stored == offered);

            let (stored_wal, offered_wal) = (wal_pages(&stored), wal_pages(&offered));
            let whole = stored.len() == 16 * BIG && offered.len() == 16 * BIG && stored_wal[0].is_some();
            if stored != offered {
                prop_assert_eq!(relation == Relation::SameWal, whole && stored_wal == offered_wal);
            }
            if let Relation::StoredIsPrefix { ends } = relation {
                let in_common = usize::try_from(ends.get() - START).unwrap();
                let page = in_common / BIG;
                prop_assert_eq!(&stored_wal[..page], &offered_wal[..page]);
                prop_assert_eq!(&stored[page * BIG..in_common], &offered[page * BIG..in_common]);
                prop_assert!(stored_wal.iter().skip(page + 1).all(Option::is_none));
                let own = stored_wal.get(page).copied().flatten().unwrap_or_default();
                prop_assert!(own.iter().skip(in_common - page * BIG).all(|byte| *byte == 0));
            }
            if let Relation::Diverged { from } = relation {
                let page = usize::try_from(from.get() - START).unwrap() / BIG;
                prop_assert_eq!(&stored_wal[..page], &offered_wal[..page]);
                prop_assert_ne!(stored_wal[page], offered_wal[page]);
            }
        }

        #[test]
        fn any_bytes_at_any_place_are_compared(
            start: u64,
            block in 0usize..100,
            pages in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..6),
        ) {
            let mut comparison = PageComparison::new(Lsn::new(start), block);
            for (stored, offered) in &pages {
                comparison.compare(stored, offered);
            }
            let same = pages.iter().all(|(stored, offered)| stored == offered);
            prop_assert_eq!(comparison.relation() == Relation::Identical, same);
        }

        #[test]
        fn a_cut_segment_is_a_prefix_up_to_the_cut(switched: bool, length in 0usize..1 << 20) {
            let segment = if switched { &SWITCHED } else { &FULL };
            let (page, within) = (length / BLOCK, length % BLOCK);
            let has_header = within >= 24 && !(switched && page >= 98);
            let agreed = page * BLOCK + if has_header { within } else { 0 };
            let ends = Lsn::new(start_of(segment) + agreed as u64);
            prop_assert_eq!(compare_with(segment, &segment[..length]), Relation::StoredIsPrefix { ends });
        }

        #[test]
        fn a_segment_archived_before_it_was_full_is_a_prefix(length in 40usize..1 << 20) {
            let early = changed(&FULL, |copy| copy[length..].fill(0));
            let differs = early.iter().zip(FULL.iter()).position(|(a, b)| a != b);
            match (compare_with(&FULL, &early), differs) {
                (Relation::Identical, None) => {}
                (Relation::StoredIsPrefix { ends }, Some(at)) => {
                    let ends = usize::try_from(ends.get() - start_of(&FULL)).unwrap();
                    prop_assert!(ends <= at && ends / BLOCK == at / BLOCK, "{ends} {at}");
                    prop_assert!(ends == at || at % BLOCK < 24);
                }
                (other, _) => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_changed_byte_before_the_last_page_of_wal_diverges_there(at in 40usize..97 * BLOCK, bits in 1u8..) {
            let other = changed(&SWITCHED, |copy| copy[at] ^= bits);
            let from = Lsn::new(start_of(&SWITCHED) + (at / BLOCK * BLOCK) as u64);
            prop_assert_eq!(compare_with(&SWITCHED, &other), Relation::Diverged { from });
        }

        #[test]
        fn bytes_changed_behind_the_wal_change_no_wal(
            changes in prop::collection::vec((98 * BLOCK..1 << 20, 1u8..), 1..9),
        ) {
            let other = changed(&SWITCHED, |copy| changes.iter().for_each(|(at, byte)| copy[*at] = *byte));
            prop_assert_eq!(compare_with(&SWITCHED, &other), Relation::SameWal);
        }
    }
}
