//! `init`: makes a repository of an empty directory, or adopts one that holds WAL files already.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ForeignOwner, Hint};
use crate::cluster::{Cluster, ClusterError};
use crate::fsx::{PathError, foreign_owner, is_superuser};
use crate::repository::{
    Form, Identity, Origin, Repository, RepositoryError, StoredForm, decode, header_agrees, parse_stored,
    stored_key,
};
use crate::storage::{Listed, Store, StoreError};
use crate::wal::{LONG_HEADER_BYTES, LongPageHeader, WalFileKind, WalFileName};

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
    /// Who makes it, and when.
    pub origin: &'a Origin,
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
    /// The product of the data directory that was named.
    pub dialect: Option<&'static str>,
    /// Whether root made it, so that root alone can archive into it.
    pub made_by_superuser: bool,
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
            Self::InsideDataDirectory { .. } => {
                "Keep the repository apart, on another disk where there is one."
            }
            Self::OtherForm { .. } => {
                "The form was fixed when the repository was made; --compress changes the level only."
            }
            Self::UnknownSegment { .. } => {
                "Where it is damaged, move it out of the directory; encrypted WAL needs -D DATADIR."
            }
            Self::Cluster(_) | Self::Path(_) => return None,
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

    let was_one = Repository::is_one(request.store)?;
    let contents = Contents::of(&listed);
    if !was_one && contents.files.is_empty() && !contents.foreign.is_empty() {
        let names =
            contents.foreign.iter().take(3).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        return Err(not_for_us(request, format!("neither empty nor an archive: it holds {names}")));
    }
    let mut identity = control.as_ref().map(|control| Identity {
        system_identifier: control.system_identifier,
        segment_size: control.segment_size,
    });
    // Before anything is written: are the files there of the cluster that was named?
    let stored = if was_one { None } else { identity_of_newest(request, &contents, identity)? };
    identity = identity.or(stored);

    let form = request.form.unwrap_or(StoredForm::Zstd);
    let adopted = !contents.files.is_empty();
    let mut repository = if was_one {
        Repository::open(request.store)?
    } else {
        Repository::create(request.store, form, adopted, request.origin)?
    };
    if request.form.is_some_and(|wanted| wanted != repository.charter().form) {
        return Err(InitError::OtherForm {
            is: form_name(repository.charter().form),
            wanted: form_name(form),
        });
    }
    if let Some(identity) = identity {
        repository.bind(identity, cluster.as_ref().map(|cluster| cluster.dialect().key()), request.origin)?;
    }
    Ok(InitReport {
        directory: request.directory.clone(),
        was_one,
        form: repository.charter().form,
        adopted: contents.count_by_form(),
        foreign_names: contents.foreign,
        identity: repository.identity(),
        dialect: cluster.as_ref().map(|cluster| cluster.dialect().key()),
        made_by_superuser: is_superuser(),
    })
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
        return Err(not_for_us(
            request,
            format!("a repository of pgBackRest or sys_rman: it holds '{name}'"),
        ));
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
    for stanza in store.list("archive")? {
        let below = store.list(&format!("archive/{}", stanza.name))?;
        if below.iter().any(|below| below.name == "archive.info") {
            return Ok(Some(format!("archive/{}/archive.info", stanza.name)));
        }
    }
    Ok(None)
}

/// What lies in a directory that is to be adopted.
struct Contents {
    files: Vec<(WalFileName, Form)>,
    foreign: Vec<String>,
}

impl Contents {
    fn of(listed: &[Listed]) -> Self {
        let mut contents = Self { files: Vec::new(), foreign: Vec::new() };
        // What file systems and we keep at the top of a directory.
        let expected = [".walkeep", "lost+found", ".snapshot", ".zfs"];
        for Listed { name, is_object } in listed {
            match parse_stored(name).filter(|_| *is_object) {
                Some(file) => contents.files.push(file),
                None if expected.contains(&name.as_str()) => {}
                None if name.strip_suffix(".sha256").and_then(parse_stored).is_some() => {}
                None => contents.foreign.push(name.clone()),
            }
        }
        contents.files.sort_unstable();
        contents.foreign.sort_unstable();
        contents
    }

    fn count_by_form(&self) -> BTreeMap<Form, u64> {
        let mut counts = BTreeMap::new();
        for (_, form) in &self.files {
            *counts.entry(*form).or_insert(0) += 1;
        }
        counts
    }
}

/// Whose WAL lies there already, going by the newest stored segment. Where the data directory is known the
/// segment has to be of its cluster.
fn identity_of_newest(
    request: &InitRequest<'_>,
    contents: &Contents,
    named: Option<Identity>,
) -> Result<Option<Identity>, InitError> {
    let segments = contents.files.iter().filter(|(name, _)| name.kind() == WalFileKind::Segment);
    let Some((name, form)) = segments.max() else { return Ok(None) };
    let file = format!("{name}{}", form.suffix());
    let header = read_header(request.store, *name, *form);
    let header = header.map_err(|source| InitError::UnknownSegment { file: file.clone(), source })?;
    let identity =
        Identity { system_identifier: header.system_identifier, segment_size: header.segment_size };
    match named {
        Some(named) if named.system_identifier != identity.system_identifier => {
            Err(RepositoryError::OtherSystem {
                repository: identity.system_identifier,
                found: named.system_identifier,
            }
            .into())
        }
        Some(named) if named.segment_size != identity.segment_size => {
            let (repository, found) = (identity.segment_size, named.segment_size);
            Err(RepositoryError::OtherSegmentSize { repository, found }.into())
        }
        _ => Ok(Some(identity)),
    }
}

/// The first page's header of a stored segment, which has to be what its name says.
fn read_header(store: &dyn Store, name: WalFileName, form: Form) -> Result<LongPageHeader, RepositoryError> {
    let key = stored_key(name, form);
    let damaged = |reason: String| RepositoryError::Damaged { file: store.locate(&key), reason };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let object = store.open(&key)?.ok_or_else(|| damaged("it is gone".to_owned()))?;
    let mut head = Vec::new();
    let decoded = decode(form, object.bytes).map_err(unreadable)?;
    decoded.bytes.take(LONG_HEADER_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
    let header = LongPageHeader::parse(&head).map_err(|error| damaged(error.to_string()))?;
    header_agrees(name, &header, None).map_err(damaged)?;
    Ok(header)
}
