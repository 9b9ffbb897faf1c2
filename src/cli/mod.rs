//! The command line: what was typed becomes a typed request, a report becomes output and an exit code. The
//! environment and the clock are read here and nowhere else.

mod archive;
mod args;
mod deadline;
mod init;
mod inspect;
mod now;
mod restore;
mod set_aside;
mod settings;
mod stderr;
mod units;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Arguments, Verb};
use settings::Settings;
use stderr::Stderr;

use crate::output::{Failure, LogFormat};

/// Exit code of a usage error, and of no other failure, where a verb has no rule of its own.
const USAGE: u8 = 2;

/// Runs one command, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let code = match Arguments::try_parse_from(&typed) {
        Ok(arguments) => run(&arguments),
        Err(error) => not_understood(&typed, &error),
    };
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> u8 {
    let settings = match Settings::resolve(&arguments.common) {
        Ok(settings) => settings,
        Err(error) => {
            let format = arguments.common.log_format.map_or(LogFormat::Text, Into::into);
            let failure = Failure::new("cannot resolve the settings".to_owned(), &error, error.hint());
            Stderr::new(format, false, 0).error(&failure);
            return match &arguments.verb {
                Verb::Restore(_) => restore::usage_code(arguments.common.pgdata.as_deref()),
                _ => USAGE,
            };
        }
    };
    let err = Stderr::new(settings.log_format, settings.quiet, settings.verbose);
    match &arguments.verb {
        Verb::Init(args) => init::run(args, &settings, err),
        Verb::Archive(args) => archive::run(args, &settings, err),
        Verb::Restore(args) => restore::run(args, &settings, err),
        Verb::SetAside(args) => set_aside::run(args, &settings, err),
        Verb::Inspect(args) => inspect::run(args, &settings, err),
    }
}

/// Help and version are answers; anything else is a usage error, which for `restore` must not reach the server
/// as "there is no such file".
fn not_understood(typed: &[OsString], error: &clap::Error) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return u8::from(error.print().is_err());
    }
    let mut text = error.render().to_string();
    Failure::cut(&mut text);
    Stderr::raw(&text);
    let guess = Guess::of(typed);
    match guess.verb {
        Some("restore") => restore::usage_code(guess.pgdata.as_deref()),
        _ => USAGE,
    }
}

/// What a command line was about that the parser did not take.
#[derive(Default)]
struct Guess<'a> {
    verb: Option<&'a str>,
    pgdata: Option<PathBuf>,
}

impl<'a> Guess<'a> {
    /// The first word that is neither a flag nor the value of a flag that every verb knows is the verb.
    fn of(typed: &'a [OsString]) -> Self {
        const PGDATA: [&str; 2] = ["-D", "--pgdata"];
        const OTHERS: [&str; 7] = ["-r", "--repo", "-o", "--output", "--config", "--node", "--log-format"];
        let mut guess = Self::default();
        let mut words = typed.iter().skip(1);
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            if PGDATA.contains(&text) {
                guess.pgdata = words.next().map(PathBuf::from);
            } else if OTHERS.contains(&text) {
                let _ = words.next();
            } else if let Some(value) = attached(word, "--pgdata=").or_else(|| attached(word, "-D")) {
                guess.pgdata = Some(value);
            } else if guess.verb.is_none() && !text.starts_with('-') {
                guess.verb = Some(text);
            }
        }
        guess
    }
}

/// The value that is typed right behind its flag.
fn attached(word: &OsStr, flag: &str) -> Option<PathBuf> {
    let value = word.as_bytes().strip_prefix(flag.as_bytes())?;
    Some(PathBuf::from(OsStr::from_bytes(value)))
}
