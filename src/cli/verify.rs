use std::io::IsTerminal;

use super::args::VerifyArgs;
use super::now::{SystemClock, origin};
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Hint, VerifyRequest, VerifyVerdict, verify};
use crate::output::{Failure, ProgressDisplay, show_time, verify_json, verify_text};

/// Nothing can be told.
const CANNOT_TELL: u8 = 2;

pub(super) fn run(args: &VerifyArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = |error: &dyn std::error::Error, hint| {
        err.error(&Failure::new("cannot verify the repository".to_owned(), error, hint));
        CANNOT_TELL
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint()),
    };
    let observer = ProgressDisplay::new("verified", std::io::stderr().is_terminal(), settings.quiet);
    let request = VerifyRequest {
        store: &store,
        data_directory: settings.typed_data_directory(),
        full: args.full,
        budget_bytes_per_second: args.budget.map(|rate| rate.0),
        jobs: settings.jobs(args.jobs),
        header_check: !args.no_header_check,
        origin: &origin(settings),
        show_time: &show_time,
        clock: &SystemClock::start(),
        observer: &observer,
    };
    let outcome = verify(&request);
    drop(observer);
    let report = match outcome {
        Ok(report) => report,
        Err(error) => return failed(&error, error.hint()),
    };
    for warning in &report.warnings {
        err.warning(&Failure { what: warning.clone(), causes: Vec::new(), hint: None });
    }
    let printed = print_report(settings.output, || verify_text(&report), || verify_json(&report));
    match report.verdict() {
        _ if !printed => CANNOT_TELL,
        VerifyVerdict::Sound => 0,
        VerifyVerdict::Findings => 1,
        VerifyVerdict::CannotTell => CANNOT_TELL,
    }
}
