// SPDX-License-Identifier: Apache-2.0

//! What a policy file says, once it has been read.

mod examples;
mod grants;
mod reader;
mod sections;
mod values;

use std::collections::BTreeMap;

use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::{Unit, View};

use crate::{
    Aggregation, Approval, Date, Hours, InvalidPolicy, Isolation, Mode, Release, Request, Term,
    Word,
};

/// One hospital's policy. A value that exists was read from a file without a fault, its own examples among
/// them.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The silo whose policy it is.
    pub silo: String,
    /// Counted up with every change, from 1.
    pub version: u32,
    /// The digest of the version before, in hexadecimal.
    pub previous: Option<String>,
    /// What holds for every study, whatever a grant says.
    pub floor: Floor,
    /// The privacy budgets by data set.
    pub budgets: BTreeMap<String, BudgetLimit>,
    /// What is permitted: one of them must permit the study as a whole.
    pub grants: Vec<Grant>,
    /// What is refused even where a grant permits it.
    pub nevers: Vec<Never>,
    /// Requests that the officer decided by hand when writing the policy.
    pub examples: Vec<Example>,
}

impl Policy {
    /// Reads a policy file. Fails with everything that is wrong with it, and also when one of its
    /// `[[example]]`s is decided otherwise than it says.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidPolicy> {
        sections::read(bytes)
    }

    /// The budget that the policy sets for a data set.
    pub fn budget(&self, data: &str) -> Option<&BudgetLimit> {
        self.budgets.get(data)
    }
}

/// `[floor]`: what holds for every study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// How contributions are combined.
    pub aggregation: Aggregation,
    /// The fewest silos that may be invited.
    pub min_silos: u32,
    /// The fewest silos that a released sum may span.
    pub min_survivors: u32,
    /// Whether a study must be noised.
    pub differential_privacy: NoiseRule,
    /// The fewest patients that a data set must hold, checked against its registration.
    pub min_patients: u64,
    /// Why fewer than ten patients are enough, where they are.
    pub min_patients_reason: Option<String>,
    /// How many of the silos may know one patient of this hospital: a study with noise that counts on fewer promises such
    /// a patient too much.
    pub min_silos_per_patient: u32,
    /// The least isolation of the process that reads the data.
    pub isolation: Isolation,
    /// What may leave the masks.
    pub release: Release,
}

/// Whether a study must be noised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseRule {
    /// Always: no grant can permit a study without noise.
    Required,
    /// Unless a grant names the agreement by which noise may be left out.
    UnlessAgreed,
}

/// `[budget."data set"]`: what all studies together may spend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetLimit {
    /// The epsilon of the whole budget.
    pub epsilon: Epsilon,
    /// The delta of the whole budget.
    pub delta: Delta,
    /// Against whom that must hold.
    pub charge: ChargedView,
}

/// `charge` of a budget: which attacker's view of a study is taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargedView {
    /// Silos that collude with the coordinator, as many as the roster expects at most.
    #[default]
    Colluders,
    /// Somebody for whom the masks are broken: what a silo's own noise hides, which costs more.
    MasksBroken,
}

impl ChargedView {
    /// The same, as the accountant knows it.
    pub fn view(self) -> View {
        match self {
            Self::Colluders => View::Colluders,
            Self::MasksBroken => View::MasksBroken,
        }
    }
}

impl Word for ChargedView {
    const ALL: &'static [Self] = &[Self::Colluders, Self::MasksBroken];

    fn as_str(self) -> &'static str {
        match self {
            Self::Colluders => "colluders",
            Self::MasksBroken => "masks-broken",
        }
    }
}

/// `[[grant]]`: one permission. All its terms must hold at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The name by which decisions cite it.
    pub name: String,
    /// Researchers, by their names in the roster.
    pub who: Vec<String>,
    /// Data sets.
    pub data: Vec<String>,
    /// Purposes.
    pub purpose: Vec<String>,
    /// Kinds of analysis.
    pub analyses: Vec<String>,
    /// The legal basis on which the hospital permits.
    pub basis: Option<String>,
    /// The ethics approval.
    pub ethics: Ethics,
    /// Digests of training plans beyond the built-in trainers.
    pub plans: Vec<String>,
    /// The noised modes that are permitted.
    pub modes: Vec<Mode>,
    /// Whom the noise of a study may hide: patients alone, where the grant names no units.
    pub units: Vec<Unit>,
    /// The agreement by which studies without noise are permitted.
    pub agreement: Option<String>,
    /// The greatest epsilon of one study.
    pub epsilon_per_job: Option<Epsilon>,
    /// The greatest delta of one study.
    pub delta_per_job: Option<Delta>,
    /// The most rounds of one study.
    pub rounds_per_job: u32,
    /// When a study may be accepted.
    pub hours: Option<Hours>,
    /// Whether a person must approve each study.
    pub approval: Approval,
}

/// An ethics approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethics {
    /// Its reference.
    pub reference: String,
    /// The last day on which it holds.
    pub until: Date,
}

/// `[[never]]`: one prohibition. It applies when everything that it names applies; what it does not name
/// may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// The name by which refusals cite it.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Researchers.
    pub who: Option<Vec<String>>,
    /// Data sets.
    pub data: Option<Vec<String>>,
    /// Purposes.
    pub purpose: Option<Vec<String>>,
    /// Kinds of analysis.
    pub analyses: Option<Vec<String>>,
    /// Modes.
    pub modes: Option<Vec<Mode>>,
}

/// `[[example]]`: a request and how it must be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What the example shows.
    pub name: String,
    /// The request. Budget and patients are assumed to suffice unless the example states them.
    pub request: Request,
    /// How it must be decided.
    pub expected: Expected,
}

/// How an example must be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Permitted.
    Permit,
    /// Refused, for exactly these reasons where any are given.
    Refuse {
        /// The terms of the failed conditions, in alphabetical order of the enum.
        because: Option<Vec<Term>>,
    },
}

/// The number of patients below which a policy must give its reason for accepting so few.
pub(crate) const FEW_PATIENTS: u64 = 10;

/// The fewest silos that a floor may demand: with two, each knows the other's contribution from the sum.
pub(crate) const FEWEST_SILOS: u32 = 3;
