// SPDX-License-Identifier: Apache-2.0
//! What a roster's text holds, and what has to be true of it.

use std::collections::BTreeSet;

use consilium_crypto::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{CoordinatorEntry, Member, Person, RosterFault, count, quorum};
use crate::name::{Name, Role};

/// The fields in the order of RFC 8785, which sorts keys: serialising them in declaration order is
/// serialising them canonically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) ca_spki: Vec<Digest>,
    pub(super) colluders: u32,
    pub(super) coordinator: CoordinatorEntry,
    pub(super) members: Vec<Member>,
    pub(super) officers: Vec<Person>,
    pub(super) operators: Vec<Person>,
    pub(super) previous: Option<Digest>,
    pub(super) researchers: Vec<Person>,
    pub(super) version: u64,
    pub(super) witness_quorum: u32,
}

impl Content {
    pub(super) fn to_text(&self) -> Result<String, RosterFault> {
        serde_json::to_string(self).map_err(|fault| RosterFault::Malformed { fault })
    }

    pub(super) fn check(&self) -> Result<(), RosterFault> {
        self.check_version()?;
        self.check_numbers()?;
        self.check_names()?;
        self.check_keys()?;
        let origin = &self.coordinator.log_origin;
        let printable = |character: char| character.is_ascii_graphic() && character != '+';
        if origin.is_empty() || origin.len() > 255 || !origin.chars().all(printable) {
            return Err(RosterFault::LogOrigin);
        }
        if self.ca_spki.is_empty() {
            return Err(RosterFault::NoAuthority);
        }
        if !ascending(&self.ca_spki) {
            return Err(RosterFault::NotCanonical);
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), RosterFault> {
        // A canonical JSON number is exact only this far.
        const LARGEST: u64 = (1 << 53) - 1;
        match (self.version, self.previous) {
            (1, None) => Ok(()),
            (2..=LARGEST, Some(_)) => Ok(()),
            _ => Err(RosterFault::Version {
                version: self.version,
            }),
        }
    }

    fn check_numbers(&self) -> Result<(), RosterFault> {
        let members = count(&self.members);
        if members < FEWEST_MEMBERS {
            return Err(RosterFault::TooFewMembers { members });
        }
        let quorum = quorum(members, self.colluders);
        if self.colluders >= members || quorum > members || quorum - self.colluders < 2 {
            return Err(RosterFault::Colluders {
                colluders: self.colluders,
                members,
            });
        }
        if self.witness_quorum != quorum {
            return Err(RosterFault::WitnessQuorum {
                stated: self.witness_quorum,
                quorum,
            });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), RosterFault> {
        Role::Coordinator.accepts(&self.coordinator.name)?;
        let mut seen = BTreeSet::from([&self.coordinator.name]);
        let members: Vec<&Name> = self.members.iter().map(|member| &member.name).collect();
        let lists = [
            (Role::Silo, members),
            (Role::Researcher, names(&self.researchers)),
            (Role::Officer, names(&self.officers)),
            (Role::Operator, names(&self.operators)),
        ];
        for (role, names) in lists {
            if !names.is_sorted() {
                return Err(RosterFault::NotCanonical);
            }
            for name in names {
                role.accepts(name)?;
                if !seen.insert(name) {
                    return Err(RosterFault::NameTwice { name: name.clone() });
                }
            }
        }
        Ok(())
    }

    /// No key serves two participants or two purposes: a member could otherwise answer for another.
    fn check_keys(&self) -> Result<(), RosterFault> {
        let coordinator = &self.coordinator;
        let own = [
            (&coordinator.name, coordinator.key),
            (&coordinator.name, coordinator.log_key),
        ];
        let members = self.members.iter().flat_map(|member| {
            [
                (&member.name, member.identity),
                (&member.name, member.witness),
            ]
        });
        let people = [&self.researchers, &self.officers, &self.operators]
            .into_iter()
            .flatten()
            .map(|person| (&person.name, person.key));
        let mut seen = BTreeSet::new();
        for (name, key) in own.into_iter().chain(members).chain(people) {
            if !seen.insert(key.to_bytes()) {
                return Err(RosterFault::KeyTwice { name: name.clone() });
            }
        }
        Ok(())
    }
}

fn names(people: &[Person]) -> Vec<&Name> {
    people.iter().map(|person| &person.name).collect()
}

fn ascending(digests: &[Digest]) -> bool {
    digests.is_sorted_by(|left, right| left < right)
}

const FEWEST_MEMBERS: u32 = 2;
