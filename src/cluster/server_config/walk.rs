//! A walk: a configuration file and what it includes, read in the order of the server (guc-file.l and
//! conffiles.c, `ParseConfigFp` and `ParseConfigDirectory`).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::scanner::{self, Assignment};
use super::{ConfigFault, FaultKind, MOST_BYTES, MOST_DEPTH, MOST_FILES, MOST_SETTINGS, Origin, Setting};
use crate::cluster::open_regular;

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    pub settings: Vec<Setting>,
    pub faults: Vec<ConfigFault>,
    pub files: Vec<PathBuf>,
    read_bytes: u64,
    includes: usize,
    parents: Parents,
}

/// How a server goes up from a directory by `..`, which differs where that is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parents {
    /// As the kernel does.
    #[default]
    ByKernel,
    /// By the text of the path: `canonicalize_path` in 15 and later.
    ByText,
}

/// Whose settings a file makes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Configuration,
    RecoveryConf,
}

/// A place in a file that asks for another file.
#[derive(Clone, Copy)]
struct Caller<'a> {
    file: &'a Path,
    line: u32,
    depth: u32,
    kind: Kind,
}

/// A server gives a file up after so many syntax errors.
const MOST_SYNTAX_ERRORS: usize = 100;

/// Loops make faults quicker than settings. What may hide settings is kept beyond them.
const MOST_FAULTS: usize = 1000;

impl Walk {
    pub fn new(parents: Parents) -> Self {
        Self { parents, ..Self::default() }
    }

    /// Takes all settings from a file and what it includes. One that is not there is a fault if it has to be.
    pub fn follow(&mut self, file: &Path, kind: Kind, must_exist: bool) {
        if let Some(text) = self.read(file, file, None, must_exist) {
            self.take(file, &text, 0, kind);
        }
    }

    pub fn fault(&mut self, file: &Path, line: Option<u32>, kind: FaultKind) {
        let fault = ConfigFault { file: file.to_path_buf(), line, kind };
        if self.faults.len() < MOST_FAULTS || fault.hides_settings() {
            self.faults.push(fault);
        }
    }

    /// Reads a file whole, within the bounds of a configuration; `None` where it cannot be read, which is a
    /// fault of the place that asks for it.
    pub fn read(&mut self, path: &Path, by: &Path, line: Option<u32>, must_exist: bool) -> Option<Vec<u8>> {
        let target = path.to_path_buf();
        let left = MOST_BYTES - self.read_bytes;
        match read_bounded(path, left) {
            Ok(Some(bytes)) => {
                self.read_bytes += u64::try_from(bytes.len()).unwrap_or(left).min(left);
                self.files.push(target);
                return Some(bytes);
            }
            Ok(None) => self.fault(by, line, FaultKind::TooLong { target }),
            Err(error) if is_absent(&error) && !must_exist => {}
            Err(error) if is_absent(&error) => self.fault(by, line, FaultKind::Missing { target }),
            Err(error) => self.fault(by, line, FaultKind::Unreadable { target, cause: error.to_string() }),
        }
        None
    }

    fn take(&mut self, file: &Path, text: &[u8], depth: u32, kind: Kind) {
        let mut errors = 0;
        for (line, parsed) in scanner::lines(text) {
            match parsed {
                Ok(set) => self.obey(set, Caller { file, line, depth, kind }),
                Err(error) => {
                    self.fault(file, Some(line), FaultKind::Syntax { text: error.near });
                    errors += 1;
                }
            }
            if errors >= MOST_SYNTAX_ERRORS {
                return self.fault(file, Some(line), FaultKind::TooManySyntaxErrors);
            }
            if self.settings.len() >= MOST_SETTINGS {
                return self.fault(file, Some(line), FaultKind::TooLong { target: file.to_path_buf() });
            }
        }
    }

    fn obey(&mut self, set: Assignment, at: Caller<'_>) {
        match set.name.as_str() {
            "include" => self.include(&set.value, at, true),
            "include_if_exists" => self.include(&set.value, at, false),
            "include_dir" => self.include_directory(&set.value, at),
            _ => {
                let (file, line) = (at.file.to_path_buf(), at.line);
                let origin = match at.kind {
                    Kind::Configuration => Origin::File { file, line },
                    Kind::RecoveryConf => Origin::RecoveryConf { file, line },
                };
                let value = String::from_utf8_lossy(&set.value).into_owned();
                self.settings.push(Setting { name: set.name, value, origin });
            }
        }
    }

    fn include(&mut self, name: &[u8], by: Caller<'_>, must_exist: bool) {
        if let Some(target) = self.target(name, by) {
            self.include_file(&target, by, must_exist);
        }
    }

    /// Whether one more include is within the bounds; the first that is not is a fault.
    fn may_include(&mut self, target: &Path, by: Caller<'_>) -> bool {
        self.includes = self.includes.saturating_add(1);
        if self.includes == MOST_FILES + 1 {
            let kind = FaultKind::TooLong { target: target.to_path_buf() };
            self.fault(by.file, Some(by.line), kind);
        }
        self.includes <= MOST_FILES
    }

    fn include_file(&mut self, target: &Path, by: Caller<'_>, must_exist: bool) {
        if !self.may_include(target, by) {
            return;
        }
        let depth = by.depth + 1;
        if depth > MOST_DEPTH {
            let kind = FaultKind::TooDeep { target: target.to_path_buf() };
            return self.fault(by.file, Some(by.line), kind);
        }
        if target == by.file {
            return self.fault(by.file, Some(by.line), FaultKind::IncludesItself);
        }
        if let Some(text) = self.read(target, by.file, Some(by.line), must_exist) {
            self.take(target, &text, depth, by.kind);
        }
    }

    fn include_directory(&mut self, name: &[u8], by: Caller<'_>) {
        let Some(directory) = self.target(name, by) else { return };
        if !self.may_include(&directory, by) {
            return;
        }
        match conf_files(&directory) {
            Ok(Some(names)) => {
                for name in names {
                    // The directory makes no depth of its own: ParseConfigDirectory hands its own one on.
                    self.include_file(&directory.join(name), by, true);
                }
            }
            Ok(None) => self.fault(by.file, Some(by.line), FaultKind::TooLong { target: directory }),
            Err(error) if is_absent(&error) => {
                self.fault(by.file, Some(by.line), FaultKind::Missing { target: directory });
            }
            Err(error) => {
                let kind = FaultKind::Unreadable { target: directory, cause: error.to_string() };
                self.fault(by.file, Some(by.line), kind);
            }
        }
    }

    /// The path that an include means: one that is relative starts at the file that includes it.
    fn target(&mut self, name: &[u8], by: Caller<'_>) -> Option<PathBuf> {
        if name.iter().all(|byte| b" \t\r\n".contains(byte)) {
            self.fault(by.file, Some(by.line), FaultKind::EmptyInclude);
            return None;
        }
        let path = path_of(name);
        if path.is_absolute() {
            return Some(path.to_path_buf());
        }
        Some(without_dots(&by.file.parent()?.join(path), self.parents))
    }
}

pub(super) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// A path without `.`, and without `..` where the server takes that away by the text alone.
fn without_dots(path: &Path, parents: Parents) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if parents == Parents::ByText => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// `None` for a file that is longer.
fn read_bounded(path: &Path, most_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = open_regular(path)?.take(most_bytes + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(read).is_ok_and(|read| read <= most_bytes).then_some(bytes))
}

/// The names that a server takes from a directory, as it sorts them; `None` for too many.
fn conf_files(directory: &Path) -> io::Result<Option<Vec<OsString>>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !is_conf_name(name.as_bytes()) || fs::metadata(directory.join(&name))?.is_dir() {
            continue;
        }
        if names.len() >= MOST_FILES {
            return Ok(None);
        }
        names.push(name);
    }
    names.sort();
    Ok(Some(names))
}

fn is_conf_name(name: &[u8]) -> bool {
    name.len() > b".conf".len() && name.ends_with(b".conf") && !name.starts_with(b".")
}
