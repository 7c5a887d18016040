// SPDX-License-Identifier: Apache-2.0
use std::fs;
use std::path::Path;

use consilium_learning::contribution::Contribution;
use consilium_learning::{Study, Task};
use consilium_privacy::loss::{NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

use super::*;
use crate::folder_contents::lengths_below;
use crate::trainer::TrainerCommand;
use crate::trainer_child::pipe::{Answer, Finding, write_message};

const LOCAL: &str = include_str!("../../../../examples/studies/private-local.toml");
/// Of that study's model.
const DIMENSION: usize = 5;

fn attempt(attempt: u32) -> AttemptId {
    AttemptId {
        epoch: 1,
        round: 1,
        attempt,
    }
}

/// A trainer that gives these vectors at every model.
fn trainer(folder: &Path, vectors: Vec<Vec<f64>>) -> Trainer {
    let facts = TableFacts {
        patients: 50,
        warnings: Vec::new(),
    };
    let answer = Answer {
        isolation: Isolation::Process,
        outcome: Ok(Finding::Contributed(facts)),
    };
    let contribution = Contribution::PatientVectors {
        dimension: DIMENSION,
        vectors,
    };
    let mut bytes = Vec::new();
    write_message(&mut bytes, &answer).unwrap();
    bytes.extend(contribution.to_bytes());
    let file = folder.join("answer");
    fs::write(&file, bytes).unwrap();
    let script = format!("/bin/cat >/dev/null; exec /bin/cat {}", file.display());
    Trainer::new(TrainerCommand(vec![
        "/bin/sh".into(),
        "-c".into(),
        script.into(),
    ]))
}

fn order(vector: VectorPlan, local: Option<LocalTraining>, model: Model) -> TrainingOrder {
    TrainingOrder {
        job: Job {
            data: String::new(),
            registered: [0; 32],
            study: Vec::new(),
        },
        model,
        local,
        dimension: DIMENSION,
        vector,
        clip: Some(ClippingNorm::new(2.0).unwrap()),
        isolation: Isolation::Process,
    }
}

/// A round of three local steps, each noised.
fn local_order() -> TrainingOrder {
    let study = Study::parse(LOCAL.as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    let vector = study.vector_plan(4, 1, 1).unwrap();
    let model = task.initial_model();
    let training = task.local_training(&vector, &model).unwrap();
    order(vector, Some(training), model)
}

/// A round of one noised sum of half the patients, with noise of a two-hundredth of the clip.
fn sampled_order() -> TrainingOrder {
    let noise = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(0.005).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 2,
        patients_cap: 8_192,
        dimension: 5,
    })
    .unwrap()
    .with_sampling_rate(SamplingRate::new(0.5).unwrap());
    order(VectorPlan::noised(5, noise).unwrap(), None, Model::none())
}

/// The integers that an attempt puts under its mask.
fn vector_of(
    files: &AttemptFiles,
    trainer: &Trainer,
    id: AttemptId,
    order: TrainingOrder,
) -> Vec<i64> {
    let prepared = prepare(files, trainer, id, order).unwrap();
    let mut stored = files.read_input(id, &prepared.input, 5).unwrap();
    stored.next_piece().unwrap()
}

#[test]
fn a_retry_of_noised_local_steps_draws_fresh_noise_and_a_restart_of_an_attempt_none() {
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(&folder.path().join("attempts")).unwrap();
    let trainer = trainer(folder.path(), vec![vec![0.5; DIMENSION]; 20]);
    let first = vector_of(&files, &trainer, attempt(1), local_order());
    let second = vector_of(&files, &trainer, attempt(2), local_order());
    // The noise of a coordinate has a deviation of millions of units: two of five are equal once in 10^11 pairs.
    let equal = first.iter().zip(&second).filter(|(one, two)| one == two);
    assert!(equal.count() < 2, "{first:?} {second:?}");
    assert_eq!(
        vector_of(&files, &trainer, attempt(1), local_order()),
        first
    );
}

#[test]
fn a_retry_draws_a_fresh_batch_and_fresh_noise() {
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(&folder.path().join("attempts")).unwrap();
    // A thousand patients along each coordinate, each as long as the clip: the sum counts those who were drawn.
    let patients = (0..1_000 * DIMENSION).map(|patient| {
        let mut vector = vec![0.0; DIMENSION];
        vector[patient % DIMENSION] = 2.0;
        vector
    });
    let trainer = trainer(folder.path(), patients.collect());
    let unit = i64::try_from(sampled_order().vector.noise.unwrap().clip_integer).unwrap();
    let drawn = |number| -> (Vec<i64>, Vec<i64>) {
        let vector = vector_of(&files, &trainer, attempt(number), sampled_order());
        let counts = vector.iter().map(|sum| (sum + unit / 2).div_euclid(unit));
        let counts: Vec<i64> = counts.collect();
        let rests = vector
            .iter()
            .zip(&counts)
            .map(|(sum, count)| sum - count * unit);
        (counts.clone(), rests.collect())
    };
    let ((batch, noise), (other_batch, other_noise)) = (drawn(1), drawn(2));
    // 500 are expected with a deviation of 15.8; ten of these leave one batch in 10^22 out.
    let plausible = |count: &i64| (342..=658).contains(count);
    assert!(batch.iter().chain(&other_batch).all(plausible), "{batch:?}");
    // Five counts of a deviation of 15.8 are equal once in 5 x 10^8 pairs of batches; two of five coordinates have equal noise,
    // of a deviation of 13,900 units or more, with 4 in 10^9.
    assert_ne!(batch, other_batch);
    let equal = noise
        .iter()
        .zip(&other_noise)
        .filter(|(one, two)| one == two);
    assert!(equal.count() < 2, "{noise:?} {other_noise:?}");
}

#[test]
fn a_batch_of_nobody_and_one_of_fifty_write_files_of_equal_names_and_lengths() {
    for order in [local_order as fn() -> TrainingOrder, sampled_order] {
        let files_of = |patients: usize| {
            let folder = tempfile::tempdir().unwrap();
            let attempts = folder.path().join("attempts");
            let files = AttemptFiles::open(&attempts).unwrap();
            let trainer = trainer(folder.path(), vec![vec![0.5; DIMENSION]; patients]);
            let vector = vector_of(&files, &trainer, attempt(1), order());
            // The coordinates are noised, of nobody's too: two of five are zero with 8 in 10^9.
            let zeros = vector.iter().filter(|value| **value == 0);
            assert!(zeros.count() < 2, "{vector:?}");
            lengths_below(&attempts)
        };
        let nobody = files_of(0);
        assert!(!nobody.is_empty());
        assert_eq!(nobody, files_of(50));
    }
}
