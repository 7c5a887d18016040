// SPDX-License-Identifier: Apache-2.0
//! A federation in memory: the real machines of one coordinator and n silos, a queue for a network, and faults.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_privacy::loss::NoiseMultiplier;
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms, VectorPlan};
use consilium_protocol::{
    AttemptId, ChunkSource, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine,
    CoordinatorSurroundings, Deadlines, Delivery, Envelope, Evidence, Fault, LogVerifier,
    Membership, ReplaySource, RoundPlan, SiloEffect, SiloEvent, SiloMachine, SiloName,
    SiloSurroundings, SumChunks, Thresholds, VerifiedSum, chunk_digest, upload_root,
};
use std::collections::{BTreeMap, VecDeque};

pub(crate) const DEADLINES: Deadlines = Deadlines {
    exchange_milliseconds: 1_000,
    preparation_milliseconds: 2_000,
    upload_milliseconds: 3_000,
};
pub(crate) const DIMENSION: u64 = 300;
pub(crate) const BITS: u8 = 24;

/// A log that holds whatever it is asked for.
pub(crate) struct TrustingLog;

impl LogVerifier for TrustingLog {
    fn start_is_logged(&self, _: &Digest, proof: &[u8]) -> bool {
        proof == b"start"
    }
    fn sum_is_logged(&self, _: AttemptId, _: &Digest, proof: &[u8]) -> bool {
        proof == b"sum"
    }
    fn release_is_logged(&self, _: Option<&[u8]>) -> bool {
        true
    }
}

/// What goes wrong, as a value that a test passes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The silo dies instead of sending this message.
    Drop { silo: usize, before: &'static str },
    /// The silo is restarted after it persisted and before it sends this message.
    RestartSilo { silo: usize, before: &'static str },
    /// The same, from a backup that lacks the secrets file.
    RestoreSilo { silo: usize, before: &'static str },
    /// The coordinator is restarted after it persisted and before it sends this message.
    RestartCoordinator { before: &'static str },
    /// The silo's upload arrives only after the survivors were proposed.
    LateUpload { silo: usize },
    /// Every message arrives twice.
    Repeats,
    /// Several silos die, each instead of sending a message.
    Drops(Vec<(usize, &'static str)>),
}

/// What a colluder, whose keys, secrets and machine the hook may use, puts in the place of a message.
pub(crate) type Collusion = Box<dyn FnMut(&mut Silo, Delivery) -> Vec<Delivery>>;

/// What a liar puts in the place of a message to a silo.
pub(crate) type Lie = Box<dyn FnMut(&SiloName, Delivery) -> Vec<Delivery>>;

pub(crate) struct Silo {
    pub(crate) name: SiloName,
    pub(crate) key: std::rc::Rc<SigningKey>,
    pub(crate) machine: Option<SiloMachine>,
    pub(crate) vector: Vec<i64>,
    chunks: Vec<Vec<u8>>,
    pub(crate) finished: Vec<VerifiedSum>,
    pub(crate) aborted: Vec<Fault>,
    pub(crate) rejected: Vec<Fault>,
    restarted: bool,
}

pub(crate) struct Federation {
    pub(crate) membership: Membership,
    pub(crate) coordinator_key: SigningKey,
    pub(crate) silos: Vec<Silo>,
    pub(crate) coordinator: Option<CoordinatorMachine>,
    coordinator_restarted: bool,
    random: InsecureSeededRandom,
    pub(crate) trouble: Trouble,
    now: u64,
    to_silos: VecDeque<(SiloName, Delivery, Vec<u64>)>,
    to_coordinator: VecDeque<CoordinatorEvent>,
    held_back: Vec<CoordinatorEvent>,
    spool: BTreeMap<(SiloName, u64), Vec<u8>>,
    /// What the coordinator keeps of deals.
    deals: BTreeMap<SiloName, Vec<Vec<u8>>>,
    /// Whether the coordinator adds one unit to one coordinate before it commits.
    pub(crate) false_sum: bool,
    /// How often a silo computed the sum again.
    pub(crate) replays: usize,
    /// What the coordinator knows, whether or not it releases it.
    pub(crate) sum: Vec<u64>,
    pub(crate) released: Option<(Vec<SiloName>, Vec<SiloName>)>,
    pub(crate) abandoned: Option<(String, &'static str, bool)>,
    pub(crate) records: Vec<String>,
    pub(crate) rejected: Vec<Fault>,
    /// Silos that the records call misbehaving.
    pub(crate) named: Vec<SiloName>,
    /// What shows each accusation.
    pub(crate) evidence: Vec<Evidence>,
    /// As they came.
    pub(crate) kept_reveals: BTreeMap<SiloName, Envelope>,
    /// H(S), once it is committed.
    pub(crate) committed: Option<Digest>,
    /// On the way from a silo to the coordinator.
    pub(crate) upward: Collusion,
    /// On the way from the coordinator to a silo.
    pub(crate) downward: Lie,
    /// Every upload, whether or not it counts.
    pub(crate) uploads: BTreeMap<SiloName, Vec<Vec<u8>>>,
    /// The parameters of the last attempt.
    pub(crate) last_plan: Option<RoundPlan>,
    /// Every reveal that left a silo.
    pub(crate) reveals: Vec<Delivery>,
}

struct Spool<'a>(&'a BTreeMap<(SiloName, u64), Vec<u8>>);

/// What the coordinator serves to a silo that computes the sum again.
pub(crate) struct Served<'a> {
    pub(crate) uploads: &'a BTreeMap<SiloName, Vec<Vec<u8>>>,
    /// The packed sum.
    pub(crate) sum: Vec<Vec<u8>>,
}

impl<'a> Served<'a> {
    pub(crate) fn new(
        plan: &RoundPlan,
        uploads: &'a BTreeMap<SiloName, Vec<Vec<u8>>>,
        sum: &[u64],
    ) -> Self {
        let sum = SumChunks::pack(plan, sum).unwrap();
        Self {
            uploads,
            sum: sum.chunks().to_vec(),
        }
    }
}

impl ChunkSource for Served<'_> {
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>> {
        let chunks = self.uploads.get(silo);
        let chunk = chunks.and_then(|chunks| chunks.get(index as usize));
        chunk
            .cloned()
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

impl ReplaySource for Served<'_> {
    fn chunk_digests(&self, silo: &SiloName) -> std::io::Result<Vec<Digest>> {
        let chunks = self.uploads.get(silo).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(chunks.iter().map(|chunk| chunk_digest(chunk)).collect())
    }
    fn sum_chunk(&self, index: u64) -> std::io::Result<Vec<u8>> {
        Ok(self.sum[index as usize].clone())
    }
    fn sum_digests(&self) -> std::io::Result<Vec<Digest>> {
        Ok(self.sum.iter().map(|chunk| chunk_digest(chunk)).collect())
    }
}

impl ChunkSource for Spool<'_> {
    fn chunk(&self, silo: &SiloName, index: u64) -> std::io::Result<Vec<u8>> {
        self.0
            .get(&(silo.clone(), index))
            .cloned()
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

impl Federation {
    pub(crate) fn new(count: usize, seed: u64, trouble: Trouble) -> Self {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let coordinator_key = SigningKey::from_seed(&random.secret32());
        let mut silos = Vec::new();
        for at in 0..count {
            let key = SigningKey::from_seed(&random.secret32());
            let vector = (0..DIMENSION)
                .map(|_| (random.next_u64() % 2001) as i64 - 1000)
                .collect();
            let instance = hash(Label::StartNonce, &[&[at as u8]]);
            silos.push(Silo {
                name: SiloName::parse(&format!("silo-{at:02}")).unwrap(),
                key: std::rc::Rc::new(key),
                machine: Some(SiloMachine::new(instance)),
                vector,
                chunks: Vec::new(),
                finished: Vec::new(),
                aborted: Vec::new(),
                rejected: Vec::new(),
                restarted: false,
            });
        }
        let membership = Membership {
            epoch: 1,
            roster_root: hash(Label::RosterRoot, &[b"roster"]),
            coordinator: coordinator_key.verifying_key(),
            silos: silos
                .iter()
                .map(|silo| (silo.name.clone(), silo.key.verifying_key()))
                .collect(),
            colluders: (count / 3) as u32,
        };
        Self {
            membership,
            coordinator_key,
            silos,
            coordinator: None,
            coordinator_restarted: false,
            random,
            trouble,
            now: 0,
            to_silos: VecDeque::new(),
            to_coordinator: VecDeque::new(),
            held_back: Vec::new(),
            spool: BTreeMap::new(),
            deals: BTreeMap::new(),
            false_sum: false,
            replays: 0,
            sum: Vec::new(),
            released: None,
            abandoned: None,
            records: Vec::new(),
            rejected: Vec::new(),
            reveals: Vec::new(),
            named: Vec::new(),
            evidence: Vec::new(),
            kept_reveals: BTreeMap::new(),
            committed: None,
            upward: Box::new(|_, delivery| vec![delivery]),
            downward: Box::new(|_, delivery| vec![delivery]),
            uploads: BTreeMap::new(),
            last_plan: None,
        }
    }

    pub(crate) fn plan(&self, round: u64, attempt: u32, dropouts: Option<u32>) -> RoundPlan {
        let names: Vec<SiloName> = self.silos.iter().map(|silo| silo.name.clone()).collect();
        RoundPlan::new(
            AttemptId {
                epoch: 1,
                round,
                attempt,
            },
            &self.membership,
            &names,
            dropouts,
            hash(Label::Model, &[&round.to_le_bytes()]),
            hash(Label::Task, &[b"task"]),
            vector_plan(&self.membership, dropouts),
        )
        .unwrap()
    }

    /// Runs one attempt to its end.
    pub(crate) fn run(&mut self, plan: RoundPlan) {
        self.released = None;
        self.abandoned = None;
        self.deals.clear();
        self.last_plan = Some(plan.clone());
        let proofs = plan
            .silos
            .iter()
            .map(|silo| (silo.clone(), vec![b"start".to_vec()]))
            .collect();
        let mut effects = Vec::new();
        let membership = self.membership.clone();
        let surroundings = surroundings(&membership, &self.coordinator_key);
        let machine = CoordinatorMachine::open(&surroundings, plan, proofs, self.now, &mut effects);
        self.coordinator = Some(machine);
        self.perform_coordinator(effects);
        for _ in 0..10_000 {
            if let Some((to, delivery, sum)) = self.to_silos.pop_front() {
                for delivery in (self.downward)(&to, delivery) {
                    self.deliver_to_silo(&to, delivery.clone(), sum.clone());
                    if self.trouble == Trouble::Repeats {
                        self.deliver_to_silo(&to, delivery, sum.clone());
                    }
                }
            } else if let Some(event) = self.to_coordinator.pop_front() {
                self.coordinator_event(event);
            } else if self.released.is_some() || self.abandoned.is_some() {
                return;
            } else if let Some(deadline) = self
                .coordinator
                .as_ref()
                .and_then(CoordinatorMachine::deadline)
            {
                self.now = deadline;
                self.coordinator_event(CoordinatorEvent::Tick);
            } else {
                return;
            }
        }
        panic!("the attempt does not end");
    }

    fn deliver_to_silo(&mut self, to: &SiloName, delivery: Delivery, sum: Vec<u64>) {
        let at = self.silos.iter().position(|silo| silo.name == *to).unwrap();
        let event = match delivery.envelope.peek_name() {
            Some("Open") => {
                let expected = consilium_protocol::peek_plan(&delivery).unwrap();
                SiloEvent::Opened { delivery, expected }
            }
            Some("Release") => {
                let plan = consilium_protocol::peek_plan(&delivery).unwrap();
                let sum = SumChunks::pack(&plan, &sum).unwrap();
                SiloEvent::Released { delivery, sum }
            }
            _ => SiloEvent::Delivered(delivery),
        };
        self.silo_event(at, event);
    }

    fn silo_event(&mut self, at: usize, event: SiloEvent) {
        let membership = self.membership.clone();
        let silo = &mut self.silos[at];
        let Some(machine) = silo.machine.take() else {
            return;
        };
        let (name, key) = (silo.name.clone(), silo.key.clone());
        let around = SiloSurroundings {
            name: &name,
            signing_key: &key,
            membership: &membership,
            log: &TrustingLog,
            start_nonce: hash(Label::StartNonce, &[b"nonce"]),
        };
        let mut effects = Vec::new();
        let machine = machine.handle(&around, event, &mut self.random, &mut effects);
        silo.machine = Some(machine);
        self.perform_silo(at, effects, &around);
    }

    fn perform_silo(&mut self, at: usize, effects: Vec<SiloEffect>, around: &SiloSurroundings<'_>) {
        let bits = WordBits::new(BITS).unwrap();
        for effect in effects {
            if self.silos[at].machine.is_none() {
                return;
            }
            match effect {
                SiloEffect::Send(delivery) | SiloEffect::SendOnGrid(delivery) => {
                    if !self.send_to_coordinator(at, delivery, around) {
                        return;
                    }
                }
                SiloEffect::Train(plan) => {
                    let bytes: Vec<u8> = self.silos[at]
                        .vector
                        .iter()
                        .flat_map(|value| value.to_le_bytes())
                        .collect();
                    let input = hash(Label::VectorInput, &[&bytes]);
                    self.silo_event(at, SiloEvent::Prepared { id: plan.id, input });
                }
                SiloEffect::Mask(job) => {
                    let mut words: Vec<u64> = self.silos[at]
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
                    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
                    self.silos[at].chunks = chunks;
                    let (id, root) = (job.plan().id, upload_root(&digests));
                    self.silo_event(at, SiloEvent::Masked { id, root, length });
                }
                SiloEffect::Upload { root, signed, .. } => {
                    let name = self.silos[at].name.clone();
                    let chunks = self.silos[at].chunks.clone();
                    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
                    self.uploads.insert(name.clone(), chunks.clone());
                    for (index, chunk) in chunks.into_iter().enumerate() {
                        self.spool.insert((name.clone(), index as u64), chunk);
                    }
                    let uploaded = CoordinatorEvent::Uploaded {
                        from: name.clone(),
                        root,
                        length,
                    };
                    if self.trouble == (Trouble::LateUpload { silo: at }) {
                        self.held_back.push(uploaded);
                        self.held_back.push(CoordinatorEvent::Delivered {
                            from: name,
                            delivery: signed,
                        });
                        continue;
                    }
                    self.to_coordinator.push_back(uploaded);
                    if !self.send_to_coordinator(at, signed, around) {
                        return;
                    }
                }
                SiloEffect::Tag(mut job) => {
                    let (id, size) = (job.plan().id, job.plan().chunk_fields as usize);
                    for (index, values) in self.silos[at].vector.chunks(size).enumerate() {
                        let words: Vec<u64> = values.iter().map(|x| bits.encode(*x)).collect();
                        job.add_chunk(index as u64, &words);
                    }
                    let product = job.finish();
                    self.silo_event(at, SiloEvent::Tagged { id, product });
                }
                SiloEffect::Replay(job) => {
                    self.replays += 1;
                    let served = Served::new(job.plan(), &self.uploads, &self.sum);
                    if let Ok(outcome) = job.run(&served) {
                        let id = job.plan().id;
                        self.silo_event(at, SiloEvent::Replayed { id, outcome });
                    }
                }
                SiloEffect::EraseSecrets => assert!(
                    self.silos[at].machine.as_ref().unwrap().secrets().is_none()
                        || self.silos[at].machine.as_ref().unwrap().phase_name() == "advertised"
                ),
                SiloEffect::Finished(sum) => self.silos[at].finished.push(sum),
                SiloEffect::Aborted { fault, .. } => self.silos[at].aborted.push(fault),
                SiloEffect::Rejected(fault) | SiloEffect::Refused { fault, .. } => {
                    self.silos[at].rejected.push(fault);
                }
            }
        }
    }

    /// Returns whether the silo is still the process that it was.
    fn send_to_coordinator(
        &mut self,
        at: usize,
        delivery: Delivery,
        around: &SiloSurroundings<'_>,
    ) -> bool {
        let message = delivery.envelope.peek_name().unwrap();
        let name = self.silos[at].name.clone();
        match &self.trouble {
            Trouble::Drops(drops) if drops.contains(&(at, message)) => {
                self.silos[at].machine = None;
                self.to_coordinator.push_back(CoordinatorEvent::Gone(name));
                return false;
            }
            Trouble::Drop { silo, before } if *silo == at && *before == message => {
                self.silos[at].machine = None;
                self.to_coordinator.push_back(CoordinatorEvent::Gone(name));
                return false;
            }
            Trouble::RestartSilo { silo, before } | Trouble::RestoreSilo { silo, before }
                if *silo == at && *before == message && !self.silos[at].restarted =>
            {
                let lost = matches!(self.trouble, Trouble::RestoreSilo { .. });
                self.restart_silo(at, around, lost);
                return false;
            }
            _ => {}
        }
        if message == "Reveal" {
            self.reveals.push(delivery.clone());
        }
        let times = if self.trouble == Trouble::Repeats {
            2
        } else {
            1
        };
        for delivery in (self.upward)(&mut self.silos[at], delivery) {
            for _ in 0..times {
                let (from, delivery) = (name.clone(), delivery.clone());
                self.to_coordinator
                    .push_back(CoordinatorEvent::Delivered { from, delivery });
            }
        }
        true
    }

    /// A silo whose journal is gone: the same keys, no memory.
    pub(crate) fn forget(&mut self, at: usize) {
        let instance = hash(Label::StartNonce, &[&[at as u8]]);
        self.silos[at].machine = Some(SiloMachine::new(instance));
    }

    fn restart_silo(&mut self, at: usize, around: &SiloSurroundings<'_>, secrets_lost: bool) {
        let silo = &mut self.silos[at];
        silo.restarted = true;
        let machine = silo.machine.take().unwrap();
        let secrets = machine.secrets().filter(|_| !secrets_lost);
        let instance = hash(Label::StartNonce, &[&[at as u8]]);
        let snapshot = machine.snapshot();
        let secrets = secrets.as_ref().map(|secrets| secrets.expose().as_slice());
        let machine = SiloMachine::restore(&snapshot, secrets, instance).unwrap();
        let mut effects = Vec::new();
        machine.resume(around, &mut effects);
        silo.machine = Some(machine);
        let name = silo.name.clone();
        self.perform_silo(at, effects, around);
        self.to_coordinator
            .push_back(CoordinatorEvent::Gone(name.clone()));
        self.to_coordinator
            .push_back(CoordinatorEvent::Back(name.clone()));
        self.replay_outbox(&name);
    }

    fn replay_outbox(&mut self, name: &SiloName) {
        let coordinator = self.coordinator.as_ref().unwrap();
        for outgoing in coordinator.outbox(name) {
            let delivery = outgoing.delivery(&self.deals).unwrap();
            self.to_silos
                .push_back((name.clone(), delivery, self.sum.clone()));
        }
    }

    fn coordinator_event(&mut self, event: CoordinatorEvent) {
        let membership = self.membership.clone();
        let surroundings = surroundings(&membership, &self.coordinator_key);
        let mut effects = Vec::new();
        let machine = self.coordinator.take().unwrap();
        self.coordinator = Some(machine.handle(&surroundings, self.now, event, &mut effects));
        if let Trouble::RestartCoordinator { before } = self.trouble
            && !self.coordinator_restarted
            && effects.iter().any(|effect| sends(effect, before))
        {
            self.restart_coordinator(effects);
        } else {
            self.perform_coordinator(effects);
        }
    }

    /// The records are written, nothing is sent; a new process restores, silos reconnect and get their outbox.
    fn restart_coordinator(&mut self, effects: Vec<CoordinatorEffect>) {
        self.coordinator_restarted = true;
        let kept = effects
            .into_iter()
            .filter(|effect| {
                matches!(
                    effect,
                    CoordinatorEffect::KeepDeal { .. }
                        | CoordinatorEffect::KeepReveal { .. }
                        | CoordinatorEffect::Accuse(_)
                        | CoordinatorEffect::Record { .. }
                        | CoordinatorEffect::Released { .. }
                )
            })
            .collect();
        let snapshot = self.coordinator.take().unwrap().snapshot();
        let machine = CoordinatorMachine::restore(&snapshot, self.now, 1_000).unwrap();
        let mut resumed = Vec::new();
        machine.resume(&mut resumed).unwrap();
        self.coordinator = Some(machine);
        self.perform_coordinator(kept);
        self.perform_coordinator(resumed);
        for name in self
            .silos
            .iter()
            .map(|silo| silo.name.clone())
            .collect::<Vec<_>>()
        {
            self.replay_outbox(&name);
        }
    }

    fn perform_coordinator(&mut self, effects: Vec<CoordinatorEffect>) {
        for effect in effects {
            match effect {
                CoordinatorEffect::KeepDeal {
                    dealer,
                    ciphertexts,
                } => {
                    self.deals.insert(dealer, ciphertexts);
                }
                CoordinatorEffect::KeepReveal { silo, reveal } => {
                    self.kept_reveals.insert(silo, reveal);
                }
                CoordinatorEffect::Accuse(accusation) => {
                    self.named.push(accusation.silo.clone());
                    let trail = self.coordinator.as_ref().unwrap().trail();
                    let evidence = accusation.evidence(trail, &self.kept_reveals).unwrap();
                    self.evidence.push(evidence);
                }
                CoordinatorEffect::Send { to, outgoing } => {
                    let delivery = outgoing.delivery(&self.deals).unwrap();
                    if delivery.envelope.peek_name() == Some("SurvivorProposal") {
                        self.to_coordinator.extend(self.held_back.drain(..));
                    }
                    self.to_silos.push_back((to, delivery, self.sum.clone()));
                }
                CoordinatorEffect::Record { kind, .. } => self.records.push(format!("{kind:?}")),
                CoordinatorEffect::Unmask(job) => {
                    let mut sum = SumChunks::default();
                    let digest = job.run(&Spool(&self.spool), &mut sum).unwrap();
                    self.sum = sum.words(job.plan()).unwrap();
                    let digest = if self.false_sum {
                        let mask = job.plan().word_bits().unwrap().mask();
                        self.sum[7] = self.sum[7].wrapping_add(1) & mask;
                        let sum = SumChunks::pack(job.plan(), &self.sum).unwrap();
                        job.digest(&sum).unwrap()
                    } else {
                        digest
                    };
                    self.to_coordinator
                        .push_back(CoordinatorEvent::Summed { digest });
                }
                CoordinatorEffect::CommitSum(sum) => {
                    self.committed = Some(sum);
                    let proof = b"sum".to_vec();
                    self.to_coordinator
                        .push_back(CoordinatorEvent::SumLogged { proof });
                }
                CoordinatorEffect::CheckSum(mut product) => {
                    let size = product.plan().chunk_fields as usize;
                    for (index, words) in self.sum.chunks(size).enumerate() {
                        product.add_chunk(index as u64, words);
                    }
                    self.to_coordinator
                        .push_back(CoordinatorEvent::Checked { product });
                }
                CoordinatorEffect::Released { survivors, dropped } => {
                    self.released = Some((survivors, dropped));
                }
                CoordinatorEffect::Abandoned {
                    reason,
                    phase,
                    charged,
                } => {
                    self.abandoned = Some((reason, phase, charged));
                }
                CoordinatorEffect::Rejected { fault, .. } => self.rejected.push(fault),
            }
        }
    }

    /// The sum that a trusted third party would have computed over these silos.
    pub(crate) fn true_sum(&self, names: &[SiloName]) -> Vec<u64> {
        let bits = WordBits::new(BITS).unwrap();
        let total = |at: usize| {
            let inputs = self.silos.iter().filter(|silo| names.contains(&silo.name));
            inputs.map(|silo| silo.vector[at]).sum::<i64>()
        };
        (0..DIMENSION as usize)
            .map(|at| bits.encode(total(at)))
            .collect()
    }
}

/// Without noise where nobody may drop. The noise itself is the drivers' business: here it is zero.
pub(crate) fn vector_plan(membership: &Membership, dropouts: Option<u32>) -> VectorPlan {
    let silos = membership.silos.len() as u32;
    if dropouts == Some(0) {
        return VectorPlan::plain(DIMENSION, silos, BITS, 0).unwrap();
    }
    let thresholds = Thresholds::new(silos, membership.colluders, dropouts).unwrap();
    let noise = NoisePlan::derive(&NoiseTerms {
        multiplier: NoiseMultiplier::new(1.0).unwrap(),
        silos,
        dropouts: thresholds.dropouts,
        colluders: thresholds.colluders,
        attempts: 10,
        patients_cap: 1,
        dimension: DIMENSION,
    });
    let vector = VectorPlan::noised(DIMENSION, noise.unwrap()).unwrap();
    assert_eq!(vector.word_bits, BITS);
    vector
}

fn surroundings<'a>(
    membership: &'a Membership,
    key: &'a SigningKey,
) -> CoordinatorSurroundings<'a> {
    CoordinatorSurroundings {
        membership,
        signing_key: key,
        deadlines: DEADLINES,
    }
}

fn sends(effect: &CoordinatorEffect, message: &str) -> bool {
    matches!(effect, CoordinatorEffect::Send { outgoing, .. } if outgoing.envelope.peek_name() == Some(message))
}
