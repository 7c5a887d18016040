// SPDX-License-Identifier: Apache-2.0
//! Timing one operation after the other, and judging them.

use crate::welch::largest_t;
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use std::process::ExitCode;
use std::time::Instant;

/// Which inputs a time belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// One value throughout.
    Fixed,
    /// Another value each time.
    Random,
}

/// What an operation must show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// No difference.
    Constant,
    /// A difference: the operation leaks on purpose.
    Leaks,
}

/// How much is measured before anything is suspected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Long,
    Short,
}

impl Form {
    fn measurements(self) -> usize {
        match self {
            Self::Long => MEASUREMENTS,
            Self::Short => MEASUREMENTS / 5,
        }
    }
}

pub(crate) struct Examination {
    word: Option<String>,
    form: Form,
    random: InsecureSeededRandom,
    failed: Vec<&'static str>,
}

impl Examination {
    /// Of the operations whose name holds `word`.
    pub(crate) fn new(word: Option<String>, form: Form) -> Self {
        println!("|t| below {LIMIT} is constant; what exceeds it is measured once more");
        Self {
            word,
            form,
            random: InsecureSeededRandom::from_seed(1),
            failed: Vec::new(),
        }
    }

    /// Times `run`, `repeats` times at once, on inputs that `prepare` makes beforehand.
    pub(crate) fn examine<Input>(
        &mut self,
        name: &'static str,
        expectation: Expectation,
        repeats: u32,
        mut prepare: impl FnMut(Class, &mut InsecureSeededRandom) -> Input,
        mut run: impl FnMut(&mut Input),
    ) {
        if self.word.as_ref().is_some_and(|word| !name.contains(word)) {
            return;
        }
        let form = self.form;
        let mut measure = |measurements| {
            let times = self.measure(measurements, repeats, &mut prepare, &mut run);
            (largest_t([&times[0], &times[1]]), measurements)
        };
        let mut found = vec![measure(form.measurements())];
        let is_as_expected = |t: f64| match expectation {
            Expectation::Constant => t < LIMIT,
            Expectation::Leaks => t >= LIMIT,
        };
        if !is_as_expected(found[0].0) {
            found.push(measure(MEASUREMENTS));
        }
        let is_good = found.iter().any(|(t, _)| is_as_expected(*t));
        if !is_good {
            self.failed.push(name);
        }
        let shown: Vec<String> = found
            .iter()
            .map(|(t, measurements)| format!("{t:.2} of {measurements}"))
            .collect();
        let verdict = match (expectation, is_good) {
            (Expectation::Constant, true) => "constant",
            (Expectation::Constant, false) => "LEAKS",
            (Expectation::Leaks, true) => "leaks, as it should",
            (Expectation::Leaks, false) => "A LEAK GOES UNNOTICED",
        };
        println!("{name:58} |t| {:>16}  {verdict}", shown.join(", then "));
    }

    fn measure<Input>(
        &mut self,
        measurements: usize,
        repeats: u32,
        prepare: &mut impl FnMut(Class, &mut InsecureSeededRandom) -> Input,
        run: &mut impl FnMut(&mut Input),
    ) -> [Vec<f64>; 2] {
        let mut times = [Vec::new(), Vec::new()];
        // The first batch warms up.
        for batch in 0..=measurements / BATCH {
            let mut inputs: Vec<(Class, Input)> = (0..BATCH)
                .map(|_| {
                    let class = match self.random.next_u64() & 1 {
                        0 => Class::Fixed,
                        _ => Class::Random,
                    };
                    (class, prepare(class, &mut self.random))
                })
                .collect();
            for (class, input) in &mut inputs {
                let start = Instant::now();
                for _ in 0..repeats {
                    run(input);
                }
                let nanoseconds = start.elapsed().as_secs_f64() * 1e9;
                if batch > 0 {
                    times[usize::from(*class == Class::Random)].push(nanoseconds);
                }
            }
        }
        times
    }

    /// Names what failed.
    pub(crate) fn conclude(self) -> ExitCode {
        if self.failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("not as expected, twice: {}", self.failed.join("; "));
        ExitCode::FAILURE
    }
}

const MEASUREMENTS: usize = 100_000;
const BATCH: usize = 500;
const LIMIT: f64 = 4.5;
