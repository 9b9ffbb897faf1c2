use std::time::Duration;

use super::args::{HoldAction, HoldArgs};
use super::deadline::{Unfinished, within};
use super::now::{now, origin};
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{
    Hint, HoldAddRequest, HoldError, HoldFrom, HoldRemoveRequest, hold_add, hold_list, hold_remove,
};
use crate::output::{
    Failure, hold_added_json, hold_added_text, hold_list_json, hold_list_text, hold_removed_json,
    hold_removed_text,
};

/// Nothing was set or removed, or not everything could be read.
const FAILED: u8 = 1;

/// How long it may take where nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn run(args: &HoldArgs, settings: &Settings, err: Stderr) -> u8 {
    let what = match &args.action {
        HoldAction::Add(add) => format!("cannot set hold '{}'", add.name),
        HoldAction::List => "cannot list the holds".to_owned(),
        HoldAction::Remove { name } => format!("cannot remove hold '{name}'"),
    };
    let failed = move |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new(what.clone(), error, hint));
        code
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let output = settings.output;
    let limit = args.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let unfinished = {
        let failed = failed.clone();
        move |error: &Unfinished| failed(error, None, FAILED)
    };
    let work = || -> Result<bool, HoldError> {
        match &args.action {
            HoldAction::Add(add) => {
                let from = match (&add.from, &add.backup_label) {
                    (Some(from), _) => from.0.clone(),
                    (None, Some(path)) => HoldFrom::BackupLabel(settings.absolute(path)),
                    (None, None) => return Ok(false),
                };
                let request = HoldAddRequest {
                    name: add.name.clone(),
                    from,
                    reason: add.reason.clone(),
                    until: add.until.map(|until| until.0),
                    store: &store,
                    origin: &origin(settings),
                };
                hold_add(&request)
                    .map(|hold| print_report(output, || hold_added_text(&hold), || hold_added_json(&hold)))
            }
            HoldAction::List => hold_list(&store, now())
                .map(|report| print_report(output, || hold_list_text(&report), || hold_list_json(&report))),
            HoldAction::Remove { name } => {
                hold_remove(&HoldRemoveRequest { name: name.clone(), store: &store })
                    .map(|()| print_report(output, || hold_removed_text(name), || hold_removed_json(name)))
            }
        }
    };
    match within(limit, unfinished, work) {
        Ok(Ok(printed)) => u8::from(!printed),
        Ok(Err(error)) => failed(&error, error.hint(), FAILED),
        Err(error) => failed(&error, None, FAILED),
    }
}
