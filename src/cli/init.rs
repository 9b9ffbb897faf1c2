use super::args::InitArgs;
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use super::units::Compression;
use crate::commands::{Hint, InitRequest, init};
use crate::output::{Failure, init_json, init_text};
use crate::repository::StoredForm;
use crate::storage::DirectoryStore;

pub(super) fn run(args: &InitArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new("cannot make a repository".to_owned(), error, hint));
        code
    };
    let directory = match settings.repository_directory() {
        Ok(directory) => directory,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let store = DirectoryStore::new(directory.clone());
    let form = args.compress.or(settings.compress).map(|compression| match compression {
        Compression::None => StoredForm::Plain,
        Compression::Zstd { .. } => StoredForm::Zstd,
    });
    let request = InitRequest {
        directory,
        store: &store,
        data_directory: settings.named_data_directory(),
        form,
        origin: &origin(settings),
    };
    match init(&request) {
        Err(error) => failed(&error, error.hint(), 1),
        Ok(report) => {
            let program = std::env::current_exe().unwrap_or_else(|_| "walkeep".into());
            let printed = print_report(
                settings.output,
                || init_text(&report, &program),
                || init_json(&report, &program),
            );
            u8::from(!printed)
        }
    }
}
