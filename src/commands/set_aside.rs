//! `set-aside`: takes stored files out of the way of their names, durable and with the reason beside each.

use std::cmp::Reverse;

use super::{ForeignOwner, Hint};
use crate::repository::{Expected, Form, Origin, Repository, RepositoryError, parse_stored};
use crate::storage::{Store, StoreError};
use crate::wal::{Lsn, SegmentName, Timeline, WalFileName};

/// What is to be set aside, and why.
pub struct SetAsideRequest<'a> {
    /// Which stored files.
    pub which: Which,
    /// Why: for those who find it later.
    pub reason: String,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// Who does it, and when.
    pub origin: &'a Origin,
}

/// Which stored files are set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// The one of this name: that of a WAL file, or of the stored file itself.
    File(String),
    /// Every file of a timeline.
    Timeline {
        /// The timeline.
        timeline: Timeline,
        /// The first segment of it that is meant; `None` for all, and the history.
        from: Option<SegmentName>,
    },
}

/// One file that was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    /// The WAL file.
    pub name: WalFileName,
    /// Where its stored file lies now.
    pub now_at: String,
}

/// Why nothing was set aside.
#[derive(Debug, thiserror::Error)]
pub enum SetAsideError {
    /// The name is not one of a WAL file.
    #[error("'{0}' is not the name of a WAL file or of a stored one")]
    NotAWalFile(String),
    /// There is no such file.
    #[error("'{0}' is not stored in the repository")]
    NotStored(String),
    /// The name does not say which of several stored files is meant.
    #[error("'{name}' is stored in several forms: {files}")]
    Several {
        /// The WAL file.
        name: String,
        /// The stored files.
        files: String,
    },
    /// The repository has no file of the timeline.
    #[error("no such file of timeline {0} is stored in the repository")]
    NothingOf(Timeline),
    /// The first segment is one of another timeline.
    #[error("'{from}' is no segment of timeline {timeline}")]
    OtherTimeline {
        /// The timeline.
        timeline: Timeline,
        /// The segment.
        from: SegmentName,
    },
    /// A stored timeline descends from the files, and cannot be recovered to without them.
    #[error("timeline {child} left timeline {timeline} at {fork}: a recovery to it needs these files")]
    Needed {
        /// The timeline of the files.
        timeline: Timeline,
        /// The one that descends from it.
        child: Timeline,
        /// The fork.
        fork: Lsn,
    },
    /// The reason is empty.
    #[error("the reason is empty")]
    NoReason,
    /// The wrong user.
    #[error(transparent)]
    ForeignOwner(#[from] ForeignOwner),
    /// The repository failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

impl From<StoreError> for SetAsideError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl Hint for SetAsideError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Several { .. } => Some("Name the stored file, with its ending.".to_owned()),
            Self::NoReason => Some("Say for those who find the file later why it was taken away.".to_owned()),
            Self::Needed { child, .. } => Some(format!(
                "If timeline {child} is to be forgotten, too, set it aside first: --timeline {child}."
            )),
            Self::OtherTimeline { .. } => Some("A segment's name begins with its timeline.".to_owned()),
            Self::NotAWalFile(_) | Self::NotStored(_) | Self::NothingOf(_) => None,
            Self::ForeignOwner(error) => error.hint(),
            Self::Repository(error) => error.hint(),
        }
    }
}

/// Sets stored files aside. Those of a timeline go one by one, its history first, so that a recovery that looks for the
/// newest timeline does not follow it any more; after a failure the same call goes on.
///
/// # Errors
/// When the name does not mean exactly one stored file, a stored timeline needs what is to go, or a file could not be moved
/// for certain.
pub fn set_aside(request: &SetAsideRequest<'_>) -> Result<Vec<SetAside>, SetAsideError> {
    if request.reason.trim().is_empty() {
        return Err(SetAsideError::NoReason);
    }
    if let Which::File(name) = &request.which
        && parse_stored(name).is_none()
    {
        return Err(SetAsideError::NotAWalFile(name.clone()));
    }
    ForeignOwner::refuse("repository", request.store.location(), request.store.foreign_owner()?)?;
    let repository = Repository::open(request.store)?;
    let files = match &request.which {
        Which::File(name) => vec![one(&repository, name)?],
        Which::Timeline { timeline, from } => all_of(&repository, *timeline, *from)?,
    };
    let set_aside = |(name, form): (WalFileName, Form)| {
        let now_at = repository.set_aside(name, form, &request.reason, request.origin)?;
        Ok(SetAside { name, now_at })
    };
    files.into_iter().map(set_aside).collect()
}

/// The stored file of this name.
fn one(repository: &Repository<'_>, text: &str) -> Result<(WalFileName, Form), SetAsideError> {
    let (name, form) = parse_stored(text).ok_or_else(|| SetAsideError::NotAWalFile(text.to_owned()))?;
    let stored: Vec<Form> = repository.find(name)?.into_iter().map(|(form, _)| form).collect();
    match (form, stored.as_slice()) {
        (_, []) => Err(SetAsideError::NotStored(text.to_owned())),
        // A bare name may mean whatever is stored, as long as that is one file.
        (Form::Plain, [only]) => Ok((name, *only)),
        (Form::Plain, several) => {
            let files: Vec<String> =
                several.iter().map(|form| format!("'{name}{}'", form.suffix())).collect();
            Err(SetAsideError::Several { name: name.to_string(), files: files.join(", ") })
        }
        (form, several) if several.contains(&form) => Ok((name, form)),
        _ => Err(SetAsideError::NotStored(text.to_owned())),
    }
}

/// The stored files of a timeline, those first that go first: its history, and then from the last segment backwards, so
/// that no gap is left if only some can be moved.
fn all_of(
    repository: &Repository<'_>,
    timeline: Timeline,
    from: Option<SegmentName>,
) -> Result<Vec<(WalFileName, Form)>, SetAsideError> {
    if let Some(from) = from.filter(|from| from.timeline() != timeline) {
        return Err(SetAsideError::OtherTimeline { timeline, from });
    }
    let stored = repository.list()?;
    let identity = repository.identity();
    let start = from.zip(identity).and_then(|(from, identity)| from.start(identity.segment_size));
    for child in stored.iter().filter_map(|(name, _)| name.history_of()).filter(|child| *child > timeline) {
        let expected = Expected {
            system_identifier: identity.map(|identity| identity.system_identifier),
            segment_size: identity.map(|identity| identity.segment_size),
            header_check: true,
        };
        let history = repository.history(child, expected)?;
        let fork = history.and_then(|history| history.switch_from(timeline));
        if let Some(fork) = fork.filter(|fork| start.is_none_or(|start| *fork > start)) {
            return Err(SetAsideError::Needed { timeline, child, fork });
        }
    }
    let is_meant = |name: &WalFileName| {
        name.timeline() == timeline
            && from.is_none_or(|from| name.segment().is_some_and(|segment| segment >= from))
    };
    let mut files: Vec<_> = stored.into_iter().filter(|(name, _)| is_meant(name)).collect();
    if files.is_empty() {
        return Err(SetAsideError::NothingOf(timeline));
    }
    files.sort_by_key(|(name, _)| (name.history_of().is_none(), Reverse(name.archive_order())));
    Ok(files)
}
