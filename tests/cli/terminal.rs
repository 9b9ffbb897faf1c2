//! What a person at a terminal sees, and nobody else does: bars while something takes long, and colours.

use crate::support::*;

/// The same call with a terminal for its standard streams; what appears there comes on standard output.
fn on_a_terminal(scene: &Scene, args: &[&str]) -> Call {
    let call = scene.call_by(&["sh", "-c", "exec script -qec \"$0 $*\" /dev/null"]).args(args);
    call.env("TERM", "xterm").env("SHELL", "/bin/sh")
}

/// A repository that takes seconds to read as slowly as `READ` does.
fn slow() -> Scene {
    let scene = Scene::with_repository("none");
    scene.store_segments(&SEGMENTS);
    scene
}

const READ: [&str; 4] = ["verify", "--full", "--budget", "2MiB/s"];

#[test]
fn what_takes_long_shows_on_a_terminal_how_far_it_is_and_leaves_no_trace_of_that() {
    let scene = slow();
    let mut seen = String::new();
    until("the bar stands at the third file", || {
        // A machine that pauses meanwhile catches up too quickly for that.
        seen = on_a_terminal(&scene, &READ).run().code(0).stdout;
        seen.contains(" 3/5 files, 3.00 MiB, ")
    });
    let (bars, report) = seen.rsplit_once('\r').expect("the bar's line is written again and again");
    assert!(bars.contains(" left"), "{seen:?}");
    assert!(!report.contains(" left"), "{seen:?}");
}

#[test]
fn nobody_else_sees_a_bar() {
    let scene = slow();
    let outcome = scene.call(&READ).run().code(0);
    assert_eq!(outcome.stderr, "");
    let seen = on_a_terminal(&scene, &[&READ[..], &["--quiet"]].concat()).run().code(0).stdout;
    assert!(!seen.contains(" left"), "{seen:?}");
}

#[test]
fn a_verdict_has_a_colour_on_a_terminal_alone_and_where_nobody_objects() {
    let scene = Scene::with_repository("zstd");
    let args = ["status", "-D", "."];
    let has_colour = |seen: &str| seen.contains("\u{1b}[");
    assert!(has_colour(&on_a_terminal(&scene, &args).run().stdout));
    assert!(!has_colour(&on_a_terminal(&scene, &args).env("NO_COLOR", "1").run().stdout));
    assert!(!has_colour(&scene.call(&args).env("TERM", "xterm").run().stdout));
}

#[test]
fn who_asks_by_hand_for_what_is_not_stored_is_told_and_a_servers_log_is_not() {
    let scene = Scene::with_repository("zstd");
    let args = ["restore", SEGMENT, "pg_wal/RECOVERYXLOG"];
    let says = format!("'{SEGMENT}' is not in the repository");
    assert!(on_a_terminal(&scene, &args).run().code(1).stdout.contains(&says));
    let quiet = on_a_terminal(&scene, &[&args[..], &["-q"]].concat()).run().code(1);
    assert!(!quiet.stdout.contains(&says), "{quiet:#?}");
    scene.call(&args).run().silent(1);
}
