// SPDX-License-Identifier: Apache-2.0
//! A whole round of the real machines, written down: where the fuzzed ones begin.

use crate::Federation;
use anyhow::{Context, Result};
use consilium_crypto::digest::Digest;
use consilium_crypto::signing::SigningKey;
use consilium_privacy::noise_plan::VectorPlan;
use consilium_protocol::{
    CoordinatorEvent, CoordinatorMachine, Delivery, Membership, RoundPlan, SiloMachine, SiloName,
};
use std::sync::LazyLock;

/// Everything that was sent in a round, and the machines before each message.
#[derive(Default)]
pub struct Recording {
    pub(crate) membership: Option<Membership>,
    pub(crate) coordinator_key: Option<SigningKey>,
    pub(crate) silos: Vec<(SiloName, SigningKey)>,
    pub(crate) plan: Option<RoundPlan>,
    pub(crate) to_silos: Vec<SentToSilo>,
    pub(crate) to_coordinator: Vec<SentToCoordinator>,
}

/// A message to a silo and the silo before it came.
pub(crate) struct SentToSilo {
    pub(crate) at: usize,
    pub(crate) snapshot: Vec<u8>,
    pub(crate) secrets: Option<Vec<u8>>,
    pub(crate) delivery: Delivery,
}

/// A message to the coordinator, if it was one and no end of local work, and the coordinator before it came.
pub(crate) struct SentToCoordinator {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) said: Option<(SiloName, Delivery)>,
}

static ROUND: LazyLock<Result<Recording>> = LazyLock::new(Recording::new);

impl Recording {
    /// One round of four silos.
    ///
    /// # Errors
    /// Whatever the machines refuse; none does.
    pub fn of_a_round() -> Result<&'static Self> {
        match &*ROUND {
            Ok(recording) => Ok(recording),
            Err(fault) => Err(anyhow::anyhow!("{fault:#}")),
        }
    }

    fn new() -> Result<Self> {
        let mut federation = Federation::new(&["a", "b", "c", "d"])?;
        federation.record();
        let vector = VectorPlan::plain(4, 4, 32, 0)?;
        federation.sum(&vector, &[vec![1; 4], vec![2; 4], vec![3; 4], vec![4; 4]])?;
        federation.recorded().context("a recording")
    }

    pub(crate) fn silo(
        &mut self,
        at: usize,
        machine: &SiloMachine,
        delivery: &Delivery,
        plan: &RoundPlan,
    ) {
        self.plan = Some(plan.clone());
        self.to_silos.push(SentToSilo {
            at,
            snapshot: machine.snapshot(),
            secrets: machine.secrets().map(|secrets| secrets.expose().clone()),
            delivery: delivery.clone(),
        });
    }

    pub(crate) fn coordinator(&mut self, machine: &CoordinatorMachine, event: &CoordinatorEvent) {
        let said = match event {
            CoordinatorEvent::Delivered { from, delivery } => {
                Some((from.clone(), delivery.clone()))
            }
            _ => None,
        };
        self.to_coordinator.push(SentToCoordinator {
            snapshot: machine.snapshot(),
            said,
        });
    }

    /// The installation of a silo, as [`Federation`] names it.
    pub(crate) fn instance(name: &SiloName) -> Digest {
        Federation::instance(name.as_str())
    }
}
