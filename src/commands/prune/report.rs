use std::collections::BTreeMap;

use super::facts::Facts;
use super::{Decided, PruneError, PruneRequest};
use crate::repository::Repository;
use crate::retention::{Horizon, Item, Pin, Verdict};
use crate::wal::{SegmentName, SegmentSize, Timeline};

/// What was removed, or would be, and who needs the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PruneReport {
    /// Where the repository lies.
    pub repository: String,
    /// Whether everything was left as it is.
    pub dry_run: bool,
    /// What came of it.
    pub standing: Standing,
    /// The size of the segments, where it is known.
    pub segment_size: Option<SegmentSize>,
    /// Every reason to keep WAL, the earliest first.
    pub pins: Vec<Pin>,
    /// The earliest of them.
    pub horizon: Option<Horizon>,
    /// What goes and what stays of each timeline.
    pub timelines: BTreeMap<Timeline, PruneTally>,
    /// Digests that go without their files.
    pub orphan_digests: u64,
    /// Stored bytes that a dry run would free.
    pub bytes: Option<u64>,
    /// What people should know beside.
    pub warnings: Vec<String>,
}

/// What came of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A plan was made, and carried out unless it was a dry run.
    Planned,
    /// No policy says that anything may go.
    NoPolicy,
    /// The server does not know yet what it needs.
    NotYet,
    /// Nothing is stored of which anything could go.
    Empty,
}

impl Standing {
    /// The short name in machine-readable output; never changes its meaning.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::NoPolicy => "no_policy",
            Self::NotYet => "not_yet",
            Self::Empty => "empty",
        }
    }
}

/// What becomes of the files of one timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PruneTally {
    /// WAL files that go.
    pub goes: u64,
    /// WAL files that stay, histories among them.
    pub stays: u64,
    /// Stored bytes that a dry run would free.
    pub bytes: Option<u64>,
    /// The first segment that goes.
    pub first_gone: Option<SegmentName>,
    /// The last segment that goes.
    pub last_gone: Option<SegmentName>,
    /// The first segment that stays.
    pub first_kept: Option<SegmentName>,
}

impl PruneReport {
    pub(super) fn empty(request: &PruneRequest<'_>, standing: Standing) -> Self {
        Self {
            repository: request.store.location(),
            dry_run: request.dry_run,
            standing,
            segment_size: None,
            pins: Vec::new(),
            horizon: None,
            timelines: BTreeMap::new(),
            orphan_digests: 0,
            bytes: None,
            warnings: Vec::new(),
        }
    }

    pub(super) fn of(request: &PruneRequest<'_>, decided: &Decided<'_>, facts: &Facts) -> Self {
        let mut report = Self {
            segment_size: Some(facts.segment_size),
            pins: decided.pins.clone(),
            horizon: decided.plan.rule().horizon(),
            warnings: facts.warnings.clone(),
            ..Self::empty(request, if decided.licensed { Standing::Planned } else { Standing::NoPolicy })
        };
        for (item, judgement) in decided.plan.judged() {
            match item {
                Item::File { .. } => report.count(*item, judgement.verdict),
                Item::Sidecar(_) => {
                    let is_orphan = judgement.reason == crate::retention::Reason::OrphanBeforeHorizon;
                    report.orphan_digests += u64::from(is_orphan);
                }
            }
        }
        report
    }

    fn count(&mut self, item: Item, verdict: Verdict) {
        let name = item.name();
        let tally = self.timelines.entry(name.timeline()).or_default();
        let segment = name.segment().filter(|_| name.is_pages());
        match verdict {
            Verdict::Remove => {
                tally.goes += 1;
                tally.first_gone = tally.first_gone.into_iter().chain(segment).min();
                tally.last_gone = tally.last_gone.max(segment);
            }
            Verdict::Keep => {
                tally.stays += 1;
                tally.first_kept = tally.first_kept.into_iter().chain(segment).min();
            }
        }
    }

    /// Looks at how long the files are that would go.
    pub(super) fn measure(
        &mut self,
        repository: &Repository<'_>,
        decided: &Decided<'_>,
    ) -> Result<(), PruneError> {
        let mut bytes = 0;
        for (place, item) in decided.plan.removals() {
            let Some(form) = decided.form_at(place) else { continue };
            let stat = repository.stat(item.name(), form)?;
            let size = stat.map_or(0, |stat| stat.size_bytes);
            bytes += size;
            let tally = self.timelines.entry(item.name().timeline()).or_default();
            tally.bytes = Some(tally.bytes.unwrap_or(0) + size);
        }
        self.bytes = Some(bytes);
        Ok(())
    }

    /// How many WAL files go.
    #[must_use]
    pub fn goes(&self) -> u64 {
        self.timelines.values().map(|tally| tally.goes).sum()
    }

    /// How many WAL files stay.
    #[must_use]
    pub fn stays(&self) -> u64 {
        self.timelines.values().map(|tally| tally.stays).sum()
    }
}
