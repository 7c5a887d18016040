// SPDX-License-Identifier: Apache-2.0
//! The stored form of an attempt. It holds digests and shares, never an upload.

use super::CoordinatorMachine;
use super::outbox::Outbox;
use super::phase::Phase;
use crate::envelope::{decode, encode};
use crate::round_plan::RoundPlan;
use crate::silo::RestoreFault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Borrowed for writing.
#[derive(Serialize)]
struct Written<'a> {
    plan: &'a RoundPlan,
    phase: &'a Phase,
    outbox: &'a Outbox,
}

/// Owned for reading.
#[derive(Deserialize)]
struct Read {
    plan: RoundPlan,
    phase: Phase,
    outbox: Outbox,
}

impl CoordinatorMachine {
    /// The state with its outbox, for the store.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        encode(&Written {
            plan: &self.plan,
            phase: &self.phase,
            outbox: &self.outbox,
        })
    }

    /// Restores an attempt. Every silo counts as present until its session is missed; the running phase gets
    /// `grace` milliseconds from `now`.
    ///
    /// # Errors
    /// [`RestoreFault`] when the snapshot cannot be read.
    pub fn restore(snapshot: &[u8], now: u64, grace: u64) -> Result<Self, RestoreFault> {
        let Read {
            plan,
            phase,
            outbox,
        } = decode(snapshot).map_err(|_| RestoreFault)?;
        let deadline = now.saturating_add(grace);
        Ok(Self {
            plan,
            phase,
            deadline,
            gone: BTreeSet::new(),
            outbox,
        })
    }
}
