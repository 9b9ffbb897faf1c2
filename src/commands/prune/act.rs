use std::collections::{BTreeMap, BTreeSet};

use super::{Decided, PruneError, PruneReport};
use crate::commands::Progress;
use crate::repository::{MarkGroup, Repository, RepositoryError};
use crate::retention::{Item, Judgement, Verdict};
use crate::storage::{Key, StoreLock};
use crate::wal::{SegmentName, WalFileName};

/// Removes what the plan says in its order, up to the first file that does not go. Whenever it ends, what is left
/// of each timeline is its end, and the next run goes on.
pub(super) fn remove(
    repository: &Repository<'_>,
    decided: &Decided<'_>,
    report: &mut PruneReport,
    turn: &dyn StoreLock,
    see: &mut dyn FnMut(&Key, Progress),
) -> Result<(), PruneError> {
    let mut removed = 0;
    let removals = decided.plan.removals();
    let total_files = removals.len() as u64;
    for (place, item) in removals {
        let progress = Progress { done_files: removed, total_files, ..Progress::default() };
        see(&decided.key_of(place, item), progress);
        match remove_one(repository, decided, place, item, turn) {
            Ok(()) => removed += 1,
            Err(source) => {
                let _ = repository.settle_removal();
                return Err(PruneError::Stopped { removed, source });
            }
        }
    }
    if removed > 0 {
        repository.settle_removal().map_err(|source| PruneError::Stopped { removed, source })?;
    }
    forget(repository, decided, report);
    Ok(())
}

fn remove_one(
    repository: &Repository<'_>,
    decided: &Decided<'_>,
    place: usize,
    item: Item,
    turn: &dyn StoreLock,
) -> Result<(), RepositoryError> {
    // Whoever took it away meanwhile has done no harm.
    let _was_there = match (item, decided.form_at(place)) {
        (Item::File { name, .. }, Some(form)) => repository.remove_stored(name, form, turn)?,
        (Item::Sidecar(name), _) => repository.remove_sidecar(name, turn)?,
        (Item::File { .. }, None) => false,
    };
    Ok(())
}

/// Forgets what was remembered of files that are gone; also what a run that was killed has left.
fn forget(repository: &Repository<'_>, decided: &Decided<'_>, report: &PruneReport) {
    if report.horizon.is_none() || !decided.licensed {
        return;
    }
    let rule = *decided.plan.rule();
    let goes = |name: WalFileName| rule.judge(Item::File { name, plain: true }).verdict == Verdict::Remove;
    repository.forget_stamps(goes);
    let emptied = emptied_groups(decided);
    if !emptied.is_empty() {
        repository.forget_marks(|group| !emptied.contains(group));
    }
}

/// The groups of marks of which every file is gone.
fn emptied_groups(decided: &Decided<'_>) -> BTreeSet<MarkGroup> {
    // One name stands for a group: a million names have few, and they come sorted.
    let mut is_empty: BTreeMap<MarkGroup, bool> = BTreeMap::new();
    let mut last: Option<(SegmentName, Verdict)> = None;
    for (item, Judgement { verdict, .. }) in decided.plan.judged() {
        let Some(segment) = item.name().segment() else { continue };
        if last.is_some_and(|(before, same)| before.shares_log_with(segment) && same == *verdict) {
            continue;
        }
        last = Some((segment, *verdict));
        let empty = is_empty.entry(MarkGroup::of(item.name())).or_insert(true);
        *empty &= *verdict == Verdict::Remove;
    }
    is_empty.into_iter().filter(|(_, empty)| *empty).map(|(group, _)| group).collect()
}
