mod board;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::args::{Common, WatchArgs};
use super::now::{SystemClock, host_name, origin};
use super::settings::{Settings, SettingsError};
use super::stderr::Stderr;
use super::units::Compression;
use crate::commands::{
    Clock, Hint, Look, Note, Observer, Progress, Stop, Thresholds, Watch, WatchError, WatchRequest,
};
use crate::health::Policy;
use crate::output::{Failure, LogLine, show_time};
use crate::serve::{Address, Server};
use crate::storage::DirectoryStore;
use board::Board;

/// Nothing is watched any more, and nobody told it to end.
const FAILED: u8 = 1;

pub(super) fn run(args: &WatchArgs, common: &Common, settings: Settings, err: Stderr) -> u8 {
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            err.error(&Failure::new("cannot watch".to_owned(), &error, None));
            return FAILED;
        }
    };
    let mut settings = Arc::new(settings);
    let board = Arc::new(Board::new());
    if let Some(address) = args.listen
        && let Err(error) = listen(address, &board, err)
    {
        err.error(&Failure::new(format!("cannot listen on '{address}'"), &error, None));
        return FAILED;
    }
    let mut before = None;
    loop {
        match watch_with(args, common, &settings, (&signals, &board)) {
            Ended::With(code) => return code,
            Ended::ToReload(new) => before = Some(std::mem::replace(&mut settings, Arc::from(new))),
            Ended::NotBegun(failure, code) => {
                // What was watched until now is watched on, whatever the new configuration asks for.
                let Some(old) = before.take() else {
                    err.error(&failure);
                    return code;
                };
                settings = old;
                err.error(&Failure { what: OLD_ONE_STAYS.to_owned(), ..failure });
            }
        }
    }
}

/// What is told of a new configuration that cannot be followed.
const OLD_ONE_STAYS: &str = "cannot reload the configuration: the old one stays";

/// Answers over HTTP from now on, also while the configuration is reloaded.
fn listen(address: Address, board: &Arc<Board>, err: Stderr) -> io::Result<()> {
    let server = Server::listen(address)?;
    err.line(&LogLine::info("listening", format!("listening on http://{}", server.address()?)));
    let board = Arc::clone(board);
    server.go_on(&host_name(), move |path| board.page(path))
}

/// Why a watch with some settings ended.
enum Ended {
    With(u8),
    /// Another configuration counts from now on.
    ToReload(Box<Settings>),
    /// It did not even begin, for that reason.
    NotBegun(Failure, u8),
}

/// What makes no sense, or is missing.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the critical threshold {critical} is not above the warning threshold {warning}")]
    BadThresholds { warning: u64, critical: u64 },
}

/// What is meant by the settings.
struct Meant {
    data_directories: Vec<PathBuf>,
    store: DirectoryStore,
    thresholds: Thresholds,
}

impl Meant {
    fn by(settings: &Settings) -> Result<Self, Unusable> {
        let warning = settings.gate_warning.unwrap_or(Policy::WARNING);
        let critical = settings.gate_critical.unwrap_or(Policy::CRITICAL);
        if critical <= warning {
            return Err(Unusable::BadThresholds { warning, critical });
        }
        let stuck_after = settings.gate_stuck_after.map_or(Policy::STUCK_AFTER, |time| time.0);
        Ok(Self {
            data_directories: settings.watched_directories()?,
            store: settings.store()?,
            thresholds: Thresholds { warning, critical, stuck_after },
        })
    }
}

fn watch_with(
    args: &WatchArgs,
    common: &Common,
    settings: &Arc<Settings>,
    (signals, board): (&Signals, &Board),
) -> Ended {
    let err = Stderr::new(settings.log_format, settings.quiet, settings.verbose);
    let failed = |error: &dyn std::error::Error, hint, code| {
        Ended::NotBegun(Failure::new("cannot watch".to_owned(), error, hint), code)
    };
    // An end that nobody waited for must not be taken for one of those that are begun now.
    signals.thread_ends.store(false, Ordering::SeqCst);
    let meant = match Meant::by(settings) {
        Ok(meant) => meant,
        Err(Unusable::Settings(error)) => return failed(&error, error.hint(), super::USAGE),
        Err(error) => return failed(&error, None, super::USAGE),
    };
    let loggers: Vec<Logger<'_>> =
        meant.data_directories.iter().map(|directory| Logger::new(directory.clone(), err, board)).collect();
    board.show(settings, &meant.data_directories);
    let origin = || origin(settings);
    let clock = SystemClock::start();
    let stopwatch = || clock.elapsed();
    let begun: Result<Vec<Watch<'_>>, WatchError> = loggers
        .iter()
        .map(|logger| {
            let request = WatchRequest {
                data_directory: logger.data_directory.clone(),
                store: &meant.store,
                level: match args.compress.or(settings.compress) {
                    Some(Compression::Zstd { level }) => level,
                    Some(Compression::None) | None => Compression::DEFAULT_LEVEL,
                },
                min_free_bytes: args.min_free.or(settings.min_free).map_or(0, |size| size.0),
                header_check: !args.no_header_check,
                jobs: settings.jobs(args.jobs),
                slot_grace: settings.slot_grace,
                thresholds: meant.thresholds,
                stopwatch: &stopwatch,
                origin: &origin,
                show_time: &show_time,
            };
            Watch::begin(request, logger)
        })
        .collect();
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => return failed(&error, error.hint(), FAILED),
    };
    let stop = Stop::default();
    let limit = args.timeout.map_or(settings.archive_timeout, |timeout| timeout.0);
    thread::scope(|scope| {
        let mut watches = Vec::new();
        for watch in begun {
            let (stop, told) = (&stop, signals.end_of_thread());
            let go_on = move || {
                let _told = told;
                watch.go_on(stop, &SystemClock::start());
            };
            match thread::Builder::new().name("watch".to_owned()).spawn_scoped(scope, go_on) {
                Ok(handle) => watches.push(handle),
                Err(error) => {
                    stop.set();
                    return failed(&error, None, FAILED);
                }
            }
        }
        Supervisor { common, err, signals, board, loggers: &loggers, stop: &stop, limit }.go_on(watches)
    })
}

/// Looks after the threads that watch: signals, the service manager, and whether they go on.
struct Supervisor<'a> {
    common: &'a Common,
    err: Stderr,
    signals: &'a Signals,
    board: &'a Board,
    loggers: &'a [Logger<'a>],
    stop: &'a Stop,
    /// How long a file may take.
    limit: Duration,
}

/// A watch looks at its data directory at least so often; whatever takes longer than that and its limit hangs.
const QUIET_FOR: Duration = Duration::from_secs(20);

/// How often it is looked at whether the watches go on, where the service manager does not ask.
const SUPERVISED_EVERY: Duration = Duration::from_secs(30);

/// The same while they are told to end: a thread says that it ends a moment before it has.
const AT_AN_END: Duration = Duration::from_millis(50);

/// How far a supervisor has come.
#[derive(Default)]
struct Course {
    /// Since when the watches are told to end.
    stopping: Option<Duration>,
    /// What counts once they have ended.
    next: Option<Box<Settings>>,
    hangs: bool,
    told_status: String,
}

impl Supervisor<'_> {
    fn go_on(&self, watches: Vec<ScopedJoinHandle<'_, ()>>) -> Ended {
        let watchdog = sd_notify::watchdog_enabled();
        let asked = watchdog.map_or(SUPERVISED_EVERY, |interval| interval / 2);
        let every = asked.min(SUPERVISED_EVERY).min(self.limit).max(AT_AN_END);
        let clock = SystemClock::start();
        let mut course = Course::default();
        notify(&[NotifyState::Ready]);
        self.err.line(&LogLine::info("watching", self.watching()));
        while !watches.iter().all(ScopedJoinHandle::is_finished) {
            self.tell_status(&mut course.told_status);
            let at_most = if course.stopping.is_some() { AT_AN_END } else { every };
            if let Some(happening) = self.signals.wait(at_most) {
                self.follow(happening, &mut course, clock.elapsed());
            }
            if course.stopping.is_some_and(|since| clock.elapsed().saturating_sub(since) > self.limit) {
                self.err.error(&self.hanging());
                std::process::exit(FAILED.into());
            }
            self.look_for_a_hang(&mut course.hangs);
            if watchdog.is_some() && !course.hangs {
                notify(&[NotifyState::Watchdog]);
            }
        }
        let ends: Vec<_> = watches.into_iter().map(ScopedJoinHandle::join).collect();
        let sound = ends.iter().all(Result::is_ok);
        match course.next {
            _ if !sound => {
                let what = "cannot go on watching".to_owned();
                let causes = vec!["an internal error; please report it".to_owned()];
                self.err.error(&Failure { what, causes, hint: None });
                Ended::With(FAILED)
            }
            Some(new) => Ended::ToReload(new),
            None => Ended::With(0),
        }
    }

    fn follow(&self, happening: Happening, course: &mut Course, now: Duration) {
        match happening {
            Happening::Stop => {
                course.next = None;
                notify(&[NotifyState::Stopping]);
            }
            Happening::Reload if course.stopping.is_none() => {
                course.next = self.reload();
                if course.next.is_none() {
                    return;
                }
            }
            // The reload that is under way reads nothing again.
            Happening::Reload => return,
            // One that ended unasked was ended by a fault of ours, and the others end with it.
            Happening::ThreadEnds => {}
        }
        course.stopping = course.stopping.or(Some(now));
        self.stop.set();
    }

    fn look_for_a_hang(&self, hangs: &mut bool) {
        let hung = self.loggers.iter().any(|logger| logger.quiet_for() > self.limit + QUIET_FOR);
        if hung && !*hangs {
            self.err.error(&self.hanging());
        }
        *hangs = hung;
        self.board.set_hangs(hung);
    }

    fn tell_status(&self, told: &mut String) {
        let status = self.status();
        if status != *told {
            notify(&[NotifyState::Status(&status)]);
            *told = status;
        }
    }

    /// Reads the configuration again; one that makes no sense is told, and the old one stays.
    fn reload(&self) -> Option<Box<Settings>> {
        let refused = |error: &dyn std::error::Error, hint| {
            self.err.error(&Failure::new(OLD_ONE_STAYS.to_owned(), error, hint));
            None
        };
        let settings = match Settings::resolve(self.common, true) {
            Ok(settings) => settings,
            Err(error) => return refused(&error, error.hint()),
        };
        if let Err(error) = Meant::by(&settings) {
            return refused(&error, None);
        }
        if let Ok(at) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, at]);
        }
        self.err.line(&LogLine::info("reloaded", "the configuration is reloaded".to_owned()));
        Some(Box::new(settings))
    }

    fn watching(&self) -> String {
        let directories: Vec<String> =
            self.loggers.iter().map(|logger| format!("'{}'", logger.data_directory.display())).collect();
        format!("watching {}", directories.join(", "))
    }

    fn status(&self) -> String {
        let stored: u64 =
            self.loggers.iter().map(|logger| self.board.totals(&logger.data_directory).files).sum();
        format!("{}; {stored} files stored since the start", self.watching())
    }

    fn hanging(&self) -> Failure {
        let limit = self.limit;
        Failure {
            what: "cannot go on watching".to_owned(),
            causes: vec![format!(
                "no end after {limit:?}: the repository, or the file system of the data directory, does not answer"
            )],
            hint: Some("Nothing is lost: the server's own calls archive without a watch.".to_owned()),
        }
    }
}

/// Tells the service manager, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// Writes what a watch has to tell, and knows when it told something last.
struct Logger<'a> {
    data_directory: PathBuf,
    err: Stderr,
    board: &'a Board,
    clock: SystemClock,
    last_ms: AtomicU64,
}

impl<'a> Logger<'a> {
    fn new(data_directory: PathBuf, err: Stderr, board: &'a Board) -> Self {
        let (clock, last_ms) = (SystemClock::start(), AtomicU64::new(0));
        Self { data_directory, err, board, clock, last_ms }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn quiet_for(&self) -> Duration {
        let last = self.last_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.elapsed_ms().saturating_sub(last))
    }
}

impl Observer for Logger<'_> {
    fn progress(&self, _: Progress) {
        self.last_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn note(&self, note: &Note<'_>) {
        self.board.count(&self.data_directory, note);
        self.err.line(&LogLine::of(note, &self.data_directory));
    }

    fn looked(&self, look: Look) {
        self.board.looked(&self.data_directory, look);
    }
}

/// What a supervisor has to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happening {
    Stop,
    Reload,
    ThreadEnds,
}

/// The signals of a daemon, and one place to wait for them.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    thread_ends: Arc<AtomicBool>,
    /// Whatever happens writes a byte after that.
    happens: UnixStream,
    wakes: UnixStream,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let (happens, wakes) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (signal, flag) in [(SIGTERM, &stop), (SIGINT, &stop), (SIGHUP, &reload)] {
            // The flag is set before the byte is written: they are called in this order.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, wakes.try_clone()?)?;
        }
        Ok(Self { stop, reload, thread_ends: Arc::default(), happens, wakes })
    }

    /// Waits for a signal or the end of a thread, but no longer than that.
    fn wait(&self, at_most: Duration) -> Option<Happening> {
        let _ = self.happens.set_read_timeout(Some(at_most));
        // A byte for each of them; a few together count as one.
        let _ = (&self.happens).read(&mut [0; 64]);
        if self.stop.swap(false, Ordering::SeqCst) {
            Some(Happening::Stop)
        } else if self.reload.swap(false, Ordering::SeqCst) {
            Some(Happening::Reload)
        } else {
            self.thread_ends.swap(false, Ordering::SeqCst).then_some(Happening::ThreadEnds)
        }
    }

    /// Ends a wait when it is dropped.
    fn end_of_thread(&self) -> Option<EndOfThread> {
        Some(EndOfThread(Arc::clone(&self.thread_ends), self.wakes.try_clone().ok()?))
    }
}

struct EndOfThread(Arc<AtomicBool>, UnixStream);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        let _ = self.1.write(&[0]);
    }
}
