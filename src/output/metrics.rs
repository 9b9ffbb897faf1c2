//! Metrics in the text format of Prometheus (exposition format 0.0.4): names with `walkeep_`, base units. What is not
//! known has no sample; the verdict says that it is not.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use crate::commands::{Flow, StatusReport, Totals, Trend};
use crate::health::{Facts, RepositoryState, Verdict};

/// A data directory that is watched, as a look found it.
pub struct Watched<'a> {
    /// The data directory.
    pub data_directory: &'a Path,
    /// What was found.
    pub report: &'a StatusReport,
    /// What the watch has done since it began.
    pub totals: Totals,
    /// How its queue came and went since then.
    pub trend: Trend,
}

/// All metrics of what is watched.
#[must_use]
pub fn metrics(watched: &[Watched<'_>]) -> String {
    let mut page = Page { text: String::new() };
    page.head("walkeep_build_info", "gauge", "The version of walkeep.");
    page.sample("walkeep_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    for family in FAMILIES {
        page.head(family.name, family.kind, family.help);
        for one in watched {
            let directory = one.data_directory.to_string_lossy();
            for (labels, value) in (family.samples)(one) {
                let mut all = vec![("data_directory", &*directory)];
                all.extend(labels.iter().map(|(name, value)| (*name, value.as_str())));
                page.sample(family.name, &all, value);
            }
        }
    }
    page.durations(watched);
    page.text
}

/// Samples of one name: labels, and a value.
type Samples = Vec<(Vec<(&'static str, String)>, u64)>;

struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&Watched<'_>) -> Samples,
}

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Watched<'_>) -> Samples) -> Family {
    Family { name, kind: "gauge", help, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&Watched<'_>) -> Samples) -> Family {
    Family { name, kind: "counter", help, samples }
}

const FAMILIES: [Family; 21] = [
    gauge("walkeep_verdict", "The verdict of 'walkeep status': the one that holds is 1.", verdicts),
    gauge("walkeep_findings", "Findings of 'walkeep status', by verdict.", findings),
    gauge(
        "walkeep_problem",
        "What 'walkeep status' finds, by the key of its JSON: how many of a kind; none of what is not found.",
        problems,
    ),
    gauge("walkeep_pending_files", "Files that wait to be archived, by kind.", pending),
    gauge("walkeep_ready_files", "What 'repmgr node check --archive-ready' counts.", |one| {
        backlog(one, |backlog, _| Some(backlog.ready_files))
    }),
    gauge("walkeep_pending_bytes", "Bytes that wait to be archived.", |one| {
        backlog(one, |backlog, _| Some(backlog.bytes))
    }),
    gauge("walkeep_orphan_files", "Pending files whose WAL file is gone.", |one| {
        backlog(one, |backlog, _| Some(backlog.orphans))
    }),
    gauge(
        "walkeep_oldest_pending_age_seconds",
        "For how long the first pending file waits; 0 where none does.",
        |one| backlog(one, |backlog, now| Some(backlog.head.map_or(0, |head| age(now, head.since)))),
    ),
    gauge("walkeep_last_archived_age_seconds", "How long ago the server marked a file done.", |one| {
        backlog(one, |backlog, now| backlog.last_done.map(|(_, at)| age(now, at)))
    }),
    gauge("walkeep_repository_free_bytes", "Bytes that may still be stored.", |one| {
        archive(one, |archive| archive.free_bytes.as_ref().ok().copied())
    }),
    gauge("walkeep_repository_usable", "Whether the repository can be read, and is this cluster's.", usable),
    gauge("walkeep_horizon_position_bytes", "The earliest position of WAL that somebody needs.", horizon),
    gauge("walkeep_slot_retained_bytes", "Bytes of WAL that a replication slot holds back.", slots),
    gauge("walkeep_claim_age_seconds", "How long ago a node said what it needs.", claims),
    counter("walkeep_archived_files_total", "Files that the watch stored since it began.", |one| {
        alone(Some(one.totals.files))
    }),
    counter("walkeep_archived_bytes_total", "Their bytes before they were packed.", |one| {
        alone(Some(one.totals.bytes))
    }),
    counter(
        "walkeep_archive_failures_total",
        "Failures of files that the watch told since it began.",
        |one| alone(Some(one.totals.failures)),
    ),
    counter(
        "walkeep_generated_segments_total",
        "Segments that the server finished since the watch began.",
        |one| flow(one, |flow| flow.generated_segments),
    ),
    counter("walkeep_generated_bytes_total", "Their bytes.", |one| flow(one, |flow| flow.generated_bytes)),
    counter(
        "walkeep_drained_segments_total",
        "Finished segments that wait no more, whoever stored them, since the watch began.",
        |one| flow(one, |flow| flow.drained_segments),
    ),
    counter("walkeep_drained_bytes_total", "Their bytes.", |one| flow(one, |flow| flow.drained_bytes)),
];

fn flow(one: &Watched<'_>, of: impl Fn(&Flow) -> u64) -> Samples {
    alone(Some(of(&one.trend.total())))
}

fn alone(value: Option<u64>) -> Samples {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

fn labelled(name: &'static str, label: &str, value: u64) -> (Vec<(&'static str, String)>, u64) {
    (vec![(name, label.to_owned())], value)
}

fn facts<'a>(one: &'a Watched<'_>) -> Option<&'a Facts> {
    one.report.node.as_ref().map(|node| &node.facts)
}

fn age(now: SystemTime, at: SystemTime) -> u64 {
    now.duration_since(at).unwrap_or_default().as_secs()
}

fn backlog(
    one: &Watched<'_>,
    told: impl Fn(&crate::health::BacklogFacts, SystemTime) -> Option<u64>,
) -> Samples {
    let backlog = facts(one).and_then(|facts| facts.backlog.as_ref().ok());
    alone(backlog.and_then(|backlog| told(backlog, one.report.now)))
}

fn archive(one: &Watched<'_>, told: impl Fn(&crate::commands::ArchiveOverview) -> Option<u64>) -> Samples {
    alone(one.report.archive.as_ref().and_then(|archive| archive.as_ref().ok()).and_then(told))
}

fn verdicts(one: &Watched<'_>) -> Samples {
    let all = [Verdict::Ok, Verdict::Warning, Verdict::Critical, Verdict::Unknown];
    let told = |verdict: Verdict| {
        labelled("verdict", &verdict.word().to_ascii_lowercase(), u64::from(verdict == one.report.verdict))
    };
    all.into_iter().map(told).collect()
}

fn findings(one: &Watched<'_>) -> Samples {
    let all = [Verdict::Warning, Verdict::Critical, Verdict::Unknown];
    let count =
        |verdict| one.report.findings.iter().filter(|finding| finding.verdict == verdict).count() as u64;
    let told = |verdict: Verdict| labelled("verdict", &verdict.word().to_ascii_lowercase(), count(verdict));
    all.into_iter().map(told).collect()
}

fn problems(one: &Watched<'_>) -> Samples {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for finding in &one.report.findings {
        *counts.entry((finding.problem.key(), finding.verdict.word())).or_default() += 1;
    }
    let told = |((key, verdict), count): ((&str, &str), u64)| {
        (vec![("problem", key.to_owned()), ("verdict", verdict.to_ascii_lowercase())], count)
    };
    counts.into_iter().map(told).collect()
}

fn pending(one: &Watched<'_>) -> Samples {
    let Some(backlog) = facts(one).and_then(|facts| facts.backlog.as_ref().ok()) else { return Vec::new() };
    vec![
        labelled("kind", "segment", backlog.segments),
        labelled("kind", "history", backlog.histories),
        labelled("kind", "backup", backlog.backups),
        labelled("kind", "partial", backlog.partials),
        labelled("kind", "stranger", backlog.strangers),
    ]
}

fn usable(one: &Watched<'_>) -> Samples {
    let state = facts(one).map(|facts| &facts.repository);
    alone(state.map(|state| u64::from(matches!(state, RepositoryState::Usable(_)))))
}

fn horizon(one: &Watched<'_>) -> Samples {
    let retention = one.report.retention.as_ref().and_then(|retention| retention.as_ref().ok());
    alone(retention.and_then(|retention| retention.pins.first()).map(|pin| pin.from.get()))
}

fn slots(one: &Watched<'_>) -> Samples {
    let slots = facts(one).and_then(|facts| facts.slots.as_ref().ok());
    let readable = slots.into_iter().flatten().filter(|slot| slot.unreadable.is_none());
    readable.map(|slot| labelled("slot", &slot.name, slot.held_bytes)).collect()
}

fn claims(one: &Watched<'_>) -> Samples {
    let Some(RepositoryState::Usable(repository)) = facts(one).map(|facts| &facts.repository) else {
        return Vec::new();
    };
    let told = |claim: &crate::health::ClaimFacts| {
        (vec![("node", claim.node.clone()), ("claim", claim.key.clone())], claim.age.as_secs())
    };
    repository.claims.iter().flatten().map(told).collect()
}

struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    fn durations(&mut self, watched: &[Watched<'_>]) {
        const NAME: &str = "walkeep_archive_duration_seconds";
        self.head(NAME, "histogram", "How long a file took until its bytes were durable.");
        for one in watched {
            let directory = one.data_directory.to_string_lossy();
            let bounds = Totals::BOUNDS_MS.iter().map(|ms| format!("{}.{:03}", ms / 1000, ms % 1000));
            let mut files = 0;
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(one.totals.took) {
                files += count;
                let labels = [("data_directory", &*directory), ("le", &bound)];
                self.sample(&format!("{NAME}_bucket"), &labels, files);
            }
            let labels = [("data_directory", &*directory)];
            self.sample(&format!("{NAME}_sum"), &labels, one.totals.took_in_all.as_secs_f64());
            self.sample(&format!("{NAME}_count"), &labels, files);
        }
    }
}

/// A label's value: what the format escapes, and nothing that a terminal would follow.
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_foreign_byte_breaks_a_label() {
        assert_eq!(escaped("a\\b\"c\nd\u{1b}e"), "a\\\\b\\\"c\\nd\u{fffd}e");
    }

    #[test]
    fn a_histogram_counts_up_to_all_files() {
        let report = StatusReport {
            verdict: Verdict::Unknown,
            findings: Vec::new(),
            now: SystemTime::UNIX_EPOCH,
            node: None,
            archive: None,
            retention: None,
        };
        let mut totals = Totals { files: 3, took_in_all: Duration::from_millis(1500), ..Totals::default() };
        totals.took[0] = 1;
        totals.took[12] = 2;
        let data_directory = Path::new("/d\n\"\\");
        let watched = Watched { data_directory, report: &report, totals, trend: Trend::default() };
        let text = metrics(&[watched]);
        for line in [
            "walkeep_archive_duration_seconds_bucket{data_directory=\"/d\\n\\\"\\\\\",le=\"0.005\"} 1\n",
            "walkeep_archive_duration_seconds_bucket{data_directory=\"/d\\n\\\"\\\\\",le=\"60.000\"} 1\n",
            "walkeep_archive_duration_seconds_bucket{data_directory=\"/d\\n\\\"\\\\\",le=\"+Inf\"} 3\n",
            "walkeep_archive_duration_seconds_sum{data_directory=\"/d\\n\\\"\\\\\"} 1.5\n",
            "walkeep_archive_duration_seconds_count{data_directory=\"/d\\n\\\"\\\\\"} 3\n",
            "walkeep_verdict{data_directory=\"/d\\n\\\"\\\\\",verdict=\"unknown\"} 1\n",
            "walkeep_verdict{data_directory=\"/d\\n\\\"\\\\\",verdict=\"ok\"} 0\n",
        ] {
            assert!(text.contains(line), "{line}\n---\n{text}");
        }
        assert!(!text.contains("walkeep_repository_free_bytes{"), "what is not known has no sample");
    }
}
