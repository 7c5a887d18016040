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

mod account;
mod job;
mod rules;

use std::collections::BTreeMap;

use consilium_crypto::digest::Digest;

pub use account::Account;
pub use job::Job;

use super::chain::{self, LedgerHead};
use super::refusal::BudgetRefusal;
use super::{Budget, Charge, LedgerEntry, RdpAmount, TopUp};

/// All accounts of one silo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<String, Account>,
    jobs: BTreeMap<String, Job>,
    instance: Option<Digest>,
    head: LedgerHead,
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
        let budget = self.account(data_set)?.budget();
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
            delta: self.account(data_set)?.delta_needed(charge),
            curve,
            view: charge.view,
        })
    }

    /// Charges an attempt, before its masked update leaves. `None` if it is charged already.
    pub fn commit(&self, job: &str, attempt: &str) -> Result<Option<LedgerEntry>, BudgetRefusal> {
        if self.known_job(job)?.has_committed(attempt) {
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
        if self.known_job(job)?.is_released() {
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
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}
