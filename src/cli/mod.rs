//! The command line: what was typed becomes a typed request, a report becomes output and an exit code. The
//! environment and the clock are read here and nowhere else.

mod ahead;
mod archive;
mod args;
mod claim;
mod deadline;
mod doctor;
mod drain;
mod dropin;
mod gate;
mod getopt;
mod hold;
mod init;
mod inspect;
#[cfg(test)]
mod manual;
mod now;
mod prune;
mod restore;
mod sample;
mod set_aside;
mod settings;
mod status;
mod stderr;
mod units;
mod verify;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::{Arguments, OutputFormat, Verb};
use settings::Settings;
use stderr::Stderr;

use crate::output::{Failure, LogFormat};

/// Exit code of a usage error, and of no other failure, where a verb has no rule of its own.
const USAGE: u8 = 2;

/// Runs one command, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    if let Some(program) = dropin::called_as(&typed) {
        return ExitCode::from(dropin::run(&program, &typed));
    }
    let code = match Arguments::read(&typed) {
        Ok(arguments) => run(&with_every_data_directory(arguments, &typed)),
        Err(error) => not_understood(&typed, &error),
    };
    ExitCode::from(code)
}

fn run(arguments: &Arguments) -> u8 {
    let several = takes_several(&arguments.verb);
    let settings = match Settings::resolve(&arguments.common, several) {
        Ok(settings) => settings,
        Err(error) => {
            let format = arguments.common.log_format.map_or(LogFormat::Text, Into::into);
            let failure = Failure::new("cannot resolve the settings".to_owned(), &error, error.hint());
            Stderr::new(format, false, 0).error(&failure);
            return match &arguments.verb {
                Verb::Restore(_) => {
                    restore::usage_code(arguments.common.pgdata.first().map(PathBuf::as_path))
                }
                Verb::Gate(_) => gate::UNKNOWN,
                _ => USAGE,
            };
        }
    };
    let err = Stderr::new(settings.log_format, settings.quiet, settings.verbose);
    let one_line = matches!(settings.output, OutputFormat::Nagios | OutputFormat::Repmgr);
    if one_line && !matches!(arguments.verb, Verb::Gate(_)) {
        let failure = Failure {
            what: "cannot write this report in that format".to_owned(),
            causes: vec!["only gate writes nagios and repmgr lines".to_owned()],
            hint: matches!(arguments.verb, Verb::Status(_) | Verb::Doctor(_))
                .then(|| "Ask 'walkeep gate'.".to_owned()),
        };
        err.error(&failure);
        return USAGE;
    }
    match &arguments.verb {
        Verb::Init(args) => init::run(args, &settings, err),
        Verb::Archive(args) => archive::run(args, &settings, err),
        Verb::Restore(args) => restore::run(args, &settings, err),
        Verb::Gate(args) => gate::run(args, &settings, err),
        Verb::Status(args) => status::run(args, &settings, err),
        Verb::Doctor(args) => doctor::run(args, &settings, err),
        Verb::Drain(args) => drain::run(args, &settings, err),
        Verb::Claim(args) => claim::run(args, &settings, err),
        Verb::Hold(args) => hold::run(args, &settings, err),
        Verb::Prune(args) => prune::run(args, &settings, err),
        Verb::SetAside(args) => set_aside::run(args, &settings, err),
        Verb::Inspect(args) => inspect::run(args, &settings, err),
        Verb::Verify(args) => verify::run(args, &settings, err),
        Verb::Watch(args) => watch::run(args, &arguments.common, settings, err),
    }
}

/// Whether a verb looks at more than one data directory.
const fn takes_several(verb: &Verb) -> bool {
    matches!(verb, Verb::Prune(_) | Verb::Watch(_))
}

/// Of a flag that stands before the verb and behind it clap keeps what stands behind. `prune` must not lose a
/// data directory so: what the node needs would go.
fn with_every_data_directory(mut arguments: Arguments, typed: &[OsString]) -> Arguments {
    if !takes_several(&arguments.verb) {
        return arguments;
    }
    // The shortest beginning that makes sense ends with the verb.
    let heads = (2..=typed.len()).filter_map(|end| typed.get(..end).zip(typed.get(end - 1..)));
    let mut parsed = heads.filter_map(|(head, tail)| Some((Arguments::try_parse_from(head).ok()?, tail)));
    if let (Some((before, tail)), Some(program)) = (parsed.next(), typed.first())
        && let Ok(behind) = Arguments::try_parse_from([program].into_iter().chain(tail))
    {
        arguments.common.pgdata = [before.common.pgdata, behind.common.pgdata].concat();
    }
    arguments
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
    match understood_verb(typed).as_deref() {
        Some("restore") => restore::usage_code(typed_pgdata(typed).as_deref()),
        Some("gate") => gate::UNKNOWN,
        _ => USAGE,
    }
}

/// The verb of a command line that makes no sense as a whole.
fn understood_verb(typed: &[OsString]) -> Option<String> {
    let matches = Arguments::command().ignore_errors(true).try_get_matches_from(typed).ok()?;
    matches.subcommand_name().map(str::to_owned)
}

/// The data directory that such a command line names: `-D DIR`, `-DDIR`, `--pgdata DIR` or `--pgdata=DIR`.
fn typed_pgdata(typed: &[OsString]) -> Option<PathBuf> {
    typed.iter().enumerate().find_map(|(at, word)| {
        let word = word.to_str()?;
        if word == "-D" || word == "--pgdata" {
            return typed.get(at + 1).map(PathBuf::from);
        }
        let joined = word.strip_prefix("--pgdata=").or_else(|| word.strip_prefix("-D"));
        joined.map(PathBuf::from)
    })
}
