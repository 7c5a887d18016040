// SPDX-License-Identifier: Apache-2.0
//! Labelled hashing and key derivation over lists of byte strings.
//!
//! Both encode the label and each part as a length (eight bytes, little-endian) followed by the
//! bytes, so two different lists never encode alike. The number of parts is fixed by the label.

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::label::Label;
use crate::secret::{Secret, Secret32};

/// SHA-256 of the label and the parts, each behind its length.
pub fn hash(label: Label, parts: &[&[u8]]) -> Digest {
    let mut sha256 = Sha256::new();
    encode(label, parts, |bytes| sha256.update(bytes));
    Digest::from_bytes(sha256.finalize().into())
}

/// BLAKE3 of one long string, keyed by the label: its key-derivation mode with the label's text as context.
///
/// COST: several times faster than SHA-256. For chunks of vectors alone: everything that others verify, the
/// log above all, is hashed by [`hash`].
pub fn bulk_hash(label: Label, bytes: &[u8]) -> Digest {
    let mut blake3 = blake3::Hasher::new_derive_key(label.as_str());
    blake3.update(bytes);
    Digest::from_bytes(*blake3.finalize().as_bytes())
}

/// Plain SHA-256 ([FIPS 180-4]), for names of files and formats that others define.
///
/// [FIPS 180-4]: https://doi.org/10.6028/NIST.FIPS.180-4
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// Plain SHA-256 of bytes that come piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces as if they had been one.
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

/// HKDF-SHA256 ([RFC 5869]): extract with the transcript digest `salt` and the secret, expand with
/// the label and the parts encoded as in [`hash`].
///
/// [RFC 5869]: https://www.rfc-editor.org/rfc/rfc5869
pub fn derive_key<const N: usize>(
    salt: &Digest,
    secret: &[u8; 32],
    label: Label,
    parts: &[&[u8]],
) -> Secret<[u8; N]> {
    let mut info = Zeroizing::new(Vec::new());
    encode(label, parts, |bytes| info.extend_from_slice(bytes));
    expand(salt.as_bytes(), secret, &info)
}

/// A key that stays secret as long as either of two secrets does: HKDF-SHA256 as in [`derive_key`], from one
/// secret followed by the other.
///
/// Both have 32 bytes, so no two pairs read alike. What the secrets came from, ciphertexts and public keys,
/// belongs into the salt and the parts: that binds the key to them.
pub fn derive_hybrid_key<const N: usize>(
    salt: &Digest,
    secrets: [&Secret32; 2],
    label: Label,
    parts: &[&[u8]],
) -> Secret<[u8; N]> {
    let [first, second] = secrets.map(Secret::expose);
    let both = Secret::filled(|both: &mut [u8; 64]| {
        for (byte, secret) in both.iter_mut().zip(first.iter().chain(second)) {
            *byte = *secret;
        }
    });
    let mut info = Vec::new();
    encode(label, parts, |bytes| info.extend_from_slice(bytes));
    expand(salt.as_bytes(), both.expose(), &info)
}

fn expand<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> Secret<[u8; N]> {
    const { assert!(N <= 255 * 32, "HKDF-SHA256 gives at most 8160 bytes") };
    let keys = Hkdf::<Sha256>::new(Some(salt), secret);
    Secret::filled(|key| {
        #[expect(clippy::expect_used, reason = "the only failure is too long an output")]
        keys.expand(info, key)
            .expect("the length was checked when compiling");
    })
}

fn encode(label: Label, parts: &[&[u8]], mut write: impl FnMut(&[u8])) {
    let mut write_part = |part: &[u8]| {
        // A usize has at most 64 bits on every platform that Rust supports.
        write(&(part.len() as u64).to_le_bytes());
        write(part);
    };
    write_part(label.as_str().as_bytes());
    for part in parts {
        write_part(part);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    #[test]
    fn derivation_agrees_with_rfc_5869() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../tests/vectors/rfc5869.json")).unwrap();
        for vector in vectors {
            let [salt, ikm, info, okm] = [vector.salt, vector.ikm, vector.info, vector.okm]
                .map(|text| HEXLOWER.decode(text.as_bytes()).unwrap());
            let key = expand::<82>(&salt, &ikm, &info);
            assert_eq!(key.expose()[..okm.len()], okm);
        }
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let bytes: Vec<u8> = (0..=255).collect();
        for at in [0, 1, 63, 64, 65, 256] {
            let mut stream = Sha256Stream::default();
            stream.update(&bytes[..at]);
            stream.update(&bytes[at..]);
            assert_eq!(stream.finish(), sha256(&bytes));
        }
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        salt: String,
        ikm: String,
        info: String,
        okm: String,
    }
}
