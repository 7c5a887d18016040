// SPDX-License-Identifier: Apache-2.0
//! Who takes part in one attempt: everybody, or each patient by a draw of its own.
//!
//! The draw compares a uniform 64-bit integer with a threshold, so its probability is a fraction that the plan names
//! exactly. Nothing tells who was drawn, or how many: patients who were not add zero, with the same work.

use std::num::NonZeroU64;

use consilium_crypto::random::RandomSource;
use serde::{Deserialize, Serialize};

use crate::accountant::Sampling;
use crate::loss::SamplingRate;

/// Who takes part in an attempt; every attempt draws anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batch {
    /// Every patient.
    Everybody,
    /// Each patient on its own, with the probability of this many in 2^64.
    Drawn(NonZeroU64),
}

impl Batch {
    /// The batch of a rate. The probability is never above it: fractions of 2^-64 are cut off.
    #[must_use]
    pub fn of(rate: SamplingRate) -> Self {
        if rate == SamplingRate::EVERYBODY {
            return Self::Everybody;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and below 2^64 since the rate is below 1; cutting the fraction is the point"
        )]
        let threshold = (rate.value() * TWO_TO_64) as u64;
        NonZeroU64::new(threshold).map_or(Self::Drawn(NonZeroU64::MIN), Self::Drawn)
    }

    /// The probability, rounded up: what the accountant counts on.
    #[must_use]
    pub fn rate(self) -> SamplingRate {
        match self {
            Self::Everybody => SamplingRate::EVERYBODY,
            Self::Drawn(threshold) => {
                SamplingRate::at_least(not_below(threshold.get()) / TWO_TO_64)
            }
        }
    }

    /// The same, as the accountant knows it.
    #[must_use]
    pub fn sampling(self) -> Sampling {
        match self {
            Self::Everybody => Sampling::Everybody,
            Self::Drawn(_) => Sampling::Poisson(self.rate()),
        }
    }

    /// Draws one patient: all bits are set if the patient takes part, none if not.
    // SECURITY: a mask and no branch: how long an attempt takes must not tell how many were drawn.
    pub(crate) fn draw(self, random: &mut impl RandomSource) -> i64 {
        match self {
            Self::Everybody => -1,
            Self::Drawn(threshold) => -i64::from(random.next_u64() < threshold.get()),
        }
    }
}

/// The least number not below an integer.
fn not_below(integer: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is lost is made up for below"
    )]
    let nearest = integer as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 2^64"
    )]
    if (nearest as u128) < u128::from(integer) {
        nearest.next_up()
    } else {
        nearest
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use consilium_crypto::random::InsecureSeededRandom;
    use proptest::prelude::*;

    use super::*;

    fn rate(value: f64) -> SamplingRate {
        SamplingRate::new(value).unwrap()
    }

    fn drawn(threshold: u64) -> Batch {
        Batch::Drawn(NonZeroU64::new(threshold).unwrap())
    }

    #[test]
    fn a_tenth_is_the_integer_below_a_tenth_of_two_to_the_64() {
        // 0.1 as a double is 3602879701896397 / 2^55.
        assert_eq!(Batch::of(rate(0.1)), drawn(3_602_879_701_896_397 << 9));
        assert_eq!(Batch::of(rate(0.5)), drawn(1 << 63));
        assert_eq!(Batch::of(rate(1.0)), Batch::Everybody);
        assert_eq!(Batch::of(rate(1e-12)), drawn(18_446_744));
    }

    #[test]
    fn an_integer_without_an_equal_double_is_counted_as_more() {
        for threshold in [(1 << 53) + 1, (1 << 63) + 1, u64::MAX] {
            let counted = not_below(threshold);
            assert!(counted as u128 > u128::from(threshold), "{threshold}");
        }
        assert_eq!(drawn(u64::MAX).rate(), SamplingRate::EVERYBODY);
        // Rarer than any rate that is accounted for: counted as the rarest of them.
        assert_eq!(drawn(1).rate(), rate(1e-12));
    }

    #[test]
    fn the_draw_is_the_comparison_with_the_threshold() {
        struct Fixed(u64);
        impl RandomSource for Fixed {
            fn fill(&mut self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.0.to_le_bytes());
            }
        }
        for (word, threshold, mask) in [
            (0, 1, -1),
            (1, 1, 0),
            (u64::MAX - 1, u64::MAX, -1),
            (u64::MAX, u64::MAX, 0),
            ((1 << 63) - 1, 1 << 63, -1),
            (1 << 63, 1 << 63, 0),
        ] {
            assert_eq!(drawn(threshold).draw(&mut Fixed(word)), mask, "{word}");
        }
        assert_eq!(Batch::Everybody.draw(&mut Fixed(u64::MAX)), -1);
    }

    #[test]
    fn as_many_are_drawn_as_the_rate_says() {
        // 10^6 draws: a standard deviation of 300 at a tenth; five of them, a false alarm in 10^6. The seed is fixed.
        let mut random = InsecureSeededRandom::from_seed(29);
        let batch = Batch::of(rate(0.1));
        let count: i64 = (0..1_000_000).map(|_| -batch.draw(&mut random)).sum();
        assert!((count - 100_000).abs() < 1_500, "{count}");
    }

    #[test]
    fn a_batch_travels_in_json_and_in_binary() {
        for batch in [Batch::Everybody, drawn(7), drawn(u64::MAX)] {
            let json = serde_json::to_string(&batch).unwrap();
            assert_eq!(serde_json::from_str::<Batch>(&json).unwrap(), batch);
            let bytes = postcard::to_allocvec(&batch).unwrap();
            assert_eq!(postcard::from_bytes::<Batch>(&bytes).unwrap(), batch);
        }
        assert!(serde_json::from_str::<Batch>("{\"drawn\": 0}").is_err());
    }

    proptest! {
        #[test]
        fn the_accountant_never_counts_on_less_than_is_drawn(value in 1e-12_f64..1.0, any in 1_u64..) {
            let Batch::Drawn(threshold) = Batch::of(rate(value)) else {
                panic!("everybody below 1")
            };
            // Both are exact: a double times a power of two, and an integer below 2^64 that came from one.
            let real = threshold.get() as f64 / TWO_TO_64;
            prop_assert!(real <= value && value - real < 1.0 / TWO_TO_64 * 2.0);
            prop_assert!(Batch::of(rate(value)).rate().value() >= real);
            let counted = drawn(any).rate().value() * TWO_TO_64;
            prop_assert!(counted as u128 >= u128::from(any));
        }
    }
}
