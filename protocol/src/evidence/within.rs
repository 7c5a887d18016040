// SPDX-License-Identifier: Apache-2.0
//! Charges about an attempt's books, cohort or certificate, which the trail brings.
//!
//! INVARIANT: an honest silo signs under one K, one D and one X in an attempt, so no trail but its own fits its words.

use super::judging::Case;
use super::trail::Trail;
use super::{EvidenceFault, Judgement};
use crate::book::Cohort;
use crate::challenge::opened_nonce;
use crate::coordinator::is_good_reveal;
use crate::deal::Combiner;
use crate::envelope::{Envelope, Sender};
use crate::fault::Fault;
use crate::id::SiloName;
use crate::mask_job::{chunk_digest, upload_root};
use crate::message::{RevealedShare, SiloMessage};
use crate::round_plan::RoundPlan;
use crate::unmask::seed_is_committed;
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_crypto::shamir::Share;
use std::collections::BTreeSet;

impl Case<'_> {
    pub(super) fn bad_reveal(&self, reveal: &Envelope) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (keys, deals, cohort) = trail.cohort()?;
        let survivors = trail.survivors(&cohort)?;
        // Without it, a coordinator could show other survivors than it had shown to the accused.
        trail.certificate(&cohort, &survivors)?;
        let (silo, message) = self.within(&trail.plan, &cohort, reveal)?;
        let SiloMessage::Reveal { shares } = message else {
            return Err(EvidenceFault::NotShown);
        };
        let good = is_good_reveal(&keys, &deals, &cohort, &survivors, &silo, &shares);
        if good || !survivors.contains(&silo) {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::proven(trail.plan.id))
    }

    pub(super) fn bad_deal(
        &self,
        shares: &[(SiloName, RevealedShare)],
    ) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (keys, deals) = trail.books()?;
        let Sender::Silo(dealer) = &self.evidence.accused else {
            return Err(EvidenceFault::OtherSender);
        };
        let place = keys.position(dealer).and_then(|at| u32::try_from(at).ok());
        let kind = shares.first().map(|(_, share)| share.kind);
        let (Some(place), Some(kind)) = (place, kind) else {
            return Err(EvidenceFault::NotShown);
        };
        let dealt = |(recipient, share): &(SiloName, RevealedShare)| {
            share.dealer == place
                && share.kind == kind
                && keys.share_is_dealt(&deals, recipient, share)
        };
        let recipients: BTreeSet<&SiloName> = shares.iter().map(|(silo, _)| silo).collect();
        let threshold = trail.plan.thresholds.threshold;
        // SECURITY: of fewer, or of one twice, every dealer's secret comes out wrong.
        let enough =
            u32::try_from(shares.len()) == Ok(threshold) && recipients.len() == shares.len();
        if !enough || !shares.iter().all(dealt) {
            return Err(EvidenceFault::NotShown);
        }
        let combined: Vec<Share> = shares
            .iter()
            .filter_map(|(_, share)| Share::from_bytes(&share.share).ok())
            .collect();
        let secret = Combiner::new(threshold, keys.entries.len()).combine(&combined);
        if secret.is_some_and(|secret| seed_is_committed(&keys, &deals, dealer, kind, &secret)) {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::proven(trail.plan.id))
    }

    pub(super) fn bad_length(&self, signed: &Envelope) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (_, _, cohort) = trail.cohort()?;
        let (_, message) = self.within(&trail.plan, &cohort, signed)?;
        let SiloMessage::MaskedInput { length, .. } = message else {
            return Err(EvidenceFault::NotShown);
        };
        if length == trail.plan.packed_length() {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::proven(trail.plan.id))
    }

    pub(super) fn not_packed(
        &self,
        signed: &Envelope,
        digests: &[Digest],
        index: u64,
        chunk: &[u8],
    ) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (_, _, cohort) = trail.cohort()?;
        let plan = &trail.plan;
        let (_, message) = self.within(plan, &cohort, signed)?;
        let SiloMessage::MaskedInput { root, .. } = message else {
            return Err(EvidenceFault::NotShown);
        };
        let listed = usize::try_from(index).ok().and_then(|at| digests.get(at));
        let under_root = u64::try_from(digests.len()) == Ok(plan.chunk_count())
            && upload_root(digests) == root
            && listed == Some(&chunk_digest(chunk));
        let word_bits = plan.word_bits().map_err(Fault::UnsafePlan)?;
        if !under_root || packing::check(word_bits, chunk, plan.fields_in_chunk(index)).is_ok() {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::proven(plan.id))
    }

    pub(super) fn other_vote(&self, vote: &Envelope) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (_, _, cohort) = trail.cohort()?;
        let proposed = trail.survivors(&cohort)?;
        let (silo, message) = self.within(&trail.plan, &cohort, vote)?;
        let SiloMessage::Vote { survivors, .. } = message else {
            return Err(EvidenceFault::NotShown);
        };
        if survivors == proposed.digest && proposed.contains(&silo) {
            return Err(EvidenceFault::NotShown);
        }
        Ok(Judgement::alleged(
            trail.plan.id,
            "a proposal is the coordinator's, and it may have shown the silo another one",
        ))
    }

    pub(super) fn wrong_nonce(
        &self,
        nonce: &Envelope,
        logged: Option<&Digest>,
    ) -> Result<Judgement, EvidenceFault> {
        let trail = self.trail()?;
        let (_, _, cohort) = trail.cohort()?;
        let survivors = trail.survivors(&cohort)?;
        let certificate = trail.certificate(&cohort, &survivors)?;
        let (silo, message) = self.within(&trail.plan, &cohort, nonce)?;
        let SiloMessage::Nonce { sum, .. } = &message else {
            return Err(EvidenceFault::NotShown);
        };
        let id = trail.plan.id;
        if certificate.nonce_commitment(&silo).is_none() {
            return Err(EvidenceFault::NotShown);
        }
        // Held against the sum that it names itself: so nothing but the nonce can be wrong.
        if opened_nonce(id, &certificate, sum, &silo, &message).is_err() {
            return Ok(Judgement::proven(id));
        }
        // A silo answers only for a sum that a quorum has logged, and a log holds one sum of an attempt.
        match logged {
            Some(logged) if logged != sum => Ok(Judgement::proven(id)),
            Some(_) => Err(EvidenceFault::NotShown),
            None => Ok(Judgement::alleged(
                id,
                "the log at hand holds no sum of this attempt",
            )),
        }
    }

    fn trail(&self) -> Result<Trail<'_>, EvidenceFault> {
        Trail::read(&self.evidence.trail, self.membership)
    }

    /// A message of the accused under X: of this plan, these books and this cohort.
    fn within(
        &self,
        plan: &RoundPlan,
        cohort: &Cohort,
        envelope: &Envelope,
    ) -> Result<(SiloName, SiloMessage), EvidenceFault> {
        let (silo, body) = self.own_words(envelope)?;
        if body.id != plan.id || body.transcript != cohort.digest {
            let message = body.message.name();
            return Err(Fault::OtherTranscript { message }.into());
        }
        Ok((silo, body.message))
    }
}
