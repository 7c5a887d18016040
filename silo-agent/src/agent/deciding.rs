// SPDX-License-Identifier: Apache-2.0
//! Whether this silo takes part: the policy first, then a look at the data, then a person where one is asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use consilium_audit::entry::{EventKind, Outcome, PrivacyStatement};
use consilium_policies::{Approval, Date};
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::ready_grid_milliseconds;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::info;

use super::{Agent, AgentFault, Input};
use crate::consent::{ConsentFault, Desk, Permitted, Refused, Verdict, study_reference};
use crate::crash::{CrashPlace, CrashPoint};
use crate::explain;
use crate::journal::{Offer, StudyState};
use crate::ledger::LedgerFault;
use crate::own_log::with_details;
use crate::trainer_child::pipe::TableFacts;

/// What a trainer saw of the data for an undecided study.
#[derive(Debug)]
pub(crate) struct Checked {
    study: String,
    approved_by: Option<String>,
    since: Instant,
    grid: Duration,
    outcome: Result<TableFacts, String>,
}

impl Agent {
    /// Decides about a study; `approved_by` is the person who has said yes, if one has.
    pub(super) fn decide(
        &mut self,
        id: &str,
        offer: &Offer,
        approved_by: Option<&str>,
    ) -> Result<(), AgentFault> {
        if self.checking.contains(id) {
            return Ok(());
        }
        match self.consider(id, offer)? {
            Verdict::Refused(refused) => self.refuse(id, &refused, None),
            Verdict::NotReady(reason) => self.not_ready(id, offer, &reason, None),
            Verdict::Permitted(permitted) => match (&permitted.first_ask, approved_by) {
                (Some(_), None) => self.ask_person(id, offer, &permitted, None),
                (Some(_), Some(_)) | (None, _) => {
                    self.check(id, *permitted, approved_by);
                    Ok(())
                }
            },
        }
    }

    fn consider(&self, id: &str, offer: &Offer) -> Result<Verdict, AgentFault> {
        let policy = self.folder.policy();
        let (date, hour) = today();
        let desk = self.desk(&policy, date, hour);
        match desk.consider(id, offer) {
            Ok(verdict) => Ok(verdict),
            Err(ConsentFault::Journal(fault)) => Err(fault.into()),
        }
    }

    pub(super) fn desk<'a>(&'a self, policy: &'a Path, date: Date, hour: u8) -> Desk<'a> {
        Desk {
            silo: self.name.as_str(),
            roster: &self.roster,
            membership: &self.membership,
            policy,
            data_sets: &self.data_sets,
            journal: &self.journal,
            ledger: &self.ledger,
            isolation: self.isolation,
            date,
            hour,
        }
    }

    /// Has a trainer look at the data, on a thread of its own: rounds and cosignatures do not wait for a large table.
    fn check(&mut self, id: &str, permitted: Permitted, approved_by: Option<&str>) {
        let isolation = permitted.policy.policy.floor.isolation;
        let (trainer, inputs, job) = (self.trainer.clone(), self.inputs.clone(), permitted.job);
        let (study, approved_by) = (id.to_owned(), approved_by.map(str::to_owned));
        self.checking.insert(study.clone());
        let since = Instant::now();
        let grid = consent_grid(&permitted.terms.vectors.training);
        std::thread::spawn(move || {
            let outcome = trainer
                .check(job, isolation)
                .map_err(|fault| explain(&fault));
            inputs.send(Input::Checked(Checked {
                study,
                approved_by,
                since,
                grid,
                outcome,
            }))
        });
    }

    /// A trainer has looked at the data. Everything else is decided again: it may have changed meanwhile.
    pub(super) fn checked(&mut self, checked: Checked) -> Result<(), AgentFault> {
        let Checked {
            study: id,
            approved_by,
            since,
            grid,
            outcome,
        } = checked;
        self.checking.remove(&id);
        let Some(record) = self.journal.study(&id)? else {
            return Ok(());
        };
        if !matches!(
            record.state,
            StudyState::Offered | StudyState::AwaitingApproval
        ) {
            return Ok(());
        }
        let due = Some(next_on_grid(since, grid));
        let permitted = match self.consider(&id, &record.offer)? {
            Verdict::Refused(refused) => return self.refuse(&id, &refused, due),
            Verdict::NotReady(reason) => return self.not_ready(&id, &record.offer, &reason, due),
            Verdict::Permitted(permitted) => permitted,
        };
        match outcome {
            Err(reason) => return self.not_ready(&id, &record.offer, &reason, due),
            Ok(facts) => self.log_facts(&id, &facts)?,
        }
        match (permitted.permit.approval, approved_by) {
            (Approval::Person, None) => self.ask_person(&id, &record.offer, &permitted, due),
            (Approval::Person | Approval::Automatic, approved_by) => {
                self.grant(&id, &permitted, approved_by.as_deref(), due)
            }
        }
    }

    /// Sets the budget aside, and only then consents.
    fn grant(
        &mut self,
        id: &str,
        permitted: &Permitted,
        approved_by: Option<&str>,
        due: Option<Instant>,
    ) -> Result<(), AgentFault> {
        let Permitted {
            permit,
            terms,
            policy,
            lineage,
            ..
        } = permitted;
        let data = &terms.study.heading.data;
        if terms.study.is_noised() {
            let Some(limit) = policy.policy.budget(lineage) else {
                let refused = Refused::by_rule("budget", "this policy sets none for the data set");
                return self.refuse(id, &refused, due);
            };
            match self
                .ledger
                .reserve(&mut self.journal, lineage, limit, id, &terms.vectors)
            {
                Ok(()) => {}
                Err(
                    fault @ (LedgerFault::Refused(_)
                    | LedgerFault::Budget(_)
                    | LedgerFault::OtherBudget { .. }
                    | LedgerFault::Unpriced(_)),
                ) => {
                    let mut refused = Refused::by_rule("budget", explain(&fault));
                    if matches!(fault, LedgerFault::Refused(_)) {
                        let path = self.folder.policy();
                        let (date, hour) = today();
                        let desk = self.desk(&path, date, hour);
                        refused =
                            desk.with_alternatives(refused, id, terms, &policy.policy, lineage);
                    }
                    return self.refuse(id, &refused, due);
                }
                Err(fault) => return Err(fault.into()),
            }
            CrashPoint::reached(self.crash_point, CrashPlace::LedgerReserved, 1);
        }
        let reference = study_reference(id, &terms.study, permit);
        if let Some(noise) = terms.study.privacy.promise() {
            let reserved = self
                .own_log
                .event(EventKind::PrivacyReserved)?
                .with_study(reference.clone());
            let reserved = reserved
                .with_object(lineage.clone())
                .with_privacy(PrivacyStatement {
                    unit: noise.unit.name().to_owned(),
                    accountant: "rdp".to_owned(),
                    epsilon: noise.epsilon.to_string(),
                    delta: noise.delta.to_string(),
                    spent: self
                        .ledger
                        .account(lineage)
                        .map(|account| account.committed_share().to_string()),
                    limit: None,
                });
            let view = self.ledger.charged_view(id).unwrap_or_default();
            self.own_log
                .record(&with_details(reserved, &[("charged_view", view.name())]))?;
        }
        let kept = self.own_log.keep(&policy.bytes)?;
        let consented = self
            .own_log
            .event(EventKind::StudyConsented)?
            .with_study(reference)
            .with_object(data.clone())
            .on_behalf_of(terms.study.heading.researcher.clone())
            .with_policy(u64::from(policy.policy.version), kept);
        let by = approved_by.unwrap_or("policy");
        self.own_log.record(&with_details(
            consented,
            &[("grant", &permit.grant), ("approved_by", by)],
        ))?;
        self.journal.record_state(id, &StudyState::Granted)?;
        info!(study = id, "consented: {permit}");
        self.send_state(id, &StudyState::Granted, due);
        Ok(())
    }

    /// Patient counts and warnings, for the hospital's own log.
    ///
    /// SECURITY: standard error goes wherever operators send it, and says nothing that depends on the data.
    pub(super) fn log_facts(&mut self, study: &str, facts: &TableFacts) -> Result<(), AgentFault> {
        if facts.warnings.is_empty() {
            return Ok(());
        }
        let (patients, warnings) = (facts.patients.to_string(), facts.warnings.join("; "));
        let details = [
            ("patients", patients.as_str()),
            ("warnings", warnings.as_str()),
        ];
        Ok(self.own_log.record_study(
            EventKind::DataSetWarned,
            study,
            Outcome::Success,
            &details,
        )?)
    }
}

/// The next moment of the grid that begins at `since`, so that an answer does not tell how long a table took to read.
fn next_on_grid(since: Instant, grid: Duration) -> Instant {
    let passed = since.elapsed().as_millis() / grid.as_millis().max(1);
    let steps = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
    since + grid.saturating_mul(steps)
}

/// The grid on which a study is answered: that of its rounds, as far as its public bounds ask for one as coarse.
fn consent_grid(vector: &VectorPlan) -> Duration {
    Duration::from_millis(u64::from(ready_grid_milliseconds(vector)))
        .clamp(CONSENT_GRID, COARSEST_CONSENT_GRID)
}

/// Date and hour in UTC. A clock that no calendar holds reads as the last day of all, when no approval holds any more.
pub(super) fn today() -> (Date, u8) {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let part = |value: i8| u8::try_from(value).unwrap_or(u8::MAX);
    let date = u16::try_from(now.year())
        .ok()
        .and_then(|year| Date::new(year, part(now.month()), part(now.day())).ok());
    match (date, Date::new(9999, 12, 31)) {
        (Some(date), _) | (None, Ok(date)) => (date, part(now.hour())),
        (None, Err(_)) => std::process::abort(),
    }
}

/// Answers that follow a look at the data leave on this grid, or on a coarser one.
const CONSENT_GRID: Duration = Duration::from_secs(1);

/// A table is read and no vector computed: an answer need not wait as long as a round.
const COARSEST_CONSENT_GRID: Duration = Duration::from_millis(51_200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_for_the_next_point_of_the_grid() {
        let since = Instant::now();
        let due = next_on_grid(since, Duration::from_secs(3600));
        assert_eq!(due, since + Duration::from_secs(3600));
        let earlier = since
            .checked_sub(Duration::from_millis(2500))
            .unwrap_or(since);
        let due = next_on_grid(earlier, Duration::from_secs(1));
        assert_eq!(due.saturating_duration_since(earlier).subsec_millis(), 0);
        assert!(due > since);
    }
}
