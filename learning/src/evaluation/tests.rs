// SPDX-License-Identifier: Apache-2.0
use std::fmt::Write as _;

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

use crate::contribution::Contribution;
use crate::decoded_sum::{DecodedSum, SumNoise};
use crate::model::{Model, Stage};
use crate::result::EvaluationResult;
use crate::study::{Method, Mode, Study};
use crate::table::Table;
use crate::task::{Step, Task, TaskFault};

const EVALUATED: &str = include_str!("../../../examples/studies/private-evaluated.toml");

fn study() -> Study {
    Study::parse(EVALUATED.as_bytes()).unwrap()
}

/// Rows of so many patients, two for every third; the second number is another's risk and outcome.
fn csv(changed: Option<usize>) -> String {
    let mut csv = "id,rx,age,gender,risk,outcome\n".to_owned();
    for patient in 0..PATIENTS {
        let other = usize::from(changed == Some(patient)) * 3;
        for visit in 0..=usize::from(patient % 3 == 0) {
            let kind = patient + visit + other;
            let rx = ["0_placebo", "1_indomethacin"][kind % 2];
            let gender = ["1_female", "2_male"][kind / 2 % 2];
            let outcome = ["0_no", "0_no", "1_yes"][(patient + other / 3) % 3];
            let (age, risk) = (30 + 7 * kind % 50, kind * 7 % 10);
            writeln!(csv, "P{patient},{rx},{age},{gender},{risk},{outcome}").unwrap();
        }
    }
    csv
}

fn table(study: &Study, csv: &str) -> Table {
    Table::read(csv.as_bytes(), &study.data).unwrap()
}

fn vectors(task: &Task, model: &Model, table: &Table) -> Vec<Vec<f64>> {
    match task.contribution(model, table).unwrap() {
        Contribution::PatientVectors { vectors, .. } => vectors,
        Contribution::Sum(_) => panic!("the study is noised"),
    }
}

/// A model that is trained, at parameters that tell patients apart.
fn models(task: &Task) -> [Model; 2] {
    let learning = Model {
        parameters: vec![-1.0, 0.4, 0.3, -0.6, 0.5],
        ..task.initial_model()
    };
    let trained = Model {
        rounds: 20,
        stage: Stage::Evaluation,
        ..learning.clone()
    };
    [learning, trained]
}

#[test]
fn a_patient_held_out_never_moves_the_training_and_a_patient_trained_on_never_the_evaluation() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let split = study.evaluation.as_ref().unwrap().split("ercp-trial");
    let before = table(&study, &csv(None));
    let of = |table: &Table| models(&task).map(|model| vectors(&task, &model, table));
    let [training, evaluation] = of(&before);
    assert_eq!(training.len() + evaluation.len(), PATIENTS);
    let mut held_out = 0;
    for patient in 0..PATIENTS {
        let changed = table(&study, &csv(Some(patient)));
        let [trained, evaluated] = of(&changed);
        if split.is_held_out(&format!("P{patient}")) {
            held_out += 1;
            assert_eq!(trained, training, "patient {patient}");
        } else {
            assert_ne!(trained, training, "patient {patient}");
            assert_eq!(evaluated, evaluation, "patient {patient}");
        }
    }
    assert_eq!(held_out, evaluation.len());
    assert!((5..30).contains(&held_out), "{held_out}");
}

#[test]
fn the_side_of_a_patient_is_the_same_whoever_else_is_there_and_in_whatever_order() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let [learning, trained] = models(&task);
    let whole = csv(None);
    let (header, rows) = whole.split_once('\n').unwrap();
    let alone = |patient: usize| {
        let own = |row: &&str| row.starts_with(&format!("P{patient},"));
        let rows: Vec<&str> = rows.lines().filter(own).collect();
        table(&study, &format!("{header}\n{}", rows.join("\n")))
    };
    let mut reversed: Vec<&str> = rows.lines().collect();
    reversed.reverse();
    let reversed = table(&study, &format!("{header}\n{}", reversed.join("\n")));
    for model in [learning, trained] {
        let together = vectors(&task, &model, &table(&study, &whole));
        let one_by_one: Vec<Vec<f64>> = (0..PATIENTS)
            .flat_map(|patient| vectors(&task, &model, &alone(patient)))
            .collect();
        assert_eq!(together, one_by_one);
        let sorted = |mut vectors: Vec<Vec<f64>>| {
            vectors.sort_by(|one, other| one.partial_cmp(other).unwrap());
            vectors
        };
        let (one, other) = (sorted(together), sorted(vectors(&task, &model, &reversed)));
        for (one, other) in one.iter().flatten().zip(other.iter().flatten()) {
            assert!((one - other).abs() < 1e-12);
        }
    }
}

#[test]
fn every_patient_held_out_is_in_one_cell_whatever_the_model_says() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let [_, trained] = models(&task);
    let table = table(&study, &csv(None));
    for parameters in [
        trained.parameters.clone(),
        vec![1e300; 5],
        vec![f64::MAX, -f64::MAX, f64::MAX, -f64::MAX, f64::MAX],
        vec![f64::NAN; 5],
    ] {
        let model = Model {
            parameters,
            ..trained.clone()
        };
        for vector in vectors(&task, &model, &table) {
            assert_eq!(vector.len(), 14);
            assert_eq!(vector.iter().filter(|cell| **cell == 1.0).count(), 1);
            assert_eq!(vector.iter().sum::<f64>(), 1.0);
        }
    }
}

#[test]
fn a_split_that_leaves_a_side_empty_is_no_reason_to_fail() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let split = study.evaluation.as_ref().unwrap().split("ercp-trial");
    for held_out in [true, false] {
        let one = (0..).find(|patient| split.is_held_out(&format!("P{patient}")) == held_out);
        let csv = format!(
            "id,rx,age,gender,risk,outcome\nP{},0_placebo,45,1_female,2.5,0_no\n",
            one.unwrap()
        );
        let [training, evaluation] =
            models(&task).map(|model| vectors(&task, &model, &table(&study, &csv)).len());
        assert_eq!(
            [training, evaluation],
            [usize::from(!held_out), usize::from(held_out)]
        );
    }
}

#[test]
fn the_last_round_leads_to_the_evaluation_and_the_evaluation_to_the_end() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let mut model = task.initial_model();
    let trained = loop {
        match task.advance(&model, &vec![60.0; 5].into()).unwrap() {
            Step::Continue(next) => model = next,
            Step::Trained(outcome) => break outcome,
            Step::Finished(_) | Step::Evaluated { .. } => panic!("an evaluation was left out"),
        }
    };
    assert_eq!(
        (trained.model.rounds, trained.model.stage),
        (20, Stage::Evaluation)
    );
    assert!(trained.result.regression().unwrap().evaluation.is_none());
    // Nothing but the histogram leads on, and it does not change the model.
    assert!(matches!(
        task.advance(&trained.model, &vec![60.0; 5].into()),
        Err(TaskFault::OtherLength { expected: 14, .. })
    ));
    let step = task.advance(&trained.model, &vec![5.0; 14].into()).unwrap();
    let Step::Evaluated { model, evaluation } = step else {
        panic!("no evaluation")
    };
    assert_eq!(model.parameters, trained.model.parameters);
    assert_eq!((model.rounds, evaluation.patients.0), (21, 70.0));
    // A study without an evaluation knows no such stage.
    let plain = Task::new(&Study {
        evaluation: None,
        ..study.clone()
    });
    let plain = plain.unwrap();
    let refused = plain.advance(&trained.model, &vec![60.0; 5].into());
    assert_eq!(refused, Err(TaskFault::NotEvaluated));
    let asked = plain.contribution(&trained.model, &table(&study, &csv(None)));
    assert_eq!(asked, Err(TaskFault::NotEvaluated));
}

#[test]
fn accuracy_and_area_under_the_curve_are_those_of_the_bins() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let [_, trained] = models(&task);
    // Bins up to 0.05, 0.1, 0.15, 0.2, 0.3, 0.5 and 1: first of `no`, then of `yes`.
    let counts: Vec<f64> = vec![
        10.0, 8.0, 0.0, 4.0, 0.0, 3.0, 1.0, 0.0, 1.0, 2.0, 0.0, 3.0, 0.0, 4.0,
    ];
    let evaluate = |sum: DecodedSum| match task.advance(&trained, &sum).unwrap() {
        Step::Evaluated { evaluation, .. } => evaluation,
        other => panic!("{other:?}"),
    };
    let exact = evaluate(counts.clone().into());
    let accuracy = exact.accuracy.unwrap();
    assert!((accuracy.value.unwrap() - 29.0 / 36.0).abs() < 1e-12);
    assert_eq!((accuracy.interval, exact.standard_deviation), (None, None));
    let [low, high] = accuracy.population_interval.unwrap();
    assert!(
        low > 0.6 && low < 0.75 && high > 0.85 && high < 0.95,
        "{low} {high}"
    );
    // Pairs of `yes` above `no`, equal bins as a half: bin 1 has 10 + 4, bin 2 twice 18, bin 4 thrice 22, bin 6 four
    // times 25.5.
    let area = (14.0 + 2.0 * 18.0 + 3.0 * 22.0 + 4.0 * 25.5) / 260.0;
    assert!((exact.area_under_curve.unwrap().value.unwrap() - area).abs() < 1e-12);
    assert_eq!(exact.edges.len(), 8);
    assert_eq!(exact.cells[1].outcome, "yes");
    // With noise the same numbers, between bounds that grow with it and end at what is possible.
    let mut widths = Vec::new();
    for deviation in [0.1, 1.0, 10.0, 1000.0] {
        let noised = evaluate(DecodedSum {
            values: counts.clone(),
            noise: Some(SumNoise {
                standard_deviation: deviation,
                unit: 2_f64.powi(-14),
            }),
        });
        for measure in [noised.accuracy.unwrap(), noised.area_under_curve.unwrap()] {
            let ([low, high], value) = (measure.interval.unwrap(), measure.value.unwrap());
            let [least, most] = measure.population_interval.unwrap();
            assert!(0.0 <= least && least <= low && low <= value, "{measure:?}");
            assert!(value <= high && high <= most && most <= 1.0, "{measure:?}");
            widths.push(high - low);
        }
    }
    assert!(
        widths
            .iter()
            .zip(widths.iter().skip(2))
            .all(|(less, more)| less <= more)
    );
    assert_eq!(widths.last(), Some(&1.0));
}

/// Two thousand seeded runs. The interval of an accuracy holds 95 % of them exactly: four standard deviations of that share are
/// 0.02, which one seed in 10^4 leaves. That of an area is wider than it must be.
#[test]
fn as_many_intervals_hold_the_truth_as_are_promised() {
    let study = study();
    let task = Task::new(&study).unwrap();
    let [_, trained] = models(&task);
    let counts = [
        24.0, 21.0, 16.0, 12.0, 15.0, 9.0, 2.0, 1.0, 2.0, 3.0, 3.0, 5.0, 5.0, 2.0,
    ];
    let exact = evaluation(&task, &trained, counts.to_vec().into());
    let truths =
        [exact.accuracy, exact.area_under_curve].map(|measure| measure.unwrap().value.unwrap());
    let mut random = InsecureSeededRandom::from_seed(32);
    let mut uniform =
        || f64::from(u32::try_from(random.next_u64() >> 32).unwrap()) / f64::from(u32::MAX);
    for deviation in [2.5, 10.0] {
        let mut held = [0_u32; 2];
        for _ in 0..2000 {
            // By Box and Muller.
            let values = counts.iter().map(|count| {
                let radius = (-2.0 * (1.0 - uniform()).max(1e-12).ln()).sqrt();
                count + deviation * radius * (std::f64::consts::TAU * uniform()).cos()
            });
            let sum = DecodedSum {
                values: values.collect(),
                noise: Some(SumNoise {
                    standard_deviation: deviation,
                    unit: 2_f64.powi(-14),
                }),
            };
            let found = evaluation(&task, &trained, sum);
            let measures = [found.accuracy, found.area_under_curve];
            for ((held, measure), truth) in held.iter_mut().zip(measures).zip(truths) {
                let [low, high] = measure.unwrap().interval.unwrap();
                *held += u32::from(low <= truth && truth <= high);
            }
        }
        assert!((1860..=1940).contains(&held[0]), "{held:?}");
        assert!(held[1] >= 1860, "{held:?}");
    }
}

fn evaluation(task: &Task, trained: &Model, sum: DecodedSum) -> EvaluationResult {
    match task.advance(trained, &sum).unwrap() {
        Step::Evaluated { evaluation, .. } => evaluation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_predicted_number_and_one_of_several_labels_are_evaluated_too() {
    let linear = EVALUATED
        .replace("logistic-regression", "linear-regression")
        .replace(
            "{ column = \"outcome\", positive = \"yes\" }",
            "{ column = \"risk\" }",
        )
        .replace(
            "[\"rx\", \"age\", \"gender\", \"risk\"]",
            "[\"rx\", \"age\", \"gender\"]",
        )
        .replace("edges = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5]", "edges = [0.5]");
    let study = Study::parse(linear.as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    let model = Model {
        stage: Stage::Evaluation,
        ..task.initial_model()
    };
    // Everybody is predicted to have 2.5 of 0 to 9: beyond 4.5 away are risks above 7.
    let table = table(&study, &csv(None));
    let found = vectors(&task, &model, &table);
    let far = found.iter().filter(|vector| vector[1] == 1.0).count();
    assert!(far > 0 && far < found.len(), "{far}");
    let step = task.advance(&model, &vec![30.0, 10.0].into()).unwrap();
    let Step::Evaluated { evaluation, .. } = step else {
        panic!("no evaluation")
    };
    assert_eq!(evaluation.edges, [0.0, 4.5, 9.0]);
    let error = evaluation.root_mean_squared_error.unwrap();
    let [low, high] = error.interval.unwrap();
    // As little as 0 and 4.5, as much as 4.5 and 9.
    assert!(
        (low - (10.0 * 20.25 / 40.0_f64).sqrt()).abs() < 1e-9,
        "{low}"
    );
    assert!(
        (high - ((30.0 * 20.25 + 10.0 * 81.0) / 40.0_f64).sqrt()).abs() < 1e-9,
        "{high}"
    );
    assert!(low < error.value.unwrap() && error.value.unwrap() < high);
    assert!(evaluation.accuracy.is_none());

    let labels = EVALUATED
        .replace("logistic-regression", "softmax-regression")
        .replace(", positive = \"yes\"", "")
        .replace(
            "levels = { \"0_no\" = \"no\", \"1_yes\" = \"yes\" }",
            "levels = { \"0_no\" = \"no\", \"1_yes\" = \"yes\", \"2\" = \"maybe\" }",
        )
        .replace("edges = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5]", "");
    let study = Study::parse(labels.as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    assert_eq!(task.dimension_at(Stage::Evaluation), 6);
    let model = Model {
        stage: Stage::Evaluation,
        ..task.initial_model()
    };
    let step = task.advance(&model, &vec![1.0, 9.0, 2.0, 3.0, 0.0, 5.0].into());
    let Step::Evaluated { evaluation, .. } = step.unwrap() else {
        panic!("no evaluation")
    };
    assert!((evaluation.accuracy.unwrap().value.unwrap() - 17.0 / 20.0).abs() < 1e-12);
    assert!(evaluation.area_under_curve.is_none());
}

#[test]
fn training_and_evaluation_keep_one_promise_and_use_it_up() {
    for rate in ["1.0", "0.2"] {
        let text = EVALUATED.replace("sampling_rate = 1.0", &format!("sampling_rate = {rate}"));
        let study = Study::parse(text.as_bytes()).unwrap();
        let alone = Study {
            evaluation: None,
            ..study.clone()
        };
        let statement = study.privacy_statement(4, 1, 1).unwrap().unwrap();
        let epsilon = statement.colluders.epsilon.value();
        assert!(epsilon <= 8.0 && epsilon > 7.99, "{epsilon}");
        assert_eq!(statement.attempts, 22 + 2);
        let noise = |study: &Study| study.vector_plan(4, 1, 1).unwrap().noise.unwrap();
        assert!(noise(&study).scale > noise(&alone).scale);
        let evaluation = study.evaluation_plan(4, 1, 1).unwrap().unwrap();
        assert_eq!(evaluation.dimension, 14);
        let noise = evaluation.noise.unwrap();
        assert_eq!((noise.attempts, noise.batch.rate().value()), (2, 1.0));
        // The public number by which a step divides is of those who are trained on.
        let batch = study.expected_batch().unwrap();
        assert!((batch - 0.8 * alone.expected_batch().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn a_study_that_evaluates_has_another_name_and_one_that_does_not_keeps_its_own() {
    let named = |text: &str| Study::parse(text.as_bytes()).unwrap().task_bytes();
    let without = EVALUATED.split("[evaluation]").next().unwrap();
    let nobody = format!("{without}[evaluation]\nhold_out = 0.0\n");
    assert_eq!(named(without), named(&nobody));
    let half = EVALUATED.replace("hold_out = 0.2", "hold_out = 0.5");
    let seeded = EVALUATED.replace("# split_seed = 0", "split_seed = 1");
    let names = [
        named(without),
        named(EVALUATED),
        named(&half),
        named(&seeded),
    ];
    for (index, name) in names.iter().enumerate() {
        assert!(names[..index].iter().all(|other| other != name));
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_the_field_named() {
    let refused = |text: String| Study::parse(text.as_bytes()).unwrap_err().to_string();
    let changed = |from: &str, to: &str| {
        assert!(EVALUATED.contains(from), "{from}");
        refused(EVALUATED.replace(from, to))
    };
    for share in ["1.0", "-0.2", "0.001", "0.95"] {
        let said = changed("hold_out = 0.2", &format!("hold_out = {share}"));
        assert!(said.contains("evaluation.hold_out"), "{said}");
    }
    let odd = changed("edges = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5]", "bins = 7");
    assert!(
        odd.contains("evaluation.bins") && odd.contains("even"),
        "{odd}"
    );
    for edges in ["[0.2, 0.1, 0.5]", "[0.1, 0.2]", "[]", "[0.5, 1.0]"] {
        let said = changed("[0.05, 0.1, 0.15, 0.2, 0.3, 0.5]", edges);
        assert!(said.contains("evaluation.edges"), "{said}");
    }
    let share = changed("loss_share = 0.3", "loss_share = 1.0");
    assert!(share.contains("evaluation.loss_share"), "{share}");
    let spare = changed("spare_attempts = 1  ", "spare_attempts = 1000  ");
    assert!(spare.contains("evaluation.spare_attempts"), "{spare}");
    let several = changed("[privacy]", "[privacy]\nmost_silos_per_patient = 2");
    assert!(
        several.contains("evaluation.hold_out") && several.contains("most_silos_per_patient = 1"),
        "{several}"
    );
    let nobody = changed("hold_out = 0.2", "hold_out = 0.0");
    assert!(nobody.contains("nobody is held out"), "{nobody}");

    let local = include_str!("../../../examples/studies/private-local.toml");
    assert_eq!(
        Study::parse(local.as_bytes()).unwrap().privacy.mode(),
        Mode::Local
    );
    let local = refused(format!("{local}\n[evaluation]\nhold_out = 0.2\n"));
    assert!(
        local.contains("evaluation.hold_out") && local.contains("local"),
        "{local}"
    );
    let statistics = include_str!("../../../examples/studies/private-statistics.toml");
    let statistics = refused(format!("{statistics}\n[evaluation]\nhold_out = 0.2\n"));
    assert!(statistics.contains("learns no model"), "{statistics}");
}

#[test]
fn without_noise_splits_differ_in_no_small_group_of_patients() {
    let plain = include_str!("../../../examples/studies/logistic.toml");
    let held = |keys: &str| format!("{plain}\n[evaluation]\n{keys}\n");
    let study = Study::parse(held("hold_out = 0.2").as_bytes()).unwrap();
    assert!(matches!(
        study.analysis.regression().unwrap().method,
        Method::Newton { .. }
    ));
    for keys in [
        "hold_out = 0.201",
        "hold_out = 0.2\nsplit_seed = 1",
        "hold_out = 0.2\nloss_share = 0.1",
    ] {
        let said = Study::parse(held(keys).as_bytes()).unwrap_err().to_string();
        assert!(said.contains("evaluation."), "{said}");
    }
    // The same histogram, without noise.
    let task = Task::new(&study).unwrap();
    let trained = Model {
        stage: Stage::Evaluation,
        ..task.initial_model()
    };
    let Contribution::Sum(sum) = task
        .contribution(&trained, &table(&study, &csv(None)))
        .unwrap()
    else {
        panic!("the study is not noised")
    };
    let noised = self::study();
    let split = noised.evaluation.as_ref().unwrap().split("ercp-trial");
    let held_out = (0..PATIENTS).filter(|patient| split.is_held_out(&format!("P{patient}")));
    assert_eq!(
        (sum.len(), sum.iter().sum::<f64>()),
        (20, f64::from(u32::try_from(held_out.count()).unwrap()))
    );
    let plan = study.evaluation_plan(4, 0, 1).unwrap().unwrap();
    assert_eq!((plan.noise, plan.dimension), (None, 20));
}

const PATIENTS: usize = 90;
