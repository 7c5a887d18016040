// SPDX-License-Identifier: Apache-2.0
//! Holds: the certificate, and nothing that opens a mask. Accepts: the logged commitment to the sum. Sends: the nonce
//! that its vote committed to, if its vote is in the certificate.

use super::Step;
use super::committed::Committed;
use super::phase::{Phase, Reply};
use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::certificate::Certificate;
use crate::challenge::Subject;
use crate::defence::{Defence, stands};
use crate::envelope::Delivery;
use crate::fault::Fault;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// What is settled once a certificate has been verified; it stays until the release.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Certified {
    pub(crate) plan: RoundPlan,
    pub(crate) keys: KeyBook,
    pub(crate) deals: DealBook,
    pub(crate) cohort: Cohort,
    pub(crate) survivors: Survivors,
    pub(crate) certificate: Certificate,
    /// Digest of the vector that this silo put in.
    pub(crate) input: Digest,
}

impl Certified {
    /// What a challenge to the sum `sum` is about.
    pub(crate) fn subject<'a>(&'a self, sum: &'a Digest) -> Subject<'a> {
        Subject {
            plan: &self.plan,
            cohort: &self.cohort.digest,
            survivors: &self.survivors.digest,
            sum,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revealed {
    pub(crate) certified: Certified,
}

impl Revealed {
    pub(crate) fn sum_commitment(
        self,
        step: &mut Step<'_>,
        sum: Digest,
        attachments: &[Vec<u8>],
    ) -> Result<Phase, Fault> {
        let Self { certified } = self;
        let id = certified.plan.id;
        let proof = attachments.first().map_or(&[][..], Vec::as_slice);
        // SECURITY: a nonce that is known before the sum is fixed lets the sum be chosen to fit the challenge.
        let logged = step.surroundings.log.sum_is_logged(id, &sum, proof);
        if stands(Defence::SumLoggedFirst) && !logged {
            return Err(Fault::SumNotLogged);
        }
        let voted = certified
            .certificate
            .nonce_commitment(step.surroundings.name);
        if voted.is_some() {
            let nonce = step.secrets(id)?.vote_nonce();
            let message = SiloMessage::Nonce { sum, nonce };
            let nonce = step.sign(id, certified.cohort.digest, message);
            step.reply = Reply::Send(Delivery::bare(nonce));
        }
        Ok(Phase::Committed(Committed { certified, sum }))
    }
}
