//! Packed files of other tools and our own, read to their true end: they may have several frames, and a file that is cut,
//! or has anything after its last frame, is damaged. `gzip -d` only warns of the latter; nothing here ignores it.

use std::io::{self, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

use super::digest::fill;

/// The magic number of an lz4 file in the legacy form, whose blocks go on to the end of the file without an end mark.
const LZ4_LEGACY_MAGIC: [u8; 4] = 0x184C_2102_u32.to_le_bytes();

/// The content of an lz4 file, all frames of it.
///
/// `FrameDecoder` answers that nothing more comes at the end of each frame, and also where the file ends before a block:
/// only what it has read tells these apart.
pub(super) struct Lz4Frames<R: Read> {
    /// The decoder of the current frame; none after an error. Each frame has its own: one decoder takes no frame whose
    /// blocks are of another size or kind than those of the frame before.
    decoder: Option<FrameDecoder<Watched<R>>>,
    is_legacy: bool,
    /// Whether any content was read.
    has_content: bool,
    is_at_end: bool,
}

impl<R: Read> Lz4Frames<R> {
    /// Opens a file at its first frame.
    ///
    /// # Errors
    /// When its beginning cannot be read.
    pub fn new(stored: R) -> io::Result<Self> {
        let mut watched = Watched { stored, ahead: Vec::new(), ended: false, cut: false };
        let is_legacy = watched.peek(LZ4_LEGACY_MAGIC.len())? == LZ4_LEGACY_MAGIC;
        Ok(Self {
            decoder: Some(FrameDecoder::new(watched)),
            is_legacy,
            has_content: false,
            is_at_end: false,
        })
    }

    /// Begins the next frame, or notes that the file is at its true end, now that the decoder reads nothing more.
    fn end_frame(&mut self) -> io::Result<()> {
        let mut watched = self.decoder.take().ok_or_else(cut_short)?.into_inner();
        self.is_at_end = match (watched.ended, self.is_legacy) {
            // After an end mark.
            (false, false) => watched.peek(1)?.is_empty(),
            (false, true) => {
                return Err(damaged("it has an end mark, which no file in lz4's legacy form has"));
            }
            // The decoder wanted to read on: before a block, where only the legacy form may end, or within a header.
            (true, true) if !watched.cut && self.has_content => true,
            (true, _) => return Err(cut_short()),
        };
        self.decoder = Some(FrameDecoder::new(watched));
        Ok(())
    }
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Each turn takes a block or an end mark from the file.
        while !buffer.is_empty() && !self.is_at_end {
            let read = self.decoder.as_mut().ok_or_else(cut_short)?.read(buffer)?;
            if read > 0 {
                self.has_content = true;
                return Ok(read);
            }
            self.end_frame()?;
        }
        Ok(0)
    }
}

/// A file that tells how it ended, and can be looked at ahead. It fills the buffers of its reader while it can.
struct Watched<R> {
    stored: R,
    /// Bytes that were read and not yet handed on.
    ahead: Vec<u8>,
    /// Whether its reader wanted more than there was.
    ended: bool,
    /// Whether there was a part of what its reader wanted.
    cut: bool,
}

impl<R: Read> Watched<R> {
    /// The next bytes; fewer at the end of the file.
    fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let known = self.ahead.len();
        if known < length {
            self.ahead.resize(length, 0);
            let room = self.ahead.get_mut(known..).unwrap_or_default();
            let filled = fill(&mut self.stored, room)?;
            self.ahead.truncate(known + filled);
        }
        Ok(&self.ahead)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let known = self.ahead.len().min(buffer.len());
        let (first, rest) = buffer.split_at_mut(known);
        for (to, from) in first.iter_mut().zip(self.ahead.drain(..known)) {
            *to = from;
        }
        let wanted = rest.len();
        let filled = fill(&mut self.stored, rest)?;
        if filled < wanted {
            self.ended = true;
            self.cut |= known + filled > 0;
        }
        Ok(known + filled)
    }
}

/// The content of a zstd file. A decoder takes a file of skippable frames alone for one without content, so a file that
/// was cut after its first frame has to be told by its length.
pub(super) struct ZstdFrames<R: Read> {
    decoder: zstd::stream::read::Decoder<'static, io::BufReader<R>>,
    expected_bytes: Option<u64>,
    read_bytes: u64,
}

impl<R: Read> ZstdFrames<R> {
    /// Opens a file whose content is `expected_bytes` long if that is known; else it must not be empty.
    ///
    /// # Errors
    /// When no decoder can be made.
    pub fn new(stored: R, expected_bytes: Option<u64>) -> io::Result<Self> {
        Ok(Self { decoder: zstd::stream::read::Decoder::new(stored)?, expected_bytes, read_bytes: 0 })
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.read_bytes += read as u64;
        let is_right =
            self.expected_bytes.map_or(self.read_bytes > 0, |expected| self.read_bytes == expected);
        if read > 0 || buffer.is_empty() || is_right { Ok(read) } else { Err(cut_short()) }
    }
}

fn cut_short() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "it is cut short")
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::super::{Form, decode};
    use super::*;
    use crate::wal::fixtures::fixture;

    fn text() -> Vec<u8> {
        fixture!("12/wal/00000003.history").repeat(3)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        packer.include_checksum(true).unwrap();
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    /// As pzstd does: how long the next frame is, in a skippable one before it.
    fn pzstd(bytes: &[u8]) -> Vec<u8> {
        let frame = zstd(bytes);
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        [0x184D_2A50_u32.to_le_bytes().as_slice(), &4_u32.to_le_bytes(), &length, &frame].concat()
    }

    fn lz4_with(info: lz4_flex::frame::FrameInfo, bytes: &[u8]) -> Vec<u8> {
        let mut packer = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        for piece in bytes.chunks(100) {
            packer.write_all(piece).unwrap();
            packer.flush().unwrap();
        }
        packer.finish().unwrap()
    }

    /// As the lz4 program does: blocks of their own, and a checksum of the content.
    fn lz4(bytes: &[u8]) -> Vec<u8> {
        lz4_with(lz4_flex::frame::FrameInfo::new().content_checksum(true), bytes)
    }

    fn lz4_bare(bytes: &[u8]) -> Vec<u8> {
        lz4_with(lz4_flex::frame::FrameInfo::new(), bytes)
    }

    fn lz4_linked(bytes: &[u8]) -> Vec<u8> {
        let info = lz4_flex::frame::FrameInfo::new()
            .block_mode(lz4_flex::frame::BlockMode::Linked)
            .block_checksums(true)
            .content_size(Some(bytes.len() as u64));
        lz4_with(info, bytes)
    }

    fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
        let block = lz4_flex::block::compress(bytes);
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        [LZ4_LEGACY_MAGIC.as_slice(), &length, &block].concat()
    }

    type Packer = fn(&[u8]) -> Vec<u8>;

    const PACKERS: [(&str, Form, Packer); 7] = [
        ("gzip", Form::Gzip, gzip),
        ("zstd", Form::Zstd, zstd),
        ("pzstd", Form::Zstd, pzstd),
        ("lz4", Form::Lz4, lz4),
        ("lz4 without checksums", Form::Lz4, lz4_bare),
        ("lz4 of linked blocks", Form::Lz4, lz4_linked),
        ("lz4, legacy", Form::Lz4, lz4_legacy),
    ];

    fn unpacked(form: Form, stored: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut decoded = decode(form, Box::new(Cursor::new(stored.to_owned())))?;
        decoded.bytes.read_to_end(&mut bytes)?;
        assert_eq!(decoded.bytes.read(&mut [0; 9])?, 0, "the end stays the end");
        Ok(bytes)
    }

    /// The same through a reader that hands out a byte at a time.
    fn unpacked_slowly(form: Form, stored: &[u8]) -> io::Result<Vec<u8>> {
        struct Slow(Cursor<Vec<u8>>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = buffer.len().min(1);
                self.0.read(&mut buffer[..length])
            }
        }
        let mut bytes = Vec::new();
        let slow = Slow(Cursor::new(stored.to_owned()));
        decode(form, Box::new(slow))?.bytes.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn a_file_that_is_cut_at_any_byte_is_refused() {
        for (tool, form, pack) in PACKERS {
            let stored = pack(&text());
            assert_eq!(unpacked(form, &stored).unwrap(), text(), "{tool}");
            assert_eq!(unpacked_slowly(form, &stored).unwrap(), text(), "{tool}");
            for cut in 0..stored.len() {
                let read = unpacked(form, &stored[..cut]);
                assert!(
                    read.is_err(),
                    "{tool} cut at {cut} of {}: {:?} bytes",
                    stored.len(),
                    read.map(|b| b.len())
                );
                assert!(unpacked_slowly(form, &stored[..cut]).is_err(), "{tool} cut at {cut}");
            }
        }
    }

    #[test]
    fn all_frames_of_a_file_are_read() {
        // What follows the legacy form of lz4 cannot be told from another block of it.
        let packers = PACKERS.into_iter().filter(|(tool, ..)| *tool != "lz4, legacy");
        for (tool, form, pack) in packers.clone() {
            for (other, _, pack_other) in packers.clone().filter(|(_, other, _)| *other == form) {
                let text = text();
                let (first, second) = text.split_at(text.len() / 2);
                let first_frame = pack(first);
                let stored = [first_frame.clone(), pack_other(second), pack(b""), pack(first)].concat();
                let whole = [first, second, first].concat();
                assert!(unpacked(form, &stored).unwrap() == whole, "{tool}, {other}");
                assert!(unpacked_slowly(form, &stored).unwrap() == whole, "{tool}, {other}");
                let two = [first_frame.clone(), pack(second)].concat();
                for cut in 0..two.len() {
                    // A file that ends after its first frame is a whole one.
                    let read = unpacked(form, &two[..cut]).ok();
                    let expected = (cut == first_frame.len()).then(|| first.to_vec());
                    // A cut after the skippable frame is one as well.
                    let at_data = tool == "pzstd" && cut == first_frame.len() + 12;
                    assert!(at_data || read == expected, "{tool} cut at {cut} of {}", two.len());
                }
            }
        }
    }

    #[test]
    fn what_follows_the_last_frame_is_damage() {
        for (tool, form, pack) in PACKERS {
            for after in [
                b"\0".as_slice(),
                b"x",
                b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                b"\0\0\0\0",
                b"\x04\x22\x4D\x18",
                b"\x1F\x8B",
                b"garbage after it",
            ] {
                let stored = [pack(&text()), after.to_vec()].concat();
                assert!(unpacked(form, &stored).is_err(), "{tool} with {after:?} after it");
                assert!(unpacked_slowly(form, &stored).is_err(), "{tool} with {after:?} after it");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_found_by_the_checksum_of_the_content() {
        for (tool, form, pack) in
            PACKERS.into_iter().filter(|(tool, ..)| ["gzip", "zstd", "lz4"].contains(tool))
        {
            let stored = pack(&text());
            for at in 0..stored.len() {
                let mut changed = stored.clone();
                changed[at] ^= 0x10;
                let read = unpacked(form, &changed);
                assert!(read.is_err() || read.is_ok_and(|read| read == text()), "{tool} changed at {at}");
            }
        }
    }
}
