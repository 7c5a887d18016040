// SPDX-License-Identifier: Apache-2.0
//! The standards' own vectors, and ours of version 1.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::mask::{MaskStream, Sign};
use consilium_crypto::merkle;
use consilium_crypto::packing::pack;
use consilium_crypto::ring::WordBits;
use consilium_crypto::sealing::{open, seal};
use consilium_crypto::shamir::{self, Threshold};
use consilium_crypto::signing::{
    Claim, PreparedKeys, Signature, SigningKey, VerifyingKey, verify_all,
};
use consilium_crypto::transcript::{derive_hybrid_key, derive_key, hash, sha256};
use consilium_crypto::{Digest, Label, Secret, Secret32};
use serde_json::Value;

use crate::vectors::{Dictated, array, bytes, digests, each, hex, integer, load, secret};

#[test]
fn x25519_agrees_with_rfc_7748() {
    let vectors = load(include_str!("../vectors/rfc7748.json"));
    for vector in each(&vectors["function"]) {
        let shared = AgreementSecret::from_seed(&secret(vector, "scalar"))
            .agree(&PublicKey::from_bytes(array(vector, "u_coordinate")))
            .unwrap();
        assert_eq!(shared.expose(), &array(vector, "output"));
        let oracle = x25519_dalek::x25519(array(vector, "scalar"), array(vector, "u_coordinate"));
        assert_eq!(shared.expose(), &oracle);
    }

    let agreement = &vectors["agreement"];
    let alice = AgreementSecret::from_seed(&secret(agreement, "alice_private"));
    let bob = AgreementSecret::from_seed(&secret(agreement, "bob_private"));
    assert_eq!(
        alice.public_key().as_bytes(),
        &array(agreement, "alice_public")
    );
    assert_eq!(bob.public_key().as_bytes(), &array(agreement, "bob_public"));
    let shared: Secret32 = secret(agreement, "shared");
    assert!(alice.agree(&bob.public_key()).unwrap().equals(&shared));
    assert!(bob.agree(&alice.public_key()).unwrap().equals(&shared));
}

#[test]
fn x25519_iterated_a_thousand_times_agrees_with_rfc_7748() {
    let vectors = load(include_str!("../vectors/rfc7748.json"));
    let iterated = &vectors["iterated"];
    let mut scalar: [u8; 32] = array(iterated, "start");
    let mut u_coordinate = scalar;
    for round in 1..=1000 {
        let next = AgreementSecret::from_seed(&Secret::new(scalar))
            .agree(&PublicKey::from_bytes(u_coordinate))
            .unwrap();
        (u_coordinate, scalar) = (scalar, *next.expose());
        if round == 1 {
            assert_eq!(scalar, array(iterated, "after_1"));
        }
    }
    assert_eq!(scalar, array(iterated, "after_1000"));
}

#[test]
fn ed25519_agrees_with_rfc_8032() {
    for vector in each(&load(include_str!("../vectors/rfc8032.json"))) {
        let key = SigningKey::from_seed(&secret(vector, "secret"));
        assert_eq!(key.verifying_key().to_bytes(), array(vector, "public"));
        let message = bytes(vector, "message");
        let signature = Signature::from_bytes(array(vector, "signature"));
        assert_eq!(key.sign_raw(&message), signature);
        let public = VerifyingKey::from_bytes(&array(vector, "public")).unwrap();
        assert_eq!(public.verify_raw(&message, &signature), Ok(()));
        let claim = Claim::of_raw(&public, &message, &signature);
        assert_eq!(verify_all(&[claim], &PreparedKeys::default()), Ok(()));
    }
}

#[test]
fn mask_streams_agree_with_sp_800_38a() {
    let vector = load(include_str!("../vectors/sp800-38a.json"));
    let counter: [u8; 16] = array(&vector, "counter");
    let key = Secret::from_slice(&[&bytes(&vector, "key"), &counter[..12]].concat()).unwrap();
    let block = u32::from_be_bytes(counter[12..].try_into().unwrap());

    // Fields of eight bits begin at every eighth block: enter there and skip seven blocks.
    let entered = block / 8 * 8;
    let skipped = usize::try_from((block - entered) * 16).unwrap();
    let plaintext = bytes(&vector, "plaintext");
    let mut words = vec![0; skipped + plaintext.len()];
    let bits = WordBits::new(8).unwrap();
    MaskStream::new(bits, &key).apply(Sign::Add, u64::from(entered) / 8 * 128, &mut words);

    let ciphertext: Vec<u8> = words[skipped..]
        .iter()
        .zip(plaintext)
        .map(|(keystream, byte)| u8::try_from(*keystream).unwrap() ^ byte)
        .collect();
    assert_eq!(ciphertext, bytes(&vector, "ciphertext"));
}

#[test]
fn sealing_agrees_with_the_gcm_specification() {
    for vector in each(&load(include_str!("../vectors/gcm.json"))) {
        let associated_data = bytes(vector, "associated_data");
        let plaintext = bytes(vector, "plaintext");
        let sealed = [bytes(vector, "ciphertext"), bytes(vector, "tag")].concat();
        assert_eq!(
            seal(secret(vector, "key"), &associated_data, &plaintext),
            sealed
        );
        let opened = open(secret(vector, "key"), &associated_data, &sealed).unwrap();
        assert_eq!(opened.expose(), &plaintext);
    }
}

#[test]
fn the_cipher_behind_sealing_agrees_with_the_gcm_specification_and_nist_at_other_nonces() {
    for vector in each(&load(include_str!("../vectors/gcm-nonces.json"))) {
        let cipher = Aes256Gcm::new(&array::<32>(vector, "key").into());
        let nonce = array::<12>(vector, "nonce").into();
        let mut message = bytes(vector, "plaintext");
        let associated_data = bytes(vector, "associated_data");
        let buffer = message.as_mut_slice().into();
        let tag = cipher.encrypt_inout_detached(&nonce, &associated_data, buffer);
        assert_eq!(message, bytes(vector, "ciphertext"));
        assert_eq!(<[u8; 16]>::from(tag.unwrap()), array(vector, "tag"));
    }
}

#[test]
fn merkle_trees_agree_with_the_certificate_transparency_reference() {
    let vectors = load(include_str!("../vectors/rfc6962.json"));
    let leaves: Vec<Digest> = each(&vectors["leaves"])
        .iter()
        .map(|leaf| merkle::leaf_hash(&hex(leaf)))
        .collect();
    let roots = digests(&vectors["roots"]);
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(merkle::root(&leaves[..size]), *root);
    }
    for vector in each(&vectors["inclusion"]) {
        let (index, size) = (integer(vector, "index"), integer(vector, "size"));
        let proof = digests(&vector["proof"]);
        let tree = &leaves[..usize::try_from(size).unwrap()];
        assert_eq!(merkle::inclusion_proof(tree, index), proof);
    }
    for vector in each(&vectors["consistency"]) {
        let (old, new) = (integer(vector, "old"), integer(vector, "new"));
        let proof = digests(&vector["proof"]);
        let tree = &leaves[..usize::try_from(new).unwrap()];
        assert_eq!(merkle::consistency_proof(tree, old), proof);
    }
}

#[test]
fn labelled_hashes_and_derived_keys_are_those_of_version_1() {
    let vectors = load(include_str!("../vectors/consilium-v1.json"));
    for vector in each(&vectors["hashes"]) {
        let parts: Vec<Vec<u8>> = each(&vector["parts"]).iter().map(hex).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let digest = hash(label(vector), &parts);
        assert_eq!(digest.as_bytes(), &array(vector, "digest"));
    }
    for vector in each(&vectors["keys"]) {
        let parts: Vec<Vec<u8>> = each(&vector["parts"]).iter().map(hex).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let salt = Digest::from_bytes(array(vector, "salt"));
        let key = derive_key::<44>(&salt, &array(vector, "secret"), label(vector), &parts);
        assert_eq!(key.expose(), &array(vector, "key"));
    }
}

#[test]
fn mask_streams_are_those_of_version_1_also_across_the_end_of_a_nonce() {
    let vectors = load(include_str!("../vectors/consilium-v1.json"));
    for vector in each(&vectors["streams"]) {
        let bits = WordBits::new(u8::try_from(integer(vector, "bits")).unwrap()).unwrap();
        let mut words = vec![0; usize::try_from(integer(vector, "count")).unwrap()];
        let stream = MaskStream::new(bits, &secret(vector, "key"));
        stream.apply(Sign::Add, integer(vector, "first_field"), &mut words);
        let digest = sha256(&pack(bits, &words));
        assert_eq!(
            digest.as_bytes(),
            &array(vector, "packed_sha256"),
            "{vector}"
        );
    }
}

#[test]
fn hybrid_keys_are_those_of_version_1() {
    let vectors = load(include_str!("../vectors/hybrid-key-v1.json"));
    for vector in each(&vectors) {
        let parts: Vec<Vec<u8>> = each(&vector["parts"]).iter().map(hex).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let salt = Digest::from_bytes(array(vector, "salt"));
        let secrets = [&secret(vector, "agreed"), &secret(vector, "encapsulated")];
        let key = derive_hybrid_key::<32>(&salt, secrets, label(vector), &parts);
        assert_eq!(key.expose(), &array(vector, "key"));
    }
}

#[test]
fn shares_are_those_of_version_1() {
    let vectors = load(include_str!("../vectors/consilium-v1.json"));
    let vector = &vectors["shamir"];
    let coefficients = each(&vector["coefficients"]).iter().flat_map(hex).collect();
    let threshold = Threshold::new(3, 5).unwrap();
    let shares = shamir::split(
        &secret(vector, "secret"),
        threshold,
        &mut Dictated(coefficients),
    );
    for (share, expected) in shares.iter().zip(each(&vector["shares"])) {
        assert_eq!(share.to_bytes().expose().as_slice(), hex(expected));
    }
    assert_eq!(shares.len(), 5);
}

#[test]
fn shares_over_words_are_those_of_version_1() {
    for vector in each(&load(include_str!("../vectors/shamir-gf65536-v1.json"))) {
        let number = |field| u32::try_from(integer(vector, field)).unwrap();
        let threshold = Threshold::new(number("threshold"), number("shares")).unwrap();
        let coefficients = each(&vector["coefficients"]).iter().flat_map(hex).collect();
        let shares = shamir::split(
            &secret(vector, "secret"),
            threshold,
            &mut Dictated(coefficients),
        );
        for expected in each(&vector["shown"]).iter().map(hex) {
            let share = shares
                .iter()
                .find(|share| share.index().to_le_bytes() == expected[..2]);
            assert_eq!(*share.unwrap().to_bytes().expose(), expected);
        }
    }
}

fn label(vector: &Value) -> Label {
    let text = format!("consilium/v1/{}", vector["label"].as_str().unwrap());
    let found = Label::ALL.iter().find(|label| label.as_str() == text);
    *found.expect("a known label")
}
