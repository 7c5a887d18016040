// SPDX-License-Identifier: Apache-2.0
//! What a round is made of, each on its own: packing, sharing, sealing, key agreement, encapsulation, signatures.
//!
//! `cargo bench -p consilium-crypto --bench primitives [-- WORD]`. Expanding and packing together is measured in
//! consilium-mask-loop, whole rounds in consilium-tests and by `consilium bench aggregation`.
#![allow(clippy::unwrap_used)]

use consilium_crypto::key_agreement::AgreementSecret;
use consilium_crypto::key_encapsulation::{DecapsulationSecret, SEED_LENGTH};
use consilium_crypto::label::Label;
use consilium_crypto::packing;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::sealing;
use consilium_crypto::secret::Secret;
use consilium_crypto::shamir::{self, Share, Threshold};
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::sha256;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Words of a chunk.
const WORDS: usize = 32_768;
/// As long as two sealed shares with their Merkle paths.
const SEALED: usize = 800;
/// The silos of a cohort and how many of them must come together; beyond 255 the field is GF(2^16).
const COHORTS: [(u32, u32); 4] = [(10, 6), (30, 16), (100, 51), (500, 251)];

#[divan::bench_group(sample_count = 20)]
mod pack {
    use super::*;

    #[divan::bench(args = 8..=64)]
    fn words(bencher: Bencher<'_, '_>, bits: u8) {
        let bits = WordBits::new(bits).unwrap();
        let words = words_of(bits);
        bencher
            .counter(ItemsCount::new(WORDS))
            .bench_local(|| packing::pack(bits, black_box(&words)));
    }
}

#[divan::bench_group(sample_count = 20)]
mod unpack {
    use super::*;

    #[divan::bench(args = 8..=64)]
    fn words(bencher: Bencher<'_, '_>, bits: u8) {
        let bits = WordBits::new(bits).unwrap();
        let packed = packing::pack(bits, &words_of(bits));
        bencher
            .counter(ItemsCount::new(WORDS))
            .bench_local(|| packing::unpack(bits, black_box(&packed), WORDS));
    }
}

#[divan::bench_group(sample_count = 20)]
mod share {
    use super::*;

    #[divan::bench(args = COHORTS)]
    fn split(bencher: Bencher<'_, '_>, (silos, threshold): (u32, u32)) {
        let mut random = random();
        let secret = random.secret32();
        let threshold = Threshold::new(threshold, silos).unwrap();
        bencher.bench_local(|| shamir::split(black_box(&secret), threshold, &mut random));
    }

    /// Coefficients and all, as for the first secret of a set of revealers.
    #[divan::bench(args = COHORTS)]
    fn combine(bencher: Bencher<'_, '_>, (silos, needed): (u32, u32)) {
        let mut random = random();
        let threshold = Threshold::new(needed, silos).unwrap();
        let secret = random.secret32();
        let mut shares: Vec<Share> = shamir::split(&secret, threshold, &mut random);
        shares.truncate(usize::try_from(needed).unwrap());
        bencher.bench_local(|| shamir::combine(black_box(&shares), threshold));
    }
}

#[divan::bench_group(sample_count = 20)]
mod seal {
    use super::*;

    #[divan::bench]
    fn two_shares(bencher: Bencher<'_, '_>) {
        let mut random = random();
        let plaintext = vec![7; SEALED];
        bencher
            .counter(BytesCount::new(SEALED))
            .with_inputs(|| random.secret32())
            .bench_local_values(|key| sealing::seal(key, b"bench", black_box(&plaintext)));
    }

    #[divan::bench]
    fn open_two_shares(bencher: Bencher<'_, '_>) {
        let key = || InsecureSeededRandom::from_seed(1).secret32();
        let sealed = sealing::seal(key(), b"bench", &vec![7; SEALED]);
        bencher
            .counter(BytesCount::new(SEALED))
            .with_inputs(key)
            .bench_local_values(|key| sealing::open(key, b"bench", black_box(&sealed)));
    }
}

#[divan::bench_group(sample_count = 20)]
mod x25519 {
    use super::*;

    #[divan::bench]
    fn public_key(bencher: Bencher<'_, '_>) {
        let seed = random().secret32();
        bencher.bench_local(|| AgreementSecret::from_seed(black_box(&seed)).public_key());
    }

    #[divan::bench]
    fn agree(bencher: Bencher<'_, '_>) {
        let mut random = random();
        let own = AgreementSecret::from_seed(&random.secret32());
        let peer = AgreementSecret::from_seed(&random.secret32()).public_key();
        bencher.bench_local(|| own.agree(black_box(&peer)));
    }
}

#[divan::bench_group(sample_count = 20)]
mod ml_kem_768 {
    use super::*;

    #[divan::bench]
    fn generate(bencher: Bencher<'_, '_>) {
        let seed = seed();
        bencher.bench_local(|| DecapsulationSecret::from_seed(black_box(&seed)));
    }

    #[divan::bench]
    fn encapsulate(bencher: Bencher<'_, '_>) {
        let key = DecapsulationSecret::from_seed(&seed());
        let mut random = random();
        bencher.bench_local(|| key.encapsulation_key().encapsulate(&mut random));
    }

    #[divan::bench]
    fn decapsulate(bencher: Bencher<'_, '_>) {
        let key = DecapsulationSecret::from_seed(&seed());
        let encapsulated = key.encapsulation_key().encapsulate(&mut random());
        let (encapsulated, _) = encapsulated.unwrap();
        bencher.bench_local(|| key.decapsulate(black_box(&encapsulated)));
    }

    fn seed() -> Secret<[u8; SEED_LENGTH]> {
        let mut random = random();
        Secret::filled(|seed| random.fill(seed))
    }
}

#[divan::bench_group(sample_count = 20)]
mod ed25519 {
    use super::*;

    #[divan::bench]
    fn sign(bencher: Bencher<'_, '_>) {
        let key = SigningKey::from_seed(&random().secret32());
        let message = [7; 128];
        bencher.bench_local(|| key.sign(Label::SiloMessage, &[black_box(&message)]));
    }

    #[divan::bench]
    fn verify(bencher: Bencher<'_, '_>) {
        let key = SigningKey::from_seed(&random().secret32());
        let message = [7; 128];
        let signature = key.sign(Label::SiloMessage, &[&message]);
        let key = key.verifying_key();
        bencher.bench_local(|| key.verify(Label::SiloMessage, &[black_box(&message)], &signature));
    }
}

#[divan::bench(sample_count = 20)]
fn sha_256(bencher: Bencher<'_, '_>) {
    let bytes = vec![7; WORDS * 4];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| sha256(black_box(&bytes)));
}

fn random() -> InsecureSeededRandom {
    InsecureSeededRandom::from_seed(1)
}

fn words_of(bits: WordBits) -> Vec<u64> {
    let mut random = random();
    (0..WORDS)
        .map(|_| random.next_u64() & bits.mask())
        .collect()
}
