// SPDX-License-Identifier: Apache-2.0
//! `[privacy]` and `[aggregation]`: the noise of the study and the integers it is summed in.

use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, SamplingRate};
use consilium_privacy::noise_plan::Unit;
use serde::Serialize;

use super::StudyFault;
use super::analysis::Analysis;
use super::method::Method;
use super::schema::DataSchema;
use super::section::Section;
use super::unit::is_patient;

/// Who adds noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody; every hospital's policy must permit it in words.
    None,
    /// Every silo adds a share under the masks; the sum carries the whole.
    Distributed,
    /// Every silo adds the whole to each of its own sums, at every local step, and relies on no mask.
    Local,
}

/// `[privacy]`: with what noise patients are protected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    /// No noise at all.
    None,
    /// Noise shares under the masks.
    Distributed(Distributed),
    /// Whole noise at every local step of each silo.
    Local(Distributed),
}

/// The promise to each patient, or to each silo, and the public constants it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distributed {
    /// The privacy loss of the whole study, for one patient added or removed or, where the silo is the unit, for all data of
    /// one silo exchanged for others.
    pub epsilon: Epsilon,
    /// The probability with which `epsilon` may not hold.
    pub delta: Delta,
    /// The L2 norm to which one patient's vector is clipped, or a silo's whole contribution where it is the unit.
    pub clip: ClippingNorm,
    /// The nominal number of patients in all silos: a public constant, never the true count.
    pub expected_patients: u64,
    /// A public bound on the patients of one silo; it sizes the words of the sum. 1, for one vector, where the silo is the unit.
    pub most_patients_per_silo: u64,
    /// A public number of rows that one patient may have before the clip shortens that patient's vector.
    #[serde(skip_serializing_if = "is_one")]
    pub most_rows_per_patient: u32,
    /// The silos to which one patient may be known, and in each of which that patient has one vector.
    #[serde(skip_serializing_if = "is_one")]
    pub most_silos_per_patient: u32,
    /// The probability with which each patient, on its own, takes part in a round; each attempt draws anew.
    #[serde(skip_serializing_if = "is_everybody")]
    pub sampling_rate: SamplingRate,
    /// Whom the noise hides.
    #[serde(skip_serializing_if = "is_patient")]
    pub unit: Unit,
    /// The most of a hospital's whole budget, above 0 and up to 1, that the study may take. It decides nothing that is computed: the
    /// noise follows from epsilon, and a hospital from whose budget that would take more refuses.
    #[serde(skip)]
    pub budget_share: Option<f64>,
}

/// `[aggregation]`: the integers in which contributions are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Unnoised, or noised before: fixed-point numbers.
    FixedPoint {
        /// Binary digits after the point.
        fraction_bits: u8,
        /// Binary digits of a word.
        word_bits: u8,
    },
    /// Noised: quantised vectors, in the narrowest words that hold their sum.
    Quantised,
}

/// What public ranges say about the L2 norm of one row's contribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RowBound {
    /// No row contributes a longer vector; a smaller clip would count whole rows in part.
    Counts(f64),
    /// No row contributes a longer vector; a smaller clip may well be the better choice.
    Gradient(f64),
    /// The public ranges bound nothing.
    Unknown,
}

impl Mode {
    pub(crate) fn read(section: &mut Section) -> Result<Self, StudyFault> {
        section
            .word(
                "mode",
                &[
                    ("none", Self::None),
                    ("distributed", Self::Distributed),
                    ("local", Self::Local),
                ],
            )?
            .ok_or_else(|| StudyFault::Missing {
                field: section.field("mode"),
                expected: "`distributed`, `local` or, where every hospital permits it, `none`",
            })
    }

    /// The word for it in a study file.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Distributed => "distributed",
            Self::Local => "local",
        }
    }
}

impl Privacy {
    /// Who adds noise.
    pub fn mode(&self) -> Mode {
        match self {
            Self::None => Mode::None,
            Self::Distributed(_) => Mode::Distributed,
            Self::Local(_) => Mode::Local,
        }
    }

    /// What patients are promised and the public constants behind it; `None` without noise.
    pub fn promise(&self) -> Option<&Distributed> {
        match self {
            Self::None => None,
            Self::Distributed(promise) | Self::Local(promise) => Some(promise),
        }
    }

    /// The same, to ask what other amounts would lead to.
    pub fn promise_mut(&mut self) -> Option<&mut Distributed> {
        match self {
            Self::None => None,
            Self::Distributed(promise) | Self::Local(promise) => Some(promise),
        }
    }

    /// Batches are for rounds of gradients: another analysis asks once, and everybody.
    pub(crate) fn check_sampling(&self, analysis: &Analysis) -> Result<(), StudyFault> {
        let is_sampled = self
            .promise()
            .is_some_and(|promise| !is_everybody(&promise.sampling_rate));
        if is_sampled && self.mode() == Mode::Local {
            return Err(StudyFault::Invalid {
                field: "privacy.sampling_rate".to_owned(),
                problem: "in mode `local` every local step is on all patients of a silo".to_owned(),
                fix: "write 1.0, or leave it out".to_owned(),
            });
        }
        let whole_silos = self
            .promise()
            .is_some_and(|promise| promise.unit == Unit::Silo);
        if is_sampled && whole_silos {
            return Err(StudyFault::Invalid {
                field: "privacy.sampling_rate".to_owned(),
                problem: "where the silo is the unit every silo takes part in every round"
                    .to_owned(),
                fix: "write 1.0, or leave it out".to_owned(),
            });
        }
        let takes_batches = analysis
            .regression()
            .is_some_and(|plan| matches!(plan.method, Method::FedSgd { .. }));
        if is_sampled && !takes_batches {
            return Err(StudyFault::Invalid {
                field: "privacy.sampling_rate".to_owned(),
                problem: "only rounds of the method `fedsgd` are on a sample of the patients"
                    .to_owned(),
                fix: "write 1.0, or leave it out".to_owned(),
            });
        }
        Ok(())
    }

    /// A patient of several silos moves one sum of everybody by a vector of each: nothing else is accounted for.
    pub(crate) fn check_silos_per_patient(&self, invited: usize) -> Result<(), StudyFault> {
        let Some(promise) = self.promise().filter(|it| it.most_silos_per_patient > 1) else {
            return Ok(());
        };
        let silos = usize::try_from(promise.most_silos_per_patient).unwrap_or(usize::MAX);
        let problem = if promise.unit == Unit::Silo {
            "where the silo is the unit no patient is"
        } else if self.mode() == Mode::Local {
            "in mode `local` each silo's message is private by itself, and what several of them tell of one patient adds up"
        } else if !is_everybody(&promise.sampling_rate) {
            "every silo draws its patients for itself, and nothing is accounted of one who may be drawn in several"
        } else if invited > 0 && silos > invited {
            "more silos than are invited"
        } else {
            return Ok(());
        };
        Err(StudyFault::Invalid {
            field: "privacy.most_silos_per_patient".to_owned(),
            problem: problem.to_owned(),
            fix: "write 1, or `mode = \"distributed\"` with `sampling_rate = 1.0` and at most as many silos as are invited"
                .to_owned(),
        })
    }

    /// `row_bound` is the public bound on the L2 norm of what one row contributes.
    pub(crate) fn read(
        section: Section,
        mode: Mode,
        unit: Unit,
        data: &DataSchema,
        row_bound: RowBound,
    ) -> Result<Self, StudyFault> {
        match mode {
            Mode::None => {
                let noise_keys = PRIVACY_KEYS.get(1..).unwrap_or_default();
                section.refuse_all(noise_keys, "a study in mode `none` has no such key")?;
                Ok(Self::None)
            }
            Mode::Distributed | Mode::Local => {
                if data.patient.is_none() && unit == Unit::Patient {
                    return Err(StudyFault::Missing {
                        field: "data.patient".to_owned(),
                        expected: "the column that marks the rows of one patient, whom the noise protects",
                    });
                }
                let promise = Distributed::read(section, unit, row_bound)?;
                Ok(if mode == Mode::Local {
                    Self::Local(promise)
                } else {
                    Self::Distributed(promise)
                })
            }
        }
    }
}

impl Distributed {
    fn read(mut section: Section, unit: Unit, row_bound: RowBound) -> Result<Self, StudyFault> {
        let epsilon: String = section.required("epsilon")?;
        let epsilon = Epsilon::parse(&epsilon).map_err(|fault| {
            section.invalid("epsilon", fault.to_string(), "write it as \"1.0\"")
        })?;
        let delta: String = section.required("delta")?;
        let delta = Delta::parse(&delta)
            .map_err(|fault| section.invalid("delta", fault.to_string(), "write it as \"1e-5\""))?;
        let most_rows_per_patient = section.optional("most_rows_per_patient")?.unwrap_or(1);
        if !(1..=MOST_ROWS).contains(&most_rows_per_patient) {
            return Err(section.invalid(
                "most_rows_per_patient",
                "out of bounds",
                format!("write 1 to {MOST_ROWS}"),
            ));
        }
        let most_silos_per_patient = section.optional("most_silos_per_patient")?.unwrap_or(1);
        if !(1..=MOST_SILOS).contains(&most_silos_per_patient) {
            return Err(section.invalid(
                "most_silos_per_patient",
                "out of bounds",
                format!("write 1 to {MOST_SILOS}"),
            ));
        }
        let clip = read_clip(&mut section, row_bound, most_rows_per_patient)?;
        let sampling_rate = read_sampling_rate(&mut section)?;
        let distributed = Self {
            epsilon,
            delta,
            clip,
            expected_patients: section.required("expected_patients")?,
            most_patients_per_silo: match unit {
                Unit::Patient => section.required("most_patients_per_silo")?,
                Unit::Silo => 1,
            },
            most_rows_per_patient,
            most_silos_per_patient,
            sampling_rate,
            unit,
            budget_share: read_budget_share(&mut section)?,
        };
        for (key, count) in [
            ("expected_patients", distributed.expected_patients),
            ("most_patients_per_silo", distributed.most_patients_per_silo),
        ] {
            if count == 0 || count > MOST_PATIENTS {
                return Err(section.invalid(
                    key,
                    "out of bounds",
                    format!("write 1 to {MOST_PATIENTS}"),
                ));
            }
        }
        if distributed.expected_batch() < 1.0 {
            return Err(section.invalid(
                "sampling_rate",
                "no patient is expected in most rounds",
                "write a rate whose product with `expected_patients` is at least 1",
            ));
        }
        Ok(distributed)
    }

    /// The patients that take part in a round by public numbers, those of an evaluation among them. 1 where the silo is the unit, whose
    /// sum is decoded as a mean over all invited.
    pub fn expected_batch(&self) -> f64 {
        if self.unit == Unit::Silo {
            return 1.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a study states at most 10^9 patients"
        )]
        let patients = self.expected_patients as f64;
        self.sampling_rate.value() * patients
    }
}

fn read_sampling_rate(section: &mut Section) -> Result<SamplingRate, StudyFault> {
    let rate = section.optional("sampling_rate")?.unwrap_or(1.0);
    SamplingRate::new(rate).map_err(|fault| {
        section.invalid(
            "sampling_rate",
            fault.to_string(),
            "write 1.0, where every patient takes part in every round, or a probability such as 0.1",
        )
    })
}

fn read_budget_share(section: &mut Section) -> Result<Option<f64>, StudyFault> {
    let share: Option<f64> = section.optional("budget_share")?;
    if share.is_none_or(|share| share > 0.0 && share <= 1.0) {
        Ok(share)
    } else {
        Err(section.invalid(
            "budget_share",
            "not a share of a whole budget",
            "write a number above 0 and up to 1, such as 0.1",
        ))
    }
}

/// The clip that the study states, or else the one that the public ranges give: no patient is shortened by it.
fn read_clip(
    section: &mut Section,
    row_bound: RowBound,
    rows: u32,
) -> Result<ClippingNorm, StudyFault> {
    let stated: Option<f64> = section.optional("clip")?;
    let clip = match (stated, row_bound) {
        (Some(clip), RowBound::Counts(bound)) if clip < bound => {
            return Err(section.invalid(
                "clip",
                format!("below {bound}, the vector of a single row, so that no patient would count in full"),
                "leave it out, and it follows from the statistics",
            ));
        }
        (Some(clip), _) => clip,
        (None, RowBound::Counts(bound) | RowBound::Gradient(bound)) => f64::from(rows) * bound,
        (None, RowBound::Unknown) => section.required("clip")?,
    };
    ClippingNorm::new(clip)
        .map_err(|fault| section.invalid("clip", fault.to_string(), "write a positive number"))
}

impl Aggregation {
    pub(crate) fn read(section: Option<Section>, mode: Mode) -> Result<Self, StudyFault> {
        let Some(mut section) = section else {
            return Ok(match mode {
                Mode::None | Mode::Local => Self::FixedPoint {
                    fraction_bits: 32,
                    word_bits: 64,
                },
                Mode::Distributed => Self::Quantised,
            });
        };
        match mode {
            Mode::Distributed => {
                let problem = "with noise the words follow from the noise";
                section.refuse_all(&["fraction_bits", "word_bits"], problem)?;
                Ok(Self::Quantised)
            }
            Mode::None | Mode::Local => {
                let fraction_bits: u32 = section.optional("fraction_bits")?.unwrap_or(32);
                let word_bits: u32 = section.optional("word_bits")?.unwrap_or(64);
                match (u8::try_from(fraction_bits), u8::try_from(word_bits)) {
                    (Ok(fraction), Ok(word)) if (16..=64).contains(&word) && (1..=52).contains(&fraction) && fraction < word - 8 => {
                        Ok(Self::FixedPoint {
                            fraction_bits: fraction,
                            word_bits: word,
                        })
                    }
                    _ => Err(section.invalid(
                        "word_bits",
                        format!("{word_bits}-bit words cannot hold {fraction_bits} fractional bits and a whole part"),
                        "write 16 to 64, at least 9 more than `fraction_bits` (1 to 52)",
                    )),
                }
            }
        }
    }
}

/// The keys of `[privacy]`; `mode` first.
pub(crate) const PRIVACY_KEYS: &[&str] = &[
    "mode",
    "unit",
    "epsilon",
    "delta",
    "clip",
    "sampling_rate",
    "expected_patients",
    "most_patients_per_silo",
    "most_rows_per_patient",
    "most_silos_per_patient",
    "budget_share",
];

/// More people than live in any federation of hospitals.
const MOST_PATIENTS: u64 = 1_000_000_000;
const MOST_ROWS: u32 = 1_000_000;
const MOST_SILOS: u32 = 1_000;

fn is_everybody(rate: &SamplingRate) -> bool {
    *rate == SamplingRate::EVERYBODY
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that the serialiser calls"
)]
fn is_one(count: &u32) -> bool {
    *count == 1
}
