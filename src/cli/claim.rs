use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{ClaimAction, ClaimArgs};
use super::deadline::{Deadline, Unfinished, within};
use super::now::{now, origin};
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{
    Begins, ClaimError, ClaimRemoveRequest, ClaimRequest, Hint, claim, claim_list, claim_remove,
    refresh_claim,
};
use crate::output::{
    Failure, claim_json, claim_list_json, claim_list_text, claim_removed_json, claim_removed_text, claim_text,
};
use crate::repository::Origin;
use crate::storage::DirectoryStore;

/// Nothing was recorded or removed, or not everything could be read.
const FAILED: u8 = 1;

/// How long it may take where nobody says.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long another verb waits for its claim at most, once its own work is done.
const REFRESH_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run(args: &ClaimArgs, settings: &Settings, err: Stderr) -> u8 {
    let what = match &args.action {
        None => "cannot record what this node needs".to_owned(),
        Some(ClaimAction::List) => "cannot list the claims".to_owned(),
        Some(ClaimAction::Remove { node }) => format!("cannot remove the claim of '{}'", node.escape_debug()),
    };
    let failed = move |error: &dyn std::error::Error, hint, code| {
        err.error(&Failure::new(what.clone(), error, hint));
        code
    };
    let store = match settings.store() {
        Ok(store) => store,
        Err(error) => return failed(&error, error.hint(), super::USAGE),
    };
    let data_directory = match (&args.action, settings.data_directory()) {
        (None, Err(error)) => return failed(&error, error.hint(), super::USAGE),
        (_, data_directory) => data_directory.unwrap_or_default(),
    };
    let limit = args.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let unfinished = {
        let failed = failed.clone();
        move |error: &Unfinished| failed(error, None, FAILED)
    };
    let work = || match &args.action {
        None => record(&store, data_directory, settings),
        Some(ClaimAction::List) => claim_list(&store, now()).map(|report| {
            print_report(settings.output, || claim_list_text(&report), || claim_list_json(&report))
        }),
        Some(ClaimAction::Remove { node }) => {
            claim_remove(&ClaimRemoveRequest { node: node.clone(), store: &store }).map(|key| {
                print_report(settings.output, || claim_removed_text(&key), || claim_removed_json(&key))
            })
        }
    };
    match within(limit, unfinished, work) {
        Ok(Ok(printed)) => u8::from(!printed),
        Ok(Err(error)) => failed(&error, error.hint(), FAILED),
        Err(error) => failed(&error, None, FAILED),
    }
}

fn record(store: &DirectoryStore, data_directory: PathBuf, settings: &Settings) -> Result<bool, ClaimError> {
    let origin = origin(settings);
    let slot_grace = settings.slot_grace;
    let claim = claim(&ClaimRequest { data_directory, store, slot_grace, origin: &origin })?;
    Ok(print_report(settings.output, || claim_text(&claim), || claim_json(&claim)))
}

/// Refreshes the claim of another verb's node, once that verb's work is done with an exit code that nothing here
/// changes. What fails is told, and costs no more than a few seconds.
pub(super) fn refresh(
    deadline: &Deadline,
    code: u8,
    (store, data_directory): (&DirectoryStore, Option<&Path>),
    (settings, origin): (&Settings, &Origin),
    begins: Begins,
    tell: impl Fn(&Failure) + Copy + Send + 'static,
) {
    let Some(data_directory) = data_directory.map(Path::to_owned) else { return };
    let tell = move |error: &dyn std::error::Error| {
        tell(&Failure::new("cannot record what this node needs".to_owned(), error, None));
    };
    let give_up = move |error: &Unfinished| {
        tell(error);
        code
    };
    deadline.begin(REFRESH_LIMIT, give_up);
    let request = ClaimRequest { data_directory, store, slot_grace: settings.slot_grace, origin };
    match deadline.work(|| refresh_claim(&request, begins)) {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tell(&error),
        Err(error) => tell(&error),
    }
}
