// SPDX-License-Identifier: Apache-2.0
//! Parts of a budget as people see them: tenths of a percent of the capacity.

use std::fmt;

use serde::{Serialize, Serializer};

use super::RdpAmount;

/// A share of a capacity, rounded so that it never looks better than it is.
///
/// For showing: whether a study fits is decided by the ledger, on exact amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    tenths_of_percent: u64,
}

impl Share {
    /// Nothing.
    pub const NONE: Self = Self {
        tenths_of_percent: 0,
    };

    /// For what is needed or used.
    pub(super) fn rounded_up(part: RdpAmount, capacity: RdpAmount) -> Self {
        Self::of(
            part.units()
                .saturating_mul(1_000)
                .div_ceil(capacity.units().max(1)),
        )
    }

    /// For what is left.
    pub(super) fn rounded_down(part: RdpAmount, capacity: RdpAmount) -> Self {
        Self::of(part.units().saturating_mul(1_000) / capacity.units().max(1))
    }

    /// The share in tenths of a percent: 1000 is all of it.
    #[must_use]
    pub const fn tenths_of_percent(self) -> u64 {
        self.tenths_of_percent
    }

    /// The share as a fraction of one.
    #[must_use]
    pub fn fraction(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for showing only")]
        let tenths = self.tenths_of_percent as f64;
        tenths / 1_000.0
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            tenths_of_percent: self
                .tenths_of_percent
                .saturating_add(other.tenths_of_percent),
        }
    }

    fn of(tenths_of_percent: u128) -> Self {
        Self {
            tenths_of_percent: u64::try_from(tenths_of_percent).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{} %",
            self.tenths_of_percent / 10,
            self.tenths_of_percent % 10
        )
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_share_never_looks_better_than_it_is() {
        let third: RdpAmount = "0.333333333333".parse().unwrap();
        let whole: RdpAmount = "1".parse().unwrap();
        assert_eq!(Share::rounded_up(third, whole).to_string(), "33.4 %");
        assert_eq!(Share::rounded_down(third, whole).to_string(), "33.3 %");
        assert_eq!(Share::rounded_up(whole, whole).fraction(), 1.0);
        assert!(Share::rounded_up(RdpAmount::MAX, whole).tenths_of_percent() > 1_000);
    }
}
