// SPDX-License-Identifier: Apache-2.0
//! Changes of a study by which it takes less of a privacy budget: each is tried before it is named.
//!
//! What fits is for the caller to say, who holds the ledger. Nothing here knows the data.

use std::fmt;

use consilium_privacy::accountant::PrivacyStatement;
use consilium_privacy::loss::Epsilon;
use consilium_privacy::noise_plan::VectorPlan;

use super::{Analysis, Method, Study};

/// A study like another one, changed in one respect, that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affordable {
    /// More noise in every round.
    SmallerEpsilon(Epsilon),
    /// The same noise in fewer rounds, which is this epsilon for the study.
    FewerRounds {
        /// `rounds.most`.
        most: u32,
        /// `privacy.epsilon`.
        epsilon: Epsilon,
        /// `analysis.average_last`, where the study has a mean of more models than these rounds.
        average_last: Option<u32>,
    },
}

/// How many take part, as a plan of noise must know.
#[derive(Clone, Copy, Debug)]
pub struct Participants {
    /// Invited.
    pub silos: u32,
    /// Of them may drop out.
    pub dropouts: u32,
    /// Of them may collude.
    pub colluders: u32,
}

impl Study {
    /// The changes with which the study fits, by the vectors of its training and of its evaluation, if it has one; none where nothing does. Epsilons have two digits after the point.
    pub fn affordable(
        &self,
        participants: Participants,
        fits: impl Fn(VectorPlan, Option<VectorPlan>) -> bool,
    ) -> Vec<Affordable> {
        let Participants {
            silos,
            dropouts,
            colluders,
        } = participants;
        let plan = |study: &Self| {
            study
                .vector_plan(silos, dropouts, colluders)
                .ok()
                .filter(|plan| plan.noise.is_some())
        };
        let fitting = |study: &Self| {
            let evaluation = study.evaluation_plan(silos, dropouts, colluders);
            plan(study)
                .zip(evaluation.ok())
                .is_some_and(|(training, evaluation)| fits(training, evaluation))
        };
        let Some(asked) = self.privacy.promise().map(|promise| promise.epsilon) else {
            return Vec::new();
        };
        let smaller = largest(hundredths(asked.value()), |epsilon| {
            fitting(&self.with_epsilon(epsilon))
        });
        let fewer = plan(self).and_then(|own| {
            let rounds = largest_count(self.rounds.most, |rounds| {
                self.in_fewer_rounds(rounds, own)
                    .is_some_and(|(study, _)| fitting(&study))
            })?;
            let (_, epsilon) = self.in_fewer_rounds(rounds, own)?;
            Some(Affordable::FewerRounds {
                most: rounds,
                epsilon,
                average_last: self.averages_more_than(rounds).then_some(rounds),
            })
        });
        smaller
            .map(Affordable::SmallerEpsilon)
            .into_iter()
            .chain(fewer)
            .collect()
    }

    fn averages_more_than(&self, rounds: u32) -> bool {
        let method = self.analysis.regression().map(|plan| plan.method);
        match method {
            Some(Method::FedSgd { average_last, .. } | Method::FedAvg { average_last, .. }) => {
                average_last > rounds
            }
            Some(Method::Newton { .. } | Method::PrivateNewton) | None => false,
        }
    }

    fn with_epsilon(&self, epsilon: Epsilon) -> Self {
        let mut study = self.clone();
        if let Some(promise) = study.privacy.promise_mut() {
            promise.epsilon = epsilon;
        }
        study
    }

    /// The study in so many rounds at the noise of `own`, and the epsilon that this is, rounded down: no less noise.
    fn in_fewer_rounds(&self, rounds: u32, own: VectorPlan) -> Option<(Self, Epsilon)> {
        let mut study = self.clone();
        study.rounds.most = rounds;
        if let Analysis::LogisticRegression(plan)
        | Analysis::LinearRegression(plan)
        | Analysis::SoftmaxRegression(plan)
        | Analysis::NeuralNetwork(plan) = &mut study.analysis
            && let Method::FedSgd { average_last, .. } | Method::FedAvg { average_last, .. } =
                &mut plan.method
        {
            // A mean of more models than there are rounds is no study.
            *average_last = rounds.min(*average_last);
        }
        let mut noise = own.noise?;
        noise.attempts = study.attempts();
        let delta = study.privacy.promise()?.delta;
        let stated = PrivacyStatement::of_plan(&noise, own.dimension, delta).ok()?;
        let cents = hundredths(stated.colluders.epsilon.value());
        let epsilon = Epsilon::new(f64::from(cents) / 100.0).ok()?;
        Some((study.with_epsilon(epsilon), epsilon))
    }
}

impl fmt::Display for Affordable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmallerEpsilon(epsilon) => {
                write!(formatter, "`epsilon = \"{epsilon}\"` for all rounds")
            }
            Self::FewerRounds {
                most,
                epsilon,
                average_last,
            } => {
                write!(
                    formatter,
                    "`most = {most}` with `epsilon = \"{epsilon}\"`, the same noise"
                )?;
                match average_last {
                    Some(last) => write!(formatter, " (and `average_last = {last}`)"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The largest epsilon, below `under` hundredths, that is good. Larger ones are never good once one is not.
fn largest(under: u32, good: impl Fn(Epsilon) -> bool) -> Option<Epsilon> {
    let epsilon = |cents: u32| Epsilon::new(f64::from(cents) / 100.0).ok();
    let found = largest_count(under, |cents| epsilon(cents).is_some_and(&good))?;
    epsilon(found)
}

/// The largest number from 1 to less than `under` that is good, if good ones come before the others. Where very small
/// ones fail for a reason of their own they are passed over.
fn largest_count(under: u32, good: impl Fn(u32) -> bool) -> Option<u32> {
    let (mut found, mut low, mut high) = (None, 0, under.min(MOST));
    while high.saturating_sub(low) > 1 {
        let middle = u32::midpoint(low, high);
        if good(middle) {
            found = Some(middle);
            low = middle;
        } else {
            high = middle;
        }
    }
    found
}

fn hundredths(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the conversion saturates, and rounding down is wanted"
    )]
    let cents = (value * 100.0).floor() as u32;
    cents
}

/// An epsilon of a thousand, or as many rounds.
const MOST: u32 = 100_000;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use consilium_privacy::budget::{Budget, Charge, Ledger};
    use consilium_privacy::loss::Delta;
    use consilium_privacy::noise_plan::View;

    use super::*;

    const FOUR: Participants = Participants {
        silos: 4,
        dropouts: 1,
        colluders: 1,
    };

    /// Whether a plan fits into a budget of this epsilon.
    fn room(epsilon: f64) -> impl Fn(VectorPlan, Option<VectorPlan>) -> bool {
        let (epsilon, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(2e-5).unwrap());
        let mut ledger = Ledger::new();
        let created = ledger
            .create("trial", Budget::create(epsilon, delta).unwrap())
            .unwrap();
        ledger.record(&created, 0).unwrap();
        move |plan, _| {
            let noise = plan.noise.unwrap();
            let charge = Charge::of_plan(&noise, View::Colluders, plan.dimension).unwrap();
            ledger
                .reserve("trial", "study", noise.attempts, &charge)
                .is_ok()
        }
    }

    #[test]
    fn what_is_named_fits_and_a_little_more_does_not() {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        let study = Study::parse(file).unwrap();
        let fits = room(2.4);
        let found = study.affordable(FOUR, &fits);
        let [
            Affordable::SmallerEpsilon(epsilon),
            Affordable::FewerRounds {
                most,
                epsilon: of_fewer,
                average_last: None,
            },
        ] = found[..]
        else {
            panic!("{found:?}")
        };
        let plan = |study: &Study| study.vector_plan(4, 1, 1).unwrap();
        assert!(!fits(plan(&study), None));
        assert!(fits(plan(&study.with_epsilon(epsilon)), None), "{epsilon}");
        let more = Epsilon::new(epsilon.value() + 0.01).unwrap();
        assert!(!fits(plan(&study.with_epsilon(more)), None), "{epsilon}");
        let own = plan(&study);
        let (fewer, named) = study.in_fewer_rounds(most, own).unwrap();
        assert_eq!(named, of_fewer);
        assert!(fits(plan(&fewer), None), "{most}");
        // The same noise, or a little more.
        let scale = |plan: VectorPlan| plan.noise.unwrap().scale;
        assert!(scale(plan(&fewer)) >= scale(own));
        let (longer, _) = study.in_fewer_rounds(most + 1, own).unwrap();
        assert!(!fits(plan(&longer), None), "{most}");
    }

    #[test]
    fn where_nothing_fits_nothing_is_named() {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        let study = Study::parse(file).unwrap();
        assert!(study.affordable(FOUR, |_, _| false).is_empty());
        let plain = include_bytes!("../../../examples/studies/logistic.toml");
        let plain = Study::parse(plain).unwrap();
        assert!(plain.affordable(FOUR, |_, _| true).is_empty());
    }
}
