// SPDX-License-Identifier: Apache-2.0
//! How far the rounds of the machines are, which take nearly all of the time, and how long the rest will take.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Counts rounds from all threads and says a line at each twentieth of them.
pub(crate) struct Progress {
    all: u32,
    done: AtomicU32,
    begun: Instant,
}

impl Progress {
    pub(crate) fn of(all: u32) -> Self {
        Self {
            all,
            done: AtomicU32::new(0),
            begun: Instant::now(),
        }
    }

    pub(crate) fn round_is_done(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of((self.all / 20).max(1)) {
            let passed = self.begun.elapsed().as_secs_f64();
            let left = passed * f64::from(self.all.saturating_sub(done)) / f64::from(done);
            eprintln!(
                "{done} of {} rounds of the machines after {passed:.0} s, about {left:.0} s left",
                self.all
            );
        }
    }
}
