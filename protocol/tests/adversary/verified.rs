// SPDX-License-Identifier: Apache-2.0
//! Sums that were not committed, not logged, not certified, or not these.

use consilium_crypto::digest::Digest;
use consilium_protocol::{
    Delivery, Envelope, Fault, Release, SiloEvent, SiloMessage, Standing, SumChunks, Verification,
    VerifiedSum, verify_release,
};

use crate::refused::judged;
use crate::table::{STAGES, Stage, Table, name, plan_of, roots, sum_proof, survivors_digest};

pub(crate) fn other(digest: &Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[31] ^= 1;
    Digest::from_bytes(bytes)
}

fn verify(table: &Table, delivery: &Delivery, sum: Vec<u64>) -> Result<VerifiedSum, Fault> {
    verify_release(&table.membership, &table.log, delivery, table.packed(&sum))
}

pub(crate) type Change = (&'static str, fn(&mut Release));

/// Five silos before the release.
pub(crate) fn before_release(seed: u64) -> Table {
    let mut table = Table::new(5, seed);
    table.play_until(Stage::Release);
    table
}

#[test]
fn a_commitment_that_no_quorum_has_logged_ends_the_attempt() {
    let mut table = Table::new(4, 1);
    table.play_until(Stage::Commitment);
    let kept = table.picture(0);
    let sum = table.sum_digest(&table.sum());
    let elsewhere = plan_of(&table.membership, 2, 1).id;
    for proofs in [
        Vec::new(),
        vec![Vec::new()],
        vec![sum_proof(table.plan.id, &other(&sum))],
        vec![sum_proof(elsewhere, &sum)],
    ] {
        let mut commitment = table.commit(&sum);
        commitment.attachments = proofs;
        assert_eq!(table.assert_aborts(0, commitment), Fault::SumNotLogged);
        table.put_back(0, &kept);
    }
}

#[test]
fn a_voter_who_copies_the_commitment_of_another_cannot_open_it_with_the_nonce_of_the_other() {
    let mut table = Table::new(4, 21);
    table.play_until(Stage::Certificate);
    let x = table.x();
    let copied = table.script.votes[0].peek_silo_message().unwrap();
    let mut votes = table.script.votes.clone();
    votes[3] = table.forge(3, x, &copied);
    for seat in 0..4 {
        assert_eq!(table.ask(seat, table.certify(&votes)).aborted, []);
    }
    let sum = table.sum_digest(&table.sum());
    let commitment = table.commit(&sum);
    let mut nonces: Vec<Envelope> = (0..4)
        .flat_map(|seat| table.ask(seat, commitment.clone()).sent)
        .map(|delivery| delivery.envelope)
        .collect();
    let opened = nonces[0].peek_silo_message().unwrap();
    nonces[3] = table.forge(3, x, &opened);
    let fault = table.assert_aborts(1, table.challenge(&nonces));
    assert_eq!(fault, Fault::WrongNonce { silo: name(3) });
}

#[test]
fn a_release_of_another_sum_than_the_committed_one_is_evidence_even_if_it_is_logged() {
    let mut table = before_release(2);
    let committed = table.question(Stage::Commitment, 0).envelope;
    let mut sum = table.sum();
    sum[0] ^= 1;
    let mut release = table.honest_release();
    release.sum = table.sum_digest(&sum);
    let delivery = table.release(&release);
    let envelope = delivery.envelope.clone();
    let outcome = table.tell(
        0,
        SiloEvent::Released {
            delivery,
            sum: table.packed(&sum),
        },
    );
    let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!(*fault, Fault::OtherSum);
    assert_eq!(*evidence, vec![committed, envelope]);
    assert!(outcome.finished.is_empty());
}

#[test]
fn chunks_that_are_not_the_released_sum_are_discarded() {
    let mut table = before_release(3);
    let delivery = table.question(Stage::Release, 0);
    let right = table.packed(&table.sum()).chunks().to_vec();
    let last = right.len() - 1;
    let mut wrong = vec![Vec::new(), right[1..].to_vec()];
    for (at, byte) in [(0, 0), (0, 2), (last, right[last].len() - 1)] {
        for change in [1, 0x80] {
            let mut chunks = right.clone();
            chunks[at][byte] ^= change;
            wrong.push(chunks);
        }
    }
    let mut longer = right.clone();
    longer[last].push(0);
    let mut shorter = right.clone();
    shorter[last].pop();
    wrong.extend([longer, shorter]);
    wrong.push([right.clone(), vec![vec![0]]].concat());
    wrong.push([right.clone(), vec![Vec::new()]].concat());
    // The same bytes, cut elsewhere.
    wrong.push(vec![right.concat()]);
    let before = table.picture(0);
    for chunks in wrong.into_iter().filter(|chunks| *chunks != right) {
        let sum = SumChunks::from(chunks);
        let alone = verify_release(&table.membership, &table.log, &delivery, sum.clone());
        assert_eq!(alone, Err(Fault::OtherSum));
        let delivery = delivery.clone();
        let outcome = table.tell(0, SiloEvent::Released { delivery, sum });
        assert_eq!(outcome.rejected, vec![Fault::OtherSum]);
        assert_eq!(table.picture(0), before);
    }
    assert_eq!(table.ask(0, delivery).finished.len(), 1);
}

#[test]
fn a_release_without_the_log_proof_of_its_sum_is_discarded() {
    let mut table = before_release(4);
    for proofs in [Vec::new(), vec![b"no proof".to_vec()]] {
        let mut delivery = table.question(Stage::Release, 0);
        delivery.attachments = proofs;
        let outcome = table.ask(0, delivery);
        assert_eq!(outcome.rejected, vec![Fault::SumNotLogged]);
        assert!(outcome.finished.is_empty());
    }
}

#[test]
fn a_silo_that_missed_the_round_verifies_its_release_alone() {
    let table = before_release(5);
    let delivery = table.question(Stage::Release, 0);
    let sum = table.sum();
    let verified = verify(&table, &delivery, sum.clone()).unwrap();
    assert_eq!(verified.plan, table.plan);
    assert_eq!(verified.cohort_digest, table.x());
    assert_eq!(verified.survivors, table.plan.silos);
    assert_eq!(
        (verified.words().unwrap(), verified.digest),
        (sum.clone(), table.sum_digest(&sum))
    );

    // Through its machine, wherever that stands: it finishes, and reveals nothing.
    for stage in STAGES {
        let mut late = Table::new(5, 5);
        late.play_until(stage);
        let outcome = late.tell(
            0,
            SiloEvent::Released {
                delivery: delivery.clone(),
                sum: table.packed(&sum),
            },
        );
        assert_eq!(outcome.finished.len(), 1, "{stage:?}: {outcome:?}");
        assert!(outcome.sent.is_empty() && outcome.aborted.is_empty());
        assert!(late.is_out(0));
    }
}

/// A release that is no honest one any more.
pub(crate) fn changes() -> [Change; 18] {
    [
        ("another model", |release| {
            release.plan.model = other(&release.plan.model)
        }),
        ("another task", |release| {
            release.plan.task = other(&release.plan.task)
        }),
        ("another round", |release| release.plan.id.round += 1),
        ("another epoch", |release| release.plan.id.epoch += 1),
        ("another roster", |release| {
            release.plan.roster_root = other(&release.plan.roster_root);
        }),
        ("a smaller quorum", |release| {
            release.plan.thresholds.quorum -= 1
        }),
        ("no noise", |release| release.plan.vector.noise = None),
        ("fewer invited", |release| {
            release.plan.silos.pop();
        }),
        ("another K", |release| {
            release.key_book = other(&release.key_book)
        }),
        ("another D", |release| {
            release.deal_book = other(&release.deal_book)
        }),
        ("a smaller cohort", |release| {
            release.cohort.pop();
        }),
        ("an unsorted cohort", |release| release.cohort.swap(0, 1)),
        ("fewer survivors", |release| {
            release.survivors.pop();
        }),
        ("a repeated survivor", |release| {
            release.survivors[1] = release.survivors[0].clone();
        }),
        ("another upload", |release| {
            release.survivors[2].1 = other(&release.survivors[2].1);
        }),
        ("too few votes", |release| release.votes.truncate(3)),
        ("a repeated vote", |release| {
            release.votes.truncate(3);
            release.votes.push(release.votes[2].clone());
        }),
        ("another sum", |release| release.sum = other(&release.sum)),
    ]
}

#[test]
fn a_release_that_differs_in_one_thing_from_what_was_certified_is_refused() {
    let table = before_release(6);
    for (what, change) in changes() {
        let mut release = table.honest_release();
        change(&mut release);
        let refused = verify(&table, &table.release(&release), table.sum());
        assert!(refused.is_err(), "{what}");
    }
    let honest = table.honest_release();
    assert!(verify(&table, &table.release(&honest), table.sum()).is_ok());
    // Four of five votes are a quorum, whichever they are, and what they certify can be vouched for by replays. But the
    // tags answer a challenge that five votes made.
    for left_out in 0..5 {
        let mut release = honest.clone();
        release.votes.remove(left_out);
        assert!(verify(&table, &table.release(&release), table.sum()).is_err());
        release.verification = table.forged_replays(table.x(), release.sum, &[0, 1]);
        assert!(verify(&table, &table.release(&release), table.sum()).is_ok());
    }
}

#[test]
fn a_release_signed_under_another_transcript_or_by_another_key_is_refused() {
    let table = before_release(7);
    let message = consilium_protocol::CoordinatorMessage::Release(Box::new(table.honest_release()));
    let mut delivery = table.question(Stage::Release, 0);
    delivery.envelope = table.say(table.plan.id, table.d(), &message);
    let refused = verify(&table, &delivery, table.sum());
    assert_eq!(refused, Err(Fault::OtherTranscript { message: "Release" }));
    let elsewhere = plan_of(&table.membership, 2, 1).id;
    delivery.envelope = table.say(elsewhere, table.x(), &message);
    assert!(verify(&table, &delivery, table.sum()).is_err());
    delivery = table.question(Stage::Release, 0);
    delivery.envelope.signature = table.script.votes[0].signature;
    let refused = verify(&table, &delivery, table.sum());
    assert!(matches!(refused, Err(Fault::BadSignature { .. })));
}

#[test]
fn a_silo_that_has_verified_votes_and_nonces_does_not_take_them_under_other_signatures() {
    let mut table = before_release(17);
    let sum = table.sum();
    let before = table.picture(0);
    for at in 0..5 {
        for which in 0..3 {
            let mut release = table.honest_release();
            let Verification::Tags { nonces, tags } = &mut release.verification else {
                panic!("an honest release is verified by tags")
            };
            let list = match which {
                0 => &mut release.votes,
                1 => nonces,
                _ => tags,
            };
            list[at].signature = list[(at + 1) % 5].signature;
            let sender = name(at).to_string();
            let delivery = table.release(&release);
            assert_eq!(
                verify(&table, &delivery, sum.clone()),
                Err(Fault::BadSignature {
                    sender: sender.clone()
                })
            );
            let event = SiloEvent::Released {
                delivery,
                sum: table.packed(&sum),
            };
            let outcome = table.tell(0, event);
            assert_eq!(outcome.rejected, vec![Fault::BadSignature { sender }]);
            assert_eq!(table.picture(0), before);
        }
    }
    let honest = table.question(Stage::Release, 0);
    assert_eq!(table.ask(0, honest).finished.len(), 1);
}

/// A release that only a quorum of liars can certify: every vote is forged.
fn forged_release(table: &Table, change: fn(&Table, &mut Release)) -> Delivery {
    let mut release = table.honest_release();
    change(table, &mut release);
    let x = table.x();
    let survivors = survivors_digest(&x, &release.survivors);
    release.votes = (0..release.survivors.len())
        .map(|seat| {
            let nonce_commitment = survivors;
            let vote = SiloMessage::Vote {
                survivors,
                nonce_commitment,
            };
            table.forge(seat, x, &vote)
        })
        .collect();
    let survivors: Vec<usize> = (0..release.survivors.len()).collect();
    release.verification = table.forged_replays(x, release.sum, &survivors);
    table.release(&release)
}

#[test]
fn a_certified_release_over_other_survivors_than_the_silo_voted_for_is_evidence() {
    let fewer = |table: &Table, release: &mut Release| {
        release.survivors = roots(&table.script.uploads[..4]);
    };
    for stage in [
        Stage::Certificate,
        Stage::Commitment,
        Stage::Challenge,
        Stage::Release,
    ] {
        let mut table = Table::new(5, 8);
        table.play_until(stage);
        let proposal = table.question(Stage::Proposal, 0).envelope;
        let delivery = forged_release(&table, fewer);
        let envelope = delivery.envelope.clone();
        let sum = table.sum();
        let outcome = table.tell(
            0,
            SiloEvent::Released {
                delivery,
                sum: table.packed(&sum),
            },
        );
        let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
            panic!("{outcome:?}")
        };
        assert_eq!(*fault, Fault::OtherCertificate);
        assert_eq!(*evidence, vec![proposal, envelope]);
        assert!(outcome.finished.is_empty());
    }
}

#[test]
fn a_certified_release_with_another_upload_of_this_silo_is_not_believed() {
    let changed = |_: &Table, release: &mut Release| {
        release.survivors[0].1 = other(&release.survivors[0].1);
    };
    let message = "MaskedInput";
    // While it waits for the proposal, and after it has left the attempt.
    let mut table = Table::new(5, 9);
    table.play_until(Stage::Proposal);
    let sum = table.sum();
    let delivery = forged_release(&table, changed);
    let kept = table.picture(0);
    let event = SiloEvent::Released {
        delivery: delivery.clone(),
        sum: table.packed(&sum),
    };
    let outcome = table.tell(0, event);
    assert!(matches!(
        outcome.aborted.as_slice(),
        [(_, Fault::OwnMessageChanged { .. }, evidence)] if evidence.len() == 2
    ));
    table.put_back(0, &(kept.0, None));
    let outcome = table.tell(
        0,
        SiloEvent::Released {
            delivery,
            sum: table.packed(&sum),
        },
    );
    assert_eq!(outcome.rejected, vec![Fault::OwnMessageChanged { message }]);
    assert!(outcome.finished.is_empty());
}

#[test]
fn a_certified_release_over_another_cohort_than_the_silo_masked_for_is_evidence() {
    let mut table = Table::new(5, 10);
    table.play_until(Stage::Proposal);
    let freeze = table.question(Stage::Freeze, 0).envelope;
    let sum = table.sum();
    // For everybody else the cohort had four members.
    table.script.receipts.pop();
    table.script.ready.pop();
    table.script.uploads.pop();
    let mut release = table.honest_release();
    release.sum = table.sum_digest(&sum);
    let x = table.x();
    let survivors = survivors_digest(&x, &release.survivors);
    let vote = SiloMessage::Vote {
        survivors,
        nonce_commitment: survivors,
    };
    release.votes = (0..4).map(|seat| table.forge(seat, x, &vote)).collect();
    release.verification = table.forged_replays(x, release.sum, &[0, 1, 2, 3]);
    let delivery = table.release(&release);
    let envelope = delivery.envelope.clone();
    let outcome = table.tell(
        0,
        SiloEvent::Released {
            delivery,
            sum: table.packed(&sum),
        },
    );
    let [(_, fault, evidence)] = outcome.aborted.as_slice() else {
        panic!("{outcome:?}")
    };
    let message = "CohortFreeze";
    assert_eq!(*fault, Fault::Equivocation { message });
    assert_eq!(*evidence, vec![freeze.clone(), envelope.clone()]);
    // By themselves both could be true.
    assert_eq!(judged(&table, evidence.clone()), Ok(Standing::Proven));
    for alone in [freeze, envelope] {
        let judged = judged(&table, vec![alone]);
        assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
    }
}
