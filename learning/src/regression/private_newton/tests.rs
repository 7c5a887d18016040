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

    fn design(&self) -> Design<'_> {
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
            *entry += weight(&row) * product;
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
    let vectors = |objective: Objective| {
        let scales = Scales::of(objective, 4.0);
        let vector =
            |rows: &Vec<usize>| scales.patient_vector(objective, &design, &parameters, rows);
        patients.iter().map(vector).collect::<Vec<_>>()
    };
    let entries = super::super::newton::triangle(parameters.len());
    let found = |vector: &Vec<f64>| {
        let information = vector.get(parameters.len()..).unwrap();
        let information = information.get(..entries).unwrap();
        information
            .iter()
            .map(|value| value * value)
            .sum::<f64>()
            .sqrt()
    };
    for (vector, patient) in vectors(Objective::Logistic).iter().zip(&patients) {
        let expected = norm(&design, patient, weight) / logistic_bound / std::f64::consts::SQRT_2;
        assert!(
            (found(vector) / expected - 1.0).abs() < 1e-12,
            "{expected} {vector:?}"
        );
    }
    for (vector, patient) in vectors(linear).iter().zip(&patients) {
        let expected = norm(&design, patient, |_| 1.0) / linear_bound / 1.5;
        assert!(
            (found(vector) / expected - 1.0).abs() < 1e-12,
            "{expected} {vector:?}"
        );
    }
}

/// The length of u for one row.
fn length(objective: Objective, row: &[f64], outcome: Outcome, parameters: &[f64]) -> f64 {
    let bound = row.iter().map(|value| value * value).sum::<f64>().sqrt();
    let design = Design::of_rows(row.len(), row, vec![outcome]);
    let vector = Scales::of(objective, bound).patient_vector(objective, &design, parameters, &[0]);
    let squares = vector.iter().map(|value| value * value);
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

/// A regression with these features and rounds that learns from synthetic rows, over and over.
struct Trials {
    regression: Regression,
    objective: Objective,
    truth: Vec<f64>,
    rows: usize,
    deviation: f64,
}

impl Trials {
    /// How often the intervals of the coefficients hold the truth.
    fn coverage(&self, count: u64) -> f64 {
        let held: Vec<f64> = (0..count).map(|seed| self.held(seed)).collect();
        held.iter().sum::<f64>() / count as f64
    }

    fn held(&self, seed: u64) -> f64 {
        let mut random = Normal::of(seed);
        let width = self.truth.len();
        let scales = Scales::of(self.objective, (width as f64).sqrt());
        let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
        for _ in 0..self.rows {
            let row: Vec<f64> = std::iter::once(1.0)
                .chain((1..width).map(|_| 2.0 * random.uniform() - 1.0))
                .collect();
            let eta: f64 = row.iter().zip(&self.truth).map(|(x, c)| x * c).sum();
            outcomes.push(match self.objective {
                Objective::Linear { .. } => Outcome::Number(eta + 0.3 * random.normal()),
                _ => Outcome::Binary(random.uniform() < 1.0 / (1.0 + (-eta).exp())),
            });
            rows.extend(row);
        }
        let design = Design::of_rows(width, &rows, outcomes);
        let mut model = self.regression.initial_model();
        loop {
            let parameters = &model.parameters;
            let mut sum = vec![0.0; dimension(self.objective, width)];
            for row in 0..self.rows {
                let vector = scales.patient_vector(self.objective, &design, parameters, &[row]);
                sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x);
            }
            sum.iter_mut()
                .for_each(|sum| *sum += self.deviation * random.normal());
            match advance(&self.regression, &model, &sum, self.deviation, scales).unwrap() {
                Advance::Continue(next) => model = next,
                Advance::Finished(next, result) => return self.covered(&next, &result),
            }
        }
    }

    fn covered(&self, model: &Model, result: &RegressionResult) -> f64 {
        let intervals = result.intervals.as_ref().unwrap();
        let truth = self.regression.result(&self.truth, model.rounds, None);
        let inside = intervals.iter().zip(&truth.coefficients);
        let held = inside.filter(|([low, high], truth)| {
            let truth = match self.objective {
                Objective::Linear { .. } => **truth,
                _ => truth.exp(),
            };
            *low <= truth && truth <= *high
        });
        held.count() as f64 / self.truth.len() as f64
    }
}

/// Numbers from a seed, by Box and Muller.
struct Normal(consilium_crypto::random::InsecureSeededRandom);

impl Normal {
    fn of(seed: u64) -> Self {
        Self(consilium_crypto::random::InsecureSeededRandom::from_seed(
            seed,
        ))
    }

    fn uniform(&mut self) -> f64 {
        use consilium_crypto::random::RandomSource;
        (self.0.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn regression_of(file: &str, without: &[&str], replaced: [(&str, &str); 2]) -> Regression {
    let text: Vec<String> = file
        .lines()
        .filter(|line| !without.iter().any(|key| line.starts_with(key)))
        .map(|line| {
            replaced
                .iter()
                .fold(line.to_owned(), |line, (old, new)| line.replace(old, new))
        })
        .collect();
    let study = Study::parse(text.join("\n").as_bytes()).unwrap();
    let plan = study.analysis.regression().unwrap();
    Regression::new(plan, &study).unwrap()
}

/// 400 repetitions: 0.95 with a standard deviation of 0.011 at most, even if the intervals of one repetition hold or miss
/// together. Below 0.9 or above 0.99 with a probability under 10^-3. Without the noise of the information the coverage of
/// such a logistic regression is 0.76.
#[test]
fn intervals_hold_the_truth_under_noise_on_score_and_information() {
    let logistic = Trials {
        regression: regression_of(
            include_str!("../../../../examples/studies/private-newton.toml"),
            &["ridge", "longest_row"],
            [("most = 4", "most = 3"), ("most = 3", "most = 3")],
        ),
        objective: Objective::Logistic,
        truth: vec![0.3, -0.8, 0.6, 0.5, -0.4],
        rows: 700,
        deviation: 6.0,
    };
    let found = logistic.coverage(400);
    assert!((0.9..0.99).contains(&found), "{found}");
    let linear = Trials {
        regression: regression_of(
            include_str!("../../../../examples/studies/private-linear.toml"),
            &["learning_rate", "momentum", "average_last"],
            [("\"fedsgd\"", "\"newton\""), ("most = 20", "most = 2")],
        ),
        objective: Objective::Linear {
            longest_residual: Some(2.0),
        },
        truth: vec![0.1, -0.4, 0.3, 0.2],
        rows: 2_000,
        deviation: 3.0,
    };
    let found = linear.coverage(400);
    assert!((0.9..0.99).contains(&found), "{found}");
}
