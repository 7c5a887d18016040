// SPDX-License-Identifier: Apache-2.0
//! One silo's side of a measured round: the real machine, a vector that is made chunk by chunk.

use super::accounts::{Step, Steps};
use super::coordinator::ToCoordinator;
use super::founding::Founding;
use super::inputs::Inputs;
use super::spool::{Layout, sum_path, upload_path};
use anyhow::{Context, bail};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_protocol::{
    Delivery, MaskJob, SiloEffect, SiloEvent, SiloMachine, SiloName, SumChunks, TagJob,
    chunk_digest, upload_root,
};
use consilium_wire::v1::{self, coordinator_frame, silo_frame};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

pub(super) struct SiloSide {
    at: usize,
    name: SiloName,
    machine: Option<SiloMachine>,
    random: InsecureSeededRandom,
    account: Account,
}

/// What a silo spent.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) steps: Steps,
    /// Bytes of gRPC messages, each with its five bytes of framing.
    pub(super) up: u64,
    pub(super) down: u64,
    /// Of those sent, the bytes that carried the masked vector.
    pub(super) vector: u64,
    /// Whether it verified a release.
    pub(super) finished: bool,
}

/// What all silos of a process share.
pub(super) struct SiloWorld<'a> {
    pub(super) founding: &'a Founding,
    pub(super) folder: &'a Path,
    inputs: Inputs,
}

impl<'a> SiloWorld<'a> {
    pub(super) fn new(founding: &'a Founding, folder: &'a Path) -> Self {
        let clamp = founding.plan.vector.clamp;
        Self {
            founding,
            folder,
            inputs: Inputs::new(founding.size.seed, clamp, founding.bits),
        }
    }

    pub(super) fn inputs(&self) -> &Inputs {
        &self.inputs
    }
}

impl SiloSide {
    pub(super) fn new(world: &SiloWorld<'_>, at: usize) -> anyhow::Result<Self> {
        let (name, _) = world.founding.silos.get(at).context("no such silo")?;
        let number = u64::try_from(at)?;
        let seed = world.founding.size.seed.wrapping_mul(1_000_003);
        let mut random = InsecureSeededRandom::from_seed(seed.wrapping_add(number));
        Ok(Self {
            at,
            name: name.clone(),
            machine: Some(SiloMachine::new(world.inputs.digest(at))),
            random: InsecureSeededRandom::from_bytes(*random.secret32().expose()),
            account: Account::default(),
        })
    }

    pub(super) fn account(&self) -> Account {
        self.account
    }

    /// Takes a message of the coordinator and does all that it asks for.
    pub(super) fn take(
        &mut self,
        world: &SiloWorld<'_>,
        delivery: Delivery,
    ) -> anyhow::Result<Vec<ToCoordinator>> {
        let mut told = Vec::new();
        if self.machine.is_none() {
            return Ok(told);
        }
        let message = delivery.envelope.peek_name();
        if message == Some("CohortFreeze") && world.founding.drops(self.at) {
            self.machine = None;
            told.push(ToCoordinator::Gone(self.name.clone()));
            return Ok(told);
        }
        self.account.down += received(&delivery);
        let event = match message {
            Some("Open") => SiloEvent::Opened {
                delivery,
                expected: world.founding.plan.clone(),
            },
            Some("Release") => SiloEvent::Released {
                delivery,
                sum: self.receive_sum(world)?,
            },
            _ => SiloEvent::Delivered(delivery),
        };
        let mut events = VecDeque::from([(Step::of_message(message), event)]);
        while let Some((step, event)) = events.pop_front() {
            for effect in self.handle(world, step, event)? {
                let next = self.perform(world, effect, &mut told)?;
                events.extend(next);
            }
        }
        Ok(told)
    }

    fn handle(
        &mut self,
        world: &SiloWorld<'_>,
        step: Step,
        event: SiloEvent,
    ) -> anyhow::Result<Vec<SiloEffect>> {
        let machine = self.machine.take().context("the silo has gone")?;
        let around = world.founding.of_silo(self.at)?;
        let mut effects = Vec::new();
        let machine = self.account.steps.timed(step, || {
            machine.handle(&around, event, &mut self.random, &mut effects)
        });
        self.machine = Some(machine);
        Ok(effects)
    }

    fn perform(
        &mut self,
        world: &SiloWorld<'_>,
        effect: SiloEffect,
        told: &mut Vec<ToCoordinator>,
    ) -> anyhow::Result<Option<(Step, SiloEvent)>> {
        match effect {
            SiloEffect::Send(delivery) | SiloEffect::SendOnGrid(delivery) => {
                self.account.up += sent(&delivery);
                told.push(ToCoordinator::Delivered(self.name.clone(), delivery));
            }
            SiloEffect::Upload { signed, .. } => {
                self.account.up += sent(&signed);
                told.push(ToCoordinator::Uploaded(self.name.clone()));
                told.push(ToCoordinator::Delivered(self.name.clone(), signed));
            }
            SiloEffect::Train(plan) => {
                let input = world.inputs.digest(self.at);
                let id = plan.id;
                return Ok(Some((Step::Freezing, SiloEvent::Prepared { id, input })));
            }
            SiloEffect::Mask(job) => return Ok(Some((Step::Voting, self.mask(world, &job)?))),
            SiloEffect::Tag(job) => return Ok(Some((Step::Verification, self.tag(world, job)))),
            SiloEffect::Replay(_) => bail!("the tags did not add up"),
            SiloEffect::Finished(_) => self.account.finished = true,
            SiloEffect::EraseSecrets => {}
            SiloEffect::Aborted { fault, .. }
            | SiloEffect::Refused { fault, .. }
            | SiloEffect::Rejected(fault) => {
                bail!("`{}` refused: {fault}", self.name)
            }
        }
        Ok(None)
    }

    /// Masks the vector into this silo's file.
    fn mask(&mut self, world: &SiloWorld<'_>, job: &MaskJob) -> anyhow::Result<SiloEvent> {
        let plan = job.plan();
        let path = upload_path(world.folder, &self.name);
        let file = File::create(&path).with_context(|| format!("`{}`", path.display()))?;
        let layout = Layout::new(plan);
        let steps = &mut self.account.steps;
        let (mut digests, mut length) = (Vec::new(), 0);
        let mut words = Vec::new();
        for index in 0..plan.chunk_count() {
            words.clear();
            words.resize(plan.fields_in_chunk(index), 0);
            let first = index * u64::from(plan.chunk_fields);
            world.inputs.add_to(self.at, first, &mut words);
            let chunk = steps.timed(Step::Expansion, || job.mask_chunk(index, &words));
            digests.push(steps.timed(Step::Digests, || chunk_digest(&chunk)));
            length += u64::try_from(chunk.len())?;
            steps
                .timed(Step::Spool, || layout.write(&file, index, &chunk))
                .with_context(|| format!("`{}`", path.display()))?;
            let chunk = v1::UploadChunk::new(plan.id, index, chunk);
            self.account.vector += framed(&v1::SiloFrame {
                frame: Some(silo_frame::Frame::Chunk(chunk)),
            });
        }
        self.account.up += self.account.vector;
        let root = steps.timed(Step::Digests, || upload_root(&digests));
        let id = plan.id;
        // The digests go ahead of the chunks. Progress is said of groups of chunks: at most once for each.
        self.account.up += 32 * plan.chunk_count();
        for held in 1..=plan.chunk_count() {
            let progress = v1::UploadProgress::new(id, root, held);
            self.account.down += framed(&v1::CoordinatorFrame {
                frame: Some(coordinator_frame::Frame::UploadProgress(progress)),
            });
        }
        Ok(SiloEvent::Masked { id, root, length })
    }

    /// Takes the vector into the challenge's inner product.
    fn tag(&mut self, world: &SiloWorld<'_>, mut job: TagJob) -> SiloEvent {
        let plan = &world.founding.plan;
        let mut words = Vec::new();
        for index in 0..plan.chunk_count() {
            words.clear();
            words.resize(plan.fields_in_chunk(index), 0);
            let first = index * u64::from(plan.chunk_fields);
            world.inputs.add_to(self.at, first, &mut words);
            self.account
                .steps
                .timed(Step::Verification, || job.add_chunk(index, &words));
        }
        let (id, product) = (plan.id, job.finish());
        SiloEvent::Tagged { id, product }
    }

    /// Reads the sum that comes before a release. The file is here what the network is elsewhere, and is not counted.
    fn receive_sum(&mut self, world: &SiloWorld<'_>) -> anyhow::Result<SumChunks> {
        let plan = &world.founding.plan;
        let layout = Layout::new(plan);
        let file = File::open(sum_path(world.folder)).context("there is no sum")?;
        let mut chunks = Vec::new();
        for index in 0..plan.chunk_count() {
            let chunk = layout.read(&file, index).context("the sum is short")?;
            let part = v1::ReleaseChunk::new(plan.id, index, plan.chunk_count(), chunk);
            let frame = coordinator_frame::Frame::ReleaseChunk(part);
            let frame = v1::CoordinatorFrame { frame: Some(frame) };
            self.account.down += framed(&frame);
            if let Some(coordinator_frame::Frame::ReleaseChunk(part)) = frame.frame {
                chunks.push(part.data);
            }
        }
        Ok(chunks.into())
    }
}

/// The length of a silo's message on the wire.
fn sent(delivery: &Delivery) -> u64 {
    let message = v1::ProtocolMessage::new(&study_id(), delivery.clone());
    framed(&v1::SiloFrame {
        frame: Some(silo_frame::Frame::Protocol(message)),
    })
}

/// The length of a coordinator's message on the wire.
fn received(delivery: &Delivery) -> u64 {
    let message = v1::ProtocolMessage::new(&study_id(), delivery.clone());
    framed(&v1::CoordinatorFrame {
        frame: Some(coordinator_frame::Frame::Protocol(message)),
    })
}

/// A gRPC message: a flag and a length of four bytes, then its encoding.
fn framed(message: &impl prost::Message) -> u64 {
    5 + u64::try_from(message.encoded_len()).unwrap_or(u64::MAX)
}

/// As long as every study's.
fn study_id() -> String {
    "0".repeat(64)
}
