// SPDX-License-Identifier: Apache-2.0
//! The coordinator: its disk, and while it runs a process with the real machine.
//!
//! For every event the machine handles it, its state and what it asks for are stored as one, the records are
//! written to the log, and only then is anything sent. The process can die at each of these places.

mod accepting;
mod acting;
mod store;

use super::faults::{CrashPlace, Mutation};
use super::network::Frame;
use super::shared_log::{Entry, SharedLog, proof};
use super::silo::Trap;
use super::study::{DEADLINES, EPOCH, Study};
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{
    AttemptId, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings,
    Delivery, Fault, InnerProduct, RoundPlan, SiloName, upload_root,
};
use std::collections::{BTreeMap, BTreeSet};
pub(crate) use store::Store;
use store::{Chunks, Pending, Reveals, Served, Spool};

pub(crate) struct Coordinator {
    key: SigningKey,
    pub(crate) store: Store,
    /// A new state of the store that was half written.
    torn: Option<Vec<u8>>,
    spool: Chunks,
    /// What is kept of the deals of the attempt in flight.
    deals: BTreeMap<SiloName, Vec<Vec<u8>>>,
    /// What is kept of the reveals of the attempt in flight.
    reveals: Reveals,
    /// Where the log holds each silo's starts.
    starts: BTreeMap<SiloName, Vec<u64>>,
    pub(crate) process: Option<Process>,
    started: u64,
    pub(crate) trap: Option<Trap>,
}

/// What dies with the process.
pub(crate) struct Process {
    pub(crate) number: u64,
    machine: Option<CoordinatorMachine>,
    pending: Pending,
    gone: BTreeSet<SiloName>,
}

/// What the coordinator is lent.
pub(crate) struct Around<'a> {
    pub(crate) study: &'a Study,
    pub(crate) log: &'a mut SharedLog,
    pub(crate) now: u64,
    pub(crate) mutation: Mutation,
}

/// Work that takes time.
#[derive(Debug)]
pub(crate) enum CoordinatorWork {
    /// The next attempt is due.
    Open,
    /// The unmasking has ended.
    Summed { sum: Vec<u64>, digest: Digest },
    /// The uploads give no sum.
    Unusable { reason: String },
    /// The commitment is logged and cosigned.
    Committed { place: u64 },
    /// The challenge was applied to the sum.
    Checked { product: Box<InnerProduct> },
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    Sent {
        to: SiloName,
        delivery: Delivery,
        sum: Option<Vec<u64>>,
        /// How long the log was when this was sent.
        logged: usize,
    },
    Working {
        until: u64,
        work: CoordinatorWork,
    },
    Opened(AttemptId),
    Released {
        plan: RoundPlan,
        survivors: Vec<SiloName>,
        sum: Vec<u64>,
    },
    Abandoned {
        id: AttemptId,
        reason: String,
        phase: &'static str,
        charged: bool,
    },
    Accused(Vec<SiloName>),
    Rejected {
        from: SiloName,
        fault: Fault,
    },
    /// A half-written store was taken for a whole one.
    TornStoreRead,
    /// What the stored state sends is not on the disk.
    Missing(SiloName),
    Died(CrashPlace),
}

impl Coordinator {
    pub(crate) fn new(key: SigningKey, model: Digest) -> Self {
        Self {
            key,
            store: Store::new(model),
            torn: None,
            spool: BTreeMap::new(),
            deals: BTreeMap::new(),
            reveals: Reveals::default(),
            starts: BTreeMap::new(),
            process: None,
            started: 0,
            trap: None,
        }
    }

    /// The attempt in flight.
    pub(crate) fn plan(&self) -> Option<&RoundPlan> {
        let machine = self.process.as_ref()?.machine.as_ref()?;
        Some(machine.plan())
    }

    /// What is served to a silo that computes the sum again.
    pub(crate) fn served(&self, study: &Study) -> Option<Served<'_>> {
        let process = self.process.as_ref()?;
        let sum = process.pending.sum.as_ref()?;
        Some(Served {
            uploads: Spool {
                chunks: &self.spool,
                id: self.plan()?.id,
            },
            sum: packing::pack(study.bits, sum),
        })
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.process.as_ref()?.machine.as_ref()?.deadline()
    }

    /// Starts a process from what the disk holds. `absent` are the silos without a session.
    pub(crate) fn start(&mut self, around: &mut Around<'_>, absent: &[SiloName]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.started += 1;
        if let Some(torn) = self.torn.take()
            && CoordinatorMachine::restore(&torn, around.now, 0).is_ok()
        {
            outcomes.push(Outcome::TornStoreRead);
        }
        let mut process = Process {
            number: self.started,
            machine: None,
            pending: Pending::default(),
            gone: absent.iter().cloned().collect(),
        };
        let Some(stored) = self.store.attempt.clone() else {
            self.process = Some(process);
            outcomes.push(open_at(around.now + PAUSE));
            return outcomes;
        };
        let grace = DEADLINES.exchange_milliseconds;
        // A state that was written whole and cannot be read is the simulator's fault, and shows as a standstill.
        let Ok(machine) = CoordinatorMachine::restore(&stored.snapshot, around.now, grace) else {
            return outcomes;
        };
        if machine.phase_name() == "revealing" && machine.answered() > self.reveals.0.len() {
            let names = around.study.names.iter();
            let missing = names.filter(|silo| !self.reveals.0.contains_key(*silo));
            outcomes.extend(missing.cloned().map(Outcome::Missing));
        }
        let mut effects = Vec::new();
        let resumed = machine.resume(&mut effects);
        let id = machine.plan().id;
        process.machine = Some(machine);
        process.pending = stored.pending;
        self.process = Some(process);
        self.write_records(around);
        if self.conclude(around, &mut outcomes) {
            return outcomes;
        }
        if let Err(fault) = resumed {
            let reason = fault.to_string();
            outcomes.extend(self.handle(around, CoordinatorEvent::Cancel { reason }));
            return outcomes;
        }
        self.carry_out(around, effects, None, &mut outcomes);
        let spooled: BTreeSet<SiloName> = self
            .spool
            .keys()
            .filter(|(attempt, _, _)| *attempt == id)
            .map(|(_, silo, _)| silo.clone())
            .collect();
        for silo in spooled {
            outcomes.extend(self.count_upload(around, id, silo));
        }
        for silo in absent {
            outcomes.extend(self.handle(around, CoordinatorEvent::Gone(silo.clone())));
        }
        outcomes
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// A silo's session is open: it gets what it missed, and everything of the attempt in flight.
    pub(crate) fn returned(
        &mut self,
        around: &mut Around<'_>,
        silo: &SiloName,
        nonce: Digest,
        newest: Option<AttemptId>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if self.process.is_none() {
            return outcomes;
        }
        let place = around.log.append(Entry::Started {
            silo: silo.clone(),
            nonce,
        });
        let starts = self.starts.entry(silo.clone()).or_default();
        if starts.last() != Some(&place) {
            starts.push(place);
        }
        self.tell_again(around, silo, newest, &mut outcomes);
        let back = CoordinatorEvent::Back(silo.clone());
        let process = self.process.as_mut();
        if process.is_some_and(|process| process.gone.remove(silo)) {
            outcomes.extend(self.handle(around, back));
        }
        let proofs = self.open_proofs(around.mutation, silo);
        let process = self.process.as_ref();
        let attempt =
            process.and_then(|process| Some((process.machine.as_ref()?, &process.pending)));
        if let Some((machine, pending)) = attempt {
            for outgoing in machine.outbox(silo) {
                let Ok(mut delivery) = outgoing.delivery(&self.deals) else {
                    outcomes.push(Outcome::Missing(silo.clone()));
                    continue;
                };
                if is(&delivery, "Open") {
                    delivery.attachments.clone_from(&proofs);
                }
                outcomes.push(Outcome::Sent {
                    to: silo.clone(),
                    sum: pending.sum.clone().filter(|_| is(&delivery, "Release")),
                    delivery,
                    logged: around.log.len(),
                });
            }
        }
        outcomes
    }

    /// The coordinator is told that a silo is gone.
    pub(crate) fn lost(&mut self, around: &mut Around<'_>, silo: &SiloName) -> Vec<Outcome> {
        let process = self.process.as_mut();
        if process.is_some_and(|process| process.gone.insert(silo.clone())) {
            return self.handle(around, CoordinatorEvent::Gone(silo.clone()));
        }
        Vec::new()
    }

    /// The coordinator is told that a silo is back, whatever it sends.
    pub(crate) fn found_again(&mut self, around: &mut Around<'_>, silo: &SiloName) -> Vec<Outcome> {
        if let Some(process) = &mut self.process {
            process.gone.remove(silo);
        }
        self.handle(around, CoordinatorEvent::Back(silo.clone()))
    }

    /// Something of a silo has arrived.
    pub(crate) fn receive(
        &mut self,
        around: &mut Around<'_>,
        from: SiloName,
        frame: Frame,
    ) -> Vec<Outcome> {
        let current = self.plan().map(|plan| plan.id);
        match frame {
            Frame::Message(delivery) if delivery.envelope.peek_attempt() == current => {
                self.handle(around, CoordinatorEvent::Delivered { from, delivery })
            }
            Frame::Chunk {
                id, index, bytes, ..
            } if Some(id) == current => {
                self.spool.insert((id, from.clone(), index), bytes);
                self.count_upload(around, id, from)
            }
            Frame::Accepted { id, sum } => self.take_acceptance(from, id, sum),
            Frame::Message(_) | Frame::Chunk { .. } => Vec::new(),
        }
    }

    /// The disk loses a silo's upload; `false` when there is none.
    pub(crate) fn spoil(&mut self, silo: &SiloName) -> bool {
        let before = self.spool.len();
        self.spool.retain(|(_, owner, _), _| owner != silo);
        self.spool.len() < before
    }

    pub(crate) fn tick(&mut self, around: &mut Around<'_>) -> Vec<Outcome> {
        self.handle(around, CoordinatorEvent::Tick)
    }

    pub(crate) fn cancel(&mut self, around: &mut Around<'_>) -> Vec<Outcome> {
        let reason = "somebody ended it".to_owned();
        self.handle(around, CoordinatorEvent::Cancel { reason })
    }

    /// Own work has ended. `absent` are the silos without a session.
    pub(crate) fn work_ended(
        &mut self,
        around: &mut Around<'_>,
        work: CoordinatorWork,
        absent: &[SiloName],
    ) -> Vec<Outcome> {
        match work {
            CoordinatorWork::Open => self.open(around, absent),
            CoordinatorWork::Summed { sum, digest } => {
                if let Some(process) = &mut self.process {
                    process.pending.sum = Some(sum);
                }
                self.handle(around, CoordinatorEvent::Summed { digest })
            }
            CoordinatorWork::Unusable { reason } => {
                self.handle(around, CoordinatorEvent::Cancel { reason })
            }
            CoordinatorWork::Committed { place } => {
                let proof = proof(place);
                self.handle(around, CoordinatorEvent::SumLogged { proof })
            }
            CoordinatorWork::Checked { product } => {
                self.handle(around, CoordinatorEvent::Checked { product: *product })
            }
        }
    }

    fn open(&mut self, around: &mut Around<'_>, absent: &[SiloName]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        if self.plan().is_some() {
            return outcomes;
        }
        if around.study.names.len() - absent.len() < around.study.fewest() {
            outcomes.push(open_at(around.now + PATIENCE));
            return outcomes;
        }
        if !self.is_accepted(around, absent, &mut outcomes) {
            outcomes.push(open_at(around.now + PATIENCE));
            return outcomes;
        }
        let id = self.store.next(EPOCH);
        let plan = match around.mutation {
            Mutation::WeakerPlan => around.study.weaker_plan(id, self.store.model),
            _ => around.study.plan(id, self.store.model),
        };
        let silos = around.study.names.iter();
        let proofs = silos
            .map(|silo| (silo.clone(), self.open_proofs(around.mutation, silo)))
            .collect();
        let mut effects = Vec::new();
        let machine = CoordinatorMachine::open(
            &surroundings(around.study, &self.key),
            plan,
            proofs,
            around.now,
            &mut effects,
        );
        let Some(process) = &mut self.process else {
            return outcomes;
        };
        process.machine = Some(machine);
        process.pending = Pending::default();
        process.gone = absent.iter().cloned().collect();
        self.store.last = Some(id);
        outcomes.push(Outcome::Opened(id));
        let place = self.trapped(&effects, None);
        self.carry_out(around, effects, place, &mut outcomes);
        for silo in absent {
            outcomes.extend(self.handle(around, CoordinatorEvent::Gone(silo.clone())));
        }
        outcomes
    }

    fn count_upload(
        &mut self,
        around: &mut Around<'_>,
        id: AttemptId,
        from: SiloName,
    ) -> Vec<Outcome> {
        let chunks = self
            .spool
            .iter()
            .filter(|((attempt, owner, _), _)| *attempt == id && *owner == from);
        let (mut digests, mut length) = (Vec::new(), 0);
        for (_, chunk) in chunks {
            digests.push(consilium_protocol::chunk_digest(chunk));
            length += chunk.len();
        }
        let root = upload_root(&digests);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.handle(around, CoordinatorEvent::Uploaded { from, root, length })
    }

    /// The attachments of an Open: where the log holds the silo's start, and the newest release.
    fn open_proofs(&self, mutation: Mutation, silo: &SiloName) -> Vec<Vec<u8>> {
        let starts = self.starts.get(silo);
        let start = starts.and_then(|starts| match mutation {
            Mutation::StaleStartProof => starts.first(),
            _ => starts.last(),
        });
        let start = start.map(|place| proof(*place)).unwrap_or_default();
        let release = self
            .store
            .releases
            .last()
            .map(|release| proof(release.place));
        std::iter::once(start).chain(release).collect()
    }

    /// One step: handle, persist, log, act.
    fn handle(&mut self, around: &mut Around<'_>, event: CoordinatorEvent) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let Some(process) = &mut self.process else {
            return outcomes;
        };
        let Some(machine) = process.machine.take() else {
            return outcomes;
        };
        let taken = match &event {
            CoordinatorEvent::Delivered { delivery, .. } => delivery.envelope.peek_name(),
            _ => None,
        };
        let mut effects = Vec::new();
        let surroundings = surroundings(around.study, &self.key);
        process.machine = Some(machine.handle(&surroundings, around.now, event, &mut effects));
        process.pending.records.clear();
        let place = self.trapped(&effects, taken);
        self.carry_out(around, effects, place, &mut outcomes);
        outcomes
    }

    /// Where this step dies; `taken` is the message that it takes in.
    fn trapped(
        &self,
        effects: &[CoordinatorEffect],
        taken: Option<&'static str>,
    ) -> Option<CrashPlace> {
        let Trap { place, message } = self.trap?;
        let keeps = effects.iter().any(|effect| {
            matches!(
                effect,
                CoordinatorEffect::KeepDeal { .. } | CoordinatorEffect::KeepReveal { .. }
            )
        });
        if matches!(place, CrashPlace::TornKept | CrashPlace::KeptOnly) {
            let named = message.is_none() || message == taken;
            return (keeps && named).then_some(place);
        }
        let mut does = effects.iter().filter_map(name_of);
        let fires = match message {
            Some(message) => taken == Some(message) || does.any(|name| name == message),
            None => does.next().is_some(),
        };
        fires.then_some(place)
    }
}

/// The message that an effect sends, or the work that it begins.
fn name_of(effect: &CoordinatorEffect) -> Option<&'static str> {
    match effect {
        CoordinatorEffect::Send { outgoing, .. } => outgoing.envelope.peek_name(),
        CoordinatorEffect::Unmask(_) => Some("Unmask"),
        CoordinatorEffect::CommitSum(_) => Some("CommitSum"),
        CoordinatorEffect::CheckSum(_) => Some("CheckSum"),
        CoordinatorEffect::KeepDeal { .. }
        | CoordinatorEffect::KeepReveal { .. }
        | CoordinatorEffect::Accuse(_)
        | CoordinatorEffect::Record { .. }
        | CoordinatorEffect::Released { .. }
        | CoordinatorEffect::Abandoned { .. }
        | CoordinatorEffect::Rejected { .. } => None,
    }
}

fn surroundings<'a>(study: &'a Study, key: &'a SigningKey) -> CoordinatorSurroundings<'a> {
    CoordinatorSurroundings {
        membership: &study.membership,
        signing_key: key,
        deadlines: DEADLINES,
    }
}

fn open_at(until: u64) -> Outcome {
    Outcome::Working {
        until,
        work: CoordinatorWork::Open,
    }
}

fn is(delivery: &Delivery, message: &str) -> bool {
    delivery.envelope.peek_name() == Some(message)
}

/// Milliseconds between two attempts.
const PAUSE: u64 = 100;
/// Milliseconds until the silos are counted again.
const PATIENCE: u64 = 300;
