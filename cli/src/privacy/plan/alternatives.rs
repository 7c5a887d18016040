// SPDX-License-Identifier: Apache-2.0
//! What could be asked instead of a study that hospitals would refuse. Each was tried by the accountant, or by the ledger
//! itself, before it is named.

use super::budget::BudgetAfter;
use super::{PlanRefusal, approximate};
use crate::privacy::amounts::{all_rounds_words, rounds_words};
use crate::privacy::study_loss::{NoisedStudy, StudyNoise};
use consilium_privacy::loss::Epsilon;
use consilium_privacy::noise_plan::{MOST_SILOS, Unit, View};

/// A refusal for delta's sake, and the study that is not refused for it.
pub(super) struct DeltaRefused {
    pub(super) refusal: PlanRefusal,
    pub(super) mended: Option<NoisedStudy>,
}

/// The rule of thumb that hospitals hold studies to: delta at most a tenth of one patient.
pub(super) fn delta_refusal(noised: &NoisedStudy, noise: &StudyNoise) -> Option<DeltaRefused> {
    let (delta, patients) = (noise.terms.delta.value(), noise.terms.expected_patients);
    let most = most_delta(patients);
    if delta <= most {
        return None;
    }
    // Rounded down to two digits, so that what is written is not refused again.
    let unit = 10_f64.powf(most.log10().floor() - 1.0);
    let smaller = (most / unit).floor() * unit;
    let tried = || -> anyhow::Result<(NoisedStudy, String)> {
        let mended = noised.with_delta(smaller)?;
        let after = mended.noise()?.plan.multiplier(View::Colluders)?;
        let before = noise.plan.multiplier(View::Colluders)?;
        let words = format!(
            "`delta` at most {smaller:.1e}, with noise of {:.2} clips in the place of {:.2}",
            after.value(),
            before.value()
        );
        Ok((mended, words))
    };
    let tried = tried().ok().filter(|_| smaller <= most);
    let (mended, words) = tried.unzip();
    Some(DeltaRefused {
        refusal: PlanRefusal {
            reason: format!(
                "`privacy.delta` {} is more than a tenth of one patient in {patients}, which policies refuse",
                noise.terms.delta
            ),
            alternatives: words.into_iter().collect(),
        },
        mended,
    })
}

/// Whether hospitals would accept so large a delta.
pub(super) fn has_small_delta(study: &NoisedStudy) -> bool {
    let terms = study.study.privacy.promise();
    terms.is_none_or(|terms| terms.delta.value() <= most_delta(terms.expected_patients))
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
    if let Some(smaller) = budget.epsilon_that_fits(noised) {
        let rounds = all_rounds_words(noised.study.rounds.most);
        alternatives.push(format!("`epsilon` {smaller} for {rounds}"));
        let smaller = noised.with_epsilon(smaller)?;
        alternatives.extend(match noise.terms.unit {
            Unit::Patient => patients_as_telling(noise, &smaller, budget)?,
            Unit::Silo => silos_as_telling(noised, noise, &smaller, budget)?,
        });
    }
    alternatives.extend(rounds_that_fit(noised, noise, budget));
    alternatives.extend(rate_that_fits(noised, noise, budget));
    if alternatives.is_empty() {
        alternatives.push("none while so little of the budget is left".to_owned());
    }
    Ok(alternatives)
}

/// With so many patients a study of a smaller epsilon has no more noise for each of them.
fn patients_as_telling(
    noise: &StudyNoise,
    smaller: &NoisedStudy,
    budget: &BudgetAfter,
) -> anyhow::Result<Option<String>> {
    let before = noise.terms.expected_patients;
    let factor = smaller.noise()?.plan.multiplier(View::Colluders)?.value()
        / noise.plan.multiplier(View::Colluders)?.value();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number of patients; more than there may be are refused below"
    )]
    let patients = (approximate(before) * factor).ceil() as u64;
    let larger = smaller.with_patients(patients)?;
    let fits = has_small_delta(&larger) && budget.would_fit(&larger.noise()?);
    Ok(fits.then(|| {
        format!(
            "{patients} patients, and that epsilon tells as much as this study does with {before}"
        )
    }))
}

/// The same for silos, where they are the unit.
fn silos_as_telling(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    smaller: &NoisedStudy,
    budget: &BudgetAfter,
) -> anyhow::Result<Option<String>> {
    let silos = silos_as_clear(smaller, silo_noise(noise)?);
    let fitting = silos.filter(|silos| {
        let noise = smaller.with_silos(*silos).noise();
        noise.is_ok_and(|noise| budget.would_fit(&noise))
    });
    Ok(fitting.map(|silos| {
        format!(
            "{silos} silos, and that epsilon tells as much as this study does with {}",
            noised.silos
        )
    }))
}

/// The most rounds under such noise, with the epsilon that they then take.
///
/// With an evaluation its noise follows from the epsilon too, so that fewer rounds may have to do than the ledger has
/// room for: what is named was planned again as it is to be written.
fn rounds_that_fit(
    noised: &NoisedStudy,
    noise: &StudyNoise,
    budget: &BudgetAfter,
) -> Option<String> {
    let spare = noised.study.rounds.spare_attempts;
    let most = budget.attempts_that_fit(noise).saturating_sub(spare);
    std::iter::successors(Some(most), |rounds| {
        rounds.checked_sub((rounds / 10).max(1))
    })
    .take_while(|rounds| *rounds > 0)
    .find_map(|rounds| {
        // Rounded down, so that what is written takes no less noise.
        let certified = noise.certified(rounds + spare).ok()?.value();
        let epsilon = Epsilon::new((100.0 * certified).floor() / 100.0).ok()?;
        let written = noised
            .with_rounds(rounds)
            .ok()?
            .with_epsilon(epsilon)
            .ok()?;
        budget.would_fit(&written.noise().ok()?).then(|| {
            let rounds_words = rounds_words(rounds);
            format!(
                "{rounds_words}{}: write `most = {rounds}` and `epsilon` {:.2}",
                same_noise(noise),
                epsilon.value()
            )
        })
    })
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
            let sampled = StudyNoise {
                plan: noise.plan.with_sampling_rate(terms.sampling_rate),
                dimension: noise.dimension,
                terms,
                evaluation: noise.evaluation,
            };
            // Rounded down, so that what is written takes no less noise.
            let certified = sampled.certified(noise.plan.attempts).ok()?.value();
            let epsilon = Epsilon::new((100.0 * certified).floor() / 100.0).ok()?;
            let written = drawn.with_epsilon(epsilon).ok()?.noise().ok()?;
            budget.would_fit(&written).then(|| {
                format!(
                    "`sampling_rate = {rate}`{} in {:.1} times smaller batches: write `epsilon` {epsilon} for {}",
                    same_noise(noise),
                    rate_now / rate,
                    all_rounds_words(noised.study.rounds.most)
                )
            })
        })
}

/// An evaluation shares the epsilon, and with another one both have other noise than before.
fn same_noise(noise: &StudyNoise) -> &'static str {
    if noise.evaluation.is_some() {
        ""
    } else {
        " with the same noise"
    }
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
