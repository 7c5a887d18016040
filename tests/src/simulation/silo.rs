// SPDX-License-Identifier: Apache-2.0
//! A silo: its disk, and while it runs a process with the real machine.
//!
//! The process keeps the driver's contract as the agent does: secrets, then the journal's step that refers to them,
//! then earlier secrets are erased, and only then is anything sent. It can die at each of these places.

mod disk;
mod work;

use super::faults::{CrashPlace, Mutation};
use super::shared_log::{Reader, SharedLog};
use super::study::{Study, next_model};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mersenne::Element;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_protocol::{
    AttemptId, Delivery, Envelope, Fault, ReplayJob, ReplaySource, SiloEffect, SiloEvent,
    SiloMachine, SiloName, SiloSurroundings, SumChunks, VerifiedSum, peek_plan,
};
pub(crate) use disk::{Disk, Progress};
use work::FETCHING;

pub(crate) struct Silo {
    pub(crate) name: SiloName,
    key: SigningKey,
    instance: Digest,
    seed: u64,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    /// How many processes there were.
    started: u64,
    /// Where the process is going to die.
    pub(crate) trap: Option<Trap>,
    /// The vector of the last attempt, which nobody right remembers.
    last_input: Option<Vec<i64>>,
}

/// What dies with the process.
pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) nonce: Digest,
    machine: SiloMachine,
    random: InsecureSeededRandom,
    /// When the attempt's Open arrived: the grid runs from there.
    opened: u64,
    /// An Open whose study is a release ahead of this silo.
    waiting: Option<Delivery>,
}

/// Where a process is going to die, and in which step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    pub(crate) place: CrashPlace,
    pub(crate) message: Option<&'static str>,
}

/// What a silo is lent.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) study: &'a Study,
    pub(crate) log: &'a SharedLog,
    pub(crate) now: u64,
    pub(crate) mutation: Mutation,
    /// What the coordinator serves to a silo that computes the sum again, if it can be reached.
    pub(crate) served: Option<&'a dyn ReplaySource>,
}

/// Work that takes time.
#[derive(Debug)]
pub(crate) enum SiloWork {
    Prepared {
        id: AttemptId,
        input: Digest,
    },
    Masked {
        id: AttemptId,
        root: Digest,
        length: u64,
    },
    Tagged {
        id: AttemptId,
        product: Secret<Element>,
    },
    /// The sum and the uploads are fetched from the coordinator, to compute a part of the sum again.
    Replay(Box<ReplayJob>),
    /// A message whose time on the grid has come.
    Grid(Delivery),
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    Sent(Delivery),
    /// The vector, its chunks under their masks, and the message that follows them.
    Uploaded {
        id: AttemptId,
        input: Vec<i64>,
        chunks: Vec<Vec<u8>>,
        signed: Delivery,
    },
    Working {
        until: u64,
        work: SiloWork,
    },
    Verified(VerifiedSum),
    Aborted {
        id: AttemptId,
        fault: Fault,
        evidence: Vec<Envelope>,
    },
    Rejected(Fault),
    /// The silo is behind and asks for what it missed.
    Behind,
    /// The silo answers nothing of this attempt any more.
    SatOut(AttemptId),
    /// The silo has a sum verified, and says so.
    Accepted {
        id: AttemptId,
        sum: Digest,
    },
    /// The silo does not start with a journal that has gone further before; somebody puts the newest back.
    OldJournalRefused,
    /// It does not start with the newest journal either.
    NewestJournalRefused,
    /// A half-written journal was taken for a whole one.
    TornJournalRead,
    Died(CrashPlace),
}

impl Silo {
    pub(crate) fn new(name: SiloName, key: SigningKey, seed: u64, model: Digest) -> Self {
        let instance = hash(
            Label::StartNonce,
            &[b"instance", name.as_str().as_bytes(), &seed.to_le_bytes()],
        );
        Self {
            name,
            key,
            instance,
            seed,
            disk: Disk::new(model),
            process: None,
            started: 0,
            trap: None,
            last_input: None,
        }
    }

    /// Starts a process from what the disk holds.
    pub(crate) fn start(&mut self, around: Around<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        self.started += 1;
        let number = self.started.to_le_bytes();
        let seed = self.seed.to_le_bytes();
        let own = self.name.as_str().as_bytes();
        let nonce = hash(Label::StartNonce, &[own, &seed, &number]);
        let [first, second, third, fourth, ..] = *nonce.as_bytes();
        let low = u32::from_le_bytes([first, second, third, fourth]);
        let random = InsecureSeededRandom::from_seed(super::network::mix(
            self.seed ^ (u64::from(low) << 16) ^ self.started,
        ));
        if self.disk.is_old() && around.mutation != Mutation::TrustRestoredJournal {
            outcomes.push(match self.disk.put_newest_back() {
                true => Outcome::OldJournalRefused,
                false => Outcome::NewestJournalRefused,
            });
            return outcomes;
        }
        self.disk.settle();
        // A crash came between the two.
        self.disk.reached = self.disk.journal.step;
        let secrets = self.disk.secrets().cloned();
        let secrets = secrets.as_deref();
        if let Some(torn) = self.disk.torn.take()
            && SiloMachine::restore(&torn, secrets, self.instance).is_ok()
        {
            outcomes.push(Outcome::TornJournalRead);
        }
        let restored = match self.disk.journal.snapshot.as_slice() {
            [] => Ok(SiloMachine::new(self.instance)),
            snapshot => SiloMachine::restore(snapshot, secrets, self.instance),
        };
        // A journal that was written whole and cannot be read is the simulator's fault, and shows as a silo that is out.
        let Ok(machine) = restored else {
            return outcomes;
        };
        let resumed = machine.attempt();
        let journal = &self.disk.journal;
        let lost = journal.attempt.filter(|id| resumed != Some(*id));
        outcomes.extend(lost.map(Outcome::SatOut));
        let machine = match lost {
            Some(_) if around.mutation == Mutation::AnswerSatOut => SiloMachine::new(self.instance),
            Some(_) | None => machine,
        };
        let step = journal.step;
        let kept = machine.secrets().and(resumed).map(|id| (id, step));
        self.disk.keep_only_secrets(kept);
        self.disk.keep_only_vectors(resumed);
        let mut effects = Vec::new();
        let process = Process {
            number: self.started,
            nonce,
            machine,
            random,
            opened: around.now,
            waiting: None,
        };
        self.lend(around, &process, |machine, surroundings| {
            machine.resume(surroundings, &mut effects);
        });
        self.process = Some(process);
        self.perform(around, effects, None, &mut outcomes);
        outcomes
    }

    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// A message of the coordinator has arrived.
    pub(crate) fn receive(
        &mut self,
        around: Around<'_>,
        delivery: Delivery,
        sum: Option<Vec<u64>>,
    ) -> Vec<Outcome> {
        match delivery.envelope.peek_name() {
            Some("Open") => self.opened(around, delivery),
            Some("Release") => {
                let words = sum.unwrap_or_default();
                let packed = peek_plan(&delivery).map(|plan| SumChunks::pack(&plan, &words));
                let sum = packed.and_then(Result::ok).unwrap_or_default();
                let mut outcomes = self.handle(around, SiloEvent::Released { delivery, sum });
                let waiting = self
                    .process
                    .as_mut()
                    .and_then(|process| process.waiting.take());
                if let Some(waiting) = waiting {
                    outcomes.extend(self.opened(around, waiting));
                }
                outcomes
            }
            Some(_) | None => self.handle(around, SiloEvent::Delivered(delivery)),
        }
    }

    /// The last moment at which the driver may leave an Open alone.
    fn opened(&mut self, around: Around<'_>, delivery: Delivery) -> Vec<Outcome> {
        let (Some(offered), Some(process)) = (peek_plan(&delivery), &mut self.process) else {
            return Vec::new();
        };
        let progress = self.disk.journal.progress;
        if offered.id.round <= progress.round {
            return Vec::new();
        }
        let shown = delivery.attachments.get(1);
        let shown = shown.and_then(|proof| around.log.released(proof));
        let own = progress.newest.map(|(id, _)| id.order());
        if shown.map(|id| id.order()) > own {
            process.waiting = Some(delivery);
            return vec![Outcome::Behind];
        }
        if process.machine.attempt() != Some(offered.id) {
            process.opened = around.now;
        }
        let expected = match around.mutation {
            Mutation::WeakerPlan => around.study.weaker_plan(offered.id, progress.model),
            _ => around.study.plan(offered.id, progress.model),
        };
        self.handle(around, SiloEvent::Opened { delivery, expected })
    }

    /// Own work has ended.
    pub(crate) fn work_ended(&mut self, around: Around<'_>, work: SiloWork) -> Vec<Outcome> {
        match work {
            SiloWork::Prepared { id, input } => {
                self.handle(around, SiloEvent::Prepared { id, input })
            }
            SiloWork::Masked { id, root, length } => {
                self.handle(around, SiloEvent::Masked { id, root, length })
            }
            SiloWork::Tagged { id, product } => {
                self.handle(around, SiloEvent::Tagged { id, product })
            }
            SiloWork::Replay(job) => self.replay(around, job),
            SiloWork::Grid(delivery) => vec![Outcome::Sent(delivery)],
        }
    }

    /// One step: handle, persist, act.
    fn handle(&mut self, around: Around<'_>, event: SiloEvent) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let Some(mut process) = self.process.take() else {
            return outcomes;
        };
        let forgets =
            around.mutation == Mutation::ForgetBurn && matches!(event, SiloEvent::Masked { .. });
        let mut effects = Vec::new();
        let reader = Reader {
            log: around.log,
            silo: &self.name,
            newest: self.disk.journal.progress.newest,
        };
        let surroundings = SiloSurroundings {
            name: &self.name,
            signing_key: &self.key,
            membership: &around.study.membership,
            log: &reader,
            start_nonce: process.nonce,
        };
        process.machine =
            process
                .machine
                .handle(&surroundings, event, &mut process.random, &mut effects);
        let progress =
            effects.iter().fold(
                self.disk.journal.progress,
                |progress, effect| match effect {
                    SiloEffect::Finished(sum) => advance(progress, sum, around.mutation),
                    _ => progress,
                },
            );
        let snapshot = process.machine.snapshot();
        let changed =
            snapshot != self.disk.journal.snapshot || progress != self.disk.journal.progress;
        let sends = |effect: &SiloEffect| message_of(effect).is_some();
        let place = match self.trap {
            Some(Trap { place, message }) if changed || effects.iter().any(sends) => {
                let named = |effect: &SiloEffect| message_of(effect) == message;
                let fires = message.is_none() || effects.iter().any(named);
                fires.then_some(place)
            }
            Some(_) | None => None,
        };
        let early = around.mutation == Mutation::SendBeforePersist;
        self.process = Some(process);
        if early {
            self.perform(around, std::mem::take(&mut effects), None, &mut outcomes);
        }
        if around.mutation == Mutation::AcceptEarly {
            outcomes.extend(effects.iter().find_map(|effect| match effect {
                SiloEffect::Finished(sum) => Some(Outcome::Accepted {
                    id: sum.plan.id,
                    sum: sum.digest,
                }),
                _ => None,
            }));
        }
        if changed && !forgets {
            let durable = self.persist(around, snapshot, progress, place);
            if let Err(place) = durable {
                return self.die(place, outcomes);
            }
        }
        let sent = match place {
            Some(CrashPlace::Sent(count)) => Some(count),
            Some(place) => return self.die(place, outcomes),
            None => None,
        };
        self.perform(around, effects, sent, &mut outcomes);
        outcomes
    }

    fn die(&mut self, place: CrashPlace, mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
        self.trap = None;
        self.process = None;
        outcomes.push(Outcome::Died(place));
        outcomes
    }

    /// Secrets, journal, erasure. `Err` where the process dies before the end of it.
    fn persist(
        &mut self,
        around: Around<'_>,
        snapshot: Vec<u8>,
        progress: Progress,
        place: Option<CrashPlace>,
    ) -> Result<(), CrashPlace> {
        let dies = |at: CrashPlace| if place == Some(at) { Err(at) } else { Ok(()) };
        dies(CrashPlace::BeforePersist)?;
        for refused in [
            CrashPlace::WriteFails,
            CrashPlace::TornKept,
            CrashPlace::KeptOnly,
        ] {
            dies(refused)?;
        }
        let Some(process) = &self.process else {
            return Ok(());
        };
        let attempt = process.machine.attempt();
        let secrets = process.machine.secrets();
        let step = self.disk.journal.step + 1;
        let key = secrets.as_ref().and(attempt).map(|id| (id, step));
        if let Some((key, secrets)) = key.zip(secrets) {
            let bytes = secrets.expose().to_vec();
            if dies(CrashPlace::TornSecrets).is_err() {
                let half = bytes.len() / 2;
                self.disk.secrets.insert(key, bytes[..half].to_vec());
                return Err(CrashPlace::TornSecrets);
            }
            self.disk.secrets.insert(key, bytes);
        }
        dies(CrashPlace::TornSecrets)?;
        dies(CrashPlace::SecretsOnly)?;
        if around.mutation == Mutation::ReachedFirst {
            self.disk.reached = step;
        }
        if dies(CrashPlace::TornJournal).is_err() {
            let half = match around.mutation {
                Mutation::TearLate => snapshot.len(),
                _ => snapshot.len() / 2,
            };
            self.disk.torn = Some(snapshot[..half].to_vec());
            return Err(CrashPlace::TornJournal);
        }
        self.disk.journal = disk::Journal {
            step,
            snapshot,
            attempt,
            secrets_of: key.map(|(id, _)| id),
            progress,
        };
        dies(CrashPlace::JournalOnly)?;
        if around.mutation != Mutation::ReachedLate {
            self.disk.reached = step;
        }
        dies(CrashPlace::ReachedOnly)?;
        if around.mutation != Mutation::KeepSecrets {
            self.disk.keep_only_secrets(key);
        }
        Ok(())
    }

    /// Does what the machine asks for; dies after `dies_after` messages.
    fn perform(
        &mut self,
        around: Around<'_>,
        effects: Vec<SiloEffect>,
        dies_after: Option<u8>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let mut sent = 0;
        for effect in effects {
            if dies_after == Some(sent) {
                break;
            }
            if message_of(&effect).is_some() {
                sent = sent.saturating_add(1);
            }
            match effect {
                SiloEffect::Send(delivery) => outcomes.push(Outcome::Sent(delivery)),
                SiloEffect::SendOnGrid(delivery) => {
                    let (until, work) = (self.grid_time(around.now), SiloWork::Grid(delivery));
                    outcomes.push(Outcome::Working { until, work });
                }
                SiloEffect::Train(plan) => outcomes.push(self.train(around, &plan)),
                SiloEffect::Mask(job) => outcomes.extend(self.mask(around, &job)),
                SiloEffect::Tag(job) => outcomes.extend(self.tag(around, job)),
                SiloEffect::Replay(job) => outcomes.push(Outcome::Working {
                    until: around.now + FETCHING,
                    work: SiloWork::Replay(Box::new(job)),
                }),
                SiloEffect::Upload { id, root, signed } => {
                    outcomes.extend(self.upload(id, &root, signed));
                }
                // The step that erased them from the machine has erased their file.
                SiloEffect::EraseSecrets => {}
                SiloEffect::Finished(sum) => {
                    self.erase_vectors();
                    let (id, digest) = (sum.plan.id, sum.digest);
                    outcomes.push(Outcome::Verified(sum));
                    // A sum that does not follow from this silo's last one is verified and not taken.
                    let newest = self.disk.journal.progress.newest;
                    if newest.is_some_and(|(newest, _)| newest.order() >= id.order()) {
                        outcomes.push(Outcome::Accepted { id, sum: digest });
                    }
                }
                SiloEffect::Aborted {
                    id,
                    fault,
                    evidence,
                } => {
                    self.erase_vectors();
                    let evidence = match around.mutation {
                        Mutation::DropEvidence => Vec::new(),
                        _ => evidence,
                    };
                    outcomes.push(Outcome::Aborted {
                        id,
                        fault,
                        evidence,
                    });
                }
                SiloEffect::Rejected(fault) | SiloEffect::Refused { fault, .. } => {
                    outcomes.push(Outcome::Rejected(fault));
                }
            }
        }
        if let Some(count) = dies_after {
            *outcomes = self.die(CrashPlace::Sent(count), std::mem::take(outcomes));
            return;
        }
        self.disk.reached = self.disk.journal.step;
    }

    fn lend(
        &self,
        around: Around<'_>,
        process: &Process,
        act: impl FnOnce(&SiloMachine, &SiloSurroundings<'_>),
    ) {
        let reader = Reader {
            log: around.log,
            silo: &self.name,
            newest: self.disk.journal.progress.newest,
        };
        let surroundings = SiloSurroundings {
            name: &self.name,
            signing_key: &self.key,
            membership: &around.study.membership,
            log: &reader,
            start_nonce: process.nonce,
        };
        act(&process.machine, &surroundings);
    }
}

/// The study one verified release further, if it is the next one.
fn advance(progress: Progress, sum: &VerifiedSum, mutation: Mutation) -> Progress {
    let is_next = sum.plan.id.round == progress.round + 1 && sum.plan.model == progress.model;
    if !is_next {
        return progress;
    }
    Progress {
        round: sum.plan.id.round,
        model: match mutation {
            Mutation::OtherModel => next_model(&sum.digest, &progress.model),
            _ => next_model(&progress.model, &sum.digest),
        },
        newest: Some((sum.plan.id, sum.digest)),
    }
}

/// The message that an effect sends.
fn message_of(effect: &SiloEffect) -> Option<&'static str> {
    match effect {
        SiloEffect::Send(delivery)
        | SiloEffect::SendOnGrid(delivery)
        | SiloEffect::Upload {
            signed: delivery, ..
        } => delivery.envelope.peek_name(),
        SiloEffect::Finished(_) => Some("Accepted"),
        SiloEffect::Train(_)
        | SiloEffect::Mask(_)
        | SiloEffect::Tag(_)
        | SiloEffect::Replay(_)
        | SiloEffect::EraseSecrets
        | SiloEffect::Aborted { .. }
        | SiloEffect::Refused { .. }
        | SiloEffect::Rejected(_) => None,
    }
}
