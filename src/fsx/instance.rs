use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use super::{AtPath, PathError};

/// Which directory it is, whatever path leads to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryId {
    device: u64,
    inode: u64,
}

impl DirectoryId {
    /// The directory that a path leads to now.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn of(dir: &Path) -> Result<Self, PathError> {
        let metadata = fs::metadata(dir).at("look at", dir)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// The one process of this machine that does a thing to a directory, until it is dropped or the process ends.
///
/// It is a name in the abstract namespace of Unix sockets: the kernel gives it to one process, and takes it back
/// however that ends. A lock file would have to lie somewhere: in the directory it is not ours to write, and a
/// descriptor that is held there, or in a repository, keeps the file system from being unmounted.
#[must_use = "another one may begin when it is dropped"]
#[derive(Debug)]
pub struct Instance {
    of: DirectoryId,
    _name: UnixDatagram,
}

impl Instance {
    /// Becomes the one that does `what` to a directory; `None` where another process is.
    ///
    /// # Errors
    /// When the directory cannot be looked at, or no name be had.
    pub fn claim(what: &str, dir: &Path) -> Result<Option<Self>, PathError> {
        let of = DirectoryId::of(dir)?;
        let name = format!("walkeep-{what}-{:x}-{:x}", of.device, of.inode);
        let bound = SocketAddr::from_abstract_name(name).and_then(|name| UnixDatagram::bind_addr(&name));
        match bound {
            Ok(name) => Ok(Some(Self { of, _name: name })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(PathError::new("claim", dir, error)),
        }
    }

    /// Whether it is this directory's still: another may have taken its path.
    #[must_use]
    pub fn is_of(&self, directory: DirectoryId) -> bool {
        self.of == directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_instance_by_whatever_path_and_another_directory_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other, link) = (dir.path().join("one"), dir.path().join("other"), dir.path().join("link"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let first = Instance::claim("test", &one).unwrap().unwrap();
        assert!(Instance::claim("test", &link).unwrap().is_none());
        assert!(Instance::claim("test", &other).unwrap().is_some());
        assert!(Instance::claim("another", &one).unwrap().is_some());
        assert!(
            first.is_of(DirectoryId::of(&link).unwrap()) && !first.is_of(DirectoryId::of(&other).unwrap())
        );
        drop(first);
        assert!(Instance::claim("test", &link).unwrap().is_some());
        assert!(Instance::claim("test", &dir.path().join("gone")).is_err());
        assert_eq!(fs::read_dir(&one).unwrap().count(), 0, "nothing is left in it");
    }
}
