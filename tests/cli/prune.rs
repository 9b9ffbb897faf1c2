//! `walkeep prune`: what nobody needs goes, what anybody needs stays, and what is not known stops it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use walkeep::repository::{
    ClaimedSlot, Hold, KnownCheckpoint, NodeRole, Observation, Repository, SlotDirectory, SlotLife,
};
use walkeep::storage::DirectoryStore;
use walkeep::wal::{Lsn, SystemIdentifier, Timeline};

use crate::support::{
    MIB, OTHER_SYSTEM, Outcome, SYSTEM, Scene, control_file_of, fixture, name_of, seal, tool,
};

const LAST: u64 = 60;

/// The position of a 1 MiB segment's number.
fn start(number: u64) -> u64 {
    number * MIB as u64
}

/// A control file whose last checkpoint lies in a segment of a timeline.
fn control(timeline: u32, number: u64) -> Vec<u8> {
    let mut bytes = control_file_of(SYSTEM);
    bytes[32..40].copy_from_slice(&(start(number) + 0x60).to_le_bytes());
    bytes[40..48].copy_from_slice(&(start(number) + 0x28).to_le_bytes());
    bytes[48..52].copy_from_slice(&timeline.to_le_bytes());
    seal(&mut bytes, 288);
    bytes
}

/// A slot's state as PostgreSQL 15 writes it.
fn slot_state(name: &str, restart_lsn: u64, invalidated_at: u64) -> Vec<u8> {
    let mut bytes = fixture("15/running/slot_phys_reserved.state");
    bytes[16..80].fill(0);
    bytes[16..16 + name.len()].copy_from_slice(name.as_bytes());
    bytes[96..104].copy_from_slice(&restart_lsn.to_le_bytes());
    bytes[104..112].copy_from_slice(&invalidated_at.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A base backup's history; its file's name.
fn backup(scene: &Scene, timeline: u32, number: u64) -> String {
    let name = name_of(timeline, number);
    let at = start(number);
    let position = |offset: u64| format!("{:X}/{:X}", (at + offset) >> 32, (at + offset) & 0xFFFF_FFFF);
    let text = format!(
        "START WAL LOCATION: {} (file {name})\nSTOP WAL LOCATION: {} (file {name})\nCHECKPOINT LOCATION: {}\n",
        position(0x28),
        position(0x100),
        position(0x60),
    );
    let file = format!("{name}.00000028.backup");
    scene.write(format!("repo/{file}"), text);
    file
}

/// A plain repository of segments 1 to 60 of timeline 1, each with its digest, and a server that is at the end.
fn archive() -> Scene {
    let scene = Scene::with_repository("none");
    scene.write("data/global/pg_control", control(1, LAST));
    for number in 1..=LAST {
        store(&scene, 1, number);
    }
    scene
}

fn store(scene: &Scene, timeline: u32, number: u64) {
    let name = name_of(timeline, number);
    scene.write(format!("repo/{name}"), "not read");
    scene.write(format!("repo/{name}.sha256"), "not read");
}

fn slot(scene: &Scene, name: &str, restart_lsn: u64, invalidated_at: u64) {
    scene.write(format!("data/pg_replslot/{name}/state"), slot_state(name, restart_lsn, invalidated_at));
}

fn prune(scene: &Scene, args: &[&str]) -> Outcome {
    scene.call(&[&["prune"], args].concat()).run()
}

/// The numbers of the segments of timeline 1 that are stored.
fn numbers(scene: &Scene) -> Vec<u64> {
    let number = |name: &String| {
        let is_first = name.starts_with("00000001") && name.len() == 24;
        is_first.then(|| {
            u64::from_str_radix(&name[8..16], 16).unwrap() * 4096
                + u64::from_str_radix(&name[16..24], 16).unwrap()
        })
    };
    scene.stored().iter().filter_map(number).collect()
}

/// Prunes down to the earliest need, and says which segment is the first that is left, and what pinned it.
#[track_caller]
fn pinned(scene: &Scene, args: &[&str]) -> (u64, String) {
    let policy = ["--keep-segments", "1", "-o", "json"];
    let report = scene.call(&[&["prune"], &policy[..], args].concat()).run();
    assert_eq!(report.code, Some(0), "{report:#?}");
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let left = numbers(scene);
    assert_eq!(left, (left[0]..=LAST).collect::<Vec<_>>(), "what is left is the end");
    (left[0], report["pins"][0]["reason"].as_str().unwrap().to_owned())
}

fn with_repository<T>(scene: &Scene, act: impl FnOnce(&Repository<'_>) -> T) -> T {
    let store = DirectoryStore::new(scene.path("repo"));
    act(&Repository::open(&store).unwrap())
}

/// What a node on another host says: its checkpoint's timeline and segment, and a slot's position.
fn claim(scene: &Scene, node: &str, at: (u32, u64), slot: Option<u64>, seen_at: SystemTime) {
    record(scene, observation(node, at, slot, seen_at));
}

fn record(scene: &Scene, seen: Observation) {
    let day = Duration::from_secs(86_400);
    with_repository(scene, |repository| repository.record_claim(seen, day).unwrap());
}

fn observation(node: &str, at: (u32, u64), slot: Option<u64>, seen_at: SystemTime) -> Observation {
    let slot = slot.map(|position| ClaimedSlot {
        name: "far".into(),
        restart_lsn: Some(Lsn::new(position)),
        physical: true,
        persistency: SlotLife::Persistent,
        invalidated: false,
        directory: SlotDirectory { inode: 1, born_ns: None },
    });
    Observation {
        node: node.into(),
        machine_id: "elsewhere".into(),
        data_directory: "/far".into(),
        system_identifier: SystemIdentifier::new(SYSTEM),
        dialect: "postgresql".into(),
        falls_back: false,
        role: NodeRole::Standby,
        checkpoint: KnownCheckpoint {
            timeline: Timeline::new(at.0).unwrap(),
            checkpoint: Lsn::new(start(at.1) + 0x60),
            redo: Lsn::new(start(at.1) + 0x28),
            seen_at,
        },
        slots: slot.into_iter().collect(),
        backup_start: None,
    }
}

#[test]
fn a_claim_of_a_server_that_falls_back_keeps_the_checkpoint_before_the_last_one() {
    let now = SystemTime::now();
    for (falls_back, first, why) in [(false, 50, "redo"), (true, 40, "previous_redo")] {
        let scene = archive();
        for number in [40, 50] {
            record(&scene, Observation { falls_back, ..observation("node2", (1, number), None, now) });
        }
        assert_eq!(pinned(&scene, &[]), (first, why.to_owned()));
    }
}

fn hold(scene: &Scene, number: u64, until: Option<SystemTime>) {
    let hold = Hold {
        name: "audit".parse().unwrap(),
        from: Lsn::new(start(number) + 5),
        reason: "the auditors come".into(),
        until,
        created_at: SystemTime::now(),
        node: "node1".into(),
    };
    let add = |repository: &Repository<'_>| {
        let turn = repository.lock_removal().unwrap();
        repository.add_hold(&hold, &*turn).unwrap()
    };
    let _ = with_repository(scene, add);
}

/// What is done to a scene before the call.
type Change<'a> = &'a dyn Fn(&Scene);

/// Lets nobody remember what a data directory needed before.
fn forget_claims(scene: &Scene) {
    fs::remove_dir_all(scene.path("repo/.walkeep/claims")).unwrap();
}

#[test]
fn without_a_policy_nothing_goes_and_it_says_why() {
    let scene = archive();
    let before = scene.snapshot("repo");
    for args in [&[][..], &["--dry-run"], &["--keep-backups", "0"]] {
        prune(&scene, args)
            .prints(&["nothing is removed: no policy says that anything may go", "the last checkpoint of"]);
    }
    let report = scene.call(&["prune", "-o", "json"]).run().json();
    assert_eq!((&report["standing"], &report["removed_files"]), (&"no_policy".into(), &0.into()));
    let mut after = scene.snapshot("repo");
    let is_claim_or_lock = |name: &str| name == ".walkeep/lock" || name.starts_with(".walkeep/claims/");
    after.retain(|(name, ..)| !is_claim_or_lock(name));
    assert!(after == before);
}

#[test]
fn what_lies_before_the_horizon_goes_with_its_digests_and_nothing_else() {
    let scene = archive();
    scene.write("repo/00000002.history", "1\t0/3C00000\tno recovery target specified\n");
    scene.write("data/global/pg_control", control(2, LAST));
    scene.write("repo/README", "not ours");
    let report = prune(&scene, &["--keep-segments", "10"]);
    report.prints(&[
        "50 files are removed, 11 stay",
        "pinned by   0/3300000",
        "the newest 10 segments are kept",
    ]);
    assert_eq!(numbers(&scene), (51..=60).collect::<Vec<_>>());
    let stored = scene.stored();
    assert_eq!(
        stored.len(),
        22,
        "ten segments with their digests, a history, and what is not ours: {stored:?}"
    );
    prune(&scene, &["--keep-segments", "10"]).prints(&["0 files are removed, 11 stay"]);
}

#[test]
fn each_need_of_a_data_directory_pins_from_its_own_position() {
    let kinds: [(&str, Change<'_>, u64); 6] = [
        ("redo", &|scene| drop(scene.write("data/global/pg_control", control(1, 41))), 41),
        ("slot", &|scene| slot(scene, "standby1", start(12) + 7, 0), 12),
        ("unreserved_slot", &|scene| slot(scene, "fresh", 0, 0), 60),
        (
            "running_backup",
            &|scene| {
                let label = "START WAL LOCATION: 0/1500028 (file 000000010000000000000015)\n\
                         CHECKPOINT LOCATION: 0/1500060\n";
                scene.write("data/backup_label", label);
            },
            0x15,
        ),
        (
            "running_backup",
            &|scene| {
                let mut bytes = control(1, LAST);
                bytes[152..160].copy_from_slice(&(start(33) + 0x28).to_le_bytes());
                seal(&mut bytes, 288);
                scene.write("data/global/pg_control", bytes);
            },
            33,
        ),
        ("keep_segments", &|scene| slot(scene, "lost", 0, start(3)), 60),
    ];
    for (reason, need, first) in kinds {
        let scene = archive();
        need(&scene);
        let (left, why) = pinned(&scene, &[]);
        assert_eq!(left, first, "{reason}");
        assert!(first == LAST || why == reason, "{reason}: {why}");
    }
}

#[test]
fn each_need_in_the_repository_pins_from_its_own_position() {
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    let kinds: [(&str, Change<'_>, u64); 7] = [
        ("redo", &|scene| claim(scene, "node2", (1, 44), None, now), 44),
        ("slot", &|scene| claim(scene, "node2", (1, 44), Some(start(22)), now), 22),
        (
            "departed_slot",
            &|scene| {
                claim(scene, "node2", (1, 44), Some(start(22)), now - Duration::from_secs(5));
                claim(scene, "node2", (1, 44), None, now);
            },
            22,
        ),
        ("redo", &|scene| claim(scene, "node2", (1, 44), None, now - 40 * day), 44),
        ("hold", &|scene| hold(scene, 17, None), 17),
        ("hold", &|scene| hold(scene, 18, Some(now + day)), 18),
        (
            "newest_backup",
            &|scene| {
                backup(scene, 1, 8);
                backup(scene, 1, 25);
            },
            25,
        ),
    ];
    for (reason, need, first) in kinds {
        let scene = archive();
        need(&scene);
        assert_eq!(pinned(&scene, &[]), (first, reason.to_owned()));
    }
}

#[test]
fn base_backups_are_kept_by_number_and_go_before_their_beginning() {
    let scene = archive();
    let backups = [5, 20, 40].map(|number| backup(&scene, 1, number));
    prune(&scene, &["--keep-backups", "4"])
        .prints(&["0 files are removed", "4 base backups are to be kept, and there are 3"]);
    prune(&scene, &["--keep-backups", "2"]).prints(&["20 files are removed", "the newest 2 are kept"]);
    assert_eq!(numbers(&scene)[0], 20);
    let stored = scene.stored();
    assert_eq!(backups.map(|file| stored.contains(&file)), [false, true, true]);
    assert_eq!(pinned(&scene, &["--keep-backups", "0"]).0, 60);
}

#[test]
fn a_base_backup_that_is_stored_in_two_forms_counts_once() {
    let scene = archive();
    let [_, newest] = [20, 40].map(|number| backup(&scene, 1, number));
    let newest = scene.path(format!("repo/{newest}"));
    tool("gzip", &["--keep".as_ref(), newest.as_os_str()]);
    prune(&scene, &["--keep-backups", "2"]).prints(&["19 files are removed"]);
    assert_eq!(numbers(&scene)[0], 20);
}

#[test]
fn days_are_counted_back_from_the_newest_stored_file() {
    let scene = archive();
    let long_ago = SystemTime::now() - Duration::from_secs(400 * 86_400);
    for number in 1..=LAST {
        let at = long_ago + Duration::from_secs(number * 86_400);
        let file = fs::File::options().write(true).open(scene.path(format!("repo/{}", name_of(1, number))));
        file.unwrap().set_modified(at).unwrap();
    }
    prune(&scene, &["--keep-days", "10"])
        .prints(&["49 files are removed, 11 stay", "the last 10 days are kept"]);
    assert_eq!(numbers(&scene)[0], 50, "a year of standstill empties no archive");
}

#[test]
fn bytes_are_counted_back_from_the_end() {
    let scene = archive();
    prune(&scene, &["--keep-size", "80"]).prints(&["50 files are removed, 10 stay"]);
}

#[test]
fn parts_of_a_policy_keep_what_any_of_them_keeps() {
    let scene = archive();
    prune(&scene, &["--keep-segments", "5", "--keep-size", "160"]).prints(&["40 files are removed, 20 stay"]);
    scene.write("walkeep.toml", "[prune]\nkeep_segments = 15\nnodes = []\nslot_grace = \"1h\"\n");
    let config = scene.shown("walkeep.toml");
    prune(&scene, &["--config", &config, "--keep-size", "1"]).prints(&["5 files are removed, 15 stay"]);
    prune(&scene, &["--config", &config, "--keep-segments", "3"]).prints(&["12 files are removed, 3 stay"]);
}

#[test]
fn a_node_that_may_still_be_rewound_keeps_its_last_checkpoint_before_the_fork() {
    let scene = archive();
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    for (hours, number) in [(5, 20), (4, 30), (3, 40)] {
        claim(&scene, "old", (1, number), None, now - hours * hour);
    }
    store(&scene, 2, 35);
    store(&scene, 2, 36);
    scene.write("repo/00000002.history", "1\t0/2300000\tno recovery target specified\n");
    scene.write("data/global/pg_control", control(2, 36));
    assert_eq!(pinned(&scene, &[]), (30, "rewind".to_owned()));
    // It comes back as a standby.
    claim(&scene, "old", (2, 36), None, now);
    prune(&scene, &["--keep-segments", "1"]).prints(&["the last checkpoint of old"]);
    assert_eq!(numbers(&scene)[0], 36);
}

#[test]
fn where_no_checkpoint_before_the_fork_is_known_nothing_goes() {
    let scene = archive();
    store(&scene, 2, 35);
    scene.write("repo/00000002.history", "1\t0/2300000\tno recovery target specified\n");
    let before = scene.stored();
    prune(&scene, &["--keep-segments", "1"])
        .code(0)
        .says(&["warning: nothing goes while a node may have to be rewound", "set-aside 00000002.history"])
        .tells("0 files are removed");
    assert_eq!(scene.stored(), before);
    // What is told to be typed can be typed, with a history and without.
    for (typed, left) in [("00000002.history", name_of(2, 35)), (&name_of(2, 35), String::new())] {
        let _ = scene.call(&["set-aside", typed, "--reason", "only tried"]).run().code(0);
        let told = prune(&scene, &["--keep-segments", "1", "--dry-run"]).code(0);
        assert_eq!(told.stderr.contains(&format!("set-aside {left}")), !left.is_empty(), "{told:#?}");
    }
    // Of that timeline nothing is stored: it is a node that is on it.
    claim(&scene, "tried", (2, 36), None, SystemTime::now());
    prune(&scene, &["--keep-segments", "1"]).says(&["warning: nothing goes", "claim remove NODE"]);
    let _ = scene.call(&["claim", "remove", "tried"]).run().code(0);
    prune(&scene, &["--keep-segments", "1"]).code(0).tells("59 files are removed");
}

#[test]
fn a_standby_that_repmgr_cloned_is_no_base_backup_that_is_kept() {
    let scene = archive();
    for number in [20, 30, 40] {
        let file = scene.path("repo").join(backup(&scene, 1, number));
        let label = if number == 40 { "repmgr base backup" } else { "pg_basebackup base backup" };
        let text = fs::read_to_string(&file).unwrap() + &format!("LABEL: {label}\n");
        fs::write(&file, text).unwrap();
    }
    prune(&scene, &["--keep-backups", "2", "--dry-run"]).tells("the newest 2 are kept");
    assert_eq!(pinned(&scene, &["--keep-backups", "2"]), (20, "keep_backups".to_owned()));
    prune(&scene, &["--keep-backups", "3"]).tells("1 of 'repmgr standby clone' do not count");
}

#[test]
fn a_slot_that_is_dropped_and_made_again_still_pins_what_it_held() {
    let scene = archive();
    slot(&scene, "standby1", start(12) + 7, 0);
    assert_eq!(pinned(&scene, &[]), (12, "slot".to_owned()));
    fs::remove_dir_all(scene.path("data/pg_replslot/standby1")).unwrap();
    assert_eq!(pinned(&scene, &[]), (12, "departed_slot".to_owned()));
    slot(&scene, "standby1", 0, 0);
    assert_eq!(pinned(&scene, &[]), (12, "departed_slot".to_owned()));
}

/// Two data directories of one host, one of them behind the other, and who claims for them by what name.
fn two_nodes_of_one_host(names: [&str; 2], checkpoints: [u64; 2]) {
    let scene = archive();
    scene.data_directory("second", "15", &control(1, LAST));
    let nodes = [("data", names[0], checkpoints[0]), ("second", names[1], checkpoints[1])];
    // The second round would overwrite what it took for its own.
    for (directory, name, checkpoint) in nodes.iter().chain(&nodes) {
        scene.write(format!("{directory}/global/pg_control"), control(1, *checkpoint));
        let claim = scene.call(&["claim", "--node", name]);
        claim.cwd(scene.path(directory)).run().prints(&[]);
    }
    let plan = scene.call(&["prune", "--keep-segments", "1", "-o", "json"]);
    let report = plan.cwd(scene.path("elsewhere")).run().json();
    let told = |(directory, name, checkpoint): (&str, &str, u64)| {
        let path = fs::canonicalize(scene.path(directory)).unwrap();
        let which = if names[0] == names[1] { format!(" ('{}')", path.display()) } else { String::new() };
        (start(checkpoint) + 0x28, format!("the last checkpoint of {name}{which}"))
    };
    let mut expected = nodes.map(told);
    expected.sort();
    let pins = report["pins"].as_array().unwrap().iter().filter(|pin| pin["reason"] == "redo");
    let pins: Vec<(u64, String)> = pins
        .map(|pin| {
            let from: Lsn = pin["from"].as_str().unwrap().parse().unwrap();
            (from.get(), pin["description"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(pins, expected);
    assert_eq!(numbers(&scene)[0], checkpoints[0].min(checkpoints[1]));
}

#[test]
fn two_nodes_of_one_host_have_a_claim_each_and_both_pin() {
    // Nodes that nobody names bear the name of their host.
    for names in [["host", "host"], ["node1", "node2"]] {
        two_nodes_of_one_host(names, [30, 40]);
        two_nodes_of_one_host(names, [40, 30]);
    }
}

#[test]
fn a_node_on_a_machine_that_was_cloned_is_not_taken_for_the_one_that_prunes() {
    let scene = archive();
    let machine_id = fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
    let data_directory = fs::canonicalize(scene.path("data")).unwrap().display().to_string();
    let standby = observation("clone", (1, 16), None, SystemTime::now());
    record(&scene, Observation { machine_id, data_directory, ..standby });
    assert_eq!(pinned(&scene, &["-D", "."]), (16, "redo".to_owned()));
    assert_eq!(pinned(&scene, &["-D", "."]), (16, "redo".to_owned()));
}

#[test]
fn several_data_directories_are_all_asked() {
    let scene = archive();
    scene.data_directory("standby", "15", &control(1, 16));
    scene.write("data/global/pg_control", control(1, 50));
    let standby = scene.shown("standby");
    assert_eq!(pinned(&scene, &["-D", ".", "-D", &standby]).0, 16);
    // Before and behind the verb.
    for args in [["-D", &standby, "prune", "-D", "."], ["-D", ".", "prune", "-D", &standby]] {
        let outcome = scene.call(&args).args(&["--keep-segments", "1"]).run();
        outcome.prints(&["0 files are removed", "of '", "standby'"]);
    }
    forget_claims(&scene);
    assert_eq!(pinned(&scene, &["-D", "."]).0, 50);
    scene
        .call(&["verify", "-D", ".", "-D", &standby])
        .run()
        .refused(2, &["more than one data directory is named"]);
}

#[test]
fn the_oldest_file_of_a_server_is_one_more_pin_and_never_an_order() {
    let scene = archive();
    slot(&scene, "standby1", start(12), 0);
    prune(&scene, &[&name_of(1, 30)]).silent_success();
    assert_eq!(numbers(&scene)[0], 12);
    fs::remove_dir_all(scene.path("data/pg_replslot/standby1")).unwrap();
    forget_claims(&scene);
    prune(&scene, &["000000000000000000000000"]).silent_success();
    assert_eq!(numbers(&scene)[0], 12);
    for (oldest, first) in [
        (name_of(1, 20), 20),
        (format!("{}.partial", name_of(1, 25)), 25),
        (format!("{}.00000028.backup", name_of(1, 28)), 28),
        (name_of(3, 30), 30),
        (name_of(1, 10), 30),
    ] {
        prune(&scene, &[&oldest]).silent_success();
        assert_eq!(numbers(&scene)[0], first, "{oldest}");
    }
    prune(&scene, &[&name_of(1, 40), "--keep-segments", "25"]).silent_success();
    assert_eq!(numbers(&scene)[0], 36);
}

#[test]
fn what_is_no_file_or_no_number_is_a_usage_error() {
    let scene = archive();
    let before = scene.stored();
    for args in [
        &["00000002.history"][..],
        &["%r"],
        &[""],
        &["00000001000000000000001"],
        &["--keep-days", "0"],
        &["--keep-segments", "0"],
        &["--keep-segments", "-1"],
        &["--keep-size", "1GB"],
        &["--keep-backups"],
    ] {
        prune(&scene, args).refused(2, &["error: "]);
    }
    for line in ["keep_days = 0", "nodes = \"node1\"", "nodes = [1]", "slot_grace = 1", "keep = 1"] {
        scene.write("walkeep.toml", format!("[prune]\n{line}\n"));
        prune(&scene, &["--config", &scene.shown("walkeep.toml")]).refused(2, &["prune."]);
    }
    assert_eq!(scene.stored(), before);
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let scene = archive();
    slot(&scene, "standby1", start(12), 0);
    let before = scene.snapshot("");
    prune(&scene, &["--keep-segments", "10", "--dry-run"]).prints(&[
        "11 files would go (88 B), 49 would stay; nothing was changed",
        "horizon     0/C00000",
        "pinned by   0/C00000     slot 'standby1' of",
        "also by     0/3300000    the newest 10 segments are kept",
        "timeline 1  11 would go (000000010000000000000001..00000001000000000000000B), 49 stay, from \
         00000001000000000000000C on",
    ]);
    let report = prune(&scene, &["--keep-segments", "10", "-n", "-o", "json"]).json();
    assert_eq!(report["schema"], 1);
    assert_eq!((&report["dry_run"], &report["bytes"]), (&true.into(), &88.into()));
    assert_eq!((&report["removed_files"], &report["kept_files"]), (&11.into(), &49.into()));
    assert_eq!(report["pins"][0]["reason"], "slot");
    assert_eq!(report["timelines"][0]["last_removed"], "00000001000000000000000B");
    assert!(scene.snapshot("") == before);
}

#[test]
fn a_second_prune_is_refused_at_once() {
    let scene = archive();
    let lock = scene.path("repo/.walkeep/lock");
    let mut holder = Command::new("flock");
    holder.arg(&lock).args(["sh", "-c", "echo locked; read x"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut said = [0; 7];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    prune(&scene, &["--keep-segments", "1"]).refused(1, &["another prune is at work", "hint: "]);
    assert_eq!(numbers(&scene).len(), 60);
    prune(&scene, &["--keep-segments", "1", "-n"]).prints(&["59 files would go"]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    prune(&scene, &["--keep-segments", "1"]).prints(&["59 files are removed"]);
    assert!(lock.exists(), "a lock file is never unlinked");
}

#[test]
fn what_cannot_be_read_or_makes_no_sense_is_named_and_nothing_goes() {
    let faults: [(&str, Change<'_>); 13] = [
        ("nobody knows what slot 'bad' holds", &|scene| drop(scene.write("data/pg_replslot/bad/state", "x"))),
        ("nobody knows what slot 'bad' holds", &|scene| drop(scene.write("data/pg_replslot/bad/x", ""))),
        ("it is the state of slot 'other'", &|scene| {
            scene.write("data/pg_replslot/bad/state", slot_state("other", 1, 0));
        }),
        ("pg_replslot'", &|scene| fs::remove_dir_all(scene.path("data/pg_replslot")).unwrap()),
        ("global/pg_control'", &|scene| drop(scene.write("data/global/pg_control", [0; 8192]))),
        ("backup_label'", &|scene| drop(scene.write("data/backup_label", "START WAL LOCATION: 0/1"))),
        ("backup_label'", &|scene| fs::create_dir(scene.path("data/backup_label")).unwrap()),
        ("cannot tell where the base backup of", &|scene| {
            scene.write("repo/000000010000000000000009.00000028.backup", "nonsense");
        }),
        ("00000002.history' is damaged", &|scene| drop(scene.write("repo/00000002.history", "nonsense"))),
        ("claims/node2-0123456789ab.json'", &|scene| {
            scene.write("repo/.walkeep/claims/node2-0123456789ab.json", "{}");
        }),
        ("holds/audit.json'", &|scene| drop(scene.write("repo/.walkeep/holds/audit.json", "{\"name\":"))),
        ("the repository belongs to system identifier", &|scene| {
            scene.write("data/global/pg_control", control_file_of(OTHER_SYSTEM));
        }),
        ("identity.json'", &|scene| drop(scene.write("repo/.walkeep/identity.json", "{}"))),
    ];
    for (says, fault) in faults {
        let scene = archive();
        fault(&scene);
        let before = scene.stored();
        prune(&scene, &["--keep-segments", "1"]).refused(1, &["error: cannot prune the repository", says]);
        prune(&scene, &["--keep-segments", "1", "-n"]).refused(1, &[says]);
        assert_eq!(scene.stored(), before);
    }
}

#[test]
fn a_listed_node_without_a_claim_stops_it_and_a_stale_claim_is_told() {
    let scene = archive();
    scene.write("walkeep.toml", "[prune]\nnodes = [\"node2\", \"node3\"]\nkeep_segments = 1\n");
    let config = scene.shown("walkeep.toml");
    let now = SystemTime::now();
    claim(&scene, "node3", (1, 59), None, now);
    prune(&scene, &["--config", &config]).refused(1, &["no claim is there of 'node2'", "walkeep claim"]);
    assert_eq!(numbers(&scene).len(), 60);
    claim(&scene, "node2", (1, 50), None, now - Duration::from_secs(49 * 3600));
    let outcome = prune(&scene, &["--config", &config]).code(0);
    let outcome = outcome.says(&[
        "warning: the claim of 'node2' is 49 hours old",
        "run 'walkeep claim' there from cron",
        "walkeep claim remove node2",
    ]);
    assert!(outcome.stdout.contains("49 files are removed"), "{outcome:#?}");
}

#[test]
fn a_hold_that_has_ended_holds_nothing_and_is_told() {
    let scene = archive();
    hold(&scene, 17, Some(SystemTime::now() - Duration::from_secs(3600)));
    let outcome = prune(&scene, &["--keep-segments", "1"]).code(0).says(&["hold 'audit' has ended"]);
    assert!(outcome.stdout.contains("59 files are removed"), "{outcome:#?}");
}

#[test]
fn who_knows_of_no_node_is_told_so() {
    let scene = archive();
    let outcome = scene.call(&["prune", "--keep-segments", "1"]).cwd(scene.path("elsewhere")).run().code(0);
    let outcome = outcome.says(&["no data directory is named and no node has claimed what it needs"]);
    assert!(outcome.stdout.contains("59 files are removed"), "{outcome:#?}");
}

#[test]
fn a_servers_own_directories_are_never_pruned() {
    let scene = archive();
    for (place, what) in [("data", "a data directory"), ("data/pg_wal", "a live WAL directory")] {
        tool("cp", &["-r".as_ref(), scene.path("repo/.walkeep").as_ref(), scene.path(place).as_ref()]);
        scene.write(format!("{place}/{}", name_of(1, 1)), "x");
        let repo = scene.shown(place);
        prune(&scene, &["--keep-segments", "1", "--repo", &repo]).refused(1, &[what]);
        assert!(scene.path(place).join(name_of(1, 1)).exists());
    }
    symlink(scene.path("data/pg_wal"), scene.path("link")).unwrap();
    let repo = scene.shown("link");
    prune(&scene, &["--keep-segments", "1", "--repo", &repo]).refused(1, &["a live WAL directory"]);
}

#[test]
fn what_only_looks_like_a_stored_file_is_left_alone() {
    let scene = archive();
    let link = scene.path(format!("repo/{}.zst", name_of(1, 2)));
    symlink(scene.path("data/PG_VERSION"), &link).unwrap();
    fs::create_dir(scene.path(format!("repo/{}.gz", name_of(1, 3)))).unwrap();
    for name in
        ["000000010000000000000004.bak", "00000001000000000000000a", "x.sha256", "0000000100000000FFFFFFFF"]
    {
        scene.write(format!("repo/{name}"), "x");
    }
    prune(&scene, &["--keep-segments", "10"]).prints(&["50 files are removed, 11 stay"]);
    let names: Vec<String> =
        scene.stored().into_iter().filter(|name| name.len() != 24 && !name.ends_with(".sha256")).collect();
    let (link, folder) = (format!("{}.zst", name_of(1, 2)), format!("{}.gz/", name_of(1, 3)));
    assert_eq!(names, [link, folder, "000000010000000000000004.bak".into()]);
    assert!(scene.stored().contains(&"x.sha256".to_owned()));
    assert!(scene.stored().contains(&"0000000100000000FFFFFFFF".to_owned()), "no segment of this size");
    assert_eq!(scene.read("data/PG_VERSION"), b"15\n");
}

#[test]
fn both_forms_of_a_file_go_together_and_orphan_digests_before_the_horizon_with_them() {
    let scene = archive();
    scene.write(format!("repo/{}.zst", name_of(1, 2)), "x");
    for number in [1, 58] {
        scene.remove(format!("repo/{}", name_of(1, number)));
    }
    let report = prune(&scene, &["--keep-segments", "10"]);
    report.prints(&["49 files are removed, 10 stay", "digests     1 of files that are gone went"]);
    let is_old = |name: &&String| name.as_str() < name_of(1, 50).as_str();
    assert_eq!(scene.stored().iter().filter(is_old).collect::<Vec<_>>(), [""; 0]);
    assert!(scene.stored().contains(&format!("{}.sha256", name_of(1, 58))), "a listing is no moment");
}

#[test]
fn what_was_remembered_of_files_that_are_gone_is_forgotten() {
    let scene = Scene::with_repository("zstd");
    for number in [4094, 4095, 4097] {
        scene.store(&name_of(1, number), crate::support::segment_as(1, number));
    }
    scene.write("data/global/pg_control", control(1, 4097));
    scene.call(&["verify"]).run();
    let stamps = || fs::read_dir(scene.path("repo/.walkeep/stamps")).unwrap().count();
    let marks = || scene.listing("repo/.walkeep/verified").len();
    let (stamps_before, marks_before) = (stamps(), marks());
    prune(&scene, &["--keep-segments", "1"]).prints(&["2 files are removed"]);
    assert_eq!(
        (stamps_before - stamps(), marks_before - marks()),
        (stamps_before.saturating_sub(stamps()), 1)
    );
    let left: Vec<_> = fs::read_dir(scene.path("repo/.walkeep/stamps")).unwrap().collect();
    assert!(left.iter().all(|entry| {
        !entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(&name_of(1, 4094)[..16])
    }));
}

#[test]
fn a_file_that_does_not_go_stops_it_and_the_next_run_goes_on() {
    let scene = archive();
    let how = ["-e", "trace=unlink,unlinkat", "-e", "inject=unlink,unlinkat:error=EIO:when=8"];
    let outcome = scene.call_under_strace(&how, &["prune", "--keep-segments", "10"]).run();
    outcome.refused(1, &["stopped after 7 files", "cannot remove '", "Input/output error", "hint: "]);
    // Each digest before its file: three of both, and the digest of the fourth.
    assert_eq!(numbers(&scene), (4..=60).collect::<Vec<_>>());
    assert!(!scene.stored().contains(&format!("{}.sha256", name_of(1, 4))));
    prune(&scene, &["--keep-segments", "10"]).prints(&["47 files are removed, 10 stay"]);
}

#[test]
fn a_prune_that_is_killed_leaves_the_end_of_the_archive_and_the_next_one_goes_on() {
    let scene = archive();
    for (when, first) in [(1, 1), (6, 3), (60, 30)] {
        let inject = format!("inject=unlink,unlinkat:signal=KILL:when={when}");
        let how = ["-e", "trace=unlink,unlinkat", "-e", &inject];
        scene.call_under_strace(&how, &["prune", "--keep-segments", "10"]).run();
        let left = numbers(&scene);
        assert!(left[0] >= first && left[0] < 51, "{left:?}");
        assert_eq!(left, (left[0]..=60).collect::<Vec<_>>());
    }
    prune(&scene, &["--keep-segments", "10"]).prints(&["10 stay"]);
}

#[test]
fn the_superuser_removes_nothing_from_another_users_repository() {
    let scene = archive();
    scene.give_away("repo");
    prune(&scene, &["--keep-segments", "1"]).refused(1, &["the repository", "belongs to nobody", "hint: "]);
    prune(&scene, &["--keep-segments", "1", "-n"]).prints(&["59 files would go"]);
    assert_eq!(numbers(&scene).len(), 60);
}

#[test]
fn what_is_no_repository_is_refused() {
    let scene = Scene::new();
    prune(&scene, &["--keep-segments", "1"]).refused(1, &["is not a walkeep repository", "hint: "]);
    let call = scene.call(&["prune", "--keep-segments", "1"]).without("WALKEEP_REPO");
    call.run().refused(2, &["no repository is named"]);
    scene.call(&["init"]).cwd(scene.path("elsewhere")).run().prints(&[]);
    let call = scene.call(&["prune", "--keep-segments", "1"]).cwd(scene.path("elsewhere"));
    call.run().prints(&["nothing is stored"]);
}

// ---- status, gate and doctor

#[test]
fn a_dead_branch_does_not_hide_how_fast_the_repository_grows() {
    let scene = archive();
    store(&scene, 2, 5);
    let hour = Duration::from_secs(3600);
    let archived = |name: String, ago: Duration| {
        let file = fs::File::options().write(true).open(scene.path(format!("repo/{name}"))).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
    };
    (1..=LAST).for_each(|number| archived(name_of(1, number), hour * 2));
    archived(name_of(2, 5), hour * 24 * 10);
    let status = scene.call(&["status", "-o", "json"]).run();
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["retention"]["bytes_a_day"], LAST * "not read".len() as u64, "{status:#}");
}

#[test]
fn status_gate_and_doctor_say_who_holds_the_horizon_and_what_a_prune_would_free() {
    let scene = archive();
    slot(&scene, "down", start(10), 0);
    scene.write("walkeep.toml", "[prune]\nkeep_segments = 20\n");
    let config = &scene.shown("walkeep.toml");
    let told = scene.call(&["status", "--config", config]).run();
    for line in [
        "retention   horizon 0/A00000: slot 'down' of",
        "248 B stay for that alone",
        "then 0/2900000: the newest 20 segments are kept",
        "a prune would remove 9 files, 72 B",
    ] {
        assert!(told.stdout.contains(line), "'{line}' in {}", told.stdout);
    }
    // There is no server to be sure of, which is not what is asked here.
    let json = |verb: &str| -> serde_json::Value {
        serde_json::from_str(&scene.call(&[verb, "--config", config, "-o", "json"]).run().stdout).unwrap()
    };
    let (status, gate) = (json("status"), json("gate"));
    assert_eq!(
        (&status["retention"]["removable_files"], &gate["retention"]["removable_files"]),
        (&9.into(), &9.into())
    );
    assert_eq!(
        (&status["retention"]["horizon"], &gate["retention"]["horizon"]),
        (&"0/A00000".into(), &"0/A00000".into())
    );
    assert_eq!(gate["retention"]["removable_bytes"], serde_json::Value::Null);
    let gate = scene.call(&["gate", "--config", config]).run();
    assert!(gate.stdout.contains("horizon: 0/A00000: slot 'down' of"), "{gate:#?}");
    // What they say is what prune does.
    let _ = scene.call(&["prune", "--config", config]).run().code(0);
    assert_eq!(numbers(&scene), (10..=60).collect::<Vec<_>>());
}

#[test]
fn prune_claim_and_hold_end_in_bounded_time_where_the_repository_hangs() {
    let scene = archive();
    let stored = scene.stored();
    let state = scene.shown("repo/.walkeep/repository.json");
    for args in [&["prune", "--keep-segments", "1"][..], &["claim"], &["claim", "list"], &["hold", "list"]] {
        let args = [args, &["--timeout", "1s"]].concat();
        scene.run_hanging(&state, &args).refused(1, &["no end after 1s"]);
    }
    assert_eq!(scene.stored(), stored);
}
