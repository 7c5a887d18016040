// SPDX-License-Identifier: Apache-2.0
//! The trial of a model on patients who were held out: one histogram, in which each of them falls into one cell.
//!
//! INVARIANT: a patient's side follows from the patient's own name and public words, and the cell from the patient's own
//! rows and the public model. The vector of one patient has norm 1, and no patient is in two cells.
//!
//! Everything else is computed from the released sum, by everybody and free of any privacy cost.

use consilium_privacy::patient_split::PatientSplit;

use crate::contribution::Contribution;
use crate::decoded_sum::DecodedSum;
use crate::model::{Model, Stage};
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

    /// The patients whom a stage is about.
    pub(crate) fn side(&self, stage: Stage, table: &Table) -> Table {
        let held_out = match stage {
            Stage::Training => false,
            Stage::Evaluation => true,
        };
        table.of_patients(|patient| self.split.is_held_out(patient) == held_out)
    }

    pub(crate) fn dimension(&self) -> usize {
        self.cells.count()
    }

    /// What the patients of a table add to the histogram, whichever side they stand on.
    pub(crate) fn contribution(
        &self,
        regression: &Regression,
        model: &Model,
        table: &Table,
    ) -> Result<Contribution, TaskFault> {
        let dimension = self.dimension();
        let cells = regression.of_patients(model, table, |objective, rows| {
            self.cells.of_patient(objective, rows, &model.parameters)
        })?;
        Ok(if self.is_noised {
            let vector = |cell: &usize| {
                let mut vector = vec![0.0; dimension];
                if let Some(own) = vector.get_mut(*cell) {
                    *own = 1.0;
                }
                vector
            };
            Contribution::PatientVectors {
                dimension,
                vectors: cells.iter().map(vector).collect(),
            }
        } else {
            let mut sum = vec![0.0; dimension];
            for cell in cells {
                if let Some(count) = sum.get_mut(cell) {
                    *count += 1.0;
                }
            }
            Contribution::Sum(sum)
        })
    }

    pub(crate) fn result(&self, sum: &DecodedSum) -> EvaluationResult {
        report::report(&self.cells, &self.plan, sum)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
