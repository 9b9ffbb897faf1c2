use super::args::ArchiveArgs;
use super::claim::refresh;
use super::deadline::{Deadline, Unfinished};
use super::now::origin;
use super::settings::Settings;
use super::stderr::Stderr;
use super::units::Compression;
use crate::commands::{ArchiveRequest, Hint, archive};
use crate::output::{Failure, show_time};
use crate::repository::Put;

/// What the server counts as a failure and tries again.
const FAILED: u8 = 1;

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
        Ok(Ok(report)) => {
            err.info(match report.put {
                Put::Stored { digest } => format!("stored '{name}', sha256 {digest}"),
                Put::AlreadyStored => format!("'{name}' was stored already"),
                Put::SameWalStored => {
                    format!("'{name}' was stored already: the same WAL, only bytes behind its end differ")
                }
            });
            let node = (&store, request.data_directory.as_deref());
            refresh(&deadline, 0, node, (settings, request.origin), move |failure| err.warning(failure));
            0
        }
    }
}
