// SPDX-License-Identifier: Apache-2.0
//! How long a round waits for silos that are on their way, once there are enough.
//!
//! SECURITY: a silo that comes and goes is always on its way, so the time is counted from when there were first enough,
//! whoever came or went since.

use std::time::Duration;
use tokio::time::Instant;

/// Who is there before a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presence {
    /// Whether there are enough silos for a round.
    pub(super) enough: bool,
    /// Whether a silo has just left, or is being told what it missed.
    pub(super) on_their_way: bool,
}

/// The wait for those on their way.
#[derive(Debug)]
pub(super) struct Lingering {
    patience: Duration,
    until: Option<Instant>,
}

impl Lingering {
    /// A silo that is away for `drop_after` counts as gone: it is given that time, and a tenth of what the whole gathering may
    /// take to catch up with large models.
    pub(super) fn new(drop_after: Duration, gathering: Duration) -> Self {
        Self {
            patience: drop_after + gathering / 10,
            until: None,
        }
    }

    /// Whether a round opens now.
    pub(super) fn is_over(&mut self, presence: Presence, now: Instant) -> bool {
        if !presence.enough {
            return false;
        }
        let until = *self.until.get_or_insert(now + self.patience);
        !presence.on_their_way || now >= until
    }

    /// When it is over though somebody is on the way. A moment that has passed wakes nobody: there are too few.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const SETTLED: Presence = Presence {
        enough: true,
        on_their_way: false,
    };

    const SETTLING: Presence = Presence {
        enough: true,
        on_their_way: true,
    };

    const FEW: Presence = Presence {
        enough: false,
        on_their_way: true,
    };

    #[test]
    fn enough_silos_that_nobody_joins_open_a_round_at_once() {
        let mut lingering = Lingering::new(5 * SECOND, 50 * SECOND);
        assert!(lingering.is_over(SETTLED, Instant::now()));
    }

    #[test]
    fn a_silo_that_comes_and_goes_delays_a_round_for_a_short_time_only() {
        let start = Instant::now();
        let mut lingering = Lingering::new(5 * SECOND, 50 * SECOND);
        assert!(!lingering.is_over(FEW, start));
        assert_eq!(lingering.until(start), None);
        for second in 1..11 {
            let now = start + second * SECOND;
            // Every third second the silo without which there are too few is away too.
            let presence = if second % 3 == 2 { FEW } else { SETTLING };
            assert!(!lingering.is_over(presence, now));
            assert_eq!(lingering.until(now), Some(start + 11 * SECOND));
        }
        let late = start + 11 * SECOND;
        assert!(!lingering.is_over(FEW, late));
        assert_eq!(lingering.until(late), None);
        assert!(lingering.is_over(SETTLING, late));
    }
}
