// SPDX-License-Identifier: Apache-2.0
//! Sums: whose inputs they hold, whether they are true, and what follows from them.

use super::super::operation::Noise;
use super::super::shared_log::{Entry, SharedLog};
use super::super::study::{DIMENSION, Study};
use super::{Invariant, Violation};
use consilium_crypto::digest::Digest;
use consilium_protocol::{AttemptId, RoundPlan, SiloName};
use std::collections::{BTreeMap, BTreeSet};

/// Every vector that ever left and every sum that was ever released.
#[derive(Debug, Default)]
pub(super) struct Releases {
    inputs: BTreeMap<(SiloName, AttemptId), Vec<i64>>,
    /// By model and task.
    sums: BTreeMap<(Digest, Digest), (Vec<SiloName>, Vec<u64>)>,
    /// The last attempt that was released.
    newest: Option<AttemptId>,
    /// Who has verified which sum.
    verified: BTreeMap<AttemptId, BTreeSet<SiloName>>,
    /// By the round that they follow.
    models: BTreeMap<u64, Digest>,
}

impl Releases {
    /// Remembers a vector; says whether no earlier attempt had it.
    pub(super) fn uploaded(&mut self, silo: &SiloName, id: AttemptId, input: &[i64]) -> bool {
        let fresh = self
            .inputs
            .iter()
            .filter(|((owner, attempt), _)| owner == silo && *attempt != id)
            .all(|(_, earlier)| earlier != input);
        self.inputs.insert((silo.clone(), id), input.to_vec());
        fresh
    }

    pub(super) fn released(
        &mut self,
        study: &Study,
        plan: &RoundPlan,
        survivors: &[SiloName],
        sum: &[u64],
    ) -> Result<(), Violation> {
        let id = plan.id;
        let quorum = study.thresholds().quorum;
        // A silo that is named twice has one input.
        let distinct: BTreeSet<&SiloName> = survivors.iter().collect();
        let inputs: Vec<&Vec<i64>> = distinct
            .into_iter()
            .filter_map(|silo| self.inputs.get(&(silo.clone(), id)))
            .collect();
        // Whoever of them colludes, quorum - n_c of a quorum do not.
        if u32::try_from(inputs.len()).is_ok_and(|count| count < quorum) {
            let count = inputs.len();
            let detail = format!("attempt {id} is released with {count} of {quorum} inputs");
            return Err(Violation::new(Invariant::EnoughHonestInputs, detail));
        }
        let mut expected = vec![0; DIMENSION];
        for input in &inputs {
            study.bits.add_assign(&mut expected, &study.words(input));
        }
        if inputs.len() != survivors.len() || expected != sum {
            let detail = format!("attempt {id} is released with a sum that its inputs do not have");
            return Err(Violation::new(Invariant::TrueSum, detail));
        }
        let question = (plan.model, plan.task);
        let answer = (survivors.to_vec(), sum.to_vec());
        let first = self.sums.entry(question).or_insert_with(|| answer.clone());
        if study.noise == Noise::Absent && *first != answer {
            let detail = format!("the question of attempt {id} has two sums");
            return Err(Violation::new(Invariant::OneSumWithoutNoise, detail));
        }
        Ok(())
    }

    pub(super) fn abandoned(&self, id: AttemptId, charged: bool) -> Result<(), Violation> {
        let uploads = self.inputs.keys().filter(|(_, attempt)| *attempt == id);
        let count = uploads.count();
        if charged || count == 0 {
            return Ok(());
        }
        let detail = format!("attempt {id} counts as uncharged after {count} uploads");
        Err(Violation::new(Invariant::UploadsCharged, detail))
    }

    /// What the coordinator or a silo takes for released.
    pub(super) fn ended(&mut self, id: AttemptId, verifier: Option<&SiloName>) {
        let newest = self.newest.map(|newest| newest.order());
        if newest < Some(id.order()) {
            self.newest = Some(id);
        }
        if let Some(silo) = verifier {
            self.verified.entry(id).or_default().insert(silo.clone());
        }
    }

    /// The next round rests on the word of a threshold, and the log says so.
    pub(super) fn opened(
        &self,
        study: &Study,
        log: &SharedLog,
        id: AttemptId,
    ) -> Result<(), Violation> {
        let Some(last) = self.newest.filter(|last| last.round < id.round) else {
            return Ok(());
        };
        let silos = self.verified.get(&last).map_or(0, BTreeSet::len);
        let threshold = study.thresholds().threshold;
        let of_last = |entry: &Entry| matches!(entry, Entry::Accepted { id, .. } if *id == last);
        let logged = log.newest_first(log.len()).any(of_last);
        if logged && u32::try_from(silos).is_ok_and(|silos| silos >= threshold) {
            return Ok(());
        }
        let detail = format!("{id} is opened when {silos} of {threshold} silos verified {last}");
        Err(Violation::new(Invariant::AcceptedBeforeNext, detail))
    }

    pub(super) fn computed(&mut self, round: u64, model: Digest) -> Result<(), Violation> {
        if *self.models.entry(round).or_insert(model) == model {
            return Ok(());
        }
        let detail = format!("two models follow round {round}");
        Err(Violation::new(Invariant::OneModel, detail))
    }
}
