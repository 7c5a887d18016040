// SPDX-License-Identifier: Apache-2.0
//! Shares, packed words, sealed messages, keys and paths.

use super::steer;
use anyhow::Result;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::{
    DecapsulationSecret, ENCAPSULATION_KEY_LENGTH, EncapsulationKey,
};
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::packing::{pack, packed_length, unpack};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::sealing::{TAG_LENGTH, open, seal};
use consilium_crypto::secret::Secret;
use consilium_crypto::shamir::{Share, Threshold, combine, split};
use consilium_crypto::signing::{Signature, SigningKey, VerifyingKey};
use std::str::FromStr;

/// A share that is read is written as it was; what combines, combines alike.
pub(super) fn shares(input: &[u8]) {
    let (threshold, rest) = steer(input);
    let shares: Vec<Share> = rest
        .chunks(33)
        .filter_map(|bytes| {
            let share = Share::from_bytes(bytes).ok()?;
            assert_eq!(share.to_bytes().expose().as_slice(), bytes);
            Some(share)
        })
        .collect();
    let count = u32::try_from(shares.len()).unwrap_or(u32::MAX);
    let threshold = u32::try_from(threshold).unwrap_or(u32::MAX);
    if let Ok(threshold) = Threshold::new(threshold, count) {
        let first = combine(&shares, threshold).map(|secret| *secret.expose());
        let second = combine(&shares, threshold).map(|secret| *secret.expose());
        assert_eq!(first.ok(), second.ok());
    }
}

pub(super) fn shares_seeds() -> Result<Vec<Vec<u8>>> {
    let mut random = InsecureSeededRandom::from_seed(1);
    let mut seeds = Vec::new();
    for (threshold, count) in [(2, 3), (3, 4), (5, 9)] {
        let secret = random.secret32();
        let mut bytes = vec![u8::try_from(threshold)?];
        for share in split(&secret, Threshold::new(threshold, count)?, &mut random) {
            bytes.extend_from_slice(share.to_bytes().expose().as_slice());
        }
        seeds.push(bytes);
    }
    Ok(seeds)
}

/// Packed words that are accepted have one spelling, pad bits included.
pub(super) fn packing(input: &[u8]) {
    let (bits, rest) = steer(input);
    let (count, packed) = steer(rest);
    let Some(bits) = u8::try_from(bits)
        .ok()
        .and_then(|bits| WordBits::new(bits).ok())
    else {
        return;
    };
    if let Ok(words) = unpack(bits, packed, count) {
        assert_eq!(packed.len(), packed_length(bits, count));
        assert!(words.iter().all(|word| *word <= bits.mask()));
        assert_eq!(pack(bits, &words), packed);
    }
}

pub(super) fn packing_seeds() -> Result<Vec<Vec<u8>>> {
    let mut random = InsecureSeededRandom::from_seed(2);
    let mut seeds = Vec::new();
    for bits in [8, 13, 16, 20, 24, 32, 61, 64] {
        let width = WordBits::new(bits)?;
        let words: Vec<u64> = (0..37).map(|_| random.next_u64() & width.mask()).collect();
        let mut bytes = vec![bits, 37];
        bytes.extend_from_slice(&pack(width, &words));
        seeds.push(bytes);
    }
    Ok(seeds)
}

/// What opens was sealed: sealing it again gives the same bytes.
pub(super) fn sealing(input: &[u8]) {
    let (context, ciphertext) = steer(input);
    let context = [u8::try_from(context).unwrap_or_default()];
    if let Ok(plaintext) = open(Secret::new([7; 32]), &context, ciphertext) {
        assert_eq!(plaintext.expose().len() + TAG_LENGTH, ciphertext.len());
        assert_eq!(
            seal(Secret::new([7; 32]), &context, plaintext.expose()),
            ciphertext
        );
    }
}

pub(super) fn sealing_seeds() -> Result<Vec<Vec<u8>>> {
    Ok([&b""[..], b"a", &[0; 100]]
        .iter()
        .map(|plaintext| [vec![9], seal(Secret::new([7; 32]), &[9], plaintext)].concat())
        .collect())
}

/// An encapsulation key of a stranger: refused, or a secret that both sides have.
pub(super) fn encapsulation(input: &[u8]) {
    let Ok(bytes) = <[u8; ENCAPSULATION_KEY_LENGTH]>::try_from(input) else {
        return;
    };
    let own = DecapsulationSecret::from_seed(&Secret::new([5; 64]));
    let key = EncapsulationKey::from_bytes(bytes);
    let sealed = key.encapsulate(&mut InsecureSeededRandom::from_seed(1));
    assert_eq!(sealed.is_ok(), key.is_well_formed());
    if let Ok((encapsulated, secret)) = sealed {
        let opened = own.decapsulate(&encapsulated);
        assert_eq!(opened.equals(&secret), key == *own.encapsulation_key());
    }
}

pub(super) fn encapsulation_seeds() -> Result<Vec<Vec<u8>>> {
    let own = DecapsulationSecret::from_seed(&Secret::new([5; 64]));
    let other = DecapsulationSecret::from_seed(&Secret::new([6; 64]));
    let keys = [own.encapsulation_key(), other.encapsulation_key()];
    let mut seeds = keys.map(|key| key.as_bytes().to_vec()).to_vec();
    seeds.push(vec![0xff; ENCAPSULATION_KEY_LENGTH]);
    Ok(seeds)
}

/// Keys, signatures and digests have one spelling; paths and agreements take anything.
pub(super) fn keys(input: &[u8]) {
    if let Some((bytes, rest)) = input.split_first_chunk::<32>() {
        if let Ok(key) = VerifyingKey::from_bytes(bytes) {
            assert_eq!(key.to_bytes(), *bytes);
            if let Some((signature, rest)) = rest.split_first_chunk::<64>() {
                let _ = key.verify_raw(rest, &Signature::from_bytes(*signature));
            }
        }
        let secret = AgreementSecret::from_seed(&Secret::new([3; 32]));
        let _ = secret.agree(&PublicKey::from_bytes(*bytes));
        let path: Vec<Digest> = rest
            .as_chunks::<32>()
            .0
            .iter()
            .map(|bytes| Digest::from_bytes(*bytes))
            .collect();
        let leaf = Digest::from_bytes(*bytes);
        let (index, size) = (u64::from(bytes[0]), u64::from(bytes[1]));
        for index in [index, u64::MAX - index] {
            for size in [size, u64::MAX - size] {
                let _ = merkle::verify_inclusion(&leaf, index, size, &path, &leaf);
                let _ = merkle::verify_consistency(index, &leaf, size, &leaf, &path);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        same_spelling::<Digest>(text);
        same_spelling::<Signature>(text);
        same_spelling::<PublicKey>(text);
        same_spelling::<VerifyingKey>(text);
    }
}

pub(super) fn keys_seeds() -> Result<Vec<Vec<u8>>> {
    let key = SigningKey::from_seed(&Secret::new([5; 32]));
    let signature = key.sign(Label::SiloMessage, &[b"text"]);
    let raw = [
        key.verifying_key().to_bytes().as_slice(),
        signature.as_ref(),
        b"text",
    ]
    .concat();
    Ok(vec![
        raw,
        key.verifying_key().to_string().into_bytes(),
        signature.to_string().into_bytes(),
        vec![0; 32],
        vec![0xff; 96],
    ])
}

fn same_spelling<T: FromStr + ToString>(text: &str) {
    if let Ok(value) = T::from_str(text) {
        assert_eq!(value.to_string(), text);
    }
}
