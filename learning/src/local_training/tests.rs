// SPDX-License-Identifier: Apache-2.0
use consilium_crypto::random::InsecureSeededRandom;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::View;

use super::*;
use crate::contribution::Contribution;
use crate::study::Study;
use crate::table::Table;
use crate::task::{Step, Task};

const STUDY: &str = include_str!("../../tests/data/local-linear.toml");

fn study() -> Study {
    Study::parse(STUDY.as_bytes()).unwrap()
}

fn begun(study: &Study) -> (Task, VectorPlan, LocalTraining) {
    let task = Task::new(study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let training = task.local_training(&plan, &task.initial_model()).unwrap();
    (task, plan, training)
}

/// A sum of real clipped vectors as the integers of the plan.
fn quantised(training: &LocalTraining, sum: [f64; 2]) -> Vec<i64> {
    let unit = training.noise.clip_integer as f64 / training.clip;
    sum.iter()
        .map(|value| (value * unit).round() as i64)
        .collect()
}

#[test]
fn a_step_divides_by_the_public_patients_of_one_silo_and_the_move_by_the_silos() {
    let (task, plan, mut training) = begun(&study());
    assert_eq!(training.model(), task.initial_model());
    training.take(&quantised(&training, [50.0, -10.0])).unwrap();
    // 0.5 times the sum over 400/4 patients.
    assert_eq!(training.model().parameters, [0.25, -0.05]);
    training.take(&quantised(&training, [0.0, 0.0])).unwrap();
    // The ridge pulls back by 0.5 * 0.5.
    let parameters = training.model().parameters;
    assert!((parameters[0] - 0.1875).abs() < 1e-12 && (parameters[1] + 0.0375).abs() < 1e-12);
    let moved = training.finish().unwrap();
    let alone = task.decode(&plan, &moved).unwrap();
    assert!(alone.noise.is_none());
    assert!((alone.values[0] - 0.1875 / 4.0).abs() < 1e-9);
    // Four silos that moved alike move the model as far as each.
    let sum: Vec<i64> = moved.iter().map(|value| 4 * value).collect();
    let decoded = task.decode(&plan, &sum).unwrap();
    let Step::Continue(next) = task.advance(&task.initial_model(), &decoded).unwrap() else {
        panic!("two rounds are left")
    };
    assert!((next.parameters[0] - 0.1875).abs() < 1e-9);
    assert!((next.parameters[1] + 0.0375).abs() < 1e-9);
}

#[test]
fn exactly_the_planned_steps_are_taken() {
    let (_, _, mut training) = begun(&study());
    let sum = quantised(&training, [1.0, 1.0]);
    assert_eq!(training.clone().finish(), Err(TaskFault::StepsLeft));
    training.take(&sum).unwrap();
    assert_eq!(training.clone().finish(), Err(TaskFault::StepsLeft));
    assert!(training.take(&sum[..1]).is_err());
    training.take(&sum).unwrap();
    assert!(training.is_finished() && training.take(&sum).is_err());
    assert!(training.finish().is_ok());
}

#[test]
fn a_move_beyond_all_bounds_is_cut_and_four_of_them_do_not_wrap() {
    let text = STUDY.replace("learning_rate = 0.5", "learning_rate = 1e300");
    let (task, plan, mut training) = begun(&Study::parse(text.as_bytes()).unwrap());
    for _ in 0..2 {
        training.take(&[i64::MAX / 4, i64::MIN / 4]).unwrap();
        // The trainer reads finite parameters, whatever the noise was.
        assert!(
            training
                .model()
                .parameters
                .iter()
                .all(|value| value.is_finite())
        );
    }
    let moved = training.finish().unwrap();
    assert!(moved.iter().all(|value| value.unsigned_abs() <= plan.clamp));
    assert!(moved.iter().any(|value| *value != 0));
    let sum: Vec<i64> = moved.iter().map(|value| 4 * value).collect();
    assert!(task.decode(&plan, &sum).is_ok());
}

/// The move of a silo with these patients, noise and all; the seed tells the noise.
fn moved(rows: &str, seed: u8) -> Vec<f64> {
    let study = study();
    let (task, plan, mut training) = begun(&study);
    let table = Table::read(format!("id,x,y\n{rows}").as_bytes(), &study.data).unwrap();
    let mut random = InsecureSeededRandom::from_bytes([seed; 32]);
    while !training.is_finished() {
        let Contribution::PatientVectors { dimension, vectors } =
            task.contribution(&training.model(), &table).unwrap()
        else {
            panic!("a local step gives one vector per patient")
        };
        let norm = ClippingNorm::new(1.0).unwrap();
        let sum = simulated_sum(training.noise(), norm, dimension, &vectors, &mut random).unwrap();
        training.take(&sum).unwrap();
    }
    task.decode(&plan, &training.finish().unwrap())
        .unwrap()
        .values
}

#[test]
fn one_patient_moves_a_silo_no_further_than_the_clip_at_each_step() {
    let others = "a,0.5,0.1\nb,-0.5,0.2\n";
    // A thousand rows, each with a residual at the bound: far more than the clip of 1.
    let canary: String = (0..1000).map(|_| "c,1,1\n").collect();
    let (with, without) = (moved(&format!("{others}{canary}"), 7), moved(others, 7));
    let distance = with
        .iter()
        .zip(&without)
        .map(|(with, without)| (with - without).powi(2))
        .sum::<f64>()
        .sqrt();
    // Two steps of rate 0.5 over 100 patients, over 4 silos; what the first step moved is pulled back, never pushed on.
    let furthest = 2.0 * 0.5 / 100.0 / 4.0;
    // The other patients answer the canary's first step by 2 * 0.5 / 100 of it in the second.
    assert!(distance <= furthest * 1.02, "{distance} beyond {furthest}");
    assert!(distance > furthest * 0.8, "{distance} of {furthest}");
}

#[test]
fn every_step_carries_noise_of_the_whole_size() {
    // Nobody's move: the noise alone. 2,000 draws of two coordinates.
    let study = study();
    let (_, plan, _) = begun(&study);
    let multiplier = plan.noise.unwrap().multiplier(View::MasksBroken).unwrap();
    let step = 0.5 * multiplier.value() / 100.0 / 4.0;
    // The second step takes (1 - 0.5 * 0.5) of the first along.
    let variance = step * step * (1.0 + 0.75 * 0.75);
    let draws = 2_000_u32;
    let mut squares = 0.0;
    let mut random = InsecureSeededRandom::from_bytes([3; 32]);
    for _ in 0..draws {
        let (task, plan, mut training) = begun(&study);
        while !training.is_finished() {
            let norm = ClippingNorm::new(1.0).unwrap();
            let nobody: [Vec<f64>; 0] = [];
            let sum = simulated_sum(training.noise(), norm, 2, &nobody, &mut random).unwrap();
            training.take(&sum).unwrap();
        }
        let moved = task.decode(&plan, &training.finish().unwrap()).unwrap();
        squares += moved.values.iter().map(|value| value * value).sum::<f64>();
    }
    // A chi-square of 4,000 degrees is within a tenth of them but for one seed in 10^5. Noise at one step alone would give
    // 0.36 or 0.64.
    let ratio = squares / (2.0 * f64::from(draws)) / variance;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
}

#[test]
fn every_local_step_is_charged_and_the_promise_is_kept_without_masks() {
    let study = study();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let noise = plan.noise.unwrap();
    assert_eq!((noise.attempts, noise.releases()), (4, 8));
    let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
    let own = statement.masks_broken.unwrap();
    let certified = own.epsilon.value();
    assert!(certified <= 3.0 && certified > 2.999, "{certified}");
    assert_eq!(own, statement.masks_hold);
    // As many silos as one likes: nobody else's noise is counted on.
    let many = study.vector_plan(40, 10, 13).unwrap().noise.unwrap();
    assert_eq!(
        (many.scale, many.clip_integer),
        (noise.scale, noise.clip_integer)
    );
}

#[test]
fn a_plan_with_other_noise_or_other_steps_is_not_trained_by() {
    let study = study();
    let (task, plan, training) = begun(&study);
    let other = Study::parse(
        STUDY
            .replace("local_steps = 2", "local_steps = 3")
            .as_bytes(),
    );
    let others = [
        other.unwrap().vector_plan(4, 1, 1).unwrap(),
        VectorPlan {
            noise: None,
            ..plan
        },
    ];
    for other in others {
        assert!(task.local_training(&other, &training.start).is_err());
    }
}
