// SPDX-License-Identifier: Apache-2.0
//! Certified and estimated losses, as every answer prints them.

use clap::ValueEnum;
use consilium_privacy::accountant::{self, Adjacency, Certificate, Job};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;
use serde::Serialize;

/// What may be promised.
#[derive(Debug, Serialize)]
pub(super) struct Certified {
    pub(super) epsilon: Epsilon,
    pub(super) method: &'static str,
    pub(super) order: u32,
}

/// What is probably true, and no promise.
#[derive(Debug, Serialize)]
pub(super) struct Estimate {
    pub(super) epsilon: Epsilon,
    pub(super) method: &'static str,
}

/// The loss of a list of jobs.
#[derive(Debug, Serialize)]
pub(super) struct Loss {
    pub(super) certified: Option<Certified>,
    pub(super) estimate: Option<Estimate>,
    /// Why there is no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_certified: Option<String>,
    /// Why there is no estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_estimated: Option<String>,
}

/// Which two data sets the promise compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AdjacencyArgument {
    /// One patient is added or removed
    AddRemove,
    /// One patient is replaced by another, which doubles what the noise must hide
    Replace,
}

impl From<AdjacencyArgument> for Adjacency {
    fn from(argument: AdjacencyArgument) -> Self {
        match argument {
            AdjacencyArgument::AddRemove => Self::AddRemove,
            AdjacencyArgument::Replace => Self::Replace,
        }
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

impl From<accountant::Estimate> for Estimate {
    fn from(estimate: accountant::Estimate) -> Self {
        Self {
            epsilon: estimate.epsilon,
            method: estimate.method.name(),
        }
    }
}

impl Loss {
    pub(super) fn of(jobs: &[Job], delta: Delta) -> Self {
        let certified = accountant::certificate(jobs, delta);
        let estimate = accountant::estimate(jobs, delta);
        Self {
            not_certified: certified.as_ref().err().map(ToString::to_string),
            not_estimated: estimate.as_ref().err().map(ToString::to_string),
            certified: certified.ok().map(Certified::from),
            estimate: estimate.ok().map(Estimate::from),
        }
    }

    /// Two or three lines: certified, estimate, meaning.
    pub(super) fn words(&self, delta: Delta) -> String {
        let certified = match &self.certified {
            Some(Certified { epsilon, order, .. }) => format!(
                "epsilon {} at delta {delta}, by Renyi divergence of order {order}",
                rounded_up(*epsilon)
            ),
            None => format!("none: {}", self.not_certified.as_deref().unwrap_or("?")),
        };
        let estimate = match &self.estimate {
            Some(Estimate { epsilon, method }) => {
                format!("epsilon {}, by {}", rounded_up(*epsilon), spoken(method))
            }
            None => format!("none: {}", self.not_estimated.as_deref().unwrap_or("?")),
        };
        let meaning = self
            .certified
            .as_ref()
            .map_or_else(String::new, |certified| {
                format!("\nmeaning    {}", meaning(certified.epsilon, delta))
            });
        format!("certified  {certified}\nestimate   {estimate}{meaning}")
    }
}

/// What an epsilon means to a patient.
pub(super) fn meaning(epsilon: Epsilon, delta: Delta) -> String {
    let odds = epsilon.value().exp();
    if odds < 1e6 {
        format!(
            "the odds that a patient took part change at most {odds:.1}-fold, except with probability {delta}"
        )
    } else {
        "no protection worth the name".to_owned()
    }
}

/// What it means to whom it is promised.
pub(super) fn meaning_for(unit: Unit, epsilon: Epsilon, delta: Delta) -> String {
    let of_patients = meaning(epsilon, delta);
    match unit {
        Unit::Patient => of_patients,
        Unit::Silo => of_patients.replace(
            "the odds that a patient took part change",
            "the odds of which of two sets of data a hospital has change",
        ),
    }
}

/// A number of rounds.
pub(super) fn rounds_words(rounds: u32) -> String {
    match rounds {
        1 => "1 round".to_owned(),
        more => format!("{more} rounds"),
    }
}

/// All rounds of a study, where something holds for each of them.
pub(super) fn all_rounds_words(rounds: u32) -> String {
    match rounds {
        1 => "the one round".to_owned(),
        more => format!("all {more} rounds"),
    }
}

/// Four digits after the point, never less than the value.
pub(super) fn rounded_up(epsilon: Epsilon) -> String {
    format!("{:.4}", (epsilon.value() * 1e4).ceil() / 1e4)
}

fn spoken(method: &str) -> &str {
    match method {
        "gaussian-exact" => "the closed form of continuous Gaussian noise",
        "pld-connect-the-dots" => "the distribution of the privacy loss",
        other => other,
    }
}

pub(super) const CERTIFIED: &str = "rdp-integer-orders";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

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
