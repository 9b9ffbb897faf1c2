use super::args::SetAsideArgs;
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Hint, SetAsideRequest, Which, set_aside};
use crate::output::{Failure, set_aside_json, set_aside_text};

pub(super) fn run(args: &SetAsideArgs, settings: &Settings, err: Stderr) -> u8 {
    let which = match (&args.name, args.timeline) {
        (_, Some(timeline)) => Which::Timeline { timeline, from: args.from },
        (name, None) => Which::File(name.clone().unwrap_or_default()),
    };
    let failed = |error: &dyn std::error::Error, hint, code| {
        let what = match &which {
            Which::File(name) => format!("cannot set '{}' aside", name.escape_debug()),
            Which::Timeline { timeline, .. } => format!("cannot set timeline {timeline} aside"),
        };
        err.error(&Failure::new(what, error, hint));
        code
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let request = SetAsideRequest {
        which: which.clone(),
        reason: args.reason.clone(),
        store: &store,
        origin: &origin(settings),
    };
    match set_aside(&request) {
        Err(error) => failed(&error, error.hint(), 1),
        Ok(files) => {
            let printed = print_report(settings.output, || set_aside_text(&files), || set_aside_json(&files));
            u8::from(!printed)
        }
    }
}
