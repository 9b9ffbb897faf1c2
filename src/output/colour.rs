use anstyle::{AnsiColor, Style};

use crate::health::Verdict;

/// Whether verdicts are coloured: on a terminal, unless somebody asked for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// A verdict's word in its colour.
pub(super) fn paint(verdict: Verdict, colour: Colour) -> String {
    let word = verdict.word();
    if colour == Colour::Off {
        return word.to_owned();
    }
    let style = match verdict {
        Verdict::Ok => AnsiColor::Green.on_default(),
        Verdict::Warning => AnsiColor::Yellow.on_default(),
        Verdict::Unknown => AnsiColor::Magenta.on_default(),
        Verdict::Critical => AnsiColor::Red.on_default(),
    };
    let style = Style::bold(style);
    format!("{style}{word}{style:#}")
}
