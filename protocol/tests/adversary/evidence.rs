// SPDX-License-Identifier: Apache-2.0
//! What an honest coordinator writes into the log of silos that lie to it, and of attempts that end without a sum.

use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, Charge, Delivery, Fault, SiloMessage, Standing};

use crate::accusations::judged;
use crate::federation::{Federation, Trouble};
use crate::table::{body, name, sign_as};

/// The message with another content.
pub(crate) fn changed(message: SiloMessage) -> SiloMessage {
    let other = |digest: Digest| {
        let mut bytes = *digest.as_bytes();
        bytes[3] ^= 1;
        Digest::from_bytes(bytes)
    };
    match message {
        SiloMessage::AdvertiseKeys {
            channel_public_key,
            mask_public_key,
            encapsulation_key,
            mut nonce,
        } => {
            nonce[0] ^= 1;
            SiloMessage::AdvertiseKeys {
                channel_public_key,
                mask_public_key,
                encapsulation_key,
                nonce,
            }
        }
        SiloMessage::ShareKeys {
            self_mask_commitment,
            share_root,
        } => SiloMessage::ShareKeys {
            self_mask_commitment: other(self_mask_commitment),
            share_root,
        },
        SiloMessage::DealReceipt { mut good } => {
            good[0] = !good[0];
            SiloMessage::DealReceipt { good }
        }
        SiloMessage::MaskedInput { root, length } => SiloMessage::MaskedInput {
            root: other(root),
            length,
        },
        SiloMessage::Vote {
            survivors,
            nonce_commitment,
        } => SiloMessage::Vote {
            survivors,
            nonce_commitment: other(nonce_commitment),
        },
        SiloMessage::Reveal { mut shares } => {
            shares.pop();
            SiloMessage::Reveal { shares }
        }
        SiloMessage::Nonce { sum, mut nonce } => {
            nonce[0] ^= 1;
            SiloMessage::Nonce { sum, nonce }
        }
        SiloMessage::Tag {
            sum,
            challenge,
            tag,
        } => SiloMessage::Tag {
            sum,
            challenge,
            tag: tag ^ 1,
        },
        other @ (SiloMessage::Ready | SiloMessage::Replayed { .. }) => other,
    }
}

/// A round in which silo 2 says something of that name twice: as it is, and changed.
pub(crate) fn said_twice(message: &'static str) -> Federation {
    let mut federation = Federation::new(5, 1, Trouble::None);
    federation.upward = Box::new(move |silo, delivery| {
        if silo.name != name(2) || delivery.envelope.peek_name() != Some(message) {
            return vec![delivery];
        }
        let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
            postcard::from_bytes(&delivery.envelope.body).unwrap();
        let bytes = body(id, transcript, &changed(said));
        let second = Delivery {
            envelope: sign_as(&silo.name, &silo.key, bytes),
            attachments: delivery.attachments.clone(),
        };
        vec![delivery, second]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    federation
}

#[test]
fn a_silo_that_says_two_things_is_named_in_the_records_and_the_round_goes_on() {
    for message in [
        "AdvertiseKeys",
        "ShareKeys",
        "DealReceipt",
        "MaskedInput",
        "Vote",
        "Reveal",
        "Nonce",
        "Tag",
    ] {
        let federation = said_twice(message);
        assert_eq!(federation.named, vec![name(2)], "{message}");
        let [evidence] = &federation.evidence[..] else {
            panic!("{message}: {} accusations", federation.evidence.len());
        };
        match &evidence.charge {
            Charge::SecondAnswer { first, second } => {
                assert!(first != second && first.peek_name() == Some(message));
            }
            // It is not even the nonce that the vote committed to.
            Charge::WrongNonce { .. } => assert_eq!(message, "Nonce"),
            other => panic!("{message}: {}", other.name()),
        }
        let judged = judged(&federation, evidence);
        assert_eq!(judged, Ok(Standing::Proven), "{message}");
        let (survivors, dropped) = federation.released.clone().expect(message);
        assert!(dropped.is_empty(), "{message}");
        let sum = federation.true_sum(&survivors);
        for silo in &federation.silos {
            assert_eq!(silo.finished[0].words().unwrap(), sum, "{message}");
        }
    }
}

#[test]
fn a_vote_or_nonce_that_is_changed_after_its_phase_has_closed_names_its_sender_and_the_round_goes_on()
 {
    for (message, after) in [
        ("Vote", "Reveal"),
        ("Vote", "Nonce"),
        ("Vote", "Tag"),
        ("Nonce", "Tag"),
    ] {
        let mut first = None;
        let mut federation = Federation::new(5, 12, Trouble::None);
        federation.upward = Box::new(move |silo, delivery| {
            if silo.name != name(2) {
                return vec![delivery];
            }
            let said = delivery.envelope.peek_name();
            if said == Some(message) {
                first = Some(delivery.clone());
            }
            if said != Some(after) {
                return vec![delivery];
            }
            let first = first.clone().unwrap();
            let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
                postcard::from_bytes(&first.envelope.body).unwrap();
            let bytes = body(id, transcript, &changed(said));
            let second = Delivery::bare(sign_as(&silo.name, &silo.key, bytes));
            // A repeat of the first is harmless.
            vec![first, second, delivery]
        });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        let case = format!("{message} after {after}");
        assert_eq!(federation.named, vec![name(2)], "{case}");
        let [evidence] = &federation.evidence[..] else {
            panic!("{case}: {} accusations", federation.evidence.len());
        };
        assert!(matches!(evidence.charge, Charge::SecondAnswer { .. }));
        let judged = judged(&federation, evidence);
        assert_eq!(judged, Ok(Standing::Proven), "{case}");
        assert!(federation.released.clone().expect(&case).1.is_empty());
    }
}

#[test]
fn a_nonce_or_a_share_that_is_not_the_committed_one_names_its_sender() {
    for (message, fault) in [
        ("Nonce", Fault::WrongNonce { silo: name(2) }),
        ("Reveal", Fault::BadReveal { silo: name(2) }),
    ] {
        let mut federation = Federation::new(5, 2, Trouble::None);
        federation.upward = Box::new(move |silo, mut delivery| {
            if silo.name == name(2) && delivery.envelope.peek_name() == Some(message) {
                let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
                    postcard::from_bytes(&delivery.envelope.body).unwrap();
                let bytes = body(id, transcript, &changed(said));
                delivery.envelope = sign_as(&silo.name, &silo.key, bytes);
            }
            vec![delivery]
        });
        let plan = federation.plan(1, 1, None);
        federation.run(plan);
        assert!(federation.rejected.contains(&fault), "{message}");
        assert_eq!(federation.named, vec![name(2)]);
        // Four of five are enough for the shares; for a nonce the sum is computed again.
        let (survivors, _) = federation.released.clone().expect(message);
        assert_eq!(survivors.len(), 5);
        let replayed = federation.records.contains(&"Replayed".to_owned());
        assert_eq!(replayed, message == "Nonce");
    }
}

#[test]
fn a_silo_that_advertises_the_keys_of_another_is_named_and_left_out() {
    let mut federation = Federation::new(5, 4, Trouble::None);
    let mut taken = None;
    federation.upward = Box::new(move |silo, mut delivery| {
        if delivery.envelope.peek_name() != Some("AdvertiseKeys") {
            return vec![delivery];
        }
        let (id, transcript, said): (AttemptId, Digest, SiloMessage) =
            postcard::from_bytes(&delivery.envelope.body).unwrap();
        if silo.name == name(2) {
            let copied = taken.clone().unwrap_or(said);
            delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &copied));
        } else if silo.name == name(0) {
            taken = Some(said);
        }
        vec![delivery]
    });
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
    assert_eq!(federation.named, vec![name(2)]);
    let weak = Fault::WeakKey { silo: name(2) };
    assert!(federation.rejected.contains(&weak));
    let (survivors, dropped) = federation.released.clone().unwrap();
    assert_eq!((survivors.len(), dropped), (4, vec![name(2)]));
}

#[test]
fn every_attempt_is_recorded_from_its_opening_to_its_end() {
    const MESSAGES: [&str; 9] = [
        "AdvertiseKeys",
        "ShareKeys",
        "DealReceipt",
        "Ready",
        "MaskedInput",
        "Vote",
        "Reveal",
        "Nonce",
        "Tag",
    ];
    for before in MESSAGES {
        for many in [1, 3] {
            let drops = (0..many).map(|seat| (seat, before)).collect();
            let mut federation = Federation::new(5, 3, Trouble::Drops(drops));
            let plan = federation.plan(1, 1, None);
            federation.run(plan);
            let records = &federation.records;
            assert_eq!(records[0], "Opened");
            let ends = ["Released", "Abandoned"];
            let ends = records
                .iter()
                .filter(|record| ends.contains(&record.as_str()));
            assert_eq!(ends.count(), 1, "{before}: {records:?}");
            let last = if federation.released.is_some() {
                "Released"
            } else {
                "Abandoned"
            };
            assert_eq!(records.last().unwrap(), last, "{before}");
            // Whoever is only gone is accused of nothing.
            assert!(federation.named.is_empty(), "{before}");
        }
    }
}
