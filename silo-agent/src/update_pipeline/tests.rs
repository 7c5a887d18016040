// SPDX-License-Identifier: Apache-2.0
use consilium_learning::contribution::Contribution;
use consilium_learning::{Study, Task};
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, Unit};
use consilium_protocol::AttemptId;

use super::*;
use crate::attempt_files::AttemptFiles;

/// What is stored of a contribution.
fn protect(
    contribution: Contribution,
    plan: &VectorPlan,
    clip: Option<ClippingNorm>,
    random: &mut RoundRandom,
) -> Result<Vec<i64>, PipelineFault> {
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(folder.path()).unwrap();
    let dimension = match &contribution {
        Contribution::Sum(sum) => sum.len(),
        Contribution::PatientVectors { dimension, .. } => *dimension,
    };
    let bytes = contribution.to_bytes();
    let mut reader = ContributionReader::open(bytes.as_slice(), dimension).unwrap();
    let mut writer = files.store_input(id).unwrap();
    super::protect(&mut reader, plan, clip, random, &mut writer)?;
    let name = writer.finish().unwrap();
    let fields = u64::try_from(dimension).unwrap();
    Ok(files
        .read_input(id, &name, fields)
        .unwrap()
        .next_piece()
        .unwrap())
}

fn random() -> RoundRandom {
    RoundRandom::from_operating_system().unwrap()
}

fn noise_plan() -> NoisePlan {
    noise_plan_of(1.0)
}

/// Noise of less than a thousandth of the clip in each share: what patients add is plain to see.
fn quiet() -> NoisePlan {
    noise_plan_of(1e-3)
}

fn noise_plan_of(multiplier: f64) -> NoisePlan {
    NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(multiplier).unwrap(),
        silos: 4,
        dropouts: 1,
        colluders: 1,
        attempts: 1,
        patients_cap: 100,
        dimension: 3,
    })
    .unwrap()
}

fn norm() -> ClippingNorm {
    ClippingNorm::new(1.0).unwrap()
}

fn protected(noise: NoisePlan, vectors: Vec<Vec<f64>>) -> Result<Vec<i64>, PipelineFault> {
    let plan = VectorPlan::noised(3, noise).unwrap();
    let contribution = Contribution::PatientVectors {
        dimension: 3,
        vectors,
    };
    protect(contribution, &plan, Some(norm()), &mut random())
}

/// Holds integers against numbers of clips. The noise of a [`quiet`] share is beyond a hundredth of a clip, fourteen of
/// its standard deviations, once in 10^43.
fn assert_clips(integers: &[i64], noise: &NoisePlan, expected: [f64; 3]) {
    let clips = integers
        .iter()
        .map(|value| *value as f64 / noise.clip_integer as f64);
    let near = clips
        .zip(expected)
        .all(|(found, expected)| (found - expected).abs() < 0.01);
    assert!(near && integers.len() == 3, "{integers:?} for {expected:?}");
}

#[test]
fn every_patient_is_clipped_before_the_sum() {
    // Ten patients of length one along the first axis, and one who would outweigh them all.
    let mut vectors = vec![vec![1.0, 0.0, 0.0]; 10];
    vectors.push(vec![0.0, 1e9, 0.0]);
    let sum = protected(quiet(), vectors).unwrap();
    assert_clips(&sum, &quiet(), [10.0, 1.0, 0.0]);
}

#[test]
fn a_vector_that_is_not_a_number_counts_zero_and_harms_nobody_else() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let vectors = vec![vec![0.5, 0.5, 0.0], vec![bad, 0.1, 0.1]];
        let sum = protected(quiet(), vectors).unwrap();
        assert_clips(&sum, &quiet(), [0.5, 0.5, 0.0]);
    }
}

#[test]
fn noise_of_the_planned_size_is_added_once_after_the_sum() {
    let noise = NoisePlan {
        patients_cap: 1,
        ..noise_plan()
    };
    let plan = VectorPlan::noised(1000, noise).unwrap();
    let silence = Contribution::PatientVectors {
        dimension: 1000,
        vectors: vec![vec![0.0; 1000]],
    };
    let protected = protect(silence, &plan, Some(norm()), &mut random()).unwrap();
    let square: f64 = protected
        .iter()
        .map(|value| (*value as f64).powi(2))
        .sum::<f64>()
        / 1000.0;
    // A chi-square of 1000 degrees leaves [0.7, 1.4] with a probability below 10^-12: the system's seed is another each time.
    let ratio = square / noise.variance_below();
    assert!((0.7..1.4).contains(&ratio), "{ratio}");
}

#[test]
fn no_patients_give_noise_of_the_same_length() {
    let plan = VectorPlan::noised(3, noise_plan()).unwrap();
    let nobody = Contribution::PatientVectors {
        dimension: 3,
        vectors: Vec::new(),
    };
    let protected = protect(nobody, &plan, Some(norm()), &mut random()).unwrap();
    assert_eq!(protected.len(), 3);
    assert!(protected.iter().any(|value| *value != 0));
}

#[test]
fn a_sum_over_patients_is_refused_where_noise_is_promised() {
    let noised = VectorPlan::noised(3, noise_plan()).unwrap();
    let plain = VectorPlan::plain(3, 4, 64, 32).unwrap();
    let sum = || Contribution::Sum(vec![1.0, 2.0, 3.0]);
    let vectors = || Contribution::PatientVectors {
        dimension: 3,
        vectors: vec![vec![0.0; 3]],
    };
    assert!(protect(sum(), &noised, Some(norm()), &mut random()).is_err());
    assert!(protect(vectors(), &plain, None, &mut random()).is_err());
    assert!(protect(vectors(), &noised, None, &mut random()).is_err());
    assert!(protect(sum(), &plain, Some(norm()), &mut random()).is_err());
    assert_eq!(
        protect(sum(), &plain, None, &mut random()).unwrap(),
        [1 << 32, 2 << 32, 3 << 32]
    );
}

/// A plan in which the silo is the unit.
fn for_silos() -> NoisePlan {
    let one_vector = NoisePlan {
        patients_cap: 1,
        ..quiet()
    };
    one_vector.with_unit(Unit::Silo)
}

#[test]
fn a_whole_silo_is_clipped_as_one_vector_however_many_patients_made_it_long() {
    let plan = VectorPlan::noised(3, for_silos()).unwrap();
    for (whole, clipped) in [
        // A gradient sum of a thousand patients of norm 1, in opposite directions: the farthest apart that two silos can be.
        ([1000.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([-1000.0, 0.0, 0.0], [-1.0, 0.0, 0.0]),
        // A short one is left as it is, and one that is not finite counts as zero and is no reason to fail.
        ([0.5, 0.0, 0.0], [0.5, 0.0, 0.0]),
        ([f64::NAN, 1.0, 1.0], [0.0; 3]),
        ([f64::INFINITY, 1.0, 1.0], [0.0; 3]),
    ] {
        let sum = Contribution::Sum(whole.to_vec());
        let stored = protect(sum, &plan, Some(norm()), &mut random()).unwrap();
        assert_clips(&stored, &for_silos(), clipped);
    }
}

#[test]
fn patients_clipped_one_by_one_do_not_pass_for_a_whole_silo() {
    let plan = VectorPlan::noised(3, for_silos()).unwrap();
    // Each is within the clip. Their sum is not, whether there is one of them or a hundred.
    for patients in [1, 100] {
        let vectors = Contribution::PatientVectors {
            dimension: 3,
            vectors: vec![vec![1.0, 0.0, 0.0]; patients],
        };
        assert!(matches!(
            protect(vectors, &plan, Some(norm()), &mut random()),
            Err(PipelineFault::OtherKind { .. })
        ));
    }
    // Nor do two vectors in the place of one, nor one without a clip.
    let mut two = Contribution::Sum(vec![1.0, 0.0, 0.0]).to_bytes();
    two.extend(
        [1.0_f64, 0.0, 0.0]
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(folder.path()).unwrap();
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let mut reader = ContributionReader::open(two.as_slice(), 3).unwrap();
    let mut writer = files.store_input(id).unwrap();
    let refused = super::protect(&mut reader, &plan, Some(norm()), &mut random(), &mut writer);
    assert!(matches!(refused, Err(PipelineFault::Shape(_))));
    let sum = Contribution::Sum(vec![1.0, 0.0, 0.0]);
    assert!(protect(sum, &plan, None, &mut random()).is_err());
}

#[test]
fn an_unnoised_sum_that_cannot_be_encoded_is_refused_not_wrapped() {
    let plain = VectorPlan::plain(1, 4, 32, 16).unwrap();
    for bad in [f64::NAN, f64::INFINITY, 1e12] {
        assert!(matches!(
            protect(Contribution::Sum(vec![bad]), &plain, None, &mut random()),
            Err(PipelineFault::Encoding { coordinate: 0, .. })
        ));
    }
}

#[test]
fn too_many_patients_or_another_length_is_refused() {
    let noise = NoisePlan {
        patients_cap: 2,
        ..noise_plan()
    };
    assert!(matches!(
        protected(noise, vec![vec![0.0; 3]; 3]),
        Err(PipelineFault::Contribution(
            ContributionFault::TooManyPatients { .. }
        ))
    ));
    let plan = VectorPlan::noised(3, noise_plan()).unwrap();
    let short = Contribution::PatientVectors {
        dimension: 2,
        vectors: vec![vec![0.0; 2]],
    };
    assert!(matches!(
        protect(short, &plan, Some(norm()), &mut random()),
        Err(PipelineFault::OtherDimension { .. })
    ));
}

#[test]
fn a_contribution_that_breaks_off_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(folder.path()).unwrap();
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let noised = VectorPlan::noised(3, noise_plan()).unwrap();
    let plain = VectorPlan::plain(3, 4, 64, 32).unwrap();
    let sum = Contribution::Sum(vec![1.0, 2.0, 3.0]);
    let vectors = Contribution::PatientVectors {
        dimension: 3,
        vectors: vec![vec![0.0; 3]; 2],
    };
    for (contribution, plan, clip) in [(sum, plain, None), (vectors, noised, Some(norm()))] {
        let bytes = contribution.to_bytes();
        let torn = &bytes[..bytes.len() - 8];
        let mut reader = ContributionReader::open(torn, 3).unwrap();
        let mut writer = files.store_input(id).unwrap();
        let outcome = super::protect(&mut reader, &plan, clip, &mut random(), &mut writer);
        assert!(matches!(outcome, Err(PipelineFault::Shape(_))));
        drop(writer);
        assert!(files.stored_input(id).unwrap().is_none());
    }
}

const LOCAL: &str = include_str!("../../../examples/studies/private-local.toml");

#[test]
fn every_local_step_asks_at_the_model_that_the_noised_sums_led_to_and_only_the_move_is_stored() {
    let study = Study::parse(LOCAL.as_bytes()).unwrap();
    let task = Task::new(&study).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let training = task.local_training(&plan, &task.initial_model()).unwrap();
    let (clip, noise) = (study.privacy.promise().unwrap().clip, *training.noise());
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let folder = tempfile::tempdir().unwrap();
    let files = AttemptFiles::open(folder.path()).unwrap();
    let mut random = random();
    let (mut asked, mut sums) = (Vec::new(), Vec::new());
    let mut writer = files.store_input(id).unwrap();
    protect_steps(
        training.clone(),
        |model| {
            asked.push(model.clone());
            let contribution = Contribution::PatientVectors {
                dimension: 5,
                vectors: vec![vec![0.3, 0.0, -0.2, 0.0, 9.0]; 20],
            };
            let bytes = contribution.to_bytes();
            let mut reader = ContributionReader::open(bytes.as_slice(), 5)?;
            let sum = noised(&mut reader, &plan, &noise, clip, &mut random)?;
            sums.push(sum.clone());
            Ok::<_, PipelineFault>(sum)
        },
        &mut writer,
    )
    .unwrap();
    let name = writer.finish().unwrap();
    let stored = files
        .read_input(id, &name, 5)
        .unwrap()
        .next_piece()
        .unwrap();
    assert_eq!(asked.len(), 3);
    // Noise of its own at each step, in coordinates that no patient fills too.
    let second = |step: usize| sums[step].integers()[1];
    assert!(second(0) != second(1) && second(1) != second(2));
    let mut again = training;
    for (model, sum) in asked.iter().zip(&sums) {
        assert_eq!(*model, again.model());
        again.take(sum.integers()).unwrap();
    }
    assert_eq!(stored, again.finish().unwrap());
}

#[test]
fn one_noised_sum_does_not_pass_for_a_round_of_local_steps() {
    let study = Study::parse(LOCAL.as_bytes()).unwrap();
    let plan = study.vector_plan(4, 1, 1).unwrap();
    let clip = study.privacy.promise().unwrap().clip;
    let vectors = Contribution::PatientVectors {
        dimension: 5,
        vectors: vec![vec![0.0; 5]],
    };
    let sum = Contribution::Sum(vec![0.5; 5]);
    for contribution in [vectors, sum.clone()] {
        let refused = protect(contribution, &plan, Some(clip), &mut random());
        assert!(matches!(refused, Err(PipelineFault::OtherKind { .. })));
    }
    // A trainer that gives a sum where a local step clips every patient is refused too.
    let bytes = sum.to_bytes();
    let mut reader = ContributionReader::open(bytes.as_slice(), 5).unwrap();
    let noise = plan.noise.unwrap();
    assert!(matches!(
        noised(&mut reader, &plan, &noise, clip, &mut random()),
        Err(PipelineFault::OtherKind { .. })
    ));
}
