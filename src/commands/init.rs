//! `init`: makes a repository of an empty directory, or adopts one that holds WAL files already.

mod contents;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::survey;
use super::{ForeignOwner, Hint, Observer, Progress};
use crate::cluster::{Cluster, ClusterError};
use crate::fsx::{Modes, PathError, Published, foreign_owner, is_superuser, ownership, write_new};
use crate::health::{Edit, Tool, archiving, restoring};
use crate::repository::{Adopted, Form, Identity, Origin, Repository, RepositoryError, StoredForm};
use crate::storage::{Listed, Store, StoreError};
use crate::wal::{TimelineCoverage, WalFileName};

use contents::{Contents, identity_of_newest};

/// What is to become a repository.
pub struct InitRequest<'a> {
    /// The directory, as an absolute path.
    pub directory: PathBuf,
    /// The same directory as a store.
    pub store: &'a dyn Store,
    /// The data directory whose WAL it will hold.
    pub data_directory: Option<PathBuf>,
    /// The form of stored segments; `None` where nobody said.
    pub form: Option<StoredForm>,
    /// Whether plain files that another tool stored are read, and get their digests.
    pub digests: bool,
    /// The config file that is to be made.
    pub config: Option<NewConfig>,
    /// The program that the server is to call.
    pub program: &'a Path,
    /// Who makes it, and when.
    pub origin: &'a Origin,
    /// Who watches.
    pub observer: &'a dyn Observer,
}

/// A config file that is to be made.
pub struct NewConfig {
    /// Where.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// What the repository is now.
#[derive(Clone, Debug)]
pub struct InitReport {
    /// Where it lies.
    pub directory: PathBuf,
    /// Whether it was one before.
    pub was_one: bool,
    /// The form of stored segments.
    pub form: StoredForm,
    /// WAL files that lay there, by form.
    pub adopted: BTreeMap<Form, u64>,
    /// Names that lay there and are not ours.
    pub foreign_names: Vec<String>,
    /// The cluster that it belongs to; `None` until somebody archives.
    pub identity: Option<Identity>,
    /// What was adopted, timeline by timeline.
    pub timelines: Vec<TimelineCoverage>,
    /// How many base backups left their history files there.
    pub base_backups: u64,
    /// What came of the digests of plain files.
    pub digests: Digests,
    /// The product of the data directory that was named.
    pub dialect: Option<&'static str>,
    /// What its server has to be told; `None` where no data directory was named.
    pub server: Option<ServerLines>,
    /// The config file that was made.
    pub config: Option<PathBuf>,
    /// Whether root made it, so that root alone can archive into it.
    pub made_by_superuser: bool,
}

/// What came of giving adopted files their digests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Digests {
    /// Files that got one now.
    pub written: u64,
    /// Files that have none, because nobody asked for it.
    pub left_out: u64,
    /// Files that are not what their names say, with what speaks against them.
    pub not_whole: Vec<(WalFileName, String)>,
}

/// What a server has to be told.
#[derive(Clone, Debug)]
pub struct ServerLines {
    /// What product it is, and of which version.
    pub product: String,
    /// So that it archives; none where it does.
    pub archiving: Vec<Edit>,
    /// So that it restores when it recovers; `None` where it would.
    pub restoring: Option<Edit>,
    /// Why that cannot be told, where its configuration cannot be read.
    pub unknown: Option<String>,
    /// Whether recovery settings stand in a file of their own, which makes a server recover that finds it.
    pub has_recovery_file: bool,
    /// The data directory.
    pub data_directory: String,
}

/// Why it is no repository.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// It is something else that must not be written into.
    #[error("'{path}' is {what}")]
    NotForUs {
        /// The directory.
        path: String,
        /// What it is.
        what: String,
    },
    /// A repository inside the data directory goes when that goes.
    #[error("'{path}' lies inside the data directory")]
    InsideDataDirectory {
        /// The directory.
        path: String,
    },
    /// It is a repository of pgBackRest, or of a fork of it.
    #[error("'{path}' is a repository of pgBackRest or sys_rman: it holds '{trace}'")]
    Backrest {
        /// The directory.
        path: String,
        /// What shows it.
        trace: String,
    },
    /// A config file is not replaced.
    #[error("the config file '{path}' is there already")]
    ConfigIsThere {
        /// The file.
        path: String,
    },
    /// A config file goes where it stays and is not taken for something else.
    #[error("the config file '{path}' would lie in the {place}")]
    ConfigInside {
        /// The file.
        path: String,
        /// Where that is.
        place: &'static str,
    },
    /// The repository is another cluster's.
    #[error("the repository belongs to system identifier {repository}, '{data_directory}' is {found}")]
    OtherCluster {
        /// Whose it is.
        repository: crate::wal::SystemIdentifier,
        /// The cluster that was named.
        found: crate::wal::SystemIdentifier,
        /// Its data directory.
        data_directory: String,
        /// The repository's directory.
        directory: String,
    },
    /// It is a repository of the other form.
    #[error("the repository stores segments as {is}, not as {wanted}")]
    OtherForm {
        /// How it stores them.
        is: &'static str,
        /// How it was asked to.
        wanted: &'static str,
    },
    /// Nothing can be learnt from the newest stored segment.
    #[error("cannot tell which cluster the stored segment '{file}' comes from")]
    UnknownSegment {
        /// The segment.
        file: String,
        /// Why not.
        source: RepositoryError,
    },
    /// The data directory cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A directory cannot be looked at.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository cannot be made.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for InitError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for InitError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotForUs { .. } => {
                "Name an empty directory, or one that cp, gzip, zstd or lz4 filled with WAL files."
            }
            Self::Backrest { .. } => {
                "Leave it to pgbackrest or sys_rman: the backups in it need its WAL, and only they expire both. \
                 Give walkeep an empty directory of its own."
            }
            Self::ConfigIsThere { .. } => "It was not touched. Name another file, or move this one away.",
            Self::ConfigInside { .. } => "Name one that outlives it, such as /etc/walkeep/walkeep.toml.",
            Self::OtherCluster { data_directory, directory, .. } => {
                return Some(format!(
                    "After pg_upgrade or initdb a cluster has a new identifier, and needs a new repository: 'walkeep \
                     init --repo {directory}-2 -D {data_directory}', with that directory in its archive_command and \
                     restore_command. Take a base backup then. Keep '{directory}' as long as the backups from before, \
                     which need its WAL."
                ));
            }
            Self::InsideDataDirectory { .. } => {
                "Keep the repository apart, on another disk where there is one."
            }
            Self::OtherForm { .. } => {
                "The form was fixed when the repository was made; --compress changes the level only."
            }
            Self::UnknownSegment { .. } => {
                "Where it is damaged, move it out of the directory; encrypted WAL needs -D DATADIR."
            }
            Self::Path(_) => return None,
            Self::Cluster(error) => return error.hint(),
            Self::ForeignOwner(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
        };
        Some(text.to_owned())
    }
}

/// Makes or adopts a repository; one that is there already is only bound to the cluster.
///
/// # Errors
/// When the directory is for something else, belongs to another cluster, or cannot be written.
pub fn init(request: &InitRequest<'_>) -> Result<InitReport, InitError> {
    refuse_superuser(request)?;
    let cluster = request.data_directory.as_deref().map(Cluster::find).transpose()?;
    let control = cluster.as_ref().map(Cluster::control_file).transpose()?;
    let listed = if request.store.exists()? { request.store.list("")? } else { Vec::new() };
    refuse_other_uses(request, cluster.as_ref(), &listed)?;
    refuse_config(request)?;

    let was_one = Repository::is_one(request.store)?;
    let contents = Contents::of(&listed);
    if !was_one && contents.files.is_empty() && !contents.foreign.is_empty() {
        let names =
            contents.foreign.iter().take(3).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        return Err(not_for_us(request, format!("neither empty nor an archive: it holds {names}")));
    }
    let named = control.as_ref().map(|control| Identity {
        system_identifier: control.system_identifier,
        segment_size: control.segment_size,
    });
    let stored = stored_identity(request, was_one, &contents, named);
    let stored = stored.map_err(|error| of_another_cluster(error, request))?;

    let repository = made(request, &contents, was_one, named.or(stored), cluster.as_ref())?;
    let identity = repository.identity();
    let (timelines, base_backups) =
        identity.map_or_else(Default::default, |identity| contents.holding(identity.segment_size));
    let digests = digest(request, &repository, &contents)?;
    Ok(InitReport {
        directory: request.directory.clone(),
        was_one,
        form: repository.charter().form,
        adopted: contents.count_by_form(),
        timelines,
        base_backups,
        digests,
        foreign_names: contents.foreign,
        identity,
        dialect: cluster.as_ref().map(|cluster| cluster.dialect().key()),
        server: cluster.as_ref().map(|cluster| server_lines(request, cluster)),
        config: request.config.as_ref().map(write_config).transpose()?,
        made_by_superuser: is_superuser(),
    })
}

/// Before anything is written: are the files there of the cluster that was named?
fn stored_identity(
    request: &InitRequest<'_>,
    was_one: bool,
    contents: &Contents,
    named: Option<Identity>,
) -> Result<Option<Identity>, InitError> {
    if was_one { Ok(None) } else { identity_of_newest(request, contents, named) }
}

/// The repository, made or found, and bound where that can be.
fn made<'a>(
    request: &InitRequest<'a>,
    contents: &Contents,
    was_one: bool,
    identity: Option<Identity>,
    cluster: Option<&Cluster>,
) -> Result<Repository<'a>, InitError> {
    let form = request.form.unwrap_or(StoredForm::Zstd);
    let mut repository = if was_one {
        Repository::open(request.store)?
    } else {
        Repository::create(request.store, form, !contents.files.is_empty(), request.origin)?
    };
    if request.form.is_some_and(|wanted| wanted != repository.charter().form) {
        return Err(InitError::OtherForm {
            is: form_name(repository.charter().form),
            wanted: form_name(form),
        });
    }
    if let Some(identity) = identity {
        let dialect = cluster.map(|cluster| cluster.dialect().key());
        let bound = repository.bind(identity, dialect, request.origin);
        bound.map_err(|error| of_another_cluster(error.into(), request))?;
    }
    Ok(repository)
}

/// Says which data directory it is that does not belong here, and how to go on.
fn of_another_cluster(error: InitError, request: &InitRequest<'_>) -> InitError {
    match (error, &request.data_directory) {
        (InitError::Repository(RepositoryError::OtherSystem { repository, found }), Some(data)) => {
            InitError::OtherCluster {
                repository,
                found,
                data_directory: data.display().to_string(),
                directory: request.directory.display().to_string(),
            }
        }
        (error, _) => error,
    }
}

/// Gives adopted files their digests. One that cannot be read is told, and stops nobody.
fn digest(
    request: &InitRequest<'_>,
    repository: &Repository<'_>,
    contents: &Contents,
) -> Result<Digests, InitError> {
    let mut digests = Digests::default();
    let names = contents.undigested();
    if !request.digests {
        digests.left_out = names.len() as u64;
        return Ok(digests);
    }
    let mut progress = Progress { total_files: names.len() as u64, ..Progress::default() };
    for name in names {
        match repository.adopt(name) {
            Ok(Adopted::Digested { bytes }) => {
                digests.written += 1;
                progress.done_bytes += bytes;
            }
            Ok(Adopted::NotWhole(reason)) => digests.not_whole.push((name, reason)),
            Ok(Adopted::Gone) => {}
            Err(RepositoryError::Damaged { reason, .. }) => digests.not_whole.push((name, reason)),
            Err(error) => return Err(error.into()),
        }
        progress.done_files += 1;
        request.observer.progress(progress);
    }
    Ok(digests)
}

/// What the server has to be told, going by its configuration.
fn server_lines(request: &InitRequest<'_>, cluster: &Cluster) -> ServerLines {
    let dialect = cluster.dialect();
    let is_postgresql = dialect.key().starts_with("postgresql");
    let product =
        if is_postgresql { "PostgreSQL ".to_owned() + cluster.version() } else { dialect.product.to_owned() };
    let mut lines = ServerLines {
        product,
        archiving: Vec::new(),
        restoring: None,
        unknown: None,
        has_recovery_file: dialect.has_recovery_conf(),
        data_directory: cluster.data_directory().display().to_string(),
    };
    match survey::setup(cluster, request.program, Some(&request.directory)) {
        Err(unknown) => lines.unknown = Some(unknown.0),
        Ok(setup) if setup.archiver.faults.iter().any(|fault| fault.is_uncertain) => {
            lines.unknown = setup.archiver.faults.iter().find(|fault| fault.is_uncertain).map(|fault| {
                let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
                format!("{}{line}: {}", fault.file, fault.what)
            });
        }
        Ok(setup) => {
            let (program, directory) = (request.program.display().to_string(), request.directory.display());
            let directory = directory.to_string();
            let tool = Tool { program: &program, repository: Some(&directory) };
            lines.archiving = archiving(&setup, &tool);
            lines.restoring = restoring(&setup, &tool);
        }
    }
    lines
}

fn write_config(config: &NewConfig) -> Result<PathBuf, InitError> {
    let above = config.path.parent().map(ownership).transpose()?;
    let modes = Modes::beside(above.map_or(0, |above| above.mode));
    match write_new(&config.path, config.text.as_bytes(), modes)? {
        Published::New => Ok(config.path.clone()),
        Published::NameTaken => Err(InitError::ConfigIsThere { path: config.path.display().to_string() }),
    }
}

/// Looks before anything is made whether the config file can be.
fn refuse_config(request: &InitRequest<'_>) -> Result<(), InitError> {
    let Some(NewConfig { path, .. }) = &request.config else { return Ok(()) };
    let shown = || path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Ok(_) => return Err(InitError::ConfigIsThere { path: shown() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(PathError::new("look at", path, error).into()),
    }
    let above = real_path(path.parent().unwrap_or(path))?;
    // A folder that is not there is told before the repository is made.
    ownership(&above)?;
    let repository = real_path(&request.directory)?;
    let place = if above.ancestors().any(Cluster::is_data_directory) {
        "data directory"
    } else if above.starts_with(&repository) {
        "repository"
    } else {
        return Ok(());
    };
    Err(InitError::ConfigInside { path: shown(), place })
}

const fn form_name(form: StoredForm) -> &'static str {
    match form {
        StoredForm::Zstd => "zstd",
        StoredForm::Plain => "plain files",
    }
}

fn not_for_us(request: &InitRequest<'_>, what: String) -> InitError {
    InitError::NotForUs { path: request.directory.display().to_string(), what }
}

fn refuse_superuser(request: &InitRequest<'_>) -> Result<(), InitError> {
    let shown = |path: &Path| path.display().to_string();
    ForeignOwner::refuse("directory", shown(&request.directory), request.store.foreign_owner()?)?;
    let above = request.directory.parent().filter(|_| !request.directory.exists());
    if let Some(above) = above {
        ForeignOwner::refuse("directory", shown(above), foreign_owner(above)?)?;
    }
    if let Some(data) = &request.data_directory {
        ForeignOwner::refuse("data directory", shown(data), foreign_owner(data)?)?;
    }
    Ok(())
}

/// A live WAL directory, a data directory or another tool's repository must never become one of ours.
fn refuse_other_uses(
    request: &InitRequest<'_>,
    cluster: Option<&Cluster>,
    listed: &[Listed],
) -> Result<(), InitError> {
    let holds = |name: &str| listed.iter().any(|listed| listed.name == name);
    if holds("archive_status") {
        return Err(not_for_us(request, "a live WAL directory: it holds 'archive_status'".to_owned()));
    }
    if Cluster::is_data_directory(&request.directory) {
        return Err(not_for_us(request, "a data directory".to_owned()));
    }
    refuse_inside_data_directory(request, cluster)?;
    if let Some(name) = pgbackrest_trace(request.store, listed)? {
        return Err(InitError::Backrest { path: request.directory.display().to_string(), trace: name });
    }
    Ok(())
}

/// Whatever way leads there: the data directory that was named, or one that nobody named.
fn refuse_inside_data_directory(
    request: &InitRequest<'_>,
    cluster: Option<&Cluster>,
) -> Result<(), InitError> {
    let directory = real_path(&request.directory)?;
    let is_wal_directory = |dir: &Path| dir.join("archive_status").is_dir();
    let within = |dir: &Path| {
        let named = cluster.is_some_and(|cluster| cluster.wal_directory() == dir);
        named || Cluster::is_data_directory(dir) || is_wal_directory(dir)
    };
    if directory.ancestors().any(within) {
        return Err(InitError::InsideDataDirectory { path: request.directory.display().to_string() });
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> Result<PathBuf, PathError> {
    for above in path.ancestors() {
        match above.canonicalize() {
            Ok(real) => return Ok(path.strip_prefix(above).map_or(real.clone(), |below| real.join(below))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(PathError::new("look at", path, error)),
        }
    }
    Ok(path.to_owned())
}

/// How many folders are looked into for a stanza of pgBackRest.
const MOST_STANZAS: usize = 256;

/// What shows that pgBackRest, or a fork of it, wrote here.
fn pgbackrest_trace(store: &dyn Store, listed: &[Listed]) -> Result<Option<String>, InitError> {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_theirs = |listed: &&Listed| {
        let name = listed.name.as_str();
        let info = matches!(name, "archive.info" | "backup.info" | "archive.info.copy");
        let digested = name.split_once('-').is_some_and(|(segment, rest)| {
            segment.len() == 24 && is_hex(segment) && rest.get(..40).is_some_and(is_hex)
        });
        let by_log = !listed.is_object && name.len() == 16 && is_hex(name);
        info || digested || by_log
    };
    if let Some(trace) = listed.iter().find(is_theirs) {
        return Ok(Some(trace.name.clone()));
    }
    let folder = |listed: &Listed| (!listed.is_object).then(|| listed.name.clone());
    // Their folder of stanzas, and the folder above it.
    let stanzas = listed.iter().filter_map(folder);
    let below = store.list("archive")?;
    let stanzas = stanzas.chain(below.iter().filter_map(folder).map(|stanza| format!("archive/{stanza}")));
    for stanza in stanzas.take(MOST_STANZAS) {
        if store.list(&stanza)?.iter().any(|below| below.name == "archive.info") {
            return Ok(Some(format!("{stanza}/archive.info")));
        }
    }
    Ok(None)
}
