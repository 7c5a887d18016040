// SPDX-License-Identifier: Apache-2.0

//! What a decision says to others.

use std::fmt;

use serde::Serialize;

use crate::{Approval, Condition, Grant, Mode, Nearest, Policy, Request, Rule, Term};

/// A permission, with what the audit log cites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permit {
    /// The silo that permits.
    pub silo: String,
    /// The version of its policy.
    pub version: u32,
    /// The grant that permits.
    pub grant: String,
    /// Whether a person must still say yes.
    pub approval: Approval,
    /// The legal basis that the grant states.
    pub basis: Option<String>,
    /// The agreement by which a study without noise is permitted.
    pub agreement: Option<String>,
}

impl Permit {
    pub(super) fn new(policy: &Policy, grant: &Grant, request: &Request) -> Self {
        Self {
            silo: policy.silo.clone(),
            version: policy.version,
            grant: grant.name.clone(),
            approval: grant.approval,
            basis: grant.basis.clone(),
            agreement: match request.mode {
                Mode::None => grant.agreement.clone(),
                Mode::Distributed | Mode::Local => None,
            },
        }
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "permitted by `{}` policy v{}: grant `{}`",
            self.silo, self.version, self.grant
        )?;
        if let Some(agreement) = &self.agreement {
            write!(formatter, ", without noise by agreement {agreement}")?;
        }
        match self.approval {
            Approval::Automatic => Ok(()),
            Approval::Person => formatter.write_str(", once a person approves"),
        }
    }
}

/// A refusal with every failed condition. `Display` is one line and safe for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The silo that refuses.
    pub silo: String,
    /// The version of its policy; `None` when it has none.
    pub version: Option<u32>,
    /// Everything that fails: prohibitions, floor, budget, then the nearest grant.
    pub conditions: Vec<Condition>,
}

impl Refusal {
    pub(super) fn new(policy: &Policy, conditions: Vec<Condition>) -> Self {
        Self {
            silo: policy.silo.clone(),
            version: Some(policy.version),
            conditions,
        }
    }

    /// The answer of a silo that has no policy: it refuses everything.
    pub fn without_policy(silo: &str) -> Self {
        let condition = Condition::new(
            Rule::Default,
            Term::Grant,
            "no policy",
            "this silo has no policy, so everything is refused",
        )
        .nothing("until a policy is installed");
        Self {
            silo: silo.to_owned(),
            version: None,
            conditions: vec![condition],
        }
    }

    /// The failed conditions as they may leave the hospital: no count of patients is in them.
    pub fn conditions_for_others(&self) -> Vec<String> {
        self.conditions.iter().map(Condition::to_string).collect()
    }

    /// The failed conditions for the hospital's own log, counts of patients included.
    pub fn conditions_for_own_log(&self) -> Vec<String> {
        self.conditions
            .iter()
            .map(Condition::text_for_own_log)
            .collect()
    }

    /// The nearest study that would be permitted: the changes to make, or why there is none.
    pub fn nearest_permitted(&self) -> String {
        let (mut changes, mut obstacles): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for condition in &self.conditions {
            let (list, text) = match &condition.nearest {
                Nearest::Change(change) => (&mut changes, change),
                Nearest::Nothing(because) => (&mut obstacles, because),
            };
            if !list.contains(&text.as_str()) {
                list.push(text);
            }
        }
        if obstacles.is_empty() {
            changes.join(", ")
        } else {
            format!("none {}", obstacles.join(" and "))
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "refused by `{}`", self.silo)?;
        if let Some(version) = self.version {
            write!(formatter, " policy v{version}")?;
        }
        let mut said: Option<&Rule> = None;
        for condition in &self.conditions {
            // One rule is named once, before the first of its conditions.
            let repeated = said == Some(&condition.rule);
            match (said, repeated) {
                (None, _) => write!(formatter, ": {condition}")?,
                (Some(_), true) => write!(formatter, ", {}", condition.statement())?,
                (Some(_), false) => write!(formatter, "; {condition}")?,
            }
            said = Some(&condition.rule);
        }
        write!(
            formatter,
            "; nearest permitted: {}",
            self.nearest_permitted()
        )
    }
}
