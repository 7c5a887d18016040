// SPDX-License-Identifier: Apache-2.0
//! The stored form: one JSON object per line, each digest covering the line before it.
//!
//! ```text
//! {"digest":"<64 hex>","record":{"sequence":1,"at":1790000000000,"entry":{..}}}
//! digest = H("ledger-entry", digest of the line before (zeros at first), the bytes of the record)
//! ```
//!
//! A last line without its newline was being written when the power failed. Nobody had acted on it,
//! so it is cut off; anything else that does not fit is tampering or a damaged disk, and stops the silo.

use consilium_crypto::digest::Digest;
use consilium_crypto::label::Label;
use consilium_crypto::transcript;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{BudgetRefusal, Ledger, LedgerEntry};

/// How far a ledger has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Entries written.
    pub length: u64,
    /// The digest of the last one.
    pub digest: Digest,
}

impl LedgerHead {
    /// No entry yet.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            length: 0,
            digest: Digest::from_bytes([0; 32]),
        }
    }
}

/// A ledger read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The state after the last whole line.
    pub ledger: Ledger,
    /// Bytes of the whole lines: cut the file to this length before writing on.
    pub whole_bytes: usize,
    /// Whether a torn last line was left out.
    pub torn: bool,
    /// Entries after the head that was kept elsewhere: all of them if none was.
    pub beyond_known: u64,
    /// When each entry was written, in milliseconds since 1970, for a timeline.
    pub entries: Vec<(u64, LedgerEntry)>,
}

/// Writes an entry as a line, newline included, and returns the digest that the next one covers.
#[must_use]
pub fn encode_line(
    previous: &Digest,
    sequence: u64,
    at_milliseconds: u64,
    entry: &LedgerEntry,
) -> (String, Digest) {
    let record = Record {
        sequence,
        at: at_milliseconds,
        entry: entry.clone(),
    };
    #[expect(
        clippy::expect_used,
        reason = "no map key that is not text or an integer, no float, no IO"
    )]
    let record = serde_json::to_string(&record).expect("a ledger entry is plain data");
    let digest = digest_of(previous, &record);
    (format!("{START}{digest}{MIDDLE}{record}{END}\n"), digest)
}

/// Reads a ledger from its bytes; `known` is a head that was kept elsewhere, if there is one.
pub fn replay(bytes: &[u8], known: Option<LedgerHead>) -> Result<Replayed, LedgerFault> {
    let whole_bytes = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |position| position + 1);
    let mut ledger = Ledger::new();
    let mut entries = Vec::new();
    let known = known.unwrap_or(LedgerHead::empty());
    let mut known_seen = known == LedgerHead::empty();
    for line in bytes[..whole_bytes].split_inclusive(|byte| *byte == b'\n') {
        let line_number = ledger.head().length.saturating_add(1);
        let (record, digest) = decode_line(line, &ledger.head(), line_number)?;
        ledger
            .check(&record.entry)
            .map_err(|source| LedgerFault::Impossible {
                line: line_number,
                source,
            })?;
        ledger.apply(&record.entry, digest);
        entries.push((record.at, record.entry));
        known_seen |= known == ledger.head();
    }
    if !known_seen {
        return Err(LedgerFault::RolledBack {
            length: ledger.head().length,
        });
    }
    let beyond_known = ledger.head().length.saturating_sub(known.length);
    Ok(Replayed {
        ledger,
        beyond_known,
        whole_bytes,
        torn: whole_bytes < bytes.len(),
        entries,
    })
}

/// Why a ledger cannot be trusted. A person has to look; a silo does not go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LedgerFault {
    /// A line is not of the stored form.
    #[error(
        "line {line} of the ledger is malformed, restore the file from the disk it was written on"
    )]
    Malformed {
        /// The line, from 1.
        line: u64,
    },
    /// A line, or one before it, was changed, removed or inserted.
    #[error("line {line} of the ledger does not continue the line before it, the file was changed")]
    Broken {
        /// The line, from 1.
        line: u64,
    },
    /// A line that this ledger could not have written.
    #[error("line {line} of the ledger breaks its own rules")]
    Impossible {
        /// The line, from 1.
        line: u64,
        /// The rule.
        #[source]
        source: BudgetRefusal,
    },
    /// The file lacks an entry that was written once: an old copy was restored.
    #[error(
        "the ledger ends at entry {length} and lacks entries that were written, an old copy was restored"
    )]
    RolledBack {
        /// Entries found.
        length: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    sequence: u64,
    at: u64,
    entry: LedgerEntry,
}

fn decode_line(
    line: &[u8],
    head: &LedgerHead,
    number: u64,
) -> Result<(Record, Digest), LedgerFault> {
    let malformed = || LedgerFault::Malformed { line: number };
    // The digest covers the bytes as they stand, so they are cut out, not written anew.
    let text = std::str::from_utf8(line).map_err(|_| malformed())?;
    let inner = text
        .strip_prefix(START)
        .and_then(|rest| rest.strip_suffix('\n'))
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or_else(malformed)?;
    let (digest, record) = inner.split_once(MIDDLE).ok_or_else(malformed)?;
    let digest: Digest = digest.parse().map_err(|_| malformed())?;
    if digest != digest_of(&head.digest, record) {
        return Err(LedgerFault::Broken { line: number });
    }
    let record: Record = serde_json::from_str(record).map_err(|_| malformed())?;
    if record.sequence != number {
        return Err(LedgerFault::Broken { line: number });
    }
    Ok((record, digest))
}

fn digest_of(previous: &Digest, record: &str) -> Digest {
    transcript::hash(
        Label::LedgerEntry,
        &[previous.as_bytes(), record.as_bytes()],
    )
}

const START: &str = "{\"digest\":\"";
const MIDDLE: &str = "\",\"record\":";
const END: &str = "}";
