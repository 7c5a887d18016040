// SPDX-License-Identifier: Apache-2.0
//! Key encapsulation against another implementation, and with what is not what was encapsulated.

use aws_lc_rs::kem::{
    Ciphertext, DecapsulationKey, EncapsulationKey as ForeignEncapsulationKey, ML_KEM_768,
};
use consilium_crypto::Secret;
use consilium_crypto::key_encapsulation::{
    DecapsulationSecret, ENCAPSULATED_LENGTH, Encapsulated, EncapsulationFault, EncapsulationKey,
};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

fn secret(random: &mut InsecureSeededRandom) -> DecapsulationSecret {
    DecapsulationSecret::from_seed(&Secret::filled(|seed| random.fill(seed)))
}

#[test]
fn both_ends_agree_and_nobody_else_does() {
    let mut random = InsecureSeededRandom::from_seed(1);
    for _ in 0..20 {
        let (recipient, stranger) = (secret(&mut random), secret(&mut random));
        let key = recipient.encapsulation_key();
        let (encapsulated, shared) = key.encapsulate(&mut random).unwrap();
        assert!(recipient.decapsulate(&encapsulated).equals(&shared));
        assert!(!stranger.decapsulate(&encapsulated).equals(&shared));
        let (again, other) = key.encapsulate(&mut random).unwrap();
        assert_ne!(again, encapsulated);
        assert!(!other.equals(&shared));
    }
}

#[test]
fn any_changed_byte_gives_another_secret() {
    let mut random = InsecureSeededRandom::from_seed(2);
    let recipient = secret(&mut random);
    let key = recipient.encapsulation_key();
    let (encapsulated, shared) = key.encapsulate(&mut random).unwrap();
    let mut seen = std::collections::BTreeSet::from([*shared.expose()]);
    for place in 0..ENCAPSULATED_LENGTH {
        let mut changed = encapsulated.clone();
        changed[place] ^= 1 << (place % 8);
        assert!(seen.insert(*recipient.decapsulate(&changed).expose()));
    }
}

#[test]
fn the_same_seed_and_randomness_give_the_same_bytes() {
    let seed = Secret::new([7; 64]);
    let [first, second] = [(), ()].map(|()| DecapsulationSecret::from_seed(&seed));
    assert_eq!(first.encapsulation_key(), second.encapsulation_key());
    let encapsulate = |seed| {
        let mut random = InsecureSeededRandom::from_seed(seed);
        let (encapsulated, _) = first.encapsulation_key().encapsulate(&mut random).unwrap();
        encapsulated
    };
    assert_eq!(encapsulate(3), encapsulate(3));
    assert_ne!(encapsulate(3), encapsulate(4));
    assert!(format!("{first:?}").ends_with("(..)"));
}

#[test]
fn the_foreign_implementation_opens_what_we_encapsulate() {
    let mut random = InsecureSeededRandom::from_seed(3);
    for _ in 0..20 {
        let recipient = DecapsulationKey::generate(&ML_KEM_768).unwrap();
        let key = recipient.encapsulation_key().unwrap().key_bytes().unwrap();
        let key = EncapsulationKey::from_bytes(key.as_ref().try_into().unwrap());
        let (encapsulated, shared) = key.encapsulate(&mut random).unwrap();
        let opened = recipient.decapsulate(Ciphertext::from(encapsulated.as_slice()));
        assert_eq!(opened.unwrap().as_ref(), shared.expose());
    }
}

#[test]
fn we_open_what_the_foreign_implementation_encapsulates() {
    let mut random = InsecureSeededRandom::from_seed(4);
    for _ in 0..20 {
        let recipient = secret(&mut random);
        let bytes = recipient.encapsulation_key().as_bytes();
        let key = ForeignEncapsulationKey::new(&ML_KEM_768, bytes).unwrap();
        let (encapsulated, shared) = key.encapsulate().unwrap();
        let encapsulated = Encapsulated::try_from(encapsulated.as_ref()).unwrap();
        let opened = recipient.decapsulate(&encapsulated);
        assert_eq!(opened.expose(), shared.as_ref());
    }
}

#[test]
fn a_key_with_a_coefficient_beyond_the_modulus_is_none() {
    let mut random = InsecureSeededRandom::from_seed(5);
    let good = *secret(&mut random).encapsulation_key().as_bytes();
    // Every coefficient has twelve bits: 3328 is the last that is below the modulus.
    for (coefficient, is_well_formed) in [(3328_u16, true), (3329, false), (4095, false)] {
        for pair in [0, 5, 383] {
            let mut bytes = good;
            let [low, high] = coefficient.to_le_bytes();
            bytes[3 * pair] = low;
            bytes[3 * pair + 1] = bytes[3 * pair + 1] & 0xf0 | high;
            let key = EncapsulationKey::from_bytes(bytes);
            assert_eq!(key.is_well_formed(), is_well_formed);
            let refused = key.encapsulate(&mut random).err();
            assert_eq!(refused, (!is_well_formed).then_some(EncapsulationFault));
        }
    }
}

#[test]
fn public_keys_travel_as_their_bytes_and_read_as_hexadecimal_digits() {
    let mut random = InsecureSeededRandom::from_seed(6);
    let key = secret(&mut random).encapsulation_key().clone();
    let bytes = postcard::to_allocvec(&key).unwrap();
    assert_eq!(bytes, key.as_bytes());
    assert_eq!(
        postcard::from_bytes::<EncapsulationKey>(&bytes),
        Ok(key.clone())
    );
    assert!(postcard::from_bytes::<EncapsulationKey>(&bytes[1..]).is_err());
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(text.len(), 2 * bytes.len() + 2);
    assert_eq!(
        serde_json::from_str::<EncapsulationKey>(&text).unwrap(),
        key
    );
}
