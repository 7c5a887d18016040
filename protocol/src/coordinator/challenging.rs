// SPDX-License-Identifier: Apache-2.0
//! Holds: the logged H(S). Accepts: the nonces that the certificate's votes committed to. Sends: the challenge that they
//! make, or asks for a replay when one is missing.

use super::phase::{Close, Phase};
use super::releasing::Logged;
use super::replaying::Replaying;
use super::tagging::Tagging;
use super::{Step, keep_first};
use crate::challenge::{Challenge, opened_nonce};
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::message::{CoordinatorMessage, SiloMessage};
use crate::signed_list::Known;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Challenging {
    pub(crate) logged: Logged,
    pub(crate) nonces: BTreeMap<SiloName, Envelope>,
}

impl Challenging {
    /// Those whose votes are in the certificate.
    pub(crate) fn voters(&self) -> Vec<SiloName> {
        let voters = &self.logged.unmasked.certificate.voters;
        voters.iter().map(|(silo, _)| silo.clone()).collect()
    }

    pub(crate) fn accept(
        &mut self,
        id: AttemptId,
        verified: VerifiedSilo,
        delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        if is_late(&message) {
            return self
                .logged
                .voted()
                .late(&silo, &message, &delivery.envelope);
        }
        if !matches!(message, SiloMessage::Nonce { .. }) {
            return Err(Fault::Unexpected {
                message: message.name(),
                phase: "gathering nonces",
            });
        }
        let certificate = &self.logged.unmasked.certificate;
        opened_nonce(id, certificate, &self.logged.sum, &silo, &message)?;
        keep_first(&mut self.nonces, silo, delivery.envelope, &message)
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        if self.nonces.len() < self.voters().len() {
            return Ok(Close::Next(Replaying::begin(step, self.logged)));
        }
        let Self { logged, nonces } = self;
        let nonces: Vec<Envelope> = nonces.into_values().collect();
        let challenge = Challenge::new(
            logged.subject(step.plan),
            step.surroundings.membership,
            &logged.unmasked.certificate,
            &nonces,
            &Known::new(),
        )?;
        let message = CoordinatorMessage::Challenge {
            nonces: nonces.clone(),
        };
        let envelope = step.sign(logged.voted().cohort.digest, message);
        step.send_all(&logged.voted().survivor_names(), &envelope);
        Ok(Close::Next(Phase::Tagging(Tagging {
            logged,
            nonces,
            challenge,
            tags: BTreeMap::new(),
        })))
    }
}

/// A vote or reveal of a survivor that came back: not needed any more.
pub(crate) fn is_late(message: &SiloMessage) -> bool {
    matches!(
        message,
        SiloMessage::Vote { .. } | SiloMessage::Reveal { .. }
    )
}
