// SPDX-License-Identifier: Apache-2.0
//! What an officer is asked to agree to: the difference between two rosters, in words.

use std::collections::BTreeMap;
use std::fmt;

use consilium_crypto::signing::VerifyingKey;

use super::Roster;
use crate::certificate::PeerIdentity;
use crate::name::{Name, Role};

/// One difference between two versions of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// Somebody who was not there before.
    Added(PeerIdentity),
    /// Somebody who is no longer there.
    Removed(PeerIdentity),
    /// Somebody with another key than before.
    Rekeyed(PeerIdentity),
    /// Another origin of the shared log.
    LogOrigin {
        /// The new origin.
        origin: String,
    },
    /// Another set of certificate authorities.
    Authorities,
    /// Another assumption about collusion, and with it another quorum.
    Quorum {
        /// Members that may collude now.
        colluders: u32,
        /// Signatures needed now.
        quorum: u32,
    },
}

impl fmt::Display for RosterChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(who) => write!(formatter, "adds {who}"),
            Self::Removed(who) => write!(formatter, "removes {who}"),
            Self::Rekeyed(who) => write!(formatter, "replaces a key of {who}"),
            Self::LogOrigin { origin } => write!(formatter, "moves the shared log to `{origin}`"),
            Self::Authorities => formatter.write_str("changes the certificate authorities"),
            Self::Quorum { colluders, quorum } => {
                write!(
                    formatter,
                    "assumes up to {colluders} colluding silos, quorum {quorum}"
                )
            }
        }
    }
}

/// Everything that `new` changes about `old`; nothing means that the two say the same.
pub fn changes(old: &Roster, new: &Roster) -> Vec<RosterChange> {
    let (before, after) = (participants(old), participants(new));
    let mut found = Vec::new();
    for (who, keys) in &after {
        match before.get(who) {
            None => found.push(RosterChange::Added(who.clone())),
            Some(known) if known != keys => found.push(RosterChange::Rekeyed(who.clone())),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|who| !after.contains_key(*who));
    found.extend(gone.cloned().map(RosterChange::Removed));
    if old.coordinator().log_origin != new.coordinator().log_origin {
        let origin = new.coordinator().log_origin.clone();
        found.push(RosterChange::LogOrigin { origin });
    }
    if old.ca_spki() != new.ca_spki() {
        found.push(RosterChange::Authorities);
    }
    if (old.colluders(), old.witness_quorum()) != (new.colluders(), new.witness_quorum()) {
        found.push(RosterChange::Quorum {
            colluders: new.colluders(),
            quorum: new.witness_quorum(),
        });
    }
    found
}

fn participants(roster: &Roster) -> BTreeMap<PeerIdentity, Vec<VerifyingKey>> {
    let of = |role: Role, name: &Name| PeerIdentity {
        role,
        name: name.clone(),
    };
    let coordinator = roster.coordinator();
    let mut all = BTreeMap::from([(
        of(Role::Coordinator, &coordinator.name),
        vec![coordinator.key, coordinator.log_key],
    )]);
    for member in roster.members() {
        all.insert(
            of(Role::Silo, &member.name),
            vec![member.identity, member.witness],
        );
    }
    let people = [
        (Role::Researcher, roster.researchers()),
        (Role::Officer, roster.officers()),
        (Role::Operator, roster.operators()),
    ];
    for (role, people) in people {
        for person in people {
            all.insert(of(role, &person.name), vec![person.key]);
        }
    }
    all
}
