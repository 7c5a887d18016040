// SPDX-License-Identifier: Apache-2.0
//! When a silo may say that it is ready: on a grid that follows from public numbers.
//!
//! SECURITY: how long a training took depends on how many patients and rows a silo has. The first point of the grid is
//! late enough for the most patients that the study's own bound allows, at a speed that hosts surpass, so that silos with
//! fewer say so at the same moment. A silo that needs longer shows it in whole steps.

use consilium_privacy::noise_plan::{NoisePlacement, VectorPlan};

/// The finest grid, in milliseconds.
pub const READY_GRID_MILLISECONDS: u32 = 200;

/// The step of the grid for this vector, in milliseconds: coarse powers of two of the finest.
///
/// Without noise the sum itself tells more than the time, and the finest grid serves.
pub fn ready_grid_milliseconds(vector: &VectorPlan) -> u32 {
    let Some(noise) = &vector.noise else {
        return READY_GRID_MILLISECONDS;
    };
    let passes = match noise.placement {
        NoisePlacement::Shared => 1,
        NoisePlacement::Local { steps } => u64::from(steps),
    };
    let numbers = noise
        .patients_cap
        .saturating_mul(vector.dimension)
        .saturating_mul(passes);
    let steps = numbers
        .div_ceil(NUMBERS_A_MILLISECOND)
        .div_ceil(u64::from(READY_GRID_MILLISECONDS))
        .clamp(1, MOST_STEPS)
        .next_power_of_two();
    u32::try_from(steps).map_or(u32::MAX, |steps| {
        READY_GRID_MILLISECONDS.saturating_mul(steps)
    })
}

/// Coordinates of patients' vectors that a trainer and an agent get through in a millisecond, at least.
const NUMBERS_A_MILLISECOND: u64 = 2_000;

/// Beyond 51.2 seconds a study waits too long for its slowest silo.
const MOST_STEPS: u64 = 256;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_privacy::loss::NoiseMultiplier;
    use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

    fn grid(patients_cap: u64, dimension: u64, local_steps: Option<u32>) -> u32 {
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
        ready_grid_milliseconds(&VectorPlan {
            dimension,
            word_bits: 64,
            clamp: 1,
            fraction_bits: 0,
            noise: Some(noise),
        })
    }

    #[test]
    fn the_grid_follows_from_public_bounds_in_coarse_steps() {
        assert_eq!(grid(1_000, 30, None), 200);
        assert_eq!(grid(32_768, 20, None), 400);
        assert_eq!(grid(32_768, 20, Some(3)), 1_600);
        assert_eq!(grid(100_000, 1_000, None), 51_200);
        assert_eq!(grid(1 << 32, 1_000, None), 51_200);
        let plain = VectorPlan::plain(1_000_000, 4, 64, 8).unwrap();
        assert_eq!(ready_grid_milliseconds(&plain), READY_GRID_MILLISECONDS);
    }
}
