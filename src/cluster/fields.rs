/// The bytes of a binary file, read field by field; every server that walkeep knows writes little-endian.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    /// The bytes at an offset; `None` where the file ends before them.
    pub fn array<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        self.0.get(offset..)?.first_chunk().copied()
    }

    pub fn u8(self, offset: usize) -> Option<u8> {
        self.array(offset).map(u8::from_le_bytes)
    }

    pub fn u16(self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    pub fn u32(self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    pub fn u64(self, offset: usize) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    pub fn i64(self, offset: usize) -> Option<i64> {
        self.array(offset).map(i64::from_le_bytes)
    }

    /// CRC-32C of a range of bytes; `None` where the file ends before it does.
    pub fn crc32c(self, range: std::ops::Range<usize>) -> Option<u32> {
        self.0.get(range).map(crc32c::crc32c)
    }
}
