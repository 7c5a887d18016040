// SPDX-License-Identifier: Apache-2.0
//! Four silos and a coordinator with fixed keys, for unit tests.
#![allow(clippy::unwrap_used)]

use consilium_certs::{
    CoordinatorEntry, Member, Name, Person, Roster, RosterParts, SignedRoster, VerifiedRoster,
};
use consilium_crypto::digest::Digest;
use consilium_crypto::secret::{Secret, Secret32};
use consilium_crypto::signing::SigningKey;

pub(crate) const NAMES: [&str; 4] = ["1_UM", "2_IU", "3_UK", "4_Case"];
pub(crate) const RESEARCHER: &str = "a.ruiz@uni.example";

/// A founded federation.
pub(crate) struct Federation {
    pub(crate) roster: VerifiedRoster,
    identities: [Secret32; 4],
    witnesses: [Secret32; 4],
}

impl Federation {
    pub(crate) fn new() -> Federation {
        Federation::of(
            std::array::from_fn(identity_seed),
            std::array::from_fn(witness_seed),
        )
    }

    /// A federation in which one silo has keys of its own: identity and witness.
    pub(crate) fn with_member(own: usize, identity: Secret32, witness: Secret32) -> Federation {
        let mut identities: [Secret32; 4] = std::array::from_fn(identity_seed);
        let mut witnesses: [Secret32; 4] = std::array::from_fn(witness_seed);
        identities[own] = identity;
        witnesses[own] = witness;
        Federation::of(identities, witnesses)
    }

    fn of(identities: [Secret32; 4], witnesses: [Secret32; 4]) -> Federation {
        let federation_key = |byte: u8| key(byte).verifying_key();
        let members = NAMES.iter().enumerate().map(|(position, name)| Member {
            identity: SigningKey::from_seed(&identities[position]).verifying_key(),
            name: Name::parse(name).unwrap(),
            witness: SigningKey::from_seed(&witnesses[position]).verifying_key(),
        });
        let roster = Roster::found(RosterParts {
            coordinator: CoordinatorEntry {
                key: federation_key(1),
                log_key: federation_key(2),
                log_origin: "federation.example/log".to_owned(),
                name: Name::parse("federation").unwrap(),
            },
            members: members.collect(),
            researchers: vec![Person {
                key: federation_key(3),
                name: Name::parse(RESEARCHER).unwrap(),
            }],
            officers: Vec::new(),
            operators: Vec::new(),
            ca_spki: vec![Digest::from_bytes([9; 32])],
            colluders: None,
        })
        .unwrap();
        let mut signed = SignedRoster::unsigned(&roster);
        for (position, name) in NAMES.iter().enumerate() {
            let signature = roster.sign(&SigningKey::from_seed(&identities[position]));
            signed
                .add(None, &Name::parse(name).unwrap(), signature)
                .unwrap();
        }
        Federation {
            roster: signed.verify_founding().unwrap(),
            identities,
            witnesses,
        }
    }

    /// The same members under a second version of the roster.
    pub(crate) fn successor(&self) -> VerifiedRoster {
        let next = self.roster.succeed(self.roster.to_parts()).unwrap();
        let mut signed = SignedRoster::unsigned(&next);
        for (name, seed) in NAMES.iter().zip(&self.identities) {
            let signature = next.sign(&SigningKey::from_seed(seed));
            signed
                .add(Some(&self.roster), &Name::parse(name).unwrap(), signature)
                .unwrap();
        }
        signed.verify_successor(&self.roster).unwrap()
    }

    pub(crate) fn coordinator_key(&self) -> SigningKey {
        key(1)
    }

    pub(crate) fn identity_key(&self, position: usize) -> SigningKey {
        SigningKey::from_seed(&self.identities[position])
    }

    pub(crate) fn log_key(&self) -> SigningKey {
        key(2)
    }

    pub(crate) fn researcher_key(&self) -> SigningKey {
        key(3)
    }

    pub(crate) fn witness_key(&self, position: usize) -> SigningKey {
        SigningKey::from_seed(&self.witnesses[position])
    }
}

fn identity_seed(position: usize) -> Secret32 {
    seed(u8::try_from(10 + position).unwrap())
}

fn witness_seed(position: usize) -> Secret32 {
    seed(u8::try_from(20 + position).unwrap())
}

fn seed(byte: u8) -> Secret32 {
    Secret::new([byte; 32])
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&seed(byte))
}

/// The roster as the protocol sees it.
pub(crate) fn membership(roster: &Roster) -> consilium_protocol::Membership {
    crate::silo_folder::membership(roster).unwrap()
}

/// A small study without noise.
pub(crate) const STATISTICS: &str = r#"
[study]
name = "ages"
researcher = "a.ruiz@uni.example"
purpose = "scientific-research"
ethics = "IRB-2012-0117"
data = "ercp-trial"
deadline_hours = 24
[data]
patient = "id"
missing = "complete-case"
[data.columns.age]
type = "number"
range = [18, 100]
[analysis]
kind = "statistics"
[[analysis.moments]]
column = "age"
[privacy]
mode = "none"
[aggregation]
fraction_bits = 32
word_bits = 64
"#;
