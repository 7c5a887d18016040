// SPDX-License-Identifier: Apache-2.0
//! `privacy epsilon` and `privacy calibrate`: noise that is described by numbers.

use super::amounts::{AdjacencyArgument, Loss, rounds_words};
use super::study_loss::{study_loss, study_words};
use crate::output::OutputArguments;
use anyhow::{anyhow, bail};
use clap::Args;
use consilium_privacy::accountant::{Adjacency, FixedSize, Job, NoiseEvent, Sampling};
use consilium_privacy::calibration::{CalibrationFault, Target};
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use serde::Serialize;
use std::path::PathBuf;

/// Who takes part in a round.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct SamplingArguments {
    /// The probability with which each patient takes part in a round [default: 1]
    #[arg(long, value_name = "Q", conflicts_with_all = ["batch", "population"])]
    sampling_rate: Option<SamplingRate>,
    /// Batches of so many patients, all subsets alike; for patients replaced
    #[arg(long, value_name = "N", requires = "population")]
    batch: Option<u64>,
    /// Out of so many
    #[arg(long, value_name = "N", requires = "batch")]
    population: Option<u64>,
}

impl SamplingArguments {
    fn read(self) -> anyhow::Result<Sampling> {
        Ok(match (self.batch, self.population, self.sampling_rate) {
            (Some(batch), Some(population), _) => {
                Sampling::FixedSize(FixedSize::new(batch, population)?)
            }
            (_, _, None | Some(SamplingRate::EVERYBODY)) => Sampling::Everybody,
            (_, _, Some(rate)) => Sampling::Poisson(rate),
        })
    }
}

#[derive(Args)]
pub(crate) struct EpsilonArguments {
    /// Standard deviation of the noise in the sum that is seen, divided by the clipping norm
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
    #[command(flatten)]
    sampling: SamplingArguments,
    /// Whom the promise compares; the factor 2 of replacing is added here [default: add-remove]
    #[arg(long, value_name = "A", conflicts_with = "study")]
    adjacency: Option<AdjacencyArgument>,
    /// A study file: the three epsilons of its noise
    #[arg(long, value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    /// How many silos are invited, where the study does not name them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1000), requires = "study")]
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
    #[command(flatten)]
    sampling: SamplingArguments,
    /// Whom the promise compares
    #[arg(long, value_name = "A", default_value = "add-remove")]
    adjacency: AdjacencyArgument,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn epsilon(arguments: &EpsilonArguments) -> anyhow::Result<()> {
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
    let releases = Releases {
        sampling: arguments.sampling.read()?,
        adjacency: arguments.adjacency.map_or(Adjacency::AddRemove, Into::into),
        rounds,
        delta,
    };
    let loss = MechanismLoss::of(multiplier, releases)?;
    arguments.output.print(&loss, MechanismLoss::words)
}

pub(super) fn calibrate(arguments: &CalibrateArguments) -> anyhow::Result<()> {
    let CalibrateArguments {
        epsilon,
        delta,
        rounds,
        sampling,
        adjacency,
        output,
    } = *arguments;
    let releases = Releases {
        sampling: sampling.read()?,
        adjacency: adjacency.into(),
        rounds,
        delta,
    };
    let noise_multiplier = releases.calibrate(epsilon)?;
    let loss = MechanismLoss::of(noise_multiplier, releases)?;
    output.print(&loss, MechanismLoss::words)
}

/// What is released, but for the noise.
#[derive(Clone, Copy, Debug)]
struct Releases {
    sampling: Sampling,
    adjacency: Adjacency,
    rounds: u32,
    delta: Delta,
}

impl Releases {
    fn calibrate(&self, epsilon: Epsilon) -> anyhow::Result<NoiseMultiplier> {
        let target = Target {
            epsilon,
            delta: self.delta,
            sampling: self.sampling,
            adjacency: self.adjacency,
            attempts: self.rounds,
        };
        target.calibrate().map_err(|fault| {
            let certified = Target {
                sampling: Sampling::Everybody,
                ..target
            };
            match (&fault, certified.calibrate()) {
                // A larger rate is an alternative only where a smaller one has no certificate at all.
                (CalibrationFault::NoCertificate(_), Ok(noise)) => anyhow!(
                    "{fault}; with every patient in every round a noise multiplier of {noise} keeps epsilon {epsilon}{}",
                    match self.adjacency {
                        Adjacency::AddRemove => "",
                        Adjacency::Replace => "; or give `--batch` and `--population` for batches of fixed size",
                    }
                ),
                _ => fault.into(),
            }
        })
    }
}

/// The loss of a mechanism that was described by numbers.
#[derive(Debug, Serialize)]
struct MechanismLoss {
    #[serde(flatten)]
    loss: Loss,
    noise_multiplier: NoiseMultiplier,
    rounds: u32,
    /// `None` where batches have a fixed size.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling_rate: Option<SamplingRate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    population: Option<u64>,
    adjacency: &'static str,
    delta: Delta,
}

impl MechanismLoss {
    fn of(multiplier: NoiseMultiplier, releases: Releases) -> anyhow::Result<Self> {
        let Releases {
            sampling,
            adjacency,
            rounds,
            delta,
        } = releases;
        let job = Job {
            event: NoiseEvent::new(multiplier.value(), ClippingNorm::ONE, adjacency)?,
            sampling,
            attempts: rounds,
        };
        let (sampling_rate, fixed) = match sampling {
            Sampling::Everybody => (Some(SamplingRate::EVERYBODY), None),
            Sampling::Poisson(rate) => (Some(rate), None),
            Sampling::FixedSize(fixed) => (None, Some(fixed)),
        };
        Ok(Self {
            loss: Loss::of(&[job], delta),
            noise_multiplier: multiplier,
            rounds,
            sampling_rate,
            batch: fixed.map(FixedSize::batch),
            population: fixed.map(FixedSize::population),
            adjacency: adjacency.name(),
            delta,
        })
    }

    fn words(&self) -> String {
        let Self {
            loss,
            noise_multiplier,
            rounds,
            sampling_rate,
            delta,
            ..
        } = self;
        let rounds = rounds_words(*rounds);
        let taking_part = match (sampling_rate, self.batch, self.population) {
            (_, Some(batch), Some(population)) => {
                format!("{batch} of {population} patients in each")
            }
            (Some(rate), _, _) if *rate != SamplingRate::EVERYBODY => {
                format!("each patient in each with probability {rate}")
            }
            (Some(_) | None, _, _) => "every patient in each".to_owned(),
        };
        let compared = if self.adjacency == Adjacency::Replace.name() {
            "one patient replaced"
        } else {
            "one patient added or removed"
        };
        format!(
            "noise      {noise_multiplier} times the clipping norm, {rounds}, {taking_part}; {compared}\n{}",
            loss.words(*delta)
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn loss(multiplier: f64, rate: f64, adjacency: Adjacency, rounds: u32) -> MechanismLoss {
        let sampling = match SamplingRate::new(rate).unwrap() {
            SamplingRate::EVERYBODY => Sampling::Everybody,
            rate => Sampling::Poisson(rate),
        };
        of(multiplier, sampling, adjacency, rounds)
    }

    fn of(multiplier: f64, sampling: Sampling, adjacency: Adjacency, rounds: u32) -> MechanismLoss {
        let releases = Releases {
            sampling,
            adjacency,
            rounds,
            delta: Delta::new(1e-5).unwrap(),
        };
        MechanismLoss::of(NoiseMultiplier::new(multiplier).unwrap(), releases).unwrap()
    }

    #[test]
    fn batches_of_fixed_size_have_a_certificate_for_patients_replaced() {
        let batches = Sampling::FixedSize(FixedSize::new(10, 1_000).unwrap());
        let fixed = of(4.0, batches, Adjacency::Replace, 100);
        let whole = loss(4.0, 1.0, Adjacency::Replace, 100);
        assert!(certified(&fixed) < certified(&whole));
        assert!(fixed.words().contains("10 of 1000 patients in each"));
        let json = serde_json::to_value(&fixed).unwrap();
        assert_eq!(
            (&json["batch"], &json["population"]),
            (&10.into(), &1_000.into())
        );
        assert!(json.get("sampling_rate").is_none());
        let releases = Releases {
            sampling: batches,
            adjacency: Adjacency::Replace,
            rounds: 100,
            delta: Delta::new(1e-5).unwrap(),
        };
        let noise = releases.calibrate(Epsilon::new(1.0).unwrap()).unwrap();
        let kept = certified(&of(noise.value(), batches, Adjacency::Replace, 100));
        assert!(kept <= 1.0 && kept > 0.99, "{kept}");
    }

    #[test]
    fn without_a_certificate_a_larger_rate_that_has_one_is_offered() {
        let releases = Releases {
            sampling: Sampling::Poisson(SamplingRate::new(0.1).unwrap()),
            adjacency: Adjacency::Replace,
            rounds: 10,
            delta: Delta::new(1e-5).unwrap(),
        };
        let said = releases
            .calibrate(Epsilon::new(2.0).unwrap())
            .unwrap_err()
            .to_string();
        let offered: f64 = said
            .split("a noise multiplier of ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .unwrap()
            .parse()
            .unwrap();
        assert!(certified(&loss(offered, 1.0, Adjacency::Replace, 10)) <= 2.0);
        assert!(said.contains("`--batch` and `--population`"), "{said}");
    }

    fn certified(loss: &MechanismLoss) -> f64 {
        loss.loss.certified.as_ref().unwrap().epsilon.value()
    }

    #[test]
    fn a_mechanism_has_a_certificate_and_a_smaller_estimate() {
        let loss = loss(10.558_565_085_736_833, 1.0, Adjacency::AddRemove, 50);
        let estimate = loss.loss.estimate.as_ref().unwrap();
        assert!((3.0..3.1).contains(&certified(&loss)));
        assert!(estimate.epsilon.value() < certified(&loss));
        let json = serde_json::to_value(&loss).unwrap();
        assert_eq!(json["certified"]["method"], "rdp-integer-orders");
        assert!(json["certified"]["epsilon"].is_string() && json["certified"]["order"].is_u64());
        assert_eq!(json["estimate"]["method"], "gaussian-exact");
        assert!(loss.words().contains("every patient in each"));
    }

    #[test]
    fn sampled_patients_have_a_certificate_and_an_estimate_from_the_loss_itself() {
        let sampled = loss(1.0, 0.01, Adjacency::AddRemove, 1_000);
        // The reference: 2.1014 by Renyi divergence at finer orders, 1.8282 as it is.
        assert!((2.101..2.165).contains(&certified(&sampled)));
        let estimate = sampled.loss.estimate.as_ref().unwrap();
        assert!((estimate.epsilon.value() - 1.828_237).abs() < 1e-4);
        assert_eq!(estimate.method, "pld-connect-the-dots");
        assert!(sampled.words().contains("with probability 0.01"));
    }

    #[test]
    fn replacing_a_patient_doubles_what_the_noise_must_hide() {
        let added = loss(2.0, 1.0, Adjacency::AddRemove, 10);
        let replaced = loss(4.0, 1.0, Adjacency::Replace, 10);
        assert_eq!(certified(&added), certified(&replaced));
        let sampled = loss(1.0, 0.01, Adjacency::Replace, 1_000);
        assert!(sampled.loss.certified.is_none());
        assert!(sampled.loss.estimate.is_some());
        let json = serde_json::to_value(&sampled).unwrap();
        assert!(json["certified"].is_null() && json["not_certified"].is_string());
        assert!(sampled.words().contains("none: replacing a patient"));
    }
}
