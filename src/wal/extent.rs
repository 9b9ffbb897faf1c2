use super::{LongPageHeader, Lsn, PageHeader};

/// How far a segment's WAL goes, by page headers alone: records are never decoded.
///
/// A page is *valid* where its address is its place in the log and its magic that of the first page. What
/// follows the last valid page is no WAL: zeros behind a switch, or pages of a recycled file. Up to 10 a switch
/// leaves valid, empty pages behind: they count, as a server reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageExtent {
    first: LongPageHeader,
    pages: u64,
    in_a_row: u64,
    later: u64,
}

impl PageExtent {
    /// Begins with the header of the first page, which is still to be taken.
    #[must_use]
    pub const fn new(first: LongPageHeader) -> Self {
        Self { first, pages: 0, in_a_row: 0, later: 0 }
    }

    /// Takes the next pages; only the last piece of a file may end within a page.
    pub fn take(&mut self, pages: &[u8]) {
        let block_bytes = usize::try_from(self.first.block_bytes).unwrap_or(usize::MAX).max(1);
        for page in pages.chunks(block_bytes) {
            let whole = page.len() == block_bytes;
            let valid = whole && PageHeader::parse(page).is_some_and(|header| self.fits(&header));
            match valid {
                true if self.in_a_row == self.pages => self.in_a_row += 1,
                true => self.later += 1,
                false => {}
            }
            self.pages += 1;
        }
    }

    fn fits(&self, header: &PageHeader) -> bool {
        header.magic == self.first.page.magic && header.page_address == self.address(self.pages)
    }

    fn address(&self, page: u64) -> Lsn {
        let offset = page.saturating_mul(self.first.block_bytes.into());
        Lsn::new(self.first.page.page_address.get().saturating_add(offset))
    }

    /// The header of the first page.
    #[must_use]
    pub const fn first(&self) -> &LongPageHeader {
        &self.first
    }

    /// How many pages the file has, a last one that is cut included.
    #[must_use]
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// How many pages from the first one on are valid.
    #[must_use]
    pub const fn valid_pages(&self) -> u64 {
        self.in_a_row
    }

    /// How many valid pages lie behind one that is not: none in a file that is sound.
    #[must_use]
    pub const fn pages_behind_a_hole(&self) -> u64 {
        self.later
    }

    /// The end of the last page of those that are valid from the first one on.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.address(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::fixtures::{fixture, unpack};
    use proptest::prelude::*;

    fn extent(bytes: &[u8], piece_bytes: usize) -> PageExtent {
        let mut extent = PageExtent::new(LongPageHeader::parse(bytes).unwrap());
        bytes.chunks(piece_bytes).for_each(|piece| extent.take(piece));
        extent
    }

    #[test]
    fn pages_of_real_segments_end_where_the_server_stopped_writing() {
        for (packed, valid, end) in [
            (fixture!("10/wal/000000010000000000000003.gz"), 2048, "0/4000000"),
            (fixture!("12/wal/000000010000000000000003.gz"), 1, "0/3002000"),
            (fixture!("12/wal/00000002000000000000002E.forkseg.gz"), 24, "0/2E030000"),
        ] {
            let bytes = unpack(packed);
            let extent = extent(&bytes, 256 << 10);
            assert_eq!((extent.pages(), extent.valid_pages()), (2048, valid));
            assert_eq!((extent.end().to_string().as_str(), extent.pages_behind_a_hole()), (end, 0));
        }
    }

    #[test]
    fn a_hole_and_a_cut_page_are_told() {
        let mut bytes = unpack(fixture!("10/wal/000000010000000000000003.gz"));
        bytes[5 * 8192] ^= 1;
        bytes.truncate(10 * 8192 - 1);
        let extent = extent(&bytes, 8192);
        assert_eq!((extent.pages(), extent.valid_pages(), extent.pages_behind_a_hole()), (10, 5, 3));
        assert_eq!(extent.end().to_string(), "0/300A000");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(address: u64, block_bits in 9u32..=16, bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut first = [0; 40];
            first[2] = 2;
            first[32..36].copy_from_slice(&(16_u32 << 20).to_le_bytes());
            first[8..16].copy_from_slice(&address.to_le_bytes());
            first[36..40].copy_from_slice(&(1_u32 << block_bits).to_le_bytes());
            let mut extent = PageExtent::new(LongPageHeader::parse(&first).unwrap());
            extent.take(&bytes);
            prop_assert!(extent.valid_pages() + extent.pages_behind_a_hole() <= extent.pages());
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_segment_no_more_pages_are_valid_than_there_are(
                bytes in mutated(vec![
                    unpack(fixture!("10/wal/000000010000000000000003.gz"))[..5 * 8192].to_vec(),
                    unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000000.gz"))[..3 * 8192].to_vec(),
                ]),
            ) {
                if let Ok(first) = LongPageHeader::parse(&bytes) {
                    let mut extent = PageExtent::new(first);
                    extent.take(&bytes);
                    prop_assert!(extent.valid_pages() + extent.pages_behind_a_hole() <= extent.pages());
                    prop_assert!(extent.pages() <= bytes.len() as u64 / 512 + 1);
                    prop_assert!(extent.end() >= first.page.page_address);
                }
            }
        }
    }
}
