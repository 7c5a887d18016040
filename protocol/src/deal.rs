// SPDX-License-Identifier: Apache-2.0
//! Dealing: two 32-byte secrets shared among everybody in the KeyBook, oneself included.

use crate::book::{DealBook, KeyBook, leaf_index};
use crate::envelope::{decode, encode};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{RevealedShare, SecretKind, SiloMessage};
use crate::secrets::Seeds;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::random::RandomSource;
use consilium_crypto::sealing;
use consilium_crypto::secret::Secret32;
use consilium_crypto::shamir::{self, Interpolation, Share, Threshold};
use consilium_crypto::transcript::derive_key;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// The two shares of one dealer for one recipient, as sealed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DealtShares {
    pub(crate) self_mask: RevealedShare,
    pub(crate) mask_key: RevealedShare,
}

impl Drop for DealtShares {
    fn drop(&mut self) {
        self.self_mask.share.zeroize();
        self.mask_key.share.zeroize();
    }
}

/// Shares both secrets: the signed public part and one ciphertext for every entry of the KeyBook.
pub(crate) fn deal(
    own: &SiloName,
    seeds: &Seeds,
    keys: &KeyBook,
    threshold: u32,
    random: &mut dyn RandomSource,
) -> Result<(SiloMessage, Vec<Vec<u8>>), Fault> {
    let count = keys.entries.len();
    let threshold = shamir_threshold(threshold, count)?;
    let self_mask = shamir::split(&seeds.self_mask, threshold, random);
    let mask_key = shamir::split(&seeds.mask_key, threshold, random);
    let mut leaves = Vec::with_capacity(2 * count);
    for ((entry, self_mask), mask_key) in keys.entries.iter().zip(&self_mask).zip(&mask_key) {
        for (kind, share) in [
            (SecretKind::SelfMask, self_mask),
            (SecretKind::MaskKey, mask_key),
        ] {
            let leaf = keys.leaf(own, &entry.silo, kind, share.to_bytes().expose());
            leaves.push(merkle::leaf_hash(leaf.as_bytes()));
        }
    }
    let dealer = position_of(keys, own)?;
    let mut ciphertexts = Vec::with_capacity(count);
    let shares = keys
        .entries
        .iter()
        .zip(&self_mask)
        .zip(&mask_key)
        .enumerate();
    for (position, ((entry, self_mask), mask_key)) in shares {
        let proven = |kind, share: &Share| RevealedShare {
            dealer,
            kind,
            share: share.to_bytes().expose().to_vec(),
            path: merkle::inclusion_proof(&leaves, leaf_index(position, kind)),
        };
        let dealt = DealtShares {
            self_mask: proven(SecretKind::SelfMask, self_mask),
            mask_key: proven(SecretKind::MaskKey, mask_key),
        };
        let shared = seeds
            .channel_secret()
            .agree(&entry.channel)
            .map_err(|_| Fault::WeakKey {
                silo: entry.silo.clone(),
            })?;
        let mut plaintext = encode(&dealt);
        let sealed = sealing::seal(
            deal_key(keys, &shared, own, &entry.silo),
            associated_data(keys).as_bytes(),
            &plaintext,
        );
        plaintext.zeroize();
        ciphertexts.push(sealed);
    }
    let message = SiloMessage::ShareKeys {
        self_mask_commitment: keys.self_mask_commitment(own, seeds.self_mask.expose()),
        share_root: merkle::root(&leaves),
    };
    Ok((message, ciphertexts))
}

/// Opens what one dealer sealed for `own`. `None` when it does not decrypt or does not match the dealer's root.
pub(crate) fn open(
    own: &SiloName,
    seeds: &Seeds,
    keys: &KeyBook,
    deals: &DealBook,
    dealer: &SiloName,
    ciphertext: &[u8],
) -> Option<DealtShares> {
    let entry = keys.entry(dealer)?;
    let shared = seeds.channel_secret().agree(&entry.channel).ok()?;
    let key = deal_key(keys, &shared, dealer, own);
    let plaintext = sealing::open(key, associated_data(keys).as_bytes(), ciphertext).ok()?;
    let dealt: DealtShares = decode(plaintext.expose()).ok()?;
    let expected = position_of(keys, dealer).ok()?;
    let fits = |share: &RevealedShare, kind| {
        share.dealer == expected && share.kind == kind && keys.share_is_dealt(deals, own, share)
    };
    (fits(&dealt.self_mask, SecretKind::SelfMask) && fits(&dealt.mask_key, SecretKind::MaskKey))
        .then_some(dealt)
}

/// Rebuilds secrets from proven shares of one dealer and kind after the other.
///
/// COST: the same silos reveal for every dealer, so the coefficients of the last secret serve the next one too.
pub(crate) struct Combiner {
    threshold: Option<Threshold>,
    last: Option<Interpolation>,
}

impl Combiner {
    /// For secrets of which `threshold` of `count` shares are needed.
    pub(crate) fn new(threshold: u32, count: usize) -> Self {
        Self {
            threshold: shamir_threshold(threshold, count).ok(),
            last: None,
        }
    }

    pub(crate) fn combine(&mut self, shares: &[Share]) -> Option<Secret32> {
        let interpolation = match self.last.take().filter(|last| last.fits(shares)) {
            Some(last) => last,
            None => {
                let abscissae: Vec<u16> = shares.iter().map(Share::index).collect();
                Interpolation::new(&abscissae, self.threshold?).ok()?
            }
        };
        self.last.insert(interpolation).combine(shares).ok()
    }
}

fn shamir_threshold(threshold: u32, count: usize) -> Result<Threshold, Fault> {
    let too_few = Fault::TooFewSilos {
        present: count,
        fewest: usize::try_from(threshold).unwrap_or(usize::MAX),
    };
    let count = u32::try_from(count).map_err(|_| too_few.clone())?;
    Threshold::new(threshold, count).map_err(|_| too_few)
}

fn position_of(keys: &KeyBook, silo: &SiloName) -> Result<u32, Fault> {
    keys.position(silo)
        .and_then(|position| u32::try_from(position).ok())
        .ok_or(Fault::LeftOut { list: "KeyBook" })
}

/// SECURITY: one key for exactly one message, so the constant nonce is safe.
fn deal_key(
    keys: &KeyBook,
    shared: &Secret32,
    dealer: &SiloName,
    recipient: &SiloName,
) -> Secret32 {
    derive_key::<32>(
        &keys.digest,
        shared.expose(),
        Label::DealKey,
        &[dealer.as_str().as_bytes(), recipient.as_str().as_bytes()],
    )
}

fn associated_data(keys: &KeyBook) -> Digest {
    keys.digest
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
