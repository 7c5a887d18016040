// SPDX-License-Identifier: Apache-2.0
//! Patients who do not exist: numbers around their centre, categories alike, one hidden law for the outcome.

mod file;
mod law;
mod uniform;

use anyhow::bail;
use consilium_learning::Table;
use consilium_learning::study::{RegressionPlan, Study};
use consilium_privacy::noise_plan::Unit;

use file::{drawn, table};
use law::Law;
use uniform::Uniform;

/// Those who take part, and others to try the model on.
pub(super) struct Population {
    pub(super) training: Table,
    /// The same by silo, where the silo is the unit.
    pub(super) silos: Vec<Table>,
    pub(super) test: Table,
    /// What always answering the same reaches: the more frequent label, or the mean, which explains nothing.
    pub(super) guessing: f64,
    /// The mean square of the test outcomes around their mean, in units of the outcome's scale; 0 of labels.
    pub(super) test_variance: f64,
}

impl Population {
    pub(super) fn draw(
        study: &Study,
        plan: &RegressionPlan,
        silos: u32,
        patients: u64,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut random = Uniform::of(seed);
        let all = usize::try_from(patients)? + TEST_PATIENTS;
        let rows: Vec<Vec<(String, String)>> = (0..all)
            .map(|_| drawn(study, &plan.features, &mut random))
            .collect();
        let law = Law::of(study, plan)?;
        let vectors = law.feature_vectors(study, plan, &rows)?;
        let outcomes = law.outcomes(&vectors, &mut random);
        let split = all - TEST_PATIENTS;
        let part = |range: std::ops::Range<usize>| {
            let outcomes = outcomes.cells.get(range.clone()).unwrap_or_default();
            table(
                study,
                Some((plan, outcomes)),
                rows.get(range).unwrap_or_default(),
            )
        };
        let silos = match study.privacy.promise().map(|terms| terms.unit) {
            Some(Unit::Silo) => usize::try_from(silos)?.max(1),
            Some(Unit::Patient) | None => 0,
        };
        if split < silos {
            bail!("there are fewer patients than silos");
        }
        let of_silo = |silo: usize| part(silo * split / silos..(silo + 1) * split / silos);
        let test = outcomes.numbers.get(split..).unwrap_or_default();
        let (guessing, test_variance) = law.guessing(test);
        Ok(Self {
            training: part(0..split)?,
            silos: (0..silos).map(of_silo).collect::<Result<_, _>>()?,
            test: part(split..all)?,
            guessing,
            test_variance,
        })
    }
}

/// Patients for statistics: every column is drawn.
pub(super) fn patients_of(study: &Study, patients: u64, seed: u64) -> anyhow::Result<Table> {
    let mut random = Uniform::of(seed);
    let names: Vec<String> = study.data.columns.keys().cloned().collect();
    let rows: Vec<Vec<(String, String)>> = (0..patients)
        .map(|_| drawn(study, &names, &mut random))
        .collect();
    table(study, None, &rows)
}

const TEST_PATIENTS: usize = 2_000;
