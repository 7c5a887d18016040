// SPDX-License-Identifier: Apache-2.0
//! Holds: the certificate. Accepts: proven shares, one kind per peer. Asks for: unmasking. Aborts: when good shares give a
//! secret that its dealer did not commit to.

use super::Step;
use super::committing::Committing;
use super::phase::{Close, Phase};
use super::voting::Voting;
use crate::certificate::Certificate;
use crate::deal::Combiner;
use crate::effect::{CoordinatorEffect, RecordKind};
use crate::envelope::{Delivery, Envelope, VerifiedSilo, encode};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{RevealedShare, SecretKind, SiloMessage};
use crate::round_plan::RoundPlan;
use crate::signed_list::Known;
use crate::unmask::{PublicSeed, UnmaskJob, kind_of, seed_is_committed};
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret32;
use consilium_crypto::shamir::Share;
use consilium_crypto::transcript::hash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revealing {
    pub(crate) voted: Voting,
    pub(crate) reveals: BTreeMap<SiloName, Vec<RevealedShare>>,
}

/// The seeds are known, to be published with the release; the sum is being computed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unmasking {
    pub(crate) voted: Voting,
    pub(crate) certificate: Certificate,
    pub(crate) seeds: Vec<PublicSeed>,
}

impl Revealing {
    pub(crate) fn accept(
        &mut self,
        verified: VerifiedSilo,
        _delivery: Delivery,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        let shares = match message {
            SiloMessage::Reveal { shares } => shares,
            SiloMessage::Vote { .. } => return Ok(()), // a vote beyond the quorum, late
            SiloMessage::AdvertiseKeys { .. }
            | SiloMessage::ShareKeys { .. }
            | SiloMessage::DealReceipt { .. }
            | SiloMessage::Ready
            | SiloMessage::MaskedInput { .. }
            | SiloMessage::Nonce { .. }
            | SiloMessage::Tag { .. }
            | SiloMessage::Replayed { .. } => {
                return Err(Fault::Unexpected {
                    message: message.name(),
                    phase: "revealing",
                });
            }
        };
        let Voting {
            keys,
            deals,
            cohort,
            survivors,
            ..
        } = &self.voted;
        if !survivors.contains(&silo) {
            return Err(Fault::UnknownSilo { silo });
        }
        if let Some(first) = self.reveals.get(&silo) {
            let equal = *first == shares;
            return if equal {
                Ok(())
            } else {
                Err(Fault::SecondAnswer {
                    silo,
                    message: "Reveal",
                })
            };
        }
        let expected: Vec<(u32, SecretKind)> = cohort
            .silos
            .iter()
            .filter_map(|dealer| {
                let position = u32::try_from(keys.position(dealer)?).ok()?;
                Some((position, kind_of(survivors, dealer)))
            })
            .collect();
        let revealed: Vec<(u32, SecretKind)> = shares
            .iter()
            .map(|share| (share.dealer, share.kind))
            .collect();
        let proven = shares
            .iter()
            .all(|share| keys.share_is_dealt(deals, &silo, share));
        if revealed != expected || !proven {
            return Err(Fault::BadReveal { silo });
        }
        self.reveals.insert(silo, shares);
        Ok(())
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let Self { voted, reveals } = self;
        let mut seeds = Vec::with_capacity(voted.cohort.silos.len());
        let threshold = step.plan.thresholds.threshold;
        let mut combiner = Combiner::new(threshold, voted.keys.entries.len());
        for (at, dealer) in voted.cohort.silos.iter().enumerate() {
            let column: Vec<&RevealedShare> = reveals
                .values()
                .filter_map(|shares| shares.get(at))
                .collect();
            match rebuild(step.plan, &mut combiner, &voted, dealer, &column) {
                Ok((kind, seed)) => seeds.push((dealer.clone(), kind, *seed.expose())),
                Err(fault) => {
                    // The shares prove themselves against the dealer's signed root, and give another secret.
                    let evidence = hash(Label::EvidenceDigest, &[&encode(&column)]);
                    step.record(RecordKind::Misbehaviour, evidence, vec![dealer.clone()]);
                    return Err(fault);
                }
            }
        }
        let votes: Vec<Envelope> = voted.votes.values().cloned().collect();
        let certificate = Certificate::new(
            step.plan,
            step.surroundings.membership,
            &voted.cohort,
            &voted.survivors,
            &votes,
            &Known::new(),
        )?;
        let unmasking = Unmasking {
            voted,
            certificate,
            seeds,
        };
        step.effects
            .push(CoordinatorEffect::Unmask(unmasking.job(step.plan)?));
        Ok(Close::Next(Phase::Unmasking(unmasking)))
    }
}

impl Unmasking {
    /// The work of the CPU pool.
    pub(crate) fn job(&self, plan: &RoundPlan) -> Result<UnmaskJob, Fault> {
        let Voting {
            keys,
            deals,
            cohort,
            survivors,
            ..
        } = &self.voted;
        UnmaskJob::new(plan, keys, deals, cohort, survivors, &self.seeds)
    }

    pub(crate) fn summed(self, digest: Digest, effects: &mut Vec<CoordinatorEffect>) -> Phase {
        effects.push(CoordinatorEffect::CommitSum(digest));
        Phase::Committing(Committing {
            unmasked: self,
            sum: digest,
        })
    }
}

/// Combines threshold shares of one dealer and checks the secret against what the dealer made public.
fn rebuild(
    plan: &RoundPlan,
    combiner: &mut Combiner,
    voted: &Voting,
    dealer: &SiloName,
    shares: &[&RevealedShare],
) -> Result<(SecretKind, Secret32), Fault> {
    let Voting {
        keys,
        deals,
        survivors,
        ..
    } = voted;
    let bad = || Fault::BadDeal {
        silo: dealer.clone(),
    };
    let needed = usize::try_from(plan.thresholds.threshold).unwrap_or(usize::MAX);
    let shares: Vec<Share> = shares
        .iter()
        .take(needed)
        .filter_map(|share| Share::from_bytes(&share.share).ok())
        .collect();
    let secret = combiner.combine(&shares).ok_or_else(bad)?;
    let kind = kind_of(survivors, dealer);
    if seed_is_committed(keys, deals, dealer, kind, &secret) {
        Ok((kind, secret))
    } else {
        Err(bad())
    }
}
