// SPDX-License-Identifier: Apache-2.0
//! Whether the time of an operation tells anything about the secrets in it, after [dudect]:
//!
//! ```sh
//! cargo bench -p consilium-tests --bench constant_time            # all
//! cargo bench -p consilium-tests --bench constant_time -- shares  # those whose name holds a word
//! cargo bench -p consilium-tests --bench constant_time -- --short # a fifth of the measurements, as CI runs it
//! ```
//!
//! Each operation is timed 100,000 times, in the short form 20,000 times, on inputs of two classes in random order: one
//! fixed value, and random ones. Welch's t between the classes stays below 4.5 if time does not depend on the class. An
//! operation that does not is measured once more, 100,000 times in either form and with nothing of the first measurement
//! in it; the exit code is 1 when it exceeds the limit again, and also when a comparison that leaks on purpose goes
//! unnoticed twice. Every line says how many measurements stand behind it.
//!
//! False alarms: if nothing leaks, one measurement of one operation exceeds the limit with a probability below 2.1e-5,
//! three cuts at 6.8e-6 each, and both of them with one below 4.3e-10; for all 26 operations together that is below 2e-8.
//! Noise of the machine does not change it much, because the class of each measurement is drawn anew. Even if it made
//! single alarms a hundred times as frequent, 2.1e-3, a run would alarm less than once in 8,000; below once in 10,000 it
//! stays as long as one measurement alarms less than once in 600. A machine whose clock rate follows the data would be
//! another matter. The short form sees differences that are 2.2 times as large as those that the long one sees. This is
//! no proof: it sees differences of some nanoseconds, on this processor alone.
//!
//! [dudect]: https://doi.org/10.23919/DATE.2017.7927267
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod examination;
mod operations;
mod welch;

use examination::{Examination, Form};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo itself says `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let form = match arguments.iter().any(|argument| argument == "--short") {
        true => Form::Short,
        false => Form::Long,
    };
    let word = arguments.into_iter().find(|word| !word.starts_with('-'));
    let mut examination = Examination::new(word, form);
    operations::examine(&mut examination);
    examination.conclude()
}
