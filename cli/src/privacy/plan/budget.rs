// SPDX-License-Identifier: Apache-2.0
//! What a study takes from a data set's budget, priced as the hospital's ledger prices it.

use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use anyhow::Context;
use consilium_policies::Policy;
use consilium_privacy::budget::{Budget, Charge, Ledger};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::View;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The budgets that a plan is held against.
pub(super) struct Room {
    budgets: Vec<Limit>,
    decides: bool,
}

#[derive(Clone, Copy)]
struct Limit {
    epsilon: Epsilon,
    delta: Delta,
    left_percent: u8,
}

/// One budget before and after the study.
#[derive(Debug, Serialize)]
pub(super) struct BudgetAfter {
    pub(super) epsilon: Epsilon,
    pub(super) delta: Delta,
    /// `a*`: the one Renyi order that decides.
    pub(super) order: u32,
    pub(super) needed: Percent,
    pub(super) left_before: Percent,
    /// `None` when it does not fit.
    pub(super) left_after: Option<Percent>,
    pub(super) fits: bool,
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

impl Room {
    /// The policy's budget for the study's data set, or usual ones.
    pub(super) fn of(
        policy: Option<&Path>,
        left_percent: Option<u8>,
        noised: &NoisedStudy,
    ) -> anyhow::Result<Self> {
        let Some(file) = policy else {
            let mut usual = Self::usual();
            if let Some(left) = left_percent {
                for limit in &mut usual.budgets {
                    limit.left_percent = left;
                }
            }
            return Ok(usual);
        };
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
        Ok(Self::single(
            limit.epsilon,
            limit.delta,
            left_percent.unwrap_or(100),
        ))
    }

    /// Whole budgets of sizes that hospitals set.
    pub(super) fn usual() -> Self {
        let budgets = ["1", "3", "4", "8", "10"]
            .into_iter()
            .filter_map(|epsilon| {
                Some(Limit {
                    epsilon: Epsilon::parse(epsilon).ok()?,
                    delta: Delta::parse("2e-5").ok()?,
                    left_percent: 100,
                })
            })
            .collect();
        Self {
            budgets,
            decides: false,
        }
    }

    pub(super) fn single(epsilon: Epsilon, delta: Delta, left_percent: u8) -> Self {
        Self {
            budgets: vec![Limit {
                epsilon,
                delta,
                left_percent,
            }],
            decides: true,
        }
    }

    /// Whether a study that does not fit is refused.
    pub(super) fn decides(&self) -> bool {
        self.decides
    }

    pub(super) fn after(&self, noise: &StudyNoise) -> anyhow::Result<Vec<BudgetAfter>> {
        self.budgets
            .iter()
            .map(|limit| {
                let budget = Budget::create(limit.epsilon, limit.delta)?;
                let needed = 100.0 * share(limit.epsilon, limit.delta, noise, noise.plan.attempts)?;
                let before = f64::from(limit.left_percent);
                let fits = needed <= before;
                Ok(BudgetAfter {
                    epsilon: limit.epsilon,
                    delta: limit.delta,
                    order: budget.order,
                    needed: Percent(needed),
                    left_before: Percent(before),
                    left_after: fits.then_some(Percent(before - needed)),
                    fits,
                })
            })
            .collect()
    }
}

impl BudgetAfter {
    /// The largest epsilon, to two digits, with which the same study fits.
    pub(super) fn epsilon_that_fits(&self, noised: &NoisedStudy) -> Option<Epsilon> {
        let fits = |hundredths: u32| -> Option<Epsilon> {
            let epsilon = Epsilon::new(f64::from(hundredths) / 100.0).ok()?;
            let noise = noised.with_epsilon(epsilon).ok()?.noise().ok()?;
            let needed = share(self.epsilon, self.delta, &noise, noise.plan.attempts).ok()?;
            (100.0 * needed <= self.left_before.0).then_some(epsilon)
        };
        let mut found = None;
        let (mut low, mut high) = (0, 100_000);
        while high - low > 1 {
            let middle = u32::midpoint(low, high);
            match fits(middle) {
                Some(epsilon) => {
                    found = Some(epsilon);
                    low = middle;
                }
                None => high = middle,
            }
        }
        found
    }

    /// The most attempts with the same noise.
    pub(super) fn attempts_that_fit(&self, noise: &StudyNoise) -> anyhow::Result<u32> {
        let (mut fitting, mut too_many) = (0, noise.plan.attempts);
        while too_many - fitting > 1 {
            let middle = u32::midpoint(fitting, too_many);
            if 100.0 * share(self.epsilon, self.delta, noise, middle)? <= self.left_before.0 {
                fitting = middle;
            } else {
                too_many = middle;
            }
        }
        Ok(fitting)
    }
}

fn share(epsilon: Epsilon, delta: Delta, noise: &StudyNoise, attempts: u32) -> anyhow::Result<f64> {
    let charge = Charge::of_plan(&noise.plan, View::Colluders, noise.dimension)?;
    let mut ledger = Ledger::new();
    let created = ledger.create("planned", Budget::create(epsilon, delta)?)?;
    ledger.record(&created, 0)?;
    let account = ledger.account("planned")?;
    Ok(account.share_needed(attempts, &charge).fraction())
}
