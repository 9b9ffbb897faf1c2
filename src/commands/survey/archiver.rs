use super::{reason, unknown};
use crate::cluster::{self, Cluster, ServerConfig, Setting};
use crate::health::{ArchiveMode, ArchiverFacts, ConfigFault, Source, Unknown};

/// How the server is told to archive.
pub(super) fn facts(cluster: &Cluster) -> Result<ArchiverFacts, Unknown> {
    from_config(&cluster.server_config().map_err(|error| unknown(&error))?)
}

/// The same from a configuration that was read.
pub(super) fn from_config(config: &ServerConfig) -> Result<ArchiverFacts, Unknown> {
    let mode = config.archive_mode().ok_or_else(|| {
        let value = config.value("archive_mode").map_or("", |setting| setting.value.as_str());
        Unknown(format!("archive_mode = '{value}' is none of on, off and always"))
    })?;
    let mode = match mode {
        cluster::ArchiveMode::Off => ArchiveMode::Off,
        cluster::ArchiveMode::On => ArchiveMode::On,
        cluster::ArchiveMode::Always => ArchiveMode::Always,
    };
    let commands: Vec<&Setting> = config.values("archive_command").collect();
    let hidden = commands.split_last().map_or(&[][..], |(_, hidden)| hidden);
    let command = config.value("archive_command");
    Ok(ArchiverFacts {
        mode: (mode, config.value("archive_mode").map(source)),
        command: (command.map(|setting| setting.value.clone()).unwrap_or_default(), command.map(source)),
        hidden_commands: hidden.iter().map(|setting| (setting.value.clone(), source(setting))).collect(),
        library: not_empty(config, "archive_library"),
        dest: not_empty(config, "archive_dest"),
        faults: config.faults().iter().map(fault).collect(),
    })
}

fn not_empty(config: &ServerConfig, name: &str) -> Option<(String, Source)> {
    let setting = config.value(name).filter(|setting| !setting.value.trim().is_empty())?;
    Some((setting.value.clone(), source(setting)))
}

pub(super) fn source(setting: &Setting) -> Source {
    match &setting.origin {
        cluster::Origin::File { file, line } | cluster::Origin::RecoveryConf { file, line } => {
            Source { file: file.display().to_string(), line: Some(*line) }
        }
        cluster::Origin::CommandLine { file } => Source { file: file.display().to_string(), line: None },
    }
}

fn fault(fault: &cluster::ConfigFault) -> ConfigFault {
    ConfigFault {
        file: fault.file.display().to_string(),
        line: fault.line,
        what: reason(&fault.kind),
        is_uncertain: fault.hides_settings(),
    }
}
