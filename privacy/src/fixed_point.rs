// SPDX-License-Identifier: Apache-2.0
//! Reals as integers with a fixed number of fractional bits, for studies without noise and for what a silo made of its
//! own noised sums.
//!
//! Without noise encoding never clips in silence: a value that does not fit is refused, because a clipped sum would
//! be a wrong result that looks right. All steps are exact or correctly rounded, so every platform
//! gets the same integers.

use thiserror::Error;

/// How reals become integers: `value * 2^fraction_bits`, rounded half to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPoint {
    fraction_bits: u8,
    clamp: u64,
}

impl FixedPoint {
    /// `fraction_bits` at most 52; `clamp` is the largest magnitude of an encoded integer, at most 2^60.
    pub fn new(fraction_bits: u8, clamp: u64) -> Result<Self, FixedPointFault> {
        if fraction_bits > MOST_FRACTION_BITS {
            return Err(FixedPointFault::TooManyFractionBits { fraction_bits });
        }
        if clamp == 0 || clamp > MOST_CLAMP {
            return Err(FixedPointFault::ClampOutOfRange { clamp });
        }
        Ok(Self {
            fraction_bits,
            clamp,
        })
    }

    /// The integer nearest to `value * 2^fraction_bits`; ties go to the even one.
    pub fn encode(&self, value: f64) -> Result<i64, FixedPointFault> {
        if !value.is_finite() {
            return Err(FixedPointFault::NotFinite);
        }
        let scaled = (value * self.unit()).round_ties_even();
        // The conversion saturates far above the clamp, and both are exact below 2^63.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the magnitude is compared with the clamp next"
        )]
        let integer = scaled as i64;
        if scaled.is_finite() && integer.unsigned_abs() <= self.clamp {
            Ok(integer)
        } else {
            Err(FixedPointFault::BeyondClamp {
                largest: self.largest(),
            })
        }
    }

    /// The same for a number that tells nothing about patients but what noise has hidden, and that must always have a
    /// form: beyond the clamp it becomes the clamp, and what is no number becomes zero.
    #[must_use]
    pub fn encode_saturating(&self, value: f64) -> i64 {
        let bound = i64::try_from(self.clamp).unwrap_or(i64::MAX);
        match self.encode(value) {
            Ok(integer) => integer,
            Err(_) if value.is_nan() => 0,
            Err(_) if value > 0.0 => bound,
            Err(_) => -bound,
        }
    }

    /// The real that an integer, or a sum of integers, stands for.
    #[must_use]
    pub fn decode(&self, integer: i64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "rounding to nearest is what is wanted"
        )]
        let real = integer as f64;
        real / self.unit()
    }

    /// The largest magnitude that can be encoded.
    #[must_use]
    pub fn largest(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "shown to people")]
        let clamp = self.clamp as f64;
        clamp / self.unit()
    }

    fn unit(self) -> f64 {
        // Exact: at most 2^52.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a power of two below 2^53 is exact"
        )]
        let unit = (1_u64 << self.fraction_bits) as f64;
        unit
    }
}

/// Why a value has no fixed-point form. It never shows the value, which may come from a patient.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum FixedPointFault {
    /// More fractional bits than a double holds.
    #[error("`fraction_bits` is {fraction_bits}, use at most 52")]
    TooManyFractionBits {
        /// The number asked for.
        fraction_bits: u8,
    },
    /// A clamp of zero, or above 2^60.
    #[error("a clamp of {clamp} is outside 1 to 2^60, use fewer silos or more `word_bits`")]
    ClampOutOfRange {
        /// The clamp asked for.
        clamp: u64,
    },
    /// Not a number, or infinite.
    #[error("a value is not finite")]
    NotFinite,
    /// Too large for the words of this study.
    #[error(
        "a value is beyond {largest}, the largest this study can add up: use more `word_bits` or fewer `fraction_bits`"
    )]
    BeyondClamp {
        /// The largest magnitude that fits.
        largest: f64,
    },
}

const MOST_FRACTION_BITS: u8 = 52;
/// The verification of sums needs |S| < 2^60.
pub(crate) const MOST_CLAMP: u64 = 1 << 60;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ties_go_to_the_even_integer() {
        let whole = FixedPoint::new(0, 100).unwrap();
        for (value, integer) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (-2.5, -2),
            (0.49, 0),
            (99.7, 100),
        ] {
            assert_eq!(whole.encode(value).unwrap(), integer, "{value}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_clipped() {
        let whole = FixedPoint::new(0, 100).unwrap();
        assert!(matches!(
            whole.encode(100.6),
            Err(FixedPointFault::BeyondClamp { .. })
        ));
        assert!(matches!(
            whole.encode(-1e300),
            Err(FixedPointFault::BeyondClamp { .. })
        ));
        assert_eq!(whole.encode(f64::NAN), Err(FixedPointFault::NotFinite));
        assert_eq!(
            whole.encode(f64::NEG_INFINITY),
            Err(FixedPointFault::NotFinite)
        );
        let fine = FixedPoint::new(52, MOST_CLAMP).unwrap();
        assert!(matches!(
            fine.encode(f64::MAX),
            Err(FixedPointFault::BeyondClamp { .. })
        ));
        assert!(FixedPoint::new(53, 1).is_err() && FixedPoint::new(0, 0).is_err());
        assert!(FixedPoint::new(0, MOST_CLAMP + 1).is_err());
    }

    #[test]
    fn saturating_encoding_always_finds_an_integer_within_the_clamp() {
        let whole = FixedPoint::new(0, 100).unwrap();
        for (value, integer) in [
            (99.7, 100),
            (100.6, 100),
            (1e300, 100),
            (-1e300, -100),
            (f64::INFINITY, 100),
            (f64::NEG_INFINITY, -100),
            (f64::NAN, 0),
        ] {
            assert_eq!(whole.encode_saturating(value), integer, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_value_comes_back_within_half_a_unit(value in -1e6_f64..1e6, bits in 0_u8..=32) {
            let format = FixedPoint::new(bits, MOST_CLAMP).unwrap();
            let back = format.decode(format.encode(value).unwrap());
            prop_assert!((back - value).abs() <= 0.5 / f64::from(2_u32).powi(i32::from(bits)));
        }
    }
}
