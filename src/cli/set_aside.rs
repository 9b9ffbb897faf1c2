use super::args::SetAsideArgs;
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Hint, SetAsideRequest, set_aside};
use crate::output::{Failure, set_aside_json, set_aside_text};

pub(super) fn run(args: &SetAsideArgs, settings: &Settings, err: Stderr) -> u8 {
    let failed = |error: &dyn std::error::Error, hint, code| {
        let what = format!("cannot set '{}' aside", args.name.escape_debug());
        err.error(&Failure::new(what, error, hint));
        code
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let request = SetAsideRequest {
        name: args.name.clone(),
        reason: args.reason.clone(),
        store: &store,
        origin: &origin(settings),
    };
    match set_aside(&request) {
        Err(error) => failed(&error, error.hint(), 1),
        Ok(report) => {
            let printed =
                print_report(settings.output, || set_aside_text(&report), || set_aside_json(&report));
            u8::from(!printed)
        }
    }
}
