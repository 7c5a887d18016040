// SPDX-License-Identifier: Apache-2.0
//! A released sum and its trail, checked alone: by a silo that took part and by one that missed it.

use crate::book::{Cohort, Survivors, cohort_digest};
use crate::certificate::Certificate;
use crate::challenge::{Challenge, Subject, total_of_tags};
use crate::defence::{Defence, stands};
use crate::envelope::{Body, Delivery};
use crate::fault::Fault;
use crate::id::{AttemptId, SiloName};
use crate::log_verifier::LogVerifier;
use crate::membership::Membership;
use crate::message::{CoordinatorMessage, Release, Verification};
use crate::replay::verify_replays;
use crate::round_plan::RoundPlan;
use crate::signed_list::Known;
use crate::sum_chunks::SumChunks;
use crate::unmask::PublicSeed;
use consilium_crypto::digest::Digest;

/// A sum whose certificate, commitment and log proof hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSum {
    /// The attempt's parameters.
    pub plan: RoundPlan,
    /// X of the attempt.
    pub cohort_digest: Digest,
    /// Whose inputs the sum holds.
    pub survivors: Vec<SiloName>,
    /// H(S).
    pub digest: Digest,
    /// The sum: `dimension` words modulo 2^bits, packed.
    pub sum: SumChunks,
    /// What vouches for it.
    pub verified_by: VerifiedBy,
}

impl VerifiedSum {
    /// The sum's words modulo 2^bits.
    ///
    /// # Errors
    /// None of a sum that [`verify_release`] or a silo's machine gave.
    pub fn words(&self) -> Result<Vec<u64>, Fault> {
        self.sum.words(&self.plan)
    }
}

/// What vouches for a released sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// The tags of all survivors.
    Tags,
    /// Survivors who computed it again, because tags were missing or did not add up.
    Replay,
}

/// Verifies a Release under the pinned roster, whatever this silo saw of its attempt.
///
/// # Errors
/// [`Fault`] names the first check that fails.
pub fn verify_release(
    membership: &Membership,
    log: &dyn LogVerifier,
    delivery: &Delivery,
    sum: SumChunks,
) -> Result<VerifiedSum, Fault> {
    let known = Known::new();
    Trail::open(membership, log, delivery, &known)?.vouch(membership, sum, &known)
}

/// The public trail of a sum whose certificate and log proof hold, before the sum itself is looked at.
pub(crate) struct Trail {
    pub(crate) plan: RoundPlan,
    pub(crate) cohort: Cohort,
    pub(crate) survivors: Survivors,
    pub(crate) certificate: Certificate,
    /// H(S).
    pub(crate) sum: Digest,
    pub(crate) seeds: Vec<PublicSeed>,
    pub(crate) verification: Verification,
}

impl Trail {
    /// Reads a Release and verifies everything but the sum.
    pub(crate) fn open(
        membership: &Membership,
        log: &dyn LogVerifier,
        delivery: &Delivery,
        known: &Known<'_>,
    ) -> Result<Self, Fault> {
        let Body {
            id,
            transcript,
            message: CoordinatorMessage::Release(release),
        } = delivery.envelope.verify_coordinator(membership)?
        else {
            return Err(Fault::Malformed("something else than a Release"));
        };
        let proof = delivery.attachments.first().map_or(&[][..], Vec::as_slice);
        Self::verify(membership, log, (id, transcript), *release, proof, known)
    }

    /// Verifies that `sum` is the committed one, and the sum of the signed uploads.
    pub(crate) fn vouch(
        self,
        membership: &Membership,
        sum: SumChunks,
        known: &Known<'_>,
    ) -> Result<VerifiedSum, Fault> {
        if sum.digest(&self.plan, &self.cohort.digest)? != self.sum {
            return Err(Fault::OtherSum);
        }
        let verified = self.verify_sum(membership, &sum, known);
        let verified_by = if stands(Defence::SumVerified) {
            verified?
        } else {
            VerifiedBy::Tags
        };
        let uploads = self.survivors.uploads.into_iter();
        Ok(VerifiedSum {
            plan: self.plan,
            cohort_digest: self.cohort.digest,
            survivors: uploads.map(|(silo, _)| silo).collect(),
            digest: self.sum,
            sum,
            verified_by,
        })
    }

    /// Verifies everything but the sum and how it was verified.
    pub(crate) fn verify(
        membership: &Membership,
        log: &dyn LogVerifier,
        attempt: (AttemptId, Digest),
        release: Release,
        proof: &[u8],
        known: &Known<'_>,
    ) -> Result<Self, Fault> {
        let trail = Self::rebuild(membership, attempt, release, known)?;
        if !log.sum_is_logged(attempt.0, &trail.sum, proof) {
            return Err(Fault::SumNotLogged);
        }
        Ok(trail)
    }

    /// The same without the log: what the coordinator's signature covers, and nothing that comes beside it.
    pub(crate) fn rebuild(
        membership: &Membership,
        (id, transcript): (AttemptId, Digest),
        release: Release,
        known: &Known<'_>,
    ) -> Result<Self, Fault> {
        let Release {
            plan,
            key_book,
            deal_book,
            cohort,
            survivors,
            votes,
            sum,
            seeds,
            verification,
        } = release;
        let silos_known = plan
            .silos
            .iter()
            .all(|silo| membership.silos.contains_key(silo));
        if plan.id != id || plan.roster_root != membership.roster_root || !silos_known {
            return Err(Fault::OtherTranscript { message: "Release" });
        }
        let rebuilt = RoundPlan::new(
            plan.id,
            membership,
            &plan.silos,
            Some(plan.thresholds.dropouts),
            plan.model,
            plan.task,
            plan.vector,
        )
        .map_err(Fault::UnsafePlan)?;
        if rebuilt != plan {
            return Err(Fault::OtherPlan {
                field: "thresholds",
            });
        }
        let within = |silo: &SiloName, list: &[SiloName]| list.binary_search(silo).is_ok();
        if !cohort.iter().all(|silo| within(silo, &plan.silos))
            || !survivors.iter().all(|(silo, _)| within(silo, &cohort))
        {
            return Err(Fault::BadList {
                list: "survivor set",
            });
        }
        let cohort = Cohort {
            digest: cohort_digest(&plan, &key_book, &deal_book, &cohort),
            silos: cohort,
        };
        if transcript != cohort.digest {
            return Err(Fault::OtherTranscript { message: "Release" });
        }
        let survivors = Survivors::from_roots(&plan, &cohort, survivors)?;
        let certificate = Certificate::new(&plan, membership, &cohort, &survivors, &votes, known)?;
        Ok(Self {
            plan,
            cohort,
            survivors,
            certificate,
            sum,
            seeds,
            verification,
        })
    }

    /// What vouches for `sum`: all tags, or enough replays.
    fn verify_sum(
        &self,
        membership: &Membership,
        sum: &SumChunks,
        known: &Known<'_>,
    ) -> Result<VerifiedBy, Fault> {
        let survivors = &self.survivors.uploads;
        let subject = Subject {
            plan: &self.plan,
            cohort: &self.cohort.digest,
            survivors: &self.survivors.digest,
            sum: &self.sum,
        };
        match &self.verification {
            Verification::Tags { nonces, tags } => {
                let challenge =
                    Challenge::new(subject, membership, &self.certificate, nonces, known)?;
                let total = total_of_tags(subject, membership, &challenge, survivors, tags)?;
                let mut product = challenge.inner_product(&self.plan, &self.cohort.digest)?;
                sum.for_each_chunk(&self.plan, |index, words| product.add_chunk(index, words))?;
                if product.finish_within_range() == Some(total) {
                    Ok(VerifiedBy::Tags)
                } else {
                    Err(Fault::Unverified)
                }
            }
            Verification::Replay { cover, replayed } => {
                verify_replays(subject, membership, survivors, *cover, replayed)?;
                Ok(VerifiedBy::Replay)
            }
        }
    }
}
