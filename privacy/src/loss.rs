// SPDX-License-Identifier: Apache-2.0
//! The quantities of differential privacy, each a type of its own.
//!
//! A value that exists is finite and in its range, so arithmetic on it needs no further checks. In
//! files and messages they are decimal *strings*: a JSON or TOML reader must not round them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Why a number is not the privacy quantity it was offered as.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuantityFault {
    /// The text is not a plain decimal.
    #[error("`{text}` is not a decimal number for {quantity}, write for example \"{example}\"")]
    NotADecimal {
        /// The name of the quantity.
        quantity: &'static str,
        /// The text as it was found, shortened.
        text: String,
        /// A value that would be accepted.
        example: &'static str,
    },
    /// The number lies outside the range in which the quantity means something.
    #[error("{quantity} must be {range}, not `{value}`")]
    OutOfRange {
        /// The name of the quantity.
        quantity: &'static str,
        /// The range in words.
        range: &'static str,
        /// The number offered.
        value: String,
    },
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $word:literal, $range:literal, $example:literal, |$value:ident| $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name(f64);

        impl $name {
            /// Accepts a finite number in the range of this quantity.
            pub fn new(value: f64) -> Result<Self, QuantityFault> {
                let $value = value;
                if value.is_finite() && $accepts {
                    // Adding zero turns a negative zero into zero: one value, one spelling.
                    Ok(Self(value + 0.0))
                } else {
                    Err(QuantityFault::OutOfRange {
                        quantity: $word,
                        range: $range,
                        value: value.to_string(),
                    })
                }
            }

            /// Reads a decimal such as `3`, `0.5` or `1e-5`.
            pub fn parse(text: &str) -> Result<Self, QuantityFault> {
                match plain_decimal(text) {
                    Some(value) => Self::new(value),
                    None => Err(QuantityFault::NotADecimal {
                        quantity: $word,
                        text: text.chars().take(40).collect(),
                        example: $example,
                    }),
                }
            }

            /// The number itself.
            #[must_use]
            pub const fn value(self) -> f64 {
                self.0
            }
        }

        // A value is finite and never a negative zero, so the order is total.
        impl Eq for $name {}

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                // The shortest decimal that reads back as the same number.
                if self.0 != 0.0 && self.0 < 1e-4 {
                    write!(formatter, "{:e}", self.0)
                } else {
                    write!(formatter, "{}", self.0)
                }
            }
        }

        impl FromStr for $name {
            type Err = QuantityFault;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

quantity!(
    /// Epsilon of (epsilon, delta)-differential privacy; smaller is more private.
    Epsilon, "epsilon", "a number from 0 on", "1.0", |value| (0.0..=1e300).contains(&value)
);
quantity!(
    /// Delta of (epsilon, delta)-differential privacy: the probability with which epsilon may fail.
    Delta, "delta", "above 0 and below 1", "1e-5", |value| (1e-300..1.0).contains(&value)
);
quantity!(
    /// Rho of zero-concentrated differential privacy (Bun and Steinke 2016).
    Rho, "rho", "a number from 0 on", "0.1", |value| (0.0..=1e300).contains(&value)
);
quantity!(
    /// Standard deviation of the noise in the sum an attacker faces, divided by the clipping norm,
    /// for the addition or removal of one patient.
    NoiseMultiplier, "the noise multiplier", "between 0.000001 and 1000000", "1.0", |value| (1e-6..=1e6).contains(&value)
);
quantity!(
    /// The largest Euclidean norm that one patient's vector may have.
    ClippingNorm, "the clipping norm", "between 1e-30 and 1e30", "1.0", |value| (1e-30..=1e30).contains(&value)
);
quantity!(
    /// The probability with which each patient, on its own, takes part in a round.
    SamplingRate, "the sampling rate", "above 0 and at most 1", "1.0", |value| (LEAST_RATE..=1.0).contains(&value)
);

impl Delta {
    /// Half of it: for a budget that is split evenly.
    #[must_use]
    pub fn half(self) -> Self {
        Self(self.0 / 2.0)
    }
}

impl Epsilon {
    /// For results of the accountant, which are never negative or infinite but for rounding.
    pub(crate) fn saturating(value: f64) -> Self {
        Self(value.clamp(0.0, 1e300))
    }
}

impl Rho {
    /// As for [`Epsilon`].
    pub(crate) fn saturating(value: f64) -> Self {
        Self(value.clamp(0.0, 1e300))
    }
}

impl ClippingNorm {
    /// The unit, for amounts that are given as multiples of the clip.
    pub const ONE: Self = Self(1.0);
}

impl SamplingRate {
    /// Every patient takes part in every round.
    pub const EVERYBODY: Self = Self(1.0);

    /// The rate nearest to a number that is not below it, if any is not.
    pub(crate) fn at_least(value: f64) -> Self {
        Self(value.clamp(LEAST_RATE, 1.0))
    }
}

/// One patient in all the world is more than enough of a batch.
const LEAST_RATE: f64 = 1e-12;

/// A decimal without spaces, signs of plenty, hexadecimal, `inf` or `nan`.
fn plain_decimal(text: &str) -> Option<f64> {
    let ordinary = !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".eE-+".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && text.contains(|character: char| character.is_ascii_digit());
    if ordinary { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_written_back() {
        for (text, written) in [
            ("3", "3"),
            ("1e-5", "1e-5"),
            ("0.5", "0.5"),
            ("2e-5", "2e-5"),
            ("0.001", "0.001"),
        ] {
            if let Ok(delta) = Delta::parse(text) {
                assert_eq!(delta.to_string(), written);
            }
            let epsilon = Epsilon::parse(text).unwrap();
            assert_eq!(epsilon.to_string(), written);
            assert_eq!(epsilon.to_string().parse::<Epsilon>().unwrap(), epsilon);
        }
    }

    #[test]
    fn anything_but_a_plain_decimal_is_refused() {
        for text in [
            "", " 1", "1 ", "+1", "inf", "nan", "NaN", "infinity", "1_000", "0x1", "1,5", "e5",
            ".", "-", "1e",
        ] {
            assert!(Epsilon::parse(text).is_err(), "{text}");
        }
        assert!(Epsilon::parse("1e999").is_err());
        assert!(Epsilon::parse("-1").is_err());
    }

    #[test]
    fn each_quantity_keeps_to_its_range() {
        assert!(Delta::new(0.0).is_err() && Delta::new(1.0).is_err());
        assert!(NoiseMultiplier::new(0.0).is_err());
        assert!(ClippingNorm::new(-1.0).is_err());
        assert!(SamplingRate::new(1.0001).is_err());
        assert!(Rho::new(f64::NAN).is_err() && Rho::new(f64::INFINITY).is_err());
        assert_eq!(Epsilon::new(-0.0).unwrap().to_string(), "0");
    }

    #[test]
    fn a_refusal_names_the_quantity_and_an_accepted_spelling() {
        assert_eq!(
            Delta::parse("small").unwrap_err().to_string(),
            "`small` is not a decimal number for delta, write for example \"1e-5\""
        );
        assert_eq!(
            Delta::parse("2").unwrap_err().to_string(),
            "delta must be above 0 and below 1, not `2`"
        );
    }

    #[test]
    fn files_carry_strings_and_refuse_numbers() {
        let epsilon = Epsilon::parse("3").unwrap();
        assert_eq!(serde_json::to_string(&epsilon).unwrap(), "\"3\"");
        assert_eq!(serde_json::from_str::<Epsilon>("\"3.0\"").unwrap(), epsilon);
        assert!(serde_json::from_str::<Epsilon>("3.0").is_err());
        assert!(serde_json::from_str::<Delta>("\"1.5\"").is_err());
    }
}
