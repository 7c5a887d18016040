// SPDX-License-Identifier: Apache-2.0
//! The coordinator's side of a round.
//!
//! ```text
//! Advertising --KeyBook--> Sharing --DealBook--> Preparing --CohortFreeze--> Uploading --SurvivorProposal--> Voting
//!   Voting --Certificate--> Revealing --(Unmask)--> Unmasking --(Summed)--> Committing --(SumLogged)--> Challenging
//!   Challenging --Challenge--> Tagging --(CheckSum)--> Checking --(Checked)--> Released
//! Challenging, Tagging, Checking --Replay--> Replaying --> Released
//! any --a deadline with too few, Cancel--> Abandoned
//! ```
//!
//! A phase closes when every silo that is not known dead has answered, or at its deadline with enough answers.
//! Nothing here is trusted by a silo: every list that this side builds is checked again by everybody.

mod accusing;
mod advertising;
mod challenging;
mod committing;
mod outbox;
mod phase;
mod preparing;
mod releasing;
mod replaying;
mod revealing;
mod sharing;
mod snapshot;
mod tagging;
mod uploading;
mod voting;

use crate::effect::{CoordinatorEffect, CoordinatorEvent, RecordKind};
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::membership::Membership;
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::outgoing::{Beside, Outgoing};
use crate::round_plan::RoundPlan;
pub use accusing::{Accusation, RevealSource};
use advertising::Advertising;
pub(crate) use advertising::keys_of;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use outbox::Outbox;
use phase::{Close, Phase};
pub(crate) use revealing::is_good_reveal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long each phase may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A phase that only exchanges messages.
    pub exchange_milliseconds: u64,
    /// The phase in which silos compute.
    pub preparation_milliseconds: u64,
    /// The phase in which silos upload.
    pub upload_milliseconds: u64,
}

/// What the coordinator's machine is lent for each event.
#[derive(Clone, Copy)]
pub struct CoordinatorSurroundings<'a> {
    /// The roster.
    pub membership: &'a Membership,
    /// The coordinator's key of the roster.
    pub signing_key: &'a SigningKey,
    /// How long each phase may last.
    pub deadlines: Deadlines,
}

/// One attempt as the coordinator sees it.
#[derive(Debug)]
pub struct CoordinatorMachine {
    plan: RoundPlan,
    phase: Phase,
    deadline: u64,
    gone: BTreeSet<SiloName>,
    /// Everything sent to each silo, replayed when it returns.
    outbox: Outbox,
}

/// What a phase may read and change while it handles an event.
pub(crate) struct Step<'a> {
    pub(crate) surroundings: &'a CoordinatorSurroundings<'a>,
    pub(crate) plan: &'a RoundPlan,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) effects: &'a mut Vec<CoordinatorEffect>,
}

impl CoordinatorMachine {
    /// Opens an attempt. `proofs` are the attachments of Open for each silo.
    #[must_use]
    pub fn open(
        surroundings: &CoordinatorSurroundings<'_>,
        plan: RoundPlan,
        mut proofs: BTreeMap<SiloName, Vec<Vec<u8>>>,
        now: u64,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Self {
        let mut outbox = Outbox::default();
        let mut step = Step {
            surroundings,
            plan: &plan,
            outbox: &mut outbox,
            effects,
        };
        let message = CoordinatorMessage::Open {
            plan: Box::new(plan.clone()),
        };
        let envelope = step.sign(plan.opening_transcript(), message);
        step.record(RecordKind::Opened, plan.digest(), plan.silos.clone());
        for silo in &plan.silos {
            let proofs = proofs.remove(silo).unwrap_or_default();
            step.send(silo, &envelope, Beside::Proofs(proofs.into()));
        }
        let deadline = now.saturating_add(surroundings.deadlines.exchange_milliseconds);
        Self {
            phase: Phase::Advertising(Advertising::default()),
            plan,
            deadline,
            gone: BTreeSet::new(),
            outbox,
        }
    }

    /// Handles one event at `now` milliseconds. The driver persists [`Self::snapshot`], then writes the records to the
    /// audit log, then performs the other effects.
    #[must_use]
    pub fn handle(
        mut self,
        surroundings: &CoordinatorSurroundings<'_>,
        now: u64,
        event: CoordinatorEvent,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Self {
        if self.phase.is_over() {
            return self;
        }
        match event {
            CoordinatorEvent::Delivered { from, delivery } => {
                let message = delivery.envelope.clone();
                if let Err(fault) = self.delivered(surroundings, &from, delivery, effects) {
                    let accusation = Accusation::of_message(&self.phase, &from, &fault, message);
                    effects.extend(accusation.map(CoordinatorEffect::Accuse));
                    effects.push(CoordinatorEffect::Rejected { from, fault });
                }
            }
            CoordinatorEvent::Uploaded { from, root, length } => {
                self.phase.uploaded(from, root, length);
            }
            CoordinatorEvent::Gone(silo) => {
                self.gone.insert(silo);
            }
            CoordinatorEvent::Back(silo) => {
                self.gone.remove(&silo);
            }
            CoordinatorEvent::Tick => {}
            CoordinatorEvent::Summed { digest } => {
                self.phase = self.phase.summed(digest, effects);
            }
            CoordinatorEvent::SumLogged { proof } => {
                let mut step = Step {
                    surroundings,
                    plan: &self.plan,
                    outbox: &mut self.outbox,
                    effects,
                };
                self.phase = self.phase.sum_logged(&mut step, proof);
                self.extend_deadline(surroundings, now);
            }
            CoordinatorEvent::Checked { product } => {
                let mut step = Step {
                    surroundings,
                    plan: &self.plan,
                    outbox: &mut self.outbox,
                    effects,
                };
                self.phase = self.phase.checked(&mut step, product);
                self.extend_deadline(surroundings, now);
            }
            CoordinatorEvent::Cancel { reason } => {
                self.abandon(surroundings, reason, effects);
                return self;
            }
        }
        self.close_what_can(surroundings, now, effects);
        self
    }

    /// When [`CoordinatorEvent::Tick`] is due, in milliseconds. `None` while only local work is awaited.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.phase.waits_for_silos().then_some(self.deadline)
    }

    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// The phase's name, for progress.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        self.phase.name()
    }

    /// How many silos have answered in this phase.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.phase.answered(&self.plan).len()
    }

    /// The fewest silos that the phase needs.
    #[must_use]
    pub fn fewest(&self) -> usize {
        self.phase.fewest(&self.plan)
    }

    /// The survivors who compute the sum again, while they do: they may be told uploads and sum.
    #[must_use]
    pub fn replaying(&self) -> Option<Vec<SiloName>> {
        self.phase.replaying()
    }

    /// Whether a sum was released or the attempt abandoned.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase.is_over()
    }

    /// Everything sent to a silo in this attempt, in order, to be sent again when it returns.
    #[must_use]
    pub fn outbox(&self, silo: &SiloName) -> impl DoubleEndedIterator<Item = Outgoing> {
        self.outbox.of(silo)
    }

    /// Every message that this side has signed in this attempt, in order: an accusation stands on some of them.
    pub fn trail(&self) -> impl Iterator<Item = Envelope> {
        self.outbox.envelopes().cloned()
    }

    /// Asks again for local work that a restart interrupted: unmasking, logging or checking the sum.
    ///
    /// # Errors
    /// [`Fault`] when the revealed shares of the snapshot do not give the secrets any more.
    pub fn resume(&self, effects: &mut Vec<CoordinatorEffect>) -> Result<(), Fault> {
        self.phase.resume(&self.plan, effects)
    }

    fn delivered(
        &mut self,
        surroundings: &CoordinatorSurroundings<'_>,
        from: &SiloName,
        delivery: Delivery,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Result<(), Fault> {
        if self.plan.silos.binary_search(from).is_err() {
            return Err(Fault::UnknownSilo { silo: from.clone() });
        }
        let transcripts = self.phase.transcripts(&self.plan);
        let mut fault = Fault::OtherTranscript {
            message: "a message",
        };
        for transcript in transcripts {
            match delivery
                .envelope
                .verify_silo(surroundings.membership, self.plan.id, &transcript)
            {
                Ok(verified) if verified.silo != *from => {
                    return Err(Fault::BadSignature {
                        sender: from.to_string(),
                    });
                }
                Ok(verified) => return self.phase.accept(&self.plan, verified, delivery, effects),
                Err(other) => fault = other,
            }
        }
        Err(fault)
    }

    /// Closes phases one after another as long as their answers are complete.
    fn close_what_can(
        &mut self,
        surroundings: &CoordinatorSurroundings<'_>,
        now: u64,
        effects: &mut Vec<CoordinatorEffect>,
    ) {
        while self.phase.waits_for_silos() {
            let answered = self.phase.answered(&self.plan);
            let fewest = self.phase.fewest(&self.plan);
            let expected = self.phase.expected(&self.plan);
            let missing = expected
                .iter()
                .any(|silo| !answered.contains(silo) && !self.gone.contains(silo));
            let late = now >= self.deadline;
            if answered.len() < fewest {
                if late {
                    let reason = format!(
                        "{} of {} silos answered in time while {}, {} are needed",
                        answered.len(),
                        expected.len(),
                        self.phase.name(),
                        fewest
                    );
                    self.abandon(surroundings, reason, effects);
                }
                return;
            }
            if missing && !late {
                return;
            }
            let phase = std::mem::replace(&mut self.phase, Phase::Abandoned);
            let name = phase.name();
            let charged = phase.charged();
            let mut step = Step {
                surroundings,
                plan: &self.plan,
                outbox: &mut self.outbox,
                effects,
            };
            match phase.close(&mut step) {
                Ok(Close::Next(next)) => {
                    self.phase = next;
                    self.extend_deadline(surroundings, now);
                }
                Ok(Close::Wait(same)) => {
                    self.phase = same;
                    if late {
                        self.abandon(
                            surroundings,
                            "no safe set of silos was complete in time".to_owned(),
                            effects,
                        );
                    }
                    return;
                }
                Err(fault) => {
                    self.abandon_from(surroundings, fault.to_string(), name, charged, effects);
                    return;
                }
            }
        }
    }

    /// Gives the phase that has just begun its time.
    fn extend_deadline(&mut self, surroundings: &CoordinatorSurroundings<'_>, now: u64) {
        let duration = self.phase.duration(&surroundings.deadlines);
        self.deadline = now.saturating_add(duration);
    }

    fn abandon(
        &mut self,
        surroundings: &CoordinatorSurroundings<'_>,
        reason: String,
        effects: &mut Vec<CoordinatorEffect>,
    ) {
        let (name, charged) = (self.phase.name(), self.phase.charged());
        self.abandon_from(surroundings, reason, name, charged, effects);
    }

    fn abandon_from(
        &mut self,
        surroundings: &CoordinatorSurroundings<'_>,
        reason: String,
        phase: &'static str,
        charged: bool,
        effects: &mut Vec<CoordinatorEffect>,
    ) {
        self.phase = Phase::Abandoned;
        let silos = self.plan.silos.clone();
        let mut step = Step {
            surroundings,
            plan: &self.plan,
            outbox: &mut self.outbox,
            effects,
        };
        let message = CoordinatorMessage::Abandon {
            reason: reason.clone(),
        };
        let envelope = step.sign(self.plan.opening_transcript(), message);
        step.record(RecordKind::Abandoned, envelope.digest(), silos.clone());
        step.send_all(&silos, &envelope);
        effects.push(CoordinatorEffect::Abandoned {
            reason,
            phase,
            charged,
        });
    }
}

impl Step<'_> {
    /// Signs a message of this attempt.
    pub(crate) fn sign(&self, transcript: Digest, message: CoordinatorMessage) -> Arc<Envelope> {
        Arc::new(Envelope::from_coordinator(
            self.surroundings.signing_key,
            self.plan.id,
            transcript,
            message,
        ))
    }

    /// Sends and keeps for a silo that returns.
    pub(crate) fn send(&mut self, to: &SiloName, envelope: &Arc<Envelope>, beside: Beside) {
        let envelope = Arc::clone(envelope);
        let outgoing = Outgoing { envelope, beside };
        self.outbox.keep(to, &outgoing);
        self.effects.push(CoordinatorEffect::Send {
            to: to.clone(),
            outgoing,
        });
    }

    pub(crate) fn send_all(&mut self, silos: &[SiloName], envelope: &Arc<Envelope>) {
        self.send_all_with(silos, envelope, &Arc::from([]));
    }

    pub(crate) fn send_all_with(
        &mut self,
        silos: &[SiloName],
        envelope: &Arc<Envelope>,
        proofs: &Arc<[Vec<u8>]>,
    ) {
        for silo in silos {
            self.send(silo, envelope, Beside::Proofs(Arc::clone(proofs)));
        }
    }

    pub(crate) fn record(&mut self, kind: RecordKind, digest: Digest, silos: Vec<SiloName>) {
        self.effects.push(CoordinatorEffect::Record {
            kind,
            digest,
            silos,
        });
    }
}

/// Keeps the first envelope of a silo; an equal repeat is harmless, a different one is evidence. What counts is what was
/// said: who signs the same twice may get two signatures.
pub(crate) fn keep_first(
    kept: &mut BTreeMap<SiloName, Envelope>,
    silo: SiloName,
    envelope: Envelope,
    message: &SiloMessage,
) -> Result<(), Fault> {
    let first = kept.get(&silo);
    demand_the_same(first, &silo, &envelope, message)?;
    if first.is_none() {
        kept.insert(silo, envelope);
    }
    Ok(())
}

/// Demands of an answer that its silo has not said otherwise before.
pub(crate) fn demand_the_same(
    first: Option<&Envelope>,
    silo: &SiloName,
    envelope: &Envelope,
    message: &SiloMessage,
) -> Result<(), Fault> {
    match first {
        Some(first) if first.body != envelope.body => Err(Fault::SecondAnswer {
            silo: silo.clone(),
            message: message.name(),
        }),
        Some(_) | None => Ok(()),
    }
}
