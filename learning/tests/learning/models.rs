// SPDX-License-Identifier: Apache-2.0
//! The models that gradient steps find, against what is known without them.

use consilium_learning::{Contribution, Outcome, Step, Study, Table, Task};
use consilium_privacy::clipping::quantise_patient;

use crate::federation::run_plain;

const HEAD: &str = r#"
[study]
name = "models"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "IRB-1"
data = "registry"
deadline_hours = 1
[data]
patient = "id"
[data.columns.x]
type = "number"
range = [-2, 2]
[data.columns.y]
type = "number"
range = [-2, 2]
[data.columns.number]
type = "number"
range = [0, 200]
[data.columns.group]
type = "category"
levels = { a = "a", b = "b", c = "c" }
reference = "a"
[data.columns.label]
type = "category"
levels = { p = "p", q = "q", r = "r" }
"#;

fn study(analysis: &str) -> Study {
    Study::parse(format!("{HEAD}{analysis}").as_bytes()).unwrap()
}

fn tables(study: &Study, rows: &[String]) -> Vec<Table> {
    rows.chunks(rows.len().div_ceil(3))
        .map(|rows| {
            let csv = format!("id,x,y,number,group,label\n{}\n", rows.join("\n"));
            Table::read(csv.as_bytes(), &study.data).unwrap()
        })
        .collect()
}

#[test]
fn a_linear_regression_reaches_least_squares_in_the_outcomes_own_unit() {
    let study = study(
        "[analysis]\nkind = \"linear-regression\"\noutcome = { column = \"number\" }\nfeatures = [\"x\", \"y\"]\n\
         method = \"fedsgd\"\n[rounds]\nmost = 400\nlearning_rate = 1.0\nmomentum = 0.5\n[privacy]\nmode = \"none\"\n",
    );
    // number = 90 + 20 (x/2) - 14 (y/2) + a residual that is orthogonal to all features: +-5 in turn on four corners.
    let rows: Vec<String> = (0..24)
        .map(|at| {
            let (x, y) = (
                f64::from(at % 2) * 2.0 - 1.0,
                f64::from(at / 2 % 2) * 2.0 - 1.0,
            );
            let number = 90.0 + 10.0 * x - 7.0 * y + 5.0 * x * y;
            format!("{at},{x},{y},{number},a,p")
        })
        .collect();
    let outcome = run_plain(&study, &tables(&study, &rows));
    let fit = outcome.result.regression().unwrap();
    assert_eq!(fit.names, ["intercept", "x", "y"]);
    // In half-ranges of 2: twice the slopes.
    for (found, expected) in fit.coefficients.iter().zip([90.0, 20.0, -14.0]) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    assert!(fit.odds_ratios.is_empty());
    // Minus half of 24 squares of 5/100.
    assert!((fit.log_likelihood.unwrap() + 12.0 * 0.0025).abs() < 1e-9);
}

#[test]
fn a_saturated_softmax_gives_the_frequencies_of_every_group() {
    let study = study(
        "[analysis]\nkind = \"softmax-regression\"\noutcome = { column = \"label\" }\nfeatures = [\"group\"]\n\
         method = \"fedsgd\"\n[rounds]\nmost = 3000\nlearning_rate = 4.0\nmomentum = 0.8\n[privacy]\nmode = \"none\"\n",
    );
    let counts = [[5, 3, 2], [1, 8, 1], [4, 4, 12]];
    let mut rows = Vec::new();
    for (group, counts) in ["a", "b", "c"].iter().zip(counts) {
        for (label, count) in ["p", "q", "r"].iter().zip(counts) {
            for _ in 0..count {
                rows.push(format!("{},0,0,0,{group},{label}", rows.len()));
            }
        }
    }
    let outcome = run_plain(&study, &tables(&study, &rows));
    let fit = outcome.result.regression().unwrap();
    assert_eq!(fit.names.len(), 9);
    assert_eq!(fit.names[4], "q: group: b");
    for (group, counts) in counts.iter().enumerate() {
        let scores: Vec<f64> = (0..3)
            .map(|label| {
                let own = &fit.coefficients[3 * label..3 * label + 3];
                own[0] + if group == 0 { 0.0 } else { own[group] }
            })
            .collect();
        let total: f64 = scores.iter().map(|score| score.exp()).sum();
        let rows: i32 = counts.iter().sum();
        for (score, count) in scores.iter().zip(counts) {
            let (found, expected) = (score.exp() / total, f64::from(*count) / f64::from(rows));
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}

const EXCLUSIVE_OR: &str = "[analysis]\nkind = \"neural-network\"\noutcome = { column = \"label\" }\n\
    features = [\"x\", \"y\"]\nmethod = \"fedsgd\"\nhidden_units = 4\ninitial_seed = 3\n[rounds]\nmost = 300\n";

fn corners() -> Vec<String> {
    (0..60)
        .map(|at| {
            let (x, y) = (at % 2, at / 2 % 2);
            let label = if x == y { "p" } else { "q" };
            let jitter = f64::from(at % 7) / 20.0;
            let (x, y) = (
                f64::from(x) * 2.0 - 1.0 + jitter,
                f64::from(y) * 2.0 - 1.0 - jitter,
            );
            format!("{at},{x},{y},0,a,{label}")
        })
        .collect()
}

fn correct(study: &Study, tables: &[Table], outcome: &Outcome) -> usize {
    let task = Task::new(study).unwrap();
    tables
        .iter()
        .map(|table| {
            task.evaluate(&outcome.model, table)
                .unwrap()
                .unwrap()
                .correct
        })
        .sum()
}

#[test]
fn a_perceptron_learns_what_no_linear_model_can_by_every_optimizer() {
    for optimizer in [
        "learning_rate = 2.0\nmomentum = 0.8\n",
        "learning_rate = 0.05\noptimizer = \"adam\"\naverage_last = 20\n",
    ] {
        let study = study(&format!(
            "{EXCLUSIVE_OR}{optimizer}[privacy]\nmode = \"none\"\n"
        ));
        let tables = tables(&study, &corners());
        let outcome = run_plain(&study, &tables);
        assert_eq!(correct(&study, &tables, &outcome), 60, "{optimizer}");
    }
    let linear = EXCLUSIVE_OR
        .replace("neural-network", "softmax-regression")
        .replace("hidden_units = 4\ninitial_seed = 3\n", "");
    let study = study(&format!(
        "{linear}learning_rate = 1.0\n[privacy]\nmode = \"none\"\n"
    ));
    let tables = tables(&study, &corners());
    assert!(correct(&study, &tables, &run_plain(&study, &tables)) < 50);
}

/// Clip and quantise as the agent does; the noise itself has tests of its own.
#[test]
fn clipped_patients_teach_a_perceptron_too_and_every_silo_gets_the_same_bits() {
    let study = study(&format!(
        "{}learning_rate = 0.05\noptimizer = \"adam\"\n[privacy]\nmode = \"distributed\"\n\
         epsilon = \"8\"\ndelta = \"1e-5\"\nclip = 0.5\nexpected_patients = 60\nmost_patients_per_silo = 100\n",
        EXCLUSIVE_OR.replace("hidden_units = 4", "hidden_units = 4\nridge = 1e-4")
    ));
    let tables = tables(&study, &corners());
    let run = || {
        let task = Task::new(&study).unwrap();
        let plan = study.vector_plan(4, 1, 1).unwrap();
        let clip = consilium_privacy::loss::ClippingNorm::new(0.5).unwrap();
        let mut model = task.initial_model();
        loop {
            let mut sum = vec![0_i64; task.dimension()];
            for table in &tables {
                let Contribution::PatientVectors { vectors, .. } =
                    task.contribution(&model, table).unwrap()
                else {
                    panic!("the study is noised")
                };
                for vector in vectors {
                    let integers =
                        quantise_patient(&vector, clip, plan.noise.unwrap().clip_integer);
                    sum.iter_mut()
                        .zip(integers)
                        .for_each(|(sum, value)| *sum += value);
                }
            }
            let decoded = task.decode(&plan, &sum).unwrap();
            match task.advance(&model, &decoded).unwrap() {
                Step::Continue(next) => {
                    // What a silo stores between two rounds.
                    model = consilium_learning::Model::from_bytes(&next.to_bytes()).unwrap();
                }
                Step::Finished(outcome) => return outcome,
            }
        }
    };
    let (first, second) = (run(), run());
    assert_eq!(first.model.to_bytes(), second.model.to_bytes());
    assert_eq!(correct(&study, &tables, &first), 60);
    let fit = first.result.regression().unwrap();
    assert!(fit.log_likelihood.is_none() && fit.examples.is_none());
}
