use super::{Lsn, ParseError, Timeline};

/// One line of a timeline's history: an ancestor, and how far it was followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryEntry {
    /// The ancestor.
    pub timeline: Timeline,
    /// The position up to which the ancestor was followed; from there on the next timeline counts.
    pub switch: Lsn,
    /// Why it was left, as the server put it.
    pub reason: String,
}

impl HistoryEntry {
    /// Reads a line, its line feed included. White space must follow the position: one that ends the file may
    /// have been cut, and would pass for an earlier one.
    fn parse(line: &str) -> Option<Self> {
        let (timeline, rest) = line.trim_start_matches(is_space).split_once(is_space)?;
        let (switch, reason) = rest.trim_start_matches(is_space).split_once(is_space)?;
        Some(Self {
            timeline: timeline.parse().ok().and_then(Timeline::new)?,
            switch: switch.parse().ok()?,
            reason: reason.trim_matches(is_space).to_owned(),
        })
    }
}

/// Where a timeline came from: its ancestors, oldest first, as its `.history` file lists them. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimelineHistory {
    timeline: Timeline,
    entries: Vec<HistoryEntry>,
}

impl TimelineHistory {
    /// Reads the file as servers do (`readTimeLineHistory` in access/transam/timeline.c): comments and blank
    /// lines are skipped, ancestors rise and lie below the timeline itself. Unlike there, a file without an
    /// entry is refused: only timeline 1 has no ancestor, and it has no file.
    pub fn parse(timeline: Timeline, bytes: &[u8]) -> Result<Self, ParseError> {
        let text = String::from_utf8_lossy(bytes);
        let mut entries: Vec<HistoryEntry> = Vec::new();
        for (number, line) in (1..).zip(text.split_inclusive('\n')).filter(|(_, line)| !is_remark(line)) {
            let refuse = |what| ParseError::new(what, line.trim_matches(is_space)).at_line(number);
            let entry = HistoryEntry::parse(line)
                .ok_or_else(|| refuse("a whole entry of a timeline history (timeline, position, reason)"))?;
            if entries.last().is_some_and(|before| before.timeline >= entry.timeline) {
                return Err(refuse("an entry for a higher timeline than the entry before it"));
            }
            if entry.timeline >= timeline {
                return Err(refuse("an entry for a lower timeline than the history's own"));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(ParseError::new("a timeline history with at least one entry", &text));
        }
        Ok(Self { timeline, entries })
    }

    /// The history of an ancestor, byte for byte as its server wrote it: the first lines of a descendant's, up to the one
    /// that names the ancestor. `None` if the text does not name it, or names no parent of it.
    ///
    /// Servers copy the parent's file before they append their own line (`writeTimeLineHistory` in
    /// access/transam/timeline.c).
    #[must_use]
    pub fn of_ancestor(ancestor: Timeline, descendant: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        for line in descendant.split_inclusive(|byte| *byte == b'\n') {
            let entry = HistoryEntry::parse(&String::from_utf8_lossy(line));
            if entry.is_some_and(|entry| entry.timeline == ancestor) {
                // They begin their own line with a line feed, after the one that ends the parent's text.
                if text.ends_with(b"\n\n") {
                    text.pop();
                }
                return Self::parse(ancestor, &text).ok().map(|_| text);
            }
            text.extend_from_slice(line);
        }
        None
    }

    /// The timeline whose history this is.
    #[must_use]
    pub const fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The ancestors, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.entries
    }

    /// Whether two histories tell of the same forks, whatever reasons they give.
    #[must_use]
    pub fn has_the_forks_of(&self, other: &Self) -> bool {
        let forks = |history: &Self| -> Vec<_> {
            history.entries.iter().map(|entry| (entry.timeline, entry.switch)).collect()
        };
        forks(self) == forks(other)
    }

    /// The position up to which the ancestor was followed; `None` for a timeline that is no ancestor.
    #[must_use]
    pub fn switch_from(&self, ancestor: Timeline) -> Option<Lsn> {
        self.entries.iter().find(|entry| entry.timeline == ancestor).map(|entry| entry.switch)
    }
}

/// Whether servers skip the line: it is blank or a comment.
fn is_remark(line: &str) -> bool {
    let text = line.trim_start_matches(is_space);
    text.is_empty() || text.starts_with('#')
}

/// C's `isspace`, which `sscanf` goes by.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::fixtures::fixture;
    use proptest::prelude::*;

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).unwrap()
    }

    fn refusal(own: u32, text: &str) -> String {
        TimelineHistory::parse(timeline(own), text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn histories_of_real_servers_are_read() {
        for (own, bytes, switches) in [
            (2, fixture!("12/wal/00000002.history.target_lsn"), &["0/2E02F818"][..]),
            (3, fixture!("12/wal/00000003.history"), &["0/3302F0C0", "0/35000000"]),
            (2, fixture!("15-debian/wal/00000002.history"), &["0/240277B0"]),
            (2, fixture!("15-debian/wal/00000002.history.target_lsn"), &["0/2B031000"]),
            (2, fixture!("17/wal/00000002.history.target_lsn"), &["0/3402F898"]),
            (3, fixture!("17/wal/00000003.history"), &["0/3902F0C0", "0/3B000000"]),
            (2, fixture!("18/wal/00000002.history.target_lsn"), &["0/902F350"]),
        ] {
            let history = TimelineHistory::parse(timeline(own), bytes).unwrap();
            let read: Vec<_> = history.entries().iter().map(|entry| entry.switch.to_string()).collect();
            assert_eq!(read, switches);
            assert_eq!(history.timeline(), timeline(own));
        }
    }

    #[test]
    fn the_reason_is_kept_without_the_blank_lines_around_it() {
        let history = TimelineHistory::parse(timeline(3), fixture!("12/wal/00000003.history")).unwrap();
        let reasons: Vec<_> = history.entries().iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!(reasons, ["after LSN 0/3302F080", "no recovery target specified"]);
    }

    #[test]
    fn comments_and_any_spacing_are_read_as_servers_do() {
        let text = b"# by hand\n\n \t# too\n  1 \t 0/03000000\xA0\n2\t1/0003F8E0\t\xFF\xFE\n7\t2/0\n";
        assert!(TimelineHistory::parse(timeline(9), text).is_err(), "no white space after the position");
        let text = b"# by hand\n\n \t# too\n  1 \t 0/03000000\n2\t1/0003F8E0\t\xFF\xFE\n7\t2/0\n";
        let history = TimelineHistory::parse(timeline(9), text).unwrap();
        assert_eq!(history.switch_from(timeline(1)), Some(Lsn::new(0x0300_0000)));
        assert_eq!(history.switch_from(timeline(2)), Some(Lsn::new(0x1_0003_F8E0)));
        assert_eq!(history.switch_from(timeline(7)), Some(Lsn::new(0x2_0000_0000)));
        assert_eq!(history.switch_from(timeline(3)), None);
        assert_eq!(history.switch_from(timeline(9)), None);
    }

    #[test]
    fn a_refusal_names_the_line() {
        assert!(refusal(2, "\n1\tnowhere\treason\n").starts_with("line 2: '1\\tnowhere\\treason' is not"));
        assert!(refusal(5, "2\t0/1\tx\n2\t0/2\ty\n").contains("line 2: "));
        assert!(refusal(5, "# c\n2\t0/1\tx\n\n5\t0/2\ty\n").contains("line 4: "));
        assert!(refusal(2, "0\t0/1\tx\n").contains("line 1: "));
    }

    #[test]
    fn a_history_begins_with_its_ancestors_histories() {
        let first = "1\t0/3000000\tno recovery target specified\n";
        // A reason may end in a line feed of its own.
        let second = format!("{first}\n2\t0/5000000\tafter LSN 0/4FFFF80\n\n");
        let third = format!("{second}\n5\t0/7000000\tno recovery target specified\n");
        let of = |ancestor, text: &str| {
            let found = TimelineHistory::of_ancestor(timeline(ancestor), text.as_bytes());
            found.map(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(of(2, &second).as_deref(), Some(first));
        assert_eq!(of(2, &third).as_deref(), Some(first));
        assert_eq!(of(5, &third), Some(second));
        assert_eq!(of(1, &third), None, "the first timeline has no history");
        assert_eq!(of(3, &third), None, "not named");
        assert_eq!(of(2, "2\t0/5000000\tits ancestors were lost\n"), None);
    }

    #[test]
    fn a_history_without_an_entry_is_refused() {
        for text in ["", "\n\n", "# nothing\n", "\0\0\0\0"] {
            refusal(2, text);
        }
        refusal(1, "");
    }

    #[test]
    fn a_file_cut_within_a_position_is_refused() {
        let whole = "1\t0/3000000\tx\n2\t0/5000000\tno recovery target specified\n";
        for end in 0..whole.len() {
            let read = TimelineHistory::parse(timeline(3), &whole.as_bytes()[..end]);
            for entry in read.iter().flat_map(TimelineHistory::entries) {
                assert!(["0/3000000", "0/5000000"].contains(&entry.switch.to_string().as_str()), "{end}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_server_writes_reads_back(
            steps in prop::collection::vec((1u32..1000, any::<u64>(), "[ -~]{0,60}"), 1..20),
            padded: bool,
        ) {
            let mut text = String::new();
            let mut ancestor = 0;
            let mut written = Vec::new();
            for (step, position, reason) in steps {
                ancestor += step;
                let (high, low) = (position >> 32, position & 0xFFFF_FFFF);
                let lsn = if padded { format!("{high:X}/{low:08X}") } else { format!("{high:X}/{low:X}") };
                text += &format!("{ancestor}\t{lsn}\t{reason}\n\n");
                let reason = reason.trim().to_owned();
                written.push(HistoryEntry { timeline: timeline(ancestor), switch: Lsn::new(position), reason });
            }
            let history = TimelineHistory::parse(timeline(ancestor + 1), text.as_bytes()).unwrap();
            prop_assert_eq!(history.entries(), &written[..]);
            prop_assert!(TimelineHistory::parse(timeline(ancestor), text.as_bytes()).is_err());
        }

        #[test]
        fn no_bytes_panic(own in 1u32.., bytes: Vec<u8>, text in "([0-9#\t /A-F\n\r\0]{0,30}\n){0,4}") {
            let _ = TimelineHistory::parse(timeline(own), &bytes);
            if let Ok(history) = TimelineHistory::parse(timeline(own), text.as_bytes()) {
                prop_assert!(history.entries().iter().all(|entry| entry.timeline < history.timeline()));
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_history_its_entries_ascend_to_its_own_timeline(
                own in 1u32..9,
                bytes in mutated(vec![
                    fixture!("12/wal/00000003.history").to_vec(),
                    fixture!("15-debian/wal/00000002.history").to_vec(),
                    fixture!("17/wal/00000003.history").to_vec(),
                ]),
            ) {
                if let Ok(history) = TimelineHistory::parse(timeline(own), &bytes) {
                    let timelines: Vec<_> = history.entries().iter().map(|entry| entry.timeline).collect();
                    prop_assert!(timelines.is_sorted_by(|a, b| a < b));
                    prop_assert!(timelines.iter().all(|timeline| *timeline < history.timeline()));
                    prop_assert!(timelines.len() <= bytes.split(|byte| *byte == b'\n').count());
                }
            }
        }
    }
}
