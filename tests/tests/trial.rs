// SPDX-License-Identifier: Apache-2.0
//! The shipped trial through learning, privacy and the real machines of secure aggregation together.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use consilium_crypto::random::InsecureSeededRandom;
use consilium_learning::study::Privacy;
use consilium_learning::{Contribution, Step, Study, Table, Task};
use consilium_privacy::contribution::simulated_sum;
use consilium_tests::Federation;

const HOSPITALS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];

fn example(path: &str) -> String {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/");
    std::fs::read_to_string(format!("{examples}{path}")).unwrap()
}

fn tables(study: &Study) -> Vec<Table> {
    let table = |hospital: &&str| {
        let csv = example(&format!("data/indo-rct/{hospital}.csv"));
        Table::read(csv.as_bytes(), &study.data).unwrap()
    };
    HOSPITALS.iter().map(table).collect()
}

#[test]
fn newton_steps_through_secure_aggregation_reach_the_pooled_fit() {
    let study = Study::parse(example("studies/logistic.toml").as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    let plan = study.vector_plan(4, 0, 1).unwrap();
    let fixed_point = plan.fixed_point().unwrap();
    let tables = tables(&study);
    let mut federation = Federation::new(&HOSPITALS).unwrap();
    let mut model = task.initial_model();
    let result = loop {
        let inputs: Vec<Vec<i64>> = tables
            .iter()
            .map(|table| match task.contribution(&model, table).unwrap() {
                Contribution::Sum(sum) => sum
                    .into_iter()
                    .map(|value| fixed_point.encode(value).unwrap())
                    .collect(),
                Contribution::PatientVectors { .. } => panic!("an unnoised study gives sums"),
            })
            .collect();
        let sum = federation.sum(&plan, &inputs).unwrap();
        match task
            .advance(&model, &task.decode(&plan, &sum).unwrap())
            .unwrap()
        {
            Step::Continue(next) => model = next,
            Step::Trained(outcome) | Step::Finished(outcome) => break outcome.result,
            Step::Evaluated { .. } => panic!("nothing is evaluated"),
        }
    };
    let pooled: toml::Table = example("data/indo-rct/pooled.toml").parse().unwrap();
    let pooled = pooled["coefficients"].as_array().unwrap();
    let ours = &result.regression().unwrap().coefficients;
    assert_eq!(ours.len(), pooled.len());
    for (ours, pooled) in ours.iter().zip(pooled) {
        assert!((ours - pooled.as_float().unwrap()).abs() < 1e-6);
    }
}

#[test]
fn a_released_sum_of_noised_shares_holds_all_of_them_and_does_not_wrap() {
    let study = Study::parse(example("studies/private-logistic.toml").as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let noise = plan.noise.unwrap();
    let Privacy::Distributed(distributed) = &study.privacy else {
        panic!("the private study has noise")
    };
    let clip = distributed.clip;
    let dimension = usize::try_from(plan.dimension).unwrap();
    let mut federation = Federation::new(&HOSPITALS).unwrap();
    let model = task.initial_model();
    let inputs: Vec<Vec<i64>> = (1..)
        .zip(tables(&study))
        .map(|(seed, table)| {
            let Contribution::PatientVectors { vectors, .. } =
                task.contribution(&model, &table).unwrap()
            else {
                panic!("a noised study gives one vector per patient")
            };
            let mut random = InsecureSeededRandom::from_bytes([seed; 32]);
            let patients = vectors.iter().map(Vec::as_slice);
            simulated_sum(&noise, clip, dimension, patients, &mut random).unwrap()
        })
        .collect();
    let sum = federation.sum(&plan, &inputs).unwrap();
    let expected: Vec<i64> = (0..dimension)
        .map(|at| inputs.iter().map(|input| input[at]).sum())
        .collect();
    assert_eq!(sum, expected);
}
