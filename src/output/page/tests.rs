use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::commands::{Totals, Trend};
use crate::health::Problem;

fn report(verdict: Verdict, findings: Vec<Finding>) -> StatusReport {
    StatusReport {
        verdict,
        findings,
        now: SystemTime::UNIX_EPOCH,
        node: None,
        archive: None,
        retention: None,
    }
}

fn shown(reports: &[StatusReport]) -> String {
    let watched: Vec<Watched<'_>> = reports
        .iter()
        .map(|report| Watched {
            data_directory: Path::new("/<data>"),
            report,
            totals: Totals::default(),
            trend: Trend::default(),
        })
        .collect();
    page("node \"1\"", &watched, Duration::ZERO)
}

#[test]
fn of_several_data_directories_the_worst_verdict_is_seen_first_and_each_has_its_own() {
    let page = shown(&[report(Verdict::Ok, Vec::new()), report(Verdict::Unknown, Vec::new())]);
    assert!(page.contains("<section class=\"verdict unknown\"><h1>UNKNOWN</h1>"), "{page}");
    assert!(page.contains("<span class=\"word ok\">OK</span> /&lt;data&gt;</h2>"), "{page}");
    assert!(page.contains("<span class=\"word unknown\">UNKNOWN</span> /&lt;data&gt;</h2>"), "{page}");
    let page = shown(&[report(Verdict::Warning, Vec::new())]);
    assert!(page.contains("<h1>WARNING</h1>") && !page.contains("<h2 class=\"node\">"), "{page}");
}

#[test]
fn a_finding_is_told_in_full_and_a_flood_of_them_is_counted() {
    let lost = |name: String| Finding {
        verdict: Verdict::Critical,
        problem: Problem::LostSlot { name, reason: None },
    };
    let one = lost("<b>&".to_owned());
    let page = shown(&[report(Verdict::Critical, vec![one.clone()])]);
    let next = one.problem.next_step().unwrap();
    assert!(page.contains(&format!("<dt>next</dt><dd>{next}</dd>")), "{page}");
    assert!(page.contains("&lt;b&gt;&amp;") && !page.contains("<b>&"), "{page}");
    let flood: Vec<Finding> = (0..10_000).map(|number| lost(number.to_string())).collect();
    let page = shown(&[report(Verdict::Critical, flood)]);
    assert!(page.contains("and 9940 more") && page.len() < 64 << 10, "{}", page.len());
}

#[test]
fn where_nothing_can_be_told_the_verdict_is_unknown_with_the_reason() {
    let page = unknown_page("<n>", "it <hangs>");
    assert!(page.contains("<h1>UNKNOWN</h1><p>it &lt;hangs&gt;</p>"), "{page}");
    assert!(page.contains("http-equiv=\"refresh\""), "it is loaded anew when it can be told again");
}
