//! The queue over time: a line over an area, of as many points as are remembered.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};

use super::html::Html;
use crate::commands::Trend;

/// The picture's height; its width is the time that it shows, in seconds.
const HEIGHT: u64 = 100;

/// The least that its height stands for, so that a file or two look like little.
const LEAST_FILES: u64 = 8;

/// The least time that its width stands for.
const LEAST_TIME: Duration = Duration::from_secs(120);

/// Draws how long the queue was, up to now.
pub(super) fn draw(html: &mut Html, trend: &Trend, now: Duration) {
    let points: Vec<(Duration, u64)> = trend.points().collect();
    let Some((first, _)) = points.first() else {
        html.mark("<p class=\"quiet\">The queue was not looked at yet.</p>\n");
        return;
    };
    let most = points.iter().map(|(_, files)| *files).max().unwrap_or_default();
    let scale = Scale {
        end: now.as_secs().max(1),
        width: now.saturating_sub(*first).max(LEAST_TIME).as_secs(),
        most: most.max(LEAST_FILES),
        point: trend.time_of_one().as_secs(),
    };
    let runs = scale.runs(&points);
    html.mark("<figure><div class=\"most\">")
        .text(&HumanCount(scale.most).to_string())
        .mark(" files</div>\n");
    html.mark("<svg class=\"queue\" role=\"img\" aria-label=\"files that were pending, over time\"");
    html.mark(" preserveAspectRatio=\"none\" viewBox=\"0 0 ").number(scale.width).mark(" ").number(HEIGHT);
    html.mark("\"><path class=\"area\" d=\"").text(&areas(&runs));
    html.mark("\"/><path class=\"line\" d=\"").text(&lines(&runs)).mark("\"/></svg>\n");
    let shown = HumanDuration(Duration::from_secs(scale.width)).to_string();
    html.mark("<figcaption><span>").text(&shown).mark(" ago</span><span>");
    html.text(&most_words(most)).mark("</span><span>now</span></figcaption></figure>\n");
}

fn most_words(most: u64) -> String {
    if most == 0 { "nothing was pending".to_owned() } else { format!("at most {} pending", HumanCount(most)) }
}

/// Where a point lies in the picture.
struct Scale {
    end: u64,
    width: u64,
    most: u64,
    /// For how long a point stands.
    point: u64,
}

/// Points that follow each other, as places in the picture: where it begins and ends, and its height.
type Run = Vec<(u64, u64, u64)>;

impl Scale {
    /// What is known without a break.
    fn runs(&self, points: &[(Duration, u64)]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut next = None;
        for (at, files) in points {
            let at = at.as_secs();
            let step = (self.x(at), self.x(at + self.point), self.y(*files));
            match runs.last_mut() {
                Some(run) if next == Some(at) => run.push(step),
                _ => runs.push(vec![step]),
            }
            next = Some(at + self.point);
        }
        runs
    }

    fn x(&self, at: u64) -> u64 {
        (at.min(self.end) + self.width).saturating_sub(self.end)
    }

    fn y(&self, files: u64) -> u64 {
        let up = u128::from(files) * u128::from(HEIGHT) / u128::from(self.most.max(1));
        HEIGHT - u64::try_from(up).unwrap_or(HEIGHT).min(HEIGHT)
    }
}

/// Each point is level for as long as it stands.
fn lines(runs: &[Run]) -> String {
    let mut path = String::new();
    for run in runs {
        for (turn, (begin, end, y)) in run.iter().enumerate() {
            let _ = if turn == 0 { write!(path, "M{begin} {y}H{end}") } else { write!(path, "V{y}H{end}") };
        }
    }
    path
}

fn areas(runs: &[Run]) -> String {
    let mut path = String::new();
    for run in runs {
        let begin = run.first().map_or(0, |(begin, ..)| *begin);
        let _ = write!(path, "M{begin} {HEIGHT}");
        for (_, end, y) in run {
            let _ = write!(path, "V{y}H{end}");
        }
        let _ = write!(path, "V{HEIGHT}Z");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_which_nothing_is_known_is_a_break() {
        let scale = Scale { end: 100, width: 100, most: 10, point: 20 };
        let at = |s, files| (Duration::from_secs(s), files);
        let runs = scale.runs(&[at(0, 0), at(20, 10), at(80, 5)]);
        assert_eq!(lines(&runs), "M0 100H20V0H40M80 50H100");
        assert_eq!(areas(&runs), "M0 100V100H20V0H40V100ZM80 100V50H100V100Z");
    }

    #[test]
    fn the_picture_ends_now_however_coarse_its_points_are() {
        let scale = Scale { end: 70, width: 600, most: 8, point: 40 };
        let runs = scale.runs(&[(Duration::ZERO, 1), (Duration::from_secs(40), u64::MAX)]);
        assert_eq!(runs, [vec![(530, 570, 88), (570, 600, 0)]]);
    }
}
