// SPDX-License-Identifier: Apache-2.0
//! Breast cancer in Wisconsin (UCI id 17: Wolberg, Mangasarian, Street, Street): accuracy against epsilon, by public ranges.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use consilium_learning::{Study, Table};

use super::heart::HOSPITALS;
use super::private::Quality;
use super::private::{Noise, Setting, figures, quality, runs, summary, train};

/// Of each measurement its mean, its standard error and its worst value, in rounded ranges of what is measured at all.
const RANGES: [(&str, [f64; 2]); 30] = [
    ("mean radius", [5.0, 30.0]),
    ("mean texture", [5.0, 40.0]),
    ("mean perimeter", [40.0, 200.0]),
    ("mean area", [100.0, 2600.0]),
    ("mean smoothness", [0.05, 0.2]),
    ("mean compactness", [0.0, 0.4]),
    ("mean concavity", [0.0, 0.5]),
    ("mean concave points", [0.0, 0.25]),
    ("mean symmetry", [0.1, 0.35]),
    ("mean fractal dimension", [0.04, 0.1]),
    ("radius error", [0.0, 3.0]),
    ("texture error", [0.0, 5.0]),
    ("perimeter error", [0.0, 25.0]),
    ("area error", [0.0, 550.0]),
    ("smoothness error", [0.0, 0.035]),
    ("compactness error", [0.0, 0.14]),
    ("concavity error", [0.0, 0.4]),
    ("concave points error", [0.0, 0.06]),
    ("symmetry error", [0.0, 0.08]),
    ("fractal dimension error", [0.0, 0.03]),
    ("worst radius", [7.0, 40.0]),
    ("worst texture", [10.0, 50.0]),
    ("worst perimeter", [50.0, 260.0]),
    ("worst area", [150.0, 4500.0]),
    ("worst smoothness", [0.05, 0.25]),
    ("worst compactness", [0.0, 1.1]),
    ("worst concavity", [0.0, 1.3]),
    ("worst concave points", [0.0, 0.3]),
    ("worst symmetry", [0.1, 0.7]),
    ("worst fractal dimension", [0.05, 0.21]),
];

const EPSILONS: [&str; 5] = ["8", "3", "1", "0.5", "0.25"];
const SEEDS: u8 = 30;

/// Every fifth row is a test; the others go to four hospitals in turn.
pub(super) fn print(data: &Path) -> Result<()> {
    let path = data.join("wdbc/wdbc.csv");
    let text = fs::read_to_string(&path).with_context(|| {
        format!(
            "cannot read `{}`; name the data folder by `--data`",
            path.display()
        )
    })?;
    let (header, rows) = text.split_once('\n').context("wdbc.csv is empty")?;
    let table = |study: &Study, wanted: &dyn Fn(usize) -> bool| {
        let mut csv = format!("{},patient\n", header.trim_end());
        for (patient, row) in rows.lines().enumerate().filter(|(row, _)| wanted(*row)) {
            csv.push_str(&format!("{},{patient}\n", row.trim_end()));
        }
        Table::read(csv.as_bytes(), &study.data).context("wdbc.csv")
    };
    let any = study("1")?;
    let training = (0..HOSPITALS.len())
        .map(|hospital| table(&any, &|row| row % 5 != 0 && row % 5 - 1 == hospital))
        .collect::<Result<Vec<_>>>()?;
    let tests = vec![table(&any, &|row| row % 5 == 0)?];
    println!(
        "accuracy / AUC, 114 test patients, {SEEDS} seeds, delta 1e-5, 50 rounds, t = 2, RDP certificate"
    );
    let plan = Setting::Certified.plan(&any)?;
    let Quality(found) = quality(&any, &train(&any, &plan, &training, Noise::None)?, &tests)?;
    println!("epsilon {:>5}   {}", "none", figures(&found[1..]));
    for epsilon in EPSILONS {
        let study = study(epsilon)?;
        let found = summary(&runs(&study, Setting::Certified, &training, &tests, SEEDS)?);
        println!(
            "epsilon {epsilon:>5}   {}   sd {}",
            figures(&found.map(|(mean, _)| mean)[1..]),
            figures(&found.map(|(_, deviation)| deviation)[1..])
        );
    }
    Ok(())
}

/// Every column in half-widths of its range about the middle, which is the default.
fn study(epsilon: &str) -> Result<Study> {
    let columns: String = RANGES
        .iter()
        .map(|(name, [low, high])| {
            format!("[data.columns.\"{name}\"]\ntype = \"number\"\nrange = [{low}, {high}]\n")
        })
        .collect();
    let features: Vec<String> = RANGES
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let text = format!(
        "[study]\nname = \"wdbc\"\nresearcher = \"a.ruiz@uni.example\"\npurpose = \"scientific-research\"\n\
         ethics = \"IRB-2026-0042\"\ndata = \"breast-cancer\"\ndeadline_hours = 24\n\
         [data]\npatient = \"patient\"\n{columns}\
         [data.columns.target]\ntype = \"category\"\nlevels = {{ \"0\" = \"malignant\", \"1\" = \"benign\" }}\n\
         [analysis]\nkind = \"logistic-regression\"\noutcome = {{ column = \"target\", positive = \"malignant\" }}\n\
         features = [{}]\nmethod = \"fedsgd\"\nridge = 1e-3\nlongest_row = 4.0\n\
         [rounds]\nmost = 50\nlearning_rate = 4\naverage_last = 25\nspare_attempts = 0\n\
         [privacy]\nmode = \"distributed\"\nepsilon = \"{epsilon}\"\ndelta = \"1e-5\"\nclip = 1.0\n\
         expected_patients = 455\nmost_patients_per_silo = 1000\n",
        features.join(", ")
    );
    Study::parse(text.as_bytes()).context("the study of wdbc")
}
