// SPDX-License-Identifier: Apache-2.0
//! Holds: the logged H(S). Accepts: the challenge, or a replay. Asks for: its inner product with the stored vector.
//! Aborts: on a challenge that is not made of the voters' nonces.

use super::Step;
use super::phase::Phase;
use super::revealed::Certified;
use super::tagging::Tagging;
use crate::challenge::Challenge;
use crate::effect::SiloEffect;
use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::signed_list::Known;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// The sum is committed and logged; it is not known yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) certified: Certified,
    /// H(S).
    pub(crate) sum: Digest,
}

impl Committed {
    pub(crate) fn challenge(
        self,
        step: &mut Step<'_>,
        nonces: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self { certified, sum } = self;
        let challenge = Challenge::new(
            certified.subject(&sum),
            step.surroundings.membership,
            &certified.certificate,
            nonces,
            &Known::new(),
        )?;
        let tagging = Tagging {
            certified,
            sum,
            challenge,
        };
        step.effects.push(SiloEffect::Tag(tagging.job()?));
        Ok(Phase::Tagging(tagging))
    }
}
