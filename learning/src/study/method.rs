// SPDX-License-Identifier: Apache-2.0
//! `[rounds]` and the method it belongs to: how the coefficients are found, and how often silos are asked.

use consilium_privacy::noise_plan::Unit;
use serde::Serialize;

use super::section::Section;
use super::{Mode, StudyFault, unit};

/// How the coefficients are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Newton steps on the summed gradient and Hessian, until the largest step is small.
    Newton {
        /// Stop when no coefficient moved further than this.
        stop_when_step_below: f64,
    },
    /// The same on noised sums of one vector per patient, as many steps as there are rounds.
    PrivateNewton,
    /// One gradient step per round.
    FedSgd {
        /// The step along the mean gradient.
        learning_rate: f64,
        /// The result is the mean of the parameters after this many last rounds; 1 takes the last.
        average_last: u32,
        /// What the server makes of the mean gradient: free, for it sees nothing but released sums.
        #[serde(skip_serializing_if = "Optimizer::is_plain")]
        optimizer: Optimizer,
    },
    /// Several local gradient steps per round, then the mean over rows or, with noise, over silos. The noise is on each step
    /// or, where the silo is the unit, on what it moved in all of them.
    FedAvg {
        /// The local step along the silo's mean gradient.
        learning_rate: f64,
        /// Full-batch local steps in one round.
        local_steps: u32,
        /// The result is the mean of the parameters after this many last rounds; 1 takes the last.
        #[serde(skip_serializing_if = "is_one")]
        average_last: u32,
    },
}

/// How the server steps along released gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Along the gradient, with a share of the last step; 0 takes the gradient alone.
    Momentum(f64),
    /// Adam (Kingma and Ba 2015): along the mean gradient over the root of the mean square, both without their bias.
    Adam {
        /// The share of the mean gradient that stays.
        beta_1: f64,
        /// The share of the mean square that stays.
        beta_2: f64,
        /// Added to the root.
        stability: f64,
    },
}

/// `[rounds]`: how many rounds the study may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rounds {
    /// Training rounds at most.
    pub most: u32,
    /// Attempts beyond `most` that are reserved for repetitions of failed rounds.
    pub spare_attempts: u32,
}

impl Method {
    /// The word for it in a study file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Newton { .. } | Self::PrivateNewton => NEWTON,
            Self::FedSgd { .. } => FEDSGD,
            Self::FedAvg { .. } => FEDAVG,
        }
    }

    pub(super) fn read(
        analysis: &mut Section,
        rounds: &mut Section,
        mode: Mode,
        unit: Unit,
    ) -> Result<Self, StudyFault> {
        let method: String = analysis.required("method")?;
        let foreign = format!("the method `{method}` has no such key");
        match method.as_str() {
            FEDAVG if mode == Mode::Distributed && unit == Unit::Patient => Err(analysis.invalid(
                "method",
                "`fedavg` needs noise at each of its local steps",
                "write `fedsgd`, or `[privacy] mode = \"local\"`, or `unit = \"silo\"`",
            )),
            NEWTON | FEDSGD if mode == Mode::Local => Err(analysis.invalid(
                "method",
                format!("`{method}` takes no local steps, which `[privacy] mode = \"local\"` adds noise to"),
                "write `fedavg`; with `local_steps = 1` it steps along one noised gradient of each silo",
            )),
            NEWTON if mode == Mode::Distributed => {
                unit::refused_for(unit, "the steps of `newton`")?;
                rounds.refuse_all(
                    &["stop_when_step_below"],
                    "with noise no step becomes small: `newton` takes `rounds.most` steps",
                )?;
                rounds.refuse_all(&["learning_rate", "local_steps", "average_last"], &foreign)?;
                rounds.refuse_all(OPTIMIZER_KEYS, &foreign)?;
                Ok(Self::PrivateNewton)
            }
            NEWTON => {
                rounds.refuse_all(&["learning_rate", "local_steps", "average_last"], &foreign)?;
                rounds.refuse_all(OPTIMIZER_KEYS, &foreign)?;
                Ok(Self::Newton {
                    stop_when_step_below: positive(rounds, "stop_when_step_below")?,
                })
            }
            FEDSGD => {
                rounds.refuse_all(&["stop_when_step_below", "local_steps"], &foreign)?;
                Ok(Self::FedSgd {
                    learning_rate: positive(rounds, "learning_rate")?,
                    average_last: at_least_one(rounds, "average_last", Some(1))?,
                    optimizer: Optimizer::read(rounds)?,
                })
            }
            FEDAVG => {
                rounds.refuse_all(&["stop_when_step_below"], &foreign)?;
                rounds.refuse_all(OPTIMIZER_KEYS, &foreign)?;
                let local_steps = at_least_one(rounds, "local_steps", None)?;
                if local_steps > MOST_LOCAL_STEPS {
                    return Err(rounds.invalid(
                        "local_steps",
                        "too many steps",
                        format!("write at most {MOST_LOCAL_STEPS}"),
                    ));
                }
                Ok(Self::FedAvg {
                    learning_rate: positive(rounds, "learning_rate")?,
                    local_steps,
                    average_last: at_least_one(rounds, "average_last", Some(1))?,
                })
            }
            other => Err(analysis.invalid(
                "method",
                format!("`{other}` is not available"),
                format!("write `{NEWTON}`, `{FEDSGD}` or `{FEDAVG}`"),
            )),
        }
    }
}

impl Optimizer {
    fn is_plain(&self) -> bool {
        *self == Self::Momentum(0.0)
    }

    fn read(rounds: &mut Section) -> Result<Self, StudyFault> {
        #[derive(Clone, Copy)]
        enum Word {
            Momentum,
            Adam,
        }
        let word = rounds
            .word(
                "optimizer",
                &[("sgd", Word::Momentum), ("adam", Word::Adam)],
            )?
            .unwrap_or(Word::Momentum);
        match word {
            Word::Momentum => {
                let adams = ["beta_1", "beta_2", "stability"];
                rounds.refuse_all(&adams, "the optimizer `sgd` has no such key")?;
                Ok(Self::Momentum(share(rounds, "momentum", 0.0)?))
            }
            Word::Adam => {
                rounds.refuse_all(&["momentum"], "the optimizer `adam` has no such key")?;
                let stability = match rounds.contains("stability") {
                    true => positive(rounds, "stability")?,
                    false => 1e-8,
                };
                Ok(Self::Adam {
                    beta_1: share(rounds, "beta_1", 0.9)?,
                    beta_2: share(rounds, "beta_2", 0.999)?,
                    stability,
                })
            }
        }
    }
}

/// A number from 0 on and below 1.
fn share(section: &mut Section, key: &str, default: f64) -> Result<f64, StudyFault> {
    let value = section.optional(key)?.unwrap_or(default);
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(section.invalid(key, "out of bounds", "write 0 or more, below 1"))
    }
}

impl Rounds {
    /// Statistics take one round, whether the study says so or not.
    pub(super) fn single(section: Option<Section>, mode: Mode) -> Result<Self, StudyFault> {
        let Some(section) = section else {
            return Ok(Self {
                most: 1,
                spare_attempts: default_spare(1, mode),
            });
        };
        section.refuse_all(
            &[
                "stop_when_step_below",
                "learning_rate",
                "local_steps",
                "average_last",
            ],
            "a statistics study has no such key",
        )?;
        section.refuse_all(OPTIMIZER_KEYS, "a statistics study has no such key")?;
        let rounds = Self::read(section, Some(1), mode)?;
        if rounds.most == 1 {
            Ok(rounds)
        } else {
            Err(StudyFault::Invalid {
                field: "rounds.most".to_owned(),
                problem: "statistics take exactly one round".to_owned(),
                fix: "write 1".to_owned(),
            })
        }
    }

    pub(super) fn read(
        mut section: Section,
        default: Option<u32>,
        mode: Mode,
    ) -> Result<Self, StudyFault> {
        let most = at_least_one(&mut section, "most", default)?;
        if most > MOST_ROUNDS {
            return Err(section.invalid(
                "most",
                "too many rounds",
                format!("write at most {MOST_ROUNDS}"),
            ));
        }
        if mode == Mode::None && section.contains("spare_attempts") {
            return Err(section.invalid(
                "spare_attempts",
                "an unnoised study has no such key",
                "remove it",
            ));
        }
        let spare_attempts = section
            .optional("spare_attempts")?
            .unwrap_or_else(|| default_spare(most, mode));
        if spare_attempts > most {
            return Err(section.invalid(
                "spare_attempts",
                "more than `rounds.most`",
                "write a smaller number",
            ));
        }
        Ok(Self {
            most,
            spare_attempts,
        })
    }

    pub(super) fn check_average(&self, method: Method) -> Result<(), StudyFault> {
        match method {
            Method::FedSgd { average_last, .. } | Method::FedAvg { average_last, .. }
                if average_last > self.most =>
            {
                Err(StudyFault::Invalid {
                    field: "rounds.average_last".to_owned(),
                    problem: "more than `rounds.most`".to_owned(),
                    fix: "write a smaller number".to_owned(),
                })
            }
            Method::FedSgd { .. }
            | Method::Newton { .. }
            | Method::PrivateNewton
            | Method::FedAvg { .. } => Ok(()),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that the serialiser calls"
)]
fn is_one(rounds: &u32) -> bool {
    *rounds == 1
}

/// A tenth of the rounds, at least one; nothing is reserved without noise.
fn default_spare(most: u32, mode: Mode) -> u32 {
    match mode {
        Mode::None => 0,
        Mode::Distributed | Mode::Local => most.div_ceil(10),
    }
}

fn positive(section: &mut Section, key: &str) -> Result<f64, StudyFault> {
    let value: f64 = section.required(key)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(section.invalid(key, "not above zero", "write a positive number"))
    }
}

fn at_least_one(section: &mut Section, key: &str, default: Option<u32>) -> Result<u32, StudyFault> {
    let value = match default {
        Some(default) => section.optional(key)?.unwrap_or(default),
        None => section.required(key)?,
    };
    if value > 0 {
        Ok(value)
    } else {
        Err(section.invalid(key, "zero", "write 1 or more"))
    }
}

/// The keys of `[rounds]`.
pub(crate) const ROUNDS_KEYS: &[&str] = &[
    "most",
    "spare_attempts",
    "stop_when_step_below",
    "learning_rate",
    "local_steps",
    "average_last",
    "optimizer",
    "momentum",
    "beta_1",
    "beta_2",
    "stability",
];

/// The keys of `[rounds]` that say what the server does with a gradient.
const OPTIMIZER_KEYS: &[&str] = &["optimizer", "momentum", "beta_1", "beta_2", "stability"];

const NEWTON: &str = "newton";
const FEDSGD: &str = "fedsgd";
const FEDAVG: &str = "fedavg";
/// Far beyond any use; keeps the accounting of attempts in small integers.
const MOST_ROUNDS: u32 = 100_000;
/// Twice as many rounds, each with so many noised steps, are still counted in 32 bits.
const MOST_LOCAL_STEPS: u32 = 10_000;
