//! Fingerprints: what tells one state of a stored file from every other, without reading it.

use std::fmt::Write as _;
use std::time::SystemTime;

use super::layout::{Form, sidecar_key, stored_key};
use super::{Digest, Repository, RepositoryError};
use crate::storage::{Key, ObjectStat};
use crate::wal::WalFileName;

impl Repository<'_> {
    /// The fingerprint of all that [`Repository::fetch`] would read for this file: where the repository lies, in which
    /// forms the file is stored, and what the store tells of each and of the digest beside it. Equal fingerprints mean
    /// that the same bytes would be fetched, and nothing was set aside or replaced. `None` where it is not stored.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn fingerprint(&self, name: WalFileName) -> Result<Option<Digest>, RepositoryError> {
        let found = self.find(name)?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut text = format!("{}\n", self.store.location());
        for (form, stat) in found {
            describe(&mut text, &stored_key(name, form), &stat);
            let sidecar = sidecar_key(name);
            if form == Form::Plain
                && let Some(stat) = self.store.stat(&sidecar)?
            {
                describe(&mut text, &sidecar, &stat);
            }
        }
        Ok(Some(Digest::of(text.as_bytes())))
    }
}

fn describe(text: &mut String, key: &Key, stat: &ObjectStat) {
    let ObjectStat { size_bytes, modified, inode, changed_ns } = stat;
    let modified = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key} {size_bytes} {inode} {modified} {changed_ns}");
}
