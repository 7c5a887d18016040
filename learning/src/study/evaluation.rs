// SPDX-License-Identifier: Apache-2.0
//! `[evaluation]`: patients from whom the model is not learned and on whom it is tried, once, after the last round.
//!
//! The trial is one more release: a histogram in which each of these patients falls into one cell. With noise it is
//! charged, and training and evaluation keep to the study's one epsilon together.

use consilium_privacy::noise_plan::Unit;
use consilium_privacy::patient_split::PatientSplit;
use serde::Serialize;

use super::schema::{DataSchema, Scaling};
use super::section::Section;
use super::{Analysis, Mode, ModelPlan, Privacy, StudyFault};

/// Whom the model is tried on, how finely it is looked at, and what of the study's privacy loss that takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// About this part of all patients is held out.
    pub hold_out: f64,
    /// Which of the many splits; public, and the same for all studies that do not name another.
    #[serde(skip_serializing_if = "is_zero")]
    pub split_seed: u32,
    /// The inner edges of the bins of a score from 0 to 1; none where right and wrong are counted by label.
    pub edges: Vec<f64>,
    /// What noise adds to it; `None` without noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charge: Option<EvaluationCharge>,
}

/// What an evaluation with noise may cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EvaluationCharge {
    /// The part of the study's privacy loss that the evaluation takes with all its attempts.
    pub loss_share: f64,
    /// Attempts beyond the first that are reserved.
    pub spare_attempts: u32,
}

/// What a model is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// A probability of one of two labels.
    Probability,
    /// Which of several labels is the most probable.
    Labels,
    /// How far off a number is.
    Distance,
}

impl Evaluation {
    pub(super) fn read(
        section: Option<Section>,
        analysis: &Analysis,
        data: &DataSchema,
        privacy: &Privacy,
    ) -> Result<Option<Self>, StudyFault> {
        let Some(mut section) = section else {
            return Ok(None);
        };
        let hold_out = section.optional("hold_out")?.unwrap_or(0.0);
        if hold_out == 0.0 {
            let others = EVALUATION_KEYS.get(1..).unwrap_or_default();
            section.refuse_all(others, "nobody is held out on whom the model is tried")?;
            return Ok(None);
        }
        check_share(&section, hold_out, privacy)?;
        let looked = looked_for(&section, analysis, data)?;
        if privacy.mode() == Mode::Local {
            return Err(section.invalid(
                "hold_out",
                "an evaluation is noised under masks, which mode `local` does not rely on",
                "write 0.0, or `[privacy] mode = \"distributed\"`",
            ));
        }
        if privacy
            .promise()
            .is_some_and(|promise| promise.unit == Unit::Silo)
        {
            return Err(section.invalid(
                "hold_out",
                "each cell of an evaluation hides one patient, and not a whole silo",
                "write 0.0, or `[privacy] unit = \"patient\"`",
            ));
        }
        if privacy
            .promise()
            .is_some_and(|promise| promise.most_silos_per_patient > 1)
        {
            return Err(section.invalid(
                "hold_out",
                "the noise of an evaluation hides a patient of one silo, not one whom several silos may know",
                "write 0.0, or `[privacy] most_silos_per_patient = 1`",
            ));
        }
        if data.patient.is_none() {
            return Err(StudyFault::Missing {
                field: "data.patient".to_owned(),
                expected: "the column that marks the rows of one patient, by whose value patients are held out",
            });
        }
        if data.scaling == Scaling::PerSite {
            return Err(section.invalid(
                "hold_out",
                "with `data.scaling = \"per-site\"` the patients that are held out would scale the others",
                "write 0.0, or `data.scaling = \"public-ranges\"`",
            ));
        }
        let charge = EvaluationCharge::read(&mut section, privacy.mode())?;
        Ok(Some(Self {
            hold_out,
            charge,
            edges: read_edges(&mut section, looked)?,
            split_seed: section.optional("split_seed")?.unwrap_or(0),
        }))
    }

    /// The part of all patients from whom the model is learned.
    pub fn trained_share(&self) -> f64 {
        1.0 - self.hold_out
    }

    /// Who is held out of a data set of this name.
    #[expect(clippy::expect_used, reason = "no other share is read from a study")]
    pub fn split(&self, data_set: &str) -> PatientSplit {
        let seed = self.split_seed.to_string();
        PatientSplit::new(&[data_set.as_bytes(), seed.as_bytes()], self.hold_out)
            .expect("a share between 0 and 1")
    }

    /// Attempts that are reserved for it: one, and spare ones.
    pub fn attempts(&self) -> u32 {
        let spare = self.charge.map_or(0, |charge| charge.spare_attempts);
        spare.saturating_add(1)
    }
}

impl EvaluationCharge {
    fn read(section: &mut Section, mode: Mode) -> Result<Option<Self>, StudyFault> {
        if mode == Mode::None {
            // One split for all: without noise, the sums of two splits would tell whom only one of them holds out.
            let keys = ["loss_share", "spare_attempts", "split_seed"];
            section.refuse_all(&keys, "an unnoised study has no such key")?;
            return Ok(None);
        }
        let loss_share = section.optional("loss_share")?.unwrap_or(USUAL_LOSS_SHARE);
        if !(LEAST_LOSS_SHARE..=MOST_LOSS_SHARE).contains(&loss_share) {
            return Err(section.invalid(
                "loss_share",
                "out of bounds",
                format!("write {LEAST_LOSS_SHARE} to {MOST_LOSS_SHARE}"),
            ));
        }
        let spare_attempts = section.optional("spare_attempts")?.unwrap_or(1);
        if spare_attempts > MOST_SPARE_ATTEMPTS {
            return Err(section.invalid(
                "spare_attempts",
                "too many attempts at one release",
                format!("write at most {MOST_SPARE_ATTEMPTS}"),
            ));
        }
        Ok(Some(Self {
            loss_share,
            spare_attempts,
        }))
    }
}

fn check_share(section: &Section, hold_out: f64, privacy: &Privacy) -> Result<(), StudyFault> {
    match privacy.promise() {
        // SECURITY: without noise, two studies whose splits differ in a patient would tell that patient's vector. Of the
        // shares here any two differ in a tenth of all patients.
        None if !UNNOISED_SHARES.contains(&hold_out) => Err(section.invalid(
            "hold_out",
            "without noise the difference of two splits must be no small group of patients",
            "write 0.1, 0.2, 0.3, 0.4 or 0.5",
        )),
        None => Ok(()),
        Some(_) if !(0.01..=0.9).contains(&hold_out) => {
            Err(section.invalid("hold_out", "out of bounds", "write 0.01 to 0.9"))
        }
        Some(promise) if promise.expected_batch() * (1.0 - hold_out) < 1.0 => Err(section.invalid(
            "hold_out",
            "no patient is expected in most rounds of training",
            "write a smaller share",
        )),
        Some(_) => Ok(()),
    }
}

fn looked_for(
    section: &Section,
    analysis: &Analysis,
    data: &DataSchema,
) -> Result<Looked, StudyFault> {
    let Some(plan) = analysis.regression() else {
        return Err(section.invalid(
            "hold_out",
            format!("`{}` learns no model that could be tried", analysis.kind()),
            "write 0.0",
        ));
    };
    Ok(match plan.model {
        ModelPlan::Logistic => Looked::Probability,
        ModelPlan::Linear => Looked::Distance,
        ModelPlan::Softmax | ModelPlan::Perceptron { .. } => {
            let labels = data.category("analysis.outcome.column", &plan.outcome)?;
            if labels.labels().len() == 2 {
                Looked::Probability
            } else {
                Looked::Labels
            }
        }
    })
}

fn read_edges(section: &mut Section, looked: Looked) -> Result<Vec<f64>, StudyFault> {
    if looked == Looked::Labels {
        let problem = "with more than two labels right and wrong are counted for each label";
        section.refuse_all(&["bins", "edges"], problem)?;
        return Ok(Vec::new());
    }
    let Some(edges) = section.optional::<Vec<f64>>("edges")? else {
        let bins: u32 = section.optional("bins")?.unwrap_or(USUAL_BINS);
        if !(2..=MOST_BINS).contains(&bins) || (looked == Looked::Probability && bins % 2 == 1) {
            return Err(section.invalid(
                "bins",
                "not a number of bins with one half as an edge",
                format!("write an even number from 2 to {MOST_BINS}"),
            ));
        }
        let inner = (1..bins).map(|edge| f64::from(edge) / f64::from(bins));
        return Ok(match looked {
            // Finer near zero, where most distances are.
            Looked::Distance => inner.map(|edge| edge * edge).collect(),
            Looked::Probability | Looked::Labels => inner.collect(),
        });
    };
    section.refuse_all(&["bins"], "the study names the `edges` of the bins")?;
    let rising = edges.iter().zip(edges.iter().skip(1));
    let fits = !edges.is_empty()
        && edges.len() < usize::try_from(MOST_BINS).unwrap_or(usize::MAX)
        && edges.iter().all(|edge| *edge > 0.0 && *edge < 1.0)
        && rising.into_iter().all(|(low, high)| low < high);
    if !fits {
        return Err(section.invalid(
            "edges",
            "not rising, or not between 0 and 1",
            "write inner edges such as [0.1, 0.2, 0.5]",
        ));
    }
    if looked == Looked::Probability && !edges.contains(&HALF) {
        return Err(section.invalid(
            "edges",
            "without 0.5 nobody can tell right from wrong",
            "write 0.5 among them",
        ));
    }
    Ok(edges)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that the serialiser calls"
)]
fn is_zero(seed: &u32) -> bool {
    *seed == 0
}

/// The keys of `[evaluation]`; `hold_out` first.
pub(super) const EVALUATION_KEYS: &[&str] = &[
    "hold_out",
    "split_seed",
    "bins",
    "edges",
    "loss_share",
    "spare_attempts",
];

/// From here on a label is held for the more probable one.
pub(crate) const HALF: f64 = 0.5;
const UNNOISED_SHARES: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];
const USUAL_BINS: u32 = 10;
const MOST_BINS: u32 = 100;
const USUAL_LOSS_SHARE: f64 = 0.2;
const LEAST_LOSS_SHARE: f64 = 0.001;
const MOST_LOSS_SHARE: f64 = 0.9;
const MOST_SPARE_ATTEMPTS: u32 = 100;
