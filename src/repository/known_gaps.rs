//! Known gaps: ranges of segments that a person acknowledged as lost. They stop being a finding, and are named
//! wherever the archive is judged. `.walkeep/known-gaps.json` holds them; only people put them there.

use serde::{Deserialize, Serialize};

use super::identity::read_json;
use super::layout::state_key;
use super::{Origin, Repository, RepositoryError};
use crate::storage::{Key, MOST_SMALL_BYTES, Store};
use crate::wal::{SegmentName, SegmentRange};

/// A range of segments that a person acknowledged as lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownGap {
    /// The segments.
    pub range: SegmentRange,
    /// Why they are lost, in that person's words.
    pub reason: String,
    /// When that was, RFC 3339.
    pub acknowledged_at: String,
    /// On which node.
    pub node: String,
}

/// What `known-gaps.json` says.
#[derive(Default, Serialize, Deserialize)]
struct KnownGapsFile {
    gaps: Vec<KnownGapEntry>,
}

#[derive(Serialize, Deserialize)]
struct KnownGapEntry {
    from: String,
    to: String,
    reason: String,
    acknowledged_at: String,
    node: String,
}

impl KnownGapEntry {
    fn of(gap: &KnownGap) -> Self {
        Self {
            from: gap.range.first().to_string(),
            to: gap.range.last().to_string(),
            reason: gap.reason.clone(),
            acknowledged_at: gap.acknowledged_at.clone(),
            node: gap.node.clone(),
        }
    }

    fn into_gap(self) -> Option<KnownGap> {
        let range = SegmentRange::new(self.from.parse().ok()?, self.to.parse().ok()?)?;
        let Self { reason, acknowledged_at, node, .. } = self;
        Some(KnownGap { range, reason, acknowledged_at, node })
    }
}

fn key() -> Key {
    state_key("known-gaps.json")
}

fn read(store: &dyn Store) -> Result<Vec<KnownGap>, RepositoryError> {
    let file: KnownGapsFile = read_json(store, &key())?.unwrap_or_default();
    let parse = |entry: KnownGapEntry| {
        let what = format!("'{}' to '{}' is no range of segments", entry.from, entry.to);
        let what = what.escape_debug().to_string();
        entry.into_gap().ok_or_else(|| RepositoryError::damaged_state(store, &key(), &what))
    };
    file.gaps.into_iter().map(parse).collect()
}

impl Repository<'_> {
    /// The ranges that people acknowledged as lost, in the order in which they did.
    ///
    /// # Errors
    /// When the file that holds them cannot be read or makes no sense: that is not "no gaps".
    pub fn known_gaps(&self) -> Result<Vec<KnownGap>, RepositoryError> {
        read(self.store)
    }

    /// Records that the segments from one to another, both included, are lost; durable when it returns. A
    /// range that is recorded already stays as it is.
    ///
    /// # Errors
    /// When that is no range of one timeline, the reason is empty, or it could not be made durable.
    pub fn acknowledge_lost(
        &self,
        from: SegmentName,
        to: SegmentName,
        reason: &str,
        origin: &Origin,
    ) -> Result<KnownGap, RepositoryError> {
        let refused = |why| RepositoryError::NotAcknowledged { from, to, why };
        let range = SegmentRange::new(from, to).ok_or_else(|| {
            refused(if from.timeline() == to.timeline() {
                "the last segment lies before the first one"
            } else {
                "they are of two timelines"
            })
        })?;
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(refused("the reason is empty"));
        }
        let _turn = self.store.lock(&state_key("known-gaps.lock"))?;
        let mut gaps = read(self.store)?;
        if let Some(known) = gaps.iter().find(|gap| gap.range == range) {
            return Ok(known.clone());
        }
        let gap = KnownGap {
            range,
            reason: reason.to_owned(),
            acknowledged_at: origin.now_text.clone(),
            node: origin.node.clone(),
        };
        gaps.push(gap.clone());
        let file = KnownGapsFile { gaps: gaps.iter().map(KnownGapEntry::of).collect() };
        let failed = |error: serde_json::Error| RepositoryError::writing(self.store, &key(), error.into());
        let mut bytes = serde_json::to_vec_pretty(&file).map_err(failed)?;
        bytes.push(b'\n');
        if bytes.len() as u64 > MOST_SMALL_BYTES {
            return Err(refused("the list of known gaps would be too long to be read"));
        }
        self.store.replace_state(&key(), &bytes)?;
        Ok(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::StoredForm;
    use crate::storage::{DirectoryStore, MemoryStore};
    use std::time::SystemTime;

    fn origin(node: &str) -> Origin {
        Origin {
            node: node.into(),
            machine_id: "machine".into(),
            now: SystemTime::UNIX_EPOCH,
            now_text: "2026-01-02T03:04:05Z".into(),
        }
    }

    fn repository(store: &dyn Store) -> Repository<'_> {
        Repository::create(store, StoredForm::Zstd, false, &origin("node1")).unwrap()
    }

    fn segment(number: u32) -> SegmentName {
        format!("0000000100000000{number:08X}").parse().unwrap()
    }

    #[test]
    fn what_was_acknowledged_is_known_from_then_on() {
        let store = MemoryStore::default();
        let repository = repository(&store);
        assert_eq!(repository.known_gaps().unwrap(), []);
        let gap =
            repository.acknowledge_lost(segment(5), segment(9), " rm -rf \n", &origin("node1")).unwrap();
        assert_eq!((gap.reason.as_str(), gap.node.as_str()), ("rm -rf", "node1"));
        assert_eq!(gap.acknowledged_at, "2026-01-02T03:04:05Z");
        let again = repository.acknowledge_lost(segment(5), segment(9), "other", &origin("node2")).unwrap();
        assert_eq!(again, gap, "the same range again is a success");
        let other = repository.acknowledge_lost(segment(7), segment(7), "other", &origin("node2")).unwrap();
        assert_eq!(repository.known_gaps().unwrap(), [gap, other]);
    }

    #[test]
    fn what_is_no_range_or_has_no_reason_is_not_acknowledged() {
        let store = MemoryStore::default();
        let repository = repository(&store);
        let elsewhere: SegmentName = "000000020000000000000009".parse().unwrap();
        for (from, to, reason, why) in [
            (segment(5), elsewhere, "x", "of two timelines"),
            (segment(5), segment(4), "x", "before the first"),
            (segment(5), segment(5), " \n", "the reason is empty"),
        ] {
            let refused = repository.acknowledge_lost(from, to, reason, &origin("node1")).unwrap_err();
            assert!(refused.to_string().contains(why), "{refused}");
        }
        assert_eq!(repository.known_gaps().unwrap(), []);
    }

    #[test]
    fn a_damaged_list_of_known_gaps_is_an_error_that_names_it_and_never_no_gaps() {
        let entry = |from: &str, to: &str| {
            format!(
                r#"{{"gaps":[{{"from":"{from}","to":"{to}","reason":"","acknowledged_at":"","node":""}}]}}"#
            )
        };
        let (five, four) = (segment(5).to_string(), segment(4).to_string());
        for text in ["", "{}", "{\"gaps\":", "[]", "null", &entry("x", &five), &entry(&five, &four)] {
            let store = MemoryStore::default();
            let repository = repository(&store);
            store.replace_state(&key(), text.as_bytes()).unwrap();
            for error in [
                repository.known_gaps().unwrap_err(),
                repository.acknowledge_lost(segment(1), segment(1), "x", &origin("node1")).unwrap_err(),
            ] {
                assert!(error.to_string().contains("known-gaps.json"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn of_two_who_acknowledge_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().join("repo"));
        drop(repository(&store));
        std::thread::scope(|scope| {
            for writer in 0..2u32 {
                let store = &store;
                scope.spawn(move || {
                    let repository = Repository::open(store).unwrap();
                    for number in (0..20).map(|number| number * 2 + writer) {
                        let name = segment(number);
                        repository.acknowledge_lost(name, name, "a race", &origin("node1")).unwrap();
                    }
                });
            }
        });
        assert_eq!(Repository::open(&store).unwrap().known_gaps().unwrap().len(), 40);
    }
}
