use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a WAL file as the server wrote it, whatever its stored form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a few bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = io::Error;

    fn from_str(text: &str) -> Result<Self, io::Error> {
        let mut digest = [0; 32];
        let digits = text.as_bytes().chunks_exact(2);
        let well_formed = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !well_formed {
            return Err(io::Error::new(ErrorKind::InvalidData, "not a SHA-256 of 64 hexadecimal digits"));
        }
        for (byte, pair) in digest.iter_mut().zip(digits) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        Ok(Self(digest))
    }
}

/// A digest in the making.
#[derive(Default)]
pub(super) struct Hasher(Sha256);

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// How much is read, hashed and handed on at a time, in bytes: a number of whole pages, whatever their size.
const CHUNK_BYTES: usize = 256 << 10;

/// Buffers in flight: one being filled, one with the hasher, and those that wait for it.
const BUFFERS: usize = WAITING + 2;
const WAITING: usize = 2;

/// Hands all that a reader holds to `sink`, piece by piece, and returns its digest and length in bytes. Every
/// piece but the last holds whole WAL pages; a reader that holds nothing gives one empty piece. Hashing runs
/// beside the sink on a thread of its own where there is more than one piece.
///
/// # Errors
/// What the reader or the sink answered; `read_failed` turns the reader's.
pub fn for_each_hashed<E>(
    source: &mut dyn Read,
    read_failed: impl Fn(io::Error) -> E,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(Digest, u64), E> {
    let mut first = vec![0; CHUNK_BYTES];
    let filled = fill(source, &mut first).map_err(&read_failed)?;
    first.truncate(filled);
    if filled < CHUNK_BYTES {
        sink(&first)?;
        let mut hasher = Hasher::default();
        hasher.update(&first);
        return Ok((hasher.finish(), filled as u64));
    }
    thread::scope(|scope| {
        let mut beside = Beside::start(scope);
        let mut size = filled as u64;
        let mut buffers: [Arc<Vec<u8>>; BUFFERS] = Default::default();
        let mut chunk = Arc::new(first);
        for turn in (0..BUFFERS).cycle() {
            beside.hash(&chunk);
            sink(&chunk)?;
            let Some(slot) = buffers.get_mut(turn) else { break };
            std::mem::swap(slot, &mut chunk);
            if Arc::get_mut(&mut chunk).is_none() {
                chunk = Arc::default();
            }
            let Some(buffer) = Arc::get_mut(&mut chunk) else { break };
            // A new one is zeroed by the system; one that was filled before is whole.
            if buffer.len() < CHUNK_BYTES {
                *buffer = vec![0; CHUNK_BYTES];
            }
            let filled = fill(source, buffer).map_err(&read_failed)?;
            buffer.truncate(filled);
            size += filled as u64;
            if filled == 0 {
                break;
            }
        }
        Ok((beside.finish(), size))
    })
}

/// A hasher on a thread of its own.
struct Beside<'scope> {
    chunks: Option<SyncSender<Arc<Vec<u8>>>>,
    thread: Option<ScopedJoinHandle<'scope, Digest>>,
    /// Hashes here where no thread could be started.
    here: Hasher,
}

impl<'scope> Beside<'scope> {
    fn start<'env>(scope: &'scope thread::Scope<'scope, 'env>) -> Self {
        let (chunks, received) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let hash_all = move || {
            let mut hasher = Hasher::default();
            for chunk in received {
                hasher.update(&chunk);
            }
            hasher.finish()
        };
        let thread = thread::Builder::new().name("hash".into()).spawn_scoped(scope, hash_all).ok();
        let chunks = thread.is_some().then_some(chunks);
        Self { chunks, thread, here: Hasher::default() }
    }

    fn hash(&mut self, chunk: &Arc<Vec<u8>>) {
        match &self.chunks {
            // The thread receives until this sender is dropped, so sending cannot fail while it lives; should
            // it have died, joining it raises its panic.
            Some(chunks) => drop(chunks.send(chunk.clone())),
            None => self.here.update(chunk),
        }
    }

    fn finish(self) -> Digest {
        drop(self.chunks);
        match self.thread.map(ScopedJoinHandle::join) {
            Some(Ok(digest)) => digest,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => self.here.finish(),
        }
    }
}

/// Reads until the buffer is full or the reader ends; returns how much was read.
pub(super) fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_that_sha256sum_prints() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 * CHUNK_BYTES + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(size).collect();
            let mut seen = Vec::new();
            let (digest, length) = for_each_hashed(
                &mut bytes.as_slice(),
                |error| error,
                |chunk| {
                    seen.extend_from_slice(chunk);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!((seen.len(), length), (size, size as u64));
            assert!(seen == bytes);
            assert_eq!(digest, Digest(Sha256::digest(&bytes).into()));
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Hasher::default().finish().to_string(), empty);
    }

    #[test]
    fn a_sink_that_fails_ends_it() {
        let bytes = vec![7; 10 * CHUNK_BYTES];
        let failed =
            for_each_hashed(&mut bytes.as_slice(), |error| error, |_| Err(ErrorKind::StorageFull.into()));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
