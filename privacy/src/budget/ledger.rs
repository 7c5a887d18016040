// SPDX-License-Identifier: Apache-2.0
//! The state that the entries of a ledger add up to, and what may be written next.
//!
//! ```text
//! reserve --> commit, commit, ..  (each attempt once) --> release
//!    worst case set aside     spent for good         the rest is free again
//! ```
//!
//! A question (`reserve`, `commit`, ..) answers with the entry to write; [`Ledger::record`] checks it
//! again against the state of that moment, so entries prepared in parallel cannot overspend together.

use std::collections::{BTreeMap, BTreeSet};

use consilium_crypto::digest::Digest;

use super::chain::{self, LedgerHead};
use super::refusal::BudgetRefusal;
use super::{Budget, Charge, DeltaAmount, LedgerEntry, RdpAmount, Share, TopUp};

/// All accounts of one silo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<String, Account>,
    jobs: BTreeMap<String, Job>,
    instance: Option<Digest>,
    head: LedgerHead,
}

/// The account of one data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    budget: Budget,
    committed: RdpAmount,
    reserved: RdpAmount,
    delta_committed: DeltaAmount,
    delta_reserved: DeltaAmount,
}

/// What a study has set aside and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    data_set: String,
    attempts: u32,
    cost: RdpAmount,
    delta: DeltaAmount,
    committed: BTreeSet<String>,
    released: bool,
}

impl Ledger {
    /// A ledger without entries.
    #[must_use]
    pub fn new() -> Self {
        Self {
            accounts: BTreeMap::new(),
            jobs: BTreeMap::new(),
            instance: None,
            head: LedgerHead::empty(),
        }
    }

    /// Binds an empty ledger to the installation that writes it.
    pub fn begin(&self, instance: Digest) -> Result<LedgerEntry, BudgetRefusal> {
        self.admit(LedgerEntry::Begun { instance })
    }

    /// Gives a data set its budget, once and for all.
    pub fn create(&self, data_set: &str, budget: Budget) -> Result<LedgerEntry, BudgetRefusal> {
        self.admit(LedgerEntry::Created {
            data_set: data_set.to_owned(),
            budget,
        })
    }

    /// Raises a budget. The signatures must have been verified: the ledger counts them and holds no officer's key.
    pub fn top_up(&self, top_up: TopUp) -> Result<LedgerEntry, BudgetRefusal> {
        self.admit(LedgerEntry::ToppedUp(top_up))
    }

    /// Sets aside the worst case of a study: every attempt it may make.
    pub fn reserve(
        &self,
        data_set: &str,
        job: &str,
        attempts: u32,
        charge: &Charge,
    ) -> Result<LedgerEntry, BudgetRefusal> {
        let budget = &self.account(data_set)?.budget;
        let curve: BTreeMap<u32, RdpAmount> = charge
            .curve
            .points()
            .map(|(order, divergence)| (order, RdpAmount::rounded_up(divergence)))
            .collect();
        let cost = curve.get(&budget.order).copied().unwrap_or(RdpAmount::MAX);
        self.admit(LedgerEntry::Reserved {
            data_set: data_set.to_owned(),
            job: job.to_owned(),
            attempts,
            cost,
            delta: charge.delta.plus(budget.price_of(charge.distance)),
            curve,
        })
    }

    /// Charges an attempt, before its masked update leaves. `None` if it is charged already.
    pub fn commit(&self, job: &str, attempt: &str) -> Result<Option<LedgerEntry>, BudgetRefusal> {
        if self.known_job(job)?.committed.contains(attempt) {
            return Ok(None);
        }
        self.admit(LedgerEntry::Committed {
            job: job.to_owned(),
            attempt: attempt.to_owned(),
        })
        .map(Some)
    }

    /// Ends a study and frees the attempts it never committed. `None` if it has ended already.
    pub fn release(&self, job: &str) -> Result<Option<LedgerEntry>, BudgetRefusal> {
        if self.known_job(job)?.released {
            return Ok(None);
        }
        self.admit(LedgerEntry::Released {
            job: job.to_owned(),
        })
        .map(Some)
    }

    /// Takes an entry into the state and returns its line, newline included.
    ///
    /// The line must be on stable storage before anybody acts on it; if it cannot be written, throw
    /// this state away and replay the file.
    pub fn record(
        &mut self,
        entry: &LedgerEntry,
        at_milliseconds: u64,
    ) -> Result<String, BudgetRefusal> {
        self.check(entry)?;
        let (line, digest) = chain::encode_line(
            &self.head.digest,
            self.head.length.saturating_add(1),
            at_milliseconds,
            entry,
        );
        self.apply(entry, digest);
        Ok(line)
    }

    /// The account of a data set.
    pub fn account(&self, data_set: &str) -> Result<&Account, BudgetRefusal> {
        self.accounts
            .get(data_set)
            .ok_or_else(|| BudgetRefusal::NoBudget {
                data_set: data_set.to_owned(),
            })
    }

    /// Every account with its data set.
    pub fn accounts(&self) -> impl Iterator<Item = (&str, &Account)> {
        self.accounts
            .iter()
            .map(|(data_set, account)| (data_set.as_str(), account))
    }

    /// A study that has reserved.
    #[must_use]
    pub fn job(&self, job: &str) -> Option<&Job> {
        self.jobs.get(job)
    }

    /// Every study that has reserved.
    pub fn jobs(&self) -> impl Iterator<Item = (&str, &Job)> {
        self.jobs.iter().map(|(name, job)| (name.as_str(), job))
    }

    /// The installation that writes this ledger, if it was bound to one.
    #[must_use]
    pub fn instance(&self) -> Option<Digest> {
        self.instance
    }

    /// The last entry; kept elsewhere too, it tells a restored backup.
    #[must_use]
    pub fn head(&self) -> LedgerHead {
        self.head
    }

    fn known_job(&self, job: &str) -> Result<&Job, BudgetRefusal> {
        self.jobs.get(job).ok_or_else(|| BudgetRefusal::UnknownJob {
            job: job.to_owned(),
        })
    }

    fn admit(&self, entry: LedgerEntry) -> Result<LedgerEntry, BudgetRefusal> {
        self.check(&entry)?;
        Ok(entry)
    }

    /// Whether an entry may follow; the same rules for a new entry and for one that is replayed.
    pub(super) fn check(&self, entry: &LedgerEntry) -> Result<(), BudgetRefusal> {
        match entry {
            LedgerEntry::Begun { .. } => {
                if self.head == LedgerHead::empty() {
                    Ok(())
                } else {
                    Err(BudgetRefusal::AlreadyBegun)
                }
            }
            LedgerEntry::Created { data_set, .. } => {
                checked_name(data_set)?;
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
            } => {
                checked_name(job)?;
                if self.jobs.contains_key(job) {
                    return Err(BudgetRefusal::AlreadyReserved { job: job.clone() });
                }
                let account = self.account(data_set)?;
                // An attempt that costs nothing was not accounted for.
                if *attempts == 0
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
                if known.committed.contains(attempt) {
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
    pub(super) fn apply(&mut self, entry: &LedgerEntry, digest: Digest) {
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
                ..
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

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Account {
    fn new(budget: Budget) -> Self {
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

    /// The highest of 50, 80 and 95 percent that the use has reached, to warn an officer.
    #[must_use]
    pub fn warning_percent(&self) -> Option<u8> {
        let used = Share::rounded_up(self.used(), self.budget.capacity).tenths_of_percent();
        [95_u8, 80, 50]
            .into_iter()
            .find(|percent| used >= u64::from(*percent) * 10)
    }

    fn used(&self) -> RdpAmount {
        self.committed.plus(self.reserved)
    }

    fn check_room(
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
    fn charge_delta(&mut self, job: &Job) {
        let committed = job.delta.times(job.attempts_committed());
        let reserved = job.delta.times(job.attempts_left());
        self.delta_committed = self.delta_committed.plus(committed);
        self.delta_reserved = self.delta_reserved.plus(reserved);
    }

    fn free(&mut self, cost: RdpAmount, delta: DeltaAmount) {
        self.reserved = self.reserved.minus(cost);
        self.delta_reserved = self.delta_reserved.minus(delta);
    }
}

impl Job {
    /// The data set the study draws on.
    #[must_use]
    pub fn data_set(&self) -> &str {
        &self.data_set
    }

    /// What one attempt costs at the order of the budget.
    #[must_use]
    pub fn cost(&self) -> RdpAmount {
        self.cost
    }

    /// What one attempt costs of delta, at the epsilon that the budget has now.
    #[must_use]
    pub fn delta(&self) -> DeltaAmount {
        self.delta
    }

    /// Attempts reserved.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Attempts that may still be committed.
    #[must_use]
    pub fn attempts_left(&self) -> u32 {
        if self.released {
            0
        } else {
            self.attempts.saturating_sub(self.attempts_committed())
        }
    }

    fn attempts_committed(&self) -> u32 {
        u32::try_from(self.committed.len()).unwrap_or(u32::MAX)
    }

    /// Committed ones and those still set aside.
    fn attempts_charged(&self) -> u32 {
        self.attempts_committed()
            .saturating_add(self.attempts_left())
    }

    /// The attempts committed.
    pub fn committed(&self) -> impl Iterator<Item = &str> {
        self.committed.iter().map(String::as_str)
    }

    /// Whether the study has ended.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }
}

fn checked_name(name: &str) -> Result<(), BudgetRefusal> {
    if (1..=200).contains(&name.len()) {
        Ok(())
    } else {
        Err(BudgetRefusal::Name)
    }
}
