// SPDX-License-Identifier: Apache-2.0
//! From spooled uploads to a committed sum, and from the released sum to the next model.

use super::RoundDriver;
use super::stored_sum::{StoredSum, for_each_chunk};
use crate::crash::CrashPlace;
use crate::silo_service::is_packed;
use crate::spool::{Spool, SpoolFault};
use crate::study_run::RunFault;
use consilium_crypto::digest::Digest;
use consilium_learning::{Step, TaskFault};
use consilium_protocol::{
    ChunkSource, CoordinatorEvent, InnerProduct, RoundPlan, SiloName, UnmaskFault, UnmaskJob,
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
        /// The chunk of that silo that is no packed words, and its place.
        unpacked: Option<(u64, Vec<u8>)>,
    },
    /// H(S) is committed.
    Committed { proof: Vec<u8> },
    /// The challenge was applied to the sum.
    Checked { product: Box<InnerProduct> },
}

impl RoundDriver<'_, '_> {
    pub(super) async fn take_work(&mut self, work: Work) -> Result<(), RunFault> {
        match work {
            Work::Summed { blob, digest } => {
                self.pending.sum = Some(blob);
                self.step(CoordinatorEvent::Summed { digest }).await
            }
            Work::Unusable {
                silo,
                reason,
                unpacked,
            } => {
                tracing::error!(%reason, "the sum cannot be recovered");
                self.accuse_upload(silo, reason, unpacked).await
            }
            Work::Committed { proof } => {
                self.reach(CrashPlace::SumLogged);
                self.step(CoordinatorEvent::SumLogged { proof }).await
            }
            Work::Checked { product } => {
                let product = *product;
                self.step(CoordinatorEvent::Checked { product }).await
            }
        }
    }

    /// Recovers the sum on the blocking pool.
    pub(super) fn unmask(&mut self, job: UnmaskJob) {
        let spool = Arc::clone(&self.run.federation.spool);
        let plan = self.plan.clone();
        self.work.spawn_blocking(move || {
            let mut sum = StoredSum::begin(&spool)?;
            let digest = match job.run(&spool.chunks_of(plan.id), &mut sum) {
                Ok(digest) => digest,
                Err(fault) => {
                    let undamaged = |silo: &SiloName| spool.is_undamaged(plan.id, silo);
                    let unpacked = |silo: &SiloName| unpacked_chunk(&spool, &plan, silo);
                    return unusable(&fault, undamaged, unpacked);
                }
            };
            let blob = sum.finish()?;
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
            for_each_chunk(&spool, &plan, &blob, |index, words| {
                product.add_chunk(index, words);
            })?;
            let product = Box::new(product);
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
            let sum = read_sum(&spool, &plan, &blob)?;
            Ok::<_, RunFault>(
                task.decode_at(model.stage, &vector, &sum)
                    .and_then(|decoded| task.advance(&model, &decoded)),
            )
        });
        advanced.await.map_err(|_| RunFault::BrokeOff)?
    }
}

/// What a silo signed may be no sum's part; what our disk lost is nobody's fault. Neither may stop the service.
fn unusable(
    fault: &UnmaskFault,
    undamaged: impl FnOnce(&SiloName) -> Result<bool, SpoolFault>,
    unpacked: impl FnOnce(&SiloName) -> Option<(u64, Vec<u8>)>,
) -> Result<Work, RunFault> {
    let silo = match fault {
        // Every chunk was looked at when it came: is it still what was signed?
        UnmaskFault::OtherUpload { silo } => undamaged(silo)?.then(|| silo.clone()),
        UnmaskFault::Spool { .. } | UnmaskFault::Sum(_) | UnmaskFault::OtherSum => None,
    };
    Ok(Work::Unusable {
        unpacked: silo.as_ref().and_then(unpacked),
        silo,
        reason: crate::explain(fault),
    })
}

/// The first chunk of an upload that is no packed words.
fn unpacked_chunk(spool: &Arc<Spool>, plan: &RoundPlan, silo: &SiloName) -> Option<(u64, Vec<u8>)> {
    let chunks = spool.chunks_of(plan.id);
    (0..plan.chunk_count()).find_map(|index| {
        let chunk = chunks.chunk(silo, index).ok()?;
        (!is_packed(plan, index, &chunk)).then_some((index, chunk))
    })
}

/// The sum as integers of the centred range.
fn read_sum(spool: &Spool, plan: &RoundPlan, blob: &Digest) -> Result<Vec<i64>, RunFault> {
    let word_bits = plan.word_bits()?;
    let mut sum = Vec::with_capacity(usize::try_from(plan.vector.dimension).unwrap_or(0));
    for_each_chunk(spool, plan, blob, |_, words| {
        sum.extend(words.iter().map(|word| word_bits.lift(*word)));
    })?;
    Ok(sum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_is_no_sums_part_is_its_silos_and_a_lost_one_nobodys() {
        let silo = SiloName::parse("3_UK").unwrap();
        let other = UnmaskFault::OtherUpload { silo: silo.clone() };
        let signed = unusable(&other, |_| Ok(true), |_| None).unwrap();
        assert!(matches!(signed, Work::Unusable { silo: Some(name), .. } if name == silo));
        let damaged = unusable(&other, |_| Ok(false), |_| None).unwrap();
        assert!(matches!(damaged, Work::Unusable { silo: None, .. }));
        let lost = UnmaskFault::Spool {
            silo,
            source: std::io::ErrorKind::NotFound.into(),
        };
        let lost = unusable(&lost, |_| Ok(true), |_| None).unwrap();
        assert!(
            matches!(lost, Work::Unusable { silo: None, reason, .. } if reason.contains("3_UK"))
        );
    }
}
