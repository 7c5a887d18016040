// SPDX-License-Identifier: Apache-2.0
//! From the epsilon that is wanted to the noise that gives it.

use thiserror::Error;

use crate::accountant::{NoiseEvent, RdpCurve};
use crate::loss::{Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// The smallest multiplier, on a grid of 2^-20, whose certificate is at most `epsilon`.
///
/// The grid, and logarithms with the same bits everywhere, make every silo find the same multiplier.
/// `attempts` counts rounds and spare attempts.
pub fn calibrate(
    epsilon: Epsilon,
    delta: Delta,
    rate: SamplingRate,
    attempts: u32,
) -> Result<NoiseMultiplier, CalibrationFault> {
    if attempts == 0 {
        return Err(CalibrationFault::NoAttempts);
    }
    let enough = |steps: u64| -> Option<NoiseMultiplier> {
        let multiplier = on_grid(steps)?;
        let curve = RdpCurve::poisson(&NoiseEvent::add_remove(multiplier), rate, attempts);
        // A millionth is kept back, so that rounding further on can never exceed the promise.
        (curve.epsilon(delta).epsilon.value() <= epsilon.value() * KEPT).then_some(multiplier)
    };
    let unreachable = CalibrationFault::Unreachable { epsilon, delta };
    let mut found = enough(MOST_STEPS).ok_or(unreachable)?;
    let (mut too_few, mut sufficient) = (FEWEST_STEPS, MOST_STEPS);
    while sufficient - too_few > 1 {
        let middle = too_few.midpoint(sufficient);
        match enough(middle) {
            Some(multiplier) => {
                found = multiplier;
                sufficient = middle;
            }
            None => too_few = middle,
        }
    }
    Ok(found)
}

/// Why no noise gives what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CalibrationFault {
    /// Nothing would be released.
    #[error("calibration needs at least one attempt")]
    NoAttempts,
    /// The orders that are accounted do not reach so low.
    #[error(
        "no noise gives epsilon {epsilon} at delta {delta} here, ask for a larger epsilon or fewer rounds"
    )]
    Unreachable {
        /// The epsilon asked for.
        epsilon: Epsilon,
        /// The delta asked for.
        delta: Delta,
    },
}

fn on_grid(steps: u64) -> Option<NoiseMultiplier> {
    #[expect(clippy::cast_precision_loss, reason = "exact: below 2^53")]
    let multiplier = steps as f64 / GRID;
    NoiseMultiplier::new(multiplier).ok()
}

const KEPT: f64 = 1.0 - 1e-6;
const GRID: f64 = 1_048_576.0;
/// Just above the least multiplier that is accounted for.
const FEWEST_STEPS: u64 = 2;
/// A multiplier of 2^19, more than 500,000.
const MOST_STEPS: u64 = 1 << 39;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;
    use crate::noise_plan::{NoisePlan, NoiseTerms, View};

    fn certified(
        multiplier: NoiseMultiplier,
        rate: SamplingRate,
        attempts: u32,
        delta: Delta,
    ) -> f64 {
        let event = NoiseEvent::add_remove(multiplier);
        RdpCurve::poisson(&event, rate, attempts)
            .epsilon(delta)
            .epsilon
            .value()
    }

    #[test]
    fn multipliers_agree_with_the_reference_and_are_minimal() {
        // Facts of the reference vectors `calibrate`: (q, T, epsilon, delta, sigma_rdp).
        for (rate, attempts, epsilon, delta, sigma) in [
            (0.01, 1_000, 1.0, 1e-5, 1.513_122_164_202_339_6),
            (0.1, 100, 1.0, 1e-4, 3.724_628_627_322_184_5),
            (
                0.160_804_020_100_502_51,
                90,
                1.0,
                1e-3,
                4.597_520_036_105_754,
            ),
            (
                0.160_804_020_100_502_51,
                90,
                8.0,
                1e-3,
                1.070_010_324_902_423_3,
            ),
            (1.0, 50, 3.0, 1e-5, 10.558_565_085_736_833),
        ] {
            let (target, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(delta).unwrap());
            let rate = SamplingRate::new(rate).unwrap();
            let ours = calibrate(target, delta, rate, attempts).unwrap();
            let relative = ours.value() / sigma;
            assert!(
                (1.0 - 1e-9..=1.03).contains(&relative),
                "{ours} against {sigma}"
            );
            assert!(certified(ours, rate, attempts, delta) <= epsilon);
            let smaller = NoiseMultiplier::new(ours.value() * (1.0 - 1e-4)).unwrap();
            assert!(certified(smaller, rate, attempts, delta) > epsilon);
        }
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let delta = Delta::new(1e-5).unwrap();
        let everybody = SamplingRate::EVERYBODY;
        for epsilon in [0.0, 1e-3] {
            let asked = calibrate(Epsilon::new(epsilon).unwrap(), delta, everybody, 10);
            assert!(
                matches!(asked, Err(CalibrationFault::Unreachable { .. })),
                "{epsilon}"
            );
        }
        let none = calibrate(Epsilon::new(1.0).unwrap(), delta, everybody, 0);
        assert_eq!(none, Err(CalibrationFault::NoAttempts));
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "measures the time that it takes")]
    fn calibration_is_quick_enough_to_be_live() {
        let started = Instant::now();
        let rate = SamplingRate::new(0.01).unwrap();
        calibrate(
            Epsilon::new(1.0).unwrap(),
            Delta::new(1e-5).unwrap(),
            rate,
            10_000,
        )
        .unwrap();
        // The aim is 200 ms; the rest is room for a busy machine and an unoptimised build.
        assert!(
            started.elapsed().as_millis() < 2_000,
            "{:?}",
            started.elapsed()
        );
    }

    proptest! {
        #[test]
        fn what_a_derived_plan_certifies_never_exceeds_what_was_asked(
            epsilon in 0.05_f64..20.0,
            exponent in 2_i32..9,
            attempts in 1_u32..2_000,
            silos in 3_u32..50,
            dimension in 1_u64..10_000,
        ) {
            let (target, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(10_f64.powi(-exponent)).unwrap());
            let multiplier = calibrate(target, delta, SamplingRate::EVERYBODY, attempts).unwrap();
            let plan = NoisePlan::derive(&NoiseTerms {
                multiplier, silos, dropouts: silos / 4, colluders: silos / 3, attempts, patients_cap: 1_000, dimension,
            }).unwrap();
            let event = NoiseEvent::of_plan(&plan, View::Colluders, dimension).unwrap();
            let certificate = RdpCurve::full_batch(&event, attempts).epsilon(delta);
            prop_assert!(certificate.epsilon <= target, "{} above {}", certificate.epsilon, target);
        }
    }
}
