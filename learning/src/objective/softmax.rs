// SPDX-License-Identifier: Apache-2.0
//! One label out of several: p_k = e^s_k / sum of all e^s, with a score s_k = x . theta_k for each label.
//!
//! The parameters are those of the first label, then of the second, and so on. They are one direction more than the
//! probabilities need; a ridge chooses among equals.

use super::logistic::linear_predictor;

/// The score of each label.
pub fn scores(row: &[f64], labels: usize, parameters: &[f64]) -> Vec<f64> {
    parameters
        .chunks(row.len().max(1))
        .take(labels)
        .map(|own| linear_predictor(row, own))
        .collect()
}

/// The probabilities of scores, without overflow for any finite ones.
pub fn probabilities(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let odds: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = odds.iter().sum();
    odds.iter().map(|odds| odds / total).collect()
}

/// ln p of one label.
pub fn log_probability(scores: &[f64], label: usize) -> f64 {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    scores
        .get(label)
        .map_or(f64::NEG_INFINITY, |score| score - largest - total.ln())
}

/// 1 - p for the row's label and -p for every other: the slope of ln p by each score.
pub fn residuals(scores: &[f64], label: usize) -> Vec<f64> {
    probabilities(scores)
        .into_iter()
        .enumerate()
        .map(|(index, probability)| f64::from(u8::from(index == label)) - probability)
        .collect()
}

/// Adds the row's score to `into`.
pub fn add_score(row: &[f64], label: usize, labels: usize, parameters: &[f64], into: &mut [f64]) {
    let residuals = residuals(&scores(row, labels, parameters), label);
    for (own, residual) in into.chunks_mut(row.len().max(1)).zip(residuals) {
        for (sum, feature) in own.iter_mut().zip(row) {
            *sum += residual * feature;
        }
    }
}

/// The position of the largest score, the first of several.
pub fn largest(scores: &[f64]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, score) in scores.iter().enumerate() {
        if best.is_none_or(|(_, most)| *score > most) {
            best = Some((index, *score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::logistic;
    use super::*;

    #[test]
    fn two_labels_are_a_logistic_model_of_the_difference() {
        let row = [1.0, -0.7, 2.0];
        let parameters = [0.1, 0.2, -0.3, 0.4, -0.5, 0.6];
        let difference: Vec<f64> = (0..3)
            .map(|index| parameters[3 + index] - parameters[index])
            .collect();
        let eta = logistic::linear_predictor(&row, &difference);
        let found = probabilities(&scores(&row, 2, &parameters));
        assert!((found[1] - logistic::probability(eta)).abs() < 1e-15);
        let (mut ours, mut theirs) = (vec![0.0; 6], vec![0.0; 3]);
        add_score(&row, 1, 2, &parameters, &mut ours);
        logistic::add_score(&row, eta, true, &mut theirs);
        for index in 0..3 {
            assert!((ours[3 + index] - theirs[index]).abs() < 1e-15);
            assert!((ours[index] + theirs[index]).abs() < 1e-15);
        }
    }

    #[test]
    fn without_knowledge_every_label_is_as_probable_and_extremes_stay_finite() {
        assert_eq!(probabilities(&[0.0; 4]), [0.25; 4]);
        assert_eq!(probabilities(&[1e300, 0.0, -1e300]), [1.0, 0.0, 0.0]);
        assert!((log_probability(&[0.0; 4], 2) + 4.0_f64.ln()).abs() < 1e-15);
        let uncertain = residuals(&[0.3, 0.3, 0.3], 0);
        assert!((uncertain.iter().sum::<f64>()).abs() < 1e-15);
        assert_eq!(largest(&[1.0, 3.0, 3.0]), Some(1));
    }
}
