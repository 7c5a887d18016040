// SPDX-License-Identifier: Apache-2.0
//! The trial of a model on patients who were held out: one histogram, in which each of them falls into one cell.
//!
//! INVARIANT: a patient's side follows from the patient's own name and public words, and the cell from the patient's own
//! rows and the public model. The vector of one patient has norm 1, and no patient is in two cells.
//!
//! Everything else is computed from the released sum, by everybody and free of any privacy cost.

use consilium_privacy::patient_split::PatientSplit;

use crate::contribution::Contributing;
use crate::decoded_sum::DecodedSum;
use crate::model::{Model, Stage};
use crate::objective::Outcome;
use crate::regression::Regression;
use crate::result::EvaluationResult;
use crate::study::{Evaluation, RegressionPlan, Study};
use crate::table::Table;
use crate::task::TaskFault;

use cells::Cells;

mod cells;
mod measures;
mod report;

/// The evaluation of one study.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    split: PatientSplit,
    cells: Cells,
    plan: Evaluation,
    is_noised: bool,
}

impl Trial {
    pub(crate) fn new(
        plan: &Evaluation,
        regression: &RegressionPlan,
        study: &Study,
    ) -> Result<Self, TaskFault> {
        Ok(Self {
            split: plan.split(&study.heading.data),
            cells: Cells::of(plan, regression, &study.data)?,
            plan: plan.clone(),
            is_noised: study.is_noised(),
        })
    }

    /// The table of the patients whom a stage is about.
    pub(crate) fn side(&self, stage: Stage, table: &Table) -> Table {
        table.of_patients(|patient| self.is_of(stage, patient))
    }

    /// The rows of each patient whom a stage is about.
    pub(crate) fn patients<'a>(
        &'a self,
        stage: Stage,
        table: &'a Table,
    ) -> impl Iterator<Item = &'a [usize]> + 'a {
        let named = table.named_patients();
        named.filter_map(move |(name, rows)| self.is_of(stage, name).then_some(rows))
    }

    /// How many patients whom a stage is about have no row that fits.
    pub(crate) fn unfit_patients(&self, stage: Stage, table: &Table) -> usize {
        let unfit = table.unfit_patients().iter();
        unfit.filter(|name| self.is_of(stage, name)).count()
    }

    fn is_of(&self, stage: Stage, patient: &str) -> bool {
        let held_out = match stage {
            Stage::Training => false,
            Stage::Evaluation => true,
        };
        self.split.is_held_out(patient) == held_out
    }

    pub(crate) fn dimension(&self) -> usize {
        self.cells.count()
    }

    /// What the patients who were held out add to the histogram.
    pub(crate) fn contributing<'a>(
        &'a self,
        regression: &'a Regression,
        model: &'a Model,
        table: &'a Table,
    ) -> Result<Contributing<'a>, TaskFault> {
        let dimension = self.dimension();
        let cell = |objective, rows: &mut dyn Iterator<Item = (Vec<f64>, Outcome)>| {
            self.cells.of_patient(objective, rows, &model.parameters)
        };
        if self.is_noised {
            let held_out = self.patients(Stage::Evaluation, table);
            let cells = regression.of_patients(model, table, held_out, cell)?;
            let vector = move |cell: usize| {
                let mut vector = vec![0.0; dimension];
                if let Some(own) = vector.get_mut(cell) {
                    *own = 1.0;
                }
                vector
            };
            return Ok(Contributing::PatientVectors {
                dimension,
                vectors: Box::new(cells.map(vector)),
            });
        }
        let side = self.side(Stage::Evaluation, table);
        let held_out = side.patients().iter().map(Vec::as_slice);
        let mut sum = vec![0.0; dimension];
        for cell in regression.of_patients(model, &side, held_out, cell)? {
            if let Some(count) = sum.get_mut(cell) {
                *count += 1.0;
            }
        }
        Ok(Contributing::Sum(sum))
    }

    pub(crate) fn result(&self, sum: &DecodedSum) -> EvaluationResult {
        report::report(&self.cells, &self.plan, sum)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
