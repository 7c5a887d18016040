// SPDX-License-Identifier: Apache-2.0
//! A private ML-KEM-768 key, unpacked where the processor has AVX2.
//!
//! COST: unpacked, the matrix of the key's own public half is expanded once and not again for each secret, which is
//! half of what decapsulating takes.

use std::hint::black_box;

#[cfg(target_arch = "x86_64")]
use libcrux_ml_kem::mlkem768::avx2::unpacked;
use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey};
use zeroize::Zeroize;

use super::SEED_LENGTH;

/// The key as the library has it, which does not wipe it.
pub(super) enum PrivateKey {
    /// INVARIANT: exists only where the processor has AVX2; here the library does not ask.
    #[cfg(target_arch = "x86_64")]
    Unpacked(Box<unpacked::MlKem768KeyPairUnpacked>),
    Packed(Box<MlKem768PrivateKey>),
}

impl PrivateKey {
    /// Room for a key, in the form that suits the processor.
    pub(super) fn empty() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Unpacked(Box::new(unpacked::init_key_pair()));
        }
        Self::empty_packed()
    }

    fn empty_packed() -> Self {
        Self::Packed(Box::default())
    }

    /// Becomes the key that FIPS 203 generates from the seed d || z, and gives its public half.
    pub(super) fn generate(&mut self, seed: &[u8; SEED_LENGTH]) -> MlKem768PublicKey {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Unpacked(pair) => {
                unpacked::generate_key_pair_mut(*seed, pair);
                unpacked::key_pair_serialized_public_key(pair)
            }
            Self::Packed(private) => {
                let (generated, public) = mlkem768::generate_key_pair(*seed).into_parts();
                **private = generated;
                public
            }
        }
    }

    pub(super) fn decapsulate(&self, encapsulated: &MlKem768Ciphertext) -> [u8; 32] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Unpacked(pair) => unpacked::decapsulate(pair, encapsulated),
            Self::Packed(private) => mlkem768::decapsulate(private, encapsulated),
        }
    }
}

impl Zeroize for PrivateKey {
    fn zeroize(&mut self) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Unpacked(pair) => {
                // SECURITY: its fields are the library's own. To the compiler, somebody looks at the zeros.
                **pair = unpacked::init_key_pair();
                black_box(pair);
            }
            Self::Packed(private) => private[0..].zeroize(),
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::random::{InsecureSeededRandom, RandomSource};

    fn generated(mut key: PrivateKey, seed: &[u8; SEED_LENGTH]) -> (PrivateKey, MlKem768PublicKey) {
        let public = key.generate(seed);
        (key, public)
    }

    #[test]
    fn both_forms_of_a_key_decapsulate_alike_what_was_encapsulated_and_what_was_not() {
        let mut random = InsecureSeededRandom::from_seed(1);
        for _ in 0..50 {
            let mut seed = [0; SEED_LENGTH];
            random.fill(&mut seed);
            let (chosen, public) = generated(PrivateKey::empty(), &seed);
            let (packed, same) = generated(PrivateKey::empty_packed(), &seed);
            assert_eq!(public.as_slice(), same.as_slice());
            let (mut encapsulated, shared) =
                mlkem768::encapsulate(&public, *random.secret32().expose());
            assert_eq!(chosen.decapsulate(&encapsulated), shared);
            assert_eq!(packed.decapsulate(&encapsulated), shared);
            encapsulated[usize::from(seed[0])] ^= 1;
            let rejected = chosen.decapsulate(&encapsulated);
            assert_ne!(rejected, shared);
            assert_eq!(packed.decapsulate(&encapsulated), rejected);
        }
    }

    #[test]
    fn a_wiped_key_decapsulates_as_a_key_of_zeros_does() {
        let mut random = InsecureSeededRandom::from_seed(2);
        let (mut key, public) = generated(PrivateKey::empty(), &[7; SEED_LENGTH]);
        let (encapsulated, _) = mlkem768::encapsulate(&public, *random.secret32().expose());
        let of_zeros = PrivateKey::empty().decapsulate(&encapsulated);
        assert_ne!(key.decapsulate(&encapsulated), of_zeros);
        key.zeroize();
        assert_eq!(key.decapsulate(&encapsulated), of_zeros);
    }
}
