//! What lies in a repository, by name alone.

use super::layout::{Form, parse_stored};
use super::{Repository, RepositoryError};
use crate::wal::WalFileName;

/// Everything that lies at the top of a repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// Every WAL file that is stored, by name; a file in two forms comes twice.
    pub files: Vec<(WalFileName, Form)>,
    /// Every file that is named like the digest of a plain one, by name.
    pub sidecars: Vec<WalFileName>,
    /// What is named like a stored file and is none: a link, a folder, a device.
    pub irregular: Vec<String>,
    /// The first names that are not ours, in no order.
    pub foreign: Vec<String>,
    /// How many names are not ours.
    pub foreign_count: u64,
}

impl Inventory {
    /// How many foreign names are kept.
    const MOST_FOREIGN: usize = 100;

    /// The name of every WAL file that is stored, sorted, each once.
    #[must_use]
    pub fn names(&self) -> Vec<WalFileName> {
        let mut names: Vec<WalFileName> = self.files.iter().map(|(name, _)| *name).collect();
        names.dedup();
        names
    }
}

impl Repository<'_> {
    /// Lists the repository.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn inventory(&self) -> Result<Inventory, RepositoryError> {
        let mut found = Inventory::default();
        let mut see = |name: &str, is_object: bool| {
            let sidecar = name.strip_suffix(".sha256").and_then(|name| name.parse().ok());
            match (parse_stored(name), sidecar) {
                (Some(file), _) if is_object => found.files.push(file),
                (_, Some(sidecar)) if is_object => found.sidecars.push(sidecar),
                (None, None) if name == ".walkeep" => {}
                (None, None) => {
                    found.foreign_count += 1;
                    if found.foreign.len() < Inventory::MOST_FOREIGN {
                        found.foreign.push(name.to_owned());
                    }
                }
                _ => found.irregular.push(name.to_owned()),
            }
        };
        self.store.for_each_listed("", &mut see)?;
        found.files.sort_unstable();
        found.sidecars.sort_unstable();
        found.irregular.sort_unstable();
        Ok(found)
    }
}
