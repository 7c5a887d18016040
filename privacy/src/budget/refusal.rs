// SPDX-License-Identifier: Apache-2.0
//! Why a ledger refuses an entry, in words that may be shown to a researcher.

use thiserror::Error;

use super::Share;

/// Why an entry may not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BudgetRefusal {
    /// The study needs more than is left.
    #[error("the study needs {needed} of the privacy budget of `{data_set}`, and {left} is left")]
    Exceeded {
        /// The data set.
        data_set: String,
        /// What the study needs.
        needed: Share,
        /// What is left.
        left: Share,
    },
    /// The linear part of delta is used up.
    #[error(
        "the study needs more of delta than is left for `{data_set}`: each attempt takes some for noise that is sampled and not exact"
    )]
    DeltaExceeded {
        /// The data set.
        data_set: String,
    },
    /// Only an empty ledger is bound to an installation.
    #[error("the ledger was begun already")]
    AlreadyBegun,
    /// The data set has no budget.
    #[error("data set `{data_set}` has no privacy budget, write one into the policy")]
    NoBudget {
        /// The data set.
        data_set: String,
    },
    /// A budget is created once.
    #[error("data set `{data_set}` has a privacy budget already, which cannot be changed")]
    BudgetExists {
        /// The data set.
        data_set: String,
    },
    /// What it permits together exceeds its epsilon or delta.
    #[error("the budget of `{data_set}` permits more than its epsilon and delta promise")]
    BrokenPromise {
        /// The data set.
        data_set: String,
    },
    /// A budget that may not grow like this.
    #[error("the budget of `{data_set}` is not raised: {reason}")]
    TopUp {
        /// The data set.
        data_set: String,
        /// Why not.
        reason: &'static str,
    },
    /// A study reserves once.
    #[error("study `{job}` has reserved its budget already")]
    AlreadyReserved {
        /// The study.
        job: String,
    },
    /// No attempts, no cost, or a cost that is not the one of its curve.
    #[error("study `{job}` states no cost that could be charged")]
    Unpriced {
        /// The study.
        job: String,
    },
    /// Nothing was reserved for the study.
    #[error("study `{job}` has reserved no privacy budget")]
    UnknownJob {
        /// The study.
        job: String,
    },
    /// The study has ended and its rest was released.
    #[error("study `{job}` has ended, its privacy budget is closed")]
    Ended {
        /// The study.
        job: String,
    },
    /// The attempt was charged before.
    #[error("attempt `{attempt}` of study `{job}` is charged already")]
    AlreadyCommitted {
        /// The study.
        job: String,
        /// The attempt.
        attempt: String,
    },
    /// Rounds and spare attempts are all charged.
    #[error(
        "study `{job}` has used up its {attempts} attempts; what it released stays, and another submission with more `spare_attempts` is charged anew"
    )]
    AttemptsUsedUp {
        /// The study.
        job: String,
        /// The attempts it had reserved.
        attempts: u32,
    },
    /// An empty or overlong name.
    #[error("a ledger names data sets, studies and attempts by 1 to 200 characters")]
    Name,
}
