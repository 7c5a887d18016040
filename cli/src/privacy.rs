// SPDX-License-Identifier: Apache-2.0
//! `consilium privacy`: what a study costs its patients, before anybody runs it.

use crate::output::OutputArguments;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use consilium_learning::study::{Privacy, Study};
use consilium_privacy::accountant::{
    Adjacency, Certificate, NoiseEvent, PrivacyStatement, Promise, RdpCurve, gaussian,
};
use consilium_privacy::calibration::calibrate;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_protocol::Thresholds;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum PrivacyCommand {
    /// The epsilon that noise certifies, of a mechanism or of a study file
    #[command(
        after_help = "Examples:\n  consilium privacy epsilon --noise-multiplier 10.6 --rounds 50 --delta 1e-5\n  consilium privacy epsilon --noise-multiplier 1 --rounds 1000 --delta 1e-5 --sampling-rate 0.01\n  consilium privacy epsilon --study examples/studies/private-logistic.toml --silos 4"
    )]
    Epsilon(EpsilonArguments),
    /// The least noise that keeps an epsilon
    #[command(
        after_help = "Example:\n  consilium privacy calibrate --epsilon 3 --delta 1e-5 --rounds 22"
    )]
    Calibrate(CalibrateArguments),
}

#[derive(Args)]
pub(crate) struct EpsilonArguments {
    /// Standard deviation of the noise that is seen, divided by the clipping norm
    #[arg(
        long,
        value_name = "Z",
        required_unless_present = "study",
        conflicts_with = "study"
    )]
    noise_multiplier: Option<NoiseMultiplier>,
    /// Rounds, spare attempts included
    #[arg(
        long,
        value_name = "T",
        value_parser = clap::value_parser!(u32).range(1..),
        required_unless_present = "study",
        conflicts_with = "study"
    )]
    rounds: Option<u32>,
    /// The probability with which the epsilon may not hold
    #[arg(
        long,
        value_name = "D",
        required_unless_present = "study",
        conflicts_with = "study"
    )]
    delta: Option<Delta>,
    /// The probability with which each patient takes part in a round [default: 1]
    #[arg(long, value_name = "Q", conflicts_with = "study")]
    sampling_rate: Option<SamplingRate>,
    /// A study file: the three epsilons of its noise
    #[arg(long, value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    /// How many silos are invited, where the study does not name them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=255), requires = "study")]
    silos: Option<u32>,
    /// How many of them may collude with the coordinator [default: a third, rounded down]
    #[arg(long, value_name = "N", requires = "study")]
    colluders: Option<u32>,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Args)]
pub(crate) struct CalibrateArguments {
    /// The epsilon to keep
    #[arg(long, value_name = "E")]
    epsilon: Epsilon,
    /// The probability with which it may not hold
    #[arg(long, value_name = "D")]
    delta: Delta,
    /// Rounds, spare attempts included
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The probability with which each patient takes part in a round
    #[arg(long, value_name = "Q", default_value = "1")]
    sampling_rate: SamplingRate,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(command: PrivacyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PrivacyCommand::Epsilon(arguments) => epsilon(&arguments)?,
        PrivacyCommand::Calibrate(arguments) => {
            let CalibrateArguments {
                epsilon,
                delta,
                rounds,
                sampling_rate,
                output,
            } = arguments;
            let noise_multiplier = calibrate(epsilon, delta, sampling_rate, rounds)?;
            let loss = MechanismLoss::of(noise_multiplier, sampling_rate, rounds, delta)?;
            output.print(&loss, mechanism_words)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn epsilon(arguments: &EpsilonArguments) -> anyhow::Result<()> {
    if let Some(file) = &arguments.study {
        let loss = study_loss(file, arguments.silos, arguments.colluders)?;
        return arguments.output.print(&loss, study_words);
    }
    let (Some(multiplier), Some(rounds), Some(delta)) = (
        arguments.noise_multiplier,
        arguments.rounds,
        arguments.delta,
    ) else {
        bail!("give `--noise-multiplier`, `--rounds` and `--delta`, or `--study`");
    };
    let rate = arguments.sampling_rate.unwrap_or(SamplingRate::EVERYBODY);
    let loss = MechanismLoss::of(multiplier, rate, rounds, delta)?;
    arguments.output.print(&loss, mechanism_words)
}

/// What may be promised.
#[derive(Debug, Serialize)]
struct Certified {
    epsilon: Epsilon,
    method: &'static str,
    order: u32,
}

/// What is probably true, and no promise.
#[derive(Debug, Serialize)]
struct Estimate {
    epsilon: Epsilon,
    method: &'static str,
}

/// The loss of a mechanism that was described by numbers.
#[derive(Debug, Serialize)]
struct MechanismLoss {
    certified: Certified,
    /// Absent below a sampling rate of 1.
    estimate: Option<Estimate>,
    noise_multiplier: NoiseMultiplier,
    rounds: u32,
    sampling_rate: SamplingRate,
    delta: Delta,
}

impl MechanismLoss {
    fn of(
        multiplier: NoiseMultiplier,
        rate: SamplingRate,
        rounds: u32,
        delta: Delta,
    ) -> anyhow::Result<Self> {
        let certificate =
            NoiseEvent::new(multiplier.value(), ClippingNorm::ONE, Adjacency::AddRemove)
                .map_err(anyhow::Error::from)
                .and_then(|event| Ok(RdpCurve::poisson(&event, rate, rounds)?.epsilon(delta)))?;
        let estimate = (rate == SamplingRate::EVERYBODY).then(|| Estimate {
            epsilon: gaussian::estimate(multiplier, rounds, delta),
            method: ESTIMATE,
        });
        Ok(Self {
            certified: Certified::from(certificate),
            estimate,
            noise_multiplier: multiplier,
            rounds,
            sampling_rate: rate,
            delta,
        })
    }
}

impl From<Certificate> for Certified {
    fn from(certificate: Certificate) -> Self {
        let Certificate { epsilon, order, .. } = certificate;
        Self {
            epsilon,
            method: CERTIFIED,
            order,
        }
    }
}

/// The three losses of a study.
#[derive(Debug, Serialize)]
struct StudyLoss {
    study: String,
    silos: u32,
    /// `n_d`
    dropouts_tolerated: u32,
    /// `n_c`
    colluders_tolerated: u32,
    delta: Delta,
    attempts: u32,
    clip: ClippingNorm,
    asked: Epsilon,
    masks_hold: ViewLoss,
    /// The one that is charged.
    colluders: ViewLoss,
    masks_broken: ViewLoss,
}

/// The loss in the eyes of one kind of attacker.
#[derive(Debug, Serialize)]
struct ViewLoss {
    certified: Certified,
    estimate: Estimate,
    noise_multiplier: NoiseMultiplier,
}

impl From<Promise> for ViewLoss {
    fn from(promise: Promise) -> Self {
        let Promise {
            epsilon,
            order,
            tight_estimate,
            multiplier,
        } = promise;
        Self {
            certified: Certified {
                epsilon,
                method: CERTIFIED,
                order,
            },
            estimate: Estimate {
                epsilon: tight_estimate,
                method: ESTIMATE,
            },
            noise_multiplier: multiplier,
        }
    }
}

fn study_loss(
    file: &Path,
    silos: Option<u32>,
    colluders: Option<u32>,
) -> anyhow::Result<StudyLoss> {
    let bytes = fs::read(file)
        .with_context(|| format!("the study file `{}` cannot be read", file.display()))?;
    let study = Study::parse(&bytes).with_context(|| format!("in `{}`", file.display()))?;
    let named = u32::try_from(study.heading.invite.len())
        .ok()
        .filter(|named| *named > 0);
    let Some(silos) = silos.or(named) else {
        bail!("how much noise each silo adds depends on their number: give `--silos N`");
    };
    loss_of(&study, silos, colluders.unwrap_or(silos / 3))
        .with_context(|| format!("in `{}`", file.display()))
}

fn loss_of(study: &Study, silos: u32, colluders: u32) -> anyhow::Result<StudyLoss> {
    let Privacy::Distributed(noise) = &study.privacy else {
        bail!(
            "`privacy.mode` is `none`: without noise there is no epsilon, only the sum hides a patient"
        );
    };
    let thresholds = Thresholds::new(silos, colluders, None)?;
    let plan = study.vector_plan(silos, thresholds.dropouts, colluders)?;
    let Some(noise_plan) = &plan.noise else {
        bail!("the study's vector carries no noise");
    };
    let promised = PrivacyStatement::of_plan(noise_plan, plan.dimension, noise.delta)?;
    Ok(StudyLoss {
        study: study.heading.name.clone(),
        silos,
        dropouts_tolerated: thresholds.dropouts,
        colluders_tolerated: colluders,
        delta: promised.delta,
        attempts: promised.attempts,
        clip: noise.clip,
        asked: noise.epsilon,
        masks_hold: promised.masks_hold.into(),
        colluders: promised.colluders.into(),
        masks_broken: promised.masks_broken.into(),
    })
}

fn mechanism_words(loss: &MechanismLoss) -> String {
    let MechanismLoss {
        certified,
        noise_multiplier,
        rounds,
        sampling_rate,
        delta,
        ..
    } = loss;
    let estimate = loss.estimate.as_ref().map_or_else(
        || "none for patients taking part at random".to_owned(),
        |estimate| {
            format!(
                "epsilon {}, of continuous Gaussian noise, exactly",
                rounded_up(estimate.epsilon)
            )
        },
    );
    let taking_part = if *sampling_rate == SamplingRate::EVERYBODY {
        "every patient in each".to_owned()
    } else {
        format!("each patient in each with probability {sampling_rate}")
    };
    format!(
        "noise      {noise_multiplier} times the clipping norm, {rounds} rounds, {taking_part}\n\
         certified  epsilon {} at delta {delta}, by Renyi divergence of order {}\n\
         estimate   {estimate}\n\
         meaning    {}",
        rounded_up(certified.epsilon),
        certified.order,
        meaning(certified.epsilon, *delta)
    )
}

fn study_words(loss: &StudyLoss) -> String {
    let view = |name: &str, view: &ViewLoss| {
        format!(
            "\n{name:<34}{:<12}{:<12}{:.3}",
            rounded_up(view.certified.epsilon),
            rounded_up(view.estimate.epsilon),
            view.noise_multiplier.value()
        )
    };
    let StudyLoss {
        study,
        silos,
        delta,
        attempts,
        asked,
        ..
    } = loss;
    let colluding = colluding(loss.colluders_tolerated);
    format!(
        "study    `{study}` asks for epsilon {asked} at delta {delta}\n\
         silos    {silos} invited, {} may drop out, {} may collude with the coordinator\n\
         charged  {attempts} attempts, spare ones included; one patient of one hospital\n\
         \n{:<34}{:<12}{:<12}{}{}{}{}\n\
         \nmeaning  {}",
        loss.dropouts_tolerated,
        loss.colluders_tolerated,
        "WHILE",
        "EPSILON",
        "ESTIMATE",
        "NOISE/CLIP",
        view("the masks hold", &loss.masks_hold),
        view(&colluding, &loss.colluders),
        view("the masks are broken", &loss.masks_broken),
        meaning(loss.colluders.certified.epsilon, *delta)
    )
}

fn colluding(silos: u32) -> String {
    match silos {
        0 => "nobody colludes (charged)".to_owned(),
        1 => "1 silo colludes (charged)".to_owned(),
        more => format!("{more} silos collude (charged)"),
    }
}

/// What an epsilon means to a patient.
fn meaning(epsilon: Epsilon, delta: Delta) -> String {
    let odds = epsilon.value().exp();
    if odds < 1e6 {
        format!(
            "the odds that a patient took part change at most {odds:.1}-fold, except with probability {delta}"
        )
    } else {
        "no protection worth the name".to_owned()
    }
}

/// Four digits after the point, never less than the value.
fn rounded_up(epsilon: Epsilon) -> String {
    format!("{:.4}", (epsilon.value() * 1e4).ceil() / 1e4)
}

const CERTIFIED: &str = "rdp-integer-orders";
const ESTIMATE: &str = "gaussian-exact";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn loss(multiplier: f64, rate: f64, rounds: u32) -> MechanismLoss {
        MechanismLoss::of(
            NoiseMultiplier::new(multiplier).unwrap(),
            SamplingRate::new(rate).unwrap(),
            rounds,
            Delta::new(1e-5).unwrap(),
        )
        .unwrap()
    }

    fn private_study() -> Study {
        let file = include_bytes!("../../examples/studies/private-logistic.toml");
        Study::parse(file).unwrap()
    }

    #[test]
    fn a_mechanism_has_a_certificate_and_a_smaller_estimate() {
        let loss = loss(10.558_565_085_736_833, 1.0, 50);
        let estimate = loss.estimate.as_ref().unwrap();
        assert!((3.0..3.1).contains(&loss.certified.epsilon.value()));
        assert!(estimate.epsilon < loss.certified.epsilon);
        let json = serde_json::to_value(&loss).unwrap();
        assert_eq!(json["certified"]["method"], CERTIFIED);
        assert!(json["certified"]["epsilon"].is_string() && json["certified"]["order"].is_u64());
        assert!(json["estimate"]["epsilon"].is_string());
        assert!(mechanism_words(&loss).contains("every patient in each"));
    }

    #[test]
    fn sampled_patients_have_a_certificate_and_no_estimate() {
        let sampled = loss(1.0, 0.01, 1_000);
        assert!(sampled.estimate.is_none());
        assert!(sampled.certified.epsilon < loss(1.0, 1.0, 1_000).certified.epsilon);
        assert!(mechanism_words(&sampled).contains("with probability 0.01"));
    }

    #[test]
    fn the_charged_epsilon_of_a_study_is_the_one_it_asks_for() {
        let loss = loss_of(&private_study(), 4, 1).unwrap();
        assert!(loss.colluders.certified.epsilon <= loss.asked);
        assert!(loss.masks_hold.certified.epsilon < loss.colluders.certified.epsilon);
        assert!(loss.colluders.certified.epsilon < loss.masks_broken.certified.epsilon);
        let words = study_words(&loss);
        assert!(
            words.contains("1 silo colludes (charged)") && words.contains("1 may drop out"),
            "{words}"
        );
    }

    #[test]
    fn a_study_without_noise_has_no_epsilon() {
        let file = include_bytes!("../../examples/studies/logistic.toml");
        let fault = loss_of(&Study::parse(file).unwrap(), 4, 1).unwrap_err();
        assert!(fault.to_string().contains("without noise"), "{fault}");
    }

    #[test]
    fn an_epsilon_is_never_shown_smaller_than_it_is() {
        assert_eq!(rounded_up(Epsilon::new(2.999_96).unwrap()), "3.0000");
        assert_eq!(rounded_up(Epsilon::new(2.000_01).unwrap()), "2.0001");
    }

    #[test]
    fn a_huge_epsilon_is_called_what_it_is() {
        let delta = Delta::new(1e-5).unwrap();
        assert!(meaning(Epsilon::new(700.0).unwrap(), delta).contains("no protection"));
        assert!(meaning(Epsilon::new(1.0).unwrap(), delta).contains("2.7-fold"));
    }
}
