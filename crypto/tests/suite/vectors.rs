// SPDX-License-Identifier: Apache-2.0
//! Reading the vector files.

use consilium_crypto::random::RandomSource;
use consilium_crypto::{Digest, Secret};
use serde_json::Value;

/// One vector file.
pub(crate) fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("vector file is JSON")
}

/// The bytes of a hexadecimal field.
pub(crate) fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    hex(&vector[field])
}

/// The bytes of a hexadecimal string.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a hexadecimal string");
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

/// The bytes of a hexadecimal field of known length.
pub(crate) fn array<const N: usize>(vector: &Value, field: &str) -> [u8; N] {
    bytes(vector, field).try_into().unwrap()
}

/// A hexadecimal field as a secret.
pub(crate) fn secret<const N: usize>(vector: &Value, field: &str) -> Secret<[u8; N]> {
    Secret::from_slice(&bytes(vector, field)).unwrap()
}

/// An array of digests.
pub(crate) fn digests(value: &Value) -> Vec<Digest> {
    value
        .as_array()
        .expect("an array")
        .iter()
        .map(|digest| digest.as_str().unwrap().parse().unwrap())
        .collect()
}

/// An integer field.
pub(crate) fn integer(vector: &Value, field: &str) -> u64 {
    vector[field].as_u64().expect("an integer")
}

/// The elements of an array.
pub(crate) fn each(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

/// A source that hands out what the test dictates.
pub(crate) struct Dictated(pub(crate) Vec<u8>);

impl RandomSource for Dictated {
    fn fill(&mut self, bytes: &mut [u8]) {
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&self.0);
        self.0 = rest;
    }
}
