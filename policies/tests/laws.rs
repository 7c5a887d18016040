// SPDX-License-Identifier: Apache-2.0

//! Laws of decisions and diffs, on random policies and requests over a small vocabulary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use consilium_policies::{
    Aggregation, Approval, BudgetLimit, BudgetUse, ChargedView, Date, Decision, Ethics, Floor,
    Grant, Hours, Isolation, Mode, Never, NoiseRule, PatientCount, Policy, Release, Request, Term,
    decide, diff, explain,
};
use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const WORDS: [&str; 3] = ["a", "b", "c"];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    subsequence(&WORDS[..], 1..=3).prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

fn mode() -> impl Strategy<Value = Mode> {
    select(&[Mode::None, Mode::Distributed, Mode::Local][..])
}

fn isolation() -> impl Strategy<Value = Isolation> {
    select(
        &[
            Isolation::Process,
            Isolation::NoNetwork,
            Isolation::Sandbox,
            Isolation::Namespaces,
        ][..],
    )
}

fn epsilon() -> impl Strategy<Value = Epsilon> {
    (1u8..4).prop_map(|value| Epsilon::new(f64::from(value)).unwrap())
}

fn delta() -> impl Strategy<Value = Delta> {
    select(&[1e-6, 1e-5, 1e-3][..]).prop_map(|value| Delta::new(value).unwrap())
}

fn date() -> impl Strategy<Value = Date> {
    (1u8..4).prop_map(|day| Date::new(2026, 6, day).unwrap())
}

fn hours() -> impl Strategy<Value = Hours> {
    (0u8..24, 1u8..=24).prop_filter_map("an empty window", |(from, to)| Hours::new(from, to))
}

fn approval() -> impl Strategy<Value = Approval> {
    select(&[Approval::Automatic, Approval::Person][..])
}

fn floor() -> impl Strategy<Value = Floor> {
    (
        3u32..6,
        3u32..5,
        any::<bool>(),
        10u64..13,
        1u32..3,
        isolation(),
    )
        .prop_map(
            |(silos, survivors, required, patients, min_silos_per_patient, isolation)| Floor {
                aggregation: Aggregation::Secure,
                min_silos: silos,
                min_survivors: survivors,
                differential_privacy: if required {
                    NoiseRule::Required
                } else {
                    NoiseRule::UnlessAgreed
                },
                min_patients: patients,
                min_patients_reason: None,
                min_silos_per_patient,
                isolation,
                release: Release::Aggregate,
            },
        )
}

fn grant() -> impl Strategy<Value = Grant> {
    let whom = (
        words(),
        words(),
        words(),
        words(),
        option::of(word()),
        word(),
        date(),
    );
    let what = (
        vec(word(), 0..2),
        subsequence(&[Mode::Distributed, Mode::Local][..], 0..=2),
        subsequence(&[Unit::Patient, Unit::Silo][..], 0..=2),
        option::of(word()),
        option::of(epsilon()),
        option::of(delta()),
        1u32..4,
        option::of(hours()),
        approval(),
    );
    (whom, what).prop_map(
        |(
            (who, data, purpose, analyses, basis, reference, until),
            (plans, modes, units, agreement, epsilon, delta, rounds, hours, approval),
        )| Grant {
            name: String::new(),
            who,
            data,
            purpose,
            analyses,
            basis,
            ethics: Ethics { reference, until },
            plans,
            modes,
            units,
            agreement,
            epsilon_per_job: epsilon,
            delta_per_job: delta,
            rounds_per_job: rounds,
            hours,
            approval,
        },
    )
}

fn never() -> impl Strategy<Value = Never> {
    (
        option::of(words()),
        option::of(words()),
        words(),
        option::of(words()),
        option::of(vec(mode(), 1..3)),
    )
        .prop_map(|(who, data, purpose, analyses, modes)| Never {
            name: String::new(),
            reason: "so".to_owned(),
            who,
            data,
            purpose: Some(purpose),
            analyses,
            modes,
        })
}

fn policy() -> impl Strategy<Value = Policy> {
    let budgets = btree_map(
        word(),
        (epsilon(), delta(), any::<bool>()).prop_map(|(epsilon, delta, strict)| BudgetLimit {
            epsilon,
            delta,
            charge: if strict {
                ChargedView::MasksBroken
            } else {
                ChargedView::Colluders
            },
        }),
        0..4,
    );
    (
        floor(),
        budgets,
        btree_map("[gh]", grant(), 0..3),
        btree_map("[no]", never(), 0..2),
        any::<bool>(),
    )
        .prop_map(|(floor, budgets, grants, nevers, reversed)| {
            let mut grants: Vec<Grant> = grants
                .into_iter()
                .map(|(name, grant)| Grant { name, ..grant })
                .collect();
            if reversed {
                grants.reverse();
            }
            Policy {
                silo: "silo".to_owned(),
                version: 1,
                previous: None,
                floor,
                budgets,
                grants,
                nevers: nevers
                    .into_iter()
                    .map(|(name, never)| Never { name, ..never })
                    .collect(),
                examples: Vec::new(),
            }
        })
}

fn request() -> impl Strategy<Value = Request> {
    let whom = (
        word(),
        word(),
        word(),
        option::of(word()),
        option::of(word()),
        word(),
        option::weighted(0.2, word()),
    );
    let what = (
        (mode(), select(&[Unit::Patient, Unit::Silo][..])),
        option::weighted(0.9, epsilon()),
        option::weighted(0.9, delta()),
        (option::weighted(0.9, Just(602)), 1u32..3),
        1u32..4,
        3u32..6,
        3u32..5,
    );
    let here = (isolation(), date(), 0u8..24, budget_use(), patients());
    (whom, what, here).prop_map(
        |(
            (who, data, purpose, basis, ethics, analysis, plan),
            (
                (mode, unit),
                epsilon,
                delta,
                (expected_patients, silos_per_patient),
                rounds,
                silos,
                min_survivors,
            ),
            (isolation, date, hour, budget, patients),
        )| Request {
            who,
            data,
            lineage: None,
            purpose,
            basis,
            ethics,
            analysis,
            plan,
            mode,
            unit,
            epsilon,
            delta,
            expected_patients,
            silos_per_patient,
            rounds,
            silos,
            min_survivors,
            isolation,
            date,
            hour,
            budget,
            patients,
        },
    )
}

fn budget_use() -> impl Strategy<Value = BudgetUse> {
    prop_oneof![
        1 => Just(BudgetUse::Uncharged),
        2 => Just(BudgetUse::Assumed),
        4 => (0u8..4, 0u8..4).prop_map(|(needed, left)| BudgetUse::Share { needed: f64::from(needed) / 4.0, left: f64::from(left) / 4.0 }),
    ]
}

fn patients() -> impl Strategy<Value = PatientCount> {
    prop_oneof![
        4 => (9u64..14).prop_map(PatientCount::Registered),
        1 => Just(PatientCount::NotRegistered),
        1 => Just(PatientCount::Assumed),
    ]
}

/// A request made to fit one grant, so that permissions are met often.
fn fitted(policy: &Policy, mut request: Request) -> Request {
    if let Some(grant) = policy.grants.first() {
        request.who.clone_from(&grant.who[0]);
        request.data.clone_from(&grant.data[0]);
        request.purpose.clone_from(&grant.purpose[0]);
        request.analysis.clone_from(&grant.analyses[0]);
        request.ethics = Some(grant.ethics.reference.clone());
        request.basis = None;
        request.plan = None;
        request.date = grant.ethics.until;
        request.mode = grant.modes.first().copied().unwrap_or(Mode::None);
        request.unit = grant.units.first().copied().unwrap_or_default();
        request.budget = BudgetUse::Assumed;
        request.patients = PatientCount::Assumed;
        request.isolation = Isolation::Namespaces;
        request.silos = 5;
        request.min_survivors = 4;
        request.silos_per_patient = 2;
    }
    request
}

/// How much a decision permits.
#[derive(PartialEq, PartialOrd, Debug)]
enum Level {
    Refused,
    ByPerson,
    Automatic,
}

fn level(policy: &Policy, request: &Request) -> Level {
    match decide(policy, request) {
        Decision::Refuse(_) => Level::Refused,
        Decision::Permit(permit) => match permit.approval {
            Approval::Person => Level::ByPerson,
            Approval::Automatic => Level::Automatic,
        },
    }
}

/// The rules a second time, as one formula that explains nothing.
fn permitted_by_formula(policy: &Policy, request: &Request) -> bool {
    let noised = request.mode != Mode::None;
    let forbidden = policy.nevers.iter().any(|never| {
        never
            .who
            .as_ref()
            .is_none_or(|list| list.contains(&request.who))
            && never
                .data
                .as_ref()
                .is_none_or(|list| list.contains(&request.data))
            && never
                .purpose
                .as_ref()
                .is_none_or(|list| list.contains(&request.purpose))
            && never
                .analyses
                .as_ref()
                .is_none_or(|list| list.contains(&request.analysis))
            && never
                .modes
                .as_ref()
                .is_none_or(|list| list.contains(&request.mode))
    });
    let floor = &policy.floor;
    let delta_fits = match (request.delta, request.expected_patients) {
        (Some(delta), Some(patients)) => delta.value() * 10.0 * patients as f64 <= 1.0,
        _ => false,
    };
    let above_floor = request.silos >= floor.min_silos
        && request.min_survivors >= floor.min_survivors
        && (noised || floor.differential_privacy == NoiseRule::UnlessAgreed)
        && (!noised || delta_fits)
        && (!noised || request.silos_per_patient >= floor.min_silos_per_patient)
        && request.isolation >= floor.isolation
        && match request.patients {
            PatientCount::Registered(patients) => patients >= floor.min_patients,
            PatientCount::NotRegistered => false,
            PatientCount::Assumed => true,
        };
    let affordable = !noised
        || policy.budgets.contains_key(&request.data)
            && match request.budget {
                BudgetUse::Uncharged => false,
                BudgetUse::Assumed => true,
                BudgetUse::Share { needed, left } => needed <= left,
            };
    let granted = policy.grants.iter().any(|grant| {
        grant.who.contains(&request.who)
            && grant.data.contains(&request.data)
            && grant.purpose.contains(&request.purpose)
            && grant.analyses.contains(&request.analysis)
            && (request.basis.is_none() || request.basis == grant.basis)
            && request.ethics.as_ref() == Some(&grant.ethics.reference)
            && request.date <= grant.ethics.until
            && request
                .plan
                .as_ref()
                .is_none_or(|plan| grant.plans.contains(plan))
            && (if noised {
                grant.modes.contains(&request.mode)
            } else {
                grant.agreement.is_some()
            })
            && (!noised || grant.units.contains(&request.unit))
            && (!noised
                || grant
                    .epsilon_per_job
                    .is_none_or(|most| request.epsilon.is_some_and(|asked| asked <= most)))
            && (!noised
                || grant
                    .delta_per_job
                    .is_none_or(|most| request.delta.is_none_or(|asked| asked <= most)))
            && request.rounds <= grant.rounds_per_job
            && grant.hours.is_none_or(|hours| hours.contains(request.hour))
    });
    !forbidden && above_floor && affordable && granted
}

fn changed(policy: &Policy, other: &Policy, which: u8) -> Policy {
    let mut new = policy.clone();
    match which {
        0 => new.floor = other.floor.clone(),
        1 => new.budgets = BTreeMap::clone(&other.budgets),
        2 => new.grants = other.grants.clone(),
        3 => new.nevers = other.nevers.clone(),
        4 => new.grants.reverse(),
        _ => new = other.clone(),
    }
    new
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_decision_is_the_formulas_and_a_refusal_has_a_reason(policy in policy(), request in request(), fit: bool) {
        let request = if fit { fitted(&policy, request) } else { request };
        let decision = decide(&policy, &request);
        prop_assert_eq!(decision.is_permit(), permitted_by_formula(&policy, &request), "{:?}", decision);
        if let Decision::Refuse(refusal) = &decision {
            prop_assert!(!refusal.conditions.is_empty());
            prop_assert!(refusal.conditions.iter().all(|condition| !condition.to_string().is_empty()));
            prop_assert!(!refusal.nearest_permitted().is_empty());
        }
        prop_assert_eq!(explain(&policy, &request).decision, decision);
    }

    /// Otherwise a loosening could be signed as a tightening and take effect at once.
    #[test]
    fn what_a_new_version_newly_permits_or_refuses_is_in_the_diff(policy in policy(), other in policy(), which in 0u8..6, request in request(), fit: bool) {
        let new = changed(&policy, &other, which);
        let request = if fit { fitted(&new, request) } else { request };
        let difference = diff(&policy, &new);
        let (before, after) = (level(&policy, &request), level(&new, &request));
        prop_assert!(after <= before || difference.loosens(), "{:?} -> {:?}\n{}", before, after, difference);
        prop_assert!(after >= before || difference.tightens(), "{:?} -> {:?}\n{}", before, after, difference);
    }

    #[test]
    fn a_diff_backwards_swaps_permitted_and_refused(policy in policy(), other in policy()) {
        let (forth, back) = (diff(&policy, &other), diff(&other, &policy));
        prop_assert_eq!(forth.loosens(), back.tightens());
        prop_assert_eq!(forth.tightens(), back.loosens());
        prop_assert!(diff(&policy, &policy).is_empty());
    }

    #[test]
    fn a_further_grant_never_takes_a_permission_away(policy in policy(), grant in grant(), request in request(), fit: bool, first: bool) {
        let request = if fit { fitted(&policy, request) } else { request };
        let mut new = policy.clone();
        let grant = Grant { name: "further".to_owned(), ..grant };
        if first { new.grants.insert(0, grant) } else { new.grants.push(grant) }
        prop_assert!(level(&new, &request) >= level(&policy, &request));
    }

    /// Applying what the refusal calls the nearest change to a limit mends that condition.
    #[test]
    fn a_request_lowered_to_the_limits_no_longer_fails_them(policy in policy(), request in request()) {
        let Decision::Refuse(refusal) = decide(&policy, &request) else { return Ok(()) };
        for condition in &refusal.conditions {
            let mut mended = request.clone();
            match condition.term {
                Term::MinSilos => mended.silos = condition.limit.parse().unwrap(),
                Term::MinSurvivors => mended.min_survivors = condition.limit.parse().unwrap(),
                Term::MinSilosPerPatient => mended.silos_per_patient = condition.limit.parse().unwrap(),
                Term::Rounds => mended.rounds = condition.limit.parse().unwrap(),
                Term::Epsilon => mended.epsilon = Some(Epsilon::parse(&condition.limit).unwrap()),
                Term::Grant | Term::DifferentialPrivacy | Term::MinPatients | Term::Isolation | Term::Delta | Term::Budget | Term::Who
                | Term::Data | Term::Purpose | Term::Basis | Term::Ethics | Term::Analysis | Term::Plan | Term::Mode | Term::Unit | Term::Hours | Term::Never => continue,
            }
            let again = explain(&policy, &mended);
            let (floor, grants) = (match &again.decision { Decision::Refuse(refusal) => refusal.conditions.clone(), Decision::Permit(_) => Vec::new() }, again.grants);
            let found = floor.iter().filter(|found| !matches!(found.rule, consilium_policies::Rule::Grant(_)))
                .chain(grants.iter().flat_map(|finding| &finding.failed));
            let still = found.filter(|found| found.rule == condition.rule && found.term == condition.term).count();
            prop_assert_eq!(still, 0, "{}", condition);
        }
    }
}

/// The laws above say nothing where nothing is ever permitted or changed.
#[test]
fn the_random_cases_meet_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::new();
    for case in 0..4000 {
        let mut draw = || policy().new_tree(&mut runner).unwrap().current();
        let (old, other) = (draw(), draw());
        let new = changed(&old, &other, 5);
        // What fits the old policy may be refused by the new one.
        let fits = if case % 2 == 0 { &new } else { &old };
        let asked = fitted(fits, request().new_tree(&mut runner).unwrap().current());
        let (before, after) = (level(&old, &asked), level(&new, &asked));
        *seen.entry(format!("{after:?}")).or_insert(0) += 1;
        *seen
            .entry(format!("{:?}", before.partial_cmp(&after)))
            .or_insert(0) += 1;
    }
    for outcome in [
        "Refused",
        "ByPerson",
        "Automatic",
        "Some(Less)",
        "Some(Greater)",
    ] {
        assert!(
            seen.get(outcome).is_some_and(|times| *times >= 5),
            "{seen:?}"
        );
    }
}
