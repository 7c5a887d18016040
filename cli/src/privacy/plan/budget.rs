// SPDX-License-Identifier: Apache-2.0
//! What a study takes from a data set's budget, priced as the hospital's ledger prices it.

use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use anyhow::{Context, bail};
use consilium_policies::Policy;
use consilium_privacy::budget::{Budget, BudgetRefusal, Charge, Ledger};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::View;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The budgets that a plan is held against.
pub(super) struct Room {
    limits: Vec<Limit>,
    decides: bool,
}

/// A budget, and what is left of it: what its ledger says, or less where somebody says so.
#[derive(Clone, Debug)]
struct Limit {
    ledger: Ledger,
    data: String,
    left_percent: Option<u8>,
    /// Against whom the price must hold.
    view: View,
}

/// One budget before and after the study.
#[derive(Debug, Serialize)]
pub(super) struct BudgetAfter {
    pub(super) epsilon: Epsilon,
    pub(super) delta: Delta,
    /// `a*`: the one Renyi order that decides.
    pub(super) order: u32,
    /// By all of the study's jobs together.
    pub(super) needed: Percent,
    /// Of that, by the evaluation; absent where the study has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needed_by_evaluation: Option<Percent>,
    pub(super) left_before: Percent,
    /// `None` when it does not fit.
    pub(super) left_after: Option<Percent>,
    pub(super) fits: bool,
    /// Whether a hospital's own ledger said what is left.
    pub(super) from_ledger: bool,
    /// Against whom the price holds: colluders, unless the hospital's officer chose broken masks.
    pub(super) charged: View,
    #[serde(skip)]
    limit: Limit,
}

/// A share of a budget; shown with one digit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub(super) struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&format!("{:.1} %", self.0))
    }
}

impl Percent {
    pub(super) fn new(percent: f64) -> Self {
        Self(percent)
    }
}

impl Room {
    /// The policy's budget for the study's data set.
    pub(super) fn of_policy(
        file: &Path,
        left_percent: Option<u8>,
        noised: &NoisedStudy,
    ) -> anyhow::Result<Self> {
        let bytes = fs::read(file)
            .with_context(|| format!("the policy `{}` cannot be read", file.display()))?;
        let policy =
            Policy::parse(&bytes).with_context(|| format!("`{}` is no policy", file.display()))?;
        let data = &noised.study.heading.data;
        let limit = policy.budget(data).with_context(|| {
            format!(
                "`{}` has no budget for `{data}`: add `[budget.\"{data}\"]`",
                file.display()
            )
        })?;
        let room = Self::single(limit.epsilon, limit.delta, left_percent.unwrap_or(100))?;
        Ok(room.charging(limit.charge.view()))
    }

    /// The budget in an exported ledger, with all that is spent and set aside there.
    pub(super) fn of_ledger(file: &Path, noised: &NoisedStudy) -> anyhow::Result<Self> {
        let bytes = fs::read(file)
            .with_context(|| format!("the ledger `{}` cannot be read", file.display()))?;
        let replayed = consilium_silo_agent::ledger::Ledger::verify(file, &bytes)?;
        if replayed.torn {
            bail!("`{}` breaks off in the middle of a line", file.display());
        }
        let data = noised.study.heading.data.clone();
        if replayed.ledger.account(&data).is_err() {
            bail!(
                "`{}` has no budget for `{data}` yet: the first study with noise creates it; give `--policy` instead",
                file.display()
            );
        }
        // As the hospital charged before; a policy, which is not here, may say more.
        let jobs = replayed.ledger.jobs();
        let view = jobs
            .filter(|(_, job)| job.data_set() == data)
            .map(|(_, job)| job.view())
            .max()
            .unwrap_or_default();
        Ok(Self {
            limits: vec![Limit {
                ledger: replayed.ledger,
                data,
                left_percent: None,
                view,
            }],
            decides: true,
        })
    }

    /// Whole budgets of sizes that hospitals set.
    pub(super) fn usual(left_percent: Option<u8>) -> anyhow::Result<Self> {
        let limits = ["1", "3", "4", "8", "10"]
            .into_iter()
            .map(|epsilon| {
                Limit::untouched(
                    Epsilon::parse(epsilon)?,
                    Delta::parse("2e-5")?,
                    left_percent.unwrap_or(100),
                )
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            limits,
            decides: false,
        })
    }

    pub(super) fn single(epsilon: Epsilon, delta: Delta, left_percent: u8) -> anyhow::Result<Self> {
        Ok(Self {
            limits: vec![Limit::untouched(epsilon, delta, left_percent)?],
            decides: true,
        })
    }

    /// The same budgets, charged in another view.
    pub(super) fn charging(mut self, view: View) -> Self {
        for limit in &mut self.limits {
            limit.view = view;
        }
        self
    }

    /// Whether a study that does not fit is refused.
    pub(super) fn decides(&self) -> bool {
        self.decides
    }

    pub(super) fn after(&self, noise: &StudyNoise) -> anyhow::Result<Vec<BudgetAfter>> {
        self.limits.iter().map(|limit| limit.after(noise)).collect()
    }

    /// The largest epsilon, to two digits and at most the study's own, whose noise takes no more than a share of the
    /// budget that decides.
    pub(super) fn epsilon_within(
        &self,
        noised: &NoisedStudy,
        share_percent: f64,
    ) -> anyhow::Result<Option<Epsilon>> {
        let (true, [limit]) = (self.decides, self.limits.as_slice()) else {
            bail!("a share is one of some budget: give `--policy` or `--ledger`");
        };
        let asked = noised.noise()?.terms.epsilon;
        let within = |noise: &StudyNoise| {
            let needed = limit.needed(noise);
            needed.is_ok_and(|needed| needed.0 <= share_percent)
        };
        if within(&noised.noise()?) {
            return Ok(Some(asked));
        }
        Ok(largest_epsilon(noised, within).filter(|epsilon| *epsilon < asked))
    }
}

impl Limit {
    fn untouched(epsilon: Epsilon, delta: Delta, left_percent: u8) -> anyhow::Result<Self> {
        let mut ledger = Ledger::new();
        let created = ledger.create(PLANNED, Budget::create(epsilon, delta)?)?;
        ledger.record(&created, 0)?;
        Ok(Self {
            ledger,
            data: PLANNED.to_owned(),
            left_percent: Some(left_percent),
            view: View::Colluders,
        })
    }

    fn after(&self, noise: &StudyNoise) -> anyhow::Result<BudgetAfter> {
        let account = self.ledger.account(&self.data)?;
        let jobs = self.jobs(noise, noise.plan.attempts)?;
        let needed = self.needed_by(&jobs)?;
        let evaluation = jobs.get(1..).filter(|jobs| !jobs.is_empty());
        let needed_by_evaluation = evaluation.map(|jobs| self.needed_by(jobs)).transpose()?;
        let left_before = match self.left_percent {
            Some(percent) => Percent(f64::from(percent)),
            None => percent(account.remaining_share().fraction()),
        };
        let reserved = self.reserved(noise, noise.plan.attempts)?;
        let left_after =
            reserved.map(
                |ledger| match (self.left_percent, ledger.account(&self.data)) {
                    (None, Ok(account)) => percent(account.remaining_share().fraction()),
                    (Some(_), _) | (None, Err(_)) => Percent(left_before.0 - needed.0),
                },
            );
        Ok(BudgetAfter {
            epsilon: account.budget().epsilon,
            delta: account.budget().delta,
            order: account.budget().order,
            needed,
            needed_by_evaluation,
            left_before,
            fits: left_after.is_some(),
            left_after,
            from_ledger: self.left_percent.is_none(),
            charged: self.view,
            limit: self.clone(),
        })
    }

    fn needed(&self, noise: &StudyNoise) -> anyhow::Result<Percent> {
        self.needed_by(&self.jobs(noise, noise.plan.attempts)?)
    }

    fn needed_by(&self, jobs: &[PlannedJob]) -> anyhow::Result<Percent> {
        let account = self.ledger.account(&self.data)?;
        let share = |job: &PlannedJob| account.share_needed(job.attempts, &job.charge).fraction();
        Ok(percent(jobs.iter().map(share).sum()))
    }

    /// The ledger with the study in it; `None` when it does not fit.
    fn reserved(&self, noise: &StudyNoise, attempts: u32) -> anyhow::Result<Option<Ledger>> {
        let jobs = self.jobs(noise, attempts)?;
        if let Some(left) = self.left_percent
            && self.needed_by(&jobs)?.0 > f64::from(left)
        {
            return Ok(None);
        }
        let mut trial = self.ledger.clone();
        for job in jobs {
            let reserved = match trial.reserve(&self.data, job.name, job.attempts, &job.charge) {
                Ok(reserved) => reserved,
                Err(BudgetRefusal::Exceeded { .. } | BudgetRefusal::DeltaExceeded { .. }) => {
                    return Ok(None);
                }
                Err(other) => return Err(other.into()),
            };
            trial.record(&reserved, 0)?;
        }
        Ok(Some(trial))
    }

    /// So many attempts at training, and those at the evaluation.
    fn jobs(&self, noise: &StudyNoise, attempts: u32) -> anyhow::Result<Vec<PlannedJob>> {
        let evaluation = noise
            .evaluation
            .map(|vectors| (PLANNED_EVALUATION, vectors.plan.attempts, vectors));
        std::iter::once((PLANNED, attempts, noise.training()))
            .chain(evaluation)
            .map(|(name, attempts, vectors)| {
                let charge = Charge::of_plan(&vectors.plan, self.view, vectors.dimension)?;
                Ok(PlannedJob {
                    name,
                    attempts,
                    charge,
                })
            })
            .collect()
    }

    fn fits(&self, noise: &StudyNoise, attempts: u32) -> bool {
        self.reserved(noise, attempts)
            .is_ok_and(|ledger| ledger.is_some())
    }
}

impl BudgetAfter {
    /// The largest epsilon, to two digits, with which the same study fits.
    pub(super) fn epsilon_that_fits(&self, noised: &NoisedStudy) -> Option<Epsilon> {
        largest_epsilon(noised, |noise| self.limit.fits(noise, noise.plan.attempts))
    }

    /// Whether another study would fit.
    pub(super) fn would_fit(&self, noise: &StudyNoise) -> bool {
        self.limit.fits(noise, noise.plan.attempts)
    }

    /// The most attempts with the same noise.
    pub(super) fn attempts_that_fit(&self, noise: &StudyNoise) -> u32 {
        let (mut fitting, mut too_many) = (0, noise.plan.attempts);
        while too_many - fitting > 1 {
            let middle = u32::midpoint(fitting, too_many);
            if self.limit.fits(noise, middle) {
                fitting = middle;
            } else {
                too_many = middle;
            }
        }
        fitting
    }
}

/// The largest epsilon, in hundredths, whose noise is enough.
fn largest_epsilon(noised: &NoisedStudy, enough: impl Fn(&StudyNoise) -> bool) -> Option<Epsilon> {
    let (mut found, mut low, mut high) = (None, 0_u32, 100_000_u32);
    while high - low > 1 {
        let middle = u32::midpoint(low, high);
        let noised = Epsilon::new(f64::from(middle) / 100.0)
            .ok()
            .and_then(|epsilon| Some((epsilon, noised.with_epsilon(epsilon).ok()?.noise().ok()?)));
        match noised {
            Some((epsilon, noise)) if enough(&noise) => {
                found = Some(epsilon);
                low = middle;
            }
            // No noise gives so small an epsilon, so a larger one is looked for only above what is enough.
            None if found.is_none() && middle < SMALLEST_CERTAIN => low = middle,
            Some(_) | None => high = middle,
        }
    }
    found
}

/// One of the jobs that a study would have in a ledger.
struct PlannedJob {
    name: &'static str,
    attempts: u32,
    charge: Charge,
}

fn percent(fraction: f64) -> Percent {
    Percent(100.0 * fraction)
}

/// The name of what is not there yet; longer than the digests by which a ledger names studies, so that none is hit.
const PLANNED: &str =
    "the study that is planned, which no ledger holds yet, and its budget if none is given";
const PLANNED_EVALUATION: &str =
    "the evaluation of the study that is planned, which no ledger holds yet, beside its training";
/// In hundredths: noise exists for every epsilon from here on.
const SMALLEST_CERTAIN: u32 = 10;
