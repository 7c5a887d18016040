// SPDX-License-Identifier: Apache-2.0
//! Whom an auditor believes: a policy of his own, or the rosters that a member has pinned.

use anyhow::{Context, bail};
use consilium_audit::{NoteVerifier, TrustPolicy, WitnessSet};
use consilium_certs::{Roster, RosterFolder};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The roster that an auditor brought.
#[derive(Debug, Serialize)]
pub(super) struct RosterNamed {
    pub(super) version: u64,
    pub(super) short_code: String,
}

pub(super) fn read_trust(file: &Path) -> anyhow::Result<TrustPolicy> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("the trust policy `{}` cannot be read", file.display()))?;
    text.parse()
        .with_context(|| format!("in `{}`", file.display()))
}

/// The log's key and the witnesses as the newest pinned roster names them.
pub(super) fn trust_of_rosters(folder: &Path) -> anyhow::Result<(TrustPolicy, RosterNamed)> {
    if !folder.is_dir() {
        bail!("`{}` is not a folder of pinned rosters", folder.display());
    }
    let rosters = RosterFolder::open(folder)
        .with_context(|| format!("the rosters in `{}` do not verify", folder.display()))?;
    let Some(roster) = rosters.current() else {
        bail!(
            "no roster is pinned in `{}`: it holds no `1.json`",
            folder.display()
        );
    };
    let named = RosterNamed {
        version: roster.version(),
        short_code: roster.short_code().to_string(),
    };
    Ok((trust_of_roster(roster)?, named))
}

fn trust_of_roster(roster: &Roster) -> anyhow::Result<TrustPolicy> {
    let coordinator = roster.coordinator();
    let log = NoteVerifier::new(&coordinator.log_origin, coordinator.log_key)?;
    let keys = roster
        .members()
        .iter()
        .map(|member| (member.name.to_string(), member.witness));
    let witnesses = WitnessSet::new(keys, usize::try_from(roster.witness_quorum())?)?;
    Ok(TrustPolicy::new(log, witnesses))
}
