// SPDX-License-Identifier: Apache-2.0
//! Holds: H(S). Accepts: the proof that it is logged and cosigned. Sends: the commitment, then the release with all that
//! lets anybody check it.

use super::Step;
use super::phase::Phase;
use super::revealing::Unmasking;
use super::voting::Voting;
use crate::effect::{CoordinatorEffect, RecordKind};
use crate::envelope::Delivery;
use crate::id::SiloName;
use crate::message::{CoordinatorMessage, Release};
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Committing {
    pub(crate) unmasked: Unmasking,
    /// H(S).
    pub(crate) sum: Digest,
}

/// The attempt has ended with a sum.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) sum: Digest,
}

impl Committing {
    pub(crate) fn sum_logged(
        self,
        step: &mut Step<'_>,
        proofs: &BTreeMap<SiloName, Vec<u8>>,
    ) -> Phase {
        let Self {
            unmasked: Unmasking { voted, seeds },
            sum,
        } = self;
        let Voting {
            keys,
            deals,
            cohort,
            survivors,
            votes,
        } = voted;
        let commitment = step.sign(cohort.digest, CoordinatorMessage::SumCommitment { sum });
        let names: Vec<SiloName> = survivors
            .uploads
            .iter()
            .map(|(silo, _)| silo.clone())
            .collect();
        let release = Release {
            plan: step.plan.clone(),
            key_book: keys.digest,
            deal_book: deals.digest,
            cohort: cohort.silos,
            survivors: survivors.uploads,
            votes: votes.into_values().collect(),
            sum,
            seeds,
        };
        let release = step.sign(
            cohort.digest,
            CoordinatorMessage::Release(Box::new(release)),
        );
        step.record(RecordKind::Released, sum, names.clone());
        let invited = step.plan.silos.clone();
        for silo in &invited {
            let attachments: Vec<Vec<u8>> = proofs.get(silo).cloned().into_iter().collect();
            if names.binary_search(silo).is_ok() {
                let envelope = commitment.clone();
                step.send(
                    silo,
                    Delivery {
                        envelope,
                        attachments: attachments.clone(),
                    },
                );
            }
            step.send(
                silo,
                Delivery {
                    envelope: release.clone(),
                    attachments,
                },
            );
        }
        let dropped = invited
            .into_iter()
            .filter(|silo| names.binary_search(silo).is_err())
            .collect();
        step.effects.push(CoordinatorEffect::Released {
            survivors: names,
            dropped,
        });
        Phase::Released(Released { sum })
    }
}
