// SPDX-License-Identifier: Apache-2.0
//! Whom to believe: the log's key, its witnesses, their quorum, as a
//! [C2SP tlog-policy](https://c2sp.org/tlog-policy) file.
//!
//! SECURITY: the file that lies beside a log was written by whoever keeps the log. An auditor brings a policy made
//! from the roster that the members signed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    note::{NoteFault, NoteVerifier},
    witness::{CosignatureVerifier, WitnessSet, WitnessSetFault},
};

/// The one log, its witnesses and their quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// The log's key and origin.
    pub log: NoteVerifier,
    /// The witnesses and their quorum.
    pub witnesses: WitnessSet,
}

impl TrustPolicy {
    /// Believing this log under these witnesses.
    pub fn new(log: NoteVerifier, witnesses: WitnessSet) -> Self {
        Self { log, witnesses }
    }
}

impl fmt::Display for TrustPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "log {}", self.log.to_vkey())?;
        if self.witnesses.quorum() == 0 {
            return writeln!(formatter, "quorum none");
        }
        for witness in self.witnesses.members() {
            writeln!(
                formatter,
                "witness {} {}",
                witness.name(),
                witness.to_vkey()
            )?;
        }
        write!(formatter, "group {GROUP} {}", self.witnesses.quorum())?;
        for witness in self.witnesses.members() {
            write!(formatter, " {}", witness.name())?;
        }
        writeln!(formatter, "\nquorum {GROUP}")
    }
}

impl FromStr for TrustPolicy {
    type Err = TrustPolicyFault;

    /// Reads a policy of one log and at most one group that holds every witness; nested groups are not supported.
    fn from_str(text: &str) -> Result<Self, TrustPolicyFault> {
        let (mut log, mut quorum) = (None, None);
        let mut witnesses: BTreeMap<&str, CosignatureVerifier> = BTreeMap::new();
        let mut group: Option<(&str, usize)> = None;
        for (index, line) in text.lines().enumerate() {
            let fault = |reason: &str| TrustPolicyFault::Line {
                line: index + 1,
                reason: reason.to_owned(),
            };
            let items: Vec<&str> = line
                .split([' ', '\t'])
                .filter(|item| !item.is_empty())
                .collect();
            match items.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", vkey] | ["log", vkey, _] => {
                    if log.replace(NoteVerifier::from_vkey(vkey)?).is_some() {
                        return Err(fault("a second log"));
                    }
                }
                ["witness", name, vkey] | ["witness", name, vkey, _] => {
                    let verifier = CosignatureVerifier::from_vkey(vkey)?;
                    if *name == "none" || witnesses.insert(name, verifier).is_some() {
                        return Err(fault("a name that is taken"));
                    }
                }
                ["group", name, threshold, members @ ..] => {
                    let threshold = match *threshold {
                        "all" => members.len(),
                        "any" => 1,
                        number => number
                            .parse()
                            .map_err(|_| fault("not a number of witnesses"))?,
                    };
                    let all = members.len() == witnesses.len()
                        && witnesses.keys().all(|known| members.contains(known));
                    if threshold == 0 {
                        return Err(fault("a group that nobody need be of"));
                    }
                    if !all || group.replace((name, threshold)).is_some() {
                        return Err(fault(
                            "one group that names every witness once is supported",
                        ));
                    }
                }
                ["quorum", name] => {
                    let needed = match group {
                        _ if *name == "none" => 0,
                        Some((group, threshold)) if group == *name => threshold,
                        _ if witnesses.len() == 1 && witnesses.contains_key(name) => 1,
                        _ => return Err(fault("the quorum is neither `none` nor the group")),
                    };
                    if quorum.replace(needed).is_some() {
                        return Err(fault("a second quorum"));
                    }
                }
                _ => return Err(fault("not a line of a trust policy")),
            }
        }
        let log = log.ok_or(TrustPolicyFault::Missing { what: "log" })?;
        let witnesses = match quorum.ok_or(TrustPolicyFault::Missing { what: "quorum" })? {
            0 => WitnessSet::none(),
            quorum => WitnessSet::from_verifiers(witnesses.into_values(), quorum)?,
        };
        Ok(Self { log, witnesses })
    }
}

/// Why a file is no trust policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustPolicyFault {
    /// A line that makes no sense.
    #[error("trust policy line {line}: {reason}")]
    Line {
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Something every policy has.
    #[error("trust policy names no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A key that is none.
    #[error("trust policy holds a bad key")]
    Key(#[from] NoteFault),
    /// Witnesses that make no set.
    #[error("trust policy holds a bad set of witnesses")]
    Witnesses(#[from] WitnessSetFault),
}

const GROUP: &str = "members";
