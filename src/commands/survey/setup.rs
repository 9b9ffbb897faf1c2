use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{archiver, unknown};
use crate::cluster::{Cluster, Recovery, ServerConfig};
use crate::health::{
    Manual, ProgramFacts, ProgramState, RepositoryInCommand, SetupFacts, Unknown, program_of, repository_of,
};

/// How a cluster's server is set up to archive, as its files say. `program` is the one that runs now, and
/// `repository` the one that was named.
pub(in crate::commands) fn setup(
    cluster: &Cluster,
    program: &Path,
    repository: Option<&Path>,
) -> Result<SetupFacts, Unknown> {
    let config = cluster.server_config().map_err(|error| unknown(&error))?;
    let archiver = archiver::from_config(&config)?;
    let recovery = cluster.recovery().map_err(|error| unknown(&error))?;
    let setting =
        |name: &str| config.value(name).map(|setting| (setting.value.clone(), archiver::source(setting)));
    let command = &archiver.command.0;
    Ok(SetupFacts {
        wal_level: setting("wal_level"),
        restore_command: setting("restore_command"),
        archive_timeout: setting("archive_timeout"),
        is_standby: recovery != Recovery::None,
        program: program_of(command).map(|name| program_facts(name, cluster, program)),
        stored_in: repository_of(command).map(|name| repository_facts(name, cluster, repository)),
        manual: manual(cluster, &config),
        archiver,
    })
}

/// Servers run commands in the data directory.
fn from_data_directory(cluster: &Cluster, path: &str) -> PathBuf {
    cluster.data_directory().join(path)
}

fn program_facts(name: String, cluster: &Cluster, running: &Path) -> ProgramFacts {
    if !name.contains('/') {
        return ProgramFacts { name, state: ProgramState::OnPath };
    }
    let path = from_data_directory(cluster, &name);
    let state = match fs::metadata(&path) {
        Err(error) => ProgramState::Unusable(format!("it cannot be looked at: {error}")),
        Ok(found) if !found.is_file() => ProgramState::Unusable("it is no file".to_owned()),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => {
            ProgramState::Unusable("it is not executable".to_owned())
        }
        Ok(found) => {
            let same = |other: fs::Metadata| (other.dev(), other.ino()) == (found.dev(), found.ino());
            if fs::metadata(running).is_ok_and(same) {
                ProgramState::ThisOne
            } else {
                ProgramState::AnotherOne
            }
        }
    };
    ProgramFacts { name, state }
}

fn repository_facts(name: String, cluster: &Cluster, named: Option<&Path>) -> RepositoryInCommand {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
    let stored_in = real(&from_data_directory(cluster, &name));
    RepositoryInCommand { is_the_named_one: named.map(|named| real(named) == stored_in), name }
}

/// The servers cut a longer command up to 15 (`MAXPGPATH` in `pgarch_archiveXlog`).
const MOST_COMMAND_BYTES: usize = 1023;

fn manual(cluster: &Cluster, config: &ServerConfig) -> Manual {
    let dialect = cluster.dialect();
    let data =
        std::path::absolute(cluster.data_directory()).unwrap_or_else(|_| cluster.data_directory().into());
    let is_scripts = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| Some(name) == dialect.script_conf_file.map(AsRef::as_ref))
    };
    let auto_file = data.join(dialect.auto_conf_file);
    let main = config.files().iter().find(|file| file.file_name() == Some(dialect.conf_file.as_ref()));
    let main = main.cloned().unwrap_or_else(|| data.join(dialect.conf_file));
    let file = config.files().iter().rfind(is_scripts).unwrap_or(&main);
    let is_postgresql_from = |first: u32| dialect.key() == "postgresql" && cluster.major() >= Some(first);
    let text = |path: &Path| path.display().to_string();
    Manual {
        data_directory: text(&data),
        file: text(file),
        auto_file: text(&auto_file),
        recovery_file: dialect.has_recovery_conf().then(|| text(&data.join("recovery.conf"))),
        control_program: dialect.control_program,
        runs_a_shell: dialect.runs_a_shell,
        reloads_archive_mode: dialect.reloads_archive_mode,
        reloads_restore_command: is_postgresql_from(14),
        wal_directory: dialect.wal_directory,
        most_command_bytes: (!is_postgresql_from(16)).then_some(MOST_COMMAND_BYTES),
    }
}
