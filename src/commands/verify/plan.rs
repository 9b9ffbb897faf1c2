//! Which stored files have to be read now, and in which order.

use std::ops::Range;
use std::time::SystemTime;

use super::report::{Finding, VerifyReport};
use crate::repository::{Form, Mark, MarkGroup, Marks, Repository};
use crate::wal::WalFileName;

/// One name to be read, in all its forms: places in the list of stored files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Work {
    pub files: Range<usize>,
    pub stored_bytes: u64,
    turn: Turn,
}

/// When a name's turn comes: what was read longest ago comes first, then what was never read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Turn {
    Expired(SystemTime),
    NeverRead,
}

/// Decides for every stored name whether it is read; what is not is counted as known from its mark.
pub(super) fn plan(
    repository: &Repository<'_>,
    files: &[(WalFileName, Form)],
    now: SystemTime,
    full: bool,
    report: &mut VerifyReport,
) -> Vec<Work> {
    let mut work = Vec::new();
    let mut cached: Option<(MarkGroup, Marks)> = None;
    let mut at = 0;
    for forms in files.chunk_by(|(one, _), (other, _)| one == other) {
        let range = at..at + forms.len();
        at = range.end;
        let group = forms.first().map(|(name, _)| MarkGroup::of(*name));
        if let Some(group) = group.filter(|group| cached.as_ref().is_none_or(|(known, _)| known != group)) {
            let marks = repository.marks(&group);
            cached = Some((group, marks));
        }
        let Some((_, marks)) = &cached else { continue };
        match look(repository, forms, marks, now, full) {
            Looked::Marked(marked) => {
                for (name, form, stored_bytes, bytes) in marked {
                    report.learn_segment_size(name, bytes);
                    report.from_marks.add(stored_bytes, bytes);
                    report.files.entry((name.kind(), form)).or_default().add(stored_bytes, bytes);
                }
            }
            Looked::ToRead { stored_bytes, turn } => work.push(Work { files: range, stored_bytes, turn }),
            Looked::Vanished => report.vanished_files += forms.len() as u64,
            Looked::Failed(finding) => report.find(finding),
        }
    }
    work.sort_by_key(|work| work.turn);
    work
}

enum Looked {
    Marked(Vec<(WalFileName, Form, u64, u64)>),
    ToRead { stored_bytes: u64, turn: Turn },
    Vanished,
    Failed(Finding),
}

/// Looks at one name in all its forms. They are read together: it takes both to see that they differ.
fn look(
    repository: &Repository<'_>,
    forms: &[(WalFileName, Form)],
    marks: &Marks,
    now: SystemTime,
    full: bool,
) -> Looked {
    let mut marked = Vec::new();
    let mut stored_bytes = 0;
    let mut turn: Option<Turn> = None;
    let mut seen = false;
    for (name, form) in forms.iter().copied() {
        let stat = match repository.stat(name, form) {
            Ok(Some(stat)) => stat,
            Ok(None) => continue,
            Err(error) => return Looked::Failed(Finding::of(repository.locate(name, form), &error)),
        };
        seen = true;
        stored_bytes += stat.size_bytes;
        let mark = marks.get(name, form).filter(|mark| mark.is_of(&stat));
        let mark = mark.filter(|mark| form != Form::Plain || agrees(repository, name, mark));
        match mark {
            _ if full => turn = Some(Turn::NeverRead),
            None => turn = Some(turn.map_or(Turn::NeverRead, |turn| turn.min(Turn::NeverRead))),
            Some(mark) if mark.has_expired(now) => {
                let expired = Turn::Expired(mark.verified_at());
                turn = Some(turn.map_or(expired, |turn| turn.min(expired)));
            }
            Some(mark) => marked.push((name, form, stat.size_bytes, mark.bytes())),
        }
    }
    match turn {
        Some(turn) => Looked::ToRead { stored_bytes, turn },
        None if seen => Looked::Marked(marked),
        None => Looked::Vanished,
    }
}

/// A digest that was changed beside an untouched file: whoever restores it would be refused.
fn agrees(repository: &Repository<'_>, name: WalFileName, mark: &Mark) -> bool {
    repository.mark_agrees_with_sidecar(name, mark).unwrap_or(false)
}
