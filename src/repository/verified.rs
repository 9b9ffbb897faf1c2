//! Marks: which stored files were read to their end and found sound, and when. A mark counts only as long as
//! the stored file is untouched, and for thirty days; one that is lost costs a reading, nothing else.
//!
//! `.walkeep/verified/` holds them, one file for all names that share their first sixteen digits (a timeline
//! and a log: 256 segments of 16 MiB): 100,000 files of one mark each would cost more than many readings.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::layout::{Form, sidecar_key, sidecar_line, state_key, stored_key};
use super::{Digest, Proven, Repository, RepositoryError};
use crate::storage::{Key, MOST_SMALL_BYTES, ObjectStat, read_small};
use crate::wal::WalFileName;

/// What is remembered of a stored file that was sound.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    size: u64,
    inode: u64,
    mtime_ns: i128,
    changed_ns: i128,
    /// Digest of the WAL file.
    sha256: String,
    /// Length of the WAL file in bytes.
    bytes: u64,
    /// Seconds since 1970.
    verified_at_s: u64,
}

impl Mark {
    /// How long a mark counts: within this time everything is read again.
    pub const EXPIRES_AFTER: Duration = Duration::from_secs(30 * 86_400);

    /// The mark of a file that was proven.
    #[must_use]
    pub fn of(proven: &Proven, now: SystemTime) -> Self {
        let Proven { stat, fetched } = proven;
        Self {
            size: stat.size_bytes,
            inode: stat.inode,
            mtime_ns: ns(stat.modified),
            changed_ns: stat.changed_ns,
            sha256: fetched.digest.to_string(),
            bytes: fetched.bytes,
            verified_at_s: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        }
    }

    /// Whether the stored file is the one that was read, untouched.
    #[must_use]
    pub fn is_of(&self, stat: &ObjectStat) -> bool {
        let Self { size, inode, mtime_ns, changed_ns, .. } = self;
        (*size, *inode, *mtime_ns, *changed_ns)
            == (stat.size_bytes, stat.inode, ns(stat.modified), stat.changed_ns)
    }

    /// When the file was read.
    #[must_use]
    pub fn verified_at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.verified_at_s)).unwrap_or(UNIX_EPOCH)
    }

    /// Whether it is too old to count, or of a time that has yet to come: a clock jumped.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        // A mark is of whole seconds.
        let age = now.duration_since(self.verified_at());
        age.map_or(true, |age| age >= Self::EXPIRES_AFTER)
    }

    /// Whether the WAL file held something else when it was read then.
    #[must_use]
    pub fn differs_from(&self, digest: Digest) -> bool {
        self.sha256 != digest.to_string()
    }

    /// Length of the WAL file in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Nanoseconds since 1970.
fn ns(time: SystemTime) -> i128 {
    let in_ns = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => in_ns(since),
        Err(before) => -in_ns(before.duration()),
    }
}

/// Which marks lie in one file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MarkGroup(String);

impl MarkGroup {
    /// The group of a file.
    #[must_use]
    pub fn of(name: WalFileName) -> Self {
        let log = |segment: String| segment.chars().take(16).collect();
        Self(name.segment().map_or_else(|| "histories".to_owned(), |name| log(name.to_string())))
    }

    fn key(&self) -> Key {
        state_key(&format!("{}{}.json", Marks::FOLDER, self.0))
    }
}

/// The marks of one group, by the names of stored files.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Marks {
    marks: BTreeMap<String, Mark>,
}

impl Marks {
    const FOLDER: &str = "verified/";

    /// The mark of a stored file.
    #[must_use]
    pub fn get(&self, name: WalFileName, form: Form) -> Option<&Mark> {
        self.marks.get(stored_key(name, form).as_str())
    }

    /// Sets the mark of a stored file.
    pub fn set(&mut self, name: WalFileName, form: Form, mark: Mark) {
        self.marks.insert(stored_key(name, form).as_str().to_owned(), mark);
    }

    /// Lets the mark of a stored file count no more; what it held is still remembered.
    pub fn distrust(&mut self, name: WalFileName, form: Form) {
        if let Some(mark) = self.marks.get_mut(stored_key(name, form).as_str()) {
            mark.verified_at_s = 0;
        }
    }

    /// Keeps only the marks of files that are still there.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.marks.retain(|name, _| is_there(name));
    }
}

impl Repository<'_> {
    /// The marks of a group; none where they cannot be read or make no sense.
    #[must_use]
    pub fn marks(&self, group: &MarkGroup) -> Marks {
        let bytes = read_small(self.store, &group.key()).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Replaces the marks of a group.
    ///
    /// # Errors
    /// When they could not be written: the older ones still stand.
    pub fn replace_marks(&self, group: &MarkGroup, marks: &Marks) -> Result<(), RepositoryError> {
        let failed =
            |error: serde_json::Error| RepositoryError::writing(self.store, &group.key(), error.into());
        let bytes = serde_json::to_vec(marks).map_err(failed)?;
        // Only a flood of made-up names gets there; without marks they are read each time.
        if bytes.len() as u64 > MOST_SMALL_BYTES {
            return Ok(());
        }
        Ok(self.store.replace_state(&group.key(), &bytes)?)
    }

    /// Removes the marks of groups of which nothing is stored any more. Best effort.
    pub fn forget_marks(&self, is_there: impl Fn(&MarkGroup) -> bool) {
        let folder = state_key(Marks::FOLDER.trim_end_matches('/'));
        let listed = self.store.list(folder.as_str()).unwrap_or_default();
        for listed in listed.into_iter().filter(|listed| listed.is_object) {
            let group = listed.name.strip_suffix(".json").map(|name| MarkGroup(name.to_owned()));
            if let Some(group) = group.filter(|group| !is_there(group)) {
                let _ = self.store.remove(&group.key());
            }
        }
    }

    /// Whether what lies beside a marked plain file still says what its mark says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mark_agrees_with_sidecar(&self, name: WalFileName, mark: &Mark) -> Result<bool, RepositoryError> {
        let Some(line) = read_small(self.store, &sidecar_key(name))? else { return Ok(true) };
        let digest: Option<Digest> = mark.sha256.parse().ok();
        Ok(digest.is_some_and(|digest| line == sidecar_line(name, digest).as_bytes()))
    }

    /// What the store tells of a stored file; `None` where it is not there.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn stat(&self, name: WalFileName, form: Form) -> Result<Option<ObjectStat>, RepositoryError> {
        Ok(self.store.stat(&stored_key(name, form))?)
    }

    /// Where a stored file lies, as people would look it up.
    #[must_use]
    pub fn locate(&self, name: WalFileName, form: Form) -> String {
        self.store.locate(&stored_key(name, form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Fetched;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(days: u32) -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY + days * DAY
    }

    fn proven() -> Proven {
        let stat = ObjectStat { size_bytes: 5, modified: at(0), inode: 7, changed_ns: 9 };
        let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse().unwrap();
        Proven { stat, fetched: Fetched { bytes: 16, digest, digest_known: true } }
    }

    #[test]
    fn a_mark_counts_for_thirty_days_and_not_before_it_was_set() {
        let mark = Mark::of(&proven(), at(100));
        for (day, expired) in [(99, true), (100, false), (129, false), (130, true), (1000, true)] {
            assert_eq!(mark.has_expired(at(day)), expired, "day {day}");
        }
    }

    #[test]
    fn a_mark_is_of_the_untouched_file_only() {
        let Proven { stat, .. } = proven();
        let mark = Mark::of(&proven(), at(1));
        assert!(mark.is_of(&stat));
        assert!(!mark.is_of(&ObjectStat { size_bytes: 6, ..stat.clone() }));
        assert!(!mark.is_of(&ObjectStat { inode: 8, ..stat.clone() }));
        assert!(!mark.is_of(&ObjectStat { modified: at(2), ..stat.clone() }));
        assert!(!mark.is_of(&ObjectStat { changed_ns: 10, ..stat }));
    }

    #[test]
    fn names_of_one_timeline_and_log_share_a_file() {
        let group = |name: &str| MarkGroup::of(name.parse().unwrap()).0;
        assert_eq!(group("000000010000000200000003"), "0000000100000002");
        assert_eq!(group("000000010000000200000003.partial"), "0000000100000002");
        assert_eq!(group("000000010000000200000003.00000028.backup"), "0000000100000002");
        assert_eq!(group("00000002.history"), "histories");
    }
}
