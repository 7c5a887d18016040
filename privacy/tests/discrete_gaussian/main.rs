// SPDX-License-Identifier: Apache-2.0
//! The sampler against its exact distribution, and against OpenDP.
//!
//! All but the OpenDP test are seeded and repeat exactly; a new seed would raise a false alarm with a
//! probability of about 1e-6 per test, the OpenDP test in every run with about 1e-9.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::discrete_gaussian::DiscreteGaussian;

#[test]
fn small_variances_follow_the_exact_probabilities() {
    for (variance, samples) in [(1, 500_000), (2, 500_000), (17, 500_000), (400, 1_000_000)] {
        let gaussian = DiscreteGaussian::new(variance).unwrap();
        let mut random = InsecureSeededRandom::from_seed(variance);
        let counts = histogram(samples, 400, || gaussian.sample(&mut random));
        assert_fits(
            &counts,
            &probabilities(variance as f64, 400),
            samples,
            "variance",
            variance,
        );
    }
}

#[test]
fn a_variance_of_production_size_follows_the_normal_curve_in_every_cell() {
    // Cells of sigma/8, with the continuity correction: its error is 1e-9, the test sees 1e-3.
    for variance in [193_635_251_u64, 1 << 60] {
        let sigma = (variance as f64).sqrt();
        let width = (sigma / 8.0) as i64;
        let gaussian = DiscreteGaussian::new(variance).unwrap();
        let mut random = InsecureSeededRandom::from_seed(3);
        let samples = 500_000;
        let counts = histogram(samples, 60, || {
            gaussian.sample(&mut random).div_euclid(width)
        });
        let below =
            |cell: i64| libm::erfc(-((cell * width) as f64 - 0.5) / sigma / 2_f64.sqrt()) / 2.0;
        let expected: Vec<f64> = (-60..=60)
            .map(|cell| below(cell + 1) - below(cell))
            .collect();
        assert_fits(&counts, &expected, samples, "variance", variance);
    }
}

#[test]
fn the_variance_is_exact_and_the_mean_is_zero() {
    // Facts of the reference vectors `discrete_gaussian`: parameter 1 has variance 0.99999978.
    for (parameter, variance) in [
        (1_u64, 0.999_999_788_767_728_1),
        (16, 16.0),
        (1_000_000, 1e6),
    ] {
        let gaussian = DiscreteGaussian::new(parameter).unwrap();
        let mut random = InsecureSeededRandom::from_seed(11);
        let samples = 1_000_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..samples {
            let value = gaussian.sample(&mut random) as f64;
            sum += value;
            squares += value * value;
        }
        let mean = sum / f64::from(samples);
        let measured = squares / f64::from(samples);
        let error = (2.0 / f64::from(samples)).sqrt() * variance;
        assert!(
            (measured - variance).abs() < 5.0 * error,
            "{measured} against {variance}"
        );
        assert!(
            mean.abs() < 5.0 * (variance / f64::from(samples)).sqrt(),
            "{mean}"
        );
    }
}

#[test]
fn tails_reach_as_far_as_they_should_and_no_farther() {
    let gaussian = DiscreteGaussian::new(100).unwrap();
    let mut random = InsecureSeededRandom::from_seed(5);
    let samples = 2_000_000;
    let (mut beyond_four, mut farthest) = (0, 0);
    for _ in 0..samples {
        let magnitude = gaussian.sample(&mut random).abs();
        beyond_four += i32::from(magnitude > 40);
        farthest = farthest.max(magnitude);
    }
    let probability: f64 = 2.0 * probabilities(100.0, 400)[441..].iter().sum::<f64>();
    let expected = probability * f64::from(samples);
    assert!((f64::from(beyond_four) - expected).abs() < 5.0 * expected.sqrt());
    assert!((45..75).contains(&farthest), "{farthest}");
}

#[test]
fn the_sum_of_four_shares_follows_the_exact_convolution() {
    let share = DiscreteGaussian::new(4).unwrap();
    let one = probabilities(4.0, 60);
    let convolve = |first: &[f64], second: &[f64]| -> Vec<f64> {
        let mut out = vec![0.0; first.len() + second.len() - 1];
        for (i, p) in first.iter().enumerate() {
            for (j, q) in second.iter().enumerate() {
                out[i + j] += p * q;
            }
        }
        out
    };
    let two = convolve(&one, &one);
    let four = convolve(&two, &two);
    let mut random = InsecureSeededRandom::from_seed(7);
    let samples = 500_000;
    let counts = histogram(samples, 240, || {
        (0..4).map(|_| share.sample(&mut random)).sum()
    });
    assert_fits(&counts, &four, samples, "shares", 4);
}

#[test]
fn opendp_draws_from_the_same_distribution() {
    for sigma in [1_u32, 5] {
        let samples = 100_000;
        let counts = histogram(samples, 100, || {
            let drawn = opendp::traits::samplers::sample_discrete_gaussian(sigma.into()).unwrap();
            i64::try_from(drawn).unwrap()
        });
        let gaussian = DiscreteGaussian::new(u64::from(sigma * sigma)).unwrap();
        let mut random = InsecureSeededRandom::from_seed(13);
        let ours = histogram(samples, 100, || gaussian.sample(&mut random));
        let (mut statistic, mut cells) = (0.0, 0);
        for (theirs, ours) in counts.iter().zip(&ours) {
            let (theirs, ours) = (*theirs as f64, *ours as f64);
            if theirs + ours >= 40.0 {
                statistic += (theirs - ours).powi(2) / (theirs + ours);
                cells += 1;
            }
        }
        assert!(
            statistic < critical(f64::from(cells), 6.0),
            "{statistic} over {cells} cells"
        );
    }
}

#[test]
fn the_same_seed_draws_the_same_noise_in_every_version() {
    let draw = |variance: u64| {
        let mut random = InsecureSeededRandom::from_seed(2_026);
        DiscreteGaussian::new(variance)
            .unwrap()
            .sample_vector(8, &mut random)
    };
    assert_eq!(draw(17), KNOWN_17);
    assert_eq!(draw(193_635_251), KNOWN_193_635_251);
    assert_eq!(draw(1 << 60), KNOWN_2_60);
}

#[test]
fn noise_is_added_to_every_coordinate() {
    let gaussian = DiscreteGaussian::new(1 << 40).unwrap();
    let mut vector = vec![1_000; 64];
    gaussian.add_to(&mut vector, &mut InsecureSeededRandom::from_seed(1));
    let noise = gaussian.sample_vector(64, &mut InsecureSeededRandom::from_seed(1));
    let sums: Vec<i64> = noise.iter().map(|noise| noise + 1_000).collect();
    assert_eq!(vector, sums);
    assert!(noise.iter().all(|noise| *noise != 0));
}

#[test]
fn variances_beyond_the_arithmetic_are_refused() {
    assert!(DiscreteGaussian::new(0).is_err());
    assert!(DiscreteGaussian::new((1 << 60) + 1).is_err());
}

const KNOWN_17: [i64; 8] = [5, -8, 1, 1, -4, 5, 2, -2];
const KNOWN_193_635_251: [i64; 8] = [
    15_871, -21_169, -3_429, 9_302, -1_190, 6_976, 6_662, -13_138,
];
const KNOWN_2_60: [i64; 8] = [
    1_330_085_096,
    -876_014_684,
    -454_725_258,
    453_758_298,
    9_199_040,
    -1_178_389_052,
    545_966_030,
    -57_553_635,
];

/// Counts of -half ..= half; anything beyond is counted in the last cell of its side.
fn histogram(samples: u32, half: i64, mut draw: impl FnMut() -> i64) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from(2 * half + 1).unwrap()];
    for _ in 0..samples {
        counts[usize::try_from(draw().clamp(-half, half) + half).unwrap()] += 1;
    }
    counts
}

/// The exact probabilities of -half ..= half.
fn probabilities(variance: f64, half: i64) -> Vec<f64> {
    let weight = |x: i64| libm::exp(-((x * x) as f64) / (2.0 * variance));
    let total: f64 = (-half..=half).map(weight).sum();
    (-half..=half).map(|x| weight(x) / total).collect()
}

/// Pearson's chi-square over the cells that expect at least 20, the others pooled.
fn assert_fits(counts: &[u64], expected: &[f64], samples: u32, what: &str, value: u64) {
    assert_eq!(counts.len(), expected.len());
    let (mut statistic, mut cells) = (0.0, 0.0);
    let (mut rest_seen, mut rest_expected) = (0.0, 0.0);
    for (count, probability) in counts.iter().zip(expected) {
        let (seen, expected) = (*count as f64, probability * f64::from(samples));
        if expected < 20.0 {
            rest_seen += seen;
            rest_expected += expected;
        } else {
            statistic += (seen - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    if rest_expected >= 5.0 {
        statistic += (rest_seen - rest_expected).powi(2) / rest_expected;
    } else {
        assert!(
            rest_seen < 40.0,
            "{what} {value}: {rest_seen} samples where hardly any belong"
        );
    }
    let limit = critical(cells, 4.75);
    assert!(
        statistic < limit,
        "{what} {value}: chi-square {statistic} above {limit} over {cells} cells"
    );
}

/// The value that chi-square exceeds with the tail probability of `z` (Wilson and Hilferty).
fn critical(cells: f64, z: f64) -> f64 {
    let spread = 2.0 / (9.0 * cells);
    cells * (1.0 - spread + z * spread.sqrt()).powi(3)
}
