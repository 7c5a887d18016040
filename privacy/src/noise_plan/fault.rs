// SPDX-License-Identifier: Apache-2.0
//! Why there is no plan of noise.

use thiserror::Error;

use crate::accountant::NoCertificate;

/// Why no noise plan exists for these terms, or a plan contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoisePlanFault {
    /// Nobody honest would be left to add noise.
    #[error(
        "{silos} silos cannot lose {dropouts} and distrust {colluders}: no honest noise would be left, invite more silos"
    )]
    NobodyHonest {
        /// Silos invited.
        silos: u32,
        /// Dropouts tolerated.
        dropouts: u32,
        /// Colluders tolerated.
        colluders: u32,
    },
    /// A study without a single attempt.
    #[error("a noised study needs at least one attempt")]
    NoAttempts,
    /// No local step, or more releases than are counted.
    #[error("local noise needs at least one step, and attempts times steps below 2^32")]
    LocalSteps,
    /// No coordinates, or more than 2^32.
    #[error("a vector of {dimension} coordinates cannot be noised, use 1 to 2^32")]
    Dimension {
        /// The number of coordinates.
        dimension: u64,
    },
    /// A cap on patients outside 1 to 2^32.
    #[error("`most_patients_per_silo` is {patients_cap}, use 1 to 2^32")]
    PatientsCap {
        /// The cap.
        patients_cap: u64,
    },
    /// A silo as the unit where patients are counted, drawn or noised.
    #[error(
        "where the silo is the unit, each silo has one vector in every attempt and noise is shared"
    )]
    SiloUnit,
    /// A patient who is known to nobody, or to more silos than there are.
    #[error("a patient is known to 1 to {silos} of {silos} silos, not to {silos_per_patient}")]
    SilosPerPatient {
        /// Silos that know one patient.
        silos_per_patient: u32,
        /// Silos invited.
        silos: u32,
    },
    /// Several silos know a patient, and each draws or noises for itself.
    #[error(
        "where several silos know one patient, every patient takes part in every attempt and noise is shared"
    )]
    SeveralSilosApart,
    /// The clip integer is not a power of two in its range.
    #[error("clip integer {clip_integer} is not a power of two from 2^14 to 2^30")]
    ClipInteger {
        /// The clip integer.
        clip_integer: u64,
    },
    /// The noise does not fit the sampler or the accountant.
    #[error(
        "the noise multiplier is too large or too small for this vector, choose another epsilon or fewer rounds"
    )]
    NoiseOutOfRange,
    /// The sum would need more than 2^60.
    #[error("the sum does not fit 64-bit words, lower `most_patients_per_silo`")]
    SumTooWide,
    /// Nothing is certified about such noise in such batches.
    #[error(transparent)]
    NotCertified(#[from] NoCertificate),
}
