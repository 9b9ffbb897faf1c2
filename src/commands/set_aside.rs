//! `set-aside`: takes one stored file out of the way of its name, durable and with the reason beside it.

use super::{ForeignOwner, Hint};
use crate::repository::{Form, Origin, Repository, RepositoryError, parse_stored};
use crate::storage::{Store, StoreError};
use crate::wal::WalFileName;

/// What is to be set aside, and why.
pub struct SetAsideRequest<'a> {
    /// The name of a WAL file, or of the stored file itself.
    pub name: String,
    /// Why: for those who find it later.
    pub reason: String,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// Who does it, and when.
    pub origin: &'a Origin,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAsideReport {
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
            Self::NotAWalFile(_) | Self::NotStored(_) => None,
            Self::ForeignOwner(error) => error.hint(),
            Self::Repository(error) => error.hint(),
        }
    }
}

/// Sets one stored file aside.
///
/// # Errors
/// When the name does not mean exactly one stored file, or it could not be moved for certain.
pub fn set_aside(request: &SetAsideRequest<'_>) -> Result<SetAsideReport, SetAsideError> {
    if request.reason.trim().is_empty() {
        return Err(SetAsideError::NoReason);
    }
    let not_ours = || SetAsideError::NotAWalFile(request.name.clone());
    let (name, form) = parse_stored(&request.name).ok_or_else(not_ours)?;
    ForeignOwner::refuse("repository", request.store.location(), request.store.foreign_owner()?)?;
    let repository = Repository::open(request.store)?;
    let stored: Vec<Form> = repository.find(name)?.into_iter().map(|(form, _)| form).collect();
    let form = match (form, stored.as_slice()) {
        (_, []) => return Err(SetAsideError::NotStored(request.name.clone())),
        // A bare name may mean whatever is stored, as long as that is one file.
        (Form::Plain, [only]) => *only,
        (Form::Plain, several) => {
            let files: Vec<String> =
                several.iter().map(|form| format!("'{name}{}'", form.suffix())).collect();
            return Err(SetAsideError::Several { name: name.to_string(), files: files.join(", ") });
        }
        (form, several) if several.contains(&form) => form,
        _ => return Err(SetAsideError::NotStored(request.name.clone())),
    };
    let now_at = repository.set_aside(name, form, &request.reason, request.origin)?;
    Ok(SetAsideReport { name, now_at })
}
