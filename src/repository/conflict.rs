use std::fmt;

use super::Digest;
use crate::wal::{Relation, WalFileName};

/// A stored file that bears the name of one that is offered, and holds something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The name that both bear.
    pub name: WalFileName,
    /// What is stored.
    pub stored: StoredCopy,
    /// Digest of the file that is offered.
    pub offered_digest: Digest,
    /// Its length in bytes.
    pub offered_bytes: u64,
    /// What the two are to each other.
    pub relation: Relation,
}

/// What is known of a stored file in a conflict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCopy {
    /// Where it lies.
    pub file: String,
    /// Digest of its content.
    pub digest: Digest,
    /// Length of its content in bytes.
    pub bytes: u64,
    /// When it was stored, RFC 3339.
    pub at: String,
    /// Which node stored it, where that is known.
    pub node: Option<String>,
}

impl Conflict {
    /// What the difference means, in a few words.
    #[must_use]
    pub fn verdict(&self) -> String {
        match self.relation {
            Relation::Identical | Relation::SameWal => "they hold the same WAL".to_owned(),
            Relation::Foreign { stored, offered } => {
                format!("foreign: the stored file is of system identifier {stored}, this one of {offered}")
            }
            Relation::StoredIsPrefix { ends } => {
                format!("the stored file is a prefix of this one, up to {ends}: archived too early, or cut")
            }
            Relation::OfferedIsPrefix { ends } => {
                format!("this file is a prefix of the stored one, up to {ends}: an older or cut copy")
            }
            Relation::Diverged { from } => {
                format!(
                    "diverged from {from} on: two servers wrote this name, or one of the files is damaged"
                )
            }
            Relation::Unclear => "their content differs".to_owned(),
        }
    }
}

impl std::error::Error for Conflict {}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, .. } = self;
        write!(
            f,
            "'{}' holds other content; {}\nstored:  sha256 {}, {} bytes, at {} by {}\noffered: sha256 {}, {} bytes",
            stored.file,
            self.verdict(),
            stored.digest,
            stored.bytes,
            stored.at,
            stored.node.as_deref().unwrap_or("a tool other than walkeep"),
            self.offered_digest,
            self.offered_bytes,
        )
    }
}
