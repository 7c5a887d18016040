// SPDX-License-Identifier: Apache-2.0
//! From the released histogram to what a researcher reads.

use super::cells::Cells;
use super::measures::{accuracy, area_under_curve, mean};
use crate::decoded_sum::DecodedSum;
use crate::result::{Count, EvaluationResult, Measure, OutcomeCells};
use crate::study::{Evaluation, HALF};

pub(super) fn report(cells: &Cells, plan: &Evaluation, sum: &DecodedSum) -> EvaluationResult {
    let deviation = sum.noise.map(|noise| noise.standard_deviation);
    let variance = deviation.map_or(0.0, |deviation| deviation * deviation);
    let counts = sum.values.as_slice();
    let mut result = EvaluationResult {
        held_out: plan.hold_out,
        patients: Count(counts.iter().sum()),
        accuracy: None,
        area_under_curve: None,
        root_mean_squared_error: None,
        edges: Vec::new(),
        cells: Vec::new(),
        standard_deviation: deviation,
        confidence: 0.95,
        intervals: INTERVALS.to_owned(),
    };
    match cells {
        Cells::Probabilities { labels, edges } => {
            let (first, second) = counts.split_at(counts.len() / 2);
            let below = edges.iter().filter(|edge| **edge <= HALF).count();
            let (low, high) = (first.iter().take(below), second.iter().skip(below));
            let right: f64 = low.chain(high).sum();
            let wrong = counts.iter().sum::<f64>() - right;
            let of_right = variance * half_of(counts);
            // Of each outcome's bins, those below one half and those above: both together are all bins.
            result.accuracy = Some(accuracy(right, wrong, [of_right, of_right]));
            result.area_under_curve = Some(area_under_curve(first, second, variance));
            result.edges = bounded(edges, 1.0);
            for (label, counts) in labels.iter().zip([first, second]) {
                result.cells.push(outcome_cells(label, counts));
            }
        }
        Cells::Labels(labels) => {
            let pairs = counts.chunks_exact(2);
            let right: f64 = pairs.filter_map(|pair| pair.get(1)).sum();
            let wrong = counts.iter().sum::<f64>() - right;
            let each = variance * half_of(counts);
            result.accuracy = Some(accuracy(right, wrong, [each, each]));
            for (label, counts) in labels.iter().zip(counts.chunks_exact(2)) {
                result.cells.push(outcome_cells(label, counts));
            }
        }
        Cells::Distances {
            edges,
            longest,
            scale,
            ..
        } => {
            let all = bounded(edges, longest * scale);
            let squares: Vec<f64> = all.iter().map(|edge| edge * edge).collect();
            let (low, high) = (
                squares.get(..counts.len()).unwrap_or_default(),
                squares.get(1..).unwrap_or_default(),
            );
            let squared = mean(counts, low, high, variance);
            result.root_mean_squared_error = Some(root(&squared));
            result.edges = all;
            result.cells.push(outcome_cells("distance", counts));
        }
    }
    result
}

/// Half as many as there are cells.
fn half_of(counts: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few hundred cells at most")]
    let cells = counts.len() as f64;
    cells / 2.0
}

/// Inner edges between 0 and the largest, all times the largest.
fn bounded(edges: &[f64], largest: f64) -> Vec<f64> {
    let all = std::iter::once(0.0).chain(edges.iter().copied());
    all.chain(std::iter::once(1.0))
        .map(|edge| edge * largest)
        .collect()
}

fn outcome_cells(outcome: &str, counts: &[f64]) -> OutcomeCells {
    OutcomeCells {
        outcome: outcome.to_owned(),
        counts: counts.iter().copied().map(Count).collect(),
    }
}

fn root(measure: &Measure) -> Measure {
    let ends = |interval: Option<[f64; 2]>| interval.map(|ends| ends.map(f64::sqrt));
    Measure {
        value: measure.value.map(f64::sqrt),
        interval: ends(measure.interval),
        population_interval: ends(measure.population_interval),
    }
}

const INTERVALS: &str = "`interval` covers the number of the patients who were held out, and the noise: every value whose \
    noised counts are within 1.96 standard deviations of it; the noise of every invited silo is counted, also of one that \
    dropped out. `population_interval` covers the error of sampling too. `area_under_curve` is that of the bins: patients \
    of one bin count as equal. Each holds by itself, not all of them together.";
