// SPDX-License-Identifier: Apache-2.0
//! Rounds of secure aggregation in one process: the real state machines of both sides, a queue for a network.

use crate::fuzz::Recording;
use anyhow::{Context, Result, bail};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{
    AttemptId, ChunkSource, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine,
    CoordinatorSurroundings, Deadlines, Delivery, InnerProduct, LogVerifier, Membership, RoundPlan,
    SiloEffect, SiloEvent, SiloMachine, SiloName, SiloSurroundings, SumChunks, chunk_digest,
    upload_root,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A federation that aggregates, round after round.
pub struct Federation {
    membership: Membership,
    coordinator_key: SigningKey,
    silos: Vec<Silo>,
    random: InsecureSeededRandom,
    round: u64,
    recording: Option<Recording>,
    traffic: Vec<Message>,
}

/// What anybody on the network sees of a message: who sent it, which one it is, how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The silo.
    pub from: String,
    /// The message's name.
    pub name: &'static str,
    /// Bytes, attachments included.
    pub length: usize,
}

struct Silo {
    name: SiloName,
    key: SigningKey,
    machine: Option<SiloMachine>,
}

/// Figures need no log: there is nobody here to lie.
pub(crate) struct NoLog;

impl LogVerifier for NoLog {
    fn start_is_logged(&self, _: &Digest, _: &[u8]) -> bool {
        true
    }
    fn sum_is_logged(&self, _: AttemptId, _: &Digest, _: &[u8]) -> bool {
        true
    }
    fn release_is_logged(&self, _: Option<&[u8]>) -> bool {
        true
    }
}

struct Spool(BTreeMap<(SiloName, u64), Vec<u8>>);

impl ChunkSource for Spool {
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>> {
        self.0
            .get(&(silo.clone(), index))
            .cloned()
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

impl Federation {
    /// Founds a federation of these silos; a third of them, rounded down, may collude.
    ///
    /// # Errors
    /// A name that is none.
    pub fn new(names: &[&str]) -> Result<Self> {
        let mut random = InsecureSeededRandom::from_seed(2017);
        let coordinator_key = SigningKey::from_seed(&random.secret32());
        let mut silos = Vec::new();
        for name in names {
            silos.push(Silo {
                name: SiloName::parse(name)?,
                key: SigningKey::from_seed(&random.secret32()),
                machine: Some(SiloMachine::new(Self::instance(name))),
            });
        }
        silos.sort_by(|left, right| left.name.cmp(&right.name));
        let membership = Membership {
            epoch: 1,
            roster_root: hash(Label::RosterRoot, &[]),
            coordinator: coordinator_key.verifying_key(),
            silos: silos
                .iter()
                .map(|silo| (silo.name.clone(), silo.key.verifying_key()))
                .collect(),
            colluders: u32::try_from(names.len())? / 3,
        };
        Ok(Self {
            membership,
            coordinator_key,
            silos,
            random,
            round: 0,
            recording: None,
            traffic: Vec::new(),
        })
    }

    pub(crate) fn instance(name: &str) -> Digest {
        hash(Label::StartNonce, &[name.as_bytes()])
    }

    /// Writes down everything that is sent in the rounds to come, and the machines before each message.
    pub fn record(&mut self) {
        self.recording = Some(Recording::default());
    }

    /// What was written down, with what a machine must be lent to go on from there.
    #[must_use]
    pub fn recorded(self) -> Option<Recording> {
        let mut recording = self.recording?;
        recording.membership = Some(self.membership);
        recording.coordinator_key = Some(self.coordinator_key);
        recording.silos = self
            .silos
            .into_iter()
            .map(|silo| (silo.name, silo.key))
            .collect();
        Some(recording)
    }

    /// Adds up one vector per silo, in the alphabetical order of the names, by one whole round without a drop.
    ///
    /// # Errors
    /// Whatever one of the machines refuses.
    pub fn sum(&mut self, vector: &VectorPlan, inputs: &[Vec<i64>]) -> Result<Vec<i64>> {
        self.sum_checked_by(vector, inputs, |product, index, words| {
            product.add_chunk(index, words);
        })
    }

    /// What the silos sent in the last round.
    #[must_use]
    pub fn traffic(&self) -> &[Message] {
        &self.traffic
    }

    /// The same, but the silos at these places are gone once the cohort is frozen: the others hold their shares of a
    /// mask that is never sent.
    ///
    /// # Errors
    /// Whatever one of the machines refuses.
    pub fn sum_of_survivors(
        &mut self,
        vector: &VectorPlan,
        inputs: &[Vec<i64>],
        gone: &[usize],
    ) -> Result<Vec<i64>> {
        self.round_without(gone, vector, inputs, |product, index, words| {
            product.add_chunk(index, words);
        })
    }

    /// The same, where `check` takes each chunk of the sum into the inner product with the challenge.
    ///
    /// # Errors
    /// Whatever one of the machines refuses, such as a sum that was not checked as it is.
    pub fn sum_checked_by(
        &mut self,
        vector: &VectorPlan,
        inputs: &[Vec<i64>],
        check: impl FnMut(&mut InnerProduct, u64, &[u64]),
    ) -> Result<Vec<i64>> {
        self.round_without(&[], vector, inputs, check)
    }

    fn round_without(
        &mut self,
        gone: &[usize],
        vector: &VectorPlan,
        inputs: &[Vec<i64>],
        mut check: impl FnMut(&mut InnerProduct, u64, &[u64]),
    ) -> Result<Vec<i64>> {
        self.round += 1;
        self.traffic.clear();
        let names: Vec<SiloName> = self.silos.iter().map(|silo| silo.name.clone()).collect();
        let id = AttemptId {
            epoch: 1,
            round: self.round,
            attempt: 1,
        };
        let model = hash(Label::Model, &[&self.round.to_le_bytes()]);
        let task = hash(Label::Task, &[b"figures"]);
        let dropouts = vector.noise.map_or(0, |noise| noise.dropouts);
        let plan = RoundPlan::new(
            id,
            &self.membership,
            &names,
            Some(dropouts),
            model,
            task,
            *vector,
        )?;
        let bits = WordBits::new(vector.word_bits)?;
        let mut to_silos: VecDeque<(usize, Delivery)> = VecDeque::new();
        let mut to_coordinator: VecDeque<CoordinatorEvent> = VecDeque::new();
        let mut spool = Spool(BTreeMap::new());
        let mut deals: BTreeMap<SiloName, Vec<Vec<u8>>> = BTreeMap::new();
        let mut departed = BTreeSet::new();
        let mut sum = Vec::new();
        let surroundings = CoordinatorSurroundings {
            membership: &self.membership,
            signing_key: &self.coordinator_key,
            deadlines: Deadlines {
                exchange_milliseconds: 1,
                preparation_milliseconds: 1,
                upload_milliseconds: 1,
            },
        };
        let mut effects = Vec::new();
        let mut coordinator = CoordinatorMachine::open(
            &surroundings,
            plan.clone(),
            BTreeMap::new(),
            0,
            &mut effects,
        );
        loop {
            for effect in effects.drain(..) {
                match effect {
                    CoordinatorEffect::KeepDeal {
                        dealer,
                        ciphertexts,
                    } => {
                        deals.insert(dealer, ciphertexts);
                    }
                    CoordinatorEffect::KeepReveal { .. } => {}
                    CoordinatorEffect::Accuse(accusation) => bail!("{}", accusation.fault),
                    CoordinatorEffect::Send { to, outgoing } => {
                        let delivery = outgoing.delivery(&deals)?;
                        let at = names.binary_search(&to).ok().context("an unknown silo")?;
                        to_silos.push_back((at, delivery));
                    }
                    CoordinatorEffect::Unmask(job) => {
                        let mut packed = SumChunks::default();
                        let digest = job.run(&spool, &mut packed)?;
                        sum = packed.words(job.plan())?;
                        to_coordinator.push_back(CoordinatorEvent::Summed { digest });
                    }
                    CoordinatorEffect::CommitSum(_) => {
                        let proof = Vec::new();
                        to_coordinator.push_back(CoordinatorEvent::SumLogged { proof });
                    }
                    CoordinatorEffect::CheckSum(mut product) => {
                        let size = usize::try_from(plan.chunk_fields)?;
                        for (index, words) in (0..).zip(sum.chunks(size)) {
                            check(&mut product, index, words);
                        }
                        to_coordinator.push_back(CoordinatorEvent::Checked { product });
                    }
                    CoordinatorEffect::Record { .. } => {}
                    CoordinatorEffect::Released { .. } => {
                        if let Some(recording) = &mut self.recording {
                            for (at, delivery) in &to_silos {
                                let machine =
                                    self.silos.get(*at).and_then(|silo| silo.machine.as_ref());
                                let machine = machine.context("a machine")?;
                                recording.silo(*at, machine, delivery, &plan);
                            }
                        }
                        return Ok(sum.iter().map(|word| bits.lift(*word)).collect());
                    }
                    CoordinatorEffect::Abandoned { reason, .. } => bail!("abandoned: {reason}"),
                    CoordinatorEffect::Rejected { fault, .. } => bail!("rejected: {fault}"),
                }
            }
            if let Some(event) = to_coordinator.pop_front() {
                self.traffic.extend(Message::of(&event)?);
                if let Some(recording) = &mut self.recording {
                    recording.coordinator(&coordinator, &event);
                }
                coordinator = coordinator.handle(&surroundings, 0, event, &mut effects);
            } else if let Some((at, delivery)) = to_silos.pop_front() {
                if departed.contains(&at) {
                    continue;
                }
                let input = inputs.get(at).context("a vector for every silo")?;
                let silo = self.silos.get_mut(at).context("a silo for every name")?;
                if let (Some(recording), Some(machine)) = (&mut self.recording, &silo.machine) {
                    recording.silo(at, machine, &delivery, &plan);
                }
                let random = &mut self.random;
                let mut network = Network {
                    to_coordinator: &mut to_coordinator,
                    spool: &mut spool,
                    departs: gone.contains(&at),
                    has_departed: false,
                };
                deliver(
                    silo,
                    &self.membership,
                    &plan,
                    bits,
                    input,
                    delivery,
                    random,
                    &mut network,
                )?;
                if network.has_departed {
                    departed.insert(at);
                }
            } else {
                bail!("the round stands still while {}", coordinator.phase_name());
            }
        }
    }
}

struct Network<'a> {
    to_coordinator: &'a mut VecDeque<CoordinatorEvent>,
    spool: &'a mut Spool,
    /// Whether this silo goes where it would mask its vector.
    departs: bool,
    has_departed: bool,
}

impl Message {
    fn of(event: &CoordinatorEvent) -> Result<Option<Self>> {
        Ok(match event {
            CoordinatorEvent::Delivered { from, delivery } => {
                let attached = delivery.attachments.iter().map(Vec::len).sum::<usize>();
                Some(Self {
                    from: from.to_string(),
                    name: delivery.envelope.peek_name().context("a name")?,
                    length: delivery.envelope.body.len() + attached,
                })
            }
            CoordinatorEvent::Uploaded { from, length, .. } => Some(Self {
                from: from.to_string(),
                name: "Upload",
                length: usize::try_from(*length)?,
            }),
            CoordinatorEvent::Gone(_)
            | CoordinatorEvent::Back(_)
            | CoordinatorEvent::Tick
            | CoordinatorEvent::Summed { .. }
            | CoordinatorEvent::SumLogged { .. }
            | CoordinatorEvent::Checked { .. }
            | CoordinatorEvent::Cancel { .. } => None,
        })
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a driver's whole surroundings, used once"
)]
fn deliver(
    silo: &mut Silo,
    membership: &Membership,
    plan: &RoundPlan,
    bits: WordBits,
    input: &[i64],
    delivery: Delivery,
    random: &mut InsecureSeededRandom,
    network: &mut Network<'_>,
) -> Result<()> {
    let around = SiloSurroundings {
        name: &silo.name,
        signing_key: &silo.key,
        membership,
        log: &NoLog,
        start_nonce: hash(Label::StartNonce, &[]),
    };
    let mut events = VecDeque::from([match delivery.envelope.peek_name() {
        Some("Open") => SiloEvent::Opened {
            delivery,
            expected: plan.clone(),
        },
        _ => SiloEvent::Delivered(delivery),
    }]);
    while let Some(event) = events.pop_front() {
        let mut effects = Vec::new();
        let machine = silo.machine.take().context("a machine")?;
        silo.machine = Some(machine.handle(&around, event, random, &mut effects));
        for effect in effects {
            match effect {
                SiloEffect::Send(delivery)
                | SiloEffect::SendOnGrid(delivery)
                | SiloEffect::Upload {
                    signed: delivery, ..
                } => {
                    network
                        .to_coordinator
                        .push_back(CoordinatorEvent::Delivered {
                            from: silo.name.clone(),
                            delivery,
                        });
                }
                SiloEffect::Train(plan) => {
                    let bytes: Vec<u8> =
                        input.iter().flat_map(|value| value.to_le_bytes()).collect();
                    let input = hash(Label::VectorInput, &[&bytes]);
                    events.push_back(SiloEvent::Prepared { id: plan.id, input });
                }
                SiloEffect::Mask(_) if network.departs => {
                    network.has_departed = true;
                    network
                        .to_coordinator
                        .push_back(CoordinatorEvent::Gone(silo.name.clone()));
                }
                SiloEffect::Mask(job) => {
                    let mut words: Vec<u64> =
                        input.iter().map(|value| bits.encode(*value)).collect();
                    let size = usize::try_from(plan.chunk_fields)?;
                    let (mut digests, mut length) = (Vec::new(), 0);
                    for (index, words) in (0..).zip(words.chunks_mut(size)) {
                        let chunk = job.mask_chunk(index, words);
                        digests.push(chunk_digest(&chunk));
                        length += u64::try_from(chunk.len())?;
                        network.spool.0.insert((silo.name.clone(), index), chunk);
                    }
                    let root = upload_root(&digests);
                    network
                        .to_coordinator
                        .push_back(CoordinatorEvent::Uploaded {
                            from: silo.name.clone(),
                            root,
                            length,
                        });
                    events.push_back(SiloEvent::Masked {
                        id: plan.id,
                        root,
                        length,
                    });
                }
                SiloEffect::Tag(mut job) => {
                    let size = usize::try_from(plan.chunk_fields)?;
                    for (index, values) in (0..).zip(input.chunks(size)) {
                        let words: Vec<u64> =
                            values.iter().map(|value| bits.encode(*value)).collect();
                        job.add_chunk(index, &words);
                    }
                    let product = job.finish();
                    events.push_back(SiloEvent::Tagged {
                        id: plan.id,
                        product,
                    });
                }
                SiloEffect::Replay(_) => bail!("`{}`: a tag is missing", silo.name),
                SiloEffect::EraseSecrets | SiloEffect::Finished(_) => {}
                SiloEffect::Aborted { fault, .. }
                | SiloEffect::Refused { fault, .. }
                | SiloEffect::Rejected(fault) => {
                    bail!("`{}`: {fault}", silo.name)
                }
            }
        }
    }
    Ok(())
}
