//! The state that a node keeps of its repository, beside its data directory: a copy of the stored histories, for when the
//! repository cannot be read. It only ever shows that a history exists; that one does not exist is never taken from here.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::server::Server;
use crate::fsx::{self, Glimpse, Modes};
use crate::repository::{Expected, Repository, RepositoryError};
use crate::wal::{SegmentName, Timeline, TimelineHistory, WalFileName};

/// The copy of one server and one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeState {
    system_identifier: String,
    repository: String,
    histories: BTreeMap<String, History>,
    /// The last segment that was reported to a standby's log as older than everything stored.
    #[serde(default)]
    reported: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct History {
    /// What the repository says of the stored file, to see whether it was replaced.
    fingerprint: String,
    text: String,
}

/// Longest state file that is read, in bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The directory of the state, private to the server's user.
fn directory(server: &Server) -> Option<PathBuf> {
    let data = server.cluster.as_ref()?.data_directory().canonicalize().ok()?;
    let mut name = data.file_name()?.to_owned();
    name.push(".walkeep-state");
    Some(data.with_file_name(name))
}

const FILE: &str = "histories.json";

impl NodeState {
    /// An empty one of this server and repository; `None` if it is not known which cluster the server is.
    fn empty(server: &Server, repository: String) -> Option<Self> {
        let system_identifier = server.control.as_ref()?.system_identifier.to_string();
        Some(Self { system_identifier, repository, ..Self::default() })
    }

    /// What was kept; an empty one if nothing was, or it is of another cluster or repository.
    pub(super) fn read(server: &Server, repository: String) -> Option<Self> {
        let empty = Self::empty(server, repository)?;
        let read = || -> Option<Self> {
            let directory = directory(server)?;
            fsx::is_private(&directory).ok()?.filter(|private| *private)?;
            let (file, _) = Glimpse::at(&directory.join(FILE)).ok()??;
            let mut text = Vec::new();
            file.take(MOST_BYTES).read_to_end(&mut text).ok()?;
            let state: Self = serde_json::from_slice(&text).ok()?;
            let is_same =
                state.system_identifier == empty.system_identifier && state.repository == empty.repository;
            is_same.then_some(state)
        };
        Some(read().unwrap_or(empty))
    }

    /// Keeps it. What cannot be written is no failure of the call: the next one tries again.
    fn write(&self, server: &Server) -> Option<()> {
        let directory = directory(server)?;
        fsx::make_private(&directory).ok()?.then_some(())?;
        let text = serde_json::to_vec(self).ok()?;
        fsx::replace_state(&directory, &directory.join(FILE), &text, Modes::Owner).ok()
    }

    /// Makes the copy what the repository has now.
    ///
    /// # Errors
    /// When a stored history cannot be read.
    pub(super) fn refresh(
        server: &Server,
        repository: &Repository<'_>,
        expected: Expected,
        stored: &[Timeline],
    ) -> Result<(), RepositoryError> {
        let Some(before) = Self::read(server, repository.location()) else { return Ok(()) };
        let mut now = Self { histories: BTreeMap::new(), ..before.clone() };
        for timeline in stored {
            let name = WalFileName::TimelineHistory(*timeline);
            let Some(fingerprint) = repository.fingerprint(name)?.map(|digest| digest.to_string()) else {
                continue;
            };
            let kept = before.histories.get(&name.to_string()).filter(|kept| kept.fingerprint == fingerprint);
            let history = match kept {
                Some(kept) => Some(kept.clone()),
                // One that is damaged now may have been whole when the copy was made: its text is kept.
                None => match repository.fetch_text(name, expected) {
                    Ok(text) => text.map(|text| History {
                        fingerprint,
                        text: String::from_utf8_lossy(&text).into_owned(),
                    }),
                    Err(RepositoryError::Damaged { .. }) => before.histories.get(&name.to_string()).cloned(),
                    Err(error) => return Err(error),
                },
            };
            now.histories.extend(history.map(|history| (name.to_string(), history)));
        }
        if now != before {
            let _ = now.write(server);
        }
        Ok(())
    }

    /// A timeline's history: its own, or the first lines of a descendant's.
    pub(super) fn history_text(&self, timeline: Timeline) -> Option<Vec<u8>> {
        let name = WalFileName::TimelineHistory(timeline).to_string();
        let own = self.histories.get(&name).map(|history| history.text.clone().into_bytes());
        let own = own.filter(|text| TimelineHistory::parse(timeline, text).is_ok());
        own.or_else(|| {
            let mut others = self.histories.values();
            others.find_map(|history| TimelineHistory::of_ancestor(timeline, history.text.as_bytes()))
        })
    }

    /// Notes that a missing segment was reported; `false` if it had been before.
    pub(super) fn report_once(server: &Server, repository: String, name: SegmentName) -> bool {
        let Some(mut state) = Self::read(server, repository) else { return true };
        let name = Some(name.to_string());
        if state.reported == name {
            return false;
        }
        state.reported = name;
        let _ = state.write(server);
        true
    }
}
