use super::Pin;
use crate::wal::{Lsn, SegmentNumber, SegmentSize};

/// The horizon: the earliest pin. Nothing at or after it goes.
///
/// There is one for all timelines, and it is a position, never a file name: what a node needs begins on one
/// timeline and goes on along others, and a name of a later timeline may stand for an earlier position. What of
/// a dead branch lies behind the horizon stays longer than anybody needs it; that is the price.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Horizon {
    from: Lsn,
    segment: SegmentNumber,
}

impl Horizon {
    /// The horizon of these pins; `None` where there is none, and nothing may go.
    #[must_use]
    pub fn of(pins: &[Pin], size: SegmentSize) -> Option<Self> {
        let from = pins.iter().map(|pin| pin.from).min()?;
        Some(Self { from, segment: SegmentNumber::containing(from, size) })
    }

    /// The first position that is kept.
    #[must_use]
    pub const fn from(self) -> Lsn {
        self.from
    }

    /// The first segment that is kept: the one that the position lies in.
    #[must_use]
    pub const fn segment(self) -> SegmentNumber {
        self.segment
    }
}
