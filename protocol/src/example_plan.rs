// SPDX-License-Identifier: Apache-2.0
//! A plan without noise, for unit tests that need one and do not care whose.

use crate::id::{AttemptId, SiloName};
use crate::membership::Membership;
use crate::round_plan::RoundPlan;
use consilium_crypto::label::Label;
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;
use consilium_crypto::transcript::hash;
use consilium_privacy::noise_plan::VectorPlan;

/// `silos` silos, a third of whom may collude, sum up `dimension` words of `word_bits` bits.
pub(crate) fn example_plan(silos: usize, dimension: u64, word_bits: u8) -> RoundPlan {
    let key = SigningKey::from_seed(&Secret::new([3; 32])).verifying_key();
    let names: Vec<SiloName> = (0..silos)
        .map(|at| SiloName::parse(&format!("silo-{at:02}")).unwrap())
        .collect();
    let membership = Membership {
        epoch: 1,
        roster_root: hash(Label::RosterRoot, &[]),
        coordinator: key,
        silos: names.iter().cloned().map(|name| (name, key)).collect(),
        colluders: u32::try_from(silos / 3).unwrap(),
    };
    let id = AttemptId {
        epoch: 1,
        round: 1,
        attempt: 1,
    };
    let (model, task) = (hash(Label::NoModel, &[]), hash(Label::Task, &[]));
    let count = u32::try_from(silos).unwrap();
    let vector = VectorPlan::plain(dimension, count, word_bits, 0).unwrap();
    RoundPlan::new(id, &membership, &names, Some(0), model, task, vector).unwrap()
}
