// SPDX-License-Identifier: Apache-2.0
//! Withheld and corrupt deals, corrupt reveals, corrupt dealings.

use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::EncapsulationKey;
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::random::InsecureSeededRandom;
use consilium_crypto::sealing;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::shamir::{self, Threshold};
use consilium_crypto::transcript::{derive_hybrid_key, hash};
use consilium_protocol::{
    AttemptId, Delivery, Envelope, Fault, RevealedShare, SecretKind, SiloMachine, SiloMessage,
    SiloName,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::federation::{Federation, Trouble};
use crate::table::{body, name, sign_as};

type SiloBody = (AttemptId, Digest, SiloMessage);

pub(crate) fn read(delivery: &Delivery) -> SiloBody {
    postcard::from_bytes(&delivery.envelope.body).unwrap()
}

pub(crate) fn run(federation: &mut Federation) {
    let plan = federation.plan(1, 1, None);
    federation.run(plan);
}

pub(crate) fn assert_released_without(federation: &Federation, missing: &[usize]) {
    let (survivors, dropped) = federation.released.as_ref().expect("released");
    let missing: Vec<SiloName> = missing.iter().map(|seat| name(*seat)).collect();
    assert_eq!(*dropped, missing);
    let sum = federation.true_sum(survivors);
    for silo in &federation.silos {
        if survivors.contains(&silo.name) {
            assert_eq!(silo.finished[0].words().unwrap(), sum);
        }
    }
}

#[test]
fn a_silo_from_which_the_coordinator_withholds_deals_is_excluded_before_it_uploads() {
    for changed in [Vec::new(), vec![0; 5], vec![7; 500]] {
        let mut federation = Federation::new(4, 1, Trouble::None);
        federation.downward = Box::new(move |to, mut delivery| {
            if *to == name(3) && delivery.envelope.peek_name() == Some("DealBook") {
                for ciphertext in &mut delivery.attachments {
                    ciphertext.clone_from(&changed);
                }
            }
            vec![delivery]
        });
        run(&mut federation);
        assert_released_without(&federation, &[3]);
        assert!(!federation.uploads.contains_key(&name(3)));
        assert!(
            federation.silos[3]
                .aborted
                .contains(&Fault::LeftOut { list: "cohort" })
        );
    }
}

#[test]
fn a_silo_that_gets_no_ciphertexts_or_those_of_another_is_excluded() {
    for others in [false, true] {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut federation = Federation::new(4, 2, Trouble::None);
        federation.downward = Box::new(move |to, mut delivery| {
            if delivery.envelope.peek_name() == Some("DealBook") {
                if *to == name(2) {
                    seen.borrow_mut().clone_from(&delivery.attachments);
                } else if *to == name(3) {
                    delivery.attachments = if others {
                        seen.borrow().clone()
                    } else {
                        Vec::new()
                    };
                }
            }
            vec![delivery]
        });
        run(&mut federation);
        assert_released_without(&federation, &[3]);
    }
}

#[test]
fn a_colluder_that_deals_garbage_to_one_silo_keeps_neither_it_nor_the_round() {
    let mut federation = Federation::new(5, 3, Trouble::None);
    federation.upward = Box::new(|silo, mut delivery| {
        if silo.name == name(4) && delivery.envelope.peek_name() == Some("ShareKeys") {
            delivery.attachments[0][0] ^= 1;
        }
        vec![delivery]
    });
    run(&mut federation);
    // The two cannot be in one cohort, and nothing proves which of them lies.
    let (survivors, _) = federation.released.clone().expect("released");
    assert_eq!(survivors.len(), 4);
    assert!(!(survivors.contains(&name(0)) && survivors.contains(&name(4))));
    assert_eq!(
        federation.silos[1].finished[0].words().unwrap(),
        federation.true_sum(&survivors)
    );
}

fn change_reveals(federation: &mut Federation, change: fn(&mut Vec<RevealedShare>)) {
    federation.upward = Box::new(move |silo, mut delivery| {
        if silo.name == name(1) && delivery.envelope.peek_name() == Some("Reveal") {
            let (id, transcript, message) = read(&delivery);
            let SiloMessage::Reveal { mut shares } = message else {
                panic!("a reveal is a reveal")
            };
            change(&mut shares);
            let message = SiloMessage::Reveal { shares };
            delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &message));
        }
        vec![delivery]
    });
}

#[test]
fn a_silo_that_reveals_a_corrupt_share_is_named_and_the_sum_is_right() {
    let changes: [fn(&mut Vec<RevealedShare>); 8] = [
        |shares| shares[0].share[7] ^= 1,
        |shares| shares[0].share[0] += 1,
        |shares| shares[0].share.truncate(32),
        |shares| shares[0].share.clear(),
        |shares| shares[0].path.clear(),
        |shares| shares[0].kind = SecretKind::MaskKey,
        |shares| shares[0].dealer = u32::MAX,
        |shares| {
            shares.pop();
        },
    ];
    for change in changes {
        for trouble in [
            Trouble::None,
            Trouble::Drop {
                silo: 4,
                before: "MaskedInput",
            },
        ] {
            let missing: &[usize] = if trouble == Trouble::None { &[] } else { &[4] };
            let mut federation = Federation::new(5, 4, trouble);
            change_reveals(&mut federation, change);
            run(&mut federation);
            assert_released_without(&federation, missing);
            assert_eq!(federation.named, vec![name(1)]);
            let silo = name(1);
            assert!(federation.rejected.contains(&Fault::BadReveal { silo }));
        }
    }
}

#[test]
fn corrupt_reveals_beyond_what_the_threshold_bears_release_nothing() {
    let mut federation = Federation::new(4, 5, Trouble::None);
    federation.upward = Box::new(|silo, mut delivery| {
        if silo.name >= name(2) && delivery.envelope.peek_name() == Some("Reveal") {
            let (id, transcript, _) = read(&delivery);
            let shares = Vec::new();
            let message = SiloMessage::Reveal { shares };
            delivery.envelope = sign_as(&silo.name, &silo.key, body(id, transcript, &message));
        }
        vec![delivery]
    });
    run(&mut federation);
    assert!(federation.released.is_none());
    let (_, phase, charged) = federation.abandoned.clone().expect("abandoned");
    assert_eq!((phase, charged), ("revealing", true));
    assert_eq!(federation.named, vec![name(2), name(3)]);
}

/// A dealer whose shares lie on no polynomial: its own secrets, dealt anew by the rules but for one value.
struct CorruptDealer {
    corrupt: SecretKind,
    keys: BTreeMap<SiloName, (PublicKey, EncapsulationKey)>,
}

impl CorruptDealer {
    fn deal(
        &self,
        own: &SiloName,
        secrets: &[u8],
        delivery: &Delivery,
    ) -> (SiloBody, Vec<Vec<u8>>) {
        let (id, k, _) = read(delivery);
        let seed = |at: usize| -> Secret32 {
            let from = 85 + 32 * at;
            Secret::new(secrets[from..from + 32].try_into().unwrap())
        };
        let channel = AgreementSecret::from_seed(&seed(0));
        let (mask_key, self_mask) = (seed(1), seed(2));
        let count = self.keys.len() as u32;
        let threshold = Threshold::new(count / 2 + 1, count).unwrap();
        let mut random = InsecureSeededRandom::from_seed(99);
        let mut split = |kind: SecretKind, secret: &Secret32| -> Vec<Vec<u8>> {
            let shares = shamir::split(secret, threshold, &mut random);
            let mut shares: Vec<Vec<u8>> = shares
                .iter()
                .map(|share| share.to_bytes().expose().to_vec())
                .collect();
            if kind == self.corrupt {
                shares[0][1] ^= 1;
            }
            shares
        };
        let kinds = [
            (
                0,
                SecretKind::SelfMask,
                split(SecretKind::SelfMask, &self_mask),
            ),
            (
                1,
                SecretKind::MaskKey,
                split(SecretKind::MaskKey, &mask_key),
            ),
        ];
        let names: Vec<&SiloName> = self.keys.keys().collect();
        let mut leaves = Vec::new();
        for (at, recipient) in names.iter().enumerate() {
            for (kind, _, shares) in &kinds {
                let leaf = hash(
                    Label::DealLeaf,
                    &[
                        &id.to_bytes(),
                        k.as_bytes(),
                        own.as_str().as_bytes(),
                        recipient.as_str().as_bytes(),
                        &[*kind],
                        &shares[at],
                    ],
                );
                leaves.push(merkle::leaf_hash(leaf.as_bytes()));
            }
        }
        let dealer = names.iter().position(|silo| *silo == own).unwrap() as u32;
        let ciphertexts = names.iter().enumerate().map(|(at, recipient)| {
            let dealt: Vec<RevealedShare> = kinds
                .iter()
                .map(|(index, kind, shares)| RevealedShare {
                    dealer,
                    kind: *kind,
                    share: shares[at].clone(),
                    path: merkle::inclusion_proof(&leaves, 2 * at as u64 + u64::from(*index)),
                })
                .collect();
            let plaintext = postcard::to_allocvec(&(&dealt[0], &dealt[1])).unwrap();
            let (public_key, encapsulation_key) = &self.keys[*recipient];
            let agreed = channel.agree(public_key).unwrap();
            let (encapsulated, shared) = encapsulation_key.encapsulate(&mut random).unwrap();
            let key = derive_hybrid_key::<32>(
                &k,
                [&agreed, &shared],
                Label::DealKey,
                &[
                    own.as_str().as_bytes(),
                    recipient.as_str().as_bytes(),
                    encapsulated.as_slice(),
                ],
            );
            let sealed = sealing::seal(key, k.as_bytes(), &plaintext);
            [encapsulated.as_slice(), &sealed].concat()
        });
        let ciphertexts = ciphertexts.collect();
        let message = SiloMessage::ShareKeys {
            self_mask_commitment: hash(
                Label::SelfMaskCommitment,
                &[
                    &id.to_bytes(),
                    k.as_bytes(),
                    own.as_str().as_bytes(),
                    self_mask.expose(),
                ],
            ),
            share_root: merkle::root(&leaves),
        };
        ((id, k, message), ciphertexts)
    }
}

/// Runs a round in which silo 1 deals shares of `corrupt` that lie on no polynomial.
pub(crate) fn run_with_corrupt_dealer(corrupt: SecretKind, trouble: Trouble) -> Federation {
    let mut federation = Federation::new(5, 6, trouble);
    let mut dealer = CorruptDealer {
        corrupt,
        keys: BTreeMap::new(),
    };
    federation.upward = Box::new(move |silo, delivery| {
        match read(&delivery).2 {
            SiloMessage::AdvertiseKeys {
                channel_public_key,
                encapsulation_key,
                ..
            } => {
                let keys = (channel_public_key, encapsulation_key);
                dealer.keys.insert(silo.name.clone(), keys);
            }
            SiloMessage::ShareKeys { .. } if silo.name == name(1) => {
                let machine = silo.machine.take().unwrap();
                let secrets = machine.secrets().unwrap();
                let ((id, k, message), attachments) =
                    dealer.deal(&silo.name, secrets.expose(), &delivery);
                let envelope = sign_as(&silo.name, &silo.key, body(id, k, &message));
                // The colluder's own machine is made to believe that it dealt so.
                let snapshot = replace(&machine.snapshot(), &delivery.envelope, &envelope);
                let instance = hash(Label::StartNonce, &[&[1]]);
                let secrets = Some(secrets.expose().as_slice());
                silo.machine = Some(SiloMachine::restore(&snapshot, secrets, instance).unwrap());
                return vec![Delivery {
                    envelope,
                    attachments,
                }];
            }
            _ => {}
        }
        vec![delivery]
    });
    run(&mut federation);
    federation
}

/// The same snapshot with one envelope in the place of another of equal length.
fn replace(snapshot: &[u8], old: &Envelope, new: &Envelope) -> Vec<u8> {
    let [old, new] = [old, new].map(|envelope| postcard::to_allocvec(envelope).unwrap());
    assert_eq!(old.len(), new.len());
    let mut replaced = snapshot.to_vec();
    let mut at = 0;
    while at + old.len() <= replaced.len() {
        if replaced[at..at + old.len()] == old {
            replaced[at..at + old.len()].copy_from_slice(&new);
        }
        at += 1;
    }
    assert_ne!(replaced, snapshot);
    replaced
}

#[test]
fn a_dealer_of_shares_on_no_polynomial_is_named_and_nothing_is_released() {
    for (corrupt, trouble) in [
        (SecretKind::SelfMask, Trouble::None),
        (
            SecretKind::MaskKey,
            Trouble::Drop {
                silo: 1,
                before: "MaskedInput",
            },
        ),
    ] {
        let federation = run_with_corrupt_dealer(corrupt, trouble);
        assert!(federation.released.is_none());
        let (reason, phase, charged) = federation.abandoned.clone().expect("abandoned");
        assert_eq!((phase, charged), ("revealing", true), "{reason}");
        assert!(reason.contains("silo-01"), "{reason}");
        assert_eq!(federation.named, vec![name(1)]);
        assert!(federation.silos.iter().all(|silo| silo.finished.is_empty()));
    }
}

#[test]
fn a_corrupt_dealing_of_a_secret_that_is_never_rebuilt_harms_nobody() {
    let federation = run_with_corrupt_dealer(SecretKind::MaskKey, Trouble::None);
    assert_released_without(&federation, &[]);
    assert!(federation.named.is_empty());
}
