//! Texts: histories and labels, which are small, read whole.

use std::io::{self, Write};

use super::{Expected, Repository, RepositoryError};
use crate::wal::{Timeline, TimelineHistory, WalFileName};

impl Repository<'_> {
    /// A small text file whole; `None` where it is not stored.
    ///
    /// # Errors
    /// As [`Repository::fetch`].
    pub fn fetch_text(
        &self,
        name: WalFileName,
        expected: Expected,
    ) -> Result<Option<Vec<u8>>, RepositoryError> {
        let mut text = Head::default();
        let fetched = self.fetch(name, expected, &mut text)?;
        Ok(fetched.map(|_| text.0))
    }

    /// How a timeline came to be, as its stored history tells; `None` where that is not stored.
    ///
    /// # Errors
    /// As [`Repository::fetch`].
    pub fn history(
        &self,
        timeline: Timeline,
        expected: Expected,
    ) -> Result<Option<TimelineHistory>, RepositoryError> {
        let text = self.fetch_text(WalFileName::TimelineHistory(timeline), expected)?;
        // What was fetched was proven to parse.
        Ok(text.and_then(|text| TimelineHistory::parse(timeline, &text).ok()))
    }

    /// The histories among the names of stored files.
    ///
    /// # Errors
    /// As [`Repository::fetch`].
    pub fn histories(
        &self,
        names: impl IntoIterator<Item = WalFileName>,
        expected: Expected,
    ) -> Result<Vec<TimelineHistory>, RepositoryError> {
        let timelines = names.into_iter().filter_map(WalFileName::history_of);
        timelines.filter_map(|timeline| self.history(timeline, expected).transpose()).collect()
    }
}

/// The beginning of a file, longer than any history or label ever is.
#[derive(Default)]
struct Head(Vec<u8>);

impl Head {
    const MOST_BYTES: usize = 1 << 20;
}

impl Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let missing = Self::MOST_BYTES.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..missing).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
