use std::io::IsTerminal;
use std::path::PathBuf;

use super::args::InitArgs;
use super::now::origin;
use super::sample;
use super::settings::{Settings, SettingsError};
use super::stderr::{Stderr, print_report};
use super::units::Compression;
use crate::commands::{Hint, InitRequest, NewConfig, init};
use crate::output::{Failure, ProgressDisplay, init_json, init_text};
use crate::repository::StoredForm;
use crate::storage::DirectoryStore;

pub(super) fn run(args: &InitArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new("cannot make a repository".to_owned(), error, hint));
        code
    };
    let directory = match settings.repository_directory() {
        Ok(directory) => directory,
        Err(SettingsError::NoRepository) => {
            let hint = "Name the directory that it is to be: --repo DIR, best on another disk.".to_owned();
            return failed(&SettingsError::NoRepository, Some(hint), super::USAGE);
        }
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let store = DirectoryStore::new(directory.clone());
    let form = args.compress.or(settings.compress).map(|compression| match compression {
        Compression::None => StoredForm::Plain,
        Compression::Zstd { .. } => StoredForm::Zstd,
    });
    // As it is to be typed again.
    let data_directory: Option<PathBuf> =
        settings.named_data_directory().map(|dir| dir.components().collect());
    let config = args.write_config.as_ref().map(|path| NewConfig {
        path: settings.absolute(path),
        text: sample::config(Some(&directory), data_directory.as_deref()),
    });
    let program = std::env::current_exe().unwrap_or_else(|_| "walkeep".into());
    let display = ProgressDisplay::new("read", std::io::stderr().is_terminal(), settings.quiet);
    let request = InitRequest {
        directory,
        store: &store,
        data_directory,
        form,
        digests: !args.no_digests,
        config,
        program: &program,
        origin: &origin(settings),
        observer: &display,
    };
    let outcome = init(&request);
    drop(request);
    drop(display);
    match outcome {
        Err(error) => failed(&error, error.hint(), 1),
        Ok(report) => {
            let printed = print_report(
                settings.output,
                || init_text(&report, &program),
                || init_json(&report, &program),
            );
            u8::from(!printed)
        }
    }
}
