// SPDX-License-Identifier: Apache-2.0
//! A quantile out of a histogram, with the bins in which it may lie.

use super::noise::{CellNoise, NORMAL_97_5};
use crate::result::Quantile;

/// The quantile below which `share` of the rows lie.
pub(super) fn quantile(
    share: f64,
    edges: &[f64],
    counts: &[f64],
    noise: Option<CellNoise>,
) -> Quantile {
    let total: f64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "bins of a study file")]
    let bins = counts.len() as f64;
    let known = match noise {
        None => total >= 1.0,
        Some(noise) => noise.is_clear(total, bins),
    };
    if !known {
        return Quantile {
            share,
            value: None,
            interval: None,
        };
    }
    Quantile {
        share,
        value: crossing(edges, &monotone(&cumulated(counts)), share * total),
        interval: noise.map(|noise| interval(share, edges, counts, noise)),
    }
}

/// The rows below each edge.
fn cumulated(counts: &[f64]) -> Vec<f64> {
    let mut below = vec![0.0];
    let mut rows = 0.0;
    for count in counts {
        rows += count;
        below.push(rows);
    }
    below
}

/// The middle between the least rising curve above and the greatest below: noise may pull a cumulated count down again.
pub(super) fn monotone(values: &[f64]) -> Vec<f64> {
    let mut above = values.to_vec();
    let mut highest = f64::NEG_INFINITY;
    for value in &mut above {
        highest = highest.max(*value);
        *value = highest;
    }
    let mut below = values.to_vec();
    let mut lowest = f64::INFINITY;
    for value in below.iter_mut().rev() {
        lowest = lowest.min(*value);
        *value = lowest;
    }
    above
        .iter()
        .zip(below)
        .map(|(above, below)| f64::midpoint(*above, below))
        .collect()
}

/// Where a rising curve over the edges reaches `level`, by straight lines.
fn crossing(edges: &[f64], rising: &[f64], level: f64) -> Option<f64> {
    let points = edges.windows(2).zip(rising.windows(2));
    for (edges, rows) in points {
        if let ([from, to], [before, after]) = (edges, rows)
            && *after >= level
            && after > before
        {
            let part = ((level - before) / (after - before)).clamp(0.0, 1.0);
            return Some(from + part * (to - from));
        }
    }
    edges.last().copied()
}

/// All bins that no test at 97.5 % excludes. The rows below an edge minus `share` of all are negative at edges below the
/// quantile and positive above it, and carry noise of a known size.
fn interval(share: f64, edges: &[f64], counts: &[f64], noise: CellNoise) -> [f64; 2] {
    let total: f64 = counts.iter().sum();
    let (mut low, mut high) = (
        edges.first().copied().unwrap_or_default(),
        edges.last().copied().unwrap_or_default(),
    );
    let mut is_open = true;
    #[expect(clippy::cast_precision_loss, reason = "bins of a study file")]
    let (mut bins_below, mut bins_above) = (0.0, counts.len() as f64);
    for (edge, below) in edges.iter().zip(cumulated(counts)) {
        let excess = below - share * total;
        let variance = bins_below * (1.0 - share) * (1.0 - share) + bins_above * share * share;
        let reach = NORMAL_97_5 * noise.count_deviation() * f64::sqrt(variance);
        if excess + reach < 0.0 {
            low = *edge;
        }
        if is_open && excess - reach > 0.0 {
            high = *edge;
            is_open = false;
        }
        bins_below += 1.0;
        bins_above -= 1.0;
    }
    [low.min(high), high.max(low)]
}
