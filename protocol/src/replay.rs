// SPDX-License-Identifier: Apache-2.0
//! Computing a committed sum again, when tags are missing or do not add up.
//!
//! The vector is cut into as many parts as there are survivors; the survivor at place p computes `cover` parts from part
//! p on, around the circle. A sum stands when every part was computed by at least n_c + 1 survivors, so by an honest one.
//! No further mask is opened and the set of survivors stays what it is.

use crate::challenge::Subject;
use crate::defence::{Defence, stands};
use crate::envelope::Envelope;
use crate::fault::Fault;
use crate::id::SiloName;
use crate::mask_job::{chunk_digest, upload_root};
use crate::membership::Membership;
use crate::message::SiloMessage;
use crate::round_plan::RoundPlan;
use crate::signed_list::{Known, verify_silos};
use crate::unmask::{ChunkSource, UnmaskFault, UnmaskJob, committed_sum};
use consilium_crypto::digest::Digest;
use std::ops::Range;

/// Where a silo finds the committed sum and what the coordinator says the survivors uploaded.
pub trait ReplaySource: ChunkSource {
    /// The digests of all chunks of a silo's upload.
    ///
    /// # Errors
    /// Whatever the storage or network reports.
    fn chunk_digests(&self, silo: &SiloName) -> std::io::Result<Vec<Digest>>;

    /// The packed bytes of chunk `index` of the sum.
    ///
    /// # Errors
    /// Whatever the storage or network reports.
    fn sum_chunk(&self, index: u64) -> std::io::Result<Vec<u8>>;

    /// The digests of all chunks of the sum.
    ///
    /// # Errors
    /// Whatever the storage or network reports.
    fn sum_digests(&self) -> std::io::Result<Vec<Digest>>;
}

/// What a replay found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// Bit for bit the committed sum.
    Equal,
    /// The signed uploads and the seeds give another sum.
    Different,
}

/// One silo's part of a replay, for a CPU pool.
#[derive(Debug)]
pub struct ReplayJob {
    pub(crate) unmask: UnmaskJob,
    /// H(S).
    pub(crate) sum: Digest,
    pub(crate) parts: Vec<Range<u64>>,
}

impl ReplayJob {
    /// The attempt's parameters.
    #[must_use]
    pub fn plan(&self) -> &RoundPlan {
        self.unmask.plan()
    }

    /// Which chunks of every upload and of the sum are needed.
    #[must_use]
    pub fn parts(&self) -> &[Range<u64>] {
        &self.parts
    }

    /// Whose uploads are needed, with the roots that they signed.
    #[must_use]
    pub fn uploads(&self) -> &[(SiloName, Digest)] {
        self.unmask.survivors()
    }

    /// Computes this silo's parts from the signed uploads and compares them with the committed sum.
    ///
    /// # Errors
    /// [`UnmaskFault`] when bytes are missing or are not the signed or committed ones: then nothing was compared.
    pub fn run(&self, source: &dyn ReplaySource) -> Result<ReplayOutcome, UnmaskFault> {
        let mut digests = Vec::with_capacity(self.uploads().len());
        for (silo, root) in self.uploads() {
            let listed = source
                .chunk_digests(silo)
                .map_err(|source| UnmaskFault::Spool {
                    silo: silo.clone(),
                    source,
                })?;
            if !self.is_complete(&listed) || upload_root(&listed) != *root {
                return Err(UnmaskFault::OtherUpload { silo: silo.clone() });
            }
            digests.push(listed);
        }
        let sum_digests = source.sum_digests().map_err(UnmaskFault::Sum)?;
        if !self.is_complete(&sum_digests)
            || committed_sum(self.unmask.cohort(), &sum_digests) != self.sum
        {
            return Err(UnmaskFault::OtherSum);
        }
        for index in self.parts.iter().cloned().flatten() {
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            let computed = self.unmask.chunk(index, source, |at, chunk| {
                let signed = digests.get(at).and_then(|digests| digests.get(place));
                signed == Some(&chunk_digest(chunk))
            })?;
            let packed = source.sum_chunk(index).map_err(UnmaskFault::Sum)?;
            if sum_digests.get(place) != Some(&chunk_digest(&packed)) {
                return Err(UnmaskFault::OtherSum);
            }
            if computed != packed {
                return Ok(ReplayOutcome::Different);
            }
        }
        Ok(ReplayOutcome::Equal)
    }

    fn is_complete(&self, digests: &[Digest]) -> bool {
        u64::try_from(digests.len()) == Ok(self.plan().chunk_count())
    }
}

/// How many parts each survivor computes: all of a small vector, of a large one enough for n_c + 1 although n_d vanish.
pub(crate) fn cover_of(plan: &RoundPlan, survivors: usize) -> u32 {
    let survivors = u32::try_from(survivors).unwrap_or(u32::MAX);
    let bytes = plan.packed_length().saturating_mul(u64::from(survivors));
    if bytes <= WHOLE_BYTES {
        return survivors;
    }
    let enough = plan.thresholds.colluders + 1 + plan.thresholds.dropouts;
    enough.min(survivors)
}

/// The chunks that the survivor at `place` computes.
pub(crate) fn parts_of(
    plan: &RoundPlan,
    survivors: usize,
    place: usize,
    cover: u32,
) -> Vec<Range<u64>> {
    let count = u64::try_from(survivors.max(1)).unwrap_or(u64::MAX);
    let place = u64::try_from(place).unwrap_or(u64::MAX);
    (0..u64::from(cover).min(count))
        .map(|step| (place % count + step) % count)
        .map(|part| boundary(plan, part, count)..boundary(plan, part + 1, count))
        .filter(|part| !part.is_empty())
        .collect()
}

/// Verifies that at least n_c + 1 survivors vouch for every part of the sum.
pub(crate) fn verify_replays(
    subject: Subject<'_>,
    membership: &Membership,
    survivors: &[(SiloName, Digest)],
    cover: u32,
    replayed: &[Envelope],
) -> Result<(), Fault> {
    let mut places = Vec::with_capacity(replayed.len());
    let mut previous: Option<SiloName> = None;
    let (id, known) = (subject.plan.id, Known::new());
    for verified in verify_silos(replayed, membership, id, subject.cohort, &known)? {
        let place = survivors.binary_search_by(|(silo, _)| silo.cmp(&verified.silo));
        let sorted = previous.is_none_or(|before| before < verified.silo);
        let (Ok(place), true) = (place, sorted) else {
            return Err(Fault::BadList { list: "replays" });
        };
        let expected = SiloMessage::Replayed {
            sum: *subject.sum,
            cover,
        };
        if verified.message != expected {
            return Err(Fault::Unverified);
        }
        places.push(place);
        previous = Some(verified.silo);
    }
    let enough = vouched_for(subject.plan, survivors.len(), cover, places.into_iter());
    if enough || !stands(Defence::EnoughReplays) {
        Ok(())
    } else {
        Err(Fault::Unverified)
    }
}

/// Whether the survivors at `places`, all of them different, computed every part n_c + 1 times.
pub(crate) fn vouched_for(
    plan: &RoundPlan,
    survivors: usize,
    cover: u32,
    places: impl Iterator<Item = usize>,
) -> bool {
    let mut vouchers = vec![0_u32; survivors];
    let cover = usize::try_from(cover).unwrap_or(usize::MAX).min(survivors);
    for place in places {
        for step in 0..cover {
            if let Some(vouchers) = vouchers.get_mut((place + step) % survivors) {
                *vouchers += 1;
            }
        }
    }
    let needed = plan.thresholds.colluders + 1;
    vouchers.iter().all(|vouchers| *vouchers >= needed)
}

fn boundary(plan: &RoundPlan, part: u64, parts: u64) -> u64 {
    let at = u128::from(plan.chunk_count()) * u128::from(part) / u128::from(parts);
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// Up to here a silo fetches every upload whole.
const WHOLE_BYTES: u64 = 64 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
