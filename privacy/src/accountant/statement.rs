// SPDX-License-Identifier: Apache-2.0
//! The three epsilons of a study, as they are shown to officers and written into the report.

use serde::Serialize;

use super::{Certificate, NoiseEvent, RdpCurve, gaussian};
use crate::loss::{Delta, Epsilon, NoiseMultiplier};
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// What a noise plan promises to one patient of one hospital, added or removed.
///
/// A patient who is in several hospitals is protected less; the numbers here do not cover that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrivacyStatement {
    /// While nobody colludes and the masks hold.
    pub masks_hold: Promise,
    /// While `n_c` silos collude with the coordinator: the promise that is charged.
    pub colluders: Promise,
    /// If the masks were broken: from each silo's own noise alone.
    pub masks_broken: Promise,
    /// The delta of all three.
    pub delta: Delta,
    /// Attempts counted: rounds and spares.
    pub attempts: u32,
}

/// The promise in one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// Certified by Renyi differential privacy at an integer order.
    pub epsilon: Epsilon,
    /// That order.
    pub order: u32,
    /// The exact epsilon of continuous noise of this size: an estimate, not a promise.
    pub tight_estimate: Epsilon,
    /// Standard deviation of the noise seen, over the clip.
    pub multiplier: NoiseMultiplier,
}

impl PrivacyStatement {
    /// For all attempts of a plan, every patient taking part in each.
    pub fn of_plan(plan: &NoisePlan, dimension: u64, delta: Delta) -> Result<Self, NoisePlanFault> {
        let promise = |view| -> Result<Promise, NoisePlanFault> {
            let event = NoiseEvent::of_plan(plan, view, dimension)?;
            let Certificate { epsilon, order, .. } =
                RdpCurve::full_batch(&event, plan.attempts).epsilon(delta);
            let multiplier = plan.multiplier(view)?;
            let tight_estimate = gaussian::estimate(multiplier, plan.attempts, delta);
            Ok(Promise {
                epsilon,
                order,
                tight_estimate,
                multiplier,
            })
        };
        Ok(Self {
            masks_hold: promise(View::MasksHold)?,
            colluders: promise(View::Colluders)?,
            masks_broken: promise(View::MasksBroken)?,
            delta,
            attempts: plan.attempts,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::calibration::calibrate;
    use crate::loss::SamplingRate;
    use crate::noise_plan::NoiseTerms;

    fn statement(silos: u32, dropouts: u32, colluders: u32) -> PrivacyStatement {
        let (epsilon, delta) = (Epsilon::new(3.0).unwrap(), Delta::new(1e-5).unwrap());
        let multiplier = calibrate(epsilon, delta, SamplingRate::EVERYBODY, 22).unwrap();
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier,
            silos,
            dropouts,
            colluders,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        });
        PrivacyStatement::of_plan(&plan.unwrap(), 5, delta).unwrap()
    }

    #[test]
    fn the_charged_view_keeps_the_promise_and_the_others_stand_around_it() {
        let four = statement(4, 1, 1);
        assert!(four.colluders.epsilon.value() <= 3.0 && four.colluders.epsilon.value() > 2.999);
        assert!(four.masks_hold.epsilon < four.colluders.epsilon);
        assert!(four.colluders.epsilon < four.masks_broken.epsilon);
        assert!(four.colluders.tight_estimate < four.colluders.epsilon);
    }

    #[test]
    fn without_drops_and_colluders_the_first_two_agree() {
        let three = statement(3, 0, 0);
        assert_eq!(three.masks_hold, three.colluders);
    }

    #[test]
    fn a_report_writes_amounts_as_strings() {
        let json = serde_json::to_value(statement(4, 1, 1)).unwrap();
        assert!(json["colluders"]["epsilon"].is_string());
        assert_eq!(json["delta"], "1e-5");
    }
}
