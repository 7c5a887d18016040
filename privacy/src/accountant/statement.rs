// SPDX-License-Identifier: Apache-2.0
//! The three epsilons of a study, as they are shown to officers and written into the report.

use serde::Serialize;

use super::{
    Certificate, Estimate, Job, NoCertificate, RdpCurve, SamplerDistance, Sampling, estimate,
};
use crate::loss::{Delta, Epsilon, NoiseMultiplier};
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// The noised vectors of one kind that a study releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoisedVectors {
    /// The noise of each.
    pub plan: NoisePlan,
    /// Coordinates of each.
    pub dimension: u64,
}

/// What a noise plan promises to one patient, added or removed, of as many silos as the plan counts on, or to one hospital
/// whose data are exchanged for others where that is the unit.
///
/// A patient who is in more of them is protected less; the numbers here do not cover that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrivacyStatement {
    /// While nobody colludes and the masks hold.
    pub masks_hold: Promise,
    /// While `n_c` silos collude with the coordinator: the promise that is charged.
    pub colluders: Promise,
    /// If the masks were broken: from each silo's own noise alone. `None` where so little noise certifies nothing.
    pub masks_broken: Option<Promise>,
    /// The delta of all three.
    pub delta: Delta,
    /// Attempts counted: rounds and spares.
    pub attempts: u32,
    /// Silos that one patient may be known to.
    pub silos_per_patient: u32,
}

/// The promise in one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// Certified by Renyi differential privacy at an integer order, for noise as it is sampled.
    pub epsilon: Epsilon,
    /// That order.
    pub order: u32,
    /// Standard deviation of the noise seen, over the clip.
    pub multiplier: NoiseMultiplier,
}

impl PrivacyStatement {
    /// For all releases of all attempts of a plan, in the batches that it has drawn.
    pub fn of_plan(plan: &NoisePlan, dimension: u64, delta: Delta) -> Result<Self, NoisePlanFault> {
        let vectors = NoisedVectors {
            plan: *plan,
            dimension,
        };
        Self::of_plans(vectors, None, delta)
    }

    /// The same where a study has one more kind of release. The multipliers are those of the first kind.
    pub fn of_plans(
        first: NoisedVectors,
        second: Option<NoisedVectors>,
        delta: Delta,
    ) -> Result<Self, NoisePlanFault> {
        let kinds = || std::iter::once(first).chain(second);
        let distance = kinds().fold(SamplerDistance::NONE, |sum, kind| {
            let of_one = kind.plan.distance_from_exact(kind.dimension);
            sum.plus(of_one.times(kind.plan.attempts))
        });
        let promise = |view| -> Result<Option<Promise>, NoisePlanFault> {
            let multiplier = first.plan.multiplier(view)?;
            let certificate =
                RdpCurve::of_jobs(&jobs(first, second, view)?)?.epsilon_as_sampled(delta, distance);
            Ok(
                certificate.map(|Certificate { epsilon, order, .. }| Promise {
                    epsilon,
                    order,
                    multiplier,
                }),
            )
        };
        let kept = |view| {
            promise(view)?.ok_or(NoisePlanFault::NotCertified(
                NoCertificate::DistanceUsesDelta,
            ))
        };
        Ok(Self {
            masks_hold: kept(View::MasksHold)?,
            colluders: kept(View::Colluders)?,
            masks_broken: promise(View::MasksBroken)?,
            delta,
            attempts: kinds().fold(0, |sum, kind| sum.saturating_add(kind.plan.attempts)),
            silos_per_patient: kinds()
                .map(|kind| kind.plan.silos_per_patient)
                .max()
                .unwrap_or(1),
        })
    }
}

/// What the epsilon of all attempts of a plan probably is: an estimate, not a promise.
pub fn estimate_of_plan(
    plan: &NoisePlan,
    view: View,
    dimension: u64,
    delta: Delta,
) -> Result<Estimate, NoisePlanFault> {
    let vectors = NoisedVectors {
        plan: *plan,
        dimension,
    };
    estimate_of_plans(vectors, None, view, delta)
}

/// The same where a study has one more kind of release.
///
/// A batch whose losses are too large for it has the estimate of everybody, which is never smaller.
pub fn estimate_of_plans(
    first: NoisedVectors,
    second: Option<NoisedVectors>,
    view: View,
    delta: Delta,
) -> Result<Estimate, NoisePlanFault> {
    let jobs = jobs(first, second, view)?;
    let everybody: Vec<Job> = jobs
        .iter()
        .map(|job| Job {
            sampling: Sampling::Everybody,
            ..*job
        })
        .collect();
    estimate(&jobs, delta)
        .or_else(|_| estimate(&everybody, delta))
        .map_err(|_| NoisePlanFault::NoiseOutOfRange)
}

/// What a view faces in all attempts.
fn jobs(
    first: NoisedVectors,
    second: Option<NoisedVectors>,
    view: View,
) -> Result<Vec<Job>, NoisePlanFault> {
    std::iter::once(first)
        .chain(second)
        .map(|kind| Job::of_plan(&kind.plan, view, kind.dimension, kind.plan.attempts))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::accountant::{EstimateMethod, NoiseEvent, gaussian};
    use crate::batch::Batch;
    use crate::budget::Charge;
    use crate::calibration::calibrate;
    use crate::loss::SamplingRate;
    use crate::noise_plan::NoiseTerms;

    fn statement(silos: u32, dropouts: u32, colluders: u32) -> PrivacyStatement {
        let plan = plan(SamplingRate::EVERYBODY, silos, dropouts, colluders);
        PrivacyStatement::of_plan(&plan, 5, delta()).unwrap()
    }

    fn delta() -> Delta {
        Delta::new(1e-5).unwrap()
    }

    /// For epsilon 3 in batches of this rate.
    fn plan(rate: SamplingRate, silos: u32, dropouts: u32, colluders: u32) -> NoisePlan {
        let multiplier = calibrate(Epsilon::new(3.0).unwrap(), delta(), rate, 22).unwrap();
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier,
            silos,
            dropouts,
            colluders,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        });
        plan.unwrap().with_sampling_rate(rate)
    }

    #[test]
    fn the_charged_view_keeps_the_promise_and_the_others_stand_around_it() {
        let four = statement(4, 1, 1);
        assert!(four.colluders.epsilon.value() <= 3.0 && four.colluders.epsilon.value() > 2.999);
        assert!(four.masks_hold.epsilon < four.colluders.epsilon);
        assert!(four.colluders.epsilon < four.masks_broken.unwrap().epsilon);
        let plan = plan(SamplingRate::EVERYBODY, 4, 1, 1);
        let estimated = estimate_of_plan(&plan, View::Colluders, 5, delta()).unwrap();
        assert_eq!(estimated.method, EstimateMethod::GaussianExact);
        assert!(estimated.epsilon < four.colluders.epsilon);
    }

    #[test]
    fn a_drawn_batch_keeps_the_promise_with_less_noise_in_every_view() {
        let rate = SamplingRate::new(0.1).unwrap();
        let (whole, drawn) = (plan(SamplingRate::EVERYBODY, 4, 1, 1), plan(rate, 4, 1, 1));
        // A tenth of the patients: far less noise for the same promise.
        assert!(drawn.scale < whole.scale / 4);
        let statement = PrivacyStatement::of_plan(&drawn, 5, delta()).unwrap();
        let charged = statement.colluders.epsilon;
        assert!(
            charged.value() <= 3.0 && charged.value() > 2.99,
            "{charged}"
        );
        assert!(statement.masks_hold.epsilon < charged);
        assert!(charged < statement.masks_broken.unwrap().epsilon);
        let estimated = estimate_of_plan(&drawn, View::Colluders, 5, delta()).unwrap();
        assert_eq!(estimated.method, EstimateMethod::Pld);
        assert!(estimated.epsilon < charged);
        // The same noise with everybody in each attempt, which is what the draw is charged for.
        let everybody = NoisePlan {
            batch: Batch::Everybody,
            ..drawn
        };
        let loud = PrivacyStatement::of_plan(&everybody, 5, delta()).unwrap();
        assert!(loud.colluders.epsilon.value() > 10.0);
    }

    #[test]
    fn with_local_noise_every_step_is_charged_and_no_view_rests_on_masks() {
        let (epsilon, delta) = (Epsilon::new(3.0).unwrap(), Delta::new(1e-5).unwrap());
        let multiplier = calibrate(epsilon, delta, SamplingRate::EVERYBODY, 22 * 5).unwrap();
        let terms = NoiseTerms {
            multiplier,
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 22,
            patients_cap: 1_000,
            dimension: 5,
        };
        let plan = NoisePlan::derive_local(&terms, 5).unwrap();
        let local = PrivacyStatement::of_plan(&plan, 5, delta).unwrap();
        let own = local.masks_broken.unwrap();
        assert_eq!((local.masks_hold, local.colluders), (own, own));
        let certified = own.epsilon.value();
        assert!(certified <= 3.0 && certified > 2.999, "{certified}");
        // One attempt costs what five releases cost, and all attempts what the study promises.
        let charge = Charge::of_plan(&plan, View::Colluders, 5).unwrap();
        let event = NoiseEvent::of_plan(&plan, View::MasksBroken, 5).unwrap();
        for order in [2, 8, 64] {
            let (charged, one) = (
                charge.curve.at(order),
                RdpCurve::full_batch(&event, 1).at(order),
            );
            assert!((charged.unwrap() / one.unwrap() - 5.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_patient_of_several_silos_costs_what_the_reference_says() {
        // One full release of epsilon 1 at delta 1e-5, by the closed form: 2.16 for two hospitals and 3.41 for three.
        let (one, target) = (SamplingRate::EVERYBODY, Epsilon::new(1.0).unwrap());
        let multiplier = gaussian::multiplier(target, delta());
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(multiplier).unwrap(),
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 1,
            patients_cap: 1_000,
            dimension: 5,
        })
        .unwrap();
        for (silos, epsilon) in [(1, 1.000_1), (2, 2.16), (3, 3.41)] {
            let shared = plan.with_silos_per_patient(silos);
            shared.validate().unwrap();
            let estimated = estimate_of_plan(&shared, View::Colluders, 5, delta()).unwrap();
            let found = estimated.epsilon.value();
            // The reference is rounded up to two digits.
            assert!(
                found <= epsilon && found > epsilon - 0.01,
                "{silos}: {found}"
            );
            let stated = PrivacyStatement::of_plan(&shared, 5, delta()).unwrap();
            assert!(stated.colluders.epsilon.value() >= found);
            assert_eq!(stated.silos_per_patient, silos);
            // The noise is the plan's; what it costs at each order grows with the square.
            let price = |plan| Charge::of_plan(plan, View::Colluders, 5).unwrap().curve;
            let (alone, several) = (price(&plan).at(8), price(&shared).at(8));
            let factor = several.unwrap() / alone.unwrap();
            assert!((factor - f64::from(silos * silos)).abs() < 1e-9, "{factor}");
        }
        for silos in [0, 5] {
            let impossible = plan.with_silos_per_patient(silos);
            assert!(matches!(
                impossible.validate(),
                Err(NoisePlanFault::SilosPerPatient { .. })
            ));
        }
        let two = plan.with_silos_per_patient(2);
        assert_eq!(two.with_sampling_rate(one).validate(), Ok(()));
        let drawn = two.with_sampling_rate(SamplingRate::new(0.5).unwrap());
        assert_eq!(drawn.validate(), Err(NoisePlanFault::SeveralSilosApart));
    }

    #[test]
    fn so_little_noise_that_the_samplers_distance_uses_delta_up_certifies_nothing() {
        let plan = NoisePlan {
            scale: 1 << 14,
            ..plan(SamplingRate::EVERYBODY, 4, 1, 1)
        };
        let stated = |attempts| {
            let plan = NoisePlan { attempts, ..plan };
            PrivacyStatement::of_plan(&plan, 5, delta())
        };
        let some = (1..1_000).find_map(|attempts| {
            let stated = stated(attempts).unwrap();
            stated.masks_broken.is_none().then_some(stated)
        });
        // The first number of attempts at which each silo's share alone is too little.
        let some = some.unwrap();
        assert!(some.colluders.epsilon.value() < 48.0, "{some:?}");
        assert_eq!(
            stated(1_000_000),
            Err(NoisePlanFault::NotCertified(
                NoCertificate::DistanceUsesDelta
            ))
        );
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
