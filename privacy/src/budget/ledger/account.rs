// SPDX-License-Identifier: Apache-2.0
//! The account of one data set: its budget, and what is spent and set aside of it.

use super::Job;
use crate::budget::{Budget, BudgetRefusal, Charge, DeltaAmount, RdpAmount, Share};

/// The account of one data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub(super) budget: Budget,
    pub(super) committed: RdpAmount,
    pub(super) reserved: RdpAmount,
    pub(super) delta_committed: DeltaAmount,
    pub(super) delta_reserved: DeltaAmount,
}

impl Account {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            budget,
            committed: RdpAmount::ZERO,
            reserved: RdpAmount::ZERO,
            delta_committed: DeltaAmount::ZERO,
            delta_reserved: DeltaAmount::ZERO,
        }
    }

    /// The budget as it is now.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What nobody has spent or set aside.
    #[must_use]
    pub fn remaining_share(&self) -> Share {
        Share::rounded_down(
            self.budget.capacity.minus(self.used()),
            self.budget.capacity,
        )
    }

    /// What is spent and set aside of the linear part of delta, at the epsilon that the budget has now.
    #[must_use]
    pub fn delta_used(&self) -> DeltaAmount {
        self.delta_committed.plus(self.delta_reserved)
    }

    /// What is spent for good.
    #[must_use]
    pub fn committed_share(&self) -> Share {
        Share::rounded_up(self.committed, self.budget.capacity)
    }

    /// What running studies have set aside and not yet spent.
    #[must_use]
    pub fn reserved_share(&self) -> Share {
        Share::rounded_up(self.reserved, self.budget.capacity)
    }

    /// What a study of so many attempts would need.
    #[must_use]
    pub fn share_needed(&self, attempts: u32, charge: &Charge) -> Share {
        let divergence = charge.curve.at(self.budget.order).unwrap_or(f64::INFINITY);
        Share::rounded_up(
            RdpAmount::rounded_up(divergence).times(attempts),
            self.budget.capacity,
        )
    }

    /// What jobs take together: spent, or still set aside.
    #[must_use]
    pub fn share_charged<'a>(&self, jobs: impl IntoIterator<Item = &'a Job>) -> Share {
        let charged = jobs.into_iter().fold(RdpAmount::ZERO, |sum, job| {
            sum.plus(job.cost().times(job.attempts_charged()))
        });
        Share::rounded_up(charged, self.budget.capacity)
    }

    /// What one attempt takes of the linear part of delta, at the epsilon that the budget has now.
    #[must_use]
    pub fn delta_needed(&self, charge: &Charge) -> DeltaAmount {
        charge.delta.plus(self.budget.price_of(charge.distance))
    }

    /// The highest of 50, 80 and 95 percent that the use has reached, to warn an officer.
    #[must_use]
    pub fn warning_percent(&self) -> Option<u8> {
        let used = Share::rounded_up(self.used(), self.budget.capacity).tenths_of_percent();
        [95_u8, 80, 50]
            .into_iter()
            .find(|percent| used >= u64::from(*percent) * 10)
    }

    pub(super) fn used(&self) -> RdpAmount {
        self.committed.plus(self.reserved)
    }

    pub(super) fn check_room(
        &self,
        data_set: &str,
        cost: RdpAmount,
        delta: DeltaAmount,
    ) -> Result<(), BudgetRefusal> {
        if self.used().plus(cost) > self.budget.capacity {
            return Err(BudgetRefusal::Exceeded {
                data_set: data_set.to_owned(),
                needed: Share::rounded_up(cost, self.budget.capacity),
                left: self.remaining_share(),
            });
        }
        if self.delta_used().plus(delta) > self.budget.delta_linear {
            return Err(BudgetRefusal::DeltaExceeded {
                data_set: data_set.to_owned(),
            });
        }
        Ok(())
    }

    /// Adds what a job has committed and still holds of delta.
    pub(super) fn charge_delta(&mut self, job: &Job) {
        let committed = job.delta.times(job.attempts_committed());
        let reserved = job.delta.times(job.attempts_left());
        self.delta_committed = self.delta_committed.plus(committed);
        self.delta_reserved = self.delta_reserved.plus(reserved);
    }

    pub(super) fn free(&mut self, cost: RdpAmount, delta: DeltaAmount) {
        self.reserved = self.reserved.minus(cost);
        self.delta_reserved = self.delta_reserved.minus(delta);
    }
}
