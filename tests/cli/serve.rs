//! `watch --listen`: what is shown over HTTP, to whom, and within which limits.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Instant;

use crate::support::*;
use crate::watch::{Daemon, offer};

/// A watch that listens on a port of its own.
pub fn serving<'s>(scene: &'s Scene, args: &[&str]) -> (Daemon<'s>, String) {
    let daemon = Daemon::start(scene, &[&["--listen", "0"], args].concat());
    daemon.until_told("watching '");
    let address = address_of(&daemon);
    (daemon, address)
}

pub fn address_of(daemon: &Daemon<'_>) -> String {
    let log = daemon.log();
    let address = log.split("http://").nth(1).unwrap().lines().next().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    address.to_owned()
}

/// Asks until there is an answer: a connection has ten seconds, and a slow machine may need more.
pub fn ask_bytes(address: &str, request: &[u8]) -> String {
    let mut answer = String::new();
    until("it answers", || {
        answer = ask_once(address, request);
        !answer.is_empty()
    });
    answer
}

/// Asks on one connection, which may be closed unanswered.
pub fn ask_once(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn ask(address: &str, line: &str) -> (u16, String, String) {
    let answer = ask_bytes(address, format!("{line}\r\nHost: {address}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {answer:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

pub fn get(address: &str, path: &str) -> String {
    let (status, head, body) = ask(address, &format!("GET {path} HTTP/1.1"));
    assert_eq!(status, 200, "{head}\n{body}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    body
}

/// One sample: its name, its labels, and its value.
pub type Samples = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Reads the text format of Prometheus, and takes nothing that it does not say.
pub fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "typed twice: {line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.split_once(' ').is_some_and(|(_, help)| !help.is_empty()), "{line}");
            continue;
        }
        let (name, labels, value) = parse_sample(line);
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|stem| types.contains_key(*stem)))
            .unwrap_or(&name);
        assert!(types.contains_key(family), "a sample without its type: {line}");
        assert!(name.starts_with("walkeep_"), "{line}");
        assert_eq!(samples.insert((name, labels), value), None, "a sample twice: {line}");
    }
    samples
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn parse_sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut chars = behind.char_indices();
            let end = loop {
                match chars.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => match chars.next().unwrap().1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} in {line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &behind[end..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")))
}

fn value(samples: &Samples, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
    let has = |labels: &[(String, String)]| {
        label.is_none_or(|(key, value)| labels.iter().any(|(k, v)| k == key && v == value))
    };
    let mut found = samples.iter().filter(|((of, labels), _)| of == name && has(labels));
    let value = found.next().map(|(_, value)| *value);
    assert!(found.next().is_none(), "several samples of {name} {label:?}");
    value
}

#[test]
fn metrics_say_what_status_says_in_the_format_of_prometheus() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS[..3].iter().for_each(|name| offer(&scene, name));
    scene.write(format!("data/pg_wal/archive_status/{}.ready", HISTORY.0), "");
    scene.write("data/pg_wal/archive_status/foreign.ready", "");
    let (daemon, address) = serving(&scene, &[]);
    daemon.until_stored(&SEGMENTS[..3]);
    daemon.until_claimed();
    let told = || parse(&get(&address, "/metrics"));
    until("a look has seen the files stored", || {
        value(&told(), "walkeep_archived_files_total", None) == Some(3.0)
    });
    let samples = told();
    let of = |name: &str, label| value(&samples, name, label);
    assert_eq!(of("walkeep_pending_files", Some(("kind", "segment"))), Some(3.0));
    assert_eq!(of("walkeep_pending_files", Some(("kind", "history"))), Some(1.0));
    assert_eq!(of("walkeep_pending_files", Some(("kind", "stranger"))), Some(1.0));
    assert_eq!(of("walkeep_ready_files", None), Some(5.0));
    assert_eq!(of("walkeep_orphan_files", None), Some(1.0));
    assert_eq!(of("walkeep_archived_bytes_total", None), Some(3.0 * MIB as f64));
    assert_eq!(of("walkeep_archive_duration_seconds_count", None), Some(3.0));
    assert_eq!(of("walkeep_archive_duration_seconds_bucket", Some(("le", "+Inf"))), Some(3.0));
    assert!(of("walkeep_repository_free_bytes", None).unwrap() > 0.0);
    assert_eq!(of("walkeep_repository_usable", None), Some(1.0));
    assert!(of("walkeep_oldest_pending_age_seconds", None).is_some());
    assert!(of("walkeep_claim_age_seconds", Some(("node", "node1"))).is_some());
    let verdicts = ["ok", "warning", "critical", "unknown"]
        .map(|verdict| of("walkeep_verdict", Some(("verdict", verdict))).unwrap());
    assert_eq!(verdicts.iter().sum::<f64>(), 1.0, "one verdict holds");
    let status: serde_json::Value = serde_json::from_str(&get(&address, "/status")).unwrap();
    assert_eq!(status["schema"], 1);
    let verdict = status["verdict"].as_str().unwrap().to_ascii_lowercase();
    assert_eq!(of("walkeep_verdict", Some(("verdict", &verdict))), Some(1.0));
    assert_eq!(status["node"]["queue"]["ready_files"], 5);
    daemon.terminate();
}

#[test]
fn what_comes_and_goes_is_seen_in_the_metrics() {
    let scene = Scene::with_repository("zstd");
    // The last checkpoint lies in the last segment: all before it are finished.
    SEGMENTS[..4].iter().for_each(|name| offer(&scene, name));
    let (daemon, address) = serving(&scene, &[]);
    let of = |name: &str| value(&parse(&get(&address, "/metrics")), &format!("walkeep_{name}_total"), None);
    until("the queue was looked at", || {
        daemon.log().contains("watching '") && of("drained_segments").is_some()
    });
    daemon.until_stored(&SEGMENTS[..4]);
    assert_eq!(of("generated_segments"), Some(0.0));
    for name in &SEGMENTS[..3] {
        let status = scene.path(format!("data/pg_wal/archive_status/{name}"));
        std::fs::rename(status.with_extension("ready"), status.with_extension("done")).unwrap();
    }
    until("three are seen to have gone", || of("drained_segments") == Some(3.0));
    offer(&scene, &name_of(1, 0x1001));
    until("one is seen to have come", || of("generated_segments") == Some(1.0));
    assert_eq!((of("generated_bytes"), of("drained_bytes")), (Some(MIB as f64), Some(3.0 * MIB as f64)));
    daemon.terminate();
}

#[test]
fn nothing_but_get_and_head_of_known_pages_is_answered_and_nothing_is_changed() {
    let scene = Scene::with_repository("zstd");
    let (daemon, address) = serving(&scene, &[]);
    daemon.until_claimed();
    let before = scene.snapshot("repo");
    assert_eq!(get(&address, "/healthz"), "ok\n");
    assert_eq!(get(&address, "/healthz?x=1"), "ok\n");
    let (status, head, body) = ask(&address, "HEAD /healthz HTTP/1.1");
    assert_eq!((status, &*body), (200, ""));
    assert!(head.contains("Content-Length: 3\r\n"), "{head}");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let (status, head, _) = ask(&address, &format!("{method} /healthz HTTP/1.1"));
        assert!(status == 405 && head.contains("Allow: GET, HEAD\r\n"), "{head}");
    }
    for path in ["/nowhere", "/../etc/passwd", "/metrics/", "/%2e%2e/etc/passwd"] {
        assert_eq!(ask(&address, &format!("GET {path} HTTP/1.1")).0, 404, "{path}");
    }
    for line in ["GET", "GET healthz HTTP/1.1", "GET /healthz", "\u{0} / HTTP/1.1"] {
        assert_eq!(ask(&address, line).0, 400, "{line}");
    }
    let (_, head, _) = ask(&address, "GET /healthz HTTP/1.1");
    for safe in ["Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer"]
    {
        assert!(head.contains(&format!("{safe}\r\n")), "{head}");
    }
    assert!(
        head.contains("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "),
        "{head}"
    );
    let long = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    assert!(ask_bytes(&address, long.as_bytes()).starts_with("HTTP/1.1 431 "));
    assert!(ask_bytes(&address, b"").starts_with("HTTP/1.1 400 "));
    assert!(scene.snapshot("repo") == before);
    daemon.terminate();
}

#[test]
fn a_browser_that_was_lured_here_by_another_name_is_shown_nothing() {
    let scene = Scene::with_repository("zstd");
    let (daemon, address) = serving(&scene, &[]);
    let port = address.rsplit(':').next().unwrap().to_owned();
    let status = |address: &str, path: &str, host: &str| {
        let answer = ask_bytes(address, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse::<u16>().unwrap()
    };
    for host in ["localhost", "127.0.0.1:1", "[::1]", &format!("LocalHost:{port}")] {
        assert_eq!(status(&address, "/healthz", host), 200, "{host}");
    }
    for path in ["/", "/healthz", "/status", "/metrics", "/nowhere"] {
        for host in ["evil.example", &format!("evil.example:{port}"), "10.0.0.1", "localhost.evil.example"] {
            assert_eq!(status(&address, path, host), 421, "{path} of {host}");
        }
    }
    daemon.terminate();
    let daemon = Daemon::start(&scene, &["--listen", "0.0.0.0:0"]);
    daemon.until_told("watching '");
    let port = daemon.log().split("http://0.0.0.0:").nth(1).unwrap().lines().next().unwrap().to_owned();
    let address = format!("127.0.0.1:{port}");
    let own_name = String::from_utf8(tool("uname", &["-n".as_ref()])).unwrap();
    for host in [own_name.trim(), "10.0.0.1", "localhost"] {
        assert_eq!(status(&address, "/healthz", host), 200, "{host}");
    }
    assert_eq!(status(&address, "/healthz", "evil.example"), 421);
    daemon.terminate();
}

#[test]
fn no_more_than_eight_connections_are_held_and_none_for_long() {
    let scene = Scene::with_repository("zstd");
    let (daemon, address) = serving(&scene, &[]);
    let is_answered = || !ask_once(&address, b"GET /healthz HTTP/1.0\r\n\r\n").is_empty();
    let mut idle: Vec<TcpStream> = Vec::new();
    until("another one is not answered", || {
        // They are not held for long: on a slow machine the first of them may be closed before the last one is open.
        idle = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();
        // Half a request is none.
        idle[0].write_all(b"GET /heal").unwrap();
        !is_answered()
    });
    for stream in &mut idle {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).map_err(|error| error.kind());
        let is_closed = matches!(end, Ok(_) | Err(ErrorKind::ConnectionReset));
        assert!(is_closed && answer.is_empty(), "it is closed: {end:?}");
    }
    until("there is room again", is_answered);
    daemon.terminate();
}

#[test]
fn however_many_ask_it_is_looked_once_in_a_while() {
    let scene = Scene::with_repository("zstd");
    let control = scene.shown("data/global/pg_control");
    let how = ["-P", &control, "-e", "trace=open,openat"];
    let call = scene.call_under_strace(&how, &["watch", "-D", &scene.shown("data"), "--listen", "0"]);
    let daemon = Daemon::of(&scene, call);
    daemon.until_told("watching '");
    let address = address_of(&daemon);
    let began = Instant::now();
    for path in ["/metrics", "/status"].iter().cycle().take(100) {
        get(&address, path);
    }
    let opened = String::from_utf8(scene.read("strace.out")).unwrap().lines().count() as u64;
    // A look opens it a few times, and there is one in three seconds.
    let most = 50 + began.elapsed().as_secs() * 3;
    assert!((2..most).contains(&opened), "the control file was read {opened} times of {most}");
    daemon.signal_traced("TERM");
}

#[test]
fn a_reload_keeps_listening_and_an_address_that_cannot_be_had_is_refused() {
    let scene = Scene::with_repository("zstd");
    let (daemon, address) = serving(&scene, &[]);
    daemon.signal("HUP");
    daemon.until_told("info: the configuration is reloaded\n");
    until("it watches again", || daemon.log().matches("info: watching").count() == 2);
    assert_eq!(get(&address, "/healthz"), "ok\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let refused = scene.call(&["watch", "-D", ".", "--listen", &port]).run();
    refused.refused(1, &["cannot listen on '127.0.0.1:", "Address already in use"]);
    scene.call(&["watch", "-D", ".", "--listen", "localhost:1"]).run().refused(2, &["is no address"]);
    assert!(!daemon.terminate().contains("error"));
}
