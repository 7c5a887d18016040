// SPDX-License-Identifier: Apache-2.0
//! The models that gradient steps find, against what is known without them.

use consilium_learning::{Outcome, Study, Table, Task};

use crate::federation::{run_clipped, run_plain};

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

/// Twenty-four rows whose features correlate and whose residuals are no pattern.
fn uneven() -> Vec<String> {
    (0_u32..24)
        .map(|at| {
            let (x, noise) = (f64::from(at % 7) / 2.0 - 1.5, f64::from(at * at % 11));
            let y = 0.3 * x + f64::from(at % 5) / 4.0 - 0.5;
            let number = 90.0 + 12.0 * x - 7.0 * y + 3.0 * noise;
            format!("{at},{x},{y},{number},a,p")
        })
        .collect()
}

const LINEAR: &str = "[analysis]\nkind = \"linear-regression\"\noutcome = { column = \"number\" }\nfeatures = [\"x\", \"y\"]\n";

/// Least squares of the uneven rows in half-ranges, by Gram-Schmidt on the columns: no normal equations, no Cholesky.
fn least_squares() -> [f64; 3] {
    let rows: Vec<[f64; 4]> = uneven()
        .iter()
        .map(|row| {
            let cells: Vec<f64> = row
                .split(',')
                .skip(1)
                .take(3)
                .map(|cell| cell.parse().unwrap())
                .collect();
            [1.0, cells[0] / 2.0, cells[1] / 2.0, cells[2]]
        })
        .collect();
    let column = |at: usize| -> Vec<f64> { rows.iter().map(|row| row[at]).collect() };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let (one, x, y, number) = (column(0), column(1), column(2), column(3));
    let minus = |a: &[f64], factor: f64, b: &[f64]| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a - factor * b).collect()
    };
    let x_on_one = dot(&x, &one) / dot(&one, &one);
    let x_alone = minus(&x, x_on_one, &one);
    let y_on_one = dot(&y, &one) / dot(&one, &one);
    let y_on_x = dot(&y, &x_alone) / dot(&x_alone, &x_alone);
    let y_alone = minus(&minus(&y, y_on_one, &one), y_on_x, &x_alone);
    let slope_y = dot(&number, &y_alone) / dot(&y_alone, &y_alone);
    let slope_x = dot(&number, &x_alone) / dot(&x_alone, &x_alone) - slope_y * y_on_x;
    let level = dot(&number, &one) / dot(&one, &one) - slope_x * x_on_one - slope_y * y_on_one;
    [level, slope_x, slope_y]
}

#[test]
fn every_method_without_noise_finds_the_least_squares_of_the_pooled_rows() {
    let pooled = least_squares();
    for (method, reach) in [
        (
            "method = \"newton\"\n[rounds]\nmost = 5\nstop_when_step_below = 1e-9\n",
            1e-9,
        ),
        (
            "method = \"fedsgd\"\n[rounds]\nmost = 4000\nlearning_rate = 0.8\nmomentum = 0.5\n",
            1e-6,
        ),
        (
            "method = \"fedavg\"\n[rounds]\nmost = 4000\nlearning_rate = 0.8\nlocal_steps = 1\n",
            1e-6,
        ),
    ] {
        let study = study(&format!("{LINEAR}{method}[privacy]\nmode = \"none\"\n"));
        let outcome = run_plain(&study, &tables(&study, &uneven()));
        let fit = outcome.result.regression().unwrap();
        for (found, expected) in fit.coefficients.iter().zip(pooled) {
            assert!(
                (found - expected).abs() < reach,
                "{method} {found} {expected}"
            );
        }
    }
}

#[test]
fn newton_of_a_number_ends_in_two_rounds_with_the_standard_errors_of_least_squares() {
    let method = "method = \"newton\"\n[rounds]\nmost = 5\nstop_when_step_below = 1e-9\n";
    let study = study(&format!("{LINEAR}{method}[privacy]\nmode = \"none\"\n"));
    let outcome = run_plain(&study, &tables(&study, &uneven()));
    let fit = outcome.result.regression().unwrap();
    assert_eq!((fit.rounds, fit.converged), (2, Some(true)));
    let errors = fit.standard_errors.as_ref().unwrap();
    for (found, expected) in errors.iter().zip(STANDARD_ERRORS) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }
    let [low, high] = fit.intervals.as_ref().unwrap()[1];
    assert!(((low + high) / 2.0 - fit.coefficients[1]).abs() < 1e-9);
    assert!(((high - low) / errors[1] - 2.0 * 1.959_963_984_540_054).abs() < 1e-9);
}

/// By exact rational arithmetic on the uneven rows, and one square root.
const STANDARD_ERRORS: [f64; 3] = [
    1.548_791_953_798_141,
    4.073_067_497_058_945,
    8.881_955_014_717_736,
];

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
    let run = || run_clipped(&study, &tables, |sum| sum);
    let (first, second) = (run(), run());
    assert_eq!(first.model.to_bytes(), second.model.to_bytes());
    assert_eq!(correct(&study, &tables, &first), 60);
    let fit = first.result.regression().unwrap();
    assert!(fit.log_likelihood.is_none() && fit.examples.is_none());
}
