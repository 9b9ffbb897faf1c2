//! A node's line: the timelines that it went through, up to where it left each, and those that it may still follow.
//! One repository may hold others beside them, of which this node is not made: a point-in-time recovery's, or those
//! that its old primary went on with.

use crate::cluster::ControlFile;
use crate::wal::{Lineage, Lsn, SegmentName, SegmentSize, Timeline, TimelineHistory, WalFileName};

/// A line, and what of an archive belongs to it.
pub(super) struct Line {
    lineage: Lineage,
    own: Timeline,
    redo: Lsn,
    size: SegmentSize,
    follows_others: bool,
}

impl Line {
    /// The line of a node that may follow others to their timelines: a standby's control file lags behind.
    pub(super) fn of(control: &ControlFile, histories: &[TimelineHistory]) -> Self {
        let (own, redo, size) = (control.timeline, control.redo, control.segment_size);
        Self { lineage: Lineage::of(histories), own, redo, size, follows_others: true }
    }

    /// The line up to where the node is now.
    pub(super) fn up_to_now(control: &ControlFile, histories: &[TimelineHistory]) -> Self {
        Self { follows_others: false, ..Self::of(control, histories) }
    }

    fn goes_through(&self, timeline: Timeline, position: Lsn) -> bool {
        let behind = self.lineage.leads_to(timeline, position, self.own)
            && (timeline != self.own || self.follows_others || position <= self.redo);
        behind || self.is_ahead(timeline)
    }

    fn is_ahead(&self, timeline: Timeline) -> bool {
        self.follows_others && self.lineage.leads_to(self.own, self.redo, timeline)
    }

    /// The histories of the timelines on the line.
    pub(super) fn histories(&self, histories: &[TimelineHistory]) -> Vec<TimelineHistory> {
        let is_on = |history: &&TimelineHistory| {
            let timeline = history.timeline();
            self.lineage.leads_to(timeline, Lsn::new(0), self.own) || self.is_ahead(timeline)
        };
        histories.iter().filter(is_on).cloned().collect()
    }

    /// The segment that the line has to be whole from, by sorted names of what is stored: where its newest base
    /// backup begins, else its first segment. A backup that others on the way have overtaken counts only while
    /// its first segment is there: its name outlives its segments.
    pub(super) fn start(&self, names: &[WalFileName]) -> Option<SegmentName> {
        let mut is_newest = true;
        for name in names.iter().rev() {
            let WalFileName::BackupHistory(segment, offset) = *name else { continue };
            let counts = is_newest || names.binary_search(&WalFileName::Segment(segment)).is_ok();
            let begins = segment.start(self.size).and_then(|start| start.get().checked_add(offset.into()));
            if counts && begins.is_some_and(|at| self.goes_through(segment.timeline(), Lsn::new(at))) {
                return Some(segment);
            }
            is_newest = false;
        }
        let segments = names.iter().filter_map(|name| match name {
            WalFileName::Segment(segment) => Some(*segment),
            _ => None,
        });
        let is_on = |segment: &SegmentName| {
            segment.start(self.size).is_some_and(|start| self.goes_through(segment.timeline(), start))
        };
        segments.filter(is_on).min_by_key(|segment| segment.number(self.size))
    }
}
