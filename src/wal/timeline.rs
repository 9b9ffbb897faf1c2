use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::{ParseError, upper_hex};

/// A timeline: the number of one history of the cluster. Never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timeline(NonZeroU32);

impl Timeline {
    /// The timeline that every cluster begins on.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0, which servers use for "no timeline".
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Timeline {
    type Err = ParseError;

    /// Reads the eight upper-case hexadecimal digits of a file name.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Some(text)
            .filter(|t| t.len() == 8)
            .and_then(upper_hex)
            .and_then(Self::new)
            .ok_or_else(|| ParseError::new("a timeline of eight hexadecimal digits", text))
    }
}
