// SPDX-License-Identifier: Apache-2.0
//! A thousand patients at once, each in or out by a fair coin, in one training run.
//!
//! The model is a logistic regression on 1,000 features, so it has 1,001 parameters. Canary `i` has one feature, the
//! `i`-th, at the far end of its range: the gradient, computed by the task that a hospital's trainer runs, points along
//! coordinate `i` and is clipped to exactly the norm. The attacker adds the released gradients up; coordinate `i` of the
//! sum, over `T D`, is one if the canary is in and zero if it is out, with noise of `z/sqrt(T)` in either case.
//!
//! Two things are proven from the same guesses:
//!
//! - a **distance**, as by [`super::canary`], from the 1,000 coordinates in the place of 1,000 rounds. It takes for
//!   granted that the noise of different coordinates is independent, which the tests of the sampler show;
//! - an **epsilon** that takes nothing for granted ([`super::proof::refuted_epsilon`]), from the 100 highest and the 100
//!   lowest coordinates, with 99 % confidence.

use super::mutation::{Moment, Mutation, contribution};
use super::proof::{Count, proven_distance, refuted_epsilon};
use crate::Federation;
use anyhow::{Context, Result, bail, ensure};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource as _};
use consilium_learning::{Contribution, Step, Study, Table, Task};
use consilium_privacy::accountant::gaussian;
use consilium_privacy::loss::{ClippingNorm, Delta, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan, View};
use std::fmt::Write as _;

/// One training run under attack.
#[derive(Clone, Copy, Debug)]
pub struct OneRun {
    /// The mistake in the silos.
    pub mutation: Mutation,
    /// Of coins and noise.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneRunVerdict {
    /// Parameters of the model.
    pub parameters: usize,
    /// Guesses about the canaries that were in.
    pub when_present: Count,
    /// Guesses about those that were out.
    pub when_absent: Count,
    /// The distance that the noise permits over the whole run.
    pub claimed_distance: f64,
    /// The distance that the guesses prove.
    pub proven_distance: f64,
    /// The epsilon of the whole run at [`DELTA`].
    pub claimed_epsilon: f64,
    /// The epsilon that the surest guesses refute.
    pub refuted_epsilon: f64,
    /// How many of the surest guesses were right.
    pub correct: u32,
}

impl OneRunVerdict {
    /// What is proven of the claimed distance: about 0.84 of 1 with honest noise.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.proven_distance / self.claimed_distance
    }

    /// Whether the noise is there and the attack is a real one.
    #[must_use]
    pub fn holds(&self) -> bool {
        (LEAST_RATIO..=1.0).contains(&self.ratio())
            && (LEAST_EPSILON..=self.claimed_epsilon).contains(&self.refuted_epsilon)
    }
}

impl OneRun {
    /// Trains once through the machines of secure aggregation, and guesses.
    pub fn run(&self) -> Result<OneRunVerdict> {
        let study = Study::parse(study().as_bytes())?;
        let task = Task::new(&study)?;
        let dimension = task.dimension();
        let promised = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(1.0)?,
            silos: SILOS,
            dropouts: 1,
            colluders: 1,
            attempts: ROUNDS,
            patients_cap: 1_000,
            dimension: u64::try_from(dimension)?,
        })?;
        let plan = self.mutation.plan(&promised)?;
        let vector = VectorPlan::noised(u64::try_from(dimension)?, plan)?;
        let is_in = self.coins();
        let tables = (0..SILOS)
            .map(|silo| Table::read(table(silo, &is_in).as_bytes(), &study.data))
            .collect::<Result<Vec<_>, _>>()?;
        let mut federation = Federation::new(&["a", "b", "c", "d"])?;
        let mut model = task.initial_model();
        let mut scores = vec![0.0; dimension];
        for round in 0..ROUNDS {
            let inputs = (0..)
                .zip(&tables)
                .map(|(silo, table)| {
                    let Contribution::PatientVectors { vectors, .. } =
                        task.contribution(&model, table)?
                    else {
                        bail!("a noised study gives one vector per patient")
                    };
                    let moment = Moment {
                        seed: self.seed,
                        round,
                        silo,
                    };
                    let norm = ClippingNorm::new(1.0)?;
                    contribution(self.mutation, &plan, norm, dimension, &vectors, moment)
                })
                .collect::<Result<Vec<_>>>()?;
            let released = federation.sum_of_survivors(&vector, &inputs, &[GONE])?;
            let known = inputs.get(COLLUDER).context("a colluder")?;
            let left: Vec<i64> = released
                .iter()
                .zip(known)
                .map(|(sum, own)| sum - own)
                .collect();
            for (score, value) in scores.iter_mut().zip(&task.decode(&vector, &left)?.values) {
                *score += value / f64::from(ROUNDS);
            }
            match task.advance(&model, &task.decode(&vector, &released)?)? {
                Step::Continue(next) => model = next,
                Step::Trained(_) | Step::Finished(_) | Step::Evaluated { .. } => break,
            }
        }
        let scores = scores.get(1..).context("an intercept")?;
        self.judge(dimension, &promised, scores, &is_in)
    }

    fn judge(
        &self,
        parameters: usize,
        promised: &NoisePlan,
        scores: &[f64],
        is_in: &[bool],
    ) -> Result<OneRunVerdict> {
        ensure!(scores.len() == is_in.len(), "a score for each canary");
        let (mut when_present, mut when_absent) = (Count::default(), Count::default());
        for (score, is_in) in scores.iter().zip(is_in) {
            let count = if *is_in {
                &mut when_present
            } else {
                &mut when_absent
            };
            count.add(*score > 0.5);
        }
        let mut surest: Vec<(f64, bool)> =
            scores.iter().copied().zip(is_in.iter().copied()).collect();
        surest.sort_by(|left, right| left.0.total_cmp(&right.0));
        let absent = surest.iter().take(SUREST).filter(|(_, is_in)| !is_in);
        let present = surest.iter().rev().take(SUREST).filter(|(_, is_in)| *is_in);
        let correct = u32::try_from(absent.count() + present.count())?;
        let guesses = u32::try_from(2 * SUREST)?;
        let multiplier = promised.multiplier(View::Colluders)?;
        let delta = Delta::new(DELTA)?;
        Ok(OneRunVerdict {
            parameters,
            when_present,
            when_absent,
            claimed_distance: f64::from(ROUNDS).sqrt() / multiplier.value(),
            proven_distance: proven_distance(when_present, when_absent),
            claimed_epsilon: gaussian::estimate(multiplier, ROUNDS, delta).value(),
            refuted_epsilon: refuted_epsilon(CANARIES, guesses, correct, DELTA, 0.01),
            correct,
        })
    }

    /// Which canaries are in.
    fn coins(&self) -> Vec<bool> {
        let mut random = InsecureSeededRandom::from_seed(self.seed);
        (0..CANARIES)
            .map(|_| random.next_u64().is_multiple_of(2))
            .collect()
    }
}

/// A study of as many features as canaries. The learning rate is so small that no canary's gradient shrinks below the
/// norm, so every round asks the same question.
fn study() -> String {
    let mut text = HEAD.to_owned();
    let mut features = Vec::new();
    for canary in 0..CANARIES {
        let _ = write!(
            text,
            "[data.columns.x{canary}]\ntype = \"number\"\nrange = [0, 1000]\ncentre = 0\nscale = 1\n"
        );
        features.push(format!("\"x{canary}\""));
    }
    let _ = write!(
        text,
        "[analysis]\nkind = \"logistic-regression\"\noutcome = {{ column = \"outcome\", positive = \"yes\" }}\n\
         features = [{}]\nmethod = \"fedsgd\"\n{TAIL}",
        features.join(", ")
    );
    text
}

/// The canaries of one silo that are in, and one patient of whom the attacker knows everything. The silo that goes and
/// the one that colludes have the known patient only.
fn table(silo: u32, is_in: &[bool]) -> String {
    let mut text = "id,outcome".to_owned();
    for canary in 0..is_in.len() {
        let _ = write!(text, ",x{canary}");
    }
    let zeros = |count: usize| ",0".repeat(count);
    let _ = write!(text, "\nknown,no{}\n", zeros(is_in.len()));
    let here = |canary: usize| usize::try_from(silo) == Ok(canary % 2);
    for canary in
        (0..is_in.len()).filter(|canary| here(*canary) && is_in.get(*canary) == Some(&true))
    {
        let _ = writeln!(
            text,
            "{canary},yes{},1000{}",
            zeros(canary),
            zeros(is_in.len() - canary - 1)
        );
    }
    text
}

/// Of the claimed epsilon.
pub const DELTA: f64 = 1e-5;
const CANARIES: u32 = 1_000;
const ROUNDS: u32 = 4;
const SILOS: u32 = 4;
const COLLUDER: usize = 2;
const GONE: usize = 3;
/// As many of the highest as of the lowest scores; fixed beforehand.
const SUREST: usize = 100;
/// Expected is 0.84 with a standard deviation of 0.05: honest noise leaves the interval from here to 1 for one seed of
/// a thousand.
const LEAST_RATIO: f64 = 0.68;
/// An attack that refutes less is no attack.
const LEAST_EPSILON: f64 = 2.0;

const HEAD: &str = r#"
[study]
name = "canaries"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "none"
data = "canaries"
deadline_hours = 24
[data]
patient = "id"
missing = "complete-case"
[data.columns.outcome]
type = "category"
levels = { no = "no", yes = "yes" }
"#;

const TAIL: &str = r#"
[rounds]
most = 4
learning_rate = 1e-6
spare_attempts = 1
[privacy]
mode = "distributed"
epsilon = "8"
delta = "1e-5"
clip = 1.0
expected_patients = 1000
most_patients_per_silo = 1000
"#;
