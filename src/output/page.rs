//! The page: what is watched, for people with a browser. All of it is text and pictures made here, so that it needs no
//! script and nothing from elsewhere; the browser loads it anew by itself. It says what `status` says, in its words.
//! It is as long as its findings and slots are many, and [`MOST_TOLD`] of them at most; every picture is of a bounded size.

mod html;
mod queue;
mod timelines;

use std::time::Duration;

use indicatif::{BinaryBytes, HumanBytes, HumanCount, HumanDuration};

use super::status::{
    archiver_lines, cluster_lines, queue_lines, repository_lines, slot_lines, timeline_lines, told,
};
use super::{Watched, retention, show_time};
use crate::commands::{ArchiveOverview, NodeOverview, Rates, StatusReport};
use crate::health::{BacklogFacts, Finding, RetentionFacts, Unknown, Verdict};
use crate::wal::{Lsn, SegmentSize};
use html::Html;

/// How many findings of a data directory are told; what is left out is counted.
const MOST_TOLD: usize = 60;

/// The page as a look found things; `now` is counted as in [`Trend::see`](crate::commands::Trend::see).
#[must_use]
pub fn page(node: &str, watched: &[Watched<'_>], now: Duration) -> String {
    let verdict = Verdict::worst(watched.iter().map(|one| one.report.verdict));
    let mut html = Html::default();
    head(&mut html, node, verdict);
    let found: usize = watched.iter().map(|one| one.report.findings.len()).sum();
    let words = match found {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        found => format!("{found} findings"),
    };
    banner(&mut html, verdict, &words);
    for one in watched {
        if watched.len() > 1 {
            name_of_node(&mut html, one);
        }
        findings(&mut html, &one.report.findings);
        html.mark("<div class=\"cards\">\n");
        if let Some(node) = &one.report.node {
            queue_card(&mut html, one, node, now);
            cluster_card(&mut html, node);
        }
        html.mark("</div>\n");
    }
    // All of them have one repository.
    if let Some(best) = watched.iter().max_by_key(|one| matches!(one.report.archive, Some(Ok(_)))) {
        archive_cards(&mut html, best.report);
    }
    foot(&mut html, watched.iter().map(|one| show_time(one.report.now)).next_back());
    html.into_text()
}

/// The page where nothing can be told, with the reason.
#[must_use]
pub fn unknown_page(node: &str, why: &str) -> String {
    let mut html = Html::default();
    head(&mut html, node, Verdict::Unknown);
    banner(&mut html, Verdict::Unknown, why);
    foot(&mut html, None);
    html.into_text()
}

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Unknown => "unknown",
        Verdict::Critical => "critical",
    }
}

/// The colour of the dot that stands in the browser's tab.
const fn dot(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "16794a",
        Verdict::Warning => "d39a2a",
        Verdict::Unknown => "6741a3",
        Verdict::Critical => "d33131",
    }
}

fn head(html: &mut Html, node: &str, verdict: Verdict) {
    html.mark("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.mark("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.mark("<meta http-equiv=\"refresh\" content=\"15\">\n");
    html.mark("<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E");
    html.mark("%3Ccircle cx='8' cy='8' r='7' fill='%23").text(dot(verdict)).mark("'/%3E%3C/svg%3E\">\n");
    html.mark("<title>").text(verdict.word()).mark(" - ").text(node).mark(" - walkeep</title>\n");
    html.mark("<style>\n").mark(include_str!("page/page.css")).mark("</style>\n</head>\n<body>\n");
    html.mark("<header><b>walkeep</b><span>").text(node).mark("</span></header>\n<main>\n");
}

fn banner(html: &mut Html, verdict: Verdict, words: &str) {
    html.mark("<section class=\"verdict ").mark(class(verdict)).mark("\"><h1>").text(verdict.word());
    html.mark("</h1><p>").text(words).mark("</p></section>\n");
}

fn foot(html: &mut Html, looked_at: Option<String>) {
    html.mark("</main>\n<footer>");
    if let Some(at) = looked_at {
        html.mark("<p>looked at ").text(&at).mark("; loaded anew every 15 seconds</p>");
    }
    html.mark(
        "<p>the same for machines: <a href=\"status\">status</a>, <a href=\"metrics\">metrics</a>; walkeep ",
    );
    html.text(env!("CARGO_PKG_VERSION")).mark("</p></footer>\n</body>\n</html>\n");
}

fn name_of_node(html: &mut Html, one: &Watched<'_>) {
    html.mark("<h2 class=\"node\"><span class=\"word ").mark(class(one.report.verdict)).mark("\">");
    html.text(one.report.verdict.word()).mark("</span> ").text(&one.data_directory.to_string_lossy());
    html.mark("</h2>\n");
}

fn findings(html: &mut Html, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    html.mark("<ul class=\"findings\">\n");
    for Finding { verdict, problem } in findings.iter().take(MOST_TOLD) {
        html.mark("<li class=\"finding ").mark(class(*verdict)).mark("\"><p><span class=\"word ");
        html.mark(class(*verdict))
            .mark("\">")
            .text(verdict.word())
            .mark("</span> ")
            .text(&problem.to_string());
        html.mark("</p>");
        let rows = [("why", problem.why()), ("next", problem.next_step())];
        if rows.iter().any(|(_, text)| text.is_some()) {
            html.mark("<dl>");
            for (name, text) in rows.iter().filter_map(|(name, text)| Some((name, (*text)?))) {
                html.mark("<dt>").text(name).mark("</dt><dd>").text(text).mark("</dd>");
            }
            html.mark("</dl>");
        }
        html.mark("</li>\n");
    }
    let more = findings.len().saturating_sub(MOST_TOLD);
    if more > 0 {
        html.mark("<li class=\"finding\">and ").number(more as u64).mark(" more</li>\n");
    }
    html.mark("</ul>\n");
}

/// A number that is to be seen from afar: what it is, itself, and what goes with it.
type Tile = (&'static str, String, String);

fn tiles(html: &mut Html, tiles: &[Tile]) {
    html.mark("<dl class=\"tiles\">\n");
    for (name, value, more) in tiles {
        html.mark("<div><dt>").mark(name).mark("</dt><dd>").text(value);
        if !more.is_empty() {
            html.mark("<small>").text(more).mark("</small>");
        }
        html.mark("</dd></div>\n");
    }
    html.mark("</dl>\n");
}

fn queue_card(html: &mut Html, one: &Watched<'_>, node: &NodeOverview, now: Duration) {
    html.mark("<section class=\"card wide\"><h3>Queue</h3>\n");
    if let Ok(backlog) = &node.facts.backlog {
        let rates = one.trend.rates();
        tiles(html, &queue_tiles(one.report, backlog, rates));
    }
    queue::draw(html, &one.trend, now);
    html.list(&told(&node.facts.backlog, |backlog| queue_lines(node, backlog, one.report.now)));
    html.mark("</section>\n");
}

fn queue_tiles(report: &StatusReport, backlog: &BacklogFacts, rates: Option<Rates>) -> [Tile; 4] {
    let waits = backlog.head.map_or_else(
        || ("-".to_owned(), String::new()),
        |head| {
            let waits = report.now.duration_since(head.since).unwrap_or_default();
            (HumanDuration(Duration::from_secs(waits.as_secs())).to_string(), head.name.to_string())
        },
    );
    let rate = |bytes: fn(&Rates) -> u64| match &rates {
        None => ("-".to_owned(), "not known yet".to_owned()),
        Some(rates) => {
            let over = HumanDuration(Duration::from_secs(rates.over.as_secs()));
            (format!("{}/s", BinaryBytes(bytes(rates))), format!("in the last {over}"))
        }
    };
    let (generated, drained) =
        (rate(|rates| rates.bytes_a_second().0), rate(|rates| rates.bytes_a_second().1));
    let pending = (HumanCount(backlog.ready_files).to_string(), HumanBytes(backlog.bytes).to_string());
    [
        ("pending files", pending.0, pending.1),
        ("the first waits", waits.0, waits.1),
        ("WAL comes", generated.0, generated.1),
        ("WAL drains", drained.0, drained.1),
    ]
}

fn cluster_card(html: &mut Html, node: &NodeOverview) {
    html.mark("<section class=\"card\"><h3>Cluster</h3>\n").list(&cluster_lines(node)).mark("</section>\n");
    html.mark("<section class=\"card\"><h3>Archiver and slots</h3>\n");
    let mut lines = told(&node.facts.archiver, archiver_lines);
    match &node.facts.slots {
        Ok(slots) if slots.is_empty() => lines.push("no replication slots".to_owned()),
        slots => {
            let slots = told(slots, |slots| slot_lines(slots));
            lines.extend(slots.iter().map(|slot| format!("slot {slot}")));
        }
    }
    html.list(&lines).mark("</section>\n");
}

fn archive_cards(html: &mut Html, report: &StatusReport) {
    html.mark("<div class=\"cards\">\n");
    match &report.archive {
        None => note_card(html, "none is named (--repo)"),
        Some(Err(unknown)) => note_card(html, &format!("cannot be used: {}", unknown.0)),
        Some(Ok(archive)) => {
            timelines_card(html, report, archive);
            repository_card(html, report, archive);
            retention_card(html, report.retention.as_ref(), archive);
        }
    }
    html.mark("</div>\n");
}

fn note_card(html: &mut Html, note: &str) {
    html.mark("<section class=\"card wide\"><h3>Repository</h3><p>").text(note).mark("</p></section>\n");
}

fn timelines_card(html: &mut Html, report: &StatusReport, archive: &ArchiveOverview) {
    html.mark("<section class=\"card wide\"><h3>Timelines</h3>\n");
    let cluster = report.node.as_ref().and_then(|node| node.facts.cluster.as_ref().ok());
    let size = archive.identity.map(|identity| identity.segment_size);
    let size = size.or_else(|| cluster.and_then(|cluster| SegmentSize::new(cluster.segment_bytes)));
    if archive.timelines.is_empty() {
        html.mark("<p class=\"quiet\">No segment is stored yet.</p>");
    } else if let Some(size) = size {
        timelines::draw(html, archive, size, horizon(report));
    }
    html.list(&timeline_lines(archive)).mark("</section>\n");
}

fn horizon(report: &StatusReport) -> Option<Lsn> {
    let retention = report.retention.as_ref().and_then(|retention| retention.as_ref().ok())?;
    retention.pins.first().map(|pin| pin.from)
}

fn repository_card(html: &mut Html, report: &StatusReport, archive: &ArchiveOverview) {
    html.mark("<section class=\"card\"><h3>Repository</h3>\n");
    let stored: u64 = archive.holdings.kinds.values().map(|measure| measure.bytes).sum();
    let free =
        archive.free_bytes.as_ref().map_or_else(|_| "-".to_owned(), |free| HumanBytes(*free).to_string());
    tiles(html, &[("free", free, String::new()), ("stored", HumanBytes(stored).to_string(), String::new())]);
    html.list(&repository_lines(archive, report.now)).mark("</section>\n");
}

fn retention_card(
    html: &mut Html,
    known: Option<&Result<RetentionFacts, Unknown>>,
    archive: &ArchiveOverview,
) {
    html.mark("<section class=\"card\"><h3>Pins and horizon</h3>\n");
    if let Some(Ok(facts)) = known {
        let bytes =
            |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| HumanBytes(bytes).to_string());
        let horizon = facts.pins.first().map_or_else(|| "-".to_owned(), |pin| pin.from.to_string());
        tiles(
            html,
            &[
                ("horizon", horizon, String::new()),
                ("held by it alone", bytes(facts.held_alone_bytes), String::new()),
            ],
        );
    }
    let free_bytes = archive.free_bytes.as_ref().ok().copied();
    let lines = known.map(|known| told(known, |facts| retention::lines(facts, free_bytes)));
    html.list(&lines.unwrap_or_else(|| vec!["nothing is known of them".to_owned()])).mark("</section>\n");
}

#[cfg(test)]
mod tests;
