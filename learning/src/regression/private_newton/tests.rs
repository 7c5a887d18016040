// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::objective::Outcome;
use crate::study::{RegressionPlan, Study};
use crate::table::Table;

/// Rows of features, an outcome for each.
struct Sample {
    study: Study,
    plan: RegressionPlan,
    table: Table,
}

impl Sample {
    fn of_trial() -> Self {
        let file = include_bytes!("../../../../examples/studies/private-newton.toml");
        let study = Study::parse(file).unwrap();
        let patients = include_bytes!("../../../../examples/data/indo-rct/3_UK.csv");
        Self {
            plan: study.analysis.regression().unwrap().clone(),
            table: Table::read(patients.as_slice(), &study.data).unwrap(),
            study,
        }
    }

    fn design(&self) -> Design {
        Design::new(&self.plan, &self.study.data, &self.table).unwrap()
    }
}

/// The Frobenius norm of a patient's information, from the whole square and not from its triangle.
fn norm(design: &Design, patient: &[usize], weight: impl Fn(&[f64]) -> f64) -> f64 {
    let size = design.width();
    let mut square = vec![0.0; size * size];
    for (row, _) in patient.iter().filter_map(|index| design.row(*index)) {
        let products = row
            .iter()
            .flat_map(|left| row.iter().map(move |right| left * right));
        for (entry, product) in square.iter_mut().zip(products) {
            *entry += weight(row) * product;
        }
    }
    square.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Were the sqrt 2 beside the diagonal forgotten, or 2 in its place, the lengths would differ.
#[test]
fn a_patients_information_is_as_long_as_the_matrix_over_its_bound() {
    let sample = Sample::of_trial();
    let design = sample.design();
    let parameters = [0.3, -0.7, 0.2, 0.5, -0.4];
    let weight = |row: &[f64]| {
        let eta: f64 = row.iter().zip(parameters).map(|(x, c)| x * c).sum();
        let chance = 1.0 / (1.0 + (-eta).exp());
        chance * (1.0 - chance)
    };
    let linear = Objective::Linear {
        longest_residual: Some(2.0),
    };
    // One patient with a single row, one with many.
    let patients = [vec![0], (1..20).collect::<Vec<_>>()];
    let (logistic_bound, linear_bound) = (4.0, 16.0);
    let logistic = Scales::of(Objective::Logistic, 4.0).patient_vectors(
        Objective::Logistic,
        &design,
        &parameters,
        &patients,
    );
    let found = |vector: &Vec<f64>| {
        let information = vector.get(parameters.len()..).unwrap();
        information
            .iter()
            .map(|value| value * value)
            .sum::<f64>()
            .sqrt()
    };
    for (vector, patient) in logistic.iter().zip(&patients) {
        let expected = norm(&design, patient, weight) / logistic_bound / std::f64::consts::SQRT_2;
        assert!(
            (found(vector) / expected - 1.0).abs() < 1e-12,
            "{expected} {vector:?}"
        );
    }
    let scales = Scales::of(linear, 4.0);
    let vectors = scales.patient_vectors(linear, &design, &parameters, &patients);
    for (vector, patient) in vectors.iter().zip(&patients) {
        let expected = norm(&design, patient, |_| 1.0) / linear_bound / std::f64::consts::SQRT_2;
        assert!(
            (found(vector) / expected - 1.0).abs() < 1e-12,
            "{expected} {vector:?}"
        );
    }
}

/// The length of u for one row.
fn length(objective: Objective, row: &[f64], outcome: Outcome, parameters: &[f64]) -> f64 {
    let bound = row.iter().map(|value| value * value).sum::<f64>().sqrt();
    let design = Design::of_rows(row.len(), row.to_vec(), vec![outcome]);
    let vectors =
        Scales::of(objective, bound).patient_vectors(objective, &design, parameters, &[vec![0]]);
    let squares = vectors.iter().flatten().map(|value| value * value);
    squares.sum::<f64>().sqrt()
}

proptest! {
    /// For a row as long as the public bound, the hardest case.
    #[test]
    fn no_row_is_longer_than_one(
        row in proptest::collection::vec(-3.0..3.0, 4),
        parameters in proptest::collection::vec(-3.0..3.0, 4),
        positive: bool,
        number in -9.0..9.0,
    ) {
        let linear = Objective::Linear { longest_residual: Some(2.0) };
        for (objective, outcome) in [
            (Objective::Logistic, Outcome::Binary(positive)),
            (linear, Outcome::Number(number)),
        ] {
            let length = length(objective, &row, outcome, &parameters);
            prop_assert!(length <= 1.0 + 1e-12, "{objective:?} {length}");
        }
    }
}

#[test]
fn a_row_as_long_as_the_bound_with_a_residual_that_was_cut_has_norm_one() {
    let linear = Objective::Linear {
        longest_residual: Some(2.0),
    };
    let row = [1.0, 1.0, 1.0];
    let length = length(linear, &row, Outcome::Number(50.0), &[0.0; 3]);
    assert!((length - 1.0).abs() < 1e-12, "{length}");
}
