use super::args::OutputFormat;
use super::args::PruneArgs;
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Hint, PruneRequest, prune};
use crate::output::{Failure, prune_json, prune_text};
use crate::retention::Policy;

pub(super) fn run(args: &PruneArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new("cannot prune the repository".to_owned(), error, hint));
        code
    };
    let named = settings.store().and_then(|store| Ok((settings.repository_directory()?, store)));
    let (directory, store) = match named {
        Ok(named) => named,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let configured = &settings.prune;
    let request = PruneRequest {
        directory,
        store: &store,
        data_directories: settings.data_directories(),
        policy: Policy {
            keep_backups: args.keep_backups.or(configured.keep_backups),
            keep_days: args.keep_days.or(configured.keep_days),
            keep_segments: args.keep_segments.or(configured.keep_segments),
            keep_size: args.keep_size.or(configured.keep_size).map(|size| size.0),
            oldest_kept: None,
        },
        oldest_kept: args.oldest_kept,
        nodes: configured.nodes.clone(),
        dry_run: args.dry_run,
        origin: &origin(settings),
    };
    let report = match prune(&request) {
        Ok(report) => report,
        Err(error) => return failed(&error, error.hint(), 1),
    };
    for warning in &report.warnings {
        err.warning(&Failure { what: warning.clone(), causes: Vec::new(), hint: None });
    }
    // A server calls it with %r at each of its restartpoints, and writes into its log what it prints.
    let is_wanted = args.oldest_kept.is_none() || args.dry_run || settings.output == OutputFormat::Json;
    if !is_wanted {
        err.info(prune_text(&report).trim_end().to_owned());
        return 0;
    }
    u8::from(!print_report(settings.output, || prune_text(&report), || prune_json(&report)))
}
