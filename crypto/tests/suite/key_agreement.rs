// SPDX-License-Identifier: Apache-2.0
//! X25519 against a second implementation, which shares no code with ours.

use consilium_crypto::key_agreement::{AgreementFault, AgreementSecret, PublicKey};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

#[test]
fn keys_and_secrets_are_those_of_the_oracle() {
    let mut random = InsecureSeededRandom::from_seed(25519);
    for _ in 0..200 {
        let [own, peer] = [random.secret32(), random.secret32()];
        let secret = AgreementSecret::from_seed(&own);
        let oracle = x25519_dalek::StaticSecret::from(*own.expose());
        let public = x25519_dalek::PublicKey::from(&oracle);
        assert_eq!(secret.public_key().as_bytes(), public.as_bytes());
        // Half of all bytes are points of the twist, and of every key the highest bit counts for nothing.
        let peer = PublicKey::from_bytes(*peer.expose());
        let expected = oracle.diffie_hellman(&x25519_dalek::PublicKey::from(peer.to_bytes()));
        let agreed = secret.agree(&peer).unwrap();
        assert_eq!(agreed.expose(), expected.as_bytes());
    }
}

#[test]
fn agreements_with_many_are_those_with_each() {
    let mut random = InsecureSeededRandom::from_seed(30);
    let mut one = [0; 32];
    one[0] = 1;
    for count in 0..40_usize {
        let secret = AgreementSecret::from_seed(&random.secret32());
        let mut peers: Vec<PublicKey> = (0..count)
            .map(|_| PublicKey::from_bytes(*random.secret32().expose()))
            .collect();
        // Where it may stand, a key of small order is refused, and no other key with it.
        if let Some(place) = count.checked_sub(3) {
            peers[place] = PublicKey::from_bytes(one);
        }
        let agreed = secret.agree_with_all(&peers);
        assert_eq!(agreed.len(), count);
        for (agreed, peer) in agreed.iter().zip(&peers) {
            match secret.agree(peer) {
                Ok(alone) => assert_eq!(agreed.as_ref().unwrap().expose(), alone.expose()),
                Err(fault) => assert_eq!(agreed.as_ref().err(), Some(&fault)),
            }
        }
    }
}

#[test]
fn a_key_of_small_order_is_refused_in_every_encoding() {
    // Bernstein's list: the five below 2^255 - 19, those above, and all of them with the highest bit set.
    let hexadecimal = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let mut random = InsecureSeededRandom::from_seed(8);
    for text in hexadecimal {
        for highest_bit in [0, 0x80] {
            let mut bytes = text.parse::<PublicKey>().unwrap().to_bytes();
            bytes[31] |= highest_bit;
            let key = PublicKey::from_bytes(bytes);
            let seed = random.secret32();
            let refused = AgreementSecret::from_seed(&seed).agree(&key).err();
            assert_eq!(refused, Some(AgreementFault::NonContributory), "{text}");
            assert!(!key.is_usable(), "{text}");
            let oracle = x25519_dalek::StaticSecret::from(*seed.expose());
            let zeros = oracle.diffie_hellman(&x25519_dalek::PublicKey::from(bytes));
            assert!(!zeros.was_contributory(), "{text}");
        }
    }
}
