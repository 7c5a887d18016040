// SPDX-License-Identifier: Apache-2.0
//! ML-KEM-768 key encapsulation ([FIPS 203]): secrets that a quantum computer does not compute from what
//! was recorded today.
//!
//! Keys come from a seed and encapsulation from randomness of the caller, so that both can be repeated.
//!
//! [FIPS 203]: https://doi.org/10.6028/NIST.FIPS.203

mod private_key;

use std::fmt;

use libcrux_ml_kem::mlkem768::{self, MlKem768PublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

use crate::hex_bytes;
use crate::random::RandomSource;
use crate::secret::{Secret, Secret32};
use private_key::PrivateKey;

/// How many bytes the seed of a key has: d, then z, as FIPS 203 calls them.
pub const SEED_LENGTH: usize = 64;

/// How many bytes a public key has.
pub const ENCAPSULATION_KEY_LENGTH: usize = 1184;

/// How many bytes an encapsulated secret has.
pub const ENCAPSULATED_LENGTH: usize = 1088;

/// A private ML-KEM-768 key; wiped on drop. It belongs to one attempt of one round.
pub struct DecapsulationSecret {
    private: Secret<PrivateKey>,
    public: EncapsulationKey,
}

impl DecapsulationSecret {
    /// The key that FIPS 203 generates from the seed d || z.
    ///
    /// SECURITY: the seed serves nothing else. From the scalar of an X25519 key, for one, a quantum computer
    /// would have it.
    pub fn from_seed(seed: &Secret<[u8; SEED_LENGTH]>) -> Self {
        let mut private = Secret::new(PrivateKey::empty());
        let public = private.expose_mut().generate(seed.expose());
        Self {
            private,
            public: EncapsulationKey::from_bytes(public.into()),
        }
    }

    /// The public half.
    pub fn encapsulation_key(&self) -> &EncapsulationKey {
        &self.public
    }

    /// The secret that was encapsulated to this key.
    ///
    /// Anything else gives another secret that nobody can predict, and no fault: what is sealed under it
    /// does not open.
    pub fn decapsulate(&self, encapsulated: &Encapsulated) -> Secret32 {
        let mut shared = self.private.expose().decapsulate(&encapsulated.into());
        take(&mut shared)
    }
}

impl fmt::Debug for DecapsulationSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DecapsulationSecret(..)")
    }
}

/// An encapsulated secret, as it travels.
pub type Encapsulated = [u8; ENCAPSULATED_LENGTH];

/// A public ML-KEM-768 key as it was received: 1184 bytes, checked only when it is used.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EncapsulationKey(Box<[u8; ENCAPSULATION_KEY_LENGTH]>);

impl EncapsulationKey {
    /// Takes 1184 bytes, unchecked.
    pub fn from_bytes(bytes: [u8; ENCAPSULATION_KEY_LENGTH]) -> Self {
        Self(Box::new(bytes))
    }

    /// The 1184 bytes.
    pub fn as_bytes(&self) -> &[u8; ENCAPSULATION_KEY_LENGTH] {
        &self.0
    }

    /// Whether this is the encoding of a key: every coefficient is below the modulus (FIPS 203, section 7.2).
    pub fn is_well_formed(&self) -> bool {
        mlkem768::validate_public_key(&MlKem768PublicKey::from(self.as_bytes()))
    }

    /// A fresh secret, and its form for the owner of the key.
    ///
    /// # Errors
    /// [`EncapsulationFault`] when the key is not well formed.
    pub fn encapsulate(
        &self,
        random: &mut dyn RandomSource,
    ) -> Result<(Box<Encapsulated>, Secret32), EncapsulationFault> {
        let key = MlKem768PublicKey::from(self.as_bytes());
        if !mlkem768::validate_public_key(&key) {
            return Err(EncapsulationFault);
        }
        let (encapsulated, mut shared) = mlkem768::encapsulate(&key, *random.secret32().expose());
        Ok((Box::new(encapsulated.into()), take(&mut shared)))
    }
}

/// Moves a secret out of the library's array, which is wiped.
fn take(shared: &mut [u8; 32]) -> Secret32 {
    Secret::filled(|secret| {
        secret.copy_from_slice(shared);
        shared.zeroize();
    })
}

impl fmt::Debug for EncapsulationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (beginning, _) = self.0.split_at(8);
        formatter.write_str("EncapsulationKey(")?;
        hex_bytes::format(beginning, formatter)?;
        formatter.write_str("..)")
    }
}

impl Serialize for EncapsulationKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for EncapsulationKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex_bytes::deserialize(deserializer).map(Self::from_bytes)
    }
}

/// A public key that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encapsulation key holds a coefficient that is not below the modulus")]
pub struct EncapsulationFault;
