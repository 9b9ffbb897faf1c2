use super::{Lsn, ParseError, SegmentSize, SystemIdentifier};

/// Length of the header that most pages carry (`SizeOfXLogShortPHD`).
pub const SHORT_HEADER_BYTES: usize = 24;

/// Length of the header that a segment's first page carries (`SizeOfXLogLongPHD`).
pub const LONG_HEADER_BYTES: usize = 40;

/// The page's header is a long one (`XLP_LONG_HEADER` in access/xlog_internal.h).
const LONG_HEADER: u16 = 0x0002;

/// Block sizes that a page may have: wider than what servers can be built with.
const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 512..=65536;

/// What every WAL page begins with (`XLogPageHeaderData`, unchanged since 9.3): read as it stands, not judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageHeader {
    /// Which server wrote the page; see [`server_of`].
    pub magic: u16,
    /// Flags.
    pub info: u16,
    /// The timeline that wrote the page; 0 in pages that nobody wrote.
    pub timeline: u32,
    /// Where the page lies in the log, or lay before its file was recycled.
    pub page_address: Lsn,
    /// How many bytes of a record from the page before still follow.
    pub remaining: u32,
}

impl PageHeader {
    /// Reads the header of a page; `None` where the bytes are too few for one.
    #[must_use]
    pub fn parse(page: &[u8]) -> Option<Self> {
        let header: &[u8; SHORT_HEADER_BYTES] = page.first_chunk()?;
        let (magic, rest) = header.split_first_chunk()?;
        let (info, rest) = rest.split_first_chunk()?;
        let (timeline, rest) = rest.split_first_chunk()?;
        let (page_address, rest) = rest.split_first_chunk()?;
        let (remaining, _padding) = rest.split_first_chunk()?;
        Some(Self {
            magic: u16::from_le_bytes(*magic),
            info: u16::from_le_bytes(*info),
            timeline: u32::from_le_bytes(*timeline),
            page_address: Lsn::new(u64::from_le_bytes(*page_address)),
            remaining: u32::from_le_bytes(*remaining),
        })
    }

    /// Whether the page says that its header is a long one, as the first page of every segment does.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.info & LONG_HEADER != 0
    }
}

/// What a segment's first page begins with (`XLogLongPageHeaderData`): which cluster the segment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongPageHeader {
    /// The part that every page has.
    pub page: PageHeader,
    /// The cluster that the segment belongs to.
    pub system_identifier: SystemIdentifier,
    /// The size of the cluster's segments.
    pub segment_size: SegmentSize,
    /// The size of a page of WAL (`XLOG_BLCKSZ`).
    pub block_bytes: u32,
}

impl LongPageHeader {
    /// Reads the header of a segment's first page. The magic is not checked: it differs between products and
    /// versions, and is not public for all of them.
    pub fn parse(page: &[u8]) -> Result<Self, ParseError> {
        let refuse = |what, found: String| ParseError::new(what, &found);
        let (page_header, long_fields) = PageHeader::parse(page)
            .zip(page.first_chunk::<LONG_HEADER_BYTES>().and_then(long_fields))
            .ok_or_else(|| {
                refuse("a segment's first page header of 40 bytes", format!("{} bytes", page.len()))
            })?;
        if !page_header.is_long() {
            let found = format!("flags {:#06X}", page_header.info);
            return Err(refuse("the flags of a segment's first page, 0x0002 among them", found));
        }
        let (system_identifier, segment_bytes, block_bytes) = long_fields;
        let segment_size = SegmentSize::new(segment_bytes.into()).ok_or_else(|| {
            refuse("a power of two from 1 MiB to 1 GiB", format!("segment size {segment_bytes}"))
        })?;
        if !(block_bytes.is_power_of_two() && BLOCK_BYTES.contains(&block_bytes)) {
            return Err(refuse("a power of two from 512 to 65536", format!("block size {block_bytes}")));
        }
        let system_identifier = SystemIdentifier::new(system_identifier);
        Ok(Self { page: page_header, system_identifier, segment_size, block_bytes })
    }
}

/// The system identifier, segment size and block size behind the short header.
fn long_fields(header: &[u8; LONG_HEADER_BYTES]) -> Option<(u64, u32, u32)> {
    let (_short, rest) = header.split_first_chunk::<SHORT_HEADER_BYTES>()?;
    let (system_identifier, rest) = rest.split_first_chunk()?;
    let (segment_bytes, rest) = rest.split_first_chunk()?;
    let block_bytes = rest.first_chunk()?;
    Some((
        u64::from_le_bytes(*system_identifier),
        u32::from_le_bytes(*segment_bytes),
        u32::from_le_bytes(*block_bytes),
    ))
}

/// `XLOG_PAGE_MAGIC` of the servers that publish it. KingbaseES does not: an unknown magic says nothing.
const SERVERS: &[(u16, &str)] = &[
    (0xD074, "openGauss"),
    (0xD075, "PostgreSQL 9.3"),
    (0xD07E, "PostgreSQL 9.4"),
    (0xD087, "PostgreSQL 9.5"),
    (0xD093, "PostgreSQL 9.6"),
    (0xD097, "PostgreSQL 10"),
    (0xD098, "PostgreSQL 11"),
    (0xD101, "PostgreSQL 12"),
    (0xD106, "PostgreSQL 13"),
    (0xD10D, "PostgreSQL 14"),
    (0xD110, "PostgreSQL 15"),
    (0xD113, "PostgreSQL 16"),
    (0xD116, "PostgreSQL 17"),
    (0xD118, "PostgreSQL 18"),
];

/// Names the server whose pages bear the magic, for people to read; nothing is decided by it.
#[must_use]
pub fn server_of(magic: u16) -> Option<&'static str> {
    SERVERS.iter().find(|(known, _)| *known == magic).map(|(_, server)| *server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::SegmentName;
    use crate::wal::fixtures::{fixture, unpack};
    use proptest::prelude::*;

    struct Sample {
        name: &'static str,
        packed: &'static [u8],
        server: &'static str,
        pages_in_place: usize,
        pages: usize,
    }

    macro_rules! segment {
        ($before:literal, $name:literal, $after:literal, $server:literal, $in_place:literal, $pages:literal) => {
            Sample {
                name: $name,
                packed: fixture!($before, $name, $after),
                server: $server,
                pages_in_place: $in_place,
                pages: $pages,
            }
        };
    }

    const SEGMENTS: &[Sample] = &[
        segment!("10/wal/", "000000010000000000000003", ".gz", "PostgreSQL 10", 2048, 2048),
        segment!("11/wal/", "000000010000000000000002", ".gz", "PostgreSQL 11", 1, 2048),
        segment!("12/wal/", "000000010000000000000003", ".gz", "PostgreSQL 12", 1, 2048),
        segment!("13/wal/", "000000010000000000000003", ".gz", "PostgreSQL 13", 1, 2048),
        segment!("14/wal/", "000000010000000000000003", ".gz", "PostgreSQL 14", 1, 2048),
        segment!("15/wal/", "000000010000000000000003", ".gz", "PostgreSQL 15", 1, 2048),
        segment!("16/wal/", "000000010000000000000003", ".gz", "PostgreSQL 16", 1, 2048),
        segment!("17/wal/", "000000010000000000000003", ".gz", "PostgreSQL 17", 1, 2048),
        segment!("18/wal/", "000000010000000000000003", ".gz", "PostgreSQL 18", 1, 2048),
        segment!("12/wal/", "00000002000000000000002E", ".forkseg.gz", "PostgreSQL 12", 24, 2048),
        segment!("15-debian/wal/", "00000002000000000000002B", ".forkseg.gz", "PostgreSQL 15", 25, 2048),
        segment!("17/wal/", "000000020000000000000034", ".forkseg.gz", "PostgreSQL 17", 24, 2048),
        segment!("18/wal/", "000000020000000000000009", ".forkseg.gz", "PostgreSQL 18", 24, 2048),
        segment!("15-debian/wal/", "000000010000000000000024", ".partial.gz", "PostgreSQL 15", 20, 2048),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFD", ".gz", "PostgreSQL 15", 128, 128),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFE", ".gz", "PostgreSQL 15", 128, 128),
        segment!("15-debian/wal/seg1MB_", "000000010000000000000FFF", ".gz", "PostgreSQL 15", 128, 128),
        segment!("15-debian/wal/seg1MB_", "000000010000000100000000", ".gz", "PostgreSQL 15", 98, 128),
        segment!("15-debian/wal/seg1MB_", "000000010000000100000001", ".gz", "PostgreSQL 15", 1, 128),
    ];

    #[test]
    fn pages_of_real_segments_lie_where_their_name_says() {
        for Sample { name, packed, server, pages_in_place, pages } in SEGMENTS {
            let bytes = unpack(packed);
            let first = LongPageHeader::parse(&bytes).unwrap();
            assert_eq!(first.segment_size.bytes(), bytes.len() as u64, "{name}");
            assert_eq!(server_of(first.page.magic), Some(*server), "{name}");
            let start = name.parse::<SegmentName>().unwrap().start(first.segment_size).unwrap();
            assert_eq!(first.page.page_address, start, "{name}");

            let block = usize::try_from(first.block_bytes).unwrap();
            let headers: Vec<_> = bytes.chunks(block).map(|page| PageHeader::parse(page).unwrap()).collect();
            let in_place = |(i, header): &(usize, &PageHeader)| {
                header.magic == first.page.magic
                    && header.page_address.get() == start.get() + (i * block) as u64
            };
            let valid: Vec<_> = headers.iter().enumerate().take_while(in_place).collect();
            assert_eq!((valid.len(), headers.len()), (*pages_in_place, *pages), "{name}");
            assert!(valid.iter().all(|(i, header)| header.is_long() == (*i == 0)), "{name}");
            assert!(valid.iter().all(|(_, header)| header.timeline == 1), "{name}");
        }
    }

    fn long_header() -> Vec<u8> {
        unpack(fixture!("18/wal/000000010000000000000003.gz"))[..LONG_HEADER_BYTES].to_vec()
    }

    fn refusal(at: usize, bytes: &[u8]) -> String {
        let mut header = long_header();
        header[at..at + bytes.len()].copy_from_slice(bytes);
        LongPageHeader::parse(&header).unwrap_err().to_string()
    }

    #[test]
    fn a_refusal_says_what_was_found() {
        assert!(LongPageHeader::parse(&[]).unwrap_err().to_string().starts_with("'0 bytes' is not"));
        assert!(
            LongPageHeader::parse(&long_header()[..39]).unwrap_err().to_string().starts_with("'39 bytes'")
        );
        assert!(refusal(2, &[5, 0]).starts_with("'flags 0x0005' is not"));
        assert!(refusal(32, &[1, 0, 0, 1]).starts_with("'segment size 16777217' is not"));
        assert!(refusal(36, &[0, 0, 0, 0]).starts_with("'block size 0' is not"));
        assert!(refusal(36, &[0, 0, 2, 0]).starts_with("'block size 131072' is not"));
    }

    #[test]
    fn an_unknown_magic_is_read() {
        let mut header = long_header();
        header[..2].copy_from_slice(&[0xFE, 0xCA]);
        let page = LongPageHeader::parse(&header).unwrap().page;
        assert_eq!((page.magic, server_of(page.magic)), (0xCAFE, None));
    }

    proptest! {
        #[test]
        fn headers_round_trip(
            magic: u16, info: u16, timeline: u32, address: u64, remaining: u32, system: u64,
            segment_bits in 20u32..=30, block_bits in 9u32..=16,
        ) {
            let info = info | LONG_HEADER;
            let page_address = Lsn::new(address);
            let segment_size = SegmentSize::new(1 << segment_bits).unwrap();
            let block_bytes = 1u32 << block_bits;
            let mut bytes = Vec::new();
            bytes.extend(magic.to_le_bytes());
            bytes.extend(info.to_le_bytes());
            bytes.extend(timeline.to_le_bytes());
            bytes.extend(address.to_le_bytes());
            bytes.extend(remaining.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(system.to_le_bytes());
            bytes.extend((1u32 << segment_bits).to_le_bytes());
            bytes.extend(block_bytes.to_le_bytes());
            let page = PageHeader { magic, info, timeline, page_address, remaining };
            let system_identifier = SystemIdentifier::new(system);
            prop_assert_eq!(PageHeader::parse(&bytes), Some(page));
            let long = LongPageHeader { page, system_identifier, segment_size, block_bytes };
            prop_assert_eq!(LongPageHeader::parse(&bytes).unwrap(), long);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(PageHeader::parse(&bytes).is_some(), bytes.len() >= SHORT_HEADER_BYTES);
            let _ = LongPageHeader::parse(&bytes);
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_first_page_its_sizes_are_such_as_a_server_has(
                bytes in mutated(vec![
                    unpack(fixture!("10/wal/000000010000000000000003.gz"))[..64].to_vec(),
                    unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000000.gz"))[..64].to_vec(),
                    unpack(fixture!("17/wal/000000010000000000000003.gz"))[..64].to_vec(),
                ]),
            ) {
                if let Ok(header) = LongPageHeader::parse(&bytes) {
                    let segment_bytes = header.segment_size.bytes();
                    prop_assert!(segment_bytes.is_power_of_two() && (1 << 20..=1 << 30).contains(&segment_bytes));
                    prop_assert!(header.block_bytes.is_power_of_two() && BLOCK_BYTES.contains(&header.block_bytes));
                    prop_assert_eq!(Some(header.page), PageHeader::parse(&bytes));
                }
            }
        }
    }
}
