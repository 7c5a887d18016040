// SPDX-License-Identifier: Apache-2.0

//! The decision: permitted by one grant, or refused with every failed condition.
//!
//! A request is permitted when no `[[never]]` applies, the floor and the budget hold, and at least one grant
//! holds in all its terms. Everything is evaluated every time; nothing ends at the first failure.

mod budget;
mod floor;
mod grant;
mod never;
mod refusal;

pub use refusal::{Permit, Refusal};

use serde::Serialize;

use crate::{Approval, Condition, Policy, Request, Rule, Term};

/// What a policy answers to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// The study may run here.
    Permit(Permit),
    /// The study may not run here.
    Refuse(Refusal),
}

impl Decision {
    /// Whether the study may run here.
    pub fn is_permit(&self) -> bool {
        match self {
            Self::Permit(_) => true,
            Self::Refuse(_) => false,
        }
    }
}

/// A decision with what each grant found, for the officer at the hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Every grant in the order of the file.
    pub grants: Vec<GrantFinding>,
}

/// The conditions of one grant that a request does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantFinding {
    /// The grant.
    pub grant: String,
    /// What fails; empty when the grant permits the request.
    pub failed: Vec<Condition>,
}

/// Decides a request. Of several grants that permit it, the one cited is the first that needs no person's
/// approval, otherwise the first; of several that do not, the nearest is the one whose failed conditions are
/// given. So a further grant never takes a permission away.
pub fn decide(policy: &Policy, request: &Request) -> Decision {
    explain(policy, request).decision
}

/// Decides a request and shows what each grant found: the same engine as [`decide`].
pub fn explain(policy: &Policy, request: &Request) -> Explanation {
    let grants: Vec<GrantFinding> = policy
        .grants
        .iter()
        .map(|grant| GrantFinding {
            grant: grant.name.clone(),
            failed: grant::failed(grant, request),
        })
        .collect();
    let mut conditions = never::failed(&policy.nevers, request);
    conditions.extend(floor::failed(&policy.floor, request));
    conditions.extend(budget::failed(policy, request));
    let permitting = || {
        policy
            .grants
            .iter()
            .zip(&grants)
            .filter(|(_, finding)| finding.failed.is_empty())
    };
    let automatic = permitting().find(|(grant, _)| grant.approval == Approval::Automatic);
    let decision = match automatic.or_else(|| permitting().next()) {
        Some((grant, _)) if conditions.is_empty() => {
            Decision::Permit(Permit::new(policy, grant, request))
        }
        Some(_) => Decision::Refuse(Refusal::new(policy, conditions)),
        None => {
            conditions.extend(nearest_grant(&grants));
            Decision::Refuse(Refusal::new(policy, conditions))
        }
    };
    Explanation { decision, grants }
}

// A grant for other data is never the nearest while there is one for this data.
fn nearest_grant(grants: &[GrantFinding]) -> Vec<Condition> {
    let distance = |finding: &&GrantFinding| {
        let other_data = finding
            .failed
            .iter()
            .any(|condition| condition.term == Term::Data);
        (other_data, finding.failed.len())
    };
    match grants.iter().min_by_key(distance) {
        Some(nearest) => nearest.failed.clone(),
        None => vec![
            Condition::new(
                Rule::Default,
                Term::Grant,
                "no grant",
                "no grant permits anything",
            )
            .nothing("until a grant is written"),
        ],
    }
}
