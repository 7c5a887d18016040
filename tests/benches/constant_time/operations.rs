// SPDX-License-Identifier: Apache-2.0
//! The operations on secrets that are examined. Inputs of both classes are made by the same steps.

use crate::examination::{Class, Examination, Expectation};
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::{DecapsulationSecret, Encapsulated};
use consilium_crypto::label::Label;
use consilium_crypto::mask::{MaskSet, Sign};
use consilium_crypto::mersenne::Element;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use consilium_crypto::sealing;
use consilium_crypto::shamir::{Field, Interpolation, Share, Threshold, split};
use consilium_crypto::signing::SigningKey;
use consilium_crypto::tensor::TensorCoefficients;
use consilium_crypto::transcript::{derive_hybrid_key, derive_key, sha256};
use consilium_crypto::{Secret, Secret32};
use consilium_privacy::discrete_gaussian::DiscreteGaussian;
use std::hint::black_box;

pub(crate) fn examine(examination: &mut Examination) {
    comparisons(examination);
    shares(examination);
    keys(examination);
    masks(examination);
    noise(examination);
}

fn comparisons(examination: &mut Examination) {
    let reference = [0x5a; 32];
    examination.examine(
        "comparison that ends at the first difference, on purpose",
        Expectation::Leaks,
        100,
        |class, random| bytes(class, random, reference),
        |candidate: &mut [u8; 32]| {
            let equal = black_box(&*candidate)
                .iter()
                .zip(black_box(&reference))
                .all(|(left, right)| left == right);
            black_box(equal);
        },
    );
    let secret = Secret::new(reference);
    examination.examine(
        "comparison of secrets",
        Expectation::Constant,
        100,
        |class, random| Secret::new(bytes(class, random, reference)),
        |candidate: &mut Secret32| {
            black_box(black_box(&secret).equals(black_box(candidate)));
        },
    );
}

fn shares(examination: &mut Examination) {
    for (field, splitting, combining) in [
        (
            Field::Gf256,
            "shares over GF(2^8): splitting a secret",
            "shares over GF(2^8): combining values",
        ),
        (
            Field::Gf65536,
            "shares over GF(2^16): splitting a secret",
            "shares over GF(2^16): combining values",
        ),
    ] {
        let threshold = Threshold::within(field, 5, 8).unwrap();
        let mut coefficients = InsecureSeededRandom::from_seed(2);
        examination.examine(
            splitting,
            Expectation::Constant,
            1,
            |class, random| Secret::new(bytes(class, random, [0; 32])),
            |secret: &mut Secret32| {
                black_box(split(black_box(secret), threshold, &mut coefficients));
            },
        );
        let abscissae = [8, 2, 7, 3, 5];
        let interpolation = Interpolation::new(&abscissae, threshold).unwrap();
        examination.examine(
            combining,
            Expectation::Constant,
            10,
            |class, random| {
                abscissae.map(|abscissa| {
                    let place = &abscissa.to_le_bytes()[..field.share_length() - 32];
                    let value = bytes(class, random, [0; 32]);
                    Share::from_bytes(&[place, &value].concat()).unwrap()
                })
            },
            |shares: &mut [Share; 5]| {
                black_box(interpolation.combine(black_box(shares)).unwrap());
            },
        );
    }
}

fn keys(examination: &mut Examination) {
    let peer = AgreementSecret::from_seed(&Secret::new([3; 32])).public_key();
    examination.examine(
        "X25519: the scalar",
        Expectation::Constant,
        1,
        |class, random| AgreementSecret::from_seed(&Secret::new(bytes(class, random, [0; 32]))),
        |secret: &mut AgreementSecret| {
            black_box(secret.agree(black_box(&peer)).unwrap());
        },
    );
    examination.examine(
        "X25519 with eight peers: the scalar",
        Expectation::Constant,
        1,
        |class, random| AgreementSecret::from_seed(&Secret::new(bytes(class, random, [0; 32]))),
        |secret: &mut AgreementSecret| {
            black_box(secret.agree_with_all(black_box(&[peer; 8])));
        },
    );
    examination.examine(
        "X25519: the public key of a scalar",
        Expectation::Constant,
        1,
        |class, random| Secret::new(bytes(class, random, [0; 32])),
        |seed: &mut Secret32| {
            black_box(AgreementSecret::from_seed(black_box(seed)).public_key());
        },
    );
    let secret = AgreementSecret::from_seed(&Secret::new([4; 32]));
    examination.examine(
        "X25519: the peer's point",
        Expectation::Constant,
        1,
        |class, random| PublicKey::from_bytes(bytes(class, random, *peer.as_bytes())),
        |peer: &mut PublicKey| {
            black_box(black_box(&secret).agree(peer).ok());
        },
    );
    let recipient = DecapsulationSecret::from_seed(&Secret::new([5; 64]));
    examination.examine(
        "ML-KEM-768: what was encapsulated, against what was not",
        Expectation::Constant,
        1,
        |class, random| {
            let key = recipient.encapsulation_key();
            let (mut encapsulated, _) = key.encapsulate(random).unwrap();
            let mut other = [0; std::mem::size_of::<Encapsulated>()];
            random.fill(&mut other);
            if class == Class::Random {
                *encapsulated = other;
            }
            encapsulated
        },
        |encapsulated: &mut Box<Encapsulated>| {
            black_box(recipient.decapsulate(black_box(encapsulated)));
        },
    );
    examination.examine(
        "Ed25519: the key that signs",
        Expectation::Constant,
        1,
        |class, random| SigningKey::from_seed(&Secret::new(bytes(class, random, [0; 32]))),
        |key: &mut SigningKey| {
            black_box(key.sign_raw(black_box(b"statement")));
        },
    );
    let salt = sha256(b"salt");
    examination.examine(
        "HKDF: one secret",
        Expectation::Constant,
        1,
        |class, random| Secret::new(bytes(class, random, [0; 32])),
        |secret: &mut Secret32| {
            let key = derive_key::<44>(&salt, secret.expose(), Label::SelfMask, &[b"silo"]);
            black_box(key);
        },
    );
    examination.examine(
        "HKDF: two secrets",
        Expectation::Constant,
        1,
        |class, random| [0, 1].map(|_| Secret::new(bytes(class, random, [0; 32]))),
        |[first, second]: &mut [Secret32; 2]| {
            let both = [&*first, &*second];
            let key = derive_hybrid_key::<44>(&salt, both, Label::SelfMask, &[b"silo"]);
            black_box(key);
        },
    );
    examination.examine(
        "AES-256-GCM: the key and the message",
        Expectation::Constant,
        1,
        |class, random| {
            let key = Secret::new(bytes(class, random, [0; 32]));
            let message: Vec<u8> = (0..32)
                .flat_map(|_| bytes(class, random, [0; 32]))
                .collect();
            (key, message)
        },
        |(key, message): &mut (Secret32, Vec<u8>)| {
            black_box(sealing::seal(
                key.duplicate(),
                b"context",
                black_box(message),
            ));
        },
    );
}

fn masks(examination: &mut Examination) {
    let bits = WordBits::new(24).unwrap();
    let stream = |key: [u8; 32]| {
        let mut set = MaskSet::new(bits);
        let bytes = Secret::from_slice(&[key.as_slice(), &[0; 12]].concat()).unwrap();
        set.push(Sign::Add, &bytes);
        set
    };
    examination.examine(
        "mask applied: the key",
        Expectation::Constant,
        1,
        |class, random| (stream(bytes(class, random, [0; 32])), vec![0; 1024]),
        |(set, words): &mut (MaskSet, Vec<u64>)| set.apply(0, black_box(words)),
    );
    let set = stream([6; 32]);
    examination.examine(
        "mask applied: the vector",
        Expectation::Constant,
        1,
        |class, random| words(class, random, bits.mask()),
        |words: &mut Vec<u64>| set.apply(0, black_box(words)),
    );
    for (name, bits) in [
        (
            "mask applied and packed: the vector, in words of 16 bits",
            16,
        ),
        (
            "mask applied and packed: the vector, in words of 20 bits",
            20,
        ),
        (
            "mask applied and packed: the vector, in words of 32 bits",
            32,
        ),
    ] {
        let bits = WordBits::new(bits).unwrap();
        let mut set = MaskSet::new(bits);
        for (sign, key) in [(Sign::Add, [6; 44]), (Sign::Subtract, [7; 44])] {
            set.push(sign, &Secret::new(key));
        }
        examination.examine(
            name,
            Expectation::Constant,
            1,
            |class, random| words(class, random, bits.mask()),
            |words: &mut Vec<u64>| {
                black_box(set.pack(0, black_box(words)));
            },
        );
    }
    examination.examine(
        "tag: its mask added and subtracted",
        Expectation::Constant,
        100,
        |class, random| {
            let [product, mask] = [0, 1].map(|_| {
                let bytes = bytes(class, random, [0; 32]);
                let (half, _) = bytes.split_first_chunk::<16>().unwrap();
                Element::from_uniform(*half)
            });
            (product, mask)
        },
        |(product, mask): &mut (Element, Element)| {
            let (product, mask) = (black_box(*product), black_box(*mask));
            black_box(product.plus(mask).minus(product));
        },
    );
    let mut coefficients = TensorCoefficients::new(&Secret::new([6; 44]));
    for (name, bits) in [
        ("tag: the vector, in words of 32 bits", 32),
        ("tag: the vector, in words of 62 bits", 62),
    ] {
        let bits = WordBits::new(bits).unwrap();
        examination.examine(
            name,
            Expectation::Constant,
            1,
            |class, random| words(class, random, bits.mask()),
            |words: &mut Vec<u64>| {
                let product = coefficients.inner_product(bits, 0, black_box(words));
                black_box(product.value());
            },
        );
    }
}

fn noise(examination: &mut Examination) {
    // Of standard deviation 10.2.
    let gaussian = DiscreteGaussian::new(12).unwrap();
    examination.examine(
        "noise added: the vector below it",
        Expectation::Constant,
        1,
        |class, random| {
            let vector: Vec<i64> = words(class, random, 0xffff)
                .iter()
                .map(|word| word.cast_signed())
                .take(64)
                .collect();
            (InsecureSeededRandom::from_seed(random.next_u64()), vector)
        },
        |(random, vector): &mut (InsecureSeededRandom, Vec<i64>)| {
            gaussian.add_to(black_box(vector), random);
        },
    );
    examination.examine(
        "noise drawn: one value, zero or any",
        Expectation::Constant,
        1,
        |class, random| drawn(class, random, &gaussian, |noise| noise[0] == 0),
        |random: &mut InsecureSeededRandom| {
            black_box(gaussian.sample(random));
        },
    );
    examination.examine(
        "noise drawn: one value, beyond two sigma or any",
        Expectation::Constant,
        1,
        |class, random| drawn(class, random, &gaussian, |noise| noise[0].abs() > 20),
        |random: &mut InsecureSeededRandom| {
            black_box(gaussian.sample(random));
        },
    );
    examination.examine(
        "noise drawn: 64 values, of small or any norm",
        Expectation::Constant,
        1,
        |class, random| {
            drawn(class, random, &gaussian, |noise| {
                // A sixth of all.
                noise.iter().map(|value| value * value).sum::<i64>() < 64 * 86
            })
        },
        |random: &mut InsecureSeededRandom| {
            black_box(gaussian.sample_vector(64, random));
        },
    );
}

/// A generator whose first 64 values are as told, or any.
fn drawn(
    class: Class,
    random: &mut InsecureSeededRandom,
    gaussian: &DiscreteGaussian,
    is_told: impl Fn(&[i64]) -> bool,
) -> InsecureSeededRandom {
    loop {
        let seed = random.next_u64();
        let noise = gaussian.sample_vector(64, &mut InsecureSeededRandom::from_seed(seed));
        if class == Class::Random || is_told(&noise) {
            return InsecureSeededRandom::from_seed(seed);
        }
    }
}

/// The fixed bytes, or random ones.
fn bytes(class: Class, random: &mut InsecureSeededRandom, fixed: [u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    match class {
        Class::Fixed => fixed,
        Class::Random => bytes,
    }
}

/// 1024 zeros, or as many random words up to `most`, which is a mask.
fn words(class: Class, random: &mut InsecureSeededRandom, most: u64) -> Vec<u64> {
    let words = (0..1024).map(|_| random.next_u64() & most);
    match class {
        Class::Fixed => words.map(|_| 0).collect(),
        Class::Random => words.collect(),
    }
}
