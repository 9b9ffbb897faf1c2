mod json;

pub use json::status_json;

use std::time::{Duration, SystemTime};

use indicatif::{HumanBytes, HumanCount, HumanDuration};

use super::colour::{Colour, paint};
use super::gate::{findings_text, pending_words, run_state_words};
use super::sheet::Sheet;
use super::{retention, show_time};
use crate::commands::facts::{Measure, StoredForm};
use crate::commands::{ArchiveOverview, NodeOverview, StatusReport, TimelineOverview};
use crate::health::{
    ArchiveMode, ArchiverFacts, BacklogFacts, ClusterFacts, RepositoryState, SlotFacts, Source, Unknown,
};
use crate::wal::{GapKind, SegmentRange, WalFileKind};

/// How many of a kind are told on the one screen; what is left out is counted.
const MOST_TOLD: usize = 5;

/// One screen for people: the verdict, what there is, and then what was found.
#[must_use]
pub fn status_text(report: &StatusReport, colour: Colour) -> String {
    let findings = match report.findings.len() {
        0 => String::new(),
        1 => ", 1 finding".to_owned(),
        count => format!(", {count} findings"),
    };
    let mut sheet = Sheet::default();
    let now = report.now;
    if let Some(node) = &report.node {
        sheet.section("cluster", cluster_lines(node));
        sheet.section("queue", told(&node.facts.backlog, |backlog| queue_lines(node, backlog, now)));
        sheet.section("archiver", told(&node.facts.archiver, archiver_lines));
    }
    match &report.archive {
        None => sheet.section("repository", ["none is named (--repo)".to_owned()]),
        Some(Err(unknown)) => sheet.section("repository", [format!("cannot be used: {}", unknown.0)]),
        Some(Ok(archive)) => {
            sheet.section("repository", repository_lines(archive, now));
            sheet.section("timelines", timeline_lines(archive));
            sheet.section("backups", backup_lines(archive));
            let free_bytes = archive.free_bytes.as_ref().ok().copied();
            let lines = |retention| told(retention, |facts| retention::lines(facts, free_bytes));
            sheet.section("retention", report.retention.as_ref().map(lines).unwrap_or_default());
        }
    }
    if let Some(node) = &report.node {
        sheet.section("slots", told(&node.facts.slots, |slots| slot_lines(slots)));
    }
    let verdict = paint(report.verdict, colour);
    let findings_text = findings_text(&report.findings, colour);
    format!("status: {verdict}{findings}\n\n{}{findings_text}", sheet.into_text())
}

pub(super) fn told<T>(known: &Result<T, Unknown>, lines: impl Fn(&T) -> Vec<String>) -> Vec<String> {
    match known {
        Ok(known) => lines(known),
        Err(unknown) => vec![format!("not known: {}", unknown.0)],
    }
}

/// How long ago, in words.
fn ago(at: SystemTime, now: SystemTime) -> String {
    match now.duration_since(at) {
        Ok(since) => format!("{} ago", HumanDuration(whole_seconds(since))),
        Err(_) => format!("ahead of the clock ({})", show_time(at)),
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The first few, and how many there are beyond them.
fn first_few(mut lines: Vec<String>, what: &str) -> Vec<String> {
    let more = lines.len().saturating_sub(MOST_TOLD);
    lines.truncate(MOST_TOLD);
    lines.extend((more > 0).then(|| format!("and {more} more {what}")));
    lines
}

pub(super) fn cluster_lines(node: &NodeOverview) -> Vec<String> {
    let mut lines = told(&node.facts.cluster, cluster_facts_lines);
    lines.push(format!("data directory {}", node.data_directory.display()));
    lines.extend(node.wal_directory.iter().map(|wal| format!("WAL directory {}", wal.display())));
    lines
}

fn cluster_facts_lines(cluster: &ClusterFacts) -> Vec<String> {
    let ClusterFacts { product, version, timeline, checkpoint, redo, redo_segment, run_state, .. } = cluster;
    vec![
        format!("{product} ({version}), {}", run_state_words(*run_state)),
        format!("system identifier {}, timeline {timeline}", cluster.system_identifier),
        format!("checkpoint {checkpoint}, redo {redo} in {redo_segment}"),
    ]
}

pub(super) fn queue_lines(node: &NodeOverview, backlog: &BacklogFacts, now: SystemTime) -> Vec<String> {
    let mut lines = vec![pending_words(backlog)];
    if let Some(head) = backlog.head {
        let waits = whole_seconds(now.duration_since(head.since).unwrap_or_default());
        lines.push(format!("first {}, waits for {}", head.name, HumanDuration(waits)));
    }
    lines.extend(
        node.drained_in.map(|left| format!("about {} left at the pace of late", HumanDuration(left))),
    );
    lines.extend(backlog.last_done.map(|(name, at)| format!("last done {name}, {}", ago(at, now))));
    if backlog.orphans > 0 {
        let stored = backlog.orphans_stored;
        lines.push(format!("{} gone from the WAL directory, {stored} of them stored", backlog.orphans));
    }
    lines.extend(first_few(backlog.lost.iter().map(|range| format!("lost {range}")).collect(), "ranges"));
    lines
}

fn at(source: Option<&Source>) -> String {
    source.map_or_else(|| " (default)".to_owned(), |source| format!(" ({source})"))
}

pub(super) fn archiver_lines(archiver: &ArchiverFacts) -> Vec<String> {
    let (mode, mode_at) = &archiver.mode;
    let (command, command_at) = &archiver.command;
    let mut lines = vec![
        format!("archive_mode = {}{}", mode_word(*mode), at(mode_at.as_ref())),
        format!("archive_command = '{command}'{}", at(command_at.as_ref())),
    ];
    let others = [("archive_library", &archiver.library), ("archive_dest", &archiver.dest)];
    let others = others.iter().filter_map(|(name, set)| Some((name, set.as_ref()?)));
    lines.extend(others.map(|(name, (value, source))| format!("{name} = '{value}' ({source})")));
    let hidden =
        archiver.hidden_commands.iter().map(|(value, source)| format!("hidden: '{value}' ({source})"));
    lines.extend(first_few(hidden.collect(), "hidden ones"));
    lines
}

const fn mode_word(mode: ArchiveMode) -> &'static str {
    match mode {
        ArchiveMode::Off => "off",
        ArchiveMode::On => "on",
        ArchiveMode::Always => "always",
    }
}

pub(super) fn repository_lines(archive: &ArchiveOverview, now: SystemTime) -> Vec<String> {
    let holdings = &archive.holdings;
    let mut lines = vec![archive.location.clone(), form_words(archive), stored_words(archive)];
    lines.push(match &archive.free_bytes {
        Ok(free) => format!("{} free", HumanBytes(*free)),
        Err(unknown) => format!("free space not known: {}", unknown.0),
    });
    lines.extend(holdings.newest.map(|(name, at)| format!("last stored {name}, {}", ago(at, now))));
    lines.extend(leftovers(archive));
    if holdings.strangers > 0 {
        let examples: Vec<String> =
            holdings.stranger_examples.iter().map(|name| format!("'{name}'")).collect();
        let names = if holdings.strangers == 1 { "name that is" } else { "names that are" };
        lines.push(format!(
            "{} {names} not ours: {}",
            holdings.strangers,
            shortened(holdings.strangers, &examples)
        ));
    }
    match &archive.known_gaps {
        Err(unknown) => lines.push(format!("known gaps not known: {}", unknown.0)),
        Ok(gaps) => {
            let gaps = gaps.iter().map(|gap| format!("known gap {}: {}", gap.range, gap.reason));
            lines.extend(first_few(gaps.collect(), "known gaps"));
        }
    }
    lines.extend(archive.unreadable_histories.iter().take(MOST_TOLD).cloned());
    lines
}

/// Examples of so many.
fn shortened(count: u64, examples: &[String]) -> String {
    let more = if count > examples.len() as u64 { ", ..." } else { "" };
    format!("{}{more}", examples.join(", "))
}

fn form_words(archive: &ArchiveOverview) -> String {
    let form = match archive.charter.form {
        StoredForm::Zstd => "zstd",
        StoredForm::Plain => "plain files",
    };
    let adopted = if archive.charter.adopted { "adopted" } else { "made" };
    let bound = archive.identity.map_or_else(
        || "bound to no cluster yet".to_owned(),
        |identity| format!("bound to {}, segments of {}", identity.system_identifier, identity.segment_size),
    );
    format!("{form}, {adopted} {}, {bound}", archive.charter.created_at)
}

const KINDS: [(WalFileKind, &str, &str); 4] = [
    (WalFileKind::Segment, "segment", "segments"),
    (WalFileKind::Partial, "partial segment", "partial segments"),
    (WalFileKind::TimelineHistory, "history", "histories"),
    (WalFileKind::BackupHistory, "backup history", "backup histories"),
];

fn stored_words(archive: &ArchiveOverview) -> String {
    let holdings = &archive.holdings;
    let of = |kind| holdings.of(kind);
    let told = KINDS.iter().filter(|(kind, ..)| of(*kind).files > 0);
    let counts: Vec<String> = told
        .map(|(kind, one, many)| match of(*kind).files {
            1 => format!("1 {one}"),
            files => format!("{} {many}", HumanCount(files)),
        })
        .collect();
    if counts.is_empty() {
        return "nothing is stored".to_owned();
    }
    let all: u64 = holdings.kinds.values().map(|measure| measure.bytes).sum();
    format!("{}; {} stored{}", counts.join(", "), HumanBytes(all), ratio_words(archive))
}

fn ratio_words(archive: &ArchiveOverview) -> String {
    let stored = pages(archive).bytes;
    match archive.original_bytes {
        Some(original) if original > 0 && stored > 0 => {
            let tenths = u128::from(original) * 10 / u128::from(stored);
            format!(" of {} ({}.{}x)", HumanBytes(original), tenths / 10, tenths % 10)
        }
        _ => String::new(),
    }
}

/// Segments and partial segments, which are as long as each other before they are packed.
fn pages(archive: &ArchiveOverview) -> Measure {
    let (whole, partial) =
        (archive.holdings.of(WalFileKind::Segment), archive.holdings.of(WalFileKind::Partial));
    Measure { files: whole.files + partial.files, bytes: whole.bytes + partial.bytes }
}

fn leftovers(archive: &ArchiveOverview) -> Option<String> {
    let (staged, set_aside) = (archive.holdings.staged, archive.holdings.set_aside);
    let parts = [(staged, "in staging"), (set_aside, "set aside")];
    let told: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// The newest timelines matter most at night, and come last.
pub(super) fn timeline_lines(archive: &ArchiveOverview) -> Vec<String> {
    let timelines = &archive.timelines;
    let older = timelines.len().saturating_sub(MOST_TOLD);
    let mut lines: Vec<String> = (older > 0).then(|| format!("{older} older ones")).into_iter().collect();
    for timeline in timelines.iter().skip(older) {
        lines.push(timeline_words(timeline));
        let fork = timeline.fork.map(|fork| format!("  forked from {} at {}", fork.parent, fork.switch));
        lines.extend(fork);
        let gaps = timeline.coverage.gaps.iter();
        let gaps = gaps.map(|gap| format!("  {} {}", gap_word(gap.kind), gap.range));
        lines.extend(first_few(gaps.collect(), "gaps"));
    }
    lines
}

fn timeline_words(timeline: &TimelineOverview) -> String {
    let number = timeline.coverage.timeline;
    let ends = timeline.coverage.ranges.first().zip(timeline.coverage.ranges.last());
    let whole = ends.and_then(|(first, last)| SegmentRange::new(first.first(), last.last()));
    match (whole, timeline.segments) {
        (Some(whole), 1) => format!("{number}: 1 segment, {whole}"),
        (Some(whole), count) => format!("{number}: {} segments, {whole}", HumanCount(count)),
        (None, _) => format!("{number}: no segment"),
    }
}

const fn gap_word(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Unknown => "gap",
        GapKind::Known => "known gap",
        GapKind::BehindFork => "unneeded gap behind the fork",
    }
}

fn backup_lines(archive: &ArchiveOverview) -> Option<String> {
    let files = archive.holdings.of(WalFileKind::BackupHistory).files;
    archive.newest_backup.map(|newest| format!("{files}, the newest begins in {newest}"))
}

pub(super) fn slot_lines(slots: &[SlotFacts]) -> Vec<String> {
    if slots.is_empty() {
        return vec!["none".to_owned()];
    }
    first_few(slots.iter().map(slot_words).collect(), "slots")
}

fn slot_words(slot: &SlotFacts) -> String {
    if let Some(reason) = &slot.unreadable {
        return format!("{}: cannot be read: {reason}", slot.name);
    }
    let kind = if slot.is_physical { "physical" } else { "logical" };
    let from = slot.restart_lsn.map_or_else(|| "needs nothing yet".to_owned(), |from| format!("from {from}"));
    let held = HumanBytes(slot.held_bytes);
    let lost = slot.lost.as_ref().map(|loss| format!(", lost: {}", loss.reason.unwrap_or("given up")));
    let stands = if slot.is_inactive { ", does not move" } else { "" };
    format!("{}: {kind}, {from}, holds back {held}{stands}{}", slot.name, lost.unwrap_or_default())
}

/// What a repository's state is called where it was judged.
const fn state_key(state: &RepositoryState) -> &'static str {
    match state {
        RepositoryState::NotNamed => "not_named",
        RepositoryState::Unusable { .. } => "unusable",
        RepositoryState::OfAnotherCluster { .. } => "of_another_cluster",
        RepositoryState::NotJudged { .. } => "not_judged",
        RepositoryState::Usable(_) => "usable",
    }
}
