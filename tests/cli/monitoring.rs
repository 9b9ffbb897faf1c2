//! What `packaging/` and `docs/monitoring.md` say of the metrics, held against what a real watch prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::serve::{get, parse, serving};
use crate::support::*;

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all metrics that a watch prints, and their types.
fn printed() -> BTreeMap<String, String> {
    let scene = Scene::with_repository("zstd");
    let (daemon, address) = serving(&scene, &[]);
    let text = get(&address, "/metrics");
    parse(&text);
    daemon.terminate();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Every name in an expression that is walkeep's; those of a histogram's parts are its own.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let part = |word: &str| {
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix));
        stem.unwrap_or(word).to_owned()
    };
    words.filter(|word| word.starts_with("walkeep_")).map(part).collect()
}

/// The keys of findings that an expression asks for.
fn problems(expression: &str) -> Vec<&str> {
    let asked = expression.split("problem=").skip(1);
    asked.flat_map(|rest| rest.trim_start_matches(['~', '"']).split('"').next().unwrap().split('|')).collect()
}

#[track_caller]
fn is_told(expression: &str, printed: &BTreeMap<String, String>) {
    let strange: Vec<String> =
        names(expression).into_iter().filter(|name| !printed.contains_key(name)).collect();
    assert!(strange.is_empty(), "{expression}: no watch prints {strange:?}");
    let keys = file("src/health/finding.rs");
    for key in problems(expression) {
        assert!(keys.contains(&format!("=> \"{key}\",")), "no finding has the key '{key}'");
    }
    // What only grows is of no use but as a rate.
    for (counter, _) in printed.iter().filter(|(name, kind)| *kind == "counter" && expression.contains(*name))
    {
        let bare = expression.match_indices(counter.as_str()).any(|(at, _)| {
            !["rate(", "increase("].iter().any(|function| expression[..at].ends_with(function))
        });
        assert!(!bare, "{expression}: {counter} is a counter");
    }
}

#[test]
fn the_alert_rules_use_metrics_that_are_there_and_say_what_to_type() {
    let printed = printed();
    let rules: Value = serde_saphyr::from_str(&file("packaging/prometheus/walkeep-alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule["alert"].as_str().unwrap()).collect();
    assert!(names.len() == rules.len() && names.len() >= 7, "{names:?}");
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        is_told(expression, &printed);
        assert!(expression.contains("walkeep_") || expression == "up{job=\"walkeep\"} == 0", "{expression}");
        assert!(rule["for"].as_str().unwrap().ends_with('m') || rule["for"] == "1h", "{rule}");
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{rule}");
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        assert!(summary.contains("{{ $labels."), "{summary}");
        let description = rule["annotations"]["description"].as_str().unwrap();
        let verbs: Vec<&str> = description.split("walkeep ").skip(1).collect();
        assert!(!verbs.is_empty() || description.contains("SELECT "), "it says what to type: {description}");
        for verb in verbs.iter().map(|rest| rest.split([' ', '\'', ',']).next().unwrap()) {
            let known = Scene::new().call(&[verb, "--help"]).run();
            assert_eq!(known.code, Some(0), "{description}: there is no 'walkeep {verb}'");
        }
    }
}

/// Every text under a key, however deep.
fn texts<'v>(value: &'v Value, key: &str) -> Vec<&'v str> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, inner)| {
                let own = (name == key).then(|| inner.as_str()).flatten();
                own.into_iter().chain(texts(inner, key))
            })
            .collect(),
        Value::Array(all) => all.iter().flat_map(|inner| texts(inner, key)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_dashboard_uses_metrics_that_are_there() {
    let printed = printed();
    let dashboard: Value = serde_json::from_str(&file("packaging/grafana/walkeep.json")).unwrap();
    let expressions = texts(&dashboard, "expr");
    assert!(expressions.len() > 10);
    for expression in expressions.into_iter().chain(texts(&dashboard, "definition")) {
        is_told(expression, &printed);
        assert!(!names(expression).is_empty(), "{expression}");
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
    }
}

#[test]
fn the_table_of_metrics_is_whole() {
    let table = file("docs/monitoring.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `walkeep_"));
    let told: BTreeMap<String, String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            assert!(cells.len() == 6 && cells[2..5].iter().all(|cell| !cell.is_empty()), "{row}");
            (format!("walkeep_{}", cells[0].trim_end_matches('`')), cells[1].to_owned())
        })
        .collect();
    assert_eq!(told, printed());
}
