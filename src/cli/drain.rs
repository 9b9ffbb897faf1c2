use std::io::IsTerminal;

use super::args::DrainArgs;
use super::claim::refresh;
use super::deadline::{Deadline, Idle, Unfinished};
use super::now::{SystemClock, origin};
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use super::units::Compression;
use crate::commands::{Begins, DrainRequest, Hint, drain};
use crate::output::{Failure, ProgressDisplay, drain_json, drain_text, show_time};

/// Something is not archived, or was refused.
const FAILED: u8 = 1;

pub(super) fn run(args: &DrainArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = move |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new("cannot drain".to_owned(), error, hint));
        code
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let data_directory = match settings.data_directory() {
        Ok(data_directory) => data_directory,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let display = ProgressDisplay::new("archived", std::io::stderr().is_terminal(), settings.quiet);
    let limit = args.timeout.map_or(settings.archive_timeout, |timeout| timeout.0);
    let unfinished = move |error: &Unfinished| {
        let hint = "Nothing that was archived is lost; the next call completes it.".to_owned();
        failed(error, Some(hint), FAILED)
    };
    let idle = Idle::new(limit, &display);
    let (origin, clock) = (origin(settings), SystemClock::start());
    let request = DrainRequest {
        data_directory,
        store: &store,
        level: match args.compress.or(settings.compress) {
            Some(Compression::Zstd { level }) => level,
            Some(Compression::None) | None => Compression::DEFAULT_LEVEL,
        },
        min_free_bytes: args.min_free.or(settings.min_free).map_or(0, |size| size.0),
        header_check: !args.no_header_check,
        jobs: settings.jobs(args.jobs),
        mark_done: args.mark_done,
        force: args.force,
        missing: args.missing,
        lost: args.acknowledge_lost.map(|range| range.0).zip(args.reason.clone()),
        origin: &origin,
        clock: &clock,
        show_time: &show_time,
        observer: &idle,
    };
    let drained = idle.watch(unfinished, || drain(&request));
    let data_directory = request.data_directory.clone();
    drop(request);
    drop(idle);
    drop(display);
    match drained {
        Err(error) => unfinished(&error),
        Ok(Err(error)) => failed(&error, error.hint(), FAILED),
        Ok(Ok(report)) => {
            let printed = print_report(settings.output, || drain_text(&report), || drain_json(&report));
            let code = u8::from(!printed || !report.is_done());
            let give_up = move |_: &Unfinished| code;
            if let Ok(deadline) = Deadline::start(limit, give_up) {
                let node = (&store, Some(data_directory.as_path()));
                refresh(&deadline, code, node, (settings, &origin), Begins::Node, move |failure| {
                    err.warning(failure)
                });
            }
            code
        }
    }
}
