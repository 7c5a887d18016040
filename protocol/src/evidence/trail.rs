// SPDX-License-Identifier: Apache-2.0
//! The attempt up to the certificate, rebuilt from what its silos signed.
//!
//! Every list is built as silos build it, so that K, D and X come out of it: what the accused signed names one of them, and
//! so this history and no other.

use super::EvidenceFault;
use crate::book::{Cohort, DealBook, KeyBook, Survivors};
use crate::certificate::Certificate;
use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::membership::Membership;
use crate::message::CoordinatorMessage;
use crate::round_plan::RoundPlan;
use crate::signed_list::Known;

/// What a trail holds, each list if it had come to that.
pub(super) struct Trail<'a> {
    membership: &'a Membership,
    pub(super) plan: RoundPlan,
    advertisements: Option<Vec<Envelope>>,
    deals: Option<Vec<Envelope>>,
    freeze: Option<(Vec<Envelope>, Vec<Envelope>)>,
    uploads: Option<Vec<Envelope>>,
    votes: Option<Vec<Envelope>>,
}

/// Whether a message of the coordinator is part of a trail.
pub(super) fn belongs(envelope: &Envelope) -> bool {
    const STEPS: [&str; 6] = [
        "Open",
        "KeyBook",
        "DealBook",
        "CohortFreeze",
        "SurvivorProposal",
        "Certificate",
    ];
    let name = envelope.peek_name();
    name.is_some_and(|name| STEPS.contains(&name))
}

impl<'a> Trail<'a> {
    /// Reads the coordinator's messages, each under its signature.
    pub(super) fn read(
        envelopes: &[Envelope],
        membership: &'a Membership,
    ) -> Result<Self, EvidenceFault> {
        let mut trail: Option<Self> = None;
        for envelope in envelopes {
            let body = envelope.verify_coordinator(membership)?;
            let other = Fault::OtherTranscript {
                message: body.message.name(),
            };
            if let CoordinatorMessage::Open { plan } = body.message {
                let of_roster =
                    plan.roster_root == membership.roster_root && plan.id.epoch == membership.epoch;
                if body.id != plan.id || !of_roster || trail.is_some() {
                    return Err(other.into());
                }
                trail = Some(Self {
                    membership,
                    plan: *plan,
                    advertisements: None,
                    deals: None,
                    freeze: None,
                    uploads: None,
                    votes: None,
                });
                continue;
            }
            let trail = trail.as_mut().ok_or(EvidenceFault::Lacks("Open"))?;
            if body.id != trail.plan.id {
                return Err(other.into());
            }
            match body.message {
                CoordinatorMessage::KeyBook { advertisements } => {
                    trail.advertisements = Some(advertisements);
                }
                CoordinatorMessage::DealBook { deals } => trail.deals = Some(deals),
                CoordinatorMessage::CohortFreeze { receipts, ready } => {
                    trail.freeze = Some((receipts, ready));
                }
                CoordinatorMessage::SurvivorProposal { uploads } => trail.uploads = Some(uploads),
                CoordinatorMessage::Certificate { votes } => trail.votes = Some(votes),
                CoordinatorMessage::Open { .. }
                | CoordinatorMessage::SumCommitment { .. }
                | CoordinatorMessage::Challenge { .. }
                | CoordinatorMessage::Replay(_)
                | CoordinatorMessage::Release(_)
                | CoordinatorMessage::Abandon { .. } => {}
            }
        }
        trail.ok_or(EvidenceFault::Lacks("Open"))
    }

    /// K and D.
    pub(super) fn books(&self) -> Result<(KeyBook, DealBook), EvidenceFault> {
        let advertisements = present(&self.advertisements, "KeyBook")?;
        let keys = KeyBook::new(&self.plan, self.membership, advertisements)?;
        let deals = present(&self.deals, "DealBook")?;
        let deals = DealBook::new(&self.plan, self.membership, &keys, deals)?;
        Ok((keys, deals))
    }

    /// X.
    pub(super) fn cohort(&self) -> Result<(KeyBook, DealBook, Cohort), EvidenceFault> {
        let (keys, deals) = self.books()?;
        let (receipts, ready) = self
            .freeze
            .as_ref()
            .ok_or(EvidenceFault::Lacks("CohortFreeze"))?;
        let membership = self.membership;
        let cohort = Cohort::new(&self.plan, membership, &keys, &deals, receipts, ready)?;
        Ok((keys, deals, cohort))
    }

    /// Who was proposed.
    pub(super) fn survivors(&self, cohort: &Cohort) -> Result<Survivors, EvidenceFault> {
        let uploads = present(&self.uploads, "SurvivorProposal")?;
        let survivors = Survivors::new(&self.plan, self.membership, cohort, uploads)?;
        Ok(survivors)
    }

    /// A quorum's votes for them: with no more colluders than the roster assumes, for nobody else.
    pub(super) fn certificate(
        &self,
        cohort: &Cohort,
        survivors: &Survivors,
    ) -> Result<Certificate, EvidenceFault> {
        let votes = present(&self.votes, "Certificate")?;
        let (plan, membership, known) = (&self.plan, self.membership, Known::new());
        let certificate = Certificate::new(plan, membership, cohort, survivors, votes, &known)?;
        Ok(certificate)
    }
}

fn present<'l>(
    list: &'l Option<Vec<Envelope>>,
    name: &'static str,
) -> Result<&'l [Envelope], EvidenceFault> {
    list.as_deref().ok_or(EvidenceFault::Lacks(name))
}
