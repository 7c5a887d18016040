// SPDX-License-Identifier: Apache-2.0
//! What could be asked instead of a study that hospitals would refuse. Each was tried by the accountant, or by the ledger
//! itself, before it is named.

use super::budget::BudgetAfter;
use super::{PlanRefusal, approximate};
use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use consilium_privacy::loss::Epsilon;
use consilium_privacy::noise_plan::{MOST_SILOS, Unit, View};

/// The rule of thumb that hospitals hold studies to: delta at most a tenth of one patient.
pub(super) fn delta_refusal(noised: &NoisedStudy, noise: &StudyNoise) -> Option<PlanRefusal> {
    let (delta, patients) = (noise.terms.delta.value(), noise.terms.expected_patients);
    let most = most_delta(patients);
    if delta <= most {
        return None;
    }
    // Rounded down to two digits, so that what is written is not refused again.
    let unit = 10_f64.powf(most.log10().floor() - 1.0);
    let smaller = (most / unit).floor() * unit;
    let smaller = noised
        .with_delta(smaller)
        .and_then(|study| Ok((smaller, study.noise()?)));
    let multiplier = |noise: &StudyNoise| noise.plan.multiplier(View::Colluders);
    let alternatives = match (&smaller, multiplier(noise)) {
        (Ok((smaller, changed)), Ok(before)) if *smaller <= most => multiplier(changed)
            .map(|after| {
                format!(
                    "`delta` at most {smaller:.1e}, with {:.2} clips of noise in the place of {:.2}",
                    after.value(),
                    before.value()
                )
            })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    };
    Some(PlanRefusal {
        reason: format!(
            "`privacy.delta` {} is more than a tenth of one patient in {patients}, which policies refuse",
            noise.terms.delta
        ),
        alternatives,
    })
}

/// A tenth of one patient.
pub(super) fn most_delta(patients: u64) -> f64 {
    0.1 / approximate(patients)
}

/// A smaller epsilon for all rounds, the same noise for fewer, or batches; where the silo is the unit, more silos.
pub(super) fn budget_alternatives(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    budget: &BudgetAfter,
) -> anyhow::Result<Vec<String>> {
    let mut alternatives = Vec::new();
    let rounds = noised.study.rounds.most;
    if let Some(smaller) = budget.epsilon_that_fits(noised) {
        let smaller_loss = noised.with_epsilon(smaller)?;
        let changed = smaller_loss.noise()?;
        let factor = changed.plan.multiplier(View::Colluders)?.value()
            / noise.plan.multiplier(View::Colluders)?.value();
        alternatives.push(format!("`epsilon` {smaller} for all {rounds} rounds"));
        match noise.terms.unit {
            Unit::Patient => alternatives.push(format!(
                "{:.0} patients, and that epsilon tells as much as this study does with {}",
                (approximate(noise.terms.expected_patients) * factor).ceil(),
                noise.terms.expected_patients
            )),
            Unit::Silo => alternatives.extend(
                silos_as_clear(&smaller_loss, silo_noise(noise)?).map(|silos| {
                    format!(
                        "{silos} silos, and that epsilon tells as much as this study does with {}",
                        noised.silos
                    )
                }),
            ),
        }
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
    alternatives.extend(rate_that_fits(noised, noise, budget));
    if alternatives.is_empty() {
        alternatives.push("none while so little of the budget is left".to_owned());
    }
    Ok(alternatives)
}

/// The largest of some rates at which the same noise fits the budget, with the epsilon that it then gives.
fn rate_that_fits(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    budget: &BudgetAfter,
) -> Option<String> {
    let rate_now = noise.terms.sampling_rate.value();
    RATES
        .into_iter()
        .filter(|rate| *rate < rate_now)
        .find_map(|rate| {
            let drawn = noised.with_sampling_rate(rate)?;
            let terms = drawn.study.privacy.promise()?.clone();
            let same_noise = StudyNoise {
                plan: noise.plan.with_sampling_rate(terms.sampling_rate),
                dimension: noise.dimension,
                terms,
                evaluation: noise.evaluation,
            };
            // Rounded down, so that what is written takes no less noise.
            let certified = same_noise.certified(noise.plan.attempts).ok()?.value();
            let epsilon = Epsilon::new((100.0 * certified).floor() / 100.0).ok()?;
            let written = drawn.with_epsilon(epsilon).ok()?.noise().ok()?;
            budget.would_fit(&written).then(|| {
                format!(
                    "`sampling_rate = {rate}` with the same noise in {:.1} times smaller batches: write `epsilon` {epsilon} for all {} rounds",
                    rate_now / rate,
                    noised.study.rounds.most
                )
            })
        })
}

/// The fewest silos, by doubling, whose mean is as clear as `noise` clips of noise leave it.
pub(super) fn silos_as_clear(noised: &NoisedStudy, most_noise: f64) -> Option<u32> {
    std::iter::successors(Some(noised.silos.saturating_mul(2)), |silos| {
        Some(silos.saturating_mul(2))
    })
    .take_while(|silos| *silos <= MOST_SILOS)
    .find(|silos| {
        noised
            .with_silos(*silos)
            .noise()
            .and_then(|noise| silo_noise(&noise))
            .is_ok_and(|noise| noise <= most_noise)
    })
}

/// The standard deviation of the noise in the mean over all invited silos, in clips, when all of them survive.
pub(super) fn silo_noise(noise: &StudyNoise) -> anyhow::Result<f64> {
    let share = noise.plan.multiplier(View::MasksBroken)?.value();
    Ok(share / f64::from(noise.plan.silos).sqrt())
}

/// Batches that are tried, largest first.
pub(super) const RATES: [f64; 6] = [0.5, 0.3, 0.2, 0.1, 0.05, 0.02];
