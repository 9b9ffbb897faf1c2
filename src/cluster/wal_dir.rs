use walkdir::WalkDir;

use super::{Cluster, ClusterError};
use crate::wal::WalFileName;

impl Cluster {
    /// The WAL files in the WAL directory, finished or not, by name.
    pub fn wal_files(&self) -> Result<Vec<WalFileName>, ClusterError> {
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.wal_directory).min_depth(1).max_depth(1).follow_root_links(true) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    files
                        .extend(entry.file_name().to_str().and_then(|name| name.parse::<WalFileName>().ok()));
                }
                Ok(_) => {}
                Err(error) => {
                    let source = error.into_io_error();
                    // The server recycles its files while they are listed.
                    if source.as_ref().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
                        && self.wal_directory.is_dir()
                    {
                        continue;
                    }
                    let source = source.unwrap_or_else(|| std::io::Error::other("a loop of links"));
                    return Err(ClusterError::Unreadable { path: self.wal_directory.clone(), source });
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}
