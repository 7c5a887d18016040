// SPDX-License-Identifier: Apache-2.0
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const PLAIN: &str = include_str!("../../../examples/studies/logistic.toml");
const PRIVATE: &str = include_str!("../../../examples/studies/private-logistic.toml");
const STATISTICS: &str = include_str!("../../../examples/studies/statistics.toml");

fn study(text: &str) -> Study {
    Study::parse(text.as_bytes()).unwrap()
}

fn table(study: &Study) -> Table {
    let csv = "id,rx,age,gender,risk,outcome\n\
               1,0_placebo,45,1_female,2.5,0_no\n\
               1,1_indomethacin,55,2_male,3.5,1_yes\n\
               2,1_indomethacin,35,1_female,2.5,1_yes\n";
    Table::read(csv.as_bytes(), &study.data).unwrap()
}

#[test]
fn a_private_contribution_is_one_vector_per_patient_and_nothing_else() {
    let study = study(PRIVATE);
    let task = Task::new(&study).unwrap();
    let Contribution::PatientVectors { dimension, vectors } = task
        .contribution(&task.initial_model(), &table(&study))
        .unwrap()
    else {
        panic!("the study is noised");
    };
    assert_eq!(dimension, task.dimension());
    // Intercept, treatment, age, male, risk; all predictions are one half.
    assert_eq!(
        vectors,
        [
            vec![0.0, 0.5, 0.5, 0.5, 0.5],
            vec![0.5, 0.5, -0.5, 0.0, 0.0]
        ]
    );
}

#[test]
fn an_unnoised_contribution_is_the_sum_with_log_likelihood_and_rows() {
    let study = study(PLAIN);
    let task = Task::new(&study).unwrap();
    let Contribution::Sum(sum) = task
        .contribution(&task.initial_model(), &table(&study))
        .unwrap()
    else {
        panic!("the study is not noised");
    };
    assert_eq!(sum.len(), 5 + 15 + 2);
    assert_eq!(sum[..5], [0.5, 1.0, 0.0, 0.5, 0.5]);
    assert!((sum[20] + 3.0 * std::f64::consts::LN_2).abs() < 1e-15);
    assert_eq!(sum[21], 3.0);
}

#[test]
fn statistics_under_noise_are_one_vector_per_patient_too() {
    let private = STATISTICS.split("[privacy]").next().unwrap().to_owned()
        + "[privacy]\nmode = \"distributed\"\nepsilon = \"1\"\ndelta = \"1e-5\"\nclip = 4.0\n\
           expected_patients = 602\nmost_patients_per_silo = 1000\n";
    let study = study(&private);
    let task = Task::new(&study).unwrap();
    let contribution = task.contribution(&Model::none(), &table(&study)).unwrap();
    let Contribution::PatientVectors { vectors, .. } = contribution else {
        panic!("the study is noised");
    };
    assert_eq!(vectors.len(), 2);
    assert_eq!(
        vectors[0][..4],
        [1.0, 0.0, 0.0, 1.0],
        "both rows of the first patient"
    );
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let quantum = i64::try_from(plan.noise.unwrap().clip_integer).unwrap() / 4;
    let sum = task
        .decode(&plan, &vec![quantum; task.dimension()])
        .unwrap();
    assert!(sum.values.iter().all(|number| *number == 1.0));
    assert!(matches!(
        task.advance(&Model::none(), &sum),
        Ok(Step::Finished(_))
    ));
}

#[test]
fn a_private_step_divides_by_the_public_number_of_patients() {
    let study = study(PRIVATE);
    let task = Task::new(&study).unwrap();
    let sum = vec![602.0, 0.0, 0.0, 0.0, -602.0].into();
    let Step::Continue(next) = task.advance(&task.initial_model(), &sum).unwrap() else {
        panic!("twenty rounds");
    };
    assert_eq!(next.parameters, [1.5, 0.0, 0.0, 0.0, -1.5]);
    assert_eq!(next.rounds, 1);
}

#[test]
fn a_step_on_a_sample_divides_by_the_public_number_that_is_expected_in_it() {
    let quarter = study(&PRIVATE.replace("sampling_rate = 1.0", "sampling_rate = 0.25"));
    let task = Task::new(&quarter).unwrap();
    let sum = vec![602.0, 0.0, 0.0, 0.0, -301.0].into();
    let Step::Continue(next) = task.advance(&task.initial_model(), &sum).unwrap() else {
        panic!("twenty rounds");
    };
    assert_eq!(next.parameters, [6.0, 0.0, 0.0, 0.0, -3.0]);
    // Whom the trainer computes for is not its choice: every patient, as without a sample.
    let (whole, table) = (Task::new(&study(PRIVATE)).unwrap(), table(&quarter));
    assert_eq!(
        task.contribution(&next, &table).unwrap(),
        whole.contribution(&next, &table).unwrap()
    );
}

#[test]
fn a_study_on_everybody_keeps_its_name_and_one_on_a_sample_has_another() {
    let named = |rate: &str| study(&PRIVATE.replace("sampling_rate = 1.0", rate)).task_bytes();
    assert_eq!(named("sampling_rate = 1.0"), named(""));
    assert_ne!(named("sampling_rate = 0.25"), named(""));
    assert_ne!(named("sampling_rate = 0.25"), named("sampling_rate = 0.5"));
}

#[test]
fn the_result_is_the_mean_of_the_last_models() {
    let study = study(PRIVATE);
    let task = Task::new(&study).unwrap();
    let mut model = task.initial_model();
    loop {
        // One learning rate of 1.5 per round: the models are 1.5, 3, ..., 30.
        match task
            .advance(&model, &vec![602.0, 0.0, 0.0, 0.0, 0.0].into())
            .unwrap()
        {
            Step::Continue(next) => model = next,
            Step::Trained(_) | Step::Evaluated { .. } => panic!("nothing is evaluated"),
            Step::Finished(outcome) => {
                assert_eq!(outcome.model.rounds, 20);
                assert_eq!(outcome.model.parameters[0], 1.5 * (11.0 + 20.0) / 2.0);
                assert!(outcome.model.memory.is_empty());
                assert_eq!(outcome.result.regression().unwrap().examples, None);
                return;
            }
        }
    }
}

#[test]
fn a_sum_of_another_study_is_refused() {
    let study = study(PLAIN);
    let task = Task::new(&study).unwrap();
    let model = task.initial_model();
    assert_eq!(
        task.advance(&model, &vec![1.0].into()),
        Err(TaskFault::OtherLength {
            expected: 22,
            found: 1
        })
    );
    assert_eq!(
        task.advance(&model, &vec![f64::NAN; 22].into()),
        Err(TaskFault::NotFinite)
    );
    assert_eq!(
        task.advance(&model, &vec![0.0; 22].into()),
        Err(TaskFault::NoExamples)
    );
    assert!(matches!(
        task.advance(&Model::none(), &vec![1.0; 22].into()),
        Err(TaskFault::OtherModel { .. })
    ));
    assert_eq!(
        task.advance(&model, &vec![1.0; 22].into()),
        Err(TaskFault::NotPositiveDefinite)
    );

    let private = Study::parse(PRIVATE.as_bytes()).unwrap();
    let noised = private.vector_plan(4, 1, 1).unwrap();
    assert_eq!(task.decode(&noised, &[0; 22]), Err(TaskFault::OtherPlan));
    assert!(matches!(
        task.decode(&noised, &[0; 5]),
        Err(TaskFault::OtherLength { .. })
    ));
}

#[test]
fn a_table_of_another_study_is_refused() {
    let (plain, statistics) = (study(PLAIN), study(STATISTICS));
    let task = Task::new(&plain).unwrap();
    let other = table(&statistics);
    assert_eq!(
        task.contribution(&task.initial_model(), &other),
        Err(TaskFault::OtherTable {
            column: "gender".to_owned()
        })
    );
}

#[test]
fn categories_with_more_labels_have_one_coefficient_each() {
    let text = PLAIN.replace(
        "levels = { \"1_female\" = \"female\", \"2_male\" = \"male\" }",
        "levels = { \"1_female\" = \"female\", \"2_male\" = \"male\", \"3_other\" = \"other\" }",
    );
    let task = Task::new(&study(&text)).unwrap();
    assert_eq!(task.initial_model().parameters.len(), 6);
}
