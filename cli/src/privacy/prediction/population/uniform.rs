// SPDX-License-Identifier: Apache-2.0
//! What synthetic patients are drawn from: a seed that everybody knows, so that the same study gets the same answer.

use consilium_crypto::random::{InsecureSeededRandom, RandomSource};

/// Numbers between 0 and 1.
pub(super) struct Uniform(InsecureSeededRandom);

impl Uniform {
    pub(super) fn of(seed: u64) -> Self {
        Self(InsecureSeededRandom::from_seed(seed))
    }

    pub(super) fn next(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let bits = (self.0.next_u64() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// With mean 0 and variance 1, by Box and Muller.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.next()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.next()).cos()
    }
}
