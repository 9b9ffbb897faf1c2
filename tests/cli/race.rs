//! Races: two writers, one name, one repository. Nobody is overwritten, nobody is lied to.

use std::fs::{self, File};

use crate::support::*;

/// Two data directories, `data` and `other`, of the given systems.
fn two_clusters(system: u64) -> Scene {
    let scene = Scene::new();
    scene.data_directory("other", "15", &control_file_of(system));
    scene
}

fn offer_in(scene: &Scene, data: &str, name: &str, bytes: &[u8]) {
    scene.write(format!("{data}/pg_wal/{name}"), bytes);
    scene.write(format!("{data}/pg_wal/archive_status/{name}.ready"), "");
}

/// Archives a name from both data directories at once.
fn at_once(scene: &Scene, names: [&str; 2]) -> [Outcome; 2] {
    let [first, second] = [("data", names[0]), ("other", names[1])].map(|(data, name)| {
        let call = scene.call(&["archive", &format!("pg_wal/{name}")]).cwd(scene.path(data));
        call.env("WALKEEP_NODE", data).spawn()
    });
    [first.end(), second.end()]
}

fn unpacked(scene: &Scene, name: &str) -> Vec<u8> {
    let zst = scene.path(format!("repo/{name}.zst"));
    if zst.exists() {
        zstd::stream::decode_all(File::open(zst).unwrap()).unwrap()
    } else {
        scene.read(format!("repo/{name}"))
    }
}

/// Another history under the same name.
fn other_content(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[MIB / 2 + 100] ^= 0xFF;
    bytes
}

#[test]
fn of_two_contents_for_one_name_exactly_one_wins_and_the_other_is_told() {
    for compress in ["zstd", "none"] {
        let scene = two_clusters(SYSTEM);
        scene.init(compress);
        for round in 0..50 {
            let name = name_of(1, 0xA00 + round);
            let contents = [segment_as(1, 0xA00 + round), other_content(segment_as(1, 0xA00 + round))];
            offer_in(&scene, "data", &name, &contents[0]);
            offer_in(&scene, "other", &name, &contents[1]);
            let outcomes = at_once(&scene, [&name, &name]);
            for node in ["data", "other"] {
                scene.remove(format!("{node}/pg_wal/archive_status/{name}.ready"));
            }
            let won: Vec<bool> = outcomes.iter().map(|outcome| outcome.code == Some(0)).collect();
            assert!(won[0] != won[1], "{compress}, round {round}: {outcomes:#?}");
            let winner = usize::from(won[1]);
            for (at, outcome) in outcomes.into_iter().enumerate() {
                if at == winner {
                    outcome.silent_success();
                } else {
                    let digests = contents.each_ref().map(|bytes| sha256(bytes));
                    outcome.refused(1, &["holds other content; diverged", &digests[0], &digests[1]]);
                }
            }
            assert!(unpacked(&scene, &name) == contents[winner], "{compress}, round {round}");
        }
        assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
        if compress == "none" {
            let script = format!("cd '{}' && sha256sum -c --quiet --strict *.sha256", scene.shown("repo"));
            tool("sh", &["-c".as_ref(), script.as_ref()]);
        }
    }
}

#[test]
fn of_two_same_contents_both_succeed() {
    for compress in ["zstd", "none"] {
        let scene = two_clusters(SYSTEM);
        scene.init(compress);
        for round in 0..25 {
            let name = name_of(1, 0xA00 + round);
            let bytes = segment_as(1, 0xA00 + round);
            offer_in(&scene, "data", &name, &bytes);
            offer_in(&scene, "other", &name, &bytes);
            at_once(&scene, [&name, &name]).into_iter().for_each(Outcome::silent_success);
            assert!(unpacked(&scene, &name) == bytes);
        }
        assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0]);
        assert_eq!(scene.stored().len(), if compress == "none" { 50 } else { 25 });
    }
}

/// Publishes a plain file as any writer into an adopted archive does that keeps to the rules: it looks and links
/// under the lock. Returns whether the name was free.
fn publish_plain(scene: &Scene, name: &str, bytes: &[u8]) -> bool {
    let staged = scene.write(format!("repo/.walkeep/{name}.other"), bytes);
    let lock =
        File::options().create(true).append(true).open(scene.path("repo/.walkeep/publish.lock")).unwrap();
    lock.lock().unwrap();
    let is_free =
        !["", ".zst", ".gz", ".lz4"].iter().any(|suffix| scene.path(format!("repo/{name}{suffix}")).exists());
    if is_free {
        fs::hard_link(&staged, scene.path(format!("repo/{name}"))).unwrap();
    }
    fs::remove_file(&staged).unwrap();
    is_free
}

#[test]
fn of_a_plain_and_a_packed_file_for_one_name_in_an_adopted_archive_exactly_one_wins() {
    let scene = Scene::new();
    scene.write(format!("repo/{SEGMENT}"), segment(SEGMENT));
    scene.init("zstd");
    let mut plain_won = 0;
    for round in 0..50 {
        let name = name_of(1, 0xA00 + round);
        let contents = [segment_as(1, 0xA00 + round), other_content(segment_as(1, 0xA00 + round))];
        scene.offer(&name, &contents[0]);
        // Those that lost stay in the queue, and would be told by a call that looks ahead.
        let args = ["archive", &format!("pg_wal/{name}"), "--ahead", "0"];
        let (plain, outcome) = if round == 0 {
            // In this round the other writer comes first.
            let stopped = scene.stop_after("fsync", &args);
            (publish_plain(&scene, &name, &contents[1]), stopped.go_on())
        } else {
            let running = scene.call(&args).spawn();
            std::thread::sleep(std::time::Duration::from_micros(round * 600));
            (publish_plain(&scene, &name, &contents[1]), running.end())
        };
        let forms = ["", ".zst"].map(|suffix| scene.path(format!("repo/{name}{suffix}")).exists());
        assert_eq!(forms, [plain, !plain], "round {round}: {outcome:#?}");
        if plain {
            outcome.refused(1, &["holds other content; diverged", "by a tool other than walkeep"]);
            plain_won += 1;
        } else {
            outcome.silent_success();
        }
        assert!(unpacked(&scene, &name) == contents[usize::from(plain)]);
    }
    assert!(plain_won > 0, "the other writer never came first");
}

#[test]
fn of_two_first_archives_one_binds_the_repository_and_the_other_is_refused() {
    for round in 0..25 {
        let scene = two_clusters(OTHER_SYSTEM);
        scene.call(&["init"]).run().prints(&["bound to                nobody yet"]);
        let names = [SEGMENT, SEGMENTS[1]];
        offer_in(&scene, "data", names[0], &segment(names[0]));
        offer_in(&scene, "other", names[1], &of_system(segment(names[1]), OTHER_SYSTEM));
        let outcomes = at_once(&scene, names);
        let bound: serde_json::Value =
            serde_json::from_slice(&scene.read("repo/.walkeep/identity.json")).unwrap();
        let winner = usize::from(bound["system_identifier"] == *OTHER_SYSTEM.to_string());
        for (at, outcome) in outcomes.into_iter().enumerate() {
            if at == winner {
                outcome.silent_success();
            } else {
                outcome.refused(1, &["the repository belongs to system identifier"]);
            }
        }
        assert_eq!(scene.stored(), [format!("{}.zst", names[winner])], "round {round}");
    }
}

#[test]
fn of_two_inits_with_different_forms_one_decides() {
    for round in 0..25 {
        let scene = Scene::new();
        let running = ["zstd", "none"].map(|form| scene.call(&["init", "--compress", form]).spawn());
        let outcomes = running.map(Running::end);
        let charter: serde_json::Value =
            serde_json::from_slice(&scene.read("repo/.walkeep/repository.json")).unwrap();
        let winner = usize::from(charter["form"] == "plain");
        for (at, outcome) in outcomes.into_iter().enumerate() {
            if at == winner {
                outcome.prints(&["is a repository"]);
            } else {
                outcome.refused(1, &["the repository stores segments as"]);
            }
        }
        assert_eq!(scene.listing("repo/.walkeep/staging"), [""; 0], "round {round}");
    }
}
