// SPDX-License-Identifier: Apache-2.0
//! Newton's method on sums of one vector per patient, on the data of the trial.

use consilium_learning::decoded_sum::{DecodedSum, SumNoise};
use consilium_learning::result::RegressionResult;
use consilium_learning::study::Privacy;
use consilium_learning::{Contribution, Step, Study, Task};
use consilium_privacy::clipping::quantise_patient;

use crate::federation::{example_study, example_tables, examples, run_plain};

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
    let (task, tables) = (Task::new(study).unwrap(), example_tables(study));
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let clip_integer = plan.noise.unwrap().clip_integer;
    let mut model = task.initial_model();
    loop {
        let mut sum = vec![0_i64; task.dimension()];
        for table in &tables {
            let Contribution::PatientVectors { vectors, .. } =
                task.contribution(&model, table).unwrap()
            else {
                panic!("the study is noised");
            };
            for vector in vectors {
                let length: f64 = vector.iter().map(|value| value * value).sum();
                assert!(length <= 1.0 + 1e-12, "{length}");
                let integers = quantise_patient(&vector, promise.clip, clip_integer);
                sum.iter_mut()
                    .zip(integers)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let decoded = task.decode(&plan, &sum).unwrap();
        let unit = decoded.noise.unwrap().unit;
        let decoded = DecodedSum {
            noise: Some(SumNoise {
                standard_deviation: deviation,
                unit,
            }),
            ..decoded
        };
        match task.advance(&model, &decoded).unwrap() {
            Step::Continue(next) => model = next,
            Step::Finished(outcome) => return outcome.result.regression().unwrap().clone(),
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
