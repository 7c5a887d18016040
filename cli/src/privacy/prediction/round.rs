// SPDX-License-Identifier: Apache-2.0
//! One round of a study on synthetic patients, in both placements of the noise.

use anyhow::{Context, bail};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_learning::{Contribution, DecodedSum, Model, Table, Task};
use consilium_privacy::clipping::{clip, quantise_patient};
use consilium_privacy::contribution::simulated_sum;
use consilium_privacy::loss::ClippingNorm;

use super::{Noise, Run};

impl Run<'_> {
    /// The sum of a round under shared noise.
    pub(super) fn shared(
        &self,
        task: &Task,
        model: &Model,
        table: &Table,
        seed: u64,
    ) -> anyhow::Result<DecodedSum> {
        let (dimension, vectors) = vectors(task, model, table)?;
        if self.noise == Noise::LeftOut {
            let mut sum = clipped_sum(dimension, vectors, self.clip);
            // Nobody is drawn either: as much of everybody as a batch holds on average.
            sum.iter_mut().for_each(|total| *total *= self.rate);
            return Ok(sum.into());
        }
        let mut sum = vec![0_i64; dimension];
        for (silo, patients) in vectors.chunks(self.patients_of_silo(&vectors)).enumerate() {
            let share = self.sum_of_silo(dimension, patients, seed | u64::try_from(silo)?)?;
            add(&mut sum, &share);
        }
        Ok(task.decode(self.vector, &sum)?)
    }

    /// The mean of a round in which every silo contributes one vector, clipped and noised as a whole.
    pub(super) fn of_silos(
        &self,
        task: &Task,
        model: &Model,
        silos: &[Table],
        seed: u64,
    ) -> anyhow::Result<DecodedSum> {
        let wholes = silos
            .iter()
            .map(|table| match task.contribution(model, table)? {
                Contribution::Sum(whole) => Ok(whole),
                Contribution::PatientVectors { .. } => {
                    bail!("the study's method gives no vector of a whole silo")
                }
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let dimension = task.dimension();
        let mut sum = vec![0_i64; dimension];
        for (silo, whole) in wholes.into_iter().enumerate() {
            let share = self.sum_of_silo(dimension, &[whole], seed | u64::try_from(silo)?)?;
            add(&mut sum, &share);
        }
        Ok(task.decode(self.vector, &sum)?)
    }

    /// The sum of a round of noised local steps, and the sum over all silos of their first ones.
    pub(super) fn local(
        &self,
        task: &Task,
        model: &Model,
        table: &Table,
        seed: u64,
    ) -> anyhow::Result<(DecodedSum, Vec<f64>)> {
        let dimension = task.dimension();
        let (mut moves, mut first) = (vec![0_i64; dimension], vec![0_i64; dimension]);
        for silo in 0..self.silos {
            let mut seeds = InsecureSeededRandom::from_seed(seed | u64::try_from(silo)?);
            let mut training = task.local_training(self.vector, model)?;
            while !training.is_finished() {
                let (dimension, vectors) = vectors(task, &training.model(), table)?;
                let mut patients = vectors.chunks(self.patients_of_silo(&vectors));
                let patients = patients.nth(silo).unwrap_or_default();
                let sum = self.sum_of_silo(dimension, patients, seeds.next_u64())?;
                if training.model() == *model {
                    add(&mut first, &sum);
                }
                training.take(&sum)?;
            }
            add(&mut moves, &training.finish()?);
        }
        let noise = self.vector.noise.context("a study with noise")?;
        #[expect(clippy::cast_precision_loss, reason = "for showing only")]
        let first = first
            .iter()
            .map(|sum| *sum as f64 * self.clip.value() / noise.clip_integer as f64)
            .collect();
        Ok((task.decode(self.vector, &moves)?, first))
    }

    fn patients_of_silo(&self, vectors: &[Vec<f64>]) -> usize {
        vectors.len().div_ceil(self.silos).max(1)
    }

    /// Nobody's data are hidden here, so the seed may be known: the same question, the same answer.
    fn sum_of_silo(
        &self,
        dimension: usize,
        patients: &[Vec<f64>],
        seed: u64,
    ) -> anyhow::Result<Vec<i64>> {
        let noise = self.vector.noise.context("a study with noise")?;
        Ok(match self.noise {
            Noise::Added => {
                let mut seeds = InsecureSeededRandom::from_seed(seed);
                let mut random = InsecureSeededRandom::from_bytes(*seeds.secret32().expose());
                simulated_sum(&noise, self.clip, dimension, patients, &mut random)?
            }
            Noise::LeftOut => {
                let mut sum = vec![0; dimension];
                for patient in patients {
                    add(
                        &mut sum,
                        &quantise_patient(patient, self.clip, noise.clip_integer),
                    );
                }
                sum
            }
        })
    }
}

fn vectors(task: &Task, model: &Model, table: &Table) -> anyhow::Result<(usize, Vec<Vec<f64>>)> {
    match task.contribution(model, table)? {
        Contribution::PatientVectors { dimension, vectors } => Ok((dimension, vectors)),
        Contribution::Sum(_) => bail!("the study's method gives no vector per patient"),
    }
}

fn add(total: &mut [i64], part: &[i64]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += part;
    }
}

fn clipped_sum(dimension: usize, vectors: Vec<Vec<f64>>, norm: ClippingNorm) -> Vec<f64> {
    let mut sum = vec![0.0; dimension];
    for mut vector in vectors {
        clip(&mut vector, norm);
        for (total, part) in sum.iter_mut().zip(vector) {
            *total += part;
        }
    }
    sum
}
