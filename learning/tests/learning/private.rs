// SPDX-License-Identifier: Apache-2.0
//! The private study, noise aside: what clipping and quantising leave of the fit.

use consilium_learning::result::RegressionResult;
use consilium_learning::{Step, Study, Task};
use consilium_privacy::noise_plan::NoisePlan;

use crate::federation::{
    add_quantised, example_study, example_tables, examples, patient_vectors, run_clipped,
};

#[test]
fn clipped_and_quantised_gradients_lead_close_to_the_pooled_fit() {
    let fit = clipped_fit(&example_study("private-logistic"));
    assert_eq!(fit.names, ["intercept", "treatment", "age", "male", "risk"]);
    // Within about one standard error of the pooled fit.
    let pooled = [
        -1.592_451_120,
        -0.767_868_854,
        -0.067_097_901,
        0.120_662_660,
        0.436_440_399,
    ];
    let reach = [0.17, 0.1, 0.1, 0.4, 0.14];
    for ((found, expected), reach) in fit.coefficients.iter().zip(pooled).zip(reach) {
        assert!((found - expected).abs() < reach, "{found} {expected}");
    }
    assert!(
        fit.standard_errors.is_none() && fit.log_likelihood.is_none() && fit.examples.is_none()
    );
}

/// The fit of a study with shared noise, but for the noise.
fn clipped_fit(study: &Study) -> RegressionResult {
    let outcome = run_clipped(study, &example_tables(study), |sum| sum);
    outcome.result.regression().unwrap().clone()
}

/// What every hospital does in a round of the local study, but for the noise; `noise` gives it by hospital.
fn local_fit(
    study: &Study,
    noise: &mut dyn FnMut(usize, &NoisePlan) -> Vec<i64>,
) -> RegressionResult {
    let tables = example_tables(study);
    let task = Task::new(study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let clip = study.privacy.promise().unwrap().clip;
    let mut model = task.initial_model();
    loop {
        let mut total = vec![0_i64; task.dimension()];
        for (silo, table) in tables.iter().enumerate() {
            let mut training = task.local_training(&plan, &model).unwrap();
            while !training.is_finished() {
                let vectors = patient_vectors(&task, &training.model(), table);
                let mut sum = noise(silo, training.noise());
                add_quantised(&mut sum, &vectors, clip, training.noise().clip_integer);
                training.take(&sum).unwrap();
            }
            total
                .iter_mut()
                .zip(training.finish().unwrap())
                .for_each(|(total, moved)| *total += moved);
        }
        match task
            .advance(&model, &task.decode(&plan, &total).unwrap())
            .unwrap()
        {
            Step::Continue(next) => model = next,
            Step::Finished(outcome) | Step::Trained(outcome) => {
                return outcome.result.regression().unwrap().clone();
            }
            Step::Evaluated { .. } => panic!("nothing is evaluated"),
        }
    }
}

#[test]
fn local_steps_lead_where_gradient_steps_of_all_hospitals_together_lead() {
    let study = example_study("private-local");
    let fit = local_fit(&study, &mut |_, _| vec![0; 5]);
    println!("{:?}", fit.coefficients);
    assert!(fit.log_likelihood.is_none() && fit.examples.is_none());
    // One local step is a step along the clipped gradients of all hospitals' patients, as FedSGD takes it, but for the
    // rounding of either encoding.
    let shipped = std::fs::read_to_string(examples().join("studies/private-local.toml")).unwrap();
    let single = shipped.replace("local_steps = 3", "local_steps = 1");
    let pooled = single
        .replace("method = \"fedavg\"", "method = \"fedsgd\"")
        .replace("mode = \"local\"", "mode = \"distributed\"")
        .replace("local_steps = 1", "");
    let local = local_fit(&Study::parse(single.as_bytes()).unwrap(), &mut |_, _| {
        vec![0; 5]
    });
    let pooled = clipped_fit(&Study::parse(pooled.as_bytes()).unwrap());
    for (local, pooled) in local.coefficients.iter().zip(&pooled.coefficients) {
        assert!((local - pooled).abs() < 1e-3, "{local} {pooled}");
    }
}
