// SPDX-License-Identifier: Apache-2.0
//! A study's record as those who watch see it.

use crate::admission::admit;
use crate::federation::Federation;
use crate::study::{Answer, Study};
use consilium_learning::study::Mode;
use consilium_wire::v1;

/// The study as it stands, outside a round.
pub(crate) fn progress_of(study: &Study, federation: &Federation) -> v1::StudyProgress {
    progress_with(study, federation, &Amounts::of(study, federation))
}

/// The same when the numbers of the study file are known.
pub(crate) fn progress_with(
    study: &Study,
    federation: &Federation,
    amounts: &Amounts,
) -> v1::StudyProgress {
    let connected = federation.sessions.connected();
    let silos = study.invited.iter().map(|silo| v1::SiloProgress {
        name: silo.to_string(),
        connected: connected.contains(silo),
        answer: study
            .answers
            .get(silo)
            .map_or(v1::SiloAnswer::Awaited, |answer| {
                v1::SiloAnswer::from(*answer)
            })
            .into(),
    });
    let refusals = study.refusals.iter().map(|refusal| v1::SiloRefusal {
        silo: refusal.silo.to_string(),
        conditions: refusal
            .conditions
            .iter()
            .map(|(rule, text)| v1::Condition {
                rule: rule.clone(),
                text: text.clone(),
            })
            .collect(),
        policy_version: refusal.policy_version.clone(),
    });
    let dropouts = study.dropouts.iter().map(|dropout| v1::Dropout {
        silo: dropout.silo.to_string(),
        round: dropout.round,
        phase: dropout.phase.clone(),
    });
    v1::StudyProgress {
        study_id: study.id.clone(),
        name: study.name.clone(),
        state: v1::StudyState::from(study.state).into(),
        phase: String::new(),
        round: study.rounds_done,
        rounds_at_most: amounts.rounds,
        attempt: study.attempt,
        silos: silos.collect(),
        bytes_received: study.bytes_received,
        attempts_charged: study.attempts_charged,
        attempts_reserved: amounts.attempts,
        epsilon: amounts.epsilon.clone(),
        delta: amounts.delta.clone(),
        refusals: refusals.collect(),
        reason: study.reason.clone(),
        dropouts: dropouts.collect(),
    }
}

/// Numbers that stand in the study file.
///
/// COST: the privacy amounts are calibrated, which takes a while; compute them once per study.
#[derive(Debug, Default)]
pub(crate) struct Amounts {
    rounds: u32,
    attempts: u32,
    epsilon: String,
    delta: String,
}

impl Amounts {
    pub(crate) fn of(study: &Study, federation: &Federation) -> Self {
        let Some(roster) = federation.roster() else {
            return Self::default();
        };
        let Ok(admitted) = admit(&study.bytes, &study.invited, &roster) else {
            return Self::default();
        };
        let rounds = admitted.study.all_rounds();
        match admitted.study.privacy.mode() {
            Mode::None => Self {
                rounds,
                ..Self::default()
            },
            Mode::Distributed | Mode::Local => {
                let thresholds = admitted.plan.thresholds;
                let silos = u32::try_from(admitted.plan.silos.len()).unwrap_or(u32::MAX);
                let statement = admitted.study.privacy_statement(
                    silos,
                    thresholds.dropouts,
                    thresholds.colluders,
                );
                let statement = statement.ok().flatten();
                Self {
                    rounds,
                    attempts: admitted.study.all_attempts(),
                    epsilon: statement
                        .as_ref()
                        .map(|statement| statement.colluders.epsilon.to_string())
                        .unwrap_or_default(),
                    delta: statement
                        .map(|statement| statement.delta.to_string())
                        .unwrap_or_default(),
                }
            }
        }
    }
}

impl Study {
    /// Whether every invited silo has agreed.
    pub(crate) fn is_agreed(&self) -> bool {
        self.invited
            .iter()
            .all(|silo| self.answers.get(silo) == Some(&Answer::Granted))
    }
}
