// SPDX-License-Identifier: Apache-2.0
//! Which releases the silos of a round have signed as verified.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use consilium_crypto::transcript::sha256;

use super::{Finding, Rule, content::OBJECTS};
use crate::{
    acceptance::{ACCEPTANCES, Acceptances, AcceptedRelease},
    entry::{Entry, EventKind},
    trust::TrustPolicy,
};

/// Who signed that a released sum was verified, for each entry that says so.
pub(super) fn read(
    directory: &Path,
    entries: &[Entry],
    trust: &TrustPolicy,
    findings: &mut Vec<Finding>,
) -> BTreeMap<u64, BTreeSet<String>> {
    let mut accepted = BTreeMap::new();
    for entry in entries {
        let event = &entry.event;
        if event.kind != EventKind::RoundAccepted {
            continue;
        }
        let release = event.attempt.zip(event.detail_digest("sum"));
        let object = event.references.get(ACCEPTANCES);
        let kept = object.and_then(|object| {
            let bytes = fs::read(directory.join(format!("{OBJECTS}/{object}"))).ok()?;
            (sha256(&bytes) == *object).then_some(bytes)
        });
        let read = kept.and_then(|bytes| serde_json::from_slice::<Acceptances>(&bytes).ok());
        let Some(((attempt, sum), read)) = release.zip(read) else {
            findings.push(Finding {
                rule: Rule::Objects,
                entry: Some(entry.sequence),
                what: "the signatures of those who accepted the release are missing".to_owned(),
            });
            continue;
        };
        let release = AcceptedRelease {
            origin: trust.log.origin(),
            attempt,
            sum: &sum,
        };
        let signers = read.signers(&release, &trust.witnesses);
        accepted.insert(entry.sequence, signers);
    }
    accepted
}
