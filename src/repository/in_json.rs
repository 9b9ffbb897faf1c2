//! How values stand in state files: as the texts and numbers that people know them by.

use std::fmt::Display;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::calendar;
use crate::wal::Timeline;

/// A value as its own text.
pub(super) mod text {
    use super::*;

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A value as its own text, or null. The key has to be there: a value that was forgotten is not "none".
pub(super) mod optional_text {
    use super::*;

    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(ToString::to_string).serialize(to)
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// A timeline as its number.
pub(super) mod timeline {
    use super::*;

    pub fn serialize<S: Serializer>(timeline: &Timeline, to: S) -> Result<S::Ok, S::Error> {
        timeline.get().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timeline, D::Error> {
        Timeline::new(u32::deserialize(from)?).ok_or_else(|| D::Error::custom("no timeline is 0"))
    }
}

/// A time as RFC 3339.
pub(super) mod time {
    use super::*;

    pub fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        calendar::to_text(*time).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        read(&String::deserialize(from)?)
    }

    pub(super) fn read<E: Error>(text: &str) -> Result<SystemTime, E> {
        calendar::from_text(text)
            .ok_or_else(|| E::custom(format!("'{text}' is no time such as 2026-01-02T03:04:05Z")))
    }
}

/// A time as RFC 3339, or null.
pub(super) mod optional_time {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
        time.map(calendar::to_text).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| time::read(&text)).transpose()
    }
}
