// SPDX-License-Identifier: Apache-2.0
//! Whether this hospital takes part in a study.
//!
//! ```text
//! who signed it? -> can a safe round follow from it? -> may it meet this cohort? -> policy -> a person? -> can the data serve it?
//! ```
//!
//! Every step that fails refuses; what is missing refuses. Here nothing is read of the data: the last step is a trainer's,
//! and a reason that comes from it is told to nobody but the hospital's own log. Others hear the one word `not_ready`,
//! and a researcher who has heard it often enough hears no more of it without a person of the hospital.

mod reconsider;

use std::path::Path;

use consilium_audit::entry::StudyReference;
use consilium_certs::Roster;
use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::signing::Signature;
use consilium_learning::study::{Participants, Study};
use consilium_policies::{
    BudgetUse, Date, Decision, Isolation, PatientCount, Permit, Policy, Refusal, Request, Term,
    decide,
};
use consilium_privacy::noise_plan::Unit;
use consilium_protocol::Membership;

use crate::explain;
use crate::journal::{ApprovalTerms, Journal, JournalFault, Offer};
use crate::ledger::{BudgetShare, Ledger, StudyVectors};
use crate::policy_file::{PolicyFile, PolicyFileFault};
use crate::registration::{DataSet, DataSets, RegistrationFault};
use crate::study_request::{Circumstances, study_request};
use crate::study_terms::StudyTerms;
use crate::trainer_child::pipe::Job;

/// Everything a decision looks at. Nothing is changed by looking.
pub(crate) struct Desk<'a> {
    pub(crate) silo: &'a str,
    pub(crate) roster: &'a Roster,
    pub(crate) membership: &'a Membership,
    pub(crate) policy: &'a Path,
    pub(crate) data_sets: &'a DataSets,
    pub(crate) journal: &'a Journal,
    pub(crate) ledger: &'a Ledger,
    /// The isolation that trainers reach on this host.
    pub(crate) isolation: Isolation,
    /// Today, in UTC.
    pub(crate) date: Date,
    /// The hour, in UTC.
    pub(crate) hour: u8,
}

/// What was decided.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The policy permits it.
    Permitted(Box<Permitted>),
    /// A rule forbids it.
    Refused(Refused),
    /// No data set can serve it; the reason is for the hospital's own log.
    NotReady(String),
}

/// A study that may run here.
#[derive(Debug)]
pub(crate) struct Permitted {
    pub(crate) permit: Permit,
    pub(crate) terms: StudyTerms,
    pub(crate) policy: PolicyFile,
    /// What the trainer is asked to look at.
    pub(crate) job: Job,
    /// The data set whose budget pays.
    pub(crate) lineage: String,
    /// Why a person must agree before the data are looked at, if one must.
    pub(crate) first_ask: Option<String>,
}

/// A study that may not.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Every failed condition as rule and statement, without a count of patients.
    pub(crate) conditions: Vec<(String, String)>,
    /// The same for the hospital's own log.
    pub(crate) own_log: Vec<String>,
    /// The policy that decided, if one did.
    pub(crate) policy: Option<(u32, Digest)>,
}

impl Refused {
    /// A refusal by a rule that no policy can change.
    pub(crate) fn by_rule(rule: &str, statement: impl Into<String>) -> Refused {
        let statement = statement.into();
        Refused {
            own_log: vec![format!("{rule}: {statement}")],
            conditions: vec![(rule.to_owned(), statement)],
            policy: None,
        }
    }

    fn by_policy(refusal: &Refusal, policy: Option<(u32, Digest)>) -> Refused {
        let condition = |condition: &consilium_policies::Condition| {
            (condition.rule.to_string(), condition.statement().to_owned())
        };
        Refused {
            conditions: refusal.conditions.iter().map(condition).collect(),
            own_log: refusal.conditions_for_own_log(),
            policy,
        }
    }
}

/// Why no decision could be made: the agent's own files fail it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsentFault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
}

impl Desk<'_> {
    /// Decides about the study of this identifier.
    pub(crate) fn consider(&self, id: &str, offer: &Offer) -> Result<Verdict, ConsentFault> {
        if let Err(statement) = self.verify_researcher(offer) {
            return Ok(Verdict::Refused(Refused::by_rule("researcher", statement)));
        }
        let terms = match StudyTerms::derive(&offer.study, &offer.invited, self.membership) {
            Ok(terms) => terms,
            Err(fault) => return Ok(Verdict::Refused(Refused::by_rule("study", explain(&fault)))),
        };
        if let Err((rule, statement)) = self.check_invitation(&terms, offer) {
            return Ok(Verdict::Refused(Refused::by_rule(rule, statement)));
        }
        let data_set = self.data_sets.find(&terms.study.heading.data);
        if let Ok(data_set) = &data_set
            && !terms.study.is_noised()
        {
            match self.journal.check_cohort(data_set.file(), &offer.invited) {
                Ok(()) => {}
                Err(
                    fault @ (JournalFault::OtherCohort { .. } | JournalFault::ReplacedData { .. }),
                ) => {
                    return Ok(Verdict::Refused(Refused {
                        own_log: vec![fault.to_string()],
                        ..Refused::by_rule("cohort", told_of_cohort(&fault))
                    }));
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        let policy = match PolicyFile::read(self.policy, self.silo) {
            Ok(policy) => policy,
            Err(fault) => return Ok(Verdict::Refused(self.without_policy(&fault))),
        };
        let data_set = match data_set {
            Ok(data_set) => Some(data_set),
            Err(RegistrationFault::Unknown(_)) => None,
            Err(fault) => return Ok(Verdict::NotReady(explain(&fault))),
        };
        let request = match self.request(id, &terms, &policy.policy, data_set.as_ref()) {
            Ok(request) => request,
            Err(refused) => return Ok(Verdict::Refused(refused)),
        };
        let version = (policy.policy.version, policy.digest);
        let permit = match decide(&policy.policy, &request) {
            Decision::Permit(permit) => permit,
            Decision::Refuse(refusal) => {
                let refused = Refused::by_policy(&refusal, Some(version));
                let by_budget = refusal
                    .conditions
                    .iter()
                    .any(|condition| condition.term == Term::Budget);
                if !by_budget {
                    return Ok(Verdict::Refused(refused));
                }
                let data = &terms.study.heading.data;
                let lineage = data_set.as_ref().map_or(data, |found| &found.lineage);
                let refused = self.with_alternatives(refused, id, &terms, &policy.policy, lineage);
                return Ok(Verdict::Refused(refused));
            }
        };
        // The noise is the study's and never calibrated here: what costs more than the study says it may is refused.
        if let BudgetUse::Share { needed, .. } = request.budget
            && let Some(most) = terms
                .study
                .privacy
                .promise()
                .and_then(|noise| noise.budget_share)
            && needed > most
        {
            let statement = format!(
                "the study would take {:.1} % of this hospital's budget, and its `budget_share` is {:.1} %: `consilium privacy plan` tells the epsilon that keeps to it",
                100.0 * needed,
                100.0 * most
            );
            return Ok(Verdict::Refused(Refused::by_rule(
                "budget_share",
                statement,
            )));
        }
        let Some(data_set) = data_set else {
            return Ok(Verdict::NotReady(format!(
                "no data set `{}` is registered",
                terms.study.heading.data
            )));
        };
        if let Some((rule, statement)) = unfit_for_noise(&data_set, &terms) {
            return Ok(Verdict::Refused(Refused::by_rule(rule, statement)));
        }
        let heard = self
            .journal
            .not_ready_answers(&offer.researcher, &data_set.name)?;
        let first_ask = (heard >= MOST_NOT_READY).then(|| {
            format!(
                "this researcher has heard {heard} times that `{}` is not ready; each time tells something about the data",
                data_set.name
            )
        });
        Ok(Verdict::Permitted(Box::new(Permitted {
            job: job(&data_set, &offer.study),
            lineage: data_set.lineage,
            permit,
            terms,
            policy,
            first_ask,
        })))
    }

    /// What would fit into what is left of the budget, said with the condition about it. Each was tried on a copy of the
    /// ledger; what is left of a budget depends on studies and on no patient.
    pub(crate) fn with_alternatives(
        &self,
        mut refused: Refused,
        id: &str,
        terms: &StudyTerms,
        policy: &Policy,
        lineage: &str,
    ) -> Refused {
        let Some(limit) = policy.budget(lineage) else {
            return refused;
        };
        let participants = Participants {
            silos: u32::try_from(terms.invited.len()).unwrap_or(u32::MAX),
            dropouts: terms.thresholds.dropouts,
            colluders: self.membership.colluders,
        };
        let found = terms
            .study
            .affordable(participants, |training, evaluation| {
                let vectors = StudyVectors {
                    training,
                    evaluation,
                };
                self.ledger.admits(lineage, limit, id, &vectors)
            });
        let offers: Vec<String> = found.iter().map(ToString::to_string).collect();
        let said = if offers.is_empty() {
            "no epsilon and no number of rounds of this study fits".to_owned()
        } else {
            format!("would fit: {}", offers.join(", or "))
        };
        for (rule, statement) in &mut refused.conditions {
            if rule.starts_with("budget") {
                *statement = format!("{statement}; {said}");
            }
        }
        refused.own_log.push(format!("budget: {said}"));
        refused
    }

    /// What a person should know before saying yes to a study.
    pub(crate) fn approval_terms(&self, id: &str, permitted: &Permitted) -> ApprovalTerms {
        let Permitted { terms, policy, .. } = permitted;
        let (epsilon, delta) = match terms.study.privacy.promise() {
            None => (None, None),
            Some(noise) => (
                Some(noise.epsilon.to_string()),
                Some(noise.delta.to_string()),
            ),
        };
        let (budget_needed, budget_left_afterwards) =
            match self.budget_use(id, terms, &policy.policy, &permitted.lineage) {
                Ok(BudgetUse::Share { needed, left }) => {
                    (Some(needed), Some((left - needed).max(0.0)))
                }
                Ok(BudgetUse::Uncharged | BudgetUse::Assumed) | Err(_) => (None, None),
            };
        ApprovalTerms {
            epsilon,
            delta,
            attempts: terms.study.all_attempts(),
            silos: terms.invited_names(),
            budget_needed,
            budget_left_afterwards,
        }
    }

    /// SECURITY: a researcher's name that the coordinator could write in would be worth nothing.
    fn verify_researcher(&self, offer: &Offer) -> Result<(), String> {
        let name = &offer.researcher;
        let key = self
            .roster
            .researcher(name)
            .ok_or_else(|| format!("`{name}` is no researcher of the pinned roster"))?
            .key;
        let signature = Signature::try_from(offer.signature.as_slice())
            .map_err(|_| "the study's signature has the wrong length".to_owned())?;
        key.verify(Label::StudySignature, &[&offer.study], &signature)
            .map_err(|_| format!("the study's signature is not by `{name}`"))?;
        let study = Study::parse(&offer.study).map_err(|fault| explain(&fault))?;
        if study.heading.researcher == *name {
            Ok(())
        } else {
            Err(format!(
                "the study names `{}` as its researcher, but `{name}` signed it",
                study.heading.researcher
            ))
        }
    }

    /// The silos invited are those that the researcher signed for, this one among them.
    fn check_invitation(
        &self,
        terms: &StudyTerms,
        offer: &Offer,
    ) -> Result<(), (&'static str, String)> {
        let invited = terms.invited_names();
        let mut expected = terms.study.heading.invite.clone();
        if expected.is_empty() {
            expected = self
                .roster
                .members()
                .iter()
                .map(|member| member.name.to_string())
                .collect();
        }
        expected.sort();
        if invited != expected {
            return Err((
                "invitation",
                "other silos are invited than the researcher signed for".to_owned(),
            ));
        }
        if let Some(stranger) = offer
            .invited
            .iter()
            .find(|silo| self.roster.member(silo).is_none())
        {
            return Err((
                "invitation",
                format!("`{stranger}` is no member of the pinned roster"),
            ));
        }
        if !invited.iter().any(|silo| silo == self.silo) {
            return Err((
                "invitation",
                "this silo is not among the invited".to_owned(),
            ));
        }
        Ok(())
    }

    fn without_policy(&self, fault: &PolicyFileFault) -> Refused {
        let refusal = Refusal::without_policy(self.silo);
        Refused {
            own_log: vec![explain(fault)],
            ..Refused::by_policy(&refusal, None)
        }
    }

    fn request(
        &self,
        id: &str,
        terms: &StudyTerms,
        policy: &Policy,
        data_set: Option<&DataSet>,
    ) -> Result<Request, Refused> {
        let data = &terms.study.heading.data;
        let lineage = data_set.map_or(data, |data_set| &data_set.lineage);
        let circumstances = Circumstances {
            silos: u32::try_from(terms.invited.len()).unwrap_or(u32::MAX),
            min_survivors: u32::try_from(terms.thresholds.fewest(terms.invited.len())).unwrap_or(0),
            isolation: self.isolation,
            date: self.date,
            hour: self.hour,
            budget: self.budget_use(id, terms, policy, lineage)?,
            // A data set that is missing is no condition that others hear of: they hear `not_ready`.
            patients: data_set.map_or(PatientCount::Assumed, |data_set| {
                // SECURITY: what was found once, and not a count that a decision would betray.
                PatientCount::Registered(fewest_in_a_sum(&terms.study, data_set))
            }),
        };
        Ok(Request {
            lineage: (lineage != data).then(|| lineage.clone()),
            ..study_request(&terms.study, &circumstances)
        })
    }

    fn budget_use(
        &self,
        id: &str,
        terms: &StudyTerms,
        policy: &Policy,
        lineage: &str,
    ) -> Result<BudgetUse, Refused> {
        let noise = &terms.vectors.training.noise;
        let (Some(_), Some(limit)) = (noise, policy.budget(lineage)) else {
            return Ok(BudgetUse::Uncharged);
        };
        let BudgetShare { needed, left } = self
            .ledger
            .share(lineage, limit, id, &terms.vectors)
            .map_err(|fault| Refused::by_rule("budget", explain(&fault)))?;
        Ok(BudgetUse::Share { needed, left })
    }
}

/// Why a data set does not serve a study with noise, by what this hospital announced and the researcher wrote.
///
/// SECURITY: no count is looked at. The study's patients must be the registered ones: a coarser or a finer unit would not be
/// the patient whom the noise is for.
fn unfit_for_noise(data_set: &DataSet, terms: &StudyTerms) -> Option<(&'static str, String)> {
    // Where the silo is the unit nothing depends on how many patients it has, nor on who they are.
    let noise = terms.vectors.training.noise?;
    if noise.unit != Unit::Patient {
        return None;
    }
    let (study, most_patients) = (&terms.study, noise.patients_cap);
    let name = &data_set.name;
    let Some(announced) = data_set.patients_at_most else {
        let statement = format!("this hospital announces no bound on the patients of `{name}`");
        return Some(("data", statement));
    };
    if announced > most_patients {
        let statement = format!(
            "`{name}` is announced with up to {announced} patients, and `most_patients_per_silo` is {most_patients}"
        );
        return Some(("study", statement));
    }
    if study.data.patient != data_set.patient {
        let statement = match &data_set.patient {
            Some(column) => format!(
                "the patients of `{name}` have their names in the column `{column}`; write `patient = \"{column}\"` in `[data]`"
            ),
            None => {
                format!("this hospital names no column that tells the patients of `{name}` apart")
            }
        };
        return Some(("study", statement));
    }
    None
}

/// How many patients the smaller of a study's sums is certainly about. Noise protects each of them anyhow; without noise,
/// those held out have only each other, and the sum itself says how many they are.
fn fewest_in_a_sum(study: &Study, data_set: &DataSet) -> u64 {
    match &study.evaluation {
        Some(evaluation) if !study.is_noised() => {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "patients of one file"
            )]
            let held_out = (data_set.patients as f64 * evaluation.hold_out) as u64;
            held_out.min(data_set.min_patients)
        }
        Some(_) | None => data_set.min_patients,
    }
}

/// What others hear about a cohort: not what this hospital did before.
fn told_of_cohort(fault: &JournalFault) -> String {
    match fault {
        JournalFault::ReplacedData { .. } => {
            "this hospital's file is another than the one that took part without noise before"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What a trainer is told about a registered data set and a study.
pub(crate) fn job(data_set: &DataSet, study: &[u8]) -> Job {
    Job {
        data: data_set.path.to_string_lossy().into_owned(),
        registered: *data_set.sha256.as_bytes(),
        study: study.to_vec(),
    }
}

/// The study as the hospital's own log names it.
pub(crate) fn study_reference(id: &str, study: &Study, permit: &Permit) -> StudyReference {
    StudyReference {
        name: Some(study.heading.name.clone()),
        ethics: Some(study.heading.ethics.clone()),
        basis: permit.basis.clone(),
        agreement: permit.agreement.clone(),
        purpose: Some(study.heading.purpose.clone()),
        ..StudyReference::new(id)
    }
}

/// As often as a data set that is being mended may be asked about; far too seldom to search for a number.
const MOST_NOT_READY: u64 = 3;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
