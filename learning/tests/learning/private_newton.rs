// SPDX-License-Identifier: Apache-2.0
//! Newton's method on sums of one vector per patient, on the data of the trial.

use consilium_learning::decoded_sum::{DecodedSum, SumNoise};
use consilium_learning::result::RegressionResult;
use consilium_learning::study::Privacy;
use consilium_learning::{Model, Study, Task};

use crate::federation::{
    SILOS, example_study, example_tables, examples, patient_vectors, run_clipped, run_plain,
};

/// The example without what biases it, with as many steps as plain Newton needs.
fn unbiased() -> Study {
    let text = std::fs::read_to_string(examples().join("studies/private-newton.toml")).unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("ridge") && !line.starts_with("longest_row"))
        .map(|line| line.replace("most = 4", "most = 12"));
    Study::parse(lines.collect::<Vec<_>>().join("\n").as_bytes()).unwrap()
}

/// Clips and quantises as the agent does and tells the task of noise of this size, without adding any.
fn run(study: &Study, deviation: f64) -> RegressionResult {
    let Privacy::Distributed(promise) = &study.privacy else {
        panic!("the study is noised")
    };
    assert_eq!(promise.clip.value(), 1.0);
    let outcome = run_clipped(study, &example_tables(study), |decoded| {
        let unit = decoded.noise.unwrap().unit;
        DecodedSum {
            noise: Some(SumNoise {
                standard_deviation: deviation,
                unit,
            }),
            ..decoded
        }
    });
    outcome.result.regression().unwrap().clone()
}

#[test]
fn no_patients_vector_is_longer_than_the_clip() {
    let study = unbiased();
    let task = Task::new(&study).unwrap();
    let far = Model {
        parameters: vec![0.7; task.initial_model().parameters.len()],
        ..task.initial_model()
    };
    for model in [task.initial_model(), far] {
        for table in example_tables(&study) {
            for vector in patient_vectors(&task, &model, &table) {
                let length: f64 = vector.iter().map(|value| value * value).sum();
                assert!(length <= 1.0 + 1e-12, "{length}");
            }
        }
    }
}

/// What is left is the quantising, which cuts each coordinate of each of 602 patients by at most one part in 16,384.
#[test]
fn without_noise_it_is_plain_newton_but_for_the_quantising() {
    let plain_study = example_study("logistic");
    let plain = run_plain(&plain_study, &example_tables(&plain_study));
    let plain = plain.result.regression().unwrap();
    let private = run(&unbiased(), 0.0);
    assert_eq!(private.names, plain.names);
    for (found, expected) in private.coefficients.iter().zip(&plain.coefficients) {
        assert!((found - expected).abs() < 0.03, "{found} {expected}");
    }
    let errors = private.standard_errors.unwrap();
    for (found, expected) in errors.iter().zip(plain.standard_errors.as_ref().unwrap()) {
        assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    }
    assert!(private.log_likelihood.is_none() && private.examples.is_none());
}

/// The linear example by Newton's steps.
fn linear() -> Study {
    let text = std::fs::read_to_string(examples().join("studies/private-linear.toml")).unwrap();
    let own = ["learning_rate", "momentum", "average_last"];
    let lines = text
        .lines()
        .filter(|line| !own.iter().any(|key| line.starts_with(key)))
        .map(|line| {
            line.replace("\"fedsgd\"", "\"newton\"")
                .replace("most = 20", "most = 4")
        });
    Study::parse(lines.collect::<Vec<_>>().join("\n").as_bytes()).unwrap()
}

/// Least squares of the risk on intercept, (age - 59)/41, male and outcome, by the normal equations and elimination.
fn least_squares() -> Vec<f64> {
    let mut equations = vec![vec![0.0_f64; 5]; 4];
    for silo in SILOS {
        let path = examples().join(format!("data/indo-rct/{silo}.csv"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("rownames,id,site,age,risk,gender,outcome,"));
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let number = |place: usize| cells[place].parse::<f64>().unwrap();
            let is = |place: usize, value: &str| f64::from(u8::from(cells[place] == value));
            let age = (number(3) - 59.0) / 41.0;
            let row = [1.0, age, is(5, "2_male"), is(6, "1_yes"), number(4)];
            for (equation, left) in equations.iter_mut().zip(row) {
                equation
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, right)| *sum += left * right);
            }
        }
    }
    for pivot in 0..4 {
        let divisor = equations[pivot][pivot];
        equations[pivot]
            .iter_mut()
            .for_each(|value| *value /= divisor);
        let solved = equations[pivot].clone();
        for (_, other) in equations
            .iter_mut()
            .enumerate()
            .filter(|(place, _)| *place != pivot)
        {
            let factor = other[pivot];
            other
                .iter_mut()
                .zip(&solved)
                .for_each(|(value, of)| *value -= factor * of);
        }
    }
    equations.iter().map(|equation| equation[4]).collect()
}

#[test]
fn without_noise_a_number_is_fitted_by_least_squares() {
    let fit = run(&linear(), 0.0);
    assert_eq!(fit.names, ["intercept", "age", "male", "yes"]);
    for (found, expected) in fit.coefficients.iter().zip(least_squares()) {
        assert!((found - expected).abs() < 0.02, "{found} {expected}");
    }
    let errors = fit.standard_errors.unwrap();
    let intervals = fit.intervals.unwrap();
    for ((error, [low, high]), coefficient) in errors.iter().zip(&intervals).zip(&fit.coefficients)
    {
        assert!(*error > 0.0 && *error < 0.5, "{errors:?}");
        assert!(low < coefficient && coefficient < high);
    }
    assert!(fit.odds_ratios.is_empty());
}

#[test]
fn standard_errors_grow_with_the_noise() {
    let (quiet, loud) = (run(&unbiased(), 1e-6), run(&unbiased(), 0.05));
    let pairs = quiet.standard_errors.unwrap().into_iter();
    for (quiet, loud) in pairs.zip(loud.standard_errors.unwrap()) {
        assert!(loud > quiet * 1.001, "{loud} {quiet}");
    }
}

/// Noise far above the information leaves a model that stays near where it began.
#[test]
fn a_matrix_that_is_all_noise_is_still_inverted() {
    let drowned = run(&unbiased(), 1e4);
    assert!(drowned.coefficients.iter().all(|value| value.abs() < 0.1));
}
