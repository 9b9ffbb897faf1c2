use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Value, json};

use super::SCHEMA;
use super::colour::{Colour, paint};
use super::sheet::paragraph;
use super::{retention, show_time};
use crate::commands::GateReport;
use crate::health::{
    BacklogFacts, ClusterFacts, Finding, Policy, Problem, RepositoryState, RetentionFacts, RunState, Source,
    Unknown, Verdict,
};
use crate::wal::SegmentRange;

/// The answer for people: what, why, and what to do next.
#[must_use]
pub fn gate_text(report: &GateReport, colour: Colour) -> String {
    let mut text = format!("gate: {}", paint(report.verdict, colour));
    match &report.facts.cluster {
        Ok(cluster) => {
            let _ = writeln!(text, ", {}", cluster_line(cluster));
        }
        Err(_) => text.push('\n'),
    }
    if let Ok(backlog) = &report.facts.backlog {
        text.push_str(&queue_lines(report, backlog));
    }
    if matches!(report.facts.repository, RepositoryState::NotNamed) && !report.policy.count_only {
        let what = "none is named (--repo), so the archive itself was not looked at";
        text.push_str(&paragraph("repository: ", "repository: ", what));
    }
    if let Some(Ok(retention)) = retention_of(&report.facts.repository) {
        let words = retention::horizon_words(retention);
        text.extend(words.map(|words| paragraph("horizon: ", "horizon: ", &words)));
    }
    if report.policy.is_final && matches!(report.verdict, Verdict::Ok | Verdict::Warning) {
        let mut what = "everything that this node wrote before its end is stored".to_owned();
        let has_lost = matches!(&report.facts.repository,
            RepositoryState::Usable(repository) if !repository.known_gaps.is_empty());
        what.push_str(if has_lost { ", but for what was acknowledged as lost" } else { "" });
        text.push_str(&paragraph("proven: ", "proven: ", &what));
    }
    text.push_str(&findings_text(&report.findings, colour));
    text
}

fn retention_of(state: &RepositoryState) -> Option<&Result<RetentionFacts, Unknown>> {
    match state {
        RepositoryState::Usable(facts) => facts.retention.as_ref(),
        _ => None,
    }
}

fn cluster_line(cluster: &ClusterFacts) -> String {
    let ClusterFacts { product, version, timeline, run_state, .. } = cluster;
    format!("{product} ({version}), {}, timeline {timeline}", run_state_words(*run_state))
}

/// A run state in words.
pub(super) const fn run_state_words(state: RunState) -> &'static str {
    match state {
        RunState::Primary => "primary, running",
        RunState::Standby => "standby, running",
        RunState::Recovering => "in recovery, running",
        RunState::InTransition => "starting or stopping",
        RunState::Stopped => "primary, shut down",
        RunState::StoppedInRecovery => "standby, shut down",
        RunState::Crashed => "not running, not shut down",
    }
}

fn queue_lines(report: &GateReport, backlog: &BacklogFacts) -> String {
    let mut text = pending_words(backlog);
    if let Some(head) = backlog.head {
        let waits = report.facts.now.duration_since(head.since).unwrap_or_default();
        let _ = write!(text, "; first {}, waits for {}", head.name, HumanDuration(waits));
    }
    if let Some(left) = report.drained_in {
        let _ = write!(text, "; about {} left at the pace of late", HumanDuration(left));
    }
    paragraph("queue: ", "queue: ", &text)
}

/// How much is pending, by kind, in words.
pub(super) fn pending_words(backlog: &BacklogFacts) -> String {
    let kinds = [
        (backlog.segments, "segments"),
        (backlog.histories, "histories"),
        (backlog.backups, "backup histories"),
        (backlog.partials, "partial segments"),
        (backlog.strangers, "that are no WAL files"),
    ];
    let parts: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    match backlog.ready_files {
        0 => "nothing is pending".to_owned(),
        files => format!("{files} pending ({}), {}", parts.join(", "), HumanBytes(backlog.bytes)),
    }
}

/// Findings for people, one paragraph each.
pub(super) fn findings_text(findings: &[Finding], colour: Colour) -> String {
    let mut text = String::new();
    for Finding { verdict, problem } in findings {
        let painted = format!("{}: ", paint(*verdict, colour));
        let _ =
            write!(text, "\n{}", paragraph(&format!("{}: ", verdict.word()), &painted, &problem.to_string()));
        text.extend(problem.why().map(|why| paragraph("  why:  ", "  why:  ", why)));
        text.extend(problem.next_step().map(|next| paragraph("  next: ", "  next: ", next)));
    }
    text
}

/// Findings for machines.
pub(super) fn findings_json(findings: &[Finding]) -> Value {
    let one = |Finding { verdict, problem }: &Finding| {
        let mut value = json!({
            "verdict": verdict.word(),
            "key": problem.key(),
            "message": problem.to_string(),
            "why": problem.why(),
            "next_step": problem.next_step(),
        });
        if let (Value::Object(to), Value::Object(details)) = (&mut value, details(problem)) {
            to.extend(details);
        }
        value
    };
    findings.iter().map(one).collect()
}

/// What a finding has beside its words.
fn details(problem: &Problem) -> Value {
    let ranges = |of: &[SegmentRange]| -> Value { of.iter().map(range_json).collect() };
    match problem {
        Problem::Pending { files, threshold } => json!({"files": files, "threshold": threshold}),
        Problem::Orphans { files, segments, others, .. } => json!({
            "files": files, "segments": ranges(segments),
            "others": others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Problem::OrphansStored { files } => json!({"files": files}),
        Problem::Stuck { head, for_so_long } => {
            json!({"head": head.to_string(), "seconds": for_so_long.as_secs()})
        }
        Problem::HeadConflict { head, .. } => json!({"head": head.to_string()}),
        Problem::ArchiveModeOff(source) => source_json(source.as_ref()),
        Problem::NoArchiveCommand { at, .. } => source_json(at.as_ref()),
        Problem::NoOpCommand { at, .. }
        | Problem::FailingCommand { at, .. }
        | Problem::MaskedCommand { at, .. }
        | Problem::CopyCommand { at, .. } => source_json(at.as_ref()),
        Problem::HiddenNoOp { at, .. }
        | Problem::ArchiveDest { at, .. }
        | Problem::LibraryAndCommand { at, .. } => source_json(Some(at)),
        Problem::Config(fault) => json!({"file": fault.file, "line": fault.line}),
        Problem::Gaps(of)
        | Problem::KnownGaps(of)
        | Problem::Unqueued(of)
        | Problem::MissingBeforeEnd(of) => {
            json!({"segments": ranges(of)})
        }
        Problem::LowSpace { free_bytes, .. } | Problem::TooSmallForBacklog { free_bytes, .. } => {
            json!({"free_bytes": free_bytes})
        }
        Problem::StaleClaim { key, for_so_long } => json!({"claim": key, "seconds": for_so_long.as_secs()}),
        Problem::SoonFull { left, held_by } => json!({"seconds": left.as_secs(), "held_by": held_by}),
        Problem::TwoPrimaries { one, other } => json!({"claims": [one, other]}),
        Problem::InactiveSlot { name, held_bytes } => json!({"slot": name, "held_bytes": held_bytes}),
        Problem::LostSlot { name, .. } | Problem::UnreadableSlot { name, .. } => json!({"slot": name}),
        _ => json!({}),
    }
}

pub(super) fn source_json(source: Option<&Source>) -> Value {
    source.map_or_else(|| json!({}), |source| json!({"file": source.file, "line": source.line}))
}

pub(super) fn range_json(range: &SegmentRange) -> Value {
    json!({"first": range.first().to_string(), "last": range.last().to_string()})
}

/// The queue for machines.
pub(super) fn backlog_json(backlog: &BacklogFacts) -> Value {
    json!({
        "ready_files": backlog.ready_files,
        "segments": backlog.segments,
        "histories": backlog.histories,
        "backups": backlog.backups,
        "partials": backlog.partials,
        "strangers": backlog.strangers,
        "bytes": backlog.bytes,
        "orphans": backlog.orphans,
        "orphans_stored": backlog.orphans_stored,
        "head": backlog.head.map(|head| json!({
            "name": head.name.to_string(), "waits_since": show_time(head.since),
        })),
        "last_done": backlog.last_done.map(|(name, at)| json!({
            "name": name.to_string(), "at": show_time(at),
        })),
    })
}

/// The cluster for machines.
pub(super) fn cluster_json(cluster: &ClusterFacts) -> Value {
    json!({
        "product": cluster.product,
        "version": cluster.version,
        "system_identifier": cluster.system_identifier.to_string(),
        "timeline": cluster.timeline.get(),
        "checkpoint": cluster.checkpoint.to_string(),
        "redo": cluster.redo.to_string(),
        "redo_segment": cluster.redo_segment.to_string(),
        "segment_bytes": cluster.segment_bytes,
        "state": run_state_key(cluster.run_state),
    })
}

/// A run state's short name; never changes its meaning.
const fn run_state_key(state: RunState) -> &'static str {
    match state {
        RunState::Primary => "primary",
        RunState::Standby => "standby",
        RunState::Recovering => "recovering",
        RunState::InTransition => "in_transition",
        RunState::Stopped => "shut_down",
        RunState::StoppedInRecovery => "shut_down_in_recovery",
        RunState::Crashed => "crashed",
    }
}

/// The answer for machines.
#[must_use]
pub fn gate_json(report: &GateReport) -> Value {
    json!({
        "schema": SCHEMA,
        "verdict": report.verdict.word(),
        "thresholds": {"warning": report.policy.warning, "critical": report.policy.critical},
        "count_only": report.policy.count_only,
        "final": report.policy.is_final,
        "cluster": report.facts.cluster.as_ref().ok().map(cluster_json),
        "queue": report.facts.backlog.as_ref().ok().map(backlog_json),
        "drained_in_seconds": report.drained_in.map(|left| left.as_secs()),
        "retention": retention_of(&report.facts.repository).map(retention::json),
        "findings": findings_json(&report.findings),
    })
}

/// The count's own verdict and the threshold that it is above, as repmgr judges it.
fn counted(report: &GateReport) -> Option<(u64, Verdict, Option<u64>)> {
    let files = report.facts.backlog.as_ref().ok()?.ready_files;
    let own = report.findings.iter().find_map(|finding| match finding.problem {
        Problem::Pending { threshold, .. } => Some((finding.verdict, threshold)),
        _ => None,
    });
    Some(match own {
        Some((verdict, threshold)) => (files, verdict, Some(threshold)),
        None => (files, Verdict::Ok, None),
    })
}

/// The line that `repmgr node check --archive-ready --optformat` prints (repmgr-action-node.c,
/// `do_node_check_archive_ready`). A verdict that the count does not give has no threshold.
#[must_use]
pub fn gate_repmgr(report: &GateReport) -> String {
    let verdict = report.verdict;
    match counted(report) {
        Some((files, own, threshold)) if verdict != Verdict::Unknown => {
            let threshold = threshold.filter(|_| own == verdict);
            let threshold =
                threshold.map_or_else(String::new, |threshold| format!(" --threshold={threshold}"));
            format!("--status={} --files={files}{threshold}\n", verdict.word())
        }
        _ => GATE_UNKNOWN_REPMGR.to_owned(),
    }
}

/// What repmgr prints where it cannot tell: with a blank at the end.
pub const GATE_UNKNOWN_REPMGR: &str = "--status=UNKNOWN \n";

/// The line for Nagios where nothing could be looked at.
#[must_use]
pub fn gate_unknown_nagios(reason: &str) -> String {
    format!("WALKEEP_GATE UNKNOWN: {}\n", one_line(reason))
}

/// The answer for machines where nothing could be looked at.
#[must_use]
pub fn gate_unknown_json(reason: &str) -> Value {
    let verdict = Verdict::Unknown.word();
    json!({"schema": SCHEMA, "verdict": verdict, "reason": reason, "findings": []})
}

/// The line that Nagios and its heirs read. With the count alone it is repmgr's own.
#[must_use]
pub fn gate_nagios(report: &GateReport) -> String {
    let Policy { warning, critical, count_only, .. } = report.policy;
    let label = if count_only { "REPMGR_ARCHIVE_READY" } else { "WALKEEP_GATE" };
    let word = report.verdict.word();
    let Ok(backlog) = &report.facts.backlog else {
        return format!("{label} {word}: unable to check archive_status directory\n");
    };
    let files = backlog.ready_files;
    let count = format!("files={files};{warning};{critical}");
    if count_only {
        return format!("{label} {word}: {files} pending archive ready files | {count}\n");
    }
    let others = report.findings.iter().filter(|finding| !matches!(finding.problem, Problem::Pending { .. }));
    let what: String =
        others.map(|finding| format!(", {}", one_line(&finding.problem.to_string()))).collect();
    let waits = backlog.head.and_then(|head| report.facts.now.duration_since(head.since).ok());
    let oldest = waits.unwrap_or_default().as_secs();
    let orphans = backlog.orphans;
    let bytes = backlog.bytes;
    format!(
        "{label} {word}: {files} pending archive ready files{what} | {count} bytes={bytes}B oldest={oldest}s \
         orphans={orphans}\n"
    )
}

/// `|` begins the performance data.
fn one_line(text: &str) -> String {
    text.replace(['|', '\n'], " ")
}
