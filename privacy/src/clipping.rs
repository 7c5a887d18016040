// SPDX-License-Identifier: Apache-2.0
//! One patient's vector, bounded: first as reals, then as the integers that the proof is about.
//!
//! The reals may come from foreign code and are trusted with nothing. The bound that privacy rests on
//! is checked on the integers, exactly; a vector that fails it counts as zero.

use crate::loss::ClippingNorm;

/// Scales a vector down to the norm, if it is longer; a vector that is not finite becomes zero.
pub fn clip(vector: &mut [f64], norm: ClippingNorm) {
    let largest = vector
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if vector.iter().any(|value| !value.is_finite()) {
        vector.fill(0.0);
        return;
    }
    if largest == 0.0 {
        return;
    }
    // Divided by the largest value first, so that no square overflows or vanishes.
    let sum_of_squares: f64 = vector
        .iter()
        .map(|value| (value / largest) * (value / largest))
        .sum();
    let length_by_largest = sum_of_squares.sqrt();
    if largest * length_by_largest > norm.value() {
        for value in vector {
            *value = *value / largest / length_by_largest * norm.value();
        }
    }
}

/// One patient's vector as integers whose sum of squares is at most `clip_integer^2`, whatever came in.
///
/// `clip_integer` integers stand for the clipping norm; fractions are cut towards zero, which never
/// lengthens a vector. Zero throughout if the vector is not finite or fails the bound.
#[must_use]
pub fn quantise_patient(vector: &[f64], norm: ClippingNorm, clip_integer: u64) -> Vec<i64> {
    let mut clipped = vector.to_vec();
    clip(&mut clipped, norm);
    let integers: Option<Vec<i64>> = clipped
        .iter()
        .map(|value| truncate(*value, norm, clip_integer))
        .collect();
    match integers {
        Some(integers) if is_within(&integers, clip_integer) => integers,
        Some(_) | None => vec![0; vector.len()],
    }
}

/// Whether the sum of squares is at most `clip_integer^2`, in exact arithmetic.
// SECURITY: this is the sensitivity that the accountant charges for; nothing else bounds it.
#[must_use]
pub fn is_within(integers: &[i64], clip_integer: u64) -> bool {
    let bound = u128::from(clip_integer) * u128::from(clip_integer);
    let mut sum = 0_u128;
    for integer in integers {
        let magnitude = u128::from(integer.unsigned_abs());
        match magnitude
            .checked_mul(magnitude)
            .and_then(|square| sum.checked_add(square))
        {
            Some(larger) => sum = larger,
            None => return false,
        }
    }
    sum <= bound
}

fn truncate(value: f64, norm: ClippingNorm, clip_integer: u64) -> Option<i64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a power of two below 2^53 in every plan; the bound is checked later in any case"
    )]
    let scaled = value * (clip_integer as f64) / norm.value();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting the fraction is the point; larger values are refused"
    )]
    (scaled.abs() < 9e18).then_some(scaled as i64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const D: u64 = 1 << 14;

    fn norm(value: f64) -> ClippingNorm {
        ClippingNorm::new(value).unwrap()
    }

    #[test]
    fn a_short_vector_is_left_alone_and_a_long_one_keeps_its_direction() {
        let mut short = [0.3, -0.4];
        clip(&mut short, norm(0.5));
        assert_eq!(short, [0.3, -0.4]);
        let mut long = [30.0, -40.0];
        clip(&mut long, norm(0.5));
        assert!((long[0] - 0.3).abs() < 1e-15 && (long[1] + 0.4).abs() < 1e-15);
    }

    #[test]
    fn a_vector_of_exactly_the_norm_keeps_all_of_it() {
        for length in [1.0, 7.0, 0.1, 1e-300, 1e300] {
            assert_eq!(
                quantise_patient(&[0.0, length, 0.0], norm(1e-30), D).len(),
                3
            );
            let c = norm(0.1);
            let vector = quantise_patient(&[0.0, -length.max(0.1), 0.0], c, D);
            assert_eq!(vector, [0, -16_384, 0], "{length}");
        }
        // Four equal coordinates of a half: an exact Pythagorean case.
        assert_eq!(quantise_patient(&[3.0; 4], norm(1.0), D), [8_192; 4]);
    }

    #[test]
    fn anything_not_finite_is_zero_throughout() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(quantise_patient(&[0.5, bad, 0.5], norm(1.0), D), [0, 0, 0]);
        }
    }

    #[test]
    fn the_integer_bound_is_exact_and_cannot_overflow() {
        assert!(is_within(&[3, 4], 5));
        assert!(!is_within(&[3, 4, 1], 5));
        assert!(!is_within(&[i64::MIN; 5], u64::MAX));
        assert!(is_within(&[], 0));
    }

    proptest! {
        #[test]
        fn whatever_comes_in_the_bound_holds(
            vector in prop::collection::vec(any::<f64>(), 0..40),
            c in 1e-20_f64..1e20,
            bits in 0_u32..24,
        ) {
            let integers = quantise_patient(&vector, norm(c), 1 << bits);
            prop_assert_eq!(integers.len(), vector.len());
            prop_assert!(is_within(&integers, 1 << bits));
        }

        #[test]
        fn a_finite_vector_loses_less_than_one_unit_per_coordinate(
            vector in prop::collection::vec(-1e3_f64..1e3, 1..40),
            c in 1e-3_f64..1e3,
        ) {
            let mut clipped = vector.clone();
            clip(&mut clipped, norm(c));
            let integers = quantise_patient(&vector, norm(c), D);
            for (integer, value) in integers.iter().zip(&clipped) {
                let exact = value * 16_384.0 / c;
                prop_assert!((exact - *integer as f64).abs() < 1.0);
                prop_assert!(integer.unsigned_abs() as f64 <= exact.abs());
            }
        }
    }
}
