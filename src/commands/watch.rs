//! `watch`: whatever is pending in a data directory is stored before its server asks for it, so that archive_command
//! only confirms. Nothing is acknowledged and no mark is changed: where nobody watches, the server's own calls do all of
//! it by themselves.

mod alarms;
mod note;
mod queue;
mod totals;
mod trend;
mod troubles;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::archive::{Batch, Terms, refuse_superuser};
use super::survey::reason;
use super::{
    ArchiveError, Begins, ClaimError, ClaimRequest, Clock, Hint, Observer, Progress, pool, refresh_claim,
};
use crate::cluster::{Cluster, ClusterError, ControlFile, Queue};
use crate::fsx::{DirectoryId, Instance, PathError};
use crate::repository::{Identity, Origin, Repository, RepositoryError};
use crate::storage::{ObjectStat, Store};
use crate::wake::{Wake, Waker};
use crate::wal::{SegmentNumber, SegmentSize, WalFileKind, WalFileName};
use alarms::Alarms;
use queue::{Choice, Pending, Taking};
use troubles::{Subject, Troubles};

pub use note::{Note, Part};
pub use totals::Totals;
pub use trend::{Flow, Look, Rates, Trend};

/// What is watched, and where its files go.
pub struct WatchRequest<'a> {
    /// The data directory.
    pub data_directory: PathBuf,
    /// Where the repository lies.
    pub store: &'a dyn Store,
    /// Compression level, 1 to 19.
    pub level: i32,
    /// Bytes that have to stay free in the repository.
    pub min_free_bytes: u64,
    /// Whether the first page's header is held against the name: not for encrypted WAL.
    pub header_check: bool,
    /// How many files are packed at once, at least 1.
    pub jobs: usize,
    /// For how long a slot that is gone pins.
    pub slot_grace: Duration,
    /// From which state of the queue on something is told.
    pub thresholds: Thresholds,
    /// Tells how long a file takes.
    pub stopwatch: &'a (dyn Fn() -> Duration + Sync),
    /// Who stores, and when.
    pub origin: &'a (dyn Fn() -> Origin + Sync),
    /// How times are written in messages.
    pub show_time: &'a (dyn Fn(SystemTime) -> String + Sync),
}

/// From which state of the queue on something is told, as the gate judges it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// More pending files than this are a backlog.
    pub warning: u64,
    /// More than this close the gate.
    pub critical: u64,
    /// A first pending file that has not moved for so long is stuck.
    pub stuck_after: Duration,
}

/// Why a data directory cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Another process does.
    #[error("another walkeep watches '{}'", path.display())]
    Another {
        /// The data directory.
        path: PathBuf,
    },
    /// The wrong user, or nothing that could be looked at.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Hint for WatchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Another { .. } => {
                Some("One is enough; 'systemctl status walkeep-watch@*' may show it.".to_owned())
            }
            Self::Archive(error) => error.hint(),
        }
    }
}

/// Ends a watch, from another thread or a signal.
#[derive(Default)]
pub struct Stop {
    is_set: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Stop {
    /// Whoever watches ends once the files that are under way are settled.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(Waker::wake);
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    fn ends(&self, waker: Waker) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }
}

/// How often it is looked at where no event comes: events get lost, and neither the repository nor the place of the
/// WAL directory is watched.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The same where the system lets nothing be watched.
const LOOK_EVERY_UNWATCHED: Duration = Duration::from_secs(2);

/// After each look events are left to gather, so that a queue that moves does not keep a core busy; a long one takes
/// long to read.
const REST: Duration = Duration::from_millis(100);
const REST_PER_LOOK: u32 = 9;
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How soon the timer wakes again where nothing happens.
const SOONEST: Duration = Duration::from_millis(500);

/// How many files are stored between two looks at the queue.
const MOST_AT_ONCE: usize = 256;

/// A data directory that this process alone watches.
pub struct Watch<'a> {
    request: WatchRequest<'a>,
    observer: &'a dyn Observer,
    instance: Option<Instance>,
    wake: Wake,
    /// The directory of the status files whose events come, and whether they do.
    watched: Option<(DirectoryId, bool)>,
    /// When those events were asked for last.
    asked_at: Duration,
    troubles: Troubles,
    alarms: Alarms,
    pending: Pending,
    /// The repository that the pending files were stored in.
    stored_in: Option<ObjectStat>,
    /// When repository and claim are looked at again.
    next_check: Duration,
}

impl<'a> Watch<'a> {
    /// Becomes the one that watches a data directory. One that is not there, or none yet, is waited for.
    ///
    /// # Errors
    /// When another process watches it, or the user is the wrong one.
    pub fn begin(request: WatchRequest<'a>, observer: &'a dyn Observer) -> Result<Self, WatchError> {
        let path = &request.data_directory;
        let instance = if path.is_dir() {
            // What cannot be looked at now may come back.
            if let Err(error @ ArchiveError::ForeignOwner(_)) = refuse_superuser(request.store, Some(path)) {
                return Err(error.into());
            }
            let claimed = Instance::claim(INSTANCE, path).map_err(ArchiveError::from)?;
            Some(claimed.ok_or_else(|| WatchError::Another { path: path.clone() })?)
        } else {
            None
        };
        Ok(Self {
            alarms: Alarms::new(request.thresholds),
            request,
            observer,
            instance,
            wake: Wake::on(&[]),
            watched: None,
            asked_at: Duration::ZERO,
            troubles: Troubles::default(),
            pending: Pending::default(),
            stored_in: None,
            next_check: Duration::ZERO,
        })
    }

    /// Stores what is pending, whenever something happens and now and then, until it is told to stop.
    pub fn go_on(mut self, stop: &Stop, clock: &dyn Clock) {
        stop.ends(self.wake.waker());
        while !stop.is_set() {
            let began = clock.elapsed();
            let (taking, scanned) = self.look(began, stop, clock);
            let ended = clock.elapsed();
            if stop.is_set() {
                break;
            }
            let rest = match taking {
                Taking::GoesOn => Duration::ZERO,
                Taking::Rests => REST.max(scanned.saturating_mul(REST_PER_LOOK)).min(LONGEST_REST),
            };
            clock.sleep(rest);
            let _ = self.wake.wait(self.next_look(taking, ended).saturating_sub(clock.elapsed()));
        }
    }

    fn next_look(&self, taking: Taking, now: Duration) -> Duration {
        if taking == Taking::GoesOn {
            return now;
        }
        let every = match self.watched {
            Some((_, true)) => LOOK_EVERY,
            _ => LOOK_EVERY_UNWATCHED,
        };
        let asked = self.troubles.next_try().into_iter().chain(self.pending.next_look());
        asked.fold(now + every, Duration::min).max(now + SOONEST)
    }

    /// Looks once, and stores what is to be stored; says how long the queue took to read.
    fn look(&mut self, now: Duration, stop: &Stop, clock: &dyn Clock) -> (Taking, Duration) {
        self.observer.progress(Progress::default());
        let looked = self.see(now);
        let scanned = clock.elapsed().saturating_sub(now);
        let taking = match looked {
            Ok(Some((cluster, control))) => {
                self.mend(Subject::Part(Part::DataDirectory));
                self.store(&cluster, &control, (now, stop, clock))
            }
            Ok(None) => Taking::Rests,
            Err(error) => {
                self.tell(Subject::Part(Part::DataDirectory), &error, None, now);
                // It may be another one by the time that it can be read again.
                self.pending = Pending::default();
                Taking::Rests
            }
        };
        (taking, scanned)
    }

    /// Looks at the data directory and its queue; `None` where another process watches it now.
    fn see(&mut self, now: Duration) -> Result<Option<(Cluster, ControlFile)>, ClusterError> {
        let path = self.request.data_directory.clone();
        let directory = DirectoryId::of(&path)?;
        if !self.is_ours(directory, now)? {
            return Ok(None);
        }
        let cluster = Cluster::find(&path)?;
        self.follow_events(&cluster, now)?;
        let control = cluster.control_file()?;
        let queue = cluster.queue()?;
        self.observer.looked(look_of(&queue, &control));
        self.pending.see(queue.pending, control.system_identifier, now);
        // A history is pending before the control file knows of its timeline.
        let timeline =
            self.pending.newest_timeline().map_or(control.timeline, |newest| newest.max(control.timeline));
        let notes = self.alarms.see(queue.ready_files, self.pending.head(), timeline, now);
        notes.iter().for_each(|note| self.observer.note(note));
        Ok(Some((cluster, control)))
    }

    /// Whether this process watches the directory: one that took the path of another is a new one.
    fn is_ours(&mut self, directory: DirectoryId, now: Duration) -> Result<bool, PathError> {
        if self.instance.as_ref().is_some_and(|instance| instance.is_of(directory)) {
            return Ok(true);
        }
        self.instance = Instance::claim(INSTANCE, &self.request.data_directory)?;
        let subject = Subject::Part(Part::Instance);
        if self.instance.is_none() {
            let error = WatchError::Another { path: self.request.data_directory.clone() };
            self.tell(subject, &error, error.hint(), now);
            return Ok(false);
        }
        self.mend(subject);
        self.pending = Pending::default();
        self.alarms = Alarms::new(self.request.thresholds);
        Ok(true)
    }

    /// Waits for the events of the directory that the status files lie in now.
    fn follow_events(&mut self, cluster: &Cluster, now: Duration) -> Result<(), PathError> {
        let status = cluster.archive_status();
        let directory = DirectoryId::of(status.directory())?;
        if self.watched == Some((directory, true)) && self.still_comes(status.directory(), now) {
            return Ok(());
        }
        let again = self.watched.is_some_and(|(watched, _)| watched == directory);
        let subject = Subject::Part(Part::Events);
        if again && !self.troubles.is_due(subject, now) {
            return Ok(());
        }
        let comes = self.wake.watch(&[status.directory()]);
        self.watched = Some((directory, comes));
        self.asked_at = now;
        if comes {
            self.mend(subject);
        } else {
            self.tell(subject, &NoEvents, NoEvents.hint(), now);
        }
        Ok(())
    }

    /// Whether the system sends the events of a directory that it was asked for; it is asked again now and then.
    fn still_comes(&mut self, directory: &Path, now: Duration) -> bool {
        if now.saturating_sub(self.asked_at) < LOOK_EVERY {
            return true;
        }
        self.asked_at = now;
        self.wake.ask_again(&[directory])
    }

    /// Stores what is pending, and looks after repository and claim now and then.
    fn store(
        &mut self,
        cluster: &Cluster,
        control: &ControlFile,
        (now, stop, clock): (Duration, &Stop, &dyn Clock),
    ) -> Taking {
        let subject = Subject::Part(Part::Repository);
        if !self.troubles.is_due(subject, now) {
            return Taking::Rests;
        }
        let Choice { files, more } = self.pending.choose(MOST_AT_ONCE, self.troubles.is_full(), |name| {
            self.troubles.is_due(Subject::File(name), now)
        });
        if files.is_empty() && now < self.next_check {
            return Taking::Rests;
        }
        let origin = (self.request.origin)();
        let repository = match self.open(cluster, control, &origin) {
            Ok(repository) => repository,
            Err(error) => {
                self.tell(subject, &error, error.hint(), now);
                self.pending.forget();
                return Taking::Rests;
            }
        };
        if self.is_another(&repository) {
            self.pending.forget();
            return Taking::GoesOn;
        }
        let at_once = pool::at_once(self.request.jobs);
        let terms = Terms {
            level: self.request.level,
            min_free_bytes: self.request.min_free_bytes,
            header_check: self.request.header_check,
            jobs: at_once,
            origin: &origin,
            clock,
            show_time: self.request.show_time,
        };
        let stopwatch = self.request.stopwatch;
        let mut account = Account { watch: self, stop, clock, ended: false, left: false, moved: false };
        Batch { terms, cluster, control, repository: &repository, stopwatch }.store(&files, &mut account);
        let Account { ended, left, moved, .. } = account;
        self.pending.are_tried(&files);
        if ended {
            return Taking::Rests;
        }
        self.mend(subject);
        if left {
            self.pending.look_again_at(clock.elapsed() + SETTLES);
        }
        self.check(&repository, control.segment_size, &origin, clock.elapsed());
        self.troubles.keep_files(|name| self.pending.holds(name));
        if more && moved && !self.troubles.is_full() { Taking::GoesOn } else { Taking::Rests }
    }

    /// Opens the repository, which is this cluster's or becomes it.
    fn open(
        &self,
        cluster: &Cluster,
        control: &ControlFile,
        origin: &Origin,
    ) -> Result<Repository<'a>, ArchiveError> {
        let store = self.request.store;
        refuse_superuser(store, Some(&self.request.data_directory))?;
        let mut repository = Repository::open(store)?;
        let identity =
            Identity { system_identifier: control.system_identifier, segment_size: control.segment_size };
        repository.bind(identity, Some(cluster.dialect().key()), origin)?;
        Ok(repository)
    }

    /// Whether another repository has taken the place of the one that was stored in: what is pending is not in that.
    fn is_another(&mut self, repository: &Repository<'_>) -> bool {
        let Ok(mark) = repository.mark() else { return false };
        let before = std::mem::replace(&mut self.stored_in, mark);
        before.is_some() && before != self.stored_in
    }

    /// Looks at the room in the repository, and refreshes the node's claim, once in a while.
    fn check(&mut self, repository: &Repository<'_>, size: SegmentSize, origin: &Origin, now: Duration) {
        if now < self.next_check {
            return;
        }
        self.next_check = now + LOOK_EVERY;
        // A leftover costs space, nothing else.
        let _ = repository.sweep();
        if let Ok(free) = repository.free_bytes() {
            let note = self.alarms.see_space(free, self.request.min_free_bytes, size.bytes());
            note.iter().for_each(|note| self.observer.note(note));
        }
        let request = ClaimRequest {
            data_directory: self.request.data_directory.clone(),
            store: self.request.store,
            slot_grace: self.request.slot_grace,
            origin,
        };
        let subject = Subject::Part(Part::Claim);
        match refresh_claim(&request, Begins::Node) {
            Ok(_) => self.mend(subject),
            Err(error) => self.tell_claim(&error, now),
        }
    }

    fn tell_claim(&mut self, error: &ClaimError, now: Duration) {
        self.tell(Subject::Part(Part::Claim), error, error.hint(), now);
    }

    /// Tells what fails: once, and again when that changed or an hour has passed.
    fn tell(&mut self, subject: Subject, error: &dyn std::error::Error, hint: Option<String>, now: Duration) {
        if self.troubles.fails(subject, reason(error), now) {
            self.observer.note(&match subject {
                Subject::File(name) => Note::FileFails { name, error, hint, is_conflict: false },
                Subject::Part(part) => Note::Fails { part, error, hint },
            });
        }
    }

    /// What failed goes again; told where the failure was.
    fn mend(&mut self, subject: Subject) {
        if self.troubles.mends(subject) {
            self.observer.note(&match subject {
                Subject::File(name) => Note::FileStored { name },
                Subject::Part(part) => Note::Works { part },
            });
        }
    }
}

/// What came and went is told by the newest segment that is finished.
fn look_of(queue: &Queue, control: &ControlFile) -> Look {
    let size = control.segment_size;
    let begun = SegmentNumber::containing(control.checkpoint, size).get();
    let furthest = SegmentNumber::new(begun.saturating_add(CREDIBLE_BYTES / size.bytes()));
    let is_segment = |name: &&WalFileName| name.kind() == WalFileKind::Segment;
    let newest = queue.newest_finished(size, furthest).map_or(0, SegmentNumber::get);
    Look {
        of: control.system_identifier,
        ready_files: queue.ready_files,
        pending_segments: queue.pending.iter().filter(is_segment).count() as u64,
        newest: newest.max(begun.saturating_sub(1)),
        segment_bytes: size.bytes(),
    }
}

/// What lies further behind the last checkpoint than that is no WAL that this server wrote, whoever left its name there.
const CREDIBLE_BYTES: u64 = 64 << 40;

/// Under which name the instance is claimed.
const INSTANCE: &str = "watch";

/// How long a file is left alone that was written just now, for no stamp vouches for it before, or that somebody else is
/// storing.
const SETTLES: Duration = Duration::from_millis(2100);

/// Why only the timer wakes.
#[derive(Debug, thiserror::Error)]
#[error("the system lets no more directories be watched, or their file system sends no events")]
struct NoEvents;

impl Hint for NoEvents {
    fn hint(&self) -> Option<String> {
        Some("It is looked at every other second instead; fs.inotify.max_user_instances and max_user_watches limit it.".to_owned())
    }
}

impl From<RepositoryError> for WatchError {
    fn from(error: RepositoryError) -> Self {
        Self::Archive(error.into())
    }
}

/// What becomes of the files of one batch.
struct Account<'w, 'a> {
    watch: &'w mut Watch<'a>,
    stop: &'w Stop,
    clock: &'w dyn Clock,
    /// Nothing more is stored before the repository was looked at again.
    ended: bool,
    /// Some files were left for later.
    left: bool,
    /// Some were settled.
    moved: bool,
}

impl super::archive::Account for Account<'_, '_> {
    fn goes_on(&self) -> bool {
        !self.ended && !self.stop.is_set()
    }

    fn settled(&mut self, name: crate::wal::WalFileName, fate: super::archive::Fate) {
        use super::archive::Fate;
        self.watch.observer.progress(Progress::default());
        match fate {
            Fate::TooNew | Fate::InHand => {
                self.left = true;
                return;
            }
            Fate::Stored { bytes, took } => self.watch.observer.note(&Note::Stored { name, bytes, took }),
            Fate::Known => {}
        }
        self.moved = true;
        self.watch.pending.is_stored(name);
        self.watch.mend(Subject::File(name));
    }

    fn failed(&mut self, names: &[crate::wal::WalFileName], error: ArchiveError) {
        use super::drain::{ends_everything, was_taken_away};
        let now = self.clock.elapsed();
        let watch = &mut *self.watch;
        watch.observer.progress(Progress::default());
        if ends_everything(&error) {
            self.ended = true;
            return watch.tell(Subject::Part(Part::Repository), &error, error.hint(), now);
        }
        let is_conflict = matches!(error, ArchiveError::Repository(RepositoryError::Conflict(_)));
        for name in names {
            let subject = Subject::File(*name);
            // The server may have archived it meanwhile; if it still asks for it at the next look, it is an orphan.
            let quietly = was_taken_away(&error) && !watch.troubles.has(subject);
            let told = if quietly { String::new() } else { reason(&error) };
            if watch.troubles.fails(subject, told, now) && !quietly {
                let (error, hint): (&dyn std::error::Error, _) = (&error, error.hint());
                watch.observer.note(&Note::FileFails { name: *name, error, hint, is_conflict });
            }
        }
    }
}
