// SPDX-License-Identifier: Apache-2.0
//! What a study would do to a data set's budget: the account before it and after its worst case.

use consilium_policies::BudgetLimit;
use consilium_privacy::budget::{self, Account, Budget, BudgetRefusal, Share};
use consilium_privacy::noise_plan::View;

use super::{LedgerFault, StudyVectors, price};

/// A budget before and after a study.
#[derive(Debug)]
pub(crate) struct Forecast {
    /// As it is; as it will be created, where the study is the first with noise.
    pub(crate) before: Account,
    /// What the study sets aside, as a part of the whole budget.
    pub(crate) needed: Share,
    /// With the worst case of the study in it, or why that does not fit.
    pub(crate) after: Result<Account, BudgetRefusal>,
    /// Against whom the price holds.
    pub(crate) view: View,
}

impl Forecast {
    /// Nothing is changed by looking. All jobs of a study fit, or it does not. One that has reserved already is in both accounts.
    pub(crate) fn of(
        state: &budget::Ledger,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        vectors: &StudyVectors,
    ) -> Result<Self, LedgerFault> {
        let mut trial = state.clone();
        if trial.account(data).is_err() {
            let created = trial.create(data, Budget::create(limit.epsilon, limit.delta)?)?;
            trial.record(&created, 0)?;
        }
        let before = trial.account(data)?.clone();
        let view_of = |job: &str| {
            let reserved = state.job(job);
            reserved.map_or(limit.charge.view(), budget::Job::view)
        };
        let mut needed = Share::NONE;
        let mut fits = Ok(());
        for (job, plan) in vectors.jobs(study) {
            let (attempts, charge) = price(&plan, view_of(&job))?;
            needed = needed.plus(before.share_needed(attempts, &charge));
            if state.job(&job).is_none() && fits.is_ok() {
                fits = trial
                    .reserve(data, &job, attempts, &charge)
                    .and_then(|entry| trial.record(&entry, 0))
                    .map(|_| ());
            }
        }
        Ok(Self {
            needed,
            after: fits.and_then(|()| trial.account(data).cloned()),
            before,
            view: view_of(study),
        })
    }
}
