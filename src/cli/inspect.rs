use super::args::InspectArgs;
use super::settings::Settings;
use super::stderr::{Stderr, print_report};
use crate::commands::{Hint, InspectRequest, inspect};
use crate::output::{Failure, inspect_json, inspect_text};

/// 0: sound; 1: damaged, or nothing that is known.
pub(super) fn run(args: &InspectArgs, settings: &Settings, err: Stderr) -> u8 {
    match inspect(&InspectRequest { file: args.file.clone() }) {
        Err(error) => {
            let what = format!("cannot inspect '{}'", args.file.display());
            err.error(&Failure::new(what, &error, error.hint()));
            1
        }
        Ok(inspection) => {
            let printed =
                print_report(settings.output, || inspect_text(&inspection), || inspect_json(&inspection));
            u8::from(!printed || !inspection.is_sound())
        }
    }
}
