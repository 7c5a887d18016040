// SPDX-License-Identifier: Apache-2.0
//! The private study, noise aside: what clipping and quantising leave of the fit.

use consilium_learning::study::Privacy;
use consilium_learning::{Contribution, Step, Task};
use consilium_privacy::clipping::quantise_patient;

use crate::federation::{example_study, example_tables};

#[test]
fn clipped_and_quantised_gradients_lead_close_to_the_pooled_fit() {
    let study = example_study("private-logistic");
    let Privacy::Distributed(promise) = &study.privacy else {
        panic!("the study is noised")
    };
    let tables = example_tables(&study);
    let task = Task::new(&study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let clip_integer = plan.noise.unwrap().clip_integer;

    let mut model = task.initial_model();
    let fit = loop {
        let mut sum = vec![0_i64; task.dimension()];
        for table in &tables {
            let Contribution::PatientVectors { vectors, .. } =
                task.contribution(&model, table).unwrap()
            else {
                panic!("the study is noised");
            };
            assert_eq!(vectors.len(), table.patient_count());
            for vector in vectors {
                for (total, value) in
                    sum.iter_mut()
                        .zip(quantise_patient(&vector, promise.clip, clip_integer))
                {
                    *total += value;
                }
            }
        }
        match task
            .advance(&model, &task.decode(&plan, &sum).unwrap())
            .unwrap()
        {
            Step::Continue(next) => model = next,
            Step::Finished(outcome) => break outcome,
        }
    };
    let fit = fit.result.regression().unwrap().clone();
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
