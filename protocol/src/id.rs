// SPDX-License-Identifier: Apache-2.0
//! Names and numbers that identify who speaks and in which attempt.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a silo as the roster spells it: 1 to 63 letters, digits, dots, hyphens or underscores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SiloName(String);

/// A text that is not a silo's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a silo name: use 1 to 63 letters, digits, dots, hyphens or underscores")]
pub struct SiloNameFault(String);

impl SiloName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`SiloNameFault`] when the text is empty, too long or holds another character.
    pub fn parse(text: &str) -> Result<Self, SiloNameFault> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if (1..=63).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SiloNameFault(text.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SiloName {
    type Error = SiloNameFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SiloName> for String {
    fn from(name: SiloName) -> Self {
        name.0
    }
}

impl fmt::Display for SiloName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One attempt at one round under one roster.
///
/// `epoch` is the roster's version, `round` counts the federation's rounds and `attempt` the tries of
/// one round. A silo acts only on strictly growing `(round, attempt)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The roster's version.
    pub epoch: u64,
    /// The federation's round, from 1.
    pub round: u64,
    /// The attempt at this round, from 1.
    pub attempt: u32,
}

impl AttemptId {
    /// The order that a silo's journal demands to grow.
    #[must_use]
    pub fn order(&self) -> (u64, u32) {
        (self.round, self.attempt)
    }

    /// The fixed 20-byte encoding that enters every hash.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let (epoch, rest) = bytes.split_at_mut(8);
        let (round, attempt) = rest.split_at_mut(8);
        epoch.copy_from_slice(&self.epoch.to_le_bytes());
        round.copy_from_slice(&self.round.to_le_bytes());
        attempt.copy_from_slice(&self.attempt.to_le_bytes());
        bytes
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.epoch, self.round, self.attempt)
    }
}
