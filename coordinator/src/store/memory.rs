// SPDX-License-Identifier: Apache-2.0
//! The store in memory, for tests.

use super::{
    Participant, Store, StoreFault, StoredAcceptance, StoredInvitation, StoredRelease,
    StoredRoster, StoredStart,
};
use crate::study::{Attempt, Study, StudyState};
use consilium_crypto::digest::Digest;
use consilium_protocol::SiloName;
use std::collections::BTreeMap;

/// The store in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    invitations: BTreeMap<Digest, StoredInvitation>,
    participants: BTreeMap<String, Participant>,
    rosters: BTreeMap<u64, StoredRoster>,
    studies: Vec<Study>,
    round: u64,
    attempt: Option<Attempt>,
    releases: BTreeMap<u64, StoredRelease>,
    starts: Vec<StoredStart>,
    accepted: BTreeMap<SiloName, StoredAcceptance>,
}

impl MemoryStore {
    fn replace(&mut self, study: &Study) -> Result<(), StoreFault> {
        let place = self
            .studies
            .iter_mut()
            .find(|known| known.id == study.id)
            .ok_or_else(|| StoreFault::UnknownStudy(study.id.clone()))?;
        *place = study.clone();
        Ok(())
    }
}

impl Store for MemoryStore {
    fn add_invitation(&mut self, token: &Digest, invitation: &str) -> Result<(), StoreFault> {
        let stored = StoredInvitation {
            invitation: invitation.to_owned(),
            redeemed_by: None,
        };
        self.invitations.insert(*token, stored);
        Ok(())
    }

    fn invitation(&self, token: &Digest) -> Result<Option<StoredInvitation>, StoreFault> {
        Ok(self.invitations.get(token).cloned())
    }

    fn enrol(&mut self, token: &Digest, participant: &Participant) -> Result<(), StoreFault> {
        let stored = self
            .invitations
            .get_mut(token)
            .ok_or(StoreFault::UnknownInvitation)?;
        match stored.redeemed_by {
            Some(key) if key == participant.identity => return Ok(()),
            Some(_) => return Err(StoreFault::RedeemedInvitation),
            None => {}
        }
        if self.participants.contains_key(&participant.name) {
            return Err(StoreFault::TakenName(participant.name.clone()));
        }
        stored.redeemed_by = Some(participant.identity);
        self.participants
            .insert(participant.name.clone(), participant.clone());
        Ok(())
    }

    fn participants(&self) -> Result<Vec<Participant>, StoreFault> {
        Ok(self.participants.values().cloned().collect())
    }

    fn save_roster(&mut self, roster: &StoredRoster) -> Result<(), StoreFault> {
        self.rosters.insert(roster.version, roster.clone());
        Ok(())
    }

    fn rosters(&self) -> Result<Vec<StoredRoster>, StoreFault> {
        Ok(self.rosters.values().cloned().collect())
    }

    fn add_study(&mut self, study: &Study) -> Result<u64, StoreFault> {
        if self.studies.iter().any(|known| known.id == study.id) {
            return Err(StoreFault::RepeatedStudy(study.id.clone()));
        }
        self.studies.push(study.clone());
        Ok(u64::try_from(self.studies.len()).unwrap_or(u64::MAX))
    }

    fn save_study(&mut self, study: &Study) -> Result<(), StoreFault> {
        self.replace(study)
    }

    fn study(&self, id: &str) -> Result<Option<Study>, StoreFault> {
        Ok(self.studies.iter().find(|study| study.id == id).cloned())
    }

    fn studies(&self) -> Result<Vec<Study>, StoreFault> {
        Ok(self.studies.clone())
    }

    fn oldest_study(&self, states: &[StudyState]) -> Result<Option<Study>, StoreFault> {
        Ok(self
            .studies
            .iter()
            .find(|study| states.contains(&study.state))
            .cloned())
    }

    fn next_round(&mut self) -> Result<u64, StoreFault> {
        self.round += 1;
        Ok(self.round)
    }

    fn save_attempt(&mut self, study: &Study, attempt: &Attempt) -> Result<(), StoreFault> {
        self.replace(study)?;
        self.attempt = Some(attempt.clone());
        Ok(())
    }

    fn attempt(&self) -> Result<Option<Attempt>, StoreFault> {
        Ok(self.attempt.clone())
    }

    fn end_attempt(
        &mut self,
        study: &Study,
        release: Option<&StoredRelease>,
    ) -> Result<(), StoreFault> {
        self.replace(study)?;
        self.attempt = None;
        if let Some(release) = release {
            self.releases
                .entry(release.round)
                .or_insert_with(|| release.clone());
        }
        Ok(())
    }

    fn releases(&self, study_id: &str) -> Result<Vec<StoredRelease>, StoreFault> {
        let of_study = |release: &&StoredRelease| release.study_id == study_id;
        Ok(self.releases.values().filter(of_study).cloned().collect())
    }

    fn newest_release(&self) -> Result<Option<StoredRelease>, StoreFault> {
        Ok(self.releases.values().next_back().cloned())
    }

    fn add_start(&mut self, start: &StoredStart) -> Result<(), StoreFault> {
        if !self.starts.iter().any(|known| known.nonce == start.nonce) {
            self.starts.push(start.clone());
        }
        Ok(())
    }

    fn last_start(&self, silo: &SiloName) -> Result<Option<StoredStart>, StoreFault> {
        Ok(self
            .starts
            .iter()
            .rev()
            .find(|start| start.silo == *silo)
            .cloned())
    }

    fn accept_release(&mut self, acceptance: &StoredAcceptance) -> Result<(), StoreFault> {
        let known = self.accepted.get(&acceptance.silo);
        if known.is_none_or(|known| known.id.round <= acceptance.id.round) {
            self.accepted
                .insert(acceptance.silo.clone(), acceptance.clone());
        }
        Ok(())
    }

    fn acceptances(&self) -> Result<Vec<StoredAcceptance>, StoreFault> {
        Ok(self.accepted.values().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[test]
    fn the_memory_store_keeps_the_contract() {
        contract::check(MemoryStore::default);
    }
}
