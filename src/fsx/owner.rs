use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{AtPath, PathError};

/// As the superuser: the other user whom a file or directory belongs to. `None` for everybody else, for files
/// of the superuser's own, and where there is no such file.
///
/// # Errors
/// When the file cannot be looked at.
pub fn foreign_owner(path: &Path) -> Result<Option<String>, PathError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => {
            let owner = other.at("look at", path)?.uid();
            Ok((owner != 0).then(|| user_name(owner)))
        }
    }
}

/// Whom a file or directory belongs to, and what others may do with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ownership {
    /// The user's number.
    pub uid: u32,
    /// The user's name as /etc/passwd has it, or the number.
    pub user: String,
    /// The group's number.
    pub gid: u32,
    /// The permission bits.
    pub mode: u32,
}

/// Whom a file or directory belongs to, through symbolic links.
///
/// # Errors
/// When it cannot be looked at.
pub fn ownership(path: &Path) -> Result<Ownership, PathError> {
    let metadata = fs::metadata(path).at("look at", path)?;
    let (uid, gid) = (metadata.uid(), metadata.gid());
    Ok(Ownership { uid, user: user_name(uid), gid, mode: metadata.mode() & 0o7777 })
}

/// Whether this process runs as the superuser.
#[must_use]
pub fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user's name as /etc/passwd has it, or the number.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == uid.to_string()).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}
