// SPDX-License-Identifier: Apache-2.0
//! Places at which a test may let the process die. A value passed to `run`: the deployed binary passes none.

/// Die right after the persistence of `place` in round `round`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Where.
    pub place: CrashPlace,
    /// The round within the study, from 1.
    pub round: u32,
}

/// What has just been persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPlace {
    /// The attempt and its Open.
    Opened,
    /// The KeyBook.
    KeyBook,
    /// The DealBook.
    DealBook,
    /// The CohortFreeze.
    Frozen,
    /// A part of a silo's upload, before anybody counted it.
    Spooled,
    /// The SurvivorProposal.
    Proposed,
    /// The Certificate.
    Certified,
    /// The sum, before it is committed to.
    Unmasked,
    /// The commitment to the sum, with its cosignatures.
    SumLogged,
    /// That the sum is to be computed again; nobody was asked yet.
    Replaying,
    /// A survivor's answer that the sum is equal.
    Replayed,
    /// The Release.
    Released,
    /// The end of an attempt without a sum.
    Abandoned,
    /// How the study ends, before it is logged and told.
    Ending,
}

impl CrashPlace {
    /// Every place in a round that gives a sum, in order.
    pub const ALL: [Self; 10] = [
        Self::Opened,
        Self::KeyBook,
        Self::DealBook,
        Self::Frozen,
        Self::Spooled,
        Self::Proposed,
        Self::Certified,
        Self::Unmasked,
        Self::SumLogged,
        Self::Released,
    ];

    /// The places in a round whose sum is computed again.
    pub const REPLAYS: [Self; 2] = [Self::Replaying, Self::Replayed];

    /// The places at which something ends without a result.
    pub const ENDS: [Self; 2] = [Self::Abandoned, Self::Ending];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::KeyBook => "key-book",
            Self::DealBook => "deal-book",
            Self::Frozen => "frozen",
            Self::Spooled => "spooled",
            Self::Proposed => "proposed",
            Self::Certified => "certified",
            Self::Unmasked => "unmasked",
            Self::SumLogged => "sum-logged",
            Self::Replaying => "replaying",
            Self::Replayed => "replayed",
            Self::Released => "released",
            Self::Abandoned => "abandoned",
            Self::Ending => "ending",
        }
    }
}

impl std::str::FromStr for CrashPoint {
    type Err = CrashPointFault;

    /// Reads `place:round`, such as `frozen:1`.
    fn from_str(text: &str) -> Result<Self, CrashPointFault> {
        let (word, round) = text
            .split_once(':')
            .ok_or_else(|| CrashPointFault(text.to_owned()))?;
        let place = CrashPlace::ALL
            .into_iter()
            .chain(CrashPlace::REPLAYS)
            .chain(CrashPlace::ENDS)
            .find(|place| place.as_str() == word);
        match (place, round.parse()) {
            (Some(place), Ok(round)) => Ok(Self { place, round }),
            (None, _) | (_, Err(_)) => Err(CrashPointFault(text.to_owned())),
        }
    }
}

/// A text that names no crash point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no crash point; write a place and a round, such as `frozen:1`")]
pub struct CrashPointFault(String);

/// Dies without unwinding if the process has reached `point`.
pub(crate) fn reached(point: Option<CrashPoint>, place: CrashPlace, round: u32) {
    if point == Some(CrashPoint { place, round }) {
        tracing::warn!(place = place.as_str(), round, "stopping here as asked");
        std::process::abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_place_reads_back() {
        let rare = CrashPlace::REPLAYS.into_iter().chain(CrashPlace::ENDS);
        for place in CrashPlace::ALL.into_iter().chain(rare) {
            let point: CrashPoint = format!("{}:3", place.as_str()).parse().unwrap();
            assert_eq!(point, CrashPoint { place, round: 3 });
        }
        for wrong in ["", "frozen", "frozen:", "frozen:x", "nowhere:1"] {
            assert!(wrong.parse::<CrashPoint>().is_err(), "{wrong}");
        }
    }
}
