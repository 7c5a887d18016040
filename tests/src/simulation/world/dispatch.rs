// SPDX-License-Identifier: Apache-2.0
//! The next event happens to whom it concerns; what comes of it is watched and goes back into the queue.

use super::{Way, World};
use crate::simulation::coordinator;
use crate::simulation::faults::Party;
use crate::simulation::invariants::{Invariant, Violation};
use crate::simulation::network::{Event, Frame};
use crate::simulation::silo;
use consilium_protocol::{Delivery, SiloName, VerifiedBy, chunk_digest};

impl World<'_> {
    /// Lets the next event happen, unless it lies after `limit`; says whether there was one.
    pub(super) fn advance(&mut self, limit: Option<u64>) -> Result<bool, Violation> {
        let queued = self.network.next_time();
        let deadline = self.coordinator.deadline();
        let next = match (queued, deadline) {
            (None, None) => return Ok(false),
            (queued, deadline) => queued.unwrap_or(u64::MAX).min(deadline.unwrap_or(u64::MAX)),
        };
        if limit.is_some_and(|limit| next > limit) {
            return Ok(false);
        }
        if deadline.is_some_and(|deadline| queued.is_none_or(|queued| deadline < queued)) {
            self.network.advance_to(next);
            self.note("deadline");
            self.statistics.count("deadlines passed");
            self.with_coordinator(|coordinator, around| coordinator.tick(around))?;
            return Ok(true);
        }
        if let Some(event) = self.network.next_event() {
            self.happens(event)?;
        }
        Ok(true)
    }

    fn happens(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::ToSilo { to, delivery, sum } => self.reaches_silo(to, delivery, sum),
            Event::ToCoordinator { from, frame } => self.reaches_coordinator(from, frame),
            Event::Silo { at, process, work } => {
                let running = self.silos.get(at).and_then(|silo| silo.process.as_ref());
                if running.is_none_or(|running| running.number != process) {
                    return Ok(());
                }
                self.note(&format!("silo-{at} has worked"));
                self.with_silo(at, |silo, around| silo.work_ended(around, work))
            }
            Event::Coordinator { process, work } => {
                let running = self.coordinator.process.as_ref();
                if running.is_none_or(|running| running.number != process) {
                    return Ok(());
                }
                self.note("the coordinator has worked");
                let absent = self.absent();
                self.with_coordinator(|coordinator, around| {
                    coordinator.work_ended(around, work, &absent)
                })
            }
            Event::Connected(at) => self.connected(at),
            Event::Dropped(at) => {
                let name = self.study.names.get(at).cloned();
                match name.filter(|_| !self.is_connected(at)) {
                    Some(name) => {
                        self.note(&format!("{name} has dropped"));
                        self.with_coordinator(|coordinator, around| coordinator.lost(around, &name))
                    }
                    None => Ok(()),
                }
            }
        }
    }

    fn connected(&mut self, at: usize) -> Result<(), Violation> {
        let silo = self.silos.get(at).filter(|_| self.is_connected(at));
        let Some((silo, process)) = silo.and_then(|silo| Some((silo, silo.process.as_ref()?)))
        else {
            return Ok(());
        };
        let (name, nonce) = (silo.name.clone(), process.nonce);
        let newest = silo.disk.journal.progress.newest.map(|(id, _)| id);
        self.note(&format!("{name} connects"));
        self.with_coordinator(|coordinator, around| {
            coordinator.returned(around, &name, nonce, newest)
        })
    }

    fn reaches_silo(
        &mut self,
        to: usize,
        delivery: Delivery,
        sum: Option<Vec<u64>>,
    ) -> Result<(), Violation> {
        if !self.is_connected(to) {
            self.statistics.count("messages to nobody");
            return Ok(());
        }
        for delivery in self.tampered(Way::Down, to, delivery) {
            self.note_message(&format!("silo-{to} receives"), &delivery);
            self.statistics.count("messages received");
            let sum = sum.clone();
            self.with_silo(to, |silo, around| silo.receive(around, delivery, sum))?;
        }
        Ok(())
    }

    fn reaches_coordinator(&mut self, from: usize, frame: Frame) -> Result<(), Violation> {
        let Some(name) = self.study.names.get(from).cloned() else {
            return Ok(());
        };
        if self.parted.contains(&from) || self.coordinator.process.is_none() {
            self.statistics.count("messages to nobody");
            return Ok(());
        }
        let frames = match frame {
            Frame::Message(delivery) => {
                let deliveries = self.tampered(Way::Up, from, delivery);
                deliveries.into_iter().map(Frame::Message).collect()
            }
            whole @ (Frame::Chunk { .. } | Frame::Accepted { .. }) => vec![whole],
        };
        for frame in frames {
            match &frame {
                Frame::Message(delivery) => {
                    self.note_message(&format!("the coordinator receives of {name}"), delivery);
                }
                Frame::Accepted { sum, .. } => {
                    self.note(&format!(
                        "the coordinator hears of {name} that {sum} is true"
                    ));
                }
                Frame::Chunk { digest, .. } => {
                    self.note(&format!(
                        "the coordinator receives of {name} chunk {digest}"
                    ));
                }
            }
            self.statistics.count("messages received");
            let name = name.clone();
            self.with_coordinator(|coordinator, around| coordinator.receive(around, name, frame))?;
        }
        Ok(())
    }

    fn tampered(&mut self, way: Way, silo: usize, delivery: Delivery) -> Vec<Delivery> {
        match (&mut self.tampering, self.study.names.get(silo)) {
            (Some(tampering), Some(name)) => tampering(way, name, delivery),
            (None, _) | (_, None) => vec![delivery],
        }
    }

    pub(super) fn take_silo_outcomes(
        &mut self,
        at: usize,
        outcomes: Vec<silo::Outcome>,
    ) -> Result<(), Violation> {
        let Some(silo) = self.silos.get(at) else {
            return Ok(());
        };
        let name = silo.name.clone();
        let progress = silo.disk.journal.progress;
        let process = silo.process.as_ref().map(|process| process.number);
        for outcome in outcomes {
            match outcome {
                silo::Outcome::Sent(delivery) => self.silo_sends(at, &name, delivery)?,
                silo::Outcome::Uploaded {
                    id,
                    input,
                    chunks,
                    signed,
                } => {
                    self.watch
                        .silo_uploads(&self.study, &name, id, &input, &chunks)?;
                    for (index, bytes) in (0..).zip(chunks) {
                        let digest = chunk_digest(&bytes);
                        let frame = Frame::Chunk {
                            id,
                            index,
                            bytes,
                            digest,
                        };
                        self.network.send(Event::ToCoordinator { from: at, frame });
                    }
                    self.silo_sends(at, &name, signed)?;
                }
                silo::Outcome::Working { until, work } => {
                    if let Some(process) = process {
                        self.network
                            .schedule(until, Event::Silo { at, process, work });
                    }
                }
                silo::Outcome::Verified(sum) => {
                    self.note(&format!("{name} verifies {}", sum.digest));
                    self.watch.silo_verifies(&self.study, &name, &sum)?;
                    self.watch.computes(progress.round, progress.model)?;
                    self.statistics.count(match sum.verified_by {
                        VerifiedBy::Tags => "sums verified by a silo: by tags",
                        VerifiedBy::Replay => "sums verified by a silo: by replay",
                    });
                }
                silo::Outcome::Aborted {
                    id,
                    fault,
                    evidence,
                } => {
                    self.note(&format!("{name} aborts {id}: {fault}"));
                    self.watch
                        .silo_aborts(&self.study, &name, &fault, &evidence)?;
                    self.statistics.count("attempts aborted by a silo");
                }
                silo::Outcome::Rejected(fault) => {
                    self.note(&format!("{name} rejects: {fault}"));
                    self.statistics.count("messages rejected by a silo");
                }
                silo::Outcome::Behind => {
                    self.statistics.count("silos that had missed a release");
                    self.connect(at);
                }
                silo::Outcome::SatOut(id) => {
                    self.note(&format!("{name} sits {id} out"));
                    self.watch.sat_out(&name, id);
                    self.statistics.count("attempts sat out");
                }
                silo::Outcome::Accepted { id, sum } => {
                    self.note(&format!("{name} accepts {sum}"));
                    if let Some(silo) = self.silos.get(at) {
                        self.watch.silo_accepts(silo, id, sum)?;
                    }
                    let frame = Frame::Accepted { id, sum };
                    self.network.send(Event::ToCoordinator { from: at, frame });
                }
                silo::Outcome::OldJournalRefused => {
                    self.note(&format!("{name} does not start with an old journal"));
                    self.statistics.count("old journals refused");
                }
                silo::Outcome::NewestJournalRefused => {
                    let detail = format!("{name} does not start with the newest journal");
                    return Err(Violation::new(Invariant::Liveness, detail));
                }
                silo::Outcome::TornJournalRead => {
                    let detail = format!("{name} reads half a journal");
                    return Err(Violation::new(Invariant::TornStateRefused, detail));
                }
                silo::Outcome::Died(place) => {
                    self.note(&format!("{name} dies at {place}"));
                    self.died(Party::Silo(at), place);
                }
            }
        }
        Ok(())
    }

    fn silo_sends(
        &mut self,
        at: usize,
        name: &SiloName,
        delivery: Delivery,
    ) -> Result<(), Violation> {
        self.note_message(&format!("{name} sends"), &delivery);
        if let Some(silo) = self.silos.get(at) {
            self.watch
                .silo_sends(&self.study, &self.log, silo, &delivery)?;
        }
        let frame = Frame::Message(delivery);
        self.network.send(Event::ToCoordinator { from: at, frame });
        Ok(())
    }

    pub(super) fn take_coordinator_outcomes(
        &mut self,
        outcomes: Vec<coordinator::Outcome>,
    ) -> Result<(), Violation> {
        let process = self.coordinator.process.as_ref();
        let process = process.map(|process| process.number);
        for outcome in outcomes {
            match outcome {
                coordinator::Outcome::Sent {
                    to,
                    delivery,
                    sum,
                    logged,
                } => {
                    self.note_message(&format!("the coordinator sends {to}"), &delivery);
                    self.watch
                        .coordinator_sends(&self.log, logged, &to, &delivery)?;
                    if let Some(to) = self.study.place(&to) {
                        self.network.send(Event::ToSilo { to, delivery, sum });
                    }
                }
                coordinator::Outcome::Working { until, work } => {
                    if let Some(process) = process {
                        self.network
                            .schedule(until, Event::Coordinator { process, work });
                    }
                }
                coordinator::Outcome::Opened(id) => {
                    self.note(&format!("attempt {id} is opened"));
                    self.watch.coordinator_opens(&self.study, &self.log, id)?;
                    self.statistics.count("attempts opened");
                }
                coordinator::Outcome::Released {
                    plan,
                    survivors,
                    sum,
                } => {
                    self.note(&format!("attempt {} is released", plan.id));
                    self.watch
                        .coordinator_releases(&self.study, &plan, &survivors, &sum)?;
                    let (round, model) =
                        (self.coordinator.store.round, self.coordinator.store.model);
                    self.watch.computes(round, model)?;
                    let whole = survivors.len() == self.study.names.len();
                    self.ends(
                        true,
                        if whole {
                            "released with all"
                        } else {
                            "released without some"
                        },
                    );
                }
                coordinator::Outcome::Abandoned {
                    id,
                    reason,
                    phase,
                    charged,
                } => {
                    self.note(&format!(
                        "attempt {id} is abandoned while {phase}: {reason}"
                    ));
                    self.watch.coordinator_abandons(id, charged)?;
                    self.ends(false, &format!("abandoned while {phase}"));
                }
                coordinator::Outcome::Accused(silos) => self.watch.coordinator_accuses(&silos)?,
                coordinator::Outcome::Rejected { from, fault } => {
                    self.note(&format!("the coordinator rejects of {from}: {fault}"));
                    self.statistics
                        .count("messages rejected by the coordinator");
                }
                coordinator::Outcome::TornStoreRead => {
                    let detail = "the coordinator reads half a state";
                    return Err(Violation::new(Invariant::TornStateRefused, detail));
                }
                coordinator::Outcome::Missing(to) => {
                    let detail = format!("what goes to {to} is not on the coordinator's disk");
                    return Err(Violation::new(Invariant::NothingMissing, detail));
                }
                coordinator::Outcome::Died(place) => {
                    self.note(&format!("the coordinator dies at {place}"));
                    self.died(Party::Coordinator, place);
                }
            }
        }
        Ok(())
    }

    fn ends(&mut self, released: bool, how: &str) {
        self.statistics.count("attempts ended");
        if std::mem::take(&mut self.troubled) {
            self.statistics.count("attempts ended under faults");
            self.statistics.count(format!("under faults: {how}"));
        }
        self.ended += 1;
        self.released = released;
    }

    fn note(&mut self, line: &str) {
        self.trace.push(format!("{} {line}", self.network.now()));
    }

    fn note_message(&mut self, what: &str, delivery: &Delivery) {
        let envelope = &delivery.envelope;
        let name = envelope.peek_name().unwrap_or("bytes");
        let attachments = delivery.attachments.len();
        self.note(&format!(
            "{what} {name} {} +{attachments}",
            envelope.digest()
        ));
    }
}
