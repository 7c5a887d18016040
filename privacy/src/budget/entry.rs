// SPDX-License-Identifier: Apache-2.0
//! What is written into a ledger.

use std::collections::BTreeMap;

use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Budget, DeltaAmount, RdpAmount, TopUp};
use crate::accountant::{Job, RdpCurve};
use crate::noise_plan::{NoisePlan, NoisePlanFault, View};

/// What one attempt of a study costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// The divergences of one attempt.
    pub curve: RdpCurve,
    /// A probability on top; nothing for noise as it should be.
    pub delta: DeltaAmount,
    /// How far what is sampled is from noise as it should be, in total variation: costs `1 + e^epsilon` times itself
    /// of delta, at the epsilon of the budget.
    pub distance: DeltaAmount,
    /// Against whom the price holds.
    pub view: View,
}

impl Charge {
    /// One attempt of a plan, as a view faces it; [`View::Colluders`] unless an officer chose otherwise.
    pub fn of_plan(plan: &NoisePlan, view: View, dimension: u64) -> Result<Self, NoisePlanFault> {
        let job = Job::of_plan(plan, view, dimension, 1)?;
        Ok(Self {
            distance: plan.distance_from_exact(dimension).charged(),
            view,
            ..Self::exact(RdpCurve::of_job(&job)?)
        })
    }

    /// One attempt with exact noise.
    #[must_use]
    pub fn exact(curve: RdpCurve) -> Self {
        Self {
            curve,
            delta: DeltaAmount::ZERO,
            distance: DeltaAmount::ZERO,
            view: View::Colluders,
        }
    }
}

/// One line of a ledger. The names are the stored form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LedgerEntry {
    /// The ledger belongs to one installation; if this stands in it at all, it is the first entry.
    Begun {
        /// The installation's name, which no backup holds.
        instance: Digest,
    },
    /// A data set got its budget.
    Created {
        /// The name of the data set.
        data_set: String,
        /// Its budget.
        budget: Budget,
    },
    /// Two officers raised a budget.
    ToppedUp(TopUp),
    /// The worst case of a study was set aside, when it was approved.
    Reserved {
        /// The data set.
        data_set: String,
        /// The study.
        job: String,
        /// Rounds and spare attempts.
        attempts: u32,
        /// The divergence of one attempt at the order of the budget: the one number that decides.
        cost: RdpAmount,
        /// The linear charge of one attempt.
        delta: DeltaAmount,
        /// The divergences of one attempt at all orders, for later auditors.
        curve: BTreeMap<u32, RdpAmount>,
        /// Against whom the price holds; where it is not said, against colluders.
        #[serde(default, skip_serializing_if = "is_usual")]
        view: View,
    },
    /// An attempt was charged, before its masked update left the silo. Spent for good.
    Committed {
        /// The study.
        job: String,
        /// The attempt.
        attempt: String,
    },
    /// The study ended: attempts never committed are free again.
    Released {
        /// The study.
        job: String,
    },
}

/// For the serialiser: what is usual is not written, so that entries keep their bytes.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that the serialiser calls"
)]
fn is_usual(view: &View) -> bool {
    *view == View::Colluders
}
