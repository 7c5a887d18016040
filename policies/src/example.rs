// SPDX-License-Identifier: Apache-2.0

//! The examples inside a policy: tests that its author wrote beside the rules.

use std::collections::BTreeSet;
use std::fmt;

use crate::{Condition, Decision, Example, Expected, Policy, Term, decide};

/// How one example was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleOutcome {
    /// The example's name.
    pub name: String,
    /// How it must be decided.
    pub expected: Expected,
    /// How it is decided.
    pub decision: Decision,
}

impl ExampleOutcome {
    /// Whether the decision is the expected one: for a refusal with `because`, for exactly those reasons.
    pub fn passed(&self) -> bool {
        match (&self.expected, &self.decision) {
            (Expected::Permit, Decision::Permit(_))
            | (Expected::Refuse { because: None }, Decision::Refuse(_)) => true,
            (
                Expected::Refuse {
                    because: Some(because),
                },
                Decision::Refuse(refusal),
            ) => because.iter().copied().collect::<BTreeSet<_>>() == terms(&refusal.conditions),
            (Expected::Permit, Decision::Refuse(_))
            | (Expected::Refuse { .. }, Decision::Permit(_)) => false,
        }
    }
}

impl fmt::Display for ExampleOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` ", self.name)?;
        let expected = match &self.expected {
            Expected::Permit => "permitted".to_owned(),
            Expected::Refuse { because: None } => "refused".to_owned(),
            Expected::Refuse {
                because: Some(because),
            } => {
                format!(
                    "refused because of {}",
                    listed(because.iter().copied().collect())
                )
            }
        };
        match (&self.decision, self.passed()) {
            (_, true) => write!(formatter, "is {expected}, as expected"),
            (Decision::Permit(permit), false) => {
                write!(formatter, "should be {expected}, but is {permit}")
            }
            (Decision::Refuse(refusal), false) => {
                write!(
                    formatter,
                    "should be {expected}, but is refused because of {}: {refusal}",
                    listed(terms(&refusal.conditions))
                )
            }
        }
    }
}

/// Decides every example of a policy.
pub fn run_examples(policy: &Policy) -> Vec<ExampleOutcome> {
    policy
        .examples
        .iter()
        .map(|example| outcome(policy, example))
        .collect()
}

fn outcome(policy: &Policy, example: &Example) -> ExampleOutcome {
    ExampleOutcome {
        name: example.name.clone(),
        expected: example.expected.clone(),
        decision: decide(policy, &example.request),
    }
}

fn terms(conditions: &[Condition]) -> BTreeSet<Term> {
    conditions.iter().map(|condition| condition.term).collect()
}

fn listed(terms: BTreeSet<Term>) -> String {
    let quoted: Vec<String> = terms.iter().map(|term| format!("`{term}`")).collect();
    quoted.join(", ")
}
