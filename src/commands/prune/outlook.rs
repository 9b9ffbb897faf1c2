//! An outlook: what pruning would do now, and how fast the repository grows. Nothing is changed.

use std::time::{Duration, SystemTime};

use super::facts::Facts;
use super::{Decided, PruneError, PruneRequest};
use crate::health::{Growth, PinFacts, RetentionFacts};
use crate::repository::{Inventory, Repository};
use crate::retention::{Item, Pin};
use crate::wal::{SegmentNumber, SegmentSize};

/// Tells what a prune would do, of a repository that was listed already; `None` where there is nothing to prune.
/// Sizes are looked at only where `measures` says so: that is a look at each file that goes or stays for one pin.
///
/// # Errors
/// When a fact cannot be read that a prune has to know: it would remove nothing.
pub fn outlook(
    request: &PruneRequest<'_>,
    repository: &Repository<'_>,
    inventory: Inventory,
    measures: bool,
) -> Result<Option<RetentionFacts>, PruneError> {
    let Some(facts) = Facts::gather(request, repository, &request.policy, || Ok(inventory))? else {
        return Ok(None);
    };
    let decided = Decided::of(&facts, &request.policy);
    let removals = decided.plan.removals();
    let is_file = |item: &Item| matches!(item, Item::File { .. });
    let mut told = RetentionFacts {
        is_licensed: decided.licensed,
        pins: decided.pins.iter().map(pin_facts).collect(),
        removable_files: removals.iter().filter(|(_, item)| is_file(item)).count() as u64,
        ..RetentionFacts::default()
    };
    if measures {
        let places = removals.iter().map(|(place, _)| *place);
        told.removable_bytes = Some(bytes_at(repository, &decided, places)?);
        told.held_alone_bytes = held_alone(repository, &decided, facts.segment_size)?;
        told.growth = growth(repository, &facts.inventory, request.origin.now)?;
    }
    Ok(Some(told))
}

fn pin_facts(pin: &Pin) -> PinFacts {
    let (is_policy, moves_on) = (pin.why.is_policy(), pin.why.moves_on());
    PinFacts { from: pin.from, who: pin.why.to_string(), is_policy, moves_on }
}

fn bytes_at(
    repository: &Repository<'_>,
    decided: &Decided<'_>,
    places: impl IntoIterator<Item = usize>,
) -> Result<u64, PruneError> {
    let mut bytes: u64 = 0;
    for place in places {
        let Some((name, form)) = decided.inventory.files.get(place) else { continue };
        let stat = repository.stat(*name, *form)?;
        bytes = bytes.saturating_add(stat.map_or(0, |stat| stat.size_bytes));
    }
    Ok(bytes)
}

/// What the earliest pin keeps and the next one does not.
fn held_alone(
    repository: &Repository<'_>,
    decided: &Decided<'_>,
    size: SegmentSize,
) -> Result<Option<u64>, PruneError> {
    let [first, next, ..] = decided.pins.as_slice() else { return Ok(None) };
    let of = |pin: &Pin| SegmentNumber::containing(pin.from, size);
    let alone = of(first)..of(next);
    let is_alone = |place: &usize| {
        let name = decided.inventory.files.get(*place).and_then(|(name, _)| name.segment());
        name.and_then(|segment| segment.number(size)).is_some_and(|number| alone.contains(&number))
    };
    let places = (0..decided.inventory.files.len()).filter(is_alone);
    bytes_at(repository, decided, places).map(Some)
}

/// How far back it is looked at what was archived.
const WINDOW: Duration = Duration::from_secs(86_400);
/// At how many files at most.
const MOST_FILES: usize = 10_000;
/// A shorter time tells no rate.
const SHORTEST: Duration = Duration::from_secs(600);

/// What was archived within the last day, by the times of the newest files.
fn growth(
    repository: &Repository<'_>,
    inventory: &Inventory,
    now: SystemTime,
) -> Result<Option<Growth>, PruneError> {
    let (mut bytes, mut over): (u64, Duration) = (0, Duration::ZERO);
    let pages = inventory.files.iter().rev().filter(|(name, _)| name.is_pages());
    // A dead branch may have the highest number: it is left at its end, for the one that grows.
    let (mut looked_at, mut left) = (0, None);
    for (name, form) in pages {
        if left == Some(name.timeline()) {
            continue;
        }
        looked_at += 1;
        if looked_at > MOST_FILES {
            break;
        }
        let Some(stat) = repository.stat(*name, *form)? else { continue };
        // A time from the future counts as now.
        let age = now.duration_since(stat.modified).unwrap_or_default();
        if age > WINDOW {
            over = WINDOW;
            left = Some(name.timeline());
            continue;
        }
        bytes = bytes.saturating_add(stat.size_bytes);
        over = over.max(age);
    }
    Ok((over >= SHORTEST).then_some(Growth { bytes, over }))
}
