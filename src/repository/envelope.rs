//! Stored form 1: a zstd skippable frame of fixed size that says what follows, then one ordinary zstd frame.
//! `zstd -d` restores the file: stock tools skip the first frame. `docs/repository-format.md` has the bytes.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use serde::{Deserialize, Serialize};
use zstd::zstd_safe::CParameter;

use super::Form;
use super::digest::{Digest, Hasher, fill, for_each_hashed};
use super::frames::{Lz4Frames, ZstdFrames};
use crate::storage::StagedObject;

/// The whole first frame, in bytes.
const FRAME_BYTES: usize = 1024;
/// Magic number and length before the payload, in bytes.
const PREFIX_BYTES: usize = 8;
/// The first of zstd's sixteen skippable magic numbers (RFC 8878, 3.1.2).
const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
const PAYLOAD_BYTES: [u8; 4] = 1016_u32.to_le_bytes();

/// What the first frame of stored form 1 says of the file behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// Number of the stored form: 1.
    pub format: u32,
    /// Name of the WAL file.
    pub name: String,
    /// SHA-256 of the WAL file, in hexadecimal digits.
    pub sha256: String,
    /// Length of the WAL file, in bytes.
    pub size: u64,
    /// The cluster's system identifier, in decimal digits.
    pub system_identifier: String,
    /// The source file's device number when it was read.
    pub device: u64,
    /// The source file's inode when it was read.
    pub inode: u64,
    /// The source file's time of last writing, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The source file's time of last change, in nanoseconds since 1970.
    pub ctime_ns: i64,
    /// The node that stored it.
    pub node: String,
    /// The program and version that stored it.
    pub writer: String,
}

impl Envelope {
    /// The stored form's number that this program writes and reads.
    pub const FORMAT: u32 = 1;

    /// The frame; `None` where the fields do not fit, which names within their limits always do.
    fn frame(&self) -> Option<[u8; FRAME_BYTES]> {
        let payload = serde_json::to_vec(self).ok()?;
        let mut frame = [b' '; FRAME_BYTES];
        frame.get_mut(..4)?.copy_from_slice(&SKIPPABLE_MAGIC);
        frame.get_mut(4..PREFIX_BYTES)?.copy_from_slice(&PAYLOAD_BYTES);
        frame.get_mut(PREFIX_BYTES..PREFIX_BYTES + payload.len())?.copy_from_slice(&payload);
        Some(frame)
    }

    /// Reads the first frame; `None` where the bytes begin otherwise, as other tools' files do.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let rest = bytes.strip_prefix(&SKIPPABLE_MAGIC).and_then(|rest| rest.strip_prefix(&PAYLOAD_BYTES));
        let Some(payload) = rest else { return Ok(None) };
        let parsed: Self = serde_json::from_slice(payload)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, "its first frame is damaged"))?;
        if parsed.format == Self::FORMAT {
            return Ok(Some(parsed));
        }
        let text = format!("its stored form {} is newer than this walkeep", parsed.format);
        Err(io::Error::new(ErrorKind::InvalidData, text))
    }
}

/// What went wrong between a source and a staged object, and on which side.
#[derive(Debug)]
pub(super) enum CopyError {
    /// The source could not be read, or was not as long as it was said to be.
    Source(io::Error),
    /// The staged object could not be written.
    Staged(io::Error),
}

/// How much of a file is read, handed to the packing threads and hashed at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Who packs a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Threads of their own, for a single file. Reading and hashing keep one core busy; a second one for packing
    /// hides them. More would take cores from the server.
    Threads,
    /// The thread that reads and hashes, where several files are stored at once.
    Inline,
}

/// Threads that pack a single file.
const WORKERS: u32 = 2;

/// How much a thread packs at a time, in bytes: small enough that the threads begin and end together.
const JOB_BYTES: u32 = 768 << 10;

/// A packer of `size_bytes` into one frame, with content size and checksum.
fn encoder<W: Write>(
    to: W,
    level: i32,
    size_bytes: u64,
    packing: Packing,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(to, level)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(size_bytes))?;
    if packing == Packing::Threads {
        encoder.multithread(WORKERS)?;
        encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
    }
    Ok(encoder)
}

/// Writes a file of `size_bytes` into stored form 1, and returns the envelope with its digest.
pub(super) fn pack(
    source: &mut dyn Read,
    level: i32,
    packing: Packing,
    envelope: Envelope,
    staged: &mut dyn StagedObject,
) -> Result<Envelope, CopyError> {
    staged.write_all(&[b' '; FRAME_BYTES]).map_err(CopyError::Staged)?;
    let mut encoder = encoder(&mut *staged, level, envelope.size, packing).map_err(CopyError::Staged)?;
    let mut hasher = Hasher::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut size = 0;
    loop {
        let filled = fill(source, &mut chunk).map_err(CopyError::Source)?;
        let bytes = chunk.get(..filled).unwrap_or_default();
        size += filled as u64;
        if filled == 0 || size > envelope.size {
            break;
        }
        encoder.write_all(bytes).map_err(CopyError::Staged)?;
        hasher.update(bytes);
    }
    if size != envelope.size {
        return Err(CopyError::Source(length_changed()));
    }
    encoder.finish().map_err(CopyError::Staged)?;
    let envelope = Envelope { sha256: hasher.finish().to_string(), ..envelope };
    let too_long = || io::Error::new(ErrorKind::InvalidInput, "the node's name does not fit the first frame");
    let frame = envelope.frame().ok_or_else(|| CopyError::Staged(too_long()))?;
    staged.write_at(0, &frame).map_err(|error| CopyError::Staged(io::Error::other(error)))?;
    Ok(envelope)
}

/// Writes a file of `size_bytes` as it is, and returns its digest.
pub(super) fn copy(
    source: &mut dyn Read,
    size_bytes: u64,
    staged: &mut dyn StagedObject,
) -> Result<Digest, CopyError> {
    let (digest, size) = for_each_hashed(source, CopyError::Source, |chunk| {
        staged.write_all(chunk).map_err(CopyError::Staged)
    })?;
    if size == size_bytes { Ok(digest) } else { Err(CopyError::Source(length_changed())) }
}

fn length_changed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its length changed while it was read")
}

/// A stored file, opened: what it says of itself, and the WAL file's own bytes.
pub struct Decoded<'r> {
    /// The envelope, where the file is in stored form 1.
    pub envelope: Option<Envelope>,
    /// The WAL file's bytes: those of all frames. They end in an error if the stored file is cut short or damaged, or has
    /// anything after its last frame; of a plain file neither can be seen.
    pub bytes: Box<dyn Read + Send + 'r>,
}

/// Opens a stored file whatever its form.
///
/// # Errors
/// When its beginning cannot be read, or is damaged.
pub fn decode<'r>(form: Form, mut stored: Box<dyn Read + Send + 'r>) -> io::Result<Decoded<'r>> {
    let bytes: Box<dyn Read + Send + 'r> = match form {
        Form::Plain => stored,
        Form::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stored)),
        Form::Lz4 => Box::new(Lz4Frames::new(stored)?),
        Form::Zstd => {
            let mut first = vec![0; FRAME_BYTES];
            let filled = fill(&mut *stored, &mut first)?;
            first.truncate(filled);
            let envelope = Envelope::parse(&first)?;
            let whole = Cursor::new(first).chain(stored);
            let size = envelope.as_ref().map(|envelope| envelope.size);
            return Ok(Decoded { envelope, bytes: Box::new(ZstdFrames::new(whole, size)?) });
        }
    };
    Ok(Decoded { envelope: None, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Key, MemoryStore, Store};
    use proptest::prelude::*;

    fn envelope(size: u64) -> Envelope {
        Envelope {
            format: Envelope::FORMAT,
            name: "000000010000000000000003".into(),
            sha256: String::new(),
            size,
            system_identifier: u64::MAX.to_string(),
            device: u64::MAX,
            inode: u64::MAX,
            mtime_ns: i64::MIN,
            ctime_ns: i64::MIN,
            node: "n".repeat(128),
            writer: "walkeep 100.100.100".into(),
        }
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let store = MemoryStore::default();
        let mut staged = store.stage("x").unwrap();
        pack(&mut &*bytes, 1, Packing::Inline, envelope(bytes.len() as u64), &mut *staged).unwrap();
        let key = Key::new("x").unwrap();
        let _ = staged.publish(&key).unwrap();
        let mut stored = Vec::new();
        store.open(&key).unwrap().unwrap().bytes.read_to_end(&mut stored).unwrap();
        stored
    }

    fn unpacked(stored: &[u8]) -> io::Result<(Option<Envelope>, Vec<u8>)> {
        let mut decoded = decode(Form::Zstd, Box::new(Cursor::new(stored.to_owned())))?;
        let mut bytes = Vec::new();
        decoded.bytes.read_to_end(&mut bytes)?;
        Ok((decoded.envelope, bytes))
    }

    #[test]
    fn a_source_that_grows_or_shrinks_is_told() {
        for pledged in [99, 101] {
            let store = MemoryStore::default();
            let mut staged = store.stage("x").unwrap();
            let failed = pack(&mut [0; 100].as_slice(), 1, Packing::Threads, envelope(pledged), &mut *staged);
            assert!(matches!(failed, Err(CopyError::Source(_))));
        }
    }

    #[test]
    fn a_frame_of_another_form_is_refused() {
        let mut stored = packed(b"segment");
        let at = stored.windows(11).position(|w| w == b"\"format\":1,").unwrap() + 9;
        stored[at] = b'2';
        assert!(unpacked(&stored).unwrap_err().to_string().contains("stored form 2"));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let stored = packed(&bytes);
            let (envelope, unpacked) = unpacked(&stored).unwrap();
            prop_assert_eq!(&unpacked, &bytes);
            prop_assert_eq!(envelope.unwrap().size, bytes.len() as u64);
            prop_assert_eq!(zstd::stream::decode_all(stored.as_slice()).unwrap(), bytes);
        }

        #[test]
        fn a_file_cut_short_never_reads_as_whole(bytes in proptest::collection::vec(any::<u8>(), 1..3000), cut: prop::sample::Index) {
            let stored = packed(&bytes);
            let cut = cut.index(stored.len());
            let whole = unpacked(&stored[..cut]).map(|(_, unpacked)| unpacked == bytes).unwrap_or(false);
            prop_assert!(!whole);
        }

        #[test]
        fn no_bytes_panic(form in prop::sample::select(Form::ALL.to_vec()), bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut sink = Vec::new();
            if let Ok(mut decoded) = decode(form, Box::new(Cursor::new(bytes))) {
                let _ = decoded.bytes.by_ref().take(1 << 20).read_to_end(&mut sink);
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::{fixture, mutated};

        fn gzip(bytes: &[u8]) -> Vec<u8> {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }

        fn lz4(bytes: &[u8]) -> Vec<u8> {
            let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }

        proptest! {
            #[test]
            fn whatever_becomes_of_a_stored_file_it_is_refused_or_its_frame_is_checked(
                form in prop::sample::select(Form::ALL.to_vec()),
                bytes in mutated({
                    let text = fixture!("12/wal/00000003.history").repeat(9);
                    vec![packed(&text), zstd::encode_all(text.as_slice(), 3).unwrap(), lz4(&text), gzip(&text), text]
                }),
            ) {
                if let Ok(mut decoded) = decode(form, Box::new(Cursor::new(bytes.clone()))) {
                    if let Some(envelope) = &decoded.envelope {
                        prop_assert_eq!(envelope.format, Envelope::FORMAT);
                    }
                    let mut sink = Vec::new();
                    let read = decoded.bytes.by_ref().take(1 << 20).read_to_end(&mut sink);
                    prop_assert!(form != Form::Plain || (read.is_ok() && sink == bytes));
                }
            }
        }
    }
}
