use std::io::IsTerminal;
use std::time::Duration;

use super::args::{GateArgs, OutputFormat, Until};
use super::deadline::{Unfinished, within};
use super::now::{SystemClock, now, origin};
use super::settings::Settings;
use super::stderr::{Stderr, print};
use crate::commands::{GateReport, GateRequest, gate, gate_wait};
use crate::health::{Policy, Verdict};
use crate::output::{
    Failure, GATE_UNKNOWN_REPMGR, ProgressDisplay, gate_json, gate_nagios, gate_repmgr, gate_text,
    gate_unknown_json, gate_unknown_nagios, show_time,
};
use crate::storage::Store;

/// The gate cannot tell; also a usage error.
pub(super) const UNKNOWN: u8 = 3;

/// How long one look may take where nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The exit codes of Nagios plugins, in every format.
pub(super) const fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Warning => 1,
        Verdict::Critical => 2,
        Verdict::Unknown => UNKNOWN,
    }
}

pub(super) fn run(args: &GateArgs, settings: &Settings, err: Stderr) -> u8 {
    let output = settings.output;
    // Who reads a single line has to get one, whatever happens.
    let cannot_tell = move |error: &dyn std::error::Error, hint| {
        let failure = Failure::new("cannot tell whether the gate is open".to_owned(), error, hint);
        let reason = failure.causes.join(": ");
        let _ = print(&match output {
            OutputFormat::Text => String::new(),
            OutputFormat::Json => format!("{}\n", gate_unknown_json(&reason)),
            OutputFormat::Nagios => gate_unknown_nagios(&reason),
            OutputFormat::Repmgr => GATE_UNKNOWN_REPMGR.to_owned(),
        });
        err.error(&failure);
        UNKNOWN
    };
    let policy = match policy(args, settings) {
        Ok(policy) => policy,
        Err(error) => return cannot_tell(&error, None),
    };
    let data_directory = match settings.data_directory() {
        Ok(data_directory) => data_directory,
        Err(error) => return cannot_tell(&error, error.hint()),
    };
    let store = match settings.store_if_named() {
        Ok(store) => store,
        Err(error) => return cannot_tell(&error, error.hint()),
    };
    let origin = origin(settings);
    let prune =
        store.as_ref().map(|store| super::prune::request(store.root().to_owned(), store, settings, &origin));
    let request = GateRequest {
        data_directory: &data_directory,
        store: store.as_ref().map(|store| store as &dyn Store),
        prune: prune.as_ref(),
        policy,
        now: &now,
        show_time: &show_time,
    };
    let limit = args.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let wait = args.wait.map(|wait| wait.0);
    let unfinished = move |error: &Unfinished| cannot_tell(error, None);
    let work = || match wait {
        None => gate(&request),
        Some(wait) => {
            let display = ProgressDisplay::new("archived", std::io::stderr().is_terminal(), settings.quiet);
            let until = match args.until {
                Until::Ok => Verdict::Ok,
                Until::Warning => Verdict::Warning,
            };
            gate_wait(&request, until, wait, &SystemClock::start(), &display)
        }
    };
    match within(limit.saturating_add(wait.unwrap_or_default()), unfinished, work) {
        Err(error) => cannot_tell(&error, None),
        Ok(report) => tell(&report, settings),
    }
}

/// Why the thresholds make no sense.
#[derive(Debug, thiserror::Error)]
#[error("the critical threshold {critical} is not above the warning threshold {warning}")]
struct BadThresholds {
    warning: u64,
    critical: u64,
}

fn policy(args: &GateArgs, settings: &Settings) -> Result<Policy, BadThresholds> {
    let warning = args.warning.or(settings.gate_warning).unwrap_or(Policy::WARNING);
    let critical = args.critical.or(settings.gate_critical).unwrap_or(Policy::CRITICAL);
    if critical <= warning {
        return Err(BadThresholds { warning, critical });
    }
    Ok(Policy {
        warning,
        critical,
        stuck_after: args
            .stuck_after
            .or(settings.gate_stuck_after)
            .map_or(Policy::STUCK_AFTER, |time| time.0),
        min_free_bytes: args.min_free.or(settings.min_free).map_or(0, |size| size.0),
        count_only: args.count_only,
        is_final: args.is_final,
        with_advice: false,
    })
}

fn tell(report: &GateReport, settings: &Settings) -> u8 {
    let printed = print(&match settings.output {
        OutputFormat::Text => gate_text(report, settings.colour()),
        OutputFormat::Json => format!("{}\n", gate_json(report)),
        OutputFormat::Nagios => gate_nagios(report),
        OutputFormat::Repmgr => gate_repmgr(report),
    });
    if printed { code(report.verdict) } else { UNKNOWN }
}
