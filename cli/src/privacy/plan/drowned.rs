// SPDX-License-Identifier: Apache-2.0
//! A model that does hardly better than guessing, and which changes of the study would help: each one tried on synthetic
//! patients before it is named.

use super::PlanRefusal;
use super::alternatives::{RATES, most_delta};
use crate::privacy::amounts::rounds_words;
use crate::privacy::prediction::{MOST_PATIENTS, Measure, Prediction, predict};
use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use consilium_privacy::noise_plan::Unit;

/// A warning, if the noise hides most of what could be learned.
pub(super) fn drowned(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    prediction: &Prediction,
    accepted: &dyn Fn(&NoisedStudy) -> bool,
) -> Option<PlanRefusal> {
    if !hides(prediction) {
        return None;
    }
    let delta = noise.terms.delta.value();
    let patients = noise.terms.expected_patients;
    let rounds = noised.study.rounds.most;
    let most_delta = most_delta(patients);
    let fewer = std::iter::successors(Some(rounds / 2), |rounds| Some(rounds / 2))
        .take_while(|rounds| *rounds > 0)
        .map(|rounds| (rounds_words(rounds), noised.with_rounds(rounds)));
    let likelier = (1..=DELTA_TENFOLDS)
        .map(|tenfolds| (delta * 10_f64.powi(tenfolds)).min(most_delta))
        .take_while(|larger| *larger > delta)
        .map(|delta| (format!("`delta` {delta:.1e}"), noised.with_delta(delta)));
    let more = std::iter::successors(Some(patients.saturating_mul(2)), |patients| {
        Some(patients.saturating_mul(2))
    })
    .take_while(|patients| noise.terms.unit == Unit::Patient && *patients <= MOST_PATIENTS)
    .map(|patients| {
        (
            format!("{patients} patients"),
            noised.with_patients(patients),
        )
    });
    let rate_now = noise.terms.sampling_rate.value();
    let drawn = RATES
        .into_iter()
        .filter(|rate| *rate < rate_now)
        .filter_map(|rate| Some((rate, noised.with_sampling_rate(rate)?)))
        .map(|(rate, study)| (format!("`sampling_rate = {rate}`"), Ok(study)));
    let silos = std::iter::successors(Some(noised.silos.saturating_mul(2)), |silos| {
        Some(silos.saturating_mul(2))
    })
    .take_while(|silos| noise.terms.unit == Unit::Silo && *silos <= MOST_SIMULATED_SILOS)
    .map(|silos| (format!("{silos} silos"), Ok(noised.with_silos(silos))));
    // Fewer rounds or a smaller batch may do harm: what is offered is better than what was asked for.
    let better = |help: &Help| help.accuracy > prediction.accuracy;
    let alternatives: Vec<String> = [
        first_help(fewer, accepted),
        first_help(likelier, accepted),
        first_help(more, accepted),
        first_help(drawn, accepted),
        first_help(silos, accepted),
    ]
    .into_iter()
    .flatten()
    .filter(better)
    .map(|help| help.text)
    .collect();
    Some(PlanRefusal {
        reason: "the noise hides most of what the model could learn".to_owned(),
        alternatives: if alternatives.is_empty() {
            vec!["a larger epsilon: nothing else helps on synthetic patients".to_owned()]
        } else {
            alternatives
        },
    })
}

fn hides(prediction: &Prediction) -> bool {
    let possible = prediction.accuracy_without_noise - prediction.accuracy_of_guessing;
    let reached = prediction.accuracy - prediction.accuracy_of_guessing;
    possible > 0.0 && reached <= possible / 2.0
}

/// The first change after which the noise no longer hides the model, or the best of them with what it reaches.
fn first_help(
    changes: impl Iterator<Item = (String, anyhow::Result<NoisedStudy>)>,
    accepted: &dyn Fn(&NoisedStudy) -> bool,
) -> Option<Help> {
    let mut furthest = None;
    let mut before: Option<f64> = None;
    for (change, study) in changes {
        let Some(Ok(found)) = study.ok().filter(accepted).map(|study| predict(&study)) else {
            continue;
        };
        if before == Some(found.accuracy) {
            break;
        }
        before = Some(found.accuracy);
        let predicted = predicted(&found);
        if !hides(&found) {
            return Some(Help {
                text: format!("{change}: {predicted}"),
                accuracy: found.accuracy,
            });
        }
        if furthest
            .as_ref()
            .is_none_or(|best: &Help| best.accuracy < found.accuracy)
        {
            furthest = Some(Help {
                text: format!("{change}: {predicted}, still little"),
                accuracy: found.accuracy,
            });
        }
    }
    furthest
}

fn predicted(prediction: &Prediction) -> String {
    match prediction.measure {
        Measure::Correct => format!("{:.1} % predicted", 100.0 * prediction.accuracy),
        Measure::RSquared => format!("R squared {:.3} predicted", prediction.accuracy),
    }
}

/// A change that was tried, and how good a model it predicts.
struct Help {
    text: String,
    accuracy: f64,
}

const DELTA_TENFOLDS: i32 = 12;
/// More are not simulated.
const MOST_SIMULATED_SILOS: u32 = 64;
