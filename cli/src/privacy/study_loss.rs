// SPDX-License-Identifier: Apache-2.0
//! What a study file promises, in the eyes of three attackers.

use super::amounts::{CERTIFIED, Certified, Estimate, meaning_for, rounded_up};
use anyhow::{Context, bail};
use consilium_learning::study::{Distributed, Mode, Study};
use consilium_privacy::accountant::{
    NoCertificate, NoisedVectors, PrivacyStatement, Promise, estimate_of_plans,
};
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, Unit, View};
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
    /// Nobody said how many the roster counts on.
    pub(super) colluders_assumed: bool,
    pub(super) delta: Delta,
    /// Of rounds of training.
    pub(super) attempts: u32,
    /// What the trial of the model takes of the same epsilon, if the study has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evaluation: Option<EvaluationLoss>,
    pub(super) mode: &'static str,
    /// Noised sums in each attempt: more than one where local steps are noised.
    pub(super) releases_per_attempt: u32,
    pub(super) clip: ClippingNorm,
    pub(super) asked: Epsilon,
    /// With which probability each patient takes part in an attempt.
    pub(super) sampling_rate: SamplingRate,
    /// `m`: the silos that one patient may be known to.
    pub(super) most_silos_per_patient: u32,
    /// Whom the noise hides, in words.
    pub(super) hidden: String,
    /// Whom the noise hides.
    pub(super) unit: Unit,
    pub(super) masks_hold: ViewLoss,
    /// The one that is charged.
    pub(super) colluders: ViewLoss,
    pub(super) masks_broken: ViewLoss,
    /// The certified epsilon of the view that is charged.
    #[serde(skip)]
    pub(super) charged: Epsilon,
}

/// The evaluation's own releases.
#[derive(Debug, Serialize)]
pub(super) struct EvaluationLoss {
    /// About this part of all patients.
    pub(super) hold_out: f64,
    pub(super) attempts: u32,
    /// Each patient held out is in one of them.
    pub(super) cells: u64,
    /// Of the charged view.
    pub(super) noise_multiplier: NoiseMultiplier,
    /// In each cell of the sum of all silos, in patients.
    pub(super) cell_standard_deviation: f64,
    /// The part of the study's privacy loss that its attempts take together.
    pub(super) loss_share: f64,
}

/// The loss in the eyes of one kind of attacker.
#[derive(Debug, Serialize)]
pub(super) struct ViewLoss {
    /// `null` where so little noise is seen that nothing is certified.
    pub(super) certified: Option<Certified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_certified: Option<String>,
    pub(super) estimate: Estimate,
    pub(super) noise_multiplier: NoiseMultiplier,
}

impl ViewLoss {
    fn of(noise: &StudyNoise, view: View, promise: Option<Promise>) -> anyhow::Result<Self> {
        let estimated =
            estimate_of_plans(noise.training(), noise.evaluation, view, noise.terms.delta)?;
        Ok(Self {
            certified: promise.map(|Promise { epsilon, order, .. }| Certified {
                epsilon,
                method: CERTIFIED,
                order,
            }),
            not_certified: promise
                .is_none()
                .then(|| NoCertificate::DistanceUsesDelta.to_string()),
            estimate: Estimate {
                epsilon: estimated.epsilon,
                method: estimated.method.name(),
            },
            noise_multiplier: noise.plan.multiplier(view)?,
        })
    }
}

impl ViewLoss {
    /// The certified epsilon, or that there is none.
    pub(super) fn certified_words(&self) -> String {
        match &self.certified {
            Some(certified) => rounded_up(certified.epsilon),
            None => "no certificate".to_owned(),
        }
    }
}

/// A study with noise, and how many take part in it.
pub(super) struct NoisedStudy {
    pub(super) study: Study,
    pub(super) silos: u32,
    pub(super) colluders: u32,
    /// Nobody said how many, so a third was taken.
    pub(super) colluders_assumed: bool,
}

/// Its noise in integers.
pub(super) struct StudyNoise {
    pub(super) plan: NoisePlan,
    pub(super) dimension: u64,
    pub(super) terms: Distributed,
    /// Of the evaluation, if the study has one.
    pub(super) evaluation: Option<NoisedVectors>,
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
            colluders_assumed: colluders.is_none(),
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
            evaluation: self
                .study
                .evaluation_plan(self.silos, self.dropouts()?, self.colluders)?
                .and_then(|vector| {
                    let dimension = vector.dimension;
                    vector.noise.map(|plan| NoisedVectors { plan, dimension })
                }),
        })
    }

    fn evaluation_loss(&self, evaluation: &NoisedVectors) -> anyhow::Result<EvaluationLoss> {
        let plan = &evaluation.plan;
        let asked = self.study.evaluation.as_ref();
        let asked = asked.context("the study has no evaluation")?;
        Ok(EvaluationLoss {
            hold_out: asked.hold_out,
            attempts: plan.attempts,
            cells: evaluation.dimension,
            noise_multiplier: plan.multiplier(View::Colluders)?,
            cell_standard_deviation: plan.multiplier(View::MasksBroken)?.value()
                * f64::from(plan.silos).sqrt(),
            loss_share: asked.charge.map_or(0.0, |charge| charge.loss_share),
        })
    }

    pub(super) fn loss(&self) -> anyhow::Result<StudyLoss> {
        let noise = self.noise()?;
        let (training, delta) = (noise.training(), noise.terms.delta);
        let promised = PrivacyStatement::of_plans(training, noise.evaluation, delta)?;
        Ok(StudyLoss {
            study: self.study.heading.name.clone(),
            silos: self.silos,
            dropouts_tolerated: self.dropouts()?,
            colluders_tolerated: self.colluders,
            colluders_assumed: self.colluders_assumed,
            delta: promised.delta,
            attempts: noise.plan.attempts,
            evaluation: noise
                .evaluation
                .map(|evaluation| self.evaluation_loss(&evaluation))
                .transpose()?,
            mode: self.study.privacy.mode().name(),
            releases_per_attempt: noise.plan.releases_per_attempt(),
            clip: noise.terms.clip,
            asked: noise.terms.epsilon,
            sampling_rate: noise.plan.batch.rate(),
            most_silos_per_patient: promised.silos_per_patient,
            hidden: noise.plan.hidden(),
            masks_hold: ViewLoss::of(&noise, View::MasksHold, Some(promised.masks_hold))?,
            colluders: ViewLoss::of(&noise, View::Colluders, Some(promised.colluders))?,
            unit: noise.plan.unit,
            masks_broken: ViewLoss::of(&noise, View::MasksBroken, promised.masks_broken)?,
            charged: promised.colluders.epsilon,
        })
    }
}

impl StudyNoise {
    /// The vectors of the rounds of training.
    pub(super) fn training(&self) -> NoisedVectors {
        NoisedVectors {
            plan: self.plan,
            dimension: self.dimension,
        }
    }

    /// The epsilon of so many attempts at training, and of the evaluation, in the view that is charged.
    pub(super) fn certified(&self, attempts: u32) -> anyhow::Result<Epsilon> {
        let plan = NoisePlan {
            attempts,
            ..self.plan
        };
        let training = NoisedVectors {
            plan,
            ..self.training()
        };
        let promised = PrivacyStatement::of_plans(training, self.evaluation, self.terms.delta)?;
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
            "\n{name:<34}{:<16}{:<12}{:.3}",
            view.certified_words(),
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
    let hidden = &loss.hidden;
    let uncertain = loss
        .masks_broken
        .not_certified
        .as_ref()
        .map_or_else(String::new, |why| format!("\n{:<34}({why})", ""));
    let releases = match loss.releases_per_attempt {
        1 => String::new(),
        more => format!(" of {more} noised local steps each"),
    };
    let local = if loss.mode == Mode::Local.name() {
        "\nlocal    each silo's own message carries the whole noise: no mask and no other silo is relied on"
    } else {
        ""
    };
    let evaluation = loss.evaluation.as_ref().map_or_else(String::new, |evaluation| {
        format!(
            "\nbesides  {} attempts at the evaluation, on about {:.0} % of the patients: {} cells, each with noise of {:.1} patients, {:.0} % of the loss",
            evaluation.attempts,
            100.0 * evaluation.hold_out,
            evaluation.cells,
            evaluation.cell_standard_deviation,
            100.0 * evaluation.loss_share
        )
    });
    format!(
        "study    `{study}` asks for epsilon {asked} at delta {delta}\n\
         silos    {silos} invited, {} may drop out, {} may collude with the coordinator{}\n\
         charged  {attempts} attempts{releases}, spare ones included; {hidden}{local}{evaluation}\n\
         sample   {}\n\
         \n{:<34}{:<16}{:<12}{}{}{}{}{uncertain}\n\
         \nmeaning  {}",
        loss.dropouts_tolerated,
        loss.colluders_tolerated,
        if loss.colluders_assumed {
            " (assumed; with fewer in the roster each silo adds less noise: `--colluders`)"
        } else {
            ""
        },
        match loss.unit {
            Unit::Patient => taking_part(loss.sampling_rate),
            Unit::Silo => "every silo in every attempt, with one vector of its own".to_owned(),
        },
        "WHILE",
        "EPSILON",
        "ESTIMATE",
        "NOISE/CLIP",
        view("the masks hold", &loss.masks_hold),
        view(&colluding, &loss.colluders),
        view("the masks are broken", &loss.masks_broken),
        meaning_for(loss.unit, loss.charged, *delta)
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
            colluders_assumed: false,
        }
    }

    #[test]
    fn the_charged_epsilon_of_a_study_is_the_one_it_asks_for() {
        let file = include_bytes!("../../../examples/studies/private-logistic.toml");
        let loss = noised(file).loss().unwrap();
        let certified = |view: &ViewLoss| view.certified.as_ref().unwrap().epsilon;
        assert!(certified(&loss.colluders) <= loss.asked);
        assert!(certified(&loss.masks_hold) < certified(&loss.colluders));
        assert!(certified(&loss.colluders) < certified(&loss.masks_broken));
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
            let certified = view.certified.as_ref().unwrap().epsilon.value();
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
    fn little_noise_has_no_certificate_once_the_masks_are_broken_and_says_so() {
        let file = include_str!("../../../examples/studies/private-logistic.toml")
            .replace("epsilon = \"3\"", "epsilon = \"30\"")
            .replace("sampling_rate = 1.0", "sampling_rate = 0.5");
        let loss = noised(file.as_bytes()).loss().unwrap();
        assert!(loss.masks_broken.certified.is_none() && loss.colluders.certified.is_some());
        let words = study_words(&loss);
        assert!(
            words.contains("no certificate") && words.contains("uses delta up"),
            "{words}"
        );
        assert!(words.lines().all(|line| line.len() < 200), "{words}");
    }

    #[test]
    fn a_patient_of_several_hospitals_is_said_in_words() {
        let file = include_str!("../../../examples/studies/private-logistic.toml").replace(
            "expected_patients =",
            "most_silos_per_patient = 2\nexpected_patients =",
        );
        let loss = noised(file.as_bytes()).loss().unwrap();
        let words = study_words(&loss);
        assert!(
            words.contains("one patient, who may be known to 2 of the hospitals"),
            "{words}"
        );
    }

    #[test]
    fn a_study_that_hides_whole_silos_says_so_and_keeps_its_promise() {
        let file = include_bytes!("../../../examples/studies/private-silo.toml");
        let loss = noised(file).loss().unwrap();
        assert!(loss.charged <= loss.asked);
        let words = study_words(&loss);
        for said in [
            "one hospital with all of its patients",
            "every silo in every attempt",
            "which of two sets of data a hospital has",
        ] {
            assert!(words.contains(said), "{words}");
        }
    }

    #[test]
    fn a_study_without_noise_has_no_epsilon() {
        let file = include_bytes!("../../../examples/studies/logistic.toml");
        let fault = noised(file).loss().unwrap_err();
        assert!(fault.to_string().contains("without noise"), "{fault}");
    }
}
