use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::Hint;
use super::*;
use crate::cluster::Invalidation;
use crate::repository::{Identity, Offer, Origin, Repository, StoredForm};
use crate::storage::DirectoryStore;

const SEGMENT: &str = "000000010000000000000003";

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn look(path: &Path) -> Result<Inspection, InspectError> {
    inspect(&InspectRequest { file: path.to_owned() })
}

#[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Writes a file of the name somewhere, and looks at it.
fn look_at(name: &str, bytes: &[u8]) -> Result<Inspection, InspectError> {
    let dir = TempDir::new().unwrap();
    look(&write(dir.path(), name, bytes))
}

fn unpacked(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = fs::read(fixture(path)).unwrap();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn segment(found: &Inspection) -> &SegmentFacts {
    let Content::Segment(facts) = &found.content else { panic!("{found:?}") };
    facts
}

/// A repository that holds one segment, and where that lies.
fn stored(form: StoredForm) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let bytes = unpacked("12/wal/000000010000000000000003.gz");
    let header = LongPageHeader::parse(&bytes).unwrap();
    let identity =
        Identity { system_identifier: header.system_identifier, segment_size: header.segment_size };
    let source = write(dir.path(), SEGMENT, &bytes);
    let root = dir.path().join("repository");
    fs::create_dir(&root).unwrap();
    let store = DirectoryStore::new(root.clone());
    let origin = Origin {
        node: "node1".to_owned(),
        machine_id: String::new(),
        now: SystemTime::UNIX_EPOCH,
        now_text: String::new(),
    };
    let mut repository = Repository::create(&store, form, false, &origin).unwrap();
    repository.bind(identity, None, &origin).unwrap();
    let mut source = SourceFile::open(&source).unwrap();
    let show_time = |_| String::new();
    let offer = Offer {
        name: SEGMENT.parse().unwrap(),
        source: &mut source,
        identity,
        level: 1,
        packing: crate::repository::Packing::Inline,
        show_time: &show_time,
    };
    let _ = repository.put(offer, &origin).unwrap();
    let suffix = if form == StoredForm::Zstd { ".zst" } else { "" };
    let path = root.join(format!("{SEGMENT}{suffix}"));
    (dir, path)
}

#[test]
fn files_are_told_by_their_content_whatever_their_names() {
    for (path, name) in [
        ("12/running/pg_control", "sys_control"),
        ("12/running/pg_control", "copy.dat"),
        ("13/invalidated/slot_phys_reserved.state", "state"),
        ("13/invalidated/slot_phys_reserved.state", "copy.dat"),
        ("15-debian/wal/00000002.history", "00000002.history"),
        ("15-debian/wal/00000002.history", "00000002.history.bak"),
        ("15-debian/backup_label", "backup_label.old"),
        ("15-debian/backup_label", "copy.dat"),
        ("12/wal/000000010000000000000003.gz", "copy.dat"),
    ] {
        let bytes = fs::read(fixture(path)).unwrap();
        let found = look_at(name, &bytes).unwrap();
        let fits = match &found.content {
            Content::ControlFile { .. } => path.contains("pg_control"),
            Content::SlotState(_) => path.contains("slot"),
            Content::TimelineHistory(_) => path.contains("history"),
            Content::BackupLabel(_) => path.contains("backup_label"),
            Content::Segment(_) => path.ends_with(".gz"),
        };
        assert!(fits && found.is_sound(), "{path} {name}: {found:?}");
        assert_eq!(found.file_bytes, bytes.len() as u64);
    }
}

#[test]
fn a_control_file_comes_with_the_segment_of_its_redo_point() {
    let found = look(&fixture("12/running/pg_control")).unwrap();
    let Content::ControlFile { control, redo_segment } = found.content else { panic!() };
    assert_eq!(control.redo.to_string(), "0/14000148");
    assert_eq!(redo_segment.unwrap().to_string(), "000000010000000000000014");
}

#[test]
fn an_invalidated_slot_says_so() {
    let found = look(&fixture("13/invalidated/slot_phys_reserved.state")).unwrap();
    let Content::SlotState(slot) = found.content else { panic!() };
    assert!(matches!(slot.invalidated, Some(Invalidation::At(_))));
}

#[test]
fn segments_are_read_plain_and_packed_by_any_tool() {
    let plain = unpacked("12/wal/000000010000000000000003.gz");
    let lz4 = {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        std::io::Write::write_all(&mut encoder, &plain).unwrap();
        encoder.finish().unwrap()
    };
    for (name, bytes) in [
        (SEGMENT.to_owned(), plain.clone()),
        (format!("{SEGMENT}.gz"), fs::read(fixture("12/wal/000000010000000000000003.gz")).unwrap()),
        (format!("{SEGMENT}.zst"), zstd::encode_all(plain.as_slice(), 1).unwrap()),
        (format!("{SEGMENT}.lz4"), lz4),
        (format!("{SEGMENT}.partial"), plain.clone()),
    ] {
        let found = look_at(&name, &bytes).unwrap();
        assert!(found.is_sound(), "{name}: {:?}", found.faults);
        let facts = segment(&found);
        assert_eq!(facts.header_name.unwrap().to_string(), SEGMENT);
        assert_eq!((facts.name_agrees(), facts.is_partial()), (Some(true), name.ends_with(".partial")));
        assert_eq!((facts.extent.valid_pages(), facts.extent.end().to_string().as_str()), (1, "0/3002000"));
        assert_eq!(found.stored.content_bytes, 16 << 20);
        assert_eq!(found.stored.digest_agrees(), None);
    }
}

#[test]
fn what_walkeep_stored_agrees_with_what_it_told() {
    let (_dir, zstd) = stored(StoredForm::Zstd);
    let found = look(&zstd).unwrap();
    assert!(found.is_sound(), "{:?}", found.faults);
    assert_eq!(found.stored.digest_agrees(), Some(true));
    let envelope = found.stored.envelope.unwrap();
    assert_eq!((envelope.node.as_str(), envelope.writer.as_str()), ("node1", crate::repository::WRITER));

    let (_dir, plain) = stored(StoredForm::Plain);
    let found = look(&plain).unwrap();
    assert_eq!((found.is_sound(), found.stored.digest_agrees()), (true, Some(true)));
    assert_eq!(found.stored.told.unwrap().by, DigestSource::Sidecar);
}

#[test]
fn a_flipped_byte_in_a_stored_file_is_damage() {
    let (dir, zstd) = stored(StoredForm::Zstd);
    let bytes = fs::read(&zstd).unwrap();
    let name = format!("{SEGMENT}.zst");
    for at in (1024..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        let mut broken = bytes.clone();
        broken[at] ^= 0x10;
        let told = match look(&write(dir.path(), &name, &broken)) {
            Ok(found) => {
                assert_eq!(found.stored.digest_agrees(), found.stored.sha256.map(|_| false));
                found.faults.iter().map(ToString::to_string).collect()
            }
            Err(error @ InspectError::Packed { .. }) => {
                assert!(error.hint().unwrap().contains("by node 'node1'"), "{error:?}");
                error.to_string()
            }
            Err(error) => panic!("{at}: {error:?}"),
        };
        assert!(told.contains("damaged"), "{at}: {told}");
    }
}

#[test]
fn a_flipped_byte_in_a_plain_stored_file_is_damage() {
    let (_dir, plain) = stored(StoredForm::Plain);
    let mut bytes = fs::read(&plain).unwrap();
    bytes[5000] ^= 1;
    write(plain.parent().unwrap(), SEGMENT, &bytes);
    let faults = look(&plain).unwrap().faults;
    assert!(matches!(faults[..], [Fault::Digest { by: DigestSource::Sidecar, .. }]), "{faults:?}");
}

#[test]
fn damage_within_a_packed_segment_keeps_what_comes_before_it() {
    let bytes = fs::read(fixture("10/wal/000000010000000000000003.gz")).unwrap();
    let found = look_at(&format!("{SEGMENT}.gz"), &bytes[..bytes.len() - 20]).unwrap();
    assert!(matches!(found.faults[..], [Fault::CannotBeUnpacked { .. }]), "{:?}", found.faults);
    assert!(segment(&found).extent.valid_pages() > 100);
    assert_eq!(found.stored.sha256, None);
}

#[test]
fn what_does_not_fit_is_told_beside_the_facts() {
    let plain = unpacked("12/wal/000000010000000000000003.gz");
    let faults = |name: &str, bytes: &[u8]| {
        let found = look_at(name, bytes).unwrap();
        found.faults.iter().map(Fault::key).collect::<Vec<_>>()
    };
    assert_eq!(faults("000000010000000000000004", &plain), ["name_differs"]);
    assert_eq!(faults("00000002.history", &plain), ["name_differs"]);
    assert_eq!(faults(SEGMENT, &plain[..8192]), ["wrong_length"]);
    assert_eq!(faults("000000010000000000000003.zst", &plain), ["form_differs"]);
    assert_eq!(faults("000000020000000000000003", &plain), [""; 0]);
    let control = fs::read(fixture("12/running/pg_control")).unwrap();
    assert_eq!(faults("pg_control", &control[..512]), ["wrong_length"]);
    let (dir, stored) = stored(StoredForm::Zstd);
    let other = dir.path().join("000000010000000000000004.zst");
    fs::copy(stored, &other).unwrap();
    let found = look(&other).unwrap();
    assert_eq!(
        found.faults.iter().map(Fault::key).collect::<Vec<_>>(),
        ["stored_name_differs", "name_differs"]
    );
}

#[test]
fn a_sidecar_that_does_not_read_is_told() {
    let dir = TempDir::new().unwrap();
    let path = write(dir.path(), SEGMENT, &unpacked("12/wal/000000010000000000000003.gz"));
    write(dir.path(), &format!("{SEGMENT}.sha256"), b"nothing\n");
    let found = look(&path).unwrap();
    assert!(matches!(found.faults[..], [Fault::Sidecar { .. }]));
}

#[test]
fn a_damaged_control_file_is_named_as_one() {
    let mut bytes = fs::read(fixture("12/running/pg_control")).unwrap();
    bytes[40] ^= 1;
    for name in ["pg_control", "copy.dat"] {
        let error = look_at(name, &bytes).unwrap_err();
        let InspectError::ControlFile { source, .. } = &error else { panic!("{error:?}") };
        assert!(error.to_string().ends_with("looks like a control file, and cannot be read as one"));
        assert!(matches!(source, ControlFileError::Checksum { .. }));
        assert!(error.hint().unwrap().contains("damaged"));
    }
    let error = look_at("sys_control", &[7; 100]).unwrap_err();
    assert!(matches!(error, InspectError::ControlFile { source: ControlFileError::TooShort { .. }, .. }));
}

#[test]
fn a_damaged_slot_is_named_as_one() {
    let mut bytes = fs::read(fixture("12/running/slot_phys_reserved.state")).unwrap();
    bytes[96] ^= 1;
    for (name, bytes) in [("copy.dat", &bytes[..]), ("state", &bytes[..]), ("state", &[0; 176])] {
        let error = look_at(name, bytes).unwrap_err();
        assert!(matches!(error, InspectError::SlotState { .. }), "{error:?}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn what_is_nothing_that_is_known_is_told_with_what_it_begins_with() {
    let told = |name: &str, bytes: &[u8]| {
        let told = look_at(name, bytes).unwrap_err().to_string();
        told.split_once(&format!("/{name}")).unwrap().1.to_owned()
    };
    assert_eq!(told("empty", b""), "' holds nothing");
    assert_eq!(told("x", b"hello\n\0"), "' is nothing that is known here: it begins with the text 'hello'");
    assert_eq!(told("x", &[1, 2, 255]), "' is nothing that is known here: it begins with the bytes 01 02 FF");
    assert_eq!(told(SEGMENT, &[0; 9000]), "' is named as a segment, but begins with zeros");
    assert_eq!(told(SEGMENT, &vec![0; (16 << 20) + 1]), "' is named as a segment, but begins with zeros");
    assert_eq!(
        told("x", &vec![b'x'; (16 << 20) + 1]),
        format!(
            "' is no segment, and too long for anything else: it begins with the text '{}'",
            "x".repeat(40)
        )
    );
    assert_eq!(
        told(&format!("{SEGMENT}.zst"), b"plain"),
        "' is damaged: it is named as a zstd file, but begins with the text 'plain'"
    );
    assert_eq!(
        told("00000002.history", b"1\tnowhere\n"),
        "' looks like a timeline history, and cannot be read as one"
    );
    assert_eq!(told("backup_label", b"x"), "' looks like a backup label, and cannot be read as one");
}

#[test]
fn directories_pipes_and_files_that_are_not_there_are_refused() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [dir.path(), &pipe] {
        let error = look(path).unwrap_err();
        let InspectError::Unreadable(io) = &error else { panic!("{error:?}") };
        assert_eq!(io.io().to_string(), "it is not a regular file");
        assert!(error.hint().unwrap().contains("control files"));
    }
    let error = look(&dir.path().join("absent")).unwrap_err();
    assert!(error.to_string().starts_with("cannot open '"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_bytes_panic(
        beginning in prop::sample::select(vec![
            &[][..],
            &SLOT_MAGIC,
            &[0x28, 0xB5, 0x2F, 0xFD],
            &[0x50, 0x2A, 0x4D, 0x18, 0xF8, 0x03, 0, 0],
            &[0x1F, 0x8B, 0x08],
            &[0x04, 0x22, 0x4D, 0x18],
            &[0; 8],
            b"START WAL LOCATION: ",
        ]),
        mut bytes in prop::collection::vec(any::<u8>(), 0..3000),
        version in prop::sample::select(vec![None, Some(1201_u32), Some(923)]),
        padded: bool,
        name in prop::sample::select(vec![
            "x", "state", "pg_control", SEGMENT, "000000010000000000000003.zst", "00000002.history",
            "000000010000000000000003.00000028.backup", "000000010000000000000003.partial.gz",
        ]),
    ) {
        bytes.splice(..0, beginning.iter().copied());
        if let (Some(version), Some(field)) = (version, bytes.get_mut(8..12)) {
            field.copy_from_slice(&version.to_le_bytes());
        }
        if padded {
            bytes.resize(8192, 0);
        }
        if let Err(error) = look_at(name, &bytes) {
            let _ = (error.to_string(), error.hint());
        }
    }

    #[test]
    fn a_first_page_of_any_numbers_does_not_panic(
        page in prop::collection::vec(any::<u8>(), 40..20_000), size_bits in 20u32..=30, block_bits in 9u32..=16,
    ) {
        let mut page = page;
        page[2] |= 2;
        page[32..36].copy_from_slice(&(1_u32 << size_bits).to_le_bytes());
        page[36..40].copy_from_slice(&(1_u32 << block_bits).to_le_bytes());
        let found = look_at(SEGMENT, &page).unwrap();
        prop_assert_eq!(segment(&found).extent.first().block_bytes, 1 << block_bits);
        prop_assert!(!found.is_sound());
    }
}

mod fuzz {
    use super::*;
    use crate::wal::fixtures::{fixture, mutated, unpack};

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(1000), ..ProptestConfig::default() })]
        #[test]
        fn whatever_becomes_of_a_servers_file_it_is_looked_at_or_refused_in_few_words(
            bytes in mutated(vec![
                fixture!("12/running/pg_control").to_vec(),
                fixture!("18/running/pg_control").to_vec(),
                fixture!("17/running/slot_phys_reserved.state").to_vec(),
                fixture!("12/wal/00000003.history").to_vec(),
                fixture!("15-debian/wal/00000001000000000000001E.00000028.backup").to_vec(),
                unpack(fixture!("15-debian/wal/seg1MB_000000010000000100000000.gz"))[..3 * 8192].to_vec(),
                fixture!("10/wal/000000010000000000000003.gz")[..4096].to_vec(),
            ]),
            name in prop::sample::select(vec![
                "state", "pg_control", SEGMENT, "000000010000000000000003.gz", "00000002.history", "backup_label",
                "000000010000000000000003.00000028.backup", "000000010000000000000003.partial",
            ]),
        ) {
            if let Err(error) = look_at(name, &bytes) {
                prop_assert!(error.to_string().len() < 4000);
                let _ = error.hint();
            }
        }
    }
}
