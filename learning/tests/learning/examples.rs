// SPDX-License-Identifier: Apache-2.0
//! Every study that is shipped as an example.

use consilium_learning::Task;
use consilium_learning::study::{Method, Privacy};
use consilium_privacy::accountant::{NoiseEvent, RdpCurve, estimate_of_plan};
use consilium_privacy::batch::Batch;
use consilium_privacy::budget::Charge;
use consilium_privacy::loss::SamplingRate;
use consilium_privacy::noise_plan::View;

use crate::federation::{example_study, examples};

#[test]
fn every_example_is_a_study_and_has_a_plan() {
    let mut names: Vec<String> = std::fs::read_dir(examples().join("studies"))
        .unwrap()
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    let expected = [
        "forbidden",
        "heart-fedavg",
        "heart-fedsgd",
        "heart-private",
        "logistic",
        "overspend",
        "private-evaluated",
        "private-linear",
        "private-local",
        "private-logistic",
        "private-network",
        "private-newton",
        "private-sampled",
        "private-silo",
        "private-statistics",
        "statistics",
    ];
    assert_eq!(names, expected);
    for name in names {
        let study = example_study(&name);
        let dropouts = u32::from(study.is_noised());
        let plan = study.vector_plan(4, dropouts, 1).unwrap();
        plan.validate(4).unwrap();
        assert_eq!(
            plan.dimension,
            u64::try_from(Task::new(&study).unwrap().dimension()).unwrap()
        );
        assert_eq!(plan.noise.is_some(), study.is_noised());
        assert_eq!(
            study.privacy_statement(4, dropouts, 1).unwrap().is_some(),
            study.is_noised()
        );
    }
}

#[test]
fn the_unnoised_examples_use_64_bit_words_with_32_fractional_bits() {
    for name in ["statistics", "logistic"] {
        let plan = example_study(name).vector_plan(4, 0, 1).unwrap();
        assert_eq!((plan.word_bits, plan.fraction_bits), (64, 32));
    }
}

#[test]
fn the_private_example_promises_epsilon_3_and_costs_three_fifths_of_the_demo_budget() {
    let study = example_study("private-logistic");
    assert_eq!(study.attempts(), 22);
    let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
    assert!(
        statement.colluders.epsilon.value() <= 3.0 && statement.colluders.epsilon.value() > 2.99
    );
    assert!(statement.masks_hold.epsilon < statement.colluders.epsilon);
    assert!(statement.masks_broken.unwrap().epsilon > statement.colluders.epsilon);
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let (noise, dimension) = (plan.noise.unwrap(), plan.dimension);
    let estimated = estimate_of_plan(&noise, View::Colluders, dimension, statement.delta).unwrap();
    assert!(estimated.epsilon < statement.colluders.epsilon);
    // Budget epsilon 4, delta 2e-5 split evenly: order 6, B 2.238.
    let charge = Charge::of_plan(&noise, View::Colluders, dimension).unwrap();
    let cost = f64::from(statement.attempts) * charge.curve.at(6).unwrap() / 2.238;
    assert!((0.595..0.605).contains(&cost), "{cost}");
}

#[test]
fn the_sampled_example_is_charged_what_the_accountant_says_of_its_batches() {
    let study = example_study("private-sampled");
    let Privacy::Distributed(promise) = &study.privacy else {
        panic!("the study is noised")
    };
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let noise = plan.noise.unwrap();
    assert_eq!(noise.batch, Batch::of(promise.sampling_rate));
    let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
    assert!(statement.colluders.epsilon <= promise.epsilon);
    assert!(statement.colluders.epsilon.value() > 2.99);
    // The ledger's charge of one attempt is the accountant's, at every order.
    let event = NoiseEvent::of_plan(&noise, View::Colluders, plan.dimension).unwrap();
    let rate = SamplingRate::new(0.2).unwrap();
    let expected = RdpCurve::poisson(&event, rate, 1).unwrap();
    let charge = Charge::of_plan(&noise, View::Colluders, plan.dimension).unwrap();
    assert_eq!(charge.curve, expected);
    // What one attempt with everybody would cost is far above it, at the order 6 of the demo's budget.
    let whole = RdpCurve::full_batch(&event, 1).at(6).unwrap();
    assert!(charge.curve.at(6).unwrap() < whole / 10.0);
}

#[test]
fn the_second_private_example_differs_from_the_first_in_name_only() {
    let (first, second) = (
        example_study("private-logistic"),
        example_study("overspend"),
    );
    assert_ne!(first.heading.name, second.heading.name);
    assert_eq!(first.task_bytes(), second.task_bytes());
}

#[test]
fn the_forbidden_example_asks_for_more_than_a_cautious_policy_grants() {
    let study = example_study("forbidden");
    assert_ne!(study.heading.purpose, "scientific-research");
    assert_eq!(study.rounds.most, 500);
    assert!(matches!(
        &study.analysis,
        consilium_learning::study::Analysis::LogisticRegression(plan) if matches!(plan.method, Method::FedSgd { .. })
    ));
}
