// SPDX-License-Identifier: Apache-2.0
//! The silo's side of a round.
//!
//! ```text
//! Idle --Open--> Advertised --KeyBook--> Dealt --DealBook--> Training --(Prepared)--> Ready
//!   Ready --CohortFreeze--> Masking --(Masked)--> Uploaded --SurvivorProposal--> Voted
//!   Voted --Certificate--> Revealed --SumCommitment--> Committed --Challenge--> Tagging --(Tagged)--> Tagged
//!   Tagged --Release--> Idle
//! Committed, Tagging, Tagged --Replay--> Replaying --(Replayed)--> Replayed --Release--> Idle
//! any --Abandon, a fault of the coordinator, a higher Open, Release--> Idle
//! ```
//!
//! Every question of the coordinator is answered once; a byte-identical repeat gets the stored answer and a
//! different second question ends the attempt with both as evidence.

mod advertised;
mod committed;
mod dealt;
mod masking;
mod phase;
mod ready;
mod replaying;
mod revealed;
mod snapshot;
mod tagging;
mod training;
mod uploaded;
mod voted;

use crate::defence::{Defence, stands};
use crate::effect::{SiloEffect, SiloEvent};
use crate::envelope::{Body, Delivery, Envelope};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::log_verifier::LogVerifier;
use crate::membership::Membership;
use crate::memory::SiloMemory;
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::release::Trail;
use crate::round_plan::RoundPlan;
use crate::secrets::{AttemptSecrets, Seeds};
use crate::sum_chunks::SumChunks;
use advertised::Advertised;
use consilium_crypto::digest::Digest;
use consilium_crypto::random::RandomSource;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use phase::{Answer, Phase, Reply};
pub use snapshot::RestoreFault;

/// What a silo's machine is lent for each event.
#[derive(Clone, Copy)]
pub struct SiloSurroundings<'a> {
    /// This silo.
    pub name: &'a SiloName,
    /// Its identity key.
    pub signing_key: &'a SigningKey,
    /// The pinned roster.
    pub membership: &'a Membership,
    /// Checks what the audit log holds.
    pub log: &'a dyn LogVerifier,
    /// The nonce of this process's start.
    pub start_nonce: Digest,
}

/// The silo's state across all attempts.
#[derive(Debug)]
pub struct SiloMachine {
    instance: Digest,
    memory: SiloMemory,
    phase: Phase,
    secrets: Option<AttemptSecrets>,
    answers: Vec<Answer>,
}

/// What a phase may read and change while it handles a message.
pub(crate) struct Step<'a> {
    pub(crate) surroundings: &'a SiloSurroundings<'a>,
    pub(crate) memory: &'a mut SiloMemory,
    pub(crate) secrets: &'a mut Option<AttemptSecrets>,
    pub(crate) random: &'a mut dyn RandomSource,
    pub(crate) effects: &'a mut Vec<SiloEffect>,
    pub(crate) reply: Reply,
}

impl SiloMachine {
    /// A silo that has seen nothing. `instance` names this installation and is kept outside backups.
    #[must_use]
    pub fn new(instance: Digest) -> Self {
        Self {
            instance,
            memory: SiloMemory::default(),
            phase: Phase::Idle,
            secrets: None,
            answers: Vec::new(),
        }
    }

    /// Handles one event. The driver persists [`Self::snapshot`] and [`Self::secrets`] before it performs an effect.
    #[must_use]
    pub fn handle(
        mut self,
        surroundings: &SiloSurroundings<'_>,
        event: SiloEvent,
        random: &mut dyn RandomSource,
        effects: &mut Vec<SiloEffect>,
    ) -> Self {
        match event {
            SiloEvent::Opened { delivery, expected } => {
                self.opened(surroundings, delivery, expected, random, effects)
            }
            SiloEvent::Delivered(delivery) => {
                self.delivered(surroundings, delivery, random, effects)
            }
            SiloEvent::Prepared { id, input } => {
                self.local(surroundings, id, random, effects, |phase, step| {
                    phase.prepared(step, input)
                })
            }
            SiloEvent::Masked { id, root, length } => {
                self.local(surroundings, id, random, effects, |phase, step| {
                    phase.masked(step, root, length)
                })
            }
            SiloEvent::Tagged { id, product } => {
                self.local(surroundings, id, random, effects, |phase, step| {
                    phase.tagged(step, &product)
                })
            }
            SiloEvent::Replayed { id, outcome } => {
                self.local(surroundings, id, random, effects, |phase, step| {
                    phase.replayed(step, outcome)
                })
            }
            SiloEvent::Released { delivery, sum } => {
                self.released(surroundings, &delivery, sum, effects);
                self
            }
            SiloEvent::Abandon { id, reason } => {
                if self.attempt() == Some(id) {
                    self.abort(id, Fault::Abandoned(reason), Vec::new(), effects);
                }
                self
            }
        }
    }

    /// The attempt in progress.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptId> {
        self.phase.plan().map(|plan| plan.id)
    }

    /// The plan of the attempt in progress.
    #[must_use]
    pub fn plan(&self) -> Option<&RoundPlan> {
        self.phase.plan()
    }

    /// The highest attempt that this silo ever answered; no earlier one and not itself is opened again.
    #[must_use]
    pub fn highest_attempt(&self) -> Option<AttemptId> {
        self.memory.highest()
    }

    /// The phase's name, for status and progress.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        self.phase.name()
    }

    /// Asks again for local work that a restart interrupted: training, masking, tagging or a replay.
    pub fn resume(&self, surroundings: &SiloSurroundings<'_>, effects: &mut Vec<SiloEffect>) {
        self.phase
            .resume(surroundings.name, self.secrets.as_ref(), effects);
    }

    fn opened(
        mut self,
        surroundings: &SiloSurroundings<'_>,
        delivery: Delivery,
        expected: RoundPlan,
        random: &mut dyn RandomSource,
        effects: &mut Vec<SiloEffect>,
    ) -> Self {
        let envelope = &delivery.envelope;
        let body = match envelope.verify_coordinator(surroundings.membership) {
            Ok(body) => body,
            Err(fault) => return self.rejected(fault, effects),
        };
        let CoordinatorMessage::Open { plan } = body.message else {
            return self.rejected(Fault::Malformed("something else than an Open"), effects);
        };
        if self.repeated(envelope, "Open", effects) {
            return self;
        }
        if plan.id != body.id || plan.opening_transcript() != body.transcript {
            let fault = Fault::OtherTranscript { message: "Open" };
            refused(surroundings.membership, envelope, fault, effects);
            return self;
        }
        if self.attempt() == Some(plan.id) {
            return self.equivocated(plan.id, "Open", delivery.envelope, effects);
        }
        // A late repeat of an attempt that has ended: harmless, and refused before anything else is compared.
        if let Err(fault) = self.memory.follows(plan.id) {
            return self.rejected(fault, effects);
        }
        if let Err(fault) = self.accept_plan(surroundings, &plan, &expected, &delivery.attachments)
        {
            effects.push(SiloEffect::Aborted {
                id: plan.id,
                fault,
                evidence: vec![delivery.envelope],
            });
            return self;
        }
        if self.secrets.take().is_some() {
            effects.push(SiloEffect::EraseSecrets);
        }
        self.answers.clear();
        self.secrets = Some(AttemptSecrets::generate(plan.id, self.instance, random));
        self.phase = Phase::Idle;
        self.step(
            surroundings,
            delivery.envelope,
            "Open",
            random,
            effects,
            |_, step| Advertised::open(step, *plan),
        )
    }

    /// The checks of Open, in the order of the protocol's table.
    fn accept_plan(
        &mut self,
        surroundings: &SiloSurroundings<'_>,
        plan: &RoundPlan,
        expected: &RoundPlan,
        proofs: &[Vec<u8>],
    ) -> Result<(), Fault> {
        plan.compare(expected)?;
        let derived = RoundPlan::new(
            plan.id,
            surroundings.membership,
            &plan.silos,
            Some(plan.thresholds.dropouts),
            plan.model,
            plan.task,
            plan.vector,
        )
        .map_err(Fault::UnsafePlan);
        if stands(Defence::QuorumFloor) {
            plan.compare(&derived?)?;
        }
        if plan.silos.binary_search(surroundings.name).is_err() {
            return Err(Fault::LeftOut { list: "invitation" });
        }
        let start = proofs.first().map_or(&[][..], Vec::as_slice);
        let nonce = &surroundings.start_nonce;
        if stands(Defence::StartLogged) && !surroundings.log.start_is_logged(nonce, start) {
            return Err(Fault::StartNotLogged);
        }
        if !surroundings
            .log
            .release_is_logged(proofs.get(1).map(Vec::as_slice))
        {
            return Err(Fault::ReleaseNotLogged);
        }
        self.memory.open(plan.id)
    }

    fn delivered(
        mut self,
        surroundings: &SiloSurroundings<'_>,
        delivery: Delivery,
        random: &mut dyn RandomSource,
        effects: &mut Vec<SiloEffect>,
    ) -> Self {
        let Delivery {
            envelope,
            attachments,
        } = delivery;
        let Body {
            id,
            transcript,
            message,
        } = match envelope.verify_coordinator(surroundings.membership) {
            Ok(body) => body,
            Err(fault) => return self.rejected(fault, effects),
        };
        let name = message.name();
        if self.attempt() != Some(id) {
            return self.rejected(Fault::OtherTranscript { message: name }, effects);
        }
        if let CoordinatorMessage::Abandon { reason } = message {
            self.abort(id, Fault::Abandoned(reason), vec![envelope], effects);
            return self;
        }
        if self.repeated(&envelope, name, effects) {
            return self;
        }
        let again = !stands(Defence::OneVotePerAttempt) && self.phase.expects(&message);
        if self.question(name).is_some() && !again {
            return self.equivocated(id, name, envelope, effects);
        }
        if !self.phase.expects(&message) {
            let phase = self.phase.name();
            return self.rejected(
                Fault::Unexpected {
                    message: name,
                    phase,
                },
                effects,
            );
        }
        if self.phase.transcript() != Some(transcript) {
            let fault = Fault::OtherTranscript { message: name };
            refused(surroundings.membership, &envelope, fault, effects);
            return self;
        }
        self.step(
            surroundings,
            envelope,
            name,
            random,
            effects,
            |phase, step| phase.message(step, message, attachments),
        )
    }

    /// Runs one transition that answers `question`; a fault ends the attempt with the question as evidence.
    fn step(
        mut self,
        surroundings: &SiloSurroundings<'_>,
        question: Envelope,
        name: &'static str,
        random: &mut dyn RandomSource,
        effects: &mut Vec<SiloEffect>,
        transition: impl FnOnce(Phase, &mut Step<'_>) -> Result<Phase, Fault>,
    ) -> Self {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let id = self
            .secrets
            .as_ref()
            .map(|secrets| secrets.id)
            .or(phase.plan().map(|plan| plan.id));
        let mut step = Step {
            surroundings,
            memory: &mut self.memory,
            secrets: &mut self.secrets,
            random,
            effects,
            reply: Reply::Nothing,
        };
        let next = transition(phase, &mut step);
        let reply = std::mem::replace(&mut step.reply, Reply::Nothing);
        match (next, id) {
            (Ok(next), _) => {
                self.phase = next;
                reply.emit(effects);
                self.answers.push(Answer {
                    name: name.to_owned(),
                    question,
                    reply,
                });
            }
            (Err(fault), Some(id)) => {
                let mut evidence = self.evidence_before(&fault);
                evidence.push(question);
                self.abort(id, fault, evidence, effects);
            }
            (Err(fault), None) => effects.push(SiloEffect::Rejected(fault)),
        }
        self
    }

    /// Runs one transition that local work asked for.
    fn local(
        mut self,
        surroundings: &SiloSurroundings<'_>,
        id: AttemptId,
        random: &mut dyn RandomSource,
        effects: &mut Vec<SiloEffect>,
        transition: impl FnOnce(Phase, &mut Step<'_>) -> Result<Phase, Fault>,
    ) -> Self {
        if self.attempt() != Some(id) {
            return self;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let mut step = Step {
            surroundings,
            memory: &mut self.memory,
            secrets: &mut self.secrets,
            random,
            effects,
            reply: Reply::Nothing,
        };
        let next = transition(phase, &mut step);
        let reply = std::mem::replace(&mut step.reply, Reply::Nothing);
        match next {
            Ok(next) => {
                self.phase = next;
                reply.emit(effects);
                if !matches!(reply, Reply::Nothing) {
                    // The answer belongs to the question that asked for the work.
                    if let Some(answer) = self.answers.last_mut() {
                        answer.reply =
                            std::mem::replace(&mut answer.reply, Reply::Nothing).and(reply);
                    }
                }
            }
            Err(fault) => {
                let evidence = self.evidence_before(&fault);
                self.abort(id, fault, evidence, effects);
            }
        }
        self
    }

    fn released(
        &mut self,
        surroundings: &SiloSurroundings<'_>,
        delivery: &Delivery,
        sum: SumChunks,
        effects: &mut Vec<SiloEffect>,
    ) {
        let SiloSurroundings {
            membership, log, ..
        } = *surroundings;
        // COST: a silo that took part has verified these votes and nonces before.
        let listed = ["Certificate", "Challenge"]
            .into_iter()
            .filter_map(|name| self.question(name))
            .flat_map(Envelope::listed_for_the_release)
            .collect::<Vec<_>>();
        let known = listed.iter().collect();
        let trail = match Trail::open(membership, log, delivery, &known) {
            Ok(trail) => trail,
            Err(fault) => return refused(membership, &delivery.envelope, fault, effects),
        };
        let id = trail.plan.id;
        let own_root = trail.survivors.root(surroundings.name);
        let remembered = self.memory.agrees(id, &trail.cohort.digest, own_root);
        let takes_part = self.attempt() == Some(id);
        if takes_part {
            if let Err(fault) = self.phase.agrees(&trail).and(remembered) {
                let mut evidence = self.evidence_before(&fault);
                evidence.push(delivery.envelope.clone());
                return self.abort(id, fault, evidence, effects);
            }
        } else if let Err(fault) = remembered {
            return refused(membership, &delivery.envelope, fault, effects);
        }
        match trail.vouch(membership, sum, &known) {
            Ok(verified) => {
                if takes_part {
                    self.end(effects);
                }
                effects.push(SiloEffect::Finished(verified));
            }
            Err(fault) => refused(membership, &delivery.envelope, fault, effects),
        }
    }

    /// Answers a byte-identical repeat with the stored reply.
    fn repeated(&self, envelope: &Envelope, name: &str, effects: &mut Vec<SiloEffect>) -> bool {
        let answer = self
            .answers
            .iter()
            .find(|answer| answer.name == name && answer.question == *envelope);
        if let Some(answer) = answer {
            answer.reply.emit(effects);
        }
        answer.is_some()
    }

    /// The question of that name that this silo has answered.
    fn question(&self, name: &str) -> Option<&Envelope> {
        let answer = self.answers.iter().find(|answer| answer.name == name);
        answer.map(|answer| &answer.question)
    }

    /// What this silo has seen or sent before and what, beside the last message, proves the fault.
    fn evidence_before(&self, fault: &Fault) -> Vec<Envelope> {
        let earlier = match fault {
            Fault::FalseSum => {
                let questions = ["SumCommitment", "Replay"].map(|name| self.question(name));
                return questions.into_iter().flatten().cloned().collect();
            }
            Fault::Equivocation { message } => self.question(message),
            Fault::OtherCertificate => self.question("SurvivorProposal"),
            Fault::OtherSum => self.question("SumCommitment"),
            Fault::OwnMessageChanged { message } => self
                .answers
                .iter()
                .find_map(|answer| answer.reply.envelope(message)),
            _ => None,
        };
        earlier.cloned().into_iter().collect()
    }

    /// Ends the attempt over a second question where one was answered, with both as evidence.
    fn equivocated(
        mut self,
        id: AttemptId,
        message: &'static str,
        second: Envelope,
        effects: &mut Vec<SiloEffect>,
    ) -> Self {
        let fault = Fault::Equivocation { message };
        let mut evidence = self.evidence_before(&fault);
        evidence.push(second);
        self.abort(id, fault, evidence, effects);
        self
    }

    fn rejected(self, fault: Fault, effects: &mut Vec<SiloEffect>) -> Self {
        effects.push(SiloEffect::Rejected(fault));
        self
    }

    fn abort(
        &mut self,
        id: AttemptId,
        fault: Fault,
        evidence: Vec<Envelope>,
        effects: &mut Vec<SiloEffect>,
    ) {
        self.end(effects);
        effects.push(SiloEffect::Aborted {
            id,
            fault,
            evidence,
        });
    }

    /// Forgets the attempt, but never its number, its burn or its vote.
    fn end(&mut self, effects: &mut Vec<SiloEffect>) {
        self.phase = Phase::Idle;
        self.answers.clear();
        if self.secrets.take().is_some() {
            effects.push(SiloEffect::EraseSecrets);
        }
    }

    /// The attempt's secrets, for the one file that stays outside backups. `None` once they are erased.
    #[must_use]
    pub fn secrets(&self) -> Option<Secret<Vec<u8>>> {
        self.secrets.as_ref().map(AttemptSecrets::to_bytes)
    }
}

impl Step<'_> {
    /// The attempt's secrets, or the fault that ends it.
    pub(crate) fn secrets(&self, id: AttemptId) -> Result<&AttemptSecrets, Fault> {
        self.secrets
            .as_ref()
            .filter(|secrets| secrets.id == id)
            .ok_or(Fault::SecretsGone(id))
    }

    /// The attempt's seeds, or the fault that ends it.
    pub(crate) fn seeds(&self, id: AttemptId) -> Result<&Seeds, Fault> {
        self.secrets(id)?.seeds().ok_or(Fault::SecretsGone(id))
    }

    /// Signs a message of this silo.
    pub(crate) fn sign(&self, id: AttemptId, transcript: Digest, message: SiloMessage) -> Envelope {
        let SiloSurroundings {
            name, signing_key, ..
        } = *self.surroundings;
        Envelope::from_silo(name, signing_key, id, transcript, message)
    }
}

/// Discards a message, and keeps it if the coordinator has to answer for it.
///
/// COST: verified once more, but only where something is wrong.
fn refused(
    membership: &Membership,
    message: &Envelope,
    fault: Fault,
    effects: &mut Vec<SiloEffect>,
) {
    effects.push(match message.verify_coordinator(membership) {
        // A Release of an earlier roster is told again to whoever missed it, and cannot be judged by this one.
        Ok(body) if body.id.epoch == membership.epoch => SiloEffect::Refused {
            id: body.id,
            fault,
            message: message.clone(),
        },
        Ok(_) | Err(_) => SiloEffect::Rejected(fault),
    });
}
