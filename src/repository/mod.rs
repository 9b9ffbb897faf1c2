//! WAL files in a store: put without ever replacing, fetched only when proven. `docs/repository-format.md`
//! describes the names and bytes. Knows no cluster's files.

mod adopt;
mod calendar;
mod claims;
mod conflict;
mod digest;
mod envelope;
mod error;
mod fetch;
mod fingerprint;
mod frames;
#[cfg(test)]
mod fuzz;
mod holdings;
mod holds;
mod identity;
mod in_json;
mod inventory;
mod known_gaps;
mod layout;
mod put;
mod removal;
mod stamp;
mod texts;
mod verified;

use std::path::Path;
use std::time::SystemTime;

pub use adopt::Adopted;
pub use claims::{
    Claim, ClaimKey, ClaimedSlot, DepartedSlot, KnownCheckpoint, NodeRole, Observation, SlotDirectory,
    SlotLife,
};
pub use conflict::{Conflict, StoredCopy};
pub use digest::{Digest, for_each_hashed};
pub use envelope::{Decoded, Envelope, Packing, decode};
pub use error::RepositoryError;
pub use fetch::{Expected, Fetched, Proven, header_agrees};
pub use holdings::{Holdings, Measure};
pub use holds::{Hold, HoldName};
pub use identity::{Charter, Identity, StoredForm};
pub use inventory::Inventory;
pub use known_gaps::KnownGap;
pub use layout::{Form, parse_stored, sidecar_key, stored_key};
pub use put::{Offer, Placed, Put, Source};
pub use stamp::SourceStamp;
pub use verified::{Mark, MarkGroup, Marks};

use crate::storage::{Key, ObjectStat, Ownership, Published, RoundTrip, Store, StoreLock};
use crate::wal::{Lsn, SegmentName, Timeline, WalFileKind, WalFileName};
use identity::publish_json;
use layout::state_key;
use stamp::Stamp;

/// The program and version, as it signs what it writes.
pub const WRITER: &str = concat!("walkeep ", env!("CARGO_PKG_VERSION"));

/// Who stores, and when.
#[derive(Clone, Debug)]
pub struct Origin {
    /// What people call this node.
    pub node: String,
    /// What tells this machine from others; empty where nothing does.
    pub machine_id: String,
    /// The time.
    pub now: SystemTime,
    /// The same time, RFC 3339.
    pub now_text: String,
}

impl Origin {
    /// Longest name of a node, in bytes: it has to fit the first frame of stored form 1.
    pub const MOST_NODE_BYTES: usize = 128;
}

/// A repository: a store that `init` made one, and the cluster that it is bound to.
pub struct Repository<'s> {
    store: &'s dyn Store,
    charter: Charter,
    identity: Option<Identity>,
}

impl<'s> Repository<'s> {
    /// Opens what `init` made.
    ///
    /// # Errors
    /// When it is no repository - an unmounted mount point must not look like an empty archive - or one that
    /// cannot be read.
    pub fn open(store: &'s dyn Store) -> Result<Self, RepositoryError> {
        let charter: Charter = identity::read_json(store, &Charter::key())?
            .ok_or_else(|| RepositoryError::NotARepository { location: store.location() })?;
        if charter.format != Charter::FORMAT {
            return Err(RepositoryError::damaged_state(
                store,
                &Charter::key(),
                "its format is newer than this walkeep",
            ));
        }
        let identity = Identity::read(store)?;
        Ok(Self { store, charter, identity })
    }

    /// Whether `init` was here.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn is_one(store: &dyn Store) -> Result<bool, RepositoryError> {
        Ok(store.stat(&Charter::key())?.is_some())
    }

    /// Makes a repository of a store that is none; who loses a race opens what the winner made.
    ///
    /// # Errors
    /// When it cannot be written durably.
    pub fn create(
        store: &'s dyn Store,
        form: StoredForm,
        adopted: bool,
        origin: &Origin,
    ) -> Result<Self, RepositoryError> {
        store.prepare()?;
        let created_at = origin.now_text.clone();
        let charter =
            Charter { format: Charter::FORMAT, form, adopted, created_at, writer: WRITER.to_owned() };
        match publish_json(store, &Charter::key(), &charter)? {
            Published::New | Published::NameTaken => Self::open(store),
        }
    }

    /// Binds the repository to a cluster, or proves that it is bound to it.
    ///
    /// # Errors
    /// When it belongs to another cluster, or the binding cannot be made durable.
    pub fn bind(
        &mut self,
        identity: Identity,
        dialect: Option<&str>,
        origin: &Origin,
    ) -> Result<(), RepositoryError> {
        let bound = match self.identity {
            Some(bound) => bound,
            None => identity.bind(self.store, dialect, origin)?,
        };
        self.identity = Some(bound);
        self.refuse_other(identity)
    }

    /// Refuses what is of another cluster than the one that the repository is bound to.
    ///
    /// # Errors
    /// When it is.
    pub fn refuse_other(&self, identity: Identity) -> Result<(), RepositoryError> {
        let bound = self.identity.unwrap_or(identity);
        if bound.system_identifier != identity.system_identifier {
            return Err(RepositoryError::OtherSystem {
                repository: bound.system_identifier,
                found: identity.system_identifier,
            });
        }
        if bound.segment_size != identity.segment_size {
            return Err(RepositoryError::OtherSegmentSize {
                repository: bound.segment_size,
                found: identity.segment_size,
            });
        }
        Ok(())
    }

    /// What `init` laid down.
    #[must_use]
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// The cluster that it belongs to; `None` while nobody has archived into it.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Where it lies.
    #[must_use]
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// Whether this user may store in it, as far as that can be told without writing.
    ///
    /// # Errors
    /// When he may not, or it cannot be told.
    pub fn check_writable(&self) -> Result<(), RepositoryError> {
        Ok(self.store.check_writable()?)
    }

    /// Whether it lies on the file system of a path.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn shares_file_system_with(&self, path: &Path) -> Result<bool, RepositoryError> {
        Ok(self.store.shares_file_system_with(path)?)
    }

    /// Bytes that may still be stored.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn free_bytes(&self) -> Result<u64, RepositoryError> {
        Ok(self.store.free_bytes()?)
    }

    /// What tells it from another repository that may take its place.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn mark(&self) -> Result<Option<ObjectStat>, RepositoryError> {
        Ok(self.store.stat(&Charter::key())?)
    }

    /// Whom it belongs to; `None` for a store without owners.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn ownership(&self) -> Result<Option<Ownership>, RepositoryError> {
        Ok(self.store.ownership()?)
    }

    /// Takes bytes into staging and back, and takes them away again: nothing stays.
    ///
    /// # Errors
    /// When a step fails, or other bytes come back.
    pub fn round_trip(&self, bytes: &[u8]) -> Result<RoundTrip, RepositoryError> {
        Ok(self.store.round_trip(bytes)?)
    }

    /// Takes away what killed writers left; returns how many files.
    ///
    /// # Errors
    /// When staging cannot be listed.
    pub fn sweep(&self) -> Result<u64, RepositoryError> {
        Ok(self.store.sweep()?)
    }

    /// Makes a stored file durable in all its forms, for whoever did not store it.
    ///
    /// # Errors
    /// When it is not there, or may not be durable.
    pub fn confirm(&self, name: WalFileName) -> Result<(), RepositoryError> {
        for (form, _) in self.find(name)? {
            self.store.confirm(&stored_key(name, form))?;
        }
        Ok(())
    }

    /// Waits until nobody else settles a queue by means of this repository.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub fn lock_queue(&self) -> Result<Box<dyn StoreLock>, RepositoryError> {
        Ok(self.store.lock(&state_key("drain.lock"))?)
    }

    /// The form in which this repository keeps files of a kind.
    #[must_use]
    pub fn form_of(&self, kind: WalFileKind) -> Form {
        match (kind, self.charter.form) {
            (WalFileKind::Segment | WalFileKind::Partial, StoredForm::Zstd) => Form::Zstd,
            _ => Form::Plain,
        }
    }

    /// The forms in which a file is stored.
    ///
    /// # Errors
    /// When the store cannot tell, or something other than a file bears such a name.
    pub fn find(&self, name: WalFileName) -> Result<Vec<(Form, ObjectStat)>, RepositoryError> {
        let mut found = Vec::new();
        for form in Form::ALL {
            if let Some(stat) = self.store.stat(&stored_key(name, form))? {
                found.push((form, stat));
            }
        }
        Ok(found)
    }

    /// Every WAL file that is stored, by name; a file in two forms comes twice.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn list(&self) -> Result<Vec<(WalFileName, Form)>, RepositoryError> {
        Ok(self.inventory()?.files)
    }

    /// The name of every WAL file that is stored, sorted, each once.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn names(&self) -> Result<Vec<WalFileName>, RepositoryError> {
        let mut names: Vec<WalFileName> = self.list()?.into_iter().map(|(name, _)| name).collect();
        names.dedup();
        Ok(names)
    }

    /// The segment of every stored file that holds WAL pages, also of a `.partial` one, sorted.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn segments(&self) -> Result<Vec<SegmentName>, RepositoryError> {
        let pages = self.list()?.into_iter().filter(|(file, _)| file.is_pages());
        let mut segments: Vec<SegmentName> = pages.filter_map(|(file, _)| file.segment()).collect();
        segments.sort_unstable();
        Ok(segments)
    }

    /// A stored timeline that follows another one up to a position or further; `None` where none does, and
    /// where the position is not known.
    ///
    /// # Errors
    /// When a stored history cannot be read.
    pub fn timeline_forked_at_or_after(
        &self,
        ancestor: Timeline,
        position: Option<Lsn>,
        expected: Expected,
    ) -> Result<Option<Timeline>, RepositoryError> {
        let Some(position) = position else { return Ok(None) };
        for timeline in self.names()?.into_iter().filter_map(WalFileName::history_of) {
            let history = self.history(timeline, expected)?;
            let switch = history.and_then(|history| history.switch_from(ancestor));
            if switch.is_some_and(|switch| switch >= position) {
                return Ok(Some(timeline));
            }
        }
        Ok(None)
    }

    /// Whether any segment of a timeline is stored.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn holds_segments_of(&self, timeline: Timeline) -> Result<bool, RepositoryError> {
        Ok(self.list()?.into_iter().any(|(file, _)| file.is_pages() && file.timeline() == timeline))
    }

    /// Takes one stored file, in one of its forms, out of the way; durable, with the reason beside it.
    /// Returns where it lies now.
    ///
    /// # Errors
    /// When it is not there, or could not be moved for certain.
    pub fn set_aside(
        &self,
        name: WalFileName,
        form: Form,
        reason: &str,
        origin: &Origin,
    ) -> Result<String, RepositoryError> {
        let key = stored_key(name, form);
        let free = |turn: u32| -> Option<Key> {
            let again = if turn == 0 { String::new() } else { format!("-{turn}") };
            let at: String = origin.now_text.chars().filter(|c| *c != ':' && *c != '-').collect();
            Key::new(&format!(".walkeep/set-aside/{at}{again}-{key}"))
        };
        for target in (0..100).filter_map(free) {
            if self.store.stat(&target)?.is_some() {
                continue;
            }
            let record = serde_json::json!({
                "name": key.as_str(), "reason": reason, "set_aside_at": origin.now_text, "node": origin.node,
            });
            let beside = |ending: &str| Key::new(&format!("{target}{ending}"));
            let Some(reason_key) = beside(".reason.json") else { continue };
            self.store.replace_state(&reason_key, format!("{record}\n").as_bytes())?;
            if self.store.relocate(&key, &target)? == Published::NameTaken {
                continue;
            }
            let sidecar = sidecar_key(name);
            if form == Form::Plain
                && self.store.stat(&sidecar)?.is_some()
                && let Some(sidecar_target) = beside(".sha256")
            {
                let _ = self.store.relocate(&sidecar, &sidecar_target)?;
            }
            Stamp::forget(self.store, name);
            return Ok(self.store.locate(&target));
        }
        Err(RepositoryError::damaged_state(self.store, &state_key("set-aside"), "no name is free in it"))
    }
}
