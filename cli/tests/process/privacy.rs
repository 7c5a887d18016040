// SPDX-License-Identifier: Apache-2.0
//! `consilium privacy`: its answers as machines read them, its refusals, its report.

use crate::executable::run;
use consilium_learning::study::Study;
use consilium_privacy::budget::{Budget, Charge, Ledger};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::View;
use serde_json::Value;
use std::fs;
use std::path::Path;

const STUDY: &str = include_str!("../../../examples/studies/private-logistic.toml");
const POLICY: &str = include_str!("../../../examples/policies/1_UM.toml");

#[test]
fn epsilon_and_calibrate_are_each_others_inverse() {
    let folder = tempfile::tempdir().unwrap();
    let asked = "calibrate --epsilon 1.0 --delta 1e-5 --sampling-rate 0.01 --rounds 1000 --json";
    let calibrated = json(folder.path(), asked);
    let multiplier = number(&calibrated["noise_multiplier"]);
    // The reference: 1.5131 with finer orders.
    assert!((1.5131..1.56).contains(&multiplier), "{calibrated}");
    let asked = format!(
        "epsilon --noise-multiplier {multiplier} --delta 1e-5 --sampling-rate 0.01 --rounds 1000 --json"
    );
    let found = json(folder.path(), &asked);
    assert_eq!(found["certified"], calibrated["certified"]);
    assert!(number(&found["certified"]["epsilon"]) <= 1.0);
    assert!(found["certified"]["order"].is_u64());
    assert!(number(&found["estimate"]["epsilon"]) < number(&found["certified"]["epsilon"]));
    assert_eq!(found["estimate"]["method"], "pld-connect-the-dots");
}

#[test]
fn replacing_has_the_factor_two_inside_and_no_certificate_on_samples() {
    let folder = tempfile::tempdir().unwrap();
    let asked = "epsilon --noise-multiplier 2 --rounds 1 --delta 1e-5 --adjacency replace --json";
    let replaced = json(folder.path(), asked);
    // The closed form at a distance of one standard deviation.
    assert!((number(&replaced["estimate"]["epsilon"]) - 4.377_178).abs() < 1e-5);
    let sampled = json(folder.path(), &format!("{asked} --sampling-rate 0.5"));
    assert!(sampled["certified"].is_null());
    assert!(
        sampled["not_certified"]
            .as_str()
            .unwrap()
            .contains("Poisson")
    );
}

#[test]
fn an_impossible_wish_is_refused_with_what_could_be_had() {
    let folder = tempfile::tempdir().unwrap();
    privacy(
        folder.path(),
        "calibrate --epsilon 0.001 --delta 1e-5 --rounds 10",
    )
    .failed(
        2,
        &["no noise gives epsilon 0.001", "ask for epsilon", "delta"],
    );
    privacy(
        folder.path(),
        "calibrate --epsilon x --delta 1e-5 --rounds 10",
    )
    .failed(2, &["--epsilon", "decimal"]);
}

#[test]
fn unlike_jobs_compose_and_a_slip_names_file_job_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../../../examples/privacy/year.toml");
    fs::write(folder.path().join("year.toml"), example).unwrap();
    let composed = json(folder.path(), "compose year.toml --json");
    let together = number(&composed["certified"]["epsilon"]);
    let jobs = composed["jobs"].as_array().unwrap();
    let alone: Vec<f64> = jobs
        .iter()
        .map(|job| number(&job["certified"]["epsilon"]))
        .collect();
    assert_eq!(alone.len(), 3);
    assert!(together < alone.iter().sum::<f64>() && alone.iter().all(|one| *one < together));
    assert!(number(&composed["estimate"]["epsilon"]) < together);

    let slip = example.replace("sampling_rate = ", "sample_rate = ");
    fs::write(folder.path().join("year.toml"), slip).unwrap();
    privacy(folder.path(), "compose year.toml").failed(2, &["year.toml", "sample_rate"]);
    let slip = example.replace("shares = 3 ", "# ");
    fs::write(folder.path().join("year.toml"), slip).unwrap();
    privacy(folder.path(), "compose year.toml").failed(2, &["counts by outcome", "`shares`"]);
}

#[test]
fn an_explanation_names_the_odds_and_both_attackers() {
    let folder = tempfile::tempdir().unwrap();
    let said = json(folder.path(), "explain --epsilon 1 --delta 1e-5 --json");
    assert!((said["odds_factor"].as_f64().unwrap() - 1_f64.exp()).abs() < 1e-12);
    let posterior = said["posteriors"][0]["posterior"].as_f64().unwrap();
    assert!((posterior - 0.026_7).abs() < 1e-3, "{said}");
    let realistic = said["attackers"][0]["realistic"].as_f64().unwrap();
    assert!((realistic - 0.02).abs() < 1e-3, "{said}");
    let words = privacy(folder.path(), "explain --epsilon 1 --delta 1e-5").succeeded();
    assert!(
        words.contains("2.7-fold") && words.contains("2.0 %"),
        "{words}"
    );
}

#[test]
fn a_plan_is_refused_by_a_budget_that_it_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), STUDY).unwrap();
    fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
    let plan = "plan study.toml --silos 4 --policy policy.toml";
    let fits = json(folder.path(), &format!("{plan} --json"));
    assert_eq!(fits["refusals"].as_array().unwrap().len(), 0);
    assert!(fits["budgets"][0]["left_after"].is_number(), "{fits}");
    for view in ["masks_hold", "colluders", "masks_broken"] {
        assert!(number(&fits[view]["certified"]["epsilon"]) > 0.0);
    }
    assert!(fits["prediction"]["accuracy"].as_f64().unwrap() > 0.5);
    let refused = privacy(folder.path(), &format!("{plan} --budget-left 5"));
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    for named in ["5.0 % left", "instead: `epsilon`", "patients"] {
        assert!(refused.out.contains(named), "{}", refused.out);
    }
    privacy(folder.path(), "plan study.toml").failed(2, &["--silos"]);
}

#[test]
fn a_report_is_one_page_that_loads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let named = STUDY.replace(
        "name = \"ercp-indomethacin-private\"",
        "name = \"<script>&'\"",
    );
    fs::write(folder.path().join("study.toml"), named).unwrap();
    fs::create_dir(folder.path().join("results")).unwrap();
    fs::write(
        folder.path().join("results/result.json"),
        "{\"kind\": \"logistic-regression\", \"rounds\": 20}",
    )
    .unwrap();
    let asked = "report study.toml --silos 4 --results results --out results";
    let said = privacy(folder.path(), asked).succeeded();
    assert!(said.contains("privacy-report.html"), "{said}");

    let page = fs::read_to_string(folder.path().join("results/privacy-report.html")).unwrap();
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("&lt;script&gt;&amp;&#39;") && !page.contains("<script"));
    for foreign in ["src=", "href=", "url(", "@import", "<img", "<link"] {
        assert!(!page.contains(foreign), "the page has `{foreign}`");
    }
    assert_eq!(page.matches("<svg").count(), 3);

    let report = fs::read(folder.path().join("results/privacy-report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["accounting"]["rounds_run"], 20);
    assert_eq!(report["accounting"]["attempts_planned"], 22);
    assert!(report["accounting"]["charged"].is_null());
    let stated = |section: &str, field: &str| report[section][field].as_str().unwrap().to_owned();
    assert!(stated("mechanism", "clip_origin").starts_with("stated in the study"));
    assert!(stated("boundary", "tuning").contains("method fedsgd, 20 rounds, learning rate"));
    assert!(stated("boundary", "preprocessing").contains("columns of numbers are cut"));
    assert!(stated("boundary", "preprocessing").contains("an unknown level"));
    let assumed = report["limits"].to_string().contains("was assumed");
    assert!(assumed, "{}", report["limits"]);
    assert!(stated("implementation", "enforced_by").contains("noises once per attempt"));
    let sampler = &report["implementation"]["sampler"];
    let distance = sampler["distance"].as_f64().unwrap();
    let expected = 4.0 * 22.0 * report["mechanism"]["coordinates"].as_f64().unwrap();
    assert!(
        (distance * 2_f64.powi(96) / expected - 1.0).abs() < 1e-9,
        "{sampler}"
    );
    assert!(sampler["delta_taken"].as_f64().unwrap() > 20.0 * distance);
    assert!(page.contains("measured for the mechanism, not for this study"));
    let spent = report["curves"]["epsilon_over_rounds"].as_array().unwrap();
    assert_eq!(spent.len(), 22);
    for pair in spent.windows(2) {
        assert!(pair[0]["certified"].as_f64() < pair[1]["certified"].as_f64());
        assert!(pair[1]["estimate"].as_f64() < pair[1]["certified"].as_f64());
    }
    privacy(
        folder.path(),
        "report study.toml --silos 4 --results nowhere",
    )
    .failed(2, &["nowhere/result.json"]);
}

#[test]
fn a_report_tells_what_a_ledger_was_charged_for_and_refuses_another_studys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), STUDY).unwrap();
    let study = Study::parse(STUDY.as_bytes()).unwrap();
    let vector = study.vector_plan(4, 1, 1).unwrap();
    let noise = vector.noise.unwrap();
    let charge = Charge::of_plan(&noise, View::Colluders, vector.dimension).unwrap();
    let mut ledger = Ledger::new();
    let mut text = String::new();
    let mut record = |ledger: &mut Ledger, entry| {
        text.push_str(&ledger.record(&entry, 1).unwrap());
        fs::write(folder.path().join("ledger.jsonl"), &text).unwrap();
    };
    let (epsilon, delta) = (Epsilon::new(20.0).unwrap(), Delta::new(2e-5).unwrap());
    let budget = Budget::create(epsilon, delta).unwrap();
    let data = study.heading.data.as_str();
    let created = ledger.create(data, budget).unwrap();
    record(&mut ledger, created);
    let asked = "report study.toml --silos 4 --ledger ledger.jsonl --out .";
    privacy(folder.path(), asked).failed(2, &["no reservation", "--silos"]);
    let reserved = ledger.reserve(data, "abc-1", 22, &charge).unwrap();
    record(&mut ledger, reserved);
    for round in 1..=3 {
        let attempt = format!("1.{round}.1");
        let committed = ledger.commit("abc-1", &attempt).unwrap().unwrap();
        record(&mut ledger, committed);
    }
    let reported = |arguments: &str| {
        privacy(folder.path(), arguments).succeeded();
        let report = fs::read(folder.path().join("privacy-report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        report["accounting"]["charged"].clone()
    };
    let charged = reported(asked);
    assert_eq!(
        (
            &charged["attempts_committed"],
            &charged["attempts_reserved"]
        ),
        (&3.into(), &22.into())
    );
    assert_eq!(
        (&charged["view"], &charged["released"]),
        (&"colluders".into(), &false.into())
    );
    // Noise for other silos is another price.
    privacy(folder.path(), &asked.replace("--silos 4", "--silos 5")).failed(2, &["no reservation"]);
    let twin = ledger.reserve(data, "abd-2", 22, &charge).unwrap();
    record(&mut ledger, twin);
    privacy(folder.path(), asked).failed(2, &["2 studies", "abc-1 or abd-2"]);
    let charged = reported(&format!("{asked} --id abd"));
    assert_eq!(charged["attempts_committed"], 0);
}

#[test]
fn a_report_on_an_evaluated_study_shows_both_charges_their_sum_and_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../../examples/studies/private-evaluated.toml");
    fs::write(folder.path().join("study.toml"), text).unwrap();
    let study = Study::parse(text.as_bytes()).unwrap();
    let mut ledger = Ledger::new();
    let mut lines = String::new();
    let mut record = |ledger: &mut Ledger, entry| {
        lines.push_str(&ledger.record(&entry, 1).unwrap());
        fs::write(folder.path().join("ledger.jsonl"), &lines).unwrap();
    };
    let (epsilon, delta) = (Epsilon::new(20.0).unwrap(), Delta::new(2e-5).unwrap());
    let data = study.heading.data.as_str();
    let created = ledger.create(data, Budget::create(epsilon, delta).unwrap());
    record(&mut ledger, created.unwrap());
    let training = study.vector_plan(4, 1, 1).unwrap();
    let evaluation = study.evaluation_plan(4, 1, 1).unwrap().unwrap();
    let asked = "report study.toml --silos 4 --ledger ledger.jsonl --out .";
    for (job, vector) in [("abc", training), ("abc/evaluation", evaluation)] {
        // Without its evaluation it is another study.
        privacy(folder.path(), asked).failed(2, &["no reservation"]);
        let noise = vector.noise.unwrap();
        let charge = Charge::of_plan(&noise, View::Colluders, vector.dimension).unwrap();
        let reserved = ledger.reserve(data, job, noise.attempts, &charge).unwrap();
        record(&mut ledger, reserved);
    }
    for (job, attempt) in [("abc", "1.1.1"), ("abc/evaluation", "1.21.1")] {
        let committed = ledger.commit(job, attempt).unwrap().unwrap();
        record(&mut ledger, committed);
        let released = ledger.release(job).unwrap().unwrap();
        record(&mut ledger, released);
    }
    privacy(folder.path(), asked).succeeded();
    let report = fs::read(folder.path().join("privacy-report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let charged = &report["accounting"]["charged"];
    let evaluation = &charged["evaluation"];
    assert_eq!(charged["attempts_reserved"], 22);
    assert_eq!(charged["attempts_committed"], 1);
    assert_eq!(evaluation["attempts_reserved"], 2);
    assert_eq!(evaluation["attempts_committed"], 1);
    let percent = |share: &Value| -> f64 {
        let text = share.as_str().unwrap().trim_end_matches(" %");
        text.parse().unwrap()
    };
    let (one, other) = (percent(&charged["share"]), percent(&evaluation["share"]));
    let in_all = percent(&charged["share_in_all"]);
    assert!(other > one && in_all > other, "{charged}");
    // Each is rounded up to a tenth of a percent.
    assert!((one + other - in_all).abs() < 0.21, "{charged}");
    let left = percent(&charged["budget"]["left"]);
    assert!((in_all + left - 100.0).abs() < 0.21, "{charged}");
    let page = fs::read_to_string(folder.path().join("privacy-report.html")).unwrap();
    for said in [
        "1 of 22 committed in the ledger",
        "evaluation attempts charged",
        "1 of 2 committed in the ledger",
        "charged in all",
        "is left after this study and all others in the ledger",
        "120 more who are held out for the evaluation",
    ] {
        assert!(page.contains(said), "{said}");
    }
    // The draws of the evaluation are as inexact as those of the training.
    let distance = report["implementation"]["sampler"]["distance"]
        .as_f64()
        .unwrap();
    let draws = 4.0 * (22.0 * training.dimension as f64 + 2.0 * evaluation_cells(&study));
    assert!(
        (distance / draws * 2_f64.powi(96) - 1.0).abs() < 1e-9,
        "{distance}"
    );
}

fn evaluation_cells(study: &Study) -> f64 {
    let vector = study.evaluation_plan(4, 1, 1).unwrap().unwrap();
    vector.dimension as f64
}

#[test]
fn a_study_on_samples_is_planned_and_reported_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let sampled = STUDY.replace("sampling_rate = 1.0", "sampling_rate = 0.1");
    fs::write(folder.path().join("study.toml"), sampled).unwrap();
    fs::write(folder.path().join("everybody.toml"), STUDY).unwrap();
    let planned = json(folder.path(), "plan study.toml --silos 4 --json");
    let everybody = json(folder.path(), "plan everybody.toml --silos 4 --json");
    assert_eq!(planned["sampling_rate"], "0.1");
    let charged = &planned["colluders"];
    assert!((2.99..=3.0).contains(&number(&charged["certified"]["epsilon"])));
    assert_eq!(charged["estimate"]["method"], "pld-connect-the-dots");
    assert!(number(&charged["estimate"]["epsilon"]) < number(&charged["certified"]["epsilon"]));
    assert!(
        number(&charged["noise_multiplier"])
            < number(&everybody["colluders"]["noise_multiplier"]) / 4.0
    );
    let words = privacy(folder.path(), "plan study.toml --silos 4").succeeded();
    assert!(
        words.contains("with probability 0.1, drawn by the hospital"),
        "{words}"
    );

    privacy(folder.path(), "report study.toml --silos 4 --out .").succeeded();
    let page = fs::read_to_string(folder.path().join("privacy-report.html")).unwrap();
    assert!(page.contains("0.1: each patient in each attempt with probability 0.1"));
    assert!(!page.contains("every patient in every attempt"));
    let report = fs::read(folder.path().join("privacy-report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert!(report["guarantee"]["rho"].is_null());
    let spent = report["curves"]["epsilon_over_rounds"].as_array().unwrap();
    let last = spent.last().unwrap()["certified"].as_f64().unwrap();
    assert!((last / number(&charged["certified"]["epsilon"]) - 1.0).abs() < 1e-9);
}

#[test]
fn amounts_of_privacy_are_decimals_in_quotes_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), STUDY).unwrap();
    fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
    let year = include_str!("../../../examples/privacy/year.toml");
    fs::write(folder.path().join("year.toml"), year).unwrap();
    for asked in [
        "epsilon --noise-multiplier 2 --rounds 9 --delta 1e-5 --adjacency replace --batch 5 --population 90 --json",
        "calibrate --epsilon 2 --rounds 9 --delta 1e-5 --json",
        "compose year.toml --json",
        "explain --epsilon 1 --delta 1e-5 --json",
        "plan study.toml --silos 4 --policy policy.toml --budget-share 25 --json",
        "report study.toml --silos 4 --json",
    ] {
        let mut said = json(folder.path(), asked);
        if let Some(report) = said.as_object_mut() {
            // Points of curves are numbers.
            report.remove("curves");
        }
        quoted(&said, asked);
    }
}

fn quoted(value: &Value, asked: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_amount = [
                    "epsilon",
                    "delta",
                    "rho",
                    "noise_multiplier",
                    "sampling_rate",
                    "clip",
                    "asked",
                ]
                .contains(&name.as_str());
                assert!(
                    !(is_amount && field.is_number()),
                    "`{name}` of `{asked}`: {field}"
                );
                quoted(field, asked);
            }
        }
        Value::Array(fields) => fields.iter().for_each(|field| quoted(field, asked)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn privacy(folder: &Path, arguments: &str) -> crate::executable::Ran {
    let words: Vec<&str> = std::iter::once("privacy")
        .chain(arguments.split(' '))
        .collect();
    run(folder, &words)
}

fn json(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&privacy(folder, arguments).succeeded()).unwrap()
}

fn number(text: &Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}
