//! Which files of an archive may go, decided from their names alone, as the servers' own program decides
//! (`SetWALFileNameForCleanup` and `CleanupPriorWALFiles` in pg_archivecleanup.c of PostgreSQL 17). Names are bytes
//! here: it takes names that no server writes, such as those of timeline 0, and so must we.

/// Length of a segment's name: timeline, log and segment, eight digits each.
const SEGMENT_CHARS: usize = 24;

/// Length of the timeline, which is not compared.
const TIMELINE_CHARS: usize = 8;

const PARTIAL: &[u8] = b".partial";
const BACKUP: &[u8] = b".backup";

/// The name of the oldest segment that stays, as it was given: `.partial` and `.backup` stand for their segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OldestKept(String);

impl OldestKept {
    /// Reads the argument; `None` where it is no name of a segment, partial segment or base backup.
    #[must_use]
    pub fn parse(argument: &[u8], extension: &[u8]) -> Option<Self> {
        let name = without_extension(argument, extension);
        let (segment, rest) = split_segment(name)?;
        let known = rest.is_empty() || rest == PARTIAL || is_backup_with_offset(rest);
        known.then(|| Self(segment.to_owned()))
    }

    /// The segment's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name comes before it, whatever the timelines: a parent's segment is never removed too early so,
    /// and unrelated timelines' are removed as well.
    fn is_after(&self, name: &[u8]) -> bool {
        let cutoff = self.0.as_bytes();
        name.get(TIMELINE_CHARS..) < cutoff.get(TIMELINE_CHARS..)
    }
}

/// What one call takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    /// What comes before this one is no longer needed.
    pub oldest_kept: OldestKept,
    /// What is cut off a file's name before it is looked at, such as `.gz`; names without it are taken as well.
    pub extension: Vec<u8>,
    /// Whether base backups' histories go as well.
    pub backup_histories: bool,
}

impl Selection {
    /// Whether a file of this name goes. A timeline's history never does.
    #[must_use]
    pub fn takes(&self, file_name: &[u8]) -> bool {
        let name = without_extension(file_name, &self.extension);
        let known = match split_segment(name) {
            Some((_, b"")) => true,
            Some((_, rest)) => rest == PARTIAL || (self.backup_histories && rest.ends_with(BACKUP)),
            None => false,
        };
        known && self.oldest_kept.is_after(name)
    }
}

/// Cuts an ending off a name that is more than that ending (`TrimExtension`).
fn without_extension<'n>(name: &'n [u8], extension: &[u8]) -> &'n [u8] {
    name.strip_suffix(extension).filter(|stem| !stem.is_empty()).unwrap_or(name)
}

/// A segment's name and what follows it; `None` where a name does not begin with exactly 24 upper-case digits.
fn split_segment(name: &[u8]) -> Option<(&str, &[u8])> {
    let digits = name.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')).count();
    let (segment, rest) = name.split_at_checked(SEGMENT_CHARS).filter(|_| digits == SEGMENT_CHARS)?;
    Some((std::str::from_utf8(segment).ok()?, rest))
}

/// Whether this is `.OFFSET.backup`, with an offset as generous as `sscanf("%08X")` reads it.
fn is_backup_with_offset(rest: &[u8]) -> bool {
    let Some(offset) = rest.strip_prefix(b".").filter(|_| rest.ends_with(BACKUP)) else { return false };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = offset.iter().take_while(|byte| blank(byte)).count();
    let offset = offset.get(start..).unwrap_or_default();
    let unsigned = offset.strip_prefix(b"+").or_else(|| offset.strip_prefix(b"-")).unwrap_or(offset);
    unsigned.first().is_some_and(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEPT: &str = "00000001000000370000000E";

    fn selection(argument: &str, extension: &str, backup_histories: bool) -> Selection {
        let extension = extension.as_bytes().to_vec();
        let oldest_kept = OldestKept::parse(argument.as_bytes(), &extension).unwrap();
        Selection { oldest_kept, extension, backup_histories }
    }

    #[test]
    fn partial_backup_and_extension_stand_for_their_segment() {
        for (argument, extension) in [
            (KEPT.to_owned(), ""),
            (format!("{KEPT}.partial"), ""),
            (format!("{KEPT}.00000028.backup"), ""),
            (format!("{KEPT}.gz"), ".gz"),
            (format!("{KEPT}.partial.gz"), ".gz"),
            (format!("{KEPT}.00000028.backup.gz"), ".gz"),
            (KEPT.to_owned(), ".gz"),
        ] {
            assert_eq!(OldestKept::parse(argument.as_bytes(), extension.as_bytes()).unwrap().as_str(), KEPT);
        }
    }

    #[test]
    fn what_is_no_segment_is_no_oldest_kept_file() {
        for argument in [
            "",
            "foo",
            "00000002.history",
            "00000001000000370000000e",
            "00000001000000370000000",
            "00000001000000370000000E0",
            "00000001000000370000000E.gz",
            "00000001000000370000000E.partial.partial",
            "00000001000000370000000E.x.backup",
            "00000001000000370000000EA.00000028.backup",
            "./00000001000000370000000E",
        ] {
            assert_eq!(OldestKept::parse(argument.as_bytes(), b""), None, "{argument}");
        }
    }

    #[test]
    fn a_backup_argument_with_a_log_number_keeps_what_is_newer() {
        // openGauss computes the cutoff 000000013700000000000010 from this one, and removes every segment.
        let chosen = selection("000000010000003700000010.00000020.backup", "", false);
        assert!(chosen.takes(b"00000001000000370000000F"));
        for newer in ["000000010000003700000010", "000000010000003700000011", "000000010000003800000000"] {
            assert!(!chosen.takes(newer.as_bytes()), "{newer}");
        }
    }

    #[test]
    fn an_oldest_kept_file_of_zeroes_removes_nothing() {
        let chosen = selection("000000000000000000000000", "", true);
        assert!(!chosen.takes(b"000000010000000000000000") && !chosen.takes(b"000000010000000000000001"));
    }

    /// The program's own steps in another way: regular expressions' worth of text, compared as text.
    fn model(file: &str, kept: &str, extension: &str, backup_histories: bool) -> bool {
        let stem = match file.strip_suffix(extension) {
            Some(stem) if !stem.is_empty() => stem,
            _ => file,
        };
        let hex = |text: &str| text.len() == 24 && text.chars().all(|c| "0123456789ABCDEF".contains(c));
        let (head, tail) = stem.split_once('.').map_or((stem, None), |(head, tail)| (head, Some(tail)));
        let known = match tail {
            None | Some("partial") => hex(head),
            Some(tail) => hex(head) && backup_histories && (tail == "backup" || tail.ends_with(".backup")),
        };
        known && stem.as_bytes()[8..] < kept.as_bytes()[8..24]
    }

    fn file_name() -> impl Strategy<Value = String> {
        let known = "0000000[0-3][0]{7}[0-2]0000000[0-9A-F]";
        let ending = prop_oneof![
            Just(""),
            Just(".partial"),
            Just(".00000028.backup"),
            Just(".backup"),
            Just(".x.backup"),
            Just(".partial.backup"),
            Just(".history"),
            Just(".sha256"),
            Just("0")
        ];
        let extension = prop_oneof![Just(""), Just(".gz"), Just(".zst")];
        prop_oneof![
            8 => (known, ending, extension).prop_map(|(name, ending, more)| format!("{name}{ending}{more}")),
            1 => "0000000[0-3]\\.history(|\\.gz)",
            1 => "[0-9A-Fa-f.]{0,34}",
        ]
    }

    proptest! {
        #[test]
        fn what_goes_is_what_the_model_says(
            files in proptest::collection::vec(file_name(), 0..40),
            kept in "0000000[0-3][0]{7}[0-2]0000000[0-9A-F]",
            form in prop_oneof![Just(""), Just(".partial"), Just(".00000028.backup")],
            extension in prop_oneof![Just(""), Just(".gz"), Just(".zst"), Just(".backup"), Just("0")],
            backup_histories: bool,
        ) {
            let argument = format!("{kept}{form}");
            if let Some(oldest_kept) = OldestKept::parse(argument.as_bytes(), extension.as_bytes()) {
                prop_assert_eq!(oldest_kept.as_str(), &kept);
                let extension = extension.as_bytes().to_vec();
                let chosen = Selection { oldest_kept, extension: extension.clone(), backup_histories };
                let extension = std::str::from_utf8(&extension).unwrap();
                for file in files {
                    let expected = model(&file, &kept, extension, backup_histories);
                    prop_assert_eq!(chosen.takes(file.as_bytes()), expected, "{}", file);
                }
            }
        }

        #[test]
        fn nothing_at_or_after_the_oldest_kept_file_goes(
            position in any::<u64>(), later in any::<u64>(), timeline in any::<u32>(), backup_histories: bool,
            ending in prop_oneof![Just(""), Just(".partial"), Just(".00000028.backup"), Just(".gz")],
        ) {
            let (kept, file) = (position.min(later), position.max(later));
            let chosen = selection(&format!("00000001{kept:016X}"), ".gz", backup_histories);
            let file = format!("{timeline:08X}{file:016X}{ending}");
            prop_assert!(!chosen.takes(file.as_bytes()));
        }

        #[test]
        fn no_bytes_panic(
            file in proptest::collection::vec(any::<u8>(), 0..60),
            argument in proptest::collection::vec(any::<u8>(), 0..60),
            extension in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            if let Some(oldest_kept) = OldestKept::parse(&argument, &extension) {
                let _ = Selection { oldest_kept, extension: extension.clone(), backup_histories: true }.takes(&file);
            }
            let chosen = selection(KEPT, "", true);
            let _ = Selection { extension, ..chosen }.takes(&file);
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_name_only_what_comes_before_goes(
                oldest in mutated(vec![
                    b"000000010000000000000010".to_vec(),
                    b"000000010000000000000010.partial".to_vec(),
                    b"000000010000000000000010.00000028.backup".to_vec(),
                ]),
                name in mutated(vec![b"00000001000000000000000F".to_vec(), b"00000002.history".to_vec(), b"00000001000000000000000F.gz".to_vec()]),
            ) {
                if let Some(oldest_kept) = OldestKept::parse(&oldest, b".gz") {
                    let kept = oldest_kept.as_str().to_owned();
                    let selection = Selection { oldest_kept, extension: b".gz".to_vec(), backup_histories: true };
                    if selection.takes(&name) {
                        prop_assert!(name[8..24] < kept.as_bytes()[8..]);
                        prop_assert!(!name.ends_with(b".history"));
                    }
                }
            }
        }
    }
}
