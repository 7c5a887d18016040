// SPDX-License-Identifier: Apache-2.0
//! Signatures over labelled hashes.

use consilium_crypto::signing::{Signature, SignatureFault, SigningKey};
use consilium_crypto::transcript::hash;
use consilium_crypto::{Label, Secret};

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
fn verifying_keys_are_ordered_by_their_bytes() {
    let mut keys: Vec<_> = (0..20).map(|byte| key(byte).verifying_key()).collect();
    keys.sort();
    assert!(keys.is_sorted_by_key(|key| key.to_bytes()));
}
