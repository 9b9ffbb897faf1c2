use std::path::Path;
use std::time::Duration;

use super::ahead::{lay_ready, start};
use super::args::RestoreArgs;
use super::claim::refresh;
use super::deadline::{Deadline, Unfinished};
use super::now::{SystemClock, boot_id, origin};
use super::settings::{Settings, data_directory_without_config};
use super::stderr::Stderr;
use super::units::Files;
use crate::commands::{
    Answer, Begins, Delivered, Hint, Notice, OnError, Prefetch, RestoreRequest, Supply, answer_on_failure,
    restore, restore_without_repository,
};
use crate::output::Failure;
use crate::storage::Store as _;
use crate::wal::{Timeline, WalFileName};

/// How long failures are retried while a promotion is requested, unless the configuration says.
const PROMOTE_BUDGET: Duration = Duration::from_secs(30);

/// The exit code for what the server is to be told. Above 125 it stops; up to that it takes the file for absent.
const fn code(answer: Answer) -> u8 {
    match answer {
        Answer::Delivered => 0,
        Answer::Absent | Answer::GoOn => 1,
        Answer::Stop => 255,
    }
}

/// The exit code of a call that makes no sense: a usage error must not look like an absent file.
pub(super) fn usage_code(pgdata: Option<&Path>) -> u8 {
    code(answer_on_failure(OnError::Auto, data_directory_without_config(pgdata).as_deref()))
}

/// What is meant by how far is fetched ahead. Where nothing tells one start of the machine from the next, nothing is.
fn meant(args: &RestoreArgs, settings: &Settings) -> Option<Prefetch> {
    let segments = args.prefetch.map_or(settings.restore_prefetch, |Files(number)| number);
    let spool = args.spool.as_ref().or(settings.restore_spool.as_ref()).map(|dir| settings.absolute(dir));
    let boot_id = if segments > 0 { boot_id()? } else { return None };
    Some(Prefetch { segments, spool, boot_id })
}

fn tell(err: Stderr, notices: &[Notice]) {
    for (what, hint) in notices.iter().map(Notice::text) {
        err.warning(&Failure { what, causes: Vec::new(), hint });
    }
}

pub(super) fn run(args: &RestoreArgs, settings: &Settings, err: Stderr) -> u8 {
    let destination = settings.absolute(&args.destination);
    let data_directory = settings.data_directory_of(&destination);
    let on_error = settings.restore_on_error;
    let what = format!("cannot restore '{}'", args.wal_name.escape_debug());
    let failed = move |error: &dyn std::error::Error, hint: Option<String>, answer: Answer| {
        let failure = Failure::new(what.clone(), error, hint);
        if answer == Answer::GoOn {
            err.warning(&failure)
        } else {
            err.error(&failure)
        }
        code(answer)
    };
    let unasked = {
        let data_directory = data_directory.clone();
        move || answer_on_failure(on_error, data_directory.as_deref())
    };
    let name = match args.wal_name.parse() {
        Ok(name) => name,
        Err(error) => {
            let hint = "In the server's configuration: restore_command = 'walkeep restore %f %p --repo DIR'.";
            return failed(&error, Some(hint.to_owned()), unasked());
        }
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), unasked()),
    };
    let request = RestoreRequest {
        name,
        destination,
        store: &store,
        data_directory,
        header_check: !args.no_header_check,
        gap_is_end: args.gap_is_end,
        retry_budget: args.retry_budget.or(settings.restore_retry_budget).map(|budget| budget.0),
        // What was typed bounds everything, unless the configuration says more about promotions.
        promote_budget: match (settings.restore_promote_budget, args.retry_budget) {
            (Some(budget), _) => budget.0,
            (None, Some(_)) => Duration::ZERO,
            (None, None) => PROMOTE_BUDGET,
        },
        on_error,
        prefetch: meant(args, settings),
        clock: &SystemClock::start(),
    };
    let limit = args.timeout.map_or(settings.archive_timeout, |timeout| timeout.0);
    if args.lay_ready {
        return lay_ready(&request, settings.jobs(None), limit);
    }
    let unfinished = {
        let failed = failed.clone();
        let (destination, location) = (request.destination.clone(), store.location());
        let data_directory = request.data_directory.clone();
        move |error: &Unfinished| {
            let data_directory = data_directory.as_deref();
            match restore_without_repository(name, &destination, data_directory, location, error.to_string())
            {
                Some(report) if report.delivered.is_some() => {
                    tell(err, &report.notices);
                    code(report.answer())
                }
                Some(_) => failed(error, None, Answer::GoOn),
                None => failed(error, None, unasked()),
            }
        }
    };
    let deadline = match Deadline::start(limit, unfinished.clone()) {
        Ok(deadline) => deadline,
        Err(error) => return unfinished(&error),
    };
    match deadline.work(|| restore(&request)) {
        Err(error) => unfinished(&error),
        Ok(Err(failure)) => failed(&failure.error, failure.error.hint(), failure.answer),
        Ok(Ok(report)) => {
            tell(err, &report.notices);
            match report.delivered {
                Some(Delivered::Prefetched(digest)) => {
                    err.info(format!("delivered '{name}', which was prefetched, sha256 {digest}"));
                }
                Some(Delivered::Stored(digest)) => err.info(format!("delivered '{name}', sha256 {digest}")),
                Some(Delivered::Made) => {}
                None if report.notices.is_empty() => {
                    err.info_to_people(format!("'{name}' is not in the repository"));
                }
                None => {}
            }
            let no_prefetch = |error: &dyn std::error::Error| {
                err.detail(&Failure::new("cannot fetch ahead".to_owned(), error, None));
            };
            match &report.supply {
                Supply::Enough => {}
                Supply::Low => start().unwrap_or_else(|error| no_prefetch(&error)),
                Supply::NoSpool(error) => no_prefetch(error),
            }
            // Nothing was opened for this one, and nothing is now.
            if name == WalFileName::TimelineHistory(Timeline::FIRST) {
                return code(report.answer());
            }
            let (code, node) = (code(report.answer()), (&store, request.data_directory.as_deref()));
            // A standby may well read a repository that it cannot write; then nobody who prunes knows of it. It is told where
            // the server asks for a history, as each one does when it starts, and not with every segment.
            let is_history = matches!(name, WalFileName::TimelineHistory(_));
            let tell =
                move |failure: &Failure| if is_history { err.warning(failure) } else { err.detail(failure) };
            refresh(&deadline, code, node, (settings, &origin(settings)), Begins::Standby, tell);
            code
        }
    }
}
