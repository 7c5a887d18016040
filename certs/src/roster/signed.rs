// SPDX-License-Identifier: Apache-2.0
//! From a proposed roster to a believed one.
//!
//! Version 1 is believed when every member it names has signed it; each later version when a quorum of
//! the members of the version before has. A [`VerifiedRoster`] comes from these two checks only.

use std::collections::BTreeMap;
use std::ops::Deref;

use consilium_crypto::label::Label;
use consilium_crypto::signing::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::{Member, Roster, RosterFault};
use crate::name::Name;

/// A roster's text with the signatures gathered so far. Nothing about it has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRoster {
    /// The canonical text, exactly as signed.
    pub roster: String,
    /// Signatures over the root, by member name.
    pub signatures: BTreeMap<Name, Signature>,
}

impl SignedRoster {
    /// A roster that nobody has signed yet.
    pub fn unsigned(roster: &Roster) -> Self {
        Self {
            roster: roster.text().to_owned(),
            signatures: BTreeMap::new(),
        }
    }

    /// Takes in one member's signature, after checking it. `previous` is the version in force; `None`
    /// while version 1 is being gathered.
    pub fn add(
        &mut self,
        previous: Option<&VerifiedRoster>,
        name: &Name,
        signature: Signature,
    ) -> Result<SignatureOutcome, RosterFault> {
        let roster = Roster::parse(&self.roster)?;
        let key = signer_key(&roster, previous, name)?;
        check_signature(&roster, name, &key, &signature)?;
        // Ed25519 signatures are deterministic: a member's second signature is its first.
        let outcome = match self.signatures.insert(name.clone(), signature) {
            None => SignatureOutcome::Added,
            Some(_) => SignatureOutcome::Repeated,
        };
        Ok(outcome)
    }

    /// Believes a founding roster: version 1, signed by every member.
    pub fn verify_founding(&self) -> Result<VerifiedRoster, RosterFault> {
        let roster = Roster::parse(&self.roster)?;
        if roster.version() != 1 {
            return Err(RosterFault::NotFounding {
                version: roster.version(),
            });
        }
        self.check_signatures(&roster, None)?;
        let missing = self.missing(roster.members());
        if !missing.is_empty() {
            return Err(RosterFault::FounderMissing { missing });
        }
        Ok(VerifiedRoster(roster))
    }

    /// Believes the version that follows `previous`, signed by a quorum of the members of `previous`.
    pub fn verify_successor(
        &self,
        previous: &VerifiedRoster,
    ) -> Result<VerifiedRoster, RosterFault> {
        let roster = Roster::parse(&self.roster)?;
        if roster.previous() != Some(previous.root())
            || previous.version().checked_add(1) != Some(roster.version())
        {
            return Err(RosterFault::NotSuccessor {
                version: roster.version(),
                pinned: previous.version(),
            });
        }
        self.check_signatures(&roster, Some(previous))?;
        let voters = previous.members();
        let signed = voters
            .iter()
            .filter(|member| self.signatures.contains_key(&member.name));
        let signed = u32::try_from(signed.count()).unwrap_or(0);
        let quorum = previous.witness_quorum();
        if signed < quorum {
            return Err(RosterFault::NoQuorum {
                version: roster.version(),
                signed,
                quorum,
            });
        }
        Ok(VerifiedRoster(roster))
    }

    /// Those of `voters` who have not signed.
    pub fn missing(&self, voters: &[Member]) -> Vec<Name> {
        voters
            .iter()
            .map(|member| &member.name)
            .filter(|name| !self.signatures.contains_key(*name))
            .cloned()
            .collect()
    }

    /// One bad signature spoils the whole: whoever put it there is not to be trusted with the rest.
    fn check_signatures(
        &self,
        roster: &Roster,
        previous: Option<&VerifiedRoster>,
    ) -> Result<(), RosterFault> {
        for (name, signature) in &self.signatures {
            let key = signer_key(roster, previous, name)?;
            check_signature(roster, name, &key, signature)?;
        }
        Ok(())
    }
}

/// What came of adding a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureOutcome {
    /// It is new.
    Added,
    /// That member had signed already.
    Repeated,
}

/// A roster that was agreed to by those who had to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRoster(Roster);

impl Deref for VerifiedRoster {
    type Target = Roster;

    fn deref(&self) -> &Roster {
        &self.0
    }
}

/// A member of the version before votes with the key it had there; a newcomer may sign as well, with
/// its new key, but its signature does not count.
fn signer_key(
    roster: &Roster,
    previous: Option<&VerifiedRoster>,
    name: &Name,
) -> Result<VerifyingKey, RosterFault> {
    previous
        .and_then(|previous| previous.member(name.as_str()))
        .or_else(|| roster.member(name.as_str()))
        .map(|member| member.identity)
        .ok_or_else(|| RosterFault::UnknownSigner { name: name.clone() })
}

fn check_signature(
    roster: &Roster,
    name: &Name,
    key: &VerifyingKey,
    signature: &Signature,
) -> Result<(), RosterFault> {
    key.verify(
        Label::RosterSignature,
        &[roster.root().as_bytes()],
        signature,
    )
    .map_err(|_| RosterFault::BadSignature { name: name.clone() })
}
