// SPDX-License-Identifier: Apache-2.0
//! Laws of the accountant: more noise, fewer rounds, fewer patients and a larger delta never cost more;
//! the order of jobs does not matter; an estimate is not above its certificate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use consilium_privacy::accountant::{
    Adjacency, FixedSize, Job, Mechanism, NoiseEvent, RdpCurve, Sampling, certificate, estimate,
    pld,
};
use consilium_privacy::loss::{ClippingNorm, Delta, SamplingRate};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_argument_of_the_certificate_helps_when_it_gets_worse(
        job in jobs(),
        delta in deltas(),
        noisier in 1.0_f64..4.0,
        more in 1_u32..50,
        likelier in 1.0_f64..100.0,
    ) {
        let cost = |job: &Job, delta: f64| {
            certificate(&[*job], Delta::new(delta).unwrap()).unwrap().epsilon.value()
        };
        let before = cost(&job, delta);
        prop_assert!(cost(&with_noise(&job, noisier), delta) <= before * SLACK);
        let longer = Job { attempts: job.attempts + more, ..job };
        prop_assert!(cost(&longer, delta) >= before / SLACK);
        prop_assert!(cost(&job, (delta * likelier).min(0.9)) <= before * SLACK);
        if let Some(sparser) = sampled_less(&job) {
            prop_assert!(cost(&sparser, delta) <= before * SLACK);
        }
    }

    #[test]
    fn every_order_rises_with_each_argument(job in jobs(), noisier in 1.0_f64..4.0) {
        let curve = RdpCurve::of_job(&job).unwrap();
        let quieter = RdpCurve::of_job(&with_noise(&job, noisier)).unwrap();
        let twice = RdpCurve::of_job(&Job { attempts: job.attempts * 2, ..job }).unwrap();
        for (((order, now), (_, less)), (_, more)) in curve.points().zip(quieter.points()).zip(twice.points()) {
            prop_assert!(less <= now * SLACK, "order {order}: {less} above {now}");
            prop_assert!(more >= now, "order {order}");
        }
    }

    #[test]
    fn composition_commutes_and_never_saves(first in jobs(), second in jobs(), delta in deltas()) {
        let delta = Delta::new(delta).unwrap();
        prop_assume!(first.event.adjacency() == second.event.adjacency());
        let one_way = certificate(&[first, second], delta).unwrap().epsilon;
        let other_way = certificate(&[second, first], delta).unwrap().epsilon;
        prop_assert_eq!(one_way, other_way);
        prop_assert!(one_way >= certificate(&[first], delta).unwrap().epsilon);
    }
}

proptest! {
    // The distribution of the loss takes a transform each time.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_estimate_obeys_the_same_laws_and_stays_below_the_certificate(
        job in estimated_jobs(),
        other in estimated_jobs(),
        exponent in 3_i32..8,
        noisier in 1.05_f64..3.0,
    ) {
        let delta = Delta::new(10_f64.powi(-exponent)).unwrap();
        let cost = |jobs: &[Job]| pld::epsilon(jobs, delta).map(|epsilon| epsilon.value());
        let before = cost(&[job]).unwrap();
        prop_assert!(before <= certificate(&[job], delta).unwrap().epsilon.value() * (1.0 + 1e-5) + 1e-6);
        prop_assert!(cost(&[with_noise(&job, noisier)]).unwrap() <= before * (1.0 + 1e-5) + 1e-6);
        let longer = Job { attempts: job.attempts + 1, ..job };
        prop_assert!(cost(&[longer]).unwrap() >= before * (1.0 - 1e-5) - 1e-6);
        let (one_way, other_way) = (cost(&[job, other]).unwrap(), cost(&[other, job]).unwrap());
        prop_assert!((one_way - other_way).abs() <= 1e-9 * one_way.max(1.0));
        prop_assert!(one_way >= before * (1.0 - 1e-5) - 1e-6);
        prop_assert_eq!(estimate(&[job], delta).is_ok(), true);
    }
}

/// Everything that has a certificate.
fn jobs() -> impl Strategy<Value = Job> {
    let adjacency = prop_oneof![Just(Adjacency::AddRemove), Just(Adjacency::Replace)];
    let sampling = prop_oneof![
        Just(Sampling::Everybody),
        (1e-4_f64..1.0).prop_map(|rate| Sampling::Poisson(SamplingRate::new(rate).unwrap())),
        (1_u64..1_000).prop_map(|batch| Sampling::FixedSize(FixedSize::new(batch, 1_000).unwrap())),
    ];
    (
        mechanisms(),
        0.3_f64..40.0,
        1_u32..4,
        adjacency,
        sampling,
        1_u32..5_000,
    )
        .prop_filter_map(
            "a certificate exists",
            |(mechanism, deviation, clip, adjacency, sampling, attempts)| {
                let clip = ClippingNorm::new(f64::from(clip)).unwrap();
                let event = NoiseEvent::of_mechanism(mechanism, deviation, clip, adjacency).ok()?;
                let job = Job {
                    event,
                    sampling,
                    attempts,
                };
                RdpCurve::of_job(&job).is_ok().then_some(job)
            },
        )
}

/// Those whose loss is small enough to be estimated quickly, for patients added or removed.
fn estimated_jobs() -> impl Strategy<Value = Job> {
    (jobs(), 1_u32..100).prop_filter_map("an estimate exists", |(job, attempts)| {
        let job = Job { attempts, ..job };
        let small = job.event.over_clip() > 1.0;
        let estimated = !matches!(job.sampling, Sampling::FixedSize(_));
        (small && estimated && job.event.adjacency() == Adjacency::AddRemove).then_some(job)
    })
}

fn mechanisms() -> impl Strategy<Value = Mechanism> {
    prop_oneof![
        Just(Mechanism::Gaussian),
        Just(Mechanism::DiscreteGaussian),
        (1_u32..9, 1_u64..100).prop_map(|(shares, dimension)| Mechanism::SumOfDiscreteGaussians {
            shares,
            dimension
        }),
        Just(Mechanism::Laplace),
        Just(Mechanism::DiscreteLaplace),
        Just(Mechanism::Skellam { absolute_sum: 6.0 }),
    ]
}

fn deltas() -> impl Strategy<Value = f64> {
    (-12.0_f64..-2.0).prop_map(|exponent| 10_f64.powf(exponent))
}

fn with_noise(job: &Job, factor: f64) -> Job {
    let event = &job.event;
    let event = NoiseEvent::of_mechanism(
        event.mechanism(),
        event.over_clip() * event.clip().value() * factor,
        event.clip(),
        event.adjacency(),
    );
    Job {
        event: event.unwrap(),
        ..*job
    }
}

fn sampled_less(job: &Job) -> Option<Job> {
    let sampling = match job.sampling {
        Sampling::Everybody => return None,
        Sampling::Poisson(rate) => {
            Sampling::Poisson(SamplingRate::new(rate.value() * 0.8).unwrap())
        }
        Sampling::FixedSize(batch) => {
            let batch = (batch.fraction() * 1_000.0 * 0.8) as u64;
            Sampling::FixedSize(FixedSize::new(batch.max(1), 1_000).unwrap())
        }
    };
    Some(Job { sampling, ..*job })
}

/// Room for the last bits.
const SLACK: f64 = 1.0 + 1e-9;
