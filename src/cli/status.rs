use std::time::Duration;

use super::args::{OutputFormat, StatusArgs};
use super::deadline::{Unfinished, within};
use super::now::{now, origin};
use super::settings::{Settings, SettingsError};
use super::stderr::{Stderr, print, print_report};
use crate::commands::{StatusRequest, status};
use crate::health::{Policy, Verdict};
use crate::output::{Failure, gate_unknown_json, show_time, status_json, status_text};
use crate::storage::Store;

/// It cannot be told whether all is well.
pub(super) const CANNOT_TELL: u8 = 2;

/// How long one look may take where nobody says.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// 0 healthy, 1 findings, 2 cannot tell.
pub(super) const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Warning | Verdict::Critical => 1,
        Verdict::Unknown => CANNOT_TELL,
    }
}

/// Says why nothing could be looked at, also where a program reads it.
pub(super) fn cannot_tell(
    what: &str,
    output: OutputFormat,
    err: Stderr,
) -> impl Fn(&dyn std::error::Error, Option<String>) -> u8 + Clone + Send + 'static {
    let what = what.to_owned();
    move |error, hint| {
        let failure = Failure::new(what.clone(), error, hint);
        if output == OutputFormat::Json {
            let _ = print(&format!("{}\n", gate_unknown_json(&failure.causes.join(": "))));
        }
        err.error(&failure);
        CANNOT_TELL
    }
}

/// What is still fine for a look that advises.
pub(super) fn policy(settings: &Settings, min_free: Option<super::units::Size>) -> Policy {
    Policy {
        warning: settings.gate_warning.unwrap_or(Policy::WARNING),
        critical: settings.gate_critical.unwrap_or(Policy::CRITICAL),
        stuck_after: settings.gate_stuck_after.map_or(Policy::STUCK_AFTER, |time| time.0),
        min_free_bytes: min_free.or(settings.min_free).map_or(0, |size| size.0),
        count_only: false,
        is_final: false,
        with_advice: true,
    }
}

pub(super) fn run(args: &StatusArgs, settings: &Settings, err: Stderr) -> u8 {
    let cannot_tell = cannot_tell("cannot tell the status", settings.output, err);
    let store = match settings.store_if_named() {
        Ok(store) => store,
        Err(error) => return cannot_tell(&error, error.hint()),
    };
    let data_directory = match settings.data_directory() {
        // A host that holds an archive and nothing else.
        Err(SettingsError::NoDataDirectory) if store.is_some() => None,
        Err(error) => return cannot_tell(&error, error.hint()),
        Ok(data_directory) => Some(data_directory),
    };
    let origin = origin(settings);
    let prune =
        store.as_ref().map(|store| super::prune::request(store.root().to_owned(), store, settings, &origin));
    let request = StatusRequest {
        data_directory: data_directory.as_deref(),
        store: store.as_ref().map(|store| store as &dyn Store),
        prune: prune.as_ref(),
        policy: policy(settings, args.min_free),
        now: now(),
        show_time: &show_time,
    };
    let limit = args.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let unfinished = {
        let cannot_tell = cannot_tell.clone();
        move |error: &Unfinished| cannot_tell(error, None)
    };
    match within(limit, unfinished, || status(&request)) {
        Err(error) => cannot_tell(&error, None),
        Ok(report) => {
            let text = || status_text(&report, settings.colour());
            let printed = print_report(settings.output, text, || status_json(&report));
            if printed { code(report.verdict) } else { CANNOT_TELL }
        }
    }
}
