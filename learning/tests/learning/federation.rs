// SPDX-License-Identifier: Apache-2.0
//! Rounds without a network: contributions become integers, the integers are added, the task advances. And the clip and the
//! quantiser of a noised study, noise aside.

use std::path::PathBuf;

use consilium_learning::{Contribution, DecodedSum, Model, Outcome, Step, Study, Table, Task};
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::loss::ClippingNorm;

pub(crate) const SILOS: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];

pub(crate) fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

pub(crate) fn example_study(name: &str) -> Study {
    let path = examples().join(format!("studies/{name}.toml"));
    let bytes = std::fs::read(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
    Study::parse(&bytes).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

pub(crate) fn example_tables(study: &Study) -> Vec<Table> {
    SILOS
        .iter()
        .map(|silo| {
            let path = examples().join(format!("data/indo-rct/{silo}.csv"));
            Table::read(std::fs::File::open(path).unwrap(), &study.data).unwrap()
        })
        .collect()
}

/// Runs an unnoised study through the integers that secure aggregation adds up.
pub(crate) fn run_through_integers(study: &Study, tables: &[Table]) -> Outcome {
    let task = Task::new(study).unwrap();
    let silos = u32::try_from(tables.len()).unwrap();
    let plan = study.vector_plan(silos, 0, 1).unwrap();
    let fixed_point = plan.fixed_point().unwrap();
    run(&task, tables, |sums| {
        let mut total = vec![0_i64; task.dimension()];
        for sum in sums {
            for (total, value) in total.iter_mut().zip(sum) {
                *total += fixed_point.encode(value).unwrap();
            }
        }
        task.decode(&plan, &total).unwrap()
    })
}

/// Runs an unnoised study on plain sums.
pub(crate) fn run_plain(study: &Study, tables: &[Table]) -> Outcome {
    let task = Task::new(study).unwrap();
    run(&task, tables, |sums| {
        let mut total = vec![0.0; task.dimension()];
        for sum in sums {
            for (total, value) in total.iter_mut().zip(sum) {
                *total += value;
            }
        }
        total.into()
    })
}

fn run(task: &Task, tables: &[Table], aggregate: impl Fn(Vec<Vec<f64>>) -> DecodedSum) -> Outcome {
    let mut model = task.initial_model();
    loop {
        let sums = tables
            .iter()
            .map(|table| match task.contribution(&model, table).unwrap() {
                Contribution::Sum(sum) => sum,
                Contribution::PatientVectors { .. } => panic!("the study is noised"),
            })
            .collect();
        match task.advance(&model, &aggregate(sums)).unwrap() {
            Step::Continue(next) => model = next,
            Step::Finished(outcome) | Step::Trained(outcome) => return outcome,
            Step::Evaluated { .. } => panic!("nothing is evaluated"),
        }
    }
}

/// Runs a study with shared noise as four silos do, but for the noise; `seen` gets each sum before the task does.
pub(crate) fn run_clipped(
    study: &Study,
    tables: &[Table],
    seen: impl Fn(DecodedSum) -> DecodedSum,
) -> Outcome {
    let task = Task::new(study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let clip = study.privacy.promise().unwrap().clip;
    let clip_integer = plan.noise.unwrap().clip_integer;
    let mut model = task.initial_model();
    loop {
        let mut sum = vec![0_i64; task.dimension()];
        for table in tables {
            let vectors = patient_vectors(&task, &model, table);
            add_quantised(&mut sum, &vectors, clip, clip_integer);
        }
        let decoded = seen(task.decode(&plan, &sum).unwrap());
        match task.advance(&model, &decoded).unwrap() {
            // What a silo stores between two rounds.
            Step::Continue(next) => model = Model::from_bytes(&next.to_bytes()).unwrap(),
            Step::Trained(outcome) | Step::Finished(outcome) => return outcome,
            Step::Evaluated { .. } => panic!("nothing is evaluated"),
        }
    }
}

/// One vector for each patient of a silo.
pub(crate) fn patient_vectors(task: &Task, model: &Model, table: &Table) -> Vec<Vec<f64>> {
    let Contribution::PatientVectors { vectors, .. } = task.contribution(model, table).unwrap()
    else {
        panic!("the study is not noised")
    };
    assert_eq!(vectors.len(), table.patient_count());
    vectors
}

/// Adds the clipped and quantised vectors to a sum.
pub(crate) fn add_quantised(
    sum: &mut [i64],
    vectors: &[Vec<f64>],
    clip: ClippingNorm,
    clip_integer: u64,
) {
    for vector in vectors {
        let integers = quantise_patient(vector, clip, clip_integer);
        let pairs = sum.iter_mut().zip(integers);
        pairs.for_each(|(sum, value)| *sum += value);
    }
}
