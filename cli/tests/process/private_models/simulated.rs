// SPDX-License-Identifier: Apache-2.0
//! What four hospitals must find, computed in this process: the model without noise, and how far noise takes it away.
//!
//! The simulation is exact: the same vectors, clip, quantiser and noise of the plan, added up without masks. The hospitals
//! hold each patient [`COPIES`] times, so that the noise weighs little; here a patient's integers are multiplied instead.
//!
//! How often an honest federation is called wrong. [`PILOTS`] runs give a box about the model without noise its shape, and
//! [`RUNS`] others its size: all of them lie within. At least 95.5 % of all runs do, or the simulation drew what comes once
//! in 10^4 times (0.955^200). Noise this small moves the model by a linear map (asserted: twice the noise goes twice as far),
//! so that the coefficients are normal but for the grain of the noise. Of every symmetric convex body that holds 95.5 % of a
//! normal distribution, three times its size holds at least what three times a strip of the same probability holds (Latała
//! and Oleszkiewicz 1999): the strip ends at 2.005 standard deviations, and 6.01 of them leave 1.8 in 10^9 out. That is the
//! rate for each test.

use crate::founding::{HOSPITALS, example};
use crate::private_newton::COPIES;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_learning::{Contribution, Model, Step, Study, Table, Task};
use consilium_privacy::clipping::quantise_patient;
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::ClippingNorm;
use consilium_privacy::noise_plan::{NoisePlacement, NoisePlan, VectorPlan};

/// Runs that tell how far noise takes each coefficient.
const PILOTS: u32 = 50;
/// Runs that tell the size of the box.
const RUNS: u32 = 200;
/// How much larger than theirs the box is that a federation must hit.
const MARGIN: f64 = 3.0;

/// The model without noise and the box about it.
#[derive(Debug)]
pub(crate) struct Simulated {
    centre: Vec<f64>,
    /// Half the box, in each coefficient.
    reach: Vec<f64>,
    /// What a model is that has learned nothing.
    start: Vec<f64>,
}

impl Simulated {
    /// Simulates a study of all the copies.
    pub(crate) fn of(study: &str) -> Self {
        let hospitals = Hospitals::of(study);
        let centre = hospitals.train(0, 0);
        let distances = |seed, times| -> Vec<f64> {
            let found = hospitals.train(seed, times).into_iter();
            found.zip(&centre).map(|(found, at)| found - at).collect()
        };
        let mut squares = vec![0.0; centre.len()];
        for seed in 0..PILOTS {
            let pairs = squares.iter_mut().zip(distances(seed, 1));
            pairs.for_each(|(sum, distance)| *sum += distance * distance);
        }
        let spread: Vec<f64> = squares
            .iter()
            .map(|sum| (sum / f64::from(PILOTS)).sqrt())
            .collect();
        let mut furthest = 0.0_f64;
        for seed in PILOTS..PILOTS + RUNS {
            for (distance, spread) in distances(seed, 1).iter().zip(&spread) {
                furthest = furthest.max(distance.abs() / spread);
            }
        }
        for seed in 0..5 {
            let pairs = distances(seed, 1).into_iter().zip(distances(seed, 2));
            for ((once, twice), spread) in pairs.zip(&spread) {
                let bent = (twice - 2.0 * once).abs();
                assert!(bent < 0.5 * spread, "{once} becomes {twice} of {spread}");
            }
        }
        let reach = spread.iter().map(|spread| MARGIN * furthest * spread);
        Self {
            reach: reach.collect(),
            centre,
            start: hospitals.start(),
        }
    }

    /// Asserts that a federation found the model, and that one which learned nothing would not have.
    #[track_caller]
    pub(crate) fn assert_found(&self, coefficients: &[f64]) {
        assert_eq!(coefficients.len(), self.centre.len());
        for ((found, centre), reach) in coefficients.iter().zip(&self.centre).zip(&self.reach) {
            assert!(
                (found - centre).abs() <= *reach,
                "{found} is further than {reach} from {centre}"
            );
        }
        let mut learned = self.start.iter().zip(&self.centre).zip(&self.reach);
        assert!(
            learned.any(|((start, centre), reach)| (start - centre).abs() > 2.0 * reach),
            "{self:?} tells nothing"
        );
        assert_ne!(coefficients, self.centre, "no noise");
    }
}

/// The hospitals of a study.
struct Hospitals {
    task: Task,
    tables: Vec<Table>,
    plan: VectorPlan,
    noise: NoisePlan,
    clip: ClippingNorm,
}

impl Hospitals {
    fn of(study: &str) -> Self {
        let study = Study::parse(study.as_bytes()).unwrap();
        let plan = study.vector_plan(4, 1, 1).unwrap();
        let tables = HOSPITALS.iter().map(|hospital| {
            let path = example(&format!("data/indo-rct/{hospital}.csv"));
            Table::read(std::fs::File::open(path).unwrap(), &study.data).unwrap()
        });
        Self {
            tables: tables.collect(),
            task: Task::new(&study).unwrap(),
            noise: plan.noise.unwrap(),
            plan,
            clip: study.privacy.promise().unwrap().clip,
        }
    }

    /// The coefficients that this noise, so many times itself, leads to.
    fn train(&self, seed: u32, times: i64) -> Vec<f64> {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        let mut random = InsecureSeededRandom::from_bytes(bytes);
        let mut model = self.task.initial_model();
        loop {
            let mut total = vec![0_i64; self.task.dimension()];
            for table in &self.tables {
                let message = self.message(&model, table, &mut random, times);
                add(&mut total, message, 1);
            }
            let decoded = self.task.decode(&self.plan, &total).unwrap();
            match self.task.advance(&model, &decoded).unwrap() {
                Step::Continue(next) => model = next,
                Step::Trained(outcome) | Step::Finished(outcome) => {
                    return outcome.result.regression().unwrap().coefficients.clone();
                }
                Step::Evaluated { .. } => panic!("nothing is evaluated"),
            }
        }
    }

    /// The coefficients of the first model: gradient steps of no length.
    fn start(&self) -> Vec<f64> {
        let mut model = self.task.initial_model();
        let nothing = vec![0.0; self.task.dimension()];
        loop {
            let first = self.task.initial_model().parameters;
            match self.task.advance(&model, &nothing.clone().into()).unwrap() {
                Step::Continue(next) => {
                    model = Model {
                        parameters: first,
                        ..next
                    }
                }
                Step::Trained(outcome) | Step::Finished(outcome) => {
                    return outcome.result.regression().unwrap().coefficients.clone();
                }
                Step::Evaluated { .. } => panic!("nothing is evaluated"),
            }
        }
    }

    /// What a hospital puts under its mask.
    fn message(
        &self,
        model: &Model,
        table: &Table,
        random: &mut InsecureSeededRandom,
        times: i64,
    ) -> Vec<i64> {
        if self.noise.placement == NoisePlacement::Shared {
            return self.noised(model, table, random, times);
        }
        let mut training = self.task.local_training(&self.plan, model).unwrap();
        while !training.is_finished() {
            let sum = self.noised(&training.model(), table, random, times);
            training.take(&sum).unwrap();
        }
        training.finish().unwrap()
    }

    /// The sum of every patient's copies, and noise.
    fn noised(
        &self,
        model: &Model,
        table: &Table,
        random: &mut InsecureSeededRandom,
        times: i64,
    ) -> Vec<i64> {
        let Contribution::PatientVectors { dimension, vectors } =
            self.task.contribution(model, table).unwrap()
        else {
            panic!("the study is noised")
        };
        let nobody: [Vec<f64>; 0] = [];
        let noise = simulated_sum(&self.noise, self.clip, dimension, nobody, random).unwrap();
        let mut sum = vec![0; dimension];
        add(&mut sum, noise, times);
        for vector in vectors {
            let integers = quantise_patient(&vector, self.clip, self.noise.clip_integer);
            add(&mut sum, integers, i64::from(COPIES));
        }
        sum
    }
}

fn add(total: &mut [i64], terms: Vec<i64>, times: i64) {
    let pairs = total.iter_mut().zip(terms);
    pairs.for_each(|(total, term)| *total += times * term);
}
