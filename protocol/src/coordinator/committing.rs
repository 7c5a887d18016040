// SPDX-License-Identifier: Apache-2.0
//! Holds: H(S). Accepts: the proof that it is logged and cosigned. Sends: the commitment, which asks the voters for their
//! nonces.

use super::Step;
use super::challenging::Challenging;
use super::phase::Phase;
use super::releasing::Logged;
use super::revealing::Unmasking;
use crate::message::CoordinatorMessage;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Committing {
    pub(crate) unmasked: Unmasking,
    /// H(S).
    pub(crate) sum: Digest,
}

impl Committing {
    pub(crate) fn sum_logged(self, step: &mut Step<'_>, proof: Vec<u8>) -> Phase {
        let Self { unmasked, sum } = self;
        let logged = Logged {
            unmasked,
            sum,
            proof: [proof].into(),
        };
        let message = CoordinatorMessage::SumCommitment { sum };
        let envelope = step.sign(logged.voted().cohort.digest, message);
        let survivors = logged.voted().survivor_names();
        step.send_all_with(&survivors, &envelope, &logged.proof);
        Phase::Challenging(Challenging {
            logged,
            nonces: BTreeMap::new(),
        })
    }
}
