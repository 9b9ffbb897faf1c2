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
        ["tests", "contract", "fixtures", "samples", "manual"].contains(&name)
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
