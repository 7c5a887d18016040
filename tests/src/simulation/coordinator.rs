// SPDX-License-Identifier: Apache-2.0
//! The coordinator: its disk, and while it runs a process with the real machine.
//!
//! For every event the machine handles it, its state and what it asks for are stored as one, the records are
//! written to the log, and only then is anything sent. The process can die at each of these places.

mod store;

use super::faults::{CrashPlace, Mutation};
use super::network::Frame;
use super::shared_log::{Entry, SharedLog, proof};
use super::silo::Trap;
use super::study::{DEADLINES, EPOCH, Study, next_model};
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{
    AttemptId, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings,
    Delivery, Fault, InnerProduct, RecordKind, RoundPlan, SiloName, UnmaskFault, UnmaskJob,
    upload_root,
};
use std::collections::{BTreeMap, BTreeSet};
pub(crate) use store::Store;
use store::{Chunks, Conclusion, Pending, Served, Spool, StoredAttempt, StoredRelease};

pub(crate) struct Coordinator {
    key: SigningKey,
    pub(crate) store: Store,
    /// A new state of the store that was half written.
    torn: Option<Vec<u8>>,
    spool: Chunks,
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
    Died(CrashPlace),
}

impl Coordinator {
    pub(crate) fn new(key: SigningKey, model: Digest) -> Self {
        Self {
            key,
            store: Store::new(model),
            torn: None,
            spool: BTreeMap::new(),
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
        let missed = self
            .store
            .releases
            .iter()
            .filter(|release| Some(release.id.order()) > newest.map(|id| id.order()));
        for release in missed {
            outcomes.push(Outcome::Sent {
                to: silo.clone(),
                delivery: release.delivery.clone(),
                sum: Some(release.sum.clone()),
                logged: around.log.len(),
            });
        }
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
            for delivery in machine.outbox(silo) {
                let mut delivery = delivery.clone();
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
                let silos = around.study.names.iter();
                let proofs = silos.map(|silo| (silo.clone(), proof(place))).collect();
                self.handle(around, CoordinatorEvent::SumLogged { proofs })
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
        let id = self.store.next(EPOCH);
        let plan = around.study.plan(id, self.store.model);
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
        let place = self.trapped(&effects);
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
        let mut effects = Vec::new();
        let surroundings = surroundings(around.study, &self.key);
        process.machine = Some(machine.handle(&surroundings, around.now, event, &mut effects));
        process.pending.records.clear();
        let place = self.trapped(&effects);
        self.carry_out(around, effects, place, &mut outcomes);
        outcomes
    }

    fn trapped(&self, effects: &[CoordinatorEffect]) -> Option<CrashPlace> {
        let Trap { place, message } = self.trap?;
        let sends = |effect: &CoordinatorEffect| match effect {
            CoordinatorEffect::Send { delivery, .. } => {
                message.is_none_or(|message| is(delivery, message))
            }
            CoordinatorEffect::CommitSum(_)
            | CoordinatorEffect::CheckSum(_)
            | CoordinatorEffect::Unmask(_) => message.is_none(),
            CoordinatorEffect::Record { .. }
            | CoordinatorEffect::Released { .. }
            | CoordinatorEffect::Abandoned { .. }
            | CoordinatorEffect::Rejected { .. } => false,
        };
        effects.iter().any(sends).then_some(place)
    }

    fn carry_out(
        &mut self,
        around: &mut Around<'_>,
        effects: Vec<CoordinatorEffect>,
        place: Option<CrashPlace>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(machine) = &process.machine else {
            return;
        };
        let id = machine.plan().id;
        let mut sends = Vec::new();
        let mut job = None;
        let mut commits = None;
        let mut check = None;
        for effect in effects {
            match effect {
                CoordinatorEffect::Send { to, delivery } => sends.push((to, delivery)),
                CoordinatorEffect::Record {
                    kind,
                    digest,
                    silos,
                } => {
                    if kind == RecordKind::Misbehaviour {
                        outcomes.push(Outcome::Accused(silos.clone()));
                    }
                    process.pending.records.push(Entry::Record {
                        id,
                        kind,
                        digest,
                        silos,
                    });
                }
                CoordinatorEffect::Unmask(unmask) => job = Some(unmask),
                CoordinatorEffect::CheckSum(product) => check = Some(product),
                CoordinatorEffect::CommitSum(digest) => {
                    let entry = Entry::SumCommitted { id, digest };
                    process.pending.records.push(entry.clone());
                    commits = Some(entry);
                }
                CoordinatorEffect::Released { survivors, .. } => {
                    process.pending.conclusion = Some(Conclusion::Released { survivors });
                }
                CoordinatorEffect::Abandoned {
                    reason,
                    phase,
                    charged,
                } => {
                    process.pending.conclusion = Some(Conclusion::Abandoned {
                        reason,
                        phase,
                        charged,
                    });
                }
                CoordinatorEffect::Rejected { from, fault } => {
                    outcomes.push(Outcome::Rejected { from, fault });
                }
            }
        }
        let snapshot = machine.snapshot();
        match place {
            Some(
                place @ (CrashPlace::BeforePersist
                | CrashPlace::WriteFails
                | CrashPlace::TornSecrets
                | CrashPlace::SecretsOnly),
            ) => return self.die(place, outcomes),
            Some(place @ CrashPlace::TornJournal) => {
                let half = snapshot.len() / 2;
                self.torn = Some(snapshot[..half].to_vec());
                return self.die(place, outcomes);
            }
            Some(
                CrashPlace::JournalOnly
                | CrashPlace::Persisted
                | CrashPlace::Recorded
                | CrashPlace::Sent(_),
            )
            | None => {}
        }
        let pending = process.pending.clone();
        self.store.attempt = Some(StoredAttempt { snapshot, pending });
        if let Some(place @ (CrashPlace::Persisted | CrashPlace::JournalOnly)) = place {
            return self.die(place, outcomes);
        }
        let early = around.log.len();
        self.write_records(around);
        if place == Some(CrashPlace::Recorded) {
            return self.die(CrashPlace::Recorded, outcomes);
        }
        let logged = match around.mutation {
            Mutation::SendBeforeRecord => early,
            _ => around.log.len(),
        };
        let sum = self
            .process
            .as_ref()
            .and_then(|process| process.pending.sum.clone());
        for (count, (to, delivery)) in (0..).zip(sends) {
            if place == Some(CrashPlace::Sent(count)) {
                break;
            }
            outcomes.push(Outcome::Sent {
                to,
                sum: sum.clone().filter(|_| is(&delivery, "Release")),
                delivery,
                logged,
            });
        }
        if let Some(place) = place {
            return self.die(place, outcomes);
        }
        if let Some(job) = job {
            outcomes.push(self.unmask(around, &job));
        }
        if let Some((mut product, sum)) = check.zip(sum) {
            product.add_chunk(0, &sum);
            outcomes.push(Outcome::Working {
                until: around.now + CHECKING,
                work: CoordinatorWork::Checked {
                    product: Box::new(product),
                },
            });
        }
        if let Some(entry) = commits {
            let place = around.log.append(entry);
            outcomes.push(Outcome::Working {
                until: around.now + COSIGNING,
                work: CoordinatorWork::Committed { place },
            });
        }
        self.conclude(around, outcomes);
    }

    fn die(&mut self, place: CrashPlace, outcomes: &mut Vec<Outcome>) {
        self.trap = None;
        self.process = None;
        outcomes.push(Outcome::Died(place));
    }

    /// Writes the stored records; the log keeps one of each.
    fn write_records(&mut self, around: &mut Around<'_>) {
        let Some(process) = &mut self.process else {
            return;
        };
        for entry in process.pending.records.clone() {
            let is_release = matches!(
                entry,
                Entry::Record {
                    kind: RecordKind::Released,
                    ..
                }
            );
            let place = around.log.append(entry);
            if is_release {
                process.pending.release = Some(place);
            }
        }
    }

    fn unmask(&self, around: &Around<'_>, job: &UnmaskJob) -> Outcome {
        let spool = Spool {
            chunks: &self.spool,
            id: job.plan().id,
        };
        let mut sum = Vec::new();
        let recovered = job.run(&spool, &mut sum);
        let digest = match sum.first_mut() {
            Some(word) if around.mutation == Mutation::OneUnitMore => {
                *word = word.wrapping_add(1) & around.study.bits.mask();
                recovered.and_then(|_| job.digest(&sum).map_err(|_| UnmaskFault::OtherSum))
            }
            Some(_) | None => recovered,
        };
        let work = match digest {
            Ok(digest) => CoordinatorWork::Summed { sum, digest },
            Err(fault) => CoordinatorWork::Unusable {
                reason: fault.to_string(),
            },
        };
        Outcome::Working {
            until: around.now + UNMASKING,
            work,
        }
    }

    /// Ends the attempt in the store if it has ended; says whether it had.
    fn conclude(&mut self, around: &Around<'_>, outcomes: &mut Vec<Outcome>) -> bool {
        let Some(process) = &mut self.process else {
            return false;
        };
        let Some((machine, conclusion)) = process
            .machine
            .as_ref()
            .zip(process.pending.conclusion.clone())
        else {
            return false;
        };
        let plan = machine.plan().clone();
        match conclusion {
            Conclusion::Released { survivors } => {
                let sent = survivors.first().map(|silo| machine.outbox(silo));
                let delivery = sent.and_then(|sent| sent.iter().rfind(|sent| is(sent, "Release")));
                let sum = process.pending.sum.clone().unwrap_or_default();
                if let Some((delivery, place)) = delivery.zip(process.pending.release) {
                    let release = StoredRelease {
                        id: plan.id,
                        delivery: delivery.clone(),
                        sum: sum.clone(),
                        place,
                    };
                    self.store.releases.push(release);
                }
                let committed =
                    around
                        .log
                        .newest_first(around.log.len())
                        .find_map(|entry| match entry {
                            Entry::SumCommitted { id, digest } if *id == plan.id => Some(*digest),
                            Entry::SumCommitted { .. }
                            | Entry::Record { .. }
                            | Entry::Started { .. } => None,
                        });
                if let Some(digest) = committed {
                    self.store.model = next_model(&self.store.model, &digest);
                }
                self.store.round = plan.id.round;
                outcomes.push(Outcome::Released {
                    plan: plan.clone(),
                    survivors,
                    sum,
                });
            }
            Conclusion::Abandoned {
                reason,
                phase,
                charged,
            } => outcomes.push(Outcome::Abandoned {
                id: plan.id,
                reason,
                phase,
                charged,
            }),
        }
        process.machine = None;
        process.pending = Pending::default();
        self.store.attempt = None;
        self.spool.retain(|(id, _, _), _| *id != plan.id);
        outcomes.push(open_at(around.now + PAUSE));
        true
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
const UNMASKING: u64 = 10;
const COSIGNING: u64 = 15;
const CHECKING: u64 = 5;
