//! Adopting: a plain file that another tool stored gets the digest that a file of ours has from the beginning.

use std::io::{self, Read};

use super::digest::for_each_hashed;
use super::fetch::header_agrees;
use super::layout::{Form, stored_key};
use super::{Repository, RepositoryError};
use crate::storage::OpenObject;
use crate::wal::{LONG_HEADER_BYTES, LongPageHeader, WalFileName};

/// What came of giving a file its digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Adopted {
    /// It has one now.
    Digested {
        /// So much was read for it.
        bytes: u64,
    },
    /// It is not what its name says, or was written meanwhile: a digest would vouch for it.
    NotWhole(String),
    /// It is not there any more.
    Gone,
}

impl Repository<'_> {
    /// Reads a plain file as the medium has it, and lays its digest beside it, durably, where the file is whole as
    /// far as that shows: its length, its first page, and that nobody wrote to it meanwhile.
    ///
    /// # Errors
    /// When it cannot be read, or the digest may not be durable.
    pub fn adopt(&self, name: WalFileName) -> Result<Adopted, RepositoryError> {
        let key = stored_key(name, Form::Plain);
        let Some(before) = self.store.stat(&key)? else { return Ok(Adopted::Gone) };
        let OpenObject { mut bytes, stat } = self.store.confirm(&key)?;
        let mut head = Vec::new();
        let failed = |source: io::Error| RepositoryError::Damaged {
            file: self.store.locate(&key),
            reason: source.to_string(),
        };
        if name.is_pages() {
            bytes.by_ref().take(LONG_HEADER_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
            if let Err(reason) = self.is_whole(name, &head, stat.size_bytes) {
                return Ok(Adopted::NotWhole(reason));
            }
        }
        let mut whole = head.as_slice().chain(bytes);
        let (digest, size) = for_each_hashed(&mut whole, failed, |_| Ok(()))?;
        if size != stat.size_bytes || self.store.stat(&key)?.as_ref() != Some(&before) {
            return Ok(Adopted::NotWhole("it was written while it was read".to_owned()));
        }
        self.complete_sidecar(name, digest)?;
        Ok(Adopted::Digested { bytes: size })
    }

    /// # Errors
    /// What speaks against it, a sentence without its end.
    fn is_whole(&self, name: WalFileName, head: &[u8], size_bytes: u64) -> Result<(), String> {
        let header = LongPageHeader::parse(head).map_err(|error| error.to_string())?;
        let segment_size = self.identity.map_or(header.segment_size, |identity| identity.segment_size);
        if size_bytes != segment_size.bytes() {
            return Err(format!("it holds {size_bytes} bytes, a segment has {}", segment_size.bytes()));
        }
        header_agrees(name, &header, self.identity.map(|identity| identity.system_identifier))
    }
}
