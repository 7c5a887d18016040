// SPDX-License-Identifier: Apache-2.0
//! `privacy.unit`: whom the noise hides, one patient or everything that one silo contributes.

use consilium_privacy::noise_plan::Unit;

use super::section::Section;
use super::{Mode, StudyFault};

/// Patients, where a study says nothing.
pub(super) fn read(section: &mut Section, mode: Mode) -> Result<Unit, StudyFault> {
    if mode == Mode::None {
        section.refuse_all(&["unit"], "without noise nobody is hidden but by the sum")?;
    }
    let words = [Unit::Patient, Unit::Silo].map(|unit| (unit.name(), unit));
    let unit = section.word("unit", &words)?.unwrap_or_default();
    match (unit, mode) {
        (Unit::Silo, Mode::Local) => Err(section.invalid(
            "unit",
            "mode `local` adds a whole silo's noise to sums over its patients: they are the unit",
            "leave it out, or write `mode = \"distributed\"`",
        )),
        (Unit::Silo, Mode::Distributed) => {
            let problem = "where the silo is the unit its whole contribution is one vector, and no patient's is bounded";
            section.refuse_all(
                &["most_patients_per_silo", "most_rows_per_patient"],
                problem,
            )?;
            Ok(unit)
        }
        (Unit::Silo, Mode::None) | (Unit::Patient, _) => Ok(unit),
    }
}

/// The analyses that have one vector of a whole silo to clip.
pub(super) fn refused_for(unit: Unit, what: &str) -> Result<(), StudyFault> {
    match unit {
        Unit::Patient => Ok(()),
        Unit::Silo => Err(StudyFault::Invalid {
            field: "privacy.unit".to_owned(),
            problem: format!("{what} are sums over patients, and a whole hospital's part in them is not bounded"),
            fix: "leave it out: patients are the unit then; or write `method = \"fedavg\"` or `\"fedsgd\"` of a regression"
                .to_owned(),
        }),
    }
}

/// For the serialiser: nothing is written for patients, so that their studies keep their bytes.
pub(super) fn is_patient(unit: &Unit) -> bool {
    *unit == Unit::Patient
}
