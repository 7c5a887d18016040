// SPDX-License-Identifier: Apache-2.0
//! Holds: the certificate. Accepts: proven shares, one kind per peer. Asks for: unmasking. Aborts: when good shares give a
//! secret that its dealer did not commit to.

use super::Step;
use super::accusing::Accusation;
use super::committing::Committing;
use super::phase::{Close, Phase};
use super::voting::Voting;
use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::certificate::Certificate;
use crate::deal::Combiner;
use crate::effect::CoordinatorEffect;
use crate::envelope::{Delivery, Envelope, VerifiedSilo};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::message::{RevealedShare, SecretKind, SiloMessage};
use crate::round_plan::RoundPlan;
use crate::signed_list::Known;
use crate::unmask::{PublicSeed, UnmaskJob, kind_of, seed_is_committed};
use consilium_crypto::digest::Digest;
use consilium_crypto::secret::Secret32;
use consilium_crypto::shamir::Share;
use consilium_crypto::transcript::sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revealing {
    pub(crate) voted: Voting,
    pub(crate) reveals: BTreeMap<SiloName, Revealed>,
    /// Whose shares are held: as many silos as combine.
    holders: Vec<SiloName>,
}

/// COST: of everything that everybody reveals of everybody, which grows with the square of the silos, this is what
/// combining takes. The reveals lie on the driver's disk as they came, with their paths.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revealed {
    /// Of the signed bytes.
    digest: Digest,
    /// One share after another, in the cohort's order. None of those who come after enough others.
    #[serde(with = "crate::byte_string")]
    shares: Vec<u8>,
}

/// The seeds are known, to be published with the release; the sum is being computed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unmasking {
    pub(crate) voted: Voting,
    pub(crate) certificate: Certificate,
    pub(crate) seeds: Vec<PublicSeed>,
}

impl Revealing {
    pub(crate) fn begin(voted: Voting) -> Self {
        Self {
            voted,
            reveals: BTreeMap::new(),
            holders: Vec::new(),
        }
    }

    pub(crate) fn accept(
        &mut self,
        plan: &RoundPlan,
        verified: VerifiedSilo,
        delivery: Delivery,
        effects: &mut Vec<CoordinatorEffect>,
    ) -> Result<(), Fault> {
        let VerifiedSilo { silo, message } = verified;
        let shares = match message {
            SiloMessage::Reveal { shares } => shares,
            // Beyond the quorum, or once more.
            SiloMessage::Vote { .. } => {
                return self.voted.late(&silo, &message, &delivery.envelope);
            }
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
        let reveal = delivery.envelope;
        let digest = sha256(&reveal.body);
        match self.reveals.get(&silo) {
            Some(first) if first.digest == digest => return Ok(()),
            Some(_) => {
                return Err(Fault::SecondAnswer {
                    silo,
                    message: "Reveal",
                });
            }
            None => {}
        }
        if !is_good_reveal(keys, deals, cohort, survivors, &silo, &shares) {
            return Err(Fault::BadReveal { silo });
        }
        let mut held = Vec::new();
        if self.holders.len() < needed(plan) {
            self.holders.push(silo.clone());
            held = shares.into_iter().flat_map(|share| share.share).collect();
        }
        let shares = held;
        self.reveals
            .insert(silo.clone(), Revealed { digest, shares });
        effects.push(CoordinatorEffect::KeepReveal { silo, reveal });
        Ok(())
    }

    pub(crate) fn close(self, step: &mut Step<'_>) -> Result<Close, Fault> {
        let Self {
            voted,
            reveals,
            holders,
        } = self;
        let count = voted.cohort.silos.len();
        let rows: Vec<&[u8]> = holders
            .iter()
            .filter_map(|silo| reveals.get(silo))
            .map(|revealed| revealed.shares.as_slice())
            .collect();
        let mut seeds = Vec::with_capacity(count);
        let threshold = step.plan.thresholds.threshold;
        let mut combiner = Combiner::new(threshold, voted.keys.entries.len());
        for (place, dealer) in voted.cohort.silos.iter().enumerate() {
            let column = rows.iter().filter_map(|row| share_at(row, place, count));
            match rebuild(&mut combiner, &voted, dealer, column.collect()) {
                Ok((kind, seed)) => seeds.push((dealer.clone(), kind, *seed.expose())),
                Err(fault) => {
                    // The shares prove themselves against the dealer's signed root, and give another secret.
                    let accusation = Accusation::of_deal(dealer, place, holders);
                    step.effects.push(CoordinatorEffect::Accuse(accusation));
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

/// Whether a reveal holds one proven share of the right kind for every silo of the cohort, in its order.
pub(crate) fn is_good_reveal(
    keys: &KeyBook,
    deals: &DealBook,
    cohort: &Cohort,
    survivors: &Survivors,
    silo: &SiloName,
    shares: &[RevealedShare],
) -> bool {
    let expected = cohort.silos.iter().filter_map(|dealer| {
        let position = u32::try_from(keys.position(dealer)?).ok()?;
        Some((position, kind_of(survivors, dealer)))
    });
    let revealed = shares.iter().map(|share| (share.dealer, share.kind));
    expected.eq(revealed)
        && shares
            .iter()
            .all(|share| keys.share_is_dealt(deals, silo, share))
}

fn needed(plan: &RoundPlan) -> usize {
    usize::try_from(plan.thresholds.threshold).unwrap_or(usize::MAX)
}

/// One of `count` shares of equal length.
fn share_at(row: &[u8], place: usize, count: usize) -> Option<Share> {
    let length = row.len().checked_div(count)?;
    let start = place.checked_mul(length)?;
    Share::from_bytes(row.get(start..start.checked_add(length)?)?).ok()
}

/// Combines threshold shares of one dealer and checks the secret against what the dealer made public.
fn rebuild(
    combiner: &mut Combiner,
    voted: &Voting,
    dealer: &SiloName,
    shares: Vec<Share>,
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
    let secret = combiner.combine(&shares).ok_or_else(bad)?;
    let kind = kind_of(survivors, dealer);
    if seed_is_committed(keys, deals, dealer, kind, &secret) {
        Ok((kind, secret))
    } else {
        Err(bad())
    }
}
