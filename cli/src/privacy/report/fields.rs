// SPDX-License-Identifier: Apache-2.0
//! The fields of a privacy report, after NIST SP 800-226, "Guidelines for Evaluating Differential Privacy
//! Guarantees".

use super::audit::Audit;
use super::charged::Charged;
use super::curves::Curves;
use super::derived;
use super::run::Run;
use crate::privacy::prediction::{Prediction, Width, predict, predict_widths};
use crate::privacy::study_loss::{NoisedStudy, StudyLoss, StudyNoise, taking_part};
use consilium_crypto::transcript::sha256;
use consilium_privacy::accountant::meaning::Meaning;
use consilium_privacy::accountant::{SamplerDistance, zcdp};
use consilium_privacy::batch::Batch;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, Rho};
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, Unit, View};
use serde::Serialize;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct PrivacyReport {
    pub(super) format: &'static str,
    pub(super) study: StudyFacts,
    pub(super) guarantee: Guarantee,
    /// In the eyes of three attackers.
    pub(super) views: StudyLoss,
    pub(super) mechanism: MechanismFacts,
    pub(super) accounting: Accounting,
    pub(super) boundary: Boundary,
    pub(super) implementation: Implementation,
    pub(super) limits: Vec<String>,
    pub(super) meaning: Meaning,
    /// On synthetic patients; `null` where the study predicts nothing.
    pub(super) prediction: Option<Prediction>,
    /// Of statistics: how wide their intervals will be, on synthetic patients.
    pub(super) widths: Vec<Width>,
    pub(super) curves: Curves,
}

#[derive(Debug, Serialize)]
pub(super) struct StudyFacts {
    pub(super) name: String,
    pub(super) researcher: String,
    pub(super) purpose: String,
    pub(super) ethics: String,
    pub(super) data: String,
    /// SHA-256 of the signed file.
    pub(super) digest: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Guarantee {
    pub(super) flavour: &'static str,
    pub(super) unit: String,
    /// Silos that one patient may be known to: together they move the sum by as many clips.
    pub(super) most_silos_per_patient: u32,
    pub(super) adjacency: &'static str,
    /// As asked; the certificate of the charged view is at most this.
    pub(super) epsilon: Epsilon,
    pub(super) delta: Delta,
    /// Of the charged view, in zero-concentrated differential privacy; `null` on samples, for which it is not computed.
    pub(super) rho: Option<Rho>,
    pub(super) trust_model: String,
}

#[derive(Debug, Serialize)]
pub(super) struct MechanismFacts {
    pub(super) mechanism: &'static str,
    pub(super) clip: ClippingNorm,
    pub(super) clip_origin: &'static str,
    pub(super) noise_multiplier: NoiseMultiplier,
    /// Noised sums in each attempt.
    pub(super) releases_per_attempt: u32,
    pub(super) sampling_rate: String,
    pub(super) coordinates: u64,
    /// The integers that every silo derived.
    pub(super) plan: NoisePlan,
}

#[derive(Debug, Serialize)]
pub(super) struct Accounting {
    pub(super) certificate: &'static str,
    pub(super) estimate: &'static str,
    pub(super) rounds_planned: u32,
    pub(super) rounds_run: Option<u64>,
    /// `T`: rounds and spare attempts.
    pub(super) attempts_planned: u32,
    /// At the evaluation, besides, with noise of their own.
    pub(super) evaluation_attempts_planned: u32,
    /// What a hospital's ledger says; `null` without one.
    pub(super) charged: Option<Charged>,
    pub(super) composition: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Boundary {
    pub(super) released: &'static str,
    /// The trial of the model on patients held out.
    pub(super) evaluation: &'static str,
    pub(super) not_released: &'static str,
    pub(super) tuning: String,
    pub(super) preprocessing: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Implementation {
    pub(super) software: String,
    pub(super) sampler: SamplerFacts,
    pub(super) generator: &'static str,
    pub(super) enforced_by: String,
    pub(super) audit: Audit,
}

/// How far what is sampled is from the noise that is accounted for.
#[derive(Debug, Serialize)]
pub(super) struct SamplerFacts {
    pub(super) name: &'static str,
    /// Of all draws of all attempts together, those at an evaluation too, in total variation.
    pub(super) distance: f64,
    /// `(1 + e^epsilon)` times the distance, inside the study's delta.
    pub(super) delta_taken: f64,
}

impl PrivacyReport {
    pub(super) fn of(noised: &NoisedStudy, file: &[u8], run: Run) -> anyhow::Result<Self> {
        let noise = noised.noise()?;
        let views = noised.loss()?;
        let charged = noise.plan.multiplier(View::Colluders)?;
        let heading = &noised.study.heading;
        let batch = noise.plan.batch;
        let silos_per_patient = noise.plan.silos_per_patient;
        let distance = std::iter::once(noise.training())
            .chain(noise.evaluation)
            .fold(SamplerDistance::NONE, |sum, vectors| {
                let of_one = vectors.plan.distance_from_exact(vectors.dimension);
                sum.plus(of_one.times(vectors.plan.attempts))
            });
        Ok(Self {
            format: "consilium-privacy-report/1",
            study: StudyFacts {
                name: heading.name.clone(),
                researcher: heading.researcher.clone(),
                purpose: heading.purpose.clone(),
                ethics: heading.ethics.clone(),
                data: heading.data.clone(),
                digest: sha256(file).to_string(),
            },
            guarantee: Guarantee {
                flavour: match noise.plan.placement {
                    NoisePlacement::Shared => {
                        "(epsilon, delta)-differential privacy, certified by Renyi differential privacy"
                    }
                    NoisePlacement::Local { .. } => {
                        "inter-silo record-level (epsilon, delta)-differential privacy (ISRL-DP), certified by Renyi differential privacy"
                    }
                },
                unit: match noise.plan.unit {
                    Unit::Patient => {
                        format!("{}, with all of that patient's rows", noise.plan.hidden())
                    }
                    Unit::Silo => noise.plan.hidden(),
                },
                most_silos_per_patient: silos_per_patient,
                adjacency: match noise.plan.unit {
                    Unit::Patient => "add-remove: the patient took part, or did not",
                    Unit::Silo => {
                        "replace: all data of the hospital are exchanged for any others; that it took part, with its noise, is public in both"
                    }
                },
                epsilon: noise.terms.epsilon,
                delta: noise.terms.delta,
                rho: (batch == Batch::Everybody)
                    .then(|| rho(charged, &noise))
                    .transpose()?
                    .flatten(),
                trust_model: match noise.plan.placement {
                    NoisePlacement::Shared => format!(
                        "distributed: each silo adds its share under masks; no coordinator is trusted; {} of {} silos may collude, {} may drop out",
                        noised.colluders, noised.silos, views.dropouts_tolerated
                    ),
                    NoisePlacement::Local { .. } => "local: each silo's own message is private by itself; neither coordinator, masks nor other silos are trusted"
                        .to_owned(),
                },
            },
            mechanism: MechanismFacts {
                mechanism: match noise.plan.placement {
                    NoisePlacement::Shared => {
                        "sum of discrete Gaussians on the integers, one of each silo"
                    }
                    NoisePlacement::Local { .. } => {
                        "discrete Gaussian on the integers, at every local step of each silo"
                    }
                },
                clip: noise.terms.clip,
                clip_origin: derived::clip_origin(file),
                noise_multiplier: charged,
                releases_per_attempt: noise.plan.releases_per_attempt(),
                sampling_rate: match noise.plan.unit {
                    Unit::Patient => format!(
                        "{}: {}",
                        views.sampling_rate,
                        taking_part(views.sampling_rate)
                    ),
                    Unit::Silo => "1: every hospital in every attempt".to_owned(),
                },
                coordinates: noise.dimension,
                plan: noise.plan,
            },
            accounting: Accounting {
                certificate: match batch {
                    Batch::Everybody => {
                        "Renyi divergence at the integer orders 2 to 64 and twelve more to 1024, best order"
                    }
                    Batch::Drawn(_) => {
                        "Renyi divergence under Poisson sampling at the integer orders 2 to 64 and twelve more to 1024, best order"
                    }
                },
                estimate: match batch {
                    Batch::Everybody => {
                        "closed form of the continuous Gaussian: shown, never promised"
                    }
                    Batch::Drawn(_) => {
                        "distribution of the privacy loss, connect the dots: shown, never promised"
                    }
                },
                rounds_planned: noised.study.rounds.most,
                rounds_run: run.rounds,
                attempts_planned: noise.plan.attempts,
                evaluation_attempts_planned: noise.evaluation.map_or(0, |vectors| vectors.plan.attempts),
                charged: run.charged,
                composition: "all attempts of this study, spare ones included; other studies of the same patients add up in each hospital's ledger",
            },
            boundary: Boundary {
                released: match (noise.plan.placement, batch) {
                    (NoisePlacement::Shared, _) if noise.plan.unit == Unit::Silo => {
                        "the noised sum of one clipped vector per hospital, once per attempt, divided by the number of hospitals invited; models computed from these sums"
                    }
                    (NoisePlacement::Shared, Batch::Everybody) => {
                        "the noised sum of one clipped vector per patient, once per attempt; models computed from these sums"
                    }
                    (NoisePlacement::Shared, Batch::Drawn(_)) => {
                        "the noised sum of one clipped vector per patient drawn, once per attempt, divided by a public number; models computed from these sums"
                    }
                    (NoisePlacement::Local { .. }, _) => {
                        "the sum of the silos' moves, once per attempt, each computed from noised sums of one clipped vector per patient; charged as if every silo's noised sum of every local step were seen"
                    }
                },
                evaluation: match noise.evaluation {
                    Some(_) => {
                        "the noised histogram of the last model's score by outcome, over patients whom a public hash of their id held out of the training: one cell for each; charged besides, and both keep to one epsilon"
                    }
                    None => "none: the model is not tried on patients",
                },
                not_released: "single vectors, sums of one hospital, batch sizes, who was drawn, counts of examples, losses and metrics",
                tuning: derived::tuning(&noised.study),
                preprocessing: derived::preprocessing(&noised.study),
            },
            implementation: Implementation {
                software: format!("consilium {}", env!("CARGO_PKG_VERSION")),
                sampler: SamplerFacts {
                    name: "discrete Gaussian by integer arithmetic, within 2^-96 of exact for each coordinate",
                    distance: distance.total_variation(),
                    delta_taken: distance.delta_taken(views.charged),
                },
                generator: "ChaCha20 with fast key erasure, seeded by the operating system",
                enforced_by: derived::enforced_by(&noise.plan),
                audit: Audit::OF_THE_MECHANISM,
            },
            limits: limits(&noise.plan, noised),
            meaning: Meaning::of(views.charged, noise.terms.delta),
            prediction: predict(noised).ok(),
            widths: predict_widths(noised).unwrap_or_default(),
            curves: Curves::of(noised, &noise)?,
            views,
        })
    }
}

/// Of all attempts, those at the evaluation among them.
fn rho(charged: NoiseMultiplier, noise: &StudyNoise) -> anyhow::Result<Option<Rho>> {
    let times_moved = match noise.plan.unit {
        Unit::Patient => f64::from(noise.plan.silos_per_patient),
        Unit::Silo => 2.0,
    };
    let Ok(moved) = NoiseMultiplier::new(charged.value() / times_moved) else {
        return Ok(None);
    };
    let training = zcdp::rho(moved, noise.plan.releases());
    let Some(vectors) = noise.evaluation else {
        return Ok(Some(training));
    };
    let multiplier = vectors.plan.multiplier(View::Colluders)?;
    let evaluation = zcdp::rho(multiplier, vectors.plan.attempts);
    Ok(Some(zcdp::together(training, evaluation)))
}

/// What the numbers do not cover.
fn limits(plan: &NoisePlan, noised: &NoisedStudy) -> Vec<String> {
    let beyond = match (plan.unit, plan.silos_per_patient) {
        (Unit::Silo, _) => "Patients are hidden with their hospital and no better: one who is known to several hospitals is protected less, and studies whose unit is the patient do not hide the hospital.".to_owned(),
        (Unit::Patient, 0 | 1) => "A patient who is known to several of the hospitals is protected less: the promise is per hospital.".to_owned(),
        (Unit::Patient, several) => format!(
            "A patient who is known to more than {several} of the hospitals is protected less. Up to {several} are counted: such a patient moves the sum by {several} clips, and the noise is planned for that."
        ),
    };
    let mut limits = vec![
        match plan.placement {
            NoisePlacement::Shared => {
                "When more silos survive than promised, more noise is in the sum than accounted for; the excess is not removed, and the charge is not lowered."
            }
            NoisePlacement::Local { .. } => {
                "The noise of the other silos hides more than is accounted for; the excess is not removed, and the charge is not lowered."
            }
        },
        "The estimate does not bound the rounding of its own arithmetic; nothing rests on it.",
        "That a study took place, and which hospitals took part, is public.",
        "What one learns about everybody, a smoker's risk for instance, is learned about a patient too: that is the study's purpose.",
        "Nobody outside the project has reviewed this software.",
    ];
    let mut limits: Vec<String> = std::iter::once(beyond)
        .chain(limits.drain(..).map(str::to_owned))
        .collect();
    if noised.colluders_assumed && matches!(plan.placement, NoisePlacement::Shared) {
        limits.push(format!(
            "That {} of {} silos may collude was assumed when this report was made. If the federation's roster counts on fewer, each silo adds less noise and every epsilon here is too small; `--colluders` states the roster's number.",
            noised.colluders, noised.silos
        ));
    }
    if let Batch::Drawn(_) = plan.batch {
        limits.push(
            "For a patient replaced by another nothing is certified on samples; and the promise rests on nobody learning who was drawn."
                .to_owned(),
        );
    }
    limits
}
