// SPDX-License-Identifier: Apache-2.0
//! Whether what was consented to would be consented to today.

use consilium_policies::{BudgetUse, Decision, Request, decide};

use super::{Desk, Refused, unfit_for_noise};
use crate::explain;
use crate::journal::Offer;
use crate::policy_file::PolicyFile;
use crate::registration::{DataSet, RegistrationFault};
use crate::study_terms::StudyTerms;

impl Desk<'_> {
    /// Looks again at a study that was granted: researcher, invitation and policy, as they are now. The budget is left
    /// out, because it was set aside when the study was granted. Of the data only what was registered is looked at; the
    /// trainer is about to read them.
    pub(crate) fn reconsider(
        &self,
        id: &str,
        offer: &Offer,
        terms: &StudyTerms,
    ) -> Result<(), Refused> {
        self.verify_researcher(offer)
            .map_err(|statement| Refused::by_rule("researcher", statement))?;
        self.check_invitation(terms, offer)
            .map_err(|(rule, statement)| Refused::by_rule(rule, statement))?;
        let policy = PolicyFile::read(self.policy, self.silo)
            .map_err(|fault| self.without_policy(&fault))?;
        let data_set = match self.data_sets.find(&terms.study.heading.data) {
            Ok(data_set) => Some(data_set),
            Err(RegistrationFault::Unknown(_)) => None,
            Err(fault) => return Err(Refused::by_rule("data", explain(&fault))),
        };
        if let Some(data_set) = &data_set {
            self.still_fits(id, terms, data_set)?;
        }
        let data = &terms.study.heading.data;
        let account = data_set.as_ref().map_or(data, |found| &found.lineage);
        let charge = policy.policy.budget(account);
        if let (Some(limit), Some(charged)) = (charge, self.ledger.charged_view(id))
            && charged < limit.charge.view()
        {
            return Err(Refused::by_rule(
                "budget",
                "the study was charged while the masks hold, and the policy charges now as if they were broken",
            ));
        }
        let request = Request {
            budget: BudgetUse::Assumed,
            ..self.request(id, terms, &policy.policy, data_set.as_ref())?
        };
        match decide(&policy.policy, &request) {
            Decision::Permit(_) => Ok(()),
            Decision::Refuse(refusal) => {
                let version = (policy.policy.version, policy.digest);
                Err(Refused::by_policy(&refusal, Some(version)))
            }
        }
    }

    /// SECURITY: a data set may be registered again while a study runs. Another unit, another bound or another account than
    /// the study was granted for would make its promise false, or its failures tell how many patients there are.
    fn still_fits(&self, id: &str, terms: &StudyTerms, data_set: &DataSet) -> Result<(), Refused> {
        if let Some((rule, statement)) = unfit_for_noise(data_set, terms) {
            return Err(Refused::by_rule(rule, statement));
        }
        match self.ledger.account_of(id) {
            Some(account) if account != data_set.lineage => Err(Refused::by_rule(
                "data",
                format!(
                    "`{}` belongs to another lineage now than the study was charged to",
                    data_set.name
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }
}
