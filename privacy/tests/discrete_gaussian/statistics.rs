// SPDX-License-Identifier: Apache-2.0
//! Exact probabilities, and how well counts fit them.

use std::f64::consts::LN_2;

/// P(y) for y from -half to half: proportional to 2^(-y^2/k^2).
pub(crate) fn probabilities(scale: u64, half: i64) -> Vec<f64> {
    let weight = |y: i64| libm::exp2(-((y * y) as f64) / (scale * scale) as f64);
    let total: f64 = (-half..=half).map(weight).sum();
    (-half..=half).map(|y| weight(y) / total).collect()
}

/// k^2/(2 ln 2), which is the variance for every scale that is not tiny.
pub(crate) fn variance(scale: u64) -> f64 {
    (scale * scale) as f64 / (2.0 * LN_2)
}

/// Counts of -half ..= half; anything beyond is counted in the last cell of its side.
pub(crate) fn histogram(samples: impl IntoIterator<Item = i64>, half: i64) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from(2 * half + 1).unwrap()];
    for sample in samples {
        counts[usize::try_from(sample.clamp(-half, half) + half).unwrap()] += 1;
    }
    counts
}

/// Pearson's chi-square over the cells that expect at least 20, the others pooled; alarms falsely once in 10^6.
pub(crate) fn assert_fits(counts: &[u64], expected: &[f64], what: &str) {
    assert_eq!(counts.len(), expected.len());
    let samples = counts.iter().sum::<u64>() as f64;
    let (mut statistic, mut cells) = (0.0, 0.0);
    let (mut rest_seen, mut rest_expected) = (0.0, 0.0);
    for (count, probability) in counts.iter().zip(expected) {
        let (seen, expected) = (*count as f64, probability * samples);
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
            "{what}: {rest_seen} samples where hardly any belong"
        );
    }
    let limit = critical(cells, 4.75);
    assert!(
        statistic < limit,
        "{what}: chi-square {statistic} above {limit} over {cells} cells"
    );
}

/// Whether two sets of as many samples come from one distribution; alarms falsely once in 10^9.
pub(crate) fn assert_alike(first: &[u64], second: &[u64], what: &str) {
    let (mut statistic, mut cells) = (0.0, 0);
    for (first, second) in first.iter().zip(second) {
        let (first, second) = (*first as f64, *second as f64);
        if first + second >= 40.0 {
            statistic += (first - second).powi(2) / (first + second);
            cells += 1;
        }
    }
    let limit = critical(f64::from(cells), 6.0);
    assert!(
        statistic < limit,
        "{what}: chi-square {statistic} above {limit} over {cells} cells"
    );
}

/// The distribution of a sum of two independent numbers.
pub(crate) fn convolve(first: &[f64], second: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; first.len() + second.len() - 1];
    for (i, p) in first.iter().enumerate() {
        for (j, q) in second.iter().enumerate() {
            sum[i + j] += p * q;
        }
    }
    sum
}

/// The value that chi-square exceeds with the tail probability of `z` (Wilson and Hilferty).
fn critical(cells: f64, z: f64) -> f64 {
    let spread = 2.0 / (9.0 * cells);
    cells * (1.0 - spread + z * spread.sqrt()).powi(3)
}
