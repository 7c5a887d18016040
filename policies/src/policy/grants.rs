// SPDX-License-Identifier: Apache-2.0

//! What is permitted and what is never: `[[grant]]` and `[[never]]`.

use consilium_privacy::loss::{Delta, Epsilon};
use consilium_privacy::noise_plan::Unit;
use toml::de::DeValue;

use super::reader::{Faults, Section, note_repeated_names};
use super::values::{
    amount, analysis, date, digest, hours, spelt, text, texts, truth, whole_number_from, words,
};
use super::{Ethics, Grant, Never};
use crate::words::ANALYSES;
use crate::{Approval, Mode, Problem};

const GRANT: &[&str] = &[
    "name",
    "who",
    "data",
    "purpose",
    "analyses",
    "basis",
    "ethics",
    "plans",
    "modes",
    "units",
    "without_noise",
    "epsilon_per_job",
    "delta_per_job",
    "rounds_per_job",
    "hours",
    "person_must_approve",
];
const ETHICS: &[&str] = &["ref", "until"];
const NEVER: &[&str] = &[
    "name", "reason", "who", "data", "purpose", "analyses", "modes",
];
const NAME: &str = "a short name, by which decisions cite this section";
const LIST: &str = "a list of texts in quotes, for example `[\"a\", \"b\"]`";
const AGREED: &str = "permitted by agreement ";

/// The grants, each with its line.
pub(super) fn read_grants(file: &Section<'_>, faults: &mut Faults<'_>) -> Vec<(usize, Grant)> {
    let sections = file.tables("grant", GRANT, faults);
    note_repeated_names(&sections, faults);
    sections
        .iter()
        .filter_map(|section| Some((section.line(), read_grant(section, faults)?)))
        .collect()
}

/// The prohibitions.
pub(super) fn read_nevers(file: &Section<'_>, faults: &mut Faults<'_>) -> Vec<Never> {
    let sections = file.tables("never", NEVER, faults);
    note_repeated_names(&sections, faults);
    sections
        .iter()
        .filter_map(|section| read_never(section, faults))
        .collect()
}

fn read_grant(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Grant> {
    let name = section.required("name", NAME, faults, text);
    let who = section.required("who", LIST, faults, texts);
    let data = section.required("data", LIST, faults, texts);
    let purpose = section.required("purpose", LIST, faults, texts);
    let analyses = read_analyses(section, true, faults);
    let basis = section.optional("basis", "the legal basis in words", faults, text);
    let ethics = read_ethics(section, faults);
    let plans = section.optional(
        "plans",
        "a list of digests of 64 hexadecimal digits",
        faults,
        |value| {
            texts(value)?
                .into_iter()
                .map(digest)
                .collect::<Result<Vec<_>, _>>()
        },
    );
    let modes = section.optional(
        "modes",
        "a list of `distributed`, `local`",
        faults,
        noised_modes,
    );
    let units = section.optional(
        "units",
        "a list of `patient`, `silo`",
        faults,
        words::<Unit>,
    );
    let agreement = section.optional(
        "without_noise",
        "`permitted by agreement …` with the reference of the agreement",
        faults,
        agreement,
    );
    let epsilon = section.optional(
        "epsilon_per_job",
        "a decimal in quotes, for example `\"1.0\"`",
        faults,
        amount(Epsilon::parse),
    );
    let delta = section.optional(
        "delta_per_job",
        "a decimal in quotes, for example `\"1e-5\"`",
        faults,
        amount(Delta::parse),
    );
    let rounds = section.required(
        "rounds_per_job",
        "a whole number from 1",
        faults,
        whole_number_from(1),
    );
    let hours = section.optional(
        "hours",
        "two whole hours in UTC, from and to, for example `[7, 19]`",
        faults,
        hours,
    );
    let approval = section.required("person_must_approve", "`true` or `false`", faults, truth);
    if !section.has("modes") && !section.has("without_noise") {
        section.fault(
            "modes",
            Problem::Missing {
                wanted: "the noised modes that are permitted, or `without_noise`, or both",
            },
            faults,
        );
    }
    if section.has("units") && !section.has("modes") {
        section.fault(
            "units",
            Problem::Conflict(
                "is for studies with noise: name the `modes` too, or remove it".to_owned(),
            ),
            faults,
        );
    }
    if section.has("modes") && !section.has("epsilon_per_job") {
        section.fault(
            "epsilon_per_job",
            Problem::Missing {
                wanted: "the greatest epsilon of one noised study",
            },
            faults,
        );
    }
    Some(Grant {
        name: name?,
        who: who?,
        data: data?,
        purpose: purpose?,
        analyses: analyses?,
        basis,
        ethics: ethics?,
        plans: plans.unwrap_or_default(),
        modes: modes.unwrap_or_default(),
        units: units.unwrap_or_else(|| vec![Unit::Patient]),
        agreement,
        epsilon_per_job: epsilon,
        delta_per_job: delta,
        rounds_per_job: rounds?,
        hours,
        approval: if approval? {
            Approval::Person
        } else {
            Approval::Automatic
        },
    })
}

fn read_ethics(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Ethics> {
    if !section.has("ethics") {
        section.fault(
            "ethics",
            Problem::Missing {
                wanted: "`{ ref = \"…\", until = \"2026-11-30\" }`",
            },
            faults,
        );
    }
    let ethics = section.table("ethics", ETHICS, faults)?;
    let reference = ethics.required("ref", "the reference of the approval", faults, text);
    let until = ethics.required(
        "until",
        "the last day on which it holds, for example `\"2026-11-30\"`",
        faults,
        date,
    );
    Some(Ethics {
        reference: reference?,
        until: until?,
    })
}

fn read_never(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Never> {
    let name = section.required("name", NAME, faults, text);
    let reason = section.required("reason", "why, in words", faults, text);
    let never = Never {
        name: name?,
        reason: reason?,
        who: section.optional("who", LIST, faults, texts),
        data: section.optional("data", LIST, faults, texts),
        purpose: section.optional("purpose", LIST, faults, texts),
        analyses: read_analyses(section, false, faults),
        modes: section.optional(
            "modes",
            "a list of `none`, `distributed`, `local`",
            faults,
            words::<Mode>,
        ),
    };
    if !["who", "data", "purpose", "analyses", "modes"]
        .iter()
        .any(|key| section.has(key))
    {
        let message = "names nothing and so would refuse everything; name `who`, `data`, `purpose`, `analyses` or `modes`".to_owned();
        faults.note(section.line(), "never", Problem::Conflict(message));
    }
    Some(never)
}

fn read_analyses(
    section: &Section<'_>,
    must: bool,
    faults: &mut Faults<'_>,
) -> Option<Vec<String>> {
    let read = |value: &DeValue<'_>| {
        texts(value)?
            .into_iter()
            .map(analysis)
            .collect::<Result<Vec<_>, _>>()
    };
    if must && !section.has("analyses") {
        section.fault(
            "analyses",
            Problem::Missing {
                wanted: "the kinds of analysis that are permitted",
            },
            faults,
        );
    }
    section.optional(
        "analyses",
        &format!("a list of {}", spelt(ANALYSES)),
        faults,
        read,
    )
}

fn noised_modes(value: &DeValue<'_>) -> Result<Vec<Mode>, String> {
    let modes = words::<Mode>(value)?;
    if modes.contains(&Mode::None) {
        return Err("`none` (permit it by `without_noise`, with the agreement)".to_owned());
    }
    Ok(modes)
}

fn agreement(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    match text.strip_prefix(AGREED) {
        Some(reference) => Ok(reference.trim().to_owned()),
        None => Err(format!("`{text}`")),
    }
}
