// SPDX-License-Identifier: Apache-2.0
//! `ledger.jsonl`: the privacy budgets of this hospital's data sets, and what every study took from them.
//!
//! The rules are those of [`consilium_privacy::budget`]; here is the file. An entry has reached the disk before anybody
//! acts on it, and the journal remembers how far the ledger went, so that an older copy of it is noticed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_policies::BudgetLimit;
use consilium_privacy::accountant::{NoiseEvent, RdpCurve};
use consilium_privacy::budget::{
    self, Account, Budget, BudgetFault, BudgetRefusal, Charge, LedgerEntry, LedgerHead, replay,
};
use consilium_privacy::noise_plan::{NoisePlanFault, VectorPlan, View};

use crate::durable_file::{self, FileFault};
use crate::journal::{Journal, JournalFault};

/// The ledger of one silo.
#[derive(Debug)]
pub struct Ledger {
    state: budget::Ledger,
    entries: Vec<(u64, LedgerEntry)>,
    file: File,
    path: PathBuf,
}

/// What a study takes and what is left, as fractions of the whole budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetShare {
    /// The worst case of the study.
    pub needed: f64,
    /// What nobody has spent or set aside.
    pub left: f64,
}

/// Why the ledger is not used or does not permit.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// It was changed, damaged or restored from a backup.
    #[error("`{}` is not to be trusted, and no noised study runs", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Where and how.
        #[source]
        source: budget::LedgerFault,
    },
    /// The file system said no.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The journal said no.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The budget does not permit.
    #[error(transparent)]
    Refused(#[from] BudgetRefusal),
    /// The policy's amounts make no budget.
    #[error(transparent)]
    Budget(#[from] BudgetFault),
    /// The policy was given other amounts after the budget was created.
    #[error(
        "the budget of `{data}` was created with epsilon {epsilon} and delta {delta}, which cannot be changed; write the same into the policy, or register the data under another name"
    )]
    OtherBudget {
        /// The data set.
        data: String,
        /// As created.
        epsilon: String,
        /// As created.
        delta: String,
    },
    /// The plan has no noise to charge for, or noise that cannot be accounted for.
    #[error("the study's noise cannot be charged")]
    Unpriced(#[source] Option<NoisePlanFault>),
}

impl Ledger {
    /// Opens the ledger and checks all of it. A torn last line, which nobody acted on, is cut off.
    pub fn open(path: &Path, journal: &Journal) -> Result<Ledger, LedgerFault> {
        let known = journal
            .ledger_head()?
            .map(|(length, digest)| LedgerHead { length, digest });
        let opened = |source| FileFault::io(path, "opened")(source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(opened)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(FileFault::io(path, "read"))?;
        let replayed = replay(&bytes, known).map_err(|source| LedgerFault::Untrusted {
            path: path.to_owned(),
            source,
        })?;
        let whole = u64::try_from(replayed.whole_bytes).unwrap_or(u64::MAX);
        if replayed.torn {
            file.set_len(whole)
                .and_then(|()| file.sync_all())
                .map_err(FileFault::io(path, "repaired"))?;
        }
        file.seek(SeekFrom::Start(whole))
            .map_err(FileFault::io(path, "opened"))?;
        durable_file::sync_folder_of(path)?;
        Ok(Ledger {
            state: replayed.ledger,
            entries: replayed.entries,
            file,
            path: path.to_owned(),
        })
    }

    /// Reads the ledger without holding it, for people to look at.
    pub fn view(
        path: &Path,
        journal: &Journal,
    ) -> Result<(budget::Ledger, Vec<(u64, LedgerEntry)>), LedgerFault> {
        let known = journal
            .ledger_head()?
            .map(|(length, digest)| LedgerHead { length, digest });
        let bytes = match std::fs::read(path) {
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(FileFault::io(path, "read"))?,
        };
        let replayed = replay(&bytes, known).map_err(|source| LedgerFault::Untrusted {
            path: path.to_owned(),
            source,
        })?;
        Ok((replayed.ledger, replayed.entries))
    }

    /// What a study would take from a data set's budget, and what is left of it. A study that has reserved already,
    /// before a crash, takes nothing more.
    pub fn share(
        &self,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        plan: &VectorPlan,
    ) -> Result<BudgetShare, LedgerFault> {
        let (attempts, charge) = price(plan)?;
        let mut trial = self.state.clone();
        if let Some(created) = self.missing_budget(data, limit)? {
            trial.record(&created, 0)?;
        }
        let account = trial.account(data)?;
        let reserved = self.state.job(study).is_some_and(|job| !job.is_released());
        Ok(BudgetShare {
            needed: if reserved {
                0.0
            } else {
                account.share_needed(attempts, &charge).fraction()
            },
            left: account.remaining_share().fraction(),
        })
    }

    /// Sets the worst case of a study aside. A study that has reserved already keeps its reservation.
    pub(crate) fn reserve(
        &mut self,
        journal: &mut Journal,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        plan: &VectorPlan,
    ) -> Result<(), LedgerFault> {
        if self.state.job(study).is_some_and(|job| !job.is_released()) {
            return Ok(());
        }
        let (attempts, charge) = price(plan)?;
        if let Some(created) = self.missing_budget(data, limit)? {
            self.append(journal, created)?;
        }
        let reserved = self.state.reserve(data, study, attempts, &charge)?;
        self.append(journal, reserved)
    }

    /// Charges one attempt, before its masked update leaves. Charging it twice charges it once.
    pub(crate) fn commit(
        &mut self,
        journal: &mut Journal,
        study: &str,
        attempt: &str,
    ) -> Result<(), LedgerFault> {
        match self.state.commit(study, attempt)? {
            Some(committed) => self.append(journal, committed),
            None => Ok(()),
        }
    }

    /// Frees what an ended study never used; says whether anything was reserved.
    pub(crate) fn release(
        &mut self,
        journal: &mut Journal,
        study: &str,
    ) -> Result<bool, LedgerFault> {
        if self.state.job(study).is_none() {
            return Ok(false);
        }
        match self.state.release(study)? {
            Some(released) => self.append(journal, released).map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether an attempt is charged already, or may still be.
    pub(crate) fn covers(&self, study: &str, attempt: &str) -> bool {
        self.state.job(study).is_some_and(|job| {
            job.attempts_left() > 0 || job.committed().any(|committed| committed == attempt)
        })
    }

    /// The account of a data set, once it has one.
    pub fn account(&self, data: &str) -> Option<&Account> {
        self.state.account(data).ok()
    }

    /// Every entry with its time, in milliseconds since 1970.
    pub fn entries(&self) -> &[(u64, LedgerEntry)] {
        &self.entries
    }

    fn missing_budget(
        &self,
        data: &str,
        limit: &BudgetLimit,
    ) -> Result<Option<LedgerEntry>, LedgerFault> {
        match self.state.account(data) {
            Ok(account) => {
                let budget = account.budget();
                if budget.epsilon == limit.epsilon && budget.delta == limit.delta {
                    return Ok(None);
                }
                Err(LedgerFault::OtherBudget {
                    data: data.to_owned(),
                    epsilon: budget.epsilon.to_string(),
                    delta: budget.delta.to_string(),
                })
            }
            Err(_) => Ok(Some(
                self.state
                    .create(data, Budget::create(limit.epsilon, limit.delta)?)?,
            )),
        }
    }

    /// File first, then the state in memory, then the journal's note of how far the ledger went.
    fn append(&mut self, journal: &mut Journal, entry: LedgerEntry) -> Result<(), LedgerFault> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut next = self.state.clone();
        let line = next.record(&entry, now)?;
        let start = self
            .file
            .stream_position()
            .map_err(FileFault::io(&self.path, "written"))?;
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            // Half a line that stayed would be cut off at the next start; a whole one would count. Take it back.
            let _ = self
                .file
                .set_len(start)
                .and_then(|()| self.file.seek(SeekFrom::Start(start)));
            return Err(FileFault::io(&self.path, "written")(source).into());
        }
        self.state = next;
        self.entries.push((now, entry));
        let head = self.state.head();
        Ok(journal.record_ledger_head(head.length, head.digest)?)
    }
}

/// Attempts and the charge of one: the view in which `n_c` silos collude with the coordinator.
fn price(plan: &VectorPlan) -> Result<(u32, Charge), LedgerFault> {
    let noise = plan.noise.ok_or(LedgerFault::Unpriced(None))?;
    let event = NoiseEvent::of_plan(&noise, View::Colluders, plan.dimension)
        .map_err(|fault| LedgerFault::Unpriced(Some(fault)))?;
    Ok((
        noise.attempts,
        Charge::exact(RdpCurve::full_batch(&event, 1)),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
