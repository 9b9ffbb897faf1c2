use super::{Horizon, Pin};
use crate::wal::{SegmentSize, WalFileName};

/// A stored file, as a plan sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Item {
    /// A WAL file.
    File {
        /// Its name.
        name: WalFileName,
        /// Whether it lies there as it is, so that its digest lies beside it.
        plain: bool,
    },
    /// The digest of a plain file.
    Sidecar(WalFileName),
}

impl Item {
    /// The name of the WAL file.
    #[must_use]
    pub const fn name(self) -> WalFileName {
        match self {
            Self::File { name, .. } | Self::Sidecar(name) => name,
        }
    }

    /// In which order files go: by name, so that what is left of a timeline is always its end; and of one segment
    /// the base backup that began in it first, so that none is ever seen whose beginning is gone, and the digest
    /// before its file, so that no file ever has another one's digest.
    fn removal_order(self) -> impl Ord {
        let (rank, sidecar_first) = match self {
            Self::File { name, .. } => (kind_rank(name), 1),
            Self::Sidecar(name) => (kind_rank(name), 0),
        };
        (self.name().segment(), rank, self.name(), sidecar_first)
    }
}

const fn kind_rank(name: WalFileName) -> u8 {
    match name {
        WalFileName::TimelineHistory(_) | WalFileName::BackupHistory(..) => 0,
        WalFileName::Segment(_) => 1,
        WalFileName::Partial(_) => 2,
    }
}

/// What becomes of a stored file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No policy was given, or no pin is known: needs protect, they never license.
    NoLicence,
    /// A history is never removed: without it no recovery finds the way between timelines.
    History,
    /// It lies at the horizon or behind it.
    FromHorizonOn,
    /// It lies before the horizon.
    BeforeHorizon,
    /// It is the digest of no file, and lies before the horizon.
    OrphanBeforeHorizon,
    /// No segment of this size bears its name: nobody knows where it belongs.
    NoSuchSegment,
}

/// A verdict with its reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// What becomes of the file.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

impl Judgement {
    const fn keep(reason: Reason) -> Self {
        Self { verdict: Verdict::Keep, reason }
    }

    const fn remove(reason: Reason) -> Self {
        Self { verdict: Verdict::Remove, reason }
    }
}

/// By what every file is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    licensed: bool,
    horizon: Option<Horizon>,
    size: SegmentSize,
}

impl Rule {
    /// The rule of these pins. `licensed` says that a policy was given; without one nothing goes.
    #[must_use]
    pub fn of(pins: &[Pin], licensed: bool, size: SegmentSize) -> Self {
        Self { licensed, horizon: Horizon::of(pins, size), size }
    }

    /// The horizon; `None` where nobody pins anything, and nothing goes.
    #[must_use]
    pub const fn horizon(&self) -> Option<Horizon> {
        self.horizon
    }

    /// What becomes of a file.
    #[must_use]
    pub fn judge(&self, item: Item) -> Judgement {
        // A digest beside a history is part of it.
        let Some(segment) = item.name().segment() else { return Judgement::keep(Reason::History) };
        let Some(horizon) = self.horizon.filter(|_| self.licensed) else {
            return Judgement::keep(Reason::NoLicence);
        };
        match segment.number(self.size) {
            None => Judgement::keep(Reason::NoSuchSegment),
            Some(number) if number < horizon.segment() => Judgement::remove(Reason::BeforeHorizon),
            Some(_) => Judgement::keep(Reason::FromHorizonOn),
        }
    }
}

/// A plan: what becomes of each stored file, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    rule: Rule,
    judged: Vec<(Item, Judgement)>,
}

impl Plan {
    /// Judges every file by the rule. `items` come sorted, files before digests, as an inventory has them.
    #[must_use]
    pub fn of(rule: Rule, items: impl IntoIterator<Item = Item>) -> Self {
        let judged: Vec<(Item, Judgement)> = items.into_iter().map(|item| (item, rule.judge(item))).collect();
        let mut plan = Self { rule, judged };
        plan.tell_orphans();
        plan
    }

    /// Only before the horizon: a listing is no moment, and a digest may be seen before the file that was
    /// published while it was made.
    fn tell_orphans(&mut self) {
        let is_plain = |(item, _): &(Item, Judgement)| match item {
            Item::File { name, plain: true } => Some(*name),
            _ => None,
        };
        let mut plain: Vec<WalFileName> = self.judged.iter().filter_map(is_plain).collect();
        plain.sort_unstable();
        for (item, judgement) in &mut self.judged {
            let Item::Sidecar(name) = item else { continue };
            if judgement.verdict == Verdict::Remove && plain.binary_search(name).is_err() {
                judgement.reason = Reason::OrphanBeforeHorizon;
            }
        }
    }

    /// By what the files were judged.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Every file with what becomes of it, in the order in which they came.
    #[must_use]
    pub fn judged(&self) -> &[(Item, Judgement)] {
        &self.judged
    }

    /// What goes, in the order in which it goes, each with its place among [`Plan::judged`].
    #[must_use]
    pub fn removals(&self) -> Vec<(usize, Item)> {
        let goes = |(_, (_, judgement)): &(usize, &(Item, Judgement))| judgement.verdict == Verdict::Remove;
        let going = self.judged.iter().enumerate().filter(goes);
        let mut removals: Vec<(usize, Item)> = going.map(|(at, (item, _))| (at, *item)).collect();
        removals.sort_by_key(|(_, item)| item.removal_order());
        removals
    }
}
