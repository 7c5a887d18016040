// SPDX-License-Identifier: Apache-2.0
//! What an epsilon means for one patient.

mod words;

use serde::Serialize;

use super::gaussian;
use crate::loss::{Delta, Epsilon};

/// What whoever sees every result can learn about one patient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Meaning {
    /// The odds that the patient took part grow at most by this factor, except with probability delta.
    pub odds_factor: f64,
    /// For one attribute of a patient who is known to take part: two changes, so the square.
    pub attribute_odds_factor: f64,
    /// From a suspicion to the strongest one that the results justify.
    pub posteriors: Vec<Posterior>,
    /// Attackers who are wrong about so many of those who did not take part.
    pub attackers: Vec<Attacker>,
}

/// A suspicion before and after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Posterior {
    /// Before, as a probability.
    pub prior: f64,
    /// After, at most.
    pub posterior: f64,
}

/// How many of those who took part an attacker finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Attacker {
    /// The part of those who did not take part whom the attacker accuses.
    pub false_positives: f64,
    /// The part that the best attacker on any mechanism of this epsilon and delta finds.
    pub best: f64,
    /// The part that the best attacker on Gaussian noise finds, which just meets this epsilon and delta.
    pub realistic: f64,
}

impl Meaning {
    /// Of an epsilon at a delta.
    #[must_use]
    pub fn of(epsilon: Epsilon, delta: Delta) -> Self {
        let odds_factor = libm::exp(epsilon.value());
        let curve = TradeOff::of(epsilon, delta);
        Self {
            odds_factor,
            attribute_odds_factor: odds_factor * odds_factor,
            posteriors: PRIORS
                .into_iter()
                .map(|prior| Posterior {
                    prior,
                    posterior: posterior(prior, epsilon),
                })
                .collect(),
            attackers: FALSE_POSITIVES
                .into_iter()
                .map(|false_positives| Attacker {
                    false_positives,
                    best: curve.best(false_positives),
                    realistic: curve.realistic(false_positives),
                })
                .collect(),
        }
    }
}

/// True against false positives of whoever guesses that a patient took part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TradeOff {
    epsilon: f64,
    delta: f64,
    mu: f64,
}

impl TradeOff {
    /// The curves of an epsilon at a delta.
    #[must_use]
    pub fn of(epsilon: Epsilon, delta: Delta) -> Self {
        Self {
            epsilon: epsilon.value(),
            delta: delta.value(),
            mu: 1.0 / gaussian::multiplier(epsilon, delta),
        }
    }

    /// The distance of the two Gaussians that are just as distinguishable, in standard deviations.
    #[must_use]
    pub fn separation(&self) -> f64 {
        self.mu
    }

    /// The most true positives that (epsilon, delta) permits.
    #[must_use]
    pub fn best(&self, false_positives: f64) -> f64 {
        let few = libm::exp(self.epsilon) * false_positives + self.delta;
        let many = 1.0 - libm::exp(-self.epsilon) * (1.0 - self.delta - false_positives);
        few.min(many).clamp(0.0, 1.0)
    }

    /// The most true positives against Gaussian noise of this epsilon and delta.
    #[must_use]
    pub fn realistic(&self, false_positives: f64) -> f64 {
        gaussian::probability_below(gaussian::quantile(false_positives) + self.mu)
    }
}

/// The strongest suspicion that follows from one.
#[must_use]
pub fn posterior(prior: f64, epsilon: Epsilon) -> f64 {
    // prior e^epsilon/(1 - prior + prior e^epsilon), without overflow.
    prior / (prior + (1.0 - prior) * libm::exp(-epsilon.value()))
}

const PRIORS: [f64; 3] = [0.01, 0.1, 0.5];
const FALSE_POSITIVES: [f64; 2] = [0.01, 0.1];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_one_means_what_officers_are_told() {
        let meaning = Meaning::of(Epsilon::new(1.0).unwrap(), Delta::new(1e-5).unwrap());
        let said = |value: f64| format!("{value:.1}");
        assert_eq!(said(meaning.odds_factor), "2.7");
        assert_eq!(said(meaning.attribute_odds_factor), "7.4");
        assert_eq!(said(100.0 * meaning.posteriors[0].posterior), "2.7");
        assert_eq!(said(100.0 * meaning.attackers[0].realistic), "2.0");
        assert!(meaning.attackers[0].best > meaning.attackers[0].realistic);
    }

    #[test]
    fn no_loss_leaves_every_suspicion_where_it_was() {
        let (epsilon, delta) = (Epsilon::new(0.0).unwrap(), Delta::new(1e-9).unwrap());
        let meaning = Meaning::of(epsilon, delta);
        for Posterior { prior, posterior } in &meaning.posteriors {
            assert!((posterior - prior).abs() < 1e-12);
        }
        for attacker in &meaning.attackers {
            assert!((attacker.best - attacker.false_positives).abs() < 1e-8);
            assert!((attacker.realistic - attacker.false_positives).abs() < 1e-6);
        }
    }

    #[test]
    fn a_huge_loss_does_not_overflow() {
        let (epsilon, delta) = (Epsilon::new(900.0).unwrap(), Delta::new(1e-5).unwrap());
        let meaning = Meaning::of(epsilon, delta);
        assert_eq!(meaning.posteriors[0].posterior, 1.0);
        assert_eq!(meaning.attackers[0].best, 1.0);
        assert!(meaning.attackers[0].realistic > 0.999);
    }
}
