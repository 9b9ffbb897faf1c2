//! A hostile repository: one file of it is changed, and everything that reads repositories reads it. What comes of it is an
//! answer or an error that names the file, in bounded space, and never more than was proven.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::layout::stamp_key;
use super::*;
use crate::storage::{MOST_SMALL_BYTES, MemoryStore, read_small};
use crate::wal::fixtures::{fixture, mutated, unpack};
use crate::wal::{Lsn, SegmentSize, SystemIdentifier};

const SYSTEM: u64 = 7_710_439_506_139_532_764;
const SEGMENT: &str = "000000010000000100000000";
const BACKUP: &str = "00000001000000000000001E.00000028.backup";

fn origin() -> Origin {
    Origin {
        node: "node1".into(),
        machine_id: "machine".into(),
        now: UNIX_EPOCH + Duration::from_secs(1_795_267_614),
        now_text: "2026-11-21T13:26:54Z".into(),
    }
}

fn observation() -> Observation {
    let checkpoint = KnownCheckpoint {
        timeline: Timeline::FIRST,
        checkpoint: Lsn::new(0x1_0000_0060),
        redo: Lsn::new(0x1_0000_0028),
        seen_at: origin().now,
    };
    let directory = SlotDirectory { inode: 7, born_ns: Some(1_795_267_614_000_000_000) };
    let slot = ClaimedSlot {
        name: "standby2".into(),
        restart_lsn: Some(Lsn::new(0x1_0000_0000)),
        physical: true,
        persistency: SlotLife::Persistent,
        invalidated: false,
        directory,
    };
    Observation {
        node: "node1".into(),
        machine_id: "machine".into(),
        data_directory: "/data/main".into(),
        system_identifier: SystemIdentifier::new(SYSTEM),
        dialect: "kingbase-v8r6".into(),
        falls_back: false,
        role: NodeRole::Primary,
        checkpoint,
        slots: vec![slot],
        backup_start: None,
    }
}

fn hold() -> Hold {
    Hold {
        name: "before-upgrade".parse().unwrap(),
        from: Lsn::new(0x1_0000_0028),
        reason: "until the books are closed".into(),
        until: Some(origin().now + Duration::from_secs(86_400)),
        created_at: origin().now,
        node: "node1".into(),
    }
}

fn name(text: &str) -> WalFileName {
    text.parse().unwrap()
}

/// Every kind of file that a repository has, as walkeep and other tools leave them.
static WHOLE: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(whole);

fn whole() -> BTreeMap<String, Vec<u8>> {
    let store = MemoryStore::default();
    let origin = origin();
    let mut repository = Repository::create(&store, StoredForm::Zstd, true, &origin).unwrap();
    let segment_size = SegmentSize::new(1 << 20).unwrap();
    let identity = Identity { system_identifier: SystemIdentifier::new(SYSTEM), segment_size };
    repository.bind(identity, Some("kingbase-v8r6"), &origin).unwrap();
    let lost: SegmentName = "000000010000000000000FFE".parse().unwrap();
    let _ = repository.acknowledge_lost(lost, lost, "rm", &origin).unwrap();
    let claim = repository.record_claim(observation(), Duration::from_secs(86_400)).unwrap();
    let _ = repository.record_claim(Observation { slots: vec![], ..observation() }, Duration::MAX).unwrap();
    let _ = repository.add_hold(&hold(), &*repository.lock_removal().unwrap()).unwrap();

    let segment = unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000000.gz"));
    let packed = zstd::encode_all(segment.as_slice(), 1).unwrap();
    let proven = |bytes: &[u8]| Proven {
        stat: ObjectStat { size_bytes: 5, modified: origin.now, inode: 7, changed_ns: 9 },
        fetched: Fetched { bytes: bytes.len() as u64, digest: Digest::of(bytes), digest_known: true },
    };
    let mut marks = Marks::default();
    marks.set(name(SEGMENT), Form::Zstd, Mark::of(&proven(&segment), origin.now));
    repository.replace_marks(&MarkGroup::of(name(SEGMENT)), &marks).unwrap();

    let history = fixture!("15-debian/wal/00000002.history");
    let backup = fixture!("15-debian/wal/00000001000000000000001E.00000028.backup");
    let line = |file: &str, bytes: &[u8]| layout::sidecar_line(name(file), Digest::of(bytes)).into_bytes();
    let mut files = BTreeMap::from([
        (format!("{SEGMENT}.zst"), packed),
        ("00000002.history".to_owned(), history.to_vec()),
        ("00000002.history.sha256".to_owned(), line("00000002.history", history)),
        (BACKUP.to_owned(), backup.to_vec()),
        (format!("{BACKUP}.sha256"), line(BACKUP, backup)),
    ]);
    let state = [
        "repository.json".to_owned(),
        "identity.json".to_owned(),
        "known-gaps.json".to_owned(),
        format!("claims/{}.json", claim.key()),
        "holds/before-upgrade.json".to_owned(),
        "verified/0000000100000001.json".to_owned(),
    ];
    for key in state.map(|file| state_key(&file)) {
        files.insert(key.to_string(), read_small(&store, &key).unwrap().unwrap());
    }
    files.insert(
        stamp_key(name(SEGMENT)).to_string(),
        b"{\"stored_by\":\"node1\",\"checksum\":\"0\"}".to_vec(),
    );
    files
}

/// A file of a repository, and what becomes of it.
fn changed() -> impl Strategy<Value = (String, Vec<u8>)> {
    let files: Vec<_> = WHOLE.clone().into_iter().collect();
    prop::sample::select(files.clone()).prop_flat_map(move |(key, bytes)| {
        let others = files.iter().map(|(_, bytes)| bytes.clone()).filter(|bytes| bytes.len() < 4096);
        let own = std::iter::repeat_n(bytes, 20);
        (Just(key), mutated(own.chain(others).collect()))
    })
}

fn store_with(files: &BTreeMap<String, Vec<u8>>) -> MemoryStore {
    let store = MemoryStore::default();
    for (key, bytes) in files {
        store.replace_state(&Key::new(key).unwrap(), bytes).unwrap();
    }
    store
}

/// Reads all that there is to read; the digests of what was delivered as proven.
fn read_everything(store: &dyn Store) -> Result<Vec<(WalFileName, Fetched)>, RepositoryError> {
    let repository = Repository::open(store)?;
    let expected = Expected {
        system_identifier: repository.identity().map(|identity| identity.system_identifier),
        segment_size: repository.identity().map(|identity| identity.segment_size),
        header_check: true,
    };
    let mut delivered = Vec::new();
    for name in repository.names()? {
        let mut sink = Vec::new();
        if let Ok(Some(fetched)) = repository.fetch(name, expected, &mut sink) {
            assert_eq!((Digest::of(&sink), sink.len() as u64), (fetched.digest, fetched.bytes));
            delivered.push((name, fetched));
        }
        let most = expected.segment_size.map_or(1 << 30, SegmentSize::bytes);
        assert!(sink.len() as u64 <= most + 1, "no bomb is unpacked");
        let _ = (repository.fingerprint(name), repository.marks(&MarkGroup::of(name)));
    }
    let now = origin().now;
    let holds = repository.holds().map(|holds| holds.iter().filter(|hold| hold.has_expired(now)).count());
    let claims = repository.claims().map(|claims| {
        for claim in &claims {
            let _ = (claim.is_stale(now), claim.age(now), claim.checkpoints().count());
            let _ = Claim::next(Some(claim), observation(), Duration::MAX);
        }
    });
    for error in [holds.err(), claims.err(), repository.known_gaps().err()].into_iter().flatten() {
        assert!(error.to_string().len() < 4000, "a message stays short");
    }
    let _ = repository.record_claim(observation(), Duration::from_secs(86_400));
    let _ =
        (repository.inventory(), repository.holdings(), repository.histories(repository.names()?, expected));
    Ok(delivered)
}

#[test]
fn a_whole_repository_is_read() {
    let delivered = read_everything(&store_with(&WHOLE)).unwrap();
    assert_eq!(delivered.len(), 3, "{delivered:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(500), ..ProptestConfig::default() })]
    #[test]
    fn whatever_becomes_of_one_file_nothing_panics_and_what_has_a_digest_is_delivered_as_it_was((key, bytes) in changed()) {
        let mut files = WHOLE.clone();
        let original = name("00000002.history");
        let digest = Digest::of(&files["00000002.history"]);
        prop_assume!(bytes.len() as u64 <= 2 * MOST_SMALL_BYTES);
        files.insert(key.clone(), bytes);
        let delivered = read_everything(&store_with(&files)).unwrap_or_default();
        let history = delivered.iter().find(|(name, _)| *name == original);
        // Whoever changes a file and the digest beside it is not found out: SECURITY.md says so.
        prop_assert!(history.is_none_or(|(_, fetched)| fetched.digest == digest || !fetched.digest_known), "{key}");
    }
}
