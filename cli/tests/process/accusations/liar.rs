// SPDX-License-Identifier: Apache-2.0
//! A silo that lies: the hospital's true keys and the real state machine, over real mutual TLS, and lies on the way out.

use crate::federation::Federation;
use consilium_certs::{ChannelBinding, IdentityFolder, Name, Roster, RosterFolder, tls};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{
    AttemptId, Delivery, Envelope, LogVerifier, MaskJob, Membership, RoundPlan, SiloEffect,
    SiloEvent, SiloMachine, SiloMessage, SiloName, SiloSurroundings, chunk_digest, peek_plan,
    upload_root,
};
use consilium_silo_agent::silo_folder::membership;
use consilium_wire::client;
use consilium_wire::v1::{self, coordinator_frame, silo_frame};
use std::collections::VecDeque;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// What the silo lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Both advertised keys are one.
    WeakKey,
    /// Two different receipts.
    SecondReceipt,
    /// Two different reveals.
    SecondReveal,
    /// Shares of another secret than the one committed to.
    BadDeal,
    /// A chunk that is not under the signed root.
    OtherChunk,
}

/// A liar in a thread of this process.
pub(crate) struct Liar {
    lie: watch::Sender<Lie>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    pub(crate) fn start(federation: &Federation, silo: &str, lie: Lie) -> Self {
        let identity = IdentityFolder::open(&federation.path(silo).join("identity")).unwrap();
        // The silo's agent would fetch it.
        let rosters = RosterFolder::open(&federation.path("coordinator/roster")).unwrap();
        let roster = rosters.current().unwrap();
        let (lie, lies) = watch::channel(lie);
        let (stop, stopped) = mpsc::channel(1);
        let session = Session::new(identity, roster, federation.address(), lies);
        let thread = thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(session.run(stopped));
        });
        Self {
            lie,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Lies about something else from the next study on.
    pub(crate) fn tell(&self, lie: Lie) {
        self.lie.send_replace(lie);
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            thread.join().ok();
        }
    }
}

/// Believes whatever it is shown.
struct Credulous;

impl LogVerifier for Credulous {
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

struct Session {
    identity: IdentityFolder,
    name: SiloName,
    coordinator: Name,
    address: String,
    roster_root: Digest,
    membership: Membership,
    lies: watch::Receiver<Lie>,
    machine: Option<SiloMachine>,
    random: InsecureSeededRandom,
    chunks: Vec<Vec<u8>>,
}

const INSTANCE: [u8; 32] = [3; 32];
const START_NONCE: [u8; 32] = [4; 32];

impl Session {
    fn new(
        identity: IdentityFolder,
        roster: &Roster,
        address: String,
        lies: watch::Receiver<Lie>,
    ) -> Self {
        Self {
            name: SiloName::parse(identity.name().as_str()).unwrap(),
            identity,
            coordinator: roster.coordinator().name.clone(),
            address,
            roster_root: roster.root(),
            membership: membership(roster).unwrap(),
            lies,
            machine: Some(SiloMachine::new(Digest::from_bytes(INSTANCE))),
            random: InsecureSeededRandom::from_seed(1984),
            chunks: Vec::new(),
        }
    }

    async fn run(mut self, mut stopped: mpsc::Receiver<()>) {
        let identity = self.identity.tls_identity().unwrap();
        let config = tls::client_config(&identity, &self.coordinator).unwrap();
        let connection = client::connect(&self.address, "127.0.0.1", config);
        let connection = connection.await.unwrap();
        let (frames, outgoing) = mpsc::channel(1024);
        let binding = ChannelBinding::from_bytes(connection.channel_binding);
        let hello = self.hello(&binding);
        frames
            .send(framed(silo_frame::Frame::Hello(hello)))
            .await
            .unwrap();
        let mut incoming = client::federation(&connection)
            .session(ReceiverStream::new(outgoing))
            .await
            .unwrap()
            .into_inner();
        let mut heartbeat = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = stopped.recv() => return,
                _ = heartbeat.tick() => {
                    let alive = silo_frame::Frame::Heartbeat(v1::Heartbeat {});
                    frames.send(framed(alive)).await.unwrap();
                }
                frame = incoming.message() => match frame {
                    Ok(Some(v1::CoordinatorFrame { frame: Some(frame) })) => {
                        for answer in self.answers(frame) {
                            frames.send(framed(answer)).await.unwrap();
                        }
                    }
                    Ok(Some(_)) => {}
                    // The coordinator ends the session of a silo whose chunk it refuses.
                    Ok(None) | Err(_) => return,
                },
            }
        }
    }

    fn hello(&self, binding: &ChannelBinding) -> v1::Hello {
        let mut hello = v1::Hello {
            name: self.name.to_string(),
            roster_root: self.roster_root.as_bytes().to_vec(),
            instance: INSTANCE.to_vec(),
            start_nonce: START_NONCE.to_vec(),
            log_size: 0,
            channel_binding_signature: Vec::new(),
        };
        let statement = hello.statement();
        let parts: Vec<&[u8]> = statement.iter().map(Vec::as_slice).collect();
        let signature = binding.sign(self.identity.identity_key(), &parts);
        hello.channel_binding_signature = signature.to_bytes().to_vec();
        hello
    }

    fn answers(&mut self, frame: coordinator_frame::Frame) -> Vec<silo_frame::Frame> {
        match frame {
            coordinator_frame::Frame::Offer(offer) => {
                vec![silo_frame::Frame::Consent(v1::Consent {
                    study_id: offer.study_id,
                    decision: Some(v1::consent::Decision::Granted(v1::Granted {})),
                })]
            }
            coordinator_frame::Frame::Protocol(message) => {
                let study = message.study_id.clone();
                let delivery = message.into_delivery().unwrap();
                let event = match peek_plan(&delivery) {
                    Some(expected) if delivery.envelope.peek_name() == Some("Open") => {
                        SiloEvent::Opened { delivery, expected }
                    }
                    Some(_) | None => SiloEvent::Delivered(delivery),
                };
                self.tell(&study, event)
            }
            coordinator_frame::Frame::UploadProgress(progress) => {
                let chunks = (0..).zip(self.chunks.drain(..));
                let lies = *self.lies.borrow() == Lie::OtherChunk;
                chunks
                    .map(|(index, mut chunk)| {
                        chunk[0] ^= u8::from(lies);
                        let chunk = v1::UploadChunk::new(progress.id(), index, chunk);
                        silo_frame::Frame::Chunk(chunk)
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Runs the machine until it has nothing more to do.
    fn tell(&mut self, study: &str, event: SiloEvent) -> Vec<silo_frame::Frame> {
        let mut events = VecDeque::from([event]);
        let mut frames = Vec::new();
        while let Some(event) = events.pop_front() {
            let machine = self.machine.take().unwrap();
            let around = SiloSurroundings {
                name: &self.name,
                signing_key: self.identity.identity_key(),
                membership: &self.membership,
                log: &Credulous,
                start_nonce: Digest::from_bytes(START_NONCE),
            };
            let mut effects = Vec::new();
            let machine = machine.handle(&around, event, &mut self.random, &mut effects);
            self.machine = Some(machine);
            for effect in effects {
                match effect {
                    SiloEffect::Send(delivery) | SiloEffect::SendOnGrid(delivery) => {
                        for delivery in self.lie_about(delivery) {
                            let message = v1::ProtocolMessage::new(study, delivery);
                            frames.push(silo_frame::Frame::Protocol(message));
                        }
                    }
                    SiloEffect::Train(plan) => events.push_back(SiloEvent::Prepared {
                        id: plan.id,
                        input: sha256(b"nobody was asked"),
                    }),
                    SiloEffect::Mask(job) => events.push_back(self.mask(&job)),
                    SiloEffect::Upload { mut signed, .. } => {
                        let digests = self.chunks.iter().map(|chunk| chunk_digest(chunk));
                        let bytes = digests.flat_map(|digest| *digest.as_bytes());
                        signed.attachments = vec![bytes.collect()];
                        let message = v1::ProtocolMessage::new(study, signed);
                        frames.push(silo_frame::Frame::Protocol(message));
                    }
                    SiloEffect::Tag(mut job) => {
                        let plan = job.plan().clone();
                        for (index, words) in zeros(&plan) {
                            job.add_chunk(index, &words);
                        }
                        events.push_back(SiloEvent::Tagged {
                            id: plan.id,
                            product: job.finish(),
                        });
                    }
                    SiloEffect::Replay(_)
                    | SiloEffect::EraseSecrets
                    | SiloEffect::Finished(_)
                    | SiloEffect::Aborted { .. }
                    | SiloEffect::Refused { .. }
                    | SiloEffect::Rejected(_) => {}
                }
            }
        }
        frames
    }

    fn mask(&mut self, job: &MaskJob) -> SiloEvent {
        let plan = job.plan();
        let masked = zeros(plan).map(|(index, words)| job.mask_chunk(index, &words));
        self.chunks = masked.collect();
        let digests: Vec<Digest> = self
            .chunks
            .iter()
            .map(|chunk| chunk_digest(chunk))
            .collect();
        SiloEvent::Masked {
            id: plan.id,
            root: upload_root(&digests),
            length: plan.packed_length(),
        }
    }

    /// What is sent instead of a message of the machine.
    fn lie_about(&mut self, delivery: Delivery) -> Vec<Delivery> {
        let lie = *self.lies.borrow();
        let message = delivery.envelope.peek_silo_message().unwrap();
        let changed = match (lie, message) {
            (
                Lie::WeakKey,
                SiloMessage::AdvertiseKeys {
                    channel_public_key,
                    encapsulation_key,
                    nonce,
                    ..
                },
            ) => SiloMessage::AdvertiseKeys {
                channel_public_key,
                mask_public_key: channel_public_key,
                encapsulation_key,
                nonce,
            },
            (Lie::SecondReceipt, SiloMessage::DealReceipt { mut good }) => {
                good[0] = !good[0];
                SiloMessage::DealReceipt { good }
            }
            (Lie::SecondReveal, SiloMessage::Reveal { mut shares }) => {
                shares.pop();
                SiloMessage::Reveal { shares }
            }
            (Lie::BadDeal, SiloMessage::ShareKeys { share_root, .. }) => SiloMessage::ShareKeys {
                self_mask_commitment: sha256(b"another secret"),
                share_root,
            },
            _ => return vec![delivery],
        };
        let second = Delivery {
            envelope: self.sign(&delivery.envelope, &changed),
            attachments: delivery.attachments.clone(),
        };
        match lie {
            Lie::WeakKey => vec![second],
            Lie::SecondReceipt | Lie::SecondReveal => vec![delivery, second],
            Lie::BadDeal => {
                // Its own machine is made to believe that it dealt so.
                let machine = self.machine.take().unwrap();
                let snapshot = replaced(&machine.snapshot(), &delivery.envelope, &second.envelope);
                let secrets = machine.secrets().unwrap();
                let instance = Digest::from_bytes(INSTANCE);
                let secrets = Some(secrets.expose().as_slice());
                self.machine = Some(SiloMachine::restore(&snapshot, secrets, instance).unwrap());
                vec![second]
            }
            Lie::OtherChunk => vec![delivery],
        }
    }

    /// Another message in the place of a signed one, under the silo's true key.
    fn sign(&self, before: &Envelope, message: &SiloMessage) -> Envelope {
        let (id, transcript, _): (AttemptId, Digest, SiloMessage) =
            postcard::from_bytes(&before.body).unwrap();
        let body = postcard::to_allocvec(&(id, transcript, message)).unwrap();
        let parts = [self.name.as_str().as_bytes(), &body];
        Envelope {
            sender: before.sender.clone(),
            signature: self
                .identity
                .identity_key()
                .sign(Label::SiloMessage, &parts),
            body,
        }
    }
}

fn framed(frame: silo_frame::Frame) -> v1::SiloFrame {
    v1::SiloFrame { frame: Some(frame) }
}

fn zeros(plan: &RoundPlan) -> impl Iterator<Item = (u64, Vec<u64>)> {
    (0..plan.chunk_count()).map(|index| (index, vec![0; plan.fields_in_chunk(index)]))
}

/// The same snapshot with one envelope in the place of another of equal length.
fn replaced(snapshot: &[u8], old: &Envelope, new: &Envelope) -> Vec<u8> {
    let [old, new] = [old, new].map(|envelope| postcard::to_allocvec(envelope).unwrap());
    let mut replaced = snapshot.to_vec();
    for at in 0..=snapshot.len() - old.len() {
        if snapshot[at..].starts_with(&old) {
            replaced[at..at + old.len()].copy_from_slice(&new);
        }
    }
    assert_ne!(replaced, snapshot);
    replaced
}
