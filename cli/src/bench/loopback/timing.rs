// SPDX-License-Identifier: Apache-2.0
//! When what happened, as the coordinator's audit log has it to the microsecond.

use anyhow::Context;
use consilium_audit::{Entry, EventKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// One round; every moment in seconds after its opening.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RoundTiming {
    key_book: f64,
    deal_book: f64,
    frozen: f64,
    proposed: f64,
    certified: f64,
    sum_committed: f64,
    released: f64,
}

impl RoundTiming {
    /// From the opening to the release.
    pub(super) fn wall_seconds(&self) -> f64 {
        self.released
    }

    fn moments(&self) -> [(&'static str, f64); 7] {
        [
            ("keys agreed", self.key_book),
            ("shares dealt", self.deal_book),
            ("all ready, cohort frozen", self.frozen),
            ("all uploaded", self.proposed),
            ("certified", self.certified),
            ("masks removed, sum committed", self.sum_committed),
            ("sum verified, released", self.released),
        ]
    }
}

/// The rounds of a log, by its entries, one a line.
pub(super) fn rounds(log: &str) -> anyhow::Result<Vec<RoundTiming>> {
    let mut moments: BTreeMap<u64, BTreeMap<&'static str, i64>> = BTreeMap::new();
    for text in log.lines() {
        let entry = Entry::from_bytes(text.as_bytes()).context("a line of the log is no entry")?;
        if let Some(attempt) = &entry.event.attempt {
            let time = entry.event.time.unix_microseconds();
            let of_round = moments.entry(attempt.round).or_default();
            of_round.entry(entry.event.kind.as_str()).or_insert(time);
        }
    }
    moments.values().map(round).collect()
}

fn round(moments: &BTreeMap<&'static str, i64>) -> anyhow::Result<RoundTiming> {
    let time = |kind: EventKind| {
        let kind = kind.as_str();
        let time = moments.get(kind).copied();
        time.with_context(|| format!("a round without `{kind}`"))
    };
    let opened = time(EventKind::RoundOpened)?;
    let after = |kind| anyhow::Ok((time(kind)? - opened) as f64 / 1e6);
    Ok(RoundTiming {
        key_book: after(EventKind::RoundKeyBook)?,
        deal_book: after(EventKind::RoundDealBook)?,
        frozen: after(EventKind::RoundFrozen)?,
        proposed: after(EventKind::RoundProposed)?,
        certified: after(EventKind::RoundCertified)?,
        sum_committed: after(EventKind::RoundSumCommitted)?,
        released: after(EventKind::RoundReleased)?,
    })
}

/// A line for each moment, a column for each round.
pub(super) fn table(rounds: &[RoundTiming]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for round in rounds {
        for (at, (name, seconds)) in round.moments().into_iter().enumerate() {
            if lines.len() <= at {
                lines.push(format!("  {name:<30}"));
            }
            if let Some(line) = lines.get_mut(at) {
                line.push_str(&format!("{seconds:>8.3}"));
            }
        }
    }
    lines
}
