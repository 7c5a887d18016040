// SPDX-License-Identifier: Apache-2.0
//! Holds: the root of the upload. Accepts: the one survivor proposal. Sends: the one vote. Aborts: on a set that is
//! too small, is no subset, or would release the same computation to other silos.

use super::Step;
#[cfg(feature = "insecure_for_test")]
use super::masking::Masking;
use super::phase::{Phase, Reply};
use super::training::Exchange;
use super::voted::Voted;
use crate::book::{Cohort, Survivors};
use crate::defence::{Defence, stands};
use crate::envelope::{Delivery, Envelope};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::SiloMessage;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Uploaded {
    pub(crate) exchange: Exchange,
    pub(crate) input: Digest,
    pub(crate) cohort: Cohort,
    pub(crate) root: Digest,
}

impl Uploaded {
    /// Where a silo that masks twice would stand again.
    #[cfg(feature = "insecure_for_test")]
    pub(crate) fn before_the_upload(self) -> Masking {
        Masking {
            exchange: self.exchange,
            input: self.input,
            cohort: self.cohort,
        }
    }

    pub(crate) fn survivor_proposal(
        self,
        step: &mut Step<'_>,
        uploads: &[Envelope],
    ) -> Result<Phase, Fault> {
        let Self {
            exchange,
            input,
            cohort,
            root,
        } = self;
        let plan = &exchange.plan;
        let survivors = Survivors::new(plan, step.surroundings.membership, &cohort, uploads)?;
        match survivors.root(step.surroundings.name) {
            None if stands(Defence::SelfAmongSurvivors) => {
                return Err(Fault::LeftOut {
                    list: "survivor set",
                });
            }
            Some(listed) if stands(Defence::OwnEcho) && *listed != root => {
                return Err(Fault::OwnMessageChanged {
                    message: "MaskedInput",
                });
            }
            Some(_) | None => {}
        }
        let names: Vec<SiloName> = survivors
            .uploads
            .iter()
            .map(|(silo, _)| silo.clone())
            .collect();
        step.memory.vote(plan, &names, input)?;
        let message = SiloMessage::Vote {
            survivors: survivors.digest,
            nonce_commitment: step
                .secrets(plan.id)?
                .nonce_commitment(&cohort.digest, step.surroundings.name),
        };
        let vote = step.sign(plan.id, cohort.digest, message);
        step.reply = Reply::Send(Delivery::bare(vote));
        Ok(Phase::Voted(Voted {
            exchange,
            input,
            cohort,
            survivors,
        }))
    }
}
