// SPDX-License-Identifier: Apache-2.0
//! The study whose unit is the silo, noise aside: one clipped vector of each hospital, and their mean.

use consilium_learning::study::{Method, Study};
use consilium_learning::{Contribution, Step, Task};
use consilium_privacy::clipping::{is_within, quantise_patient};

use crate::federation::{example_study, example_tables};

/// What every hospital contributes at the first model.
fn wholes(study: &Study) -> Vec<Vec<f64>> {
    let task = Task::new(study).unwrap();
    let whole = |table| match task.contribution(&task.initial_model(), table).unwrap() {
        Contribution::Sum(whole) => whole,
        Contribution::PatientVectors { .. } => panic!("the silo is the unit"),
    };
    example_tables(study).iter().map(whole).collect()
}

#[test]
fn a_round_moves_by_the_mean_of_clipped_moves_over_all_who_were_invited() {
    let study = example_study("private-silo");
    let task = Task::new(&study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let noise = plan.noise.unwrap();
    let clip = study.privacy.promise().unwrap().clip;
    let quantised: Vec<Vec<i64>> = wholes(&study)
        .iter()
        .map(|whole| quantise_patient(whole, clip, noise.clip_integer))
        .collect();
    assert!(
        quantised
            .iter()
            .all(|whole| is_within(whole, noise.clip_integer))
    );
    let sum_of = |silos: &[Vec<i64>]| -> Vec<i64> {
        (0..task.dimension())
            .map(|coordinate| silos.iter().map(|whole| whole[coordinate]).sum())
            .collect()
    };
    let start = task.initial_model();
    let after = |silos: &[Vec<i64>]| {
        let decoded = task.decode(&plan, &sum_of(silos)).unwrap();
        match task.advance(&start, &decoded).unwrap() {
            Step::Continue(next) => next.parameters,
            Step::Trained(_) | Step::Finished(_) | Step::Evaluated { .. } => {
                panic!("one round of four")
            }
        }
    };
    // By hand, in reals: every hospital weighs the same, however many patients it has, and four divide though three survived.
    let by_hand = |silos: &[Vec<i64>]| -> Vec<f64> {
        sum_of(silos)
            .iter()
            .map(|sum| *sum as f64 / noise.clip_integer as f64 * clip.value() / 4.0)
            .collect()
    };
    for silos in [&quantised[..], &quantised[..3]] {
        for (moved, expected) in after(silos).iter().zip(by_hand(silos)) {
            assert!((moved - expected).abs() < 1e-12, "{moved} {expected}");
        }
    }
}

#[test]
fn the_move_of_a_silo_is_what_the_same_steps_give_without_noise() {
    let private = example_study("private-silo");
    let text =
        std::fs::read_to_string(crate::federation::examples().join("studies/private-silo.toml"))
            .unwrap();
    let privacy = text.find("[privacy]").unwrap();
    let plain = format!(
        "{}[privacy]\nmode = \"none\"\n",
        text[..privacy].replace("spare_attempts = 1 ", "# ")
    );
    let plain = Study::parse(plain.as_bytes()).unwrap();
    let unit = wholes(&private);
    for (whole, sum) in unit.iter().zip(wholes(&plain)) {
        let [moves @ .., _, rows] = sum.as_slice() else {
            panic!("no tail")
        };
        assert_eq!(moves.len(), whole.len());
        for (moved, total) in whole.iter().zip(moves) {
            assert!((moved - total / rows).abs() < 1e-12);
        }
    }
}

#[test]
fn a_gradient_of_a_silo_is_its_rows_mean_and_no_longer_than_the_longest_of_them() {
    let text =
        std::fs::read_to_string(crate::federation::examples().join("studies/private-silo.toml"))
            .unwrap();
    let gradients = text
        .replace("\"fedavg\"", "\"fedsgd\"")
        .replace("local_steps = 3 ", "# ")
        .replace("clip = 1.0 ", "# ");
    let study = Study::parse(gradients.as_bytes()).unwrap();
    assert!(matches!(
        study.analysis.regression().unwrap().method,
        Method::FedSgd { .. }
    ));
    let clip = study.privacy.promise().unwrap().clip.value();
    for whole in wholes(&study) {
        let length = whole.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
        assert!(length > 0.0 && length <= clip, "{length} {clip}");
        // At the first model half of all rows are expected to be positive: a mean residual within a half of zero.
        assert!(whole[0].abs() <= 0.5, "{whole:?}");
    }
}
