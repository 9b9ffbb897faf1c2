//! The board: what is shown to whoever asks over HTTP. However many ask, it is looked once in a few seconds.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::now::{SystemClock, now, origin};
use super::super::settings::Settings;
use super::super::{prune, status};
use crate::commands::{Clock, Look, Note, StatusReport, StatusRequest, Totals, Trend};
use crate::output::{SCHEMA, Watched, metrics, page, show_time, status_json, unknown_page};
use crate::serve::{Page, TEXT};

/// What is shown, and what it is made of.
pub(super) struct Board {
    /// What is looked at; nothing while nothing is watched yet.
    watched: Mutex<Option<Shown>>,
    tallies: Mutex<Vec<(PathBuf, Tally)>>,
    clock: SystemClock,
    hangs: AtomicBool,
    seen: Mutex<Seen>,
    looked: Condvar,
}

/// What became of a data directory since the start.
#[derive(Clone, Default)]
struct Tally {
    totals: Totals,
    trend: Trend,
}

#[derive(Clone)]
struct Shown {
    settings: Arc<Settings>,
    data_directories: Vec<PathBuf>,
}

#[derive(Default)]
struct Seen {
    pages: Option<(Instant, Arc<Pages>)>,
    /// Somebody looks at this moment.
    looks: bool,
}

struct Pages {
    status: String,
    metrics: String,
    people: String,
}

const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const UNTOLD: &str = "it cannot be told now: a look does not come to its end";

/// How old a look may be.
const MOST_AGE: Duration = Duration::from_secs(3);

/// How long is waited for somebody else's look.
const MOST_WAIT: Duration = Duration::from_secs(4);

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self {
            watched: Mutex::default(),
            tallies: Mutex::default(),
            clock: SystemClock::start(),
            hangs: AtomicBool::default(),
            seen: Mutex::default(),
            looked: Condvar::default(),
        }
    }

    /// Shows these data directories from now on.
    pub fn show(&self, settings: &Arc<Settings>, data_directories: &[PathBuf]) {
        let shown = Shown { settings: Arc::clone(settings), data_directories: data_directories.to_vec() };
        *lock(&self.watched) = Some(shown);
    }

    /// Counts what was done.
    pub fn count(&self, data_directory: &Path, note: &Note<'_>) {
        self.tally(data_directory, |tally| tally.totals.count(note));
    }

    /// Remembers what a look found.
    pub fn looked(&self, data_directory: &Path, look: Look) {
        let at = self.clock.elapsed();
        self.tally(data_directory, |tally| tally.trend.see(look, at));
    }

    /// What was done since the start.
    pub fn totals(&self, data_directory: &Path) -> Totals {
        self.tally(data_directory, |tally| tally.totals)
    }

    fn tally<T>(&self, data_directory: &Path, with: impl FnOnce(&mut Tally) -> T) -> T {
        let mut tallies = lock(&self.tallies);
        if let Some((_, tally)) = tallies.iter_mut().find(|(directory, _)| directory == data_directory) {
            return with(tally);
        }
        let mut first = Tally::default();
        let told = with(&mut first);
        tallies.push((data_directory.to_owned(), first));
        told
    }

    /// Whether a watch does not go on.
    pub fn set_hangs(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Relaxed);
    }

    /// What lies under a path.
    pub fn page(&self, path: &str) -> Option<Page> {
        let hangs = self.hangs.load(Ordering::Relaxed);
        let page = |status, content_type, body| Some(Page { status, content_type, body });
        match path {
            "/healthz" if hangs => page(503, TEXT, "a watch does not go on\n".to_owned()),
            "/healthz" => page(200, TEXT, "ok\n".to_owned()),
            "/" => match self.pages() {
                Some(pages) => page(200, HTML, pages.people.clone()),
                None => page(503, HTML, unknown_page(&self.node(), UNTOLD)),
            },
            "/status" | "/metrics" => match self.pages() {
                Some(pages) if path == "/status" => page(200, "application/json", pages.status.clone()),
                Some(pages) => page(200, METRICS, pages.metrics.clone()),
                None => page(503, TEXT, format!("{UNTOLD}\n")),
            },
            _ => None,
        }
    }

    fn node(&self) -> String {
        lock(&self.watched).as_ref().map_or_else(String::new, |shown| shown.settings.node.clone())
    }

    /// The pages of the last look, or of one that is made now; `None` where none comes to its end.
    fn pages(&self) -> Option<Arc<Pages>> {
        let shown = lock(&self.watched).clone()?;
        let until = Instant::now() + MOST_WAIT;
        let mut seen = lock(&self.seen);
        loop {
            if let Some((at, pages)) = &seen.pages
                && at.elapsed() < MOST_AGE
            {
                return Some(Arc::clone(pages));
            }
            if !seen.looks {
                break;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            seen = self.looked.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        seen.looks = true;
        drop(seen);
        // Also where a look panics: the next one begins anew.
        let _end = EndOfLook(self);
        let pages = Arc::new(self.look(&shown));
        lock(&self.seen).pages = Some((Instant::now(), Arc::clone(&pages)));
        Some(pages)
    }

    fn look(&self, shown: &Shown) -> Pages {
        let reports: Vec<StatusReport> =
            shown.data_directories.iter().map(|directory| report(&shown.settings, directory)).collect();
        let watched: Vec<Watched<'_>> = shown
            .data_directories
            .iter()
            .zip(&reports)
            .map(|(data_directory, report)| {
                let Tally { totals, trend } = self.tally(data_directory, |tally| tally.clone());
                Watched { data_directory, report, totals, trend }
            })
            .collect();
        let status = match reports.as_slice() {
            [only] => status_json(only),
            several => {
                json!({"schema": SCHEMA, "nodes": several.iter().map(status_json).collect::<Vec<_>>()})
            }
        };
        let people = page(&shown.settings.node, &watched, self.clock.elapsed());
        Pages { status: format!("{status}\n"), metrics: metrics(&watched), people }
    }
}

struct EndOfLook<'b>(&'b Board);

impl Drop for EndOfLook<'_> {
    fn drop(&mut self) {
        lock(&self.0.seen).looks = false;
        self.0.looked.notify_all();
    }
}

fn report(settings: &Settings, data_directory: &std::path::Path) -> StatusReport {
    let store = settings.store().ok();
    let origin = origin(settings);
    let prune = store.as_ref().map(|store| prune::request(store.root().to_owned(), store, settings, &origin));
    crate::commands::status(&StatusRequest {
        data_directory: Some(data_directory),
        store: store.as_ref().map(|store| store as _),
        prune: prune.as_ref(),
        policy: status::policy(settings, None),
        now: now(),
        show_time: &show_time,
    })
}
