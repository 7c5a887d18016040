// SPDX-License-Identifier: Apache-2.0
//! The word of silos that they verified a sum: stored as it comes, awaited before the next round, asked for again.

use super::{Around, Coordinator, Outcome};
use crate::simulation::faults::{CrashPlace, Mutation};
use crate::simulation::shared_log::Entry;
use crate::simulation::silo::Trap;
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, SiloName};

impl Coordinator {
    /// Stores a silo's word. The process can die before and after it.
    pub(super) fn take_acceptance(
        &mut self,
        silo: SiloName,
        id: AttemptId,
        sum: Digest,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let trap = self.trap.filter(|trap| trap.message == Some("Accepted"));
        let place = trap.map(|Trap { place, .. }| place);
        let stores = match place {
            Some(
                CrashPlace::BeforePersist
                | CrashPlace::WriteFails
                | CrashPlace::TornSecrets
                | CrashPlace::SecretsOnly
                | CrashPlace::TornJournal
                | CrashPlace::TornKept
                | CrashPlace::KeptOnly,
            ) => false,
            Some(
                CrashPlace::JournalOnly
                | CrashPlace::ReachedOnly
                | CrashPlace::Persisted
                | CrashPlace::Recorded
                | CrashPlace::Sent(_),
            )
            | None => true,
        };
        if stores {
            let said = self.store.verified.entry(silo).or_insert((id, sum));
            if said.0.round <= id.round {
                *said = (id, sum);
            }
        }
        if let Some(place) = place {
            self.die(place, &mut outcomes);
        }
        outcomes
    }

    /// Whether a threshold of silos has verified the last release. Those who have not said so are told it again, as the
    /// next session of each would be.
    pub(super) fn is_accepted(
        &mut self,
        around: &mut Around<'_>,
        absent: &[SiloName],
        outcomes: &mut Vec<Outcome>,
    ) -> bool {
        let Some(release) = self.store.releases.last() else {
            return true;
        };
        let (id, digest) = (release.id, release.digest);
        if self.store.accepted == Some(id) {
            return true;
        }
        let threshold = around.study.thresholds().threshold;
        let enough =
            u32::try_from(self.store.verifiers(release)).is_ok_and(|have| have >= threshold);
        if around.mutation == Mutation::OpenUnaccepted {
            return true;
        }
        if enough {
            around.log.append(Entry::Accepted { id, digest });
            self.store.accepted = Some(id);
            return true;
        }
        for silo in around
            .study
            .names
            .iter()
            .filter(|silo| !absent.contains(silo))
        {
            self.tell_again(around, silo, Some(id), outcomes);
        }
        false
    }

    /// Tells a silo the releases that it lacks or has not said it verified. `newest` is the last one that it has.
    pub(super) fn tell_again(
        &self,
        around: &Around<'_>,
        silo: &SiloName,
        newest: Option<AttemptId>,
        outcomes: &mut Vec<Outcome>,
    ) {
        let verified = self.store.verified_round(silo);
        for release in &self.store.releases {
            let has = newest.is_some_and(|newest| newest.order() >= release.id.order());
            let said = release.id.round <= verified;
            if has && (said || around.mutation == Mutation::TellVerified) {
                continue;
            }
            outcomes.push(Outcome::Sent {
                to: silo.clone(),
                delivery: release.delivery.clone(),
                sum: Some(release.sum.clone()),
                logged: around.log.len(),
            });
        }
    }
}
