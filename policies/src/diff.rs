// SPDX-License-Identifier: Apache-2.0

//! What a new version of a policy newly permits and newly refuses, rule by rule.
//!
//! The comparison errs towards loosening: a request that the old version refuses and the new one permits has
//! always a line under `newly_permitted`, but a line there need not have such a request (another rule may
//! still refuse it).

mod floor;
mod grants;

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::Policy;

/// The difference between two versions of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// What the old version refuses and the new one may permit.
    pub newly_permitted: Vec<String>,
    /// What the old version may permit and the new one refuses, or lets wait for a person.
    pub newly_refused: Vec<String>,
    /// Changes that alter no decision: reasons, examples, names.
    pub otherwise: Vec<String>,
}

impl Diff {
    /// Whether the new version may permit anything that the old one refuses.
    pub fn loosens(&self) -> bool {
        !self.newly_permitted.is_empty()
    }

    /// Whether the new version refuses anything that the old one may permit.
    pub fn tightens(&self) -> bool {
        !self.newly_refused.is_empty()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        !self.loosens() && !self.tightens() && self.otherwise.is_empty()
    }

    /// A list that may be longer or shorter: what is added is permitted, what is removed refused.
    fn permitted_list<T: Ord>(&mut self, old: &[T], new: &[T], say: impl Fn(&T) -> String) {
        let (old, new): (BTreeSet<&T>, BTreeSet<&T>) = (old.iter().collect(), new.iter().collect());
        self.newly_permitted
            .extend(new.difference(&old).map(|item| say(item)));
        self.newly_refused
            .extend(old.difference(&new).map(|item| say(item)));
    }

    /// A limit that may rise or fall: `permits` says whether the new value permits more than the old.
    fn limit<T: PartialEq>(
        &mut self,
        old: &T,
        new: &T,
        permits: impl FnOnce(&T, &T) -> bool,
        say: impl FnOnce(&T, &T) -> String,
    ) {
        if old != new {
            let line = say(old, new);
            if permits(old, new) {
                self.newly_permitted.push(line)
            } else {
                self.newly_refused.push(line)
            }
        }
    }

    /// A value replaced by another: the new is permitted, the old refused.
    fn replaced(&mut self, permitted: String, refused: String) {
        self.newly_permitted.push(permitted);
        self.newly_refused.push(refused);
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return formatter.write_str("nothing differs");
        }
        let mut first = true;
        for (head, lines) in [
            ("newly permitted", &self.newly_permitted),
            ("newly refused", &self.newly_refused),
            ("otherwise", &self.otherwise),
        ] {
            if lines.is_empty() {
                continue;
            }
            if !std::mem::take(&mut first) {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{head}:")?;
            for line in lines {
                write!(formatter, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

/// Compares two versions of a policy.
pub fn diff(old: &Policy, new: &Policy) -> Diff {
    let mut diff = Diff::default();
    if old.silo != new.silo {
        diff.otherwise
            .push(format!("the silo is `{}` (was `{}`)", new.silo, old.silo));
    }
    floor::compare(&mut diff, &old.floor, &new.floor);
    floor::compare_budgets(&mut diff, old, new);
    grants::compare(&mut diff, &old.grants, &new.grants);
    grants::compare_nevers(&mut diff, &old.nevers, &new.nevers);
    if old.examples != new.examples {
        diff.otherwise.push("the examples differ".to_owned());
    }
    diff
}
