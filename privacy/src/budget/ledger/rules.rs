// SPDX-License-Identifier: Apache-2.0
//! Which entry may follow, and what it changes.

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;

use super::{Account, Job, Ledger};
use crate::budget::{BudgetRefusal, DeltaAmount, LedgerEntry, LedgerHead, RdpAmount};
use crate::noise_plan::View;

impl Ledger {
    /// Whether an entry may follow; the same rules for a new entry and for one that is replayed.
    pub(in crate::budget) fn check(&self, entry: &LedgerEntry) -> Result<(), BudgetRefusal> {
        match entry {
            LedgerEntry::Begun { .. } => {
                if self.head == LedgerHead::empty() {
                    Ok(())
                } else {
                    Err(BudgetRefusal::AlreadyBegun)
                }
            }
            LedgerEntry::Created { data_set, budget } => {
                checked_name(data_set)?;
                if !budget.keeps_its_promise() {
                    return Err(BudgetRefusal::BrokenPromise {
                        data_set: data_set.clone(),
                    });
                }
                if self.accounts.contains_key(data_set) {
                    return Err(BudgetRefusal::BudgetExists {
                        data_set: data_set.clone(),
                    });
                }
                Ok(())
            }
            LedgerEntry::ToppedUp(top_up) => {
                let account = self.account(&top_up.data_set)?;
                top_up.check(&account.budget)?;
                // The same noise costs more of delta at a larger epsilon, and all that was promised before still holds.
                let repriced: DeltaAmount = self
                    .jobs
                    .values()
                    .filter(|job| job.data_set == top_up.data_set)
                    .map(|job| top_up.repriced(job.delta).times(job.attempts_charged()))
                    .fold(DeltaAmount::ZERO, DeltaAmount::plus);
                if repriced > account.budget.delta_linear {
                    return Err(BudgetRefusal::DeltaExceeded {
                        data_set: top_up.data_set.clone(),
                    });
                }
                Ok(())
            }
            LedgerEntry::Reserved {
                data_set,
                job,
                attempts,
                cost,
                delta,
                curve,
                view,
            } => {
                checked_name(job)?;
                if self.jobs.contains_key(job) {
                    return Err(BudgetRefusal::AlreadyReserved { job: job.clone() });
                }
                let account = self.account(data_set)?;
                // An attempt that costs nothing was not accounted for, and what holds while nobody colludes is not enough.
                if *attempts == 0
                    || *view == View::MasksHold
                    || *cost == RdpAmount::ZERO
                    || curve.get(&account.budget.order) != Some(cost)
                {
                    return Err(BudgetRefusal::Unpriced { job: job.clone() });
                }
                account.check_room(data_set, cost.times(*attempts), delta.times(*attempts))
            }
            LedgerEntry::Committed { job, attempt } => {
                checked_name(attempt)?;
                let known = self.known_job(job)?;
                if known.released {
                    return Err(BudgetRefusal::Ended { job: job.clone() });
                }
                if known.has_committed(attempt) {
                    return Err(BudgetRefusal::AlreadyCommitted {
                        job: job.clone(),
                        attempt: attempt.clone(),
                    });
                }
                if known.attempts_left() == 0 {
                    return Err(BudgetRefusal::AttemptsUsedUp {
                        job: job.clone(),
                        attempts: known.attempts,
                    });
                }
                Ok(())
            }
            LedgerEntry::Released { job } => {
                if self.known_job(job)?.released {
                    return Err(BudgetRefusal::Ended { job: job.clone() });
                }
                Ok(())
            }
        }
    }

    /// Takes a checked entry into the state.
    pub(in crate::budget) fn apply(&mut self, entry: &LedgerEntry, digest: Digest) {
        match entry {
            LedgerEntry::Begun { instance } => self.instance = Some(*instance),
            LedgerEntry::Created { data_set, budget } => {
                self.accounts
                    .insert(data_set.clone(), Account::new(*budget));
            }
            LedgerEntry::ToppedUp(top_up) => {
                if let Some(account) = self.accounts.get_mut(&top_up.data_set) {
                    account.budget.epsilon = top_up.to;
                    account.budget.capacity = account.budget.capacity.plus(top_up.added());
                    account.delta_committed = DeltaAmount::ZERO;
                    account.delta_reserved = DeltaAmount::ZERO;
                    for job in self.jobs.values_mut() {
                        if job.data_set == top_up.data_set {
                            job.delta = top_up.repriced(job.delta);
                            account.charge_delta(job);
                        }
                    }
                }
            }
            LedgerEntry::Reserved {
                data_set,
                job,
                attempts,
                cost,
                delta,
                view,
                curve,
            } => {
                if let Some(account) = self.accounts.get_mut(data_set) {
                    account.reserved = account.reserved.plus(cost.times(*attempts));
                    account.delta_reserved = account.delta_reserved.plus(delta.times(*attempts));
                }
                let reserved = Job {
                    data_set: data_set.clone(),
                    attempts: *attempts,
                    cost: *cost,
                    delta: *delta,
                    view: *view,
                    curve: curve.clone(),
                    committed: BTreeSet::new(),
                    released: false,
                };
                self.jobs.insert(job.clone(), reserved);
            }
            LedgerEntry::Committed { job, attempt } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.committed.insert(attempt.clone());
                    if let Some(account) = self.accounts.get_mut(&job.data_set) {
                        account.free(job.cost, job.delta);
                        account.committed = account.committed.plus(job.cost);
                        account.delta_committed = account.delta_committed.plus(job.delta);
                    }
                }
            }
            LedgerEntry::Released { job } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    let left = job.attempts_left();
                    job.released = true;
                    if let Some(account) = self.accounts.get_mut(&job.data_set) {
                        account.free(job.cost.times(left), job.delta.times(left));
                    }
                }
            }
        }
        self.head = LedgerHead {
            length: self.head.length.saturating_add(1),
            digest,
        };
        self.invariant_nothing_is_overspent();
    }

    // INVARIANT: committed and reserved together never exceed the capacity of an account.
    fn invariant_nothing_is_overspent(&self) {
        debug_assert!(self.accounts.values().all(|account| {
            account.used() <= account.budget.capacity
                && account.delta_used() <= account.budget.delta_linear
        }));
    }
}

fn checked_name(name: &str) -> Result<(), BudgetRefusal> {
    if (1..=200).contains(&name.len()) {
        Ok(())
    } else {
        Err(BudgetRefusal::Name)
    }
}
