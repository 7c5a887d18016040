// SPDX-License-Identifier: Apache-2.0
//! A perceptron with one hidden layer: z_h = tanh(x . w_h), s_k = b_k + sum of v_kh z_h, and a softmax over the scores.
//!
//! The parameters are the rows w of all hidden units, then for each label b and v.

use super::logistic::linear_predictor;
use super::softmax;

/// The public sizes of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Hidden units.
    pub hidden_units: usize,
    /// Labels.
    pub labels: usize,
    /// Which first model.
    pub initial_seed: u32,
}

impl Shape {
    /// The parameters for rows of `width` features.
    pub fn parameter_count(self, width: usize) -> usize {
        self.hidden_units * width + self.labels * (self.hidden_units + 1)
    }

    /// Even numbers between -1 and 1 over the root of a unit's inputs; with equal ones all hidden units would stay equal.
    /// By integers, division and square root only, so that everybody gets the same bits.
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits of a word, and sizes of a small network"
    )]
    pub fn initial_parameters(self, width: usize) -> Vec<f64> {
        let hidden = self.hidden_units * width;
        let mut state = u64::from(self.initial_seed);
        (0..self.parameter_count(width))
            .map(|index| {
                let inputs = if index < hidden {
                    width
                } else {
                    self.hidden_units + 1
                };
                let share = (split_mix(&mut state) >> 11) as f64 / TWO_TO_53;
                (2.0 * share - 1.0) / (inputs as f64).sqrt()
            })
            .collect()
    }

    /// The score of each label.
    pub fn scores(self, row: &[f64], parameters: &[f64]) -> Vec<f64> {
        let (hidden, outer) = self.split(row.len(), parameters);
        self.outer_scores(&activations(row, hidden), outer)
    }

    /// Adds the row's score, by the chain rule, to `into`.
    pub fn add_score(self, row: &[f64], label: usize, parameters: &[f64], into: &mut [f64]) {
        let (hidden, outer) = self.split(row.len(), parameters);
        let active = activations(row, hidden);
        let residuals = softmax::residuals(&self.outer_scores(&active, outer), label);
        let mut slopes = vec![0.0; self.hidden_units];
        let (into_hidden, into_outer) = into.split_at_mut(hidden.len().min(into.len()));
        let own = self.hidden_units + 1;
        let layers = into_outer.chunks_mut(own).zip(outer.chunks(own));
        for ((into, weights), residual) in layers.zip(residuals) {
            let inputs = std::iter::once(&1.0).chain(&active);
            for (sum, input) in into.iter_mut().zip(inputs) {
                *sum += residual * input;
            }
            for (slope, weight) in slopes.iter_mut().zip(weights.iter().skip(1)) {
                *slope += residual * weight;
            }
        }
        let units = into_hidden.chunks_mut(row.len().max(1)).zip(slopes);
        for ((into, slope), active) in units.zip(&active) {
            let slope = slope * (1.0 - active * active);
            for (sum, feature) in into.iter_mut().zip(row) {
                *sum += slope * feature;
            }
        }
    }

    fn split(self, width: usize, parameters: &[f64]) -> (&[f64], &[f64]) {
        parameters.split_at((self.hidden_units * width).min(parameters.len()))
    }

    fn outer_scores(self, active: &[f64], outer: &[f64]) -> Vec<f64> {
        outer
            .chunks(self.hidden_units + 1)
            .map(|own| match own {
                [bias, weights @ ..] => bias + linear_predictor(active, weights),
                [] => 0.0,
            })
            .collect()
    }
}

fn activations(row: &[f64], hidden: &[f64]) -> Vec<f64> {
    hidden
        .chunks(row.len().max(1))
        .map(|own| linear_predictor(row, own).tanh())
        .collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014): for a public first model, never for a secret.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        hidden_units: 3,
        labels: 2,
        initial_seed: 0,
    };

    #[test]
    fn the_first_model_is_public_spread_out_and_the_same_everywhere() {
        let first = SHAPE.initial_parameters(4);
        assert_eq!(first, SHAPE.initial_parameters(4));
        assert_eq!(first.len(), 3 * 4 + 2 * 4);
        // SplitMix64 of seed 0 begins with e220a8397b1dcdaf (its reference code): (2 share - 1)/2.
        let share = (0xe220_a839_7b1d_cdaf_u64 >> 11) as f64 / TWO_TO_53;
        assert_eq!(first.first(), Some(&((2.0 * share - 1.0) / 2.0)));
        assert!(first.iter().all(|value| value.abs() <= 0.5));
        let other = Shape {
            initial_seed: 1,
            ..SHAPE
        };
        assert_ne!(first, other.initial_parameters(4));
    }

    #[test]
    fn scores_are_those_of_the_formula() {
        let row = [1.0, 0.5];
        let parameters = [
            0.1, 0.2, -0.3, 0.4, 0.5, -0.6, 0.7, 0.8, 0.9, 1.0, -1.1, 1.2, 1.3, 1.4,
        ];
        let z = [0.2_f64.tanh(), (-0.1_f64).tanh(), 0.2_f64.tanh()];
        let expected = [
            0.7 + 0.8 * z[0] + 0.9 * z[1] + z[2],
            -1.1 + 1.2 * z[0] + 1.3 * z[1] + 1.4 * z[2],
        ];
        for (found, expected) in SHAPE.scores(&row, &parameters).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15);
        }
    }
}
