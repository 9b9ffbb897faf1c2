//! `watch`: what is pending is stored before its server asks, by a daemon that goes on whatever becomes of the data
//! directory and the repository.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use crate::support::*;

/// A running watch, killed with the test.
pub struct Daemon<'s> {
    scene: &'s Scene,
    child: Child,
    log: &'static str,
}

impl<'s> Daemon<'s> {
    pub fn start(scene: &'s Scene, args: &[&str]) -> Self {
        Self::of(scene, scene.call(&["watch", "-D", "."]).args(args))
    }

    pub fn of(scene: &'s Scene, call: Call) -> Self {
        Self::start_logging(scene, call, "log")
    }

    fn start_logging(scene: &'s Scene, call: Call, log: &'static str) -> Self {
        let file = File::create(scene.path(log)).unwrap();
        Self { scene, child: call.command().stderr(file).spawn().unwrap(), log }
    }

    pub fn log(&self) -> String {
        String::from_utf8(self.scene.read(self.log)).unwrap()
    }

    #[track_caller]
    pub fn until_told(&self, text: &str) {
        until(&format!("it says {text:?}"), || self.log().contains(text));
    }

    #[track_caller]
    pub fn until_stored(&self, names: &[&str]) {
        until(&format!("{names:?} are stored"), || self.scene.stored() == packed(names));
        // The name is there before it is durable and remembered.
        until("they are remembered", || {
            names.iter().all(|name| self.scene.path(format!("repo/.walkeep/stamps/{name}.json")).exists())
        });
    }

    /// The claim comes last: nothing is being written any more.
    #[track_caller]
    pub fn until_claimed(&self) {
        let claims = self.scene.path("repo/.walkeep/claims");
        let is_claim = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".json");
        until("the claim is written", || {
            fs::read_dir(&claims)
                .is_ok_and(|claims| claims.flatten().any(|claim| is_claim(claim.file_name())))
        });
    }

    pub fn signal(&self, signal: &str) {
        tool("kill", &["-s".as_ref(), signal.as_ref(), self.child.id().to_string().as_ref()]);
    }

    /// To what runs under strace.
    pub fn signal_traced(&self, signal: &str) {
        signal_child_of(self.child.id(), signal);
    }

    #[track_caller]
    fn ends(&mut self, code: i32) {
        assert_eq!(self.child.wait().unwrap().code(), Some(code), "{}", self.log());
    }

    #[track_caller]
    pub fn terminate(mut self) -> String {
        self.signal("TERM");
        self.ends(0);
        self.log()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Memory of its own. The pages of the program itself come and go with the load of the machine.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

#[allow(clippy::print_stderr, reason = "what a failed test wants to know")]
impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- it said\n{}---\nstored: {:?}", self.log(), self.scene.stored());
        }
        // What strace traces outlives it, and would hold the pipes of whoever runs the tests.
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        for pid in fs::read_to_string(children).unwrap_or_default().split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn packed(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name}.zst")).collect()
}

/// A segment that was written long ago becomes pending now.
pub fn offer(scene: &Scene, name: &str) {
    offer_bytes(scene, name, &segment(name));
}

fn offer_bytes(scene: &Scene, name: &str, bytes: &[u8]) {
    // It appears at once, for a watch that looks meanwhile must see no half of it.
    let path = scene.write(format!("elsewhere/{name}"), bytes);
    File::open(&path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(600)).unwrap();
    fs::rename(path, scene.path(format!("data/pg_wal/{name}"))).unwrap();
    scene.write(format!("data/pg_wal/archive_status/{name}.ready"), "");
}

fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

#[test]
fn what_is_pending_and_what_becomes_pending_is_stored_and_then_confirmed_without_reading() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS[..3].iter().for_each(|name| offer(&scene, name));
    let before = scene.listing("data");
    let daemon = Daemon::start(&scene, &["-v"]);
    daemon.until_stored(&SEGMENTS[..3]);
    assert_eq!(scene.listing("data"), before, "the marks are the server's");
    SEGMENTS[3..].iter().for_each(|name| offer(&scene, name));
    daemon.until_stored(&SEGMENTS);
    for name in SEGMENTS {
        let source = scene.shown(&format!("data/pg_wal/{name}"));
        let watch = ["-P", &source, "-e", "trace=openat"];
        let path = format!("pg_wal/{name}");
        scene.call_under_strace(&watch, &["archive", &path]).run().silent_success();
        assert_eq!(String::from_utf8(scene.read("strace.out")).unwrap(), "", "{name} was opened");
    }
    daemon.until_claimed();
    let log = daemon.terminate();
    assert_eq!((count(&log, "info: stored '"), count(&log, "warning")), (5, 0), "{log}");
    assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
}

/// Does something while a process on another host, whose lock is not seen from here, seems to be storing a file: to
/// whatever runs at the time that is handed over, it has written just now.
pub fn while_busy(scene: &Scene, name: &str, work: impl FnOnce(SystemTime)) {
    let left =
        scene.write(format!("repo/.walkeep/staging/{name}.0123456789abcdef.0123456789abcdef"), "half a file");
    work(changed_at(&left));
    fs::remove_file(left).unwrap();
}

#[test]
fn a_watch_leaves_a_file_to_the_process_that_is_storing_it_and_checks_it_again() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS.iter().for_each(|name| offer(&scene, name));
    let mut watch = None;
    while_busy(&scene, SEGMENTS[0], |now| {
        let call = scene.call(&["watch", "-D", ".", "-v", "-j", "1"]).at(now);
        let daemon = watch.insert(Daemon::of(&scene, call));
        daemon.until_stored(&SEGMENTS[1..]);
    });
    let watch = watch.unwrap();
    watch.until_stored(&SEGMENTS);
    watch.terminate();
}

#[test]
fn a_history_is_left_to_nobody_for_segments_follow_it() {
    let scene = Scene::with_repository("zstd");
    offer_bytes(&scene, HISTORY.0, &fixture(HISTORY.1));
    while_busy(&scene, HISTORY.0, |now| {
        let watch = Daemon::of(&scene, scene.call(&["watch", "-D", "."]).at(now));
        until("it is stored", || scene.stored().contains(&HISTORY.0.to_owned()));
        watch.terminate();
    });
}

#[test]
fn a_file_that_was_written_just_now_is_stored_once_it_has_rested() {
    let scene = Scene::with_repository("zstd");
    let daemon = Daemon::start(&scene, &[]);
    daemon.until_told("watching '");
    scene.offer_segments(&[SEGMENT]);
    daemon.until_stored(&[SEGMENT]);
    // Its stamp vouches for it.
    let watch = ["-P", &scene.shown(&format!("data/pg_wal/{SEGMENT}")), "-e", "trace=openat"];
    scene.call_under_strace(&watch, &["archive", &format!("pg_wal/{SEGMENT}")]).run().silent_success();
    assert_eq!(String::from_utf8(scene.read("strace.out")).unwrap(), "");
    daemon.terminate();
}

#[test]
fn a_file_that_fails_is_told_once_and_stops_no_other() {
    let scene = Scene::with_repository("zstd");
    let mut other = segment(SEGMENTS[0]);
    other[MIB / 2 + 100] ^= 0xFF;
    scene.offer(SEGMENTS[0], &other);
    scene.archive(SEGMENTS[0]).silent_success();
    // A conflict, a file that is not what its name says, an orphan, and what no server writes.
    offer(&scene, SEGMENTS[0]);
    offer_bytes(&scene, SEGMENTS[1], &segment(SEGMENTS[4]));
    scene.write(format!("data/pg_wal/archive_status/{}.ready", SEGMENTS[2]), "");
    scene.write("data/pg_wal/archive_status/foreign.ready", "");
    offer(&scene, SEGMENTS[3]);
    let daemon = Daemon::start(&scene, &["--log-format", "json"]);
    daemon.until_stored(&[SEGMENTS[0], SEGMENTS[3]]);
    daemon.until_told(SEGMENTS[2]);
    offer(&scene, SEGMENTS[4]);
    daemon.until_stored(&[SEGMENTS[0], SEGMENTS[3], SEGMENTS[4]]);
    // What mends is told, too.
    offer(&scene, SEGMENTS[1]);
    daemon.until_told("file_stored");
    let log = daemon.terminate();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = |event: &str| {
        let of = lines.iter().filter(|line| line["event"] == event);
        of.map(|line| line["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events("conflict"), [SEGMENTS[0]]);
    let mut failing = events("file_fails");
    failing.sort();
    assert_eq!(failing, [SEGMENTS[1], SEGMENTS[2]]);
    assert_eq!(events("file_stored"), [SEGMENTS[1]]);
    assert!(lines.iter().all(|line| line["at"].is_string() && line["level"].is_string()), "{log}");
}

#[test]
fn one_process_watches_a_data_directory_whatever_path_leads_to_it() {
    let scene = Scene::with_repository("zstd");
    symlink(scene.path("data"), scene.path("link")).unwrap();
    let mut daemon = Daemon::start(&scene, &[]);
    daemon.until_told("watching '");
    let link = scene.shown("link");
    scene.call(&["watch", "-D", &link]).run().refused(1, &["another walkeep watches"]);
    // The verbs that a server and people call go on.
    scene.offer_segments(&[SEGMENT]);
    scene.archive(SEGMENT).silent_success();
    let before = scene.listing("data");
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    let next = Daemon::of(&scene, scene.call(&["watch", "-D", &link]));
    next.until_told("watching '");
    next.terminate();
    assert_eq!(scene.listing("data"), before, "nothing is left in the data directory");
    scene.call(&["watch", "-D", ".", "-D", &link]).run().refused(1, &["another walkeep watches"]);
}

#[test]
fn several_data_directories_of_one_cluster_are_watched() {
    let scene = Scene::with_repository("zstd");
    scene.data_directory("standby", "15", &control_file_of(SYSTEM));
    offer(&scene, SEGMENTS[0]);
    let path = scene.write(format!("standby/pg_wal/{}", SEGMENTS[1]), segment(SEGMENTS[1]));
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    scene.write(format!("standby/pg_wal/archive_status/{}.ready", SEGMENTS[1]), "");
    let standby = scene.shown("standby");
    let daemon = Daemon::of(&scene, scene.call(&["-D", &scene.shown("data"), "watch", "-D", &standby]));
    daemon.until_stored(&SEGMENTS[..2]);
    daemon.terminate();
}

#[test]
fn a_data_directory_that_is_replaced_by_another_clusters_is_refused_in_one_line_and_watched_on() {
    let scene = Scene::with_repository("zstd");
    let data = scene.shown("data");
    let daemon = Daemon::of(&scene, scene.call(&["watch", "-D", &data]).cwd("/"));
    daemon.until_told("watching '");
    fs::rename(scene.path("data"), scene.path("old")).unwrap();
    daemon.until_told("warning: cannot look at");
    // It is there as a whole from one moment to the next.
    scene.data_directory("new", "15", &control_file_of(OTHER_SYSTEM));
    let of_other = of_system(segment(SEGMENTS[0]), OTHER_SYSTEM);
    let path = scene.write(format!("new/pg_wal/{}", SEGMENTS[0]), of_other);
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    scene.write(format!("new/pg_wal/archive_status/{}.ready", SEGMENTS[0]), "");
    fs::rename(scene.path("new"), scene.path("data")).unwrap();
    daemon.until_told(&format!("cause: the repository belongs to system identifier {SYSTEM}"));
    assert_eq!(scene.stored(), [""; 0]);
    fs::rename(scene.path("data"), scene.path("other")).unwrap();
    fs::rename(scene.path("old"), scene.path("data")).unwrap();
    offer(&scene, SEGMENTS[1]);
    daemon.until_stored(&[SEGMENTS[1]]);
    let log = daemon.terminate();
    assert_eq!(count(&log, "the repository belongs to system identifier"), 1, "{log}");
    assert!(log.contains("info: stores what is pending in"), "{log}");
}

#[test]
fn a_wal_directory_that_is_moved_behind_a_link_is_followed() {
    let scene = Scene::with_repository("zstd");
    let daemon = Daemon::start(&scene, &[]);
    daemon.until_told("watching '");
    tool("cp", &["-a".as_ref(), scene.path("data/pg_wal").as_ref(), scene.path("elsewhere/").as_ref()]);
    fs::remove_dir_all(scene.path("data/pg_wal")).unwrap();
    symlink(scene.path("elsewhere/pg_wal"), scene.path("data/pg_wal")).unwrap();
    offer(&scene, SEGMENTS[0]);
    daemon.until_stored(&SEGMENTS[..1]);
    offer(&scene, SEGMENTS[1]);
    daemon.until_stored(&SEGMENTS[..2]);
    daemon.terminate();
}

/// Lets two directories have each other's name, from one moment to the next.
fn exchange(one: &Path, other: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_repository_that_is_gone_is_told_once_and_stored_into_when_it_is_back() {
    let scene = Scene::with_repository("zstd");
    offer(&scene, SEGMENTS[0]);
    let daemon = Daemon::start(&scene, &[]);
    daemon.until_stored(&SEGMENTS[..1]);
    daemon.until_claimed();
    // As an unmounted mount point is: there, and empty.
    fs::create_dir(scene.path("away")).unwrap();
    exchange(&scene.path("repo"), &scene.path("away"));
    offer(&scene, SEGMENTS[1]);
    daemon.until_told("is not a walkeep repository");
    offer(&scene, SEGMENTS[2]);
    assert_eq!(scene.listing("repo"), [""; 0], "nothing is stored where no repository is");
    exchange(&scene.path("repo"), &scene.path("away"));
    daemon.until_stored(&SEGMENTS[..3]);
    let log = daemon.terminate();
    assert_eq!(count(&log, "warning: cannot store what is pending in"), 1, "{log}");
    assert_eq!(count(&log, "info: stores what is pending in"), 1, "{log}");
}

#[test]
fn a_repository_that_took_the_place_of_another_gets_what_is_pending() {
    let scene = Scene::with_repository("zstd");
    offer(&scene, SEGMENTS[0]);
    let daemon = Daemon::start(&scene, &[]);
    daemon.until_stored(&SEGMENTS[..1]);
    daemon.until_claimed();
    let next = scene.shown("next");
    scene.call(&["init", "-D", ".", "--repo", &next, "--compress", "zstd"]).run().prints(&[]);
    fs::rename(scene.path("repo"), scene.path("first")).unwrap();
    fs::rename(scene.path("next"), scene.path("repo")).unwrap();
    offer(&scene, SEGMENTS[1]);
    daemon.until_stored(&SEGMENTS[..2]);
    daemon.terminate();
}

#[test]
fn a_file_that_does_not_say_whose_it_is_is_held_against_the_cluster_that_has_the_directory_now() {
    let scene = Scene::with_repository("zstd");
    let backup = format!("{SEGMENT}.00000028.backup");
    scene.data_directory("other", "15", &control_file_of(OTHER_SYSTEM));
    let path = scene.write(format!("other/pg_wal/{backup}"), "of the other cluster");
    File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    offer(&scene, SEGMENT);
    offer_bytes(&scene, &backup, b"of this one");
    // The directory becomes another cluster's while the first of the two is read.
    let (data, source) = (scene.shown("data"), scene.shown(&format!("data/pg_wal/{SEGMENT}")));
    let stop = ["-P", &source, "-e", "trace=openat", "-e", "inject=openat:signal=STOP:when=1"];
    let call = scene.call_under_strace(&stop, &["watch", "-D", &data, "-j", "1"]).cwd("/");
    let daemon = Daemon::of(&scene, call);
    until("it has opened the segment, and stopped", || {
        scene.read_if_there("strace.out").is_some_and(|log| stopped_process(&log).is_some())
    });
    fs::rename(scene.path("data"), scene.path("old")).unwrap();
    fs::rename(scene.path("other"), scene.path("data")).unwrap();
    daemon.signal_traced("CONT");
    daemon.until_told(&format!("this is {OTHER_SYSTEM}"));
    daemon.until_told(&format!("warning: cannot archive '{backup}'"));
    daemon.signal_traced("TERM");
    let mut daemon = daemon;
    daemon.ends(0);
    assert_eq!(scene.stored(), [""; 0]);
}

#[test]
fn a_watch_may_begin_before_anything_else_is_there() {
    let scene = Scene::new();
    fs::rename(scene.path("data"), scene.path("later")).unwrap();
    let data = scene.shown("data");
    let daemon = Daemon::of(&scene, scene.call(&["watch", "-D", &data]).cwd("/"));
    daemon.until_told("warning: cannot look at");
    fs::rename(scene.path("later"), scene.path("data")).unwrap();
    daemon.until_told("warning: cannot store what is pending in");
    scene.init("zstd");
    offer(&scene, SEGMENT);
    daemon.until_stored(&[SEGMENT]);
    daemon.terminate();
}

#[test]
fn thresholds_are_told_when_they_are_crossed_and_a_reload_changes_them() {
    let scene = Scene::with_repository("zstd");
    let config = scene.write("walkeep.toml", "[gate]\nwarning = 3\ncritical = 100\n");
    SEGMENTS[..4].iter().for_each(|name| offer(&scene, name));
    let call = scene.call(&["watch", "-D", "."]).env("WALKEEP_CONFIG", &config);
    let daemon = Daemon::of(&scene, call);
    daemon.until_told("warning: 4 files of '");
    scene.write("walkeep.toml", "[gate]\nwarnings = 3\n");
    daemon.signal("HUP");
    daemon.until_told("error: cannot reload the configuration: the old one stays\n");
    daemon.until_told("hint: Is 'gate.warning' meant?");
    for name in &SEGMENTS[..4] {
        let status = |suffix| scene.path(format!("data/pg_wal/archive_status/{name}{suffix}"));
        fs::rename(status(".ready"), status(".done")).unwrap();
    }
    daemon.until_told("info: the backlog of '");
    scene.write("walkeep.toml", "[gate]\nwarning = 0\n");
    daemon.signal("HUP");
    daemon.until_told("info: the configuration is reloaded\n");
    offer(&scene, SEGMENTS[4]);
    daemon.until_told("warning: 1 files of '");
    let log = daemon.terminate();
    assert_eq!(count(&log, "are pending, more than"), 2, "{log}");
    assert_eq!(count(&log, "info: watching"), 2, "{log}");
}

#[test]
fn a_configuration_that_cannot_be_followed_leaves_the_old_one_where_it_is() {
    let scene = Scene::with_repository("zstd");
    scene.data_directory("other", "15", &control_file_of(SYSTEM));
    let (data, other) = (scene.shown("data"), scene.shown("other"));
    let pgdata = |data: &str| scene.write("walkeep.toml", format!("[cluster]\npgdata = '{data}'\n"));
    // Somebody else watches it.
    let elsewhere = Daemon::start_logging(&scene, scene.call(&["watch", "-D", &other]), "elsewhere.log");
    elsewhere.until_told("watching '");
    let call = scene.call(&["watch", "-v"]).env("WALKEEP_CONFIG", pgdata(&data)).cwd("/");
    let daemon = Daemon::of(&scene, call);
    daemon.until_told("watching '");
    for round in 1..3 {
        pgdata(&other);
        daemon.signal("HUP");
        until("it goes on", || count(&daemon.log(), &format!("info: watching '{data}'")) > round);
    }
    offer(&scene, SEGMENT);
    daemon.until_stored(&[SEGMENT]);
    elsewhere.terminate();
    daemon.signal("HUP");
    daemon.until_told(&format!("info: watching '{other}'"));
    let log = daemon.terminate();
    let told = format!(
        "error: cannot reload the configuration: the old one stays\ncause: another walkeep watches '{other}'\n"
    );
    assert_eq!(count(&log, &told), 2, "{log}");
}

#[test]
fn a_switch_of_timelines_is_told_and_its_history_is_stored_first() {
    let scene = Scene::with_repository("none");
    let daemon = Daemon::start(&scene, &["-v"]);
    // What it finds at its first look is no switch.
    offer(&scene, SEGMENT);
    daemon.until_told(&format!("info: stored '{SEGMENT}'"));
    offer_bytes(&scene, HISTORY.0, &fixture(HISTORY.1));
    daemon.until_told("goes on on timeline 2, it was on 1");
    daemon.until_told(&format!("info: stored '{}'", HISTORY.0));
    daemon.terminate();
}

#[test]
fn an_end_waits_for_the_files_under_way_and_no_longer_than_its_limit() {
    for (limit, goes_on) in [("7d", true), ("1s", false)] {
        // In an adopted archive a file gets its name under a lock.
        let scene = Scene::new();
        scene.write(format!("repo/{}", SEGMENTS[1]), segment(SEGMENTS[1]));
        scene.init("zstd");
        offer(&scene, SEGMENT);
        let lock = File::create(scene.path("repo/.walkeep/publish.lock")).unwrap();
        lock.lock().unwrap();
        let manager = UnixDatagram::bind(scene.path("notify")).unwrap();
        let call = scene.call(&["watch", "-D", ".", "--timeout", limit, "-j", "1"]);
        let mut daemon = Daemon::of(&scene, call.env("NOTIFY_SOCKET", scene.path("notify")));
        until("the file is under way", || {
            scene.listing("repo/.walkeep/staging").iter().any(|staged| staged.starts_with(SEGMENT))
        });
        // It may have been told to end before it was ready to hear that.
        daemon.until_told("watching '");
        daemon.signal("TERM");
        until_notified(&manager, "STOPPING=1");
        if goes_on {
            drop(lock);
            daemon.ends(0);
        } else {
            daemon.ends(1);
        }
        assert_eq!(scene.stored().contains(&format!("{SEGMENT}.zst")), goes_on);
        assert_eq!(daemon.log().contains("no end after 1s"), !goes_on, "{}", daemon.log());
    }
}

#[test]
fn an_idle_watch_asks_nothing_of_the_system_and_needs_little_memory() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS.iter().for_each(|name| offer(&scene, name));
    let daemon = Daemon::start(&scene, &["-j", "4"]);
    daemon.until_stored(&SEGMENTS);
    let trace = scene.path("idle.out");
    let pid = daemon.child.id().to_string();
    // One look of the timer may fall into a few seconds; on a slow machine the last of the work does as well.
    let calls_in_4_seconds = || {
        let mut strace = Command::new("timeout");
        strace.args(["4", "strace", "-f", "-qq", "-c", "-U", "name,calls", "-p", &pid, "-o"]).arg(&trace);
        let _ = strace.stderr(std::process::Stdio::null()).status().unwrap();
        let summary = fs::read_to_string(&trace).unwrap();
        let total = summary.lines().find(|line| line.trim_start().starts_with("total"));
        total.map_or(0, |line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap())
    };
    until("hardly a system call is made", || calls_in_4_seconds() < 150);
    let resident = daemon.resident_kib();
    assert!(resident < 16 << 10, "{resident} KiB are resident");
    daemon.terminate();
}

#[test]
fn descriptors_stay_flat_whatever_comes_and_goes() {
    let scene = Scene::with_repository("zstd");
    let data = scene.shown("data");
    let daemon = Daemon::of(&scene, scene.call(&["watch", "-v", "-D", &data]).cwd("/"));
    let mut first = None;
    for round in 0..6_u64 {
        let name = name_of(1, 0xA00 + round);
        offer_bytes(&scene, &name, &segment_as(1, 0xA00 + round));
        daemon.until_told(&format!("stored '{name}'"));
        // The data directory is another one, and the repository was away.
        tool("cp", &["-a".as_ref(), scene.path("data").as_ref(), scene.path("copy").as_ref()]);
        fs::remove_dir_all(scene.path("data")).unwrap();
        fs::rename(scene.path("copy"), scene.path("data")).unwrap();
        let name = name_of(1, 0xB00 + round);
        offer_bytes(&scene, &name, &segment_as(1, 0xB00 + round));
        daemon.until_told(&format!("stored '{name}'"));
        until("the descriptors of the batch are closed", || daemon.descriptors() <= first.unwrap_or(20));
        first.get_or_insert_with(|| daemon.descriptors() + 1);
    }
    daemon.terminate();
}

#[test]
fn where_no_events_are_to_be_had_the_timer_goes_on() {
    let scene = Scene::with_repository("zstd");
    let refuse = ["-e", "trace=inotify_init1", "-e", "inject=inotify_init1:error=EMFILE"];
    let daemon = Daemon::of(&scene, scene.call_under_strace(&refuse, &["watch", "-D", "."]));
    daemon.until_told("warning: no events come of");
    offer(&scene, SEGMENT);
    daemon.until_stored(&[SEGMENT]);
    assert_eq!(count(&daemon.log(), "no events come of"), 1);
    daemon.signal_traced("TERM");
    let mut daemon = daemon;
    daemon.ends(0);
}

#[test]
fn where_the_system_gives_no_threads_one_does_everything() {
    let scene = Scene::with_repository("zstd");
    SEGMENTS[..3].iter().for_each(|name| offer(&scene, name));
    // Each of its threads gets one and no other: the main one that which watches, and that which watches one to see
    // whether there are any; the crate that brings the events gets none.
    let refuse = ["-e", "trace=clone3", "-e", "inject=clone3:error=EAGAIN:when=2+"];
    let daemon = Daemon::of(&scene, scene.call_under_strace(&refuse, &["watch", "-D", ".", "-j", "4"]));
    daemon.until_stored(&SEGMENTS[..3]);
    daemon.until_told("warning: no events come of");
    daemon.signal_traced("TERM");
    let mut daemon = daemon;
    daemon.ends(0);
}

#[test]
fn the_system_is_asked_again_for_events_that_it_may_have_ceased_to_send() {
    let scene = Scene::with_repository("zstd");
    let trace = ["-e", "trace=inotify_add_watch"];
    let daemon = Daemon::of(&scene, scene.call_under_strace(&trace, &["watch", "-D", "."]));
    let asked = || count(&String::from_utf8_lossy(&scene.read("strace.out")), "inotify_add_watch(");
    until("it asks again", || scene.path("strace.out").exists() && asked() >= 2);
    daemon.signal_traced("TERM");
    let mut daemon = daemon;
    daemon.ends(0);
    assert!(!daemon.log().contains("no events"), "{}", daemon.log());
}

#[test]
fn more_events_than_the_system_keeps_hide_no_file() {
    let scene = Scene::with_repository("zstd");
    let daemon = Daemon::start(&scene, &[]);
    offer(&scene, SEGMENTS[0]);
    daemon.until_stored(&SEGMENTS[..1]);
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let most: usize = most.trim().parse().unwrap();
    daemon.signal("STOP");
    let junk = scene.path("data/pg_wal/archive_status/junk");
    for _ in 0..=most / 2 {
        drop(File::create(&junk).unwrap());
        fs::remove_file(&junk).unwrap();
    }
    // Its event is lost.
    offer(&scene, SEGMENTS[1]);
    daemon.signal("CONT");
    daemon.until_stored(&SEGMENTS[..2]);
    offer(&scene, SEGMENTS[2]);
    daemon.until_stored(&SEGMENTS[..3]);
    daemon.terminate();
}

fn notification(manager: &UnixDatagram) -> String {
    manager.set_read_timeout(Some(BOUND)).unwrap();
    let mut bytes = [0; 4096];
    // A process that was stopped for a while is told that its call was interrupted.
    let length = loop {
        match manager.recv(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received.unwrap(),
        }
    };
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn until_notified(manager: &UnixDatagram, text: &str) {
    while !notification(manager).contains(text) {}
}

#[test]
fn the_service_manager_is_told_that_it_is_ready_alive_reloading_and_stopping() {
    let scene = Scene::with_repository("zstd");
    let socket = UnixDatagram::bind(scene.path("notify")).unwrap();
    let call = scene.call(&["watch", "-D", "."]).env("NOTIFY_SOCKET", scene.path("notify"));
    let daemon = Daemon::of(&scene, call.env("WATCHDOG_USEC", "400000"));
    let until_told = |text: &str| until_notified(&socket, text);
    assert!(notification(&socket).starts_with("READY=1"));
    until_told("STATUS=watching '");
    until_told("WATCHDOG=1");
    until_told("WATCHDOG=1");
    daemon.signal("HUP");
    until_told("RELOADING=1\nMONOTONIC_USEC=");
    until_told("READY=1");
    offer(&scene, SEGMENT);
    until_told("1 files stored");
    daemon.signal("TERM");
    until_told("STOPPING=1");
    // Nobody reads any more: what it still says would fill the socket, and hold it up.
    drop(socket);
    daemon.terminate();
}

#[test]
fn what_cannot_be_watched_is_refused_at_once() {
    let scene = Scene::with_repository("zstd");
    scene.call(&["watch", "-D", "."]).without("WALKEEP_REPO").run().refused(2, &["no repository is named"]);
    let nowhere = scene.call(&["watch"]).cwd(scene.path("elsewhere"));
    nowhere.run().refused(2, &["no data directory is named"]);
    let config = scene.write("walkeep.toml", "[gate]\nwarning = 5\ncritical = 5\n");
    let call = scene.call(&["watch", "-D", "."]).env("WALKEEP_CONFIG", config);
    call.run().refused(2, &["the critical threshold 5 is not above the warning threshold 5"]);
    scene.call(&["watch", "-D", ".", "surplus"]).run().refused(2, &["surplus"]);
    scene.give_away("data");
    scene.call(&["watch", "-D", "."]).run().refused(1, &["this is the superuser"]);
}
