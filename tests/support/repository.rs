//! A repository as a test sees it: made by `walkeep init`, read with nothing but the names and stock tools.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::scratch::{Scratch, must_succeed};

/// A repository in a scratch directory.
pub struct Repository<'a> {
    scratch: &'a Scratch,
    pub path: PathBuf,
}

/// Which file stands under a name: equal ones are the same file with the same content.
#[derive(Debug, PartialEq, Eq)]
pub struct Fingerprint {
    inode: u64,
    modified: (i64, i64),
    content: Vec<u8>,
}

impl<'a> Repository<'a> {
    /// Runs `walkeep init` as the servers' user, bound to that data directory.
    pub fn init(scratch: &'a Scratch, name: &str, data: &Path) -> Repository<'a> {
        let path = scratch.path(name);
        must_succeed(
            scratch.command(scratch.walkeep()).arg("init").arg("--repo").arg(&path).arg("-D").arg(data),
        );
        Repository { scratch, path }
    }

    /// Another repository, which is this one as it is now.
    pub fn copy(&self, name: &str) -> Repository<'a> {
        let path = self.scratch.path(name);
        self.scratch.copy(&self.path, &path);
        Repository { scratch: self.scratch, path }
    }

    /// The same in another scratch directory.
    pub fn copy_to<'b>(&self, scratch: &'b Scratch, name: &str) -> Repository<'b> {
        let path = scratch.path(name);
        scratch.copy(&self.path, &path);
        Repository { scratch, path }
    }

    /// This one under another path, such as a link to it.
    pub fn at(&self, path: &Path) -> Repository<'a> {
        Repository { scratch: self.scratch, path: path.to_owned() }
    }

    /// Runs `walkeep claim` for a data directory.
    pub fn claim(&self, data: &Path) {
        let mut command = self.scratch.command(self.scratch.walkeep());
        must_succeed(command.arg("claim").arg("--repo").arg(&self.path).arg("-D").arg(data));
    }

    /// The archive_command that fills it; `wal_path` is `%p` or what stands for it.
    pub fn archive_command(&self, wal_path: &str) -> String {
        format!("{} archive {wal_path} --repo {}", self.scratch.walkeep().display(), self.path.display())
    }

    /// The restore_command that reads from it. Its retries are short: nothing that tests break mends by itself.
    pub fn restore_command(&self) -> String {
        format!(
            "{} restore %f %p --repo {} --retry-budget 1s",
            self.scratch.walkeep().display(),
            self.path.display()
        )
    }

    /// The same with that many segments fetched ahead of the server, and a report of what becomes of each. It waits for
    /// what is being fetched: on a busy machine the server would be faster than the process that fetches.
    pub fn restore_command_ahead(&self, segments: u32) -> String {
        let (spools, repository) = (self.scratch.path("*.walkeep-spool"), self.path.display());
        format!(
            "while pgrep -f 'repo {repository} .*--[l]ay-ready' >/dev/null && ! ls {}/%f.* >/dev/null 2>&1; \
             do sleep 0.05; done; exec {} --prefetch {segments} -v",
            spools.display(),
            self.restore_command()
        )
    }

    /// Where the file with that WAL name lies, in whatever form.
    pub fn stored(&self, name: &str) -> Option<PathBuf> {
        [format!("{name}.zst"), name.to_owned()]
            .iter()
            .map(|file| self.path.join(file))
            .find(|path| path.exists())
    }

    pub fn has(&self, name: &str) -> bool {
        self.stored(name).is_some()
    }

    /// Removes a stored file with what is kept beside it, as if it was never archived.
    pub fn remove(&self, name: &str) {
        let stamp = self.path.join(format!(".walkeep/stamps/{name}.json"));
        for file in [self.path.join(format!("{name}.sha256")), stamp].into_iter().chain(self.stored(name)) {
            let _ = fs::remove_file(file);
        }
    }

    /// The WAL names of all that is stored.
    pub fn names(&self) -> BTreeSet<String> {
        self.files().map(|(name, _)| name).collect()
    }

    /// What stands under each name: to see later whether it was touched.
    pub fn fingerprints(&self) -> BTreeMap<String, Fingerprint> {
        self.files()
            .map(|(name, path)| {
                let metadata = fs::metadata(&path).unwrap();
                let modified = (metadata.mtime(), metadata.mtime_nsec());
                (name, Fingerprint { inode: metadata.ino(), modified, content: fs::read(&path).unwrap() })
            })
            .collect()
    }

    /// The original bytes of a stored file, by the stock `zstd` where it is packed.
    pub fn original(&self, name: &str) -> Vec<u8> {
        let path = self.stored(name).unwrap_or_else(|| panic!("'{name}' is not in the repository"));
        if path.extension().is_none_or(|extension| extension != "zst") {
            return fs::read(&path).unwrap();
        }
        let output = Command::new("zstd").args(["-d", "-c", "-q"]).arg(&path).output().unwrap();
        assert!(
            output.status.success(),
            "zstd cannot read '{}': {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn files(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let entries = fs::read_dir(&self.path)
            .unwrap()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().unwrap().is_file());
        entries.filter_map(|entry| {
            let file_name = entry.file_name().into_string().unwrap();
            let name = file_name.strip_suffix(".zst").unwrap_or(&file_name).to_owned();
            (!name.ends_with(".sha256")).then(|| (name, entry.path()))
        })
    }
}
