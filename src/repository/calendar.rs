//! Times in state files: RFC 3339, in UTC, to the second, so that people can read them and every other tool, too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// Days before each month of a year that begins in March, so that a leap day is its last.
const DAYS_BEFORE: [u64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

/// From the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

/// The last second of the year 9999: nothing later has four digits for its year.
const LAST_SECOND: u64 = 253_402_300_799;

/// Writes a time; one before 1970 or after 9999 as the nearest that can be written.
pub(super) fn to_text(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_A_DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads a time as [`to_text`] writes it; `None` for any other text.
pub(super) fn from_text(text: &str) -> Option<SystemTime> {
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<u64>().ok());
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let days = days_to(year, month, day)?;
    let seconds = days * SECONDS_A_DAY + hour * 3600 + minute * 60 + second;
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    // What is no date, or is written otherwise, does not come back as it was.
    (to_text(time) == text).then_some(time)
}

/// The date of a day since 1970.
fn date_of(day: u64) -> (u64, u64, u64) {
    let day = day + DAYS_BEFORE_1970;
    // Of the 146,097 days in 400 years.
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days from 1970 to a date; `None` before that and for what is no month or day.
fn days_to(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month.checked_add(9)?) };
    let before = *DAYS_BEFORE.get(usize::try_from(month).ok()?)?;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + before + day.checked_sub(1)?;
    days.checked_sub(DAYS_BEFORE_1970)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_as_calendars_have_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_247_891, "2026-11-21T07:58:11Z"),
            (LAST_SECOND, "9999-12-31T23:59:59Z"),
            (u64::MAX >> 2, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(to_text(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T07:58:11",
            "2026-11-21 07:58:11Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "2026-11-21T07:58:11.5Z",
            "0000-01-01T00:00:00Z",
            "２026-11-21T07:58:11Z",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_second_comes_back(seconds in 0..=LAST_SECOND) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(from_text(&to_text(time)), Some(time));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}", digits in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
            let _ = from_text(&text);
            let _ = from_text(&digits);
        }
    }
}
