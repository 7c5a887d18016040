// SPDX-License-Identifier: Apache-2.0
//! The coordinator's side of a measured round: the real machine, files for a spool.

use super::accounts::{Step, Steps};
use super::founding::Founding;
use super::spool::{Deals, Layout, SumFile, Uploads, keep_reveal, sum_path, upload_path};
use anyhow::{Context, bail};
use consilium_crypto::packing;
use consilium_protocol::{
    CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, Delivery, InnerProduct, SiloName,
    UnmaskJob, chunk_digest, upload_root,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the silos' side tells the coordinator's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToCoordinator {
    /// A message of a silo.
    Delivered(SiloName, Delivery),
    /// All chunks of a silo's vector lie in its file.
    Uploaded(SiloName),
    /// A silo has vanished.
    Gone(SiloName),
}

/// Takes a message for a silo.
pub(super) type Send<'a> = dyn FnMut(SiloName, Delivery) -> anyhow::Result<()> + 'a;

pub(super) struct CoordinatorSide {
    founding: Founding,
    machine: Option<CoordinatorMachine>,
    folder: PathBuf,
    uploads: Uploads,
    deals: Deals,
    steps: Steps,
    survivors: Option<Vec<SiloName>>,
}

impl CoordinatorSide {
    /// Opens the attempt.
    pub(super) fn open(
        founding: Founding,
        folder: &Path,
        send: &mut Send<'_>,
    ) -> anyhow::Result<Self> {
        let mut effects = Vec::new();
        let mut steps = Steps::default();
        let plan = founding.plan.clone();
        let machine = steps.timed(Step::KeyAgreement, || {
            let surroundings = founding.of_coordinator();
            CoordinatorMachine::open(&surroundings, plan, BTreeMap::new(), 0, &mut effects)
        });
        let mut side = Self {
            uploads: Uploads::new(folder, &founding.plan),
            deals: Deals::create(folder)?,
            founding,
            machine: Some(machine),
            folder: folder.to_owned(),
            steps,
            survivors: None,
        };
        side.perform(effects, send)?;
        Ok(side)
    }

    pub(super) fn take(&mut self, told: ToCoordinator, send: &mut Send<'_>) -> anyhow::Result<()> {
        let (step, event) = match told {
            ToCoordinator::Delivered(from, delivery) => (
                Step::of_message(delivery.envelope.peek_name()),
                CoordinatorEvent::Delivered { from, delivery },
            ),
            ToCoordinator::Uploaded(from) => (Step::Voting, self.uploaded(from)?),
            ToCoordinator::Gone(silo) => (Step::Voting, CoordinatorEvent::Gone(silo)),
        };
        self.handle(step, event, send)
    }

    /// Whose inputs the released sum holds, once it is released.
    pub(super) fn survivors(&self) -> Option<&[SiloName]> {
        self.survivors.as_deref()
    }

    /// What the machine is doing.
    pub(super) fn phase(&self) -> &'static str {
        self.machine
            .as_ref()
            .map_or("nothing", CoordinatorMachine::phase_name)
    }

    pub(super) fn steps(&self) -> Steps {
        self.steps
    }

    fn handle(
        &mut self,
        step: Step,
        event: CoordinatorEvent,
        send: &mut Send<'_>,
    ) -> anyhow::Result<()> {
        let machine = self.machine.take().context("the coordinator has ended")?;
        let mut effects = Vec::new();
        let machine = self.steps.timed(step, || {
            machine.handle(&self.founding.of_coordinator(), 0, event, &mut effects)
        });
        self.machine = Some(machine);
        self.perform(effects, send)
    }

    fn perform(
        &mut self,
        effects: Vec<CoordinatorEffect>,
        send: &mut Send<'_>,
    ) -> anyhow::Result<()> {
        let mut events = VecDeque::new();
        for effect in effects {
            match effect {
                CoordinatorEffect::KeepDeal {
                    dealer,
                    ciphertexts,
                } => self
                    .steps
                    .timed(Step::Spool, || self.deals.keep(dealer, &ciphertexts))?,
                CoordinatorEffect::KeepReveal { silo, reveal } => self
                    .steps
                    .timed(Step::Spool, || keep_reveal(&self.folder, &silo, &reveal))?,
                CoordinatorEffect::Accuse(accusation) => bail!("{}", accusation.fault),
                CoordinatorEffect::Send { to, outgoing } => {
                    let deals = &self.deals;
                    let delivery = self.steps.timed(Step::Spool, || outgoing.delivery(deals))?;
                    send(to, delivery)?;
                }
                CoordinatorEffect::Record { .. } => {}
                CoordinatorEffect::Unmask(job) => events.push_back(self.unmask(&job)?),
                CoordinatorEffect::CommitSum(_) => {
                    let proof = Vec::new();
                    events.push_back(CoordinatorEvent::SumLogged { proof });
                }
                CoordinatorEffect::CheckSum(product) => events.push_back(self.check_sum(product)?),
                CoordinatorEffect::Released { survivors, .. } => self.survivors = Some(survivors),
                CoordinatorEffect::Abandoned { reason, phase, .. } => {
                    bail!("the round was abandoned while {phase}: {reason}")
                }
                CoordinatorEffect::Rejected { from, fault } => {
                    bail!("a message of `{from}` was rejected: {fault}")
                }
            }
        }
        for event in events {
            self.handle(Step::Verification, event, send)?;
        }
        Ok(())
    }

    /// Digests what a silo uploaded, as the coordinator does on arrival.
    fn uploaded(&mut self, from: SiloName) -> anyhow::Result<CoordinatorEvent> {
        let plan = &self.founding.plan;
        let layout = Layout::new(plan);
        let path = upload_path(&self.folder, &from);
        let file = File::open(&path).with_context(|| format!("`{}`", path.display()))?;
        let (mut digests, mut length) = (Vec::new(), 0);
        for index in 0..plan.chunk_count() {
            let chunk = layout.read(&file, index).context("a chunk is missing")?;
            length += u64::try_from(chunk.len())?;
            digests.push(self.steps.timed(Step::Digests, || chunk_digest(&chunk)));
        }
        let root = self.steps.timed(Step::Digests, || upload_root(&digests));
        Ok(CoordinatorEvent::Uploaded { from, root, length })
    }

    fn unmask(&mut self, job: &UnmaskJob) -> anyhow::Result<CoordinatorEvent> {
        let mut sum = SumFile::create(&self.folder, &self.founding.plan)?;
        let digest = self
            .steps
            .timed(Step::Unmasking, || job.run(&self.uploads, &mut sum))?;
        let seconds = self.uploads.take_seconds() + sum.seconds();
        self.steps.shift(Step::Unmasking, Step::Spool, seconds);
        Ok(CoordinatorEvent::Summed { digest })
    }

    /// Takes the stored sum into the challenge's inner product.
    fn check_sum(&mut self, mut product: InnerProduct) -> anyhow::Result<CoordinatorEvent> {
        let plan = &self.founding.plan;
        let layout = Layout::new(plan);
        let file = File::open(sum_path(&self.folder)).context("there is no sum")?;
        for index in 0..plan.chunk_count() {
            let chunk = self
                .steps
                .timed(Step::Spool, || layout.read(&file, index))
                .context("the sum is short")?;
            let fields = plan.fields_in_chunk(index);
            self.steps.timed(Step::Verification, || {
                let words = packing::unpack(self.founding.bits, &chunk, fields)?;
                product.add_chunk(index, &words);
                anyhow::Ok(())
            })?;
        }
        Ok(CoordinatorEvent::Checked { product })
    }
}
