// SPDX-License-Identifier: Apache-2.0
//! What a third party with the roster and nothing else makes of an accusation: lies are proven, and nobody is framed.

use std::cell::RefCell;
use std::rc::Rc;

use consilium_crypto::digest::Digest;
use consilium_crypto::transcript::sha256;
use consilium_protocol::{
    AttemptId, Charge, Envelope, Evidence, EvidenceFault, SecretKind, Sender, SiloMessage,
    SiloName, Standing, chunk_digest, upload_root,
};

use crate::evidence::{changed, said_twice};
use crate::federation::{Federation, Trouble};
use crate::shares::run_with_corrupt_dealer;
use crate::table::{body, name, sign_as};

/// What a judge says of evidence as it lies in a file.
pub(crate) fn judged(
    federation: &Federation,
    evidence: &Evidence,
) -> Result<Standing, EvidenceFault> {
    let text = serde_json::to_vec(evidence).unwrap();
    let read: Evidence = serde_json::from_slice(&text).unwrap();
    assert_eq!(read, *evidence);
    let logged = federation.committed.as_ref();
    let judgement = read.judge(&federation.membership, logged)?;
    assert_eq!((judgement.id.round, judgement.id.attempt), (1, 1));
    Ok(judgement.standing)
}

/// A round in which silo 2 says something else than it should.
fn said_instead(message: &'static str, lie: fn(SiloMessage) -> SiloMessage) -> Federation {
    let mut federation = Federation::new(5, 6, Trouble::None);
    federation.upward = Box::new(move |silo, mut delivery| {
        if silo.name == name(2) && delivery.envelope.peek_name() == Some(message) {
            let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
                postcard::from_bytes(&delivery.envelope.body).unwrap();
            let bytes = body(id, transcript, &lie(said));
            delivery.envelope = sign_as(&silo.name, &silo.key, bytes);
        }
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    federation
}

/// An honest round, with everything that silos said in it.
fn honest() -> (Federation, Vec<Envelope>) {
    let said = Rc::new(RefCell::new(Vec::new()));
    let mut federation = Federation::new(5, 7, Trouble::None);
    let heard = Rc::clone(&said);
    federation.upward = Box::new(move |_, delivery| {
        heard.borrow_mut().push(delivery.envelope.clone());
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    assert!(federation.released.is_some() && federation.evidence.is_empty());
    let said = said.borrow().clone();
    (federation, said)
}

fn longer(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::MaskedInput { root, length } => SiloMessage::MaskedInput {
            root,
            length: length + 1,
        },
        other => other,
    }
}

fn for_another_sum(message: SiloMessage) -> SiloMessage {
    let sum = sha256(b"another sum");
    match message {
        SiloMessage::Nonce { nonce, .. } => SiloMessage::Nonce { sum, nonce },
        SiloMessage::Tag { challenge, tag, .. } => SiloMessage::Tag {
            sum,
            challenge,
            tag,
        },
        other => other,
    }
}

fn no_residue(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::Tag { sum, challenge, .. } => SiloMessage::Tag {
            sum,
            challenge,
            tag: u64::MAX,
        },
        other => other,
    }
}

fn of_another_challenge(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::Tag { sum, tag, .. } => SiloMessage::Tag {
            sum,
            challenge: sha256(b"another challenge"),
            tag,
        },
        other => other,
    }
}

fn for_other_survivors(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::Vote {
            nonce_commitment, ..
        } => SiloMessage::Vote {
            survivors: sha256(b"others"),
            nonce_commitment,
        },
        other => other,
    }
}

fn with_equal_keys(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::AdvertiseKeys {
            channel_public_key,
            encapsulation_key,
            nonce,
            ..
        } => SiloMessage::AdvertiseKeys {
            channel_public_key,
            mask_public_key: channel_public_key,
            encapsulation_key,
            nonce,
        },
        other => other,
    }
}

#[test]
fn a_lie_that_a_silo_signed_is_proven_to_whoever_has_the_roster() {
    for (message, lie) in [
        ("AdvertiseKeys", with_equal_keys as fn(SiloMessage) -> _),
        ("MaskedInput", longer),
        ("Reveal", changed),
        ("Nonce", changed),
        ("Nonce", for_another_sum),
        ("Tag", for_another_sum),
        ("Tag", no_residue),
    ] {
        let federation = said_instead(message, lie);
        assert_eq!(federation.named, [name(2)], "{message}");
        let [evidence] = &federation.evidence[..] else {
            panic!("{message}: {} accusations", federation.evidence.len());
        };
        let judged = judged(&federation, evidence);
        assert_eq!(judged, Ok(Standing::Proven), "{message}");
    }
}

/// Signs for one chunk that lacks its last byte.
fn too_short(message: SiloMessage) -> SiloMessage {
    match message {
        SiloMessage::MaskedInput { length, .. } => SiloMessage::MaskedInput {
            root: upload_root(&[chunk_digest(&vec![7; usize::try_from(length).unwrap() - 1])]),
            length,
        },
        other => other,
    }
}

#[test]
fn a_chunk_that_is_no_packed_words_is_proven_under_the_root_that_its_silo_signed() {
    for (lie, standing) in [
        (too_short as fn(SiloMessage) -> _, Ok(Standing::Proven)),
        (|honest| honest, Err(EvidenceFault::NotShown)),
    ] {
        let signed = Rc::new(RefCell::new(None));
        let mut federation = Federation::new(5, 6, Trouble::None);
        let heard = Rc::clone(&signed);
        federation.upward = Box::new(move |silo, mut delivery| {
            let named = delivery.envelope.peek_name() == Some("MaskedInput");
            if silo.name == name(2) && named {
                let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
                    postcard::from_bytes(&delivery.envelope.body).unwrap();
                let bytes = body(id, transcript, &lie(said));
                delivery.envelope = sign_as(&silo.name, &silo.key, bytes);
                *heard.borrow_mut() = Some(delivery.envelope.clone());
            }
            vec![delivery]
        });
        let plan = federation.plan(1, 1, None);
        let length = usize::try_from(plan.packed_length()).unwrap();
        federation.run(plan);
        let signed = signed.borrow().clone().unwrap();
        let trail: Vec<Envelope> = federation.coordinator.as_ref().unwrap().trail().collect();
        let accused = |chunk: Vec<u8>, digests: Vec<Digest>, index| {
            let charge = Charge::NotPacked {
                signed: signed.clone(),
                digests,
                index,
                chunk,
            };
            let evidence = Evidence::new(Sender::Silo(name(2)), charge);
            judged(&federation, &evidence.within(trail.clone()))
        };
        let short = vec![7; length - 1];
        let digests = vec![chunk_digest(&short)];
        assert_eq!(accused(short.clone(), digests.clone(), 0), standing);
        // Another chunk, another list or another place shows nothing.
        for (chunk, digests, index) in [
            (vec![7; length], digests.clone(), 0),
            (vec![8; length - 1], vec![chunk_digest(&[8; 3])], 0),
            (short.clone(), vec![digests[0]; 2], 0),
            (short, digests, 1),
        ] {
            let judged = accused(chunk, digests, index);
            assert_eq!(judged, Err(EvidenceFault::NotShown));
        }
    }
}

#[test]
fn what_no_signature_can_show_is_told_to_be_the_coordinators_word() {
    for (message, lie) in [
        ("Tag", of_another_challenge as fn(SiloMessage) -> _),
        ("Vote", for_other_survivors),
    ] {
        let federation = said_instead(message, lie);
        assert_eq!(federation.named, [name(2)], "{message}");
        let judged = judged(&federation, &federation.evidence[0]);
        assert!(matches!(judged, Ok(Standing::Alleged(_))), "{judged:?}");
    }
}

#[test]
fn a_dealer_is_proven_to_have_dealt_another_secret_by_its_own_shares_and_nobody_elses() {
    for (kind, trouble) in [
        (SecretKind::SelfMask, Trouble::None),
        (
            SecretKind::MaskKey,
            Trouble::Drop {
                silo: 1,
                before: "MaskedInput",
            },
        ),
    ] {
        let federation = run_with_corrupt_dealer(kind, trouble);
        let [evidence] = &federation.evidence[..] else {
            panic!("{} accusations", federation.evidence.len());
        };
        assert_eq!(judged(&federation, evidence), Ok(Standing::Proven));
        let Charge::BadDeal { shares } = &evidence.charge else {
            panic!("{}", evidence.charge.name());
        };
        // SECURITY: what others dealt is in no object.
        assert!(shares.iter().all(|(_, share)| share.dealer == 1));
        // One share fewer, one twice, or one of another silo: nothing is shown.
        let with = |shares: Vec<_>| Evidence {
            charge: Charge::BadDeal { shares },
            ..evidence.clone()
        };
        let fewer = with(shares[1..].to_vec());
        let twice = with([&shares[1..], &shares[1..2]].concat());
        let other = Evidence {
            accused: Sender::Silo(name(0)),
            ..evidence.clone()
        };
        for evidence in [fewer, twice, other] {
            assert_eq!(judged(&federation, &evidence), Err(EvidenceFault::NotShown));
        }
    }
}

#[test]
fn evidence_in_which_anything_was_changed_proves_nothing() {
    let federation = said_twice("Reveal");
    let evidence = &federation.evidence[0];
    let Charge::SecondAnswer { first, second } = &evidence.charge else {
        panic!("{}", evidence.charge.name());
    };
    let pair = |first: &Envelope, second: &Envelope| Evidence {
        charge: Charge::SecondAnswer {
            first: first.clone(),
            second: second.clone(),
        },
        ..evidence.clone()
    };
    // One answer twice is one answer.
    let once = pair(first, first);
    assert_eq!(judged(&federation, &once), Err(EvidenceFault::NotShown));
    for place in [0, second.body.len() / 2, second.body.len() - 1] {
        let mut damaged = second.clone();
        damaged.body[place] ^= 1;
        assert!(judged(&federation, &pair(first, &damaged)).is_err());
    }
    let mut other_roster = federation.membership.clone();
    other_roster.silos = other_roster
        .silos
        .iter()
        .filter(|(silo, _)| **silo != name(2))
        .map(|(silo, key)| (silo.clone(), *key))
        .collect();
    assert!(evidence.judge(&other_roster, None).is_err());
}

#[test]
fn no_words_of_an_honest_silo_prove_anything_against_it_whatever_is_put_beside_them() {
    let (federation, said) = honest();
    let trail: Vec<Envelope> = federation.coordinator.as_ref().unwrap().trail().collect();
    let mut cases = 0;
    let mut never_proven = |accused: &SiloName, charge: Charge, trail: &[Envelope]| {
        cases += 1;
        let evidence = Evidence::new(Sender::Silo(accused.clone()), charge);
        let evidence = evidence.within(trail.iter().cloned());
        let judged = judged(&federation, &evidence);
        assert_ne!(judged, Ok(Standing::Proven), "{}", evidence.charge.name());
    };
    // The whole trail, and what a liar would make of it: a list left out, or the lists in another order.
    let mut trails: Vec<Vec<Envelope>> = (0..trail.len().min(6))
        .map(|left_out| {
            let mut shorter = trail.clone();
            shorter.remove(left_out);
            shorter
        })
        .collect();
    trails.push(trail.iter().rev().cloned().collect());
    trails.push(trail);
    for accused in (0..5).map(name) {
        let of = |envelope: &&Envelope| envelope.sender == Sender::Silo(accused.clone());
        let own: Vec<&Envelope> = said.iter().filter(of).collect();
        for trail in &trails {
            for message in &own {
                let message = Envelope::clone(message);
                for charge in [
                    Charge::BadReveal {
                        reveal: message.clone(),
                    },
                    Charge::BadLength {
                        signed: message.clone(),
                    },
                    Charge::OtherUpload {
                        signed: message.clone(),
                    },
                    Charge::OtherVote {
                        vote: message.clone(),
                    },
                    Charge::WrongNonce {
                        nonce: message.clone(),
                    },
                    Charge::WrongTag {
                        tag: message.clone(),
                    },
                    Charge::NotPacked {
                        signed: message.clone(),
                        digests: vec![sha256(b"no chunk")],
                        index: 0,
                        chunk: vec![255; 7],
                    },
                ] {
                    never_proven(&accused, charge, trail);
                }
            }
            let reveals: Vec<(SiloName, SiloMessage)> = federation
                .kept_reveals
                .iter()
                .map(|(silo, reveal)| (silo.clone(), reveal.peek_silo_message().unwrap()))
                .collect();
            for column in 0..5 {
                let shares = reveals.iter().map(|(silo, reveal)| match reveal {
                    SiloMessage::Reveal { shares } => (silo.clone(), shares[column].clone()),
                    other => panic!("{other:?}"),
                });
                let shares: Vec<_> = shares.collect();
                for taken in 0..=shares.len() {
                    let shares = shares[..taken].to_vec();
                    never_proven(&accused, Charge::BadDeal { shares }, trail);
                }
            }
        }
        for first in &said {
            for second in &said {
                let [first, second] = [first, second].map(Envelope::clone);
                let equal = Some(second.clone());
                let weak = Charge::WeakKey {
                    advertisement: first.clone(),
                    equal,
                };
                never_proven(&accused, weak, &[]);
                never_proven(&accused, Charge::SecondAnswer { first, second }, &[]);
            }
        }
    }
    assert!(cases > 10_000, "{cases}");
}

#[test]
fn a_second_question_of_the_coordinator_is_proven_as_a_second_answer_of_a_silo_is() {
    let (federation, said) = honest();
    let open: Vec<Envelope> = federation.coordinator.as_ref().unwrap().trail().collect();
    let mut again = Federation::new(5, 7, Trouble::None);
    let plan = federation.plan(1, 1, Some(0));
    again.run(plan);
    let other: Vec<Envelope> = again.coordinator.as_ref().unwrap().trail().collect();
    let accuse = |first: &Envelope, second: &Envelope| {
        let [first, second] = [first, second].map(Envelope::clone);
        let evidence = Evidence::new(Sender::Coordinator, Charge::SecondAnswer { first, second });
        judged(&federation, &evidence)
    };
    assert_eq!(accuse(&open[0], &other[0]), Ok(Standing::Proven));
    assert!(accuse(&open[0], &open[1]).is_err());
    assert!(accuse(&open[0], &said[0]).is_err());
    let messages = vec![open[0].clone(), said[0].clone()];
    let refused = Evidence::new(Sender::Coordinator, Charge::Messages { messages });
    assert!(matches!(
        judged(&federation, &refused),
        Ok(Standing::Alleged(_))
    ));
}
