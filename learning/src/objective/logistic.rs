// SPDX-License-Identifier: Apache-2.0
//! The log-likelihood of a binary outcome under a logistic model, row by row.
//!
//! With eta = x . theta: l = y eta - ln(1 + e^eta), score = (y - p) x, information = p (1 - p) x x^T.

/// Probability of the positive outcome, without overflow for any finite `eta`.
pub fn probability(eta: f64) -> f64 {
    if eta >= 0.0 {
        1.0 / (1.0 + (-eta).exp())
    } else {
        let odds = eta.exp();
        odds / (1.0 + odds)
    }
}

/// The log-likelihood of one row.
pub fn log_likelihood(eta: f64, positive: bool) -> f64 {
    let signed = if positive { eta } else { -eta };
    // ln(1 + e^-s), without overflow.
    -((-signed.abs()).exp().ln_1p() + (-signed).max(0.0))
}

/// x . theta, added in the order of the features.
pub fn linear_predictor(row: &[f64], parameters: &[f64]) -> f64 {
    row.iter()
        .zip(parameters)
        .map(|(feature, parameter)| feature * parameter)
        .sum()
}

/// Adds the row's score, the gradient of its log-likelihood, to `into`.
pub fn add_score(row: &[f64], eta: f64, positive: bool, into: &mut [f64]) {
    let residual = f64::from(u8::from(positive)) - probability(eta);
    for (sum, feature) in into.iter_mut().zip(row) {
        *sum += residual * feature;
    }
}

/// Adds the upper triangle of the row's information matrix, row by row, to `into`.
pub fn add_information(row: &[f64], eta: f64, into: &mut [f64]) {
    let probability = probability(eta);
    add_triangle(row, probability * (1.0 - probability), into);
}

/// Adds the upper triangle of `factor` x x^T, row by row, to `into`.
pub(super) fn add_triangle(row: &[f64], factor: f64, into: &mut [f64]) {
    let pairs = row
        .iter()
        .enumerate()
        .flat_map(|(index, left)| row.iter().skip(index).map(move |right| left * right));
    for (sum, product) in into.iter_mut().zip(pairs) {
        *sum += factor * product;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn extreme_predictors_stay_finite() {
        for eta in [-1e300, -800.0, 0.0, 800.0, 1e300] {
            for positive in [false, true] {
                assert!((0.0..=1.0).contains(&probability(eta)));
                assert!(log_likelihood(eta, positive) <= 0.0);
                assert!(log_likelihood(eta, positive).is_finite());
            }
        }
        assert!((log_likelihood(0.0, true) + std::f64::consts::LN_2).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn score_and_information_are_the_derivatives_of_the_log_likelihood(
            row in proptest::collection::vec(-2.0..2.0, 3),
            parameters in proptest::collection::vec(-1.5..1.5, 3),
            positive: bool,
        ) {
            let step = 1e-5;
            let shifted = |index: usize, by: f64| {
                let mut moved = parameters.clone();
                if let Some(parameter) = moved.get_mut(index) {
                    *parameter += by;
                }
                linear_predictor(&row, &moved)
            };
            let eta = linear_predictor(&row, &parameters);
            let mut score = vec![0.0; 3];
            add_score(&row, eta, positive, &mut score);
            let mut information = vec![0.0; 6];
            add_information(&row, eta, &mut information);
            for (index, slope) in score.iter().enumerate() {
                let rise = log_likelihood(shifted(index, step), positive)
                    - log_likelihood(shifted(index, -step), positive);
                prop_assert!((rise / (2.0 * step) - slope).abs() < 1e-8);
            }
            // The first row of the triangle is minus the derivative of the first score.
            for (index, entry) in information.iter().take(3).enumerate() {
                let mut above = vec![0.0; 3];
                let mut below = vec![0.0; 3];
                add_score(&row, shifted(index, step), positive, &mut above);
                add_score(&row, shifted(index, -step), positive, &mut below);
                let rise = above.first().copied().unwrap_or_default() - below.first().copied().unwrap_or_default();
                prop_assert!((rise / (2.0 * step) + entry).abs() < 1e-8);
            }
        }
    }
}
