//! Holds: pins that people set, with a reason and perhaps an end. One that has expired pins no more, and is told
//! until a person removes it.
//!
//! `.walkeep/holds/<name>.json` holds them.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::claims::is_plain;
use super::identity::{read_json, replace_json};
use super::in_json;
use super::layout::state_key;
use super::{Repository, RepositoryError};
use crate::storage::{Key, Published, Store, StoreLock};
use crate::wal::{Lsn, ParseError};

/// A pin that a person set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// What it is called.
    #[serde(with = "in_json::text")]
    pub name: HoldName,
    /// From where on everything is kept, on every timeline.
    #[serde(with = "in_json::text")]
    pub from: Lsn,
    /// Why, for those who meet it later.
    pub reason: String,
    /// Until when; `None` holds until a person removes it.
    #[serde(with = "in_json::optional_time")]
    pub until: Option<SystemTime>,
    /// When it was set.
    #[serde(with = "in_json::time")]
    pub created_at: SystemTime,
    /// On which node.
    pub node: String,
}

impl Hold {
    /// Whether its end has come.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A hold's name: letters, digits, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HoldName(String);

impl HoldName {
    const FOLDER: &str = "holds";

    fn file(&self) -> Key {
        state_key(&format!("{}/{self}.json", Self::FOLDER))
    }
}

impl FromStr for HoldName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fits = (1..=64).contains(&text.len()) && text.chars().all(is_plain);
        let refused = || ParseError::new("a hold's name of 1 to 64 letters, digits, '.', '_' and '-'", text);
        fits.then(|| Self(text.to_owned())).ok_or_else(refused)
    }
}

impl fmt::Display for HoldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read(store: &dyn Store, name: &HoldName) -> Result<Option<Hold>, RepositoryError> {
    let hold: Option<Hold> = read_json(store, &name.file())?;
    match hold {
        Some(hold) if hold.name != *name => {
            let what = format!("it is hold '{}'", hold.name);
            Err(RepositoryError::damaged_state(store, &name.file(), &what))
        }
        other => Ok(other),
    }
}

impl Repository<'_> {
    /// Every hold, by name, those that have expired among them.
    ///
    /// # Errors
    /// When one cannot be read or makes no sense: nobody knows what it holds.
    pub fn holds(&self) -> Result<Vec<Hold>, RepositoryError> {
        let folder = state_key(HoldName::FOLDER);
        let mut holds = Vec::new();
        for listed in self.store.list(folder.as_str())? {
            let Some(name) = listed.name.strip_suffix(".json") else { continue };
            let name = name.parse().map_err(|error: ParseError| {
                RepositoryError::damaged_state(self.store, &folder, &error.to_string())
            })?;
            // One that is gone since it was listed was removed by a person.
            holds.extend(read(self.store, &name)?);
        }
        holds.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(holds)
    }

    /// Sets a hold in a turn of [`Self::lock_removal`]; durable when it returns. One of that name that is there
    /// already, whatever it holds, stays as it is.
    ///
    /// # Errors
    /// When it may not be durable.
    pub fn add_hold(&self, hold: &Hold, _turn: &dyn StoreLock) -> Result<Published, RepositoryError> {
        let file = hold.name.file();
        if self.store.stat(&file)?.is_some() {
            return Ok(Published::NameTaken);
        }
        replace_json(self.store, &file, hold)?;
        Ok(Published::New)
    }

    /// Removes a hold, whatever its file holds; `false` where there is none of that name.
    ///
    /// # Errors
    /// When it may still stand.
    pub fn remove_hold(&self, name: &HoldName) -> Result<bool, RepositoryError> {
        if self.store.stat(&name.file())?.is_none() {
            return Ok(false);
        }
        self.store.remove(&name.file())?;
        Ok(true)
    }

    /// Waits until nobody removes WAL, and keeps others from it.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub fn lock_removal(&self) -> Result<Box<dyn StoreLock>, RepositoryError> {
        Ok(self.store.lock(&state_key("lock"))?)
    }
}
