// SPDX-License-Identifier: Apache-2.0
//! Signatures over labelled hashes.

use consilium_crypto::signing::{
    Claim, FalseSignature, PreparedKeys, Signature, SignatureFault, SigningKey, VerifyingKey,
    verify_all,
};
use consilium_crypto::transcript::hash;
use consilium_crypto::{Label, Secret};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use sha2::{Digest as _, Sha512};

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([byte; 32]))
}

#[test]
fn a_signature_holds_for_its_key_label_and_parts_only() {
    let signature = key(1).sign(Label::SiloMessage, &[b"round 3", b"vote"]);
    let public = key(1).verifying_key();
    let verify = |label, parts: &[&[u8]]| public.verify(label, parts, &signature);

    assert_eq!(verify(Label::SiloMessage, &[b"round 3", b"vote"]), Ok(()));
    assert_eq!(
        verify(Label::CoordinatorMessage, &[b"round 3", b"vote"]),
        Err(SignatureFault)
    );
    assert_eq!(
        verify(Label::SiloMessage, &[b"round 3vote"]),
        Err(SignatureFault)
    );
    assert_eq!(
        verify(Label::SiloMessage, &[b"round 4", b"vote"]),
        Err(SignatureFault)
    );
    let stranger = key(2).verifying_key();
    let parts: [&[u8]; 2] = [b"round 3", b"vote"];
    assert_eq!(
        stranger.verify(Label::SiloMessage, &parts, &signature),
        Err(SignatureFault)
    );
}

#[test]
fn what_is_signed_is_the_labelled_hash() {
    let digest = hash(Label::Sum, &[b"42"]);
    assert_eq!(
        key(1).sign(Label::Sum, &[b"42"]),
        key(1).sign_raw(digest.as_bytes())
    );
}

#[test]
fn any_flipped_bit_spoils_a_signature() {
    let signature = key(1).sign(Label::Sum, &[b"42"]);
    for position in 0..512 {
        let mut bytes = signature.to_bytes();
        bytes[position / 8] ^= 1 << (position % 8);
        let damaged = Signature::from_bytes(bytes);
        let refused = key(1)
            .verifying_key()
            .verify(Label::Sum, &[b"42"], &damaged);
        assert_eq!(refused, Err(SignatureFault));
    }
}

#[test]
fn keys_and_signatures_are_those_of_the_oracle() {
    use ed25519_dalek::Signer as _;
    for byte in 0..=255 {
        let oracle = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
        let public = key(byte).verifying_key();
        assert_eq!(public.to_bytes(), oracle.verifying_key().to_bytes());
        let message = vec![byte; usize::from(byte)];
        let signature = key(byte).sign_raw(&message);
        assert_eq!(signature.to_bytes(), oracle.sign(&message).to_bytes());
    }
}

/// Whether a single signature holds, which the oracle's strict check must say, too.
fn holds_strictly(key: &VerifyingKey, part: &[u8], signature: &Signature) -> bool {
    let holds = key.verify(Label::SiloMessage, &[part], signature).is_ok();
    let oracle = ed25519_dalek::VerifyingKey::from_bytes(&key.to_bytes()).unwrap();
    let message = hash(Label::SiloMessage, &[part]);
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    let expected = oracle.verify_strict(message.as_bytes(), &signature);
    assert_eq!(holds, expected.is_ok());
    holds
}

#[test]
fn a_single_signature_holds_when_the_strict_check_of_the_oracle_says_so() {
    let part = [0, 9];
    let (zero, nonce) = (Scalar::ZERO, Scalar::from(77_u8));
    for of_key in EIGHT_TORSION {
        for (at, added) in EIGHT_TORSION.into_iter().enumerate() {
            let (key, signature) = odder_signature(of_key, nonce, added, &part);
            let plain = of_key == EdwardsPoint::identity();
            let holds = holds_strictly(&key, &part, &signature);
            assert_eq!(holds && plain, at == 0 && plain);
            // R of small order.
            let (key, signature) = odder_signature(of_key, zero, added, &part);
            assert!(!holds_strictly(&key, &part, &signature));
        }
    }
    let signature = key(1).sign(Label::SiloMessage, &[&part]);
    for position in 0..512 {
        let mut bytes = signature.to_bytes();
        bytes[position / 8] ^= 1 << (position % 8);
        let damaged = Signature::from_bytes(bytes);
        assert!(!holds_strictly(&key(1).verifying_key(), &part, &damaged));
    }
    assert!(holds_strictly(&key(1).verifying_key(), &part, &signature));
}

#[test]
fn no_second_encoding_of_a_point_is_a_key() {
    let mut decoded = 0;
    for lowest in 0xed..=0xff {
        for highest in [0x7f, 0xff] {
            let mut encoded = [0xff; 32];
            (encoded[0], encoded[31]) = (lowest, highest);
            decoded += usize::from(CompressedEdwardsY(encoded).decompress().is_some());
            assert!(VerifyingKey::from_bytes(&encoded).is_err());
        }
    }
    assert!(decoded > 8, "{decoded}");
}

#[test]
fn verifying_keys_are_ordered_by_their_bytes() {
    let mut keys: Vec<_> = (0..20).map(|byte| key(byte).verifying_key()).collect();
    keys.sort();
    assert!(keys.is_sorted_by_key(|key| key.to_bytes()));
}

/// Two hundred signatures of twenty keys.
fn signed() -> Vec<(VerifyingKey, [u8; 2], Signature)> {
    (0..200_u8)
        .map(|at| {
            let key = key(at % 20);
            let signature = key.sign(Label::SiloMessage, &[&[at, 7]]);
            (key.verifying_key(), [at, 7], signature)
        })
        .collect()
}

/// Whether the list holds: the same whichever of its keys are prepared.
fn hold(signed: &[(VerifyingKey, [u8; 2], Signature)]) -> Result<(), FalseSignature> {
    let claims: Vec<Claim<'_>> = signed
        .iter()
        .map(|(key, part, signature)| Claim::new(key, Label::SiloMessage, &[part], signature))
        .collect();
    let keys: Vec<VerifyingKey> = signed.iter().map(|(key, _, _)| *key).collect();
    let answer = verify_all(&claims, &PreparedKeys::default());
    for keys in [&keys[..], &keys[keys.len() / 2..]] {
        let prepared = PreparedKeys::new(keys.iter().copied());
        assert_eq!(verify_all(&claims, &prepared), answer);
    }
    answer
}

#[test]
fn lists_of_true_signatures_hold_whatever_their_length() {
    let signed = signed();
    for length in [0, 1, 2, 3, 31, 94, 95, 96, 150, 200] {
        assert_eq!(hold(&signed[..length]), Ok(()), "{length}");
    }
}

#[test]
fn the_first_false_signature_of_a_list_is_named() {
    for length in [1, 2, 3, 17, 200] {
        for false_ones in [vec![0], vec![length - 1], vec![length / 2, length - 1]] {
            let mut signed = signed();
            signed.truncate(length);
            for at in &false_ones {
                signed[*at].1[1] = 8;
            }
            let refused = hold(&signed);
            let place = false_ones[0];
            assert_eq!(refused, Err(FalseSignature { place }), "{length}");
        }
    }
}

#[test]
fn any_flipped_bit_spoils_a_list() {
    for position in 0..512 {
        let mut signed = signed();
        signed.truncate(3);
        let mut bytes = signed[1].2.to_bytes();
        bytes[position / 8] ^= 1 << (position % 8);
        signed[1].2 = Signature::from_bytes(bytes);
        let refused = hold(&signed);
        assert_eq!(refused, Err(FalseSignature { place: 1 }), "{position}");
    }
}

#[test]
fn two_false_signatures_whose_errors_cancel_without_weights_do_not_hold() {
    let mut signed = signed();
    signed.truncate(2);
    for (at, change) in [(0, Scalar::ONE), (1, -Scalar::ONE)] {
        let mut bytes = signed[at].2.to_bytes();
        let response = Scalar::from_bytes_mod_order(bytes[32..].try_into().unwrap());
        bytes[32..].copy_from_slice((response + change).as_bytes());
        signed[at].2 = Signature::from_bytes(bytes);
    }
    let refused = hold(&signed);
    assert_eq!(refused, Err(FalseSignature { place: 0 }));
}

/// What the owner of a key makes whose nonce point is `nonce * B + added`.
fn odd_signature(nonce: Scalar, added: EdwardsPoint, part: &[u8]) -> (VerifyingKey, Signature) {
    odder_signature(EdwardsPoint::identity(), nonce, added, part)
}

/// The same where the key's point has `of_key` added to it.
fn odder_signature(
    of_key: EdwardsPoint,
    nonce: Scalar,
    added: EdwardsPoint,
    part: &[u8],
) -> (VerifyingKey, Signature) {
    let private = Scalar::from(1_234_567_u32);
    let public = (EdwardsPoint::mul_base(&private) + of_key)
        .compress()
        .to_bytes();
    let commitment = (EdwardsPoint::mul_base(&nonce) + added).compress();
    let hash = Sha512::new()
        .chain_update(commitment.as_bytes())
        .chain_update(public)
        .chain_update(hash(Label::SiloMessage, &[part]))
        .finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(commitment.as_bytes());
    bytes[32..].copy_from_slice((nonce + challenge * private).as_bytes());
    let key = VerifyingKey::from_bytes(&public).unwrap();
    (key, Signature::from_bytes(bytes))
}

#[test]
fn a_signature_with_a_part_of_small_order_holds_in_every_list_or_in_none() {
    let part = [0, 9];
    for (at, torsion) in EIGHT_TORSION.into_iter().enumerate() {
        let (key, signature) = odd_signature(Scalar::from(77_u8), torsion, &part);
        // Single signatures are checked without the factor of 8.
        let alone = key.verify(Label::SiloMessage, &[&part], &signature);
        assert_eq!(alone.is_ok(), at == 0);
        for others in 0..40 {
            let mut signed = signed();
            signed.truncate(others);
            signed.push((key, part, signature));
            assert_eq!(hold(&signed), Ok(()), "{at} {others}");
        }
    }
}

#[test]
fn a_key_with_a_part_of_small_order_does_not_let_its_owner_choose_who_believes_him() {
    let part = [0, 9];
    for torsion in EIGHT_TORSION {
        let nonce = Scalar::from(77_u8);
        let (key, signature) = odder_signature(torsion, nonce, EdwardsPoint::identity(), &part);
        for others in 0..40 {
            let mut signed = signed();
            signed.truncate(others);
            signed.push((key, part, signature));
            assert_eq!(hold(&signed), Ok(()), "{others}");
        }
    }
}

#[test]
fn a_nonce_of_small_order_holds_in_no_list() {
    let part = [0, 9];
    for torsion in EIGHT_TORSION {
        let (key, signature) = odd_signature(Scalar::ZERO, torsion, &part);
        for place in [0, 1, 12] {
            let mut signed = signed();
            signed.truncate(place);
            signed.push((key, part, signature));
            assert_eq!(hold(&signed), Err(FalseSignature { place }));
        }
    }
}

#[test]
fn other_encodings_of_the_same_numbers_hold_neither_alone_nor_in_a_list() {
    let part = [0, 9];
    let (key, signature) = odd_signature(Scalar::from(77_u8), EdwardsPoint::identity(), &part);
    assert_eq!(hold(&[(key, part, signature)]), Ok(()));
    // s + the order of the group.
    let order = (-Scalar::ONE).to_bytes();
    let mut bytes = signature.to_bytes();
    let mut carry = 1;
    for (byte, added) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(added) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    let longer = Signature::from_bytes(bytes);
    assert!(!holds_strictly(&key, &part, &longer));
    let refused = hold(&[(key, part, longer)]);
    assert_eq!(refused, Err(FalseSignature { place: 0 }));
    // The encodings of y that are not below 2^255 - 19 and still decode to a point.
    let mut decoded = 0;
    for lowest in 0xed..=0xff {
        let mut nonce = [0xff; 32];
        (nonce[0], nonce[31]) = (lowest, 0x7f);
        if CompressedEdwardsY(nonce).decompress().is_none() {
            continue;
        }
        decoded += 1;
        let mut bytes = signature.to_bytes();
        bytes[..32].copy_from_slice(&nonce);
        let signature = Signature::from_bytes(bytes);
        assert!(!holds_strictly(&key, &part, &signature));
        let refused = hold(&[(key, part, signature)]);
        assert_eq!(refused, Err(FalseSignature { place: 0 }));
    }
    assert!(decoded > 4, "{decoded}");
}
