//! `hold`: a pin that a person sets, such as for a base backup that left no `.backup` file here.

use std::path::PathBuf;
use std::time::SystemTime;

use super::source::SourceFile;
use super::{ForeignOwner, Hint};
use crate::fsx::PathError;
use crate::repository::{Hold, HoldName, Origin, Repository, RepositoryError};
use crate::storage::{Published, Store, StoreError};
use crate::wal::{BackupLabel, Lsn, ParseError, SegmentName, SegmentNumber, Timeline};

/// A hold to be set.
pub struct HoldAddRequest<'a> {
    /// What it is called.
    pub name: HoldName,
    /// From where on everything is kept.
    pub from: HoldFrom,
    /// Why.
    pub reason: String,
    /// Until when; `None` until a person removes it.
    pub until: Option<SystemTime>,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// Who sets it, and when.
    pub origin: &'a Origin,
}

/// From where on a hold keeps everything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HoldFrom {
    /// From the beginning of a segment.
    Segment(SegmentName),
    /// From a position.
    Position(Lsn),
    /// From where a base backup begins, by its `backup_label`.
    BackupLabel(PathBuf),
}

/// Why a hold was not set, listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The reason is empty.
    #[error("the reason is empty")]
    NoReason,
    /// It would hold nothing.
    #[error("its end is past already")]
    Past,
    /// There is one of that name.
    #[error("there is a hold '{0}' already")]
    NameTaken(HoldName),
    /// There is none of that name.
    #[error("there is no hold '{0}'")]
    NoSuchHold(HoldName),
    /// The backup label cannot be read.
    #[error(transparent)]
    Label(#[from] PathError),
    /// It is no backup label.
    #[error("'{path}' is no backup label")]
    NotALabel {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Nobody knows how long segments are.
    #[error("the repository belongs to no cluster yet, so that '{0}' means no position")]
    NotBound(SegmentName),
    /// No segment of this length has such a name.
    #[error("no segment of this repository is called '{0}'")]
    NoSuchSegment(SegmentName),
    /// What it should hold is not there any more.
    #[error("what it would hold is gone: '{missing}' is not stored, but '{next}' is")]
    Gone {
        /// The segment that it begins in.
        missing: String,
        /// The next one that is there.
        next: SegmentName,
    },
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for HoldError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for HoldError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoReason => "Say for those who meet the hold later why it is there.",
            Self::NameTaken(_) => "Choose another name, or remove that one with 'walkeep hold remove NAME'.",
            Self::NoSuchHold(_) => "'walkeep hold list' shows those that are there.",
            Self::NotBound(_) => "Give an LSN, such as 0/3000028.",
            Self::Gone { .. } => "A base backup that begins there cannot be restored from this repository.",
            Self::Past | Self::Label(_) | Self::NotALabel { .. } | Self::NoSuchSegment(_) => return None,
            Self::ForeignOwner(error) => return error.hint(),
            Self::Repository(error) => return error.hint(),
        };
        Some(text.to_owned())
    }
}

/// Sets a hold. Durable when it returns: from then on no prune removes what it holds.
///
/// # Errors
/// When what it would hold is gone, its name is taken, or it may not be durable.
pub fn hold_add(request: &HoldAddRequest<'_>) -> Result<Hold, HoldError> {
    let (store, origin) = (request.store, request.origin);
    let reason = request.reason.trim();
    if reason.is_empty() {
        return Err(HoldError::NoReason);
    }
    ForeignOwner::refuse("repository", store.location(), store.foreign_owner()?)?;
    let repository = Repository::open(store)?;
    let (from, timeline) = position(&request.from, &repository)?;
    let hold = Hold {
        name: request.name.clone(),
        from,
        reason: reason.to_owned(),
        until: request.until,
        created_at: origin.now,
        node: origin.node.clone(),
    };
    if hold.has_expired(origin.now) {
        return Err(HoldError::Past);
    }
    // A prune that has made its plan already would not know of it.
    let turn = repository.lock_removal()?;
    refuse_gone(from, timeline, &repository)?;
    match repository.add_hold(&hold, &*turn)? {
        Published::New => Ok(hold),
        Published::NameTaken => Err(HoldError::NameTaken(hold.name)),
    }
}

/// The position that a hold begins at, and the timeline that it was named on.
fn position(from: &HoldFrom, repository: &Repository<'_>) -> Result<(Lsn, Option<Timeline>), HoldError> {
    match from {
        HoldFrom::Position(lsn) => Ok((*lsn, None)),
        HoldFrom::Segment(name) => {
            let size = repository.identity().ok_or(HoldError::NotBound(*name))?.segment_size;
            let start = name.start(size).ok_or(HoldError::NoSuchSegment(*name))?;
            Ok((start, Some(name.timeline())))
        }
        HoldFrom::BackupLabel(path) => {
            let bytes = SourceFile::open(path)?.head::<LABEL_BYTES>();
            let label = BackupLabel::parse(&bytes?)
                .map_err(|source| HoldError::NotALabel { path: path.display().to_string(), source })?;
            Ok((label.start, Some(label.start_segment.timeline())))
        }
    }
}

/// Longest backup label that is read, in bytes.
const LABEL_BYTES: usize = 64 << 10;

/// Refuses a hold whose first segment is not stored while later ones are: it was pruned, or is in a gap. What is
/// not archived yet can be held.
fn refuse_gone(from: Lsn, timeline: Option<Timeline>, repository: &Repository<'_>) -> Result<(), HoldError> {
    let Some(size) = repository.identity().map(|identity| identity.segment_size) else { return Ok(()) };
    let first = SegmentNumber::containing(from, size);
    let is_of = |name: &SegmentName| timeline.is_none_or(|timeline| name.timeline() == timeline);
    let names = repository.names()?;
    let stored = names.iter().filter(|name| name.is_pages()).filter_map(|name| name.segment()).filter(is_of);
    let next = stored
        .filter_map(|name| Some((name.number(size)?, name)))
        .filter(|(number, _)| *number >= first)
        .min();
    match next {
        Some((number, next)) if number > first => {
            let missing = SegmentName::new(next.timeline(), first, size);
            let missing = missing.map_or_else(|| from.to_string(), |name| name.to_string());
            Err(HoldError::Gone { missing, next })
        }
        _ => Ok(()),
    }
}

/// All holds, as they were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldListReport {
    /// When they were looked at.
    pub now: SystemTime,
    /// The holds.
    pub holds: Vec<Hold>,
}

/// Lists every hold, those that have expired among them.
///
/// # Errors
/// When one cannot be read or makes no sense.
pub fn hold_list(store: &dyn Store, now: SystemTime) -> Result<HoldListReport, HoldError> {
    Ok(HoldListReport { now, holds: Repository::open(store)?.holds()? })
}

/// A hold to be removed.
pub struct HoldRemoveRequest<'a> {
    /// What it is called.
    pub name: HoldName,
    /// Where the repository lies.
    pub store: &'a dyn Store,
}

/// Removes a hold, whatever its file holds.
///
/// # Errors
/// When there is none of that name, or it may still stand.
pub fn hold_remove(request: &HoldRemoveRequest<'_>) -> Result<(), HoldError> {
    let (name, store) = (&request.name, request.store);
    ForeignOwner::refuse("repository", store.location(), store.foreign_owner()?)?;
    let removed = Repository::open(store)?.remove_hold(name)?;
    if removed { Ok(()) } else { Err(HoldError::NoSuchHold(name.clone())) }
}
