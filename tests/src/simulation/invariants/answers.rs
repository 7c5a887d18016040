// SPDX-License-Identifier: Apache-2.0
//! What silos answer, what they accuse each other of, and what the log holds before it.

use super::super::shared_log::{Entry, SharedLog};
use super::super::study::Study;
use super::{Invariant, Violation};
use consilium_crypto::label::Label;
use consilium_protocol::{AttemptId, Delivery, Envelope, Fault, RecordKind, Sender, SiloName};
use std::collections::{BTreeMap, BTreeSet};

/// Every answer that ever left a silo.
#[derive(Debug, Default)]
pub(super) struct Answers {
    given: BTreeMap<(SiloName, AttemptId, &'static str), Delivery>,
    sat_out: BTreeSet<(SiloName, AttemptId)>,
}

impl Answers {
    /// Each question has one answer, so that an answer's name and attempt say which question it belongs to.
    pub(super) fn sent(&mut self, silo: &SiloName, delivery: &Delivery) -> Result<(), Violation> {
        let envelope = &delivery.envelope;
        let named = envelope.peek_attempt().zip(envelope.peek_name());
        let Some((id, name)) = named else {
            let detail = format!("{silo} sends what cannot be read");
            return Err(Violation::new(Invariant::Simulator, detail));
        };
        match self.given.get(&(silo.clone(), id, name)) {
            Some(first) if first == delivery => Ok(()),
            Some(_) => {
                let detail = format!("{silo} sends another {name} in attempt {id}");
                Err(Violation::new(Invariant::OneAnswer, detail))
            }
            None if self.sat_out.contains(&(silo.clone(), id)) => {
                let detail = format!("{silo} sat attempt {id} out and sends {name}");
                Err(Violation::new(Invariant::SatOutIsSilent, detail))
            }
            None => {
                self.given
                    .insert((silo.clone(), id, name), delivery.clone());
                Ok(())
            }
        }
    }

    pub(super) fn sat_out(&mut self, silo: &SiloName, id: AttemptId) {
        self.sat_out.insert((silo.clone(), id));
    }
}

/// Whether a silo's fault says that somebody lied, and not that it came late or lost something itself.
pub(super) fn accuses(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Abandoned(_)
            | Fault::SecretsGone(_)
            | Fault::LeftOut { .. }
            | Fault::StaleAttempt { .. }
            | Fault::StartNotLogged
            | Fault::ReleaseNotLogged
    )
}

/// Evidence is signed under the roster; two different messages are both there.
pub(super) fn evidence_holds(
    study: &Study,
    silo: &SiloName,
    fault: &Fault,
    evidence: &[Envelope],
) -> Result<(), Violation> {
    let enough = match fault {
        Fault::Equivocation { .. } => evidence.len() >= 2 && evidence.first() != evidence.last(),
        _ => !evidence.is_empty(),
    };
    if enough && evidence.iter().all(|envelope| is_signed(study, envelope)) {
        return Ok(());
    }
    let count = evidence.len();
    let detail = format!("{silo} aborts with {count} envelopes of evidence: {fault}");
    Err(Violation::new(Invariant::EvidenceNamed, detail))
}

fn is_signed(study: &Study, envelope: &Envelope) -> bool {
    let Envelope {
        sender,
        body,
        signature,
    } = envelope;
    let membership = &study.membership;
    match sender {
        Sender::Coordinator => membership
            .coordinator
            .verify(Label::CoordinatorMessage, &[body], signature)
            .is_ok(),
        Sender::Silo(silo) => membership.silos.get(silo).is_some_and(|key| {
            let parts: [&[u8]; 2] = [silo.as_str().as_bytes(), body];
            key.verify(Label::SiloMessage, &parts, signature).is_ok()
        }),
    }
}

/// Whether the log held what belongs to a message when it was sent.
pub(super) fn recorded(
    log: &SharedLog,
    logged: usize,
    to: &SiloName,
    delivery: &Delivery,
) -> Result<(), Violation> {
    let envelope = &delivery.envelope;
    let Some((id, name)) = envelope.peek_attempt().zip(envelope.peek_name()) else {
        return Ok(());
    };
    let kind = match name {
        "Open" => Some(RecordKind::Opened),
        "KeyBook" => Some(RecordKind::KeyBook),
        "DealBook" => Some(RecordKind::DealBook),
        "CohortFreeze" => Some(RecordKind::Frozen),
        "SurvivorProposal" => Some(RecordKind::Proposed),
        "Certificate" => Some(RecordKind::Certified),
        "Replay" => Some(RecordKind::Replayed),
        "Release" => Some(RecordKind::Released),
        "Abandon" => Some(RecordKind::Abandoned),
        _ => None,
    };
    let belongs = |entry: &Entry| match entry {
        Entry::Record {
            id: attempt,
            kind: written,
            ..
        } => *attempt == id && Some(*written) == kind,
        Entry::SumCommitted { id: attempt, .. } => {
            *attempt == id && ["SumCommitment", "Challenge"].contains(&name)
        }
        Entry::Started { .. } | Entry::Accepted { .. } => false,
    };
    if log.newest_first(logged).any(belongs) {
        return Ok(());
    }
    let detail = format!("{name} of attempt {id} is sent to {to} before its entry is in the log");
    Err(Violation::new(Invariant::RecordedBeforeSent, detail))
}
