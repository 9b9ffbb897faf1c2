//! The timelines as a picture: a stripe each, what is stored and what is missing at its place in the log, and where
//! one left the other. However long the log is and however many holes it has, there are no more stripes than
//! [`MOST_STRIPES`] and no more parts of one than [`MOST_COLUMNS`]; where several segments share a column, the
//! worst of them is seen.

use std::fmt::Write as _;

use indicatif::HumanCount;

use super::html::Html;
use crate::commands::{ArchiveOverview, TimelineOverview};
use crate::wal::{GapKind, Lsn, SegmentNumber, SegmentRange, SegmentSize, Timeline};

/// How many timelines are drawn; the newest are.
pub(super) const MOST_STRIPES: usize = 12;

/// Into how many parts a stripe is divided at most.
pub(super) const MOST_COLUMNS: u64 = 240;

/// Height of a stripe with its label, where it begins in it, and its own.
const ROW: u64 = 46;
const BEGINS: u64 = 26;
const THICK: u64 = 13;

/// What a part of a stripe shows; the worst is the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Nothing,
    Stored,
    BehindFork,
    Known,
    Gap,
}

const SHOWN: [(Part, &str); 4] =
    [(Part::Stored, "stored"), (Part::BehindFork, "behind"), (Part::Known, "known"), (Part::Gap, "gap")];

impl From<GapKind> for Part {
    fn from(kind: GapKind) -> Self {
        match kind {
            GapKind::Unknown => Self::Gap,
            GapKind::Known => Self::Known,
            GapKind::BehindFork => Self::BehindFork,
        }
    }
}

/// Draws them; nothing where nothing is stored.
pub(super) fn draw(html: &mut Html, archive: &ArchiveOverview, size: SegmentSize, horizon: Option<Lsn>) {
    let older = archive.timelines.len().saturating_sub(MOST_STRIPES);
    let shown: Vec<&TimelineOverview> = archive.timelines.iter().skip(older).collect();
    let Some(scale) = Scale::of(&shown, size) else { return };
    let height = shown.len() as u64 * ROW;
    html.mark(
        "<figure><div class=\"stripes\">\n<svg role=\"img\" aria-label=\"what is stored of each timeline\"",
    );
    html.mark(" preserveAspectRatio=\"none\" height=\"").number(height).mark("\" viewBox=\"0 0 ");
    html.number(scale.columns).mark(" ").number(height).mark("\">\n");
    for (row, timeline) in (0..).zip(&shown) {
        draw_stripe(html, &scale, timeline, row);
    }
    draw_forks(html, &scale, &shown);
    if let Some(column) = horizon.and_then(|horizon| scale.column_at(horizon)) {
        let path = format!("M{column} 0V{height}");
        html.mark("<path class=\"horizon\" d=\"").text(&path).mark("\"/>");
    }
    html.mark("</svg>\n<ol>\n");
    shown.iter().for_each(|timeline| label(html, timeline));
    html.mark("</ol></div>\n<figcaption><span>").text(&scale.first_position());
    html.mark("</span><span>").text(&scale.last_position()).mark("</span></figcaption>\n");
    legend(html, &shown, horizon);
    html.mark("</figure>\n");
}

fn draw_stripe(html: &mut Html, scale: &Scale, timeline: &TimelineOverview, row: u64) {
    let parts = scale.parts(timeline);
    let y = row * ROW + BEGINS;
    for (part, class) in SHOWN {
        let path = runs(&parts, part, y);
        if !path.is_empty() {
            html.mark("<path class=\"").text(class).mark("\" d=\"").text(&path).mark("\"/>");
        }
    }
    html.mark("\n");
}

/// From where a timeline was left to the one that left it there.
fn draw_forks(html: &mut Html, scale: &Scale, shown: &[&TimelineOverview]) {
    let row_of = |timeline: Timeline| shown.iter().position(|one| one.coverage.timeline == timeline);
    for (row, timeline) in shown.iter().enumerate() {
        let Some(fork) = timeline.fork else { continue };
        if let (Some(parent), Some(column)) = (row_of(fork.parent), scale.column_at(fork.switch)) {
            let from = parent as u64 * ROW + BEGINS + THICK;
            let path = format!("M{column} {from}V{}", row as u64 * ROW + BEGINS);
            html.mark("<path class=\"fork\" d=\"").text(&path).mark("\"/>");
        }
    }
}

fn label(html: &mut Html, timeline: &TimelineOverview) {
    let gaps = timeline.coverage.gaps.iter().filter(|gap| gap.kind == GapKind::Unknown).count();
    html.mark("<li><b>timeline ").number(timeline.coverage.timeline.get().into()).mark("</b> <span>");
    let segments = if timeline.segments == 1 { "segment" } else { "segments" };
    html.text(&format!("{} {segments}", HumanCount(timeline.segments)));
    match gaps {
        0 => {}
        1 => drop(html.mark(", <em>1 gap</em>")),
        gaps => drop(html.mark(", <em>").number(gaps as u64).mark(" gaps</em>")),
    }
    if let Some(fork) = timeline.fork {
        html.text(&format!(", from {} at {}", fork.parent, fork.switch));
    }
    html.mark("</span></li>\n");
}

fn legend(html: &mut Html, shown: &[&TimelineOverview], horizon: Option<Lsn>) {
    let has = |kind| shown.iter().any(|one| one.coverage.gaps.iter().any(|gap| gap.kind == kind));
    html.mark("<p class=\"legend\"><span><i class=\"stored\"></i>stored</span>");
    if has(GapKind::Unknown) {
        html.mark("<span><i class=\"gap\"></i>gap</span>");
    }
    if has(GapKind::Known) {
        html.mark("<span><i class=\"known\"></i>known gap</span>");
    }
    if has(GapKind::BehindFork) {
        html.mark("<span><i class=\"behind\"></i>unneeded gap behind the fork</span>");
    }
    if let Some(horizon) = horizon {
        html.mark("<span><i class=\"horizon\"></i>horizon ").text(&horizon.to_string()).mark("</span>");
    }
    html.mark("</p>\n");
}

/// Where a segment lies in the picture.
struct Scale {
    size: SegmentSize,
    first: u64,
    count: u64,
    columns: u64,
}

impl Scale {
    fn of(shown: &[&TimelineOverview], size: SegmentSize) -> Option<Self> {
        let ranges = shown.iter().flat_map(|one| {
            let gaps = one.coverage.gaps.iter().map(|gap| &gap.range);
            one.coverage.ranges.iter().chain(gaps)
        });
        let numbers = ranges.filter_map(|range| ends(range, size));
        let (first, last) = numbers.reduce(|(first, last), (a, b)| (first.min(a), last.max(b)))?;
        let count = (last - first).saturating_add(1);
        Some(Self { size, first, count, columns: count.min(MOST_COLUMNS) })
    }

    /// The column that some number of segments behind the first lies in, or at its beginning.
    fn column(&self, behind: u64) -> u64 {
        let column = u128::from(behind) * u128::from(self.columns) / u128::from(self.count);
        u64::try_from(column).unwrap_or(self.columns).min(self.columns)
    }

    fn column_at(&self, position: Lsn) -> Option<u64> {
        let number = SegmentNumber::containing(position, self.size).get();
        let behind = number.checked_sub(self.first).filter(|behind| *behind <= self.count)?;
        Some(self.column(behind))
    }

    /// What each column shows of a timeline.
    fn parts(&self, timeline: &TimelineOverview) -> Vec<Part> {
        let columns = usize::try_from(self.columns).unwrap_or_default();
        let mut parts = vec![Part::Nothing; columns];
        let stored = timeline.coverage.ranges.iter().map(|range| (range, Part::Stored));
        let gaps = timeline.coverage.gaps.iter().map(|gap| (&gap.range, gap.kind.into()));
        for (range, part) in stored.chain(gaps) {
            let Some((first, last)) = ends(range, self.size) else { continue };
            let (from, to) = (self.column(first - self.first), self.column(last - self.first));
            let from = usize::try_from(from).unwrap_or(columns);
            let count = usize::try_from(to).unwrap_or(columns).saturating_sub(from) + 1;
            parts.iter_mut().skip(from).take(count).for_each(|shown| *shown = part.max(*shown));
        }
        parts
    }

    fn position(&self, number: u64) -> String {
        SegmentNumber::new(number).start(self.size).map_or_else(String::new, |start| start.to_string())
    }

    fn first_position(&self) -> String {
        self.position(self.first)
    }

    fn last_position(&self) -> String {
        self.position(self.first.saturating_add(self.count))
    }
}

fn ends(range: &SegmentRange, size: SegmentSize) -> Option<(u64, u64)> {
    let number = |name: crate::wal::SegmentName| name.number(size).map(SegmentNumber::get);
    number(range.first()).zip(number(range.last()))
}

/// The outline of all columns that show this.
fn runs(parts: &[Part], part: Part, y: u64) -> String {
    let mut path = String::new();
    let mut column = 0;
    for run in parts.chunk_by(|one, other| one == other) {
        let width = run.len();
        if run.first() == Some(&part) {
            let _ = write!(path, "M{column} {y}h{width}v{THICK}h-{width}z");
        }
        column += width;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::{Coverage, SegmentName};
    use proptest::prelude::*;

    fn size() -> SegmentSize {
        SegmentSize::new(16 << 20).unwrap()
    }

    fn timelines(held: &[(u32, u64)]) -> Vec<TimelineOverview> {
        let name = |(timeline, number): &(u32, u64)| {
            SegmentName::new(Timeline::new(*timeline).unwrap(), SegmentNumber::new(*number), size())
        };
        let coverage = Coverage::new(held.iter().filter_map(name), size(), &[], &[], None);
        let told = |coverage| TimelineOverview { coverage, segments: 1, fork: None };
        coverage.timelines().into_iter().map(told).collect()
    }

    fn stripe(held: &[(u32, u64)]) -> String {
        let all = timelines(held);
        let scale = Scale::of(&all.iter().collect::<Vec<_>>(), size()).unwrap();
        let letter = |part: &Part| ['.', '#', 'b', 'k', 'G'][*part as usize];
        scale.parts(&all[0]).iter().map(letter).collect()
    }

    #[test]
    fn a_stripe_shows_each_segment_and_the_smallest_gap() {
        assert_eq!(stripe(&[(1, 3)]), "#");
        assert_eq!(stripe(&[(1, 3), (1, 4), (1, 6), (1, 9)]), "##G#GG#");
        assert_eq!(stripe(&[(1, 3), (1, 4), (2, 4), (2, 6)]), "##..");
        let long: Vec<(u32, u64)> = (0..100_000).filter(|number| *number != 50_000).map(|n| (1, n)).collect();
        let long = stripe(&long);
        assert_eq!((long.len(), long.matches('G').count()), (240, 1), "{long}");
    }

    proptest! {
        #[test]
        fn however_many_holes_there_are_the_picture_is_small(
            held in prop::collection::vec((1u32..40, 0u64..1 << 40), 1..300),
        ) {
            let all = timelines(&held);
            let shown: Vec<&TimelineOverview> = all.iter().take(MOST_STRIPES).collect();
            let scale = Scale::of(&shown, size()).unwrap();
            for one in shown {
                let parts = scale.parts(one);
                prop_assert!(parts.len() as u64 <= MOST_COLUMNS);
                let drawn: usize = SHOWN.map(|(part, _)| runs(&parts, part, 999).matches('M').count()).iter().sum();
                prop_assert!(drawn as u64 <= MOST_COLUMNS);
                prop_assert_eq!(parts.contains(&Part::Stored) || parts.contains(&Part::Gap), true);
            }
        }
    }
}
