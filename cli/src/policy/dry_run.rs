// SPDX-License-Identifier: Apache-2.0
//! A study decided without running it, by the engine that decides at the hospital.
//!
//! What only the hospital knows is assumed, and every assumption is named.

use super::CheckArguments;
use consilium_learning::study::Study;
use consilium_policies::{
    Approval, BudgetLimit, BudgetUse, Date, Decision, GrantFinding, PatientCount, Policy, Refusal,
    explain,
};
use consilium_privacy::budget::{Budget, Charge, Ledger};
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::Thresholds;
use consilium_silo_agent::{Circumstances, study_request};
use serde::Serialize;

/// What the officer says about the moment of the decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    silos: Option<u32>,
    date: Option<Date>,
    hour: Option<u8>,
    budget_left: Option<u8>,
    /// Date and hour by the clock.
    now: (Date, u8),
}

impl Situation {
    pub(super) fn of(arguments: &CheckArguments) -> Self {
        let CheckArguments {
            silos,
            date,
            hour,
            budget_left,
            ..
        } = arguments;
        Self {
            silos: *silos,
            date: *date,
            hour: *hour,
            budget_left: *budget_left,
            now: clock(),
        }
    }
}

/// Date and hour in UTC.
fn clock() -> (Date, u8) {
    let text = jiff::Timestamp::now().to_string();
    let date = text.get(..10).and_then(|date| date.parse().ok());
    let hour = text.get(11..13).and_then(|hour| hour.parse().ok());
    match (date, hour) {
        (Some(date), Some(hour)) => (date, hour),
        // A clock outside the years 1 to 9999 fails every term that has a date.
        (None, _) | (_, None) => (
            LAST_DAY
                .parse()
                .unwrap_or_else(|_| unreachable!("a day of the calendar")),
            0,
        ),
    }
}

/// A study decided without running it.
#[derive(Debug, Serialize)]
pub(super) struct DryRun {
    study: String,
    researcher: String,
    pub(super) permitted: bool,
    /// Why no safe round follows from the study, whatever the policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsafe_round: Option<String>,
    decision: Decision,
    /// The nearest study that would be permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<String>,
    /// The share of the data set's budget that would be reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_needed: Option<String>,
    assumed: Vec<String>,
    /// What each grant found.
    grants: Vec<GrantFinding>,
}

pub(super) fn dry_run(policy: &Policy, study: &Study, situation: &Situation) -> DryRun {
    let mut assumed = Vec::new();
    let silos = invited(policy, study, situation, &mut assumed);
    let colluders = silos / 3;
    assumed.push(format!(
        "the roster has {silos} members, of whom {colluders} may collude with the coordinator"
    ));
    let dropouts = if study.is_noised() { None } else { Some(0) };
    let round = Thresholds::new(silos, colluders, dropouts)
        .map_err(anyhow::Error::from)
        .and_then(|thresholds| {
            let dropouts = thresholds.dropouts;
            let training = study.vector_plan(silos, dropouts, colluders)?;
            let evaluation = study.evaluation_plan(silos, dropouts, colluders)?;
            let plans: Vec<VectorPlan> = std::iter::once(training).chain(evaluation).collect();
            Ok((thresholds, plans))
        });
    let fewest = |thresholds: &Thresholds| {
        let invited = usize::try_from(silos).unwrap_or(usize::MAX);
        u32::try_from(thresholds.fewest(invited)).unwrap_or(u32::MAX)
    };
    let budget = charge(
        policy,
        study,
        round.as_ref().ok().map(|(_, plans)| plans.as_slice()),
        situation,
        &mut assumed,
    );
    let heading = &study.heading;
    let date = situation.date.unwrap_or(situation.now.0);
    let hour = situation.hour.unwrap_or(situation.now.1);
    let circumstances = Circumstances {
        silos,
        min_survivors: round
            .as_ref()
            .map_or(silos, |(thresholds, _)| fewest(thresholds)),
        isolation: policy.floor.isolation,
        date,
        hour,
        budget,
        patients: PatientCount::Assumed,
    };
    let request = study_request(study, &circumstances);
    if situation.date.is_none() || situation.hour.is_none() {
        assumed.push(format!(
            "the decision is taken on {date} at {hour:02} h UTC"
        ));
    }
    assumed.push(format!(
        "`{}` signed the study and is in the roster",
        heading.researcher
    ));
    assumed.push(format!(
        "the data set `{}` is registered, can be read and holds at least {} patients",
        heading.data, policy.floor.min_patients
    ));
    assumed.push(format!(
        "the hospital's host reaches the isolation `{}`",
        policy.floor.isolation
    ));
    let explanation = explain(policy, &request);
    let unsafe_round = round.err().map(|fault| format!("{fault:#}"));
    DryRun {
        study: heading.name.clone(),
        researcher: heading.researcher.clone(),
        permitted: explanation.decision.is_permit() && unsafe_round.is_none(),
        unsafe_round,
        nearest: match &explanation.decision {
            Decision::Permit(_) => None,
            Decision::Refuse(refusal) => Some(refusal.nearest_permitted()),
        },
        budget_needed: match budget {
            BudgetUse::Share { needed, .. } => Some(percent(needed)),
            BudgetUse::Uncharged | BudgetUse::Assumed => None,
        },
        decision: explanation.decision,
        assumed,
        grants: explanation.grants,
    }
}

/// How many silos are invited: as told, as the study names them, or as few as the policy accepts.
fn invited(
    policy: &Policy,
    study: &Study,
    situation: &Situation,
    assumed: &mut Vec<String>,
) -> u32 {
    let named = u32::try_from(study.heading.invite.len())
        .ok()
        .filter(|named| *named > 0);
    situation.silos.or(named).unwrap_or_else(|| {
        let fewest = policy.floor.min_silos;
        assumed.push(format!(
            "{fewest} silos are invited, the fewest that the policy accepts"
        ));
        fewest
    })
}

/// What the study takes from the data set's budget, priced as the hospital's ledger prices it.
fn charge(
    policy: &Policy,
    study: &Study,
    plans: Option<&[VectorPlan]>,
    situation: &Situation,
    assumed: &mut Vec<String>,
) -> BudgetUse {
    let data = &study.heading.data;
    let (true, Some(limit)) = (study.is_noised(), policy.budget(data)) else {
        return BudgetUse::Uncharged;
    };
    match plans.and_then(|plans| share_needed(data, limit, plans)) {
        Some(needed) => {
            let left = situation
                .budget_left
                .map_or(1.0, |percent| f64::from(percent) / 100.0);
            if situation.budget_left.is_none() {
                assumed.push(format!(
                    "nothing of the privacy budget of `{data}` is spent"
                ));
            }
            BudgetUse::Share { needed, left }
        }
        None => {
            assumed.push(format!(
                "enough of the privacy budget of `{data}` is left: the study cannot be priced"
            ));
            BudgetUse::Assumed
        }
    }
}

/// Of training and evaluation together.
fn share_needed(data: &str, limit: &BudgetLimit, plans: &[VectorPlan]) -> Option<f64> {
    let mut ledger = Ledger::new();
    let created = ledger
        .create(data, Budget::create(limit.epsilon, limit.delta).ok()?)
        .ok()?;
    ledger.record(&created, 0).ok()?;
    let account = ledger.account(data).ok()?;
    let needed = |plan: &VectorPlan| {
        let noise = plan.noise.as_ref()?;
        let charge = Charge::of_plan(noise, limit.charge.view(), plan.dimension).ok()?;
        Some(account.share_needed(noise.attempts, &charge).fraction())
    };
    plans.iter().map(needed).sum()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn dry_run_words(run: &DryRun) -> String {
    let mut text = format!("study     `{}` of {}", run.study, run.researcher);
    match &run.decision {
        Decision::Permit(permit) => {
            text.push_str(&format!("\ndecision  {permit}"));
            if permit.approval == Approval::Person {
                text.push_str("\n          (`consilium silo approvals list` shows what waits)");
            }
        }
        Decision::Refuse(refusal) => text.push_str(&refusal_words(refusal)),
    }
    if let Some(fault) = &run.unsafe_round {
        text.push_str(&format!(
            "\nrefused   by every hospital: no safe round follows: {fault}"
        ));
    }
    if let Some(nearest) = &run.nearest {
        text.push_str(&format!("\nnearest   {nearest}"));
    }
    if let Some(needed) = &run.budget_needed {
        text.push_str(&format!(
            "\nbudget    the study would reserve {needed} of the whole"
        ));
    }
    for assumption in &run.assumed {
        text.push_str(&format!("\nassumed   {assumption}"));
    }
    text
}

fn refusal_words(refusal: &Refusal) -> String {
    let count = match refusal.conditions.len() {
        1 => "1 condition fails".to_owned(),
        several => format!("{several} conditions fail"),
    };
    let mut text = format!("\ndecision  refused, {count}");
    for condition in &refusal.conditions {
        text.push_str(&format!("\n          - {condition}"));
    }
    text
}

const LAST_DAY: &str = "9999-12-31";

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    const POLICY: &[u8] = include_bytes!("../../../examples/policies/1_UM.toml");
    const PRIVATE: &[u8] = include_bytes!("../../../examples/studies/private-logistic.toml");
    const PLAIN: &[u8] = include_bytes!("../../../examples/studies/logistic.toml");
    const FORBIDDEN: &[u8] = include_bytes!("../../../examples/studies/forbidden.toml");

    fn situation(silos: Option<u32>, percent_left: u8) -> Situation {
        let date: Date = "2026-11-24".parse().unwrap();
        let budget_left = Some(percent_left);
        Situation {
            silos,
            date: Some(date),
            hour: Some(9),
            budget_left,
            now: (date, 9),
        }
    }

    fn decide(study: &[u8], situation: &Situation) -> DryRun {
        dry_run(
            &Policy::parse(POLICY).unwrap(),
            &Study::parse(study).unwrap(),
            situation,
        )
    }

    #[test]
    fn a_permitted_study_names_the_grant_and_its_price() {
        let run = decide(PRIVATE, &situation(Some(4), 100));
        assert!(run.permitted, "{run:?}");
        let words = dry_run_words(&run);
        assert!(
            words.contains("grant `ercp-reanalysis`") && words.contains("would reserve"),
            "{words}"
        );
        let needed: f64 = run
            .budget_needed
            .unwrap()
            .trim_end_matches(" %")
            .parse()
            .unwrap();
        assert!((55.0..65.0).contains(&needed), "{needed}");
    }

    #[test]
    fn the_same_study_is_refused_once_too_little_is_left() {
        let run = decide(PRIVATE, &situation(Some(4), 39));
        assert!(!run.permitted);
        assert!(
            dry_run_words(&run).contains("1 condition fails\n          - budget `ercp-trial`"),
            "{run:?}"
        );
    }

    #[test]
    fn a_refusal_lists_every_failed_condition() {
        let run = decide(FORBIDDEN, &situation(Some(4), 100));
        let Decision::Refuse(refusal) = &run.decision else {
            panic!("permitted")
        };
        assert!(refusal.conditions.len() >= 6, "{refusal}");
        let words = dry_run_words(&run);
        assert_eq!(
            words.matches("\n          - ").count(),
            refusal.conditions.len()
        );
        for part in ["never `no-commerce`", "rounds", "epsilon"] {
            assert!(words.contains(part), "{part}: {words}");
        }
    }

    #[test]
    fn what_was_not_told_is_named_as_assumed() {
        let clocked = Situation {
            date: None,
            ..situation(None, 100)
        };
        let run = decide(PLAIN, &clocked);
        assert!(run.permitted && run.budget_needed.is_none(), "{run:?}");
        let assumed = run.assumed.join("\n");
        for part in [
            "4 silos are invited",
            "1 may collude",
            "2026-11-24 at 09 h",
            "at least 20 patients",
            "`process`",
        ] {
            assert!(assumed.contains(part), "{part}: {assumed}");
        }
        let unspent = Situation {
            budget_left: None,
            ..clocked
        };
        let run = decide(PRIVATE, &unspent);
        assert!(
            run.permitted
                && run
                    .assumed
                    .iter()
                    .any(|fact| fact.contains("nothing of the privacy budget")),
            "{run:?}"
        );
    }

    #[test]
    fn too_few_silos_are_refused_by_safety_and_by_the_policy() {
        let run = decide(PLAIN, &situation(Some(1), 100));
        assert!(!run.permitted && run.unsafe_round.is_some());
        let words = dry_run_words(&run);
        assert!(
            words.contains("no safe round follows") && words.contains("floor: "),
            "{words}"
        );
    }
}
