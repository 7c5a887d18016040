// SPDX-License-Identifier: Apache-2.0
//! `ledger.jsonl`: the privacy budgets of this hospital's data sets, and what every study took from them.
//!
//! The rules are those of [`consilium_privacy::budget`]; here is the file. An entry has reached the disk before anybody
//! acts on it, and the journal remembers how far the ledger went. Both name the installation that writes them, which no
//! backup holds: a copy of either that is older than the other, or of another installation, is noticed.

pub(crate) mod forecast;
mod jobs;
pub(crate) mod recomputed;
mod top_up;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use consilium_crypto::digest::Digest;
use consilium_policies::BudgetLimit;
use consilium_privacy::budget::{
    self, Account, Budget, BudgetFault, BudgetRefusal, Charge, LedgerEntry, LedgerHead, Replayed,
    replay,
};
use consilium_privacy::noise_plan::{NoisePlanFault, VectorPlan, View};

use crate::crash::{CrashPlace, CrashPoint};
use crate::durable_file::{self, FileFault};
use crate::journal::{Journal, JournalFault, LedgerNotice};
use forecast::Forecast;
pub use jobs::evaluation_job;
pub(crate) use jobs::{StudyVectors, job_name, named};
pub use top_up::TopUpFault;
pub(crate) use top_up::{NAMESPACE, Raise};

/// The ledger of one silo.
#[derive(Debug)]
pub struct Ledger {
    state: budget::Ledger,
    entries: Vec<(u64, LedgerEntry)>,
    file: File,
    path: PathBuf,
    crash_point: Option<CrashPoint>,
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
    /// The journal is older than the ledger: a copy of it was put back.
    #[error(
        "`{}` holds {ahead} entries that the journal beside it does not know: the journal is an old copy; put back the newest copies of both, or see \"After a loss\" in docs/operating.md", path.display()
    )]
    JournalBehind {
        /// The ledger.
        path: PathBuf,
        /// Entries unknown to the journal.
        ahead: u64,
    },
    /// The ledger or the journal was written by another installation, or lost what names its own.
    #[error(
        "{what} beside `{}` was not written by this installation: a backup was put back, or a file is missing; see \"After a loss\" in docs/operating.md", path.display()
    )]
    OtherInstallation {
        /// The ledger.
        path: PathBuf,
        /// Which of the two.
        what: &'static str,
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
    /// Two officers did not agree that a budget grows, or one of its entries says so falsely.
    #[error(transparent)]
    TopUp(#[from] TopUpFault),
    /// The policy was given other amounts after the budget was created.
    #[error(
        "the budget of `{data}` has epsilon {epsilon} and delta {delta}; write the same into the policy (`ledger top-up` raises epsilon, nothing else changes them)"
    )]
    OtherBudget {
        /// The data set.
        data: String,
        /// As it is.
        epsilon: String,
        /// As it is.
        delta: String,
    },
    /// The plan has no noise to charge for, or noise that cannot be accounted for.
    #[error("the study's noise cannot be charged")]
    Unpriced(#[source] Option<NoisePlanFault>),
}

impl Ledger {
    /// Opens the ledger and checks all of it. A torn last line, which nobody acted on, is cut off; a ledger that is new
    /// together with its journal is bound to this installation.
    pub(crate) fn open(
        path: &Path,
        journal: &mut Journal,
        instance: Digest,
        crash_point: Option<CrashPoint>,
    ) -> Result<Ledger, LedgerFault> {
        durable_file::private_file(path)?;
        let opened = |source| FileFault::io(path, "opened")(source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(opened)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(FileFault::io(path, "read"))?;
        let replayed = trusted(path, &bytes, journal, Some(instance))?;
        let whole = u64::try_from(replayed.whole_bytes).unwrap_or(u64::MAX);
        if replayed.torn {
            file.set_len(whole)
                .and_then(|()| file.sync_all())
                .map_err(FileFault::io(path, "repaired"))?;
        }
        file.seek(SeekFrom::Start(whole))
            .map_err(FileFault::io(path, "opened"))?;
        durable_file::sync_folder_of(path)?;
        // The journal first: a ledger that is bound beside a journal that is not was left alone by somebody.
        journal.record_instance(instance)?;
        let head = replayed.ledger.head();
        let mut ledger = Ledger {
            state: replayed.ledger,
            entries: replayed.entries,
            file,
            path: path.to_owned(),
            crash_point,
        };
        if head == LedgerHead::empty() {
            let begun = ledger.state.begin(instance)?;
            ledger.append(journal, begun)?;
        } else if replayed.beyond_known > 0 {
            // A crash came between the two.
            let notice = ledger.entries.last().and_then(|(_, entry)| told_of(entry));
            journal.record_ledger_head(head.length, head.digest, notice.as_ref())?;
        }
        Ok(ledger)
    }

    /// Reads the ledger without holding it, for people to look at.
    pub(crate) fn view(
        path: &Path,
        journal: &Journal,
    ) -> Result<(budget::Ledger, Vec<(u64, LedgerEntry)>), LedgerFault> {
        let replayed = trusted(path, &read_whole(path)?, journal, None)?;
        Ok((replayed.ledger, replayed.entries))
    }

    /// The whole lines of the ledger as they stand, with the state that they add up to.
    pub(crate) fn lines(
        path: &Path,
        journal: &Journal,
    ) -> Result<(Vec<u8>, budget::Ledger), LedgerFault> {
        let mut bytes = read_whole(path)?;
        let replayed = trusted(path, &bytes, journal, None)?;
        bytes.truncate(replayed.whole_bytes);
        Ok((bytes, replayed.ledger))
    }

    /// Reads the lines of another installation's ledger, from its beginning: whether they are one chain, keep the rules
    /// and are signed where officers must sign.
    pub fn verify(path: &Path, bytes: &[u8]) -> Result<Replayed, LedgerFault> {
        let replayed = replay(bytes, None).map_err(|source| LedgerFault::Untrusted {
            path: path.to_owned(),
            source,
        })?;
        top_up::check_signatures(replayed.ledger.instance(), &replayed.entries)?;
        Ok(replayed)
    }

    /// What a study would take from a data set's budget, and what is left of it. A study that has reserved already,
    /// before a crash, takes nothing more.
    pub(crate) fn share(
        &self,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        vectors: &StudyVectors,
    ) -> Result<BudgetShare, LedgerFault> {
        let mut trial = self.state.clone();
        if let Some(created) = self.missing_budget(data, limit)? {
            trial.record(&created, 0)?;
        }
        let account = trial.account(data)?;
        let mut needed = 0.0;
        for (_, plan) in self.unreserved(study, vectors) {
            let (attempts, charge) = price(&plan, limit.charge.view())?;
            needed += account.share_needed(attempts, &charge).fraction();
        }
        Ok(BudgetShare {
            needed,
            left: account.remaining_share().fraction(),
        })
    }

    /// Whether a study with these vectors would fit into what is left.
    pub(crate) fn admits(
        &self,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        vectors: &StudyVectors,
    ) -> bool {
        Forecast::of(&self.state, data, limit, study, vectors)
            .is_ok_and(|forecast| forecast.after.is_ok())
    }

    /// The jobs of a study for which nothing is set aside yet.
    fn unreserved(&self, study: &str, vectors: &StudyVectors) -> Vec<(String, VectorPlan)> {
        let mut jobs = vectors.jobs(study);
        jobs.retain(|(job, _)| self.state.job(job).is_none_or(budget::Job::is_released));
        jobs
    }

    /// Sets the worst case of a study aside, of all its jobs or of none. A study that has reserved already keeps its reservation.
    pub(crate) fn reserve(
        &mut self,
        journal: &mut Journal,
        data: &str,
        limit: &BudgetLimit,
        study: &str,
        vectors: &StudyVectors,
    ) -> Result<(), LedgerFault> {
        let jobs = self.unreserved(study, vectors);
        let priced = jobs
            .into_iter()
            .map(|(job, plan)| Ok((job, price(&plan, limit.charge.view())?)))
            .collect::<Result<Vec<_>, LedgerFault>>()?;
        if priced.is_empty() {
            return Ok(());
        }
        if let Some(created) = self.missing_budget(data, limit)? {
            self.append(journal, created)?;
        }
        let mut trial = self.state.clone();
        let mut entries = Vec::new();
        for (job, (attempts, charge)) in &priced {
            let reserved = trial.reserve(data, job, *attempts, charge)?;
            trial.record(&reserved, 0)?;
            entries.push(reserved);
        }
        // A crash in between leaves too much set aside, and the next decision sets the rest aside or frees all.
        entries
            .into_iter()
            .try_for_each(|reserved| self.append(journal, reserved))
    }

    /// Charges one attempt of a job, before its masked update leaves. Charging it twice charges it once.
    pub(crate) fn commit(
        &mut self,
        journal: &mut Journal,
        job: &str,
        attempt: &str,
    ) -> Result<(), LedgerFault> {
        match self.state.commit(job, attempt)? {
            Some(committed) => self.append(journal, committed),
            None => Ok(()),
        }
    }

    /// Charges all that is left of what was set aside for a study; says how many attempts that was.
    pub(crate) fn forfeit(
        &mut self,
        journal: &mut Journal,
        study: &str,
    ) -> Result<u32, LedgerFault> {
        let mut forfeited = 0_u32;
        for job in jobs::all_names(study) {
            let left = self.state.job(&job).map_or(0, budget::Job::attempts_left);
            for number in 1..=left {
                self.commit(journal, &job, &format!("forgotten-{number}"))?;
            }
            forfeited = forfeited.saturating_add(left);
        }
        Ok(forfeited)
    }

    /// Frees what an ended study never used; says whether anything was reserved.
    pub(crate) fn release(
        &mut self,
        journal: &mut Journal,
        study: &str,
    ) -> Result<bool, LedgerFault> {
        let mut freed = false;
        for job in jobs::all_names(study) {
            if self.state.job(&job).is_none() {
                continue;
            }
            if let Some(released) = self.state.release(&job)? {
                self.append(journal, released)?;
                freed = true;
            }
        }
        Ok(freed)
    }

    /// The study that was charged for an attempt, whatever became of it since.
    pub(crate) fn study_of(&self, attempt: &str) -> Option<&str> {
        let mut jobs = self.state.jobs();
        let (job, _) =
            jobs.find(|(_, job)| job.committed().any(|committed| committed == attempt))?;
        Some(jobs::named(job).0)
    }

    /// Whether an attempt of a job that has not begun may be charged. SECURITY: one that was charged before must not begin again:
    /// it would draw fresh noise that nobody pays for.
    pub(crate) fn covers(&self, job: &str, attempt: &str) -> bool {
        self.state.job(job).is_some_and(|job| {
            job.attempts_left() > 0 && job.committed().all(|committed| committed != attempt)
        })
    }

    /// Against whom the price of every job of a study holds that has reserved.
    pub(crate) fn charged_view(&self, study: &str) -> Option<View> {
        let jobs = jobs::all_names(study);
        let reserved = jobs.iter().filter_map(|job| self.state.job(job));
        reserved.map(budget::Job::view).min()
    }

    /// The account that the jobs of a study take from, once it has reserved.
    pub(crate) fn account_of(&self, study: &str) -> Option<&str> {
        let jobs = jobs::all_names(study);
        let mut reserved = jobs.iter().filter_map(|job| self.state.job(job));
        reserved.next().map(budget::Job::data_set)
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
        let number = u32::try_from(self.entries.len() + 1).unwrap_or(u32::MAX);
        let crash_point = self.crash_point;
        let reach = |place| CrashPoint::reached(crash_point, place, number);
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
        let (begun, rest) = line.as_bytes().split_at(line.len() / 2);
        let written = self
            .file
            .write_all(begun)
            .inspect(|()| reach(CrashPlace::LineHalfWritten))
            .and_then(|()| self.file.write_all(rest))
            .and_then(|()| self.file.sync_all());
        if let Err(source) = written {
            // Half a line that stayed would be cut off at the next start; a whole one would count. Take it back.
            let _ = self
                .file
                .set_len(start)
                .and_then(|()| self.file.seek(SeekFrom::Start(start)));
            return Err(FileFault::io(&self.path, "written")(source).into());
        }
        reach(CrashPlace::LineWritten);
        self.state = next;
        let notice = told_of(&entry);
        self.entries.push((now, entry));
        let head = self.state.head();
        journal.record_ledger_head(head.length, head.digest, notice.as_ref())?;
        reach(CrashPlace::LineKnown);
        Ok(())
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, LedgerFault> {
    match std::fs::read(path) {
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => Ok(read.map_err(FileFault::io(path, "read"))?),
    }
}

/// What the hospital's own log says of an entry, if anything.
fn told_of(entry: &LedgerEntry) -> Option<LedgerNotice> {
    match entry {
        LedgerEntry::ToppedUp(top_up) => Some(LedgerNotice {
            kind: "privacy.topped_up",
            object: top_up.data_set.clone(),
            detail: format!("epsilon {} for: {}", top_up.to, top_up.reason),
        }),
        LedgerEntry::Begun { .. }
        | LedgerEntry::Created { .. }
        | LedgerEntry::Reserved { .. }
        | LedgerEntry::Committed { .. }
        | LedgerEntry::Released { .. } => None,
    }
}

/// Attempts and the charge of one, in the view that the officer chose.
fn price(plan: &VectorPlan, view: View) -> Result<(u32, Charge), LedgerFault> {
    let noise = plan.noise.ok_or(LedgerFault::Unpriced(None))?;
    let charge = Charge::of_plan(&noise, view, plan.dimension)
        .map_err(|fault| LedgerFault::Unpriced(Some(fault)))?;
    Ok((noise.attempts, charge))
}

/// Reads a ledger and holds it against its journal and, where it is known, against this installation.
fn trusted(
    path: &Path,
    bytes: &[u8],
    journal: &Journal,
    instance: Option<Digest>,
) -> Result<Replayed, LedgerFault> {
    let known = journal
        .ledger_head()?
        .map(|(length, digest)| LedgerHead { length, digest });
    let replayed = replay(bytes, known).map_err(|source| LedgerFault::Untrusted {
        path: path.to_owned(),
        source,
    })?;
    top_up::check_signatures(replayed.ledger.instance(), &replayed.entries)?;
    let bound = journal.instance()?;
    let is_new = replayed.ledger.head() == LedgerHead::empty();
    let other = |what| LedgerFault::OtherInstallation {
        path: path.to_owned(),
        what,
    };
    if bound.is_none() && !is_new {
        return Err(other("the journal"));
    }
    if bound.is_some() && instance.is_some() && bound != instance {
        return Err(other("the journal"));
    }
    if !is_new && replayed.ledger.instance() != bound {
        return Err(other("the ledger"));
    }
    // An entry reaches the ledger before its head reaches the journal, so a crash leaves one.
    if replayed.beyond_known > 1 {
        return Err(LedgerFault::JournalBehind {
            path: path.to_owned(),
            ahead: replayed.beyond_known,
        });
    }
    Ok(replayed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod tests;
