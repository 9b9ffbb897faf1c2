//! The order of system calls, which is what a power loss leaves a trace of: bytes are durable before their name
//! appears, the name is durable before the server hears of it.

use crate::trace::lines;
use crate::workplace::{FIRST, HISTORY, SECOND, Shape, Workplace, ZSTD};

/// Positions of the calls that matter, for one published file.
struct Publication {
    last_write: usize,
    fsync: usize,
    link: usize,
}

fn publication(trace: &[String], target: &str) -> Publication {
    let link = trace.iter().position(|call| call.starts_with("linkat(") && call.contains(target));
    let link = link.unwrap_or_else(|| panic!("no link to {target} in {trace:#?}"));
    let staged = trace[link].split('"').nth(1).and_then(|path| path.rsplit('/').next()).unwrap();
    let of_staged =
        |name: &str, call: &String| call.starts_with(name) && call.contains(&format!("/{staged}>"));
    let last = |name: &str| trace.iter().rposition(|call| of_staged(name, call));
    Publication {
        last_write: last("write(")
            .max(last("pwrite64("))
            .unwrap_or_else(|| panic!("{staged} was not written: {trace:#?}")),
        fsync: last("fsync(").expect("it was synced"),
        link,
    }
}

/// Whether a call is an fsync of the repository directory itself.
fn syncs_repository(call: &str) -> bool {
    call.starts_with("fsync(") && call.contains("/repo>")
}

fn bytes_then_name_then_directory(place: &Workplace, name: &str, targets: &[String]) {
    let trace = lines(&place.archive(name), &place.path("trace"));
    let mut last_link = 0;
    for target in targets {
        let found = publication(&trace, target);
        assert!(found.last_write < found.fsync, "{target} is written after its fsync");
        assert!(found.fsync < found.link, "{target} has its name before its bytes are durable");
        last_link = last_link.max(found.link);
    }
    let synced = trace.iter().rposition(|call| syncs_repository(call)).expect("the directory is synced");
    assert!(last_link < synced, "the directory is synced before the name is there");
    let end = trace.iter().position(|call| call.starts_with("exit_group(0")).expect("success");
    assert!(synced < end);
    assert_eq!(place.staging(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_packed_segment_is_durable_before_its_name_and_its_name_before_success() {
    let place = Workplace::new(ZSTD);
    bytes_then_name_then_directory(&place, SECOND, &[format!("/repo/{SECOND}.zst\"")]);
}

#[test]
fn a_plain_segment_and_its_digest_are_durable_before_success() {
    let place = Workplace::new(Shape { plain: true, ..ZSTD });
    let targets = [format!("/repo/{SECOND}\""), format!("/repo/{SECOND}.sha256\"")];
    bytes_then_name_then_directory(&place, SECOND, &targets);
}

#[test]
fn a_history_is_durable_before_success() {
    let place = Workplace::new(ZSTD);
    bytes_then_name_then_directory(&place, HISTORY, &[format!("/repo/{HISTORY}\"")]);
}

/// Where a stamp gets its name.
fn stamped(trace: &[String], name: &str) -> usize {
    let is_stamp =
        |call: &String| call.starts_with("rename(") && call.contains(&format!("/stamps/{name}.json\""));
    trace.iter().position(is_stamp).unwrap_or_else(|| panic!("no stamp of {name} in {trace:#?}"))
}

#[test]
fn what_is_found_stored_is_made_durable_before_it_is_remembered_and_before_success() {
    for plain in [false, true] {
        let place = Workplace::new(Shape { plain, second_is_there: true, ..ZSTD });
        let trace = lines(&place.archive(SECOND), &place.path("trace"));
        let stored = |call: &String| call.starts_with("fsync(") && call.contains(&format!("/repo/{SECOND}"));
        let file = trace.iter().position(stored).expect("the file is synced");
        let directory =
            trace.iter().position(|call| syncs_repository(call)).expect("the directory is synced");
        assert!(file.max(directory) < stamped(&trace, SECOND), "{trace:#?}");
    }
}

#[test]
fn what_is_remembered_as_stored_was_durable_first_and_is_confirmed_without_reading_or_syncing_anything() {
    for plain in [false, true] {
        let place = Workplace::new(Shape { plain, ..ZSTD });
        place.rest();
        let trace = lines(&place.archive(SECOND), &place.path("trace"));
        let suffix = if plain { "" } else { ".zst" };
        let link = publication(&trace, &format!("/repo/{SECOND}{suffix}\"")).link;
        let synced = trace.iter().rposition(|call| syncs_repository(call)).expect("the directory is synced");
        assert!(link < synced && synced < stamped(&trace, SECOND), "{trace:#?}");

        let trace = lines(&place.archive(SECOND), &place.path("trace"));
        let of_content = |call: &&String| {
            let reads = call.starts_with("read(") || call.starts_with("pread64(");
            let is_content = call.contains(&format!("/pg_wal/{SECOND}>"))
                || call.contains(&format!("/repo/{SECOND}{suffix}>"));
            call.starts_with("fsync(") || reads && is_content
        };
        assert_eq!(trace.iter().find(of_content), None, "{trace:#?}");
    }
}

#[test]
fn drain_marks_a_file_after_its_name_is_durable_and_its_marks_are_durable_before_success() {
    let place = Workplace::new(ZSTD);
    let drain = place.walkeep(&["drain", "-D", "data", "--repo", "repo", "--mark-done", "-j", "1"]);
    let trace = lines(&drain, &place.path("trace"));
    let is_mark = |call: &String| call.starts_with("rename(") && call.contains("/archive_status/");
    let marks: Vec<usize> =
        trace.iter().enumerate().filter(|(_, call)| is_mark(call)).map(|(at, _)| at).collect();
    assert_eq!(marks.len(), 3, "{trace:#?}");
    for (at, name) in marks.iter().zip([HISTORY, FIRST, SECOND]) {
        assert!(
            trace[*at].contains(&format!("/{name}.ready\", ")),
            "marks follow the server's order: {trace:#?}"
        );
        let name_is_there = |call: &String| {
            let stored = call.contains(&format!("/repo/{name}"));
            // FIRST was stored before: its file is synced again.
            stored && (call.starts_with("linkat(") || call.starts_with("fsync("))
        };
        let named = trace[..*at].iter().rposition(name_is_there).expect("it is stored before it is marked");
        assert!(trace[named..*at].iter().any(|call| syncs_repository(call)), "{name}: {trace:#?}");
    }
    let synced =
        trace.iter().rposition(|call| call.starts_with("fsync(") && call.contains("/archive_status>"));
    let end = trace.iter().position(|call| call.starts_with("exit_group(0")).expect("success");
    assert!(
        synced.is_some_and(|synced| marks.iter().all(|mark| *mark < synced) && synced < end),
        "{trace:#?}"
    );
}

#[test]
fn the_file_that_was_asked_for_is_durable_before_another_is_begun_and_each_before_it_is_remembered() {
    let place = Workplace::new(ZSTD);
    place.rest();
    let archive = place.archive_all(SECOND);
    let trace = lines(&archive, &place.path("trace"));
    let begun = |name: &str| {
        let opens =
            |call: &String| call.starts_with("openat(") && call.contains(&format!("/pg_wal/{name}\""));
        trace.iter().position(opens).unwrap_or_else(|| panic!("{name} is not opened: {trace:#?}"))
    };
    let named = |target: &str| publication(&trace, &format!("/repo/{target}\"")).link;
    let synced_between =
        |from: usize, to: usize| from < to && trace[from..to].iter().any(|call| syncs_repository(call));
    let asked = named(&format!("{SECOND}.zst"));
    assert!(synced_between(asked, begun(HISTORY)), "{trace:#?}");
    assert!(synced_between(asked, stamped(&trace, SECOND)), "{trace:#?}");
    assert!(synced_between(named(HISTORY), stamped(&trace, HISTORY)), "{trace:#?}");
    // The histories are durable before a segment is begun.
    assert!(synced_between(named(HISTORY), begun(FIRST)), "{trace:#?}");
}
