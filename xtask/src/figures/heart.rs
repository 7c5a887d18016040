// SPDX-License-Identifier: Apache-2.0
//! Heart disease at four hospitals: FedSGD and FedAvg with public scaling against weights computed elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use consilium_learning::{Contribution, DecodedSum, Model, Step, Study, Table, Task};
use consilium_privacy::noise_plan::VectorPlan;

/// The hospitals in the order of the column `center`. All training patients of Switzerland are positive.
pub(crate) const HOSPITALS: [&str; 4] = ["cleveland", "hungarian", "switzerland", "va"];

/// The data split by hospital, and the golden weights.
pub(crate) struct Split {
    /// Holds `<hospital>-train.csv` and `<hospital>-test.csv`.
    pub(crate) folder: PathBuf,
    golden: serde_json::Value,
}

/// Adds up the encoded vectors of all hospitals; given the plan of the round.
pub(crate) type IntegerSum<'a> = dyn FnMut(&VectorPlan, Vec<Vec<i64>>) -> Result<Vec<i64>> + 'a;

/// Splits `heart/fed_heart_disease.csv` by hospital and part into `folder`. Cholesterol 0 means that it was
/// not measured and becomes 240, the public centre.
pub(crate) fn import(data: &Path, folder: &Path) -> Result<Split> {
    let text = read(&data.join("heart/fed_heart_disease.csv"))?;
    let (header, rows) = text
        .split_once('\n')
        .context("fed_heart_disease.csv is empty")?;
    let columns: Vec<&str> = header.trim_end().split(',').collect();
    let position = |name: &str| {
        columns
            .iter()
            .position(|column| *column == name)
            .with_context(|| format!("fed_heart_disease.csv has no column `{name}`"))
    };
    let (center, split, cholesterol) = (position("center")?, position("split")?, position("chol")?);
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    for (number, hospital) in HOSPITALS.iter().enumerate() {
        for part in ["train", "test"] {
            let mut csv = format!("{},patient\n", columns.join(","));
            for (patient, row) in rows.lines().enumerate() {
                let mut cells: Vec<&str> = row.split(',').collect();
                let cell = |index: usize| cells.get(index).copied().unwrap_or_default();
                if cell(center) != number.to_string() || cell(split) != part {
                    continue;
                }
                if cell(cholesterol).parse() == Ok(0.0)
                    && let Some(cell) = cells.get_mut(cholesterol)
                {
                    *cell = "240";
                }
                csv.push_str(&format!("{},{patient}\n", cells.join(",")));
            }
            let path = folder.join(format!("{hospital}-{part}.csv"));
            fs::write(&path, csv).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    let golden = serde_json::from_str(&read(&data.join("golden/heart_golden.json"))?)
        .context("heart_golden.json is not JSON")?;
    Ok(Split {
        folder: folder.to_owned(),
        golden,
    })
}

/// Runs both studies on plain sums; fails beyond 1e-9.
pub(crate) fn reproduce_plain(split: &Split) -> Result<()> {
    for recipe in RECIPES {
        let study = Study::parse(recipe.study.as_bytes())?;
        reproduce(split, &recipe, "plain", 1e-9, &mut |task, sums| {
            let mut total = vec![0.0; task.dimension()];
            for sum in sums {
                total
                    .iter_mut()
                    .zip(sum)
                    .for_each(|(total, value)| *total += value);
            }
            Ok(total.into())
        })
        .with_context(|| study.heading.name.clone())?;
    }
    Ok(())
}

/// Runs both studies through integers that `add_up` sums; fails beyond `tolerance`.
pub(crate) fn reproduce_in_integers(
    split: &Split,
    path: &str,
    tolerance: f64,
    add_up: &mut IntegerSum<'_>,
) -> Result<()> {
    for recipe in RECIPES {
        let study = Study::parse(recipe.study.as_bytes())?;
        let silos = u32::try_from(HOSPITALS.len())?;
        let plan = study.vector_plan(silos, 0, silos / 3)?;
        let fixed_point = plan.fixed_point()?;
        reproduce(split, &recipe, path, tolerance, &mut |task, sums| {
            let encoded = sums
                .into_iter()
                .map(|sum| {
                    sum.into_iter()
                        .map(|value| fixed_point.encode(value))
                        .collect()
                })
                .collect::<Result<Vec<Vec<i64>>, _>>()?;
            Ok(task.decode(&plan, &add_up(&plan, encoded)?)?)
        })
        .with_context(|| study.heading.name.clone())?;
    }
    Ok(())
}

/// The sum without any network.
pub(crate) fn add_up(vectors: Vec<Vec<i64>>) -> Vec<i64> {
    let mut vectors = vectors.into_iter();
    let first = vectors.next().unwrap_or_default();
    vectors.fold(first, |mut total, vector| {
        total
            .iter_mut()
            .zip(vector)
            .for_each(|(total, value)| *total = total.wrapping_add(value));
        total
    })
}

/// The head of the lines that the runs print.
pub(crate) fn print_header() {
    println!(
        "{:<14} {:<20} {:>7} {:>22} {:>16}",
        "study", "sums", "rounds", "largest difference", "correct"
    );
}

struct Recipe {
    study: &'static str,
    golden: &'static str,
    correct: usize,
}

const RECIPES: [Recipe; 2] = [
    Recipe {
        study: include_str!("../../../examples/studies/heart-fedsgd.toml"),
        golden: "public/fedsgd_R100_lr1",
        correct: 202,
    },
    Recipe {
        study: include_str!("../../../examples/studies/heart-fedavg.toml"),
        golden: "public/fedavg_R30_5steps_lr0.5",
        correct: 203,
    },
];

type RealSum<'a> = dyn FnMut(&Task, Vec<Vec<f64>>) -> Result<DecodedSum> + 'a;

fn reproduce(
    split: &Split,
    recipe: &Recipe,
    path: &str,
    tolerance: f64,
    aggregate: &mut RealSum<'_>,
) -> Result<()> {
    let study = Study::parse(recipe.study.as_bytes())?;
    let task = Task::new(&study)?;
    let model = run(&task, &tables(split, &study, "train")?, aggregate)?;

    let mut correctness = (0, 0);
    for table in tables(split, &study, "test")? {
        let silo = task
            .evaluate(&model, &table)?
            .context("a regression can be evaluated")?;
        correctness = (correctness.0 + silo.correct, correctness.1 + silo.total);
    }
    let difference = largest_difference(split, recipe, &model)?;
    println!(
        "{:<14} {path:<20} {:>7} {difference:>22.3e} {:>9} of {}",
        study.heading.name, model.rounds, correctness.0, correctness.1
    );
    ensure!(
        difference < tolerance,
        "{path}: the weights differ by {difference:e}, more than {tolerance:e}"
    );
    ensure!(
        correctness.0 == recipe.correct,
        "{path}: {} test patients are right, not {}",
        correctness.0,
        recipe.correct
    );
    Ok(())
}

fn run(task: &Task, tables: &[Table], aggregate: &mut RealSum<'_>) -> Result<Model> {
    let mut model = task.initial_model();
    loop {
        let mut sums = Vec::with_capacity(tables.len());
        for table in tables {
            match task.contribution(&model, table)? {
                Contribution::Sum(sum) => sums.push(sum),
                Contribution::PatientVectors { .. } => bail!("the study is noised"),
            }
        }
        match task.advance(&model, &aggregate(task, sums)?)? {
            Step::Continue(next) => model = next,
            Step::Trained(outcome) | Step::Finished(outcome) => return Ok(outcome.model),
            Step::Evaluated { .. } => bail!("the study evaluates another model"),
        }
    }
}

pub(crate) fn tables(split: &Split, study: &Study, part: &str) -> Result<Vec<Table>> {
    HOSPITALS
        .iter()
        .map(|hospital| {
            let path = split.folder.join(format!("{hospital}-{part}.csv"));
            let file = fs::File::open(&path)
                .with_context(|| format!("cannot open `{}`", path.display()))?;
            Table::read(file, &study.data).with_context(|| path.display().to_string())
        })
        .collect()
}

/// The golden intercept stands last, ours first.
fn largest_difference(split: &Split, recipe: &Recipe, model: &Model) -> Result<f64> {
    let golden: Vec<f64> = split
        .golden
        .get(recipe.golden)
        .and_then(|entry| entry.get("weights"))
        .and_then(|weights| weights.as_array())
        .with_context(|| format!("heart_golden.json has no weights `{}`", recipe.golden))?
        .iter()
        .filter_map(serde_json::Value::as_f64)
        .collect();
    let (intercept, features) = model
        .parameters
        .split_first()
        .context("the model is empty")?;
    ensure!(
        golden.len() == model.parameters.len(),
        "the golden weights are of another model"
    );
    Ok(features
        .iter()
        .chain([intercept])
        .zip(golden)
        .fold(0.0, |largest: f64, (ours, golden)| {
            largest.max((ours - golden).abs())
        }))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read `{}`; name the data folder by `--data`",
            path.display()
        )
    })
}
