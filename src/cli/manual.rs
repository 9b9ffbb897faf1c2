//! The manual pages and the shells' completions are made from the command line's own definition, and kept in `man/` and
//! `completions/`, so that packages need no build step. What a definition cannot tell - examples for each server,
//! files, environment - stands in `man/sections/`, one file a verb, and one for all.

#![allow(clippy::disallowed_methods, reason = "the test writes the pages where it is told to")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Parser};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::Arguments;

/// Set to write the files anew.
const WRITE: &str = "WALKEEP_WRITE_MANUAL";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every page with its file's name.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    let verbs: Vec<Command> = program.get_subcommands().cloned().collect();
    let mut pages = vec![("walkeep.1".to_owned(), overview(&program, &verbs))];
    for verb in verbs {
        let name = format!("walkeep-{}", verb.get_name());
        let extra = sections(verb.get_name()) + &sections("every-verb");
        // An action is told on its verb's page.
        let actions: Vec<Command> = verb.get_subcommands().cloned().collect();
        let mut page = page(&verb, &extra_of_actions(&actions));
        page.extend(render(&extra));
        pages.push((format!("{name}.1"), page));
    }
    pages
}

/// The page of the program itself: it names the others.
fn overview(program: &Command, verbs: &[Command]) -> Vec<u8> {
    let man = man(program);
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    page.extend(synopsis(program));
    man.render_description_section(&mut page).unwrap();
    let mut roff = Roff::new();
    roff.control("SH", ["VERBS"]);
    for verb in verbs {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("TP", []);
        roff.text([bold(format!("walkeep-{}(1)", verb.get_name()))]);
        roff.text([roman(about)]);
    }
    page.extend(roff.to_roff().into_bytes());
    page.extend(render(&(sections("walkeep") + &sections("every-verb"))));
    page
}

fn man(command: &Command) -> Man {
    Man::new(command.clone())
        .manual("walkeep")
        .date("")
        .source(format!("walkeep {}", env!("CARGO_PKG_VERSION")))
}

/// The library's own names every option without its value.
fn synopsis(command: &Command) -> Vec<u8> {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(usage(command))]);
    roff.to_roff().into_bytes()
}

fn usage(command: &Command) -> String {
    command.clone().render_usage().to_string().trim_start_matches("Usage: ").to_owned()
}

fn page(command: &Command, actions: &[u8]) -> Vec<u8> {
    let man = man(command);
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    page.extend(synopsis(command));
    man.render_description_section(&mut page).unwrap();
    page.extend(actions);
    man.render_options_section(&mut page).unwrap();
    page
}

/// What the actions of a verb are and take.
fn extra_of_actions(actions: &[Command]) -> Vec<u8> {
    let mut roff = Roff::new();
    if !actions.is_empty() {
        roff.control("SH", ["ACTIONS"]);
    }
    for action in actions {
        roff.control("TP", []);
        roff.text([bold(usage(action))]);
        let about = action.get_long_about().or(action.get_about()).map(ToString::to_string);
        roff.text([roman(about.unwrap_or_default())]);
    }
    roff.to_roff().into_bytes()
}

/// What `man/sections/` holds of a name; nothing where there is no such file.
fn sections(name: &str) -> String {
    fs::read_to_string(root().join(format!("man/sections/{name}.txt"))).unwrap_or_default()
}

/// `== HEAD` begins a section, an indented line is printed as it stands, a blank line parts paragraphs.
fn render(text: &str) -> Vec<u8> {
    let mut roff = Roff::new();
    let mut is_example = false;
    for line in text.lines() {
        let indented = line.starts_with("    ");
        if indented != is_example {
            roff.control(if indented { "EX" } else { "EE" }, []);
            is_example = indented;
        }
        match line.strip_prefix("== ") {
            Some(head) => drop(roff.control("SH", [head])),
            None if line.is_empty() => drop(roff.control("PP", [])),
            None => drop(roff.text([roman(line)])),
        }
    }
    if is_example {
        roff.control("EE", []);
    }
    roff.to_roff().into_bytes()
}

fn completions() -> Vec<(String, Vec<u8>)> {
    let files = [(Shell::Bash, "walkeep.bash"), (Shell::Zsh, "_walkeep"), (Shell::Fish, "walkeep.fish")];
    let made = files.map(|(shell, file)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "walkeep", &mut script);
        (file.to_owned(), script)
    });
    made.into()
}

/// Holds a folder against what it has to be, or writes it.
fn is_current(folder: &str, files: Vec<(String, Vec<u8>)>) {
    let write = std::env::var_os(WRITE).is_some();
    let mut stale = Vec::new();
    for (name, made) in files {
        let path = root().join(folder).join(&name);
        if write {
            fs::write(&path, &made).unwrap();
        } else if fs::read(&path).unwrap_or_default() != made {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{folder}/ is stale: {stale:?}; {WRITE}=1 cargo test --lib manual");
}

#[test]
fn the_manual_says_what_the_command_line_takes() {
    is_current("man", pages());
}

#[test]
fn the_completions_know_what_the_command_line_takes() {
    is_current("completions", completions());
}

#[test]
fn every_verb_has_its_examples() {
    for verb in Arguments::command().get_subcommands() {
        let told = sections(verb.get_name());
        assert!(told.contains("== EXAMPLES\n"), "man/sections/{}.txt has no examples", verb.get_name());
        assert!(told.contains("== EXIT STATUS\n"), "man/sections/{}.txt has no exit status", verb.get_name());
    }
}

#[test]
fn every_command_that_the_manual_shows_is_understood() {
    let mut understood = 0;
    for file in fs::read_dir(root().join("man/sections")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
            // A line of a server's configuration has the command in quotes.
            let command = line.split_once(" = '").map_or(line, |(_, command)| command.trim_end_matches('\''));
            if !command.starts_with("walkeep ") {
                continue;
            }
            // The server puts a real name in.
            let command = command.replace("%r", "000000010000000000000001");
            let words = shlex::split(&command).unwrap();
            assert!(Arguments::try_parse_from(&words).is_ok(), "'{line}' is not understood");
            understood += 1;
        }
    }
    assert!(understood > 30, "only {understood} are shown");
}
