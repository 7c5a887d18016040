// SPDX-License-Identifier: Apache-2.0
//! A silo's own work: training, masking, uploading, tagging and computing a sum again.

use super::{Around, Outcome, Silo, SiloWork};
use crate::simulation::faults::Mutation;
use crate::simulation::operation::Noise;
use crate::simulation::study::input_digest;
use consilium_crypto::digest::Digest;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_protocol::{
    AttemptId, Delivery, MaskJob, READY_GRID_MILLISECONDS, ReplayJob, RoundPlan, SiloEvent, TagJob,
    chunk_digest, upload_root,
};

impl Silo {
    /// The vector of an attempt, computed and stored once.
    pub(super) fn train(&mut self, around: Around<'_>, plan: &RoundPlan) -> Outcome {
        let name = self.name.clone();
        let input = self.disk.inputs.entry(plan.id).or_insert_with(|| {
            let mut fallback = InsecureSeededRandom::from_seed(0);
            let random = self
                .process
                .as_mut()
                .map_or(&mut fallback, |process| &mut process.random);
            match &self.last_input {
                Some(last) if around.mutation == Mutation::SendAgain => last.clone(),
                Some(_) | None => around.study.input(&name, &plan.model, random),
            }
        });
        if around.mutation == Mutation::AskAgain
            && plan.id.attempt > 1
            && let Some(value) = input.first_mut()
        {
            *value += 1;
        }
        self.last_input = Some(input.clone());
        let work = SiloWork::Prepared {
            id: plan.id,
            input: input_digest(input),
        };
        Outcome::Working {
            until: around.now + TRAINING,
            work,
        }
    }

    /// Masks the stored vector into the spool, and no other than the one that the journal names.
    pub(super) fn mask(&mut self, around: Around<'_>, job: &MaskJob) -> Vec<Outcome> {
        let plan = job.plan();
        if around.mutation == Mutation::ForgetBurn && around.study.noise == Noise::Present {
            let process = self.process.as_mut();
            let drawn = process.map(|process| {
                around
                    .study
                    .input(&self.name, &plan.model, &mut process.random)
            });
            self.disk.inputs.extend(drawn.map(|input| (plan.id, input)));
        }
        let stored = self.disk.inputs.get(&plan.id);
        let named = |input: &&Vec<i64>| {
            input_digest(input) == job.input() || around.mutation == Mutation::ForgetBurn
        };
        let Some(input) = stored.filter(named) else {
            let reason = "the vector is not on this machine".to_owned();
            return self.handle(
                around,
                SiloEvent::Abandon {
                    id: plan.id,
                    reason,
                },
            );
        };
        let words = self.words(around, input);
        let chunks = vec![job.mask_chunk(0, &words)];
        let digests: Vec<Digest> = chunks.iter().map(|chunk| chunk_digest(chunk)).collect();
        let length: usize = chunks.iter().map(Vec::len).sum();
        let work = SiloWork::Masked {
            id: plan.id,
            root: upload_root(&digests),
            length: u64::try_from(length).unwrap_or(u64::MAX),
        };
        self.disk.masked.insert(plan.id, chunks);
        vec![Outcome::Working {
            until: around.now + MASKING,
            work,
        }]
    }

    /// Applies the challenge to the stored vector, and to no other than the one that was masked.
    pub(super) fn tag(&self, around: Around<'_>, mut job: TagJob) -> Option<Outcome> {
        let id = job.plan().id;
        let stored = self.disk.inputs.get(&id);
        // Without this tag the survivors compute the sum again.
        let input = stored.filter(|input| input_digest(input) == job.input())?;
        job.add_chunk(0, &self.words(around, input));
        let product = job.finish();
        Some(Outcome::Working {
            until: around.now + TAGGING,
            work: SiloWork::Tagged { id, product },
        })
    }

    /// Computes a part of the sum again from what the coordinator serves now.
    pub(super) fn replay(&mut self, around: Around<'_>, job: Box<ReplayJob>) -> Vec<Outcome> {
        let id = job.plan().id;
        let running = self.process.as_ref();
        if running.is_none_or(|running| running.machine.attempt() != Some(id)) {
            return Vec::new();
        }
        let outcome = around.served.and_then(|served| job.run(served).ok());
        match outcome {
            Some(outcome) => self.handle(around, SiloEvent::Replayed { id, outcome }),
            None => vec![Outcome::Working {
                until: around.now + FETCH_AGAIN,
                work: SiloWork::Replay(job),
            }],
        }
    }

    /// The words of a vector, as this silo encodes it.
    fn words(&self, around: Around<'_>, input: &[i64]) -> Vec<u64> {
        let mut words = around.study.words(input);
        if around.mutation == Mutation::MaskAnother
            && let Some(word) = words.first_mut()
        {
            *word = word.wrapping_add(1) & around.study.bits.mask();
        }
        words
    }

    /// Only bytes that hash to the burnt root leave.
    pub(super) fn upload(&self, id: AttemptId, root: &Digest, signed: Delivery) -> Option<Outcome> {
        let chunks = self.disk.masked.get(&id)?.clone();
        let input = self.disk.inputs.get(&id)?.clone();
        let digests: Vec<Digest> = chunks.iter().map(|chunk| chunk_digest(chunk)).collect();
        (upload_root(&digests) == *root).then_some(Outcome::Uploaded {
            id,
            input,
            chunks,
            signed,
        })
    }

    pub(super) fn erase_vectors(&mut self) {
        let attempt = self
            .process
            .as_ref()
            .and_then(|process| process.machine.attempt());
        self.disk.keep_only_vectors(attempt);
    }

    /// The next time of the grid that runs from the arrival of Open.
    pub(super) fn grid_time(&self, now: u64) -> u64 {
        let opened = self.process.as_ref().map_or(now, |process| process.opened);
        let grid = u64::from(READY_GRID_MILLISECONDS);
        opened + (now.saturating_sub(opened) / grid + 1) * grid
    }
}

/// How long local work takes, in milliseconds.
const TRAINING: u64 = 30;
const MASKING: u64 = 10;
const TAGGING: u64 = 10;
pub(super) const FETCHING: u64 = 20;
/// Milliseconds until a fetch that failed is tried again.
const FETCH_AGAIN: u64 = 200;
