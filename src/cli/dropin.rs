//! The program under the names `sys_archivecleanup` and `pg_archivecleanup`: their arguments, output and exit codes
//! as of PostgreSQL 17, so that a link in their place is all that an existing configuration needs.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::USAGE;
use super::args::Common;
use super::getopt::{Known, Wrong, parse};
use super::now::origin;
use super::settings::Settings;
use super::stderr::{Stderr, print};
use crate::commands::{
    Cleaned, CleanupError, CleanupRequest, CleanupStep, Hint as _, OldestKept, PruneRequest, archivecleanup,
    prune_seen,
};
use crate::output::{CleanupMessages, CleanupUsage};
use crate::retention::Policy;
use crate::storage::DirectoryStore;

/// The names that it goes by.
const NAMES: [&str; 2] = ["sys_archivecleanup", "pg_archivecleanup"];

/// Exit code of whatever is no usage error.
const FAILED: u8 = 1;

const OPTIONS: [Known; 4] = [
    Known { short: b'b', long: "clean-backup-history", takes_value: false },
    Known { short: b'd', long: "debug", takes_value: false },
    Known { short: b'n', long: "dry-run", takes_value: false },
    Known { short: b'x', long: "strip-extension", takes_value: true },
];

/// The name that the program was called by, where it is one of those.
pub(super) fn called_as(typed: &[OsString]) -> Option<String> {
    let name = Path::new(typed.first()?).file_name()?.to_str()?;
    NAMES.contains(&name).then(|| name.to_owned())
}

/// Runs one call, and returns its exit code.
pub(super) fn run(program: &str, typed: &[OsString]) -> u8 {
    let messages = CleanupMessages { program };
    // The first word alone is looked at, as the original does: behind others these two are no options.
    match typed.get(1).and_then(|word| word.to_str()) {
        Some("--help" | "-?") => return u8::from(!print(&messages.help())),
        Some("--version" | "-V") => return u8::from(!print(&messages.version())),
        _ => {}
    }
    match understand(typed) {
        Ok(call) => clean_up(&call, &messages),
        Err(fault) => {
            Stderr::raw(&messages.usage(&fault));
            USAGE
        }
    }
}

/// A call that makes sense.
struct Call {
    request: CleanupRequest,
    debug: bool,
}

fn understand(typed: &[OsString]) -> Result<Call, CleanupUsage> {
    let (program, words) = typed.split_first().ok_or(CleanupUsage::NoLocation)?;
    // The C library tells the name as it was typed, the program's own messages only its last part.
    let wrong = |Wrong(line)| CleanupUsage::Option(format!("{}: {line}", program.to_string_lossy()));
    let typed = parse(&OPTIONS, words).map_err(wrong)?;
    let given = |option: u8| typed.options.iter().any(|(short, _)| *short == option);
    let extension = typed.options.iter().rfind(|(short, _)| *short == b'x').map(|(_, value)| value.clone());
    let (location, oldest_kept) = match typed.arguments.as_slice() {
        [] => return Err(CleanupUsage::NoLocation),
        [_] => return Err(CleanupUsage::NoOldestKept),
        [location, oldest_kept] => (location, oldest_kept),
        _ => return Err(CleanupUsage::TooMany),
    };
    let request = CleanupRequest {
        location: location.into(),
        oldest_kept: oldest_kept.clone(),
        extension: extension.unwrap_or_default(),
        backup_histories: given(b'b'),
        dry_run: given(b'n'),
    };
    Ok(Call { request, debug: given(b'd') })
}

fn clean_up(call: &Call, messages: &CleanupMessages<'_>) -> u8 {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut printed = Ok(());
    let mut see = |step: CleanupStep<'_>| {
        if let CleanupStep::WouldRemove(path) = step
            && printed.is_ok()
        {
            printed = write_line(&mut out, path);
        }
        if call.debug {
            Stderr::raw(&messages.debug(step));
        }
    };
    let code = match archivecleanup(&call.request, &mut see) {
        Ok(Cleaned::Done) => 0,
        Ok(Cleaned::Repository(oldest_kept)) => prune_repository(call, &oldest_kept, messages, &mut see),
        Err(error) => {
            Stderr::raw(&messages.failure(&error));
            exit_code(&error)
        }
    };
    let printed = printed.and_then(|()| out.flush());
    if code == 0 { u8::from(printed.is_err()) } else { code }
}

/// In a repository one name alone is no reason to remove anything: what it licenses goes as far as nobody else
/// needs it, each file with its digest, and base backups' histories with the beginning of their backups.
fn prune_repository(
    call: &Call,
    oldest_kept: &OldestKept,
    messages: &CleanupMessages<'_>,
    see: &mut dyn FnMut(CleanupStep<'_>),
) -> u8 {
    let CleanupRequest { location, dry_run, .. } = &call.request;
    let failed = |error: &dyn Error, hint| {
        Stderr::raw(&messages.not_pruned(location.as_os_str(), error, hint));
        FAILED
    };
    let settings = match Settings::resolve(&Common::default(), false) {
        Ok(settings) => settings,
        Err(error) => return failed(&error, error.hint()),
    };
    let oldest_kept = match oldest_kept.as_str().parse() {
        Ok(oldest_kept) => oldest_kept,
        Err(error) => return failed(&error, None),
    };
    let (store, origin) = (DirectoryStore::new(location.clone()), origin(&settings));
    let request = PruneRequest {
        policy: Policy::default(),
        oldest_kept: Some(oldest_kept),
        dry_run: *dry_run,
        ..super::prune::request(location.clone(), &store, &settings, &origin)
    };
    let outcome = prune_seen(&request, &mut |key| {
        let shown = location.join(key.as_str());
        let shown = shown.as_os_str();
        see(if *dry_run { CleanupStep::WouldRemove(shown) } else { CleanupStep::Removing(shown) });
    });
    match outcome {
        Ok(report) => {
            if call.debug {
                Stderr::raw(&messages.pinned(&report));
            }
            0
        }
        Err(error) => failed(&error, error.hint()),
    }
}

fn write_line(out: &mut impl io::Write, path: &OsStr) -> io::Result<()> {
    out.write_all(path.as_bytes())?;
    out.write_all(b"\n")
}

/// As PostgreSQL 15 and later: what was typed wrong is 2, what went wrong is 1, where older ones said 0.
const fn exit_code(error: &CleanupError) -> u8 {
    match error {
        CleanupError::NoSuchLocation(_) | CleanupError::NotAWalFile => USAGE,
        CleanupError::Live { .. }
        | CleanupError::Unknown { .. }
        | CleanupError::NotOpened { .. }
        | CleanupError::NotRead { .. }
        | CleanupError::NotRemoved { .. } => FAILED,
    }
}
