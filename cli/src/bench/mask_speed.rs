// SPDX-License-Identifier: Apache-2.0
//! The mask loop on one core, and on two, against AES-256-CTR of aws-lc-rs, in this run.

use consilium_mask_loop::yardstick::{self, Speeds};
use consilium_mask_loop::{MaskLoop, WidthFault};
use serde::{Deserialize, Serialize};

/// Medians of a few repetitions, four streams over ten million fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MaskSpeed {
    #[serde(flatten)]
    measured: WidthSpeed,
    cipher: String,
    implementation: String,
    aws_lc_ctr_gigabytes_per_second: f64,
    /// The widths that plans choose.
    widths: Vec<WidthSpeed>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct WidthSpeed {
    bits: u8,
    gigabytes_per_second: f64,
    /// To aws-lc-rs.
    ratio: f64,
    /// How many times faster two threads are than one.
    two_threads_gain: f64,
}

impl MaskSpeed {
    pub(super) fn measure(bits: u8) -> Result<Self, WidthFault> {
        let asked = MaskLoop::new(bits)?;
        let mut mask_loops = vec![asked];
        for bits in WIDTHS {
            mask_loops.push(MaskLoop::new(bits)?);
        }
        let measured = yardstick::compare(&mask_loops, FIELDS, REPETITIONS);
        let theirs = measured.aws_lc.median;
        let of_width = |bits, speeds: Speeds| WidthSpeed {
            bits,
            gigabytes_per_second: speeds.one_thread.median,
            ratio: speeds.one_thread.median / theirs,
            two_threads_gain: speeds.gain(),
        };
        let speeds = mask_loops.iter().zip(measured.mask_loops);
        let mut widths: Vec<_> = speeds
            .map(|(mask_loop, speeds)| of_width(mask_loop.bits(), speeds))
            .collect();
        Ok(Self {
            measured: widths.remove(0),
            cipher: "AES-256-CTR".to_owned(),
            implementation: asked.implementation().to_string(),
            aws_lc_ctr_gigabytes_per_second: theirs,
            widths,
        })
    }

    pub(super) fn words(&self) -> String {
        let mut words = format!(
            "mask loop, {} on {}, against AES-256-CTR of aws-lc-rs ({:.1} GB/s):",
            self.cipher, self.implementation, self.aws_lc_ctr_gigabytes_per_second
        );
        for one in [&self.measured].into_iter().chain(&self.widths) {
            words += &format!(
                "\n  {} bits: {:.1} GB/s of keystream, {:.2} times; two threads {:.2} times one",
                one.bits, one.gigabytes_per_second, one.ratio, one.two_threads_gain
            );
        }
        words
    }
}

const FIELDS: usize = 10_000_000;
const REPETITIONS: usize = 5;
const WIDTHS: [u8; 4] = [16, 20, 24, 32];
