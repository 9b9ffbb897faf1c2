use super::DrainError;
use crate::cluster::{ArchiveMode, Cluster, Role, RunState, ServerConfig};
use crate::health::ArchiveCommand;

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
    // Settings that were not seen, or a server that refused these files and goes on with what it read before.
    if !config.is_certain() || config.refused_by_the_server().next().is_some() {
        return Some(Owner { pid, archives_with: None });
    }
    let value =
        |name| config.value(name).map(|setting| setting.value.trim()).filter(|value| !value.is_empty());
    let command = || value("archive_command").filter(|text| ArchiveCommand::of(text).works());
    // openGauss copies to archive_dest instead of running a command, and so may KingbaseES.
    let works = value("archive_dest").or_else(|| value("archive_library")).or_else(command);
    works.filter(|_| archives).map(|with| Owner { pid, archives_with: Some(with.to_owned()) })
}
