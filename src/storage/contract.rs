//! What every store must keep: plain functions that each store passes.
#![allow(clippy::disallowed_methods, reason = "tests make the states that crashes leave")]

use std::io::Read;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn create(store: &dyn Store, name: &str, bytes: &[u8]) {
    assert_eq!(try_create(store, name, bytes), Published::New);
}

fn try_create(store: &dyn Store, name: &str, bytes: &[u8]) -> Published {
    let mut staged = store.stage("test").unwrap();
    staged.write_all(bytes).unwrap();
    staged.sync().unwrap();
    let published = staged.publish(&key(name)).unwrap();
    store.settle(&key(name)).unwrap();
    published
}

fn content(store: &dyn Store, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    store.open(&key(name)).unwrap()?.bytes.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn names(store: &dyn Store, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = store.list(folder).unwrap().into_iter().map(|listed| listed.name).collect();
    names.sort();
    names
}

fn what_is_created_is_read_back(store: &dyn Store) {
    assert_eq!(content(store, "a"), None);
    create(store, "a", b"one");
    assert_eq!(content(store, "a").unwrap(), b"one");
    assert_eq!(store.stat(&key("a")).unwrap().unwrap().size_bytes, 3);
    assert!(store.stat(&key("absent")).unwrap().is_none());
}

fn a_taken_name_is_never_replaced(store: &dyn Store) {
    create(store, "taken", b"first");
    let before = store.stat(&key("taken")).unwrap();
    assert_eq!(try_create(store, "taken", b"second"), Published::NameTaken);
    assert_eq!(content(store, "taken").unwrap(), b"first");
    assert_eq!(store.stat(&key("taken")).unwrap(), before);
}

fn an_object_is_known_by_its_stat_before_and_after_it_has_a_key(store: &dyn Store) {
    let mut staged = store.stage("known").unwrap();
    staged.write_all(b"bytes").unwrap();
    staged.sync().unwrap();
    let before = staged.stat().unwrap();
    assert_eq!(staged.publish(&key("known")).unwrap(), Published::New);
    assert!(store.stat(&key("known")).unwrap().unwrap().has_bytes_of(&before));
    store.remove(&key("known")).unwrap();
    create(store, "known", b"others");
    assert!(!store.stat(&key("known")).unwrap().unwrap().has_bytes_of(&before));
}

fn what_is_dropped_unpublished_never_was(store: &dyn Store) {
    let mut staged = store.stage("dropped").unwrap();
    staged.write_all(b"half").unwrap();
    drop(staged);
    assert!(!names(store, "").contains(&"dropped".to_owned()));
    assert_eq!(names(store, ".walkeep/staging"), Vec::<String>::new());
}

fn what_is_staged_is_known_until_it_has_a_key_or_is_dropped(store: &dyn Store) {
    let is_staged = |stem| store.staged(stem).unwrap().is_some();
    assert!(!is_staged("busy"));
    let (named, dropped) = (store.stage("busy").unwrap(), store.stage("busy.more").unwrap());
    assert!(is_staged("busy") && is_staged("busy.more") && !is_staged("bus"));
    drop(dropped);
    assert!(is_staged("busy") && !is_staged("busy.more"));
    assert_eq!(named.publish(&key("busy")).unwrap(), Published::New);
    assert!(!is_staged("busy"));
}

fn bytes_are_written_over_before_publication(store: &dyn Store) {
    let mut staged = store.stage("over").unwrap();
    staged.write_all(b"____ and the rest").unwrap();
    staged.write_at(0, b"head").unwrap();
    staged.sync().unwrap();
    assert_eq!(staged.publish(&key("over")).unwrap(), Published::New);
    assert_eq!(content(store, "over").unwrap(), b"head and the rest");
}

fn state_is_replaced_whole(store: &dyn Store) {
    store.replace_state(&key(".walkeep/state.json"), b"one").unwrap();
    store.replace_state(&key(".walkeep/state.json"), b"two").unwrap();
    assert_eq!(content(store, ".walkeep/state.json").unwrap(), b"two");
    store.write_advisory(&key(".walkeep/stamps/x.json"), b"stamp").unwrap();
    assert_eq!(content(store, ".walkeep/stamps/x.json").unwrap(), b"stamp");
}

fn relocation_keeps_the_bytes_and_never_replaces(store: &dyn Store) {
    create(store, "from", b"moved");
    create(store, "occupied", b"stays");
    assert_eq!(store.relocate(&key("from"), &key("occupied")).unwrap(), Published::NameTaken);
    assert_eq!(content(store, "from").unwrap(), b"moved");
    assert_eq!(store.relocate(&key("from"), &key(".walkeep/set-aside/from")).unwrap(), Published::New);
    assert_eq!(content(store, "from"), None);
    assert_eq!(content(store, ".walkeep/set-aside/from").unwrap(), b"moved");
    assert!(store.relocate(&key("from"), &key("elsewhere")).is_err());
}

fn listing_tells_objects_from_folders(store: &dyn Store) {
    create(store, "listed", b"");
    store.replace_state(&key(".walkeep/state.json"), b"").unwrap();
    let top = store.list("").unwrap();
    assert!(top.contains(&Listed { name: "listed".into(), is_object: true }));
    assert!(top.contains(&Listed { name: ".walkeep".into(), is_object: false }));
    assert_eq!(store.list("no/such/folder").unwrap(), Vec::new());
}

fn a_walk_shows_what_a_listing_does_with_the_stats(store: &dyn Store) {
    for folder in ["", ".walkeep", "no/such/folder"] {
        let (mut seen, mut sized) = (Vec::new(), Vec::new());
        let mut see = |name: &str, stat: Option<&ObjectStat>| {
            seen.push(name.to_owned());
            sized.extend(stat.map(|stat| (name.to_owned(), stat.clone())));
        };
        store.for_each(folder, &mut see).unwrap();
        seen.sort();
        assert_eq!(seen, names(store, folder), "{folder}");
        let objects = store.list(folder).unwrap().into_iter().filter(|listed| listed.is_object).count();
        assert_eq!(sized.len(), objects);
        for (name, stat) in sized {
            let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            assert_eq!(store.stat(&key(&below)).unwrap(), Some(stat));
        }
    }
}

fn a_round_trip_leaves_nothing_behind(store: &dyn Store) {
    let before = names(store, "");
    assert!(store.round_trip(b"there and back").unwrap().hard_links);
    assert_eq!((names(store, ""), names(store, ".walkeep/staging")), (before, Vec::new()));
}

fn confirmation_and_removal_need_the_object(store: &dyn Store) {
    create(store, "confirmed", b"bytes");
    assert_eq!(store.confirm(&key("confirmed")).unwrap().stat.size_bytes, 5);
    store.remove(&key("confirmed")).unwrap();
    assert!(store.confirm(&key("confirmed")).is_err());
    assert!(store.remove(&key("confirmed")).is_err());
}

fn keeps_the_contract(store: &dyn Store) {
    store.prepare().unwrap();
    what_is_created_is_read_back(store);
    a_taken_name_is_never_replaced(store);
    what_is_dropped_unpublished_never_was(store);
    an_object_is_known_by_its_stat_before_and_after_it_has_a_key(store);
    what_is_staged_is_known_until_it_has_a_key_or_is_dropped(store);
    bytes_are_written_over_before_publication(store);
    state_is_replaced_whole(store);
    relocation_keeps_the_bytes_and_never_replaces(store);
    listing_tells_objects_from_folders(store);
    a_walk_shows_what_a_listing_does_with_the_stats(store);
    a_round_trip_leaves_nothing_behind(store);
    confirmation_and_removal_need_the_object(store);
    drop(store.lock(&key(".walkeep/publish.lock")).unwrap());
    drop(store.try_lock(&key(".walkeep/claims/a.lock")).unwrap().expect("nobody holds it"));
    drop(store.lock(&key(".walkeep/holds/a.lock")).unwrap());
    assert!(store.free_bytes().unwrap() > 0);
}

#[test]
fn a_directory_keeps_the_contract_of_stores() {
    let dir = tempfile::tempdir().unwrap();
    keeps_the_contract(&DirectoryStore::new(dir.path().join("repo")));
}

#[test]
fn memory_keeps_the_contract_of_stores() {
    keeps_the_contract(&MemoryStore::default());
}

#[test]
fn keys_never_leave_the_store() {
    for text in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b"] {
        assert!(Key::new(text).is_none(), "{text:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path().to_owned());
    store.prepare().unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link")).unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for name in ["link", "folder"] {
        assert!(store.stat(&key(name)).is_err(), "{name}");
        assert!(store.open(&key(name)).is_err(), "{name}");
        assert!(store.confirm(&key(name)).is_err(), "{name}");
    }
}

#[test]
fn sweeping_takes_what_the_dead_left_and_spares_the_living() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path().to_owned());
    store.prepare().unwrap();
    std::fs::write(dir.path().join(".walkeep/staging/leftover.1.1"), b"dead").unwrap();
    let mut living = store.stage("living").unwrap();
    assert_eq!(store.sweep().unwrap(), 1);
    living.write_all(b"alive").unwrap();
    living.sync().unwrap();
    assert_eq!(living.publish(&key("alive")).unwrap(), Published::New);
    assert_eq!(names(&store, ".walkeep/staging"), Vec::<String>::new());
}

#[test]
fn modes_follow_the_directory_and_not_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, file, folder) in [(0o700, 0o600, 0o700), (0o750, 0o640, 0o750), (0o755, 0o640, 0o750)] {
        let dir = tempfile::tempdir().unwrap();
        let permissions = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path(), permissions(mode)).unwrap();
        let store = DirectoryStore::new(dir.path().to_owned());
        store.prepare().unwrap();
        create(&store, "a", b"one");
        let seen =
            |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((seen("a"), seen(".walkeep/stamps")), (file, folder), "beside {mode:o}");
    }
}

#[test]
fn an_object_changed_within_a_time_of_now_whichever_clock_is_ahead() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let changed = |at: Duration| {
        let stat = ObjectStat {
            size_bytes: 0,
            modified: SystemTime::UNIX_EPOCH,
            inode: 1,
            changed_ns: at.as_nanos().try_into().unwrap(),
        };
        stat.changed_within(Duration::from_secs(3600))
    };
    let (half, more) = (Duration::from_secs(1800), Duration::from_secs(7200));
    assert!(changed(now) && changed(now - half) && changed(now + half));
    assert!(!changed(now - more) && !changed(now + more));
    assert!(!changed(Duration::ZERO) && !changed(Duration::MAX / 4));
}
