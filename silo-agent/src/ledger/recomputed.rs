// SPDX-License-Identifier: Apache-2.0
//! The ledger once more, from the shared log: what this silo must have been charged for, whatever its own file says.
//!
//! An attempt is charged when a quorum certified this silo among the survivors, for its vector was in the coordinator's
//! hands by then; the price follows from the bytes of the study that the researcher signed. The ledger may hold more: an
//! upload that no quorum certified stays charged and leaves no certificate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use consilium_audit::entry::{ActorRole, Entry, EventKind};
use consilium_crypto::digest::Digest;
use consilium_learning::model::Stage;
use consilium_privacy::budget::{self, Account, Charge, DeltaAmount, Job, RdpAmount};
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{AttemptId, Membership};

use super::{job_name, price};
use crate::study_terms::StudyTerms;

/// What the shared log says of one study.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Charged {
    /// The digest of the study's bytes.
    study: Option<Digest>,
    invited: Vec<String>,
    /// The attempts whose sums hold this silo's vector, each with how many rounds of the study were released before it.
    attempts: BTreeMap<String, u32>,
    released: BTreeSet<u64>,
}

/// Where the ledger and the log differ. Each is a charge that is missing or too low.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Difference {
    /// Nothing was set aside.
    NoReservation { study: String, attempts: usize },
    /// An attempt is not charged.
    NotCharged { study: String, attempt: String },
    /// An attempt costs less than the study's noise says.
    TooCheap {
        study: String,
        charged: RdpAmount,
        due: RdpAmount,
    },
    /// An attempt is recorded as cheaper at an order that does not decide: another order would have, had it been chosen.
    CurveTooLow {
        study: String,
        order: u32,
        recorded: RdpAmount,
        due: RdpAmount,
    },
    /// An attempt takes less of delta than sampled noise costs.
    DeltaTooLow {
        study: String,
        charged: DeltaAmount,
        due: DeltaAmount,
    },
    /// The log lacks what the price follows from.
    NoStudy { study: String },
}

/// What a comparison found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Comparison {
    /// Studies with noise that the log charges this silo for.
    pub(crate) studies: usize,
    /// Their attempts.
    pub(crate) attempts: usize,
    /// What does not agree.
    pub(crate) differences: Vec<Difference>,
}

/// Reads from the log what `silo` is to be charged for.
pub(crate) fn charged(entries: &[Entry], silo: &str) -> BTreeMap<String, Charged> {
    let mut studies: BTreeMap<String, Charged> = BTreeMap::new();
    for Entry { event, .. } in entries {
        let Some(reference) = &event.study else {
            continue;
        };
        let study = studies.entry(reference.id.clone()).or_default();
        if event.kind == EventKind::StudySubmitted {
            study.study = event.references.get("study").copied();
        }
        // In another role it is a finding of the log, and nobody's charge.
        let holds_a_vector = event.actor.role == ActorRole::Coordinator
            && matches!(
                event.kind,
                EventKind::RoundCertified | EventKind::RoundReleased
            );
        let (Some(attempt), Some(aggregation), true) =
            (event.attempt, &event.aggregation, holds_a_vector)
        else {
            continue;
        };
        if aggregation.included.iter().any(|included| included == silo) {
            study.invited.clone_from(&aggregation.invited);
            let id = AttemptId {
                epoch: attempt.epoch,
                round: attempt.round,
                attempt: attempt.attempt,
            };
            let before = study
                .released
                .iter()
                .filter(|round| **round < attempt.round);
            let before = u32::try_from(before.count()).unwrap_or(u32::MAX);
            study.attempts.entry(id.to_string()).or_insert(before);
        }
        if event.kind == EventKind::RoundReleased {
            study.released.insert(attempt.round);
        }
    }
    studies.retain(|_, study| !study.attempts.is_empty());
    studies
}

/// Holds a ledger against what the log says.
pub(crate) fn compare(
    ledger: &budget::Ledger,
    charged: &BTreeMap<String, Charged>,
    study_bytes: impl Fn(&Digest) -> Option<Vec<u8>>,
    membership: &Membership,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (name, due) in charged {
        let study = || name.clone();
        let terms = due
            .study
            .and_then(|digest| study_bytes(&digest))
            .and_then(|bytes| StudyTerms::derive(&bytes, &due.invited, membership).ok());
        let Some(terms) = terms else {
            let difference = Difference::NoStudy { study: study() };
            comparison.differences.push(difference);
            continue;
        };
        if !terms.study.is_noised() {
            continue;
        }
        comparison.studies += 1;
        comparison.attempts += due.attempts.len();
        let rounds = terms.study.rounds.most;
        for stage in [Stage::Training, Stage::Evaluation] {
            // Every round with noise is taken: the evaluation is what follows the last one.
            let is_evaluation =
                |before: u32| before >= rounds && terms.vectors.evaluation.is_some();
            let attempts = due.attempts.iter();
            let attempts: Vec<&str> = attempts
                .filter(|(_, before)| is_evaluation(**before) == (stage == Stage::Evaluation))
                .map(|(attempt, _)| attempt.as_str())
                .collect();
            if let (Some(plan), false) = (terms.vectors.at(stage), attempts.is_empty()) {
                let found = differences(ledger, name, stage, &plan, &attempts);
                comparison.differences.extend(found);
            }
        }
    }
    comparison
}

/// What was recorded of an attempt against its price: at the order that decides, at all others, and in delta.
fn too_cheap(name: &str, job: &Job, account: &Account, charge: &Charge) -> Vec<Difference> {
    let decides = account.budget().order;
    let mut found = Vec::new();
    for (order, divergence) in charge.curve.points() {
        let due = RdpAmount::rounded_up(divergence);
        let recorded = job.curve().get(&order).copied().unwrap_or(RdpAmount::ZERO);
        if order == decides && job.cost() < due {
            found.push(Difference::TooCheap {
                study: name.to_owned(),
                charged: job.cost(),
                due,
            });
        }
        // One line is enough: whoever lowers a curve lowers much of it.
        let told = |difference: &Difference| matches!(difference, Difference::CurveTooLow { .. });
        if order != decides && recorded < due && !found.iter().any(told) {
            found.push(Difference::CurveTooLow {
                study: name.to_owned(),
                order,
                recorded,
                due,
            });
        }
    }
    let due = account.delta_needed(charge);
    if job.delta() < due {
        found.push(Difference::DeltaTooLow {
            study: name.to_owned(),
            charged: job.delta(),
            due,
        });
    }
    found
}

/// Where one job of a study differs from what the log charges it for.
fn differences(
    ledger: &budget::Ledger,
    study: &str,
    stage: Stage,
    plan: &VectorPlan,
    attempts: &[&str],
) -> Vec<Difference> {
    let study_name = || study.to_owned();
    let Some(job) = ledger.job(&job_name(study, stage)) else {
        return vec![Difference::NoReservation {
            study: study_name(),
            attempts: attempts.len(),
        }];
    };
    let committed: BTreeSet<&str> = job.committed().collect();
    let missing = attempts
        .iter()
        .filter(|attempt| !committed.contains(**attempt));
    let mut differences: Vec<Difference> = missing
        .map(|attempt| Difference::NotCharged {
            study: study_name(),
            attempt: (*attempt).to_owned(),
        })
        .collect();
    match (ledger.account(job.data_set()), price(plan, job.view())) {
        (Ok(account), Ok((_, charge))) => {
            differences.extend(too_cheap(study, job, account, &charge));
        }
        _ => differences.push(Difference::NoStudy {
            study: study_name(),
        }),
    }
    differences
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReservation { study, attempts } => write!(
                formatter,
                "study {study} released {attempts} sums with this silo's vector and reserved nothing here"
            ),
            Self::NotCharged { study, attempt } => write!(
                formatter,
                "attempt {attempt} of study {study} holds this silo's vector and is not charged"
            ),
            Self::TooCheap {
                study,
                charged,
                due,
            } => write!(
                formatter,
                "an attempt of study {study} is charged {charged}, its noise costs {due}"
            ),
            Self::CurveTooLow {
                study,
                order,
                recorded,
                due,
            } => write!(
                formatter,
                "an attempt of study {study} is recorded as {recorded} at order {order}, where its noise costs {due}"
            ),
            Self::DeltaTooLow {
                study,
                charged,
                due,
            } => write!(
                formatter,
                "an attempt of study {study} takes {charged} of delta, its noise costs {due}"
            ),
            Self::NoStudy { study } => write!(
                formatter,
                "the log lacks the file of study {study}, so its price is unknown"
            ),
        }
    }
}

#[cfg(test)]
mod evaluated;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
