// SPDX-License-Identifier: Apache-2.0
//! What a study file promises, in the eyes of three attackers.

use super::amounts::{CERTIFIED, Certified, Estimate, meaning, rounded_up};
use anyhow::{Context, bail};
use consilium_learning::study::{Distributed, Mode, Study};
use consilium_privacy::accountant::{PrivacyStatement, Promise, estimate_of_plan};
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, View};
use consilium_protocol::Thresholds;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The three losses of a study.
#[derive(Debug, Serialize)]
pub(super) struct StudyLoss {
    pub(super) study: String,
    pub(super) silos: u32,
    /// `n_d`
    pub(super) dropouts_tolerated: u32,
    /// `n_c`
    pub(super) colluders_tolerated: u32,
    pub(super) delta: Delta,
    pub(super) attempts: u32,
    pub(super) mode: &'static str,
    /// Noised sums in each attempt: more than one where local steps are noised.
    pub(super) releases_per_attempt: u32,
    pub(super) clip: ClippingNorm,
    pub(super) asked: Epsilon,
    /// With which probability each patient takes part in an attempt.
    pub(super) sampling_rate: SamplingRate,
    pub(super) masks_hold: ViewLoss,
    /// The one that is charged.
    pub(super) colluders: ViewLoss,
    pub(super) masks_broken: ViewLoss,
}

/// The loss in the eyes of one kind of attacker.
#[derive(Debug, Serialize)]
pub(super) struct ViewLoss {
    pub(super) certified: Certified,
    pub(super) estimate: Estimate,
    pub(super) noise_multiplier: NoiseMultiplier,
}

impl ViewLoss {
    fn of(noise: &StudyNoise, view: View, promise: Promise) -> anyhow::Result<Self> {
        let Promise {
            epsilon,
            order,
            multiplier,
        } = promise;
        let estimated = estimate_of_plan(&noise.plan, view, noise.dimension, noise.terms.delta)?;
        Ok(Self {
            certified: Certified {
                epsilon,
                method: CERTIFIED,
                order,
            },
            estimate: Estimate {
                epsilon: estimated.epsilon,
                method: estimated.method.name(),
            },
            noise_multiplier: multiplier,
        })
    }
}

/// A study with noise, and how many take part in it.
pub(super) struct NoisedStudy {
    pub(super) study: Study,
    pub(super) silos: u32,
    pub(super) colluders: u32,
}

/// Its noise in integers.
pub(super) struct StudyNoise {
    pub(super) plan: NoisePlan,
    pub(super) dimension: u64,
    pub(super) terms: Distributed,
}

impl NoisedStudy {
    /// Reads a study file. How many silos there are comes from the command line or from the study's invitations.
    pub(super) fn read(
        file: &Path,
        silos: Option<u32>,
        colluders: Option<u32>,
    ) -> anyhow::Result<Self> {
        let bytes = fs::read(file)
            .with_context(|| format!("the study file `{}` cannot be read", file.display()))?;
        let study = Study::parse(&bytes).with_context(|| format!("in `{}`", file.display()))?;
        let named = u32::try_from(study.heading.invite.len())
            .ok()
            .filter(|named| *named > 0);
        let Some(silos) = silos.or(named) else {
            bail!("how much noise each silo adds depends on their number: give `--silos N`");
        };
        Ok(Self {
            study,
            silos,
            colluders: colluders.unwrap_or(silos / 3),
        })
    }

    pub(super) fn dropouts(&self) -> anyhow::Result<u32> {
        Ok(Thresholds::new(self.silos, self.colluders, None)?.dropouts)
    }

    pub(super) fn noise(&self) -> anyhow::Result<StudyNoise> {
        let Some(terms) = self.study.privacy.promise() else {
            bail!(
                "`privacy.mode` is `none`: without noise there is no epsilon, only the sum hides a patient"
            );
        };
        let vector = self
            .study
            .vector_plan(self.silos, self.dropouts()?, self.colluders)?;
        let Some(plan) = vector.noise else {
            bail!("the study's vector carries no noise");
        };
        Ok(StudyNoise {
            plan,
            dimension: vector.dimension,
            terms: terms.clone(),
        })
    }

    pub(super) fn loss(&self) -> anyhow::Result<StudyLoss> {
        let noise = self.noise()?;
        let promised = PrivacyStatement::of_plan(&noise.plan, noise.dimension, noise.terms.delta)?;
        Ok(StudyLoss {
            study: self.study.heading.name.clone(),
            silos: self.silos,
            dropouts_tolerated: self.dropouts()?,
            colluders_tolerated: self.colluders,
            delta: promised.delta,
            attempts: promised.attempts,
            mode: self.study.privacy.mode().name(),
            releases_per_attempt: noise.plan.releases_per_attempt(),
            clip: noise.terms.clip,
            asked: noise.terms.epsilon,
            sampling_rate: noise.plan.batch.rate(),
            masks_hold: ViewLoss::of(&noise, View::MasksHold, promised.masks_hold)?,
            colluders: ViewLoss::of(&noise, View::Colluders, promised.colluders)?,
            masks_broken: ViewLoss::of(&noise, View::MasksBroken, promised.masks_broken)?,
        })
    }
}

impl StudyNoise {
    /// The epsilon of so many attempts in the view that is charged.
    pub(super) fn certified(&self, attempts: u32) -> anyhow::Result<Epsilon> {
        let plan = NoisePlan {
            attempts,
            ..self.plan
        };
        let promised = PrivacyStatement::of_plan(&plan, self.dimension, self.terms.delta)?;
        Ok(promised.colluders.epsilon)
    }
}

pub(super) fn study_loss(
    file: &Path,
    silos: Option<u32>,
    colluders: Option<u32>,
) -> anyhow::Result<StudyLoss> {
    NoisedStudy::read(file, silos, colluders)?
        .loss()
        .with_context(|| format!("in `{}`", file.display()))
}

pub(super) fn study_words(loss: &StudyLoss) -> String {
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
    let releases = match loss.releases_per_attempt {
        1 => String::new(),
        more => format!(" of {more} noised local steps each"),
    };
    let local = if loss.mode == Mode::Local.name() {
        "\nlocal    each silo's own message carries the whole noise: no mask and no other silo is relied on"
    } else {
        ""
    };
    format!(
        "study    `{study}` asks for epsilon {asked} at delta {delta}\n\
         silos    {silos} invited, {} may drop out, {} may collude with the coordinator\n\
         charged  {attempts} attempts{releases}, spare ones included; one patient of one hospital{local}\n\
         sample   {}\n\
         \n{:<34}{:<12}{:<12}{}{}{}{}\n\
         \nmeaning  {}",
        loss.dropouts_tolerated,
        loss.colluders_tolerated,
        taking_part(loss.sampling_rate),
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

/// Who takes part in an attempt, in words.
pub(super) fn taking_part(rate: SamplingRate) -> String {
    if rate == SamplingRate::EVERYBODY {
        "every patient in every attempt".to_owned()
    } else {
        format!(
            "each patient in each attempt with probability {rate}, drawn by the hospital and told to nobody"
        )
    }
}

fn colluding(silos: u32) -> String {
    match silos {
        0 => "nobody colludes (charged)".to_owned(),
        1 => "1 silo colludes (charged)".to_owned(),
        more => format!("{more} silos collude (charged)"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn noised(file: &[u8]) -> NoisedStudy {
        NoisedStudy {
            study: Study::parse(file).unwrap(),
            silos: 4,
            colluders: 1,
        }
    }

    #[test]
    fn the_charged_epsilon_of_a_study_is_the_one_it_asks_for() {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        let loss = noised(file).loss().unwrap();
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
    fn a_local_study_keeps_its_promise_without_any_mask_and_says_so() {
        let file = include_bytes!("../../../examples/studies/private-local.toml");
        let loss = noised(file).loss().unwrap();
        assert!(loss.releases_per_attempt > 1);
        let asked = loss.asked.value();
        for view in [&loss.masks_hold, &loss.colluders, &loss.masks_broken] {
            let certified = view.certified.epsilon.value();
            assert!(
                certified <= asked && certified > 0.999 * asked,
                "{certified}"
            );
        }
        let words = study_words(&loss);
        assert!(
            words.contains("noised local steps each") && words.contains("no mask"),
            "{words}"
        );
    }

    #[test]
    fn a_study_without_noise_has_no_epsilon() {
        let file = include_bytes!("../../../examples/studies/logistic.toml");
        let fault = noised(file).loss().unwrap_err();
        assert!(fault.to_string().contains("without noise"), "{fault}");
    }
}
