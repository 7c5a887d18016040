// SPDX-License-Identifier: Apache-2.0

//! A policy file section by section: `[policy]`, `[floor]`, `[budget]`, and what must agree between them.

use std::collections::BTreeMap;

use consilium_privacy::loss::{Delta, Epsilon};
use toml::de::DeTable;

use super::examples;
use super::grants;
use super::reader::{Faults, Section};
use super::values::{amount, digest, text, whole_number, whole_number_from, word};
use super::{
    BudgetLimit, ChargedView, FEW_PATIENTS, FEWEST_SILOS, Floor, Grant, NoiseRule, Policy,
};
use crate::{
    Aggregation, InvalidPolicy, Isolation, PolicyFault, Problem, Release, Word, run_examples,
};

const FILE: &[&str] = &["policy", "floor", "budget", "grant", "never", "example"];
const POLICY: &[&str] = &["silo", "version", "previous"];
const FLOOR: &[&str] = &[
    "aggregation",
    "min_silos",
    "min_survivors",
    "differential_privacy",
    "min_patients",
    "min_patients_reason",
    "min_silos_per_patient",
    "isolation",
    "release",
];
const BUDGET: &[&str] = &["epsilon", "delta", "charge"];

pub(super) fn read(bytes: &[u8]) -> Result<Policy, InvalidPolicy> {
    let text = std::str::from_utf8(bytes).map_err(|_| whole_file(1, Problem::NotUtf8))?;
    let mut faults = Faults::new(text);
    let document = DeTable::parse(text).map_err(|fault| {
        let line = faults.line_of(fault.span().map_or(0, |span| span.start));
        whole_file(line, Problem::Syntax(fault.message().to_owned()))
    })?;
    let file = Section::new(document.get_ref(), "", 1, FILE, &mut faults);
    match read_file(&file, &mut faults) {
        Some(policy) if faults.is_empty() => Ok(policy),
        _ => Err(InvalidPolicy::new(faults.into_noted())),
    }
}

fn read_file(file: &Section<'_>, faults: &mut Faults<'_>) -> Option<Policy> {
    for (key, wanted) in [
        ("policy", "a section `[policy]` with `silo` and `version`"),
        ("floor", "a section `[floor]`"),
    ] {
        if !file.has(key) {
            file.fault(key, Problem::Missing { wanted }, faults);
        }
    }
    let head = file
        .table("policy", POLICY, faults)
        .and_then(|section| read_head(&section, faults));
    let floor = file
        .table("floor", FLOOR, faults)
        .and_then(|section| read_floor(&section, faults));
    let budgets = read_budgets(file, faults);
    let grants: Vec<(usize, Grant)> = grants::read_grants(file, faults);
    let nevers = grants::read_nevers(file, faults);
    let (silo, version, previous) = head?;
    let floor = floor?;
    check_together(&floor, &budgets, &grants, faults);
    let examples = examples::read_examples(file, &floor, faults);
    let (lines, examples): (Vec<usize>, Vec<_>) = examples.into_iter().unzip();
    let grants = grants.into_iter().map(|(_, grant)| grant).collect();
    let policy = Policy {
        silo,
        version,
        previous,
        floor,
        budgets,
        grants,
        nevers,
        examples,
    };
    if faults.is_empty() {
        for (outcome, line) in run_examples(&policy).into_iter().zip(lines) {
            if !outcome.passed() {
                faults.note(line, "example", Problem::ExampleFailed(outcome.to_string()));
            }
        }
    }
    Some(policy)
}

fn read_head(
    section: &Section<'_>,
    faults: &mut Faults<'_>,
) -> Option<(String, u32, Option<String>)> {
    let silo = section.required("silo", "the name of this silo in the roster", faults, text);
    let version = section.required(
        "version",
        "a whole number from 1, one more than before",
        faults,
        whole_number_from(1),
    );
    let previous = section.optional(
        "previous",
        "the digest of the version before, 64 hexadecimal digits",
        faults,
        |value| digest(text(value)?),
    );
    Some((silo?, version?, previous))
}

fn read_floor(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Floor> {
    let aggregation = section.required("aggregation", "`secure`", faults, word::<Aggregation>);
    let min_silos = section.required(
        "min_silos",
        "a whole number from 3",
        faults,
        whole_number_from(FEWEST_SILOS),
    );
    let min_survivors = section.required(
        "min_survivors",
        "a whole number from 3",
        faults,
        whole_number_from(FEWEST_SILOS),
    );
    let differential_privacy = section.required(
        "differential_privacy",
        "`required` or `required-unless-agreed`",
        faults,
        word::<NoiseRule>,
    );
    let min_patients = section.required("min_patients", "a whole number from 1", faults, |value| {
        match whole_number(value)? {
            0 => Err("`0`".to_owned()),
            number => Ok(number),
        }
    });
    let min_patients_reason =
        section.optional("min_patients_reason", "the reason in words", faults, text);
    let min_silos_per_patient = section.optional(
        "min_silos_per_patient",
        "how many of the hospitals may know one patient, a whole number from 1",
        faults,
        whole_number_from(1),
    );
    let isolation = section.required(
        "isolation",
        "the least isolation: `process`, `no-network`, `sandbox` or `namespaces`",
        faults,
        word::<Isolation>,
    );
    let release = section.required("release", "`aggregate`", faults, word::<Release>);
    if min_patients.is_some_and(|least| least < FEW_PATIENTS) && !section.has("min_patients_reason")
    {
        let message = format!(
            "is below {FEW_PATIENTS} without a reason; write it beside it as `min_patients_reason`"
        );
        section.fault("min_patients", Problem::Conflict(message), faults);
    }
    if let (Some(silos), Some(survivors)) = (min_silos, min_survivors)
        && survivors > silos
    {
        let message = format!(
            "is {survivors}, more than the {silos} silos of `min_silos`; lower it or raise the other"
        );
        section.fault("min_survivors", Problem::Conflict(message), faults);
    }
    Some(Floor {
        aggregation: aggregation?,
        min_silos: min_silos?,
        min_survivors: min_survivors?,
        differential_privacy: differential_privacy?,
        min_patients: min_patients?,
        min_patients_reason,
        min_silos_per_patient: min_silos_per_patient.unwrap_or(1),
        isolation: isolation?,
        release: release?,
    })
}

fn read_budgets(file: &Section<'_>, faults: &mut Faults<'_>) -> BTreeMap<String, BudgetLimit> {
    let mut budgets = BTreeMap::new();
    for (data, section) in file.named_tables("budget", BUDGET, faults) {
        let epsilon = section.required(
            "epsilon",
            "a decimal in quotes, for example `\"4\"`",
            faults,
            amount(Epsilon::parse),
        );
        let delta = section.required(
            "delta",
            "a decimal in quotes, for example `\"1e-5\"`",
            faults,
            amount(Delta::parse),
        );
        let charge = section.optional(
            "charge",
            "`colluders`, or `masks-broken` to charge what each silo's own noise hides",
            faults,
            word::<ChargedView>,
        );
        if let (Some(epsilon), Some(delta)) = (epsilon, delta) {
            let limit = BudgetLimit {
                epsilon,
                delta,
                charge: charge.unwrap_or_default(),
            };
            budgets.insert(data, limit);
        }
    }
    budgets
}

fn check_together(
    floor: &Floor,
    budgets: &BTreeMap<String, BudgetLimit>,
    grants: &[(usize, Grant)],
    faults: &mut Faults<'_>,
) {
    for (line, grant) in grants {
        let name = &grant.name;
        if grant.agreement.is_some() && floor.differential_privacy == NoiseRule::Required {
            let message = format!(
                "of grant `{name}` contradicts `differential_privacy = \"required\"` of the floor; remove one of them, or let the floor say `required-unless-agreed`"
            );
            faults.note(*line, "grant.without_noise", Problem::Conflict(message));
        }
        for data in grant
            .data
            .iter()
            .filter(|data| !grant.modes.is_empty() && !budgets.contains_key(*data))
        {
            let message = format!(
                "of grant `{name}` permit noised studies on `{data}`, which has no budget; add a section `[budget.\"{data}\"]`"
            );
            faults.note(*line, "grant.modes", Problem::Conflict(message));
        }
    }
}

impl Word for NoiseRule {
    const ALL: &'static [Self] = &[Self::Required, Self::UnlessAgreed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnlessAgreed => "required-unless-agreed",
        }
    }
}

fn whole_file(line: usize, problem: Problem) -> InvalidPolicy {
    InvalidPolicy::new(vec![PolicyFault {
        line,
        key: String::new(),
        problem,
    }])
}
