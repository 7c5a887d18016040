// SPDX-License-Identifier: Apache-2.0
//! The curves of a report: epsilon over rounds, what attackers find, accuracy against epsilon.

use crate::privacy::prediction::{predict, predict_widths};
use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use consilium_privacy::accountant::meaning::TradeOff;
use consilium_privacy::accountant::{NoisedVectors, estimate_of_plans};
use consilium_privacy::loss::Epsilon;
use consilium_privacy::noise_plan::{NoisePlan, View};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Curves {
    pub(super) epsilon_over_rounds: Vec<Spent>,
    pub(super) attackers: Vec<Found>,
    /// On synthetic patients.
    pub(super) accuracy_over_epsilon: Vec<Accuracy>,
    /// Of statistics, on synthetic patients: half the width of an interval of the first of them.
    pub(super) width_over_epsilon: Vec<WidthAt>,
}

/// After so many attempts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Spent {
    pub(super) rounds: u32,
    pub(super) certified: f64,
    pub(super) estimate: f64,
}

/// Of those present, when so many of the absent are accused.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Found {
    pub(super) false_positives: f64,
    pub(super) best: f64,
    pub(super) realistic: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Accuracy {
    pub(super) epsilon: f64,
    pub(super) accuracy: f64,
    pub(super) without_noise: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct WidthAt {
    pub(super) epsilon: f64,
    pub(super) statistic: String,
    pub(super) plus_or_minus: f64,
}

impl Curves {
    pub(super) fn of(noised: &NoisedStudy, noise: &StudyNoise) -> anyhow::Result<Self> {
        Ok(Self {
            epsilon_over_rounds: spent(noise)?,
            attackers: found(noise)?,
            accuracy_over_epsilon: EPSILONS
                .into_iter()
                .filter_map(|value| {
                    let changed = noised.with_epsilon(Epsilon::new(value).ok()?).ok()?;
                    let prediction = predict(&changed).ok()?;
                    Some(Accuracy {
                        epsilon: value,
                        accuracy: prediction.accuracy,
                        without_noise: prediction.accuracy_without_noise,
                    })
                })
                .collect(),
            width_over_epsilon: EPSILONS
                .into_iter()
                .filter_map(|value| {
                    let changed = noised.with_epsilon(Epsilon::new(value).ok()?).ok()?;
                    let first = predict_widths(&changed).ok()?.into_iter().next()?;
                    Some(WidthAt {
                        epsilon: value,
                        statistic: first.statistic,
                        plus_or_minus: first.plus_or_minus,
                    })
                })
                .collect(),
        })
    }
}

impl Curves {
    /// Where an axis of accuracies may begin.
    pub(super) fn least_accuracy(&self) -> f64 {
        let all = self.accuracy_over_epsilon.iter();
        all.map(|it| it.accuracy).fold(1.0, f64::min)
    }
}

fn spent(noise: &StudyNoise) -> anyhow::Result<Vec<Spent>> {
    let all = noise.plan.attempts;
    let step = all.div_ceil(MOST_POINTS).max(1);
    (1..=all)
        .filter(|rounds| rounds % step == 0 || *rounds == 1 || *rounds == all)
        .map(|rounds| {
            let plan = NoisePlan {
                attempts: rounds,
                ..noise.plan
            };
            let training = NoisedVectors {
                plan,
                ..noise.training()
            };
            let estimated = estimate_of_plans(
                training,
                noise.evaluation,
                View::Colluders,
                noise.terms.delta,
            )?;
            Ok(Spent {
                rounds,
                certified: noise.certified(rounds)?.value(),
                estimate: estimated.epsilon.value(),
            })
        })
        .collect()
}

fn found(noise: &StudyNoise) -> anyhow::Result<Vec<Found>> {
    let epsilon = noise.certified(noise.plan.attempts)?;
    let curve = TradeOff::of(epsilon, noise.terms.delta);
    // Closer together where few are accused.
    Ok((0..=60_u32)
        .map(|place| {
            let false_positives = (f64::from(place) / 60.0).powi(2);
            Found {
                false_positives,
                best: curve.best(false_positives),
                realistic: if place == 0 {
                    0.0
                } else {
                    curve.realistic(false_positives)
                },
            }
        })
        .collect())
}

const MOST_POINTS: u32 = 60;
const EPSILONS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
