// SPDX-License-Identifier: Apache-2.0
//! `privacy compose`: unlike jobs together, from a file.

use super::amounts::{Loss, rounded_up};
use crate::output::OutputArguments;
use anyhow::{Context, bail};
use clap::Args;
use consilium_privacy::accountant::{Adjacency, FixedSize, Job, Mechanism, NoiseEvent, Sampling};
use consilium_privacy::loss::{ClippingNorm, Delta, SamplingRate};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct ComposeArguments {
    /// The jobs; examples/privacy/year.toml shows every key
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    #[command(flatten)]
    output: OutputArguments,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobList {
    delta: Delta,
    #[serde(default)]
    adjacency: AdjacencyWord,
    job: Vec<JobEntry>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AdjacencyWord {
    #[default]
    AddRemove,
    Replace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobEntry {
    name: String,
    mechanism: MechanismWord,
    /// Of the noise in the sum that the attacker faces.
    standard_deviation: f64,
    clip: ClippingNorm,
    rounds: u32,
    sampling_rate: Option<SamplingRate>,
    batch: Option<u64>,
    population: Option<u64>,
    /// For sums of shares.
    shares: Option<u32>,
    dimension: Option<u64>,
    /// For Skellam noise.
    absolute_sum: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MechanismWord {
    Gaussian,
    DiscreteGaussian,
    SumOfDiscreteGaussians,
    Laplace,
    DiscreteLaplace,
    Skellam,
}

/// What the jobs cost.
#[derive(Debug, Serialize)]
struct Composed {
    #[serde(flatten)]
    together: Loss,
    delta: Delta,
    adjacency: &'static str,
    jobs: Vec<Alone>,
}

/// What one job would cost by itself.
#[derive(Debug, Serialize)]
struct Alone {
    name: String,
    #[serde(flatten)]
    loss: Loss,
}

pub(super) fn run(arguments: &ComposeArguments) -> anyhow::Result<()> {
    let ComposeArguments { file, output } = arguments;
    let text = fs::read_to_string(file)
        .with_context(|| format!("the file `{}` cannot be read", file.display()))?;
    let composed = compose(&text).with_context(|| format!("in `{}`", file.display()))?;
    output.print(&composed, words)
}

fn compose(text: &str) -> anyhow::Result<Composed> {
    let list: JobList = toml::from_str(text)?;
    let adjacency = match list.adjacency {
        AdjacencyWord::AddRemove => Adjacency::AddRemove,
        AdjacencyWord::Replace => Adjacency::Replace,
    };
    let jobs = list
        .job
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            entry
                .job(adjacency)
                .with_context(|| format!("`job[{index}]` (`{}`)", entry.name))
        })
        .collect::<anyhow::Result<Vec<Job>>>()?;
    Ok(Composed {
        together: Loss::of(&jobs, list.delta),
        delta: list.delta,
        adjacency: adjacency.name(),
        jobs: list
            .job
            .into_iter()
            .zip(&jobs)
            .map(|(entry, job)| Alone {
                name: entry.name,
                loss: Loss::of(std::slice::from_ref(job), list.delta),
            })
            .collect(),
    })
}

impl JobEntry {
    fn job(&self, adjacency: Adjacency) -> anyhow::Result<Job> {
        if self.rounds == 0 {
            bail!("`rounds` is 0, write at least 1");
        }
        let event = NoiseEvent::of_mechanism(
            self.mechanism()?,
            self.standard_deviation,
            self.clip,
            adjacency,
        )?;
        Ok(Job {
            event,
            sampling: self.sampling()?,
            attempts: self.rounds,
        })
    }

    fn mechanism(&self) -> anyhow::Result<Mechanism> {
        let sum = self.mechanism == MechanismWord::SumOfDiscreteGaussians;
        if !sum && (self.shares.is_some() || self.dimension.is_some()) {
            bail!("`shares` and `dimension` belong to `sum-of-discrete-gaussians`, remove them");
        }
        if self.mechanism != MechanismWord::Skellam && self.absolute_sum.is_some() {
            bail!("`absolute_sum` belongs to `skellam`, remove it");
        }
        Ok(match self.mechanism {
            MechanismWord::Gaussian => Mechanism::Gaussian,
            MechanismWord::DiscreteGaussian => Mechanism::DiscreteGaussian,
            MechanismWord::SumOfDiscreteGaussians => Mechanism::SumOfDiscreteGaussians {
                shares: self
                    .shares
                    .context("`shares` is missing: how many silos add noise")?,
                dimension: self
                    .dimension
                    .context("`dimension` is missing: the coordinates of the vector")?,
            },
            MechanismWord::Laplace => Mechanism::Laplace,
            MechanismWord::DiscreteLaplace => Mechanism::DiscreteLaplace,
            MechanismWord::Skellam => Mechanism::Skellam {
                absolute_sum: self.absolute_sum.context(
                    "`absolute_sum` is missing: a bound on the sum of absolute values of one patient's vector",
                )?,
            },
        })
    }

    fn sampling(&self) -> anyhow::Result<Sampling> {
        match (self.sampling_rate, self.batch, self.population) {
            (None, None, None) => Ok(Sampling::Everybody),
            (Some(rate), None, None) => Ok(Sampling::Poisson(rate)),
            (None, Some(batch), Some(population)) => {
                Ok(Sampling::FixedSize(FixedSize::new(batch, population)?))
            }
            (Some(_), _, _) => {
                bail!("give `sampling_rate`, or `batch` and `population`, not both")
            }
            (None, _, _) => bail!("give `batch` and `population` together"),
        }
    }
}

fn words(composed: &Composed) -> String {
    let mut text = format!("{:<44}{:<12}{}", "JOB ALONE", "EPSILON", "ESTIMATE");
    for Alone { name, loss } in &composed.jobs {
        let certified = loss
            .certified
            .as_ref()
            .map_or_else(|| "none".to_owned(), |it| rounded_up(it.epsilon));
        let estimate = loss
            .estimate
            .as_ref()
            .map_or_else(|| "none".to_owned(), |it| rounded_up(it.epsilon));
        text.push_str(&format!("\n{name:<44}{certified:<12}{estimate}"));
    }
    format!(
        "{text}\n\nall together\n{}",
        composed.together.words(composed.delta)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_example_composes_to_less_than_the_sum_of_its_jobs() {
        let composed = compose(include_str!("../../../examples/privacy/year.toml")).unwrap();
        let certified = |loss: &Loss| loss.certified.as_ref().unwrap().epsilon.value();
        let sum: f64 = composed.jobs.iter().map(|job| certified(&job.loss)).sum();
        assert!(certified(&composed.together) < sum);
        let estimate = composed.together.estimate.as_ref().unwrap();
        assert!(estimate.epsilon.value() < certified(&composed.together));
        assert!(words(&composed).contains("all together"));
    }

    #[test]
    fn unlike_jobs_agree_with_the_reference() {
        // `heterogeneous-01` of dp-accounting 0.6.0.
        let text = "delta = \"1e-5\"\n\
            [[job]]\nname = \"a\"\nmechanism = \"gaussian\"\nstandard_deviation = 10.0\nclip = \"1\"\nrounds = 20\n\
            [[job]]\nname = \"b\"\nmechanism = \"gaussian\"\nstandard_deviation = 1.5\nclip = \"1\"\nrounds = 200\n\
            sampling_rate = \"0.05\"\n";
        let Loss {
            certified,
            estimate,
            ..
        } = compose(text).unwrap().together;
        assert!((3.3008..3.4).contains(&certified.unwrap().epsilon.value()));
        assert!((estimate.unwrap().epsilon.value() - 3.014_521).abs() < 1e-4);
    }

    #[test]
    fn a_slip_names_the_job_and_the_key() {
        let job = "delta = \"1e-5\"\n[[job]]\nname = \"a\"\nclip = \"1\"\nrounds = 20\n";
        for (line, named) in [
            (
                "mechanism = \"gauss\"\nstandard_deviation = 1.0",
                "gaussian",
            ),
            (
                "mechanism = \"gaussian\"\nstandard_deviation = 1.0\nrate = 3",
                "rate",
            ),
            (
                "mechanism = \"skellam\"\nstandard_deviation = 1.0",
                "absolute_sum",
            ),
            (
                "mechanism = \"gaussian\"\nstandard_deviation = 1.0\nshares = 3",
                "shares",
            ),
            (
                "mechanism = \"gaussian\"\nstandard_deviation = 1.0\nbatch = 3",
                "population",
            ),
            (
                "mechanism = \"gaussian\"\nstandard_deviation = 0.0",
                "noise multiplier",
            ),
        ] {
            let fault = compose(&format!("{job}{line}\n")).unwrap_err();
            let said = format!("{fault:#}");
            assert!(said.contains(named), "{said}");
        }
    }
}
