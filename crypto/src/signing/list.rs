// SPDX-License-Identifier: Apache-2.0
//! Many signatures at once, in less than half the time of one after the other.
//!
//! A signature (R, s) of a message under a key A holds when 8 (s B - R - k A) = 0, where k = SHA-512(R || A || message):
//! the equation that [RFC 8032] gives in section 5.1.7. A list holds when 8 times the sum of what is in these brackets,
//! under weights of 128 bits each, is zero. Nobody knows the weights before the list is complete: they follow from it.
//!
//! SECURITY: with the factor of 8 at the end, parts of small order vanish whatever the weights, those of keys too (a
//! scalar reduced by the group's order is no longer a multiple of 8, so weights that are would not do). The answer for
//! one signature does not depend on what else is in its list and every verifier comes to the same. The check of single
//! signatures, [`VerifyingKey::verify`], has no such factor and is stricter: only who owns A can make a signature that
//! holds here and not there.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7

use std::collections::BTreeMap;

use consilium_curve_lanes::{EightLanes, Product};
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest as _, Sha512};

use super::prepared::{PreparedKeys, base_point};
use super::{Signature, VerifyingKey, is_reduced};
use crate::label::Label;
use crate::random::Generator;
use crate::secret::Secret;
use crate::transcript;

/// That a key signed a message.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    key: &'a VerifyingKey,
    signature: &'a Signature,
    /// SHA-512(R || A || message).
    hash: [u8; 64],
}

impl<'a> Claim<'a> {
    /// That [`super::SigningKey::sign`] made the signature, over the same label and parts.
    pub fn new(
        key: &'a VerifyingKey,
        label: Label,
        parts: &[&[u8]],
        signature: &'a Signature,
    ) -> Self {
        Self::of_raw(key, transcript::hash(label, parts).as_bytes(), signature)
    }

    /// The same over `message` as it is.
    pub fn of_raw(key: &'a VerifyingKey, message: &[u8], signature: &'a Signature) -> Self {
        let (nonce, _) = signature.0.split_at(32);
        let hash = Sha512::new()
            .chain_update(nonce)
            .chain_update(key.to_bytes())
            .chain_update(message)
            .finalize()
            .into();
        Self {
            key,
            signature,
            hash,
        }
    }
}

/// Checks all claims of a list.
///
/// COST: less where the signers' keys are among the prepared ones; the answer is the same whichever are.
///
/// # Errors
/// [`FalseSignature`] names the first claim that does not hold.
pub fn verify_all(claims: &[Claim<'_>], prepared: &PreparedKeys) -> Result<(), FalseSignature> {
    if hold(claims, prepared) {
        return Ok(());
    }
    // COST: halves of halves, at most twice the whole list again, however many claims are false.
    let (mut place, mut suspects) = (0, claims);
    while suspects.len() > 1 {
        let (left, right) = suspects.split_at(suspects.len() / 2);
        suspects = if hold(left, prepared) {
            place += left.len();
            right
        } else {
            left
        };
    }
    Err(FalseSignature { place })
}

fn hold(claims: &[Claim<'_>], prepared: &PreparedKeys) -> bool {
    match EightLanes::find() {
        Some(lanes) if claims.len() >= FEWEST_IN_LANES => hold_in_lanes(lanes, claims, prepared),
        Some(_) | None => hold_one_by_one(claims),
    }
}

/// The same answer as [`hold_one_by_one`], for every list.
fn hold_in_lanes(lanes: EightLanes, claims: &[Claim<'_>], prepared: &PreparedKeys) -> bool {
    let mut equation = Equation::new(claims);
    let mut nonces = Vec::with_capacity(claims.len());
    for claim in claims {
        let Some((nonce, response)) = canonical(claim) else {
            return false;
        };
        let weight = equation.add(
            claim,
            &Scalar::from_bytes_mod_order_wide(&claim.hash),
            &response,
        );
        nonces.push(Product {
            point: *nonce,
            scalar: weight.to_bytes(),
        });
    }
    let Some(base) = base_point(lanes) else {
        return false;
    };
    let mut of_prepared = vec![(base, equation.of_base.to_bytes())];
    let mut of_others = Vec::new();
    for (key, scalar) in &equation.of_keys {
        let scalar = scalar.to_bytes();
        match prepared.point(key) {
            Some(point) => of_prepared.push((point, scalar)),
            None => of_others.push(Product {
                point: key.to_bytes(),
                scalar,
            }),
        }
    }
    lanes.sum_vanishes(&of_prepared, &of_others, &nonces)
}

fn hold_one_by_one(claims: &[Claim<'_>]) -> bool {
    let Some(terms) = claims.iter().map(Term::new).collect::<Option<Vec<Term>>>() else {
        return false;
    };
    let mut equation = Equation::new(claims);
    let of_nonces: Vec<Scalar> = claims
        .iter()
        .zip(&terms)
        .map(|(claim, term)| equation.add(claim, &term.challenge, &term.response))
        .collect();
    let scalars = std::iter::once(&equation.of_base)
        .chain(equation.of_keys.values())
        .chain(&of_nonces);
    let points = std::iter::once(ED25519_BASEPOINT_POINT)
        .chain(equation.of_keys.keys().map(|key| key.0.to_edwards()))
        .chain(terms.iter().map(|term| term.nonce));
    EdwardsPoint::vartime_multiscalar_mul(scalars, points)
        .mul_by_cofactor()
        .is_identity()
}

/// The scalars of the base point and of keys in the sum over a list.
struct Equation<'a> {
    weights: Weights,
    of_base: Scalar,
    // COST: whoever signed twice in a list counts as one point.
    of_keys: BTreeMap<&'a VerifyingKey, Scalar>,
}

impl<'a> Equation<'a> {
    fn new(claims: &[Claim<'_>]) -> Self {
        Self {
            weights: Weights::of(claims),
            of_base: Scalar::ZERO,
            of_keys: BTreeMap::new(),
        }
    }

    /// Adds the next claim with its k and s. Gives its weight, the scalar of its R.
    fn add(&mut self, claim: &Claim<'a>, challenge: &Scalar, response: &Scalar) -> Scalar {
        let weight = self.weights.next();
        self.of_base -= weight * response;
        *self.of_keys.entry(claim.key).or_insert(Scalar::ZERO) += weight * challenge;
        weight
    }
}

/// A signature's equation.
struct Term {
    /// R.
    nonce: EdwardsPoint,
    /// k.
    challenge: Scalar,
    /// s.
    response: Scalar,
}

impl Term {
    /// Nothing when R or s is not in its one encoding, or R has small order.
    fn new(claim: &Claim<'_>) -> Option<Self> {
        let (nonce, response) = canonical(claim)?;
        let nonce = CompressedEdwardsY(*nonce).decompress()?;
        if nonce.is_small_order() {
            return None;
        }
        Some(Self {
            nonce,
            challenge: Scalar::from_bytes_mod_order_wide(&claim.hash),
            response,
        })
    }
}

/// The bytes of R, and s, when both are below what they are reduced by.
fn canonical<'a>(claim: &Claim<'a>) -> Option<(&'a [u8; 32], Scalar)> {
    let (nonce, response) = claim.signature.0.split_first_chunk::<32>()?;
    let response = Scalar::from_canonical_bytes(*response.first_chunk::<32>()?);
    let response = Option::<Scalar>::from(response)?;
    is_reduced(nonce).then_some((nonce, response))
}

/// Numbers of 128 bits that are known once all claims are.
struct Weights(Generator);

impl Weights {
    fn of(claims: &[Claim<'_>]) -> Self {
        let mut bytes = Vec::with_capacity(128 * claims.len());
        for claim in claims {
            // The hash covers key and message; without s, one could be chosen to fit the weights.
            bytes.extend_from_slice(&claim.hash);
            bytes.extend_from_slice(&claim.signature.0);
        }
        let seed = transcript::hash(Label::SignatureWeights, &[&bytes]);
        Self(Generator::new(&Secret::new(*seed.as_bytes())))
    }

    fn next(&mut self) -> Scalar {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        Scalar::from(u128::from_le_bytes(bytes))
    }
}

/// From here on eight lanes are faster.
const FEWEST_IN_LANES: usize = 5;

/// A list of signatures of which one does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature `{place}` of the list does not hold under the given key")]
pub struct FalseSignature {
    /// Where in the list it is, counted from zero.
    pub place: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

    #[test]
    fn lists_hold_in_lanes_exactly_when_they_hold_one_by_one() {
        let Some(lanes) = EightLanes::find() else {
            eprintln!("SKIPPED: this processor has no AVX-512 IFMA");
            return;
        };
        let label = Label::SiloMessage;
        let signers = [1, 2, 3].map(|seed| SigningKey::from_seed(&Secret::new([seed; 32])));
        let signed: Vec<(VerifyingKey, [u8; 1], Signature)> = signers
            .iter()
            .cycle()
            .zip(0..20_u8)
            .map(|(signer, part)| {
                (
                    signer.verifying_key(),
                    [part],
                    signer.sign(label, &[&[part]]),
                )
            })
            .collect();
        let both = |signed: &[(VerifyingKey, [u8; 1], Signature)]| {
            let claims: Vec<Claim<'_>> = signed
                .iter()
                .map(|(key, part, signature)| Claim::new(key, label, &[part], signature))
                .collect();
            let answer = hold_one_by_one(&claims);
            for keys in [&[][..], &signers[1..], &signers] {
                let keys = keys.iter().map(SigningKey::verifying_key);
                let prepared = PreparedKeys::new(keys);
                assert_eq!(answer, hold_in_lanes(lanes, &claims, &prepared));
            }
            answer
        };
        for length in 0..=signed.len() {
            assert!(both(&signed[..length]));
        }
        // Any bit of R or of s.
        for bit in 0..512 {
            let mut false_one = signed.clone();
            let (_, _, signature) = &mut false_one[bit % 20];
            signature.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!both(&false_one), "{bit}");
        }
    }
}
