//! What a plan is made of. A fact that cannot be read is a failure, never an absent one.

use std::time::SystemTime;

use super::needs::{self, Node};
use super::{PruneError, PruneRequest, holdings_of};
use crate::repository::{Claim, Expected, Form, Hold, Inventory, Repository, RepositoryError, stored_key};
use crate::retention::{BaseBackup, Holdings, Measured, NodeNeeds, Pauses, Pin, PinReason, Policy};
use crate::wal::{BackupLabel, Lineage, SegmentSize, Timeline, WalFileName};

/// What was found, at one moment as near as reading files comes to one.
pub(super) struct Facts {
    pub inventory: Inventory,
    pub segment_size: SegmentSize,
    pub holdings: Holdings,
    /// What nodes and people need, as pins.
    pub needs: Vec<Pin>,
    /// The time that days and holds are counted by: a clock that jumped ahead must not empty an archive.
    pub at: SystemTime,
    pub warnings: Vec<String>,
}

/// Nothing is held against the files that are read here but what their text says: they are no pages.
const EXPECTED: Expected = Expected { system_identifier: None, segment_size: None, header_check: true };

impl Facts {
    /// `None` where the repository is bound to nobody, and nothing is stored of which anything could go.
    /// `list` is asked once claims and holds are read.
    pub(super) fn gather(
        request: &PruneRequest<'_>,
        repository: &Repository<'_>,
        policy: &Policy,
        list: impl FnOnce() -> Result<Inventory, RepositoryError>,
    ) -> Result<Option<Self>, PruneError> {
        let mut claims = needs::claims(request, repository)?;
        let mut nodes = Vec::new();
        for directory in &request.data_directories {
            let node = needs::of_data_directory(directory, request, &mut claims)?;
            needs::refuse_other_cluster(repository.identity(), node.identity)?;
            nodes.push(node);
        }
        let holds = repository.holds()?;
        let inventory = list()?;
        let Some(size) = segment_size(repository, &nodes, &inventory)? else {
            return Ok(None);
        };
        let mut holdings = holdings_of(&inventory, size);
        holdings.backups = base_backups(repository, &inventory)?;
        let has_ended = |hold: &Hold| hold.has_expired(request.origin.now);
        if policy.asks_for_measures() || holds.iter().any(has_ended) {
            holdings.measured = measured(repository, &inventory, size)?;
        }
        let at = reference_time(request, repository, &inventory, &holdings)?;
        let lineage = Lineage::of(&repository.histories(inventory.names(), EXPECTED)?);
        let needs: Vec<NodeNeeds> = claims
            .iter()
            .map(|claim| needs::of_claim(claim, &claims))
            .chain(nodes.into_iter().map(|node| node.needs))
            .collect();
        let newest = newest_timeline(&inventory, &needs);
        let mut pins: Vec<Pin> = needs.iter().flat_map(|node| node.pins(&lineage, newest)).collect();
        let holds_at = without_pauses(&holdings, at);
        pins.extend(holds.iter().filter(|hold| !hold.has_expired(holds_at)).map(hold_pin));
        let mut warnings = told(&claims, &holds, holds_at, request.origin.now);
        warnings.extend(rewind_unknown(&pins, &inventory));
        if needs.is_empty() {
            warnings.push(
                "no data directory is named and no node has claimed what it needs: only the policy, base backups \
                 and holds protect anything"
                    .to_owned(),
            );
        }
        Ok(Some(Self { inventory, segment_size: size, holdings, needs: pins, at, warnings }))
    }
}

/// The size of the segments; `None` where there are none of which to know it.
fn segment_size(
    repository: &Repository<'_>,
    nodes: &[Node],
    inventory: &Inventory,
) -> Result<Option<SegmentSize>, PruneError> {
    let named = nodes.first().map(|node| node.identity.segment_size);
    let known = repository.identity().map(|identity| identity.segment_size).or(named);
    let is_needed = || inventory.files.iter().any(|(name, _)| name.segment().is_some());
    match known {
        None if is_needed() => Err(PruneError::NotBound(repository.location())),
        known => Ok(known),
    }
}

/// The label that `repmgr standby clone` gives (`run_basebackup` in repmgr-action-standby.c).
const CLONE: &str = "repmgr base backup";

/// Every base backup, as its `.backup` file tells it: the name alone tells the timeline that it ended on.
fn base_backups(repository: &Repository<'_>, inventory: &Inventory) -> Result<Vec<BaseBackup>, PruneError> {
    let mut backups: Vec<BaseBackup> = Vec::new();
    for (name, form) in &inventory.files {
        let WalFileName::BackupHistory(..) = name else { continue };
        // In two forms it is still one base backup.
        if backups.last().is_some_and(|last| last.file == *name) {
            continue;
        }
        let Some(text) = repository.fetch_text(*name, EXPECTED)? else { continue };
        let Some(stat) = repository.stat(*name, *form)? else { continue };
        let label = BackupLabel::parse(&text).map_err(|source| PruneError::UnknownBackup {
            file: stored_key(*name, *form).to_string(),
            source,
        })?;
        let is_clone = label.label.as_deref() == Some(CLONE);
        backups.push(BaseBackup { file: *name, start: label.start, stored_at: stat.modified, is_clone });
    }
    Ok(backups)
}

fn measured(
    repository: &Repository<'_>,
    inventory: &Inventory,
    size: SegmentSize,
) -> Result<Vec<Measured>, PruneError> {
    let mut measured = Vec::new();
    for (name, form) in inventory.files.iter().filter(|(name, _)| name.is_pages()) {
        let Some(number) = name.segment().and_then(|segment| segment.number(size)) else { continue };
        // One that is gone since it was listed keeps nothing.
        let Some(stat) = repository.stat(*name, *form)? else { continue };
        measured.push(Measured { number, bytes: stat.size_bytes, modified: stat.modified });
    }
    Ok(measured)
}

/// The earlier of now and when the newest file was archived, so that neither a clock that jumped ahead nor a long
/// standstill makes anything go.
fn reference_time(
    request: &PruneRequest<'_>,
    repository: &Repository<'_>,
    inventory: &Inventory,
    holdings: &Holdings,
) -> Result<SystemTime, PruneError> {
    let now = request.origin.now;
    if let Some(newest) = holdings.measured.iter().map(|one| one.modified).max() {
        return Ok(now.min(newest));
    }
    let pages = inventory.files.iter().filter(|(name, _)| name.is_pages());
    let last: Option<&(WalFileName, Form)> = pages.max_by_key(|(name, _)| name.segment());
    let Some((name, form)) = last else { return Ok(now) };
    let stat = repository.stat(*name, *form)?;
    Ok(stat.map_or(now, |stat| now.min(stat.modified)))
}

/// By what the ends of holds are told: a pause may be a clock that jumped, and ends none.
fn without_pauses(holdings: &Holdings, at: SystemTime) -> SystemTime {
    let pauses = Pauses::between(holdings.measured.iter().map(|one| one.modified), at);
    at.checked_sub(pauses.total()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn newest_timeline(inventory: &Inventory, needs: &[NodeNeeds]) -> Timeline {
    let stored = inventory.files.iter().map(|(name, _)| name.timeline());
    let of_nodes = needs.iter().filter_map(NodeNeeds::timeline);
    stored.chain(of_nodes).max().unwrap_or(Timeline::FIRST)
}

fn hold_pin(hold: &Hold) -> Pin {
    let why = PinReason::Hold { name: hold.name.to_string(), reason: hold.reason.clone() };
    Pin { from: hold.from, why }
}

/// The way out where a node may have to follow a timeline that nobody wants: that of a recovery that was only tried.
fn rewind_unknown(pins: &[Pin], inventory: &Inventory) -> Option<String> {
    let newest = pins.iter().find_map(|pin| match &pin.why {
        PinReason::RewindUnknown { newest, .. } => Some(*newest),
        _ => None,
    })?;
    let names = || inventory.files.iter().map(|(name, _)| *name).filter(|name| name.timeline() == newest);
    let way_out = match names().find(|name| name.history_of().is_some()).or_else(|| names().next()) {
        Some(name) => {
            format!("'walkeep set-aside {name} --reason TEXT' and the same for its other files takes it away")
        }
        None => "the node that is on it holds it: 'walkeep claim remove NODE' where it is gone for good"
            .to_owned(),
    };
    Some(format!(
        "nothing goes while a node may have to be rewound to timeline {newest}; where that timeline was only tried, \
         {way_out}"
    ))
}

/// What people are told each time: claims that grow old, and holds that hold no more.
fn told(claims: &[Claim], holds: &[Hold], at: SystemTime, now: SystemTime) -> Vec<String> {
    let stale = claims.iter().filter(|claim| claim.is_stale(now)).map(|claim| {
        let hours = claim.age(now).as_secs() / 3600;
        format!(
            "the claim of '{node}' is {hours} hours old, and pins what it says all the same: run 'walkeep claim' \
             there from cron, for a standby that streams never asks the archive, or 'walkeep claim remove {node}' \
             where the node is gone for good",
            node = claim.node
        )
    });
    let expired = holds.iter().filter(|hold| hold.has_expired(at)).map(|hold| {
        format!("hold '{0}' has ended, and holds nothing; 'walkeep hold remove {0}' takes it away", hold.name)
    });
    stale.chain(expired).collect()
}
