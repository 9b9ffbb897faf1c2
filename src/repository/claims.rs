//! Claims: what each node says that it still needs of the log. A node writes its own into the repository, so that
//! a pruner elsewhere needs no connection to it. A claim never expires by itself: only its node replaces it, and
//! only a person removes it.
//!
//! `.walkeep/claims/<key>.json` holds them, one file a data directory.

mod next;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::Hasher;
use super::identity::{read_json, replace_json};
use super::in_json;
use super::layout::state_key;
use super::{Origin, Repository, RepositoryError};
use crate::storage::{Key, Store};
use crate::wal::{Lsn, SystemIdentifier, Timeline};

/// What a node said last that it needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// What people call the node.
    pub node: String,
    /// What tells its machine from others; empty where nothing does.
    pub machine_id: String,
    /// Its data directory, by its real path.
    pub data_directory: String,
    /// Its cluster.
    #[serde(with = "in_json::text")]
    pub system_identifier: SystemIdentifier,
    /// The product and version family, by its short name.
    pub dialect: String,
    /// Whether its server begins from the checkpoint before the last one where that is damaged.
    #[serde(default)]
    pub falls_back: bool,
    /// As what it ran.
    pub role: NodeRole,
    /// Since when it was seen as that at every look, by the node's own clock.
    #[serde(with = "in_json::time")]
    pub role_since: SystemTime,
    /// The last checkpoint that its control file knew: it restarts from there.
    pub last: KnownCheckpoint,
    /// Earlier ones, the latest first, an hour and more apart: a node that is rewound after a failover starts
    /// from the newest of them that lies before the fork.
    pub earlier: Vec<KnownCheckpoint>,
    /// Its replication slots.
    pub slots: Vec<ClaimedSlot>,
    /// Slots that are gone, and still pin for a while.
    pub departed: Vec<DepartedSlot>,
    /// Where a base backup began that runs, or that was laid down here and not started yet.
    #[serde(with = "in_json::optional_text")]
    pub backup_start: Option<Lsn>,
    /// When it was looked at, by the node's own clock.
    #[serde(with = "in_json::time")]
    pub observed_at: SystemTime,
}

/// What was seen of a node at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// What people call the node.
    pub node: String,
    /// What tells its machine from others; empty where nothing does.
    pub machine_id: String,
    /// Its data directory, by its real path.
    pub data_directory: String,
    /// Its cluster.
    pub system_identifier: SystemIdentifier,
    /// The product and version family, by its short name.
    pub dialect: String,
    /// Whether its server begins from the checkpoint before the last one where that is damaged.
    pub falls_back: bool,
    /// As what it runs.
    pub role: NodeRole,
    /// The checkpoint that its control file knows, seen now.
    pub checkpoint: KnownCheckpoint,
    /// Its replication slots, read after the control file: a slot whose file does not know its position yet
    /// needs nothing from before that redo point.
    pub slots: Vec<ClaimedSlot>,
    /// Where a base backup began that runs, or that was laid down here and not started yet.
    pub backup_start: Option<Lsn>,
}

/// As what a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// It writes WAL of its own.
    Primary,
    /// It replays what it gets.
    Standby,
    /// It recovers up to some point.
    Recovering,
    /// It starts or stops at this moment.
    InTransition,
    /// Shut down as a primary.
    ShutDown,
    /// Shut down as a standby.
    ShutDownInRecovery,
    /// Nothing runs, and it was not shut down.
    Crashed,
}

impl NodeRole {
    /// The role's short name; never changes its meaning.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Recovering => "recovering",
            Self::InTransition => "in_transition",
            Self::ShutDown => "shut_down",
            Self::ShutDownInRecovery => "shut_down_in_recovery",
            Self::Crashed => "crashed",
        }
    }
}

/// A checkpoint that a control file knew; on a standby a restartpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KnownCheckpoint {
    /// Its timeline.
    #[serde(with = "in_json::timeline")]
    pub timeline: Timeline,
    /// Where its record lies.
    #[serde(with = "in_json::text")]
    pub checkpoint: Lsn,
    /// Where replay begins.
    #[serde(with = "in_json::text")]
    pub redo: Lsn,
    /// When it was seen first.
    #[serde(with = "in_json::time")]
    pub seen_at: SystemTime,
}

/// A replication slot in a claim.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClaimedSlot {
    /// Its name.
    pub name: String,
    /// From where on it needs WAL; `None` where its file does not know.
    #[serde(with = "in_json::optional_text")]
    pub restart_lsn: Option<Lsn>,
    /// Whether it streams WAL as it is, and not decoded.
    pub physical: bool,
    /// How long it lasts.
    pub persistency: SlotLife,
    /// Whether the server has given it up.
    pub invalidated: bool,
    /// Which directory it lies in.
    pub directory: SlotDirectory,
}

impl ClaimedSlot {
    /// From where on the slot needs WAL: its own position; its node's redo where its file knows none, for the
    /// server may hold WAL for it from there on; `None` where the server has given it up.
    #[must_use]
    pub fn needed_from(&self, redo: Lsn) -> Option<Lsn> {
        if self.invalidated { None } else { self.restart_lsn.or(Some(redo)) }
    }
}

/// How long a slot lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotLife {
    /// Until it is dropped.
    Persistent,
    /// Until the server stops, or a logical slot is made.
    Ephemeral,
    /// Until its session ends.
    Temporary,
    /// Until a base backup of openGauss ends.
    Backup,
}

/// Which directory a slot lies in. A slot that was dropped and made again has another one; its name is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDirectory {
    /// Its inode, which a file system may use again at once.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970, where the file system knows.
    pub born_ns: Option<i64>,
}

/// A slot that is gone. It pins all the same for a while: failback scripts drop slots and make them again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DepartedSlot {
    /// Its name.
    pub name: String,
    /// From where on it needed WAL.
    #[serde(with = "in_json::text")]
    pub restart_lsn: Lsn,
    /// When it was first missed, by the node's own clock.
    #[serde(with = "in_json::time")]
    pub departed_at: SystemTime,
    /// How long it is known to have been gone: the sum of the steps between observations, of which each counts
    /// for so long at most that no clock that jumps ends the grace.
    pub gone_for_s: u64,
}

/// The name of a claim's file: the node's name, and which data directory on which machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClaimKey(String);

impl ClaimKey {
    const FOLDER: &str = "claims";

    /// Longest part of a node's name that is in it, in bytes.
    const MOST_NODE_BYTES: usize = 64;

    /// How many digits tell data directories apart.
    const DIGITS: usize = 12;

    /// The key of a data directory's claim. Two directories of one machine have two, and so have two machines
    /// where nodes bear one name.
    #[must_use]
    pub fn of(node: &str, machine_id: &str, data_directory: &str) -> Self {
        let plain = |c: char| if is_plain(c) { c } else { '_' };
        let node: String = node.chars().map(plain).take(Self::MOST_NODE_BYTES).collect();
        let mut hasher = Hasher::default();
        hasher.update(machine_id.as_bytes());
        hasher.update(b"\0");
        hasher.update(data_directory.as_bytes());
        let digest: String = hasher.finish().to_string().chars().take(Self::DIGITS).collect();
        Self(format!("{node}-{digest}"))
    }

    fn file(&self) -> Key {
        state_key(&format!("{}/{self}.json", Self::FOLDER))
    }

    fn lock(&self) -> Key {
        state_key(&format!("{}/{self}.lock", Self::FOLDER))
    }
}

impl FromStr for ClaimKey {
    type Err = ();

    /// Takes what could be a key; whether there is such a claim is another question.
    fn from_str(text: &str) -> Result<Self, ()> {
        let fits = (1..=Self::MOST_NODE_BYTES + Self::DIGITS + 1).contains(&text.len());
        (fits && text.chars().all(is_plain)).then(|| Self(text.to_owned())).ok_or(())
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What may stand in the name of a state file.
pub(super) const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

impl Observation {
    /// Whose claim it makes.
    #[must_use]
    pub fn key(&self) -> ClaimKey {
        ClaimKey::of(&self.node, &self.machine_id, &self.data_directory)
    }
}

impl Claim {
    /// After this time a claim is stale: its node was not looked at, and may be gone. It pins all the same.
    pub const STALE_AFTER: Duration = Duration::from_secs(86_400);

    /// The name of its file.
    #[must_use]
    pub fn key(&self) -> ClaimKey {
        ClaimKey::of(&self.node, &self.machine_id, &self.data_directory)
    }

    /// How old it is; nothing where its node's clock is ahead of this one.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.observed_at).unwrap_or_default()
    }

    /// Whether its node was not looked at for long.
    #[must_use]
    pub fn is_stale(&self, now: SystemTime) -> bool {
        self.age(now) > Self::STALE_AFTER
    }

    /// All checkpoints that are known of the node, the last one first.
    pub fn checkpoints(&self) -> impl Iterator<Item = &KnownCheckpoint> {
        std::iter::once(&self.last).chain(&self.earlier)
    }

    /// What makes a claim that was read one that cannot be believed.
    fn fault(&self, key: &ClaimKey) -> Option<String> {
        let mut names =
            self.slots.iter().map(|slot| &slot.name).chain(self.departed.iter().map(|slot| &slot.name));
        let most = Origin::MOST_NODE_BYTES;
        if self.key() != *key {
            Some(format!("it is the claim that belongs into '{}.json'", self.key()))
        } else if self.node.is_empty() || self.node.len() > most || self.node.chars().any(char::is_control) {
            Some("the node's name is empty, too long, or holds control characters".to_owned())
        } else if names.any(|name| name.chars().any(char::is_control)) {
            Some("the name of a slot holds control characters".to_owned())
        } else {
            None
        }
    }
}

fn read(store: &dyn Store, key: &ClaimKey) -> Result<Option<Claim>, RepositoryError> {
    let Some(claim) = read_json::<Claim>(store, &key.file())? else { return Ok(None) };
    match claim.fault(key) {
        None => Ok(Some(claim)),
        Some(fault) => {
            Err(RepositoryError::damaged_state(store, &key.file(), &fault.escape_debug().to_string()))
        }
    }
}

impl Repository<'_> {
    /// Every claim, by the names of the nodes.
    ///
    /// # Errors
    /// When one cannot be read or makes no sense: nobody knows what that node needs.
    pub fn claims(&self) -> Result<Vec<Claim>, RepositoryError> {
        let mut claims = Vec::new();
        for key in self.claim_keys()? {
            // One that is gone since it was listed was removed by a person.
            claims.extend(read(self.store, &key)?);
        }
        claims.sort_by(|a, b| (&a.node, a.key()).cmp(&(&b.node, b.key())));
        Ok(claims)
    }

    /// The names of all claims' files, whatever they hold.
    ///
    /// # Errors
    /// When they cannot be listed, or one has a name that no node gives it.
    pub fn claim_keys(&self) -> Result<Vec<ClaimKey>, RepositoryError> {
        let folder = state_key(ClaimKey::FOLDER);
        let mut keys = Vec::new();
        for listed in self.store.list(folder.as_str())? {
            let Some(name) = listed.name.strip_suffix(".json") else { continue };
            keys.push(name.parse().map_err(|()| {
                let name = listed.name.escape_debug();
                RepositoryError::damaged_state(self.store, &folder, &format!("'{name}' is no claim's name"))
            })?);
        }
        keys.sort();
        Ok(keys)
    }

    /// The claim of one data directory; `None` where it has none.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub fn claim(&self, key: &ClaimKey) -> Result<Option<Claim>, RepositoryError> {
        read(self.store, key)
    }

    /// When a claim was written last, by the clock of the store; `None` where there is none. One look is all that
    /// this costs.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn claim_written_at(
        store: &dyn Store,
        key: &ClaimKey,
    ) -> Result<Option<SystemTime>, RepositoryError> {
        Ok(store.stat(&key.file())?.map(|stat| stat.modified))
    }

    /// Records what was seen of a node, with what its last claim still protects; durable when it returns.
    ///
    /// # Errors
    /// When the node is of another cluster, its last claim cannot be read, or the new one may not be durable.
    pub fn record_claim(&self, seen: Observation, slot_grace: Duration) -> Result<Claim, RepositoryError> {
        let _turn = self.store.lock(&seen.key().lock())?;
        self.replace_claim(seen, slot_grace)
    }

    /// Records it unless another call does at this moment: then `None`.
    ///
    /// # Errors
    /// As [`Self::record_claim`].
    pub fn record_claim_unless_busy(
        &self,
        seen: Observation,
        slot_grace: Duration,
    ) -> Result<Option<Claim>, RepositoryError> {
        match self.store.try_lock(&seen.key().lock())? {
            Some(_turn) => self.replace_claim(seen, slot_grace).map(Some),
            None => Ok(None),
        }
    }

    fn replace_claim(&self, seen: Observation, slot_grace: Duration) -> Result<Claim, RepositoryError> {
        self.refuse_other_system(seen.system_identifier)?;
        let key = seen.key();
        let last = read(self.store, &key)?;
        let claim = Claim::next(last.as_ref(), seen, slot_grace);
        replace_json(self.store, &key.file(), &claim)?;
        Ok(claim)
    }

    /// Removes a claim, whatever it holds: what its node needs is protected no more.
    ///
    /// # Errors
    /// When it is not there, or may still stand.
    pub fn remove_claim(&self, key: &ClaimKey) -> Result<(), RepositoryError> {
        let _turn = self.store.lock(&key.lock())?;
        Ok(self.store.remove(&key.file())?)
    }

    fn refuse_other_system(&self, found: SystemIdentifier) -> Result<(), RepositoryError> {
        match self.identity {
            Some(bound) if bound.system_identifier != found => {
                Err(RepositoryError::OtherSystem { repository: bound.system_identifier, found })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
