//! What `packaging/` and `docs/monitoring.md` say of the metrics, held against what a real watch prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use serde_json::Value;

use crate::serve::{get, parse, serving};
use crate::support::*;
use crate::watch::offer;

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

/// A Prometheus that scrapes one address each second and evaluates the rules, killed with the test; the address that it
/// answers at.
struct Prometheus(Child, String);

impl Prometheus {
    fn start(scene: &Scene, target: &str) -> Self {
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus/walkeep-alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: walkeep, static_configs: [{{targets: ['{target}']}}]}}]\n",
            rules.display(),
        );
        let config = scene.write("prometheus.yml", config);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let told = File::create(scene.path("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scene.shown("prometheus")))
            .arg(format!("--web.listen-address={free}"))
            .stderr(told)
            .spawn()
            .expect("prometheus runs: 'sh tests/run.sh --long packages' installs it");
        let prometheus = Self(child, free);
        until("Prometheus is ready", || {
            prometheus.ask("/-/ready").is_ok_and(|answer| answer.contains(" 200 OK"))
        });
        prometheus
    }

    fn ask(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.1)?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What its API answers to a path below `/api/v1/`.
    fn data(&self, path: &str) -> Value {
        let answer = self.ask(&format!("/api/v1/{path}")).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    fn query(&self, expression: &str) -> Vec<Value> {
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.data(&format!("query?query={escaped}"))["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "it needs Prometheus: sh tests/run.sh --long packages"]
fn prometheus_evaluates_the_rules_and_what_the_dashboard_asks() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS.iter().for_each(|name| offer(&scene, name));
    // Another file under the first one's name: it is refused for ever, and the verdict is CRITICAL.
    let mut other = segment(SEGMENTS[0]);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.write(format!("data/pg_wal/{}", SEGMENTS[0]), other);
    scene.archive(SEGMENTS[0]).silent_success();
    offer(&scene, SEGMENTS[0]);
    let (daemon, address) = serving(&scene, &[]);
    let prometheus = Prometheus::start(&scene, &address);
    until("a file that was refused was scraped", || {
        !prometheus.query("walkeep_archive_failures_total > 0").is_empty()
    });

    until("every rule was evaluated", || {
        let groups = prometheus.data("rules");
        let rules = groups["groups"][0]["rules"].as_array().unwrap().clone();
        assert!(rules.iter().all(|rule| rule["health"] != "err"), "{rules:#?}");
        rules.len() >= 7 && rules.iter().all(|rule| rule["health"] == "ok")
    });
    let data = fs::canonicalize(scene.path("data")).unwrap();
    until("an alert is on its way, and says of what", || {
        let alerts = prometheus.data("alerts");
        let summaries = texts(&alerts, "summary");
        summaries.iter().any(|summary| summary.contains(data.to_str().unwrap()) && summary.contains(&address))
    });

    let dashboard: Value = serde_json::from_str(&file("packaging/grafana/walkeep.json")).unwrap();
    for expression in texts(&dashboard, "expr") {
        let typed = expression.replace("$instance", ".*").replace("$data_directory", ".*");
        let typed = typed.replace("$__rate_interval", "1m");
        // What counts slots, claims and failures by kind may have none to show; every other panel shows something.
        let may_be_empty = ["slot", "claim", "horizon", "problem", "histogram"];
        let may_be_empty = may_be_empty.iter().any(|what| typed.contains(what));
        until(&format!("{typed} shows something"), || !prometheus.query(&typed).is_empty() || may_be_empty);
    }
    daemon.terminate();
}
