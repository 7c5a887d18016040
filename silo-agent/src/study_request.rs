// SPDX-License-Identifier: Apache-2.0
//! What a study asks of a policy: the same at the hospital and in a dry run away from it.

use consilium_learning::study::{Mode as StudyMode, Study};
use consilium_policies::{BudgetUse, Date, Isolation, Mode, PatientCount, Request};
use consilium_privacy::noise_plan::Unit;

/// What a decision looks at beside the study itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// How many silos are invited.
    pub silos: u32,
    /// The fewest silos over which a sum is released.
    pub min_survivors: u32,
    /// The isolation that the host reaches.
    pub isolation: Isolation,
    /// The date of the decision, in UTC.
    pub date: Date,
    /// The hour of the decision, in UTC.
    pub hour: u8,
    /// What the study takes of the data set's budget.
    pub budget: BudgetUse,
    /// How many patients the data set holds.
    pub patients: PatientCount,
}

/// The study as the policy is asked about it.
#[must_use]
pub fn study_request(study: &Study, circumstances: &Circumstances) -> Request {
    let (epsilon, delta, expected_patients) = match study.privacy.promise() {
        None => (None, None, None),
        Some(noise) => (
            Some(noise.epsilon),
            Some(noise.delta),
            Some(noise.expected_patients),
        ),
    };
    let heading = &study.heading;
    Request {
        who: heading.researcher.clone(),
        data: heading.data.clone(),
        lineage: None,
        purpose: heading.purpose.clone(),
        basis: heading.basis.clone(),
        ethics: Some(heading.ethics.clone()),
        analysis: study.analysis.kind().to_owned(),
        plan: None,
        mode: match study.privacy.mode() {
            StudyMode::None => Mode::None,
            StudyMode::Distributed => Mode::Distributed,
            StudyMode::Local => Mode::Local,
        },
        unit: study
            .privacy
            .promise()
            .map_or(Unit::Patient, |promise| promise.unit),
        epsilon,
        delta,
        expected_patients,
        silos_per_patient: study
            .privacy
            .promise()
            .map_or(1, |promise| promise.most_silos_per_patient),
        rounds: study.all_attempts(),
        silos: circumstances.silos,
        min_survivors: circumstances.min_survivors,
        isolation: circumstances.isolation,
        date: circumstances.date,
        hour: circumstances.hour,
        budget: circumstances.budget,
        patients: circumstances.patients,
    }
}
