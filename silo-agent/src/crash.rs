// SPDX-License-Identifier: Apache-2.0
//! Places where a test or the demo may stop the agent as `kill -9` would.
//!
//! A crash point is a value passed to [`run`](crate::run); the deployed binary passes none, and no command line of
//! the deployed command tree can set one.

use std::fmt;
use std::str::FromStr;

/// A persistence point of a round at which the process ends at once, nothing flushed and nobody told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CrashPoint {
    /// Right after which record reached the disk.
    pub place: CrashPlace,
    /// The round within the study, counted from 1; of the ledger's lines, which.
    pub round: u32,
}

/// What had just been made durable when the process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum CrashPlace {
    /// The study's budget was set aside; the consent is not written yet. The round is the first.
    LedgerReserved,
    /// The round's opening was accepted.
    Opened,
    /// The attempt's keys were made.
    Advertised,
    /// The shares for every other silo were made.
    Dealt,
    /// The receipt for the shares of the others was made.
    Receipted,
    /// The clipped, quantised and noised vector is on disk.
    Prepared,
    /// The cohort is fixed.
    Frozen,
    /// The attempt is charged; its masks are not burned yet.
    LedgerCommitted,
    /// The masked vector is spooled and its root burned.
    Burned,
    /// Half of the masked vector was handed to the network.
    HalfUploaded,
    /// The coordinator said that the whole masked vector is on its disk.
    Uploaded,
    /// The survivors were voted on.
    Voted,
    /// The shares were chosen and the others erased.
    Revealed,
    /// The coordinator's commitment to the sum was accepted.
    SumCommitted,
    /// The challenge was answered and what masks the tag erased.
    Tagged,
    /// The sum is to be computed again; nothing of that was fetched yet.
    Replaying,
    /// Half of this silo's part of the sum was computed again.
    HalfReplayed,
    /// This silo's part of the sum was equal.
    Replayed,
    /// The sum was verified and the model advanced.
    Released,
    /// Half of a line is in the ledger's file. This and the next two belong to no round: write the line's number, from 1.
    LineHalfWritten,
    /// A line of the ledger is on disk; the journal does not know it.
    LineWritten,
    /// The journal knows the line; nobody has acted on it.
    LineKnown,
}

impl CrashPoint {
    /// Ends the process if this is the place and the round.
    pub(crate) fn reached(point: Option<CrashPoint>, place: CrashPlace, round: u32) {
        if point == Some(CrashPoint { place, round }) {
            std::process::abort();
        }
    }
}

impl CrashPlace {
    /// Every place in a round whose sum tags vouch for, in order.
    pub const ALL: [CrashPlace; 16] = [
        CrashPlace::LedgerReserved,
        CrashPlace::Opened,
        CrashPlace::Advertised,
        CrashPlace::Dealt,
        CrashPlace::Receipted,
        CrashPlace::Prepared,
        CrashPlace::Frozen,
        CrashPlace::LedgerCommitted,
        CrashPlace::Burned,
        CrashPlace::HalfUploaded,
        CrashPlace::Uploaded,
        CrashPlace::Voted,
        CrashPlace::Revealed,
        CrashPlace::SumCommitted,
        CrashPlace::Tagged,
        CrashPlace::Released,
    ];

    /// The places in a round whose sum is computed again.
    pub const REPLAYS: [CrashPlace; 3] = [
        CrashPlace::Replaying,
        CrashPlace::HalfReplayed,
        CrashPlace::Replayed,
    ];

    /// The places while a line is added to the ledger, in order.
    pub const LEDGER_LINES: [CrashPlace; 3] = [
        CrashPlace::LineHalfWritten,
        CrashPlace::LineWritten,
        CrashPlace::LineKnown,
    ];

    fn every() -> impl Iterator<Item = CrashPlace> {
        CrashPlace::ALL
            .into_iter()
            .chain(CrashPlace::REPLAYS)
            .chain(CrashPlace::LEDGER_LINES)
    }

    /// The word by which a test names the place.
    pub fn as_str(self) -> &'static str {
        match self {
            CrashPlace::LedgerReserved => "ledger-reserved",
            CrashPlace::LedgerCommitted => "ledger-committed",
            CrashPlace::Opened => "opened",
            CrashPlace::Advertised => "advertised",
            CrashPlace::Dealt => "dealt",
            CrashPlace::Receipted => "receipted",
            CrashPlace::Prepared => "prepared",
            CrashPlace::Frozen => "frozen",
            CrashPlace::Burned => "burned",
            CrashPlace::HalfUploaded => "half-uploaded",
            CrashPlace::Uploaded => "uploaded",
            CrashPlace::Voted => "voted",
            CrashPlace::Revealed => "revealed",
            CrashPlace::SumCommitted => "sum-committed",
            CrashPlace::Tagged => "tagged",
            CrashPlace::Replaying => "replaying",
            CrashPlace::HalfReplayed => "half-replayed",
            CrashPlace::Replayed => "replayed",
            CrashPlace::Released => "released",
            CrashPlace::LineHalfWritten => "line-half-written",
            CrashPlace::LineWritten => "line-written",
            CrashPlace::LineKnown => "line-known",
        }
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.place.as_str(), self.round)
    }
}

impl FromStr for CrashPoint {
    type Err = CrashPointFault;

    fn from_str(text: &str) -> Result<CrashPoint, CrashPointFault> {
        let fault = || CrashPointFault {
            text: text.to_owned(),
        };
        let (place, round) = text.split_once(':').ok_or_else(fault)?;
        let place = CrashPlace::every()
            .find(|known| known.as_str() == place)
            .ok_or_else(fault)?;
        let round = round.parse().map_err(|_| fault())?;
        Ok(CrashPoint { place, round })
    }
}

/// The text names no crash point.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no crash point; write it as place:round, for example `frozen:3`")]
pub struct CrashPointFault {
    text: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_written_and_read_back() {
        for place in CrashPlace::every() {
            let point = CrashPoint { place, round: 7 };
            assert_eq!(point.to_string().parse::<CrashPoint>().unwrap(), point);
        }
        assert!("frozen".parse::<CrashPoint>().is_err());
        assert!("somewhere:1".parse::<CrashPoint>().is_err());
    }
}
