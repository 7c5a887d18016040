// SPDX-License-Identifier: Apache-2.0
//! Shares, votes and masks: what would open a silo's vector.

use super::super::shared_log::{Entry, SharedLog};
use super::super::silo::Disk;
use super::super::study::Study;
use super::{Invariant, Violation};
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_protocol::{AttemptId, Delivery, SecretKind, SiloMessage, SiloName};
use std::collections::{BTreeMap, BTreeSet};

/// Everything about secrets that ever left a silo.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Who revealed its share of a dealer's secret.
    revealed: BTreeMap<(AttemptId, u32, SecretKind), BTreeSet<SiloName>>,
    /// Who voted for a set.
    votes: BTreeMap<(AttemptId, Digest), BTreeSet<SiloName>>,
    /// What a mask covered: the difference of the upload and the vector names the mask.
    masks: BTreeMap<Vec<u64>, Vec<u64>>,
}

impl Secrets {
    pub(super) fn sent(
        &mut self,
        study: &Study,
        silo: &SiloName,
        log: &SharedLog,
        disk: &Disk,
        delivery: &Delivery,
    ) -> Result<(), Violation> {
        let envelope = &delivery.envelope;
        let Some((id, message)) = envelope.peek_attempt().zip(envelope.peek_silo_message()) else {
            return Ok(());
        };
        match message {
            SiloMessage::Vote { survivors, .. } => {
                let voters = self.votes.entry((id, survivors)).or_default();
                voters.insert(silo.clone());
                Ok(())
            }
            SiloMessage::Reveal { shares } => {
                self.quorum_has_voted(study, silo, id)?;
                // What answers the challenge stays, in the one file of the new state.
                secrets_are_erased(silo, disk, id, 1)?;
                for share in shares {
                    let key = (id, share.dealer, share.kind);
                    self.revealed.entry(key).or_default().insert(silo.clone());
                    self.one_kind_is_open(study, id, share.dealer)?;
                }
                Ok(())
            }
            SiloMessage::AdvertiseKeys { .. }
            | SiloMessage::ShareKeys { .. }
            | SiloMessage::DealReceipt { .. }
            | SiloMessage::Ready
            | SiloMessage::MaskedInput { .. } => Ok(()),
            SiloMessage::Nonce { sum, .. } => {
                let commitment = Entry::SumCommitted { id, digest: sum };
                if log
                    .newest_first(log.len())
                    .any(|entry| *entry == commitment)
                {
                    return Ok(());
                }
                let detail =
                    format!("{silo} opens its nonce in attempt {id} for a sum that no log holds");
                Err(Violation::new(Invariant::CommittedBeforeChallenged, detail))
            }
            SiloMessage::Tag { .. } | SiloMessage::Replayed { .. } => {
                secrets_are_erased(silo, disk, id, 0)
            }
        }
    }

    fn quorum_has_voted(
        &self,
        study: &Study,
        silo: &SiloName,
        id: AttemptId,
    ) -> Result<(), Violation> {
        // Its own vote may be durable and never have left; the quorum's have.
        let votes = self.votes.iter().filter(|((attempt, _), _)| *attempt == id);
        let voters = votes.map(|(_, voters)| voters.len()).max().unwrap_or(0);
        let quorum = study.thresholds().quorum;
        if u32::try_from(voters).is_ok_and(|voters| voters >= quorum) {
            return Ok(());
        }
        let detail = format!("{silo} reveals in attempt {id} after {voters} of {quorum} votes");
        Err(Violation::new(Invariant::QuorumBeforeReveal, detail))
    }

    /// Colluders show both their shares to the coordinator whatever they reveal, so n_c count for both kinds.
    fn one_kind_is_open(&self, study: &Study, id: AttemptId, dealer: u32) -> Result<(), Violation> {
        let thresholds = study.thresholds();
        let is_open = |kind: SecretKind| {
            let shares = self
                .revealed
                .get(&(id, dealer, kind))
                .map_or(0, BTreeSet::len);
            u32::try_from(shares)
                .is_ok_and(|shares| shares + thresholds.colluders >= thresholds.threshold)
        };
        if is_open(SecretKind::SelfMask) && is_open(SecretKind::MaskKey) {
            let detail = format!("both secrets of dealer {dealer} in attempt {id} can be rebuilt");
            return Err(Violation::new(Invariant::OneKindOfShare, detail));
        }
        Ok(())
    }

    pub(super) fn uploaded(
        &mut self,
        study: &Study,
        silo: &SiloName,
        input: &[i64],
        chunks: &[Vec<u8>],
    ) -> Result<(), Violation> {
        let upload = packing::unpack(study.bits, &chunks.concat(), input.len());
        let Ok(upload) = upload else {
            let detail = format!("{silo} uploads what cannot be unpacked");
            return Err(Violation::new(Invariant::Simulator, detail));
        };
        let mut mask = upload.clone();
        study.bits.sub_assign(&mut mask, &study.words(input));
        match self.masks.get(&mask) {
            Some(covered) if *covered != upload => {
                let detail = format!("{silo} puts two vectors under one mask");
                Err(Violation::new(Invariant::OneVectorPerMask, detail))
            }
            Some(_) => Ok(()),
            None => {
                self.masks.insert(mask, upload);
                Ok(())
            }
        }
    }
}

fn secrets_are_erased(
    silo: &SiloName,
    disk: &Disk,
    id: AttemptId,
    most: usize,
) -> Result<(), Violation> {
    let files = disk.secrets.keys().filter(|(attempt, _)| *attempt == id);
    if files.count() <= most {
        return Ok(());
    }
    let detail = format!("{silo} has answered in attempt {id} and keeps the secrets behind it");
    Err(Violation::new(Invariant::SecretsErased, detail))
}
