// SPDX-License-Identifier: Apache-2.0
//! Open: the beginning of an attempt, and the last moment at which this hospital may still say no to it.
//!
//! ```text
//! seen before? -> too far ahead? -> released or forgotten? -> consented? -> rounds left? -> permitted today? -> own plan -> budget or cohort -> machine
//! ```

use std::sync::Arc;

use consilium_learning::model::Stage;
use consilium_protocol::{AttemptId, Delivery, SiloEvent, peek_plan};
use tracing::{info, warn};

use super::deciding::today;
use super::rounds::attempt_name;
use super::{Agent, AgentFault};
use crate::explain;
use crate::journal::{JournalFault, StudyRecord, StudyState};
use crate::ledger::job_name;
use crate::study_terms::StudyTerms;

impl Agent {
    /// An Open: this silo derives the plan itself, from the study it consented to and its own model.
    pub(super) fn opened(&mut self, study: &str, delivery: Delivery) -> Result<(), AgentFault> {
        let Some(offered) = peek_plan(&delivery) else {
            return Ok(());
        };
        match place_in_time(self.machine.highest_attempt(), offered.id) {
            // The machine gives the stored answer to a byte-identical repeat and discards everything else, before it
            // compares any plan: there is nothing to decide about it again.
            Time::Past => {
                let expected = offered;
                return self.step(study, SiloEvent::Opened { delivery, expected });
            }
            Time::TooFarAhead => {
                warn!(study, id = %offered.id, "a round was discarded: its number is too far ahead");
                return Ok(());
            }
            Time::Next => {}
        }
        let released = self.journal.newest_release()?.map(|(id, _)| id.round);
        if released >= Some(offered.id.round) {
            info!(study, id = %offered.id, "a late Open was left alone: its round was released");
            return Ok(());
        }
        let Some(record) = self.journal.study(study)? else {
            return self.decline(
                study,
                "unknown",
                "a round was opened for a study that was never offered",
            );
        };
        if record.state != StudyState::Granted {
            let reason = format!(
                "a round was opened for a study that is {}",
                record.state.word()
            );
            return self.decline(study, "not_consented", &reason);
        }
        let terms = match self.terms_of(&record) {
            Ok(terms) => terms,
            Err(fault) => return self.decline(study, "not_ready", &explain(&fault)),
        };
        let model = match terms.model(record.model.as_deref()) {
            Ok(model) => model,
            Err(fault) => return self.decline(study, "not_ready", &explain(&fault)),
        };
        let is_trained = model.stage == Stage::Training && model.rounds >= terms.study.rounds.most;
        if record.complete || is_trained {
            let reason = "a round was opened for a study that has had all its rounds";
            return self.decline(study, "complete", reason);
        }
        if let Err(reason) = self.still_permitted(&record, &terms) {
            return self.decline(study, "no_longer_permitted", &reason);
        }
        let expected = match terms.plan(offered.id, &self.membership, &model) {
            Ok(expected) => expected,
            Err(fault) => return self.decline(study, "not_ready", &explain(&fault)),
        };
        if terms.study.is_noised() {
            let job = job_name(study, model.stage);
            if !self.ledger.covers(&job, &attempt_name(expected.id)) {
                return self.decline(
                    study,
                    "budget",
                    "no attempt that was set aside for the study is left",
                );
            }
        } else {
            let data_set = match self.data_sets.find(&terms.study.heading.data) {
                Ok(data_set) => data_set,
                Err(fault) => return self.decline(study, "not_ready", &explain(&fault)),
            };
            match self
                .journal
                .bind_cohort(data_set.file(), &terms.invited_names())
            {
                Ok(()) => {}
                Err(
                    fault @ (JournalFault::OtherCohort { .. } | JournalFault::ReplacedData { .. }),
                ) => {
                    return self.decline(study, "cohort", &fault.to_string());
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        self.shared_log
            .expect_release(self.journal.newest_release()?);
        self.step(study, SiloEvent::Opened { delivery, expected })
    }

    /// Consent is not given once and for all: researcher, roster, policy, ethics approval and hours are looked at again.
    fn still_permitted(&self, record: &StudyRecord, terms: &Arc<StudyTerms>) -> Result<(), String> {
        let policy = self.folder.policy();
        let (date, hour) = today();
        let desk = self.desk(&policy, date, hour);
        desk.reconsider(&record.id, &record.offer, terms)
            .map_err(|refused| refused.own_log.join("; "))
    }
}

/// An attempt beside those that this silo has answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Time {
    /// The highest one, or one before it.
    Past,
    /// A higher one.
    Next,
    /// SECURITY: a number so high that none is left above it would shut this silo out of every later round.
    TooFarAhead,
}

fn place_in_time(highest: Option<AttemptId>, offered: AttemptId) -> Time {
    let (round, is_past) = highest.map_or((0, false), |highest| {
        (highest.round, highest.order() >= offered.order())
    });
    if is_past {
        Time::Past
    } else if offered.round.saturating_sub(round) > MOST_ROUNDS_AHEAD {
        Time::TooFarAhead
    } else {
        Time::Next
    }
}

/// Rounds that others may have had since this silo's last: thirty years of a round every second.
const MOST_ROUNDS_AHEAD: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_only_grow_and_never_leap_to_the_end_of_numbers() {
        let id = |round, attempt| AttemptId {
            epoch: 1,
            round,
            attempt,
        };
        assert_eq!(place_in_time(None, id(1, 1)), Time::Next);
        assert_eq!(place_in_time(None, id(u64::MAX, 1)), Time::TooFarAhead);
        assert_eq!(place_in_time(Some(id(7, 2)), id(7, 2)), Time::Past);
        assert_eq!(place_in_time(Some(id(7, 2)), id(6, 9)), Time::Past);
        assert_eq!(place_in_time(Some(id(7, 2)), id(7, 3)), Time::Next);
        assert_eq!(place_in_time(Some(id(7, 2)), id(8, 1)), Time::Next);
        assert_eq!(
            place_in_time(Some(id(7, 2)), id(2_000_000_000, 1)),
            Time::TooFarAhead
        );
    }
}
