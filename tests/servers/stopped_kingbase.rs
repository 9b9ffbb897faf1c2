//! A stopped cluster under KingbaseES names, given by `-D`: what its server left behind can be archived and read back.

use std::fs;
use std::process::Output;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::POSTGRESQL_12;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;

/// PostgreSQL's names and those of KingbaseES V8R6, files before the directories that hold them.
const NAMES: [(&str, &str); 5] = [
    ("global/pg_control", "global/sys_control"),
    ("pg_wal", "sys_wal"),
    ("pg_replslot", "sys_replslot"),
    ("PG_VERSION", "SYS_VERSION"),
    ("postgresql.conf", "kingbase.conf"),
];

#[test]
fn what_a_stopped_kingbase_shaped_cluster_has_pending_is_archived_by_hand_and_accepted_by_its_server_later() {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", POSTGRESQL_12, 1);
    node.set("archive_mode", "on");
    node.set("archive_command", "false");
    node.start();
    load::prepare(&node);
    node.switch_segment();
    node.stop_immediately();
    let pending = node.pending();
    assert!(pending.len() >= 3, "too little is pending: {pending:?}");

    for (postgresql, kingbase) in NAMES {
        fs::rename(node.data.join(postgresql), node.data.join(kingbase)).unwrap();
    }
    let repository = Repository::init(&scratch, "repo", &node.data);
    let (data, repo) = (node.data.to_str().unwrap(), repository.path.to_str().unwrap());
    let wal = format!("{data}/sys_wal");
    for name in &pending {
        must_say_nothing(scratch.run_walkeep([
            "archive",
            &format!("{wal}/{name}"),
            "--repo",
            repo,
            "-D",
            data,
        ]));
        let original = fs::read(format!("{wal}/{name}")).unwrap();
        assert!(repository.original(name) == original, "'{name}' is stored with other bytes");

        let restored = format!("{wal}/RECOVERYXLOG");
        must_say_nothing(scratch.run_walkeep(["restore", name, &restored, "--repo", repo, "-D", data]));
        assert!(fs::read(&restored).unwrap() == original, "'{name}' came back with other bytes");
        fs::remove_file(restored).unwrap();
    }
    for (postgresql, kingbase) in NAMES {
        fs::rename(node.data.join(kingbase), node.data.join(postgresql)).unwrap();
    }

    let before = repository.fingerprints();
    node.archive_to(&repository);
    node.start();
    node.archive_all(&repository);
    assert_eq!(node.sql("SELECT failed_count FROM pg_stat_archiver"), "0");
    let mut after = repository.fingerprints();
    after.retain(|name, _| before.contains_key(name));
    assert_eq!(after, before, "what was stored by hand was touched");
}

fn must_say_nothing(output: Output) {
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "walkeep ended with {} and said: {said}",
        output.status
    );
}
