// SPDX-License-Identifier: Apache-2.0
//! One patient, in and out.
//!
//! The worst case that the noise is made for: a vector of exactly the clipping norm, `n_d` silos gone, the vectors of
//! `n_c` silos known to the attacker, every other patient known too. What is left is `n - n_d - n_c` shares of noise and
//! the canary or nothing; the attacker guesses `present` above the middle between the two, which is fixed beforehand.
//!
//! Where a batch is drawn, the canary is in one round of ten that it could be in. The threshold is then the whole clip, where
//! false accusations are rarer, and what the guesses prove is a rate: how often the canary was drawn. A round then has sixteen
//! canaries, each along a coordinate of its own: each is drawn by itself and noised by itself (the tests of the sampler and of
//! `simulated_sum` show it), so that a round gives sixteen guesses and no two of them share anything random.

use super::mutation::{Moment, Mutation, contribution};
use super::proof::{Count, proven_distance, proven_rate};
use crate::Federation;
use anyhow::{Context, Result, ensure};
use consilium_privacy::batch::Batch;
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan, View};

/// How the vectors of a round are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// By the machines of secure aggregation, masks and all.
    Machines,
    /// By addition; [`Attack::run`] through the machines holds each sum against this one.
    Addition,
}

/// The vector that the canary sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Longer than the clipping norm: clipping leaves exactly the norm.
    TooLong,
    /// With a coordinate that is no number, so that no floating-point comparison with a norm holds.
    NotANumber,
}

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// The mistake in the silos.
    pub mutation: Mutation,
    /// What the patient sends.
    pub canary: Canary,
    /// Who takes part, as the plan says and the accountant charges.
    pub batch: Batch,
    /// How sums are made.
    pub path: Path,
    /// Rounds with the canary, and as many without it; [`Attack::canaries`] guesses in each.
    pub rounds: u32,
    /// Of all randomness.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Guesses in the rounds with the canary.
    pub when_present: Count,
    /// Guesses in the rounds without it.
    pub when_absent: Count,
    /// The distance that the noise permits, in its standard deviations; the rate, where a batch is drawn.
    pub claimed: f64,
    /// What the guesses prove of it.
    pub proven: f64,
    /// The ratio below which an attack is blind.
    pub least_ratio: f64,
}

impl Verdict {
    /// What is proven of what is claimed: honest noise gives about 0.965 of 1 at 10,000 rounds, a batch of one in ten
    /// about 0.88 at 40,000.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.proven / self.claimed
    }

    /// Whether the noise is there and the attack is a real one.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.least_ratio..=1.0).contains(&self.ratio())
    }
}

impl Attack {
    /// The attack of the design: at a multiplier of one half the two cases are two standard deviations apart.
    pub fn run(&self) -> Result<Verdict> {
        self.run_watched(&|| ())
    }

    /// The same, telling whoever watches of each round that is done.
    pub fn run_watched(&self, round_is_done: &(dyn Fn() + Sync)) -> Result<Verdict> {
        let dimension = self.dimension();
        let promised = NoisePlan {
            batch: self.batch,
            ..plan(dimension)?
        };
        let plan = self.mutation.plan(&promised)?;
        let vector = VectorPlan::noised(u64::try_from(dimension)?, promised)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let counts = std::thread::scope(|scope| {
            let pieces: Vec<_> = (0..threads)
                .map(|piece| {
                    let rounds = (0..2 * self.rounds).skip(piece).step_by(threads);
                    scope.spawn(|| self.rounds(rounds, &plan, &vector, round_is_done))
                })
                .collect();
            let joined = pieces.into_iter().map(|piece| match piece.join() {
                Ok(counts) => counts,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        let (mut when_present, mut when_absent) = (Count::default(), Count::default());
        for [present, absent] in counts {
            when_present.merge(present);
            when_absent.merge(absent);
        }
        let distance = 1.0 / promised.multiplier(View::Colluders)?.value();
        let (claimed, proven, least_ratio) = match self.batch {
            Batch::Everybody => (
                distance,
                proven_distance(when_present, when_absent),
                LEAST_RATIO,
            ),
            Batch::Drawn(_) => (
                self.batch.rate().value(),
                proven_rate(when_present, when_absent, distance),
                LEAST_RATIO_OF_RATES,
            ),
        };
        Ok(Verdict {
            when_present,
            when_absent,
            claimed,
            proven,
            least_ratio,
        })
    }

    /// These rounds; the canary is in the even ones. What a round draws depends on its number alone.
    fn rounds(
        &self,
        rounds: impl Iterator<Item = u32>,
        plan: &NoisePlan,
        vector: &VectorPlan,
        round_is_done: &(dyn Fn() + Sync),
    ) -> Result<[Count; 2]> {
        let mut federation = Federation::new(&["a", "b", "c", "d"])?;
        let (mut when_present, mut when_absent) = (Count::default(), Count::default());
        for round in rounds {
            let present = round % 2 == 0;
            let inputs = (0..SILOS)
                .map(|silo| {
                    let moment = Moment {
                        seed: self.seed,
                        round,
                        silo,
                    };
                    let patients = self.patients(present && silo == 0);
                    contribution(
                        self.mutation,
                        plan,
                        norm()?,
                        self.dimension(),
                        &patients,
                        moment,
                    )
                })
                .collect::<Result<Vec<_>>>()?;
            let released = self.release(&mut federation, vector, &inputs)?;
            let count = if present {
                &mut when_present
            } else {
                &mut when_absent
            };
            for guess in self.guesses(plan, &released, &inputs)? {
                count.add(guess);
            }
            round_is_done();
        }
        Ok([when_present, when_absent])
    }

    /// How many canaries a round has, each along a coordinate of its own.
    #[must_use]
    pub fn canaries(&self) -> usize {
        match self.batch {
            Batch::Everybody => 1,
            Batch::Drawn(_) => 16,
        }
    }

    /// One coordinate for the other patient, one for each canary, and one for a count that does not belong there.
    fn dimension(&self) -> usize {
        1 + self.canaries() + 1
    }

    fn patients(&self, with_canaries: bool) -> Vec<Vec<f64>> {
        let along = |coordinate: usize, length: f64| {
            let mut vector = vec![0.0; self.dimension()];
            if let Some(value) = vector.get_mut(coordinate) {
                *value = length;
            }
            vector
        };
        let mut patients = vec![along(0, 0.6)];
        if with_canaries {
            patients.extend((1..=self.canaries()).map(|canary| {
                let mut vector = along(canary, 3.0);
                if let (Canary::NotANumber, Some(first)) = (self.canary, vector.first_mut()) {
                    *first = f64::NAN;
                }
                vector
            }));
        }
        patients
    }

    fn release(
        &self,
        federation: &mut Federation,
        vector: &VectorPlan,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<i64>> {
        let survivors = inputs.get(..SILOS - DROPOUTS).context("survivors")?;
        let added = (0..self.dimension())
            .map(|at| survivors.iter().filter_map(|input| input.get(at)).sum())
            .collect();
        if self.path == Path::Addition {
            return Ok(added);
        }
        let released = federation.sum_of_survivors(vector, inputs, &[SILOS - 1])?;
        ensure!(
            released == added,
            "the machines released another sum than that of the survivors"
        );
        Ok(released)
    }

    fn guesses(
        &self,
        plan: &NoisePlan,
        released: &[i64],
        inputs: &[Vec<i64>],
    ) -> Result<Vec<bool>> {
        let colluder = inputs.get(SILOS - DROPOUTS - 1).context("a colluder")?;
        let left: Vec<i64> = released
            .iter()
            .zip(colluder)
            .map(|(all, known)| all - known)
            .collect();
        if self.mutation == Mutation::CountBesideNoise {
            // Where patients are counted, two others are known.
            return Ok(vec![*left.last().context("a count")? > 2]);
        }
        let threshold = i64::try_from(match self.batch {
            Batch::Everybody => plan.clip_integer / 2,
            Batch::Drawn(_) => plan.clip_integer,
        })?;
        let canaries = left.get(1..=self.canaries()).context("coordinates")?;
        Ok(canaries.iter().map(|value| *value > threshold).collect())
    }
}

/// One patient in ten.
pub fn tenth() -> Result<Batch> {
    Ok(Batch::of(SamplingRate::new(0.1)?))
}

/// Four silos, one gone, one that colludes.
fn plan(dimension: usize) -> Result<NoisePlan> {
    Ok(NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(0.5)?,
        silos: u32::try_from(SILOS)?,
        dropouts: u32::try_from(DROPOUTS)?,
        colluders: 1,
        attempts: 1,
        patients_cap: 1_000,
        dimension: u64::try_from(dimension)?,
    })?)
}

fn norm() -> Result<ClippingNorm> {
    Ok(ClippingNorm::new(1.0)?)
}

const SILOS: usize = 4;
const DROPOUTS: usize = 1;

/// Expected is 0.965 with a standard deviation of 0.0107 at 10,000 rounds of each kind: of a thousand seeds one leaves the
/// interval from here to 1 although nothing is wrong.
const LEAST_RATIO: f64 = 0.93;

/// Of the rate of a batch of one in ten, 0.882 was found with a standard deviation of 0.036 at 40,000 guesses of each kind:
/// of a thousand seeds fewer than one leaves the interval from here to 1 although nothing is wrong.
const LEAST_RATIO_OF_RATES: f64 = 0.76;
