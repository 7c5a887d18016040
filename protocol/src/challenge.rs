// SPDX-License-Identifier: Apache-2.0
//! The challenge that a committed sum is verified by, and the tags that answer it.
//!
//! A challenge is one coefficient modulo 2^61 - 1 for each coordinate, the product of its row's and its column's
//! ([`consilium_crypto::tensor`]), unknown to everybody until the sum is committed. A silo's tag is the inner product of the challenge with its own integers, under masks that cancel
//! over the survivors. So the tags add up to the inner product of the challenge with the true sum.
//!
//! SECURITY: the masks depend on the challenge. Two challenges answered under the same masks would give the
//! difference of two inner products of one silo away.

use crate::certificate::Certificate;
use crate::defence::{Defence, stands};
use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use crate::secrets::{AttemptSecrets, nonce_commitment};
use crate::signed_list::{Known, verify_silos};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::mersenne::Element;
use consilium_crypto::ring::WordBits;
use consilium_crypto::secret::Secret;
use consilium_crypto::tensor::TensorCoefficients;
use consilium_crypto::transcript::{derive_key, hash};
use serde::{Deserialize, Serialize};

/// A challenge whose nonces open the commitments of the certificate's votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    /// H(c): over X, the certificate, H(S) and the nonces. All coefficients follow from it.
    pub(crate) digest: Digest,
}

/// What a challenge is about: X, the survivors and H(S).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) plan: &'a RoundPlan,
    /// X.
    pub(crate) cohort: &'a Digest,
    /// Digest of U3 and its upload roots.
    pub(crate) survivors: &'a Digest,
    /// H(S).
    pub(crate) sum: &'a Digest,
}

impl Challenge {
    /// Verifies that the nonces are those of exactly the certificate's voters, revealed for this very sum;
    /// the signatures of those that are known hold.
    pub(crate) fn new(
        subject: Subject<'_>,
        membership: &Membership,
        certificate: &Certificate,
        nonces: &[Envelope],
        known: &Known<'_>,
    ) -> Result<Self, Fault> {
        let Subject {
            plan, cohort, sum, ..
        } = subject;
        let mut parts = vec![
            cohort.as_bytes().to_vec(),
            certificate.digest.as_bytes().to_vec(),
            sum.as_bytes().to_vec(),
        ];
        let mut silos = Vec::with_capacity(nonces.len());
        for verified in verify_silos(nonces, membership, plan.id, cohort, known)? {
            let nonce = opened_nonce(plan.id, certificate, sum, &verified.silo, &verified.message)?;
            silos.push(verified.silo);
            parts.push(nonce.to_vec());
        }
        let voters = certificate.voters.iter().map(|(silo, _)| silo);
        if !voters.eq(silos.iter()) {
            return Err(Fault::BadList { list: "challenge" });
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(Self {
            digest: hash(Label::Challenge, &parts),
        })
    }

    /// The inner product with a vector of the plan's length, not yet begun.
    pub(crate) fn inner_product(
        &self,
        plan: &RoundPlan,
        cohort: &Digest,
    ) -> Result<InnerProduct, Fault> {
        let bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        let key = derive_key::<44>(cohort, self.digest.as_bytes(), Label::ChallengeStream, &[]);
        Ok(InnerProduct {
            plan: plan.clone(),
            bits,
            coefficients: TensorCoefficients::new(&key),
            product: Secret::new(Element::ZERO),
            out_of_range: 0,
        })
    }
}

/// Checks one voter's answer to the commitment of the sum.
pub(crate) fn opened_nonce(
    id: AttemptId,
    certificate: &Certificate,
    sum: &Digest,
    silo: &SiloName,
    message: &SiloMessage,
) -> Result<[u8; 32], Fault> {
    let SiloMessage::Nonce { sum: named, nonce } = message else {
        return Err(Fault::Malformed(
            "a challenge holds something else than nonces",
        ));
    };
    let commitment = nonce_commitment(id, &certificate.cohort, silo, nonce);
    let committed = certificate.nonce_commitment(silo) == Some(&commitment);
    if named != sum || (stands(Defence::NoncesCommitted) && !committed) {
        return Err(Fault::WrongNonce { silo: silo.clone() });
    }
    Ok(*nonce)
}

/// Checks whose tag a message is and what it is about, not its value: no single tag can be checked.
pub(crate) fn claimed_tag(
    sum: &Digest,
    challenge: &Challenge,
    silo: &SiloName,
    message: &SiloMessage,
) -> Result<Element, Fault> {
    let wrong = || Fault::WrongTag { silo: silo.clone() };
    let SiloMessage::Tag {
        sum: named,
        challenge: answered,
        tag,
    } = message
    else {
        return Err(Fault::Malformed(
            "a list of tags holds something else than tags",
        ));
    };
    if named != sum || *answered != challenge.digest {
        return Err(wrong());
    }
    Element::from_canonical(*tag).ok_or_else(wrong)
}

/// What the tags of exactly the survivors add up to: the inner product that an honest sum has.
pub(crate) fn total_of_tags(
    subject: Subject<'_>,
    membership: &Membership,
    challenge: &Challenge,
    survivors: &[(SiloName, Digest)],
    tags: &[Envelope],
) -> Result<Element, Fault> {
    let mut total = Element::ZERO;
    let mut silos = Vec::with_capacity(tags.len());
    let (id, known) = (subject.plan.id, Known::new());
    for verified in verify_silos(tags, membership, id, subject.cohort, &known)? {
        let tag = claimed_tag(subject.sum, challenge, &verified.silo, &verified.message)?;
        total = total.plus(tag);
        silos.push(verified.silo);
    }
    if !survivors.iter().map(|(silo, _)| silo).eq(silos.iter()) {
        return Err(Fault::BadList { list: "tags" });
    }
    Ok(total)
}

/// A silo's tag: its inner product under the masks that it shares with every other survivor.
pub(crate) fn masked_tag(
    subject: Subject<'_>,
    challenge: &Challenge,
    own: &SiloName,
    secrets: &AttemptSecrets,
    survivors: &[(SiloName, Digest)],
    product: Element,
) -> Result<SiloMessage, Fault> {
    let mut tag = product;
    let of_challenge: &[u8] = if stands(Defence::TagMaskOfChallenge) {
        challenge.digest.as_bytes()
    } else {
        &[]
    };
    for (peer, _) in survivors.iter().filter(|(silo, _)| silo != own) {
        let root = secrets
            .tag_root(peer)
            .ok_or(Fault::SecretsGone(subject.plan.id))?;
        let mask = derive_key::<16>(
            subject.cohort,
            root.expose(),
            Label::TagMask,
            &[
                subject.survivors.as_bytes(),
                subject.sum.as_bytes(),
                of_challenge,
            ],
        );
        let mask = Element::from_uniform(*mask.expose());
        tag = if own < peer {
            tag.plus(mask)
        } else {
            tag.minus(mask)
        };
    }
    Ok(SiloMessage::Tag {
        sum: *subject.sum,
        challenge: challenge.digest,
        tag: tag.value(),
    })
}

/// The inner product of a challenge with a vector that arrives chunk by chunk, in any order.
pub struct InnerProduct {
    plan: RoundPlan,
    bits: WordBits,
    coefficients: TensorCoefficients,
    product: Secret<Element>,
    /// Not zero once an integer was 2^60 or more in magnitude.
    out_of_range: u64,
}

impl InnerProduct {
    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// Takes in the words of chunk `index`: `plan.fields_in_chunk(index)` ring elements.
    pub fn add_chunk(&mut self, index: u64, words: &[u64]) {
        let first = index * u64::from(self.plan.chunk_fields);
        let part = self.coefficients.inner_product(self.bits, first, words);
        self.product = Secret::new(self.product.expose().plus(part));
        if self.bits.bits() > 60 {
            for word in words {
                self.out_of_range |= beyond_two_to_the_sixtieth(self.bits.lift(*word));
            }
        }
    }

    /// The inner product, or nothing when an integer was so large that another one has the same residue.
    pub(crate) fn finish_within_range(self) -> Option<Element> {
        (self.out_of_range == 0).then(|| *self.product.expose())
    }
}

/// Not zero when an integer is 2^60 or more in magnitude: -2^60 and 2^60 - 1 have the same residue.
fn beyond_two_to_the_sixtieth(integer: i64) -> u64 {
    let shifted = integer.wrapping_add(1 << 60);
    shifted.cast_unsigned() >> 61 | shifted.wrapping_sub(1).cast_unsigned() >> 61
}

impl std::fmt::Debug for InnerProduct {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "InnerProduct({}, ..)", self.plan.id)
    }
}

/// What a silo computes to answer a challenge.
#[derive(Debug)]
pub struct TagJob {
    pub(crate) input: Digest,
    pub(crate) product: InnerProduct,
}

impl TagJob {
    /// The digest of the vector that this silo put into the round.
    ///
    /// SECURITY: the driver takes in no other vector.
    #[must_use]
    pub fn input(&self) -> Digest {
        self.input
    }

    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        &self.product.plan
    }

    /// Takes in the words of chunk `index` of the stored vector.
    pub fn add_chunk(&mut self, index: u64, words: &[u64]) {
        self.product.add_chunk(index, words);
    }

    /// The inner product over everything that was taken in.
    #[must_use]
    pub fn finish(self) -> Secret<Element> {
        self.product.product
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
