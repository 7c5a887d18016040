// SPDX-License-Identifier: Apache-2.0
//! `privacy plan`: what a study would cost and find, before anybody is asked.

mod alternatives;
mod budget;
mod drowned;
mod words;

use super::amounts::rounds_words;
use super::prediction::{Prediction, Width, predict, predict_widths};
use super::study_loss::{NoisedStudy, StudyLoss, StudyNoise};
use crate::output::OutputArguments;
use alternatives::{
    DeltaRefused, budget_alternatives, delta_refusal, has_small_delta, silo_noise, silos_as_clear,
};
use anyhow::{Context, bail};
use budget::{BudgetAfter, Percent, Room};
use clap::Args;
use consilium_privacy::loss::{Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::{Unit, View};
use drowned::drowned;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use words::words;

#[derive(Args)]
pub(crate) struct PlanArguments {
    /// The study file
    #[arg(value_name = "STUDY.toml")]
    study: PathBuf,
    /// How many silos are invited, where the study does not name them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000))]
    silos: Option<u32>,
    /// How many of them may collude with the coordinator [default: a third, rounded down]
    #[arg(long, value_name = "N")]
    colluders: Option<u32>,
    /// A hospital's policy, whose budget for the data set decides; without it, budgets that are usual are shown
    #[arg(long, value_name = "POLICY.toml")]
    policy: Option<PathBuf>,
    /// What is left of that budget [default: 100]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    budget_left: Option<u8>,
    /// A hospital's ledger, as `consilium-silo-agent ledger export` wrote it: its budget, spent as it is, decides
    #[arg(long, value_name = "LEDGER.jsonl", conflicts_with_all = ["policy", "budget_left"])]
    ledger: Option<PathBuf>,
    /// The most of the whole budget that the study may take, in the place of its `privacy.budget_share`: more noise is
    /// planned until it does not take more
    #[arg(long, value_name = "PERCENT", value_parser = share_percent)]
    budget_share: Option<f64>,
    #[command(flatten)]
    output: OutputArguments,
}

/// Everything that is known beforehand.
#[derive(Debug, Serialize)]
struct Planned {
    #[serde(flatten)]
    loss: StudyLoss,
    noise: NoiseFacts,
    /// More noise than the study asks for, to keep to a share of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    raised: Option<Raised>,
    prediction: Option<Prediction>,
    /// Of statistics: how wide the intervals will be, on synthetic patients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    widths: Vec<Width>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_predicted: Option<String>,
    budgets: Vec<BudgetAfter>,
    refusals: Vec<PlanRefusal>,
    warnings: Vec<PlanRefusal>,
}

/// The noise in numbers that can be compared with patients' vectors.
#[derive(Debug, Serialize)]
struct NoiseFacts {
    coordinates: u64,
    /// Of each silo's share, per coordinate, in units of the clip.
    share_standard_deviation: f64,
    /// In the sum of all silos, per coordinate, in units of the clip.
    sum_standard_deviation: f64,
    /// In the mean over the expected patients, per coordinate, in units of a patient's vector; over the silos, in units
    /// of a silo's, where that is the unit.
    mean_standard_deviation: f64,
    /// The longest mean of silos over the length of its noise, where the silo is the unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal_to_noise_at_most: Option<f64>,
}

/// A study with more noise than it asks for.
#[derive(Debug, Serialize)]
struct Raised {
    /// The most of the whole budget that it may take.
    budget_share: Percent,
    epsilon_before: Epsilon,
    /// What to write into the study file.
    epsilon: Epsilon,
    noise_multiplier_before: NoiseMultiplier,
    noise_multiplier: NoiseMultiplier,
}

/// Why hospitals would say no, or the result would say little, and what could be asked instead.
#[derive(Debug, Serialize)]
struct PlanRefusal {
    reason: String,
    alternatives: Vec<String>,
}

pub(super) fn run(arguments: &PlanArguments) -> anyhow::Result<ExitCode> {
    let file = arguments.study.display();
    let noised = NoisedStudy::read(&arguments.study, arguments.silos, arguments.colluders)?;
    let room = match (&arguments.ledger, &arguments.policy) {
        (Some(ledger), _) => Room::of_ledger(ledger, &noised)?,
        (None, Some(policy)) => Room::of_policy(policy, arguments.budget_left, &noised)?,
        (None, None) => Room::usual(arguments.budget_left)?,
    };
    let named = noised
        .study
        .privacy
        .promise()
        .and_then(|terms| terms.budget_share);
    // A share that the study names is one of each hospital's budget: without one there is nothing to hold it against.
    let named = named.filter(|_| room.decides()).map(|share| 100.0 * share);
    let planned = match arguments.budget_share.or(named) {
        Some(share) => plan_within(&noised, &room, share),
        None => plan(&noised, &room),
    }
    .with_context(|| format!("in `{file}`"))?;
    arguments.output.print(&planned, words)?;
    Ok(if planned.refusals.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The study with as much more noise as keeps it to a share of the budget, none more if it keeps to it already.
fn plan_within(noised: &NoisedStudy, room: &Room, share: f64) -> anyhow::Result<Planned> {
    let before = noised.noise()?;
    let Some(epsilon) = room.epsilon_within(noised, share)? else {
        bail!(
            "no noise keeps the study to {share} % of the budget: allow a larger share or plan fewer than {}",
            rounds_words(noised.study.rounds.most)
        );
    };
    if epsilon == before.terms.epsilon {
        return plan(noised, room);
    }
    let raised = noised.with_epsilon(epsilon)?;
    Ok(Planned {
        raised: Some(Raised {
            budget_share: Percent::new(share),
            epsilon_before: before.terms.epsilon,
            epsilon,
            noise_multiplier_before: before.plan.multiplier(View::Colluders)?,
            noise_multiplier: raised.noise()?.plan.multiplier(View::Colluders)?,
        }),
        ..plan(&raised, room)?
    })
}

fn share_percent(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share: &f64| *share > 0.0 && *share <= 100.0)
        .ok_or_else(|| format!("`{text}` is no percentage above 0 and up to 100"))
}

fn plan(noised: &NoisedStudy, room: &Room) -> anyhow::Result<Planned> {
    let loss = noised.loss()?;
    let noise = noised.noise()?;
    let (prediction, widths, not_predicted) = if noised.study.analysis.regression().is_some() {
        match predict(noised) {
            Ok(prediction) => (Some(prediction), Vec::new(), None),
            Err(fault) => (None, Vec::new(), Some(fault.to_string())),
        }
    } else {
        match predict_widths(noised) {
            Ok(widths) => (None, widths, None),
            Err(fault) => (None, Vec::new(), Some(fault.to_string())),
        }
    };
    let budgets = room.after(&noise)?;
    let deciding = || budgets.iter().filter(|_| room.decides());
    let mut refusals = Vec::new();
    // What is offered for a budget must not be refused for its delta, so it is a change of the study with a smaller one.
    let mut mended = None;
    if let Some(refused) = delta_refusal(noised, &noise) {
        let DeltaRefused {
            refusal,
            mended: study,
        } = refused;
        refusals.push(refusal);
        mended = study;
    }
    for budget in deciding().filter(|budget| !budget.fits) {
        let alternatives = match &mended {
            None => budget_alternatives(noised, &noise, budget)?,
            Some(study) => with_smaller_delta(study, budget)?,
        };
        refusals.push(PlanRefusal {
            reason: format!(
                "the budget of `{}` (epsilon {} at delta {}): needs {}, {} left",
                noised.study.heading.data,
                budget.epsilon,
                budget.delta,
                budget.needed,
                budget.left_before
            ),
            alternatives,
        });
    }
    let hidden = prediction.as_ref().and_then(|prediction| {
        // What helps a study that would be accepted must leave it so.
        let accepted = |study: &NoisedStudy| {
            let fits = |noise: &StudyNoise| deciding().all(|budget| budget.would_fit(noise));
            !refusals.is_empty()
                || (has_small_delta(study) && study.noise().is_ok_and(|noise| fits(&noise)))
        };
        drowned(noised, &noise, prediction, &accepted)
    });
    let warnings = unreached(&loss)
        .into_iter()
        .chain(few_silos(noised, &noise)?)
        .chain(hidden)
        .collect();
    Ok(Planned {
        noise: NoiseFacts::of(noised, &noise)?,
        raised: None,
        loss,
        prediction,
        widths,
        not_predicted,
        budgets,
        refusals,
        warnings,
    })
}

/// What fits a budget together with the smaller delta that is offered besides.
fn with_smaller_delta(study: &NoisedStudy, budget: &BudgetAfter) -> anyhow::Result<Vec<String>> {
    let noise = study.noise()?;
    if budget.would_fit(&noise) {
        return Ok(vec!["that smaller `delta` alone".to_owned()]);
    }
    let alternatives = budget_alternatives(study, &noise, budget)?.into_iter();
    Ok(alternatives
        .map(|alternative| format!("with that smaller `delta`, {alternative}"))
        .collect())
}

impl NoiseFacts {
    fn of(noised: &NoisedStudy, noise: &StudyNoise) -> anyhow::Result<Self> {
        let share = noise.plan.multiplier(View::MasksBroken)?.value();
        let silos = f64::from(noise.plan.silos);
        let sum = share * silos.sqrt();
        let (contributors, signal_to_noise_at_most) = match noise.terms.unit {
            Unit::Patient => {
                let batch = noised.study.expected_batch();
                (batch.context("a study with noise")?, None)
            }
            Unit::Silo => (silos, Some(signal_to_noise(noise)?)),
        };
        Ok(Self {
            coordinates: noise.dimension,
            share_standard_deviation: share,
            sum_standard_deviation: sum,
            mean_standard_deviation: sum * noise.terms.clip.value() / contributors,
            signal_to_noise_at_most,
        })
    }
}

/// More noise than was asked for: beyond some epsilon the sampler's distance uses delta up, and no noise certifies more.
fn unreached(loss: &StudyLoss) -> Option<PlanRefusal> {
    let (asked, reached) = (loss.asked.value(), loss.charged.value());
    (reached < REACHED * asked).then(|| PlanRefusal {
        reason: format!(
            "`privacy.epsilon` {asked} is planned at {reached:.2}: with larger ones the distance of sampled noise from exact noise uses delta up"
        ),
        alternatives: vec![format!("`epsilon` {:.0}", reached.floor())],
    })
}

/// The longest mean that silos can have, one clip, over the expected length of the noise in it.
fn signal_to_noise(noise: &StudyNoise) -> anyhow::Result<f64> {
    Ok(1.0 / (silo_noise(noise)? * approximate(noise.dimension).sqrt()))
}

/// A warning, where the silo is the unit and no contribution could stand out of the noise.
fn few_silos(noised: &NoisedStudy, noise: &StudyNoise) -> anyhow::Result<Option<PlanRefusal>> {
    if noise.terms.unit == Unit::Patient || signal_to_noise(noise)? >= CLEAR {
        return Ok(None);
    }
    let clear = 1.0 / (CLEAR * approximate(noise.dimension).sqrt());
    let more = silos_as_clear(noised, clear).map(|silos| {
        format!(
            "{silos} silos: with them the longest sum would be {CLEAR} times as long as its noise"
        )
    });
    let patients = "`unit = \"patient\"`: the sum of all patients' vectors grows with them, its noise does not";
    Ok(Some(PlanRefusal {
        reason: format!(
            "poor utility: a whole silo is hidden among {}, and the noise of each round is {:.1} times as long as the longest sum of their contributions",
            noise.plan.silos,
            1.0 / signal_to_noise(noise)?
        ),
        alternatives: more.into_iter().chain([patients.to_owned()]).collect(),
    }))
}

/// Calibration comes nearer than this.
const REACHED: f64 = 0.999;

/// How many times longer than its noise a sum of silos should be able to be.
const CLEAR: f64 = 3.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "a study states at most 10^9 patients"
)]
fn approximate(patients: u64) -> f64 {
    patients as f64
}

#[cfg(test)]
mod tests;
