//! `status` and `doctor` beside real servers that run: what doctor says to write is what the server takes.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::node::Node;
use crate::support::product::{KINGBASE_SHAPE, POSTGRESQL_15, Product};
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

#[test]
fn what_doctor_says_to_write_mends_a_running_server_of_postgresql_15() {
    what_doctor_says_to_write_mends_a_running_server(POSTGRESQL_15);
}

#[test]
fn what_doctor_says_to_write_mends_a_running_server_in_kingbase_shape() {
    what_doctor_says_to_write_mends_a_running_server(KINGBASE_SHAPE);
}

/// All that may be found where everything is in one scratch directory.
const UNAVOIDABLE: [&str; 1] = ["shared_file_system"];

fn ask(scratch: &Scratch, verb: &str, node: &Node, repository: &Repository) -> (Output, Value) {
    let (data, repo) = (node.data.to_str().unwrap(), repository.path.to_str().unwrap());
    let output = scratch.run_walkeep([verb, "-D", data, "--repo", repo, "-o", "json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, report)
}

fn keys(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| finding["key"].as_str().unwrap())
        .filter(|key| !UNAVOIDABLE.contains(key))
        .collect()
}

fn what_doctor_says_to_write_mends_a_running_server(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    let repository = Repository::init(&scratch, "repo", &node.data);
    if product.kingbase_shape {
        scratch.write(&node.data.join("es_rep.conf"), "archive_mode = on\narchive_command = ''\n");
        node.append("include_if_exists = 'es_rep.conf'\n");
    } else {
        node.append("archive_mode = on\narchive_command = ''\n");
    }
    node.start();
    node.switch_segment();
    wait_until("a segment is pending", || !node.pending().is_empty());

    let (_, sick) = ask(&scratch, "doctor", &node, &repository);
    assert_eq!(keys(&sick).first(), Some(&"no_archive_command"), "{sick:#}");
    let (_, status) = ask(&scratch, "status", &node, &repository);
    assert_eq!(
        (&status["verdict"], &status["node"]["cluster"]["state"]),
        (&"CRITICAL".into(), &"primary".into())
    );

    let edits = sick["findings"][0]["edits"].as_array().unwrap();
    let [edit] = &edits[..] else { panic!("{sick:#}") };
    let file = edit["file"].as_str().unwrap();
    assert_eq!(file.ends_with("es_rep.conf"), product.kingbase_shape, "{file}");
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let at = usize::try_from(edit["replaces_line"].as_u64().unwrap()).unwrap() - 1;
    lines[at] = edit["lines"][0].as_str().unwrap();
    fs::write(file, lines.join("\n") + "\n").unwrap();
    assert_eq!(edit["takes_effect"], "reload");
    assert_eq!(node.sql("SELECT pg_reload_conf()"), "t");

    // A segment more wakes the archiver, which may not have read its settings yet; more of them than it stores would be
    // a queue without end.
    wait_until("the server archives", || {
        node.switch_segment();
        !repository.names().is_empty()
    });
    wait_until("nothing is pending", || node.pending().is_empty());
    let (output, well) = ask(&scratch, "doctor", &node, &repository);
    assert_eq!(keys(&well), [""; 0], "{well:#}");
    assert!(output.status.code().is_some_and(|code| code <= 1));
    let (_, status) = ask(&scratch, "status", &node, &repository);
    assert_eq!(keys(&status), [""; 0], "{status:#}");
    assert_eq!(status["repository"]["timelines"][0]["timeline"], 1);
    node.stop();
}
