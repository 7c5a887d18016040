// SPDX-License-Identifier: Apache-2.0
//! What a long measurement is doing, on standard error: a changing line on a terminal, else a line now and then.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(super) struct Progress {
    started: Instant,
    terminal: bool,
    last: Mutex<Option<Instant>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            terminal: std::io::stderr().is_terminal(),
            last: Mutex::new(None),
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Tells how far a phase is, not too often.
    pub(super) fn tell(&self, phase: &str, done: usize, all: usize) {
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        let pause = if self.terminal { 200 } else { 5_000 };
        let since = last.unwrap_or(self.started).elapsed();
        if since < Duration::from_millis(pause) {
            return;
        }
        *last = Some(Instant::now());
        let text = format!("{:.0} s: {phase}, {done} of {all} silos", self.seconds());
        let mut stream = std::io::stderr();
        let _ = if self.terminal {
            write!(stream, "\r\u{1b}[K{text}").and_then(|()| stream.flush())
        } else {
            writeln!(stream, "{text}")
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let told = self.last.lock().is_ok_and(|last| last.is_some());
        if self.terminal && told {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
