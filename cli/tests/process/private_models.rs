// SPDX-License-Identifier: Apache-2.0
//! Models with noise, learned by four real hospitals.

use crate::crashes::charged_attempts;
use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::studies::{PRIVATE_LINEAR, PRIVATE_NETWORK, PRIVATE_SAMPLED, replaced};
use consilium_learning::result::{RegressionResult, StudyResult};

/// A federation whose policies grant these analyses, which those of the trial do not.
fn granting(analyses: &str) -> Federation {
    let mut federation = Federation::resting();
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            replaced(
                &policy,
                "\"logistic-regression\"]",
                &format!("\"logistic-regression\", {analyses}]"),
            )
        });
    }
    federation.start();
    federation
}

/// Follows a study to its end and asserts that every ledger was charged once for each round.
#[track_caller]
fn complete(federation: &mut Federation, study: &str, rounds: usize) -> StudyResult {
    let id = federation.submit(study);
    let result = serde_json::from_value(federation.complete(&id)).unwrap();
    federation.stop();
    for hospital in HOSPITALS {
        assert_eq!(charged_attempts(federation, hospital, &id).len(), rounds);
    }
    federation.verify_log();
    result
}

fn without_unnoised_facts(result: &RegressionResult) -> bool {
    result.examples.is_none() && result.log_likelihood.is_none()
}

#[test]
fn a_number_is_learned_under_noise_with_a_clip_from_public_ranges() {
    let mut federation = granting("\"linear-regression\"");
    let result = complete(&mut federation, PRIVATE_LINEAR, 20);
    let StudyResult::LinearRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert_eq!(fit.names, ["intercept", "age", "male", "yes"]);
    assert!(without_unnoised_facts(fit) && fit.odds_ratios.is_empty());
    // The level at the middle of all ranges is about 2.5. The noise of twenty rounds, added up without any pull back, has
    // a standard deviation of 1.4 in it: 9 are more than six of them, one run in 10^9.
    assert!((fit.coefficients[0] - 2.5).abs() < 9.0, "{fit:?}");
}

#[test]
fn a_regression_is_learned_on_a_fresh_sample_in_each_round() {
    let mut federation = Federation::resting();
    federation.start();
    let short = replaced(PRIVATE_SAMPLED, "most = 36", "most = 10");
    let short = replaced(&short, "average_last = 18", "average_last = 5");
    let result = complete(&mut federation, &short, 10);
    let StudyResult::LogisticRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert_eq!(fit.names, ["intercept", "treatment", "age", "male", "risk"]);
    assert!(without_unnoised_facts(fit) && fit.odds_ratios.len() == 5);
    // Steps of 1.5 expand no difference here, so what chance adds in ten of them adds up at most. In one step the draw of
    // a fifth has a standard deviation below sqrt(0.2 x 0.8 x 602) x 2/120.4 = 0.17 in a coordinate, the noise one below
    // 0.05: times 1.5 sqrt(10) that is 0.8, and 6.4 are eight of them. Without chance the way stays as near to the pooled
    // fit, 1.9 long, as it begins: within 3.8 of zero.
    assert!(
        fit.coefficients.iter().all(|value| value.abs() < 3.8 + 6.4),
        "{fit:?}"
    );
    assert!(fit.coefficients.iter().any(|value| value.abs() > 1e-3));
}

#[test]
fn a_perceptron_is_learned_under_noise_by_adam() {
    let mut federation = granting("\"neural-network\"");
    let result = complete(&mut federation, PRIVATE_NETWORK, 20);
    let StudyResult::NeuralNetwork(fit) = &result else {
        panic!("another result: {result:?}")
    };
    // Four hidden units of five features, two labels of four units and an intercept.
    assert_eq!(fit.coefficients.len(), 4 * 5 + 2 * 5);
    assert_eq!(fit.names[20], "no: intercept");
    assert!(without_unnoised_facts(fit));
    // A step of Adam is at most 0.05 (1 - 0.9)/sqrt(1 - 0.999), which is 0.16 (Kingma and Ba 2015, section 2.1), and the
    // first model lies between -1 and 1.
    assert!(
        fit.coefficients
            .iter()
            .all(|value| value.abs() < 1.0 + 20.0 * 0.16)
    );
    assert!(fit.coefficients.iter().any(|value| value.abs() > 1e-3));
}
