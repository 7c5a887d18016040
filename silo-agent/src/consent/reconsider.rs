// SPDX-License-Identifier: Apache-2.0
//! Whether what was consented to would be consented to today.

use consilium_policies::{BudgetUse, Decision, Request, decide};

use super::{Desk, Refused};
use crate::explain;
use crate::journal::Offer;
use crate::policy_file::PolicyFile;
use crate::registration::RegistrationFault;
use crate::study_terms::StudyTerms;

impl Desk<'_> {
    /// Looks again at a study that was granted: researcher, invitation and policy, as they are now. The budget is left
    /// out, because it was set aside when the study was granted, and so is the data, which the trainer is about to read.
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
        let charge = policy.policy.budget(&terms.study.heading.data);
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
}
