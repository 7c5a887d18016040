// SPDX-License-Identifier: Apache-2.0
//! The secrets of one attempt. They live in one file outside backups and are erased after the reveal.

use crate::id::AttemptId;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::AgreementSecret;
use consilium_crypto::label::Label;
use consilium_crypto::random::RandomSource;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::{derive_key, hash};

/// Length of the stored form: attempt, instance and four seeds.
const STORED_LENGTH: usize = 20 + 32 + 4 * 32;

/// The four seeds of one silo in one attempt.
#[derive(Debug)]
pub(crate) struct AttemptSecrets {
    pub(crate) id: AttemptId,
    instance: Digest,
    /// Seed of the channel key, which seals shares.
    channel: Secret32,
    /// rho: seed of the mask key, dealt to all.
    pub(crate) mask_key: Secret32,
    /// b: seed of the self mask, dealt to all.
    pub(crate) self_mask: Secret32,
    /// The nonce that the vote commits to.
    vote_nonce: Secret32,
}

impl AttemptSecrets {
    pub(crate) fn generate(id: AttemptId, instance: Digest, random: &mut dyn RandomSource) -> Self {
        Self {
            id,
            instance,
            channel: random.secret32(),
            mask_key: random.secret32(),
            self_mask: random.secret32(),
            vote_nonce: random.secret32(),
        }
    }

    pub(crate) fn channel_secret(&self) -> AgreementSecret {
        AgreementSecret::from_seed(&self.channel)
    }

    pub(crate) fn mask_secret(&self) -> AgreementSecret {
        derive_mask_secret(&self.mask_key)
    }

    pub(crate) fn nonce_commitment(&self) -> Digest {
        hash(
            Label::VoteNonce,
            &[&self.id.to_bytes(), self.vote_nonce.expose()],
        )
    }

    /// The stored form, for the per-attempt file.
    pub(crate) fn to_bytes(&self) -> Secret<Vec<u8>> {
        let mut bytes = Vec::with_capacity(STORED_LENGTH);
        bytes.extend_from_slice(&self.id.to_bytes());
        bytes.extend_from_slice(self.instance.as_bytes());
        for seed in [
            &self.channel,
            &self.mask_key,
            &self.self_mask,
            &self.vote_nonce,
        ] {
            bytes.extend_from_slice(seed.expose());
        }
        Secret::new(bytes)
    }

    /// Reads the stored form. `None` when it is damaged, of another attempt or of another instance.
    pub(crate) fn from_bytes(bytes: &[u8], id: AttemptId, instance: &Digest) -> Option<Self> {
        if bytes.len() != STORED_LENGTH {
            return None;
        }
        let (stored_id, rest) = bytes.split_first_chunk::<20>()?;
        let (stored_instance, rest) = rest.split_first_chunk::<32>()?;
        let (channel, rest) = rest.split_first_chunk::<32>()?;
        let (mask_key, rest) = rest.split_first_chunk::<32>()?;
        let (self_mask, rest) = rest.split_first_chunk::<32>()?;
        let (vote_nonce, _) = rest.split_first_chunk::<32>()?;
        (*stored_id == id.to_bytes() && stored_instance == instance.as_bytes()).then(|| Self {
            id,
            instance: *instance,
            channel: Secret::new(*channel),
            mask_key: Secret::new(*mask_key),
            self_mask: Secret::new(*self_mask),
            vote_nonce: Secret::new(*vote_nonce),
        })
    }
}

/// derive(rho): the X25519 secret behind a `mask_public_key`.
pub(crate) fn derive_mask_secret(mask_key_seed: &Secret32) -> AgreementSecret {
    let salt = hash(Label::MaskKey, &[]);
    AgreementSecret::from_seed(&derive_key::<32>(
        &salt,
        mask_key_seed.expose(),
        Label::MaskKey,
        &[],
    ))
}
