// SPDX-License-Identifier: Apache-2.0
//! Names of participants and the roles they act in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a participant: 1 to 63 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
///
/// The names of people may hold `@` as well (`a.ruiz@uni.example`); those of silos and of the
/// coordinator may not, see [`Role::accepts`]. Such a name is safe as a file name and in a URN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks and takes a name.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let allowed = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '@')
        };
        if !starts_well || text.len() > LONGEST_NAME || !text.chars().all(allowed) {
            return Err(NameFault::Malformed {
                name: text.chars().take(LONGEST_NAME).collect(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameFault;

    fn try_from(text: String) -> Result<Self, NameFault> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// What a participant is in the federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs rounds; never sees a plain update.
    Coordinator,
    /// A member: a hospital's agent, with data, a vote on membership and a witness key.
    Silo,
    /// Signs and submits studies.
    Researcher,
    /// A data-protection officer: reads reports and evidence.
    Officer,
    /// Looks after the coordinator.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Coordinator,
        Self::Silo,
        Self::Researcher,
        Self::Officer,
        Self::Operator,
    ];

    /// The word for the role on the command line, in certificates and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Silo => "silo",
            Self::Researcher => "researcher",
            Self::Officer => "officer",
            Self::Operator => "operator",
        }
    }

    /// Checks that a name may be borne in this role: only people have an `@`.
    pub fn accepts(self, name: &Name) -> Result<(), NameFault> {
        match self {
            Self::Coordinator | Self::Silo if name.0.contains('@') => Err(NameFault::AtSign {
                name: name.0.clone(),
                role: self,
            }),
            Self::Coordinator | Self::Silo | Self::Researcher | Self::Officer | Self::Operator => {
                Ok(())
            }
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| NameFault::UnknownRole {
                role: text.to_owned(),
            })
    }
}

/// Why a text is not a name or a role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameFault {
    /// Characters or length.
    #[error(
        "`{name}` is not a name; use 1 to 63 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
    )]
    Malformed {
        /// What was given, cut to 63 characters.
        name: String,
    },
    /// An `@` in the name of something that is not a person.
    #[error("`{name}` cannot be the name of a {role}; only people have an `@` in their name")]
    AtSign {
        /// The name.
        name: String,
        /// The role it was meant for.
        role: Role,
    },
    /// No such role.
    #[error("`{role}` is not a role; use coordinator, silo, researcher, officer or operator")]
    UnknownRole {
        /// What was given.
        role: String,
    },
}

const LONGEST_NAME: usize = 63;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hospital_and_person_names_are_accepted() {
        for good in [
            "3_UK",
            "1_UM",
            "stmary.example",
            "a",
            "a.ruiz@uni.example",
            &"x".repeat(63),
        ] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_that_could_be_paths_options_or_lookalikes_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "-rf",
            "a/b",
            "a b",
            "ä",
            "a\n",
            "a:b",
            &"x".repeat(64),
        ] {
            assert!(Name::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn only_people_have_an_at_sign() {
        let name = Name::parse("a.ruiz@uni.example").unwrap();
        assert!(Role::Silo.accepts(&name).is_err());
        assert!(Role::Coordinator.accepts(&name).is_err());
        assert!(Role::Researcher.accepts(&name).is_ok());
    }

    #[test]
    fn every_role_reads_back_from_its_word() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
    }

    #[test]
    fn an_unchecked_name_cannot_come_in_through_a_file() {
        assert!(serde_json::from_str::<Name>("\"../etc\"").is_err());
    }
}
