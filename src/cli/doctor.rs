use super::args::DoctorArgs;
use super::deadline::{Unfinished, within};
use super::now::{now, origin};
use super::settings::{Settings, SettingsError};
use super::status::{CANNOT_TELL, TIMEOUT, cannot_tell, code, policy};
use super::stderr::{Stderr, print_report};
use crate::commands::{DoctorRequest, doctor};
use crate::output::{doctor_json, doctor_text, show_time};
use crate::storage::{DirectoryStore, Store};

pub(super) fn run(args: &DoctorArgs, settings: &Settings, err: Stderr) -> u8 {
    let cannot_tell = cannot_tell("cannot examine this node", settings.output, err);
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
    let request = DoctorRequest {
        data_directory: data_directory.as_deref(),
        store: store.as_ref().map(|store| store as &dyn Store),
        prune: prune.as_ref(),
        repository: store.as_ref().map(DirectoryStore::root),
        program: &std::env::current_exe().unwrap_or_else(|_| "walkeep".into()),
        policy: policy(settings, args.min_free),
        now: now(),
        show_time: &show_time,
    };
    let limit = args.timeout.map_or(TIMEOUT, |timeout| timeout.0);
    let unfinished = {
        let cannot_tell = cannot_tell.clone();
        move |error: &Unfinished| cannot_tell(error, None)
    };
    match within(limit, unfinished, || doctor(&request)) {
        Err(error) => cannot_tell(&error, None),
        Ok(report) => {
            let text = || doctor_text(&report, settings.colour());
            let printed = print_report(settings.output, text, || doctor_json(&report));
            if printed { code(report.verdict) } else { CANNOT_TELL }
        }
    }
}
