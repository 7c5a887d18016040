// SPDX-License-Identifier: Apache-2.0
//! From spooled uploads to a committed sum, and from the released sum to the next model.

use super::RoundDriver;
use crate::crash::CrashPlace;
use crate::silo_service::chunk_length;
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_crypto::packing;
use consilium_learning::{Step, TaskFault};
use consilium_protocol::{
    CoordinatorEvent, InnerProduct, RoundPlan, SiloName, UnmaskFault, UnmaskJob,
};
use std::sync::Arc;

/// Work that ran beside the messages.
pub(super) enum Work {
    /// The sum, stored, and H(S).
    Summed { blob: Digest, digest: Digest },
    /// No sum can be had of these uploads.
    Unusable {
        silo: Option<SiloName>,
        reason: String,
    },
    /// H(S) is committed.
    Committed { proof: Vec<u8> },
    /// The challenge was applied to the sum.
    Checked { product: InnerProduct },
}

impl RoundDriver<'_, '_> {
    /// After a restart: uploads whose last chunk was spooled and not yet counted.
    pub(super) async fn count_spooled_uploads(&mut self) -> Result<(), RunFault> {
        for silo in self.plan.silos.clone() {
            self.count_upload(silo).await?;
        }
        Ok(())
    }

    pub(super) async fn count_upload(&mut self, from: SiloName) -> Result<(), RunFault> {
        let (spool, id, silo) = (
            Arc::clone(&self.run.federation.spool),
            self.plan.id,
            from.clone(),
        );
        let upload = tokio::task::spawn_blocking(move || spool.upload(id, &silo))
            .await
            .map_err(|_| RunFault::BrokeOff)??;
        match upload.root(self.plan.chunk_count()) {
            Some(root) => {
                let length = upload.length();
                self.step(CoordinatorEvent::Uploaded { from, root, length })
                    .await
            }
            None => Ok(()),
        }
    }

    pub(super) async fn take_work(&mut self, work: Work) -> Result<(), RunFault> {
        match work {
            Work::Summed { blob, digest } => {
                self.pending.sum = Some(blob);
                self.step(CoordinatorEvent::Summed { digest }).await
            }
            Work::Unusable { silo, reason } => {
                tracing::error!(%reason, "the sum cannot be recovered");
                self.accuse_upload(silo, reason).await
            }
            Work::Committed { proof } => {
                self.reach(CrashPlace::SumLogged);
                let proofs = self
                    .plan
                    .silos
                    .iter()
                    .map(|silo| (silo.clone(), proof.clone()))
                    .collect();
                self.step(CoordinatorEvent::SumLogged { proofs }).await
            }
            Work::Checked { product } => self.step(CoordinatorEvent::Checked { product }).await,
        }
    }

    /// Recovers the sum on the blocking pool.
    pub(super) fn unmask(&mut self, job: UnmaskJob) {
        let spool = Arc::clone(&self.run.federation.spool);
        let plan = self.plan.clone();
        self.work.spawn_blocking(move || {
            let mut sum = Vec::new();
            let digest = match job.run(&spool.chunks_of(plan.id), &mut sum) {
                Ok(digest) => digest,
                Err(fault) => return Ok(unusable(&fault)),
            };
            let blob = spool.put(&pack_sum(&plan, &sum)?)?;
            Ok(Work::Summed { blob, digest })
        });
    }

    /// Applies the challenge to the stored sum on the blocking pool.
    pub(super) fn check_sum(&mut self, mut product: InnerProduct) -> Result<(), RunFault> {
        let blob = self
            .pending
            .sum
            .ok_or(RunFault::Incomplete("the stored sum is gone"))?;
        let spool = Arc::clone(&self.run.federation.spool);
        self.work.spawn_blocking(move || {
            let plan = product.plan().clone();
            for (index, words) in sum_chunks(&plan, &spool.get(&blob)?)? {
                product.add_chunk(index, &words);
            }
            Ok(Work::Checked { product })
        });
        Ok(())
    }

    /// Gathers cosignatures over the commitment.
    pub(super) fn commit_sum(&mut self, place: u64) {
        let log = self.run.federation.log.clone();
        self.work.spawn(async move {
            log.committed(place).await?;
            let proof = log.proof(place).await?;
            Ok(Work::Committed {
                proof: proof.to_bytes(),
            })
        });
    }

    /// The model after the released sum, computed exactly as every silo computes it.
    pub(super) async fn advance(&self, blob: Digest) -> Result<Result<Step, TaskFault>, RunFault> {
        let (spool, plan) = (Arc::clone(&self.run.federation.spool), self.plan.clone());
        let (task, vector, model) = (
            self.run.admitted.task.clone(),
            // Of the plan: another roster may have come into force since.
            self.plan.vector,
            self.run.model()?,
        );
        let advanced = tokio::task::spawn_blocking(move || {
            let sum = unpack_sum(&plan, &spool.get(&blob)?)?;
            Ok::<_, RunFault>(
                task.decode(&vector, &sum)
                    .and_then(|decoded| task.advance(&model, &decoded)),
            )
        });
        advanced.await.map_err(|_| RunFault::BrokeOff)?
    }
}

/// What a silo signed may be no sum's part; what our disk lost is nobody's fault. Neither may stop the service.
fn unusable(fault: &UnmaskFault) -> Work {
    let silo = match fault {
        UnmaskFault::OtherUpload { silo } => Some(silo.clone()),
        UnmaskFault::Spool { .. } | UnmaskFault::Sum(_) | UnmaskFault::OtherSum => None,
    };
    Work::Unusable {
        silo,
        reason: crate::explain(fault),
    }
}

/// The sum as it travels: packed chunk by chunk.
fn pack_sum(plan: &RoundPlan, sum: &[u64]) -> Result<Vec<u8>, RunFault> {
    let word_bits = plan.word_bits()?;
    let size = usize::try_from(plan.chunk_fields)
        .unwrap_or(usize::MAX)
        .max(1);
    Ok(sum
        .chunks(size)
        .flat_map(|words| packing::pack(word_bits, words))
        .collect())
}

/// The packed sum as integers of the centred range.
fn unpack_sum(plan: &RoundPlan, packed: &[u8]) -> Result<Vec<i64>, RunFault> {
    let word_bits = plan.word_bits()?;
    let words = sum_chunks(plan, packed)?
        .into_iter()
        .flat_map(|(_, words)| words);
    Ok(words.map(|word| word_bits.lift(word)).collect())
}

/// The packed sum as the words of each chunk.
fn sum_chunks(plan: &RoundPlan, packed: &[u8]) -> Result<Vec<(u64, Vec<u64>)>, RunFault> {
    let word_bits = plan.word_bits()?;
    (0..)
        .zip(packed.chunks(chunk_length(plan, 0).max(1)))
        .map(|(index, chunk)| {
            packing::unpack(word_bits, chunk, plan.fields_in_chunk(index))
                .map(|words| (index, words))
                .map_err(|_| RunFault::Incomplete("the stored sum does not fit its plan"))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_is_no_sums_part_is_its_silos_and_a_lost_one_nobodys() {
        let silo = SiloName::parse("3_UK").unwrap();
        let other = unusable(&UnmaskFault::OtherUpload { silo: silo.clone() });
        assert!(matches!(other, Work::Unusable { silo: Some(name), .. } if name == silo));
        let lost = unusable(&UnmaskFault::Spool {
            silo,
            source: std::io::ErrorKind::NotFound.into(),
        });
        assert!(matches!(lost, Work::Unusable { silo: None, reason } if reason.contains("3_UK")));
    }
}
