use std::path::Path;

use super::{AtPath, PathError};

/// The bytes that this user may still write to the file system of a directory.
///
/// # Errors
/// When the file system cannot be asked.
pub fn free_bytes(dir: &Path) -> Result<u64, PathError> {
    fs2::available_space(dir).at("read the free space of", dir)
}
