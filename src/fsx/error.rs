use std::io;
use std::path::{Path, PathBuf};

/// Says what could not be done to which file; the operating system's answer is its source.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} '{}'", path.display())]
pub struct PathError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PathError {
    /// Names the verb and the path that failed.
    pub fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self { verb, path: path.to_owned(), source }
    }

    /// What the operating system answered.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.source
    }

    /// The file that it happened to, and what the operating system answered.
    #[must_use]
    pub fn into_parts(self) -> (PathBuf, io::Error) {
        (self.path, self.source)
    }

    /// The file that it happened to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Turns an I/O result into one that names the verb and the path.
pub trait AtPath<T> {
    /// Names what was being done, and to which path.
    ///
    /// # Errors
    /// The same failure, with its place.
    fn at(self, verb: &'static str, path: &Path) -> Result<T, PathError>;
}

impl<T, E: Into<io::Error>> AtPath<T> for Result<T, E> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, PathError> {
        self.map_err(|source| PathError::new(verb, path, source.into()))
    }
}
