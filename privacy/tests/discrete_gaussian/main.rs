// SPDX-License-Identifier: Apache-2.0
//! The sampler against its exact distribution, against an independent sampler of ours, and against OpenDP.
//!
//! All but the OpenDP test are seeded and repeat exactly; a new seed would raise a false alarm with a
//! probability of about 1e-6 per test, the OpenDP test in every run with about 1e-9. That the arithmetic
//! itself is exact is computed beside the sampler, in `src/discrete_gaussian/exactness.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod canonne_kamath_steinke;
mod shares;
mod statistics;

use canonne_kamath_steinke::Reference;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::discrete_gaussian::DiscreteGaussian;
use statistics::{assert_alike, assert_fits, histogram, probabilities, variance};

const MANY: usize = 4_000_000;

fn samples(scale: u64, seed: u64, count: usize) -> Vec<i64> {
    let mut random = InsecureSeededRandom::from_seed(seed);
    DiscreteGaussian::new(scale)
        .unwrap()
        .sample_vector(count, &mut random)
}

#[test]
fn four_million_samples_follow_the_exact_probabilities() {
    for (scale, half) in [(2, 20), (12, 120), (1178, 8_000)] {
        let counts = histogram(samples(scale, scale, MANY), half);
        assert_fits(
            &counts,
            &probabilities(scale, half),
            &format!("scale {scale}"),
        );
    }
}

#[test]
fn four_million_samples_of_a_large_scale_follow_the_normal_curve_in_every_cell() {
    // Cells of sigma/32, with the continuity correction: its error is 1e-9, the test sees 1e-4.
    for scale in [1_177_411_u64, 1 << 30] {
        let sigma = variance(scale).sqrt();
        let width = (sigma / 32.0) as i64;
        let cells = samples(scale, scale, MANY)
            .into_iter()
            .map(|y| y.div_euclid(width));
        let below =
            |cell: i64| libm::erfc(-((cell * width) as f64 - 0.5) / sigma / 2_f64.sqrt()) / 2.0;
        let expected: Vec<f64> = (-240..=240)
            .map(|cell| below(cell + 1) - below(cell))
            .collect();
        assert_fits(&histogram(cells, 240), &expected, &format!("scale {scale}"));
    }
}

#[test]
fn low_bits_are_as_likely_as_they_should_be() {
    // What rounding would show first: the last four bits, of which every value is equally likely.
    for scale in [1178, 1_177_411, 1 << 30] {
        let bits = samples(scale, 17, 1_000_000).into_iter().map(|y| y & 15);
        let counts = histogram(bits, 15)[15..].to_vec();
        assert_fits(
            &counts,
            &[1.0 / 16.0; 16],
            &format!("low bits at scale {scale}"),
        );
    }
}

#[test]
fn the_variance_is_exact_and_the_mean_is_zero() {
    for (scale, half) in [(2, 30), (12, 200), (1178, 16_000), (1_177_411, 0)] {
        let exact = match half {
            0 => variance(scale),
            half => (-half..=half)
                .zip(probabilities(scale, half))
                .map(|(y, p)| (y * y) as f64 * p)
                .sum(),
        };
        assert!((exact / variance(scale) - 1.0).abs() < 1e-9);
        let count = MANY as f64;
        let values = samples(scale, 11, MANY);
        let mean = values.iter().map(|y| *y as f64).sum::<f64>() / count;
        let measured = values.iter().map(|y| (*y as f64).powi(2)).sum::<f64>() / count;
        let error = (2.0 / count).sqrt() * exact;
        assert!(
            (measured - exact).abs() < 5.0 * error,
            "{measured} against {exact}"
        );
        assert!(mean.abs() < 5.0 * (exact / count).sqrt(), "{mean}");
    }
}

#[test]
fn tails_reach_as_far_as_they_should_and_no_farther() {
    for (scale, half) in [(12, 200), (1178, 16_000)] {
        let sigma = variance(scale).sqrt();
        let exact = probabilities(scale, half);
        let values = samples(scale, 5, MANY);
        for multiple in [4.0, 4.5, 5.0] {
            let bound = (multiple * sigma) as i64;
            let beyond = |y: i64| y.abs() > bound;
            let probability: f64 = (-half..=half)
                .zip(&exact)
                .filter(|(y, _)| beyond(*y))
                .map(|(_, p)| p)
                .sum();
            let expected = probability * MANY as f64;
            let seen = values.iter().filter(|y| beyond(**y)).count() as f64;
            // Five deviations of a Poisson count, and room for the skew of a small one.
            assert!(
                (seen - expected).abs() < 5.0 * expected.sqrt() + 4.0,
                "{seen} beyond {multiple}"
            );
        }
        let farthest = values.iter().map(|y| y.unsigned_abs()).max().unwrap() as f64 / sigma;
        assert!((4.7..7.2).contains(&farthest), "{farthest}");
    }
}

#[test]
fn an_independent_sampler_draws_from_the_same_distribution() {
    // The reference takes an integer variance; this one is off by 3e-7, of which 400,000 samples see nothing.
    let (scale, count) = (1178, 400_000);
    let reference = Reference::new(variance(scale).ceil() as u64);
    let mut random = InsecureSeededRandom::from_seed(13);
    let theirs = (0..count).map(|_| reference.sample(&mut random).div_euclid(25));
    let ours = samples(scale, 14, count)
        .into_iter()
        .map(|y| y.div_euclid(25));
    assert_alike(&histogram(theirs, 300), &histogram(ours, 300), "reference");
}

#[test]
fn opendp_draws_from_the_same_distribution() {
    for scale in [2_u64, 12] {
        let count = 40_000;
        let sigma = variance(scale).sqrt();
        let theirs = (0..count).map(|_| {
            let sigma = sigma.try_into().unwrap();
            let drawn = opendp::traits::samplers::sample_discrete_gaussian(sigma).unwrap();
            i64::try_from(drawn).unwrap()
        });
        let ours = samples(scale, 13, count);
        assert_alike(&histogram(theirs, 100), &histogram(ours, 100), "OpenDP");
    }
}

#[test]
fn the_same_seed_draws_the_same_noise_in_every_version() {
    for (scale, known) in KNOWN {
        assert_eq!(samples(scale, 2_026, 8), known, "{scale}");
    }
}

#[test]
fn no_line_of_the_sampler_knows_a_float() {
    // The lint in those files refuses arithmetic; this refuses the types.
    for source in [
        include_str!("../../src/discrete_gaussian.rs"),
        include_str!("../../src/discrete_gaussian/acceptance.rs"),
        include_str!("../../src/discrete_gaussian/half_gaussian.rs"),
    ] {
        let code = source
            .split("#[cfg(test)]\n#[allow(clippy::float_arithmetic")
            .next()
            .unwrap();
        assert!(code.contains("#![deny(clippy::float_arithmetic)]"));
        for word in ["f32", "f64", "libm"] {
            assert!(!code.contains(word), "{word}");
        }
    }
}

#[test]
fn noise_is_added_to_every_coordinate() {
    let gaussian = DiscreteGaussian::new(1 << 20).unwrap();
    let mut vector = vec![1_000; 640];
    gaussian.add_to(&mut vector, &mut InsecureSeededRandom::from_seed(1));
    let noise = gaussian.sample_vector(640, &mut InsecureSeededRandom::from_seed(1));
    let sums: Vec<i64> = noise.iter().map(|noise| noise + 1_000).collect();
    assert_eq!(vector, sums);
    assert!(noise.iter().all(|noise| *noise != 0));
}

#[test]
fn scales_beyond_the_arithmetic_are_refused() {
    for scale in [0, 1, (1 << 30) + 1, u64::MAX] {
        assert!(DiscreteGaussian::new(scale).is_err(), "{scale}");
    }
}

/// Held against a slow reading of the definition beside the sampler.
const KNOWN: [(u64, [i64; 8]); 5] = [
    (2, [0, 0, 1, -2, 2, -1, -2, 3]),
    (12, [1, 1, -6, 17, 14, 4, 15, 19]),
    (1178, [-140, 133, -638, -1699, -1402, -430, -1474, 1893]),
    (
        1_177_411,
        [
            -140_546, -133_032, -638_437, -1_698_701, 1_402_261, 430_383, 1_473_869, 1_892_151,
        ],
    ),
    (
        1 << 30,
        [
            -128_171_635,
            -121_319_602,
            582_224_447,
            1_549_133_972,
            -1_278_794_380,
            392_488_861,
            -1_344_097_549,
            -1_725_550_225,
        ],
    ),
];
