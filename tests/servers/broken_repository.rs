//! Recovery takes "not there" for the end of WAL, so a broken repository must never look like an ended one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::load;
use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::repository::Repository;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    recovery_stops_instead_of_ending_early_and_completes_once_the_repository_is_mended,
    a_standby_goes_on_trying_and_catches_up_once_the_repository_is_mended
);

/// What can be wrong with a repository. All of them strike before the last committed row.
const BREAKAGES: [Breakage; 4] = [
    Breakage::UnreadableIdentity,
    Breakage::EmptyMountPoint,
    Breakage::DamagedSegment,
    Breakage::MissingSegment,
];

#[derive(Clone, Copy, Debug)]
enum Breakage {
    /// `.walkeep/repository.json` cannot be read.
    UnreadableIdentity,
    /// The file system of the repository is gone, and its empty mount point is seen instead.
    EmptyMountPoint,
    /// One byte of a stored segment has flipped.
    DamagedSegment,
    /// A segment in the middle is gone: a gap.
    MissingSegment,
}

/// An archive of a primary that is no more: where it can be recovered from, and what must come out.
struct Archived<'a> {
    scratch: &'a Scratch,
    product: Product,
    repository: Repository<'a>,
    backup: PathBuf,
    contents: String,
    /// Long after the backup is consistent, and long before the end.
    middle_segment: String,
}

impl<'a> Archived<'a> {
    fn new(scratch: &'a Scratch, product: Product) -> Archived<'a> {
        let mut primary = Node::initdb_with_segments(scratch, "primary", product, 1);
        let repository = Repository::init(scratch, "repo", &primary.data);
        primary.archive_to(&repository);
        primary.start();
        load::prepare(&primary);
        let backup = primary.back_up("backup");
        load::some_load(scratch, &primary, 1, 150);
        let middle_segment = primary.switch_segment();
        load::some_load(scratch, &primary, 2, 150);
        primary.archive_all(&repository);
        let contents = load::contents(&primary);
        primary.stop();
        Archived { scratch, product, repository, backup, contents, middle_segment }
    }

    /// A node from the backup, whose recovery tells each request in a file before it calls walkeep.
    fn node(&self, name: &str) -> Node<'a> {
        let node = Node::from_backup(self.scratch, name, self.product, &self.backup);
        node.set("archive_mode", "off");
        node
    }

    fn tell_requests(&self, node: &Node) {
        let command = self.repository.restore_command();
        node.set("restore_command", &format!("echo %f >>{}; exec {command}", self.requests_path().display()));
        self.scratch.write(&self.requests_path(), "");
    }

    fn requests_path(&self) -> PathBuf {
        self.scratch.path("requests")
    }

    /// How often the server has asked for one and the same file by now, at most.
    fn repeated_requests(&self) -> usize {
        let requests = fs::read_to_string(self.requests_path()).unwrap();
        let count = |name| requests.lines().filter(|line| *line == name).count();
        requests.lines().map(count).max().unwrap_or(0)
    }

    fn break_it(&self, breakage: Breakage) {
        match breakage {
            Breakage::UnreadableIdentity => self.set_identity_mode(0o000),
            Breakage::EmptyMountPoint => {
                fs::rename(&self.repository.path, self.scratch.path("elsewhere")).unwrap();
                self.scratch.make_directory("repo");
            }
            Breakage::DamagedSegment => {
                let path = self.repository.stored(&self.middle_segment).unwrap();
                self.scratch.copy(&path, &self.scratch.path("undamaged"));
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes).unwrap();
            }
            Breakage::MissingSegment => {
                let path = self.repository.stored(&self.middle_segment).unwrap();
                fs::rename(&path, self.scratch.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
            }
        }
    }

    fn mend(&self, breakage: Breakage) {
        match breakage {
            Breakage::UnreadableIdentity => self.set_identity_mode(0o600),
            Breakage::EmptyMountPoint => {
                fs::remove_dir(&self.repository.path)
                    .expect("walkeep has left something in the empty mount point");
                fs::rename(self.scratch.path("elsewhere"), &self.repository.path).unwrap();
            }
            Breakage::DamagedSegment => {
                let path = self.repository.stored(&self.middle_segment).unwrap();
                fs::rename(self.scratch.path("undamaged"), path).unwrap();
            }
            Breakage::MissingSegment => {
                for name in [format!("{}.zst", self.middle_segment), self.middle_segment.clone()] {
                    let away = self.scratch.path(&name);
                    if away.exists() {
                        fs::rename(away, self.repository.path.join(name)).unwrap();
                    }
                }
            }
        }
    }

    fn set_identity_mode(&self, mode: u32) {
        let path = self.repository.path.join(".walkeep/repository.json");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn recovery_stops_instead_of_ending_early_and_completes_once_the_repository_is_mended(product: Product) {
    let scratch = Scratch::new();
    let archived = Archived::new(&scratch, product);
    let mut node = archived.node("recovered");
    node.recover_from(&archived.repository);
    for breakage in BREAKAGES {
        archived.break_it(breakage);
        node.launch();
        let status = node.wait_until_recovery_stops();
        assert!(!status.success() && !node.has_recovered(), "recovery ended with {breakage:?}");
        archived.mend(breakage);
    }
    node.start();
    node.wait_until_promoted();
    assert_eq!(load::contents(&node), archived.contents);
}

fn a_standby_goes_on_trying_and_catches_up_once_the_repository_is_mended(product: Product) {
    let scratch = Scratch::new();
    let archived = Archived::new(&scratch, product);
    let mut node = archived.node("standby");
    node.stand_by_from(&archived.repository);
    for breakage in BREAKAGES {
        archived.break_it(breakage);
        archived.tell_requests(&node);
        node.launch();
        wait_until(&format!("the standby has asked again and again with {breakage:?}"), || {
            assert!(node.ended().is_none(), "the standby stopped with {breakage:?}");
            archived.repeated_requests() >= 4
        });
        assert!(node.ended().is_none(), "the standby stopped with {breakage:?}");
        archived.mend(breakage);
        if !matches!(breakage, Breakage::MissingSegment) {
            node.stop_immediately();
        }
    }
    wait_until("the standby has all rows", || {
        assert!(node.ended().is_none(), "the standby stopped after the repository was mended");
        node.try_sql("SELECT count(*) FROM told").is_ok_and(|rows| rows == "1200")
    });
    assert_eq!(load::contents(&node), archived.contents);
    assert_eq!(node.sql("SELECT pg_is_in_recovery()"), "t");
}
