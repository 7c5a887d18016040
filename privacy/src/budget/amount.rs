// SPDX-License-Identifier: Apache-2.0
//! Exact decimal amounts: a ledger is added up in integers, so that no sum depends on its order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A non-negative decimal with `PLACES` digits after the point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount<const PLACES: u32>(u128);

/// A Renyi divergence.
pub type RdpAmount = Amount<12>;
/// A probability on the linear account of delta.
pub type DeltaAmount = Amount<30>;

impl<const PLACES: u32> Amount<PLACES> {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any budget holds.
    pub const MAX: Self = Self(u128::MAX);

    /// At or above the number: for charges. What is no number, or too large, costs everything.
    #[must_use]
    pub fn rounded_up(value: f64) -> Self {
        if value.is_nan() {
            return Self::MAX;
        }
        Self::from_units((value * Self::unit() * (1.0 + MARGIN)).ceil())
    }

    /// At or below the number: for what may be spent. What is no number is nothing.
    #[must_use]
    pub fn rounded_down(value: f64) -> Self {
        Self::from_units((value * Self::unit() * (1.0 - MARGIN)).floor())
    }

    /// The sum; beyond the largest amount it stays there, which no capacity admits.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left, or nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times the amount.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// The nearest double, for showing.
    #[must_use]
    pub fn approximate(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for showing only")]
        let units = self.0 as f64;
        units / Self::unit()
    }

    pub(super) const fn units(self) -> u128 {
        self.0
    }

    fn from_units(units: f64) -> Self {
        // The conversion saturates at both ends and makes nothing of what is no number.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturation is wanted"
        )]
        Self(units as u128)
    }

    fn unit() -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the margin covers it")]
        let unit = Self::UNITS_PER_ONE as f64;
        unit
    }

    const UNITS_PER_ONE: u128 = 10_u128.pow(PLACES);
}

impl<const PLACES: u32> fmt::Display for Amount<PLACES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::UNITS_PER_ONE, self.0 % Self::UNITS_PER_ONE);
        if fraction == 0 {
            return write!(formatter, "{whole}");
        }
        let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
        let digits = format!("{fraction:0places$}");
        write!(formatter, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl<const PLACES: u32> fmt::Debug for Amount<PLACES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a decimal amount with at most {places} places")]
pub struct AmountFault {
    text: String,
    places: u32,
}

impl<const PLACES: u32> FromStr for Amount<PLACES> {
    type Err = AmountFault;

    fn from_str(text: &str) -> Result<Self, AmountFault> {
        let fault = || AmountFault {
            text: text.chars().take(60).collect(),
            places: PLACES,
        };
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(fault()),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
        if whole.is_empty() || fraction.len() > places || !digits(whole) || !digits(fraction) {
            return Err(fault());
        }
        let units: u128 = format!("{whole}{fraction:0<places$}")
            .parse()
            .map_err(|_| fault())?;
        Ok(Self(units))
    }
}

impl<const PLACES: u32> Serialize for Amount<PLACES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const PLACES: u32> Deserialize<'de> for Amount<PLACES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// More than the accountant's arithmetic can have lost.
const MARGIN: f64 = 1e-11;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn charges_round_up_and_capacities_down() {
        assert_eq!(RdpAmount::rounded_up(1e-30).to_string(), "0.000000000001");
        assert_eq!(RdpAmount::rounded_down(1e-13), RdpAmount::ZERO);
        assert!(RdpAmount::rounded_down(2.238) < RdpAmount::rounded_up(2.238));
        assert_eq!(RdpAmount::rounded_up(f64::INFINITY), RdpAmount::MAX);
        assert_eq!(RdpAmount::rounded_up(f64::NAN), RdpAmount::MAX);
        assert_eq!(RdpAmount::rounded_down(f64::NAN), RdpAmount::ZERO);
        assert_eq!(RdpAmount::rounded_down(-1.0), RdpAmount::ZERO);
    }

    #[test]
    fn arithmetic_saturates_on_the_safe_side() {
        assert_eq!(RdpAmount::MAX.plus(RdpAmount::MAX), RdpAmount::MAX);
        assert_eq!(RdpAmount::MAX.times(7), RdpAmount::MAX);
        assert_eq!(RdpAmount::ZERO.minus(RdpAmount::MAX), RdpAmount::ZERO);
    }

    #[test]
    fn text_that_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.0000000000001",
            "1.2.3",
            " 1",
            "9".repeat(40).as_str(),
        ] {
            assert!(text.parse::<RdpAmount>().is_err(), "{text}");
        }
        assert_eq!("2.50".parse::<RdpAmount>().unwrap().to_string(), "2.5");
    }

    proptest! {
        #[test]
        fn an_amount_reads_back_as_written(units in any::<u128>()) {
            let amount = Amount::<12>(units);
            prop_assert_eq!(amount.to_string().parse::<Amount<12>>().unwrap(), amount);
            let small = Amount::<30>(units);
            prop_assert_eq!(small.to_string().parse::<Amount<30>>().unwrap(), small);
        }

        #[test]
        fn rounding_brackets_the_number(value in 0.0_f64..1e6) {
            prop_assert!(RdpAmount::rounded_up(value).approximate() >= value);
            prop_assert!(RdpAmount::rounded_down(value).approximate() <= value);
            prop_assert!(RdpAmount::rounded_up(value).approximate() <= value * (1.0 + 1e-10) + 2e-12);
        }
    }
}
