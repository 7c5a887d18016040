// SPDX-License-Identifier: Apache-2.0
//! Lists of silos' messages: all signatures at once, and none twice.

use crate::defence::{Defence, stands};
use crate::envelope::{Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::AttemptId;
use crate::membership::Membership;
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::{FalseSignature, verify_all};
use std::collections::BTreeSet;

/// Envelopes whose signatures this machine has verified before, byte for byte.
pub(crate) type Known<'a> = BTreeSet<&'a Envelope>;

/// Verifies and reads silos' messages of attempt `id` under `transcript`, in their order.
///
/// # Errors
/// [`Fault::BadSignature`] names the first whose signature does not hold.
pub(crate) fn verify_silos<'a>(
    envelopes: impl IntoIterator<Item = &'a Envelope>,
    membership: &Membership,
    id: AttemptId,
    transcript: &Digest,
    known: &Known<'_>,
) -> Result<Vec<VerifiedSilo>, Fault> {
    let envelopes: Vec<&Envelope> = envelopes.into_iter().collect();
    let (mut claims, mut signers) = (Vec::new(), Vec::new());
    for envelope in &envelopes {
        let (silo, key) = envelope.signer(membership)?;
        if let Some(key) = key
            && !known.contains(envelope)
        {
            claims.push(envelope.claim(silo, key));
            signers.push(silo);
        }
    }
    match verify_all(&claims, membership.silos.prepared()) {
        Err(FalseSignature { place }) if stands(Defence::SiloSignatures) => {
            let sender = signers.get(place).map(ToString::to_string);
            return Err(Fault::BadSignature {
                sender: sender.unwrap_or_default(),
            });
        }
        Ok(()) | Err(FalseSignature { .. }) => {}
    }
    envelopes
        .into_iter()
        .map(|envelope| envelope.read_silo(id, transcript))
        .collect()
}
