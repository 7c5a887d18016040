// SPDX-License-Identifier: Apache-2.0

//! Calendar dates and hours of the day, both in UTC. The clock is the caller's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A calendar date, written `2026-11-30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A date of the Gregorian calendar, years 1 to 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, InvalidDate> {
        let date = Self { year, month, day };
        let fits = (1..=9999).contains(&year) && (1..=days_in(year, month)).contains(&day);
        if fits {
            Ok(date)
        } else {
            Err(InvalidDate(format!("{year}-{month}-{day}")))
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:04}-{:02}-{:02}",
            self.year, self.month, self.day
        )
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let invalid = || InvalidDate(text.to_owned());
        let digits = |part: &str, width: usize| {
            part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let mut parts = text.split('-');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(year), Some(month), Some(day), None)
                if digits(year, 4) && digits(month, 2) && digits(day, 2) =>
            {
                Self::new(
                    year.parse().map_err(|_| invalid())?,
                    month.parse().map_err(|_| invalid())?,
                    day.parse().map_err(|_| invalid())?,
                )
                .map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl TryFrom<String> for Date {
    type Error = InvalidDate;

    fn try_from(text: String) -> Result<Self, InvalidDate> {
        text.parse()
    }
}

/// A text that is no date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no date; write year-month-day, for example `2026-11-30`")]
pub struct InvalidDate(String);

/// A window of whole hours of the day in UTC: from the first, up to but not including the last. It may pass
/// midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hours {
    from: u8,
    to: u8,
}

impl Hours {
    /// `from` in 0..=23, `to` in 1..=24, not equal.
    pub fn new(from: u8, to: u8) -> Option<Self> {
        (from <= 23 && (1..=24).contains(&to) && from != to).then_some(Self { from, to })
    }

    /// Whether the hour (0 to 23) lies in the window.
    pub fn contains(self, hour: u8) -> bool {
        let within_day = self.from < self.to;
        let (after, before) = (hour >= self.from, hour < self.to);
        hour <= 23
            && if within_day {
                after && before
            } else {
                after || before
            }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:00-{:02}:00 UTC", self.from, self.to)
    }
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn dates_outside_the_calendar_are_no_dates() {
        for text in [
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-1",
            "0000-01-01",
            "2026-04-31",
            "20261130",
            "2026-11-30-1",
            "+026-11-30",
            "",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        for text in ["2024-02-29", "2000-02-29", "9999-12-31", "0001-01-01"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn later_dates_are_greater() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        assert!(date("2026-11-30") < date("2026-12-01"));
        assert!(date("2026-12-31") < date("2027-01-01"));
    }

    #[test]
    fn a_window_may_pass_midnight() {
        let day = Hours::new(7, 19).unwrap();
        let night = Hours::new(22, 6).unwrap();
        let whole = Hours::new(0, 24).unwrap();
        for hour in 0..24 {
            assert_eq!(day.contains(hour), (7..19).contains(&hour));
            assert_eq!(night.contains(hour), !(6..22).contains(&hour));
            assert!(whole.contains(hour));
        }
        assert!(!whole.contains(24));
        assert!(
            Hours::new(5, 5).is_none()
                && Hours::new(24, 3).is_none()
                && Hours::new(3, 25).is_none()
        );
    }
}
