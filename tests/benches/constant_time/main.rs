// SPDX-License-Identifier: Apache-2.0
//! Whether the time of an operation tells anything about the secrets in it, after [dudect]:
//!
//! ```sh
//! cargo bench -p consilium-tests --bench constant_time            # all
//! cargo bench -p consilium-tests --bench constant_time -- shares  # those whose name holds a word
//! ```
//!
//! Each operation is timed 100,000 times on inputs of two classes in random order: one fixed value, and random
//! ones. Welch's t between the classes stays below 4.5 if time does not depend on the class. The exit code is 1
//! when it does not, twice in a row, and also when a comparison that leaks on purpose goes unnoticed.
//!
//! If nothing leaks, and times are independent, one run alarms with a probability below 3.7e-4: three cuts of
//! eighteen operations at 6.8e-6 each. The repeat makes that negligible; a machine whose clock rate changes with
//! the data would not be. This is no proof: it sees differences of some nanoseconds, on this processor alone.
//!
//! [dudect]: https://doi.org/10.23919/DATE.2017.7927267
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod examination;
mod operations;
mod welch;

use examination::Examination;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Cargo itself says `--bench`.
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let mut examination = Examination::new(word);
    operations::examine(&mut examination);
    examination.conclude()
}
