// SPDX-License-Identifier: Apache-2.0
//! The mask loop on one core against AES-256-CTR of aws-lc-rs, in this run.

use consilium_mask_loop::{MaskLoop, yardstick};
use serde::{Deserialize, Serialize};

/// Medians of a few repetitions, four streams over ten million fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MaskSpeed {
    bits: u8,
    cipher: String,
    implementation: String,
    gigabytes_per_second: f64,
    aws_lc_ctr_gigabytes_per_second: f64,
    ratio: f64,
}

impl MaskSpeed {
    pub(super) fn measure(bits: u8) -> anyhow::Result<Self> {
        let mask_loop = MaskLoop::new(bits)?;
        let measured = yardstick::compare(&[mask_loop], FIELDS, REPETITIONS);
        let ours = measured
            .mask_loops
            .first()
            .map_or(0.0, |speed| speed.median);
        let theirs = measured.aws_lc.median;
        Ok(Self {
            bits,
            cipher: "AES-256-CTR".to_owned(),
            implementation: mask_loop.implementation().to_string(),
            gigabytes_per_second: ours,
            aws_lc_ctr_gigabytes_per_second: theirs,
            ratio: ours / theirs,
        })
    }

    pub(super) fn words(&self) -> String {
        format!(
            "mask loop at {} bits, {} on {}: {:.1} GB/s of keystream, {:.2} times AES-256-CTR of aws-lc-rs ({:.1} GB/s)",
            self.bits,
            self.cipher,
            self.implementation,
            self.gigabytes_per_second,
            self.ratio,
            self.aws_lc_ctr_gigabytes_per_second
        )
    }
}

const FIELDS: usize = 10_000_000;
const REPETITIONS: usize = 5;
