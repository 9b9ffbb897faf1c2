//! Whatever a prune has kept a base backup for: its own moment, and every later one, on every timeline that leads on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::node::Node;
use crate::support::product::POSTGRESQL_15;
use crate::support::repository::Repository;
use crate::support::scratch::{Scratch, must_succeed};

/// A cluster that was failed over between its base backups, and what its table said at each of its moments.
struct Story<'s> {
    scratch: &'s Scratch,
    repository: Repository<'s>,
    /// By the names of their `.backup` files: the base backup, and how many moments it holds.
    backups: BTreeMap<String, (PathBuf, usize)>,
    moments: usize,
}

impl Story<'_> {
    /// One more row, a restore point of the same name, and a few segments.
    fn moment(&mut self, node: &Node) {
        self.moments += 1;
        node.sql(&format!("INSERT INTO moments VALUES ({})", self.moments));
        node.sql(&format!("SELECT pg_create_restore_point('moment {}')", self.moments));
        node.sql("CREATE TABLE ballast AS SELECT repeat('x', 2000) FROM generate_series(1, 1000); DROP TABLE ballast");
        node.archive_all(&self.repository);
    }

    fn back_up(&mut self, node: &Node) -> PathBuf {
        let before = self.repository.names();
        let backup = node.back_up(&format!("backup{}", self.backups.len() + 1));
        node.archive_all(&self.repository);
        let is_new = |name: &String| name.ends_with(".backup") && !before.contains(name);
        let name = self.repository.names().into_iter().find(is_new).unwrap();
        self.backups.insert(name, (backup.clone(), self.moments));
        backup
    }

    /// The `.backup` files that are stored.
    fn kept(&self) -> Vec<String> {
        self.repository.names().into_iter().filter(|name| name.ends_with(".backup")).collect()
    }

    fn prune(&self, policy: &[&str]) {
        let mut prune = self.scratch.command(self.scratch.walkeep());
        must_succeed(prune.arg("prune").args(policy).arg("--repo").arg(&self.repository.path));
    }

    /// Recovers a base backup up to a target, and counts the moments that are there.
    fn recovered(&self, as_name: &str, backup: &Path, (setting, target): (&str, &str)) -> usize {
        let mut node = Node::from_backup(self.scratch, as_name, POSTGRESQL_15, backup);
        node.recover_from(&self.repository);
        node.set(setting, target);
        node.set("archive_mode", "off");
        node.start();
        node.wait_until_promoted();
        let moments = node.sql("SELECT count(*) FROM moments WHERE number <= (SELECT count(*) FROM moments)");
        node.stop_immediately();
        moments.parse().unwrap()
    }

    /// Every base backup that is kept leads to the last moment, and the oldest, which the prune might have cut into,
    /// to its own and to the next one.
    fn kept_backups_lead_on(&self, prune: usize) {
        for (at, name) in self.kept().iter().enumerate() {
            let (backup, moments) = &self.backups[name];
            let recovered = |setting: &str, target: &str, expected: usize| {
                let name = format!("r{prune}{at}{expected}");
                let found = self.recovered(&name, backup, (setting, target));
                assert_eq!(found, expected, "{backup:?} with {setting} = {target}");
            };
            let to = |moment: usize| recovered("recovery_target_name", &format!("moment {moment}"), moment);
            to(self.moments);
            if at == 0 {
                recovered("recovery_target", "immediate", *moments);
            }
            if at == 0 && moments + 1 < self.moments {
                to(moments + 1);
            }
        }
    }
}

#[test]
fn every_kept_base_backup_leads_to_any_later_moment_whatever_the_policy() {
    let scratch = Scratch::new();
    let mut primary = Node::initdb_with_segments(&scratch, "primary", POSTGRESQL_15, 1);
    let repository = Repository::init(&scratch, "repo", &primary.data);
    primary.archive_to(&repository);
    primary.start();
    primary.sql("CREATE TABLE moments (number int)");
    let mut story = Story { scratch: &scratch, repository, backups: BTreeMap::new(), moments: 0 };

    story.moment(&primary);
    story.back_up(&primary);
    story.moment(&primary);
    let second = story.back_up(&primary);
    story.moment(&primary);
    let mut standby = Node::from_backup(&scratch, "standby", POSTGRESQL_15, &second);
    standby.stand_by_from(&story.repository);
    standby.start();
    standby.wait_until_caught_up(&primary.sql("SELECT pg_switch_wal()"));
    primary.stop();
    standby.promote();
    story.moment(&standby);
    story.back_up(&standby);
    story.moment(&standby);
    standby.stop();
    assert_eq!(story.kept().len(), 3);

    // The nodes are gone for good, and claim nothing: only the policy keeps.
    std::fs::remove_dir_all(story.repository.path.join(".walkeep/claims")).unwrap();
    let policies: [(&[&str], usize); 4] = [
        (&["--keep-backups", "3"], 3),
        (&["--keep-backups", "2", "--keep-segments", "1"], 2),
        (&["--keep-backups", "1"], 1),
        (&["--keep-segments", "1"], 1),
    ];
    for (prune, (policy, kept)) in policies.into_iter().enumerate() {
        let before = story.repository.names();
        story.prune(policy);
        assert_eq!(story.kept().len(), kept, "{policy:?}");
        let went = story.repository.names().len() < before.len();
        assert_eq!(went, prune < 3, "{policy:?}: the last policy keeps the newest base backup, too");
        if went {
            story.kept_backups_lead_on(prune);
        }
    }
}
