// SPDX-License-Identifier: Apache-2.0
//! What an officer should know before deciding about a study: the data set, three epsilons and what they mean for one
//! patient, the budget before and after, and what was taken from it so far.
//!
//! All of it is worked out when it is shown, from the files as they are: another study may have reserved meanwhile.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use consilium_policies::{BudgetLimit, Policy};
use consilium_privacy::accountant::meaning::Meaning;
use consilium_privacy::accountant::{PrivacyStatement, Promise};
use consilium_privacy::budget::{self, LedgerEntry, Share};
use consilium_privacy::loss::{Delta, Epsilon, NoiseMultiplier};
use consilium_privacy::noise_plan::View;
use jiff::Timestamp;
use serde::Serialize;

use super::ledger::described;
use super::records::policy_in_force;
use crate::config::Config;
use crate::explain;
use crate::journal::{Journal, StudyRecord};
use crate::ledger::Ledger;
use crate::ledger::forecast::Forecast;
use crate::registration::{DataSet, DataSets};
use crate::silo_folder::{SiloFolder, membership};
use crate::study_terms::StudyTerms;

/// Everything at once. What cannot be shown is `None`, and `missing` says why.
#[derive(Debug, Serialize)]
pub(super) struct OfficerCard {
    data_set: Option<DataSet>,
    privacy: Option<PrivacyCard>,
    budget: Option<BudgetCard>,
    /// Entries of the ledger about this data set, oldest first.
    timeline: Vec<TimelineEntry>,
    missing: Vec<String>,
}

/// The promise of the study.
#[derive(Debug, Serialize)]
struct PrivacyCard {
    hidden: String,
    delta: Delta,
    attempts: u32,
    charged: View,
    masks_hold: ViewCard,
    colluders: ViewCard,
    masks_broken: ViewCard,
    meaning: Meaning,
    /// The certified epsilon of the charged view, which the meaning is of.
    meaning_of: Epsilon,
}

#[derive(Debug, Serialize)]
struct ViewCard {
    while_words: String,
    /// `None`: too little noise for a certificate.
    epsilon: Option<Epsilon>,
    noise_multiplier: NoiseMultiplier,
}

/// The budget before and after the study's worst case.
#[derive(Debug, Serialize)]
struct BudgetCard {
    epsilon: Epsilon,
    delta: Delta,
    /// Against whom the price of the study holds.
    charged: View,
    needed: Share,
    left_before: Share,
    /// `None`: the study does not fit.
    left_after: Option<Share>,
    reserved: Share,
    committed: Share,
    /// 50, 80 or 95: as much of the budget is in use after the study.
    warning_percent_after: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    does_not_fit: Option<String>,
}

#[derive(Debug, Serialize)]
struct TimelineEntry {
    time: String,
    words: String,
    entry: LedgerEntry,
}

impl OfficerCard {
    pub(super) fn of(folder: &SiloFolder, journal: &Journal, record: &StudyRecord) -> Self {
        let mut card = Self {
            data_set: None,
            privacy: None,
            budget: None,
            timeline: Vec::new(),
            missing: Vec::new(),
        };
        if let Err(fault) = card.fill(folder, journal, record) {
            card.missing.push(format!("{fault:#}"));
        }
        card
    }

    fn fill(
        &mut self,
        folder: &SiloFolder,
        journal: &Journal,
        record: &StudyRecord,
    ) -> anyhow::Result<()> {
        let config = Config::read(folder.path())?;
        let roster = folder.open_roster()?;
        let roster = roster.current().context("no roster is pinned yet")?;
        let membership = membership(roster)?;
        let terms = StudyTerms::derive(&record.offer.study, &record.offer.invited, &membership)?;
        let mut account = terms.study.heading.data.clone();
        match DataSets::of(folder.path()).find(&account) {
            Ok(data_set) => {
                account.clone_from(&data_set.lineage);
                self.data_set = Some(data_set);
            }
            Err(fault) => self.missing.push(explain(&fault)),
        }
        if !terms.study.is_noised() {
            return Ok(());
        }
        let policy: Policy = policy_in_force(folder, config.silo.name.as_str())?;
        let limit = policy.budget(&account);
        let (ledger, entries) = Ledger::view(&folder.ledger(), journal)?;
        self.timeline = timeline(&ledger, &entries, &account);
        let reserved = ledger.job(&record.id).map(budget::Job::view);
        let chosen = limit.map(|limit| limit.charge.view());
        let charged = reserved.or(chosen).unwrap_or_default();
        self.privacy = Some(PrivacyCard::of(&terms, membership.colluders, charged)?);
        let limit: &BudgetLimit =
            limit.with_context(|| format!("the policy sets no budget for `{account}`"))?;
        let forecast = Forecast::of(&ledger, &account, limit, &record.id, &terms.vectors)?;
        self.budget = Some(BudgetCard::of(&forecast));
        Ok(())
    }

    /// One fact a line.
    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        if let Some(data_set) = &self.data_set {
            let told = match data_set.patients_at_most {
                Some(most) => format!("others may learn that there are at most {most}"),
                None => "no bound is announced, so no study with noise runs".to_owned(),
            };
            let facts = [
                ("name", data_set.name.clone()),
                ("file", data_set.path.display().to_string()),
                (
                    "patients",
                    format!("{} in {} rows; {told}", data_set.patients, data_set.rows),
                ),
                ("columns", data_set.columns.join(", ")),
                ("registered", data_set.registered.clone()),
                ("SHA-256", data_set.sha256.to_string()),
            ];
            section(&mut text, "data set", &facts);
        }
        if let Some(privacy) = &self.privacy {
            privacy.tell(&mut text);
        }
        if let Some(budget) = &self.budget {
            budget.tell(&mut text);
        }
        if !self.timeline.is_empty() {
            text.push_str("\nTaken from this budget so far\n");
            for TimelineEntry { time, words, .. } in &self.timeline {
                let _ = writeln!(text, "  {time}  {words}");
            }
        }
        for missing in &self.missing {
            let _ = writeln!(text, "\nnot shown: {missing}");
        }
        text
    }
}

impl PrivacyCard {
    fn of(terms: &StudyTerms, colluders: u32, charged: View) -> anyhow::Result<Self> {
        let silos = u32::try_from(terms.invited.len())?;
        let dropouts = terms.thresholds.dropouts;
        let statement = terms.study.privacy_statement(silos, dropouts, colluders)?;
        let (Some(statement), Some(noise)) = (statement, terms.vectors.training.noise) else {
            bail!("the study has no noise");
        };
        let view = |view, promise: Option<Promise>| -> anyhow::Result<ViewCard> {
            Ok(ViewCard {
                while_words: match view {
                    View::MasksHold => "while the masks hold and nobody colludes".to_owned(),
                    View::Colluders => {
                        format!("while {colluders} of {silos} silos collude with the coordinator")
                    }
                    View::MasksBroken => "if the masks were broken".to_owned(),
                },
                epsilon: promise.map(|promise| promise.epsilon),
                noise_multiplier: noise.multiplier(view)?,
            })
        };
        let PrivacyStatement {
            masks_hold,
            colluders: colluding,
            masks_broken,
            delta,
            attempts,
            ..
        } = statement;
        let of_charged = match charged {
            View::MasksBroken => masks_broken.context(
                "the policy charges as if the masks were broken, and nothing is certified then",
            )?,
            View::MasksHold | View::Colluders => colluding,
        };
        Ok(Self {
            hidden: noise.hidden(),
            delta,
            attempts,
            charged,
            masks_hold: view(View::MasksHold, Some(masks_hold))?,
            colluders: view(View::Colluders, Some(colluding))?,
            masks_broken: view(View::MasksBroken, masks_broken)?,
            meaning: Meaning::of(of_charged.epsilon, delta),
            meaning_of: of_charged.epsilon,
        })
    }

    fn tell(&self, text: &mut String) {
        let row = |view: View, card: &ViewCard| {
            let epsilon = card.epsilon.map_or_else(
                || "nothing is certified".to_owned(),
                |epsilon| format!("epsilon {}", three_digits_up(epsilon)),
            );
            let charged = if view == self.charged {
                ", charged"
            } else {
                ""
            };
            (
                epsilon,
                format!(
                    "{}, noise of {:.2} clips{charged}",
                    card.while_words,
                    card.noise_multiplier.value()
                ),
            )
        };
        let rows = [
            row(View::MasksHold, &self.masks_hold),
            row(View::Colluders, &self.colluders),
            row(View::MasksBroken, &self.masks_broken),
        ];
        let _ = writeln!(
            text,
            "\nPrivacy of {}, in {} attempts, at delta {}",
            self.hidden, self.attempts, self.delta
        );
        for (epsilon, words) in rows {
            let _ = writeln!(text, "  {epsilon:<22}{words}");
        }
        let shown = Epsilon::new(three_digits_up(self.meaning_of)).unwrap_or(self.meaning_of);
        let meaning = self.meaning.words(shown, self.delta);
        let _ = writeln!(text, "\n{meaning}");
    }
}

impl BudgetCard {
    fn of(forecast: &Forecast) -> Self {
        let Forecast {
            before,
            needed,
            after,
            view,
        } = forecast;
        Self {
            epsilon: before.budget().epsilon,
            delta: before.budget().delta,
            charged: *view,
            needed: *needed,
            left_before: before.remaining_share(),
            left_after: after.as_ref().ok().map(budget::Account::remaining_share),
            reserved: before.reserved_share(),
            committed: before.committed_share(),
            warning_percent_after: after
                .as_ref()
                .ok()
                .and_then(budget::Account::warning_percent),
            does_not_fit: after.as_ref().err().map(ToString::to_string),
        }
    }

    fn tell(&self, text: &mut String) {
        let left_after = match &self.left_after {
            Some(left) => left.to_string(),
            None => self.does_not_fit.clone().unwrap_or_default(),
        };
        let title = format!("budget: epsilon {} at delta {}", self.epsilon, self.delta);
        let facts = [
            ("spent", self.committed.to_string()),
            ("set aside", self.reserved.to_string()),
            ("left now", self.left_before.to_string()),
            ("needed", self.needed.to_string()),
            ("left after", left_after),
        ];
        section(text, &title, &facts);
        if let Some(percent) = self.warning_percent_after {
            let _ = writeln!(
                text,
                "  warning: {percent} % of the budget or more is in use with this study"
            );
        }
    }
}

/// What happened to one data set's budget, its studies' entries among it.
fn timeline(
    ledger: &budget::Ledger,
    entries: &[(u64, LedgerEntry)],
    data: &str,
) -> Vec<TimelineEntry> {
    let concerns = |entry: &LedgerEntry| match entry {
        LedgerEntry::Begun { .. } => false,
        LedgerEntry::Created { data_set, .. } | LedgerEntry::Reserved { data_set, .. } => {
            data_set == data
        }
        LedgerEntry::ToppedUp(top_up) => top_up.data_set == data,
        LedgerEntry::Committed { job, .. } | LedgerEntry::Released { job } => {
            ledger.job(job).is_some_and(|job| job.data_set() == data)
        }
    };
    entries
        .iter()
        .filter(|(_, entry)| concerns(entry))
        .map(|(at, entry)| TimelineEntry {
            time: i64::try_from(*at)
                .ok()
                .and_then(|at| Timestamp::from_millisecond(at).ok())
                .map_or_else(String::new, |time| time.to_string()),
            words: described(entry),
            entry: entry.clone(),
        })
        .collect()
}

fn section(text: &mut String, title: &str, facts: &[(&str, String)]) {
    let mut letters = title.chars();
    let title: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    let _ = writeln!(text, "\n{title}");
    for (name, value) in facts {
        let _ = writeln!(text, "  {name:<11} {value}");
    }
}

/// Never less than it is.
fn three_digits_up(epsilon: Epsilon) -> f64 {
    (epsilon.value() * 1e3).ceil() / 1e3
}
