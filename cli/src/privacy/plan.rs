// SPDX-License-Identifier: Apache-2.0
//! `privacy plan`: what a study would cost and find, before anybody is asked.

mod budget;
mod drowned;

use super::prediction::{Measure, Prediction, Width, predict, predict_widths};
use super::study_loss::{NoisedStudy, StudyLoss, StudyNoise, study_words};
use crate::output::OutputArguments;
use anyhow::{Context, bail};
use budget::{BudgetAfter, Percent, Room};
use clap::Args;
use consilium_learning::study::{Analysis, Method};
use consilium_privacy::loss::{Delta, Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::View;
use drowned::drowned;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// The most of the whole budget that the study may take: more noise is planned until it does not take more
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
    /// In the mean over the expected patients, per coordinate, in units of a patient's vector.
    mean_standard_deviation: f64,
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
    let planned = match arguments.budget_share {
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
            "no noise keeps the study to {share} % of the budget: allow a larger share or plan fewer rounds than {}",
            noised.study.rounds.most
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
    let mut refusals: Vec<PlanRefusal> = delta_refusal(&noise).into_iter().collect();
    for budget in budgets
        .iter()
        .filter(|budget| room.decides() && !budget.fits)
    {
        refusals.push(PlanRefusal {
            reason: format!(
                "the budget of `{}` (epsilon {} at delta {}): needs {}, {} left",
                noised.study.heading.data,
                budget.epsilon,
                budget.delta,
                budget.needed,
                budget.left_before
            ),
            alternatives: budget_alternatives(noised, &noise, budget)?,
        });
    }
    let drowned = prediction
        .as_ref()
        .and_then(|prediction| drowned(noised, &noise, prediction));
    let warnings = unreached(&loss).into_iter().chain(drowned).collect();
    Ok(Planned {
        noise: NoiseFacts::of(&noise)?,
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

impl NoiseFacts {
    fn of(noise: &StudyNoise) -> anyhow::Result<Self> {
        let share = noise.plan.multiplier(View::MasksBroken)?.value();
        let sum = share * f64::from(noise.plan.silos).sqrt();
        Ok(Self {
            coordinates: noise.dimension,
            share_standard_deviation: share,
            sum_standard_deviation: sum,
            mean_standard_deviation: sum * noise.terms.clip.value() / noise.terms.expected_batch(),
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

/// The rule of thumb that hospitals hold studies to: delta at most a tenth of one patient.
fn delta_refusal(noise: &StudyNoise) -> Option<PlanRefusal> {
    let (delta, patients) = (noise.terms.delta.value(), noise.terms.expected_patients);
    let most = most_delta(patients);
    (delta > most).then(|| PlanRefusal {
        reason: format!(
            "`privacy.delta` {} is more than a tenth of one patient in {patients}, which policies refuse",
            noise.terms.delta
        ),
        alternatives: vec![
            format!("`delta` at most {most:.1e}"),
            format!("at least {:.0} patients", (0.1 / delta).ceil()),
        ],
    })
}

/// Calibration comes nearer than this.
const REACHED: f64 = 0.999;

/// A tenth of one patient.
fn most_delta(patients: u64) -> f64 {
    0.1 / approximate(patients)
}

/// A smaller epsilon for all rounds, or the same noise for fewer.
fn budget_alternatives(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    budget: &BudgetAfter,
) -> anyhow::Result<Vec<String>> {
    let mut alternatives = Vec::new();
    let rounds = noised.study.rounds.most;
    if let Some(smaller) = budget.epsilon_that_fits(noised) {
        let changed = noised.with_epsilon(smaller)?.noise()?;
        let factor = changed.plan.multiplier(View::Colluders)?.value()
            / noise.plan.multiplier(View::Colluders)?.value();
        alternatives.push(format!("`epsilon` {smaller} for all {rounds} rounds"));
        alternatives.push(format!(
            "{:.0} patients, and that epsilon tells as much as this study does with {}",
            (approximate(noise.terms.expected_patients) * factor).ceil(),
            noise.terms.expected_patients
        ));
    }
    let attempts = budget.attempts_that_fit(noise);
    let fewer = attempts.saturating_sub(noised.study.rounds.spare_attempts);
    if fewer > 0 {
        // Rounded down, so that what is written takes no less noise.
        let epsilon = (100.0 * noise.certified(attempts)?.value()).floor() / 100.0;
        alternatives.push(format!(
            "{fewer} rounds with the same noise: write `most = {fewer}` and `epsilon` {epsilon:.2}"
        ));
    }
    if alternatives.is_empty() {
        alternatives.push("none while so little of the budget is left".to_owned());
    }
    Ok(alternatives)
}

impl NoisedStudy {
    pub(super) fn with_epsilon(&self, epsilon: Epsilon) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.epsilon = epsilon;
        }
        Ok(Self { study, ..*self })
    }

    fn with_delta(&self, delta: f64) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.delta = Delta::new(delta)?;
        }
        Ok(Self { study, ..*self })
    }

    fn with_rounds(&self, rounds: u32) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        study.rounds.most = rounds;
        // A mean of more models than there are rounds is no study.
        if let Analysis::LogisticRegression(plan)
        | Analysis::LinearRegression(plan)
        | Analysis::SoftmaxRegression(plan)
        | Analysis::NeuralNetwork(plan) = &mut study.analysis
            && let Method::FedSgd { average_last, .. } | Method::FedAvg { average_last, .. } =
                &mut plan.method
        {
            *average_last = rounds.min(*average_last);
        }
        Ok(Self { study, ..*self })
    }

    fn with_patients(&self, patients: u64) -> anyhow::Result<Self> {
        let mut study = self.study.clone();
        if let Some(terms) = study.privacy.promise_mut() {
            terms.expected_patients = patients;
        }
        Ok(Self { study, ..*self })
    }
}

fn words(planned: &Planned) -> String {
    let NoiseFacts {
        coordinates,
        share_standard_deviation,
        sum_standard_deviation,
        mean_standard_deviation,
    } = planned.noise;
    let mut text = format!(
        "{}\n\nnoise    in {coordinates} coordinates: {share_standard_deviation:.2} clips by each silo, {sum_standard_deviation:.2} in the sum, {mean_standard_deviation:.4} in the mean vector",
        study_words(&planned.loss)
    );
    if let Some(Raised {
        budget_share,
        epsilon_before,
        epsilon,
        noise_multiplier_before,
        noise_multiplier,
    }) = &planned.raised
    {
        text.push_str(&format!(
            "\nraised   from {:.2} to {:.2} clips, to keep to {budget_share} of the budget: write `epsilon = \"{epsilon}\"` in the place of {epsilon_before}",
            noise_multiplier_before.value(),
            noise_multiplier.value()
        ));
    }
    match (&planned.prediction, &planned.not_predicted) {
        (Some(prediction), _) => text.push_str(&prediction_words(prediction)),
        (None, Some(why)) => text.push_str(&format!("\naccuracy not predicted: {why}")),
        (None, None) => {}
    }
    for Width {
        statistic,
        plus_or_minus,
    } in &planned.widths
    {
        text.push_str(&format!(
            "\nexpected {statistic}: plus or minus {plus_or_minus:.3} with 95 % confidence"
        ));
    }
    if !planned.widths.is_empty() {
        text.push_str(
            "\n         (synthetic patients from the study's public columns; real ones may differ)",
        );
    }
    text.push_str(&format!(
        "\n\n{:<34}{:<10}{:<12}{}",
        "BUDGET", "NEEDS", "LEFT", "LEFT AFTER IT"
    ));
    for budget in &planned.budgets {
        let name = format!(
            "epsilon {} at delta {}{}",
            budget.epsilon,
            budget.delta,
            match (budget.from_ledger, budget.charged) {
                (true, View::MasksBroken) => ", ledger, as if masks were broken",
                (false, View::MasksBroken) => ", as if masks were broken",
                (true, View::MasksHold | View::Colluders) => ", ledger",
                (false, View::MasksHold | View::Colluders) => "",
            }
        );
        let after = budget
            .left_after
            .as_ref()
            .map_or_else(|| "does not fit".to_owned(), ToString::to_string);
        text.push_str(&format!(
            "\n{name:<34}{:<10}{:<12}{after}",
            budget.needed, budget.left_before
        ));
    }
    for (kind, list) in [
        ("refused", &planned.refusals),
        ("warning", &planned.warnings),
    ] {
        for PlanRefusal {
            reason,
            alternatives,
        } in list
        {
            text.push_str(&format!("\n\n{kind}  {reason}"));
            for alternative in alternatives {
                text.push_str(&format!("\n  instead: {alternative}"));
            }
        }
    }
    text
}

fn prediction_words(prediction: &Prediction) -> String {
    let value = |part: f64| match prediction.measure {
        Measure::Correct => format!("{:.1} %", 100.0 * part),
        Measure::RSquared => format!("{part:.3}"),
    };
    format!(
        "\nsignal   {:.1} times the noise in the first round\n\
         {}: {} predicted, {} without noise, {} by guessing\n         ({} {}, {} times; real patients may differ)",
        prediction.signal_to_noise,
        prediction.measure.name(),
        value(prediction.accuracy),
        value(prediction.accuracy_without_noise),
        value(prediction.accuracy_of_guessing),
        prediction.patients,
        "synthetic patients from the study's public columns and a hidden law for the outcome",
        prediction.repetitions
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a study states at most 10^9 patients"
)]
fn approximate(patients: u64) -> f64 {
    patients as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use consilium_learning::study::Study;

    fn noised() -> NoisedStudy {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        NoisedStudy {
            study: Study::parse(file).unwrap(),
            silos: 4,
            colluders: 1,
        }
    }

    fn of_four(left_percent: u8) -> Room {
        let (epsilon, delta) = (Epsilon::new(4.0).unwrap(), Delta::new(2e-5).unwrap());
        Room::single(epsilon, delta, left_percent).unwrap()
    }

    #[test]
    fn noise_is_raised_until_the_study_keeps_to_its_share_and_not_further() {
        let planned = plan_within(&noised(), &of_four(100), 25.0).unwrap();
        let raised = planned.raised.as_ref().unwrap();
        assert!(raised.noise_multiplier > raised.noise_multiplier_before);
        assert!(raised.epsilon < raised.epsilon_before);
        let needed = |epsilon: Epsilon| {
            let study = noised().with_epsilon(epsilon).unwrap();
            plan(&study, &of_four(100)).unwrap().budgets[0].needed
        };
        assert!(planned.budgets[0].needed <= Percent::new(25.0));
        assert_eq!(planned.budgets[0].needed, needed(raised.epsilon));
        let larger = Epsilon::new(raised.epsilon.value() + 0.01).unwrap();
        assert!(needed(larger) > Percent::new(25.0));
        let said = words(&planned);
        let named = format!("write `epsilon = \"{}\"`", raised.epsilon);
        assert!(said.contains(&named) && said.contains("25.0 %"), "{said}");
        // What keeps to its share already is left alone, and a share of no budget means nothing.
        let enough = plan_within(&noised(), &of_four(100), 90.0).unwrap();
        assert!(enough.raised.is_none());
        assert!(plan_within(&noised(), &Room::usual(None).unwrap(), 25.0).is_err());
        assert!(plan_within(&noised(), &of_four(100), 1e-3).is_err());
    }

    #[test]
    fn a_plan_without_a_policy_shows_usual_budgets_and_refuses_nothing() {
        let planned = plan(&noised(), &Room::usual(None).unwrap()).unwrap();
        assert!(planned.refusals.is_empty());
        assert!(planned.budgets.len() > 2);
        assert!(planned.budgets.last().unwrap().left_after.is_some());
        assert!(planned.prediction.is_some());
        let said = words(&planned);
        assert!(
            said.contains("LEFT AFTER IT") && said.contains("predicted"),
            "{said}"
        );
    }

    #[test]
    fn a_budget_that_is_too_small_is_refused_with_alternatives_that_fit() {
        let room = of_four(30);
        let planned = plan(&noised(), &room).unwrap();
        let [PlanRefusal { alternatives, .. }] = &planned.refusals[..] else {
            panic!("{:?}", planned.refusals)
        };
        assert_eq!(alternatives.len(), 3, "{alternatives:?}");
        let smaller = planned.budgets[0].epsilon_that_fits(&noised()).unwrap();
        let fitting = noised().with_epsilon(smaller).unwrap();
        assert!(plan(&fitting, &room).unwrap().refusals.is_empty());
        assert!(smaller.value() > 0.5);
        // What the third alternative asks for.
        let noise = noised().noise().unwrap();
        let attempts = planned.budgets[0].attempts_that_fit(&noise);
        let epsilon = (100.0 * noise.certified(attempts).unwrap().value()).floor() / 100.0;
        let spare = noised().study.rounds.spare_attempts;
        let shorter = noised()
            .with_epsilon(Epsilon::new(epsilon).unwrap())
            .and_then(|study| study.with_rounds(attempts - spare))
            .unwrap();
        assert!(plan(&shorter, &room).unwrap().refusals.is_empty());
    }

    #[test]
    fn a_delta_of_more_than_a_tenth_of_a_patient_is_refused() {
        let generous = noised().with_delta(1e-3).unwrap();
        let planned = plan(&generous, &Room::usual(None).unwrap()).unwrap();
        let said = words(&planned);
        assert!(
            said.contains("`delta` at most 1.7e-4") && said.contains("at least 100 patients"),
            "{said}"
        );
    }

    #[test]
    fn an_epsilon_beyond_every_certificate_is_planned_lower_and_says_so() {
        let loose = noised().with_epsilon(Epsilon::new(100.0).unwrap()).unwrap();
        let planned = plan(&loose, &Room::usual(None).unwrap()).unwrap();
        let said = words(&planned);
        assert!(
            said.contains("warning  `privacy.epsilon` 100 is planned at 4"),
            "{said}"
        );
        assert!(
            plan(&noised(), &Room::usual(None).unwrap())
                .unwrap()
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn a_price_as_if_masks_were_broken_is_a_higher_one() {
        let (usual, strict) = (of_four(100), of_four(100).charging(View::MasksBroken));
        let needed = |room: &Room| plan(&noised(), room).unwrap().budgets[0].needed;
        assert!(needed(&strict) > needed(&usual));
        let said = words(&plan(&noised(), &strict).unwrap());
        assert!(said.contains("as if masks were broken"), "{said}");
    }

    #[test]
    fn a_study_that_learns_nothing_is_warned_about() {
        let hidden = noised().with_epsilon(Epsilon::new(0.02).unwrap()).unwrap();
        let planned = plan(&hidden, &Room::usual(None).unwrap()).unwrap();
        let [PlanRefusal { alternatives, .. }] = &planned.warnings[..] else {
            panic!("{:?}", planned.prediction)
        };
        for named in ["rounds", "`delta`", "patients"] {
            assert!(
                alternatives
                    .iter()
                    .any(|it| it.contains(named) && it.contains("% predicted")),
                "{alternatives:?}"
            );
        }
    }
}
