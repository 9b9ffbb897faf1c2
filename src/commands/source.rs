use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::fsx::{AtPath, PathError};
use crate::repository::{Source, SourceStamp};

/// A WAL file in the file system, opened for archiving.
#[derive(Debug)]
pub(super) struct SourceFile {
    file: File,
    path: PathBuf,
    stamp: SourceStamp,
}

impl SourceFile {
    /// Opens a regular file; a pipe or device is refused, and never waited for.
    pub(super) fn open(path: &Path) -> Result<Self, PathError> {
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).at("open", path)?;
        let metadata = file.metadata().at("look at", path)?;
        if !metadata.is_file() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(PathError::new("read", path, error));
        }
        // One reader, from its beginning to its end. Only advice.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        Ok(Self { file, path: path.to_owned(), stamp: stamp_of(&metadata) })
    }

    /// Reads the beginning of the file, without moving the place that the next read begins at.
    pub(super) fn head<const N: usize>(&self) -> Result<Vec<u8>, PathError> {
        let mut head = vec![0; N];
        let mut filled = 0;
        while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, filled as u64).at("read", &self.path)? {
                0 => break,
                read => filled += read,
            }
        }
        head.truncate(filled);
        Ok(head)
    }
}

/// What the file system tells of a path.
pub(super) fn stamp_at(path: &Path) -> io::Result<SourceStamp> {
    fs::metadata(path).map(|metadata| stamp_of(&metadata))
}

fn stamp_of(metadata: &fs::Metadata) -> SourceStamp {
    let in_ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    SourceStamp {
        size: metadata.len(),
        device: metadata.dev(),
        inode: metadata.ino(),
        mtime_ns: in_ns(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: in_ns(metadata.ctime(), metadata.ctime_nsec()),
    }
}

impl Read for SourceFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for SourceFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Source for SourceFile {
    fn stamp(&self) -> SourceStamp {
        self.stamp
    }

    fn is_unchanged(&self) -> io::Result<bool> {
        match stamp_at(&self.path) {
            Ok(now) => Ok(now == self.stamp),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
