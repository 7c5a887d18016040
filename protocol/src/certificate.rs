// SPDX-License-Identifier: Apache-2.0
//! A quorum of equal votes: the only thing that unlocks a reveal, and what fixes whose nonces make the challenge.

use crate::book::{Cohort, Survivors, demand_sorted, list_digest};
use crate::defence::{Defence, stands};
use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::id::SiloName;
use crate::membership::Membership;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use crate::signed_list::{Known, verify_silos};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use serde::{Deserialize, Serialize};

/// A certificate whose votes hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    /// X.
    pub(crate) cohort: Digest,
    /// Over the votes and X.
    pub(crate) digest: Digest,
    /// Who voted, sorted, with the commitments to their nonces.
    pub(crate) voters: Vec<(SiloName, Digest)>,
}

impl Certificate {
    /// Verifies a quorum of equal votes by distinct survivors; the signatures of those that are known hold.
    pub(crate) fn new(
        plan: &RoundPlan,
        membership: &Membership,
        cohort: &Cohort,
        survivors: &Survivors,
        votes: &[Envelope],
        known: &Known<'_>,
    ) -> Result<Self, Fault> {
        let mut voters = Vec::with_capacity(votes.len());
        for verified in verify_silos(votes, membership, plan.id, &cohort.digest, known)? {
            let SiloMessage::Vote {
                survivors: voted,
                nonce_commitment,
            } = verified.message
            else {
                return Err(Fault::NoQuorum);
            };
            if stands(Defence::CertificateMatchesVote) && voted != survivors.digest {
                return Err(Fault::OtherCertificate);
            }
            if stands(Defence::CertificateMatchesVote) && !survivors.contains(&verified.silo) {
                return Err(Fault::BadList {
                    list: "certificate",
                });
            }
            voters.push((verified.silo, nonce_commitment));
        }
        demand_sorted("certificate", voters.iter().map(|(silo, _)| silo))?;
        if stands(Defence::CertificateQuorum) && voters.len() < plan.thresholds_quorum() {
            return Err(Fault::NoQuorum);
        }
        Ok(Self {
            cohort: cohort.digest,
            digest: list_digest(Label::Certificate, &cohort.digest, votes),
            voters,
        })
    }

    /// What a voter's nonce must hash to.
    pub(crate) fn nonce_commitment(&self, silo: &SiloName) -> Option<&Digest> {
        let at = self
            .voters
            .binary_search_by(|(voter, _)| voter.cmp(silo))
            .ok()?;
        self.voters.get(at).map(|(_, commitment)| commitment)
    }
}
