use std::time::Duration;

use super::args::ArchiveArgs;
use super::claim::refresh;
use super::deadline::{Deadline, Unfinished};
use super::now::{SystemClock, origin};
use super::settings::Settings;
use super::stderr::Stderr;
use super::units::{Compression, Files};
use crate::commands::{Ahead, ArchiveRequest, Begins, Hint, LookAhead, archive};
use crate::output::{Failure, show_time};
use crate::repository::Put;

/// What the server counts as a failure and tries again.
const FAILED: u8 = 1;

/// How long a call goes on beginning files that nobody asked for yet: a server that shuts down waits for its call.
const AHEAD_TIME: Duration = Duration::from_secs(10);

pub(super) fn run(args: &ArchiveArgs, settings: &Settings, err: Stderr) -> u8 {
    let name = args.wal_path.file_name().unwrap_or(args.wal_path.as_os_str()).to_string_lossy().into_owned();
    let what = format!("cannot archive '{}'", name.escape_debug());
    let failed = move |error: &dyn std::error::Error, hint| {
        err.error(&Failure::new(what.clone(), error, hint));
        FAILED
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint()),
    };
    let clock = SystemClock::start();
    let wal_path = settings.absolute(&args.wal_path);
    let request = ArchiveRequest {
        data_directory: settings.data_directory_of(&wal_path),
        wal_path,
        wal_name: args.wal_name.clone(),
        store: &store,
        level: match args.compress.or(settings.compress) {
            Some(Compression::Zstd { level }) => level,
            Some(Compression::None) | None => Compression::DEFAULT_LEVEL,
        },
        min_free_bytes: args.min_free.or(settings.min_free).map_or(0, |size| size.0),
        header_check: !args.no_header_check,
        origin: &origin(settings),
        clock: &clock,
        show_time: &show_time,
    };
    let limit = args.timeout.map_or(settings.archive_timeout, |timeout| timeout.0);
    let unfinished = {
        let failed = failed.clone();
        move |error: &Unfinished| {
            failed(error, Some("Nothing was acknowledged; the server will try again.".to_owned()))
        }
    };
    let deadline = match Deadline::start(limit, unfinished.clone()) {
        Ok(deadline) => deadline,
        Err(error) => return unfinished(&error),
    };
    match deadline.work(|| archive(&request)) {
        Err(error) => unfinished(&error),
        Ok(Err(error)) => failed(&error, error.hint()),
        Ok(Ok(archived)) => {
            err.info(match archived.put {
                Put::Stored { digest } => format!("stored '{name}', sha256 {digest}"),
                Put::AlreadyStored => format!("'{name}' was stored already"),
                Put::SameWalStored => {
                    format!("'{name}' was stored already: the same WAL, only bytes behind its end differ")
                }
            });
            if let Some(ahead) = archived.ahead {
                let files = args.ahead.map_or(settings.archive_ahead, |Files(number)| number);
                let how = LookAhead { files, jobs: settings.jobs(args.jobs), time: AHEAD_TIME };
                look_ahead(&deadline, limit, &ahead, &how, err);
            }
            let node = (&store, request.data_directory.as_deref());
            refresh(&deadline, 0, node, (settings, request.origin), Begins::Node, move |failure| {
                err.warning(failure)
            });
            0
        }
    }
}

/// Looks ahead, once the file that was asked for is durable: nothing here changes that success any more.
fn look_ahead(deadline: &Deadline, limit: Duration, ahead: &Ahead<'_>, how: &LookAhead, err: Stderr) {
    let tell = move |error: &dyn std::error::Error| {
        err.warning(&Failure::new("cannot archive ahead".to_owned(), error, None));
    };
    deadline.begin(limit, move |error: &Unfinished| {
        tell(error);
        0
    });
    match deadline.work(|| ahead.look(how)) {
        Err(error) => tell(&error),
        Ok(Err(error)) => tell(&error),
        Ok(Ok(report)) => {
            if let Some((name, error)) = &report.first_failure {
                let others = match report.failures {
                    0 | 1 => String::new(),
                    failures => format!(" and {} others", failures - 1),
                };
                err.warning(&Failure::new(
                    format!("cannot archive '{name}'{others} ahead"),
                    error,
                    error.hint(),
                ));
            }
            if report.stored > 0 {
                err.info(format!("stored {} files ahead", report.stored));
            }
        }
    }
}
