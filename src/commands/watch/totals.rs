use std::time::Duration;

use super::Note;

/// What a watch has done since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Files that were stored, or found stored by their contents.
    pub files: u64,
    /// Their bytes before they were packed.
    pub bytes: u64,
    /// Failures of files, as often as they were told.
    pub failures: u64,
    /// How many files took no longer than each of [`Totals::BOUNDS_MS`]; all that took longer come last.
    pub took: [u64; Totals::BOUNDS_MS.len() + 1],
    /// How long all of them took.
    pub took_in_all: Duration,
}

impl Totals {
    /// Upper bounds of the times that a file takes, in milliseconds.
    pub const BOUNDS_MS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000];

    /// Counts what is told.
    pub fn count(&mut self, note: &Note<'_>) {
        match note {
            Note::Stored { bytes, took, .. } => {
                self.files += 1;
                self.bytes += bytes;
                self.took_in_all += *took;
                let at = Self::BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < *took);
                if let Some(bucket) = self.took.get_mut(at) {
                    *bucket += 1;
                }
            }
            Note::FileFails { .. } => self.failures += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_counted_where_its_time_belongs() {
        let name = "000000010000000000000003".parse().unwrap();
        let mut totals = Totals::default();
        for ms in [0, 5, 6, 60_000, 60_001, 10_000_000] {
            totals.count(&Note::Stored { name, bytes: 10, took: Duration::from_millis(ms) });
        }
        assert_eq!((totals.files, totals.bytes), (6, 60));
        assert_eq!(totals.took, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
