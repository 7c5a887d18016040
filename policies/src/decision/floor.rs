// SPDX-License-Identifier: Apache-2.0

//! `[floor]`: what holds for every study.

use crate::{Condition, Floor, NoiseRule, PatientCount, Request, Rule, Term, Word};

pub(super) fn failed(floor: &Floor, request: &Request) -> Vec<Condition> {
    [
        silos(floor, request),
        survivors(floor, request),
        noise(floor, request),
        patients(floor, request),
        silos_per_patient(floor, request),
        isolation(floor, request),
        delta(floor, request),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn silos(floor: &Floor, request: &Request) -> Option<Condition> {
    let (least, invited) = (floor.min_silos, request.silos);
    (invited < least).then(|| {
        condition(
            Term::MinSilos,
            least.to_string(),
            format!("silos invited {invited} < {least}"),
        )
        .actual(invited.to_string())
        .change(format!("at least {least} silos invited"))
    })
}

fn survivors(floor: &Floor, request: &Request) -> Option<Condition> {
    let (least, asked) = (floor.min_survivors, request.min_survivors);
    (asked < least).then(|| {
        condition(
            Term::MinSurvivors,
            least.to_string(),
            format!("silos in a released sum {asked} < {least}"),
        )
        .actual(asked.to_string())
        .change(format!("sums over at least {least} silos"))
    })
}

fn noise(floor: &Floor, request: &Request) -> Option<Condition> {
    let required = match floor.differential_privacy {
        NoiseRule::Required => true,
        // The grant must name the agreement; the grant's own condition says so.
        NoiseRule::UnlessAgreed => false,
    };
    (required && !request.mode.is_noised()).then(|| {
        condition(
            Term::DifferentialPrivacy,
            NoiseRule::Required.as_str(),
            format!("mode `{}`, differential privacy is required", request.mode),
        )
        .actual(request.mode.as_str())
        .change("mode `distributed`")
    })
}

fn patients(floor: &Floor, request: &Request) -> Option<Condition> {
    let least = floor.min_patients;
    let data = &request.data;
    match request.patients {
        PatientCount::Assumed => None,
        PatientCount::Registered(patients) => (patients < least).then(|| {
            condition(
                Term::MinPatients,
                least.to_string(),
                format!("`{data}` is not registered as holding {least} patients"),
            )
            .patients(patients)
            .nothing(format!(
                "until `{data}` is registered here with at least {least} patients"
            ))
        }),
        PatientCount::NotRegistered => Some(
            condition(
                Term::MinPatients,
                least.to_string(),
                format!("no data set is registered as `{data}`"),
            )
            .nothing(format!("until `{data}` is registered here")),
        ),
    }
}

// A patient whom several silos know moves the sum by as many clips: noise for fewer promises that patient too much.
fn silos_per_patient(floor: &Floor, request: &Request) -> Option<Condition> {
    let (least, counted) = (floor.min_silos_per_patient, request.silos_per_patient);
    (request.mode.is_noised() && counted < least).then(|| {
        condition(
            Term::MinSilosPerPatient,
            least.to_string(),
            format!(
                "the noise hides a patient of {} and not of {least}",
                silos_in_words(counted)
            ),
        )
        .actual(counted.to_string())
        .change(format!(
            "`most_silos_per_patient` at least {least}, in mode `distributed`"
        ))
    })
}

fn silos_in_words(silos: u32) -> String {
    match silos {
        1 => "1 silo".to_owned(),
        more => format!("{more} silos"),
    }
}

fn isolation(floor: &Floor, request: &Request) -> Option<Condition> {
    let (least, reached) = (floor.isolation, request.isolation);
    (reached < least).then(|| {
        condition(
            Term::Isolation,
            least.as_str(),
            format!("isolation reached `{reached}` < `{least}`"),
        )
        .actual(reached.as_str())
        .nothing(format!(
            "until this silo's host reaches isolation `{least}`"
        ))
    })
}

// Delta is the chance that the promise fails outright: beyond a tenth of one patient's share it promises
// little to anybody. The number of patients is the study's public one, never a count; but who asks must not choose it so
// small that delta means nothing: there are not fewer than this floor admits of each silo.
fn delta(floor: &Floor, request: &Request) -> Option<Condition> {
    if !request.mode.is_noised() {
        return None;
    }
    let Some(expected) = request.expected_patients.filter(|patients| *patients > 0) else {
        return Some(
            condition(
                Term::Delta,
                "1/(10 expected_patients)",
                "the study names no expected_patients, which limits delta",
            )
            .change("`expected_patients` named in the study"),
        );
    };
    let patients = expected.max(floor.min_patients.saturating_mul(u64::from(request.silos)));
    let Some(delta) = request.delta else {
        return Some(
            condition(
                Term::Delta,
                format!("1/(10 x {patients})"),
                "the study names no delta",
            )
            .change(format!("delta at most 1/(10 x {patients})")),
        );
    };
    // COST: a float quotient; a number of patients above 2^53 does not occur.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a nominal number of patients, far below 2^53"
    )]
    let most = 1.0 / (10.0 * patients as f64);
    (delta.value() > most).then(|| {
        condition(
            Term::Delta,
            format!("{most:.2e}"),
            format!("delta {delta} > 1/(10 x {patients} patients) = {most:.2e}"),
        )
        .actual(delta.to_string())
        .change(format!("delta at most {most:.2e}"))
    })
}

fn condition(term: Term, limit: impl Into<String>, statement: impl Into<String>) -> Condition {
    Condition::new(Rule::Floor, term, limit, statement)
}
