// SPDX-License-Identifier: Apache-2.0
//! The journalled form of the silo's machine: everything but the secrets.

use super::SiloMachine;
use super::phase::{Answer, Phase};
use crate::envelope::{decode, encode};
use crate::memory::SiloMemory;
use crate::secrets::AttemptSecrets;
use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

/// A journal that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal's snapshot cannot be read: restore the journal or leave the federation and join again"
)]
pub struct RestoreFault;

/// Borrowed for writing.
#[derive(Serialize)]
struct Written<'a> {
    memory: &'a SiloMemory,
    phase: &'a Phase,
    answers: &'a [Answer],
}

/// Owned for reading.
#[derive(Deserialize)]
struct Read {
    memory: SiloMemory,
    phase: Phase,
    answers: Vec<Answer>,
}

impl SiloMachine {
    /// The state without its secrets, for the journal.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        encode(&Written {
            memory: &self.memory,
            phase: &self.phase,
            answers: &self.answers,
        })
    }

    /// Restores a machine. Without the secrets of an attempt that still needs them, or with those of another
    /// instance, the attempt is sat out; what was burnt, voted and opened is remembered.
    ///
    /// # Errors
    /// [`RestoreFault`] when the snapshot cannot be read.
    pub fn restore(
        snapshot: &[u8],
        secrets: Option<&[u8]>,
        instance: Digest,
    ) -> Result<Self, RestoreFault> {
        let Read {
            memory,
            phase,
            answers,
        } = decode(snapshot).map_err(|_| RestoreFault)?;
        let id = phase.plan().map(|plan| plan.id);
        let secrets = match (secrets, id) {
            (Some(bytes), Some(id)) if phase.needs_secrets() => {
                AttemptSecrets::from_bytes(bytes, id, &instance)
            }
            _ => None,
        };
        if phase.needs_secrets() && secrets.is_none() {
            return Ok(Self {
                instance,
                memory,
                phase: Phase::Idle,
                secrets: None,
                answers: Vec::new(),
            });
        }
        Ok(Self {
            instance,
            memory,
            phase,
            secrets,
            answers,
        })
    }
}
