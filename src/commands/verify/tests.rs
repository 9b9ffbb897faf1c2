//! What happens while files are read: a clock that only sleeping moves calls in between.

use std::sync::Mutex;

use super::*;
use crate::commands::Unobserved;
use crate::repository::StoredForm;
use crate::storage::{DirectoryStore, Key};

const NAMES: [&str; 3] = ["000000010000000000000001", "000000010000000000000002", "000000010000000000000003"];

/// A clock that does something whenever somebody sleeps.
struct Busy<'a> {
    slept: Mutex<Duration>,
    meanwhile: &'a (dyn Fn() + Sync),
}

impl Clock for Busy<'_> {
    fn elapsed(&self) -> Duration {
        *self.slept.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) {
        *self.slept.lock().unwrap() += duration;
        (self.meanwhile)();
    }
}

struct Place {
    _dir: tempfile::TempDir,
    store: DirectoryStore,
}

fn origin() -> Origin {
    Origin {
        node: "node1".into(),
        machine_id: String::new(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        now_text: String::new(),
    }
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::new(dir.path().join("repo"));
        drop(Repository::create(&store, StoredForm::Plain, true, &origin()).unwrap());
        let place = Self { _dir: dir, store };
        NAMES.iter().for_each(|name| place.put(name, 0));
        place
    }

    fn put(&self, name: &str, byte: u8) {
        let key = Key::new(name).unwrap();
        let mut staged = self.store.stage(name).unwrap();
        staged.write_all(&vec![byte; 1 << 20]).unwrap();
        staged.sync().unwrap();
        let _ = staged.publish(&key).unwrap();
    }

    fn remove(&self, name: &str) {
        let _ = self.store.remove(&Key::new(name).unwrap());
    }

    fn verify(&self, budget: Option<u64>, meanwhile: &(dyn Fn() + Sync)) -> VerifyReport {
        self.verify_watched(budget, meanwhile, &Unobserved)
    }

    fn verify_watched(
        &self,
        budget: Option<u64>,
        meanwhile: &(dyn Fn() + Sync),
        observer: &dyn Observer,
    ) -> VerifyReport {
        let request = VerifyRequest {
            store: &self.store,
            data_directory: None,
            full: false,
            budget_bytes_per_second: budget,
            jobs: 1,
            header_check: false,
            origin: &origin(),
            show_time: &|_| String::new(),
            clock: &Busy { slept: Mutex::default(), meanwhile },
            observer,
        };
        verify(&request).unwrap()
    }
}

#[test]
fn what_goes_away_while_it_is_verified_is_no_damage() {
    let place = Place::new();
    // The first file is open when it goes; the last one is not yet.
    let report = place.verify(Some(1 << 10), &|| {
        place.remove(NAMES[0]);
        place.remove(NAMES[2]);
    });
    assert_eq!((report.findings, report.vanished_files), (vec![], 1));
    assert_eq!((report.read.files, report.from_marks.files), (2, 0));
}

#[test]
fn what_is_replaced_while_it_is_read_is_not_marked() {
    let place = Place::new();
    place.verify(Some(1 << 10), &|| {
        if !place.store.stat(&Key::new("set-aside").unwrap()).is_ok_and(|stat| stat.is_some()) {
            let (from, to) = (Key::new(NAMES[0]).unwrap(), Key::new("set-aside").unwrap());
            let _ = place.store.relocate(&from, &to).unwrap();
            place.put(NAMES[0], 1);
        }
    });
    let again = place.verify(None, &|| ());
    assert_eq!((again.read.files, again.from_marks.files), (1, 2));
}

/// Looks for marks while there is still something to read.
struct Looking<'a>(&'a DirectoryStore, Mutex<bool>);

impl Observer for Looking<'_> {
    fn progress(&self, progress: Progress) {
        let marked = !self.0.list(".walkeep/verified").unwrap().is_empty();
        *self.1.lock().unwrap() |= marked && progress.done_files < progress.total_files;
    }
}

#[test]
fn marks_are_written_while_files_are_still_read() {
    let place = Place::new();
    let looking = Looking(&place.store, Mutex::new(false));
    // So slow that each file takes longer than marks wait.
    place.verify_watched(Some(1 << 10), &|| (), &looking);
    assert!(*looking.1.lock().unwrap());
}

#[test]
fn what_was_read_longest_ago_is_read_first_and_then_what_was_never_read() {
    let place = Place::new();
    let repository = Repository::open(&place.store).unwrap();
    let expected = Expected { system_identifier: None, segment_size: None, header_check: false };
    let day = Duration::from_secs(86_400);
    let now = origin().now;
    let inventory = repository.inventory().unwrap();
    let (group, mut marks) = (MarkGroup::of(NAMES[0].parse().unwrap()), crate::repository::Marks::default());
    for (name, age) in [(NAMES[2], 50), (NAMES[1], 40)] {
        let name = name.parse().unwrap();
        let sink = &mut std::io::sink();
        let proven = repository.prove_form(name, Form::Plain, expected, &|_| (), sink).unwrap().unwrap();
        marks.set(name, Form::Plain, Mark::of(&proven, now - age * day));
    }
    repository.replace_marks(&group, &marks).unwrap();
    let work = plan(&repository, &inventory.files, now, false, &mut VerifyReport::default());
    let order: Vec<usize> = work.iter().map(|work| work.files.start).collect();
    assert_eq!(order, [2, 1, 0]);
}
