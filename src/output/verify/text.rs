use std::fmt::Display;

use indicatif::HumanBytes;

use super::super::sheet::paragraph;
use super::history_name;
use crate::commands::facts::Status;
use crate::commands::{Finding, Tally, VerifyReport, VerifyVerdict};
use crate::wal::{GapKind, SegmentRange, TimelineCoverage, WalFileKind};

/// How many ranges, gaps and findings people are shown of each sort; JSON has them all.
const MOST_SHOWN: usize = 50;

/// Says what was found, for people: what is wrong first.
#[must_use]
pub fn verify_text(report: &VerifyReport) -> String {
    let mut lines = Lines(String::new());
    let verdict = match report.verdict() {
        VerifyVerdict::Sound => "everything is sound, and nothing is missing",
        VerifyVerdict::Findings => "NOT sound",
        VerifyVerdict::CannotTell => "cannot tell: not everything could be read",
    };
    lines.add(format_args!("{}: {verdict}", report.repository));
    finding_lines(&mut lines, report);
    gap_lines(&mut lines, report);
    hint_lines(&mut lines, report);
    file_lines(&mut lines, report);
    for timeline in report.timelines.iter().filter(|timeline| !timeline.ranges.is_empty()) {
        timeline_lines(&mut lines, timeline);
    }
    comparison_lines(&mut lines, report);
    note_lines(&mut lines, report);
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, line: impl Display) {
        self.0 += &line.to_string();
        self.0.push('\n');
    }

    fn fact(&mut self, label: &str, fact: impl Display) {
        let (label, fact) = (format!("  {label:<16}"), fact.to_string());
        if fact.contains('\n') {
            // What two files hold is told in lines of its own.
            return self.add(label + &fact);
        }
        self.0 += &paragraph(&label, &label, &fact);
    }

    /// The first ones of many, and how many more there are.
    fn some<T>(&mut self, label: &str, all: impl Iterator<Item = T>, show: impl Fn(T) -> String) {
        let mut further = 0;
        for (at, one) in all.enumerate() {
            if at < MOST_SHOWN {
                self.fact(label, show(one));
            } else {
                further += 1;
            }
        }
        if further > 0 {
            self.fact(label, format_args!("... and {further} more"));
        }
    }
}

fn finding_lines(lines: &mut Lines, report: &VerifyReport) {
    lines.some("finding", report.findings.iter(), shown);
    if report.further_findings > 0 {
        lines.fact("finding", format_args!("... and {} that were not kept", report.further_findings));
    }
}

fn shown(finding: &Finding) -> String {
    match finding {
        Finding::Damaged { file, reason } => format!("damaged: '{file}': {reason}"),
        Finding::Unreadable { file, reason } => format!("cannot be read: '{file}': {reason}"),
        Finding::Contradiction { contradiction } => {
            let told = |fork: crate::wal::Fork| {
                let (by, parent, switch) = (history_name(fork.told_by), fork.parent, fork.switch);
                format!("'{by}' says from timeline {parent} at {switch}")
            };
            format!(
                "contradiction: where timeline {} comes from, {}, {}",
                contradiction.about,
                told(contradiction.one),
                told(contradiction.other),
            )
        }
        Finding::NoHistory { timeline } => {
            format!(
                "no history: segments of timeline {timeline} are stored, '{}' is not",
                history_name(*timeline)
            )
        }
        Finding::NotStored { name, status: Some(Status::Done) } => {
            format!("marked done but not stored: '{name}'")
        }
        Finding::NotStored { name, .. } => format!("finished but not stored: '{name}'"),
        Finding::OtherContent { conflict } => {
            format!("stored with other content: {conflict}").replace('\n', "\n                  ")
        }
    }
}

fn gap_lines(lines: &mut Lines, report: &VerifyReport) {
    let counted = |range: SegmentRange| match report.segment_size.map(|size| range.count(size)) {
        Some(1) | None => range.to_string(),
        Some(count) => format!("{range} ({count} segments)"),
    };
    lines.some("gap", report.gaps(GapKind::Unknown), |range| format!("{} is missing", counted(range)));
    lines.some("known gap", report.known_gaps.iter(), |gap| {
        let (reason, at, node) = (gap.reason.escape_debug(), &gap.acknowledged_at, &gap.node);
        format!("{}: {reason} (acknowledged at {at} on {node})", counted(gap.range))
    });
    lines.some("behind a fork", report.gaps(GapKind::BehindFork), |range| {
        format!("{} is missing; no newer timeline needs it", counted(range))
    });
}

fn hint_lines(lines: &mut Lines, report: &VerifyReport) {
    let any = |is: fn(&Finding) -> bool| report.findings.iter().any(is);
    if any(|finding| matches!(finding, Finding::Damaged { .. })) {
        lines.fact(
            "hint",
            "'walkeep inspect FILE' shows what a damaged file holds; 'walkeep set-aside NAME --reason TEXT' takes it \
             out of the way, so that a sound copy can be archived.",
        );
    }
    if any(|finding| matches!(finding, Finding::NotStored { .. })) {
        lines.fact("hint", "'walkeep drain --missing -D DIR' archives what is finished and not stored.");
    }
    if any(|finding| matches!(finding, Finding::OtherContent { .. })) {
        lines.fact(
            "hint",
            "Find out which server wrote which, and whether one of them must not archive here.",
        );
    }
    if any(|finding| matches!(finding, Finding::NoHistory { .. })) {
        lines.fact(
            "hint",
            "Every server of the cluster keeps histories in its WAL directory: archive it from there.",
        );
    }
    if report.gaps(GapKind::Unknown).next().is_some() {
        lines.fact(
            "hint",
            "Look for missing segments in the WAL directories of this cluster and its standbys, and archive \
             them; what is lost is acknowledged with 'walkeep drain --acknowledge-lost', and a new base backup is \
             due.",
        );
    }
}

fn file_lines(lines: &mut Lines, report: &VerifyReport) {
    match (report.identity, report.segment_size) {
        (Some(identity), _) => lines.fact(
            "cluster",
            format_args!(
                "system identifier {}, segments of {}",
                identity.system_identifier, identity.segment_size
            ),
        ),
        (None, _) => lines.fact("cluster", "none yet"),
    }
    for ((kind, form), tally) in &report.files {
        lines.fact(kind_name(*kind), format_args!("{} as {}", sizes(*tally), form.key()));
    }
    if report.files.is_empty() {
        lines.fact("files", "none");
    }
    lines.fact("read now", sizes(report.read));
    lines.fact("read before", format_args!("{}, and untouched since", sizes(report.from_marks)));
    if report.vanished_files > 0 {
        lines.fact("went away", format_args!("{} files, meanwhile", report.vanished_files));
    }
}

fn sizes(tally: Tally) -> String {
    let Tally { files, stored_bytes, original_bytes } = tally;
    let noun = if files == 1 { "file" } else { "files" };
    format!("{files} {noun}, {} stored, {} of WAL", HumanBytes(stored_bytes), HumanBytes(original_bytes))
}

const fn kind_name(kind: WalFileKind) -> &'static str {
    match kind {
        WalFileKind::TimelineHistory => "histories",
        WalFileKind::Segment => "segments",
        WalFileKind::BackupHistory => "base backups",
        WalFileKind::Partial => "partials",
    }
}

fn timeline_lines(lines: &mut Lines, coverage: &TimelineCoverage) {
    let label = format!("timeline {}", coverage.timeline);
    lines.some(&label, coverage.ranges.iter(), ToString::to_string);
}

fn comparison_lines(lines: &mut Lines, report: &VerifyReport) {
    let Some(comparison) = &report.comparison else { return };
    lines.fact("compared with", format_args!("'{}'", comparison.wal_directory));
    let counts = [
        (comparison.same, "stored with the same WAL"),
        (comparison.pending, "waiting to be archived"),
        (comparison.open, "not finished yet"),
        (comparison.older, "older than anything that is stored"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        lines.fact("", format_args!("{count} {what}"));
    }
}

fn note_lines(lines: &mut Lines, report: &VerifyReport) {
    lines.some("orphan digest", report.orphan_digests.iter(), |file| {
        format!("'{file}' lies beside no file; it decides nothing")
    });
    if report.foreign_count > 0 {
        let names = report.foreign_names.iter().take(3);
        let names: Vec<String> = names.map(|name| format!("'{}'", name.escape_debug())).collect();
        let dots = if report.foreign_count > 3 { ", ..." } else { "" };
        lines.fact(
            "left alone",
            format_args!("{} names that are no WAL files: {}{dots}", report.foreign_count, names.join(", ")),
        );
    }
}
