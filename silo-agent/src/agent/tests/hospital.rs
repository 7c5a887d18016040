// SPDX-License-Identifier: Apache-2.0
//! One real agent on a folder of its own; the coordinator's machine, the other silos' machines and the shared log are
//! real, the network is a queue, and the trainer is a script that gives prepared answers and notes what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use consilium_audit::entry::{Actor, Event};
use consilium_audit::log::Log;
use consilium_audit::note::NoteSigner;
use consilium_audit::time::Timestamp;
use consilium_audit::witness::{WitnessHead, WitnessSet};
use consilium_certs::identity::seed_from_pem;
use consilium_certs::{Name, Role, secret_file};
use consilium_crypto::label::Label;
use consilium_crypto::packing::pack;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_learning::Model;
use consilium_learning::contribution::Contribution;
use consilium_policies::Policy;
use consilium_protocol::{
    ChunkSource, CoordinatorEffect, CoordinatorEvent, CoordinatorMachine, CoordinatorSurroundings,
    Deadlines, Delivery, LogVerifier, RecordKind, SiloEffect, SiloEvent, SiloMessage, SumChunks,
    chunk_digest, upload_root,
};
use consilium_wire::v1::{self, coordinator_frame};
use prost::Message as _;

use super::super::*;
use crate::coordinator_link::Outgoing;
use crate::journal::Offer;
use crate::randomness;
use crate::registration::{Behind, DataSet, Registration};
use crate::test_federation::{self, Federation, NAMES, RESEARCHER, STATISTICS};
use crate::trainer::TrainerCommand;
use crate::trainer_child::pipe::{Answer, Description, Finding, TableFacts, write_message};

/// The position of the silo under test.
pub(super) const OWN: usize = 2;
pub(super) const DATA: &str = "ercp-trial";

pub(super) const POLICY: &str = r#"
[policy]
silo = "3_UK"
version = 1
[floor]
aggregation = "secure"
min_silos = 4
min_survivors = 3
differential_privacy = "required-unless-agreed"
min_patients = 20
isolation = "process"
release = "aggregate"
[[grant]]
name = "trial"
who = ["a.ruiz@uni.example"]
data = ["ercp-trial"]
purpose = ["scientific-research"]
analyses = ["statistics"]
ethics = { ref = "IRB-2012-0117", until = "2999-12-31" }
without_noise = "permitted by agreement DUA-2012-7"
rounds_per_job = 2
person_must_approve = false
"#;

pub(super) struct Hospital {
    pub(super) folder: tempfile::TempDir,
    pub(super) federation: Federation,
    pub(super) membership: Membership,
    pub(super) agent: Agent,
    pub(super) inputs: Receiver<Input>,
    pub(super) outgoing: Outgoing,
    /// What the agent said beside messages of the protocol and chunks.
    pub(super) said: Vec<silo_frame::Frame>,
    /// The length of every frame that the agent sent, in order.
    pub(super) said_lengths: Vec<usize>,
    log: Log,
    start: u64,
    newest_release: Option<u64>,
    peers: BTreeMap<SiloName, Option<SiloMachine>>,
    coordinator: Option<CoordinatorMachine>,
    events: VecDeque<CoordinatorEvent>,
    to_peers: VecDeque<(SiloName, Delivery, Vec<u64>)>,
    /// What the coordinator has for the agent and has not delivered.
    pub(super) to_agent: VecDeque<Delivery>,
    spool: Spool,
    deals: BTreeMap<SiloName, Vec<Vec<u8>>>,
    sum: Vec<u64>,
}

#[derive(Default)]
struct Spool(BTreeMap<SiloName, Vec<u8>>);

impl ChunkSource for Spool {
    fn chunk(&self, silo: &SiloName, _: u64) -> std::io::Result<Vec<u8>> {
        Ok(self.0[silo].clone())
    }
}

/// The other silos believe what they are told; they are not under test.
struct TrustingLog;

impl LogVerifier for TrustingLog {
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

impl Hospital {
    pub(super) fn new() -> Hospital {
        let folder = tempfile::tempdir().unwrap();
        let silo = SiloFolder::at(&folder.path().join("silo"));
        fs::create_dir(silo.path()).unwrap();
        let mut random = randomness::round_random();
        let name = Name::parse(NAMES[OWN]).unwrap();
        IdentityFolder::create(&silo.identity(), Role::Silo, &name, &mut random).unwrap();
        let seed = |file: &str| {
            seed_from_pem(&secret_file::read(&silo.identity().join(file)).unwrap()).unwrap()
        };
        let federation = Federation::with_member(OWN, seed("identity.key"), seed("witness.key"));
        fs::write(silo.policy(), POLICY).unwrap();
        let trainer = trainer(folder.path());
        register(&silo, folder.path(), &trainer);

        let (agent, inputs) = open(&silo, federation.roster.clone(), trainer);
        let mut log = shared_log(&folder.path().join("shared"), &federation);
        let started = event(EventKind::SiloStarted, Actor::silo(NAMES[OWN]))
            .with_detail("nonce", agent.start_nonce.to_string());
        let start = log.append(&started).unwrap();
        let peers = NAMES
            .iter()
            .enumerate()
            .filter(|(position, _)| *position != OWN)
            .map(|(position, name)| {
                let instance = Digest::from_bytes([u8::try_from(position).unwrap(); 32]);
                (silo_name(name), Some(SiloMachine::new(instance)))
            })
            .collect();
        let (session, outgoing) = Session::new();
        let mut hospital = Hospital {
            membership: test_federation::membership(&federation.roster),
            folder,
            federation,
            agent,
            inputs,
            outgoing,
            said: Vec::new(),
            said_lengths: Vec::new(),
            log,
            start,
            newest_release: None,
            peers,
            coordinator: None,
            events: VecDeque::new(),
            to_peers: VecDeque::new(),
            to_agent: VecDeque::new(),
            spool: Spool::default(),
            deals: BTreeMap::new(),
            sum: Vec::new(),
        };
        hospital.input(Input::Link(LinkEvent::Connected {
            session,
            own_cosignature: String::new(),
        }));
        hospital
    }

    pub(super) fn silo(&self) -> SiloFolder {
        SiloFolder::at(&self.folder.path().join("silo"))
    }

    pub(super) fn input(&mut self, input: Input) {
        self.agent.handle(input).unwrap();
    }

    pub(super) fn frame(&mut self, frame: coordinator_frame::Frame) {
        self.input(Input::Link(LinkEvent::Frame(Box::new(frame))));
    }

    /// The kinds of questions that trainers were asked, in order: 0 probe, 1 describe, 2 check, 3 contribute.
    pub(super) fn asked(&self) -> String {
        fs::read_to_string(self.folder.path().join("asked"))
            .unwrap()
            .split_whitespace()
            .collect()
    }

    /// Offers a study that the researcher signed, or somebody who is none.
    pub(super) fn offer(&mut self, name: &str, signer: &SigningKey) -> String {
        let id = self.begin_offer(name, signer);
        // A trainer looks at the data, on a thread of its own.
        if self.agent.checking.contains(&id) {
            self.results(1);
        }
        id
    }

    /// The same without waiting for what the trainer finds.
    pub(super) fn begin_offer(&mut self, name: &str, signer: &SigningKey) -> String {
        let study = STATISTICS
            .replace("\"ages\"", &format!("\"{name}\""))
            .into_bytes();
        self.begin_offer_of(study, signer)
    }

    /// Offers the study of this file.
    pub(super) fn begin_offer_of(&mut self, study: Vec<u8>, signer: &SigningKey) -> String {
        let signature = signer
            .sign(Label::StudySignature, &[&study])
            .to_bytes()
            .to_vec();
        let id = hash(Label::StudyId, &[&study, &signature]).to_string();
        self.frame(coordinator_frame::Frame::Offer(v1::StudyOffer {
            study_id: id.clone(),
            study,
            researcher: RESEARCHER.to_owned(),
            signature,
            invited: NAMES.map(str::to_owned).to_vec(),
            deadline_milliseconds: u64::MAX,
        }));
        id
    }

    /// Offers a study that is consented to.
    pub(super) fn consented(&mut self, name: &str) -> String {
        let key = self.federation.researcher_key();
        let id = self.offer(name, &key);
        let record = self.agent.journal.study(&id).unwrap().unwrap();
        assert_eq!(record.state.word(), "granted", "{record:?}");
        id
    }

    /// Registers the data with what a study with noise needs.
    pub(super) fn announce(&self) {
        let folder = self.silo().path().to_owned();
        let data_set = DataSet {
            patient: Some("id".to_owned()),
            patients_at_most: Some(1000),
            ..DataSets::of(&folder).find(DATA).unwrap()
        };
        let description = folder.join("data/ercp-trial.toml");
        fs::write(description, toml::to_string(&data_set).unwrap()).unwrap();
    }

    /// Sends what waits for its time, as if the time had come.
    pub(super) fn send_answers(&mut self) {
        for (due, _) in &mut self.agent.answers {
            *due = Instant::now();
        }
        self.agent.send_due();
        self.settle();
    }

    /// What trainers answer from now on when they are asked to contribute.
    pub(super) fn answer_with(&self, contribution: &Contribution) {
        let answer = Answer {
            isolation: Isolation::Sandbox,
            outcome: Ok(Finding::Contributed(TableFacts {
                patients: 50,
                warnings: Vec::new(),
            })),
        };
        let mut bytes = Vec::new();
        write_message(&mut bytes, &answer).unwrap();
        bytes.extend(contribution.to_bytes());
        fs::write(self.folder.path().join("answer.3"), bytes).unwrap();
    }

    /// The model that the agent has come to in a study.
    pub(super) fn model_of(&self, study: &str) -> Model {
        let record = self.agent.journal.study(study).unwrap().unwrap();
        self.terms_of(study).model(record.model.as_deref()).unwrap()
    }

    pub(super) fn terms_of(&self, study: &str) -> StudyTerms {
        let record = self.agent.journal.study(study).unwrap().unwrap();
        let Offer { study, invited, .. } = &record.offer;
        StudyTerms::derive(study, invited, &self.membership).unwrap()
    }

    /// Opens a round of a study from the model that the agent has come to; `releases` are proofs of earlier releases.
    pub(super) fn open(&mut self, study: &str, round: u64, releases: &[Vec<u8>]) {
        self.open_attempt(study, round, 1, releases);
    }

    /// Opens one of several attempts at a round.
    pub(super) fn open_attempt(
        &mut self,
        study: &str,
        round: u64,
        attempt: u32,
        releases: &[Vec<u8>],
    ) {
        let model = self.model_of(study);
        self.open_from(study, &model, (round, attempt), releases);
    }

    /// Opens an attempt from any model.
    pub(super) fn open_from(
        &mut self,
        study: &str,
        model: &Model,
        (round, attempt): (u64, u32),
        releases: &[Vec<u8>],
    ) {
        let terms = self.terms_of(study);
        let id = AttemptId {
            epoch: self.membership.epoch,
            round,
            attempt,
        };
        let plan = terms.plan(id, &self.membership, model).unwrap();
        let start = self.proof(self.start);
        let attachments: Vec<Vec<u8>> = std::iter::once(start)
            .chain(releases.iter().cloned())
            .collect();
        let proofs = plan
            .silos
            .iter()
            .map(|silo| (silo.clone(), attachments.clone()))
            .collect();
        let mut effects = Vec::new();
        let key = self.federation.coordinator_key();
        let machine =
            CoordinatorMachine::open(&self.surroundings(&key), plan, proofs, 0, &mut effects);
        self.coordinator = Some(machine);
        self.to_agent.clear();
        self.spool = Spool::default();
        self.perform(effects);
    }

    fn surroundings<'a>(&'a self, key: &'a SigningKey) -> CoordinatorSurroundings<'a> {
        CoordinatorSurroundings {
            membership: &self.membership,
            signing_key: key,
            deadlines: Deadlines {
                exchange_milliseconds: 1000,
                preparation_milliseconds: 1000,
                upload_milliseconds: 1000,
            },
        }
    }

    /// The name of the next message for the agent.
    pub(super) fn next_name(&self) -> Option<&'static str> {
        self.to_agent.front()?.envelope.peek_name()
    }

    /// Carries everything but messages for the agent.
    pub(super) fn settle(&mut self) {
        loop {
            self.listen();
            if let Some((to, delivery, sum)) = self.to_peers.pop_front() {
                self.tell_peer(&to, delivery, sum);
            } else if let Some(event) = self.events.pop_front() {
                let key = self.federation.coordinator_key();
                let machine = self.coordinator.take().unwrap();
                let mut effects = Vec::new();
                let machine = machine.handle(&self.surroundings(&key), 0, event, &mut effects);
                self.coordinator = Some(machine);
                self.perform(effects);
            } else {
                return;
            }
        }
    }

    /// Lets the other silos hear nothing of the round that was opened.
    pub(super) fn keep_from_peers(&mut self) {
        self.to_peers.clear();
    }

    /// Delivers one message to the agent under the label of a study.
    pub(super) fn deliver(&mut self, label: &str, delivery: &Delivery) {
        for frame in self.frames(label, delivery) {
            self.frame(frame);
        }
    }

    /// The frames that deliver one message.
    pub(super) fn frames(&self, label: &str, delivery: &Delivery) -> Vec<coordinator_frame::Frame> {
        let mut frames = Vec::new();
        if delivery.envelope.peek_name() == Some("Release") {
            let plan = consilium_protocol::peek_plan(delivery).unwrap();
            let packed = pack(plan.word_bits().unwrap(), &self.sum);
            let chunk = v1::ReleaseChunk::new(plan.id, 0, 1, packed);
            frames.push(coordinator_frame::Frame::ReleaseChunk(chunk));
        }
        let message = v1::ProtocolMessage::new(label, delivery.clone());
        frames.push(coordinator_frame::Frame::Protocol(message));
        frames
    }

    /// Delivers the next message for the agent under its right label and lets the agent's threads come to an end.
    pub(super) fn advance(&mut self, label: &str) {
        let delivery = self.to_agent.pop_front().unwrap();
        self.deliver(label, &delivery);
        match delivery.envelope.peek_name() {
            Some("DealBook" | "Challenge") => self.results(1),
            Some("CohortFreeze") => {
                self.results(1);
                self.receive_upload();
                self.results(1);
            }
            _ => {}
        }
        for delayed in &mut self.agent.delayed {
            delayed.due = Instant::now();
        }
        self.agent.send_due();
        self.settle();
    }

    /// Advances until the next message has this name.
    pub(super) fn advance_to(&mut self, label: &str, name: &str) {
        while self.next_name() != Some(name) {
            self.advance(label);
        }
    }

    /// Carries the round to its end.
    pub(super) fn finish(&mut self, label: &str) {
        self.advance_to(label, "Release");
        self.advance(label);
    }

    /// Hands results of threads to the agent.
    pub(super) fn results(&mut self, count: usize) {
        for _ in 0..count {
            let result = self.inputs.recv_timeout(Duration::from_secs(60)).unwrap();
            self.input(result);
        }
    }

    /// Takes the whole upload as a coordinator does that has nothing of it, and says so.
    pub(super) fn receive_upload(&mut self) {
        let Some(frame) = self.outgoing.uploads.blocking_recv() else {
            return;
        };
        let signed = frame.clone().frame.unwrap();
        self.heard(frame);
        let silo_frame::Frame::Protocol(message) = signed else {
            panic!("an upload begins with its signed root");
        };
        let envelope = message.into_delivery().unwrap().envelope;
        let Some(SiloMessage::MaskedInput { root, .. }) = envelope.peek_silo_message() else {
            panic!("an upload begins with its signed root");
        };
        let id = envelope.peek_attempt().unwrap();
        self.say_held(id, root, 0);
        let chunk = self.outgoing.uploads.blocking_recv().unwrap();
        self.heard(chunk);
        self.say_held(id, root, 1);
    }

    pub(super) fn say_held(&mut self, id: AttemptId, root: Digest, held: u64) {
        let progress = v1::UploadProgress::new(id, root, held);
        self.frame(coordinator_frame::Frame::UploadProgress(progress));
    }

    /// Takes what the agent sent off the line.
    fn listen(&mut self) {
        while let Ok(frame) = self
            .outgoing
            .answers
            .try_recv()
            .or_else(|_| self.outgoing.uploads.try_recv())
        {
            self.heard(frame);
        }
    }

    fn heard(&mut self, frame: v1::SiloFrame) {
        let from = silo_name(NAMES[OWN]);
        self.said_lengths.push(frame.encoded_len());
        match frame.frame.unwrap() {
            silo_frame::Frame::Protocol(message) => {
                let delivery = message.into_delivery().unwrap();
                self.events
                    .push_back(CoordinatorEvent::Delivered { from, delivery });
            }
            silo_frame::Frame::Chunk(chunk) => self.uploaded(from, chunk.data),
            other => self.said.push(other),
        }
    }

    fn uploaded(&mut self, from: SiloName, chunk: Vec<u8>) {
        self.events.push_back(CoordinatorEvent::Uploaded {
            from: from.clone(),
            root: upload_root(&[chunk_digest(&chunk)]),
            length: u64::try_from(chunk.len()).unwrap(),
        });
        self.spool.0.insert(from, chunk);
    }

    fn perform(&mut self, effects: Vec<CoordinatorEffect>) {
        for effect in effects {
            match effect {
                CoordinatorEffect::KeepDeal {
                    dealer,
                    ciphertexts,
                } => {
                    self.deals.insert(dealer, ciphertexts);
                }
                CoordinatorEffect::KeepReveal { .. } => {}
                CoordinatorEffect::Accuse(accusation) => panic!("{}", accusation.fault),
                CoordinatorEffect::Send { to, outgoing } => {
                    let delivery = outgoing.delivery(&self.deals).unwrap();
                    if to.as_str() == NAMES[OWN] {
                        self.to_agent.push_back(delivery);
                    } else {
                        self.to_peers.push_back((to, delivery, self.sum.clone()));
                    }
                }
                CoordinatorEffect::Unmask(job) => {
                    let mut sum = SumChunks::default();
                    let digest = job.run(&self.spool, &mut sum).unwrap();
                    self.sum = sum.words(job.plan()).unwrap();
                    self.events.push_back(CoordinatorEvent::Summed { digest });
                }
                CoordinatorEffect::CheckSum(mut product) => {
                    product.add_chunk(0, &self.sum);
                    self.events.push_back(CoordinatorEvent::Checked { product });
                }
                CoordinatorEffect::CommitSum(digest) => {
                    let place = self.record(EventKind::RoundSumCommitted, &digest);
                    let proof = self.proof(place);
                    self.events.push_back(CoordinatorEvent::SumLogged { proof });
                }
                CoordinatorEffect::Record {
                    kind: RecordKind::Released,
                    digest,
                    ..
                } => self.newest_release = Some(self.record(EventKind::RoundReleased, &digest)),
                CoordinatorEffect::Record { .. } | CoordinatorEffect::Released { .. } => {}
                CoordinatorEffect::Abandoned { reason, .. } => panic!("{reason}"),
                CoordinatorEffect::Rejected { fault, .. } => panic!("{fault}"),
            }
        }
    }

    fn record(&mut self, kind: EventKind, sum: &Digest) -> u64 {
        let id = self.coordinator.as_ref().unwrap().plan().id;
        let event = event(kind, Actor::coordinator("federation"))
            .with_attempt(id.epoch, id.round, id.attempt)
            .with_detail("sum", sum.to_string());
        self.log.append(&event).unwrap()
    }

    /// Asks the agent to cosign the log as it is.
    pub(super) fn ask_to_cosign(&mut self) {
        let checkpoint = self.log.checkpoint().unwrap().to_string();
        self.frame(coordinator_frame::Frame::Cosign(v1::CosignRequest {
            checkpoint,
            old_size: 0,
            consistency: Vec::new(),
        }));
    }

    /// The proof of the newest release.
    pub(super) fn release_proof(&mut self) -> Vec<u8> {
        self.proof(self.newest_release.unwrap())
    }

    /// A proof under a checkpoint that every silo has cosigned.
    fn proof(&mut self, place: u64) -> Vec<u8> {
        let everybody: Vec<usize> = (0..NAMES.len()).collect();
        self.cosigned_by(&everybody);
        self.log.proof(place).unwrap().to_bytes()
    }

    /// The log's head, cosigned by these silos.
    pub(super) fn cosigned_by(&mut self, silos: &[usize]) -> String {
        let head = self.log.checkpoint().unwrap();
        let lines: Vec<String> = silos
            .iter()
            .map(|&position| {
                SharedLog::new(&self.federation.roster, NAMES[position])
                    .unwrap()
                    .witness(self.federation.witness_key(position), WitnessHead::empty())
                    .unwrap()
                    .cosign(&head.to_string(), 0, &[], 1_790_000_001)
                    .unwrap()
                    .to_string()
            })
            .collect();
        self.log.add_cosignatures(head.size(), &lines).unwrap();
        self.log.checkpoint_note(head.size()).unwrap().to_string()
    }

    /// The shared log goes on without this agent.
    pub(super) fn grow_log(&mut self) {
        let event = event(EventKind::StudySubmitted, Actor::coordinator("federation"));
        let size = self.log.size().to_string();
        self.log.append(&event.with_detail("at", size)).unwrap();
    }

    /// The hospital's own log, up to now.
    pub(super) fn own_log(&mut self) -> String {
        self.agent.own_log.sign_head().unwrap();
        fs::read_to_string(self.silo().log().join("entries.jsonl")).unwrap()
    }

    /// A session begins with this checkpoint in its welcome.
    pub(super) fn connect(&mut self, own_cosignature: String) -> Result<(), AgentFault> {
        let (session, outgoing) = Session::new();
        self.outgoing = outgoing;
        self.agent.handle(Input::Link(LinkEvent::Connected {
            session,
            own_cosignature,
        }))
    }

    fn tell_peer(&mut self, to: &SiloName, delivery: Delivery, sum: Vec<u64>) {
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
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.peer_step(to, event) {
                match effect {
                    SiloEffect::Send(delivery) | SiloEffect::SendOnGrid(delivery) => {
                        let from = to.clone();
                        self.events
                            .push_back(CoordinatorEvent::Delivered { from, delivery });
                    }
                    SiloEffect::Train(plan) => {
                        // With noise no second attempt sends what the first has sent.
                        let id = plan.id;
                        let drawn = plan.vector.noise.map_or(0, |_| id.attempt);
                        let input = Digest::from_bytes([u8::try_from(drawn).unwrap(); 32]);
                        events.push_back(SiloEvent::Prepared { id, input });
                    }
                    SiloEffect::Mask(job) => {
                        let words = vec![0; job.plan().fields_in_chunk(0)];
                        let chunk = job.mask_chunk(0, &words);
                        events.push_back(SiloEvent::Masked {
                            id: job.plan().id,
                            root: upload_root(&[chunk_digest(&chunk)]),
                            length: u64::try_from(chunk.len()).unwrap(),
                        });
                        self.spool.0.insert(to.clone(), chunk);
                    }
                    SiloEffect::Upload { signed, .. } => {
                        let chunk = self.spool.0[to].clone();
                        self.uploaded(to.clone(), chunk);
                        self.events.push_back(CoordinatorEvent::Delivered {
                            from: to.clone(),
                            delivery: signed,
                        });
                    }
                    SiloEffect::Tag(mut job) => {
                        let id = job.plan().id;
                        job.add_chunk(0, &vec![0; job.plan().fields_in_chunk(0)]);
                        let product = job.finish();
                        events.push_back(SiloEvent::Tagged { id, product });
                    }
                    SiloEffect::Replay(_) => panic!("{to}: no tag is missing"),
                    SiloEffect::EraseSecrets | SiloEffect::Finished(_) => {}
                    SiloEffect::Aborted { fault, .. }
                    | SiloEffect::Refused { fault, .. }
                    | SiloEffect::Rejected(fault) => {
                        panic!("{to}: {fault}")
                    }
                }
            }
        }
    }

    fn peer_step(&mut self, to: &SiloName, event: SiloEvent) -> Vec<SiloEffect> {
        let position = NAMES.iter().position(|name| *name == to.as_str()).unwrap();
        let key = self.federation.identity_key(position);
        let surroundings = SiloSurroundings {
            name: to,
            signing_key: &key,
            membership: &self.membership,
            log: &TrustingLog,
            start_nonce: Digest::from_bytes([1; 32]),
        };
        let mut effects = Vec::new();
        let machine = self.peers.get_mut(to).unwrap();
        let stepped = machine.take().unwrap().handle(
            &surroundings,
            event,
            &mut randomness::round_random(),
            &mut effects,
        );
        *machine = Some(stepped);
        effects
    }
}

/// Opens an agent on a folder.
pub(super) fn open(
    silo: &SiloFolder,
    roster: VerifiedRoster,
    trainer: Trainer,
) -> (Agent, Receiver<Input>) {
    try_open(silo, roster, trainer).unwrap()
}

/// Opens an agent on a folder that it may not accept.
pub(super) fn try_open(
    silo: &SiloFolder,
    roster: VerifiedRoster,
    trainer: Trainer,
) -> Result<(Agent, Receiver<Input>), AgentFault> {
    let (inputs, received) = sync_channel(32);
    let parts = AgentParts {
        folder: silo.clone(),
        roster,
        trainer,
        crash_point: None,
        inputs,
        log_size: watch::channel(0).0,
    };
    Ok((Agent::open(parts)?, received))
}

/// Answers by the kind of the question, which is the first byte after the length, and notes the kind.
pub(super) fn trainer(folder: &Path) -> Trainer {
    let facts = TableFacts {
        patients: 50,
        warnings: Vec::new(),
    };
    let dimension = {
        let study = consilium_learning::study::Study::parse(STATISTICS.as_bytes()).unwrap();
        consilium_learning::task::Task::new(&study)
            .unwrap()
            .dimension()
    };
    let description = Description {
        sha256: [7; 32],
        rows: 50,
        patients: 50,
        columns: vec!["id".to_owned(), "age".to_owned()],
        patient_marks: Vec::new(),
        row_marks: Vec::new(),
    };
    let findings = [
        Finding::Probed(Vec::new()),
        Finding::Described(description),
        Finding::Checked(facts.clone()),
        Finding::Contributed(facts),
    ];
    for (kind, finding) in findings.into_iter().enumerate() {
        let answer = Answer {
            isolation: Isolation::Sandbox,
            outcome: Ok(finding),
        };
        let mut bytes = Vec::new();
        write_message(&mut bytes, &answer).unwrap();
        if matches!(answer.outcome, Ok(Finding::Contributed(_))) {
            bytes.extend(Contribution::Sum(vec![1.0; dimension]).to_bytes());
        }
        fs::write(folder.join(format!("answer.{kind}")), bytes).unwrap();
    }
    let script = format!(
        "PATH=/usr/bin:/bin; cd '{}'; kind=$(head -c5 | tail -c1 | od -An -tu1 | tr -d ' '); cat >/dev/null; \
         echo $kind >>asked; cat answer.$kind",
        folder.display()
    );
    Trainer::new(TrainerCommand(vec![
        "/bin/sh".into(),
        "-c".into(),
        script.into(),
    ]))
}

fn register(silo: &SiloFolder, folder: &Path, trainer: &Trainer) {
    let file = folder.join("data.csv");
    fs::write(&file, "id,age\n").unwrap();
    let policy = Policy::parse(POLICY.as_bytes()).unwrap();
    let behind = Behind {
        policy: &policy,
        trainer,
    };
    let mut journal = Journal::open(&silo.journal()).unwrap();
    DataSets::of(silo.path())
        .register(
            Registration::of(DATA, &file, "2026-11-24T00:00:00Z"),
            behind,
            &mut journal,
        )
        .unwrap();
}

fn shared_log(folder: &Path, federation: &Federation) -> Log {
    let roster = &federation.roster;
    let signer = NoteSigner::new(&roster.coordinator().log_origin, federation.log_key()).unwrap();
    let witnesses = roster
        .members()
        .iter()
        .map(|member| (member.name.to_string(), member.witness));
    let quorum = usize::try_from(roster.witness_quorum()).unwrap();
    let witnesses = WitnessSet::new(witnesses, quorum).unwrap();
    Log::create(folder, signer, witnesses).unwrap()
}

fn event(kind: EventKind, actor: Actor) -> Event {
    let time = Timestamp::from_system_time(UNIX_EPOCH + Duration::from_secs(1_790_000_000));
    Event::new(kind, time.unwrap(), actor)
}

fn silo_name(name: &str) -> SiloName {
    SiloName::parse(name).unwrap()
}
