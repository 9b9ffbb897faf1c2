//! Holds the house to its plan: who may import whom, what is done in one place only, and that every test that
//! docs/promises.md names is there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and the modules of this crate that it may import: the table of ARCHITECTURE.md.
const MAY_IMPORT: [(&str, &[&str]); 12] = [
    ("wal", &[]),
    ("fsx", &[]),
    ("wake", &[]),
    ("serve", &[]),
    ("cluster", &["wal", "fsx"]),
    ("storage", &["fsx"]),
    ("health", &["wal"]),
    ("retention", &["wal"]),
    ("repository", &["wal", "fsx", "storage"]),
    ("commands", &["wal", "fsx", "wake", "cluster", "storage", "health", "retention", "repository"]),
    ("output", &["wal", "health", "retention", "commands"]),
    (
        "cli",
        &[
            "wal",
            "fsx",
            "serve",
            "cluster",
            "storage",
            "health",
            "retention",
            "repository",
            "commands",
            "output",
        ],
    ),
];

/// Texts that stand in the source of these modules only.
const ONLY_IN: [(&str, &[&str]); 20] = [
    ("clap::", &["cli"]),
    ("std::env", &["cli"]),
    ("SystemTime::now", &["cli"]),
    ("Utc::now", &["cli"]),
    ("process::exit", &["cli"]),
    ("println!", &[]),
    ("fs::rename", &["fsx"]),
    ("fs::remove_file", &["fsx"]),
    ("fs::hard_link", &["fsx"]),
    ("fs::write(", &["fsx"]),
    ("fs2::", &["fsx"]),
    ("walkdir::", &["storage", "cluster"]),
    ("sha2::", &["repository"]),
    ("zstd::", &["repository"]),
    ("chrono::", &["cli", "output"]),
    ("toml::", &["cli"]),
    (" notify::", &["wake"]),
    ("signal_hook::", &["cli"]),
    ("std::net", &["serve"]),
    ("sd_notify::", &["cli"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The source files of a module without their tests: test files, and what follows an inline test module's head.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let is_test = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        ["tests", "contract", "fixtures", "samples", "manual", "fuzz"].contains(&name)
    };
    let files = rust_files(&root().join("src").join(module)).into_iter().filter(|path| !is_test(path));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        (path, code)
    };
    let sources: Vec<_> = files.map(read).collect();
    assert!(!sources.is_empty(), "'{module}' has no source");
    sources
}

/// The modules that a text names as `crate::module`.
fn imported(code: &str) -> BTreeSet<&str> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    code.split("crate::").skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

#[test]
fn every_module_imports_only_what_the_plan_allows() {
    for (module, allowed) in MAY_IMPORT {
        for (path, code) in sources(module) {
            assert!(!code.contains("crate::{"), "{}: one line an import", path.display());
            for other in imported(&code) {
                let known = MAY_IMPORT.iter().any(|(name, _)| *name == other);
                let fine = other == module || allowed.contains(&other);
                assert!(!known || fine, "{}: '{module}' may not import '{other}'", path.display());
            }
        }
    }
}

#[test]
fn what_has_one_place_is_done_nowhere_else() {
    for (text, homes) in ONLY_IN {
        for (module, _) in MAY_IMPORT.iter().filter(|(module, _)| !homes.contains(module)) {
            for (path, code) in sources(module) {
                assert!(!code.contains(text), "{} has '{text}'", path.display());
            }
        }
    }
}

#[test]
fn every_source_belongs_to_a_room_of_the_plan() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = ["lib.rs", "main.rs"].contains(&name.as_str())
            || MAY_IMPORT.iter().any(|(module, _)| *module == name);
        assert!(known, "src/{name} is in no table");
    }
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let promises = fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let is_name = |word: &&str| word.len() > 10 && word.contains('_') && !word.contains(['.', '/', ' ']);
    let named: BTreeSet<&str> = promises.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() > 50, "the promises name their tests");
    let mut code = String::new();
    for folder in ["src", "tests"] {
        for path in rust_files(&root().join(folder)) {
            code.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let missing: Vec<_> = named.into_iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "docs/promises.md names tests that are not there: {missing:?}");
}

/// Where bytes are read that somebody else wrote. Each of these files has properties that start from real ones.
const PARSERS: [&str; 23] = [
    "src/cli/getopt.rs",
    "src/cli/settings.rs",
    "src/cluster/control_file.rs",
    "src/cluster/recovery.rs",
    "src/cluster/replication_slot.rs",
    "src/cluster/run_state.rs",
    "src/cluster/server_config/command_line.rs",
    "src/cluster/server_config/scanner.rs",
    "src/commands/archivecleanup/plan.rs",
    "src/commands/inspect/tests.rs",
    "src/commands/restore/spool.rs",
    "src/health/command.rs",
    "src/repository/envelope.rs",
    "src/repository/fuzz.rs",
    "src/repository/stamp.rs",
    "src/serve/request.rs",
    "src/wal/backup_label.rs",
    "src/wal/extent.rs",
    "src/wal/file_name.rs",
    "src/wal/history.rs",
    "src/wal/lsn.rs",
    "src/wal/page_header.rs",
    "src/wal/records/tests.rs",
];

/// Files that read such bytes through one of those, or a word of their own that another property covers.
const READ_BY_OTHERS: [&str; 10] = [
    // State files of a repository: src/repository/fuzz.rs reads each of them.
    "src/repository/claims.rs",
    "src/repository/digest.rs",
    "src/repository/holds.rs",
    // Parts of a file name.
    "src/wal/segment.rs",
    "src/wal/system_identifier.rs",
    "src/wal/timeline.rs",
    // What a person typed.
    "src/cli/units.rs",
    "src/retention/policy.rs",
    "src/serve/mod.rs",
    // A field of a request.
    "src/serve/host.rs",
];

#[test]
fn every_parser_has_a_property_that_starts_from_real_files() {
    for path in PARSERS {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(text.contains("mutated"), "{path} has no fuzz property");
        assert!(
            text.contains("mod fuzz {") || path.ends_with("fuzz.rs"),
            "{path}: the property is in no module 'fuzz'"
        );
    }
    let known: BTreeSet<&str> = PARSERS.into_iter().chain(READ_BY_OTHERS).collect();
    for (path, code) in MAY_IMPORT.iter().flat_map(|(module, _)| sources(module)) {
        let parses = code.contains("fn from_str(") || code.contains("fn parse(");
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        assert!(
            !parses || known.contains(path.as_str()),
            "{path} parses, and is in no list of tests/architecture.rs"
        );
    }
}

/// How many crates walkeep names, how many its tests name besides, and how many all of it is made of, tools of the
/// build and other platforms included. A number goes up only with the reason in Cargo.toml, and a look at what comes along.
const MOST_DEPENDENCIES: usize = 20;
const MOST_DEV_DEPENDENCIES: usize = 7;
const MOST_CRATES: usize = 152;

/// Crates in two versions all the same: tools of the build, what other platforms bring along, and what tests alone use.
const TWICE: [&str; 3] = ["miniz_oxide", "shlex", "syn"];

/// The lines of a section of Cargo.toml.
fn section<'t>(manifest: &'t str, name: &str) -> Vec<&'t str> {
    let rest = manifest.split_once(&format!("\n[{name}]\n")).unwrap().1;
    rest.lines().take_while(|line| !line.starts_with('[')).collect()
}

fn is_dependency(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_lowercase())
}

#[test]
fn every_dependency_has_its_reason_and_there_are_no_more_than_agreed() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (name, most) in [("dependencies", MOST_DEPENDENCIES), ("dev-dependencies", MOST_DEV_DEPENDENCIES)] {
        let lines = section(&manifest, name);
        assert!(lines.iter().filter(|line| is_dependency(line)).count() <= most, "more than {most} {name}");
        for pair in std::iter::once("").chain(lines).collect::<Vec<_>>().windows(2) {
            // A comment tells of all lines that follow it without a gap.
            let is_told = pair[0].starts_with('#') || is_dependency(pair[0]);
            assert!(!is_dependency(pair[1]) || is_told, "no reason stands above '{}'", pair[1]);
        }
    }
}

#[test]
fn every_crate_comes_from_the_registry_once_and_there_are_no_more_than_agreed() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let values = |key: &str| -> Vec<String> {
        let begin = format!("{key} = \"");
        lock.lines()
            .filter_map(|line| Some(line.strip_prefix(&begin)?.trim_end_matches('"').to_owned()))
            .collect()
    };
    let (names, sources) = (values("name"), values("source"));
    assert_eq!(sources.len() + 1, names.len(), "only walkeep itself has no source");
    assert!(sources.len() <= MOST_CRATES, "{} crates, {MOST_CRATES} at most", sources.len());
    for source in sources {
        let registry = source.strip_prefix("registry+").unwrap_or("nowhere");
        assert!(deny.contains(&format!("allow-registry = [\"{registry}\"]")), "'{source}' is not allowed");
    }
    let in_deny = |name: &str| deny.contains(&format!("{{ crate = \"{name}\" }}"));
    let mut seen = BTreeSet::new();
    let twice: Vec<_> =
        names.iter().filter(|name| !seen.insert(*name) && !TWICE.contains(&name.as_str())).collect();
    assert!(twice.is_empty(), "in two versions: {twice:?}");
    for refused in ["openssl-sys", "ring", "hyper", "tokio"] {
        assert!(in_deny(refused) && !seen.contains(&refused.to_owned()), "{refused} is not wanted");
    }
}
