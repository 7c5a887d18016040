// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::accountant::NoiseEvent;
use crate::accountant::certificate;
use crate::loss::{ClippingNorm, NoiseMultiplier, SamplingRate};

fn job(multiplier: f64, rate: f64, attempts: u32) -> Job {
    Job {
        event: NoiseEvent::new(multiplier, ClippingNorm::ONE, Adjacency::AddRemove).unwrap(),
        sampling: if rate == 1.0 {
            Sampling::Everybody
        } else {
            Sampling::Poisson(SamplingRate::new(rate).unwrap())
        },
        attempts,
    }
}

#[test]
fn a_hundred_thousand_rounds_of_everybody_agree_with_the_closed_form() {
    for (multiplier, exponent) in [(300.0, -5), (300.0, -10), (1_000.0, -5), (60.0, -6)] {
        let delta = Delta::new(10_f64.powi(exponent)).unwrap();
        let ours = epsilon(&[job(multiplier, 1.0, 100_000)], delta)
            .unwrap()
            .value();
        let multiplier = NoiseMultiplier::new(multiplier).unwrap();
        let exact = crate::accountant::gaussian::estimate(multiplier, 100_000, delta).value();
        let excess = ours / exact - 1.0;
        println!("z {multiplier}, delta {delta}: {ours} is {excess:e} above the closed form");
        assert!(
            (-1e-9..2e-5).contains(&excess),
            "{ours} against {exact}: {excess:e}"
        );
    }
}

#[test]
fn a_hundred_thousand_sampled_rounds_change_little_on_a_finer_grid() {
    for (multiplier, rate) in [(1.0, 0.001), (0.8, 0.0005), (2.0, 0.01)] {
        let jobs = [job(multiplier, rate, 100_000)];
        let delta = Delta::new(1e-6).unwrap();
        let ours = epsilon(&jobs, delta).unwrap().value();
        let finer = epsilon_on_finer_grid(&jobs, delta, 4).unwrap().value();
        let excess = ours / finer - 1.0;
        println!("z {multiplier}, q {rate}: {ours} is {excess:e} above the finer grid");
        assert!(
            (-1e-9..2e-5).contains(&excess),
            "{ours} against {finer}: {excess:e}"
        );
    }
}

#[test]
fn delta_is_the_inverse_of_epsilon() {
    let jobs = [job(1.0, 0.1, 20), job(5.0, 1.0, 3)];
    for wanted in [1e-3, 1e-6, 1e-9] {
        let epsilon = epsilon(&jobs, Delta::new(wanted).unwrap()).unwrap();
        let ours = delta(&jobs, epsilon).unwrap();
        assert!(
            (ours / wanted - 1.0).abs() < 1e-3,
            "{ours} against {wanted}"
        );
    }
}

#[test]
fn an_epsilon_is_found_where_the_largest_loss_alone_is_likelier_than_delta() {
    // Half of each release has the largest loss: all thirteen together with a probability of 1.2e-4.
    let event = NoiseEvent::of_mechanism(
        Mechanism::Laplace,
        4.760_310_404_220_705,
        ClippingNorm::ONE,
        Adjacency::AddRemove,
    )
    .unwrap();
    let jobs = [Job {
        event,
        sampling: Sampling::Everybody,
        attempts: 13,
    }];
    for exponent in 3..8 {
        let wanted = Delta::new(10_f64.powi(-exponent)).unwrap();
        let found = epsilon(&jobs, wanted).unwrap();
        let certified = certificate(&jobs, wanted).unwrap().epsilon;
        assert!(found < certified, "{found:?} {certified:?}");
        let back = delta(&jobs, found).unwrap();
        assert!((back / wanted.value() - 1.0).abs() < 1e-4, "{back}");
    }
}

#[test]
fn a_removed_patient_can_cost_more_than_an_added_one_and_the_larger_counts() {
    // One round at 1 percent: an added patient's loss is at most -ln(0.99).
    let bound = -(0.99_f64).ln();
    let ours = epsilon(&[job(1.0, 0.01, 1)], Delta::new(1e-5).unwrap()).unwrap();
    assert!(ours.value() > 10.0 * bound);
}

#[test]
fn nothing_released_costs_nothing_and_too_much_is_not_estimated() {
    let delta = Delta::new(1e-5).unwrap();
    assert_eq!(epsilon(&[], delta).unwrap().value(), 0.0);
    assert_eq!(epsilon(&[job(1.0, 1.0, 0)], delta).unwrap().value(), 0.0);
    assert_eq!(epsilon(&[job(1e5, 1.0, 1)], delta).unwrap().value(), 0.0);
    assert_eq!(
        epsilon(&[job(0.01, 0.5, 1_000)], delta),
        Err(NoEstimate::TooLoud)
    );
}

#[test]
fn jobs_that_promise_different_things_are_not_added() {
    let event = NoiseEvent::new(2.0, ClippingNorm::ONE, Adjacency::Replace).unwrap();
    let replaced = Job {
        event,
        ..job(1.0, 1.0, 1)
    };
    assert_eq!(
        epsilon(&[job(1.0, 1.0, 1), replaced], Delta::new(1e-5).unwrap()),
        Err(NoEstimate::Unlike(NoCertificate::UnlikeAdjacency))
    );
}
