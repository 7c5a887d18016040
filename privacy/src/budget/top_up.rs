// SPDX-License-Identifier: Apache-2.0
//! More budget for a data set: what two officers of the hospital sign, and what is written of it.
//!
//! Epsilon rises; the order and delta stay as they were created, so the capacity `B(a*)` rises by exactly as much and all
//! earlier divergences keep their meaning. What earlier charges took of delta was priced by `1 + e^epsilon`, so it is priced
//! again: a probability that stood beside it becomes dearer with it, which is too much and never too little.

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Budget, BudgetRefusal, DeltaAmount, RdpAmount};
use crate::accountant::price_of_distance;
use crate::loss::Epsilon;

/// A budget that grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// The data set.
    pub data_set: String,
    /// The epsilon of its budget before.
    pub from: Epsilon,
    /// The epsilon of its budget afterwards.
    pub to: Epsilon,
    /// Why, in one line.
    pub reason: String,
    /// Who signed [`TopUp::statement`]: two officers.
    pub signed: Vec<OfficerSignature>,
}

/// One officer's signature. Its form is that of the keeper of the file, who verifies it before it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficerSignature {
    /// The officer's name.
    pub officer: String,
    /// The officer's public key.
    pub key: String,
    /// The signature.
    pub signature: String,
}

impl TopUp {
    /// The bytes that both officers sign.
    ///
    /// SECURITY: they name the installation and the epsilon before and after, so no signature serves a second time or
    /// at another hospital.
    #[must_use]
    pub fn statement(&self, installation: &Digest) -> String {
        format!(
            "consilium privacy budget\ninstallation {installation}\ndata set {}\nepsilon from {} to {}\nreason {}\n",
            self.data_set, self.from, self.to, self.reason
        )
    }

    /// By how much the capacity rises; rounded down.
    #[must_use]
    pub fn added(&self) -> RdpAmount {
        RdpAmount::rounded_down(self.to.value() - self.from.value())
    }

    /// What a charge on delta costs afterwards; rounded up.
    pub(super) fn repriced(&self, delta: DeltaAmount) -> DeltaAmount {
        if delta == DeltaAmount::ZERO {
            return DeltaAmount::ZERO;
        }
        let ratio = price_of_distance(self.to) / price_of_distance(self.from);
        DeltaAmount::rounded_up(delta.approximate() * ratio).max(delta)
    }

    pub(super) fn check(&self, budget: &Budget) -> Result<(), BudgetRefusal> {
        let unfit = |reason| {
            Err(BudgetRefusal::TopUp {
                data_set: self.data_set.clone(),
                reason,
            })
        };
        if self.from != budget.epsilon {
            return unfit("it starts from another epsilon than the budget has");
        }
        if self.added() == RdpAmount::ZERO {
            return unfit("its epsilon is not above the present one");
        }
        let one_line = |text: &str| {
            (1..=LONGEST_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        if !one_line(&self.reason) || !one_line(&self.data_set) {
            return unfit("its reason must be one line of 1 to 500 characters");
        }
        let officers: BTreeSet<&str> = self.signed.iter().map(|by| by.officer.as_str()).collect();
        let keys: BTreeSet<&str> = self.signed.iter().map(|by| by.key.as_str()).collect();
        if self.signed.len() != OFFICERS || officers.len() != OFFICERS || keys.len() != OFFICERS {
            return unfit("it needs the signatures of two different officers with different keys");
        }
        Ok(())
    }
}

/// One may be coerced or careless.
const OFFICERS: usize = 2;
const LONGEST_TEXT: usize = 500;
