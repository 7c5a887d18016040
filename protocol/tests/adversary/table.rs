// SPDX-License-Identifier: Apache-2.0
//! A lying coordinator's table: it holds the true coordinator key and can therefore say anything to any silo, in any
//! order. The silos at the table are real machines. Transcripts are computed here once more, from the description of
//! the protocol, so that a change of what they cover is noticed.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_protocol::{
    AttemptId, CoordinatorMessage, Delivery, Envelope, Fault, LogVerifier, Membership,
    PROTOCOL_VERSION, Release, ReplayJob, RoundPlan, Sender, SiloEffect, SiloEvent, SiloMachine,
    SiloMessage, SiloName, SiloSurroundings, SumChunks, Verification, VerifiedSum, chunk_digest,
    upload_root,
};
use serde::Serialize;

use crate::federation::{DIMENSION, vector_plan};

/// The coordinator's messages in order. A silo "before" one waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Open,
    KeyBook,
    DealBook,
    Freeze,
    Proposal,
    Certificate,
    Commitment,
    Challenge,
    Release,
    Over,
}

pub(crate) const STAGES: [Stage; 9] = [
    Stage::Open,
    Stage::KeyBook,
    Stage::DealBook,
    Stage::Freeze,
    Stage::Proposal,
    Stage::Certificate,
    Stage::Commitment,
    Stage::Challenge,
    Stage::Release,
];

/// A log that tells true proofs from others.
pub(crate) struct StrictLog {
    /// The proof that the last release needs.
    pub(crate) last_release: Option<Vec<u8>>,
}

impl LogVerifier for StrictLog {
    fn start_is_logged(&self, nonce: &Digest, proof: &[u8]) -> bool {
        proof == start_proof(nonce)
    }
    fn sum_is_logged(&self, id: AttemptId, sum: &Digest, proof: &[u8]) -> bool {
        proof == sum_proof(id, sum)
    }
    fn release_is_logged(&self, proof: Option<&[u8]>) -> bool {
        proof == self.last_release.as_deref()
    }
}

pub(crate) fn start_proof(nonce: &Digest) -> Vec<u8> {
    [b"start", nonce.as_bytes().as_slice()].concat()
}

pub(crate) fn sum_proof(id: AttemptId, sum: &Digest) -> Vec<u8> {
    [&id.to_bytes(), sum.as_bytes().as_slice()].concat()
}

/// One silo. A colluder is a silo whose `key` the test uses.
pub(crate) struct Seat {
    pub(crate) name: SiloName,
    pub(crate) key: SigningKey,
    pub(crate) instance: Digest,
    pub(crate) vector: Vec<i64>,
    pub(crate) machine: SiloMachine,
}

/// What a silo did in answer to one event, its local work included.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: Vec<Delivery>,
    pub(crate) aborted: Vec<(AttemptId, Fault, Vec<Envelope>)>,
    pub(crate) rejected: Vec<Fault>,
    /// What of it the coordinator has to answer for.
    pub(crate) refused: Vec<(AttemptId, Envelope)>,
    pub(crate) finished: Vec<VerifiedSum>,
    pub(crate) masked: Vec<Vec<Vec<u8>>>,
    /// Sums that the silo was asked to compute again, and did not yet.
    pub(crate) replays: Vec<ReplayJob>,
}

/// What was said in the attempt so far, in the order of the seats.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) advertisements: Vec<Envelope>,
    pub(crate) deals: Vec<Delivery>,
    pub(crate) receipts: Vec<Envelope>,
    pub(crate) ready: Vec<Envelope>,
    pub(crate) uploads: Vec<Envelope>,
    pub(crate) votes: Vec<Envelope>,
    pub(crate) reveals: Vec<Envelope>,
    pub(crate) nonces: Vec<Envelope>,
    pub(crate) tags: Vec<Envelope>,
    /// Every question asked, with the seat that it was asked of.
    pub(crate) questions: Vec<(usize, Delivery)>,
    pub(crate) answers: Vec<Delivery>,
}

pub(crate) struct Table {
    pub(crate) membership: Membership,
    pub(crate) coordinator: SigningKey,
    pub(crate) seats: Vec<Seat>,
    pub(crate) plan: RoundPlan,
    pub(crate) script: Script,
    pub(crate) log: StrictLog,
    pub(crate) start_nonce: Digest,
    pub(crate) random: InsecureSeededRandom,
}

impl Table {
    /// `count` silos that tolerate as many drops as is safe.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let coordinator = SigningKey::from_seed(&random.secret32());
        let seats: Vec<Seat> = (0..count)
            .map(|at| {
                let instance = hash(Label::StartNonce, &[&[at as u8]]);
                Seat {
                    name: name(at),
                    key: SigningKey::from_seed(&random.secret32()),
                    instance,
                    vector: (0..DIMENSION)
                        .map(|_| (random.next_u64() % 2001) as i64 - 1000)
                        .collect(),
                    machine: SiloMachine::new(instance),
                }
            })
            .collect();
        let keys = |seat: &Seat| (seat.name.clone(), seat.key.verifying_key());
        let membership = Membership {
            epoch: 1,
            roster_root: hash(Label::RosterRoot, &[b"roster"]),
            coordinator: coordinator.verifying_key(),
            silos: seats.iter().map(keys).collect(),
            colluders: (count / 3) as u32,
        };
        let plan = plan_of(&membership, 1, 1);
        Self {
            membership,
            coordinator,
            seats,
            plan,
            script: Script::default(),
            log: StrictLog { last_release: None },
            start_nonce: hash(Label::StartNonce, &[b"this start"]),
            random,
        }
    }

    /// Begins another attempt: the script is forgotten, the silos' memories are not.
    pub(crate) fn next(&mut self, plan: RoundPlan) {
        self.plan = plan;
        self.script = Script::default();
    }

    /// What every attempt of a study with noise does; here one word changes.
    pub(crate) fn draw_fresh_noise(&mut self) {
        for seat in &mut self.seats {
            seat.vector[0] += 1;
        }
    }

    /// Plays honestly until every silo waits for `stage`.
    pub(crate) fn play_until(&mut self, stage: Stage) {
        let everybody: Vec<usize> = (0..self.seats.len()).collect();
        self.play_between(Stage::Open, stage, &everybody);
    }

    /// Plays honestly with some seats, from one stage up to another.
    pub(crate) fn play_between(&mut self, from: Stage, until: Stage, seats: &[usize]) {
        for stage in STAGES
            .into_iter()
            .filter(|stage| (from..until).contains(stage))
        {
            let questions: Vec<(usize, Delivery)> = seats
                .iter()
                .map(|seat| (*seat, self.question(stage, *seat)))
                .collect();
            for (seat, question) in questions {
                self.script.questions.push((seat, question.clone()));
                let outcome = self.ask(seat, question);
                assert!(
                    outcome.aborted.is_empty() && outcome.rejected.is_empty(),
                    "{stage:?} at {seat}: {outcome:?}"
                );
                self.write_down(outcome.sent);
            }
        }
    }

    pub(crate) fn write_down(&mut self, sent: Vec<Delivery>) {
        for delivery in sent {
            let envelope = delivery.envelope.clone();
            self.script.answers.push(delivery.clone());
            match envelope.peek_silo_message().unwrap() {
                SiloMessage::AdvertiseKeys { .. } => self.script.advertisements.push(envelope),
                SiloMessage::ShareKeys { .. } => self.script.deals.push(delivery),
                SiloMessage::DealReceipt { .. } => self.script.receipts.push(envelope),
                SiloMessage::Ready => self.script.ready.push(envelope),
                SiloMessage::MaskedInput { .. } => self.script.uploads.push(envelope),
                SiloMessage::Vote { .. } => self.script.votes.push(envelope),
                SiloMessage::Reveal { .. } => self.script.reveals.push(envelope),
                SiloMessage::Nonce { .. } => self.script.nonces.push(envelope),
                SiloMessage::Tag { .. } => self.script.tags.push(envelope),
                SiloMessage::Replayed { .. } => panic!("nobody was asked to compute again"),
            }
        }
    }

    /// The honest question of a stage, made from the script.
    pub(crate) fn question(&self, stage: Stage, seat: usize) -> Delivery {
        let script = &self.script;
        match stage {
            Stage::Open => self.open(&self.plan),
            Stage::KeyBook => self.key_book(&script.advertisements),
            Stage::DealBook => self.deal_book(&script.deals, seat),
            Stage::Freeze => self.freeze(&script.receipts, &script.ready),
            Stage::Proposal => self.propose(&script.uploads),
            Stage::Certificate => self.certify(&script.votes),
            Stage::Commitment => self.commit(&self.sum_digest(&self.sum())),
            Stage::Challenge => self.challenge(&script.nonces),
            Stage::Release | Stage::Over => self.release(&self.honest_release()),
        }
    }

    // What the coordinator can say.

    pub(crate) fn open(&self, plan: &RoundPlan) -> Delivery {
        let message = CoordinatorMessage::Open {
            plan: Box::new(plan.clone()),
        };
        Delivery {
            envelope: self.say(plan.id, plan.opening_transcript(), &message),
            attachments: std::iter::once(start_proof(&self.start_nonce))
                .chain(self.log.last_release.clone())
                .collect(),
        }
    }

    pub(crate) fn key_book(&self, advertisements: &[Envelope]) -> Delivery {
        let message = CoordinatorMessage::KeyBook {
            advertisements: advertisements.to_vec(),
        };
        self.bare(self.plan.opening_transcript(), &message)
    }

    pub(crate) fn deal_book(&self, deals: &[Delivery], seat: usize) -> Delivery {
        let envelopes: Vec<Envelope> = deals.iter().map(|deal| deal.envelope.clone()).collect();
        let message = CoordinatorMessage::DealBook { deals: envelopes };
        let own = self.script.advertisements.iter();
        let position = own
            .map(|envelope| envelope.sender.clone())
            .position(|sender| sender == Sender::Silo(name(seat)))
            .unwrap();
        Delivery {
            envelope: self.say(self.plan.id, self.k(), &message),
            attachments: deals
                .iter()
                .map(|deal| deal.attachments[position].clone())
                .collect(),
        }
    }

    pub(crate) fn freeze(&self, receipts: &[Envelope], ready: &[Envelope]) -> Delivery {
        let message = CoordinatorMessage::CohortFreeze {
            receipts: receipts.to_vec(),
            ready: ready.to_vec(),
        };
        self.bare(self.d(), &message)
    }

    pub(crate) fn propose(&self, uploads: &[Envelope]) -> Delivery {
        self.propose_under(self.x(), uploads)
    }

    pub(crate) fn propose_under(&self, x: Digest, uploads: &[Envelope]) -> Delivery {
        let message = CoordinatorMessage::SurvivorProposal {
            uploads: uploads.to_vec(),
        };
        self.bare(x, &message)
    }

    pub(crate) fn certify(&self, votes: &[Envelope]) -> Delivery {
        self.certify_under(self.x(), votes)
    }

    pub(crate) fn certify_under(&self, x: Digest, votes: &[Envelope]) -> Delivery {
        let message = CoordinatorMessage::Certificate {
            votes: votes.to_vec(),
        };
        self.bare(x, &message)
    }

    pub(crate) fn commit(&self, sum: &Digest) -> Delivery {
        let message = CoordinatorMessage::SumCommitment { sum: *sum };
        Delivery {
            envelope: self.say(self.plan.id, self.x(), &message),
            attachments: vec![sum_proof(self.plan.id, sum)],
        }
    }

    pub(crate) fn challenge(&self, nonces: &[Envelope]) -> Delivery {
        let message = CoordinatorMessage::Challenge {
            nonces: nonces.to_vec(),
        };
        self.bare(self.x(), &message)
    }

    pub(crate) fn release(&self, release: &Release) -> Delivery {
        let message = CoordinatorMessage::Release(Box::new(release.clone()));
        Delivery {
            envelope: self.say(self.plan.id, self.x(), &message),
            attachments: vec![sum_proof(self.plan.id, &release.sum)],
        }
    }

    pub(crate) fn honest_release(&self) -> Release {
        Release {
            plan: self.plan.clone(),
            key_book: self.k(),
            deal_book: self.d(),
            cohort: senders(&self.script.ready),
            survivors: roots(&self.script.uploads),
            votes: self.script.votes.clone(),
            sum: self.sum_digest(&self.sum()),
            seeds: Vec::new(),
            verification: Verification::Tags {
                nonces: self.script.nonces.clone(),
                tags: self.script.tags.clone(),
            },
        }
    }

    /// The word of these silos that they computed a sum again, forged with their own keys.
    pub(crate) fn forged_replays(&self, x: Digest, sum: Digest, seats: &[usize]) -> Verification {
        let cover = u32::try_from(self.script.uploads.len()).unwrap();
        let replayed = SiloMessage::Replayed { sum, cover };
        let forged = seats.iter().map(|seat| self.forge(*seat, x, &replayed));
        Verification::Replay {
            cover,
            replayed: forged.collect(),
        }
    }

    fn bare(&self, transcript: Digest, message: &CoordinatorMessage) -> Delivery {
        Delivery::bare(self.say(self.plan.id, transcript, message))
    }

    /// Signs anything as the coordinator.
    pub(crate) fn say(
        &self,
        id: AttemptId,
        transcript: Digest,
        message: &CoordinatorMessage,
    ) -> Envelope {
        self.say_bytes(body(id, transcript, message))
    }

    pub(crate) fn say_bytes(&self, body: Vec<u8>) -> Envelope {
        Envelope {
            sender: Sender::Coordinator,
            signature: self.coordinator.sign(Label::CoordinatorMessage, &[&body]),
            body,
        }
    }

    /// Signs anything as a colluding silo.
    pub(crate) fn forge(&self, seat: usize, transcript: Digest, message: &SiloMessage) -> Envelope {
        let seat = &self.seats[seat];
        sign_as(
            &seat.name,
            &seat.key,
            body(self.plan.id, transcript, message),
        )
    }

    // The transcripts, from the protocol's description.

    pub(crate) fn k(&self) -> Digest {
        let before = self.plan.opening_transcript();
        book_digest(Label::KeyBook, &before, &self.script.advertisements)
    }

    pub(crate) fn d(&self) -> Digest {
        let deals = self.script.deals.iter();
        let envelopes: Vec<Envelope> = deals.map(|deal| deal.envelope.clone()).collect();
        book_digest(Label::DealBook, &self.k(), &envelopes)
    }

    pub(crate) fn x(&self) -> Digest {
        self.x_of(&senders(&self.script.ready))
    }

    pub(crate) fn x_of(&self, cohort: &[SiloName]) -> Digest {
        let (k, d) = (self.k(), self.d());
        let (version, id) = (PROTOCOL_VERSION.to_le_bytes(), self.plan.id.to_bytes());
        let plan = self.plan.digest();
        let mut parts: Vec<&[u8]> = vec![
            &version,
            &id,
            self.plan.model.as_bytes(),
            self.plan.task.as_bytes(),
            plan.as_bytes(),
            self.plan.roster_root.as_bytes(),
            k.as_bytes(),
            d.as_bytes(),
        ];
        parts.extend(cohort.iter().map(|silo| silo.as_str().as_bytes()));
        hash(Label::Cohort, &parts)
    }

    /// The sum of the survivors' true vectors.
    pub(crate) fn sum(&self) -> Vec<u64> {
        let names = senders(&self.script.uploads);
        let bits = WordBits::new(self.plan.vector.word_bits).unwrap();
        (0..DIMENSION as usize)
            .map(|at| {
                let survivors = self.seats.iter().filter(|seat| names.contains(&seat.name));
                bits.encode(survivors.map(|seat| seat.vector[at]).sum())
            })
            .collect()
    }

    /// As the coordinator sends it.
    pub(crate) fn packed(&self, sum: &[u64]) -> SumChunks {
        SumChunks::pack(&self.plan, sum).unwrap()
    }

    pub(crate) fn sum_digest(&self, sum: &[u64]) -> Digest {
        let packed = self.packed(sum);
        let chunks = packed.chunks().iter().map(|chunk| chunk_digest(chunk));
        let root = upload_root(&chunks.collect::<Vec<_>>());
        hash(Label::Sum, &[self.x().as_bytes(), root.as_bytes()])
    }

    // The silos.

    /// Asks a silo, does its local work and says what it did.
    pub(crate) fn ask(&mut self, seat: usize, delivery: Delivery) -> Outcome {
        let expected = self.plan.clone();
        self.ask_expecting(seat, delivery, expected)
    }

    /// The same, of a silo whose study leads to the plan `expected`.
    pub(crate) fn ask_expecting(
        &mut self,
        seat: usize,
        delivery: Delivery,
        expected: RoundPlan,
    ) -> Outcome {
        let event = match delivery.envelope.peek_name() {
            Some("Open") => SiloEvent::Opened { delivery, expected },
            Some("Release") => {
                let sum = self.packed(&self.sum());
                SiloEvent::Released { delivery, sum }
            }
            _ => SiloEvent::Delivered(delivery),
        };
        self.tell(seat, event)
    }

    /// Freezes a cohort for a silo whose driver does not mask yet; what it sent.
    pub(crate) fn freeze_only(&mut self, at: usize, question: Delivery) -> Vec<Delivery> {
        let seat = &mut self.seats[at];
        let around = SiloSurroundings {
            name: &seat.name,
            signing_key: &seat.key,
            membership: &self.membership,
            log: &self.log,
            start_nonce: self.start_nonce,
        };
        let machine = std::mem::replace(&mut seat.machine, SiloMachine::new(seat.instance));
        let mut effects = Vec::new();
        let event = SiloEvent::Delivered(question);
        seat.machine = machine.handle(&around, event, &mut self.random, &mut effects);
        assert_eq!(seat.machine.phase_name(), "masking");
        let sent = effects.into_iter().filter_map(|effect| match effect {
            SiloEffect::Send(delivery)
            | SiloEffect::SendOnGrid(delivery)
            | SiloEffect::Upload {
                signed: delivery, ..
            } => Some(delivery),
            _ => None,
        });
        sent.collect()
    }

    pub(crate) fn tell(&mut self, at: usize, event: SiloEvent) -> Outcome {
        let mut outcome = Outcome::default();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let seat = &mut self.seats[at];
            let around = SiloSurroundings {
                name: &seat.name,
                signing_key: &seat.key,
                membership: &self.membership,
                log: &self.log,
                start_nonce: self.start_nonce,
            };
            let machine = std::mem::replace(&mut seat.machine, SiloMachine::new(seat.instance));
            let mut effects = Vec::new();
            seat.machine = machine.handle(&around, event, &mut self.random, &mut effects);
            for effect in effects {
                match effect {
                    SiloEffect::Send(delivery)
                    | SiloEffect::SendOnGrid(delivery)
                    | SiloEffect::Upload {
                        signed: delivery, ..
                    } => outcome.sent.push(delivery),
                    SiloEffect::Train(plan) => {
                        let input = input_digest(&seat.vector);
                        events.push(SiloEvent::Prepared { id: plan.id, input });
                    }
                    SiloEffect::Mask(job) => {
                        let bits = WordBits::new(job.plan().vector.word_bits).unwrap();
                        let mut words: Vec<u64> = seat
                            .vector
                            .iter()
                            .map(|value| bits.encode(*value))
                            .collect();
                        let chunks: Vec<Vec<u8>> = words
                            .chunks_mut(job.plan().chunk_fields as usize)
                            .enumerate()
                            .map(|(index, words)| job.mask_chunk(index as u64, words))
                            .collect();
                        let digests: Vec<Digest> =
                            chunks.iter().map(|chunk| chunk_digest(chunk)).collect();
                        events.push(SiloEvent::Masked {
                            id: job.plan().id,
                            root: upload_root(&digests),
                            length: chunks.iter().map(|chunk| chunk.len() as u64).sum(),
                        });
                        outcome.masked.push(chunks);
                    }
                    SiloEffect::Tag(mut job) => {
                        let bits = job.plan().word_bits().unwrap();
                        let (id, size) = (job.plan().id, job.plan().chunk_fields as usize);
                        assert_eq!(job.input(), input_digest(&seat.vector));
                        for (index, values) in seat.vector.chunks(size).enumerate() {
                            let words: Vec<u64> = values.iter().map(|x| bits.encode(*x)).collect();
                            job.add_chunk(index as u64, &words);
                        }
                        let product = job.finish();
                        events.push(SiloEvent::Tagged { id, product });
                    }
                    SiloEffect::Replay(job) => outcome.replays.push(job),
                    SiloEffect::EraseSecrets => {}
                    SiloEffect::Finished(sum) => outcome.finished.push(sum),
                    SiloEffect::Aborted {
                        id,
                        fault,
                        evidence,
                    } => outcome.aborted.push((id, fault, evidence)),
                    SiloEffect::Rejected(fault) => outcome.rejected.push(fault),
                    SiloEffect::Refused { id, fault, message } => {
                        outcome.refused.push((id, message));
                        outcome.rejected.push(fault);
                    }
                }
            }
        }
        outcome
    }

    /// What a silo asks for after a restart.
    pub(crate) fn resume(&self, seat: usize) -> Vec<SiloEffect> {
        let seat = &self.seats[seat];
        let around = SiloSurroundings {
            name: &seat.name,
            signing_key: &seat.key,
            membership: &self.membership,
            log: &self.log,
            start_nonce: self.start_nonce,
        };
        let mut effects = Vec::new();
        seat.machine.resume(&around, &mut effects);
        effects
    }

    /// Everything that a silo holds: the journal and the secrets file.
    pub(crate) fn picture(&self, seat: usize) -> Picture {
        let machine = &self.seats[seat].machine;
        let secrets = machine.secrets().map(|secrets| secrets.expose().clone());
        (machine.snapshot(), secrets)
    }

    /// Puts a silo back to where a picture was taken.
    pub(crate) fn put_back(&mut self, seat: usize, picture: &Picture) {
        let seat = &mut self.seats[seat];
        seat.machine =
            SiloMachine::restore(&picture.0, picture.1.as_deref(), seat.instance).unwrap();
    }

    /// Whether a silo has ended its attempt and forgotten its keys.
    pub(crate) fn is_out(&self, seat: usize) -> bool {
        let machine = &self.seats[seat].machine;
        machine.phase_name() == "idle" && machine.secrets().is_none()
    }

    /// Demands that the silo ends the attempt over `question`, answers nothing, and can prove why.
    pub(crate) fn assert_aborts(&mut self, seat: usize, question: Delivery) -> Fault {
        let envelope = question.envelope.clone();
        let outcome = self.ask(seat, question);
        assert!(outcome.sent.is_empty(), "{outcome:?}");
        let [(id, fault, evidence)] = outcome.aborted.as_slice() else {
            panic!("no abort: {outcome:?}");
        };
        assert_eq!(*id, self.plan.id);
        assert!(evidence.contains(&envelope), "{fault}: no evidence");
        assert!(self.is_out(seat));
        fault.clone()
    }
}

pub(crate) type Picture = (Vec<u8>, Option<Vec<u8>>);

pub(crate) fn name(seat: usize) -> SiloName {
    SiloName::parse(&format!("silo-{seat:02}")).unwrap()
}

pub(crate) fn plan_of(membership: &Membership, round: u64, attempt: u32) -> RoundPlan {
    let names: Vec<SiloName> = membership.silos.keys().cloned().collect();
    let id = AttemptId {
        epoch: membership.epoch,
        round,
        attempt,
    };
    RoundPlan::new(
        id,
        membership,
        &names,
        None,
        hash(Label::Model, &[&round.to_le_bytes()]),
        hash(Label::Task, &[b"task"]),
        vector_plan(membership, None),
    )
    .unwrap()
}

pub(crate) fn input_digest(vector: &[i64]) -> Digest {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    hash(Label::VectorInput, &[&bytes])
}

/// Signs bytes as a silo.
pub(crate) fn sign_as(name: &SiloName, key: &SigningKey, body: Vec<u8>) -> Envelope {
    Envelope {
        sender: Sender::Silo(name.clone()),
        signature: key.sign(Label::SiloMessage, &[name.as_str().as_bytes(), &body]),
        body,
    }
}

/// A body: attempt, transcript, message.
pub(crate) fn body<M: Serialize>(id: AttemptId, transcript: Digest, message: &M) -> Vec<u8> {
    postcard::to_allocvec(&(id, transcript, message)).unwrap()
}

pub(crate) fn senders(envelopes: &[Envelope]) -> Vec<SiloName> {
    let sender = |envelope: &Envelope| match &envelope.sender {
        Sender::Silo(silo) => silo.clone(),
        Sender::Coordinator => panic!("a silo's message is expected"),
    };
    envelopes.iter().map(sender).collect()
}

pub(crate) fn roots(uploads: &[Envelope]) -> Vec<(SiloName, Digest)> {
    let root = |envelope: &Envelope| match envelope.peek_silo_message() {
        Some(SiloMessage::MaskedInput { root, .. }) => root,
        other => panic!("not an upload: {other:?}"),
    };
    senders(uploads)
        .into_iter()
        .zip(uploads.iter().map(root))
        .collect()
}

pub(crate) fn survivors_digest(x: &Digest, uploads: &[(SiloName, Digest)]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![x.as_bytes()];
    for (silo, root) in uploads {
        parts.push(silo.as_str().as_bytes());
        parts.push(root.as_bytes());
    }
    hash(Label::Survivors, &parts)
}

fn book_digest(label: Label, before: &Digest, envelopes: &[Envelope]) -> Digest {
    let names = senders(envelopes);
    let mut parts: Vec<&[u8]> = vec![before.as_bytes()];
    for (silo, envelope) in names.iter().zip(envelopes) {
        parts.push(silo.as_str().as_bytes());
        parts.push(&envelope.body);
    }
    hash(label, &parts)
}
