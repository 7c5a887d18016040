// SPDX-License-Identifier: Apache-2.0
//! Dealing: two 32-byte secrets shared among everybody in the KeyBook, oneself included.

mod stored;

use crate::book::{DealBook, KeyBook, leaf_count, leaf_index};
use crate::envelope::{Envelope, decode, encode};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{RevealedShare, SecretKind, SiloMessage};
use crate::secrets::Seeds;
use consilium_crypto::digest::Digest;
use consilium_crypto::key_agreement::{AgreementSecret, PublicKey};
use consilium_crypto::key_encapsulation::{
    DecapsulationSecret, ENCAPSULATED_LENGTH, Encapsulated, EncapsulationKey,
};
use consilium_crypto::label::Label;
use consilium_crypto::merkle;
use consilium_crypto::random::RandomSource;
use consilium_crypto::sealing;
use consilium_crypto::secret::Secret32;
use consilium_crypto::shamir::{self, Field, Interpolation, Share, Threshold};
use consilium_crypto::transcript::derive_hybrid_key;
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

impl std::fmt::Debug for DealtShares {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DealtShares(of {}, ..)", self.self_mask.dealer)
    }
}

/// What one silo deals.
pub(crate) struct Deal {
    /// The public part, to be signed.
    pub(crate) message: SiloMessage,
    /// For every entry of the KeyBook, in its order.
    pub(crate) ciphertexts: Vec<Vec<u8>>,
    /// The X25519 secrets agreed with every entry, which seal both directions.
    pub(crate) channels: Vec<Secret32>,
}

/// Shares both secrets: the signed public part and one ciphertext for every entry of the KeyBook, which was made
/// from these `advertisements`. A ciphertext is a secret encapsulated to the recipient, then the sealed shares.
pub(crate) fn deal(
    own: &SiloName,
    seeds: &Seeds,
    keys: &KeyBook,
    advertisements: &[Envelope],
    threshold: u32,
    random: &mut dyn RandomSource,
) -> Result<Deal, Fault> {
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
    let channel = seeds.channel_secret();
    let (share_root, mut paths) = merkle::inclusion_proofs(&leaves);
    let mut path = |position, kind| {
        let at = usize::try_from(leaf_index(position, kind)).unwrap_or(usize::MAX);
        paths.get_mut(at).map(std::mem::take).unwrap_or_default()
    };
    let mut ciphertexts = Vec::with_capacity(count);
    let mut channels = Vec::with_capacity(count);
    let shares = self_mask.iter().zip(&mask_key);
    let public_keys: Vec<PublicKey> = keys.entries.iter().map(|entry| entry.channel).collect();
    let agreed = channel.agree_with_all(&public_keys);
    let recipients = keys
        .entries
        .iter()
        .zip(advertisements)
        .zip(agreed)
        .zip(shares);
    for (position, (((entry, advertisement), agreed), (self_mask, mask_key))) in
        recipients.enumerate()
    {
        let mut proven = |kind, share: &Share| RevealedShare {
            dealer,
            kind,
            share: share.to_bytes().expose().to_vec(),
            path: path(position, kind),
        };
        let dealt = DealtShares {
            self_mask: proven(SecretKind::SelfMask, self_mask),
            mask_key: proven(SecretKind::MaskKey, mask_key),
        };
        let weak = || Fault::WeakKey {
            silo: entry.silo.clone(),
        };
        let agreed = agreed.map_err(|_| weak())?;
        let (encapsulated, shared) = encapsulation_key(advertisement)
            .ok_or_else(weak)?
            .encapsulate(random)
            .map_err(|_| weak())?;
        let key = deal_key(keys, [&agreed, &shared], &encapsulated, [own, &entry.silo]);
        let mut plaintext = encode(&dealt);
        let sealed = sealing::seal(key, associated_data(keys).as_bytes(), &plaintext);
        plaintext.zeroize();
        ciphertexts.push([encapsulated.as_slice(), &sealed].concat());
        channels.push(agreed);
    }
    let message = SiloMessage::ShareKeys {
        self_mask_commitment: keys.self_mask_commitment(own, seeds.self_mask.expose()),
        share_root,
    };
    Ok(Deal {
        message,
        ciphertexts,
        channels,
    })
}

/// How many bytes each ciphertext of this dealer has: the paths are those of different leaves, the rest is equal.
pub(crate) fn ciphertext_lengths(keys: &KeyBook, dealer: &SiloName) -> impl Iterator<Item = usize> {
    let count = keys.entries.len();
    let dealer = position_of(keys, dealer).unwrap_or_default();
    let field = Field::for_shares(u32::try_from(count).unwrap_or(u32::MAX));
    (0..count).map(move |position| {
        let revealed = |kind| RevealedShare {
            dealer,
            kind,
            share: vec![0; field.share_length()],
            path: vec![
                Digest::from_bytes([0; 32]);
                merkle::path_length(leaf_index(position, kind), leaf_count(count))
            ],
        };
        let dealt = DealtShares {
            self_mask: revealed(SecretKind::SelfMask),
            mask_key: revealed(SecretKind::MaskKey),
        };
        ENCAPSULATED_LENGTH + encode(&dealt).len() + sealing::TAG_LENGTH
    })
}

/// Opens what dealers sealed for one silo.
pub(crate) struct Opener<'a> {
    own: &'a SiloName,
    keys: &'a KeyBook,
    deals: &'a DealBook,
    /// As [`Deal::channels`]; empty after a restart.
    channels: &'a [Secret32],
    channel: AgreementSecret,
    decapsulation: DecapsulationSecret,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(
        own: &'a SiloName,
        seeds: &Seeds,
        channels: &'a [Secret32],
        keys: &'a KeyBook,
        deals: &'a DealBook,
    ) -> Self {
        Self {
            own,
            keys,
            deals,
            channels,
            channel: seeds.channel_secret(),
            decapsulation: seeds.decapsulation_secret(),
        }
    }

    /// The shares of one dealer. `None` when they do not decrypt or do not match the dealer's root.
    ///
    /// What was not encapsulated for this silo decapsulates to some other secret, and fails to decrypt.
    pub(crate) fn open(&self, dealer: &SiloName, ciphertext: &[u8]) -> Option<DealtShares> {
        let Self { own, keys, .. } = self;
        let position = keys.position(dealer)?;
        let (encapsulated, sealed) = ciphertext.split_first_chunk::<ENCAPSULATED_LENGTH>()?;
        let agreed_anew;
        let agreed = match self.channels.get(position) {
            Some(agreed) => agreed,
            None => {
                let channel = &keys.entries.get(position)?.channel;
                agreed_anew = self.channel.agree(channel).ok()?;
                &agreed_anew
            }
        };
        let shared = self.decapsulation.decapsulate(encapsulated);
        let key = deal_key(keys, [agreed, &shared], encapsulated, [dealer, own]);
        let plaintext = sealing::open(key, associated_data(keys).as_bytes(), sealed).ok()?;
        let dealt: DealtShares = decode(plaintext.expose()).ok()?;
        let expected = u32::try_from(position).ok()?;
        let fits = |share: &RevealedShare, kind| {
            share.dealer == expected
                && share.kind == kind
                && keys.share_is_dealt(self.deals, own, share)
        };
        (fits(&dealt.self_mask, SecretKind::SelfMask) && fits(&dealt.mask_key, SecretKind::MaskKey))
            .then_some(dealt)
    }
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

/// The encapsulation key of an advertisement that the KeyBook has verified.
fn encapsulation_key(advertisement: &Envelope) -> Option<EncapsulationKey> {
    let SiloMessage::AdvertiseKeys {
        encapsulation_key, ..
    } = advertisement.peek_silo_message()?
    else {
        return None;
    };
    Some(encapsulation_key)
}

/// HKDF(salt K, X25519 secret || ML-KEM secret, label, dealer, recipient, encapsulated secret): as strong as the
/// stronger of the two. K covers all public keys, so the key is bound to everything that it came from.
///
/// SECURITY: one key for exactly one message, so the constant nonce is safe.
fn deal_key(
    keys: &KeyBook,
    secrets: [&Secret32; 2],
    encapsulated: &Encapsulated,
    [dealer, recipient]: [&SiloName; 2],
) -> Secret32 {
    derive_hybrid_key::<32>(
        &keys.digest,
        secrets,
        Label::DealKey,
        &[
            dealer.as_str().as_bytes(),
            recipient.as_str().as_bytes(),
            encapsulated,
        ],
    )
}

fn associated_data(keys: &KeyBook) -> Digest {
    keys.digest
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
