use super::DrainError;
use crate::cluster::{ArchiveMode, Cluster, Role, RunState, ServerConfig};

/// Whose queue it is: a live archiver's, which marks its files itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The postmaster.
    pub pid: u32,
    /// What it archives with; `None` where the configuration cannot be read for certain.
    pub archives_with: Option<String>,
}

/// Refuses a queue that a live archiver works on: it would find files marked that it never archived, and whatever
/// it archives to would lack them.
pub(super) fn refuse(cluster: &Cluster) -> Result<(), DrainError> {
    match owner(cluster.run_state()?, &cluster.server_config()?) {
        Some(owner) => Err(DrainError::Owned(owner)),
        None => Ok(()),
    }
}

fn owner(state: RunState, config: &ServerConfig) -> Option<Owner> {
    let (pid, needs_always) = match state {
        RunState::Running { pid, role: Role::Primary } => (pid, false),
        RunState::Running { pid, role: Role::Standby | Role::Recovering } => (pid, true),
        // What it becomes, or still is, shows too late.
        RunState::Starting { pid } | RunState::Stopping { pid } => (pid, false),
        RunState::Standalone { .. } | RunState::Stopped | RunState::Crashed => return None,
    };
    let archives = match config.archive_mode() {
        None | Some(ArchiveMode::Always) => true,
        Some(ArchiveMode::On) => !needs_always,
        Some(ArchiveMode::Off) => false,
    };
    if !config.is_certain() {
        return Some(Owner { pid, archives_with: None });
    }
    let value =
        |name| config.value(name).map(|setting| setting.value.trim()).filter(|value| !value.is_empty());
    let works =
        value("archive_library").or_else(|| value("archive_command").filter(|text| does_something(text)));
    // KingbaseES ignores the command where archive_dest says where to copy to.
    match (archives, works, value("archive_dest")) {
        (true, Some(with), None) => Some(Owner { pid, archives_with: Some(with.to_owned()) }),
        _ => None,
    }
}

/// Whether a command is none of those that people write to have nothing archived.
fn does_something(command: &str) -> bool {
    let command = command.trim_end_matches(';').trim_end();
    let nothing = [
        "true",
        "/bin/true",
        "/usr/bin/true",
        ":",
        "exit 0",
        "false",
        "/bin/false",
        "/usr/bin/false",
        "exit 1",
    ];
    !nothing.contains(&command)
}
