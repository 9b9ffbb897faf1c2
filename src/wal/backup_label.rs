use super::{Lsn, ParseError, SegmentName, Timeline};

/// Where a base backup ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StopPoint {
    /// The position from which on the backup is consistent.
    pub lsn: Lsn,
    /// The last segment that the backup needs.
    pub segment: SegmentName,
}

/// What a base backup needs of the log: a `backup_label`, or the `.backup` file that a primary archives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupLabel {
    /// The redo point that recovery begins at.
    pub start: Lsn,
    /// The segment that holds the redo point.
    pub start_segment: SegmentName,
    /// The backup's end; only a `.backup` file knows it.
    pub stop: Option<StopPoint>,
    /// The checkpoint record that the backup began with.
    pub checkpoint: Lsn,
    /// `streamed`, `pg_start_backup` (up to 14) or `pg_rewind`.
    pub method: Option<String>,
    /// `primary` (`master` up to 13) or `standby`.
    pub from: Option<String>,
    /// When the backup began, in the server's words and time zone.
    pub start_time: Option<String>,
    /// When the backup ended, likewise.
    pub stop_time: Option<String>,
    /// The name that a person or a tool gave the backup.
    pub label: Option<String>,
    /// The timeline that the backup began on (from 11 on).
    pub start_timeline: Option<Timeline>,
    /// The timeline that the backup ended on (from 11 on).
    pub stop_timeline: Option<Timeline>,
}

impl BackupLabel {
    /// Reads either file, of any version since 9.6 (`read_backup_label` in access/transam): locations only from
    /// lines that are whole, other lines where they are, unknown lines not at all. A line counts where it
    /// first stands, so that a label of several lines cannot move a location.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let text = String::from_utf8_lossy(bytes);
        refuse_carriage_returns(&text)?;
        let whole_lines = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let required = |key, what| value(whole_lines, key).ok_or_else(|| ParseError::new(what, &text));

        let (start, start_segment) =
            required("START WAL LOCATION: ", "a backup label with a whole START WAL LOCATION line")
                .and_then(location)?;
        let checkpoint =
            required("CHECKPOINT LOCATION: ", "a backup label with a whole CHECKPOINT LOCATION line")
                .and_then(str::parse)?;
        let stop = value(whole_lines, "STOP WAL LOCATION: ").map(location).transpose()?;
        let owned = |key| value(&text, key).map(str::to_owned);
        Ok(Self {
            start,
            start_segment,
            stop: stop.map(|(lsn, segment)| StopPoint { lsn, segment }),
            checkpoint,
            method: owned("BACKUP METHOD: "),
            from: owned("BACKUP FROM: "),
            start_time: owned("START TIME: "),
            stop_time: owned("STOP TIME: "),
            label: owned("LABEL: "),
            start_timeline: timeline(&text, "START TIMELINE: ", Some(start_segment))?,
            stop_timeline: timeline(&text, "STOP TIMELINE: ", stop.map(|(_, segment)| segment))?,
        })
    }
}

/// Servers refuse a file that was saved with CRLF: so must whoever says that a backup can be restored.
fn refuse_carriage_returns(text: &str) -> Result<(), ParseError> {
    match (1..).zip(text.split_inclusive('\n')).find(|(_, line)| line.ends_with("\r\n")) {
        Some((number, line)) => {
            Err(ParseError::new("a line that ends in a line feed alone", line).at_line(number))
        }
        None => Ok(()),
    }
}

/// What follows the key on the first line that begins with it.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split('\n').find_map(|line| line.strip_prefix(key))
}

/// Reads `LSN (file SEGMENT)`.
fn location(text: &str) -> Result<(Lsn, SegmentName), ParseError> {
    let (lsn, segment) =
        text.split_once(" (file ").and_then(|(lsn, rest)| Some((lsn, rest.strip_suffix(')')?))).ok_or_else(
            || ParseError::new("a location such as 0/3000028 (file 000000010000000000000003)", text),
        )?;
    Ok((lsn.parse()?, segment.parse()?))
}

/// Reads a timeline in decimal, which must be that of the segment on its location line, as servers demand too.
fn timeline(text: &str, key: &str, segment: Option<SegmentName>) -> Result<Option<Timeline>, ParseError> {
    let Some(number) = value(text, key) else { return Ok(None) };
    let timeline = number
        .trim_end()
        .parse()
        .ok()
        .and_then(Timeline::new)
        .ok_or_else(|| ParseError::new("a timeline in a backup label", number))?;
    if segment.is_some_and(|segment| segment.timeline() != timeline) {
        return Err(ParseError::new("the timeline of the segment that the backup label names", number));
    }
    Ok(Some(timeline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::fixtures::fixture;
    use proptest::prelude::*;

    const BACKUP: &str = "START WAL LOCATION: 0/1E000028 (file 00000001000000000000001E)\n\
        STOP WAL LOCATION: 0/1E000100 (file 00000001000000000000001E)\n\
        CHECKPOINT LOCATION: 0/1E000060\n\
        BACKUP METHOD: streamed\n\
        BACKUP FROM: primary\n\
        START TIME: 2026-11-21 01:52:35 UTC\n\
        LABEL: pg_basebackup base backup\n\
        START TIMELINE: 1\n\
        STOP TIME: 2026-11-21 01:52:35 UTC\n\
        STOP TIMELINE: 1\n";

    fn parse(text: &str) -> Result<BackupLabel, ParseError> {
        BackupLabel::parse(text.as_bytes())
    }

    #[test]
    fn a_real_backup_history_is_read_in_full() {
        let bytes = fixture!("15-debian/wal/00000001000000000000001E.00000028.backup");
        assert_eq!(bytes, BACKUP.as_bytes());
        let segment: SegmentName = "00000001000000000000001E".parse().unwrap();
        let time = Some("2026-11-21 01:52:35 UTC".to_owned());
        let read = BackupLabel {
            start: Lsn::new(0x1E00_0028),
            start_segment: segment,
            stop: Some(StopPoint { lsn: Lsn::new(0x1E00_0100), segment }),
            checkpoint: Lsn::new(0x1E00_0060),
            method: Some("streamed".to_owned()),
            from: Some("primary".to_owned()),
            start_time: time.clone(),
            stop_time: time,
            label: Some("pg_basebackup base backup".to_owned()),
            start_timeline: Some(Timeline::FIRST),
            stop_timeline: Some(Timeline::FIRST),
        };
        assert_eq!(BackupLabel::parse(bytes).unwrap(), read);
        BackupLabel::parse(fixture!("15-debian/wal/000000010000000000000025.00000028.backup")).unwrap();
    }

    #[test]
    fn a_real_backup_label_has_no_end() {
        let label = BackupLabel::parse(fixture!("15-debian/backup_label")).unwrap();
        assert_eq!(label.start.to_string(), "0/25000028");
        assert_eq!((label.stop, label.stop_time, label.stop_timeline), (None, None, None));
    }

    #[test]
    fn labels_of_9_6_and_of_19_are_read() {
        let old = "START WAL LOCATION: 1/3000028 (file 000000020000000100000003)\n\
            CHECKPOINT LOCATION: 1/3000060\nBACKUP METHOD: pg_start_backup\nBACKUP FROM: master\n\
            START TIME: 2016-10-01 00:00:00 CEST\nLABEL: \n";
        let label = parse(old).unwrap();
        assert_eq!((label.start_timeline, label.label.as_deref()), (None, Some("")));
        let new = "START WAL LOCATION: 1/03000028 (file 000000020000000100000003)\n\
            CHECKPOINT LOCATION: 1/03000060\nLABEL: x\nSTART TIMELINE: 2\n\
            INCREMENTAL FROM LSN: 1/01000028\nINCREMENTAL FROM TLI: 2\n";
        assert_eq!(parse(new).unwrap().start, label.start);
    }

    #[test]
    fn a_label_of_several_lines_moves_no_location() {
        let text = BACKUP.replace(
            "pg_basebackup base backup",
            "x\nSTART WAL LOCATION: 0/9000028 (file 000000010000000000000009)\nCHECKPOINT LOCATION: 0/9",
        );
        let label = parse(&text).unwrap();
        assert_eq!((label.start, label.checkpoint), (Lsn::new(0x1E00_0028), Lsn::new(0x1E00_0060)));
    }

    #[test]
    fn what_the_server_would_refuse_is_refused() {
        for (from, to) in [
            ("\n", "\r\n"),
            ("START WAL", "START"),
            ("CHECKPOINT LOCATION", "CHECKPOINT"),
            (" (file 00000001000000000000001E)", ""),
            ("0/1E000060", "0"),
            ("START TIMELINE: 1", "START TIMELINE: 2"),
            ("START TIMELINE: 1", "START TIMELINE: 0"),
            ("STOP TIMELINE: 1", "STOP TIMELINE: 2"),
        ] {
            assert!(parse(&BACKUP.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_file_never_shows_a_wrong_location(end in 0..BACKUP.len()) {
            if let Ok(cut) = BackupLabel::parse(&BACKUP.as_bytes()[..end]) {
                let whole = parse(BACKUP).unwrap();
                prop_assert_eq!(
                    (cut.start, cut.start_segment, cut.stop, cut.checkpoint),
                    (whole.start, whole.start_segment, whole.stop, whole.checkpoint)
                );
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0..BACKUP.len(), byte: u8) {
            let _ = BackupLabel::parse(&bytes);
            let mut broken = BACKUP.as_bytes().to_vec();
            broken[at] = byte;
            let _ = BackupLabel::parse(&broken);
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_label_its_timelines_are_those_of_its_segments(
                bytes in mutated(vec![
                    BACKUP.as_bytes().to_vec(),
                    fixture!("15-debian/wal/00000001000000000000001E.00000028.backup").to_vec(),
                    fixture!("15-debian/wal/000000010000000000000025.00000028.backup").to_vec(),
                ]),
            ) {
                match BackupLabel::parse(&bytes) {
                    Ok(label) => {
                        let own = label.start_segment.timeline();
                        prop_assert!(label.start_timeline.is_none_or(|timeline| timeline == own));
                        let stop = label.stop.map(|stop| stop.segment.timeline());
                        prop_assert!(stop.is_none() || label.stop_timeline.is_none() || label.stop_timeline == stop);
                    }
                    Err(error) => prop_assert!(error.to_string().len() < 2000, "a message stays short"),
                }
            }
        }
    }
}
