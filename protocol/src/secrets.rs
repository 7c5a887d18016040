// SPDX-License-Identifier: Apache-2.0
//! The secrets of one attempt. They live in one file outside backups.
//!
//! The seeds and the shares that others dealt are erased with the reveal. What answers a challenge outlives it: the nonce that the vote committed to and
//! the roots of the masks over tags, which open no mask of the vector.

use crate::deal::DealtShares;
use crate::defence::{Defence, stands};
use crate::id::{AttemptId, SiloName};
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::AgreementSecret;
use consilium_crypto::key_encapsulation::{DecapsulationSecret, SEED_LENGTH};
use consilium_crypto::label::Label;
use consilium_crypto::random::RandomSource;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::transcript::{derive_key, hash};

/// What one silo keeps secret in one attempt.
#[derive(Debug)]
pub(crate) struct AttemptSecrets {
    pub(crate) id: AttemptId,
    instance: Digest,
    /// Gone after the reveal.
    seeds: Option<Seeds>,
    /// The nonce that the vote commits to.
    vote_nonce: Secret32,
    /// T: one for every other member of the cohort, derived at the freeze.
    tag_roots: Vec<(SiloName, Secret32)>,
    /// Agreed with every entry of the KeyBook, from the deal to the DealBook; not stored, but agreed again after a restart.
    channels: Vec<Secret32>,
    /// The shares that others dealt to this silo, by the dealers' positions; gone after the reveal.
    dealt: Vec<DealtShares>,
}

/// The seeds of one silo in one attempt.
#[derive(Debug)]
pub(crate) struct Seeds {
    /// Seed of the channel key, which seals shares together with the decapsulation key.
    channel: Secret32,
    /// rho: seed of the mask key, dealt to all.
    pub(crate) mask_key: Secret32,
    /// b: seed of the self mask, dealt to all.
    pub(crate) self_mask: Secret32,
    /// Seed of the decapsulation key.
    ///
    /// SECURITY: drawn on its own. A quantum computer reads the channel key's seed off the public key.
    decapsulation: Secret<[u8; SEED_LENGTH]>,
}

impl AttemptSecrets {
    pub(crate) fn generate(id: AttemptId, instance: Digest, random: &mut dyn RandomSource) -> Self {
        Self {
            id,
            instance,
            seeds: Some(Seeds {
                channel: random.secret32(),
                mask_key: random.secret32(),
                self_mask: random.secret32(),
                decapsulation: Secret::filled(|seed| random.fill(seed)),
            }),
            vote_nonce: random.secret32(),
            tag_roots: Vec::new(),
            channels: Vec::new(),
            dealt: Vec::new(),
        }
    }

    /// The seeds, until the reveal.
    pub(crate) fn seeds(&self) -> Option<&Seeds> {
        self.seeds.as_ref()
    }

    /// Erases the seeds and what was dealt: nothing can be revealed any more.
    pub(crate) fn forget_seeds(&mut self) {
        self.seeds = None;
        self.dealt.clear();
    }

    /// Keeps what was agreed for the deal, to open the others' deals with.
    pub(crate) fn keep_channels(&mut self, channels: Vec<Secret32>) {
        self.channels = channels;
    }

    /// What was agreed with every entry of the KeyBook; empty after a restart.
    pub(crate) fn channels(&self) -> &[Secret32] {
        &self.channels
    }

    /// Keeps the opened shares, for the reveal, and no more what they were opened with.
    pub(crate) fn keep_dealt(&mut self, mut dealt: Vec<DealtShares>) {
        dealt.sort_by_key(|dealt| dealt.self_mask.dealer);
        self.dealt = dealt;
        self.channels.clear();
    }

    /// The shares of the dealer at this position of the KeyBook.
    pub(crate) fn dealt(&self, position: usize) -> Option<&DealtShares> {
        let dealer = u32::try_from(position).ok()?;
        let at = self
            .dealt
            .binary_search_by_key(&dealer, |dealt| dealt.self_mask.dealer)
            .ok()?;
        self.dealt.get(at)
    }

    /// Keeps what masks the tag, derived at the freeze.
    pub(crate) fn keep_tag_roots(&mut self, roots: Vec<(SiloName, Secret32)>) {
        self.tag_roots = roots;
    }

    /// T: what masks the tag between this silo and `peer`.
    pub(crate) fn tag_root(&self, peer: &SiloName) -> Option<&Secret32> {
        let at = self
            .tag_roots
            .binary_search_by(|(silo, _)| silo.cmp(peer))
            .ok()?;
        self.tag_roots.get(at).map(|(_, root)| root)
    }

    pub(crate) fn vote_nonce(&self) -> [u8; 32] {
        *self.vote_nonce.expose()
    }

    pub(crate) fn nonce_commitment(&self, cohort: &Digest, own: &SiloName) -> Digest {
        nonce_commitment(self.id, cohort, own, self.vote_nonce.expose())
    }

    /// The stored form, for the per-attempt file.
    pub(crate) fn to_bytes(&self) -> Secret<Vec<u8>> {
        // COST: reserved whole, or growing would leave copies of secrets behind.
        let seeds_length = 3 * 32 + SEED_LENGTH;
        let dealt_length: usize = self.dealt.iter().map(DealtShares::stored_length).sum();
        let roots_length = 96 * self.tag_roots.len();
        let mut bytes =
            Vec::with_capacity(FIXED_LENGTH + seeds_length + roots_length + dealt_length);
        bytes.extend_from_slice(&self.id.to_bytes());
        bytes.extend_from_slice(self.instance.as_bytes());
        bytes.extend_from_slice(self.vote_nonce.expose());
        bytes.push(u8::from(self.seeds.is_some()));
        if let Some(seeds) = &self.seeds {
            for seed in [&seeds.channel, &seeds.mask_key, &seeds.self_mask] {
                bytes.extend_from_slice(seed.expose());
            }
            bytes.extend_from_slice(seeds.decapsulation.expose());
        }
        let count = u32::try_from(self.tag_roots.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        for (silo, root) in &self.tag_roots {
            let name = silo.as_str().as_bytes();
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(root.expose());
        }
        let count = u32::try_from(self.dealt.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        for dealt in &self.dealt {
            dealt.store(&mut bytes);
        }
        Secret::new(bytes)
    }

    /// Reads the stored form. `None` when it is damaged, of another attempt or of another instance.
    pub(crate) fn from_bytes(bytes: &[u8], id: AttemptId, instance: &Digest) -> Option<Self> {
        let (stored_id, rest) = bytes.split_first_chunk::<20>()?;
        let (stored_instance, rest) = rest.split_first_chunk::<32>()?;
        let here = stored_instance == instance.as_bytes() || !stands(Defence::InstanceBinding);
        if *stored_id != id.to_bytes() || !here {
            return None;
        }
        let (vote_nonce, rest) = take_secret(rest)?;
        let (seeds, rest) = match rest.split_first()? {
            (0, rest) => (None, rest),
            (1, rest) => {
                let (channel, rest) = take_secret(rest)?;
                let (mask_key, rest) = take_secret(rest)?;
                let (self_mask, rest) = take_secret(rest)?;
                let (decapsulation, rest) = take_secret(rest)?;
                let seeds = Seeds {
                    channel,
                    mask_key,
                    self_mask,
                    decapsulation,
                };
                (Some(seeds), rest)
            }
            _ => return None,
        };
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut tag_roots: Vec<(SiloName, Secret32)> = Vec::new();
        for _ in 0..u32::from_le_bytes(*count) {
            let (length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(*length))?;
            let silo = SiloName::parse(std::str::from_utf8(name).ok()?).ok()?;
            let (root, after) = take_secret(after)?;
            if tag_roots.last().is_some_and(|(before, _)| *before >= silo) {
                return None;
            }
            tag_roots.push((silo, root));
            rest = after;
        }
        let mut dealt: Vec<DealtShares> = Vec::new();
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        for _ in 0..u32::from_le_bytes(*count) {
            let (next, after) = DealtShares::restore(rest)?;
            if dealt
                .last()
                .is_some_and(|before| before.self_mask.dealer >= next.self_mask.dealer)
            {
                return None;
            }
            dealt.push(next);
            rest = after;
        }
        rest.is_empty().then_some(Self {
            id,
            instance: *instance,
            seeds,
            vote_nonce,
            tag_roots,
            channels: Vec::new(),
            dealt,
        })
    }
}

impl Seeds {
    pub(crate) fn channel_secret(&self) -> AgreementSecret {
        AgreementSecret::from_seed(&self.channel)
    }

    pub(crate) fn decapsulation_secret(&self) -> DecapsulationSecret {
        DecapsulationSecret::from_seed(&self.decapsulation)
    }

    pub(crate) fn mask_secret(&self) -> AgreementSecret {
        derive_mask_secret(&self.mask_key)
    }
}

/// What a vote commits to its nonce by.
///
/// SECURITY: of this voter under this X, so that whoever copies another's commitment cannot open it with the other's nonce.
pub(crate) fn nonce_commitment(
    id: AttemptId,
    cohort: &Digest,
    voter: &SiloName,
    nonce: &[u8; 32],
) -> Digest {
    let voter = voter.as_str().as_bytes();
    hash(
        Label::VoteNonce,
        &[&id.to_bytes(), cohort.as_bytes(), voter, nonce],
    )
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

fn take_secret<const N: usize>(bytes: &[u8]) -> Option<(Secret<[u8; N]>, &[u8])> {
    let (secret, rest) = bytes.split_first_chunk::<N>()?;
    Some((Secret::new(*secret), rest))
}

/// Attempt, instance, nonce, a flag and two counts.
const FIXED_LENGTH: usize = 20 + 32 + 32 + 1 + 4 + 4;
