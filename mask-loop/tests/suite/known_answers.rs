// SPDX-License-Identifier: Apache-2.0
//! Keystream that others have published or computed.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use consilium_mask_loop::{Sign, Stream};

use crate::definition::{Numbers, every_implementation};

/// NIST SP 800-38A, F.5.5 (CTR-AES256.Encrypt): the four output blocks, as plaintext XOR ciphertext.
#[test]
fn the_keystream_is_that_of_nist() {
    let key = bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let nonce = bytes("f0f1f2f3f4f5f6f7f8f9fafb");
    let plaintext = bytes(concat!(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    ));
    let ciphertext = bytes(concat!(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5",
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    ));
    let expected: Vec<u8> = plaintext
        .iter()
        .zip(&ciphertext)
        .map(|(a, b)| a ^ b)
        .collect();
    let stream = Stream::new(&key.try_into().unwrap(), &nonce.try_into().unwrap());
    // The counter of the vectors begins at fcfdfeff, seven blocks after a place of entry at 8 bits.
    let first_field = u64::from(0xfcfd_feff_u32 / 8) * 128;
    for mask_loop in every_implementation(8) {
        let mut words = vec![0; 11 * 16];
        mask_loop.apply(&[(Sign::Add, &stream)], first_field, &mut words);
        let found: Vec<u8> = words[7 * 16..]
            .iter()
            .map(|word| word.to_le_bytes()[0])
            .collect();
        assert_eq!(found, expected, "{}", mask_loop.implementation());
    }
}

#[test]
fn the_keystream_is_that_of_another_library() {
    let mut numbers = Numbers(11);
    let material = &numbers.streams(1)[0];
    let key = UnboundCipherKey::new(&AES_256, &material.key).unwrap();
    let key = EncryptingKey::ctr(key).unwrap();
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(&material.nonce);
    let mut expected = vec![0; 100_000];
    key.less_safe_encrypt(&mut expected, EncryptionContext::Iv128((&counter).into()))
        .unwrap();
    let (_, stream) = material.stream();
    for bits in [16_u8, 20, 24, 32, 40, 48, 64, 17] {
        for mask_loop in every_implementation(bits) {
            let zeros = vec![0_u64; expected.len() * 8 / usize::from(bits)];
            let mut packed = vec![0; mask_loop.packed_length(zeros.len())];
            mask_loop.mask(&[(Sign::Add, &stream)], 0, &zeros, &mut packed);
            let whole = packed.len() - 1;
            assert!(
                packed[..whole] == expected[..whole],
                "{} at {bits}",
                mask_loop.implementation()
            );
        }
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
