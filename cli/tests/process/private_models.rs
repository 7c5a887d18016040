// SPDX-License-Identifier: Apache-2.0
//! Models with noise, learned by four real hospitals: near what the same objective finds without noise, as near as the noise
//! of the plan lets them be ([`simulated`] says how often an honest federation is further away), and charged.

mod simulated;

use crate::crashes::charged_attempts;
use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::private_newton::{crowd, of_the_crowd};
use crate::studies::{
    PRIVATE_LINEAR, PRIVATE_LOCAL, PRIVATE_NETWORK, PRIVATE_SAMPLED, PRIVATE_SILO, private,
    replaced,
};
use consilium_learning::result::{RegressionResult, StudyResult};
use consilium_learning::study::Study;
use consilium_privacy::noise_plan::View;
use simulated::Simulated;

/// A federation whose policies grant these analyses and the mode `local`, which those of the trial do not.
fn granting(analyses: &str) -> Federation {
    let mut federation = resting(analyses);
    federation.start();
    federation
}

/// The same with forty times the patients.
fn crowded(analyses: &str) -> Federation {
    let mut federation = resting(analyses);
    crowd(&federation);
    federation.start();
    federation
}

fn resting(analyses: &str) -> Federation {
    let federation = Federation::resting();
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            let policy = replaced(
                &policy,
                "\"logistic-regression\"]",
                &format!("\"logistic-regression\", {analyses}]"),
            );
            replaced(
                &policy,
                "modes = [\"distributed\"]",
                "modes = [\"distributed\", \"local\"]",
            )
        });
    }
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
    let mut federation = crowded("\"linear-regression\"");
    let study = of_the_crowd(PRIVATE_LINEAR);
    let result = complete(&mut federation, &study, 20);
    let StudyResult::LinearRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert_eq!(fit.names, ["intercept", "age", "male", "yes"]);
    assert!(without_unnoised_facts(fit) && fit.odds_ratios.is_empty());
    Simulated::of(&study).assert_found(&fit.coefficients);
}

#[test]
fn one_label_of_four_is_learned_under_noise_with_a_clip_from_public_ranges() {
    let mut federation = crowded("\"softmax-regression\"");
    let study = of_the_crowd(&softmax());
    let result = complete(&mut federation, &study, 20);
    let StudyResult::SoftmaxRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert_eq!(fit.coefficients.len(), 4 * 5);
    assert!(without_unnoised_facts(fit) && fit.odds_ratios.is_empty());
    Simulated::of(&study).assert_found(&fit.coefficients);
}

#[test]
fn a_perceptron_is_learned_under_noise() {
    let mut federation = crowded("\"neural-network\"");
    // Momentum where the example has Adam, whose steps are as long where there is nothing but noise to follow.
    let study = of_the_crowd(&replaced(
        &replaced(PRIVATE_NETWORK, "optimizer = \"adam\"", "momentum = 0.5"),
        "learning_rate = 0.05",
        "learning_rate = 0.5",
    ));
    let result = complete(&mut federation, &study, 20);
    let StudyResult::NeuralNetwork(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert!(without_unnoised_facts(fit));
    Simulated::of(&study).assert_found(&fit.coefficients);
}

#[test]
fn odds_are_learned_under_noise() {
    let mut federation = crowded("\"linear-regression\"");
    let study = of_the_crowd(&private(10, 1));
    let result = complete(&mut federation, &study, 10);
    let StudyResult::LogisticRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert!(without_unnoised_facts(fit));
    Simulated::of(&study).assert_found(&fit.coefficients);
}

/// What was found before the intervention, from age, sex, risk and treatment: four labels.
fn softmax() -> String {
    [
        ("\"neural-network\"", "\"softmax-regression\""),
        ("column = \"outcome\"", "column = \"type\""),
        ("hidden_units = 4\n", ""),
        ("initial_seed = 1 ", "# "),
        ("optimizer = \"adam\"\n", ""),
        ("learning_rate = 0.05", "learning_rate = 0.5"),
        ("clip = 1.0 ", "# "),
        ("[data.columns.outcome]", "[data.columns.type]"),
        (
            "levels = { \"0_no\" = \"no\", \"1_yes\" = \"yes\" }",
            "levels = { \"0_no SOD\" = \"none\", \"1_type 1\" = \"1\", \"2_type 2\" = \"2\", \"3_type 3\" = \"3\" }",
        ),
    ]
    .into_iter()
    .fold(PRIVATE_NETWORK.to_owned(), |text, (part, by)| {
        replaced(&text, part, by)
    })
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
    // Steps of 1.5 expand no difference here, so that what chance adds in ten of them adds up at most: no norm is longer in
    // distribution than that of a walk. The draw of a fifth of 602 patients is sub-Gaussian with a deviation of
    // sqrt(0.2164 x 602) x 2/120.4 = 0.19 in a coordinate of one step (0.2164 = (1 - 2q)/(2 ln((1 - q)/q)), q = 0.2), the noise
    // with one below 0.05: times 1.5 sqrt(10) that is 0.93. Five coordinates are longer than 8.0, which is 8.6 of them, with
    // at most e^-23.6 (Hsu, Kakade and Zhang 2012, theorem 1), and one of the five models that are averaged with 3 in 10^10:
    // the rate of false alarms. Without chance the way stays as near to the pooled fit, 1.9 long, as it begins: within 3.8
    // of zero.
    assert!(
        fit.coefficients.iter().all(|value| value.abs() < 3.8 + 8.0),
        "{fit:?}"
    );
    assert!(fit.coefficients.iter().any(|value| value.abs() > 1e-3));
}

#[test]
fn a_perceptron_is_trained_under_noise_by_adam() {
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

#[test]
fn local_steps_with_noise_at_each_learn_a_model_and_each_is_charged() {
    let mut federation = crowded("\"linear-regression\"");
    let study = of_the_crowd(PRIVATE_LOCAL);
    let result = complete(&mut federation, &study, 4);
    let StudyResult::LogisticRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert!(without_unnoised_facts(fit));
    Simulated::of(&study).assert_found(&fit.coefficients);

    let study = Study::parse(study.as_bytes()).unwrap();
    let noise = study.vector_plan(4, 1, 1).unwrap().noise.unwrap();
    let multiplier = noise.multiplier(View::MasksBroken).unwrap().value();
    for hospital in HOSPITALS {
        // Three steps of the silo's own noise, by the closed form at order 8: no share of anybody else's.
        let due = 3.0 * 8.0 / (2.0 * multiplier * multiplier);
        assert_set_aside(&federation, hospital, 5, due);
    }
}

/// So many attempts, each at this price at order 8.
#[track_caller]
fn assert_set_aside(federation: &Federation, hospital: &str, attempts: u32, due: f64) {
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", hospital]);
    let reserved = ledger["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["entry"]["reserved"])
        .find(|reserved| reserved.is_object())
        .unwrap();
    assert_eq!(reserved["attempts"], attempts);
    let charged: f64 = reserved["curve"]["8"].as_str().unwrap().parse().unwrap();
    assert!((charged / due - 1.0).abs() < 1e-9, "{charged} {due}");
}

#[test]
fn hospitals_are_hidden_as_a_whole_and_each_is_charged_for_any_data_it_could_have() {
    let mut federation = Federation::resting();
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            replaced(
                &policy,
                "modes = [\"distributed\"]",
                "modes = [\"distributed\"]\nunits = [\"patient\", \"silo\"]",
            )
        });
    }
    federation.start();
    let result = complete(&mut federation, PRIVATE_SILO, 4);
    let StudyResult::LogisticRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert!(without_unnoised_facts(fit));
    // Each round moves by the mean of four vectors of length 1 at most, and by its noise: four rounds, and the mean of the
    // last two models. The noise in one coordinate of the mean is z/sqrt(8) for the z that the plan has.
    let study = Study::parse(PRIVATE_SILO.as_bytes()).unwrap();
    let noise = study.vector_plan(4, 1, 1).unwrap().noise.unwrap();
    let colluders = noise.multiplier(View::Colluders).unwrap().value();
    let deviation = colluders / 8.0_f64.sqrt() * 4.0_f64.sqrt();
    // Six standard deviations beyond the four steps: one run in 10^8 has a coordinate outside.
    let reach = 4.0 + 6.0 * deviation;
    assert!(
        fit.coefficients.iter().all(|value| value.abs() < reach),
        "{fit:?}"
    );
    // Noise it has: each of five coordinates within a hundredth of its deviation is one run in 10^10.
    assert!(
        fit.coefficients
            .iter()
            .any(|value| value.abs() > deviation / 100.0)
    );
    for hospital in HOSPITALS {
        // Two clips apart: four times what a patient's vector of that clip costs, by the closed form at order 8.
        let due = 4.0 * 8.0 / (2.0 * colluders * colluders);
        assert_set_aside(&federation, hospital, 5, due);
    }
}

#[test]
fn a_number_is_learned_by_local_steps_too() {
    let mut federation = crowded("\"linear-regression\"");
    let local = replaced(PRIVATE_LINEAR, "\"fedsgd\"", "\"fedavg\"");
    let local = replaced(&local, "mode = \"distributed\"", "mode = \"local\"");
    let local = replaced(&local, "momentum = 0.5", "local_steps = 2");
    let local = replaced(&local, "most = 20", "most = 4");
    let local = replaced(&local, "average_last = 10", "average_last = 2");
    let local = replaced(&local, "delta =", "clip = 1.0\ndelta =");
    let local = of_the_crowd(&local);
    let result = complete(&mut federation, &local, 4);
    let StudyResult::LinearRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert!(without_unnoised_facts(fit) && fit.odds_ratios.is_empty());
    Simulated::of(&local).assert_found(&fit.coefficients);
}

#[test]
fn a_number_is_fitted_by_least_squares_without_noise_as_if_all_rows_were_in_one_place() {
    let federation = granting("\"linear-regression\"");
    let rounds = PRIVATE_LINEAR.find("[rounds]").unwrap();
    let exact = replaced(&PRIVATE_LINEAR[..rounds], "\"fedsgd\"", "\"newton\"");
    let exact = format!(
        "{exact}[rounds]\nmost = 4\nstop_when_step_below = 1e-6\n[privacy]\nmode = \"none\"\n"
    );
    let id = federation.submit(&exact);
    let result: StudyResult = serde_json::from_value(federation.complete(&id)).unwrap();
    let fit = result.regression().unwrap();
    assert_eq!((fit.rounds, fit.converged), (2, Some(true)));
    let errors = fit.standard_errors.as_ref().unwrap();
    for (found, pooled) in fit.coefficients.iter().zip(POOLED) {
        assert!((found - pooled).abs() < 1e-6, "{found} is not {pooled}");
    }
    for (found, pooled) in errors.iter().zip(POOLED_ERRORS) {
        assert!((found - pooled).abs() < 1e-6, "{found} is not {pooled}");
    }
}

/// Least squares on the rows of all four hospitals, by exact rational arithmetic: intercept, age, male, outcome.
const POOLED: [f64; 4] = [
    2.211_741_041_147_626_6,
    -0.562_953_021_253_169_3,
    -0.287_235_866_352_197_3,
    0.312_997_355_446_445_9,
];
const POOLED_ERRORS: [f64; 4] = [
    0.054_431_916_107_288_515,
    0.106_789_505_898_849_17,
    0.084_977_345_751_468_67,
    0.102_456_598_556_262_68,
];
