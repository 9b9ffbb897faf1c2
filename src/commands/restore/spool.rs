//! The spool: a directory of this user's own where segments lie ready that the server has not asked for yet.
//!
//! It lies beside the data directory and never in it: what is unknown there would be copied by base backups and rewinds.
//! A file gets its name in the spool when it is whole and proven, by one system call; half a file never has one. The
//! name tells the digest of the content, and a token: a digest over all that has to be the same when the file is
//! delivered. So a file and what is known of it cannot be torn apart, and nothing has to be durable: the token is bound
//! to the time that the machine has been up, for what a power loss leaves is not what was written.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Clock, Prefetch};
use crate::cluster::Cluster;
use crate::fsx::{self, AtPath, Folder, Glimpse, LockGuard, Modes, NameKind, PathError, Staged};
use crate::repository::{Digest, Expected, Fetched, Repository};
use crate::wal::{SegmentName, WalFileName};

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It cannot be made or looked at.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Somebody else could change what lies in it.
    #[error("'{}' is no directory of this user alone", .0.display())]
    NotPrivate(PathBuf),
    /// It would be copied with the data directory, and its files taken for WAL.
    #[error("'{}' lies in the data directory, or where its WAL is", .0.display())]
    InTheWay(PathBuf),
    /// Nobody else would reap the process that fetches.
    #[error(
        "the server is process 1 of its container, and would take the death of whoever fetches for a crash of its own"
    )]
    ServerIsProcessOne,
}

/// A segment that lies ready.
pub(super) struct Ready {
    pub(super) name: SegmentName,
    content: Digest,
    token: String,
    path: PathBuf,
}

/// What a file has to have in common with its delivery.
pub(super) struct Bond<'a> {
    pub(super) repository: &'a Repository<'a>,
    pub(super) expected: Expected,
    pub(super) boot_id: &'a str,
}

impl Bond<'_> {
    /// The token of a file with this content that was fetched while the repository had this fingerprint.
    fn token(&self, stored: Digest, content: Digest, file: &Glimpse) -> String {
        let Expected { system_identifier, segment_size, header_check } = self.expected;
        let Glimpse { size_bytes, inode, device, modified_ns } = file;
        let boot_id = self.boot_id;
        let text = format!(
            "walkeep spool 1\n{boot_id}\n{system_identifier:?} {segment_size:?} {header_check}\n{stored}\n{content}\n\
             {size_bytes} {inode} {device} {modified_ns}\n"
        );
        Digest::of(text.as_bytes()).to_string()
    }

    /// Opens a file that lies ready, where it is what was proven, untouched, and the repository still has that.
    fn proven(&self, ready: &Ready) -> Option<File> {
        let (file, seen) = Glimpse::at(&ready.path).ok()??;
        let stored = self.repository.fingerprint(WalFileName::Segment(ready.name)).ok()??;
        (self.token(stored, ready.content, &seen) == ready.token).then_some(file)
    }
}

/// The spool of one cluster.
pub(super) struct Spool {
    dir: PathBuf,
}

/// Says that the recovery has come to its end, to whoever is still fetching for it.
const STOP: &str = "stop";

/// Held by the one who fetches.
const LOCK: &str = "lock";

/// Where files lie while they are written.
const STAGING: &str = "staging";

impl Spool {
    /// The cluster's own directory in the one that was named, or beside the data directory; beside the WAL directory
    /// where that lies elsewhere, for a file is handed over by its name only within one file system.
    pub(super) fn of(cluster: &Cluster, prefetch: &Prefetch) -> Result<Self, SpoolError> {
        let data = cluster.data_directory();
        let data = data.canonicalize().at("look at", data)?;
        let home = if cluster.wal_directory().starts_with(&data) { &data } else { cluster.wal_directory() };
        let dir = match &prefetch.spool {
            Some(named) => {
                let named = named.canonicalize().at("look at", named)?;
                // Two clusters may share the directory, and even a system identifier.
                let digits = Digest::of(data.as_os_str().as_bytes()).to_string();
                named.join(format!("walkeep-spool-{}", digits.get(..16).unwrap_or_default()))
            }
            None => beside(home),
        };
        if dir.starts_with(&data) || dir.starts_with(cluster.wal_directory()) {
            return Err(SpoolError::InTheWay(dir));
        }
        Ok(Self { dir })
    }

    /// Makes what is missing of it.
    pub(super) fn make(&self) -> Result<(), SpoolError> {
        for dir in [self.dir.clone(), self.staging()] {
            if !fsx::make_private(&dir)? {
                return Err(SpoolError::NotPrivate(dir));
            }
        }
        Ok(())
    }

    /// Whether it is there, and nobody else can reach it.
    fn is_there(&self) -> bool {
        fsx::is_private(&self.dir).is_ok_and(|private| private == Some(true))
    }

    fn staging(&self) -> PathBuf {
        self.dir.join(STAGING)
    }

    /// What lies ready. What bears no such name is none of ours, and left alone.
    pub(super) fn ready(&self) -> Result<Vec<Ready>, PathError> {
        let mut ready = Vec::new();
        Folder::open(&self.dir)?.for_each_name(|name, kind| {
            ready.extend(self.parse(name).filter(|_| kind == NameKind::File));
        })?;
        Ok(ready)
    }

    fn parse(&self, file_name: &[u8]) -> Option<Ready> {
        let text = std::str::from_utf8(file_name).ok()?;
        let mut parts = text.split('.');
        let (name, content, token) = (parts.next()?, parts.next()?, parts.next()?);
        let Ok(WalFileName::Segment(name)) = name.parse() else { return None };
        let content = content.parse().ok()?;
        parts.next().is_none().then(|| Ready {
            name,
            content,
            token: token.to_owned(),
            path: self.dir.join(text),
        })
    }

    /// Delivers what lies ready, where it is proven to be what a fetch would deliver; returns the digest of its content.
    /// What is being written at this moment is waited for, as long as it comes along: the rest of it takes no longer than
    /// to fetch it from its beginning.
    pub(super) fn deliver(
        &self,
        name: SegmentName,
        bond: &Bond<'_>,
        destination: &Path,
        clock: &dyn Clock,
    ) -> Option<Digest> {
        if !self.is_there() {
            return None;
        }
        let mut patience = Patience::new(bond.expected, clock);
        loop {
            let is_written = self.written_bytes(name);
            if let Some(ready) = self.ready().ok()?.into_iter().find(|ready| ready.name == name) {
                let mut file = bond.proven(&ready)?;
                return fsx::hand_over(&ready.path, &mut file, destination).ok().map(|()| ready.content);
            }
            if !patience.lasts(is_written?) || self.try_lock().ok()?.is_some() {
                return None;
            }
            clock.sleep(Patience::PAUSE);
        }
    }

    /// How much was written of a segment that is being fetched; `None` where nobody fetches it.
    fn written_bytes(&self, name: SegmentName) -> Option<u64> {
        let (staging, beginning) = (self.staging(), format!("{name}."));
        let mut written = None;
        let look = Folder::open(&staging).ok()?.for_each_name(|file_name, kind| {
            if kind == NameKind::File && file_name.starts_with(beginning.as_bytes()) {
                let path = staging.join(OsStr::from_bytes(file_name));
                let size = path.symlink_metadata().map_or(0, |found| found.len());
                written = Some(size.max(written.unwrap_or_default()));
            }
        });
        look.ok().and(written)
    }

    /// Forgets what is of no use once a segment was delivered: all but those that come next. Returns how many of them
    /// lie ready.
    pub(super) fn keep(&self, next: &[SegmentName]) -> Result<usize, PathError> {
        let (useful, useless): (Vec<_>, Vec<_>) =
            self.ready()?.into_iter().partition(|ready| next.contains(&ready.name));
        useless.iter().for_each(Ready::forget);
        Ok(useful.len())
    }

    /// Takes away what killed runs left, and what cannot be delivered any more.
    pub(super) fn tidy(&self, next: &[SegmentName], bond: &Bond<'_>) -> Result<(), PathError> {
        fsx::sweep(&self.staging())?;
        self.keep(next)?;
        self.ready()?.iter().filter(|ready| bond.proven(ready).is_none()).for_each(Ready::forget);
        Ok(())
    }

    /// Takes away all that lies ready, for the recovery has come to its end; whoever is still fetching is told to.
    pub(super) fn end(&self) -> Result<(), PathError> {
        if !self.is_there() {
            return Ok(());
        }
        match self.try_lock()? {
            Some(_lock) => self.clear(),
            None => fsx::write_advisory(&self.staging(), &self.dir.join(STOP), b"", Modes::Owner),
        }
    }

    /// Takes away all that lies ready.
    pub(super) fn clear(&self) -> Result<(), PathError> {
        self.ready()?.iter().for_each(Ready::forget);
        fsx::sweep(&self.staging()).map(drop)
    }

    /// Whether whoever fetches was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.dir.join(STOP).symlink_metadata().is_ok()
    }

    /// Takes back that whoever fetches was told to stop.
    pub(super) fn go_on(&self) {
        if self.is_stopped() {
            let _ = fsx::remove(&self.dir.join(STOP));
        }
    }

    /// The right to fetch into it; `None` where somebody has it.
    pub(super) fn try_lock(&self) -> Result<Option<LockGuard>, PathError> {
        fsx::try_lock_exclusive(&self.dir.join(LOCK), Modes::Owner)
    }

    /// Bytes that may still be written there.
    pub(super) fn free_bytes(&self) -> Result<u64, PathError> {
        fsx::free_bytes(&self.dir)
    }

    /// Begins a file.
    pub(super) fn stage(&self, name: SegmentName) -> Result<Staged, PathError> {
        Staged::create(&self.staging(), &name.to_string(), Modes::Owner)
    }

    /// Lays a file ready that was fetched and proven while the repository had this fingerprint.
    pub(super) fn lay_ready(
        &self,
        name: SegmentName,
        (staged, fetched): (&Staged, Fetched),
        (bond, stored): (&Bond<'_>, Digest),
    ) -> Result<(), PathError> {
        let seen = Glimpse::of(&staged.metadata()?);
        let token = bond.token(stored, fetched.digest, &seen);
        let ready = self.dir.join(format!("{name}.{}.{token}", fetched.digest));
        // Where the name is taken, the same bytes lie there.
        staged.give_name(&ready).map(drop)
    }
}

impl Ready {
    /// Best effort: what stays is proven again, or forgotten, by whoever comes next.
    fn forget(&self) {
        let _ = fsx::remove(&self.path);
    }
}

/// A directory's neighbour that bears its name.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".walkeep-spool");
    dir.with_file_name(name)
}

/// How long somebody else's work on a file is waited for: as long as a part of it comes along within a moment. Whoever
/// hangs costs that moment, and whoever crawls as many moments as there are parts.
struct Patience<'a> {
    clock: &'a dyn Clock,
    part_bytes: u64,
    next_bytes: u64,
    renewed: Duration,
}

impl<'a> Patience<'a> {
    const PAUSE: Duration = Duration::from_millis(1);
    const MOMENT: Duration = Duration::from_millis(50);
    const PARTS: u64 = 64;

    fn new(expected: Expected, clock: &'a dyn Clock) -> Self {
        let part_bytes = expected.segment_size.map_or(1, |size| size.bytes() / Self::PARTS);
        Self { clock, part_bytes, next_bytes: 0, renewed: clock.elapsed() }
    }

    fn lasts(&mut self, written: u64) -> bool {
        let now = self.clock.elapsed();
        if written >= self.next_bytes {
            self.next_bytes = written.saturating_add(self.part_bytes);
            self.renewed = now;
        }
        now.saturating_sub(self.renewed) < Self::MOMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::SegmentSize;
    use proptest::prelude::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Hands(Mutex<Duration>);

    impl Clock for Hands {
        fn elapsed(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    /// For how many milliseconds a file is waited for that grows so.
    fn waited_for(written: impl Fn(u64) -> u64) -> u64 {
        let clock = Hands::default();
        let size = SegmentSize::new(16 << 20);
        let ms = |elapsed: Duration| u64::try_from(elapsed.as_millis()).unwrap();
        let expected = Expected { system_identifier: None, segment_size: size, header_check: true };
        let mut patience = Patience::new(expected, &clock);
        (0..1 << 20)
            .find(|_| {
                let lasts = patience.lasts(written(ms(clock.elapsed())));
                clock.sleep(Patience::PAUSE);
                !lasts
            })
            .expect("the wait has an end")
    }

    #[test]
    fn what_comes_along_is_waited_for_and_what_hangs_or_crawls_is_not() {
        assert_eq!(waited_for(|_| 0), 50, "it hangs");
        assert_eq!(waited_for(|_| 9 << 20), 50, "it hangs at the end");
        assert_eq!(waited_for(|ms| ms * 100), 50, "it crawls");
        // At 0.4 GiB/s for 40 ms, and then nothing more.
        assert!((80..100).contains(&waited_for(|ms| ms.min(40) * 420_000)));
        // The slowest that is waited for at all.
        assert!(waited_for(|ms| (ms * 5300).min(16 << 20)) <= 64 * 50 + 50);
    }

    #[test]
    fn the_spool_lies_beside_the_directory_that_it_is_of() {
        assert_eq!(beside("/srv/pg/main".as_ref()), Path::new("/srv/pg/main.walkeep-spool"));
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_name_in_the_spool_it_leads_nowhere_else(
                name in mutated(vec![format!("000000010000000000000003.{}.{}", "ab".repeat(32), "cd".repeat(32)).into_bytes()]),
            ) {
                let spool = Spool { dir: "/spool".into() };
                // No file is called so.
                if let Some(ready) = spool.parse(&name).filter(|_| !name.contains(&b'/')) {
                    prop_assert_eq!(ready.path.parent(), Some(Path::new("/spool")));
                    prop_assert!(ready.path.as_os_str().as_bytes().ends_with(&name));
                }
            }
        }
    }
}
