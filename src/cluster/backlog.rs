//! The backlog: what waits to be archived, told by one look at `archive_status` and one at the WAL directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{ArchiveStatus, ClusterError, Status};
use crate::fsx::{NameKind, for_each_name};
use crate::wal::{SegmentName, SegmentNumber, SegmentSize, WalFileKind, WalFileName};

/// The queue of a cluster's archiver. The server goes on while it is read: what is here was so at some moment of
/// the reading.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    /// What `repmgr node check --archive-ready` counts: files in `archive_status` whose names end in `.ready`,
    /// whatever stands before (`get_ready_archive_files` in repmgr's dbutils.c).
    pub ready_files: u64,
    /// Pending WAL files, orphans included, in the order in which the server archives them.
    pub pending: Vec<WalFileName>,
    /// Pending files whose WAL file is gone from the WAL directory, in the same order.
    pub orphans: Vec<WalFileName>,
    /// Names that end in `.ready` and stand for no WAL file.
    pub strangers: Strangers,
    /// Files that are marked done and not pending, in the same order.
    pub done: Vec<WalFileName>,
    /// The WAL files in the WAL directory, in the same order.
    pub wal_files: Vec<WalFileName>,
    /// The file that the server archives next.
    pub head: Option<Head>,
    /// What was archived last.
    pub last_done: Option<LastDone>,
    /// How fast files were archived lately; `None` where fewer than two tell.
    pub pace: Option<Pace>,
}

/// What waits to be archived, told by one look at `archive_status` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// As [`Backlog::ready_files`].
    pub ready_files: u64,
    /// Pending WAL files, orphans included, in the order in which the server archives them.
    pub pending: Vec<WalFileName>,
    /// Files that are marked done and not pending, in the same order.
    pub done: Vec<WalFileName>,
}

impl Queue {
    /// Number of the newest segment that has a status, and so is finished, on whatever timeline; names beyond
    /// `furthest` count for nothing.
    #[must_use]
    pub fn newest_finished(&self, size: SegmentSize, furthest: SegmentNumber) -> Option<SegmentNumber> {
        let number = |name: &WalFileName| match name {
            WalFileName::Segment(segment) => segment.number(size),
            _ => None,
        };
        self.pending.iter().chain(&self.done).filter_map(number).filter(|number| *number <= furthest).max()
    }
}

/// The first of the pending files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The file.
    pub name: WalFileName,
    /// Since when it has been waiting.
    pub since: SystemTime,
}

/// The last file that was marked done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastDone {
    /// The file.
    pub name: WalFileName,
    /// When it was marked.
    pub at: SystemTime,
}

/// How many files were archived in how long a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The files that were marked done within that time.
    pub files: u64,
    /// From one mark to the last.
    pub over: Duration,
}

/// Names in a place where they mean nothing: counted, and a few told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strangers {
    /// How many there are.
    pub count: u64,
    /// Some of them, made printable and cut.
    pub examples: Vec<String>,
}

impl Strangers {
    /// How many are told.
    const MOST_EXAMPLES: usize = 5;
    /// How much of each is told, in characters.
    const MOST_SHOWN: usize = 80;

    fn add(&mut self, name: &[u8]) {
        self.count += 1;
        if self.examples.len() < Self::MOST_EXAMPLES {
            let text = String::from_utf8_lossy(name);
            self.examples.push(text.chars().take(Self::MOST_SHOWN).flat_map(char::escape_debug).collect());
        }
    }
}

impl Backlog {
    /// How many marks the pace is taken from.
    const PACE_FILES: usize = 32;

    pub(super) fn read(wal_directory: &Path, status: &ArchiveStatus) -> Result<Self, ClusterError> {
        let before = stamp_of(status.directory())?;
        let mut backlog = Self::default();
        backlog.read_status(status.directory())?;
        backlog.read_wal_files(wal_directory)?;
        let gone = missing_from(&backlog.pending, &backlog.wal_files);
        backlog.orphans = still_pending(gone, status, before)?;
        backlog.head = head(&backlog.pending, status)?;
        backlog.read_progress(status)?;
        Ok(backlog)
    }

    /// How many files of a kind are pending, orphans included.
    #[must_use]
    pub fn count(&self, kind: WalFileKind) -> u64 {
        self.pending.iter().filter(|name| name.kind() == kind).count() as u64
    }

    /// The bytes of WAL that are pending and there: orphans have none, and text files hardly any.
    #[must_use]
    pub fn pending_bytes(&self, size: SegmentSize) -> u64 {
        let pages = |names: &[WalFileName]| names.iter().filter(|name| name.is_pages()).count() as u64;
        pages(&self.pending).saturating_sub(pages(&self.orphans)).saturating_mul(size.bytes())
    }

    /// The WAL files that are neither pending nor done: the open tail, what was recycled for later, and what a
    /// server that could not write the status left behind.
    pub fn without_status(&self) -> impl Iterator<Item = WalFileName> {
        let has = |names: &[WalFileName], name: &WalFileName| holds(names, *name);
        self.wal_files.iter().copied().filter(move |name| !has(&self.pending, name) && !has(&self.done, name))
    }

    /// The whole segments among the WAL files, in the same order.
    #[must_use]
    pub fn wal_segments(&self) -> Vec<SegmentName> {
        let segment = |name: &WalFileName| match name {
            WalFileName::Segment(segment) => Some(*segment),
            _ => None,
        };
        self.wal_files.iter().filter_map(segment).collect()
    }

    fn read_status(&mut self, directory: &Path) -> Result<(), ClusterError> {
        let see = |name: &[u8], kind| {
            if let Some(stem) = name.strip_suffix(Status::Ready.suffix().as_bytes()) {
                self.ready_files += u64::from(counts_for_repmgr(directory, name, kind));
                match wal_name(stem).filter(|_| kind == NameKind::File) {
                    Some(name) => self.pending.push(name),
                    None => self.strangers.add(name),
                }
            } else if let Some(stem) = name.strip_suffix(Status::Done.suffix().as_bytes())
                && kind == NameKind::File
            {
                self.done.extend(wal_name(stem));
            }
        };
        for_each_name(directory, see)?;
        in_order(&mut self.pending);
        in_order(&mut self.done);
        // What is not surely archived is pending, for the server too.
        if !self.pending.is_empty() {
            self.done = missing_from(&self.done, &self.pending);
        }
        Ok(())
    }

    fn read_wal_files(&mut self, directory: &Path) -> Result<(), ClusterError> {
        // The server follows a link here, and so do we.
        let see = |name: &[u8], kind| {
            if kind != NameKind::Other {
                self.wal_files.extend(wal_name(name));
            }
        };
        for_each_name(directory, see)?;
        in_order(&mut self.wal_files);
        Ok(())
    }

    /// Renaming `.ready` to `.done` changes the file's ctime and nothing else. Only the last names are looked at:
    /// what was archived last is among them.
    fn read_progress(&mut self, status: &ArchiveStatus) -> Result<(), ClusterError> {
        let mut marks: Vec<LastDone> = Vec::new();
        for name in self.done.iter().rev().take(Self::PACE_FILES) {
            let at = look_at(&status.path_of(*name, Status::Done))?.and_then(|metadata| ctime(&metadata));
            marks.extend(at.map(|at| LastDone { name: *name, at }));
        }
        // Of those that were marked at one tick of the clock, the last name.
        self.last_done = marks.iter().rev().max_by_key(|mark| mark.at).copied();
        let first = marks.iter().map(|mark| mark.at).min();
        let over = self.last_done.zip(first).and_then(|(last, first)| last.at.duration_since(first).ok());
        self.pace = over
            .filter(|over| !over.is_zero())
            .map(|over| Pace { files: (marks.len() as u64).saturating_sub(1), over });
        Ok(())
    }
}

/// The queue, without a look at any file.
pub(super) fn queue(status: &ArchiveStatus) -> Result<Queue, ClusterError> {
    let mut backlog = Backlog::default();
    backlog.read_status(status.directory())?;
    Ok(Queue { ready_files: backlog.ready_files, pending: backlog.pending, done: backlog.done })
}

/// What waits behind a file, in the server's order. Where the segments that follow it are waiting, the server asks
/// for them next, and a look at each is enough: of a queue of 100,000 files the directory is not read for every few of
/// them. Else - at the end of a run, behind a history - the whole queue is read.
pub(super) fn pending_behind(
    status: &ArchiveStatus,
    name: WalFileName,
    size: SegmentSize,
    most: usize,
) -> Result<Vec<WalFileName>, ClusterError> {
    if most == 0 || !status.is_pending(name)? {
        return Ok(Vec::new());
    }
    let mut run = Vec::new();
    if let WalFileName::Segment(mut segment) = name {
        while run.len() < most
            && let Some(next) = following(segment, size)
            && status.is_pending(WalFileName::Segment(next))?
        {
            run.push(WalFileName::Segment(next));
            segment = next;
        }
    }
    if !run.is_empty() {
        return Ok(run);
    }
    let mut queue = Backlog::default();
    queue.read_status(status.directory())?;
    queue.pending.retain(|other| *other != name);
    queue.pending.truncate(most);
    Ok(queue.pending)
}

/// The next segment of a timeline.
fn following(segment: SegmentName, size: SegmentSize) -> Option<SegmentName> {
    let next = segment.number(size).and_then(|number| number.next())?;
    SegmentName::new(segment.timeline(), next, size)
}

/// Whether a timeline ends within a segment, by the sorted segments of a WAL directory: nothing follows it there,
/// and a later timeline has a segment of the same number. A standby that follows its primary to a new timeline
/// marks it done as far as it got (`WalReceiverMain` in walreceiver.c), and the WAL up to the fork stands in the
/// later one too.
#[must_use]
pub fn goes_on_in_child(segments: &[SegmentName], name: SegmentName, size: SegmentSize) -> bool {
    let follows = following(name, size).is_some_and(|next| segments.binary_search(&next).is_ok());
    let is_child =
        |other: &SegmentName| other.timeline() > name.timeline() && other.number(size) == name.number(size);
    !follows && segments.iter().any(is_child)
}

/// repmgr skips what `stat` says is no file, so that a link counts unless it leads to something else.
fn counts_for_repmgr(directory: &Path, name: &[u8], kind: NameKind) -> bool {
    use std::os::unix::ffi::OsStrExt;
    match kind {
        NameKind::File => true,
        NameKind::Other => false,
        NameKind::Link => {
            let path = directory.join(std::ffi::OsStr::from_bytes(name));
            !fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
        }
    }
}

fn wal_name(bytes: &[u8]) -> Option<WalFileName> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn in_order(names: &mut [WalFileName]) {
    names.sort_unstable_by_key(|name| name.archive_order());
}

/// Whether a name is among names in order.
fn holds(names: &[WalFileName], name: WalFileName) -> bool {
    names.binary_search_by_key(&name.archive_order(), |other| other.archive_order()).is_ok()
}

/// The names of one list that are not in another; both in order.
fn missing_from(names: &[WalFileName], others: &[WalFileName]) -> Vec<WalFileName> {
    let mut others = others.iter().map(|other| other.archive_order()).peekable();
    let is_missing = |name: &&WalFileName| {
        let order = name.archive_order();
        while others.next_if(|other| *other < order).is_some() {}
        others.peek() != Some(&order)
    };
    names.iter().filter(is_missing).copied().collect()
}

/// How many orphans are each looked at again, even where nothing moved.
const MOST_LOOKED_AT: usize = 4096;

/// Of files that were pending first and not in the WAL directory then: those that are orphans. In between, the
/// server may have archived a file, marked it done and recycled it. It never takes away a file that is pending
/// (`XLogArchiveCheckDone`), so one that is pending still was so all the time, and its WAL file was gone before.
///
/// Where the directory of the status files has not changed since before they were read, nothing was marked.
fn still_pending(
    gone: Vec<WalFileName>,
    status: &ArchiveStatus,
    before: DirectoryStamp,
) -> Result<Vec<WalFileName>, ClusterError> {
    if gone.len() > MOST_LOOKED_AT && stamp_of(status.directory())? == before {
        return Ok(gone);
    }
    let mut orphans = Vec::new();
    for name in gone {
        if status.is_pending(name)? {
            orphans.push(name);
        }
    }
    Ok(orphans)
}

/// What changes with every name that comes or goes: modification and change time, in seconds and nanoseconds.
type DirectoryStamp = [i64; 4];

fn stamp_of(directory: &Path) -> Result<DirectoryStamp, ClusterError> {
    match fs::metadata(directory) {
        Ok(now) => Ok([now.mtime(), now.mtime_nsec(), now.ctime(), now.ctime_nsec()]),
        Err(source) => Err(ClusterError::Unreadable { path: directory.to_path_buf(), source }),
    }
}

/// The first pending file that is pending still: what was archived meanwhile has no age.
fn head(pending: &[WalFileName], status: &ArchiveStatus) -> Result<Option<Head>, ClusterError> {
    for name in pending {
        let path = status.path_of(*name, Status::Ready);
        if let Some(metadata) = look_at(&path)? {
            let since = metadata.modified().map_err(|source| ClusterError::Unreadable { path, source })?;
            return Ok(Some(Head { name: *name, since }));
        }
    }
    Ok(None)
}

/// What the file system tells of a file; `None` where it is gone.
fn look_at(path: &Path) -> Result<Option<fs::Metadata>, ClusterError> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClusterError::Unreadable { path: path.to_path_buf(), source }),
    }
}

/// When anything about a file last changed.
fn ctime(metadata: &fs::Metadata) -> Option<SystemTime> {
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    let ns = u32::try_from(metadata.ctime_nsec()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    const SIZE: u64 = 16 << 20;

    /// A WAL directory with status files beside each other.
    struct Scene {
        dir: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("archive_status")).unwrap();
            Self { dir }
        }

        fn with(wal_files: &[&str], statuses: &[&str]) -> Self {
            let scene = Self::new();
            wal_files.iter().for_each(|name| scene.put(name));
            statuses.iter().for_each(|name| scene.put(&format!("archive_status/{name}")));
            scene
        }

        fn put(&self, name: &str) {
            super::super::samples::write(&self.dir.path().join(name), "");
        }

        fn status(&self) -> ArchiveStatus {
            ArchiveStatus::new(self.dir.path().join("archive_status"))
        }

        fn backlog(&self) -> Backlog {
            Backlog::read(self.dir.path(), &self.status()).unwrap()
        }
    }

    fn texts(names: &[WalFileName]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn segment(number: u32) -> String {
        format!("00000001{:016X}", number)
    }

    #[test]
    fn what_is_pending_done_orphaned_and_without_status_is_told_apart() {
        let [one, two, three, four] = [1, 2, 3, 4].map(segment);
        let scene = Scene::with(
            &[&one, &three, &four, "xlogtemp.42"],
            &[
                &format!("{two}.ready"),
                &format!("{three}.ready"),
                &format!("{one}.done"),
                "00000002.history.ready",
            ],
        );
        let backlog = scene.backlog();
        assert_eq!(backlog.ready_files, 3);
        assert_eq!(texts(&backlog.pending), ["00000002.history", &two, &three]);
        assert_eq!(texts(&backlog.orphans), ["00000002.history", &two]);
        assert_eq!(texts(&backlog.done), [one.as_str()]);
        assert_eq!(texts(&backlog.wal_files), [&*one, &*three, &*four]);
        assert_eq!(texts(&backlog.without_status().collect::<Vec<_>>()), [four]);
        assert_eq!(backlog.count(WalFileKind::Segment), 2);
        assert_eq!(backlog.count(WalFileKind::TimelineHistory), 1);
        assert_eq!(backlog.pending_bytes(SegmentSize::new(SIZE).unwrap()), SIZE, "an orphan has no bytes");
        assert_eq!(backlog.last_done.unwrap().name.to_string(), one);
        assert_eq!(backlog.pace, None, "one mark is no pace");
    }

    #[test]
    fn what_is_both_ready_and_done_is_pending() {
        let one = segment(1);
        let backlog = Scene::with(&[&one], &[&format!("{one}.ready"), &format!("{one}.done")]).backlog();
        assert_eq!((backlog.pending.len(), backlog.done.len()), (1, 0));
    }

    #[test]
    fn the_head_waits_since_its_status_was_written() {
        let scene = Scene::with(&[], &[&format!("{}.ready", segment(7)), &format!("{}.ready", segment(5))]);
        let head = scene.backlog().head.unwrap();
        let path = scene.status().path_of(head.name, Status::Ready);
        assert_eq!(head.name.to_string(), segment(5));
        assert_eq!(head.since, path.metadata().unwrap().modified().unwrap());
    }

    #[test]
    fn the_pace_is_that_of_the_marks() {
        let scene = Scene::new();
        for number in 1..=40 {
            scene.put(&format!("archive_status/{}.ready", segment(number)));
        }
        for number in 1..=40 {
            let name = segment(number).parse().unwrap();
            let path = |status| scene.status().path_of(name, status);
            let moved = crate::fsx::move_new(&path(Status::Ready), &path(Status::Done)).unwrap();
            assert_eq!(moved, crate::fsx::Published::New);
            std::thread::sleep(Duration::from_millis(2));
        }
        let backlog = scene.backlog();
        let pace = backlog.pace.unwrap();
        assert_eq!(pace.files, 31);
        assert!(pace.over >= Duration::from_millis(31), "{pace:?}");
        assert_eq!(backlog.last_done.unwrap().name.to_string(), segment(40));
    }

    #[test]
    fn junk_is_counted_as_repmgr_counts_it_and_is_never_pending() {
        let scene = Scene::new();
        let status = scene.status();
        let at = |name: &str| status.directory().join(name);
        fs::create_dir(at(&format!("{}.ready", segment(1)))).unwrap();
        symlink("/dev/null", at(&format!("{}.ready", segment(2)))).unwrap();
        symlink("nowhere", at(&format!("{}.ready", segment(3)))).unwrap();
        super::super::samples::write(
            &status.directory().join(std::ffi::OsStr::from_bytes(b"\xff\xfe\x1b.ready")),
            "",
        );
        for name in
            [".ready", "x.ready", &format!("{}.ready", "A".repeat(200)), "x.done", "ready", "x.ready.tmp"]
        {
            scene.put(&format!("archive_status/{name}"));
        }
        let backlog = scene.backlog();
        // The dangling link and four files: neither the directory nor the link to a device.
        assert_eq!(backlog.ready_files, 5);
        assert!(backlog.pending.is_empty() && backlog.done.is_empty() && backlog.head.is_none());
        assert_eq!(backlog.strangers.count, 7);
        assert_eq!(backlog.strangers.examples.len(), 5);
        assert!(backlog.strangers.examples.iter().all(|name| name.len() <= 400 && !name.contains('\x1b')));
    }

    #[test]
    fn what_was_archived_and_recycled_while_being_read_is_no_orphan() {
        let scene = Scene::with(&[], &[&format!("{}.ready", segment(2))]);
        let gone = [1, 2].map(|number| segment(number).parse().unwrap()).to_vec();
        let before = stamp_of(scene.status().directory()).unwrap();
        assert_eq!(texts(&still_pending(gone, &scene.status(), before).unwrap()), [segment(2)]);
    }

    #[test]
    fn many_orphans_are_looked_at_only_where_something_moved() {
        let scene = Scene::new();
        let names = |numbers: std::ops::Range<u32>| -> Vec<WalFileName> {
            numbers.map(|number| segment(number).parse().unwrap()).collect()
        };
        let gone = names(0..5000);
        let before = stamp_of(scene.status().directory()).unwrap();
        assert_eq!(still_pending(gone.clone(), &scene.status(), before).unwrap(), gone);
        assert!(still_pending(gone, &scene.status(), [0; 4]).unwrap().is_empty());
    }

    fn behind(scene: &Scene, name: &str, most: usize) -> Vec<String> {
        let size = SegmentSize::new(SIZE).unwrap();
        texts(&pending_behind(&scene.status(), name.parse().unwrap(), size, most).unwrap())
    }

    #[test]
    fn behind_a_file_wait_the_segments_that_follow_it_else_the_whole_queue_in_its_order() {
        let [one, two, three, five] = [1, 2, 3, 5].map(segment);
        let backup = format!("{three}.00000028.backup");
        let history = "00000002.history".to_owned();
        let ready = [&one, &two, &three, &five, &backup, &history].map(|name| format!("{name}.ready"));
        let done = format!("{}.done", segment(4));
        let mut statuses: Vec<&str> = ready.iter().map(String::as_str).collect();
        statuses.push(&done);
        let scene = Scene::with(&[], &statuses);
        assert_eq!(behind(&scene, &one, 9), [two.clone(), three.clone()]);
        assert_eq!(behind(&scene, &one, 1), [two.as_str()]);
        assert_eq!(behind(&scene, &one, 0), [""; 0]);
        let rest = [&history, &one, &two, &backup, &five].map(String::clone);
        assert_eq!(behind(&scene, &three, 9), rest, "its run ends");
        assert_eq!(behind(&scene, &history, 2), [one.clone(), two]);
        assert_eq!(behind(&scene, &segment(4), 9), [""; 0], "it does not wait itself");
        assert_eq!(behind(&scene, &segment(7), 9), [""; 0]);
        assert_eq!(behind(&Scene::with(&[], &[&ready[0]]), &one, 9), [""; 0], "it is alone");
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_an_error() {
        let scene = Scene::new();
        let nowhere = ArchiveStatus::new(scene.dir.path().join("gone"));
        assert!(matches!(Backlog::read(scene.dir.path(), &nowhere), Err(ClusterError::Unreadable { .. })));
        let gone = scene.dir.path().join("gone");
        assert!(matches!(Backlog::read(&gone, &scene.status()), Err(ClusterError::Unreadable { .. })));
    }

    /// What repmgr counts of plain files.
    fn repmgr_counts(names: &std::collections::BTreeSet<String>) -> u64 {
        names.iter().filter(|name| name.ends_with(".ready")).count() as u64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_queue_is_what_was_laid_out(
            names in proptest::collection::btree_set(
                "(0000000[12]0000000[01]0000000[1-3](|\\.partial|\\.0000000[0-9]\\.backup)|0000000[1-9A]\\.history|[.a-z]{1,3}|[0-9A-F]{30})\\.(ready|done)",
                0..40,
            ),
            there in proptest::collection::btree_set("0000000[12]0000000[01]0000000[1-3](|\\.partial)|0000000[1-9A]\\.history", 0..20),
        ) {
            let scene = Scene::new();
            there.iter().for_each(|name| scene.put(name));
            names.iter().for_each(|name| scene.put(&format!("archive_status/{name}")));
            let backlog = scene.backlog();
            prop_assert_eq!(backlog.ready_files, repmgr_counts(&names));
            prop_assert_eq!(backlog.ready_files, backlog.pending.len() as u64 + backlog.strangers.count);
            let is_wal = |name: &&str| name.parse::<WalFileName>().is_ok();
            let mut pending: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".ready")).filter(is_wal).collect();
            pending.sort_by_key(|name| (!name.ends_with(".history"), *name));
            prop_assert_eq!(texts(&backlog.pending), pending.clone());
            pending.retain(|name| !there.contains(*name));
            prop_assert_eq!(texts(&backlog.orphans), pending);
            let unmarked = there.iter().filter(|name| {
                !names.contains(&format!("{name}.ready")) && !names.contains(&format!("{name}.done"))
            });
            prop_assert_eq!(backlog.without_status().count(), unmarked.count());
        }
    }
}
