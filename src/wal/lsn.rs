use std::fmt;
use std::str::FromStr;

use super::ParseError;

/// A position in the write-ahead log, in bytes since the log began; shown as `0/3000028`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lsn(u64);

impl Lsn {
    /// The position that servers use for "none" (`InvalidXLogRecPtr` in access/xlogdefs.h).
    pub const ZERO: Self = Self(0);

    /// Takes a byte position as it stands in control files and page headers.
    #[must_use]
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The byte position.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = ParseError;

    /// Accepts `%X/%X` and, as servers from 19 on print it, `%X/%08X`; either case of the digits.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let half = |part: &str| {
            let plausible = (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            if plausible { u64::from_str_radix(part, 16).ok() } else { None }
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Self((half(high)? << 32) | half(low)?)))
            .ok_or_else(|| ParseError::new("an LSN such as 0/3000028", text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_ways_of_printing_are_read() {
        assert_eq!("0/3000028".parse::<Lsn>().unwrap(), Lsn::new(0x0300_0028));
        assert_eq!("1/0003F8E0".parse::<Lsn>().unwrap(), Lsn::new(0x1_0003_F8E0));
    }

    #[test]
    fn what_is_no_lsn_is_refused() {
        for text in ["", "/", "0/", "/0", "0/0/0", "+1/0", "0/123456789", "0 /1", "g/0", "0x1/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_lsn_round_trips(position: u64) {
            prop_assert_eq!(Lsn::new(position).to_string().parse::<Lsn>().unwrap(), Lsn::new(position));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Lsn>();
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn what_becomes_of_a_position_is_a_position_or_none(text in mutated_text(&["0/3000028", "1/FFFFFFFF", "FFFFFFFF/0"])) {
                if let Ok(lsn) = text.parse::<Lsn>() {
                    prop_assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
                }
            }
        }
    }
}
