//! Which name lies under which key.

use super::Digest;
use crate::storage::Key;
use crate::wal::WalFileName;

/// How a WAL file lies in a repository; the suffix of its name tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Form {
    /// A zstd stream: stored form 1, or what the zstd program left.
    Zstd,
    /// The file as it is.
    Plain,
    /// What gzip left; read only.
    Gzip,
    /// What lz4 left; read only.
    Lz4,
}

impl Form {
    /// Every form that a stored file may have.
    pub const ALL: [Self; 4] = [Self::Zstd, Self::Plain, Self::Gzip, Self::Lz4];

    /// The form's short name in messages and machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
        }
    }

    /// What the form appends to the name of the WAL file.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Lz4 => ".lz4",
        }
    }
}

/// Where a WAL file lies in one of its forms.
#[must_use]
pub fn stored_key(name: WalFileName, form: Form) -> Key {
    known(&format!("{name}{}", form.suffix()))
}

/// Where the digest of a plain file lies.
#[must_use]
pub fn sidecar_key(name: WalFileName) -> Key {
    known(&format!("{name}.sha256"))
}

/// What lies there: a line that `sha256sum -c` reads.
pub(super) fn sidecar_line(name: WalFileName, digest: Digest) -> String {
    format!("{digest}  {name}\n")
}

/// Where the stamp of a stored file lies.
pub(super) fn stamp_key(name: WalFileName) -> Key {
    known(&format!(".walkeep/stamps/{name}.json"))
}

/// The key of something below `.walkeep/`.
pub(super) fn state_key(name: &str) -> Key {
    known(&format!(".walkeep/{name}"))
}

/// What a stored file's name says; `None` for names that are not ours.
#[must_use]
pub fn parse_stored(file_name: &str) -> Option<(WalFileName, Form)> {
    Form::ALL.into_iter().find_map(|form| {
        let name = file_name.strip_suffix(form.suffix())?;
        Some((name.parse().ok()?, form))
    })
}

/// Names of WAL files hold digits and known endings only, so that what is made of them is always a key.
fn known(text: &str) -> Key {
    Key::new(text).unwrap_or_else(|| unreachable!("'{text}' is a plain key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_told_from_foreign_ones() {
        let form = |name: &str| parse_stored(name).map(|(name, form)| (name.to_string(), form));
        let segment = "000000010000000000000003";
        assert_eq!(form(segment), Some((segment.into(), Form::Plain)));
        assert_eq!(form("000000010000000000000003.zst"), Some((segment.into(), Form::Zstd)));
        assert_eq!(form("000000010000000000000003.partial.gz").unwrap().1, Form::Gzip);
        assert_eq!(form("00000002.history").unwrap().1, Form::Plain);
        for foreign in
            ["000000010000000000000003.sha256", "archive.info", ".walkeep", "000000010000000000000003.bz2"]
        {
            assert_eq!(form(foreign), None, "{foreign}");
        }
    }
}
