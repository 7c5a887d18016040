// SPDX-License-Identifier: Apache-2.0
//! The sum of a round as reals, with what is publicly known about the noise in it.

/// The decoded coordinates of a sum.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedSum {
    /// The reals that the integers stand for.
    pub values: Vec<f64>,
    /// The noise in each of them; `None` without noise.
    pub noise: Option<SumNoise>,
}

/// The noise in every coordinate of a sum. It follows from the plan alone, so that it may be published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SumNoise {
    /// The standard deviation when every invited silo survives. With fewer survivors it is smaller: who counts on this
    /// one never takes a result for more precise than it is.
    pub standard_deviation: f64,
    /// The real that one integer stands for, C/D: by less than this is each coordinate of a patient cut towards zero.
    pub unit: f64,
}

impl From<Vec<f64>> for DecodedSum {
    /// A sum without noise.
    fn from(values: Vec<f64>) -> Self {
        Self {
            values,
            noise: None,
        }
    }
}
