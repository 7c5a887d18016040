// SPDX-License-Identifier: Apache-2.0

//! `[[example]]`: a request and how it must be decided.

use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;

use super::reader::{Faults, Section, note_repeated_names};
use super::values::{
    amount, analysis, date, digest, hour, spellings, text, whole_number, whole_number_from, word,
    words,
};
use super::{Example, Expected, Floor};
use crate::{BudgetUse, Isolation, Mode, PatientCount, Problem, Request, Term};

const EXAMPLE: &[&str] = &[
    "name",
    "decision",
    "because",
    "who",
    "data",
    "purpose",
    "basis",
    "ethics",
    "analysis",
    "plan",
    "mode",
    "unit",
    "epsilon",
    "delta",
    "expected_patients",
    "silos_per_patient",
    "rounds",
    "silos",
    "survivors",
    "isolation",
    "date",
    "hour",
    "patients",
];

/// The examples, each with its line.
pub(super) fn read_examples(
    file: &Section<'_>,
    floor: &Floor,
    faults: &mut Faults<'_>,
) -> Vec<(usize, Example)> {
    let sections = file.tables("example", EXAMPLE, faults);
    note_repeated_names(&sections, faults);
    sections
        .iter()
        .filter_map(|section| Some((section.line(), read_example(section, floor, faults)?)))
        .collect()
}

fn read_example(section: &Section<'_>, floor: &Floor, faults: &mut Faults<'_>) -> Option<Example> {
    let name = section.required("name", "what the example shows", faults, text);
    let permit = section.required(
        "decision",
        "`permit` or `refuse`",
        faults,
        |value| match text(value)?.as_str() {
            "permit" => Ok(true),
            "refuse" => Ok(false),
            other => Err(format!("`{other}`")),
        },
    );
    let because = section.optional("because", &spellings::<Term>(), faults, words::<Term>);
    if permit == Some(true) && section.has("because") {
        section.fault(
            "because",
            Problem::Conflict(
                "stands beside `decision = \"permit\"`; remove one of them".to_owned(),
            ),
            faults,
        );
    }
    let who = section.required("who", "a researcher", faults, text);
    let data = section.required("data", "a data set", faults, text);
    let purpose = section.required("purpose", "a purpose", faults, text);
    let analysis = section.required("analysis", "a kind of analysis", faults, |value| {
        analysis(text(value)?)
    });
    let mode = section.required(
        "mode",
        "`none`, `distributed` or `local`",
        faults,
        word::<Mode>,
    );
    let rounds = section.required(
        "rounds",
        "a whole number from 1",
        faults,
        whole_number_from(1),
    );
    let on = section.required(
        "date",
        "the day on which it is asked, for example `\"2026-06-01\"`",
        faults,
        date,
    );
    let silos = section
        .optional("silos", "a whole number", faults, whole_number_from(0))
        .unwrap_or(floor.min_silos);
    let survivors = section
        .optional("survivors", "a whole number", faults, whole_number_from(0))
        .unwrap_or(floor.min_survivors);
    let silos_per_patient = section
        .optional(
            "silos_per_patient",
            "a whole number",
            faults,
            whole_number_from(1),
        )
        .unwrap_or(floor.min_silos_per_patient);
    let hour = section.optional("hour", "a whole hour, 0 to 23", faults, |value| {
        hour(value, 0..=23)
    });
    let patients = section.optional("patients", "a whole number", faults, whole_number);
    let request = Request {
        who: who?,
        data: data?,
        lineage: None,
        purpose: purpose?,
        basis: section.optional("basis", "a legal basis", faults, text),
        ethics: section.optional(
            "ethics",
            "the reference of an ethics approval",
            faults,
            text,
        ),
        analysis: analysis?,
        plan: section.optional(
            "plan",
            "a digest of 64 hexadecimal digits",
            faults,
            |value| digest(text(value)?),
        ),
        mode: mode?,
        unit: section
            .optional("unit", "`patient` or `silo`", faults, word::<Unit>)
            .unwrap_or_default(),
        epsilon: section.optional(
            "epsilon",
            "a decimal in quotes",
            faults,
            amount(Epsilon::parse),
        ),
        delta: section.optional("delta", "a decimal in quotes", faults, amount(Delta::parse)),
        expected_patients: section.optional(
            "expected_patients",
            "a whole number",
            faults,
            whole_number,
        ),
        silos_per_patient,
        rounds: rounds?,
        silos,
        min_survivors: survivors,
        isolation: section
            .optional(
                "isolation",
                &spellings::<Isolation>(),
                faults,
                word::<Isolation>,
            )
            .unwrap_or(floor.isolation),
        date: on?,
        hour: hour.unwrap_or(NOON),
        budget: BudgetUse::Assumed,
        patients: patients.map_or(PatientCount::Assumed, PatientCount::Registered),
    };
    let expected = if permit? {
        Expected::Permit
    } else {
        Expected::Refuse { because }
    };
    Some(Example {
        name: name?,
        request,
        expected,
    })
}

/// The hour of an example that names none.
const NOON: u8 = 12;
