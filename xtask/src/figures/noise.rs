// SPDX-License-Identifier: Apache-2.0
//! What noise costs in processor time of one core: a large model, with the memory it takes, samples at four scales, and
//! the search for the noise of a study.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use consilium_crypto::random::RoundRandom;
use consilium_privacy::calibration::calibrate;
use consilium_privacy::contribution::noised_sum;
use consilium_privacy::discrete_gaussian::DiscreteGaussian;
use consilium_privacy::loss::{ClippingNorm, Delta, Epsilon, NoiseMultiplier, SamplingRate};
use consilium_privacy::noise_plan::{NoisePlan, NoiseTerms};
use rustix::time::{ClockId, clock_gettime};

const PARAMETERS: [usize; 2] = [1_000_000, 10_000_000];
/// Of standard deviation 1.7, 10.2, 1000.5 and 10^6.
const SCALES: [u64; 4] = [2, 12, 1178, 1_177_411];
const RATES: [f64; 4] = [0.001, 0.01, 0.1, 1.0];
/// Of each measurement the fastest is taken: caches that others empty only ever add to it.
const REPEATS: u32 = 20;

/// All three.
pub(super) fn print() -> Result<()> {
    print_models()?;
    print_scales()?;
    print_calibration()
}

/// Samples of one scale after the other.
fn print_scales() -> Result<()> {
    let mut vector = vec![0; 1_000_000];
    for scale in SCALES {
        let gaussian = DiscreteGaussian::new(scale)?;
        let mut random = RoundRandom::from_operating_system()?;
        let seconds = fastest(|| {
            gaussian.add_to(&mut vector, &mut random);
            Ok(())
        })?;
        println!("k = {scale}: {:.1} million samples a second", 1.0 / seconds);
    }
    Ok(())
}

/// The noise for epsilon 1 at delta 1e-5 in ten thousand rounds.
fn print_calibration() -> Result<()> {
    let (epsilon, delta) = (Epsilon::new(1.0)?, Delta::new(1e-5)?);
    for rate in RATES {
        let rate = SamplingRate::new(rate)?;
        let seconds = fastest(|| {
            calibrate(epsilon, delta, rate, 10_000)?;
            Ok(())
        })?;
        println!(
            "calibrated for 10000 rounds at sampling rate {}: {:.2} ms",
            rate.value(),
            seconds * 1e3
        );
    }
    Ok(())
}

/// The least processor time that the work takes.
fn fastest(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let before = seconds_of_this_thread()?;
        work()?;
        least = least.min(seconds_of_this_thread()? - before);
    }
    Ok(least)
}

/// The noised sum of nobody, at each size.
fn print_models() -> Result<()> {
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

/// Processor time, to the nanosecond: what `/proc` says of a running thread lags behind by up to four milliseconds.
fn seconds_of_this_thread() -> Result<f64> {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec)?, u32::try_from(now.tv_nsec)?);
    Ok(Duration::new(seconds, nanoseconds).as_secs_f64())
}

/// The largest resident set so far.
fn most_megabytes() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("VmHWM")?.parse::<f64>()? / 1024.0)
}
