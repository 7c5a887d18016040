// SPDX-License-Identifier: Apache-2.0
//! What it costs a silo to noise a large model, in processor time of one core and in memory.

use std::fs;

use anyhow::{Context, Result};
use consilium_crypto::random::RoundRandom;
use consilium_privacy::contribution::noised_sum;
use consilium_privacy::loss::{ClippingNorm, NoiseMultiplier};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};

const PARAMETERS: [usize; 2] = [1_000_000, 10_000_000];

/// The noised sum of nobody, at each size.
pub(super) fn print() -> Result<()> {
    println!("one core; the vector itself is 8 bytes for each parameter");
    for parameters in PARAMETERS {
        let plan = NoisePlan::derive(&NoiseTerms {
            multiplier: NoiseMultiplier::new(1.0)?,
            silos: 4,
            dropouts: 1,
            colluders: 1,
            attempts: 1,
            patients_cap: 1_000,
            dimension: u64::try_from(parameters)?,
        })?;
        let mut random = RoundRandom::from_operating_system()?;
        let nobody: [[f64; 0]; 0] = [];
        let before = seconds_of_this_thread()?;
        let sum = noised_sum(
            &plan,
            ClippingNorm::new(1.0)?,
            parameters,
            nobody,
            &mut random,
        )?;
        let passed = seconds_of_this_thread()? - before;
        println!(
            "{parameters:>10} parameters, k = {}: {passed:.3} s, {:.0} MB at most in this process, last of them {}",
            plan.scale,
            most_megabytes()?,
            sum.integers().last().context("parameters")?
        );
    }
    Ok(())
}

/// Processor time, which the kernel counts in nanoseconds.
fn seconds_of_this_thread() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().context("schedstat")?;
    Ok(nanoseconds.parse::<f64>()? / 1e9)
}

/// The largest resident set so far.
fn most_megabytes() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("VmHWM")?.parse::<f64>()? / 1024.0)
}
