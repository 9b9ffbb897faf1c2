//! Holdings: what lies in a repository, counted and measured in one walk by names and lengths. No content is read.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::layout::parse_stored;
use super::{Repository, RepositoryError};
use crate::storage::ObjectStat;
use crate::wal::{WalFileKind, WalFileName};

/// How many files, and how long they are together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Measure {
    /// Number of files.
    pub files: u64,
    /// Their bytes as stored.
    pub bytes: u64,
}

impl Measure {
    fn add(&mut self, stat: &ObjectStat) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(stat.size_bytes);
    }
}

/// What lies in a repository.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// Stored WAL files by kind; one in two forms counts twice.
    pub kinds: BTreeMap<WalFileKind, Measure>,
    /// The digests beside plain files.
    pub digests: Measure,
    /// The name of every WAL file that is stored, sorted, each once.
    pub names: Vec<WalFileName>,
    /// The file that was stored last.
    pub newest: Option<(WalFileName, SystemTime)>,
    /// Names that are not ours.
    pub strangers: u64,
    /// The first few of them.
    pub stranger_examples: Vec<String>,
    /// Files that are being written, or that killed writers left.
    pub staged: u64,
    /// Stored files that people took out of the way.
    pub set_aside: u64,
}

impl Holdings {
    /// How many names are told that are not ours, and how much of each, in characters.
    const MOST_EXAMPLES: usize = 3;
    const MOST_SHOWN: usize = 40;

    /// Files and bytes of a kind.
    #[must_use]
    pub fn of(&self, kind: WalFileKind) -> Measure {
        self.kinds.get(&kind).copied().unwrap_or_default()
    }

    fn see(&mut self, name: &str, stat: Option<&ObjectStat>) {
        let is_digest = || name.strip_suffix(".sha256").is_some_and(|of| of.parse::<WalFileName>().is_ok());
        match (parse_stored(name), stat) {
            (Some((file, _)), Some(stat)) => self.see_stored(file, stat),
            (None, Some(stat)) if is_digest() => self.digests.add(stat),
            (None, None) if name == ".walkeep" => {}
            _ => self.see_stranger(name),
        }
    }

    fn see_stored(&mut self, name: WalFileName, stat: &ObjectStat) {
        self.kinds.entry(name.kind()).or_default().add(stat);
        self.names.push(name);
        if self.newest.is_none_or(|(_, at)| stat.modified > at) {
            self.newest = Some((name, stat.modified));
        }
    }

    fn see_stranger(&mut self, name: &str) {
        self.strangers += 1;
        if self.stranger_examples.len() < Self::MOST_EXAMPLES {
            let shown = name.chars().take(Self::MOST_SHOWN).flat_map(char::escape_debug);
            self.stranger_examples.push(shown.collect());
        }
    }
}

impl Repository<'_> {
    /// Counts and measures what lies here. Each file is looked at once, and none is opened.
    ///
    /// # Errors
    /// When the store cannot be listed, or a file cannot be looked at.
    pub fn holdings(&self) -> Result<Holdings, RepositoryError> {
        let mut holdings = Holdings::default();
        self.store.for_each("", &mut |name, stat| holdings.see(name, stat))?;
        holdings.names.sort_unstable();
        holdings.names.dedup();
        holdings.stranger_examples.sort_unstable();
        self.store.for_each(".walkeep/staging", &mut |_, _| holdings.staged += 1)?;
        self.store.for_each(".walkeep/set-aside", &mut |name, _| {
            holdings.set_aside += u64::from(!name.ends_with(".reason.json") && !name.ends_with(".sha256"));
        })?;
        Ok(holdings)
    }
}
