// SPDX-License-Identifier: Apache-2.0
//! A released sum and its trail, checked alone: by a silo that took part and by one that missed it.

use crate::book::{Cohort, Survivors, cohort_digest};
use crate::envelope::{Body, Delivery};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::log_verifier::LogVerifier;
use crate::membership::Membership;
use crate::message::{CoordinatorMessage, Release};
use crate::round_plan::RoundPlan;
use crate::unmask::sum_digest;
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
    /// The sum: `dimension` words modulo 2^bits.
    pub sum: Vec<u64>,
}

/// Verifies a Release under the pinned roster, whatever this silo saw of its attempt.
///
/// # Errors
/// [`Fault`] names the first check that fails.
pub fn verify_release(
    membership: &Membership,
    log: &dyn LogVerifier,
    delivery: &Delivery,
    sum: Vec<u64>,
) -> Result<VerifiedSum, Fault> {
    verify_uploads(membership, log, delivery, sum).map(|(verified, _)| verified)
}

/// As [`verify_release`], with the uploads that the certificate names.
pub(crate) fn verify_uploads(
    membership: &Membership,
    log: &dyn LogVerifier,
    delivery: &Delivery,
    sum: Vec<u64>,
) -> Result<(VerifiedSum, Survivors), Fault> {
    let body = delivery.envelope.verify_coordinator(membership)?;
    let Body {
        id,
        transcript,
        message: CoordinatorMessage::Release(release),
    } = body
    else {
        return Err(Fault::Malformed("something else than a Release"));
    };
    let Release {
        plan,
        key_book,
        deal_book,
        cohort,
        survivors,
        votes,
        sum: digest,
        seeds: _,
    } = *release;
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
    survivors.verify_certificate(&plan, membership, &cohort, &votes)?;
    if sum_digest(&plan, &cohort.digest, &sum)? != digest {
        return Err(Fault::OtherSum);
    }
    let proof = delivery.attachments.first().map_or(&[][..], Vec::as_slice);
    if !log.sum_is_logged(id, &digest, proof) {
        return Err(Fault::SumNotLogged);
    }
    let names = survivors.uploads.iter().map(|(silo, _)| silo.clone());
    let verified = VerifiedSum {
        plan,
        cohort_digest: cohort.digest,
        survivors: names.collect(),
        digest,
        sum,
    };
    Ok((verified, survivors))
}
