// SPDX-License-Identifier: Apache-2.0
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use consilium_crypto::label::Label;
use consilium_crypto::signing::SigningKey;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{Envelope, Sender, SiloName};

use super::*;
use crate::coordinator_link::{CHUNKS_WAITING, Outgoing};
use crate::randomness;
use crate::test_federation::{self, Federation, NAMES};

const CHUNKS: u64 = 12;

/// A burned vector of twelve chunks, the last of them short.
struct Burned {
    _folder: tempfile::TempDir,
    files: AttemptFiles,
    plan: RoundPlan,
    root: Digest,
    chunks: Vec<Vec<u8>>,
    key: SigningKey,
}

impl Burned {
    fn new() -> Burned {
        let folder = tempfile::tempdir().unwrap();
        let files = AttemptFiles::open(folder.path()).unwrap();
        let federation = Federation::new();
        let membership = test_federation::membership(&federation.roster);
        let silos = NAMES.map(|name| SiloName::parse(name).unwrap());
        let dimension = u64::from(consilium_protocol::CHUNK_FIELDS) * (CHUNKS - 1) + 3;
        let vector = VectorPlan {
            dimension,
            word_bits: 20,
            clamp: 131_071,
            fraction_bits: 0,
            noise: None,
        };
        let id = AttemptId {
            epoch: membership.epoch,
            round: 1,
            attempt: 1,
        };
        let digest = randomness::digest;
        let plan =
            RoundPlan::new(id, &membership, &silos, Some(0), digest(), digest(), vector).unwrap();
        let word_bits = plan.word_bits().unwrap();
        let mut spool = files.spool_masked(id).unwrap();
        let mut chunks = Vec::new();
        for index in 0..plan.chunk_count() {
            let words = vec![index + 1; plan.fields_in_chunk(index)];
            let chunk = consilium_crypto::packing::pack(word_bits, &words);
            spool.append(&chunk).unwrap();
            chunks.push(chunk);
        }
        spool.finish().unwrap();
        let digests: Vec<Digest> = chunks.iter().map(|chunk| chunk_digest(chunk)).collect();
        Burned {
            _folder: folder,
            files,
            plan,
            root: upload_root(&digests),
            chunks,
            key: federation.identity_key(2),
        }
    }

    fn signed(&self) -> Delivery {
        Delivery::bare(Envelope {
            sender: Sender::Silo(SiloName::parse(NAMES[2]).unwrap()),
            body: self.root.as_bytes().to_vec(),
            signature: self.key.sign(Label::SiloMessage, &[self.root.as_bytes()]),
        })
    }

    /// Begins the upload over a session of its own.
    fn begin(&self) -> Begun {
        let (session, outgoing) = Session::new();
        let told = Told::default();
        let running = RunningUpload {
            id: self.plan.id,
            root: self.root,
            session: session.clone(),
            told: told.clone(),
        };
        let upload = Upload {
            files: self.files.clone(),
            session,
            plan: self.plan.clone(),
            root: self.root,
            study: "a study".to_owned(),
            told,
            crash: None,
        };
        let (ended, outcome) = channel();
        let signed = self.signed();
        std::thread::spawn(move || ended.send(upload.run(signed)));
        Begun {
            running: Some(running),
            outgoing,
            outcome,
        }
    }
}

struct Begun {
    running: Option<RunningUpload>,
    outgoing: Outgoing,
    outcome: Receiver<Result<(), UploadFault>>,
}

impl Begun {
    fn next(&mut self) -> silo_frame::Frame {
        self.outgoing
            .uploads
            .blocking_recv()
            .unwrap()
            .frame
            .unwrap()
    }

    /// The digests that travel beside the signed root.
    fn announced(&mut self) -> Vec<u8> {
        let silo_frame::Frame::Protocol(message) = self.next() else {
            panic!("an upload begins with its signed root");
        };
        message.attachments.concat()
    }

    fn chunk(&mut self) -> (u64, Vec<u8>) {
        match self.next() {
            silo_frame::Frame::Chunk(chunk) => (chunk.index, chunk.data),
            other => panic!("{other:?}"),
        }
    }

    fn say(&self, burned: &Burned, held: u64) {
        let progress = v1::UploadProgress::new(burned.plan.id, burned.root, held);
        self.running.as_ref().unwrap().progress(&progress);
    }

    fn end(&self) -> Result<(), UploadFault> {
        self.outcome.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

#[test]
fn the_signed_root_comes_first_and_no_chunk_before_the_coordinator_has_said_what_it_holds() {
    let burned = Burned::new();
    let mut begun = burned.begin();
    let digests: Vec<u8> = burned
        .chunks
        .iter()
        .flat_map(|chunk| *chunk_digest(chunk).as_bytes())
        .collect();
    assert_eq!(begun.announced(), digests);
    assert!(begun.outgoing.uploads.try_recv().is_err());
    begun.say(&burned, 0);
    for (index, bytes) in (0..).zip(&burned.chunks) {
        assert_eq!(begun.chunk(), (index, bytes.clone()));
    }
    assert!(
        begun.outcome.try_recv().is_err(),
        "nothing is acknowledged yet"
    );
    begun.say(&burned, CHUNKS - 1);
    assert!(begun.outcome.try_recv().is_err());
    begun.say(&burned, CHUNKS);
    begun.end().unwrap();
}

#[test]
fn in_another_session_only_the_missing_chunks_are_sent() {
    let burned = Burned::new();
    let mut cut = burned.begin();
    cut.announced();
    cut.say(&burned, 0);
    for index in 0..3 {
        assert_eq!(cut.chunk().0, index);
    }
    // The connection breaks: what was on the line is lost, and the session's lines with it.
    let Begun {
        running,
        outgoing,
        outcome,
    } = cut;
    drop(outgoing);
    drop(running);
    assert!(
        outcome
            .recv_timeout(Duration::from_secs(60))
            .unwrap()
            .is_err()
    );

    for held in [2, 4] {
        let mut resumed = burned.begin();
        resumed.announced();
        resumed.say(&burned, held);
        for index in held..CHUNKS {
            let bytes = burned.chunks[usize::try_from(index).unwrap()].clone();
            assert_eq!(resumed.chunk(), (index, bytes));
        }
        resumed.say(&burned, CHUNKS);
        resumed.end().unwrap();
        assert!(resumed.outgoing.uploads.try_recv().is_err());
    }
    let mut complete = burned.begin();
    complete.announced();
    complete.say(&burned, CHUNKS);
    complete.end().unwrap();
    assert!(complete.outgoing.uploads.try_recv().is_err());
}

#[test]
fn a_coordinator_that_takes_no_chunk_makes_the_thread_wait_and_a_few_chunks_are_in_memory() {
    let burned = Burned::new();
    let mut begun = burned.begin();
    begun.announced();
    begun.say(&burned, 0);
    let (first, _) = begun.chunk();
    assert_eq!(first, 0);
    // The thread fills its line, and then it stands.
    while begun.outgoing.uploads.len() < CHUNKS_WAITING {
        std::thread::yield_now();
    }
    drop(begun.running.take());
    begun.outgoing.uploads.close();
    let mut waited = 0;
    while begun.outgoing.uploads.blocking_recv().is_some() {
        waited += 1;
    }
    assert_eq!(waited, CHUNKS_WAITING);
    assert!(begun.end().is_err());
}

#[test]
fn bytes_that_do_not_hash_to_the_burned_root_do_not_leave() {
    let burned = Burned::new();
    // Another vector under the same masks.
    let mut spool = burned.files.spool_masked(burned.plan.id).unwrap();
    for chunk in burned.chunks.iter().rev() {
        spool.append(chunk).unwrap();
    }
    spool.finish().unwrap();
    let mut begun = burned.begin();
    assert!(matches!(begun.end(), Err(UploadFault::OtherVector)));
    assert!(begun.outgoing.uploads.try_recv().is_err());
}

#[test]
fn a_vector_that_changes_while_it_is_sent_is_not_sent_on() {
    let burned = Burned::new();
    let mut begun = burned.begin();
    begun.announced();
    let mut spool = burned.files.spool_masked(burned.plan.id).unwrap();
    for chunk in &burned.chunks {
        spool.append(&vec![0; chunk.len()]).unwrap();
    }
    spool.finish().unwrap();
    begun.say(&burned, 0);
    assert!(matches!(begun.end(), Err(UploadFault::OtherVector)));
    assert!(begun.outgoing.uploads.try_recv().is_err());
}

#[test]
fn a_claim_about_more_chunks_than_there_are_sends_nothing_and_harms_nothing() {
    let burned = Burned::new();
    let mut begun = burned.begin();
    begun.announced();
    begun.say(&burned, u64::MAX);
    begun.end().unwrap();
    assert!(begun.outgoing.uploads.try_recv().is_err());
}
