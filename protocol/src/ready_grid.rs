// SPDX-License-Identifier: Apache-2.0
//! When a silo may say that it is ready, on a grid that follows from public numbers, and which studies no grid serves.
//!
//! SECURITY: how long a training took depends on how many patients and rows a silo has. The first point of the grid is
//! late enough for the most patients that the study's own bound allows, at a speed that hosts surpass, so that silos with
//! fewer say so at the same moment. A silo that needs longer shows it in whole steps. What the coarsest grid, or the memory
//! of a host, does not certainly hold is refused before anybody consents: whether it fails must not be left to the data.

use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, VectorPlan};
use thiserror::Error;

/// The finest grid, in milliseconds.
pub const READY_GRID_MILLISECONDS: u32 = 200;

/// The step of the grid for this vector, in milliseconds: coarse powers of two of the finest.
///
/// Without noise the sum itself tells more than the time, and the finest grid serves.
pub fn ready_grid_milliseconds(vector: &VectorPlan) -> u32 {
    let Some(noise) = &vector.noise else {
        return READY_GRID_MILLISECONDS;
    };
    let numbers = most_coordinates(noise, vector.dimension);
    let steps = numbers
        .div_ceil(NUMBERS_A_MILLISECOND)
        .div_ceil(u64::from(READY_GRID_MILLISECONDS))
        .clamp(1, MOST_STEPS)
        .next_power_of_two();
    u32::try_from(steps).map_or(u32::MAX, |steps| {
        READY_GRID_MILLISECONDS.saturating_mul(steps)
    })
}

/// Whether every host certainly gets through a round of this vector, whatever its patients hold.
///
/// # Errors
/// [`WorkloadFault`] names the limit. Without noise there is none: the sum itself tells more than a failure.
pub fn check_workload(vector: &VectorPlan) -> Result<(), WorkloadFault> {
    let Some(noise) = &vector.noise else {
        return Ok(());
    };
    if vector.dimension > MOST_DIMENSION {
        return Err(WorkloadFault::Dimension(vector.dimension));
    }
    let coordinates = most_coordinates(noise, vector.dimension);
    if coordinates > MOST_COORDINATES {
        return Err(WorkloadFault::Coordinates {
            patients: noise.patients_cap,
            dimension: vector.dimension,
            coordinates,
        });
    }
    Ok(())
}

/// A study with noise that asks for more than every host certainly holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WorkloadFault {
    /// One patient's vector is too long.
    #[error("a patient's vector has {0} coordinates; with noise it has {MOST_DIMENSION} at most")]
    Dimension(u64),
    /// All patients' vectors together are too long.
    #[error(
        "{patients} patients (`most_patients_per_silo`) with {dimension} coordinates make {coordinates} in a round with its local steps; with noise there are {MOST_COORDINATES} at most"
    )]
    Coordinates {
        /// The public bound on a silo's patients.
        patients: u64,
        /// Of one vector.
        dimension: u64,
        /// Of all of them, in all local steps.
        coordinates: u64,
    },
}

/// Coordinates of patients' vectors that a silo gets through in one round, by public bounds.
fn most_coordinates(noise: &NoisePlan, dimension: u64) -> u64 {
    let passes = match noise.placement {
        NoisePlacement::Shared => 1,
        NoisePlacement::Local { steps } => u64::from(steps),
    };
    noise
        .patients_cap
        .saturating_mul(dimension)
        .saturating_mul(passes)
}

/// Coordinates of patients' vectors that a trainer and an agent get through in a millisecond, at least.
const NUMBERS_A_MILLISECOND: u64 = 2_000;

/// The coarsest grid, of 1,638.4 seconds, lies within the hour that a coordinator gives a training.
const MOST_STEPS: u64 = 8_192;

/// What the coarsest grid has time for.
const MOST_COORDINATES: u64 = MOST_STEPS * READY_GRID_MILLISECONDS as u64 * NUMBERS_A_MILLISECOND;

/// COST: a trainer holds some five vectors at a time and an agent as many, whoever takes part: 1.3 gigabytes together.
const MOST_DIMENSION: u64 = 1 << 24;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_privacy::loss::NoiseMultiplier;
    use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

    fn grid(patients_cap: u64, dimension: u64, local_steps: Option<u32>) -> u32 {
        ready_grid_milliseconds(&vector(patients_cap, dimension, local_steps))
    }

    fn vector(patients_cap: u64, dimension: u64, local_steps: Option<u32>) -> VectorPlan {
        let terms = NoiseTerms {
            multiplier: NoiseMultiplier::new(1.0).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 10,
            patients_cap,
            dimension,
        };
        let noise = match local_steps {
            None => NoisePlan::derive(&terms),
            Some(steps) => NoisePlan::derive_local(&terms, steps),
        }
        .unwrap();
        VectorPlan {
            dimension,
            word_bits: 64,
            clamp: 1,
            fraction_bits: 0,
            noise: Some(noise),
        }
    }

    #[test]
    fn the_grid_follows_from_public_bounds_in_coarse_steps() {
        assert_eq!(grid(1_000, 30, None), 200);
        assert_eq!(grid(32_768, 20, None), 400);
        assert_eq!(grid(32_768, 20, Some(3)), 1_600);
        assert_eq!(grid(100_000, 1_000, None), 51_200);
        assert_eq!(grid(1_000_000, 3_000, None), 1_638_400);
        assert_eq!(grid(1 << 32, 1_000, None), 1_638_400);
        let plain = VectorPlan::plain(1_000_000, 4, 64, 8).unwrap();
        assert_eq!(ready_grid_milliseconds(&plain), READY_GRID_MILLISECONDS);
    }

    #[test]
    fn what_the_coarsest_grid_or_the_memory_does_not_hold_is_refused_by_the_name_of_the_limit() {
        let check =
            |patients, dimension, steps| check_workload(&vector(patients, dimension, steps));
        assert_eq!(check(195, MOST_DIMENSION, None), Ok(()));
        let coordinates = WorkloadFault::Coordinates {
            patients: 196,
            dimension: MOST_DIMENSION,
            coordinates: 196 << 24,
        };
        assert_eq!(check(196, MOST_DIMENSION, None), Err(coordinates));
        assert_eq!(
            check(20, MOST_DIMENSION + 1, None),
            Err(WorkloadFault::Dimension(16_777_217))
        );
        assert_eq!(check(1_000_000, 3_276, None), Ok(()));
        assert_eq!(check(1_000_000, 819, Some(4)), Ok(()));
        for (patients, dimension, steps) in [(1_000_000, 3_277, None), (1_000_000, 820, Some(4))] {
            let fault = check(patients, dimension, steps).unwrap_err();
            let words = fault.to_string();
            assert!(
                words.contains("`most_patients_per_silo`") && words.contains("3276800000"),
                "{words}"
            );
        }
        let plain = VectorPlan::plain(MOST_DIMENSION + 1, 4, 64, 8).unwrap();
        assert_eq!(check_workload(&plain), Ok(()));
    }
}
