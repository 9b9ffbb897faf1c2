use super::args::InspectArgs;
use super::settings::Settings;
use super::stderr::Stderr;

pub(super) fn run(_args: &InspectArgs, _settings: &Settings, _err: &Stderr) -> u8 {
    1
}
