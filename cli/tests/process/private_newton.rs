// SPDX-License-Identifier: Apache-2.0
//! Newton's method under noise, by four real hospitals that have forty times the patients of the trial.

use crate::crashes::charged_attempts;
use crate::federation::Federation;
use crate::founding::{DATA, HOSPITALS};
use crate::studies::{POOLED, PRIVATE_NEWTON, replaced};
use consilium_learning::result::StudyResult;
use consilium_learning::study::Study;
use consilium_privacy::accountant::{NoiseEvent, RdpCurve};
use consilium_privacy::budget::RdpAmount;
use consilium_privacy::noise_plan::View;
use serde_json::Value;

/// How often each patient of the trial is there, each time as another patient.
pub(crate) const COPIES: u32 = 40;
/// No row of the trial is longer: 4.848 is the longest.
const LONGEST_ROW: f64 = 4.85;
const ROUNDS: u32 = 6;

#[test]
fn newtons_steps_under_noise_end_near_the_pooled_fit_and_their_errors_hold_the_noise() {
    let study = study();
    let mut federation = crowded();
    let id = federation.submit(&study);
    let result: StudyResult = serde_json::from_value(federation.complete(&id)).unwrap();
    federation.stop();
    let StudyResult::LogisticRegression(fit) = &result else {
        panic!("another result: {result:?}")
    };
    assert_eq!(fit.names, ["intercept", "treatment", "age", "male", "risk"]);
    assert!(fit.examples.is_none() && fit.log_likelihood.is_none());
    let errors = fit.standard_errors.as_ref().unwrap();
    assert_eq!((fit.coefficients.len(), errors.len()), (5, 5));

    // Near the fit a step leaves H^-1 n, n the noise of the score with s in each coordinate. H^-1 has the squared standard
    // errors of the pooled fit on its diagonal and no eigenvalue above their sum, so that coefficient i moves by a
    // standard deviation of at most s SE_i sqrt(sum of SE^2). Five of these are at least seven of what 250 simulated runs
    // moved by, the noise of the matrix and of all rounds among it: less than one run in 10^10.
    let score_noise = std::f64::consts::SQRT_2 * LONGEST_ROW * deviation(&study);
    let pooled = Pooled::read();
    let total: f64 = pooled.errors.iter().map(|error| error * error).sum();
    for (place, found) in fit.coefficients.iter().enumerate() {
        let bound = 5.0 * score_noise * pooled.errors[place] * total.sqrt();
        assert!(bound < 0.26, "{bound} would tell nothing");
        let moved = (found - pooled.coefficients[place]).abs();
        assert!(moved < bound, "{place} {moved} {bound}");
    }
    // The noise of the score adds s^2 |H^-1 e_i|^2 to a variance. What that of the matrix adds or takes away spreads by
    // R^2/4 sqrt(2) deviation |H^-1 e_i|^2 around nothing: an eleventh of it. With what the last model's place adds, the
    // growth was 5.8 of its standard deviations or more in the simulation: one run in 10^8 sees an error that did not grow.
    for (found, exact) in errors.iter().zip(&pooled.errors) {
        assert!(found > exact, "{found} {exact}");
        assert!(*found < 1.6 * exact, "{found} {exact}");
    }

    for hospital in HOSPITALS {
        let charged = charged_attempts(&federation, hospital, &id).len();
        assert_eq!(charged, usize::try_from(ROUNDS).unwrap());
        assert_reserved_as_the_accountant_says(&federation, hospital, &id, &study);
    }
    federation.verify_log();
}

/// The example with nothing that biases it, for all these patients.
fn study() -> String {
    [
        ("ridge = 1e-3 ", "# "),
        ("longest_row = 4.0", &format!("longest_row = {LONGEST_ROW}")),
        ("most = 4", &format!("most = {ROUNDS}")),
        ("epsilon = \"8\"", "epsilon = \"11\""),
    ]
    .into_iter()
    .fold(of_the_crowd(PRIVATE_NEWTON), |text, (part, by)| {
        replaced(&text, part, by)
    })
}

/// A federation with more patients and larger budgets.
pub(crate) fn crowded() -> Federation {
    let mut federation = Federation::resting();
    crowd(&federation);
    federation.start();
    federation
}

/// Gives every hospital of a federation that rests more patients and a larger budget.
pub(crate) fn crowd(federation: &Federation) {
    for hospital in HOSPITALS {
        federation.edit(&format!("{hospital}/policy.toml"), |policy| {
            let policy = replaced(&policy, "epsilon = \"4\"", "epsilon = \"20\"");
            let policy = replaced(&policy, "per_job = \"3.0\"", "per_job = \"12\"");
            replaced(&policy, "epsilon = \"8\"", "epsilon = \"80\"")
        });
        let file = format!("{hospital}.csv");
        federation.edit(&file, |text| copies(&text));
        let register = [
            "silo",
            "data",
            "register",
            DATA,
            "--file",
            &file,
            "--patients-at-most",
            "32768",
            "--dir",
            hospital,
        ];
        federation.run(&register).succeeded();
    }
}

/// The study for all these patients. Its promise is the same, at a delta for as many.
pub(crate) fn of_the_crowd(study: &str) -> String {
    let study = replaced(study, "delta = \"1e-5\"", "delta = \"1e-6\"");
    let study = replaced(
        &study,
        "expected_patients = 602",
        "expected_patients = 24080",
    );
    replaced(
        &study,
        "most_patients_per_silo = 1000",
        "most_patients_per_silo = 32768",
    )
}

/// The second column, `id`, becomes another one in each copy.
fn copies(text: &str) -> String {
    let (header, rows) = text.split_once('\n').unwrap();
    assert!(header.starts_with("rownames,id,"));
    let mut copied = header.to_owned();
    for row in rows.lines() {
        let (number, rest) = row.split_once(',').unwrap();
        let (id, rest) = rest.split_once(',').unwrap();
        for copy in 0..COPIES {
            copied.push_str(&format!("\n{number},{copy}x{id},{rest}"));
        }
    }
    copied
}

/// The fit of other software, to all the copies: the same coefficients, and errors smaller by the root of their number.
struct Pooled {
    coefficients: Vec<f64>,
    errors: Vec<f64>,
}

impl Pooled {
    fn read() -> Self {
        let pooled: toml::Table = toml::from_str(POOLED).unwrap();
        let numbers = |key: &str| -> Vec<f64> {
            let list = pooled[key].as_array().unwrap().iter();
            list.map(|value| value.as_float().unwrap()).collect()
        };
        let smaller = |error: f64| error / f64::from(COPIES).sqrt();
        Self {
            coefficients: numbers("coefficients"),
            errors: numbers("standard_errors")
                .into_iter()
                .map(smaller)
                .collect(),
        }
    }
}

/// Of the noise in a coordinate of the sum, in clips: four hospitals' shares.
fn deviation(study: &str) -> f64 {
    let plan = Study::parse(study.as_bytes()).unwrap();
    let noise = plan.vector_plan(4, 1, 1).unwrap().noise.unwrap();
    let share = noise.multiplier(View::MasksBroken).unwrap().value();
    let deviation = share * 2.0;
    // What was simulated.
    assert!((1.9..2.1).contains(&deviation), "{deviation}");
    deviation
}

/// The ledger has set aside what the accountant says of one attempt, at every order, for rounds and spares.
#[track_caller]
fn assert_reserved_as_the_accountant_says(
    federation: &Federation,
    hospital: &str,
    id: &str,
    study: &str,
) {
    let plan = Study::parse(study.as_bytes()).unwrap();
    let vector = plan.vector_plan(4, 1, 1).unwrap();
    let event = NoiseEvent::of_plan(&vector.noise.unwrap(), View::Colluders, vector.dimension);
    let curve = RdpCurve::full_batch(&event.unwrap(), 1);
    let ledger = federation.json(&["silo", "ledger", "show", "--dir", hospital]);
    let entries = ledger["entries"].as_array().unwrap();
    let reserved: Vec<&Value> = entries
        .iter()
        .map(|entry| &entry["entry"]["reserved"])
        .filter(|reserved| reserved["job"] == id)
        .collect();
    let [reserved] = reserved[..] else {
        panic!("{reserved:?}")
    };
    assert_eq!(reserved["attempts"], u64::from(ROUNDS + 1));
    let orders = reserved["curve"].as_object().unwrap();
    assert!(orders.len() > 10);
    for (order, charged) in orders {
        let expected = RdpAmount::rounded_up(curve.at(order.parse().unwrap()).unwrap());
        assert_eq!(*charged, expected.to_string(), "order {order}");
    }
}
