// SPDX-License-Identifier: Apache-2.0
//! A model with noise, tried on patients of four real hospitals from whom it was not learned.

use crate::crashes::{charged_attempts, uploaded_attempts};
use crate::federation::Federation;
use crate::founding::HOSPITALS;
use crate::private_newton::crowded;
use crate::studies::{LOGISTIC, PRIVATE_EVALUATED, replaced};
use consilium_learning::model::{Model, Stage};
use consilium_learning::result::{Measure, RegressionResult, StudyResult};
use consilium_learning::study::Study;
use consilium_learning::{Table, Task};
use consilium_privacy::accountant::{NoiseEvent, RdpCurve};
use consilium_privacy::budget::RdpAmount;
use consilium_privacy::noise_plan::{VectorPlan, View};
use serde_json::{Value, json};
use std::fs;

const VICTIM: &str = "2_IU";

#[test]
fn a_private_model_is_tried_on_patients_held_out_and_both_are_charged() {
    let study = [
        ("delta = \"1e-5\"", "delta = \"1e-6\""),
        ("expected_patients = 602", "expected_patients = 24080"),
        (
            "most_patients_per_silo = 1000",
            "most_patients_per_silo = 32768",
        ),
    ]
    .into_iter()
    .fold(short(), |text, (part, by)| replaced(&text, part, by));
    let mut federation = crowded();
    let id = federation.submit(&study);
    let shown = federation.watch(&id);
    assert_eq!(
        shown["state"],
        "completed",
        "{shown}\n{}",
        federation.logs()
    );
    // Three rounds and the evaluation.
    assert_eq!(
        (&shown["round"], &shown["attempts_reserved"]),
        (&json!(4), &json!(7))
    );
    let result = federation.json(&["study", "result", &id, "--dir", "researcher"]);
    federation.stop();
    federation.verify_log();
    let fit = regression(&result);
    let evaluation = fit.evaluation.as_ref().unwrap();

    let truth = Truth::of(&study, &fit, &federation);
    let deviation = evaluation.standard_deviation.unwrap();
    assert!((1.0..5.0).contains(&deviation), "{deviation}");
    // Fourteen cells: five standard deviations, less than one run in 10^6.
    let patients = evaluation.patients.0;
    assert!((patients - truth.patients).abs() < 5.0 * deviation * 14_f64.sqrt());
    assert_within(evaluation.accuracy.as_ref(), truth.accuracy);
    assert_within(evaluation.area_under_curve.as_ref(), truth.area);

    let plans = Study::parse(study.as_bytes()).unwrap();
    let training = plans.vector_plan(4, 1, 1).unwrap();
    let tried = plans.evaluation_plan(4, 1, 1).unwrap().unwrap();
    for hospital in HOSPITALS {
        let beside = format!("{id}/evaluation");
        for (job, plan, reserved, charged) in [(&id, &training, 5, 3), (&beside, &tried, 2, 1)] {
            assert_eq!(charged_attempts(&federation, hospital, job).len(), charged);
            assert_reserved(&federation, hospital, job, plan, reserved);
        }
        let compared = compared(&federation, hospital);
        assert_eq!(
            (&compared["attempts"], &compared["differences"]),
            (&json!(4), &json!([]))
        );
    }
}

#[test]
fn a_silo_that_dies_once_the_evaluation_is_charged_stays_charged() {
    let study = short();
    let mut federation = Federation::resting();
    permit(&federation, "20");
    federation.start_with_armed_silo(VICTIM, "ledger-committed:4");
    let id = federation.submit(&study);
    federation.await_silos_death(VICTIM);
    let beside = format!("{id}/evaluation");
    let dead = charged_attempts(&federation, VICTIM, &beside);
    assert_eq!(dead.len(), 1, "{dead:?}");
    federation.start_silo(VICTIM);
    let result = federation.complete(&id);
    federation.stop();
    federation.verify_log();
    assert!(regression(&result).evaluation.is_some());
    let after = charged_attempts(&federation, VICTIM, &beside);
    assert!(dead.is_subset(&after), "{dead:?} {after:?}");
    assert!((1..=2).contains(&after.len()), "{after:?}");
    let mut charged = charged_attempts(&federation, VICTIM, &id);
    charged.extend(after);
    assert!(uploaded_attempts(&federation, VICTIM).is_subset(&charged));
    assert_eq!(compared(&federation, VICTIM)["differences"], json!([]));
}

#[test]
fn a_budget_for_the_training_alone_is_not_enough_and_nothing_is_set_aside() {
    let study = short();
    let mut federation = Federation::resting();
    // Training takes seven tenths of the loss of epsilon 8; this budget has room for that and not for three tenths more.
    permit(&federation, "7.2");
    federation.start();
    let id = federation.submit(&study);
    let last = federation.watch(&id);
    assert_eq!(last["state"], "refused", "{last}");
    assert!(last["refusals"].to_string().contains("budget"), "{last}");
    federation.stop();
    for hospital in HOSPITALS {
        let ledger = federation.json(&["silo", "ledger", "show", "--dir", hospital]);
        assert!(
            !ledger["entries"].to_string().contains("reserved"),
            "{ledger}"
        );
    }
}

#[test]
fn without_noise_the_histogram_is_exact() {
    let study = format!("{LOGISTIC}\n[evaluation]\nhold_out = 0.5\nbins = 4\n");
    let mut federation = Federation::resting();
    for hospital in HOSPITALS {
        // Half of a small hospital's patients are less than its policy asks for.
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            let policy = policy.split("[[example]]").next().unwrap();
            let reason = "min_patients = 1\nmin_patients_reason = \"a test\"";
            match hospital {
                "4_Case" => replaced(policy, "min_patients = 3", "min_patients = 1"),
                _ => replaced(policy, "min_patients = 20", reason),
            }
        });
    }
    federation.start();
    let id = federation.submit(&study);
    let result = federation.complete(&id);
    federation.stop();
    federation.verify_log();
    let fit = regression(&result);
    // What Newton's last round knew is still there.
    assert!(fit.standard_errors.is_some() && fit.converged == Some(true));
    let truth = Truth::of(&study, &fit, &federation);
    let evaluation = fit.evaluation.as_ref().unwrap();
    assert_eq!(evaluation.patients.0, truth.patients);
    let value = |measure: &Option<Measure>| measure.unwrap().value.unwrap();
    assert!((value(&evaluation.accuracy) - truth.accuracy).abs() < 1e-12);
    assert!((value(&evaluation.area_under_curve) - truth.area).abs() < 1e-12);
    // Those who are held out were no examples.
    assert_eq!(fit.examples.unwrap().0 + truth.patients, 602.0);
}

/// The example with few rounds.
fn short() -> String {
    let study = replaced(PRIVATE_EVALUATED, "most = 20", "most = 3");
    replaced(&study, "average_last = 10", "average_last = 1")
}

/// Policies that grant epsilon 8 for a study, and a budget.
fn permit(federation: &Federation, budget: &str) {
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            let policy = replaced(
                &policy,
                "epsilon = \"4\"",
                &format!("epsilon = \"{budget}\""),
            );
            let policy = replaced(&policy, "per_job = \"3.0\"", "per_job = \"12\"");
            replaced(&policy, "epsilon = \"8\"", "epsilon = \"80\"")
        });
    }
}

fn regression(result: &Value) -> RegressionResult {
    let result: StudyResult = serde_json::from_value(result.clone()).unwrap();
    result.regression().unwrap().clone()
}

/// What somebody who may look at all rows finds of a model on the patients held out.
struct Truth {
    patients: f64,
    accuracy: f64,
    area: f64,
}

impl Truth {
    fn of(text: &str, fit: &RegressionResult, federation: &Federation) -> Self {
        let study = Study::parse(text.as_bytes()).unwrap();
        let evaluation = study.evaluation.clone().unwrap();
        let split = evaluation.split(&study.heading.data);
        let task = Task::new(&study).unwrap();
        let model = Model {
            parameters: fit.coefficients.clone(),
            stage: Stage::Evaluation,
            ..task.initial_model()
        };
        let mut scored = Vec::new();
        for hospital in HOSPITALS {
            let csv = fs::read_to_string(federation.path(&format!("{hospital}.csv"))).unwrap();
            let (header, rows) = csv.split_once('\n').unwrap();
            assert!(header.starts_with("rownames,id,"));
            let held_out: Vec<&str> = rows
                .lines()
                .filter(|row| split.is_held_out(row.split(',').nth(1).unwrap()))
                .collect();
            if held_out.is_empty() {
                continue;
            }
            let csv = format!("{header}\n{}", held_out.join("\n"));
            let table = Table::read(csv.as_bytes(), &study.data).unwrap();
            scored.extend(task.scores(&model, &table).unwrap());
        }
        let bin = |eta: f64| {
            let probability = 1.0 / (1.0 + (-eta).exp());
            evaluation
                .edges
                .iter()
                .filter(|edge| probability >= **edge)
                .count()
        };
        let right = scored
            .iter()
            .filter(|(eta, positive)| (*eta >= 0.0) == *positive);
        let (mut pairs, mut ordered) = (0.0, 0.0);
        for (one, _) in scored.iter().filter(|(_, positive)| !positive) {
            for (other, _) in scored.iter().filter(|(_, positive)| *positive) {
                pairs += 1.0;
                ordered += match bin(*one).cmp(&bin(*other)) {
                    std::cmp::Ordering::Less => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Greater => 0.0,
                };
            }
        }
        let count = |count: usize| f64::from(u32::try_from(count).unwrap());
        Self {
            patients: count(scored.len()),
            accuracy: count(right.count()) / count(scored.len()),
            area: ordered / pairs,
        }
    }
}

/// A 95 % interval three times as wide: 5.9 standard deviations, which less than one run in 10^8 leaves. With forty times the
/// patients of the trial it tells something.
#[track_caller]
fn assert_within(measure: Option<&Measure>, truth: f64) {
    let [low, high] = measure.unwrap().interval.unwrap();
    assert!(high - low < 0.1, "{measure:?}");
    let wide = high - low;
    assert!(
        low - wide < truth && truth < high + wide,
        "{measure:?} {truth}"
    );
}

/// The ledger has set aside what the accountant says of one attempt, at every order.
#[track_caller]
fn assert_reserved(
    federation: &Federation,
    hospital: &str,
    job: &str,
    plan: &VectorPlan,
    attempts: u64,
) {
    let event = NoiseEvent::of_plan(&plan.noise.unwrap(), View::Colluders, plan.dimension);
    let curve = RdpCurve::full_batch(&event.unwrap(), 1);
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", hospital]);
    let entries = ledger["entries"].as_array().unwrap().iter();
    let reserved: Vec<&Value> = entries
        .map(|entry| &entry["entry"]["reserved"])
        .filter(|reserved| reserved["job"] == job)
        .collect();
    let [reserved] = reserved[..] else {
        panic!("{reserved:?}")
    };
    assert_eq!(reserved["attempts"], attempts);
    for (order, charged) in reserved["curve"].as_object().unwrap() {
        let expected = RdpAmount::rounded_up(curve.at(order.parse().unwrap()).unwrap());
        assert_eq!(*charged, expected.to_string(), "order {order}");
    }
}

/// The ledger beside what the shared log alone says.
fn compared(federation: &Federation, hospital: &str) -> Value {
    let log = "coordinator/log";
    federation.json(&["silo", "ledger", "compare", log, "--dir", hospital])
}
