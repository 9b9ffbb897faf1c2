use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use super::args::{OutputFormat, PruneArgs};
use super::claim::refresh;
use super::deadline::{Deadline, Idle, Unfinished};
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Begins, Hint, PruneRequest, Unobserved, prune};
use crate::output::{Failure, ProgressDisplay, prune_json, prune_text};
use crate::repository::Origin;
use crate::retention::Policy;
use crate::storage::DirectoryStore;

/// Nothing was removed, or not everything that could go.
const FAILED: u8 = 1;

/// For how long nothing may be settled where nobody says: a listing of a slow file system takes its time.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What a prune is asked by the settings alone, without a change.
pub(super) fn request<'a>(
    directory: PathBuf,
    store: &'a DirectoryStore,
    settings: &Settings,
    origin: &'a Origin,
) -> PruneRequest<'a> {
    let configured = &settings.prune;
    PruneRequest {
        directory,
        store,
        data_directories: settings.data_directories(),
        policy: Policy {
            keep_backups: configured.keep_backups,
            keep_days: configured.keep_days,
            keep_segments: configured.keep_segments,
            keep_size: configured.keep_size.map(|size| size.0),
            oldest_kept: None,
        },
        oldest_kept: None,
        nodes: configured.nodes.clone(),
        slot_grace: settings.slot_grace,
        dry_run: true,
        origin,
        observer: &Unobserved,
    }
}

pub(super) fn run(args: &PruneArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = move |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new("cannot prune the repository".to_owned(), error, hint));
        code
    };
    let named = settings.store().and_then(|store| Ok((settings.repository_directory()?, store)));
    let (directory, store) = match named {
        Ok(named) => named,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let origin = origin(settings);
    // A server's log is no place for progress.
    let quiet = settings.quiet || args.oldest_kept.is_some();
    let display = ProgressDisplay::new("removed", std::io::stderr().is_terminal(), quiet);
    let idle = Idle::new(args.timeout.map_or(TIMEOUT, |timeout| timeout.0), &display);
    let configured = request(directory, &store, settings, &origin);
    let request = PruneRequest {
        policy: Policy {
            keep_backups: args.keep_backups.or(configured.policy.keep_backups),
            keep_days: args.keep_days.or(configured.policy.keep_days),
            keep_segments: args.keep_segments.or(configured.policy.keep_segments),
            keep_size: args.keep_size.map(|size| size.0).or(configured.policy.keep_size),
            oldest_kept: None,
        },
        oldest_kept: args.oldest_kept,
        dry_run: args.dry_run,
        observer: &idle,
        ..configured
    };
    let unfinished = move |error: &Unfinished| {
        let hint = "What is left of each timeline is its end; the next call goes on.".to_owned();
        failed(error, Some(hint), FAILED)
    };
    let report = match idle.watch(unfinished, || prune(&request)) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return failed(&error, error.hint(), FAILED),
        Err(error) => return unfinished(&error),
    };
    for warning in &report.warnings {
        err.warning(&Failure { what: warning.clone(), causes: Vec::new(), hint: None });
    }
    // A server calls it with %r at each of its restartpoints, and writes into its log what it prints.
    let is_wanted = args.oldest_kept.is_none() || args.dry_run || settings.output == OutputFormat::Json;
    let printed = if is_wanted {
        print_report(settings.output, || prune_text(&report), || prune_json(&report))
    } else {
        err.info(prune_text(&report).trim_end().to_owned());
        true
    };
    let code = u8::from(!printed);
    if !args.dry_run {
        refresh_claims(&request.data_directories, code, (&store, settings, &origin), err);
    }
    code
}

/// Remembers what the data directories need, for the run that comes after one of their slots is dropped.
fn refresh_claims(
    directories: &[PathBuf],
    code: u8,
    (store, settings, origin): (&DirectoryStore, &Settings, &Origin),
    err: Stderr,
) {
    let Ok(deadline) = Deadline::start(settings.archive_timeout, move |_: &Unfinished| code) else { return };
    for directory in directories {
        let node = (store, Some(directory.as_path()));
        refresh(&deadline, code, node, (settings, origin), Begins::Node, move |failure| err.warning(failure));
    }
}
