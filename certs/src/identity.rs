// SPDX-License-Identifier: Apache-2.0
//! The keys that make up an identity, and their form in a file.
//!
//! Every private key is stored as PKCS#8 in PEM, so that `openssl pkey -in FILE -text` reads it.
//! Ed25519 keys travel here as their 32-byte seed, from which [`SigningKey`] is made.
//!
//! [`SigningKey`]: consilium_crypto::signing::SigningKey

use std::fmt;

use consilium_crypto::digest::Digest;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use zeroize::Zeroize;

use crate::name::Name;
use crate::pem;

/// The PEM text of an Ed25519 private key.
pub fn seed_to_pem(seed: &Secret32) -> Secret<Vec<u8>> {
    let mut der = [0; ED25519_PKCS8_PREFIX.len() + 32];
    let (prefix, key) = der.split_at_mut(ED25519_PKCS8_PREFIX.len());
    prefix.copy_from_slice(&ED25519_PKCS8_PREFIX);
    key.copy_from_slice(seed.expose());
    let text = pem::encode_private_key(&der);
    der.zeroize();
    text
}

/// The seed in the PEM text of an Ed25519 private key.
pub fn seed_from_pem(text: &Secret<Vec<u8>>) -> Result<Secret32, KeyFault> {
    let key = read_pkcs8(text)?;
    let seed = key
        .expose()
        .strip_prefix(&ED25519_PKCS8_PREFIX)
        .and_then(|seed| <[u8; 32]>::try_from(seed).ok())
        .ok_or(KeyFault::NotEd25519)?;
    Ok(Secret::new(seed))
}

/// The P-256 key of a TLS certificate.
///
/// Its randomness is the TLS library's own: unlike the identity keys it protects connections, not
/// statements, and is replaced with every certificate.
pub struct TlsKey {
    pkcs8: Secret<Vec<u8>>,
    spki_digest: Digest,
}

impl TlsKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, KeyFault> {
        let pair = WipedKeyPair(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
        Ok(Self {
            pkcs8: Secret::new(pair.0.serialized_der().to_vec()),
            spki_digest: transcript::sha256(&pair.0.subject_public_key_info()),
        })
    }

    /// Reads a key from the text that [`to_pem`](Self::to_pem) wrote.
    pub fn from_pem(text: &Secret<Vec<u8>>) -> Result<Self, KeyFault> {
        let pkcs8 = read_pkcs8(text)?;
        let pair = pair_of(&pkcs8)?;
        let spki_digest = transcript::sha256(&pair.0.subject_public_key_info());
        Ok(Self { pkcs8, spki_digest })
    }

    /// The PEM text to keep in a secret file.
    pub fn to_pem(&self) -> Secret<Vec<u8>> {
        pem::encode_private_key(self.pkcs8.expose())
    }

    /// SHA-256 of the public key's SubjectPublicKeyInfo, which names the key.
    pub fn spki_digest(&self) -> Digest {
        self.spki_digest
    }

    /// A certificate request (PKCS#10, PEM) for this key.
    ///
    /// Its subject is for human eyes; who may have the certificate is settled by the invitation.
    pub fn certificate_request(&self, name: &Name) -> Result<String, KeyFault> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        let pair = self.pair()?;
        Ok(params.serialize_request(&pair.0)?.pem()?)
    }

    pub(crate) fn pair(&self) -> Result<WipedKeyPair, KeyFault> {
        pair_of(&self.pkcs8)
    }

    /// The key in the form that rustls takes over.
    pub(crate) fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.expose().clone()).into()
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsKey({})", self.spki_digest)
    }
}

/// A key pair of the certificate library that is wiped when dropped.
pub(crate) struct WipedKeyPair(pub(crate) KeyPair);

impl Drop for WipedKeyPair {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Why a key could not be made or read.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// No PEM block with a PKCS#8 private key.
    #[error("no private key in PEM form; restore the file from a backup or enrol again")]
    NotPem,
    /// A key of another kind, where a signing key belongs.
    #[error("the private key is not an Ed25519 key; restore the file from a backup or enrol again")]
    NotEd25519,
    /// The certificate library refused.
    #[error("the TLS key cannot be used; make a new one by enrolling again")]
    Tls(#[from] rcgen::Error),
}

fn pair_of(pkcs8: &Secret<Vec<u8>>) -> Result<WipedKeyPair, KeyFault> {
    let der = PrivatePkcs8KeyDer::from(pkcs8.expose().as_slice());
    Ok(WipedKeyPair(KeyPair::from_pkcs8_der_and_sign_algo(
        &der,
        &PKCS_ECDSA_P256_SHA256,
    )?))
}

fn read_pkcs8(text: &Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, KeyFault> {
    let mut key =
        PrivatePkcs8KeyDer::from_pem_slice(text.expose()).map_err(|_| KeyFault::NotPem)?;
    let secret = Secret::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(secret)
}

/// RFC 8410, section 7: everything of a version-1 PKCS#8 Ed25519 key that comes before the seed.
const ED25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use consilium_crypto::signing::SigningKey;

    use super::*;

    #[test]
    fn the_key_of_rfc_8410_reads_as_its_seed() {
        let text = b"-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let seed = seed_from_pem(&Secret::new(text.to_vec())).unwrap();
        assert_eq!(seed.expose()[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(seed_to_pem(&seed).expose(), text);
    }

    #[test]
    fn another_library_finds_the_same_public_key_in_the_file() {
        let seed = Secret::new([7; 32]);
        let ours = SigningKey::from_seed(&seed).verifying_key().to_bytes();
        let text = String::from_utf8(seed_to_pem(&seed).expose().clone()).unwrap();
        let theirs = KeyPair::from_pem(&text).unwrap();
        assert_eq!(theirs.public_key_raw(), ours);
    }

    #[test]
    fn a_tls_key_survives_its_file() {
        let key = TlsKey::generate().unwrap();
        let again = TlsKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.spki_digest(), again.spki_digest());
    }

    #[test]
    fn a_tls_key_is_not_taken_for_a_signing_key_nor_the_other_way_round() {
        let key = TlsKey::generate().unwrap();
        assert!(matches!(
            seed_from_pem(&key.to_pem()),
            Err(KeyFault::NotEd25519)
        ));
        let seed = seed_to_pem(&Secret::new([1; 32]));
        assert!(matches!(TlsKey::from_pem(&seed), Err(KeyFault::Tls(_))));
        assert!(matches!(
            TlsKey::from_pem(&Secret::new(vec![])),
            Err(KeyFault::NotPem)
        ));
    }

    #[test]
    fn a_key_does_not_print() {
        let key = TlsKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("TlsKey({})", key.spki_digest()));
    }
}
