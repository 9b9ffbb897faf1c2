//! Stamps: what was known of a source and its stored file when the one was last proven to be in the other.
//! They are advisory: one that is lost, torn or stale costs a comparison of contents, nothing else.
//!
//! What a stamp vouches for is answered without an fsync. It is written after the stored file and its name were
//! made durable, never before, so that whoever reads one reads it of a file that a crash cannot take back; and
//! nothing but a change of the stored file, which its stat shows, can undo that. A stamp itself is never synced: a
//! crash may lose it or leave half of it, which its checksum shows.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::Hasher;
use super::layout::{Form, sidecar_key, sidecar_line, stamp_key, stored_key};
use super::{Digest, Identity, Origin, RepositoryError};
use crate::storage::{ObjectStat, Store, read_small};
use crate::wal::WalFileName;

/// What the file system tells of a source file. Equal stamps mean an untouched file, unless it was written
/// again within the grain of its clock, which is why a source counts only once it has rested.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceStamp {
    /// Length in bytes.
    pub size: u64,
    /// Device number.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Time of last writing, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of last change of anything, in nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl SourceStamp {
    /// How long before now a source must have been written last for its stamp to vouch for its bytes.
    const RESTED: Duration = Duration::from_secs(2);

    /// Whether it was written last so long ago that another write shows in its times. Their clock is the file
    /// system's, and `now` was read before the file was: where that clock stands ahead of ours, or ours was set back,
    /// a file has not rested until ours has caught up. Where it stands behind, a write would have to fall into the
    /// very tick of the last one, after all bytes were read.
    #[must_use]
    pub fn has_rested(&self, now: SystemTime) -> bool {
        let now_ns = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i128::from(self.mtime_ns) <= now_ns.saturating_sub(Self::RESTED).as_nanos().cast_signed()
    }
}

/// What a stamp says of the stored file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct StoredStamp {
    name: String,
    size: u64,
    inode: u64,
    changed_ns: i128,
}

/// What `.walkeep/stamps/NAME.json` says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Who stored the file; absent where another tool did.
    pub(super) stored_by: Option<String>,
    machine_id: String,
    system_identifier: String,
    /// Digest of the WAL file.
    sha256: String,
    /// Absent where the source had not rested yet: the stamp then only tells who stored the file.
    source: Option<SourceStamp>,
    stored: StoredStamp,
}

impl Stamp {
    /// The stamp of a stored file; `None` where there is none that can be read.
    pub(super) fn read(store: &dyn Store, name: WalFileName) -> Option<Self> {
        let bytes = read_small(store, &stamp_key(name)).ok()??;
        Self::parse(&bytes)
    }

    /// `None` for what is no stamp, or was not written whole.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (begin, checksum) = text.rsplit_once(CHECKSUM_KEY)?;
        let is_whole = checksum.strip_suffix("\"}")? == checksum_of(begin);
        if is_whole { serde_json::from_str(&format!("{begin}}}")).ok() } else { None }
    }

    /// One JSON object, whose last key is the checksum of all that stands before it.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let text = serde_json::to_string(self).ok()?;
        let begin = text.strip_suffix('}')?;
        Some(format!("{begin}{CHECKSUM_KEY}{}\"}}", checksum_of(begin)).into_bytes())
    }

    /// Remembers that the source's bytes are in the stored file, durably - its name as well - and who stored it:
    /// this node where it is `new`, else whoever was remembered. Best effort.
    pub(super) fn write(
        store: &dyn Store,
        name: WalFileName,
        at: Stored,
        new: bool,
        source: SourceStamp,
        identity: Identity,
        origin: &Origin,
    ) {
        let key = stored_key(name, at.form);
        let Some(seen) = at.stat else { return };
        let stored = if new {
            // Its name changed what is known of it. Should another file bear that name by now, this is not its stamp.
            let named = store.stat(&key).ok().flatten();
            named.filter(|named| named.has_bytes_of(&seen))
        } else {
            // As it was before it was read: one that changed since is compared again.
            Some(seen)
        };
        let Some(stored) = stored.map(|stat| StoredStamp::of(key.as_str(), &stat)) else { return };
        let remembered = || Self::read(store, name).filter(|stamp| stamp.stored == stored)?.stored_by;
        let stamp = Self {
            stored_by: if new { Some(origin.node.clone()) } else { remembered() },
            machine_id: origin.machine_id.clone(),
            system_identifier: identity.system_identifier.to_string(),
            sha256: at.digest.to_string(),
            source: Some(source).filter(|source| source.has_rested(origin.now)),
            stored,
        };
        if let Some(bytes) = stamp.to_bytes() {
            let _ = store.write_advisory(&stamp_key(name), &bytes);
        }
    }

    /// Forgets the stamp of a file that is no longer stored under its name. Best effort.
    pub(super) fn forget(store: &dyn Store, name: WalFileName) {
        let _ = store.remove(&stamp_key(name));
    }

    /// Whether the source is the very file, untouched, whose bytes were proven to be in a stored file that is
    /// untouched as well.
    ///
    /// On a file system without inodes that stay, or with times that do not, nothing ever looks untouched, and
    /// contents are compared. The stored file is opened rather than looked at by its name: a network file system
    /// asks its server then, where it would have answered the name from its cache.
    pub(super) fn vouches(
        store: &dyn Store,
        name: WalFileName,
        source: &SourceStamp,
        identity: Identity,
        machine_id: &str,
    ) -> Result<bool, RepositoryError> {
        let Some(stamp) = Self::read(store, name) else { return Ok(false) };
        let same_source = stamp.source.as_ref() == Some(source)
            && !machine_id.is_empty()
            && stamp.machine_id == machine_id
            && stamp.system_identifier == identity.system_identifier.to_string();
        if !same_source {
            return Ok(false);
        }
        let named = Form::ALL.into_iter().find(|form| stored_key(name, *form).as_str() == stamp.stored.name);
        let Some(form) = named else { return Ok(false) };
        let key = stored_key(name, form);
        let object = store.open(&key)?;
        let untouched =
            object.is_some_and(|object| StoredStamp::of(key.as_str(), &object.stat) == stamp.stored);
        Ok(untouched && (form != Form::Plain || stamp.agrees_with_sidecar(store, name)?))
    }

    fn agrees_with_sidecar(&self, store: &dyn Store, name: WalFileName) -> Result<bool, RepositoryError> {
        let Ok(digest) = self.sha256.parse() else { return Ok(false) };
        let line = read_small(store, &sidecar_key(name))?;
        Ok(line.as_deref() == Some(sidecar_line(name, digest).as_bytes()))
    }
}

/// What the last key of a stamp is called, with all that stands before its value.
const CHECKSUM_KEY: &str = ",\"checksum\":\"";

fn checksum_of(text: &str) -> String {
    let mut hasher = Hasher::default();
    hasher.update(text.as_bytes());
    hasher.finish().to_string()
}

/// Where a WAL file's bytes were proven to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub(super) form: Form,
    pub(super) digest: Digest,
    /// The stored file: after it was written and before it was named, or before it was read.
    pub(super) stat: Option<ObjectStat>,
}

impl StoredStamp {
    fn of(name: &str, stat: &ObjectStat) -> Self {
        Self { name: name.to_owned(), size: stat.size_bytes, inode: stat.inode, changed_ns: stat.changed_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp() -> impl Strategy<Value = Stamp> {
        let source = (any::<u64>(), any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>());
        let source = source.prop_map(|(size, device, inode, mtime_ns, ctime_ns)| SourceStamp {
            size,
            device,
            inode,
            mtime_ns,
            ctime_ns,
        });
        let stored = ("\\PC{0,30}", any::<u64>(), any::<u64>(), any::<i64>());
        let stored = stored.prop_map(|(name, size, inode, changed_ns)| StoredStamp {
            name,
            size,
            inode,
            changed_ns: changed_ns.into(),
        });
        let texts = (proptest::option::of("\\PC{0,40}"), "\\PC{0,40}", "[0-9]{1,20}", "[0-9a-f]{64}");
        (texts, proptest::option::of(source), stored).prop_map(
            |((stored_by, machine_id, system_identifier, sha256), source, stored)| Stamp {
                stored_by,
                machine_id,
                system_identifier,
                sha256,
                source,
                stored,
            },
        )
    }

    proptest! {
        #[test]
        fn a_stamp_says_what_was_written(stamp in stamp()) {
            prop_assert_eq!(Stamp::parse(&stamp.to_bytes().unwrap()), Some(stamp));
        }

        #[test]
        fn a_stamp_that_is_torn_or_changed_anywhere_is_none(
            stamp in stamp(), other in stamp(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX,
        ) {
            let bytes = stamp.to_bytes().unwrap();
            let at = at.index(bytes.len());
            prop_assert_eq!(Stamp::parse(&bytes[..at]), None, "cut short");
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            prop_assert_eq!(Stamp::parse(&changed), None, "one byte is another");
            let mut zeroed = bytes.clone();
            zeroed[at..].fill(0);
            prop_assert_eq!(Stamp::parse(&zeroed), None, "its end never reached the disk");
            let other = other.to_bytes().unwrap();
            let mut mixed = bytes.clone();
            mixed.truncate(at);
            mixed.extend(other.iter().skip(at));
            prop_assert!(mixed == bytes || mixed == other || Stamp::parse(&mixed).is_none(), "half of another");
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Stamp::parse(&bytes), None);
        }
    }

    #[test]
    fn a_file_has_rested_two_seconds_after_it_was_written_by_a_clock_that_is_not_behind() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let source = SourceStamp { size: 1, device: 2, inode: 3, mtime_ns: 100_000_000_000, ctime_ns: 0 };
        let rested = [0, 1, 99, 100, 101, 102, 103, 1 << 40].map(|seconds| source.has_rested(at(seconds)));
        assert_eq!(rested, [false, false, false, false, false, true, true, true]);
        let of_the_future = SourceStamp { mtime_ns: i64::MAX, ..source };
        assert!(!of_the_future.has_rested(at(1_800_000_000)));
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_stamp_it_says_what_was_written_or_nothing(
                (written, bytes) in stamp().prop_flat_map(|stamp| {
                    let bytes = stamp.to_bytes().unwrap();
                    (Just(stamp), mutated(vec![bytes]))
                }),
            ) {
                let is_as_written = bytes == written.to_bytes().unwrap();
                prop_assert_eq!(Stamp::parse(&bytes), is_as_written.then_some(written));
            }
        }
    }
}
