// SPDX-License-Identifier: Apache-2.0
//! From the epsilon that is wanted to the noise that gives it.

use std::fmt;

use thiserror::Error;

use crate::accountant::{
    Adjacency, Job, NoCertificate, NoiseEvent, RdpCurve, SamplerDistance, Sampling,
};
use crate::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};

/// The smallest multiplier, on a grid of 2^-20, whose certificate is at most `epsilon`, for patients added
/// or removed.
///
/// The grid, and logarithms with the same bits everywhere, make every silo find the same multiplier.
/// `attempts` counts rounds and spare attempts.
pub fn calibrate(
    epsilon: Epsilon,
    delta: Delta,
    rate: SamplingRate,
    attempts: u32,
) -> Result<NoiseMultiplier, CalibrationFault> {
    Target {
        epsilon,
        delta,
        sampling: Sampling::Poisson(rate),
        adjacency: Adjacency::AddRemove,
        attempts,
    }
    .calibrate()
}

/// The part of one release's privacy loss that several releases of equal noise may take together: their multiplier, on
/// the grid. `whole` is the multiplier of the one release; `1/z^2` is what adds up.
pub fn multiplier_of_share(
    whole: NoiseMultiplier,
    share: f64,
    attempts: u32,
) -> Result<NoiseMultiplier, CalibrationFault> {
    if attempts == 0 {
        return Err(CalibrationFault::NoAttempts);
    }
    let steps = (whole.value() * (f64::from(attempts) / share).sqrt() * GRID).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and the grid refuses what is too large or no number"
    )]
    on_grid(steps as u64).ok_or(CalibrationFault::ShareTooSmall)
}

/// Other releases of the same study, which take a part of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// Their privacy loss.
    pub curve: RdpCurve,
    /// How far their noise is from exact, of all of them together.
    pub distance: SamplerDistance,
}

impl Beside {
    /// No other release.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            curve: RdpCurve::zero(),
            distance: SamplerDistance::NONE,
        }
    }
}

/// What noise is wanted for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The most that the certificate may say.
    pub epsilon: Epsilon,
    /// The delta that goes with it.
    pub delta: Delta,
    /// Who takes part in a round.
    pub sampling: Sampling,
    /// Whom the promise compares.
    pub adjacency: Adjacency,
    /// Rounds and spare attempts.
    pub attempts: u32,
}

impl Target {
    /// The smallest standard deviation over the clip, on a grid of 2^-20, that meets the target with exact noise.
    pub fn calibrate(&self) -> Result<NoiseMultiplier, CalibrationFault> {
        self.calibrate_as_sampled(SamplerDistance::NONE)
    }

    /// The same for noise as it is sampled, at this distance from exact in each attempt.
    pub fn calibrate_as_sampled(
        &self,
        of_one_attempt: SamplerDistance,
    ) -> Result<NoiseMultiplier, CalibrationFault> {
        self.calibrate_beside(of_one_attempt, &Beside::nothing())
    }

    /// The same where other releases of the study take a part of the target.
    pub fn calibrate_beside(
        &self,
        of_one_attempt: SamplerDistance,
        beside: &Beside,
    ) -> Result<NoiseMultiplier, CalibrationFault> {
        if self.attempts == 0 {
            return Err(CalibrationFault::NoAttempts);
        }
        let enough = |steps: u64| -> Result<Option<NoiseMultiplier>, CalibrationFault> {
            let Some(multiplier) = on_grid(steps) else {
                return Ok(None);
            };
            let Some(certified) = self.certified(multiplier, of_one_attempt, beside)? else {
                return Ok(None);
            };
            Ok((certified <= self.epsilon.value() * KEPT).then_some(multiplier))
        };
        let Some(mut found) = enough(MOST_STEPS)? else {
            return Err(self.unreachable(of_one_attempt, beside));
        };
        let (mut too_few, mut sufficient) = (FEWEST_STEPS, MOST_STEPS);
        while sufficient - too_few > 1 {
            let middle = too_few.midpoint(sufficient);
            match enough(middle)? {
                Some(multiplier) => {
                    found = multiplier;
                    sufficient = middle;
                }
                None => too_few = middle,
            }
        }
        Ok(found)
    }

    /// The certified epsilon of some noise; `None` where the noise is out of the accountant's range.
    fn certified(
        &self,
        multiplier: NoiseMultiplier,
        of_one_attempt: SamplerDistance,
        beside: &Beside,
    ) -> Result<Option<f64>, CalibrationFault> {
        let event = NoiseEvent::new(multiplier.value(), ClippingNorm::ONE, self.adjacency);
        let Ok(event) = event else {
            return Ok(None);
        };
        let curve = RdpCurve::of_job(&Job {
            event,
            sampling: self.sampling,
            attempts: self.attempts,
        })?;
        let distance = of_one_attempt.times(self.attempts).plus(beside.distance);
        let certificate = curve
            .compose(&beside.curve)
            .epsilon_as_sampled(self.delta, distance);
        Ok(certificate.map(|certificate| certificate.epsilon.value()))
    }

    /// The same batches out of so many times the patients; `None` where everybody takes part anyway.
    fn of_more_patients(&self, times: u32) -> Option<Self> {
        let sampling = match self.sampling {
            Sampling::Everybody => return None,
            Sampling::Poisson(SamplingRate::EVERYBODY) => return None,
            Sampling::Poisson(rate) => {
                Sampling::Poisson(SamplingRate::new(rate.value() / f64::from(times)).ok()?)
            }
            Sampling::FixedSize(batch) => Sampling::FixedSize(batch.out_of_more(times)?),
        };
        Some(Self { sampling, ..*self })
    }

    /// The nearest targets that some noise meets, each by changing one amount.
    fn unreachable(&self, of_one_attempt: SamplerDistance, beside: &Beside) -> CalibrationFault {
        let certified = |target: &Self| {
            on_grid(MOST_STEPS)
                .and_then(|most| {
                    target
                        .certified(most, of_one_attempt, beside)
                        .ok()
                        .flatten()
                })
                .unwrap_or(f64::INFINITY)
        };
        let reaches = |target: &Self| certified(target) <= target.epsilon.value() * KEPT;
        let fewer = (0..u32::BITS)
            .map(|halvings| self.attempts >> halvings)
            .take_while(|attempts| *attempts > 0)
            .map(|attempts| Self { attempts, ..*self })
            .find(reaches);
        let likelier = (1..=DELTA_TENFOLDS)
            .filter_map(|tenfolds| {
                Delta::new(self.delta.value() * libm::exp10(f64::from(tenfolds))).ok()
            })
            .map(|delta| Self { delta, ..*self })
            .find(reaches);
        CalibrationFault::Unreachable {
            epsilon: self.epsilon,
            delta: self.delta,
            alternatives: Alternatives {
                epsilon: two_digits_up(certified(self)).and_then(|least| Epsilon::new(least).ok()),
                delta: likelier.map(|target| target.delta),
                rounds: fewer.map(|target| target.attempts),
                times_patients: (1..=PATIENT_DOUBLINGS)
                    .map(|doublings| 1 << doublings)
                    .find(|times| self.of_more_patients(*times).is_some_and(|it| reaches(&it))),
            },
        }
    }
}

/// Why no noise gives what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CalibrationFault {
    /// Nothing would be released.
    #[error("calibration needs at least one attempt")]
    NoAttempts,
    /// The orders that are accounted do not reach so low.
    #[error("no noise gives epsilon {epsilon} at delta {delta} here, {alternatives}")]
    Unreachable {
        /// The epsilon asked for.
        epsilon: Epsilon,
        /// The delta asked for.
        delta: Delta,
        /// What could be had.
        alternatives: Alternatives,
    },
    /// The noise of a share is beyond what is accounted for.
    #[error(
        "so small a share of the privacy loss needs more noise than is accounted for; name a larger one"
    )]
    ShareTooSmall,
    /// Nothing is certified about such releases.
    #[error(transparent)]
    NoCertificate(#[from] NoCertificate),
}

/// What could be had instead of the impossible, each by changing one amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternatives {
    /// About the least epsilon.
    pub epsilon: Option<Epsilon>,
    /// The next larger delta, by powers of ten.
    pub delta: Option<Delta>,
    /// The next smaller number of rounds, by halves.
    pub rounds: Option<u32>,
    /// So many times the patients, where batches of the same size are drawn of them.
    pub times_patients: Option<u32>,
}

impl fmt::Display for Alternatives {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offers: Vec<String> = [
            self.epsilon.map(|epsilon| format!("epsilon {epsilon}")),
            self.delta.map(|delta| format!("delta {delta}")),
            self.rounds.map(|rounds| match rounds {
                1 => "1 round".to_owned(),
                more => format!("{more} rounds"),
            }),
            self.times_patients
                .map(|times| format!("{times} times the patients with batches of the same size")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if offers.is_empty() {
            formatter.write_str("ask for a larger epsilon, a larger delta or fewer rounds")
        } else {
            write!(formatter, "ask for {}", offers.join(" or "))
        }
    }
}

fn two_digits_up(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then(|| {
        let unit = libm::exp10(libm::floor(libm::log10(value)) - 1.0);
        let digits = libm::ceil(value / unit * (1.0 + 1e-5));
        // Dividing by a power of ten gives the decimal that is meant; multiplying by its inverse does not.
        if unit < 1.0 {
            digits / libm::round(1.0 / unit)
        } else {
            digits * unit
        }
    })
}

fn on_grid(steps: u64) -> Option<NoiseMultiplier> {
    #[expect(clippy::cast_precision_loss, reason = "exact: below 2^53")]
    let multiplier = steps as f64 / GRID;
    NoiseMultiplier::new(multiplier).ok()
}

/// A millionth is kept back, so that rounding further on can never exceed the promise.
const KEPT: f64 = 1.0 - 1e-6;
const GRID: f64 = 1_048_576.0;
/// Just above the least multiplier that is accounted for.
const FEWEST_STEPS: u64 = 2;
/// A multiplier of 2^19, more than 500,000.
const MOST_STEPS: u64 = 1 << 39;
const DELTA_TENFOLDS: i32 = 300;
const PATIENT_DOUBLINGS: u32 = 20;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::noise_plan::{NoisePlan, NoiseTerms, View};

    fn certified(
        multiplier: NoiseMultiplier,
        rate: SamplingRate,
        attempts: u32,
        delta: Delta,
    ) -> f64 {
        let event =
            NoiseEvent::new(multiplier.value(), ClippingNorm::ONE, Adjacency::AddRemove).unwrap();
        RdpCurve::poisson(&event, rate, attempts)
            .unwrap()
            .epsilon(delta)
            .epsilon
            .value()
    }

    #[test]
    fn two_kinds_of_releases_together_keep_one_target_and_use_it_up() {
        let (epsilon, delta) = (Epsilon::new(3.0).unwrap(), Delta::new(1e-5).unwrap());
        let whole = calibrate(epsilon, delta, SamplingRate::EVERYBODY, 1).unwrap();
        let of_one = SamplerDistance::of_vectors(4, 20);
        for share in [0.01, 0.1, 0.5, 0.9] {
            let evaluation = multiplier_of_share(whole, share, 2).unwrap();
            let event =
                NoiseEvent::new(evaluation.value(), ClippingNorm::ONE, Adjacency::AddRemove);
            let beside = Beside {
                curve: RdpCurve::full_batch(&event.unwrap(), 2),
                distance: of_one.times(2),
            };
            for rate in [1.0, 0.1] {
                let target = Target {
                    epsilon,
                    delta,
                    sampling: Sampling::Poisson(SamplingRate::new(rate).unwrap()),
                    adjacency: Adjacency::AddRemove,
                    attempts: 22,
                };
                let training = target.calibrate_beside(of_one, &beside).unwrap();
                assert!(target.calibrate_as_sampled(of_one).unwrap() < training);
                let together = target.certified(training, of_one, &beside);
                let together = together.unwrap().unwrap();
                assert!(together <= 3.0 && together > 2.998, "{together}");
            }
            // Squared, the multipliers' inverses share the whole.
            let part = 2.0 * (whole.value() / evaluation.value()).powi(2);
            assert!(part <= share && part > share * (1.0 - 1e-4), "{part}");
        }
        assert!(multiplier_of_share(whole, 1e-300, 2).is_err());
        assert!(multiplier_of_share(whole, 0.1, 0).is_err());
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
    fn a_refusal_names_what_could_be_had_instead() {
        let (epsilon, delta) = (Epsilon::new(1e-3).unwrap(), Delta::new(1e-5).unwrap());
        let Err(CalibrationFault::Unreachable { alternatives, .. }) =
            calibrate(epsilon, delta, SamplingRate::EVERYBODY, 10)
        else {
            panic!("noise was found");
        };
        let larger = alternatives.epsilon.unwrap();
        assert!(calibrate(larger, delta, SamplingRate::EVERYBODY, 10).is_ok());
        assert!(larger.value() < 0.02, "{larger}");
        let likelier = alternatives.delta.unwrap();
        assert!(calibrate(epsilon, likelier, SamplingRate::EVERYBODY, 10).is_ok());
        // Even one round is too much: the orders end at 1024.
        assert_eq!(alternatives.rounds, None);
        assert_eq!(
            alternatives.to_string(),
            format!("ask for epsilon {larger} or delta {likelier}")
        );
    }

    #[test]
    fn replacing_a_patient_takes_twice_the_noise_and_no_sampling() {
        let target = Target {
            epsilon: Epsilon::new(1.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            sampling: Sampling::Everybody,
            adjacency: Adjacency::AddRemove,
            attempts: 10,
        };
        let added = target.calibrate().unwrap().value();
        let replace = Target {
            adjacency: Adjacency::Replace,
            ..target
        };
        let replaced = replace.calibrate().unwrap().value();
        assert!((replaced / added - 2.0).abs() < 1e-6);
        let sampled = Target {
            sampling: Sampling::Poisson(SamplingRate::new(0.1).unwrap()),
            ..replace
        };
        assert_eq!(
            sampled.calibrate(),
            Err(CalibrationFault::NoCertificate(
                NoCertificate::ReplaceUnderPoisson
            ))
        );
    }

    #[test]
    fn noise_as_it_is_sampled_costs_more_where_its_distance_is_felt_and_never_exceeds_the_target() {
        // 1000 silos and 2^32 coordinates are 5.4e-17 in one attempt; e^15 makes 1.8e-10 of it, a hundred attempts
        // nearly two thirds of this delta.
        let (epsilon, delta) = (Epsilon::new(15.0).unwrap(), Delta::new(2.8e-8).unwrap());
        let target = Target {
            epsilon,
            delta,
            sampling: Sampling::Everybody,
            adjacency: Adjacency::AddRemove,
            attempts: 100,
        };
        let exact = target.calibrate().unwrap();
        let of_one = SamplerDistance::of_vectors(1_000, 1 << 32);
        let sampled = target.calibrate_as_sampled(of_one).unwrap();
        assert!(sampled > exact, "{sampled} {exact}");
        let rest = delta.value() - 100.0 * 1_000.0 * 2_f64.powi(-64) * (1.0 + 15_f64.exp());
        assert!(rest > 0.0 && rest < 0.5 * delta.value(), "{rest}");
        let rest = Delta::new(rest).unwrap();
        assert!(certified(sampled, SamplingRate::EVERYBODY, 100, rest) <= 15.0);
        // Twice the distance is 1.08e-14: even at epsilon 0 more than all of this delta.
        let spent = Target {
            delta: Delta::new(1e-14).unwrap(),
            ..target
        };
        assert!(matches!(
            spent.calibrate_as_sampled(of_one),
            Err(CalibrationFault::Unreachable { .. })
        ));
    }

    proptest! {
        #[test]
        fn what_a_derived_plan_certifies_never_exceeds_what_was_asked(
            epsilon in 0.05_f64..20.0,
            exponent in 2_i32..9,
            attempts in 1_u32..2_000,
            silos in 3_u32..50,
            dimension in 1_u64..10_000,
            rate in prop_oneof![Just(1.0), 1e-3_f64..1.0],
        ) {
            let (target, delta) = (Epsilon::new(epsilon).unwrap(), Delta::new(10_f64.powi(-exponent)).unwrap());
            let rate = SamplingRate::new(rate).unwrap();
            let asked = Target {
                epsilon: target, delta, sampling: Sampling::Poisson(rate), adjacency: Adjacency::AddRemove, attempts,
            };
            let multiplier = asked.calibrate_as_sampled(SamplerDistance::of_vectors(silos, dimension)).unwrap();
            let plan = NoisePlan::derive(&NoiseTerms {
                multiplier, silos, dropouts: silos / 4, colluders: silos / 3, attempts, patients_cap: 1_000, dimension,
            }).unwrap().with_sampling_rate(rate);
            let job = Job::of_plan(&plan, View::Colluders, dimension, attempts).unwrap();
            let distance = plan.distance_from_exact(dimension).times(attempts);
            let certificate = RdpCurve::of_job(&job).unwrap().epsilon_as_sampled(delta, distance).unwrap();
            prop_assert!(certificate.epsilon <= target, "{} above {}", certificate.epsilon, target);
        }
    }
}
