// SPDX-License-Identifier: Apache-2.0

//! The facts about a study that a policy may ask for.

use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;
use serde::{Deserialize, Serialize};

use crate::{Date, Isolation, Mode};

/// One study, as it asks one silo. The caller has already verified the researcher's signature: `who` is a
/// fact, not a claim.
///
/// SECURITY: serialised, a request holds the count of patients. It belongs into the hospital's own journal only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The researcher, by the name in the roster.
    pub who: String,
    /// The data set, by the name under which silos register it.
    pub data: String,
    /// The data set whose budget pays, where it is another: the one that this one continues at this silo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<String>,
    /// The purpose that the study states.
    pub purpose: String,
    /// The legal basis, if the study states one.
    pub basis: Option<String>,
    /// The reference of the ethics approval, if the study states one.
    pub ethics: Option<String>,
    /// The kind of analysis, as the study file spells it.
    pub analysis: String,
    /// The digest of the training plan; `None` for the built-in trainers.
    pub plan: Option<String>,
    /// How single patients are protected.
    pub mode: Mode,
    /// Whom the noise hides, if there is noise.
    #[serde(default)]
    pub unit: Unit,
    /// The epsilon that the study asks for.
    pub epsilon: Option<Epsilon>,
    /// The delta that the study asks for.
    pub delta: Option<Delta>,
    /// The public nominal number of patients over all silos, never a count.
    pub expected_patients: Option<u64>,
    /// How many silos the study's noise counts as knowing one patient, if there is noise.
    #[serde(default = "one")]
    pub silos_per_patient: u32,
    /// The most rounds that the study may run, spare attempts included.
    pub rounds: u32,
    /// How many silos are invited.
    pub silos: u32,
    /// The fewest silos over which a sum of this study may be released.
    pub min_survivors: u32,
    /// The isolation that this silo's host reaches.
    pub isolation: Isolation,
    /// The date of the decision, in UTC.
    pub date: Date,
    /// The hour of the decision, 0 to 23, in UTC.
    pub hour: u8,
    /// What this silo's ledger says about the study.
    pub budget: BudgetUse,
    /// How many patients the data set was found to hold at this silo.
    pub patients: PatientCount,
}

impl Request {
    /// The data set whose budget pays.
    pub fn budgeted_as(&self) -> &str {
        self.lineage.as_ref().unwrap_or(&self.data)
    }
}

/// Of a request in a journal from before it was asked.
fn one() -> u32 {
    1
}

/// What a study takes from the privacy budget of the data set, in shares of the whole budget (0 to 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetUse {
    /// Nothing is charged: the study is not noised.
    Uncharged,
    /// The worst case that would be reserved, and what is not reserved yet.
    Share {
        /// The share that the study needs.
        needed: f64,
        /// The share that is left.
        left: f64,
    },
    /// A dry run away from the ledger: assume that enough is left.
    Assumed,
}

/// How many patients a data set holds, as it was found at registration: a decision that counted them anew would tell
/// something about them. Debug output withholds the number: it must reach no shared log.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatientCount {
    /// At least so many were counted when the data set was registered.
    Registered(u64),
    /// The silo has no data set of that name.
    NotRegistered,
    /// A dry run away from the data: assume that there are enough.
    Assumed,
}

impl std::fmt::Debug for PatientCount {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Registered(_) => "Registered(..)",
            Self::NotRegistered => "NotRegistered",
            Self::Assumed => "Assumed",
        })
    }
}
