// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::silo_service::tests::plan;
use crate::spool::Announcement;
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_protocol::{AttemptId, Envelope, Sender, upload_root};
use v1::ReplayRequest;

const UPLOAD: &[u8] = b"upload!!";
const SUM: &[u8] = b"the sum.";

/// Three survivors of four silos; the spool holds one's upload, and the sum.
struct Served {
    _folder: tempfile::TempDir,
    spool: Arc<Spool>,
    desk: ReplayDesk,
    plan: RoundPlan,
    sum: Digest,
}

fn silo(name: &str) -> SiloName {
    SiloName::parse(name).unwrap()
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(&folder.path().join("blobs")).unwrap());
        let plan = plan();
        assert_eq!((plan.chunk_count(), chunk_length(&plan, 0)), (1, SUM.len()));
        let digests = [chunk_digest(UPLOAD)];
        let key = SigningKey::from_seed(&Secret::new([1; 32]));
        for name in ["1_UM", "4_Case"] {
            let announcement = Announcement {
                root: upload_root(&digests),
                chunk_bytes: 8,
                length: 8,
                signed: Envelope {
                    sender: Sender::Silo(silo(name)),
                    body: Vec::new(),
                    signature: key.sign(Label::SiloMessage, &[]),
                },
            };
            let id = plan.id;
            spool
                .announce(id, &silo(name), &announcement, &digests)
                .unwrap();
            spool.append(id, &silo(name), 0, UPLOAD, |_| true).unwrap();
            spool.sync(id, &silo(name)).unwrap();
        }
        Self {
            sum: spool.put(SUM).unwrap(),
            desk: ReplayDesk::default(),
            _folder: folder,
            spool,
            plan,
        }
    }

    fn open(&self) {
        self.desk.set(Some(ReplayOffer {
            plan: self.plan.clone(),
            survivors: ["1_UM", "2_IU", "3_UK"].map(silo).into(),
            sum: self.sum,
        }));
    }

    fn answer(&self, from: &str, request: &ReplayRequest) -> Result<Vec<u8>, ReplayRefusal> {
        self.desk.answer(&self.spool, &silo(from), request)
    }
}

#[test]
fn a_survivor_is_given_uploads_and_sum_and_the_digests_of_both() {
    let served = Served::new();
    served.open();
    let id = served.plan.id;
    let uploader = silo("1_UM");
    let request = |silo, index| ReplayRequest::new(id, silo, index);
    for from in ["1_UM", "3_UK"] {
        let answer = |silo, index| served.answer(from, &request(silo, index)).unwrap();
        assert_eq!(answer(Some(&uploader), Some(0)), UPLOAD);
        assert_eq!(answer(None, Some(0)), SUM);
        assert_eq!(
            answer(Some(&uploader), None),
            chunk_digest(UPLOAD).as_bytes()
        );
        assert_eq!(answer(None, None), chunk_digest(SUM).as_bytes());
    }
}

#[test]
fn outside_of_a_replay_nobody_is_given_anything() {
    let served = Served::new();
    let uploader = silo("1_UM");
    let refused = |id: AttemptId| {
        for silo in [None, Some(&uploader)] {
            for index in [None, Some(0)] {
                let answer = served.answer("3_UK", &ReplayRequest::new(id, silo, index));
                assert!(matches!(answer, Err(ReplayRefusal::Closed)), "{answer:?}");
            }
        }
    };
    refused(served.plan.id);
    served.open();
    // Of the attempt before, and of the one after.
    for attempt in [0, 2] {
        refused(AttemptId {
            attempt,
            ..served.plan.id
        });
    }
    served.desk.set(None);
    refused(served.plan.id);
}

#[test]
fn a_dropped_silo_and_a_stranger_are_refused() {
    let served = Served::new();
    served.open();
    let request = ReplayRequest::new(served.plan.id, None, Some(0));
    for from in ["4_Case", "5_New"] {
        let answer = served.answer(from, &request);
        assert!(matches!(answer, Err(ReplayRefusal::NotASurvivor)));
    }
}

#[test]
fn an_upload_that_is_not_in_the_sum_and_a_chunk_beyond_the_end_are_refused() {
    let served = Served::new();
    served.open();
    let ask = |silo: &str, index| ReplayRequest {
        silo: silo.to_owned(),
        ..ReplayRequest::new(served.plan.id, None, index)
    };
    for other in ["4_Case", "../sha256", "1_UM+announced", "no name"] {
        let answer = served.answer("3_UK", &ask(other, None));
        assert!(matches!(answer, Err(ReplayRefusal::NoUpload)), "{answer:?}");
    }
    for silo in ["", "1_UM"] {
        let answer = served.answer("3_UK", &ask(silo, Some(1)));
        assert!(matches!(answer, Err(ReplayRefusal::NoChunk(1))));
    }
    // Another survivor whose upload the disk has lost.
    let lost = served.answer("3_UK", &ask("2_IU", Some(0)));
    assert!(matches!(lost, Err(ReplayRefusal::Upload(_))));
}
