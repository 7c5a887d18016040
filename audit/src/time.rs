// SPDX-License-Identifier: Apache-2.0
//! Time as an argument: this crate never asks a clock.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC, to the microsecond; written `2026-11-24T04:07:00.000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Microseconds since the start of 1970.
    pub fn from_unix_microseconds(microseconds: i64) -> Result<Self, TimestampFault> {
        jiff::Timestamp::from_microsecond(microseconds)
            .map(Self)
            .map_err(|_| TimestampFault(microseconds.to_string()))
    }

    /// Milliseconds since the start of 1970.
    pub fn from_unix_milliseconds(milliseconds: u64) -> Result<Self, TimestampFault> {
        i64::try_from(milliseconds)
            .ok()
            .and_then(|milliseconds| jiff::Timestamp::from_millisecond(milliseconds).ok())
            .map(Self)
            .ok_or_else(|| TimestampFault(milliseconds.to_string()))
    }

    /// The moment a shell's clock shows.
    pub fn from_system_time(time: std::time::SystemTime) -> Result<Self, TimestampFault> {
        let since_1970 = time
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(|_| TimestampFault("before 1970".to_owned()))?;
        let microseconds = since_1970.as_micros();
        i64::try_from(microseconds)
            .map_err(|_| TimestampFault(microseconds.to_string()))
            .and_then(Self::from_unix_microseconds)
    }

    /// Whole seconds since the start of 1970; zero for anything earlier.
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0.as_second()).unwrap_or(0)
    }

    /// Microseconds since the start of 1970.
    pub fn unix_microseconds(self) -> i64 {
        self.0.as_microsecond()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.6}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampFault;

    fn from_str(text: &str) -> Result<Self, TimestampFault> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(Self)
            // One moment, one spelling.
            .filter(|moment| moment.to_string() == text)
            .ok_or_else(|| TimestampFault(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Not a moment the log can write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a UTC time with microseconds such as `2026-11-24T04:07:00.000000Z`")]
pub struct TimestampFault(String);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_spelling() {
        let moment = Timestamp::from_unix_microseconds(1_795_493_220_000_001).unwrap();
        assert_eq!(moment.to_string(), "2026-11-24T04:07:00.000001Z");
        assert_eq!(moment.to_string().parse::<Timestamp>().unwrap(), moment);
        let zero = Timestamp::from_unix_milliseconds(0).unwrap();
        assert_eq!(zero.to_string(), "1970-01-01T00:00:00.000000Z");
        for other in [
            "2026-11-24T04:07:00Z",
            "2026-11-24t04:07:00.000001z",
            "2026-11-24T05:07:00.000001+01:00",
            "now",
        ] {
            assert!(other.parse::<Timestamp>().is_err(), "{other}");
        }
    }
}
