//! Putting a file: stage, write, fsync, look at the source again, publish without replacing, fsync the folder.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime};

use super::conflict::{Conflict, StoredCopy};
use super::digest::{Digest, Hasher, fill};
use super::envelope::{CopyError, Packing, copy, decode, pack};
use super::layout::{Form, sidecar_key, sidecar_line, state_key, stored_key};
use super::stamp::{SourceStamp, Stamp, Stored};
use super::{Envelope, Identity, Origin, Repository, RepositoryError, WRITER};
use crate::storage::{ObjectStat, OpenObject, Published, StagedObject, StoreLock, read_small};
use crate::wal::{LONG_HEADER_BYTES, LongPageHeader, PageComparison, Relation, WalFileName};

/// A file to be stored.
pub trait Source: Read + Seek {
    /// What was known of it when it was opened.
    fn stamp(&self) -> SourceStamp;

    /// Whether its path still names it, untouched: a server may have recycled it under our hands.
    ///
    /// # Errors
    /// When that cannot be told.
    fn is_unchanged(&self) -> io::Result<bool>;
}

/// A file that is offered to a repository.
pub struct Offer<'a> {
    /// Its name.
    pub name: WalFileName,
    /// Its bytes.
    pub source: &'a mut dyn Source,
    /// The cluster that it comes from; the repository is bound to it.
    pub identity: Identity,
    /// Compression level of stored form 1, 1 to 19.
    pub level: i32,
    /// Who packs it.
    pub packing: Packing,
    /// How the time of a stored file is written in messages.
    pub show_time: &'a dyn Fn(SystemTime) -> String,
}

/// A file whose bytes are in the repository, durably, under a name that may not be durable yet.
#[must_use = "it is not stored before it is settled"]
pub struct Placed {
    name: WalFileName,
    /// What had to be done.
    put: Put,
    stored: Stored,
    source: SourceStamp,
    identity: Identity,
}

impl Placed {
    const fn is_new(&self) -> bool {
        matches!(self.put, Put::Stored { .. })
    }
}

/// What came of an offer. Each of them means: durable in the repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// It was stored now.
    Stored {
        /// The WAL file's digest.
        digest: Digest,
    },
    /// The same bytes were there already.
    AlreadyStored,
    /// All its WAL was there already: the rest is garbage, or the stored file goes on where this one ends.
    SameWalStored,
}

impl Repository<'_> {
    /// Whether the source is one whose bytes were proven to be stored, durably, and nothing was touched since: no
    /// content is read, and nothing synced. What makes that safe, `stamp` says.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub fn recognises(
        &self,
        name: WalFileName,
        source: &SourceStamp,
        machine_id: &str,
    ) -> Result<bool, RepositoryError> {
        let Some(identity) = self.identity else { return Ok(false) };
        Stamp::vouches(self.store, name, source, identity, machine_id)
    }

    /// Whether somebody is storing a file of this name at the moment: it is being written, or has its name and is not
    /// settled yet. A hint, from which nothing but waiting or turning to other files may follow: who was killed or stands
    /// still is taken for busy for a second, and what cannot be told is nobody.
    #[must_use]
    pub fn is_in_hand(&self, name: WalFileName) -> bool {
        const BUSY: Duration = Duration::from_secs(1);
        let staged = self.store.staged(&name.to_string()).ok().flatten();
        let is_new = || {
            let found = self.find(name).unwrap_or_default();
            found.iter().any(|(_, stat)| stat.changed_within(BUSY)) && Stamp::read(self.store, name).is_none()
        };
        staged.is_some_and(|stat| stat.changed_within(BUSY)) || is_new()
    }

    /// Stores a file, durably, unless its bytes are there already.
    ///
    /// # Errors
    /// When it is not durable in the repository, or other content bears its name.
    pub fn put(&self, offer: Offer<'_>, origin: &Origin) -> Result<Put, RepositoryError> {
        let placed = self.place(offer, origin)?;
        let put = placed.put;
        self.settle(vec![placed], origin)?;
        Ok(put)
    }

    /// Stores a file under its name, unless its bytes are there already; a crash may still take that name back. So
    /// [`Repository::settle`] can make many names durable at once.
    ///
    /// # Errors
    /// As [`Repository::put`].
    pub fn place(&self, mut offer: Offer<'_>, origin: &Origin) -> Result<Placed, RepositoryError> {
        let source = offer.source.stamp();
        let found = self.find(offer.name)?;
        let (put, stored) = if found.is_empty() {
            self.store_new(&mut offer, origin)?
        } else {
            self.compare_with(&found, &mut offer)?
        };
        Ok(Placed { name: offer.name, put, stored, source, identity: offer.identity })
    }

    /// Makes the names of placed files durable, and remembers in stamps that they are.
    ///
    /// # Errors
    /// When they may not be durable: none of these files may be acknowledged.
    pub fn settle(&self, placed: Vec<Placed>, origin: &Origin) -> Result<(), RepositoryError> {
        // All lie in one folder; what was found there is durable already.
        if let Some(new) = placed.iter().find(|placed| placed.is_new()) {
            self.store.settle(&stored_key(new.name, new.stored.form))?;
        }
        for placed in placed {
            let new = placed.is_new();
            let Placed { name, stored, source, identity, .. } = placed;
            Stamp::write(self.store, name, stored, new, source, identity, origin);
        }
        Ok(())
    }

    fn store_new(&self, offer: &mut Offer<'_>, origin: &Origin) -> Result<(Put, Stored), RepositoryError> {
        let form = self.form_of(offer.name.kind());
        let key = stored_key(offer.name, form);
        let mut staged = self.store.stage(&offer.name.to_string())?;
        let digest = self.write_staged(offer, form, origin, &mut *staged)?;
        staged.sync()?;
        let stat = staged.stat();
        let sidecar = if form == Form::Plain { Some(self.stage_sidecar(offer.name, digest)?) } else { None };
        if !offer.source.is_unchanged().map_err(RepositoryError::Source)? {
            return Err(RepositoryError::SourceTakenAway);
        }
        let lock = self.lock_names()?;
        // Another form of the same name may have come meanwhile: it is the same file.
        let mut found = self.find(offer.name)?;
        if found.is_empty() {
            if staged.publish(&key)? == Published::New {
                if let Some(sidecar) = sidecar {
                    self.publish_sidecar(sidecar, offer.name, digest)?;
                }
                return Ok((Put::Stored { digest }, Stored { form, digest, stat }));
            }
            found = self.find(offer.name)?;
        }
        drop(lock);
        self.compare_with(&found, offer)
    }

    /// Where files of other tools may lie, a name can be there in several forms: looking and linking must not
    /// be torn apart.
    fn lock_names(&self) -> Result<Option<Box<dyn StoreLock>>, RepositoryError> {
        let lock = || self.store.lock(&state_key("publish.lock"));
        Ok(self.charter.adopted.then(lock).transpose()?)
    }

    fn write_staged(
        &self,
        offer: &mut Offer<'_>,
        form: Form,
        origin: &Origin,
        staged: &mut dyn StagedObject,
    ) -> Result<Digest, RepositoryError> {
        let SourceStamp { size, device, inode, mtime_ns, ctime_ns } = offer.source.stamp();
        let copied = match form {
            Form::Zstd => {
                let envelope = Envelope {
                    format: Envelope::FORMAT,
                    name: offer.name.to_string(),
                    sha256: String::new(),
                    size,
                    system_identifier: offer.identity.system_identifier.to_string(),
                    device,
                    inode,
                    mtime_ns,
                    ctime_ns,
                    node: origin.node.clone(),
                    writer: WRITER.to_owned(),
                };
                pack(offer.source, offer.level, offer.packing, envelope, staged)
                    .and_then(|envelope| envelope.sha256.parse().map_err(CopyError::Staged))
            }
            Form::Plain | Form::Gzip | Form::Lz4 => copy(offer.source, size, staged),
        };
        copied.map_err(|error| match error {
            CopyError::Source(error) => RepositoryError::Source(error),
            CopyError::Staged(error) => {
                RepositoryError::writing(self.store, &stored_key(offer.name, form), error)
            }
        })
    }

    fn stage_sidecar(
        &self,
        name: WalFileName,
        digest: Digest,
    ) -> Result<Box<dyn StagedObject>, RepositoryError> {
        let key = sidecar_key(name);
        let mut staged = self.store.stage(key.as_str())?;
        let written = staged.write_all(sidecar_line(name, digest).as_bytes());
        written.map_err(|error| RepositoryError::writing(self.store, &key, error))?;
        staged.sync()?;
        Ok(staged)
    }

    /// Puts the digest beside a plain file that was just published. An older digest under that name belongs to
    /// no file, or to another; it decides nothing and gives way.
    fn publish_sidecar(
        &self,
        staged: Box<dyn StagedObject>,
        name: WalFileName,
        digest: Digest,
    ) -> Result<(), RepositoryError> {
        let key = sidecar_key(name);
        match staged.publish(&key)? {
            Published::New => Ok(()),
            Published::NameTaken => self.complete_sidecar(name, digest),
        }
    }

    /// Makes sure that the digest beside a plain file is this one, durably.
    pub(super) fn complete_sidecar(&self, name: WalFileName, digest: Digest) -> Result<(), RepositoryError> {
        let key = sidecar_key(name);
        let line = sidecar_line(name, digest);
        if read_small(self.store, &key)?.as_deref() == Some(line.as_bytes()) {
            self.store.confirm(&key)?;
        } else {
            self.store.replace_state(&key, line.as_bytes())?;
        }
        Ok(())
    }

    /// The name is there: success where every stored form holds the same, a conflict otherwise. What is there
    /// is made durable before it is read, so that what was compared is what the disk has.
    fn compare_with(
        &self,
        found: &[(Form, ObjectStat)],
        offer: &mut Offer<'_>,
    ) -> Result<(Put, Stored), RepositoryError> {
        let mut outcome = None;
        for (form, stat) in found {
            let OpenObject { bytes, stat: opened } = self.store.confirm(&stored_key(offer.name, *form))?;
            let (put, digest) = self.judge(*form, stat, bytes, offer)?;
            if *form == Form::Plain {
                self.complete_sidecar(offer.name, digest)?;
            }
            outcome = Some((put, Stored { form: *form, digest, stat: Some(opened) }));
        }
        // A stored file that went away between looking and comparing: somebody set it aside or pruned it.
        outcome.ok_or(RepositoryError::SourceTakenAway)
    }

    /// What would come of an offer, without a thing being written; `None` where nothing bears the name.
    ///
    /// # Errors
    /// When either file cannot be read, or other content bears the name.
    pub fn compare(&self, mut offer: Offer<'_>) -> Result<Option<Put>, RepositoryError> {
        let mut outcome = None;
        for (form, stat) in self.find(offer.name)? {
            if let Some(object) = self.store.open(&stored_key(offer.name, form))? {
                outcome = Some(self.judge(form, &stat, object.bytes, &mut offer)?.0);
            }
        }
        Ok(outcome)
    }

    /// Holds one stored form of the name against the offer.
    fn judge(
        &self,
        form: Form,
        stat: &ObjectStat,
        bytes: Box<dyn Read + Send>,
        offer: &mut Offer<'_>,
    ) -> Result<(Put, Digest), RepositoryError> {
        let key = stored_key(offer.name, form);
        offer.source.seek(SeekFrom::Start(0)).map_err(RepositoryError::Source)?;
        let damaged = |error: io::Error| RepositoryError::Damaged {
            file: self.store.locate(&key),
            reason: error.to_string(),
        };
        let mut stored = decode(form, bytes).map_err(damaged)?;
        let compared = compare(&mut *stored.bytes, offer.source, offer.name, offer.identity);
        let Compared { relation, stored: (digest, bytes), offered } =
            compared.map_err(|error| match error {
                CopyError::Staged(error) => damaged(error),
                CopyError::Source(error) => RepositoryError::Source(error),
            })?;
        match relation {
            Relation::Identical => Ok((Put::AlreadyStored, digest)),
            // A standby offers the last segment that it received of a timeline as far as it got; the primary
            // stored it whole. It has nothing that the stored file lacks.
            Relation::SameWal | Relation::OfferedIsPrefix { .. } => Ok((Put::SameWalStored, digest)),
            relation => {
                let node = stored.envelope.map(|envelope| envelope.node);
                let node = node.or_else(|| Stamp::read(self.store, offer.name)?.stored_by);
                Err(RepositoryError::Conflict(Box::new(Conflict {
                    name: offer.name,
                    stored: StoredCopy {
                        file: self.store.locate(&key),
                        digest,
                        bytes,
                        at: (offer.show_time)(stat.modified),
                        node,
                    },
                    offered_digest: offered.0,
                    offered_bytes: offered.1,
                    relation,
                })))
            }
        }
    }
}

struct Compared {
    relation: Relation,
    stored: (Digest, u64),
    offered: (Digest, u64),
}

/// Reads both files once, page by page. A failure names the side: `Staged` is the stored one.
fn compare(
    stored: &mut dyn Read,
    offered: &mut dyn Source,
    name: WalFileName,
    identity: Identity,
) -> Result<Compared, CopyError> {
    const PAGES_AT_ONCE: usize = 32;
    let mut stored_side = Side::default();
    let mut offered_side = Side::default();
    offered_side.fill(offered, LONG_HEADER_BYTES).map_err(CopyError::Source)?;
    let header = LongPageHeader::parse(&offered_side.buffer).ok();
    let block_bytes = header.and_then(|header| usize::try_from(header.block_bytes).ok()).unwrap_or(8192);
    let start = name.segment().and_then(|segment| segment.start(identity.segment_size));
    offered.seek(SeekFrom::Start(0)).map_err(CopyError::Source)?;
    let mut pages = start.filter(|_| name.is_pages()).map(|start| PageComparison::new(start, block_bytes));
    let mut identical = true;
    loop {
        stored_side.fill(stored, block_bytes * PAGES_AT_ONCE).map_err(CopyError::Staged)?;
        offered_side.fill(offered, block_bytes * PAGES_AT_ONCE).map_err(CopyError::Source)?;
        if stored_side.buffer.is_empty() && offered_side.buffer.is_empty() {
            break;
        }
        stored_side.count();
        offered_side.count();
        identical &= stored_side.buffer == offered_side.buffer;
        if let Some(pages) = &mut pages {
            let mut stored_pages = stored_side.buffer.chunks(block_bytes);
            let mut offered_pages = offered_side.buffer.chunks(block_bytes);
            loop {
                match (stored_pages.next(), offered_pages.next()) {
                    (None, None) => break,
                    (stored, offered) => {
                        pages.compare(stored.unwrap_or_default(), offered.unwrap_or_default());
                    }
                }
            }
        }
    }
    let relation = match (identical, pages) {
        (true, _) => Relation::Identical,
        (false, Some(pages)) => pages.relation(),
        (false, None) => Relation::Unclear,
    };
    Ok(Compared { relation, stored: stored_side.finish(), offered: offered_side.finish() })
}

/// One file of a comparison.
#[derive(Default)]
struct Side {
    buffer: Vec<u8>,
    hasher: Hasher,
    bytes: u64,
}

impl Side {
    fn fill<R: Read + ?Sized>(&mut self, mut from: &mut R, bytes: usize) -> io::Result<()> {
        self.buffer.resize(bytes, 0);
        let filled = fill(&mut from, &mut self.buffer)?;
        self.buffer.truncate(filled);
        Ok(())
    }

    fn count(&mut self) {
        self.hasher.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
    }

    fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.bytes)
    }
}
