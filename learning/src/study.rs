// SPDX-License-Identifier: Apache-2.0
//! The study file: what a researcher asks of every hospital, in one signed text.
//!
//! [`Study::parse`] accepts exactly the keys of this version; everything it returns has been checked,
//! and every fault names its field. What the sections mean is told by the types of the same names.

use serde::Serialize;
use toml::Table as Toml;

pub use affordable::{Affordable, Participants};
pub use analysis::Analysis;
pub use evaluation::{Evaluation, EvaluationCharge};
pub use fault::StudyFault;
pub use method::{Method, Optimizer, Rounds};
pub use privacy::{Aggregation, Distributed, Mode, Privacy};
pub use regression::{ModelPlan, RegressionPlan};
pub use schema::{Category, Column, ColumnKind, DataSchema, Missing, Number, Scaling};
pub use statistics::{
    CountPlan, HistogramPlan, MomentOrder, MomentPlan, QuantilePlan, StatisticsPlan, SurvivalPlan,
    TablePlan,
};

pub(crate) use evaluation::HALF;
pub(crate) use section::nearest;

use section::Section;

mod affordable;
mod analysis;
mod evaluation;
mod fault;
mod method;
mod plan;
mod privacy;
mod regression;
mod schema;
mod section;
mod statistics;
mod unit;

/// A study whose every field has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// `[study]`: who asks, why, and about which data.
    pub heading: Heading,
    /// `[data]`: the columns in public constants.
    pub data: DataSchema,
    /// `[analysis]`: what is computed.
    pub analysis: Analysis,
    /// `[rounds]`: how often.
    pub rounds: Rounds,
    /// `[privacy]`: with what noise.
    pub privacy: Privacy,
    /// `[aggregation]`: in what integers.
    pub aggregation: Aggregation,
    /// `[evaluation]`: on whom the model is tried; `None` when on nobody.
    pub evaluation: Option<Evaluation>,
}

/// `[study]`: who asks, why, and about which data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// A name for people.
    pub name: String,
    /// Any text, to ask the same again: one signed file is one study, and another text makes another file.
    pub submission: Option<String>,
    /// The researcher as named in the roster.
    pub researcher: String,
    /// The purpose that hospitals' policies permit or do not.
    pub purpose: String,
    /// The legal basis, where a policy asks for one.
    pub basis: Option<String>,
    /// The reference of the ethics approval.
    pub ethics: String,
    /// The name under which each hospital registered its own data set.
    pub data: String,
    /// Hours after which an unanswered study counts as refused.
    pub deadline_hours: u32,
    /// The silos asked; empty means every member of the roster.
    pub invite: Vec<String>,
}

impl Study {
    /// Reads a study file.
    ///
    /// # Errors
    /// [`StudyFault`] names the field that is wrong and what to write instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, StudyFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| StudyFault::NotText)?;
        let table: Toml =
            toml::from_str(text).map_err(|fault| StudyFault::Malformed(Box::new(fault)))?;
        let mut file = Section::open("", table, SECTIONS)?;

        let heading = Heading::read(file.section("study", HEADING_KEYS)?)?;
        let data =
            DataSchema::read(file.section("data", &["patient", "missing", "scaling", "columns"])?)?;
        let mut privacy = file.section("privacy", privacy::PRIVACY_KEYS)?;
        let mode = Mode::read(&mut privacy)?;
        let unit = unit::read(&mut privacy, mode)?;
        data.check_scaling(mode)?;
        let (analysis, rounds) = Analysis::read(
            file.section("analysis", &analysis::analysis_keys())?,
            file.optional_section("rounds", method::ROUNDS_KEYS)?,
            &data,
            mode,
            unit,
        )?;
        let bound = analysis.row_bound(&data, unit);
        let privacy = Privacy::read(privacy, mode, unit, &data, bound)?;
        privacy.check_sampling(&analysis)?;
        privacy.check_silos_per_patient(heading.invite.len())?;
        let aggregation = Aggregation::read(
            file.optional_section("aggregation", &["fraction_bits", "word_bits"])?,
            mode,
        )?;
        let evaluation = Evaluation::read(
            file.optional_section("evaluation", evaluation::EVALUATION_KEYS)?,
            &analysis,
            &data,
            &privacy,
        )?;
        Ok(Self {
            heading,
            data,
            analysis,
            rounds,
            privacy,
            aggregation,
            evaluation,
        })
    }

    /// The canonical bytes of everything that decides what is computed from the data: the name of
    /// the data set and the sections data, analysis, rounds, privacy, aggregation and evaluation.
    pub fn task_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct TaskText<'a> {
            data_set: &'a str,
            data: &'a DataSchema,
            analysis: &'a Analysis,
            rounds: &'a Rounds,
            privacy: &'a Privacy,
            aggregation: &'a Aggregation,
            #[serde(skip_serializing_if = "Option::is_none")]
            evaluation: &'a Option<Evaluation>,
        }
        let text = TaskText {
            data_set: &self.heading.data,
            data: &self.data,
            analysis: &self.analysis,
            rounds: &self.rounds,
            privacy: &self.privacy,
            aggregation: &self.aggregation,
            evaluation: &self.evaluation,
        };
        #[expect(
            clippy::expect_used,
            reason = "maps have text keys and every number is finite"
        )]
        serde_json::to_vec(&text).expect("a checked study is expressible as JSON")
    }

    /// Whether noise protects each patient, alone or with the whole silo.
    pub fn is_noised(&self) -> bool {
        self.privacy.mode() != Mode::None
    }

    /// Noised sums that one attempt takes of a silo's patients: its local steps where each is noised, one otherwise.
    pub fn releases_per_attempt(&self) -> u32 {
        let method = self.analysis.regression().map(|plan| plan.method);
        match (self.privacy.mode(), method) {
            (Mode::Local, Some(Method::FedAvg { local_steps, .. })) => local_steps,
            (Mode::None | Mode::Distributed | Mode::Local, _) => 1,
        }
    }

    /// Attempts at rounds of training that are reserved in every hospital's ledger: rounds and spare ones.
    pub fn attempts(&self) -> u32 {
        self.rounds.most.saturating_add(self.rounds.spare_attempts)
    }

    /// Attempts at the evaluation that are reserved besides; none without one.
    pub fn evaluation_attempts(&self) -> u32 {
        self.evaluation.as_ref().map_or(0, Evaluation::attempts)
    }

    /// All attempts of the study.
    pub fn all_attempts(&self) -> u32 {
        self.attempts().saturating_add(self.evaluation_attempts())
    }

    /// Rounds at most, with the evaluation as the last one.
    pub fn all_rounds(&self) -> u32 {
        let evaluation = u32::from(self.evaluation.is_some());
        self.rounds.most.saturating_add(evaluation)
    }

    /// The patients that take part in a round of training by public numbers; `None` without noise.
    pub fn expected_batch(&self) -> Option<f64> {
        let trained = self
            .evaluation
            .as_ref()
            .map_or(1.0, Evaluation::trained_share);
        let promise = self.privacy.promise();
        promise.map(|promise| promise.expected_batch() * trained)
    }
}

impl Heading {
    fn read(mut section: Section) -> Result<Self, StudyFault> {
        let heading = Self {
            name: section.required("name")?,
            submission: section.optional("submission")?,
            researcher: section.required("researcher")?,
            purpose: section.required("purpose")?,
            basis: section.optional("basis")?,
            ethics: section.required("ethics")?,
            data: section.required("data")?,
            deadline_hours: section.required("deadline_hours")?,
            invite: section.optional("invite")?.unwrap_or_default(),
        };
        let texts = [
            ("name", &heading.name),
            ("researcher", &heading.researcher),
            ("purpose", &heading.purpose),
            ("ethics", &heading.ethics),
            ("data", &heading.data),
        ];
        let optional = [
            ("submission", heading.submission.as_ref()),
            ("basis", heading.basis.as_ref()),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(key, text)| text.map(|text| (key, text)));
        let invited = heading.invite.iter().map(|silo| ("invite", silo));
        for (key, text) in texts.into_iter().chain(optional).chain(invited) {
            if text.trim().is_empty()
                || text.len() > LONGEST_TEXT
                || text.chars().any(char::is_control)
            {
                return Err(section.invalid(
                    key,
                    "empty, too long, or with control characters",
                    format!("write 1 to {LONGEST_TEXT} printable characters"),
                ));
            }
        }
        if heading.deadline_hours == 0 || heading.deadline_hours > LONGEST_DEADLINE_HOURS {
            return Err(section.invalid(
                "deadline_hours",
                "out of bounds",
                format!("write 1 to {LONGEST_DEADLINE_HOURS}"),
            ));
        }
        for (index, silo) in heading.invite.iter().enumerate() {
            if heading
                .invite
                .iter()
                .take(index)
                .any(|earlier| earlier == silo)
            {
                return Err(section.invalid(
                    "invite",
                    format!("`{silo}` is named twice"),
                    "name it once",
                ));
            }
        }
        Ok(heading)
    }
}

const SECTIONS: &[&str] = &[
    "study",
    "data",
    "analysis",
    "rounds",
    "privacy",
    "aggregation",
    "evaluation",
];
const HEADING_KEYS: &[&str] = &[
    "name",
    "submission",
    "researcher",
    "purpose",
    "basis",
    "ethics",
    "data",
    "deadline_hours",
    "invite",
];
const LONGEST_TEXT: usize = 200;
const LONGEST_DEADLINE_HOURS: u32 = 24 * 365;

#[cfg(test)]
mod tests;
